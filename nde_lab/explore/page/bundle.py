"""ES modules of the front end as one classic script: what a page may load from disk (``file:`` forbids modules).

Each module becomes a function of its own, so names do not meet; ``import`` becomes a look-up, ``export`` an entry. Only
the forms that the front end uses are understood; another one is refused when the book is built.
"""
from __future__ import annotations

import re
from pathlib import Path

FRONT = Path(__file__).resolve().parents[1] / "front"
HERE = Path(__file__).resolve().parent
_IMPORT = re.compile(r"^import\s+(?:\{([^}]*)\}|\*\s+as\s+(\w+))\s+from\s+[\"'](?:\./|\.\./[\w/]*)([\w-]+\.js)[\"'];?[ \t]*$",
                     re.MULTILINE)
_EXPORT = re.compile(r"^export\s+(async\s+function\*?|function\*?|const|let|class)\s+(\w+)", re.MULTILINE)
_EXPORT_LIST = re.compile(r"^export\s+\{([^}]*)\};?[ \t]*$", re.MULTILINE)
_EXPORT_DEFAULT = re.compile(r"^export\s+default\s+", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b.*$", re.MULTILINE)


def classic(entry: Path, *, search: tuple[Path, ...] = (FRONT, HERE)) -> str:
    """The module ``entry`` and all that it imports, as one expression whose value is the entry's exports."""
    order: list[str] = []
    texts: dict[str, str] = {}

    def visit(name: str, path: Path, above: tuple[str, ...]) -> None:
        if name in above:
            raise ValueError(f"front-end modules import each other in a circle: {' -> '.join([*above, name])}")
        if name in texts:
            return
        source = path.read_text(encoding="utf-8")
        texts[name] = source
        for _, _, other in _IMPORT.findall(source):
            visit(other, _find(other, (path.parent, *search)), (*above, name))
        order.append(name)

    visit(entry.name, entry, ())
    body = "\n".join(f"const {_name(n)} = (() => {{\n{_module(n, texts[n])}\n}})();" for n in order)
    return f"(() => {{\n\"use strict\";\n{body}\nreturn {_name(entry.name)};\n}})()"


def shared_script() -> str:
    """The book's one script for widgets: it finds their places in the page and starts them when they are seen."""
    return f"window.ndeLab = {classic(HERE / 'embed.js')};\nwindow.ndeLab.findAll(document);\n"


def _find(name: str, folders: tuple[Path, ...]) -> Path:
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"the front end imports {name}, which is in none of {', '.join(f.name for f in folders)}")


def _name(file: str) -> str:
    return "m_" + re.sub(r"\W", "_", file.removesuffix(".js"))


def _module(name: str, source: str) -> str:
    exported: dict[str, str] = {}

    def note_export(match: re.Match) -> str:
        exported[match[2]] = match[2]
        return f"{match[1]} {match[2]}"

    def note_list(match: re.Match) -> str:
        for item in filter(None, (part.strip() for part in match[1].split(","))):
            inner, _, outer = (p.strip() for p in item.partition(" as "))
            exported[outer or inner] = inner
        return ""

    def note_default(match: re.Match) -> str:
        exported["default"] = "default_export"
        return "const default_export = "

    def look_up(match: re.Match) -> str:
        names, whole, other = match.groups()
        if whole:
            return f"const {whole} = {_name(other)};"
        parts = (re.sub(r"\s+as\s+", ": ", p.strip()) for p in names.split(",") if p.strip())
        return f"const {{ {', '.join(parts)} }} = {_name(other)};"

    text = _IMPORT.sub(look_up, source)
    text = _EXPORT.sub(note_export, text)
    text = _EXPORT_LIST.sub(note_list, text)
    text = _EXPORT_DEFAULT.sub(note_default, text)
    if left := _LEFT.search(text):
        raise ValueError(f"{name}: `{left[0][:80]}` is a form of import or export that the bundle does not understand; "
                         'write `import { a, b } from "./file.js"` and `export function` / `const` / `class`')
    pairs = ", ".join(f"{outer}: {inner}" for outer, inner in exported.items())
    return f"{text.rstrip()}\nreturn {{ {pairs} }};"
