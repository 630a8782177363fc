"""Invertible generators, their exact densities as networks, and critics that hold the log-ratio.

A generator ``G(z) = W_l s(... s(W_1 z + b_1) ...) + b_l`` with square matrices and an invertible
activation ``s`` can be undone layer by layer, so that the density of its points is known (change
of variables), and the logarithm of that density is a network itself, of about the same size.
Differences of two such networks are the critics of Bai, Ma and Risteski 2019.

Matrices act on columns, as in the text: ``weights[k]`` has shape ``(seeds, d, d)`` and maps ``z``
to ``W z``. Biases have shape ``(seeds, 1, d)``.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import softplus

from gan_course.data import Distribution, Normal
from gan_course.nets import INITS, select
from gan_course.random import Source, Streams
from gan_course.regularizers import Regularizer

__all__ = [
    "Bounded",
    "Divergences",
    "Generated",
    "Invertible",
    "Layer",
    "LogDensity",
    "LogRatio",
    "bend",
    "divergences",
    "evaluate",
    "invertible",
    "log_ratio",
    "log_unbend_slope",
    "perturbed",
    "stacked",
    "unbend",
]

Tensor = torch.Tensor


# --- an activation with a formula both ways -------------------------------------------------------


def bend(t: Tensor, slope: float) -> Tensor:
    """Smooth leaky ReLU, ``(1 + a) / 2 t + (1 - a) / 2 sqrt(t^2 + 1)`` with ``a = slope``.

    A bijection of the line whose derivative rises from ``a`` to 1.
    """
    return (1 + slope) / 2 * t + (1 - slope) / 2 * (t.square() + 1).sqrt()


def unbend(y: Tensor, slope: float) -> Tensor:
    """Inverse of :func:`bend`; its derivative falls from ``1 / a`` to 1."""
    return ((1 + slope) / 2 * y - (1 - slope) / 2 * (y.square() + slope).sqrt()) / slope


def log_unbend_slope(y: Tensor, slope: float) -> Tensor:
    """Logarithm of the derivative of :func:`unbend`."""
    derivative = (1 + slope) / 2 - (1 - slope) / 2 * y * (y.square() + slope).rsqrt()
    return (derivative / slope).log()


# --- generators -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class invertible:  # noqa: N801 - a recipe reads as a function
    """Recipe of an :class:`Invertible` generator of ``R^dim``.

    Parameters
    ----------
    dim, layers
        Dimension of noise and data, and the number of matrices.
    slope
        Smallest slope of the activation (:func:`bend`), in (0, 1]; at 1 the generator is affine.
    spread
        Initial matrices have uniformly random singular vectors, and singular values that are
        log-uniform in ``[1 / spread, spread]``; at 1 they are orthogonal.
    shift
        Standard deviation of the initial biases' entries.
    """

    dim: int
    layers: int = 2
    slope: float = 0.5
    spread: float = 2.0
    shift: float = 0.5

    def __post_init__(self) -> None:
        for name in ("dim", "layers"):
            if getattr(self, name) < 1:
                raise ValueError(
                    f"{name} is {getattr(self, name)}; allowed are integers of at least 1"
                )
        if not 0 < self.slope <= 1:
            raise ValueError(f"slope is {self.slope}; allowed are numbers in (0, 1]")
        if not self.spread >= 1:
            raise ValueError(f"spread is {self.spread}; allowed are numbers of at least 1")
        if not self.shift >= 0:
            raise ValueError(f"shift is {self.shift}; allowed are numbers of at least 0")

    def __call__(self, streams: Streams) -> Invertible:
        weights, biases = [], []
        for _ in range(self.layers):
            left, right = (INITS["orthogonal"](streams, self.dim, self.dim)[0] for _ in range(2))
            powers = 2 * streams.uniform(1, self.dim) - 1
            weights.append(left * self.spread**powers @ right.mT)
            biases.append(self.shift * streams.normal(1, self.dim))
        return Invertible(weights, biases, self.slope)


class Invertible(nn.Module):
    """A generator ``G(z) = W_l s(... s(W_1 z + b_1) ...) + b_l`` for every seed of an ensemble.

    Parameters
    ----------
    weights
        ``W_1, ..., W_l``, shape ``(seeds, d, d)`` each: invertible.
    biases
        ``b_1, ..., b_l``, shape ``(seeds, 1, d)`` each.
    slope
        Smallest slope of the activation.
    """

    def __init__(self, weights: list[Tensor], biases: list[Tensor], slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.weights, self.biases = _parameters(weights, biases)

    def forward(self, z: Tensor) -> Tensor:
        """Map ``(seeds, n, d)``, or ``(n, d)`` for all seeds, to ``(seeds, n, d)``."""
        x = z.expand(len(self.weights[0]), -1, -1) if z.ndim == 2 else z
        for k, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, bend(x, self.slope) if k else x, weight.mT)
        return x

    def inverse(self, x: Tensor) -> Tensor:
        """The noise ``z`` with ``G(z) = x``, layer by layer from the last one."""
        layers = list(zip(self.weights, self.biases, strict=True))
        for k, (weight, bias) in reversed(list(enumerate(layers))):
            x = torch.linalg.solve(weight, (x - bias).mT).mT
            x = unbend(x, self.slope) if k else x
        return x

    def log_density(self, x: Tensor) -> Tensor:
        """Logarithm of the density of ``G(z)``, ``z`` standard normal; shape ``(seeds, n)``."""
        return LogDensity.of(self)(x)[..., 0]


@torch.no_grad()
def perturbed(generator: Invertible, size: float, R: float, streams: Streams) -> Invertible:
    """A copy whose parameters have moved by ``size`` times standard normal numbers.

    It is then brought into the class with ``|W_k|, |W_k^-1| <= R`` and ``|b_k| <= R``: singular
    values are clipped to ``[1 / R, R]``, and biases are scaled down to the norm ``R``.
    """
    if not R >= 1:
        raise ValueError(f"R is {R}; allowed are numbers of at least 1")
    groups = generator.weights, generator.biases
    moved = [[v + size * streams.normal(*v.shape[1:]).to(v) for v in group] for group in groups]
    weights, biases = [_clipped(w, R) for w in moved[0]], [_shortened(b, R) for b in moved[1]]
    return Invertible(weights, biases, generator.slope)


@torch.no_grad()
def stacked(generators: Sequence[Invertible]) -> Invertible:
    """One ensemble of several of one size and slope: their seeds one after the other, copied."""
    if not generators:
        raise ValueError("generators is empty; allowed is at least one")
    layers = range(len(generators[0].weights))
    weights = [torch.cat([one.weights[k] for one in generators]) for k in layers]
    biases = [torch.cat([one.biases[k] for one in generators]) for k in layers]
    return Invertible(weights, biases, generators[0].slope)


def _clipped(matrix: Tensor, R: float) -> Tensor:
    u, s, vt = torch.linalg.svd(matrix)
    return u * s.clamp(1 / R, R)[..., None, :] @ vt


def _shortened(bias: Tensor, R: float) -> Tensor:
    return bias * (R / bias.norm(dim=-1, keepdim=True)).clamp(max=1)


@dataclass(frozen=True, eq=False)
class Generated:
    """The distribution of a generator's points, another one for each seed.

    Draws from streams of as many seeds as the generator has.
    """

    generator: nn.Module
    noise: Distribution

    @property
    def dim(self) -> int:
        """Dimension of the space; that of the noise."""
        return self.noise.dim

    @torch.no_grad()
    def sample(self, n: int, source: Source) -> Tensor:
        """``n`` draws, shape ``(seeds, n, dim)``."""
        z = self.noise.sample(n, source)
        return self.generator(z.to(next(self.generator.parameters())))

    def select(self, rows: slice) -> Generated:
        """The same for some of the seeds."""
        return Generated(select(self.generator, rows), self.noise)


# --- log-densities as networks --------------------------------------------------------------------

Unit = Literal["inverse", "log slope", "square", "identity"]


@dataclass(frozen=True, eq=False)
class Layer:
    """A layer of an ordinary network: ``units(A y + c)``, each unit with its own activation.

    ``weight`` has shape ``(seeds, out, in)``, ``bias`` ``(seeds, 1, out)``; ``units`` holds
    ``(number, activation)`` for consecutive outputs.
    """

    weight: Tensor
    bias: Tensor
    units: tuple[tuple[int, Unit], ...]


def evaluate(layers: list[Layer], x: Tensor, slope: float) -> Tensor:
    """Output of a network given by its layers: ``(seeds, n, d)`` to ``(seeds, n, out)``."""
    activations = {
        "inverse": lambda u: unbend(u, slope),
        "log slope": lambda u: log_unbend_slope(u, slope),
        "square": torch.square,
        "identity": lambda u: u,
    }
    for layer in layers:
        u = torch.baddbmm(layer.bias, x, layer.weight.mT)
        parts = u.split([number for number, _ in layer.units], dim=-1)
        named = zip(parts, layer.units, strict=True)
        x = torch.cat([activations[kind](part) for part, (_, kind) in named], dim=-1)
    return x


class LogDensity(nn.Module):
    """The logarithm of an invertible generator's density as a critic, for every seed.

    With ``V_k = W_k^-1``, ``h_l = V_l (x - b_l)`` and ``h_k = V_k (s^-1(h_{k+1}) - b_k)`` it is

    ``-|h_1|^2 / 2 - d / 2 log(2 pi) + sum_k log |det V_k| + sum_{k >= 2, i} log (s^-1)'(h_{k,i})``.

    Parameters are ``V_k`` and ``b_k``: no matrix is inverted in the forward pass.

    Parameters
    ----------
    inverses, biases, slope
        ``V_1, ..., V_l``, ``b_1, ..., b_l`` and the activation's slope, as in :class:`Invertible`.
    """

    def __init__(self, inverses: list[Tensor], biases: list[Tensor], slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.inverses, self.biases = _parameters(inverses, biases)

    @classmethod
    def of(cls, generator: Invertible) -> LogDensity:
        """The one of a generator, with a copy of its parameters."""
        inverses = [torch.linalg.inv(weight.detach()) for weight in generator.weights]
        return cls(inverses, [bias.detach() for bias in generator.biases], generator.slope)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(seeds, n, d)``, or ``(n, d)`` for all seeds, to ``(seeds, n, 1)``."""
        x = x.expand(len(self.inverses[0]), -1, -1) if x.ndim == 2 else x
        return _log_density(x, self.inverses, self.biases, self.slope)

    @torch.no_grad()
    def layers(self) -> list[Layer]:
        """The same function as an ordinary network, with matrices written out.

        Hidden layers compute ``h_l, ..., h_1``. Each ``h_k`` with ``k >= 2`` feeds two rows of
        units, ``s^-1`` for the way down and ``log (s^-1)'`` for the volume; one identity unit
        carries the sum of the latter to the output. ``h_1`` feeds squares.
        """
        built: list[Layer] = []
        d, depth = self.inverses[0].shape[-1], len(self.inverses)
        for k in reversed(range(depth)):
            inverse, bias = self.inverses[k], self.biases[k]
            copies, carried, first = (2 if k else 1), int(k < depth - 1), k == depth - 1
            width_in = d if first else sum(number for number, _ in built[-1].units)
            weight = inverse.new_zeros(len(inverse), copies * d + carried, width_in)
            weight[:, : copies * d, :d] = inverse.repeat(1, copies, 1)
            if carried:
                weight[:, -1, d:] = 1  # the log slopes, and what was carried before
            shift = -(bias @ inverse.mT).repeat(1, 1, copies)
            shift = torch.cat([shift, shift.new_zeros(len(shift), 1, carried)], -1)
            own: tuple[Unit, ...] = ("inverse", "log slope") if k else ("square",)
            units: list[tuple[int, Unit]] = [(d, kind) for kind in own]
            if carried:
                units.append((1, "identity"))
            built.append(Layer(weight, shift, tuple(units)))
        last = built[-1].weight.new_full((len(built[-1].weight), 1, d), -0.5)
        last = torch.cat([last, last.new_ones(len(last), 1, int(depth > 1))], -1)
        return [*built, Layer(last, _constant(self.inverses), ((1, "identity"),))]


