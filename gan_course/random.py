"""Random numbers with a leading seed axis.

An ensemble of runs is reproducible seed by seed only if each seed owns its random numbers. A
:class:`Streams` holds one generator a seed: what seed 7 draws does not depend on which other seeds
run beside it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import torch

__all__ = ["Source", "Streams", "normal", "uniform"]

_ROLES = 16


class Streams:
    """One independent stream of random numbers a seed.

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
        self._generators = [_generator(seed, role) for seed in self.seeds]

    def __len__(self) -> int:
        return len(self.seeds)

    def normal(self, n: int, d: int) -> torch.Tensor:
        """Standard normal numbers, shape ``(seeds, n, d)``."""
        draws = [torch.randn(n, d, generator=g) for g in self._generators]
        return torch.stack(draws).to(self.device)

    def uniform(self, n: int, d: int) -> torch.Tensor:
        """Uniform numbers on [0, 1), shape ``(seeds, n, d)``."""
        draws = [torch.rand(n, d, generator=g) for g in self._generators]
        return torch.stack(draws).to(self.device)


def _generator(seed: int, role: int) -> torch.Generator:
    """A generator for a seed and a role: PyTorch's own seeding sees only 32 bits of an integer."""
    state = np.random.SeedSequence(seed, spawn_key=(role,)).generate_state(1)[0]
    return torch.Generator().manual_seed(int(state))


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
