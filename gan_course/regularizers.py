"""What keeps a game in shape: constraints, penalties and foresight.

Each regularizer is a value with hooks into the training loop, all of which do nothing unless
overridden. Penalties are one number a seed, shape ``(seeds,)``, and are added to the loss of the
player named; all means are over the minibatch. Notation: ``D`` is the critic's raw output, ``phi``
its parameters, ``theta`` those of the generator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import torch
from torch import nn
from torch.func import functional_call
from torch.nn.modules.conv import _ConvNd
from torch.nn.utils.parametrizations import spectral_norm

from gan_course.game import Turn
from gan_course.nets import Recipe, each, input_gradient, mlp

__all__ = [
    "DRAGAN",
    "R1",
    "R2",
    "Clipping",
    "CodedDRAGAN",
    "Consensus",
    "Consistency",
    "GradientNorm",
    "GradientPenalty",
    "InstanceNoise",
    "Regularizer",
    "SpectralNorm",
    "Unrolled",
]

Tensor = torch.Tensor


class Regularizer:
    """The hooks of a regularizer; the base class does nothing."""

    def network(self, critic: Recipe) -> Recipe:
        """The recipe of the critic, possibly another parametrization of it."""
        return critic

    def perturb(self, x: Tensor, turn: Turn) -> Tensor:
        """What the critic sees instead of the points ``x``, real or generated."""
        return x

    def critic_penalty(self, turn: Turn) -> Tensor | float:
        """Added to the critic's loss."""
        return 0.0

    def generator_penalty(self, turn: Turn) -> Tensor | float:
        """Added to the generator's loss."""
        return 0.0

    def opponent(
        self, turn: Turn, critic: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], Tensor]:
        """The critic that the generator plays against."""
        return critic

    def project(self, critic: nn.Module) -> None:
        """Restore a constraint after the critic's update."""


# --- constraints on the critic's parameters -------------------------------------------------------


@dataclass(frozen=True)
class Clipping(Regularizer):
    """Weight clipping to ``[-c, c]`` after each update of the critic (Arjovsky et al., 2017)."""

    c: float = 0.01

    def __post_init__(self) -> None:
        _positive(c=self.c)

    @torch.no_grad()
    def project(self, critic: nn.Module) -> None:
        """Clip every weight and bias."""
        for parameter in critic.parameters():
            parameter.clamp_(-self.c, self.c)


@dataclass(frozen=True)
class SpectralNorm(Regularizer):
    """Every weight of the critic divided by its largest singular value (Miyato et al., 2018).

    MLPs estimate it by one power iteration an update for all seeds at once; other modules take
    PyTorch's parametrization of each linear and convolutional layer (kernels reshaped to a
    matrix), with one power iteration a forward pass.
    """

    def network(self, critic: Recipe) -> Recipe:
        """The same network with normalized weights."""
        if isinstance(critic, mlp):
            return mlp(
                *critic.sizes, activation=critic.activation, init=critic.init, gain=critic.gain,
                spectral=True, input_scale=critic.input_scale,
            )  # fmt: skip
        if isinstance(critic, each):
            return replace(critic, build=_Normalized(critic.build))
        raise ValueError(f"critic is {critic!r}; allowed with SpectralNorm are mlp and each")


@dataclass(frozen=True)
class _Normalized:
    build: Callable[[], nn.Module]

    def __call__(self) -> nn.Module:
        module = self.build()
        for layer in list(module.modules()):
            if isinstance(layer, nn.Linear | _ConvNd):
                spectral_norm(layer)
        return module


# --- penalties on the critic's gradient -----------------------------------------------------------


@dataclass(frozen=True)
class GradientPenalty(Regularizer):
    """WGAN-GP (Gulrajani et al., 2017): ``weight E (|grad D(x_hat)| - target)^2``.

    ``x_hat = a x + (1 - a) G(z)`` with ``a`` uniform on [0, 1], for independent pairs of data and
    generated points. With ``one_sided`` only norms above the target are penalized.
    """

    weight: float = 10.0
    target: float = 1.0
    one_sided: bool = False

    def __post_init__(self) -> None:
        _positive(weight=self.weight)

    def points(self, turn: Turn) -> Tensor:
        """Where the gradient is penalized, ``(seeds, batch, dim)``."""
        a = turn.streams.uniform(turn.real.shape[1], 1)
        return a * turn.real + (1 - a) * turn.fake

    def critic_penalty(self, turn: Turn) -> Tensor:
        """The penalty, one a seed."""
        excess = _norms(input_gradient(turn.critic, self.points(turn))) - self.target
        if self.one_sided:
            excess = excess.relu()
        return self.weight * excess.square().mean(1)


