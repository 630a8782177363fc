"""The checks themselves: each passes a good page and complains of the fault planted in it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sitechecks
from PIL import Image
from playwright.sync_api import Browser, Page

FOLD = "<details><summary>Proof</summary>Done.</details>"
BUTTON_FOLD = """<div class="admonition toggle toggle-hidden"><p class="admonition-title">Hint
<button class="toggle-button" onclick="this.closest('.toggle').classList.toggle('toggle-hidden')">
Show</button></p><p>Text.</p></div>"""
WIDGET = """<div class="gc-widget" data-module="demo" data-alive="true"><label>Step
<input type="range" min="0" max="9" value="0"
 oninput="document.querySelector('circle').setAttribute('cx', this.value)"></label>
<svg width="20" height="20" role="img" aria-label="a dot"><circle cx="0" cy="9" r="3"/></svg>
<button type="button" onclick="let s = document.querySelector('input'); s.value = 5; s.oninput()"
 >Play</button></div>"""
PICTURE = '<img src="dot.png" alt="a dot" width="20" height="20">'
GOOD = FOLD + BUTTON_FOLD + WIDGET + PICTURE
SHELL = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width"></head>
<body><main><h1>Page</h1><article>{}</article></main></body></html>"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Image.new("RGB", (20, 20), "navy").save(tmp_path / "dot.png")
    return tmp_path


@pytest.fixture
def visit(browser: Browser, folder: Path) -> Iterator[Callable[..., sitechecks.Visit]]:
    """Opens a page with the given article; the browser's profile is closed after the test."""
    opened = []
    with sitechecks.served(folder) as base:

        def open_(article: str, viewport: str = "phone") -> sitechecks.Visit:
            (folder / "page.html").write_text(SHELL.format(article), encoding="utf-8")
            opened.append(sitechecks.Visit(browser, base, viewport))
            opened[-1].goto("page.html")
            opened[-1].page.wait_for_timeout(100)
            return opened[-1]

        yield open_
        for one in opened:
            one.context.close()


def all_complaints(visit: sitechecks.Visit) -> list[str]:
    page = visit.page
    checks: list[Callable[[Page], list[str]]] = [
        sitechecks.math_complaints,
        sitechecks.overflow_complaints,
        sitechecks.fold_complaints,
        sitechecks.widget_complaints,
        sitechecks.image_complaints,
    ]
    found = [complaint for check in checks for complaint in check(page)]
    for scheme in ("light", "dark"):
        found += sitechecks.axe_complaints(page, scheme)
    return found + visit.troubles


def test_a_good_page_has_no_complaints(visit: Callable[..., sitechecks.Visit]) -> None:
    assert all_complaints(visit(GOOD)) == []


@pytest.mark.parametrize(
    ("article", "complaint"),
    [
        ("<script>console.error('oh')</script>", "console error: oh"),
        ("<script>console.warn('hm')</script>", "console warning: hm"),
        ("<script>throw new Error('no')</script>", "exception: no"),
        ('<img src="gone.png" alt="gone">', "status 404"),
        ('<script src="https://cdn.example/x.js"></script>', "request to another host"),
        (
            '<script src="https://cdn.jsdelivr.net/npm/mathjax@2/es5/core.js"></script>',
            "wants 2, package.json has 3",
        ),
        ('<div class="gc-widget" data-module="x"></div>', "did not come to life"),
    ],
)
def test_troubles_are_noted(
    visit: Callable[..., sitechecks.Visit], article: str, complaint: str
) -> None:
    assert any(complaint in trouble for trouble in visit(article).troubles)


@pytest.mark.parametrize(
    ("article", "complaint"),
    [
        (r'<span class="math">\(x\)</span>', "not rendered"),
        (
            '<span class="math"><mjx-container><mjx-merror data-mjx-error="bad">x</mjx-merror>'
            "</mjx-container></span>",
            "error: bad",
        ),
    ],
)
def test_unset_mathematics(
    visit: Callable[..., sitechecks.Visit], article: str, complaint: str
) -> None:
    assert any(complaint in c for c in sitechecks.math_complaints(visit(article).page))


WIDE = '<div style="width: 900px">wide</div>'


@pytest.mark.parametrize(
    ("article", "wrong"),
    [
        (WIDE, True),
        (f'<div style="overflow: hidden">{WIDE}</div>', True),
        (f'<div style="overflow-x: auto" tabindex="0">{WIDE}</div>', False),
        ('<div class="math" style="width: 20px; overflow: hidden"><b>x+y+z</b></div>', True),
    ],
)
def test_what_sticks_out(visit: Callable[..., sitechecks.Visit], article: str, wrong: bool) -> None:
    assert bool(sitechecks.overflow_complaints(visit(article).page)) is wrong


@pytest.mark.parametrize(
    ("article", "complaint"),
    [
        (FOLD.replace("<details>", "<details open>"), "open at first: Proof"),
        (BUTTON_FOLD.replace(" toggle-hidden", "", 1), "open at first: Hint"),
        (FOLD.replace("<summary>", '<summary onclick="return false">'), "a click does nothing"),
        (BUTTON_FOLD.replace("onclick", "data-dead"), "a click does nothing"),
        (
            FOLD.replace("<summary>", '<summary onkeydown="event.preventDefault()">'),
            "the Enter key does nothing",
        ),
        (FOLD.replace("<summary>", '<summary style="display: none">'), "no visible button"),
    ],
)
def test_bad_folds(visit: Callable[..., sitechecks.Visit], article: str, complaint: str) -> None:
    assert any(complaint in c for c in sitechecks.fold_complaints(visit(article).page))


