"""Wasserstein-1 distances of weighted clouds of points: on the line, exact, and sliced."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from gan_course.transport.arguments import Array, array, problems_of, weights_of
from gan_course.transport.plans import solve


def w1_1d(
    x: ArrayLike,
    y: ArrayLike,
    x_weights: ArrayLike | None = None,
    y_weights: ArrayLike | None = None,
) -> Array:
    """Exact Wasserstein-1 distance on the line, ``int |F - G| dt`` of the distribution functions.

    It is also the gap between the quantile functions (Vallender 1974): for equally many points of
    equal weight, the mean gap between the sorted points. No linear program is needed, for the
    monotone coupling is optimal.

    Parameters
    ----------
    x, y
        Shapes ``(..., n)`` and ``(..., m)``; leading axes (seeds) are broadcast. A NaN or an
        infinity in either cloud gives NaN.
    x_weights, y_weights
        Shapes ``(..., n)`` and ``(..., m)``, leading axes are broadcast too.
    """
    x, y = array(x), array(y)
    a, b = weights_of("x_weights", x_weights, x), weights_of("y_weights", y_weights, y)
    try:
        lead = np.broadcast_shapes(*(v.shape[:-1] for v in (x, y, a, b)))
    except ValueError:
        shapes = ", ".join(str(v.shape) for v in (x, y, a, b))
        raise ValueError(
            f"x, y and their weights have shapes {shapes}; allowed are leading axes that broadcast"
        ) from None
    finite = np.isfinite(x).all(-1) & np.isfinite(y).all(-1)
    with np.errstate(invalid="ignore"):  # infinity - infinity of a diverged seed
        if x_weights is None and y_weights is None and x.shape[-1] == y.shape[-1]:
            distance = np.abs(np.sort(x, axis=-1) - np.sort(y, axis=-1)).mean(-1)
        else:
            x, y, a, b = (np.broadcast_to(v, (*lead, v.shape[-1])) for v in (x, y, a, b))
            points, steps = np.concatenate([x, y], -1), np.concatenate([a, -b], -1)
            order = points.argsort(-1)
            gaps = np.diff(np.take_along_axis(points, order, -1))
            heights = np.take_along_axis(steps, order, -1).cumsum(-1)[..., :-1]  # F - G
            distance = (np.abs(heights) * gaps).sum(-1)
    return np.where(finite, distance, math.nan)[()]


def w1(
    x: ArrayLike,
    y: ArrayLike,
    x_weights: ArrayLike | None = None,
    y_weights: ArrayLike | None = None,
) -> Array:
    """Exact Wasserstein-1 distance between clouds of points, one value a seed.

    The cost is the Euclidean distance. The linear program is solved by POT's network simplex, in
    time that grows a little faster than the square of the number of points. On the line
    :func:`w1_1d` is exact and far faster. Two samples of one distribution are at a positive
    distance: report that floor beside the value, or compare with a cloud that holds every mode in
    its exact share.

    Parameters
    ----------
    x
        One cloud a seed, shape ``(seeds, n, d)``; diverged seeds give NaN.
    y
        One cloud a seed, shape ``(seeds, m, d)``, or one for all of them, ``(m, d)``: all finite.
    x_weights, y_weights
        Shapes ``(n,)`` or ``(seeds, n)``, and ``(m,)`` or ``(seeds, m)``.

    Raises
    ------
    ValueError
        If the shapes do not fit, ``y`` is not finite, or weights are no probabilities.
    RuntimeError
        If the simplex stops before it reaches the optimum.
    """
    problems = problems_of(x, y, x_weights, y_weights)
    return np.array([solve(*p)[1]["cost"] if p else math.nan for p in problems])


def sliced_w1(
    x: ArrayLike,
    y: ArrayLike,
    x_weights: ArrayLike | None = None,
    y_weights: ArrayLike | None = None,
    *,
    directions: int,
    seed: int,
) -> Array:
    """Mean of the Wasserstein-1 distances of the clouds' shadows on random lines.

    The sliced distance of Bonneel et al. 2015. A shadow's distance is at most :func:`w1` and costs
    a sort. The clouds ``x`` and ``x + s`` are ``|s| Gamma(d/2) / (sqrt(pi) Gamma((d+1)/2))`` apart
    on average over all directions, about ``|s| sqrt(2 / (pi d))`` in high dimension.

    Parameters
    ----------
    x, y, x_weights, y_weights
        As for :func:`w1`.
    directions
        Number of lines, uniform on the sphere. The error is of order ``1 / sqrt(directions)``, and
        common to all seeds, which share the lines.
    seed
        Integer of at least 0 that draws them.
    """
    for name, value, least in (("directions", directions, 1), ("seed", seed, 0)):
        if value < least:
            raise ValueError(f"{name} is {value}; allowed are integers of at least {least}")
    problems = list(problems_of(x, y, x_weights, y_weights))
    lines = np.random.default_rng(seed).normal(size=(directions, np.shape(y)[-1]))
    lines /= np.linalg.norm(lines, axis=1, keepdims=True)
    shadows = ((lines @ p[0].T, lines @ p[1].T, *p[2:]) if p else None for p in problems)
    return np.array([w1_1d(*s).mean() if s else math.nan for s in shadows])
