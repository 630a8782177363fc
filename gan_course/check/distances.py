"""Checks of the page "Distances between distributions"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import WrongAnswer, exercise, expect, numbers

Array = NDArray[np.float64]

# --- weighted points on the line ------------------------------------------------------------------


def _area(
    x: Array, y: Array, a: Array, b: Array, cost: Callable[[Array, Array], Any] | None = None
) -> float:
    """Area between ``F`` and ``G``, or another cost of their differences and the steps' widths."""
    points, jumps = np.concatenate([x, y]), np.concatenate([a, -b])
    order = points.argsort(kind="stable")
    heights, gaps = jumps[order].cumsum()[:-1], np.diff(points[order])
    return float((np.abs(heights) * gaps).sum() if cost is None else cost(heights, gaps))


def _squared(x: Array, y: Array, a: Array, b: Array) -> float:
    """Mean square of the gap between the quantile functions."""
    i, j = x.argsort(), y.argsort()
    gaps = (x[i][:, None] - y[j]) ** 2
    return float((_monotone(a[i], b[j]) * gaps).sum())


def _unsorted_weights(x: Array, y: Array, a: Array, b: Array) -> float:
    return _area(np.sort(x), np.sort(y), a, b)


def _unsorted_jumps(x: Array, y: Array, a: Array, b: Array) -> float:
    heights, points = np.concatenate([a, -b]).cumsum()[:-1], np.sort(np.concatenate([x, y]))
    return float(np.abs(heights) @ np.diff(points))


def _late(x: Array, y: Array, a: Array, b: Array) -> float:
    """Each width with the height behind it: the sums without the first, not without the last."""
    return _area(x, y, a, b, lambda heights, gaps: np.abs(heights[1:]) @ gaps[:-1])


def _unsummed(x: Array, y: Array, a: Array, b: Array) -> float:
    return _area(x, y, a, b, lambda heights, gaps: np.abs(np.diff(heights, prepend=0)) @ gaps)


def _unsorted(x: Array, y: Array, a: Array, b: Array) -> float:
    return float((_monotone(a, b) * np.abs(x[:, None] - y)).sum())


LINES: dict[str, Callable[[Array, Array, Array, Array], float]] = {
    "You took all points as equally heavy: use the weights a and b.": (
        lambda x, y, a, b: _area(x, y, np.full(len(x), 1 / len(x)), np.full(len(y), 1 / len(y)))
    ),
    "You sorted the points, but left the weights in their order: sort both with one argsort.": (
        _unsorted_weights
    ),
    "You sorted all points together, but left the jumps in their order: sort both with one "
    "argsort.": _unsorted_jumps,
    "You forgot a minus sign: the jumps of x go up, those of y go down.": (
        lambda x, y, a, b: _area(x, y, a, -b)
    ),
    "Between two points the height is the sum up to the left one: drop the last sum, not the "
    "first.": _late,
    "You took the jumps for the heights: sum them up from the left, with `np.cumsum`.": _unsummed,
    "This is the gap of the means without weights: W1 takes weights, and absolute values before "
    "the sum.": lambda x, y, a, b: abs(float(x.mean() - y.mean())),
    "The points come in any order: sort them, and the weights with them.": _unsorted,
    "This is the mean of the squared gaps: W1 takes the gaps themselves.": _squared,
    "This is the root of the mean square, W2: W1 takes the mean of the gaps.": (
        lambda x, y, a, b: math.sqrt(_squared(x, y, a, b))
    ),
    "This is the difference of the means: take absolute values before you sum.": (
        lambda x, y, a, b: abs(float(x @ a - y @ b))
    ),
    "You added the heights only: each counts for the width up to the next point.": (
        lambda x, y, a, b: _area(x, y, a, b, lambda heights, gaps: np.abs(heights).sum())
    ),
    "This is the largest gap between the distribution functions; wanted is the area.": (
        lambda x, y, a, b: _area(x, y, a, b, lambda heights, gaps: np.abs(heights).max())
    ),
    "You squared the difference of the distribution functions: take its absolute value.": (
        lambda x, y, a, b: _area(x, y, a, b, lambda heights, gaps: (heights**2 * gaps).sum())
    ),
    "This is the cost of the independent coupling; there are cheaper ones.": (
        lambda x, y, a, b: float(a @ np.abs(x[:, None] - y) @ b)
    ),
    "This is the cost of the dearest plan, leftmost to rightmost: take the monotone one.": (
        lambda x, y, a, b: _unsorted(
            *(np.sort(x), np.sort(y)[::-1], a[x.argsort()], b[y.argsort()][::-1])
        )
    ),
}
"""What to say where the distance is that of a known slip."""


