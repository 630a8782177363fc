"""Losses against their formulas, sample by sample, and their properties."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gan_course.losses import (
    LOSSES,
    Loss,
    hinge,
    minimax,
    nagarajan_kolter,
    non_saturating,
    wasserstein,
)

ALL = [*LOSSES.values(), nagarajan_kolter(lambda t: -torch.exp(-t), "exponential")]
ZERO_SUM = [minimax, wasserstein, ALL[-1]]
logits = st.lists(st.floats(-30, 30), min_size=1, max_size=5)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """Float64, in which formulas without softplus are exact enough to compare with."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def named(loss: Loss) -> str:
    return loss.name


def log_d(t: float) -> float:
    return math.log(1 / (1 + math.exp(-t)))


def log_one_minus_d(t: float) -> float:
    return math.log(1 / (1 + math.exp(t)))


FORMULAS: dict[str, list[Callable[[float], float]]] = {  # critic on data, on fakes, generator
    "minimax": [lambda t: -log_d(t), lambda t: -log_one_minus_d(t), log_one_minus_d],
    "non-saturating": [
        lambda t: -log_d(t), lambda t: -log_one_minus_d(t), lambda t: -log_d(t),
    ],
    "Wasserstein": [lambda t: -t, lambda t: t, lambda t: -t],
    "hinge": [lambda t: max(0, 1 - t), lambda t: max(0, 1 + t), lambda t: -t],
    "exponential": [lambda t: math.exp(-t), math.exp, lambda t: -math.exp(t)],
}  # fmt: skip


@pytest.mark.parametrize("loss", ALL, ids=named)
@given(real=logits, fake=logits)
def test_values_are_the_formulas(loss: Loss, real: list[float], fake: list[float]) -> None:
    """Means over minibatches that may differ in size, worked out one number at a time."""
    on_real, on_fake, generator = FORMULAS[loss.name]
    critic = sum(map(on_real, real)) / len(real) + sum(map(on_fake, fake)) / len(fake)
    x, g = (torch.tensor(values)[None, :, None] for values in (real, fake))
    assert loss.critic(x, g).tolist() == pytest.approx([critic])
    expected = sum(map(generator, fake)) / len(fake)
    assert loss.generator(g).tolist() == pytest.approx([expected])


@pytest.mark.parametrize("loss", ALL, ids=named)
def test_gradients_are_finite_differences(loss: Loss) -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(2, 2, 4, 1)
    h = 1e-6
    for player in (lambda x, g: loss.critic(x, g), lambda x, g: loss.generator(g)):
        x, g = (t.clone().requires_grad_() for t in (real, fake))
        total = player(x, g).sum()
        ours = torch.autograd.grad(total, (x, g), allow_unused=True, materialize_grads=True)
        for which, gradient in enumerate(ours):
            for i in range(4):
                step = torch.zeros(1, 4, 1)
                step[0, i] = h
                moves = [[(real + s * step, fake), (real, fake + s * step)] for s in (1, -1)]
                up, down = (player(*move[which]) for move in moves)
                assert torch.allclose((up - down) / (2 * h), gradient[:, i, 0], atol=1e-8)


@pytest.mark.parametrize("loss", ALL, ids=named)
def test_one_value_a_seed_and_no_mixing(loss: Loss) -> None:
    torch.manual_seed(0)
    real, fake = torch.randn(2, 3, 5, 1)
    fake = fake.requires_grad_()
    together = torch.stack([loss.critic(real, fake), loss.generator(fake)])
    for i in range(3):
        alone = [loss.critic(real[i : i + 1], fake[i : i + 1]), loss.generator(fake[i : i + 1])]
        assert torch.allclose(together[:, i], torch.cat(alone), rtol=1e-14)
    (gradient,) = torch.autograd.grad(together[:, 1].sum(), fake)
    assert gradient[[0, 2]].count_nonzero() == 0


@pytest.mark.parametrize("loss", ZERO_SUM, ids=named)
def test_zero_sum(loss: Loss) -> None:
    """What the critic gains at a generated point the generator loses, in value and gradient."""
    torch.manual_seed(0)
    real, fake = torch.randn(2, 2, 6, 1)
    fake.requires_grad_()
    total = loss.critic(real, fake) + loss.generator(fake)
    assert torch.allclose(total, loss.critic(real, fake.detach() + 3) + loss.generator(fake + 3))
    (gradient,) = torch.autograd.grad(total.sum(), fake)
    assert gradient.abs().max() < 1e-15


@pytest.mark.parametrize("loss", ALL, ids=named)
def test_generator_always_raises_its_outputs(loss: Loss) -> None:
    """All generators descend by raising ``D(G(z))``; all critics by raising data over fakes."""
    t = torch.linspace(-20, 20, 41).reshape(1, -1, 1)
    real, fake = (t.clone().requires_grad_() for _ in range(2))
    (up,) = torch.autograd.grad(loss.generator(fake).sum(), fake)
    assert (up < 0).all()
    on_real, on_fake = torch.autograd.grad(loss.critic(real, fake).sum(), (real, fake))
    inside = (t.abs() < 1) if loss is hinge else torch.ones_like(t, dtype=torch.bool)
    assert (on_real[inside] < 0).all()
    assert (on_fake[inside] > 0).all()
    assert (on_real <= 0).all()
    assert (on_fake >= 0).all()


def test_who_saturates() -> None:
    """At a generated point that the critic is sure of, minimax loses its gradient, others not."""
    for loss, slope in [(minimax, 0), (non_saturating, -1), (hinge, -1), (wasserstein, -1)]:
        fake = torch.full((1, 1, 1), -40.0, requires_grad=True)
        (gradient,) = torch.autograd.grad(loss.generator(fake).sum(), fake)
        assert gradient.item() == pytest.approx(slope, abs=1e-15)


def test_hinge_rests_outside_the_margin() -> None:
    real, fake = torch.tensor([1.5, 0.5]), torch.tensor([-1.5, -0.5])
    real, fake = (t.reshape(1, 2, 1).requires_grad_() for t in (real, fake))
    gradients = torch.autograd.grad(hinge.critic(real, fake).sum(), (real, fake))
    assert gradients[0].flatten().tolist() == [0, -0.5]
    assert gradients[1].flatten().tolist() == [0, 0.5]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("loss", LOSSES.values(), ids=named)
def test_finite_where_the_critic_is_sure(loss: Loss, dtype: torch.dtype) -> None:
    sure = torch.tensor([[[1e4], [-1e4], [0.0]]], dtype=dtype, requires_grad=True)
    total = loss.critic(sure, sure) + loss.generator(sure)
    (gradient,) = torch.autograd.grad(total.sum(), sure)
    assert torch.isfinite(total).all()
    assert torch.isfinite(gradient).all()


def test_the_game_at_its_equilibrium() -> None:
    """Where ``D`` says 1/2 everywhere, ``V = -log 4`` (Goodfellow et al., 2014, Theorem 1)."""
    even = torch.zeros(2, 7, 1)
    assert minimax.critic(even, even).tolist() == pytest.approx([math.log(4)] * 2)


def test_names() -> None:
    assert {name: loss.name for name, loss in LOSSES.items()} == {name: name for name in LOSSES}
    assert list(LOSSES) == ["minimax", "non-saturating", "Wasserstein", "hinge"]
    assert "non-saturating" in repr(non_saturating)
