"""Chapter numbers: a chapter whose folder is `0-preliminaries` has the number 0.

Sphinx counts the chapters of the table of contents from 1. Here a chapter's number is the one that
its folder's name begins with, so that a preliminary chapter 0 leaves the others theirs. The
numbers of sections, statements, exercises, figures and equations follow. Chapters whose folders
begin with no number keep Sphinx's.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

FOLDER = re.compile(r"(?:^|/)(\d+)-[^/]*/")
Number = tuple[int, ...]
SectionNumbers = dict[str, dict[str, Number]]
FigureNumbers = dict[str, dict[str, dict[str, Number]]]


def chapter_of(docname: str, counted: int) -> int:
    """Number of the chapter that a page belongs to: its folder's, or else the counted one."""
    folder = FOLDER.search(docname)
    return int(folder[1]) if folder else counted


def chapters(sections: SectionNumbers) -> dict[int, int]:
    """For each chapter, as Sphinx counted it, its own number.

    Parameters
    ----------
    sections
        For each page the numbers of its sections by anchor, where "" is the page itself.

    Raises
    ------
    ExtensionError
        If the pages of a chapter lie in folders with different numbers, or if two chapters have
        the same number.
    """
    found: dict[int, tuple[int, str]] = {}
    for docname, numbers in sections.items():
        if counted := numbers.get(""):
            own = chapter_of(docname, counted[0])
            first = found.setdefault(counted[0], (own, docname))
            if first[0] != own:
                raise ExtensionError(
                    f"{first[1]} and {docname} stand in one chapter of _toc.yml, and their folders "
                    f"have the numbers {first[0]} and {own}; they must have the same"
                )
    owners: dict[int, str] = {}
    for own, docname in found.values():
        other = owners.setdefault(own, docname)
        if other != docname:
            raise ExtensionError(
                f"{other} and {docname} stand in two chapters of _toc.yml that both have the "
                f"number {own}; the folder of each must begin with a number of its own"
            )
    return {counted: own for counted, (own, _) in found.items()}


def restore(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Give Sphinx its own numbers back, by which it finds the pages whose numbers changed."""
    env.toc_secnumbers, env.toc_fignumbers = getattr(
        env, "coursebook_counted", (env.toc_secnumbers, env.toc_fignumbers)
    )
    return []


def renumber(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Put the chapters' own numbers in the place of Sphinx's."""
    env.coursebook_counted = env.toc_secnumbers, env.toc_fignumbers  # type: ignore[attr-defined]
    own = chapters(env.toc_secnumbers)
    sections: SectionNumbers = {}
    figures: FigureNumbers = dict(env.toc_fignumbers)
    for docname, numbers in env.toc_secnumbers.items():
        sections[docname] = {anchor: _renumbered(n, own) for anchor, n in numbers.items()}
        references = env.tocs[docname].findall(nodes.reference) if docname in env.tocs else ()
        for node in (env.titles[docname], *references):
            if number := node.get("secnumber"):
                node["secnumber"] = list(_renumbered(tuple(number), own))
        if numbers.get("") and docname in figures:
            figures[docname] = _renumbered_figures(figures[docname], own)
    env.toc_secnumbers, env.toc_fignumbers = sections, figures
    return []


def _renumbered(number: Any, own: dict[int, int]) -> Number:
    return (own.get(number[0], number[0]), *number[1:]) if number else ()


def _renumbered_figures(
    kinds: dict[str, dict[str, Number]], own: dict[int, int]
) -> dict[str, dict[str, Number]]:
    """What is numbered within chapters; a number of one part has no chapter in it."""
    return {
        kind: {i: _renumbered(n, own) if len(n) > 1 else n for i, n in numbers.items()}
        for kind, numbers in kinds.items()
    }


def setup(app: Sphinx) -> None:
    """Stand before and behind Sphinx's own numbering (priority 500)."""
    app.connect("env-get-updated", restore, priority=100)
    app.connect("env-get-updated", renumber, priority=900)
