"""The widgets on a page without a kernel: right numbers, and hands on them of every kind."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sitechecks
from coursebook.widgets import write_modules
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, Page
from scipy.integrate import quad
from scipy.special import expit, log_expit

from gan_course import transport
from gan_course.widgets import frames, moving_mass, two_gaussians

REPOSITORY = Path(__file__).parents[2]
SHELL = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="../../_static/widgets/widgets.css">
<script defer src="../../_static/widgets/frames.js"></script>
<script defer src="../../_static/widgets/two_gaussians.js"></script>
<script defer src="../../_static/widgets/moving_mass.js"></script>
<script defer src="../../_static/widget-shim.js"></script></head>
<body><main><h1>Page</h1>{}</main></body></html>"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bare pages with widgets, two folders down in a site that is itself in a subfolder."""
    root = tmp_path_factory.mktemp("root")
    folder = root / "project" / "book" / "chapter"
    folder.mkdir(parents=True)
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
        pages: dict[str, list[Any]] = {
            "page.html": [two_gaussians(mu=3), film],
            "mass.html": [moving_mass()],
        }
        for name, widgets in pages.items():
            html = "".join(widget._repr_mimebundle_()["text/html"] for widget in widgets)
            (folder / name).write_text(SHELL.format(html), encoding="utf-8")
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


# ------------------------------------------------------------------ moving mass

PLACES = np.arange(1.0, 9.0)
TO_MODULE = """async ([pairs, body]) => {
    const blob = new Blob([window.gcWidgetSources.moving_mass], {type: "text/javascript"});
    const m = await import(URL.createObjectURL(blob));
    return pairs.map(new Function("m", `return ([p, q]) => ${body}`)(m));
}"""


@pytest.fixture
def moving(browser: Browser, base: str) -> Iterator[Page]:
    with sitechecks.Visit(browser, base) as opened:
        yield opened.goto("mass.html")
        assert opened.troubles == []


def finger(page: Page) -> Callable[..., None]:
    """`touch(kind, *points)`: what a hand does on the screen."""
    devtools = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        at = [{"x": x, "y": y} for x, y in points]
        devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": at})

    return touch


def bar(page: Page, side: str, place: int) -> Locator:
    return page.get_by_role("slider", name=f"{side} mass at {place}", exact=True)


def in_bar(page: Page, side: str, place: int) -> tuple[float, float]:
    box = bar(page, side, place).locator(".gc-reach").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def numbers(page: Page, selector: str, attribute: str) -> NDArray[np.float64]:
    found = "(all, key) => all.map(node => Number(node.getAttribute(key)))"
    return np.array(page.locator(selector).evaluate_all(found, attribute))


def unit(page: Page) -> float:
    """Pixels of a bar that holds all the mass, from the axis' lines at 1/2 and 1."""
    half, one = numbers(page, ".gc-plot[role=group] .gc-grid", "y1")[:2]
    return float(2 * (half - one))


