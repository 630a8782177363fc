"""How good are an ensemble's samples: modes, diversity, distance in features, intervals over seeds.

A metric takes samples with a leading seed axis, ``(seeds, n, dim)``, and gives one value a seed. A
seed whose samples hold a NaN or an infinity has diverged: its values are NaN, and
:func:`interval` leaves it out and says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.spatial import KDTree
from scipy.spatial.distance import cdist
from scipy.special import gammaincinv, rel_entr
from torch import nn

from gan_course.claims import student_t
from gan_course.data import Mixture
from gan_course.transport import clouds

__all__ = [
    "BirthdayTest",
    "Coverage",
    "DigitClassifier",
    "Interval",
    "StackedCoverage",
    "birthday_test",
    "digit_classifier",
    "duplicate_probability",
    "feature_distance",
    "frechet_distance",
    "interval",
    "mode_coverage",
    "near_duplicates",
    "stacked_coverage",
]

Array = NDArray[np.float64]

_NEAR = 3.0  # standard deviations
_BATCH = 512  # images at once: larger batches leave the cache
_FLAT = 8  # dimensions up to which a tree of the points is faster than all distances


@dataclass(frozen=True, eq=False)
class Coverage:
    """How samples spread over the modes of a mixture, one value a seed: shape ``(seeds,)``.

    Attributes
    ----------
    modes
        Number of modes that hold at least one sample of high quality.
    high_quality
        Share of the samples that are of high quality, in [0, 1].
    kl
        ``KL(p || w)`` of the high-quality samples' frequencies ``p`` over the modes from the
        mixture's weights ``w``, in nats.
    counts
        Number of high-quality samples in each mode, shape ``(seeds, k)``.
    """

    modes: Array
    high_quality: Array
    kl: Array
    counts: Array

    @property
    def diverged(self) -> int:
        """Number of seeds whose samples are not finite: their values are NaN."""
        return int(np.isnan(self.modes).sum())


def mode_coverage(samples: torch.Tensor, mixture: Mixture) -> Coverage:
    """Modes captured, share of high-quality samples, and KL divergence over modes.

    The protocol of Srivastava et al. 2017 (VEEGAN), who draw 2,500 samples: a sample is of high
    quality if it lies within 3 standard deviations of its nearest mode, and a mode is captured if
    at least one such sample lies there. Lin et al. 2018 (PacGAN) count the same way; for the
    frequencies over modes, too, their released code counts high-quality samples only (and takes
    their JS divergence from the uniform distribution).
    Distances are in units of each mode's own standard deviation.

    Samples of the mixture itself are not all of high quality: in two dimensions a share
    ``1 - exp(-4.5) = 98.89 %`` is, where modes lie far apart. One stray sample suffices to capture
    a mode, so ``modes`` grows with the number of samples: compare at equal numbers only. The KL
    divergence is that of the samples from the weights, ``sum_i p_i log(p_i / w_i)`` with
    ``0 log 0 = 0``: finite where modes are missing, ``log(k / j)`` for ``j`` of ``k`` equal modes.
    Without any high-quality sample it takes its largest value, ``log(1 / min_i w_i)``.

    Parameters
    ----------
    samples
        Shape ``(seeds, n, dim)``.
    mixture
        The target, such as :func:`gan_course.data.ring` or :func:`gan_course.data.grid`.
    """
    samples, finite = _ensemble("samples", samples, mixture.dim)
    k, n = len(mixture.means), samples.shape[1]
    centers, weights = mixture.centers.numpy(), np.array(mixture.probabilities)
    counts = np.full((len(samples), k), np.nan)
    for seed in np.flatnonzero(finite):
        points = samples[seed].cpu().double().numpy()
        distance = cdist(points, centers) / np.array(mixture.stds)
        near = distance.min(axis=1) <= _NEAR
        counts[seed] = np.bincount(distance.argmin(axis=1)[near], minlength=k)
    high_quality = counts.sum(1) / n
    kl = np.where(high_quality == 0, -math.log(weights.min()), _kl(counts, weights))
    return Coverage(_captured(counts), high_quality, kl, counts)


@dataclass(frozen=True, eq=False)
class StackedCoverage:
    """How stacked digits spread over the 1,000 triples, one value a seed: shape ``(seeds,)``.

    Attributes
    ----------
    modes
        Number of different triples that the classifier reads.
    kl
        ``KL(p || u)`` of the triples' frequencies from the uniform distribution, in nats.
    counts
        Number of samples of each triple, shape ``(seeds, 1000)``.
    """

    modes: Array
    kl: Array
    counts: Array

    @property
    def diverged(self) -> int:
        """Number of seeds whose samples are not finite: their values are NaN."""
        return int(np.isnan(self.modes).sum())


def stacked_coverage(samples: torch.Tensor) -> StackedCoverage:
    """Modes captured and KL divergence over the 1,000 modes of stacked digits.

    The protocol of Metz et al. 2017, with 25,600 samples, and of Srivastava et al. 2017 (VEEGAN),
    with 26,000: a classifier reads each channel, a mode is captured if at least one sample is read
    as it, and frequencies are compared with the uniform distribution,
    ``KL(p || u) = sum_i p_i log(1000 p_i)``; the numbers and the direction are those of PacGAN's
    released code, which repeats both. Every sample counts, also one that looks like no digit: the
    classifier must read something.

    Nothing reaches zero: ``n`` samples of the uniform distribution have a divergence of about
    ``999 / (2 n)``, and the digits themselves are not uniform. Compare at equal ``n``, with the
    value of real data beside.

    Parameters
    ----------
    samples
        Pixels in [-1, 1] of 28 x 28 images, three channels one after the other, shape
        ``(seeds, n, 3 * 784)``, as from :class:`gan_course.data.StackedDigits`.
    """
    samples, finite = _ensemble("samples", samples, 3 * 784)
    classifier = digit_classifier().to(samples.device)
    places = torch.tensor([100, 10, 1], device=samples.device)
    counts = np.full((len(samples), 1000), np.nan)
    for seed in np.flatnonzero(finite):
        with torch.no_grad():
            read = classifier(samples[seed].float().unflatten(-1, (3, 784))).argmax(-1)
        counts[seed] = torch.bincount((read * places).sum(-1), minlength=1000).cpu().numpy()
    return StackedCoverage(_captured(counts), _kl(counts, np.full(1000, 1e-3)), counts)


def near_duplicates(samples: ArrayLike, radius: float) -> Array:
    """How many of the other samples lie within a radius of each sample, shape ``(seeds, n)``.

    Half the sum over a seed's samples is its number of near-duplicate pairs. The relation is that
    of Euclidean distance at most ``radius``; a radius of 0 counts equal samples.

    Parameters
    ----------
    samples
        Shape ``(seeds, n, dim)``; diverged seeds give NaN.
    radius
        In the unit of the samples, at least 0.
    """
    if not 0 <= radius < math.inf:
        raise ValueError(f"radius is {radius}; allowed are finite numbers of at least 0")
    if isinstance(samples, torch.Tensor):
        samples = samples.detach().cpu()
    clouds_ = np.asarray(samples, dtype=np.float64)
    if clouds_.ndim != 3 or not clouds_.size:
        raise ValueError(
            f"samples has shape {clouds_.shape}; allowed is (seeds, n, dim), nothing empty"
        )
    partners = np.full(clouds_.shape[:2], np.nan)
    for seed, points in enumerate(clouds_):
        if np.isfinite(points).all():
            partners[seed] = _within(points, radius)
    return partners


def _within(points: Array, radius: float) -> Array:
    """Number of other points within the radius of each point."""
    if points.shape[1] <= _FLAT:
        found = KDTree(points).query_ball_point(points, radius, return_length=True)
        return np.asarray(found, dtype=np.float64) - 1
    blocks = np.array_split(points, -(-len(points) // _BATCH))
    return np.concatenate([(cdist(b, points) <= radius).sum(1) for b in blocks]) - 1.0


@dataclass(frozen=True, eq=False)
class BirthdayTest:
    """What near-duplicates among a generator's samples say, one value a seed: shape ``(seeds,)``.

    Attributes
    ----------
    pairs
        Number of near-duplicate pairs.
    variance
        Estimate, without bias, of the variance of ``pairs``; it may be negative.
    rate
        Estimate, without bias, of the probability that two samples are near-duplicates.
    support
        Effective support ``1 / rate``, infinite without a pair.
    low, high
        Confidence interval of the effective support; ``high`` is infinite where ``pairs`` does not
        exclude a rate of zero.
    """

    pairs: Array
    variance: Array
    rate: Array
    support: Array
    low: Array
    high: Array


def birthday_test(partners: ArrayLike, level: float = 0.95) -> BirthdayTest:
    """Effective support from near-duplicates, with an interval (Arora et al. 2018).

    Of ``s`` samples, ``X`` of ``s (s - 1) / 2`` pairs are near-duplicates. For ``N`` equally likely
    values the pairs are pairwise independent, ``X`` is nearly Poisson, and the interval is the
    exact one for its mean (Garwood 1936). For other laws ``X`` varies more, since pairs that share
    a common value come together. The variance is a U-statistic and can be estimated without bias
    from the partners alone; ``D``, its ratio to ``X``, but at least 1, scales the interval:
    ``X / D`` is treated as Poisson.

    Parameters
    ----------
    partners
        Number of near-duplicates of each sample, shape ``(seeds, s)`` with ``s >= 4``, from
        :func:`near_duplicates` or from any other symmetric rule; a row with a NaN gives NaN.
    level
        Confidence level in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; allowed are numbers between 0 and 1")
    partners = np.asarray(partners, dtype=np.float64)
    if partners.ndim != 2 or partners.shape[1] < 4 or not len(partners):
        raise ValueError(f"partners has shape {partners.shape}; allowed is (seeds, s), s >= 4")
    s, total = partners.shape[1], math.comb(partners.shape[1], 2)
    pairs = partners.sum(1) / 2
    sharing = (partners * (partners - 1)).sum(1)  # ordered pairs of pairs with a common sample
    apart = pairs**2 - pairs - sharing
    variance = pairs + sharing - apart * (4 * s - 6) / ((s - 2) * (s - 3))
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(pairs > 0, np.maximum(variance / pairs, 1), 1 + 0 * pairs)
        least = scale * gammaincinv(pairs / scale, (1 - level) / 2)
        most = scale * gammaincinv(pairs / scale + 1, (1 + level) / 2)
        low, high = np.maximum(total / most, 1), total / np.where(pairs > 0, least, 0 * pairs)
        return BirthdayTest(pairs, variance, pairs / total, total / pairs, low, high)


