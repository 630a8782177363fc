"""Distances and optimal transport against closed forms, linear programs and their own theorems."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import linear_sum_assignment, linprog
from scipy.sparse import coo_array
from scipy.spatial.distance import cdist
from scipy.special import gamma

from gan_course import transport

Array = NDArray[np.float64]

X = np.linspace(-15, 15, 6001)
means = st.floats(-4, 4)
stds = st.floats(0.3, 2)
numbers = st.integers(1, 12)
entropy = st.integers(0, 10**6)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def weights(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).dirichlet(np.ones(shape[-1]), shape[:-1])


# --- KL, JS, TV on a grid -------------------------------------------------------------------------


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
        ([0.5, 0.6], [0.5, 0.5], None, r"p sums to 1\.1; allowed are probabilities"),
        ([0.5, 0.5], [1.5, -0.5], None, "q holds a negative"),
        ([0.5, math.nan], [0.5, 0.5], None, "p holds a negative number or a NaN"),
        ([0.5, 0.5], [1.0], None, r"q has shape \(1,\); allowed is \(..., 2\), as p"),
        (1.0, 1.0, None, r"p has shape \(\)"),
    ],
)
def test_bad_laws(p: Any, q: Any, x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transport.js(p, q, x)


# --- KL, JS, TV on atoms, histograms --------------------------------------------------------------


@given(numbers, entropy)
@settings(max_examples=40, deadline=None)
def test_laws_on_atoms(n: int, seed: int) -> None:
    p, q = weights(seed, 2, 3, n)
    assert transport.kl(p, q) == pytest.approx(stats.entropy(p, q, axis=-1), abs=1e-12)
    mean = stats.entropy((p + q) / 2, axis=-1)
    split = (stats.entropy(p, axis=-1) + stats.entropy(q, axis=-1)) / 2
    assert transport.js(p, q) == pytest.approx(mean - split, abs=1e-12)
    assert transport.tv(p, q) == pytest.approx(np.maximum(p - q, 0).sum(-1), abs=1e-12)
    assert transport.tv(p, q[0])[0] == transport.tv(p, q)[0]


def test_atoms_without_mass_and_disjoint_laws() -> None:
    p, q = [0.5, 0.5, 0.0, 0.0], [0.0, 0.0, 0.25, 0.75]
    assert transport.js(p, q) == pytest.approx(math.log(2), abs=1e-15)
    assert transport.tv(p, q) == 1
    assert transport.kl(p, q) == math.inf
    assert transport.kl([1.0, 0.0], [0.5, 0.5]) == pytest.approx(math.log(2))  # 0 log 0 = 0


def test_atoms_take_tensors_and_a_diverged_seed() -> None:
    p = torch.softmax(torch.zeros(2, 1000, requires_grad=True), -1)  # sums to 1 in float32 only
    assert transport.kl(p, p[0]) == pytest.approx([0, 0], abs=1e-6)
    bad = torch.cat([p[:1], torch.full((1, 1000), math.nan)])
    for distance in (transport.kl, transport.js, transport.tv):
        assert np.isnan(distance(bad, p)).tolist() == [False, True]


@given(numbers, entropy)
@settings(max_examples=40, deadline=None)
def test_histogram_counts_as_numpy_does(cells: int, seed: int) -> None:
    points, edges = normal(seed, 2, 3, 50), np.linspace(-1, 1, cells + 1)
    inside = np.clip(points, -1, 1)
    ours = transport.histogram(points, edges)
    assert ours.shape == (2, 3, cells)
    for index in np.ndindex(2, 3):
        assert ours[index] == pytest.approx(np.histogram(inside[index], edges)[0] / 50, abs=1e-15)


def test_histogram_of_edges_and_outliers() -> None:
    shares = transport.histogram([[0.0, 1.0, 1.0, 9.0], [-9.0, 0.5, 1.5, math.nan]], [0, 1, 2])
    assert shares[0].tolist() == [0.25, 0.75]
    assert np.isnan(shares[1]).all()
    assert np.isnan(transport.histogram([[1.0, math.inf]], [0, 1, 2])).all()


def test_finer_cells_only_raise_js_up_to_log_2() -> None:
    """Data processing, and why samples of continuous laws need cells at all."""
    x, y = normal(0, 2, 40)
    values = []
    for level in range(14):
        edges = np.linspace(-4, 4, 2**level + 1)
        p, q = transport.histogram(x, edges), transport.histogram(y, edges)
        values.append(transport.js(p, q))
    assert values[0] == 0
    assert (np.diff(values) >= -1e-12).all()
    assert values[-1] > 0.95 * math.log(2)


@pytest.mark.parametrize(
    ("points", "edges", "message"),
    [
        (1.0, [0, 1], r"points has shape \(\)"),
        (np.zeros((2, 0)), [0, 1], r"points has shape \(2, 0\)"),
        ([1.0], [0], "edges is"),
        ([1.0], [0, 0], "increasing"),
    ],
)
def test_bad_histograms(points: Any, edges: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transport.histogram(points, edges)


# --- W1 on the line -------------------------------------------------------------------------------


@given(numbers, numbers, entropy)
@settings(max_examples=80, deadline=None)
def test_w1_1d_against_scipy(n: int, m: int, seed: int) -> None:
    x, y, a, b = normal(seed, n), normal(seed + 1, m), weights(seed, n), weights(seed + 1, m)
    scipy = stats.wasserstein_distance
    assert transport.w1_1d(x, y) == pytest.approx(scipy(x, y), abs=1e-12)
    assert transport.w1_1d(x, y, a, b) == pytest.approx(scipy(x, y, a, b), abs=1e-12)
    assert transport.w1_1d(x, y, y_weights=b) == pytest.approx(scipy(x, y, None, b), abs=1e-12)
    assert transport.w1_1d(x, y, x_weights=a) == pytest.approx(scipy(x, y, a), abs=1e-12)


def test_w1_1d_of_closed_forms() -> None:
    u = (np.arange(1000) + 0.5) / 1000  # quantiles
    z = stats.norm.ppf(u)
    assert transport.w1_1d([3.0], [-2.0]) == 5
    assert transport.w1_1d(z, z + 1.7) == pytest.approx(1.7)
    assert transport.w1_1d(z, 3 * z) == pytest.approx(2 * math.sqrt(2 / math.pi), rel=2e-3)
    assert transport.w1_1d(u, 4 * u + 1) == pytest.approx(2.5)  # U[0, 1] and U[1, 5]
    assert transport.w1_1d(u, [0.5]) == pytest.approx(0.25)
    for n in (2, 10, 1000):  # weakly convergent to the unit mass at 0, but not in W1
        assert transport.w1_1d([0, n], [0], [1 - 1 / n, 1 / n]) == pytest.approx(1)


def test_w1_1d_broadcasts_seeds() -> None:
    x, y, a = normal(0, 3, 5), normal(1, 7), weights(2, 3, 5)
    ours = transport.w1_1d(x, y, a)
    assert ours == pytest.approx([transport.w1_1d(x[i], y, a[i]) for i in range(3)])
    atoms = transport.w1_1d(x[0], y, a)
    assert atoms == pytest.approx([transport.w1_1d(x[0], y, a[i]) for i in range(3)])
    pairs = transport.w1_1d(x[:, None], x)
    assert pairs.shape == (3, 3)
    assert np.diag(pairs).tolist() == [0, 0, 0]
    assert pairs[0, 1] == transport.w1_1d(x[0], x[1])


def test_w1_1d_of_diverged_seeds() -> None:
    x, y = normal(0, 3, 5), normal(1, 3, 5)
    x[0, 2], y[2, 0] = math.nan, math.inf
    assert np.isnan(transport.w1_1d(x, y)).tolist() == [True, False, True]
    assert np.isnan(transport.w1_1d(x, y[:, :4])).tolist() == [True, False, True]
    a = weights(2, 3, 5)
    a[1] = math.nan
    assert np.isnan(transport.w1_1d(x, y, a)).tolist() == [True, True, True]
    assert transport.w1_1d(torch.zeros(2, requires_grad=True), torch.ones(3)) == pytest.approx(1)


@pytest.mark.parametrize(
    ("x", "y", "a", "message"),
    [
        (1.0, [1.0], None, r"x has shape \(\)"),
        ([1.0], np.zeros((2, 0)), None, r"y has shape \(2, 0\)"),
        (np.zeros((2, 4)), np.zeros((3, 4)), None, r"shapes \(2, 4\), \(3, 4\)"),
        ([1.0, 2.0], [1.0], [1.0], r"x_weights has shape \(1,\); allowed is \(..., 2\)"),
        ([1.0, 2.0], [1.0], [1.0, 1.0], "x_weights sums to 2"),
        ([1.0, 2.0], [1.0], [1.5, -0.5], "x_weights holds a negative number"),
        ([1.0, 2.0], [1.0], [math.inf, 0.5], "x_weights sums to inf"),
        (np.zeros((2, 4)), [1.0], np.full((3, 4), 0.25), "allowed are leading axes"),
    ],
)
def test_bad_points_on_the_line(x: Any, y: Any, a: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transport.w1_1d(x, y, a)


# --- exact W1 -------------------------------------------------------------------------------------


def test_w1_against_the_assignment_problem() -> None:
    x, y = normal(1, 3, 60, 2), 1 + 2 * normal(2, 3, 60, 2)
    ours = transport.w1(x, y)
    assert ours.shape == (3,)
    for value, a, b in zip(ours, x, y, strict=True):
        cost = cdist(a, b)
        assert value == pytest.approx(cost[linear_sum_assignment(cost)].mean(), rel=1e-10)
    assert transport.w1(x, y[0])[0] == ours[0]
    assert transport.w1(x, y[0])[1] != ours[1]


@given(numbers, numbers, entropy)
@settings(max_examples=40, deadline=None)
def test_w1_on_the_line(n: int, m: int, seed: int) -> None:
    x, y, a, b = normal(seed, 2, n), normal(seed + 1, m), weights(seed, 2, n), weights(seed + 1, m)
    clouds = x[..., None], y[:, None]
    assert transport.w1(*clouds) == pytest.approx(transport.w1_1d(x, y), abs=1e-12)
    assert transport.w1(*clouds, a, b) == pytest.approx(transport.w1_1d(x, y, a, b), abs=1e-12)


@given(st.integers(2, 12), st.floats(0.1, 5), entropy)
@settings(max_examples=30, deadline=None)
def test_w1_is_a_distance(n: int, factor: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    x, y, z = rng.normal(size=(3, 1, n, 3))
    a, b, c = weights(seed, 3, n)
    shift = rng.normal(size=3)
    xy, yz, xz = transport.w1(x, y, a, b), transport.w1(y, z, b, c), transport.w1(x, z, a, c)
    order = rng.permutation(n)
    assert transport.w1(y, x, b, a) == pytest.approx(xy)
    assert xz <= xy + yz + 1e-12
    assert transport.w1(x, x[:, order], a, a[order]) == pytest.approx([0], abs=1e-12)
    assert transport.w1(x, x + shift, a, a) == pytest.approx([np.linalg.norm(shift)])
    assert transport.w1(x + shift, y + shift, a, b) == pytest.approx(xy)
    assert transport.w1(factor * x, factor * y, a, b) == pytest.approx(factor * xy)


@given(st.integers(2, 12), entropy)
@settings(max_examples=30, deadline=None)
def test_w1_falls_under_contractions(n: int, seed: int) -> None:
    x, y = normal(seed, 1, n, 3), 2 * normal(seed + 1, 1, n + 2, 3)
    whole = transport.w1(x, y)
    for contraction in (np.tanh, np.abs, lambda z: z[..., :2], lambda z: z.clip(-1, 1)):
        assert transport.w1(contraction(x), contraction(y)) <= whole + 1e-12
    means = np.linalg.norm(x.mean(1) - y.mean(1), axis=-1)
    assert means <= whole + 1e-12


def test_weights_are_repeated_points() -> None:
    x, y = normal(0, 2, 4, 2), normal(1, 5, 2)
    times = np.array([3, 1, 0, 2])
    repeated = np.repeat(x, times, axis=1)
    assert transport.w1(x, y, times / 6) == pytest.approx(transport.w1(repeated, y), abs=1e-12)
    each = np.stack([times, times[::-1]]) / 6
    assert transport.w1(x, y, each)[0] == transport.w1(x, y, times / 6)[0]
    assert transport.w1(x, y, each)[1] == transport.w1(x, y, times[::-1] / 6)[1]


def test_weights_are_normalized_to_full_precision() -> None:
    x, y, a = normal(0, 1, 2, 2), normal(1, 3, 2), np.array([0.25, 0.75])
    assert transport.w1(x, y, a * (1 + 8e-6)) == pytest.approx(transport.w1(x, y, a), rel=1e-14)
    once, off = (transport.w1_1d(x[0, :, 0], y[:, 0], w) for w in (a, a * (1 + 8e-6)))
    assert once == pytest.approx(off, rel=1e-14)


def test_w1_takes_tensors_and_masks_a_diverged_seed() -> None:
    x = torch.zeros(2, 4, 2, requires_grad=True)
    y = torch.ones(4, 2)
    assert transport.w1(x, y) == pytest.approx([math.sqrt(2)] * 2)
    bad = x.detach().clone()
    bad[0, 2, 1] = math.inf
    assert np.isnan(transport.w1(bad, y)).tolist() == [True, False]
    a = torch.full((2, 4), 0.25)
    a[1] = math.nan
    assert np.isnan(transport.w1(x, y, a)).tolist() == [False, True]


BAD_CLOUDS = [
    (np.zeros((4, 2)), np.zeros((4, 2)), None, r"x has shape \(4, 2\); allowed is"),
    (np.zeros((1, 0, 2)), np.zeros((4, 2)), None, "x has shape"),
    (np.zeros((2, 4, 2)), np.zeros((4, 3)), None, r"y has shape \(4, 3\); allowed are \(m, 2\)"),
    (np.zeros((2, 4, 2)), np.zeros((3, 4, 2)), None, r"\(2, m, 2\)"),
    (np.zeros((2, 4, 2)), np.zeros((0, 2)), None, "y has shape"),
    (np.zeros((2, 4, 2)), np.zeros(2), None, "y has shape"),
    (np.zeros((2, 4, 2)), np.full((4, 2), math.nan), None, "y holds a NaN"),
    (np.zeros((2, 4, 2)), np.zeros((4, 2)), np.full(3, 1 / 3), r"y_weights has shape \(3,\)"),
    (np.zeros((2, 4, 2)), np.zeros((4, 2)), np.full((3, 4), 0.25), r"are \(4,\) and \(2, 4\)"),
    (np.zeros((2, 4, 2)), np.zeros((4, 2)), np.full(4, 0.5), "y_weights sums to 2"),
]


@pytest.mark.parametrize(("x", "y", "b", "message"), BAD_CLOUDS)
@pytest.mark.parametrize("function", [transport.w1, transport.plan, transport.potentials])
def test_bad_clouds(
    function: Callable[..., Any], x: Array, y: Array, b: Array | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        function(x, y, y_weights=b)


@pytest.mark.filterwarnings("ignore:numItermax reached")
@pytest.mark.parametrize("function", [transport.w1, transport.plan, transport.potentials])
def test_a_simplex_that_stops_early_is_an_error(
    function: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gan_course.transport.plans._PIVOTS", 3)
    with pytest.raises(RuntimeError, match="no optimal transport of 50 to 50 points"):
        function(*normal(0, 2, 1, 50, 2))


# --- sliced W1 ------------------------------------------------------------------------------------


def test_sliced_w1_on_the_line_is_w1() -> None:
    x, y, a = normal(0, 3, 6, 1), normal(1, 8, 1), weights(2, 3, 6)
    ours = transport.sliced_w1(x, y, a, directions=5, seed=0)
    assert ours == pytest.approx(transport.w1_1d(x[..., 0], y[:, 0], a), abs=1e-12)


@pytest.mark.parametrize("d", [2, 3, 10])
def test_sliced_w1_of_a_shift(d: int) -> None:
    shift = np.zeros(d)
    shift[0] = 2.0
    x = normal(0, 2, 4, d)
    ours = transport.sliced_w1(x, x + shift, directions=40_000, seed=1)
    closed = 2 * gamma(d / 2) / (math.sqrt(math.pi) * gamma((d + 1) / 2))
    assert ours == pytest.approx([closed] * 2, rel=0.02)  # 5 standard errors
    assert ours[0] == pytest.approx(ours[1])  # the seeds share their lines


def test_sliced_w1_against_pot() -> None:
    import ot

    x, y, a, b = normal(0, 20, 3), normal(1, 30, 3), weights(2, 20), weights(3, 30)
    theirs = ot.sliced_wasserstein_distance(x, y, a, b, n_projections=40_000, p=1, seed=0)
    ours = transport.sliced_w1(x[None], y, a, b, directions=40_000, seed=0)
    assert ours == pytest.approx([theirs], rel=0.02)
    assert (ours < transport.w1(x[None], y, a, b)).all()


def test_sliced_w1_and_its_seeds() -> None:
    x, y = normal(0, 3, 20, 2), normal(1, 20, 2)
    x[1, 0, 0] = math.nan
    first = transport.sliced_w1(x, torch.from_numpy(y), directions=3, seed=5)
    assert np.isnan(first).tolist() == [False, True, False]
    assert transport.sliced_w1(x, y, directions=3, seed=5)[0] == first[0]
    assert transport.sliced_w1(x, y, directions=3, seed=6)[0] != first[0]
    for directions, seed, message in ((0, 0, "directions is 0"), (1, -1, "seed is -1")):
        with pytest.raises(ValueError, match=message):
            transport.sliced_w1(x, y, directions=directions, seed=seed)


# --- plans and potentials -------------------------------------------------------------------------


def marginals(n: int, m: int) -> coo_array:
    """Row sums, then column sums, of an ``n x m`` matrix."""
    cell = np.arange(n * m)
    sums = np.concatenate([cell // m, n + cell % m])
    return coo_array((np.ones(2 * n * m), (sums, np.tile(cell, 2))), shape=(n + m, n * m)).tocsr()


@pytest.mark.parametrize(("n", "m", "d"), [(60, 60, 2), (60, 41, 3), (25, 60, 1), (1, 7, 2)])
def test_primal_and_dual_linear_programs(n: int, m: int, d: int) -> None:
    """HiGHS on both programs; the dual over functions on all points, every pair a constraint."""
    x, y, a, b = normal(0, n, d), 1 + normal(1, m, d), weights(2, n), weights(3, m)
    law = np.concatenate([a, b])
    primal = linprog(cdist(x, y).ravel(), A_eq=marginals(n, m), b_eq=law, method="highs")
    points, signed = np.concatenate([x, y]), np.concatenate([a, -b])
    i, j = np.nonzero(~np.eye(n + m, dtype=bool))
    pair = np.arange(len(i))
    entries = (np.repeat([1.0, -1.0], len(i)), (np.tile(pair, 2), np.concatenate([i, j])))
    rises = coo_array(entries, shape=(len(i), n + m)).tocsr()
    slopes = cdist(points, points)[i, j]
    bounds = [(0, 0)] + [(None, None)] * (n + m - 1)
    dual = linprog(-signed, A_ub=rises, b_ub=slopes, bounds=bounds, method="highs")
    value = transport.w1(x[None], y, a, b)
    assert value == pytest.approx([primal.fun], rel=1e-9)
    assert value == pytest.approx([-dual.fun], rel=1e-9)
    f = np.concatenate(transport.potentials(x[None], y, a, b), axis=1)[0]
    assert signed @ f == pytest.approx(-dual.fun, rel=1e-9)
    assert (rises @ f <= slopes + 1e-12).all()


def assert_optimal(
    x: Array, y: Array, a: Array | None = None, b: Array | None = None
) -> transport.Plan:
    """Everything that a plan and potentials owe each other, to 1e-9 of the clouds' size."""
    best, (f_x, f_y) = transport.plan(x, y, a, b), transport.potentials(x, y, a, b)
    y = np.broadcast_to(y, (len(x), *y.shape[-2:]))
    n, m = x.shape[1], y.shape[1]
    a, b = (1 / n if a is None else a), (1 / m if b is None else b)
    size = 1e-9 * max(1.0, np.abs(x).max(), np.abs(y).max())
    value = best.cost
    lengths = np.linalg.norm(best.starts - best.ends, axis=-1)
    assert best.mass.shape[1] <= n + m - 1
    assert (best.mass >= 0).all()
    assert best.coupling.sum(2) == pytest.approx(np.broadcast_to(a, (len(x), n)), abs=1e-12)
    assert best.coupling.sum(1) == pytest.approx(np.broadcast_to(b, (len(x), m)), abs=1e-12)
    assert (b * f_y * np.ones(m)).sum(-1) == pytest.approx(0 * value, abs=size)
    assert (a * f_x * np.ones(n)).sum(-1) == pytest.approx(value, abs=size)  # primal = dual
    rows = np.arange(len(x))[:, None]
    assert (best.starts == x[rows, best.rows]).all()
    assert (best.ends == y[rows, best.columns]).all()
    falls = f_x[rows, best.rows] - f_y[rows, best.columns]
    assert falls == pytest.approx(lengths, abs=size)  # complementary slackness
    for points, f in zip(np.concatenate([x, y], 1), np.concatenate([f_x, f_y], 1), strict=True):
        assert (np.abs(f[:, None] - f) <= cdist(points, points) + size).all()
    return best