def _by_grains(x: Array, y: Array, a: Array, b: Array) -> float:
    """Sixty equal grains each: exact for weights that are multiples of 1/60."""
    grains = (
        np.sort(np.repeat(points, np.rint(60 * weights).astype(int)))
        for points, weights in ((x, a), (y, b))
    )
    return float(np.abs(np.subtract(*grains)).mean())


def _by_levels(x: Array, y: Array, a: Array, b: Array) -> float:
    """A sum over levels: exact for weights that are multiples of 1/1000."""
    levels, i, j = (np.arange(1000) + 0.5) / 1000, x.argsort(), y.argsort()
    rows, columns = (
        weights.cumsum().searchsorted(levels).clip(max=len(weights) - 1) for weights in (a[i], b[j])
    )
    return float(np.abs(x[i][rows] - y[j][columns]).mean())


def _by_trapezoids(x: Array, y: Array, a: Array, b: Array) -> float:
    grid = np.linspace(-8, 8, 16001)
    heights = (x[:, None] <= grid).T @ a - (y[:, None] <= grid).T @ b
    return float(np.trapezoid(np.abs(heights), grid))


def _sorting_in_place(x: Array, y: Array, a: Array, b: Array) -> float:
    right = _area(x, y, a, b)
    x.sort()
    return right


@exercise(
    "distances-weighted",
    praise="One sort, one cumulative sum: on the line W1 needs no linear program.",
    wrong=[
        *((slip, hint) for hint, slip in LINES.items()),
        (lambda x, y, a, b: float(x @ a - y @ b), "difference of the means"),
        (lambda x, y, a, b: float(y @ b - x @ a), "difference of the means"),
        (lambda x, y, a, b: _area(x, y, a, b) / 2, "no factor"),
        (lambda x, y, a, b: 2 * _area(x, y, a, b), "no factor"),
        (lambda x, y, a, b: float(y.mean() - x.mean()), "without weights"),
        (_by_grains, "on a grid"),
        (_by_levels, "on a grid"),
        (_by_trapezoids, "on a grid"),
        (_sorting_in_place, "changes its arguments"),
        (lambda x, y, a, b: x, "single number"),
        (lambda x, y, a, b: -_area(x, y, a, b), "negative"),
        (lambda x, y, a, b: _area(x, y, a, b) if len(x) > 1 else 0.0, "area between"),
        (lambda x, y, a, b: None, "return"),
    ],
)
def _distances_weighted(line_distance: Callable[..., Any]) -> None:
    cases = (
        ([3.0, 0.0, 1.0], [2.0, 7.0, -1.0, 0.5], [0.2, 0.5, 0.3], [0.4, 0.1, 0.35, 0.15]),
        ([1.0, 1.0, -2.0], [1.0, 4.0, -6.0], [0.25, 0.5, 0.25], [0.1, 0.6, 0.3]),
        ([0.5], [2.0, -3.0], [1.0], [0.75, 0.25]),
        ([0.1234, -1.7, 2.3456], [3.21, -0.5432], [1 / 3, 1 / 7, 11 / 21], [0.3183, 0.6817]),
    )
    for lists in cases:
        x, y, a, b = (np.array(values) for values in lists)
        given = [values.copy() for values in (x, y, a, b)]
        got, right = float(numbers(line_distance(*given), ())), _area(x, y, a, b)
        kept = all(map(np.array_equal, given, (x, y, a, b)))
        expect(kept, "Your function changes its arguments: sort copies, with `np.sort`.")
        if not math.isclose(got, right, rel_tol=1e-9):
            _explain_line(got, right, (x, y, a, b))


