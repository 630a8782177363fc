"""What the functions of optimal transport accept, and how they refuse the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
Problem = tuple[Array, Array, Array, Array]
"""Clouds ``(n, d)`` and ``(m, d)`` and their weights ``(n,)`` and ``(m,)``."""


def clouds(x: ArrayLike, y: ArrayLike) -> tuple[Array, Array]:
    """Check two ensembles of clouds and give every seed its own: ``(seeds, n, d), (seeds, m, d)``.

    ``x`` has shape ``(seeds, n, d)``, and a NaN in it is allowed: its seed has diverged. ``y`` has
    shape ``(seeds, m, d)`` or ``(m, d)`` and is finite. Tensors may have a gradient or be on a GPU.
    """
    x, y = array(x), array(y)
    if x.ndim != 3 or not x.size:
        raise ValueError(f"x has shape {x.shape}; allowed is (seeds, n, d), nothing empty")
    seeds, _, d = x.shape
    if y.ndim not in (2, 3) or y.shape[-1] != d or y.shape[:-2] not in ((), (seeds,)) or not y.size:
        raise ValueError(f"y has shape {y.shape}; allowed are (m, {d}) and ({seeds}, m, {d})")
    if not np.isfinite(y).all():
        raise ValueError("y holds a NaN or an infinity; allowed are finite numbers")
    return x, np.broadcast_to(y, (seeds, *y.shape[-2:]))


def problems_of(
    x: ArrayLike, y: ArrayLike, x_weights: ArrayLike | None, y_weights: ArrayLike | None
) -> Iterator[Problem | None]:
    """Clouds and weights, seed by seed; None for a seed that has diverged."""
    x, y = clouds(x, y)
    laws = []
    for name, weights, cloud in (("x_weights", x_weights, x), ("y_weights", y_weights, y)):
        law, shape = weights_of(name, weights, cloud[..., 0]), cloud.shape[:2]
        if law.shape not in (shape, shape[1:]):
            raise ValueError(f"{name} has shape {law.shape}; allowed are {shape[1:]} and {shape}")
        laws.append(np.broadcast_to(law, shape))
    for problem in zip(x, y, *laws, strict=True):
        yield problem if all(np.isfinite(part).all() for part in problem) else None


def weights_of(name: str, weights: ArrayLike | None, points: Array) -> Array:
    """Probabilities of points of shape ``(..., n)``."""
    if points.ndim == 0 or not points.size:
        raise ValueError(f"{name[0]} has shape {points.shape}; allowed is (..., n), nothing empty")
    n = points.shape[-1]
    if weights is None:
        return np.full(n, 1 / n)
    weights = probabilities(name, weights)
    if weights.shape[-1] != n:
        raise ValueError(f"{name} has shape {weights.shape}; allowed is (..., {n}), one a point")
    return weights / weights.sum(-1, keepdims=True)


def probabilities(name: str, values: ArrayLike) -> Array:
    """Rows that are not negative and sum to 1, as float32 can tell, or are all NaN."""
    values = array(values)
    if values.ndim == 0 or not values.size:
        raise ValueError(f"{name} has shape {values.shape}; allowed is (..., n), nothing empty")
    rows = values[~np.isnan(values).all(-1)]
    if not (rows >= 0).all():
        raise ValueError(f"{name} holds a negative number or a NaN; allowed are probabilities >= 0")
    sums = rows.sum(-1)
    if not (np.abs(sums - 1) < 1e-5).all():
        worst = sums[np.abs(sums - 1).argmax()]
        raise ValueError(f"{name} sums to {worst:.6g}; allowed are probabilities that sum to 1")
    return values


def increasing(name: str, values: ArrayLike) -> Array:
    values = array(values)
    if values.ndim != 1 or len(values) < 2 or not (np.diff(values) > 0).all():
        raise ValueError(f"{name} is {values}; allowed is an increasing grid of shape (n,), n >= 2")
    return values


def array(values: Any) -> Array:
    """A tensor, perhaps on a GPU or with a gradient, or anything that NumPy reads."""
    values = values.detach().cpu() if hasattr(values, "detach") else values
    return np.asarray(values, dtype=np.float64)