def laws(page: Page) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The masses that the sliders have, which each sum to one, after the next drawing."""
    readouts(page)
    found = numbers(page, ".gc-mass[role=slider]", "aria-valuenow").reshape(2, 8)
    assert (found >= 0).all()
    assert found.sum(1) == pytest.approx(np.ones(2), abs=1e-12)
    return found[0], found[1]


def right_masses(p: NDArray[np.float64], q: NDArray[np.float64]) -> dict[str, float]:
    w1 = float(transport.w1_1d(PLACES, PLACES, p, q))
    return {"w1": w1, "dual": w1, "js": float(transport.js(p, q)), "tv": float(transport.tv(p, q))}


def drawn(page: Page, selector: str) -> list[list[float]]:
    """The numbers in the paths of a kind."""
    paths = page.locator(selector).evaluate_all("all => all.map(n => n.getAttribute('d'))")
    number = r"-?\d+(?:\.\d+)?(?:e-?\d+)?"
    return [[float(found) for found in re.findall(number, path)] for path in paths]


def assert_the_ribbons_carry(page: Page, p: NDArray[np.float64], q: NDArray[np.float64]) -> None:
    """The ribbons, as they are drawn, take p to q at the cost W1."""
    left, _, right_edge = drawn(page, ".gc-reach")[0][:3]
    slot, carried = right_edge - left, np.zeros((8, 8))
    covered: dict[tuple[int, int], list[float]] = {}
    for d in drawn(page, ".gc-moves, .gc-stays"):
        a, b, w = d[0], d[6], d[8]  # where it leaves, where it arrives, how wide it is
        start, end = (int((at + w / 2 - left) // slot) for at in (a, b))
        carried[start, end] += w / slot
        covered.setdefault((0, start), []).extend([a, a + w])
        covered.setdefault((1, end), []).extend([b, b + w])
    for (side, place), edges in covered.items():  # side by side, in the middle of the bar
        assert np.ptp(edges) == pytest.approx(slot * (p, q)[side][place], abs=1e-6)
        assert min(edges) + max(edges) == pytest.approx(2 * left + slot * (2 * place + 1), abs=1e-6)
    assert carried.sum(1) == pytest.approx(p, abs=1e-6)
    assert carried.sum(0) == pytest.approx(q, abs=1e-6)
    cost = float((carried * np.abs(PLACES[:, None] - PLACES)).sum())
    assert cost == pytest.approx(right_masses(p, q)["w1"], abs=1e-6)


def assert_the_picture_is_right(page: Page) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Numbers, bars, ribbons and potential all show the masses that the sliders have."""
    p, q = laws(page)
    right = right_masses(p, q)
    assert readouts(page) == pytest.approx(right, abs=1e-6)
    shown = [float(text) for text in page.locator("[data-readout]").all_inner_texts()]
    assert shown == pytest.approx(list(right.values()), abs=6e-5)

    heights = [abs(d[3] - d[1]) for d in drawn(page, ".gc-body")]
    assert heights == pytest.approx([*p * unit(page), *q * unit(page)], abs=1e-6)

    assert_the_ribbons_carry(page, p, q)

    f = numbers(page, "circle.gc-critic", "data-value")
    assert np.abs(np.diff(f)).max() <= 1 + 1e-9
    assert f @ (p - q) == pytest.approx(right["w1"], abs=1e-6)
    pixels = numbers(page, "circle.gc-critic", "cy")
    if np.ptp(f) > 0.5:
        slope, level = np.polyfit(f, pixels, 1)
        assert slope < -5
        assert pixels == pytest.approx(slope * f + level, abs=0.1)
    return p, q


def test_the_mathematics_of_moving_mass_agrees_with_transport(moving: Page) -> None:
    random = np.random.default_rng(5)
    pairs = random.dirichlet(np.full(8, 0.4), size=(300, 2))
    pairs[50:150] = random.multinomial(10, pairs[50:150]) / 10  # empty bins, equal levels
    pairs[150:160, 1] = pairs[150:160, 0]
    pairs[160:170] = np.eye(8)[random.integers(8, size=(10, 2))]
    parts = "f: m.potential(p, q), moves: m.coupling(p, q), e: m.excess(p, q)"
    found = moving.evaluate(TO_MODULE, [pairs.tolist(), f"({{...m.evaluate(p, q), {parts}}})"])
    for (p, q), now in zip(pairs, found, strict=True):
        f, gap = np.array(now.pop("f")), np.cumsum(p - q)[:-1]
        moves, e = now.pop("moves"), np.array(now.pop("e"))
        assert now == pytest.approx(right_masses(p, q), abs=1e-9)
        assert e == pytest.approx(gap, abs=1e-9)
        level = np.abs(gap) < 1e-12
        assert np.abs(np.diff(f)) == pytest.approx(np.where(level, 0, 1), abs=1e-12)
        assert f @ q == pytest.approx(0, abs=1e-12)
        assert f @ p == pytest.approx(now["w1"], abs=1e-9)
        plan = transport.plan(PLACES[None, :, None], PLACES[None, :, None], p, q).coupling[0]
        carried = np.zeros((8, 8))
        for move in moves:
            carried[move["from"], move["to"]] += move["mass"]
        assert carried == pytest.approx(plan, abs=1e-9)


def test_setting_one_mass_keeps_the_proportions_of_the_others(moving: Page) -> None:
    p = [0.1, 0.3, 0.1, 0, 0, 0.1, 0.4, 0]
    cases = [[p, [1, 0.55]], [p, [3, 1]], [p, [6, 0]], [[0, 0, 1, 0, 0, 0, 0, 0], [2, 0.3]]]
    found = moving.evaluate(TO_MODULE, [cases, "m.withMass(p, q[0], q[1])"])
    for (before, (index, value)), after in zip(cases, found, strict=True):
        others = np.delete(before, index)
        wanted = others / others.sum() if sum(others) else np.full(7, 1 / 7)
        assert after[index] == value
        assert np.delete(after, index) == pytest.approx((1 - value) * wanted, abs=1e-12)
    steps = [[p, 1], [p, 2], [p, -1], [[0, 0, *p[:6]], -2]]
    assert moving.evaluate(TO_MODULE, [steps, "m.moved(p, q)"]) == [
        [0, *p[:7]],
        None,
        None,
        [*p[:6], 0, 0],
    ]


