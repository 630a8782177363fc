"""The way through the book: its pages in reading order, and what each one needs.

A page says what it needs in the line *You need* under *What you will learn*: each page that the
line links to, and the page of each statement that it names, is a need. `{roadmap}` draws the pages
of the table of contents below one another, with an arc from a page to each that needs it, and
gives the same as a list.
"""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from coursebook.pages import minutes_of

LOGGER = logging.getLogger(__name__)
LEAD = "You need"
Target = tuple[str, str]  # what kind of thing a link leads to, and its name
WIDTH, LEFT, LINE, ROW, GAP = 350, 92, 15, 40, 12  # of the picture, in CSS pixels
COLORS = 7  # of `book.css`, one a chapter
LETTERS = 30  # of a title on one line
TITLE = "The pages of the book in reading order, and what each one needs"
ABOUT = (
    "The pages stand below one another, by chapter. An arc leads from a page to each later page "
    "that needs it, unless a page between the two says so already. The list below the picture "
    "holds all of it."
)


class RoadmapNode(nodes.General, nodes.Element):
    """Stands where the picture will stand once all pages are read."""


class RoadmapDirective(SphinxDirective):
    """`{roadmap}`: the picture of the pages and what they need, and the same as a list."""

    def run(self) -> list[nodes.Node]:
        _readers(self.env).add(self.env.docname)
        return [RoadmapNode()]


@dataclass(frozen=True)
class Stop:
    """One line of the picture: a chapter, or a page and the pages that it needs."""

    docname: str
    title: str
    number: str
    needs: tuple[str, ...] = ()
    minutes: int | None = None  # None for a chapter

    @property
    def is_page(self) -> bool:
        """Whether this is a page, and not the title of a chapter."""
        return self.minutes is not None

    @property
    def name(self) -> str:
        """Number and title, as the site shows them."""
        return f"{self.number} {self.title}".strip()


# ------------------------------------------------------------------ what pages need


def collect(app: Sphinx, document: nodes.document) -> None:
    """Note what a page that was just read says that it needs."""
    for paragraph in document.findall(nodes.paragraph):
        if paragraph.children and _is_lead(paragraph.children[0]):
            targets_of(app.env)[app.env.docname] = list(_targets(paragraph))


def _is_lead(node: nodes.Node) -> bool:
    return isinstance(node, nodes.emphasis) and node.astext() == LEAD


def _targets(paragraph: nodes.paragraph) -> Iterator[Target]:
    for link in paragraph.findall(addnodes.pending_xref):
        yield str(link["refdomain"]), str(link["reftarget"])


def targets_of(env: Any) -> dict[str, list[Target]]:
    """What the *You need* line of each page links to, by the name of the page."""
    if not hasattr(env, "coursebook_needs"):
        env.coursebook_needs = {}
    targets: dict[str, list[Target]] = env.coursebook_needs
    return targets


def _readers(env: Any) -> set[str]:
    if not hasattr(env, "coursebook_roadmaps"):
        env.coursebook_roadmaps = set()
    readers: set[str] = env.coursebook_roadmaps
    return readers


def needs(env: Any, docname: str) -> list[str]:
    """Pages that a page says that it needs, each once, in the order in which it names them."""
    found = (_page_of(env, target) for target in targets_of(env).get(docname, []))
    return list(dict.fromkeys(page for page in found if page and page != docname))


def _page_of(env: Any, target: Target) -> str | None:
    domain, name = target
    if domain == "doc":
        return name if name in env.found_docs else None
    if domain == "prf":
        return getattr(env, "proof_list", {}).get(name, {}).get("docname")
    labels = env.get_domain("std").anonlabels
    return labels[name][0] if name in labels else None


# ------------------------------------------------------------------ the picture's content


def stops(env: BuildEnvironment) -> list[Stop]:
    """Chapters and their pages in reading order; a chapter without pages is left out."""
    pages = {docname for docname in minutes_of(env) if docname in env.found_docs}
    found: list[Stop] = []
    for docname in reading_order(env):
        if docname in pages:
            text, _ = minutes_of(env)[docname]
            found.append(_stop(env, docname, tuple(needs(env, docname)), text))
        elif pages & set(env.toctree_includes.get(docname, [])):
            found.append(_stop(env, docname))
    return [stop for stop in found if stop.docname != env.config.root_doc]


