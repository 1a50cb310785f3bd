"""The chapters of the book, read from the book itself: order, titles, what each needs, which claims it shows.

Nothing is listed twice. The order is that of ``book/_toc.yml``; a chapter needs the chapters that the **You need** of its
head links to; it walks the papers whose claims its ``show(...)`` calls print.
"""
from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from nde_lab.explore.page.executions import ROOT

_SHOW = re.compile(r"^show\((paper|module)=\"([^\"]+)\"\)", re.MULTILINE)
_HEAD = re.compile(r"^> .*?(?=\n\n)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)#\s]+\.md)")


@dataclass(frozen=True)
class Chapter:
    """name: path without suffix, as in the table of contents ("notebooks/sdes/brownian_motion"). group: caption there."""
    name: str
    group: str
    text: str

    @property
    def title(self) -> str:
        return re.search(r"^# (.+)$", self.text, re.MULTILINE).group(1)

    @cached_property
    def head(self) -> dict[str, str]:
        """What the quote below the title says under "You will", "You need" and "Time", without the quote marks."""
        found = _HEAD.search(self.text)
        words = re.sub(r"\n> ?", " ", found.group(0)[2:]) if found else ""
        pieces = re.split(r"\*\*(You will|You need|Time):?\*\*", words)[1:]
        return {name: said.strip() for name, said in zip(pieces[::2], pieces[1::2], strict=True)}

    @property
    def time(self) -> str:
        """How long a reader takes, in the head's words ("an hour and a half")."""
        return re.split(r"[;.]", self.head.get("Time", ""))[0].strip()

    @property
    def needs(self) -> list[str]:
        """The chapters that the head links to, in order."""
        folder = posixpath.dirname(self.name)
        found = [posixpath.normpath(posixpath.join(folder, link))[:-3]
                 for link in _LINK.findall(self.head.get("You need", "")) if "://" not in link]
        return [name for name in dict.fromkeys(found) if name.startswith("notebooks/")]

    @property
    def shows(self) -> list[tuple[str, str]]:
        """[("module", "nde_lab.sdes.brownian_motion"), ("paper", "stable-neural-sdes"), ...]"""
        return _SHOW.findall(self.text)

    def walks(self, *, paper: str, module: str) -> bool:
        """Does this chapter print the claim of ``paper`` that lies in ``module``?"""
        return any(value == paper if kind == "paper" else f"{module}.".startswith(f"{value}.")
                   for kind, value in self.shows)


def chapters(root: Path = ROOT) -> list[Chapter]:
    """All chapters in the order of the table of contents; none where the book is not there (an installed package)."""
    toc = root / "book" / "_toc.yml"
    if not toc.is_file():
        return []
    found, group = [], ""
    # Three kinds of lines are all there is: no need of a YAML reader, which readers of the package may lack.
    for line in toc.read_text(encoding="utf-8").splitlines():
        if caption := re.match(r"\s*- caption: (.+)", line):
            group = caption.group(1).strip()
        elif entry := re.match(r"\s*- file: (notebooks/\S+)", line):
            found.append(Chapter(entry.group(1), group,
                                 (root / f"{entry.group(1)}.md").read_text(encoding="utf-8")))
    return found


def timing(book: list[Chapter]) -> str:
    """A Markdown table for teachers: what each chapter is for and how long it takes; links are relative to ``book/``."""
    lines = ["| chapter | what students do | time |", "|---|---|---|"]
    for chapter in book:
        goal = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", chapter.head.get("You will", "")).rstrip(". ")
        lines.append(f"| [{chapter.title.split(':')[0]}](../{chapter.name}.md) | {goal} | {chapter.time} |")
    return "\n".join(lines)
