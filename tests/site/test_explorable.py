"""The widgets on a page without a kernel: right numbers, and hands on them of every kind."""

from __future__ import annotations

import functools
import json
import math
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sitechecks
import torch
from coursebook.widgets import write_modules
from numpy.typing import NDArray
from playwright.sync_api import Browser, Locator, Page
from scipy.integrate import quad
from scipy.special import expit, log_expit
from scipy.stats import poisson

from gan_course import dynamics, features, ipm, transport
from gan_course.widgets import (
    birthday_test,
    birthdays,
    bounds,
    coverings,
    critics,
    delta_features,
    deltas,
    epsilon_net,
    frames,
    moving_mass,
    phase_portrait,
    portraits,
    sample_calculator,
    two_clouds,
    two_gaussians,
)

REPOSITORY = Path(__file__).parents[2]
TASKS = ("critical strength", "unstable step")
SHELL = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<link rel="icon" href="data:,"><meta name="viewport" content="width=device-width">
<link rel="stylesheet" href="../../_static/widgets/widgets.css">
<script defer src="../../_static/widgets/frames.js"></script>
<script defer src="../../_static/widgets/two_gaussians.js"></script>
<script defer src="../../_static/widgets/moving_mass.js"></script>
<script defer src="../../_static/widgets/phase_portrait.js"></script>
<script defer src="../../_static/widgets/birthday_test.js"></script>
<script defer src="../../_static/widgets/epsilon_net.js"></script>
<script defer src="../../_static/widgets/sample_calculator.js"></script>
<script defer src="../../_static/widgets/two_clouds.js"></script>
<script defer src="../../_static/widgets/delta_features.js"></script>
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
            "portrait.html": [phase_portrait()],
            "uniform.html": [phase_portrait("uniform", mode="alternating")],
            "critical.html": [phase_portrait(regularizer="R1", strength=1, task=TASKS[0])],
            "step.html": [phase_portrait(mode="alternating", task=TASKS[1])],
            "net.html": [epsilon_net()],
            "calculator.html": [sample_calculator()],
            "between.html": [sample_calculator(137, 3.7, 0.033, 3e-9)],
            "birthday.html": [birthday_test()],
            "clouds.html": [two_clouds()],
            "pair.html": [two_clouds([[0.5, 1]], [[0.5, 1]], "R1", 0.3, "largest")],
            "delta.html": [delta_features()],
            "sum.html": [delta_features(1, 3.7, 2.5e-7, constant=False, seed=20)],
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


# ------------------------------------------------------------------ phase portrait

PORTRAIT_MODULE = """async ([cases, body]) => {
    const blob = new Blob([window.gcWidgetSources.phase_portrait], {type: "text/javascript"});
    const m = await import(URL.createObjectURL(blob));
    return cases.map(new Function("m", `return (s) => ${body}`)(m));
}"""
GAMES = [
    {"system": system, "loss": loss, "regularizer": regularizer}
    for system in portraits.SYSTEMS
    for loss in portraits.LOSS_NAMES
    for regularizer in portraits.REGULARIZERS
    if system == "dirac" or regularizer != "instance noise"
]
Game = dict[str, Any]


@pytest.fixture
def portrait(browser: Browser, base: str) -> Iterator[Page]:
    with sitechecks.Visit(browser, base) as opened:
        yield opened.goto("portrait.html")
        assert opened.troubles == []


def game_of(case: Game) -> dynamics.System:
    return portraits.game(*(case[key] for key in ("system", "loss", "regularizer", "strength")))


def starts(case: Game, count: int) -> NDArray[np.float64]:
    low, high = np.transpose(portraits.BOXES[case["system"]])
    return np.random.default_rng(7).uniform(low, high, (count, 2))


def test_the_portraits_field_and_jacobian_agree_with_dynamics(portrait: Page) -> None:
    cases = [game | {"strength": 0.8, "points": starts(game, 8).tolist()} for game in GAMES]
    found = portrait.evaluate(PORTRAIT_MODULE, [cases, "s.points.map((p) => m.field(s)(...p))"])
    for case, values in zip(cases, found, strict=True):
        points = torch.tensor(case["points"], dtype=torch.float64)
        field = game_of(case).field
        right = torch.func.vmap(field)(points).detach().numpy()
        assert np.array([at["v"] for at in values]) == pytest.approx(right, abs=1e-11), case
        slopes = torch.func.vmap(torch.func.jacrev(field))(points).detach().numpy()
        assert np.array([at["J"] for at in values]) == pytest.approx(slopes, abs=1e-11), case


@pytest.mark.parametrize("mode", portraits.MODES)
def test_the_portraits_eigenvalues_agree_with_dynamics(portrait: Page, mode: str) -> None:
    random = np.random.default_rng(3)
    cases = [
        game | {"strength": strength, "mode": mode, "step": random.uniform(0.1, 4)}
        for game in GAMES
        for strength in (0.0, 0.45, 1.0, 2.9)
    ]
    found = portrait.evaluate(PORTRAIT_MODULE, [cases, "m.spectrum(s)"])
    for case, now in zip(cases, found, strict=True):
        right = portraits.evaluate(**case)
        values = [[right[f"{part}{i}"] for part in ("re", "im")] for i in (1, 2)]
        assert np.array(now["values"]) == pytest.approx(np.array(values), abs=1e-9), case
        assert now["stability"] == right["stability"], case


@pytest.mark.parametrize("mode", ["simultaneous", "alternating"])
def test_the_portraits_maps_agree_with_dynamics(portrait: Page, mode: str) -> None:
    """The first steps and the last, and the map's own Jacobian away from the equilibrium."""
    cases = [
        game | {"strength": 0.6, "mode": mode, "step": 0.4, "start": starts(game, 1)[0].tolist()}
        for game in GAMES
    ]
    body = "[m.trajectory(s), m.mapped(s, m.field(s)).jacobian(...s.start)]"
    for case, (path, slope) in zip(
        cases, portrait.evaluate(PORTRAIT_MODULE, [cases, body]), strict=True
    ):
        step = portraits.moves(mode, game_of(case), case["step"])
        right = dynamics.orbit(step, case["start"], 40)
        assert np.array(path[:41]) == pytest.approx(right, rel=1e-8, abs=1e-9), case
        at, before, last = (
            torch.tensor(x, dtype=torch.float64) for x in (case["start"], *path[-2:])
        )
        assert step(before).tolist() == pytest.approx(last.tolist(), rel=1e-9, abs=1e-12)
        assert len(path) == 201 or np.hypot(*step(last).tolist()) >= 1e6
        assert np.array(slope) == pytest.approx(dynamics.jacobian(step, at).numpy(), abs=1e-11)


@pytest.mark.parametrize("game", GAMES, ids=lambda game: " ".join(game.values()))
def test_the_portraits_flow_agrees_with_the_solver(portrait: Page, game: Game) -> None:
    """Piece by piece, each of one unit of time, all along the trajectory, to 1e-7."""
    settings = game | {
        "strength": 0.5,
        "mode": "flow",
        "step": 1,
        "start": list(starts(game, 1)[0]),
    }
    (path,) = portrait.evaluate(PORTRAIT_MODULE, [[settings], "m.trajectory(s)"])
    assert len(path) == 1601
    assert path[0] == pytest.approx(settings["start"])
    ends = np.array(path[::40])
    right = dynamics.flow(game_of(settings).field, ends[:-1:4], [0, 1])[:, -1]
    assert ends[1::4] == pytest.approx(right, abs=1e-7)


@pytest.mark.parametrize(
    ("loss", "regularizer", "start"),
    [("Wasserstein", "none", (1.5, -1.0)), ("non-saturating", "R1", (-2.0, 1.0))],
)
def test_the_portraits_flow_ends_where_the_solver_does(
    portrait: Page, loss: str, regularizer: str, start: tuple[float, float]
) -> None:
    settings: Game = {"system": "dirac", "loss": loss, "regularizer": regularizer}
    settings |= {"strength": 0.3, "mode": "flow", "step": 1, "start": start}
    (path,) = portrait.evaluate(PORTRAIT_MODULE, [[settings], "m.trajectory(s)"])
    right = dynamics.flow(game_of(settings).field, start, [0, 40], rtol=1e-9)
    assert path[-1] == pytest.approx(right[-1], abs=1e-6)


def test_the_portraits_module_and_package_name_the_same_things(portrait: Page) -> None:
    body = "[m.SYSTEMS, m.LIMITS, m.LOSSES, m.MODES, m.TIME, m.STEPS, Object.keys(m.TASKS)]"
    ((systems, limits, losses, modes, *ends, tasks),) = portrait.evaluate(
        PORTRAIT_MODULE, [[0], body]
    )
    assert list(systems) == list(portraits.SYSTEMS)
    for name, system in systems.items():
        assert system["names"] == list(portraits.NAMES[name])
        assert np.array(system["box"]) == pytest.approx(np.array(portraits.BOXES[name]))
        assert tuple(system["equilibria"][0]) == portraits.EQUILIBRIA[name]
        assert system["regularizers"] == list(portraits.REGULARIZERS)[: 5 if name == "dirac" else 4]
    assert {key: tuple(pair) for key, pair in limits.items()} == portraits.LIMITS
    assert losses == list(portraits.LOSS_NAMES)
    assert modes == list(portraits.MODES)
    assert ends == [portraits.TIME, portraits.STEPS]
    assert tuple(tasks) == portraits.TASKS[1:] == TASKS


def after_drawing(page: Page) -> None:
    page.evaluate("() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 0)))")


def choose(page: Page, **settings: Any) -> None:
    """Set the controls as a hand does, the lists before the sliders that they bring."""
    for trait in ("loss", "regularizer", "mode"):
        if trait in settings:
            page.locator(f"select[data-trait={trait}]").select_option(settings[trait])
    after_drawing(page)
    for trait in ("strength", "step"):
        if trait in settings:
            set_slider(page, trait, settings[trait])
    after_drawing(page)


def point_of(page: Page, selector: str) -> tuple[float, float]:
    after_drawing(page)
    node = page.locator(selector)
    return float(str(node.get_attribute("data-x"))), float(str(node.get_attribute("data-y")))


def start_of(page: Page) -> tuple[float, float]:
    return point_of(page, "[role=slider][data-x]")


def shown_numbers(page: Page) -> dict[str, Any]:
    after_drawing(page)
    cells = page.locator("[data-readout]").all()
    found = {str(c.get_attribute("data-readout")): c.get_attribute("data-value") for c in cells}
    return {key: v if key == "stability" else float(str(v)) for key, v in found.items()}


def assert_the_portrait_is_right(page: Page, **settings: Any) -> None:
    """Numbers, dots and end of the trajectory are those of the settings."""
    now = shown_numbers(page)
    numbers_of = {key: value for key, value in settings.items() if key != "start"}
    right = portraits.evaluate(**numbers_of)
    assert {key: now[key] for key in right} == pytest.approx(right, abs=1e-9)
    dots = page.locator(".gc-eigen circle[data-x]")
    places = dots.evaluate_all("all => all.map(n => [n.dataset.x, n.dataset.y].map(Number))")
    assert places == [[now[f"re{i}"], now[f"im{i}"]] for i in (1, 2)]
    assert start_of(page) == pytest.approx(settings["start"])
    path = portraits.trajectory(**settings)
    there = np.array([*portraits.EQUILIBRIA[settings["system"]]])
    close = 1e-3 if settings["mode"] == "flow" else 1e-8
    assert point_of(page, "[data-end]") == pytest.approx(path[-1], abs=close, rel=close)
    away = min(np.hypot(*(path[-1] - there)), np.hypot(*(path[-1] + there)))
    assert now["distance"] == pytest.approx(away, abs=close, rel=close)


def test_the_portraits_controls_reach_the_numbers_and_the_picture(portrait: Page) -> None:
    keys = ("loss", "regularizer", "strength", "mode", "step")
    first = ("minimax", "none", 0.0, "flow", 0.2)
    rest: Game = {"system": "dirac", "start": [1.0, 1.0]}
    assert_the_portrait_is_right(portrait, **rest, **dict(zip(keys, first, strict=True)))
    for values in (
        ("minimax", "consensus", 1.0, "alternating", 0.75),
        ("non-saturating", "gradient norm", 2.0, "simultaneous", 0.75),
        ("non-saturating", "instance noise", 1.5, "simultaneous", 0.5),
        ("Wasserstein", "R1", 0.5, "flow", 2.5),
    ):
        settings = dict(zip(keys, values, strict=True))
        without = {"step"} if settings["mode"] == "flow" else set()
        choose(portrait, **{key: settings[key] for key in settings.keys() - without})
        assert_the_portrait_is_right(portrait, **rest, **settings)
    portrait.get_by_role("button", name="Reset").click()
    assert_the_portrait_is_right(portrait, **rest, **dict(zip(keys, first, strict=True)))


def test_the_portrait_of_the_uniform_system(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base) as visit:
        page = visit.goto("uniform.html")
        options = page.locator("select[data-trait=regularizer] option").all_inner_texts()
        assert options == ["none", "R1", "consensus", "gradient norm"]
        choose(page, loss="Wasserstein", regularizer="gradient norm", strength=0.5, step=0.45)
        rest: Game = {"system": "uniform", "loss": "Wasserstein", "regularizer": "gradient norm"}
        rest |= {"strength": 0.5, "mode": "alternating", "step": 0.45, "start": [0.5, 0.5]}
        assert_the_portrait_is_right(page, **rest)
        assert visit.troubles == []


def test_the_portrait_shows_an_escape(portrait: Page) -> None:
    choose(portrait, loss="Wasserstein", mode="simultaneous", step=5)
    assert shown_numbers(portrait)["distance"] == math.inf
    assert portrait.locator("[data-readout=distance]").inner_text() == "∞"
    assert portrait.locator("[data-readout=stability]").inner_text() == "unstable"


def test_the_portraits_sliders_are_there_where_they_do_something(portrait: Page) -> None:
    strength, step = (portrait.locator(f"input[data-trait={t}]") for t in ("strength", "step"))
    assert (strength.count(), step.count()) == (0, 0)
    choose(portrait, regularizer="R1")
    assert (strength.count(), step.count()) == (1, 0)
    before = portrait.locator(".gc-arrows").get_attribute("d")
    for _ in range(3):
        strength.press("ArrowRight")
    after_drawing(portrait)
    assert portrait.get_by_text("Strength γ").is_visible()
    portrait.evaluate("addEventListener('keydown', (event) => { window.leaked = event.key; })")
    strength.press("ArrowLeft")
    strength.press("ArrowRight")
    assert portrait.evaluate("window.leaked ?? null") is None  # JupyterLab would take it
    assert shown_numbers(portrait)["re1"] == pytest.approx(-0.075)
    assert portrait.locator(".gc-arrows").get_attribute("d") != before
    choose(portrait, regularizer="none", mode="alternating")
    assert (strength.count(), step.count()) == (0, 1)


def test_the_portraits_scales_are_right(portrait: Page) -> None:
    """Handle, end, dots, arrows and border lie where the axes' numbers say."""
    choose(portrait, loss="Wasserstein", regularizer="R1", strength=0.5, mode="alternating", step=1)
    for plane in (".gc-phase", ".gc-eigen"):
        to_value = scale_of(portrait, plane)
        for node in portrait.locator(f"{plane} [data-x]").all():
            place = to_value(center(node))
            value = [float(str(node.get_attribute(f"data-{key}"))) for key in "xy"]
            assert place == pytest.approx(value, abs=0.02)
    assert drawn_disc(portrait) == pytest.approx([0, 0, 1], abs=0.01)
    to_value = scale_of(portrait, ".gc-phase")
    (d,) = drawn(portrait, ".gc-arrows")
    arrows = np.reshape(d, (-1, 5, 2))  # from tail to tip, then the head
    case: Game = {"system": "dirac", "loss": "Wasserstein", "regularizer": "R1", "strength": 0.5}
    field = torch.func.vmap(game_of(case).field)
    frame = portrait.locator(".gc-phase svg").bounding_box()
    assert frame is not None
    corner = np.array([frame["x"], frame["y"]])
    for tail, tip, *_ in arrows:
        a, b = (np.array(to_value(p + corner)) for p in (tail, tip))
        right = field(torch.from_numpy((a + b)[None] / 2)).detach().numpy()[0]
        cosine = (b - a) @ right / np.hypot(*(b - a)) / np.hypot(*right)
        assert cosine > 0.97 or np.hypot(*right) < 0.2


def center(node: Locator) -> NDArray[np.float64]:
    """Of a circle or of a handle, which stands around its own origin."""
    return np.array(
        node.evaluate(
            "n => { const c = n.tagName === 'g' ? n.lastChild : n, b = c.getBoundingClientRect();"
            "return [b.x + b.width / 2, b.y + b.height / 2]; }"
        )
    )


