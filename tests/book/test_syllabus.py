"""Plans of lessons: minutes come from the pages, and no page stands before what it needs."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from coursebook.syllabus import _time
from sphinx.errors import ExtensionError
from sphinx.testing.util import SphinxTestApp

BOOK = Path(__file__).parents[2] / "book"
CONF = """
extensions = ["myst_nb", "sphinx_proof", "sphinx_exercise", "coursebook.pages",
              "coursebook.roadmap", "coursebook.syllabus"]
numfig = True
numfig_secnum_depth = 1
nb_execution_mode = "off"
html_theme = "basic"
myst_enable_extensions = ["dollarmath", "colon_fence"]
"""
INDEX = """# A book

```{toctree}
:numbered:
book/one
book/two
```

```{toctree}
plan
```
"""
ONE = "# One\n\n```{page-info}\n```\n\n" + "word " * 1500
TWO = """# Two

```{page-info}
```

*You need*: the page [](one.md).

```{exercise}
:label: two-a
Do it.
```
"""
Build = Callable[[str], dict[str, list[str]]]


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Build a book of two pages with a plan; give its rows by their first cell."""
    source = tmp_path / "source"
    (source / "book").mkdir(parents=True)
    for name, text in (("conf.py", CONF), ("index.md", INDEX), ("book/one.md", ONE)):
        (source / name).write_text(text)
    (source / "book/two.md").write_text(TWO)

    def run(plan: str) -> dict[str, list[str]]:
        text = f"# Plan\n\n```{{syllabus}} Day\n{plan}\n```\n"
        if not (source / "plan.md").exists() or (source / "plan.md").read_text() != text:
            (source / "plan.md").write_text(text)
        app = SphinxTestApp("html", srcdir=source, builddir=tmp_path / "out")
        try:
            app.build()
        finally:
            app.cleanup()
        page = BeautifulSoup((tmp_path / "out/html/plan.html").read_text(), "html.parser")
        rows = [[c.get_text() for c in row.select("th, td")] for row in page.select("tr")]
        return {row[0]: row[1:] for row in rows}

    return run


def test_the_table_adds_up_what_the_pages_say(build: Build) -> None:
    rows = build("one\none, two")
    assert rows["Day"] == ["Pages", "Read", "Proofs", "Exercises"]
    assert rows["1"] == ["1 One", "10 min", "", "0"]
    assert rows["2"] == ["1 One; 2 Two", "15 min", "", "1"]
    assert rows["all"] == ["2 pages", "15 min", "", "1"]


def test_the_table_follows_the_pages(build: Build, tmp_path: Path) -> None:
    assert build("one")["1"][1] == "10 min"
    (tmp_path / "source/book/one.md").write_text(ONE + "word " * 10_000)
    assert build("one")["1"][1] == "1 h"


def test_a_page_before_one_that_it_needs_is_refused(build: Build) -> None:
    with pytest.raises(ExtensionError, match=r"plan\.md:\d+: .* 'two' before 'one', which it"):
        build("two\none")
    assert build("two")["1"][0] == "2 Two"  # what a plan leaves out is the teacher's choice


def test_a_page_that_is_none_is_refused(build: Build) -> None:
    with pytest.raises(ExtensionError, match="names 'three', which is no page"):
        build("one, three")


@pytest.mark.parametrize(
    ("minutes", "told"), [(0, ""), (45, "45 min"), (120, "2 h"), (125, "2 h 5 min")]
)
def test_minutes_in_words(minutes: int, told: str) -> None:
    assert _time(minutes) == told


def test_the_longest_plan_has_every_page() -> None:
    toc = yaml.safe_load((BOOK.parent / "_toc.yml").read_text())
    chapters = [c for part in toc["parts"] if part.get("numbered") for c in part["chapters"]]
    files = [section["file"] for chapter in chapters for section in chapter.get("sections", [])]
    text = (BOOK / "appendix/instructors.md").read_text()
    plans = [
        [name.strip() for line in plan.splitlines() for name in line.split(",")]
        for plan in re.findall(r"^```\{syllabus\} \w+\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    ]
    assert len(plans) == 3
    assert sorted(f"book/{name}" for name in plans[-1]) == sorted(files)
    assert all(len(plan) == len(set(plan)) for plan in plans)