@pytest.mark.parametrize("d", [1, 2, 10])
def test_primal_is_dual_for_a_thousand_points(d: int) -> None:
    x, y = normal(0, 1, 1000, d), 1 + normal(1, 1000, d)
    best = assert_optimal(x, y)
    assert best.cost == pytest.approx(transport.w1(x, y), rel=1e-9)
    assert best.mass == pytest.approx(np.full((1, 1000), 1e-3))  # a vertex: a permutation


@given(numbers, numbers, st.integers(1, 3), entropy)
@settings(max_examples=60, deadline=None)
def test_plans_and_potentials_of_weighted_clouds(n: int, m: int, d: int, seed: int) -> None:
    x, y, a, b = (
        normal(seed, 3, n, d), normal(seed + 1, m, d), weights(seed, 3, n), weights(seed + 1, m)
    )  # fmt: skip
    a[0, 1:] = 0  # a seed with one loaded point
    a[0, 0] = 1
    best = assert_optimal(x, y, a, b)
    assert best.cost == pytest.approx(transport.w1(x, y, a, b), abs=1e-12)


@given(numbers, numbers, st.integers(1, 2), entropy)
@settings(max_examples=60, deadline=None)
def test_plans_and_potentials_of_repeated_points(n: int, m: int, d: int, seed: int) -> None:
    x, y = np.round(normal(seed, 2, n, d)), np.round(normal(seed + 1, m, d))
    assert_optimal(x, y)
    assert_optimal(x, x[0])
    assert_optimal(1e4 * x, 1e4 * y + 1e5)
    assert_optimal(0 * x, 0 * y)