def scale_of(page: Page, plane: str) -> Callable[[Any], list[float]]:
    """From the window's pixels to the plane's numbers, by its grid lines and their labels."""
    lines = page.locator(f"{plane} .gc-grid").evaluate_all(
        "all => all.map(n => { const b = n.getBoundingClientRect();"
        "return [b.height > b.width ? 0 : 1, b.x + b.width / 2, b.y + b.height / 2,"
        "Number(n.nextSibling.textContent.replace('−', '-'))]; })"
    )
    fits = [
        np.polyfit([line[1 + side] for line in lines if line[0] == side],
                   [line[3] for line in lines if line[0] == side], 1)
        for side in (0, 1)
    ]  # fmt: skip
    return lambda pixel: [float(np.polyval(fits[side], pixel[side])) for side in (0, 1)]


def drawn_disc(page: Page) -> list[float]:
    """Center and radius of the unit disc in the plane's numbers."""
    to_value = scale_of(page, ".gc-eigen")
    box = page.locator("circle.gc-inside").bounding_box()
    assert box is not None
    middle = [box["x"] + box["width"] / 2, box["y"] + box["height"] / 2]
    edge = to_value([box["x"] + box["width"], middle[1]])
    return [*to_value(middle), edge[0]]


def test_the_portrait_shades_the_stable_side(portrait: Page) -> None:
    choose(portrait, regularizer="R1", strength=0.5)
    half = portrait.locator("rect.gc-inside").bounding_box()
    assert half is not None
    assert scale_of(portrait, ".gc-eigen")([half["x"] + half["width"], 0])[0] == pytest.approx(
        0, abs=0.02
    )
    inside = [center(dot)[0] for dot in portrait.locator(".gc-dot.gc-stable").all()]
    assert len(inside) == 2
    assert all(half["x"] < x < half["x"] + half["width"] for x in inside)


def pixel(page: Page, point: tuple[float, float]) -> tuple[float, float]:
    """Where a point of the phase plane is in the window."""
    to_value = scale_of(page, ".gc-phase")
    (x0, y0), (x1, y1) = to_value([0, 0]), to_value([1, 1])
    return (point[0] - x0) / (x1 - x0), (point[1] - y0) / (y1 - y0)


def test_the_mouse_moves_the_portraits_start(portrait: Page) -> None:
    mouse = portrait.mouse
    mouse.click(*pixel(portrait, (-1, 0.5)))
    assert start_of(portrait) == pytest.approx((-1, 0.5), abs=0.02)
    mouse.move(*pixel(portrait, (1.5, -1)))  # takes the start from anywhere, and drags it
    mouse.down()
    mouse.move(*pixel(portrait, (2, -2)), steps=4)
    assert start_of(portrait) == pytest.approx((2, -2), abs=0.02)
    mouse.move(*pixel(portrait, (9, -2)), steps=2)
    assert start_of(portrait) == pytest.approx((2.5, -2), abs=0.02)
    mouse.up()
    mouse.move(*pixel(portrait, (0, 0)))  # let go: no longer follows
    assert start_of(portrait) == pytest.approx((2.5, -2), abs=0.02)
    x, y = center(portrait.get_by_role("slider", name="Start"))
    mouse.move(x - 8, y + 5)  # off its middle: it does not jump
    mouse.down()
    mouse.move(x - 7, y + 5)
    assert start_of(portrait) == pytest.approx((2.5, -2), abs=0.05)
    to_x, to_y = pixel(portrait, (0, 1))
    mouse.move(to_x - 8, to_y + 5, steps=3)
    mouse.up()
    settings: Game = {"system": "dirac", "loss": "minimax", "regularizer": "none"}
    settings |= {"strength": 0.0, "mode": "flow", "step": 0.2, "start": start_of(portrait)}
    assert settings["start"] == pytest.approx((0, 1), abs=0.02)
    assert_the_portrait_is_right(portrait, **settings)


def test_keys_move_the_portraits_start(portrait: Page) -> None:
    handle = portrait.get_by_role("slider", name="Start")
    at = [1.0, 1.0]
    for key, by in [
        ("ArrowRight", (0.05, 0)),
        ("ArrowUp", (0, 0.05)),
        ("Shift+ArrowUp", (0, 0.5)),
        ("Shift+ArrowLeft", (-0.5, 0)),
        ("ArrowLeft", (-0.05, 0)),
        ("ArrowDown", (0, -0.05)),
        ("Shift+ArrowDown", (0, -0.5)),
        ("Shift+ArrowRight", (0.5, 0)),
    ]:
        handle.press(key)
        at = [at[0] + by[0], at[1] + by[1]]
        assert start_of(portrait) == pytest.approx(at, abs=1e-9)
        x, y = at
        text = f"φ = {x:.2f}, θ = {y:.2f}"
        assert handle.get_attribute("aria-valuetext") == text
        assert float(str(handle.get_attribute("aria-valuenow"))) == pytest.approx(x)
    for _ in range(6):
        handle.press("Shift+ArrowRight")
    assert start_of(portrait)[0] == 2.5
    ring = handle.locator(".gc-reach")
    seen = ring.evaluate("n => getComputedStyle(n).stroke")
    assert seen != "rgba(0, 0, 0, 0)"  # the focus is visible
    handle.press("Home")
    assert start_of(portrait) == (1, 1)


