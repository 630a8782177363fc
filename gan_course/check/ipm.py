"""Checks of the page "Integral probability metrics"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import null_space

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- all functions in an interval -----------------------------------------------------------------


def _tv(p: Array, q: Array) -> float:
    return float(np.abs(p - q).sum() / 2)


GAPS: dict[str, Callable[[Array, Array, float, float], float]] = {
    "Half of the sum of |p - q| is their total variation distance: you took the whole sum.": (
        lambda p, q, low, high: 2 * (high - low) * _tv(p, q)
    ),
    "The width of the interval is missing: functions on [0, 1] give this.": (
        lambda p, q, low, high: _tv(p, q)
    ),
    "The width of the interval is missing, and functions on [-1, 1] give this.": (
        lambda p, q, low, high: 2 * _tv(p, q)
    ),
    "Check a sign: f is high where p > q and low elsewhere, and the second part is subtracted.": (
        lambda p, q, low, high: (high + low) * _tv(p, q)
    ),
    "A bound on |f| is something else: here f lies between low and high.": (
        lambda p, q, low, high: 2 * max(abs(low), abs(high)) * _tv(p, q)
    ),
    "Without absolute values the differences cancel: the weights sum to 1.": (
        lambda p, q, low, high: 0.0
    ),
    "f may be high at many places at once: add them up.": (
        lambda p, q, low, high: (high - low) * float(np.abs(p - q).max())
    ),
    "Elsewhere f is low, not 0: then only the width of the interval counts.": (
        lambda p, q, low, high: float(np.where(p > q, high, 0.0) @ (p - q))
    ),
    "Add up the differences: to take their mean divides by their number.": (
        lambda p, q, low, high: (high - low) * float(np.abs(p - q).mean() / 2)
    ),
    "Half of the sum of the differences is wanted, not their mean.": (
        lambda p, q, low, high: (high - low) * float(np.abs(p - q).mean())
    ),
    "The differences are added up, not their squares.": (
        lambda p, q, low, high: (high - low) * float(np.linalg.norm(p - q))
    ),
    "This is the mean of the best f under p: subtract its mean under q.": (
        lambda p, q, low, high: float(np.where(p > q, high, low) @ p)
    ),
    "This is the gap of the worst f: it is high where p > q.": (
        lambda p, q, low, high: -(high - low) * _tv(p, q)
    ),
}
"""What to say where the distance is that of a known slip."""


@exercise(
    "ipm-range",
    praise="Where the interval lies does not matter: a constant is never seen.",
    wrong=[
        *((slip, hint) for hint, slip in GAPS.items()),
        (lambda p, q, low, high: (high - low) * np.abs(p - q) / 2, "has shape (5,)"),
        (lambda p, q, low, high: 5 * _tv(p, q), "some intervals only"),
        (lambda p, q, low, high: 3 * (high - low) * _tv(p, q), "The width times"),
    ],
)
def _ipm_range(largest_gap: Callable[..., Any]) -> None:
    p, q = np.array([0.31, 0.02, 0.25, 0.4, 0.02]), np.array([0.1, 0.3, 0.2, 0.05, 0.35])
    cases = ((-2.0, 3.0), (0.0, 1.0), (1.5, 2.25), (-0.4, -0.1))
    got = [float(numbers(largest_gap(p.copy(), q.copy(), *case), ())) for case in cases]
    for hint, slip in GAPS.items():
        expect(not np.allclose(got, [slip(p, q, *case) for case in cases]), hint)
    right = [(high - low) * _tv(p, q) for low, high in cases]
    expect(
        np.allclose(got, right) or not np.isclose(got[0], right[0]),
        "This is right for some intervals only: use both ends.",
    )
    expect(np.allclose(got, right), "The width times the total variation distance.")


# --- without bias ---------------------------------------------------------------------------------


def _off(k: Array) -> float:
    return float((k.sum() - np.trace(k)) / (len(k) * (len(k) - 1)))


def _estimate(xx: Array, xy: Array, yy: Array) -> float:
    return _off(xx) - 2 * float(xy.mean()) + _off(yy)


def _assuming_ones(k: Array) -> float:
    return float((k.sum() - len(k)) / (len(k) * (len(k) - 1)))


def _over_all(k: Array) -> float:
    return float((k.sum() - np.trace(k)) / len(k) ** 2)


def _debiased(k: Array) -> float:
    return float(k.mean() - (np.trace(k) / len(k) - k.mean()) / len(k))


def _rectangle(k: Array) -> float:
    short = min(k.shape)
    return float((k.sum() - np.trace(k)) / (k.size - short))


SQUARES: dict[str, Callable[[Array, Array, Array], float]] = {
    "This is the estimate with bias: leave out the pairs of a point with itself.": (
        lambda xx, xy, yy: float(xx.mean() - 2 * xy.mean() + yy.mean())
    ),
    "The diagonal is not 1 here: subtract what stands on it.": (
        lambda xx, xy, yy: _assuming_ones(xx) - 2 * float(xy.mean()) + _assuming_ones(yy)
    ),
    "You left the diagonals out of the sums: leave them out of the counts, too.": (
        lambda xx, xy, yy: _over_all(xx) - 2 * float(xy.mean()) + _over_all(yy)
    ),
    "Divide by n (n - 1) for each sample: all values are still in the sum.": (
        lambda xx, xy, yy: float(
            xx.sum() / (len(xx) * (len(xx) - 1))
            - 2 * xy.mean()
            + yy.sum() / (len(yy) * (len(yy) - 1))
        )
    ),
    "Every pair stands in a matrix twice: the sum has n (n - 1) terms.": (
        lambda xx, xy, yy: 2 * _off(xx) - 2 * float(xy.mean()) + 2 * _off(yy)
    ),
    "No pair between two samples is a point with itself: take the mean of all of xy.": (
        lambda xx, xy, yy: _off(xx) - 2 * _rectangle(xy) + _off(yy)
    ),
    "The term between the samples has the factor 2.": (
        lambda xx, xy, yy: _off(xx) - float(xy.mean()) + _off(yy)
    ),
    "The term between the samples is subtracted.": (
        lambda xx, xy, yy: _off(xx) + 2 * float(xy.mean()) + _off(yy)
    ),
    "The square is wanted: its root would not be without bias.": (
        lambda xx, xy, yy: math.sqrt(max(_estimate(xx, xy, yy), 0.0))
    ),
    "You count each pair once, and divide by twice their number.": (
        lambda xx, xy, yy: _off(xx) / 2 - 2 * float(xy.mean()) + _off(yy) / 2
    ),
    "You subtract an estimate of the bias that has a bias itself: leave the diagonals out.": (
        lambda xx, xy, yy: _debiased(xx) - 2 * float(xy.mean()) + _debiased(yy)
    ),
    "Take means, not sums.": (
        lambda xx, xy, yy: float(xx.sum() - np.trace(xx) - 2 * xy.sum() + yy.sum() - np.trace(yy))
    ),
    "Check the sign: similar points within a sample count as plus.": (
        lambda xx, xy, yy: -_estimate(xx, xy, yy)
    ),
    "The other sample has a size of its own.": (
        lambda xx, xy, yy: (
            _off(xx)
            - 2 * float(xy.mean())
            + float((yy.sum() - np.trace(yy)) / (len(xx) * (len(xx) - 1)))
        )
    ),
}
"""What to say where the estimate is that of a known slip."""


@exercise(
    "ipm-unbiased",
    praise="It may be negative, as an estimate of 0 without bias must sometimes be.",
    wrong=[
        *((slip, hint) for hint, slip in SQUARES.items()),
        (lambda xx, xy, yy: xx.mean(1) - 2 * xy.mean(1), "has shape (6,)"),
        (lambda xx, xy, yy: max(_estimate(xx, xy, yy), 0.0), "may be negative"),
        (lambda xx, xy, yy: 3 * _estimate(xx, xy, yy), "three means"),
    ],
)
def _ipm_unbiased(unbiased: Callable[..., Any]) -> None:
    rng = np.random.default_rng(4)
    cases = []
    for shift in (1.5, 0.0):
        x, y = rng.normal(size=(6, 2)), rng.normal(size=(4, 2)) + shift
        cases.append((x @ x.T, x @ y.T, y @ y.T))  # the linear kernel
    cases[1] = (cases[1][0], np.abs(cases[1][1]) + 1.0, cases[1][2])  # surely negative
    got = [float(numbers(unbiased(*(k.copy() for k in case)), ())) for case in cases]
    for hint, slip in SQUARES.items():
        expect(not np.allclose(got, [slip(*case) for case in cases]), hint)
    right = [_estimate(*case) for case in cases]
    expect(
        not (np.isclose(got[0], right[0]) and got[1] == 0),
        "The estimate may be negative: to cut it off at 0 brings back a bias.",
    )
    expect(
        np.allclose(got, right),
        "Add up three means: over pairs of different points within each sample, and over all pairs "
        "between them with the factor -2.",
    )


# --- twins ----------------------------------------------------------------------------------------


def _twins(places: Array) -> tuple[Array, Array]:
    mu = null_space(places ** np.arange(len(places) - 1)[:, None])[:, 0]
    mu = mu / mu.clip(0).sum()
    return mu.clip(0), (-mu).clip(0)


def _normalized(mu: Array) -> tuple[Array, Array]:
    return mu.clip(0) / mu.clip(0).sum(), (-mu).clip(0) / (-mu).clip(0).sum()


def _alternating(places: Array) -> tuple[Array, Array]:
    return _normalized(np.where(np.argsort(np.argsort(places)) % 2 == 0, 1.0, -1.0))


def _raw(places: Array) -> tuple[Array, Array]:
    mu = null_space(places ** np.arange(len(places) - 1)[:, None])[:, 0]
    return mu.clip(0), (-mu).clip(0)


def _blurred(places: Array) -> tuple[Array, Array]:
    p, q = _twins(places)
    flat = 1 / len(places)
    return (p + flat) / 2, (q + flat) / 2


@exercise(
    "ipm-twins",
    praise="They have nothing in common, and polynomials of this degree cannot tell.",
    wrong=[
        (lambda x: (np.full(len(x), 1 / len(x)),) * 2, "the same law"),
        (lambda x: (_twins(x)[0] - _twins(x)[1],) * 2, "negative"),
        (lambda x: (_twins(x)[0] - _twins(x)[1], _twins(x)[1] - _twins(x)[0]), "negative"),
        (_raw, "sum to 1"),
        (_blurred, "place in common"),
        (
            lambda x: _normalized(null_space(x ** np.arange(1, len(x) - 1)[:, None])[:, 0]),
            "power 0",
        ),
        (lambda x: _normalized(null_space(x ** np.arange(len(x) - 2)[:, None])[:, 0]), "n - 2"),
        (_alternating, "order 1 differ"),
        (lambda x: _twins(x)[0], "pair"),
        (lambda x: (_twins(x)[0][:-1], _twins(x)[1]), "has shape"),
        (lambda x: (_twins(x)[0], None), "returns nothing"),
        (lambda x: tuple(w[np.argsort(x)] for w in _twins(x)), "order of the places"),
    ],
)
def _ipm_twins(twins: Callable[..., Any]) -> None:
    cases = ([0.9, -0.8, 0.1, 0.35], [-0.3, 0.95, -0.9, 0.2, 0.62, -0.55, 0.05])
    for places in map(np.array, cases):
        answer = twins(places.copy())
        pair = isinstance(answer, (tuple, list, np.ndarray)) and len(answer) == 2
        expect(pair, "Return a pair of arrays: `return p, q`.")
        p, q = (numbers(weights, places.shape) for weights in answer)
        expect(not np.allclose(p, q) or bool((p < 0).any()), "p and q are the same law.")
        expect(
            bool((p >= -1e-12).all() and (q >= -1e-12).all()),
            "Some weights are negative: take the positive and the negative part apart.",
        )
        expect(
            math.isclose(p.sum(), 1, rel_tol=1e-9) and math.isclose(q.sum(), 1, rel_tol=1e-9),
            "The weights of each law must sum to 1.",
        )
        expect(bool((np.minimum(p, q) < 1e-12).all()), "They must have no place in common.")
        _same_moments(places, p, q)


def _same_moments(places: Array, p: Array, q: Array) -> None:
    top = len(places) - 2
    wrong = [j for j in range(1, top + 1) if abs(places**j @ (p - q)) > 1e-9]
    if not wrong:
        return
    resorted = np.empty_like(p), np.empty_like(q)
    for new, old in zip(resorted, (p, q), strict=True):
        new[np.argsort(places)] = old
    expect(
        any(abs(places**j @ (resorted[0] - resorted[1])) > 1e-9 for j in range(1, top + 1)),
        "Keep the order of the places: they need not be sorted.",
    )
    expect(wrong != [top], f"The moments of order {top} differ: the powers go up to n - 2.")
    expect(
        False,
        f"The moments of order {wrong[0]} differ. Is p - q orthogonal to all powers, and is the "
        "power 0 among them? Else the two parts have different sums.",
    )


# --- how MMD pulls a point ------------------------------------------------------------------------


def _kernel(theta: float, s: float) -> float:
    return math.exp(-(theta**2) / (2 * s**2))


def _distance(theta: float, s: float) -> float:
    return math.sqrt(2 - 2 * _kernel(theta, s))


def _slope(theta: float, s: float) -> float:
    return theta * _kernel(theta, s) / s**2 / _distance(theta, s)


def _narrow(theta: float, s: float) -> float:  # with the kernel exp(-theta^2 / s^2)
    k = math.exp(-(theta**2) / s**2)
    return 2 * theta * k / s**2 / math.sqrt(2 - 2 * k)


SLOPES: dict[str, Callable[[float, float], float]] = {
    "This is the derivative of the square: divide by twice the distance.": (
        lambda theta, s: 2 * theta * _kernel(theta, s) / s**2
    ),
    "This is the distance: its derivative is wanted.": _distance,
    "This is the squared distance: the derivative of its root is wanted.": (
        lambda theta, s: _distance(theta, s) ** 2
    ),
    "For negative theta the distance falls as theta grows: keep the sign.": (
        lambda theta, s: abs(_slope(theta, s))
    ),
    "Check the sign: the distance grows away from 0.": lambda theta, s: -_slope(theta, s),
    "The root brings a factor: the derivative of sqrt(u) is u' / (2 sqrt(u)).": (
        lambda theta, s: 2 * _slope(theta, s)
    ),
    "A factor 2 is missing: MMD^2 is 2 - 2k.": lambda theta, s: _slope(theta, s) / 2,
    "The exponent's derivative is -theta / s^2: the bandwidth is missing.": (
        lambda theta, s: _slope(theta, s) * s**2
    ),
    "The exponent's derivative is -theta / s^2: s enters with its square.": (
        lambda theta, s: _slope(theta, s) * s
    ),
    "The exponent is theta^2 / (2 s^2): the 2 is missing.": _narrow,
    "The kernel itself is missing from its derivative.": (
        lambda theta, s: _slope(theta, s) / _kernel(theta, s)
    ),
    "Divide by the distance, not by its square.": (
        lambda theta, s: _slope(theta, s) / _distance(theta, s)
    ),
    "This is the quotient of distance and theta: the derivative is wanted.": (
        lambda theta, s: _distance(theta, s) / theta
    ),
}
"""What to say where the slope is that of a known slip."""


@exercise(
    "ipm-slope",
    praise="Near 0 it is 1 / s, and far away it is nothing.",
    wrong=[
        *((slip, hint) for hint, slip in SLOPES.items()),
        (lambda theta, s: [_slope(theta, s)], "has shape (1,)"),
        (lambda theta, s: _slope(theta, 1.0), "one bandwidth only"),
        (lambda theta, s: 3 * _slope(theta, s), "chain rule"),
    ],
)
def _ipm_slope(slope: Callable[..., Any]) -> None:
    cases = ((0.7, 1.0), (-1.6, 1.0), (2.2, 1.7), (-0.3, 0.6))
    got = [float(numbers(slope(*case), ())) for case in cases]
    for hint, slip in SLOPES.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-6), hint)
    right = [_slope(*case) for case in cases]
    expect(
        np.allclose(got, right, rtol=1e-6) or not np.allclose(got[:2], right[:2], rtol=1e-6),
        "This is right for one bandwidth only: use the s that is given.",
    )
    expect(
        np.allclose(got, right, rtol=1e-6),
        "By the chain rule: theta k / s^2, divided by the distance, with the kernel k at theta.",
    )


# --- a bandwidth for ripples ----------------------------------------------------------------------


@exercise(
    "ipm-dial",
    praise=(
        "One over the frequency. Slower ripples this kernel sees as well; to ripples four times as "
        "fast it is nearly blind."
    ),
    wrong=[
        (1.0, "the start"),
        (0.785, "wavelength"),
        (8.0, "one over"),
        (0.3, "too wide"),
        (0.16, "a little too wide"),
        (0.09, "a little too narrow"),
        (0.085, "hardly any pair"),
        (0.2, "averages over the waves"),
        (0.02, "too narrow"),
        (0.0, "positive"),
        (-0.125, "positive"),
        ("small", "not numbers"),
        ([0.125], "has shape (1,)"),
    ],
)
def _ipm_dial(answer: Any) -> None:
    s = float(numbers(getattr(answer, "value", answer), ()))
    expect(s > 0, "A bandwidth is positive.")
    expect(s != 1.0, "This is the start: there the ripples are all but invisible.")
    expect(
        not 0.78 <= s <= 0.79,
        "This is the wavelength of the ripples: a kernel as wide as a wave averages over it.",
    )
    expect(s != 8.0, "This is the frequency: the bandwidth is of the size of one over it.")
    expect(s < 0.18, "This is too wide: the kernel averages over the waves.")
    expect(s < 0.1525, "This is a little too wide: look for the top of the curve.")  # 98 % of it
    expect(s > 0.0875, "This is too narrow: hardly any pair of points is near enough.")
    expect(s > 0.0975, "This is a little too narrow: look for the top of the curve.")
