"""The index of statements: every definition, lemma, theorem and so on of the book, by chapter.

`{statements}` lists them with links to the statement, to the cells that test it (their option
`witness` names it), and to the exercises that use it: those whose text, hint or solution refers to
it. All of this is collected when a page is read, forgotten when it is purged, and laid out once
every page has its numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from coursebook.cells import is_code
from coursebook.markdown import is_exercise, is_solution, is_statement

HEADINGS = ("Statement", "Name", "Witnesses", "Exercises")
NO_CHAPTER = "Outside the chapters"
SPACE = "\N{NO-BREAK SPACE}"


@dataclass(frozen=True)
class Statement:
    """One statement; its name is a run of texts and formulas, without the works that it cites."""

    label: str
    kind: str
    counter: str
    name: tuple[tuple[type[nodes.TextElement], str], ...]

    @property
    def title(self) -> str:
        """Its name as one would type it into the search: "W1 on the line"."""
        text = "".join(text for _, text in self.name).replace("’", "'")
        return re.sub(r"[\\{}_^]", "", text)


@dataclass
class Page:
    """What a page has: statements, and pairs of a statement's label and what tests or uses it."""

    statements: list[Statement] = field(default_factory=list)
    witnesses: list[tuple[str, str]] = field(default_factory=list)  # with the id of a cell
    uses: list[tuple[str, str]] = field(default_factory=list)  # with the label of an exercise


class StatementsNode(nodes.General, nodes.Element):
    """Stands where the index will stand once all pages are read and numbered."""


class StatementsDirective(SphinxDirective):
    """`{statements}`: the index of all statements."""

    def run(self) -> list[nodes.Node]:
        _readers(self.env).add(self.env.docname)
        # Names hold formulas; Sphinx loads MathJax on pages in which it reads one.
        return [StatementsNode("", nodes.math("", "x"))]


def collect(app: Sphinx, document: nodes.document) -> None:
    """Take the statements of a page that was just read, and give their witnesses anchors."""
    page = Page()
    for cell in document.findall(is_code):
        options = cell["cell_metadata"]
        if "witness" in options:
            page.witnesses.append((options["witness"], options["id"]))
            cell["ids"].append(anchor(options["id"]))
    page.statements = [_statement(node) for node in document.findall(is_statement)]
    page.uses = list(dict.fromkeys(_uses(document)))
    if page.statements or page.witnesses or page.uses:
        pages_of(app.env)[app.env.docname] = page


def anchor(cell: str) -> str:
    """Anchor of a cell that tests a statement."""
    return f"cell-{cell}"


def _statement(node: nodes.Element) -> Statement:
    name: list[tuple[type[nodes.TextElement], str]] = []
    for child in node[0].children:  # sphinx-proof puts all of it in parentheses
        if isinstance(child, nodes.math):
            name.append((nodes.math, child.astext()))
        elif not isinstance(child, pending_xref):  # a cited work, which stands last
            name.append((nodes.inline, child.astext()))
    if name and name[0][0] is nodes.inline:
        name[0] = nodes.inline, name[0][1].removeprefix(" (")
    if name and name[-1][0] is nodes.inline:
        name[-1] = nodes.inline, name[-1][1].removesuffix(")")
    kept = [part for part in name if part[1]]
    if kept:
        kept[-1] = kept[-1][0], kept[-1][1].rstrip()
    return Statement(node["label"], node["realtype"], node["countertype"], tuple(kept))


def _uses(document: nodes.document) -> Iterator[tuple[str, str]]:
    """Pairs of a statement that an exercise, its hint or its solution refers to, and its label."""
    for node in document.findall(nodes.Element):
        label = _exercise_of(node)
        for reference in node.findall(pending_xref) if label else ():
            if reference["refdomain"] == "prf":
                yield reference["reftarget"], label


def _exercise_of(node: nodes.Element) -> str:
    """Label of the exercise that a block is part of, "" where it is none."""
    if is_exercise(node):
        return str(node["label"])
    if is_solution(node):
        return str(node["target_label"])
    if isinstance(node, nodes.hint):
        before = node.parent.children[: node.parent.index(node)]
        return next((str(n["label"]) for n in reversed(before) if is_exercise(n)), "")
    return ""


def pages_of(env: BuildEnvironment) -> dict[str, Page]:
    """What each page has."""
    if not hasattr(env, "coursebook_statements"):
        env.coursebook_statements = {}  # type: ignore[attr-defined]
    pages: dict[str, Page] = env.coursebook_statements  # type: ignore[attr-defined]
    return pages


def _readers(env: BuildEnvironment) -> set[str]:
    if not hasattr(env, "coursebook_statement_indexes"):
        env.coursebook_statement_indexes = set()  # type: ignore[attr-defined]
    readers: set[str] = env.coursebook_statement_indexes  # type: ignore[attr-defined]
    return readers


