"""The numbers behind `moving_mass`, and its still picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gan_course.transport import js, plan, tv, w1_1d
from gan_course.widgets.gaussians import CRITIC, DATA, GENERATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BINS = 8
PLACES = np.arange(1.0, BINS + 1)
DATA_START = (0.05, 0.25, 0.2, 0.0, 0.0, 0.1, 0.3, 0.1)
GENERATOR_START = (0.0, 0.1, 0.2, 0.3, 0.25, 0.1, 0.05, 0.0)
_SAME = 1e-12  # rounding leaves the distribution functions less than this apart
_GAP = 0.8  # between the histograms of the still picture


def shares(name: str, weights: ArrayLike) -> list[float]:
    """Weights of the eight bins, divided by their sum."""
    values = np.asarray(weights, dtype=np.float64)
    if values.shape != (BINS,):
        raise ValueError(f"{name} has shape {values.shape}; allowed are {BINS} weights")
    total = values.sum()
    if not (np.isfinite(total) and total > 0 and (values >= 0).all()):
        raise ValueError(f"{name}={values.tolist()} must be finite, none negative, not all 0")
    # A law stays as it is to the last bit: what the browser sends comes back unchanged.
    return list((values if abs(total - 1) < _SAME else values / total).tolist())


def excess(p: ArrayLike, q: ArrayLike) -> NDArray[np.float64]:
    """``F - G`` between neighboring places, of the distribution functions: ``(BINS - 1,)``."""
    gaps = np.cumsum(np.subtract(p, q))[:-1]
    return np.where(np.abs(gaps) > _SAME, gaps, 0.0)


def potential(p: ArrayLike, q: ArrayLike) -> NDArray[np.float64]:
    """A best critic at the places, with mean 0 under the generator.

    It falls with slope 1 where ``F > G``, rises with slope 1 where ``F < G``, and is level where
    the distribution functions agree, though any slope in [-1, 1] would serve there.
    """
    f = np.concatenate([[0.0], -np.sign(excess(p, q)).cumsum()])
    return np.asarray(f - f @ np.asarray(q))


def evaluate(p: ArrayLike, q: ArrayLike) -> dict[str, float]:
    """Distances of two laws on the places 1, ..., 8.

    Returns
    -------
    dict
        `w1`, the Wasserstein-1 distance; `dual` = E_p f - E_q f for the `potential` f, the same by
        duality; `js` (natural logarithm) and `tv`.
    """
    return {
        "w1": float(w1_1d(PLACES, PLACES, p, q)),
        "dual": float(potential(p, q) @ np.subtract(p, q)),
        "js": float(js(p, q)),
        "tv": float(tv(p, q)),
    }


def still_figure(p: ArrayLike, q: ArrayLike) -> Figure:
    """The explorable's two panels at one state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.4), layout="constrained")
    masses, critic = figure.subplots(2, 1, sharex=True, height_ratios=(2.4, 1))
    _draw_masses(masses, np.asarray(p), np.asarray(q))
    _draw_potential(critic, np.asarray(p), np.asarray(q))
    return figure


def _draw_masses(axes: Axes, p: NDArray[np.float64], q: NDArray[np.float64]) -> None:
    axes.bar(PLACES, p, 0.72, bottom=_GAP / 2, color=DATA, label="data $p$")
    axes.bar(PLACES, -q, 0.72, bottom=-_GAP / 2, color=GENERATOR, label="generator $q$")
    moves = plan(PLACES[None, :, None], PLACES[None, :, None], p, q)
    spent = {"p": PLACES - p / 2, "q": PLACES - q / 2}  # where the next ribbon begins and ends
    height = np.linspace(-1, 1, 61)
    bend = (2 - 3 * height + height**3) / 4
    for row, column, mass in zip(moves.rows[0], moves.columns[0], moves.mass[0], strict=True):
        left = spent["p"][row] + bend * (spent["q"][column] - spent["p"][row])
        color, alpha = ("0.5", 0.3) if row == column else (CRITIC, 0.35)
        axes.fill_betweenx(height * _GAP / 2, left, left + mass, color=color, alpha=alpha, lw=0)
        spent["p"][row] += mass
        spent["q"][column] += mass
    for base in (_GAP / 2, -_GAP / 2):
        axes.axhline(base, color="0.3", lw=1)
    ticks = {_GAP / 2 + v: t for v, t in ((0.0, "0"), (0.5, "½"), (1.0, "1"))}
    axes.set_yticks([-tick for tick in ticks] + list(ticks), [*ticks.values()] * 2)
    top = _GAP / 2 + max(0.55, p.max(), q.max())
    axes.set(xlim=(0.5, BINS + 0.5), ylim=(-top, top), ylabel="mass")
    axes.legend(frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def _draw_potential(axes: Axes, p: NDArray[np.float64], q: NDArray[np.float64]) -> None:
    f = potential(p, q)
    for i, gap in enumerate(excess(p, q)):
        axes.plot(PLACES[i : i + 2], f[i : i + 2], "-" if gap else ":", color=CRITIC, lw=2)
    axes.plot(PLACES, f, "o", color=CRITIC, ms=4)
    axes.axhline(float(f @ p), color=DATA, ls="--", lw=1.2)
    axes.axhline(0.0, color=GENERATOR, ls="--", lw=1.2)
    axes.set(xlabel="place $x$", ylabel="potential $f$", xticks=PLACES)
