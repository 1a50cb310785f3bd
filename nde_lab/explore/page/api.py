"""The reference of the library: one page of the book for each part, from the docstrings, with the code one click away.

Our docstrings are plain sentences with ``code`` marked; they are no reStructuredText. ``plain`` makes them so that Sphinx
shows exactly what is written, and an asterisk or a bar in a formula is no markup.
"""
from __future__ import annotations

import importlib.util
import pkgutil
import re

_CODE = re.compile(r"``(.+?)``|`([^`]+)`", re.DOTALL)
_FIELD = re.compile(r"^(\S.*?)\s{2,}(\S.*)$")          # "values   (N, L, C) float32, ..."
_MARKUP = re.compile(r"([\\*`|_<>\[\]:])")
# Where the ground floor's users begin; the rest of it is there for these.
GROUND = ("experiment", "knobs", "claims", "exercises", "data", "nets", "autodiff", "optimizers", "muon", "random", "metrics",
          "views", "figures", "status", "progress", "sweep", "solvers", "course", "doctor", "cli")


def modules(part: str) -> list[str]:
    """Names of the modules on the page of ``part``: a part's folder with all its papers, "ground" or "explore"."""
    if part == "ground":
        return [name for top in GROUND for name in _with_inner(f"nde_lab.{top}")]
    return _with_inner(f"nde_lab.{part}")


def _with_inner(name: str) -> list[str]:
    spec = importlib.util.find_spec(name)
    if spec is None:
        raise ValueError(f"there is no module {name!r} to describe")
    found = [name]
    for inner in pkgutil.iter_modules(spec.submodule_search_locations or []):
        found += _with_inner(f"{name}.{inner.name}")
    return found


def markdown(part: str) -> str:
    """The page's text: one heading a module, and Sphinx's own description of what the module defines."""
    text = []
    for name in modules(part):
        if not (importlib.import_module(name).__doc__ or "").strip():
            continue                # a folder that holds modules, and says nothing itself
        text.append(f"## `{name.removeprefix('nde_lab.')}`\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n"
                    "   :member-order: bysource\n   :ignore-module-all:\n```")
    return "\n\n".join(text)


def plain(app, what, name, found, options, lines: list[str]) -> None:
    """Sphinx's event ``autodoc-process-docstring``: change ``lines`` in place."""
    text = "\n".join(lines).expandtabs()
    made = []
    for block in re.split(r"\n\s*\n", text):
        rows = block.splitlines()
        if all(row.startswith(" ") or not row for row in rows) and any(rows):
            made.append(".. code-block:: text\n\n" + "\n".join("   " + row for row in rows))       # an indented block stays as it is
        else:
            made.append(_paragraph(rows))
    lines[:] = "\n\n".join(made).splitlines() + [""]


def _paragraph(rows: list[str]) -> str:
    """Running text, or a list where names and what they mean stand in two columns."""
    if not _FIELD.match(rows[0] if rows else "") or sum(bool(_FIELD.match(row)) for row in rows) < 2:
        return _row(" ".join(row.strip() for row in rows))
    items = []
    for row in rows:
        if (field := _FIELD.match(row)) and not row.startswith(" "):
            items.append(f"``{field.group(1).replace('`', '')}``: {field.group(2)}")
        else:
            items[-1] += f" {row.strip()}"
    return "\n".join(f"* {_row(item)}" for item in items)


def _row(row: str) -> str:
    pieces, at = [], 0
    for match in _CODE.finditer(row):
        pieces += [_escaped(row[at:match.start()]), f"\\ ``{(match.group(1) or match.group(2)).strip()}``\\ "]
        at = match.end()
    return "".join([*pieces, _escaped(row[at:])])


def _escaped(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text)
