"""Integral probability metrics: distances that a class of test functions sees.

``d_F(P, Q) = sup over f in F of |E_P f - E_Q f|``. Total variation and the Wasserstein distance
have their own solvers in :mod:`gan_course.transport`; here are the unit ball of a kernel's space,
where the supremum is a formula, and networks, where it is a search that can only fall short.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist
from torch import nn

from gan_course.data import Distribution
from gan_course.nets import Recipe
from gan_course.random import Role, Streams
from gan_course.transport.arguments import clouds

__all__ = ["FittedCritic", "covering_number", "fit_critic", "mmd", "mmd_squared", "samples_needed"]

Array = NDArray[np.float64]


def mmd(x: ArrayLike, y: ArrayLike, *, bandwidth: float) -> Array:
    """Maximum mean discrepancy between two clouds, one value a seed, shape ``(seeds,)``.

    The metric of the unit ball of the space of the kernel ``k(a, b) = exp(-|a - b|^2 / (2 s^2))``
    (Gretton et al. 2012): exact between the two empirical distributions, the root of
    ``E k(x, x') - 2 E k(x, y) + E k(y, y')`` with equal points included. As an estimate from
    samples it is biased upward, by about ``sqrt((1 - E k) (1 / n + 1 / m))`` between samples of
    one distribution; :func:`mmd_squared` has no bias.

    Parameters
    ----------
    x
        One cloud a seed, shape ``(seeds, n, d)``; diverged seeds give NaN.
    y
        One cloud a seed, shape ``(seeds, m, d)``, or one for all of them, ``(m, d)``.
    bandwidth
        The kernel's ``s``, in the unit of the points.
    """
    xx, xy, yy = _kernel_means(x, y, bandwidth, with_diagonal=True)
    return np.sqrt(np.maximum(xx - 2 * xy + yy, 0.0))


def mmd_squared(x: ArrayLike, y: ArrayLike, *, bandwidth: float) -> Array:
    """Unbiased estimate of the squared maximum mean discrepancy of two laws from samples.

    Pairs of a point with itself are left out, so the estimate has the true square as its mean, and
    may be negative. Parameters as for :func:`mmd`, with at least two points a cloud.
    """
    xx, xy, yy = _kernel_means(x, y, bandwidth, with_diagonal=False)
    return xx - 2 * xy + yy


def _kernel_means(
    x: ArrayLike, y: ArrayLike, bandwidth: float, *, with_diagonal: bool
) -> tuple[Array, Array, Array]:
    """Mean of the kernel over pairs of ``x``, of ``x`` and ``y``, and of ``y``; one a seed."""
    if not (bandwidth > 0 and math.isfinite(bandwidth)):
        raise ValueError(f"bandwidth is {bandwidth}; allowed are positive numbers")
    x, y = clouds(x, y)
    for name, cloud in (("x", x), ("y", y)):
        if not with_diagonal and cloud.shape[1] < 2:
            raise ValueError(f"{name} has one point; allowed are clouds of at least 2")

    def mean(a: Array, b: Array) -> float:
        return float(np.exp(cdist(a, b, "sqeuclidean") / (-2 * bandwidth**2)).mean())

    def own(a: Array) -> float:
        n, value = len(a), mean(a, a)
        return value if with_diagonal else (value * n - 1) / (n - 1)

    rows = [
        (own(a), mean(a, b), own(b)) if np.isfinite(a).all() else (math.nan,) * 3
        for a, b in zip(x, y, strict=True)
    ]
    xx, xy, yy = np.array(rows).T
    return xx, xy, yy


@dataclass(frozen=True)
class FittedCritic:
    """Test functions with values in [0, 1], one a seed: the logistic function of a network."""

    net: nn.Module

    @torch.no_grad()
    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        """Values at ``(seeds, n, d)``, or ``(n, d)`` for all seeds, shape ``(seeds, n)``."""
        if x.ndim == 2:
            x = x.expand(_seeds_of(self.net), -1, -1)
        return torch.sigmoid(self.net(x))[..., 0]

    def gap(self, x: torch.Tensor, y: torch.Tensor) -> Array:
        """``mean f(x) - mean f(y)``, one value a seed.

        On points that the critic has not seen it estimates a lower bound of ``d_F``, without bias.
        """
        difference = self(x).double().mean(1) - self(y).double().mean(1)
        return difference.cpu().numpy()


def fit_critic(
    recipe: Recipe,
    x: torch.Tensor | Distribution,
    y: torch.Tensor | Distribution,
    *,
    seeds: Iterable[int],
    steps: int,
    batch: int = 256,
    lr: float = 5e-3,
    project: Callable[[nn.Module], None] | None = None,
) -> FittedCritic:
    """Search a network that tells ``x`` from ``y``: ascend ``E f(x) - E f(y)``, ``f`` in [0, 1].

    The class of ``f = sigmoid(net)`` is symmetric, ``1 - f`` is in it with ``f``, so no absolute
    value is needed. The search is Adam with a step size that falls linearly to zero, on the whole
    cloud where a tensor is given and on fresh minibatches of a distribution. It finds a good
    critic, not the best one: every gap is a lower bound of the supremum.

    Parameters
    ----------
    recipe
        The network, such as ``nets.mlp(2, 16, 1)``, with one output.
    x, y
        Fixed points, ``(seeds, n, d)`` or ``(n, d)`` for all seeds, or a distribution to draw from.
    seeds
        One critic each; they set initial values and minibatches.
    steps, batch, lr
        Steps, points of a minibatch, and the first step size.
    project
        Called before the first step and after each, without gradients, to bring the network into
        its class (such as a ball), in place.

    Raises
    ------
    ValueError
        If the clouds' leading axis differs from the number of seeds, or ``steps`` is negative.
    """
    init, draws = (Streams(seeds, role=role) for role in (Role.INIT, Role.PENALTY))
    if steps < 0:
        raise ValueError(f"steps is {steps}; allowed are integers of at least 0")
    for name, points in (("x", x), ("y", y)):
        if isinstance(points, torch.Tensor) and (
            points.ndim not in (2, 3) or (points.ndim == 3 and len(points) != len(init))
        ):
            shape = tuple(points.shape)
            raise ValueError(
                f"{name} has shape {shape}; allowed are (n, d) and ({len(init)}, n, d)"
            )
    net = recipe(init)
    if project is not None:
        with torch.no_grad():
            project(net)

    def points_of(source: torch.Tensor | Distribution) -> torch.Tensor:
        points = source if isinstance(source, torch.Tensor) else source.sample(batch, draws)
        return points.expand(len(init), -1, -1) if points.ndim == 2 else points

    optimizer = torch.optim.Adam(net.parameters(), lr=lr, betas=(0.9, 0.99), fused=True)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = lr * (1 - step / steps)
        a, b = points_of(x), points_of(y)
        loss = torch.sigmoid(net(b)).mean(1) - torch.sigmoid(net(a)).mean(1)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        if project is not None:
            with torch.no_grad():
                project(net)
    return FittedCritic(net)


def _seeds_of(net: nn.Module) -> int:
    return len(next(net.parameters()))


def covering_number(m: int, radius: float) -> float:
    """Natural logarithm of ``(1 + 2 / radius)^m``.

    So many balls of this radius at most, with centers in the set, cover any subset of the unit
    ball of ``R^m`` (Vershynin 2018, corollary 4.2.13): a largest set of points that are farther
    than ``radius`` apart is a net, and balls of half the radius around them do not overlap.
    """
    if m < 1:
        raise ValueError(f"m is {m}; allowed are integers of at least 1")
    if not radius > 0:
        raise ValueError(f"radius is {radius}; allowed are positive numbers")
    return m * math.log1p(2 / radius)


def samples_needed(m: int, lipschitz: float, epsilon: float, failure: float) -> int:
    """How many points fool all critics of ``m`` parameters, by Hoeffding and a net.

    The smallest ``N`` with ``2 (1 + 8 L / epsilon)^m exp(-N epsilon^2 / 8) <= failure``. Two
    independent samples of ``N`` or more points of any law then differ by at most ``epsilon`` in
    ``E f`` for all ``f`` of the class at once, except with probability ``2 failure`` (Arora et al.
    2017, with their constant worked out).

    Parameters
    ----------
    m
        Number of parameters, which lie in the unit ball.
    lipschitz
        ``L`` with ``|f_a(x) - f_b(x)| <= L |a - b|`` for all parameters and all ``x``.
    epsilon
        Largest gap, in (0, 1]; the critics have values in [0, 1].
    failure
        Probability in (0, 1) that one sample may be bad.
    """
    if not 0 < lipschitz < math.inf:
        raise ValueError(f"lipschitz is {lipschitz}; allowed are positive numbers")
    if not 0 < epsilon <= 1:
        raise ValueError(f"epsilon is {epsilon}; allowed are numbers in (0, 1]")
    if not 0 < failure < 1:
        raise ValueError(f"failure is {failure}; allowed are numbers between 0 and 1")
    log_count = covering_number(m, epsilon / (4 * lipschitz))
    return math.ceil(8 / epsilon**2 * (log_count + math.log(2 / failure)))
