"""The training loop against plain single-seed PyTorch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from gan_course import losses, nets
from gan_course.data import Mixture, Normal
from gan_course.random import Role, Streams
from gan_course.train import SGD, Adam, Game, Run, fit_critic, train

TARGET = Mixture([-1.5, 1.5], [0.4, 0.4])


@pytest.fixture
def double() -> Iterator[None]:
    """Float64: in float32 two orders of summation drift apart, and Adam magnifies it."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _game(loss: losses.Loss = losses.minimax, activation: str = "tanh") -> Game:
    net = nets.mlp(1, 16, 16, 1, activation=activation)
    return Game(net, net, loss)


def _plain(game: Game, seed: int, steps: int, k: int) -> tuple[nn.Module, nn.Module]:
    """Algorithm 1 in plain PyTorch for one seed, from the same initial values and noise."""
    start = Streams([seed], role=Role.INIT)
    generator, critic = game.generator(start), game.critic(start)
    draws, noise = Streams([seed], role=Role.DATA), Streams([seed], role=Role.NOISE)
    opt_d = torch.optim.Adam(critic.parameters(), lr=1e-3, betas=(0.5, 0.9))
    opt_g = torch.optim.Adam(generator.parameters(), lr=1e-3, betas=(0.5, 0.9))
    for _ in range(steps):
        for _ in range(k):
            x = TARGET.sample(32, draws)
            fake = generator(game.noise.sample(32, noise)).detach()
            opt_d.zero_grad()
            d_real, d_fake = critic(x).sigmoid(), critic(fake).sigmoid()
            (-d_real.log().mean() - (1 - d_fake).log().mean()).backward()
            opt_d.step()
        opt_g.zero_grad()
        d_fake = critic(generator(game.noise.sample(32, noise))).sigmoid()
        minimax = game.loss is losses.minimax
        ((1 - d_fake).log().mean() if minimax else -d_fake.log().mean()).backward()
        opt_g.step()
    return generator, critic


@pytest.mark.parametrize("loss", [losses.minimax, losses.non_saturating], ids=lambda x: x.name)
@pytest.mark.parametrize("k", [1, 3])
def test_train_is_algorithm_1(loss: losses.Loss, k: int, double: None) -> None:
    """To 1e-9 after 20 steps: float64 sums in another order, times Adam's gain."""
    game = _game(loss)
    run = train(game, TARGET, seeds=[4, 9], steps=20, batch=32, critic_steps=k)
    for i, seed in enumerate(run.seeds):
        for ours, plain in zip((run.generator, run.critic), _plain(game, seed, 20, k), strict=True):
            for a, b in zip(ours.parameters(), plain.parameters(), strict=True):
                assert torch.allclose(a[i], b[0], rtol=0, atol=1e-9)


def test_a_seed_trains_the_same_alone_and_among_others(double: None) -> None:
    together = train(_game(), TARGET, seeds=range(8), steps=30, batch=32).sample(16)
    alone = train(_game(), TARGET, seeds=[5], steps=30, batch=32).sample(16)
    assert torch.allclose(together[5], alone[0], rtol=0, atol=1e-9)
    assert not torch.allclose(together[4], alone[0], atol=1e-3)


def test_same_seeds_same_result() -> None:
    first, second = (train(_game(), TARGET, seeds=[1, 2], steps=10, batch=16) for _ in range(2))
    assert torch.equal(first.sample(8), second.sample(8))


def test_watching_does_not_change_a_run() -> None:
    plain = train(_game(), TARGET, seeds=[1, 2], steps=10, batch=16)
    watched = train(
        _game(), TARGET, seeds=[1, 2], steps=10, batch=16, record_every=1, snapshots=range(11),
        metrics={"mean": lambda run: run.sample(8).mean((1, 2))},
    )  # fmt: skip
    assert torch.equal(plain.sample(8), watched.sample(8))


