"""Checks of the page "What generative models are for"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy, softplus

from gan_course.check import exercise, expect, numbers

# --- simulated data that pretend to be data -------------------------------------------------------


def _pooled(p: float, n: int, m: int) -> float:
    return p * (1 - p) / n * (1 + m * (n - 1) / (n + m) ** 2)


def _uncorrelated(p: float, n: int, m: int) -> float:
    """The pooled mean's variance as if the real and the simulated mean were uncorrelated."""
    real = p * (1 - p) / n
    simulated = real + p * (1 - p) * (1 - 1 / n) / m
    return (n**2 * real + m**2 * simulated) / (n + m) ** 2


@exercise(
    "uses-pooled-variance",
    praise="Never below p(1 - p)/n: the simulated tosses only add noise, however many they are.",
    wrong=[
        (lambda p, n, m: p * (1 - p) / (n + m), "as if"),
        (lambda p, n, m: p * (1 - p) / n, "noise of their own"),
        (lambda p, n, m: p * (1 - p) * (1 / n + m / (n + m) ** 2), "(1 - 1/n)"),
        (lambda p, n, m: p * (1 - p) / n * (1 + (n - 1) / m), "share m/(n + m)"),
        (_uncorrelated, "covariance"),
        (lambda p, n, m: math.sqrt(_pooled(p, n, m)), "standard deviation"),
        (lambda p, n, m: 0.0, "law of total variance"),
    ],
)
def _uses_pooled_variance(pooled_variance: Callable[..., Any]) -> None:
    for p, n, m in ((0.3, 10, 40), (0.5, 50, 50), (0.9, 7, 1000)):
        got, right, v = float(numbers(pooled_variance(p, n, m), ())), _pooled(p, n, m), p * (1 - p)
        for slip, hint in (
            (v / (n + m), "This is the variance as if all n + m tosses were real."),
            (v / n, "This is the real mean's; the simulated tosses add noise of their own."),
            (
                v * (1 / n + m / (n + m) ** 2),
                "The tosses are simulated with the estimate h; E h(1 - h) = p(1 - p)(1 - 1/n).",
            ),
            (
                v / n * (1 + (n - 1) / m),
                "The simulated mean enters with its share m/(n + m) only, squared in a variance.",
            ),
            (
                _uncorrelated(p, n, m),
                "The simulated mean follows the real one: their covariance p(1 - p)/n is missing.",
            ),
            (math.sqrt(right), "This is the standard deviation; wanted is the variance."),
        ):
            expect(not _close(got, slip), hint)
        expect(
            _close(got, right),
            "Use the law of total variance: given the real mean h, the pooled mean has mean h.",
        )


# --- K + 1 classes --------------------------------------------------------------------------------


def _logit(logits: torch.Tensor) -> torch.Tensor:
    return logits.logsumexp(-1)


def _k_plus_one(
    labeled: torch.Tensor, y: torch.Tensor, unlabeled: torch.Tensor, fake: torch.Tensor
) -> torch.Tensor:
    adversarial = softplus(-_logit(unlabeled)).mean() + softplus(_logit(fake)).mean()
    return cross_entropy(labeled, y) + adversarial


def _naive(
    labeled: torch.Tensor, y: torch.Tensor, unlabeled: torch.Tensor, fake: torch.Tensor
) -> torch.Tensor:
    real, made = unlabeled.exp().sum(-1), fake.exp().sum(-1)
    adversarial = -(real / (real + 1)).log().mean() - (1 / (made + 1)).log().mean()
    return cross_entropy(labeled, y) + adversarial


def _with_zero(logits: torch.Tensor) -> torch.Tensor:
    return torch.cat([logits, torch.zeros_like(logits[:, :1])], -1)


