"""The numbers behind `sample_calculator`, and its still picture."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gan_course.widgets.gaussians import CRITIC, DATA

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LIMITS: dict[str, tuple[float, float]] = {
    "m": (1, 1e6),
    "lipschitz": (0.1, 1e4),
    "epsilon": (0.01, 1.0),
    "failure": (1e-50, 0.5),
}
TOP = 1e13  # of the pictures: more than the largest number of samples

_MANTISSAS = (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
_TEX = {"m": "$m$", "lipschitz": "$L$", "epsilon": r"$\epsilon$", "failure": r"$\zeta$"}


def ticks(name: str) -> list[float]:
    """The values that the slider of an argument has, ten a decade."""
    low, high = LIMITS[name]
    decades = range(math.floor(math.log10(low) + 0.5), math.ceil(math.log10(high)) + 1)
    values = [float(f"{mantissa}e{power}") for power in decades for mantissa in _MANTISSAS]
    if name == "m":
        values = [value for value in values if value == round(value)]
    if name == "failure":  # ten a decade only where it is not small
        values = [value for value in values if value >= 0.01 or f"{value:e}".startswith("1.0")]
    return [value for value in values if low <= value <= high]


def checked(*, m: float, lipschitz: float, epsilon: float, failure: float) -> dict[str, Any]:
    """The explorable's state.

    Raises
    ------
    ValueError
        Where a value is not allowed; it names the argument, the value and what is allowed.
    """
    given = {"m": m, "lipschitz": lipschitz, "epsilon": epsilon, "failure": failure}
    for name, value in given.items():
        low, high = LIMITS[name]
        if not low <= value <= high:
            raise ValueError(f"{name}={value:g} must lie in [{low:g}, {high:g}]")
    if m != int(m):
        raise ValueError(f"m={m:g} must be an integer")
    return {name: int(value) if name == "m" else float(value) for name, value in given.items()}


def evaluate(m: int, lipschitz: float, epsilon: float, failure: float) -> dict[str, float]:
    """How many samples the theorem asks for, and what of them is due to what.

    Returns
    -------
    dict
        `samples`, as `gan_course.ipm.samples_needed` has it; `alone`, what one critic by itself
        would need; `radius` of the net, epsilon / (4 L); `log_net`, the natural logarithm of the
        bound on its size; `share`, the part of the samples that is due to the net.
    """
    from gan_course.ipm import covering_number, samples_needed  # not needed by the other widgets

    radius = epsilon / (4 * lipschitz)
    log_net, log_failure = covering_number(m, radius), math.log(2 / failure)
    return {
        "samples": samples_needed(m, lipschitz, epsilon, failure),
        "alone": math.ceil(8 / epsilon**2 * log_failure),
        "radius": radius,
        "log_net": log_net,
        "share": log_net / (log_net + log_failure),
    }


def describe(state: dict[str, Any], found: dict[str, float]) -> str:
    """What the still picture shows, in words."""
    return (
        "Number of samples that the theorem asks for, on logarithmic axes, against the number of "
        "parameters m, the Lipschitz constant L, the accuracy epsilon and the probability zeta of "
        f"a bad sample, each with the others held. At m = {state['m']}, L = "
        f"{state['lipschitz']:g}, epsilon = {state['epsilon']:g} and zeta = "
        f"{state['failure']:.3g} it is N = {found['samples']:,}, of which the net takes "
        f"{found['share']:.1%}."
    )


def still_figure(m: int, lipschitz: float, epsilon: float, failure: float) -> Figure:
    """The explorable's four panels at one state."""
    from matplotlib.figure import Figure

    state: dict[str, Any] = {
        "m": m, "lipschitz": lipschitz, "epsilon": epsilon, "failure": failure,
    }  # fmt: skip
    figure = Figure(figsize=(7.2, 2.9), layout="constrained")
    figure.suptitle(f"$N$ = {evaluate(**state)['samples']:,} samples", fontsize="medium")
    for axes, name in zip(figure.subplots(1, 4, sharey=True), state, strict=True):
        _draw_curve(axes, name, state)
    figure.axes[0].set_ylabel("samples $N$")
    return figure


def _plain(value: float) -> str:
    """A number in four digits, or as mantissa and power of ten where it is small."""
    if value >= 1e-4:
        return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
    mantissa, power = f"{value:.1e}".split("e")
    factor = "" if mantissa == "1.0" else rf"{float(mantissa):g} \times "
    return f"${factor}10^{{{int(power)}}}$"


def _draw_curve(axes: Axes, name: str, state: dict[str, Any]) -> None:
    values = [int(value) if name == "m" else value for value in ticks(name)]
    axes.loglog(values, [evaluate(**state | {name: v})["samples"] for v in values], color=CRITIC)
    axes.plot(state[name], evaluate(**state)["samples"], "o", color=DATA, ms=8, mec="white")
    axes.set(ylim=(1, TOP), xlabel=f"{_TEX[name]} = {_plain(state[name])}")
    if name == "failure":
        axes.set_xticks([1e-50, 1e-25, 1])