class LogRatio(nn.Module):
    """Critics ``f = log q_phi - log q_phi'``: two :class:`LogDensity` side by side.

    Parameters
    ----------
    plus, minus
        Both halves, of one size and slope; their parameters are copied, and stacked along a second
        axis: ``inverses[k]`` has shape ``(seeds, 2, d, d)`` and ``biases[k]`` ``(seeds, 2, 1, d)``.
    """

    def __init__(self, plus: LogDensity, minus: LogDensity) -> None:
        super().__init__()
        self.slope = plus.slope
        groups = (plus.inverses, minus.inverses), (plus.biases, minus.biases)
        pairs = [[torch.stack(two, 1) for two in zip(*both, strict=True)] for both in groups]
        self.inverses, self.biases = _parameters(*pairs)

    @classmethod
    def of(cls, p: Invertible, q: Invertible) -> LogRatio:
        """The critic ``log p - log q`` of two generators, built from their parameters."""
        return cls(LogDensity.of(p), LogDensity.of(q))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(seeds, n, d)``, or ``(n, d)`` for all seeds, to ``(seeds, n, 1)``."""
        x = x.expand(len(self.inverses[0]), -1, -1) if x.ndim == 2 else x
        plus, minus = _log_density(x[:, None], self.inverses, self.biases, self.slope).unbind(1)
        return plus - minus


def _log_density(
    x: Tensor, inverses: nn.ParameterList, biases: nn.ParameterList, slope: float
) -> Tensor:
    """Log-density at ``(..., n, d)`` with one value a point, ``(..., n, 1)``."""
    total: Tensor | float = _constant(inverses)
    for k in reversed(range(len(inverses))):
        x = (x - biases[k]) @ inverses[k].mT
        if k:
            root = (x.square() + slope).sqrt()
            steep, shallow = (1 + slope) / (2 * slope), (1 - slope) / (2 * slope)
            total = total + (steep - shallow * x / root).log().sum(-1, keepdim=True)
            x = steep * x - shallow * root
    return total - 0.5 * x.square().sum(-1, keepdim=True)


def _constant(inverses: nn.ParameterList) -> Tensor:
    """What does not depend on ``x``: log-volumes and the normal density's constant."""
    sizes = torch.linalg.slogdet(torch.stack(list(inverses)))[1].sum(0)
    return (sizes - inverses[0].shape[-1] / 2 * math.log(2 * math.pi))[..., None, None]


