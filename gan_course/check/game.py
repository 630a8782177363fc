"""Checks of the page "A game between two networks"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.special import expit
from torch import nn
from torch.nn.functional import softplus

from gan_course.check import exercise, expect, numbers

# --- the value of the game ------------------------------------------------------------------------


def _value(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    return -(softplus(-real).mean() + softplus(fake).mean())


@exercise(
    "game-value",
    praise="With logits, log D never meets a rounded 0 or 1.",
    wrong=[
        (lambda r, f: torch.log(torch.sigmoid(r)).mean() + torch.log(1 - torch.sigmoid(f)).mean(),
         "softplus"),
        (lambda r, f: torch.log(torch.sigmoid(r)).mean() + torch.log(torch.sigmoid(-f)).mean(),
         "softplus"),
        (lambda r, f: -softplus(-r).mean() + softplus(f).mean(), "sign"),
        (lambda r, f: -_value(r, f), "maximizes"),
        (lambda r, f: -(softplus(-r).sum() + softplus(f).sum()), "mean"),
        (lambda r, f: _value(r, f) / math.log(2), "natural"),
        (lambda r, f: torch.log(r).mean() + torch.log(1 - f).mean(), "logits"),
        (lambda r, f: _value(r, f) / 2, "Half of V"),
        (lambda r, f: -softplus(-r).mean() - softplus(-f).mean(), "log D(G(z))"),
        (lambda r, f: None, "return"),
        (lambda r, f: -(softplus(-r) + softplus(f)), "shape"),
    ],
)  # fmt: skip
def _game_value(value: Callable[..., Any]) -> None:
    generator = torch.Generator().manual_seed(1)
    real, fake = 1.5 * torch.randn(2, 64, generator=generator, dtype=torch.float64)
    got, right = float(numbers(value(real, fake), (), nan=True)), float(_value(real, fake))
    first, second = float(-softplus(-real).mean()), float(-softplus(fake).mean())
    expect(not math.isnan(got), "A NaN: `real` and `fake` are logits, so D = sigmoid(logit).")
    expect(not _close(got, first - second), "Check the sign of the second term: both are added.")
    expect(not _close(got, -right), "This is minus V: the discriminator maximizes V, so V <= 0.")
    expect(not _close(got, 64 * right), "A sum over the batch: take the mean of each term.")
    expect(not _close(got, right / 2), "Half of V: add the two means, do not average them.")
    other = first + float(-softplus(-fake).mean())
    expect(not _close(got, other), "Your second term is log D(G(z)); V has log(1 - D(G(z))).")
    expect(not _close(got, right / math.log(2)), "Use the natural logarithm.")
    expect(_close(got, right), "V is the mean of log D(x) plus the mean of log(1 - D(G(z))).")
    sure = torch.tensor([1000.0, -1000.0], dtype=torch.float64)
    extreme = float(numbers(value(sure, sure), (), nan=True))
    expect(
        abs(extreme + 1000) < 1e-3,
        f"At logits of +-1000 you return {extreme}, wanted is -1000: use softplus, since "
        "log sigmoid(a) = -softplus(-a).",
    )


# --- the optimal discriminator --------------------------------------------------------------------


@exercise(
    "game-optimal-d",
    praise="The logit of D* is the log density ratio: a critic learns a ratio, not a density.",
    wrong=[
        (lambda lp, lq: np.exp(lp) / (np.exp(lp) + np.exp(lq)), "tails"),
        (lambda lp, lq: np.exp(lp - lq) / (1 + np.exp(lp - lq)), "overflows"),
        (lambda lp, lq: expit(lq - lp), "other way"),
        (lambda lp, lq: np.exp(lp - lq), "ratio"),
        (lambda lp, lq: lp - lq, "logit"),
        (lambda lp, lq: lp / (lp + lq), "logarithms"),
        (lambda lp, lq: 0.5 + 0 * lp, "1/2"),
    ],
)
def _game_optimal_d(optimal_discriminator: Callable[..., Any]) -> None:
    log_p = np.log([0.1, 0.2, 0.3, 0.4])
    log_q = np.log([0.4, 0.2, 0.1, 0.1])
    got = numbers(optimal_discriminator(log_p, log_q), (4,))
    right = expit(log_p - log_q)
    expect(not np.allclose(got, 0.5), "D* is 1/2 only where both densities agree.")
    expect(not np.allclose(got, 1 - right), "The other way around: D* is near 1 where p is larger.")
    expect(not np.allclose(got, np.exp(log_p - log_q)), "This is the ratio p/q, not p/(p+q).")
    expect(not np.allclose(got, log_p - log_q), "This is the logit of D*; pass it on.")
    expect(
        not np.allclose(got, log_p / (log_p + log_q)),
        "You divided logarithms; the densities are their exponentials.",
    )
    expect(np.allclose(got, right), "D* = p/(p+q), pointwise.")
    far = numbers(
        optimal_discriminator(np.array([-2000.0, -3000.0]), np.array([-2001.0, -2000.0])), nan=True
    )
    expect(
        np.allclose(far, [expit(1.0), 0.0]),
        "In the tails both densities are 0 in floating point, and 0/0 is no number: "
        "divide by p before you exponentiate.",
    )
    far = numbers(
        optimal_discriminator(np.array([-2000.0, 0.0]), np.array([-3000.0, -800.0])), nan=True
    )
    expect(
        np.allclose(far, 1.0),
        "Where p is far larger, p/q overflows and your answer is no number: with "
        "q/p = exp(log q - log p) a quotient that is too large gives the right limit.",
    )


# --- one step of the critic -----------------------------------------------------------------------

Loss = Callable[[nn.Module, nn.Module, torch.Tensor, torch.Tensor], torch.Tensor]


def _minus_value(D: nn.Module, G: nn.Module, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    return -_value(D(x), D(G(z).detach()))


def _step(loss: Loss = _minus_value, clear: bool = True, push: float = 0.0) -> Callable[..., None]:
    """A step of the critic on a loss; `push` also moves the generator."""

    def critic_step(D: Any, G: Any, x: Any, z: Any, optimizer: Any) -> None:
        if clear:
            optimizer.zero_grad()
        loss(D, G, x, z).backward()
        optimizer.step()
        with torch.no_grad():
            for parameter in G.parameters():
                parameter += push

    return critic_step


def _erasing(D: Any, G: Any, x: Any, z: Any, optimizer: Any) -> None:
    _step(lambda D, G, x, z: -_value(D(x), D(G(z))))(D, G, x, z, optimizer)
    G.zero_grad()


def _freezing(D: Any, G: Any, x: Any, z: Any, optimizer: Any) -> None:
    _step(lambda D, G, x, z: -_value(D(x), D(G.requires_grad_(False)(z))))(D, G, x, z, optimizer)


def _evaluating(D: Any, G: Any, x: Any, z: Any, optimizer: Any) -> None:
    _step()(D, G.eval(), x, z, optimizer)


def _cleared_too_late(D: Any, G: Any, x: Any, z: Any, optimizer: Any) -> None:
    _minus_value(D, G, x, z).backward()
    optimizer.zero_grad()
    optimizer.step()


class _Generator(NamedTuple):
    """What a step has left of the generator."""

    values: torch.Tensor
    gradients: torch.Tensor  # shorter where some were erased
    trained: bool  # whether training can go on


SLIPS: dict[str, Callable[..., None]] = {
    "The critic went in the wrong direction: optimizers descend, and V is to be maximized.": _step(
        lambda D, G, x, z: _value(D(x), D(G(z).detach()))
    ),
    "Gradients from the step before were added: call `optimizer.zero_grad()` first.": _step(
        clear=False
    ),
    "Check the sign of the second term: both are added.": _step(
        lambda D, G, x, z: softplus(-D(x)).mean() - softplus(D(G(z).detach())).mean()
    ),
    "Your second term is log D(G(z)); V has log(1 - D(G(z))).": _step(
        lambda D, G, x, z: softplus(-D(x)).mean() + softplus(-D(G(z).detach())).mean()
    ),
    "The critic was shown the noise: show it G(z).": _step(lambda D, G, x, z: -_value(D(x), D(z))),
    "One term of V is missing: that of the generated points.": _step(
        lambda D, G, x, z: softplus(-D(x)).mean()
    ),
    "One term of V is missing: that of the data.": _step(
        lambda D, G, x, z: softplus(D(G(z).detach())).mean()
    ),
    "A sum over the batch: take the mean of each term.": _step(
        lambda D, G, x, z: softplus(-D(x)).sum() + softplus(D(G(z).detach())).sum()
    ),
}
"""What to say where the critic ends exactly where a known slip leads."""


@exercise(
    "game-critic-step",
    praise="The generator is data for this step: no gradient flows into it.",
    wrong=[
        *((step, hint) for hint, step in SLIPS.items()),
        (_step(push=-0.1), "generator's parameters"),
        (_step(lambda D, G, x, z: -_value(D(x), D(G(z)))), "detach"),
        (_cleared_too_late, "erased"),
        (_erasing, "clear the critic's only"),
        (_freezing, "trained on"),
        (_evaluating, "trained on"),
        (lambda D, G, x, z, optimizer: None, "did not move"),
        (_step(lambda D, G, x, z: 3 * _minus_value(D, G, x, z)), "not by one step"),
    ],
)
def _game_critic_step(critic_step: Callable[..., Any]) -> None:
    before, after, generator = _run_critic_step(critic_step)
    _, right, untouched = _run_critic_step(_step())
    expect(
        not torch.allclose(after, before),
        "The critic did not move: call `optimizer.step()` after `backward()`, and see that "
        "`zero_grad()` has not erased the gradient between the two.",
    )
    kept = torch.allclose(generator.values, untouched.values)
    expect(kept, "The generator's parameters must stay as they are.")
    for hint, slip in SLIPS.items():
        expect(not torch.allclose(after, _run_critic_step(slip)[1]), hint)
    expect(
        torch.allclose(after, right),
        "The critic moved, but not by one step along the gradient of V on this batch.",
    )
    expect(
        generator.trained,
        "The generator cannot be trained on as before: `requires_grad` or its mode has changed.",
    )
    expect(
        len(generator.gradients) == len(untouched.gradients) and bool(generator.gradients.any()),
        "The generator had gradients, and you erased them: clear the critic's only.",
    )
    expect(
        torch.allclose(generator.gradients, untouched.gradients),
        "The backward pass ran into the generator: `detach()` the generated points.",
    )


def _run_critic_step(
    step: Callable[..., Any],
) -> tuple[torch.Tensor, torch.Tensor, _Generator]:
    """Critic before, critic after, and the generator after."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        critic, generator = nn.Linear(1, 1).double(), nn.Linear(1, 1).double()
        x, z = torch.randn(2, 32, 1, dtype=torch.float64)
    for parameter in (*critic.parameters(), *generator.parameters()):
        parameter.grad = torch.ones_like(parameter)  # left over from a step before
    flat = nn.utils.parameters_to_vector
    before = flat(critic.parameters()).detach().clone()
    step(critic, generator, x, z, torch.optim.SGD(critic.parameters(), lr=0.5))
    own = list(generator.parameters())
    after = _Generator(
        flat(own).detach(),
        torch.cat([torch.zeros(0), *(p.grad.flatten() for p in own if p.grad is not None)]),
        generator.training and all(p.requires_grad for p in own),
    )
    return before, flat(critic.parameters()).detach(), after


