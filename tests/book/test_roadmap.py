"""The picture of the pages and what they need."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from bs4 import BeautifulSoup
from coursebook.roadmap import Stop, as_list, backward, direct, picture
from docutils import nodes
from page import pages
from sphinx.testing.util import SphinxTestApp

CHAPTER = Stop("1/index", "First & last", "1.")
A = Stop("1/a", "A page", "1.1.", (), 25)
B = Stop("1/b", "A page with a title that does not fit on one line", "1.2.", ("1/a",), 30)
C = Stop("1/c", "The end", "1.3.", ("1/a", "1/b", "gone"), 5)
ROUTE = [CHAPTER, A, B, C]
ADDRESS = {stop.docname: f"../{stop.docname}.html" for stop in ROUTE}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.stem)
def test_each_page_says_what_it_needs(page: Path) -> None:
    """In the form that the picture reads; what stands there in words alone, it cannot show."""
    (line,) = re.findall(r"^\*You need\*: (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert not re.search(r"pages? (before|above)|chapters? before", line)


def test_an_arc_is_left_out_where_others_say_so_already() -> None:
    assert direct(ROUTE) == {"1/a": [], "1/b": ["1/a"], "1/c": ["1/b"]}
    alone = Stop("1/c", "The end", "1.3.", ("1/a",), 5)
    assert direct([CHAPTER, A, B, alone])["1/c"] == ["1/a"]


def test_a_page_that_comes_later_is_no_need() -> None:
    assert backward(ROUTE) == []
    assert backward([CHAPTER, B, A]) == [(B, "1/a")]


def test_the_picture_links_every_page_and_says_what_it_is() -> None:
    svg = BeautifulSoup(picture(ROUTE, ADDRESS), "html.parser").svg
    assert svg is not None
    for role in ("aria-labelledby", "aria-describedby"):
        described = svg.find(id=svg[role])
        assert described is not None
        assert described.text
    links = svg.find_all("a")
    assert [link["href"] for link in links] == [ADDRESS[stop.docname] for stop in ROUTE]
    assert links[0].text == "1. First & last"
    assert " ".join(part.text for part in links[2].find_all("tspan")) == B.name
    assert [arc["class"][:2] for arc in svg.find_all("path")] == [["n1", "n2"], ["n2", "n3"]]
    assert len({link["id"] for link in links}) == len(ROUTE)


def test_the_picture_fits_a_phone() -> None:
    svg = BeautifulSoup(picture(ROUTE, ADDRESS), "html.parser").svg
    assert svg is not None
    width = float(str(svg["viewbox"]).split()[2])
    assert width <= 358  # of 390 pixels, without the margins: nothing shrinks
    for part in svg.find_all("tspan"):
        assert float(str(part["x"])) + 7.6 * len(part.text) < width
    for area in svg.find_all("rect"):
        assert float(str(area["height"])) >= 24  # WCAG 2.5.8


def test_the_list_holds_every_need() -> None:
    items = [item.astext() for item in as_list(ROUTE, ADDRESS).findall(nodes.list_item)]
    assert items == [
        "1.1. A page (25 minutes)",
        f"{B.name} (30 minutes): needs 1.1",
        "1.3. The end (5 minutes): needs 1.1, 1.2",
    ]


CONF = """
extensions = ["myst_nb", "sphinx_proof", "sphinx_exercise", "coursebook.pages",
              "coursebook.roadmap"]
html_theme = "basic"
"""
PAGE = """# {title}

```{{page-info}}
```

```{{admonition}} What you will learn
*You need*: {needs}.
```

```{{prf:theorem}} Of {title}
:label: thm-{title}
Text.
```
"""


class Book:
    """Two chapters' worth of pages, in a fresh process of reading each time it is built."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "conf.py").write_text(CONF)
        toc = "```{toctree}\n:numbered:\none\ntwo\nthree\n```\n"
        (folder / "index.md").write_text(f"# Book\n\n```{{roadmap}}\n```\n\n{toc}")
        self.write("one", "nothing")
        self.write("two", "[](one.md)")
        self.write("three", "{prf:ref}`thm-two`")

    def write(self, name: str, needs: str) -> None:
        (self.folder / f"{name}.md").write_text(PAGE.format(title=name, needs=needs))

    def build(self, builder: str = "html") -> tuple[str, str]:
        """The first page, and the warnings."""
        app: Any = SphinxTestApp(builder, srcdir=self.folder)
        try:
            app.build()
            text = Path(app.outdir, f"index.{builder}").read_text(encoding="utf-8")
            return text, app.warning.getvalue()
        finally:
            app.cleanup()

    def needs(self) -> list[str]:
        return [
            item.text
            for item in BeautifulSoup(self.build()[0], "html.parser").select(".roadmap-list li")
        ]


def test_the_page_follows_the_pages_when_they_change(tmp_path: Path) -> None:
    book = Book(tmp_path)
    first = ["1. one (5 minutes)", "2. two (5 minutes): needs 1", "3. three (5 minutes): needs 2"]
    assert book.needs() == first
    assert book.needs() == first  # nothing was read
    book.write("three", "{prf:ref}`thm-two` and [](one.md)")
    assert book.needs()[2] == "3. three (5 minutes): needs 2, 1"
    index = tmp_path / "index.md"
    index.write_text(index.read_text().replace("three\n", "").replace("one\n", "three\none\n"))
    text, warnings = book.build()
    assert "three: WARNING: needs the page two, which comes later" in warnings.replace(".md", "")
    assert 'href="three.html"' in text


def test_without_a_browser_there_is_the_list(tmp_path: Path) -> None:
    text, _ = Book(tmp_path).build("pseudoxml")
    assert "5 minutes" in text
    assert "svg" not in text
