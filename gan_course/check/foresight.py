"""Checks of the page "Foresight"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gan_course.check import WrongAnswer, exercise, expect, numbers

Array = NDArray[np.float64]
Tensor = torch.Tensor

# --- the foresighted gradient ---------------------------------------------------------------------


def _gradient(A: Array, b: Array, phi: Array, theta: Array, eta: float) -> Array:
    return np.asarray(-A.T @ phi - 2 * eta * A.T @ (b - A @ theta))


def _unsquared(A: Array, b: Array, phi: Array, theta: Array, eta: float) -> Array:
    gap = b - A @ theta
    return np.asarray(-A.T @ phi - eta * A.T @ gap / np.linalg.norm(gap))


GRADIENTS: dict[str, Callable[[Array, Array, Array, Array, float], Array]] = {
    "This is the greedy gradient: the penalty is missing.": (
        lambda A, b, phi, theta, eta: -A.T @ phi
    ),
    "This is the penalty's gradient alone: that of V is missing.": (
        lambda A, b, phi, theta, eta: -2 * eta * A.T @ (b - A @ theta)
    ),
    "A factor 2 is missing: the derivative of a square. (A generator that waits has the half.)": (
        lambda A, b, phi, theta, eta: -A.T @ phi - eta * A.T @ (b - A @ theta)
    ),
    "Check the sign of V's part: V contains minus phi . A theta.": (
        lambda A, b, phi, theta, eta: A.T @ phi - 2 * eta * A.T @ (b - A @ theta)
    ),
    "Check the sign of the penalty's part: theta enters b - A theta with a minus.": (
        lambda A, b, phi, theta, eta: -A.T @ phi + 2 * eta * A.T @ (b - A @ theta)
    ),
    "This is the direction in which the generator moves; wanted is the gradient.": (
        lambda A, b, phi, theta, eta: -_gradient(A, b, phi, theta, eta)
    ),
    "The penalty is the square of the norm, not the norm.": _unsquared,
    "The strength eta is missing.": lambda A, b, phi, theta, eta: _gradient(A, b, phi, theta, 1.0),
    "The data are missing: the critic is pulled by b - A theta.": (
        lambda A, b, phi, theta, eta: -A.T @ phi + 2 * eta * A.T @ A @ theta
    ),
    "The critic's gradient is b - A theta; phi is not in it.": (
        lambda A, b, phi, theta, eta: -A.T @ phi - 2 * eta * A.T @ (b - A @ theta - phi)
    ),
}
"""What to say where the gradient is that of a known slip."""


@exercise(
    "foresight-gradient",
    praise="The second part pulls the mean features to the data's, whatever the critic says.",
    wrong=[
        *((slip, hint) for hint, slip in GRADIENTS.items()),
        (lambda A, b, phi, theta, eta: -phi @ A @ theta, "is a single number"),
        (lambda A, b, phi, theta, eta: b - A @ theta, "has shape (4,)"),
        (lambda A, b, phi, theta, eta: 3 * _gradient(A, b, phi, theta, eta), "Differentiate"),
        (lambda A, b, phi, theta, eta: None, "returns nothing"),
    ],
)
def _foresight_gradient(foresighted_gradient: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    for eta in (0.7, 0.2):
        A, b, phi, theta = (rng.normal(size=size) for size in ((4, 3), 4, 4, 3))
        given = (A.copy(), b.copy(), phi.copy(), theta.copy())
        got = numbers(foresighted_gradient(*given, eta), (3,))
        for hint, slip in GRADIENTS.items():
            expect(not np.allclose(got, slip(A, b, phi, theta, eta)), hint)
        expect(
            np.allclose(got, _gradient(A, b, phi, theta, eta)),
            "Differentiate phi . (b - A theta) + eta |b - A theta|^2 in theta.",
        )


# --- the value after the critic's next steps ------------------------------------------------------

Value = Callable[[Tensor, Tensor], Tensor]


def _last(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> tuple[Tensor, Tensor]:
    """The critic after its steps, and theta."""
    for _ in range(steps):
        phi = phi + lr * torch.func.grad(V)(phi, theta)
    return phi, theta


def _unrolled(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    return V(*_last(V, phi, theta, steps, lr))


def _descending(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    return _unrolled(V, phi, theta, steps, -lr)


def _one_gradient(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    return V(phi + steps * lr * torch.func.grad(V)(phi, theta), theta)


def _one_step(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    return _unrolled(V, phi, theta, 1, lr)


def _one_too_many(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    return _unrolled(V, phi, theta, steps + 1, lr)


def _expanded(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    return V(phi, theta) + steps * lr * torch.func.grad(V)(phi, theta).square().sum()


def _both(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    for _ in range(steps):
        up, down = torch.func.grad(V, (0, 1))(phi, theta)
        phi, theta = phi + lr * up, theta - lr * down
    return V(phi, theta)


def _still(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    return V(phi, theta)


VALUES: dict[str, Callable[[Value, Tensor, Tensor, int, float], Tensor]] = {
    "The critic ascends V.": _descending,
    "Take the gradient anew at each step, where the critic then is.": _one_gradient,
    "This is one step only.": _one_step,
    "This is one step too many.": _one_too_many,
    "This is the foresighted value, the first-order part: make the steps.": _expanded,
    "Only the critic steps: theta stays.": _both,
    "This is the value at the critic of today: make the steps.": _still,
}
"""What to say where the value is that of a known slip."""


def _waiting(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    for _ in range(steps):
        phi = (phi + lr * torch.func.grad(V)(phi, theta)).detach()
    return V(phi, theta)


def _cut(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    return _unrolled(V, phi, theta.detach(), steps, lr)


def _theta_cut_in_the_steps(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    for _ in range(steps):
        phi = phi + lr * torch.func.grad(V)(phi, theta.detach())
    return V(phi, theta)


def _without_a_graph(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    for _ in range(steps):
        phi = phi + lr * torch.autograd.grad(V(phi, theta), phi)[0]
    return V(phi, theta)


def _cut_at_the_end(V: Value, phi: Tensor, theta: Tensor, steps: int, lr: float) -> Tensor:
    for _ in range(steps):
        phi = phi + lr * torch.func.grad(V)(phi, theta)
    return V(phi, theta.detach())


@exercise(
    "foresight-unrolled",
    praise="Its gradient in theta has two parts: what the later critic says, and how theta leads "
    "the critic there.",
    wrong=[
        *((slip, hint) for hint, slip in VALUES.items()),
        (_waiting, "through the steps"),
        (_theta_cut_in_the_steps, "detached in them"),
        (_without_a_graph, "create_graph=True"),
        (_cut_at_the_end, "once more, in V itself"),
        (_cut, "no gradient in theta"),
        (lambda *given: (_unrolled(*given), given[1]), "not a tuple"),
        (lambda *given: [_unrolled(*given)], "not a list"),
        (lambda *given: _unrolled(*given).item(), "as a tensor"),
        (lambda V, phi, theta, steps, lr: phi, "wanted is a single number"),
        (lambda *given: 2 * _unrolled(*given), "Let phi ascend"),
        (lambda *given: None, "returns nothing"),
    ],
)
def _foresight_unrolled(unrolled_value: Callable[..., Any]) -> None:
    draw = torch.Generator().manual_seed(1)
    A, start, theta = (
        torch.randn(size, generator=draw, dtype=torch.float64) for size in ((4, 3), (4,), (3,))
    )

    def value_of(phi: Tensor, theta: Tensor) -> Tensor:
        return phi @ torch.tanh(A @ theta) - 0.3 * phi.square().sum() + phi.sin().sum() / 2

    def fresh() -> tuple[Tensor, Tensor]:
        return start.clone().requires_grad_(), theta.clone().requires_grad_()

    for steps, lr in ((3, 0.4), (2, 0.3)):
        phi_in, theta_in = fresh()
        result = unrolled_value(value_of, phi_in, theta_in, steps, lr)
        kind = type(result).__name__
        expect(kind not in ("tuple", "list"), f"Return the value alone, not a {kind}.")
        got, right = float(numbers(result, ())), _unrolled(value_of, *(given := fresh()), steps, lr)
        for hint, slip in VALUES.items():
            expect(not np.isclose(got, slip(value_of, start, theta, steps, lr).item()), hint)
        expect(
            np.isclose(got, right.item()),
            "Let phi ascend `steps` times, by lr times the gradient in phi, and return V there.",
        )
        expect(isinstance(result, Tensor), "Return the value as a tensor, with its gradient.")
        told = "Your value has no gradient in theta: is there a detach, or another tensor?"
        expect(result.requires_grad, told)
        (ours,) = torch.autograd.grad(result, theta_in, allow_unused=True)
        if ours is None:
            raise WrongAnswer(told)
        (wanted,) = torch.autograd.grad(right, given[1], retain_graph=True)
        phi_end, at_end = _last(value_of, *fresh(), steps, lr)
        (in_v,) = torch.autograd.grad(value_of(phi_end.detach(), at_end), at_end)
        expect(
            not torch.allclose(ours, wanted - in_v),
            "The gradient runs through the steps, and theta enters once more, in V itself: is it "
            "detached there?",
        )
        expect(
            torch.allclose(ours, wanted),
            "The value is right, its gradient is not: it must run through the steps, too. Is phi "
            "or theta detached in them, or does torch.autograd.grad lack create_graph=True?",
        )


# --- the number of gradients ----------------------------------------------------------------------


def _bill(rounds: int, critic_steps: int, unrolled: int, eta: float) -> float:
    return rounds * (critic_steps + unrolled + (1 if eta > 0 else 0))


BILLS: dict[str, Callable[[int, int, int, float], float]] = {
    "This is one round: multiply by their number.": (
        lambda rounds, critic_steps, unrolled, eta: _bill(1, critic_steps, unrolled, eta)
    ),
    "The generator's own gradient is in theta: it does not count.": (
        lambda rounds, critic_steps, unrolled, eta: (
            rounds * (critic_steps + unrolled + (eta > 0) + 1)
        )
    ),
    "The penalty's gradient is missing where eta is positive.": (
        lambda rounds, critic_steps, unrolled, eta: rounds * (critic_steps + unrolled)
    ),
    "With eta = 0 there is no penalty: one gradient less.": (
        lambda rounds, critic_steps, unrolled, eta: rounds * (critic_steps + unrolled + 1)
    ),
    "The penalty needs one gradient, whatever eta is.": (
        lambda rounds, critic_steps, unrolled, eta: rounds * (critic_steps + unrolled + eta)
    ),
    "The generator moves once a round, not after each of the critic's updates.": (
        lambda rounds, critic_steps, unrolled, eta: (
            rounds * critic_steps * (1 + unrolled + (eta > 0))
        )
    ),
    "The unrolled steps are missing.": (
        lambda rounds, critic_steps, unrolled, eta: rounds * (critic_steps + (eta > 0))
    ),
    "The critic's own updates are missing.": (
        lambda rounds, critic_steps, unrolled, eta: rounds * (unrolled + (eta > 0))
    ),
    "The unrolled steps are thrown away: the critic still makes its updates.": (
        lambda rounds, critic_steps, unrolled, eta: (
            rounds * (max(critic_steps, unrolled) + (eta > 0))
        )
    ),
    "The penalty comes once a round, not once for each unrolled step.": (
        lambda rounds, critic_steps, unrolled, eta: (
            rounds * (critic_steps + unrolled * (1 + (eta > 0)))
        )
    ),
    "The penalty belongs to the generator's update, not to each of the critic's.": (
        lambda rounds, critic_steps, unrolled, eta: (
            rounds * (critic_steps * (1 + (eta > 0)) + unrolled)
        )
    ),
    "The unrolled steps belong to the generator's one update, not to each of the critic's.": (
        lambda rounds, critic_steps, unrolled, eta: (
            rounds * (critic_steps * (1 + unrolled) + (eta > 0))
        )
    ),
    "All of it comes anew in each round: multiply the whole sum.": (
        lambda rounds, critic_steps, unrolled, eta: rounds * critic_steps + unrolled + (eta > 0)
    ),
    "The critic makes several updates a round: use critic_steps.": (
        lambda rounds, critic_steps, unrolled, eta: rounds * (1 + unrolled + (eta > 0))
    ),
    "Unrolled steps and penalty may come together: count both.": (
        lambda rounds, critic_steps, unrolled, eta: (
            rounds * (critic_steps + (unrolled or (1 if eta > 0 else 0)))
        )
    ),
    "Derivatives of gradients are not counted here.": (
        lambda rounds, critic_steps, unrolled, eta: (
            rounds * (critic_steps + 2 * unrolled + 2 * (eta > 0))
        )
    ),
}
"""What to say where the count is that of a known slip."""


@exercise(
    "foresight-bill",
    praise="Five unrolled steps a round: six gradients in place of one.",
    wrong=[
        *((slip, hint) for hint, slip in BILLS.items()),
        (lambda *given: [_bill(*given)], "has shape (1,)"),
        (lambda *given: 3 * _bill(*given), "A round has"),
        (lambda rounds, n, m, eta: rounds * (n + m + math.ceil(eta)), "one more for a penalty"),
        (lambda *given: "many", "a text"),
        (lambda *given: None, "returns nothing"),
    ],
)
def _foresight_bill(bill: Callable[..., Any]) -> None:
    cases = ((7, 2, 5, 0.5), (11, 3, 4, 0.0), (5, 2, 0, 0.25), (13, 4, 0, 0.0), (3, 2, 1, 1.5))
    got = [float(numbers(bill(*case), ())) for case in cases]
    for hint, slip in BILLS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases]), hint)
    for count, case in zip(got, cases, strict=True):
        rounds, critic_steps, unrolled, eta = case
        expect(
            np.isclose(count, _bill(*case)),
            f"For {rounds} rounds with {critic_steps} updates of the critic, {unrolled} unrolled "
            f"steps and eta = {eta} you count {count:g}, and it is {_bill(*case):g}. A round has "
            "the critic's updates, the unrolled steps, and one more for a penalty.",
        )


# --- the spectrum at two speeds -------------------------------------------------------------------


def _blocks(*rows: list[Array]) -> NDArray[np.complex128]:
    return np.asarray(np.linalg.eigvals(np.block(list(rows))), dtype=np.complex128)


def _zero(Q: Array) -> Array:
    return np.zeros((Q.shape[1], Q.shape[1]))


def _spectrum(P: Array, Q: Array, r: float) -> NDArray[np.complex128]:
    return _blocks([-r * P, r * Q], [-Q.T, _zero(Q)])


SPECTRA: dict[str, Callable[[Array, Array, float], NDArray[np.complex128]]] = {
    "The factor is missing.": lambda P, Q, r: _spectrum(P, Q, 1.0),
    "One Q has the factor and P has not: it stands on both blocks of the critic's rows.": (
        lambda P, Q, r: _blocks([-P, Q], [-r * Q.T, _zero(Q)])
    ),
    "The factor also multiplies Q: the critic's whole row.": (
        lambda P, Q, r: _blocks([-r * P, Q], [-Q.T, _zero(Q)])
    ),
    "The generator is not faster: its rows have no factor.": (
        lambda P, Q, r: r * _spectrum(P, Q, 1.0)
    ),
    "Check the sign of P, or of all: V is concave in phi, and P is minus its Hessian.": (
        lambda P, Q, r: _blocks([r * P, r * Q], [-Q.T, _zero(Q)])
    ),
    "Check the sign of the transposed Q: the generator descends.": (
        lambda P, Q, r: _blocks([-r * P, r * Q], [Q.T, _zero(Q)])
    ),
    "The factor multiplies the field, not its square: r, and not r squared.": (
        lambda P, Q, r: _spectrum(P, Q, r**2)
    ),
    "This is the limit of a very fast critic, not the spectrum at r.": (
        lambda P, Q, r: np.r_[
            np.linalg.eigvals(-r * P), np.linalg.eigvals(-Q.T @ np.linalg.inv(P) @ Q)
        ].astype(np.complex128)
    ),
}
"""What to say where the eigenvalues are those of a known slip."""


def _sorted(values: NDArray[np.complex128]) -> NDArray[np.complex128]:
    return values[np.lexsort((values.imag, values.real.round(9)))]


@exercise(
    "foresight-spectrum",
    praise="All real parts are negative, for a fast critic and for a slow one.",
    wrong=[
        *((slip, hint) for hint, slip in SPECTRA.items()),
        (lambda P, Q, r: _blocks([-P, r * Q], [-Q.T, _zero(Q)]), "critic's rows"),
        (lambda P, Q, r: -_spectrum(P, Q, r), "or of all"),
        (lambda P, Q, r: _spectrum(P, Q, r).real, "imaginary"),
        (lambda P, Q, r: np.abs(_spectrum(P, Q, r)), "sizes"),
        (lambda P, Q, r: np.block([[-r * P, r * Q], [-Q.T, _zero(Q)]]), "matrix"),
        (lambda P, Q, r: _spectrum(P, Q, r)[:3], "all eigenvalues"),
        (lambda P, Q, r: 2 * _spectrum(P, Q, r), "eigenvalues of"),
        (lambda P, Q, r: None, "returns nothing"),
        (lambda P, Q, r: np.full(7, np.nan), "NaN"),
    ],
)
def _foresight_spectrum(two_speeds: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    for r in (4.0, 0.3):
        root, Q = rng.normal(size=(5, 9)), rng.normal(size=(5, 2))
        P = root @ root.T / 9
        result = two_speeds(P.copy(), Q.copy(), r)
        expect(result is not None, "Your function returns nothing: is a `return` missing?")
        try:
            got = np.asarray(result, dtype=np.complex128)
        except (TypeError, ValueError):
            raise WrongAnswer("Your answer is not numbers.") from None
        expect(got.shape != (7, 7), "This is a matrix: return its eigenvalues.")
        expect(got.shape == (7,), f"Wanted are all eigenvalues, shape (7,), not {got.shape}.")
        expect(not np.isnan(got).any(), "Your answer contains NaN.")
        got, right = _sorted(got), _sorted(_spectrum(P, Q, r))
        for hint, slip in SPECTRA.items():
            expect(not np.allclose(got, _sorted(slip(P, Q, r))), hint)
        expect(
            not np.allclose(np.sort(got.real), np.sort(right.real)) or np.allclose(got, right),
            "The real parts are right: do not drop the imaginary ones.",
        )
        sizes = np.sort(np.abs(right))
        expect(
            not np.allclose(np.sort_complex(got), sizes) or np.allclose(got, right),
            "These are the sizes of the eigenvalues; wanted are the eigenvalues.",
        )
        expect(
            np.allclose(got, right),
            "Wanted are the eigenvalues of the matrix with the rows [-r P, r Q] and [-Q^T, 0].",
        )


# --- where the rotation ends ----------------------------------------------------------------------


@exercise(
    "foresight-dial",
    praise="From here on a faster critic makes the slow rate smaller, toward its limit.",
    wrong=[
        (1.0, "still rotates"),
        (20.0, "still rotates"),
        (44.0, "still rotates"),
        (44.4, "still rotates"),
        (45.0, "smaller factor"),
        (6.67, "root"),
        (22.2, "4 r / 9"),
        (100.0, "smaller factor"),
        (46.0, "smaller factor"),
        (-44.4, "positive"),
        ("large", "a text"),
        (None, "nothing"),
    ],
)
def _foresight_dial(answer: Any) -> None:
    r = float(numbers(getattr(answer, "value", answer), ()))
    expect(r > 0, "The factor is positive.")
    expect(
        not 6.6 < r < 6.72,
        "This is the root of the right factor: r multiplies the field, P and Q alike.",
    )
    expect(not 22.1 < r < 22.4, "The discriminant is (r / 10)^2 - 4 r / 9: mind the 4 r / 9.")
    expect(r > 44.43, "Here the pair still rotates: a faster critic is needed.")
    expect(r < 44.9, "Nothing rotates here, and not at a smaller factor either.")
