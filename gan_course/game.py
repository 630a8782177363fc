"""The adversarial game as a value, and what a player sees at its turn.

A :class:`Game` holds no state: the same value is trained (:mod:`gan_course.train`), linearized and
drawn. A :class:`Turn` is one moment of a game in progress: both networks and their minibatches,
from which losses and regularizers are computed, one value a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import nn

from gan_course.data import Distribution, Normal
from gan_course.losses import Loss
from gan_course.nets import MLP, Recipe
from gan_course.random import Streams

if TYPE_CHECKING:
    from gan_course.regularizers import Regularizer

__all__ = ["Game", "Turn"]

Tensor = torch.Tensor


@dataclass(frozen=True)
class Game:
    """Two networks, a loss, the generator's noise and what regularizes them.

    Attributes
    ----------
    generator, critic
        Recipes (see :mod:`gan_course.nets`): from noise to data space and from data space to one
        number.
    loss
        What each side minimizes (see :mod:`gan_course.losses`).
    noise
        The distribution of ``z``.
    regularizers
        One or several of :mod:`gan_course.regularizers`; they add up.
    """

    generator: Recipe
    critic: Recipe
    loss: Loss
    noise: Distribution = field(default_factory=Normal)
    regularizers: Regularizer | Sequence[Regularizer] = ()

    def __post_init__(self) -> None:
        from gan_course.regularizers import Regularizer

        given = self.regularizers
        chosen = (given,) if isinstance(given, Regularizer) else tuple(given)
        for one in chosen:
            if not isinstance(one, Regularizer):
                raise ValueError(f"regularizers holds {one!r}; allowed are Regularizer values")
        object.__setattr__(self, "regularizers", chosen)

    @property
    def active(self) -> tuple[Regularizer, ...]:
        """The regularizers as a tuple."""
        return tuple(self.regularizers)  # type: ignore[arg-type]


class Turn:
    """Both networks at one moment, with a minibatch of data and one of noise.

    Minibatches are drawn when they are first asked for, so that a generator that needs no data
    draws none. Everything has a leading seed axis.

    Parameters
    ----------
    game
        The game's value.
    generator, critic
        The networks of the seeds.
    draw_real, draw_noise
        Draw a minibatch, ``(seeds, batch, dim)``.
    streams
        Randomness of the regularizers.
    progress
        Share of the training done, in [0, 1].
    """

    def __init__(
        self,
        game: Game,
        generator: nn.Module,
        critic: nn.Module,
        draw_real: Callable[[], Tensor],
        draw_noise: Callable[[], Tensor],
        streams: Streams,
        progress: float = 0.0,
    ) -> None:
        self.game, self.generator, self.critic = game, generator, critic
        self._draw_real, self._draw_noise = draw_real, draw_noise
        self.streams, self.progress = streams, progress

    @cached_property
    def noise(self) -> Tensor:
        """Minibatch of ``z``."""
        return self._draw_noise()

    @cached_property
    def real(self) -> Tensor:
        """Minibatch of data, as the critic sees it."""
        return self._perturbed(self._draw_real())

    @cached_property
    def fake(self) -> Tensor:
        """Generated points without a gradient to the generator, as the critic sees them."""
        with torch.no_grad():
            return self._perturbed(self.generator(self.noise))

    @cached_property
    def live_fake(self) -> Tensor:
        """Generated points through which gradients reach the generator."""
        return self._perturbed(self.generator(self.noise))

    def _perturbed(self, x: Tensor) -> Tensor:
        for regularizer in self.game.active:
            x = regularizer.perturb(x, self)
        return x

    def critic_loss(self, critic: Callable[[Tensor], Tensor], fake: Tensor) -> Tensor:
        """The critic's loss without penalties, one a seed."""
        if isinstance(critic, MLP):  # one pass costs less than two
            real_out, fake_out = critic(torch.cat([self.real, fake], 1)).split(
                [self.real.shape[1], fake.shape[1]], 1
            )
            return self.game.loss.critic(real_out, fake_out)
        return self.game.loss.critic(critic(self.real), critic(fake))

    def critic_objective(self) -> Tensor:
        """What the critic minimizes at its turn, penalties included, one value a seed."""
        total = self.critic_loss(self.critic, self.fake)
        for regularizer in self.game.active:
            total = total + regularizer.critic_penalty(self)
        return total

    def generator_objective(self) -> Tensor:
        """What the generator minimizes at its turn, penalties included, one value a seed."""
        critic: Callable[[Tensor], Tensor] = self.critic
        for regularizer in self.game.active:
            critic = regularizer.opponent(self, critic)
        total = self.game.loss.generator(critic(self.live_fake))
        if critic is not self.critic:  # then what it says of the data moves with the generator, too
            on_data = critic(self.real)
            total = total - self.game.loss.critic(on_data, torch.zeros_like(on_data))
        for regularizer in self.game.active:
            total = total + regularizer.generator_penalty(self)
        return total