@dataclass(frozen=True)
class log_ratio:  # noqa: N801 - a recipe reads as a function
    """Recipe of a :class:`LogRatio` whose two halves start at the densities of random generators.

    Parameters are those of :class:`invertible`; with ``spread=1`` and ``shift=0`` and one layer
    both halves start at the standard normal density.
    """

    dim: int
    layers: int = 2
    slope: float = 0.5
    spread: float = 1.0
    shift: float = 0.1

    def __call__(self, streams: Streams) -> LogRatio:
        recipe = invertible(self.dim, self.layers, self.slope, self.spread, self.shift)
        return LogRatio.of(recipe(streams), recipe(streams)).to(streams.device)


@dataclass(frozen=True)
class Bounded(Regularizer):
    """Keeps log-density critics in the class with ``|V_k|, |V_k^-1| <= R`` and ``|b_k| <= R``.

    After each update of the critic, singular values are clipped to ``[1 / R, R]`` and biases are
    scaled down to the norm ``R``: the nearest point of the class. The bounds on generators are the
    same, and ``project`` takes these, too.
    """

    R: float = 3.0

    def __post_init__(self) -> None:
        if not self.R >= 1:
            raise ValueError(f"R is {self.R}; allowed are numbers of at least 1")

    @torch.no_grad()
    def project(self, critic: nn.Module) -> None:
        """Move every log-density and generator inside to the nearest one of the class."""
        for part in critic.modules():
            if isinstance(part, LogDensity | LogRatio | Invertible):
                matrices = part.weights if isinstance(part, Invertible) else part.inverses
                for matrix in matrices:
                    matrix.copy_(_clipped(matrix, self.R))
                for bias in part.biases:
                    bias.copy_(_shortened(bias, self.R))


