"""Lipschitz constants of networks: bounds from above and from below, and norms of layers.

The exact constant of a network is out of reach (already for two layers with ReLU it is NP-hard,
Virmaux and Scaman 2018). The product of the layers' norms bounds it from above; any difference
quotient bounds it from below.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator, svds
from torch.nn.functional import conv2d, conv_transpose2d

from gan_course.nets import ACTIVATIONS, MLP, input_gradient
from gan_course.random import Role, Streams
from gan_course.transport.arguments import array

__all__ = ["SLOPES", "convolution_norm", "lower_bound", "power_iteration", "upper_bound"]

Array = NDArray[np.float64]

SLOPES = {"relu": 1.0, "leaky_relu": 1.0, "silu": 1.0998393201, "tanh": 1.0, "identity": 1.0}
"""The largest slope of each activation of :data:`gan_course.nets.ACTIVATIONS`."""


@torch.no_grad()
def upper_bound(net: MLP) -> Array:
    """Product of the layers' spectral norms and the activations' slopes, one value a seed.

    The weights are those that the network applies: after spectral normalization the product is
    about one, but for the estimate of the norms by power iteration.
    """
    name = next(key for key, value in ACTIVATIONS.items() if value is net.activation)
    weights = [weight.double() for weight, _ in net.layers()]
    norms = torch.stack([torch.linalg.matrix_norm(weight, ord=2) for weight in weights])
    bound = abs(net.input_scale) * norms.prod(0) * SLOPES[name] ** (len(weights) - 1)
    return bound.cpu().numpy()


def lower_bound(
    net: torch.nn.Module,
    points: torch.Tensor,
    *,
    seeds: list[int],
    steps: int = 200,
    reach: float = 1.0,
) -> Array:
    """The largest slope that a search finds, one value a seed: never above the constant.

    Every point hops at random, by ``reach`` at first and a thousandth of it at the end, and stays
    where the gradient is longer. That needs no derivative of the gradient, which is zero almost
    everywhere for networks with ReLU.

    Parameters
    ----------
    net
        A network ``(seeds, n, d) -> (seeds, n, 1)``.
    points
        Where the search begins, ``(n, d)`` or ``(seeds, n, d)``, such as data and generated points.
    seeds
        Of the hops, one a network.
    steps, reach
        Number of hops, and the size of the first in the unit of the points.
    """
    streams = Streams(seeds, points.device, Role.PENALTY)
    x = points.expand(len(seeds), -1, -1) if points.ndim == 2 else points
    if len(x) != len(seeds):
        raise ValueError(f"points has shape {tuple(points.shape)}; allowed are {len(seeds)} clouds")
    slopes = input_gradient(net, x).detach().norm(dim=2)
    for step in range(steps):
        size = reach * 1e-3 ** (step / steps)
        other = x + size * streams.normal(*x.shape[1:]).to(x)
        there = input_gradient(net, other).detach().norm(dim=2)
        steeper = there > slopes
        x = torch.where(steeper[..., None], other, x)
        slopes = torch.where(steeper, there, slopes)
    return slopes.amax(1).double().cpu().numpy()


def power_iteration(weight: ArrayLike, steps: int, *, seed: int) -> Array:
    """Estimates of the largest singular value after 1, ..., ``steps`` rounds, ``(steps,)``.

    A round is ``v = W^T u / |W^T u|``, ``u = W v / |W v|`` from a random ``u``, and the estimate
    ``u^T W v``: it never exceeds the norm, and its error falls like ``(s_2 / s_1)^(4 k)``.

    Parameters
    ----------
    weight
        A matrix, ``(rows, columns)``.
    steps, seed
        Rounds, and the seed of the first ``u``.
    """
    w = array(weight)
    if w.ndim != 2 or not w.size or not np.isfinite(w).all():
        raise ValueError(f"weight has shape {w.shape}; allowed is a finite matrix")
    if steps < 1:
        raise ValueError(f"steps is {steps}; allowed are integers of at least 1")
    u = np.random.default_rng(seed).normal(size=len(w))
    found = []
    for _ in range(steps):
        v = w.T @ u
        v /= max(float(np.linalg.norm(v)), 1e-12)
        u = w @ v
        found.append(float(np.linalg.norm(u)))
        u /= max(found[-1], 1e-12)
    return np.array(found)


def convolution_norm(
    kernel: ArrayLike, size: int, padding: Literal["zeros", "circular"] = "zeros"
) -> float:
    """Operator norm of a convolution with stride 1 on ``size x size`` pictures of equal size.

    With circular padding the Fourier transform makes it a block for each frequency, and the norm
    is the largest singular value of these (Sedghi, Gupta and Long 2019). With zero padding it is
    found by Lanczos iteration on the operator and its adjoint. The kernel reshaped to a matrix,
    as spectral normalization takes it, has another and often a much smaller norm.

    Parameters
    ----------
    kernel
        Shape ``(out, in, k, k)`` with odd ``k``, at most ``size``.
    size
        Height and width of the picture.
    """
    k = array(kernel)
    if k.ndim != 4 or k.shape[2] != k.shape[3] or k.shape[2] % 2 == 0 or k.shape[2] > size:
        raise ValueError(
            f"kernel has shape {k.shape}; allowed is (out, in, k, k) with odd k up to {size}"
        )
    if padding == "circular":
        blocks = np.fft.fft2(k, (size, size), axes=(2, 3)).transpose(2, 3, 0, 1)
        return float(np.linalg.norm(blocks, ord=2, axis=(2, 3)).max())
    if padding != "zeros":
        raise ValueError(f"padding is {padding!r}; allowed are 'zeros' and 'circular'")
    w, reach = torch.from_numpy(k), k.shape[2] // 2
    outputs, inputs = k.shape[:2]

    def forward(x: Array) -> Array:
        picture = torch.from_numpy(np.ascontiguousarray(x)).reshape(1, inputs, size, size)
        return conv2d(picture, w, padding=reach).numpy().ravel()

    def adjoint(y: Array) -> Array:
        picture = torch.from_numpy(np.ascontiguousarray(y)).reshape(1, outputs, size, size)
        return conv_transpose2d(picture, w, padding=reach).numpy().ravel()

    shape = (outputs * size**2, inputs * size**2)
    operator = LinearOperator(shape, matvec=forward, rmatvec=adjoint, dtype=np.float64)
    if min(shape) <= 16:
        return float(np.linalg.norm(operator @ np.eye(shape[1]), ord=2))
    start = np.random.default_rng(0).normal(size=min(shape))
    return float(svds(operator, k=1, return_singular_vectors=False, v0=start)[0])