def duplicate_probability(support: int, draws: int, heavy: float = 0.0) -> float:
    """Probability that at least two of ``draws`` samples are equal, exactly.

    Each draw is, with probability ``heavy``, one fixed value, and else one of ``support`` equally
    likely values (of which the fixed one is one). With ``heavy = 0`` this is the power of the
    birthday test against ``support`` equally likely values, the least over all laws on that many.
    None are equal with probability ``(1 - h)^(s - 1) (1 + (s - 1) h) prod_{i < s} (1 - i / N)``.
    """
    if support < 1 or draws < 1:
        raise ValueError(f"support is {support} and draws is {draws}; allowed are integers >= 1")
    if not 0 <= heavy <= 1:
        raise ValueError(f"heavy is {heavy}; allowed are numbers in [0, 1]")
    if draws == 1:
        return 0.0
    if draws > support or heavy == 1:
        return 1.0
    log_none = np.log1p(-np.arange(draws) / support).sum()
    log_none += (draws - 1) * math.log1p(-heavy) + math.log1p((draws - 1) * heavy)
    return -math.expm1(log_none)


class DigitClassifier(nn.Module):
    """A small convolutional network that reads 28 x 28 digits; see :func:`digit_classifier`."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Unflatten(-1, (1, 28, 28)),
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(1024, 32),
            nn.ReLU(),
        )
        self.head = nn.Linear(32, 10)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        """The 32 features before the last layer; ``x`` has shape ``(..., 784)``."""
        if x.shape[-1] != 784:
            raise ValueError(f"x has shape {tuple(x.shape)}; allowed is (..., 784)")
        parts = [self.body(part) for part in x.reshape(-1, 784).split(_BATCH)]
        return torch.cat(parts).reshape(*x.shape[:-1], 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the ten digits, shape ``(..., 10)``; ``x`` has shape ``(..., 784)``."""
        return self.head(self.features(x))


