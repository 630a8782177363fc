"""The numbers behind `two_gaussians`, and its still picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

DATA, GENERATOR, CRITIC, ACCENT = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
_ABOVE: dict[str, Any] = {
    "frameon": False,
    "ncols": 3,
    "loc": "lower left",
    "bbox_to_anchor": (0, 1),
    "borderaxespad": 0.2,
}
LIMITS = {"mean": (-8.0, 8.0), "mu": (-8.0, 8.0), "s": (0.25, 3.0)}


def _log_density(x: NDArray[Any], mean: float, s: float) -> NDArray[Any]:
    return np.asarray(-0.5 * ((x - mean) / s) ** 2 - 0.5 * np.log(2 * np.pi) - np.log(s))


def evaluate(mean: float, mu: float, s: float) -> dict[str, float]:
    r"""Divergences, generator losses at :math:`D^* = p/(p+q)`, and gradients with it frozen.

    Data :math:`p = N(\mathtt{mean}, 1)`, generator :math:`q = N(\mu, s^2)`. All logarithms are
    natural, and of the densities themselves, so that nothing underflows where the two are far
    apart. Trapezoids, whose error falls exponentially with the grid for such integrands.

    Returns
    -------
    dict
        `js` = JS(p, q); `kl` = KL(q || p);
        `loss_minimax` = E_q log(1 - D*); `loss_nonsaturating` = -E_q log D*;
        `gradient_minimax`, `gradient_nonsaturating`: derivatives of these losses by `mu`,
        through the samples x = mu + s e only.
    """
    lo, hi = min(mean - 12, mu - 12 * s), max(mean + 12, mu + 12 * s)
    x = np.linspace(lo, hi, int((hi - lo) * 32 / min(1.0, s)) + 2)
    log_p, log_q = _log_density(x, mean, 1.0), _log_density(x, mu, s)
    p, q = np.exp(log_p), np.exp(log_q)
    log_d = -np.logaddexp(0.0, log_q - log_p)
    log_one_minus_d = -np.logaddexp(0.0, log_p - log_q)
    slope = (x - mu) / s**2 - (x - mean)  # of the logit of D*

    def integral(values: NDArray[Any]) -> float:
        return float(np.trapezoid(values, x))

    return {
        "js": integral(0.5 * (p * (np.log(2) + log_d) + q * (np.log(2) + log_one_minus_d))),
        "kl": float(-np.log(s) + 0.5 * (s**2 + (mu - mean) ** 2 - 1)),
        "loss_minimax": integral(q * log_one_minus_d),
        "loss_nonsaturating": -integral(q * log_d),
        "gradient_minimax": -integral(q * np.exp(log_d) * slope),
        "gradient_nonsaturating": -integral(q * np.exp(log_one_minus_d) * slope),
    }


def still_figure(mean: float, mu: float, s: float) -> Figure:
    """The explorable's three panels at one setting."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 5.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.1, 1), squeeze=False).flat
    _draw_densities(top.subplots(), mean, mu, s)
    losses, gradients = bottom.subplots(1, 2)
    grid = np.linspace(*LIMITS["mu"], 97)
    values = [evaluate(mean, m, s) for m in grid]
    here = evaluate(mean, mu, s)
    for kind, color, dash in (("minimax", ACCENT, "--"), ("nonsaturating", GENERATOR, "-")):
        name = "non-saturating" if kind == "nonsaturating" else kind
        loss, gradient = f"loss_{kind}", f"gradient_{kind}"
        losses.plot(grid, [v[loss] for v in values], dash, color=color, label=name)
        losses.plot(mu, here[loss], "o", color=color)
        gradients.plot(grid, [abs(v[gradient]) for v in values], dash, color=color, label=name)
        gradients.plot(mu, abs(here[gradient]), "o", color=color)
    losses.set_yscale("asinh", linear_width=0.5)
    losses.set_yticks([-np.log(2), 0, 1, 3, 10, 30], ["$-\\log 2$", "0", "1", "3", "10", "30"])
    losses.set(xlabel="generator mean $\\mu$", ylabel="loss at $D^*$")
    gradients.set(xlabel="generator mean $\\mu$", ylabel="|gradient|, $D^*$ frozen", yscale="log")
    gradients.set_ylim(bottom=min(abs(values[-1]["gradient_minimax"]) / 2, 1e-3))
    losses.legend(**_ABOVE)
    return figure


def _draw_densities(axes: Axes, mean: float, mu: float, s: float) -> None:
    x = np.linspace(-11, 11, 881)
    log_p, log_q = _log_density(x, mean, 1.0), _log_density(x, mu, s)
    bells = ((log_p, DATA, "data $p$"), (log_q, GENERATOR, "generator $q$"))
    for log_density, color, name in bells:
        axes.plot(x, np.exp(log_density), color=color, label=name)
        axes.fill_between(x, np.exp(log_density), color=color, alpha=0.15)
    axes.set(xlim=(-11, 11), ylim=(0, None), ylabel="density")
    right = axes.twinx()
    right.plot(x, np.exp(-np.logaddexp(0.0, log_q - log_p)), color=CRITIC)
    right.set(ylim=(0, 1.1), ylabel="$D^*$")
    axes.plot([], [], color=CRITIC, label="$D^* = p/(p+q)$")
    axes.legend(**_ABOVE)