def test_potentials_at_points_without_mass() -> None:
    x, y, b = (
        normal(0, 2, 6, 2),
        3 * normal(1, 2, 8, 2),
        np.array([0, 0, 0, 0.2, 0.2, 0.2, 0.2, 0.2]),
    )
    f_x, f_y = transport.potentials(x, y, y_weights=b)
    assert transport.c_transform(-f_y[:, 3:], y[:, 3:], y) == pytest.approx(f_y)
    assert transport.c_transform(-f_y[:, 3:], y[:, 3:], x) == pytest.approx(f_x)


def test_plan_on_the_line_is_monotone() -> None:
    x, y, a, b = normal(0, 2, 30, 1), normal(1, 2, 47, 1), weights(2, 2, 30), weights(3, 47)
    for best in (transport.plan(x, y, a, b), transport.plan(x, y), transport.plan(x, y[:, :30])):
        for seed in range(2):
            order = np.lexsort((best.ends[seed, :, 0], best.starts[seed, :, 0]))
            assert (np.diff(best.ends[seed, order, 0]) >= 0).all()
    assert transport.plan([[[2.0], [0.0], [1.0]]], [[5.0], [3.0], [4.0]]).columns[0].tolist() == [
        1,
        2,
        0,
    ]


def test_rounding_leaves_no_pairs_over() -> None:
    thirds = np.arange(3.0)[None, :, None]
    best = transport.plan(thirds, thirds[0], [0.1, 0.2, 0.7], [0.1 + 0.2 - 0.2, 0.2, 0.7])
    assert best.mass.shape == (1, 3)
    assert best.cost == 0


