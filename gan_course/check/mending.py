"""Checks of the page "The WGAN circles, and what stops it"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import WrongAnswer, exercise, expect, numbers

Array = NDArray[np.float64]

# --- the mended field -----------------------------------------------------------------------------


def _field(w: float, a: float, eta: float) -> tuple[float, float]:
    return (1 - a**2) / 3, 2 * w * a / 3 + 4 * eta / 9 * a * (1 - a**2)


FIELDS: dict[str, Callable[[float, float, float], tuple[float, float]]] = {
    "The strength does nothing in your answer: where is the squared gradient?": (
        lambda w, a, eta: _field(w, a, 0)
    ),
    "The generator descends the squared gradient; yours ascends it.": (
        lambda w, a, eta: _field(w, a, -eta)
    ),
    "A factor 2 is missing: the derivative of a square.": lambda w, a, eta: _field(w, a, eta / 2),
    "This descends the norm of the gradient; wanted is its square.": (
        lambda w, a, eta: (
            _field(w, a, 0)[0],
            2 * w * a / 3 + 2 * eta / 3 * a * np.sign(1 - a**2),
        )
    ),
    "The order: the critic's w' first, the generator's a' second.": (
        lambda w, a, eta: _field(w, a, eta)[::-1]
    ),
    "The critic ascends V, the generator descends it: both of yours go the other way.": (
        lambda w, a, eta: (-_field(w, a, 0)[0], -_field(w, a, 0)[1] + 4 * eta / 9 * a * (1 - a**2))
    ),
    "The generator descends V; yours ascends it.": (
        lambda w, a, eta: (_field(w, a, 0)[0], -2 * w * a / 3 + 4 * eta / 9 * a * (1 - a**2))
    ),
    "The critic ascends V; yours descends it.": (
        lambda w, a, eta: (-_field(w, a, eta)[0], _field(w, a, eta)[1])
    ),
    "A mean of x^2 is missing: it is 1/3 on [-1, 1].": (
        lambda w, a, eta: (1 - a**2, 2 * w * a + 4 * eta * a * (1 - a**2))
    ),
    "The critic's gradient holds the mean 1/3, and its square holds 1/9.": (
        lambda w, a, eta: (_field(w, a, eta)[0], 2 * w * a / 3 + 4 * eta / 3 * a * (1 - a**2))
    ),
}
"""What to say where the field is that of a known slip."""


@exercise(
    "mending-field",
    praise="The new term pulls a to 1 from both sides, whatever the critic thinks.",
    wrong=[
        *((slip, hint) for hint, slip in FIELDS.items()),
        (lambda w, a, eta: _field(w, a, eta)[1], "pair"),
        (lambda w, a, eta: (_field(w, a, eta)[0], None), "returns nothing"),
        (lambda w, a, eta: (_field(w, a, eta)[0], math.nan), "NaN"),
        (lambda w, a, eta: (_field(w, a, eta)[0] + w, _field(w, a, eta)[1]), "w' is wrong"),
        (lambda w, a, eta: (_field(w, a, eta)[0], 2 * w * a / 3 + eta * a), "a' is wrong"),
    ],
)
def _mending_field(field: Callable[..., Any]) -> None:
    cases = ((0.7, 0.5, 0.4), (-1.3, 1.7, 0.9), (0.4, -0.6, 2.0))
    got = np.zeros((len(cases), 2))
    for i, case in enumerate(cases):
        result = field(*case)
        pair = isinstance(result, tuple | list) or np.ndim(result) == 1
        pair = pair and len(result) == 2
        expect(pair, "Return a pair: `return w_rate, a_rate`.")
        got[i] = [float(numbers(value, ())) for value in result]
    for hint, slip in FIELDS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases]), hint)
    right = np.array([_field(*case) for case in cases])
    expect(
        np.allclose(got[:, 0], right[:, 0]),
        "w' is wrong: it is the derivative of V = w (1 - a^2) / 3 by w.",
    )
    expect(
        np.allclose(got[:, 1], right[:, 1]),
        "a' is wrong: minus the derivative of V by a, minus eta times that of the squared w'.",
    )


# --- the matrix that undoes the mend --------------------------------------------------------------


def _block(upper: tuple[Array, Array], lower: tuple[Array, Array]) -> Array:
    return np.vstack([np.hstack(upper), np.hstack(lower)])


def _shear(Q: Array, eta: float) -> Array:
    rows, columns = Q.shape
    return _block((np.eye(rows), 0 * Q), (2 * eta * Q.T, np.eye(columns)))


def _jacobian(P: Array, Q: Array, eta: float) -> Array:
    """``J_eta`` of the theorem on the gradient norm."""
    return _block((-P, Q), (-Q.T @ (np.eye(len(P)) - 2 * eta * P), -2 * eta * Q.T @ Q))


def _damped(P: Array, Q: Array, eta: float) -> Array:
    """The similar matrix with the damping in the critic's block."""
    return _block((-(P + 2 * eta * Q @ Q.T), Q), (-Q.T, 0 * Q.T @ Q))


