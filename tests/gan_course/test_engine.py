"""The engine around the loop: ensembles, groups, checkpoints, interrupts, diverging seeds."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from gan_course import losses, nets
from gan_course import regularizers as reg
from gan_course import train as module
from gan_course.compiled import CompiledMove
from gan_course.data import Empirical, Normal, ring
from gan_course.game import Game
from gan_course.random import Role, Streams
from gan_course.train import SGD, Adam, RMSProp, Run, train

RING = ring(4, std=0.1)
CRITIC = nets.mlp(2, 16, 16, 1, activation="tanh")
REGULARIZERS = [
    reg.Clipping(0.1), reg.SpectralNorm(), reg.GradientPenalty(), reg.DRAGAN(), reg.CodedDRAGAN(),
    reg.R1(), reg.R2(), reg.Consistency(), reg.InstanceNoise(), reg.InstanceNoise(anneal=True),
    reg.GradientNorm(), reg.Consensus(0.1), reg.Unrolled(2),
]  # fmt: skip


@pytest.fixture
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def _convolutional() -> nn.Module:
    """A critic of every kind of state: batch normalization, weights in a convolution."""
    return nn.Sequential(
        nn.Unflatten(1, (1, 1, 2)), nn.Conv2d(1, 4, 1), nn.BatchNorm2d(4), nn.LeakyReLU(0.2),
        nn.Flatten(), nn.Linear(8, 1),
    )  # fmt: skip


def _game(
    loss: losses.Loss = losses.non_saturating,
    regularizers: object = (),
    critic: nets.Recipe = CRITIC,
) -> Game:
    return Game(nets.mlp(2, 16, 2, activation="tanh"), critic, loss, Normal(dim=2), regularizers)


def _train(game: Game | None = None, **options: object) -> Run:
    settings = {"seeds": [1, 2, 3], "steps": 12, "batch": 16, "record_every": 4} | options
    return train(game or _game(), RING, **settings)  # type: ignore[arg-type]


def _equal(one: Run, two: Run) -> bool:
    pairs = ((one.generator, two.generator), (one.critic, two.critic))
    return all(
        torch.equal(a, b)
        for ours, theirs in pairs
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    )


# --- ensembles ------------------------------------------------------------------------------------


@pytest.mark.parametrize("regularizer", [*REGULARIZERS, ()], ids=lambda r: type(r).__name__)
def test_a_seed_alone_is_the_seed_among_64(regularizer: object, double: None) -> None:
    """To 1e-7 in float64 after 20 steps: 1e-16 of rounding, in other orders of summation, which
    Adam's first steps, of full size whatever the gradient's, magnify. In float32 the same
    arithmetic leaves 1e-4, which could hide a fault of the streams."""
    game = _game(regularizers=regularizer)
    options = {"steps": 20, "batch": 8, "optimizer": Adam(1e-3)}
    together = _train(game, seeds=range(64), **options)
    for seed in (0, 37, 63):
        alone = _train(game, seeds=[seed], **options)
        gap = (together.sample(32)[seed] - alone.sample(32)[0]).abs().max()
        assert gap < 1e-7
    other = (together.sample(32)[36] - together.sample(32)[37]).abs().max()
    assert other > 1e-3


@pytest.fixture
def in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut small ensembles, too."""
    monkeypatch.setattr(module, "_WHOLE", 0)


