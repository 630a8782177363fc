"""Checks of the page "Distinguishing power"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]
Arrays = list[Array]
Function = Callable[[Array], Array]

SLOPE = 0.3


def _bend(t: Array) -> Array:
    return (1 + SLOPE) / 2 * t + (1 - SLOPE) / 2 * np.sqrt(t**2 + 1)


def _unbend(y: Array) -> Array:
    return ((1 + SLOPE) / 2 * y - (1 - SLOPE) / 2 * np.sqrt(y**2 + SLOPE)) / SLOPE


def _log_slope(y: Array) -> Array:
    return np.log(((1 + SLOPE) / 2 - (1 - SLOPE) / 2 * y / np.sqrt(y**2 + SLOPE)) / SLOPE)


def _layers(rng: np.random.Generator, dim: int, layers: int) -> tuple[Arrays, Arrays]:
    """Matrices with determinants of both signs, and biases."""
    W = [np.eye(dim)[::-1] * 1.3 + 0.3 * rng.normal(size=(dim, dim)) for _ in range(layers)]
    for matrix, sign in zip(W, (-1, 1, -1), strict=False):
        matrix[0] *= sign * np.sign(np.linalg.det(matrix))
    return W, [rng.normal(size=dim) for _ in range(layers)]


def _solve(matrix: Array, v: Array) -> Array:
    return np.asarray(np.linalg.solve(matrix, v), dtype=np.float64)


# --- undo a generator -----------------------------------------------------------------------------


def _undo(x: Array, W: Arrays, b: Arrays, inverse: Function) -> Array:
    for k in reversed(range(len(W))):
        x = _solve(W[k], x - b[k])
        x = inverse(x) if k else x
    return x


def _undo_all(x: Array, W: Arrays, b: Arrays, inverse: Function) -> Array:
    for k in reversed(range(len(W))):
        x = inverse(_solve(W[k], x - b[k]))
    return x


def _undo_early(x: Array, W: Arrays, b: Arrays, inverse: Function) -> Array:
    for k in reversed(range(len(W))):
        x = _solve(W[k], inverse(x) - b[k])
    return x


def _undo_forward(x: Array, W: Arrays, b: Arrays, inverse: Function) -> Array:
    return _undo(x, W[::-1], b[::-1], inverse)


def _undo_straight(x: Array, W: Arrays, b: Arrays, inverse: Function) -> Array:
    return _undo(x, W, b, lambda y: y)


def _undo_with(step: Callable[[Array, Array, Array], Any]) -> Callable[..., Array]:
    def undo(x: Array, W: Arrays, b: Arrays, inverse: Function) -> Array:
        for k in reversed(range(len(W))):
            x = step(x, W[k], b[k])
            x = inverse(x) if k else x
        return x

    return undo


def _undo_last_bias(x: Array, W: Arrays, b: Arrays, inverse: Function) -> Array:
    return _undo(x, W, [b[-1]] * len(b), inverse)


def _generate(z: Array, W: Arrays, b: Arrays, inverse: Function) -> Array:
    for k in range(len(W)):
        z = W[k] @ (_bend(z) if k else z) + b[k]
    return z


UNDONE: dict[str, Callable[..., Array]] = {
    "Begin with the last layer: it acted last, so it is undone first.": _undo_forward,
    "The noise enters the first matrix as it is: no activation to undo there.": _undo_all,
    "The last layer has no activation: undo its matrix first.": _undo_early,
    "The activation between two layers is still there.": _undo_straight,
    "Undo the matrix: solve with it instead of multiplying by it.": _undo_with(
        lambda x, W, b: W @ (x - b)
    ),
    "The transpose is the inverse of an orthogonal matrix only.": _undo_with(
        lambda x, W, b: W.T @ (x - b)
    ),
    "The bias was added last: subtract it before you undo the matrix.": _undo_with(
        lambda x, W, b: _solve(W, x) - b
    ),
    "The bias was added: subtract it.": _undo_with(lambda x, W, b: _solve(W, x + b)),
    "The matrix acts on columns: you solve with its transpose.": _undo_with(
        lambda x, W, b: _solve(W.T, x - b)
    ),
    "Each layer has its own bias: yours takes the last one everywhere.": _undo_last_bias,
    "The biases are still there.": _undo_with(lambda x, W, b: _solve(W, x)),
    "This is the generator itself.": _generate,
}
"""What to say where the point is that of a known slip."""


@exercise(
    "power-undo",
    praise="Each layer is undone at the cost of one linear system.",
    wrong=[
        *((slip, hint) for hint, slip in UNDONE.items()),
        (lambda x, W, b, inverse: _undo(x, W, b, inverse)[:, None], "has shape (3, 1)"),
        (lambda x, W, b, inverse: 2 * _undo(x, W, b, inverse), "From the last layer"),
        (lambda x, W, b, inverse: None, "returns nothing"),
    ],
)
def _power_undo(undo: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    W, b = _layers(rng, 3, 3)
    x = _generate(rng.normal(size=3), W, b, _unbend)
    copies = x.copy(), [w.copy() for w in W], [v.copy() for v in b]
    got = numbers(undo(*copies, _unbend), (3,))
    for hint, slip in UNDONE.items():
        expect(not np.allclose(got, slip(x, W, b, _unbend)), hint)
    expect(
        np.allclose(got, _undo(x, W, b, _unbend)),
        "From the last layer to the first: subtract the bias, solve with the matrix, and undo the "
        "activation, which the first layer does not have.",
    )
    wanted = _undo(x, W[:1], b[:1], _unbend)
    got = numbers(undo(x.copy(), [W[0].copy()], [b[0].copy()], _unbend), (3,))
    expect(np.allclose(got, wanted), "With three layers it is right, with one it is not.")


# --- the log-density ------------------------------------------------------------------------------

Density = Callable[[Arrays, Arrays, Function], float]


def _density(
    h: Arrays,
    W: Arrays,
    log_slope: Function,
    *,
    half: float = 0.5,
    normal: float = 1.0,
    dets: float = -1.0,
    slopes: float = 1.0,
    first: int = 1,
) -> float:
    constant = len(h[0]) / 2 * math.log(2 * math.pi)
    sizes = sum(float(np.linalg.slogdet(matrix)[1]) for matrix in W)
    stretch = sum(float(log_slope(v).sum()) for v in h[first:])
    return -half * float(h[0] @ h[0]) - normal * constant + dets * sizes + slopes * stretch


def _variant(**options: Any) -> Density:
    return lambda h, W, log_slope: _density(h, W, log_slope, **options)


def _wrong_noise(h: Arrays, W: Arrays, log_slope: Function) -> float:
    return _density(h, W, log_slope) + float(h[0] @ h[0] - h[-1] @ h[-1]) / 2


def _added_determinants(h: Arrays, W: Arrays, log_slope: Function) -> float:
    total = sum(float(np.linalg.det(matrix)) for matrix in W)
    return _density(h, W, log_slope, dets=0.0) - math.log(abs(total))


def _bare_determinants(h: Arrays, W: Arrays, log_slope: Function) -> float:
    total = sum(float(np.linalg.det(matrix)) for matrix in W)
    return _density(h, W, log_slope, dets=0.0) - total


def _bare_sizes(h: Arrays, W: Arrays, log_slope: Function) -> float:
    total = sum(abs(float(np.linalg.det(matrix))) for matrix in W)
    return _density(h, W, log_slope, dets=0.0) - total


def _mean_slopes(h: Arrays, W: Arrays, log_slope: Function) -> float:
    stretch = sum(float(log_slope(v).mean()) for v in h[1:])
    return _density(h, W, log_slope, slopes=0.0) + stretch


def _mean_normal(h: Arrays, W: Arrays, log_slope: Function) -> float:
    share = 1 / len(h[0])
    return _density(h, W, log_slope, half=share / 2, normal=share)


def _norm(h: Arrays, W: Arrays, log_slope: Function) -> float:
    return _density(h, W, log_slope, half=0.0) - float(np.linalg.norm(h[0])) / 2


def _slope_itself(h: Arrays, W: Arrays, log_slope: Function) -> float:
    stretch = sum(float(np.exp(log_slope(v)).sum()) for v in h[1:])
    return _density(h, W, log_slope, slopes=0.0) + stretch


def _logarithm_twice(h: Arrays, W: Arrays, log_slope: Function) -> float:
    stretch = sum(float(np.log(log_slope(v)).sum()) for v in h[1:])
    return _density(h, W, log_slope, slopes=0.0) + stretch


def _signed(h: Arrays, W: Arrays, log_slope: Function) -> float:
    sizes = sum(np.log(np.linalg.det(matrix)) for matrix in W)
    return _density(h, W, log_slope, dets=0.0) - float(sizes)


DENSITIES: dict[str, Density] = {
    "The sum of the log-slopes begins with the second layer: the noise was not bent.": _variant(
        first=0
    ),
    "Check the sign of the determinants: where W stretches, the density is lower.": _variant(
        dets=1.0
    ),
    "The exponent of the normal density has a factor 1/2.": _variant(half=1.0),
    "Where is the normal density's own constant, d / 2 log(2 pi)?": _variant(normal=0.0),
    "The normal density's constant is d / 2 log(2 pi), for all d coordinates.": lambda h, W, s: (
        _density(h, W, s, normal=1 / len(h[0]))
    ),
    "The normal density's constant is d / 2 log(2 pi): where is the 1/2?": _variant(normal=2.0),
    "Check the sign of the normal density's constant.": _variant(normal=-1.0),
    "The matrices are missing.": _variant(dets=0.0),
    "The log-slopes of the activations are missing.": _variant(slopes=0.0),
    "Check the sign of the log-slopes: they are those of the inverse activation.": _variant(
        slopes=-1.0
    ),
    "Check the sign of the exponent.": _variant(half=-0.5),
    "The noise is h_1, what is left in the end: yours takes the norm of h_l.": _wrong_noise,
    "h[0] is h_1: the list is in the order of the generator, not of the undoing.": lambda h, W, s: (
        _density(h[::-1], W, s)
    ),
    "The determinant of a product is a product: add the logarithms, not the determinants.": (
        _added_determinants
    ),
    "Take the logarithm of each determinant.": _bare_determinants,
    "Take the logarithm of each determinant's absolute value.": _bare_sizes,
    "Sum the log-slopes over the coordinates, too: yours takes means.": _mean_slopes,
    "Sum the normal log-density over the coordinates: yours takes a mean.": _mean_normal,
    "The norm in the exponent is squared.": _norm,
    "log_slope is a logarithm already: add it as it is.": _slope_itself,
    "log_slope is a logarithm already: yours takes another one.": _logarithm_twice,
    "This is the density, not its logarithm.": lambda h, W, s: math.exp(_density(h, W, s)),
}
"""What to say where the number is that of a known slip."""


@exercise(
    "power-density",
    praise="Squares and log-slopes are units of the critic, and the constants its last bias.",
    wrong=[
        *((slip, hint) for hint, slip in DENSITIES.items()),
        (_signed, "absolute value"),
        (lambda h, W, s: [_density(h, W, s)], "has shape (1,)"),
        (lambda h, W, s: _density(h, W, s) + 1, "four terms"),
        (lambda h, W, s: None, "returns nothing"),
    ],
)
def _power_density(log_density: Callable[..., Any]) -> None:
    rng = np.random.default_rng(5)
    W, _ = _layers(rng, 3, 4)
    h = [rng.normal(0.5, 1, size=3) for _ in W]
    given = [v.copy() for v in h], [w.copy() for w in W], _log_slope
    got = float(numbers(log_density(*given), (), nan=True))
    expect(not math.isnan(got), "A determinant may be negative: take its absolute value.")
    for hint, slip in DENSITIES.items():
        expect(not math.isclose(got, slip(h, W, _log_slope), rel_tol=1e-7), hint)
    expect(
        math.isclose(got, _density(h, W, _log_slope), rel_tol=1e-7),
        "There are four terms: the square of h_1, the log-slopes from h_2 on, the normal density's "
        "constant, and the determinants.",
    )


# --- Jeffreys from log-densities ------------------------------------------------------------------

Four = Callable[[Array, Array, Array, Array], float]


def _jeffreys(pp: Array, qp: Array, pq: Array, qq: Array) -> float:
    return float((pp - qp).mean() - (pq - qq).mean())


JEFFREYS: dict[str, Four] = {
    "This is KL(p || q) alone: the other direction is missing.": lambda pp, qp, pq, qq: float(
        (pp - qp).mean()
    ),
    "This is KL(q || p) alone: the other direction is missing.": lambda pp, qp, pq, qq: float(
        (qq - pq).mean()
    ),
    "Check the sign: it is the mean over p minus the mean over q.": lambda *a: -_jeffreys(*a),
    "This is the difference of both divergences: they are added.": lambda pp, qp, pq, qq: float(
        (pp - qp).mean() + (pq - qq).mean()
    ),
    "Both divergences are added, not averaged.": lambda *a: _jeffreys(*a) / 2,
    "An eighth of it bounds the Jensen-Shannon divergence: wanted is the whole.": lambda *a: (
        _jeffreys(*a) / 8
    ),
    "Take means, not sums.": lambda pp, qp, pq, qq: float((pp - qp).sum() - (pq - qq).sum()),
    "Take a mean over each sample for itself: they may differ in size.": lambda pp, qp, pq, qq: (
        float(np.concatenate([pp - qp, qq - pq]).mean())
    ),
    "Single log-ratios may be negative: no absolute values inside the means.": (
        lambda pp, qp, pq, qq: float(abs(pp - qp).mean() + abs(pq - qq).mean())
    ),
    "These are logarithms already: subtract them.": lambda pp, qp, pq, qq: float(
        np.log(abs(pp / qp)).mean() - np.log(abs(pq / qq)).mean()
    ),
    "The critic is the log-ratio: yours is the log-density of p alone.": lambda pp, qp, pq, qq: (
        float(pp.mean() - pq.mean())
    ),
    "The critic is the log-ratio: yours is the log-density of q alone.": lambda pp, qp, pq, qq: (
        float(qp.mean() - qq.mean())
    ),
    "Compare both densities at the same points: yours only looks at each one's own.": (
        lambda pp, qp, pq, qq: float(pp.mean() - qq.mean())
    ),
}
"""What to say where the number is that of a known slip."""


@exercise(
    "power-jeffreys",
    praise="This is what the built critic earns, on its samples.",
    wrong=[
        *((slip, hint) for hint, slip in JEFFREYS.items()),
        (lambda *a: [_jeffreys(*a)], "has shape (1,)"),
        (lambda pp, qp, pq, qq: pp - qp, "has shape (6,)"),
        (lambda *a: 2 * _jeffreys(*a), "mean of the log-ratio"),
        (lambda *a: None, "returns nothing"),
    ],
)
def _power_jeffreys(jeffreys: Callable[..., Any]) -> None:
    rng = np.random.default_rng(7)
    x, y = rng.normal(0.1, 1, size=6), rng.normal(0.7, 0.8, size=9)
    at = [-(x**2) / 2 - 0.3, -((x - 1) ** 2) / 0.8 + 0.7, -(y**2) / 2 - 0.3]
    at.append(-((y - 1) ** 2) / 0.8 + 0.7)
    got = float(numbers(jeffreys(*(v.copy() for v in at)), ()))
    for hint, slip in JEFFREYS.items():
        expect(not math.isclose(got, slip(*at), rel_tol=1e-9), hint)
    expect(
        math.isclose(got, _jeffreys(*at), rel_tol=1e-9),
        "The mean of the log-ratio over the points of p, minus its mean over the points of q.",
    )


# --- carry a number through a layer of squares ----------------------------------------------------


@exercise(
    "power-carry",
    praise="So squares can replace identity units, at twice their number.",
    wrong=[
        (([1, 1], [1, -1], [1, -1]), "4 times"),
        (([1, 1], [1, -1], [-0.25, 0.25]), "-1 times"),
        (([1, 1], [1, -1], [0.25, 0.25]), "do not cancel"),
        (([1], [1], [0.5]), "One square"),
        (([1, 1], [1, 0], [0.5, -0.5]), "constant"),
        (([1, -1], [1, 1], [0.25, 0.25]), "do not cancel"),
        (([1, 1], [0, 0], [0.5, -0.5]), "not depend"),
        (([1, 1], [2, -2], [0.25, -0.25]), "2 times"),
        (([1, 1], [1, -1]), "three"),
        (([1, 1], [1, -1], [0.25]), "one number a unit"),
        (((1, 1), (1, math.nan), (0.25, -0.25)), "NaN"),
        (0.25, "three"),
    ],
)
def _power_carry(carry: Any) -> None:
    three = isinstance(carry, list | tuple | np.ndarray) and len(carry) == 3
    expect(three, "Give three lists: w, b and v.")
    w, b, v = (numbers(one) for one in carry)
    same = w.ndim == 1 and w.shape == b.shape == v.shape and len(w) > 0
    expect(same, "The three lists have one number a unit each.")
    expect(len(w) > 1, "One square has a turning point: a line has none.")
    # the coefficients of v . (w t + b)^2
    square, line, constant = float(v @ w**2), float(2 * v @ (w * b)), float(v @ b**2)
    expect(abs(square) < 1e-9, "The terms with t^2 do not cancel.")
    expect(abs(line) > 1e-9, "The sum does not depend on t.")
    expect(abs(line - 1) < 1e-9, f"The sum is {line:g} times t: it should be t.")
    expect(abs(constant) < 1e-9, f"The sum is off by the constant {constant:g}.")