def test_history_and_snapshots() -> None:
    def mean(run: Run) -> torch.Tensor:
        return run.sample(8).mean((1, 2))

    run = train(
        _game(), TARGET, seeds=[1, 2, 3], steps=7, batch=16, record_every=3,
        metrics={"mean": mean}, snapshots=(0, 7),
    )  # fmt: skip
    assert run.steps == [0, 3, 6, 7]
    assert run.history["mean"].shape == (3, 4)
    assert np.allclose(run.history["mean"][:, 0], mean(run.at(0)))
    assert np.allclose(run.history["mean"][:, -1], mean(run))
    with pytest.raises(ValueError, match=r"step is 5.*\[0, 7\]"):
        run.at(5)


def test_interrupting_returns_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    calls = []

    def interrupt(run: Run) -> np.ndarray:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return np.zeros(1)

    run = train(
        _game(), TARGET, seeds=[0], steps=10, batch=8, record_every=1, metrics={"x": interrupt}
    )
    assert run.steps[:3] == [0, 1, 2]
    assert "interrupted at step 3 of 10" in capsys.readouterr().out


def test_threads_are_given_back() -> None:
    before = torch.get_num_threads()
    train(_game(), TARGET, seeds=[0], steps=1, batch=4)
    assert torch.get_num_threads() == before


def test_fit_critic_finds_the_density_ratio() -> None:
    """Between N(0, 1) and N(1, 1) the best logit is 1/2 - x: a linear critic finds it."""
    critic = fit_critic(
        nets.mlp(1, 1), losses.minimax, Normal(), Normal(1.0), seeds=range(4), steps=1500,
        batch=512, optimizer=Adam(5e-3),
    )  # fmt: skip
    weight, bias = (p.detach().flatten() for p in critic.parameters())
    assert torch.allclose(weight, torch.full((4,), -1.0), atol=0.15)
    assert torch.allclose(bias, torch.full((4,), 0.5), atol=0.15)


def test_generator_step_leaves_the_critic_alone() -> None:
    """With a critic that cannot move, its parameters stay, and the generator descends."""
    game = Game(nets.shift(2.0), nets.mlp(1, 8, 1), losses.non_saturating)
    run = train(
        game, Normal(), seeds=[0, 1], steps=5, batch=64, optimizer=SGD(0.0),
        generator_optimizer=SGD(0.1), snapshots=(0,),
    )  # fmt: skip
    before, after = run.at(0).critic.parameters(), run.critic.parameters()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not torch.equal(run.at(0).sample(4), run.sample(4))


@pytest.mark.parametrize("name", ["steps", "batch", "critic_steps"])
def test_bad_budget(name: str) -> None:
    arguments = {"steps": 1, "batch": 1, "critic_steps": 1} | {name: 0}
    with pytest.raises(ValueError, match=f"{name} is 0"):
        train(_game(), TARGET, seeds=[0], **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"record_every": 0}, "record_every is 0"),
        ({"snapshots": [0, 99]}, r"snapshots is \[0, 99\].*0 to 2"),
        ({"metrics": {"x": lambda run: np.zeros(())}}, r"metrics\['x'\] gives shape \(\)"),
        ({"metrics": {"x": lambda run: np.zeros(5)}}, "one value a seed"),
    ],
)
def test_bad_records(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train(_game(), TARGET, seeds=[0, 1], steps=2, batch=4, **arguments)  # type: ignore[arg-type]


def test_bad_dimensions_and_seeds() -> None:
    with pytest.raises(ValueError, match="data has dimension 3; the generator's points have 1"):
        train(_game(), Normal(dim=3), seeds=[0], steps=1)
    with pytest.raises(ValueError, match="fake has dimension 2"):
        fit_critic(nets.mlp(1, 1), losses.minimax, Normal(), Normal(dim=2), seeds=[0], steps=1)
    with pytest.raises(ValueError, match="seeds is empty"):
        train(_game(), TARGET, seeds=[], steps=1)
