"""The ledger of claims as a table of the book: paper says / we measure / holds?"""
from __future__ import annotations

import json
from html import escape

from nde_lab import claims
from nde_lab.explore.page import executions
from nde_lab.explore.page.papers_page import papers


class Table:
    """HTML for the book, plain text elsewhere. whole: the page of all claims, which can be searched and linked to."""

    def __init__(self, rows: list[dict], *, whole: bool = False):
        self.rows, self.whole = rows, whole

    def _repr_html_(self) -> str:
        return as_html(self.rows, whole=self.whole)

    def __repr__(self) -> str:
        return claims.as_text(self.rows)


def show(*, paper: str | None = None, module: str | None = None) -> Table:
    """Run the quick claims, read the stored long ones: all of them, those of one paper, or of one module (a paper may
    have claims in several chapters). Raises ValueError for a paper or a module without claims."""
    if paper is None and module is None:
        return Table(whole_ledger(), whole=True)
    return Table(claims.ledger(paper=paper, module=module))


def whole_ledger() -> list[dict]:
    """The rows of all claims. Two pages of the book want them and the quick ones take a minute or two together, so they
    are kept beside the built book, under a name that changes with any file of the package."""
    kept = executions.BUILD / f"ledger-{executions.package_hash()[:12]}.json"
    if kept.is_file():
        return json.loads(kept.read_text(encoding="utf-8"))
    rows = claims.ledger()
    if executions.BUILD.parent.is_dir():        # there is no book beside an installed package
        for old in executions.BUILD.glob("ledger-*.json"):
            old.unlink(missing_ok=True)
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(claims.main_json(rows), encoding="utf-8")
    return rows


def as_html(rows: list[dict], *, whole: bool = False) -> str:
    """One table per paper; failures and missing results are shown as such. The marks ``<!--ndl:... -->`` become links to
    code and chapter when the book is written (``sphinx_ext``); anywhere else they are not seen."""
    if not rows:
        return "<p>No claims are registered yet.</p>"
    held = sum(bool(row.get("verdict") and row["verdict"]["holds"]) for row in rows)
    parts = [f"<p><strong>{held} of {len(rows)} claims hold.</strong></p>"]
    for paper in dict.fromkeys(row["paper"] for row in rows):
        body = "".join(_row(row, whole) for row in rows if row["paper"] == paper)
        place = f' id="paper-{escape(paper)}"' if whole else ""
        parts.append(
            f'<table class="ndl-claims"{place}><caption>{_caption(paper)}</caption><thead><tr>'
            "<th scope='col'>Paper says</th><th scope='col'>We measure</th><th scope='col'>Holds?</th></tr></thead>"
            f"<tbody>{body}</tbody></table>")
    text = "\n".join(parts)
    return f'<div class="ndl-ledger">{text}</div>' if whole else text


def _caption(paper: str) -> str:
    known = papers().get(paper)
    slug = f"<code>{escape(paper)}</code>"
    if not known:
        return f"From textbooks: {slug}" if paper.startswith("textbook-") else f"Paper {slug}"
    return f"{escape(known['title'])} <span class='ndl-small'>{known['year']} · {slug}</span>"


def _row(row: dict, whole: bool) -> str:
    verdict = row.get("verdict")
    word, style = (("never run", "unknown") if verdict is None else ("holds", "holds") if verdict["holds"]
                   else ("does not hold", "fails"))
    code = f"<!--ndl:code {escape(row['paper'])} {escape(row['name'])}-->"
    chapter = f"<!--ndl:chapter {escape(row['paper'])} {escape(row['name'])}-->" if whole else ""
    says = (f"{escape(row['says'])}<br><span class='ndl-small'>{escape(row['where'])} · <code>{escape(row['name'])}</code>"
            f"{code}{chapter}</span>")
    measured, about = "not measured yet", ""
    if verdict:
        measured = (_measured(verdict["measured"], verdict["unit"])
                    + f"<div class='ndl-small'>Expected: {escape(verdict['expected'])}</div>"
                    + (f"<div class='ndl-small'>{escape(verdict['note'])}</div>" if verdict["note"] else ""))
        seeds = f"{row['seeds']} seed{'s' if row['seeds'] != 1 else ''}"
        about = f"<br><span class='ndl-small'>{escape(row['cost'])}, {row['seconds']:g} s, {seeds}</span>"
    if row.get("stale"):
        about += f"<br><span class='ndl-small'>{escape(row['stale'])}</span>"
    place = f' id="claim-{escape(row["paper"])}-{escape(row["name"])}"' if whole else ""
    return (f"<tr{place}><td data-label='Paper says'>{says}</td><td data-label='We measure'>{measured}</td>"
            f"<td data-label='Holds?'><span class='ndl-verdict ndl-{style}'>{word}</span>{about}</td></tr>")


def _measured(measured, unit: str) -> str:
    unit = f" {escape(unit)}" if unit else ""
    if isinstance(measured, dict):
        lines = "".join(f"<tr><td>{escape(str(name))}</td><td>{_value(value)}</td></tr>" for name, value in measured.items())
        return f"<table>{lines}</table>" + (f"<div class='ndl-small'>({unit.strip()})</div>" if unit else "")
    return _value(measured) + unit


def _value(value) -> str:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, tuple)):
        return ", ".join(_value(v) for v in value)
    return escape(str(value))
