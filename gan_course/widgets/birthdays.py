"""The numbers behind `birthday_test`, and its still picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gan_course.widgets.gaussians import GENERATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIMITS: dict[str, tuple[float, float]] = {
    "support": (1, 100_000),
    "draws": (2, 2000),
    "heavy": (0.0, 0.9),
    "drawings": (1, 2000),
}
SEEDS = 2**32
LEVEL = 0.95  # of the interval
BARS = 24  # of the histogram, at most
STRIDE = 2048  # random numbers set aside for each drawing
_GOLDEN = 0x9E3779B9
_INK = "0.15"


def checked(*, support: int, draws: int, heavy: float, drawings: int, seed: int) -> dict[str, Any]:
    """The explorable's state, as plain values.

    Raises
    ------
    ValueError
        Where a value is not allowed; it names the argument, the value and what is allowed.
    """
    whole = {"support": support, "draws": draws, "drawings": drawings}
    for name, (value, (low, high)) in {
        **{name: (value, LIMITS[name]) for name, value in whole.items()},
        "seed": (seed, (0, SEEDS - 1)),
    }.items():
        if not (low <= value <= high and value == int(value)):
            raise ValueError(f"{name}={value:g} must be a whole number in [{low:g}, {high:.10g}]")
    low, high = LIMITS["heavy"]
    if not low <= heavy <= high:
        raise ValueError(f"heavy={heavy:g} must lie in [{low:g}, {high:g}]")
    return {
        "support": int(support),
        "draws": int(draws),
        "heavy": float(heavy),
        "drawings": int(drawings),
        "seed": int(seed),
    }


def uniforms(seed: int, numbers: NDArray[np.int64] | list[int], draws: int) -> NDArray[np.float64]:
    """Pseudo-random numbers in [0, 1), one row for each drawing's number: ``(drawings, draws)``.

    A Weyl sequence through a bijective mixer of 32 bits, as in the browser, bit for bit.
    """
    first = np.asarray(numbers, np.uint32)[:, None] * np.uint32(STRIDE)
    places = np.add(first, np.arange(draws), dtype=np.uint32, casting="unsafe")
    start = _mix(np.array([(seed + _GOLDEN) % SEEDS], np.uint32))
    return np.asarray(_mix(start + places * np.uint32(_GOLDEN)) / SEEDS)


def _mix(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def drawn(
    support: int, draws: int, heavy: float, seed: int, numbers: NDArray[np.int64] | list[int]
) -> NDArray[np.int64]:
    """The values of some drawings, from 0 to ``support - 1``: ``(len(numbers), draws)``.

    With probability `heavy` a draw is the value 0; else all values are equally likely.
    """
    u = uniforms(seed, numbers, draws)
    place = np.floor((u - heavy) / (1 - heavy) * support)
    values = np.minimum(place, support - 1).astype(np.int64)
    return np.where(u < heavy, 0, values)


def colliding_pairs(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Pairs of equal values in each row."""
    ordered = np.sort(values, axis=1)
    pairs = np.zeros(len(values), np.int64)
    run = np.zeros(len(values), np.int64)  # values before this one that equal it
    for column in range(1, values.shape[1]):
        run = np.where(ordered[:, column] == ordered[:, column - 1], run + 1, 0)
        pairs += run
    return pairs


def counts(support: int, draws: int, heavy: float, drawings: int, seed: int) -> NDArray[np.int64]:
    """Colliding pairs of the drawings 0, ..., ``drawings - 1``."""
    blocks = np.array_split(np.arange(drawings), math.ceil(drawings / 250))
    return np.concatenate(
        [colliding_pairs(drawn(support, draws, heavy, seed, block)) for block in blocks]
    )


def moments(support: int, heavy: float) -> tuple[float, float]:
    """Sums of the squares and of the cubes of the law's probabilities."""
    light = (1 - heavy) / support
    atom = heavy + light
    return (
        atom**2 + (support - 1) * light**2,
        atom**3 + (support - 1) * light**3,
    )


