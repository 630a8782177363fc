"""What must hold of every page; each check returns its complaints.

`test_checks.py` plants a fault for each, and so proves that it can fail.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urljoin, urlsplit

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser, Locator, Page, Route
from playwright.sync_api import TimeoutError as PlaywrightTimeout

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
CDN = re.compile(
    r"https://(?:cdn\.jsdelivr\.net/npm|unpkg\.com)/((?:@[^/]+/)?[^/@]+)@([^/]+)/([^?]+)"
)
VIEWPORTS = {"desktop": {"width": 1366, "height": 900}, "phone": {"width": 390, "height": 844}}
WEIGHT_LIMIT = 3_000_000


# ------------------------------------------------------------------ serving


def unavailable(what: str) -> None:
    """Skip with a word to the user, but never where a machine is to vouch for the book."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextmanager
def served(folder: Path, handler: type[SimpleHTTPRequestHandler] = _Quiet) -> Iterator[str]:
    """Serve a folder on localhost; gives the address, with its closing slash."""
    factory = functools.partial(handler, directory=str(folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), factory)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()
        server.server_close()


# ------------------------------------------------------------------ a visit in the browser


class Visit:
    """A page in a fresh browser profile, and all that went wrong in it."""

    def __init__(self, browser: Browser, base: str, viewport: str = "desktop") -> None:
        self.base = base
        self.troubles: list[str] = []
        self.context = browser.new_context(
            viewport=VIEWPORTS[viewport],  # type: ignore[arg-type]
            has_touch=viewport == "phone",
            reduced_motion="reduce",
            color_scheme="light",
        )
        self.context.add_init_script(path=HERE / "probes.js")
        self.context.set_default_timeout(5000)
        self.context.set_default_navigation_timeout(60_000)  # speed is measured elsewhere
        self.page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.troubles.append(f"exception: {error}"))
        self.page.on("response", self._response)
        self.page.on("requestfailed", lambda r: self.troubles.append(f"request failed: {r.url}"))
        self.page.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/])"), self._elsewhere)

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()

    def goto(self, path: str) -> Page:
        """Open a page and wait until its mathematics is set and its widgets have come to life."""
        self.page.goto(urljoin(self.base, path), wait_until="load")
        self.page.evaluate("() => window.MathJax?.startup?.promise")
        alive = "() => document.querySelectorAll('.gc-widget:not([data-alive])').length === 0"
        try:
            self.page.wait_for_function(alive, timeout=2000)
        except PlaywrightTimeout:
            self.troubles.append("a widget did not come to life")
        return self.page

    def _console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"console {message.type}: {message.text}")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.troubles.append(f"status {response.status}: {response.url}")

    def _elsewhere(self, route: Route) -> None:
        """Answer a CDN from the npm package of that name; nothing else leaves this machine."""
        match = CDN.match(route.request.url)
        file = MODULES / match[1] / match[3] if match else None
        if match is None or file is None or not file.is_file():
            self.troubles.append(f"request to another host: {route.request.url}")
            route.abort()
            return
        have = json.loads((MODULES / match[1] / "package.json").read_text())["version"]
        if not f"{have}.".startswith(f"{match[2]}."):
            self.troubles.append(f"{route.request.url} wants {match[2]}, package.json has {have}")
        route.fulfill(path=file)


def math_complaints(page: Page) -> list[str]:
    """Every formula is set by MathJax, and without an error."""
    return page.evaluate("probes.math()")


def overflow_complaints(page: Page) -> list[str]:
    """Nothing sticks out of the window; what is wider scrolls in its own box."""
    page.wait_for_timeout(200)  # the page's own mending follows a change of size
    return page.evaluate("probes.overflow()")


def image_complaints(page: Page) -> list[str]:
    """Every picture has arrived, and says what it shows unless it is marked as decoration."""
    return page.evaluate("probes.images()")


def _changes(node: Locator, probe: str, act: Callable[[], object], patience: int) -> bool:
    """Whether `act` changes what the probe finds, within `patience` milliseconds."""
    before = node.evaluate(f"node => probes.{probe}(node)")
    act()
    try:
        node.page.wait_for_function(
            f"([node, before]) => probes.{probe}(node) !== before",
            arg=[node.element_handle(), before],
            timeout=patience,
        )
    except PlaywrightTimeout:
        return False
    return True


FOLDS = {
    "article details": ":scope > summary",
    "article .admonition.toggle": ":scope > .admonition-title .toggle-button",
}


def fold_complaints(page: Page, *, keyboard: bool = True) -> list[str]:
    """Every fold of the text is closed at first, opens by click, and closes by the keyboard."""
    return [
        complaint
        for selector, knob in FOLDS.items()
        for fold in page.locator(selector).all()
        if (complaint := _fold_complaint(fold, fold.locator(knob).first, keyboard))
    ]