def _stop(
    env: BuildEnvironment, docname: str, needed: tuple[str, ...] = (), minutes: int | None = None
) -> Stop:
    number = env.toc_secnumbers.get(docname, {}).get("", ())
    shown = ".".join(map(str, number)) + "." if number else ""
    return Stop(docname, env.titles[docname].astext(), shown, needed, minutes)


def reading_order(env: BuildEnvironment) -> list[str]:
    """All pages, in the order of the table of contents."""
    order: list[str] = []

    def visit(docname: str) -> None:
        if docname not in order:
            order.append(docname)
            for child in env.toctree_includes.get(docname, []):
                visit(child)

    visit(env.config.root_doc)
    return order


def backward(route: Sequence[Stop]) -> list[tuple[Stop, str]]:
    """Needs that no reader who begins at the front can have met: pages that come later."""
    place = {stop.docname: i for i, stop in enumerate(route)}
    return [
        (stop, needed)
        for i, stop in enumerate(route)
        for needed in stop.needs
        if place.get(needed, -1) > i
    ]


def direct(route: Sequence[Stop]) -> dict[str, list[str]]:
    """For each page the pages it needs, without those that another one of them needs in turn."""
    needed = {stop.docname: list(stop.needs) for stop in route if stop.is_page}
    known: dict[str, set[str]] = {}
    for page in needed:  # in reading order: what a page needs stands before it
        below = (known.get(other, set()) | {other} for other in needed[page])
        known[page] = set().union(*below)
    return {
        page: [
            other
            for other in others
            if other in needed and not any(other in known.get(third, ()) for third in others)
        ]
        for page, others in needed.items()
    }


# ------------------------------------------------------------------ drawing it


def picture(route: Sequence[Stop], address: Mapping[str, str]) -> str:
    """The pages and arcs as inline SVG, narrow enough for a phone, in the page's own colors.

    Parameters
    ----------
    route
        Chapters and pages, in reading order.
    address
        For each of them, where its link leads.
    """
    heights = _heights(route)
    middle = {stop.docname: y for stop, y in zip(route, heights, strict=True)}
    order = {stop.docname: i for i, stop in enumerate(route)}
    color = {stop.docname: _color(stop) for stop in route}
    arcs = [(a, b) for b, others in direct(route).items() for a in others]
    longest = max((order[b] - order[a] for a, b in arcs), default=1)
    lines = [
        _arc(middle[a], middle[b], (order[b] - order[a]) / longest)
        + f' class="n{order[a]} n{order[b]} c{color[a]}"/>'
        for a, b in arcs
    ]
    names = [
        _name(stop, y, i, color[stop.docname], address[stop.docname])
        for i, (stop, y) in enumerate(zip(route, heights, strict=True))
    ]
    height = round(heights[-1] + ROW) if heights else ROW
    return "\n".join(
        [
            f'<svg class="roadmap" viewBox="0 0 {WIDTH} {height}" role="group" '
            'aria-labelledby="roadmap-title" aria-describedby="roadmap-about">',
            f'<title id="roadmap-title">{TITLE}</title><desc id="roadmap-about">{ABOUT}</desc>',
            f"<style>{_highlights(order[stop.docname] for stop in route if stop.is_page)}</style>",
            f'<g class="arcs">{"".join(lines)}</g>',
            *names,
            "</svg>",
        ]
    )


def _heights(route: Iterable[Stop]) -> list[float]:
    """Where the middle of each line stands; a gap sets chapters off."""
    found: list[float] = []
    y = -ROW / 2
    for stop in route:
        y += ROW if stop.is_page or not found else ROW + GAP
        found.append(y)
    return found


def _color(stop: Stop) -> int:
    """Which color a page and its arcs have: one a chapter, by its number."""
    first = stop.number.partition(".")[0]
    return int(first) % COLORS if first.isdigit() else 0


