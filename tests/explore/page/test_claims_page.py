import pytest

from nde_lab.explore.page.claims_page import Table, as_html

ROW = {"name": "rotation", "paper": "some-paper", "where": "Fig <1>", "says": "a < b & c", "cost": "quick", "seeds": 3,
       "seconds": 0.4, "verdict": {"measured": {"x": 0.123456, "y": [1.0, 2.5]}, "expected": "x < 1", "holds": True,
                                   "note": "a note", "unit": "nats"}}


def test_a_row_says_paper_measurement_and_verdict():
    html = as_html([ROW])
    assert "a &lt; b &amp; c" in html and "Fig &lt;1&gt;" in html and "0.1235" in html and "1, 2.5" in html
    assert "ndl-holds" in html and "3 seeds" in html and "(nats)" in html and "1 of 1 claims hold" in html


def test_a_failure_is_shown_as_a_failure():
    html = as_html([{**ROW, "verdict": {**ROW["verdict"], "holds": False}}])
    assert "does not hold" in html and "ndl-fails" in html and "0 of 1 claims hold" in html


def test_a_long_claim_that_never_ran_or_is_stale_says_so():
    row = {k: v for k, v in ROW.items() if k not in ("verdict", "seconds")} | {"cost": "long", "stale": "run it again"}
    html = as_html([row])
    assert "never run" in html and "not measured yet" in html and "run it again" in html


def test_papers_have_tables_of_their_own_and_text_stays_text():
    table = Table([ROW, {**ROW, "paper": "other"}])
    assert table._repr_html_().count("<table class=\"ndl-claims\">") == 2
    assert "some-paper | rotation" in repr(table)


@pytest.mark.parametrize("measured", [3, "a sentence", 1e-9, True, [1, 2]])
def test_any_measurement_can_be_shown(measured):
    assert "We measure" in as_html([{**ROW, "verdict": {**ROW["verdict"], "measured": measured, "unit": ""}}])


def test_only_the_page_of_all_claims_has_places_to_link_to():
    """A chapter may show a paper twice, and an id may stand on a page once."""
    whole, part = as_html([ROW], whole=True), as_html([ROW])
    assert 'id="paper-some-paper"' in whole and 'id="claim-some-paper-rotation"' in whole and "ndl-ledger" in whole
    assert " id=" not in part and "ndl-ledger" not in part


def test_a_known_paper_is_named_by_its_title():
    assert "Score-Based Generative Modeling" in as_html([{**ROW, "paper": "score-sde"}])
    assert "From textbooks: <code>textbook-x</code>" in as_html([{**ROW, "paper": "textbook-x"}])


def test_marks_become_links_to_code_and_chapter():
    from nde_lab.explore.page.sphinx_ext import link_claims
    mark = "<!--ndl:code stable-neural-sdes {0}--><!--ndl:chapter stable-neural-sdes {0}-->"
    from nde_lab import claims
    name = claims.claims(paper="stable-neural-sdes")[0].name
    pages = {"book/api_sdes", "notebooks/sdes/stable_neural_sdes"}
    html = link_claims(mark.format(name), lambda page: f"../{page}.html", pages)
    assert html.count("<a ") == 2 and f'.html#{name}">code</a>' in html
    assert '<a href="../notebooks/sdes/stable_neural_sdes.html">Stable neural SDEs</a>' in html
    assert link_claims(mark.format(name), str, set()) == "", "no link to a page that the book does not have"
    assert link_claims(mark.format("unknown"), str, pages) == ""


def test_the_whole_ledger_is_run_once_for_all_pages(monkeypatch, tmp_path):
    from nde_lab.explore.page import claims_page, executions
    calls = []
    monkeypatch.setattr(claims_page.claims, "ledger", lambda: calls.append(1) or [ROW])
    monkeypatch.setattr(executions, "BUILD", tmp_path / "nowhere" / "book" / "_build")
    assert claims_page.whole_ledger() == claims_page.whole_ledger() == [ROW]
    assert len(calls) == 2 and not (tmp_path / "nowhere").exists(), "no folder is made where there is no book"
    monkeypatch.setattr(executions, "BUILD", tmp_path / "_build")
    assert claims_page.whole_ledger() == claims_page.whole_ledger() == [ROW]
    assert len(calls) == 3
    monkeypatch.setattr(executions, "package_hash", lambda: "another")
    claims_page.whole_ledger()
    assert len(calls) == 4 and len(list((tmp_path / "_build").glob("ledger-*"))) == 1
