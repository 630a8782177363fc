"""Regularizers against plain loops over samples, closed forms and finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, softplus
from torch.nn.utils.parametrizations import spectral_norm

from gan_course import losses, nets
from gan_course.data import Normal
from gan_course.game import Game, Turn
from gan_course.random import Role, Streams
from gan_course.regularizers import (
    DRAGAN,
    R1,
    R2,
    Clipping,
    CodedDRAGAN,
    Consensus,
    Consistency,
    GradientNorm,
    GradientPenalty,
    InstanceNoise,
    Regularizer,
    SpectralNorm,
    Unrolled,
)
from gan_course.train import SGD, Adam, train

SEEDS = [3, 8]
N = 5
PLAIN: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh, "silu": nn.SiLU}


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """Float64, in which finite differences of a step 1e-6 have about nine digits."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def turn_of(
    game: Game,
    generator: nn.Module | None = None,
    critic: nn.Module | None = None,
    *,
    seeds: Sequence[int] = SEEDS,
    n: int = N,
    progress: float = 0.0,
) -> Turn:
    """A moment of the game; equal arguments give equal minibatches and equal draws."""
    start = Streams(seeds, role=Role.INIT)
    data, noise = Streams(seeds, role=Role.DATA), Streams(seeds, role=Role.NOISE)
    generator, recipe = generator or game.generator(start), game.critic
    for regularizer in game.active:
        recipe = regularizer.network(recipe)
    critic = critic or recipe(start)
    dim = generator(game.noise.sample(1, Streams(seeds))).shape[2]
    return Turn(
        game, generator, critic, lambda: Normal(1.0, dim=dim).sample(n, data),
        lambda: game.noise.sample(n, noise), Streams(seeds, role=Role.PENALTY), progress,
    )  # fmt: skip


# --- a reference for one seed: plain modules, automatic differentiation, loops over samples -------


@dataclass
class One:
    """One seed of a turn in plain PyTorch."""

    loss: losses.Loss
    generator: nn.Sequential
    critic: nn.Sequential
    real: Tensor
    z: Tensor
    draws: Streams

    def value(self, critic: Callable[[Tensor], Tensor], fake: Tensor) -> Tensor:
        """``V`` of the minimax or of the Wasserstein game."""
        f = logsigmoid if self.loss is losses.minimax else (lambda t: t)
        return f(critic(self.real)).mean() + f(-critic(fake)).mean()

    def slope(self, x: Tensor) -> Tensor:
        """Gradient of the critic at one point."""
        x = x.detach().requires_grad_()
        return torch.autograd.grad(self.critic(x[None]).sum(), x, create_graph=True)[0]


def mean(values: Sequence[Tensor]) -> Tensor:
    return sum(values, torch.zeros(())) / len(values)


def gradient_penalty(
    one: One, points: Sequence[Tensor], weight: float = 10.0, sided: bool = False
) -> Tensor:
    excess = [one.slope(x).norm() - 1 for x in points]
    return weight * mean([e.clamp_min(0) ** 2 if sided else e**2 for e in excess])


def between(one: One, **arguments: float) -> Tensor:
    a, fake = one.draws.uniform(N, 1)[0, :, 0], one.generator(one.z).detach()
    points = [a[k] * one.real[k] + (1 - a[k]) * fake[k] for k in range(N)]
    return gradient_penalty(one, points, **arguments)  # type: ignore[arg-type]


def around(one: One, variance: float) -> Tensor:
    delta = one.draws.normal(N, 2)[0]
    return gradient_penalty(one, [one.real[k] + math.sqrt(variance) * delta[k] for k in range(N)])


def around_as_coded(one: One) -> Tensor:
    """With the standard deviation of NumPy, as in the authors' code: divided by the count."""
    u, a = one.draws.uniform(N, 2)[0], one.draws.uniform(N, 1)[0]
    std = float((one.real - one.real.mean()).square().mean().sqrt())
    moved = [one.real[k] + 0.5 * std * u[k] for k in range(N)]
    return gradient_penalty(
        one, [one.real[k] + a[k, 0] * (moved[k] - one.real[k]) for k in range(N)]
    )


def squared_slope(one: One, gamma: float, fake: bool) -> Tensor:
    points = one.generator(one.z).detach() if fake else one.real
    return gamma / 2 * mean([(one.slope(x) ** 2).sum() for x in points])


def consistency(one: One, weight: float, margin: float, share: float, rate: float) -> Tensor:
    *hidden, last = list(one.critic)

    def dropped() -> list[tuple[Tensor, Tensor]]:
        masks = [
            one.draws.uniform(N, layer.out_features)[0] >= rate
            for layer in hidden
            if isinstance(layer, nn.Linear)
        ]
        passes = []
        for k, x in enumerate(one.real):
            left = iter(masks)
            for linear, activation in zip(hidden[::2], hidden[1::2], strict=True):
                x = activation(linear(x)) * next(left)[k] / (1 - rate)
            passes.append((last(x), x))
        return passes

    terms = []
    for (d, f), (e, g) in zip(dropped(), dropped(), strict=True):
        distance = (d - e).square().sum() + share * mean(list((f - g).square()))
        terms.append(weight * (distance - margin).clamp_min(0))
    return mean(terms)


def squared_gradient(value: Tensor, parameters: Iterator[nn.Parameter]) -> Tensor:
    parts = torch.autograd.grad(value, list(parameters), create_graph=True)
    return sum((p.square().sum() for p in parts), torch.zeros(()))


def gradient_norm(one: One, eta: float) -> Tensor:
    value = one.value(one.critic, one.generator(one.z))
    return eta * squared_gradient(value, one.critic.parameters())