def dispersion(support: int, draws: int, heavy: float) -> float:
    """Variance of the number of colliding pairs, over its mean."""
    squares, cubes = moments(support, heavy)
    more = max(cubes - squares**2, 0.0) if heavy else 0.0  # pairs that share a draw; rounding aside
    return 1 - squares + 2 * (draws - 2) * more / squares


def probability(support: int, draws: int, heavy: float) -> float:
    r"""Exact probability of at least one collision.

    None has the probability :math:`(1 + (s-1) h) (1-h)^{s-1} \prod_{i<s} (1 - i/n)`: either no
    draw is sent to the heavy value, or one is and the others miss it.
    """
    if draws > support:
        return 1.0
    none = np.log1p(-np.arange(1, draws) / support).sum()
    none += math.log1p((draws - 1) * heavy) + (draws - 1) * math.log1p(-heavy)
    return -math.expm1(none)


def interval(pairs: int, draws: int) -> tuple[float, float]:
    """Interval of level `LEVEL` for the effective support, as if pairs collided independently.

    It is the exact one for the mean of a Poisson law (Garwood, 1936), turned around.
    """
    tail = (1 - LEVEL) / 2
    most = float(special.gammainccinv(pairs + 1, tail))
    least = float(special.gammaincinv(pairs, tail)) if pairs else 0.0
    total = math.comb(draws, 2)
    return max(1.0, total / most), total / least if least else math.inf


def _plausible(found: NDArray[np.int64], mean: float) -> NDArray[np.bool_]:
    """Whether the interval of a count holds this mean."""
    tail = (1 - LEVEL) / 2
    many = np.where(found > 0, special.gammainc(np.maximum(found, 1), mean), 1.0)
    return (many >= tail) & (special.gammaincc(found + 1, mean) >= tail)


def evaluate(support: int, draws: int, heavy: float, drawings: int, seed: int) -> dict[str, float]:
    r"""What the test says in the last drawing, what is true, and what happened in all drawings.

    Returns
    -------
    dict
        `pairs`, colliding pairs of the last drawing; `estimate`, the effective support
        :math:`\binom{s}{2}` / pairs, and its interval from `low` to `high`;
        `effective` :math:`= 1 / \sum_i p_i^2`, the truth; `expected`, the mean number of colliding
        pairs, and `dispersion`, its variance over its mean; `probability` of at least one
        collision, exactly; over the drawings `mean`, the mean number of colliding pairs,
        `collided`, how many had one, and `covered`, how many intervals hold `effective`.
    """
    found = counts(support, draws, heavy, drawings, seed)
    squares, _ = moments(support, heavy)
    total = math.comb(draws, 2)
    expected = total * squares
    last = int(found[-1])
    low, high = interval(last, draws)
    return {
        "pairs": last,
        "estimate": total / last if last else math.inf,
        "low": low,
        "high": high,
        "effective": 1 / squares,
        "expected": expected,
        "dispersion": dispersion(support, draws, heavy),
        "probability": probability(support, draws, heavy),
        "mean": float(found.mean()),
        "collided": int((found > 0).sum()),
        "covered": int(_plausible(found, expected).sum()),
    }


