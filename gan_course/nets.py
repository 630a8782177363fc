"""Generators and critics as modules with a leading seed axis.

A network of an ensemble maps ``(seeds, batch, in)`` to ``(seeds, batch, out)``; its parameters
carry the seed axis first. A *recipe* such as :func:`mlp` is a value that builds the network once
the seeds are known, so that the same recipe serves one seed and sixty-four.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import nn

from gan_course.random import Streams

__all__ = ["ACTIVATIONS", "MLP", "Recipe", "Shift", "mlp", "shift"]

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": torch.relu,
    "leaky_relu": lambda u: nn.functional.leaky_relu(u, 0.2),
    "silu": nn.functional.silu,
    "tanh": lambda u: 2 * torch.sigmoid(2 * u) - 1,  # torch.tanh is several times slower on CPUs
    "identity": lambda u: u,
}


class Recipe(Protocol):
    """Builds a network for the seeds of an ensemble."""

    def __call__(self, streams: Streams) -> nn.Module: ...


class MLP(nn.Module):
    """A multilayer perceptron for every seed of an ensemble.

    Initial values are PyTorch's for ``nn.Linear``: uniform on ``+-1/sqrt(fan_in)``.

    Parameters
    ----------
    sizes
        Widths from input to output, at least two.
    activation
        A key of :data:`ACTIVATIONS`, applied between layers and not after the last.
    streams
        Source of the initial values; one network a seed.
    """

    def __init__(self, sizes: tuple[int, ...], activation: str, streams: Streams) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[activation]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in pairwise(sizes):
            bound = 1 / math.sqrt(fan_in)
            values = bound * (2 * streams.uniform(fan_in + 1, fan_out) - 1)
            self.weights.append(nn.Parameter(values[:, :-1].clone()))
            self.biases.append(nn.Parameter(values[:, -1:].clone()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map ``(seeds, batch, in)``, or ``(batch, in)`` for all, to ``(seeds, batch, out)``."""
        if x.ndim == 2:
            x = x.expand(len(self.weights[0]), -1, -1)
        last = len(self.weights) - 1
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if layer < last:
                x = self.activation(x)
        return x


@dataclass(frozen=True)
class mlp:  # noqa: N801 - a recipe reads as a function
    """Recipe of an :class:`MLP`: ``mlp(2, 64, 64, 1)`` has two hidden layers of 64 units.

    Raises
    ------
    ValueError
        If fewer than two sizes are given, a size is not positive or the activation is unknown.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"

    def __init__(self, *sizes: int, activation: str = "relu") -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes is {sizes}; allowed are at least two positive integers")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is {activation!r}; allowed are {', '.join(ACTIVATIONS)}")
        object.__setattr__(self, "sizes", sizes)
        object.__setattr__(self, "activation", activation)

    def __call__(self, streams: Streams) -> MLP:
        return MLP(self.sizes, self.activation, streams).to(streams.device)


class Shift(nn.Module):
    """The generator ``z -> z + mu`` with one location ``mu`` of shape ``(seeds, 1, dim)``."""

    def __init__(self, mu: torch.Tensor) -> None:
        super().__init__()
        self.mu = nn.Parameter(mu)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map ``(seeds, batch, dim)`` to the same shape."""
        return z + self.mu


@dataclass(frozen=True)
class shift:  # noqa: N801 - a recipe reads as a function
    """Recipe of a :class:`Shift` that starts every seed at ``start`` in each coordinate."""

    start: float
    dim: int = 1

    def __call__(self, streams: Streams) -> Shift:
        mu = torch.full((len(streams), 1, self.dim), float(self.start))
        return Shift(mu.to(streams.device))