SHEARS: dict[str, Callable[[Array, float], Array]] = {
    "This is the inverse of the matrix wanted: check a sign.": lambda Q, eta: _shear(Q, -eta),
    "A factor 2 is missing.": lambda Q, eta: _shear(Q, eta / 2),
    "The strength is missing: for a small eta there is little to undo.": (
        lambda Q, eta: _shear(Q, 1.0)
    ),
    "The block stands in the wrong corner: the critic's row is added to the generator's.": (
        lambda Q, eta: _shear(Q, eta).T
    ),
    "The identity undoes nothing.": lambda Q, eta: np.eye(sum(Q.shape)),
    "The blocks on the diagonal are identities.": (
        lambda Q, eta: _shear(Q, eta) - np.eye(sum(Q.shape))
    ),
}
"""What to say where the matrix is that of a known slip."""


@exercise(
    "mending-similar",
    praise="In the coordinates T x the mend is the critic's curvature, and nothing else.",
    wrong=[
        *((slip, hint) for hint, slip in SHEARS.items()),
        (lambda Q, eta: _shear(Q, eta)[:-1], "has shape (4, 5), wanted is shape (5, 5)"),
        (lambda Q, eta: 2 * eta * Q.T, "wanted is shape (5, 5)"),
        (lambda Q, eta: 0 * _shear(Q, eta), "no inverse"),
        (lambda Q, eta: None, "returns nothing"),
        (lambda Q, eta: _shear(Q, 3 * eta), "upper row"),
        (lambda Q, eta: _shear(Q, 0.3), "some strengths only"),
    ],
)
def _mending_similar(shear: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    Q, fits = rng.normal(size=(3, 2)), []
    for eta in (0.3, 0.8):
        T = numbers(shear(Q.copy(), eta), (5, 5))
        for hint, slip in SHEARS.items():
            expect(not np.allclose(T, slip(Q, eta)), hint)
        expect(abs(np.linalg.det(T)) > 1e-9, "Your matrix has no inverse.")
        half = rng.normal(size=(3, 3))
        for P in (np.zeros((3, 3)), half @ half.T):
            fits.append(np.allclose(T @ _jacobian(P, Q, eta), _damped(P, Q, eta) @ T))
    expect(all(fits) or not all(fits[:2]), "This is right for some strengths only.")
    expect(
        all(fits),
        "Which multiple of the upper row has to be added to the lower one, to clear its corner?",
    )


# --- the longest step -----------------------------------------------------------------------------


def _bounds(J: Array) -> Array:
    """For each eigenvalue the step below which ``|1 + h lambda| < 1``."""
    values = np.linalg.eigvals(J)
    return np.asarray(-2 * values.real / np.abs(values) ** 2, dtype=np.float64)


def _limit(J: Array) -> float:
    if np.linalg.eigvals(J).real.max() > -1e-9:
        return 0.0
    return float(_bounds(J).min())


def _unscaled(P: Array, Q: Array, eta: float) -> Array:
    return _block((-P, Q), (-Q.T, -2 * eta * Q.T @ Q))


def _largest_modulus(P: Array, Q: Array, eta: float) -> float:
    return float(2 / np.abs(np.linalg.eigvals(_jacobian(P, Q, eta))).max())


def _by_real_part(P: Array, Q: Array, eta: float) -> float:
    return float(-2 / np.linalg.eigvals(_jacobian(P, Q, eta)).real.min())


def _of_the_slowest(P: Array, Q: Array, eta: float) -> float:
    """The bound of the eigenvalue with the largest real part alone."""
    J = _jacobian(P, Q, eta)
    return float(_bounds(J)[np.linalg.eigvals(J).real.argmax()])


def _by_slowest_real_part(P: Array, Q: Array, eta: float) -> float:
    return float(-2 / np.linalg.eigvals(_jacobian(P, Q, eta)).real.max())


def _mixed(P: Array, Q: Array, eta: float) -> float:
    """The largest real part over the largest modulus, which may be two eigenvalues'."""
    values = np.linalg.eigvals(_jacobian(P, Q, eta))
    return float(-2 * values.real.max() / np.abs(values).max() ** 2)


def _of_the_turning(P: Array, Q: Array, eta: float) -> float:
    J = _jacobian(P, Q, eta)
    turning = np.linalg.eigvals(J).imag != 0
    return float(_bounds(J)[turning if turning.any() else ~turning].min())


def _unsquared(P: Array, Q: Array, eta: float) -> float:
    values = np.linalg.eigvals(_jacobian(P, Q, eta))
    return float((-2 * values.real / np.abs(values)).min())


def _of_friction(P: Array, Q: Array, eta: float) -> float:
    return float(2 / np.linalg.eigvalsh(P).max())


def _of_damping(P: Array, Q: Array, eta: float) -> float:
    return float(2 / np.linalg.eigvalsh(P + 2 * eta * Q @ Q.T).max())


def _window(P: Array, Q: Array, eta: float) -> float:
    """The step of the window, which is for P = 0."""
    s = float(np.linalg.norm(Q, 2))
    return float(2 * (eta - math.sqrt(max(eta**2 - 1 / s**2, 0))))


LIMITS: dict[str, Callable[[Array, Array, float], float]] = {
    "Each eigenvalue has its bound, and the step has to meet all: take the smallest.": (
        lambda P, Q, eta: float(_bounds(_jacobian(P, Q, eta)).max())
    ),
    "A factor 2 is missing in the bound.": (
        lambda P, Q, eta: float(_bounds(_jacobian(P, Q, eta)).min() / 2)
    ),
    "2 over the largest modulus is right for real eigenvalues only.": _largest_modulus,
    "This is 2 over the largest damping, right where all eigenvalues are real: each has a bound "
    "of its own, with its modulus.": _by_real_part,
    "-2 over the real part is right for real eigenvalues only, and there the fastest decides.": (
        _by_slowest_real_part
    ),
    "The eigenvalue with the largest real part need not have the smallest bound: ask all.": (
        _of_the_slowest
    ),
    "Only the eigenvalues that turn: a real one may have the smaller bound.": _of_the_turning,
    "The largest real part and the largest modulus may belong to two eigenvalues: each has a "
    "bound of its own.": _mixed,
    "The modulus is to be squared: 2 Re + h |lambda|^2 < 0.": _unsquared,
    "This looks at P only: the eigenvalues are those of all of J_eta.": _of_friction,
    "This looks at the damping only, P + 2 eta Q Q^T: where are the blocks that turn?": (
        _of_damping
    ),
    "This is the window for P = 0, which is not so here: take the eigenvalues.": _window,
    "The block of the critic's parameters in the lower row is -Q^T (I - 2 eta P).": (
        lambda P, Q, eta: _limit(_unscaled(P, Q, eta))
    ),
    "The strength does nothing in your answer: build J_eta.": (
        lambda P, Q, eta: _limit(_jacobian(P, Q, 0))
    ),
    "A factor 2 is missing in J_eta, before eta.": (
        lambda P, Q, eta: _limit(_jacobian(P, Q, eta / 2))
    ),
}
"""What to say where the limit is that of a known slip, in games whose flow is stable."""


def _told(got: Array, right: Array) -> str:
    i = int(np.argmax(np.abs(got - right)))
    strength = STRENGTHS[i]
    return (
        "For P = diag(0.4, 1.5, 0.9), Q = [[1, 0.3], [-0.4, 0.8], [0.2, -1.1]] and "
        f"eta = {strength} you give {got[i]:.4g}, and the steps are stable up to {right[i]:.4g}: "
    )


STRENGTHS = (0.3, 1.2, 0.05, 0.6)


@exercise(
    "mending-step",
    praise="A larger eta does not always allow a longer step: try it.",
    wrong=[
        *((slip, hint) for hint, slip in LIMITS.items()),
        (lambda P, Q, eta: float(_bounds(_jacobian(P, Q, eta)).min()), "no step is stable"),
        (lambda P, Q, eta: _limit(_jacobian(P, Q, eta)) or math.inf, "no step is stable"),
        (lambda P, Q, eta: _bounds(_jacobian(P, Q, eta)), "wanted is a single number"),
        (lambda P, Q, eta: -_limit(_jacobian(P, Q, eta)), "not negative"),
        (lambda P, Q, eta: 1.1 * _limit(_jacobian(P, Q, eta)), "for every eigenvalue"),
        (lambda P, Q, eta: _limit(_jacobian(0 * P, Q, eta)), "P is missing"),
        (lambda P, Q, eta: None, "returns nothing"),
    ],
)
def _mending_step(step_limit: Callable[..., Any]) -> None:
    P, Q = np.diag([0.4, 1.5, 0.9]), np.array([[1.0, 0.3], [-0.4, 0.8], [0.2, -1.1]])
    cases = [(P, Q, eta) for eta in STRENGTHS]
    got = np.array([float(numbers(step_limit(*case), ())) for case in cases])
    right = np.array([_limit(_jacobian(*case)) for case in cases])
    blind = [_limit(_jacobian(0 * P, Q, eta)) for P, Q, eta in cases]
    expect(not np.allclose(got, blind), "P is missing: it is in both rows of J_eta.")
    expect((got >= 0).all(), "A step size is not negative.")
    for hint, slip in LIMITS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases]), hint)
    expect(
        np.allclose(got, right, rtol=1e-6),
        _told(got, right) + "wanted is the largest h with |1 + h lambda| < 1 for every "
        "eigenvalue of J_eta.",
    )
    square = np.array([[1.0, 0.3], [-0.4, 0.8]])
    unstable = ((np.zeros((2, 2)), square, 0.0), (np.zeros((3, 3)), Q, 0.5))
    for case in unstable:
        expect(
            abs(float(numbers(step_limit(*case), ()))) < 1e-6,
            "Where an eigenvalue has no negative real part (up to rounding), "
            "no step is stable: return 0.",
        )
    mended = (np.zeros((2, 2)), square, 0.5)
    expect(
        np.isclose(float(numbers(step_limit(*mended), ())), _limit(_jacobian(*mended)), rtol=1e-6),
        "This is right for P > 0; with P = 0 and a square Q there are stable steps, too.",
    )


