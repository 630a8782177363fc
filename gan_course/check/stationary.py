"""Checks of the page "No spurious stationary points"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- the derivative in a direction ----------------------------------------------------------------


def _pull(x: Array, r: Array, a: Array, b: Array) -> Array:
    result: Array = ((1 - np.tanh(x @ a.T + b) ** 2) * r) @ a
    return result


def _derivative(x: Array, u: Array, r: Array, a: Array, b: Array) -> float:
    return -float((_pull(x, r, a, b) * u).sum(1).mean())


DERIVATIVES: dict[str, Callable[[Array, Array, Array, Array, Array], float]] = {
    "Check the sign: the generator enters r with a minus.": (
        lambda x, u, r, a, b: -_derivative(x, u, r, a, b)
    ),
    "Take the mean over the points, not the sum.": (
        lambda x, u, r, a, b: len(x) * _derivative(x, u, r, a, b)
    ),
    "Sum over the coordinates of a point, and take the mean over the points only.": (
        lambda x, u, r, a, b: _derivative(x, u, r, a, b) / x.shape[1]
    ),
    "The slope of tanh is missing: 1 - tanh^2 at a_j . x + b_j.": (
        lambda x, u, r, a, b: -float((u @ a.T @ r).mean())
    ),
    "This has tanh itself where its slope 1 - tanh^2 belongs.": (
        lambda x, u, r, a, b: -float((((np.tanh(x @ a.T + b) * r) @ a) * u).sum(1).mean())
    ),
    "The slope of tanh is 1 - tanh^2: the square is missing.": (
        lambda x, u, r, a, b: -float((((1 - np.tanh(x @ a.T + b)) * r) @ a * u).sum(1).mean())
    ),
    "The biases b are missing.": lambda x, u, r, a, b: _derivative(x, u, r, a, 0 * b),
    "x and u are exchanged: the critic is taken at the values of g_theta.": (
        lambda x, u, r, a, b: _derivative(u, x, r, a, b)
    ),
    "The factor r is missing: the best critic is r . Psi.": (
        lambda x, u, r, a, b: _derivative(x, u, np.ones_like(r), a, b)
    ),
    "The derivative of |r|^2 / 2 has no factor 2.": (
        lambda x, u, r, a, b: 2 * _derivative(x, u, r, a, b)
    ),
    "The mean of the product is not the product of the means.": (
        lambda x, u, r, a, b: -float(_pull(x, r, a, b).mean(0) @ u.mean(0))
    ),
}
"""What to say where the derivative is that of a known slip."""


@exercise(
    "stationary-derivative",
    praise="The critic's gradient at the generated points, against the way in which they move.",
    wrong=[
        *((slip, hint) for hint, slip in DERIVATIVES.items()),
        (lambda x, u, r, a, b: -_pull(x, r, a, b).mean(0), "wanted is a single number"),
        (lambda x, u, r, a, b: 0.3, "the slopes of the features"),
        (lambda x, u, r, a, b: None, "return"),
        (lambda x, u, r, a, b: math.nan, "NaN"),
    ],
)
def _stationary_derivative(derivative: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    x, u = rng.normal(size=(2, 7, 3))
    r, a, b = rng.normal(size=5), rng.normal(size=(5, 3)), rng.normal(size=5)
    got = float(numbers(derivative(x.copy(), u.copy(), r.copy(), a.copy(), b.copy()), ()))
    for hint, slip in DERIVATIVES.items():
        expect(not math.isclose(got, slip(x, u, r, a, b), rel_tol=1e-8), hint)
    expect(
        math.isclose(got, _derivative(x, u, r, a, b), rel_tol=1e-8),
        "v is the sum of r_j a_j times the slopes of the features; then minus the mean of v . u.",
    )


# --- a critic that is flat at given points --------------------------------------------------------


def _stack(a: Array, b: Array, points: Array) -> Array:
    slopes = 1 - np.tanh(points @ a.T + b) ** 2
    stack: Array = (slopes[:, :, None] * a).transpose(0, 2, 1).reshape(-1, len(a))
    return stack


def _last(matrix: Array) -> Array:
    direction: Array = np.linalg.svd(matrix)[2][-1]
    return direction


def _thin(matrix: Array) -> Array:
    """The flattest direction of the row space: what is left when the kernel is cut off."""
    direction: Array = np.linalg.svd(matrix, full_matrices=False)[2][-1]
    return direction


def _mixed(a: Array, b: Array, points: Array) -> Array:
    """The stack without its transposition: rows that mix features and coordinates."""
    slopes = 1 - np.tanh(points @ a.T + b) ** 2
    mixed: Array = (slopes[:, :, None] * a).reshape(-1, len(a))
    return mixed


def _blind(a: Array, b: Array, points: Array) -> Array:
    return _last(_stack(a, b, points))


def _values(a: Array, b: Array, points: Array) -> Array:
    values: Array = np.tanh(points @ a.T + b)
    return values


@exercise(
    "stationary-blind",
    praise="For finitely many points there is always such a critic, if it has features enough.",
    wrong=[
        (lambda a, b, points: np.zeros(len(a)), "zero critic"),
        (lambda a, b, points: 3 * _blind(a, b, points), "length 1"),
        (lambda a, b, points: _blind(a, b, points[:1]), "the first point only"),
        (lambda a, b, points: _blind(a, b, points[-1:]), "the last point only"),
        (lambda a, b, points: _blind(a, 0 * b, points), "biases"),
        (lambda a, b, points: _last(_values(a, b, points)), "has the value 0"),
        (lambda a, b, points: _last(np.tile(a.T, (2, 1))), "slopes of tanh"),
        (lambda a, b, points: np.linalg.svd(_stack(a, b, points))[2][0], "steepest"),
        (
            lambda a, b, points: _last(_stack(a, b, points).reshape(2, 3, -1).sum(0)),
            "each point",
        ),
        (lambda a, b, points: _thin(_stack(a, b, points)), "full_matrices=False"),
        (lambda a, b, points: np.linalg.svd(_stack(a, b, points))[2][:, -1], "last column"),
        (lambda a, b, points: _last(_mixed(a, b, points)), "transpose"),
        (lambda a, b, points: np.linalg.svd(_stack(a, b, points))[0][-1], "shape (8,)"),
        (lambda a, b, points: np.ones(len(a)) / math.sqrt(len(a)), "not flat"),
        (lambda a, b, points: None, "return"),
        (lambda a, b, points: np.full(len(a), np.nan), "NaN"),
    ],
)
def _stationary_blind(blind_critic: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    a, b, points = rng.normal(size=(8, 3)), rng.normal(size=8), rng.normal(size=(2, 3))
    r = numbers(blind_critic(a.copy(), b.copy(), points.copy()), (8,))
    length = float(np.linalg.norm(r))
    expect(length > 1e-9, "This is the zero critic, which is flat everywhere: |r| must be 1.")
    slopes = np.abs(_stack(a, b, points) @ r).reshape(2, 3).max(1) / length
    flat = slopes < 1e-9
    if not flat.all():
        expect(not flat[0], "Your critic is flat at the first point only.")
        expect(not flat[1], "Your critic is flat at the last point only.")
        without = np.abs(_stack(a, 0 * b, points) @ r).max() / length
        expect(without > 1e-9, "The biases b are missing.")
        level = np.abs(_values(a, b, points) @ r).max() / length
        expect(level > 1e-9, "Your critic has the value 0 at the points: wanted is the gradient 0.")
        plain = float(np.abs(a.T @ r).max()) / length
        expect(plain > 1e-9, "The slopes of tanh are missing: 1 - tanh^2 at a_j . x + b_j.")
        steepest = np.linalg.svd(_stack(a, b, points))[2][0]
        expect(abs(steepest @ r) < 0.999 * length, "This is the steepest direction: take the last.")
        total = np.abs((_stack(a, b, points) @ r).reshape(2, 3).sum(0)).max() / length
        expect(total > 1e-9, "The gradients add up to 0: wanted is 0 at each point by itself.")
        stack = _stack(a, b, points)
        cut = "With full_matrices=False the kernel is cut off: leave that argument out."
        expect(bool(abs(_thin(stack) @ r) < 0.999 * length), cut)
        column = np.linalg.svd(stack)[2][:, -1]
        wrong_way = "This is the last column of the third factor: take its last row."
        expect(bool(abs(column @ r) < 0.999 * length), wrong_way)
        rows = "Each point gives n rows of N_d numbers: transpose before you reshape."
        expect(np.abs(_mixed(a, b, points) @ r).max() > 1e-9 * length, rows)
        expect(False, "Your critic is not flat at the points: stack the matrices D Psi(x_i)^T.")
    expect(math.isclose(length, 1, rel_tol=1e-9), "Divide by the length: r must have length 1.")


# --- a trap on the line ---------------------------------------------------------------------------

_A, _B = np.array([1.0, 3.0]), np.array([1.5, 2.0])


def _trap_slope(c: float) -> float:
    """The slope of the best critic against a collapsed generator at ``c``, at ``c``."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    x = np.concatenate([-3 + 0.2 * nodes, 0.2 * nodes])
    mass = np.concatenate([0.2 * weights, 0.8 * weights]) / weights.sum()
    here = np.tanh(_A * c + _B)
    r = mass @ np.tanh(x[:, None] * _A + _B) - here
    return float((r * (1 - here**2)) @ _A)


def trap() -> float:
    """Where that slope is zero: the only such place between -4 and 2."""
    return float(brentq(_trap_slope, -1.5, 1.0, xtol=1e-14))


@exercise(
    "stationary-dial",
    praise="It sits at a peak of the best critic and ignores a fifth of the data: a trap.",
    wrong=[
        (1.0, "points to the left"),
        (0.0, "points to the left"),
        (-0.3, "points to the left"),
        (-0.7, "points to the right"),
        (-3.0, "points to the right"),
        (-4.0, "nearly flat"),
        (2.0, "nearly flat"),
        (-9.0, "between -4 and 2"),
        ("left", "not numbers"),
        ([0.0, 1.0], "wanted is a single number"),
    ],
)
def _stationary_dial(answer: Any) -> None:
    c = float(numbers(getattr(answer, "value", answer), ()))
    place = trap()
    expect(-4 <= c <= 2, "The place lies between -4 and 2.")
    expect(
        -3.5 < c < 1.5,
        "Out here every feature is nearly flat, and so is the critic; but its slope is not zero.",
    )
    expect(c < place + 0.021, "The slope of the best critic points to the left here: go there.")
    expect(c > place - 0.021, "The slope of the best critic points to the right here: go there.")
