"""Distributions that one can sample, and some that one can score.

A distribution has a dimension ``dim`` and draws with ``sample(n, source)``; :class:`Normal`,
:class:`Uniform` and :class:`Mixture` know their ``log_density(x)``. Samples have shape
``(seeds, n, dim)`` from :class:`gan_course.random.Streams` and ``(n, dim)`` from a single
``torch.Generator``. Handwritten digits come as :class:`Images`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import embedding

from gan_course.random import Source, normal, uniform

__all__ = [
    "PALETTE",
    "ColoredDigits",
    "Distribution",
    "Empirical",
    "Images",
    "Mixture",
    "Normal",
    "StackedDigits",
    "SwissRoll",
    "Uniform",
    "digits",
    "grid",
    "ring",
    "spiral",
]

PALETTE = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (0, 1, 1), (1, 0, 1))
"""Six saturated colors, as shares of red, green and blue: each has a channel at full strength."""


class Distribution(Protocol):
    """What the course asks of a distribution that is trained on."""

    @property
    def dim(self) -> int: ...

    def sample(self, n: int, source: Source) -> torch.Tensor: ...


@dataclass(frozen=True)
class Normal:
    """The isotropic normal distribution ``N(mean, std^2 I)`` on ``R^dim``.

    Raises
    ------
    ValueError
        If ``std`` is not positive or ``dim`` is not at least 1.
    """

    mean: float = 0.0
    std: float = 1.0
    dim: int = 1

    def __post_init__(self) -> None:
        _positive("std", self.std)
        _count("dim", self.dim)

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws, shape ``(seeds, n, dim)`` or ``(n, dim)``."""
        return self.mean + self.std * normal(source, n, self.dim)

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Natural logarithm of the density at ``x`` of shape ``(..., dim)``; shape ``(...)``."""
        u = (x - self.mean) / self.std
        constant = self.dim * (math.log(self.std) + 0.5 * math.log(2 * math.pi))
        return -0.5 * u.square().sum(-1) - constant


@dataclass(frozen=True)
class Uniform:
    """The uniform distribution on the cube ``[low, high)^dim``."""

    low: float = 0.0
    high: float = 1.0
    dim: int = 1

    def __post_init__(self) -> None:
        if not self.low < self.high:
            raise ValueError(f"low is {self.low} and high is {self.high}; allowed is low < high")

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws, shape ``(seeds, n, dim)`` or ``(n, dim)``."""
        return self.low + (self.high - self.low) * uniform(source, n, self.dim)

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Natural logarithm of the density at ``x`` of shape ``(..., dim)``; shape ``(...)``."""
        inside = ((x >= self.low) & (x < self.high)).all(-1)
        log_volume = self.dim * math.log(self.high - self.low)
        return torch.where(inside, -log_volume, -math.inf)


@dataclass(frozen=True)
class Mixture:
    """A mixture of isotropic normal distributions on ``R^dim``.

    Parameters
    ----------
    means
        One point a component: numbers for ``dim = 1``, sequences of ``dim`` numbers otherwise.
    stds
        One positive standard deviation a component.
    weights
        Positive weights that sum to 1; equal where not given.
    """

    means: Sequence[float] | Sequence[Sequence[float]]
    stds: Sequence[float]
    weights: Sequence[float] | None = None

    def __post_init__(self) -> None:
        k = len(self.means)
        if len({np.shape(mean) for mean in self.means}) > 1:
            raise ValueError(f"means is {self.means}; allowed are points of one dimension")
        if k == 0 or len(self.stds) != k or len(self.probabilities) != k:
            raise ValueError(
                f"means, stds and weights have lengths {k}, {len(self.stds)} and "
                f"{len(self.probabilities)}; allowed is one common length of at least 1"
            )
        if not np.isfinite(self.means).all():
            raise ValueError(f"means is {self.means}; allowed are finite numbers")
        for std in self.stds:
            _positive("stds", std)
        if min(self.probabilities) <= 0 or abs(sum(self.probabilities) - 1) > 1e-9:
            raise ValueError(
                f"weights is {self.weights}; allowed are positive numbers that sum to 1"
            )

    @cached_property
    def probabilities(self) -> tuple[float, ...]:
        """The weights, written out where they are equal."""
        k = len(self.means)
        return tuple(self.weights) if self.weights is not None else (1 / max(k, 1),) * k

    @cached_property
    def centers(self) -> torch.Tensor:
        """The means as a float64 tensor, shape ``(k, dim)``."""
        centers = torch.tensor(self.means, dtype=torch.float64)
        return centers[:, None] if centers.ndim == 1 else centers

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.centers.shape[1]

    @cached_property
    def _tensors(self) -> _Copies:
        """Centers, standard deviations, weights and the inner edges of the weights' sums."""
        stds = torch.tensor(self.stds, dtype=torch.float64)
        weights = torch.tensor(self.probabilities, dtype=torch.float64)
        return _Copies(self.centers, stds, weights, weights.cumsum(0)[:-1])

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws, shape ``(seeds, n, dim)`` or ``(n, dim)``."""
        u = uniform(source, n, 1)[..., 0].contiguous()
        noise = normal(source, n, self.dim)
        centers, stds, _, edges = self._tensors.like(noise)
        index = torch.bucketize(u, edges, right=True)
        return embedding(index, centers) + embedding(index, stds[:, None]) * noise

    def log_density(self, x: torch.Tensor) -> torch.Tensor:
        """Natural logarithm of the density at ``x`` of shape ``(..., dim)``; shape ``(...)``."""
        centers, stds, weights, _ = self._tensors.like(x)
        u = (x[..., None, :] - centers) / stds[:, None]
        constant = self.dim * (stds.log() + 0.5 * math.log(2 * math.pi))
        return torch.logsumexp(weights.log() - 0.5 * u.square().sum(-1) - constant, dim=-1)


def ring(k: int = 8, radius: float = 2.0, std: float = 0.02) -> Mixture:
    """``k`` equally likely normal modes, evenly spaced on a circle.

    The modes stand at the angles ``2 pi i / k`` for ``i = 0, ..., k - 1``: the endpoint ``2 pi``
    would repeat the first mode, and the often copied ``linspace(0, 2 pi, 8)`` has seven modes only.

    Settings of the literature, as ``(radius, std)``: (2, .02) Nagarajan and Kolter 2017; the same
    divided by 1.414, that is ``ring(8, 2 / 1.414, 0.02 / 1.414)``, Gulrajani et al. 2017;
    (1, .01) Lin et al. 2018 (PacGAN), and Metz et al. 2017 in their demonstration, whose modes
    come from the ``linspace`` above.
    """
    _count("k", k)
    _positive("radius", radius)
    angles = [2 * math.pi * i / k for i in range(k)]
    return Mixture(tuple((radius * math.cos(a), radius * math.sin(a)) for a in angles), (std,) * k)


def grid(k: int = 5, spacing: float = 2.0, std: float = 0.05) -> Mixture:
    """``k * k`` equally likely normal modes on a square grid centered at the origin.

    Settings of the literature: ``k = 5``, spacing 2, std .05 (Lin et al. 2018); the same divided by
    2.828 (Gulrajani et al. 2017).
    """
    _count("k", k)
    _positive("spacing", spacing)
    ticks = [spacing * (i - (k - 1) / 2) for i in range(k)]
    return Mixture(tuple((x, y) for x in ticks for y in ticks), (std,) * k**2)


def spiral(k: int = 20, radius: float = 1.0, std: float = 0.1) -> Mixture:
    """``k`` equally likely normal components along one turn of a spiral.

    Component ``i = 0, ..., k - 1`` stands at radius ``radius * i / k`` and angle ``2 pi i / k``.
    The default is the setting of No et al. 2021, where neighbors overlap: it is one curved mode,
    and counting 20 of them means little. With ``std=0.005`` they lie at least 10 standard
    deviations apart.
    """
    _count("k", k)
    _positive("radius", radius)
    turns = [i / k for i in range(k)]
    points = [(t * math.cos(2 * math.pi * t), t * math.sin(2 * math.pi * t)) for t in turns]
    return Mixture(tuple((radius * x, radius * y) for x, y in points), (std,) * k)


@dataclass(frozen=True)
class SwissRoll:
    """A rolled-up strip seen from the side: a spiral curve with noise, in ``R^2``.

    The point is ``(t cos t + a, t sin t + b) / scale`` with ``t`` uniform on ``[1.5 pi, 4.5 pi)``
    and ``a, b`` normal with standard deviation ``noise``: scikit-learn's ``make_swiss_roll``
    without the strip's width. The default is the setting of Gulrajani et al. 2017.
    """

    noise: float = 0.25
    scale: float = 7.5

    def __post_init__(self) -> None:
        if not (self.noise >= 0 and math.isfinite(self.noise)):
            raise ValueError(f"noise is {self.noise}; allowed are finite numbers of at least 0")
        _positive("scale", self.scale)

    @property
    def dim(self) -> int:
        """Dimension of the plane."""
        return 2

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws, shape ``(seeds, n, 2)`` or ``(n, 2)``."""
        t = 1.5 * math.pi * (1 + 2 * uniform(source, n, 1))
        curve = t * torch.cat([t.cos(), t.sin()], dim=-1)
        return (curve + self.noise * normal(source, n, 2)) / self.scale