SLIPS: dict[str, Callable[..., torch.Tensor]] = {
    "A labeled point pays -log C, over K classes: leave out the logit 0 of the class K + 1.": (
        lambda la, y, u, f: _k_plus_one(_with_zero(la), y, u, f)
    ),
    "The logit of D is log Z, and Z has K terms: the 0 of class K + 1 is not among them.": (
        lambda la, y, u, f: _k_plus_one(la, y, _with_zero(u), _with_zero(f))
    ),
    "Class K + 1 has its logit 0 neither in the cross-entropy nor in Z: K terms in both.": (
        lambda la, y, u, f: _k_plus_one(_with_zero(la), y, _with_zero(u), _with_zero(f))
    ),
    "The sign of V: the loss is the cross-entropy minus V, which is negative.": (
        lambda la, y, u, f: 2 * cross_entropy(la, y) - _k_plus_one(la, y, u, f)
    ),
    "The labeled term is missing.": lambda la, y, u, f: (
        softplus(-_logit(u)).mean() + softplus(_logit(f)).mean()
    ),
    "The term of the unlabeled points is missing.": lambda la, y, u, f: (
        cross_entropy(la, y) + softplus(_logit(f)).mean()
    ),
    "The term of the generated points is missing.": lambda la, y, u, f: (
        cross_entropy(la, y) + softplus(-_logit(u)).mean()
    ),
    "Real and generated are exchanged: D is to be near 1 on unlabeled data.": lambda la, y, u, f: (
        cross_entropy(la, y) + softplus(_logit(u)).mean() + softplus(-_logit(f)).mean()
    ),
    "The logit of D is log Z, with Z a sum of exponentials: not the sum of the logits.": (
        lambda la, y, u, f: (
            cross_entropy(la, y) + softplus(-u.sum(-1)).mean() + softplus(f.sum(-1)).mean()
        )
    ),
    "The logit of D is log Z; the largest logit is only near it.": lambda la, y, u, f: (
        cross_entropy(la, y) + softplus(-u.amax(-1)).mean() + softplus(f.amax(-1)).mean()
    ),
    "The logit of D is log Z, not Z.": lambda la, y, u, f: (
        cross_entropy(la, y) + softplus(-u.exp().sum(-1)).mean() + softplus(f.exp().sum(-1)).mean()
    ),
    "A sum over the batch: take the mean of each term.": lambda la, y, u, f: (
        cross_entropy(la, y, reduction="sum")
        + softplus(-_logit(u)).sum()
        + softplus(_logit(f)).sum()
    ),
}


@exercise(
    "uses-k-plus-one",
    praise="Remove the first term, and this is the discriminator's loss of an ordinary GAN.",
    wrong=[
        *((slip, hint) for hint, slip in SLIPS.items()),
        (_naive, "overflow"),
        (lambda *logits: -_k_plus_one(*logits), "mean of the cross-entropy"),
        (lambda la, y, u, f: None, "return"),
    ],
)
def _uses_k_plus_one(k_plus_one_loss: Callable[..., Any]) -> None:
    generator = torch.Generator().manual_seed(2)
    logits = 1.5 * torch.randn(3, 12, 4, generator=generator, dtype=torch.float64)
    batch = logits[0, :6], torch.arange(6) % 4, logits[1], logits[2, :9]
    got = float(numbers(k_plus_one_loss(*batch), ()))
    for hint, slip in SLIPS.items():
        expect(not _close(got, float(slip(*batch))), hint)
    expect(
        _close(got, float(_k_plus_one(*batch))),
        "Add the mean of the cross-entropy of the labeled points over the K classes, and the "
        "means of -log D on unlabeled and of -log(1 - D) on generated points.",
    )
    sure = tuple(1000 * part if part.is_floating_point() else part for part in batch)
    far = float(numbers(k_plus_one_loss(*sure), (), nan=True))
    expect(
        math.isfinite(far) and _close(far, float(_k_plus_one(*sure))),
        f"At logits of a few thousand you return {far}: exponentials overflow; "
        "torch.logsumexp and softplus do not.",
    )


# --- the worst perturbation of a linear classifier ------------------------------------------------

Array = NDArray[np.float64]
Labels = NDArray[np.int64]


def _margins(W: Array, b: Array, x: Array, y: Labels, order: float, eps: float) -> Array:
    """Margins to the other classes after the worst perturbation, shape ``(n, K)``."""
    scores = x @ W.T + b
    gaps = W[y][:, None] - W
    lost = eps * np.linalg.norm(gaps, ord=order, axis=-1)
    margins = np.take_along_axis(scores, y[:, None], 1) - scores - lost
    margins[np.arange(len(y)), y] = np.inf
    return margins


def _robust(order: float) -> Callable[..., NDArray[np.bool_]]:
    return lambda W, b, x, y, eps: np.all(_margins(W, b, x, y, order, eps) > 0, axis=1)


def _runner_up_only(W: Array, b: Array, x: Array, y: Labels, eps: float) -> NDArray[np.bool_]:
    rows = np.arange(len(y))
    nearest = _margins(W, b, x, y, 1, 0.0).argmin(1)
    return np.greater(_margins(W, b, x, y, 1, eps)[rows, nearest], 0)


def _own_weights(W: Array, b: Array, x: Array, y: Labels, eps: float) -> NDArray[np.bool_]:
    margins = _margins(W, b, x, y, 1, 0.0)
    return np.greater(margins.min(1), eps * np.abs(W[y]).sum(1))


def _clean(W: Array, b: Array, x: Array, y: Labels, eps: float) -> NDArray[np.bool_]:
    return (x @ W.T + b).argmax(1) == y


def _vulnerable(W: Array, b: Array, x: Array, y: Labels, eps: float) -> NDArray[np.bool_]:
    return ~_robust(1)(W, b, x, y, eps)


def _question() -> tuple[Array, Array, Array, NDArray[np.int64], float]:
    """A random linear classifier; every slip in `MISTAKEN` answers it otherwise."""
    rng = np.random.default_rng(5)
    W, b, x = rng.normal(size=(4, 6)), rng.normal(size=4), rng.normal(size=(400, 6))
    W *= np.array([[0.2], [0.2], [0.2], [2.0]])  # three react weakly, one strongly
    return W, b, x, (x @ W.T + b + 0.3 * rng.normal(size=(400, 4))).argmax(1), 0.15