PRESETS = {
    "Shift": {"w1": 4, "js": math.log(2), "tv": 1},
    "Split": {"w1": 1.8, "tv": 0.8},
    "Missing mode": {"w1": 2.5, "tv": 0.5},
    "Equal": {"w1": 0, "js": 0, "tv": 0},
}


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_of_moving_mass(moving: Page, name: str) -> None:
    start = assert_the_picture_is_right(moving)
    moving.get_by_role("button", name=name).click()
    p, q = assert_the_picture_is_right(moving)
    shown = readouts(moving)
    assert {key: shown[key] for key in PRESETS[name]} == pytest.approx(PRESETS[name], abs=1e-9)
    assert not np.array_equal(q, start[1])
    assert np.array_equal(p, start[0]) == (name == "Equal")
    moving.get_by_role("button", name="Reset").click()
    assert np.array_equal(laws(moving), start)


def test_moving_the_generator_away_w1_grows_and_js_does_not(moving: Page) -> None:
    moving.get_by_role("button", name="Shift").click()
    right, left = (moving.get_by_role("button", name=f"place {side}") for side in ("right", "left"))
    assert right.get_attribute("aria-disabled") == "false"
    right.click()
    assert readouts(moving)["w1"] == pytest.approx(5)
    assert readouts(moving)["js"] == pytest.approx(math.log(2))
    assert right.get_attribute("aria-disabled") == "true"
    right.click(force=True)  # there is no room: nothing falls off the end
    assert readouts(moving)["w1"] == pytest.approx(5)
    for _ in range(5):
        left.click()
    assert_the_picture_is_right(moving)
    assert readouts(moving)["w1"] == pytest.approx(0)


def test_the_mouse_drags_bars(moving: Page) -> None:
    mouse = moving.mouse
    for side, place, up in (("Data", 7, 1), ("Generator", 4, -1), ("Data", 4, 1)):
        index, which = place - 1, int(side == "Generator")
        before = laws(moving)[which]
        x, y = in_bar(moving, side, place)
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + 3, y - up * 0.2 * unit(moving), steps=4)
        mouse.up()
        mouse.move(x, y - up * unit(moving))  # let go: no longer follows
        after = assert_the_picture_is_right(moving)[which]
        assert after[index] == pytest.approx(before[index] + 0.2, abs=0.006)
        rest = np.delete(after, index) / (1 - after[index])
        assert rest == pytest.approx(np.delete(before, index) / (1 - before[index]), abs=1e-9)


def test_a_bar_dragged_to_the_end_takes_all_and_gives_it_back(moving: Page) -> None:
    before = laws(moving)[0]
    x, y = in_bar(moving, "Data", 2)
    moving.mouse.move(x, y)
    moving.mouse.down()
    moving.mouse.move(x, y - 1.5 * unit(moving), steps=5)
    assert np.array_equal(assert_the_picture_is_right(moving)[0], np.eye(8)[1])
    moving.mouse.move(x, y + unit(moving), steps=5)
    assert assert_the_picture_is_right(moving)[0][1] == 0
    moving.mouse.move(x, y, steps=5)
    moving.mouse.up()
    assert assert_the_picture_is_right(moving)[0] == pytest.approx(before, abs=1e-12)


def test_keys_set_each_mass(moving: Page) -> None:
    for side, which in (("Data", 0), ("Generator", 1)):
        for place in range(1, 9):
            before = laws(moving)[which]
            bar(moving, side, place).press("ArrowUp")
            now = laws(moving)[which]
            assert now[place - 1] == pytest.approx(before[place - 1] + 0.01, abs=0.006)
        assert_the_picture_is_right(moving)


def test_every_key_of_a_bar(moving: Page) -> None:
    slider, start = bar(moving, "Generator", 3), laws(moving)[1]
    for key, mass in [
        ("ArrowUp", 0.21),
        ("ArrowRight", 0.22),
        ("ArrowDown", 0.21),
        ("ArrowLeft", 0.2),
        ("PageUp", 0.3),
        ("Shift+ArrowUp", 0.4),
        ("PageDown", 0.3),
        ("End", 1),
        ("Home", 0),
        ("Shift+ArrowRight", 0.1),
        ("PageUp", 0.2),
    ]:
        slider.press(key)
        assert laws(moving)[1][2] == mass
        assert slider.get_attribute("aria-valuetext") == f"{mass:.2f}"
    assert assert_the_picture_is_right(moving)[1] == pytest.approx(start, abs=1e-12)
    assert slider.evaluate("n => n === document.activeElement")


