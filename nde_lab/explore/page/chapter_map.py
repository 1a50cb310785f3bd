"""The map of the book: each chapter a box that leads to it, an arrow from what should be read before."""
from __future__ import annotations

import textwrap
from collections.abc import Callable
from html import escape

from nde_lab.explore.page.chapters import Chapter

BOX, HEIGHT, GAP, LANE, LABEL = 168, 56, 26, 46, 22     # width, height; between boxes, between rows, a group's name
LETTERS = 20      # of a title in a line of a box


def before(book: list[Chapter]) -> dict[str, list[str]]:
    """{chapter: what to read directly before}: what the heads say, without what follows from other arrows."""
    needs = {chapter.name: chapter.needs for chapter in book}

    def behind(name: str, seen: frozenset = frozenset()) -> set[str]:
        """All that comes before ``name``, near or far."""
        if name in seen:
            raise ValueError(f"chapters need each other in a circle: {', '.join(sorted(seen))}; cut one of the links in "
                             "the **You need** of their heads")
        near = needs.get(name, [])
        return set(near).union(*(behind(other, seen | {name}) for other in near))

    return {name: [n for n in near if not any(n in behind(other) for other in near)] for name, near in needs.items()}


def html(book: list[Chapter], address: Callable[[str], str]) -> str:
    """The map for wide pages, the same for narrow ones, and in words. ``address`` gives the link to a chapter's name."""
    return ('<figure class="ndl-map ndl-chapters">' + svg(book, address, columns=4, name="wide")
            + svg(book, address, columns=2, name="narrow") + words(book, address) + "</figure>")


def words(book: list[Chapter], address: Callable[[str], str]) -> str:
    titles, lines = {chapter.name: chapter.title for chapter in book}, []
    for chapter, near in ((c, before(book)[c.name]) for c in book):
        first = " and ".join(escape(titles.get(name, name)) for name in near)
        lines.append(f'<li><a href="{escape(address(chapter.name))}">{escape(chapter.title)}</a>: '
                     + (f"after {first}" if first else "needs no other chapter") + "</li>")
    return f"<details><summary>The map in words</summary><ul>{''.join(lines)}</ul></details>"


def svg(book: list[Chapter], address: Callable[[str], str], *, columns: int, name: str) -> str:
    """One drawing, ``columns`` boxes in a row at most, a new row for each group of the table of contents."""
    place, labels, y, row, group = {}, [], 0, 0, None
    for chapter in book:
        if chapter.group != group:
            y = y + HEIGHT + LANE if place else LABEL
            labels.append(f'<text x="2" y="{y - 8}" class="group">{escape(chapter.group)}</text>')
            group, row = chapter.group, 0
        elif row == columns:
            y, row = y + HEIGHT + LANE, 0
        place[chapter.name] = (row * (BOX + GAP), y)
        row += 1
    arrows, near = [], before(book)
    for target in place:
        sources = sorted((s for s in near[target] if s in place), key=lambda s: place[s][0])
        arrows += [_arrow(place[source], place[target], (i + 1) / (len(sources) + 1), 3 * (len(arrows) % 3 - 1))
                   for i, source in enumerate(sources)]
    boxes = "".join(_box(chapter, *place[chapter.name], address(chapter.name)) for chapter in book)
    width, height = columns * (BOX + GAP) - GAP + 4, y + HEIGHT + 4
    return (f'<svg class="ndl-{name}" viewBox="-2 0 {width} {height}" role="group" aria-label="Map of the chapters: an arrow '
            f'leads from what should be read before; the same in words below"><defs><marker id="map-{name}" '
            'viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0 8 4 0 8z"/>'
            f'</marker></defs><g class="arrow" style="--tip: url(#map-{name})">{"".join(arrows)}</g>'
            f'<g class="box">{boxes}</g>{"".join(labels)}</svg>')


def _box(chapter: Chapter, x: int, y: int, link: str) -> str:
    lines = textwrap.wrap(chapter.title.split(":")[0], LETTERS)[:3]
    top = y + HEIGHT / 2 + 5 - 8.5 * (len(lines) - 1)
    text = "".join(f'<tspan x="{x + BOX / 2:g}" y="{top + 17 * i:g}">{escape(line)}</tspan>' for i, line in enumerate(lines))
    return (f'<a href="{escape(link)}"><title>{escape(chapter.title)}</title><rect x="{x}" y="{y}" width="{BOX}" '
            f'height="{HEIGHT}" rx="8"/><text>{text}</text></a>')


def _arrow(source: tuple[int, int], target: tuple[int, int], share: float, aside: int) -> str:
    """Down from a box to the top edge of a lower one (``share`` of its width), or sideways within a row. Past rows in
    between it runs beside their boxes, ``aside`` from the middle of the gap, for an arrow behind a box would seem to end
    there."""
    (x, y), (u, v) = source, target
    if v == y:
        if u == x + BOX + GAP:
            return f'<path d="M{x + BOX} {y + HEIGHT / 2:g}H{u - 1}"/>'
        start, end = x + 0.8 * BOX, u + BOX / 2
        return f'<path d="M{start:g} {y}C{start:g} {y - 26} {end:g} {y - 26} {end:g} {y - 1}"/>'
    start, end, bottom = x + BOX / 2, u + BOX * share, y + HEIGHT
    if v - y <= HEIGHT + LANE:
        return f'<path d="M{start:g} {bottom}C{start:g} {bottom + 34} {end:g} {v - 34} {end:g} {v - 1}"/>'
    gap, after, last = min(x, u) + BOX + GAP / 2 + aside, bottom + LANE, v - LANE
    return (f'<path d="M{start:g} {bottom}C{start:g} {bottom + 30} {gap:g} {after - 30} {gap:g} {after}V{last}'
            f'C{gap:g} {last + 30} {end:g} {v - 30} {end:g} {v - 1}"/>')
