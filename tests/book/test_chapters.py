"""Chapters have the numbers of their folders, in the text, the contents and all references."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from coursebook.chapters import _renumbered_figures, chapters
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

pytestmark = pytest.mark.slow

CONF = """
extensions = ["myst_nb", {toc}"sphinx_proof", "sphinx_exercise", "coursebook.chapters"]
external_toc_path = "_toc.yml"
numfig = math_numfig = True
numfig_secnum_depth = 1
nb_execution_mode = "off"
myst_enable_extensions = ["dollarmath", "amsmath"]
html_theme = "basic"
"""
PAGE = """# {title}

## A section of {title}

```{{prf:theorem}} Of {title}
:label: thm-{title}
Text.
```

```{{prf:theorem}} The second
:label: thm-second-{title}
Text.
```

```{{exercise}}
:label: ex-{title}
Text.
```

```{{math}}
:label: eq-{title}
x = 1
```

```{{figure}} ../dot.svg
:name: fig-{title}
Caption.
```
"""
REFERENCES = """# {title}

Look at {{prf:ref}}`thm-second-{page}`,
{{ref}}`ex-{page}`, {{eq}}`eq-{page}` and {{numref}}`fig-{page}`.
"""
APPENDIX = """# Appendix

```{figure} dot.svg
:name: fig-appendix
Caption.
```
"""


class Book:
    """A small book whose chapters lie in the given folders."""

    def __init__(self, folder: Path, names: tuple[str, ...], *, external: bool) -> None:
        self.folder, self.names, self.external = folder, names, external
        self.source = folder / "source"
        self.source.mkdir()
        toc = '"sphinx_external_toc", ' if external else ""
        (self.source / "conf.py").write_text(CONF.format(toc=toc))
        (self.source / "dot.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
        (self.source / "appendix.md").write_text(APPENDIX)
        for name in names:
            self.add(name)
        self.order(names)

    def add(self, name: str) -> None:
        chapter, page = self.source / name, name.partition("-")[2]
        chapter.mkdir()
        below = "" if self.external else "\n```{toctree}\npage\n```\n"
        index = REFERENCES.format(title=f"Chapter {page}", page=page)
        (chapter / "index.md").write_text(index + below)
        (chapter / "page.md").write_text(PAGE.format(title=page))

    def order(self, names: tuple[str, ...]) -> None:
        if self.external:
            entries = "".join(
                f"  - file: {name}/index\n    sections:\n    - file: {name}/page\n"
                for name in names
            )
            parts = f"- numbered: true\n  chapters:\n{entries}- chapters:\n  - file: appendix\n"
            (self.source / "_toc.yml").write_text(
                f"root: index\nsubtrees:\n{parts}".replace("chapters:", "entries:").replace(
                    "sections:", "entries:"
                )
            )
            (self.source / "index.md").write_text("# A book\n")
        else:
            entries = "\n".join(f"{name}/index" for name in names)
            (self.source / "index.md").write_text(
                f"# A book\n\n```{{toctree}}\n:numbered:\n{entries}\n```\n\n"
                "```{toctree}\nappendix\n```\n"
            )

    def build(self) -> set[str]:
        """Build the site in this process; the pages that were written."""
        app = SphinxTestApp(
            "html", srcdir=self.source, builddir=self.folder / "out", warningiserror=True
        )
        try:
            app.build()
            self.env = app.env
        finally:
            app.cleanup()
        written = re.sub(r"\x1b\[[\d;]*m", "", app.status.getvalue())
        return set(re.findall(r"writing output\.\.\. \[ *\d+%\] (\S+)", written))

    def text(self, page: str) -> str:
        html = (self.folder / "out" / "html" / f"{page}.html").read_text()
        return " ".join(BeautifulSoup(html, "html.parser").select_one("div.body").text.split())


Books = Callable[..., Book]


@pytest.fixture(params=[False, True], ids=["toctree", "external toc"])
def books(request: pytest.FixtureRequest, tmp_path: Path) -> Books:
    return lambda *names: Book(tmp_path, names, external=request.param)


def _page_has_number(book: Book, folder: str, number: int) -> None:
    text = book.text(f"{folder}/page")
    name = folder.partition("-")[2]
    for shown in (
        f"{number}.1. {name}",
        f"{number}.1.1. A section of {name}",
        f"Theorem {number}.1 (Of {name})",
        f"Theorem {number}.2 (The second)",
        f"Exercise {number}.1",
        f"({number}.1)",
        f"Fig. {number}.1",
    ):
        assert shown in text, (shown, text)
    text = book.text(f"{folder}/index")
    for shown in (
        f"{number}. Chapter {name}",
        f"Look at Theorem {number}.2, Exercise {number}.1, ({number}.1) and Fig. {number}.1.",
    ):
        assert shown in text, (shown, text)


def test_first_chapter_is_zero_and_the_others_keep_their_numbers(books: Books) -> None:
    book = books("0-zero", "1-one", "2-two")
    book.build()
    for number, folder in enumerate(book.names):
        _page_has_number(book, folder, number)
    contents = book.text("index")
    if not book.external:  # there the theme shows the contents, from the numbers below
        assert "0. Chapter zero 0.1. zero 0.1.1. A section" in contents
    assert book.env.titles["0-zero/page"]["secnumber"] == [0, 1]
    assert book.env.titles["2-two/index"]["secnumber"] == [2]
    assert "Fig. 1 " in book.text("appendix")


def test_nothing_is_written_where_nothing_changed(books: Books) -> None:
    book = books("0-zero", "1-one")
    assert "0-zero/page" in book.build()
    before = book.env.toc_secnumbers, book.env.toc_fignumbers
    assert book.build() == set()
    assert (book.env.toc_secnumbers, book.env.toc_fignumbers) == before
    page = book.source / "1-one" / "page.md"
    page.write_text(page.read_text() + "\nMore text.\n")
    assert not {"0-zero/page", "0-zero/index"} & book.build()
    _page_has_number(book, "0-zero", 0)
    _page_has_number(book, "1-one", 1)


def test_chapter_zero_can_come_later_and_go_again(books: Books) -> None:
    book = books("1-one", "2-two")
    book.build()
    book.add("0-zero")
    book.order(("0-zero", "1-one", "2-two"))
    book.build()
    for number, folder in enumerate(("0-zero", "1-one", "2-two")):
        _page_has_number(book, folder, number)
    shutil.rmtree(book.source / "0-zero")
    book.order(("1-one", "2-two"))
    book.build()
    for number, folder in ((1, "1-one"), (2, "2-two")):
        _page_has_number(book, folder, number)


def test_other_folders_keep_sphinxs_numbers(books: Books) -> None:
    book = books("x-one", "y-two")
    book.build()
    _page_has_number(book, "x-one", 1)
    _page_has_number(book, "y-two", 2)


def test_contradictions_are_named() -> None:
    assert chapters({"0-a/index": {"": (1,)}, "0-a/x": {"": (1, 1)}, "b": {"": (2,)}}) == {
        1: 0,
        2: 2,
    }
    with pytest.raises(ExtensionError, match="0-a/index and 1-b/x stand in one chapter"):
        chapters({"0-a/index": {"": (1,)}, "1-b/x": {"": (1, 1)}})
    with pytest.raises(ExtensionError, match="0-a/index and 0-b/index stand in two chapters"):
        chapters({"0-a/index": {"": (1,)}, "0-b/index": {"": (2,)}})
    with pytest.raises(ExtensionError, match="number 2"):
        chapters({"2-a/index": {"": (1,)}, "b/index": {"": (2,)}})


def test_figures_numbered_through_the_book_have_no_chapter() -> None:
    numbers = {"figure": {"a": (1,)}, "theorem": {"b": (1, 1)}}
    assert _renumbered_figures(numbers, {1: 0}) == {
        "figure": {"a": (1,)},
        "theorem": {"b": (0, 1)},
    }