@dataclass(frozen=True)
class Empirical:
    """The empirical distribution of fixed points: draws with replacement, no density.

    Parameters
    ----------
    points
        Shape ``(n_points, dim)``: one data set for all seeds; or ``(seeds, n_points, dim)``: one
        each.
    """

    points: torch.Tensor

    def __post_init__(self) -> None:
        if self.points.ndim not in (2, 3) or self.points.shape[-2] == 0:
            raise ValueError(
                f"points has shape {tuple(self.points.shape)}; "
                "allowed are (n_points, dim) and (seeds, n_points, dim) with n_points >= 1"
            )
        if not torch.isfinite(self.points).all():
            raise ValueError("points holds a NaN or an infinity; allowed are finite numbers")

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.points.shape[-1]

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws with replacement, shape ``(seeds, n, dim)`` or ``(n, dim)``."""
        index = _index(uniform(source, n, 1)[..., 0], self.points.shape[-2])
        (points,) = self._tensors.on(index.device)
        if points.ndim == 2:
            return points[index]
        if index.shape[:-1] != points.shape[:1]:
            raise ValueError(
                f"points are {len(points)} data sets, one a seed; "
                f"allowed is a source of as many seeds, not {tuple(index.shape[:-1])}"
            )
        return points.gather(1, index[..., None].expand(-1, -1, self.dim))

    def select(self, rows: slice) -> Empirical:
        """The same distribution for some of the seeds."""
        return self if self.points.ndim == 2 else Empirical(self.points[rows])

    @cached_property
    def _tensors(self) -> _Copies:
        return _Copies(self.points)


@dataclass(frozen=True, eq=False)
class Images:
    """Labeled images.

    Parameters
    ----------
    points
        Float pixels in [-1, 1], one flattened image a row, shape ``(n, channels * size * size)``.
    labels
        One class an image, shape ``(n,)``, integer.
    shape
        ``(channels, size, size)`` of one image.
    """

    points: torch.Tensor
    labels: torch.Tensor
    shape: tuple[int, int, int]

    def __post_init__(self) -> None:
        n, dim = len(self.points), math.prod(self.shape)
        if self.points.shape != (n, dim):
            raise ValueError(
                f"points has shape {tuple(self.points.shape)}; "
                f"allowed is (n, {dim}), for images of shape {self.shape}"
            )
        if self.labels.shape != (n,) or self.labels.is_floating_point():
            raise ValueError(
                f"labels has shape {tuple(self.labels.shape)} and dtype {self.labels.dtype}; "
                f"allowed is ({n},), one integer an image"
            )
        if not (self.points.abs() <= 1).all():
            raise ValueError(
                "points holds a NaN or a number outside of [-1, 1]; allowed are pixels in [-1, 1]"
            )

    def __len__(self) -> int:
        return len(self.points)

    def split(self, n: int) -> tuple[Images, Images]:
        """The first ``n`` images and the rest: always the same ones."""
        if not 0 < n < len(self):
            raise ValueError(f"n is {n}; allowed are 1 to {len(self) - 1} images")
        return (
            Images(self.points[:n], self.labels[:n], self.shape),
            Images(self.points[n:], self.labels[n:], self.shape),
        )

    def empirical(self) -> Empirical:
        """The distribution that draws one of these images, with replacement."""
        return Empirical(self.points)


class _ThreeChannels:
    """What distributions of digits in red, green and blue have in common."""

    images: Images

    @property
    def dim(self) -> int:
        """Number of pixels of the three channels."""
        return 3 * self.images.points.shape[1]

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(3, size, size)``."""
        return (3, *self.images.shape[1:])

    def sample(self, n: int, source: Source) -> torch.Tensor:
        """``n`` draws, shape ``(seeds, n, dim)`` or ``(n, dim)``."""
        return self.sample_labeled(n, source)[0]

    def sample_labeled(self, n: int, source: Source) -> tuple[torch.Tensor, torch.Tensor]:
        """``n`` draws and their modes."""
        raise NotImplementedError


