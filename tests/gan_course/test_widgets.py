"""The widgets' Python side: inputs, still pictures, state, and how the site takes them up."""

from __future__ import annotations

import base64
import io
import json
import math
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import traitlets
from bs4 import BeautifulSoup
from PIL import Image
from scipy.integrate import quad
from scipy.optimize import linprog
from scipy.spatial.distance import jensenshannon
from scipy.stats import kstest, poisson, wasserstein_distance
from traitlets import TraitError

from gan_course import dynamics, features, ipm, metrics, transport, widgets
from gan_course.widgets import birthdays, bounds, coverings, critics, deltas, masses, portraits
from gan_course.widgets.pictures import encode


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_COURSE_STATIC", "1")


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GAN_COURSE_STATIC", raising=False)


def draw(i: float, axes: Any) -> None:
    axes.plot([0, 1], [0, i + 1])
    axes.set_ylim(0, 9)


def html(widget: Any) -> BeautifulSoup:
    return BeautifulSoup(widget._repr_mimebundle_()["text/html"], "html.parser")


def state(widget: Any) -> dict[str, Any]:
    return json.loads(html(widget).select_one("script[type='application/json']").text)


def size(url: str) -> tuple[int, int]:
    return Image.open(io.BytesIO(base64.b64decode(url.split(",")[1]))).size


# ------------------------------------------------------------------ frames


def film(**changes: Any) -> Any:
    arguments = {"pictures": draw, "labels": ["a", "b", "c"], "alt": "Line at {label} ({index})."}
    arguments |= changes
    return widgets.frames(arguments.pop("pictures"), **arguments)


@pytest.mark.usefixtures("still")
def test_frames_become_a_picture_and_a_state() -> None:
    widget = film(start=-1, name="Step")
    bundle = widget._repr_mimebundle_()
    assert set(bundle) == {"text/html", "text/plain"}
    values = state(widget)
    assert values["labels"] == ["a", "b", "c"]
    assert values["alts"] == ["Line at a (0).", "Line at b (1).", "Line at c (2)."]
    assert values["index"] == widget.index == 2
    assert len(set(values["pictures"])) == 3
    image = html(widget).select_one(".gc-still img")
    assert image["alt"] == "Line at c (2)."
    assert image["src"] == values["pictures"][2]
    assert (int(image["width"]), int(image["height"])) == (640, 360)
    assert size(image["src"]) == (921, 518)
    assert all(len(url) < 20_000 * 4 / 3 for url in values["pictures"])


@pytest.mark.usefixtures("still")
def test_frames_take_figures_bytes_and_paths(tmp_path: Path) -> None:
    figure, axes = plt.subplots(figsize=(2, 1))
    axes.plot([1, 2])
    buffer = io.BytesIO()
    Image.new("RGB", (200, 100), "navy").save(buffer, "PNG")
    (tmp_path / "x.png").write_bytes(buffer.getvalue())
    widget = film(pictures=[figure, buffer.getvalue(), tmp_path / "x.png"])
    pictures = state(widget)["pictures"]
    assert pictures[1] == pictures[2] != pictures[0]
    assert not plt.fignum_exists(figure.number)  # or the notebook would show it a second time


@pytest.mark.usefixtures("still")
def test_text_is_escaped() -> None:
    widget = film(alt='a "quote" </script> & <b>', labels=["</script>", "b", "c"])
    assert html(widget).select_one("img")["alt"] == 'a "quote" </script> & <b>'
    assert state(widget)["labels"][0] == "</script>"
    assert widget._repr_mimebundle_()["text/html"].count("</script>") == 1


@pytest.mark.usefixtures("still")
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": []}, r"labels=\[\]"),
        ({"labels": ["a", " ", "c"]}, r"labels\[1\]=' '"),
        ({"alt": ""}, r"alt\[0\]=''"),
        ({"alt": ["x", "y"]}, "one text per frame: 2 for 3"),
        ({"start": 3}, "start=3"),
        ({"fps": 0}, "fps=0"),
        ({"pictures": [b""], "alt": "x"}, "3 for 1"),
    ],
)
def test_frames_refuse(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        film(**changes)


@pytest.mark.usefixtures("still")
def test_frames_must_have_one_size() -> None:
    figures = [plt.figure(figsize=(w, 1)) for w in (1, 2, 3)]
    with pytest.raises(ValueError, match="one size"):
        film(pictures=figures)


def test_a_picture_is_a_figure_bytes_or_a_path() -> None:
    with pytest.raises(TypeError, match="not int"):
        encode(3)  # type: ignore[arg-type]


def test_a_cloud_of_points_stays_small() -> None:
    points = np.random.default_rng(0).normal(size=(2, 2000))
    figure, axes = plt.subplots(figsize=(6.4, 3.6))
    axes.scatter(*points, s=5, alpha=0.4)
    assert len(encode(figure).data) < 40_000


# ------------------------------------------------------------------ two Gaussians


@pytest.mark.parametrize(
    ("mean", "mu", "s"), [(0, 0, 1), (0, 1, 1), (1, -3, 0.5), (0, 8, 1), (-3, 6, 2), (0, 0, 0.25)]
)
def test_evaluate_agrees_with_quadrature(mean: float, mu: float, s: float) -> None:
    def p(x: float) -> float:
        return math.exp(-0.5 * (x - mean) ** 2) / math.sqrt(2 * math.pi)

    def q(x: float) -> float:
        return math.exp(-0.5 * ((x - mu) / s) ** 2) / s / math.sqrt(2 * math.pi)

    def slope(x: float) -> float:
        return (x - mu) / s**2 - (x - mean)

    def integral(f: Any) -> float:
        cuts = np.union1d(np.linspace(-24, 24, 49), [mean, mu])
        return math.fsum(quad(f, a, b, epsabs=1e-13)[0] for a, b in pairwise(cuts))

    now = widgets.evaluate(mean, mu, s)
    minimax = integral(lambda x: -q(x) * p(x) / (p(x) + q(x)) * slope(x))
    nonsaturating = integral(lambda x: -q(x) * q(x) / (p(x) + q(x)) * slope(x))
    assert now["gradient_minimax"] == pytest.approx(minimax, rel=1e-7, abs=1e-10)
    assert now["gradient_nonsaturating"] == pytest.approx(nonsaturating, rel=1e-7, abs=1e-10)
    entropy = integral(lambda x: -(p(x) + q(x)) / 2 * math.log((p(x) + q(x)) / 2 or 1))
    own = 0.5 * math.log(2 * math.pi * math.e) + 0.5 * math.log(s)  # mean entropy of p and q
    assert now["js"] == pytest.approx(entropy - own, abs=1e-8)


@pytest.mark.parametrize("mu", [0.5, 2.0, 6.0])
def test_gradients_add_up_to_the_gap_at_equal_spread(mu: float) -> None:
    now = widgets.evaluate(0.0, mu, 1.0)
    assert now["gradient_minimax"] + now["gradient_nonsaturating"] == pytest.approx(mu)
    value = 2 * now["js"] - math.log(4)  # V(D*, G), half of it E_q log(1 - D*) by symmetry
    assert now["loss_minimax"] == pytest.approx(value / 2)


@pytest.mark.usefixtures("still")
def test_two_gaussians_still() -> None:
    widget: Any = widgets.two_gaussians(mu=2)
    assert (widget.mean, widget.mu, widget.s) == (0, 2, 1)
    assert widget.readout == widgets.evaluate(0, 2, 1)
    assert state(widget) == {"mean": 0, "mu": 2, "s": 1}
    assert "N(2, 1²)" in html(widget).select_one("img")["alt"]
    with pytest.raises(AttributeError, match="sigma"):
        _ = widget.sigma


@pytest.mark.usefixtures("live")
def test_two_gaussians_live() -> None:
    widget: Any = widgets.two_gaussians()
    seen = []
    widget.observe(lambda change: seen.append(change["new"]["kl"]), "readout")
    assert widget.readout["kl"] == pytest.approx(4.5)
    widget.mu = 4
    assert widget.readout == widgets.evaluate(0, 4, 1)
    assert seen == [pytest.approx(8)]


@pytest.mark.parametrize("changes", [{"mu": 9}, {"mean": -9}, {"s": 0.1}, {"s": math.nan}])
def test_two_gaussians_refuse(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(changes))}=.* must lie in"):
        widgets.two_gaussians(**changes)


# ------------------------------------------------------------------ moving mass

DIRAC = np.eye(8)
LAWS = np.random.default_rng(4).dirichlet(np.full(8, 0.5), size=(20, 2))
PAIRS = [*LAWS, DIRAC[[0, 7]], DIRAC[[5, 3]], DIRAC[[2, 2]], LAWS[0][[1, 1]]]


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_the_masses_numbers_are_right(p: Any, q: Any) -> None:
    now, x = masses.evaluate(p, q), np.arange(8)
    assert now["w1"] == pytest.approx(wasserstein_distance(x, x, p, q), abs=1e-12)
    assert now["dual"] == pytest.approx(now["w1"], abs=1e-11)
    assert now["js"] == pytest.approx(jensenshannon(p, q) ** 2, abs=1e-12)
    assert now["tv"] == pytest.approx(np.maximum(p - q, 0).sum(), abs=1e-12)


