"""The one training loop of the course.

A *game* is a value: two networks, a loss and the generator's noise. :func:`train` plays it for an
ensemble of seeds at once and returns a :class:`Run`, in which every array has a leading seed
axis; one seed is the special case. :func:`fit_critic` plays only the critic's side, against a
generator that stands still.

The loop is Algorithm 1 of Goodfellow et al. (2014): ``critic_steps`` updates of the critic, then
one of the generator. Losses are summed over seeds before one backward pass; since no parameter
belongs to two seeds, each seed's gradient is what it would be alone.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm.auto import trange

from gan_course.data import Distribution, Normal
from gan_course.losses import Loss
from gan_course.nets import Recipe
from gan_course.random import Streams
from gan_course.runtime import is_static, one_thread

__all__ = ["SGD", "Adam", "Game", "Optimizer", "Run", "fit_critic", "train"]

Metric = Callable[["Run"], NDArray[np.float64] | torch.Tensor]
"""Measures a run in progress: one value (or array) a seed, leading axis ``seeds``."""

_INIT, _TRAIN, _EVALUATE = 0, 1, 2  # roles of a seed's random streams


@dataclass(frozen=True)
class SGD:
    """Plain stochastic gradient descent with step size ``lr``."""

    lr: float

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """PyTorch optimizer over ``parameters``."""
        return torch.optim.SGD(parameters, lr=self.lr)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015) with step size ``lr``; ``betas`` as is usual for GANs."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.9)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """PyTorch optimizer over ``parameters``."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, fused=True)


Optimizer = SGD | Adam


@dataclass(frozen=True)
class Game:
    """Two networks, a loss and the generator's noise.

    Attributes
    ----------
    generator, critic
        Recipes (see :mod:`gan_course.nets`): from noise to data space and from data space to one
        number.
    loss
        What each side minimizes (see :mod:`gan_course.losses`).
    noise
        The distribution of ``z``.
    """

    generator: Recipe
    critic: Recipe
    loss: Loss
    noise: Distribution = field(default_factory=Normal)


@dataclass
class Run:
    """An ensemble of trainings, finished or in progress.

    Attributes
    ----------
    seeds
        One integer a run; the order of every leading axis.
    generator, critic
        The networks, parameters of shape ``(seeds, ...)``.
    steps
        Generator steps done at each record, shape ``(records,)``.
    history
        Name to values, each of shape ``(seeds, records, ...)``.
    snapshots
        Generator step to a copy of the pair ``(generator, critic)`` at that step.
    """

    game: Game
    seeds: list[int]
    generator: nn.Module
    critic: nn.Module
    steps: list[int] = field(default_factory=list)
    history: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    snapshots: dict[int, tuple[nn.Module, nn.Module]] = field(default_factory=dict)

    @torch.no_grad()
    def sample(self, n: int) -> torch.Tensor:
        """``n`` points a seed, shape ``(seeds, n, dim)``, from the same noise at every call."""
        device = next(self.generator.parameters()).device
        return self.generator(self.game.noise.sample(n, Streams(self.seeds, device, _EVALUATE)))

    def at(self, step: int) -> Run:
        """The run as it was at a snapshot."""
        if step not in self.snapshots:
            raise ValueError(f"step is {step}; allowed are the snapshots {sorted(self.snapshots)}")
        generator, critic = self.snapshots[step]
        return Run(self.game, self.seeds, generator, critic, [step])