# --- where nothing turns any more -----------------------------------------------------------------


def _singular(Q: Array) -> Array:
    return np.asarray(np.linalg.svd(Q, compute_uv=False), dtype=np.float64)


CRITICALS: dict[str, Callable[[Array], float]] = {
    "Here the first pair stops turning; the others still do.": lambda Q: 1 / _singular(Q).max(),
    "The larger the singular value, the sooner its pair stops: 1 over it.": (
        lambda Q: _singular(Q).min()
    ),
    "The larger the singular value, the sooner its pair stops: 1 over the smallest.": (
        lambda Q: _singular(Q).max()
    ),
    "Not the square: the root in the eigenvalues is that of eta^2 s^2 - 1.": (
        lambda Q: 1 / _singular(Q).min() ** 2
    ),
    "The factor is wrong: the root in the eigenvalues is that of eta^2 s^2 - 1.": (
        lambda Q: 2 / _singular(Q).min()
    ),
    "Singular values of Q are wanted, not its eigenvalues.": (
        lambda Q: float(1 / np.abs(np.linalg.eigvals(Q)).min())
    ),
    "The norm of the matrix does not tell its smallest singular value.": (
        lambda Q: float(1 / np.linalg.norm(Q))
    ),
    "This is the critical strength of the uniform WGAN, where Q = -2/3.": lambda Q: 1.5,
    "The determinant is the product of the singular values: it does not tell the smallest.": (
        lambda Q: float(1 / abs(np.linalg.det(Q)))
    ),
}
"""What to say where the strength is that of a known slip."""


