"""The two small scripts of the book: search in the tables of claims and papers, and a chapter as slides."""
from __future__ import annotations

import pytest

from nde_lab.explore.page import claims_page
from tests.browser.conftest import ROOT

pytestmark = pytest.mark.browser
STATIC = ROOT / "book" / "_static"


def row(name: str, holds: bool | None, says: str, paper: str = "score-sde") -> dict:
    verdict = None if holds is None else {"measured": 1.0, "expected": "x < 2", "holds": holds, "note": "", "unit": ""}
    return {"name": name, "paper": paper, "where": "Fig 1", "says": says, "cost": "quick", "seeds": 1, "seconds": 0.1,
            "verdict": verdict}


ROWS = [row("a", True, "noise forgives"), row("b", False, "Röhren & <tubes>"), row("c", True, "tubes", "dpm-solver"),
        row("d", None, "never ran", "ode-sde-gap")]


@pytest.fixture
def show(browser, tmp_path):
    """Open a body with one of the scripts; errors on the page fail the test."""
    opened, troubles = browser.new_context(), []

    def open_(body: str, script: str, query: str = ""):
        file = tmp_path / "page.html"
        file.write_text(f"<!doctype html><meta charset=utf-8><link rel=stylesheet href='{(STATIC / 'book.css').as_uri()}'>"
                        f"<body>{body}<script src='{(STATIC / script).as_uri()}'></script>", encoding="utf-8")
        page = opened.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(file.as_uri() + query)
        return page

    yield open_
    opened.close()
    assert troubles == []


def seen(page) -> list[str]:
    return [r.get_attribute("id").rpartition("-")[2] for r in page.locator(".ndl-claims > tbody > tr").all() if r.is_visible()]


def test_claims_are_found_by_word_and_by_failure(show):
    page = show(claims_page.as_html(ROWS, whole=True), "ledger.js")
    word, only = page.get_by_label("Search the claims"), page.get_by_label("Only those that do not hold")
    status = page.get_by_role("status")
    assert seen(page) == list("abcd") and status.inner_text() == "All 4 claims."
    word.fill("TUBES")
    assert seen(page) == ["b", "c"] and status.inner_text() == "2 of 4 claims."
    assert not page.locator("#paper-ode-sde-gap").is_visible(), "a paper without a hit goes, with its caption"
    word.fill("rohren tubes")
    assert seen(page) == ["b"], "all words, in any order, accents or not"
    word.fill("fast ode solver")
    assert seen(page) == ["c"], "the title of the paper counts"
    word.fill("")
    only.check()
    assert seen(page) == ["b", "d"], "what never ran does not hold"
    word.fill("no such thing")
    assert seen(page) == [] and "None of 4 claims" in status.inner_text()
    word.press("Enter")
    assert page.url.endswith("page.html"), "Enter sends nothing"


def test_without_the_script_all_claims_show(browser, tmp_path):
    file = tmp_path / "page.html"
    file.write_text("<!doctype html><meta charset=utf-8>" + claims_page.as_html(ROWS, whole=True), encoding="utf-8")
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(file.as_uri())
    assert page.locator(".ndl-claims > tbody > tr:visible").count() == 4 and page.locator("input").count() == 0
    context.close()


def test_papers_without_a_chapter_are_found_part_by_part(show):
    def part(name, *rows):
        return f"<div class=ndl-part><h2>{name}</h2><table><tbody>{''.join(f'<tr><td>{r}</td></tr>' for r in rows)}</tbody></table></div>"

    none = "<span class=ndl-none>no chapter yet</span>"
    page = show(f"<div class=ndl-papers>{part('One', 'Alpha', 'Beta ' + none)}{part('Two', 'Gamma')}</div>", "ledger.js")
    page.get_by_label("Only those without a chapter").check()
    assert page.locator("tr:visible").all_inner_texts() == ["Beta no chapter yet"]
    assert page.locator("h2:visible").all_inner_texts() == ["One"]
    assert page.get_by_role("status").inner_text() == "1 of 3 papers."


CHAPTER = ("<article class=bd-article><section><h1>Title</h1><p id=head>Head</p><section><h2>First</h2><input type=range id=s>"
           "<section><h3>Inner</h3></section></section><section><h2>Second</h2><p>End</p></section></section></article>")


def headings(page) -> list[str]:
    return page.locator("h1:visible, h2:visible, h3:visible").all_inner_texts()


def test_each_section_is_a_slide(show):
    page = show(CHAPTER, "slides.js")
    assert headings(page) == ["Title", "First", "Inner", "Second"]
    page.get_by_role("button", name="Slides").click()
    assert headings(page) == ["Title"] and page.locator("#head").is_visible()
    page.keyboard.press("PageDown")
    assert headings(page) == ["First", "Inner"] and page.url.endswith("slides=2")
    page.locator("#s").focus()
    before = page.locator("#s").input_value()
    page.keyboard.press("ArrowRight")
    assert headings(page) == ["First", "Inner"], "a slider keeps its arrows"
    assert page.locator("#s").input_value() != before
    page.get_by_role("button", name="Next").click()
    page.keyboard.press("ArrowRight")
    assert headings(page) == ["Second"], "after the last slide there is none"
    page.keyboard.press("Escape")
    assert headings(page) == ["Title", "First", "Inner", "Second"] and "slides" not in page.url


def test_an_address_opens_at_its_slide(show):
    assert headings(show(CHAPTER, "slides.js", "?slides=3")) == ["Second"]
    assert headings(show(CHAPTER, "slides.js", "?slides=99")) == ["Second"]
    assert headings(show(CHAPTER, "slides.js", "?slides=x")) == ["Title"]
