"""KL, JS and TV of two laws on a common grid or on common atoms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import rel_entr

from gan_course.transport.arguments import Array, array, increasing, probabilities


def kl(p: ArrayLike, q: ArrayLike, x: ArrayLike | None = None) -> Array:
    """Kullback-Leibler divergence ``KL(p || q) = int p log(p / q) dx``, or a sum over atoms.

    It is infinite if ``p > 0 = q`` somewhere.

    Parameters
    ----------
    p, q
        Shape ``(..., n)``, leading axes are broadcast. With ``x``: values of densities on the
        grid. Without: probabilities of common atoms, which sum to 1; a row of NaN is a diverged
        seed, whose value is NaN.
    x
        Increasing grid, shape ``(n,)``. Integrals are trapezoidal sums. On a uniform grid, for
        smooth integrands that vanish with all derivatives at both ends, these converge faster than
        any power of the spacing; :func:`tv` has kinks and converges like its square.
    """
    p, q, x = _laws(p, q, x)
    return _total(rel_entr(p, q), x)


def js(p: ArrayLike, q: ArrayLike, x: ArrayLike | None = None) -> Array:
    """Jensen-Shannon divergence ``(KL(p || m) + KL(q || m)) / 2``, in [0, log 2].

    ``m = (p + q) / 2`` is the mean of the two. Parameters as for :func:`kl`.
    """
    p, q, x = _laws(p, q, x)
    m = (p + q) / 2
    return _total(rel_entr(p, m) + rel_entr(q, m), x) / 2


def tv(p: ArrayLike, q: ArrayLike, x: ArrayLike | None = None) -> Array:
    """Total variation distance ``sup_A |P(A) - Q(A)| = int |p - q| dx / 2``, in [0, 1].

    Parameters as for :func:`kl`.
    """
    p, q, x = _laws(p, q, x)
    return _total(np.abs(p - q), x) / 2


def histogram(points: ArrayLike, edges: ArrayLike) -> Array:
    """Shares of the points in the cells between the edges, for :func:`kl`, :func:`js`, :func:`tv`.

    The outermost cells reach to infinity, so that no point is lost. Merging points into cells can
    only lower the three distances. With few points a cell they are far too large: for ever finer
    cells, JS of two samples tends to log 2.

    Parameters
    ----------
    points
        Points on the line, shape ``(..., n)``. A seed with a NaN or an infinity gives NaN.
    edges
        Increasing, shape ``(cells + 1,)``; a cell holds its left edge.

    Returns
    -------
    Shape ``(..., cells)``, every row sums to 1.
    """
    points, edges = array(points), increasing("edges", edges)
    if points.ndim == 0 or not points.size:
        raise ValueError(f"points has shape {points.shape}; allowed is (..., n), nothing empty")
    cells = len(edges) - 1
    flat = points.reshape(-1, points.shape[-1])
    cell = np.searchsorted(edges[1:-1], flat, side="right") + cells * np.arange(len(flat))[:, None]
    counts = np.bincount(cell.ravel(), minlength=cells * len(flat)).reshape(-1, cells)
    shares = np.where(np.isfinite(flat).all(1, keepdims=True), counts / flat.shape[1], math.nan)
    return shares.reshape(*points.shape[:-1], cells)


def _laws(p: ArrayLike, q: ArrayLike, x: ArrayLike | None) -> tuple[Array, Array, Array | None]:
    """Probabilities of common atoms, or densities on a common grid."""
    if x is None:
        p, q = probabilities("p", p), probabilities("q", q)
        if p.shape[-1] != q.shape[-1]:
            raise ValueError(f"q has shape {q.shape}; allowed is (..., {p.shape[-1]}), as p")
        return p, q, None
    p, q, x = array(p), array(q), increasing("x", x)
    for name, values in (("p", p), ("q", q)):
        if values.shape[-1:] != x.shape:
            raise ValueError(f"{name} has shape {values.shape}; allowed is (..., {len(x)}), as x")
        if not (values >= 0).all():
            raise ValueError(f"{name} holds a negative number or a NaN; allowed are densities >= 0")
    return p, q, x


def _total(values: Any, x: Array | None) -> Array:
    return values.sum(-1) if x is None else np.trapezoid(values, x)
