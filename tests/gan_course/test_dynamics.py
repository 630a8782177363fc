"""Systems, spectra, flows and maps against closed forms, quadrature, loops and plain PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.linalg import expm
from scipy.special import expit
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from gan_course import dynamics, losses, nets
from gan_course.data import Normal
from gan_course.game import Game
from gan_course.random import Source
from gan_course.regularizers import (
    R1,
    R2,
    Clipping,
    Consensus,
    GradientNorm,
    GradientPenalty,
    InstanceNoise,
    Regularizer,
    Unrolled,
)
from gan_course.runtime import one_thread
from gan_course.train import SGD, train

Array = NDArray[np.float64]
Pair = tuple[float, float]

ORIGIN = torch.zeros(2, dtype=torch.float64)
ONE = torch.tensor([0.0, 1.0], dtype=torch.float64)  # the uniform system's equilibrium
LOSSES = [losses.minimax, losses.non_saturating, losses.wasserstein]

coordinates = st.floats(-2, 2)
entropy = st.integers(0, 10**6)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """Float64 in the training loop, too, and one thread."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    with one_thread():
        yield
    torch.set_default_dtype(torch.float32)


def normal(seed: int, *shape: int) -> Array:
    return np.random.default_rng(seed).normal(size=shape)


def at(*x: float) -> Tensor:
    return torch.tensor(x, dtype=torch.float64)


def linear(matrix: Array) -> dynamics.Field:
    m = torch.as_tensor(matrix)
    return lambda x: m @ x


def assert_jacobian(found: Tensor, function: dynamics.Field, x: Tensor, step: float = 1e-5) -> None:
    """Against central differences in some directions."""
    for move in torch.as_tensor(normal(9, 4, len(x))):
        slope = (function(x + step * move) - function(x - step * move)) / (2 * step)
        assert torch.allclose(found @ move, slope, rtol=1e-6, atol=1e-7)


# --- eigenvalues that are known -------------------------------------------------------------------


def pair(trace: float, determinant: float) -> list[complex]:
    """Roots of ``t^2 - trace t + determinant``, the larger real or imaginary part first."""
    root = complex(trace**2 / 4 - determinant) ** 0.5
    return [trace / 2 + root, trace / 2 - root]


def around_zero(gamma: float, slope: float) -> list[complex]:
    return pair(-gamma, slope**2)


def noisy(sigma: float, f2: float, f1: float) -> list[complex]:
    return pair(2 * f2 * sigma**2, f1**2)


KNOWN: dict[str, tuple[dynamics.System, Tensor, list[complex]]] = {
    "Dirac, minimax": (dynamics.dirac(losses.minimax), ORIGIN, [0.5j, -0.5j]),
    "Dirac, non-saturating": (dynamics.dirac(losses.non_saturating), ORIGIN, [0.5j, -0.5j]),
    "Dirac, Wasserstein": (dynamics.dirac(losses.wasserstein), ORIGIN, [1j, -1j]),
    "Dirac, hinge": (dynamics.dirac(losses.hinge), ORIGIN, [1j, -1j]),
    "Dirac, R1 below": (dynamics.dirac(losses.minimax, R1(0.3)), ORIGIN, around_zero(0.3, 0.5)),
    "Dirac, R1 above": (dynamics.dirac(losses.minimax, R1(2.0)), ORIGIN, around_zero(2, 0.5)),
    "Dirac, R2": (dynamics.dirac(losses.non_saturating, R2(0.7)), ORIGIN, around_zero(0.7, 0.5)),
    "Dirac, both": (dynamics.dirac(losses.minimax, (R1(0.3), R2(0.4))), ORIGIN,
                    around_zero(0.7, 0.5)),
    "Dirac, WGAN with R1": (dynamics.dirac(losses.wasserstein, R1(0.3)), ORIGIN,
                            around_zero(0.3, 1)),
    "Dirac, noise": (dynamics.dirac(losses.minimax, noise=0.7), ORIGIN, noisy(0.7, -0.25, 0.5)),
    "Dirac, much noise": (dynamics.dirac(losses.non_saturating, noise=2.0), ORIGIN,
                          noisy(2.0, -0.25, 0.5)),
    "Dirac, consensus": (dynamics.dirac(losses.minimax, Consensus(1.0)), ORIGIN,
                         [-0.25 + 0.5j, -0.25 - 0.5j]),
    "Dirac, consensus in a WGAN": (dynamics.dirac(losses.wasserstein, Consensus(0.3)), ORIGIN,
                                   [-0.3 + 1j, -0.3 - 1j]),
    "Dirac, critic a hundred times faster": (
        dynamics.dirac(losses.minimax).at_rates(critic=100), ORIGIN, [5j, -5j]),
    "Dirac, generator faster": (
        dynamics.dirac(losses.wasserstein, R1(0.5)).at_rates(2, 3), ORIGIN, pair(-1, 6)),
    "uniform, WGAN": (dynamics.uniform(losses.wasserstein), ONE, [2j / 3, -2j / 3]),
    "uniform, WGAN at -1": (dynamics.uniform(losses.wasserstein), -ONE, [2j / 3, -2j / 3]),
    "uniform, GAN": (dynamics.uniform(losses.minimax), ONE, pair(-0.1, 1 / 9)),
}  # fmt: skip
for _eta in (0.25, 0.5, 1.0, 2.0):
    KNOWN[f"uniform, WGAN with foresight {_eta}"] = (
        dynamics.uniform(losses.wasserstein, GradientNorm(_eta)), ONE, pair(-8 * _eta / 9, 4 / 9),
    )  # fmt: skip
    KNOWN[f"uniform, GAN with foresight {_eta}"] = (
        dynamics.uniform(losses.minimax, GradientNorm(_eta)), -ONE,
        pair(-0.1 - 2 * _eta / 9, 1 / 9),
    )  # fmt: skip


@pytest.mark.parametrize("name", KNOWN)
def test_known_eigenvalues(name: str) -> None:
    system, x, expected = KNOWN[name]
    assert system.field(x).abs().max() < 1e-14  # an equilibrium
    values = dynamics.eigenvalues(system.field, x)
    assert values.dtype == np.complex128
    assert values == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize(
    ("loss", "eta", "published"),
    [
        (losses.wasserstein, 0.25, -0.111 + 0.657j),
        (losses.wasserstein, 0.5, -0.222 + 0.629j),
        (losses.wasserstein, 1.0, -0.444 + 0.497j),
        (losses.minimax, None, -0.05 + 0.330j),
        (losses.minimax, 0.25, -0.078 + 0.324j),
        (losses.minimax, 0.5, -0.106 + 0.316j),
        (losses.minimax, 1.0, -0.161 + 0.292j),
    ],
)
def test_eigenvalues_of_the_figures(
    loss: losses.Loss, eta: float | None, published: complex
) -> None:
    system = dynamics.uniform(loss, () if eta is None else GradientNorm(eta))
    first = dynamics.eigenvalues(system.field, ONE)[0]
    assert first.real == pytest.approx(published.real, abs=6e-4)
    assert first.imag == pytest.approx(published.imag, abs=6e-4)


@given(st.floats(0.01, 4))
@settings(max_examples=10, deadline=None)
def test_jacobian_with_foresight(eta: float) -> None:
    """Entry by entry, which is more than the eigenvalues say."""
    system = dynamics.uniform(losses.minimax, GradientNorm(eta))
    expected = [[-0.1, -1 / 3], [1 / 3 - eta / 15, -2 * eta / 9]]
    assert dynamics.jacobian(system.field, ONE).numpy() == pytest.approx(
        np.array(expected), abs=1e-12
    )


