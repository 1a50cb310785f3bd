"""Parts of the book that are made when it is built, as directives without content: ``nde-papers`` (the papers' table),
``nde-map`` (the map of the chapters), ``nde-timing`` (their goals and times), ``nde-api PART`` (the library's reference).
"""
from __future__ import annotations

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

from nde_lab.explore.page import api, chapter_map, papers_page
from nde_lab.explore.page.chapters import chapters, timing


class Papers(SphinxDirective):
    """The table of all papers, from ``papers.json``, the ledger of claims and what the chapters show."""

    def run(self) -> list[nodes.Node]:
        box = nodes.container(classes=["ndl-papers"])
        for name, text in papers_page.markdown().items():
            part = nodes.container(classes=["ndl-part"])
            part += [nodes.rubric("", name, **{"heading-level": 2})] if name else []
            part += self.parse_text_to_nodes(text)
            box += part
        return [box]


class Map(SphinxDirective):
    """The map of the chapters as a drawing with links."""

    def run(self) -> list[nodes.Node]:
        builder, here = self.env.app.builder, self.env.docname
        if builder.format != "html":
            return []
        return [nodes.raw("", chapter_map.html(chapters(), lambda name: builder.get_relative_uri(here, name)), format="html")]


class Timing(SphinxDirective):
    """The table of goals and times, from the chapters' heads."""

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(timing(chapters()))


class Api(SphinxDirective):
    """The reference of one part ("sdes", ...), of "ground" or of "explore"."""
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        return self.parse_text_to_nodes(api.markdown(self.arguments[0]), allow_section_headings=True)


def setup(app) -> None:
    app.add_directive("nde-papers", Papers)
    app.add_directive("nde-map", Map)
    app.add_directive("nde-timing", Timing)
    app.add_directive("nde-api", Api)
    app.connect("autodoc-process-docstring", api.plain)
