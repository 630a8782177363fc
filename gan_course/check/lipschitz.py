"""Checks of the page "Lipschitz constants of networks"."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- the product bound ----------------------------------------------------------------------------


def _norms(weights: Sequence[Array], order: float = 2) -> Array:
    return np.array([np.linalg.norm(w, order) for w in weights])


def _product(weights: Sequence[Array], slope: float) -> float:
    return float(slope ** (len(weights) - 1) * _norms(weights).prod())


def _chained(weights: Sequence[Array]) -> Array:
    product = weights[0]
    for w in weights[1:]:
        product = w @ product
    return product


PRODUCTS: dict[str, Callable[[Sequence[Array], float], float]] = {
    "The activations are missing: each has its slope.": lambda ws, a: _norms(ws).prod(),
    "There is no activation after the last layer: K - 1 slopes.": (
        lambda ws, a: a ** len(ws) * _norms(ws).prod()
    ),
    "One slope is missing: K layers have K - 1 activations between them.": (
        lambda ws, a: a ** (len(ws) - 2) * _norms(ws).prod()
    ),
    "There is an activation after each layer but the last: the slope counts K - 1 times.": (
        lambda ws, a: a * _norms(ws).prod()
    ),
    "This is the Frobenius norm, the root of the sum of squares: it is larger.": (
        lambda ws, a: a ** (len(ws) - 1) * math.prod(float(np.linalg.norm(w)) for w in ws)
    ),
    "Between the matrices are activations: do not multiply the matrices, but their norms.": (
        lambda ws, a: a ** (len(ws) - 1) * float(np.linalg.norm(_chained(ws), 2))
    ),
    "Constants of maps one after the other are multiplied, not added.": (
        lambda ws, a: a ** (len(ws) - 1) * _norms(ws).sum()
    ),
    "These are the largest row sums: the Euclidean norm takes the largest singular value.": (
        lambda ws, a: a ** (len(ws) - 1) * _norms(ws, np.inf).prod()
    ),
    "These are the largest column sums: the Euclidean norm takes the largest singular value.": (
        lambda ws, a: a ** (len(ws) - 1) * _norms(ws, 1).prod()
    ),
    "This is the smallest singular value of each: take the largest.": (
        lambda ws, a: a ** (len(ws) - 1) * _norms(ws, -2).prod()
    ),
    "These are the largest entries: a matrix stretches by its largest singular value.": (
        lambda ws, a: a ** (len(ws) - 1) * math.prod(float(abs(w).max()) for w in ws)
    ),
    "The eigenvalues of W^T W are squares: take roots.": (
        lambda ws, a: a ** (len(ws) - 1) * np.square(_norms(ws)).prod()
    ),
    "One layer is missing.": lambda ws, a: a ** (len(ws) - 1) * _norms(ws[:-1]).prod(),
}
"""What to say where the bound is that of a known slip."""


@exercise(
    "lipschitz-product",
    praise="It is cheap, and it holds everywhere; nothing says that it is near.",
    wrong=[
        *((slip, hint) for hint, slip in PRODUCTS.items()),
        (lambda ws, a: _norms(ws), "has shape (3,)"),
        (lambda ws, a: 2 * _product(ws, a), "largest singular values of all matrices"),
        (lambda ws, a: math.nan, "NaN"),
        (lambda ws, a: a**2 * _norms(ws).prod(), "any number of layers"),
    ],
)
def _lipschitz_product(product_bound: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    cases: list[tuple[list[Array], float]] = []
    for sizes, slope in (((3, 7, 4, 2), 0.25), ((5, 3, 6, 4, 1), 1.3), ((4, 2), 0.7)):
        shapes = zip(sizes[1:], sizes[:-1], strict=True)
        cases.append(([rng.normal(size=shape) for shape in shapes], slope))
    got = []
    for weights, slope in cases:
        copies = [w.copy() for w in weights]
        got.append(float(numbers(product_bound(copies, slope), ())))
    for hint, slip in PRODUCTS.items():
        known = [slip(weights, slope) for weights, slope in cases[:2]]
        expect(not np.allclose(got[:2], known, rtol=1e-6), hint)
    right = [_product(weights, slope) for weights, slope in cases]
    close = np.isclose(got, right, rtol=1e-6)
    expect(
        bool(close.all()) or not close.any(),
        "This is right for some networks only: there may be any number of layers, also one.",
    )
    expect(
        bool(close.all()),
        "Multiply the largest singular values of all matrices, and one slope for each activation.",
    )


# --- the exact constant on the line ---------------------------------------------------------------


def _pieces(w: Array, b: Array, v: Array) -> Array:
    """Slopes of ``v . relu(w x + b)`` on all its pieces, from left to right."""
    kinks = np.sort(-b / w)
    between = np.r_[kinks[0] - 1, (kinks[1:] + kinks[:-1]) / 2, kinks[-1] + 1]
    return np.asarray((between[:, None] * w + b > 0) @ (v * w), np.float64)


def _steepest(w: Array, b: Array, v: Array) -> float:
    return float(abs(_pieces(w, b, v)).max())


def _at_kinks(w: Array, b: Array) -> Array:
    """States of all units at all kinks, with the unit whose kink it is counted as on."""
    states = np.asarray((-b / w)[:, None] * w + b > 0, np.float64)
    np.fill_diagonal(states, 1.0)
    return states


def _at_origin(w: Array, b: Array, v: Array) -> float:
    return float(abs(_pieces(w, 0 * b, v)).max())


STEEPEST: dict[str, Callable[[Array, Array, Array], float]] = {
    "This is the product of the norms, a bound from above: wanted is the constant itself.": (
        lambda w, b, v: float(np.linalg.norm(v) * np.linalg.norm(w))
    ),
    "This lets all units pull the same way: add their slopes with signs, as far as they are on.": (
        lambda w, b, v: float(abs(v * w).sum())
    ),
    "Here all units are on: there need not be such a place.": (
        lambda w, b, v: float(abs((v * w).sum()))
    ),
    "Falling pieces count, too: take absolute values of the slopes.": (
        lambda w, b, v: float(_pieces(w, b, v).max())
    ),
    "The two pieces beyond all kinks are missing.": (
        lambda w, b, v: float(abs(_pieces(w, b, v)[1:-1]).max())
    ),
    "The piece to the left of all kinks is missing.": (
        lambda w, b, v: float(abs(_pieces(w, b, v)[1:]).max())
    ),
    "The piece to the right of all kinks is missing.": (
        lambda w, b, v: float(abs(_pieces(w, b, v)[:-1]).max())
    ),
    "At a kink there is no slope: look at points between the kinks, and beyond them.": (
        lambda w, b, v: float(abs(_at_kinks(w, b) @ (v * w)).max())
    ),
    "The outermost points are kinks, and at a kink there is no slope: go beyond them.": (
        lambda w, b, v: float(abs(_up_to_kinks(w, b) @ (v * w)).max())
    ),
    "Not every set of units is on together somewhere: go from piece to piece.": (
        lambda w, b, v: float(max((v * w).clip(0).sum(), -(v * w).clip(None, 0).sum()))
    ),
    "One unit alone: where several are on, their slopes add up.": (
        lambda w, b, v: float(abs(v * w).max())
    ),
    "The biases are missing: the kinks are at -b / w.": _at_origin,
    "This is how much the slope changes: wanted is the largest slope.": (
        lambda w, b, v: float(np.ptp(_pieces(w, b, v)))
    ),
    "The kinks are at -b / w: check the sign.": lambda w, b, v: _steepest(w, -b, v),
    "The first weights are missing: a unit that is on has the slope v w.": (
        lambda w, b, v: float(abs((_middles(w, b)[:, None] * w + b > 0) @ v).max())
    ),
    "The second weights are missing: a unit that is on has the slope v w.": (
        lambda w, b, v: float(abs((_middles(w, b)[:, None] * w + b > 0) @ w).max())
    ),
}
"""What to say where the constant is that of a known slip."""


def _middles(w: Array, b: Array) -> Array:
    kinks = np.sort(-b / w)
    return np.r_[kinks[0] - 1, (kinks[1:] + kinks[:-1]) / 2, kinks[-1] + 1]


def _up_to_kinks(w: Array, b: Array) -> NDArray[np.bool_]:
    kinks = np.sort(-b / w)
    points = np.r_[kinks[0], (kinks[1:] + kinks[:-1]) / 2, kinks[-1]]
    return np.multiply.outer(points, w) + b > 0


def _on_a_grid(w: Array, b: Array, v: Array) -> float:
    grid = np.linspace(-3, 3, 400)
    values = np.maximum(grid[:, None] * w + b, 0) @ v
    return float(abs(np.diff(values) / np.diff(grid)).max())


def _lines() -> list[tuple[Array, Array, Array]]:
    """Networks on whose constants the slips disagree."""
    inside = ([1.5, -0.7, 2.0, -1.2, 0.9], [-1.0, 0.5, 0.4, 2.0, 0.3], [0.8, 1.6, -1.9, -0.4, 1.1])
    far = ([1.0, -0.5, 2.0, 0.3], [-0.5, 1.0, 2.0, -12.0], [0.5, 1.0, -1.2, -4.0])
    narrow = (
        [-2.4, 0.6, 1.0, -0.2, 2.8],
        [-0.68, 1.47, 0.29, -0.33, 0.26],
        [0.6, 1.1, -1.2, -0.4, 0.6],
    )
    left = ([1.0, -1.0], [1.0, 1.0], [0.5, 1.0])
    right = ([1.0, -1.0], [1.0, 1.0], [1.0, 0.5])
    first = ([-1.0, 1.0], [-1.0, -1.0], [2.0, 1.0])  # flat between its kinks
    last = ([-1.0, 1.0], [-1.0, -1.0], [1.0, 2.0])
    networks = (inside, far, narrow, left, right, first, last)
    return [(np.array(w), np.array(b), np.array(v)) for w, b, v in networks]


@exercise(
    "lipschitz-steepest",
    praise="With n units there are n + 1 pieces on the line, and in the plane about n^2 / 2.",
    wrong=[
        *((slip, hint) for hint, slip in STEEPEST.items()),
        (lambda w, b, v: abs(_pieces(w, b, v)), "shape"),
        (_on_a_grid, "narrow or far away"),
        (lambda w, b, v: 1.1 * _steepest(w, b, v), "No piece is as steep"),
        (lambda w, b, v: math.nan, "NaN"),
    ],
)
def _lipschitz_steepest(steepest: Callable[..., Any]) -> None:
    cases = _lines()
    got = [float(numbers(steepest(*(x.copy() for x in case)), ())) for case in cases]
    right = [_steepest(*case) for case in cases]
    for hint, slip in STEEPEST.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-9), hint)
    for ours, theirs in zip(right, got, strict=True):
        expect(theirs < ours * (1 + 1e-6), "No piece is as steep as that.")
        expect(
            theirs > ours * (1 - 1e-6),
            "There is a steeper piece: is it narrow or far away? Go through all of them.",
        )


# --- the bound of the weights at which the product is 1 -------------------------------------------


def _clip(widths: Sequence[int], slope: float, power: float | None = None) -> float:
    K = len(widths) - 1
    stretch = slope ** (K - 1) * math.sqrt(widths[0] * widths[-1]) * math.prod(widths[1:-1])
    return stretch ** (-1 / K if power is None else power)


def _rooted(stretch: float, widths: Sequence[int]) -> float:
    return stretch ** (-1 / (len(widths) - 1))


CLIPS: dict[str, Callable[[Sequence[int], float], float]] = {
    "Each of the K layers brings a factor c: take the K-th root.": (
        lambda widths, a: _clip(widths, a, -1)
    ),
    "There is one layer fewer than there are widths: mind the root.": (
        lambda widths, a: _clip(widths, a, -1 / len(widths))
    ),
    "The last layer is clipped, too: K factors c, and so the K-th root.": (
        lambda widths, a: _clip(widths, a, -1 / (len(widths) - 2))
    ),
    "This grows with the widths: the larger the network, the smaller the bound.": (
        lambda widths, a: _clip(widths, a, 1 / (len(widths) - 1))
    ),
    "This is the product at c = 1: solve for c.": lambda widths, a: _clip(widths, a, 1),
    "The activations' slopes are missing.": lambda widths, a: _clip(widths, 1.0),
    "There are K - 1 activations: none after the last layer.": (
        lambda widths, a: _rooted(a, widths) * _clip(widths, a)
    ),
    "One slope is missing: K layers have K - 1 activations.": (
        lambda widths, a: _rooted(1 / a, widths) * _clip(widths, a)
    ),
    "The activation stands between all layers: K - 1 slopes.": (
        lambda widths, a: _rooted(a, widths) * _clip(widths, 1.0)
    ),
    "The first and the last width count with their roots: they stand in one matrix only.": (
        lambda widths, a: _rooted(a ** (len(widths) - 2) * math.prod(widths), widths)
    ),
    "The last width counts with its root, too.": (
        lambda widths, a: _clip(widths, a) * _rooted(widths[-1] ** -0.5, widths)
    ),
    "The first width counts with its root, too.": (
        lambda widths, a: _clip(widths, a) * _rooted(widths[0] ** -0.5, widths)
    ),
    "Hidden widths stand in two matrices, each with its root: they count in full.": (
        lambda widths, a: _rooted(a ** (len(widths) - 2) * math.sqrt(math.prod(widths)), widths)
    ),
    "The widths count, too: a unit sums over all units before it.": (
        lambda widths, a: _rooted(a ** (len(widths) - 2), widths)
    ),
}
"""What to say where the bound is that of a known slip."""


@exercise(
    "lipschitz-clip",
    praise="The rule c = 0.01 fits no architecture but by accident.",
    wrong=[
        *((slip, hint) for hint, slip in CLIPS.items()),
        (lambda widths, a: [_clip(widths, a)] * 3, "has shape (3,)"),
        (lambda widths, a: 2 * _clip(widths, a), "Set the largest product"),
        (lambda widths, a: 0.01, "Set the largest product"),
        (lambda widths, a: math.inf, "Set the largest product"),
    ],
)
def _lipschitz_clip(unit_clip: Callable[..., Any]) -> None:
    cases: tuple[tuple[tuple[int, ...], float], ...] = (
        ((3, 5, 7, 2), 0.25), ((2, 6, 11, 4, 5), 1.1), ((784, 64, 1), 0.6),
    )  # fmt: skip
    got = [float(numbers(unit_clip(*case), ())) for case in cases]
    for hint, slip in CLIPS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-6), hint)
    expect(
        np.allclose(got, [_clip(*case) for case in cases], rtol=1e-6),
        "Set the largest product of norms and slopes, with c in each norm, to 1.",
    )


# --- the bound at which random signs keep gradients -----------------------------------------------


LEVELS: dict[str, Callable[[int, float], float]] = {
    "This is right for ReLU: here units that are off let through alpha.": (
        lambda n, a: math.sqrt(2 / n)
    ),
    "This is right for aligned weights: random signs cancel, so squares are what adds up.": (
        lambda n, a: 1 / n
    ),
    "Aligned, and with the mean of the slopes: random signs cancel, take mean squares.": (
        lambda n, a: 2 / (n * (1 + a))
    ),
    "This is right without an activation: half of the units are off.": (
        lambda n, a: 1 / math.sqrt(n)
    ),
    "Average the squares of the two slopes, not the slopes: (1 + alpha^2) / 2.": (
        lambda n, a: 2 / (math.sqrt(n) * (1 + a))
    ),
    "The slope alpha enters with its square.": lambda n, a: math.sqrt(2 / (n * (1 + a))),
    "A sum of squares is kept: take the root at the end.": lambda n, a: 2 / (n * (1 + a * a)),
    "Each kind of unit is half of them: a factor 2 is missing.": (
        lambda n, a: math.sqrt(1 / (n * (1 + a * a)))
    ),
    "Solve for c: the factor of the mean square is c^2 n (1 + alpha^2) / 2.": (
        lambda n, a: math.sqrt(n * (1 + a * a) / 2)
    ),
    "The width is in the wrong place: more units, smaller weights.": (
        lambda n, a: math.sqrt(2 * n / (1 + a * a))
    ),
    "The weights are c or -c, with variance c^2: c^2 / 3 is for uniform ones.": (
        lambda n, a: math.sqrt(6 / (n * (1 + a * a)))
    ),
    "The slope is 1 on one side: mean square (1 + alpha^2) / 2.": (
        lambda n, a: math.sqrt(2 / n) / a
    ),
}
"""What to say where the bound is that of a known slip."""


def _level(n: int, alpha: float) -> float:
    return math.sqrt(2 / (n * (1 + alpha**2)))


@exercise(
    "lipschitz-level",
    praise="Signs of this size are He's weights for leaky ReLU, with another law.",
    wrong=[
        *((slip, hint) for hint, slip in LEVELS.items()),
        (lambda n, a: 2 * _level(n, a), "mean square"),
        (lambda n, a: (_level(n, a), 0.0), "has shape (2,)"),
        (lambda n, a: math.nan, "NaN"),
    ],
)
def _lipschitz_level(level_clip: Callable[..., Any]) -> None:
    cases = ((50, 0.2), (7, 0.5), (300, 0.05))
    got = [float(numbers(level_clip(*case), ())) for case in cases]
    for hint, slip in LEVELS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-6), hint)
    expect(
        np.allclose(got, [_level(*case) for case in cases], rtol=1e-6),
        "By what factor does a layer change the mean square of the gradient? Set it to 1.",
    )