def _explain_line(got: float, right: float, case: tuple[Array, Array, Array, Array]) -> None:
    for hint, slip in LINES.items():
        expect(not math.isclose(got, slip(*case), rel_tol=1e-9), hint)
    x, y, a, b = case
    means = math.isclose(-got, abs(float(x @ a - y @ b)), rel_tol=1e-9)
    expect(not means, "This is the difference of the means, and a distance is not negative.")
    plain = math.isclose(-got, abs(float(x.mean() - y.mean())), rel_tol=1e-9)
    expect(
        not plain, "This is a difference of means without weights, and a distance is not negative."
    )
    expect(got >= 0, "A distance is not negative.")
    for factor in (0.5, 2.0):
        expect(not math.isclose(got, factor * right), "There is no factor before the area.")
    expect(
        not math.isclose(got, right, rel_tol=0.03),
        "Close: an integral on a grid. The area is an exact sum of rectangles.",
    )
    raise WrongAnswer(
        "Wanted is the area between the two distribution functions, for unequal sizes, "
        "single and repeated points as well."
    )


# --- the monotone plan ----------------------------------------------------------------------------


def _monotone(a: Array, b: Array) -> Array:
    tops_a, tops_b = a.cumsum()[:, None], b.cumsum()
    bottoms = np.maximum(tops_a - a[:, None], tops_b - b)
    overlap: Array = np.minimum(tops_a, tops_b) - bottoms
    return overlap.clip(min=0)


def _staying(a: Array, b: Array) -> Array:
    """What can stay on its diagonal place stays; the rest is spread."""
    if len(a) != len(b):
        return _monotone(a, b)
    common = np.minimum(a, b)
    lost = (a - common).sum()
    return np.diag(common) + np.outer(a - common, b - common) / lost


@exercise(
    "distances-monotone",
    praise="At most n + m - 1 entries are positive, and no two paths cross: a corner of the "
    "polytope of all tables.",
    wrong=[
        (lambda a, b: np.outer(a, b), "independent"),
        (lambda a, b: _monotone(a, b[::-1])[:, ::-1], "leftmost to rightmost"),
        (lambda a, b: _monotone(a, b).T, "wanted is shape"),
        (lambda a, b: 100 * _monotone(a, b), "sums to 100"),
        (_staying, "cross"),
        (lambda a, b: np.minimum(a[:, None], b), "row"),
        (lambda a, b: np.diag(a)[:, : len(b)] if len(a) >= len(b) else _monotone(a, b), "column"),
        (lambda a, b: _monotone(a, np.full(len(b), 1 / len(b))), "column"),
        (lambda a, b: 2 * np.outer(a, b) - _monotone(a, b), "negative"),
        (lambda a, b: (_monotone(a, b) > 0) * 1.0, "masses"),
        (lambda a, b: np.minimum(a.cumsum()[:, None], b.cumsum()), "cumulative"),
        (lambda a, b: _monotone(a, b) / a[:, None], "Each row sums to 1"),
        (lambda a, b: _monotone(a, b) / b, "Each column sums to 1"),
        (lambda a, b: 0.0, "wanted is shape"),
    ],
)
def _distances_monotone(monotone_plan: Callable[..., Any]) -> None:
    cases = (
        ([0.2, 0.5, 0.3], [0.4, 0.1, 0.35, 0.15]),
        ([0.1, 0.6, 0.3, 0.0], [0.5, 0.2, 0.0, 0.3]),
        ([0.5, 0.3, 0.2], [0.2, 0.45, 0.35]),
        ([0.3, 0.3, 0.4], [0.6, 0.4]),
    )
    for lists in cases:
        a, b = (np.array(masses) for masses in lists)
        plan = numbers(monotone_plan(a.copy(), b.copy()), (len(a), len(b)))
        _is_a_plan(plan, a, b)
        independent = np.allclose(plan, np.outer(a, b), atol=1e-9)
        expect(not independent, "This is the independent coupling: it sends all mass everywhere.")
        reverse = _monotone(a, b[::-1])[:, ::-1]
        turned = np.allclose(plan, reverse, atol=1e-9) and not np.allclose(reverse, _monotone(a, b))
        expect(not turned, "This plan sends leftmost to rightmost: begin at the same end.")
        expect(
            np.allclose(plan, _monotone(a, b), atol=1e-9),
            "Row and column sums are right, but paths cross: with mass from i to l and from a "
            "later k to j, j must not lie before l.",
        )