def _fold_complaint(fold: Locator, button: Locator, keyboard: bool) -> str | None:
    """A fold that passes is left open, so that folds and widgets inside it can be tried."""
    name = " ".join(fold.inner_text().split())[:40]
    if fold.evaluate("node => probes.open(node)"):
        return f"open at first: {name}"
    if not button.is_visible():
        return f"no visible button: {name}"
    if not _changes(fold, "open", button.click, 500):
        return f"a click does nothing: {name}"
    if not keyboard:
        return None
    if not _changes(fold, "open", lambda: button.press("Enter"), 500):
        return f"the Enter key does nothing: {name}"
    button.click()
    return None


def widget_complaints(page: Page) -> list[str]:
    """Each slider of each widget changes the picture by its arrow keys; playing does, too."""
    return [
        f"{widget.get_attribute('data-module')}: {complaint}"
        for widget in page.locator(".gc-widget").all()
        for complaint in _one_widget(widget)
    ]


def _one_widget(widget: Locator) -> Iterator[str]:
    sliders = widget.locator("input[type=range], [role=slider]").all()
    if not sliders:
        yield "has no slider"
        return
    for i, slider in enumerate(sliders):
        key = "ArrowLeft" if slider.evaluate("node => probes.atEnd(node)") else "ArrowRight"
        if not _changes(widget, "picture", functools.partial(slider.press, key), 1500):
            yield f"{key} on slider {i} changes nothing"
    for play in widget.get_by_role("button", name="Play", exact=True).all():
        sliders[0].press("Home")
        widget.page.wait_for_timeout(100)
        if not _changes(widget, "picture", play.click, 1500):
            yield "playing changes nothing"
        for pause in widget.get_by_role("button", name="Pause", exact=True).all():
            pause.click()


def axe_complaints(page: Page, scheme: str) -> list[str]:
    """axe-core's serious and critical violations in the `light` or `dark` scheme."""
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    try:
        page.wait_for_function(
            "scheme => [undefined, scheme].includes(document.documentElement.dataset.theme)",
            arg=scheme,
            timeout=2000,
        )
    except PlaywrightTimeout:
        return [f"the page does not turn {scheme} where that is preferred"]
    if not page.evaluate("'axe' in window"):
        page.add_script_tag(path=MODULES / "axe-core" / "axe.min.js")
    violations = page.evaluate(
        "async () => (await axe.run(document, {resultTypes: ['violations']})).violations"
    )
    return [
        f"{scheme} {v['id']} ({v['impact']}): {node['html'][:150]} | {node['failureSummary'][:200]}"
        for v in violations
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"][:3]
    ]


# ------------------------------------------------------------------ on a slow line


@dataclass(frozen=True)
class Line:
    """A connection, a computer that is slower than this one, and when a page has to be seen."""

    megabits: float
    latency: float  # milliseconds, there and back
    slowdown: float
    seconds: float


LINES = {
    "good": Line(megabits=9, latency=60, slowdown=4, seconds=1.5),
    "slow": Line(megabits=1.6, latency=150, slowdown=4, seconds=4.0),
}
SEEN = """() => new Promise((resolve) => new PerformanceObserver((list) => {
  resolve(Math.max(...list.getEntries().map((entry) => entry.startTime)) / 1000);
}).observe({ type: "largest-contentful-paint", buffered: true }))"""
COMPRESSED = {".html", ".css", ".js", ".svg", ".json", ".xml"}


class _Compressing(_Quiet):
    """Sends text compressed, and the packages of `node_modules` in place of the CDN."""

    packages: Path

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        _, _, package = path.partition("/npm/")
        file = Path(self.directory, path.lstrip("/"))
        if package:
            file = self.packages / re.sub(r"^((?:@[^/]+/)?[^/@]+)@[^/]+", r"\1", package)
        if not file.is_file():
            self.send_error(404)
            return
        body = file.read_bytes()
        if file.suffix == ".html":
            body = body.replace(b"https://cdn.jsdelivr.net/npm/", b"/npm/")
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(str(file)))
        if file.suffix in COMPRESSED:
            body = gzip.compress(body, 6)
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def served_compressed(site: Path, packages: Path) -> AbstractContextManager[str]:
    """Serve the site as a host does; gives its address, with its closing slash."""
    return served(site, type("Handler", (_Compressing,), {"packages": packages}))