def consensus(one: One, gamma: float) -> Tensor:
    value = one.value(one.critic, one.generator(one.z))
    players = [one.critic.parameters(), one.generator.parameters()]
    return gamma / 2 * sum((squared_gradient(value, p) for p in players), torch.zeros(()))


ON_THE_CRITIC: dict[str, tuple[Regularizer, Callable[[One], Tensor]]] = {
    "gradient penalty": (GradientPenalty(10.0), between),
    "weight": (GradientPenalty(0.1), partial(between, weight=0.1)),
    "one-sided": (GradientPenalty(10.0, one_sided=True), partial(between, sided=True)),
    "DRAGAN": (DRAGAN(c=0.3), partial(around, variance=0.3)),
    "DRAGAN as coded": (CodedDRAGAN(), around_as_coded),
    "R1": (R1(3.0), partial(squared_slope, gamma=3.0, fake=False)),
    "R2": (R2(3.0), partial(squared_slope, gamma=3.0, fake=True)),
    "consistency": (
        Consistency(2.0, 0.0, 0.1, 0.4),
        partial(consistency, weight=2.0, margin=0.0, share=0.1, rate=0.4),
    ),
    "consistency with a margin": (
        Consistency(2.0, 0.02, 3.0, 0.4),
        partial(consistency, weight=2.0, margin=0.02, share=3.0, rate=0.4),
    ),
    "consensus": (Consensus(4.0), partial(consensus, gamma=4.0)),
}
ON_THE_GENERATOR: dict[str, tuple[Regularizer, Callable[[One], Tensor]]] = {
    "gradient norm": (GradientNorm(0.7), partial(gradient_norm, eta=0.7)),
    "consensus": (Consensus(4.0), partial(consensus, gamma=4.0)),
}


def game_of(
    regularizers: Regularizer | Sequence[Regularizer] = (),
    loss: losses.Loss = losses.minimax,
    activation: str = "tanh",
    spread: float = 3.0,
) -> Game:
    """A game in the plane; ``spread`` makes slopes of the critic lie on both sides of 1."""
    return Game(
        nets.mlp(3, 4, 2, activation=activation),
        nets.mlp(2, 6, 4, 1, activation=activation, gain=spread),
        loss, Normal(dim=3), regularizers,
    )  # fmt: skip


def plain(net: nn.Module, seed: int, activation: str) -> nn.Sequential:
    """One seed's network in plain PyTorch."""
    assert isinstance(net, nets.MLP)
    layers: list[nn.Module] = []
    for w, b in zip(net.weights, net.biases, strict=True):
        linear = nn.Linear(*w.shape[1:])
        linear.weight.data, linear.bias.data = w[seed].T.clone(), b[seed, 0].clone()
        layers += [linear, PLAIN[activation]()]
    return nn.Sequential(*layers[:-1])


def one_of(turn: Turn, i: int, activation: str) -> One:
    seeds, loss = turn.streams.seeds, turn.game.loss
    return One(
        loss, plain(turn.generator, i, activation), plain(turn.critic, i, activation),
        turn.real[i], turn.noise[i], Streams([seeds[i]], role=Role.PENALTY),
    )  # fmt: skip


def gradients_of(value: Tensor, net: nn.Module) -> list[Tensor]:
    return list(
        torch.autograd.grad(
            value, list(net.parameters()), retain_graph=True, materialize_grads=True
        )
    )