def _is_a_plan(plan: Array, a: Array, b: Array) -> None:
    cumulative = np.allclose(plan, np.minimum(a.cumsum()[:, None], b.cumsum()), atol=1e-9)
    expect(not cumulative, "This table is cumulative: take differences along both of its axes.")
    positive = np.unique(plan[plan != 0]).tolist()
    expect(positive != [1.0], "The entries are masses, not marks of what goes where.")
    expect((plan >= -1e-12).all(), "An entry is negative: mass cannot be owed.")
    shared = np.allclose(plan * a[:, None], _monotone(a, b), atol=1e-9)
    expect(not shared, "Each row sums to 1: these are shares of heap i. Multiply row i by a[i].")
    shared = np.allclose(plan * b, _monotone(a, b), atol=1e-9)
    expect(not shared, "Each column sums to 1: these are shares. Multiply column j by b[j].")
    total = plan.sum()
    near = np.allclose(plan / max(total, 1e-300), _monotone(a, b), atol=1e-9)
    expect(
        not near or math.isclose(total, 1, abs_tol=1e-9),
        f"The table sums to {total:.3g}, not to 1.",
    )
    expect(np.allclose(plan.sum(1), a, atol=1e-9), "The row sums must be a: all sand leaves.")
    expect(np.allclose(plan.sum(0), b, atol=1e-9), "The column sums must be b: each place is full.")


# --- a broken line --------------------------------------------------------------------------------


def _broken(s: float, theta: float) -> tuple[float, float, float]:
    apart = (1 - s) * (theta != 0)
    return apart, apart * math.log(2), apart * abs(theta)


def _same(x: float, y: float) -> bool:
    """As far as float32 can tell, which is what a tensor holds."""
    return math.isclose(x, y, rel_tol=1e-6, abs_tol=1e-6)


@exercise(
    "distances-broken",
    praise="Only W1 depends on the offset; TV and JS count the mass that is not in place.",
    wrong=[
        (lambda s, theta: (1.0, math.log(2), abs(theta)), "nothing is in place"),
        (lambda s, theta: (s, s * math.log(2), s * abs(theta)), "1 - s"),
        (lambda s, theta: (2 * (1 - s), (1 - s) * math.log(2), (1 - s) * abs(theta)), "integral"),
        (lambda s, theta: (1 - s, 1 - s, (1 - s) * abs(theta)), "natural"),
        (lambda s, theta: (1 - s, (1 - s) * math.log(2) / 2, (1 - s) * abs(theta)), "both"),
        (lambda s, theta: (1 - s, math.log(2), (1 - s) * abs(theta)), "JS is log 2 only"),
        (lambda s, theta: (1 - s, (1 - s) * math.log(2), (1 - s) * theta), "negative"),
        (lambda s, theta: (1 - s, (1 - s) * math.log(2), abs(theta)), "share"),
        (lambda s, theta: (1 - s, (1 - s) * math.log(2), (1 - s) * theta**2), "not its square"),
        (lambda s, theta: (1 - s, (1 - s) * math.log(2), (1 - s) * abs(theta)), "theta = 0"),
        (lambda s, theta: (_broken(s, theta)[i] for i in (1, 0, 2)), "a tuple"),
        (lambda s, theta: tuple(_broken(s, theta)[i] for i in (1, 0, 2)), "order"),
        (lambda s, theta: 1 - s, "a tuple"),
        (lambda s, theta: (1 - s, math.sqrt(1 - s), (1 - s) * abs(theta)), "JS"),
        (lambda s, theta: (1 - s, (1 - s) * math.log(4), (1 - s) * abs(theta)), "not their sum"),
        (lambda s, theta: (1 - s, (1 - s) * math.log(2), s * abs(theta)), "stays does not move"),
    ],
)
def _distances_broken(broken_line: Callable[..., Any]) -> None:
    for s, theta in ((0.25, 0.3), (0.25, -2.0), (0.0, 0.5), (1.0, 0.5), (0.4, 0.0)):
        answer = broken_line(s, theta)
        if hasattr(answer, "detach"):
            answer = numbers(answer)
        listed = isinstance(answer, tuple | list | np.ndarray) and np.shape(answer)[:1] == (3,)
        expect(listed, "Return a tuple of three numbers: `return tv, js, w1`.")
        tv, js, w1 = (float(numbers(value, ())) for value in answer)
        at = f"s = {s:g}, theta = {theta:g}"
        if theta == 0:
            expect(tv == js == w1 == 0, "At theta = 0 the generator is perfect, whatever s.")
            continue
        right = _broken(s, theta)
        order = not _same(tv, right[0]) and _same(js, right[0]) and _same(tv, right[1])
        expect(not order, "The order: TV first, then JS, then W1.")
        _total_variation(tv, s, at)
        _jensen_shannon(js, s, at)
        _wasserstein(w1, s, theta, at)


