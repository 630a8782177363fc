"""The numbers behind `two_clouds`, and its still picture."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from gan_course import transport
from gan_course.losses import minimax, wasserstein
from gan_course.nets import MLP, input_gradient, mlp
from gan_course.random import Streams
from gan_course.runtime import one_thread
from gan_course.widgets.birthdays import uniforms
from gan_course.widgets.gaussians import CRITIC, DATA, GENERATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]

BOX = 2.0  # the points' coordinates lie between -BOX and BOX
MOST = 12  # points of a cloud
REGULARIZERS = ("none", "clipping", "gradient penalty", "R1")
EXTENSIONS = ("largest", "middle")
STRENGTHS = {"none": 0.0, "clipping": 0.2, "gradient penalty": 10.0, "R1": 1.0}  # at first
LIMITS = {"clipping": (0.01, 1.0), "gradient penalty": (0.1, 100.0), "R1": (0.1, 100.0)}
DATA_START = ((-1.4, 0.9), (-1.0, 1.5), (-0.5, 1.1), (0.9, 0.8), (1.4, 0.4), (1.5, 1.2))
GENERATED_START = (
    (-0.9, -0.3), (-0.3, -0.9), (0.1, -0.2), (0.4, -1.2), (0.8, -0.6), (1.3, -1.3),
)  # fmt: skip
WIDTH = 16  # of both hidden layers
STEPS = 600  # of training, that a press of the button brings
RATE, DECAYS, TINY = 0.01, (0.5, 0.9), 1e-8  # of Adam
GRID = 41  # places a side, where slopes are sought
ALONG = 8  # places on each ray

_SEED = 7
_SIZES = (2, WIDTH, WIDTH, 1)
_SPACING = 0.25  # of the level sets
_LINES = 24  # of them, at most
_FINE = 121  # places a side, of the pictures
_ARROWS = 9  # a side
_STEEP = 2.0  # slope from where on arrows no longer grow


def checked(
    *,
    data: ArrayLike | None,
    generated: ArrayLike | None,
    regularizer: str,
    strength: float | None,
    extension: str,
) -> dict[str, Any]:
    """The explorable's state, as plain values.

    Raises
    ------
    ValueError
        Where a value is not allowed; it names the argument, the value and what is allowed.
    """
    for name, value, allowed in (
        ("regularizer", regularizer, REGULARIZERS),
        ("extension", extension, EXTENSIONS),
    ):
        if not isinstance(value, str) or value not in allowed:
            raise ValueError(f"{name}={value!r} must be one of {', '.join(map(repr, allowed))}")
    clouds = {
        "data": cloud("data", DATA_START if data is None else data),
        "generated": cloud("generated", GENERATED_START if generated is None else generated),
    }
    same_size(**clouds)
    force = STRENGTHS[regularizer] if strength is None else strength
    return {**clouds, "regularizer": regularizer, "strength": fitting(regularizer, force),
            "extension": extension, "touched": False}  # fmt: skip


def fitting(regularizer: str, strength: float) -> float:
    """The strength, if this regularizer takes it; without one it is 0."""
    if regularizer == "none":
        return 0.0
    low, high = LIMITS[regularizer]
    if not isinstance(strength, Real) or not low <= strength <= high:
        raise ValueError(
            f"strength={strength!r} must be a number in [{low:g}, {high:g}], "
            f"for regularizer={regularizer!r}"
        )
    return float(strength)


def cloud(name: str, points: ArrayLike) -> list[list[float]]:
    """A cloud as lists, if it is one that the explorable takes."""
    try:
        values = np.asarray(points, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(
            f"{name}={points!r} must be 1 to {MOST} pairs of numbers in [{-BOX:g}, {BOX:g}]"
        ) from None
    if values.ndim != 2 or values.shape[1] != 2 or not 1 <= len(values) <= MOST:
        raise ValueError(
            f"{name} has shape {values.shape}; allowed are 1 to {MOST} points in the plane"
        )
    if not (np.abs(values) <= BOX).all():  # also where one is not a number
        raise ValueError(f"{name}={values.tolist()} must lie in [{-BOX:g}, {BOX:g}] x the same")
    return list(values.tolist())


def same_size(data: list[list[float]], generated: list[list[float]]) -> None:
    """Refuse clouds of unequal numbers of points."""
    if len(data) != len(generated):
        raise ValueError(
            f"data and generated have {len(data)} and {len(generated)} points; "
            "allowed are equally many"
        )


# --- the exact critic -----------------------------------------------------------------------------


def partners(data: ArrayLike, generated: ArrayLike) -> transport.Plan:
    """An optimal plan of two clouds."""
    return transport.plan(np.asarray(data)[None], np.asarray(generated)[None])


def potential(data: ArrayLike, generated: ArrayLike) -> tuple[Array, Array]:
    r"""Values of one optimal critic at the points, in the middle of all of them.

    An optimal critic is a solution of :math:`f(a) - f(b) \le |a - b|` for all points, with
    equality from a data point to its partner. The largest that is 0 at ``b`` is the length of the
    shortest ways from ``b``, the smallest minus that of the ways back. The mean of both over all
    ``b`` is a solution, too, which no order of the points and no choice of an optimal plan
    changes. It has mean 0 at the generated points.

    Returns
    -------
    Shapes ``(n,)`` and ``(n,)``.
    """
    x, y = np.asarray(data, dtype=np.float64), np.asarray(generated, dtype=np.float64)
    points, n = np.concatenate([x, y]), len(x)
    ways = np.linalg.norm(points[:, None] - points, axis=2)  # ways[b, a] >= f(a) - f(b)
    found = partners(x, y)
    rows, columns = found.rows[0], n + found.columns[0]
    ways[rows, columns] = -ways[columns, rows]
    for middle in range(2 * n):
        ways = np.minimum(ways, ways[:, middle, None] + ways[None, middle])
    f = (ways - ways.T).mean(0) / 2
    f = f - f[n:].mean()
    return f[:n], f[n:]


def evaluate(data: ArrayLike, generated: ArrayLike) -> dict[str, Any]:
    """Distance of two clouds of equally many points, and the values of an optimal critic.

    Returns
    -------
    dict
        `w1`, the Wasserstein-1 distance; `f_data` and `f_generated`, the values of `potential`.
    """
    f_data, f_generated = potential(data, generated)
    w1 = partners(data, generated).cost
    return {"w1": float(w1[0]), "f_data": f_data.tolist(), "f_generated": f_generated.tolist()}


# --- the network ----------------------------------------------------------------------------------


def network(parameters: ArrayLike | None = None) -> MLP:
    """The network with some parameters, or with those that it starts from.

    The parameters are in one row: of each layer the weights, an output's side by side, then the
    biases. They start uniform on :math:`\\pm 1/\\sqrt{\\text{inputs}}`.
    """
    net = mlp(*_SIZES, activation="tanh")(Streams([0])).double()
    layers = list(zip(net.weights, net.biases, strict=True))
    counts = [weight.numel() + bias.numel() for weight, bias in layers]
    scales = np.repeat([weight.shape[1] ** -0.5 for weight, _ in layers], counts)
    if parameters is None:
        parameters = (2 * uniforms(_SEED, [0], sum(counts))[0] - 1) * scales
    row = torch.as_tensor(parameters, dtype=torch.float64)
    with torch.no_grad():
        for (weight, bias), part in zip(layers, row.split(counts), strict=True):
            inputs, outputs = weight.shape[1:]
            weight.copy_(part[: inputs * outputs].reshape(outputs, inputs).T)
            bias.copy_(part[inputs * outputs :])
    return net


def row(tensors: list[torch.Tensor]) -> torch.Tensor:
    """Weights, then biases, of the layers as one row: parameters, or their gradients."""
    half = len(tensors) // 2
    pairs = zip(tensors[:half], tensors[half:], strict=True)
    return torch.cat([part for w, b in pairs for part in (w[0].T.reshape(-1), b.reshape(-1))])


def parameters_of(net: MLP) -> list[torch.Tensor]:
    """The weights of the layers, then their biases."""
    return [*net.weights, *net.biases]


def places(data: ArrayLike, generated: ArrayLike, step: int) -> torch.Tensor:
    """Where a step penalizes gradients: on a random place between each pair, ``(n * n, 2)``."""
    x, y = (torch.as_tensor(points, dtype=torch.float64) for points in (data, generated))
    a = torch.from_numpy(uniforms(_SEED, [step + 1], len(x) * len(y))[0]).reshape(len(x), -1, 1)
    return (a * x[:, None] + (1 - a) * y[None]).reshape(-1, 2)


def objective(
    net: MLP,
    data: ArrayLike,
    generated: ArrayLike,
    regularizer: str,
    strength: float,
    at: torch.Tensor,
) -> torch.Tensor:
    """What the network descends; its gradient is penalized `at` some places (of R1: on data)."""
    x, y = (torch.as_tensor(points, dtype=torch.float64) for points in (data, generated))
    loss = minimax if regularizer == "R1" else wasserstein
    value = loss.critic(net(x), net(y)).sum()
    if regularizer == "gradient penalty":
        norms = input_gradient(net, at[None]).norm(dim=2)
        value = value + strength * (norms - 1).square().mean()
    if regularizer == "R1":
        value = value + strength / 2 * input_gradient(net, x[None]).square().sum(2).mean()
    return value


@one_thread()
def trained(
    data: ArrayLike,
    generated: ArrayLike,
    regularizer: str,
    strength: float,
    steps: int = STEPS,
) -> MLP:
    """The network after some steps of Adam, as they are in the browser."""
    net = network()
    adam = torch.optim.Adam(parameters_of(net), RATE, betas=DECAYS, eps=TINY)
    for step in range(steps):
        at = places(data, generated, step)
        adam.zero_grad()
        objective(net, data, generated, regularizer, strength, at).backward()
        adam.step()
        if regularizer == "clipping":
            with torch.no_grad():
                for parameter in net.parameters():
                    parameter.clamp_(-strength, strength)
    return net


def grid(side: int = GRID) -> Array:
    """Places all over the box, row by row: ``(side * side, 2)``."""
    line = np.linspace(-BOX, BOX, side)
    return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)


def rays(data: ArrayLike, generated: ArrayLike) -> Array:
    """Places on the rays of an optimal plan, `ALONG` on each: ``(rays * ALONG, 2)``.

    Partners in one place have no ray.
    """
    found = partners(data, generated)
    apart = (found.starts[0] != found.ends[0]).any(1)
    t = ((np.arange(ALONG) + 0.5) / ALONG)[:, None]
    between = (1 - t) * found.starts[0][apart, None] + t * found.ends[0][apart, None]
    return np.asarray(between.reshape(-1, 2))


def measured(net: MLP, data: ArrayLike, generated: ArrayLike) -> dict[str, float]:
    """What is read off the network.

    Returns
    -------
    dict
        `gap`, the mean on data minus that on generated points; `steepest`, the largest slope on
        the grid; `scaled`, the gap over it; `on_rays`, the mean slope on the optimal rays, NaN
        without any.
    """
    x, y = (torch.as_tensor(points, dtype=torch.float64) for points in (data, generated))
    with torch.no_grad():
        gap = float(net(x).mean() - net(y).mean())
    slopes = [
        input_gradient(net, torch.from_numpy(at)[None]).norm(dim=2).detach()
        for at in (grid(), rays(data, generated))
    ]
    steepest = float(slopes[0].max())
    return {
        "gap": gap,
        "steepest": steepest,
        "scaled": gap / steepest if steepest > 0 else 0.0,
        "on_rays": float(slopes[1].mean()),
    }


# --- the picture ----------------------------------------------------------------------------------


def extended(data: ArrayLike, generated: ArrayLike, extension: str) -> transport.Extension:
    """The optimal critic on the whole plane."""
    points = np.concatenate([np.asarray(data), np.asarray(generated)])
    values = np.concatenate(potential(data, generated))
    kind: transport.lipschitz.Kind = "middle" if extension == "middle" else "largest"
    return transport.lipschitz_extension(points, values, kind)


def spacing(reach: float) -> float:
    """How far apart the level sets of a function are whose values spread over `reach`."""
    wide = _SPACING
    while reach > _LINES * wide:
        wide *= 2
    return wide


def describe(state: dict[str, Any], w1: float, found: dict[str, float]) -> str:
    """What the still picture shows, in words."""
    count = len(state["data"])
    how = {"none": "without a regularizer"}.get(
        state["regularizer"], f"with {state['regularizer']} of strength {state['strength']:g}"
    )
    on_rays = f", its mean slope on the rays {found['on_rays']:.4g}" if w1 > 0 else ""
    return (
        f"{_plural(count, 'data point')} and as many generated ones in the plane, twice. First "
        "joined in the pairs of an optimal plan, over the level sets and the gradients of the "
        f"exact critic, whose gap is W1 = {w1:.4g}. Then "
        f"over those of a small network after {STEPS} steps of training {how}: its gap is "
        f"{found['gap']:.4g}, its largest slope {found['steepest']:.4g}{on_rays}."
    )


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def still_figure(*, data: ArrayLike, generated: ArrayLike, extension: str, net: MLP) -> Figure:
    """The explorable's two panels, the second with a network after `STEPS` steps."""
    from matplotlib.figure import Figure

    exact = extended(data, generated, extension)
    figure = Figure(figsize=(7.2, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    found = partners(data, generated)
    for start, end in zip(found.starts[0], found.ends[0], strict=True):
        left.plot(*np.transpose([start, end]), color="0.15", lw=1.3, ls=(0, (3.5, 2)))
    _draw_critic(left, exact(grid(_FINE)), exact.gradient(_arrow_places()), float(found.cost[0]))
    with torch.no_grad():
        values = net(torch.from_numpy(grid(_FINE))[None]).numpy().ravel()
        level = float(net(torch.as_tensor(generated, dtype=torch.float64)).mean())
        slopes = input_gradient(net, torch.from_numpy(_arrow_places())[None])[0].numpy()
    _draw_critic(right, values - level, slopes, measured(net, data, generated)["gap"])
    for axes, title in ((left, "exact critic"), (right, f"network, step {STEPS}")):
        for points, color, marker, label in (
            (data, DATA, "o", "data"),
            (generated, GENERATOR, "s", "generated"),
        ):
            axes.scatter(
                *np.transpose(points), s=40, color=color, edgecolor="white", marker=marker,
                zorder=4, label=label,
            )  # fmt: skip
        axes.set_title(title, fontsize="medium", loc="left", pad=20)
        axes.set(xlim=(-BOX, BOX), ylim=(-BOX, BOX), aspect="equal")
        axes.set(xticks=range(-2, 3), yticks=range(-2, 3))
        axes.grid(False)
    left.legend(
        frameon=False, ncols=2, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2,
        columnspacing=1.0, handletextpad=0.2,
    )  # fmt: skip
    return figure


def _arrow_places() -> Array:
    """In the middle of equal squares: ``(_ARROWS * _ARROWS, 2)``."""
    line = np.linspace(-BOX, BOX, 2 * _ARROWS + 1)[1::2]
    return np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)


def _draw_critic(axes: Axes, values: Array, slopes: Array, gap: float) -> None:
    """Level sets, those nearer to the mean on data in its color, and gradients."""
    line = np.linspace(-BOX, BOX, _FINE)
    low, high = float(values.min()), float(values.max())
    wide = spacing(high - low)
    first, last = np.ceil((low - gap / 2) / wide), np.floor((high - gap / 2) / wide)
    levels = gap / 2 + wide * np.arange(first, last + 1)
    if len(levels):
        sides = np.sign(np.arange(first, last + 1))
        colors = [{1: DATA, 0: "0.25", -1: GENERATOR}[side] for side in sides]
        axes.contour(line, line, values.reshape(_FINE, _FINE), levels, colors=colors, linewidths=1,
                     linestyles="-", alpha=0.7)  # fmt: skip
    size = np.linalg.norm(slopes, axis=1, keepdims=True)
    shown = slopes * np.minimum(1, _STEEP / np.maximum(size, 1e-12))
    axes.quiver(
        *_arrow_places().T, *shown.T, angles="xy", scale_units="xy", scale=_ARROWS / BOX / 0.9,
        pivot="mid", color=CRITIC, width=0.005, headwidth=4, headlength=4, headaxislength=3.6,
    )  # fmt: skip