@dataclass(frozen=True, eq=False)
class StackedDigits(_ThreeChannels):
    """Stacked MNIST: three independent digits as the red, green and blue channel of one image.

    The ``10^3`` triples of digits are its modes; a mode has the number ``100 r + 10 g + b``. The
    classes of MNIST are not equally frequent, and so neither are these modes.

    Every draw is new, as Metz et al. 2017 have it; Lin et al. 2018 (PacGAN) fix 128,000 images
    before they train, for the comparison with VEEGAN.

    Parameters
    ----------
    images
        Images of one channel with labels 0 to 9, as from :func:`digits`.
    """

    images: Images

    def __post_init__(self) -> None:
        _check_digits(self.images)

    def sample_labeled(self, n: int, source: Source) -> tuple[torch.Tensor, torch.Tensor]:
        """``n`` draws and their modes 0 to 999, of shape ``(seeds, n)`` or ``(n,)``."""
        index = _index(uniform(source, n, 3), len(self.images))
        points, labels = self._tensors.on(index.device)
        red, green, blue = labels[index].unbind(-1)
        return points[index].flatten(-2), 100 * red + 10 * green + blue

    @cached_property
    def _tensors(self) -> _Copies:
        return _Copies(self.images.points, self.images.labels)


@dataclass(frozen=True, eq=False)
class ColoredDigits(_ThreeChannels):
    """Digits on black, each drawn in one of a few colors.

    Digit and color are independent and uniform over ``images`` and ``colors``. With ``k`` colors
    there are ``10 k`` modes; digit ``j`` in color ``c`` has the number ``k j + c``. With the
    :data:`PALETTE` the largest of an image's three channels is the gray digit.

    Parameters
    ----------
    images
        Images of one channel with labels 0 to 9, as from :func:`digits`.
    colors
        Shares of red, green and blue in [0, 1], one triple a color.
    """

    images: Images
    colors: Sequence[tuple[float, float, float]] = PALETTE

    def __post_init__(self) -> None:
        _check_digits(self.images)
        shares = np.asarray(self.colors, dtype=np.float64)
        if shares.ndim != 2 or shares.shape[1] != 3 or not ((shares >= 0) & (shares <= 1)).all():
            raise ValueError(
                f"colors is {self.colors}; allowed are triples of numbers in [0, 1], at least one"
            )

    def sample_labeled(self, n: int, source: Source) -> tuple[torch.Tensor, torch.Tensor]:
        """``n`` draws and their modes, of shape ``(seeds, n)`` or ``(n,)``."""
        u = uniform(source, n, 2)
        digit, color = _index(u[..., 0], len(self.images)), _index(u[..., 1], len(self.colors))
        points, labels, colors = self._tensors.on(u.device)
        ink = (points[digit] + 1) / 2
        shaded = colors[color][..., None] * ink[..., None, :]
        return (2 * shaded - 1).flatten(-2), len(self.colors) * labels[digit] + color

    @cached_property
    def _tensors(self) -> _Copies:
        points = self.images.points
        colors = torch.tensor(self.colors, dtype=points.dtype)
        return _Copies(points, self.images.labels, colors)


