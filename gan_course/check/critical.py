"""Checks of the page "What is critical?"."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]
Pairs = list[tuple[str, str]]

# --- main effects ---------------------------------------------------------------------------------


def _effects(scores: Array) -> tuple[Array, Array]:
    logs = np.log(scores)
    return logs.mean(1) - logs.mean(), logs.mean(0) - logs.mean()


SLIPS: dict[str, Callable[[Array], tuple[Array, Array]]] = {
    "The order: losses first, regularizers second.": lambda s: _effects(s)[::-1],
    "These are effects on the scores; wanted are those on their logarithm.": (
        lambda s: (s.mean(1) - s.mean(), s.mean(0) - s.mean())
    ),
    "The logarithm comes first: the mean of logarithms is not the logarithm of the mean.": (
        lambda s: (np.log(s.mean(1) / s.mean()), np.log(s.mean(0) / s.mean()))
    ),
    "These are the means of rows and columns; the mean of all has to come off.": (
        lambda s: (np.log(s).mean(1), np.log(s).mean(0))
    ),
    "The sign: an effect is the row's mean minus the mean of all.": (
        lambda s: (-_effects(s)[0], -_effects(s)[1])
    ),
    "Compare with the mean of all, and not with the first row and the first column.": (
        lambda s: (
            np.log(s).mean(1) - np.log(s).mean(1)[0],
            np.log(s).mean(0) - np.log(s).mean(0)[0],
        )
    ),
}
"""What to say where the effects are those of a known slip."""


@exercise(
    "critical-effects",
    praise="Each of the two sums to zero, and both come from one table.",
    wrong=[
        *((slip, hint) for hint, slip in SLIPS.items()),
        (lambda s: (_effects(s)[0] / np.log(10), _effects(s)[1] / np.log(10)), "natural"),
        (lambda s: (_effects(s)[0] / np.log(2), _effects(s)[1] / np.log(2)), "natural"),
        (lambda s: _effects(s)[0], "pair"),
        (lambda s: (np.zeros(len(s)), _effects(s)[1]), "losses' effects"),
        (lambda s: (_effects(s)[0], np.zeros(s.shape[1])), "regularizers' effects"),
    ],
)
def _critical_effects(main_effects: Callable[[Array], Any]) -> None:
    scores = np.exp(np.random.default_rng(3).normal(size=(3, 5)))
    result = main_effects(scores.copy())
    pair = isinstance(result, tuple | list) and len(result) == 2
    expect(pair, "Return a pair: `return losses, regularizers`.")
    right = _effects(scores)

    def same(wanted: tuple[Array, Array]) -> bool:
        found = [numbers(part) for part in result]
        return all(
            part.shape == other.shape and np.allclose(part, other)
            for part, other in zip(found, wanted, strict=True)
        )

    for hint, slip in SLIPS.items():
        expect(not same(slip(scores)), hint)
    for base in (2, 10):
        expect(
            not same((right[0] / np.log(base), right[1] / np.log(base))),
            "Use the natural logarithm.",
        )
    losses, regularizers = (
        numbers(part, wanted.shape) for part, wanted in zip(result, right, strict=True)
    )
    expect(
        np.allclose(losses, right[0]),
        "The losses' effects are not right: a row's mean logarithm minus that of all.",
    )
    expect(
        np.allclose(regularizers, right[1]),
        "The regularizers' effects are not right: a column's mean logarithm minus that of all.",
    )


# --- which comparisons decide ---------------------------------------------------------------------


def _decides(pairs: Pairs) -> bool:
    groups: list[set[tuple[str, str]]] = []
    for loss, regularizer in pairs:
        edge = {("loss", loss), ("regularizer", regularizer)}
        joined = [group for group in groups if group & edge]
        groups = [group for group in groups if group not in joined] + [edge.union(*joined)]
    return sum(any(kind == "loss" for kind, _ in group) for group in groups) == 1


def _names_mixed(pairs: Pairs) -> bool:
    reached = {pairs[0][0]}
    for _ in range(2 * len(pairs)):
        for pair in pairs:
            if set(pair) & reached:
                reached |= set(pair)
    return all(loss in reached for loss, _ in pairs)


def _one_pass(pairs: Pairs) -> bool:
    reached = {pairs[0][0]}
    regularizers = {pairs[0][1]}
    for loss, regularizer in pairs:
        if loss in reached or regularizer in regularizers:
            reached.add(loss)
            regularizers.add(regularizer)
    return all(loss in reached for loss, _ in pairs)


def _enough(pairs: Pairs) -> bool:
    losses, regularizers = ({pair[k] for pair in pairs} for k in (0, 1))
    return len(set(pairs)) >= len(losses) + len(regularizers) - 1


def _shared(pairs: Pairs) -> bool:
    """Whether one regularizer was run with all losses."""
    losses = {loss for loss, _ in pairs}
    columns = {r: {loss for loss, other in pairs if other == r} for _, r in pairs}
    return any(found == losses for found in columns.values())


def _full(pairs: Pairs) -> bool:
    losses, regularizers = ({pair[k] for pair in pairs} for k in (0, 1))
    return len(set(pairs)) == len(losses) * len(regularizers)


GAN, NS, WGAN, HINGE = "minimax", "non-saturating", "Wasserstein", "hinge"
NONE, CLIP, R1, GP = "none", "clipping", "R1", "WGAN-GP"
CASES: list[tuple[Pairs, str]] = [
    (
        [(NS, NONE), (WGAN, CLIP)],
        "The non-saturating GAN alone and the clipped Wasserstein GAN alone decide nothing.",
    ),
    ([(GAN, NONE), (WGAN, NONE)], "One regularizer, two losses: that decides."),
    ([(GAN, NONE), (GAN, R1), (GAN, CLIP)], "With one loss there is no difference left open."),
    (
        [(GAN, NONE), (GAN, CLIP), (WGAN, CLIP), (WGAN, R1), (NS, R1)],
        "No regularizer is common to all losses here, and yet a chain of differences decides: "
        "GAN and WGAN share clipping, WGAN and NS share R1.",
    ),
    (
        [(NS, R1), (GAN, NONE), (WGAN, CLIP), (GAN, CLIP), (WGAN, R1)],
        "Go through the list more than once: a link may stand before the pair that reaches it.",
    ),
    (
        [(GAN, NONE), (GAN, CLIP), (WGAN, NONE), (WGAN, CLIP), (NS, R1), (NS, GP), (HINGE, R1)],
        "Seven scores for seven unknowns (three and three differences, and a level) may still "
        "decide nothing, if they fall into two groups without a link.",
    ),
    (
        [("A", "A"), ("B", "B"), ("A", "C")],
        "A loss and a regularizer may have the same name: keep the two kinds apart.",
    ),
    (
        [("A", "B"), ("B", "C")],
        "A loss and a regularizer may have the same name: keep the two kinds apart.",
    ),
    ([(GAN, NONE), (WGAN, NONE), (WGAN, NONE)], "A pair that was run twice counts as one."),
]
"""Lists of pairs, and what to say to an answer that misjudges them."""


@exercise(
    "critical-decides",
    praise="Effects that add up can be compared along any chain of pairs.",
    wrong=[
        (lambda pairs: True, "decide nothing"),
        (lambda pairs: False, "One regularizer, two losses"),
        (_shared, "chain of differences"),
        (_full, "chain of differences"),
        (_one_pass, "more than once"),
        (_enough, "two groups"),
        (_names_mixed, "same name"),
        (lambda pairs: None, "True or False"),
        (lambda pairs: "yes", "True or False"),
        (lambda pairs: len(pairs), "True or False"),
    ],
)
def _critical_decides(decides: Callable[[Pairs], Any]) -> None:
    for pairs, hint in CASES:
        found = decides(list(pairs))
        expect(isinstance(found, bool | np.bool_), "Return True or False.")
        expect(bool(found) == _decides(pairs), hint)
    rng = np.random.default_rng(1)
    for _ in range(200):
        count = int(rng.integers(1, 9))
        drawn = [(f"loss {rng.integers(4)}", f"penalty {rng.integers(4)}") for _ in range(count)]
        expect(decides(list(drawn)) == _decides(drawn), f"Try it on {drawn}.")


# --- how small is small ---------------------------------------------------------------------------


def _bound(W1: float, R: float, slope: float, M: float, tolerance: float) -> float:
    return 4 * slope * tolerance * W1 / (M * R**2)


BOUNDS: dict[str, Callable[[float, float, float, float, float], float]] = {
    "The error is relative: compare it with tolerance times W_1.": (
        lambda W1, R, slope, M, tolerance: 4 * slope * tolerance / (M * R**2)
    ),
    "The diameter enters squared.": (
        lambda W1, R, slope, M, tolerance: 4 * slope * tolerance * W1 / (M * R)
    ),
    "f'(0) is missing: the value is divided by it.": (
        lambda W1, R, slope, M, tolerance: 4 * tolerance * W1 / (M * R**2)
    ),
    "A factor 4 is missing, the one below M R^2.": (
        lambda W1, R, slope, M, tolerance: slope * tolerance * W1 / (M * R**2)
    ),
    "This is the error at a bound of 1; solve for the bound.": (
        lambda W1, R, slope, M, tolerance: M * R**2 / (4 * slope)
    ),
    "You divide where you should multiply: a larger tolerance allows a larger bound.": (
        lambda W1, R, slope, M, tolerance: 4 * slope * W1 / (tolerance * M * R**2)
    ),
    "That is the bound for the minimax loss; slope and M are those of any loss.": (
        lambda W1, R, slope, M, tolerance: 8 * tolerance * W1 / R**2
    ),
    "Upside down: this is one over the bound.": (
        lambda W1, R, slope, M, tolerance: M * R**2 / (4 * slope * tolerance * W1)
    ),
}
"""What to say where the bound is that of a known slip."""


@exercise(
    "critical-bound",
    praise="With R fixed the bound shrinks like W_1: near the goal the theorem promises less.",
    wrong=[
        *((slip, hint) for hint, slip in BOUNDS.items()),
        (lambda W1, R, slope, M, tolerance: 2.0, "right side"),
    ],
)
def _critical_bound(largest_bound: Callable[..., Any]) -> None:
    cases = [(1.3, 2.5, 0.5, 0.25, 0.1), (0.4, 1.7, 0.9, 0.6, 0.07)]
    found = [float(numbers(largest_bound(*case), ())) for case in cases]
    for hint, slip in BOUNDS.items():
        expect(not np.allclose(found, [slip(*case) for case in cases]), hint)
    expect(
        np.allclose(found, [_bound(*case) for case in cases]),
        "Set the right side of the theorem's inequality equal to tolerance times W_1.",
    )
