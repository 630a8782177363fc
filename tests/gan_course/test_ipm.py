"""Integral probability metrics against closed forms, and what a trained critic can be held to."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torch import nn

from gan_course import data, nets, transport
from gan_course.ipm import (
    FittedCritic,
    covering_number,
    fit_critic,
    mmd,
    mmd_squared,
    samples_needed,
)
from gan_course.random import Streams

SIZES = st.integers(1, 6)


def cloud(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


# --- maximum mean discrepancy ---------------------------------------------------------------------


@given(st.floats(0, 9), st.floats(0.1, 5), st.integers(1, 4))
def test_mmd_of_two_points(distance: float, s: float, d: int) -> None:
    x, y = np.zeros((1, 1, d)), np.full((1, 1, d), distance / math.sqrt(d))
    k = math.exp(-(distance**2) / (2 * s**2))
    assert mmd(x, y, bandwidth=s) == pytest.approx([math.sqrt(2 - 2 * k)], abs=1e-7)


@given(SIZES, SIZES, SIZES, st.integers(0, 10**6))
def test_mmd_is_a_pseudometric(n: int, m: int, k: int, seed: int) -> None:
    x, y, z = (cloud(seed + i, 1, size, 2) for i, size in enumerate((n, m, k)))
    xy, yz, xz = (mmd(*pair, bandwidth=1.0)[0] for pair in ((x, y), (y, z), (x, z)))
    assert mmd(x, x, bandwidth=1.0) == [0.0]
    assert xy == pytest.approx(mmd(y, x, bandwidth=1.0)[0], abs=1e-12)
    assert xz <= xy + yz + 1e-9
    assert 0 <= xy <= math.sqrt(2)


@given(st.floats(0.01, 100), st.integers(0, 10**6))
def test_mmd_has_no_unit(c: float, seed: int) -> None:
    x, y = cloud(seed, 2, 5, 3), cloud(seed + 1, 2, 7, 3) + 1
    shifted = mmd(c * x + 3 * c, c * y + 3 * c, bandwidth=1.5 * c)
    assert shifted == pytest.approx(mmd(x, y, bandwidth=1.5), rel=1e-6)


@given(st.integers(2, 6), st.integers(2, 6), st.integers(0, 10**6))
def test_the_two_estimates_differ_by_the_diagonals(n: int, m: int, seed: int) -> None:
    x, y = cloud(seed, 1, n, 2), cloud(seed + 1, 1, m, 2)
    k = np.exp(-((x[0, :, None] - x[0]) ** 2).sum(-1) / 2)
    h = np.exp(-((y[0, :, None] - y[0]) ** 2).sum(-1) / 2)
    pairs = [(a.sum() - len(a)) / (len(a) * (len(a) - 1)) for a in (k, h)]
    change = pairs[0] - k.mean() + pairs[1] - h.mean()
    biased = mmd(x, y, bandwidth=1.0) ** 2
    assert mmd_squared(x, y, bandwidth=1.0) == pytest.approx(biased + change, abs=1e-9)


def test_mmd_squared_is_unbiased_over_all_samples() -> None:
    places = np.array([[0.0, 0.0], [1.0, 0.5], [0.0, 2.0]])
    p, q = np.array([0.2, 0.5, 0.3]), np.array([0.6, 0.1, 0.3])
    k = np.exp(-((places[:, None] - places) ** 2).sum(-1) / (2 * 0.8**2))
    index = np.array(list(itertools.product(range(3), repeat=5)))
    chance = p[index[:, :2]].prod(1) * q[index[:, 2:]].prod(1)
    values = mmd_squared(places[index[:, :2]], places[index[:, 2:]], bandwidth=0.8)
    assert chance.sum() == pytest.approx(1)
    assert chance @ values == pytest.approx((p - q) @ k @ (p - q), abs=1e-12)
    assert values.min() < 0


@pytest.mark.parametrize(("d", "s"), [(1, 0.5), (3, 2.0)])
def test_mmd_of_two_normal_laws(d: int, s: float) -> None:
    """``2 (s^2 / (s^2 + 2))^(d/2) (1 - exp(-theta^2 / (2 (s^2 + 2))))`` for a shift theta."""
    draw, theta = Streams(range(200)), 1.5
    x, y = draw.normal(40, d), draw.normal(50, d) + theta / math.sqrt(d)
    fall = math.exp(-(theta**2) / (2 * (s**2 + 2)))
    true = 2 * (s**2 / (s**2 + 2)) ** (d / 2) * (1 - fall)
    values = mmd_squared(x, y, bandwidth=s)
    assert abs(values.mean() - true) < 4 * stats.sem(values)
    assert (mmd(x, y, bandwidth=s) ** 2 > values).all()


def test_wide_kernels_see_means_and_narrow_ones_atoms() -> None:
    x, y = cloud(1, 1, 30, 2), cloud(2, 1, 20, 2) + np.array([1, 0])
    means = np.linalg.norm(x.mean(1) - y.mean(1))
    assert 1e3 * mmd(x, y, bandwidth=1e3)[0] == pytest.approx(means, rel=1e-4)
    assert mmd(x, y, bandwidth=1e-6) == pytest.approx([math.sqrt(1 / 30 + 1 / 20)])


def test_one_cloud_serves_all_seeds_and_tensors_are_taken() -> None:
    x, y = torch.randn(3, 6, 2, requires_grad=True), torch.randn(4, 2)
    values = mmd(x, y, bandwidth=1.0)
    assert values.shape == (3,)
    alone = [mmd(x[i : i + 1], y[None], bandwidth=1.0)[0] for i in range(3)]
    assert values == pytest.approx(alone)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("distance", [mmd, mmd_squared])
def test_a_diverged_seed_is_nan(distance: object, bad: float) -> None:
    x = cloud(1, 2, 4, 2)
    x[0, 1, 0] = bad
    values = distance(x, cloud(2, 4, 2), bandwidth=1.0)
    assert np.isnan(values).tolist() == [True, False]


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.nan, math.inf])
def test_bandwidth_is_checked(bandwidth: float) -> None:
    with pytest.raises(ValueError, match=r"bandwidth is .*; allowed are positive numbers"):
        mmd(cloud(1, 1, 3, 2), cloud(2, 3, 2), bandwidth=bandwidth)


def test_clouds_are_checked() -> None:
    with pytest.raises(ValueError, match="x has shape"):
        mmd(cloud(1, 3, 2), cloud(2, 3, 2), bandwidth=1.0)
    with pytest.raises(ValueError, match="y has shape"):
        mmd(cloud(1, 1, 3, 2), cloud(2, 3, 3), bandwidth=1.0)
    for x, y, name in ((1, 3, "x"), (3, 1, "y")):
        with pytest.raises(ValueError, match=f"{name} has one point"):
            mmd_squared(cloud(1, 1, x, 2), cloud(2, 1, y, 2), bandwidth=1.0)


# --- trained critics ------------------------------------------------------------------------------

RECIPE = nets.mlp(1, 8, 1)


def test_a_critic_finds_total_variation() -> None:
    """N(0, 1) against N(1, 1): the best test function is a step, and TV is 2 Phi(1/2) - 1."""
    p, q = data.Normal(), data.Normal(1.0)
    critic = fit_critic(RECIPE, p, q, seeds=range(4), steps=200, lr=0.02)
    draw = Streams(range(4), role=9)
    gaps = critic.gap(p.sample(50_000, draw), q.sample(50_000, draw))
    tv = 2 * stats.norm.cdf(0.5) - 1
    assert gaps == pytest.approx([tv] * 4, abs=0.02)


def test_a_critic_tells_two_points_apart() -> None:
    x, y = torch.zeros(5, 1), torch.ones(3, 1)
    critic = fit_critic(RECIPE, x, y, seeds=range(3), steps=200, lr=0.05)
    assert (critic.gap(x, y) > 0.95).all()
    assert critic.gap(y, x) == pytest.approx(-critic.gap(x, y))


def test_a_gap_on_fixed_points_is_at_most_their_total_variation() -> None:
    p, q = np.array([0.5, 0.25, 0.25]), np.array([0.25, 0.25, 0.5])
    places = torch.tensor([[0.0], [1.0], [2.0]])
    x, y = (places[torch.tensor(index)] for index in ([0, 0, 1, 2], [0, 1, 2, 2]))
    critic = fit_critic(nets.mlp(1, 16, 1), x, y, seeds=range(4), steps=300, lr=0.05)
    gaps = critic.gap(x, y)
    assert (gaps <= transport.tv(p, q) + 1e-6).all()
    assert (gaps > 0.9 * transport.tv(p, q)).all()


def test_critics_have_values_in_the_unit_interval_and_one_row_a_seed() -> None:
    critic = fit_critic(RECIPE, data.Normal(), data.Normal(2.0), seeds=[3, 5], steps=3)
    x = torch.linspace(-50, 50, 7)[:, None]
    values = critic(x)
    assert values.shape == (2, 7)
    assert not values.requires_grad
    assert ((values >= 0) & (values <= 1)).all()
    assert torch.equal(values, critic(x.expand(2, -1, -1)))


def test_the_same_seeds_give_the_same_critics() -> None:
    fit = lambda: fit_critic(RECIPE, data.Normal(), data.Normal(1.0), seeds=[1, 2], steps=20)  # noqa: E731
    first, second = fit(), fit()
    for a, b in zip(first.net.parameters(), second.net.parameters(), strict=True):
        assert torch.equal(a, b)


@dataclass(frozen=True)
class Double:
    """A recipe in float64."""

    recipe: nets.Recipe

    def __call__(self, streams: Streams) -> nn.Module:
        return self.recipe(streams).double()


def test_a_seed_alone_gives_the_critic_that_it_gives_among_others() -> None:
    x, y = torch.from_numpy(cloud(1, 20, 2)), torch.from_numpy(cloud(2, 3, 30, 2)) + 1
    recipe = Double(nets.mlp(2, 8, 1))
    together = fit_critic(recipe, x, y, seeds=[4, 7, 9], steps=50).gap(x, y)
    alone = fit_critic(recipe, x, y[1:2], seeds=[7], steps=50).gap(x, y[1:2])
    assert alone == pytest.approx(together[1:2], abs=1e-12)


def test_the_projection_keeps_the_network_in_its_class() -> None:
    calls = 0

    @torch.no_grad()
    def project(net: nn.Module) -> None:
        nonlocal calls
        calls += 1
        for parameter in net.parameters():
            parameter.clamp_(-0.01, 0.01)

    critic = fit_critic(
        RECIPE, data.Normal(), data.Normal(3.0), seeds=[1], steps=5, project=project
    )
    assert calls == 6
    assert all(parameter.abs().max() <= 0.01 for parameter in critic.net.parameters())


@pytest.mark.parametrize("steps", [0, 3])
def test_a_projection_may_work_in_place(steps: int) -> None:
    def project(net: nn.Module) -> None:
        for parameter in net.parameters():
            parameter.clamp_(-0.01, 0.01)

    x = torch.zeros(4, 1)
    critic = fit_critic(RECIPE, x, x + 1, seeds=[1, 2], steps=steps, project=project)
    assert all(parameter.abs().max() <= 0.01 for parameter in critic.net.parameters())
    assert all(parameter.requires_grad for parameter in critic.net.parameters())


def test_no_steps_give_the_initial_network() -> None:
    critic = fit_critic(RECIPE, data.Normal(), data.Normal(), seeds=[1, 2], steps=0)
    initial = FittedCritic(RECIPE(Streams([1, 2])))
    x = torch.linspace(-2, 2, 5)[:, None]
    assert torch.equal(critic(x), initial(x))


def test_arguments_of_fit_critic_are_checked() -> None:
    x = torch.zeros(4, 1)
    with pytest.raises(ValueError, match="steps is -1"):
        fit_critic(RECIPE, x, x, seeds=[1], steps=-1)
    with pytest.raises(ValueError, match=r"y has shape \(3, 4, 1\); allowed are .* \(2, n, d\)"):
        fit_critic(RECIPE, x, x.expand(3, -1, -1), seeds=[1, 2], steps=1)
    with pytest.raises(ValueError, match=r"x has shape \(4,\)"):
        fit_critic(RECIPE, x[:, 0], x, seeds=[1], steps=1)
    with pytest.raises(ValueError, match="seeds is empty"):
        fit_critic(RECIPE, x, x, seeds=[], steps=1)


# --- how many points fool a class -----------------------------------------------------------------


@given(st.integers(1, 200), st.floats(0.01, 2))
def test_a_covering_number_is_a_power(m: int, radius: float) -> None:
    assert covering_number(m, radius) == pytest.approx(m * math.log(1 + 2 / radius))


def test_a_greedy_net_of_the_disc_is_no_larger() -> None:
    ticks = np.linspace(-1, 1, 81)
    points = np.stack(np.meshgrid(ticks, ticks), -1).reshape(-1, 2)
    points = points[np.linalg.norm(points, axis=1) <= 1]
    for radius in (0.2, 0.5, 1.0):
        net = points[:1]
        while (far := np.linalg.norm(points[:, None] - net, axis=-1).min(1)).max() > radius:
            net = np.vstack([net, points[far.argmax()]])
        assert math.log(len(net)) <= covering_number(2, radius)


@settings(max_examples=50)
@given(st.integers(1, 500), st.floats(0.01, 100), st.floats(0.01, 1), st.floats(1e-9, 0.5))
def test_samples_needed_is_the_smallest(m: int, L: float, epsilon: float, failure: float) -> None:
    n = samples_needed(m, L, epsilon, failure)

    def log_bound(n: int) -> float:
        return math.log(2) + m * math.log(1 + 8 * L / epsilon) - n * epsilon**2 / 8

    assert log_bound(n) <= math.log(failure) + 1e-9
    assert log_bound(n - 1) > math.log(failure) - 1e-9


@pytest.mark.parametrize(
    ("function", "arguments", "message"),
    [
        (covering_number, (0, 1.0), "m is 0"),
        (covering_number, (1, 0.0), "radius is 0.0"),
        (covering_number, (1, math.nan), "radius is nan"),
        (samples_needed, (0, 1.0, 0.1, 0.1), "m is 0"),
        (samples_needed, (1, 0.0, 0.1, 0.1), "lipschitz is 0.0"),
        (samples_needed, (1, math.inf, 0.1, 0.1), "lipschitz is inf"),
        (samples_needed, (1, 1.0, 0.0, 0.1), "epsilon is 0.0"),
        (samples_needed, (1, 1.0, 1.5, 0.1), "epsilon is 1.5"),
        (samples_needed, (1, 1.0, 0.1, 0.0), "failure is 0.0"),
        (samples_needed, (1, 1.0, 0.1, 1.0), "failure is 1.0"),
    ],
)
def test_numbers_are_checked(function: object, arguments: tuple[float, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        function(*arguments)
