"""The map of the book: every chapter a link, arrows only where no other path says it, words for those who cannot see it."""
import re
import xml.etree.ElementTree as ET

import pytest

from nde_lab.explore.page import chapter_map as cm
from nde_lab.explore.page.chapters import Chapter, chapters


def chapter(name: str, *needs: str, group: str = "g") -> Chapter:
    links = " ".join(f"[x]({n}.md)" for n in needs)
    return Chapter(f"notebooks/p/{name}", group, f"# The {name} of things\n\n> **You will** see. **You need** {links}. "
                                                 "**Time:** an hour; ok.\n\n")


A, B, C, D = chapter("a"), chapter("b", "a"), chapter("c", "a", "b", group="h"), chapter("d", group="h")


def test_arrows_leave_out_what_follows_from_others():
    assert cm.before([A, B, C, D]) == {A.name: [], B.name: [A.name], C.name: [B.name], D.name: []}


def test_a_circle_is_refused():
    with pytest.raises(ValueError, match="in a circle.*You need"):
        cm.before([chapter("a", "b"), chapter("b", "a")])


@pytest.mark.parametrize("columns", [2, 4])
def test_every_chapter_of_the_book_is_a_box_that_links_to_it(columns):
    book = chapters()
    drawn = ET.fromstring(cm.svg(book, lambda name: f"../{name}.html", columns=columns, name="x"))
    links = [a.get("href") for a in drawn.iter("a")]
    assert links == [f"../{c.name}.html" for c in book]
    assert sum(len(near) for near in cm.before(book).values()) == len(drawn.findall("./g[@class='arrow']/path"))
    _, _, width, height = map(float, drawn.get("viewBox").split())
    places = [(float(r.get("x")), float(r.get("y"))) for r in drawn.iter("rect")]
    assert all(0 <= x <= width - cm.BOX and 0 <= y <= height - cm.HEIGHT for x, y in places)
    assert len(set(places)) == len(book), "no box hides another"
    longest = max(len(t.text) for t in drawn.iter("tspan"))
    assert longest <= cm.LETTERS, "a line of a title must fit into its box"
    boxes = ["".join(text.itertext()) for text in drawn.iter("text") if text.find("tspan") is not None]
    assert len(set(boxes)) == len(book), "two boxes say the same"


def test_the_words_say_what_the_arrows_say():
    text = cm.words([A, B, C, D], lambda name: name)
    assert text.count("<li>") == 4 and "The c of things</a>: after The b of things" in text
    assert "The d of things</a>: needs no other chapter" in text


def test_titles_are_text_and_addresses_are_quoted():
    odd = Chapter("notebooks/p/x", "a & b", "# Is 1 < 2 & so on\n\n> **You will** a. **You need** b. **Time:** c.\n\n")
    made = cm.html([odd], lambda name: '"x"')
    ET.fromstring(made)
    assert "1 &lt; 2 &amp; so" in made


def test_two_maps_on_one_page_have_names_of_their_own():
    ids = re.findall(r'id="([^"]+)"', cm.html([A, B], lambda name: name))
    assert len(ids) == len(set(ids)) == 2


def test_no_arrow_runs_behind_a_box_that_it_does_not_end_at():
    """Three rows of a group each: from the first to the third, beside the second."""
    far = [chapter("a", group="1"), chapter("b", group="2"), chapter("c", "a", group="3")]
    drawn = ET.fromstring(cm.svg(far, lambda name: name, columns=2, name="x"))
    (arrow,) = drawn.findall("./g[@class='arrow']/path")
    down = float(re.search(r"([\d.]+) [\d.]+V", arrow.get("d")).group(1))
    assert cm.BOX < down < cm.BOX + cm.GAP
