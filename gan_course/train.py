"""The one training loop of the course.

:func:`train` plays a :class:`~gan_course.game.Game` for an ensemble of seeds at once and returns a
:class:`Run`, in which every array has a leading seed axis; one seed is the special case.
:func:`fit_critic` plays only the critic's side, against a generator that stands still.

The loop is Algorithm 1 of Goodfellow et al. (2014): ``critic_steps`` updates of the critic, then
one of the generator. Losses are summed over seeds before one backward pass; since no parameter
belongs to two seeds, each seed's gradient is what it would be alone.

On a CPU the ensemble is cut into groups of about sixteen seeds or fewer, which fit the caches, and
each core works on a group of its own; small ensembles stay whole, since Python lets one thread work
at a time. Where the cuts are depends on the number of seeds, the minibatch and the size of the
networks only, so a machine with more cores gives the same numbers.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm.auto import tqdm

from gan_course import checkpoint as checkpoints
from gan_course.compiled import CompiledMove
from gan_course.data import Distribution
from gan_course.game import Game, Turn
from gan_course.losses import Loss
from gan_course.nets import MLP, Recipe, select
from gan_course.random import Role, Streams
from gan_course.runtime import cores, fast_matmul, is_static, one_thread, reuse_memory

__all__ = ["SGD", "Adam", "Game", "Optimizer", "RMSProp", "Run", "fit_critic", "train"]

Metric = Callable[["Run"], NDArray[np.float64] | torch.Tensor]
"""Measures a run in progress: one value (or array) a seed, leading axis ``seeds``."""

_GROUP, _CACHED = 16, 2**17  # about how many seeds a group has at most, and parameters
_WHOLE = 2**24  # points a step times parameters, below which an ensemble stays whole
_BREATH = 1.0  # seconds between two looks at the clock, the progress bar and the keyboard


@dataclass(frozen=True)
class SGD:
    """Plain stochastic gradient descent with step size ``lr``."""

    lr: float

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """PyTorch optimizer over ``parameters``."""
        return torch.optim.SGD(parameters, lr=self.lr)


@dataclass(frozen=True)
class RMSProp:
    """RMSProp with step size ``lr`` and PyTorch's smoothing ``alpha`` (Arjovsky et al., 2017)."""

    lr: float = 5e-5
    alpha: float = 0.99

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """PyTorch optimizer over ``parameters``."""
        return torch.optim.RMSprop(parameters, lr=self.lr, alpha=self.alpha)


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba, 2015) with step size ``lr``; ``betas`` as is usual for GANs."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.9)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """PyTorch optimizer over ``parameters``."""
        return torch.optim.Adam(parameters, lr=self.lr, betas=self.betas, fused=True)


Optimizer = SGD | RMSProp | Adam


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
        Name to values, each of shape ``(seeds, records, ...)``: the metrics, and the last losses
        ``"critic loss"`` and ``"generator loss"`` (NaN at step 0). A diverged seed has NaN.
    snapshots
        Generator step to a copy of the pair ``(generator, critic)`` at that step.
    diverged
        Shape ``(seeds,)``: the step by which a seed's parameters were no longer finite, else -1.
    """

    game: Game
    seeds: list[int]
    generator: nn.Module
    critic: nn.Module
    steps: list[int] = field(default_factory=list)
    history: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    snapshots: dict[int, tuple[nn.Module, nn.Module]] = field(default_factory=dict)
    diverged: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def __post_init__(self) -> None:
        if not len(self.diverged):
            self.diverged = np.full(len(self.seeds), -1)

    @torch.no_grad()
    def sample(self, n: int) -> torch.Tensor:
        """``n`` points a seed, shape ``(seeds, n, dim)``, from the same noise at every call."""
        device = next(self.generator.parameters()).device
        return self.generator(self.game.noise.sample(n, Streams(self.seeds, device, Role.EVALUATE)))

    def at(self, step: int) -> Run:
        """The run as it was at a snapshot."""
        if step not in self.snapshots:
            raise ValueError(f"step is {step}; allowed are the snapshots {sorted(self.snapshots)}")
        generator, critic = self.snapshots[step]
        return Run(self.game, self.seeds, generator, critic, [step], diverged=self.diverged)

    def alive(self) -> Run:
        """The seeds that have not diverged, as a run of their own with the networks only."""
        rows = np.flatnonzero(self.diverged < 0).tolist()
        if len(rows) == len(self.seeds):
            return Run(self.game, self.seeds, self.generator, self.critic, self.steps[-1:])
        generator, critic = (select(net, rows) for net in (self.generator, self.critic))
        seeds = [self.seeds[i] for i in rows]
        return Run(self.game, seeds, generator, critic, self.steps[-1:])


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
    simultaneous: bool = False,
    compile: bool = False,  # noqa: A002 - as torch names it
    metrics: Mapping[str, Metric] | None = None,
    record_every: int | None = None,
    snapshots: Iterable[int] = (),
    checkpoint: str | Path | None = None,
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
    simultaneous
        Both players move from the same point, instead of the critic first; one critic step.
    compile
        Compile the moves of both players first. That takes seconds, and pays in long runs on small
        networks, which are then about twice as fast; the numbers differ by rounding.
    metrics, record_every
        Recorded into ``Run.history`` before the first step, every ``record_every`` steps
        (default: ten times a run) and after the last. A metric sees the seeds that are alive.
    snapshots
        Generator steps at which a copy of both networks is kept; 0 is the initial value.
    checkpoint
        A file that is written at every record. Where it exists, the run goes on from there, and
        on a CPU comes to the same numbers, bit for bit, as a run that was never stopped.
    progress
        Show a progress bar.

    Returns
    -------
    Run
        Interrupting the kernel returns the run as far as it came.

    Raises
    ------
    ValueError
        For an argument out of range, data whose dimension is not the generator's or that are not
        finite, or a checkpoint of other settings.
    """
    _at_least_one(steps=steps, batch=batch, critic_steps=critic_steps)
    record_every = max(1, steps // 10) if record_every is None else record_every
    _at_least_one(record_every=record_every)
    wanted = set(snapshots)
    if not wanted <= set(range(steps + 1)):
        raise ValueError(f"snapshots is {sorted(wanted)}; allowed are steps from 0 to {steps}")
    if simultaneous and critic_steps != 1:
        raise ValueError(f"critic_steps is {critic_steps}; allowed with simultaneous is 1")
    plan = _Plan(
        game, data, batch, critic_steps, optimizer, generator_optimizer or optimizer, simultaneous,
        compile,
    )  # fmt: skip
    run = _start(game, seeds, device)
    _check(run, data)
    with one_thread(), fast_matmul():
        loop = _Loop(run, plan, steps, dict(metrics or {}), record_every, wanted, checkpoint)
        loop.play(quiet=not progress or is_static())
    return run


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
    regularizers: Any = (),
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
    game = Game(lambda streams: nn.Identity(), critic, loss, fake, regularizers)
    run = _start(game, seeds, device)
    _check(run, real)
    with one_thread(), fast_matmul():
        plan = _Plan(game, real, batch, 1, optimizer, None, False)
        _Loop(run, plan, steps, {}, steps, set(), None).play(quiet=True)
    return run.critic


def _start(game: Game, seeds: Sequence[int], device: torch.device | str) -> Run:
    streams = Streams(seeds, device, Role.INIT)
    recipe = game.critic
    for regularizer in game.active:
        recipe = regularizer.network(recipe)
    return Run(game, list(streams.seeds), game.generator(streams), recipe(streams))


@torch.no_grad()
def _check(run: Run, data: Distribution) -> None:
    """Put a few points through both networks, so that what does not fit is named at once."""
    device = next(run.critic.parameters()).device
    noise = run.game.noise.sample(2, Streams(run.seeds, device, Role.EVALUATE))
    fake = _through("generator", run.generator, "noise", noise)
    if fake.shape[-1] != data.dim:
        made = fake.shape[-1]
        raise ValueError(f"data has dimension {data.dim}; the generator's points have {made}")
    real = data.sample(256, Streams(run.seeds, device, Role.DATA))
    if not torch.isfinite(real).all():
        raise ValueError("data draws a NaN or an infinity; allowed are finite numbers")
    critic = select(run.critic, slice(None))  # may have a state, which a look must not move
    for buffer, own in zip(critic.buffers(), run.critic.buffers(), strict=True):
        buffer.data = own.clone()
    outputs = _through("critic", critic, "data", real)
    if outputs.shape != (len(run.seeds), 256, 1):
        raise ValueError(
            f"critic gives shape {tuple(outputs.shape)} for 256 points of {len(run.seeds)} seeds; "
            f"allowed is one number a point, {(len(run.seeds), 256, 1)}"
        )


def _through(name: str, net: nn.Module, source: str, points: torch.Tensor) -> torch.Tensor:
    try:
        return net(points)
    except RuntimeError as error:
        raise ValueError(
            f"{name} does not take the points of {source}, which have dimension "
            f"{points.shape[-1]}: {error}"
        ) from error


@dataclass(frozen=True)
class _Plan:
    """What is played and how; equal plans give equal runs."""

    game: Game
    data: Distribution
    batch: int
    critic_steps: int
    optimizer: Optimizer
    generator_optimizer: Optimizer | None  # None: the generator stands still
    simultaneous: bool
    compile: bool = False


class _Group:
    """Some seeds of an ensemble: views of their parameters, their optimizers and their streams."""

    def __init__(self, run: Run, rows: slice, plan: _Plan, steps: int) -> None:
        self.plan, self.steps, self.done = plan, steps, 0
        self.generator, self.critic = select(run.generator, rows), select(run.critic, rows)
        seeds, device = run.seeds[rows], next(run.critic.parameters()).device
        self.streams = {
            role: Streams(seeds, device, role) for role in (Role.DATA, Role.NOISE, Role.PENALTY)
        }
        self.parameters = [list(net.parameters()) for net in (self.critic, self.generator)]
        self.optimizers = [plan.optimizer.build(self.parameters[0])]
        if plan.generator_optimizer is not None:
            self.optimizers.append(plan.generator_optimizer.build(self.parameters[1]))
        self.data, self.noise = (_of_rows(one, rows) for one in (plan.data, plan.game.noise))
        self.losses = [torch.full((len(seeds),), torch.nan) for _ in range(2)]
        self.compiled: list[CompiledMove] = []

    def compile(self, others: Iterable[_Group]) -> None:
        """Compile both players' moves, or take them from a group of as many seeds."""
        seeds = len(self.losses[0])
        for other in others:
            if other.compiled and len(other.losses[0]) == seeds:
                self.compiled = other.compiled
                return
        scratch = {role: Streams(one.seeds, one.device, role) for role, one in self.streams.items()}
        players = range(len(self.optimizers))
        self.compiled = [CompiledMove(player, self._turn(scratch)) for player in players]

    def advance(self, steps: int) -> None:
        """Play ``steps`` generator steps."""
        for _ in range(steps):
            if self.plan.simultaneous:
                moves = [self._move(0), self._move(1)]
            else:
                for _ in range(self.plan.critic_steps):
                    self._apply(0, self._move(0))
                moves = [] if len(self.optimizers) == 1 else [self._move(1)]
            for player, gradients in enumerate(moves, start=2 - len(moves)):
                self._apply(player, gradients)
            self.done += 1

    def _turn(self, streams: Mapping[Role, Streams]) -> Turn:
        plan = self.plan
        return Turn(
            plan.game,
            self.generator,
            self.critic,
            lambda: self.data.sample(plan.batch, streams[Role.DATA]),
            lambda: self.noise.sample(plan.batch, streams[Role.NOISE]),
            streams[Role.PENALTY],
            self.done / self.steps,
        )

    def _move(self, player: int) -> tuple[torch.Tensor, ...]:
        """Gradients of the critic (0) or of the generator (1) at its turn."""
        if player == 0 and isinstance(self.critic, MLP):
            self.critic.power_iteration()
        turn = self._turn(self.streams)
        if self.compiled:
            self.losses[player], gradients = self.compiled[player](turn)
            return gradients
        loss = turn.generator_objective() if player else turn.critic_objective()
        self.losses[player] = loss.detach()
        return torch.autograd.grad(loss.sum(), self.parameters[player])

    def _apply(self, player: int, gradients: tuple[torch.Tensor, ...]) -> None:
        for parameter, gradient in zip(self.parameters[player], gradients, strict=True):
            parameter.grad = gradient
        self.optimizers[player].step()
        if player == 0:
            for regularizer in self.plan.game.active:
                regularizer.project(self.critic)

    def state_dict(self) -> dict[str, Any]:
        """All that the group needs to go on, beside the parameters."""
        return {
            "streams": {role.name: one.state_dict() for role, one in self.streams.items()},
            "optimizers": [one.state_dict() for one in self.optimizers],
            "losses": self.losses,
        }

    def load_state_dict(self, state: Mapping[str, Any], done: int) -> None:
        """Go on from a state after ``done`` steps."""
        for role, one in self.streams.items():
            one.load_state_dict(state["streams"][role.name])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.losses, self.done = state["losses"], done


