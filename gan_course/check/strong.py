"""Checks of the page "Strong discriminators"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- how many points a distance takes -------------------------------------------------------------


def _log_ball(d: int) -> float:
    return d / 2 * math.log(math.pi) - float(gammaln(d / 2 + 1))


def _log_points(d: int, M: float, epsilon: float) -> float:
    return d * math.log(d / (d + 1) / epsilon) - math.log(M) - _log_ball(d)


def _with_gamma(d: int, M: float, epsilon: float) -> float:
    volume = math.pi ** (d / 2) / math.gamma(d / 2 + 1)
    return math.log((d / (d + 1) / epsilon) ** d / M / volume)


POINTS: dict[str, Callable[[int, float, float], float]] = {
    "A dense spot is covered with few points: M divides.": (
        lambda d, M, epsilon: _log_points(d, 1 / M, epsilon)
    ),
    "M is missing.": lambda d, M, epsilon: _log_points(d, 1.0, epsilon),
    "Large balls cover more: their volume divides.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) + 2 * _log_ball(d)
    ),
    "The volume of the unit ball is missing.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) + _log_ball(d)
    ),
    "The factor d / (d + 1) is missing.": (
        lambda d, M, epsilon: -d * math.log(epsilon) - math.log(M) - _log_ball(d)
    ),
    "The factor is d / (d + 1), and you have its inverse.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) + 2 * d * math.log((d + 1) / d)
    ),
    "M is not raised to the power d, only the rest.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) - (d - 1) * math.log(M)
    ),
    "V_d is not raised to the power d, only the rest.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) - (d - 1) * _log_ball(d)
    ),
    "M V_d is not raised to the power d, only the rest.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) - (d - 1) * (math.log(M) + _log_ball(d))
    ),
    "The factor d / (d + 1) goes into the d-th power, too.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) + (d - 1) * math.log((d + 1) / d)
    ),
    "The d-th power is missing.": (
        lambda d, M, epsilon: math.log(d / (d + 1) / epsilon) - math.log(M) - _log_ball(d)
    ),
    "The fewer points, the larger the distance: check the sign.": (
        lambda d, M, epsilon: -_log_points(d, M, epsilon)
    ),
    "This is a logarithm with base 10: the natural one is wanted.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) / math.log(10)
    ),
    "This is a logarithm with base 2: the natural one is wanted.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) / math.log(2)
    ),
    "d times the volume is the surface of the ball: its volume is wanted.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) - math.log(d)
    ),
    "Gamma of d / 2 + 1, not of d / 2.": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) - math.log(d / 2)
    ),
    "A ball, not a cube: the volume is pi^(d/2) / Gamma(d/2 + 1).": (
        lambda d, M, epsilon: _log_points(d, M, epsilon) + _log_ball(d) - d * math.log(2)
    ),
}
"""What to say where the logarithm is that of a known slip."""


@exercise(
    "strong-points",
    praise="In high dimension this is hopeless, wherever the points are placed.",
    wrong=[
        *((slip, hint) for hint, slip in POINTS.items()),
        (lambda d, M, epsilon: math.exp(min(_log_points(d, M, epsilon), 700)), "itself"),
        (_with_gamma, "too large"),
        (lambda d, M, epsilon: _log_points(d, M, epsilon) if d < 99 else math.inf, "too large"),
        (lambda d, M, epsilon: [_log_points(d, M, epsilon)], "has shape (1,)"),
        (lambda d, M, epsilon: _log_points(d, M, epsilon) + 1, "Solve"),
        (lambda d, M, epsilon: None, "return"),
    ],
)
def _strong_points(log_points: Callable[..., Any]) -> None:
    cases = ((3, 2.0, 0.2), (6, 0.7, 0.35), (1, 5.0, 0.01))
    got = [float(numbers(log_points(*case), ())) for case in cases]
    right = [_log_points(*case) for case in cases]
    expect(not np.allclose(got, np.exp(right)), "This is the number itself: take its logarithm.")
    for hint, slip in POINTS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases]), hint)
    expect(
        np.allclose(got, right),
        "Solve epsilon = d/(d+1) (n M V_d)^(-1/d) for n, and take the logarithm.",
    )
    large = "With d = 1000 your numbers are too large or too small: add logarithms, with gammaln."
    try:
        far = float(numbers(log_points(1000, 2.0, 0.5), (), nan=True))
    except (OverflowError, ZeroDivisionError, ValueError):
        far = math.nan
    expect(math.isclose(far, _log_points(1000, 2.0, 0.5), rel_tol=1e-6), large)


# --- a sample and the uniform law -----------------------------------------------------------------


def _w1_to_uniform(x: Array, *, ordered: bool = True) -> float:
    borders = np.arange(len(x) + 1) / len(x)
    x = np.sort(x) if ordered else np.asarray(x)
    return float((_area(borders[1:] - x) - _area(borders[:-1] - x)).sum())


def _area(t: Array) -> Array:
    return t * np.abs(t) / 2


def _largest_gap(x: Array) -> float:
    x, n = np.sort(x), len(x)
    return float(max((np.arange(1, n + 1) / n - x).max(), (x - np.arange(n) / n).max()))


def _nearest(x: Array) -> float:
    t = (np.arange(20_000) + 0.5) / 20_000
    return float(np.abs(t[:, None] - x).min(1).mean())


def _w2(x: Array) -> float:
    borders, x = np.arange(len(x) + 1) / len(x), np.sort(x)
    return math.sqrt((((borders[1:] - x) ** 3 - (borders[:-1] - x) ** 3) / 3).sum())


def _with_squares(x: Array) -> float:
    borders, x = np.arange(len(x) + 1) / len(x), np.sort(x)
    return float(((borders[1:] - x) ** 2 - (borders[:-1] - x) ** 2).sum() / 2)


def _folded(x: Array) -> float:
    borders, x = np.arange(len(x) + 1) / len(x), np.sort(x)
    return float(np.abs((borders[1:] - x) ** 2 - (borders[:-1] - x) ** 2).sum() / 2)


UNIFORM: dict[str, Callable[[Array], float]] = {
    "A point serves a whole stretch, not only its middle: both signs of u - x must not cancel.": (
        lambda x: float(np.abs(np.sort(x) - (np.arange(len(x)) + 0.5) / len(x)).mean())
    ),
    "A grid of n points is not the uniform law: integrate over the stretch of each point.": (
        lambda x: float(np.abs(np.sort(x) - np.linspace(0, 1, len(x))).mean())
    ),
    "A point serves a whole stretch, not only its right end.": (
        lambda x: float(np.abs(np.sort(x) - (np.arange(len(x)) + 1) / len(x)).mean())
    ),
    "A point serves a whole stretch, not only its left end.": (
        lambda x: float(np.abs(np.sort(x) - np.arange(len(x)) / len(x)).mean())
    ),
    "The points come in any order: sort them first.": lambda x: _w1_to_uniform(x, ordered=False),
    "The stretches have length 1/n already: add up, without another mean.": (
        lambda x: _w1_to_uniform(x) / len(x)
    ),
    "The stretches have length 1/n: this is n times too large.": (
        lambda x: _w1_to_uniform(x) * len(x)
    ),
    "This is the difference of the means: take |t| inside, whose antiderivative is t|t|/2.": (
        lambda x: 0.5 - float(np.mean(x))
    ),
    "This is the largest gap of the distribution functions: wanted is the area between them.": (
        lambda x: _largest_gap(x)
    ),
    "Only the means are compared: gaps of both signs must not cancel.": (
        lambda x: abs(float(np.mean(x)) - 0.5)
    ),
    "This is the distance to the nearest point, a lower bound only: each point serves 1/n.": (
        _nearest
    ),
    "This is W2, with squares: the mean of the gaps themselves is wanted.": _w2,
    "This is the square of W2: the mean of the gaps themselves is wanted.": (lambda x: _w2(x) ** 2),
    "This is the mean over pairs drawn independently, the dearest way to move.": (
        lambda x: float((np.asarray(x) ** 2 + (1 - np.asarray(x)) ** 2).mean() / 2)
    ),
}
"""What to say where the distance is that of a known slip."""


@exercise(
    "strong-uniform",
    praise="On the line a distance to the law itself can be had: no second sample is needed.",
    wrong=[
        *((slip, hint) for hint, slip in UNIFORM.items()),
        (lambda x: -_w1_to_uniform(x), "not negative"),
        (_with_squares, "t|t|/2"),
        (_folded, "must not cancel"),
        (lambda x: 1.01 * _w1_to_uniform(x), "Near"),
        (lambda x: 2 * _w1_to_uniform(x), "add up"),
        (lambda x: np.sort(x), "has shape (5,)"),
        (lambda x: math.nan, "NaN"),
    ],
)
def _strong_uniform(w1_to_uniform: Callable[..., Any]) -> None:
    cases = (
        np.array([0.9, 0.15, 0.5, 0.22, 0.71]),
        np.array([0.95, 0.35, 0.62]),
        np.array([0.3]),
        np.array([0.02, 0.9, 0.05, 0.8, 0.11, 0.13, 0.97]),
    )
    got = [float(numbers(w1_to_uniform(x.copy()), ())) for x in cases]
    for hint, slip in UNIFORM.items():
        expect(not np.allclose(got, [slip(x) for x in cases], rtol=1e-5, atol=0), hint)
    expect(min(got) >= 0, "A distance is not negative.")
    right = [_w1_to_uniform(x) for x in cases]
    exact = np.allclose(got, right, rtol=1e-6, atol=0)
    near = np.allclose(got, right, rtol=0.05, atol=0)
    expect(exact or not near, "Near, but not exact: no sample and no grid is needed.")
    expect(exact, "For each sorted point integrate |u - x| over its stretch, and add up.")


# --- the kernel's rate ----------------------------------------------------------------------------


def _mean_squared(n: int, d: int, w: float) -> float:
    return (1 - _kappa(d, 2 / (d * w**2))) / n


def _kappa(d: float, a: float) -> float:
    return float((1 + a) ** (-d / 2))


KERNEL: dict[str, Callable[[int, int, float], float]] = {
    "x - x' has twice the variance of x.": (lambda n, d, w: (1 - _kappa(d, 1 / (d * w**2))) / n),
    "The coordinates of x have the variance 1/d.": (lambda n, d, w: (1 - _kappa(d, 2 / w**2)) / n),
    "The kernel has s squared.": lambda n, d, w: (1 - _kappa(d, 2 / (d * w))) / n,
    "Divide by s squared: a wide kernel sees little.": (
        lambda n, d, w: (1 - _kappa(d, 2 * w**2 / d)) / n
    ),
    "Each coordinate gives the power -1/2, not -1.": (
        lambda n, d, w: (1 - _kappa(2 * d, 2 / (d * w**2))) / n
    ),
    "This is for one coordinate: there are d of them.": (
        lambda n, d, w: (1 - _kappa(1, 2 / (d * w**2))) / n
    ),
    "Divide by n, not by n - 1: pairs of a point with itself count.": (
        lambda n, d, w: _mean_squared(n, d, w) * n / (n - 1)
    ),
    "This falls too fast: the square is of the order 1/n.": (
        lambda n, d, w: _mean_squared(n, d, w) / n
    ),
    "The number of samples is missing.": lambda n, d, w: _mean_squared(n, d, w) * n,
    "The mean of the square is wanted, without a root.": (
        lambda n, d, w: math.sqrt(_mean_squared(n, d, w))
    ),
    "This is 1/n, the bound: E k(x, x') has to be taken off.": lambda n, d, w: 1 / n,
    "This is E k(x, x') / n: it has to be taken off from 1 first.": (
        lambda n, d, w: _kappa(d, 2 / (d * w**2)) / n
    ),
    "This is for two samples: one of the two is the law.": (
        lambda n, d, w: 2 * _mean_squared(n, d, w)
    ),
    "The exponent of the kernel has a 1/2.": (lambda n, d, w: (1 - _kappa(d, 4 / (d * w**2))) / n),
}
"""What to say where the mean square is that of a known slip."""


@exercise(
    "strong-kernel",
    praise="It is at most 1/n, whatever the dimension.",
    wrong=[
        *((slip, hint) for hint, slip in KERNEL.items()),
        (lambda n, d, w: [_mean_squared(n, d, w)], "has shape (1,)"),
        (lambda n, d, w: 3 * _mean_squared(n, d, w), "over n"),
        (lambda n, d, w: None, "return"),
    ],
)
def _strong_kernel(mean_squared_mmd: Callable[..., Any]) -> None:
    cases = ((5, 3, 0.7), (40, 2, 1.9), (7, 60, 0.4))
    got = [float(numbers(mean_squared_mmd(*case), ())) for case in cases]
    for hint, slip in KERNEL.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], atol=0), hint)
    expect(
        np.allclose(got, [_mean_squared(*case) for case in cases], atol=0),
        "(1 - E k(x, x')) over n, where x - x' is normal with mean 0.",
    )


# --- the dimension where a sample is worse than one point -----------------------------------------


@exercise(
    "strong-crossing",
    praise="Beyond it, 1000 samples are a worse stand-in for their law than one point.",
    wrong=[
        (5, "still below"),
        (30, "still below"),
        (38, "still below"),
        (51, "above the distance"),
        (1000, "above the distance"),
        (-3, "at least 1"),
        (math.nan, "NaN"),
        ("many", "not numbers"),
    ],
)
def _strong_crossing(answer: Any) -> None:
    d = float(numbers(getattr(answer, "value", answer), ()))
    expect(d >= 1, "A dimension is at least 1.")
    below = "Here the lower bound for the sample is still below the distance of the point 0:"
    expect(d > 39, f"{below} go to a higher dimension.")
    above = "Here the lower bound is above the distance of the point 0 already:"
    expect(d < 49, f"{above} look where the two means agree.")