def test_a_plan_of_seeds_with_different_numbers_of_pairs() -> None:
    x, y = normal(0, 2, 5, 2), normal(1, 6, 2)
    a = np.stack([np.full(5, 0.2), [0, 0, 1.0, 0, 0]])
    best = assert_optimal(x, y, a)
    assert best.mass.shape == (2, 10)
    assert (best.mass[1, 6:] == 0).all()
    assert (best.rows[1] == 2).all()


def test_plans_and_potentials_of_a_diverged_seed() -> None:
    x, y = normal(0, 3, 5, 2), normal(1, 4, 2)
    healthy = transport.plan(x[2:], y), transport.potentials(x[2:], y)
    x[1, 0, 0] = math.nan
    best, (f_x, f_y) = transport.plan(torch.from_numpy(x), y), transport.potentials(x, y)
    assert np.isnan(best.cost).tolist() == [False, True, False]
    assert np.isnan(best.coupling).all((1, 2)).tolist() == [False, True, False]
    assert np.isnan(f_x).any(1).tolist() == np.isnan(f_y).all(1).tolist() == [False, True, False]
    assert best.cost[2] == pytest.approx(healthy[0].cost[0])
    assert f_x[2] == pytest.approx(healthy[1][0][0])
    assert np.isnan(transport.plan(x[1:2], y).cost).all()