@pytest.mark.parametrize(
    ("system", "x", "value"),
    [
        (dynamics.dirac(losses.minimax, R1(1.0)), ORIGIN, -0.5),
        (dynamics.uniform(losses.wasserstein, GradientNorm(1.5)), ONE, -2 / 3),
    ],
    ids=["R1", "foresight"],
)
def test_defective_at_the_critical_strength(
    system: dynamics.System, x: Tensor, value: float
) -> None:
    """Both eigenvalues meet and there is one eigenvector: trace, determinant and rank say so."""
    matrix = dynamics.jacobian(system.field, x)
    assert float(matrix.trace()) == pytest.approx(2 * value, abs=1e-12)
    assert float(torch.det(matrix)) == pytest.approx(value**2, abs=1e-12)
    assert (matrix - value * torch.eye(2)).abs().max() > 0.1
    assert dynamics.eigenvalues(system.field, x) == pytest.approx([value, value], abs=1e-6)


@given(entropy, st.integers(1, 7))
@settings(max_examples=25, deadline=None)
def test_eigenvalues_are_sorted(seed: int, n: int) -> None:
    matrix = normal(seed, n, n)
    values = dynamics.eigenvalues(linear(matrix), at(*normal(seed + 1, n)))
    assert len(values) == n
    assert (np.diff(values.real) < 1e-9).all()
    for here, following in pairwise(values):  # conjugates: the upper one first
        if here.imag < -1e-9:
            assert abs(here - following.conjugate()) > 1e-9
    for value in values:
        smallest = np.linalg.svd(matrix - value * np.eye(n), compute_uv=False)[-1]
        assert smallest < 1e-9


def test_jacobian_has_outputs_in_rows_whatever_the_chunk() -> None:
    def function(x: Tensor) -> Tensor:
        return torch.stack([x[0] * x[1], x[1].sin(), x.square().sum()])

    x = at(0.3, -1.1, 2.0)
    expected = np.array([[-1.1, 0.3, 0], [0, math.cos(1.1), 0], [0.6, -2.2, 4]])
    for chunk in (1, 2, 32):
        found = dynamics.jacobian(function, x, chunk=chunk)
        assert found.numpy() == pytest.approx(expected, abs=1e-14)
        assert not found.requires_grad


# --- the field of the Dirac-GAN, by hand ----------------------------------------------------------


def dirac_field(loss: losses.Loss, phi: float, theta: float) -> Pair:
    """``v`` without penalties: the critic's slope on a fake is one of the three."""
    u = phi * theta
    critic, generator = {
        "minimax": (expit(u), expit(u)),
        "non-saturating": (expit(u), expit(-u)),
        "Wasserstein": (1, 1),
        "hinge": (float(u > -1), 1),
    }[loss.name]
    return -critic * theta, generator * phi


def dirac_penalty(loss: losses.Loss, phi: float, theta: float) -> tuple[Pair, Pair]:
    """Gradients of ``v_phi^2`` and of ``v_theta^2``."""
    u = phi * theta
    s, d = expit(u), expit(u) * expit(-u)
    if loss is losses.wasserstein:
        return (0, 2 * theta), (2 * phi, 0)
    other = (s, d) if loss is losses.minimax else (expit(-u), -d)
    return (
        (2 * s * d * theta**3, 2 * s * d * phi * theta**2 + 2 * s**2 * theta),
        (
            2 * other[0] * other[1] * theta * phi**2 + 2 * other[0] ** 2 * phi,
            2 * other[0] * other[1] * phi**3,
        ),
    )


@pytest.mark.parametrize("loss", [*LOSSES, losses.hinge], ids=lambda x: x.name)
@given(coordinates, coordinates)
@settings(max_examples=12, deadline=None)
def test_dirac_field(loss: losses.Loss, phi: float, theta: float) -> None:
    if loss is losses.hinge and abs(phi * theta + 1) < 1e-6:
        return
    v = dirac_field(loss, phi, theta)
    field = dynamics.dirac(loss).field(at(phi, theta))
    assert field.tolist() == pytest.approx(v, abs=1e-14)
    penalized = dynamics.dirac(loss, (R1(0.3), R2(0.5))).field(at(phi, theta))
    assert penalized.tolist() == pytest.approx((v[0] - 0.8 * phi, v[1]), abs=1e-14)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda x: x.name)
@given(coordinates, coordinates)
@settings(max_examples=8, deadline=None)
def test_dirac_field_with_a_look_at_the_game(loss: losses.Loss, phi: float, theta: float) -> None:
    x, v, h = at(phi, theta), dirac_field(loss, phi, theta), 0.4
    of_critic, of_generator = dirac_penalty(loss, phi, theta)
    foresight = dynamics.dirac(loss, GradientNorm(0.7)).field(x)
    assert foresight.tolist() == pytest.approx((v[0], v[1] - 0.7 * of_critic[1]), abs=1e-13)
    consensus = dynamics.dirac(loss, Consensus(0.6)).field(x)
    push = [0.3 * (a + b) for a, b in zip(of_critic, of_generator, strict=True)]
    assert consensus.tolist() == pytest.approx((v[0] - push[0], v[1] - push[1]), abs=1e-13)

    u = phi * theta  # the critic ahead: a = phi + h v_phi, and da / dtheta
    wasserstein = loss is losses.wasserstein
    slope = 1 if wasserstein else expit(u) + expit(u) * expit(-u) * u
    ahead = phi + h * v[0]
    weight = dirac_field(loss, ahead, theta)[1] / ahead if ahead else 0.5
    unrolled = dynamics.dirac(loss, Unrolled(1, h)).field(x)
    expected = (v[0], weight * (ahead - h * theta * slope))
    if abs(ahead) > 1e-6:
        assert unrolled.tolist() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("loss", LOSSES, ids=lambda x: x.name)
@pytest.mark.parametrize("sigma", [0.2, 0.9])
def test_dirac_field_with_noise(loss: losses.Loss, sigma: float) -> None:
    """Both laws blurred, by SciPy's adaptive quadrature."""

    def slope(t: float) -> float:
        return 1 if loss is losses.wasserstein else expit(-t)

    def mean(function: Callable[[float], float]) -> float:
        """Of a function of ``N(0, sigma^2)``."""
        return quad(
            lambda e: function(sigma * e) * math.exp(-(e**2) / 2) / math.sqrt(2 * math.pi),
            -12, 12, epsabs=1e-12, limit=200,
        )[0]  # fmt: skip

    def expected(phi: float, theta: float) -> Pair:
        critic = mean(lambda e: slope(phi * e) * e) - mean(
            lambda e: slope(-phi * (theta + e)) * (theta + e)
        )
        sign = -1 if loss is losses.non_saturating else 1
        return critic, phi * mean(lambda e: slope(-sign * phi * (theta + e)))

    for phi, theta in normal(3, 3, 2):
        critic, generator = expected(phi, theta)
        field = dynamics.dirac(loss, noise=sigma).field(at(phi, theta))
        assert field.tolist() == pytest.approx((critic, generator), abs=1e-9)
        both = dynamics.dirac(loss, R1(0.3), noise=sigma).field(at(phi, theta))
        assert both.tolist() == pytest.approx((critic - 0.3 * phi, generator), abs=1e-9)


def test_starts_are_exact() -> None:
    """0.1 in float32 is 0.100000001, which the networks of a training run begin at."""
    torch.set_default_dtype(torch.float32)
    assert dynamics.dirac(losses.minimax, phi=0.1, theta=-0.3).start.tolist() == [0.1, -0.3]
    assert dynamics.uniform(losses.minimax, R1(1.0), w=0.1, a=0.7).start.tolist() == [0.1, 0.7]
    assert dynamics.dirac(losses.minimax).start.tolist() == [1, 1]
    assert dynamics.uniform(losses.minimax).start.tolist() == [0.5, 0.5]
    system = dynamics.zero_sum(lambda phi, theta: phi @ theta[:2], [1, 2], [3, 4, 5])
    assert system.sizes == (2, 3)
    assert system.start.dtype == torch.float64
    assert system.start.tolist() == [1, 2, 3, 4, 5]


