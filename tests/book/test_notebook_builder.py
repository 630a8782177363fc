"""The notebook builder on a sample book: golden files, numbers, stability and refusals.

`UPDATE_GOLDEN=1 pytest tests/book/test_notebook_builder.py` writes the golden files anew.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import pytest
from bs4 import BeautifulSoup
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent / "notebook_builder"
GOLDEN = HERE / "golden"
CHAPTER = "book/1-first"
PAGES = ("statements", "exercises", "prose", "figures")
TREES = ("student", "solution")
Builds = Callable[[str], None]
WHOLE = [Path(tree, "1-first/exercises.ipynb") for tree in TREES]


def build(
    source: Path, out: Path, builder: str = "notebooks", *, strict: bool = True, **options: Any
) -> SphinxTestApp:
    """Build a book in this process."""
    app = SphinxTestApp(
        builder, srcdir=source, builddir=out, confoverrides=options, warningiserror=strict
    )
    try:
        app.build()
    finally:
        app.cleanup()
    return app


@dataclass(frozen=True)
class Book:
    """A sample book and where its builds lie."""

    source: Path
    out: Path

    def copy(self, to: Path) -> Book:
        """Copy sources, doctrees and caches, so that only what changes is built again."""
        shutil.copytree(self.source, to / "source")
        shutil.copytree(self.out, to / "out")
        return Book(to / "source", to / "out")

    def page(self, name: str) -> Path:
        return self.source / CHAPTER / f"{name}.md"

    def replace(self, name: str, old: str, new: str) -> None:
        text = self.page(name).read_text()
        assert text.count(old) == 1
        self.page(name).write_text(text.replace(old, new))

    def lines(self, tree: str, name: str) -> list[str]:
        path = self.out / "notebooks" / tree / "1-first" / f"{name}.ipynb"
        return path.read_text().splitlines()

    def notebook(self, tree: str, name: str) -> nbformat.NotebookNode:
        return nbformat.read(self.out / "notebooks" / tree / "1-first" / f"{name}.ipynb", 4)

    def ids(self, tree: str, name: str) -> list[str]:
        return [cell.id for cell in self.notebook(tree, name).cells]


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Book:
    """The sample book as a site and as notebooks, with shared doctrees."""
    base = tmp_path_factory.mktemp("book")
    made = Book(base / "source", base / "out")
    shutil.copytree(HERE / "sample", made.source)
    for builder in ("html", "notebooks"):
        build(made.source, made.out, builder)
    return made


@pytest.fixture
def copied(book: Book, tmp_path: Path) -> Book:
    return book.copy(tmp_path)


@pytest.fixture
def single(tmp_path: Path) -> Builds:
    """Build a book of one page, whose cells are run for its solution notebook only."""

    def run(text: str) -> None:
        source = tmp_path / "source"
        source.mkdir()
        shutil.copy(HERE / "sample/conf.py", source)
        shutil.copy(HERE / "sample/references.bib", source)
        shutil.copy(HERE / "sample" / CHAPTER / "square.svg", source)
        (source / "big.png").write_bytes(b"x" * 201_000)
        header = "---\nfile_format: mystnb\nkernelspec: {name: python3}\n---\n# Title\n\n"
        (source / "index.md").write_text(header + text)
        build(source, tmp_path / "out", strict=False, nb_execution_mode="off")

    return run


def readable(notebook: nbformat.NotebookNode) -> str:
    """Show a notebook's cells so that a golden file is easy to read."""
    out = []
    for cell in notebook.cells:
        facts = [cell.cell_type, cell.id, *cell.metadata.get("tags", [])]
        facts += ["source hidden"] if cell.metadata.get("jupyter") else []
        out.append(f"<!-- {' | '.join(facts)} -->\n{cell.source}\n")
        out += [f"<!-- prints -->\n{output.text}" for output in cell.get("outputs", [])]
    return "\n".join(out)


def compare(text: str, golden: Path) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        golden.parent.mkdir(parents=True, exist_ok=True)
        golden.write_text(text)
    assert text == golden.read_text()


