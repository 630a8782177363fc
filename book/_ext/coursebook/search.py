"""The search: it knows statements by their names, and sets the formulas in what it finds."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from coursebook.statements import pages_of


def name_in_search(app: Sphinx) -> list[tuple[str, dict[str, Any], str]]:
    """Let the search know statements and exercises by their names alone; adds no pages.

    Sphinx has indexed their titles as they stand, in parentheses and with cited works. Its search
    compares a query with whole titles, and takes one of which the query is at least half.
    """
    indexer = getattr(app.builder, "indexer", None)
    if indexer is None:
        return []
    for docname, page in pages_of(app.env).items():
        names = {statement.label: statement.title for statement in page.statements}
        titles = indexer._all_titles.get(docname, ())
        named = [(names.get(target) or _bare(title), target) for title, target in titles]
        indexer._all_titles[docname] = [(title, target) for title, target in named if title]
    return []


def _bare(title: str) -> str:
    inside = title.startswith(" (") and title.endswith(")")
    return title[2:-1] if inside else title.strip()


def set_formulas(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Give the page of results a script of its own."""
    if page == "search":
        app.add_js_file("search.js", loading_method="defer")


def load_mathjax(app: Sphinx, env: BuildEnvironment) -> None:
    """Have Sphinx load MathJax on the page of results, as on a page with formulas."""
    env.get_domain("math").data["has_equations"]["search"] = True


def setup(app: Sphinx) -> None:
    """Register events."""
    app.connect("html-collect-pages", name_in_search)
    app.connect("env-updated", load_mathjax)
    app.connect("html-page-context", set_formulas)