def in_layers(net: nn.Module, values: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of an MLP in the order of plain layers, and their weights transposed."""
    count = len(values) // 2
    pairs = zip(values[:count], values[count:], strict=True)
    return [t for w, b in pairs for t in (w.transpose(1, 2), b[:, 0])]


def assert_same_gradients(turn: Turn, penalty: Tensor, i: int, one: One, reference: Tensor) -> None:
    pairs = [(turn.critic, one.critic), (turn.generator, one.generator)]
    for ours, theirs in pairs:
        found = in_layers(ours, gradients_of(penalty.sum(), ours))
        expected = gradients_of(reference, theirs)
        for a, b in zip(found, expected, strict=True):
            assert torch.allclose(a[i], b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ON_THE_CRITIC)
@pytest.mark.parametrize("activation", PLAIN)
def test_critic_penalty_is_the_plain_loop(activation: str, name: str) -> None:
    """Values and gradients with respect to all parameters, of both players."""
    regularizer, reference = ON_THE_CRITIC[name]
    turn = turn_of(game_of(regularizer, activation=activation))
    penalty = regularizer.critic_penalty(turn)
    assert isinstance(penalty, Tensor)
    assert penalty.shape == (2,)
    assert penalty.min() > 0
    for i in range(2):
        one = one_of(turn, i, activation)
        expected = reference(one)
        assert torch.allclose(penalty[i], expected, rtol=1e-10)
        assert_same_gradients(turn, penalty, i, one, expected)


@pytest.mark.parametrize("name", ON_THE_GENERATOR)
@pytest.mark.parametrize("loss", [losses.minimax, losses.wasserstein], ids=lambda x: x.name)
@pytest.mark.parametrize("activation", PLAIN)
def test_generator_penalty_is_the_plain_loop(activation: str, loss: losses.Loss, name: str) -> None:
    regularizer, reference = ON_THE_GENERATOR[name]
    turn = turn_of(game_of(regularizer, loss, activation))
    penalty = regularizer.generator_penalty(turn)
    assert isinstance(penalty, Tensor)
    assert penalty.shape == (2,)
    for i in range(2):
        one = one_of(turn, i, activation)
        expected = reference(one)
        assert torch.allclose(penalty[i], expected, rtol=1e-10)
        assert_same_gradients(turn, penalty, i, one, expected)


def test_consensus_takes_each_players_own_loss() -> None:
    """In the non-saturating game the generator's gradient is not that of ``-V``."""
    turn = turn_of(game_of(Consensus(4.0), losses.non_saturating))
    penalty = Consensus(4.0).critic_penalty(turn)
    for i in range(2):
        one = one_of(turn, i, "tanh")
        value = one.value(one.critic, one.generator(one.z))
        own = softplus(-one.critic(one.generator(one.z))).mean()
        norm = squared_gradient(
            logsigmoid(one.critic(one.real)).mean()
            + logsigmoid(-one.critic(one.generator(one.z))).mean(),
            one.critic.parameters(),
        ) + squared_gradient(own, one.generator.parameters())
        assert not torch.allclose(value, own)
        assert torch.allclose(penalty[i], 2 * norm, rtol=1e-10)


# --- unrolling ------------------------------------------------------------------------------------


def unrolled(one: One, steps: int, lr: float) -> Tensor:
    """``V`` at the critic that ``steps`` gradient steps lead to (Metz et al., 2017, eq. 7)."""
    values: list[Tensor] = list(one.critic.parameters())
    shapes = [m for m in one.critic if not isinstance(m, nn.Linear)]

    def critic(x: Tensor) -> Tensor:
        pairs = list(zip(values[::2], values[1::2], strict=True))
        for (w, b), activation in zip(pairs, [*shapes, nn.Identity()], strict=True):
            x = activation(x @ w.T + b)
        return x

    fake = one.generator(one.z)
    for _ in range(steps):
        ascent = torch.autograd.grad(one.value(critic, fake), values, create_graph=True)
        values = [v + lr * g for v, g in zip(values, ascent, strict=True)]
    return one.value(critic, fake)


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("loss", [losses.minimax, losses.wasserstein], ids=lambda x: x.name)
@pytest.mark.parametrize("activation", PLAIN)
def test_unrolled_is_the_plain_loop(activation: str, loss: losses.Loss, steps: int) -> None:
    """The generator's gradient is that of ``V``: the data's part moves with the critic ahead."""
    turn = turn_of(game_of(Unrolled(steps, 0.2), loss, activation))
    found = in_layers(
        turn.generator, gradients_of(turn.generator_objective().sum(), turn.generator)
    )
    for i in range(2):
        one = one_of(turn, i, activation)
        expected = gradients_of(unrolled(one, steps, 0.2), one.generator)
        for a, b in zip(found, expected, strict=True):
            assert torch.allclose(a[i], b, rtol=1e-9, atol=1e-12)


def test_one_step_ahead_is_foresight_to_first_order() -> None:
    """``V(phi + h grad V) = V + h |grad V|^2 + O(h^2)`` (Nagarajan and Kolter, 2017, section 4)."""

    def gradient(*regularizers: Regularizer) -> Tensor:
        turn = turn_of(game_of(regularizers))
        parts = gradients_of(turn.generator_objective().sum(), turn.generator)
        return torch.cat([p.flatten() for p in parts])

    plain_gradient = gradient()
    foresight = gradient(GradientNorm(1.0)) - plain_gradient
    errors = []
    for h in (1e-2, 1e-3):
        ahead = (gradient(Unrolled(1, h)) - plain_gradient) / h
        errors.append(((ahead - foresight).norm() / foresight.norm()).item())
    assert errors[1] < 2e-3
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.2)


def test_unrolling_leaves_the_critic_alone() -> None:
    for critic in (nets.mlp(2, 4, 1), nets.each(lambda: nn.Linear(2, 1))):
        game = replace(game_of(Unrolled(2, 0.5)), critic=critic)
        turn = turn_of(game)
        before = [p.detach().clone() for p in turn.critic.parameters()]
        without = turn_of(replace(game, regularizers=()), turn.generator, turn.critic)
        turn.generator_objective().sum().backward()
        after = list(turn.critic.parameters())
        assert all(isinstance(p, nn.Parameter) for p in after)
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert torch.equal(turn.critic_objective(), without.critic_objective())


# --- finite differences ---------------------------------------------------------------------------


def objective(player: str, turn: Turn) -> Tensor:
    return turn.critic_objective() if player == "critic" else turn.generator_objective()


def assert_finite_differences(
    game: Game, player: str, generator: nn.Module, critic: nn.Module
) -> None:
    """Derivatives of a player's objective along random directions of its own parameters."""

    def value() -> Tensor:
        return objective(player, turn_of(game, generator, critic, progress=0.25))

    net, h = critic if player == "critic" else generator, 1e-6
    parameters = list(net.parameters())
    gradients = gradients_of(value().sum(), net)
    for _ in range(2):
        direction = [torch.randn_like(p) for p in parameters]
        ends = []
        for sign in (1, -2, 1):  # there, back beyond the start, and home
            for p, d in zip(parameters, direction, strict=True):
                p.data.add_(sign * h * d)
            ends.append(value().detach())
        expected = sum((g * d).flatten(1).sum(1) for g, d in zip(gradients, direction, strict=True))
        assert isinstance(expected, Tensor)
        assert expected.abs().min() > 1e-4
        assert torch.allclose((ends[0] - ends[1]) / (2 * h), expected, rtol=1e-5, atol=1e-7)


STUDIED: list[Regularizer] = [
    GradientPenalty(), GradientPenalty(one_sided=True), DRAGAN(), CodedDRAGAN(), R1(), R2(),
    Consistency(), InstanceNoise(0.3, anneal=True), GradientNorm(), Consensus(), Unrolled(2, 0.2),
    SpectralNorm(),
]  # fmt: skip


@pytest.mark.parametrize("player", ["critic", "generator"])
@pytest.mark.parametrize("regularizer", STUDIED, ids=repr)
@pytest.mark.parametrize("activation", PLAIN)
def test_objectives_against_finite_differences(
    activation: str, regularizer: Regularizer, player: str
) -> None:
    game = game_of(regularizer, losses.non_saturating, activation)
    turn = turn_of(game)
    assert_finite_differences(game, player, turn.generator, turn.critic)


