"""A resolved page as a run of notebook cells, for the student or with solutions."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, TypeGuard

from docutils import nodes
from sphinx.errors import ExtensionError

from .inline import line_of
from .markdown import (
    RULE,
    MarkdownWriter,
    is_exercise,
    is_proof,
    is_solution,
    is_statement,
    join,
)

ID_LIMIT = 64
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_FOLDED = {"hide-input", "hide-cell", "remove-input", "remove-cell"}


@dataclass(frozen=True)
class SourceCell:
    """A code cell as it stands in the page's source."""

    index: int
    line: int
    id: str
    source: str
    tags: tuple[str, ...] = ()


@dataclass
class Cell:
    """A cell of the notebook to be written."""

    kind: str
    id: str
    source: str
    tags: tuple[str, ...] = ()
    outputs: list[Any] = field(default_factory=list)
    execution_count: int | None = None

    @property
    def metadata(self) -> dict[str, Any]:
        """Metadata of the cell: its tags, and whether its source starts folded."""
        metadata: dict[str, Any] = {"tags": list(self.tags)} if self.tags else {}
        if _FOLDED & set(self.tags):
            metadata["jupyter"] = {"source_hidden": True}
        return metadata


def read_cells(notebook: Any, where: str) -> list[SourceCell]:
    """Read a page's code cells; each must carry its own id, so that ids survive insertions."""
    cells: list[SourceCell] = []
    lines: dict[str, int] = {}
    pairs = zip(notebook.cells, notebook.metadata["source_map"], strict=True)
    for index, (cell, line) in enumerate(pairs):
        if cell.cell_type != "code":
            continue
        name = str(cell.metadata.get("id", ""))
        if not _ID.fullmatch(name):
            raise ExtensionError(
                f"{where}:{line}: the code cell's id is {name!r}; "
                "it must be 1 to 64 letters, digits, hyphens or underscores"
            )
        if name in lines:
            raise ExtensionError(
                f"{where}:{line}: the code cell's id {name!r} is that of the cell at line "
                f"{lines[name]} too; each must be its own"
            )
        lines[name] = line
        tags = tuple(cell.metadata.get("tags", ()))
        cells.append(SourceCell(index, line, name, cell.source, tags))
    return cells


