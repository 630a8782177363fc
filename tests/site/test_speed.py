"""How heavy the site is, and how soon a reader sees a page on a slow line and an old computer."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import sitechecks
from playwright.sync_api import Browser

pytestmark = pytest.mark.slow

PAGES = ["book/index", "book/1-gan-paradigm/game", "book/3-statistics/weak"]
ASSETS_LIMIT = 1_500_000  # bytes as they travel, for all that pages share


@pytest.fixture(scope="module")
def base(site: Path, packages: Path) -> Iterator[str]:
    """The site as a server sends it: compressed, and what comes from a CDN beside it."""
    with sitechecks.served_compressed(site, packages) as address:
        yield address


@pytest.fixture
def quiet() -> None:
    """On a busy computer a measured time is that of the other programs."""
    cores = os.cpu_count() or 1
    if os.getloadavg()[0] > cores:
        pytest.skip(f"more than {cores} programs run: measure with pytest tests/site/test_speed.py")


@pytest.mark.parametrize("name", PAGES)
def test_what_pages_share_is_light(site: Path, name: str) -> None:
    weights = sitechecks.shared_weights(site / f"{name}.html")
    assert len(weights) > 10
    assert sum(weights.values()) < ASSETS_LIMIT, weights


@pytest.mark.parametrize("line", sitechecks.LINES)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_seen_soon(
    browser: Browser, quiet: None, base: str, name: str, line: str
) -> None:
    """The best of three: what other programs of this computer take is not the page's."""
    limit = sitechecks.LINES[line].seconds
    seen = []
    for _ in range(3):
        seen.append(sitechecks.largest_paint(browser, f"{base}{name}.html", line))
        if seen[-1] < limit:
            break
    print(f"{name} on a {line} line: {', '.join(f'{s:.2f}' for s in seen)} s")
    assert min(seen) < limit
