"""Checks of the page "The model"."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- best critic and value ------------------------------------------------------------------------


def _residual(real: Array, fake: Array) -> Array:
    return np.asarray(real.mean(0) - fake.mean(0))


def _features(seed: int, m: int, n: int, width: int, shift: float = 0.4) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    return np.tanh(rng.normal(size=(m, width))), np.tanh(rng.normal(size=(n, width)) + shift)


CRITICS: dict[str, Callable[[Array, Array], Array]] = {
    "Check the sign of eta: the critic is to be high on the data.": (
        lambda real, fake: -_residual(real, fake)
    ),
    "No need for length 1: the penalty bounds eta, and its length tells how far apart all is.": (
        lambda real, fake: _residual(real, fake) / np.linalg.norm(_residual(real, fake))
    ),
    "Expectations are means over the points, not sums.": (
        lambda real, fake: real.sum(0) - fake.sum(0)
    ),
    "The penalty is half of |eta|^2, so its slope is eta, not 2 eta.": (
        lambda real, fake: _residual(real, fake) / 2
    ),
    "This is the mean over all points of both kinds: take two means.": (
        lambda real, fake: (real.sum(0) - fake.sum(0)) / (len(real) + len(fake))
    ),
    "This is the mean on the data alone: subtract that on the generated points.": (
        lambda real, fake: real.mean(0)
    ),
    "Only the signs of the residual are left: its sizes count as well.": (
        lambda real, fake: np.sign(_residual(real, fake))
    ),
}
"""What to say where the critic is that of a known slip."""

VALUES: dict[str, Callable[[Array], float]] = {
    "The value: subtract the penalty, which takes half of eta . r.": lambda r: float(r @ r),
    "The value: it is half of the squared length, not the length.": (
        lambda r: float(np.linalg.norm(r))
    ),
    "The value: the square of the length is missing.": lambda r: float(np.linalg.norm(r) / 2),
    "The value: add the squares up, do not average them over the features.": (
        lambda r: float(r @ r / (2 * len(r)))
    ),
    "The value: this is the penalty with its sign; add eta . r.": lambda r: float(-r @ r / 2),
    "The value: the penalty has the factor 1/2.": lambda r: 0.0,
}
"""What to say where the critic is right and the value is that of a known slip."""


def _pair(slip: Callable[[Array], float]) -> Callable[[Array, Array], Any]:
    return lambda real, fake: (_residual(real, fake), slip(_residual(real, fake)))


@exercise(
    "model-solve",
    praise="No training loop for this critic: it is a difference of two means.",
    wrong=[
        *(
            (lambda real, fake, slip=slip: (slip(real, fake), 0.0), hint)
            for hint, slip in CRITICS.items()
        ),
        *((_pair(slip), hint) for hint, slip in VALUES.items()),
        (lambda real, fake: _residual(real, fake), "pair"),
        (lambda real, fake: (_residual(real, fake).sum(), 0.0), "is a single number"),
        (lambda real, fake: (3 * _residual(real, fake), 0.0), "maximizes eta . r"),
        (_pair(lambda r: 7.0), "The value is L at"),
        (lambda real, fake: None, "return"),
        (lambda real, fake: (np.full(real.shape[1], np.nan), 0.0), "NaN"),
    ],
)
def _model_solve(solve: Callable[..., Any]) -> None:
    real, fake = _features(1, 7, 9, 5)
    result = solve(real.copy(), fake.copy())
    expect(result is not None, "Your function returns nothing: is a `return` missing?")
    pair = isinstance(result, tuple | list) and len(result) == 2
    expect(pair, "Return a pair: `return eta, value`.")
    eta, r = numbers(result[0], (5,)), _residual(real, fake)
    for hint, slip in CRITICS.items():
        expect(not np.allclose(eta, slip(real, fake)), hint)
    expect(np.allclose(eta, r), "Find the eta that maximizes eta . r - |eta|^2 / 2.")
    value = float(numbers(result[1], ()))
    for hint, known in VALUES.items():
        expect(not np.isclose(value, known(r)), hint)
    expect(bool(np.isclose(value, r @ r / 2)), "The value is L at your eta: eta . r - |eta|^2 / 2.")


# --- the gradient ---------------------------------------------------------------------------------


def _pulled(phi: Array, vectors: Array) -> Array:
    return np.asarray(np.einsum("qn,qni->i", vectors, phi) / len(phi))


def _slope(phi: Array, slopes: Array, A: Array, r: Array) -> Array:
    return -_pulled(phi, (slopes * r) @ A)


SLOPES: dict[str, Callable[[Array, Array, Array, Array], Array]] = {
    "Check the sign: r has a minus in front of the generated points.": (
        lambda phi, slopes, A, r: -_slope(phi, slopes, A, r)
    ),
    "Take the mean over the points z, not the sum.": (
        lambda phi, slopes, A, r: _slope(phi, slopes, A, r) * len(phi)
    ),
    "The slopes of the activation are missing: the chain rule needs them.": (
        lambda phi, slopes, A, r: _slope(phi, np.ones_like(slopes), A, r)
    ),
    "The residual is missing: each feature of the critic pulls with its weight r_j.": (
        lambda phi, slopes, A, r: _slope(phi, slopes, A, np.ones_like(r))
    ),
    "A factor is wrong: J has a 1/2, which the square's derivative cancels.": (
        lambda phi, slopes, A, r: 2 * _slope(phi, slopes, A, r)
    ),
    "A factor 1/2 is too much: the square's derivative cancels it.": (
        lambda phi, slopes, A, r: _slope(phi, slopes, A, r) / 2
    ),
    "You averaged slopes and features one by one: multiply at each point, then take the mean.": (
        lambda phi, slopes, A, r: -np.einsum("n,ni->i", ((slopes * r) @ A).mean(0), phi.mean(0))
    ),
    "Use the residual as it is: the best critic is r, not of length 1.": (
        lambda phi, slopes, A, r: _slope(phi, slopes, A, r / np.linalg.norm(r))
    ),
}
"""What to say where the gradient is that of a known slip."""


@exercise(
    "model-slope",
    praise="It needs one product of matrices for each feature, and no automatic differentiation.",
    wrong=[
        *((slip, hint) for hint, slip in SLOPES.items()),
        (lambda phi, slopes, A, r: (slopes * r) @ A, "has shape (6, 2)"),
        (lambda phi, slopes, A, r: 3 * _slope(phi, slopes, A, r), "At each z"),
        (lambda phi, slopes, A, r: None, "return"),
        (lambda phi, slopes, A, r: np.full(phi.shape[2], np.nan), "NaN"),
    ],
)
def _model_slope(slope: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    q, n, width, features = 6, 2, 5, 4
    phi, A = np.tanh(rng.normal(size=(q, n, width))), rng.normal(size=(features, n))
    slopes, r = rng.uniform(0.1, 1, size=(q, features)), rng.normal(size=features)
    got = numbers(slope(phi.copy(), slopes.copy(), A.copy(), r.copy()), (width,))
    for hint, slip in SLOPES.items():
        expect(not np.allclose(got, slip(phi, slopes, A, r)), hint)
    expect(
        np.allclose(got, _slope(phi, slopes, A, r)),
        "At each z: the inner product of phi_i with sum_j r_j slopes_j a_j; then minus the mean.",
    )


# --- the objective from the kernel alone ----------------------------------------------------------


def _from_kernel(xx: Array, xy: Array, yy: Array) -> float:
    return float(xx.mean() - 2 * xy.mean() + yy.mean()) / 2


def _others(square: Array) -> float:
    """Mean over pairs of different points."""
    m = len(square)
    return float(square.sum() - np.trace(square)) / (m * (m - 1))


KERNELS: dict[str, Callable[[Array, Array, Array], float]] = {
    "This is the squared MMD: J is half of it.": (lambda xx, xy, yy: 2 * _from_kernel(xx, xy, yy)),
    "This is the MMD: J is half of its square.": (
        lambda xx, xy, yy: float(np.sqrt(2 * _from_kernel(xx, xy, yy)))
    ),
    "J is half of the square: no root.": (
        lambda xx, xy, yy: float(np.sqrt(2 * _from_kernel(xx, xy, yy)) / 2)
    ),
    "The pairs of a data and a generated point count twice.": (
        lambda xx, xy, yy: float(xx.mean() - xy.mean() + yy.mean()) / 2
    ),
    "The pairs of a data and a generated point have a minus.": (
        lambda xx, xy, yy: float(xx.mean() + 2 * xy.mean() + yy.mean()) / 2
    ),
    "Means over all pairs, not sums.": (
        lambda xx, xy, yy: float(xx.sum() - 2 * xy.sum() + yy.sum()) / 2
    ),
    "The points are the distributions here: a point's pair with itself counts.": (
        lambda xx, xy, yy: (_others(xx) - 2 * float(xy.mean()) + _others(yy)) / 2
    ),
    "Take all pairs, not only those on the diagonals.": (
        lambda xx, xy, yy: (
            float(np.diag(xx).mean() - 2 * np.diag(xy).mean() + np.diag(yy).mean()) / 2
        )
    ),
    "Check the signs: like with like has a plus, data with generated a minus.": (
        lambda xx, xy, yy: -_from_kernel(xx, xy, yy)
    ),
    "The pairs of generated points are missing.": (
        lambda xx, xy, yy: float(xx.mean() - 2 * xy.mean()) / 2
    ),
}
"""What to say where the number is that of a known slip."""


@exercise(
    "model-kernel",
    praise="The features have gone: any kernel will do.",
    wrong=[
        *((slip, hint) for hint, slip in KERNELS.items()),
        (lambda xx, xy, yy: xx.mean(0), "has shape (7,)"),
        (lambda xx, xy, yy: 3 * _from_kernel(xx, xy, yy), "means over pairs"),
        (lambda xx, xy, yy: None, "return"),
        (lambda xx, xy, yy: float("nan"), "NaN"),
    ],
)
def _model_kernel(objective: Callable[..., Any]) -> None:
    x, y = _features(5, 7, 9, 5)

    def gauss(a: Array, b: Array) -> Array:
        return np.asarray(np.exp(-((a[:, None] - b) ** 2).sum(2)))

    def linear(a: Array, b: Array) -> Array:
        return a @ b.T

    cases = [(k(x, x), k(x, y), k(y, y)) for k in (linear, gauss)]
    got = [float(numbers(objective(*(part.copy() for part in case)), ())) for case in cases]
    for hint, slip in KERNELS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases]), hint)
    expect(
        np.allclose(got, [_from_kernel(*case) for case in cases]),
        "Take the means over pairs in each array, data with data, both, generated with generated.",
    )


# --- an unbiased estimate -------------------------------------------------------------------------


def _noise(real: Array, fake: Array, ddof: int = 1) -> float:
    return float(sum(x.var(0, ddof=ddof).sum() / len(x) for x in (real, fake)))


def _plain(real: Array, fake: Array) -> float:
    r = _residual(real, fake)
    return float(r @ r / 2)


def _unbiased(real: Array, fake: Array) -> float:
    return _plain(real, fake) - _noise(real, fake) / 2


ESTIMATES: dict[str, Callable[[Array, Array], float]] = {
    "This is |r|^2 / 2 itself: it is too large on average.": _plain,
    "You subtracted the noise twice as large: the formula has tr / (2 m).": (
        lambda real, fake: _plain(real, fake) - _noise(real, fake)
    ),
    "Check the sign: the noise makes |r|^2 / 2 larger, so subtract it.": (
        lambda real, fake: _plain(real, fake) + _noise(real, fake) / 2
    ),
    "Your variances are biased: divide by m - 1, with ddof=1.": (
        lambda real, fake: _plain(real, fake) - _noise(real, fake, 0) / 2
    ),
    "The noise of the generated points is missing.": (
        lambda real, fake: _plain(real, fake) - float(real.var(0, ddof=1).sum()) / (2 * len(real))
    ),
    "The noise of the data is missing.": (
        lambda real, fake: _plain(real, fake) - float(fake.var(0, ddof=1).sum()) / (2 * len(fake))
    ),
    "Divide each variance by its number of points.": (
        lambda real, fake: (
            _plain(real, fake) - sum(float(x.var(0, ddof=1).sum()) for x in (real, fake)) / 2
        )
    ),
    "It may be negative: cutting it off at 0 makes its mean too large again.": (
        lambda real, fake: max(_unbiased(real, fake), 0.0)
    ),
    "This estimates |r|^2: half of it is J.": lambda real, fake: 2 * _unbiased(real, fake),
}
"""What to say where the estimates are those of a known slip."""


def _halves(real: Array, fake: Array) -> float:
    """Unbiased, but from half of the pairs: even against odd points."""
    return float(_residual(real[::2], fake[::2]) @ _residual(real[1::2], fake[1::2]) / 2)


@exercise(
    "model-unbiased",
    praise="At equal distributions it is negative more often than not, and 0 on average.",
    wrong=[
        *((slip, hint) for hint, slip in ESTIMATES.items()),
        (_halves, "all pairs of different points"),
        (lambda real, fake: _residual(real, fake), "wanted is a single number"),
        (lambda real, fake: 7.0, "right mean"),
        (lambda real, fake: None, "return"),
        (lambda real, fake: float("nan"), "NaN"),
    ],
)
def _model_unbiased(unbiased: Callable[..., Any]) -> None:
    # X has three equally likely values and the generator two; all samples of two and of three.
    real, fake = _features(3, 3, 2, 4, shift=0.0)  # so near that some estimates are negative
    samples = [
        (real[list(i)], fake[list(j)])
        for i in itertools.product(range(3), repeat=2)
        for j in itertools.product(range(2), repeat=3)
    ]
    got = np.array([float(numbers(unbiased(x.copy(), y.copy()), ())) for x, y in samples])
    for hint, slip in ESTIMATES.items():
        expect(not np.allclose(got, [slip(x, y) for x, y in samples]), hint)
    expect(
        np.isclose(got.mean(), _plain(real, fake), atol=1e-9),
        "Over all samples your estimate has not the right mean.",
    )
    right = [_unbiased(x, y) for x, y in samples]
    expect(
        np.allclose(got, right),
        "Without bias, but not as good as it can be: use all pairs of different points.",
    )