@pytest.mark.parametrize(("p", "q"), PAIRS)
def test_the_potential_has_slopes_of_one_and_is_level_where_nothing_moves(p: Any, q: Any) -> None:
    slopes = np.diff(masses.potential(p, q))
    agree = np.isclose(np.cumsum(p)[:-1], np.cumsum(q)[:-1], atol=1e-12, rtol=0)
    assert np.abs(slopes) == pytest.approx(np.where(agree, 0.0, 1.0), abs=1e-12)
    assert masses.potential(p, q) @ q == pytest.approx(0, abs=1e-12)


@pytest.mark.usefixtures("still")
def test_moving_mass_still() -> None:
    widget: Any = widgets.moving_mass(p=[1, 0, 0, 0, 0, 0, 0, 1], q=np.arange(8))
    assert widget.p == [0.5, 0, 0, 0, 0, 0, 0, 0.5]
    assert widget.q == pytest.approx(np.arange(8) / 28)
    assert state(widget) == {"p": widget.p, "q": widget.q}
    assert widget.readout == masses.evaluate(widget.p, widget.q)
    alt = html(widget).select_one("img")["alt"]
    assert "data (0.5, 0, 0, 0, 0, 0, 0, 0.5)" in alt
    assert f"W1 is {widget.readout['w1']:.3g}" in alt


@pytest.mark.usefixtures("live")
def test_moving_mass_live() -> None:
    widget: Any = widgets.moving_mass()
    assert widget.readout == masses.evaluate(masses.DATA_START, masses.GENERATOR_START)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]["tv"]), "readout")
    widget.q = [2 * mass for mass in widget.p]
    assert widget.q == pytest.approx(widget.p)
    assert widget.readout["w1"] == pytest.approx(0, abs=1e-12)
    assert seen == [pytest.approx(0, abs=1e-12)]
    sent = [0.1, 0.2, 0.3, 0.1, 0.1, 0.1, 0.1 - 1e-15, 0.0]  # sums to 1 but for rounding
    widget.p = sent
    assert widget.p == sent  # or the browser and the kernel would correct each other
    with pytest.raises(ValueError, match=r"p=.* none negative"):
        widget.p = [-1, 2, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("name", ["p", "q"])
@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([0.5, 0.5], r"has shape \(2,\); allowed are 8"),
        (np.ones((1, 8)), r"has shape \(1, 8\)"),
        ([-1, 1, 1, 1, 1, 1, 1, 1], "none negative"),
        ([math.nan, 1, 1, 1, 1, 1, 1, 1], "finite"),
        ([math.inf, 1, 1, 1, 1, 1, 1, 1], "finite"),
        ([0] * 8, "not all 0"),
    ],
)
def test_moving_mass_refuses(name: str, weights: Any, words: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}.*{words}"):
        widgets.moving_mass(**{name: weights})


# ------------------------------------------------------------------ the phase portrait


def slope(system: str, loss: str, regularizer: str, strength: float) -> Any:
    """The field's Jacobian at the equilibrium, by hand: P and Q of the critic, then the penalty."""
    f = 1.0 if loss == "Wasserstein" else 0.5  # f'(0)
    bend = 0.0 if loss == "Wasserstein" else 0.25  # -f''(0)
    square = strength**2 if regularizer == "instance noise" else 0.0
    p, q = (2 * bend * square, f) if system == "dirac" else (2 * bend / 5, 2 * f / 3)
    matrix = np.array([[-p, -q], [q, 0.0]])
    if regularizer == "R1":
        return matrix - [[strength * (1 if system == "dirac" else 4 / 3), 0], [0, 0]]
    if regularizer == "consensus":
        return matrix - strength * matrix.T @ matrix
    if regularizer == "gradient norm":
        return matrix - 2 * strength * np.outer([0, 1], matrix[0] * matrix[0, 1])
    return matrix


PORTRAITS = [
    (system, loss, regularizer)
    for system in portraits.SYSTEMS
    for loss in portraits.LOSS_NAMES
    for regularizer in portraits.REGULARIZERS
    if system == "dirac" or regularizer != "instance noise"
]


@pytest.mark.parametrize("mode", portraits.MODES)
@pytest.mark.parametrize(("system", "loss", "regularizer"), PORTRAITS)
def test_the_portraits_numbers_are_right(
    system: str, loss: str, regularizer: str, mode: str
) -> None:
    strength, h = 0.7, 0.8
    now = portraits.evaluate(system, loss, regularizer, strength, mode, h)
    matrix, one = slope(system, loss, regularizer, strength), np.eye(2)
    if mode == "simultaneous":
        matrix = one + h * matrix
    elif mode == "alternating":
        critic, generator = one + h * matrix * [[1], [0]], one + h * matrix * [[0], [1]]
        matrix = generator @ critic
    values = np.linalg.eigvals(matrix)
    found = [complex(now[f"re{i}"], now[f"im{i}"]) for i in (1, 2)]
    assert np.sort_complex(found) == pytest.approx(np.sort_complex(values), abs=1e-9)
    assert (now["re1"], now["im1"]) >= (now["re2"], now["im2"])
    judge = dynamics.flow_stability if mode == "flow" else dynamics.map_stability
    assert now["stability"] == judge(values)
    at = torch.tensor(portraits.EQUILIBRIA[system], dtype=torch.float64)
    field = portraits.moves(mode, portraits.game(system, loss, regularizer, strength), h)
    assert found == pytest.approx(dynamics.eigenvalues(field, at), abs=1e-7)
    rest = field(at) if mode == "flow" else field(at) - at
    assert rest.tolist() == pytest.approx([0, 0], abs=1e-12)


@pytest.mark.parametrize(
    ("loss", "critical"), [("minimax", 1), ("non-saturating", 1), ("Wasserstein", 2)]
)
def test_at_the_critical_strength_the_eigenvalues_meet(loss: str, critical: float) -> None:
    now = portraits.evaluate("dirac", loss, "R1", critical, "flow", 0.2)
    assert (now["im1"], now["im2"]) == (0, 0)
    assert now["re1"] == now["re2"] == -critical / 2
    assert portraits.evaluate("dirac", loss, "R1", critical - 0.01, "flow", 0.2)["im1"] > 0
    now = portraits.evaluate("uniform", "Wasserstein", "R1", 1.0, "flow", 0.2)  # with rounding
    assert (now["im1"], now["re1"]) == (0, now["re2"])


@pytest.mark.usefixtures("still")
def test_phase_portrait_still() -> None:
    widget: Any = widgets.phase_portrait(
        "uniform", "Wasserstein", "consensus", 0.5, "alternating", 0.4, task="unstable step"
    )
    assert state(widget) == {
        "system": "uniform",
        "loss": "Wasserstein",
        "regularizer": "consensus",
        "strength": 0.5,
        "mode": "alternating",
        "step": 0.4,
        "start": [0.5, 0.5],
        "task": "unstable step",
        "touched": False,
    }
    assert widget.touched is False
    assert widget.step == 0.4
    numbers = ("uniform", "Wasserstein", "consensus", 0.5, "alternating", 0.4)
    assert widget.readout == portraits.evaluate(*numbers)
    alt = html(widget).select_one("img")["alt"]
    assert "alternating steps of 0.4 with consensus of strength 0.5 from (0.5, 0.5)" in alt
    assert alt.endswith("stable.")
    last = portraits.trajectory(*numbers, start=(0.5, 0.5))[-1]
    assert last == pytest.approx([0, 1], abs=1e-6)


@pytest.mark.usefixtures("still")
def test_the_still_portrait_goes_round_and_survives_an_escape() -> None:
    path = portraits.trajectory("dirac", "Wasserstein", "none", 0.0, "flow", 0.2, (1.0, 1.0))
    times = np.linspace(0, 40, 801)
    turning = np.exp(1j * times) * (1 + 1j)
    assert path @ [1, 1j] == pytest.approx(turning, abs=1e-2)
    escaping: Any = widgets.phase_portrait(loss="Wasserstein", mode="simultaneous", step=5)
    assert escaping.readout["stability"] == "unstable"