# --- the field of the uniform system, by quadrature -----------------------------------------------


def over_interval(function: Callable[[float], float]) -> float:
    return quad(lambda x: function(x) / 2, -1, 1, epsabs=1e-13)[0]


def uniform_field(loss: losses.Loss, w: float, a: float) -> Pair:
    if loss is losses.wasserstein:
        return (1 - a**2) / 3, 2 * w * a / 3
    sign = -1 if loss is losses.non_saturating else 1
    return (
        over_interval(lambda x: expit(-w * x**2) * x**2 - expit(w * a**2 * x**2) * a**2 * x**2),
        over_interval(lambda z: expit(sign * w * a**2 * z**2) * 2 * w * a * z**2),
    )


@pytest.mark.parametrize("loss", LOSSES, ids=lambda x: x.name)
def test_uniform_field(loss: losses.Loss) -> None:
    for w, a in normal(4, 6, 2):
        x, v = at(w, a), uniform_field(loss, w, a)
        assert dynamics.uniform(loss).field(x).tolist() == pytest.approx(v, abs=1e-11)
        # |grad D|^2 = 4 w^2 x^2: on data E x^2 = 1/3, on fakes a^2 / 3
        r1 = dynamics.uniform(loss, R1(0.9)).field(x)
        assert r1.tolist() == pytest.approx((v[0] - 1.2 * w, v[1]), abs=1e-11)
        r2 = dynamics.uniform(loss, R2(0.9)).field(x)
        assert r2.tolist() == pytest.approx((v[0] - 1.2 * w * a**2, v[1]), abs=1e-11)
        slope = -2 * a / 3
        if loss is not losses.wasserstein:
            slope = -over_interval(
                lambda z, w=w, a=a: (
                    expit(w * a**2 * z**2) * 2 * a * z**2
                    + expit(w * a**2 * z**2) * expit(-w * a**2 * z**2) * 2 * w * a**3 * z**4
                )
            )
        foresight = dynamics.uniform(loss, GradientNorm(0.5)).field(x)
        assert foresight.tolist() == pytest.approx((v[0], v[1] - v[0] * slope), abs=1e-10)


@given(coordinates, coordinates)
@settings(max_examples=10, deadline=None)
def test_uniform_wgan_with_a_look_at_the_game(w: float, a: float) -> None:
    """The value is ``w (1 - a^2) / 3``, so everything is a polynomial."""
    x, v = at(w, a), ((1 - a**2) / 3, 2 * w * a / 3)
    consensus = dynamics.uniform(losses.wasserstein, Consensus(1.8)).field(x)
    push = (8 * w * a**2 / 9, -4 * a * (1 - a**2) / 9 + 8 * w**2 * a / 9)
    assert consensus.tolist() == pytest.approx(
        (v[0] - 0.9 * push[0], v[1] - 0.9 * push[1]), abs=1e-12
    )
    # k steps of the critic: V(w + k h (1 - a^2) / 3, a)
    unrolled = dynamics.uniform(losses.wasserstein, Unrolled(3, 0.2)).field(x)
    ahead = v[1] + 0.6 * 4 * a * (1 - a**2) / 9
    assert unrolled.tolist() == pytest.approx((v[0], ahead), abs=1e-12)


# --- games of networks against plain PyTorch ------------------------------------------------------

REAL, NOISE = normal(0, 4, 2), normal(1, 3, 3)
STEP = 0.3


@dataclass
class Plain:
    """A game of two small networks with loops over points and ``torch.autograd``."""

    loss: losses.Loss
    phi: list[Tensor]
    theta: list[Tensor]
    real: Array

    @staticmethod
    def through(parameters: Sequence[Tensor], x: Tensor) -> Tensor:
        """One hidden layer of tanh; weights first, biases last, as in `nets.MLP`."""
        first, second, one, two = parameters
        return torch.tanh(x @ first[0] + one[0, 0]) @ second[0] + two[0, 0]

    def fakes(self) -> list[Tensor]:
        return [self.through(self.theta, torch.as_tensor(z)) for z in NOISE]

    def on_data(self, phi: Sequence[Tensor]) -> Tensor:
        """The critic's loss on data."""
        outputs = torch.stack([self.through(phi, torch.as_tensor(x))[0] for x in self.real])
        return -outputs.mean() if self.loss is losses.wasserstein else -logsigmoid(outputs).mean()

    def on_fakes(self, phi: Sequence[Tensor], points: Sequence[Tensor]) -> Tensor:
        outputs = torch.stack([self.through(phi, x)[0] for x in points])
        return outputs.mean() if self.loss is losses.wasserstein else -logsigmoid(-outputs).mean()

    def critic(self, phi: Sequence[Tensor]) -> Tensor:
        return self.on_data(phi) + self.on_fakes(phi, self.fakes())

    def generator(self, phi: Sequence[Tensor]) -> Tensor:
        if self.loss is losses.non_saturating:
            outputs = torch.stack([self.through(phi, x)[0] for x in self.fakes()])
            return -logsigmoid(outputs).mean()
        return -self.on_fakes(phi, self.fakes())

    def gradient(self, value: Tensor, of: Sequence[Tensor]) -> list[Tensor]:
        return list(torch.autograd.grad(value, list(of), create_graph=True, materialize_grads=True))

    def squared(self, value: Tensor, of: Sequence[Tensor]) -> Tensor:
        return sum((g.square().sum() for g in self.gradient(value, of)), torch.zeros(()))

    def slopes(self, points: Sequence[Tensor]) -> list[Tensor]:
        outputs = []
        for point in points:
            x = point.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.through(self.phi, x)[0], x, create_graph=True)
            outputs.append(slope)
        return outputs

    def penalties(self, chosen: Sequence[Regularizer]) -> tuple[Tensor, Tensor, Sequence[Tensor]]:
        """What is added to the critic's and to the generator's loss, and the generator's opponent.

        ``V`` and the field that they look at are those without penalties.
        """
        to_critic, to_generator = torch.zeros(()), torch.zeros(())
        ahead: list[Tensor] = self.phi
        real = [torch.as_tensor(x) for x in self.real]
        for one in chosen:
            if isinstance(one, R2):
                squares = [s.square().sum() for s in self.slopes(self.fakes())]
                to_critic = to_critic + one.gamma / 2 * torch.stack(squares).mean()
            elif isinstance(one, R1):
                squares = [s.square().sum() for s in self.slopes(real)]
                to_critic = to_critic + one.gamma / 2 * torch.stack(squares).mean()
            elif isinstance(one, GradientPenalty):
                middle = [(x + y) / 2 for x, y in zip(real, self.fakes(), strict=True)]
                excess = [s.norm() - 1 for s in self.slopes(middle)]
                to_critic = to_critic + one.weight * torch.stack(excess).square().mean()
            elif isinstance(one, GradientNorm):
                norm = self.squared(self.critic(self.phi), self.phi)
                to_generator = to_generator + one.eta * norm
            elif isinstance(one, Consensus):
                norm = self.squared(self.critic(self.phi), self.phi)
                norm = norm + self.squared(self.generator(self.phi), self.theta)
                to_critic = to_critic + one.gamma / 2 * norm
                to_generator = to_generator + one.gamma / 2 * norm
            elif isinstance(one, Unrolled):
                for _ in range(one.steps):
                    down = self.gradient(self.critic(ahead), ahead)
                    ahead = [p - one.lr * g for p, g in zip(ahead, down, strict=True)]
        return to_critic, to_generator, ahead

    def field(self, chosen: Sequence[Regularizer]) -> Tensor:
        to_critic, to_generator, ahead = self.penalties(chosen)
        own = self.generator(ahead) + to_generator
        if ahead is not self.phi:
            own = own - self.on_data(ahead)
        of_critic = self.gradient(self.critic(self.phi) + to_critic, self.phi)
        return -torch.cat([g.flatten() for g in (*of_critic, *self.gradient(own, self.theta))])