def _total_variation(tv: float, s: float, at: str) -> None:
    if s == 0.25:
        expect(not _same(tv, 1), "TV is 1 only if nothing is in place: here a share s is.")
        expect(not _same(tv, s), "What is in place has the mass s; what is not has 1 - s.")
        expect(not _same(tv, 2 * (1 - s)), "TV is half of the integral of |p - q|.")
    expect(_same(tv, 1 - s), f"TV is the mass that is not in place ({at}).")


def _jensen_shannon(js: float, s: float, at: str) -> None:
    if s == 0.25:
        expect(not _same(js, 1 - s), "Logarithms are natural in this book.")
        expect(
            not _same(js, (1 - s) * math.log(2) / 2),
            "JS is the mean of two divergences, and both data and generator have mass 1 - s that "
            "the other lacks.",
        )
        doubled = _same(js, (1 - s) * math.log(4))
        expect(not doubled, "JS is the mean of two divergences, not their sum.")
        expect(not _same(js, math.log(2)), "JS is log 2 only if nothing is in place.")
    right = _same(js, (1 - s) * math.log(2))
    expect(
        right, f"JS: the integrand is 0 where p = q, and log 2 / 2 times p + q elsewhere ({at})."
    )


def _wasserstein(w1: float, s: float, theta: float, at: str) -> None:
    expect(w1 >= 0, "W1 is not negative, also for theta < 0.")
    if 0 < s < 1:
        expect(not _same(w1, abs(theta)), "Only the share 1 - s has to move.")
        stays = _same(w1, s * abs(theta))
        expect(not stays, "The part that stays does not move: its share is s, the rest's 1 - s.")
        squared = _same(w1, (1 - s) * theta**2)
        expect(not squared, "The cost of a move is its length, not its square.")
    right = _same(w1, (1 - s) * abs(theta))
    expect(right, f"W1: how much mass has to move, and how far ({at})?")


# --- the price of a lost mode ---------------------------------------------------------------------


def _chords(k: int, radius: float) -> Array:
    return 2 * radius * np.sin(np.pi * np.arange(1, k) / k)


def _lost(k: int, radius: float) -> float:
    return float(_chords(k, radius).sum() / (k * (k - 1)))


