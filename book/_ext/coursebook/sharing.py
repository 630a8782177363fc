"""What other sites see of the book: each page's address, title, description and card; a sitemap.

Every address is derived from the repository's in `_config.yml`. One card, `_static/card.png`,
stands for the whole book; `tools/social_card.py` draws it.
"""

from __future__ import annotations

import html
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from sphinx.application import Sphinx

from coursebook.address import site_url
from coursebook.colophon import last_change

CARD = "_static/card.png"
CARD_ALT = "The density of the data, that of a generator, and the title: GANs in theory, hands on"
LONGEST = 200  # characters of a description
SITEMAP = "http://www.sitemaps.org/schemas/sitemap/0.9"


def description(document: nodes.document) -> str:
    """What a page begins with: its first paragraph of plain words, cut at a word's end."""
    first = list(itertools.islice(_paragraphs(document), 5))
    plain = [paragraph for paragraph in first if not any(paragraph.findall(nodes.math))]
    chosen = next(iter(plain or first), None)
    text = " ".join(chosen.astext().split()) if chosen is not None else ""
    if len(text) <= LONGEST:
        return text
    return text[:LONGEST].rsplit(" ", 1)[0].rstrip(",;:") + " …"


def _paragraphs(document: nodes.document) -> Iterator[nodes.paragraph]:
    """Paragraphs of the running text, outside of boxes and lists."""
    return (
        paragraph
        for paragraph in document.findall(nodes.paragraph)
        if isinstance(paragraph.parent, nodes.section) and "page-info" not in paragraph["classes"]
    )


def tags(config: Any, page: str, title: str, about: str) -> str:
    """The tags by which other sites show a link to a page (the Open Graph protocol)."""
    site = site_url(config)
    is_root = page == config.root_doc
    properties = {
        "og:title": title,
        "og:type": "website" if is_root else "article",
        "og:url": f"{site}{page}.html",
        "og:site_name": config.html_title,
        "og:description": about,
        "og:image": site + CARD,
        "og:image:alt": CARD_ALT,
    }
    names = {"description": about, "twitter:card": "summary_large_image"}
    lines = [_tag("property", *item) for item in properties.items() if item[1]]
    lines += [_tag("name", *item) for item in names.items() if item[1]]
    return "\n".join(lines) + "\n"


def _tag(kind: str, name: str, content: str) -> str:
    return f'<meta {kind}="{name}" content="{html.escape(content)}" />'


def add_tags(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Tell a page's address and what it is about."""
    if doctree is not None:
        title = app.env.titles[page].astext()
        context["pageurl"] = f"{site_url(app.config)}{page}.html"
        context["metatags"] += tags(app.config, page, title, description(doctree))


def write_sitemap(app: Sphinx, error: Exception | None) -> None:
    """List all pages for search engines, those that this build did not write again included."""
    if error is not None or app.builder.name != "html":
        return
    ElementTree.register_namespace("", SITEMAP)
    root = ElementTree.Element(f"{{{SITEMAP}}}urlset")
    for docname in sorted(app.env.found_docs):
        entry = ElementTree.SubElement(root, f"{{{SITEMAP}}}url")
        address = f"{site_url(app.config)}{docname}.html"
        ElementTree.SubElement(entry, f"{{{SITEMAP}}}loc").text = address
        date = last_change(app.env, docname)
        if date:
            ElementTree.SubElement(entry, f"{{{SITEMAP}}}lastmod").text = date
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode", xml_declaration=True)
    Path(app.outdir, "sitemap.xml").write_text(text + "\n", encoding="utf-8")


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("html-page-context", add_tags, priority=900)
    app.connect("build-finished", write_sitemap)
