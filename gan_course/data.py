"""Distributions that one can sample and score.

A distribution has a dimension ``dim`` and draws with ``sample(n, source)``; all but
:class:`Empirical` know their ``log_density(x)``. Samples have shape ``(seeds, n, dim)`` from
:class:`gan_course.random.Streams` and ``(n, dim)`` from a single ``torch.Generator``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from gan_course.random import Source, normal, uniform

__all__ = ["Distribution", "Empirical", "Mixture", "Normal", "Uniform"]


class Distribution(Protocol):
    """What the course asks of a distribution that is trained on."""

    @property
    def dim(self) -> int: ...

    def sample(self, n: int, source: Source) -> torch.Tensor: ...


@dataclass(frozen=True)
class Normal:
    """The isotropic normal distribution ``N(mean, std^2 I)`` on ``R^dim``.

    Raises
    ------
    ValueError
        If ``std`` is not positive or ``dim`` is not at least 1.
    """

    mean: float = 0.0
    std: float = 1.0
    dim: int = 1

    def __post_init__(self) -> None:
        _positive("std", self.std)
        if self.dim < 1:
            raise ValueError(f"dim is {self.dim}; allowed is an integer of at least 1")

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws, shape ``(seeds, n, dim)`` or ``(n, dim)``."""
        return self.mean + self.std * normal(source, n, self.dim)

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Natural logarithm of the density at ``x`` of shape ``(..., dim)``; shape ``(...)``."""
        u = (x - self.mean) / self.std
        constant = self.dim * (math.log(self.std) + 0.5 * math.log(2 * math.pi))
        return -0.5 * u.square().sum(-1) - constant


@dataclass(frozen=True)
class Uniform:
    """The uniform distribution on the cube ``[low, high)^dim``."""

    low: float = 0.0
    high: float = 1.0
    dim: int = 1

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}; allowed is low < high")

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws, shape ``(seeds, n, dim)`` or ``(n, dim)``."""
        return self.low + (self.high - self.low) * uniform(source, n, self.dim)

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Natural logarithm of the density at ``x`` of shape ``(..., dim)``; shape ``(...)``."""
        inside = ((x >= self.low) & (x < self.high)).all(-1)
        log_volume = self.dim * math.log(self.high - self.low)
        return torch.where(inside, -log_volume, -math.inf)


@dataclass(frozen=True)
class Mixture:
    """A mixture of isotropic normal distributions on ``R^dim``.

    Parameters
    ----------
    means
        One point a component: numbers for ``dim = 1``, sequences of ``dim`` numbers otherwise.
    stds
        One positive standard deviation a component.
    weights
        Positive weights that sum to 1; equal where not given.
    """

    means: Sequence[float] | Sequence[Sequence[float]]
    stds: Sequence[float]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        k = len(self.means)
        if len({np.shape(mean) for mean in self.means}) > 1:
            raise ValueError(f"means is {self.means}; allowed are points of one dimension")
        if k == 0 or len(self.stds) != k or len(self._weights) != k:
            raise ValueError(
                f"means, stds and weights have lengths {k}, {len(self.stds)} and "
                f"{len(self._weights)}; allowed is one common length of at least 1"
            )
        for std in self.stds:
            _positive("stds", std)
        if min(self._weights) <= 0 or abs(sum(self._weights) - 1) > 1e-9:
            raise ValueError(
                f"weights is {self.weights}; allowed are positive numbers that sum to 1"
            )

    @property
    def _weights(self) -> Sequence[float]:
        return self.weights if self.weights is not None else [1 / len(self.means)] * len(self.means)

    @property
    def _centers(self) -> torch.Tensor:
        centers = torch.tensor(self.means, dtype=torch.float64)
        return centers[:, None] if centers.ndim == 1 else centers

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self._centers.shape[1]

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws, shape ``(seeds, n, dim)`` or ``(n, dim)``."""
        u = uniform(source, n, 1)[..., 0]
        edges = torch.tensor(self._weights, dtype=torch.float64).cumsum(0).to(u)
        index = torch.bucketize(u, edges[:-1], right=True)
        noise = normal(source, n, self.dim)
        centers = self._centers.to(noise)[index]
        stds = torch.tensor(self.stds).to(noise)[index]
        return centers + stds[..., None] * noise

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Natural logarithm of the density at ``x`` of shape ``(..., dim)``; shape ``(...)``."""
        centers, stds = self._centers.to(x), torch.tensor(self.stds, dtype=torch.float64).to(x)
        log_weights = torch.tensor(self._weights, dtype=torch.float64).to(x).log()
        u = (x[..., None, :] - centers) / stds[:, None]
        constant = self.dim * (stds.log() + 0.5 * math.log(2 * math.pi))
        return torch.logsumexp(log_weights - 0.5 * u.square().sum(-1) - constant, dim=-1)


@dataclass(frozen=True)
class Empirical:
    """The empirical distribution of fixed points: draws with replacement, no density.

    Parameters
    ----------
    points
        Shape ``(n_points, dim)``: one data set for all seeds; or ``(seeds, n_points, dim)``: one
        each.
    """

    points: torch.Tensor

    def __post_init__(self) -> None:
        if self.points.ndim not in (2, 3) or self.points.shape[-2] == 0:
            raise ValueError(
                f"points has shape {tuple(self.points.shape)}; "
                "allowed are (n_points, dim) and (seeds, n_points, dim) with n_points >= 1"
            )
        if not torch.isfinite(self.points).all():
            raise ValueError("points holds a NaN or an infinity; allowed are finite numbers")

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.points.shape[-1]

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws with replacement, shape ``(seeds, n, dim)`` or ``(n, dim)``."""
        count = self.points.shape[-2]
        index = (uniform(source, n, 1)[..., 0] * count).long().clamp(max=count - 1)
        points = self.points.to(index.device)
        if points.ndim == 2:
            return points[index]
        return points.gather(1, index[..., None].expand(-1, -1, self.dim))


def _positive(name: str, value: float) -> None:
    if not value > 0 or not math.isfinite(value):
        raise ValueError(f"{name} is {value}; allowed are positive finite numbers")