@pytest.mark.parametrize("tree", TREES)
@pytest.mark.parametrize("page", PAGES)
def test_cells_are_as_the_golden_file_says(book: Book, tree: str, page: str) -> None:
    compare(readable(book.notebook(tree, page)), GOLDEN / tree / f"{page}.md")


@pytest.mark.parametrize("path", WHOLE, ids=str)
def test_file_is_as_the_golden_file_says(book: Book, path: Path) -> None:
    compare((book.out / "notebooks" / path).read_text(), GOLDEN / path)


def test_pages_without_code_have_no_notebook(book: Book) -> None:
    written = sorted(p.stem for p in (book.out / "notebooks/student").rglob("*.ipynb"))
    assert written == sorted(PAGES)


def test_numbers_are_those_of_the_site(book: Book) -> None:
    count = 0
    for page in PAGES:
        html = (book.out / "html" / CHAPTER / f"{page}.html").read_text()
        site = BeautifulSoup(html, "html.parser").article
        markdown = [c.source for c in book.notebook("student", page).cells if "outputs" not in c]
        numbers = [tag.get_text().strip() for tag in site.select(".caption-number")]
        leads = re.findall(
            r"\*\*((?:Theorem|Lemma|Definition|Remark|Exercise|Fig\.|Table)[ \d.]*\d|Remark)",
            "\n".join(markdown),
        )
        assert leads == numbers
        equations = [tag.get_text().split(")")[0].strip("(") for tag in site.select(".eqno")]
        assert re.findall(r"\\tag\{([\d.]+)\}", "\n".join(markdown)) == equations
        titles = [tag.get_text().removesuffix("#") for tag in site.select("h1, h2, h3")]
        assert re.findall(r"(?m)^#+ (.*)", "\n".join(markdown)) == titles
        count += len(numbers) + len(equations)
    assert count == 3 + 1 + 3 + 4 + 1 + 2


def test_nothing_runs_twice_and_nothing_is_touched(copied: Book) -> None:
    before = {p: p.stat().st_mtime_ns for p in copied.out.glob("notebooks/**/*.ipynb")}
    again = build(copied.source, copied.out)
    assert "8 notebooks, of which 0 had to be run" in again.status.getvalue()
    assert {p: p.stat().st_mtime_ns for p in copied.out.glob("notebooks/**/*.ipynb")} == before


def test_another_fingerprint_runs_the_solutions_again(copied: Book) -> None:
    again = build(copied.source, copied.out, fingerprint="print 2")
    assert "8 notebooks, of which 4 had to be run" in again.status.getvalue()


def test_changed_paragraph_changes_one_line(book: Book, copied: Book) -> None:
    copied.replace("statements", "Text between a hidden", "Words between a hidden")
    again = build(copied.source, copied.out)
    assert "of which 0 had to be run" in again.status.getvalue()
    for tree in TREES:
        old, new = book.lines(tree, "statements"), copied.lines(tree, "statements")
        changed = [pair for pair in zip(old, new, strict=True) if pair[0] != pair[1]]
        assert len(changed) == 1
        for page in set(PAGES) - {"statements"}:
            assert book.lines(tree, page) == copied.lines(tree, page)


def test_inserted_text_and_code_leave_other_ids(book: Book, copied: Book) -> None:
    inserted = "An inserted paragraph.\n\n```{code-cell}\n:id: inserted\n1 + 2\n```\n\n"
    copied.replace("statements", "Before the statement.", inserted + "Before the statement.")
    copied.replace("exercises", "Fill both.", "Fill both.\n\nAnother paragraph.")
    build(copied.source, copied.out)
    for tree in TREES:
        assert copied.ids(tree, "exercises") == book.ids(tree, "exercises")
        new = [i for i in copied.ids(tree, "statements") if not i.startswith("inserted")]
        assert new == book.ids(tree, "statements")


def test_removed_page_loses_its_notebooks(copied: Book) -> None:
    copied.page("figures").unlink()
    index = copied.source / CHAPTER / "index.md"
    index.write_text(index.read_text().replace("figures\n", ""))
    build(copied.source, copied.out)
    assert not list(copied.out.glob("notebooks/**/figures.ipynb"))