CHOSEN: dict[str, tuple[Regularizer, ...]] = {
    "nothing": (),
    "R1": (R1(2.0),),
    "R2": (R2(2.0),),
    "foresight": (GradientNorm(0.7),),
    "consensus": (Consensus(0.8),),
    "one step ahead": (Unrolled(1, 0.4),),
    "three steps ahead": (Unrolled(3, 0.4),),
    "R1 and foresight": (R1(2.0), GradientNorm(0.7)),
    "foresight and R2": (GradientNorm(0.7), R2(2.0)),
    "R1 and unrolling": (R1(2.0), Unrolled(2, 0.4)),
    "everything": (Consensus(0.8), GradientNorm(0.7), R1(2.0), Unrolled(1, 0.4)),
}


def game_of(
    regularizers: Sequence[Regularizer] = (), loss: losses.Loss = losses.minimax, spread: float = 2
) -> Game:
    return Game(
        nets.mlp(3, 4, 2, activation="tanh"),
        nets.mlp(2, 3, 1, activation="tanh", gain=spread),
        loss, Normal(dim=3), regularizers,
    )  # fmt: skip


def plain_field(
    system: dynamics.System,
    x: Tensor,
    loss: losses.Loss,
    chosen: Sequence[Regularizer],
    real: Array = REAL,
) -> Tensor:
    shapes = [
        [(1, 2, 3), (1, 3, 1), (1, 1, 3), (1, 1, 1)],
        [(1, 3, 4), (1, 4, 2), (1, 1, 4), (1, 1, 2)],
    ]
    sides = []
    for flat, own in zip(system.split(x), shapes, strict=True):
        parts = flat.split([math.prod(s) for s in own])
        sides.append(
            [p.reshape(s).detach().requires_grad_() for p, s in zip(parts, own, strict=True)]
        )
    return Plain(loss, *sides, real).field(chosen).detach()


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("loss", LOSSES, ids=lambda x: x.name)
def test_system_is_the_plain_loop(loss: losses.Loss, name: str) -> None:
    system = dynamics.system(game_of(CHOSEN[name], loss), REAL, NOISE)
    assert system.sizes == (13, 26)
    x = system.start + 0.3 * torch.as_tensor(normal(2, 39))
    expected = plain_field(system, x, loss, CHOSEN[name])
    assert torch.allclose(system.field(x), expected, rtol=1e-10, atol=1e-12)
    assert torch.equal(system.field(x)[:13], -system.critic_gradient(x))
    assert torch.equal(system.field(x)[13:], -system.generator_gradient(x))
    phi, theta = system.split(x)
    assert torch.equal(torch.cat([phi, theta]), x)


def test_random_numbers_of_a_penalty_are_put_to_their_means() -> None:
    """A gradient penalty looks half way between data and fakes."""
    chosen = (GradientPenalty(2.0),)
    system = dynamics.system(game_of(chosen), REAL[:3], NOISE)
    expected = plain_field(system, system.start, losses.minimax, chosen, REAL[:3])
    assert torch.allclose(system.field(system.start), expected, rtol=1e-10, atol=1e-12)


@dataclass(frozen=True)
class Fixed:
    """The same points at every draw."""

    points: Any

    @property
    def dim(self) -> int:
        return self.points.shape[1]

    def sample(self, n: int, source: Source) -> Tensor:
        chosen = torch.as_tensor(self.points)[torch.arange(n) % len(self.points)]
        return chosen.expand(len(source), -1, -1)  # type: ignore[arg-type]


def trained(game: Game, real: Array, noise: Array, steps: int, **options: Any) -> Tensor:
    run = train(
        replace(game, noise=Fixed(noise)), Fixed(real), seeds=[5], steps=steps, batch=len(real),
        optimizer=SGD(STEP), **options,
    )  # fmt: skip
    return torch.cat(
        [p.detach().flatten() for net in (run.critic, run.generator) for p in net.parameters()]
    )


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("loss", LOSSES[:2], ids=lambda x: x.name)
def test_maps_are_steps_of_training(loss: losses.Loss, name: str) -> None:
    """Two steps of gradient descent on minibatches that never change."""
    game, real = game_of(CHOSEN[name], loss), REAL[:3]
    system = dynamics.system(game, real, NOISE, seed=5)
    both = dynamics.orbit(dynamics.simultaneous(system, STEP), system.start, 2)
    assert both[-1] == pytest.approx(
        trained(game, real, NOISE, 2, simultaneous=True).numpy(), abs=1e-10
    )
    in_turn = dynamics.alternating(system, STEP, critic_steps=2)
    assert dynamics.orbit(in_turn, system.start, 2)[-1] == pytest.approx(
        trained(game, real, NOISE, 2, critic_steps=2).numpy(), abs=1e-10
    )


def test_the_start_is_that_of_training() -> None:
    """In float32 as well, and another seed starts elsewhere."""
    torch.set_default_dtype(torch.float32)
    real = REAL[:3].astype(np.float32)
    start = dynamics.system(game_of(), real, NOISE, seed=5).start
    run = train(game_of(), Normal(dim=2), seeds=[5], steps=1, snapshots=[0])
    generator, critic = run.snapshots[0]
    theirs = [p.detach().flatten() for net in (critic, generator) for p in net.parameters()]
    assert torch.equal(start, torch.cat(theirs).double())
    assert start.dtype == torch.float64
    assert not torch.equal(start, dynamics.system(game_of(), REAL, NOISE).start)


@pytest.mark.parametrize("name", CHOSEN)
def test_weighted_points_are_repeated_points(name: str) -> None:
    game, real = game_of(CHOSEN[name], losses.non_saturating), REAL[:3]
    repeats = [3, 1, 2]
    weighted = dynamics.system(game, real, NOISE, np.array(repeats) / 6)
    repeated = dynamics.system(game, np.repeat(real, repeats, 0), np.repeat(NOISE, repeats, 0))
    x = weighted.start + 0.3 * torch.as_tensor(normal(2, 39))
    assert torch.allclose(weighted.field(x), repeated.field(x), rtol=1e-10, atol=1e-13)
    assert not torch.allclose(weighted.field(x), dynamics.system(game, real, NOISE).field(x))


def test_zero_weight_and_as_many_weights_as_points() -> None:
    some = dynamics.system(game_of(), REAL[:2], NOISE[:2])
    more = dynamics.system(game_of(), REAL[:3], NOISE, [0.5, 0.5, 0.0])
    assert torch.allclose(some.field(some.start), more.field(more.start), rtol=1e-12)


# --- automatic differentiation of it all ----------------------------------------------------------

SMOOTH = nets.each(lambda: nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1)))


@pytest.mark.parametrize("name", CHOSEN)
@pytest.mark.parametrize("critic", ["mlp", "each"])
def test_jacobian_is_that_of_finite_differences(critic: str, name: str) -> None:
    """Of the whole field: a point that a penalty holds fixed still moves with the generator."""
    game = game_of(CHOSEN[name])
    if critic == "each":
        game = replace(game, critic=SMOOTH)
    system = dynamics.system(game, REAL, NOISE)
    x = system.start + 0.3 * torch.as_tensor(normal(2, 39))
    assert_jacobian(dynamics.jacobian(system.field, x), system.field, x)


