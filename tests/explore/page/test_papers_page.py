"""The papers' table and the chapters that it is made from: nothing is left out, every link leads somewhere."""
import re

import pytest

from nde_lab import claims
from nde_lab.explore.page import chapters as ch
from nde_lab.explore.page import papers_page as pp

FACTS = {"slug", "title", "authors", "year", "arxiv", "part"}


@pytest.fixture(scope="module")
def all_claims():
    return claims.claims()


def test_the_list_of_papers_holds_facts_and_nothing_else():
    assert len(pp.papers()) == 85
    for slug, paper in pp.papers().items():
        assert set(paper) == FACTS and re.fullmatch(r"[a-z0-9-]+", slug)
        assert 1990 < paper["year"] < 2100 and paper["part"] in pp.PARTS and paper["title"]
        assert re.fullmatch(r"(\d{4}\.\d{4,5})?", paper["arxiv"]), slug
    assert set(pp.PARTS) == set(claims.PARTS)
    numbers = [p["arxiv"] for p in pp.papers().values() if p["arxiv"]]
    assert len(numbers) == len(set(numbers)), "two papers with one number"


def test_every_claim_is_of_a_paper_in_the_list_or_of_textbooks(all_claims):
    unknown = {c.paper for c in all_claims if c.paper not in pp.papers() and not c.paper.startswith(pp.TEXTBOOK)}
    assert not unknown, "add them to nde_lab/explore/page/papers.json"


def test_every_chapter_shows_claims_and_says_what_it_needs(all_claims):
    book = ch.chapters()
    assert len(book) == len({c.name for c in book}) >= 11
    for place, chapter in enumerate(book):
        assert {"You will", "You need", "Time"} <= set(chapter.head), chapter.name
        assert chapter.time, chapter.name
        assert any(chapter.walks(paper=c.paper, module=c.function.__module__) for c in all_claims), chapter.name
        later = set(chapter.needs) - {c.name for c in book[:place]}
        assert not later, f"{chapter.name} needs {later}, which the book has later or not at all"


def test_every_paper_with_claims_in_a_chapter_is_linked_and_the_others_are_marked(all_claims):
    book = ch.chapters()
    text = pp.as_markdown([], all_claims=all_claims, book=book)
    assert list(text) == ["", *pp.PARTS.values()]
    rows = [line for table in text.values() for line in table.splitlines() if line.startswith("| ") and "| chapter |" not in line]
    assert len(rows) == len(pp.papers())
    for (slug, paper), row in ((p, next(r for r in rows if p[1]["title"] in r)) for p in pp.papers().items()):
        walked = pp.walked_in(slug, all_claims, book)
        assert ("no chapter yet" in row) == (not walked), paper["title"]
        assert all(f"(../{c.name}.md)" in row for c in walked)
    walked = {c.name for slug in pp.papers() for c in pp.walked_in(slug, all_claims, book)}
    assert walked == {c.name for c in book}, "each chapter is linked from at least one paper"


def test_held_claims_are_counted_and_failures_count_as_such():
    row = {"paper": "score-sde", "verdict": {"holds": True}}
    text = pp.as_markdown([row, {**row, "verdict": {"holds": False}}, {**row, "verdict": None}], all_claims=[], book=[])
    assert '<a href="claims.html#paper-score-sde">1 of 3</a>' in text["Diffusion"]
    assert text[""].startswith("0 of 85 papers")


CHAPTER = """---
a: b
---

# Storms: a first look

> **You will** see [rain](rain.md). **You need** clouds
> ([here](clouds.md)), maps ([there](../maps/paper.md)) and [a site](https://x.org/y.md). **Time:** an hour; no more.

text

show(module="nde_lab.weather.storms")
    show(paper="not at the start of a line")
"""


def test_a_head_is_read():
    chapter = ch.Chapter("notebooks/weather/storms", "Weather", CHAPTER)
    assert chapter.title == "Storms: a first look" and chapter.time == "an hour"
    assert chapter.needs == ["notebooks/weather/clouds", "notebooks/maps/paper"]
    assert chapter.shows == [("module", "nde_lab.weather.storms")]
    assert chapter.walks(paper="any", module="nde_lab.weather.storms.rain")
    assert not chapter.walks(paper="any", module="nde_lab.weather.storms_at_sea")


def test_the_timing_table_has_no_links_of_the_chapters_folder():
    line = ch.timing([ch.Chapter("notebooks/weather/storms", "Weather", CHAPTER)]).splitlines()[-1]
    assert line == "| [Storms](../notebooks/weather/storms.md) | see rain | an hour |"


def test_without_a_book_there_are_no_chapters(tmp_path):
    assert ch.chapters(tmp_path) == []
