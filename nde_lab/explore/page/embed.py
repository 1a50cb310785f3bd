"""A widget as HTML for a page without a kernel: its still, its spec with programs or stored runs, and nothing else.

The script that brings it to life is shared by the whole book (``joined.page_script``); with ``shared=False`` it is part
of the HTML, which then stands alone in any page.
"""
from __future__ import annotations

import base64
import importlib
import io
import json
import re
from html import escape

from nde_lab.explore.page import joined, stored
from nde_lab.explore.page.pack import for_script
from nde_lab.explore.spec import Explorer, explorer, png

STILL_WIDTH = 8.0        # inches at 110 dots
DEFERRED = "deferred"
_OPEN = '<script type="application/json" class="ndl-spec">'
_DEFERRED = re.compile(re.escape(_OPEN) + r'(\{"' + DEFERRED + r'":.*?)</script>', re.DOTALL)
_TOLD = ("controls", "predict", "after", "alt", "title", "seed", "steps", "autoplay")


def static_html(made: Explorer, *, still: bytes | None = None, shared: bool = True) -> str:
    """The HTML of an explorable.

    still: PNG bytes of the first setting's run (default: made here, by running it). shared: the page adds the scripts,
    and the book's build puts in the spec (``fill``), so that running a chapter does not wait for programs and stored
    runs; False makes all of it now, and the HTML stands alone.

    Raises ValueError (here or in ``fill``), naming the operator, where the step cannot be lowered, and where a budget is
    exceeded.
    """
    image = shrink(still if still is not None else _still(made))
    cls = type(made.experiment)
    if shared and cls.__module__ != "__main__" and "<locals>" not in cls.__qualname__:
        content = {DEFERRED: {"module": cls.__module__, "class": cls.__qualname__, "values": dict(made.values),
                              **{n: getattr(made, n) for n in _TOLD}}}
    else:
        content = spec_of(made)
    parts = [f'<div class="ndl-embed" data-name="{escape(made.name)}">', _paper(made, image),
             f"{_OPEN}{for_script(content)}</script>", "</div>"]
    if not shared:
        parts = [f"<style>{joined.page_style()}</style>", *parts, f"<script>{joined.page_script()}</script>"]
    return "\n".join(parts)


def spec_of(made: Explorer) -> dict:
    """The spec with all that the page's engines need: those of the plan, "page" (trained here) before "stored"."""
    wanted = [e for e in ("page", "stored") if e in made.experiment.plan.engines] or ["page"]
    extra = {}
    if "page" in wanted:
        from nde_lab.explore.page.programs import page_entry
        extra["page"] = page_entry(made)
    if "stored" in wanted:
        extra["stored"] = stored.build(made)
    return made.to_dict(engines=wanted) | extra


def fill(html: str) -> str:
    """HTML of a page in which every deferred spec is replaced by the whole one."""
    def whole(match: re.Match) -> str:
        told = json.loads(match[1])[DEFERRED]
        cls = getattr(importlib.import_module(told["module"]), told["class"])
        made = explorer(cls, **{n: told[n] for n in _TOLD}, values=told["values"])
        return f"{_OPEN}{for_script(spec_of(made))}</script>"
    return _DEFERRED.sub(whole, html)


def _paper(made: Explorer, image: bytes) -> str:
    title = f"<strong>{escape(made.title)}</strong> " if made.title else ""
    source = "data:image/png;base64," + base64.b64encode(image).decode("ascii")
    return (f'<figure class="ndl-paper"><img src="{source}" alt="{escape(made.alt)}">'
            f"<figcaption>{title}{escape(made.settings())}.<noscript> This picture trains live where JavaScript is "
            "on.</noscript></figcaption></figure>")


def _still(made: Explorer) -> bytes:
    run = made.run()
    while run.status.kind == "running":
        run.advance()
    return png(made.view(), run.frame(), width=STILL_WIDTH)


def shrink(image: bytes) -> bytes:
    """The same PNG with a palette of 128 colours: about a third of the bytes, and no visible difference in a plot."""
    from PIL import Image
    out = io.BytesIO()
    with Image.open(io.BytesIO(image)) as picture:
        picture.convert("RGB").quantize(128).save(out, format="png", optimize=True)
    return out.getvalue() if out.tell() < len(image) else image
