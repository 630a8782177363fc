"""Checks of the page "A toolbox of dynamical systems"."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_continuous_lyapunov
from scipy.special import expit

from gan_course.check import exercise, expect, numbers
from gan_course.dynamics import flow_stability, largest_step, map_stability
from gan_course.widgets.portraits import evaluate

Array = NDArray[np.float64]
Spectrum = NDArray[np.complex128]


def _portrait(**state: Any) -> SimpleNamespace:
    """An explorable as the student leaves it."""
    usual = {"system": "dirac", "loss": "minimax", "regularizer": "R1", "strength": 0.1}
    usual |= {"mode": "flow", "step": 0.2, "touched": True}
    return SimpleNamespace(**(usual | state))


def _is_portrait(answer: Any) -> bool:
    return all(hasattr(answer, name) for name in ("loss", "regularizer", "strength", "mode"))


def _spectrum(portrait: Any, mode: str) -> Spectrum:
    found = evaluate(
        portrait.system, portrait.loss, portrait.regularizer, portrait.strength, mode, portrait.step
    )
    return np.array([complex(found[f"re{i}"], found[f"im{i}"]) for i in (1, 2)])


# --- critical strength ----------------------------------------------------------------------------

SLOPES = {"minimax": 0.5, "non-saturating": 0.5, "Wasserstein": 1.0}
"""``f'(0)`` of the losses."""


@exercise(
    "toolbox-gamma",
    praise="No other friction is as fast: with less it turns, with more it creeps.",
    wrong=[
        (0.5, "twice"),
        (0.25, "root of gamma^2 / 4 - a^2"),
        (2.0, "Wasserstein"),
        (0.0, "center"),
        (-1.0, "positive"),
        (0.3, "still complex"),
        (1.3, "creeps"),
        ("critical", "not numbers"),
        (None, "nothing"),
        (math.nan, "NaN"),
        (_portrait(regularizer="none", strength=1.0), "choose R1"),
        (_portrait(regularizer="consensus", strength=1.0), "choose R1"),
        (_portrait(strength=0.9), "still complex"),
        (_portrait(strength=1.05), "creeps"),
        (_portrait(loss="Wasserstein", strength=1.0), "twice"),
        (_portrait(system="uniform", strength=1.0), "Dirac-GAN"),
    ],
)
def _toolbox_gamma(answer: Any) -> None:
    a, strength = 0.5, answer
    if _is_portrait(answer):
        expect(answer.system == "dirac", "This exercise is about the Dirac-GAN.")
        expect(answer.regularizer == "R1", "Another regularizer: choose R1.")
        a, strength = SLOPES[answer.loss], answer.strength
    gamma = float(numbers(strength, ()))
    expect(gamma >= 0, "A strength is not negative: friction is positive.")
    expect(gamma != 0, "Without friction the equilibrium is a center: the eigenvalues are +-i a.")
    expect(not _near(gamma, a), "This is a itself: the eigenvalues meet at twice that.")
    expect(
        not _near(gamma, a * a), "Look at the root of gamma^2 / 4 - a^2: for which gamma is it 0?"
    )
    expect(
        a != 0.5 or not _near(gamma, 2.0), "This is the critical strength of the Wasserstein loss."
    )
    expect(gamma > 1.96 * a, "The eigenvalues are still complex: more friction.")
    expect(gamma < 2.04 * a, "Both are real, and the slower one creeps: less friction does it.")


def _near(got: float, right: float) -> bool:
    return math.isclose(got, right, rel_tol=1e-3)


# --- a step too long ------------------------------------------------------------------------------


