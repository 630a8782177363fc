"""How long a page takes to read: from its words, formulas, lines of code and pictures."""

from __future__ import annotations

import math
from dataclasses import dataclass

from docutils import nodes
from sphinx_exercise.nodes import solution_node

from coursebook.markdown import is_proof

# Seconds that a careful reader spends on one, at 200 words a minute; `how-this-book-is-built.md`
# states them. A proof is read with a pencil.
WORD, FORMULA, DISPLAY, CODE_LINE, PICTURE = 0.3, 3.0, 15.0, 3.0, 20.0
PENCIL = 3
_NOT_READ = nodes.raw | nodes.comment | nodes.target | nodes.hint | solution_node


@dataclass(frozen=True)
class Reading:
    """Seconds to read a page: its text, and its proofs."""

    text: float
    proofs: float

    @property
    def minutes(self) -> tuple[int, int]:
        """Minutes for the text and, where there are any, for the proofs, to the next five."""
        return _fives(self.text), _fives(self.proofs)


def _fives(seconds: float) -> int:
    return 5 * math.ceil(seconds / 300)


def reading(document: nodes.Node) -> Reading:
    """Time to read a page, from its doctree; hints, solutions and printed outputs do not count."""
    text = sum(_seconds(child) for child in document.children)
    proofs = sum(_seconds(child) for node in document.findall(is_proof) for child in node.children)
    return Reading(text, PENCIL * proofs)


def _seconds(node: nodes.Node) -> float:
    """Seconds for what a node holds, proofs apart."""
    if isinstance(node, nodes.Text):
        return WORD * len(node.astext().split())
    if isinstance(node, nodes.math):
        return FORMULA
    if isinstance(node, nodes.math_block):
        return DISPLAY
    if isinstance(node, nodes.literal_block):
        return CODE_LINE * len([line for line in node.astext().splitlines() if line.strip()])
    if isinstance(node, nodes.image):
        return PICTURE
    if isinstance(node, nodes.container) and node.get("nb_element") == "cell_code_output":
        return PICTURE if _shows_a_picture(node) else 0
    if is_proof(node) or isinstance(node, _NOT_READ):
        return 0
    return sum(_seconds(child) for child in node.children)


def _shows_a_picture(output: nodes.Element) -> bool:
    """Whether an output is a figure or a widget, in any of the formats that it has."""
    kinds = {str(part.get("mime_type", "")) for part in output.findall(nodes.container)}
    return bool(kinds & {"image/png", "image/svg+xml", "text/html"}) or any(
        True for _ in output.findall(nodes.image)
    )