def picture_critic() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 4)), nn.Conv2d(1, 2, 3, 2, 1), nn.Tanh(), nn.Flatten(),
        nn.Linear(8, 1),
    )  # fmt: skip


@pytest.mark.parametrize("player", ["critic", "generator"])
@pytest.mark.parametrize(
    "regularizer", [r for r in STUDIED if not isinstance(r, SpectralNorm)], ids=repr
)
def test_any_module_against_finite_differences(regularizer: Regularizer, player: str) -> None:
    game = Game(
        nets.each(lambda: nn.Sequential(nn.Linear(3, 16), nn.Tanh())),
        nets.each(picture_critic), losses.minimax, Normal(dim=3), regularizer,
    )  # fmt: skip
    turn = turn_of(game)
    for p in turn.critic.parameters():
        p.data.mul_(3)
    assert_finite_differences(game, player, turn.generator, turn.critic)


@pytest.mark.parametrize("activation", PLAIN)
@pytest.mark.parametrize(
    "regularizer", [r for r in STUDIED if not isinstance(r, Consistency | SpectralNorm)], ids=repr
)
def test_written_out_and_automatic_gradients_agree(
    regularizer: Regularizer, activation: str
) -> None:
    """The same critic as an MLP and as a stack of any modules: two ways to the same numbers."""
    game = game_of(regularizer, activation=activation)
    turn = turn_of(game)
    ones = [plain(turn.critic, i, activation) for i in range(2)]
    stack = nets.each(lambda: ones[0])(Streams(SEEDS))
    for name, stacked in stack.named_parameters():
        values = [dict(one.named_parameters())[name.replace("__", ".")] for one in ones]
        stacked.data = torch.stack([v.detach() for v in values])
    other = turn_of(game, turn.generator, stack)
    for player in ("critic", "generator"):
        first, second = objective(player, turn), objective(player, other)
        assert torch.allclose(first, second, rtol=1e-12)
    ours = in_layers(turn.critic, gradients_of(turn.critic_objective().sum(), turn.critic))
    theirs = gradients_of(other.critic_objective().sum(), stack)
    if not isinstance(regularizer, GradientPenalty | InstanceNoise):  # these draw a second time
        for a, b in zip(ours, theirs, strict=True):
            assert torch.allclose(a, b, rtol=1e-9, atol=1e-12)


# --- closed forms ---------------------------------------------------------------------------------


def linear_turn(regularizer: Regularizer, weight: Sequence[float], dim: int = 2) -> Turn:
    """The critic ``D(x) = w.x + 0.3``, the same for both seeds, and a location as generator."""
    game = Game(
        nets.shift(-0.5, dim=dim), nets.mlp(dim, 1), losses.wasserstein, Normal(dim=dim),
        regularizer,
    )  # fmt: skip
    turn = turn_of(game)
    w, b = turn.critic.parameters()
    w.data.copy_(torch.tensor(weight).reshape(1, dim, 1))
    b.data.fill_(0.3)
    return turn


@pytest.mark.parametrize(
    ("regularizer", "value", "slope"),
    [
        (GradientPenalty(10.0), 160.0, 80.0),  # |w| = 5: 10 (5 - 1)^2, along w 20 (5 - 1)
        (GradientPenalty(0.1, target=2.0), 0.9, 0.6),
        (GradientPenalty(10.0, target=6.0), 10.0, -20.0),
        (GradientPenalty(10.0, one_sided=True), 160.0, 80.0),
        (GradientPenalty(10.0, target=6.0, one_sided=True), 0.0, 0.0),
        (DRAGAN(10.0, c=3.0), 160.0, 80.0),
        (CodedDRAGAN(10.0), 160.0, 80.0),
        (R1(3.0), 37.5, 15.0),
        (R2(3.0), 37.5, 15.0),
    ],
    ids=repr,
)
def test_penalties_of_a_linear_critic(regularizer: Regularizer, value: float, slope: float) -> None:
    turn = linear_turn(regularizer, [3.0, -4.0])
    penalty = regularizer.critic_penalty(turn)
    assert isinstance(penalty, Tensor)
    assert penalty.tolist() == pytest.approx([value] * 2)
    on_weight, on_bias = gradients_of(penalty.sum(), turn.critic)
    expected = slope * torch.tensor([0.6, -0.8]).reshape(1, 2, 1)
    assert torch.allclose(on_weight, expected.expand(2, 2, 1))
    assert on_bias.count_nonzero() == 0


def test_penalty_where_the_critic_is_flat() -> None:
    """``(0 - 1)^2`` with gradient zero, as for the norm at zero, not NaN."""
    turn = linear_turn(GradientPenalty(10.0), [0.0, 0.0])
    penalty = GradientPenalty(10.0).critic_penalty(turn)
    assert penalty.tolist() == [10.0, 10.0]
    assert all(g.count_nonzero() == 0 for g in gradients_of(penalty.sum(), turn.critic))


