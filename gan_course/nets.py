"""Generators and critics as modules with a leading seed axis.

A network of an ensemble maps ``(seeds, batch, in)`` to ``(seeds, batch, out)``; its parameters and
buffers carry the seed axis first. A *recipe* such as :func:`mlp` or :func:`each` is a value that
builds the network once the seeds are known, so that the same recipe serves one seed and sixty-four.
"""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol, cast

import torch
from torch import nn
from torch.func import functional_call, stack_module_state
from torch.nn.functional import leaky_relu, silu
from torch.nn.modules.dropout import _DropoutNd

from gan_course.random import Streams

__all__ = [
    "ACTIVATIONS",
    "INITS",
    "MLP",
    "Activation",
    "Each",
    "Monomial",
    "Recipe",
    "Shift",
    "convolutional_critic",
    "convolutional_generator",
    "each",
    "input_gradient",
    "mlp",
    "monomial",
    "select",
    "shift",
]

Tensor = torch.Tensor


@dataclass(frozen=True)
class Activation:
    """An activation with its derivative, both as functions of the preactivation.

    ``value`` may overwrite the preactivation, which is a fresh tensor wherever it is called.
    ``slope`` is ``None`` where the derivative is piecewise constant, so that the second derivative
    is zero wherever it exists; ``pieces`` is then the pair of slopes left and right of zero.
    """

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor] | None = None
    pieces: tuple[float, float] = (1.0, 1.0)

    def derivative(self, u: Tensor) -> Tensor:
        """Derivative at ``u``, elementwise."""
        if self.slope is not None:
            return self.slope(u)
        left, right = self.pieces
        if left == right:
            return torch.full_like(u, left)
        positive = u.sign().relu_()  # several times faster than turning a comparison into floats
        return positive if (left, right) == (0, 1) else positive.mul_(right - left).add_(left)


def _tanh(u: Tensor) -> Tensor:  # torch.tanh is several times slower on some CPUs
    return torch.sigmoid(2 * u).mul(2).sub_(1)


def _tanh_(u: Tensor) -> Tensor:
    return torch.sigmoid_(u.mul_(2)).mul(2).sub_(1)


def _silu_slope(u: Tensor) -> Tensor:
    s = torch.sigmoid(u)
    return s * (1 + u * (1 - s))


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(torch.relu_, pieces=(0.0, 1.0)),
    "leaky_relu": Activation(lambda u: leaky_relu(u, 0.2, inplace=True), pieces=(0.2, 1.0)),
    "silu": Activation(silu, _silu_slope),
    "tanh": Activation(_tanh_, lambda u: 1 - _tanh(u).square()),
    "identity": Activation(lambda u: u),
}


def _uniform(streams: Streams, fan_in: int, fan_out: int) -> tuple[Tensor, Tensor]:
    values = (2 * streams.uniform(fan_in + 1, fan_out) - 1) / math.sqrt(fan_in)
    return values[:, :-1], values[:, -1:]


def _he(streams: Streams, fan_in: int, fan_out: int) -> tuple[Tensor, Tensor]:
    weight = math.sqrt(2 / fan_in) * streams.normal(fan_in, fan_out)
    return weight, torch.zeros_like(weight[:, :1])


def _orthogonal(streams: Streams, fan_in: int, fan_out: int) -> tuple[Tensor, Tensor]:
    tall = streams.normal(max(fan_in, fan_out), min(fan_in, fan_out))
    q, r = torch.linalg.qr(tall)
    q = q * torch.diagonal(r, dim1=1, dim2=2).sign()[:, None]  # uniform on orthogonal matrices
    weight = q if fan_in >= fan_out else q.transpose(1, 2)
    return weight, torch.zeros_like(weight[:, :1])


INITS: dict[str, Callable[[Streams, int, int], tuple[Tensor, Tensor]]] = {
    "uniform": _uniform,
    "he": _he,
    "orthogonal": _orthogonal,
}
"""Initial values of a layer: PyTorch's own for ``nn.Linear`` (uniform on ``+-1/sqrt(fan_in)``),
He's normal ones, and orthogonal matrices; the last two with zero biases."""


_NARROW = 8  # below as many outputs, products with long factors first are several times faster


