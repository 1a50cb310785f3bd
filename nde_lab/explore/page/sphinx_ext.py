"""What the book's pages need beside their text: the shared script of the widgets, plotly where a page uses it, and the
links of claims to code and chapter."""
from __future__ import annotations

import re
from functools import cache
from html import escape
from pathlib import Path

from nde_lab.explore.page import directives, embed, executions, joined

SHARED = executions.BUILD / "shared"
WIDGET_MARK, PLOTLY_MARK, LEDGER_MARK = "ndl-embed", "Plotly.newPlot", ("ndl-ledger", "ndl-papers")
_CLAIM_LINK = re.compile(r"<!--ndl:(code|chapter) (\S+) (\S+)-->")


def setup(app):
    directives.setup(app)
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
    if "<!--ndl:" in body:
        context["body"] = link_claims(context["body"], context["pathto"], set(app.env.all_docs))
    if any(mark in body for mark in LEDGER_MARK):
        app.add_js_file("ledger.js", loading_method="defer")
    if page.startswith("notebooks/"):
        app.add_js_file("slides.js", loading_method="defer")
    if PLOTLY_MARK in body:
        import plotly.offline
        _write(Path(app.outdir) / "_static" / "vendor" / "plotly.min.js", plotly.offline.get_plotlyjs())
        app.add_js_file("vendor/plotly.min.js", priority=100)


def link_claims(body: str, pathto, pages: set[str]) -> str:
    """Fill the marks of ``claims_page``: a claim's code, as the reference shows it, and the chapter that walks it.
    ``pages`` are the pages that the book has; without the reference there is no link to code."""
    def link(match) -> str:
        kind, paper, name = match.groups()
        if (paper, name) not in _homes():       # an output of an older package
            return ""
        module, chapter = _homes()[paper, name]
        if kind == "code" and f"book/api_{module.split('.')[1]}" in pages:
            address = f"{pathto('_modules/' + module.replace('.', '/'))}#{name}"
            return f' · <a href="{escape(address)}">code</a>'
        if kind == "chapter" and chapter is not None and chapter.name in pages:
            return f' · <a href="{escape(pathto(chapter.name))}">{escape(chapter.title.split(":")[0])}</a>'
        return ""
    return _CLAIM_LINK.sub(link, body)


@cache
def _homes() -> dict:
    """{(paper, claim): (module, the first chapter that prints it or None)}"""
    from nde_lab import claims
    from nde_lab.explore.page.chapters import chapters
    book = chapters()
    return {(c.paper, c.name): (home := c.function.__module__, next(
        (chapter for chapter in book if chapter.walks(paper=c.paper, module=home)), None)) for c in claims.claims()}


def _write(path: Path, text: str) -> None:
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