def test_a_finger_moves_the_portraits_start_and_scrolls(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        page = visit.goto("portrait.html")
        touch = finger(page)
        page.touchscreen.tap(*pixel(page, (-1, -1)))
        assert start_of(page) == pytest.approx((-1, -1), abs=0.03)
        x, y = center(page.get_by_role("slider", name="Start"))
        to_x, to_y = pixel(page, (0.5, 1.5))
        touch("touchStart", (x, y))
        for part in np.linspace(0.1, 1, 10):
            touch("touchMove", (x + part * (to_x - x), y + part * (to_y - y)))
        touch("touchEnd")
        assert start_of(page) == pytest.approx((0.5, 1.5), abs=0.05)
        assert page.evaluate("scrollY") == 0
        x, y = pixel(page, (-1.5, -2))  # away from the start, the page scrolls
        touch("touchStart", (x, y))
        for step in range(1, 7):
            touch("touchMove", (x, y - 25 * step))
        touch("touchEnd")
        page.wait_for_function("scrollY > 60")
        assert start_of(page) == pytest.approx((0.5, 1.5), abs=0.05)
        assert visit.troubles == []


@pytest.mark.parametrize("name", ["portrait.html", "uniform.html", "step.html"])
def test_the_portrait_fits_a_phone(browser: Browser, base: str, name: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        for width in (390, 360):
            visit.page.set_viewport_size({"width": width, "height": 844})
            page = visit.goto(name)
            choose(page, regularizer="gradient norm", mode="simultaneous", strength=2, step=4)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            sides = page.locator("svg.gc-plot").evaluate_all("all => all.map(n => n.clientWidth)")
            assert min(sides) > 250
            tops = [
                page.locator(f".gc-{part}").evaluate("n => n.getBoundingClientRect().top")
                for part in ("phase", "eigen", "verdict")
            ]
            assert tops[0] + 250 < tops[1] < tops[2] - 200
        assert visit.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["portrait.html", "critical.html"])
def test_the_portrait_is_accessible(browser: Browser, base: str, name: str, scheme: str) -> None:
    with sitechecks.Visit(browser, base) as visit:
        page = visit.goto(name)
        if scheme == "dark":
            page.evaluate("document.documentElement.dataset.theme = 'dark'")
            page.add_style_tag(
                content="html { --pst-color-background: #14181e; --pst-color-text-base: #ced6dd; }"
                "body { background: #14181e; color: #ced6dd; }"
            )
        assert sitechecks.widget_complaints(page) == []
        choose(page, regularizer="consensus", mode="simultaneous", strength=0.5, step=3)
        assert sitechecks.axe_complaints(page, scheme) == []
        assert visit.troubles == []


def test_nothing_in_the_portrait_moves_by_itself(portrait: Page) -> None:
    picture = "probes.picture(document.querySelector('.gc-widget'))"
    for motion in ("reduce", "no-preference"):
        portrait.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
        choose(portrait, loss="minimax" if motion == "reduce" else "Wasserstein")
        portrait.get_by_role("slider", name="Start").press("Shift+ArrowUp")
        after_drawing(portrait)
        before = portrait.evaluate(picture)
        portrait.wait_for_timeout(300)
        assert portrait.evaluate(picture) == before
        assert portrait.evaluate("document.getAnimations().length") == 0


def test_the_portrait_is_told_once_the_hand_is_still(portrait: Page) -> None:
    status = portrait.get_by_role("status")
    assert status.text_content() == ""
    choose(portrait, regularizer="R1", strength=0.5)
    words = "() => document.querySelector('[role=status]').textContent"
    portrait.wait_for_function(f"({words})() !== ''")
    text = "Eigenvalues −0.25 + 0.43 i and −0.25 − 0.43 i: stable."
    assert status.text_content() == text


@pytest.fixture
def task(browser: Browser, base: str) -> Iterator[Callable[[str], Page]]:
    with sitechecks.Visit(browser, base) as opened:
        yield opened.goto
        assert opened.troubles == []


def answer(page: Page, **settings: Any) -> tuple[bool, str]:
    """What the portrait says of a state, once it says something new."""
    status = page.get_by_role("status")
    status.evaluate("n => { n.textContent = ''; }")
    choose(page, **settings)
    page.wait_for_function("document.querySelector('[role=status]').textContent !== ''")
    solved = page.locator(".gc-task").get_attribute("data-solved") == "true"
    text = status.inner_text()
    assert text.startswith("✓ Solved.") == solved
    return solved, text


def test_the_portrait_marks_the_critical_strength(task: Callable[[str], Page]) -> None:
    page = task("critical.html")
    assert "no longer complex" in page.locator(".gc-task p").first.inner_text()
    page.wait_for_timeout(600)
    assert page.get_by_role("status").inner_text() == ""  # right from the start, but untouched
    assert page.locator(".gc-task").get_attribute("data-solved") is None
    for settings, solved, words in [
        ({"strength": 0.95}, False, "−0.47 ± 0.16 i are still complex"),
        ({"strength": 1.05}, False, "a smaller strength does it, too"),
        ({"strength": 1.0}, True, "From γ = 1.00 on, both eigenvalues are real"),
        ({"loss": "Wasserstein"}, False, "still complex"),
        ({"strength": 2.05}, False, "a smaller strength"),
        ({"strength": 2.0}, True, "From γ = 2.00 on"),
        ({"mode": "alternating"}, False, "about the flow"),
        ({"regularizer": "gradient norm", "mode": "flow"}, False, "about R1"),
        ({"regularizer": "R1", "loss": "non-saturating", "strength": 1}, True, "From γ = 1.00"),
        ({"strength": 0}, False, "still complex"),
    ]:
        got = answer(page, **settings)
        assert got[0] == solved, settings
        assert words in got[1]


def test_the_portrait_marks_the_unstable_step(task: Callable[[str], Page]) -> None:
    page = task("step.html")
    for settings, solved, words in [
        ({"mode": "simultaneous", "step": 1}, False, "no regularizer yet"),
        ({"regularizer": "R1"}, False, "no regularizer yet"),  # its strength is 0
        ({"strength": 0.5, "mode": "flow"}, False, "The flow is stable. Now choose simultaneous"),
        ({"mode": "alternating"}, False, "Now choose simultaneous"),
        ({"mode": "simultaneous", "step": 1.95}, False, "|λ| is 0.988: with this step the map"),
        ({"step": 2}, False, "just on the border"),
        ({"step": 2.05}, True, "with h = 2.05 the largest |λ| is 1.013"),
        (
            {"loss": "Wasserstein", "regularizer": "instance noise"},
            False,
            "The flow itself is not stable here: no step is to blame.",
        ),
        ({"regularizer": "consensus"}, True, "The flow is stable, but with h"),
        ({"step": 0.5}, False, "the map is stable, too"),
    ]:
        got = answer(page, **settings)
        assert got[0] == solved, settings
        assert words in got[1]


# ------------------------------------------------------------------ the net

NET_MODULE = """async ([cases, body]) => {
    const blob = new Blob([window.gcWidgetSources.epsilon_net], {type: "text/javascript"});
    const m = await import(URL.createObjectURL(blob));
    return cases.map(new Function("m", `return ([r, p]) => ${body}`)(m));
}"""
Points = NDArray[np.float64]


@pytest.fixture
def net(browser: Browser, base: str) -> Iterator[Page]:
    with sitechecks.Visit(browser, base) as opened:
        yield opened.goto("net.html")
        assert opened.troubles == []


def clouds(count: int) -> list[tuple[float, list[list[float]]]]:
    """Radii and points of the disc: scattered, on the edge, in the center, in rows, and twice."""
    random = np.random.default_rng(11)
    cases: list[tuple[float, list[list[float]]]] = [
        (0.5, []),
        (1.0, [[0.0, 0.0]]),
        (0.4, [[0.0, 0.0], [0.0, 0.0], [0.3, 0.0]]),
        (0.45, [[x / 4, 0.0] for x in range(-4, 5)]),
        (0.5, [[math.cos(k), math.sin(k)] for k in range(12)]),
    ]
    for n in range(1, count + 1):
        points = random.normal(size=(n, 2)) * random.uniform(0.2, 0.7)
        points /= np.maximum(1, np.hypot(*points.T))[:, None]
        cases.append((float(random.uniform(0.2, 1)), points.tolist()))
    return cases


def test_the_nets_mathematics_agrees_with_the_package(net: Page) -> None:
    cases = clouds(30)
    body = "[m.evaluate(r, p), m.share(r, p), m.farthest(p), m.greedy(r, p)]"
    for (radius, points), (now, part, far, full) in zip(
        cases, net.evaluate(NET_MODULE, [cases, body]), strict=True
    ):
        right = coverings.evaluate(radius, points)
        assert now.pop("place") == far["place"]
        assert now == pytest.approx(right, abs=1e-9)
        assert part == pytest.approx(coverings.share(radius, points), abs=1e-9)
        assert far["distance"] == right["farthest"] or math.isclose(
            far["distance"], right["farthest"]
        )
        assert far["place"] == pytest.approx(coverings.farthest(points)[0], abs=1e-7)
        assert len(full) == len(coverings.greedy(radius, points))
        assert coverings.evaluate(radius, full)["net"]


def test_the_nets_module_and_package_name_the_same_things(net: Page) -> None:
    ((radius, most),) = net.evaluate(NET_MODULE, [[[0, 0]], "[m.RADIUS, m.MOST]"])
    assert tuple(radius) == coverings.RADIUS
    assert most == coverings.MOST


def test_two_hundred_points_do_not_stop_the_hand(net: Page) -> None:
    random = np.random.default_rng(2)
    angle, size = random.uniform(0, 2 * np.pi, 200), np.sqrt(random.uniform(0, 1, 200))
    case = [0.2, (size * [np.cos(angle), np.sin(angle)]).T.tolist()]
    timed = "((t) => (m.evaluate(r, p), performance.now() - t))(performance.now())"
    assert min(net.evaluate(NET_MODULE, [[case] * 3, timed])) < 500


def net_points(page: Page) -> Points:
    after_drawing(page)
    nodes = page.locator("[role=slider][data-x]")
    found = nodes.evaluate_all("all => all.map(n => [n.dataset.x, n.dataset.y].map(Number))")
    return np.array(found, dtype=float).reshape(-1, 2)


def net_scale(page: Page) -> tuple[NDArray[np.float64], float]:
    """The disc's middle in the window, and how many pixels its radius has."""
    box = page.locator(".gc-edge").evaluate(
        "n => { const m = n.getScreenCTM(), at = (key) => Number(n.getAttribute(key));"
        "return [m.a * at('cx') + m.e, m.d * at('cy') + m.f, m.a * at('r')]; }"
    )
    return np.array(box[:2]), box[2]


def net_pixel(page: Page, point: Any) -> tuple[float, float]:
    middle, unit_length = net_scale(page)
    x, y = middle + np.multiply(point, [unit_length, -unit_length])
    return float(x), float(y)


def drawn_circles(page: Page, selector: str) -> NDArray[np.float64]:
    """Centers and radii, in the disc's unit."""
    edge = [float(str(page.locator(".gc-edge").get_attribute(key))) for key in ("cx", "cy", "r")]
    columns = [numbers(page, f"{selector} circle", key) for key in ("cx", "cy", "r")]
    x, y, r = columns
    return np.stack([(x - edge[0]) / edge[2], (edge[1] - y) / edge[2], r / edge[2]], 1)


def assert_the_net_is_right(page: Page, radius: float) -> dict[str, Any]:
    """Discs, handles, cross, numbers and words are those of the points."""
    points = net_points(page)
    right = coverings.evaluate(radius, points.tolist())
    shown = readouts(page)
    assert shown == pytest.approx({key: right[key] for key in shown}, abs=1e-9)
    assert set(shown) == {"count", "share", "farthest", "lower", "upper"}
    wanted = np.column_stack([points, np.full(len(points), radius)])
    for layer in (".gc-covered", ".gc-outlines"):
        assert drawn_circles(page, layer) == pytest.approx(wanted, abs=1e-3)
    middle, unit_length = net_scale(page)
    for node, point in zip(page.locator(".gc-handle").all(), points, strict=True):
        assert center(node) == pytest.approx(middle + point * [unit_length, -unit_length], abs=0.1)
    cross = page.locator(".gc-farthest")
    if right["net"] or not len(points):
        assert cross.get_attribute("d") == ""
    else:
        x, y, *_ = drawn(page, ".gc-farthest")[0]
        box = page.locator(".gc-net svg").bounding_box()
        assert box is not None
        at = (np.array([x + 6 + box["x"], y + 6 + box["y"]]) - middle) / [unit_length, -unit_length]
        assert np.hypot(*(points - at).T).min() == pytest.approx(right["farthest"], abs=5e-3)
        assert np.hypot(*at) <= 1.005
    said = page.locator(".gc-said")
    assert said.get_attribute("data-net") == str(right["net"]).lower()
    assert said.inner_text().startswith("A net.") == right["net"]
    return right


def test_the_nets_buttons(net: Page) -> None:
    start = net_points(net)
    assert start == pytest.approx(np.array(coverings.START))
    found = assert_the_net_is_right(net, 0.5)
    assert (found["count"], found["net"]) == (3, False)
    assert "Not a net, wherever they are" in net.locator(".gc-said").inner_text()

    one, whole, remove, clear, reset = (
        net.get_by_role("button", name=name)
        for name in ("Add farthest", "Add until covered", "Remove chosen", "Clear", "Reset")
    )
    one.click()
    assert net_points(net)[-1] == pytest.approx(coverings.farthest(start)[0], abs=1e-9)
    assert "Not a net: the cross is 0." in net.locator(".gc-said").inner_text()
    whole.click()
    found = assert_the_net_is_right(net, 0.5)
    assert net_points(net) == pytest.approx(np.array(coverings.greedy(0.5, start)), abs=1e-7)
    assert found["net"]
    assert found["separated"]
    assert "at most 25 such points fit" in net.locator(".gc-said").inner_text()
    assert net.locator("[data-readout=share]").inner_text() == "100.0 %"
    assert whole.get_attribute("aria-disabled") == "true"
    one.click()  # still possible: a net with a point too many
    assert "it may have more points than it needs" in net.locator(".gc-said").inner_text()
    remove.click()
    assert assert_the_net_is_right(net, 0.5)["count"] == found["count"]
    clear.click()
    assert assert_the_net_is_right(net, 0.5)["count"] == 0
    assert "No point yet" in net.locator(".gc-said").inner_text()
    assert net.locator("[data-readout=farthest]").inner_text() == "∞"
    assert remove.get_attribute("aria-disabled") == clear.get_attribute("aria-disabled") == "true"
    remove.click(force=True)
    one.click()
    assert net_points(net) == pytest.approx(np.zeros((1, 2)))
    reset.click()
    assert net_points(net) == pytest.approx(start)
    assert_the_net_is_right(net, 0.5)


def test_the_nets_radius(net: Page) -> None:
    for radius in (0.2, 0.93, 1.0, 0.37):
        set_slider(net, "radius", radius)
        assert_the_net_is_right(net, radius)
    net.get_by_role("button", name="Add until covered").click()
    count = assert_the_net_is_right(net, 0.37)["count"]
    set_slider(net, "radius", 0.36)
    found = assert_the_net_is_right(net, 0.36)
    assert (found["count"], found["net"]) == (count, found["farthest"] <= 0.36)
    assert (
        net.locator("[data-readout=lower]").inner_text(),
        net.locator("[data-readout=upper]").inner_text(),
    ) == ("8", "42")


def test_the_discs_of_half_the_radius_lie_apart_in_a_larger_disc(net: Page) -> None:
    net.get_by_role("button", name="Add until covered").click()
    assert drawn_circles(net, ".gc-packing").shape == (0, 3)
    net.get_by_role("checkbox").check()
    assert_the_net_is_right(net, 0.5)
    outer, *inner = drawn_circles(net, ".gc-packing")
    assert outer == pytest.approx([0, 0, 1.25], abs=1e-3)
    points = np.array(inner)[:, :2]
    assert points == pytest.approx(net_points(net), abs=1e-3)
    assert np.array(inner)[:, 2] == pytest.approx(np.full(len(inner), 0.25), abs=1e-3)
    gaps = np.hypot(*(points[:, None] - points).T)[~np.eye(len(points), dtype=bool)]
    assert gaps.min() > 0.499
    assert (np.hypot(*points.T) + 0.25).max() < 1.251


def test_the_mouse_adds_and_moves_points(net: Page) -> None:
    net.get_by_role("button", name="Clear").click()
    mouse = net.mouse
    mouse.click(*net_pixel(net, (0.5, 0.25)))
    mouse.click(*net_pixel(net, (-0.6, 0.1)))
    assert net_points(net) == pytest.approx(np.array([[0.5, 0.25], [-0.6, 0.1]]), abs=0.01)
    mouse.move(*net_pixel(net, (0, -0.5)))  # a new one, which stays in the hand
    mouse.down()
    mouse.move(*net_pixel(net, (0.1, -0.6)), steps=3)
    mouse.up()
    assert net_points(net)[2] == pytest.approx((0.1, -0.6), abs=0.01)
    mouse.move(*net_pixel(net, (0, 0)))  # let go: no longer follows
    assert len(net_points(net)) == 3
    x, y = net_pixel(net, net_points(net)[0])
    mouse.move(x + 5, y + 4)  # off its middle: it does not jump
    mouse.down()
    mouse.move(x + 6, y + 4)
    assert net_points(net)[0] == pytest.approx((0.5, 0.25), abs=0.02)
    to_x, to_y = net_pixel(net, (3, 4))
    mouse.move(to_x + 5, to_y + 4, steps=4)
    mouse.up()
    assert net_points(net)[0] == pytest.approx((0.6, 0.8), abs=0.01)
    assert np.hypot(*net_points(net)[0]) == pytest.approx(1)  # it stays in the disc
    assert_the_net_is_right(net, 0.5)
    mouse.click(*net_pixel(net, (0.95, -0.95)))  # outside: nothing
    assert len(net_points(net)) == 3
    net.get_by_role("button", name="Remove chosen").click()  # the one that was moved
    assert net_points(net) == pytest.approx(np.array([[-0.6, 0.1], [0.1, -0.6]]), abs=0.01)
    assert_the_net_is_right(net, 0.5)


def focused_point(page: Page) -> str | None:
    after_drawing(page)
    name = page.evaluate("document.activeElement.getAttribute('aria-label')")
    return None if name is None else str(name)


def test_keys_move_add_and_remove_points(net: Page) -> None:
    net.evaluate(
        "addEventListener('keydown', ({ key }) => { if (key !== 'Shift') window.leaked = key; })"
    )
    second = net.get_by_role("slider", name="Point 2 of 3")
    at = np.array(coverings.START[1])
    for key, by in [
        ("ArrowRight", (0.02, 0)),
        ("ArrowUp", (0, 0.02)),
        ("Shift+ArrowLeft", (-0.1, 0)),
        ("Shift+ArrowDown", (0, -0.1)),
        ("ArrowLeft", (-0.02, 0)),
        ("ArrowDown", (0, -0.02)),
    ]:
        second.press(key)
        at = at + by
        assert net_points(net)[1] == pytest.approx(at, abs=1e-9)
    assert second.get_attribute("aria-valuetext") == f"x = {at[0]:.2f}, y = {at[1]:.2f}"
    assert_the_net_is_right(net, 0.5)
    ring = second.locator(".gc-reach").evaluate("n => getComputedStyle(n).stroke")
    assert ring != "rgba(0, 0, 0, 0)"  # the focus is visible

    keyboard = net.keyboard
    keyboard.press("PageDown")
    assert focused_point(net) == "Point 3 of 3"
    keyboard.press("PageDown")
    assert focused_point(net) == "Point 1 of 3"
    keyboard.press("PageUp")
    assert focused_point(net) == "Point 3 of 3"
    stops = "all => all.filter(n => n.tabIndex === 0).length"
    assert net.locator("[role=slider][data-x]").evaluate_all(stops) == 1
    place = coverings.farthest(net_points(net))[0]
    keyboard.press("Enter")
    assert focused_point(net) == "Point 4 of 4"
    assert net_points(net)[3] == pytest.approx(place, abs=1e-9)
    for _ in range(40):
        keyboard.press("Shift+ArrowUp")
    assert net_points(net)[3] == pytest.approx((0, 1), abs=0.1)  # along the edge to the top
    keyboard.press("PageDown")
    keyboard.press("Delete")
    assert focused_point(net) == "Point 1 of 3"
    keyboard.press("Backspace")
    keyboard.press("Delete")
    keyboard.press("Delete")
    assert len(net_points(net)) == 0
    assert net.evaluate("document.activeElement.textContent") == "Add farthest"
    assert net.evaluate("window.leaked ?? null") is None  # JupyterLab would take them
    keyboard.press("Enter")
    assert net_points(net) == pytest.approx(np.zeros((1, 2)))
    net.locator("[data-trait=radius]").press("ArrowRight")
    assert_the_net_is_right(net, 0.51)
    assert net.evaluate("window.leaked") == "Enter"  # of the button, as always


def test_the_tab_key_stops_once_in_the_disc(net: Page) -> None:
    net.get_by_role("slider", name="Point 3 of 3").focus()
    net.keyboard.press("Shift+Tab")
    assert net.evaluate("document.activeElement === document.body")
    net.keyboard.press("Tab")
    assert focused_point(net) == "Point 3 of 3"
    net.keyboard.press("Tab")
    assert net.evaluate("document.activeElement.dataset.trait") == "radius"


def test_a_finger_adds_and_moves_points_and_scrolls(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        visit.page.set_viewport_size({"width": 375, "height": 667})
        page = visit.goto("net.html")
        page.get_by_role("button", name="Clear").tap()
        page.evaluate("scrollTo(0, 0)")
        for point in ((0.5, 0.5), (-0.5, -0.2)):
            page.touchscreen.tap(*net_pixel(page, point))
        assert net_points(page) == pytest.approx(np.array([[0.5, 0.5], [-0.5, -0.2]]), abs=0.02)
        touch = finger(page)
        (x, y), (to_x, to_y) = net_pixel(page, (0.5, 0.5)), net_pixel(page, (0.2, -0.6))
        touch("touchStart", (x, y))
        for part in np.linspace(0.1, 1, 10):
            touch("touchMove", (x + part * (to_x - x), y + part * (to_y - y)))
        touch("touchEnd")
        assert net_points(page)[0] == pytest.approx((0.2, -0.6), abs=0.03)
        assert page.evaluate("scrollY") == 0
        page.touchscreen.tap(*net_pixel(page, net_points(page)[1]))  # takes it, adds none
        page.get_by_role("button", name="Remove chosen").tap()
        assert net_points(page) == pytest.approx(np.array([[0.2, -0.6]]), abs=0.03)
        assert_the_net_is_right(page, 0.5)
        page.evaluate("scrollTo(0, 0)")
        x, y = net_pixel(page, (-0.5, 0.1))  # away from the points, the page scrolls
        touch("touchStart", (x, y))
        for step in range(1, 7):
            touch("touchMove", (x, y - 25 * step))
        touch("touchEnd")
        page.wait_for_function("scrollY > 60")
        assert len(net_points(page)) == 1
        assert visit.troubles == []


def test_the_disc_is_full_at_last(net: Page) -> None:
    net.evaluate(
        "most => { const all = document.querySelectorAll('.gc-net button');"
        "for (let i = 0; i < most; i += 1) all[0].click(); }",
        coverings.MOST - 4,
    )
    assert len(net_points(net)) == coverings.MOST - 1
    one = net.get_by_role("button", name="Add farthest")
    assert one.get_attribute("aria-disabled") == "false"
    one.click()
    assert one.get_attribute("aria-disabled") == "true"
    one.click(force=True)
    net.mouse.click(*net_pixel(net, (0.51, 0.13)))
    assert len(net_points(net)) == coverings.MOST
    assert net.locator("[data-readout=count]").inner_text() == "200"


def test_the_net_is_told_once_the_hand_is_still(net: Page) -> None:
    status = net.get_by_role("status")
    assert status.text_content() == ""
    net.get_by_role("button", name="Add until covered").click()
    net.wait_for_function("document.querySelector('[role=status]').textContent !== ''")
    count = len(net_points(net))
    words = "A net. All points are farther than 0.50 apart; at most 25 such points fit."
    assert status.text_content() == f"{count} points, 100.0 % covered. {words}"


# ------------------------------------------------------------------ the calculator

CALCULATOR_MODULE = """async ([cases, body]) => {
    const blob = new Blob([window.gcWidgetSources.sample_calculator], {type: "text/javascript"});
    const m = await import(URL.createObjectURL(blob));
    return cases.map(new Function("m", `return (s) => ${body}`)(m));
}"""
SIZES = {"m": 100, "lipschitz": 10.0, "epsilon": 0.1, "failure": 0.01}


@pytest.fixture
def calculator(browser: Browser, base: str) -> Iterator[Page]:
    with sitechecks.Visit(browser, base) as opened:
        yield opened.goto("calculator.html")
        assert opened.troubles == []


def test_the_calculator_agrees_with_the_package_to_the_last_sample(calculator: Page) -> None:
    """At every place of each slider, and at thousands of places of all four."""
    ticks = {name: bounds.ticks(name) for name in bounds.LIMITS}
    random = np.random.default_rng(6)
    cases: list[dict[str, Any]] = [
        SIZES | {name: value} for name, values in ticks.items() for value in values
    ]
    cases += [{name: random.choice(values) for name, values in ticks.items()} for _ in range(4000)]
    cases = [case | {"m": int(case["m"])} for case in cases]
    for case, now in zip(
        cases, calculator.evaluate(CALCULATOR_MODULE, [cases, "m.evaluate(s)"]), strict=True
    ):
        right = bounds.evaluate(**case)
        assert now["samples"] == right["samples"] == ipm.samples_needed(**case), case
        assert now["alone"] == right["alone"], case
        assert now == pytest.approx(right, rel=1e-12)


def test_the_calculators_module_and_package_name_the_same_things(calculator: Page) -> None:
    names = list(bounds.LIMITS)
    found = calculator.evaluate(CALCULATOR_MODULE, [names, "[m.LIMITS[s], m.ticks(s), m.STATE]"])
    for name, (limits, ticks, state) in zip(names, found, strict=True):
        assert tuple(limits) == bounds.LIMITS[name]
        assert ticks == bounds.ticks(name)
        assert state == names


def turn(page: Page, **settings: float) -> None:
    for name, value in settings.items():
        set_slider(page, name, bounds.ticks(name).index(value))


def assert_the_calculator_is_right(page: Page, settings: dict[str, Any]) -> None:
    """Numbers, sliders, dots and curves are those of the settings."""
    right = bounds.evaluate(**settings)
    assert readouts(page) == pytest.approx(right, rel=1e-12)
    for name, text in (("samples", right["samples"]), ("alone", right["alone"])):
        assert page.locator(f"[data-readout={name}]").inner_text() == f"{text:,}"
    width = page.locator(".gc-due").bounding_box()
    whole = page.locator(".gc-split").bounding_box()
    assert width is not None
    assert whole is not None
    assert width["width"] / whole["width"] == pytest.approx(right["share"], abs=0.01)
    for part, (name, value) in zip(
        page.locator(".gc-four .gc-part").all(), settings.items(), strict=True
    ):
        low, high = np.log(bounds.LIMITS[name])
        lines = part.locator(".gc-grid").evaluate_all(
            "all => all.map(n => ['x1', 'x2', 'y1', 'data-power'].map(k => +n.getAttribute(k)))"
        )
        (left, edge), levels = lines[0][:2], np.array(lines)[:, 2:]
        rise, origin = np.polyfit(levels[:, 1], levels[:, 0], 1)

        def place(at: float, of: str = name) -> list[float]:
            samples = bounds.evaluate(**settings | {of: int(at) if of == "m" else at})["samples"]
            share = (math.log(at) - low) / (high - low)  # noqa: B023
            return [left + share * (edge - left), origin + rise * math.log10(samples)]  # noqa: B023

        dot = part.locator("circle")
        shown = [float(str(dot.get_attribute(key))) for key in ("cx", "cy")]
        assert shown == pytest.approx(place(value), abs=0.11)
        d = str(part.locator("path").get_attribute("d"))
        curve = np.array(re.findall(r"[\d.]+", d), dtype=float).reshape(-1, 2)
        ticks = bounds.ticks(name)
        assert curve == pytest.approx(np.array([place(at) for at in ticks]), abs=0.11)
        slider = part.locator("input")
        nearest = ticks[int(slider.input_value())]
        assert abs(math.log(nearest / value)) == pytest.approx(
            min(abs(math.log(tick / value)) for tick in ticks)
        )
        assert slider.evaluate("n => n.labels[0].textContent").strip()
        assert " = " in str(slider.get_attribute("aria-valuetext"))


def test_the_calculators_sliders_reach_the_numbers_and_the_pictures(calculator: Page) -> None:
    assert_the_calculator_is_right(calculator, SIZES)
    for values in (
        (1_000_000, 1e4, 0.01, 1e-50),
        (1, 0.1, 1.0, 0.5),
        (3, 0.1, 0.5, 1e-50),
        (2500, 1.5, 0.04, 1e-7),
    ):
        settings = dict(zip(SIZES, values, strict=True))
        turn(calculator, **settings)
        assert_the_calculator_is_right(calculator, settings)
    words = calculator.locator(".gc-sum").inner_text()
    assert words == ("N = ⌈8/ε² · (m log(1 + 8L/ε) + log(2/ζ))⌉ = ⌈5,000 · (14,268 + 16.811)⌉")
    assert calculator.get_by_text("points, radius 0.006667").is_visible()
    slider = calculator.get_by_role("slider", name="Failure probability ζ")
    assert slider.get_attribute("aria-valuetext") == "ζ = 10⁻⁷"
    calculator.get_by_role("button", name="Reset").click()
    assert_the_calculator_is_right(calculator, SIZES)


def test_keys_turn_the_calculators_sliders(calculator: Page) -> None:
    calculator.evaluate("addEventListener('keydown', (event) => { window.leaked = event.key; })")
    settings: dict[str, Any] = dict(SIZES)
    for name, key, value in [
        ("Parameters m", "ArrowRight", 120),
        ("Lipschitz constant L", "ArrowLeft", 8.0),
        ("Accuracy ε", "ArrowUp", 0.12),
        ("Failure probability ζ", "ArrowLeft", 0.001),
    ]:
        calculator.get_by_role("slider", name=name).press(key)
        settings[list(SIZES)[len([k for k in settings if settings[k] != SIZES[k]])]] = value
        assert_the_calculator_is_right(calculator, settings)
    assert calculator.evaluate("window.leaked ?? null") is None  # JupyterLab would take them
    calculator.get_by_role("slider", name="Parameters m").press("End")
    assert_the_calculator_is_right(calculator, settings | {"m": 1_000_000})


def test_the_calculator_keeps_a_value_between_the_sliders(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base) as visit:
        page = visit.goto("between.html")
        settings = {"m": 137, "lipschitz": 3.7, "epsilon": 0.033, "failure": 3e-9}
        assert_the_calculator_is_right(page, settings)
        slider = page.get_by_role("slider", name="Parameters m")
        assert slider.get_attribute("aria-valuetext") == "m = 137"
        slider.press("ArrowRight")
        assert_the_calculator_is_right(page, settings | {"m": 200})
        assert visit.troubles == []


def test_the_calculator_is_told_once_the_hand_is_still(calculator: Page) -> None:
    status = calculator.get_by_role("status")
    assert status.text_content() == ""
    turn(calculator, m=200)
    calculator.wait_for_function("document.querySelector('[role=status]').textContent !== ''")
    samples = ipm.samples_needed(200, 10.0, 0.1, 0.01)
    assert status.text_content() == f"{samples:,} samples; 99.6 % of the bracket due to the net"


@pytest.mark.parametrize("name", ["net.html", "calculator.html"])
def test_net_and_calculator_fit_a_phone(browser: Browser, base: str, name: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        for width in (390, 360):
            visit.page.set_viewport_size({"width": width, "height": 844})
            page = visit.goto(name)
            if name == "net.html":
                set_slider(page, "radius", 0.2)
                page.get_by_role("button", name="Add until covered").click()
                page.get_by_role("checkbox").check()
            else:
                turn(page, m=1_000_000, lipschitz=1e4, epsilon=0.01, failure=1e-50)
            after_drawing(page)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            sides = page.locator("svg.gc-plot").evaluate_all("all => all.map(n => n.clientWidth)")
            assert min(sides) > (300 if name == "net.html" else 150)
            cut = "all => all.filter(n => n.scrollWidth > n.clientWidth + 1).length"
            assert page.locator(".gc :is(p, label)").evaluate_all(cut) == 0
        assert visit.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["net.html", "calculator.html"])
def test_net_and_calculator_are_accessible(
    browser: Browser, base: str, name: str, scheme: str
) -> None:
    with sitechecks.Visit(browser, base) as visit:
        page = visit.goto(name)
        if scheme == "dark":
            page.evaluate("document.documentElement.dataset.theme = 'dark'")
            page.add_style_tag(
                content="html { --pst-color-background: #14181e; --pst-color-text-base: #ced6dd; }"
                "body { background: #14181e; color: #ced6dd; }"
            )
        assert sitechecks.widget_complaints(page) == []
        assert sitechecks.axe_complaints(page, scheme) == []
        for button in page.locator(".gc button").all():  # each state that a button brings
            button.click()
            after_drawing(page)
            assert sitechecks.axe_complaints(page, scheme) == []
        assert visit.troubles == []


@pytest.mark.parametrize("name", ["net.html", "calculator.html"])
def test_nothing_in_net_and_calculator_moves_by_itself(
    browser: Browser, base: str, name: str
) -> None:
    picture = "probes.picture(document.querySelector('.gc-widget'))"
    with sitechecks.Visit(browser, base) as visit:
        page = visit.goto(name)
        for motion in ("reduce", "no-preference"):
            page.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
            page.locator("button").first.click()
            page.locator("input[type=range]").first.press("ArrowRight")
            after_drawing(page)
            before = page.evaluate(picture)
            page.wait_for_timeout(300)
            assert page.evaluate(picture) == before
            assert page.evaluate("document.getAnimations().length") == 0


# ------------------------------------------------------------------ the birthday test

BIRTHDAY_MODULE = """async ([cases, body]) => {
    const blob = new Blob([window.gcWidgetSources.birthday_test], {type: "text/javascript"});
    const m = await import(URL.createObjectURL(blob));
    return cases.map(new Function("m", `return (s) => ${body}`)(m));
}"""
LAWS: list[dict[str, Any]] = [
    dict(zip(("support", "draws", "heavy", "drawings", "seed"), values, strict=True))
    for values in (
        (365, 23, 0.0, 1, 5),
        (365, 23, 0.0, 300, 0),
        (1, 2, 0.0, 3, 1),
        (1, 500, 0.9, 20, 1),
        (2, 3, 0.5, 40, 2**32 - 1),
        (10, 11, 0.0, 50, 7),
        (50, 12, 0.3, 200, 7),
        (100_000, 400, 0.0, 200, 2**31),
        (100_000, 23, 0.15, 500, 3),
        (100_000, 2000, 0.9, 20, 3),
        (3, 2000, 0.01, 60, 4),
        (777, 2000, 0.37, 100, 9),
    )
]


@pytest.fixture
def birthday(browser: Browser, base: str) -> Iterator[Page]:
    with sitechecks.Visit(browser, base) as opened:
        yield opened.goto("birthday.html")
        assert opened.troubles == []


def test_the_birthdays_drawings_are_those_of_the_package(birthday: Page) -> None:
    """Bit for bit, of the random numbers, and so of all that follows from them."""
    body = "[Array.from({length: s.draws}, (_, i) => m.uniforms(s.seed, s.drawings - 1)(i)),"
    body += "m.drawn(s, s.drawings - 1), m.counts(s)]"
    found = birthday.evaluate(BIRTHDAY_MODULE, [LAWS, body])
    for law, (uniforms, values, counted) in zip(LAWS, found, strict=True):
        last = [law["drawings"] - 1]
        assert uniforms == birthdays.uniforms(law["seed"], last, law["draws"])[0].tolist()
        sampled = {key: law[key] for key in ("support", "draws", "heavy", "seed")}
        assert values == birthdays.drawn(**sampled, numbers=last)[0].tolist()
        assert counted == birthdays.counts(**law).tolist()


def test_the_birthdays_numbers_are_those_of_the_package(birthday: Page) -> None:
    body = "m.evaluate(s, m.counts(s))"
    for law, now in zip(LAWS, birthday.evaluate(BIRTHDAY_MODULE, [LAWS, body]), strict=True):
        assert now == pytest.approx(birthdays.evaluate(**law), rel=1e-9, abs=1e-12), law


def test_the_birthdays_intervals_are_those_of_the_package(birthday: Page) -> None:
    cases = [
        [pairs, s] for s in (2, 23, 2000) for pairs in (0, 1, 2, 15, 16, 253, 40_000, 1_999_000)
    ]
    cases = [[pairs, s] for pairs, s in cases if pairs <= math.comb(s, 2)]
    found = birthday.evaluate(BIRTHDAY_MODULE, [cases, "m.interval(...s)"])
    for case, now in zip(cases, found, strict=True):
        assert now == pytest.approx(birthdays.interval(*case), rel=1e-9)
    tails = [[k, mean] for mean in (1e-3, 0.7, 9.5, 4e4) for k in (0, 1, 5, 15, 16, 40, 40_100)]
    found = birthday.evaluate(BIRTHDAY_MODULE, [tails, "[m.atMost(...s), m.atLeast(...s)]"])
    right = [[poisson.cdf(k, mean), poisson.sf(k - 1, mean)] for k, mean in tails]
    assert np.array(found) == pytest.approx(np.array(right), rel=1e-8, abs=1e-280)


def test_the_birthdays_histograms_are_those_of_the_package(birthday: Page) -> None:
    body = "((f) => ((n) => ((e) => [e, m.poisson(n.expected, e)])"
    body += "(m.bins(n.expected, n.dispersion, f)))(m.evaluate(s, f)))(m.counts(s))"
    for law, (edges, shares) in zip(
        LAWS, birthday.evaluate(BIRTHDAY_MODULE, [LAWS, body]), strict=True
    ):
        now = birthdays.evaluate(**law)
        right = birthdays.bins(now["expected"], now["dispersion"], birthdays.counts(**law))
        assert edges == right.tolist()
        assert shares == pytest.approx(birthdays.poisson(now["expected"], right), abs=1e-9)


def test_the_birthdays_module_and_package_name_the_same_things(birthday: Page) -> None:
    body = "[m.LIMITS, m.LEVEL, m.BARS, m.ladder(m.LIMITS.support, 365), m.ladder([2, 2000], 23)]"
    ((limits, level, bars, support, draws),) = birthday.evaluate(BIRTHDAY_MODULE, [[0], body])
    assert {key: tuple(pair) for key, pair in limits.items()} == birthdays.LIMITS
    assert (level, bars) == (birthdays.LEVEL, birthdays.BARS)
    for rungs, (low, high) in ((support, (1, 100_000)), (draws, (2, 2000))):
        assert (rungs[0], rungs[-1]) == (low, high)
        assert all(a < b <= max(a + 1, 1.11 * a) for a, b in pairwise(rungs))
    assert {2, 99, 100, 110, 360, 365, 370, 1000, 1100, 99_000} <= set(support)


def birthday_law(**changes: Any) -> dict[str, Any]:
    return {"support": 365, "draws": 23, "heavy": 0.0, "drawings": 100, "seed": 15} | changes


def climb(page: Page, **values: float) -> None:
    """Set sliders; those over whole numbers by the place on their ladder."""
    ladders = {
        "support": "m.ladder(m.LIMITS.support, 365)",
        "draws": "m.ladder(m.LIMITS.draws, 23)",
    }
    for trait, value in values.items():
        place = value
        if trait in ladders:
            (rungs,) = page.evaluate(BIRTHDAY_MODULE, [[0], ladders[trait]])
            place = rungs.index(value)
        set_slider(page, trait, place)


def assert_the_birthdays_are_right(page: Page, law: dict[str, Any]) -> None:
    """Numbers, dots and bars are those of the settings."""
    right = birthdays.evaluate(**law)
    assert readouts(page) == pytest.approx(right, rel=1e-9, abs=1e-12)
    sampled = {key: law[key] for key in ("support", "draws", "heavy", "seed")}
    values = birthdays.drawn(**sampled, numbers=[law["drawings"] - 1])[0]
    seen, times = np.unique(values, return_counts=True)
    circles = page.locator("circle.gc-again")
    again = circles.evaluate_all(
        "all => all.map(n => [n.dataset.value, n.dataset.times, n.getAttribute('cx'),"
        "n.getAttribute('cy')].map(Number))"
    )
    assert sorted(map(tuple, np.array(again).reshape(-1, 4)[:, :2].astype(int).tolist())) == [
        (int(v), int(k)) for v, k in zip(seen, times, strict=True) if k > 1
    ]
    (once,) = drawn(page, ".gc-once") or [[]]
    assert len(once) == 3 * (times == 1).sum()  # M x y h 0
    assert_the_dots_are_in_their_cells(page, law, values, np.reshape(once, (-1, 3))[:, :2], again)
    found = birthdays.counts(**law)
    edges = birthdays.bins(right["expected"], right["dispersion"], found)
    shares = np.histogram(found, edges)[0] / len(found)
    assert numbers(page, ".gc-bar-share", "data-share") == pytest.approx(shares)
    theory = numbers(page, ".gc-law-dot", "data-share")
    assert theory == pytest.approx(birthdays.poisson(right["expected"], edges), abs=1e-9)
    heights = np.array([d[1] - d[2] for d in drawn(page, ".gc-bar-share")])
    unit_height = heights.max() / shares.max()
    assert heights == pytest.approx(unit_height * shares, abs=0.02)
    bottom = drawn(page, ".gc-bar-share")[0][1]
    assert bottom - numbers(page, ".gc-law-dot", "cy") == pytest.approx(
        unit_height * theory, abs=0.02
    )
    ends = np.array([[d[0], d[3]] for d in drawn(page, ".gc-bar-share")])
    slope, start = np.polyfit((edges[:-1] + edges[1:] - 1) / 2, ends.mean(1), 1)
    assert drawn(page, ".gc-pointer")[0][0] == pytest.approx(
        slope * right["pairs"] + start, abs=0.05
    )


def assert_the_dots_are_in_their_cells(
    page: Page,
    law: dict[str, Any],
    values: NDArray[np.int64],
    once: NDArray[np.float64],
    again: list[list[float]],
) -> None:
    """A value's place is its row and column: equal steps from cell to cell."""
    width = int(page.locator(".gc-cells").evaluate("n => n.ownerSVGElement.clientWidth"))
    columns, size = birthdays.grid(law["support"], width - 16, 226 - 16, 28)
    spots = np.concatenate([once, np.reshape(again, (-1, 4))[:, 2:]]) - 8
    cells = np.floor(spots / size).astype(int)
    if size > 1.5:  # below, one cell is less than the rounding of the places
        assert sorted(cells @ [1, columns]) == sorted(set(values.tolist()))
    assert spots.min() >= 0
    assert spots.max(0)[0] <= width - 16
    assert spots.max(0)[1] <= 226 - 16


def test_the_birthdays_controls_reach_the_numbers_and_the_picture(birthday: Page) -> None:
    law = birthday_law()
    assert_the_birthdays_are_right(birthday, law)
    birthday.get_by_role("button", name="One more drawing").click()
    assert_the_birthdays_are_right(birthday, law | {"drawings": 101})
    birthday.get_by_role("button", name="100 more").click()
    assert_the_birthdays_are_right(birthday, law | {"drawings": 201})
    for values in (
        {"support": 1, "draws": 2, "heavy": 0.0},
        {"support": 40, "draws": 300, "heavy": 0.25},
        {"support": 2000, "draws": 90, "heavy": 0.0},
        {"support": 100_000, "draws": 1000, "heavy": 0.9},
    ):
        climb(birthday, **values)
        assert_the_birthdays_are_right(birthday, law | values | {"drawings": 201})
    for name, values in (
        ("Large support", {"support": 100_000, "draws": 400, "heavy": 0.0}),
        ("Heavy value", {"support": 100_000, "draws": 23, "heavy": 0.15}),
        ("Birthdays", {"support": 365, "draws": 23, "heavy": 0.0}),
    ):
        birthday.get_by_role("button", name=name).click()
        assert_the_birthdays_are_right(birthday, law | values | {"drawings": 201})
    birthday.get_by_role("button", name="Reset").click()
    assert_the_birthdays_are_right(birthday, law)


def test_the_birthdays_words_are_right(birthday: Page) -> None:
    def shown(key: str) -> str:
        readouts(birthday)
        return birthday.locator(f"[data-readout={key}]").inner_text()

    assert shown("probability") == "0.5073"
    collided = birthdays.evaluate(**birthday_law())["collided"]
    for words in (
        "Drawing 100: 23 draws",
        f"happened in {collided} of 100 drawings",
        "1/Σq², of 365 values",
        "the pairs’ variance is 0.997 times their mean",
    ):
        assert birthday.get_by_text(words).is_visible()
    climb(birthday, draws=400)
    assert shown("probability") == "1"  # more draws than values
    climb(birthday, draws=300)
    assert shown("probability") == "> 0.9999"
    climb(birthday, support=100_000, draws=2)
    assert shown("probability") == "1.0e−5"
    assert (shown("pairs"), shown("estimate"), shown("high")) == ("0", "∞", "∞")
    climb(birthday, support=1, draws=2000)
    assert (shown("pairs"), shown("estimate"), shown("effective")) == ("1,999,000", "1", "1")


def test_keys_draw_and_move_the_birthdays_sliders(birthday: Page) -> None:
    birthday.evaluate("addEventListener('keydown', (event) => { window.leaked = event.key; })")
    more = birthday.get_by_role("button", name="One more drawing")
    for key, drawings in (
        ("Enter", 101),
        ("Space", 102),
        ("n", 103),
        ("Shift+N", 203),
        ("Control+n", 203),
    ):
        more.press(key)
        assert_the_birthdays_are_right(birthday, birthday_law(drawings=drawings))
    birthday.evaluate("delete window.leaked")  # what has bubbled up was not for the widget
    for name, trait, up in (
        ("Support", "support", 370),
        ("Draws", "draws", 24),
        ("Heavy value’s share", "heavy", 0.01),
    ):
        slider = birthday.get_by_role("slider", name=name)
        before = slider.get_attribute("aria-valuetext")
        slider.press("ArrowRight")
        assert_the_birthdays_are_right(birthday, birthday_law(drawings=203, **{trait: up}))
        assert slider.get_attribute("aria-valuetext") == (f"{up:.2f}" if up < 1 else str(up))
        slider.press("ArrowLeft")
        readouts(birthday)
        assert slider.get_attribute("aria-valuetext") == before
    slider.press("n")
    assert_the_birthdays_are_right(birthday, birthday_law(drawings=204))
    assert birthday.evaluate("window.leaked ?? null") is None  # JupyterLab would take it


def test_there_are_no_more_birthdays_than_can_be_counted(birthday: Page) -> None:
    more = birthday.get_by_role("button", name="100 more")
    assert more.get_attribute("aria-disabled") == "false"
    for _ in range(21):
        more.click(force=True)
    assert_the_birthdays_are_right(birthday, birthday_law(drawings=2000))
    assert more.get_attribute("aria-disabled") == "true"
    one = birthday.get_by_role("button", name="One more drawing")
    assert one.get_attribute("aria-disabled") == "true"
    one.press("n")
    assert_the_birthdays_are_right(birthday, birthday_law(drawings=2000))


def test_the_birthdays_are_told_once_the_hand_is_still(birthday: Page) -> None:
    status = birthday.get_by_role("status")
    assert status.text_content() == ""
    for _ in range(5):
        birthday.get_by_role("button", name="One more drawing").click()
    birthday.wait_for_function("document.querySelector('[role=status]').textContent !== ''")
    now = birthdays.evaluate(**birthday_law(drawings=105))
    words = str(status.text_content())
    assert words.startswith(f"Drawing 105: {now['pairs']} colliding pair")
    assert words.endswith("Probability of a collision 0.5073.")
    assert "∞" not in words
    for picture in birthday.locator("svg[role=img]").all():
        assert "colliding pair" in str(picture.get_attribute("aria-label"))


def test_the_birthdays_fit_a_phone_and_a_finger_draws(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        for width in (390, 360):
            visit.page.set_viewport_size({"width": width, "height": 844})
            page = visit.goto("birthday.html")
            page.get_by_role("button", name="100 more").tap()
            assert_the_birthdays_are_right(page, birthday_law(drawings=200))
            page.get_by_role("button", name="Large support").tap()
            readouts(page)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            sides = page.locator("svg.gc-plot").evaluate_all("all => all.map(n => n.clientWidth)")
            assert min(sides) > 300
            heights = page.get_by_role("button").evaluate_all(
                "all => all.map(n => n.getBoundingClientRect().height)"
            )
            assert min(heights) >= 28
        assert visit.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_birthdays_are_accessible(birthday: Page, scheme: str) -> None:
    if scheme == "dark":
        birthday.evaluate("document.documentElement.dataset.theme = 'dark'")
        birthday.add_style_tag(
            content="html { --pst-color-background: #14181e; --pst-color-text-base: #ced6dd; }"
            "body { background: #14181e; color: #ced6dd; }"
        )
    assert sitechecks.widget_complaints(birthday) == []
    climb(birthday, support=100, draws=60, heavy=0.3)
    readouts(birthday)
    assert sitechecks.axe_complaints(birthday, scheme) == []
    marks = birthday.locator("circle.gc-again").first
    ink = marks.evaluate("n => getComputedStyle(n).fill")
    assert ink == birthday.evaluate("getComputedStyle(document.querySelector('.gc')).color")


def test_nothing_in_the_birthdays_moves_by_itself(birthday: Page) -> None:
    birthday.emulate_media(reduced_motion="no-preference")
    birthday.get_by_role("button", name="100 more").click()
    after_drawing(birthday)
    picture = "probes.picture(document.querySelector('.gc-widget'))"
    before = birthday.evaluate(picture)
    birthday.wait_for_timeout(300)
    assert birthday.evaluate(picture) == before
    assert birthday.evaluate("document.getAnimations().length") == 0


# ------------------------------------------------------------------ two clouds

CLOUDS_MODULE = """async ([cases, body]) => {
    const blob = new Blob([window.gcWidgetSources.two_clouds], {type: "text/javascript"});
    const m = await import(URL.createObjectURL(blob));
    return cases.map(new Function("m", `return (s) => ${body}`)(m));
}"""
Clouds = dict[str, Any]


@pytest.fixture
def two(browser: Browser, base: str) -> Iterator[Page]:
    with sitechecks.Visit(browser, base) as opened:
        yield opened.goto("clouds.html")
        assert opened.troubles == []


def cloud_cases() -> list[Clouds]:
    """Clouds of all sizes, with points in one place, on one line and with several best plans."""
    random = np.random.default_rng(11)
    pairs = [random.uniform(-2, 2, (2, n, 2)).tolist() for n in (1, 2, 3, 5, 8, 12) * 4]
    pairs += [np.round(random.uniform(-2, 2, (2, n, 2))).tolist() for n in (2, 4, 7, 12) * 4]
    pairs.append([[[1, 0], [-1, 0]], [[0, 1], [0, -1]]])
    pairs.append([[[0, 0], [0.5, 0]], [[1, 0], [2, 0]]])
    pairs.append([[[0.5, 1]] * 3, [[0.5, 1], [0.5, 1], [0, 0]]])
    return [{"data": x, "generated": y} for x, y in pairs]


def test_the_clouds_exact_critic_agrees_with_transport(two: Page) -> None:
    cases = cloud_cases()
    for case, found in zip(
        cases, two.evaluate(CLOUDS_MODULE, [cases, "m.exact(s.data, s.generated)"]), strict=True
    ):
        x, y = np.array(case["data"]), np.array(case["generated"])
        assert found["w1"] == pytest.approx(transport.w1(x[None], y[None])[0], abs=1e-9)
        partner = found["partner"]
        assert sorted(partner) == list(range(len(x)))
        cost = np.linalg.norm(x - y[partner], axis=1).mean()
        assert cost == pytest.approx(found["w1"], abs=1e-12)
        values = np.concatenate(critics.potential(x, y))
        assert found["values"] == pytest.approx(values, abs=1e-9)
        one = np.concatenate([x, y])
        transport.lipschitz_extension(one, found["values"])  # would refuse what rises faster
        gap = np.mean(found["values"][: len(x)]) - np.mean(found["values"][len(x) :])
        assert gap == pytest.approx(found["w1"], abs=1e-9)


@pytest.mark.parametrize("extension", critics.EXTENSIONS)
def test_the_clouds_extension_agrees_with_transport(two: Page, extension: str) -> None:
    cases = [
        case
        | {"at": np.random.default_rng(i).uniform(-2, 2, (40, 2)).tolist(), "extension": extension}
        for i, case in enumerate(cloud_cases())
    ]
    body = "s.at.map((p) => m.extended(m.exact(s.data, s.generated), s.extension)(...p))"
    for case, found in zip(cases, two.evaluate(CLOUDS_MODULE, [cases, body]), strict=True):
        right = critics.extended(case["data"], case["generated"], extension)
        assert np.array(found)[:, 0] == pytest.approx(right(case["at"]), abs=1e-9)
        slopes = right.gradient(case["at"])
        same = np.isclose(np.array(found)[:, 1:], slopes, atol=1e-9).all(1)
        # On a kink, where rounding chooses the side, the gradient is that of either side.
        assert same.mean() > (0.9 if np.ptp(case["data"]) % 1 == 0 else 0.999), case


def rough(seed: int) -> NDArray[np.float64]:
    """Parameters of a network that is steep here and level there."""
    return np.random.default_rng(seed).normal(0, 0.7, 337)


def by_torch(parameters: Any, case: Clouds) -> tuple[float, NDArray[np.float64]]:
    """The objective and its gradient, the penalties by differentiating twice."""
    p = torch.tensor(parameters, dtype=torch.float64, requires_grad=True)
    w1, b1, w2, b2, w3, b3 = p.split([32, 16, 256, 16, 16, 1])

    def critic(x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(x @ w1.reshape(16, 2).T + b1)
        return torch.tanh(h @ w2.reshape(16, 16).T + b2) @ w3 + b3

    def norms(points: Any) -> torch.Tensor:
        at = torch.tensor(points, dtype=torch.float64, requires_grad=True)
        (slopes,) = torch.autograd.grad(critic(at).sum(), at, create_graph=True)
        return slopes.square().sum(1)

    real, fake = (
        critic(torch.tensor(case[name], dtype=torch.float64)) for name in ("data", "generated")
    )
    value = fake.mean() - real.mean()
    if case["regularizer"] == "R1":
        value = -torch.nn.functional.logsigmoid(real).mean()
        value = value - torch.nn.functional.logsigmoid(-fake).mean()
        value = value + case["strength"] / 2 * norms(case["data"]).mean()
    if case["regularizer"] == "gradient penalty":
        value = value + case["strength"] * (norms(case["at"]).sqrt() - 1).square().mean()
    (gradient,) = torch.autograd.grad(value, p)
    return float(value.detach()), gradient.numpy()


@pytest.mark.parametrize("regularizer", critics.REGULARIZERS)
def test_the_clouds_objective_agrees_with_double_backward(two: Page, regularizer: str) -> None:
    random = np.random.default_rng(5)
    cases = [
        {
            "data": random.uniform(-2, 2, (n, 2)).tolist(),
            "generated": random.uniform(-2, 2, (n, 2)).tolist(),
            "regularizer": regularizer,
            "strength": strength,
            "at": random.uniform(-2, 2, (7, 2)).tolist(),
            "p": rough(seed).tolist(),
        }
        for seed, (n, strength) in enumerate([(1, 0.1), (3, 10), (6, 1), (12, 100)])
    ]
    for case in cases if regularizer != "gradient penalty" else []:
        case["at"] = case["data"] if regularizer == "R1" else []
    body = "((o) => [o.value, [...o.gradient]])(m.objective(s.p, s, s.at))"
    for case, (value, gradient) in zip(
        cases, two.evaluate(CLOUDS_MODULE, [cases, body]), strict=True
    ):
        right, slopes = by_torch(case["p"], case)
        assert value == pytest.approx(right, rel=1e-12, abs=1e-12)
        scale = np.abs(slopes).max()
        assert np.array(gradient) == pytest.approx(slopes, rel=1e-8, abs=1e-10 * scale)
        net = critics.network(case["p"])
        package = critics.objective(
            net,
            *(case[key] for key in ("data", "generated", "regularizer", "strength")),
            torch.tensor(case["at"], dtype=torch.float64).reshape(-1, 2),
        )
        assert value == pytest.approx(package.item(), rel=1e-12, abs=1e-12)
        package.backward()
        slots = [
            torch.zeros_like(p) if p.grad is None else p.grad for p in critics.parameters_of(net)
        ]
        assert np.array(gradient) == pytest.approx(
            critics.row(slots).numpy(), rel=1e-8, abs=1e-10 * scale
        )


def test_the_clouds_objective_survives_a_level_network(two: Page) -> None:
    case: Clouds = {"data": [[1, 1]], "generated": [[0, 1]], "p": [0.0] * 337}
    cases = [
        case | {"regularizer": name, "strength": strength}
        for name, strength in critics.STRENGTHS.items()
    ]
    body = "((o) => [o.value, [...o.gradient]])(m.objective(s.p, s, m.looked(s, 0)))"
    for found in two.evaluate(CLOUDS_MODULE, [cases, body]):
        assert np.isfinite([found[0], *found[1]]).all()


@pytest.mark.parametrize("regularizer", critics.REGULARIZERS)
def test_the_clouds_training_is_that_of_the_package(two: Page, regularizer: str) -> None:
    """Every parameter after 60 steps of Adam, and what is read off the network."""
    clouds = {"data": critics.DATA_START, "generated": critics.GENERATED_START}
    settings = clouds | {"regularizer": regularizer, "strength": critics.STRENGTHS[regularizer]}
    body = """((net) => {
        for (let k = 0; k < 60; k += 1) m.descend(net, s);
        const { partner } = m.exact(s.data, s.generated);
        return [[...net.p], m.measured(net.p, s, partner, m.surveyed(net.p)), net.step];
    })(m.untrained())"""
    ((row, read, step),) = two.evaluate(CLOUDS_MODULE, [[settings], body])
    net = trained_clouds(json.dumps([settings[key] for key in STATE_OF_CLOUDS[:4]]), 60)
    right = critics.row(critics.parameters_of(net)).detach().numpy()
    assert step == 60
    assert row[:-1] == pytest.approx(right[:-1], abs=1e-9)
    assert row[-1] == pytest.approx(
        right[-1], abs=1e-6
    )  # Adam makes much of rounding: its slope is 0
    del read["level"]
    assert read == pytest.approx(critics.measured(net, **clouds), rel=1e-8)


STATE_OF_CLOUDS = ("data", "generated", "regularizer", "strength", "extension")


def test_the_clouds_places_are_those_of_the_package(two: Page) -> None:
    cases = [case | {"step": step} for case in cloud_cases()[:6] for step in (0, 1, 599)]
    for case, found in zip(
        cases,
        two.evaluate(CLOUDS_MODULE, [cases, "m.places(s.data, s.generated, s.step)"]),
        strict=True,
    ):
        assert np.array(found) == pytest.approx(critics.places(**case).numpy(), abs=1e-15)


def test_the_clouds_module_and_package_name_the_same_things(two: Page) -> None:
    body = "[m.BOX, m.REGULARIZERS, m.EXTENSIONS, m.STRENGTHS, m.LIMITS, m.WIDTH, m.STEPS, m.GRID,"
    body += "m.ALONG, m.ADAM, [...m.initial()], [1, 6, 7, 100, 4000].map(m.spacing)]"
    ((*plain, limits, width, steps, grid, along, adam, first, wide),) = two.evaluate(
        CLOUDS_MODULE, [[0], body]
    )
    assert plain == [
        critics.BOX,
        list(critics.REGULARIZERS),
        list(critics.EXTENSIONS),
        critics.STRENGTHS,
    ]
    assert {name: tuple(pair) for name, pair in limits.items()} == critics.LIMITS
    assert [width, steps, grid, along] == [
        critics.WIDTH,
        critics.STEPS,
        critics.GRID,
        critics.ALONG,
    ]
    assert adam == {"rate": critics.RATE, "decays": list(critics.DECAYS), "tiny": critics.TINY}
    net = critics.network()
    assert first == pytest.approx(critics.row(critics.parameters_of(net)).tolist(), abs=1e-15)
    assert wide == [critics.spacing(reach) for reach in (1, 6, 7, 100, 4000)]
    assert wide[:3] == [0.25, 0.25, 0.5]


CONTOURS = """((at) => {
    const places = Array.from({length: 41 * 41}, (_, k) => [k % 41, Math.floor(k / 41)]);
    const found = [];
    const line = (...piece) => found.push(piece);
    m.contours(places.map(([a, b]) => at(a, b)), s.middle, s.wide, line, s.divide ? at : null);
    return found;
})(new Function("a", "b", `return ${s.f}`))"""


def test_the_clouds_level_sets_lie_where_the_function_has_the_level(two: Page) -> None:
    """Of a plane, each piece as long as it must be, and of a function with a saddle."""
    cases = [
        {"f": "a + b / 3", "middle": 0.13, "wide": 0.5},
        {"f": "(a - 20.2) * (b - 19.7) / 40", "middle": 0.13, "wide": 0.5},
        {"f": "(a - 20.4) * (b - 19.6)", "middle": 0.05, "wide": 999},
        {"f": "(a - 20.4) * (b - 19.6)", "middle": -0.05, "wide": 999},
    ]
    plane, *saddles = (np.array(found) for found in two.evaluate(CLOUDS_MODULE, [cases, CONTOURS]))
    for pieces, case in zip((plane, *saddles), cases, strict=True):
        n, ax, ay, bx, by = pieces.T
        for a, b in ((ax, ay), (bx, by)):
            value = eval(case["f"], {"a": a, "b": b})
            assert value == pytest.approx(case["middle"] + case["wide"] * n, abs=1e-9)
            assert (((a % 1 == 0) | (b % 1 == 0)) & (a >= 0) & (a <= 40)).all()
        assert (np.hypot(ax - bx, ay - by) <= 2**0.5 + 1e-9).all()
    n, ax, ay, bx, by = plane.T
    for level in set(n.tolist()):
        at_top, at_bottom = (0.13 + 0.5 * level - b / 3 for b in (40, 0))
        right = (min(40, at_bottom) - max(0, at_top)) * 10**0.5
        lengths = np.hypot(ax - bx, ay - by)[n == level]
        assert lengths.sum() == pytest.approx(right, abs=1e-9)
    # In the cell of the saddle, of mean -0.01, each piece cuts off a corner of the lesser side.
    for pieces, corners in zip(
        saddles[1:], ([(20, 19), (21, 20)], [(21, 19), (20, 20)]), strict=True
    ):
        middles = (pieces[:, [1, 2]] + pieces[:, [3, 4]]) / 2
        inside = middles[(np.abs(middles - [20.5, 19.5]) < 0.5).all(1)]
        assert len(inside) == 2
        away = np.linalg.norm(inside[:, None] - np.array(corners), axis=2)
        assert away.min(0).max() < 0.5


def test_the_clouds_level_sets_at_a_cliff_are_no_stairs(two: Page) -> None:
    """There cells are divided; each line runs on from one side of the square to the other."""
    case: Clouds = {"f": "19.9 * Math.tanh(2 * (a / 5 + b - 22.3))", "middle": 0, "wide": 2}
    cases = [case | {"divide": divide} for divide in (False, True)]
    coarse, fine = (np.array(found) for found in two.evaluate(CLOUDS_MODULE, [cases, CONTOURS]))

    def off(found: NDArray[np.float64]) -> NDArray[np.float64]:
        """How far upward from the true line, in cells."""
        n, ax, ay, bx, by = found.T
        true = 22.3 + np.arctanh(n / 9.95) / 2
        return np.abs(np.concatenate([ay + ax / 5 - true, by + bx / 5 - true]))

    assert off(coarse).max() > 0.3
    assert off(fine).max() < 0.12
    assert set(fine[:, 0]) == set(range(-9, 10))
    for level in range(-9, 10):
        ends = fine[fine[:, 0] == level][:, 1:].reshape(-1, 2)
        _, times = np.unique(ends.round(6), axis=0, return_counts=True)
        assert sorted(times)[:3] == [1, 1, 2]  # no loose end but the two at the border
    # A plane of slopes as they are where nothing is steep stays as it is.
    flat: Clouds = {"f": "(a + b) / 3", "middle": 0.1, "wide": 0.5}
    pair = [flat | {"divide": divide} for divide in (False, True)]
    left, right = two.evaluate(CLOUDS_MODULE, [pair, CONTOURS])
    assert left == right


def test_the_clouds_steps_and_pictures_do_not_stop_the_hand(two: Page) -> None:
    """With twelve points each, a step and a survey of the grid, at their best."""
    case = cloud_cases()[5] | {"regularizer": "gradient penalty", "strength": 10}
    body = """((net) => {
        const timed = (act) => ((t) => (act(), performance.now() - t))(performance.now());
        for (let k = 0; k < 200; k += 1) m.descend(net, s);
        const best = (act) => Math.min(...Array.from({length: 20}, () => timed(act)));
        const acts = [() => m.descend(net, s), () => m.surveyed(net.p)];
        return [...acts, () => m.exact(s.data, s.generated)].map(best);
    })(m.untrained())"""
    ((step, survey, exact),) = two.evaluate(CLOUDS_MODULE, [[case], body])
    assert 2 * step + survey + exact < 12


SPENT = """() => {
    window.spent = [];
    const timed = (act) => (...given) => {
        const since = performance.now();
        act(...given);
        spent.push(performance.now() - since);
    };
    for (const name of ["requestAnimationFrame", "setTimeout"]) {
        const plan = window[name].bind(window);
        window[name] = (act, ...rest) => plan(timed(act), ...rest);
    }
}"""


@pytest.mark.parametrize(
    ("motion", "regularizer"), [("reduce", "gradient penalty"), ("no-preference", "none")]
)
def test_the_clouds_train_in_short_slices(two: Page, motion: Any, regularizer: str) -> None:
    """The best quarter, and the best of twenty moves: other programs take some of any clock."""
    two.emulate_media(reduced_motion=motion)
    two.locator("select[data-trait=regularizer]").select_option(regularizer)
    after_drawing(two)
    two.evaluate(SPENT)
    train(two)
    spent = two.evaluate("spent")
    assert len(spent) > (200 if motion == "no-preference" else 2)
    assert np.quantile(spent, 0.25) < 14
    longest = []
    for _ in range(20):
        two.evaluate("spent.length = 0")
        point_handle(two, "Data", 1).press("ArrowDown")
        after_drawing(two)
        longest.append(two.evaluate("Math.max(...spent)"))
    assert min(longest) < 14


@functools.cache
def trained_clouds(settings: str, steps: int) -> critics.MLP:
    """As the package trains it."""
    return critics.trained(*json.loads(settings), steps=steps)


def cloud_state(**changes: Any) -> Clouds:
    plain = critics.checked(
        data=None, generated=None, regularizer="gradient penalty", strength=None, extension="middle"
    )
    return plain | changes


def cloud_of(page: Page, side: str) -> list[list[float]]:
    after_drawing(page)
    handles = page.locator(f".gc-critics .gc-handle.gc-{side}").all()
    return [[float(str(h.get_attribute(f"data-{key}"))) for key in "xy"] for h in handles]


def point_handle(page: Page, side: str, index: int) -> Locator:
    return page.get_by_role("slider", name=f"{side} point {index} of 6", exact=True)


def place_in_plane(page: Page, point: Any) -> tuple[float, float]:
    """Where a point of the left plane is in the window, by its frame."""
    box = page.locator(".gc-critics .gc-frame").first.bounding_box()
    assert box is not None
    unit = box["width"] / 4
    return box["x"] + (point[0] + 2) * unit, box["y"] + (2 - point[1]) * unit


def assert_the_clouds_are_right(page: Page, state: Clouds, step: int) -> dict[str, float]:
    """Numbers, pairs, points, level sets and arrows are those of the state."""
    now = readouts(page)
    data, generated = cloud_of(page, "data"), cloud_of(page, "generator")
    assert data == pytest.approx(np.array(state["data"]), abs=1e-9)
    assert generated == pytest.approx(np.array(state["generated"]), abs=1e-9)
    net = trained_clouds(json.dumps([state[key] for key in STATE_OF_CLOUDS[:4]]), step)
    right = critics.measured(net, data, generated)
    right["w1"] = critics.evaluate(data, generated)["w1"]
    assert now == pytest.approx(right, rel=1e-3 if step > 99 else 1e-7, abs=1e-8, nan_ok=True)
    assert f"step {step}" in page.locator(".gc-critics .gc-title").last.inner_text()
    rays = page.locator(".gc-ray")
    ends = [numbers(page, ".gc-ray", key).astype(int) for key in ("data-from", "data-to")]
    cost = np.linalg.norm(np.array(data)[ends[0]] - np.array(generated)[ends[1]], axis=1)
    assert rays.count() == len(data)
    assert cost.mean() == pytest.approx(right["w1"], abs=1e-9)
    for i, ray in enumerate(rays.all()):
        for number, end in (("1", data[ends[0][i]]), ("2", generated[ends[1][i]])):
            corner = page.locator(".gc-critics svg").first.bounding_box()
            assert corner is not None
            at = [float(str(ray.get_attribute(f"{axis}{number}"))) for axis in "xy"]
            place = [at[0] + corner["x"], at[1] + corner["y"]]
            assert place == pytest.approx(place_in_plane(page, end), abs=1)
    exact = critics.extended(data, generated, state["extension"])
    assert_the_levels_are_right(page, 0, exact, right["w1"] / 2)
    with torch.no_grad():
        level = float(net(torch.tensor(generated, dtype=torch.float64)).mean())

        def value(at: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.asarray(net(torch.from_numpy(at)[None])[0, :, 0])

        assert_the_levels_are_right(page, 1, value, level + right["gap"] / 2)
    return now


def assert_the_levels_are_right(
    page: Page, plane: int, value: Callable[[Any], Any], middle: float
) -> None:
    """On the drawn lines the function has the levels, as well as cells and pixels allow."""
    svg = page.locator(".gc-critics svg.gc-plot[role]").nth(plane)
    x, y, side = (
        float(str(svg.locator(".gc-frame").get_attribute(k))) for k in ("x", "y", "width")
    )
    grid = critics.grid()
    values = value(grid)
    wide = critics.spacing(np.ptp(values))
    note = page.locator(".gc-critics .gc-parts .gc-fine").nth(plane).inner_text()
    assert note.startswith(f"lines {wide:g} apart")
    drawn_levels = {}
    for name, sign in (("gc-data", 1), ("gc-middle", 0), ("gc-generator", -1)):
        d = str(svg.locator(f".gc-levels.{name}").get_attribute("d"))
        found = np.array([float(n) for n in re.findall(r"-?\d+\.\d+", d)]).reshape(-1, 2)
        if not len(found):
            continue
        at = (found - [x, y]) / side * [4, -4] + [-2, 2]
        drawn_levels[sign] = (value(at) - middle) / wide
    levels = np.concatenate(list(drawn_levels.values()))
    slack = 4 / 40 * np.abs(np.diff(values.reshape(41, 41), axis=0)).max() / wide + 0.05
    assert np.abs(levels - np.round(levels)).max() < max(slack, 0.2)
    for sign, found in drawn_levels.items():
        assert (sign * found > -0.3 if sign else np.abs(found) < 0.4).all()
    count = np.floor((values.max() - middle) / wide) - np.ceil((values.min() - middle) / wide) + 1
    assert len(np.unique(np.round(levels))) == pytest.approx(count, abs=2)


def train(page: Page) -> None:
    """To the end, without a picture in between."""
    title = page.locator(".gc-critics .gc-title").last
    before = int(title.inner_text().split()[-1])
    page.get_by_role("button", name="Train").click()
    page.wait_for_function(
        "step => document.querySelectorAll('.gc-critics .gc-title')[1].textContent.endsWith(step)",
        arg=f"step {before + 600}",
        timeout=20_000,
    )


def test_the_clouds_controls_reach_the_numbers_and_the_picture(two: Page) -> None:
    assert_the_clouds_are_right(two, cloud_state(), 0)
    words = two.locator(".gc-said")
    assert words.inner_text() == "The network is untrained: press Train."
    train(two)
    now = assert_the_clouds_are_right(two, cloud_state(), 600)
    assert now["gap"] > now["w1"]  # the penalty is not a constraint
    assert "larger than W₁, so it is not 1-Lipschitz" in words.inner_text()
    two.locator("select[data-trait=extension]").select_option("largest")
    assert_the_clouds_are_right(two, cloud_state(extension="largest"), 600)
    two.locator("select[data-trait=regularizer]").select_option("clipping")
    clipped = cloud_state(extension="largest", regularizer="clipping", strength=0.2)
    assert_the_clouds_are_right(two, clipped, 0)
    assert two.get_by_text("Strength c").is_visible()
    for _ in range(3):
        two.get_by_role("button", name="One step").click()
    assert_the_clouds_are_right(two, clipped, 3)
    two.locator("select[data-trait=strength]").select_option("0.1")
    clipped["strength"] = 0.1
    assert_the_clouds_are_right(two, clipped, 0)
    train(two)
    assert_the_clouds_are_right(two, clipped, 600)
    assert "nowhere on the grid steeper than 1" in words.inner_text()
    assert words.get_attribute("data-net") == "true"
    two.get_by_role("button", name="Restart").click()
    assert_the_clouds_are_right(two, clipped, 0)
    two.locator("select[data-trait=regularizer]").select_option("none")
    assert_the_clouds_are_right(two, clipped | {"regularizer": "none", "strength": 0}, 0)
    assert two.locator("select[data-trait=strength]").is_disabled()
    two.locator("select[data-trait=regularizer]").select_option("clipping")
    assert_the_clouds_are_right(two, clipped, 0)
    assert two.locator("select[data-trait=strength]").input_value() == "0.1"  # as it was left
    two.get_by_role("button", name="Reset").click()
    assert_the_clouds_are_right(two, cloud_state(), 0)


def test_the_clouds_show_where_gradients_are_penalized(two: Page) -> None:
    box = two.get_by_role("checkbox", name="where the next step penalizes")
    clouds = (critics.DATA_START, critics.GENERATED_START)
    assert two.locator(".gc-look").count() == 0
    box.check()
    for step in (0, 1):
        readouts(two)
        found = np.transpose([numbers(two, ".gc-look", f"data-{axis}") for axis in "xy"])
        assert found == pytest.approx(critics.places(*clouds, step).numpy(), abs=1e-12)
        corner = two.locator(".gc-critics .gc-frame").last.bounding_box()
        assert corner is not None
        dots = np.transpose([numbers(two, ".gc-look", f"c{axis}") for axis in "xy"])
        unit = corner["width"] / 4
        frame = two.locator(".gc-critics .gc-frame").last
        origin = [float(str(frame.get_attribute(axis))) for axis in "xy"]
        assert dots == pytest.approx(origin + unit * (found * [1, -1] + 2), abs=1)
        two.get_by_role("button", name="One step").click()
    two.locator("select[data-trait=regularizer]").select_option("R1")
    readouts(two)
    found = np.transpose([numbers(two, ".gc-look", f"data-{axis}") for axis in "xy"])
    assert found == pytest.approx(np.array(critics.DATA_START), abs=1e-12)
    two.locator("select[data-trait=regularizer]").select_option("clipping")
    readouts(two)
    assert two.locator(".gc-look").count() == 0
    assert box.is_disabled()


@pytest.mark.parametrize("regularizer", ["none", "R1"])
def test_the_clouds_network_grows_steep(two: Page, regularizer: str) -> None:
    two.locator("select[data-trait=regularizer]").select_option(regularizer)
    after_drawing(two)
    loss = "minimax" if regularizer == "R1" else "Wasserstein"
    assert f"{loss} loss" in two.locator(".gc-critics .gc-parts .gc-fine").last.inner_text()
    train(two)
    now = readouts(two)
    strength = critics.STRENGTHS[regularizer]
    clouds = (critics.DATA_START, critics.GENERATED_START)
    net = trained_clouds(json.dumps([*clouds, regularizer, strength]), 600)
    right = critics.measured(net, *clouds)
    assert {key: now[key] for key in right} == pytest.approx(right, rel=0.02)
    assert now["steepest"] > 50


def test_the_clouds_can_be_given(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base) as visit:
        page = visit.goto("pair.html")
        state = cloud_state(
            data=[[0.5, 1]], generated=[[0.5, 1]], regularizer="R1", strength=0.3,
            extension="largest",
        )  # fmt: skip
        now = assert_the_clouds_are_right(page, state, 0)
        assert now["w1"] == 0
        assert math.isnan(now["on_rays"])
        options = page.locator("select[data-trait=strength] option").all_inner_texts()
        assert options == ["0.1", "0.2", "0.3", "0.5", "1", "2", "5", "10", "20", "50", "100"]
        handle = page.get_by_role("slider", name="Data point 1 of 1", exact=True)
        handle.press("Shift+ArrowUp")
        state["data"] = [[0.5, 1.5]]
        now = assert_the_clouds_are_right(page, state, 0)
        assert now["w1"] == pytest.approx(0.5)
        assert visit.troubles == []


def test_the_mouse_drags_the_clouds_points(two: Page) -> None:
    mouse, state = two.mouse, cloud_state()
    for side, index, to in (("Data", 2, (0.3, 1.6)), ("Generated", 5, (-1.5, -1.5))):
        x, y = center(point_handle(two, side, index).locator(":scope > :last-child"))
        mouse.move(x + 3, y - 2)  # off its middle: it does not jump
        mouse.down()
        mouse.move(*np.add(place_in_plane(two, to), (3, -2)), steps=4)
        mouse.up()
        mouse.move(*place_in_plane(two, (0, 0)))  # let go: no longer follows
        key = {"Data": "data", "Generated": "generated"}[side]
        moved = cloud_of(two, "data" if side == "Data" else "generator")
        assert moved[index - 1] == pytest.approx(to, abs=0.03)
        state[key] = moved
        assert_the_clouds_are_right(two, state, 0)
    x, y = center(point_handle(two, "Data", 1).locator(":scope > :last-child"))
    mouse.move(x, y)
    mouse.down()
    mouse.move(x - 900, y - 900, steps=2)
    mouse.up()
    assert cloud_of(two, "data")[0] == [-2, 2]


def test_keys_move_the_clouds_points(two: Page) -> None:
    handle = point_handle(two, "Data", 3)
    at = list(critics.DATA_START[2])
    for key, by in [
        ("ArrowRight", (0.05, 0)),
        ("ArrowUp", (0, 0.05)),
        ("Shift+ArrowDown", (0, -0.5)),
        ("Shift+ArrowLeft", (-0.5, 0)),
        ("ArrowDown", (0, -0.05)),
        ("ArrowLeft", (-0.05, 0)),
        ("Shift+ArrowRight", (0.5, 0)),
    ]:
        handle.press(key)
        at = [at[0] + by[0], at[1] + by[1]]
        assert cloud_of(two, "data")[2] == pytest.approx(at, abs=1e-9)
        text = f"x = {at[0]:.2f}, y = {at[1]:.2f}".replace("-", "−")
        assert handle.get_attribute("aria-valuetext") == text
    seen = handle.locator(".gc-reach").evaluate("n => getComputedStyle(n).stroke")
    assert seen != "rgba(0, 0, 0, 0)"  # the focus is visible
    moved = [*critics.DATA_START[:2], at, *critics.DATA_START[3:]]
    assert_the_clouds_are_right(two, cloud_state(data=[list(point) for point in moved]), 0)
    handle.press("Home")
    assert_the_clouds_are_right(two, cloud_state(), 0)


def test_the_tab_key_stops_once_among_the_clouds(two: Page) -> None:
    def focused() -> str | None:
        name = two.evaluate("document.activeElement.getAttribute('aria-label')")
        return name if name is None else str(name)

    two.get_by_role("button", name="Reset").focus()
    two.keyboard.press("Tab")
    assert focused() == "Data point 1 of 6"
    for key, name in (
        ("PageUp", "Generated point 6 of 6"),
        ("PageDown", "Data point 1 of 6"),
        *[("PageDown", f"Data point {i} of 6") for i in range(2, 7)],
        ("PageDown", "Generated point 1 of 6"),
    ):
        two.keyboard.press(key)
        assert focused() == name
    two.keyboard.press("Tab")
    assert two.evaluate("document.activeElement.dataset.trait") == "regularizer"
    two.keyboard.press("Shift+Tab")
    assert focused() == "Generated point 1 of 6"  # the one that was chosen last


def test_a_finger_moves_the_clouds_and_scrolls(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        page = visit.goto("clouds.html")
        touch, state = finger(page), cloud_state()
        for side, index, to in (("Data", 1, (-1.5, -0.5)), ("Generated", 6, (1.5, 1.6))):
            x, y = center(point_handle(page, side, index).locator(":scope > :last-child"))
            to_x, to_y = place_in_plane(page, to)
            touch("touchStart", (x, y))
            for part in np.linspace(0.1, 1, 10):
                touch("touchMove", (x + part * (to_x - x), y + part * (to_y - y)))
            touch("touchEnd")
            kind = "data" if side == "Data" else "generator"
            assert cloud_of(page, kind)[index - 1] == pytest.approx(to, abs=0.05)
        state["data"], state["generated"] = cloud_of(page, "data"), cloud_of(page, "generator")
        assert_the_clouds_are_right(page, state, 0)
        assert page.evaluate("scrollY") == 0
        x, y = place_in_plane(page, (0, -1.7))  # away from the points, the page scrolls
        touch("touchStart", (x, y))
        for step in range(1, 7):
            touch("touchMove", (x, y - 25 * step))
        touch("touchEnd")
        page.wait_for_function("scrollY > 60")
        assert cloud_of(page, "data") == state["data"]
        assert visit.troubles == []


def test_the_clouds_fit_a_phone(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        for width in (390, 360):
            visit.page.set_viewport_size({"width": width, "height": 844})
            page = visit.goto("clouds.html")
            page.locator("select[data-trait=regularizer]").select_option("none")
            page.get_by_role("button", name="Train").tap()
            page.wait_for_function(
                "document.querySelectorAll('.gc-critics .gc-title')[1].textContent.includes('600')"
            )
            readouts(page)
            assert page.evaluate("document.documentElement.scrollWidth") == width
            sides = page.locator("svg.gc-plot").evaluate_all("all => all.map(n => n.clientWidth)")
            assert len(sides) == 2
            assert min(sides) > 300
            places = "all => all.map(n => n.getBoundingClientRect())"
            heights = page.get_by_role("button").evaluate_all(f"{places}.map(b => b.height)")
            assert min(heights) >= 28
            reach = page.locator(".gc-reach").evaluate_all(f"{places}.map(b => b.width)")
            assert min(reach) >= 28
        assert visit.troubles == []


PICTURE = "probes.picture(document.querySelector('.gc-widget'))"


def test_nothing_among_the_clouds_moves_before_it_is_asked(two: Page) -> None:
    for motion in ("reduce", "no-preference"):
        two.emulate_media(reduced_motion=motion)  # type: ignore[arg-type]
        point_handle(two, "Data", 1).press("ArrowUp")
        after_drawing(two)
        before = two.evaluate(PICTURE)
        two.wait_for_timeout(300)
        assert two.evaluate(PICTURE) == before
        assert two.evaluate("document.getAnimations().length") == 0


WATCH = """() => {
    window.seen = 0;
    let last = probes.picture(document.querySelector('.gc-widget'));
    const look = () => {
        const now = probes.picture(document.querySelector('.gc-widget'));
        if (now !== last) window.seen += 1;
        last = now;
        requestAnimationFrame(look);
    };
    look();
}"""


def test_the_clouds_train_as_a_film_that_can_be_stopped(two: Page) -> None:
    two.emulate_media(reduced_motion="no-preference")
    two.evaluate(WATCH)
    step = "Number(document.querySelectorAll('.gc-critics .gc-title')[1].textContent.match(/\\d+/))"
    two.get_by_role("button", name="Train").click()
    two.wait_for_function(f"{step} > 40")
    two.get_by_role("button", name="Pause").click()
    stopped = two.evaluate(step)
    assert 40 < stopped < 600
    assert two.evaluate("seen") > 10
    assert two.get_by_role("button", name="Train").is_visible()
    before = two.evaluate(PICTURE)
    two.wait_for_timeout(200)
    assert two.evaluate(PICTURE) == before
    two.emulate_media(reduced_motion="reduce")
    assert_the_clouds_are_right(two, cloud_state(), stopped)
    two.get_by_role("button", name="One step").click()
    assert_the_clouds_are_right(two, cloud_state(), stopped + 1)


def test_where_motion_is_unwelcome_the_clouds_train_in_one_go(two: Page) -> None:
    two.evaluate(WATCH)
    train(two)
    after_drawing(two)
    two.wait_for_timeout(100)
    assert two.evaluate("seen") == 1


def test_a_network_in_training_follows_the_points(two: Page) -> None:
    """Points may move while it trains; another regularizer starts it anew and stops it."""
    two.emulate_media(reduced_motion="no-preference")
    two.get_by_role("button", name="Train").click()
    point_handle(two, "Data", 1).press("Shift+ArrowDown")
    step = "Number(document.querySelectorAll('.gc-critics .gc-title')[1].textContent.match(/\\d+/))"
    now = two.evaluate(step)
    two.wait_for_function(f"{step} > {now}")
    two.locator("select[data-trait=regularizer]").select_option("R1")
    after_drawing(two)
    assert two.evaluate(step) == 0
    assert two.get_by_role("button", name="Train").is_visible()
    two.wait_for_timeout(200)
    assert two.evaluate(step) == 0


FROM_A_KERNEL = """async (state) => {
    const blob = new Blob([window.gcWidgetSources.two_clouds], {type: "text/javascript"});
    const { default: { render } } = await import(URL.createObjectURL(blob));
    const heard = new Map();
    window.told = 0;
    window.model = {
        state,
        get: (key) => state[key],
        set: (key, value) => { state[key] = value; heard.get(`change:${key}`)?.(); },
        on: (event, act) => heard.set(event, act),
        off: (event) => heard.delete(event),
        save_changes: () => { window.told += 1; },
        heard,
    };
    const el = document.createElement("div");
    document.querySelector(".gc-widget").replaceChildren(el);
    window.leave = render({ model, el });
}"""


def test_the_clouds_hear_of_a_kernel_and_tell_it(two: Page) -> None:
    two.evaluate(FROM_A_KERNEL, cloud_state())
    assert_the_clouds_are_right(two, cloud_state(), 0)
    point_handle(two, "Data", 6).focus()
    two.evaluate("model.set('regularizer', 'R1')")  # its strength comes with another message
    after_drawing(two)
    assert two.locator("select[data-trait=strength]").input_value() == "10"
    assert two.get_by_text("Strength γ").is_visible()
    two.evaluate("model.set('strength', 3)")
    now = cloud_state(regularizer="R1", strength=3, data=[[0, 1], [1, 1]])
    two.evaluate("model.set('data', [[0, 1], [1, 1]])")
    after_drawing(two)  # while the clouds are not of one size, nothing is drawn
    assert len(cloud_of(two, "data")) == 6
    now["generated"] = [[0, 0], [1.5, 0]]
    two.evaluate("model.set('generated', [[0, 0], [1.5, 0]])")
    assert_the_clouds_are_right(two, now, 0)
    assert two.evaluate("[model.state.touched, told]") == [False, 0]
    handle = two.get_by_role("slider", name="Generated point 2 of 2", exact=True)
    assert handle.get_attribute("tabindex") == "0"
    handle.press("ArrowLeft")
    two.wait_for_function("told === 1")
    assert two.evaluate("[model.state.touched, model.state.generated]") == [
        True,
        [[0, 0], [1.45, 0]],
    ]
    handle.press("Home")
    two.wait_for_function("told === 2")
    assert two.evaluate("model.state.generated[1]") == list(critics.GENERATED_START[1])
    two.locator("select[data-trait=extension]").select_option("largest")
    assert two.evaluate("[model.state.extension, told]") == ["largest", 3]
    two.emulate_media(reduced_motion="no-preference")
    two.get_by_role("button", name="Train").click()
    two.evaluate("leave()")
    after_drawing(two)
    title = two.locator(".gc-critics .gc-title").last
    last = title.inner_text()
    two.wait_for_timeout(200)
    assert title.inner_text() == last  # nothing trains on
    assert two.evaluate("model.heard.size") == 0


def test_the_clouds_are_told_once_the_hand_is_still(two: Page) -> None:
    status = two.get_by_role("status")
    assert status.text_content() == ""
    train(two)
    two.wait_for_function("document.querySelector('[role=status]').textContent !== ''")
    now, words = readouts(two), str(status.text_content())
    assert words.startswith(f"Step 600: gap {now['gap']:.3f}, W1 {now['w1']:.3f}, largest slope")
    assert words.endswith("so it is not 1-Lipschitz.")
    picture = two.locator(".gc-critics svg[role=img].gc-plot")
    assert "Network after 600 steps: gap" in str(picture.get_attribute("aria-label"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_clouds_are_accessible(two: Page, scheme: str) -> None:
    if scheme == "dark":
        two.evaluate("document.documentElement.dataset.theme = 'dark'")
        two.add_style_tag(
            content="html { --pst-color-background: #14181e; --pst-color-text-base: #ced6dd; }"
            "body { background: #14181e; color: #ced6dd; }"
        )
    assert sitechecks.widget_complaints(two) == []
    train(two)
    assert sitechecks.axe_complaints(two, scheme) == []
    ray = two.locator(".gc-ray").first.evaluate("n => getComputedStyle(n).stroke")
    assert ray == two.evaluate("getComputedStyle(document.querySelector('.gc')).color")


# ------------------------------------------------------------------ delta features

DELTA_MODULE = """async ([cases, body]) => {
    const blob = new Blob([window.gcWidgetSources.delta_features], {type: "text/javascript"});
    const m = await import(URL.createObjectURL(blob));
    return cases.map(new Function("m", `return (s) => ${body}`)(m));
}"""
Sum = dict[str, Any]
EXACT = 2.0**-20  # a ridge of about 1e-6 that is the same number in every precision


def delta_state(**changes: Any) -> Sum:
    """The explorable's arguments as it begins, with some of them changed."""
    return {"width": 10, "scale": 5.0, "ridge": 1e-6, "constant": True, "seed": 21} | changes


SUMS = [
    delta_state(width=1, ridge=EXACT),
    delta_state(width=1, constant=False, seed=20, scale=0.5),
    delta_state(width=2, scale=10.0, ridge=1e-8, seed=3),
    delta_state(width=23, ridge=EXACT, constant=False, seed=2**32 - 1),
    delta_state(width=33, scale=3.7, ridge=1e-2, seed=5),
    delta_state(width=60, scale=10.0, ridge=1e-8, seed=8),
    delta_state(width=60, scale=10.0, ridge=EXACT, seed=8),
    delta_state(width=60, scale=0.5, ridge=EXACT, seed=2**31),
    delta_state(width=60, scale=0.5, ridge=1e-8, constant=False, seed=9),
    delta_state(width=60, ridge=1e-4, seed=77),
]


@pytest.fixture
def delta(browser: Browser, base: str) -> Iterator[Page]:
    with sitechecks.Visit(browser, base) as opened:
        yield opened.goto("delta.html")
        assert opened.troubles == []


def test_the_deltas_module_and_package_name_the_same_things(delta: Page) -> None:
    body = "[m.LIMITS, m.BUMPS, m.SPACING, m.REACH, m.VIEW]"
    ((limits, *others),) = delta.evaluate(DELTA_MODULE, [[0], body])
    assert {key: tuple(pair) for key, pair in limits.items()} == deltas.LIMITS
    assert others == [list(deltas.BUMPS), deltas.SPACING, deltas.REACH, deltas.VIEW]


def test_the_deltas_features_are_those_of_the_package(delta: Page) -> None:
    seeds = [0, 21, 2**31, 2**32 - 1]
    body = "Array.from({length: 60}, (_, i) => m.normals(s, i))"
    for seed, found in zip(seeds, delta.evaluate(DELTA_MODULE, [seeds, body]), strict=True):
        assert np.array(found) == pytest.approx(deltas.normals(seed), abs=1e-14)
    body = "Array.from({length: s.width}, (_, i) => Object.values(m.feature(s, i)))"
    for case, found in zip(SUMS, delta.evaluate(DELTA_MODULE, [SUMS, body]), strict=True):
        right = deltas.generator(case["width"], case["scale"], case["constant"], case["seed"])
        pairs = np.stack([right.weights[:, 0, 0], right.biases[:, 0]], 1)
        assert np.array(found) == pytest.approx(pairs, abs=1e-13)


def test_the_deltas_weights_agree_with_features_to_1e8(delta: Page) -> None:
    """Error, weights and their sizes, with each number of features up to the last."""
    body = (
        "((f) => (f.at(s.width), f.steps.map((t) => [t.error, t.size, t.weights])))(new m.Fit(s))"
    )
    latent = features.trapezoid(1, deltas.SPACING, deltas.REACH)
    for case, steps in zip(SUMS, delta.evaluate(DELTA_MODULE, [SUMS, body]), strict=True):
        assert len(steps) == case["width"]
        drawn = deltas.generator(case["width"], case["scale"], case["constant"], case["seed"])
        for width in sorted({1, 2, 3, 7, 20, 45, case["width"]}):
            if width > case["width"]:
                continue
            right = features.approximate_delta(drawn.first(width), latent, ridge=case["ridge"])
            error, size, weights = steps[width - 1]
            assert error == pytest.approx(right.error, abs=1e-8)
            # Where the ridge is rounded to single precision, that is all the difference.
            near = 1e-8 if case["ridge"] == EXACT else 1e-6
            largest = float(right.weights.abs().max())
            assert np.array(weights) == pytest.approx(right.weights.numpy(), abs=near * largest)
            assert size == pytest.approx(right.size, rel=near)


def test_the_deltas_numbers_are_those_of_the_package(delta: Page) -> None:
    body = "m.evaluate(new m.Fit(s), s.width)"
    for case, now in zip(SUMS, delta.evaluate(DELTA_MODULE, [SUMS, body]), strict=True):
        assert now == pytest.approx(deltas.evaluate(**case), rel=1e-6, abs=1e-8), case
    spreads = np.geomspace(*deltas.BUMPS, 25).tolist()
    found = delta.evaluate(DELTA_MODULE, [spreads, "[m.bumpError(s), m.asGood(m.bumpError(s))]"])
    right = [[deltas.bump_error(s), s] for s in spreads]
    assert np.array(found) == pytest.approx(np.array(right), rel=1e-9)
    ends = delta.evaluate(DELTA_MODULE, [[0, 1e-4, 0.19, 0.3], "m.asGood(s)"])
    assert ends == [0.03, 0.03, 10, 10]


def test_the_deltas_axis_is_that_of_the_package(delta: Page) -> None:
    random = np.random.default_rng(2)
    cases = [[(random.normal(size=4) * 10 ** random.uniform(-1, 1)).tolist(),
              float(random.uniform(0.04, 12))] for _ in range(200)]  # fmt: skip
    found = delta.evaluate(DELTA_MODULE, [cases, "m.limits(...s)"])
    for (g, peak), (low, high) in zip(cases, found, strict=True):
        assert (low, high) == deltas.limits(np.array(g), peak)
        assert low <= min(*g, 0)
        assert high > max(*g, peak)


def test_the_deltas_fit_does_not_stop_the_hand(delta: Page) -> None:
    """A new fit of sixty features, at its best."""
    body = """((times) => Math.min(...times))(Array.from({length: 12}, (_, k) => {
        const since = performance.now();
        m.evaluate(new m.Fit({...s, seed: k}), 60);
        return performance.now() - since;
    }))"""
    ((best),) = delta.evaluate(DELTA_MODULE, [[delta_state()], body])
    assert best < 60


def affine(page: Page, panel: int, axis: str) -> NDArray[np.float64]:
    """Slope and start of the straight line from an axis' numbers to pixels, which must fit."""
    found = "all => all.map(n => [Number(n.dataset.%s), Number(n.getAttribute('%s'))])"
    marks = {"level": "y1", "place": "x"}
    plot = page.locator(".gc-plot").nth(panel)
    pairs = plot.locator(f"[data-{axis}]").evaluate_all(found % (axis, marks[axis]))
    values, pixels = np.array(pairs).T
    if panel:  # both axes of these are logarithmic
        values = np.log(values)
    line = np.polyfit(values, pixels, 1)
    assert pixels == pytest.approx(np.polyval(line, values), abs=1e-6)
    return line


def assert_the_deltas_are_right(page: Page, case: Sum) -> dict[str, float]:
    """Numbers, curves, strokes and dots are those of the settings."""
    right = deltas.evaluate(**case)
    assert readouts(page) == pytest.approx(right, rel=1e-6, abs=1e-8)
    width, law = case["width"], [case[key] for key in ("scale", "ridge", "constant", "seed")]
    fits = [deltas.fitted(n, *law) for n in range(1, width + 1)]
    sums = deltas.generator(width, case["scale"], case["constant"], case["seed"])
    across, up = affine(page, 0, "place"), affine(page, 0, "level")
    bump, g = (np.reshape(d, (-1, 2)) for d in drawn(page, ".gc-curve[d]")[:2])
    z = np.linspace(-deltas.VIEW, deltas.VIEW, len(g))
    values = sums.generate(fits[-1].weights, torch.from_numpy(z)[:, None])[:, 0].numpy()
    for curve, heights in ((g, values), (bump, deltas.bump(z, right["bump"]))):
        assert curve[:, 0] == pytest.approx(np.polyval(across, z), abs=0.02)
        assert curve[:, 1] == pytest.approx(np.polyval(up, heights), abs=0.02)
    assert_the_strokes_are_at_the_zeros(page, sums, across)
    for panel, key in ((1, "error"), (2, "size")):
        assert_the_course_is_right(page, panel, np.array([getattr(fit, key) for fit in fits]))
    return right


def assert_the_strokes_are_at_the_zeros(
    page: Page, sums: features.GeneratorFeatures, across: NDArray[np.float64]
) -> None:
    """Each stroke is where a feature is 0; the last feature's is marked, if it is to be seen."""
    with np.errstate(divide="ignore"):
        zeros = -sums.biases[:, 0].numpy() / sums.weights[:, 0, 0].numpy()
    seen = np.abs(zeros) <= deltas.VIEW
    strokes = [d[0] for d in drawn(page, "path.gc-zero")]
    assert strokes == pytest.approx(np.polyval(across, zeros[seen]), abs=0.02)
    assert numbers(page, "path.gc-zero", "data-z") == pytest.approx(zeros[seen], rel=1e-9)
    last = numbers(page, "path.gc-last", "data-z")
    assert last == pytest.approx(zeros[-1:][seen[-1:]], rel=1e-9)


def assert_the_course_is_right(page: Page, panel: int, right: NDArray[np.float64]) -> None:
    """A dot for each number of features, on a line, in the right place of logarithmic axes."""
    plot = page.locator(".gc-plot").nth(panel)
    read = "all => all.map(n => ['data-width', 'data-value', 'cx', 'cy'].map((key) => "
    dots = np.array(plot.locator("circle").evaluate_all(f"{read}Number(n.getAttribute(key))))"))
    assert dots[:, 0].tolist() == list(range(1, len(right) + 1))
    assert dots[:, 1] == pytest.approx(right, rel=1e-6, abs=1e-8)
    across, up = affine(page, panel, "place"), affine(page, panel, "level")
    assert dots[:, 2] == pytest.approx(np.polyval(across, np.log(dots[:, 0])), abs=0.02)
    assert dots[:, 3] == pytest.approx(np.polyval(up, np.log(right)), abs=0.02)
    line = np.reshape(drawn(page, ".gc-curve[d]")[1 + panel], (-1, 2))
    assert line == pytest.approx(dots[:, 2:], abs=0.02)
    height = plot.evaluate("n => n.clientHeight")
    assert 0 < dots[:, 3].min() <= dots[:, 3].max() < height - 30


def test_the_deltas_controls_reach_the_numbers_and_the_picture(delta: Page) -> None:
    now = delta_state()
    before = assert_the_deltas_are_right(delta, now)
    delta.get_by_role("button", name="One more feature").click()
    assert_the_deltas_are_right(delta, now | {"width": 11})
    delta.get_by_role("button", name="Ten more").click()
    after = assert_the_deltas_are_right(delta, now | {"width": 21})
    assert after["error"] < before["error"] / 2
    for trait, place, changes in (
        ("width", 60, {"width": 60}),
        ("scale", 10, {"scale": 10.0}),
        ("ridge", -8, {"ridge": 1e-8}),
        ("scale", 0.5, {"scale": 0.5}),
        ("ridge", -2, {"ridge": 1e-2}),
        ("width", 1, {"width": 1}),
        ("width", 15, {"width": 15}),
    ):
        set_slider(delta, trait, place)
        now |= changes
        assert_the_deltas_are_right(delta, now)
    delta.get_by_role("checkbox", name="First feature constant").uncheck()
    assert_the_deltas_are_right(delta, now | {"constant": False})
    delta.get_by_role("button", name="New draw").click()
    assert_the_deltas_are_right(delta, now | {"constant": False, "seed": 22})
    delta.get_by_role("button", name="Reset").click()
    assert_the_deltas_are_right(delta, delta_state())
    assert delta.get_by_role("checkbox").is_checked()


def test_the_deltas_keep_what_is_given_between_the_sliders(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base) as visit:
        page = visit.goto("sum.html")
        now = delta_state(width=1, scale=3.7, ridge=2.5e-7, constant=False, seed=20)
        assert_the_deltas_are_right(page, now)
        assert page.get_by_text("2.5 × 10⁻⁷").is_visible()
        assert page.get_by_text("3.7", exact=True).is_visible()
        assert page.locator("[data-readout=bump]").inner_text() == "≥ 10"
        assert page.locator(".gc-curve.gc-bump[d]").count() == 1
        page.get_by_role("slider", name="Ridge").press("ArrowRight")
        now["ridge"] = 1e-6
        assert_the_deltas_are_right(page, now)
        page.get_by_role("button", name="New draw").click()
        page.get_by_role("button", name="Reset").click()
        assert_the_deltas_are_right(page, now | {"ridge": 2.5e-7})
        assert visit.troubles == []


def test_the_deltas_words_are_right(delta: Page) -> None:
    def shown(key: str) -> str:
        readouts(delta)
        return delta.locator(f"[data-readout={key}]").inner_text()

    right = deltas.evaluate(**delta_state())
    for key in ("error", "bump", "size", "largest", "mean"):
        assert float(shown(key)) == pytest.approx(right[key], rel=5e-3)
    for words in ("error² + λ Σ uᵢ²", "of the delta: 0.399", "bump of the same error"):
        assert delta.get_by_text(words).is_visible()
    values = delta.locator(".gc-value").all_inner_texts()
    assert values == ["10", "5", "10⁻⁶"]


def test_keys_add_features_and_move_the_deltas_sliders(delta: Page) -> None:
    delta.evaluate("addEventListener('keydown', (event) => { window.leaked = event.key; })")
    more = delta.get_by_role("button", name="One more feature")
    for key, width in (("Enter", 11), ("Space", 12), ("n", 13), ("Shift+N", 23), ("Control+n", 23)):
        more.press(key)
        assert readouts(delta)["error"] == pytest.approx(
            deltas.evaluate(**delta_state(width=width))["error"], abs=1e-8
        )
    delta.evaluate("delete window.leaked")  # what has bubbled up was not for the widget
    now = delta_state(width=23)
    for name, trait, up, words in (
        ("Features", "width", 24, "24"),
        ("Scale of wᵢ and bᵢ", "scale", 5.5, "5.5"),
        ("Ridge", "ridge", 1e-5, "10⁻⁵"),
    ):
        slider = delta.get_by_role("slider", name=name)
        before = slider.get_attribute("aria-valuetext")
        slider.press("ArrowRight")
        assert_the_deltas_are_right(delta, now | {trait: up})
        assert slider.get_attribute("aria-valuetext") == words
        slider.press("ArrowLeft")
        readouts(delta)
        assert slider.get_attribute("aria-valuetext") == before
    slider.press("n")
    assert_the_deltas_are_right(delta, now | {"width": 24})
    assert delta.evaluate("window.leaked ?? null") is None  # JupyterLab would take it
    delta.get_by_role("checkbox").press("Space")
    assert_the_deltas_are_right(delta, now | {"width": 24, "constant": False})


def test_there_are_no_more_than_sixty_features(delta: Page) -> None:
    one, ten = (delta.get_by_role("button", name=name) for name in ("One more feature", "Ten more"))
    set_slider(delta, "width", 55)
    readouts(delta)
    assert ten.get_attribute("aria-disabled") == "false"
    ten.click()
    assert_the_deltas_are_right(delta, delta_state(width=60))
    for button in (one, ten):
        assert button.get_attribute("aria-disabled") == "true"
        button.click(force=True)
    one.press("n")
    assert_the_deltas_are_right(delta, delta_state(width=60))


def test_the_deltas_are_told_once_the_hand_is_still(delta: Page) -> None:
    status = delta.get_by_role("status")
    assert status.text_content() == ""
    for _ in range(5):
        delta.get_by_role("button", name="One more feature").click()
    delta.wait_for_function("document.querySelector('[role=status]').textContent !== ''")
    now = deltas.evaluate(**delta_state(width=15))
    words = str(status.text_content())
    assert words.startswith(f"15 features: error {now['error']:.3g}")
    assert words.endswith(f"sum of the weights’ sizes {now['size']:.3g}.")
    labels = [
        str(picture.get_attribute("aria-label")) for picture in delta.locator("svg[role=img]").all()
    ]
    assert labels[0].startswith("Sum of 15 features from −3 to 3:")
    assert f"{now['error']:.3g} with 15" in labels[1]
    assert f"{now['size']:.3g} with 15" in labels[2]


def test_the_deltas_fit_a_phone_and_a_finger_adds(browser: Browser, base: str) -> None:
    with sitechecks.Visit(browser, base, "phone") as visit:
        for width in (390, 360):
            visit.page.set_viewport_size({"width": width, "height": 844})
            page = visit.goto("delta.html")
            page.get_by_role("button", name="Ten more").tap()
            assert_the_deltas_are_right(page, delta_state(width=20))
            page.get_by_role("checkbox").tap()
            assert_the_deltas_are_right(page, delta_state(width=20, constant=False))
            assert page.evaluate("document.documentElement.scrollWidth") == width
            sides = page.locator("svg.gc-plot").evaluate_all("all => all.map(n => n.clientWidth)")
            assert len(sides) == 3
            assert min(sides) > 300
            heights = page.get_by_role("button").evaluate_all(
                "all => all.map(n => n.getBoundingClientRect().height)"
            )
            assert min(heights) >= 28
        assert visit.troubles == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_deltas_are_accessible(delta: Page, scheme: str) -> None:
    if scheme == "dark":
        delta.evaluate("document.documentElement.dataset.theme = 'dark'")
        delta.add_style_tag(
            content="html { --pst-color-background: #14181e; --pst-color-text-base: #ced6dd; }"
            "body { background: #14181e; color: #ced6dd; }"
        )
    assert sitechecks.widget_complaints(delta) == []
    assert sitechecks.axe_complaints(delta, scheme) == []
    ink = "getComputedStyle(document.querySelector('.gc')).color"
    for mark in (".gc-curve.gc-bump[d]", "path.gc-last"):
        stroke = delta.locator(mark).evaluate("n => getComputedStyle(n).stroke")
        assert stroke == delta.evaluate(ink)


def test_nothing_among_the_deltas_moves_by_itself(delta: Page) -> None:
    delta.emulate_media(reduced_motion="no-preference")
    delta.get_by_role("button", name="Ten more").click()
    after_drawing(delta)
    picture = "probes.picture(document.querySelector('.gc-widget'))"
    before = delta.evaluate(picture)
    delta.wait_for_timeout(300)
    assert delta.evaluate(picture) == before
    assert delta.evaluate("document.getAnimations().length") == 0


def test_the_deltas_hear_of_a_kernel_and_tell_it(delta: Page) -> None:
    delta.evaluate(FROM_A_KERNEL.replace("two_clouds", "delta_features"), delta_state())
    assert_the_deltas_are_right(delta, delta_state())
    delta.evaluate("model.set('width', 30)")
    delta.evaluate("model.set('constant', false)")
    now = delta_state(width=30, constant=False)
    assert_the_deltas_are_right(delta, now)
    assert not delta.get_by_role("checkbox").is_checked()
    assert delta.evaluate("told") == 0
    for _ in range(3):
        delta.get_by_role("slider", name="Features").press("ArrowLeft")
    delta.wait_for_function("told >= 1")
    delta.get_by_role("button", name="New draw").click()
    delta.wait_for_function("told >= 2")
    assert delta.evaluate("[model.state.width, model.state.seed]") == [27, 22]
    delta.evaluate("model.set('seed', 2 ** 32 - 1)")
    delta.get_by_role("button", name="New draw").click()
    assert delta.evaluate("model.state.seed") == 0
    delta.evaluate("leave()")
    assert delta.evaluate("model.heard.size") == 0
    after_drawing(delta)
    before = delta.locator("[data-readout=error]").first.get_attribute("data-value")
    delta.evaluate("model.set('width', 3)")
    after_drawing(delta)
    assert delta.locator("[data-readout=error]").first.get_attribute("data-value") == before


@pytest.mark.parametrize(
    "name", ["page.html", "mass.html", "portrait.html", "clouds.html", "delta.html"]
)
def test_arrow_keys_stay_in_the_widget(browser: Browser, base: str, name: str) -> None:
    """A notebook takes those that it hears for its own shortcuts."""
    with sitechecks.Visit(browser, base) as visit:
        page = visit.goto(name)
        page.evaluate(
            "window.heard = [];"
            "document.addEventListener('keydown', event => window.heard.push(event.key));"
        )
        sliders = [slider for slider in page.get_by_role("slider").all() if slider.is_visible()]
        for slider in sliders:
            for key in ("ArrowRight", "ArrowDown", "Home"):
                slider.press(key)
        assert page.evaluate("window.heard") == ["Home"] * len(sliders) != []
        assert visit.troubles == []


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
    names = ("portrait", "net", "calculator", "birthday", "clouds", "delta")
    for name, count in (("page", 2), *((name, 1) for name in names)):
        page.goto(f"{base}{name}.html")
        for image in page.locator(".gc-still img").all():
            assert image.is_visible()
            assert image.get_attribute("alt")
        assert page.locator(".gc-still img").count() == count
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
    assert found == {
        "birthday_test",
        "delta_features",
        "epsilon_net",
        "frames",
        "moving_mass",
        "phase_portrait",
        "sample_calculator",
        "two_clouds",
        "two_gaussians",
    }


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
