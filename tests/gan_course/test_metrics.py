"""Metrics against closed forms and references, and what they do with a seed that diverged."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg, stats

from gan_course import metrics
from gan_course.data import Mixture, StackedDigits, digits, grid, ring
from gan_course.metrics import (
    birthday_test,
    digit_classifier,
    duplicate_probability,
    feature_distance,
    frechet_distance,
    interval,
    mode_coverage,
    near_duplicates,
    stacked_coverage,
)
from gan_course.random import Streams

# --- modes of a mixture ---------------------------------------------------------------------------


def at(mixture: Mixture, modes: list[int], distance: float = 0.0) -> torch.Tensor:
    """Points that many standard deviations to the right of these modes, float64."""
    return mixture.centers[modes] + distance * mixture.stds[0] * torch.tensor([1.0, 0.0])


def test_counts_by_hand() -> None:
    mixture = ring(4, 1.0, 0.01)
    near = at(mixture, [0, 0, 0, 1], 2.99)
    far = at(mixture, [2, 3, 3, 3], 3.01)
    result = mode_coverage(torch.cat([near, far])[None], mixture)
    assert result.modes.tolist() == [2]
    assert result.high_quality.tolist() == [0.5]
    assert result.counts.tolist() == [[3, 1, 0, 0]]
    assert result.kl == pytest.approx([0.75 * math.log(3) + 0.25 * math.log(1)])
    assert result.diverged == 0


def test_kl_is_from_the_samples_to_the_weights() -> None:
    mixture = Mixture([[0.0, 0.0], [9.0, 0.0]], [0.1, 0.1], [0.8, 0.2])
    result = mode_coverage(at(mixture, [0, 1])[None], mixture)
    assert result.kl == pytest.approx([0.5 * math.log(0.5 / 0.8) + 0.5 * math.log(0.5 / 0.2)])


@given(st.integers(1, 8))
def test_kl_of_some_of_the_modes(j: int) -> None:
    result = mode_coverage(at(ring(8), list(range(j)))[None], ring(8))
    assert result.modes == [j]
    assert result.kl == pytest.approx([math.log(8 / j)], abs=1e-12)


def test_distances_count_in_each_modes_own_deviations() -> None:
    mixture = Mixture([[0.0, 0.0], [10.0, 0.0]], [1.0, 4.0])
    points = torch.tensor([[4.0, 0.0], [2.0, 0.0]])  # 4 and 1.5, 2 and 2 deviations away
    assert mode_coverage(points[None], mixture).counts.tolist() == [[1, 1]]


@pytest.mark.parametrize("mixture", [ring(), grid(), ring(1)], ids=["ring", "grid", "one"])
def test_true_samples_reach_the_exact_ceiling(mixture: Mixture) -> None:
    result = mode_coverage(mixture.sample(20_000, Streams(range(4))), mixture)
    ceiling = 1 - math.exp(-4.5)
    error = math.sqrt(ceiling * (1 - ceiling) / 80_000)
    assert result.high_quality.mean() == pytest.approx(ceiling, abs=4 * error)
    k = len(mixture.means)
    assert result.modes.tolist() == [k] * 4
    assert result.kl.mean() == pytest.approx((k - 1) / 40_000, rel=1.5)  # the bias of frequencies


def test_ceiling_on_the_line() -> None:
    line = Mixture([-5.0, 5.0], [0.5, 0.5])
    share = mode_coverage(line.sample(50_000, Streams([0])), line).high_quality[0]
    assert share == pytest.approx(stats.norm.cdf(3) - stats.norm.cdf(-3), abs=1e-3)


clouds_in_the_plane = st.lists(
    st.tuples(st.floats(-3, 3), st.floats(-3, 3)), min_size=2, max_size=30
).map(lambda points: torch.tensor(points, dtype=torch.float64))


@given(clouds_in_the_plane, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_coverage_of_any_cloud(cloud: torch.Tensor, random: object) -> None:
    mixture = Mixture([[-1.0, 0.0], [0.0, 0.0], [1.5, 1.0]], [0.2, 0.3, 0.1], [0.5, 0.3, 0.2])
    result = mode_coverage(cloud[None], mixture)
    order = list(range(len(cloud)))
    random.shuffle(order)  # type: ignore[attr-defined]
    again = mode_coverage(cloud[order][None], mixture)
    for name in ("modes", "high_quality", "kl", "counts"):
        assert np.array_equal(getattr(result, name), getattr(again, name))
    assert 0 <= result.modes[0] <= 3
    assert (result.modes[0] == 0) == (result.high_quality[0] == 0)
    assert -1e-12 <= result.kl[0] <= math.log(5) + 1e-12
    fewer = mode_coverage(cloud[None, :-1], mixture)
    assert 0 <= result.modes[0] - fewer.modes[0] <= 1  # another sample never loses a mode


def test_nothing_of_high_quality() -> None:
    mixture = Mixture([[0.0, 0.0], [9.0, 0.0]], [0.1, 0.1], [0.75, 0.25])
    result = mode_coverage(torch.full((1, 5, 2), 4.0), mixture)
    assert (result.modes, result.high_quality) == ([0], [0])
    assert result.kl == pytest.approx([math.log(4)])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_diverged_seed_is_masked_and_the_others_are_not(bad: float) -> None:
    samples = ring().sample(200, Streams(range(3)))
    whole = mode_coverage(samples, ring())
    samples[1, 7, 0] = bad
    masked = mode_coverage(samples, ring())
    assert masked.diverged == 1
    for name in ("modes", "high_quality", "kl", "counts"):
        values, kept = getattr(masked, name), getattr(whole, name)
        assert np.isnan(values[1]).all()
        assert np.array_equal(values[[0, 2]], kept[[0, 2]])
    assert str(interval(masked.modes)) == "8 [8, 8], 3 seeds, 1 diverged"


@pytest.mark.parametrize("shape", [(10, 2), (1, 10, 3), (1, 0, 2), (0, 10, 2)])
def test_bad_samples(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"samples has shape .* allowed is"):
        mode_coverage(torch.zeros(shape), ring())
    with pytest.raises(ValueError, match="samples has shape"):
        stacked_coverage(torch.zeros(shape))
    with pytest.raises(ValueError, match="x has shape"):
        feature_distance(torch.zeros(shape), torch.zeros(5, 784))


# --- the birthday test ----------------------------------------------------------------------------


def equal(values: np.ndarray) -> np.ndarray:
    """Number of other values in its row that each value equals."""
    return (values[:, :, None] == values[:, None]).sum(2) - 1.0


@pytest.mark.parametrize("dim", [1, 2, 8, 9, 40])
def test_near_duplicates_against_all_distances(dim: int) -> None:
    points = np.random.default_rng(dim).normal(size=(3, 60, dim))
    points[:, 50:] = points[:, :10]  # equal points are near at radius 0, too
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=3)
    for radius in (0.0, math.sqrt(dim)):
        found = near_duplicates(torch.tensor(points), radius)
        assert np.array_equal(found, (apart <= radius).sum(2) - 1)
    assert near_duplicates(points, 0.0).sum(1).tolist() == [20, 20, 20]


def test_blocks_of_near_duplicates_do_not_show() -> None:
    points = np.random.default_rng(1).normal(size=(1, 1100, 12))
    flat = np.concatenate([points, np.zeros((1, 1100, 1))], axis=2)[..., ::-1]
    found = near_duplicates(points, 2.5)
    assert np.array_equal(found, near_duplicates(flat, 2.5))
    assert found.sum() > 100


def test_near_duplicates_mask_a_diverged_seed() -> None:
    points = torch.zeros(2, 5, 3)
    points[1, 2, 0] = math.inf
    partners = near_duplicates(points, 0.1)
    assert partners[0].tolist() == [4] * 5
    assert np.isnan(partners[1]).all()
    result = birthday_test(partners)
    for name in ("pairs", "variance", "rate", "support", "low", "high"):
        assert np.isnan(getattr(result, name)).tolist() == [False, True]


@given(
    st.lists(st.integers(1, 9), min_size=2, max_size=4),
    st.integers(4, 5),
    st.booleans(),
)
@settings(deadline=None, max_examples=30)
def test_estimates_have_no_bias(weights: list[int], s: int, chain: bool) -> None:
    """Over all samples of a small law, for equality and for a relation that is not transitive."""
    q = np.array(weights) / sum(weights)
    index = np.arange(len(q))
    near = np.abs(index[:, None] - index) <= int(chain)
    draws = np.array(list(itertools.product(index, repeat=s)))
    weight = q[draws].prod(1)
    partners = near[draws[:, :, None], draws[:, None]].sum(2) - 1.0
    result = birthday_test(partners)
    assert weight @ result.rate == pytest.approx(q @ near @ q)
    mean = weight @ result.pairs
    assert weight @ result.variance == pytest.approx(weight @ (result.pairs - mean) ** 2)
    g = near @ q
    spread = q @ g**2 - (q @ g) ** 2
    closed = math.comb(s, 2) * (q @ g) * (1 - q @ g) + s * (s - 1) * (s - 2) * spread
    assert weight @ result.variance == pytest.approx(closed)


@given(st.integers(0, 10**6), st.floats(0.5, 0.999))
@settings(deadline=None, max_examples=40)
def test_interval_holds_the_estimate_and_is_garwoods_without_excess(
    seed: int, level: float
) -> None:
    rng = np.random.default_rng(seed)
    s = int(rng.integers(4, 40))
    result = birthday_test(equal(rng.integers(0, rng.integers(1, 200), size=(20, s))), level)
    total, pairs = math.comb(s, 2), result.pairs
    assert (result.low <= result.support).all()
    assert (result.support <= result.high).all()
    assert (result.low >= 1).all()
    plain = result.variance <= pairs
    most = stats.chi2.ppf((1 + level) / 2, 2 * pairs + 2) / 2
    assert result.low[plain] == pytest.approx(np.maximum(total / most, 1)[plain])
    least = stats.chi2.ppf((1 - level) / 2, 2 * pairs) / 2
    some = plain & (pairs > 0)
    assert result.high[some] == pytest.approx((total / least)[some])
    assert np.isinf(result.high[pairs == 0]).all()


def test_known_supports_are_found() -> None:
    """The interval covers at about its level where values are equally likely, and where not."""
    rng = np.random.default_rng(3)
    zipf = 1 / np.arange(1, 301)
    for q, coverage in ((np.full(300, 1 / 300), 0.93), (zipf / zipf.sum(), 0.88)):
        result = birthday_test(equal(rng.choice(300, size=(600, 80), p=q)))
        truth = 1 / (q**2).sum()
        assert np.mean((result.low <= truth) & (truth <= result.high)) > coverage
        assert result.rate.mean() == pytest.approx(1 / truth, rel=0.1)


def test_duplicate_probability_against_all_samples() -> None:
    for support, s, heavy in itertools.product((1, 3, 5), (1, 2, 4), (0.0, 0.3, 1.0)):
        q = np.full(support, (1 - heavy) / support)
        q[0] += heavy
        draws = np.array(list(itertools.product(range(support), repeat=s)))
        different = np.array([len(set(row)) == s for row in draws])
        none = q[draws].prod(1) @ different
        assert duplicate_probability(support, s, heavy) == pytest.approx(1 - none, abs=1e-12)
    assert duplicate_probability(365, 22) < 0.5 < duplicate_probability(365, 23)
    assert duplicate_probability(10**15, 2) == pytest.approx(1e-15, rel=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: near_duplicates(np.zeros((2, 3)), 1), "samples has shape"),
        (lambda: near_duplicates(np.zeros((0, 3, 1)), 1), "samples has shape"),
        (lambda: near_duplicates(np.zeros((1, 3, 1)), -1), "radius is -1"),
        (lambda: near_duplicates(np.zeros((1, 3, 1)), math.nan), "radius is nan"),
        (lambda: birthday_test(np.zeros(5)), "partners has shape"),
        (lambda: birthday_test(np.zeros((2, 3))), "partners has shape"),
        (lambda: birthday_test(np.zeros((2, 5)), 1.0), "level is 1"),
        (lambda: duplicate_probability(0, 3), "support is 0"),
        (lambda: duplicate_probability(5, 0), "draws is 0"),
        (lambda: duplicate_probability(5, 3, 1.5), "heavy is 1.5"),
    ],
)
def test_bad_birthday_tests(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


# --- the classifier -------------------------------------------------------------------------------


def test_the_classifier_reads_digits_that_it_never_saw() -> None:
    _, held_out = digits().split(8000)
    right = digit_classifier()(held_out.points).argmax(-1) == held_out.labels
    assert right.double().mean().item() == pytest.approx(0.984, abs=6e-4)  # as documented
    assert (
        resources.files("gan_course") / "assets" / "digit_classifier.npz"
    ).stat().st_size < 150e3


def test_batches_do_not_show() -> None:
    points = digits().points[:1100].view(2, 550, 784)
    classifier = digit_classifier()
    logits = classifier(points)
    assert logits.shape == (2, 550, 10)
    assert classifier.features(points).shape == (2, 550, 32)
    for seed, i in [(0, 0), (0, 511), (0, 512), (1, 549)]:
        assert torch.allclose(classifier(points[seed, i]), logits[seed, i], atol=1e-4)


def test_gradients_reach_the_pixels_only() -> None:
    x = digits().points[:1].clone().requires_grad_()
    classifier = digit_classifier()
    classifier(x)[0, 3].backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert not any(p.requires_grad for p in classifier.parameters())
    with pytest.raises(ValueError, match=r"x has shape \(2, 64\)"):
        classifier(torch.zeros(2, 64))


@pytest.mark.slow
def test_one_command_trains_the_classifier(tmp_path: Path) -> None:
    """One epoch of the script that made the weights: same names and shapes, and it learns."""
    root = Path(__file__).parents[2]
    out = tmp_path / "weights.npz"
    command = [sys.executable, root / "tools" / "train_digit_classifier.py"]
    done = subprocess.run(
        [*command, "--out", out, "--epochs", "1"], capture_output=True, text=True, check=True
    )
    assert float(done.stdout.split("%")[0]) > 75
    with np.load(out, allow_pickle=False) as stored:
        shapes = {name: (stored[name].shape, stored[name].dtype) for name in stored.files}
    assert shapes == {name: (v.shape, v.dtype) for name, v in metrics._weights().items()}


# --- stacked digits -------------------------------------------------------------------------------


def test_stacked_coverage_of_real_digits() -> None:
    """What the classifier reads agrees with the labels, within its errors."""
    family = StackedDigits(digits().split(8000)[1])
    samples, modes = family.sample_labeled(2000, Streams([0]))
    result = stacked_coverage(samples)
    true = np.bincount(modes[0], minlength=1000)
    assert result.counts.sum() == 2000
    assert np.abs(result.counts[0] - true).sum() / 2 < 0.08 * 2000  # three errors of 1.6 %
    assert result.modes[0] == pytest.approx((true > 0).sum(), abs=20)
    assert result.kl[0] == pytest.approx(stats.entropy(true, np.ones(1000)), abs=0.03)


def test_stacked_digits_of_one_mode_and_of_two() -> None:
    images = digits()
    of = {k: images.points[images.labels == k][0] for k in (2, 5, 7)}
    one = torch.cat([of[7], of[2], of[5]]).expand(40, -1)
    two = one.clone()
    two[:20] = torch.cat([of[2], of[2], of[5]])
    result = stacked_coverage(torch.stack([one, two]))
    assert result.counts[0].argmax() == 725
    assert np.flatnonzero(result.counts[1]).tolist() == [225, 725]
    assert result.modes.tolist() == [1, 2]
    assert result.kl == pytest.approx([math.log(1000), math.log(500)])


def test_stacked_coverage_masks_a_diverged_seed() -> None:
    samples = torch.zeros(2, 4, 3 * 784)
    samples[0, 1, 5] = math.nan
    result = stacked_coverage(samples)
    assert np.isnan(result.modes).tolist() == [True, False]
    assert np.isnan(result.kl).tolist() == [True, False]
    assert result.diverged == 1


# --- Fréchet distance -----------------------------------------------------------------------------


def cloud(n: int, mean: np.ndarray, covariance: np.ndarray, seed: int) -> np.ndarray:
    """`n` points with exactly this mean and this unbiased covariance."""
    x = np.random.default_rng(seed).normal(size=(n, len(mean)))
    x -= x.mean(0)
    white = x @ linalg.inv(linalg.cholesky(x.T @ x / (n - 1)))
    return white @ linalg.cholesky(covariance) + mean


@given(
    st.lists(st.floats(0.1, 5), min_size=3, max_size=3),
    st.lists(st.floats(0.1, 5), min_size=3, max_size=3),
    st.lists(st.floats(-5, 5), min_size=3, max_size=3),
)
@settings(deadline=None, max_examples=50)
def test_frechet_distance_of_diagonal_normals(
    s: list[float], t: list[float], m: list[float]
) -> None:
    x = cloud(30, np.zeros(3), np.diag(np.square(s)), 0)
    y = cloud(50, np.array(m), np.diag(np.square(t)), 1)
    closed = np.square(m).sum() + np.square(np.subtract(s, t)).sum()
    assert frechet_distance(x[None], y) == pytest.approx([closed], rel=1e-8, abs=1e-8)


@given(st.integers(0, 10**6))
@settings(deadline=None, max_examples=30)
def test_frechet_distance_against_matrix_square_roots(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 4, 4))
    c, d = a @ a.T + 0.1 * np.eye(4), b @ b.T + 0.1 * np.eye(4)
    x, y = cloud(20, rng.normal(size=4), c, seed), cloud(25, rng.normal(size=4), d, seed + 1)
    root = linalg.sqrtm(linalg.sqrtm(c) @ d @ linalg.sqrtm(c)).real
    closed = np.square(x.mean(0) - y.mean(0)).sum() + np.trace(c + d - 2 * root)
    assert frechet_distance(x[None], y) == pytest.approx([closed], rel=1e-6, abs=1e-7)
    assert frechet_distance(y[None], x) == pytest.approx([closed], rel=1e-6, abs=1e-7)
    turn = stats.ortho_group.rvs(4, random_state=seed)
    assert frechet_distance((x @ turn)[None], y @ turn) == pytest.approx([closed], rel=1e-6)


def test_frechet_distance_with_few_points() -> None:
    """Singular covariances: fewer points than dimensions."""
    x = np.random.default_rng(0).normal(size=(5, 40))
    assert frechet_distance(x[None], x)[0] == pytest.approx(0, abs=1e-10)
    assert frechet_distance(x[None], x + 2)[0] == pytest.approx(4 * 40)
    assert frechet_distance(x[None], 3 * x)[0] == pytest.approx(
        4 * np.square(x.mean(0)).sum() + 4 * x.var(0, ddof=1).sum()
    )


def test_frechet_distance_takes_a_reference_a_seed_and_masks() -> None:
    x, y = np.random.default_rng(1).normal(size=(2, 3, 20, 2))
    together = frechet_distance(x, y)
    assert together == pytest.approx(
        [frechet_distance(a[None], b)[0] for a, b in zip(x, y, strict=True)]
    )
    x[2, 0, 0] = math.nan
    assert np.array_equal(frechet_distance(x, y), [*together[:2], math.nan], equal_nan=True)
    with pytest.raises(ValueError, match="y has one point"):
        frechet_distance(x, y[:, :1])
    with pytest.raises(ValueError, match="y holds a NaN"):
        frechet_distance(y, x)


def test_feature_distance_sees_noise_and_missing_classes() -> None:
    images = digits()
    real, reference = images.points[:1000], images.points[1000:2000]
    noise = torch.randn(real.shape, generator=torch.Generator().manual_seed(0))
    slightly, badly = ((real + s * noise).clamp(-1, 1) for s in (0.3, 0.6))
    ones = images.points[images.labels == 1][:1000]
    floor, *rest = feature_distance(torch.stack([real, slightly, badly, ones]), reference)
    assert 0 < floor < rest[0] / 5 < rest[1] / 5
    assert rest[2] > 50 * floor
    classifier = digit_classifier()
    by_hand = frechet_distance(classifier.features(real)[None], classifier.features(reference))
    assert floor == pytest.approx(by_hand[0], rel=1e-4)


def test_the_floor_of_the_feature_distance_is_as_documented() -> None:
    """425 / n between independent samples of n real digits."""
    points = digits().points[torch.randperm(10_000, generator=torch.Generator().manual_seed(1))]
    for n, seeds in ((100, 25), (500, 10)):
        x, y = points[: 2 * n * seeds].view(2, seeds, n, 784)
        assert feature_distance(x, y).mean() == pytest.approx(425 / n, rel=0.1)


def test_feature_distance_masks_a_diverged_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the network's features hide the infinity, as a rectifier may."""
    hide = lambda self, x: torch.nan_to_num(x[..., 300:332], neginf=0.0)  # noqa: E731
    monkeypatch.setattr(metrics.DigitClassifier, "features", hide)
    x = digits().points[:20].view(2, 10, 784).clone()
    x[0, 3, 300] = -math.inf
    assert np.isnan(feature_distance(x, x[1])).tolist() == [True, False]
    for y in (x, torch.zeros(10, 64)):
        with pytest.raises(ValueError, match="y has shape"):
            feature_distance(x, y)


