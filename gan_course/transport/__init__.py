"""Distances between distributions, and optimal transport of clouds of points.

:func:`kl`, :func:`js` and :func:`tv` compare two laws on a common grid or on common atoms. Two
samples of continuous laws almost surely have no point in common: whatever the laws are, their
empirical distributions have ``JS = log 2``, ``TV = 1`` and infinite ``KL``. Only common cells make
samples comparable, and then the cells decide: see :func:`histogram`. Wasserstein distances see how
far apart points are, and need none of this. Logarithms are natural.

Clouds of points are ensembles: one value a seed comes out, as NumPy arrays, and tensors are taken
too. A seed whose cloud holds a NaN or an infinity has diverged: its values are NaN. Weights are
probabilities, ``(n,)`` or one row a seed, equal where not given.
"""

from __future__ import annotations

from gan_course.transport.arguments import clouds
from gan_course.transport.distances import sliced_w1, w1, w1_1d
from gan_course.transport.divergences import histogram, js, kl, tv
from gan_course.transport.lipschitz import Extension, c_transform, lipschitz_extension
from gan_course.transport.plans import Plan, plan, potentials

__all__ = [
    "Extension",
    "Plan",
    "c_transform",
    "clouds",
    "histogram",
    "js",
    "kl",
    "lipschitz_extension",
    "plan",
    "potentials",
    "sliced_w1",
    "tv",
    "w1",
    "w1_1d",
]
