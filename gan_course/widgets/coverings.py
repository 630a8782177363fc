"""The numbers behind `epsilon_net`, and its still picture."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gan_course.widgets.gaussians import CRITIC, GENERATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RADIUS = (0.2, 1.0)
MOST = 200  # points
START = ((-0.4, 0.35), (0.45, 0.3), (0.0, -0.5))

_SAME = 1e-9  # lengths closer than this are one: rounding makes them differ by less
_TURN = 2 * math.pi

Array = NDArray[np.float64]


def inside(points: ArrayLike | None) -> list[list[float]]:
    """Points of the unit disk, as plain numbers.

    Raises
    ------
    ValueError
        Where they are not pairs of numbers, not all in the disk, or too many.
    """
    values = np.asarray(START if points is None else points, dtype=np.float64)
    if values.size == 0:
        return []
    if values.ndim != 2 or values.shape[1] != 2:
        raise ValueError(f"points has shape {values.shape}; allowed are pairs, (n, 2)")
    if len(values) > MOST:
        raise ValueError(f"points has {len(values)} points; allowed are at most {MOST}")
    if not (np.hypot(*values.T) <= 1 + _SAME).all():
        raise ValueError(f"points={values.tolist()} must all lie in the unit disk")
    return [[float(x), float(y)] for x, y in values]


def _candidates(points: Array) -> Array:
    """Where the distance to the nearest point can be largest in the disk: ``(count, 2)``.

    There three points are nearest, or two on the disk's edge, or it is the place on the edge that
    is opposite to one. So it is an end of the stretch on which two points are the nearest, which
    lies on the line of places as far from the one as from the other.
    """
    size = np.hypot(*points.T)
    found = [np.where(size[:, None] > 0, -points / np.where(size > 0, size, 1)[:, None], (1, 0))]
    for i, p in enumerate(points):
        gap = points[i + 1 :] - p
        length = np.hypot(*gap.T)
        gap, length = gap[length > _SAME], length[length > _SAME]
        middle = p + gap / 2
        along = np.stack([-gap[:, 1], gap[:, 0]], 1) / length[:, None]
        height = (middle * along).sum(1)
        half = np.sqrt(np.maximum(height**2 + 1 - (middle**2).sum(1), 0))
        # A place x is no nearer to k than to p where x . away[k] <= bound[k].
        away, bound = points - p, ((points**2).sum(1) - (p**2).sum()) / 2
        slack, slope = bound - middle @ away.T, along @ away.T
        with np.errstate(divide="ignore", invalid="ignore"):
            end = slack / slope
        high = np.where(slope > 1e-12, end, np.inf).min(1, initial=np.inf)
        low = np.where(slope < -1e-12, end, -np.inf).max(1, initial=-np.inf)
        high, low = np.minimum(high, half - height), np.maximum(low, -half - height)
        ends = middle[:, None] + np.stack([low, high], 1)[..., None] * along[:, None]
        found.append(ends[low <= high + _SAME].reshape(-1, 2))
    return np.concatenate(found)


def farthest(points: ArrayLike) -> tuple[list[float], float]:
    """The place of the unit disk farthest from the points, and its distance from the nearest.

    Of equally far places it is the first that is found; without points it is the center.
    """
    centers = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    if len(centers) == 0:
        return [0.0, 0.0], math.inf
    places = _candidates(centers)
    distance = np.sqrt(((places[:, None] - centers) ** 2).sum(-1).min(1))
    index = int(np.flatnonzero(distance > distance.max() - _SAME)[0])
    return [float(x) for x in places[index]], float(distance[index])


def greedy(radius: float, points: ArrayLike) -> list[list[float]]:
    """The points and, one by one, the farthest place from them, until they are a net."""
    net = np.asarray(points, dtype=np.float64).reshape(-1, 2).tolist()
    while True:
        place, distance = farthest(net)
        if distance <= radius + _SAME:
            return net
        net.append(place)


def _merged(arcs: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Arcs given by middle and half width, as disjoint intervals of [0, 2 pi] in order."""
    cut = []
    for middle, half in arcs:
        if half >= math.pi:
            return [(0.0, _TURN)]
        start = (middle - half) % _TURN
        end = start + 2 * half
        cut += [(start, end)] if end <= _TURN else [(start, _TURN), (0.0, end - _TURN)]
    out: list[tuple[float, float]] = []
    for start, end in sorted(cut):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(out[-1][1], end))
        else:
            out.append((start, end))
    return out


def _half_width(cosine: float) -> float:
    return math.acos(min(1.0, max(-1.0, cosine)))


def _covered_edge(x: float, y: float, radius: float) -> tuple[float, float]:
    """The arc of the unit circle within `radius` of a point of the disk."""
    size = math.hypot(x, y)
    if size == 0:
        return 0.0, math.pi if radius >= 1 else 0.0
    return math.atan2(y, x), _half_width((1 + size**2 - radius**2) / (2 * size))


def _outside(x: float, y: float, radius: float) -> tuple[float, float]:
    """The arc of the circle around a point of the disk that is not in the disk."""
    size = math.hypot(x, y)
    if size == 0:
        return 0.0, math.pi if radius >= 1 else 0.0
    return math.atan2(y, x), _half_width((1 - size**2 - radius**2) / (2 * radius * size))