def test_potentials_on_the_line_have_slope_one_where_the_distribution_functions_differ() -> None:
    x, y = np.sort(normal(0, 1, 40, 1), axis=1), normal(1, 50, 1)
    f = lipschitz(x, y, "largest")
    ends = np.sort(np.concatenate([x[0, :, 0], y[:, 0]]))
    middle = (ends[1:] + ends[:-1]) / 2
    gap = (x[0] <= middle).mean(0) - (y <= middle).mean(0)
    slopes = f.gradient(middle[:, None])[0, :, 0]
    differ = np.abs(gap) > 1e-9
    assert slopes[differ] == pytest.approx(-np.sign(gap[differ]))


# --- c-transforms and extensions ------------------------------------------------------------------


def lipschitz(x: Array, y: Array, kind: transport.lipschitz.Kind) -> transport.Extension:
    """The potentials of two clouds, continued."""
    f = np.concatenate(transport.potentials(x, y), axis=1)
    y = np.broadcast_to(y, (len(x), *y.shape[-2:]))
    return transport.lipschitz_extension(np.concatenate([x, y], axis=1), f, kind)


@given(numbers, st.integers(1, 3), entropy)
@settings(max_examples=40, deadline=None)
def test_c_transform(m: int, d: int, seed: int) -> None:
    points, at, values = normal(seed, m, d), normal(seed + 1, 4, 5, d), 3 * normal(seed + 2, m)
    ours = transport.c_transform(values, points, at)
    gaps = np.linalg.norm(at[..., None, :] - points, axis=-1)
    assert ours == pytest.approx((gaps - values).min(-1))
    once = transport.c_transform(values, points, points)
    assert (np.abs(once[:, None] - once) <= cdist(points, points) + 1e-12).all()
    assert (once <= -values + 1e-12).all()
    assert transport.c_transform(once, points, points) == pytest.approx(-once)  # 1-Lipschitz now