@pytest.mark.parametrize(
    ("seeds", "options", "groups"),
    [
        (16, {"batch": 100}, 1),
        (16, {"batch": 3200}, 2),  # points times 337 parameters: a little above the border
        (300, {"batch": 100}, 1),
        (300, {"batch": 200}, 18),
        (3, {"compile": True}, 2),
    ],
)
def test_small_ensembles_stay_whole(
    seeds: int, options: dict[str, int], groups: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Compiled moves run beside each other, whatever their size: they leave Python alone."""
    seen = []

    class Noted(module._Group):  # type: ignore[misc]
        def __init__(self, *args: object) -> None:
            seen.append(self)
            super().__init__(*args)

        def compile(self, others: object) -> None:
            pass

    monkeypatch.setattr(module, "_Group", Noted)
    _train(seeds=range(seeds), steps=1, **options)
    assert len(seen) == groups


def test_groups_and_a_whole_give_the_same_numbers(
    double: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _train(seeds=range(20))
    monkeypatch.setattr(module, "_WHOLE", 0)
    assert _gap(whole, _train(seeds=range(20))) < 1e-7


@pytest.mark.parametrize(
    "critic", [nets.each(_convolutional), nets.mlp(2, 8, 1)], ids=["each", "mlp"]
)
def test_more_cores_give_the_same_numbers(
    critic: nets.Recipe, in_groups: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    game, runs = _game(critic=critic), []
    for cores in (1, 2, 5):
        monkeypatch.setattr(module, "cores", lambda n=cores: n)
        runs.append(_train(game, seeds=range(20)))
    assert _equal(runs[0], runs[1])
    assert _equal(runs[0], runs[2])


def test_how_often_the_loop_looks_up_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = _train(record_every=12)
    monkeypatch.setattr(module, "_BREATH", 0.0)
    assert _equal(slow, _train(record_every=1))


# --- compiled moves -------------------------------------------------------------------------------


def _gap(one: Run, two: Run) -> float:
    """Largest difference of any parameter."""
    pairs = ((one.generator, two.generator), (one.critic, two.critic))
    return max(
        float((a - b).detach().abs().max())
        for ours, theirs in pairs
        for a, b in zip(ours.parameters(), theirs.parameters(), strict=True)
    )


@pytest.fixture
def noted_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play the operations that were noted, one by one, and spare the compiler."""
    monkeypatch.setattr(module, "CompiledMove", partial(CompiledMove, backend="eager"))


@pytest.mark.parametrize(
    ("loss", "simultaneous"), [(losses.minimax, False), (losses.wasserstein, True)]
)
@pytest.mark.parametrize("regularizer", [*REGULARIZERS, ()], ids=lambda r: type(r).__name__)
def test_noted_moves_are_the_moves(
    regularizer: object, loss: losses.Loss, simultaneous: bool, double: None, noted_only: None
) -> None:
    """To rounding, after some steps."""
    game = _game(loss, regularizer)
    options = {"seeds": range(2), "steps": 4, "batch": 8, "simultaneous": simultaneous}
    plain, compiled = (_train(game, **options, compile=c) for c in (False, True))
    assert _gap(plain, compiled) < 1e-8
    assert _gap(plain, _train(game, **(options | {"steps": 3}))) > 1e-6
    for name, values in plain.history.items():
        np.testing.assert_allclose(compiled.history[name], values, rtol=1e-6)


def test_groups_of_two_sizes_are_compiled_each(noted_only: None) -> None:
    assert _gap(*(_train(seeds=range(3), compile=c) for c in (False, True))) < 1e-4


def test_compiled_moves_are_the_moves(double: None) -> None:
    """With the real compiler, for one game that has all kinds of operations."""
    game = _game(losses.wasserstein, [reg.GradientPenalty(), reg.InstanceNoise(anneal=True)])
    options = {"seeds": [1, 2], "critic_steps": 2}
    plain, compiled = (_train(game, **options, compile=c) for c in (False, True))
    assert 0 < _gap(plain, compiled) < 1e-8  # not the same program, then


def test_any_module_without_a_state_compiles(double: None, noted_only: None) -> None:
    game = _game(
        critic=nets.each(lambda: nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1)))
    )
    assert _gap(_train(game), _train(game, compile=True)) < 1e-8
    with pytest.raises(ValueError, match="critic has buffers"):
        _train(_game(critic=nets.each(_convolutional)), compile=True)


def test_a_compiled_run_is_resumed_bit_for_bit(tmp_path: Path, noted_only: None) -> None:
    options = {"compile": True, "checkpoint": tmp_path / "run.pt"}
    part = _train(metrics={"m": _stopping(3)}, **options)
    assert part.steps == [0, 4]
    whole = _train(compile=True)
    assert _equal(whole, _train(metrics={"m": _stopping(99)}, **options))


