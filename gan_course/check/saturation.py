"""Checks of the page "Saturation"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.integrate import quad
from scipy.optimize import minimize_scalar
from scipy.special import expit

from gan_course.check import exercise, expect, numbers

# --- slopes in the logit --------------------------------------------------------------------------


@exercise(
    "saturation-slopes",
    praise="The two slopes differ by exactly 1: where one is flat, the other is steep.",
    wrong=[
        (lambda a: (-1 / (1 - expit(a)), -1 / expit(a)), "in the logit"),
        (lambda a: (expit(a), 1 - expit(a)), "negative"),
        (lambda a: (-(1 - expit(a)), -expit(a)), "order"),
        (lambda a: (-np.exp(a) / (1 + np.exp(a)), -1 / (1 + np.exp(a))), "700"),
        (lambda a: -expit(a), "pair"),
        (lambda a: (-np.log1p(np.exp(a)), np.log1p(np.exp(-a))), "losses themselves"),
    ],
)
def _saturation_slopes(slopes: Callable[..., Any]) -> None:
    a = np.array([-3.0, -1.0, 0.5, 2.0])
    result = slopes(a)
    pair = isinstance(result, tuple | list | np.ndarray) and len(result) == 2
    expect(pair, "Return a pair of arrays: `return minimax, non_saturating`.")
    minimax, other = (numbers(value, a.shape) for value in result)
    right = -expit(a), -expit(-a)
    expect(
        not np.allclose(minimax, -1 / expit(-a)),
        "This is the slope in D; wanted is the slope in the logit a, with D = sigmoid(a).",
    )
    expect(
        not np.allclose(minimax, -right[0]), "Both losses fall as a grows, so both are negative."
    )
    expect(not np.allclose(minimax, right[1]), "The order: minimax first, non-saturating second.")
    expect(not np.allclose(minimax, -np.logaddexp(0, a)), "These are the losses themselves.")
    expect(np.allclose(minimax, right[0]), "Differentiate log(1 - sigmoid(a)) = -softplus(a).")
    expect(np.allclose(other, right[1]), "Differentiate -log sigmoid(a) = softplus(-a).")
    far = [numbers(value, nan=True) for value in slopes(np.array([-1000.0, 1000.0]))]
    expect(
        np.allclose(far, [[0, -1], [-1, 0]]),
        "Beyond logits of about 700 your exponentials overflow: write the slope with a sigmoid.",
    )


# --- the separation at which the minimax gradient is largest --------------------------------------


def minimax_gradient(mu: float) -> float:
    """``mu int p q / (p + q) dx`` for ``p = N(0, 1)`` and ``q = N(mu, 1)``, by quadrature.

    The integrand is ``exp(-(u^2 + mu^2/4) / 2) / (2 sqrt(2 pi) cosh(mu u / 2))`` with
    ``u = x - mu / 2``, which neither overflows nor cancels.
    """

    def integrand(u: float) -> float:
        c = abs(mu * u / 2)
        sech = 2 * math.exp(-c) / (1 + math.exp(-2 * c))
        return math.exp(-u * u / 2) * sech

    integral: float = quad(integrand, -12, 12, epsabs=1e-13, epsrel=1e-12, points=[0.0])[0]
    return mu * math.exp(-mu * mu / 8) * integral / (2 * math.sqrt(2 * math.pi))


def peak() -> float:
    """The separation ``mu`` at which :func:`minimax_gradient` is largest."""
    found = minimize_scalar(lambda mu: -minimax_gradient(mu), bounds=(0.5, 4), method="bounded")
    return float(found.x)


@exercise(
    "saturation-peak",
    praise="Farther away the gradient only falls: the worse the generator, the less it learns.",
    wrong=[
        (0.0, "vanishes at 0"),
        (-1.64, "not negative"),
        (4.0, "farther"),
        (1.0, "nearer"),
        (1.5, "nearer"),
        (1.75, "farther"),
        (8.0, "farther"),
        ("large", "not numbers"),
    ],
)
def _saturation_peak(answer: Any) -> None:
    mu = float(numbers(getattr(answer, "value", answer), ()))
    top = peak()
    expect(mu >= 0, "The separation is a distance: not negative.")
    expect(mu != 0, "The gradient vanishes at 0: there the generator is perfect.")
    expect(mu > top - 0.06, "The largest gradient lies farther out: you are nearer than the peak.")
    expect(mu < top + 0.06, "You are farther out than the peak of the minimax gradient.")


# --- the gradient with the discriminator frozen ---------------------------------------------------


def _frozen(mu: float, z: torch.Tensor) -> torch.Tensor:
    return mu * torch.sigmoid(mu * (z + mu) - mu * mu / 2).mean()


def _moving(mu: float, z: torch.Tensor) -> torch.Tensor:
    m = torch.tensor(float(mu), dtype=z.dtype, requires_grad=True)
    logit = m * m / 2 - m * (z + m)
    (gradient,) = torch.autograd.grad(torch.nn.functional.softplus(-logit).mean(), m)
    return gradient


@exercise(
    "saturation-frozen",
    praise="At mu = 0.5 the loss with a moving discriminator is steeper by almost a half.",
    wrong=[
        (_moving, "moves"),
        (lambda mu, z: -_frozen(mu, z), "sign"),
        (lambda mu, z: mu * torch.sigmoid(-(mu * (z + mu) - mu * mu / 2)).mean(), "minimax"),
        (lambda mu, z: _frozen(mu, z) * len(z), "mean"),
        (lambda mu, z: torch.full((2,), 1.0), "shape"),
    ],
)
def _saturation_frozen(frozen_gradient: Callable[..., Any]) -> None:
    z = torch.randn(500, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    for mu in (3.0, 1.0, -0.5):
        got = float(numbers(frozen_gradient(mu, z), ()))
        right = float(_frozen(mu, z))
        expect(
            not math.isclose(got, float(_moving(mu, z)), rel_tol=1e-6),
            "Your discriminator moves with mu: fix D* first, then differentiate only through G(z).",
        )
        expect(not math.isclose(got, -right, rel_tol=1e-6), "Check the sign: the loss is -log D.")
        minimax = mu * float(torch.sigmoid(-(mu * (z + mu) - mu * mu / 2)).mean())
        expect(not math.isclose(got, minimax, rel_tol=1e-6), "This is the minimax gradient.")
        expect(not math.isclose(got, len(z) * right, rel_tol=1e-6), "Take the mean over the noise.")
        expect(
            math.isclose(got, right, rel_tol=1e-5, abs_tol=1e-8),
            "Wanted is the derivative in nu, at nu = mu, of the mean of -log D*(z + nu), D* fixed.",
        )


# --- the price of a dropped mode ------------------------------------------------------------------


def _dropping_cost(k: int) -> float:
    kept = (2 * k - 1) / (2 * k - 2)
    return 2 * ((1 - 1 / (2 * k)) * math.log(kept) - math.log(2) / (2 * k))


@exercise(
    "saturation-dropped-mode",
    praise="The price falls like log(e/2)/k, while a mode that the data lack costs without bound.",
    wrong=[
        (lambda k: _dropping_cost(k) / 2, "factor"),
        (lambda k: math.log(k / (k - 1)), "KL(q || p)"),
        (lambda k: math.inf, "finite"),
        (lambda k: 0.0, "positive"),
        (lambda k: 2 * math.log(k), "m = (p + q)/2"),
    ],
)
def _saturation_dropped_mode(dropping_cost: Callable[..., Any]) -> None:
    for k in (2, 3, 8, 100):
        got, right = float(numbers(dropping_cost(k), ())), _dropping_cost(k)
        expect(math.isfinite(got), "The price is finite: m = (p + q)/2 is positive wherever p is.")
        expect(got > 0, "The price is positive: the divergence is 0 only at q = p.")
        expect(not math.isclose(got, right / 2, rel_tol=1e-6), "A factor 2 is missing.")
        expect(
            not math.isclose(got, math.log(k / (k - 1)), rel_tol=1e-6),
            "This is KL(q || p); the non-saturating loss follows 2 KL(m || p).",
        )
        expect(
            math.isclose(got, right, rel_tol=1e-6),
            "Sum over modes: m = (p + q)/2 is one value on kept modes and another on the dropped.",
        )
