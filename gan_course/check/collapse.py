"""Checks of the page "Mode collapse"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from gan_course.check import exercise, expect, numbers

Array = NDArray[np.float64]

# --- captured modes -------------------------------------------------------------------------------


def _distances(samples: Array, centers: Array) -> Array:
    return np.asarray(np.linalg.norm(samples[:, None] - centers, axis=-1))


def _captured(radius: float = 3.0, order: float = 2) -> Callable[[Array, Array, float], int]:
    """Count centers with a sample within `radius` standard deviations, in the norm of an order."""

    def captured(samples: Array, centers: Array, std: float) -> int:
        gaps = np.linalg.norm(samples[:, None] - centers, ord=order, axis=-1)
        return int((gaps <= radius * std).any(0).sum())

    return captured


def _nearest(samples: Array, centers: Array, std: float) -> int:
    return len(np.unique(_distances(samples, centers).argmin(1)))


def _squared(factor: float) -> Callable[[Array, Array, float], int]:
    """Count centers with a sample at a squared distance of at most `factor` std."""

    def captured(samples: Array, centers: Array, std: float) -> int:
        return int((_distances(samples, centers) ** 2 <= factor * std).any(0).sum())

    return captured


def _good(samples: Array, centers: Array, std: float) -> int:
    return int((_distances(samples, centers).min(1) <= 3 * std).sum())


def _all(samples: Array, centers: Array, std: float) -> int:
    return int((_distances(samples, centers) <= 3 * std).all(0).sum())


COUNTS: dict[str, Callable[[Array, Array, float], float]] = {
    "These are high-quality samples; wanted is the number of modes that have one.": _good,
    "A mode also counts as captured here if its samples are far off: look within 3 std.": _nearest,
    "This is the number of all modes; wanted is the number of captured ones.": (
        lambda samples, centers, std: len(centers)
    ),
    "You compared a squared distance with 3 std.": _squared(3),
    "You compared a squared distance with 9 std: the square of 3 std is 9 std ** 2.": _squared(9),
    "You compared the distance with 9 std: 9 std ** 2 is for its square.": _captured(9.0),
    "You took the radius 3, whatever std: it is 3 std.": (
        lambda samples, centers, std: _captured()(samples, centers, 1.0)
    ),
    "You multiplied by the variance: the radius is 3 std.": (
        lambda samples, centers, std: _captured()(samples, centers, std**2)
    ),
    "You took one std; high quality means within 3.": _captured(1.0),
    "Each coordinate within 3 std is not enough: take the distance.": _captured(order=np.inf),
    "You added the coordinates' distances: take the Euclidean distance.": _captured(order=1),
    "One high-quality sample captures a mode; they need not all lie there.": _all,
    "Captured is not held: one sample is enough, whatever its share of all of them.": (
        lambda samples, centers, std: int(
            ((_distances(samples, centers) <= 3 * std).mean(0) >= 1 / (4 * len(centers))).sum()
        )
    ),
    "This is the share of captured modes; wanted is their number.": (
        lambda samples, centers, std: _captured()(samples, centers, std) / len(centers)
    ),
}
"""What to say where the count is that of a known slip."""


@exercise(
    "collapse-captured",
    praise="One stray sample is enough, which is why this number says little alone.",
    wrong=[
        *((slip, hint) for hint, slip in COUNTS.items()),
        (lambda samples, centers, std: 2 * _captured()(samples, centers, std), "at least one"),
        (
            lambda samples, centers, std: np.ones(len(centers)),
            "has shape (13,), wanted is a single number.",
        ),
    ],
)
def _collapse_captured(captured: Callable[..., Any]) -> None:
    centers, std = np.array([[8.0 * i, -6.0 * i] for i in range(13)]), 0.5
    offsets = (  # mode and shift in std; each slip counts another number
        (0, (0.5, 0.0)), (0, (0.2, 0.1)), (1, (0.0, -1.2)), (2, (2.2, 0.1)), (3, (1.6, -1.6)),
        (4, (2.0, 2.0)), (5, (-2.7, 1.0)), (5, (1.9, 1.9)), (6, (2.5, 2.5)), (7, (0.0, 4.0)),
        (8, (-5.0, 0.0)), (9, (6.0, 5.0)), (10, (0.0, 12.0)), (0, (0.0, -0.4)), (0, (0.3, 0.3)),
        (1, (-0.9, 0.9)), (1, (0.0, 1.3)), (3, (-1.7, 1.7)), (4, (-2.1, 1.9)),
    )  # fmt: skip
    placed = [centers[mode] + std * np.array(shift) for mode, shift in offsets]
    often = [placed[k] for k in (0, 2, 3, 4, 5)]  # so that single samples are small shares
    samples = np.array(300 * often + placed)
    got = float(numbers(captured(samples, centers, std), ()))
    for hint, slip in COUNTS.items():
        expect(got != slip(samples, centers, std), hint)
    expect(
        got == _captured()(samples, centers, std),
        "Count the centers that have at least one sample at Euclidean distance at most 3 std.",
    )


# --- the ceiling of the high-quality share --------------------------------------------------------


@exercise(
    "collapse-ceiling",
    praise="In 10 dimensions less than half of the true samples are of high quality: read a share "
    "beside its ceiling.",
    wrong=[
        (lambda d: 1 - math.exp(-4.5), "d = 2 only"),
        (lambda d: (2 * stats.norm.cdf(3) - 1) ** d, "cube"),
        (lambda d: stats.chi2.cdf(3, d), "squared"),
        (lambda d: stats.chi2.sf(9, d), "outside"),
        (lambda d: 2 * stats.norm.cdf(3) - 1, "d = 1 only"),
        (lambda d: stats.chi2.cdf(9, 2 * d), "chi-square"),
        (lambda d: 1.0, "tail"),
        (lambda d: 1 - math.exp(-9 * d / 4), "The radius is 3, whatever d"),
        (lambda d: stats.chi2.cdf(9 * d, d), "The radius is 3, whatever d"),
        (lambda d: stats.chi.cdf(9, d), "norm itself"),
        (lambda d: 1 - math.exp(-9 * d / 4) if d > 2 else stats.chi2.cdf(9, d), "d degrees"),
    ],
)
def _collapse_ceiling(ceiling: Callable[..., Any]) -> None:
    slips: tuple[tuple[str, Callable[[int], float]], ...] = (
        ("This is right for d = 2 only.", lambda d: 1 - math.exp(-4.5)),
        ("This is right for d = 1 only.", lambda d: 2 * stats.norm.cdf(3) - 1),
        (
            "This is the share in a cube, each coordinate within 3; wanted is the ball.",
            lambda d: (2 * stats.norm.cdf(3) - 1) ** d,
        ),
        (
            "The chi-square variable is the squared norm: compare it with 3 squared.",
            lambda d: stats.chi2.cdf(3, d),
        ),
        (
            "This is the share outside; wanted is the share within 3 std.",
            lambda d: stats.chi2.sf(9, d),
        ),
        ("Normal distributions have a tail beyond every radius.", lambda d: 1.0),
        ("The radius is 3, whatever d.", lambda d: 1 - math.exp(-9 * d / 4)),
        ("The radius is 3, whatever d.", lambda d: stats.chi2.cdf(9 * d, d)),
        (
            "chi is the distribution of the norm itself: compare it with 3, not with 9.",
            lambda d: stats.chi.cdf(9, d),
        ),
    )
    got = {d: float(numbers(ceiling(d), ())) for d in (1, 2, 3, 10, 40)}
    for hint, slip in slips:
        expect(not all(_close(value, float(slip(d))) for d, value in got.items()), hint)
    expect(
        all(_close(value, float(stats.chi2.cdf(9, d))) for d, value in got.items()),
        "The squared norm of d standard normal coordinates is chi-square with d degrees.",
    )


# --- KL divergence over modes ---------------------------------------------------------------------


def _kl(counts: Array) -> float:
    shares = np.asarray(counts)[np.asarray(counts) > 0] / np.sum(counts)
    return float((shares * np.log(len(counts) * shares)).sum())


def _naive_kl(counts: Array) -> float:
    shares = counts / counts.sum()
    return float((shares * np.log(len(counts) * shares)).sum())


def _reverse_kl(counts: Array) -> float:
    shares = counts / counts.sum()
    return float((np.log(1 / (len(counts) * shares)) / len(counts)).sum())


@exercise(
    "collapse-kl",
    praise="It is finite where modes are missing; the other direction is infinite there.",
    wrong=[
        (_naive_kl, "0 log 0"),
        (_reverse_kl, "other direction"),
        (lambda n: _kl(n) / math.log(2), "natural"),
        (lambda n: math.log(len(n)) - _kl(n), "entropy"),
        (lambda n: _kl(n[n > 0]), "k counts all modes"),
        (lambda n: -_kl(n), "sign"),
        (lambda n: n.sum() * _kl(n), "sum to 1"),
        (lambda n: 0.5 * np.abs(n / n.sum() - 1 / len(n)).sum(), "total variation"),
    ],
)
def _collapse_kl(kl_over_modes: Callable[..., Any]) -> None:
    full, holes = np.array([30.0, 10.0, 5.0, 5.0]), np.array([6.0, 0.0, 1.0, 0.0, 0.0])
    got, right = float(numbers(kl_over_modes(full), ())), _kl(full)
    for slip, hint in (
        (_reverse_kl(full), "This is the other direction, KL(w || pi)."),
        (-right, "Check the sign: a KL divergence is not negative."),
        (right / math.log(2), "Use the natural logarithm."),
        (math.log(4) - right, "This is the entropy of the frequencies: subtract it from log k."),
        (50 * right, "Turn counts into frequencies, which sum to 1, first."),
        (0.35, "This is the total variation distance."),
    ):
        expect(not _close(got, slip), hint)
    expect(_close(got, right), "Sum pi_i log(k pi_i) over the k modes.")
    got, right = float(numbers(kl_over_modes(holes), (), nan=True)), _kl(holes)
    expect(math.isfinite(got), "At a mode without samples 0 log 0 is 0, not a NaN.")
    expect(
        not _close(got, _kl(holes[holes > 0])), "k counts all modes, not the number of those hit."
    )
    expect(_close(got, right), "Modes without samples add nothing to the sum; k counts them.")


# --- the generator's best reply -------------------------------------------------------------------


@exercise(
    "collapse-reply",
    praise="Against a critic that stands still, all mass goes where D is largest.",
    wrong=[
        (lambda D: np.exp(D) / np.exp(D).sum(), "all of the mass"),
        (lambda D: D / D.sum(), "all of the mass"),
        (lambda D: np.eye(len(D))[np.argmin(D)], "smallest"),
        (lambda D: np.argmax(D), "is a single number, wanted is shape (4,)."),
        (lambda D: np.full(len(D), 1 / len(D)), "Spreading"),
        (lambda D: (np.asarray(D) == np.max(D)) * 1.0, "sum to 1"),
        (lambda D: 2 * np.eye(len(D))[np.argmax(D)] - np.eye(len(D))[np.argmin(D)], "negative"),
    ],
)
def _collapse_reply(best_reply: Callable[..., Any]) -> None:
    for D in ([0.2, 0.9, 0.4, 0.1], [0.3, 0.8, 0.8], [0.7, 0.1, 0.2, 0.3, 0.6]):
        critic = np.array(D)
        q = numbers(best_reply(critic.copy()), critic.shape)
        worst, best = critic == critic.min(), critic == critic.max()
        expect((q >= -1e-9).all(), "Probabilities are not negative.")
        expect(abs(q.sum() - 1) < 1e-9, "Probabilities sum to 1, also where D has two maxima.")
        expect(not np.allclose(q, 1 / len(q)), "Spreading over all points is never better here.")
        expect(q[worst].sum() < 1 - 1e-9, "log(1 - D) falls in D: not where D is smallest.")
        expect(
            q[best].sum() > 1 - 1e-9,
            "A share away from the largest D costs: a best reply has all of the mass there.",
        )


# --- a detector of mode cycling -------------------------------------------------------------------


def _few(shares: Array) -> bool:
    k = shares.shape[1]
    return bool((shares >= 1 / (4 * k)).sum(1).mean() <= k / 2)


def _changes(shares: Array) -> int:
    return int((np.diff(shares.argmax(1)) != 0).sum())


def _restless(shares: Array) -> bool:
    return _changes(shares) >= shares.shape[1]


def _held(shares: Array) -> Array:
    return (shares >= 1 / (4 * shares.shape[1])).sum(1)


def _moved(shares: Array) -> int:
    return int(np.abs(np.diff(shares.argmax(1))).sum())


def _visits(shares: Array) -> int:
    return int((shares >= 1 / (4 * shares.shape[1])).any(0).sum())


def _histories() -> dict[str, Array]:
    """Histories of shares over four modes, 12 records each."""
    eye, even = np.eye(4), np.full((12, 4), 0.25)
    wobble = even + 0.02 * eye[np.arange(12) % 4] - 0.005
    two = 0.5 * (eye[np.arange(12) % 4] + eye[(np.arange(12) + 1) % 4])
    return {
        "cycling": 0.9 * eye[np.arange(12) % 4] + 0.025,
        "two at a time": 0.9 * two + 0.025,
        "back and forth": 0.9 * eye[np.arange(12) % 2] + 0.025,
        "once around": 0.9 * eye[np.array([0, 0, 0, 1, 1, 2, 2, 3, 3, 0, 0, 0])] + 0.025,
        "one pass": 0.9 * eye[np.arange(12) // 3] + 0.025,
        "collapsed": 0.9 * eye[np.zeros(12, int)] + 0.025,
        "leader of all": 0.8 * eye[np.arange(12) % 4] + 0.2 / 3 * (1 - eye[np.arange(12) % 4]),
        "full": wobble,
        "small shares": 0.8 * eye[np.arange(12) % 4] + 0.05,
        "shares at the limit": 0.75 * eye[np.arange(12) % 4] + 1 / 16,
        "three for once": np.vstack([[0.4, 0.3, 0.3, 0], eye[np.arange(11) % 4]]),
        "full at times": np.vstack([eye[np.arange(7) % 4], wobble[:5]]),
        "far and back": eye[np.array([0, 0, 0, 0, 3, 3, 3, 3, 0, 0, 0, 0])],
    }


@exercise(
    "collapse-cycles",
    praise="It tells a cycle from a collapse that stays, from one pass and from full coverage.",
    wrong=[
        (_restless, "all modes are held"),
        (_few, "never leaves"),
        (lambda s: _few(s) and _visits(s) == s.shape[1], "one pass"),
        (lambda s: _few(s) and _changes(s) >= s.shape[1] - 1, "one pass"),
        (lambda s: (s >= 1 / (4 * s.shape[1])).sum(1).max() <= 1 and _restless(s), "half"),
        (lambda s: _few(s) and _restless(s) and _visits(s) == s.shape[1], "leading mode changes"),
        (lambda s: _few(s) and _changes(s) > s.shape[1], "once around"),
        (lambda s: (s >= 1 / 8).sum(1).mean() <= 2 and _restless(s), "quarter"),
        (lambda s: (s >= 1 / 32).sum(1).mean() <= s.shape[1] / 2 and _restless(s), "this array"),
        (lambda s: (s > 1 / 16).sum(1).mean() <= s.shape[1] / 2 and _restless(s), "is held"),
        (lambda s: _held(s).max() <= s.shape[1] / 2 and _restless(s), "on average over"),
        (lambda s: np.median(_held(s)) <= s.shape[1] / 2 and _restless(s), "at most half of k"),
        (lambda s: _few(s) and _moved(s) >= s.shape[1], "not how far"),
        (lambda s: not (_few(s) and _restless(s)), "other way"),
        (lambda s: _changes(s), "True or False"),
    ],
)
def _collapse_cycles(cycles: Callable[..., Any]) -> None:
    histories = _histories()
    told = {}
    for name, shares in histories.items():
        value = cycles(shares.copy())
        boolean = isinstance(value, bool | np.bool_) or (
            hasattr(value, "dtype") and str(value.dtype).endswith("bool") and not value.shape
        )
        expect(boolean, "Answer True or False.")
        told[name] = bool(value)
    right = {name: _few(shares) and _restless(shares) for name, shares in histories.items()}
    expect(told != {name: not x for name, x in right.items()}, "It is the other way around.")
    for name, hint in (
        ("full", "A leader also changes by chance where all modes are held: ask for few held."),
        ("collapsed", "A generator that never leaves its mode does not cycle."),
        ("one pass", "This generator makes one pass over the modes and comes back to none."),
        ("leader of all", "Each share here is above a quarter of 1/k: all modes are held."),
        ("two at a time", "Up to half of the modes may be held at a time, on average."),
        ("back and forth", "What counts is that the leading mode changes k times: two suffice."),
        ("once around", "Here the leader goes once around: k changes are enough."),
        ("cycling", "This one holds one of four modes at a time, and comes back to each."),
        ("small shares", "A mode is held from 1/(4k) on, with the k of this array."),
        ("shares at the limit", "A mode with a share of exactly 1/(4k) is held, too."),
        ("three for once", "What counts is the number held on average over the records."),
        ("full at times", "Take the mean over records of the number held, and at most half of k."),
        ("far and back", "Count how often the leader changes, not how far it moves."),
    ):
        expect(told[name] == right[name], hint)


def _close(got: float, right: float) -> bool:
    return math.isclose(got, right, rel_tol=1e-6, abs_tol=1e-9)
