"""Checks of the page "A mixture, and landscapes"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gan_course import features
from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- a spurious minimum by hand -------------------------------------------------------------------


def landscape() -> features.WGAN:
    """The game of the exercise: one generator feature, so that ``J`` is a curve."""
    draw = torch.Generator().manual_seed(28)
    generator = features.random_generator(1, 2, 1, draw, scale=1.0)
    critic = features.random_critic(2, 2, draw)
    real = critic.mean(features.published_mixture())
    return features.WGAN(generator, critic, features.trapezoid(1, 0.2), real)


def stationary_points() -> tuple[float, float, float]:
    """The spurious minimum, the maximum and the global minimum, in this order on the line."""
    starts = torch.tensor([[-2.0], [1.0]]).double()
    spurious, best = features.descend(landscape(), starts).theta[:, 0].tolist()
    between = torch.linspace(spurious, best, 4001).double()
    top = landscape().objective(between[:, None]).argmax()
    return spurious, float(between[top]), best


@exercise(
    "mixture-trap",
    praise="Both sides rise, and J is not zero: gradient descent that starts here ends here.",
    wrong=[
        (1.1, "global minimum"),
        (-0.24, "a maximum"),
        (4.0, "to the left"),
        (0.3, "to the left"),
        (-1.5, "farther left"),
        (-2.4, "back to the right"),
        (-5.0, "back to the right"),
        ("left", "not numbers"),
        (None, "return"),
        (math.nan, "NaN"),
        ([-1.9, -2.0], "wanted is a single number"),
    ],
)
def _mixture_trap(answer: Any) -> None:
    found = numbers(getattr(answer, "value", answer))
    theta = float(found.reshape(()) if found.size == 1 else numbers(found, ()))
    spurious, top, best = stationary_points()
    expect(abs(theta - best) > 0.1, "This is the global minimum: J is nearly zero here.")
    expect(abs(theta - top) > 0.1, "This is a maximum: both sides fall.")
    expect(theta < top, "On this side J falls to the global minimum: look to the left of the hill.")
    expect(theta < spurious + 0.1, "J still falls here as theta falls: go farther left.")
    expect(theta > spurious - 0.1, "J falls here as theta grows: go back to the right.")


# --- what a search says that found nothing --------------------------------------------------------


def _largest(n: int, level: float) -> float:
    return 1 - (1 - level) ** (1 / n)


SHARES: dict[str, Callable[[int, float], float]] = {
    "The search found none, but the share may still be positive.": lambda n, level: 0.0,
    "This is the share below which nothing is seen with probability level: exchange level and "
    "1 - level.": lambda n, level: 1 - level ** (1 / n),
    "This is the two-sided limit: here only large shares are in question.": (
        lambda n, level: 1 - ((1 - level) / 2) ** (1 / n)
    ),
    "This is the share without one: wanted is 1 minus it.": lambda n, level: (1 - level) ** (1 / n),
    "This is the rule of three, which is for the level 0.95 and only nearly right.": (
        lambda n, level: 3 / n
    ),
    "This is the approximation for large n: solve (1 - p)^n = 1 - level exactly.": (
        lambda n, level: -math.log(1 - level) / n
    ),
    "This is one draw's share: it is not a bound at a level.": lambda n, level: 1 / n,
    "This divides the level among the draws, as if one of them had to decide.": (
        lambda n, level: level / n
    ),
    "The n-th root is missing: n draws must all find nothing.": lambda n, level: level,
    "This is the chance that n draws all find nothing where the share is level.": (
        lambda n, level: (1 - level) ** n
    ),
}
"""What to say where the shares are those of a known slip."""


@exercise(
    "mixture-silence",
    praise="At the level 0.95 it is about 3 / n: silence of 200 draws leaves room for 1.5 %.",
    wrong=[
        *((slip, hint) for hint, slip in SHARES.items()),
        (lambda n, level: 100 * _largest(n, level), "not percent"),
        (lambda n, level: 0.9 * _largest(n, level), "with probability 1 - level"),
        (lambda n, level: [_largest(n, level)], "wanted is a single number"),
        (lambda n, level: "small", "not numbers"),
        (lambda n, level: None, "return"),
        (lambda n, level: math.nan, "NaN"),
    ],
)
def _mixture_silence(largest_share: Callable[..., Any]) -> None:
    cases = ((20, 0.9), (200, 0.95), (5, 0.99))
    got = [float(numbers(largest_share(*case), ())) for case in cases]
    for hint, slip in SHARES.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-9, atol=0), hint)
    right = [_largest(*case) for case in cases]
    percent = np.allclose(got, np.multiply(100, right), rtol=1e-9)
    expect(not percent, "Return a share between 0 and 1, not percent.")
    expect(
        np.allclose(got, right, rtol=1e-9),
        "Find the share p at which n draws all find nothing with probability 1 - level.",
    )


# --- how steep a saturated landscape can be -------------------------------------------------------


def _margin(points: Array, a: Array, b: Array) -> float:
    return float(np.abs(points @ a.T + b).min())


def _bound(points: Array, a: Array, b: Array, r: Array, width: int, margin: float) -> float:
    size = math.sqrt(points.shape[1] * width) * np.linalg.norm(a) * np.linalg.norm(r)
    return float(4 * size * math.exp(-2 * margin))


def _right(points: Array, a: Array, b: Array, r: Array, width: int) -> float:
    return _bound(points, a, b, r, width, _margin(points, a, b))


Slope = Callable[[Array, Array, Array, Array, int], float]

SLOPES: dict[str, Slope] = {
    "The margin needs absolute values: points may lie on either side of a line.": (
        lambda x, a, b, r, N: _bound(x, a, b, r, N, float((x @ a.T + b).min()))
    ),
    "The margin is the smallest distance, over all points and features, not the largest.": (
        lambda x, a, b, r, N: _bound(x, a, b, r, N, float(np.abs(x @ a.T + b).max()))
    ),
    "The margin is the smallest number, not the mean.": (
        lambda x, a, b, r, N: _bound(x, a, b, r, N, float(np.abs(x @ a.T + b).mean()))
    ),
    "The feature with the smallest bias need not come nearest to 0: ask all of them.": (
        lambda x, a, b, r, N: _bound(
            x, a, b, r, N, _margin(x, a[[np.abs(b).argmin()]], b[[np.abs(b).argmin()]])
        )
    ),
    "The biases are missing in the margin.": (
        lambda x, a, b, r, N: _bound(x, a, b, r, N, _margin(x, a, 0 * b))
    ),
    "The margin is |a . x + b| itself, not divided by |a|: that is what tanh sees.": (
        lambda x, a, b, r, N: _bound(
            x, a, b, r, N, float((np.abs(x @ a.T + b) / np.linalg.norm(a, axis=1)).min())
        )
    ),
    "The exponent is -2 M: tanh' decays like 4 exp(-2 |u|).": (
        lambda x, a, b, r, N: _right(x, a, b, r, N) * math.exp(_margin(x, a, b))
    ),
    "The sign of the exponent: a larger margin has a smaller gradient.": (
        lambda x, a, b, r, N: _bound(x, a, b, r, N, -_margin(x, a, b))
    ),
    "This is the spectral norm of A: wanted is the Frobenius norm.": (
        lambda x, a, b, r, N: (
            _right(x, a, b, r, N) * float(np.linalg.norm(a, 2) / np.linalg.norm(a))
        )
    ),
    "The factor is the length |r|, not its square.": (
        lambda x, a, b, r, N: _right(x, a, b, r, N) * float(np.linalg.norm(r))
    ),
    "The factor is the length |r|, not the sum of absolute values.": (
        lambda x, a, b, r, N: _right(x, a, b, r, N) * float(np.abs(r).sum() / np.linalg.norm(r))
    ),
    "The factor |r| is missing.": (
        lambda x, a, b, r, N: _right(x, a, b, r, N) / float(np.linalg.norm(r))
    ),
    "The factor 4 is missing.": lambda x, a, b, r, N: _right(x, a, b, r, N) / 4,
    "The factor is the square root of n N_g: this is the bound of one derivative.": (
        lambda x, a, b, r, N: _right(x, a, b, r, N) / math.sqrt(N)
    ),
    "The square root of n is missing: a feature has n coordinates.": (
        lambda x, a, b, r, N: _right(x, a, b, r, N) / math.sqrt(x.shape[1])
    ),
    "The factor n N_g stands under a square root.": (
        lambda x, a, b, r, N: _right(x, a, b, r, N) * math.sqrt(x.shape[1] * N)
    ),
    "n is the dimension of the points, not the number of the critic's features.": (
        lambda x, a, b, r, N: _right(x, a, b, r, N) * math.sqrt(len(a) / x.shape[1])
    ),
}
"""What to say where the bound is that of a known slip."""


@exercise(
    "mixture-slope",
    praise="At the margin 12 it is below a billionth of what it is at 1.",
    wrong=[
        *((slip, hint) for hint, slip in SLOPES.items()),
        (lambda x, a, b, r, N: np.abs(x @ a.T + b).min(0), "wanted is a single number"),
        (lambda x, a, b, r, N: 3 * _right(x, a, b, r, N), "part 1"),
        (lambda x, a, b, r, N: None, "return"),
        (lambda x, a, b, r, N: math.nan, "NaN"),
    ],
)
def _mixture_slope(largest_slope: Callable[..., Any]) -> None:
    rng = np.random.default_rng(6)
    cases = []
    for points, rows, n, width in ((7, 4, 3, 11), (9, 5, 2, 6)):
        a, b, r = rng.normal(size=(rows, n)), 3 * rng.normal(size=rows), rng.normal(size=rows)
        cases.append((0.4 * rng.normal(size=(points, n)), a, b, r, width))
    sloped = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])  # the third one comes nearest to 0
    places, shift = np.array([[1.2, 1.4], [0.9, 1.2]]), np.array([0.5, 2.5, -3.0])
    cases.append((places, sloped, shift, np.array([0.3, -1.2, 0.8]), 5))
    copies = [(*(array.copy() for array in case[:4]), case[4]) for case in cases]
    got = [float(numbers(largest_slope(*copy), ())) for copy in copies]
    for hint, slip in SLOPES.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-9, atol=0), hint)
    expect(
        np.allclose(got, [_right(*case) for case in cases], rtol=1e-9, atol=0),
        "Compute the margin M first, then 4 sqrt(n N_g) |A|_F |r| exp(-2 M), as in part 1.",
    )