# --- intervals ------------------------------------------------------------------------------------


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=20), st.floats(0.5, 0.999))
def test_interval_is_students(values: list[float], level: float) -> None:
    result = interval([*values, math.nan], level)
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * np.std(values, ddof=1)
    half /= math.sqrt(len(values))
    assert result.mean == pytest.approx(np.mean(values), abs=1e-9)
    assert (result.low, result.high) == pytest.approx(
        (np.mean(values) - half, np.mean(values) + half), abs=1e-6
    )
    assert (result.seeds, result.diverged) == (len(values) + 1, 1)


def test_interval_reads_well() -> None:
    values = torch.tensor([6.0, 7.0, 6.0, 6.5, math.nan, math.inf])
    assert str(interval(values)) == "6.38 [5.61, 7.14], 6 seeds, 2 diverged"
    assert f"{interval([0.991, 0.993]):.1%}" == "99.2% [97.9%, 100.5%], 2 seeds"
    assert str(interval([2.0])) == "2 [nan, nan], 1 seed"
    assert str(interval([math.nan] * 3)) == "nan [nan, nan], 3 seeds, 3 diverged"


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([], 0.95, "values has shape"),
        ([[1.0]], 0.95, "values has shape"),
        ([1.0, 2.0], 1, "level is 1"),
    ],
)
def test_bad_intervals(values: list[float], level: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        interval(values, level)
