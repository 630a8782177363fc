"""The directive `{syllabus}`: a plan of lessons, whose minutes come from the pages themselves.

Each line of its content is one meeting: the names of pages under `book/`, separated by commas. An
argument names the meetings (`Week`, say). The table is filled in once all pages are read;
a plan that puts a page before one that it needs is an error.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from coursebook.pages import minutes_of
from coursebook.roadmap import needs

FOLDER = "book/"


class SyllabusNode(nodes.General, nodes.Element):
    """Stands where the plan will stand once all pages are read."""


class SyllabusDirective(SphinxDirective):
    """`{syllabus} Week`: a table of meetings, their pages, and the minutes that these take."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        source, line = self.get_source_info()
        if not self.content:
            raise self.error("a syllabus has no content: write a line of pages for each meeting")
        meetings = [
            [FOLDER + name.strip() for name in text.split(",")]
            for text in self.content
            if text.strip()
        ]
        _readers(self.env).add(self.env.docname)
        node = SyllabusNode(name=self.arguments[0], meetings=meetings, where=f"{source}:{line}")
        return [node]


def _readers(env: Any) -> set[str]:
    if not hasattr(env, "coursebook_syllabi"):
        env.coursebook_syllabi = set()
    readers: set[str] = env.coursebook_syllabi
    return readers


def rewrite(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Pages with a syllabus are written again whenever any page was read."""
    return sorted(_readers(env) & env.found_docs)


def resolve(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Put the table in its place."""
    for node in list(document.findall(SyllabusNode)):
        _insist(app.env, node)
        rows = [
            _row(app, docname, number, pages) for number, pages in enumerate(node["meetings"], 1)
        ]
        headings = (node["name"], "Pages", "Read", "Proofs", "Exercises")
        head = [nodes.inline("", text) for text in headings]
        group = nodes.tgroup("", *(nodes.colspec(colwidth=w) for w in (1, 6, 1, 1, 1)), cols=5)
        group += nodes.thead("", _line(head))
        group += nodes.tbody("", *(_line(row) for row in [*rows, _sum(app, node["meetings"])]))
        node.replace_self(nodes.table("", group, classes=["syllabus"]))


def _insist(env: BuildEnvironment, node: SyllabusNode) -> None:
    """Refuse pages that are none, and a page that stands before one that it needs."""
    order = [page for meeting in node["meetings"] for page in meeting]
    for page in order:
        name = page.removeprefix(FOLDER)
        if page not in minutes_of(env):
            raise ExtensionError(
                f"{node['where']}: the syllabus names {name!r}, which is no page with {{page-info}}"
            )
        late = [x for x in needs(env, page) if x in order and order.index(x) > order.index(page)]
        if late:
            raise ExtensionError(
                f"{node['where']}: the syllabus has {name!r} before "
                f"{late[0].removeprefix(FOLDER)!r}, which it needs"
            )


def _row(app: Sphinx, syllabus: str, number: int, pages: list[str]) -> list[nodes.Node]:
    links = nodes.inline()
    for page in pages:
        if links.children:
            links += nodes.Text("; ")
        uri = app.builder.get_relative_uri(syllabus, page)
        links += nodes.reference("", _title(app.env, page), internal=True, refuri=uri)
    return [nodes.inline("", str(number)), links, *_counts(app, pages)]


def _sum(app: Sphinx, meetings: list[list[str]]) -> list[nodes.Node]:
    every = list(dict.fromkeys(page for meeting in meetings for page in meeting))
    count = "1 page" if len(every) == 1 else f"{len(every)} pages"
    return [nodes.inline("", "all"), nodes.inline("", count), *_counts(app, every)]


def _counts(app: Sphinx, pages: list[str]) -> list[nodes.Node]:
    text, proofs = (sum(minutes_of(app.env)[page][i] for page in pages) for i in (0, 1))
    numbered = app.env.toc_fignumbers
    exercises = sum(len(numbered.get(page, {}).get("exercise", {})) for page in pages)
    return [nodes.inline("", told) for told in (_time(text), _time(proofs), str(exercises))]


def _time(minutes: int) -> str:
    """Minutes as one says them: "45 min", "2 h", "2 h 5 min", and nothing for none."""
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours} h"] * bool(hours) + [f"{rest} min"] * bool(rest)
    return " ".join(parts)


def _title(env: BuildEnvironment, page: str) -> str:
    number = env.toc_secnumbers.get(page, {}).get("", ())
    return " ".join([".".join(map(str, number)), env.titles[page].astext()]).strip()


def _line(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page that is read again or gone."""
    _readers(env).discard(docname)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    """Take over what a parallel reader found."""
    _readers(env).update(_readers(other) & docnames)


def setup(app: Sphinx) -> None:
    """Register directive and events."""
    app.add_node(SyllabusNode)
    app.add_directive("syllabus", SyllabusDirective)
    app.connect("env-updated", rewrite)
    app.connect("doctree-resolved", resolve)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
