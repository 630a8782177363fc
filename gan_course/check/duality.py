"""Checks of the page "Kantorovich-Rubinstein duality"."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- what two price lists earn --------------------------------------------------------------------


def _earned(u: Array, v: Array, p: Array, q: Array) -> float:
    return float(p @ u + q @ v)


def _if(fits: Callable[[Array, Array, Array], Any]) -> Callable[..., float]:
    """The bill where a wrong test of the constraints passes."""

    def dual_value(u: Array, v: Array, p: Array, q: Array, cost: Array) -> float:
        return _earned(u, v, p, q) if fits(u, v, cost) else -math.inf

    return dual_value


def _feasible(u: Array, v: Array, cost: Array) -> bool:
    return bool((u[:, None] + v <= cost + 1e-9).all())


_COST = np.array([[2.0, 3.0, 6.0], [1.0, 2.0, 5.0], [4.0, 1.0, 2.0]])
_P, _Q = np.array([0.2, 0.3, 0.5]), np.array([0.5, 0.1, 0.4])

LISTS = tuple(
    (np.array(u), np.array(v))
    for u, v in (
        ((2.0, 1.0, -1.0), (0.0, 1.0, 3.0)),  # fit, with equality on some pairs
        ((1.5, 0.5, 0.0), (0.25, 0.75, 1.5)),  # fit, with nothing to spare for two signs
        ((-3.0, 1.0, 0.0), (-9.0, 0.5, 1.5)),  # fit, far below the costs
        ((2.0, 1.0, 0.5), (0.0, 1.0, 1.0)),  # break one pair off the diagonal
        ((-4.0, -4.0, -1.0), (0.0, 0.0, 3.5)),  # break one pair by 0.5, the mean is low
        ((2.0, 1.0, -1.0), (0.0, 1.0, 3.0 + 1e-12)),  # fit but for rounding
        ((2.0, 1.0, -1.0), (0.0, 1.0, 3.0 + 1e-6)),  # break one pair by more
        ((6.0, 6.0, 6.0), (0.0, 0.0, 0.0)),  # break all but one, which is tight
        ((7.0, 7.0, 7.0), (0.0, 0.0, 0.0)),  # break all
        ((8.0, -3.0, -3.0), (0.0, 0.0, 0.0)),  # break the first row only
    )
)
"""Pairs of lists, some of which fit to the costs."""

RULES: dict[str, Callable[[Array, Array, Array], Any]] = {
    "You never refuse: where a constraint is broken, return -np.inf.": lambda u, v, c: True,
    "u_i + v_j may equal the cost, as it does where mass travels.": (
        lambda u, v, c: (u[:, None] + v < c).all()
    ),
    "A price may be negative.": lambda u, v, c: _feasible(u, v, c) and min(*u, *v) >= 0,
    "You looked at pairs with equal indices only: look at all pairs.": (
        lambda u, v, c: (u + v <= np.diag(c) + 1e-9).all()
    ),
    "One broken pair is enough to refuse; you compared the largest numbers only.": (
        lambda u, v, c: (u[:, None] + v).max() <= c.max() + 1e-9
    ),
    "One broken pair is enough to refuse; you compared the means.": (
        lambda u, v, c: (u[:, None] + v).mean() <= c.mean() + 1e-9
    ),
    "One broken pair is enough to refuse; you took lists that fit to some pair.": (
        lambda u, v, c: (u[:, None] + v <= c + 1e-9).any()
    ),
    "u_i + v_j may be far below zero: compare it without the absolute value.": (
        lambda u, v, c: (np.abs(u[:, None] + v) <= c + 1e-9).all()
    ),
    "Rounding may break a constraint by 1e-12: allow 1e-9.": (
        lambda u, v, c: (u[:, None] + v <= c).all()
    ),
    "A constraint broken by 1e-6 is broken: allow 1e-9.": (
        lambda u, v, c: (u[:, None] + v <= c + 1e-4).all()
    ),
    "The constraint is u_i + v_j <= cost, with a plus.": (
        lambda u, v, c: (u[:, None] - v <= c + 1e-9).all()
    ),
    "It is the other way around: refuse where u_i + v_j is larger than the cost.": (
        lambda u, v, c: (u[:, None] + v >= c - 1e-9).all()
    ),
}
"""What to say where exactly those lists are refused that a wrong rule refuses."""

BILLS: dict[str, Callable[[Array, Array], float]] = {
    "The bill adds both terms, the masses of p times u and those of q times v.": (
        lambda u, v: float(_P @ u - _Q @ v)
    ),
    "Weigh the prices by the masses, do not just add them.": lambda u, v: float(u.sum() + v.sum()),
    "Weigh the prices by the masses instead of taking means.": (
        lambda u, v: float(u.mean() + v.mean())
    ),
    "u belongs to p and v to q; you have exchanged them.": lambda u, v: float(_Q @ u + _P @ v),
}
"""What to say where the bill is that of a known slip."""


def _with_bill(bill: Callable[[Array, Array], float]) -> Callable[..., float]:
    return lambda u, v, p, q, cost: bill(u, v) if _feasible(u, v, cost) else -math.inf


def _carrying(u: Array, v: Array, p: Array, q: Array, cost: Array) -> float:
    fits = (u[:, None] + v <= cost + 1e-9)[np.outer(p, q) > 0].all()
    return _earned(u, v, p, q) if fits else -math.inf


def _square(u: Array, v: Array, p: Array, q: Array, cost: Array) -> float:
    n = len(u)
    return _earned(u, v, p, q) if _feasible(u, v[:n], cost[:, :n]) else -math.inf


def _broken_is(value: float) -> Callable[..., float]:
    return lambda u, v, p, q, cost: _earned(u, v, p, q) if _feasible(u, v, cost) else value


@exercise(
    "duality-dual-value",
    praise="Every number that it returns is a lower bound of the cost of every plan.",
    wrong=[
        *((_if(rule), hint) for hint, rule in RULES.items()),
        *((_with_bill(bill), hint) for hint, bill in BILLS.items()),
        (_broken_is(0.0), "-np.inf, not 0"),
        (_broken_is(math.inf), "minus infinity"),
        (_broken_is(math.nan), "A NaN"),
        (lambda u, v, p, q, cost: _feasible(u, v, cost), "True or False"),
        (lambda u, v, p, q, cost: p * u + q * v, "has shape (3,)"),
        (_with_bill(lambda u, v: float(_P @ u)), "sum p_i u_i + sum q_j v_j"),
        (_if(lambda u, v, c: False), "every constraint"),
        (_carrying, "carry nothing"),
        (_square, "v has m entries"),
    ],
)
def _duality_dual_value(dual_value: Callable[..., Any]) -> None:
    answers = [dual_value(*(a.copy() for a in (u, v, _P, _Q, _COST))) for u, v in LISTS]
    expect(
        not any(isinstance(answer, bool | np.bool_) for answer in answers),
        "Wanted is what the lists earn, or -np.inf, not True or False.",
    )
    got = [float(numbers(answer, (), nan=True)) for answer in answers]
    broken = [not _feasible(u, v, _COST) for u, v in LISTS]
    lost = [value for value, breaks in zip(got, broken, strict=True) if breaks]
    expect(any(lost), "Where lists do not fit, return -np.inf, not 0.")
    expect(
        not all(value == math.inf for value in lost),
        "Lists that do not fit bound nothing: return minus infinity.",
    )
    expect(
        not any(map(math.isnan, got)), "A NaN is no answer: lists that do not fit have a number."
    )
    taken = [value != -math.inf for value in got]
    for hint, rule in RULES.items():
        expect(taken != [bool(rule(u, v, _COST)) for u, v in LISTS], hint)
    expect(
        taken == [not breaks for breaks in broken],
        "Lists fit if every constraint u_i + v_j <= cost_ij holds to 1e-9, and only then.",
    )
    pairs = [(value, lists) for value, lists in zip(got, LISTS, strict=True) if value > -math.inf]
    for hint, bill in BILLS.items():
        expect(not all(_close(value, bill(u, v)) for value, (u, v) in pairs), hint)
    expect(
        all(_close(value, _earned(u, v, _P, _Q)) for value, (u, v) in pairs),
        "The bill is sum p_i u_i + sum q_j v_j.",
    )
    for hint, *case in _further():
        u, v, p, q, cost = case
        right = _earned(u, v, p, q) if _feasible(u, v, cost) else -math.inf
        expect(
            _close(float(numbers(dual_value(*(a.copy() for a in case)), (), nan=True)), right), hint
        )


def _further() -> Iterator[tuple[Any, ...]]:
    """A hint, lists, masses and costs: with a mass of zero, and with a fourth bakery."""
    for p, q in (np.array([0.4, 0.6, 0.0]), _Q), (_P, np.array([0.5, 0.0, 0.5])):
        for u, v in LISTS:  # the fourth breaks one pair, which carries nothing
            yield "A constraint also counts for pairs that carry nothing.", u, v, p, q, _COST
    (u, v), q = LISTS[0], np.array([0.5, 0.1, 0.3, 0.1])
    wide = np.column_stack([_COST, np.full(3, 9.0)])
    for price in 1.0, 7.5:  # it fits, and it breaks one pair
        hint = "u has n entries, v has m entries: look at all n times m pairs."
        yield hint, u, np.append(v, price), _P, q, wide


# --- the c-transform ------------------------------------------------------------------------------


def _transform(f: Array, x: Array, y: Array) -> Array:
    return np.asarray((cdist(x, y) - f[:, None]).min(0))


TRANSFORMS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "Subtract f: the transform is the smallest of |x - y| - f(x).": (
        lambda f, x, y: (cdist(x, y) + f[:, None]).min(0)
    ),
    "This is the largest of |x - y| - f(x); wanted is the smallest.": (
        lambda f, x, y: (cdist(x, y) - f[:, None]).max(0)
    ),
    "This is minus the c-transform: it is the smallest of |x - y| - f(x).": (
        lambda f, x, y: -_transform(f, x, y)
    ),
    "You took the squared distance.": lambda f, x, y: (cdist(x, y, "sqeuclidean") - f[:, None]).min(
        0
    ),
    "You added up the coordinates' distances: take the Euclidean distance.": lambda f, x, y: (
        cdist(x, y, "cityblock") - f[:, None]
    ).min(0),
    "You took the largest coordinate's distance: take the Euclidean distance.": lambda f, x, y: (
        cdist(x, y, "chebyshev") - f[:, None]
    ).min(0),
    "You took half the squared distance: take the distance itself.": lambda f, x, y: (
        cdist(x, y, "sqeuclidean") / 2 - f[:, None]
    ).min(0),
    "The transform may be negative: do not clip it at 0.": (
        lambda f, x, y: _transform(f, x, y).clip(0)
    ),
    "The nearest point need not give the smallest |x - y| - f(x): its price counts too.": (
        lambda f, x, y: cdist(x, y).min(0) - f[cdist(x, y).argmin(0)]
    ),
    "The point with the highest price need not give the smallest value: it may be far away.": (
        lambda f, x, y: cdist(x, y)[f.argmax()] - f.max()
    ),
    "This is the index of the best point; wanted is the value there.": (
        lambda f, x, y: (cdist(x, y) - f[:, None]).argmin(0).astype(float)
    ),
    "The mean over x is no infimum: take the smallest.": (
        lambda f, x, y: (cdist(x, y) - f[:, None]).mean(0)
    ),
}
"""What to say where the values are those of a known slip."""


@exercise(
    "duality-transform",
    praise="Whatever f is, its transform is 1-Lipschitz: try it on noise.",
    wrong=[
        *((slip, hint) for hint, slip in TRANSFORMS.items()),
        (lambda f, x, y: (cdist(x, y) - f[:, None]).min(1), "one value for each point of y"),
        (lambda f, x, y: (cdist(x, y) - f[:, None]).min(), "is a single number"),
        (lambda f, x, y: _transform(f, x, y) + 1, "the smallest of"),
    ],
)
def _duality_transform(transform: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    f, x, y = rng.normal(size=6), rng.normal(size=(6, 3)), 2 * rng.normal(size=(9, 3))
    value = numbers(transform(f.copy(), x.copy(), y.copy()))
    expect(
        value.shape != f.shape,
        "Take the minimum over the points of x: wanted is one value for each point of y.",
    )
    got = numbers(value, (9,))
    for hint, slip in TRANSFORMS.items():
        expect(not np.allclose(got, slip(f, x, y)), hint)
    expect(
        np.allclose(got, _transform(f, x, y)),
        "f^c(y) is the smallest of |x - y| - f(x) over the points x.",
    )


# --- values that an extension may have ------------------------------------------------------------

Pair = tuple[Any, Any]


def _away(x: Array, z: Array) -> Array:
    return np.asarray(np.linalg.norm(x - z, axis=1))


def _allowed(f: Array, x: Array, z: Array) -> tuple[float, float]:
    return float((f - _away(x, z)).max()), float((f + _away(x, z)).min())


def _at_nearest(f: Array, x: Array, z: Array) -> Pair:
    away = _away(x, z)
    near = away.argmin()
    return f[near] - away[near], f[near] + away[near]


def _slope(f: Array, x: Array) -> float:
    """The steepest slope in the data."""
    apart = cdist(x, x) + np.eye(len(x))
    return float((np.abs(f[:, None] - f) / apart).max())


def _of_nearest(k: int) -> Callable[[Array, Array, Array], Pair]:
    def allowed(f: Array, x: Array, z: Array) -> Pair:
        near = _away(x, z).argsort()[:k]
        return _allowed(f[near], x[near], z)

    return allowed


def _with_slope(f: Array, x: Array, z: Array) -> Pair:
    away = _slope(f, x) * _away(x, z)
    return (f - away).max(), (f + away).min()


def _clipped(f: Array, x: Array, z: Array) -> tuple[float, float]:
    low, high = np.clip(_allowed(f, x, z), f.min(), f.max())
    return float(low), float(high)


INTERVALS: dict[str, Callable[[Array, Array, Array], Pair]] = {
    "The order: the lowest value first, then the highest.": lambda f, x, z: _allowed(f, x, z)[::-1],
    "The nearest point alone does not decide: every point gives two bounds.": _at_nearest,
    "These are the weakest bounds; a value must respect all of them.": (
        lambda f, x, z: ((f - _away(x, z)).min(), (f + _away(x, z)).max())
    ),
    "A new value may be higher or lower than all known ones, and need not reach them.": (
        lambda f, x, z: (f.min(), f.max())
    ),
    "The lower bounds are f - |x - z|, and the highest of them counts.": (
        lambda f, x, z: (-_allowed(f, x, z)[0], _allowed(f, x, z)[1])
    ),
    "A bound of each point needs its own value: do not mix the extremes of f and of |x - z|.": (
        lambda f, x, z: (f.max() - _away(x, z).min(), f.min() + _away(x, z).min())
    ),
    "You took the squared distance.": (
        lambda f, x, z: ((f - _away(x, z) ** 2).max(), (f + _away(x, z) ** 2).min())
    ),
    "A bound on every coordinate's distance is not enough: take the Euclidean distance.": (
        lambda f, x, z: (
            (f - np.abs(x - z).max(1)).max(),
            (f + np.abs(x - z).max(1)).min(),
        )
    ),
    "You added up the coordinates' distances: take the Euclidean distance.": (
        lambda f, x, z: (
            (f - np.abs(x - z).sum(1)).max(),
            (f + np.abs(x - z).sum(1)).min(),
        )
    ),
    "np.linalg.norm(x - z) is one number for all points: you need one for each, with axis=1.": (
        lambda f, x, z: (
            (f - np.linalg.norm(x - z)).max(),
            (f + np.linalg.norm(x - z)).min(),
        )
    ),
    "This is one value that is allowed; wanted are the lowest and the highest.": (
        lambda f, x, z: 2 * (sum(_allowed(f, x, z)) / 2,)
    ),
}
"""What to say where the interval is that of a known slip."""


@exercise(
    "duality-allowed",
    praise="Both ends are attained, by the smallest and by the largest extension.",
    wrong=[
        *((slip, hint) for hint, slip in INTERVALS.items()),
        (lambda f, x, z: _allowed(f, x, z)[1], "pair"),
        (lambda f, x, z: _allowed(f, x, z)[1] - _allowed(f, x, z)[0], "pair"),
        (lambda f, x, z: (f - _away(x, z), f + _away(x, z)), "has shape (7,)"),
        (lambda f, x, z: (_allowed(f, x, z)[0] - 1, _allowed(f, x, z)[1]), "highest of f"),
        *((_of_nearest(k), "far point decides") for k in (2, 3, 4, 5, 6)),
        (_clipped, "above or below all known ones"),
        (lambda f, x, z: (_clipped(f, x, z)[0], _allowed(f, x, z)[1]), "above or below all"),
        (lambda f, x, z: (_allowed(f, x, z)[0], _clipped(f, x, z)[1]), "above or below all"),
        (_with_slope, "however flat"),
        (lambda f, x, z: tuple(np.array([end]) for end in _allowed(f, x, z)), "drop"),
    ],
)
def _duality_allowed(allowed: Callable[..., Any]) -> None:
    cases = _clouds()
    got = {name: _ends(allowed(*(a.copy() for a in case))) for name, case in cases.items()}
    for hint, slip in INTERVALS.items():
        expect(not all(np.allclose(got[name], slip(*case)) for name, case in cases.items()), hint)
    for name, hint in (
        (
            "amid",
            "The lowest is the highest of f - |x - z|, the highest the lowest of f + |x - z|.",
        ),
        ("behind", "A far point decides here, with a value that differs much: use all points."),
        ("above", "A far point decides here, with a value that differs much: use all points."),
        ("far", "A value far from all points may be above or below all known ones: do not clip."),
        ("flat", "The bounds have slope 1, however flat the known values are."),
    ):
        expect(np.allclose(got[name], _allowed(*cases[name])), hint)


def _clouds() -> dict[str, tuple[Array, Array, Array]]:
    """Values, points and a new point; the slope is 1 somewhere in all of them but the last."""
    rng = np.random.default_rng(4)
    x, z = rng.normal(size=(7, 2)), np.array([0.7, 0.4])
    f = -_transform(rng.normal(size=7), x, x)
    side = np.array([[-1, 0], [-1.5, 0], [-1, 1], [-1, -1], [-2, 0.5], [-2, -1], [5, 0]])
    fall = np.array([0, 0.5, 0.2, 0.3, 0.4, 0.6, -5.5])  # the last point is far, and decides at 0
    return {
        "amid": (f, x, z),
        "behind": (fall, side, np.zeros(2)),
        "above": (-fall, side, np.zeros(2)),
        "far": (f, x, np.array([7.0, -4.0])),
        "flat": (f / 2, x, z),
    }


def _ends(result: Any) -> list[float]:
    several = isinstance(result, tuple | list) or getattr(result, "ndim", 0) > 0
    expect(several and len(result) == 2, "Return a pair: `return lowest, highest`.")
    ends = [numbers(end) for end in result]
    expect(
        not any(end.shape and end.size == 1 for end in ends),
        f"The ends have the shapes {ends[0].shape} and {ends[1].shape}, wanted are two single "
        "numbers: drop the axes of length 1, for example with `.item()`.",
    )
    return [float(numbers(end, ())) for end in ends]


# --- an optimal critic on the line ----------------------------------------------------------------

_PLACES = np.array([0.0, 1.0, 3.0, 4.0, 6.0, 8.0])
_EXCESS = np.array([-1, 1, -2, 1, 2, -1]) / 4  # data minus generator
_BEST = 1.75


@exercise(
    "duality-prices",
    praise="Your prices certify W1 = 7/4, and no plan was needed.",
    wrong=[
        ([0, 1, 1, 2, 4], "has shape (5,)"),
        (np.zeros(6), "nothing"),
        ([0, -1, -1, -2, -4, -2], "sign"),
        ([0, 2, 2, 4, 8, 4], "too steep"),
        (None, "`prices` is None"),
        ([0, 1, 0, 1, 1, 0], "1 of 1.75: between 4 and 6"),
        (_PLACES, "0.75 of 1.75: between 6 and 8"),
        ([0, 1, 5, 6, 8, 6], "between 1 and 3"),
        ([0, 1, 3, 4, 6, 8], "0.75 of 1.75"),
        ([0, 0.25, 0.25, 0.75, 1.25, 0.75], "of 1.75: between 0 and 1"),
        ([-0.25, 0.25, -0.5, 0.25, 0.5, -0.25], "differences of the masses"),
        ([-1, 1, -2, 1, 2, -1], "differences of the masses"),
        ([1, 0, 1, 0, 0, 1], "sign"),
        ([0, 1, 1, 2, np.nan, 2], "number"),
    ],
)
def _duality_prices(prices: Any) -> None:
    expect(prices is not None, "`prices` is None: put the six prices into an array.")
    f = numbers(prices, (6,), nan=True)
    expect(bool(np.isfinite(f).all()), "Every price is a finite number.")
    steep = _excess_slope(f)
    bill = float(_EXCESS @ f)
    told = f - f.mean(), _EXCESS - _EXCESS.mean()
    expect(
        not any(np.allclose(told[0], k * told[1]) for k in (1, 4)),
        "These are the differences of the masses; look at those of the distribution functions.",
    )
    expect(
        steep is None,
        f"Your prices are too steep between {steep}: they may differ by at most the distance.",
    )
    expect(abs(bill) > 1e-9, "With these prices the dealer earns nothing.")
    expect(bill > 0, "The sign: high prices where the data are.")
    expect(
        bill > _BEST - 1e-6,
        f"These prices are allowed, and earn {bill:.4g} of {_BEST:.4g}: between {_lazy_slope(f)} "
        "the distribution functions differ, so the slope must be the sign of F_q - F_p.",
    )


def _excess_slope(f: Array) -> str | None:
    """The first neighbors between which the prices rise or fall by more than the distance."""
    for a, b, rise in zip(_PLACES[:-1], _PLACES[1:], np.diff(f), strict=True):
        if abs(rise) > b - a + 1e-9:
            return f"{a:.0f} and {b:.0f}"
    return None


def _lazy_slope(f: Array) -> str:
    """The first neighbors between which the prices earn less than they could."""
    signs, gaps = -np.sign(_EXCESS.cumsum()[:-1]), np.diff(_PLACES)  # signs of F_q - F_p
    first = int(np.argmax(np.abs(signs) * gaps - signs * np.diff(f) > 1e-7))
    return f"{_PLACES[first]:.0f} and {_PLACES[first + 1]:.0f}"


# --- the gradient of every optimal critic on its rays ---------------------------------------------


def _partner(x: Array, y: Array) -> NDArray[np.intp]:
    return np.asarray(linear_sum_assignment(cdist(y, x))[1])


def _unit(rays: Array) -> Array:
    return np.asarray(rays / np.linalg.norm(rays, axis=-1, keepdims=True))


def _uphill(x: Array, y: Array) -> Array:
    return _unit(x[_partner(x, y)] - y)


def _matched(**options: Any) -> Callable[[Array, Array], Array]:
    """Directions to partners under the best plan for another distance, or under the worst."""
    most = options.pop("maximize", False)
    return lambda x, y: _unit(
        x[linear_sum_assignment(cdist(y, x, **options), maximize=most)[1]] - y
    )


def _in_turn(x: Array, y: Array) -> Array:
    """Each generated point in turn takes the nearest data point that is free."""
    apart, partner = cdist(y, x), []
    for row in apart:
        partner.append(int(row.argmin()))
        apart[:, partner[-1]] = np.inf
    return _unit(x[partner] - y)


def _nearest_first(x: Array, y: Array) -> Array:
    """The nearest pair of all is taken first, then the nearest of the rest."""
    apart, partner = cdist(y, x), np.zeros(len(y), int)
    for _ in y:
        row, column = np.unravel_index(apart.argmin(), apart.shape)
        partner[row] = column
        apart[row], apart[:, column] = np.inf, np.inf
    return _unit(x[partner] - y)


def _by_coordinate(k: int) -> Callable[[Array, Array], Array]:
    return lambda x, y: _unit(x[x[:, k].argsort()[y[:, k].argsort().argsort()]] - y)


DIRECTIONS: dict[str, Callable[[Array, Array], Array]] = {
    "This is downhill: the critic is high on the data.": lambda x, y: -_uphill(x, y),
    "Divide by the length: the gradient has norm 1, however long the ray is.": (
        lambda x, y: x[_partner(x, y)] - y
    ),
    "This leads to the nearest data point; the best plan need not take it there.": (
        lambda x, y: _unit(x[cdist(y, x).argmin(1)] - y)
    ),
    "Pairs by index are not the best plan.": lambda x, y: _unit(x - y),
    "Row j must belong to y_j: you have the data points' partners, in the order of x.": (
        lambda x, y: _unit(x - y[_partner(y, x)])
    ),
    "The partners are permuted the wrong way: row j of the answer belongs to y_j.": (
        lambda x, y: _unit(x[_partner(x, y).argsort()] - y)
    ),
    "This leads to the mean of the data; each point has its own ray.": (
        lambda x, y: _unit(x.mean(0) - y)
    ),
    "This is the plan for the squared distance; the cost is the distance itself.": _matched(
        metric="sqeuclidean"
    ),
    "This is the plan for the sum of the coordinates' distances: take the Euclidean one.": _matched(
        metric="cityblock"
    ),
    "This is the most expensive plan: drop `maximize=True`.": _matched(maximize=True),
    "You let each point in turn take the nearest free one; the best plan looks at all at once.": (
        _in_turn
    ),
    "You took the nearest pair first, and so on; the best plan looks at all pairs at once.": (
        _nearest_first
    ),
    "You paired in the order of the first coordinate; sorting is best on the line only.": (
        _by_coordinate(0)
    ),
    "You paired in the order of the second coordinate; sorting is best on the line only.": (
        _by_coordinate(1)
    ),
    "These have largest coordinate 1; wanted is Euclidean norm 1.": (
        lambda x, y: (x[_partner(x, y)] - y) / np.abs(x[_partner(x, y)] - y).max(1, keepdims=True)
    ),
    "You divided by the length of all rays together: each row has its own.": (
        lambda x, y: (x[_partner(x, y)] - y) / np.linalg.norm(x[_partner(x, y)] - y)
    ),
}
"""What to say where the directions are those of a known slip."""


@exercise(
    "duality-uphill",
    praise="Norm 1 everywhere: a point far from the data is pulled as hard as a near one.",
    wrong=[
        *((slip, hint) for hint, slip in DIRECTIONS.items()),
        (lambda x, y: _partner(x, y), "has shape (8,)"),
        (lambda x, y: np.zeros_like(y), "norm 1"),
        (lambda x, y: _unit(np.ones_like(y)), "unit vector from y_j"),
    ],
)
def _duality_uphill(uphill: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(8, 2)), rng.normal(loc=0.7, size=(8, 2))
    got = numbers(uphill(x.copy(), y.copy()), (8, 2))
    for hint, slip in DIRECTIONS.items():
        expect(not np.allclose(got, slip(x, y)), hint)
    expect(np.allclose(np.linalg.norm(got, axis=1), 1), "On a ray the gradient has norm 1.")
    expect(
        np.allclose(got, _uphill(x, y)),
        "The gradient is the unit vector from y_j to its partner under the best plan.",
    )


def _close(got: float, right: float) -> bool:
    return math.isclose(got, right, rel_tol=1e-6, abs_tol=1e-9)