def test_potentials_are_conjugate() -> None:
    x, y = normal(0, 2, 30, 2), normal(1, 2, 20, 2)
    f_x, f_y = transport.potentials(x, y)
    assert transport.c_transform(-f_y, y, x) == pytest.approx(f_x)
    assert transport.c_transform(f_x, x, y) == pytest.approx(-f_y)
    both = transport.c_transform(-f_y, y, x[0])
    assert both.shape == (2, 30)
    assert both[1] == pytest.approx(transport.c_transform(-f_y[1], y[1], x[0]))


@given(numbers, st.integers(1, 3), entropy)
@settings(max_examples=40, deadline=None)
def test_extensions_continue_and_enclose(m: int, d: int, seed: int) -> None:
    points, at = normal(seed, m, d), 2 * normal(seed + 1, 30, d)

    def f(z: Array) -> Array:
        return np.sin(z[..., 0]) * 0.8 + np.abs(z[..., -1]) * 0.2

    low, middle, high = (
        transport.lipschitz_extension(points, f(points), kind)
        for kind in ("smallest", "middle", "largest")
    )
    for extension in (low, middle, high):
        assert extension(points) == pytest.approx(f(points), abs=1e-12)
        values = extension(at)
        assert (np.abs(values[:, None] - values) <= cdist(at, at) + 1e-12).all()
    assert (low(at) <= f(at) + 1e-12).all()
    assert (f(at) <= high(at) + 1e-12).all()
    assert middle(at) == pytest.approx((low(at) + high(at)) / 2)
    assert (high(at) - low(at) <= 2 * cdist(at, points).min(1) + 1e-12).all()
    far = 1e6 * np.eye(d)[:1]
    assert high(far) - low(far) > 1e6


