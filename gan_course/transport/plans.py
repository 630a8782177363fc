"""Both sides of the Kantorovich problem: optimal plans, and potentials of its dual."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.spatial.distance import cdist

from gan_course.transport.arguments import Array, Problem, clouds, problems_of
from gan_course.transport.lipschitz import envelope

_PIVOTS = 10**7  # POT's own limit stops early from a few thousand points on


@dataclass(frozen=True, eq=False)
class Plan:
    """An optimal plan a seed: the pairs of points between which mass moves; see :func:`plan`.

    A seed has at most ``n + m - 1`` pairs, ``k`` is the largest number of any seed. A seed with
    fewer repeats its last pair with mass 0: what holds on the plan's support holds for all pairs
    listed, and sums weighted by ``mass`` are right.

    Attributes
    ----------
    rows, columns
        Pair ``e`` joins ``x[rows[e]]`` and ``y[columns[e]]``: integers, shape ``(seeds, k)``.
    mass
        What it moves, shape ``(seeds, k)``; sums to 1, NaN for a diverged seed.
    starts, ends
        The points themselves, shape ``(seeds, k, d)``: ``(1 - t) * starts + t * ends`` lies on the
        transport rays.
    shape
        ``(n, m)``.
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    mass: Array
    starts: Array
    ends: Array
    shape: tuple[int, int]

    @property
    def cost(self) -> Array:
        """``sum mass * |starts - ends|``, the Wasserstein-1 distance: shape ``(seeds,)``."""
        return (self.mass * np.linalg.norm(self.starts - self.ends, axis=-1)).sum(-1)

    @property
    def gradient(self) -> Array:
        """Derivative of the distance in the points of ``x``, shape ``(seeds, n, d)``.

        Each pair pulls with its mass, along its ray: by the envelope theorem the plan may be held
        fixed. The distance is differentiable where the plan is unique and no pair lies in one
        place; such a pair does not pull.
        """
        rays = self.starts - self.ends
        lengths = np.linalg.norm(rays, axis=-1, keepdims=True)
        pulls = self.mass[..., None] * np.divide(rays, lengths, where=lengths > 0, out=0 * rays)
        total = np.zeros((len(rays), self.shape[0], rays.shape[-1]))
        np.add.at(total, (np.arange(len(rays))[:, None], self.rows), pulls)
        total[np.isnan(self.mass).any(1)] = math.nan
        return total

    @property
    def coupling(self) -> Array:
        """The plan as matrices with the clouds' weights as marginals, ``(seeds, n, m)``."""
        dense = np.zeros((len(self.mass), *self.shape))
        seed = np.arange(len(dense))[:, None]
        np.add.at(dense, (seed, self.rows, self.columns), self.mass)
        dense[np.isnan(self.mass).any(1)] = math.nan
        return dense


def plan(
    x: ArrayLike,
    y: ArrayLike,
    x_weights: ArrayLike | None = None,
    y_weights: ArrayLike | None = None,
) -> Plan:
    """An optimal plan of each seed's cloud ``x`` to its ``y``; parameters and errors of :func:`w1`.

    On the line it is the monotone coupling. In higher dimension it is a vertex of the polytope of
    plans, found by POT's network simplex; where several are optimal, it is one of them.
    """
    x, y = clouds(x, y)
    problems = list(problems_of(x, y, x_weights, y_weights))
    support = [_support(p) if p else None for p in problems]
    k = max((len(s[0]) for s in support if s), default=1)
    rows, columns = np.zeros((2, len(x), k), dtype=np.intp)
    mass = np.full((len(x), k), math.nan)
    for seed, found in enumerate(support):
        if found:
            pad = (0, k - len(found[0]))
            rows[seed], columns[seed] = (np.pad(index, pad, mode="edge") for index in found[:2])
            mass[seed] = np.pad(found[2], pad)
    starts, ends = (
        np.take_along_axis(cloud, index[..., None], axis=1)
        for cloud, index in ((x, rows), (y, columns))
    )
    return Plan(rows, columns, mass, starts, ends, (x.shape[1], y.shape[1]))


