"""Distances on grids against closed forms, and seeds, scale and device."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import gan_course
from gan_course import plots, runtime, transport

X = np.linspace(-15, 15, 6001)
means = st.floats(-4, 4)
stds = st.floats(0.3, 2)


@given(means, stds, means, stds)
@settings(max_examples=60, deadline=None)
def test_kl_of_normals(a: float, s: float, b: float, t: float) -> None:
    p, q = stats.norm(a, s).pdf(X), stats.norm(b, t).pdf(X)
    closed = math.log(t / s) + (s**2 + (a - b) ** 2) / (2 * t**2) - 0.5
    if (q > 1e-300).all():  # where the density underflows, no grid can know it
        assert transport.kl(p, q, X) == pytest.approx(closed, rel=1e-6, abs=1e-9)


@given(means, stds, means, stds)
@settings(max_examples=60, deadline=None)
def test_distances_are_symmetric_and_bounded(a: float, s: float, b: float, t: float) -> None:
    p, q = stats.norm(a, s).pdf(X), stats.norm(b, t).pdf(X)
    js, tv = transport.js(p, q, X), transport.tv(p, q, X)
    assert js == pytest.approx(transport.js(q, p, X), abs=1e-12)
    assert -1e-12 <= js <= math.log(2) + 1e-9
    assert tv**2 / 2 <= js + 1e-9
    assert js <= math.log(2) * tv + 1e-9
    assert 0 <= tv <= 1 + 1e-9


def test_tv_of_shifted_normals() -> None:
    p, q = stats.norm(0, 1).pdf(X), stats.norm(2, 1).pdf(X)
    assert transport.tv(p, q, X) == pytest.approx(2 * stats.norm.cdf(1) - 1, abs=1e-5)  # a kink


def test_disjoint_and_equal() -> None:
    p, q = stats.uniform(-3, 1).pdf(X), stats.uniform(2, 1).pdf(X)
    assert transport.js(p, q, X) == pytest.approx(math.log(2), rel=6e-3)  # trapezoids at the edges
    assert transport.kl(p, q, X) == math.inf
    assert transport.js(p, p, X) == 0


def test_leading_axes() -> None:
    p = stats.norm([[0.0], [1.0]], 1).pdf(X)
    assert transport.js(p, stats.norm(0, 1).pdf(X), X).shape == (2,)


@pytest.mark.parametrize(
    ("p", "q", "x", "message"),
    [
        ([1.0], [1.0], [0.0], r"x is \[0.\]"),
        ([1.0, 1.0], [1.0, 1.0], [1.0, 0.0], "increasing"),
        ([1.0, 1.0, 1.0], [1.0, 1.0], [0.0, 1.0], r"p has shape \(3,\)"),
        ([1.0, 1.0], [1.0, -1.0], [0.0, 1.0], "q holds a negative"),
        ([math.nan, 1.0], [1.0, 1.0], [0.0, 1.0], "p holds a negative number or a NaN"),
    ],
)
def test_bad_grids(p: list[float], q: list[float], x: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transport.js(p, q, x)


def test_w1_on_the_line() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 5, 300))
    ours = transport.w1_1d(x, y)
    assert ours == pytest.approx(
        [stats.wasserstein_distance(a, b) for a, b in zip(x, y, strict=True)]
    )
    assert transport.w1_1d(x, x + 3) == pytest.approx(np.full(5, 3.0))
    with pytest.raises(ValueError, match="as many points"):
        transport.w1_1d(x, y[:, :10])


# --- exact W1 -------------------------------------------------------------------------------------


def test_w1_against_the_assignment_problem() -> None:
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(3, 60, 2)), rng.normal(1, 2, size=(3, 60, 2))
    ours = transport.w1(x, y)
    assert ours.shape == (3,)
    for value, a, b in zip(ours, x, y, strict=True):
        cost = cdist(a, b)
        assert value == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-10)
    assert transport.w1(x, y[0])[0] == ours[0]
    assert transport.w1(x, y[0])[1] != ours[1]


@given(st.integers(1, 12), st.integers(1, 12), st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_w1_on_the_line_for_any_numbers_of_points(n: int, m: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(1, n, 1)), rng.normal(size=(m, 1))
    closed = stats.wasserstein_distance(x[0, :, 0], y[:, 0])
    assert transport.w1(x, y) == pytest.approx([closed], abs=1e-12)
    if n == m:
        assert transport.w1(x, y) == pytest.approx(transport.w1_1d(x[..., 0], y[:, 0]), abs=1e-12)


@given(st.integers(2, 12), st.floats(0.1, 5), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_w1_is_a_distance(n: int, factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, z = rng.normal(size=(3, 1, n, 3))
    shift = rng.normal(size=3)
    xy, yz, xz = transport.w1(x, y), transport.w1(y, z), transport.w1(x, z)
    assert transport.w1(y, x) == pytest.approx(xy)
    assert xz <= xy + yz + 1e-12
    assert transport.w1(x, x[:, rng.permutation(n)]) == pytest.approx([0], abs=1e-12)
    assert transport.w1(x, x + shift) == pytest.approx([np.linalg.norm(shift)])
    assert transport.w1(factor * x, factor * y) == pytest.approx(factor * xy)


def test_w1_takes_tensors_and_masks_a_diverged_seed() -> None:
    import torch

    x = torch.zeros(2, 4, 2, requires_grad=True)
    y = torch.ones(4, 2)
    assert transport.w1(x, y) == pytest.approx([math.sqrt(2)] * 2)
    bad = x.detach().clone()
    bad[0, 2, 1] = math.inf
    assert np.isnan(transport.w1(bad, y)).tolist() == [True, False]


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (np.zeros((4, 2)), np.zeros((4, 2)), r"x has shape \(4, 2\); allowed is"),
        (np.zeros((1, 0, 2)), np.zeros((4, 2)), "x has shape"),
        (np.zeros((2, 4, 2)), np.zeros((4, 3)), r"y has shape \(4, 3\); allowed are \(m, 2\)"),
        (np.zeros((2, 4, 2)), np.zeros((3, 4, 2)), r"\(2, m, 2\)"),
        (np.zeros((2, 4, 2)), np.zeros((0, 2)), "y has shape"),
        (np.zeros((2, 4, 2)), np.zeros(2), "y has shape"),
        (np.zeros((2, 4, 2)), np.full((4, 2), math.nan), "y holds a NaN"),
    ],
)
def test_bad_clouds(x: np.ndarray, y: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transport.w1(x, y)


@pytest.mark.filterwarnings("ignore:numItermax reached")
def test_w1_is_an_error_where_the_simplex_stops_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "_PIVOTS", 3)
    x, y = np.random.default_rng(0).normal(size=(2, 1, 50, 2))
    with pytest.raises(RuntimeError, match="no optimal transport of 50 to 50 points"):
        transport.w1(x, y)


# --- runtime --------------------------------------------------------------------------------------


def test_seeds_are_disjoint_between_bases_and_from_pilots(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    for base in ("0", "1", "7"):
        monkeypatch.setenv("GAN_COURSE_SEED", base)
        for chosen in (gan_course.seeds(1000), gan_course.pilot_seeds(1000)):
            assert len(set(chosen)) == 1000
            assert not seen & set(chosen)
            seen |= set(chosen)
    assert gan_course.seeds(3) == gan_course.seeds(5)[:3]


@pytest.mark.parametrize("n", [0, 50_001])
def test_bad_number_of_seeds(n: int) -> None:
    with pytest.raises(ValueError, match=f"n is {n}"):
        gan_course.seeds(n)


def test_bad_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_COURSE_SEED", "-1")
    with pytest.raises(ValueError, match="GAN_COURSE_SEED is '-1'"):
        gan_course.base_seed()
    monkeypatch.setenv("GAN_COURSE_SCALE", "tiny")
    with pytest.raises(ValueError, match="full, smoke"):
        runtime.is_smoke()


def test_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("GAN_COURSE_SCALE", "smoke")
    assert gan_course.scale(cpu=3, gpu=2, smoke=1) == 1
    assert gan_course.scale(cpu=3) == 3
    monkeypatch.setenv("GAN_COURSE_SCALE", "full")
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cpu"))
    assert gan_course.scale(cpu=3, gpu=2, smoke=1) == 3
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cuda"))
    assert gan_course.scale(cpu=3, gpu=2, smoke=1) == 2


def test_importing_is_light_and_silent() -> None:
    import subprocess
    import sys

    code = "import sys, gan_course; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    assert done.stderr == ""


# --- plots ----------------------------------------------------------------------------------------


def test_band_draws_mean_and_t_interval() -> None:
    import matplotlib

    matplotlib.use("Agg")
    fig, ax = plots.figure()
    plots.band(ax, [0, 1], [[1.0, 2.0], [3.0, 4.0]], color=plots.DATA, label="x")
    assert ax.lines[0].get_ydata() == pytest.approx([2.0, 3.0])
    low = ax.collections[0].get_paths()[0].vertices[:, 1].min()
    assert low == pytest.approx(2 - stats.t.ppf(0.975, 1))
    with pytest.raises(ValueError, match=r"values has shape \(1, 2\)"):
        plots.band(ax, [0, 1], [[1.0, 2.0]], color="k", label="x")
    matplotlib.pyplot.close(fig)


def test_the_style_does_not_leak() -> None:
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    fig, _ = plots.figure(2)
    assert dict(mpl.rcParams) == before
    mpl.pyplot.close(fig)


@pytest.mark.skipif(not Path("/lib/x86_64-linux-gnu/libc.so.6").exists(), reason="needs glibc")
def test_reused_memory_is_not_cleared_again() -> None:
    """Page faults of 300 rounds of 8 MB, in a process of its own with the settings and without."""
    code = (
        "import resource, sys, torch\n"
        "from gan_course.runtime import reuse_memory\n"
        "assert sys.argv[1] == 'no' or reuse_memory()\n"
        "x = torch.ones(2**21)\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def round():\n    a = x + 1; b = a * 2; c = a + b\n"
        "for _ in range(20): round()\n"
        "before = faults()\n"
        "for _ in range(300): round()\n"
        "print(faults() - before)"
    )
    command = [sys.executable, "-c", code]
    without, with_it = (
        int(subprocess.run([*command, word], capture_output=True, text=True, check=True).stdout)
        for word in ("no", "yes")
    )
    assert with_it < 100
    assert without > 100 * (with_it + 1)
