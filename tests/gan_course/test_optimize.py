"""Curvature products, conjugate gradients, Hessian-free and SGD against explicit matrices."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import cg
from torch import Tensor
from torch.func import grad, hessian, jacrev
from torch.nn.functional import cross_entropy

from gan_course import nets, optimize, train
from gan_course.random import Role, Streams
from gan_course.runtime import one_thread

entropy = st.integers(0, 10**6)


@pytest.fixture(autouse=True)
def single() -> Iterator[None]:
    with one_thread():
        yield


def normal(seed: int, *shape: int) -> Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=shape))


def network(*sizes: int, seeds: int = 1, activation: str = "tanh"):
    net = nets.mlp(*sizes, activation=activation)(Streams(range(seeds), role=Role.INIT))
    return optimize.flatten(net.double())


def positive(seed: int, n: int) -> Tensor:
    root = normal(seed, n, n)
    return root @ root.T + 0.1 * torch.eye(n, dtype=torch.float64)


# --- products -------------------------------------------------------------------------------------


@pytest.mark.parametrize("sizes", [(3, 4, 1), (3, 4, 2), (3, 5, 5, 9)])
def test_both_orders_are_the_hessian_times_the_vector(sizes: tuple[int, ...]) -> None:
    (theta,), forward = network(*sizes)
    x, v = normal(1, 7, 3), normal(2, len(theta))

    def loss(t: Tensor) -> Tensor:
        return forward(t, x).square().sum() + t.sin().sum()

    exact = hessian(loss)(theta) @ v
    assert torch.allclose(optimize.forward_over_reverse(loss, theta, v), exact, rtol=0, atol=1e-10)
    assert torch.allclose(optimize.reverse_over_forward(loss, theta, v), exact, rtol=0, atol=1e-10)


def test_gauss_newton_is_the_hessian_of_the_linearized_loss() -> None:
    (theta,), forward = network(3, 4, 3)
    x, labels, v = normal(1, 5, 3), torch.tensor([0, 1, 2, 0, 1]), normal(2, len(theta))

    def outputs(t: Tensor) -> Tensor:
        return forward(t, x)

    def loss(z: Tensor) -> Tensor:
        return cross_entropy(z, labels)

    value, gradient, product = optimize.gauss_newton(outputs, loss, theta)
    made, J = outputs(theta), jacrev(outputs)(theta)
    exact = hessian(lambda d: loss(made + J @ d))(torch.zeros_like(theta))
    assert torch.allclose(value, loss(made))
    assert torch.allclose(gradient, grad(lambda t: loss(outputs(t)))(theta))
    assert torch.allclose(product(v), exact @ v, atol=1e-12)
    assert torch.allclose(product(2 * v), 2 * product(v))  # the pull-back is used again
    for tensor in (value, gradient, product(v)):
        assert not tensor.requires_grad


@settings(max_examples=20, deadline=None)
@given(entropy)
def test_gauss_newton_is_never_negative_for_convex_losses(seed: int) -> None:
    (theta,), forward = network(2, 3, 2)
    x = normal(seed, 4, 2)
    product = optimize.gauss_newton(
        lambda t: forward(t, x), lambda z: z.exp().sum(), theta + normal(seed, len(theta))
    )[2]
    v = normal(seed + 1, len(theta))
    assert v @ product(v) >= -1e-10


def test_flat_networks_compute_what_the_network_does() -> None:
    net = nets.mlp(3, 4, 2)(Streams([1, 2, 3], role=Role.INIT))
    theta, forward = optimize.flatten(net)
    x = normal(1, 5, 3).float()
    assert theta.shape == (3, 3 * 4 + 4 + 4 * 2 + 2)
    assert torch.equal(forward(theta, x), net(x))
    each = normal(2, 3, 5, 3).float()
    assert torch.equal(forward(theta, each), net(each))
    for k in range(3):
        assert torch.allclose(forward(theta[k], x), net(x)[k], atol=1e-6)
    with pytest.raises(ValueError, match=r"theta has shape \(5,\); allowed are \(26,\)"):
        forward(theta[0, :5], x)
    spectral = nets.mlp(3, 4, 1, spectral=True)(Streams([0]))
    with pytest.raises(ValueError, match="net has buffers"):
        optimize.flatten(spectral)


def test_peak_memory_counts_living_storages_once() -> None:
    a = torch.ones(1000, dtype=torch.float64)
    assert optimize.peak_memory(lambda: a + 1) == 8000
    assert optimize.peak_memory(lambda: (a + 1).reshape(10, 100).T) == 8000  # views are free
    assert optimize.peak_memory(lambda: (a + 1, a + 2)) == 16000
    assert optimize.peak_memory(lambda: ((a + 1) + 1) + 1) == 16000  # the first is gone by then
    assert optimize.peak_memory(lambda: a.add_(0)) == 0
    assert optimize.peak_memory(lambda: None) == 0


# --- conjugate gradients --------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(entropy, st.integers(1, 12), st.integers(1, 12))
def test_conjugate_gradients_are_scipys(seed: int, n: int, steps: int) -> None:
    A, b = positive(seed, n), normal(seed + 1, n)
    found = optimize.conjugate_gradient(lambda v: A @ v, b, steps=min(steps, n), tolerance=0)
    theirs, _ = cg(A.numpy(), b.numpy(), rtol=0, maxiter=min(steps, n))
    scale = 1 + float(np.abs(theirs).max())
    assert np.allclose(found.x, theirs, atol=1e-6 * scale)
    assert found.negative is None
    assert math.isclose(found.residuals[0], float(b.norm()))
    assert torch.allclose(found.residual, b - A @ found.x, atol=1e-6 * scale)


def test_as_many_steps_as_eigenvalues() -> None:
    Q = torch.linalg.qr(normal(1, 30, 30))[0]
    A, b = Q @ torch.diag(torch.tensor([1.0, 4.0, 9.0] * 10).double()) @ Q.T, normal(2, 30)
    found = optimize.conjugate_gradient(lambda v: A @ v, b)
    assert found.steps == 3
    assert torch.allclose(A @ found.x, b)
    again = optimize.conjugate_gradient(lambda v: A @ v, b, start=found.x, tolerance=1e-8)
    assert again.steps == 0
    assert torch.equal(again.x, found.x)


def test_residuals_are_orthogonal_and_directions_conjugate() -> None:
    A, b, seen = positive(3, 8), normal(4, 8), []

    def product(v: Tensor) -> Tensor:
        seen.append(v)
        return A @ v

    optimize.conjugate_gradient(product, b, steps=5)
    P = torch.stack(seen)
    between = P @ A @ P.T
    assert (between - torch.diag(torch.diagonal(between))).abs().max() < 1e-9 * between.max()


def test_negative_curvature_stops_it() -> None:
    A, b = torch.diag(torch.tensor([3.0, 1.0, -0.5]).double()), torch.ones(3).double()
    found = optimize.conjugate_gradient(lambda v: A @ v, b)
    assert found.negative is not None
    p = found.negative
    assert p @ A @ p < 0
    falls = [float(y @ A @ y / 2 - b @ y) for t in (0, 1, 2, 9) for y in [found.x + t * p]]
    assert all(later < earlier for earlier, later in itertools.pairwise(falls))
    assert (
        optimize.conjugate_gradient(lambda v: A @ v, b * torch.tensor([1, 1, 0])).negative is None
    )
    flat = optimize.conjugate_gradient(lambda v: 0 * v, b)
    assert flat.negative is not None
    assert flat.steps == 0


def test_nothing_to_solve() -> None:
    found = optimize.conjugate_gradient(lambda v: v, torch.zeros(3))
    assert found.steps == 0
    assert not found.x.any()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"b": torch.ones(2, 2)}, r"b has shape \(2, 2\)"),
        ({"b": torch.tensor([1.0, math.nan])}, "finite"),
        ({"b": torch.ones(0)}, r"b has shape \(0,\)"),
        ({"start": torch.ones(3)}, r"start has shape \(3,\); allowed is \(2,\)"),
        ({"steps": 0}, "steps is 0"),
        ({"tolerance": -1.0}, "tolerance is -1"),
        ({"tolerance": math.nan}, "tolerance is nan"),
    ],
)
def test_bad_systems_are_refused(changed: dict, message: str) -> None:
    arguments = {"b": torch.ones(2)} | changed
    with pytest.raises(ValueError, match=message):
        optimize.conjugate_gradient(lambda v: v, arguments.pop("b"), **arguments)


# --- Hessian-free ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ratio", "factor"),
    [(-1, 1.5), (0.2499, 1.5), (0.25, 1), (0.5, 1), (0.75, 1), (0.7501, 2 / 3), (3, 2 / 3),
     (math.nan, 1.5), (-math.inf, 1.5)],
)  # fmt: skip
def test_levenberg_marquardt(ratio: float, factor: float) -> None:
    assert math.isclose(optimize.levenberg_marquardt(0.6, ratio), 0.6 * factor)


@pytest.mark.parametrize("damping", [0.0, -1.0, math.nan])
def test_damping_must_be_positive(damping: float) -> None:
    with pytest.raises(ValueError, match="damping is"):
        optimize.levenberg_marquardt(damping, 0.5)
    with pytest.raises(ValueError, match="damping is"):
        optimize.hessian_free(
            lambda t: t[None], torch.sum, torch.ones(2), sweeps=9, damping=damping
        )


def test_a_linear_network_with_squared_error_is_solved() -> None:
    X, y = normal(1, 40, 5), normal(2, 40)
    run = optimize.hessian_free(
        lambda t: (X @ t)[:, None], lambda z: (z[:, 0] - y).square().sum() / 2,
        torch.zeros(5).double(), sweeps=200, damping=1.0, tolerance=1e-8,
    )  # fmt: skip
    best = torch.linalg.lstsq(X, y[:, None]).solution[:, 0]
    assert torch.allclose(run.theta, best, atol=1e-6)
    assert run.dampings[1] == pytest.approx(1 / 1.5)  # the model is exact


def test_the_loss_never_rises_and_the_budget_holds() -> None:
    (theta,), forward = network(3, 6, 3)
    x, labels, calls = normal(1, 30, 3), torch.arange(30) % 3, [0]

    def outputs(t: Tensor) -> Tensor:
        calls[0] += 1
        return forward(t, x)

    for sweeps in (3, 4, 20, 90):
        calls[0] = 0
        run = optimize.hessian_free(
            outputs, lambda z: cross_entropy(z, labels), theta, sweeps=sweeps, damping=1e-3
        )
        assert calls[0] == run.sweeps[-1] <= sweeps
        assert (np.diff(run.losses) <= 0).all()
        assert len(run.losses) == len(run.sweeps) == len(run.dampings) == len(run.inner) + 1
        assert run.losses[-1] == pytest.approx(float(cross_entropy(forward(run.theta, x), labels)))
        spent = 1 + np.cumsum(np.array(run.inner) + 1)
        assert run.sweeps[1:] == spent.tolist()
    assert run.losses[-1] < 0.7 * run.losses[0]
    assert run.after(0) == run.after(1) == run.losses[0]
    assert run.after(run.sweeps[2]) == run.losses[2]
    assert run.after(run.sweeps[2] - 1) == run.losses[1]
    assert run.after(1e9) == run.losses[-1]


def test_hessian_free_refuses() -> None:
    with pytest.raises(ValueError, match="sweeps is 2"):
        optimize.hessian_free(lambda t: t[None], torch.sum, torch.ones(2), sweeps=2)
    with pytest.raises(ValueError, match=r"start has shape \(1, 2\)"):
        optimize.hessian_free(lambda t: t[None], torch.sum, torch.ones(1, 2), sweeps=9)


def test_an_interrupt_returns_the_run_so_far(capsys: pytest.CaptureFixture[str]) -> None:
    calls = [0]

    def outputs(t: Tensor) -> Tensor:
        calls[0] += 1
        if calls[0] > 12:
            raise KeyboardInterrupt
        return t[None].sin()

    run = optimize.hessian_free(outputs, lambda z: z.square().sum(), torch.ones(4), sweeps=500)
    assert 1 < len(run.losses) < 12
    assert "this is the run so far" in capsys.readouterr().out


# --- minibatches ----------------------------------------------------------------------------------


def objective(X: Tensor):
    return lambda theta, rows: (X[rows] - theta[:, None]).square().sum(2).mean(1) / 2


def test_minibatches_on_all_data_are_gradient_descent() -> None:
    X, start = normal(1, 12, 2), normal(2, 3, 2)
    theta, losses = optimize.minibatch_descent(
        objective(X), start, 12, seeds=[4, 5, 6], passes=5, batch=12, optimizer=train.SGD(0.3)
    )
    assert torch.allclose(theta, X.mean(0) + 0.7**5 * (start - X.mean(0)))
    assert losses.shape == (3, 6)
    everything = torch.arange(12).expand(3, 12)
    assert torch.allclose(losses[:, 0], objective(X)(start, everything))
    assert torch.allclose(losses[:, -1], objective(X)(theta, everything))


def test_each_pass_uses_every_point_once_and_seeds_are_their_own() -> None:
    seen = []

    def watched(theta: Tensor, rows: Tensor) -> Tensor:
        if theta.requires_grad and torch.is_grad_enabled():
            seen.append(rows)
        return theta.sum(1)

    def play(seeds: list[int]) -> Tensor:
        seen.clear()
        optimize.minibatch_descent(
            watched, torch.zeros(len(seeds), 1), 7, seeds=seeds, passes=2, batch=3,
            optimizer=train.SGD(0.1),
        )  # fmt: skip
        return torch.stack(seen)

    both = play([1, 2])
    assert both.shape == (4, 2, 3)
    for k in range(2):
        for first in (0, 2):
            assert len(set(both[first : first + 2, k].flatten().tolist())) == 6
    assert torch.equal(play([2])[:, 0], both[:, 1])
    assert not torch.equal(both[:, 0], both[:, 1])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"passes": 0}, "passes is 0"),
        ({"batch": 13}, "batch is 13; allowed are 1 to 12"),
        ({"seeds": [1]}, r"start has shape \(3, 2\); allowed is \(1, n\)"),
    ],
)
def test_bad_descents_are_refused(changed: dict, message: str) -> None:
    arguments = {"seeds": [1, 2, 3], "passes": 1, "batch": 4, "optimizer": train.SGD(0.1)}
    with pytest.raises(ValueError, match=message):
        optimize.minibatch_descent(
            objective(normal(1, 12, 2)), normal(2, 3, 2), 12, **(arguments | changed)
        )


# --- projected SGD --------------------------------------------------------------------------------


@given(entropy)
@settings(max_examples=30, deadline=None)
def test_projections_give_the_nearest_points(seed: int) -> None:
    theta, center = 3 * normal(seed, 6, 2), normal(seed + 1, 2)
    for nearest, inside in (
        (optimize.ball(1.5, center), center + 1.5 * _disc(seed)),
        (optimize.box([-1, -2.0], 1), torch.rand(400, 2).double() * torch.tensor([2, 3])
         + torch.tensor([-1, -2])),
    ):  # fmt: skip
        found = nearest(theta)
        assert torch.allclose(nearest(found), found)
        gaps = (theta[:, None] - inside).norm(dim=2).min(1).values
        assert ((theta - found).norm(dim=1) <= gaps + 1e-9).all()
        a, b = found[:3], found[3:]
        assert ((a - b).norm(dim=1) <= (theta[:3] - theta[3:]).norm(dim=1) + 1e-9).all()


def _disc(seed: int) -> Tensor:
    points = normal(seed + 2, 400, 2)
    return points / points.norm(dim=1, keepdim=True) * torch.linspace(0, 1, 400)[:, None].sqrt()


def test_points_of_the_set_stay_bit_for_bit() -> None:
    inside = normal(1, 50, 3).clamp(-0.5, 0.5)
    assert torch.equal(optimize.ball(1.0)(inside), inside)
    assert torch.equal(optimize.box(-math.inf, [1, 2, 3])(inside), inside)


def test_the_steps_are_written_out() -> None:
    history = optimize.projected_sgd(
        lambda theta, streams: theta - 1, [4.0], seeds=[1, 2], steps=3,
        rate=lambda j: 0.5 / j, projection=optimize.box(2, 9),
    )  # fmt: skip
    expected, theta = [4.0], 4.0
    for j in (1, 2, 3):
        theta = max(2.0, theta - 0.5 / j * (theta - 1))
        expected.append(theta)
    assert history.shape == (2, 4, 1)
    assert history.dtype == torch.float64
    assert np.allclose(history[0, :, 0], expected)
    assert torch.equal(history[0], history[1])


def noisy(theta: Tensor, streams: Streams) -> Tensor:
    return theta + streams.normal(1, theta.shape[1])[:, 0]


def test_seeds_are_their_own_and_records_are_a_part() -> None:
    def play(seeds: list[int], **options: object) -> Tensor:
        return optimize.projected_sgd(noisy, [1.0, 0.0], seeds=seeds, steps=20, rate=0.1, **options)

    both = play([3, 8])
    assert torch.equal(play([8])[0], both[1])
    assert not torch.equal(both[0], both[1])
    assert torch.equal(play([3, 8], at=[1, 5, 21]), both[:, [0, 4, 20]])
    each = optimize.projected_sgd(
        noisy, [[1.0, 0.0], [5.0, 5.0]], seeds=[3, 8], steps=20, rate=lambda j: 0.1
    )
    assert torch.equal(each[0], both[0])


def test_the_mean_of_the_samples_is_sgd_with_rate_one_over_j() -> None:
    history = optimize.projected_sgd(noisy, [7.0], seeds=[5], steps=9, rate=lambda j: 1 / j)
    draws = -Streams([5], role=Role.DATA).normal(9, 1)[0, :, 0].double()
    means = draws.cumsum(0) / torch.arange(1, 10)
    assert torch.allclose(history[0, 1:, 0], means, atol=1e-6)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"steps": 0}, "steps is 0"),
        ({"at": [0, 1]}, r"at is \[0, 1\]; allowed are increasing integers from 1 to 6"),
        ({"at": [2, 1]}, "at is"),
        ({"at": []}, "at is"),
        ({"at": [7]}, "at is"),
        ({"start": [[1.0]] * 3}, r"start has shape \(3, 1\)"),
        ({"start": 1.0}, r"start has shape \(\)"),
        ({"start": [5.0]}, "allowed is a point of the set"),
        ({"gradient": lambda theta, streams: theta[:, 0]}, r"gradient gives shape \(2,\)"),
        ({"seeds": []}, "seeds is empty"),
    ],
)
def test_bad_arguments_of_projected_sgd(changed: dict, message: str) -> None:
    arguments = {
        "gradient": noisy, "start": [1.0], "seeds": [1, 2], "steps": 5, "rate": 0.1,
        "projection": optimize.ball(2.0),
    } | changed  # fmt: skip
    with pytest.raises(ValueError, match=message):
        optimize.projected_sgd(arguments.pop("gradient"), arguments.pop("start"), **arguments)


@pytest.mark.parametrize("radius", [0.0, -1.0, math.nan])
def test_balls_have_a_radius(radius: float) -> None:
    with pytest.raises(ValueError, match="radius is"):
        optimize.ball(radius)


@pytest.mark.parametrize(("lower", "upper"), [(1, 0), ([0, 2], 1), (math.nan, 1)])
def test_boxes_have_an_inside(lower: object, upper: object) -> None:
    with pytest.raises(ValueError, match="lower is"):
        optimize.box(lower, upper)
