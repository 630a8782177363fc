"""How fast is a step of the random-feature WGAN? Everything side by side in one run.

    python -m benchmarks.features [--quick]

Compares the step of `gan_course.features.fit` with the step as it is usually written: modules,
parameters, two optimizers and two backward passes, in the style of the released code of No et al.
2021. Both draw ``x``, ``z`` and a second ``z``. Every repetition measures both in turn, each with
one thread and with all cores; a side's best is the better of the two medians. The released code
evaluates ``J`` by another pass after each step; it is left out here, in the plain step's favor.

The floor is one write and two reads of the matrix of all features of a minibatch: what a step
needs that computes this matrix once and keeps it. Ours computes it twice, for two minibatches,
and never writes it to memory.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import torch
from torch import nn

from gan_course import data, features
from gan_course.runtime import cores

TARGET = 20.0
SETTINGS = [  # N_g, N_d, batch, the ratio to reach
    (5000, 1000, 5000, TARGET),
    (1000, 1000, 5000, None),
    (200, 100, 1000, None),
]


class Generator(nn.Module):
    """Trained output weights over fixed random features."""

    W: torch.Tensor
    b: torch.Tensor

    def __init__(self, width: int, dim: int = 2, latent_dim: int = 2) -> None:
        super().__init__()
        self.theta = nn.Parameter(5e-3 * torch.randn(1, width))
        self.register_buffer("W", 10 * torch.randn(dim, width, latent_dim))
        self.register_buffer("b", 10 * torch.randn(dim, width, 1))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """From ``(k, batch)`` to ``(batch, n)``."""
        hidden = torch.tanh(self.W @ z + self.b)
        return (self.theta @ hidden).squeeze(1).T


class Critic(nn.Module):
    """The same for the critic."""

    def __init__(self, width: int, dim: int = 2) -> None:
        super().__init__()
        self.eta = nn.Parameter(torch.randn(width, 1))
        self.inner = nn.Linear(dim, width).requires_grad_(False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """From ``(batch, n)`` to ``(batch, 1)``."""
        return torch.tanh(self.inner(x)) @ self.eta


class Plain:
    """A game that is trained with autograd and two optimizers."""

    def __init__(self, width: int, critic_width: int, batch: int) -> None:
        self.generator, self.critic = Generator(width), Critic(critic_width)
        self.optimizer_d = torch.optim.SGD(self.critic.parameters(), lr=1.0)
        self.optimizer_g = torch.optim.SGD(self.generator.parameters(), lr=0.05 / width)
        self.data, self.batch = features.published_mixture(), batch
        self.source = torch.Generator().manual_seed(0)

    def draw(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """``x`` of shape ``(batch, n)``, and two ``z`` of shape ``(k, batch)``."""
        x = self.data.sample(self.batch, self.source)
        return x, torch.randn(2, self.batch), torch.randn(2, self.batch)

    def step(self) -> None:
        """Ascend in ``eta``, then descend in ``theta`` with another ``z``."""
        x, z, other = self.draw()
        self.optimizer_d.zero_grad()
        fake = self.critic(self.generator(z)).mean()
        loss_d = -self.critic(x).mean() + fake + 0.5 * self.critic.eta.norm() ** 2
        loss_d.backward()
        self.optimizer_d.step()
        self.optimizer_g.zero_grad()
        loss_g = -self.critic(self.generator(other)).mean()
        loss_g.backward()
        self.optimizer_g.step()


@dataclass(frozen=True)
class Ours:
    """The same game for `fit`."""

    generator: features.GeneratorFeatures
    critic: features.CriticFeatures
    data: data.Mixture
    batch: int

    def fit(self, steps: int, workers: int) -> None:
        """So many steps on so many threads."""
        features.fit(
            self.generator, self.critic, self.data, seed=0, epochs=1, steps=steps,
            batch=self.batch, workers=workers,
        )  # fmt: skip


def ours_of(width: int, critic_width: int, batch: int) -> Ours:
    """The game of the published laws."""
    source = torch.Generator().manual_seed(0)
    return Ours(
        features.published_generator(source, width),
        features.published_critic(source, critic_width),
        features.published_mixture(),
        batch,
    )


def seconds(action: Callable[[], None]) -> float:
    """Of one call."""
    begin = time.perf_counter()
    action()
    return time.perf_counter() - begin


def plain_step(game: Plain, threads: int) -> float:
    """Seconds of one plain step."""
    torch.set_num_threads(threads)
    return seconds(game.step)


def our_step(game: Ours, workers: int, steps: int) -> float:
    """Seconds of one step of ours, without what `fit` does once."""
    begin = seconds(lambda: game.fit(1, workers))
    return max(1e-9, seconds(lambda: game.fit(1 + steps, workers)) - begin) / steps


def floor(rows: int, width: int, threads: int) -> float:
    """Seconds for one write and two reads of a matrix of ``rows * threads`` rows, shared out."""
    matrices = [torch.empty(rows // threads, width).fill_(0.5) for _ in range(threads)]
    right, left = torch.ones(width), torch.ones(rows // threads)

    def touch(matrix: torch.Tensor) -> None:
        torch.set_num_threads(1)
        matrix.fill_(0.5)
        torch.mv(matrix, right)
        torch.mv(matrix.T, left)

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(touch, matrices))
        begin = time.perf_counter()
        list(pool.map(touch, matrices))
        return time.perf_counter() - begin


def measure(
    width: int, critic_width: int, batch: int, repetitions: int, steps: int
) -> dict[str, dict[int, float]]:
    """Medians in seconds of a step, by side and number of threads."""
    threads = sorted({1, cores()})
    sides = Plain(width, critic_width, batch), ours_of(width, critic_width, batch)
    found: dict[str, dict[int, list[float]]] = {
        side: {count: [] for count in threads} for side in ("plain", "ours", "floor")
    }
    sides[0].step()
    for _ in range(repetitions):
        for count in threads:
            found["plain"][count].append(plain_step(sides[0], count))
            found["ours"][count].append(our_step(sides[1], count, steps))
            found["floor"][count].append(floor(2 * batch, width, count))
    return {
        side: {count: statistics.median(values) for count, values in rows.items()}
        for side, rows in found.items()
    }


def table(repetitions: int, quick: bool) -> bool:
    """Print the table; whether every ratio reaches its target."""
    counts = sorted({1, cores()})
    label = "/".join(map(str, counts))
    print(f"milliseconds a step, at {label} threads; ratio and distance at each side's best\n")
    print(f"{'N_g':>6}{'N_d':>6}{'batch':>7}{'plain':>14}{'ours':>14}{'floor':>14}"
          f"{'ratio':>8}{'target':>8}{'ours/floor':>12}")  # fmt: skip
    reached = True
    for width, critic_width, batch, target in SETTINGS:
        steps = max(3, (40 if quick else 400) * 1000**2 // (width * batch))
        steps = min(steps, 20 if quick else 200)
        found = measure(width, critic_width, batch, repetitions, steps)
        best = {side: min(rows.values()) for side, rows in found.items()}
        ratio = best["plain"] / best["ours"]
        reached &= target is None or ratio >= target
        times = ["/".join(f"{1e3 * found[side][n]:.1f}" for n in counts) for side in found]
        print(f"{width:>6}{critic_width:>6}{batch:>7}" + "".join(f"{t:>14}" for t in times)
              + f"{ratio:8.1f}{target or '-':>8}{best['ours'] / best['floor']:12.2f}",
              flush=True)  # fmt: skip
    return reached


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    arguments = parser.parse_args()
    print(f"torch {torch.__version__}, {cores()} cores")
    reached = table(3 if arguments.quick else 7, arguments.quick)
    print("\nevery ratio reaches its target" if reached else "\nnot every ratio reaches its target")


if __name__ == "__main__":
    main()
