"""A printed page: all folds open, and nothing on it that one would click."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sitechecks
from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.slow

PAGE = "book/1-gan-paradigm/saturation.html"
# Looks on when the page's own scripts have made it ready, as a later listener of the same event.
WATCH = """() => addEventListener("beforeprint", () => {
  const shown = (node) => node.getClientRects().length > 0;
  const folds = [...document.querySelectorAll("article details")];
  window.printed = {
    folds: folds.length,
    closed: folds.filter((fold) => ![...fold.children].some(
      (part) => part.tagName !== "SUMMARY" && part.checkVisibility())).length,
    hidden: document.querySelectorAll("article .toggle-hidden").length,
    theme: document.documentElement.dataset.theme,
  };
})"""
CLICKED = [
    ".bd-header-article",
    ".bd-sidebar-primary",
    ".bd-sidebar-secondary",
    ".prev-next-footer",
    "article .headerlink",
    "article .copybtn",
    "article .toggle-button",
    "article .gc button",
    "article .gc input",
]


def paper(page: Page) -> tuple[int, dict[str, object]]:
    """How many sheets a page takes, and what it looked like when it was printed."""
    page.evaluate(WATCH)
    sheets = len(re.findall(rb"/Type\s*/Page\b", page.pdf(format="A4")))
    return sheets, page.evaluate("window.printed")


def test_folds_are_printed_open_and_closed_again(browser: Browser, address: str) -> None:
    with sitechecks.Visit(browser, address) as visit:
        page = visit.goto(PAGE)
        folded = page.locator("article details:not([open])").count()
        sheets, printed = paper(page)
        assert printed["folds"] == folded > 2
        assert printed["closed"] == printed["hidden"] == 0
        assert page.locator("article details:not([open])").count() == folded
        assert page.locator("article .toggle-hidden").count() > 0
        assert visit.troubles == []
    with sitechecks.Visit(browser, address) as visit:  # without the script, to see that it matters
        visit.page.route("**/print.js*", lambda route: route.fulfill(body=""))
        page = visit.goto(PAGE)
        page.add_style_tag(
            content="@media print { details::details-content { display: none !important } }"
        )
        fewer, printed = paper(page)
        assert printed["closed"] == folded
        assert fewer < sheets


def test_paper_is_light_in_the_dark(browser: Browser, address: str) -> None:
    with sitechecks.Visit(browser, address) as visit:
        page = visit.goto(PAGE)
        page.emulate_media(color_scheme="dark")
        page.wait_for_function("document.documentElement.dataset.theme === 'dark'")
        _, printed = paper(page)
        assert printed["theme"] == "light"
        assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_nothing_is_printed_that_one_would_click(browser: Browser, address: str) -> None:
    with sitechecks.Visit(browser, address) as visit:
        page = visit.goto(PAGE)
        for selector in CLICKED:
            assert page.locator(selector).count(), f"the page has no {selector}"
        page.emulate_media(media="print")
        seen = {s for s in CLICKED if page.locator(f"{s} >> visible=true").count()}
        assert not seen
        assert page.locator("article .gc svg >> visible=true").count(), "the widget's picture"
        assert page.locator(".colophon >> visible=true").count() == 1


def test_every_page_has_its_foot(site: Path, docname: str) -> None:
    """Version, last change, and a link by which to report a mistake on this very page."""
    document = sitechecks.soup(site / f"{docname}.html")
    (foot,) = document.select(".colophon")
    assert re.search(r"Version \d+\.\d+", foot.text)
    report = foot.find("a", string="Report a mistake on this page")
    assert report is not None
    assert f"{docname}.html".replace("/", "%2F") in report["href"]