def potentials(
    x: ArrayLike,
    y: ArrayLike,
    x_weights: ArrayLike | None = None,
    y_weights: ArrayLike | None = None,
) -> tuple[Array, Array]:
    """Values on ``x`` and ``y`` of an optimal critic: a 1-Lipschitz ``f``, the dual's solution.

    Kantorovich-Rubinstein: ``E_x f - E_y f`` is the Wasserstein-1 distance, and ``f`` falls with
    slope 1 from ``x_i`` to ``y_j`` wherever an optimal plan joins them. The linear program's dual
    gives two functions, ``u_i + v_j <= |x_i - y_j|``; the c-transform of ``v`` is a single one,
    1-Lipschitz everywhere, and no worse. It is fixed up to a constant, which is chosen so that
    the (weighted) mean over ``y`` is 0 and that over ``x`` is the distance. Beyond the constant
    ``f`` need not be unique: where mass moves in separate groups, their levels are free within
    bounds. The simplex returns a corner, with slope 1 also between some points that exchange no
    mass; so ``f`` may have kinks at the points, and :attr:`Plan.gradient` tells how they move. A
    point without mass has the largest value that the points of ``y`` with mass allow.

    Parameters and errors are those of :func:`w1`.

    Returns
    -------
    Shapes ``(seeds, n)`` and ``(seeds, m)``; :func:`lipschitz_extension` continues them to all of
    space.
    """
    x, y = clouds(x, y)
    f_x, f_y = (np.full(cloud.shape[:2], math.nan) for cloud in (x, y))
    for seed, problem in enumerate(problems_of(x, y, x_weights, y_weights)):
        if problem:
            a, b, _, q = problem
            v, loaded = solve(*problem)[1]["v"], q > 0  # v means nothing at a point without mass
            f_x[seed], f_y[seed] = (envelope(b[loaded], -v[loaded], at)[0] for at in (a, b))
            level = q @ f_y[seed]
            f_x[seed] -= level
            f_y[seed] -= level
    return f_x, f_y


def solve(x: Array, y: Array, p: Array, q: Array) -> tuple[Array, dict[str, Any]]:
    """The plan as a matrix, and POT's log with the ``cost`` and the dual's ``u`` and ``v``."""
    import ot

    matrix, log = ot.emd(p, q, cdist(x, y), numItermax=_PIVOTS, log=True)
    if log["warning"] is not None:
        raise RuntimeError(f"no optimal transport of {len(x)} to {len(y)} points: {log['warning']}")
    return matrix, log


def _support(problem: Problem) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """Pairs of points and the mass that moves between them, without what rounding leaves over."""
    x, y, p, q = problem
    if x.shape[1] == 1:
        rows, columns, mass = _monotone(x[:, 0], y[:, 0], p, q)
    else:
        matrix = solve(*problem)[0]
        rows, columns = np.nonzero(matrix)
        mass = matrix[rows, columns]
    real = mass > (len(x) + len(y)) * np.finfo(np.float64).eps
    return rows[real], columns[real], mass[real]


def _monotone(
    x: Array, y: Array, p: Array, q: Array
) -> tuple[NDArray[np.intp], NDArray[np.intp], Array]:
    """The coupling of the quantile functions: they are constant between the ``levels``."""
    by_x, by_y = x.argsort(kind="stable"), y.argsort(kind="stable")
    tops_x, tops_y = p[by_x].cumsum(), q[by_y].cumsum()
    levels = np.sort(np.concatenate([[0.0], tops_x, tops_y]))
    middle = (levels[:-1] + levels[1:]) / 2
    row, column = (
        np.searchsorted(tops, middle).clip(max=len(tops) - 1) for tops in (tops_x, tops_y)
    )
    return by_x[row], by_y[column], np.diff(levels)