def largest_paint(browser: Browser, url: str, line: str) -> float:
    """Seconds until the largest part of the first screen is seen, at a first visit by this line."""
    with browser.new_context(viewport=VIEWPORTS["phone"]) as context:  # type: ignore[arg-type]
        page = context.new_page()
        devtools = context.new_cdp_session(page)
        speed = LINES[line].megabits * 1e6 / 8
        devtools.send("Network.enable")
        conditions = {"downloadThroughput": speed, "uploadThroughput": speed, "offline": False}
        devtools.send(
            "Network.emulateNetworkConditions", conditions | {"latency": LINES[line].latency}
        )
        devtools.send("Emulation.setCPUThrottlingRate", {"rate": LINES[line].slowdown})
        page.goto(url, wait_until="commit", timeout=60_000)
        page.wait_for_timeout(2000 * LINES[line].seconds + 2000)  # what comes later is too late
        return float(page.evaluate(SEEN))


def shared_weights(page: Path) -> dict[str, int]:
    """Bytes, as they travel, of the scripts, styles and fonts that a page shares with others."""
    document = soup(page)
    links = "link[rel~=stylesheet], link[rel~=preload]"
    addresses = [str(tag["src"]) for tag in document.select("script[src]")]
    addresses += [str(tag["href"]) for tag in document.select(links)]
    weights = {}
    for address in addresses:
        match = CDN.match(address)
        path = unquote(urlsplit(address).path)
        file = MODULES / match[1] / match[3] if match else (page.parent / path).resolve()
        body = file.read_bytes()
        weights[file.name] = len(gzip.compress(body, 6) if file.suffix in COMPRESSED else body)
    return weights


# ------------------------------------------------------------------ the files, without a browser


def docnames(site: Path) -> list[str]:
    """The book's pages, from the search index that Sphinx writes."""
    text = (site / "searchindex.js").read_text(encoding="utf-8")
    index = json.loads(text[text.index("{") : text.rindex("}") + 1])
    return sorted(index["docnames"])


def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


def widget_pictures(document: BeautifulSoup) -> list[str]:
    """Addresses of the pictures that widgets fetch on demand."""
    scripts = document.select(".gc-widget > script[type='application/json']")
    return [url for script in scripts for url in json.loads(script.text).get("pictures", [])]


def link_complaints(site: Path) -> list[str]:
    """Every internal address on every page leads to a file, and to an anchor in it."""
    site = site.resolve()
    pages = {path: soup(path) for path in site.rglob("*.html") if "_static" not in path.parts}
    anchors = {path: _anchors(page) for path, page in pages.items()}
    complaints = set()
    for path, page in pages.items():
        addresses = [str(tag[key]) for key in ("href", "src") for tag in page.select(f"[{key}]")]
        for address in [*addresses, *widget_pictures(page)]:
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            fragment = unquote(parts.fragment)
            if not target.is_file():
                complaints.add(f"{path.relative_to(site)} -> {address}: no such file")
            elif fragment and target in anchors and fragment not in anchors[target]:
                complaints.add(f"{path.relative_to(site)} -> {address}: no such anchor")
    return sorted(complaints)


def _anchors(page: BeautifulSoup) -> set[str]:
    return {str(tag[key]) for key in ("id", "name") for tag in page.select(f"[{key}]")}


def launch_complaints(page: Path, repository: Path) -> list[str]:
    """A page with code has launch buttons, and they lead to student notebooks that exist."""
    document = soup(page)
    targets = [t for link in document.select("a[href]") for t in _launched(str(link["href"]))]
    complaints = [f"{t} does not exist" for t in targets if not (repository / t).is_file()]
    student = "notebooks/student/"
    complaints += [f"{t} is no student notebook" for t in targets if not t.startswith(student)]
    if document.select("div.cell") and not targets:
        complaints.append("a page with code has no launch button")
    return complaints


def _launched(address: str) -> list[str]:
    """The repository's files that an address opens on Colab or Binder."""
    parts = urlsplit(address)
    if parts.netloc == "colab.research.google.com":
        return [unquote(parts.path).split("/", 6)[-1]]  # /github/OWNER/REPOSITORY/blob/BRANCH/FILE
    if parts.netloc == "mybinder.org":
        inside = parse_qs(parts.query)
        lab = [url.split("tree/", 1)[-1] for url in inside.get("urlpath", [])]
        return lab + inside.get("labpath", [])
    return []


def page_weight(page: Path) -> int:
    """Bytes of a page and of its own pictures, a widget's frames included."""
    document = soup(page)
    addresses = [str(image["src"]) for image in document.select("img[src]")]
    addresses += widget_pictures(document)
    files = {(page.parent / unquote(urlsplit(a).path)).resolve() for a in addresses if ":" not in a}
    own = [file for file in files if "_static" not in file.parts and file.is_file()]
    return page.stat().st_size + sum(file.stat().st_size for file in own)