def test_the_tab_key_goes_from_bar_to_bar(moving: Page) -> None:
    moving.get_by_role("button", name="Reset").focus()
    names = []
    for _ in range(17):
        moving.keyboard.press("Tab")
        names.append(moving.evaluate("document.activeElement.getAttribute('aria-label')"))
    sides = [f"{side} mass at {i}" for side in ("Data", "Generator") for i in range(1, 9)]
    assert names == [*sides, None]


def test_a_finger_moves_mass_and_scrolls_the_page_beside_it(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        visit.page.set_viewport_size({"width": 375, "height": 667})
        page = visit.goto("mass.html")
        touch = finger(page)
        p, q = laws(page)
        for side, place, up in (("Data", 3, 1), ("Generator", 1, -1)):
            x, y = in_bar(page, side, place)
            touch("touchStart", (x, y))
            for step in range(1, 7):
                touch("touchMove", (x, y - up * step * unit(page) / 20))
            touch("touchEnd")
        after = assert_the_picture_is_right(page)
        assert after[0][2] == pytest.approx(p[2] + 0.3, abs=0.03)
        assert after[1][0] == pytest.approx(q[0] + 0.3, abs=0.03)
        assert page.evaluate("scrollY") == 0

        beside = page.locator(".gc-moves").first.bounding_box()  # between the histograms
        assert beside is not None
        x, y = beside["x"] + 20, beside["y"] + beside["height"] / 2
        touch("touchStart", (x, y))
        for step in range(1, 7):
            touch("touchMove", (x, y - 25 * step))
        touch("touchEnd")
        page.wait_for_function("scrollY > 60")
        assert np.array_equal(laws(page), after)
        assert visit.troubles == []


def test_moving_mass_fits_a_narrow_phone(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        visit.page.set_viewport_size({"width": 360, "height": 700})
        page = visit.goto("mass.html")
        assert_the_picture_is_right(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        boxes = page.locator(".gc-reach").evaluate_all(
            "all => all.map(n => n.getBoundingClientRect()).map(b => [b.width, b.height])"
        )
        assert np.min(boxes, axis=0).tolist() > [32, 0]
        assert np.min(boxes, axis=0)[1] >= 26


def test_the_numbers_are_spoken_once_the_hand_is_still(moving: Page) -> None:
    status = moving.get_by_role("status")
    status.evaluate(
        "n => { window.said = [];"
        "new MutationObserver(() => said.push(n.textContent)).observe(n, {childList: true}); }"
    )
    assert status.text_content() == ""
    slider = bar(moving, "Data", 4)
    for _ in range(20):
        slider.press("ArrowUp")
    assert moving.evaluate("said") == []
    moving.wait_for_function("said.length > 0")
    (spoken,) = moving.evaluate("said")
    values = [float(number) for number in re.findall(r"\d\.\d{4}", spoken)]
    assert values == pytest.approx([readouts(moving)[key] for key in ("w1", "js", "tv")], abs=6e-5)


def test_presets_glide_unless_motion_is_unwelcome(moving: Page) -> None:
    body = bar(moving, "Generator", 4).locator(".gc-body")
    heights = """n => new Promise(done => {
        const seen = [], since = performance.now();
        const look = () => {
            const height = n.getBBox().height;
            if (height !== seen.at(-1)) seen.push(height);
            performance.now() - since < 600 ? requestAnimationFrame(look) : done(seen);
        };
        [...document.querySelectorAll("button")].find(b => b.textContent === "Shift").click();
        look();
    })"""
    assert len(body.evaluate(heights)) == 2  # before and after
    moving.get_by_role("button", name="Reset").click()
    moving.emulate_media(reduced_motion="no-preference")
    seen = body.evaluate(heights)
    assert len(seen) > 4
    assert seen == sorted(seen, reverse=True)
    assert seen[-1] == 0
    assert_the_picture_is_right(moving)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_moving_mass_is_accessible(moving: Page, scheme: str) -> None:
    if scheme == "dark":
        moving.evaluate("document.documentElement.dataset.theme = 'dark'")
        moving.add_style_tag(content="body { background: #14181e; color: #ced6dd; }")
    assert sitechecks.axe_complaints(moving, scheme) == []
    assert sitechecks.widget_complaints(moving) == []


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
def test_the_book_has_every_kind_of_widget(site: Path) -> None:
    found = {
        widget["data-module"]
        for page in sitechecks.docnames(site)
        for widget in sitechecks.soup(site / f"{page}.html").select(".gc-widget")
    }
    assert found == {"frames", "two_gaussians", "moving_mass"}


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
