"""Random streams and distributions: reproducible seed by seed, and scored as they are drawn."""

from __future__ import annotations

import itertools
import math
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from gan_course.data import (
    PALETTE,
    ColoredDigits,
    Empirical,
    Images,
    Mixture,
    Normal,
    StackedDigits,
    SwissRoll,
    Uniform,
    digits,
    grid,
    ring,
    spiral,
)
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
    ring(3, 1.0, 0.1),
    grid(2),
    spiral(4),
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
        (lambda: Mixture([], []), "lengths 0, 0"),
        (lambda: Mixture([1.0, math.nan], [1.0, 1.0]), "means is"),
        (lambda: ring(0), "k is 0"),
        (lambda: ring(radius=-1), "radius is -1"),
        (lambda: ring(std=0), "stds is 0"),
        (lambda: grid(0), "k is 0"),
        (lambda: grid(spacing=math.nan), "spacing is nan"),
        (lambda: spiral(0), "k is 0"),
        (lambda: spiral(radius=0), "radius is 0"),
        (lambda: SwissRoll(noise=-0.1), "noise is -0.1"),
        (lambda: SwissRoll(scale=0), "scale is 0"),
        (lambda: Empirical(torch.zeros(3)), "points has shape"),
        (lambda: Empirical(torch.tensor([[math.nan]])), "NaN"),
    ],
)
def test_bad_distributions(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


# --- modes in the plane ---------------------------------------------------------------------------


def test_a_mixture_takes_one_uniform_and_dim_normal_numbers_a_draw() -> None:
    """The contract on random numbers: the drawn values, from the streams' own numbers."""
    family = Mixture([[0.0, 1.0], [2.0, -1.0], [5.0, 5.0]], [0.3, 0.6, 0.1], [0.2, 0.5, 0.3])
    streams = Streams([3, 4])
    u, noise = streams.uniform(50, 1)[..., 0].numpy(), streams.normal(50, 2).numpy()
    index = np.searchsorted([0.2, 0.7], u, side="right")
    assert set(index.flat) == {0, 1, 2}
    means, stds = np.array(family.means), np.array(family.stds)
    expected = means[index] + stds[index][..., None] * noise
    assert family.sample(50, Streams([3, 4])).numpy() == pytest.approx(expected, abs=1e-6)


def test_a_mixture_computes_in_the_dtype_that_it_is_asked_in() -> None:
    """Double precision is not lost where single precision was asked for before."""
    x = torch.tensor([[0.3, 0.7]])
    family = ring(3, 1.0, 0.1)
    assert family.log_density(x).dtype == torch.float32
    double = family.log_density(x.double())
    assert double.dtype == torch.float64
    assert torch.equal(double, ring(3, 1.0, 0.1).log_density(x.double()))


def test_what_a_mixture_remembers_does_not_show() -> None:
    """Neither in its representation, by which sweeps know a setting, nor in a copy's samples."""
    family = ring(5)
    fresh = repr(family)
    drawn = family.sample(10, Streams([0]))
    assert repr(family) == fresh
    assert family == ring(5)
    assert hash(family) == hash(ring(5))
    assert torch.equal(pickle.loads(pickle.dumps(family)).sample(10, Streams([0])), drawn)


@given(st.integers(2, 40), st.floats(0.1, 10), st.floats(0.001, 1))
def test_ring_has_k_modes_evenly_spaced(k: int, radius: float, std: float) -> None:
    family = ring(k, radius, std)
    centers = family.centers.numpy()
    nearest = np.sort(cdist(centers, centers), axis=1)[:, 1]
    assert nearest == pytest.approx(np.full(k, 2 * radius * math.sin(math.pi / k)))
    assert np.hypot(*centers.T) == pytest.approx(np.full(k, radius))
    assert family.stds == (std,) * k


@given(st.integers(1, 8), st.floats(0.1, 10))
def test_grid_is_square_and_centered(k: int, spacing: float) -> None:
    centers = grid(k, spacing).centers.numpy()
    ticks = sorted({round(x / spacing * 2) for x in centers[:, 0]})
    assert ticks == list(range(1 - k, k, 2))
    assert {tuple(np.round(p / spacing * 2)) for p in centers} == set(
        itertools.product(ticks, ticks)
    )
    assert len(centers) == k * k


def test_presets() -> None:
    assert ring() == ring(8, 2, 0.02)
    assert grid().centers.min() == -4
    assert sorted(set(grid().centers.flatten().tolist())) == [-4, -2, 0, 2, 4]
    r = np.arange(20)  # No et al. 2021
    published = np.stack([r / 20 * np.cos(2 * r * np.pi / 20), r / 20 * np.sin(2 * r * np.pi / 20)])
    assert spiral().centers.numpy() == pytest.approx(published.T)
    assert spiral().stds == (0.1,) * 20
    assert pdist(spiral().centers).min() >= 10 * 0.005 - 1e-12


def test_swiss_roll_without_noise_is_its_curve() -> None:
    p = SwissRoll(noise=0, scale=3.0).sample(500, torch.Generator().manual_seed(0)).double() * 3
    t = p.norm(dim=-1)
    assert t.min() >= 1.5 * math.pi - 1e-5
    assert t.max() <= 4.5 * math.pi + 1e-5
    assert torch.allclose(p, torch.stack([t * t.cos(), t * t.sin()], -1), atol=1e-4)


@pytest.mark.parametrize(("noise", "scale"), [(0.25, 7.5), (1.0, 2.0)])
def test_swiss_roll_is_that_of_scikit_learn(noise: float, scale: float) -> None:
    from sklearn.datasets import make_swiss_roll

    theirs = make_swiss_roll(6000, noise=noise, random_state=0)[0][:, [0, 2]] / scale
    ours = SwissRoll(noise, scale).sample(3000, Streams([1, 2])).flatten(0, 1).numpy()
    assert ours.shape == theirs.shape
    for direction in ([1, 0], [0, 1], [1, 1], [1, -2]):
        assert stats.ks_2samp(ours @ direction, theirs @ direction).pvalue > 1e-3
    assert stats.ks_2samp(np.hypot(*ours.T), np.hypot(*theirs.T)).pvalue > 1e-3


# --- digits ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "n"), [(28, 10_000), (8, 1797)])
def test_digits(size: int, n: int) -> None:
    images = digits(size)
    assert images.points.shape == (n, size**2)
    assert images.points.dtype == torch.float32
    assert (images.points.min(), images.points.max()) == (-1, 1)
    assert images.shape == (1, size, size)
    assert sorted(set(images.labels.tolist())) == list(range(10))
    seen, held_out = images.split(n // 2)
    means = torch.stack([seen.points[seen.labels == k].mean(0) for k in range(10)])
    nearest = torch.cdist(held_out.points, means).argmin(1)
    assert (nearest == held_out.labels).double().mean() > 0.75  # labels belong to their images


def test_digits_are_the_stored_ones() -> None:
    from importlib import resources

    stored = np.load(resources.files("gan_course") / "assets" / "mnist10k.npz")
    images = digits()
    for k in range(10):
        ours = (images.points[images.labels == k].numpy() + 1) * 127.5
        theirs = stored["images"][stored["labels"] == k].reshape(-1, 784)
        assert np.abs(ours - theirs).max() < 1e-4


@given(st.integers(1, 1796))
@settings(max_examples=30, deadline=None)
def test_every_split_holds_the_classes_as_the_whole_does(n: int) -> None:
    images = digits(8)
    seen, held_out = images.split(n)
    assert len(seen) + len(held_out) == len(images)
    assert torch.equal(
        torch.cat([seen.points[-1:], held_out.points[:1]]), images.points[n - 1 : n + 1]
    )
    share = images.labels.bincount() / len(images)
    assert (seen.labels.bincount(minlength=10) - n * share).abs().max() < 1.5


def test_digits_are_fresh_at_each_call() -> None:
    first = digits(8)
    first.points.zero_()
    first.labels.zero_()
    assert digits(8).points.abs().sum() > 0
    assert digits(8).labels.sum() > 0


def test_empirical_images() -> None:
    images = digits(8)
    drawn = images.empirical().sample(20, Streams([0, 1]))
    assert drawn.shape == (2, 20, 64)
    assert torch.cdist(drawn.flatten(0, 1), images.points).min(1).values.max() == 0


def patches(labels: list[int]) -> Images:
    """Images of one pixel that tells their label."""
    values = torch.tensor(labels)
    return Images((values[:, None] - 5.0) / 8, values, (1, 1, 1))


@pytest.mark.parametrize(
    "source", [Streams([0, 1]), torch.Generator()], ids=["streams", "generator"]
)
def test_stacked_digits_know_their_modes(source: Streams | torch.Generator) -> None:
    family = StackedDigits(patches([0, 3, 8]))
    points, modes = family.sample_labeled(400, source)
    assert points.shape[-1] == family.dim == 3
    assert family.shape == (3, 1, 1)
    triples = (points * 8 + 5).round().long()
    assert torch.equal(triples @ torch.tensor([100, 10, 1]), modes)
    expected = {100 * a + 10 * b + c for a, b, c in itertools.product([0, 3, 8], repeat=3)}
    assert set(modes.flatten().tolist()) == expected


def test_stacked_digits_are_channel_after_channel() -> None:
    images = digits(8)
    family = StackedDigits(images)
    points, modes = family.sample_labeled(30, Streams([5]))
    assert torch.equal(points, family.sample(30, Streams([5])))
    for channel, place in enumerate([100, 10, 1]):
        gap, index = torch.cdist(points[0].view(30, 3, 64)[:, channel], images.points).min(1)
        assert gap.max() == 0
        assert torch.equal(images.labels[index], modes[0] // place % 10)


def test_stacked_channels_are_independent() -> None:
    _, modes = StackedDigits(patches([0, 1])).sample_labeled(8000, torch.Generator().manual_seed(2))
    counts = modes.bincount()[[0, 1, 10, 11, 100, 101, 110, 111]]
    assert stats.chisquare(counts).pvalue > 1e-3


def test_colored_digits() -> None:
    images = digits(8)
    family = ColoredDigits(images)
    points, modes = family.sample_labeled(200, Streams([0, 1]))
    assert points.shape == (2, 200, family.dim) == (2, 200, 192)
    channels = points.view(400, 3, 64)
    gap, index = torch.cdist(channels.amax(1), images.points).min(1)
    assert gap.max() < 1e-5  # the strongest channel is the gray digit
    assert torch.equal(images.labels[index], modes.flatten() // 6)
    strongest = (channels.amax(2) + 1) / 2
    expected = torch.tensor(PALETTE)[modes.flatten() % 6]
    assert torch.allclose(strongest / strongest.amax(1, keepdim=True), expected.float())


def test_colors_and_digits_are_independent() -> None:
    family = ColoredDigits(patches([0, 1]), colors=PALETTE[:3])
    _, modes = family.sample_labeled(6000, torch.Generator().manual_seed(3))
    counts = modes.bincount()
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: digits(16), "size is 16; allowed are 8 and 28"),
        (lambda: digits(8).split(0), "n is 0; allowed are 1 to 1796"),
        (lambda: digits(8).split(1797), "n is 1797"),
        (
            lambda: Images(torch.zeros(2, 3), torch.zeros(2).long(), (1, 2, 2)),
            r"allowed is \(n, 4\)",
        ),
        (lambda: Images(torch.zeros(2, 4), torch.zeros(3).long(), (1, 2, 2)), "labels has shape"),
        (lambda: Images(torch.zeros(2, 4), torch.zeros(2), (1, 2, 2)), "torch.float32"),
        (lambda: Images(torch.full((1, 1), 1.5), torch.tensor([1]), (1, 1, 1)), "outside of"),
        (lambda: Images(torch.tensor([[math.nan]]), torch.tensor([1]), (1, 1, 1)), "NaN"),
        (lambda: StackedDigits(patches([3, 12])), "labels outside of 0 to 9"),
        (lambda: StackedDigits(Images(torch.zeros(1, 3), torch.tensor([1]), (3, 1, 1))), "channel"),
        (lambda: ColoredDigits(patches([3, -1])), "labels outside of 0 to 9"),
        (lambda: ColoredDigits(patches([3]), colors=[]), r"colors is \[\]"),
        (lambda: ColoredDigits(patches([3]), colors=[(0, 1, 2)]), "colors is"),
        (lambda: ColoredDigits(patches([3]), colors=[(0, 1, math.nan)]), "colors is"),
    ],
)
def test_bad_images(make: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()  # type: ignore[operator]


def test_heavy_libraries_wait_until_they_are_needed() -> None:
    heavy = "{'ot', 'sklearn'} & set(sys.modules)"
    code = f"import sys, gan_course.data, gan_course.metrics; print({heavy})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