@exercise(
    "toolbox-step",
    praise="The regularizer mends the flow; whether training is stable, the step decides.",
    wrong=[
        ((0.1, 0.3), "shorter than its bound"),
        ((0.0, 0.5), "regularizer yet"),
        ((-0.1, 0.5), "drives"),
        ((0.1, -0.5), "positive"),
        ((0.1, 0.4), "border"),
        ((1.0, 3.9), "shorter than its bound"),
        (0.5, "pair"),
        ((0.1, 0.2, 0.3), "pair"),
        ("0.1, 0.5", "a text"),
        (None, "nothing"),
        ((0.1, math.nan), "NaN"),
        (_portrait(mode="flow", step=0.5), "choose simultaneous"),
        (_portrait(mode="alternating", step=0.5), "choose simultaneous"),
        (_portrait(mode="simultaneous", step=0.2), "shorter than its bound"),
        (_portrait(mode="simultaneous", step=0.5, regularizer="none"), "regularizer yet"),
        (_portrait(mode="simultaneous", step=0.5, strength=0.0), "regularizer yet"),
        (_portrait(mode="simultaneous", loss="Wasserstein", step=0.05), "shorter than its bound"),
        (
            _portrait(
                mode="simultaneous", loss="Wasserstein", regularizer="instance noise", step=1.0
            ),
            "flow itself is not stable",
        ),
    ],
)
def _toolbox_step(answer: Any) -> None:
    if _is_portrait(answer):
        portrait = answer
    else:
        expect(answer is not None, "Your answer is nothing.")
        expect(not isinstance(answer, str), "Your answer is a text: give two numbers.")
        pair = hasattr(answer, "__len__") and len(answer) == 2
        expect(pair, "Give a pair, `(strength, step)`, or the portrait.")
        strength, step = (float(numbers(value, ())) for value in answer)
        expect(strength >= 0, "A negative friction drives the players: it must be positive.")
        portrait = _portrait(strength=strength, step=step, mode="simultaneous")
    expect(
        portrait.regularizer != "none" and portrait.strength != 0,
        "There is no regularizer yet: without one the Dirac-GAN is a center, no more.",
    )
    expect(0 < portrait.step < math.inf, "A step size is positive and finite.")
    expect(portrait.strength < math.inf, "A strength is finite.")
    expect(
        flow_stability(_spectrum(portrait, "flow")) == "stable",
        "The flow itself is not stable here: the step is not to blame.",
    )
    expect(portrait.mode == "simultaneous", "The flow is stable: now choose simultaneous steps.")
    verdict = map_stability(_spectrum(portrait, "simultaneous"))
    expect(verdict != "stable", "The steps are stable, too: h is shorter than its bound.")
    expect(
        verdict == "unstable",
        "This step is just on the border, where the eigenvalues do not tell: take a longer one.",
    )


# --- a form that falls ----------------------------------------------------------------------------


def _form(A: Array) -> Any:
    return solve_continuous_lyapunov(A.T, -np.eye(len(A)))


FORMS: dict[str, Callable[[Array], Any]] = {
    "This solves A H + H A^T = -I: the transpose stands on the other side.": (
        lambda A: solve_continuous_lyapunov(A, -np.eye(len(A)))
    ),
    "Check the sign: this form grows along the motion.": lambda A: -_form(A),
    "Check the sign, and the side of the transpose.": (
        lambda A: solve_continuous_lyapunov(A, np.eye(len(A)))
    ),
    "The form falls, but twice as fast as asked: the right side is -I.": lambda A: 2 * _form(A),
    "The form falls, but half as fast as asked: the right side is -I.": lambda A: _form(A) / 2,
    "This is right only where A and its transpose commute, as for symmetric A.": (
        lambda A: -np.linalg.inv(A + A.T)
    ),
    "This is a half of the inverse: right for symmetric A only.": lambda A: -np.linalg.inv(A) / 2,
    "The square of the distance itself need not fall: solve for H.": lambda A: np.eye(len(A)),
    "H solves a linear equation: it is not A^T A.": lambda A: A.T @ A,
    "This is dL/dt's matrix for H = I: wanted is the H that makes it -I.": lambda A: A + A.T,
}
"""What to say where the form is that of a known slip."""