def share(radius: float, points: Sequence[Sequence[float]]) -> float:
    """The part of the disk's area that the disks around the points cover, by Green's theorem."""
    centers: list[tuple[float, float]] = []
    for x, y in points:
        if all(math.hypot(x - u, y - v) > _SAME for u, v in centers):
            centers.append((x, y))
    area = sum(b - a for a, b in _merged(_covered_edge(x, y, radius) for x, y in centers)) / 2
    for x, y in centers:
        hidden = [_outside(x, y, radius)]
        for u, v in centers:
            apart = math.hypot(u - x, v - y)
            if 0 < apart < 2 * radius:
                hidden.append((math.atan2(v - y, u - x), _half_width(apart / (2 * radius))))
        edges = [0.0, *(edge for arc in _merged(hidden) for edge in arc), _TURN]
        for a, b in zip(edges[::2], edges[1::2], strict=True):
            turned = x * (math.sin(b) - math.sin(a)) - y * (math.cos(b) - math.cos(a))
            area += radius * (radius * (b - a) + turned) / 2
    return area / math.pi


def evaluate(radius: float, points: Sequence[Sequence[float]]) -> dict[str, Any]:
    """How well disks of this radius around the points cover the unit disk.

    Returns
    -------
    dict
        `count`, of the points; `share`, the part of the area covered; `farthest`, the largest
        distance of a place of the disk from the nearest point; `net`, whether it is at most
        `radius`; `separated`, whether the points are all farther than `radius` apart; `lower` =
        (1 / radius)^2 and `upper` = (1 + 2 / radius)^2, between which the size of the smallest
        net lies.
    """
    distance = farthest(points)[1]
    net = distance <= radius + _SAME
    centers = np.asarray(points, dtype=np.float64).reshape(-1, 2)
    gaps = np.sqrt(((centers[:, None] - centers) ** 2).sum(-1))
    apart = gaps[~np.eye(len(centers), dtype=bool)]
    return {
        "count": len(points),
        "share": 1.0 if net else min(share(radius, points), 1.0),
        "farthest": distance,
        "net": net,
        "separated": bool((apart > radius).all()),
        "lower": radius**-2,
        "upper": (1 + 2 / radius) ** 2,
    }


def describe(radius: float, found: dict[str, Any]) -> str:
    """What the still picture shows, in words."""
    count = found["count"]
    least, most = _whole_bounds(found)
    bounds = f"A smallest net of radius {radius:g} has at least {least} and at most {most} points"
    if count == 0:
        return f"Unit disk of parameters, without any point. {bounds}."
    if found["net"]:
        verdict = "They are a net: no place is farther from all of them."
    else:
        verdict = f"A cross marks the farthest place, {found['farthest']:.2f} from the nearest."
    return (
        f"Unit disk of parameters with {count} point{'s' * (count > 1)}, and disks of radius "
        f"{radius:g} around them, which cover {_percent(found['share'])} % of the area. "
        f"{verdict} {bounds}."
    )


def still_figure(radius: float, points: Sequence[Sequence[float]]) -> Figure:
    """The explorable's disk at one state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.6, 5.2), layout="constrained")
    axes = figure.subplots()
    _draw_disc(axes, radius, points)
    if points:
        axes.legend(
            frameon=False, ncols=3, loc="lower center", bbox_to_anchor=(0.5, 1), borderaxespad=0.2,
            columnspacing=1.0, handletextpad=0.4, handlelength=1.2,
        )  # fmt: skip
    found = evaluate(radius, points)
    count, (least, most) = found["count"], _whole_bounds(found)
    axes.set_title(
        f"{count} point{'' if count == 1 else 's'}, {_percent(found['share'])} % of the disk "
        f"covered\na smallest net of radius {radius:g} has {least} to {most} points",
        fontsize="medium",
        pad=24,
    )
    return figure


def _whole_bounds(found: dict[str, Any]) -> tuple[int, int]:
    """Between which whole numbers the size of a smallest net lies."""
    return math.ceil(found["lower"] - _SAME), math.floor(found["upper"] + _SAME)


def _percent(part: float) -> str:
    """Rounded so that what is not covered does not look covered."""
    return f"{math.floor(1000 * part + _SAME) / 10:g}"


def _draw_disc(axes: Axes, radius: float, points: Sequence[Sequence[float]]) -> None:
    from matplotlib.patches import Circle

    edge = Circle((0, 0), 1, fill=False, ec="0.2", lw=1.5, zorder=3)
    axes.add_patch(edge)
    disc = rf"disk of radius $\delta$ = {radius:g}"
    for i, (x, y) in enumerate(points):
        label = "_" if i else disc  # one entry in the legend for all
        for style in (
            {"fc": CRITIC, "alpha": 0.2, "lw": 0, "label": label},
            {"fill": False, "ec": CRITIC},
        ):
            patch = Circle((x, y), radius, **style)
            axes.add_patch(patch)
            patch.set_clip_path(edge)
    if points:
        axes.plot(
            *zip(*points, strict=True), "o", color=CRITIC, ms=7, mec="white", mew=1.2, zorder=4,
            label="point",
        )  # fmt: skip
    place, distance = farthest(points)
    if radius + _SAME < distance < math.inf:
        axes.plot(
            *place, "x", color=GENERATOR, ms=9, mew=2.5, zorder=5, clip_on=False,
            label="farthest place",
        )  # fmt: skip
    axes.set(xlim=(-1.04, 1.04), ylim=(-1.04, 1.04), aspect="equal")
    axes.set(xticks=(-1, 0, 1), yticks=(-1, 0, 1))
    axes.set(xlabel=r"parameter $\phi_1$", ylabel=r"parameter $\phi_2$")
