"""The front end as one piece: an ES module for anywidget, a classic script for pages (which must open from
disk too).

The files of ``front/`` share one scope: none imports another, so joining them is all the bundling there is.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

FRONT = Path(__file__).parent / "front"
ORDER = ("scale.js", "marks.js", "view.js", "controls.js", "shell.js", "widget.js")


def _joined(*files: str) -> str:
    return "\n".join((FRONT / name).read_text(encoding="utf-8") for name in files)


@cache
def esm() -> str:
    """The ES module that anywidget loads: the default export renders a model with the kernel engine."""
    return _joined(*ORDER, "kernel.js", "anywidget.js")


@cache
def script() -> str:
    """The front end without an engine as a classic script; it defines ``globalThis.ndl`` (mount, helpers).

    An inline ``<script>`` may hold it as it is; it has no import, no export and asks for no address.
    """
    source = re.sub(r"(?m)^export (?=function|const|class)", "", _joined(*ORDER))
    names = "mount, element, numberText, positions, restore"
    return f'(() => {{\n"use strict";\n{source}\nglobalThis.ndl = {{ {names} }};\n}})();\n'


@cache
def css() -> str:
    """The style sheet, for both."""
    return _joined("style.css")
