"""Blocks of a resolved doctree as portable Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard

from docutils import nodes
from sphinx.locale import admonitionlabels
from sphinx_exercise.nodes import is_exercise_node, solution_node
from sphinx_proof.nodes import NODE_TYPES, proof_node, unenumerable_node

from . import tex
from .gate import find_myst as find_myst
from .inline import InlineWriter, PageContext, escape_line_starts

STATEMENTS = (*NODE_TYPES.values(), unenumerable_node)
RULE = "***"
_LANGUAGES = {"ipython3": "python", "ipython": "python", "default": "", "none": "", "myst-ansi": ""}
_NOT_IN_QUOTES = (nodes.math_block, nodes.literal_block, nodes.table, nodes.image)
_ALIGNMENTS = {"text-left": ":---", "text-center": ":---:", "text-right": "---:"}


def component(node: nodes.Node) -> str:
    """Name of the sphinx-design component that a node stands for, or ""."""
    return str(node.get("design_component", "")) if isinstance(node, nodes.Element) else ""


def is_proof(node: nodes.Node) -> bool:
    """Whether the node is a proof, folded or not."""
    if isinstance(node, proof_node):
        return True
    title = node.children[0] if component(node) == "dropdown" else None
    return isinstance(title, nodes.rubric) and title.astext().startswith("Proof")


def join(blocks: Iterable[str]) -> str:
    """Join blocks by blank lines, leaving out empty ones."""
    return "\n\n".join(block for block in blocks if block)


def indent(text: str, prefix: str) -> str:
    """Indent every line but the empty ones."""
    return re.sub(r"^(?=.)", prefix, text, flags=re.MULTILINE)


class MarkdownWriter(InlineWriter):
    """Writes block nodes; what it does not know stops the build."""

    def __init__(self, page: PageContext) -> None:
        super().__init__(page)
        self.notes: list[str] = []

    def blocks(self, children: Iterable[nodes.Node]) -> str:
        """Write a run of block nodes."""
        return join(self.block(node) for node in children)

    def block(self, node: nodes.Node) -> str:
        """Write one block node."""
        if is_statement(node):
            return self.statement(node)
        if is_exercise(node) or is_solution(node):
            raise self.page.refuse(node, "an exercise or solution inside another block")
        for kind in type(node).__mro__:
            write = getattr(self, f"block_{kind.__name__}", None)
            if write is not None:
                return str(write(node))
        raise self.page.refuse(node)

    def lead(self, title: str, children: Sequence[nodes.Node]) -> str:
        """Write blocks after a bold lead, on its line where the first is a paragraph."""
        stop = "" if title[-1:] in ".?!:" else "."
        lead = f"**{title}{stop}**"
        if children and isinstance(children[0], nodes.paragraph):
            first = f"{lead} {self.block(children[0])}"
            return join([first, self.blocks(children[1:])])
        return join([lead, self.blocks(children)])

    def heading(self, node: nodes.Element, level: int) -> str:
        """Write a section's title with the number that the site shows."""
        section = node.parent
        anchors = [""] if level == 1 else [f"#{anchor}" for anchor in section["ids"]]
        found = self.page.section_numbers
        number = next((found[a] for a in anchors if found.get(a)), ())
        prefix = ".".join(map(str, number)) + self.page.section_suffix if number else ""
        return f"{'#' * min(level, 6)} {prefix}{self.line(node.children)}"

    def statement(self, node: nodes.Element) -> str:
        """Write a numbered statement between rules."""
        title, section = node.children[0], node.children[1]
        number = self.page.number(node["countertype"], node)
        name = f"{node['realtype'].title()} {number}".strip()
        text = self.line(title.children)
        body = self.lead(f"{name} {text}".strip(), section.children)
        return join([RULE, body, RULE])

    def exercise_title(self, node: nodes.Element) -> str:
        """Title of an exercise: "Exercise 1.2 (Its title)"."""
        title = self.line(node.children[0].children)
        number = self.page.number("exercise", node)
        return f"Exercise {number} {title}".strip() if number else title

    def solution_title(self, node: nodes.Element) -> str:
        """Title of a solution: "Solution to Exercise 1.2"."""
        number = self.page.numbers.get("exercise", {}).get(node["target_label"], ())
        return f"Solution to Exercise {'.'.join(map(str, number))}".rstrip()

    def figure_caption(self, node: nodes.Element) -> str:
        """Caption of a figure with its number, and its legend."""
        captions = [child for child in node.children if isinstance(child, nodes.caption)]
        legends = [child for child in node.children if isinstance(child, nodes.legend)]
        if not captions:
            return ""
        lead = self._numbered("figure", node, captions[0])
        return join([lead, *(self.blocks(legend.children) for legend in legends)])

    def _numbered(self, kind: str, node: nodes.Element, caption: nodes.Element) -> str:
        number = self.page.number(kind, node)
        lead = f"**{self.page.number_formats[kind] % number}.** " if number else ""
        return lead + self.line(caption.children)

    def block_paragraph(self, node: nodes.Element) -> str:
        return escape_line_starts(self.inline(node.children).strip())

    def block_math_block(self, node: nodes.Element) -> str:
        number = self.page.number("displaymath", node)
        number = self.page.equation_separator.join(number.rsplit(".", 1))
        return tex.display(node.astext(), self.page.macros, number)

    def block_literal_block(self, node: nodes.Element) -> str:
        code = node.astext().rstrip("\n")
        fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", code)), 3)
        language = node.get("language", "")
        return f"{fence}{_LANGUAGES.get(language, language)}\n{code}\n{fence}"

    def block_doctest_block(self, node: nodes.Element) -> str:
        return f"```python\n{node.astext()}\n```"

    def block_bullet_list(self, node: nodes.Element) -> str:
        return self._list(node, ["- "] * len(node))

    def block_enumerated_list(self, node: nodes.Element) -> str:
        if node.get("enumtype", "arabic") != "arabic":
            raise self.page.refuse(node, f"a list numbered in {node['enumtype']}")
        start = int(node.get("start", 1))
        suffix = node.get("suffix") or "."
        return self._list(node, [f"{start + i}{suffix} " for i in range(len(node))])

    def _list(self, node: nodes.Element, markers: Sequence[str]) -> str:
        items, loose = [], False
        for item, marker in zip(node.children, markers, strict=True):
            assert isinstance(item, nodes.list_item)
            kinds = [c for c in item.children if not isinstance(c, nodes.bullet_list)]
            tight = len(kinds) <= 1 and all(isinstance(c, nodes.paragraph) for c in kinds)
            loose = loose or not tight
            parts = [self.block(child) for child in item.children]
            body = ("\n" if tight else "\n\n").join(part for part in parts if part)
            items.append(marker + indent(body, " " * len(marker)).lstrip())
        return ("\n\n" if loose else "\n").join(items)

    def block_definition_list(self, node: nodes.Element) -> str:
        items = []
        for item in node.children:
            assert isinstance(item, nodes.definition_list_item)
            terms = [self.line(c.children) for c in item.children if isinstance(c, nodes.term)]
            bodies = [c for c in item.children if isinstance(c, nodes.definition)]
            children = [child for body in bodies for child in body.children]
            text = self.lead(f"{', '.join(terms)}:", children)
            items.append("* " + indent(text, "  ").lstrip())  # no "-": a list may stand before
        return "\n".join(items) if all("\n\n" not in item for item in items) else join(items)

    def block_glossary(self, node: nodes.Element) -> str:
        return self.blocks(node.children)

    def block_line_block(self, node: nodes.Element) -> str:
        return "<br>\n".join(self.line(child.children) for child in node.findall(nodes.line))

    def block_block_quote(self, node: nodes.Element) -> str:
        return self._boxed(self.blocks(node.children), node)

    def block_attribution(self, node: nodes.Element) -> str:
        return f"\u2014 {self.line(node.children)}"

    def _boxed(self, text: str, node: nodes.Element) -> str:
        nested = any(
            isinstance(child, nodes.bullet_list | nodes.enumerated_list)
            and isinstance(child.parent, nodes.list_item)
            for child in node.findall()
        )
        parts = any(component(c) in {"dropdown", "tab-set"} for c in node.findall())
        heavy = nested or parts or any(isinstance(c, _NOT_IN_QUOTES) for c in node.findall())
        if heavy:
            return join([RULE, text, RULE])
        return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))

    def fold(self, summary: str, text: str, *, opened: bool = False) -> str:
        """Write a fold; the blank lines make front ends read its inside as Markdown."""
        start = "<details open>" if opened else "<details>"
        return join([f"{start}\n<summary>{summary}</summary>", text, "</details>"])

    def block_Admonition(self, node: nodes.Element) -> str:  # noqa: N802 (docutils' name)
        children = list(node.children)
        label = str(admonitionlabels.get(node.tagname, ""))
        summary, title = label, label
        if children and isinstance(children[0], nodes.title):
            heading = children.pop(0)
            title, summary = self.line(heading.children), self.html(heading.children)
        if "dropdown" in node["classes"] or "toggle" in node["classes"]:
            return self.fold(summary, self.blocks(children))
        return self._boxed(self.lead(title, children), node)

    def block_sidebar(self, node: nodes.Element) -> str:
        children = list(node.children)
        title = children.pop(0) if children and isinstance(children[0], nodes.title) else None
        text = self.line(title.children) if title else ""
        body = self.lead(text, children) if text else self.blocks(children)
        return self._boxed(body, node)

    def block_proof_node(self, node: nodes.Element) -> str:
        body = self.blocks(node[0].children).removeprefix("Proof.").strip()
        end = "\n\n" if body.endswith(("$$", "```", ">")) else " "
        return f"*Proof.* {body}{end}\u220e"

    def block_figure(self, node: nodes.Element) -> str:
        body = [
            child for child in node.children if not isinstance(child, nodes.caption | nodes.legend)
        ]
        return join([self.blocks(body), self.figure_caption(node)])

    def block_image(self, node: nodes.Element) -> str:
        return self.inline([node])

    block_reference = block_image

    def block_footnote(self, node: nodes.Element) -> str:
        label, *body = node.children
        text = self.blocks(body)
        self.notes.append(f"<sup>{label.astext()}</sup> {text}")
        return ""

    def block_transition(self, node: nodes.Element) -> str:
        return "" if "footnotes" in node["classes"] else RULE

    def block_raw(self, node: nodes.Element) -> str:
        return self.inline([node])

    def block_rubric(self, node: nodes.Element) -> str:
        return f"**{self.line(node.children)}**"

    def _nothing(self, node: nodes.Node) -> str:
        return ""

    block_comment = block_target = block_index = block_meta = _nothing
    block_block_break = block_citation = block_substitution_definition = _nothing
    block_toctree = block_highlightlang = _nothing

    def block_compound(self, node: nodes.Element) -> str:
        return "" if "toctree-wrapper" in node["classes"] else self.blocks(node.children)

    def block_container(self, node: nodes.Element) -> str:
        if component(node):
            write = getattr(self, "component_" + component(node).replace("-", "_"), None)
            if write is None:
                raise self.page.refuse(node, f"the component {component(node)!r}")
            return str(write(node))
        if node.get("literal_block"):
            caption, code = node.children
            assert isinstance(caption, nodes.caption)
            return join([self._numbered("code-block", node, caption), self.block(code)])
        if node.get("nb_element"):
            raise self.page.refuse(node, "a code cell, or a cell's output, inside another block")
        return self.blocks(node.children)

    def component_dropdown(self, node: nodes.Element) -> str:
        children = list(node.children)
        titled = bool(children) and isinstance(children[0], nodes.rubric) and node["has_title"]
        summary = self.html(children.pop(0).children) if titled else "More"
        return self.fold(summary, self.blocks(children), opened=node["opened"])

    def _inside(self, node: nodes.Element) -> str:
        return self.blocks(node.children)

    component_tab_set = component_tab_item = component_tab_content = _inside
    component_grid_container = component_grid_row = component_grid_item = _inside
    component_card_body = component_card_header = component_card_footer = _inside

    def inline_PassthroughTextElement(self, node: nodes.Element) -> str:  # noqa: N802
        return self.inline(node.children)

    block_PassthroughTextElement = inline_PassthroughTextElement  # noqa: N815

    def component_card_title(self, node: nodes.Element) -> str:
        return f"**{self.line(node.children)}**"

    def component_card(self, node: nodes.Element) -> str:
        links = [link for link in node.findall(nodes.reference) if link.parent.parent is node]
        address = links[0].get("refuri", "") if links else ""
        if not address:
            return self._boxed(self.blocks(node.children), node)
        children = [child for child in node.children if child is not links[0].parent]
        first, *rest = self.blocks(children).split("\n\n")
        return self._boxed(join([f"[{first}]({address})", *rest]), node)

    def block_table(self, node: nodes.Element) -> str:
        rows = [self._row(row) for row in node.findall(nodes.row)]
        head = len(list(next(iter(node.findall(nodes.thead)), nodes.thead()).children))
        if head > 1:
            raise self.page.refuse(node, "a table with more than one row of headings")
        width = max(len(row) for row in rows)
        header = rows[0] if head else [""] * width
        first = next(iter(node.findall(nodes.row)))
        rules = [self._alignment(entry) for entry in first.children]
        lines = [f"| {' | '.join(row)} |" for row in (header, rules, *rows[head:])]
        titles = [child for child in node.children if isinstance(child, nodes.title)]
        caption = self._numbered("table", node, titles[0]) if titles else ""
        return join([caption, "\n".join(lines)])

    def _alignment(self, entry: nodes.Node) -> str:
        classes: Any = entry.get("classes", []) if isinstance(entry, nodes.Element) else []
        return next((_ALIGNMENTS[name] for name in classes if name in _ALIGNMENTS), "---")

    def _row(self, row: nodes.Element) -> list[str]:
        self.in_table = True
        try:
            return [self._entry(entry) for entry in row.children]
        finally:
            self.in_table = False

    def _entry(self, entry: nodes.Node) -> str:
        assert isinstance(entry, nodes.entry)
        if entry.get("morecols") or entry.get("morerows"):
            raise self.page.refuse(entry, "a table cell that spans several")
        if not all(isinstance(child, nodes.paragraph) for child in entry.children):
            raise self.page.refuse(entry, "a table cell with more than paragraphs")
        return "<br>".join(self.line(child.children) for child in entry.children)


def is_statement(node: nodes.Node) -> TypeGuard[nodes.Element]:
    """Whether the node is a theorem, lemma, definition and so on."""
    return isinstance(node, STATEMENTS)


def is_exercise(node: nodes.Node) -> TypeGuard[nodes.Element]:
    """Whether the node is an exercise."""
    return bool(is_exercise_node(node))


def is_solution(node: nodes.Node) -> TypeGuard[nodes.Element]:
    """Whether the node is a solution to an exercise."""
    return isinstance(node, solution_node)