@pytest.mark.parametrize("kind", ["largest", "smallest", "middle"])
def test_gradients_are_finite_differences(kind: transport.lipschitz.Kind) -> None:
    f, at, h = lipschitz(normal(0, 2, 20, 3), normal(1, 20, 3), kind), normal(2, 2, 50, 3), 1e-6
    steps = h * np.eye(3)
    differences = np.stack([(f(at + s) - f(at - s)) / (2 * h) for s in steps], axis=-1)
    gradient = f.gradient(at)
    assert gradient.shape == (2, 50, 3)
    assert np.mean(np.abs(gradient - differences).max(-1) < 1e-4) > 0.98  # but for kinks
    norms = np.linalg.norm(gradient, axis=-1)
    if kind == "middle":
        assert (norms <= 1 + 1e-12).all()
        assert norms.min() < 0.9
    else:
        assert norms == pytest.approx(np.ones((2, 50)))


@pytest.mark.parametrize("kind", ["largest", "smallest", "middle"])
def test_gradient_norm_is_one_along_the_transport_rays(kind: transport.lipschitz.Kind) -> None:
    x, y = normal(0, 2, 100, 2), normal(1, 120, 2) + np.array([1, 0])
    best, f = transport.plan(x, y), lipschitz(x, y, kind)
    rays = best.starts - best.ends
    lengths = np.linalg.norm(rays, axis=-1, keepdims=True)
    for t in (0.1, 0.5, 0.9):
        gradient = f.gradient((1 - t) * best.starts + t * best.ends)
        assert np.abs(gradient - rays / lengths).max() < 1e-5
    assert np.isnan(f.gradient(best.starts)).all()


def test_the_gradient_of_the_distance_is_that_of_the_plan() -> None:
    """Envelope theorem: finite differences of the distance, every coordinate of every point."""
    x, y, a, b = normal(0, 2, 9, 2), normal(1, 7, 2), weights(2, 2, 9), weights(3, 7)
    gradient, h = transport.plan(x, y, a, b).gradient, 1e-6
    assert gradient.shape == x.shape
    for i, part in np.ndindex(9, 2):
        step = np.zeros((9, 2))
        step[i, part] = h
        rise = transport.w1(x + step, y, a, b) - transport.w1(x - step, y, a, b)
        assert rise / (2 * h) == pytest.approx(gradient[:, i, part], abs=1e-8)