@dataclass(frozen=True)
class DRAGAN(GradientPenalty):
    """DRAGAN as published (Kodali et al., 2017): the same penalty at ``x + delta``.

    ``delta ~ N(0, c I)``: the gradient is penalized around the data, wherever the generator is.
    """

    c: float = 1.0

    def __post_init__(self) -> None:
        _positive(weight=self.weight, c=self.c)

    def points(self, turn: Turn) -> Tensor:
        """Data with normal noise of variance ``c``."""
        return turn.real + self.c**0.5 * turn.streams.normal(*turn.real.shape[1:])


@dataclass(frozen=True)
class CodedDRAGAN(GradientPenalty):
    """DRAGAN as its authors coded it: at ``x + a std(X) u / 2``, not at normal noise.

    ``u`` is uniform on [0, 1] in each coordinate, ``a`` uniform on [0, 1] for each point, and
    ``std(X)`` is one number, over all coordinates of the minibatch.
    """

    def points(self, turn: Turn) -> Tensor:
        """Data moved toward one corner, at most half a standard deviation a coordinate."""
        n, d = turn.real.shape[1:]
        spread = turn.real.std((1, 2), correction=0, keepdim=True)
        u, a = turn.streams.uniform(n, d), turn.streams.uniform(n, 1)
        return turn.real + 0.5 * spread * u * a


@dataclass(frozen=True)
class R1(Regularizer):
    """``(gamma / 2) E |grad D(x)|^2`` on data (Mescheder et al., 2018)."""

    gamma: float = 10.0

    def __post_init__(self) -> None:
        _positive(gamma=self.gamma)

    def points(self, turn: Turn) -> Tensor:
        """Where the gradient is penalized."""
        return turn.real

    def critic_penalty(self, turn: Turn) -> Tensor:
        """The penalty, one a seed."""
        gradient = input_gradient(turn.critic, self.points(turn))
        return self.gamma / 2 * gradient.square().sum(2).mean(1)


@dataclass(frozen=True)
class R2(R1):
    """``(gamma / 2) E |grad D(G(z))|^2`` on generated points (Mescheder et al., 2018)."""

    def points(self, turn: Turn) -> Tensor:
        """Where the gradient is penalized."""
        return turn.fake


@dataclass(frozen=True)
class Consistency(Regularizer):
    """The consistency term of CT-GAN (Wei et al., 2018), on data.

    ``weight E max(0, (D(x') - D(x''))^2 + feature_weight |f(x') - f(x'')|^2 - margin)``, where two
    passes with different dropout give ``x'`` and ``x''``, and ``f`` is what the last layer sees
    (its squared difference a mean over units). Only these two passes use dropout.
    """

    weight: float = 2.0
    margin: float = 0.0
    feature_weight: float = 0.1
    dropout: float = 0.5

    def __post_init__(self) -> None:
        _positive(weight=self.weight)
        if not 0 < self.dropout < 1:
            raise ValueError(f"dropout is {self.dropout}; allowed are numbers between 0 and 1")

    def critic_penalty(self, turn: Turn) -> Tensor:
        """The penalty, one a seed."""
        perturbed = getattr(turn.critic, "perturbed", None)
        if perturbed is None:
            raise ValueError(f"critic is a {type(turn.critic).__name__}; allowed are mlp and each")
        (one, f_one), (two, f_two) = (
            perturbed(turn.real, self.dropout, turn.streams) for _ in range(2)
        )
        distance = (one - two).square().mean(2)
        distance = distance + self.feature_weight * (f_one - f_two).square().mean(2)
        return self.weight * (distance - self.margin).relu().mean(1)


