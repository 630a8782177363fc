"""What other sites see of a page, and what stands at its foot."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest
from bs4 import BeautifulSoup
from coursebook import colophon, sharing
from docutils import nodes
from PIL import Image
from sphinx.testing.util import SphinxTestApp

ROOT = Path(__file__).parents[2]
CONFIG = SimpleNamespace(
    html_baseurl="",
    html_theme_options={"repository_url": "https://github.com/someone/copy"},
    html_title='Games & "nets"',
    root_doc="book/index",
)


# ------------------------------------------------------------------ what a page is about


def _page(*children: nodes.Node) -> nodes.document:
    document = nodes.document(None, None)  # type: ignore[arg-type]
    document += nodes.section("", *children)
    return document


def _text(text: str, **options: Any) -> nodes.paragraph:
    return nodes.paragraph("", text, **options)


def test_a_page_is_described_by_its_first_plain_paragraph() -> None:
    boxed = nodes.admonition("", _text("You prove that."))
    formula = nodes.paragraph("", "Let ", nodes.math("", r"x \in \R^d"))
    info = _text("About 5 minutes", classes=["page-info"])
    page = _page(nodes.title("", "Title"), info, boxed, formula, _text("A forger\nowns pictures."))
    assert sharing.description(page) == "A forger owns pictures."
    assert sharing.description(_page(formula.deepcopy())) == r"Let x \in \R^d"
    assert sharing.description(_page()) == ""


def test_a_long_description_ends_with_a_word() -> None:
    found = sharing.description(_page(_text("many words, " * 40)))
    assert found.endswith(("many …", "words …"))
    assert len(found) <= sharing.LONGEST + 2


def test_tags_hold_absolute_addresses_and_no_loose_quotes() -> None:
    text = sharing.tags(CONFIG, "book/1/a", "What <b> is", 'Say "when" & go')
    page = BeautifulSoup(text, "html.parser")
    found = {tag.get("property", tag.get("name")): tag["content"] for tag in page.find_all("meta")}
    assert found == {
        "og:title": "What <b> is",
        "og:type": "article",
        "og:url": "https://someone.github.io/copy/book/1/a.html",
        "og:site_name": 'Games & "nets"',
        "og:description": 'Say "when" & go',
        "og:image": "https://someone.github.io/copy/_static/card.png",
        "og:image:alt": sharing.CARD_ALT,
        "description": 'Say "when" & go',
        "twitter:card": "summary_large_image",
    }
    assert '"og:type" content="website"' in sharing.tags(CONFIG, "book/index", "Book", "")
    assert "description" not in sharing.tags(CONFIG, "book/index", "Book", "")


def test_the_card_has_the_size_that_sites_ask_for() -> None:
    with Image.open(ROOT / "book" / sharing.CARD) as card:
        assert card.size == (1200, 630)
    assert (ROOT / "book" / sharing.CARD).stat().st_size < 300_000


# ------------------------------------------------------------------ the last change, from Git


def _git(folder: Path, *arguments: str, day: str = "2026-01-31") -> None:
    who = {
        f"GIT_{role}_{what}": "a@b"
        for role in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    when = {"GIT_AUTHOR_DATE": f"{day}T23:30:00+0900", "GIT_COMMITTER_DATE": f"{day}T23:30:00+0900"}
    subprocess.run(
        ["git", *arguments],
        cwd=folder,
        check=True,
        capture_output=True,
        env=os.environ | who | when,
    )


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init", "--quiet")
    for name, day in (("a.md", "2026-01-31"), ("b.md", "2026-02-03"), ("data.yml", "2026-03-01")):
        (folder / name).write_text(name)
        _git(folder, "add", name, day=day)
        _git(folder, "commit", "--quiet", "-m", name, day=day)
    return folder


@pytest.mark.parametrize(
    ("files", "day"),
    [
        (("a.md",), "2026-01-31"),
        (("b.md",), "2026-02-03"),
        (("a.md", "b.md"), "2026-02-03"),
        (("a.md", "data.yml"), "2026-03-01"),
        (("a.md", "../outside.txt"), "2026-01-31"),
        (("new.md",), ""),
    ],
)
def test_the_last_change_of_some_files(
    repository: Path, monkeypatch: pytest.MonkeyPatch, files: tuple[str, ...], day: str
) -> None:
    (repository / "new.md").write_text("not committed")
    for zone in ("UTC", "Pacific/Auckland"):  # the day is the commit's, wherever the book is built
        monkeypatch.setenv("TZ", zone)
        colophon.committed.cache_clear()
        assert colophon.committed(repository, files) == day


def test_without_the_whole_history_no_day_is_told(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    colophon.committed.cache_clear()
    _git(tmp_path, "clone", "--quiet", "--depth", "1", repository.as_uri(), "shallow")
    assert colophon.committed(tmp_path / "shallow", ("a.md",)) == ""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert colophon.committed(tmp_path, ("repository/a.md",)) == ""
    monkeypatch.setenv("PATH", "")
    assert colophon.committed(repository, ("b.md",)) == ""


def test_a_report_names_its_page() -> None:
    url = urlsplit(colophon.report_url(CONFIG, "book/1/a", "Weak & strong"))
    fields = parse_qs(url.query)
    assert url.path == "/someone/copy/issues/new"
    assert fields["title"] == ["Mistake on the page Weak & strong"]
    assert "https://someone.github.io/copy/book/1/a.html" in fields["body"][0]


# ------------------------------------------------------------------ in the build

CONF = """
extensions = ["myst_parser", "coursebook.colophon", "coursebook.sharing"]
source_suffix = {".md": "markdown"}  # the default holds what other books of this process added
html_theme = "basic"
html_title = "Book"
html_theme_options = {"repository_url": "https://github.com/someone/copy"}
"""


@pytest.mark.slow
def test_pages_and_sitemap(repository: Path) -> None:
    (repository / "conf.py").write_text(CONF)
    (repository / "index.md").write_text("# Book\n\nWords.\n\n```{toctree}\na\nb\n```\n")
    for name in ("a", "b"):
        (repository / f"{name}.md").write_text(f"# Page {name}\n\nAbout {name}.\n")

    def build() -> Path:
        colophon.committed.cache_clear()
        app: Any = SphinxTestApp("html", srcdir=repository)
        footers: dict[str, str] = {}
        app.connect("html-page-context", lambda *a: footers.update({
            a[1]: a[3].get("theme_extra_footer", "")}), priority=999)  # fmt: skip
        try:
            app.build()
        finally:
            app.cleanup()
        build.footers = footers  # type: ignore[attr-defined]
        return Path(app.outdir)

    out = build()
    page = BeautifulSoup((out / "b.html").read_text(encoding="utf-8"), "html.parser")
    assert page.find("link", rel="canonical")["href"] == "https://someone.github.io/copy/b.html"  # type: ignore[index]
    assert page.find("meta", property="og:description")["content"] == "About b."  # type: ignore[index]
    footers = build.footers  # type: ignore[attr-defined]
    assert "<time>2026-02-03</time>" in footers["b"]
    assert "/commits/main/b.md" in footers["b"]
    assert "<time>" not in footers["index"]  # not committed
    assert footers["search"] == ""
    (repository / "b.md").write_text("# Page b\n\nOther words.\n")
    build()  # writes b alone
    root = ElementTree.parse(out / "sitemap.xml").getroot()
    space = {"s": sharing.SITEMAP}
    found = {
        url.findtext("s:loc", None, space): url.findtext("s:lastmod", None, space)
        for url in root.findall("s:url", space)
    }
    site = "https://someone.github.io/copy/"
    assert found == {
        f"{site}index.html": None,
        f"{site}a.html": "2026-01-31",
        f"{site}b.html": "2026-02-03",
    }
