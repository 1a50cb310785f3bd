"""Widgets in a page without a kernel: the page engine (trained now, in the reader's browser) and the stored engine."""
from __future__ import annotations

__all__ = ["static_html"]


def static_html(made, *, still: bytes | None = None, shared: bool = True) -> str:
    """The HTML of an ``Explorer``; see ``nde_lab.explore.page.embed.static_html``."""
    from nde_lab.explore.page import embed      # the lowering's machinery is heavy, and most importers never need it
    return embed.static_html(made, still=still, shared=shared)
