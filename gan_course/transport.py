"""Distances between distributions.

On a grid: ``p`` and ``q`` are densities given by their values at the points of ``x`` (shape
``(n,)``, increasing), ``(..., n)`` each; integrals are trapezoidal sums. On a uniform grid, for
smooth integrands that vanish with all derivatives at both ends, these converge faster than any
power of the spacing; :func:`tv` has kinks and converges like its square. Logarithms are natural.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

__all__ = ["js", "kl", "tv", "w1_1d"]

Array = NDArray[np.float64]


def kl(p: ArrayLike, q: ArrayLike, x: ArrayLike) -> Array:
    """Kullback-Leibler divergence ``KL(p || q) = int p log(p / q) dx``.

    It is infinite if ``p > 0 = q`` at some point of the grid.
    """
    p, q, x = _densities(p, q, x)
    return np.trapezoid(rel_entr(p, q), x)


def js(p: ArrayLike, q: ArrayLike, x: ArrayLike) -> Array:
    """Jensen-Shannon divergence ``(KL(p || m) + KL(q || m)) / 2``, in [0, log 2].

    ``m = (p + q) / 2`` is the mean of the two densities.
    """
    p, q, x = _densities(p, q, x)
    m = (p + q) / 2
    return np.trapezoid(rel_entr(p, m) + rel_entr(q, m), x) / 2


def tv(p: ArrayLike, q: ArrayLike, x: ArrayLike) -> Array:
    """Total variation distance ``sup_A |P(A) - Q(A)| = int |p - q| dx / 2``, in [0, 1]."""
    p, q, x = _densities(p, q, x)
    return np.trapezoid(np.abs(p - q), x) / 2


def _densities(p: ArrayLike, q: ArrayLike, x: ArrayLike) -> tuple[Array, Array, Array]:
    p, q, x = (np.asarray(a, dtype=np.float64) for a in (p, q, x))
    if x.ndim != 1 or len(x) < 2 or not (np.diff(x) > 0).all():
        raise ValueError(f"x is {x}; allowed is an increasing grid of shape (n,), n >= 2")
    for name, values in (("p", p), ("q", q)):
        if values.shape[-1:] != x.shape:
            raise ValueError(f"{name} has shape {values.shape}; allowed is (..., {len(x)}), as x")
        if not (values >= 0).all():
            raise ValueError(f"{name} holds a negative number or a NaN; allowed are densities >= 0")
    return p, q, x


def w1_1d(x: ArrayLike, y: ArrayLike) -> Array:
    """Wasserstein-1 distance of two clouds of equally many points on the line.

    In one dimension the monotone coupling is optimal, so the distance is the mean gap between the
    sorted points.

    Parameters
    ----------
    x, y
        Shape ``(..., n)``; leading axes (seeds) are broadcast.
    """
    x, y = (np.asarray(a, dtype=np.float64) for a in (x, y))
    if x.ndim == 0 or y.ndim == 0 or x.shape[-1] != y.shape[-1]:
        raise ValueError(f"y has shape {y.shape}; allowed is as many points as x, {x.shape}")
    gaps: Array = np.abs(np.sort(x, axis=-1) - np.sort(y, axis=-1))
    return gaps.mean(-1)