@exercise(
    "toolbox-form",
    praise="And by the lemma, an H that is positive definite proves the stability of A.",
    wrong=[
        *((slip, hint) for hint, slip in FORMS.items()),
        (lambda A: np.triu(_form(A)), "symmetric"),
        (lambda A: _form(A)[0], "has shape (3,)"),
        (lambda A: 3 * _form(A), "A^T H + H A = -I"),
        (lambda A: None, "nothing"),
        (lambda A: np.full_like(A, np.nan), "NaN"),
    ],
)
def _toolbox_form(falling_form: Callable[..., Any]) -> None:
    cases = (
        np.array([[-1.0, 3.0, 0.2], [-2.0, -0.5, 1.0], [0.4, 0.1, -2.0]]),
        np.array([[-0.3, -0.5], [0.5, -0.1]]),
    )
    for A in cases:
        got = numbers(falling_form(A.copy()), A.shape)
        for hint, slip in FORMS.items():
            expect(not np.allclose(got, slip(A)), hint)
        expect(np.allclose(got, got.T), "A form has a symmetric matrix, and yours is not.")
        expect(np.allclose(got, _form(A)), "This H does not solve A^T H + H A = -I.")


# --- taking turns ---------------------------------------------------------------------------------


def _turn(phi: float, theta: float, h: float) -> tuple[float, float]:
    new = phi - h * theta * expit(phi * theta)
    return new, theta + h * new * expit(new * theta)


def _generator_first(phi: float, theta: float, h: float) -> tuple[float, float]:
    new = theta + h * phi * expit(phi * theta)
    return phi - h * new * expit(phi * new), new


def _critic_then(
    rule: Callable[[float, float, float, float], float],
) -> Callable[[float, float, float], tuple[float, float]]:
    """The right step of the critic, and another one of the generator."""

    def step(phi: float, theta: float, h: float) -> tuple[float, float]:
        new = _turn(phi, theta, h)[0]
        return new, rule(phi, new, theta, h)

    return step


def _inside(phi: float, theta: float, h: float, critic: int, generator: int) -> tuple[float, float]:
    """The turn with the given signs inside of sigma."""
    new = phi - h * theta * expit(critic * phi * theta)
    return new, theta + h * new * expit(generator * new * theta)


def _backward(phi: float, theta: float, h: float) -> tuple[float, float]:
    new = phi + h * theta * expit(phi * theta)
    return new, theta + h * new * expit(new * theta)


TURNS: dict[str, Callable[[float, float, float], tuple[float, float]]] = {
    "These are simultaneous steps: the generator sees the critic's new parameter.": (
        _critic_then(lambda phi, new, theta, h: theta + h * phi * expit(phi * theta))
    ),
    "The generator steps first here: the critic is to begin.": _generator_first,
    "Both see the old sigma: the generator evaluates it at the new phi, too.": (
        _critic_then(lambda phi, new, theta, h: theta + h * new * expit(phi * theta))
    ),
    "The new phi stands inside of sigma, but not in the factor before it.": (
        _critic_then(lambda phi, new, theta, h: theta + h * phi * expit(new * theta))
    ),
    "Check the critic's sign: it lowers D at theta.": _backward,
    "Check the generator's sign: it moves up the critic's slope.": (
        _critic_then(lambda phi, new, theta, h: theta - h * new * expit(new * theta))
    ),
    "This is the non-saturating generator: its slope is sigma(-phi theta).": (
        _critic_then(lambda phi, new, theta, h: theta + h * new * expit(-new * theta))
    ),
    "This is the linearization, with 1/2 for sigma.": (
        lambda phi, theta, h: (phi - h * theta / 2, theta + h * (phi - h * theta / 2) / 2)
    ),
    "This is the Wasserstein game: the minimax loss has the factor sigma.": (
        lambda phi, theta, h: (phi - h * theta, theta + h * (phi - h * theta))
    ),
    "The step size is missing.": lambda phi, theta, h: _turn(phi, theta, 1.0),
    "Check the sign inside of sigma, in both lines: f'(-s) is sigma(s).": (
        lambda phi, theta, h: _inside(phi, theta, h, -1, -1)
    ),
    "Check the sign inside of sigma in the critic's line: f'(-s) is sigma(s).": (
        lambda phi, theta, h: _inside(phi, theta, h, -1, 1)
    ),
    "Both signs are reversed: the critic lowers D at theta, the generator moves up its slope.": (
        lambda phi, theta, h: _turn(phi, theta, -h)
    ),
    "These are two turns: one step of each player is one.": (
        lambda phi, theta, h: _turn(*_turn(phi, theta, h), h)
    ),
    "The order: phi first, then theta.": lambda phi, theta, h: _turn(phi, theta, h)[::-1],
}
"""What to say where the step is that of a known slip."""


