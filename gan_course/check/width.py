"""Checks of the page "Finite width"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import exercise, expect, expect_reached, numbers

Array = NDArray[np.floating[Any]]

# --- what a combination lacks of a point mass -----------------------------------------------------


def _mean(u: Array, phi: Array, f: Array, q: Array, dz: float) -> float:
    return float((phi @ u * f * q).sum() * dz)


GAPS: dict[str, Callable[[Array, Array, Array, Array, float, int], float]] = {
    "The point mass counts with the density, too: q at 0 times f at 0.": (
        lambda u, phi, f, q, dz, zero: _mean(u, phi, f, q, dz) - f[zero]
    ),
    "The mean over Z weighs every point of the grid with the density q.": (
        lambda u, phi, f, q, dz, zero: _mean(u, phi, f, np.ones_like(q), dz) - q[zero] * f[zero]
    ),
    "Both terms lack the density: these are integrals in z, not means over Z.": (
        lambda u, phi, f, q, dz, zero: _mean(u, phi, f, np.ones_like(q), dz) - f[zero]
    ),
    "The spacing is missing: an integral is a sum times dz.": (
        lambda u, phi, f, q, dz, zero: _mean(u, phi, f, q, 1.0) - q[zero] * f[zero]
    ),
    "This is a plain average over the grid; an integral is a sum times dz.": (
        lambda u, phi, f, q, dz, zero: _mean(u, phi, f, q, 1 / len(f)) - q[zero] * f[zero]
    ),
    "The point mass is missing: this is the mean of the combination alone.": (
        lambda u, phi, f, q, dz, zero: _mean(u, phi, f, q, dz)
    ),
    "Check the sign: the combination's mean, minus what the point mass gives.": (
        lambda u, phi, f, q, dz, zero: q[zero] * f[zero] - _mean(u, phi, f, q, dz)
    ),
    "Subtract the point mass, do not add it.": (
        lambda u, phi, f, q, dz, zero: _mean(u, phi, f, q, dz) + q[zero] * f[zero]
    ),
    "The point mass is no height on the grid: it is not multiplied by dz.": (
        lambda u, phi, f, q, dz, zero: _mean(u, phi, f, q, dz) - q[zero] * f[zero] * dz
    ),
    "The weights are missing: combine the features with u.": (
        lambda u, phi, f, q, dz, zero: _mean(np.ones_like(u), phi, f, q, dz) - q[zero] * f[zero]
    ),
    "The trapezoidal rule halves the two end points: wanted is the plain sum over the grid times "
    "dz.": (
        lambda u, phi, f, q, dz, zero: (
            float(np.trapezoid(phi @ u * f * q, dx=dz)) - q[zero] * f[zero]
        )
    ),
    "Without the bars: the sign is wanted.": (
        lambda u, phi, f, q, dz, zero: abs(_mean(u, phi, f, q, dz) - q[zero] * f[zero])
    ),
}
"""What to say where the numbers are those of a known slip."""


def _gap(u: Array, phi: Array, f: Array, q: Array, dz: float, zero: int) -> float:
    return _mean(u, phi, f, q, dz) - float(q[zero] * f[zero])


@exercise(
    "width-gap",
    praise="The largest of these numbers over all f of norm 1 is the accuracy.",
    wrong=[
        *((slip, hint) for hint, slip in GAPS.items()),
        (lambda u, phi, f, q, dz, zero: phi @ u * f * q, "wanted is a single number"),
        (lambda u, phi, f, q, dz, zero: 3.0, "sum over the grid"),
        (lambda u, phi, f, q, dz, zero: None, "return"),
        (lambda u, phi, f, q, dz, zero: math.nan, "NaN"),
    ],
)
def _width_gap(gap: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    z = np.linspace(-5, 7, 121)  # the origin is not in the middle
    q = np.exp(-np.abs(z)) / 2  # some density
    phi = np.tanh(z[:, None] * rng.normal(size=7) + rng.normal(size=7))
    cases = [
        (sign * rng.normal(size=7), phi, np.cos(a * z + b), q, 0.1, 50)
        for sign, a, b in ((1, 1.3, 0.4), (3, 0.5, 2.2), (-2, 2.0, 2.4))
    ]
    copies = [(*(part.copy() for part in case[:4]), *case[4:]) for case in cases]
    got = [float(numbers(gap(*case), ())) for case in copies]
    right = [_gap(*case) for case in cases]
    for hint, slip in GAPS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-7), hint)
    expect(
        np.allclose(got, right, rtol=1e-7),
        "A sum over the grid of the combination times f times q, times dz; minus q f at 0.",
    )


# --- the radius of the ball -----------------------------------------------------------------------


def _ball(
    A: Array,
    b: Array,
    eps: float,
    *,
    root: float | None = None,
    largest: float | None = None,
    smallest: float | None = None,
) -> Array:
    """The radius that each feature of the critic allows; keywords replace parts of the formula."""
    s = np.linalg.svd(A, compute_uv=False)
    root_n = A.shape[1] ** 0.5 if root is None else root
    largest, smallest = largest or s[0], smallest or s[-1]
    reach = np.arccosh(max(1.0, smallest / (root_n * eps * largest)) ** 0.5) - abs(b)
    radii: Array = reach / (root_n * np.linalg.norm(A, axis=1))
    return radii


def _radius(A: Array, b: Array, eps: float) -> float:
    return max(0.0, float(_ball(A, b, eps).min()))


RADII: dict[str, Callable[[Array, Array, float], float]] = {
    "The ball must suit every feature of the critic: take the smallest value, not the largest.": (
        lambda A, b, eps: _ball(A, b, eps).max()
    ),
    "The ball must suit every feature of the critic: take the smallest value, not the mean.": (
        lambda A, b, eps: _ball(A, b, eps).mean()
    ),
    "The biases are missing.": lambda A, b, eps: _ball(A, 0 * b, eps).min(),
    "A bias counts with its absolute value, whatever its sign.": (
        lambda A, b, eps: (_ball(A, b, eps) + (abs(b) - b) / _lengths(A)).min()
    ),
    "Both factors sqrt(n) are missing.": lambda A, b, eps: _ball(A, b, eps, root=1.0).min(),
    "The factor sqrt(n) in front of |a_j| is missing.": (
        lambda A, b, eps: (_ball(A, b, eps) * A.shape[1] ** 0.5).min()
    ),
    "A factor sqrt(n) stands inside of the root, too: next to eps |A|.": (
        lambda A, b, eps: _ball(A, b, eps / A.shape[1] ** 0.5).min()
    ),
    "The factor is sqrt(n), not n.": lambda A, b, eps: _ball(A, b, eps, root=A.shape[1]).min(),
    "n is the dimension of the data, not the number of the critic's features.": (
        lambda A, b, eps: _ball(A, b, eps, root=len(A) ** 0.5).min()
    ),
    "|A| is the spectral norm, not the Frobenius norm.": (
        lambda A, b, eps: _ball(A, b, eps, largest=float(np.linalg.norm(A))).min()
    ),
    "The smallest singular value belongs above: a critic that is nearly degenerate has no ball.": (
        lambda A, b, eps: _ball(
            A, b, eps, smallest=float(np.linalg.svd(A, compute_uv=False)[0])
        ).min()
    ),
    "A square root is missing: the slope of tanh is one over the square of cosh.": (
        lambda A, b, eps: _ball(A, b, A.shape[1] ** 0.5 * eps**2 / _condition(A)).min()
    ),
    "A logarithm gives only the leading term: wanted is arcosh.": (
        lambda A, b, eps: (
            (0.5 * np.log(_condition(A) / (A.shape[1] ** 0.5 * eps)) - abs(b)) / _lengths(A)
        ).min()
    ),
    "Every feature has its own |a_j|: |A| stands only inside of the root.": (
        lambda A, b, eps: (
            _ball(A, b, eps) * np.linalg.norm(A, axis=1) / np.linalg.norm(A, 2)
        ).min()
    ),
    "Only the steepest feature: one with a large bias may have less room.": (
        lambda A, b, eps: _ball(A, b, eps)[np.linalg.norm(A, axis=1).argmax()]
    ),
    "Only the feature with the largest bias: a steep one may have less room.": (
        lambda A, b, eps: _ball(A, b, eps)[abs(b).argmax()]
    ),
    "Divide by the length of a_j: a steep feature leaves less room.": (
        lambda A, b, eps: (_ball(A, b, eps) * np.linalg.norm(A, axis=1)).min()
    ),
}
"""What to say where the radius is that of a known slip."""


def _lengths(A: Array) -> Array:
    lengths: Array = A.shape[1] ** 0.5 * np.linalg.norm(A, axis=1)
    return lengths


def _condition(A: Array) -> float:
    s = np.linalg.svd(A, compute_uv=False)
    return float(s[-1] / s[0])


def _negative(A: Array, b: Array, eps: float) -> float:
    return float(_ball(A, b, eps).min())


@exercise(
    "width-radius",
    praise="An accuracy a thousand times better adds only a constant to the radius.",
    wrong=[
        *((slip, hint) for hint, slip in RADII.items()),
        (_negative, "never negative"),
        (lambda A, b, eps: _ball(A, b, eps), "wanted is a single number"),
        (lambda A, b, eps: 2 * _radius(A, b, eps), "every feature of the critic"),
        (lambda A, b, eps: None, "return"),
        (lambda A, b, eps: math.nan, "NaN"),
    ],
)
def _width_radius(radius: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    cases = []
    for eps in (1e-3, 1e-5):
        A = rng.normal(size=(3, 5)) * np.array([[0.5], [1.0], [2.0]])
        cases.append((A, np.array([0.3, 0.4, -0.6]), eps))
    cases.append((A, np.array([4.5, 0.4, -0.6]), 1e-5))  # the short row has the least room
    got = [float(numbers(radius(A.copy(), b.copy(), eps), ())) for A, b, eps in cases]
    for hint, slip in RADII.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-7), hint)
    right = [_radius(*case) for case in cases]
    expect(
        np.allclose(got, right, rtol=1e-7),
        "For every feature of the critic: arcosh sqrt(s_min / (sqrt(n) eps |A|)), minus |b_j|,"
        " divided by sqrt(n) |a_j|; then the smallest.",
    )
    A, b, _ = cases[0]
    for eps, bias in ((3.0, b), (1e-2, 9 + b)):
        none = float(numbers(radius(A.copy(), bias.copy(), eps), (), nan=True))
        expect(
            none == 0,
            "Where there is no ball the radius is 0: never negative, and no arcosh below 1.",
        )


# --- how many draws are enough --------------------------------------------------------------------


def _least(n: float, tau: float, zeta: float) -> float:
    return math.log(n / zeta) / -math.log1p(-tau)


def _enough(n: int, tau: float, zeta: float) -> int:
    return math.ceil(_least(n + 1, tau, zeta))


COUNTS: dict[str, Callable[[int, float, float], float]] = {
    "There are n + 1 neighborhoods: that of the difference's second feature counts, too.": (
        lambda n, tau, zeta: math.ceil(_least(n, tau, zeta))
    ),
    "This is for a single neighborhood: n + 1 of them must be hit.": (
        lambda n, tau, zeta: math.ceil(_least(1, tau, zeta))
    ),
    "One of the n + 1 neighborhoods is shared by all differences: there are not 2 n.": (
        lambda n, tau, zeta: math.ceil(_least(2 * n, tau, zeta))
    ),
    "Round up: with one draw fewer the bound is above zeta.": (
        lambda n, tau, zeta: math.floor(_least(n + 1, tau, zeta))
    ),
    "One draw fewer is enough.": lambda n, tau, zeta: _enough(n, tau, zeta) + 1,
    "A number of draws is a whole number: round up.": (
        lambda n, tau, zeta: _least(n + 1, tau, zeta)
    ),
    "Some neighborhood stays empty with probability at most zeta, not 1 - zeta.": (
        lambda n, tau, zeta: math.ceil(_least(n + 1, tau, 1 - zeta))
    ),
    "A draw misses with probability 1 - tau, not tau.": (
        lambda n, tau, zeta: math.ceil(_least(n + 1, 1 - tau, zeta))
    ),
    "1 / tau is only close to 1 / log(1 / (1 - tau)), and larger: this is not the smallest.": (
        lambda n, tau, zeta: math.ceil(math.log((n + 1) / zeta) / tau)
    ),
    "This is the mean number of draws until one neighborhood is hit.": (
        lambda n, tau, zeta: math.ceil(1 / tau)
    ),
}
"""What to say where the counts are those of a known slip."""


@exercise(
    "width-enough",
    praise="It grows like log(n / zeta) / tau: what is dear is a small tau.",
    wrong=[
        *((slip, hint) for hint, slip in COUNTS.items()),
        (lambda n, tau, zeta: math.floor(_least(n + 1, tau, zeta)) + 1, "no further draw"),
        (lambda n, tau, zeta: [_enough(n, tau, zeta)], "wanted is a single number"),
        (lambda n, tau, zeta: 7 * _enough(n, tau, zeta), "smallest N_g"),
        (lambda n, tau, zeta: None, "return"),
        (lambda n, tau, zeta: math.nan, "NaN"),
    ],
)
def _width_enough(enough: Callable[..., Any]) -> None:
    cases = ((2, 0.3, 0.01), (4, 0.05, 0.2), (9, 0.01, 0.001))
    got = [float(numbers(enough(*case), ())) for case in cases]
    for hint, slip in COUNTS.items():
        known = [slip(*case) for case in cases]
        expect(not np.allclose(got, known, rtol=1e-9, atol=0), hint)
    right = [_enough(*case) for case in cases]
    expect(got == right, "Find the smallest N_g with (n + 1) (1 - tau)^N_g <= zeta.")
    ties = range(1, 12)
    got = [float(numbers(enough(1, 0.5, 0.5**k), ())) for k in ties]
    hint = "At most zeta is wanted: where the bound is zeta exactly, no further draw is needed."
    expect_reached(got, [k + 1 for k in ties], hint)
