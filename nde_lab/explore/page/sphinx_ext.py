"""What the book's pages need beside their text: the shared script of the widgets, and plotly where a page uses it."""
from __future__ import annotations

from pathlib import Path

from nde_lab.explore.page import embed, executions, joined

SHARED = executions.BUILD / "shared"
WIDGET_MARK, PLOTLY_MARK = "ndl-embed", "Plotly.newPlot"


def setup(app):
    app.connect("builder-inited", write_shared)
    app.connect("html-page-context", add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}


def write_shared(app) -> None:
    """Files shared by all pages of the book, made from the package that builds it."""
    if app.builder.format != "html":
        return
    _write(SHARED / "nde_lab" / "widgets.js", joined.page_script())
    _write(SHARED / "nde_lab" / "widgets.css", joined.page_style())
    app.config.html_static_path = [*app.config.html_static_path, str(SHARED)]


def add_scripts(app, page, template, context, doctree) -> None:
    """A page without widgets loads nothing for them."""
    body = context.get("body") or ""
    if WIDGET_MARK in body:
        context["body"] = embed.fill(body)
        app.add_js_file("nde_lab/widgets.js", priority=600, loading_method="defer")
        app.add_css_file("nde_lab/widgets.css")
    if PLOTLY_MARK in body:
        import plotly.offline
        _write(Path(app.outdir) / "_static" / "vendor" / "plotly.min.js", plotly.offline.get_plotlyjs())
        app.add_js_file("vendor/plotly.min.js", priority=100)


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
