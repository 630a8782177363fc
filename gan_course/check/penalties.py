"""Checks of the page "Gradient penalties"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]
Tensor = torch.Tensor

# --- where WGAN-GP looks --------------------------------------------------------------------------


def _places(real: Array, fake: Array, rng: np.random.Generator) -> Array:
    a = rng.uniform(size=(len(real), 1))
    return a * real + (1 - a) * fake


def _either(real: Array, fake: Array, rng: np.random.Generator) -> Array:
    return np.where(rng.uniform(size=(len(real), 1)) < 0.5, real, fake)


def _with(draw: Callable[[int, int, np.random.Generator], Any]) -> Callable[..., Array]:
    """The answer with another alpha, from ``(n, d, rng)``."""

    def answer(real: Array, fake: Array, rng: np.random.Generator) -> Array:
        n, d = real.shape
        a = draw(n, d, rng)
        return np.asarray(a * real + (1 - a) * fake)

    return answer


def _two_weights(real: Array, fake: Array, rng: np.random.Generator) -> Array:
    a, b = rng.uniform(size=(2, len(real), 1))
    return np.asarray(a * real + b * fake)


FROZEN = "These are the same places whatever `rng` is: each step needs fresh ones, drawn with it."
OFF = "Row i should lie on the segment between row i of real and row i of fake"


@exercise(
    "penalties-points",
    praise="One alpha a point: a segment, and not a box.",
    wrong=[
        (lambda real, fake, rng: real, "All your places are data points"),
        (lambda real, fake, rng: fake, "All your places are generated points"),
        (_either, "mixture of the two distributions"),
        (_with(lambda n, d, rng: rng.uniform()), "The same alpha serves all points"),
        (_with(lambda n, d, rng: 0.5), "The same alpha serves all points"),
        (_with(lambda n, d, rng: rng.uniform(size=(n, d))), "fills a box"),
        (_with(lambda n, d, rng: rng.uniform(size=(1, d))), "fills a box"),
        (_with(lambda n, d, rng: rng.normal(size=(n, 1))), "leaves the segment"),
        (_with(lambda n, d, rng: rng.uniform(-1, 1, size=(n, 1))), "leaves the segment"),
        (_with(lambda n, d, rng: rng.uniform(size=(n, 1)) ** 2), "uniform on [0, 1]"),
        (_with(lambda n, d, rng: rng.uniform(0.5, 1, size=(n, 1))), "uniform on [0, 1]"),
        (_with(lambda n, d, rng: rng.beta(3, 3, size=(n, 1))), "uniform on [0, 1]"),
        (_with(lambda n, d, rng: rng.uniform(size=n)), "ValueError"),
        (_with(lambda n, d, rng: np.linspace(0, 1, n)[:, None]), FROZEN),
        (lambda real, fake, rng: _places(real, fake, np.random.default_rng(0)), FROZEN),
        (_two_weights, OFF),
        (lambda real, fake, rng: rng.uniform(size=(len(real), 1)) * (real - fake), OFF),
        (lambda real, fake, rng: _places(real, fake[::-1], rng), OFF),
        (lambda real, fake, rng: _places(real, fake, rng).mean(0), "has shape (3,)"),
        (lambda real, fake, rng: np.full_like(real, np.nan), "NaN"),
        (lambda real, fake, rng: None, "returns nothing"),
    ],
)
def _penalties_points(places: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    real, fake = rng.normal(size=(2000, 3)), 3 + rng.normal(size=(2000, 3))
    fake += 3 * (abs(fake - real) < 0.2)  # no coordinate in which the two are close
    got = numbers(places(real.copy(), fake.copy(), np.random.default_rng(2)), real.shape)
    a = (got - fake) / (real - fake)  # one alpha a coordinate, equal on a segment
    expect(
        not np.allclose(a, 1),
        "All your places are data points: draw an alpha, and move toward the generated points.",
    )
    expect(
        not np.allclose(a, 0),
        "All your places are generated points: draw an alpha, and move toward the data.",
    )
    ends = np.isclose(a, 0).all(1) | np.isclose(a, 1).all(1)
    expect(
        not ends.all(),
        "Each place is a data point or a generated one. That is a mixture of the two "
        "distributions; mix the points.",
    )
    expect(np.ptp(a) > 1e-6, "The same alpha serves all points: each needs its own.")
    inside = ((a > -1e-6) & (a < 1 + 1e-6)).all()
    on_line = np.allclose(a, a[:, :1], atol=1e-6)
    expect(
        on_line or not inside,
        "alpha differs between the coordinates of a point, so a place fills a box between the "
        "two points and not the segment: one alpha for all coordinates of a point.",
    )
    expect(
        on_line,
        f"{OFF}, with the weights alpha and 1 - alpha, which add to 1, and the rows paired as they "
        "are.",
    )
    expect(inside, "alpha leaves the segment: it should be between 0 and 1.")
    moments = abs(a[:, 0].mean() - 1 / 2) < 0.04 and abs((a[:, 0] ** 2).mean() - 1 / 3) < 0.04
    expect(moments, "alpha should be uniform on [0, 1]: all parts of the segment count alike.")
    again = numbers(places(real.copy(), fake.copy(), np.random.default_rng(5)), real.shape)
    expect(not np.allclose(again, got), FROZEN)


# --- around the data ------------------------------------------------------------------------------


def _around(real: Array, c: float, rng: np.random.Generator) -> Array:
    return real + c**0.5 * rng.normal(size=real.shape)


def _coded(real: Array, c: float, rng: np.random.Generator) -> Array:
    a = rng.uniform(size=(len(real), 1))
    return np.asarray(real + 0.5 * real.std() * a * rng.uniform(size=real.shape))


def _noise_mix(real: Array, c: float, rng: np.random.Generator) -> Array:
    a = rng.uniform(size=(len(real), 1))
    return np.asarray(a * real + (1 - a) * c**0.5 * rng.normal(size=real.shape))


def _shortened(real: Array, c: float, rng: np.random.Generator) -> Array:
    return real + rng.uniform(size=(len(real), 1)) * (_around(real, c, rng) - real)


VARIANCES: dict[str, Callable[[float, float], float]] = {
    "c is the variance of a coordinate: multiply by its root.": lambda c, spread: c**2,
    "c is missing: standard normal noise has the variance 1.": lambda c, spread: 1.0,
    "There is no alpha in the published form: the noise is added in full.": (
        lambda c, spread: c / 3
    ),
    "The published noise does not depend on the spread of the data.": (
        lambda c, spread: c * spread**2
    ),
    "c is the variance: multiply the noise by its root, once.": lambda c, spread: c**0.5,
    "Do not divide by the root of c: multiply.": lambda c, spread: 1 / c,
}
"""What to say where the variance of the noise is that of a known slip."""


@exercise(
    "penalties-around",
    praise="These places do not depend on the generator.",
    wrong=[
        (lambda real, c, rng: real, "Nothing moves"),
        (_coded, "both sides"),
        (lambda real, c, rng: real + c**0.5 * rng.uniform(size=real.shape), "both sides"),
        (
            lambda real, c, rng: real + c**0.5 * rng.normal(size=real.shape[1]),
            "same noise for all points",
        ),
        (
            lambda real, c, rng: real + c**0.5 * rng.normal(size=(len(real), 1)),
            "Each coordinate has its own",
        ),
        (_noise_mix, "pulls the points toward"),
        (lambda real, c, rng: real * (1 + c**0.5 * rng.normal(size=real.shape)), "is added"),
        (lambda real, c, rng: c**0.5 * rng.normal(size=real.shape), "pulls the points toward"),
        (lambda real, c, rng: real + c * rng.normal(size=real.shape), "variance of a coordinate"),
        (lambda real, c, rng: real + rng.normal(size=real.shape), "c is missing"),
        (_shortened, "no alpha"),
        (lambda real, c, rng: _around(real, c * real.std() ** 2, rng), "spread of the data"),
        (lambda real, c, rng: _around(real, c**0.5, rng), "its root, once"),
        (lambda real, c, rng: _around(real, 1 / c, rng), "Do not divide"),
        (lambda real, c, rng: _around(real, 3 * c, rng), "variance c in each coordinate"),
        (
            lambda real, c, rng: real + (3 * c) ** 0.5 * rng.uniform(-1, 1, size=real.shape),
            "normal, not",
        ),
        (lambda real, c, rng: real + c * real.std() * rng.normal(size=real.shape), "variance c in"),
        (
            lambda real, c, rng: real + 0.5 * real.std() * rng.normal(size=real.shape),
            "variance c in",
        ),
        (lambda real, c, rng: _around(real, c / real.shape[1], rng), "variance c in"),
        (lambda real, c, rng: _around(real, c, np.random.default_rng(0)), FROZEN),
        (lambda real, c, rng: _around(real, c, rng)[0], "has shape (4,)"),
        (lambda real, c, rng: None, "returns nothing"),
    ],
)
def _penalties_around(around: Callable[..., Any]) -> None:
    c, rng = 0.3, np.random.default_rng(3)
    real = 1.7 * rng.normal(size=(20_000, 4))
    got = numbers(around(real.copy(), c, np.random.default_rng(4)), real.shape)
    delta, spread = got - real, float(real.std())
    expect(not np.allclose(delta, 0), "Nothing moves: add the noise delta.")
    expect(np.ptp(delta, axis=0).max() > 1e-9, "The same noise for all points: each has its own.")
    expect(
        not np.allclose(delta, delta[:, :1]),
        "Each coordinate has its own noise: otherwise all points move along one diagonal.",
    )
    expect(
        abs(delta.mean()) < 0.05,
        "Your places lie to one side of the data: as published, the noise is normal with mean 0, "
        "and goes to both sides.",
    )
    expect(
        np.corrcoef(delta.ravel(), real.ravel())[0, 1] > -0.1,
        "This pulls the points toward the noise: as published, it is added to the data.",
    )
    expect(
        np.corrcoef(delta.ravel() ** 2, real.ravel() ** 2)[0, 1] < 0.1,
        "The noise is added, and does not grow with the point.",
    )
    for hint, slip in VARIANCES.items():
        expect(not np.isclose(delta.var(), slip(c, spread), rtol=0.04), hint)
    expect(
        np.isclose(delta.var(), c, rtol=0.04),
        "Give the noise the variance c in each coordinate.",
    )
    fourth = (delta**4).mean() / delta.var() ** 2
    expect(abs(fourth - 3) < 0.3, "The noise should be normal, not of another shape.")
    again = numbers(around(real.copy(), c, np.random.default_rng(5)), real.shape)
    expect(not np.allclose(again, got), FROZEN)


# --- a penalty that does nothing ------------------------------------------------------------------


def _gradient(D: Callable[[Tensor], Tensor], x: Tensor, *, graph: bool = True) -> Tensor:
    x = x.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=graph)
    return gradient


def _penalty(D: Callable[[Tensor], Tensor], x: Tensor, weight: float) -> Tensor:
    return weight * (_gradient(D, x).norm(dim=1) - 1).square().mean()


def _constant(D: Callable[[Tensor], Tensor], x: Tensor, weight: float) -> Tensor:
    return weight * (_gradient(D, x, graph=False).norm(dim=1) - 1).square().mean()


def _half_detached(D: Callable[[Tensor], Tensor], x: Tensor, weight: float) -> Tensor:
    excess = _gradient(D, x).norm(dim=1) - 1
    return weight * (excess * excess.detach()).mean()


def _without_asking(D: Callable[[Tensor], Tensor], x: Tensor, weight: float) -> Tensor:
    (gradient,) = torch.autograd.grad(D(x).sum(), x, create_graph=True)
    return weight * (gradient.norm(dim=1) - 1).square().mean()


def _by_backward(D: Callable[[Tensor], Tensor], x: Tensor, weight: float) -> Tensor:
    x = x.detach().requires_grad_()
    D(x).sum().backward(create_graph=True)
    assert x.grad is not None
    return weight * (x.grad.norm(dim=1) - 1).square().mean()


Penalized = Callable[[Tensor, float], Tensor]

PENALTIES: dict[str, Penalized] = {
    "The weight is missing.": lambda g, weight: (g.norm(dim=1) - 1).square().mean(),
    "Take the mean over the points, not the sum.": (
        lambda g, weight: weight * (g.norm(dim=1) - 1).square().sum()
    ),
    "The norm is compared with 1, not its square.": (
        lambda g, weight: weight * (g.square().sum(1) - 1).square().mean()
    ),
    "Square first and average then: each point is billed for itself.": (
        lambda g, weight: weight * (g.norm(dim=1).mean() - 1).square()
    ),
    "The norm runs over the coordinates of one point, not over the points.": (
        lambda g, weight: weight * (g.norm(dim=0) - 1).square().mean()
    ),
    "One norm for the whole batch: each point has its own gradient.": (
        lambda g, weight: weight * (g.norm() - 1).square()
    ),
    "The gradient of the mean of D is divided by n: take that of the sum.": (
        lambda g, weight: weight * (g.norm(dim=1) / len(g) - 1).square().mean()
    ),
    "This is the one-sided penalty: norms below 1 are billed, too.": (
        lambda g, weight: weight * (g.norm(dim=1) - 1).relu().square().mean()
    ),
    "The square is missing.": lambda g, weight: weight * (g.norm(dim=1) - 1).mean(),
    "Square the excess, do not take its absolute value.": (
        lambda g, weight: weight * (g.norm(dim=1) - 1).abs().mean()
    ),
    "The target 1 is missing.": lambda g, weight: weight * g.square().sum(1).mean(),
    "There is no factor 1/2 in this penalty.": (
        lambda g, weight: weight / 2 * (g.norm(dim=1) - 1).square().mean()
    ),
}
"""What to say where the penalty, as a function of the gradients, is that of a known slip."""


def _slip(penalized: Penalized) -> Callable[..., Tensor]:
    return lambda D, x_hat, weight: penalized(_gradient(D, x_hat), weight)


@exercise(
    "penalties-mend",
    praise="The penalty now has a gradient in the parameters: a gradient of a gradient.",
    wrong=[
        *((_slip(penalized), hint) for hint, penalized in PENALTIES.items()),
        (_constant, "It is a constant"),
        (lambda D, x, weight: _penalty(D, x, weight).detach(), "It is a constant"),
        (lambda D, x, weight: _penalty(D, x, weight).item(), "It is a constant"),
        (_half_detached, "The value is right, but not its gradient"),
        (_without_asking, "RuntimeError"),
        (_by_backward, "has left gradients"),
        (lambda D, x, weight: 3 * _penalty(D, x, weight), "weight times the mean"),
        (lambda D, x, weight: _gradient(D, x).norm(dim=1), "has shape (7,)"),
        (lambda D, x, weight: None, "returns nothing"),
    ],
)
def _penalties_mend(penalty: Callable[..., Any]) -> None:
    draw = torch.Generator().manual_seed(5)
    fresh = lambda *size: torch.randn(*size, generator=draw, dtype=torch.float64)  # noqa: E731
    inner, outer = fresh(3, 5).requires_grad_(), fresh(5, 1).requires_grad_()

    def critic(x: Tensor) -> Tensor:
        return torch.tanh(x @ inner) @ outer

    x, weight = fresh(7, 3), 2.5
    answer = penalty(critic, x.clone(), weight)
    got = float(numbers(answer, ()))
    gradients = _gradient(critic, x)
    for hint, penalized in PENALTIES.items():
        expect(not np.isclose(got, penalized(gradients, weight).item()), hint)
    right = _penalty(critic, x, weight)
    expect(np.isclose(got, right.item()), "It is weight times the mean of (|grad D| - 1)^2.")
    expect(
        isinstance(answer, Tensor) and answer.requires_grad,
        "The value is right, but no gradient reaches the parameters. It is a constant: "
        "ask for the graph of the gradient.",
    )
    wanted = torch.autograd.grad(right, (inner, outer))
    found = torch.autograd.grad(answer, (inner, outer), allow_unused=True)
    same = all(a is not None and torch.allclose(a, b) for a, b in zip(found, wanted, strict=True))
    expect(same, "The value is right, but not its gradient: is a part of it detached?")
    expect(
        inner.grad is None and outer.grad is None,
        "The value is right, but `backward` has left gradients of D in the critic's `.grad`, "
        "where the next step would find them: use `torch.autograd.grad`.",
    )


# --- how steep is the best critic -----------------------------------------------------------------


def _steep(g: Array, rho: Array, weight: float) -> Array:
    return np.sign(g) + g / (2 * weight * rho)


STEEP: dict[str, Callable[[Array, Array, float], Array]] = {
    "The sign is missing: where g is negative, the best critic falls.": (
        lambda g, rho, weight: abs(_steep(g, rho, weight))
    ),
    "The sign of g multiplies the whole bracket, whose second term holds the size of g.": (
        lambda g, rho, weight: np.sign(g) * (1 + g / (2 * weight * rho))
    ),
    "This is upside down: the best critic rises where g is positive.": (
        lambda g, rho, weight: -_steep(g, rho, weight)
    ),
    "This is the wrong local maximum, upside down.": (
        lambda g, rho, weight: -np.sign(g) + g / (2 * weight * rho)
    ),
    "The penalty does not make it flatter than 1: the bill is low near 1, and slope earns.": (
        lambda g, rho, weight: np.sign(g) - g / (2 * weight * rho)
    ),
    "The overshoot is missing.": lambda g, rho, weight: np.sign(g),
    "This is the best slope for a zero-centered penalty such as R1.": (
        lambda g, rho, weight: g / (weight * rho)
    ),
    "The slope 1 is missing: this is the overshoot alone.": (
        lambda g, rho, weight: g / (2 * weight * rho)
    ),
    "A factor 2 is missing: differentiate the square.": (
        lambda g, rho, weight: np.sign(g) + g / (weight * rho)
    ),
    "The factor 4 belongs to the value; the slope has a 2.": (
        lambda g, rho, weight: np.sign(g) + g / (4 * weight * rho)
    ),
    "Where many places are looked at, the overshoot is small: divide by rho.": (
        lambda g, rho, weight: np.sign(g) + g * rho / (2 * weight)
    ),
    "rho is missing: the bill counts only as often as a place is drawn.": (
        lambda g, rho, weight: np.sign(g) + g / (2 * weight)
    ),
    "A heavy penalty makes the overshoot small: divide by the weight.": (
        lambda g, rho, weight: np.sign(g) + weight * g / (2 * rho)
    ),
    "The weight is missing.": lambda g, rho, weight: np.sign(g) + g / (2 * rho),
    "Where g is 0 return 0: slope 1 is not the only best one for the one-sided penalty.": (
        lambda g, rho, weight: np.where(g < 0, -1, 1) + g / (2 * weight * rho)
    ),
}
"""What to say where the slopes are those of a known slip."""


@exercise(
    "penalties-steep",
    praise="It is steeper than 1 at every weight: a price is not a wall.",
    wrong=[
        *((slip, hint) for hint, slip in STEEP.items()),
        (lambda g, rho, weight: _steep(g, rho, weight)[0], "is a single number"),
        (lambda g, rho, weight: 1.3 * _steep(g, rho, weight), "sign of g, times 1 plus"),
        (lambda g, rho, weight: g / abs(g) + g / (2 * weight * rho), "NaN"),
        (lambda g, rho, weight: None, "returns nothing"),
    ],
)
def _penalties_steep(best_slope: Callable[..., Any]) -> None:
    g, weight = np.array([0.5, -0.2, 0.0, 0.8, -0.35]), 1.7
    rho = np.array([0.3, 0.7, 0.4, 0.15, 0.9])
    got = numbers(best_slope(g.copy(), rho.copy(), weight), g.shape)
    for hint, slip in STEEP.items():
        expect(not np.allclose(got, slip(g, rho, weight)), hint)
    right = _steep(g, rho, weight)
    expect(
        np.allclose(got, right),
        "It is the sign of g, times 1 plus the size of g over twice the weight times rho.",
    )
