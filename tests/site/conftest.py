"""The built site on localhost, a browser, and what pages fetch from a CDN."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(HERE))  # sitechecks

import sitechecks  # noqa: E402

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
SITE = Path(os.environ.get("GAN_COURSE_SITE", REPOSITORY / "_build" / "html")).resolve()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test per page of the built book, or a single one that says that it is not built."""
    if "docname" in metafunc.fixturenames:
        built = (SITE / "searchindex.js").is_file()
        metafunc.parametrize("docname", sitechecks.docnames(SITE) if built else ["book/index"])


@pytest.fixture(scope="session")
def site() -> Path:
    """Folder of the built site."""
    if not (SITE / "searchindex.js").is_file():
        sitechecks.unavailable(f"no built site in {SITE}: run `make book` first")
    return SITE


@pytest.fixture(scope="session")
def address(site: Path) -> Iterator[str]:
    """The site's address; it lies in a subfolder, as on GitHub Pages."""
    with sitechecks.served(site.parent) as base:
        yield f"{base}{site.name}/"


@pytest.fixture(scope="session")
def packages() -> Path:
    """`node_modules` as `package-lock.json` has it."""
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()
    stamp = HERE / "node_modules" / ".lock-hash"
    if not (stamp.is_file() and stamp.read_text() == lock):
        npm = shutil.which("npm")
        if npm is None:
            sitechecks.unavailable("npm is missing: it installs what pages fetch from a CDN")
        done = subprocess.run(
            [str(npm), "ci", "--prefix", str(HERE)], capture_output=True, text=True, cwd=HERE
        )
        if done.returncode:
            sitechecks.unavailable(f"npm ci failed:\n{done.stderr[-2000:]}")
        stamp.write_text(lock)
    return stamp.parent


@pytest.fixture(scope="session")
def browser(packages: Path) -> Iterator[Browser]:
    """One Chromium for all tests."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = next(filter(None, map(shutil.which, names)), None)
    with sync_playwright() as playwright:
        found = found or playwright.chromium.executable_path
        if not Path(found).exists():
            sitechecks.unavailable(
                "Chromium is missing: install it, or run `playwright install chromium`"
            )
        with playwright.chromium.launch(executable_path=found, args=FLAGS) as chromium:
            yield chromium