class _Quadratic(nn.Module):
    """The critic ``x'Ax / 2``, whose gradient at ``x`` is ``Ax``."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor([[2.0, 1.0], [1.0, -3.0]]))

    def forward(self, x: Tensor) -> Tensor:
        return ((x @ self.a) * x).sum(1, keepdim=True) / 2


def test_penalties_of_a_quadratic_critic() -> None:
    game = Game(
        nets.shift(0.5, dim=2), nets.each(_Quadratic), losses.wasserstein, Normal(dim=2), R1(3.0)
    )
    turn, a = turn_of(game), _Quadratic().a
    for regularizer, points in ((R1(3.0), turn.real), (R2(3.0), turn.fake)):
        expected = 1.5 * (points @ a).square().sum(2).mean(1)
        assert torch.allclose(regularizer.critic_penalty(turn), expected)
    share = Streams(SEEDS, role=Role.PENALTY).uniform(N, 1)
    norms = ((share * turn.real + (1 - share) * turn.fake) @ a).norm(dim=2)
    expected = 10 * (norms - 1).square().mean(1)
    assert torch.allclose(GradientPenalty().critic_penalty(turn), expected)


def test_where_gradients_are_penalized() -> None:
    turn = turn_of(game_of(), n=4000)
    real, fake = turn.real, turn.fake
    across = GradientPenalty().points(turn)
    share = ((across - fake) / (real - fake))[..., 0]
    assert torch.allclose(across, fake + share[..., None] * (real - fake))  # one share a pair
    assert 0 <= share.min() < 0.01 < 0.99 < share.max() <= 1
    delta = DRAGAN(c=4.0).points(turn) - real
    assert delta.std((1, 2)).tolist() == pytest.approx([2.0] * 2, rel=0.05)
    assert delta.mean((1, 2)).abs().max() < 0.1
    moved = (CodedDRAGAN().points(turn) - real) / real.std((1, 2), keepdim=True)
    assert 0 <= moved.min() < 1e-3
    assert 0.45 < moved.max() <= 0.5
    assert moved.mean().item() == pytest.approx(1 / 8, rel=0.05)
    assert not torch.allclose(moved[..., 0], moved[..., 1])


def dirac(loss: losses.Loss, regularizer: Regularizer, n: int = 4) -> tuple[Turn, Tensor, Tensor]:
    """``G(z) = z + mu``, ``D(x) = w x + b``; also the minibatches of data and of noise."""
    turn = turn_of(Game(nets.shift(0.4), nets.mlp(1, 1), loss, Normal(), regularizer), n=n)
    return turn, turn.real[..., 0], turn.noise[..., 0]


def numbers(turn: Turn) -> tuple[Tensor, Tensor, Tensor]:
    mu, (w, b) = next(turn.generator.parameters()), turn.critic.parameters()
    return mu.detach().flatten(), w.detach().flatten(), b.detach().flatten()


def test_foresight_on_a_linear_game() -> None:
    """WGAN: ``grad_phi V = (mean x - mean G(z), 0)``, whatever the critic."""
    turn, x, z = dirac(losses.wasserstein, GradientNorm(0.7))
    mu, w, _ = numbers(turn)
    gap = x.mean(1) - z.mean(1) - mu
    penalty = GradientNorm(0.7).generator_penalty(turn)
    assert torch.allclose(penalty, 0.7 * gap**2)
    (pull,) = gradients_of(turn.generator_objective().sum(), turn.generator)
    assert torch.allclose(pull.flatten(), -w - 1.4 * gap)


def test_consensus_on_a_linear_game() -> None:
    turn, x, z = dirac(losses.wasserstein, Consensus(3.0))
    mu, w, _ = numbers(turn)
    gap = x.mean(1) - z.mean(1) - mu
    for penalty in (Consensus(3.0).critic_penalty(turn), Consensus(3.0).generator_penalty(turn)):
        assert torch.allclose(penalty, 1.5 * (gap**2 + w**2))
    on_w, _ = gradients_of(turn.critic_objective().sum(), turn.critic)
    (on_mu,) = gradients_of(turn.generator_objective().sum(), turn.generator)
    assert torch.allclose(on_w.flatten(), -gap + 3 * w)
    assert torch.allclose(on_mu.flatten(), -w - 3 * gap)


def test_both_gradients_on_a_logistic_game() -> None:
    """By hand for ``f = logsigmoid``: errors of the critic, times what each parameter sees."""
    turn, x, z = dirac(losses.minimax, ())
    mu, w, b = (t[:, None] for t in numbers(turn))
    fake = z + mu
    missed, fooled = torch.sigmoid(-w * x - b), torch.sigmoid(w * fake + b)
    on_w = (missed * x).mean(1) - (fooled * fake).mean(1)
    on_b = missed.mean(1) - fooled.mean(1)
    on_mu = -fooled.mean(1) * w[:, 0]
    assert torch.allclose(GradientNorm(0.7).generator_penalty(turn), 0.7 * (on_w**2 + on_b**2))
    total = on_w**2 + on_b**2 + on_mu**2
    assert torch.allclose(Consensus(3.0).critic_penalty(turn), 1.5 * total)


@pytest.mark.parametrize("steps", [1, 4])
def test_unrolling_a_linear_game(steps: int) -> None:
    """``w_K = w + K h gap``, so ``V(w_K) = w gap + K h gap^2``, at rest where the means agree."""
    turn, x, z = dirac(losses.wasserstein, Unrolled(steps, 0.3))
    mu, w, _ = numbers(turn)
    gap = x.mean(1) - z.mean(1) - mu
    (pull,) = gradients_of(turn.generator_objective().sum(), turn.generator)
    assert torch.allclose(pull.flatten(), -w - 2 * steps * 0.3 * gap)


# --- noise ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("anneal", "sigma"), [(False, 0.4), (True, 0.3)])
def test_instance_noise(anneal: bool, sigma: float) -> None:
    """On data and on generated points, each its own; annealed linearly with the progress."""
    game = game_of(InstanceNoise(0.4, anneal=anneal))
    turn, clean = turn_of(game, progress=0.25), turn_of(game_of())
    draws = Streams(SEEDS, role=Role.PENALTY)
    for noisy, points in ((turn.real, clean.real), (turn.fake, clean.fake)):
        assert torch.allclose(noisy, points + sigma * draws.normal(N, 2))
    live = clean.live_fake + sigma * draws.normal(N, 2)
    assert torch.allclose(turn.live_fake, live)
    value = game.loss.generator(turn.critic(live)).sum()
    expected = gradients_of(value, clean.generator)
    found = gradients_of(turn.generator_objective().sum(), turn.generator)
    assert all(torch.allclose(a, b) for a, b in zip(found, expected, strict=True))


def test_annealed_noise_ends_at_zero() -> None:
    game = game_of(InstanceNoise(0.4, anneal=True))
    assert torch.equal(turn_of(game, progress=1.0).real, turn_of(game_of()).real)


# --- constraints ----------------------------------------------------------------------------------


def test_clipping() -> None:
    """Weights and biases, to the box and no further, after each update of the critic."""
    net = nets.mlp(2, 4, 3)(Streams(SEEDS))
    before = [p.detach().clone() for p in net.parameters()]
    Clipping(0.2).project(net)
    for now, then in zip(net.parameters(), before, strict=True):
        assert torch.equal(now, then.clamp(-0.2, 0.2))
    assert all((then.abs() > 0.2).any() for then in before)
    game = replace(game_of(Clipping(0.05), losses.wasserstein))
    run = train(game, Normal(dim=2), seeds=SEEDS, steps=3, batch=8, optimizer=Adam(0.03))
    largest = max(p.abs().max().item() for p in run.critic.parameters())
    assert largest == 0.05
    assert max(p.abs().max().item() for p in run.generator.parameters()) > 0.05


def spectral(*sizes: int, seeds: Sequence[int] = SEEDS) -> nets.MLP:
    recipe = SpectralNorm().network(nets.mlp(*sizes, gain=3.0))
    net = recipe(Streams(seeds))
    assert isinstance(net, nets.MLP)
    return net


def test_spectral_norm_is_the_largest_singular_value() -> None:
    net = spectral(5, 7, 4, 1)
    net.power_iteration(300)
    for layer, (weight, _) in enumerate(net.layers()):
        norm = torch.linalg.matrix_norm(net.weights[layer], ord=2)
        assert torch.allclose(weight, net.weights[layer] / norm[:, None, None], rtol=1e-9)
    x, y = 3 * torch.randn(2, 2, 500, 5)
    slopes = (net(x) - net(y)).norm(dim=2) / (x - y).norm(dim=2)
    assert slopes.max() <= 1 + 1e-9
    assert net.input_gradient(x).norm(dim=2).max() <= 1 + 1e-9


def test_power_iteration_comes_from_below() -> None:
    """An estimate by unit vectors never exceeds the norm; each step brings it nearer."""
    net = spectral(30, 40, 1)
    norm = torch.linalg.matrix_norm(net.weights[0], ord=2)
    estimates = []
    for _ in range(10):
        estimates.append((net.weights[0] / net.layers()[0][0])[:, 0, 0] / norm)
        net.power_iteration()
    assert all((b > a).all() for a, b in pairwise(estimates))
    assert estimates[-1].max() <= 1 + 1e-12
    assert estimates[0].min() > 0.9  # after the fifteen steps of the start


def test_spectral_norm_is_that_of_pytorch() -> None:
    """Same weights and vectors: same normalized weight, gradient, and next vectors."""
    net = spectral(5, 3)
    layers = []
    for i in range(2):
        layer = nn.Linear(3, 5)  # ours holds weights as (in, out), PyTorch as (out, in)
        layer.weight.data = net.weights[0][i].detach().clone()
        spectral_norm(layer)
        vectors = layer.parametrizations.weight[0]
        vectors._u.copy_(net.get_buffer("v0")[i, :, 0])
        vectors._v.copy_(net.get_buffer("u0")[i, :, 0])
        layers.append(layer)
    for _ in range(3):
        weight = net.layers()[0][0]
        (gradient,) = torch.autograd.grad(weight.tanh().sum(), net.weights[0])
        for i, layer in enumerate(layers):
            reference = layer.eval().weight
            (expected,) = torch.autograd.grad(
                reference.tanh().sum(), layer.parametrizations.weight.original
            )
            assert torch.allclose(weight[i], reference)
            assert torch.allclose(gradient[i], expected)
            layer.train().weight  # noqa: B018 - reading it in training iterates once
        net.power_iteration()


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_one_power_iteration_an_update_of_the_critic(critic_steps: int) -> None:
    game = game_of(SpectralNorm())
    run = train(
        game, Normal(dim=2), seeds=SEEDS, steps=2, batch=4, critic_steps=critic_steps,
        optimizer=SGD(0.0), snapshots=[0],
    )  # fmt: skip
    expected = run.snapshots[0][1]
    assert isinstance(expected, nets.MLP)
    assert not torch.equal(expected.get_buffer("u0"), run.critic.get_buffer("u0"))
    expected.power_iteration(2 * critic_steps)
    for a, b in zip(expected.buffers(), run.critic.buffers(), strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-12)


LAYERS = {
    "linear": lambda: nn.Linear(4, 3),
    "conv1d": lambda: nn.Conv1d(2, 3, 2),
    "conv2d": lambda: nn.Conv2d(2, 3, 2),
    "conv3d": lambda: nn.Conv3d(2, 3, 2),
    "transposed conv1d": lambda: nn.ConvTranspose1d(2, 3, 2),
    "transposed conv2d": lambda: nn.ConvTranspose2d(2, 3, 2),
    "transposed conv3d": lambda: nn.ConvTranspose3d(2, 3, 2),
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_linear_and_convolutional_layer_is_normalized(name: str) -> None:
    """Kernels as matrices with one row an output channel, as in Miyato et al. (2018)."""
    recipe = SpectralNorm().network(nets.each(LAYERS[name]))
    assert isinstance(recipe, nets.each)
    layer = recipe.build()
    for _ in range(200):
        kernel = layer.weight
    assert isinstance(kernel, Tensor)
    if "transposed" in name:
        kernel = kernel.transpose(0, 1)
    assert torch.linalg.matrix_norm(kernel.flatten(1), ord=2).item() == pytest.approx(1)
    assert layer.bias.abs().max() > 0


def picture_stack(spectral: bool = True) -> nets.each:
    recipe = nets.each(picture_critic)
    return SpectralNorm().network(recipe) if spectral else recipe  # type: ignore[return-value]


def test_spectral_norm_of_any_module_is_that_of_pytorch() -> None:
    """Two passes in training, then the gradient; vectors move in the ensemble and in its views."""
    net = picture_stack()(Streams(SEEDS))
    for parameter in net.parameters():  # away from the vectors that the first iterations found
        parameter.data.add_(torch.randn_like(parameter))
    ones = []
    for i in range(2):
        one = picture_critic()
        spectral_norm(one[1])
        spectral_norm(one[4])
        one.load_state_dict({k.replace("__", "."): t[i] for k, t in net.state_dict().items()})
        ones.append(one)
    view, start = nets.select(net, slice(0, 2)), [b.clone() for b in net.buffers()]
    x, y = torch.randn(2, 2, 3, 16)
    total = view(x).square().sum() + view(y).square().sum()
    gradients = torch.autograd.grad(total, list(view.parameters()))
    for i, one in enumerate(ones):
        value = one(x[i]).square().sum() + one(y[i]).square().sum()
        theirs = torch.autograd.grad(value, list(one.parameters()))
        assert all(torch.allclose(a[i], b) for a, b in zip(gradients, theirs, strict=True))
        for a, b in zip(net.buffers(), one.buffers(), strict=True):
            assert torch.allclose(a[i], b)
    u, v, *_ = net.buffers()  # of the convolution: one row has only one direction
    assert not torch.allclose(u, start[0])
    assert not torch.allclose(v, start[1])
    now = [b.clone() for b in net.buffers()]
    net.eval()(x)
    assert all(torch.equal(a, b) for a, b in zip(net.buffers(), now, strict=True))


def test_spectral_norm_changes_nothing_else() -> None:
    recipe = nets.mlp(2, 3, 1, activation="silu", init="he", gain=2.0)
    expected = nets.mlp(2, 3, 1, activation="silu", init="he", gain=2.0, spectral=True)
    assert SpectralNorm().network(recipe) == expected
    with pytest.raises(ValueError, match=r"critic is shift\(.*mlp and each"):
        SpectralNorm().network(nets.shift(0.0))


# --- properties -----------------------------------------------------------------------------------

PENALTIES: list[Regularizer] = [
    GradientPenalty(), GradientPenalty(one_sided=True), DRAGAN(), CodedDRAGAN(), R1(), R2(),
    Consistency(), Consensus(),
]  # fmt: skip
any_penalty = st.sampled_from(PENALTIES)
activations = st.sampled_from(list(nets.ACTIVATIONS))
few = settings(max_examples=25, deadline=None)


@few
@given(any_penalty, activations, st.integers(0, 999), st.floats(0.1, 10))
def test_penalties_are_not_negative(
    regularizer: Regularizer, activation: str, seed: int, gain: float
) -> None:
    game = game_of(regularizer, activation=activation, spread=gain)
    penalty = regularizer.critic_penalty(turn_of(game, seeds=[seed]))
    assert isinstance(penalty, Tensor)
    assert torch.isfinite(penalty).all()
    assert penalty.min() >= 0
    foresight = GradientNorm().generator_penalty(turn_of(game, seeds=[seed]))
    assert foresight.min() > 0


@few
@given(st.sampled_from(PENALTIES[:4]), st.floats(-math.pi, math.pi))
def test_no_penalty_at_unit_slope(regularizer: Regularizer, angle: float) -> None:
    turn = linear_turn(regularizer, [math.cos(angle), math.sin(angle)])
    penalty = regularizer.critic_penalty(turn)
    assert isinstance(penalty, Tensor)
    assert penalty.max() < 1e-28


@few
@given(st.sampled_from([R1(), R2()]), activations, st.permutations(range(N)))
def test_order_of_the_minibatch_does_not_matter(
    regularizer: R1, activation: str, order: list[int]
) -> None:
    game = game_of(regularizer, activation=activation)
    turn = turn_of(game)
    shuffled = turn_of(game, turn.generator, turn.critic)
    for name in ("real", "fake"):
        setattr(shuffled, name, getattr(turn, name)[:, order])
    ours, theirs = (regularizer.critic_penalty(t) for t in (shuffled, turn))
    assert torch.allclose(ours, theirs, rtol=1e-12)


@few
@given(st.sampled_from([R1(), R2()]), activations, st.floats(-5, 5))
def test_quadratic_in_the_scale_of_the_critic(
    regularizer: R1, activation: str, scale: float
) -> None:
    turn = turn_of(game_of(regularizer, activation=activation))
    before = regularizer.critic_penalty(turn)
    assert isinstance(turn.critic, nets.MLP)
    turn.critic.weights[-1].data.mul_(scale)
    after = regularizer.critic_penalty(turn)
    assert torch.allclose(after, scale**2 * before, rtol=1e-10, atol=1e-15)


ANY: list[Regularizer] = [*STUDIED, R1(gamma=1e-3)]


@few
@given(st.sampled_from(ANY), st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True))
def test_a_seed_does_not_know_the_others(regularizer: Regularizer, others: list[int]) -> None:
    """Neither its objectives nor its gradients."""
    game, seed = game_of(regularizer), 100
    together, alone = turn_of(game, seeds=[*others, seed]), turn_of(game, seeds=[seed])
    for player in ("critic", "generator"):
        first, second = objective(player, together), objective(player, alone)
        assert torch.allclose(first[-1], second[0], rtol=1e-11)
        net = together.critic if player == "critic" else together.generator
        for gradient in gradients_of(first[-1], net):
            assert gradient[:-1].count_nonzero() == 0


# --- how regularizers enter a game ----------------------------------------------------------------


@pytest.mark.parametrize("regularizer", STUDIED, ids=repr)
def test_who_pays(regularizer: Regularizer) -> None:
    """A penalty of one player leaves the other's objective alone."""
    turn = turn_of(game_of(regularizer))
    plain_turn = turn_of(game_of(), turn.generator, turn.critic)
    paid = [
        not torch.allclose(objective(player, turn), objective(player, plain_turn), rtol=1e-12)
        for player in ("critic", "generator")
    ]
    if isinstance(regularizer, GradientPenalty | R1 | Consistency):
        assert paid == [True, False]
    elif isinstance(regularizer, GradientNorm | Unrolled):
        assert paid == [False, True]
    elif isinstance(regularizer, SpectralNorm):  # the network itself is another
        assert paid == [False, False]
    else:
        assert paid == [True, True]