def test_the_gradient_of_a_plan_at_rest_and_of_a_diverged_seed() -> None:
    x = normal(0, 2, 4, 3)
    x[1, 0, 0] = math.nan
    gradient = transport.plan(x, x[0]).gradient
    assert (gradient[0] == 0).all()
    assert np.isnan(gradient[1]).all()
    line = transport.plan([[[0.0], [1.0]]], [[5.0], [-2.0]])
    assert line.gradient.tolist() == [[[0.5], [-0.5]]]


def test_extensions_of_an_ensemble_are_those_of_its_seeds() -> None:
    points, at = normal(0, 3, 6, 2), normal(1, 3, 8, 2)
    values = points[..., 0] / 2
    f = transport.lipschitz_extension(torch.from_numpy(points), values)
    shared = transport.lipschitz_extension(points[0], np.stack([values[0], -values[0]]))
    for seed in range(3):
        alone = transport.lipschitz_extension(points[seed], values[seed])
        assert f(at)[seed].tolist() == alone(at[seed]).tolist()
        assert f(at[0])[seed].tolist() == alone(at[0]).tolist()
        assert f.gradient(at)[seed].tolist() == alone.gradient(at[seed]).tolist()
    assert shared(at[0])[0].tolist() == f(at)[0].tolist()
    alone = transport.lipschitz_extension(points[0], values[0])
    assert alone(at[0, 0]).shape == ()
    assert alone.gradient(at).shape == (3, 8, 2)
    assert alone(at)[1].tolist() == alone(at[1]).tolist()


def test_extensions_of_a_diverged_seed() -> None:
    points = normal(0, 3, 6, 2)
    values = points[..., 0] / 2
    points[0, 0, 0], values[1, 3] = math.inf, math.nan
    f = transport.lipschitz_extension(points, values)
    assert np.isnan(f(points[2])).all(1).tolist() == [True, True, False]
    assert np.isfinite(f(points[2])[2]).all()
    assert np.isnan(f.gradient(points[2] + 1)[:2]).all()
    with pytest.raises(ValueError, match="values rise by"):
        transport.lipschitz_extension(points, 3 * values)  # the third seed


def test_many_places_are_served_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    points, at = normal(0, 30, 2), normal(1, 101, 2)
    f = transport.lipschitz_extension(points, points[:, 0])
    whole, slopes, sizes = f(at), f.gradient(at), []

    def counted(a: Array, b: Array) -> Array:
        sizes.append(len(a) * len(b))
        return cdist(a, b)

    monkeypatch.setattr("gan_course.transport.lipschitz.cdist", counted)
    monkeypatch.setattr("gan_course.transport.lipschitz._BLOCK", 100)
    assert f(at).tolist() == whole.tolist()
    assert f.gradient(at).tolist() == slopes.tolist()
    assert max(sizes) <= 100
    monkeypatch.setattr("gan_course.transport.lipschitz._BLOCK", 7)  # less than one place
    assert f(at).tolist() == whole.tolist()


@pytest.mark.parametrize(
    ("points", "values", "message"),
    [
        ([[0.0], [1.0]], [0.0, 1.1], "values rise by 0.1 more than the distance"),
        ([[0.0], [0.0]], [0.0, 1e-3], "values rise by 0.001 more"),
        ([[0.0], [1.0]], [0.0], r"points has shape \(2, 1\); allowed is \(1,\) and \(d,\)"),
        ([0.0, 1.0], [0.0, 1.0], r"points has shape \(2,\)"),
        ([[0.0]], 0.0, r"values has shape \(\)"),
        (np.zeros((0, 2)), [], r"values has shape \(0,\)"),
        (np.zeros((2, 3, 1)), np.zeros((3, 3)), r"points has shape \(2, 3, 1\)"),
    ],
)
def test_bad_functions(points: Any, values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        transport.lipschitz_extension(points, values)


def test_bad_kinds_and_places() -> None:
    with pytest.raises(ValueError, match="kind is 'mean'; allowed are largest, smallest, middle"):
        transport.lipschitz_extension([[0.0]], [0.0], "mean")  # type: ignore[arg-type]
    one = transport.lipschitz_extension(np.zeros((3, 2)), np.zeros(3))
    two = transport.lipschitz_extension(np.zeros((2, 3, 2)), np.zeros((2, 3)))
    for f, at, message in (
        (one, np.zeros(3), r"at has shape \(3,\); allowed: \(..., 2\)"),
        (one, 0.0, r"at has shape \(\)"),
        (two, np.zeros((3, 4, 2)), r"at has shape \(3, 4, 2\); allowed: \(2, k, 2\) and \(k, 2\)"),
        (two, np.zeros(2), r"at has shape \(2,\)"),
        (two, np.zeros((2, 4, 4, 2)), "at has shape"),
    ):
        with pytest.raises(ValueError, match=message):
            f(at)
