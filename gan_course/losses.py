"""Adversarial objectives as values.

A :class:`Loss` holds what the critic and what the generator *minimize*, as functions of the
critic's raw outputs (logits where the discriminator is a probability): ``D = sigmoid(logit)``.
Softplus forms are used throughout, so that a saturated critic costs neither an infinity nor a NaN:
``log D = -softplus(-logit)`` and ``log (1 - D) = -softplus(logit)``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import logsigmoid, relu, softplus

__all__ = [
    "LOSSES",
    "Loss",
    "hinge",
    "minimax",
    "nagarajan_kolter",
    "non_saturating",
    "wasserstein",
]


@dataclass(frozen=True)
class Loss:
    """What each side of the game minimizes.

    Attributes
    ----------
    name
        As used in figures and tables, and in checkpoints: equal names mean equal losses.
    critic
        ``critic(real, fake)``: critic outputs of shape ``(seeds, batch, 1)`` on data and on
        generated points to one loss a seed, shape ``(seeds,)``.
    generator
        ``generator(fake)``: critic outputs on generated points to one loss a seed.
    """

    name: str
    critic: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    generator: Callable[[torch.Tensor], torch.Tensor]

    def __repr__(self) -> str:
        return f"Loss({self.name!r})"

    def key(self) -> str:
        """Name in files of results and checkpoints."""
        return repr(self)


def nagarajan_kolter(f: Callable[[torch.Tensor], torch.Tensor], name: str) -> Loss:
    """Zero-sum game ``V = E f(D(x)) + E f(-D(G(z)))`` of Nagarajan and Kolter (2017).

    The critic maximizes ``V``, the generator minimizes it. With ``f(t) = -log(1 + exp(-t))`` this
    is :data:`minimax`, with ``f(t) = t`` it is :data:`wasserstein`.

    Parameters
    ----------
    f
        Concave and elementwise, with ``f'(0) != 0``.
    name
        Name of the loss.
    """
    return Loss(
        name,
        lambda real, fake: -_mean(f(real)) - _mean(f(-fake)),
        lambda fake: _mean(f(-fake)),
    )


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).mean(1)


minimax = nagarajan_kolter(logsigmoid, "minimax")
"""Goodfellow et al. (2014): the generator minimizes the mean of ``log (1 - D(G(z)))``."""

non_saturating = Loss("non-saturating", minimax.critic, lambda fake: _mean(softplus(-fake)))
"""Goodfellow et al. (2014): same critic, the generator maximizes the mean of ``log D(G(z))``."""

wasserstein = nagarajan_kolter(lambda t: t, "Wasserstein")
"""Arjovsky et al. (2017): means of raw outputs. The critic needs a Lipschitz constraint."""

hinge = Loss(
    "hinge",
    lambda real, fake: _mean(relu(1 - real)) + _mean(relu(1 + fake)),
    lambda fake: -_mean(fake),
)
"""Lim and Ye (2017), Miyato et al. (2018): the critic is pushed only inside the margin."""

LOSSES = {loss.name: loss for loss in (minimax, non_saturating, wasserstein, hinge)}
"""The named losses, for studies over all of them."""