def bins(expected: float, scatter: float, found: NDArray[np.int64]) -> NDArray[np.int64]:
    """Edges of the histogram: whole numbers, equally far apart, around all that was found.

    `scatter` is the variance of the number of colliding pairs over its mean.
    """
    spread = 4 * math.sqrt(expected * max(1.0, scatter))
    low = min(max(0, math.floor(expected - spread)), int(found.min()))
    high = max(math.ceil(expected + spread), int(found.max()), 3)
    width = next(
        step * 10**power
        for power in range(8)
        for step in (1, 2, 5)
        if (high // (step * 10**power)) - (low // (step * 10**power)) < BARS
    )
    return width * np.arange(low // width, high // width + 2)


def poisson(mean: float, edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """The Poisson law's share of each bin, from one edge to before the next."""
    below = np.where(edges > 0, special.gammaincc(np.maximum(edges, 1), mean), 0.0)
    return np.asarray(np.diff(below))


def grid(support: int, width: float, height: float, most: float) -> tuple[int, float]:
    """Columns of a grid with a square cell for each value, and the cells' size, at most `most`."""
    size = min(most, math.sqrt(width * height / support))
    columns = max(1, math.floor(width / size))
    while math.ceil(support / columns) * (width / columns) > height:
        columns += 1
    return columns, min(most, width / columns)


def describe(state: dict[str, Any], found: dict[str, float]) -> str:
    """What the still picture shows, in words."""
    heavy = state["heavy"]
    law = f"{state['support']} values" + (f", one with {heavy:g} of the mass more" if heavy else "")
    estimate = "infinite" if math.isinf(found["estimate"]) else f"{found['estimate']:.3g}"
    pairs = _plural(found["pairs"], "colliding pair")
    drawings = _plural(state["drawings"], "drawing")
    return (
        f"Drawing {state['drawings']}, {state['draws']} draws from {law}: dots in a grid that has "
        f"a cell for each value, with the values that came more than once marked; {pairs}, so the "
        f"estimated effective support is {estimate}, where {found['effective']:.4g} is true. "
        f"Beside it a "
        f"histogram of the colliding pairs of {drawings}, with the Poisson law of mean "
        f"{found['expected']:.3g}. A collision has probability {found['probability']:.3g}."
    )


def _plural(count: float, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def still_figure(support: int, draws: int, heavy: float, drawings: int, seed: int) -> Figure:
    """The explorable's two panels at one state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    cells, histogram = figure.subplots(1, 2)
    found = counts(support, draws, heavy, drawings, seed)
    _draw_cells(cells, support, drawn(support, draws, heavy, seed, [drawings - 1])[0])
    _draw_histogram(histogram, support, draws, heavy, found)
    titles = (
        f"drawing {drawings:,}: {_plural(draws, 'draw')}, {_plural(found[-1], 'colliding pair')}",
        f"colliding pairs in {_plural(drawings, 'drawing')}",
    )
    for axes, title in zip((cells, histogram), titles, strict=True):
        axes.set_title(title, loc="left", fontsize="medium", pad=22)
        axes.legend(
            frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2,
            columnspacing=1.0, handletextpad=0.4,
        )  # fmt: skip
    return figure


def _draw_cells(axes: Axes, support: int, values: NDArray[np.int64]) -> None:
    columns, size = grid(support, 3.1, 2.4, 0.3)
    rows = math.ceil(support / columns)
    every = np.arange(min(support, 4000))
    if support == len(every):
        axes.scatter(
            every % columns, every // columns, s=(40 * size) ** 2, marker="s", color="0.93", lw=0
        )
    seen, times = np.unique(values, return_counts=True)
    once, again = seen[times == 1], seen[times > 1]
    dot = max(6.0, (36 * size) ** 2)
    axes.scatter(once % columns, once // columns, s=dot, color=GENERATOR, lw=0, label="drawn once")
    axes.scatter(
        again % columns, again // columns, s=max(30.0, 1.6 * dot), color=_INK, edgecolor="white",
        linewidth=0.8, label="more than once", clip_on=False, zorder=3,
    )  # fmt: skip
    axes.set(xlim=(-0.5, columns - 0.5), ylim=(rows - 0.5, -0.5), aspect="equal")
    axes.set(xticks=[], yticks=[], xlabel=f"{support:,} values")
    axes.grid(False)


def _draw_histogram(
    axes: Axes, support: int, draws: int, heavy: float, found: NDArray[np.int64]
) -> None:
    expected = math.comb(draws, 2) * moments(support, heavy)[0]
    edges = bins(expected, dispersion(support, draws, heavy), found)
    shares = np.histogram(found, edges)[0] / len(found)
    middles = (edges[:-1] + edges[1:] - 1) / 2
    width = edges[1] - edges[0]
    axes.bar(middles, shares, 0.9 * width, color=GENERATOR, alpha=0.5, label="share of drawings")
    axes.plot(middles, poisson(expected, edges), "o-", color=_INK, ms=4, lw=1, label="Poisson law")
    axes.set(xlabel="colliding pairs", ylabel="share", ylim=(0, None))
    axes.set_xlim(edges[0] - 0.5, edges[-1] - 0.5)
