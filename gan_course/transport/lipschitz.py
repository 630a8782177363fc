"""Functions that rise no faster than 1: c-transforms and extensions to all of space."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.spatial.distance import cdist

from gan_course.transport.arguments import Array, array

Kind = Literal["largest", "smallest", "middle"]

_BLOCK = 2**22  # distances at once: 32 MB


def c_transform(values: ArrayLike, points: ArrayLike, at: ArrayLike) -> Array:
    """``f^c(z) = min_j |z - points_j| - values_j`` of a function ``f`` with ``values`` at points.

    It is the largest ``g`` with ``f(x) + g(z) <= |x - z|``, and 1-Lipschitz whatever ``f`` is. A
    1-Lipschitz ``f`` has ``f^c = -f`` at the points. Where a plan moves mass from ``x`` to ``y``,
    ``potentials`` solve the dual with ``u = f`` on ``x`` and ``v = f^c = -f`` on ``y``.

    Parameters
    ----------
    values, points, at
        For one function ``(m,)``, ``(m, d)`` and ``(..., d)``, result ``(...)``. For an ensemble
        ``(seeds, m)``, ``(seeds, m, d)`` or ``(m, d)``, and ``(seeds, k, d)`` or ``(k, d)``,
        result ``(seeds, k)``; a seed that is not finite gives NaN.
    """
    points, values = _functions(points, values)
    return envelope(points, -values, _places(at, points))[0]


@dataclass(frozen=True, eq=False)
class Extension:
    """A 1-Lipschitz function on all of space; see :func:`lipschitz_extension`.

    It is called with ``at`` of shape ``(..., d)`` and gives ``(...)``; an ensemble is called with
    ``(seeds, k, d)``, or ``(k, d)`` for all seeds, and gives ``(seeds, k)``.
    """

    points: Array
    values: Array
    kind: Kind

    def __call__(self, at: ArrayLike) -> Array:
        return self._mean(at, 0)

    def gradient(self, at: ArrayLike) -> Array:
        """The gradient, shape of the places with their ``d`` components.

        The largest and the smallest extension have norm 1 wherever they are differentiable. At the
        points themselves, where they may have a kink, it is NaN; for the way a point should move
        see :attr:`gan_course.transport.Plan.gradient`. On other kinks, a set of measure zero, it is
        that of one side.
        """
        return self._mean(at, 1)

    def _mean(self, at: ArrayLike, part: int) -> Array:
        places = _places(at, self.points)
        signs = {"largest": (1,), "smallest": (-1,), "middle": (1, -1)}[self.kind]
        sides = [s * envelope(self.points, s * self.values, places)[part] for s in signs]
        return np.mean(sides, axis=0)


def lipschitz_extension(points: ArrayLike, values: ArrayLike, kind: Kind = "largest") -> Extension:
    """Continue a function, 1-Lipschitz on a cloud, to all of space (McShane 1934, Whitney 1934).

    The largest extension is ``min_j values_j + |z - points_j|``, the smallest
    ``max_j values_j - |z - points_j|``, and every other lies between them; their middle is one.
    If ``points`` holds two clouds and ``values`` their potentials, all agree along the transport
    rays, with gradient norm 1 inside them.

    Parameters
    ----------
    points
        Shape ``(m, d)``, or ``(seeds, m, d)`` for an ensemble.
    values
        Shape ``(m,)``, or ``(seeds, m)`` for an ensemble; a seed that is not finite gives NaN.
    kind
        ``"largest"``, ``"smallest"`` or ``"middle"``.

    Raises
    ------
    ValueError
        If the values rise faster than 1 between two points, or the shapes do not fit.
    """
    if kind not in get_args(Kind):
        raise ValueError(f"kind is {kind!r}; allowed are {', '.join(get_args(Kind))}")
    points, values = _functions(points, values)
    excess = np.nanmax(values - envelope(points, values, points)[0], initial=0)
    if excess > 1e-6 * np.abs(values[np.isfinite(values)]).max(initial=0):
        raise ValueError(
            f"values rise by {excess:.3g} more than the distance between two points; "
            "allowed are 1-Lipschitz values"
        )
    return Extension(points, values, kind)


def envelope(points: Array, heights: Array, at: Array) -> tuple[Array, Array]:
    """``min_j heights_j + |at - points_j|`` and its gradient, for one function or an ensemble.

    The gradient is NaN at the points.
    """
    if heights.ndim == 2:
        parts = [envelope(*seed) for seed in zip(points, heights, at, strict=True)]
        values, slopes = zip(*parts, strict=True)
        return np.stack(values), np.stack(slopes)
    flat = at.reshape(-1, at.shape[-1])
    value, slope = np.full(len(flat), math.nan), np.full(flat.shape, math.nan)
    if np.isfinite(points).all() and np.isfinite(heights).all():
        step = max(1, _BLOCK // len(points))
        for rows in (slice(start, start + step) for start in range(0, len(flat), step)):
            cones = cdist(flat[rows], points)
            kink = cones.min(axis=1, keepdims=True) == 0
            cones += heights
            nearest = cones.argmin(axis=1)
            value[rows] = cones[np.arange(len(cones)), nearest]
            slope[rows] = np.where(kink, math.nan, flat[rows] - points[nearest])
    slope /= np.linalg.norm(slope, axis=1, keepdims=True)
    return value.reshape(at.shape[:-1]), slope.reshape(at.shape)


def _functions(points: ArrayLike, values: ArrayLike) -> tuple[Array, Array]:
    """Points and values of one function, ``(m, d)`` and ``(m,)``, or of one a seed."""
    points, values = array(points), array(values)
    if values.ndim not in (1, 2) or not values.size:
        raise ValueError(f"values has shape {values.shape}; allowed are (m,) and (seeds, m)")
    if values.ndim == 2 and points.ndim == 2:
        points = np.broadcast_to(points, (len(values), *points.shape))
    if points.shape[:-1] != values.shape or not points.size:
        raise ValueError(f"points has shape {points.shape}; allowed is {values.shape} and (d,)")
    return points, values


def _places(at: ArrayLike, points: Array) -> Array:
    """Where functions with these points are asked for: one set of places a function."""
    at, d = array(at), points.shape[-1]
    if points.ndim == 3 and at.ndim == 2:
        at = np.broadcast_to(at, (len(points), *at.shape))
    if at.shape[-1:] != (d,) or (points.ndim == 3 and (at.ndim != 3 or len(at) != len(points))):
        allowed = f"(..., {d})" if points.ndim == 2 else f"({len(points)}, k, {d}) and (k, {d})"
        raise ValueError(f"at has shape {at.shape}; allowed: {allowed}")
    return at