@pytest.mark.parametrize(
    ("article", "complaint"),
    [
        (WIDGET.replace("oninput", "data-dead"), "ArrowRight on slider 0 changes nothing"),
        (WIDGET.replace("onclick", "data-dead"), "playing changes nothing"),
        (WIDGET.replace('type="range"', 'type="text"'), "has no slider"),
    ],
)
def test_dead_widgets(visit: Callable[..., sitechecks.Visit], article: str, complaint: str) -> None:
    assert any(complaint in c for c in sitechecks.widget_complaints(visit(article).page))


@pytest.mark.parametrize(
    ("article", "complaint"),
    [
        (PICTURE.replace('alt="a dot"', ""), "no alt text"),
        (PICTURE.replace("a dot", " "), "no alt text"),
        (PICTURE.replace("dot.png", "gone.png"), "does not load"),
    ],
)
def test_bad_images(visit: Callable[..., sitechecks.Visit], article: str, complaint: str) -> None:
    assert any(complaint in c for c in sitechecks.image_complaints(visit(article).page))


def test_decoration_needs_no_alt_text(visit: Callable[..., sitechecks.Visit]) -> None:
    decoration = PICTURE.replace('alt="a dot"', 'alt="" role="presentation"')
    assert sitechecks.image_complaints(visit(decoration).page) == []


DARK_ONLY = "<style>@media (prefers-color-scheme: dark) { p { color: #eee } }</style><p>Pale.</p>"


@pytest.mark.parametrize(
    ("article", "scheme", "complaint"),
    [
        ('<p style="color: #bbb">Pale.</p>', "light", "light color-contrast"),
        (DARK_ONLY, "dark", "dark color-contrast"),
        ("<button></button>", "light", "light button-name"),
        ("<script>document.documentElement.dataset.theme = 'light'</script>", "dark", "turn dark"),
    ],
)
def test_inaccessible_pages(
    visit: Callable[..., sitechecks.Visit], article: str, scheme: str, complaint: str
) -> None:
    found = sitechecks.axe_complaints(visit(article).page, scheme)
    assert any(complaint in c for c in found)


def test_a_scheme_is_not_blamed_for_the_other(visit: Callable[..., sitechecks.Visit]) -> None:
    assert sitechecks.axe_complaints(visit(DARK_ONLY).page, "light") == []


# ------------------------------------------------------------------ without a browser


def page(folder: Path, article: str, name: str = "page.html") -> Path:
    (folder / name).write_text(SHELL.format(article), encoding="utf-8")
    return folder / name


@pytest.mark.parametrize(
    ("article", "complaint"),
    [
        ('<a href="gone.html">x</a>', "gone.html: no such file"),
        ('<a href="#gone">x</a>', "#gone: no such anchor"),
        ('<a href="other.html#gone">x</a>', "other.html#gone: no such anchor"),
        ('<img src="gone.png" alt="x">', "gone.png: no such file"),
        (
            '<div class="gc-widget"><script type="application/json">'
            '{"pictures": ["gone.webp"]}</script></div>',
            "gone.webp: no such file",
        ),
    ],
)
def test_broken_links(folder: Path, article: str, complaint: str) -> None:
    page(folder, "<p id='here'></p>", "other.html")
    page(folder, article)
    found = sitechecks.link_complaints(folder)
    assert len(found) == 1
    assert found[0].endswith(complaint)


def test_good_links(folder: Path) -> None:
    page(folder, "<p id='here'></p>", "other.html")
    links = '<a href="other.html#here">x</a><a href="#a">x</a><a href="https://a.b/#c" id="a">x</a>'
    page(folder, links + PICTURE)
    assert sitechecks.link_complaints(folder) == []


COLAB = "https://colab.research.google.com/github/o/r/blob/main/{}"
BINDER = "https://mybinder.org/v2/gh/o/r/main?urlpath=lab%2Ftree%2F{}"
CODE = '<div class="cell">x</div><a href="{}">run</a>'


@pytest.mark.parametrize("address", [COLAB, BINDER])
def test_launch_buttons(folder: Path, address: str) -> None:
    notebook = folder / "notebooks" / "student" / "1" / "a.ipynb"
    notebook.parent.mkdir(parents=True)
    notebook.touch()
    (folder / "a.md").touch()
    for target, complaint in [
        ("notebooks/student/1/a.ipynb", []),
        ("notebooks/student/1/b.ipynb", ["notebooks/student/1/b.ipynb does not exist"]),
        ("a.md", ["a.md is no student notebook"]),
    ]:
        article = CODE.format(address.format(target))
        assert sitechecks.launch_complaints(page(folder, article), folder) == complaint


def test_code_without_a_launch_button(folder: Path) -> None:
    found = sitechecks.launch_complaints(page(folder, '<div class="cell">x</div>'), folder)
    assert found == ["a page with code has no launch button"]


def test_page_weight_counts_each_own_picture_once(folder: Path) -> None:
    (folder / "_static").mkdir()
    (folder / "_static" / "logo.png").write_bytes(b"x" * 9000)
    (folder / "f.webp").write_bytes(b"x" * 500)
    state = json.dumps({"pictures": ["f.webp"]})
    widget = f'<div class="gc-widget"><script type="application/json">{state}</script></div>'
    path = page(folder, PICTURE + PICTURE + '<img src="_static/logo.png" alt="x">' + widget)
    own = path.stat().st_size + (folder / "dot.png").stat().st_size + 500
    assert sitechecks.page_weight(path) == own


def test_docnames_come_from_the_search_index(folder: Path) -> None:
    (folder / "searchindex.js").write_text('Search.setIndex({"docnames":["b","a/c"],"x":{}})')
    assert sitechecks.docnames(folder) == ["a/c", "b"]


def test_what_is_missing_skips_for_a_user_and_fails_for_a_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no browser"):
        sitechecks.unavailable("no browser")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no browser"):
        sitechecks.unavailable("no browser")