def test_no_compiler_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*args: object) -> None:
        raise RuntimeError("no C++ here")

    monkeypatch.setattr("torch.compile", lambda *a, **k: failing)
    with pytest.raises(RuntimeError, match="no C") as caught:
        _train(compile=True)
    assert any("needs a C++ compiler" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("loss", losses.LOSSES.values(), ids=lambda one: one.name)
@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=lambda r: type(r).__name__)
def test_every_loss_takes_every_regularizer(
    loss: losses.Loss, regularizer: reg.Regularizer
) -> None:
    run = _train(_game(loss, regularizer), steps=4)
    assert (run.diverged == -1).all()
    plain = _train(_game(loss), steps=4)
    assert not torch.allclose(run.sample(8), plain.sample(8), atol=1e-6)


@pytest.mark.parametrize("regularizer", REGULARIZERS, ids=lambda r: type(r).__name__)
def test_any_module_can_be_trained(regularizer: reg.Regularizer) -> None:
    def critic() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))

    run = _train(_game(regularizers=regularizer, critic=nets.each(critic)), steps=4)
    assert (run.diverged == -1).all()
    assert not torch.equal(
        run.at(0).sample(4) if run.snapshots else run.sample(4)[0], run.sample(4)[1]
    )


def test_convolutional_nets_learn_pictures() -> None:
    """Constant pictures of 0.5: the generator's mean gray comes close from around 0."""
    game = Game(
        nets.convolutional_generator(8, 4, width=4), nets.convolutional_critic(8, width=4),
        losses.non_saturating, Normal(dim=4), reg.SpectralNorm(),
    )  # fmt: skip
    gray = Empirical(torch.full((4, 64), 0.5))
    run = train(
        game, gray, seeds=[0, 1], steps=150, batch=16, optimizer=Adam(5e-3), snapshots=[0],
        generator_optimizer=Adam(5e-3),
    )  # fmt: skip
    before, after = ((r.sample(64).mean((1, 2)) - 0.5).abs() for r in (run.at(0), run))
    assert (after < before / 3).all()


# --- the loop against plain PyTorch ---------------------------------------------------------------


@pytest.mark.parametrize("simultaneous", [False, True])
@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam"])
def test_loop_is_the_plain_loop(optimizer: str, simultaneous: bool, double: None) -> None:
    """Every optimizer with two step sizes, both orders of play, to 1e-8 after 15 steps."""
    ours = {"sgd": SGD, "rmsprop": RMSProp, "adam": Adam}[optimizer]
    theirs = {
        "sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop,
        "adam": lambda p, lr: torch.optim.Adam(p, lr, betas=(0.5, 0.9)),
    }[optimizer]  # fmt: skip
    game = _game(losses.minimax)
    run = _train(
        game, seeds=[4, 9], steps=15, optimizer=ours(2e-2), generator_optimizer=ours(1e-2),
        simultaneous=simultaneous,
    )  # fmt: skip
    for i, seed in enumerate(run.seeds):
        start = Streams([seed], role=Role.INIT)
        generator, critic = game.generator(start), game.critic(start)
        step_d = theirs(critic.parameters(), lr=2e-2)
        step_g = theirs(generator.parameters(), lr=1e-2)
        data, noise = (Streams([seed], role=role) for role in (Role.DATA, Role.NOISE))
        for _ in range(15):
            fake = generator(game.noise.sample(16, noise)).detach()
            real = critic(RING.sample(16, data)).sigmoid()
            loss_d = -real.log().mean() - (1 - critic(fake).sigmoid()).log().mean()
            step_d.zero_grad()
            loss_d.backward()
            if not simultaneous:
                step_d.step()
            fake = generator(game.noise.sample(16, noise))
            loss_g = (1 - critic(fake).sigmoid()).log().mean()
            step_g.zero_grad()
            gradients = torch.autograd.grad(loss_g, list(generator.parameters()))
            for parameter, gradient in zip(generator.parameters(), gradients, strict=True):
                parameter.grad = gradient
            if simultaneous:
                step_d.step()
            step_g.step()
        for net, plain in ((run.generator, generator), (run.critic, critic)):
            for a, b in zip(net.parameters(), plain.parameters(), strict=True):
                assert torch.allclose(a[i], b[0], rtol=0, atol=1e-8)