def _arc(start: float, end: float, share: float) -> str:
    """An arc to the left; the longer its way, the wider."""
    reach = LEFT - 10 - (LEFT - 14) * (0.22 + 0.78 * share**0.6) * 4 / 3
    curve = f"{reach:.0f} {start:g} {reach:.0f} {end:g} {LEFT - 9} {end:g}"
    return f'<path d="M{LEFT - 7} {start:g}C{curve}"'


def _name(stop: Stop, y: float, index: int, color: int, address: str) -> str:
    """A linked title, with a dot before a page's; what a finger meets is as high as the line."""
    lines = textwrap.wrap(stop.name, LETTERS)
    left, x = LEFT - 8, LEFT + 14 if stop.is_page else LEFT - 5
    first = y + 5 - LINE / 2 * (len(lines) - 1)
    spans = "".join(
        f'<tspan x="{x}" y="{first + LINE * i:g}">{html.escape(line)}</tspan>'
        for i, line in enumerate(lines)
    )
    area = f'<rect x="{left}" y="{y - ROW / 2:g}" width="{WIDTH - left}" height="{ROW}"/>'
    dot = f'<circle cx="{LEFT}" cy="{y:g}" r="5" class="c{color}"/>' if stop.is_page else ""
    return (
        f'<a href="{html.escape(address)}" class="{"page" if stop.is_page else "chapter"}" '
        f'id="roadmap-{index}">{area}{dot}<text>{spans}</text></a>'
    )


def _highlights(indices: Iterable[int]) -> str:
    """Rules by which a page under the pointer or the keyboard shows its own arcs alone."""
    return "".join(
        f".roadmap:has(#roadmap-{i}:is(:hover,:focus-visible)) .arcs path:not(.n{i}){{opacity:.1}}"
        for i in indices
    )


def as_list(route: Sequence[Stop], address: Mapping[str, str]) -> nodes.bullet_list:
    """The pages, minutes to read and all that each one needs, linked."""
    names = {stop.docname: stop for stop in route}
    result = nodes.bullet_list()
    for stop in (stop for stop in route if stop.is_page):
        line = nodes.paragraph("", "", _link(stop.name, address[stop.docname]))
        line += nodes.Text(f" ({stop.minutes} minutes)")
        needed = [names[other] for other in stop.needs if other in names]
        for i, other in enumerate(needed):
            line += nodes.Text(", " if i else ": needs ")
            line += _link(other.number.rstrip(".") or other.title, address[other.docname])
        result += nodes.list_item("", line)
    return result


def _link(text: str, address: str) -> nodes.reference:
    return nodes.reference(text, text, internal=True, refuri=address)


# ------------------------------------------------------------------ in the build


def rewrite(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Pages with the picture are written again; a need that comes later is a fault."""
    for stop, needed in backward(stops(env)):
        LOGGER.warning("needs the page %s, which comes later", needed, location=stop.docname)
    return sorted(_readers(env) & env.found_docs)


def resolve(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Put picture and list in their place."""
    for node in list(document.findall(RoadmapNode)):
        route = stops(app.env)
        address = {s.docname: app.builder.get_relative_uri(docname, s.docname) for s in route}
        parts: list[nodes.Node] = [as_list(route, address)]
        if app.builder.format == "html":
            fold = '<details class="roadmap-list"><summary>The same as a list</summary>'
            svg = picture(route, address)
            parts = [_raw(svg), _raw(fold), *parts, _raw("</details>")]
        node.replace_self(parts)


def _raw(text: str) -> nodes.raw:
    return nodes.raw("", text, format="html")


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the needs of a page that is read again or gone."""
    targets_of(env).pop(docname, None)
    _readers(env).discard(docname)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    """Take over what a parallel reader found."""
    theirs = targets_of(other)
    targets_of(env).update({name: theirs[name] for name in docnames if name in theirs})
    _readers(env).update(_readers(other) & docnames)


def setup(app: Sphinx) -> None:
    """Register directive and events."""
    app.add_node(RoadmapNode)
    app.add_directive("roadmap", RoadmapDirective)
    app.connect("doctree-read", collect)
    app.connect("env-get-updated", rewrite, priority=950)  # when all numbers are given
    app.connect("doctree-resolved", resolve)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