def digit_classifier() -> DigitClassifier:
    """The classifier of digits that comes with the package, its weights frozen.

    It was trained on the first 8,000 images of :func:`gan_course.data.digits` and reads 98.4 % of
    the other 2,000 right. It takes pixels in [-1, 1] and lets gradients pass to them.
    """
    classifier = DigitClassifier()
    state = {name: torch.from_numpy(value).float() for name, value in _weights().items()}
    classifier.load_state_dict(state)
    return classifier.requires_grad_(False).eval()


@cache
def _weights() -> dict[str, NDArray[np.float16]]:
    with (resources.files("gan_course") / "assets" / "digit_classifier.npz").open("rb") as file:
        stored = np.load(file, allow_pickle=False)
        return {name: stored[name] for name in stored.files}


def feature_distance(x: torch.Tensor, y: torch.Tensor) -> Array:
    """Fréchet distance between images of digits in the features of :func:`digit_classifier`.

    Heusel et al. 2017 define it with Inception's features (FID); the features here are those of
    a network that knows digits, so values compare with each other and with no published ones. It
    is squared, as theirs: it has the unit of a squared feature.

    The estimate from samples is biased upward: two independent samples of ``n`` real digits each
    are about ``425 / n`` apart, for ``n`` from 50 to 1,000. Compare at equal numbers only, and
    report this floor. For scale: real digits and black images are about 80 apart.

    Parameters
    ----------
    x
        Pixels in [-1, 1], shape ``(seeds, n, 784)``; diverged seeds give NaN.
    y
        The reference, shape ``(m, 784)`` or ``(seeds, m, 784)``.
    """
    x, finite = _ensemble("x", x, 784)
    y = torch.as_tensor(y).to(x.device)
    if y.shape[-1] != 784 or not torch.isfinite(y).all():
        raise ValueError(
            f"y has shape {tuple(y.shape)}; allowed are (m, 784) and (seeds, m, 784), all finite"
        )
    classifier = digit_classifier().to(x.device)
    with torch.no_grad():
        generated, real = (classifier.features(a.float()).cpu() for a in (x, y))
    generated[~torch.from_numpy(finite)] = math.nan
    return frechet_distance(generated, real)