def test_losses_are_recorded() -> None:
    run = _train(steps=8)
    for name in ("critic loss", "generator loss"):
        assert run.history[name].shape == (3, 3)
        assert np.isnan(run.history[name][:, 0]).all()
        assert np.isfinite(run.history[name][:, 1:]).all()
    assert run.history["critic loss"][:, -1] == pytest.approx(2 * np.log(2), abs=0.5)


# --- checkpoints ----------------------------------------------------------------------------------


def _stopping(at: int) -> object:
    """A metric that stops the run once, when it is measured for the ``at``-th time."""
    calls = []

    def metric(run: Run) -> np.ndarray:
        calls.append(1)
        if len(calls) == at:
            raise KeyboardInterrupt
        return run.sample(4).mean((1, 2)).numpy()

    return metric


@pytest.mark.parametrize(
    ("game", "options"),
    [
        (_game(), {}),
        (_game(), {"optimizer": RMSProp(1e-3)}),
        (_game(), {"optimizer": SGD(1e-2), "seeds": range(18), "simultaneous": True}),
        (_game(regularizers=[reg.SpectralNorm(), reg.GradientPenalty()]), {"critic_steps": 3}),
        (_game(regularizers=reg.InstanceNoise(anneal=True)), {}),
        (_game(critic=nets.each(_convolutional)), {}),
        (_game(regularizers=reg.Unrolled(2)), {}),
    ],
    ids=["adam", "rmsprop", "sgd", "spectral", "annealed", "batchnorm", "unrolled"],
)
def test_resumed_run_is_the_run_without_the_break(
    game: Game, options: dict, in_groups: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = options | {"snapshots": [0, 4, 10]}
    whole = _train(game, metrics={"m": _stopping(99)}, **options)
    path = tmp_path / "run.pt"
    part = _train(game, metrics={"m": _stopping(3)}, checkpoint=path, **options)
    assert part.steps == [0, 4]
    assert "interrupted at step 8 of 12" in capsys.readouterr().out
    again = _train(game, metrics={"m": _stopping(99)}, checkpoint=path, **options)
    assert _equal(whole, again)
    assert not _equal(part, again)
    assert sorted(again.snapshots) == [0, 4, 10]
    assert torch.equal(again.at(4).sample(5), whole.at(4).sample(5))
    assert again.steps == whole.steps == [0, 4, 8, 12]
    assert again.history.keys() == whole.history.keys()
    for name, values in whole.history.items():
        assert np.array_equal(values, again.history[name], equal_nan=True)


def test_finished_checkpoint_is_read_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    first = _train(checkpoint=path)
    begin = time.perf_counter()
    second = _train(checkpoint=path, metrics={"x": _stopping(1)})
    assert _equal(first, second)
    assert second.steps == first.steps
    assert time.perf_counter() - begin < 5
    longer = _train(checkpoint=path, steps=16)
    assert longer.steps[-1] == 16
    assert _equal(longer, _train(steps=16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 8}, "made with plan .*batch=16.*batch=8"),
        ({"seeds": [1, 2, 4]}, r"made with seeds \[1, 2, 3\]"),
        ({"steps": 8}, "steps is 8; the checkpoint .* is already at 12"),
        ({"game": _game(losses.hinge)}, "made with plan"),
        ({"optimizer": Adam(2e-3)}, "made with plan"),
    ],
)
def test_foreign_checkpoint_is_refused(change: dict, message: str, tmp_path: Path) -> None:
    _train(checkpoint=tmp_path / "run.pt")
    with pytest.raises(ValueError, match=message):
        _train(checkpoint=tmp_path / "run.pt", **change)


