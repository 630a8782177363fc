"""Random streams and distributions: reproducible seed by seed, and scored as they are drawn."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gan_course.data import Empirical, Mixture, Normal, Uniform
from gan_course.random import Streams

FAMILIES = [
    Normal(),
    Normal(mean=1.5, std=0.3),
    Normal(dim=3),
    Uniform(-1, 2),
    Uniform(dim=2),
    Mixture([-1.5, 1.5], [0.4, 0.4]),
    Mixture([0.0, 3.0, 5.0], [0.2, 1.0, 0.5], [0.2, 0.5, 0.3]),
    Mixture([[0.0, 1.0], [2.0, -1.0]], [0.3, 0.6]),
]


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=6, unique=True), st.integers(1, 20))
@settings(max_examples=30, deadline=None)
def test_a_seed_draws_the_same_alone_and_among_others(seeds: list[int], n: int) -> None:
    together = Streams(seeds)
    first, second = together.normal(n, 2), together.uniform(n, 3)
    for i, seed in enumerate(seeds):
        alone = Streams([seed])
        assert torch.equal(alone.normal(n, 2)[0], first[i])
        assert torch.equal(alone.uniform(n, 3)[0], second[i])


def test_roles_and_seeds_are_different_streams() -> None:
    """Also where they differ only beyond 32 bits, which PyTorch's own seeding does not see."""
    several = (0, 1, 2, 2**32, 2**32 + 1, 10**20)
    drawn = [Streams([s], role=r).normal(4, 1) for s in several for r in (0, 1, 15)]
    assert len({tuple(x.flatten().tolist()) for x in drawn}) == len(drawn)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([-1],), "at least 0"),
        (([],), "empty"),
        (([1, 1],), "different"),
        (([1], "cpu", 16), "role is 16"),
    ],
)
def test_bad_streams(arguments: tuple[object, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Streams(*arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES, ids=str)
def test_shapes(family: Normal | Uniform | Mixture) -> None:
    assert family.sample(5, Streams([0, 1, 2])).shape == (3, 5, family.dim)
    x = family.sample(5, torch.Generator().manual_seed(0))
    assert x.shape == (5, family.dim)
    assert family.log_density(x).shape == (5,)


@pytest.mark.parametrize("family", [f for f in FAMILIES if f.dim == 1], ids=str)
def test_samples_follow_the_density(family: Normal | Uniform | Mixture) -> None:
    """Kolmogorov-Smirnov against the integrated density; the density's mass is 1."""
    x = torch.linspace(-12, 12, 48001, dtype=torch.float64)
    density = family.log_density(x[:, None]).exp()
    cdf = torch.cumsum(density, 0) * (x[1] - x[0])
    assert cdf[-1] == pytest.approx(1, abs=1e-3)
    sample = family.sample(4000, torch.Generator().manual_seed(1))[:, 0].numpy()
    import numpy as np

    assert stats.kstest(sample, lambda t: np.interp(t, x, cdf)).pvalue > 1e-3


def test_log_densities_against_scipy() -> None:
    x = torch.randn(7, 3, dtype=torch.float64)
    ours = Normal(0.5, 2.0, dim=3).log_density(x)
    assert torch.allclose(ours, torch.tensor(stats.norm(0.5, 2).logpdf(x).sum(1)))
    assert Uniform(0, 2).log_density(torch.tensor([[1.0], [2.5]])).tolist() == pytest.approx(
        [-math.log(2), -math.inf]
    )
    far = Mixture([-1.0, 1.0], [0.1, 0.1]).log_density(torch.tensor([[60.0]], dtype=torch.float64))
    assert far.item() == pytest.approx(math.log(0.5) + stats.norm(1, 0.1).logpdf(60))


def test_mixture_weights_are_drawn() -> None:
    family = Mixture([-9.0, 9.0], [0.1, 0.1], [0.2, 0.8])
    left = family.sample(20000, torch.Generator().manual_seed(3)) < 0
    assert left.double().mean().item() == pytest.approx(0.2, abs=0.01)


def test_empirical_draws_its_points_and_only_them() -> None:
    points = torch.arange(6.0).reshape(2, 3, 1)
    drawn = Empirical(points).sample(200, Streams([0, 1]))
    assert {float(v) for v in drawn[0].flatten()} == {0.0, 1.0, 2.0}
    assert {float(v) for v in drawn[1].flatten()} == {3.0, 4.0, 5.0}
    shared = Empirical(points[0]).sample(50, Streams([0, 1]))
    assert shared.shape == (2, 50, 1)
    assert set(shared.flatten().tolist()) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Normal(std=0), "std is 0"),
        (lambda: Normal(dim=0), "dim is 0"),
        (lambda: Uniform(1, 1), "low is 1"),
        (lambda: Mixture([1.0], [1.0, 2.0]), "lengths 1, 2"),
        (lambda: Mixture([1.0, 2.0], [1.0, -1.0]), "stds is -1"),
        (lambda: Mixture([1.0, 2.0], [1.0, 1.0], [0.7, 0.7]), "sum to 1"),
        (lambda: Mixture([0.0, [1.0, 2.0]], [1.0, 1.0]), "one dimension"),
        (lambda: Empirical(torch.zeros(3)), "points has shape"),
        (lambda: Empirical(torch.tensor([[math.nan]])), "NaN"),
    ],
)
def test_bad_distributions(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]
