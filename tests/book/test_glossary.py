"""Terms are linked at their first use in running text, on the site and not in notebooks."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from coursebook import glossary
from coursebook.notebooks import NotebookBuilder
from page import BOOK
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

CONF = """
extensions = ["myst_nb", "sphinx_design", "sphinx_proof", "sphinx_exercise",
              "coursebook.glossary"]
numfig = True
nb_execution_mode = "off"
suppress_warnings = ["myst-nb.lexer"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
html_theme = "basic"
"""
GLOSSARY = """# Glossary

```{glossary}
coupling
  A plan that a critic knows. {also}`couplings`

Wasserstein distance
  The cost of the cheapest coupling.

Wasserstein GAN
  A game. {also}`WGAN`

critic
  A network. {also}`critics, one critic's`
```
"""
PAGE = """---
file_format: mystnb
kernelspec: {name: python3}
---

# The coupling of a page

:::{admonition} What you will learn
:class: tip
- A coupling.
:::

## Another coupling

In `coupling` and [a coupling](glossary.md) and $coupling$ there is none.

:::{dropdown} Proof of a coupling
A coupling.
:::

| coupling |
|---|
| a coupling |

```{code-cell}
:id: one
coupling = 1
```

:::{prf:theorem} About a coupling
:label: thm-coupling
Here *couplings* are first used.
:::

A coupling again, and a Wasserstein distance, Wasserstein distances apart.
A non-critic, a critic-like thing, a WGAN-GP.
Critics come last, and a critic’s word; wgan is none, WGAN is.

```{exercise} Coupling
:label: ex
With a Wasserstein GAN.
```
"""


class Book:
    """A glossary and a page."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.source = folder, folder / "source"
        self.source.mkdir()
        (self.source / "conf.py").write_text(CONF)
        self.write("index", "# A book\n\nA critic.\n\n```{toctree}\npage\nglossary\n```\n")
        self.write("glossary", GLOSSARY)
        self.write("page", PAGE)

    def write(self, page: str, text: str) -> None:
        (self.source / f"{page}.md").write_text(text)

    def build(self, builder: str = "html") -> set[str]:
        """Build in this process; the pages that were written."""
        app = SphinxTestApp(
            builder, srcdir=self.source, builddir=self.folder / "out", warningiserror=True
        )
        try:
            app.build()
        finally:
            app.cleanup()
        shown = re.sub(r"\x1b\[[\d;]*m", "", app.status.getvalue())
        return set(re.findall(r"writing output\.\.\. \[ *\d+%\] (\S+)", shown))

    def links(self, page: str) -> list[tuple[str, str, str]]:
        """Text, address and parent of each link to a term."""
        text = (self.folder / "out" / "html" / f"{page}.html").read_text()
        found = BeautifulSoup(text, "html.parser").select("a.term-link")
        return [(" ".join(a.text.split()), a["href"], a.parent.name) for a in found]


@pytest.fixture
def book(tmp_path: Path) -> Book:
    return Book(tmp_path)


@pytest.mark.slow
def test_first_use_in_running_text_is_linked(book: Book) -> None:
    book.build()
    assert book.links("page") == [
        ("couplings", "glossary.html#term-coupling", "em"),
        ("Wasserstein distance", "glossary.html#term-Wasserstein-distance", "p"),
        ("Critics", "glossary.html#term-critic", "p"),
        ("WGAN", "glossary.html#term-Wasserstein-GAN", "p"),
    ]
    assert book.links("index") == [("critic", "glossary.html#term-critic", "p")]
    assert book.links("glossary") == []
    entry = (book.folder / "out" / "html" / "glossary.html").read_text()
    assert "couplings" not in entry
    assert all(f'id="{link[1].partition("#")[2]}"' in entry for link in book.links("page"))


@pytest.mark.slow
def test_pages_follow_the_terms_and_not_their_meaning(book: Book) -> None:
    assert book.build() == {"index", "page", "glossary"}
    assert book.build() == set()
    book.write("glossary", GLOSSARY.replace("A network.", "Something else."))
    assert book.build() == {"index", "glossary"}  # the index shows the glossary's title
    book.write("glossary", GLOSSARY.replace("`couplings`", "`something else`"))
    assert book.build() == {"index", "page", "glossary"}
    assert ("coupling", "glossary.html#term-coupling", "p") in book.links("page")
    book.write("glossary", "# Glossary\n\nNo terms.\n")
    assert book.build() == {"index", "page", "glossary"}
    assert book.links("page") == []


@pytest.mark.slow
def test_other_builders_keep_the_plain_text(book: Book) -> None:
    book.build("xml")
    page = (book.folder / "out" / "xml" / "page.xml").read_text()
    assert "couplings" in page
    assert "term-link" not in page
    assert NotebookBuilder.format not in glossary.TermLinks.formats


@pytest.mark.slow
def test_a_spelling_belongs_to_one_term(book: Book) -> None:
    book.write("glossary", GLOSSARY.replace("`WGAN`", "`Coupling`"))
    with pytest.raises(ExtensionError, match="two terms are spelled 'Coupling'"):
        book.build()


@pytest.mark.slow
def test_the_role_needs_a_definition(book: Book) -> None:
    book.write("page", "# Page\n\nA word. {also}`words`\n")
    with pytest.raises(ExtensionError, match="page: the role also stands outside"):
        book.build()


def test_pattern_finds_whole_words_the_longest_first() -> None:
    words = glossary.pattern(["collapse", "mode collapse", "GAN", "critic's"])
    text = "Mode collapse, Collapse, collapsed, GAN, gan, GAN-like, mini-GAN, critic’s."
    assert words.findall(text) == ["Mode collapse", "Collapse", "GAN", "critic’s"]


def test_terms_are_forgotten_and_merged() -> None:
    here, there = SimpleNamespace(), SimpleNamespace()
    terms = {"critic": ("a", "term-critic")}
    there.coursebook_terms = {"a": terms, "b": terms}
    glossary.merge(None, here, {"a"}, there)  # type: ignore[arg-type]
    assert glossary.terms_of(here) == terms  # type: ignore[arg-type]
    with pytest.raises(ExtensionError, match=r"b: another glossary has the terms \['critic'\]"):
        glossary.terms_of(there)  # type: ignore[arg-type]
    glossary.purge(None, here, "a")  # type: ignore[arg-type]
    assert glossary.terms_of(here) == {}  # type: ignore[arg-type]


def _entries() -> list[str]:
    text = (BOOK / "appendix" / "glossary.md").read_text(encoding="utf-8")
    body = text.split("```{glossary}\n")[1].split("\n```")[0]
    return [entry for entry in body.split("\n\n") if "\n  " in entry]


def test_every_term_leads_to_the_book() -> None:
    assert len(_entries()) >= 60
    for entry in _entries():
        assert re.search(r"\{prf:ref\}`|\]\([\w./-]+\.md", entry), entry
