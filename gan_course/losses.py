"""Adversarial objectives as values.

A :class:`Loss` holds what the critic and what the generator *minimize*, as functions of the
critic's raw outputs (logits where the discriminator is a probability): ``D = sigmoid(logit)``.
Both are written with ``softplus``, which neither overflows nor loses digits however sure the
critic is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.nn.functional import softplus

__all__ = ["Loss", "minimax", "non_saturating"]


@dataclass(frozen=True)
class Loss:
    """An adversarial objective.

    Attributes
    ----------
    name
        The field's name of it.
    critic
        ``critic(real, fake)``: critic outputs of shape ``(seeds, batch, 1)`` on data and on
        generated points to one loss a seed, shape ``(seeds,)``.
    generator
        ``generator(fake)``: critic outputs on generated points to one loss a seed.
    """

    name: str
    critic: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    generator: Callable[[torch.Tensor], torch.Tensor]


def _mean(values: torch.Tensor) -> torch.Tensor:
    return values.flatten(1).mean(1)


def _cross_entropy(real: torch.Tensor, fake: torch.Tensor) -> torch.Tensor:
    """``-V(D, G)``: minus the means of ``log D`` on data and ``log (1 - D)`` on fakes."""
    return _mean(softplus(-real)) + _mean(softplus(fake))


minimax = Loss("minimax", _cross_entropy, lambda fake: -_mean(softplus(fake)))
"""Goodfellow et al. (2014): the generator minimizes the mean of ``log (1 - D(G(z)))``."""

non_saturating = Loss("non-saturating", _cross_entropy, lambda fake: _mean(softplus(-fake)))
"""Goodfellow et al. (2014): same critic, the generator maximizes the mean of ``log D(G(z))``."""