@pytest.mark.parametrize("make", ["simultaneous", "alternating", "generator first"])
def test_jacobian_of_a_map(make: str) -> None:
    system = dynamics.system(game_of([R1(1.0)]), REAL, NOISE)
    step = {
        "simultaneous": dynamics.simultaneous(system, 0.3),
        "alternating": dynamics.alternating(system, 0.3, critic_steps=2),
        "generator first": dynamics.alternating(system, 0.3, first="generator"),
    }[make]
    assert_jacobian(dynamics.jacobian(step, system.start), step, system.start)


@pytest.mark.parametrize("by", ["real part", "modulus"])
@pytest.mark.parametrize("name", ["nothing", "foresight", "everything"])
def test_leading_eigenvalues_are_those_of_the_matrix(name: str, by: Any) -> None:
    system = dynamics.system(game_of(CHOSEN[name]), REAL, NOISE)
    x = system.start + torch.as_tensor(normal(2, 39))
    every = dynamics.eigenvalues(system.field, x)
    size = every.real if by == "real part" else np.abs(every)
    order = np.argsort(-size, kind="stable")
    count = 5 if size[order[4]] - size[order[5]] > 1e-9 else 4  # no pair cut apart
    found = dynamics.leading_eigenvalues(system.field, x, count, by=by)
    assert found == pytest.approx(dynamics._sorted(every[order[:count]]), abs=1e-8)
    assert (np.diff(found.real) < 1e-9).all()


@given(entropy, st.sampled_from(["real part", "modulus"]))
@settings(max_examples=6, deadline=None)
def test_leading_eigenvalues_of_a_normal_matrix(seed: int, by: Any) -> None:
    """Pairs ``-k +- i w`` in an unknown basis; the default is six by the real part."""
    basis = np.linalg.qr(normal(seed, 60, 60))[0]
    block = np.zeros((60, 60))
    for k in range(30):
        block[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] = [[-k, 3], [-3, -k]]
    field, x = linear(basis @ block @ basis.T), at(*normal(seed, 60))
    found = dynamics.leading_eigenvalues(field, x, by=by)
    first = (0, 1, 2) if by == "real part" else (27, 28, 29)
    expected = [complex(-k, sign) for k in first for sign in (3, -3)]
    assert found == pytest.approx(expected, abs=1e-7)
    assert np.array_equal(found, dynamics.leading_eigenvalues(field, x, 6, by=by))


def test_leading_eigenvalues_where_many_are_zero() -> None:
    """A whole subspace of equilibria: zero is found, though it has no digits of its own.

    How often it is named depends on rounding; the others follow.
    """
    basis = np.linalg.qr(normal(0, 300, 300))[0]
    others = -np.linspace(0.1, 2, 200)
    field = linear(basis @ np.diag(np.r_[np.zeros(100), others]) @ basis.T)
    found = dynamics.leading_eigenvalues(field, torch.zeros(300), 6)
    assert found[0] == pytest.approx(0, abs=1e-9)
    for value in found[np.abs(found) > 1e-9]:
        assert np.abs(others - value).min() < 1e-8
    assert dynamics.leading_eigenvalues(lambda x: 0 * x, torch.zeros(9), 2) == pytest.approx(0)


def test_leading_eigenvalues_cost_few_products() -> None:
    """One forward pass: the graph is kept, and products run backward through it."""
    calls = 0
    matrix = normal(0, 200, 200)

    def field(x: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.as_tensor(matrix) @ x

    dynamics.leading_eigenvalues(field, torch.zeros(200), 4)
    assert calls == 1


# --- verdicts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "flow", "step"),
    [
        ([-0.1 + 2j, -0.1 - 2j], "stable", "unstable"),
        ([-0.1 + 0.5j, -3.0], "stable", "unstable"),
        ([0.1, -5.0], "unstable", "unstable"),
        ([0.5j, -0.5j], "undecided", "stable"),
        ([0.0, -0.5], "undecided", "stable"),
        ([1j, -1j], "undecided", "undecided"),
        ([-1.0, 0.3], "unstable", "undecided"),
        ([-1.0, -0.3], "stable", "undecided"),
        ([1e-8, -0.2], "undecided", "stable"),
        ([1e-6, -0.2], "unstable", "stable"),
        ([-1e-8, -0.2], "undecided", "stable"),
        ([-1e-6, -0.2], "stable", "stable"),
        ([1 + 1e-8, 0.0], "unstable", "undecided"),
        ([1 + 1e-6, 0.0], "unstable", "unstable"),
        ([1 - 1e-6, 0.0], "unstable", "stable"),
        ([1j, 2.0], "unstable", "unstable"),
    ],
)
def test_verdicts(values: list[complex], flow: str, step: str) -> None:
    assert dynamics.flow_stability(values) == flow
    assert dynamics.map_stability(values) == step


def test_tolerance_is_given() -> None:
    assert dynamics.flow_stability([-0.1], tolerance=0.2) == "undecided"
    assert dynamics.map_stability([0.9], tolerance=0.2) == "undecided"
    assert dynamics.map_stability([0.9], tolerance=0.05) == "stable"


# --- steps ----------------------------------------------------------------------------------------


def bisected(stable: Callable[[float], bool], upper: float) -> float:
    low, high = 0.0, upper
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low


