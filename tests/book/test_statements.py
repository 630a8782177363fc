"""The index of statements: what it lists, that it keeps up with the pages, and what has no test."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from coursebook import statements
from page import BOOK, cells, pages
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

CONF = """
extensions = ["myst_nb", "sphinx_proof", "sphinx_exercise", "coursebook.chapters",
              "coursebook.statements", "coursebook.search"]
numfig = True
numfig_secnum_depth = 1
nb_execution_mode = "off"
suppress_warnings = ["myst-nb.lexer"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
html_theme = "basic"
"""
INDEX = """# A book

```{toctree}
:numbered:
1-one/index
2-two/index
```

```{toctree}
statements
```
"""
HEADER = "---\nfile_format: mystnb\nkernelspec: {name: python3}\n---\n"
FIRST = """# The first page

:::{prf:theorem} $W_1$ on the line
:label: thm-line
Text.
:::

```{code-cell}
---
id: page-witness-line
witness: thm-line
---
assert True
```

```{code-cell}
---
id: page-again
witness: thm-line
---
assert True
```

:::{prf:lemma} All functions $f(x)$
:label: lem-all
Text.
:::

```{exercise-start} An exercise
:label: page-exercise
```
Use {prf:ref}`lem-all`.
```{exercise-end}
```

```{solution-start} page-exercise
:label: page-exercise-solution
```
By {prf:ref}`thm-line` and again {prf:ref}`thm-line`.
```{solution-end}
```

```{exercise} Another
:label: page-another
Nothing.
```

```{hint}
See {prf:ref}`def-two`.
```
"""
SECOND = """# The second page

:::{prf:definition} Two (and more)
:label: def-two
Text.
:::
"""


class Book:
    """A small book of two chapters and the index."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source = folder, folder / "source"
        self.source.mkdir()
        (self.source / "conf.py").write_text(CONF)
        (self.source / "index.md").write_text(INDEX)
        (self.source / "statements.md").write_text("# Statements\n\n```{statements}\n```\n")
        for chapter, text in (("1-one", FIRST), ("2-two", SECOND)):
            (self.source / chapter).mkdir()
            index = f"# Chapter {chapter[2:]}\n\n```{{toctree}}\npage\n```\n"
            (self.source / chapter / "index.md").write_text(index)
            self.write(chapter, text)

    def write(self, chapter: str, text: str) -> None:
        (self.source / chapter / "page.md").write_text(HEADER + text)

    def build(self) -> None:
        app = SphinxTestApp(
            "html", srcdir=self.source, builddir=self.folder / "out", warningiserror=True
        )
        try:
            app.build()
        finally:
            app.cleanup()

    def html(self, page: str) -> BeautifulSoup:
        text = (self.folder / "out" / "html" / f"{page}.html").read_text()
        return BeautifulSoup(text, "html.parser")

    def rows(self) -> dict[str, list[list[str]]]:
        """The table of each chapter."""
        return {
            section.find(["h2"]).text.removesuffix("¶"): [
                [cell.text.replace("\xa0", " ") for cell in row.select("td")]
                for row in section.select("tbody tr")
            ]
            for section in self.html("statements").select("section section")
        }

    def titles(self) -> dict[str, list[list[object]]]:
        """Titles that the search knows, with pages and anchors."""
        text = (self.folder / "out" / "html" / "searchindex.js").read_text()
        return json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))["alltitles"]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    made = Book(tmp_path)
    made.build()
    return made


@pytest.mark.slow
def test_index_lists_statements_with_witnesses_and_exercises(book: Book) -> None:
    assert book.rows() == {
        "1. Chapter one": [
            ["Theorem 1.1", r"\(W_1\) on the line", "witness-line, again", "1.1"],
            ["Lemma 1.1", r"All functions \(f(x)\)", "", "1.1"],
        ],
        "2. Chapter two": [["Definition 2.1", "Two (and more)", "", "1.2"]],
    }
    page = book.html("statements")
    links = [link["href"] for link in page.select("td a")]
    assert links[:2] == ["1-one/page.html#thm-line", "1-one/page.html#cell-page-witness-line"]
    for link in links:
        target, _, anchor = link.partition("#")
        assert book.html(target.removesuffix(".html")).find(id=anchor), link
    chapters = [link["href"] for link in page.select("section > p a")]
    assert chapters == ["#chapter-1", "#chapter-2"]
    assert all(page.find(id=chapter[1:]) for chapter in chapters)
    assert page.find("script", src=re.compile("mathjax")), "names hold formulas"


