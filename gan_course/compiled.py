"""Moves of a game as compiled functions.

A move, with its penalties and its backward pass, is about a hundred small operations. It is played
once with all of them noted, and ``torch.compile`` then fuses what lies between the matrix products:
seconds of work once, which pay in long sweeps.

Random numbers are arguments of the compiled function, drawn beforehand from the streams that would
have drawn them. So a compiled run sees the same minibatches, and differs by rounding only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

import torch
from torch import nn
from torch.func import functional_call
from torch.fx.experimental.proxy_tensor import make_fx

from gan_course.game import Game, Turn
from gan_course.nets import MLP

__all__ = ["CompiledMove"]

Tensor = torch.Tensor
Draw = Callable[..., Tensor]  # kind, and the size where it is not the minibatch's


class CompiledMove:
    """Loss and gradients of one player's turn.

    Parameters
    ----------
    player
        0 for the critic, 1 for the generator.
    turn
        The turn to trace. Turns of as many seeds and as large minibatches can be played after it.
    backend
        What turns the noted operations into a program, see :func:`torch.compile`.

    Raises
    ------
    ValueError
        If a network has a state that its forward pass may change.
    RuntimeError
        If PyTorch finds no compiler.
    """

    def __init__(self, player: int, turn: Turn, backend: str = "inductor") -> None:
        networks = {"generator": turn.generator, "critic": turn.critic}
        for name, net in networks.items():
            if not isinstance(net, MLP) and any(True for _ in net.buffers()):
                raise ValueError(
                    f"{name} has buffers, which its forward pass may change; allowed with "
                    "compile=True are mlp, and each of modules without buffers"
                )
        objective = _Objective(turn.game, turn.generator, turn.critic, player)
        self.draws: list[tuple[Any, ...]] = []
        objective(partial(self._noted, turn), torch.tensor(turn.progress))
        parameters = [name for name, _ in objective.named_parameters()]
        buffers = [name for name, _ in objective.named_buffers()]
        own = [name for name in parameters if name.startswith(list(networks)[1 - player])]

        def move(progress: Tensor, *tensors: Tensor) -> tuple[Tensor, ...]:
            given = iter(tensors)
            state = {name: next(given).detach().requires_grad_() for name in parameters}
            state |= {name: next(given) for name in buffers}
            replay = lambda *kind_and_size: next(given)  # noqa: E731
            loss = functional_call(objective, state, (replay, progress))
            gradients = torch.autograd.grad(loss.sum(), [state[name] for name in own])
            return loss.detach(), *gradients

        inputs = self._inputs(turn)
        noted = make_fx(move, decomposition_table={torch.ops.aten.baddbmm.default: _baddbmm})(
            *inputs
        )
        in_threads = backend == "inductor" and inputs[1].device.type == "cpu"
        self._function = torch.compile(
            noted, fullgraph=True, dynamic=False, backend=backend,
            options={"cpp_wrapper": True} if in_threads else None,  # lets other threads run
        )  # fmt: skip
        try:
            with torch.no_grad():
                self._function(*inputs)
        except RuntimeError as error:
            error.add_note("compile=True needs a C++ compiler, or Triton on a GPU")
            raise

    def __call__(self, turn: Turn) -> tuple[Tensor, tuple[Tensor, ...]]:
        """The objective, one a seed, and its gradients by the player's parameters."""
        with torch.no_grad():
            loss, *gradients = self._function(*self._inputs(turn))
        return loss, tuple(gradients)

    def _noted(self, turn: Turn, *kind_and_size: Any) -> Tensor:
        self.draws.append(kind_and_size)
        return _draw(turn, *kind_and_size)

    def _inputs(self, turn: Turn) -> list[Tensor]:
        networks = (turn.generator, turn.critic)
        return [
            torch.tensor(turn.progress),
            *(p for net in networks for p in net.parameters()),
            *(b for net in networks for b in net.buffers()),
            *(_draw(turn, *kind_and_size) for kind_and_size in self.draws),
        ]


class _Objective(nn.Module):
    """A player's objective as a module that holds both networks, so that they can be exchanged."""

    def __init__(self, game: Game, generator: nn.Module, critic: nn.Module, player: int) -> None:
        super().__init__()
        self.game, self.generator, self.critic, self.player = game, generator, critic, player

    def forward(self, draw: Draw, progress: Any) -> Tensor:
        turn = Turn(
            self.game, self.generator, self.critic, partial(draw, "real"), partial(draw, "noise"),
            cast(Any, _Streams(draw)), progress,
        )  # fmt: skip
        return turn.generator_objective() if self.player else turn.critic_objective()


class _Streams:
    """What a regularizer sees of the streams: each number it asks for is drawn elsewhere."""

    def __init__(self, draw: Draw) -> None:
        self.normal, self.uniform = partial(draw, "normal"), partial(draw, "uniform")


def _baddbmm(bias: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """As two operations: the sum then melts into the activation behind it."""
    return torch.bmm(a, b) + bias


def _draw(turn: Turn, kind: str, *size: int) -> Tensor:
    sources: dict[str, Draw] = {
        "real": turn._draw_real,
        "noise": turn._draw_noise,
        "normal": turn.streams.normal,
        "uniform": turn.streams.uniform,
    }
    return sources[kind](*size)
