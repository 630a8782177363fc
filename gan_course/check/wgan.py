"""Checks of the page "Wasserstein GAN"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- one step of the critic -----------------------------------------------------------------------


def _clipped(w: Array, gradient: Array, rate: float, c: float) -> Array:
    return np.clip(w + rate * gradient, -c, c)


def _short(w: Array, gradient: Array, rate: float, c: float) -> Array:
    new = w + rate * gradient
    return new * min(1.0, c / np.abs(new).max())


STEPS: dict[str, Callable[[Array, Array, float, float], Array]] = {
    "This descends: the critic makes the difference large.": (
        lambda w, g, rate, c: np.clip(w - rate * g, -c, c)
    ),
    "The step alone: the weights are not clipped.": lambda w, g, rate, c: w + rate * g,
    "You clipped before the step: the bound must hold after it.": (
        lambda w, g, rate, c: np.clip(w, -c, c) + rate * g
    ),
    "You clipped the gradient: the weights are clipped.": (
        lambda w, g, rate, c: w + rate * np.clip(g, -c, c)
    ),
    "You clipped the step: the weights are clipped.": (
        lambda w, g, rate, c: w + np.clip(rate * g, -c, c)
    ),
    "Weights may be negative: clip from -c to c.": (
        lambda w, g, rate, c: np.clip(w + rate * g, 0, c)
    ),
    "Clip from below, too: weights under -c go to -c.": (
        lambda w, g, rate, c: np.minimum(w + rate * g, c)
    ),
    "Clip from above, too: weights over c go to c.": (
        lambda w, g, rate, c: np.maximum(w + rate * g, -c)
    ),
    "This descends, and the weights are not clipped: the critic ascends.": (
        lambda w, g, rate, c: w - rate * g
    ),
    "Weights inside [-c, c] stay as they are: only what lies outside is moved.": (
        lambda w, g, rate, c: c * np.sign(w + rate * g)
    ),
    "Do not scale the whole array: clip each entry alone.": _short,
    "The rate is missing.": lambda w, g, rate, c: np.clip(w + g, -c, c),
    "There is no step in it: clip the weights after the step.": (
        lambda w, g, rate, c: np.clip(w, -c, c)
    ),
}
"""What to say where the weights are those of a known slip."""


@exercise(
    "wgan-clip",
    praise="Many weights end at -c or c: clipping is felt.",
    wrong=[
        *((slip, hint) for hint, slip in STEPS.items()),
        (lambda w, g, rate, c: float(_clipped(w, g, rate, c).sum()), "is a single number"),
        (lambda w, g, rate, c: np.clip(w + 2 * rate * g, -c, c), "Add rate times"),
    ],
)
def _wgan_clip(critic_step: Callable[..., Any]) -> None:
    w = np.array([[0.05, -0.3, 0.6, -0.65], [0.0, 0.5, -0.02, 0.35]])
    gradient = np.array([[3.0, -0.1, 0.5, 0.2], [-9.0, 2.0, -0.15, 9.0]])
    got = numbers(critic_step(w.copy(), gradient.copy(), 0.1, 0.4), w.shape)
    for hint, slip in STEPS.items():
        expect(not np.allclose(got, slip(w, gradient, 0.1, 0.4)), hint)
    two_valued = np.where(w + 0.1 * gradient > 0, 0.4, -0.4)
    expect(
        not np.allclose(got, two_valued),
        "Weights inside [-c, c] stay as they are: only what lies outside is moved.",
    )
    expect(
        np.allclose(got, _clipped(w, gradient, 0.1, 0.4)),
        "Add rate times the gradient to the weights, and clip the result.",
    )


# --- the largest slope of a clipped network -------------------------------------------------------


def _steepest(sizes: tuple[int, ...], c: float) -> float:
    return math.sqrt(sizes[0]) * math.prod(sizes[1:-1]) * c ** (len(sizes) - 1)


SLOPES: dict[str, Callable[[tuple[int, ...], float], float]] = {
    "The input's dimension counts with its root.": (
        lambda sizes, c: math.prod(sizes[:-1]) * c ** (len(sizes) - 1)
    ),
    "The input's dimension is missing.": (
        lambda sizes, c: math.prod(sizes[1:-1]) * c ** (len(sizes) - 1)
    ),
    "There is one matrix fewer than there are widths.": (
        lambda sizes, c: math.sqrt(sizes[0]) * math.prod(sizes[1:-1]) * c ** len(sizes)
    ),
    "The last layer has weights in [-c, c], too.": (
        lambda sizes, c: math.sqrt(sizes[0]) * math.prod(sizes[1:-1]) * c ** (len(sizes) - 2)
    ),
    "Each matrix brings its own factor c.": (
        lambda sizes, c: math.sqrt(sizes[0]) * math.prod(sizes[1:-1]) * c
    ),
    "Hidden widths count in full, only the input's dimension with its root.": (
        lambda sizes, c: math.sqrt(math.prod(sizes)) * c ** (len(sizes) - 1)
    ),
    "The widths are multiplied: a slope passes layer after layer.": (
        lambda sizes, c: math.sqrt(sizes[0]) * sum(sizes[1:-1]) * c ** (len(sizes) - 1)
    ),
    "The widths count, too: a unit sums over all units before it.": (
        lambda sizes, c: c ** (len(sizes) - 1)
    ),
    "A hidden width is missing: all of them count.": (
        lambda sizes, c: math.sqrt(sizes[0]) * math.prod(sizes[1:-2]) * c ** (len(sizes) - 1)
    ),
    "Each matrix brings one factor c: their number is the exponent.": (
        lambda sizes, c: math.sqrt(sizes[0]) * math.prod(sizes[1:-1]) * c**2
    ),
}
"""What to say where the slope is that of a known slip."""


@exercise(
    "wgan-steepest",
    praise="The depth is in the exponent of c, so a good c for one depth is useless for another.",
    wrong=[
        *((slip, hint) for hint, slip in SLOPES.items()),
        (lambda sizes, c: [_steepest(sizes, c)], "has shape (1,)"),
        (lambda sizes, c: 2 * _steepest(sizes, c), "root of the input's dimension, times"),
        (lambda sizes, c: math.sqrt(3) * 35 * c**3, "some sizes only"),
    ],
)
def _wgan_steepest(steepest: Callable[..., Any]) -> None:
    cases = (((3, 5, 7, 1), 0.3), ((2, 6, 1), 0.2), ((5, 2, 3, 4, 6, 1), 0.5))
    got = [float(numbers(steepest(sizes, c), ())) for sizes, c in cases]
    for hint, slip in SLOPES.items():
        known = [slip(sizes, c) for sizes, c in cases]
        expect(not np.allclose(got, known, rtol=1e-6), hint)
    right = [_steepest(sizes, c) for sizes, c in cases]
    expect(
        np.allclose(got, right, rtol=1e-6) or not np.isclose(got[0], right[0], rtol=1e-6),
        "This is right for some sizes only: networks may have any number of layers.",
    )
    expect(
        np.allclose(got, right, rtol=1e-6),
        "The root of the input's dimension, times all hidden widths, times c for each matrix.",
    )


# --- the gradient of the distance -----------------------------------------------------------------


def _gradient(pull: Array, jacobian: Array) -> Array:
    return -np.einsum("nd,ndk->k", pull, jacobian) / len(pull)


GRADIENTS: dict[str, Callable[[Array, Array], Array]] = {
    "Check the sign: this is how the generator moves, and the distance grows the other way.": (
        lambda pull, jacobian: -_gradient(pull, jacobian)
    ),
    "Take the mean over the points, not the sum.": (
        lambda pull, jacobian: len(pull) * _gradient(pull, jacobian)
    ),
    "Take the mean over the points, not the sum; and check the sign.": (
        lambda pull, jacobian: -len(pull) * _gradient(pull, jacobian)
    ),
    "Multiply point by point first and average then: a mean of products, not of factors.": (
        lambda pull, jacobian: -pull.mean(0) @ jacobian.mean(0)
    ),
    "Multiply point by point first and average then; and check the sign.": (
        lambda pull, jacobian: pull.mean(0) @ jacobian.mean(0)
    ),
    "Leave the critic's gradients as long as they are: where nothing moves they may be short.": (
        lambda pull, jacobian: _gradient(
            pull / np.linalg.norm(pull, axis=1, keepdims=True), jacobian
        )
    ),
    "Coordinates are summed in the chain rule, only points are averaged.": (
        lambda pull, jacobian: _gradient(pull, jacobian) / pull.shape[1]
    ),
    "Coordinates are summed, only points are averaged; and check the sign.": (
        lambda pull, jacobian: -_gradient(pull, jacobian) / pull.shape[1]
    ),
    "The critic's gradients are missing.": (lambda pull, jacobian: -jacobian.sum(1).mean(0)),
}
"""What to say where the gradient is that of a known slip."""


@exercise(
    "wgan-direction",
    praise="To descend it, the generator moves each point up the critic's slope.",
    wrong=[
        *((slip, hint) for hint, slip in GRADIENTS.items()),
        (lambda pull, jacobian: -np.einsum("nd,ndk->nk", pull, jacobian), "has shape (5, 4)"),
        (lambda pull, jacobian: 2 * _gradient(pull, jacobian), "transposed Jacobian"),
    ],
)
def _wgan_direction(distance_gradient: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    pull, jacobian = rng.normal(size=(5, 3)), rng.normal(size=(5, 3, 4))
    pull /= np.linalg.norm(pull, axis=1, keepdims=True)
    pull[0] *= 0.4  # a point that need not move
    got = numbers(distance_gradient(pull.copy(), jacobian.copy()), (4,))
    for hint, slip in GRADIENTS.items():
        expect(not np.allclose(got, slip(pull, jacobian)), hint)
    expect(
        np.allclose(got, _gradient(pull, jacobian)),
        "Minus the mean over points of the transposed Jacobian times the critic's gradient.",
    )


# --- what an estimate can tell --------------------------------------------------------------------


def _bracket(best: float, k: float, K: float) -> tuple[float, float]:
    return best / K, best / k if k > 0 else math.inf


@exercise(
    "wgan-bracket",
    praise="Without a k the estimate is a lower bound of K times the distance, and no more.",
    wrong=[
        (lambda best, k, K: (_bracket(best, k, K)[1], best / K), "smallest distance first"),
        (lambda best, k, K: (k * best, K * best), "divide"),
        (lambda best, k, K: (best / K, best / k), "k may be 0"),
        (lambda best, k, K: (best / K, best / k if k else 0.0), "np.inf"),
        (lambda best, k, K: (best / K, best / k if k else None), "np.inf"),
        (lambda best, k, K: (best / K, best / k if k else math.nan), "np.inf"),
        (lambda best, k, K: (best / K, best / k if k else -math.inf), "np.inf"),
        (lambda best, k, K: (best / K, best / max(k, 1e-9)), "no largest one"),
        (lambda best, k, K: (0.0, _bracket(best, k, K)[1]), "K bounds it from below"),
        (lambda best, k, K: (best / K, math.inf), "k bounds it from above"),
        (lambda best, k, K: (best, _bracket(best, k, K)[1]), "smallest one is wrong"),
        (lambda best, k, K: (best / K, best if k else math.inf), "largest one is wrong"),
        (lambda best, k, K: best / K, "pair"),
    ],
)
def _wgan_bracket(bracket: Callable[..., Any]) -> None:
    for best, k, K in ((6.0, 0.5, 4.0), (1.2, 3.0, 3.0), (0.7, 0.0, 2.0)):
        try:
            result = bracket(best, k, K)
        except ZeroDivisionError:
            expect(k > 0, "k may be 0: then there is no largest one, np.inf.")
            raise
        pair = not isinstance(result, str) and hasattr(result, "__len__") and len(result) == 2
        expect(pair, "Return a pair: `return low, high`.")
        right = _bracket(best, k, K)
        low = float(numbers(result[0], ()))
        if k == 0:
            expect(low != math.inf, "The smallest distance first, then the largest.")
            told = "For k = 0 there is no largest one: return np.inf."
            expect(result[1] is not None and float(result[1]) == math.inf, told)
        high = float(numbers(result[1], ()))
        expect(low <= high + 1e-9, "The smallest distance first, then the largest.")
        expect(
            not (_close(low, k * best) and _close(high, K * best)) or _close(low, right[0]),
            "Solve for the distance: divide by the constants.",
        )
        expect(low > 0, "K bounds it from below: best is at most K times the distance.")
        expect(_close(low, right[0]), "The smallest one is wrong: best is at most K times it.")
        expect(high < math.inf or k == 0, "k bounds it from above: best is at least k times it.")
        expect(
            high == right[1] or _close(high, right[1]),
            "The largest one is wrong: best is at least k times it.",
        )


# --- the bound at which the estimate is least wrong -----------------------------------------------


@exercise(
    "wgan-dial",
    praise="For other critics, or other generators, this bound is another one.",
    wrong=[
        (0.01, "default"),
        (0.03, "too little"),
        (0.0557, "largest slope"),
        (0.096, "too little"),
        (0.107, "too much"),
        (0.1 / 0.9, "grows like"),
        (0.3, "too much"),
        (-0.1, "positive"),
        ("small", "not numbers"),
    ],
)
def _wgan_dial(answer: Any) -> None:
    c = float(numbers(getattr(answer, "value", answer), ()))
    expect(c > 0, "A clip bound is positive.")
    expect(c != 0.01, "This is the default: there the critic earns a thousandth of the distance.")
    expect(
        not 0.054 < c < 0.057,
        "Here the largest slope is 1, but no clipped network is steep everywhere.",
    )
    expect(
        not 0.1105 < c < 0.1115,
        "Here the critic earns too much: the ratio grows like the third power of c, not like c.",
    )
    expect(c > 0.097, "Here the critic still earns too little: look where the curve crosses 1.")
    expect(c < 0.106, "Here the critic earns too much: look where the curve crosses 1.")


def _close(got: float, right: float) -> bool:
    return math.isclose(got, right, rel_tol=1e-6, abs_tol=1e-9)
