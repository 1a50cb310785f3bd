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