def rewrite(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Pages with an index are written again with every build, and labels are checked."""
    known = {s.label for page in pages_of(env).values() for s in page.statements}
    for docname, page in pages_of(env).items():
        for label, cell in page.witnesses:
            if label not in known:
                raise ExtensionError(
                    f"{docname}: the cell {cell!r} is a witness of {label!r}, and no statement of "
                    "the book has this label"
                )
    return sorted(_readers(env) & env.found_docs)


def resolve(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Put the index in its place."""
    for node in list(document.findall(StatementsNode)):
        node.replace_self(_Index(app, docname).write())


class _Index:
    """Lays the index out on one page."""

    def __init__(self, app: Sphinx, docname: str) -> None:
        self.app, self.env, self.docname = app, app.env, docname
        self.pages = pages_of(app.env)
        self.witnesses = self._by_statement(lambda page: page.witnesses)
        self.uses = self._by_statement(lambda page: page.uses)

    def _section(self, docname: str) -> tuple[int, ...]:
        return tuple(self.env.toc_secnumbers.get(docname, {}).get("", ()))

    def _ordered(self) -> list[str]:
        """Pages in reading order, those without a number last."""
        return sorted(self.pages, key=lambda name: (not self._section(name), self._section(name)))

    def _by_statement(
        self, pairs: Callable[[Page], list[tuple[str, str]]]
    ) -> dict[str, list[tuple[str, str]]]:
        """For each statement's label the pages and names of what tests or uses it."""
        found: dict[str, list[tuple[str, str]]] = {}
        for docname in self._ordered():
            for label, name in pairs(self.pages[docname]):
                found.setdefault(label, []).append((docname, name))
        return found

    def write(self) -> list[nodes.Node]:
        """Write a line that leads to the chapters, and a section for each."""
        sections = []
        for chapter, docnames in groupby(self._ordered(), lambda name: self._section(name)[:1]):
            rows = [
                self._row(docname, statement)
                for docname in docnames
                for statement in self.pages[docname].statements
            ]
            if rows:
                sections.append(self._chapter(chapter, rows))
        if not sections:
            return [nodes.paragraph("", "No statements yet.")]
        lead = nodes.paragraph()
        for section in sections:
            lead += nodes.Text(" · " if len(lead) else "")
            text = section[0].astext()
            lead += nodes.reference(text, text, internal=True, refuri=f"#{section['ids'][0]}")
        return [lead, *sections]

    def _chapter(self, chapter: tuple[int, ...], rows: list[list[nodes.Node]]) -> nodes.section:
        titles = self.env.titles
        named = [t.astext() for name, t in titles.items() if self._section(name) == chapter != ()]
        title = f"{chapter[0]}. {named[0] if named else ''}".strip() if chapter else NO_CHAPTER
        identity = f"chapter-{chapter[0]}" if chapter else "no-chapter"
        return nodes.section("", nodes.title("", title), _table(rows), ids=[identity])

    def _row(self, docname: str, statement: Statement) -> list[nodes.Node]:
        number = self._number(docname, statement.counter, statement.label)
        text = SPACE.join([statement.kind.title(), *number])
        name = [kind(text, text) for kind, text in statement.name]
        cells = self.witnesses.get(statement.label, [])
        tests = [
            self._link(page, anchor(cell), nodes.literal("", cell.removeprefix(f"{_stem(page)}-")))
            for page, cell in cells
        ]
        uses = [
            self._link(page, label, nodes.inline("", self._number(page, "exercise", label)[0]))
            for page, label in self.uses.get(statement.label, [])
            if self._number(page, "exercise", label)
        ]
        return [
            self._link(docname, statement.label, nodes.inline("", text)),
            nodes.inline("", "", *name),
            _series(tests),
            _series(uses),
        ]

    def _number(self, docname: str, counter: str, label: str) -> list[str]:
        """The number as a list of one, empty where there is none."""
        numbers: dict[str, Any] = self.env.toc_fignumbers.get(docname, {}).get(counter, {})
        return [".".join(map(str, numbers[label]))] if label in numbers else []

    def _link(self, page: str, target: str, text: nodes.Node) -> nodes.reference:
        uri = self.app.builder.get_relative_uri(self.docname, page)
        return nodes.reference("", "", text, internal=True, refuri=f"{uri}#{target}")


def _stem(docname: str) -> str:
    return docname.rpartition("/")[2]


def _series(items: list[nodes.reference]) -> nodes.inline:
    run = nodes.inline()
    for item in items:
        run += nodes.Text(", " if len(run) else "")
        run += item
    return run


def _table(rows: list[list[nodes.Node]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in HEADINGS), cols=len(HEADINGS))
    group += nodes.thead("", _line([nodes.inline("", text) for text in HEADINGS]))
    group += nodes.tbody("", *(_line(row) for row in rows))
    return nodes.table("", group, classes=["statements"])


def _line(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page that is read again or gone."""
    pages_of(env).pop(docname, None)
    _readers(env).discard(docname)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    """Take over what a parallel reader found."""
    theirs = pages_of(other)
    pages_of(env).update({name: theirs[name] for name in docnames if name in theirs})
    _readers(env).update(_readers(other) & docnames)


def setup(app: Sphinx) -> None:
    """Register directive and events."""
    app.add_node(StatementsNode)
    app.add_directive("statements", StatementsDirective)
    app.connect("doctree-read", collect)
    app.connect("env-updated", rewrite)
    app.connect("doctree-resolved", resolve)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