def _tied() -> tuple[Array, Array, Array, NDArray[np.int64], float]:
    """The worst attack brings the first point to a tie, exactly; the second stays safe."""
    W, x = np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.5, 0.0], [0.75, 0.0]])
    return W, np.zeros(2), x, np.zeros(2, dtype=np.int64), 0.5


def _ties_too(W: Array, b: Array, x: Array, y: Labels, eps: float) -> NDArray[np.bool_]:
    return np.all(_margins(W, b, x, y, 1, eps) >= 0, axis=1)


def _unbiased(W: Array, b: Array, x: Array, y: Labels, eps: float) -> NDArray[np.bool_]:
    return _robust(1)(W, 0 * b, x, y, eps)


def _own_class_too(W: Array, b: Array, x: Array, y: Labels, eps: float) -> NDArray[np.bool_]:
    return np.zeros(len(x), dtype=bool)  # the gap of class y to itself is 0, never positive


MISTAKEN: dict[str, Callable[..., NDArray[np.bool_]]] = {
    "No point is safe by your answer: is class y among its own rivals, with the gap 0?": (
        _own_class_too
    ),
    "These are the points that are classified rightly; none is perturbed yet.": _clean,
    "You return the points that can be moved: wanted is True where none of the attacks works.": (
        _vulnerable
    ),
    "You used the Euclidean norm: over a cube the worst case is the sum of absolute values.": (
        _robust(2)
    ),
    "You used the largest weight: every pixel moves by eps, so all absolute values add up.": (
        _robust(np.inf)
    ),
    "Scores of both classes move: what counts is the difference of their weights.": _own_weights,
    "Another class than the nearest one may be reached first: look at all of them.": (
        _runner_up_only
    ),
    "The scores are W x + b: the biases are missing.": _unbiased,
}


@exercise(
    "uses-worst-case",
    praise="A certificate: for a linear classifier no attack can do more.",
    wrong=[
        *((slip, hint) for hint, slip in MISTAKEN.items()),
        (lambda W, b, x, y, eps: _margins(W, b, x, y, 1, eps), "shape"),
        (lambda W, b, x, y, eps: np.full(len(x), True), "margin to each other class"),
        (_ties_too, "tie"),
    ],
)
def _uses_worst_case(robust: Callable[..., Any]) -> None:
    W, b, x, y, eps = _question()
    got = numbers(robust(W, b, x, y, eps), (len(x),))
    for hint, slip in MISTAKEN.items():
        expect(not np.array_equal(got, slip(W, b, x, y, eps)), hint)
    expect(
        np.array_equal(got, _robust(1)(W, b, x, y, eps)),
        "A point is safe if its margin to each other class k exceeds eps |w_y - w_k|_1.",
    )
    expect(
        np.array_equal(numbers(robust(*_tied()), (2,)), [False, True]),
        "A tie does not count: the margin must exceed what the attack takes, not just equal it.",
    )


# --- between the mean and a sample ----------------------------------------------------------------


@exercise(
    "uses-blend",
    praise="A tenth of the way from the mean to a sample costs one percent more error, and buys "
    "one percent of the missing sharpness: both grow with t squared.",
    wrong=[
        (lambda t: 1 + t, "squared"),
        (lambda t: (1 + t) ** 2, "cross term"),
        (lambda t: t**2, "t = 0"),
        (lambda t: 1 - t**2, "grows"),
        (lambda t: (1 - t) ** 2 + 2 * t**2, "x itself"),
        (lambda t: 1 + t**3, "Expand"),
    ],
)
def _uses_blend(blend_error: Callable[..., Any]) -> None:
    for t in (0.0, 0.1, 0.5, 1.0):
        got = float(numbers(blend_error(t), ()))
        expect(t > 0 or _close(got, 1), "At t = 0 the blend is the conditional mean: the factor 1.")
    for t in (0.3, 0.7):
        got = float(numbers(blend_error(t), ()))
        for slip, hint in (
            (1 + t, "A distance enters squared, and t with it."),
            ((1 + t) ** 2, "The cross term vanishes: given y, the two errors are uncorrelated."),
            (1 - t**2, "The error grows with t: the conditional mean is the best there is."),
            (
                (1 - t) ** 2 + 2 * t**2,
                "You added the squared errors of the two parts, but both contain x itself.",
            ),
        ):
            expect(not _close(got, slip), hint)
        expect(
            _close(got, 1 + t * t),
            "Expand |(x - f*) - t (x_hat - f*)|^2, where given y both terms are independent, "
            "with mean 0.",
        )


def _close(got: float, right: float) -> bool:
    return math.isclose(got, right, rel_tol=1e-6, abs_tol=1e-9)
