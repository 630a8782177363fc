"""A page runs again when something that it depends on changed, and only then."""

from __future__ import annotations

import json
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
        self.edit("gan_course/transport/__init__.py", "__all__ =", "WEIGHT = 1.0\n\n__all__ =")

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

    book.edit("gan_course/transport/__init__.py", "WEIGHT = 1.0", "WEIGHT = 2.0")  # a constant
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
    log = tmp_path / "_build" / "html" / "reports" / "book" / "one.err.log"
    assert "ClaimError: expected 'holds'" in re.sub(r"\x1b\[[\d;]*m", "", log.read_text("utf-8"))

    book.write("one", CLAIMING.replace("{measured}`one-weight`", "{measured}`one-wait`"))
    succeeded, _ = book.build()
    assert not succeeded
    assert "records a number named 'one-wait'" in book.output

    book.write("one", "No claim is left.\n")
    assert book.build()[0], book.output
    assert "No claims yet." in book.html("ledger")


def _cell(code: str) -> str:
    return f"```{{code-cell}}\n---\nid: x\n---\n{code}\n```\n"


@pytest.mark.parametrize(
    "code",
    [
        "from gan_course import train",
        "from gan_course import (\n    train,\n)",
        "import gan_course.train as t",
        "def f():\n    from gan_course.train import Game",
        "%matplotlib inline\nfrom gan_course import train",
    ],
)
def test_fingerprint_follows_imports(code: str) -> None:
    from coursebook.fingerprint import modules

    names = {path.name for path in modules(_cell(code))}
    assert {"train.py", "data.py", "random.py", "losses.py", "nets.py", "runtime.py"} <= names
    assert not names & {"claims.py", "divergences.py", "two_gaussians.js"}
    assert not {"train.py"} & {p.name for p in modules("import gan_course.train in prose\n")}


def test_fingerprint_follows_widgets_and_checks() -> None:
    from coursebook.fingerprint import modules

    assert "two_gaussians.js" in {p.name for p in modules(_cell("from gan_course import widgets"))}
    checks = modules(_cell("from gan_course.check import check\ncheck('game-value', x)"))
    found = {str(path.relative_to(path.parents[1])) for path in checks}
    assert "check/game.py" in found
    assert "check/saturation.py" not in found


def test_fingerprint_follows_the_data_that_a_module_reads() -> None:
    from coursebook.fingerprint import modules

    assert "mnist10k.npz" in {p.name for p in modules(_cell("from gan_course import data"))}
    assert "mnist10k.npz" not in {p.name for p in modules(_cell("from gan_course import claims"))}


def test_fingerprint_names_the_page_of_a_fault(tmp_path: Path) -> None:
    from coursebook.fingerprint import fingerprint
    from sphinx.errors import ExtensionError

    with pytest.raises(ExtensionError, match=r"page\.md:2: the cell is not Python"):
        fingerprint("\n" + _cell("def f(:"), ROOT, "page.md")
    with pytest.raises(ExtensionError, match=r"page\.md names the recording .*nowhere\.json"):
        fingerprint("recordings/nowhere.json", ROOT, "page.md")


def test_fingerprint_follows_seed_and_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    from coursebook.fingerprint import fingerprint

    source = _cell("from gan_course import train")
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
    recording.write_text("")
    lock.write_text("")
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


def _late(times: dict[str, dict[str, float]]) -> list[str]:
    return [page for page, time in times.items() if time["seconds"] > time["budget"]]


def test_a_late_page_is_found() -> None:
    assert _late({"a": {"seconds": 61.0, "budget": 60}, "b": {"seconds": 1, "budget": 60}}) == ["a"]


def test_pages_keep_their_time() -> None:
    """What the last build measured; `make test` builds the book first."""
    path = ROOT / "_build" / "times.json"
    if not path.exists():
        pytest.skip("the book is not built: run make book")
    times = json.loads(path.read_text())
    assert {Path(page).name for page in times} >= {"game", "saturation"}
    assert not _late(times), times


@pytest.mark.slow
def test_rerun_measures_and_survives_a_failing_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coursebook.rerun import measure

    page = tmp_path / "page.md"
    body = CLAIMING.replace("transport.WEIGHT", "1").replace(", transport", "")
    page.write_text(HEADER.format(title="A page") + body, encoding="utf-8")
    monkeypatch.setenv("GAN_COURSE_SEED", "7")
    claims, trouble = measure(page)
    assert trouble == ""
    assert [(c["key"], c["verdict"], c["base_seed"]) for c in claims] == [
        ("one-weight", "holds", 7)
    ]
    page.write_text(HEADER.format(title="A page") + body + _cell("assert 1 == 2, 'no'"), "utf-8")
    claims, trouble = measure(page)
    assert len(claims) == 1
    assert "AssertionError: no" in trouble


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
    table, changed = report([claim, other], [])
    assert changed == 1
    assert report([claim], ["page.md: KeyError"])[1] == 1
    assert [("changed" in line) for line in table.splitlines()] == [False, False, True]