@pytest.mark.usefixtures("live")
def test_phase_portrait_live() -> None:
    widget: Any = widgets.phase_portrait(regularizer="R1", strength=0.5, start=(2, -1))
    assert (widget.start, widget.touched) == ([2, -1], False)
    assert widget.readout == portraits.evaluate("dirac", "minimax", "R1", 0.5, "flow", 0.2)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]["stability"]), "readout")
    widget.mode, widget.step = "simultaneous", 3
    assert widget.readout == portraits.evaluate("dirac", "minimax", "R1", 0.5, "simultaneous", 3)
    assert seen == ["stable", "unstable"]
    widget.start = [0.1, 0.2]
    assert widget.start == [0.1, 0.2]
    assert widget.touched is False  # no hand was on it
    with pytest.raises(ValueError, match=r"start=\[9.*must be two numbers in \[-2.5, 2.5\]"):
        widget.start = [9, 0]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"system": "Dirac"}, r"system='Dirac' must be one of 'dirac', 'uniform'"),
        ({"loss": "hinge"}, r"loss='hinge' must be one of 'minimax', 'non-saturating'"),
        ({"regularizer": "R2"}, r"regularizer='R2' must be one of 'none', 'R1'.*'instance noise'"),
        (
            {"system": "uniform", "regularizer": "instance noise"},
            r"regularizer='instance noise' must be one of 'none', .*'gradient norm', for .*uniform",
        ),
        ({"strength": -0.1}, r"strength=-0.1 must lie in \[0, 3\]"),
        ({"strength": math.nan}, r"strength=nan must lie in \[0, 3\]"),
        ({"mode": "both"}, r"mode='both' must be one of 'flow', 'simultaneous', 'alternating'"),
        ({"step": 0}, r"step=0 must lie in \[0.05, 5\]"),
        ({"start": (3, 0)}, r"start=\(3, 0\) must be two numbers in \[-2.5, 2.5\]"),
        ({"start": (1, 2, 3)}, r"start=\(1, 2, 3\) must be two numbers"),
        ({"start": (math.nan, 0)}, r"start=\(nan, 0\) must be two numbers"),
        (
            {"system": "uniform", "start": (0, -0.1)},
            r"start=\(0, -0.1\) must .*\[-1.2, 1.2\] x \[0, 2.2\], for system='uniform'",
        ),
        ({"task": "both"}, r"task='both' must be one of None, 'critical strength'"),
    ],
)
def test_phase_portrait_refuses(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        widgets.phase_portrait(**changes)


# ------------------------------------------------------------------ the net

CLOUDS = [
    np.random.default_rng(n).normal(size=(n, 2)) * 0.4 for n in (1, 2, 3, 4, 6, 9, 14, 25, 40)
]
CLOUDS = [cloud / np.maximum(1, np.hypot(*cloud.T))[:, None] for cloud in CLOUDS]
HEXAGON = [(0.0, 0.0)] + [
    (math.sqrt(0.75) * math.cos(k * math.pi / 3), math.sqrt(0.75) * math.sin(k * math.pi / 3))
    for k in range(6)
]


def places(n: int) -> np.ndarray:
    """The places of a fine grid that are in the unit disc."""
    line = (np.arange(n) + 0.5) * 2 / n - 1
    grid = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    return grid[np.hypot(*grid.T) <= 1]


def lens(distance: float, r: float, s: float) -> float:
    """Area common to two discs of radii r and s that cross."""
    a = (distance**2 + r**2 - s**2) / (2 * distance)
    b = distance - a
    caps = r**2 * math.acos(a / r) + s**2 * math.acos(b / s)
    return caps - distance * math.sqrt(r**2 - a**2)


@pytest.mark.parametrize("points", CLOUDS)
@pytest.mark.parametrize("radius", [0.2, 0.45, 1.0])
def test_the_nets_share_and_farthest_place_are_right(points: np.ndarray, radius: float) -> None:
    grid = places(160)
    nearest = np.sqrt(((grid[:, None] - points) ** 2).sum(-1).min(1))
    assert coverings.share(radius, points.tolist()) == pytest.approx(
        (nearest <= radius).mean(), abs=6e-3
    )
    place, distance = coverings.farthest(points)
    assert nearest.max() <= distance + 1e-9  # nothing on the grid is farther
    assert nearest.max() >= distance - 0.02
    assert np.hypot(*(points - place).T).min() == pytest.approx(distance, abs=1e-12)
    assert math.hypot(*place) <= 1 + 1e-12
    found = coverings.evaluate(radius, points.tolist())
    assert found["net"] == (distance <= radius)
    assert (found["share"] == 1) == found["net"]


@pytest.mark.parametrize(
    ("points", "radius", "area"),
    [
        ([], 0.5, 0),
        ([(0, 0)], 0.3, 0.3**2),
        ([(0, 0)], 1, 1),
        ([(0.2, 0.1)] * 3, 0.4, 0.16),  # the same point thrice
        ([(-0.5, 0), (0, 0.5)], 0.3, 0.18),
        ([(-0.1, 0), (0.1, 0)], 0.5, 0.5 - lens(0.2, 0.5, 0.5) / math.pi),
        ([(0, 1)], 0.6, lens(1, 1, 0.6) / math.pi),
        ([(0.6, 0.8), (-0.6, -0.8)], 1, 2 * lens(1, 1, 1) / math.pi),
        (HEXAGON, 0.5, 1),
    ],
)
def test_the_nets_share_in_closed_form(points: Any, radius: float, area: float) -> None:
    assert coverings.share(radius, points) == pytest.approx(area, abs=1e-12)


def test_seven_discs_of_half_the_radius_cover_the_disc() -> None:
    found = coverings.evaluate(0.5, HEXAGON)
    assert (found["net"], found["count"], found["farthest"]) == (True, 7, pytest.approx(0.5))
    assert found["separated"]
    assert not coverings.evaluate(0.499, HEXAGON)["net"]
    for left_out in range(7):
        rest = [point for i, point in enumerate(HEXAGON) if i != left_out]
        assert coverings.evaluate(0.5, rest)["share"] < 0.99


@pytest.mark.parametrize("radius", [0.2, 0.31, 0.5, 0.77, 1.0])
@pytest.mark.parametrize("start", [[], coverings.START, CLOUDS[5].tolist()])
def test_the_greedy_net_is_one_and_keeps_to_its_bounds(radius: float, start: Any) -> None:
    net = coverings.greedy(radius, start)
    found = coverings.evaluate(radius, net)
    assert found["net"]
    assert np.sqrt(((places(80)[:, None] - net) ** 2).sum(-1)).min(1).max() <= radius + 1e-9
    assert net[: len(start)] == [list(point) for point in start]
    added = np.array(net[len(start) :]).reshape(-1, 2)
    for i, point in enumerate(added, len(start)):
        assert np.hypot(*(np.array(net[:i]).reshape(-1, 2) - point).T).min(initial=9) > radius
    assert found["lower"] == pytest.approx(radius**-2)
    assert found["upper"] == pytest.approx((1 + 2 / radius) ** 2)
    assert found["lower"] <= found["count"]
    assert found["separated"] == coverings.evaluate(radius, start)["separated"]
    assert found["count"] <= found["upper"] or not found["separated"]


def test_points_that_are_close_are_not_separated() -> None:
    assert coverings.evaluate(0.5, [[0, 0], [0.6, 0], [0.6, 0.49]])["separated"] is False
    assert coverings.evaluate(0.5, [[0, 0], [0.6, 0], [0.6, 0.51]])["separated"] is True


@pytest.mark.usefixtures("still")
def test_epsilon_net_still() -> None:
    widget: Any = widgets.epsilon_net(0.3)
    points = [list(point) for point in coverings.START]
    assert state(widget) == {"radius": 0.3, "points": points}
    assert widget.readout == coverings.evaluate(0.3, points)
    alt = html(widget).select_one("img")["alt"]
    assert "with 3 points, and disks of radius 0.3 around them, which cover 27 % of" in alt
    assert "A cross marks the farthest place" in alt
    assert "A smallest net of radius 0.3 has at least 12 and at most 58 points" in alt
    whole: Any = widgets.epsilon_net(points=np.array(HEXAGON))
    assert "with 7 points" in html(whole).select_one("img")["alt"]
    assert "cover 100 % of the area. They are a net" in html(whole).select_one("img")["alt"]
    bare: Any = widgets.epsilon_net(points=[])
    assert (bare.points, bare.readout["share"], bare.readout["farthest"]) == ([], 0, math.inf)
    assert "without any point" in html(bare).select_one("img")["alt"]


def test_the_nets_still_says_what_it_shows() -> None:
    for points, title, names in [
        (coverings.START, "3 points, 71.3 %", ["disk of radius", "point", "farthest place"]),
        (HEXAGON, "7 points, 100 %", ["disk of radius", "point"]),
        ([(0, 0)], "1 point, 25 %", ["disk of radius", "point", "farthest place"]),
        ([], "0 points, 0 %", []),
    ]:
        (axes,) = coverings.still_figure(0.5, points).axes
        assert axes.get_title().startswith(f"{title} of the disk covered")
        assert "a smallest net of radius 0.5 has 4 to 25 points" in axes.get_title()
        legend = axes.get_legend()
        shown = [text.get_text() for text in legend.get_texts()] if legend else []
        assert [text.split(r" $\delta$")[0] for text in shown] == names


@pytest.mark.usefixtures("live")
def test_epsilon_net_live() -> None:
    widget: Any = widgets.epsilon_net()
    seen = []
    widget.observe(lambda change: seen.append(change["new"]["net"]), "readout")
    assert widget.readout["count"] == 3
    widget.points = HEXAGON
    widget.radius = 0.4
    assert widget.readout == coverings.evaluate(0.4, HEXAGON)
    assert seen == [True, False]
    sent = [[math.cos(k), math.sin(k)] for k in range(20)]  # on the edge but for rounding
    widget.points = sent
    assert widget.points == sent
    with pytest.raises(ValueError, match=r"points=.* must all lie in the unit disk"):
        widget.points = [[0.9, 0.9]]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"radius": 0.1}, r"radius=0.1 must lie in \[0.2, 1\]"),
        ({"radius": math.nan}, r"radius=nan must lie in"),
        ({"points": [[1, 1]]}, r"points=.* must all lie in the unit disk"),
        ({"points": [[math.nan, 0]]}, r"points=.* must all lie in the unit disk"),
        ({"points": [0.1, 0.2]}, r"points has shape \(2,\); allowed are pairs"),
        ({"points": [[0, 0, 0]]}, r"points has shape \(1, 3\)"),
        ({"points": np.zeros((201, 2))}, r"points has 201 points; allowed are at most 200"),
    ],
)
def test_epsilon_net_refuses(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        widgets.epsilon_net(**changes)


# ------------------------------------------------------------------ the calculator

SIZES = [
    (1, 0.1, 1.0, 0.5),
    (100, 10.0, 0.1, 0.01),
    (137, 2.5, 0.033, 1e-9),
    (1_000_000, 1e4, 0.01, 1e-50),
]


@pytest.mark.parametrize(("m", "lipschitz", "epsilon", "failure"), SIZES)
def test_the_calculators_numbers_are_right(
    m: int, lipschitz: float, epsilon: float, failure: float
) -> None:
    found = bounds.evaluate(m, lipschitz, epsilon, failure)
    assert found["samples"] == ipm.samples_needed(m, lipschitz, epsilon, failure)

    def log_failure(samples: float, log_critics: float) -> float:
        return math.log(2) + log_critics - samples * epsilon**2 / 8

    log_net = m * math.log(1 + 8 * lipschitz / epsilon)
    assert found["log_net"] == pytest.approx(log_net)
    assert found["radius"] == pytest.approx(epsilon / 4 / lipschitz)
    for samples, log_critics in ((found["samples"], log_net), (found["alone"], 0.0)):
        slack = 1e-12 * samples * epsilon**2
        assert log_failure(samples, log_critics) <= math.log(failure) + slack
        assert log_failure(samples - 1, log_critics) > math.log(failure) - slack
    assert 0 < found["share"] < 1
    part = 1 - found["alone"] / found["samples"]
    assert found["share"] == pytest.approx(part, abs=2 / found["samples"])
    assert found["samples"] < bounds.TOP


@pytest.mark.parametrize("name", bounds.LIMITS)
def test_the_calculators_sliders_have_round_values(name: str) -> None:
    values = bounds.ticks(name)
    assert values == sorted(set(values))
    assert [values[0], values[-1]] == list(bounds.LIMITS[name])
    ratios = np.divide(values[1:], values[:-1])
    assert ratios.max() <= (10 if name == "failure" else 2) + 1e-9
    assert all(len(f"{value:e}".rstrip("0").split("e")[0].rstrip("0")) <= 3 for value in values)
    if name == "m":
        assert all(value == int(value) for value in values)
    default = {"m": 100, "lipschitz": 10, "epsilon": 0.1, "failure": 0.01}[name]
    assert default in values


@pytest.mark.usefixtures("still")
def test_sample_calculator_still() -> None:
    widget: Any = widgets.sample_calculator()
    assert state(widget) == {"m": 100, "lipschitz": 10, "epsilon": 0.1, "failure": 0.01}
    assert widget.readout == bounds.evaluate(100, 10, 0.1, 0.01)
    alt = html(widget).select_one("img")["alt"]
    assert f"zeta = 0.01 it is N = {ipm.samples_needed(100, 10, 0.1, 0.01):,}, of which" in alt
    assert "the net takes 99.2%" in alt
    assert (widgets.sample_calculator(m=7).m, type(state(widget)["m"])) == (7, int)  # type: ignore[union-attr]


def test_the_calculators_still_says_how_many_samples() -> None:
    figure = bounds.still_figure(2500, 10.0, 0.1, 3e-9)
    assert figure.get_suptitle() == f"$N$ = {ipm.samples_needed(2500, 10, 0.1, 3e-9):,} samples"
    labels = [axes.get_xlabel().split(" = ")[1] for axes in figure.axes]
    assert labels == ["2,500", "10", "0.1", r"$3 \times 10^{-9}$"]
    assert bounds.still_figure(1, 10.0, 0.1, 1e-50).axes[3].get_xlabel() == r"$\zeta$ = $10^{-50}$"


@pytest.mark.usefixtures("live")
def test_sample_calculator_live() -> None:
    widget: Any = widgets.sample_calculator(m=50)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]["samples"]), "readout")
    widget.epsilon, widget.m = 0.2, 200
    assert seen == [ipm.samples_needed(m, 10, 0.2, 0.01) for m in (50, 200)]
    with pytest.raises(traitlets.TraitError, match="not be less than 1"):
        widget.m = 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"m": 0}, r"m=0 must lie in \[1, 1e\+06\]"),
        ({"m": 1.5}, "m=1.5 must be an integer"),
        ({"lipschitz": 0}, r"lipschitz=0 must lie in \[0.1, 10000\]"),
        ({"epsilon": 1.5}, r"epsilon=1.5 must lie in \[0.01, 1\]"),
        ({"epsilon": math.nan}, r"epsilon=nan must lie in"),
        ({"failure": 0}, r"failure=0 must lie in \[1e-50, 0.5\]"),
    ],
)
def test_sample_calculator_refuses(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        widgets.sample_calculator(**changes)


# ------------------------------------------------------------------ the birthday test

LAWS_WITH_DRAWS = [
    (365, 23, 0.0),
    (1, 2, 0.0),
    (1, 40, 0.9),
    (2, 2, 0.5),
    (10, 11, 0.0),
    (4, 4, 0.25),
    (50, 12, 0.3),
    (100_000, 400, 0.0),
    (100_000, 23, 0.15),
    (2000, 300, 0.05),
    (3, 300, 0.0),
]


def law_of(support: int, heavy: float) -> np.ndarray:
    law = np.full(support, (1 - heavy) / support)
    law[0] += heavy
    return law


@pytest.mark.parametrize(("support", "draws", "heavy"), LAWS_WITH_DRAWS)
def test_the_birthdays_law_is_right(support: int, draws: int, heavy: float) -> None:
    now = birthdays.evaluate(support, draws, heavy, 1, 0)
    law, total = law_of(support, heavy), math.comb(draws, 2)
    squares, cubes = (law**2).sum(), (law**3).sum()
    assert now["effective"] == pytest.approx(1 / squares)
    assert now["expected"] == pytest.approx(total * squares)
    shared = draws * (draws - 1) * (draws - 2) * (cubes - squares**2)
    variance = total * (squares - squares**2) + shared
    assert now["dispersion"] == pytest.approx(variance / (total * squares), abs=1e-9)
    none = [1.0] + [0.0] * draws  # elementary symmetric polynomials of the law
    for chance in law if support < 500 else []:
        none[1:] = [b + chance * a for a, b in pairwise(none)]
    if support < 500:
        right = 1 - math.factorial(draws) * none[draws] if draws <= support else 1.0
        assert now["probability"] == pytest.approx(right, abs=1e-12)
    assert now["probability"] == pytest.approx(
        metrics.duplicate_probability(support, draws, heavy), rel=1e-9
    )


@pytest.mark.parametrize("seed", [0, 5, 2**32 - 1])
@pytest.mark.parametrize(("support", "draws", "heavy"), LAWS_WITH_DRAWS)
def test_the_birthdays_drawings_follow_the_law(
    support: int, draws: int, heavy: float, seed: int
) -> None:
    """Means and variances within four standard errors of their exact values, over 1500 drawings."""
    found = birthdays.counts(support, draws, heavy, 1500, seed)
    now = birthdays.evaluate(support, draws, heavy, 1500, seed)
    variance = now["dispersion"] * now["expected"]
    assert abs(found.mean() - now["expected"]) <= 4 * math.sqrt(variance / 1500) + 1e-6
    assert found.mean() == now["mean"]
    p = now["probability"]
    assert (found > 0).sum() == now["collided"]
    assert abs(now["collided"] / 1500 - p) <= 4 * math.sqrt(p * (1 - p) / 1500) + 1e-6
    error = np.std((found - found.mean()) ** 2) / math.sqrt(1500)
    assert abs(found.var() - variance) <= 4 * error + 1e-6


def test_the_birthdays_numbers_are_uniform_and_unrelated() -> None:
    u = birthdays.uniforms(3, list(range(400)), 2000)
    assert u.min() >= 0
    assert u.max() < 1
    assert kstest(u.ravel(), "uniform").pvalue > 1e-3
    for a, b in (
        (u[:, :-1], u[:, 1:]),
        (u[:-1], u[1:]),
        (u, birthdays.uniforms(4, range(400), 2000)),
    ):
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4 / math.sqrt(a.size)
    assert np.array_equal(birthdays.uniforms(3, [7], 50), u[7:8, :50])
    values = birthdays.drawn(6, 2000, 0.4, 3, [0, 1, 2])
    shares = np.bincount(values.ravel(), minlength=6) / values.size
    assert shares == pytest.approx(law_of(6, 0.4), abs=0.03)


def test_colliding_pairs_are_counted_in_each_drawing() -> None:
    values = np.array([[3, 1, 3, 3, 1, 0], [5, 4, 3, 2, 1, 0], [7, 7, 7, 7, 7, 7]])
    assert birthdays.colliding_pairs(values).tolist() == [4, 0, 15]
    drawings = birthdays.drawn(20, 30, 0.2, 1, range(300))
    equal = (drawings[:, :, None] == drawings[:, None]).sum((1, 2))
    assert np.array_equal(birthdays.counts(20, 30, 0.2, 300, 1), (equal - 30) // 2)


@pytest.mark.parametrize("pairs", [0, 1, 2, 7, 40, 300])
def test_the_birthdays_interval_is_garwoods(pairs: int) -> None:
    low, high = birthdays.interval(pairs, 25)
    if pairs == 300:  # every pair of the 25 draws
        assert low == 1
    else:
        assert poisson.cdf(pairs, 300 / low) == pytest.approx(0.025)
    if pairs == 0:
        assert high == math.inf
    else:
        assert poisson.sf(pairs - 1, 300 / high) == pytest.approx(0.025)
        assert low <= 300 / pairs <= high


@pytest.mark.parametrize(("support", "draws", "heavy"), LAWS_WITH_DRAWS)
def test_the_birthdays_count_the_intervals_that_hold_the_truth(
    support: int, draws: int, heavy: float
) -> None:
    now = birthdays.evaluate(support, draws, heavy, 200, 2)
    truth = now["effective"]
    held = 0
    for pairs in birthdays.counts(support, draws, heavy, 200, 2):
        low, high = birthdays.interval(int(pairs), draws)
        held += low <= truth * (1 + 1e-12) and truth <= high
    assert now["covered"] == held
    if not heavy:
        assert held >= 0.9 * 200  # each interval holds a Poisson mean with at least 95 %


def test_heavy_values_break_the_birthdays_interval() -> None:
    assert birthdays.evaluate(100_000, 23, 0.15, 500, 0)["covered"] < 0.7 * 500


@pytest.mark.parametrize(("support", "draws", "heavy"), LAWS_WITH_DRAWS)
def test_the_birthdays_histogram_holds_everything(support: int, draws: int, heavy: float) -> None:
    found = birthdays.counts(support, draws, heavy, 300, 0)
    now = birthdays.evaluate(support, draws, heavy, 300, 0)
    edges = birthdays.bins(now["expected"], now["dispersion"], found)
    assert np.histogram(found, edges)[0].sum() == 300
    assert edges[-1] > found.max()
    assert 2 <= len(edges) <= birthdays.BARS + 1
    assert (np.diff(edges, 2) == 0).all()
    shares = birthdays.poisson(now["expected"], edges)
    right = np.diff(poisson.cdf(edges - 1, now["expected"]))
    assert shares == pytest.approx(right, abs=1e-9)
    assert shares.sum() > 0.998


@pytest.mark.usefixtures("still")
def test_birthday_test_still() -> None:
    widget: Any = widgets.birthday_test(1000, 40, 0.1, drawings=30, seed=9)
    assert state(widget) == {
        "support": 1000,
        "draws": 40,
        "heavy": 0.1,
        "drawings": 30,
        "seed": 9,
    }
    assert widget.readout == birthdays.evaluate(1000, 40, 0.1, 30, 9)
    alt = html(widget).select_one("img")["alt"]
    assert alt.startswith("Drawing 30, 40 draws from 1000 values, one with 0.1 of the mass more")
    assert f"{widget.readout['pairs']} colliding pairs" in alt
    assert "of 30 drawings" in alt
    plain: Any = widgets.birthday_test()
    assert (plain.support, plain.draws, plain.heavy, plain.drawings) == (365, 23, 0.0, 100)
    assert plain.readout["probability"] == pytest.approx(0.507297, abs=1e-6)
    assert plain.readout["pairs"] > 0  # there is something to see at once
    none: Any = widgets.birthday_test(100_000, 2)
    assert "effective support is infinite" in html(none).select_one("img")["alt"]


def test_the_birthdays_still_says_what_it_shows() -> None:
    left, right = birthdays.still_figure(365, 23, 0.0, 100, 15).axes
    assert left.get_title(loc="left") == "drawing 100: 23 draws, 1 colliding pair"
    assert right.get_title(loc="left") == "colliding pairs in 100 drawings"
    legend = right.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"share of drawings", "Poisson law"}


@pytest.mark.usefixtures("live")
def test_birthday_test_live() -> None:
    widget: Any = widgets.birthday_test()
    assert widget.readout == birthdays.evaluate(365, 23, 0.0, 100, widget.seed)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]["collided"]), "readout")
    widget.drawings = 201
    widget.heavy = 0.25
    assert widget.readout == birthdays.evaluate(365, 23, 0.25, 201, widget.seed)
    assert seen[-1] == widget.readout["collided"] > seen[0]
    with pytest.raises(TraitError):
        widget.support = 100_001


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"support": 0}, r"support=0 must be a whole number in \[1, 100000\]"),
        ({"support": 10**6}, r"support=1e\+06 must be a whole number"),
        ({"support": 365.5}, r"support=365.5 must be a whole number"),
        ({"support": math.inf}, r"support=inf must be a whole number"),
        ({"draws": 1}, r"draws=1 must be a whole number in \[2, 2000\]"),
        ({"draws": math.nan}, r"draws=nan must be a whole number"),
        ({"heavy": -0.1}, r"heavy=-0.1 must lie in \[0, 0.9\]"),
        ({"heavy": 1}, r"heavy=1 must lie in \[0, 0.9\]"),
        ({"heavy": math.nan}, r"heavy=nan must lie in"),
        ({"drawings": 0}, r"drawings=0 must be a whole number in \[1, 2000\]"),
        ({"seed": -1}, r"seed=-1 must be a whole number in \[0, 4294967295\]"),
    ],
)
def test_birthday_test_refuses(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        widgets.birthday_test(**changes)


# ------------------------------------------------------------------ two clouds

CORNERS = ([[1, 0], [-1, 0]], [[0, 1], [0, -1]])  # all four distances are equal
LINE = ([[0, 0], [0.5, 0]], [[1, 0], [2, 0]])  # all that is generated on one side
SAME = ([[0.3, 0.4], [-1, 2]], [[-1, 2], [0.3, 0.4]])


def random_clouds(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.random.default_rng([n, seed]).uniform(-2, 2, (2, n, 2))
    return x, y


CLOUDS = [*(random_clouds(n) for n in (1, 2, 3, 6, 12)), CORNERS, LINE, SAME]


@pytest.mark.parametrize(("x", "y"), CLOUDS)
def test_the_clouds_potential_is_an_optimal_critic(x: Any, y: Any) -> None:
    now = critics.evaluate(x, y)
    f_x, f_y = np.array(now["f_data"]), np.array(now["f_generated"])
    w1 = transport.w1([x], [y])[0]
    assert now["w1"] == pytest.approx(w1, abs=1e-12)
    assert f_x.mean() - f_y.mean() == pytest.approx(w1, abs=1e-12)
    assert f_y.mean() == pytest.approx(0, abs=1e-12)
    points, f = np.concatenate([x, y]), np.concatenate([f_x, f_y])
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    assert (f[:, None] - f <= apart + 1e-12).all()


def test_the_clouds_potential_is_the_middle_of_all() -> None:
    """By linear programs: the largest and the smallest value at each point, zero at each other."""
    x, y = random_clouds(4, 5)
    n, points = 4, np.concatenate([x, y])
    apart = np.linalg.norm(points[:, None] - points, axis=2)
    pairs = [(a, b) for a in range(2 * n) for b in range(2 * n) if a != b]
    rises = np.array([np.eye(2 * n)[a] - np.eye(2 * n)[b] for a, b in pairs])
    gap = np.repeat([1 / n, -1 / n], n)
    bounds_of = {
        "A_ub": rises,
        "b_ub": [apart[pair] for pair in pairs],
        "A_eq": gap[None],
        "b_eq": [transport.w1([x], [y])[0]],
    }
    middle = np.zeros(2 * n)
    for zero in range(2 * n):
        limits = [(0, 0) if i == zero else (None, None) for i in range(2 * n)]
        for a in range(2 * n):
            for sign in (1, -1):
                found = linprog(-sign * np.eye(2 * n)[a], bounds=limits, **bounds_of)
                middle[a] += found.x[a] / (4 * n)
    f = np.concatenate(critics.potential(x, y))
    assert f == pytest.approx(middle - middle[n:].mean(), abs=1e-7)


def test_the_clouds_potential_depends_on_nothing_else() -> None:
    x, y = random_clouds(6, 1)
    f_x, f_y = critics.potential(x, y)
    order = [3, 1, 5, 0, 2, 4]
    g_x, g_y = critics.potential(x[order], y[order[::-1]])
    assert g_x == pytest.approx(f_x[order], abs=1e-12)
    assert g_y == pytest.approx(f_y[order[::-1]], abs=1e-12)
    near_x, near_y = critics.potential(x + 1e-7, y)
    assert np.concatenate([near_x, near_y]) == pytest.approx(np.concatenate([f_x, f_y]), abs=2e-6)


def test_where_there_is_one_potential_all_find_it() -> None:
    for found, right in zip(critics.potential(*LINE), transport.potentials(*([c] for c in LINE)),
                            strict=True):  # fmt: skip
        assert found == pytest.approx(right[0], abs=1e-9)


def test_the_clouds_critic_has_slope_one_on_the_rays() -> None:
    x, y = random_clouds(6, 2)
    for kind in critics.EXTENSIONS:
        at = critics.rays(x, y)
        slopes = critics.extended(x, y, kind).gradient(at)
        assert np.linalg.norm(slopes, axis=1) == pytest.approx(1, abs=1e-9)
    assert len(critics.rays(*SAME)) == 0
    one_apart = ([[0, 0], [1, 1]], [[0, 0], [1, 0]])
    assert critics.rays(*one_apart)[:, 0] == pytest.approx(1)
    assert critics.rays(*one_apart)[:, 1] == pytest.approx(1 - (np.arange(8) + 0.5) / 8)


def test_the_clouds_network_reads_its_parameters_in_order() -> None:
    row = np.random.default_rng(1).normal(size=337)
    x = np.random.default_rng(2).uniform(-2, 2, (5, 2))
    w1, b1 = row[:32].reshape(16, 2), row[32:48]
    w2, b2 = row[48:304].reshape(16, 16), row[304:320]
    w3, b3 = row[320:336], row[336]
    right = np.tanh(np.tanh(x @ w1.T + b1) @ w2.T + b2) @ w3 + b3
    net = critics.network(row)
    assert net(torch.from_numpy(x))[0, :, 0].tolist() == pytest.approx(right.tolist(), abs=1e-12)
    assert critics.row(critics.parameters_of(net)).tolist() == row.tolist()
    first = critics.row(critics.parameters_of(critics.network())).detach().numpy()
    assert np.abs(first[:48]).max() <= 2**-0.5
    assert np.abs(first[48:]).max() <= 0.25
    assert np.abs(first[:48]).max() > 0.6
    assert np.abs(first.mean()) < 0.03


def test_the_clouds_network_is_trained() -> None:
    """Each regularizer does what it is there for; without one the slopes grow and grow."""
    x, y = critics.DATA_START, critics.GENERATED_START
    found = {}
    for name, strength in critics.STRENGTHS.items():
        net = critics.trained(x, y, name, strength, 150)
        found[name] = critics.measured(net, x, y)
        most = max(float(p.detach().abs().max()) for p in net.parameters())
        assert (most <= 0.2) == (name == "clipping")
    w1 = critics.evaluate(x, y)["w1"]
    assert found["gradient penalty"]["gap"] == pytest.approx(w1, rel=0.2)
    assert 1 < found["gradient penalty"]["steepest"] < 1.5
    assert found["none"]["steepest"] > found["R1"]["steepest"] > 10
    for now in found.values():
        assert now["scaled"] == pytest.approx(now["gap"] / now["steepest"])
        assert now["scaled"] < w1


def test_the_clouds_penalty_looks_between_all_pairs() -> None:
    x, y = random_clouds(3, 3)
    for step in (0, 7):
        at = critics.places(x, y, step).reshape(3, 3, 2).numpy()
        a = (at - y[None]) / (x[:, None] - y[None])
        assert a[..., 0] == pytest.approx(a[..., 1])
        assert (a >= 0).all()
        assert (a < 1).all()
        assert np.ptp(a) > 0.5
    drawn = [critics.places([[1, 0]] * 12, [[0, 0]] * 12, step)[:, 0] for step in range(100)]
    assert kstest(torch.stack(drawn).flatten(), "uniform").pvalue > 0.01


@pytest.mark.usefixtures("still")
def test_two_clouds_still() -> None:
    widget: Any = widgets.two_clouds([[0, 1], [1, 1]], [[0, 0], [1, 0]], "clipping")
    assert state(widget) == {
        "data": [[0, 1], [1, 1]],
        "generated": [[0, 0], [1, 0]],
        "regularizer": "clipping",
        "strength": 0.2,
        "extension": "middle",
        "touched": False,
    }
    assert widget.readout == critics.evaluate(widget.data, widget.generated)
    assert widget.readout["w1"] == pytest.approx(1)
    alt = html(widget).select_one("img")["alt"]
    assert alt.startswith("2 data points and as many generated ones")
    assert "W1 = 1." in alt
    assert "after 600 steps of training with clipping of strength 0.2" in alt
    gap = critics.measured(
        critics.trained(widget.data, widget.generated, "clipping", 0.2),
        widget.data,
        widget.generated,
    )["gap"]
    assert f"its gap is {gap:.4g}" in alt


def test_the_clouds_still_says_what_it_shows() -> None:
    drawn: Any = {"data": [[1, 1]], "generated": [[1, 1]], "extension": "largest"}
    figure = critics.still_figure(**drawn, net=critics.network(np.zeros(337)))
    left, right = figure.axes
    assert left.get_title(loc="left") == "exact critic"
    assert right.get_title(loc="left") == "network, step 600"
    found = critics.measured(critics.network(np.zeros(337)), [[1, 1]], [[1, 1]])
    assert (found["gap"], found["steepest"], found["scaled"]) == (0, 0, 0)
    assert math.isnan(found["on_rays"])
    words = critics.describe({**drawn, "regularizer": "none", "strength": 0}, 0, found)
    assert words.startswith("1 data point and as many generated ones")
    assert "training without a regularizer: its gap is 0" in words
    assert "rays" not in words


@pytest.mark.usefixtures("live")
def test_two_clouds_live() -> None:
    widget: Any = widgets.two_clouds()
    assert (widget.regularizer, widget.strength) == ("gradient penalty", 10)
    assert widget.readout == critics.evaluate(critics.DATA_START, critics.GENERATED_START)
    seen = []
    widget.observe(lambda change: seen.append(change["new"]["w1"]), "readout")
    widget.data = widget.generated
    assert seen == [pytest.approx(0)]
    widget.regularizer = "clipping"  # does not take a strength of 10
    assert widget.strength == 0.2
    widget.strength = 0.5
    widget.regularizer = "R1"
    assert widget.strength == 0.5
    # As the browser sends it:
    widget.set_state({"regularizer": "none", "strength": 0, "touched": True})
    assert (widget.regularizer, widget.strength, widget.touched) == ("none", 0, True)
    with widget.hold_trait_notifications():  # both at once may have another number of points
        widget.data, widget.generated = [[0, 1]], [[0, 0]]
    assert widget.readout["w1"] == 1
    widget.data = widget.generated
    with pytest.raises(ValueError, match="must lie in"):
        widget.data = [[9, 0]]
    with pytest.raises(ValueError, match="5 and 1 points; allowed are equally many"):
        widget.data = [[1, 0]] * 5
    with pytest.raises(TraitError):
        widget.extension = "smallest"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"regularizer": "WGAN-GP"}, r"regularizer='WGAN-GP' must be one of 'none', 'clipping'"),
        ({"extension": "smallest"}, r"extension='smallest' must be one of 'largest', 'middle'"),
        ({"regularizer": ["R1"]}, r"regularizer=\['R1'\] must be one of 'none', 'clipping'"),
        ({"strength": 0}, r"strength=0 must be a number in \[0.1, 100\], for regularizer='gradie"),
        ({"strength": math.nan}, r"strength=nan must be a number in \[0.1, 100\]"),
        ({"strength": "strong"}, r"strength='strong' must be a number in \[0.1, 100\]"),
        ({"regularizer": "clipping", "strength": 2}, r"strength=2 must be a number in \[0.01, 1\]"),
        ({"regularizer": "R1", "strength": -1}, r"strength=-1 must be a number in \[0.1, 100\]"),
        (
            {"data": "swiss roll"},
            r"data='swiss roll' must be 1 to 12 pairs of numbers in \[-2, 2\]",
        ),
        ({"generated": [[1, 2], [3]]}, r"generated=\[\[1, 2\], \[3\]\] must be 1 to 12 pairs"),
        ({"data": 1}, r"data has shape \(\); allowed are 1 to 12 points in the plane"),
        ({"data": [1, 2]}, r"data has shape \(2,\); allowed are 1 to 12 points in the plane"),
        ({"data": []}, r"data has shape \(0,\)"),
        ({"generated": np.zeros((13, 2))}, r"generated has shape \(13, 2\)"),
        ({"generated": np.zeros((6, 3))}, r"generated has shape \(6, 3\)"),
        ({"generated": np.zeros((5, 2))}, r"data and generated have 6 and 5 points; allowed"),
        ({"data": [[2.1, 0]] * 6}, r"data=.* must lie in \[-2, 2\]"),
        ({"data": [[math.nan, 0]] * 6}, r"data=.* must lie in"),
    ],
)
@pytest.mark.usefixtures("still")
def test_two_clouds_refuses(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        widgets.two_clouds(**changes)


# ------------------------------------------------------------------ delta features

SUMS = [
    (1, 5.0, 1e-6, True, 0),
    (1, 0.5, 1e-2, False, 20),
    (2, 10.0, 1e-8, False, 3),
    (10, 5.0, 1e-6, True, 21),
    (27, 3.7, 3e-5, False, 2**32 - 1),
    (60, 10.0, 1e-8, True, 8),
    (60, 0.5, 1e-4, True, 9),
]
PEAK = 1 / math.sqrt(2 * math.pi)  # density of Z at 0


def gaps(g: np.ndarray, z: np.ndarray) -> np.ndarray:
    """What functions on a fine grid are wrong by as deltas: columns ``E g f - q(0) f(0)``."""
    masses = np.exp(-(z**2) / 2)
    out = (masses / masses.sum())[:, None] * g
    out[len(z) // 2] -= PEAK
    return out


def matern(z: np.ndarray) -> np.ndarray:
    u = math.sqrt(3) * np.abs(z[:, None] - z)
    return (1 + u) * np.exp(-u) / 4


@pytest.mark.parametrize("given", SUMS)
def test_the_deltas_weights_are_the_best(given: Any) -> None:
    """On a grid half as wide as the package's: no step lowers the error and the ridge."""
    width, scale, ridge, constant, seed = given
    w, b = scale * deltas.normals(seed)[:width].T
    if constant:
        w[0], b[0] = 0, 50
    z = deltas.SPACING / 2 * np.arange(-450, 451)
    phi, kernel = np.tanh(z[:, None] * w + b), matern(z)
    u = deltas.fitted(*given).weights.numpy()
    wrong, rows = gaps(phi @ u[:, None], z)[:, 0], gaps(phi, z)
    rows[len(z) // 2] += PEAK
    now = deltas.evaluate(*given)
    assert now["error"] == pytest.approx(math.sqrt(wrong @ kernel @ wrong), rel=2e-3)
    slope = rows.T @ kernel @ wrong + ridge * u
    assert np.abs(slope).max() < 2e-5
    assert now["size"] == pytest.approx(np.abs(u).sum())
    assert now["largest"] == pytest.approx(np.abs(u).max())
    assert now["mean"] == pytest.approx(wrong.sum() + PEAK, abs=2e-4)


@pytest.mark.parametrize("given", SUMS)
def test_the_deltas_numbers_are_those_of_features(given: Any) -> None:
    width, scale, ridge, constant, seed = given
    numbers = scale * torch.from_numpy(deltas.normals(seed))
    drawn = features.GeneratorFeatures(numbers[:, :1, None], numbers[:, 1:])
    drawn = (drawn.with_constants() if constant else drawn).first(width)
    latent = features.trapezoid(1, deltas.SPACING, deltas.REACH)
    with deltas.one_thread():  # as the package: two threads round otherwise, and the ridge is small
        right = features.approximate_delta(drawn, latent, bandwidth=1.0, ridge=ridge)
    now = deltas.evaluate(*given)
    assert now["error"] == pytest.approx(right.error, abs=1e-12)
    assert now["size"] == pytest.approx(right.size, rel=1e-9)


def test_the_deltas_first_feature_is_constant_and_the_others_stay() -> None:
    z = torch.linspace(-4, 4, 9).double()[:, None]
    with_one, without = (deltas.generator(12, 3.0, constant, 5)(z) for constant in (True, False))
    assert (with_one[..., 0] == 1).all()
    assert torch.equal(with_one[..., 1:], without[..., 1:])
    assert torch.equal(deltas.generator(4, 3.0, False, 5)(z), without[..., :4])


def test_the_deltas_features_are_normal() -> None:
    drawn = np.stack([deltas.normals(seed) for seed in range(200)])
    assert drawn.shape == (200, 60, 2)
    for values in (drawn, drawn[:, 0, 0], drawn[0]):
        assert kstest(values.ravel(), "norm").pvalue > 1e-3
    assert abs(np.corrcoef(drawn[..., 0].ravel(), drawn[..., 1].ravel())[0, 1]) < 0.04
    assert abs(np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]) < 0.03


def test_the_deltas_more_features_lower_what_is_minimized() -> None:
    for ridge in (1e-8, 1e-4):
        fits = [deltas.fitted(n, 5.0, ridge, True, 21) for n in range(1, 41)]
        goals = [fit.error**2 + ridge * float((fit.weights**2).sum()) for fit in fits]
        assert all(b <= a * (1 + 1e-6) for a, b in pairwise(goals))
    small, large = (deltas.evaluate(40, 5.0, ridge, True, 21) for ridge in (1e-8, 1e-4))
    assert small["error"] < large["error"]
    assert small["size"] > large["size"]


def test_the_deltas_draw_is_an_ordinary_one() -> None:
    """The draw that is shown first is within a third of the middle one, as its docstring says."""
    for width in (5, 10, 20, 40):
        errors = [deltas.fitted(width, 5.0, 1e-6, True, seed).error for seed in range(41)]
        now: Any = deltas.fitted(width, 5.0, 1e-6, True, 21)
        assert 2 / 3 < now.error / np.median(errors) < 3 / 2


def test_the_deltas_bump_is_as_wrong_as_the_sum() -> None:
    spreads = np.geomspace(*deltas.BUMPS, 40)
    errors = [deltas.bump_error(s) for s in spreads]
    assert all(a < b for a, b in pairwise(errors))  # so that one width belongs to an error
    for s, error in zip(spreads, errors, strict=True):
        assert deltas.as_good(error) == pytest.approx(s, rel=1e-9)
    assert deltas.as_good(0.0) == deltas.BUMPS[0]
    assert deltas.as_good(PEAK / 2) == deltas.BUMPS[1]
    z = 0.01 * np.arange(-700, 701)
    for s in (0.05, 0.3, 2.0):
        wrong = gaps(deltas.bump(z, s)[:, None], z)[:, 0]
        assert deltas.bump_error(s) == pytest.approx(math.sqrt(wrong @ matern(z) @ wrong), rel=1e-3)
        assert deltas.bump(z, s).sum() * 0.01 == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("g", "peak", "ends"),
    [
        ([0.49], 0.45, (-0.5, 2)),
        ([-0.2, 1.8], 1.95, (-1, 4)),
        ([-0.4, 3.7], 4, (-2, 8)),
        ([-3.5, 7], 6, (-4, 8)),
        ([-3.5, 1], 0.5, (-4, 2)),
    ],
)
def test_the_deltas_axis_holds_both_curves(g: Any, peak: float, ends: Any) -> None:
    assert deltas.limits(np.array(g), peak) == ends


@pytest.mark.usefixtures("still")
def test_delta_features_still() -> None:
    widget: Any = widgets.delta_features(7, 2, 1e-4, constant=False, seed=9)
    assert state(widget) == {
        "width": 7,
        "scale": 2.0,
        "ridge": 1e-4,
        "constant": False,
        "seed": 9,
    }
    assert widget.readout == deltas.evaluate(7, 2.0, 1e-4, False, 9)
    alt = html(widget).select_one("img")["alt"]
    assert alt.startswith("A sum of 7 random features, with weights of scale 2 inside")
    for key in ("error", "bump", "size"):
        assert f"{widget.readout[key]:.3g}" in alt
    plain: Any = widgets.delta_features()
    assert (plain.width, plain.scale, plain.ridge, plain.constant) == (10, 5.0, 1e-6, True)
    assert plain.readout["error"] == pytest.approx(0.0224, abs=1e-4)
    assert "10 random features, the first of them constant" in html(plain).img["alt"]
    one: Any = widgets.delta_features(1, seed=3)
    assert html(one).img["alt"].startswith("A sum of 1 random feature, the first")
    flat: Any = widgets.delta_features(1, constant=False, seed=20)
    assert "of standard deviation at least 10." in html(flat).img["alt"]


def test_the_deltas_still_draws_what_it_says() -> None:
    given = (12, 5.0, 1e-6, True, 4)
    top, errors, sizes = deltas.still_figure(*given).axes
    fits = [deltas.fitted(n, *given[1:]) for n in range(1, 13)]
    for axes, right in (
        (errors, [fit.error for fit in fits]),
        (sizes, [fit.size for fit in fits]),
    ):
        assert axes.lines[0].get_ydata() == pytest.approx(right)
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        low, high = axes.get_ylim()
        assert low < min(right)
        assert max(right) < high
    g, bump, zeros = top.lines
    z = np.asarray(g.get_xdata())
    drawn = deltas.generator(12, 5.0, True, 4)
    sums = drawn.generate(fits[-1].weights, torch.from_numpy(z)[:, None])[:, 0].numpy()
    assert np.asarray(g.get_ydata()) == pytest.approx(sums)
    spread = deltas.evaluate(*given)["bump"]
    assert np.asarray(bump.get_ydata()) == pytest.approx(deltas.bump(z, spread))
    at = np.asarray(zeros.get_xdata())
    at = at[np.isfinite(at)]
    assert len(at) == 11  # the constant has none
    i = np.arange(1, 12)
    values = drawn(torch.from_numpy(at)[:, None])[np.arange(11), 0, i]
    assert values.abs().max() < 1e-12
    legend = top.get_legend()
    assert legend is not None
    assert "bump of the same error" in {text.get_text() for text in legend.get_texts()}


@pytest.mark.usefixtures("live")
def test_delta_features_live() -> None:
    widget: Any = widgets.delta_features()
    assert widget.readout == deltas.evaluate(10, 5.0, 1e-6, True, widget.seed)
    before, seen = widget.readout["error"], []
    widget.observe(lambda change: seen.append(change["new"]["error"]), "readout")
    # As the browser sends it:
    widget.set_state({"width": 30, "ridge": 1e-7, "seed": 5})
    widget.constant = False
    assert widget.readout == deltas.evaluate(30, 5.0, 1e-7, False, 5)
    assert seen[-1] == widget.readout["error"] < before
    for name, value in (("width", 61), ("width", 0), ("ridge", 0), ("scale", 11), ("seed", -1)):
        with pytest.raises(TraitError):
            setattr(widget, name, value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0}, r"width=0 must be a whole number in \[1, 60\]"),
        ({"width": 61}, r"width=61 must be a whole number in \[1, 60\]"),
        ({"width": 2.5}, r"width=2.5 must be a whole number"),
        ({"width": math.nan}, r"width=nan must be a whole number"),
        ({"width": math.inf}, r"width=inf must be a whole number"),
        ({"scale": 0.4}, r"scale=0.4 must lie in \[0.5, 10\]"),
        ({"scale": math.nan}, r"scale=nan must lie in"),
        ({"ridge": 0}, r"ridge=0 must lie in \[1e-08, 0.01\]"),
        ({"ridge": 0.1}, r"ridge=0.1 must lie in"),
        ({"constant": "yes"}, r"constant='yes' must be True or False"),
        ({"constant": None}, r"constant=None must be True or False"),
        ({"seed": -1}, r"seed=-1 must be a whole number in \[0, 4294967295\]"),
        ({"seed": 2**32}, r"seed=4.29497e\+09 must be a whole number"),
    ],
)
def test_delta_features_refuses(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}"):
        widgets.delta_features(**changes)


