"""Checks of the page "Weak discriminators"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom, norm

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

WHOLE = "Wanted is a whole number: the next one, `math.ceil`."


def _expect_count(got: list[float], real: list[float], hint: str) -> None:
    """Fail with the hint if the counts are those of a slip, rounded in whichever way or not."""
    ways: tuple[Callable[[Array], Array], ...] = (np.ceil, np.floor, lambda values: values)
    expect(not any(np.allclose(got, way(np.array(real)), rtol=1e-9) for way in ways), hint)


def _expect_right(got: list[float], real: list[float], hint: str) -> None:
    """Fail unless the counts are the real numbers rounded up, and say what is wrong with others."""
    expect(not np.allclose(got, real, rtol=1e-9), WHOLE)
    lower = "Round up, not down: with fewer draws the guarantee does not hold."
    expect(not np.array_equal(got, np.floor(real)), lower)
    nearest = "Round up, not to the nearest: with fewer draws the guarantee does not hold."
    expect(np.array_equal(got, np.ceil(real)) or not np.array_equal(got, np.round(real)), nearest)
    expect(not np.array_equal(got, np.ceil(real) + 1), "One too many: round up, and add nothing.")
    expect(np.array_equal(got, np.ceil(real)), hint)


# --- enough for one critic ------------------------------------------------------------------------


def _one(epsilon: float, zeta: float, low: float, high: float) -> float:
    return (high - low) ** 2 * math.log(2 / zeta) / (2 * epsilon**2)


ONE: dict[str, Callable[[float, float, float, float], float]] = {
    "The range is missing: values lie between low and high.": (
        lambda epsilon, zeta, low, high: _one(epsilon, zeta, 0, 1)
    ),
    "The width of the range enters with its square.": (
        lambda epsilon, zeta, low, high: _one(epsilon, zeta, low, high) / (high - low)
    ),
    "The deviation enters with its square.": (
        lambda epsilon, zeta, low, high: epsilon * _one(epsilon, zeta, low, high)
    ),
    "There are two tails: the factor before the exponential is 2.": (
        lambda epsilon, zeta, low, high: _one(epsilon, 2 * zeta, low, high)
    ),
    "The 2 in the exponent is missing.": (
        lambda epsilon, zeta, low, high: 2 * _one(epsilon, zeta, low, high)
    ),
    "The 2 in the exponent divides: it stands before N.": (
        lambda epsilon, zeta, low, high: 4 * _one(epsilon, zeta, low, high)
    ),
    "This is for a deviation of epsilon / 4, as the theorem needs; here it is epsilon.": (
        lambda epsilon, zeta, low, high: _one(epsilon / 4, zeta, low, high)
    ),
    "The width of the range is high - low.": (
        lambda epsilon, zeta, low, high: _one(epsilon, zeta, 0, high)
    ),
    "The width of the range is high - low, not their sum.": (
        lambda epsilon, zeta, low, high: _one(epsilon, zeta, -low, high)
    ),
    "zeta is the probability of failure, not of success.": (
        lambda epsilon, zeta, low, high: _one(epsilon, 1 - zeta, low, high)
    ),
    "N is positive: take the logarithm of 2 / zeta.": (
        lambda epsilon, zeta, low, high: -_one(epsilon, zeta, low, high)
    ),
    "Divide by zeta, do not multiply: the logarithm is that of 2 / zeta.": (
        lambda epsilon, zeta, low, high: _one(epsilon, 1 / zeta, low, high)
    ),
    "Logarithms are natural.": (
        lambda epsilon, zeta, low, high: _one(epsilon, zeta, low, high) / math.log(10)
    ),
    "Logarithms are natural, not to the base 2.": (
        lambda epsilon, zeta, low, high: _one(epsilon, zeta, low, high) / math.log(2)
    ),
}
"""What to say where the number before rounding is that of a known slip."""


def _up(real: Callable[..., float]) -> Callable[..., int]:
    """The answer that rounds a number up."""
    return lambda *args: math.ceil(real(*args))


@exercise(
    "weak-one",
    praise="Neither the data nor the critic matter, only the width of its range.",
    wrong=[
        *((_up(slip), hint) for hint, slip in ONE.items()),
        (_one, "whole number"),
        (lambda *args: int(_one(*args)), "Round up, not down"),
        (lambda *args: round(_one(*args)), "not to the nearest"),
        (lambda *args: math.floor(_one(*args)) + 2, "add nothing"),
        (lambda *args: [_up(_one)(*args)], "has shape (1,)"),
        (lambda *args: 100, "Solve"),
        (lambda *args: math.nan, "NaN"),
    ],
)
def _weak_one(enough: Callable[..., Any]) -> None:
    cases = ((0.1, 0.05, 0.5, 1.2), (0.03, 0.01, -1.0, 2.0), (0.07, 0.3, -2.0, -0.3))
    got = [float(numbers(enough(*case), ())) for case in cases]
    for hint, slip in ONE.items():
        _expect_count(got, [slip(*case) for case in cases], hint)
    hint = "Solve 2 exp(-2 N epsilon^2 / (high - low)^2) = zeta for N, and round up."
    _expect_right(got, [_one(*case) for case in cases], hint)


# --- choosing after the draw ----------------------------------------------------------------------


def _tail(n: int, c: int) -> float:
    return float(2 * binom.cdf(n // 2 - c, n, 0.5))


def _some(k: int, n: int, c: int, tail: Callable[[int, int], float] = _tail) -> float:
    return -math.expm1(k * math.log1p(-tail(n, c)))


CHOICES: dict[str, Callable[[int, int, int], float]] = {
    "This is the probability for one coin alone: wanted is that some coin is off.": (
        lambda k, n, c: _tail(n, c)
    ),
    "This is the union bound, which is too large: the coins are independent.": (
        lambda k, n, c: k * _tail(n, c)
    ),
    "This is the union bound, cut off at 1: the coins are independent.": (
        lambda k, n, c: min(1.0, k * _tail(n, c))
    ),
    "This is the probability that all coins are off: wanted is at least one.": (
        lambda k, n, c: _tail(n, c) ** k
    ),
    "This is the probability that none is off: wanted is the opposite.": (
        lambda k, n, c: 1 - _some(k, n, c)
    ),
    "A coin has two tails: too few heads and too many.": (
        lambda k, n, c: _some(k, n, c, lambda n, c: _tail(n, c) / 2)
    ),
    "Exactly c too many or too few counts as off, too.": (
        lambda k, n, c: _some(k, n, c, lambda n, c: _tail(n, c + 1))
    ),
    "You count c - 1 as off, too: binom.cdf includes its first argument.": (
        lambda k, n, c: _some(k, n, c, lambda n, c: _tail(n, c - 1))
    ),
    "This is Hoeffding's bound: wanted is the exact probability.": (
        lambda k, n, c: _some(k, n, c, lambda n, c: min(1.0, 2 * math.exp(-2 * c * c / n)))
    ),
    "This is the normal approximation: wanted is the exact probability.": (
        lambda k, n, c: _some(k, n, c, lambda n, c: 2 * norm.sf(2 * c / math.sqrt(n)))
    ),
    "This is the normal approximation with its correction: wanted is the exact probability.": (
        lambda k, n, c: _some(k, n, c, lambda n, c: 2 * norm.sf((2 * c - 1) / math.sqrt(n)))
    ),
    "The two tails of one coin exclude each other: add them.": (
        lambda k, n, c: _some(k, n, c, lambda n, c: 1 - (1 - _tail(n, c) / 2) ** 2)
    ),
    "c or more counts as off: sum the probabilities, as binom.cdf does.": (
        lambda k, n, c: _some(k, n, c, lambda n, c: 2 * binom.pmf(n // 2 - c, n, 0.5))
    ),
    "This is the probability that exactly one coin is off: wanted is at least one.": (
        lambda k, n, c: k * _tail(n, c) * (1 - _tail(n, c)) ** (k - 1)
    ),
}
"""What to say where the probability is that of a known slip."""


@exercise(
    "weak-choice",
    praise="Each coin alone shows nearly half heads; the one chosen afterwards does not.",
    wrong=[
        *((slip, hint) for hint, slip in CHOICES.items()),
        (lambda k, n, c: np.full(k, _tail(n, c)), "wanted is a single number"),
        (lambda k, n, c: 0.5, "1 minus"),
        (lambda k, n, c: math.nan, "NaN"),
    ],
)
def _weak_choice(some_coin: Callable[..., Any]) -> None:
    cases = ((20, 40, 8), (7, 60, 10), (300, 200, 21))
    got = [float(numbers(some_coin(*case), ())) for case in cases]
    for hint, slip in CHOICES.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-5), hint)
    expect(
        np.allclose(got, [_some(*case) for case in cases], rtol=1e-5),
        "1 minus the probability that no coin is off, a power of that for one coin.",
    )


# --- build a net ----------------------------------------------------------------------------------


def _clouds() -> list[tuple[Array, float]]:
    rng = np.random.default_rng(4)
    plane, space = rng.uniform(-1, 1, (400, 2)), rng.normal(size=(150, 3)) / 2
    line = np.array([[0.0], [0.5], [1.0], [0.5], [2.0], [2.25], [0.0]])  # with equal points
    return [(plane[:1], 0.1), (plane, 0.4), (space, 0.7), (line, 0.5)]


def _net(points: Array, delta: float, order: float = 2) -> list[int]:
    taken: list[int] = []
    for i, point in enumerate(points):
        if (np.linalg.norm(points[taken] - point, ord=order, axis=1) > delta).all():
            taken.append(i)
    return taken


def _far_from_earlier(points: Array, delta: float) -> list[int]:
    far = [
        (np.linalg.norm(points[:i] - points[i], axis=1) > delta).all() for i in range(len(points))
    ]
    return np.flatnonzero(far).tolist()


NETS: dict[str, Callable[[Array, float], list[int]]] = {
    "Compare a row with the rows taken, not with all earlier ones.": _far_from_earlier,
    "Distances are Euclidean: not the largest difference of two coordinates.": (
        lambda points, delta: _net(points, delta, np.inf)
    ),
    "Distances are Euclidean: not the sum of the differences.": (
        lambda points, delta: _net(points, delta, 1)
    ),
}
"""What to say where the rows are those of a known slip."""


def _marked(points: Array, delta: float) -> Array:
    mask = np.zeros(len(points), dtype=bool)
    mask[_net(points, delta)] = True
    return mask


@exercise(
    "weak-net",
    praise="Another order of the rows gives another net; the lemma bounds them all.",
    wrong=[
        *((slip, hint) for hint, slip in NETS.items()),
        (lambda points, delta: points[_net(points, delta)], "row numbers, not the points"),
        (_marked, "truth values"),
        (lambda points, delta: len(_net(points, delta)), "list of row numbers"),
        (lambda points, delta: list(range(len(points))), "within delta of each other"),
        (lambda points, delta: _net(points, delta / 2), "within delta of each other"),
        (lambda points, delta: _net(points, 2 * delta), "not covered"),
        (lambda points, delta: [0], "not covered"),
        (lambda points, delta: [], "not covered"),
        (lambda points, delta: _net(points, delta)[:-1], "not covered"),
        (lambda points, delta: _net(points, np.nextafter(delta, 0)), "exactly delta"),
        (lambda points, delta: [i + 1 for i in _net(points, delta)], "Rows are numbered from 0"),
        (lambda points, delta: [-1], "Rows are numbered from 0"),
        (lambda points, delta: 2 * _net(points, delta), "more than once"),
        (lambda points, delta: [0.5], "whole numbers"),
        (lambda points, delta: None, "returns nothing"),
    ],
)
def _weak_net(build_net: Callable[..., Any]) -> None:
    for points, delta in _clouds():
        answer = build_net(points.copy(), delta)
        if isinstance(answer, set | frozenset | range | dict):
            answer = list(answer)
        got = numbers(answer)
        expect(got.ndim < 2, "Return the row numbers, not the points.")
        expect(got.ndim == 1, "Return a list of row numbers.")
        expect(np.asarray(answer).dtype != np.bool_, "These are truth values: np.flatnonzero.")
        expect(bool((got == np.round(got)).all()), "Row numbers are whole numbers.")
        inside = bool(((got >= 0) & (got < len(points))).all())
        expect(inside, f"Rows are numbered from 0 to {len(points) - 1} here.")
        rows = got.astype(int)
        expect(len(np.unique(rows)) == len(rows), "A row is taken more than once.")
        for hint, slip in NETS.items():
            expect(sorted(rows) != slip(points, delta) or sorted(rows) == _net(points, delta), hint)
        chosen = points[rows]
        gaps = np.linalg.norm(chosen[:, None] - chosen, axis=2)[np.triu_indices(len(rows), 1)]
        exactly = "Two points of the net are exactly delta apart: one of them covers the other."
        expect(not (gaps == delta).any() or bool((gaps < delta).any()), exactly)
        apart = "Two points of the net are within delta of each other: one of them is not needed."
        expect(bool((gaps > delta).all()), apart)
        nearest = np.linalg.norm(points[:, None] - chosen, axis=2).min(1, initial=np.inf)
        hint = "It is no net: a point of the set is not covered, none of yours is within delta."
        expect(bool((nearest <= delta).all()), hint)


# --- networks in a computer -----------------------------------------------------------------------


def _bits(m: int, bits: int, epsilon: float, zeta: float) -> float:
    return (m * bits * math.log(2) + math.log(2 / zeta)) / (2 * epsilon**2)


BITS: dict[str, Callable[[int, int, float, float], float]] = {
    "This is enough for one critic: take the union bound over all of them.": (
        lambda m, bits, epsilon, zeta: math.log(2 / zeta) / (2 * epsilon**2)
    ),
    "You count the values of one parameter: a critic has m of them.": (
        lambda m, bits, epsilon, zeta: _bits(1, bits, epsilon, zeta)
    ),
    "A parameter has 2^bits values, whose logarithm is bits log 2.": (
        lambda m, bits, epsilon, zeta: (m * math.log(bits) + math.log(2 / zeta)) / (2 * epsilon**2)
    ),
    "With `bits` bits there are 2^bits values, not `bits`: all critics are 2^(m bits).": (
        lambda m, bits, epsilon, zeta: (math.log(m * bits * 2 / zeta)) / (2 * epsilon**2)
    ),
    "There are 2^bits values each, m of them: (2^bits)^m critics, not m^bits.": (
        lambda m, bits, epsilon, zeta: (bits * math.log(m) + math.log(2 / zeta)) / (2 * epsilon**2)
    ),
    "The logarithm of a product is a sum: add that of 2 / zeta.": (
        lambda m, bits, epsilon, zeta: (
            m * bits * math.log(2) * math.log(2 / zeta) / (2 * epsilon**2)
        )
    ),
    "The parameters are independent: their numbers of values are multiplied, not added.": (
        lambda m, bits, epsilon, zeta: (
            (math.log(m) + bits * math.log(2) + math.log(2 / zeta)) / (2 * epsilon**2)
        )
    ),
    "The logarithm of 2^(m bits) has a factor log 2: logarithms are natural.": (
        lambda m, bits, epsilon, zeta: (m * bits + math.log(2 / zeta)) / (2 * epsilon**2)
    ),
    "Hoeffding has two tails: a factor 2 is missing before the exponential.": (
        lambda m, bits, epsilon, zeta: _bits(m, bits, epsilon, 2 * zeta)
    ),
    "The failure probability zeta is missing.": (
        lambda m, bits, epsilon, zeta: m * bits * math.log(2) / (2 * epsilon**2)
    ),
    "This is for a deviation of epsilon / 4; without a net it is epsilon.": (
        lambda m, bits, epsilon, zeta: _bits(m, bits, epsilon / 4, zeta)
    ),
    "This is for a deviation of epsilon / 2; for one sample it is epsilon.": (
        lambda m, bits, epsilon, zeta: _bits(m, bits, epsilon / 2, zeta)
    ),
    "The 2 in Hoeffding's exponent is missing.": (
        lambda m, bits, epsilon, zeta: 2 * _bits(m, bits, epsilon, zeta)
    ),
    "The deviation enters with its square.": (
        lambda m, bits, epsilon, zeta: epsilon * _bits(m, bits, epsilon, zeta)
    ),
    "zeta is the probability of failure, not of success.": (
        lambda m, bits, epsilon, zeta: _bits(m, bits, epsilon, 1 - zeta)
    ),
    "This is for two samples; here is one.": (
        lambda m, bits, epsilon, zeta: _bits(m, bits, epsilon, zeta / 2)
    ),
}
"""What to say where the number before rounding is that of a known slip."""


@exercise(
    "weak-bits",
    praise="No Lipschitz constant and no net: a computer has rounded the parameters already.",
    wrong=[
        *((_up(slip), hint) for hint, slip in BITS.items()),
        (_bits, "whole number"),
        (lambda *args: int(_bits(*args)), "Round up, not down"),
        (lambda *args: round(_bits(*args)), "not to the nearest"),
        (lambda *args: math.floor(_bits(*args)) + 2, "add nothing"),
        (lambda m, bits, epsilon, zeta: 2.0 ** (m * bits), "OverflowError"),
        (lambda *args: "many", "a text"),
        (lambda *args: math.nan, "NaN"),
    ],
)
def _weak_bits(enough_for_bits: Callable[..., Any]) -> None:
    cases = ((5, 8, 0.07, 0.3), (257, 32, 0.03, 0.01), (40, 3, 0.11, 0.08))
    got = [float(numbers(enough_for_bits(*case), ())) for case in cases]
    for hint, slip in BITS.items():
        _expect_count(got, [slip(*case) for case in cases], hint)
    hint = "Solve 2 * 2^(m bits) exp(-2 N epsilon^2) = zeta for N, by logarithms, and round up."
    _expect_right(got, [_bits(*case) for case in cases], hint)