@one_thread()
def train(
    game: Game,
    data: Distribution,
    *,
    seeds: Sequence[int],
    steps: int,
    batch: int = 256,
    critic_steps: int = 1,
    optimizer: Optimizer = Adam(),
    generator_optimizer: Optimizer | None = None,
    metrics: Mapping[str, Metric] | None = None,
    record_every: int | None = None,
    snapshots: Iterable[int] = (),
    device: torch.device | str = "cpu",
    progress: bool = False,
) -> Run:
    """Play a game on data for an ensemble of seeds.

    Parameters
    ----------
    seeds
        One training run each, see :func:`gan_course.seeds`.
    steps
        Generator steps; each is preceded by ``critic_steps`` critic steps on fresh minibatches.
    batch
        Points of data, and of noise, a minibatch.
    optimizer, generator_optimizer
        Of the critic and of the generator (the same settings where only one is given).
    metrics, record_every
        Recorded into ``Run.history`` before the first step, every ``record_every`` steps
        (default: ten times a run) and after the last.
    snapshots
        Generator steps at which a copy of both networks is kept; 0 is the initial value.
    progress
        Show a progress bar.

    Returns
    -------
    Run
        Interrupting the kernel returns the run as far as it came.
    """
    _at_least_one(steps=steps, batch=batch, critic_steps=critic_steps)
    record_every = max(1, steps // 10) if record_every is None else record_every
    _at_least_one(record_every=record_every)
    wanted = set(snapshots)
    if not wanted <= set(range(steps + 1)):
        raise ValueError(f"snapshots is {sorted(wanted)}; allowed are steps from 0 to {steps}")
    run = _start(game, seeds, device)
    if run.sample(1).shape[-1] != data.dim:
        made = run.sample(1).shape[-1]
        raise ValueError(f"data has dimension {data.dim}; the generator's points have {made}")
    critic_step = _CriticStep(run, data, batch, optimizer.build(run.critic.parameters()))
    generator_optimizer = generator_optimizer or optimizer
    generator_step = _generator_step(
        run, batch, generator_optimizer.build(run.generator.parameters()), critic_step.streams
    )
    step = 0
    _observe(run, 0, wanted, metrics, record=True)
    try:
        quiet = not progress or is_static()
        for step in trange(1, steps + 1, disable=quiet, desc=game.loss.name, leave=False):
            for _ in range(critic_steps):
                critic_step()
            generator_step()
            due = step % record_every == 0 or step == steps
            _observe(run, step, wanted, metrics, record=due)
    except KeyboardInterrupt:
        print(f"interrupted at step {step} of {steps}: this is the run so far")
    return run


@one_thread()
def fit_critic(
    critic: Recipe,
    loss: Loss,
    real: Distribution,
    fake: Distribution,
    *,
    seeds: Sequence[int],
    steps: int,
    batch: int = 256,
    optimizer: Optimizer = Adam(),
    device: torch.device | str = "cpu",
) -> nn.Module:
    """Train only a critic, between two fixed distributions.

    Returns
    -------
    nn.Module
        The critics, one a seed: ``(seeds, n, dim) -> (seeds, n, 1)``, the logit of ``D``.
    """
    _at_least_one(steps=steps, batch=batch)
    if real.dim != fake.dim:
        raise ValueError(f"fake has dimension {fake.dim}; allowed is that of real, {real.dim}")
    run = _start(Game(lambda streams: nn.Identity(), critic, loss, fake), seeds, device)
    step = _CriticStep(run, real, batch, optimizer.build(run.critic.parameters()))
    for _ in range(steps):
        step()
    return run.critic


class _CriticStep:
    """One update of the critic on a fresh minibatch of data and of generated points."""

    def __init__(
        self, run: Run, data: Distribution, batch: int, optimizer: torch.optim.Optimizer
    ) -> None:
        self.run, self.data, self.batch, self.optimizer = run, data, batch, optimizer
        device = next(run.critic.parameters()).device
        self.streams = Streams(run.seeds, device, _TRAIN)

    def __call__(self) -> None:
        game, batch = self.run.game, self.batch
        real = self.data.sample(batch, self.streams)
        with torch.no_grad():
            fake = self.run.generator(game.noise.sample(batch, self.streams))
        loss = game.loss.critic(self.run.critic(real), self.run.critic(fake))
        self.optimizer.zero_grad()
        loss.sum().backward()
        self.optimizer.step()


def _generator_step(
    run: Run, batch: int, optimizer: torch.optim.Optimizer, streams: Streams
) -> Callable[[], None]:
    """One update of the generator; the critic's parameters are left alone, values and gradients."""
    parameters = list(run.generator.parameters())

    def step() -> None:
        fake = run.generator(run.game.noise.sample(batch, streams))
        loss = run.game.loss.generator(run.critic(fake))
        gradients = torch.autograd.grad(loss.sum(), parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()

    return step


def _start(game: Game, seeds: Sequence[int], device: torch.device | str) -> Run:
    streams = Streams(seeds, device, _INIT)
    return Run(game, list(streams.seeds), game.generator(streams), game.critic(streams))


def _observe(
    run: Run, step: int, wanted: set[int], metrics: Mapping[str, Metric] | None, *, record: bool
) -> None:
    if step in wanted:
        run.snapshots[step] = copy.deepcopy((run.generator, run.critic))
    if record and metrics:
        run.steps.append(step)
        for name, metric in metrics.items():
            values = np.asarray(torch.as_tensor(metric(run)).detach().cpu(), dtype=np.float64)
            if values.shape[:1] != (len(run.seeds),):
                raise ValueError(
                    f"metrics[{name!r}] gives shape {values.shape}; "
                    f"allowed is one value a seed, ({len(run.seeds)}, ...)"
                )
            past = run.history.get(name, np.empty((len(run.seeds), 0, *values.shape[1:])))
            run.history[name] = np.concatenate([past, values[:, None]], axis=1)


def _at_least_one(**arguments: int) -> None:
    for name, value in arguments.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed is an integer of at least 1")