# ------------------------------------------------------------------ the dial

RANGE = {"label": "height", "start": 1.0, "minimum": 0.0, "maximum": 2.0, "step": 0.5}


@pytest.mark.usefixtures("live")
def test_the_dial_knows_that_it_was_touched() -> None:
    drawn = []
    dial: Any = widgets.dial(lambda value, axes: drawn.append(value), **RANGE)
    assert (dial.value, dial.touched, drawn) == (1.0, False, [1.0])
    dial.children[0].value = 1.5  # what the front end does
    assert (dial.value, dial.touched, drawn) == (1.5, True, [1.0, 1.5])


@pytest.mark.usefixtures("still")
def test_the_dial_still() -> None:
    dial: Any = widgets.dial(draw, **RANGE)
    assert (dial.value, dial.touched) == (1.0, False)
    page = html(dial)
    assert page.select_one("img")["alt"] == "The picture at height = 1."
    assert "Run this page" in page.select_one(".gc-note").text
    assert page.select_one("script") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"start": 3}, "start=3"),
        ({"minimum": 2}, "minimum=2"),
        ({"step": 0}, "step=0"),
        ({"step": 5}, "step=5"),
    ],
)
def test_the_dial_refuses(changes: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        widgets.dial(draw, **(RANGE | changes))


# ------------------------------------------------------------------ importing


def test_stills_need_no_widget_libraries() -> None:
    """Neither library is imported where only still pictures are made, nor by the import."""
    code = (
        "import sys, os; os.environ['GAN_COURSE_STATIC'] = '1'\n"
        "from gan_course import widgets\n"
        "light = {'matplotlib', 'PIL'} & set(sys.modules)\n"
        "widgets.two_gaussians()._repr_mimebundle_()\n"
        "widgets.moving_mass()._repr_mimebundle_()\n"
        "widgets.phase_portrait(mode='alternating')._repr_mimebundle_()\n"
        "widgets.epsilon_net()._repr_mimebundle_()\n"
        "widgets.sample_calculator()._repr_mimebundle_()\n"
        "widgets.birthday_test()._repr_mimebundle_()\n"
        "widgets.two_clouds()._repr_mimebundle_()\n"
        "widgets.delta_features()._repr_mimebundle_()\n"
        "print(light or '', {'anywidget', 'ipywidgets'} & set(sys.modules) or '')"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True
    )
    assert done.stdout.strip() == ""


# ------------------------------------------------------------------ on the site

CONF = """
extensions = ["myst_nb", "coursebook_widgets"]
exclude_patterns = ["out", "kept", "jupyter_execute"]
nb_execution_mode = "force"
nb_execution_raise_on_error = True
numfig = True
"""
EXTENSION = """
from coursebook import widgets
def setup(app):
    widgets.setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
"""
HEAD = "---\nfile_format: mystnb\nkernelspec: {name: python3}\n---\n"
WIDGET_PAGE = """# Widgets

```{code-cell}
---
mystnb: {figure: {name: fig-film, caption: A film.}}
---
from gan_course import dynamics, widgets
def draw(i, axes):
    axes.bar([i], [1])
widgets.frames(draw, labels=["a", "b"], alt="Bar {label}")
```

```{code-cell}
widgets.dial(draw, label="place", start=0, minimum=0, maximum=1, step=0.1)
```

See {numref}`fig-film`.
"""


def build(project: Path) -> str:
    """Build in a process of its own, as `make book` does; gives what Sphinx said."""
    root = Path(__file__).parents[2]
    paths = [str(project), str(root), str(root / "book" / "_ext")]
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "--keep-going", ".", "out"],
        cwd=project,
        capture_output=True,
        text=True,
        env={**os.environ, "GAN_COURSE_STATIC": "1", "PYTHONPATH": os.pathsep.join(paths)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_widgets_in_a_book(tmp_path: Path) -> None:
    (tmp_path / "conf.py").write_text(CONF)
    (tmp_path / "coursebook_widgets.py").write_text(EXTENSION)
    (tmp_path / "index.md").write_text("# Home\n\n```{toctree}\ndeep/down/page\n```\n")
    page = tmp_path / "deep" / "down" / "page.md"
    page.parent.mkdir(parents=True)
    page.write_text(HEAD + WIDGET_PAGE)
    build(tmp_path)
    out = tmp_path / "out"
    written = out / "deep" / "down" / "page.html"
    _assert_page_is_whole(written)
    assert "widget-shim" not in (out / "index.html").read_text()
    assert "requirejs" not in written.read_text()  # nor any other part of a widget manager

    assert "0 added, 0 changed, 0 removed" in build(tmp_path)
    page.write_text(page.read_text() + "\nOne more sentence.\n")
    build(tmp_path)
    _assert_page_is_whole(written)

    # Written into a bare folder from the stored doctrees, nothing read anew: still whole.
    (tmp_path / "kept").mkdir()
    (out / ".doctrees").rename(tmp_path / "kept" / ".doctrees")
    shutil.rmtree(out)
    out.mkdir()
    (tmp_path / "kept" / ".doctrees").rename(out / ".doctrees")
    assert "0 added, 0 changed, 0 removed" in build(tmp_path)
    _assert_page_is_whole(written)


def _assert_page_is_whole(written: Path) -> None:
    document = BeautifulSoup(written.read_text(), "html.parser")
    assert "base64," not in str(document.select("article, .body")) + str(document.select("script"))
    script = document.select_one(".gc-widget > script")
    assert script is not None
    pictures = json.loads(script.text)["pictures"]
    stills = [str(image["src"]) for image in document.select(".gc-still img")]
    assert len(stills) == 2
    for address in [*pictures, *stills]:
        assert (written.parent / address).is_file()
        assert "_images/frames/" in address
    assert stills[0] == pictures[0] != pictures[1]
    sources = [str(tag["src"]).split("?")[0] for tag in document.select("script[src]")]
    assert "../../_static/widgets/frames.js" in sources
    assert "../../_static/widget-shim.js" in sources
    assert "../../_static/widgets/two_gaussians.js" not in sources
    caption = document.select_one("figure figcaption")
    assert caption is not None
    assert caption.text.strip().startswith("Fig. 1")
