"""Checks of the page "How fast does SGD go?"."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- a projected step -----------------------------------------------------------------------------


def _lengths(x: Array) -> Array:
    return np.linalg.norm(x, axis=1, keepdims=True)


def _ball(x: Array, radius: float) -> Array:
    return x * np.minimum(1, radius / np.maximum(_lengths(x), 1e-300))


def _step(theta: Array, gradient: Array, rate: float, radius: float) -> Array:
    return _ball(theta - rate * gradient, radius)


def _rows(kept: Callable[[Array], Array]) -> Callable[[Array, Array, float, float], Array]:
    """A step that does something else with the rows outside of the ball."""

    def step(theta: Array, gradient: Array, rate: float, radius: float) -> Array:
        new = theta - rate * gradient
        return np.where(_lengths(new) > radius, kept(theta), new)

    return step


def _scaled(norms: Callable[[Array], Array]) -> Callable[[Array, Array, float, float], Array]:
    """A step that scales the rows by another number than their length."""

    def step(theta: Array, gradient: Array, rate: float, radius: float) -> Array:
        new = theta - rate * gradient
        return new / np.maximum(norms(new) / radius, 1)

    return step


STEPS: dict[str, Callable[[Array, Array, float, float], Array]] = {
    "Some points leave the ball: project after the step.": (
        lambda theta, gradient, rate, radius: _ball(theta, radius) - rate * gradient
    ),
    "You ascend: SGD goes against the gradient.": (
        lambda theta, gradient, rate, radius: _ball(theta + rate * gradient, radius)
    ),
    "The rate is missing.": (lambda theta, gradient, rate, radius: _ball(theta - gradient, radius)),
    "You project the gradient: project the new point.": (
        lambda theta, gradient, rate, radius: theta - rate * _ball(gradient, radius)
    ),
    "You project the gradient, too: project the new point alone.": (
        lambda theta, gradient, rate, radius: _ball(theta - rate * _ball(gradient, radius), radius)
    ),
    "You project the step: project the new point.": (
        lambda theta, gradient, rate, radius: theta - _ball(rate * gradient, radius)
    ),
    "You clip each coordinate: that is the projection onto a box.": (
        lambda theta, gradient, rate, radius: np.clip(theta - rate * gradient, -radius, radius)
    ),
    "You move the points inside of the ball, too: they are their own projections.": (
        lambda theta, gradient, rate, radius: (
            radius * (theta - rate * gradient) / np.maximum(_lengths(theta - rate * gradient), 1e-9)
        )
    ),
    "This is the norm of the whole array: each row is a point of its own.": (
        lambda theta, gradient, rate, radius: (
            (theta - rate * gradient)
            * min(1.0, radius / float(np.linalg.norm(theta - rate * gradient)))
        )
    ),
    "This is the largest coordinate of a row: use its Euclidean length.": (
        _scaled(lambda new: np.abs(new).max(axis=1, keepdims=True))
    ),
    "This is the sum of a row's coordinates: use its Euclidean length.": (
        _scaled(lambda new: np.abs(new).sum(axis=1, keepdims=True))
    ),
    "The long rows end at length 1, and the short ones are divided, too: divide by"
    " max(norm / radius, 1).": (
        lambda theta, gradient, rate, radius: (
            (theta - rate * gradient) / np.maximum(_lengths(theta - rate * gradient), radius)
        )
    ),
    "This is the norm of columns: a row is a point.": (
        lambda theta, gradient, rate, radius: _ball((theta - rate * gradient).T, radius).T
    ),
    "Divide by the norm, not by its square.": (
        lambda theta, gradient, rate, radius: (
            (theta - rate * gradient)
            * np.where(
                _lengths(theta - rate * gradient) > radius,
                radius / np.maximum(_lengths(theta - rate * gradient), 1e-9) ** 2,
                1,
            )
        )
    ),
    "Where the step leaves the ball you stay where you were: go to the nearest point.": (
        _rows(lambda theta: theta)
    ),
    "Where the step leaves the ball you go back to its center: go to its nearest point.": (
        _rows(lambda theta: 0 * theta)
    ),
    "This is the ball of radius 1: use the radius that is given.": (
        lambda theta, gradient, rate, radius: _ball(theta - rate * gradient, 1.0)
    ),
}
"""What to say where the points are those of a known slip."""


def _by_division(theta: Array, gradient: Array, rate: float, radius: float) -> Array:
    new = theta - rate * gradient
    return new / _lengths(new) * np.minimum(_lengths(new), radius)


@exercise(
    "sgd-step",
    praise="Points inside of the ball stay, the others go to the sphere, each on its own ray.",
    wrong=[
        *((slip, hint) for hint, slip in STEPS.items()),
        (lambda theta, gradient, rate, radius: theta - rate * gradient, "project after the step"),
        (_by_division, "NaN"),
        (lambda theta, gradient, rate, radius: _step(theta, gradient, rate, radius).T, "shape"),
        (
            lambda theta, gradient, rate, radius: 0.9 * _step(theta, gradient, rate, radius),
            "scale the rows that are longer than the radius",
        ),
        (lambda theta, gradient, rate, radius: None, "return"),
        (lambda theta, gradient, rate, radius: np.full(theta.shape, np.nan), "NaN"),
    ],
)
def _sgd_step(projected_step: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    radius, rate = 0.7, 0.4
    theta = _ball(rng.normal(size=(9, 4)), radius) * np.array([[0.3], [0.5], [0.6], *[[1]] * 6])
    gradient = rng.normal(size=(9, 4)) * np.linspace(0.2, 6, 9)[:, None]
    theta[4], gradient[4] = 0, 0  # a point that stays at the center
    got = numbers(projected_step(theta.copy(), gradient.copy(), rate, radius), theta.shape)
    for hint, slip in STEPS.items():
        expect(not np.allclose(got, slip(theta, gradient, rate, radius)), hint)
    expect(
        np.allclose(got, _step(theta, gradient, rate, radius)),
        "Go from theta against the gradient, then scale the rows that are longer than the radius"
        " down to it.",
    )


# --- the constant ---------------------------------------------------------------------------------


def _q(c: float, M: float, alpha: float) -> float:
    return alpha**2 * M**2 / (2 * (2 * c * alpha - 1))


def _cap(c: float, M: float, alpha: float) -> float:
    return math.ceil(2 * c * alpha) * M**2 / (2 * c**2)


def _halved(c: float, M: float, alpha: float) -> float:
    """The constant with c alpha in the place of 2 c alpha."""
    return max(_q(c / 2, M, alpha), math.ceil(c * alpha) * M**2 / (2 * c**2))


def _constant(c: float, M: float, alpha: float) -> float:
    return max(_q(c, M, alpha), _cap(c, M, alpha)) if 2 * c * alpha > 1 else math.inf


CONSTANTS: dict[str, Callable[[float, float, float], float]] = {
    "This is Q, the lecture's constant: the first steps need more.": _q,
    "This is the bound of the first steps alone: where alpha is small, Q is larger.": _cap,
    "Both bounds must hold: take the larger one.": (
        lambda c, M, alpha: min(_q(c, M, alpha), _cap(c, M, alpha))
    ),
    "Take the larger of the two, not their sum.": (
        lambda c, M, alpha: _q(c, M, alpha) + _cap(c, M, alpha)
    ),
    "Round 2 c alpha up: the induction may start at j_0 >= 2 c alpha only.": (
        lambda c, M, alpha: max(_q(c, M, alpha), math.floor(2 * c * alpha) * M**2 / (2 * c**2))
    ),
    "j_0 is 2 c alpha itself where that is a whole number: round up, no further.": (
        lambda c, M, alpha: max(
            _q(c, M, alpha), (math.floor(2 * c * alpha) + 1) * M**2 / (2 * c**2)
        )
    ),
    "j_0 is a whole number: round 2 c alpha up.": (
        lambda c, M, alpha: max(_q(c, M, alpha), 2 * c * alpha * M**2 / (2 * c**2))
    ),
    "The bound of the first steps is M^2 / (2 c^2): a half is missing.": (
        lambda c, M, alpha: max(_q(c, M, alpha), 2 * _cap(c, M, alpha))
    ),
    "Q has a half in it.": lambda c, M, alpha: max(2 * _q(c, M, alpha), _cap(c, M, alpha)),
    "kappa is 2 c alpha: a factor 2 is missing.": (
        lambda c, M, alpha: _halved(c, M, alpha) if c * alpha > 1 else math.inf
    ),
    "Also in Q and j_0 kappa is 2 c alpha: a factor 2 is missing.": _halved,
    "Also in Q kappa is 2 c alpha: a factor 2 is missing.": (
        lambda c, M, alpha: max(_q(c / 2, M, alpha), _cap(c, M, alpha))
    ),
    "Also in j_0 kappa is 2 c alpha: a factor 2 is missing.": (
        lambda c, M, alpha: max(_q(c, M, alpha), math.ceil(c * alpha) * M**2 / (2 * c**2))
    ),
    "Check the parentheses in Q: all of 2 (kappa - 1) is the denominator.": (
        lambda c, M, alpha: max(alpha**2 * M**2 / 2 * (2 * c * alpha - 1), _cap(c, M, alpha))
    ),
    "Check the parentheses in M^2 / (2 c^2): it is not M^2 / 2 * c^2.": (
        lambda c, M, alpha: max(_q(c, M, alpha), _cap(c, M, alpha) * c**4)
    ),
    "Check the parentheses: x / (2 y) is not x / 2 * y.": (
        lambda c, M, alpha: max(alpha**2 * M**2 / 2 * (2 * c * alpha - 1), _cap(c, M, alpha) * c**4)
    ),
    "M enters with its square.": (
        lambda c, M, alpha: max(_q(c, M, alpha) / M, _cap(c, M, alpha) / M)
    ),
    "In the bound of the first steps c enters with its square.": (
        lambda c, M, alpha: max(_q(c, M, alpha), c * _cap(c, M, alpha))
    ),
    "In Q alpha enters with its square.": (
        lambda c, M, alpha: max(_q(c, M, alpha) / alpha, _cap(c, M, alpha))
    ),
}
"""What to say where the constants are those of a known slip."""


def _without_condition(c: float, M: float, alpha: float) -> float:
    return max(_q(c, M, alpha), _cap(c, M, alpha))


def _at_the_edge(c: float, M: float, alpha: float) -> float:
    return _without_condition(c, M, alpha) if 2 * c * alpha >= 1 else math.inf


@exercise(
    "sgd-constant",
    praise="For most alpha the first steps decide, not Q.",
    wrong=[
        *((slip, hint) for hint, slip in CONSTANTS.items()),
        (_without_condition, "promises nothing"),
        (lambda c, M, alpha: _constant(c, M, alpha) if 2 * c * alpha != 1 else 1.0, "strictly"),
        (_at_the_edge, "strictly"),
        (lambda c, M, alpha: [_constant(c, M, alpha)], "wanted is a single number"),
        (lambda c, M, alpha: 3 * _constant(c, M, alpha), "the larger of Q and"),
        (lambda c, M, alpha: None, "return"),
        (lambda c, M, alpha: math.nan, "NaN"),
    ],
)
def _sgd_constant(constant: Callable[..., Any]) -> None:
    cases = ((0.5, 3.0, 1.7), (2.0, 1.5, 0.8), (0.8, 2.0, 0.66), (3.0, 0.4, 0.18), (0.5, 1.0, 3.0))
    got = [float(numbers(constant(*case), ())) for case in cases]
    for hint, slip in CONSTANTS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-9), hint)
    expect(
        np.allclose(got, [_constant(*case) for case in cases], rtol=1e-9),
        "Return the larger of Q and j_0 M^2 / (2 c^2), with j_0 = 2 c alpha, rounded up.",
    )
    small = float(numbers(constant(0.5, 1.0, 0.3), ()))
    expect(small == math.inf, "For 2 c alpha below 1 part 1 promises nothing: return math.inf.")
    try:
        edge = float(numbers(constant(0.5, 1.0, 1.0), ()))
    except ZeroDivisionError:  # in Q
        edge = math.nan
    expect(edge == math.inf, "2 c alpha must be strictly above 1: at 1 return math.inf, too.")


# --- the exponent ---------------------------------------------------------------------------------


def _exponent(c: Array, alpha: float) -> float:
    return min(1.0, 2 * alpha * float(np.min(c)))


EXPONENTS: dict[str, Callable[[Array, float], float]] = {
    "Not for every alpha: too small ones forget the start more slowly than 1 / j.": (
        lambda c, alpha: 1.0
    ),
    "Cap it at 1: the noise does not die out faster than 1 / j.": (
        lambda c, alpha: 2 * alpha * float(np.min(c))
    ),
    "This is the steepest direction: the flattest one is the slowest.": (
        lambda c, alpha: min(1.0, 2 * alpha * float(np.max(c)))
    ),
    "This is the mean curvature: the flattest direction alone is the slowest.": (
        lambda c, alpha: min(1.0, 2 * alpha * float(np.mean(c)))
    ),
    "This is the sum of the curvatures: the flattest direction alone is the slowest.": (
        lambda c, alpha: min(1.0, 2 * alpha * float(np.sum(c)))
    ),
    "alpha is missing.": lambda c, alpha: min(1.0, 2 * float(np.min(c))),
    "This is the first direction: look for the flattest one.": (
        lambda c, alpha: min(1.0, 2 * alpha * float(c[0]))
    ),
    "This is the last direction: look for the flattest one.": (
        lambda c, alpha: min(1.0, 2 * alpha * float(c[-1]))
    ),
    "A factor 2 is missing: the error is a square.": (
        lambda c, alpha: min(1.0, alpha * float(np.min(c)))
    ),
    "This is the exponent of the distance: the error is its square.": (
        lambda c, alpha: _exponent(c, alpha) / 2
    ),
    "Check the sign: wanted is beta in j^(-beta).": lambda c, alpha: -_exponent(c, alpha),
    "The slower one of the two counts: take the smaller exponent.": (
        lambda c, alpha: max(1.0, 2 * alpha * float(np.min(c)))
    ),
}
"""What to say where the exponents are those of a known slip."""


def _listed(c: Array, alpha: float) -> Any:
    return np.minimum(1, 2 * alpha * c)


@exercise(
    "sgd-exponent",
    praise="One flat direction is enough to spoil the speed.",
    wrong=[
        *((slip, hint) for hint, slip in EXPONENTS.items()),
        (_listed, "wanted is a single number"),
        (lambda c, alpha: 3 * _exponent(c, alpha), "2 alpha times the smallest curvature"),
        (lambda c, alpha: None, "return"),
        (lambda c, alpha: math.nan, "NaN"),
    ],
)
def _sgd_exponent(exponent: Callable[..., Any]) -> None:
    cases: Sequence[tuple[Array, float]] = (
        (np.array([0.5, 0.9, 0.1, 0.3]), 0.4),
        (np.array([0.4, 0.7, 0.2, 0.35]), 0.6),
        (np.array([2.0, 3.0, 0.5, 1.0]), 4.0),
        (np.array([0.33, 0.35, 0.3, 0.31]), 1.0),
        (np.array([0.3, 0.2, 0.4, 0.25]), 0.3),
    )
    got = [float(numbers(exponent(c.copy(), alpha), ())) for c, alpha in cases]
    for hint, slip in EXPONENTS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-9), hint)
    expect(
        np.allclose(got, [_exponent(*case) for case in cases], rtol=1e-9),
        "It is 2 alpha times the smallest curvature, or 1 where that is smaller.",
    )


# --- the recursion --------------------------------------------------------------------------------


def _path(
    a: float, rates: Array, factor: Callable[[float], float], noise: Callable[[float], float]
) -> Array:
    path = [a]
    for rate in rates.tolist():
        path.append(factor(rate) * path[-1] + noise(rate))
    return np.array(path)


def _errors(a: float, c: float, s: float, rates: Array) -> Array:
    return _path(a, rates, lambda rate: (1 - c * rate) ** 2, lambda rate: (rate * s) ** 2 / 2)


RECURSIONS: dict[str, Callable[[float, float, float, Array], Array]] = {
    "The factor is a square: (1 - c rate)^2.": lambda a, c, s, rates: _path(
        a, rates, lambda rate: 1 - c * rate, lambda rate: (rate * s) ** 2 / 2
    ),
    "The factor 1 - 2 c rate belongs to the lemma's bound; for the bowl it is a square.": (
        lambda a, c, s, rates: _path(
            a, rates, lambda rate: 1 - 2 * c * rate, lambda rate: (rate * s) ** 2 / 2
        )
    ),
    "A half is missing in front of the noise.": lambda a, c, s, rates: _path(
        a, rates, lambda rate: (1 - c * rate) ** 2, lambda rate: (rate * s) ** 2
    ),
    "The noise enters with the square of s.": lambda a, c, s, rates: _path(
        a, rates, lambda rate: (1 - c * rate) ** 2, lambda rate: rate**2 * s / 2
    ),
    "The noise enters with the square of the rate.": lambda a, c, s, rates: _path(
        a, rates, lambda rate: (1 - c * rate) ** 2, lambda rate: rate * s**2 / 2
    ),
    "The noise is missing.": lambda a, c, s, rates: _path(
        a, rates, lambda rate: (1 - c * rate) ** 2, lambda rate: 0.0
    ),
    "The curvature c is missing.": lambda a, c, s, rates: _path(
        a, rates, lambda rate: (1 - rate) ** 2, lambda rate: (rate * s) ** 2 / 2
    ),
    "Check the sign: a step goes against the gradient.": lambda a, c, s, rates: _path(
        a, rates, lambda rate: (1 + c * rate) ** 2, lambda rate: (rate * s) ** 2 / 2
    ),
    "The rates are given: do not divide them by j.": lambda a, c, s, rates: _errors(
        a, c, s, rates / np.arange(1, len(rates) + 1)
    ),
    "Each step has a rate of its own: you take the first one for all.": (
        lambda a, c, s, rates: _errors(a, c, s, 0 * rates + rates[:1])
    ),
    "The first step takes rates[0]: your index is off by one.": (
        lambda a, c, s, rates: _errors(a, c, s, np.roll(rates, 1))
    ),
    "Each step starts from the last error, not from a_1.": lambda a, c, s, rates: np.append(
        a, (1 - c * rates) ** 2 * a + (rates * s) ** 2 / 2
    ),
    "These are mean squares: a_j is half of that.": lambda a, c, s, rates: (
        2 * _errors(a, c, s, rates)
    ),
}
"""What to say where the errors are those of a known slip."""


@exercise(
    "sgd-recursion",
    praise="A step with the rate 1 / c forgets the start entirely.",
    wrong=[
        *((slip, hint) for hint, slip in RECURSIONS.items()),
        (lambda a, c, s, rates: _errors(a, c, s, rates)[1:], "one entry more than rates"),
        (lambda a, c, s, rates: _errors(a, c, s, rates)[:-1], "one entry more than rates"),
        (lambda a, c, s, rates: _errors(a, c, s, rates)[-1], "wanted is shape (7,)"),
        (lambda a, c, s, rates: np.append(_errors(a, c, s, rates), 0), "has shape (8,)"),
        (lambda a, c, s, rates: 3 * _errors(a, c, s, rates), "with one rate a step"),
        (lambda a, c, s, rates: None, "return"),
        (lambda a, c, s, rates: np.full(len(rates) + 1, np.nan), "NaN"),
    ],
)
def _sgd_recursion(errors: Callable[..., Any]) -> None:
    a, c, s, rates = 2.0, 0.7, 1.6, np.array([0.9, 0.5, 0.8, 0.2, 0.4, 0.6])
    got = numbers(errors(a, c, s, rates.copy()))
    expect(got.shape != (6,), "The array has one entry more than rates: it begins with a_1.")
    numbers(got, (7,))
    for hint, slip in RECURSIONS.items():
        expect(not np.allclose(got, slip(a, c, s, rates), rtol=1e-9), hint)
    expect(
        np.allclose(got, _errors(a, c, s, rates), rtol=1e-9),
        "Start with a_1 and repeat the recursion, with one rate a step.",
    )
    alone = numbers(errors(a, c, s, np.array([])), (1,))
    expect(np.allclose(alone, a), "Without any rates the array holds a_1 alone.")
