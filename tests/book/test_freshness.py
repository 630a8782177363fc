"""A page runs again when something that it depends on changed, and only then."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]

HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  display_name: Python 3
  name: python3
---
# {title}

"""
CLAIMING = """```{code-cell}
---
id: claiming
---
from gan_course import claims, seeds, transport
values = [transport.WEIGHT + 0.02 * (seed % 2) for seed in seeds(16)]
claims.mean("one-weight", "The weight is small.", values, below=3)
print("base", seeds(1)[0])
```

The weight is {measured}`one-weight`.
"""
UNRELATED = """```{code-cell}
---
id: unrelated
---
from gan_course import data
print(data.Normal())
```
"""


class Book:
    """A small book with its own copy of the package."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "gan_course", folder / "gan_course")
        shutil.copytree(ROOT / "book" / "_ext", folder / "book" / "_ext")
        shutil.copytree(ROOT / "book" / "_static", folder / "book" / "_static")
        shutil.copy(ROOT / "book" / "errata.yml", folder / "book" / "errata.yml")
        shutil.copy(ROOT / "constraints.txt", folder)
        (folder / "notebooks" / "student").mkdir(parents=True)
        config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
        config["sphinx"]["config"].pop("html_favicon", None)
        config.pop("bibtex_bibfiles")
        config["sphinx"]["config"]["extensions"].remove("sphinxcontrib.bibtex")
        config["sphinx"]["config"] = {
            k: v for k, v in config["sphinx"]["config"].items() if not k.startswith("bibtex")
        }
        (folder / "_config.yml").write_text(yaml.safe_dump(config))
        chapters = [{"file": f"book/{name}"} for name in ("one", "two", "ledger")]
        toc = {"format": "jb-book", "root": "book/index", "chapters": chapters}
        (folder / "_toc.yml").write_text(yaml.safe_dump(toc))
        (folder / "book" / "index.md").write_text("# A book\n")
        (folder / "book" / "ledger.md").write_text("# Ledger\n\n```{ledger}\n```\n")
        self.write("one", CLAIMING)
        self.write("two", UNRELATED)
        self.edit("gan_course/transport.py", "Array = NDArray", "WEIGHT = 1.0\n\nArray = NDArray")

    def write(self, page: str, body: str) -> None:
        path = self.folder / "book" / f"{page}.md"
        path.write_text(HEADER.format(title=page) + body, encoding="utf-8")

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    def build(self, **env: str) -> tuple[bool, set[str]]:
        """Whether it succeeded, and the pages that ran."""
        done = subprocess.run(
            [Path(sys.executable).with_name("jupyter-book"), "build", ".", "-W", "--keep-going"],
            cwd=self.folder,
            env=os.environ | {"PYTHONPATH": f"{self.folder}:{self.folder}/book/_ext"} | env,
            capture_output=True,
            text=True,
        )
        self.output = done.stdout + done.stderr
        return done.returncode == 0, set(re.findall(r"(\w+)\.md: Executing", self.output))

    def html(self, page: str) -> str:
        text = (self.folder / "_build" / "html" / "book" / f"{page}.html").read_text("utf-8")
        return re.sub(r"<[^>]+>", "", text.split("<article")[1].split("</article")[0])


@pytest.mark.slow
def test_pages_run_when_they_must(tmp_path: Path) -> None:
    book = Book(tmp_path)
    assert book.build() == (True, {"one", "two"}), book.output
    assert "The weight is 1.01" in book.html("one")
    assert "1.01" in book.html("ledger")
    assert "holds" in book.html("ledger")

    assert book.build() == (True, set()), book.output  # nothing changed, nothing runs

    book.edit("gan_course/transport.py", "WEIGHT = 1.0", "WEIGHT = 2.0")  # a constant
    assert book.build() == (True, {"one"}), book.output
    assert "The weight is 2.01" in book.html("one")
    assert "2.01" in book.html("ledger")

    book.edit("book/one.md", "below=3", "below=2.5")  # a claim
    assert book.build() == (True, {"one"}), book.output
    assert "below 2.5" in book.html("ledger")

    assert book.build(GAN_COURSE_SEED="7") == (True, {"one", "two"}), book.output  # the seed
    assert "base 700000" in book.html("one")

    assert book.build()[0], book.output  # back: the cache still knows the old run
    assert "base 0" in book.html("one")

    book.edit("book/one.md", "below=2.5", "below=1")  # a false claim stops the build
    succeeded, _ = book.build()
    assert not succeeded
    assert "ClaimError" in book.output or "Executing notebook failed" in book.output

    book.write("one", CLAIMING.replace("{measured}`one-weight`", "{measured}`one-wait`"))
    succeeded, _ = book.build()
    assert not succeeded
    assert "records a number named 'one-wait'" in book.output

    book.write("one", "No claim is left.\n")
    assert book.build()[0], book.output
    assert "No claims yet." in book.html("ledger")


def test_fingerprint_follows_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    from coursebook.fingerprint import _modules, fingerprint

    names = {path.name for path in _modules("from gan_course import train\n")}
    assert {"train.py", "data.py", "random.py", "losses.py", "nets.py", "runtime.py"} <= names
    assert not names & {"claims.py", "transport.py", "two_gaussians.js"}
    assert "two_gaussians.js" in {p.name for p in _modules("from gan_course import widgets\n")}
    checks = {str(p.relative_to(p.parents[1])) for p in _modules('check("game-value", x)')}
    assert "check/game.py" in checks
    assert "check/saturation.py" not in checks
    source = "from gan_course import train\n"
    before = fingerprint(source, ROOT)
    assert fingerprint(source, ROOT) == before
    for name, value in (("GAN_COURSE_SEED", "3"), ("GAN_COURSE_SCALE", "smoke")):
        monkeypatch.setenv(name, value)
        assert fingerprint(source, ROOT) != before
        monkeypatch.delenv(name)


def test_fingerprint_sees_recordings_and_the_lock(tmp_path: Path) -> None:
    from coursebook.fingerprint import fingerprint

    (tmp_path / "book" / "recordings").mkdir(parents=True)
    recording, lock = tmp_path / "book" / "recordings" / "a.json", tmp_path / "constraints.txt"
    seen = set()
    for path in (recording, lock, recording, lock):
        path.write_text(str(len(seen)))
        seen.add(fingerprint('open("recordings/a.json")', tmp_path))
    assert len(seen) == 4


def test_errata_file_is_whole() -> None:
    from coursebook.errata import read_errata

    content = read_errata(ROOT / "book" / "errata.yml")
    linked = {
        int(number)
        for page in (ROOT / "book").rglob("*.md")
        for number in re.findall(r"\{erratum\}`(\d+)`", page.read_text(encoding="utf-8"))
    }
    assert linked <= {row["number"] for row in content["rows"]}
    assert linked, "no page links to an erratum"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    kind: M", "    kind: X", "unknown kind"),
        ("number: 72", "number: 79", "stands twice"),
        ("    settled:", "    solved:", "has fields"),
        ("source: critical", "source: nowhere", "unknown kind or source"),
    ],
)
def test_bad_errata(tmp_path: Path, old: str, new: str, message: str) -> None:
    from coursebook.errata import read_errata
    from sphinx.errors import ExtensionError

    text = (ROOT / "book" / "errata.yml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "errata.yml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(ExtensionError, match=message):
        read_errata(tmp_path / "errata.yml")


def test_pages_keep_their_time() -> None:
    """What the last build measured; `make test` builds the book first."""
    import json

    path = ROOT / "_build" / "times.json"
    if not path.exists():
        pytest.skip("the book is not built: run make book")
    times = json.loads(path.read_text())
    assert times
    for page, time in times.items():
        assert time["seconds"] is not None, page
        assert time["seconds"] <= time["budget"], f"{page} takes {time['seconds']:.0f} s"


def test_rerun_reports_changed_verdicts() -> None:
    from coursebook.rerun import pages, report

    assert {page.stem for page in pages()} >= {"game", "saturation"}
    claim = {
        "key": "a",
        "verdict": "holds",
        "expect": "holds",
        "estimate": 1.0,
        "low": 0.9,
        "high": 1,
    }
    other = claim | {"key": "b", "verdict": "undecided"}
    table, changed = report([claim, other])
    assert changed == 1
    assert [("changed" in line) for line in table.splitlines()] == [False, False, True]
