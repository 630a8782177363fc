"""The numbers behind `delta_features`, and its still picture."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq

from gan_course import features
from gan_course.runtime import one_thread
from gan_course.widgets.birthdays import SEEDS, uniforms
from gan_course.widgets.gaussians import GENERATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIMITS: dict[str, tuple[float, float]] = {
    "width": (1, 60),
    "scale": (0.5, 10.0),
    "ridge": (1e-8, 1e-2),
}
SPACING, REACH = 0.03, 6.0  # of the trapezoidal rule for Z
BUMPS = (0.03, 10.0)  # standard deviations of the bump
VIEW = 3.0  # the picture goes from -VIEW to VIEW
_INK = "0.15"


def checked(*, width: int, scale: float, ridge: float, constant: bool, seed: int) -> dict[str, Any]:
    """The explorable's state, as plain values.

    Raises
    ------
    ValueError
        Where a value is not allowed; it names the argument, the value and what is allowed.
    """
    for name, whole, (low, high) in (
        ("width", width, LIMITS["width"]),
        ("seed", seed, (0, SEEDS - 1)),
    ):
        if not (low <= whole <= high and whole == int(whole)):
            raise ValueError(f"{name}={whole:g} must be a whole number in [{low:g}, {high:.10g}]")
    for name, value in (("scale", scale), ("ridge", ridge)):
        low, high = LIMITS[name]
        if not low <= value <= high:
            raise ValueError(f"{name}={value:g} must lie in [{low:g}, {high:g}]")
    if constant not in (True, False):
        raise ValueError(f"constant={constant!r} must be True or False")
    return {
        "width": int(width),
        "scale": float(scale),
        "ridge": float(ridge),
        "constant": bool(constant),
        "seed": int(seed),
    }


@functools.cache
def latent() -> features.Measure:
    """The law of ``Z``: standard normal, on a grid."""
    return features.trapezoid(1, SPACING, REACH)


def normals(seed: int) -> NDArray[np.float64]:
    """The two numbers of each feature, before they are scaled: ``(60, 2)``.

    By Box and Muller from the same uniform numbers as in the browser.
    """
    u = uniforms(seed, [0], 2 * int(LIMITS["width"][1])).reshape(-1, 2)
    length, angle = np.sqrt(-2 * np.log1p(-u[:, 0])), 2 * np.pi * u[:, 1]
    return np.stack([length * np.cos(angle), length * np.sin(angle)], 1)


def generator(
    width: int, scale: float, constant: bool = True, seed: int = 0
) -> features.GeneratorFeatures:
    r"""The first features :math:`\tanh(w_i z + b_i)` of a draw, with :math:`k = n = 1`.

    Weights and biases have the law ``scale * N(0, 1)``; with `constant` the first feature is 1.
    """
    numbers = scale * torch.from_numpy(normals(seed)[:width])
    drawn = features.GeneratorFeatures(numbers[:, :1, None], numbers[:, 1:])
    return drawn.with_constants() if constant else drawn


def fitted(width: int, scale: float, ridge: float, constant: bool, seed: int) -> features.Delta:
    """The best approximation of the delta by these features."""
    with one_thread():
        return features.approximate_delta(
            generator(width, scale, constant, seed), latent(), ridge=ridge
        )


def bump(z: NDArray[np.float64], s: float) -> NDArray[np.float64]:
    """Density of ``N(0, s^2)``."""
    return np.asarray(np.exp(-0.5 * (z / s) ** 2) / (s * math.sqrt(2 * math.pi)))


def bump_error(s: float) -> float:
    """What a :func:`bump` in the place of the delta is wrong by, over the same test functions."""
    z, masses = latent().points[:, 0].numpy(), latent().weights.numpy()
    gap = masses * bump(z, s)
    gap[len(z) // 2] -= 1 / math.sqrt(2 * math.pi)
    return math.sqrt(gap @ _kernel() @ gap / (1 + 3))


@functools.cache
def _kernel() -> NDArray[np.float64]:
    """Matern's, of bandwidth 1, on the grid."""
    z = latent().points[:, 0].numpy()
    u = math.sqrt(3) * np.abs(z[:, None] - z)
    return np.asarray((1 + u) * np.exp(-u))


def as_good(error: float) -> float:
    """Standard deviation of the bump with this error, or the nearest one of `BUMPS`."""
    low, high = BUMPS
    if error <= bump_error(low):
        return low
    if error >= bump_error(high):
        return high

    def excess(log: float) -> float:
        return bump_error(math.exp(log)) - error

    return math.exp(brentq(excess, math.log(low), math.log(high), xtol=1e-13))


