"""The papers behind the book as a table: where each is walked, how its claims fared, and which have no chapter yet."""
from __future__ import annotations

import json
from functools import cache
from pathlib import Path

from nde_lab import claims
from nde_lab.explore.page.chapters import Chapter, chapters

PARTS = {"sdes": "Neural SDEs", "odes": "Neural ODEs", "sequences": "Sequence models", "diffusion": "Diffusion",
         "bridges": "Bridges", "dynamics": "Training dynamics", "bayes": "Kernels and Bayes", "pdes": "Neural PDEs",
         "control": "Optimisation and control"}
TEXTBOOK = "textbook-"      # claims of textbooks, not of a paper, have slugs that begin so


@cache
def papers() -> dict[str, dict]:
    """{slug: {title, authors, year, arxiv, part}}; authors and arxiv are "" where we could not confirm them."""
    rows = json.loads((Path(__file__).parent / "papers.json").read_text(encoding="utf-8"))
    return {row["slug"]: row for row in rows}


def walked_in(slug: str, all_claims: list[claims.Claim], book: list[Chapter]) -> list[Chapter]:
    """The chapters that print a claim of this paper, in the book's order."""
    homes = {c.function.__module__ for c in all_claims if c.paper == slug}
    return [chapter for chapter in book if any(chapter.walks(paper=slug, module=home) for home in homes)]


def as_markdown(rows: list[dict], *, all_claims: list[claims.Claim], book: list[Chapter]) -> dict[str, str]:
    """{"": a sentence that counts, name of a part: a Markdown table of its papers}.

    rows: the ledger (``claims.ledger()``). Links are relative to ``book/``.
    """
    walked = {slug: walked_in(slug, all_claims, book) for slug in papers()}
    begun = sum(bool(found) for found in walked.values())
    text = {"": f"{begun} of {len(papers())} papers have a chapter or a part of one."}
    for part, name in PARTS.items():
        lines = ["| paper | chapter | claims that hold |", "|---|---|---|"]
        for slug, paper in papers().items():
            if paper["part"] == part:
                lines.append(f"| {_about(paper)} | {_where(walked[slug])} | {_held(slug, rows)} |")
        text[name] = "\n".join(lines)
    return text


def markdown() -> dict[str, str]:
    """The tables of the book as it is now."""
    from nde_lab.explore.page.claims_page import whole_ledger
    return as_markdown(whole_ledger(), all_claims=claims.claims(), book=chapters())


def _about(paper: dict) -> str:
    """Title, authors, year, and a link to arXiv: followed by a reader, never fetched by the page."""
    authors = paper["authors"].split(", ") if paper["authors"] else []
    named = ", ".join(authors[:3]) + (" and others" if len(authors) > 3 else "")
    said = [*([f"{named}, {paper['year']}"] if named else [str(paper["year"])]),
            *([f"[arXiv {paper['arxiv']}](https://arxiv.org/abs/{paper['arxiv']})"] if paper["arxiv"] else [])]
    return f"{paper['title']} [{'. '.join(said)}]{{.ndl-small}}"


def _where(found: list[Chapter]) -> str:
    links = [f"[{c.title.split(':')[0]}](../{c.name}.md)" for c in found]
    return ", ".join(links) if links else "[no chapter yet]{.ndl-none}"


def _held(slug: str, rows: list[dict]) -> str:
    mine = [row for row in rows if row["paper"] == slug]
    if not mine:
        return "none yet"
    held = sum(bool(row.get("verdict") and row["verdict"]["holds"]) for row in mine)
    return f'<a href="claims.html#paper-{slug}">{held} of {len(mine)}</a>'
