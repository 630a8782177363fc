"""The benchmarks measure what they say they measure."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import engine, features, plain
from gan_course import nets, train
from gan_course.features import _Minibatches
from gan_course.random import Streams
from gan_course.train import Adam, Run, _Group, _Plan, _start


@pytest.mark.parametrize("name", engine.PLAIN)
def test_floor_counts_the_engines_products(name: str) -> None:
    """Floating-point operations of one step, as PyTorch counts them, for two seeds.

    The engine makes one small product too many: the critic's last weight in the generator's turn.
    """
    critic_steps = 5 if name == "WGAN-GP" else 1
    game = engine.game(name, 16, 2)
    plan = _Plan(game, engine.TARGET, 32, critic_steps, Adam(), Adam(), False)
    group = _Group(_start(game, [0, 1], "cpu"), slice(0, 2), plan, 1)
    with FlopCounterMode(display=False) as counter:
        group.advance(1)
    floor = 2 * sum(2 * m * k * n for m, k, n in engine.products(name, 16, 2, 32))
    assert counter.get_total_flops() == floor + 2 * (2 * 32 * 16)


@pytest.mark.parametrize("name", engine.PLAIN)
def test_plain_loop_and_engine_play_the_same_game(name: str) -> None:
    """Networks of the same size on both sides, and a loop that runs."""
    game = engine.game(name, 64, 2)
    ours = game.critic(Streams([0])), game.generator(Streams([0]))
    theirs = plain.mlp(64, 2, 1), plain.mlp(64, 2, 2)
    for mine, other in zip(ours, theirs, strict=True):
        assert isinstance(mine, nets.MLP)
        assert sum(p.numel() for p in mine.parameters()) == sum(
            p.numel() for p in other.parameters()
        )
    engine.PLAIN[name](engine.TARGET, 8, 2, 2, 16)


def test_table_says_ratio_and_target(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(engine, "SETTINGS", [("non-saturating", 8, 2, False, 8, 1e3)])
    monkeypatch.setattr(engine, "memory", lambda *a: 1.0)
    assert not engine.against_plain(2, quick=True)
    out = capsys.readouterr().out
    numbers = [float(x) for x in re.findall(r"non-saturating 8x2 +(.*)", out)[0].split()]
    loop, ours, ratio = numbers[:3]
    assert min(loop, ours) > 0
    assert ratio == pytest.approx(ours / loop, rel=0.8)
    torch.set_num_threads(1)


def test_rate_counts_from_the_first_step_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """An ensemble that takes a second to build, and far less to play."""

    def slow_start(*arguments: Any) -> Run:
        time.sleep(1)
        return _start(*arguments)

    monkeypatch.setattr(train, "_start", slow_start)
    assert engine.rate("non-saturating", 8, 2, 2, 4, 16) > 2 * 4 / 1.0


def test_plain_step_and_fit_move_theta_alike() -> None:
    """The same features, minibatches and step size on both sides, and a table that is printed."""
    ours, theirs = features.ours_of(30, 20, 50), features.Plain(30, 20, 50)
    theirs.generator.W, theirs.generator.b = (
        t.transpose(0, 1).contiguous()
        for t in (ours.generator.weights, ours.generator.biases[..., None])
    )
    with torch.no_grad():
        theirs.critic.inner.weight.copy_(ours.critic.weights)
        theirs.critic.inner.bias.copy_(ours.critic.biases)
    theta = theirs.generator.theta.detach()[0].clone()
    x, z, other = theirs.draw()
    theirs.draw = lambda: (x, z, other)  # type: ignore[method-assign]
    theirs.step()
    with _Minibatches(ours.generator, ours.critic, 1) as minibatches:
        eta = minibatches.real_mean(x) - minibatches.fake_mean(theta, z.T)
        gradient, _ = minibatches.gradient(theta, eta, other.T)
    assert torch.allclose(theirs.critic.eta[:, 0], eta, atol=1e-5)
    moved = theirs.generator.theta.detach()[0] - theta
    assert torch.allclose(moved, -0.05 / 30 * gradient, rtol=1e-3, atol=1e-4 * float(moved.norm()))


def test_table_of_features_says_ratio_and_floor(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(features, "SETTINGS", [(50, 20, 100, 999.0)])
    assert not features.table(2, quick=True)
    torch.set_num_threads(1)
    row = capsys.readouterr().out.splitlines()[-1].split()
    assert row[:3] == ["50", "20", "100"]
    plain_ms, our_ms, floor_ms = (min(map(float, cell.split("/"))) for cell in row[3:6])
    assert min(plain_ms, our_ms) > 0
    assert floor_ms >= 0
    assert float(row[6]) == pytest.approx(plain_ms / our_ms, rel=0.5)
