"""The numbers behind `phase_portrait`, and its still picture."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gan_course import dynamics
from gan_course.losses import LOSSES
from gan_course.regularizers import R1, Consensus, GradientNorm, Regularizer
from gan_course.widgets.gaussians import ACCENT, CRITIC, DATA, GENERATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

SYSTEMS = ("dirac", "uniform")
NAMES = {"dirac": ("φ", "θ"), "uniform": ("w", "a")}
BOXES = {"dirac": ((-2.5, 2.5), (-2.5, 2.5)), "uniform": ((-1.2, 1.2), (0.0, 2.2))}
EQUILIBRIA = {"dirac": (0.0, 0.0), "uniform": (0.0, 1.0)}
STARTS = {"dirac": (1.0, 1.0), "uniform": (0.5, 0.5)}
LOSS_NAMES = ("minimax", "non-saturating", "Wasserstein")
REGULARIZERS = ("none", "R1", "consensus", "gradient norm", "instance noise")
MODES = ("flow", "simultaneous", "alternating")
TASKS = (None, "critical strength", "unstable step")
LIMITS = {"strength": (0.0, 3.0), "step": (0.05, 5.0)}
VERDICTS = {"stable": "stable", "unstable": "unstable", "undecided": "on the border"}
TIME, STEPS = 40.0, 200  # of the flow, of a map

_SAME = 1e-13  # rounding makes the square of the eigenvalues' difference less than this
_TITLES = {"dirac": "Dirac-GAN", "uniform": "uniform system"}
_TEX = {"dirac": (r"\phi", r"\theta"), "uniform": ("w", "a")}
_PENALTIES: dict[str, type[R1] | type[Consensus] | type[GradientNorm]] = {
    "R1": R1,
    "consensus": Consensus,
    "gradient norm": GradientNorm,
}


def checked(
    *,
    system: str,
    loss: str,
    regularizer: str,
    strength: float,
    mode: str,
    step: float,
    start: Sequence[float] | None,
    task: str | None,
) -> dict[str, Any]:
    """The explorable's state, as plain values.

    Raises
    ------
    ValueError
        Where a value is not allowed; it names the argument, the value and what is allowed.
    """
    choices: dict[str, tuple[str | None, Sequence[str | None]]] = {
        "system": (system, SYSTEMS),
        "loss": (loss, LOSS_NAMES),
        "mode": (mode, MODES),
        "task": (task, TASKS),
    }
    for name, (value, allowed) in choices.items():
        if value not in allowed:
            raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
    fitting(system, regularizer)
    for name, number in (("strength", strength), ("step", step)):
        low, high = LIMITS[name]
        if not low <= number <= high:
            raise ValueError(f"{name}={number:g} must lie in [{low:g}, {high:g}]")
    return {
        "system": system,
        "loss": loss,
        "regularizer": regularizer,
        "strength": float(strength),
        "mode": mode,
        "step": float(step),
        "start": point(system, STARTS[system] if start is None else start),
        "task": task,
        "touched": False,
    }


def fitting(system: str, regularizer: str) -> str:
    """The regularizer, if this system takes it."""
    allowed = REGULARIZERS if system == "dirac" else REGULARIZERS[:-1]
    if regularizer not in allowed:
        raise ValueError(
            f"regularizer={regularizer!r} must be one of {', '.join(map(repr, allowed))}, "
            f"for system={system!r}"
        )
    return regularizer


def point(system: str, start: Sequence[float]) -> list[float]:
    """A start inside the phase plane."""
    (x0, x1), (y0, y1) = BOXES[system]
    values = np.asarray(start, dtype=np.float64)
    inside = values.shape == (2,) and x0 <= values[0] <= x1 and y0 <= values[1] <= y1
    if not inside:
        raise ValueError(
            f"start={start} must be two numbers in [{x0:g}, {x1:g}] x [{y0:g}, {y1:g}], "
            f"for system={system!r}"
        )
    return list(values.tolist())


def game(system: str, loss: str, regularizer: str, strength: float) -> dynamics.System:
    """The system of `gan_course.dynamics` with a regularizer; a strength of 0 leaves it out."""
    penalties: tuple[Regularizer, ...] = ()
    if strength > 0 and regularizer in _PENALTIES:
        penalties = (_PENALTIES[regularizer](strength),)
    if system == "uniform":
        return dynamics.uniform(LOSSES[loss], penalties)
    noise = strength if regularizer == "instance noise" else 0.0
    return dynamics.dirac(LOSSES[loss], penalties, noise=noise)


def moves(mode: str, made: dynamics.System, step: float) -> dynamics.Field:
    """The field, or the map of a step."""
    if mode == "flow":
        return made.field
    return {"simultaneous": dynamics.simultaneous, "alternating": dynamics.alternating}[mode](
        made, step
    )


def evaluate(
    system: str, loss: str, regularizer: str, strength: float, mode: str, step: float
) -> dict[str, Any]:
    """Eigenvalues at the equilibrium, and what they say of it.

    Returns
    -------
    dict
        `re1`, `im1`, `re2`, `im2`, the eigenvalues of the Jacobian of the flow's field or of the
        map, the largest real part first; `stability`, "stable", "unstable" or "undecided".
    """
    at = torch.tensor(EQUILIBRIA[system], dtype=torch.float64)
    made = game(system, loss, regularizer, strength)
    values = _eigenvalues(dynamics.jacobian(moves(mode, made, step), at).numpy())
    judge = dynamics.flow_stability if mode == "flow" else dynamics.map_stability
    return {
        "re1": values[0].real,
        "im1": values[0].imag,
        "re2": values[1].real,
        "im2": values[1].imag,
        "stability": judge(values),
    }


def _eigenvalues(matrix: NDArray[np.float64]) -> tuple[complex, complex]:
    """Of two rows and columns; where they meet but for rounding, they are equal and real."""
    (a, b), (c, d) = matrix.tolist()
    half, square = (a + d) / 2, ((a - d) / 2) ** 2 + b * c
    root = math.sqrt(abs(square)) if abs(square) > _SAME * np.square(matrix).sum() else 0.0
    if square >= 0 or root == 0:
        return complex(half + root), complex(half - root)
    return complex(half, root), complex(half, -root)


def describe(state: dict[str, Any], found: dict[str, Any]) -> str:
    """What the still picture shows, in words."""
    critic, generator = NAMES[state["system"]]
    what = {"flow": "the flow"}.get(state["mode"], f"{state['mode']} steps of {state['step']:g}")
    if state["regularizer"] != "none":
        what += f" with {state['regularizer']} of strength {state['strength']:g}"
    first, second = (f"{found[f're{i}']:.3g} {found[f'im{i}']:+.3g} i" for i in (1, 2))
    return (
        f"Phase plane of the {_TITLES[state['system']]}, critic's {critic} against generator's "
        f"{generator}, with arrows along the field of the {state['loss']} loss and {what} from "
        f"({state['start'][0]:g}, {state['start'][1]:g}). Beside it the complex plane with the "
        f"eigenvalues at the equilibrium, {first} and {second}: {VERDICTS[found['stability']]}."
    )


def trajectory(
    system: str,
    loss: str,
    regularizer: str,
    strength: float,
    mode: str,
    step: float,
    start: Sequence[float],
) -> NDArray[np.float64]:
    """The flow to `TIME`, to the eye's precision, or `STEPS` steps of a map: ``(points, 2)``."""
    made = game(system, loss, regularizer, strength)
    if mode == "flow":
        times = np.linspace(0, TIME, 801)
        return dynamics.flow(made.field, start, times, rtol=1e-5, atol=1e-7)
    return dynamics.orbit(moves(mode, made, step), start, STEPS)