class CellWriter:
    """Walks a page and writes its cells; `solved` puts solutions in the stubs' place."""

    def __init__(
        self, writer: MarkdownWriter, cells: Iterable[SourceCell], install: str, *, solved: bool
    ) -> None:
        self.writer = writer
        self.solved = solved
        self.cells: list[Cell] = []
        self._install = install
        self._sources = {cell.index: cell for cell in cells}
        self._taken = {cell.id for cell in self._sources.values()} | {"install"}
        self._hidden: list[SourceCell] = []
        self._solutions: dict[str, nodes.Element] = {}
        self._id = "start"
        self._statement = ""
        self._blocks: list[str] = []

    def write(self, doctree: nodes.document) -> list[Cell]:
        """Write all cells of a page."""
        shown = {node["cell_index"] for node in _code_in(doctree)}
        self._hidden = [cell for index, cell in self._sources.items() if index not in shown]
        if self.solved:
            self._solutions = _coded_solutions(doctree)
        self._walk(doctree.children, level=0)
        self._show_hidden(sys.maxsize, sys.maxsize)
        if self.writer.notes:
            self._open("notes")
            self._blocks = ["**Notes**", *self.writer.notes]
        self._close()
        return self.cells

    def _walk(self, children: Iterable[nodes.Node], level: int) -> None:
        for node in children:
            assert isinstance(node, nodes.Element)
            self._show_hidden(_line(node), 0)
            self._visit(node, level)

    def _visit(self, node: nodes.Element, level: int) -> None:
        if isinstance(node, nodes.section):
            self._open(node["ids"][-1])
            self._walk(node.children, level + 1)
        elif isinstance(node, nodes.title):
            self._blocks.append(self.writer.heading(node, level))
            if not self.cells:
                self._close()
                self.cells.append(Cell("code", "install", self._install))
                self._open("introduction")
        elif is_statement(node):
            label = self._label(node)
            self._open(label)
            statement = self.writer.statement(node)
            before = self.cells[-1].source if self.cells else ""
            doubled = before.endswith(RULE)
            self._blocks = [statement.removeprefix(RULE).lstrip() if doubled else statement]
            self._statement = label
        elif is_exercise(node):
            self._exercise(node)
        elif is_solution(node):
            if self.solved and node not in self._solutions.values():
                self._solution(node, node.children[1].children)
            self._open(f"{node['target_label']}-next")
        elif is_code(node):
            self._code(node)
        else:
            block = self.writer.block(node)
            if block and self._statement and not is_proof(node):
                self._open(f"{self._statement}-after")
            self._blocks.append(block)

    def _exercise(self, node: nodes.Element) -> None:
        label = self._label(node)
        children = node.children[1].children
        text = list(takewhile(lambda child: not _code_in(child), children))
        self._open(label)
        self._blocks = [RULE, self.writer.lead(self.writer.exercise_title(node), text)]
        replacements = self._replacements(node)
        count = 0
        for child in children[len(text) :]:
            part = replacements.get(child["cell_index"]) if is_code(child) else None
            if part is None:
                self._walk([child], level=0)
            else:
                count += 1
                self._solution(self._solutions[label], part, count)
        if len(text) == len(children):
            self._blocks.append(RULE)
            self._open(f"{label}-after")

    def _replacements(self, exercise: nodes.Element) -> dict[int, list[nodes.Node]]:
        """For each stub's index, the part of the solution that stands in its place."""
        solution = self._solutions.get(exercise["label"])
        if solution is None:
            return {}
        stubs = _stubs(exercise)
        parts: list[list[nodes.Node]] = [[]]
        for child in solution.children[1].children:
            if len(stubs) > 1 and len(parts) < len(stubs) and parts[-1] and is_code(parts[-1][-1]):
                parts.append([])
            parts[-1].append(child)
        if len(parts) != len(stubs) or (len(stubs) > 1 and len(_code_in(solution)) != len(stubs)):
            raise ExtensionError(
                f"{self.writer.page.where(solution)}: the exercise {exercise['label']!r} has "
                f"{len(stubs)} stubs and its solution {len(_code_in(solution))} code cells; "
                "with more than one stub there must be as many solution cells"
            )
        return {stub["cell_index"]: part for stub, part in zip(stubs, parts, strict=True)}

    def _solution(self, node: nodes.Element, children: Sequence[nodes.Node], part: int = 1) -> None:
        if part > 1:
            self._open(f"{_solution_label(node)}-{part}")
            self._walk(children, level=0)
            return
        text = list(takewhile(lambda child: not _code_in(child), children))
        self._open(_solution_label(node))
        self._blocks.append(self.writer.lead(self.writer.solution_title(node), text))
        self._walk(children[len(text) :], level=0)

    def _code(self, node: nodes.Element) -> None:
        cell = self._sources[node["cell_index"]]
        self._show_hidden(0, cell.index)
        self._emit(cell)
        captions = [self.writer.figure_caption(figure) for figure in node.findall(nodes.figure)]
        if any(captions):
            self._open(f"{cell.id}-caption")
            self._blocks = captions
        self._open(f"{cell.id}-after")

    def _show_hidden(self, line: int, index: int) -> None:
        """Emit the cells that the site leaves out and that stand before this line or index."""
        while self.cells and self._hidden:
            cell = self._hidden[0]
            if cell.line >= line and cell.index >= index:
                break
            self._emit(self._hidden.pop(0))
            self._id = f"{cell.id}-after"

    def _emit(self, cell: SourceCell) -> None:
        self._close()
        if self.solved or "solution" not in cell.tags:
            self.cells.append(Cell("code", cell.id, cell.source, cell.tags))

    def _open(self, identity: str) -> None:
        self._close()
        self._id = identity

    def _close(self) -> None:
        source = join(self._blocks)
        if source:
            self.cells.append(Cell("markdown", self._identify(), source))
        self._blocks, self._statement = [], ""

    def _identify(self) -> str:
        """Make the cell's id of the label, anchor or code cell that it belongs to."""
        base = re.sub(r"[^A-Za-z0-9_-]", "-", self._id)
        base = f"{base}-text" if base in self._taken else base
        name, count = _short(base), 1
        while name in self._taken:
            count += 1
            name = _short(f"{base}-{count}")
        self._taken.add(name)
        return name

    def _label(self, node: nodes.Element) -> str:
        label = str(node["label"])
        kind = node.get("realtype", "exercise")
        if re.search(rf"(^|-){kind}-\d+$", label):
            raise self.writer.page.refuse(node, f"the {kind} without a label")
        return label


def is_code(node: nodes.Node) -> TypeGuard[nodes.Element]:
    """Whether the node is a code cell."""
    return isinstance(node, nodes.container) and node.get("nb_element") == "cell_code"


def _code_in(node: nodes.Node) -> list[nodes.Element]:
    return [child for child in node.findall() if is_code(child)]


def _stubs(exercise: nodes.Element) -> list[nodes.Element]:
    return [node for node in _code_in(exercise) if "stub" in node["cell_metadata"].get("tags", ())]


def _coded_solutions(doctree: nodes.document) -> dict[str, nodes.Element]:
    """Solutions with code whose exercise has a stub, by the exercise's label; the first counts."""
    elements = list(doctree.findall(nodes.Element))
    stubbed = {node["label"] for node in elements if is_exercise(node) and _stubs(node)}
    coded = [node for node in elements if is_solution(node) and _code_in(node)]
    return {
        node["target_label"]: node for node in reversed(coded) if node["target_label"] in stubbed
    }


def _solution_label(node: nodes.Element) -> str:
    automatic = re.search(r"-solution-\d+$", node["label"])
    return f"{node['target_label']}-solution" if automatic else str(node["label"])


def _line(node: nodes.Element) -> int:
    return next((line_of(child) for child in node.findall() if child.line), 0)


def _short(name: str) -> str:
    if len(name) <= ID_LIMIT:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{name[: ID_LIMIT - 9]}-{digest}"