@exercise(
    "mending-critical",
    praise="The best step belongs to the largest singular value, and the end of turning to this.",
    wrong=[
        *((slip, hint) for hint, slip in CRITICALS.items()),
        (lambda Q: 1 / _singular(Q), "wanted is a single number"),
        (lambda Q: -1 / _singular(Q).min(), "positive"),
        (lambda Q: 1 / (2 * _singular(Q).min()), "still turns"),
        (lambda Q: 3 / _singular(Q).min(), "sooner"),
        (lambda Q: None, "returns nothing"),
    ],
)
def _mending_critical(critical: Callable[..., Any]) -> None:
    cases = (
        np.array([[0.9, 2.0, 0.0], [0.0, 0.7, -0.5], [0.3, 0.0, 1.1]]),
        np.array([[-1.2, 0.4], [1.9, 0.6]]),
    )
    got = np.array([float(numbers(critical(Q.copy()), ())) for Q in cases])
    expect((got > 0).all(), "A strength is positive here: without the mend all pairs turn.")
    for hint, slip in CRITICALS.items():
        expect(not np.allclose(got, [slip(Q) for Q in cases]), hint)
    for eta, Q in zip(got, cases, strict=True):
        right = 1 / _singular(Q).min()
        if not math.isclose(eta, right, rel_tol=1e-4):
            word = "a pair still turns" if eta < right else "nothing turns, but it stopped sooner"
            raise WrongAnswer(f"With your strength {word}.")