@pytest.mark.slow
def test_index_follows_the_pages(book: Book) -> None:
    book.write("2-two", SECOND.replace("Two (and more)", "Renamed"))
    book.build()
    assert book.rows()["2. Chapter two"] == [["Definition 2.1", "Renamed", "", "1.2"]]

    earlier = ":::{prf:definition} Earlier\n:label: def-earlier\nText.\n:::\n\n"
    book.write("2-two", SECOND.replace(":::{prf", earlier + ":::{prf"))
    book.build()
    assert [row[:2] for row in book.rows()["2. Chapter two"]] == [
        ["Definition 2.1", "Earlier"],
        ["Definition 2.2", "Two (and more)"],
    ]

    book.write("1-one", "# The first page\n\nNothing is left.\n")
    book.write("2-two", "# The second page\n\nNothing is left.\n")
    book.build()
    assert book.rows() == {}
    assert "No statements yet." in book.html("statements").text


@pytest.mark.slow
def test_a_witness_of_nothing_stops_the_build(book: Book) -> None:
    book.write("1-one", FIRST.replace("witness: thm-line", "witness: thm-lime", 1))
    with pytest.raises(ExtensionError, match="'page-witness-line' is a witness of 'thm-lime'"):
        book.build()


@pytest.mark.slow
def test_search_knows_statements_by_their_names(book: Book) -> None:
    for _ in range(2):  # a warm build reads the old search index
        titles = book.titles()
        assert [place[1] for place in titles["W1 on the line"]] == ["thm-line"]
        assert [place[1] for place in titles["Two (and more)"]] == ["def-two"]
        assert [place[1] for place in titles["An exercise"]] == ["page-exercise"]
        assert not [title for title in titles if title != title.strip() or not title]
        book.write("2-two", SECOND + "\nMore.\n")
        book.build()


def test_pages_are_forgotten_and_merged() -> None:
    page = statements.Page(uses=[("thm", "exercise")])
    here, there = SimpleNamespace(), SimpleNamespace()
    statements.pages_of(there).update({"a": page, "b": page})  # type: ignore[arg-type]
    statements.merge(None, here, {"a"}, there)  # type: ignore[arg-type]
    assert statements.pages_of(here) == {"a": page}  # type: ignore[arg-type]
    statements.purge(None, here, "a")  # type: ignore[arg-type]
    assert statements.pages_of(here) == {}  # type: ignore[arg-type]


# Statements with a proof and no witness. A new one needs a witness, or a word here why not.
UNTESTED = {
    "lem-tv-coupling",  # prop-bounds, which follows from it, is tested
    "lem-chi-square",  # a step of prop-sqrt-two, which is tested
    "prop-no-density",  # values without a density are limits; the rest is prop-scaling, tested
}


def test_what_is_proved_is_tested() -> None:
    proved = {
        label
        for page in pages()
        for label in re.findall(
            r"^:{3,}\{prf:(?:theorem|lemma|proposition|corollary)\}.*\n:label: (\S+)$",
            page.read_text(encoding="utf-8"),
            re.MULTILINE,
        )
    }
    tested = {c.options["witness"] for p in pages() for c in cells(p) if "witness" in c.options}
    assert len(proved) > 100
    assert proved - tested == UNTESTED


def test_statements_have_labels() -> None:
    for path in (p for p in BOOK.rglob("*.md") if "_ext" not in p.parts):
        lines = path.read_text(encoding="utf-8").splitlines()
        for line, following in itertools.pairwise(lines):
            if re.match(r":{3,}\{prf:(?!proof)\w+\}", line):
                assert following.startswith(":label: "), f"{path.name}: {line} has no label"