def still_figure(
    *,
    system: str,
    loss: str,
    regularizer: str,
    strength: float,
    mode: str,
    step: float,
    start: Sequence[float],
) -> Figure:
    """The explorable's two planes at one state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.9), layout="constrained")
    phase, plane = figure.subplots(1, 2, width_ratios=(1.3, 1))
    _draw_field(phase, system, game(system, loss, regularizer, strength))
    path = trajectory(system, loss, regularizer, strength, mode, step, start)
    with np.errstate(invalid="ignore"):
        path = path[(np.abs(path) < 100).all(1)]
    style = {"lw": 2} if mode == "flow" else {"lw": 0.7, "marker": ".", "ms": 4}
    phase.plot(*path.T, color=DATA, **style)
    phase.plot(*start, "o", color=DATA, ms=9, mec="white", mew=1.5, label="start")
    phase.plot(*path[-1], "o", color=DATA, ms=7, mfc="white", mew=2, label="end")
    phase.plot(*EQUILIBRIA[system], "x", color="0.1", ms=8, mew=2, label="equilibrium")
    phase.set(xlim=BOXES[system][0], ylim=BOXES[system][1], box_aspect=1)
    phase.set(xlabel=f"critic ${_TEX[system][0]}$", ylabel=f"generator ${_TEX[system][1]}$")
    phase.legend(
        frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2,
        columnspacing=1.0, handletextpad=0.2,
    )  # fmt: skip
    _draw_plane(plane, evaluate(system, loss, regularizer, strength, mode, step), mode)
    return figure


def _draw_field(axes: Axes, system: str, made: dynamics.System) -> None:
    (x0, x1), (y0, y1) = BOXES[system]
    columns = x0 + (x1 - x0) * (np.arange(13) + 0.5) / 13
    rows = y0 + (y1 - y0) * (np.arange(13) + 0.5) / 13
    points = np.stack(np.meshgrid(columns, rows), -1).reshape(-1, 2)
    field = torch.func.vmap(made.field)(torch.from_numpy(points)).detach().numpy()
    along = field / [x1 - x0, y1 - y0]
    size = np.hypot(*along.T)
    length = 0.85 / 13 / np.maximum(size + 0.6 * np.median(size), 1e-12)
    u, v = (field * length[:, None]).T
    axes.quiver(
        *points.T, u, v, angles="xy", scale_units="xy", scale=1, pivot="mid", color="0.72",
        width=0.004, headwidth=4, headlength=4, headaxislength=3.6,
    )  # fmt: skip


def _draw_plane(axes: Axes, found: dict[str, Any], mode: str) -> None:
    values = np.array([[found[f"{part}{i}"] for part in ("re", "im")] for i in (1, 2)])
    reach = 1.25
    while reach < 1.08 * np.abs(values).max():
        reach *= 2
    if mode == "flow":
        axes.axvspan(-reach, 0, color=CRITIC, alpha=0.12, lw=0)
        axes.axvline(0, color=CRITIC, lw=1.5)
        excess = values[:, 0]
    else:
        turn = np.linspace(0, 2 * np.pi, 361)
        axes.fill(np.cos(turn), np.sin(turn), color=CRITIC, alpha=0.12, lw=0)
        axes.plot(np.cos(turn), np.sin(turn), color=CRITIC, lw=1.5)
        excess = np.hypot(*values.T) - 1
    axes.axhline(0, color="0.8", lw=0.8, zorder=0)
    axes.axvline(0, color="0.8", lw=0.8, zorder=0)
    colors = [ACCENT if abs(e) <= 1e-7 else CRITIC if e < 0 else GENERATOR for e in excess]
    axes.scatter(
        values[:, 0], values[:, 1], s=70, color=colors, edgecolor="white", linewidth=1.5, zorder=3
    )
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    axes.set(xlabel="real part", ylabel="imaginary part")
    axes.set_title(VERDICTS[found["stability"]], fontsize="medium")