def _last(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The last layer, ``x @ weight + bias`` for every seed."""
    if weight.shape[2] >= _NARROW:
        return torch.baddbmm(bias, x, weight)
    return cast(Tensor, _Narrow.apply(x, weight, bias))


class _Narrow(torch.autograd.Function):
    """The same for few outputs, each product with its factors in the order that BLAS likes."""

    generate_vmap_rule = True

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        if weight.shape[2] > 1:
            return torch.baddbmm(bias, x, weight.transpose(1, 2).contiguous().transpose(1, 2))
        row = torch.baddbmm(bias, weight.transpose(1, 2), x.transpose(1, 2))
        return row.reshape(*x.shape[:2], 1).clone()

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])
        ctx.save_for_forward(*inputs[:2])

    @staticmethod
    def jvp(ctx: Any, to_x: Tensor, to_weight: Tensor, to_bias: Tensor) -> Tensor:
        x, weight = ctx.saved_tensors
        return torch.bmm(to_x, weight) + torch.baddbmm(to_bias, x, to_weight)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        needs_x, needs_weight, needs_bias = ctx.needs_input_grad
        to_x = to_weight = None
        if needs_x and weight.shape[2] == 1:
            to_x = gradient * weight.transpose(1, 2)
        elif needs_x:
            to_x = torch.bmm(gradient, weight.transpose(1, 2))
        if needs_weight:
            to_weight = torch.bmm(gradient.transpose(1, 2), x).transpose(1, 2).contiguous()
        return to_x, to_weight, gradient.sum(1, keepdim=True) if needs_bias else None


# PyTorch asks for it at every call, and finding it takes longer than a small product
vars(_Narrow.forward)["__signature__"] = inspect.signature(_Narrow.forward)


class Recipe(Protocol):
    """Builds a network for the seeds of an ensemble."""

    def __call__(self, streams: Streams) -> nn.Module: ...


class MLP(nn.Module):
    """A multilayer perceptron for every seed of an ensemble.

    Parameters
    ----------
    recipe
        Sizes, activation and initial values.
    streams
        Source of the initial values; one network a seed.
    """

    def __init__(self, recipe: mlp, streams: Streams) -> None:
        super().__init__()
        self.activation, self.spectral = ACTIVATIONS[recipe.activation], recipe.spectral
        self.input_scale = recipe.input_scale
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for fan_in, fan_out in pairwise(recipe.sizes):
            weight, bias = INITS[recipe.init](streams, fan_in, fan_out)
            self.weights.append(nn.Parameter(recipe.gain * weight.contiguous()))
            self.biases.append(nn.Parameter(bias.clone()))
        if recipe.spectral:
            for layer, weight in enumerate(self.weights):
                u = streams.normal(weight.shape[2], 1)
                self.register_buffer(f"u{layer}", u / u.norm(dim=1, keepdim=True))
                self.register_buffer(f"v{layer}", torch.zeros_like(weight[:, :, :1]))
            self.power_iteration(15)

    def layers(self) -> list[tuple[Tensor, Tensor]]:
        """Weight ``(seeds, in, out)`` and bias ``(seeds, 1, out)`` of each layer, as applied."""
        pairs = list(zip(self.weights, self.biases, strict=True))
        if not self.spectral:
            return pairs
        return [(w / self._sigma(layer), b) for layer, (w, b) in enumerate(pairs)]

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(seeds, batch, in)``, or ``(batch, in)`` for all, to ``(seeds, batch, out)``."""
        *hidden, (weight, bias) = self.layers()
        return _last(self._features(x, hidden), weight, bias)

    def features(self, x: Tensor) -> Tensor:
        """What the last layer sees: ``(seeds, batch, width)``."""
        return self._features(x, self.layers()[:-1])

    def _features(self, x: Tensor, hidden: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        if x.ndim == 2:
            x = x.expand(len(self.weights[0]), -1, -1)
        x = self._scaled(x)
        for weight, bias in hidden:
            x = self.activation.value(torch.baddbmm(bias, x, weight))
        return x

    def _scaled(self, x: Tensor) -> Tensor:
        return x if self.input_scale == 1 else self.input_scale * x

    def perturbed(self, x: Tensor, rate: float, streams: Streams) -> tuple[Tensor, Tensor]:
        """Output and features with dropout at ``rate`` after each hidden layer."""
        *hidden, (weight, bias) = self.layers()
        x = self._scaled(x)
        for w, b in hidden:
            x = self.activation.value(torch.baddbmm(b, x, w))
            keep = streams.uniform(x.shape[1], x.shape[2]) >= rate
            x = x * keep / (1 - rate)
        return _last(x, weight, bias), x

    def input_gradient(self, x: Tensor) -> Tensor:
        """Gradient of the output at ``x``, shape ``(seeds, batch, in)``, for one output.

        The chain rule is written out, ``W_1 s_1 W_2 s_2 ... w``, and so the result is an ordinary
        expression of the parameters: penalties on it need one backward pass and not two. The
        activations' slopes are constant where they are piecewise constant.
        """
        layers = self.layers()
        if layers[-1][0].shape[2] != 1:
            outputs = layers[-1][0].shape[2]
            raise ValueError(f"the network has {outputs} outputs; allowed for a gradient is one")
        piecewise = self.activation.slope is None
        x, slopes = self._scaled(x), []
        with torch.set_grad_enabled(torch.is_grad_enabled() and not piecewise):
            for weight, bias in layers[:-1]:
                u = torch.baddbmm(bias, x, weight)
                slopes.append(self.activation.derivative(u))
                x = self.activation.value(u)
        gradient = layers[-1][0].transpose(1, 2)
        for (weight, _), slope in zip(layers[-2::-1], slopes[::-1], strict=True):
            gradient = torch.bmm(slope * gradient, weight.transpose(1, 2))
        return self._scaled(gradient).expand(x.shape[0], x.shape[1], -1)

    @torch.no_grad()
    def power_iteration(self, steps: int = 1) -> None:
        """Move the singular vectors of every layer on, where weights are normalized."""
        if not self.spectral:
            return
        for layer, weight in enumerate(self.weights):
            u, v = (
                cast(Tensor, getattr(self, f"u{layer}")),
                cast(Tensor, getattr(self, f"v{layer}")),
            )
            for _ in range(steps):
                v.copy_(_normalized(torch.bmm(weight, u)))
                u.copy_(_normalized(torch.bmm(weight.transpose(1, 2), v)))

    def _singular_vectors(self, layer: int) -> tuple[Tensor, Tensor]:
        return self.get_buffer(f"u{layer}"), self.get_buffer(f"v{layer}")

    def _sigma(self, layer: int) -> Tensor:
        u, v = self._singular_vectors(layer)
        return torch.bmm(v.transpose(1, 2).clone(), torch.bmm(self.weights[layer], u.clone()))


def _normalized(x: Tensor) -> Tensor:
    return x / x.norm(dim=1, keepdim=True).clamp_min(1e-12)


@dataclass(frozen=True)
class mlp:  # noqa: N801 - a recipe reads as a function
    """Recipe of an :class:`MLP`: ``mlp(2, 64, 64, 1)`` has two hidden layers of 64 units.

    Parameters
    ----------
    sizes
        Widths from input to output, at least two.
    activation
        A key of :data:`ACTIVATIONS`, applied between layers and not after the last.
    init, gain
        A key of :data:`INITS`, and a factor on the initial weights.
    spectral
        Divide each weight by its largest singular value, estimated by one power iteration an
        update (Miyato et al., 2018).
    input_scale
        A fixed factor on the input, such as 1/4 for data of radius 2 (Nagarajan and Kolter, 2017).

    Raises
    ------
    ValueError
        If fewer than two sizes are given, a size or a factor is not positive or a name is unknown.
    """

    sizes: tuple[int, ...]
    activation: str = "relu"
    init: str = "uniform"
    gain: float = 1.0
    spectral: bool = False
    input_scale: float = 1.0

    def __init__(
        self,
        *sizes: int,
        activation: str = "relu",
        init: str = "uniform",
        gain: float = 1.0,
        spectral: bool = False,
        input_scale: float = 1.0,
    ) -> None:
        if len(sizes) < 2 or min(sizes) < 1:
            raise ValueError(f"sizes is {sizes}; allowed are at least two positive integers")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation is {activation!r}; allowed are {', '.join(ACTIVATIONS)}")
        if init not in INITS:
            raise ValueError(f"init is {init!r}; allowed are {', '.join(INITS)}")
        if not gain > 0:
            raise ValueError(f"gain is {gain}; allowed are positive numbers")
        if not input_scale > 0:
            raise ValueError(f"input_scale is {input_scale}; allowed are positive numbers")
        values = (sizes, activation, init, gain, spectral, input_scale)
        for name, value in zip(self.__dataclass_fields__, values, strict=True):
            object.__setattr__(self, name, value)

    def __call__(self, streams: Streams) -> MLP:
        return MLP(self, streams).to(streams.device)


class Each(nn.Module):
    """Any module, once for every seed of an ensemble; all its parameters are trained.

    The modules' parameters are stacked along a first axis. A module without buffers is applied to
    all seeds at once by ``torch.vmap``; one with buffers (batch normalization, PyTorch's spectral
    normalization) changes its state in place, which vmap cannot, and is applied seed by seed.
    """

    def __init__(self, build: Callable[[], nn.Module], streams: Streams) -> None:
        super().__init__()
        modules = [_built(build, seed) for seed in streams.integers()]
        parameters, buffers = stack_module_state(modules)
        self._names = {_flat(name): name for name in (*parameters, *buffers)}
        for name, values in parameters.items():
            self.register_parameter(_flat(name), nn.Parameter(values.detach()))
        for name, values in buffers.items():
            self.register_buffer(_flat(name), values)
        self.one = [modules[0]]  # in a list: the ensemble's parameters are the stacked ones

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(seeds, batch, in)`` to ``(seeds, batch, out)``."""
        (one,) = self.one
        one.train(self.training)
        parameters = {self._names[k]: p for k, p in self.named_parameters()}
        if not any(True for _ in self.buffers()):
            return torch.vmap(lambda p, x: functional_call(one, p, (x,)))(parameters, x)
        outputs = []
        rows = {name: values.unbind() for name, values in parameters.items()}
        for seed, points in enumerate(x):
            state = {name: values[seed] for name, values in rows.items()}
            state |= {self._names[k]: b[seed] for k, b in self.named_buffers()}
            outputs.append(functional_call(one, state, (points,)))
        return torch.stack(outputs)

    def perturbed(self, x: Tensor, rate: float, streams: Streams) -> tuple[Tensor, Tensor]:
        """Output with dropout of ``rate`` on the input, and the output again as its feature."""
        keep = streams.uniform(x.shape[1], x.shape[2]) >= rate
        output = self(x * keep / (1 - rate))
        return output, output


def _built(build: Callable[[], nn.Module], seed: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        module = build()
    for layer in module.modules():
        if isinstance(layer, _DropoutNd):
            raise ValueError(
                f"build gives a {type(layer).__name__}, whose randomness belongs to no seed; "
                "allowed are modules without dropout (see Consistency for a perturbed critic)"
            )
    return module


def _flat(name: str) -> str:
    return name.replace(".", "__")


@dataclass(frozen=True)
class each:  # noqa: N801 - a recipe reads as a function
    """Recipe that builds any module once a seed: ``each(lambda: nn.Linear(2, 1))``.

    Parameters
    ----------
    build
        Builds one module, with initial values from PyTorch's global generator (which is set for
        each seed and given back). It maps ``(batch, in)`` to ``(batch, out)``.
    """

    build: Callable[[], nn.Module]

    def __call__(self, streams: Streams) -> Each:
        return Each(self.build, streams).to(streams.device)


@dataclass(frozen=True)
class _Pictures:
    """What the small convolutional networks have in common."""

    size: int
    channels: int
    width: int

    def __post_init__(self) -> None:
        if self.size < 4 or self.size % 4:
            raise ValueError(f"size is {self.size}; allowed are the multiples of 4")


@dataclass(frozen=True)
class _Painter(_Pictures):
    latent: int

    def __call__(self) -> nn.Module:
        small, width = self.size // 4, self.width
        return nn.Sequential(
            nn.Linear(self.latent, 2 * width * small**2),
            nn.ReLU(),
            nn.Unflatten(1, (2 * width, small, small)),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, self.channels, 4, 2, 1),
            nn.Tanh(),
            nn.Flatten(),
        )


@dataclass(frozen=True)
class _Judge(_Pictures):
    def __call__(self) -> nn.Module:
        return nn.Sequential(
            nn.Unflatten(1, (self.channels, self.size, self.size)),
            nn.Conv2d(self.channels, self.width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Conv2d(self.width, 2 * self.width, 4, 2, 1),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            nn.Linear(2 * self.width * (self.size // 4) ** 2, 1),
        )


def convolutional_generator(size: int, latent: int, channels: int = 1, width: int = 16) -> each:
    """Recipe of a small transposed-convolution generator of ``size x size`` pictures in [-1, 1].

    Maps ``(seeds, batch, latent)`` to ``(seeds, batch, channels * size**2)``; ``size`` is a
    multiple of 4.
    """
    return each(_Painter(size, channels, width, latent))


def convolutional_critic(size: int, channels: int = 1, width: int = 16) -> each:
    """Recipe of a small strided-convolution critic of ``size x size`` pictures.

    Maps ``(seeds, batch, channels * size**2)`` to ``(seeds, batch, 1)``; ``size`` is a multiple
    of 4.
    """
    return each(_Judge(size, channels, width))


class Shift(nn.Module):
    """The generator ``z -> z + mu`` with one location ``mu`` of shape ``(seeds, 1, dim)``."""

    def __init__(self, mu: Tensor) -> None:
        super().__init__()
        self.mu = nn.Parameter(mu)

    def forward(self, z: Tensor) -> Tensor:
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


class Monomial(nn.Module):
    """``x -> w x^degree`` in each coordinate, one number ``w`` a seed, shape ``(seeds, 1, 1)``."""

    def __init__(self, degree: int, w: Tensor) -> None:
        super().__init__()
        self.degree, self.w = degree, nn.Parameter(w)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(seeds, batch, dim)`` to the same shape."""
        return self.w * x**self.degree

    def input_gradient(self, x: Tensor) -> Tensor:
        """Slope at ``x``, ``(seeds, batch, 1)``, for points on the line."""
        return self.w * self.degree * x ** (self.degree - 1)


@dataclass(frozen=True)
class monomial:  # noqa: N801 - a recipe reads as a function
    """Recipe of a :class:`Monomial` with the same ``start`` for every seed.

    ``monomial(1, phi)`` and ``monomial(2, w)`` are the critics of the Dirac-GAN and of the uniform
    system, ``monomial(1, a)`` is the generator ``z -> a z``.
    """

    degree: int
    start: float

    def __post_init__(self) -> None:
        if self.degree < 1:
            raise ValueError(f"degree is {self.degree}; allowed are integers of at least 1")

    def __call__(self, streams: Streams) -> Monomial:
        w = torch.full((len(streams), 1, 1), float(self.start))
        return Monomial(self.degree, w.to(streams.device))


def input_gradient(net: nn.Module, x: Tensor) -> Tensor:
    """Gradient of the network's output with respect to its input, ``(seeds, batch, in)``.

    The result can be differentiated with respect to the parameters. Networks with a method
    ``input_gradient`` (:class:`MLP`) write it out; all others take automatic differentiation.
    """
    if hasattr(net, "input_gradient"):
        return cast(Callable[[Tensor], Tensor], net.input_gradient)(x)
    with torch.enable_grad():
        if any(True for _ in net.buffers()):  # a state that changes in place, as torch.func forbids
            x = x.detach().requires_grad_(True)
            return torch.autograd.grad(net(x).sum(), x, create_graph=True)[0]
        return torch.func.grad(lambda points: net(points).sum())(x)


def select(net: nn.Module, index: slice | Sequence[int]) -> nn.Module:
    """The networks of some seeds: a view of the same numbers for a slice, else a copy.

    Views are taken of ``.data``, so that each has a version counter of its own: several threads
    may then train views of one ensemble.
    """
    chosen = copy.deepcopy(net)
    rows = index if isinstance(index, slice) else list(index)
    for theirs, ours in zip(net.modules(), chosen.modules(), strict=True):
        for name, parameter in theirs.named_parameters(recurse=False):
            ours.register_parameter(name, nn.Parameter(parameter.data[rows]))
        for name, buffer in theirs.named_buffers(recurse=False):
            ours.register_buffer(name, buffer.data[rows])
    return chosen
