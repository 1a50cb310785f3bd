"""The scripts of a page without a kernel, joined: the driver's (run inside a worker), and the page's own.

The files share one scope and import nothing, so joining them is all the bundling there is. All results are classic
scripts: a page opened from disk may load those, and no modules.
"""
from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

from nde_lab.explore import bundle

HERE = Path(__file__).parent
_EXPORT = re.compile(r"(?m)^export (?=function|const|class)")


def joined(*names: str) -> str:
    """Files of this folder as one text, without their ``export``."""
    return _EXPORT.sub("", "\n".join((HERE / name).read_text(encoding="utf-8") for name in names))


@cache
def worker_source() -> str:
    """An expression whose value is ``{serve, listen, load}``: the random twin, the run loop and the driver."""
    return (f"(() => {{\n\"use strict\";\n{joined('random.js', 'program.js', 'run.js', 'worker.js')}\n"
            "return { serve, listen, load };\n})()")


@cache
def page_script() -> str:
    """Everything that a page with widgets needs, as one script: front end, engines, and the start of all widgets."""
    source = joined("inflate.js", "page_engine.js", "stored_engine.js", "embed.js")
    whole = (f"{bundle.script()}\n(() => {{\n\"use strict\";\nconst WORKER_SOURCE = {json.dumps(worker_source())};\n{source}\n"
             "globalThis.ndlPage = { findAll, start, pageEngine, storedEngine };\nfindAll(document);\n})();\n")
    return whole.replace("</", "<\\/")      # "</script" would end an inline script early; only texts and comments hold it


@cache
def page_style() -> str:
    """The style sheet of widgets in a page."""
    return bundle.css() + "\n" + (HERE / "embed.css").read_text(encoding="utf-8")