LOSSES: dict[str, Callable[[int, float], float]] = {
    "You moved the whole excess by the radius: the way between two modes is a chord.": (
        lambda k, radius: radius / k
    ),
    "You moved all of it from the nearest mode: the excess lies on all k - 1 others.": (
        lambda k, radius: 2 * radius * math.sin(math.pi / k) / k
    ),
    "You moved all of it from the opposite side: the excess lies on all k - 1 others.": (
        lambda k, radius: 2 * radius / k
    ),
    "This is the mean distance: the lost mode has the mass 1/k only.": (
        lambda k, radius: float(_chords(k, radius).mean())
    ),
    "Each of the others has 1 / (k - 1) - 1 / k in excess, not 1 / k.": (
        lambda k, radius: float(_chords(k, radius).sum() / k)
    ),
    "Each of the others has 1 / (k - 1) - 1 / k in excess, not 1 / k ** 2.": (
        lambda k, radius: float(_chords(k, radius).sum() / k**2)
    ),
    "You took arcs along the circle; mass moves along straight lines.": (
        lambda k, radius: float(
            sum(2 * np.pi * radius * min(j, k - j) / k for j in range(1, k)) / (k * (k - 1))
        )
    ),
    "This is the total variation distance, which does not ask how far.": lambda k, radius: 1 / k,
    "A factor 2 is missing: the chord over the angle t is 2 R sin(t / 2).": (
        lambda k, radius: _lost(k, radius) / 2
    ),
    "This is twice the price: the excess arrives at the lost mode, and no mass moves twice.": (
        lambda k, radius: 2 * _lost(k, radius)
    ),
    "Each of the others has 1 / (k - 1) - 1 / k in excess, not 1 / (k - 1) ** 2.": (
        lambda k, radius: float(_chords(k, radius).sum() / (k - 1) ** 2)
    ),
    "That is the limit for many modes; wanted is the exact price, for every k.": (
        lambda k, radius: 4 * radius / (math.pi * k)
    ),
}
"""What to say where the price is that of a known slip."""


@exercise(
    "distances-lost",
    praise="For many modes it is near 4 R / (pi k): the lost mass times the mean chord.",
    wrong=[
        *((slip, hint) for hint, slip in LOSSES.items()),
        (lambda k, radius: _lost(k, 1.0), "radius R"),
        (lambda k, radius: 0.0, "excess"),
        (lambda k, radius: _chords(k, radius) / (k * (k - 1)), "single number"),
    ],
)
def _distances_lost(lost_mode: Callable[..., Any]) -> None:
    for k, radius in ((8, 3.0), (5, 0.7), (2, 1.5), (100, 2.0)):
        got, right = float(numbers(lost_mode(k, radius), ())), _lost(k, radius)
        if not math.isclose(got, right, rel_tol=1e-9):
            for hint, slip in LOSSES.items():
                expect(not math.isclose(got, slip(k, radius), rel_tol=1e-9), hint)
            expect(not math.isclose(got, _lost(k, 1.0)), "Distances grow with the radius R.")
        expect(
            math.isclose(got, right, rel_tol=1e-6),
            "Sum over the other modes: excess times the distance from the lost one "
            f"(k = {k}, R = {radius:g}).",
        )


# --- continuity in the parameter ------------------------------------------------------------------

REASONS = {
    "a": "a: the mass theta, at the place 1 / theta, costs 1 for every theta.",
    "b": "b: the mass theta, at the place theta ** -0.5: what does moving it to 0 cost?",
    "c": "c: for small theta the mean of |sin| is near 2 / pi; the values never settle.",
    "d": "d: the values have no bound, but what is their mean?",
    "e": "e: 1 / z has an infinite mean; a sample does not show it.",
    "f": "f: every point jumps, but does the distribution change?",
}
"""What to say where this generator is judged wrongly."""


@exercise(
    "distances-continuity",
    praise="Dominated, dominated, and the same distribution: f shows that the theorem's conditions "
    "are not necessary.",
    wrong=[
        ("abdf", "a: the mass"),
        ("df", "b: the mass"),
        ("bcdf", "c: for small"),
        ("bf", "d: the values"),
        ("bdef", "e: 1 / z"),
        (["b", "d"], "f: every"),
        ("", "a string of letters"),
        ("xyz", "a string of letters"),
        (3, "a string of letters"),
        ("abcdef", "a: the mass"),
    ],
)
def _distances_continuity(continuous: Any) -> None:
    try:
        letters = {str(letter).lower() for letter in continuous} - {" ", ","}
    except TypeError:
        letters = set()
    known = bool(letters) and letters <= set(REASONS)
    expect(known, 'Set `continuous` to a string of letters from a to f, such as "ac".')
    for letter, reason in REASONS.items():
        expect((letter in letters) == (letter in "bdf"), reason)