class _Loop:
    """Groups advance side by side; between two stretches the whole ensemble is looked at."""

    def __init__(
        self,
        run: Run,
        plan: _Plan,
        steps: int,
        metrics: dict[str, Metric],
        record_every: int,
        snapshots: set[int],
        checkpoint: str | Path | None,
    ) -> None:
        self.run, self.plan, self.steps = run, plan, steps
        self.metrics, self.record_every, self.snapshots = metrics, record_every, snapshots
        self.path = None if checkpoint is None else Path(checkpoint)
        self.step = 0
        count = len(run.seeds)
        on_cpu = next(run.critic.parameters()).device.type == "cpu"
        parts = _group_count(run, plan) if on_cpu else 1
        edges = [count * part // parts for part in range(parts + 1)]
        self.groups = [_Group(run, slice(*pair), plan, steps) for pair in pairwise(edges)]
        reuse_memory()
        self.workers = min(cores(), parts) if on_cpu else 1

    def play(self, quiet: bool) -> None:
        self._resume()
        bar = tqdm(
            total=self.steps, initial=self.step, disable=quiet, leave=False,
            desc=self.plan.game.loss.name,
        )  # fmt: skip
        stretch = 1
        with bar, ThreadPoolExecutor(self.workers, initializer=_one_thread_here) as pool:
            try:
                if self.plan.compile:
                    bar.set_description("compiling")
                    for group in self.groups:
                        group.compile(self.groups)
                    bar.set_description(self.plan.game.loss.name)
                if self._unseen():
                    self._look()
                while self.step < self.steps:
                    count = min(stretch, self._next_event() - self.step)
                    begin = perf_counter()
                    self._advance(pool, count)
                    bar.update(count)
                    self._look()
                    pace = (perf_counter() - begin) / count
                    stretch = max(1, min(2 * count, int(_BREATH / pace)))
            except KeyboardInterrupt:
                print(f"interrupted at step {self.step} of {self.steps}: this is the run so far")
                self._save()

    def _advance(self, pool: ThreadPoolExecutor, count: int) -> None:
        """All groups play ``count`` steps; an interrupt waits until they have."""
        interrupted = False
        jobs = [pool.submit(group.advance, count) for group in self.groups]
        for job in jobs:
            while True:
                try:
                    job.result()
                    break
                except KeyboardInterrupt:
                    if interrupted:
                        raise
                    interrupted = True
        self.step += count
        if interrupted:
            raise KeyboardInterrupt

    def _next_event(self) -> int:
        """The next step at which something is recorded or kept."""
        record = (self.step // self.record_every + 1) * self.record_every
        return min([record, self.steps, *(s for s in self.snapshots if s > self.step)])

    def _due(self) -> bool:
        return self.step % self.record_every == 0 or self.step == self.steps

    def _unseen(self) -> bool:
        """Whether this step's record or snapshot is missing: at the start, or after a break."""
        record = self._due() and self.step not in self.run.steps
        return record or (self.step in self.snapshots and self.step not in self.run.snapshots)

    def _look(self) -> None:
        self._mask()
        if self.step in self.snapshots:
            self.run.snapshots[self.step] = copy.deepcopy((self.run.generator, self.run.critic))
        if self._due() and self.step not in self.run.steps:
            self._record()
            self._save()

    def _mask(self) -> None:
        """Note and report the seeds that are no longer finite."""
        run = self.run
        finite = torch.stack(
            [
                torch.isfinite(p.detach()).flatten(1).all(1)
                for net in (run.generator, run.critic)
                for p in net.parameters()
            ]
        ).all(0)
        fresh = ~finite.cpu().numpy() & (run.diverged < 0)
        if fresh.any():
            run.diverged[fresh] = self.step
            names = ", ".join(str(run.seeds[i]) for i in np.flatnonzero(fresh))
            message = f"diverged by step {self.step} and masked: seeds {names}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)

    def _record(self) -> None:
        run = self.run
        alive = run.diverged < 0
        values: dict[str, NDArray[np.float64]] = {}
        if self.plan.generator_optimizer is not None:
            for player, name in enumerate(("critic loss", "generator loss")):
                losses = torch.cat([group.losses[player].cpu() for group in self.groups])
                values[name] = losses.double().numpy()[alive]
        if alive.any():
            values |= {name: _measured(name, self.metrics[name], run) for name in self.metrics}
        for name in [*values, *(name for name in run.history if name not in values)]:
            shape = values[name].shape[1:] if name in values else run.history[name].shape[2:]
            now = np.full((len(alive), 1, *shape), np.nan)
            if name in values:
                now[alive, 0] = values[name]
            past = run.history.get(name, np.full((len(alive), len(run.steps), *shape), np.nan))
            run.history[name] = np.concatenate([past, now], axis=1)
        run.steps.append(self.step)

    def _save(self) -> None:
        if self.path is not None:
            groups = [group.state_dict() for group in self.groups]
            checkpoints.save(self.path, self.plan, self.run, self.step, groups)

    def _resume(self) -> None:
        if self.path is None or not self.path.exists():
            return
        saved = checkpoints.load(self.path, self.plan, self.run, self.steps)
        self.step = saved["step"]
        for group, state in zip(self.groups, saved["groups"], strict=True):
            group.load_state_dict(state, self.step)


def _group_count(run: Run, plan: _Plan) -> int:
    """Groups whose numbers about fit a core's cache, as many for one core as for the other.

    Large networks gain nothing from many seeds a group, small ones nothing from a second group: two
    threads wait for Python more than they compute. The number depends on the run alone, and not on
    the machine, so that a run's last bits do not either; where it is not one it is even, for two
    cores.
    """
    networks = (run.generator, run.critic)
    largest = max(sum(p[0].numel() for p in net.parameters()) for net in networks)
    if not plan.compile and len(run.seeds) * plan.batch * largest < _WHOLE:
        return 1
    size = min(_GROUP, max(2, _CACHED // max(largest, 1)))
    return min(len(run.seeds), 2 * max(1, round(len(run.seeds) / (2 * size))))


def _of_rows(distribution: Distribution, rows: slice) -> Distribution:
    """A distribution for some of the seeds, where it is another one for each."""
    select_rows = getattr(distribution, "select", None)
    return distribution if select_rows is None else select_rows(rows)


def _measured(name: str, metric: Metric, run: Run) -> NDArray[np.float64]:
    alive = run.alive()
    values = np.asarray(torch.as_tensor(metric(alive)).detach().cpu(), dtype=np.float64)
    if values.shape[:1] != (len(alive.seeds),):
        raise ValueError(
            f"metrics[{name!r}] gives shape {values.shape}; "
            f"allowed is one value a seed, ({len(alive.seeds)}, ...)"
        )
    return values


def _one_thread_here() -> None:
    torch.set_num_threads(1)


def _at_least_one(**arguments: int) -> None:
    for name, value in arguments.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed is an integer of at least 1")
