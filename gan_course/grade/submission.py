"""What a submitted file holds: its cells, the answers that its checks name, its page."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

__all__ = ["Code", "NotANotebook", "answers", "expected", "mentions_checks", "read"]

OWN_SOLUTIONS = re.compile(
    r"gan_course\.check\.\w+|gan_course\.check\s+import\b(?!\s*\(?\s*(?:check|progress)\b)"
    r"|\b(?:judge|exercises|_registry)\b.*gan_course|gan_course\.grade"
)


class NotANotebook(Exception):
    """The file is not a notebook; the message says why."""


@dataclass(frozen=True)
class Code:
    """A code cell of a submission."""

    id: str
    source: str


def read(raw: bytes) -> list[Code]:
    """Read the code cells of a submitted file, of any version of the format.

    Raises
    ------
    NotANotebook
        If the file is not one, whatever is wrong with it.
    """
    import nbformat

    try:
        notebook = nbformat.reads(raw.decode("utf-8-sig"), as_version=4)
        cells = [cell for cell in notebook.cells if cell.get("cell_type") == "code"]
        codes = [Code(str(cell.get("id", "")), _text(cell.get("source", ""))) for cell in cells]
    except RecursionError:
        raise NotANotebook("it is nested too deeply") from None
    except Exception as error:
        told = " ".join(str(error).split())[:200]
        raise NotANotebook(f"{type(error).__name__}: {told}") from None
    if not codes:
        raise NotANotebook("it has no code cell")
    return codes


def _text(source: object) -> str:
    lines = source if isinstance(source, list) else [source]
    return "".join(str(line) for line in lines)


def answers(source: str, known: Iterable[str]) -> list[tuple[str, str]]:
    """The calls of `check` in a cell: the exercise and the text of the answer, in order."""
    labels = set(known)
    return [(label, text) for label, text in _calls(source) if label in labels]


def only_checks(source: str) -> bool:
    """Whether a cell does nothing but check answers, and so makes none."""
    lines = [getattr(statement, "value", None) for statement in _tree(source).body]
    return bool(lines) and all(isinstance(x, ast.Call) and _name(x) == "check" for x in lines)


def _calls(source: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(_tree(source)):
        if isinstance(node, ast.Call):
            named = {keyword.arg: keyword.value for keyword in node.keywords}
            given = dict(zip(("label", "answer"), node.args, strict=False)) | named
            label, answer = given.get("label"), given.get("answer")
            if _name(node) == "check" and isinstance(label, ast.Constant) and answer is not None:
                yield str(label.value), ast.unparse(answer)


def _tree(source: str) -> ast.Module:
    """A cell's syntax; empty where it checks nothing or cannot be read."""
    from IPython.core.inputtransformer2 import TransformerManager

    if "check" in source:
        with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
            return ast.parse(TransformerManager().transform_cell(source))
    return ast.Module([], [])


def _name(call: ast.Call) -> str:
    return str(getattr(call.func, "id", getattr(call.func, "attr", "")))


def stubs(codes: Iterable[Code], known: Iterable[str]) -> Iterator[str]:
    """Exercises of which a cell with the book's own id is left."""
    ids = {code.id for code in codes}
    yield from (label for label in known if ids & {f"{label}-stub", f"{label}-check"})


def expected(codes: list[Code], exercises: dict[str, str], name: str) -> list[str]:
    """The exercises that a submission is graded on: those of its page, and others that it checks.

    Parameters
    ----------
    codes
        The submission's code cells.
    exercises
        All exercises of the book, with the page of each.
    name
        The file's name without its ending, which counts where the cells do not tell the page.
    """
    called = [label for code in codes for label, _ in answers(code.source, exercises)]
    found = [exercises[label] for label in (*called, *stubs(codes, exercises))]
    ((page, _),) = Counter(found or [name.replace("-", "_")]).most_common(1)
    return [label for label in exercises if exercises[label] == page or label in called]


def mentions_checks(codes: Iterable[Code]) -> list[str]:
    """Lines that reach into the course's own checks, where reference solutions stand."""
    lines = (line.strip() for code in codes for line in code.source.splitlines())
    return [line for line in lines if OWN_SOLUTIONS.search(line)]