@given(st.lists(st.complex_numbers(min_magnitude=0.1, max_magnitude=10), min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_largest_step_is_that_of_bisection(values: list[complex]) -> None:
    values = [complex(-abs(x.real) - 0.05, x.imag) for x in values]
    found = dynamics.largest_step(values)
    expected = bisected(lambda h: max(abs(1 + h * x) for x in values) < 1, 100)
    assert found == pytest.approx(expected, rel=1e-9)


def test_largest_step_without_a_stable_flow() -> None:
    assert dynamics.largest_step([0.5j, -0.5j]) == 0
    assert dynamics.largest_step([-1.0, 0.1]) == 0
    assert dynamics.largest_step([-1.0, 0.0]) == 0
    assert dynamics.largest_step([-2.0]) == 1


@pytest.mark.parametrize("gamma", [0.3, 1.0, 1.6])
def test_largest_stable_steps_with_r1(gamma: float) -> None:
    """Jury's conditions for ``[[1 - h g, -h c], [h c (1 - h g), 1 - h^2 c^2]]``, ``c = 1/2``.

    The determinant ``1 - h g`` asks for ``h g < 2``, the trace for ``h^2 c^2 + 2 h g < 4``.
    """
    system = dynamics.dirac(losses.minimax, R1(gamma))
    in_turn = 4 * (math.sqrt(gamma**2 + 1) - gamma)
    for first in ("critic", "generator"):
        maps = partial(dynamics.alternating, system, first=first)
        found = dynamics.largest_stable_step(maps, ORIGIN, upper=8, points=20)
        assert found == pytest.approx(in_turn, abs=1e-7)
    together = dynamics.largest_step(dynamics.eigenvalues(system.field, ORIGIN))
    found = dynamics.largest_stable_step(
        lambda h: dynamics.simultaneous(system, h), ORIGIN, upper=10, points=25
    )
    assert found == pytest.approx(together, abs=1e-6)


def test_largest_stable_step_of_a_center_is_none() -> None:
    """The alternating map turns on the unit circle, where rounding must not decide."""
    for loss in LOSSES:
        system = dynamics.dirac(loss)
        for make in (dynamics.alternating, dynamics.simultaneous):
            maps = partial(make, system)
            for upper in (0.1, 0.2, 1.0):  # the first step, at some of which a modulus is 1 - 1e-16
                assert dynamics.largest_stable_step(maps, ORIGIN, upper=upper, points=1) == 0


def test_largest_stable_step_is_the_first_and_at_most_the_upper() -> None:
    def moduli(h: float) -> dynamics.Field:  # below 1 up to 1, from 2 to 3
        return linear(np.array([[1 + 0.1 * (h - 1) * (h - 2) * (h - 3)]]) * 1.0)

    x = torch.zeros(1)
    assert dynamics.largest_stable_step(moduli, x, upper=4) == pytest.approx(1, abs=1e-8)
    assert dynamics.largest_stable_step(moduli, x, upper=0.9) == 0.9
    assert dynamics.largest_stable_step(moduli, x, upper=0.9, points=1) == 0.9
    # one grid point steps over the gap
    assert dynamics.largest_stable_step(moduli, x, upper=2.5, points=1) == 2.5


# --- maps -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=lambda x: x.name)
@given(st.floats(0.01, 1.95), st.integers(1, 4))
@settings(max_examples=8, deadline=None)
def test_maps_of_a_center(loss: losses.Loss, turn: float, critic_steps: int) -> None:
    """Matrices, and moduli: on the unit circle for ``k (h f')^2 < 4``, outside if simultaneous."""
    slope = 1.0 if loss is losses.wasserstein else 0.5
    h, k = turn / slope / math.sqrt(critic_steps), critic_steps
    c, system = h * slope, dynamics.dirac(loss)
    matrices = {
        "critic": np.array([[1, -k * c], [c, 1 - k * c**2]]),
        "generator": np.array([[1 - k * c**2, -k * c], [c, 1]]),
    }
    for first, matrix in matrices.items():
        step = dynamics.alternating(system, h, critic_steps=k, first=first)  # type: ignore[arg-type]
        assert dynamics.jacobian(step, ORIGIN).numpy() == pytest.approx(matrix, abs=1e-12)
        values = dynamics.eigenvalues(step, ORIGIN)
        assert values == pytest.approx(pair(2 - k * c**2, 1), abs=1e-8)
        assert np.abs(values) == pytest.approx(1, abs=1e-9)
    together = dynamics.eigenvalues(dynamics.simultaneous(system, h), ORIGIN)
    assert together == pytest.approx([1 + 1j * c, 1 - 1j * c], abs=1e-9)


@pytest.mark.parametrize("first", ["critic", "generator"])
def test_a_center_in_turn_beyond_the_bound(first: Any) -> None:
    """At ``h f' = 2`` a Jordan block grows, beyond it an eigenvalue is below -1."""
    system = dynamics.dirac(losses.wasserstein)
    beyond = dynamics.eigenvalues(dynamics.alternating(system, 2.1, first=first), ORIGIN)
    assert beyond == pytest.approx(pair(2 - 2.1**2, 1), abs=1e-9)
    assert dynamics.map_stability(beyond) == "unstable"
    path = dynamics.orbit(dynamics.alternating(system, 2.0, first=first), [0.1, 0.2], 50)
    assert np.linalg.norm(path[-1]) > 10
    below = dynamics.orbit(dynamics.alternating(system, 1.9, first=first), [0.1, 0.2], 150)
    assert np.linalg.norm(below, axis=1).max() < 2


@given(coordinates, coordinates, st.floats(0.01, 1))
@settings(max_examples=10, deadline=None)
def test_steps_by_hand(phi: float, theta: float, h: float) -> None:
    """Of the Dirac-GAN, off its equilibrium: who moves first and what the other sees."""
    x, system = at(phi, theta), dynamics.dirac(losses.non_saturating)

    def field(a: float, b: float) -> Pair:
        return dirac_field(losses.non_saturating, a, b)

    both = (phi + h * field(phi, theta)[0], theta + h * field(phi, theta)[1])
    assert dynamics.simultaneous(system, h)(x).tolist() == pytest.approx(both, abs=1e-13)
    a = phi
    for _ in range(3):
        a += h * field(a, theta)[0]
    expected = (a, theta + h * field(a, theta)[1])
    found = dynamics.alternating(system, h, critic_steps=3)(x)
    assert found.tolist() == pytest.approx(expected, abs=1e-13)
    b, a = theta + h * field(phi, theta)[1], phi
    for _ in range(3):
        a += h * field(a, b)[0]
    found = dynamics.alternating(system, h, critic_steps=3, first="generator")(x)
    assert found.tolist() == pytest.approx((a, b), abs=1e-13)


RUNS: dict[str, tuple[dynamics.System, dict[str, float]]] = {
    "minimax": (
        dynamics.dirac(losses.minimax, phi=-1.0, theta=1.0),
        {"simultaneous": 3.10, "generator": 1.42},
    ),
    "non-saturating": (
        dynamics.dirac(losses.non_saturating, phi=-1.0, theta=1.0),
        {"simultaneous": 0.64, "generator": 0.28, "critic": 0.27},
    ),
    "R1": (
        dynamics.dirac(losses.minimax, R1(0.3), phi=-1.0, theta=1.0),
        {"simultaneous": 2.6e-6, "generator": 2.3e-7},
    ),
    "noise": (
        dynamics.dirac(losses.minimax, phi=-1.0, theta=1.0, noise=0.7),
        {"simultaneous": 5.7e-5, "generator": 4.0e-6},
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_final_distances_of_mescheder_et_al(name: str) -> None:
    """500 steps of 0.2, as in the authors' notebook; two digits of each are known."""
    system, expected = RUNS[name]
    for how, distance in expected.items():
        if how == "simultaneous":
            step = dynamics.simultaneous(system, 0.2)
        else:
            step = dynamics.alternating(system, 0.2, first=how)  # type: ignore[arg-type]
        last = dynamics.orbit(step, system.start, 500)[-1]
        assert np.linalg.norm(last) == pytest.approx(distance, rel=0.02)


@given(entropy, st.integers(1, 4))
@settings(max_examples=10, deadline=None)
def test_orbit_is_a_loop(seed: int, count: int) -> None:
    system = dynamics.uniform(losses.minimax)
    step, starts = dynamics.simultaneous(system, 0.3), normal(seed, count, 2)
    paths = dynamics.orbit(step, starts, 4)
    assert paths.shape == (count, 5, 2)
    for start, path in zip(starts, paths, strict=True):
        x = at(*start)
        for k in range(5):
            assert path[k] == pytest.approx(x.numpy(), abs=1e-13)
            x = step(x)
    assert dynamics.orbit(step, starts[0], 4) == pytest.approx(paths[0], abs=1e-13)
    one = dynamics.orbit(step, starts[:1], 4)
    assert one.shape == (1, 5, 2)


# --- flows ----------------------------------------------------------------------------------------


@given(entropy, st.integers(1, 4), st.integers(1, 3))
@settings(max_examples=10, deadline=None)
def test_flow_of_a_linear_field(seed: int, n: int, count: int) -> None:
    """The matrix exponential; the clock need not begin at 0 nor tick evenly."""
    matrix, starts = normal(seed, n, n), normal(seed + 1, count, n)
    times = 3 + np.cumsum(np.random.default_rng(seed).uniform(0.1, 0.5, 5))
    paths = dynamics.flow(linear(matrix), starts, times)
    assert paths.shape == (count, 5, n)
    for start, path in zip(starts, paths, strict=True):
        for when, x in zip(times, path, strict=True):
            expected = expm((when - times[0]) * matrix) @ start
            assert x == pytest.approx(expected, rel=1e-7, abs=1e-8)
    alone = dynamics.flow(linear(matrix), starts[0], times)
    assert alone.shape == (5, n)
    assert alone == pytest.approx(paths[0], rel=1e-7, abs=1e-8)
    assert paths[:, 0] == pytest.approx(starts, abs=0)


def test_tolerances_of_a_flow_reach_the_solver() -> None:
    circle, times = linear(np.array([[0.0, 1], [-1, 0]])), np.linspace(0, 60, 4)
    exact = np.stack([np.cos(times), -np.sin(times)], 1)

    def error(**tolerances: float) -> float:
        return float(np.abs(dynamics.flow(circle, [1.0, 0.0], times, **tolerances) - exact).max())

    assert error() < 1e-8
    assert error(rtol=1e-3, atol=1e-13) > 1e-6
    assert error(rtol=1e-13, atol=1e-2) > 1e-6


def test_flow_of_an_ensemble_of_networks() -> None:
    """Against small steps of the classical method."""
    system = dynamics.system(game_of([R1(0.5)]), REAL, NOISE)
    x, h = system.start, 0.05
    paths = dynamics.flow(system.field, torch.stack([x, 0.5 * x]), [0, 4 * h])
    for _ in range(4):
        one = system.field(x)
        two = system.field(x + h / 2 * one)
        three = system.field(x + h / 2 * two)
        x = x + h / 6 * (one + 2 * two + 2 * three + system.field(x + h * three))
    assert paths[0, -1] == pytest.approx(x.numpy(), abs=1e-6)


def wgan_energy(x: Tensor) -> Tensor:
    w, a = x
    return w.square() + a.square() / 2 - a.log()


def test_uniform_wgan_conserves_its_energy() -> None:
    field = dynamics.uniform(losses.wasserstein).field
    starts = np.array([[0.5, 0.5], [-0.3, 1.7]])
    paths = dynamics.flow(field, starts, np.linspace(0, 12, 20))
    energy = paths[..., 0] ** 2 + paths[..., 1] ** 2 / 2 - np.log(paths[..., 1])
    assert np.ptp(energy, axis=1).max() < 1e-7
    assert np.ptp(paths[..., 0], axis=1).min() > 0.5  # and moves
    points = np.abs(normal(5, 40, 2)) + 0.01
    assert dynamics.lie_derivative(wgan_energy, field, points) == pytest.approx(0, abs=1e-12)


@given(st.floats(0.01, 3), entropy)
@settings(max_examples=10, deadline=None)
def test_foresight_lowers_the_energy(eta: float, seed: int) -> None:
    """At the rate ``-(4 eta / 9) (a^2 - 1)^2``."""
    field = dynamics.uniform(losses.wasserstein, GradientNorm(eta)).field
    points = normal(seed, 6, 2)
    points[:, 1] = np.abs(points[:, 1]) + 0.01
    rates = dynamics.lie_derivative(wgan_energy, field, points)
    expected = -4 * eta / 9 * (points[:, 1] ** 2 - 1) ** 2
    assert rates.shape == (6,)
    assert rates == pytest.approx(expected, rel=1e-9, abs=1e-11)
    assert dynamics.lie_derivative(wgan_energy, field, points[0]) == pytest.approx(rates[:1])


def test_lie_derivative_is_the_slope_along_the_flow() -> None:
    system = dynamics.system(game_of(), REAL, NOISE)
    times = [0, 1e-3, 2e-3]
    path = torch.as_tensor(dynamics.flow(system.field, system.start, times))
    norms = path.square().sum(1)
    (rate,) = dynamics.lie_derivative(lambda x: x.square().sum(), system.field, path[1])
    assert rate == pytest.approx(float(norms[2] - norms[0]) / 2e-3, rel=1e-4)


def test_zero_sum_is_the_game_of_its_value() -> None:
    """The critic ascends: ``V = 2 phi_1 theta - phi_2^2``."""
    system = dynamics.zero_sum(
        lambda phi, theta: 2 * phi[0] * theta[0] - phi[1].square(), [1.0, 2.0], 3.0
    )
    assert system.sizes == (2, 1)
    assert system.field(system.start).tolist() == [6, -4, -2]
    assert system.critic_gradient(system.start).tolist() == [-6, 4]
    assert system.generator_gradient(system.start).tolist() == [2]


def test_rates_multiply_each_players_field() -> None:
    system = dynamics.system(game_of([R1(0.5), Unrolled(1, 0.3)]), REAL, NOISE)
    x = system.start
    fast = system.at_rates(critic=7.0, generator=0.5)
    assert fast.sizes == system.sizes
    assert torch.equal(fast.start, x)
    scale = torch.cat([torch.full((13,), 7.0), torch.full((26,), 0.5)])
    assert torch.allclose(fast.field(x), scale * system.field(x), rtol=1e-12)
    assert torch.allclose(system.at_rates().field(x), system.field(x), rtol=0, atol=0)


# --- foresight ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Dirac", "uniform", "networks", "a value"])
def test_one_step_ahead_is_foresight_to_first_order(name: str) -> None:
    """``V(phi + h grad V) = V + h |grad V|^2 + O(h^2)``, in zero-sum games."""
    system = {
        "Dirac": dynamics.dirac(losses.minimax),
        "uniform": dynamics.uniform(losses.minimax),
        "networks": dynamics.system(game_of(), REAL, NOISE),
        "a value": dynamics.zero_sum(
            lambda phi, theta: (phi * theta).sum() - (phi.square() * theta.sin()).sum(), 0.7, -1.1
        ),
    }[name]
    x = system.start
    foresight = dynamics.with_gradient_norm(system, 1.0).generator_gradient(x)
    change = foresight - system.generator_gradient(x)
    errors = []
    for h in (1e-3, 1e-4):
        ahead = dynamics.with_unrolling(system, 1, h)
        assert torch.equal(ahead.critic_gradient(x), system.critic_gradient(x))
        moved = (ahead.generator_gradient(x) - system.generator_gradient(x)) / h
        errors.append(float((moved - change).norm() / change.norm()))
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(10, rel=0.1)


def test_unrolling_at_other_rates() -> None:
    """The generator's pace is a factor also of what the critic says of the data."""
    system = dynamics.system(game_of(), REAL, NOISE)
    x = system.start
    one = dynamics.with_unrolling(system, 2, 0.3).generator_gradient(x)
    two = dynamics.with_unrolling(system.at_rates(1, 3), 2, 0.3).generator_gradient(x)
    assert torch.allclose(two, 3 * one, rtol=1e-12)
    fast = dynamics.with_unrolling(system.at_rates(3, 1), 2, 0.1).generator_gradient(x)
    assert torch.allclose(fast, one, rtol=1e-12)


def test_a_look_at_another_game() -> None:
    """By default at the system itself, penalties included."""
    plain = dynamics.dirac(losses.wasserstein)
    damped = dynamics.dirac(losses.wasserstein, R1(0.5))
    x = at(0.8, -0.6)
    for make in (
        lambda s, **o: dynamics.with_gradient_norm(s, 0.3, **o),
        lambda s, **o: dynamics.with_consensus(s, 0.3, **o),
        lambda s, **o: dynamics.with_unrolling(s, 1, 0.3, **o),
    ):
        assert torch.equal(make(damped, of=damped).field(x), make(damped).field(x))
        assert not torch.allclose(make(damped, of=plain).field(x), make(damped).field(x))
        gap = make(damped, of=plain).field(x) - make(plain).field(x)
        assert gap.tolist() == pytest.approx([-0.5 * 0.8, 0], abs=1e-13)
    # with R1, v_phi = -theta - phi / 2: foresight pushes by -2 eta (theta + phi / 2)
    own = dynamics.with_gradient_norm(damped, 0.3).field(x)
    assert own[1].item() == pytest.approx(0.8 - 0.6 * (-0.6 + 0.4), abs=1e-13)


# --- what is refused ------------------------------------------------------------------------------

DIRAC = dynamics.dirac(losses.minimax)
STATEFUL = nets.each(lambda: nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)))
BAD: dict[str, tuple[Callable[[], object], str]] = {
    "start": (
        lambda: dynamics.System(lambda a, b: a.sum(), lambda a, b: b.sum(), (1, 2), torch.zeros(2)),
        r"start has shape \(2,\); allowed is \(3,\)",
    ),
    "critic's rate": (
        lambda: DIRAC.at_rates(critic=0), "critic is 0; allowed are positive numbers",
    ),
    "generator's rate": (
        lambda: DIRAC.at_rates(generator=math.inf),
        "generator is inf; allowed are positive numbers",
    ),
    "noise": (lambda: dynamics.dirac(losses.minimax, noise=-1), "noise is -1; allowed are numbers"),
    "no noise": (
        lambda: dynamics.dirac(losses.minimax, noise=math.nan), "noise is nan; allowed are numbers",
    ),
    "real": (
        lambda: dynamics.system(game_of(), REAL[:, 0], NOISE),
        r"real has shape \(4,\); allowed is \(n, dim\)",
    ),
    "no real": (
        lambda: dynamics.system(game_of(), REAL[:0], NOISE),
        r"real has shape \(0, 2\); allowed is \(n, dim\)",
    ),
    "noise's shape": (
        lambda: dynamics.system(game_of(), REAL, NOISE[0]),
        r"noise has shape \(3,\); allowed is \(n, dim\)",
    ),
    "dimension of real": (
        lambda: dynamics.system(game_of(), NOISE, NOISE),
        "real or noise does not fit the networks: .*",
    ),
    "dimension of noise": (
        lambda: dynamics.system(game_of(), REAL, REAL),
        "real or noise does not fit the networks: .*",
    ),
    "dimension of both": (
        lambda: dynamics.system(
            Game(nets.shift(0.0), nets.monomial(1, 0.0), losses.minimax), REAL[:, :1], REAL
        ),
        "real has dimension 1, the generator's points 2, and the critic gives 2 numbers; "
        "allowed are equal dimensions and one",
    ),
    "outputs": (
        lambda: dynamics.system(
            Game(nets.shift(0.0, 2), nets.mlp(2, 3), losses.minimax), REAL, REAL
        ),
        "real has dimension 2, the generator's points 2, and the critic gives 3 numbers",
    ),
    "weights": (
        lambda: dynamics.system(game_of(), REAL[:3], NOISE, [0.5, 0.5]),
        r"weights has shape \(2,\); allowed is one for each of 3 points of real and as many",
    ),
    "weights of noise": (
        lambda: dynamics.system(game_of(), REAL, NOISE, np.full(4, 0.25)),
        r"weights has shape \(4,\); allowed is one for each of 4 points of real and as many",
    ),
    "sum of weights": (
        lambda: dynamics.system(game_of(), REAL[:3], NOISE, [0.5, 0.5, 0.5]),
        r"weights sum to 1\.5; allowed are probabilities",
    ),
    "negative weights": (
        lambda: dynamics.system(game_of(), REAL[:3], NOISE, [1.5, -0.5, 0.0]),
        r"weights sum to 1\.0; allowed are probabilities",
    ),
    "buffers": (
        lambda: dynamics.system(
            Game(nets.mlp(3, 2), STATEFUL, losses.minimax, Normal(dim=3)), REAL, NOISE
        ),
        "a network has buffers; allowed are networks without a state",
    ),
    "spectral": (
        lambda: dynamics.system(
            Game(nets.mlp(3, 2), nets.mlp(2, 1, spectral=True), losses.minimax), REAL, NOISE
        ),
        "a network has buffers; allowed are networks without a state",
    ),
    "instance noise": (
        lambda: dynamics.dirac(losses.minimax, InstanceNoise(0.7)),
        r"regularizers holds InstanceNoise\(sigma=0.7.*; allowed in a system are penalties",
    ),
    "clipping": (
        lambda: dynamics.uniform(losses.wasserstein, (R1(1.0), Clipping(1.0))),
        r"regularizers holds Clipping\(c=1.0\); allowed in a system are penalties",
    ),
    "eta": (lambda: dynamics.with_gradient_norm(DIRAC, 0), "eta is 0; allowed are positive"),
    "gamma": (lambda: dynamics.with_consensus(DIRAC, -1), "gamma is -1; allowed are positive"),
    "unrolled steps": (lambda: dynamics.with_unrolling(DIRAC, 0, 0.1), "steps is 0; allowed"),
    "lr": (lambda: dynamics.with_unrolling(DIRAC, 1, math.nan), "lr is nan; allowed are positive"),
    "no count": (
        lambda: dynamics.leading_eigenvalues(linear(np.eye(9)), torch.zeros(9), 0),
        "count is 0; allowed are 1 to 7, for 9 parameters",
    ),
    "count": (
        lambda: dynamics.leading_eigenvalues(linear(np.eye(9)), torch.zeros(9), 8),
        "count is 8; allowed are 1 to 7, for 9 parameters",
    ),
    "by": (
        lambda: dynamics.leading_eigenvalues(
            linear(np.eye(9)), torch.zeros(9), 2, by="size"  # type: ignore[arg-type]
        ),
        "by is 'size'; allowed are 'real part' and 'modulus'",
    ),
    "upper": (
        lambda: dynamics.largest_stable_step(
            lambda h: dynamics.simultaneous(DIRAC, h), ORIGIN, upper=0
        ),
        "upper is 0; allowed are positive",
    ),
    "points": (
        lambda: dynamics.largest_stable_step(
            lambda h: dynamics.simultaneous(DIRAC, h), ORIGIN, upper=1, points=0
        ),
        "points is 0; allowed are positive",
    ),
    "h": (lambda: dynamics.simultaneous(DIRAC, 0), "h is 0; allowed are positive"),
    "h in turn": (lambda: dynamics.alternating(DIRAC, -0.1), "h is -0.1; allowed are positive"),
    "critic's steps": (
        lambda: dynamics.alternating(DIRAC, 0.1, critic_steps=0),
        "critic_steps is 0; allowed are positive",
    ),
    "first": (
        lambda: dynamics.alternating(DIRAC, 0.1, first="both"),  # type: ignore[arg-type]
        "first is 'both'; allowed are 'critic' and 'generator'",
    ),
    "times": (
        lambda: dynamics.flow(DIRAC.field, [1.0, 1.0], [0, 2, 1]),
        r"times is \[0\. 2\. 1\.\]; allowed are at least two increasing numbers",
    ),
    "one time": (
        lambda: dynamics.flow(DIRAC.field, [1.0, 1.0], [0]),
        r"times is \[0\.\]; allowed are at least two increasing numbers",
    ),
    "starts": (
        lambda: dynamics.flow(DIRAC.field, np.zeros((1, 1, 2)), [0, 1]),
        r"starts has shape \(1, 1, 2\); allowed is \(n,\) or \(seeds, n\)",
    ),
    "starts of an orbit": (
        lambda: dynamics.orbit(DIRAC.field, np.zeros((1, 1, 2)), 3),
        r"starts has shape \(1, 1, 2\); allowed is \(n,\) or \(seeds, n\)",
    ),
    "steps": (
        lambda: dynamics.orbit(DIRAC.field, [0.0, 0.0], 0), "steps is 0; allowed are positive",
    ),
    "points of a rate": (
        lambda: dynamics.lie_derivative(wgan_energy, DIRAC.field, np.zeros((1, 1, 2))),
        r"points has shape \(1, 1, 2\); allowed is",
    ),
    "a flow without a future": (
        lambda: dynamics.flow(lambda x: x.square(), [1.0], [0.0, 0.5, 2.0]),
        "the flow was followed to time .* only: ",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", BAD)
def test_bad_arguments_are_named(name: str) -> None:
    call, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        call()