def test_regularizers_add_up() -> None:
    both = [R1(3.0), R2(5.0)]
    turn = turn_of(game_of(both))
    expected = sum(r.critic_penalty(turn) for r in both)
    excess = turn.critic_objective() - turn.critic_loss(turn.critic, turn.fake)
    assert torch.allclose(excess, expected)
    noisy = turn_of(game_of([InstanceNoise(0.3), R1(3.0)]))
    slopes = nets.input_gradient(noisy.critic, noisy.real)  # where the critic looks
    assert torch.allclose(R1(3.0).critic_penalty(noisy), 1.5 * slopes.square().sum(2).mean(1))


def test_objectives_are_the_losses() -> None:
    """Without regularizers; the critic's sees the generator as fixed."""
    for loss in losses.LOSSES.values():
        turn = turn_of(game_of((), loss))
        real, fake = turn.critic(turn.real), turn.critic(turn.live_fake)
        assert torch.allclose(turn.critic_objective(), loss.critic(real, fake))
        assert torch.allclose(turn.generator_objective(), loss.generator(fake))
        assert not turn.fake.requires_grad
        assert torch.equal(turn.fake, turn.live_fake)
        parts = gradients_of(turn.critic_objective().sum(), turn.generator)
        assert all(g.count_nonzero() == 0 for g in parts)