def digits(size: int = 28) -> Images:
    """Handwritten digits in shades of gray, ten classes, white on black; no download.

    The classes take turns in proportion to their sizes, so that every leading part, and so both
    parts of :meth:`Images.split`, holds them as the whole does.

    Parameters
    ----------
    size
        28: ten thousand digits of MNIST (LeCun, Cortes and Burges), which come with the package.
        8: the 1797 digits that come with scikit-learn, for quick trials.
    """
    if size not in (8, 28):
        raise ValueError(f"size is {size}; allowed are 8 and 28")
    points, labels = _mnist() if size == 28 else _small_digits()
    return Images(torch.tensor(points), torch.tensor(labels), (1, size, size))


@cache
def _mnist() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    with (resources.files("gan_course") / "assets" / "mnist10k.npz").open("rb") as file:
        stored = np.load(file)
        return _interleaved(stored["images"] / 127.5 - 1, stored["labels"])


@cache
def _small_digits() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    from sklearn.datasets import load_digits

    stored = load_digits()
    return _interleaved(stored.images / 8 - 1, stored.target)


def _interleaved(
    images: NDArray[np.float64], labels: NDArray[np.integer]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Flat images in an order where the i-th of the n images of a class stands at (i + 1/2) / n."""
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = labels == label
        n = members.sum()
        place[members] = (np.arange(n) + 0.5) / n
    order = np.argsort(place, kind="stable")
    points = images[order].reshape(len(images), -1).astype(np.float32)
    return points, labels[order].astype(np.int64)


class _Copies:
    """Tensors that are copied once to each device and dtype where they are needed."""

    def __init__(self, *tensors: torch.Tensor) -> None:
        self._tensors = tensors
        self._copies: dict[object, tuple[torch.Tensor, ...]] = {}

    def __reduce__(self) -> tuple[type[_Copies], tuple[torch.Tensor, ...]]:
        return _Copies, self._tensors  # the copies on a GPU stay where they are

    def like(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The tensors with the device and the dtype of ``x``."""
        key = x.device, x.dtype
        if key not in self._copies:
            self._copies[key] = tuple(t.to(x) for t in self._tensors)
        return self._copies[key]

    def on(self, device: torch.device) -> tuple[torch.Tensor, ...]:
        """The tensors on a device, each in its own dtype."""
        if device not in self._copies:
            self._copies[device] = tuple(t.to(device) for t in self._tensors)
        return self._copies[device]


def _index(u: torch.Tensor, n: int) -> torch.Tensor:
    """Uniform numbers on [0, 1) as integers below ``n``, also where the product rounds up."""
    return (u * n).long().clamp(max=n - 1)


def _check_digits(images: Images) -> None:
    if images.shape[0] != 1 or not len(images):
        raise ValueError(
            f"images has {len(images)} images of shape {images.shape}; "
            "allowed is at least one image of one channel"
        )
    if images.labels.min() < 0 or images.labels.max() > 9:
        raise ValueError("images has labels outside of 0 to 9; allowed are the ten digits")


def _count(name: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{name} is {value}; allowed is an integer of at least 1")


def _positive(name: str, value: float) -> None:
    if not value > 0 or not math.isfinite(value):
        raise ValueError(f"{name} is {value}; allowed are positive finite numbers")
