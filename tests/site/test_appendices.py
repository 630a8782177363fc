"""The index of statements, the glossary and the search, in the built book."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import sitechecks
from playwright.sync_api import Browser

BOOK = Path(__file__).parents[2] / "book"
STATEMENT = re.compile(
    r"^:{3,}\{prf:(?!proof)\w+\} *(?P<name>.*)\n:label: (?P<label>\S+)$", re.MULTILINE
)

pytestmark = pytest.mark.slow


def statements(site: Path) -> dict[str, tuple[str, str]]:
    """Page and name, as one would type it, of each statement of the built pages, by its label."""
    found = {}
    for docname in sitechecks.docnames(site):
        source = (BOOK.parent / f"{docname}.md").read_text(encoding="utf-8")
        for match in STATEMENT.finditer(source):
            name = re.sub(r"\{cite:p\}`.*?`|[$\\{}_^]", "", match["name"]).strip()
            found[match["label"]] = docname, name
    return found


def test_every_statement_is_in_the_index(site: Path) -> None:
    page = sitechecks.soup(site / "book/appendix/statements.html")
    links = page.select("table.statements tbody td:first-child a")
    listed = {str(link["href"]).partition("#")[2] for link in links}
    assert len(listed) > 100
    assert listed == set(statements(site))


def test_every_statement_is_known_to_the_search_by_its_name(site: Path) -> None:
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    known = {
        (index["docnames"][page], title, anchor)
        for title, places in index["alltitles"].items()
        for page, anchor in places
    }
    wanted = {(page, name, label) for label, (page, name) in statements(site).items() if name}
    assert len(wanted) > 100
    assert wanted - known == set()


@pytest.mark.parametrize(
    "query",
    [
        "optimal discriminator",
        "perfect discriminator teaches",
        "Lyapunov's equation",
        "W1 on the line",
    ],
)
def test_search_leads_to_the_statement(
    browser: Browser, address: str, site: Path, query: str
) -> None:
    labels = [
        label for label, (_, name) in statements(site).items() if query.lower() in name.lower()
    ]
    with sitechecks.Visit(browser, address, "desktop") as visit:
        page = visit.goto(f"search.html?q={query.replace(' ', '+')}")
        page.wait_for_selector("ul.search li a")
        found = [link.get_attribute("href") for link in page.locator("ul.search li a").all()]
    assert labels
    assert any(str(link).endswith(f"#{label}") for link in found[:3] for label in labels), found


def test_terms_lead_to_the_glossary_by_keyboard(browser: Browser, address: str) -> None:
    with sitechecks.Visit(browser, address, "desktop") as visit:
        page = visit.goto("book/2-wasserstein/duality.html")
        term = page.locator("a.term-link", has_text="coupling").first
        assert term.evaluate("a => getComputedStyle(a).textDecorationStyle") == "dotted"
        assert term.evaluate(
            "a => getComputedStyle(a).color === getComputedStyle(a.parentElement).color"
        )
        assert term.evaluate("a => a.tabIndex") == 0
        term.focus()
        page.keyboard.press("Enter")
        page.wait_for_url("**/glossary.html#term-coupling")
        assert page.locator("#term-coupling").is_visible()


def test_terms_are_linked_once_a_page_and_only_in_running_text(site: Path, docname: str) -> None:
    page = sitechecks.soup(site / f"{docname}.html")
    links = page.select("a.term-link")
    targets = [link["href"] for link in links]
    assert len(targets) == len(set(targets))
    set_apart = {
        "h1",
        "h2",
        "h3",
        "h4",
        "a",
        "code",
        "pre",
        "table",
        "figcaption",
        "summary",
        "nav",
    }
    for link in links:
        assert not set_apart & {parent.name for parent in link.parents}, link
        assert "admonition-title" not in link.parent.get("class", []), link