# --- exact divergences between generators ---------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Divergences:
    """Divergences of two generators' densities, one value a seed, shape ``(seeds,)``, in nats."""

    kl: NDArray[np.float64]
    reverse_kl: NDArray[np.float64]
    js: NDArray[np.float64]
    tv: NDArray[np.float64]

    @property
    def jeffreys(self) -> NDArray[np.float64]:
        """``KL(p || q) + KL(q || p)``."""
        return self.kl + self.reverse_kl


@torch.no_grad()
def divergences(p: Invertible, q: Invertible, n: int, streams: Streams) -> Divergences:
    """Divergences of two generators by Monte Carlo with their exact densities.

    All are means over ``m = (p + q) / 2`` of a function of the log-ratio ``u = log p - log q`` that
    is nowhere negative and vanishes at 0, such as ``2 u tanh(u / 2)`` for the sum of both
    Kullback-Leibler divergences; so small divergences have a small relative error, too. Half of
    the ``2 n`` points are drawn from each side.
    """
    p, q = (copy.deepcopy(g).double() for g in (p, q))
    ratio, noise = LogRatio.of(p, q), Normal(dim=p.weights[0].shape[-1])
    u = torch.cat([ratio(g(noise.sample(n, streams).double()))[..., 0] for g in (p, q)], dim=1)
    up, down = torch.sigmoid(u), torch.sigmoid(-u)
    kl, reverse_kl = 2 * (up * u - up + down), 2 * (-down * u + up - down)
    js = math.log(2) - up * softplus(-u) - down * softplus(u)
    means = (v.mean(1).numpy() for v in (kl, reverse_kl, js, (up - down).abs()))
    return Divergences(*means)


def _parameters(*groups: list[Tensor]) -> tuple[nn.ParameterList, ...]:
    return tuple(nn.ParameterList(nn.Parameter(v.clone()) for v in group) for group in groups)
