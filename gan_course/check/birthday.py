"""Checks of the page "The birthday test"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import exercise, expect, expect_reached, numbers

Array = NDArray[np.float64]
Labels = NDArray[np.int64]

# --- the effective support ------------------------------------------------------------------------


def _counts(labels: Labels) -> Labels:
    return np.unique(labels, return_counts=True)[1]


def _pairs(labels: Labels) -> float:
    counts = _counts(labels)
    return float((counts * (counts - 1)).sum() / 2)


def _support(labels: Labels) -> float:
    return math.comb(len(labels), 2) / _pairs(labels)


SUPPORTS: dict[str, Callable[[Labels], float]] = {
    "A draw does not collide with itself: leave these pairs out, above and below.": (
        lambda x: len(x) ** 2 / float((_counts(x) ** 2).sum())
    ),
    "This is the number of different values seen, a lower bound of the support.": (
        lambda x: float(len(_counts(x)))
    ),
    "You count each colliding pair twice.": lambda x: _support(x) / 2,
    "You count the colliding pairs once and all pairs twice.": lambda x: 2 * _support(x),
    "Of s draws there are s (s - 1) / 2 pairs, not s^2 / 2.": (
        lambda x: len(x) ** 2 / (2 * _pairs(x))
    ),
    "Count pairs, not the values that occur again: three equal draws make three pairs.": (
        lambda x: math.comb(len(x), 2) / float((_counts(x) > 1).sum())
    ),
    "Count pairs, not repeated draws: three equal draws make three pairs.": (
        lambda x: math.comb(len(x), 2) / float(len(x) - len(_counts(x)))
    ),
    "This is the rate of collisions; the effective support is its reciprocal.": (
        lambda x: 1 / _support(x)
    ),
    "This is the number of colliding pairs: divide the number of all pairs by it.": _pairs,
    "This looks at the number of draws only, as if half of all such samples collided.": (
        lambda x: len(x) ** 2 / (2 * math.log(2))
    ),
}
"""What to say where the estimate is that of a known slip."""


@exercise(
    "birthday-support",
    praise="Its reciprocal is unbiased; it is not, and without a pair it is infinite.",
    wrong=[
        *((slip, hint) for hint, slip in SUPPORTS.items()),
        (lambda x: [_support(x)], "has shape (1,)"),
        (lambda x: _support(x) + 1, "All pairs over colliding pairs"),
        (lambda x: 1.1 * _support(x), "All pairs over colliding pairs"),
    ],
)
def _birthday_support(effective_support: Callable[..., Any]) -> None:
    cases = [
        np.array(x)
        for x in ([5, 9, 5, 2, 11, 5, 9, 40, 13, 8, 6], [31, 31, 4, 31, 31, 17, 90, 17], [3, 8, 3])
    ]
    got = np.array([float(numbers(effective_support(x.copy()), ())) for x in cases])
    for hint, slip in SUPPORTS.items():
        expect(not np.allclose(got, [slip(x) for x in cases], rtol=1e-6), hint)
    right = [_support(x) for x in cases]
    expect(
        np.allclose(got, right, rtol=1e-6),
        "All pairs over colliding pairs: a value that occurs k times makes k (k - 1) / 2 of these.",
    )


# --- draws for a collision ------------------------------------------------------------------------


def _none(support: int, draws: int) -> float:
    return math.prod(1 - i / support for i in range(draws))


def _draws(support: int, probability: float) -> int:
    s = 1
    while 1 - _none(support, s) < probability:
        s += 1
    return s


def _rounded(support: int, probability: float) -> int:
    return math.ceil(math.sqrt(-2 * support * math.log1p(-probability)))


def _same_as_mine(support: int, probability: float) -> int:
    if support == 1:
        return 2
    return 1 + math.ceil(math.log1p(-probability) / math.log1p(-1 / support))


def _bounded(support: int, probability: float) -> int:
    s = 1
    while -math.expm1(-s * (s - 1) / (2 * support)) < probability:
        s += 1
    return s


def _expected(support: int, probability: float) -> int:
    s = 1
    while s * (s - 1) / (2 * support) < probability:
        s += 1
    return s


DRAWS: dict[str, Callable[[int, float], int]] = {
    "This is one draw too few: the probability must be reached.": lambda n, p: _draws(n, p) - 1,
    "One draw fewer is enough already.": lambda n, p: _draws(n, p) + 1,
    "The rule with the square root is an approximation: take the product itself.": _rounded,
    "This takes the exponential bound for the probability: take the product itself.": _bounded,
    "This takes the mean number of pairs for the probability: take the product itself.": _expected,
    "You ask that no two are equal with the given probability; take one minus it.": (
        lambda n, p: _draws(n, 1 - p)
    ),
    "You ask for a draw that equals the first one: any two may be equal.": _same_as_mine,
    "Half the number of values is far more than is needed: count pairs, not draws.": (
        lambda n, p: math.ceil(n * p)
    ),
    "This is the square of a number of draws: where is the root?": (
        lambda n, p: math.ceil(-2 * n * math.log1p(-p))
    ),
}
"""What to say where the number of draws is that of a known slip."""


@exercise(
    "birthday-draws",
    praise="It grows like the root of the support: for a million values 1178 draws reach one half.",
    wrong=[
        *((slip, hint) for hint, slip in DRAWS.items()),
        (lambda n, p: next(s for s in range(1, n + 2) if 1 - _none(n, s) > p), "reach 1/N exactly"),
        (lambda n, p: [_draws(n, p)], "has shape (1,)"),
        (lambda n, p: math.sqrt(2 * n * math.log(2)), "a whole number"),
        (lambda n, p: _draws(365, p), "Multiply the factors"),
        (lambda n, p: _draws(n, 0.5), "Multiply the factors"),
    ],
)
def _birthday_draws(draws_needed: Callable[..., Any]) -> None:
    cases = [(365, 0.5), (365, 0.9), (10, 0.995), (10_000, 0.5), (37, 0.2), (1, 0.7), (5000, 0.05)]
    got = [float(numbers(draws_needed(*case), ())) for case in cases]
    expect(all(s == round(s) for s in got), "A number of draws is a whole number.")
    for hint, slip in DRAWS.items():
        expect(got != [slip(*case) for case in cases], hint)
    expect(
        got == [_draws(*case) for case in cases],
        "Multiply the factors 1 - i / N until one minus the product reaches the probability.",
    )
    ties = [2**k for k in range(1, 13)]
    drawn = [float(numbers(draws_needed(n, 1 / n), ())) for n in ties]
    hint = "At least the probability is wanted, and two draws reach 1/N exactly."
    expect_reached(drawn, [2] * len(ties), hint)


# --- the variance of the number of pairs ----------------------------------------------------------


def _moment(q: Array, k: int) -> float:
    return float((q**k).sum())


def _binomial(q: Array, s: int) -> float:
    c = _moment(q, 2)
    return math.comb(s, 2) * c * (1 - c)


def _excess(q: Array, s: int) -> float:
    return s * (s - 1) * (s - 2) * (_moment(q, 3) - _moment(q, 2) ** 2)


def _variance(q: Array, s: int) -> float:
    return _binomial(q, s) + _excess(q, s)


VARIANCES: dict[str, Callable[[Array, int], float]] = {
    "This is the binomial variance: pairs with a common draw are correlated.": _binomial,
    "This is the mean number of pairs, the variance of a Poisson law.": (
        lambda q, s: math.comb(s, 2) * _moment(q, 2)
    ),
    "Every covariance counts twice, once for each order of the two pairs.": (
        lambda q, s: _binomial(q, s) + _excess(q, s) / 2
    ),
    "Three draws hold three pairs, and so six ordered pairs of pairs.": (
        lambda q, s: _binomial(q, s) + _excess(q, s) / 6
    ),
    "Three draws hold three pairs of pairs, each in two orders: six, not two.": (
        lambda q, s: _binomial(q, s) + _excess(q, s) / 3
    ),
    "The covariance is a difference: subtract the square of the collision probability.": (
        lambda q, s: _binomial(q, s) + s * (s - 1) * (s - 2) * _moment(q, 3)
    ),
    "Of s draws there are s (s - 1) / 2 pairs: you count each twice in the first term.": (
        lambda q, s: 2 * _binomial(q, s) + _excess(q, s)
    ),
    "The variances are missing: these are the covariances alone.": _excess,
    "The variance of one indicator is c (1 - c), not c.": (
        lambda q, s: math.comb(s, 2) * _moment(q, 2) + _excess(q, s)
    ),
    "Pairs with a common draw are positively correlated: check the sign.": (
        lambda q, s: _binomial(q, s) - _excess(q, s)
    ),
    "Pairs without a common draw are independent: not all pairs of pairs have a covariance.": (
        lambda q, s: (
            _binomial(q, s)
            + math.comb(s, 2) * (math.comb(s, 2) - 1) * (_moment(q, 3) - _moment(q, 2) ** 2)
        )
    ),
    "This is the standard deviation.": lambda q, s: math.sqrt(_variance(q, s)),
}
"""What to say where the variance is that of a known slip."""


@exercise(
    "birthday-variance",
    praise="For equally likely values the second term is zero: the binomial variance is left.",
    wrong=[
        *((slip, hint) for hint, slip in VARIANCES.items()),
        (lambda q, s: _variance(np.full(len(q), 1 / len(q)), s), "of any law"),
        (lambda q, s: q**2, "has shape (5,)"),
        (lambda q, s: 3 * _variance(q, s), "All pairs times"),
    ],
)
def _birthday_variance(pairs_variance: Callable[..., Any]) -> None:
    cases = [
        (np.array([0.4, 0.25, 0.2, 0.1, 0.05]), 7),
        (np.array([0.7, 0.2, 0.1]), 4),
        (np.full(6, 1 / 6), 12),
    ]
    got = np.array([float(numbers(pairs_variance(q.copy(), s), ())) for q, s in cases])
    for hint, slip in VARIANCES.items():
        expect(not np.allclose(got, [slip(q, s) for q, s in cases], rtol=1e-6), hint)
    right = np.array([_variance(q, s) for q, s in cases])
    expect(
        np.allclose(got, right, rtol=1e-6) or not np.isclose(got[2], right[2], rtol=1e-6),
        "This is right for equally likely values, but the formula must hold of any law.",
    )
    expect(
        np.allclose(got, right, rtol=1e-6),
        "All pairs times c (1 - c), and s (s - 1) (s - 2) times the difference of the sum of cubes "
        "and c^2.",
    )


# --- a law in disguise ----------------------------------------------------------------------------


def _disguise(support: int, c: float) -> Array:
    heavy = math.sqrt((support * c - 1) / (support - 1))
    q = np.full(support, (1 - heavy) / support)
    q[0] += heavy
    return q


def _padded(support: int, c: float) -> Array:
    """One of few values, and zeros: the right sum of squares, and not the support."""
    few = math.ceil(1 / c)
    return np.r_[_disguise(few, c), np.zeros(support - few)]


def _atom(support: int, heavy: float) -> Array:
    return np.r_[heavy, np.full(support - 1, (1 - heavy) / (support - 1))]


def _on_top(support: int, heavy: float) -> Array:
    return np.r_[heavy, np.zeros(support - 1)] + (1 - heavy) / support


@exercise(
    "birthday-disguise",
    praise="However many values there are, the expected number of collisions tells nothing of it.",
    wrong=[
        (lambda n, c: np.full(n, 1 / n), "sum of squares"),
        (lambda n, c: _atom(n, math.sqrt(c)), "The other values add to the sum of squares"),
        (lambda n, c: _atom(n, c), "sum of squares"),
        (lambda n, c: _on_top(n, math.sqrt(c)), "On top of the equal shares"),
        (_padded, "positive probability"),
        (lambda n, c: _disguise(n, c) * 2, "sum to 1"),
        (lambda n, c: np.r_[math.sqrt(c), np.full(n - 1, 1e-12)], "sum to 1"),
        (lambda n, c: _disguise(round(1 / c) + 1, c), "wanted is shape (50,)"),
        (lambda n, c: -_disguise(n, c), "no negative"),
        (lambda n, c: 1 / c, "is a single number"),
        (lambda n, c: _disguise(n, 0.1), "sum of squares"),
    ],
)
def _birthday_disguise(disguise: Callable[..., Any]) -> None:
    for support, c in ((50, 0.1), (1000, 0.1), (20_000, 0.0025), (3, 0.9)):
        case = f"With N = {support} and c = {c:g}"
        q = numbers(disguise(support, c), (support,))
        expect((q >= 0).all(), "Probabilities: no negative numbers.")
        total = float(q.sum())
        expect(
            abs(total - 1) < 1e-9,
            f"{case} yours sum to {total:.12g}, and probabilities sum to 1.",
        )
        least = np.count_nonzero(q > 0)
        expect(
            least == support,
            f"{case} all {support} values must have a positive probability: yours are {least}.",
        )
        known = _atom(support, math.sqrt(c))
        expect(
            not np.allclose(np.sort(q), np.sort(known), rtol=1e-6, atol=0),
            "The other values add to the sum of squares, too: a little less mass on the atom.",
        )
        known = _on_top(support, math.sqrt(c))
        expect(
            not np.allclose(np.sort(q), np.sort(known), rtol=1e-6, atol=0),
            "On top of the equal shares the root of c is too much: they add to the sum of squares.",
        )
        got = float((q**2).sum())
        expect(abs(got - c) < 1e-6 * c, f"{case} the sum of squares must be {c:g}, not {got:.6g}.")