@dataclass(frozen=True)
class InstanceNoise(Regularizer):
    """The critic sees data and generated points with noise ``N(0, sigma^2 I)`` added.

    Sonderby et al. (2017), Arjovsky and Bottou (2017). With ``anneal`` the standard deviation
    falls linearly to zero over the training.
    """

    sigma: float = 0.1
    anneal: bool = False

    def __post_init__(self) -> None:
        _positive(sigma=self.sigma)

    def perturb(self, x: Tensor, turn: Turn) -> Tensor:
        """The points with noise."""
        sigma = self.sigma * (1 - turn.progress) if self.anneal else self.sigma
        return x + sigma * turn.streams.normal(*x.shape[1:])


# --- regularizers that look at both players -------------------------------------------------------


@dataclass(frozen=True)
class GradientNorm(Regularizer):
    """Foresight (Nagarajan and Kolter, 2017): the generator also descends ``eta |grad_phi V|^2``.

    ``V`` is minus the critic's loss, on the generator's minibatch and a fresh one of data.
    """

    eta: float = 0.5

    def __post_init__(self) -> None:
        _positive(eta=self.eta)

    def generator_penalty(self, turn: Turn) -> Tensor:
        """``eta`` times the squared norm, one a seed."""
        return self.eta * _squared_gradient(
            turn.critic_loss(turn.critic, turn.live_fake), turn.critic.parameters()
        )


@dataclass(frozen=True)
class Consensus(Regularizer):
    """Consensus optimization (Mescheder et al., 2017): both descend ``(gamma / 2) |v|^2``.

    ``v`` is the pair of gradients of the two losses, other penalties left out.
    """

    gamma: float = 10.0

    def __post_init__(self) -> None:
        _positive(gamma=self.gamma)

    def critic_penalty(self, turn: Turn) -> Tensor:
        """Half ``gamma`` times the squared norm of both gradients, one a seed."""
        critic_loss = turn.critic_loss(turn.critic, turn.live_fake)
        generator_loss = turn.game.loss.generator(turn.critic(turn.live_fake))
        norm = _squared_gradient(critic_loss, turn.critic.parameters())
        norm = norm + _squared_gradient(generator_loss, turn.generator.parameters())
        return self.gamma / 2 * norm

    def generator_penalty(self, turn: Turn) -> Tensor:
        """The same number."""
        return self.critic_penalty(turn)


@dataclass(frozen=True)
class Unrolled(Regularizer):
    """Unrolled GAN (Metz et al., 2017): the generator faces the critic of ``steps`` steps ahead.

    The steps are gradient steps of size ``lr`` on one minibatch of data and the generator's own
    points, and the generator's gradient runs through them, also in what the critic says of the
    data: in a zero-sum game the generator descends the whole value ``V`` at the later critic, and
    losses that are not zero-sum get the same term by convention. The critic's own updates are not
    changed. The recorded generator loss then differs from the loss by a constant.
    """

    steps: int = 5
    lr: float = 0.1

    def __post_init__(self) -> None:
        _positive(steps=self.steps, lr=self.lr)

    def opponent(
        self, turn: Turn, critic: Callable[[Tensor], Tensor]
    ) -> Callable[[Tensor], Tensor]:
        """The critic after its next steps, as a function of the generator."""
        names = [name for name, _ in turn.critic.named_parameters()]
        values: list[Tensor] = list(turn.critic.parameters())

        def with_values(x: Tensor) -> Tensor:
            state = dict(zip(names, values, strict=True))
            return functional_call(turn.critic, state, (x,))

        for _ in range(self.steps):
            loss = turn.critic_loss(with_values, turn.live_fake).sum()
            gradients = torch.autograd.grad(loss, values, create_graph=True)
            values = [v - self.lr * g for v, g in zip(values, gradients, strict=True)]
        return with_values


def _norms(gradient: Tensor) -> Tensor:
    """Euclidean norms ``(seeds, batch)``, with gradient zero at zero."""
    return gradient.norm(dim=2)


def _squared_gradient(loss: Tensor, parameters: Iterable[nn.Parameter]) -> Tensor:
    """Squared norm of the gradient of each seed's loss, shape ``(seeds,)``, differentiable."""
    gradients = torch.autograd.grad(
        loss.sum(), list(parameters), create_graph=True, materialize_grads=True
    )
    return torch.stack([g.flatten(1).square().sum(1) for g in gradients]).sum(0)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} is {value}; allowed are positive numbers")