def test_minibatches_of_two_sizes() -> None:
    turn = turn_of(game_of())
    few_fakes = turn.fake[:, :2]
    expected = losses.minimax.critic(turn.critic(turn.real), turn.critic(few_fakes))
    assert torch.allclose(turn.critic_loss(turn.critic, few_fakes), expected)


def test_a_generator_without_need_of_data_draws_none() -> None:
    turn = turn_of(game_of())
    turn._draw_real = lambda: pytest.fail("data were drawn")
    turn.generator_objective()


def test_the_base_class_does_nothing() -> None:
    turn, critic = turn_of(game_of()), nets.mlp(2, 1)
    base = Regularizer()
    assert base.network(critic) is critic
    assert base.perturb(turn.real, turn) is turn.real
    assert base.opponent(turn, turn.critic) is turn.critic
    assert (base.critic_penalty(turn), base.generator_penalty(turn)) == (0, 0)
    state = [p.detach().clone() for p in turn.critic.parameters()]
    base.project(turn.critic)
    assert all(torch.equal(a, b) for a, b in zip(state, turn.critic.parameters(), strict=True))


# --- bad input ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Clipping(0.0), "c is 0.0; allowed are positive"),
        (lambda: Clipping(math.nan), "c is nan; allowed are positive"),
        (lambda: GradientPenalty(-1.0), "weight is -1.0; allowed are positive"),
        (lambda: DRAGAN(c=0.0), "c is 0.0; allowed are positive"),
        (lambda: DRAGAN(0.0), "weight is 0.0; allowed are positive"),
        (lambda: CodedDRAGAN(0.0), "weight is 0.0; allowed are positive"),
        (lambda: R1(0.0), "gamma is 0.0; allowed are positive"),
        (lambda: R2(-2.0), "gamma is -2.0; allowed are positive"),
        (lambda: Consistency(0.0), "weight is 0.0; allowed are positive"),
        (lambda: Consistency(dropout=0.0), "dropout is 0.0; allowed are numbers between"),
        (lambda: Consistency(dropout=1.0), "dropout is 1.0; allowed are numbers between"),
        (lambda: InstanceNoise(0.0), "sigma is 0.0; allowed are positive"),
        (lambda: GradientNorm(0.0), "eta is 0.0; allowed are positive"),
        (lambda: Consensus(0.0), "gamma is 0.0; allowed are positive"),
        (lambda: Unrolled(0), "steps is 0; allowed are positive"),
        (lambda: Unrolled(lr=0.0), "lr is 0.0; allowed are positive"),
        (lambda: game_of("R1"), "regularizers holds 'R'; allowed are Regularizer values"),  # type: ignore[arg-type]
        (lambda: game_of([R1]), "regularizers holds <class .*R1'>; allowed are Regularizer"),  # type: ignore[list-item]
    ],
)
def test_bad_settings(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_consistency_needs_a_critic_with_dropout() -> None:
    game = replace(game_of(Consistency()), critic=nets.shift(0.0, dim=2))
    with pytest.raises(ValueError, match="critic is a Shift; allowed are mlp and each"):
        turn_of(game).critic_objective()
