"""A widget as HTML for a page without a kernel: its still, its spec with programs or stored runs, and nothing else.

The script that brings it to life is shared by the whole book (``joined.page_script``); with ``shared=False`` it is part
of the HTML, which then stands alone in any page.
"""
from __future__ import annotations

import base64
import io
from html import escape

from nde_lab.explore.page import joined, stored
from nde_lab.explore.page.pack import for_script
from nde_lab.explore.spec import Explorer, png

STILL_WIDTH = 8.0        # inches at 110 dots
PAGE_BUDGET = 500_000    # bytes of programs or stored runs in one widget


def static_html(made: Explorer, *, still: bytes | None = None, shared: bool = True) -> str:
    """The HTML of an explorable.

    The engines are those of the experiment's plan that work in a page: "page" (trained in the reader's browser), then
    "stored". still: PNG bytes of the first setting's run (default: made here, by running it). shared: leave the scripts
    to the page (the book adds them), or carry them along.

    Raises ValueError, naming the operator, where the step cannot be lowered, and where a budget is exceeded.
    """
    wanted = [e for e in made.experiment.plan.engines if e in ("page", "stored")] or ["page"]
    extra = {}
    if "page" in wanted:
        from nde_lab.explore.page.programs import page_entry
        extra["page"] = page_entry(made)
    if "stored" in wanted:
        extra["stored"] = stored.build(made)
    spec = made.to_dict(engines=wanted) | extra
    image = shrink(still if still is not None else _still(made))
    parts = [f'<div class="ndl-embed" data-name="{escape(made.name)}">', _paper(made, image),
             f'<script type="application/json" class="ndl-spec">{for_script(spec)}</script>', "</div>"]
    if not shared:
        parts = [f"<style>{joined.page_style()}</style>", *parts,
                 f"<script>{joined.page_script()}</script>"]
    return "\n".join(parts)


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
