"""The course's figures in one style.

Data, generator and critic keep their colors throughout the book. The palette is Okabe and Ito's,
which readers with color-blindness tell apart.
"""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from numpy.typing import ArrayLike
from scipy import stats

__all__ = [
    "ACCENT",
    "CRITIC",
    "DATA",
    "GENERATOR",
    "NEUTRAL",
    "band",
    "densities",
    "figure",
    "images",
    "legend",
]

DATA, GENERATOR, CRITIC = "#0072B2", "#D55E00", "#009E73"
ACCENT, NEUTRAL = "#CC79A7", "#595959"

STYLE: Any = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=[DATA, GENERATOR, CRITIC, ACCENT, NEUTRAL]),
    "axes.labelsize": 10,
    "figure.dpi": 110,
    "font.size": 10,
    "legend.frameon": False,
    "lines.linewidth": 2,
    "mathtext.fontset": "cm",
    "savefig.bbox": "tight",
}


def figure(columns: int = 1, *, width: float = 7.0, height: float = 2.8) -> tuple[Figure, Any]:
    """A figure in the course's style with one row of axes: ``(figure, axes)``.

    Sizes are in inches. ``axes`` is one ``Axes`` for one column and an array of them otherwise.
    """
    with mpl.rc_context(STYLE):
        result = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
        interactive = mpl.is_interactive()
    # The first figure of a notebook turns interaction on, which leaving the context undid.
    mpl.interactive(interactive)
    return result


def legend(*axes: Axes, **options: Any) -> None:
    """Give each of the axes the course's legend; `options` are those of ``Axes.legend``."""
    for ax in axes:
        ax.legend(frameon=False, **options)


def densities(ax: Axes, x: ArrayLike, p: ArrayLike, q: ArrayLike) -> None:
    """Draw the densities ``p`` of the data and ``q`` of the generator at ``x``, all ``(n,)``."""
    for values, color, label in ((p, DATA, "data"), (q, GENERATOR, "generator")):
        ax.fill_between(np.asarray(x), np.asarray(values), color=color, alpha=0.25, linewidth=0)
        ax.plot(np.asarray(x), np.asarray(values), color=color, label=label)


def band(ax: Axes, x: ArrayLike, values: ArrayLike, *, color: str, label: str) -> None:
    """Draw the mean over seeds with its 95 % Student t interval.

    ``values`` has shape ``(seeds, n)``; every seed counts.
    """
    x, values = np.asarray(x), np.asarray(values)
    if values.ndim != 2 or len(values) < 2:
        raise ValueError(f"values has shape {values.shape}; allowed is (seeds, n) with seeds >= 2")
    mean = values.mean(0)
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values, axis=0)
    ax.fill_between(x, mean - half, mean + half, color=color, alpha=0.25, linewidth=0)
    ax.plot(x, mean, color=color, label=label)


def images(ax: Axes, x: ArrayLike, shape: tuple[int, int, int], columns: int) -> None:
    """Draw flattened images row by row, without axes: white is 1 and black is -1.

    ``x`` has shape ``(n, channels * height * width)`` and ``shape`` is that of one image, with one
    channel (gray) or three. A last row that is not full stays black at its end.
    """
    pixels = np.asarray(x, dtype=np.float64)
    if pixels.ndim != 2 or pixels.shape[1] != np.prod(shape) or shape[0] not in (1, 3):
        raise ValueError(
            f"x has shape {pixels.shape} and shape is {shape}; allowed is (n, {np.prod(shape)}), "
            "with one channel or three"
        )
    if columns < 1:
        raise ValueError(f"columns is {columns}; allowed is an integer of at least 1")
    channels, height, width = shape
    rows = -(-len(pixels) // columns)
    filled = np.full((rows * columns, *shape), -1.0)
    filled[: len(pixels)] = pixels.reshape(-1, *shape)
    grid = filled.reshape(rows, columns, *shape).transpose(0, 3, 1, 4, 2)
    sheet = grid.reshape(rows * height, columns * width, channels)
    ax.imshow((sheet.clip(-1, 1) + 1) / 2 * np.ones(3), interpolation="nearest")
    ax.set_axis_off()