@exercise(
    "toolbox-turns",
    praise="One line swapped, and the spiral outward becomes, but for a drift, a closed curve.",
    wrong=[
        *((slip, hint) for hint, slip in TURNS.items()),
        (lambda phi, theta, h: _turn(phi, theta, h)[0], "pair"),
        (lambda phi, theta, h: (_turn(phi, theta, h)[0], theta), "theta is wrong"),
        (lambda phi, theta, h: (phi, _turn(phi, theta, h)[1]), "phi is wrong"),
        (lambda phi, theta, h: None, "nothing"),
        (lambda phi, theta, h: (math.nan, 0.0), "NaN"),
    ],
)
def _toolbox_turns(one_turn: Callable[..., Any]) -> None:
    for case in ((0.7, -1.3, 0.4), (-1.1, -0.6, 0.9), (1.6, 0.5, 0.3)):
        result = one_turn(*case)
        expect(result is not None, "Your function returns nothing: is a `return` missing?")
        pair = not isinstance(result, str) and hasattr(result, "__len__") and len(result) == 2
        expect(pair, "Return a pair: `return phi, theta`.")
        got = [float(numbers(value, ())) for value in result]
        for hint, slip in TURNS.items():
            expect(not np.allclose(got, slip(*case), rtol=1e-6), hint)
        right = _turn(*case)
        expect(math.isclose(got[0], right[0], rel_tol=1e-6), "phi is wrong: the critic's step.")
        expect(math.isclose(got[1], right[1], rel_tol=1e-6), "theta is wrong: the generator's.")


# --- the longest step -----------------------------------------------------------------------------


def _bound(values: Any) -> Any:
    return -2 * values.real / abs(values) ** 2


def _turning(values: Spectrum) -> NDArray[np.bool_]:
    """Those that are not real; all, where there are none."""
    turning = values.imag != 0
    return turning if turning.any() else ~turning


LONGEST: dict[str, Callable[[Spectrum], float]] = {
    "A factor 2 is missing: solve 2 Re + h |lambda|^2 < 0 for h.": (
        lambda values: largest_step(values) / 2
    ),
    "This is 2 / |lambda|, right for real eigenvalues only.": (
        lambda values: float((2 / abs(values)).min())
    ),
    "The modulus is to be squared.": lambda values: float((-2 * values.real / abs(values)).min()),
    "A factor 2 is too much: solve 2 Re + h |lambda|^2 < 0 for h.": (
        lambda values: 2 * largest_step(values)
    ),
    "The mean of the bounds: all of them must hold, so the smallest decides.": (
        lambda values: float((-2 * values.real / abs(values) ** 2).mean())
    ),
    "Only the first eigenvalue: each has a bound of its own, and the smallest decides.": (
        lambda values: float(-2 * values[0].real / abs(values[0]) ** 2)
    ),
    "The largest real part over the largest modulus: they may belong to two eigenvalues.": (
        lambda values: float(-2 * values.real.max() / (abs(values) ** 2).max())
    ),
    "The largest of the bounds: all of them must hold.": (
        lambda values: float((-2 * values.real / abs(values) ** 2).max())
    ),
    "The imaginary part is missing from the modulus.": (
        lambda values: float((-2 / values.real[values.real != 0]).min())
    ),
    "The real part in the numerator: it is what pulls inward, and the modulus pushes out.": (
        lambda values: float((abs(values) ** 2 / (2 * abs(values.real) + 1e-30)).min())
    ),
    "A step size is positive: where is the minus sign?": (
        lambda values: float((2 * values.real / abs(values) ** 2).min())
    ),
    "Only the fastest eigenvalue: a slow one that turns may have the smaller bound.": (
        lambda values: _bound(values[abs(values).argmax()])
    ),
    "Only the eigenvalue that turns fastest: another one may have the smaller bound.": (
        lambda values: _bound(values[abs(values.imag).argmax()])
    ),
    "Only the eigenvalues that turn: a real one may have the smaller bound.": (
        lambda values: float(_bound(values[_turning(values)]).min())
    ),
    "Only the slowest eigenvalue: another one may have the smaller bound.": (
        lambda values: float(-2 * values.real.max() / abs(values[np.argmax(values.real)]) ** 2)
    ),
}
"""What to say where the bound is that of a known slip, on a stable spectrum."""


