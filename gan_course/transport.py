"""Distances between distributions: on a grid, and between clouds of points.

On a grid: ``p`` and ``q`` are densities given by their values at the points of ``x`` (shape
``(n,)``, increasing), ``(..., n)`` each; integrals are trapezoidal sums. On a uniform grid, for
smooth integrands that vanish with all derivatives at both ends, these converge faster than any
power of the spacing; :func:`tv` has kinks and converges like its square. Logarithms are natural.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import rel_entr

__all__ = ["js", "kl", "tv", "w1", "w1_1d"]

Array = NDArray[np.float64]

_PIVOTS = 10**7  # POT's own limit stops early from a few thousand points on


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


def w1(x: ArrayLike, y: ArrayLike) -> Array:
    """Exact Wasserstein-1 distance between clouds of points, one value a seed.

    The points of a cloud have equal weights and the cost is the Euclidean distance. The linear
    program is solved by POT's network simplex, in time that grows a little faster than the square
    of the number of points. Two samples of one distribution are at a positive distance: report that
    floor beside the value, or compare with a cloud that holds every mode in its exact share.

    Parameters
    ----------
    x
        One cloud a seed, shape ``(seeds, n, d)``. A seed whose cloud holds a NaN or an infinity has
        diverged: its distance is NaN.
    y
        One cloud a seed, shape ``(seeds, m, d)``, or one for all of them, ``(m, d)``: all finite.

    Raises
    ------
    ValueError
        If the shapes do not fit, or ``y`` is not finite.
    RuntimeError
        If the simplex stops before it reaches the optimum.
    """
    pairs = zip(*clouds(x, y), strict=True)
    return np.array([_w1(a, b) if np.isfinite(a).all() else math.nan for a, b in pairs])


def clouds(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Check two ensembles of clouds and give every seed its own: ``(seeds, n, d), (seeds, m, d)``.

    ``x`` has shape ``(seeds, n, d)``, and a NaN in it is allowed: its seed has diverged. ``y`` has
    shape ``(seeds, m, d)`` or ``(m, d)`` and is finite. Tensors may have a gradient or be on a GPU.
    """
    x, y = (np.asarray(_on_cpu(a), dtype=np.float64) for a in (x, y))
    if x.ndim != 3 or not x.size:
        raise ValueError(f"x has shape {x.shape}; allowed is (seeds, n, d), nothing empty")
    seeds, _, d = x.shape
    if y.ndim not in (2, 3) or y.shape[-1] != d or y.shape[:-2] not in ((), (seeds,)) or not y.size:
        raise ValueError(f"y has shape {y.shape}; allowed are (m, {d}) and ({seeds}, m, {d})")
    if not np.isfinite(y).all():
        raise ValueError("y holds a NaN or an infinity; allowed are finite numbers")
    return x, np.broadcast_to(y, (seeds, *y.shape[-2:]))


def _w1(x: Array, y: Array) -> float:
    import ot
    from scipy.spatial.distance import cdist

    cost, log = ot.emd2([], [], cdist(x, y), numItermax=_PIVOTS, log=True)
    if log["warning"] is not None:
        raise RuntimeError(f"no optimal transport of {len(x)} to {len(y)} points: {log['warning']}")
    return float(cost)


def _on_cpu(values: Any) -> Any:
    """A tensor, perhaps on a GPU or with a gradient, as NumPy can read it."""
    return values.detach().cpu() if hasattr(values, "detach") else values