# --- what a value says about the distance ---------------------------------------------------------


@exercise(
    "game-js-bound",
    praise="Any critic gives a lower bound; only the optimal one gives the divergence itself.",
    wrong=[
        (lambda v: v + math.log(4), "2 JS"),
        (lambda v: (v - math.log(4)) / 2, "sign"),
        (lambda v: (v + math.log(2)) / 2, "log 4"),
        (lambda v: v / 2, "log 4"),
        (lambda v: (v + math.log(4)) / 2, "worse than a coin"),
    ],
)
def _game_js_bound(js_lower_bound: Callable[..., Any]) -> None:
    for v in (-1.0, -0.2, 0.0, -math.log(4)):
        got, right = float(numbers(js_lower_bound(v), ())), (v + math.log(4)) / 2
        doubled = v != -math.log(4) and _close(got, 2 * right)
        expect(not doubled, "The value at D* holds 2 JS, not JS.")
        expect(
            not _close(got, (v - math.log(4)) / 2),
            "Check a sign: at V = -log 4 the bound is 0, at V = 0 it is log 2.",
        )
        expect(_close(got, right), "Solve V = 2 JS - log 4, natural logarithm, for JS.")
    poor = float(numbers(js_lower_bound(-3.0), ()))
    expect(_close(poor, 0.0), "At V = -3 the critic is worse than a coin, and JS >= 0 says more.")


def _close(got: float, right: float) -> bool:
    return math.isclose(got, right, rel_tol=1e-6, abs_tol=1e-9)