def test_outputs_are_kept_only_where_nbval_compares(book: Book) -> None:
    for page in PAGES:
        for cell in book.notebook("student", page).cells:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None
        for cell in book.notebook("solution", page).cells:
            compared = "nbval-check-output" in cell.metadata.get("tags", [])
            assert bool(cell.get("outputs")) == compared
            assert isinstance(cell.get("execution_count"), int) == compared


def test_students_see_no_solution(book: Book) -> None:
    solved = readable(book.notebook("solution", "exercises"))
    given = readable(book.notebook("student", "exercises"))
    for secret in ("return x * x", "For all numbers", "As $2 - 1", "Solution to", "b = 2"):
        assert secret in solved
        assert secret not in given
    for stub in ("raise NotImplementedError", "a = ...", "b = ..."):
        assert stub in given
        assert stub not in solved


def test_pasted_picture_stops_the_build(copied: Book) -> None:
    paste = "```{code-cell}\n:id: paste\nfrom myst_nb import glue\n"
    paste += 'glue("pic", SVG("<svg/>"), display=False)\n```\n\nHere: {glue}`pic`\n\n'
    copied.replace("figures", "After the drawing.", paste)
    with pytest.raises(ExtensionError, match=r"figures\.md:\d+: a cell's output pasted"):
        build(copied.source, copied.out, strict=False)


CELL = "```{{code-cell}}\n:id: {}\n{}\n```\n\n"
BAD = {
    "unknown": ("```{unknown}\n```\n\n", r"index\.md:7: option_list cannot be written"),
    "unknown in a fold": (
        ":::{dropdown} A\n\n```{unknown}\n```\n:::\n\n",
        r"index\.md:9: option_list cannot be written",
    ),
    "raw html": ("<video src='x'></video>\n\n", r"index\.md:7: raw html \"<video .* cannot be"),
    "statement without a label": (
        ":::{prf:theorem}\nText.\n:::\n\n",
        r"index\.md:\d+: the theorem without a label cannot be",
    ),
    "solution in a fold": (
        "```{exercise}\n:label: ex\nText.\n```\n\n"
        ":::{dropdown} A\n```{solution} ex\nText.\n```\n:::\n\n",
        r"an exercise or solution inside another block cannot be",
    ),
    "image without alt text": ("![](square.svg)\n\n", r"'square\.svg' without alt text cannot be"),
    "image too big": ("![A.](big.png)\n\n", r"index\.md:7: the image 'big\.png' \(201 kB, more"),
    "missing id": ("```{code-cell}\n1\n```\n\n", r"index\.md:7: the code cell's id is ''"),
    "duplicate id": (
        CELL.format("one", 1) * 2,
        r"index\.md:12: the code cell's id 'one' is that of the cell at line 7 too",
    ),
    "cell raises": (CELL.format("bad", "1 / 0"), r"(?s)index\.md: cell 'bad'.*ZeroDivisionError"),
    "figure kept": (
        CELL.format("draw", ":tags: [nbval-check-output]\n1"),
        r"cell 'draw' has the tag nbval-check-output and gives execute_result",
    ),
    "stderr kept": (
        CELL.format("warn", ":tags: [nbval-check-output]\nimport sys; sys.stderr.write('x');"),
        r"cell 'warn' has the tag nbval-check-output and gives stderr",
    ),
    "too few solution cells": (
        "```{exercise-start}\n:label: ex\n```\n"
        + CELL.format("a", ":tags: [stub]\n1")
        + CELL.format("b", ":tags: [stub]\n1")
        + "```{exercise-end}\n```\n\n```{solution-start} ex\n```\n"
        + CELL.format("c", ":tags: [solution]\n1")
        + "```{solution-end}\n```\n\n",
        r"index\.md:\d+: the exercise 'ex' has 2 stubs and its solution 1 code cells",
    ),
    "MyST left": ("A role, \\{ref}`a`.\n\n", r"cell 'introduction' still holds role: \{ref\}"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_written_stops_the_build(single: Builds, name: str) -> None:
    text, message = BAD[name]
    with pytest.raises(ExtensionError, match=message):
        single(text + CELL.format("last", "pass"))