def frechet_distance(x: ArrayLike, y: ArrayLike) -> Array:
    """Squared Wasserstein-2 distance between the normal distributions fitted to two clouds.

    ``|m_x - m_y|^2 + tr(C_x + C_y - 2 (C_x^{1/2} C_y C_x^{1/2})^{1/2})`` with the means ``m`` and
    the unbiased covariances ``C`` (Dowson and Landau 1982). With ``C = R^T R`` the trace of the
    square root is the sum of the singular values of ``R_x R_y^T``: no matrix square root is taken,
    and singular covariances do no harm.

    Parameters
    ----------
    x
        One cloud a seed, shape ``(seeds, n, d)``, ``n >= 2``; diverged seeds give NaN.
    y
        One cloud a seed, shape ``(seeds, m, d)``, or one for all of them, ``(m, d)``, ``m >= 2``.
    """
    x, y = clouds(x, y)
    for name, cloud in (("x", x), ("y", y)):
        if cloud.shape[1] < 2:
            raise ValueError(f"{name} has one point; allowed are clouds of at least 2")
    pairs = zip(x, y, strict=True)
    return np.array([_frechet(a, b) if np.isfinite(a).all() else math.nan for a, b in pairs])


def _frechet(x: Array, y: Array) -> float:
    gap = x.mean(0) - y.mean(0)
    r, s = _root(x), _root(y)
    overlap = np.linalg.svd(r @ s.T, compute_uv=False).sum()
    spread = np.square(r).sum() + np.square(s).sum() - 2 * overlap
    return float(gap @ gap + max(spread, 0.0))


def _root(x: Array) -> Array:
    """``R`` with ``R^T R`` the unbiased covariance of the rows of ``x``."""
    return np.asarray(np.linalg.qr((x - x.mean(0)) / math.sqrt(len(x) - 1), mode="r"))


@dataclass(frozen=True)
class Interval:
    """A mean over seeds with its interval, such as ``6.31 [5.93, 6.7], 16 seeds, 1 diverged``.

    ``seeds`` counts all of them; mean and interval are those of the seeds that did not diverge,
    NaN where too few are left. A format such as ``f"{x:.1f}"`` holds for the three numbers.
    """

    mean: float
    low: float
    high: float
    seeds: int
    diverged: int

    def __format__(self, spec: str) -> str:
        mean, low, high = (format(v, spec or ".3g") for v in (self.mean, self.low, self.high))
        seeds = f"{self.seeds} seed{'s' if self.seeds != 1 else ''}"
        lost = f", {self.diverged} diverged" if self.diverged else ""
        return f"{mean} [{low}, {high}], {seeds}{lost}"

    def __str__(self) -> str:
        return format(self, "")


def interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Mean over seeds with Student's t interval; NaN and infinite values count as diverged.

    Parameters
    ----------
    values
        One value a seed, shape ``(seeds,)``, from any metric of this module.
    level
        Confidence level in (0, 1).
    """
    if not 0 < level < 1:
        raise ValueError(f"level is {level}; allowed are numbers between 0 and 1")
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not array.size:
        raise ValueError(f"values has shape {array.shape}; allowed is (seeds,), 1 or more")
    finite = array[np.isfinite(array)]
    mean = float(finite.mean()) if len(finite) else math.nan
    low, high = student_t(finite, level) if len(finite) > 1 else (math.nan, math.nan)
    return Interval(mean, low, high, len(array), len(array) - len(finite))


def _ensemble(name: str, samples: torch.Tensor, dim: int) -> tuple[torch.Tensor, NDArray[np.bool_]]:
    """The samples after a check of their shape, and which seeds did not diverge."""
    samples = torch.as_tensor(samples).detach()
    if samples.ndim != 3 or samples.shape[-1] != dim or not samples.numel():
        raise ValueError(
            f"{name} has shape {tuple(samples.shape)}; allowed is (seeds, n, {dim}), nothing empty"
        )
    return samples, torch.isfinite(samples).flatten(1).all(1).cpu().numpy()


def _captured(counts: Array) -> Array:
    return np.where(np.isnan(counts[:, 0]), np.nan, (counts > 0).sum(1))


def _kl(counts: Array, weights: Array) -> Array:
    """KL divergence of frequencies from weights, NaN for a seed without any sample."""
    with np.errstate(invalid="ignore"):
        frequencies = counts / counts.sum(1, keepdims=True)
    return rel_entr(frequencies, weights).sum(1)
