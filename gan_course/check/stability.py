"""Checks of the page "GANs are locally stable"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import WrongAnswer, exercise, expect, numbers

Array = NDArray[np.float64]

# --- the Jacobian of any game ---------------------------------------------------------------------


def _block(a: Array, b: Array, c: Array, d: Array) -> Array:
    return np.block([[a, b], [c, d]])


JACOBIANS: dict[str, Callable[[Array, Array, Array], Array]] = {
    "The generator descends: its whole row has a minus sign.": (
        lambda C, M, G: _block(C, M, M.T, G)
    ),
    "The generator's own block has a minus sign, too.": lambda C, M, G: _block(C, M, -M.T, G),
    "The minus sign belongs to the mixed block of the generator's row, too.": (
        lambda C, M, G: _block(C, M, M.T, -G)
    ),
    "The critic ascends V: its block is the second derivative itself, without a minus.": (
        lambda C, M, G: _block(-C, M, -M.T, -G)
    ),
    "You let the critic descend and the generator ascend.": (
        lambda C, M, G: _block(-C, -M, M.T, G)
    ),
    "Both players descend in yours: the critic ascends.": (
        lambda C, M, G: _block(-C, -M, -M.T, -G)
    ),
    "The generator's block is 0 at some equilibria only: keep it.": (
        lambda C, M, G: _block(C, M, -M.T, 0 * G)
    ),
    "The minus sign of the mixed blocks is in the wrong row: the critic ascends.": (
        lambda C, M, G: _block(C, -M, M.T, -G)
    ),
    "The critic's parameters come first.": lambda C, M, G: _block(-G, -M.T, M, C),
    "The mixed blocks are missing.": lambda C, M, G: _block(C, 0 * M, 0 * M.T, -G),
}
"""What to say where the matrix is that of a known slip."""


@exercise(
    "stability-jacobian",
    praise="Its symmetric part holds the two diagonal blocks alone: the mixed ones only turn.",
    wrong=[
        *((slip, hint) for hint, slip in JACOBIANS.items()),
        (lambda C, M, G: _block(C, M, -M.T, -G).T, "in the wrong row"),
        (lambda C, M, G: C, "wanted is shape (5, 5)"),
        (lambda C, M, G: _block(C, M, -M.T, -2 * G), "top left"),
    ],
)
def _stability_jacobian(game_jacobian: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    C, M, G = rng.normal(size=(3, 3)), rng.normal(size=(3, 2)), rng.normal(size=(2, 2))
    C, G = C + C.T, G + G.T
    got = numbers(game_jacobian(C.copy(), M.copy(), G.copy()), (5, 5))
    for hint, slip in JACOBIANS.items():
        expect(not np.allclose(got, slip(C, M, G)), hint)
    expect(
        np.allclose(got, _block(C, M, -M.T, -G)),
        "The critic's block top left, the mixed one beside it; below, minus the mixed one "
        "transposed and minus the generator's.",
    )


# --- friction from features -----------------------------------------------------------------------


def _friction(S: Array, curvature: float) -> Array:
    return -2 * curvature * S.T @ S / len(S)


FRICTIONS: dict[str, Callable[[Array, float], Array]] = {
    "Check the sign: f''(0) is negative, and friction is not.": lambda S, c: -_friction(S, c),
    "Data and generated points both count: where is the factor 2?": (
        lambda S, c: _friction(S, c) / 2
    ),
    "The factor 2 is missing, and check the sign.": lambda S, c: -_friction(S, c) / 2,
    "Take the mean over the points, not the sum.": lambda S, c: len(S) * _friction(S, c),
    "Take the mean over the points, not the sum; and check the sign.": (
        lambda S, c: -len(S) * _friction(S, c)
    ),
    "Take the mean over the points, not the sum; and where is the factor 2?": (
        lambda S, c: len(S) * _friction(S, c) / 2
    ),
    "These are second moments, not a covariance: do not subtract the mean.": (
        lambda S, c: _friction(S - S.mean(0), c)
    ),
    "Second moments divide by n, and no mean is subtracted: this is a covariance.": (
        lambda S, c: -2 * c * np.cov(S.T)
    ),
    "Multiply point by point first and average then: a mean of products, not of factors.": (
        lambda S, c: -2 * c * np.outer(S.mean(0), S.mean(0))
    ),
    "P is a block on the diagonal and need not be diagonal itself.": (
        lambda S, c: np.diag(np.diag(_friction(S, c)))
    ),
    "The curvature of f is missing.": lambda S, c: 2 * S.T @ S / len(S),
    "The curvature and the factor 2 are missing.": lambda S, c: S.T @ S / len(S),
    "Divide by the number of points, not of features.": (
        lambda S, c: _friction(S, c) * len(S) / S.shape[1]
    ),
}
"""What to say where the matrix is that of a known slip."""


@exercise(
    "stability-friction",
    praise="It is singular as soon as a combination of the features vanishes on the data.",
    wrong=[
        *((slip, hint) for hint, slip in FRICTIONS.items()),
        (lambda S, c: -2 * c * S @ S.T / len(S), "has shape (7, 7)"),
        (lambda S, c: -2 * c * (S**2).mean(0), "has shape (3,)"),
        (lambda S, c: 3 * _friction(S, c), "Minus twice"),
        (lambda S, c: S.T @ S / len(S) / 2, "one f only"),
    ],
)
def _stability_friction(friction: Callable[..., Any]) -> None:
    S = np.random.default_rng(2).normal(0.5, 1, size=(7, 3))
    cases = (-0.25, -0.9)
    got = [numbers(friction(S.copy(), curvature), (3, 3)) for curvature in cases]
    for hint, slip in FRICTIONS.items():
        known = [slip(S, curvature) for curvature in cases]
        expect(not np.allclose(got, known), hint)
    right = [_friction(S, curvature) for curvature in cases]
    expect(
        np.allclose(got, right) or not np.allclose(got[0], right[0]),
        "This is right for one f only: use the curvature that is given.",
    )
    if not np.allclose(got, right):
        off = np.abs(got[0] - right[0])
        i, j = np.unravel_index(int(off.argmax()), off.shape)
        raise WrongAnswer(
            f"For 7 points with 3 features and f'' = {cases[0]} your entry [{i}, {j}] is "
            f"{got[0][i, j]:.4g}, and should be {right[0][i, j]:.4g}. Minus twice the curvature, "
            "times the mean of the outer products of the rows."
        )


# --- stable or not --------------------------------------------------------------------------------

CASES: tuple[tuple[list[list[float]], list[list[float]], bool, str], ...] = (
    ([[1, 0], [0, 2]], [[1], [2]], True, "P is positive definite and Q has full column rank"),
    ([[0, 0], [0, 0]], [[1, 0], [0, 2]], False, "there is no friction: all eigenvalues turn"),
    ([[1, 0], [0, 2]], [[1, 2], [2, 4]], False, "the critic does not see one of the motions"),
    ([[1]], [[1, 2]], False, "the critic does not see one of the motions: full *column* rank"),
    ([[1, 1], [1, 1]], [[1], [0]], True, "P is singular, but its kernel holds no eigenvector"),
    ([[1, 0], [0, 0]], [[0], [1]], False, "a mode of the spring has no friction and turns on"),
    ([[1, 0], [0, 0]], [[1], [0]], False, "one direction has no friction and no spring: 0"),
    ([[0.02, 0.02], [0.02, 0.02]], [[1], [0]], True, "friction is weak, but every mode has some"),
    (
        [[0, 0, 0], [0, 0, 0], [0, 0, 1]],
        [[1, 0, 0], [1, 1, 0], [0, 1, 1]],
        True,
        "P has rank 1, but the spring turns both other directions into the one with friction",
    ),
    (
        [[1, 1], [1, 1]],
        [[1, 0], [0, 1]],
        False,
        "every vector is an eigenvector of QQ^T, and (1, -1) has no friction: its eigenvalues are "
        "+-i, with the real part 0 up to rounding",
    ),
    (
        [[0, 0, 0], [0, 0, 0], [0, 0, 1]],
        [[1, 1, 0], [1, 0, 1], [1, -1, -1]],
        False,
        "(1, 1, 0) is an eigenvector of QQ^T in the kernel of P, though others span the kernel, "
        "too: it turns on, with the real part 0 up to rounding",
    ),
)
"""Blocks, whether the equilibrium is stable, and why."""


def _stable(P: Array, Q: Array) -> bool:
    A = np.block([[-P, Q], [-Q.T, np.zeros((Q.shape[1], Q.shape[1]))]])
    return bool(np.linalg.eigvals(A).real.max() < -1e-9)


def _rank(x: Array) -> int:
    return int(np.linalg.matrix_rank(x))


def _least(P: Array) -> float:
    return float(np.linalg.eigvalsh(P)[0])


def _two_powers(P: Array, Q: Array) -> bool:
    return _rank(np.vstack([P, P @ Q @ Q.T])) == len(P) and _rank(Q) == Q.shape[1]


def _computed_modes(P: Array, Q: Array) -> bool:
    """Asks only the eigenvectors that the algorithm happens to choose."""
    modes = np.linalg.eigh(Q @ Q.T)[1]
    return _rank(Q) == Q.shape[1] and bool((np.linalg.norm(P @ modes, axis=0) > 1e-9).all())


def _computed_kernel(P: Array, Q: Array) -> bool:
    """Asks only the vectors of one basis of the kernel."""
    values, vectors = np.linalg.eigh(P)
    kernel, spring = vectors[:, values < 1e-9].T, Q @ Q.T
    modes = [np.allclose(spring @ v, (v @ spring @ v) * v) for v in kernel]
    return _rank(Q) == Q.shape[1] and not any(modes)


@exercise(
    "stability-verdict",
    praise="Friction in one direction can be enough, if the spring turns all others into it.",
    wrong=[
        (lambda P, Q: _least(P) > 1e-9 and _rank(Q) == Q.shape[1], "holds no eigenvector"),
        (lambda P, Q: _rank(Q) == Q.shape[1], "no friction"),
        (lambda P, Q: _least(P) > 1e-9, "does not see"),
        (lambda P, Q: _least(P) > 1e-9 and _rank(Q) == min(Q.shape), "full *column* rank"),
        (lambda P, Q: np.trace(P) > 0 and _rank(Q) == Q.shape[1], "turns on"),
        (lambda P, Q: _rank(P @ Q) == Q.shape[1], "spring: 0"),
        (_two_powers, "P has rank 1"),
        (_computed_modes, "every vector is an eigenvector"),
        (_computed_kernel, "though others span"),
        (lambda P, Q: True, "no friction"),
        (lambda P, Q: False, "positive definite and Q"),
        (lambda P, Q: not _stable(P, Q), "positive definite and Q"),
        (lambda P, Q: _stable(P, Q) and np.abs(P).max() > 0.1, "friction is weak"),
        (lambda P, Q: "stable", "text"),
        (lambda P, Q: -0.2, "True or False"),
        (lambda P, Q: [True], "has shape (1,)"),
    ],
)
def _stability_verdict(is_stable: Callable[..., Any]) -> None:
    for P, Q, right, why in CASES:
        blocks = np.array(P, dtype=np.float64), np.array(Q, dtype=np.float64)
        got = float(numbers(is_stable(*blocks), ()))
        expect(got in (0.0, 1.0), "Return True or False.")
        word = "stable" if right else "not exponentially stable"
        expect(bool(got) == right, f"With P = {P} and Q = {Q} it is {word}: {why}.")


# --- how much temptation is too much --------------------------------------------------------------


def _trace_bound(c: float, slope: float, curvature: float) -> float:
    return c**2 * abs(curvature) / slope


def _determinant_bound(c: float, slope: float, curvature: float) -> float:
    return slope / (4 * c**2 * abs(curvature))


def _bound(c: float, slope: float, curvature: float) -> float:
    return min(_trace_bound(c, slope, curvature), _determinant_bound(c, slope, curvature))


BOUNDS: dict[str, Callable[[float, float, float], float]] = {
    "The trace is one condition: the determinant must be positive, too.": _trace_bound,
    "The determinant is one condition: the trace must be negative, too.": _determinant_bound,
    "Both conditions must hold: the smaller bound counts.": (
        lambda *a: max(_trace_bound(*a), _determinant_bound(*a))
    ),
    "Both conditions must hold: the smaller bound counts, not their sum.": (
        lambda *a: _trace_bound(*a) + _determinant_bound(*a)
    ),
    "The curvature is negative: take its absolute value.": (
        lambda c, f1, f2: min(c**2 * f2 / f1, f1 / (4 * c**2 * f2))
    ),
    "c enters with its square, in both bounds.": (
        lambda c, f1, f2: min(abs(c * f2) / f1, f1 / (4 * abs(c * f2)))
    ),
    "Both entries of the diagonal have the factor 2: it cancels in the trace.": (
        lambda c, f1, f2: min(2 * c**2 * abs(f2) / f1, f1 / (4 * c**2 * abs(f2)))
    ),
    "Both entries of the diagonal have the factor 2: the determinant has a 4.": (
        lambda c, f1, f2: min(c**2 * abs(f2) / f1, f1 / (2 * c**2 * abs(f2)))
    ),
    "The determinant has the factor 4: both entries of the diagonal bring a 2.": (
        lambda c, f1, f2: min(c**2 * abs(f2) / f1, f1 / (c**2 * abs(f2)))
    ),
    "The mixed entries enter the determinant with their square, and one slope cancels.": (
        lambda c, f1, f2: min(c**2 * abs(f2) / f1, 1 / (4 * c**2 * abs(f2)))
    ),
    "The generator's block is 2 k f'(0): divide by the slope.": (
        lambda c, f1, f2: min(c**2 * abs(f2), f1**2 / (4 * c**2 * abs(f2)))
    ),
}
"""What to say where the bounds are those of a known slip."""


@exercise(
    "stability-temptation",
    praise="More friction helps against the trace and hurts the determinant.",
    wrong=[
        *((slip, hint) for hint, slip in BOUNDS.items()),
        (lambda c, f1, f2: [_bound(c, f1, f2)], "has shape (1,)"),
        (lambda c, f1, f2: _bound(c, f1, f2) / 3, "trace negative and determinant positive"),
        (lambda c, f1, f2: _bound(c, 0.5, -0.25), "one f only"),
    ],
)
def _stability_temptation(largest_k: Callable[..., Any]) -> None:
    cases = (
        *((c, 0.5, -0.25) for c in (2.0, 0.6, 1.1, 0.9)),
        *((c, 1.2, -0.4) for c in (-1.5, 0.5, 3.0, 1.25)),
    )
    got = [float(numbers(largest_k(*case), ())) for case in cases]
    for hint, slip in BOUNDS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-6), hint)
    right = [_bound(*case) for case in cases]
    expect(
        np.allclose(got, right, rtol=1e-6) or not np.allclose(got[:4], right[:4], rtol=1e-6),
        "This is right for one f only: use the slope and the curvature that are given.",
    )
    for value, case in zip(got, cases, strict=True):
        bounds = _trace_bound(*case), _determinant_bound(*case)
        expect(
            np.isclose(value, min(bounds), rtol=1e-6),
            f"For c = {case[0]}, f' = {case[1]} and f'' = {case[2]} you give {value:.4g}. There "
            f"the trace asks for k < {bounds[0]:.4g} and the determinant for k < {bounds[1]:.4g}. "
            "Solve both conditions for k, trace negative and determinant positive, and take the "
            "smaller bound.",
        )
