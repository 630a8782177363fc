"""The whole book by LaTeX: the site's macros, numbers and pictures in what Jupyter Book writes."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from coursebook.printing import preamble

ROOT = Path(__file__).parents[2]


def test_macros_become_commands() -> None:
    text = preamble({"R": r"\mathbb{R}", "norm": [r"\lVert #1 \rVert", 1]})
    assert text.startswith("\\AtBeginDocument{%\n")
    assert r"\providecommand{\R}{}\renewcommand{\R}{\mathbb{R}}" in text
    assert r"\renewcommand{\norm}[1]{\lVert #1 \rVert}" in text
    with pytest.raises(ValueError, match="'o' has an optional argument"):
        preamble({"o": ["#1", 1, "x"]})


def test_every_figure_that_latex_cannot_read_has_a_pdf() -> None:
    for page in (page for page in (ROOT / "book").rglob("*.md") if "_ext" not in page.parts):
        for name in re.findall(r"\{figure\} (\S+\.svg)", page.read_text(encoding="utf-8")):
            assert (page.parent / name).with_suffix(".pdf").is_file(), f"{page.name}: {name}"


PAGE = r"""---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  name: python3
---
# A page

```{page-info}
:run: a few seconds
```

:::{prf:theorem} Of the page
:label: thm-page
Let $x \in \R$. Then

```{math}
:label: eq-page
\E x \le \softplus(x) .
```
:::

:::{dropdown} Proof
Look.
:::

By {prf:ref}`thm-page`, {eq}`eq-page` and {numref}`fig-page`, and not by erratum {erratum}`7`.

```{exercise} To do
:label: page-exercise
What is $\R \setminus \R$?
```

```{figure} picture.svg
:name: fig-page
:alt: A box.
A box.
```

```{code-cell}
---
id: widget
---
from gan_course import widgets
widgets.two_gaussians(mu=1)
```
"""
LONG = "| name | words |\n|---|---|\n" + "| `a-long-name` | many words |\n" * 40
FILES = {
    "book/index.md": "# A book\n\nWords.\n\n## How to read it\n\n```{roadmap}\n```\n",
    "book/0-none/index.md": "# None\n\nWords, as in {numref}`page-exercise`.\n",
    "book/1-one/index.md": "# One\n\nWords.\n",
    "book/1-one/page.md": PAGE,
    "book/1-one/picture.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
    "book/appendix/errata.md": "# Last\n\n```{errata} ../errata.yml\n```\n\n" + LONG,
    "book/errata.yml": """sources: {notes: The notes}
rows: [{number: 7, source: notes, place: p. 1, kind: M, says: a, right: b, settled: c}]
""",
}
CHAPTERS = """format: jb-book
root: book/index
parts:
  - caption: The course
    numbered: true
    chapters:
      - file: book/0-none/index
      - file: book/1-one/index
        sections:
          - file: book/1-one/page
  - caption: Appendices
    chapters:
      - file: book/appendix/errata
"""
STRUCTURE = re.compile(
    r"\\setcounter\{chapter\}\{-?\d\}|\\appendix$|\\(?:chapter|section)\{[\w ]+\}", re.MULTILINE
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the LaTeX of a small book, with the configuration of the real one."""
    folder = tmp_path_factory.mktemp("paper")
    for name, text in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    shutil.copy(ROOT / "book/1-gan-paradigm/game.pdf", folder / "book/1-one/picture.pdf")
    for name in ("book/_ext", "book/_static", "constraints.txt"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "notebooks/student").mkdir(parents=True)
    (folder / "_toc.yml").write_text(CHAPTERS)
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    del config["bibtex_bibfiles"]
    sphinx = config["sphinx"]["config"]
    sphinx["extensions"].remove("sphinxcontrib.bibtex")
    config["sphinx"]["config"] = {k: v for k, v in sphinx.items() if not k.startswith("bibtex")}
    (folder / "_config.yml").write_text(yaml.safe_dump(config))
    done = subprocess.run(
        [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "--builder", "latex"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT}/book/_ext"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return folder / "_build/latex"


@pytest.mark.slow
def test_latex_has_the_numbers_macros_and_pictures_of_the_site(written: Path) -> None:
    text = (written / "gan-course.tex").read_text(encoding="utf-8")
    assert r"\renewcommand{\softplus}{\operatorname{softplus}}" in text
    assert STRUCTURE.findall(text) == [
        "\\setcounter{chapter}{-1}",
        "\\chapter{None}",
        "\\setcounter{chapter}{0}",
        "\\chapter{One}",
        "\\section{A page}",
        "\\appendix",
        "\\chapter{Last}",
    ]
    assert "{Theorem 1.1 (Of the page)}" in text
    assert "Theorem 1.1}" in text.split("By ")[1]
    assert "a few seconds to run on two CPU cores" in text  # and no time of this machine
    assert "needs" not in text.split("How to read it")[1].split("\\chapter")[0]
    assert r"\sphinxincludegraphics{{picture}.pdf}" in text
    (still,) = re.findall(r"\{\{(still-\w+)\}\.png\}", text)
    assert (written / f"{still}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" not in text
    there = r"\detokenize{book/1-one/page:page-exercise}"
    assert rf"\label{{{there}}}" in text
    assert rf"\hyperref[{there}]{{\sphinxcrossref{{Exercise 1.1}}}}" in text
    assert r"\begin{longtable}{\X{14}{27}\X{13}{27}}" in text  # letters of a long name, and 3 more
    assert r"a\sphinxhyphen{}\allowbreak{}long\sphinxhyphen{}\allowbreak{}name" in text


@pytest.mark.slow
def test_latex_makes_a_pdf_of_it(written: Path) -> None:
    if not (shutil.which("xelatex") and shutil.which("latexmk")):
        pytest.skip("xelatex and latexmk are missing; make pdf needs them")
    command = ["latexmk", "-xelatex", "-interaction=nonstopmode", "-halt-on-error"]
    done = subprocess.run(
        [*command, "gan-course.tex"], cwd=written, capture_output=True, text=True, errors="replace"
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert (written / "gan-course.pdf").read_bytes().startswith(b"%PDF")
    log = (written / "gan-course.log").read_text(encoding="utf-8", errors="replace")
    assert not re.findall(r"eference `.*' on page \d+ unde", log)
    assert "Missing character" not in log


@pytest.mark.slow
def test_make_pdf_says_what_is_missing(tmp_path: Path) -> None:
    """Where LaTeX is missing, before anything is built."""
    for tool in ("bash", "make", "sed", "env", "python3", "echo"):
        found = shutil.which(tool)
        if found:
            (tmp_path / tool).symlink_to(found)
    done = subprocess.run(
        [shutil.which("make") or "make", "pdf", "-o", ".venv/.installed"],
        cwd=ROOT,
        env={"PATH": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "LaTeX is missing: make pdf needs xelatex" in done.stderr
