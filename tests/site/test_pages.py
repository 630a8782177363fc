"""Every page of the built book, on a desktop and on a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import sitechecks
from playwright.sync_api import Browser

REPOSITORY = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def test_the_book_has_its_pages(site: Path) -> None:
    pages = sitechecks.docnames(site)
    assert len(pages) > 5
    assert [page for page in pages if not (site / f"{page}.html").is_file()] == []


def test_every_internal_link_and_anchor_resolves(site: Path) -> None:
    assert sitechecks.link_complaints(site) == []


def test_launch_buttons_lead_to_student_notebooks(site: Path, docname: str) -> None:
    assert sitechecks.launch_complaints(site / f"{docname}.html", REPOSITORY) == []


def test_page_is_light(site: Path, docname: str) -> None:
    assert sitechecks.page_weight(site / f"{docname}.html") < sitechecks.WEIGHT_LIMIT


@pytest.mark.parametrize("viewport", sitechecks.VIEWPORTS)
def test_page_works(browser: Browser, address: str, docname: str, viewport: str) -> None:
    """All that a reader meets, in one visit. The folds are left open for what comes after them.

    The desktop has a keyboard and is light, the phone has none and is dark.
    """
    desktop = viewport == "desktop"
    with sitechecks.Visit(browser, address, viewport) as visit:
        page = visit.goto(f"{docname}.html")
        found = {
            "mathematics": sitechecks.math_complaints(page),
            "overflow": sitechecks.overflow_complaints(page),
            "folds": sitechecks.fold_complaints(page, keyboard=desktop),
            "overflow with folds open": sitechecks.overflow_complaints(page),
            "widgets": sitechecks.widget_complaints(page),
            "images": sitechecks.image_complaints(page),
            "accessibility": sitechecks.axe_complaints(page, "light" if desktop else "dark"),
            "troubles": visit.troubles,
        }
    report = [f"{check}: {complaint}" for check, all_ in found.items() for complaint in all_]
    assert not report, "\n".join(report)


def test_wide_formulas_fade_until_they_are_scrolled_to_their_end(
    browser: Browser, address: str
) -> None:
    with sitechecks.Visit(browser, address, "phone") as visit:
        page = visit.goto("book/1-gan-paradigm/saturation.html")
        page.locator("article .math-goes-on:visible").first.wait_for()
        wide = page.query_selector("article .math-goes-on:visible")
        assert wide is not None
        wide.evaluate("(formula) => { formula.scrollLeft = formula.scrollWidth; }")
        page.wait_for_function("(f) => !f.classList.contains('math-goes-on')", arg=wide)
    with sitechecks.Visit(browser, address, "desktop") as visit:
        page = visit.goto("book/1-gan-paradigm/saturation.html")
        assert page.locator("article .math-goes-on").count() == 0


FROM_A_FOLDER = ["book/index", "book/1-gan-paradigm/game", "book/3-statistics/weak"]


@pytest.mark.parametrize("name", FROM_A_FOLDER)
def test_page_works_without_a_server(browser: Browser, site: Path, name: str) -> None:
    """Unpacked from an archive and opened from disk, widgets included."""
    with sitechecks.Visit(browser, f"{site.as_uri()}/") as visit:
        page = visit.goto(f"{name}.html")
        assert sitechecks.math_complaints(page) == []
        assert sitechecks.image_complaints(page) == []
        assert sitechecks.fold_complaints(page) == []
        assert visit.troubles == []


@pytest.mark.parametrize(("viewport", "scheme"), [("desktop", "dark"), ("phone", "light")])
@pytest.mark.parametrize("name", FROM_A_FOLDER)
def test_what_surrounds_a_page_is_accessible_in_the_other_scheme(
    browser: Browser, address: str, name: str, viewport: str, scheme: str
) -> None:
    """The contents at both sides are seen on a desktop only, the bars on a phone only."""
    with sitechecks.Visit(browser, address, viewport) as visit:
        page = visit.goto(f"{name}.html")
        assert sitechecks.fold_complaints(page) == []
        assert sitechecks.axe_complaints(page, scheme) == []
        assert visit.troubles == []


@pytest.mark.parametrize("served", [True, False])
def test_search_finds_a_theorem(browser: Browser, site: Path, address: str, served: bool) -> None:
    with sitechecks.Visit(browser, address if served else f"{site.as_uri()}/") as visit:
        page = visit.goto("search.html?q=Hoeffding")
        page.locator("#search-results li a").first.wait_for(timeout=20_000)
        found = [str(a.get_attribute("href")) for a in page.locator("#search-results li a").all()]
        assert any("3-statistics/weak.html" in link for link in found), found


@pytest.mark.parametrize("query", ["Hoeffding", "sigma", "slope"])
def test_search_sets_formulas(browser: Browser, address: str, query: str) -> None:
    """Of what a summary quotes; one that is cut in two is left out."""
    with sitechecks.Visit(browser, address) as visit:
        page = visit.goto(f"search.html?q={query}")
        results = page.locator("#search-results")
        results.locator("mjx-container").first.wait_for(timeout=20_000)
        page.wait_for_load_state("networkidle")
        page.evaluate("() => MathJax.startup.promise")
        summaries = results.locator("p.context").all_inner_texts()
        assert len(summaries) >= 5
        assert not [text for text in summaries if text.startswith("Contents") or ".pdf" in text]
        assert not [text for text in summaries if re.search(r"\\[()\[\]]|\\\.\.\.$", text)]
        assert results.locator("mjx-merror").count() == 0
        said = any(query.lower() in text.lower() for text in summaries)
        assert (results.locator("p.context .highlighted").count() > 0) == said
        assert visit.troubles == []


@pytest.mark.parametrize("width", [390, 360])
def test_the_way_to_the_next_page_fits_a_phone(browser: Browser, address: str, width: int) -> None:
    ends = "all => all.map(n => n.getBoundingClientRect()).map(box => [box.left, box.right])"
    with sitechecks.Visit(browser, address, "phone") as visit:
        for name in ("3-statistics/ipm", "3-statistics/strong", "4-stability/foresight", "index"):
            page = visit.goto(f"book/{name}.html")
            page.set_viewport_size({"width": width, "height": 800})
            arrows = page.locator(".prev-next-area svg").evaluate_all(ends)
            assert len(arrows) == (1 if name == "index" else 2)
            assert all(0 <= left < right <= width for left, right in arrows), (name, arrows)


def test_the_way_through_the_book_shows_a_pages_own_arcs(browser: Browser, address: str) -> None:
    """By keyboard; each page of the picture can be reached, and leads to a page of the book."""
    with sitechecks.Visit(browser, address, "phone") as visit:
        page = visit.goto("book/index.html")
        stops = page.locator("svg.roadmap a.page")
        assert stops.count() >= 20
        arcs = "() => [...document.querySelectorAll('svg.roadmap .arcs path')]" \
            ".filter((arc) => getComputedStyle(arc).opacity === '1').length"  # fmt: skip
        every = page.evaluate(arcs)
        page.locator("svg.roadmap a.page[href*='1-gan-paradigm/game']").focus()
        page.keyboard.press("Tab")
        page.wait_for_timeout(500)
        shown = page.evaluate(arcs)
        assert 0 < shown < every
        box = page.locator("svg.roadmap").bounding_box()
        assert box is not None
        assert box["width"] >= 340  # on a phone it does not shrink
        page.keyboard.press("Enter")
        page.wait_for_url("**/book/1-gan-paradigm/saturation.html")
        assert visit.troubles == []