def test_real_interrupt_leaves_every_seed_at_the_same_step(
    in_groups: None, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Ctrl-C in the middle of two threads' work: both finish the stretch, and the run goes on."""
    timer = threading.Timer(0.5, _thread.interrupt_main)

    def from_the_first_step(run: Run) -> torch.Tensor:
        if not (run.steps or timer.is_alive() or timer.finished.is_set()):
            timer.start()
        return torch.zeros(16)

    path = tmp_path / "run.pt"
    options = {
        "seeds": range(16), "record_every": 10_000, "metrics": {"none": from_the_first_step},
    }  # fmt: skip
    # A shell's background jobs are started deaf to Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        part = _train(steps=100_000, checkpoint=path, **options)
        timer.join()
    finally:
        signal.signal(signal.SIGINT, before)
    said = capsys.readouterr().out
    step = int(said.split("interrupted at step ")[1].split()[0])
    assert 0 < step < 100_000
    assert _equal(part, _train(steps=step, **options))


# --- seeds that diverge ---------------------------------------------------------------------------


def test_diverging_seed_is_masked_and_the_others_go_on() -> None:
    points = torch.stack([torch.zeros(4, 2), torch.full((4, 2), 1e38), torch.ones(4, 2)])
    seen = []

    def metric(run: Run) -> torch.Tensor:
        seen.append(run.seeds)
        return run.sample(3).mean((1, 2))

    game = _game(losses.wasserstein, critic=nets.mlp(2, 8, 1))
    options = {"steps": 8, "record_every": 4, "batch": 8, "optimizer": SGD(0.1)}
    with pytest.warns(RuntimeWarning, match="diverged by step 1 and masked: seeds 6"):
        run = train(game, Empirical(points), seeds=[5, 6, 7], metrics={"m": metric}, **options)
    assert run.diverged.tolist() == [-1, 1, -1]
    assert seen == [[5, 6, 7], [5, 7], [5, 7]]
    assert np.isnan(run.history["m"][1, 1:]).all()
    assert np.isfinite(run.history["m"][[0, 2]]).all()
    assert run.alive().seeds == [5, 7]
    alone = train(game, Empirical(points[2]), seeds=[7], **options)
    assert torch.allclose(run.sample(9)[2], alone.sample(9)[0], rtol=0, atol=1e-4)


def test_all_seeds_may_diverge() -> None:
    far = Empirical(torch.full((4, 2), 1e38))
    with pytest.warns(RuntimeWarning, match="seeds 0, 1"):
        run = train(
            _game(losses.wasserstein, critic=nets.mlp(2, 8, 1)), far, seeds=[0, 1], steps=4,
            batch=8, optimizer=SGD(0.1), record_every=2, metrics={"m": _stopping(99)},
        )  # fmt: skip
    assert np.isnan(run.history["m"][:, 1:]).all()


# --- bad input ------------------------------------------------------------------------------------


class _Broken:
    dim = 2

    def sample(self, n: int, source: Streams) -> torch.Tensor:
        return torch.full((len(source), n, 2), torch.nan)


def test_bad_arguments_are_named() -> None:
    with pytest.raises(ValueError, match="data draws a NaN"):
        train(_game(), _Broken(), seeds=[0], steps=1)
    wide = nets.mlp(3, 8, 1)
    with pytest.raises(ValueError, match=r"critic does not take .* data, .* dimension 2"):
        _train(_game(critic=wide))
    with pytest.raises(ValueError, match=r"critic gives shape \(3, 256, 2\).*\(3, 256, 1\)"):
        _train(_game(critic=nets.mlp(2, 8, 2)))
    with pytest.raises(ValueError, match="generator does not take the points of noise"):
        _train(Game(nets.mlp(5, 2), nets.mlp(2, 1), losses.minimax, Normal(dim=2)))
    with pytest.raises(ValueError, match="critic does not take"):
        module.fit_critic(wide, losses.minimax, RING, RING, seeds=[0], steps=1)
    with pytest.raises(ValueError, match="data draws a NaN"):
        module.fit_critic(nets.mlp(2, 1), losses.minimax, _Broken(), RING, seeds=[0], steps=1)
    with pytest.raises(ValueError, match="critic_steps is 3; allowed with simultaneous is 1"):
        _train(simultaneous=True, critic_steps=3)
    with pytest.raises(ValueError, match="regularizers holds 'R1'"):
        _game(regularizers=["R1"])
    with pytest.raises(ValueError, match="seeds is empty"):
        _train(seeds=[])