@exercise(
    "toolbox-longest",
    praise="Fast rotation with little damping asks for the shortest steps.",
    wrong=[
        *((slip, hint) for hint, slip in LONGEST.items()),
        (lambda values: min(-2 * values.real / abs(values) ** 2), "unstable: return 0"),
        (lambda values: min(2 * abs(values.real) / abs(values) ** 2), "unstable: return 0"),
        (lambda values: largest_step(values) if values.real.max() < 0 else None, "return 0"),
        (lambda values: -2 * values.real / abs(values) ** 2, "smallest of them decides"),
        (lambda values: 0.0, "there is one"),
        (lambda values: largest_step(values) + 0.1, "is the modulus"),
        (lambda values: math.nan, "NaN"),
        (lambda values: largest_step(values) if values.real.max() != 0 else 0.1, "center"),
        (lambda values: 0 if values.real.max() > 0 else min(-2 * values.real / abs(values) ** 2),
         "eigenvalue is 0"),
    ],
)  # fmt: skip
def _toolbox_longest(longest_step: Callable[..., Any]) -> None:
    spectra = [
        np.array([-0.4 + 2j, -0.4 - 2j, -0.2 + 0.6j, -0.2 - 0.6j, -1]),
        np.array([-0.5 + 0.1j, -0.5 - 0.1j, -8.0 + 3j, -8.0 - 3j]),
        np.array([-3 + 2j, -3 - 2j, -0.02 + 1j, -0.02 - 1j, -0.01 + 0.1j, -0.01 - 0.1j, -10]),
        np.array([-10, -0.3 + 0.5j, -0.3 - 0.5j]),
    ]
    answers = [numbers(longest_step(values.copy())) for values in spectra]
    one = all(answer.shape == () for answer in answers)
    expect(one, "These are the bounds of all eigenvalues: the smallest of them decides.")
    got = [float(answer) for answer in answers]
    right = [largest_step(values) for values in spectra]
    if not np.allclose(got, right):
        for hint, slip in LONGEST.items():
            expect(not np.allclose(got, [slip(values) for values in spectra]), hint)
    expect(any(got), "Here all real parts are negative, so there is one: 0 is not the answer.")
    for values, mine, wanted in zip(spectra, got, right, strict=True):
        expect(
            np.allclose(mine, wanted),
            f"For the eigenvalues {', '.join(f'{value:g}' for value in values)} you give "
            f"{mine:.4g}: is the modulus of 1 + h lambda below 1 up to there, and not beyond?",
        )
    unstable = np.array([0.2 + 1j, 0.2 - 1j, -1])
    none = "An eigenvalue with a positive real part makes every step unstable: return 0."
    expect(_is_zero(longest_step(unstable)), none)
    center = np.array([0.5j, -0.5j])
    none = "A center spirals outward for every step size: return 0."
    expect(_is_zero(longest_step(center)), none)
    flat = float(numbers(longest_step(np.array([0.0, -1.0])), (), nan=True))
    expect(flat == 0, "Where an eigenvalue is 0, errors in its direction stay: return 0.")


def _is_zero(answer: Any) -> bool:
    return answer is not None and float(numbers(answer, ())) == 0
