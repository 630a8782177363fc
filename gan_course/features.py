"""The Wasserstein GAN with random features (No, Yoon, Kwon and Ryu 2021).

Generator ``g_theta(z) = sum_i theta_i phi_i(z)`` with ``phi_i(z) = tanh(W_i z + b_i)`` in ``R^n``,
and critic ``f_eta(x) = eta . Psi(x)`` with ``psi_j(x) = s(a_j . x + b_j)``. All inside the
functions is drawn once and stays; only ``theta`` in ``R^N_g`` and ``eta`` in ``R^N_d`` are
trained, on ``L = E f_eta(X) - E f_eta(g_theta(Z)) - |eta|^2 / 2``. The best ``eta`` is
``r(theta) = E Psi(X) - E Psi(g_theta(Z))``, so the game is to minimize ``J = |r|^2 / 2``.

:class:`WGAN` holds ``J`` with its gradient and Hessian, in closed form, where ``E`` over ``Z`` is a
sum over a :class:`Measure`. :func:`descend` goes to stationary points of many draws at once,
:func:`fit` is the published training on minibatches. :func:`approximate_delta` and
:func:`certified_radius` belong to the theorem on finite width.

Leading axes: ``draws`` where features of several draws are stacked, then ``points`` where ``J`` is
wanted at several ``theta``. A tensor without them is one draw, or one point.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.optimize import brentq, linprog
from scipy.special import ndtr
from tqdm.auto import tqdm

from gan_course.data import Distribution, Mixture, Normal, ring
from gan_course.random import Role, Source, Streams, normal, uniform
from gan_course.runtime import cores, is_static, one_thread, reuse_memory

__all__ = [
    "WGAN",
    "CriticFeatures",
    "Delta",
    "Fit",
    "GeneratorFeatures",
    "Measure",
    "Stationary",
    "approximate_delta",
    "ball",
    "certified_radius",
    "delta_error",
    "descend",
    "examine",
    "fit",
    "gauss_hermite",
    "initial_weights",
    "published_critic",
    "published_generator",
    "published_mixture",
    "random_critic",
    "random_generator",
    "trapezoid",
]

Tensor = torch.Tensor
Array = NDArray[np.float64]
Activation = Literal["tanh", "sigmoid"]

_LOGISTIC = {"tanh": (2.0, 2.0, -1.0), "sigmoid": (1.0, 1.0, 0.0)}
"""``alpha, beta, gamma`` with ``s(u) = alpha * logistic(beta u) + gamma``: PyTorch's logistic
function takes an eighth of the time of its tanh on a CPU, and is as accurate in absolute terms."""

_SECOND = {"tanh": 4 / (3 * math.sqrt(3)), "sigmoid": 1 / (6 * math.sqrt(3))}
"""The largest ``|s''|``; the largest ``s'`` is ``alpha beta / 4``."""

_FLAT = 1e-8  # curvature at which a point is no saddle
_ASIDE, _ASIDES = 1e-2, 10  # step away from a saddle, and how often
_LEAP = 10.0  # longest step, in units of 1 + |theta|
_BLOCK = 2**22  # numbers of a temporary array in the exact computations
_CACHED = 2**20  # numbers of a block of features in training: a few megabytes, near the core
_PARTS = 8  # of a minibatch, each summed by itself: the same sums on any number of cores


# --- features -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GeneratorFeatures:
    """Functions ``phi_i(z) = tanh(W_i z + b_i)`` from the latent space to the data space.

    Attributes
    ----------
    weights
        ``W``, shape ``(N_g, n, k)`` or ``(draws, N_g, n, k)``, finite, float32 or float64.
    biases
        ``b``, shape ``(N_g, n)`` or ``(draws, N_g, n)``.

    Raises
    ------
    ValueError
        If shapes or types do not fit, or a number is not finite.
    """

    weights: Tensor
    biases: Tensor

    def __post_init__(self) -> None:
        _check_features(self.weights, self.biases, 3, "(N_g, n, k) or (draws, N_g, n, k)")

    @property
    def draws(self) -> int | None:
        """Length of the leading axis, where there is one."""
        return len(self.weights) if self.weights.ndim == 4 else None

    @property
    def width(self) -> int:
        """``N_g``."""
        return self.weights.shape[-3]

    @property
    def dim(self) -> int:
        """``n``, the dimension of the data."""
        return self.weights.shape[-2]

    @property
    def latent_dim(self) -> int:
        """``k``."""
        return self.weights.shape[-1]

    def __call__(self, z: Tensor) -> Tensor:
        """All features at ``z`` of shape ``(q, k)``: ``(..., q, n, N_g)``, with the draws first."""
        _check_points("z", z, self.latent_dim)
        flat = self.weights.flatten(-3, -2) @ z.T + self.biases.flatten(-2)[..., None]
        values = (2 * torch.sigmoid(2 * flat) - 1).unflatten(-2, (self.width, self.dim))
        return values.movedim((-1, -2, -3), (-3, -2, -1)).contiguous()

    def generate(self, theta: Tensor, z: Tensor) -> Tensor:
        """``g_theta(z)`` for ``z`` of shape ``(q, k)``.

        Parameters
        ----------
        theta
            Shape ``(N_g,)`` or ``(points, N_g)``, with the draws in front where there are draws.

        Returns
        -------
        Tensor
            Shape ``(..., q, n)`` with the leading axes of ``theta``.
        """
        many = _with_axes(theta, self.draws, self.width)
        size = max(
            1, _BLOCK // (self.dim * (self.width * (self.draws or 1) + many[..., 0].numel()))
        )
        parts = [_times_features(many, _with_draws(self(part), 3)) for part in z.split(size)]
        return torch.cat(parts, -2).reshape(*theta.shape[:-1], len(z), self.dim)

    def first(self, width: int) -> GeneratorFeatures:
        """The first ``width`` features: narrower generators of the same draw."""
        if not 1 <= width <= self.width:
            raise ValueError(f"width is {width}; allowed are 1 to {self.width}")
        return GeneratorFeatures(self.weights[..., :width, :, :], self.biases[..., :width, :])

    def with_constants(self) -> GeneratorFeatures:
        """The same with the first ``n`` features constant: the unit vectors of ``R^n``.

        As published, ``W = 0`` and the bias is ``50 e_l``, since ``tanh 50 = 1`` to the last bit.
        Lemma 7 and Theorem 8 ask for them. The gradient of ``J`` along them is
        ``-A^T diag(E s') r`` with the matrix ``A`` of all ``a_j``; for ``N_d <= n`` it vanishes
        only with ``r``, so that they alone, at any width, exclude spurious stationary points.
        """
        if self.width < self.dim:
            raise ValueError(f"width is {self.width}; allowed is at least n = {self.dim}")
        weights, biases = self.weights.clone(), self.biases.clone()
        weights[..., : self.dim, :, :] = 0
        biases[..., : self.dim, :] = 50 * torch.eye(self.dim).to(biases)
        return GeneratorFeatures(weights, biases)

    def to(self, target: torch.dtype | torch.device | str) -> GeneratorFeatures:
        """A copy of another type or on another device."""
        return GeneratorFeatures(self.weights.to(target), self.biases.to(target))