def evaluate(width: int, scale: float, ridge: float, constant: bool, seed: int) -> dict[str, float]:
    r"""How well these features stand for a delta, and with how large weights.

    Returns
    -------
    dict
        `error` and `size` :math:`= \sum_i |u_i|` as in `features.approximate_delta`;
        `largest`, the largest :math:`|u_i|`; `bump`, the standard deviation of the Gaussian
        bump that is wrong by as much, within `BUMPS`; `mean` :math:`= E g_u(Z)`, which is
        :math:`q_Z(0)` for the delta.
    """
    found = fitted(width, scale, ridge, constant, seed)
    g = generator(width, scale, constant, seed).generate(found.weights, latent().points)[:, 0]
    return {
        "error": found.error,
        "size": found.size,
        "largest": float(found.weights.abs().max()),
        "bump": as_good(found.error),
        "mean": float(latent().weights @ g),
    }


def describe(state: dict[str, Any], found: dict[str, float]) -> str:
    """What the still picture shows, in words."""
    width = state["width"]
    many = f"{width} random feature{'' if width == 1 else 's'}"
    first = ", the first of them constant" if state["constant"] else ""
    low, high = BUMPS
    bound = {low: "at most ", high: "at least "}.get(found["bump"], "")
    return (
        f"A sum of {many}{first}, with weights of scale {state['scale']:g} inside, that stands for "
        f"a delta at 0, beside the Gaussian bump that is wrong by as much, of standard deviation "
        f"{bound}{found['bump']:.3g}. Below, against the number of features on logarithmic axes, "
        f"the error, which is {found['error']:.3g} at last, and the sum of the weights' sizes, "
        f"{found['size']:.3g} at last."
    )


def still_figure(width: int, scale: float, ridge: float, constant: bool, seed: int) -> Figure:
    """The explorable's three panels at one state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.15, 1), squeeze=False).flat
    fits = [fitted(n, scale, ridge, constant, seed) for n in range(1, width + 1)]
    drawn = generator(width, scale, constant, seed)
    _draw_function(top.subplots(), drawn, fits[-1])
    widths = range(1, width + 1)
    errors, sizes = bottom.subplots(1, 2)
    for axes, values, name in (
        (errors, [fit.error for fit in fits], "error"),
        (sizes, [fit.size for fit in fits], "$\\sum |u_i|$"),
    ):
        axes.plot(widths, values, "-", color=GENERATOR)
        axes.plot(width, values[-1], "o", color=GENERATOR)
        axes.set(xscale="log", yscale="log", xlabel="features $N_g$", ylabel=name)
        axes.set_xticks([1, 2, 5, 10, 20, 60], ["1", "2", "5", "10", "20", "60"])
        axes.minorticks_off()
        axes.set_xlim(0.9, 68)
    errors.set_ylim(min(1e-3, 0.8 * fits[-1].error), 0.25)
    sizes.set_ylim(min(0.1, 0.8 * min(fit.size for fit in fits)), None)
    sizes.set_ylim(top=max(1e3, sizes.get_ylim()[1]))
    return figure


def _draw_function(axes: Axes, drawn: features.GeneratorFeatures, fit: features.Delta) -> None:
    z = np.linspace(-VIEW, VIEW, 601)
    g = drawn.generate(fit.weights, torch.from_numpy(z)[:, None])[:, 0].numpy()
    s = as_good(fit.error)
    low, high = limits(g[np.abs(z) <= 2], 1 / (s * math.sqrt(2 * math.pi)))
    axes.plot(z, g, color=GENERATOR, label="$\\sum u_i \\phi_i$")
    axes.plot(z, bump(z, s), "--", color=_INK, lw=1.5, label="bump of the same error")
    zeros = (-drawn.biases[:, 0] / drawn.weights[:, 0, 0]).numpy()
    axes.plot(
        zeros, np.full(len(zeros), low), "|", color=GENERATOR, ms=9, mew=1.5,
        label="zero of a feature",
    )  # fmt: skip
    axes.set(xlim=(-VIEW, VIEW), ylim=(low, high), xlabel="$z$")
    axes.legend(frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2)


def limits(g: NDArray[np.float64], peak: float) -> tuple[float, float]:
    """Ends of the vertical axis: a power of two, and below 0 a power of two times that."""
    top = 2.0 ** max(1, math.ceil(math.log2(1.05 * max(float(g.max()), peak))))
    need = max(-float(g.min()) / top, 0.25)
    return -top * 2.0 ** math.ceil(math.log2(need)), top
