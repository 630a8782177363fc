"""Random numbers with a leading seed axis.

An ensemble of runs is reproducible seed by seed only if each seed owns its random numbers. A
:class:`Streams` holds one generator a seed: what seed 7 draws does not depend on which other seeds
run beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import IntEnum
from typing import Any

import numpy as np
import torch

__all__ = ["Role", "Source", "Streams", "normal", "uniform"]

_ROLES = 16


class Role(IntEnum):
    """What a seed's streams are for in :mod:`gan_course.train`; 5 to 15 are free."""

    INIT = 0
    DATA = 1
    EVALUATE = 2
    NOISE = 3
    PENALTY = 4


_BLOCK = 16384  # numbers a seed drawn at a time: a call per seed is dear, many numbers are cheap


class Streams:
    """One independent stream of random numbers a seed.

    Normal and uniform numbers come from two separate sequences. Each is drawn in blocks, and a
    request that the rest of a block cannot serve starts the next one; so what a seed draws depends
    on the requests made, and on nothing else.

    Parameters
    ----------
    seeds
        At least one integer seed, all different.
    device
        Where the numbers are returned. They are drawn on the CPU, so that a seed means the same
        numbers on every device.
    role
        Streams of one seed with different roles (0 to 15) are independent: initial values,
        training noise and evaluation each take their own, so that watching a run more closely
        does not change it.
    """

    def __init__(
        self, seeds: Iterable[int], device: torch.device | str = "cpu", role: int = 0
    ) -> None:
        self.seeds = [int(seed) for seed in seeds]
        if not self.seeds:
            raise ValueError("seeds is empty; allowed is at least one integer")
        if min(self.seeds) < 0:
            raise ValueError(f"seeds is {self.seeds}; allowed are integers of at least 0")
        if len(set(self.seeds)) != len(self.seeds):
            raise ValueError(f"seeds is {self.seeds}; allowed are different integers")
        self.device = torch.device(device)
        if not 0 <= role < _ROLES:
            raise ValueError(f"role is {role}; allowed are 0 to {_ROLES - 1}")
        self._role, self._asked = role, 0
        self._normal = _Sequence(self.seeds, role, 0, torch.Tensor.normal_, self.device)
        self._uniform = _Sequence(self.seeds, role, 1, torch.Tensor.uniform_, self.device)

    def __len__(self) -> int:
        return len(self.seeds)

    def normal(self, n: int, d: int) -> torch.Tensor:
        """Standard normal numbers, shape ``(seeds, n, d)``."""
        return self._normal.take(n * d).reshape(len(self), n, d)

    def uniform(self, n: int, d: int) -> torch.Tensor:
        """Uniform numbers on [0, 1), shape ``(seeds, n, d)``."""
        return self._uniform.take(n * d).reshape(len(self), n, d)

    def integers(self) -> list[int]:
        """One integer below ``2**32`` a seed, others at each call: seeds for other generators."""
        self._asked += 1
        return [_entropy(seed, self._role, 1 + self._asked) for seed in self.seeds]

    def state_dict(self) -> dict[str, Any]:
        """Where the streams stand, as tensors and integers."""
        return {"normal": self._normal.state, "uniform": self._uniform.state}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue as the streams that gave ``state`` would."""
        self._normal.state = state["normal"]
        self._uniform.state = state["uniform"]


class _Sequence:
    """Numbers of one distribution, one sequence a seed, drawn a block at a time."""

    def __init__(
        self,
        seeds: list[int],
        role: int,
        kind: int,
        fill: Callable[..., torch.Tensor],
        device: torch.device,
    ) -> None:
        self.generators = [_generator(seed, role, kind) for seed in seeds]
        self.fill, self.device = fill, device
        self.before = [g.get_state() for g in self.generators]  # of the present block
        self.block, self.used = torch.empty(len(seeds), 0), 0

    def take(self, count: int) -> torch.Tensor:
        if self.used + count > self.block.shape[1]:
            self._draw(max(count, _BLOCK))
        self.used += count
        return self.block[:, self.used - count : self.used]

    def _draw(self, size: int) -> None:
        self.before = [g.get_state() for g in self.generators]
        block = torch.empty(len(self.generators), size)
        for row, generator in zip(block, self.generators, strict=True):
            self.fill(row, generator=generator)
        self.block, self.used = block.to(self.device), 0

    @property
    def state(self) -> dict[str, Any]:
        size = self.block.shape[1]
        return {"before": torch.stack(self.before), "size": size, "used": self.used}

    @state.setter
    def state(self, state: Mapping[str, Any]) -> None:
        for generator, before in zip(self.generators, state["before"], strict=True):
            generator.set_state(before.clone())  # PyTorch reads an aligned tensor of its own
        if state["size"]:
            self._draw(state["size"])
        self.used = state["used"]


def _generator(seed: int, role: int, kind: int) -> torch.Generator:
    """A generator of its own: PyTorch's seeding sees only 32 bits of an integer."""
    return torch.Generator().manual_seed(_entropy(seed, role, kind))


def _entropy(seed: int, role: int, kind: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=(role, kind)).generate_state(1)[0])


Source = Streams | torch.Generator
"""Where a distribution takes its randomness from: an ensemble's streams or one generator."""


def normal(source: Source, n: int, d: int) -> torch.Tensor:
    """Standard normal numbers: ``(seeds, n, d)`` from streams, ``(n, d)`` from one generator."""
    if isinstance(source, Streams):
        return source.normal(n, d)
    return torch.randn(n, d, generator=source, device=source.device)


def uniform(source: Source, n: int, d: int) -> torch.Tensor:
    """Uniform numbers on [0, 1): ``(seeds, n, d)`` from streams, ``(n, d)`` from one generator."""
    if isinstance(source, Streams):
        return source.uniform(n, d)
    return torch.rand(n, d, generator=source, device=source.device)
