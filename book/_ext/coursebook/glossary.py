"""Terms of the glossary, linked at their first use on each page of the site.

The glossary is Sphinx's own directive, and a definition may hold the role `{also}` with other
spellings of its term, such as its plural. They are collected when the glossary is read. On each
page the first occurrence of each term in the running text becomes a link. An initial may be small
or large, all else must be as spelled. Notebooks keep the plain text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxRole
from sphinx_exercise.nodes import solution_node

from coursebook.markdown import component

# Where no link is made: titles and captions, links, code, formulas, tables, and the like.
NOT_RUNNING_TEXT = (
    nodes.title,
    nodes.subtitle,
    nodes.rubric,
    nodes.caption,
    nodes.reference,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.table,
    nodes.term,
    nodes.citation,
    nodes.footnote,
    nodes.footnote_reference,
    nodes.tip,
    nodes.hint,
    nodes.Invisible,
    addnodes.glossary,
    addnodes.pending_xref,
    addnodes.toctree,
    solution_node,
)
Terms = dict[str, tuple[str, str]]


class Spellings(nodes.Inline, nodes.Element):
    """Other spellings of a term; it is gone when its page has been read."""


class AlsoRole(SphinxRole):
    """`{also}` with spellings, separated by commas: links are made of these, too."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        spellings = [spelling.strip() for spelling in self.text.split(",")]
        return [Spellings(spellings=[s for s in spellings if s])], []


def collect(app: Sphinx, document: nodes.document) -> None:
    """Take the terms of a glossary that was just read."""
    docname = app.env.docname
    terms: Terms = {}
    for item in document.findall(nodes.definition_list_item):
        if isinstance(item.parent.parent, addnodes.glossary):
            for spelling, target in _spellings(item):
                if _key(spelling) in terms:
                    raise ExtensionError(f"{docname}: two terms are spelled {spelling!r}")
                terms[_key(spelling)] = docname, target
    if any(document.findall(Spellings)):
        raise ExtensionError(f"{docname}: the role also stands outside of a glossary's definition")
    if terms:
        _by_page(app.env)[docname] = terms


def _spellings(item: nodes.Element) -> Iterator[tuple[str, str]]:
    """Spellings of one entry with its anchor; the roles that gave them are removed."""
    named = [child for child in item.children if isinstance(child, nodes.term)]
    for term in named:
        yield term.astext(), term["ids"][0]
    for node in list(item.findall(Spellings)):
        yield from ((spelling, named[0]["ids"][0]) for spelling in node["spellings"])
        node.parent.remove(node)


def _by_page(env: BuildEnvironment) -> dict[str, Terms]:
    if not hasattr(env, "coursebook_terms"):
        env.coursebook_terms = {}  # type: ignore[attr-defined]
    terms: dict[str, Terms] = env.coursebook_terms  # type: ignore[attr-defined]
    return terms


def terms_of(env: BuildEnvironment) -> Terms:
    """For each spelling, with a small initial, the glossary's page and the term's anchor.

    Raises
    ------
    ExtensionError
        If two glossaries spell a term alike.
    """
    terms: Terms = {}
    for docname, found in sorted(_by_page(env).items()):
        if twice := sorted(set(found) & set(terms)):
            raise ExtensionError(f"{docname}: another glossary has the terms {twice}, too")
        terms |= found
    return terms


def rewrite(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Every page is written again when a term came, went or moved; its meaning is not copied."""
    terms = terms_of(env)
    if app.builder.format != "html" or terms == getattr(env, "coursebook_terms_linked", {}):
        return ()
    env.coursebook_terms_linked = terms  # type: ignore[attr-defined]
    return sorted(env.found_docs)


def pattern(spellings: Iterable[str]) -> re.Pattern[str]:
    """Pattern of whole words, the longest first; an initial letter may be small or large."""
    longest_first = sorted(spellings, key=lambda spelling: (-len(spelling), spelling))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(_spelled, longest_first))})(?![\w-])")


def _spelled(spelling: str) -> str:
    first, rest = spelling[0], spelling[1:]
    initial = f"[{first.lower()}{first.upper()}]" if first.isalpha() else re.escape(first)
    return initial + re.escape(rest).replace("'", "['’]")


class TermLinks(SphinxPostTransform):
    """Link each term at its first occurrence in the running text of a page."""

    default_priority = 100  # after references are resolved, before sphinx-design rewrites folds
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        docname = self.env.docname
        terms = {key: place for key, place in terms_of(self.env).items() if place[0] != docname}
        if not terms:
            return
        words = pattern(terms)
        seen: set[tuple[str, str]] = set()
        for text in list(_running_text(self.document)):
            pieces: list[nodes.Node] = []
            end = 0
            for match in words.finditer(text):
                place = terms[_key(match[0])]
                if place not in seen:
                    seen.add(place)
                    pieces += [nodes.Text(text[end : match.start()]), self._link(match[0], place)]
                    end = match.end()
            if pieces:
                text.parent.replace(text, [*pieces, nodes.Text(text[end:])])

    def _link(self, text: str, place: tuple[str, str]) -> nodes.reference:
        page, target = place
        uri = self.app.builder.get_relative_uri(self.env.docname, page)
        uri = f"{uri}#{target}"
        return nodes.reference(text, text, internal=True, refuri=uri, classes=["term-link"])


def _key(text: str) -> str:
    """What is the same for a spelling and for its occurrences."""
    text = text.replace("’", "'")
    return text[:1].lower() + text[1:]


def _running_text(node: nodes.Node) -> Iterator[nodes.Text]:
    """Texts in which links are made, in order; what is folded away is left out."""
    if isinstance(node, nodes.Text):
        yield node
    elif not isinstance(node, NOT_RUNNING_TEXT) and not _is_set_apart(node):
        for child in node.children:
            yield from _running_text(child)


def _is_set_apart(node: nodes.Node) -> bool:
    """Whether this is a code cell, a fold, a box of class tip, or a line on the page itself."""
    assert isinstance(node, nodes.Element)
    classes = set(node.get("classes", ()))
    cell = node.get("nb_element") in {"cell_code", "mime_bundle"}
    return cell or component(node) == "dropdown" or bool(classes & {"tip", "dropdown", "page-info"})


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the terms of a page that is read again or gone."""
    _by_page(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    """Take over what a parallel reader found."""
    theirs = _by_page(other)
    _by_page(env).update({name: theirs[name] for name in docnames if name in theirs})


def setup(app: Sphinx) -> None:
    """Register role, transform and events."""
    app.add_node(Spellings)
    app.add_role("also", AlsoRole())
    app.add_post_transform(TermLinks)
    app.connect("doctree-read", collect)
    app.connect("env-updated", rewrite)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
