"""The ledger of claims as a table of the book: paper says / we measure / holds?"""
from __future__ import annotations

from html import escape

from nde_lab import claims


class Table:
    """HTML for the book, plain text elsewhere."""

    def __init__(self, rows: list[dict]):
        self.rows = rows

    def _repr_html_(self) -> str:
        return as_html(self.rows)

    def __repr__(self) -> str:
        return claims.as_text(self.rows)


def show(*, paper: str | None = None, module: str | None = None) -> Table:
    """Run the quick claims, read the stored long ones: of one paper, or of one module (a paper may have claims
    in several chapters). Raises ValueError for a paper or a module without claims."""
    return Table(claims.ledger(paper=paper, module=module))


def as_html(rows: list[dict]) -> str:
    """One table per paper; failures and missing results are shown as such."""
    if not rows:
        return "<p>No claims are registered yet.</p>"
    held = sum(bool(row.get("verdict") and row["verdict"]["holds"]) for row in rows)
    parts = [f"<p><strong>{held} of {len(rows)} claims hold.</strong></p>"]
    for paper in dict.fromkeys(row["paper"] for row in rows):
        body = "".join(_row(row) for row in rows if row["paper"] == paper)
        parts.append(
            f'<table class="ndl-claims"><caption>Paper <code>{escape(paper)}</code></caption><thead><tr>'
            "<th scope='col'>Paper says</th><th scope='col'>We measure</th><th scope='col'>Holds?</th></tr></thead>"
            f"<tbody>{body}</tbody></table>")
    return "\n".join(parts)


def _row(row: dict) -> str:
    verdict = row.get("verdict")
    word, style = (("never run", "unknown") if verdict is None else ("holds", "holds") if verdict["holds"]
                   else ("does not hold", "fails"))
    says = (f"{escape(row['says'])}<br><span class='ndl-small'>{escape(row['where'])} · <code>{escape(row['name'])}</code>"
            "</span>")
    measured, about = "not measured yet", ""
    if verdict:
        measured = (_measured(verdict["measured"], verdict["unit"])
                    + f"<div class='ndl-small'>Expected: {escape(verdict['expected'])}</div>"
                    + (f"<div class='ndl-small'>{escape(verdict['note'])}</div>" if verdict["note"] else ""))
        seeds = f"{row['seeds']} seed{'s' if row['seeds'] != 1 else ''}"
        about = f"<br><span class='ndl-small'>{escape(row['cost'])}, {row['seconds']:g} s, {seeds}</span>"
    if row.get("stale"):
        about += f"<br><span class='ndl-small'>{escape(row['stale'])}</span>"
    return (f"<tr><td data-label='Paper says'>{says}</td><td data-label='We measure'>{measured}</td>"
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
