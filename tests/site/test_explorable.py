"""The widgets on a page without a kernel: right numbers, and hands on them of every kind."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sitechecks
from coursebook.widgets import write_modules
from playwright.sync_api import Browser, Page
from scipy.integrate import quad
from scipy.special import expit, log_expit

from gan_course.widgets import frames, two_gaussians

REPOSITORY = Path(__file__).parents[2]
SHELL = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="../../_static/widgets/widgets.css">
<script defer src="../../_static/widgets/frames.js"></script>
<script defer src="../../_static/widgets/two_gaussians.js"></script>
<script defer src="../../_static/widget-shim.js"></script></head>
<body><main><h1>Page</h1>{}</main></body></html>"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bare page with both widgets, two folders down in a site that is itself in a subfolder."""
    root = tmp_path_factory.mktemp("root")
    page = root / "project" / "book" / "chapter" / "page.html"
    page.parent.mkdir(parents=True)
    static = root / "project" / "_static"
    write_modules(static / "widgets")
    shim = (REPOSITORY / "book" / "_static" / "widget-shim.js").read_text(encoding="utf-8")
    (static / "widget-shim.js").write_text(shim, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GAN_COURSE_STATIC", "1")
        film = frames(
            lambda i, axes: axes.bar([i], [1 + i]),
            labels=["first", "second", "third", "fourth"],
            alt="A bar, {label}.",
            name="Bar",
            fps=20,
        )
        widgets = [two_gaussians(mu=3), film]
    bundles: list[Any] = [widget._repr_mimebundle_() for widget in widgets]
    page.write_text(SHELL.format("".join(bundle["text/html"] for bundle in bundles)))
    with sitechecks.served(root) as address:
        yield f"{address}project/book/chapter/"


@pytest.fixture
def visit(browser: Browser, base: str) -> Iterator[sitechecks.Visit]:
    with sitechecks.Visit(browser, base) as opened:
        opened.goto("page.html")
        yield opened
        assert opened.troubles == []


def set_slider(page: Page, trait: str, value: float) -> None:
    page.locator(f"[data-trait={trait}]").evaluate(
        "(n, v) => { n.value = v; n.dispatchEvent(new Event('input', {bubbles: true})); }", value
    )


def readouts(page: Page) -> dict[str, float]:
    """The shown numbers, in full, after the next drawing."""
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")
    cells = page.locator("[data-readout]").all()
    return {
        str(cell.get_attribute("data-readout")): float(str(cell.get_attribute("data-value")))
        for cell in cells
    }


def expected(mean: float, mu: float, s: float) -> dict[str, float]:
    """The same by adaptive quadrature, of logarithms, split where the integrands turn."""

    def log_density(x: float, m: float, sd: float) -> float:
        return -0.5 * ((x - m) / sd) ** 2 - math.log(sd) - 0.5 * math.log(2 * math.pi)

    def logit(x: float) -> float:
        return log_density(x, mean, 1) - log_density(x, mu, s)

    def slope(x: float) -> float:
        return (x - mu) / s**2 - (x - mean)

    def q_mean(f: Any) -> float:
        return integral(lambda x: math.exp(log_density(x, mu, s)) * f(x))

    def integral(f: Any) -> float:
        lo, hi = min(mean - 14, mu - 14 * s), max(mean + 14, mu + 14 * s)
        even = [lo + i * (hi - lo) / 16 for i in range(17)]
        cuts = sorted({*even, mean, mu, mu - 3 * s, mu + 3 * s})
        return math.fsum(quad(f, a, b, epsabs=0, epsrel=1e-11)[0] for a, b in pairwise(cuts))

    def kl(a: tuple[float, float], side: int) -> float:
        """KL of N(a) from the half mixture; `side` is the sign of its logit."""

        def ratio(x: float) -> float:
            return math.log(2) + float(log_expit(side * logit(x)))

        return integral(lambda x: math.exp(log_density(x, *a)) * ratio(x))

    return {
        "js": 0.5 * (kl((mean, 1), 1) + kl((mu, s), -1)),
        "kl": q_mean(lambda x: -logit(x)),
        "loss_minimax": q_mean(lambda x: float(log_expit(-logit(x)))),
        "loss_nonsaturating": q_mean(lambda x: -float(log_expit(logit(x)))),
        "gradient_minimax": q_mean(lambda x: -float(expit(logit(x))) * slope(x)),
        "gradient_nonsaturating": q_mean(lambda x: -float(expit(-logit(x))) * slope(x)),
    }


SETTINGS = [
    (0, 0, 1),
    (0, 0.1, 1),
    (0, 1, 1),
    (0, 3, 1),
    (0, -5, 1),
    (0, 8, 1),
    (-8, 8, 1),
    (0, 0, 0.25),
    (0, 2, 0.25),
    (1, 8, 0.25),
    (0, 0, 3),
    (0, 8, 3),
    (-3, 4, 2),
    (8, -8, 0.25),
]


def test_the_readouts_are_right(visit: sitechecks.Visit) -> None:
    for mean, mu, s in SETTINGS:
        for trait, value in (("mean", mean), ("mu", mu), ("s", s)):
            set_slider(visit.page, trait, value)
        shown, right = readouts(visit.page), expected(mean, mu, s)
        assert shown == pytest.approx(right, rel=1e-6, abs=1e-13), (mean, mu, s)


def test_far_apart_the_minimax_gradient_has_gone(visit: sitechecks.Visit) -> None:
    visit.page.get_by_role("button", name="Far apart").click()
    shown = readouts(visit.page)
    assert shown["gradient_nonsaturating"] == pytest.approx(8, rel=1e-3)
    assert 0 < shown["gradient_minimax"] < 1e-3
    assert shown["js"] == pytest.approx(math.log(2), abs=1e-4)
    row = visit.page.get_by_role("row", name="Gradient")
    assert "10⁻⁴" in row.inner_text()


@pytest.mark.parametrize("name", ["Data mean", "Generator mean", "Generator spread"])
@pytest.mark.parametrize("role", ["handle", "range"])
def test_keys_move_each_slider(visit: sitechecks.Visit, name: str, role: str) -> None:
    tag = "g" if role == "handle" else "input"
    sliders = visit.page.get_by_role("slider", name=name)
    slider = sliders.and_(visit.page.locator(tag))
    handle = sliders.and_(visit.page.locator("g"))

    def value() -> float:
        readouts(visit.page)
        return float(str(handle.get_attribute("aria-valuenow")))

    start = value()
    slider.press("ArrowRight")
    up = value()
    assert up > start
    slider.press("ArrowLeft")
    assert value() == pytest.approx(start)
    for key, end in (("End", "aria-valuemax"), ("Home", "aria-valuemin")):
        slider.press(key)
        assert value() == float(str(handle.get_attribute(end)))
    assert slider.evaluate("n => n === document.activeElement")


def test_the_mouse_drags_bell_and_handles(visit: sitechecks.Visit) -> None:
    page = visit.page
    unit = page.locator(".gc-bell.gc-data").evaluate("n => n.getBoundingClientRect().width / 22")
    for name, trait in (("Generator mean", "mu"), ("Generator spread", "s"), ("Data mean", "mean")):
        box = page.locator(f"g[aria-label='{name}']").bounding_box()
        assert box is not None
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
        before = float(page.locator(f"[data-trait={trait}]").input_value())
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + unit, y, steps=3)
        page.mouse.up()
        page.mouse.move(x + 5 * unit, y)  # let go: no longer follows
        readouts(page)
        after = float(page.locator(f"[data-trait={trait}]").input_value())
        assert after == pytest.approx(before + 1, abs=0.06), name


