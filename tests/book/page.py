"""Reading a page's code cells from its source, for the tests."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

BOOK = Path(__file__).parents[2] / "book"
CELL = re.compile(
    r"^```\{code-cell\}\n---\n(?P<options>.*?)^---\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Cell:
    """One code cell: its options and its code."""

    options: dict[str, Any]
    code: str
    line: int
    id: str = field(init=False)
    tags: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", self.options["id"])
        object.__setattr__(self, "tags", frozenset(self.options.get("tags", ())))


def pages() -> list[Path]:
    """All pages that have code cells."""
    found = sorted(p for p in BOOK.rglob("*.md") if "{code-cell}" in p.read_text(encoding="utf-8"))
    return [page for page in found if "_ext" not in page.parts]


def cells(page: Path) -> list[Cell]:
    """A page's code cells, in order."""
    text = page.read_text(encoding="utf-8")
    found = [
        Cell(yaml.safe_load(m["options"]), m["code"], text.count("\n", 0, m.start()) + 1)
        for m in CELL.finditer(text)
    ]
    assert len(found) == len(re.findall(r"^```\{code-cell\}", text, re.MULTILINE)), page
    return found
