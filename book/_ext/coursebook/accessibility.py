"""Mends what the accessibility checker finds in the theme and in other extensions."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

# What a page's HTML has, and what it ought to have.
MENDED = {
    # The hidden name differs from the visible one, which those who speak to a browser must guess.
    '<summary aria-label="Toggle hidden content">': "<summary>",
    # A list, by its role, of what are no list items, by theirs.
    '<div role="list" class="citation-list">': '<div class="citation-list">',
}


def follow_the_reader(app: Sphinx, config: Config) -> None:
    """Start in the reader's own color scheme; unset, the theme logs an error at a first visit."""
    config.html_context.setdefault("default_mode", "auto")


def mend(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Mend the page's text; what the theme adds around it, `accessibility.js` mends."""
    for faulty, mended in MENDED.items():
        if "body" in context:
            context["body"] = context["body"].replace(faulty, mended)


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("config-inited", follow_the_reader)
    app.connect("html-page-context", mend)
    app.add_css_file("accessibility.css")
    app.add_js_file("accessibility.js", defer="defer")