def test_a_finger_drags_the_bell(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        page = visit.goto("page.html")
        bell = page.locator("g[aria-label='Generator mean']").bounding_box()
        assert bell is not None
        x, y = bell["x"] + bell["width"] / 2, bell["y"] + 60
        devtools = visit.context.new_cdp_session(page)

        def touch(kind: str, *points: tuple[float, float]) -> None:
            devtools.send(
                "Input.dispatchTouchEvent",
                {"type": kind, "touchPoints": [{"x": px, "y": py} for px, py in points]},
            )

        before = float(page.locator("[data-trait=mu]").input_value())
        touch("touchStart", (x, y))
        for step in range(1, 6):
            touch("touchMove", (x - 12 * step, y))
        touch("touchEnd")
        readouts(page)
        assert float(page.locator("[data-trait=mu]").input_value()) < before - 1
        assert visit.troubles == []


def test_the_explorable_fits_a_narrow_phone(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        visit.page.set_viewport_size({"width": 360, "height": 700})
        page = visit.goto("page.html")
        readouts(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        widths = page.locator("svg.gc-plot").evaluate_all("all => all.map(n => n.clientWidth)")
        assert min(widths) > 280


def test_parts_can_be_hidden(visit: sitechecks.Visit) -> None:
    for name, kind in (("losses", "Losses"), ("gradients", "Sizes")):
        plot = visit.page.locator(f"svg[aria-label^='{kind}']")
        assert plot.is_visible()
        visit.page.get_by_role("checkbox", name=name).uncheck()
        assert not plot.is_visible()
    critic = visit.page.locator("path.gc-critic")
    assert critic.get_attribute("d")
    visit.page.get_by_role("checkbox", name="D*").uncheck()
    readouts(visit.page)
    assert critic.get_attribute("d") == ""


def test_frames_step_play_and_speak(visit: sitechecks.Visit) -> None:
    page = visit.page
    image = page.locator("img.gc-frame")
    label = page.locator(".gc-label")
    slider = page.get_by_role("slider", name="Bar")
    first = image.get_attribute("src")
    assert image.get_attribute("alt") == "A bar, first."
    page.get_by_role("button", name="Next frame").click()
    page.wait_for_function("document.querySelector('.gc-frame').alt === 'A bar, second.'")
    assert image.get_attribute("src") != first
    assert slider.get_attribute("aria-valuetext") == label.inner_text() == "second"
    page.get_by_role("button", name="Previous frame").click()
    page.get_by_role("button", name="Previous frame").click()  # stays at the first
    page.wait_for_function("document.querySelector('.gc-frame').alt === 'A bar, first.'")
    slider.press("End")
    page.wait_for_function("document.querySelector('.gc-frame').alt === 'A bar, fourth.'")
    play = page.get_by_role("button", name="Play")
    play.focus()
    page.keyboard.press("Space")  # from the end, it starts over; then it stops at the end
    assert label.get_attribute("aria-live") == "off"
    page.wait_for_function("document.querySelector('.gc-label').textContent === 'second'")
    page.wait_for_function("document.querySelector('.gc-label').textContent === 'fourth'")
    play.wait_for()
    assert label.get_attribute("aria-live") == "polite"


def test_a_still_picture_without_scripts(browser: Browser, base: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{base}page.html")
    for image in page.locator(".gc-still img").all():
        assert image.is_visible()
        assert image.get_attribute("alt")
    assert page.locator(".gc-still img").count() == 2
    context.close()


@pytest.mark.parametrize("export", ["default { render }", "default async () => ({ render })"])
def test_the_shim_is_an_anywidget_host(browser: Browser, tmp_path: Path, export: str) -> None:
    """Both forms of a module; `initialize` before `render`; the model's methods."""
    source = (
        "const log = []; const initialize = ({ model }) => { model.set('n', model.get('n') + 1); };"
        "const render = ({ model, el }) => { const hear = (m, v) => log.push(v);"
        "model.on('change:n', hear); model.set('n', 6); model.set('n', 6); model.save_changes();"
        "model.send({}); model.off('change:n', hear); model.set('n', 9);"
        "el.textContent = JSON.stringify([log, model.get('n')]); };"
        f"export {export.replace('render }', 'initialize, render }')};"
    )
    shim = (REPOSITORY / "book" / "_static" / "widget-shim.js").read_text(encoding="utf-8")
    html = SHELL[: SHELL.index('<link rel="stylesheet"')] + (
        '</head><body><div class="gc-widget" data-module="demo"><div class="gc-still">still</div>'
        '<script type="application/json">{"n": 4}</script></div>'
        f"<script>window.gcWidgetSources = {{demo: {source!r}}};</script><script>{shim}</script>"
    )
    (tmp_path / "page.html").write_text(html)
    with sitechecks.served(tmp_path) as address, sitechecks.Visit(browser, address) as visit:
        page = visit.goto("page.html")
        assert page.locator(".gc-widget > div").inner_text() == "[[6],9]"
        assert visit.troubles == []


def test_a_broken_module_leaves_the_still_picture(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base) as visit:
        visit.page.route("**/two_gaussians.js", lambda route: route.fulfill(body=""))
        page = visit.goto("page.html")
        assert page.locator("[data-module=two_gaussians] .gc-still img").is_visible()
        assert any("stays still" in trouble for trouble in visit.troubles)


@pytest.mark.slow
def test_the_book_has_both_kinds_of_widget(site: Path) -> None:
    found = {
        widget["data-module"]
        for page in sitechecks.docnames(site)
        for widget in sitechecks.soup(site / f"{page}.html").select(".gc-widget")
    }
    assert found == {"frames", "two_gaussians"}


@pytest.mark.slow
def test_widgets_live_in_a_book_opened_from_disk(browser: Browser, site: Path) -> None:
    page_name = next(
        page
        for page in sitechecks.docnames(site)
        if sitechecks.soup(site / f"{page}.html").select(".gc-widget")
    )
    with sitechecks.Visit(browser, site.as_uri() + "/") as visit:
        page = visit.goto(f"{page_name}.html")
        assert sitechecks.widget_complaints(page) == []
        assert visit.troubles == []