@dataclass(frozen=True)
class CriticFeatures:
    """Functions ``psi_j(x) = s(a_j . x + b_j)`` on the data space.

    Attributes
    ----------
    weights
        ``a``, shape ``(N_d, n)`` or ``(draws, N_d, n)``, finite, float32 or float64.
    biases
        ``b``, shape ``(N_d,)`` or ``(draws, N_d)``.
    activation
        ``s``: ``"tanh"`` or ``"sigmoid"``.

    Raises
    ------
    ValueError
        If shapes or types do not fit, a number is not finite, or the activation is another.
    """

    weights: Tensor
    biases: Tensor
    activation: Activation = "tanh"

    def __post_init__(self) -> None:
        _check_features(self.weights, self.biases, 2, "(N_d, n) or (draws, N_d, n)")
        if self.activation not in _LOGISTIC:
            allowed = " and ".join(map(repr, _LOGISTIC))
            raise ValueError(f"activation is {self.activation!r}; allowed are {allowed}")

    @property
    def draws(self) -> int | None:
        """Length of the leading axis, where there is one."""
        return len(self.weights) if self.weights.ndim == 3 else None

    @property
    def width(self) -> int:
        """``N_d``."""
        return self.weights.shape[-2]

    @property
    def dim(self) -> int:
        """``n``, the dimension of the data."""
        return self.weights.shape[-1]

    def __call__(self, x: Tensor) -> Tensor:
        """``Psi(x)`` for ``x`` of shape ``(..., q, n)``: ``(..., q, N_d)``."""
        return self.derivatives(x, 0)[0]

    def jacobian(self, x: Tensor) -> Tensor:
        """``D Psi(x)`` for ``x`` of shape ``(..., q, n)``: ``(..., q, N_d, n)``."""
        slopes = self.derivatives(x, 1)[1]
        return slopes[..., None] * self.weights[..., None, :, :]

    def derivatives(self, x: Tensor, order: int = 2) -> list[Tensor]:
        """``s``, ``s'``, ``s''`` up to an order at ``a_j . x + b_j``, ``(..., q, N_d)`` each.

        ``s'`` is the product of two logistic functions, exact also where it nearly vanishes.
        """
        _check_points("x", x, self.dim)
        alpha, beta, gamma = _LOGISTIC[self.activation]
        u = beta * (x @ self.weights.mT + self.biases[..., None, :])
        up = torch.sigmoid(u)
        found = [alpha * up + gamma]
        if order > 0:
            down = torch.sigmoid(-u)
            found.append(alpha * beta * up * down)
        if order > 1:
            found.append(beta * found[1] * (down - up))
        return found

    def rank(self, x: Tensor) -> Tensor:
        """Rank of ``D Psi(x)`` at each point, ``(..., q)``.

        With ``N_d <= n`` it is ``N_d`` for almost every draw, which Theorem 4 rests on; it is
        never above ``n``.
        """
        return torch.linalg.matrix_rank(_unit_rows(self.jacobian(x)))

    def stacked_rank(self, x: Tensor) -> Tensor:
        """Rank of all ``D Psi(x_i)^T``, one below the other, as maps of ``eta``: shape ``(...)``.

        The kernels of ``D Psi(x_i)^T`` have only zero in common exactly if it is ``N_d``, as
        Lemma 5 says of all points of a ball. The columns are scaled to length one, which changes
        no rank. Its singular values fall off exponentially, so that in float64 the rank found is
        too small for more than about twenty features: the number is a lower bound.
        """
        rows = self.jacobian(x).mT.flatten(-3, -2)  # (..., q n, N_d)
        return torch.linalg.matrix_rank(_unit_rows(rows.mT))

    def mean(self, law: Mixture | Normal | Measure) -> Tensor:
        """``E Psi(X)``, shape ``(N_d,)`` or ``(draws, N_d)``.

        For normal laws and their mixtures ``a_j . X`` is normal in one dimension, so the mean is
        one integral a feature and component, here to about 14 digits; for a :class:`Measure`, a
        sum.
        """
        if not isinstance(law, Mixture | Normal | Measure):
            raise ValueError(f"law is {law!r}; allowed are a Mixture, a Normal and a Measure")
        if law.dim != self.dim:
            raise ValueError(
                f"law has dimension {law.dim}; allowed is that of the features, {self.dim}"
            )
        if isinstance(law, Measure):
            size = max(1, _BLOCK // (self.width * (self.draws or 1)))
            blocks = law.to(self.weights.dtype).blocks(size)
            return sum(
                (weights @ self(x) for x, weights in blocks), torch.zeros(()).to(self.weights)
            )
        if isinstance(law, Normal):
            law = Mixture(((law.mean,) * law.dim,), (law.std,))
        a, b = self.weights.double().cpu(), self.biases.double().cpu()
        alpha, beta, gamma = _LOGISTIC[self.activation]
        centers = (a @ law.centers.T + b[..., None]) * beta / 2  # of the argument of a tanh
        stds = a.norm(dim=-1)[..., None] * torch.tensor(law.stds, dtype=torch.float64) * beta / 2
        tanh = _normal_mean_of_tanh(centers.numpy(), stds.numpy()) @ np.array(law.probabilities)
        return (alpha * (1 + torch.from_numpy(tanh)) / 2 + gamma).to(self.weights)

    def to(self, target: torch.dtype | torch.device | str) -> CriticFeatures:
        """A copy of another type or on another device."""
        return CriticFeatures(self.weights.to(target), self.biases.to(target), self.activation)


def _normal_mean_of_tanh(center: Array, std: Array) -> Array:
    """``E tanh(center + std N)`` for standard normal ``N``, of any shape.

    A trapezoidal rule with a step of 1/4, whose error ``exp(-pi^2 / (h std))`` is below rounding
    for ``std <= 1``. Above, tanh is integrated by parts: the mean is that of ``1 - 2 P(N < ...)``
    under the density ``sech^2 / 2``, which a normal law with a large deviation leaves smooth.
    """
    step = 0.25
    narrow = np.minimum(std, 1.0)[..., None]
    u = step * np.arange(-38, 39)
    density = step / math.sqrt(2 * math.pi) * np.exp(-(u**2) / 2)
    small = np.tanh(center[..., None] + narrow * u) @ density
    wide = np.maximum(std, 1.0)[..., None]
    t = step * np.arange(-78, 79)
    large = (2 * ndtr((center[..., None] - t) / wide) - 1) @ (step / 2 / np.cosh(t) ** 2)
    return np.where(std <= 1, small, large)


def random_generator(
    width: int,
    dim: int,
    latent_dim: int,
    source: Source,
    *,
    scale: float = 10.0,
    dtype: torch.dtype = torch.float64,
) -> GeneratorFeatures:
    """Features with all weights and biases drawn from ``scale * N(0, 1)``; none is constant.

    Parameters
    ----------
    width, dim, latent_dim
        ``N_g``, ``n`` and ``k``.
    source
        One generator, or streams: then one draw a seed.
    """
    _at_least_one(width=width, dim=dim, latent_dim=latent_dim)
    _positive(scale=scale)
    numbers = scale * normal(source, width * dim, latent_dim + 1).to(dtype)
    numbers = numbers.unflatten(-2, (width, dim))
    return GeneratorFeatures(numbers[..., :-1].contiguous(), numbers[..., -1].contiguous())


def random_critic(
    width: int,
    dim: int,
    source: Source,
    *,
    scale: float = 1.0,
    activation: Activation = "tanh",
    dtype: torch.dtype = torch.float64,
) -> CriticFeatures:
    """Features with all ``a_j`` and ``b_j`` drawn from ``scale * N(0, 1)``.

    ``width`` and ``dim`` are ``N_d`` and ``n``; ``source`` as for :func:`random_generator`.
    """
    _at_least_one(width=width, dim=dim)
    _positive(scale=scale)
    numbers = scale * normal(source, width, dim + 1).to(dtype)
    return CriticFeatures(numbers[..., :-1].contiguous(), numbers[..., -1].contiguous(), activation)


def published_mixture() -> Mixture:
    """The eight modes of the published experiment, on a circle of radius ``sqrt 2``, std .1."""
    return ring(8, math.sqrt(2), 0.1)


def published_generator(
    source: Source, width: int = 5000, *, dtype: torch.dtype = torch.float32
) -> GeneratorFeatures:
    """Features of the published experiment: ``W, b ~ 10 N(0, 1)``, the first two constant."""
    return random_generator(width, 2, 2, source, scale=10.0, dtype=dtype).with_constants()


def published_critic(
    source: Source, width: int = 1000, *, dtype: torch.dtype = torch.float32
) -> CriticFeatures:
    """Features of the published experiment: steps across random lines.

    The line ``a . x + b = 0`` cuts the two axes at independent points of ``U(-4, 4)``, and
    ``-b ~ U(1, 10)``: so ``a = (c / u, c / v)`` and ``b = -c``. Lines near the origin are steep,
    without bound.
    """
    _at_least_one(width=width)
    u = uniform(source, width, 3).to(dtype)
    offset, cuts = 1 + 9 * u[..., :1], 8 * u[..., 1:] - 4
    cuts = torch.where(cuts == 0, 2.0**-22, cuts)
    return CriticFeatures(offset / cuts, -offset[..., 0])


def initial_weights(
    width: int, source: Source, *, scale: float = 5e-3, dtype: torch.dtype = torch.float32
) -> Tensor:
    """``theta ~ scale * N(0, 1)``, ``(width,)`` or one row a seed; the published scale."""
    _at_least_one(width=width)
    return scale * normal(source, width, 1)[..., 0].to(dtype)


# --- expectations ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Measure:
    """Finitely many points with weights: ``E f = sum_i weights_i f(points_i)``.

    Attributes
    ----------
    points
        Shape ``(q, dim)``.
    weights
        Shape ``(q,)``; equal where not given.
    """

    points: Tensor
    weights: Tensor = field(default_factory=lambda: torch.empty(0))

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or not self.points.numel() or not self.points.isfinite().all():
            raise ValueError(
                f"points has shape {tuple(self.points.shape)}; allowed is (q, dim), nothing empty "
                "and all finite"
            )
        count = len(self.points)
        if not self.weights.numel():
            equal = torch.full((count,), 1 / count, dtype=self.points.dtype).to(self.points.device)
            object.__setattr__(self, "weights", equal)
        if self.weights.shape != (count,) or not self.weights.isfinite().all():
            raise ValueError(
                f"weights has shape {tuple(self.weights.shape)}; allowed is ({count},), all finite"
            )

    @property
    def dim(self) -> int:
        """Dimension of the space."""
        return self.points.shape[1]

    def blocks(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Points and weights, at most ``size`` at a time."""
        yield from zip(self.points.split(size), self.weights.split(size), strict=True)

    def to(self, target: torch.dtype | torch.device | str) -> Measure:
        """A copy of another type or on another device."""
        return Measure(self.points.to(target), self.weights.to(target))


def gauss_hermite(dim: int, order: int) -> Measure:
    """The product rule of Gauss and Hermite for ``N(0, I)``: ``order ** dim`` points, float64.

    Exact for polynomials of degree ``2 order - 1`` in each coordinate. Steep features need many
    points: ``tanh(w z)`` with ``w`` above about 2 is better served by :func:`trapezoid`.
    """
    _at_least_one(dim=dim, order=order)
    nodes, weights = np.polynomial.hermite_e.hermegauss(order)
    return _product(dim, nodes, weights / weights.sum())


def trapezoid(dim: int, spacing: float, reach: float = 8.5) -> Measure:
    """The trapezoidal rule for ``N(0, I)`` on a grid of ``[-reach, reach]^dim``, float64.

    For analytic functions it converges like ``exp(-2 pi d / spacing)``, where ``d`` is how far
    they go on into the complex plane: ``pi / (2 w)`` for ``tanh(w z)``. The grid has a point at 0.
    """
    _at_least_one(dim=dim)
    _positive(spacing=spacing, reach=reach)
    count = math.ceil(reach / spacing)
    nodes = spacing * np.arange(-count, count + 1)
    weights = np.exp(-(nodes**2) / 2)
    return _product(dim, nodes, weights / weights.sum())


def _product(dim: int, nodes: ArrayLike, weights: ArrayLike) -> Measure:
    grids = np.meshgrid(*[nodes] * dim, indexing="ij")
    points = np.stack([grid.ravel() for grid in grids], -1)
    masses = np.prod(np.stack(np.meshgrid(*[weights] * dim, indexing="ij")), 0).ravel()
    return Measure(torch.from_numpy(points), torch.from_numpy(masses))


def ball(center: ArrayLike, radius: float, count: int, source: torch.Generator) -> Tensor:
    """``count`` points drawn evenly from a ball, ``(count, dim)``, float64."""
    _at_least_one(count=count)
    _positive(radius=radius)
    middle = torch.as_tensor(center, dtype=torch.float64)
    directions = normal(source, count, len(middle)).double()
    lengths = uniform(source, count, 1).double() ** (1 / len(middle))
    return middle + radius * lengths * directions / directions.norm(dim=1, keepdim=True)


# --- the game -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class WGAN:
    """The game with fixed features and expectations; ``J`` with its derivatives in closed form.

    Every method takes ``theta`` of shape ``(N_g,)`` or ``(points, N_g)``. Where one of the
    features or ``real`` has draws, their axis comes first: ``(draws, N_g)`` or
    ``(draws, points, N_g)``. Values have the same leading axes.

    Attributes
    ----------
    generator, critic
        The features, of one type.
    latent
        The law of ``Z``.
    real
        ``E Psi(X)``, shape ``(N_d,)`` or ``(draws, N_d)``, such as ``critic.mean(data)``.

    Raises
    ------
    ValueError
        If dimensions, types or numbers of draws do not fit together.
    """

    generator: GeneratorFeatures
    critic: CriticFeatures
    latent: Measure
    real: Tensor

    def __post_init__(self) -> None:
        generator, critic = self.generator, self.critic
        if critic.dim != generator.dim:
            raise ValueError(
                f"critic has n = {critic.dim}; allowed is the generator's {generator.dim}"
            )
        if self.latent.dim != generator.latent_dim:
            raise ValueError(
                f"latent has dimension {self.latent.dim}; allowed is the generator's "
                f"{generator.latent_dim}"
            )
        if self.real.shape[-1:] != (critic.width,) or self.real.ndim > 2:
            raise ValueError(
                f"real has shape {tuple(self.real.shape)}; allowed are ({critic.width},) and "
                f"(draws, {critic.width})"
            )
        types = [
            t.dtype for t in (generator.weights, critic.weights, self.latent.points, self.real)
        ]
        if len(set(types)) > 1:
            raise ValueError(
                f"generator, critic, latent and real are of the types {types}; allowed is one"
            )
        if len(self._all_draws) > 1:
            raise ValueError(f"draws are {sorted(self._all_draws)}; allowed is one number of draws")

    @property
    def _all_draws(self) -> set[int]:
        real = len(self.real) if self.real.ndim == 2 else None
        return {d for d in (self.generator.draws, self.critic.draws, real) if d is not None}

    @property
    def draws(self) -> int | None:
        """Number of draws, where there is an axis of them."""
        return next(iter(self._all_draws), None)

    def residual(self, theta: Tensor) -> Tensor:
        """``r = E Psi(X) - E Psi(g_theta(Z))``, shape ``(..., N_d)``."""
        many = _with_axes(theta, self.draws, self.generator.width)
        return _residual(self, many, self._blocks(many)).reshape(*theta.shape[:-1], -1)

    def objective(self, theta: Tensor) -> Tensor:
        """``J = |r|^2 / 2``, shape ``(...)``."""
        return self.residual(theta).square().sum(-1) / 2

    def best_critic(self, theta: Tensor) -> Tensor:
        """The ``eta`` that maximizes ``L``, ``(..., N_d)``: the residual itself."""
        return self.residual(theta)

    def value(self, theta: Tensor, eta: Tensor) -> Tensor:
        """``L = eta . r - |eta|^2 / 2`` at ``eta`` of shape ``(..., N_d)``; shape ``(...)``."""
        return (eta * self.residual(theta)).sum(-1) - eta.square().sum(-1) / 2

    def gradient(self, theta: Tensor) -> Tensor:
        """``dJ / dtheta_i = -E phi_i(Z) . D Psi(g_theta(Z))^T r``, shape ``(..., N_g)``."""
        many = _with_axes(theta, self.draws, self.generator.width)
        blocks = self._blocks(many)
        r = _residual(self, many, blocks)
        return _gradient(self, many, r, blocks).reshape(theta.shape)

    def hessian(self, theta: Tensor) -> Tensor:
        """Second derivatives of ``J``, shape ``(..., N_g, N_g)``.

        ``K^T K - E Phi^T M Phi``, with ``K = E D Psi(g) Phi`` and ``M = sum_j r_j D^2 psi_j(g)``.
        """
        many = _with_axes(theta, self.draws, self.generator.width)
        blocks = self._blocks(many)
        r = _residual(self, many, blocks)
        return _hessian(self, many, r, blocks).reshape(*theta.shape, theta.shape[-1])

    def hessian_product(self, theta: Tensor, direction: Tensor) -> Tensor:
        """The Hessian times a direction of the shape of ``theta``, without the Hessian."""
        if direction.shape != theta.shape:
            raise ValueError(
                f"direction has shape {tuple(direction.shape)}; allowed is that of theta, "
                f"{tuple(theta.shape)}"
            )
        many, along = (_with_axes(t, self.draws, self.generator.width) for t in (theta, direction))
        blocks = self._blocks(many)
        r = _residual(self, many, blocks)
        change = torch.zeros_like(r)  # K times the direction
        for phi, w in blocks:
            _, slopes, _ = _at(self, many, phi)
            moved = _lines(self, _times_features(along, phi))
            change += torch.einsum("q,dsqj->dsj", w, slopes * moved)
        total = torch.zeros_like(many)
        for phi, w in blocks:
            _, slopes, bends = _at(self, many, phi)
            moved = _lines(self, _times_features(along, phi))
            pull = slopes * change[..., None, :] - bends * r[..., None, :] * moved
            total += _collect(self, pull, phi, w)
        return total.reshape(theta.shape)

    def _blocks(self, many: Tensor) -> _Blocks:
        """The latent points, as many at a time as memory allows."""
        draws, points, width = many.shape
        n = self.generator.dim
        one = draws * points * (4 * (self.critic.width + n) + width) + draws * n * width
        return _Blocks(self, max(1, _BLOCK // one))


@dataclass(frozen=True)
class _Blocks:
    """Features ``(draws or 1, q, n, N_g)`` and weights ``(q,)``, some points at a time."""

    game: WGAN
    size: int

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for z, w in self.game.latent.blocks(self.size):
            yield _with_draws(self.game.generator(z), 3), w


def _times_features(theta: Tensor, phi: Tensor) -> Tensor:
    """``g_theta`` where the features are ``phi``: ``(draws, points, q, n)``."""
    rows = phi.flatten(1, 2)
    flat = theta @ rows[0].T if len(rows) == 1 else torch.bmm(theta, rows.mT)
    return flat.unflatten(-1, phi.shape[1:3])


def _lines(game: WGAN, x: Tensor) -> Tensor:
    """``a_j . x`` for ``x`` ``(draws, points, q, n)``: ``(draws, points, q, N_d)``."""
    weights = _with_draws(game.critic.weights, 2)
    return (x.flatten(1, 2) @ weights.mT).unflatten(1, x.shape[1:3])


def _at(game: WGAN, theta: Tensor, phi: Tensor, order: int = 2) -> list[Tensor]:
    """``s, s', s''`` of the critic at the generated points, ``(draws, points, q, N_d)`` each."""
    x = _times_features(theta, phi)
    found = game.critic.derivatives(x.flatten(1, 2), order)
    return [one.unflatten(1, x.shape[1:3]) for one in found]


def _collect(game: WGAN, pull: Tensor, phi: Tensor, w: Tensor) -> Tensor:
    """``E Phi^T A^T pull``: a pull along each ``a_j``, summed up for every ``theta_i``."""
    weights = _with_draws(game.critic.weights, 2)
    vectors = w[:, None] * (pull.flatten(1, 2) @ weights).unflatten(1, pull.shape[1:3])
    flat, rows = vectors.flatten(-2), phi.flatten(1, 2)
    return flat @ rows[0] if len(rows) == 1 else torch.bmm(flat, rows)


Blocks = Iterable[tuple[Tensor, Tensor]]


def _residual(game: WGAN, theta: Tensor, blocks: Blocks) -> Tensor:
    fake = torch.zeros(*theta.shape[:2], game.critic.width).to(theta)
    for phi, w in blocks:
        fake += torch.einsum("q,dsqj->dsj", w, _at(game, theta, phi, 0)[0])
    return _with_draws(game.real, 1)[:, None] - fake


def _gradient(game: WGAN, theta: Tensor, r: Tensor, blocks: Blocks) -> Tensor:
    total = torch.zeros_like(theta)
    for phi, w in blocks:
        slopes = _at(game, theta, phi, 1)[1]
        total -= _collect(game, slopes * r[..., None, :], phi, w)
    return total


def _hessian(game: WGAN, theta: Tensor, r: Tensor, blocks: Blocks) -> Tensor:
    draws, points, width = theta.shape
    a = _with_draws(game.critic.weights, 2)
    change = torch.zeros(draws, points, game.critic.width, width).to(theta)  # K
    bend = torch.zeros(draws, points, width, width).to(theta)  # E Phi^T M Phi
    for phi, w in blocks:
        _, slopes, bends = _at(game, theta, phi)
        slopes, bends = w[:, None] * slopes, w[:, None] * bends * r[..., None, :]
        parts = phi.unbind(2)  # n times (draws or 1, q, N_g)
        for row, part in enumerate(parts):
            change += a[:, None, :, row, None] * (slopes.mT @ part[:, None])
            for column, other in enumerate(parts[: row + 1]):
                products = (a[..., row] * a[..., column])[:, None, :, None]
                m = bends @ products  # (draws, points, q, 1)
                block = (m * part[:, None]).mT @ other[:, None]
                bend += block if row == column else block + block.mT
    return change.mT @ change - bend


# --- stationary points ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Stationary:
    """Points of the landscape of ``J``, and how nearly stationary they are.

    Attributes
    ----------
    theta
        Shape ``(..., N_g)``, with axes as :class:`WGAN` takes them.
    objective
        ``J``, shape ``(...)``.
    gradient
        ``|grad J|``, shape ``(...)``.
    curvature
        The smallest eigenvalue of the Hessian, shape ``(...)``.
    steps
        How many steps were made, shape ``(...)``; zeros from :func:`examine`.
    """

    theta: Tensor
    objective: Tensor
    gradient: Tensor
    curvature: Tensor
    steps: Tensor

    def minima(self, gradient: float = 1e-10, curvature: float = 1e-6) -> Tensor:
        """Which points are strict local minima, up to these bounds, as truths ``(...)``.

        By Newton and Kantorovich there is an exact one near if ``L |grad J| <= curvature^2 / 2``,
        where ``L`` is a Lipschitz constant of the Hessian. Points that a descent drove to infinity
        have a curvature near zero, and are not among them.
        """
        return (self.gradient <= gradient) & (self.curvature >= curvature)

    def spurious(
        self, margin: float = 1e-8, gradient: float = 1e-10, curvature: float = 1e-6
    ) -> Tensor:
        """Which points are strict local minima but not global ones, as truths ``(..., points)``.

        ``J`` is larger, by ``margin``, than at another of the draw's points. So the last axis must
        be one of points; a search that finds none has not shown that there is none.
        """
        if self.objective.ndim == 0:
            raise ValueError("theta is one point; allowed is an axis of points to compare")
        best = self.objective.amin(-1, keepdim=True)
        return self.minima(gradient, curvature) & (self.objective > best + margin)


def examine(game: WGAN, theta: Tensor) -> Stationary:
    """``J``, the gradient's length and the Hessian's smallest eigenvalue at given points."""
    gradient, hessian = game.gradient(theta), game.hessian(theta)
    curvature = torch.linalg.eigvalsh(hessian)[..., 0]
    none = torch.zeros(theta.shape[:-1], dtype=torch.int64)
    return Stationary(theta, game.objective(theta), gradient.norm(dim=-1), curvature, none)


def descend(game: WGAN, theta: Tensor, *, tolerance: float = 1e-12, steps: int = 500) -> Stationary:
    """From each start down to a stationary point of ``J`` with no direction of descent left.

    Newton's method with ``|H| + mu`` in the place of the Hessian ``H``: eigenvalues are taken
    without their sign, so that saddle points repel, and ``mu`` follows the length of the gradient
    and what the last steps gained. ``J`` never grows but by rounding. Where the method would stop
    at a saddle point, it steps aside, along the most negative curvature.

    Parameters
    ----------
    theta
        Starts, with axes as :class:`WGAN` takes them; float64.
    tolerance
        Length of the gradient at which a point counts as stationary.
    steps
        At most so many. A point that did not arrive keeps a longer gradient.

    Raises
    ------
    ValueError
        If ``theta`` is not in float64, or a number is out of range.
    """
    _at_least_one(steps=steps)
    _positive(tolerance=tolerance)
    if theta.dtype != torch.float64:
        raise ValueError(f"theta is of type {theta.dtype}; allowed is torch.float64")
    many = _with_axes(theta, game.draws, game.generator.width)
    draws, points, width = many.shape
    single, flat = _one_draw_each(game, draws, points), many.reshape(-1, width)
    nodes, n = len(game.latent.points), game.generator.dim
    one = nodes * (n * width + 4 * (game.critic.width + n) + width) + 4 * width**2
    chunk = max(1, 4 * _BLOCK // one)
    with torch.no_grad(), one_thread():
        parts = [
            _descend(_rows_of(single, rows), flat[rows], tolerance, steps)
            for rows in torch.arange(draws * points).split(chunk)
        ]
    columns = [torch.cat(column) for column in zip(*parts, strict=True)]
    axes = theta.shape[:-1]
    return Stationary(columns[0].reshape(theta.shape), *(c.reshape(axes) for c in columns[1:]))


def _one_draw_each(game: WGAN, draws: int, points: int) -> WGAN:
    """The game in which each of the starts, point by point of each draw, is a draw of its own."""

    def spread(t: Tensor, axes: int) -> Tensor:
        stacked = _with_draws(t, axes)
        each = stacked.expand(draws, *stacked.shape[1:])[:, None]
        return each.expand(draws, points, *stacked.shape[1:]).flatten(0, 1)

    generator, critic = game.generator, game.critic
    return WGAN(
        GeneratorFeatures(spread(generator.weights, 3), spread(generator.biases, 2)),
        CriticFeatures(spread(critic.weights, 2), spread(critic.biases, 1), critic.activation),
        game.latent, spread(game.real, 1),
    )  # fmt: skip


def _rows_of(game: WGAN, rows: Tensor) -> WGAN:
    """Some draws of a game in which everything has draws."""
    generator, critic = game.generator, game.critic
    return WGAN(
        GeneratorFeatures(generator.weights[rows], generator.biases[rows]),
        CriticFeatures(critic.weights[rows], critic.biases[rows], critic.activation),
        game.latent, game.real[rows],
    )  # fmt: skip


class _Walkers:
    """Points on their way down, one a draw of their game."""

    def __init__(self, game: WGAN, theta: Tensor) -> None:
        self.game, self.theta = game, theta  # (walkers, N_g)
        self.phi = game.generator(game.latent.points)
        self.rows = torch.arange(len(theta))
        self.mu, self.asides = torch.ones(len(theta)).to(theta), torch.zeros(len(theta))
        self.f, self.g, self.h = self.local(theta)

    def local(self, theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """``J`` ``(walkers,)``, its gradient ``(walkers, N_g)`` and its Hessian."""
        game, many, blocks = self.game, theta[:, None], [(self.phi, self.game.latent.weights)]
        r = _residual(game, many, blocks)
        gradient, hessian = _gradient(game, many, r, blocks), _hessian(game, many, r, blocks)
        return r[:, 0].square().sum(-1) / 2, gradient[:, 0], hessian[:, 0]

    def look(self, tolerance: float) -> tuple[Tensor, Tensor]:
        """Who is at a stationary point, and who of them stands at a saddle and may step aside."""
        self.values, self.vectors = torch.linalg.eigh(self.h)
        self.length = self.g.norm(dim=1)
        arrived = self.length <= tolerance
        return arrived, arrived & (self.values[:, 0] < -_FLAT) & (self.asides < _ASIDES)

    def keep(self, kept: Tensor) -> None:
        """Drop the others."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value[kept])
        self.game = _rows_of(self.game, kept)

    def walk(self, saddle: Tensor) -> None:
        """One step, where it gains."""
        self.asides = self.asides + saddle
        along = (self.vectors.mT @ self.g[..., None])[..., 0]
        move = -along / (self.values.abs() + (self.mu * self.length)[:, None])
        longest = _LEAP * (1 + self.theta.norm(dim=1))
        move *= (longest / move.norm(dim=1)).clamp(max=1)[:, None]
        move[saddle] = torch.tensor([_ASIDE] + [0.0] * (move.shape[1] - 1)).to(move)
        trial = self.theta + (self.vectors @ move[..., None])[..., 0]
        f, g, h = self.local(trial)
        gained = f <= self.f + 1e-4 * (along * move).sum(1)
        nearer = (g.norm(dim=1) < self.length) | saddle  # where rounding hides the gain
        good = gained | (nearer & (f <= self.f + 1e-15 * (1 + self.f)))
        self.mu = torch.where(good, self.mu / 5, self.mu * 5).clamp(min=1e-6)
        self.theta = torch.where(good[:, None], trial, self.theta)
        self.f, self.g = torch.where(good, f, self.f), torch.where(good[:, None], g, self.g)
        self.h = torch.where(good[:, None, None], h, self.h)


def _descend(game: WGAN, theta: Tensor, tolerance: float, limit: int) -> list[Tensor]:
    """The columns of a :class:`Stationary` for one start ``(N_g,)`` a draw."""
    found = [theta.clone(), *(torch.empty(len(theta)).to(theta) for _ in range(3))]
    made = torch.full((len(theta),), limit)
    walkers = _Walkers(game, theta)
    for step in range(limit + 1):
        arrived, saddle = walkers.look(tolerance)
        ended = (arrived & ~saddle) | (step == limit)
        if ended.any():
            rows = walkers.rows[ended]
            now = (walkers.theta, walkers.f, walkers.length, walkers.values[:, 0])
            for column, values in zip(found, now, strict=True):
                column[rows] = values[ended]
            made[rows] = step
            if ended.all():
                break
            walkers.keep(~ended)
        walkers.walk(saddle[~ended])
    return [*found, made]


# --- training -------------------------------------------------------------------------------------


@dataclass
class Fit:
    """A training of ``theta``, finished or interrupted.

    Attributes
    ----------
    generator, critic
        The features.
    theta
        The weights at the end, shape ``(N_g,)``.
    objective
        ``J`` on the minibatch of each step, before the step, shape ``(steps,)``. The published
        curve is evaluated after the step: its first value, 27.85, is to be compared with our
        second. The minibatch's noise adds about ``E |Psi(X) - E Psi(X)|^2 / batch`` to the mean
        once the fit is good.
    unbiased
        An estimate of ``J`` at the same ``theta`` without that excess, ``(steps,)``, from two
        independent minibatches of ``z`` and the exact ``E Psi(X)``; it may be negative.
    epoch
        Steps of an epoch.
    snapshots
        Step to a copy of ``theta`` at that step.
    """

    generator: GeneratorFeatures
    critic: CriticFeatures
    theta: Tensor
    objective: Array
    unbiased: Array
    epoch: int
    snapshots: dict[int, Tensor] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps done."""
        return len(self.objective)

    def epoch_means(self, of: ArrayLike | None = None) -> Array:
        """Means of ``objective``, or of another history, over each epoch; the last may be short."""
        history = np.asarray(self.objective if of is None else of, dtype=np.float64)
        return np.array([part.mean() for part in _split(history, self.epoch)])

    def sample(self, n: int, *, seed: int = 0, step: int | None = None) -> Tensor:
        """``n`` generated points, ``(n, dim)``, from the same noise at every call.

        With ``step``, of the generator at that snapshot.
        """
        if step is not None and step not in self.snapshots:
            raise ValueError(f"step is {step}; allowed are the snapshots {sorted(self.snapshots)}")
        theta = self.theta if step is None else self.snapshots[step]
        z = Streams([seed], role=Role.EVALUATE).normal(n, self.generator.latent_dim)[0].to(theta)
        return self.generator.generate(theta, z)


def fit(
    generator: GeneratorFeatures,
    critic: CriticFeatures,
    data: Distribution,
    *,
    seed: int,
    theta: Tensor | None = None,
    lr: float | None = None,
    decay: float = 0.9,
    epochs: int = 25,
    steps: int = 160,
    batch: int = 5000,
    snapshots: Iterable[int] = (),
    workers: int | None = None,
    progress: bool = False,
) -> Fit:
    """Stochastic gradient descent of ``J``, as published.

    Each step draws ``x`` and ``z``, sets ``eta`` to the best critic of these minibatches, draws
    ``z`` anew and moves ``theta`` down the gradient of ``-E f_eta(g_theta(Z))``. Since the second
    ``z`` is independent of ``eta``, the direction is an unbiased estimate of ``grad J``. The
    features are computed block by block, used at once and never kept.

    Parameters
    ----------
    generator, critic
        One draw of features, such as :func:`published_generator` and :func:`published_critic`.
    data
        The law of ``X``; ``Z`` is standard normal.
    seed
        Of the minibatches, and of the weights at the start where ``theta`` is not given.
    theta
        Weights at the start, ``(N_g,)``.
    lr
        First step size. The default ``0.05 / N_g`` is the published 1e-5 for a width of 5000 and
        5e-6 for 10000. The Hessian grows like ``N_g``, so that step sizes must fall like it.
    decay
        Factor on the step size after each epoch.
    epochs, steps
        Number of epochs, and of steps in each.
    batch
        Points of each minibatch.
    snapshots
        Steps at which ``theta`` is kept; 0 is the start.
    workers
        Threads on a CPU, by default one a core; the numbers do not depend on it.
    progress
        Show a progress bar.

    Returns
    -------
    Fit
        Interrupting the kernel returns the training as far as it came.

    Raises
    ------
    ValueError
        For features with draws, dimensions or types that do not fit, or a number out of range.
    """
    lr = 0.05 / generator.width if lr is None else lr
    workers = cores() if workers is None else workers
    _at_least_one(epochs=epochs, steps=steps, batch=batch, workers=workers)
    _positive(lr=lr, decay=decay)
    _check_fit(generator, critic, data)
    wanted, total = set(snapshots), epochs * steps
    if not wanted <= set(range(total + 1)):
        raise ValueError(f"snapshots is {sorted(wanted)}; allowed are steps from 0 to {total}")
    theta = _start(generator, theta, seed)
    history: list[tuple[float, float]] = []
    kept = {0: theta.clone()} if 0 in wanted else {}
    reuse_memory()
    bar = tqdm(total=total, disable=not progress or is_static(), leave=False, desc="J")
    engine = _Minibatches(generator, critic, workers)
    with torch.no_grad(), one_thread(), bar, engine:
        sizes = (lr * decay ** (step // steps) for step in range(total))
        try:
            for values in _steps(engine, critic, data, theta, sizes, batch, seed):
                history.append(values)
                if len(history) in wanted:
                    kept[len(history)] = theta.clone()
                bar.set_postfix_str(f"{values[0]:.3f}", refresh=False)
                bar.update()
        except KeyboardInterrupt:
            print(f"interrupted at step {len(history)} of {total}: this is the fit so far")
    objective, unbiased = np.array(history, dtype=np.float64).reshape(-1, 2).T
    return Fit(generator, critic, theta, objective, unbiased, steps, kept)


def _start(generator: GeneratorFeatures, theta: Tensor | None, seed: int) -> Tensor:
    """The weights to start from, as a tensor that may be changed."""
    if theta is None:
        theta = initial_weights(generator.width, Streams([seed], role=Role.INIT))[0]
    if theta.shape != (generator.width,):
        raise ValueError(f"theta has shape {tuple(theta.shape)}; allowed is ({generator.width},)")
    return theta.detach().to(generator.weights, copy=True)


def _steps(
    minibatches: _Minibatches,
    critic: CriticFeatures,
    data: Distribution,
    theta: Tensor,
    sizes: Iterable[float],
    batch: int,
    seed: int,
) -> Iterator[tuple[float, float]]:
    """Move ``theta`` step by step; yield ``J`` before the step, on its minibatch and unbiased."""
    streams = {role: Streams([seed], theta.device, role) for role in (Role.DATA, Role.NOISE)}
    exact = _real_mean(critic, data, seed)
    for size in sizes:
        x = data.sample(batch, streams[Role.DATA])[0].to(theta)
        z, other = (
            streams[Role.NOISE].normal(batch, minibatches.latent_dim)[0].to(theta) for _ in range(2)
        )
        fake = minibatches.fake_mean(theta, z)
        eta = minibatches.real_mean(x) - fake
        gradient, again = minibatches.gradient(theta, eta, other)
        theta -= size * gradient
        unbiased = (exact - fake).double() @ (exact - again).double() / 2
        yield float(eta.double().square().sum() / 2), float(unbiased)


def _check_fit(generator: GeneratorFeatures, critic: CriticFeatures, data: Distribution) -> None:
    for name, features in (("generator", generator), ("critic", critic)):
        if features.draws is not None:
            raise ValueError(f"{name} has {features.draws} draws; allowed is one, without an axis")
    if critic.dim != generator.dim or data.dim != generator.dim:
        raise ValueError(
            f"critic and data have dimensions {critic.dim} and {data.dim}; allowed is that of the "
            f"generator, {generator.dim}"
        )
    types = generator.weights.dtype, critic.weights.dtype
    if types[0] != types[1]:
        raise ValueError(f"critic is of type {types[1]}; allowed is the generator's, {types[0]}")


def _real_mean(critic: CriticFeatures, data: Distribution, seed: int) -> Tensor:
    """``E Psi(X)``: exact for normal laws and their mixtures, else from 100 000 points."""
    if isinstance(data, Mixture | Normal):
        return critic.mean(data)
    x = data.sample(100_000, Streams([seed], critic.weights.device, Role.EVALUATE))[0]
    return critic.mean(Measure(x.to(critic.weights)))


class _Minibatches:
    """Means over minibatches, in blocks of points whose features stay in a core's cache.

    With ``tanh u = 2 s(2 u) - 1`` the inner factor 2 and the biases go into one matrix with a
    constant coordinate, and the outer one into the sums over ``theta``: then a block of features
    takes a matrix product and the logistic function, in place, and is read where it lies.
    """

    def __init__(self, generator: GeneratorFeatures, critic: CriticFeatures, workers: int) -> None:
        affine = torch.cat([generator.weights, generator.biases[..., None]], -1)
        self.inner = 2 * affine.permute(2, 1, 0).flatten(1).contiguous()  # (k + 1, n N_g)
        self.alpha, self.beta, self.gamma = _LOGISTIC[critic.activation]
        self.weights, self.lines = critic.weights, self.beta * critic.weights.T.contiguous()
        self.offsets = self.beta * critic.biases
        self.n, self.width, self.latent_dim = generator.dim, generator.width, generator.latent_dim
        on_cpu = critic.weights.device.type == "cpu"
        columns = self.inner.shape[1], critic.width, critic.width
        self.rows = max(1, (_CACHED if on_cpu else 64 * _CACHED) // sum(columns))
        self.scratch = _Scratch(self.inner, self.rows, columns)
        count = min(workers, _PARTS) if on_cpu else 1
        self.pool = ThreadPoolExecutor(count, initializer=_in_worker)

    def __enter__(self) -> _Minibatches:
        return self

    def __exit__(self, *_: object) -> None:
        self.pool.shutdown()

    def real_mean(self, x: Tensor) -> Tensor:
        """``Psi`` averaged over points, ``(N_d,)``."""
        sums = self.pool.map(self._sum_of_logistic, _parts(x))
        return self.alpha * sum(sums, self._zeros()) / len(x) + self.gamma

    def fake_mean(self, theta: Tensor, z: Tensor) -> Tensor:
        """``Psi(g_theta)`` averaged over latent points, ``(N_d,)``."""
        return self.real_mean(self.generate(theta, z))

    def generate(self, theta: Tensor, z: Tensor) -> Tensor:
        """``g_theta(z)``, ``(batch, n)``."""
        double = 2 * theta

        def part(z: Tensor) -> Tensor:
            return torch.cat([torch.mv(features, double) for features in self._features(z)])

        points = torch.cat(list(self.pool.map(part, _parts(z))))
        return points.sub_(theta.sum()).view(-1, self.n)

    def gradient(self, theta: Tensor, eta: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
        """Gradient of ``-eta . E Psi(g_theta(Z))`` by ``theta``, and that mean of ``Psi``."""
        pulls = self.alpha * self.beta * (eta[:, None] * self.weights).T.contiguous()  # (n, N_d)
        double, shift = 2 * theta, theta.sum()

        def part(z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            total, psi, pulled = torch.zeros_like(theta), self._zeros(), torch.zeros(()).to(theta)
            for features in self._features(z):
                points = torch.mv(features, double).sub_(shift).view(-1, self.n)
                up, slopes = (one[: len(points)] for one in self.scratch.tensors[1:])
                torch.addmm(self.offsets, points, self.lines, out=up).sigmoid_()
                torch.addcmul(up, up, up, value=-1, out=slopes)
                vectors = (pulls @ slopes.T).T.flatten()
                total.addmv_(features.T, vectors)
                pulled += vectors.sum()
                psi += up.sum(0)
            return total, psi, pulled

        columns = zip(*self.pool.map(part, _parts(z)), strict=True)
        total, psi, pulled = (torch.stack(column).sum(0) for column in columns)
        return (pulled - 2 * total) / len(z), self.alpha * psi / len(z) + self.gamma

    def _features(self, z: Tensor) -> Iterator[Tensor]:
        """``(1 + phi_i) / 2`` at some points at a time, ``(rows n, N_g)``, always in one place."""
        points, scratch = torch.cat([z, z.new_ones(len(z), 1)], 1), self.scratch.tensors[0]
        for block in points.tensor_split(math.ceil(len(z) / self.rows)):
            features = torch.mm(block, self.inner, out=scratch[: len(block)]).sigmoid_()
            yield features.view(-1, self.width)

    def _sum_of_logistic(self, x: Tensor) -> Tensor:
        parts = (torch.addmm(self.offsets, part, self.lines).sigmoid_() for part in x.split(256))
        return sum((part.sum(0) for part in parts), self._zeros())

    def _zeros(self) -> Tensor:
        return torch.zeros_like(self.offsets)


class _Scratch(threading.local):
    """Matrices that a thread overwrites again and again; each thread has its own."""

    def __init__(self, like: Tensor, rows: int, columns: Iterable[int]) -> None:
        self.tensors = [like.new_empty(rows, column) for column in columns]


def _in_worker() -> None:
    """One thread each, and zeros in the place of the tiny numbers that processors are slow with."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def _parts(points: Tensor) -> Sequence[Tensor]:
    return points.tensor_split(min(_PARTS, len(points)))


def _split(history: Array, size: int) -> list[Array]:
    return [history[i : i + size] for i in range(0, len(history), size)]


# --- finite width ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Delta:
    """Weights whose generator stands for a point mass at 0 in one coordinate.

    Attributes
    ----------
    weights
        ``theta``, shape ``(N_g,)``.
    error
        The largest ``|E (sum_i theta_i phi_i - delta^(l))(Z) . f(Z)|`` over the ball of test
        functions of :func:`approximate_delta`.
    """

    weights: Tensor
    error: float

    @property
    def size(self) -> float:
        """``sum_i |theta_i|``."""
        return float(self.weights.abs().sum())


def approximate_delta(
    generator: GeneratorFeatures,
    latent: Measure,
    *,
    coordinate: int = 0,
    bandwidth: float = 1.0,
    ridge: float = 1e-8,
) -> Delta:
    """The best approximation of ``delta^(l)`` by finitely many features.

    Lemma 7 asks for ``theta`` with ``|E (sum_i theta_i phi_i - delta^(l))(Z) . f(Z)| <= epsilon``
    for all continuously differentiable ``f`` with ``sup |f| + |Df| <= 1``, where
    ``E delta^(l)(Z) . f(Z) = q(0) f_l(0)`` with the density ``q`` of ``Z``. Here ``f`` is taken
    from a ball of a space of such functions, which makes the error a least-squares distance: the
    Sobolev space of Matern's kernel ``(1 + u) exp(-u)``, ``u = sqrt(3) |z - w| / s``, in every
    coordinate. At each point the evaluations of ``f`` and of ``Df`` are orthogonal in it, of
    lengths 1 and ``sqrt(3) / s``; so the ball of radius ``1 / sqrt(1 + 3 / s^2)`` lies in the
    lemma's class, and the error bounds the lemma's epsilon from below. :func:`delta_error` has the
    whole class in one dimension.

    Parameters
    ----------
    generator
        One draw of features, float64.
    latent
        The standard normal law of ``Z``, such as :func:`trapezoid`; at most some thousand points.
    coordinate
        ``l``, from 0 to ``n - 1``.
    bandwidth
        ``s``, in the unit of ``z``: smaller ones see finer errors.
    ridge
        Adds ``ridge * |theta|^2`` to the squared error, for smaller weights.
    """
    _positive(bandwidth=bandwidth)
    if ridge < 0:
        raise ValueError(f"ridge is {ridge}; allowed are numbers of at least 0")
    _one_float64_draw(generator)
    if not 0 <= coordinate < generator.dim:
        raise ValueError(f"coordinate is {coordinate}; allowed are 0 to {generator.dim - 1}")
    points, masses = latent.points, latent.weights
    if not (points == 0).all(1).any():
        points = torch.cat([points, torch.zeros_like(points[:1])])
        masses = torch.cat([masses, torch.zeros_like(masses[:1])])
    root = _kernel_root(points, bandwidth) / math.sqrt(1 + 3 / bandwidth**2)
    columns = root @ (masses[:, None, None] * generator(points)).flatten(1)
    columns = columns.unflatten(1, (generator.dim, -1)).flatten(0, 1)  # (q n, N_g)
    goal = torch.zeros(len(points), generator.dim).double()
    origin = root[:, (points == 0).all(1)][:, 0]
    goal[:, coordinate] = (2 * math.pi) ** (-latent.dim / 2) * origin
    weights = _least_squares(columns, goal.flatten(), ridge)
    return Delta(weights, float((columns @ weights - goal.flatten()).norm()))


def _kernel_root(points: Tensor, bandwidth: float) -> Tensor:
    """``R`` with ``R^T R`` the kernel matrix, ``(q, q)``."""
    u = torch.cdist(points, points) * (math.sqrt(3) / bandwidth)
    kernel = (1 + u) * torch.exp(-u)
    return torch.linalg.cholesky(kernel + 1e-13 * torch.eye(len(u)).double()).T


def _least_squares(columns: Tensor, goal: Tensor, ridge: float) -> Tensor:
    """Minimizer of ``|columns w - goal|^2 + ridge |w|^2``."""
    rows, width = columns.shape
    if ridge == 0:
        return torch.from_numpy(np.linalg.lstsq(columns.numpy(), goal.numpy(), rcond=None)[0])
    if rows < width:
        return columns.T @ torch.linalg.solve(
            columns @ columns.T + ridge * torch.eye(rows, dtype=torch.float64), goal
        )
    square = columns.T @ columns + ridge * torch.eye(width, dtype=torch.float64)
    return torch.linalg.solve(square, columns.T @ goal)


def delta_error(
    generator: GeneratorFeatures, weights: Tensor, *, spacing: float = 0.02, reach: float = 6.0
) -> float:
    """The epsilon of Lemma 7 for given weights, where ``k = n = 1``.

    The largest ``|E (sum_i theta_i phi_i - delta)(Z) f(Z)|`` over all ``f`` with
    ``sup |f| + |f'| <= 1``, as a linear program over functions that are linear between the points
    of a grid on ``[-reach, reach]`` and constant outside.
    """
    _positive(spacing=spacing, reach=reach)
    _one_float64_draw(generator)
    if (generator.latent_dim, generator.dim) != (1, 1):
        raise ValueError(
            f"generator has k = {generator.latent_dim} and n = {generator.dim}; allowed is 1 and 1"
        )
    count = math.ceil(reach / spacing)
    z = spacing * np.arange(-count, count + 1)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    g = generator.generate(weights, torch.from_numpy(z)[:, None])[:, 0].numpy()
    masses = spacing * density * g
    masses[count] -= density[count]
    left = sparse.eye(2 * count, 2 * count + 1)
    right = sparse.eye(2 * count, 2 * count + 1, k=1)
    slope = (right - left) / spacing
    sides = [a * value + b * slope for value in (left, right) for a in (-1, 1) for b in (-1, 1)]
    program = linprog(
        -masses, A_ub=sparse.vstack(sides).tocsr(), b_ub=np.ones(16 * count), bounds=(-1, 1)
    )
    if program.status:
        raise ArithmeticError(f"the linear program was not solved: {program.message}")
    return float(-program.fun)


def certified_radius(generator: GeneratorFeatures, critic: CriticFeatures, epsilon: float) -> float:
    """A radius ``C``: every stationary point with ``|theta|_1 <= C`` has ``J = 0`` (Theorem 8).

    The proof of Theorem 8 with its constants worked out. At a stationary point
    ``v(z) = D Psi(g(z))^T r`` is orthogonal to all features, so by Lemma 7
    ``q(0) |v(0)| <= sqrt(n) epsilon sup (|v| + |Dv|)``. With the matrix ``A`` of all ``a_j``,
    ``|v(0)|`` is at least ``s_min(A) min_j s'(|a_j| sqrt(n) C + |b_j|) |r|``, and the supremum at
    most ``(|A| sup s' + |A|^2 sup |s''| C max |W_i|) |r|``. Where these leave only ``r = 0``, the
    radius is good; it is 0 where ``epsilon`` is too large for any. What the constant features of
    :meth:`GeneratorFeatures.with_constants` give by themselves is not used.

    Parameters
    ----------
    generator, critic
        One draw each, with ``N_d <= n``; ``Z`` is standard normal.
    epsilon
        Of Lemma 7, for all coordinates.
    """
    _positive(epsilon=epsilon)
    if critic.width > critic.dim:
        raise ValueError(f"critic has N_d = {critic.width}; allowed are 1 to n = {critic.dim}")
    for name, features in (("generator", generator), ("critic", critic)):
        if features.draws is not None:
            raise ValueError(f"{name} has {features.draws} draws; allowed is one, without an axis")
    n, a, b = critic.dim, critic.weights.double(), critic.biases.double()
    alpha, beta, _ = _LOGISTIC[critic.activation]
    singular = torch.linalg.svdvals(a)
    density = (2 * math.pi) ** (-generator.latent_dim / 2)
    steep = float(torch.linalg.matrix_norm(generator.weights.double(), ord=2).max())
    largest, smallest = float(singular[0]), float(singular[-1])
    first = largest * alpha * beta / 4
    second = largest**2 * _SECOND[critic.activation] * steep

    def slack(radius: float) -> float:
        u = beta * (a.norm(dim=1) * math.sqrt(n) * radius + b.abs()).max()
        slope = math.log(alpha * beta) - float(u) - 2 * math.log1p(math.exp(-float(u)))
        have = math.log(density * smallest) + slope if smallest else -math.inf
        return have - math.log(math.sqrt(n) * epsilon * (first + second * radius))

    if slack(0.0) <= 0:
        return 0.0
    high = 1.0
    while slack(high) > 0:
        high *= 2
    return float(brentq(slack, 0.0, high))


# --- what is refused ------------------------------------------------------------------------------


def _with_draws(t: Tensor, axes: int) -> Tensor:
    """A tensor of so many axes, behind an axis of draws, of length 1 where there was none."""
    return t if t.ndim > axes else t[None]


def _with_axes(theta: Tensor, draws: int | None, width: int) -> Tensor:
    """``theta`` as ``(draws, points, N_g)``."""
    front = () if draws is None else (draws,)
    if theta.shape[-1:] == (width,) and theta.shape[:-1] == front:
        return theta.reshape(draws or 1, 1, width)
    if theta.ndim == len(front) + 2 and theta.shape[:-2] == front and theta.shape[-1] == width:
        return theta.reshape(draws or 1, -1, width)
    allowed = ", ".join(map(str, (*front, width)))
    many = ", ".join(map(str, (*front, "points", width)))
    raise ValueError(
        f"theta has shape {tuple(theta.shape)}; allowed are ({allowed.rstrip()}) and ({many})"
    )


def _check_features(weights: Tensor, biases: Tensor, axes: int, allowed: str) -> None:
    if weights.ndim not in (axes, axes + 1) or not weights.numel():
        raise ValueError(f"weights has shape {tuple(weights.shape)}; allowed are {allowed}")
    if biases.shape != weights.shape[:-1]:
        raise ValueError(
            f"biases has shape {tuple(biases.shape)}; allowed with these weights is "
            f"{tuple(weights.shape[:-1])}"
        )
    if weights.dtype not in (torch.float32, torch.float64) or biases.dtype != weights.dtype:
        raise ValueError(
            f"weights and biases are of types {weights.dtype} and {biases.dtype}; allowed is one, "
            "torch.float32 or torch.float64"
        )
    for name, t in (("weights", weights), ("biases", biases)):
        if not t.isfinite().all():
            raise ValueError(f"{name} holds a NaN or an infinity; allowed are finite numbers")


def _check_points(name: str, points: Tensor, dim: int) -> None:
    if points.ndim < 2 or points.shape[-1] != dim:
        raise ValueError(f"{name} has shape {tuple(points.shape)}; allowed is (..., q, {dim})")


def _one_float64_draw(generator: GeneratorFeatures) -> None:
    if generator.draws is not None:
        raise ValueError(f"generator has {generator.draws} draws; allowed is one, without an axis")
    if generator.weights.dtype != torch.float64:
        raise ValueError(
            f"generator is of type {generator.weights.dtype}; allowed is torch.float64"
        )


def _unit_rows(matrix: Tensor) -> Tensor:
    """Rows scaled to length one, which leaves the rank as it is."""
    lengths = matrix.norm(dim=-1, keepdim=True)
    return matrix / torch.where(lengths > 0, lengths, 1)


def _at_least_one(**arguments: int) -> None:
    for name, value in arguments.items():
        if value < 1:
            raise ValueError(f"{name} is {value}; allowed is an integer of at least 1")


def _positive(**arguments: float) -> None:
    for name, value in arguments.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} is {value}; allowed are positive numbers")
