"""A turn's objective as a compiled function of tensors.

``torch.compile`` cannot look into random generators. So the first turn is played as it is and its
draws are noted; from then on they are made beforehand, in the same order, and handed to the
compiled function.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from gan_course.game import Game, Turn
from gan_course.random import Streams

__all__ = ["Compiled"]

Tensor = torch.Tensor
_LOCK = threading.Lock()  # PyTorch compiles one function at a time


class Compiled:
    """An objective of :class:`~gan_course.game.Turn`, compiled at its second call.

    Parameters
    ----------
    objective
        ``Turn.critic_objective`` or ``Turn.generator_objective``.
    """

    def __init__(self, objective: Callable[[Turn], Tensor]) -> None:
        self.objective = objective
        self.draws: list[tuple[str, int, int]] = []
        self.uses_real = False

        def on_tensors(
            game: Game, generator: nn.Module, critic: nn.Module, real: Any, noise: Tensor,
            drawn: list[Tensor], progress: Any,
        ) -> Tensor:  # fmt: skip
            streams: Any = _Drawn(drawn)
            turn = Turn(game, generator, critic, lambda: real, lambda: noise, streams, progress)
            return objective(turn)

        self.function = torch.compile(on_tensors, dynamic=False)

    def first(self, turn: Turn) -> Tensor:
        """Play a turn as it is, and note what it draws."""
        drew: list[bool] = []
        draw_real = turn._draw_real

        def noted() -> Tensor:
            drew.append(True)
            return draw_real()

        turn._draw_real = noted
        turn.streams = _Noting(turn.streams, self.draws)  # type: ignore[assignment]
        result = self.objective(turn)
        self.uses_real = bool(drew)
        return result

    def __call__(self, turn: Turn) -> Tensor:
        """Play a turn compiled."""
        real = turn._draw_real() if self.uses_real else None
        noise = turn._draw_noise()
        drawn = [getattr(turn.streams, kind)(n, d) for kind, n, d in self.draws]
        progress = torch.tensor(turn.progress)
        with _LOCK:
            return self.function(
                turn.game, turn.generator, turn.critic, real, noise, drawn, progress
            )


class _Noting:
    """Streams that note their draws."""

    def __init__(self, streams: Streams, draws: list[tuple[str, int, int]]) -> None:
        self.streams, self.draws = streams, draws

    def normal(self, n: int, d: int) -> Tensor:
        self.draws.append(("normal", n, d))
        return self.streams.normal(n, d)

    def uniform(self, n: int, d: int) -> Tensor:
        self.draws.append(("uniform", n, d))
        return self.streams.uniform(n, d)


class _Drawn:
    """Streams whose numbers were drawn before."""

    def __init__(self, drawn: list[Tensor]) -> None:
        self.drawn = list(drawn)

    def normal(self, n: int, d: int) -> Tensor:
        return self.drawn.pop(0)

    uniform = normal
