"""Empirical statements with an estimate, an interval over seeds and a verdict.

A claim compares what was measured on many seeds with a threshold that was fixed before. It
*holds* when its 99.9 % interval clears the threshold, it is *false* when the interval lies wholly
on the other side, and otherwise it is *undecided*. A claim that is not what its author expects
raises, and so stops the page.

Intervals. Seeds are independent draws, so a mean over seeds takes Student's t interval: exact for
normal values. For skewed ones it is only approximate: at 16 half-normal values the upper end of the
99.9 % interval lies below the mean in 0.45 % of cases instead of 0.05 %, so thresholds are set with
room. A count of successes is binomial and takes the Clopper-Pearson interval, which inverts the
exact binomial test: its coverage is never below its level, also at 0 or at all of n, where t
would give an interval of width zero.

Prose never holds a typed number: it quotes a claim's or a value's key.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from gan_course.runtime import base_seed, is_smoke, is_static

__all__ = [
    "Claim",
    "ClaimError",
    "clopper_pearson",
    "count",
    "exact",
    "mean",
    "measured",
    "student_t",
    "verdicts",
]

Verdict = Literal["holds", "undecided", "false", "not judged"]
Interval = tuple[float, float]

GLUE_PREFIX = "claim:"
DISPLAY_LEVEL, VERDICT_LEVEL = 0.95, 0.999

_published: dict[str, Claim] = {}  # of this kernel, in the order of measurement


class ClaimError(AssertionError):
    """The measurement does not give the verdict that the page's author expects."""


@dataclass(frozen=True)
class Claim:
    """One claim as measured: everything that the ledger shows."""

    key: str
    sentence: str
    estimate: float
    low: float
    high: float
    interval: str
    bound: str
    n_seeds: int
    verdict: Verdict
    expect: Verdict
    device: str
    base_seed: int

    @property
    def holds(self) -> bool:
        """Whether the 99.9 % interval clears the threshold."""
        return self.verdict == "holds"

    def __str__(self) -> str:
        return (
            f"Claim {self.key}: {self.verdict}. {self.sentence}\n"
            f"  {self.key} = {_number(self.estimate)}\n"
            f"  {self.key}-interval = {_number(self.low)} to {_number(self.high)} "
            f"(95 %, {self.interval})\n"
            f"  {self.key}-seeds = {self.n_seeds}; {self.bound}"
        )


def student_t(values: ArrayLike, level: float = DISPLAY_LEVEL) -> Interval:
    """Student's t interval for the mean of one value a seed, shape ``(seeds,)``."""
    values = _values("values", values)
    half = stats.t.ppf((1 + level) / 2, len(values) - 1) * stats.sem(values)
    return float(values.mean() - half), float(values.mean() + half)


def clopper_pearson(successes: int, n: int, level: float = DISPLAY_LEVEL) -> Interval:
    """Exact binomial interval for the probability of success."""
    result = stats.binomtest(successes, n).proportion_ci(level, method="exact")
    return float(result.low), float(result.high)


def mean(
    key: str,
    sentence: str,
    values: ArrayLike,
    *,
    below: float | None = None,
    above: float | None = None,
    expect: Verdict = "holds",
    device: str = "cpu",
) -> Claim:
    """Claim that the mean over seeds is below or above a threshold.

    Parameters
    ----------
    key
        Name of the claim, by which prose quotes it and the ledger lists it.
    sentence
        The statement in words; ``{bound}`` in it becomes the threshold.
    values
        One number a seed, shape ``(seeds,)``: at least two, all finite.
    below, above
        The threshold; exactly one of the two.
    expect
        ``"undecided"`` where the author knows that the margin is missing.
    device
        Where the values were computed, such as ``"cpu"`` or ``"cuda"``: the ledger tells it.

    Raises
    ------
    ValueError
        For one seed, a NaN, or not exactly one threshold.
    ClaimError
        If the verdict is not the expected one.
    """
    values = _values("values", values)
    verdict_interval = student_t(values, VERDICT_LEVEL)
    return _claim(
        key, sentence, float(values.mean()), student_t(values), verdict_interval,
        "Student t", len(values), below, above, expect, device,
    )  # fmt: skip


def count(
    key: str,
    sentence: str,
    successes: ArrayLike,
    *,
    below: float | None = None,
    above: float | None = None,
    expect: Verdict = "holds",
    device: str = "cpu",
) -> Claim:
    """Claim that the share of seeds that succeed is below or above a threshold in [0, 1].

    ``successes`` holds one truth value a seed, shape ``(seeds,)``; the other parameters are those
    of :func:`mean`.
    """
    flags = np.asarray(successes)
    if flags.dtype != np.bool_:
        raise ValueError(f"successes has dtype {flags.dtype}; allowed is one truth value a seed")
    values = _values("successes", flags)
    k, n = int(flags.sum()), len(values)
    return _claim(
        key, sentence, k / n, clopper_pearson(k, n), clopper_pearson(k, n, VERDICT_LEVEL),
        "Clopper-Pearson", n, below, above, expect, device,
    )  # fmt: skip


def exact(key: str, value: float, spec: str = ".4g") -> None:
    """Print a number that is the same on every machine, and let prose quote it by its key."""
    _quote(key, value, spec)


def measured(key: str, value: float, spec: str = ".3g") -> None:
    """Print a number that this run measured, and let prose quote it by its key."""
    _quote(key, value, spec)


def verdicts() -> None:
    """Print the verdict of every claim that this kernel has measured, a line each."""
    for claim in _published.values():
        print(f"{claim.key}: {claim.verdict}")


def _quote(key: str, value: float, spec: str) -> None:
    if not math.isfinite(value):
        raise ValueError(f"value of {key!r} is {value}; allowed are finite numbers")
    text = format(value, spec)
    print(f"{key} = {text}")
    _glue(key, text)


def _claim(
    key: str,
    sentence: str,
    estimate: float,
    display: Interval,
    verdict_interval: Interval,
    interval: str,
    n: int,
    below: float | None,
    above: float | None,
    expect: Verdict,
    device: str,
) -> Claim:
    if (below is None) == (above is None):
        raise ValueError(f"below is {below} and above is {above}; allowed is exactly one threshold")
    verdict = _verdict(verdict_interval, below, above)
    side, threshold = ("below", below) if below is not None else ("above", above)
    claim = Claim(
        key, sentence.format(bound=f"{threshold:g}"), estimate, *display, interval,
        f"threshold: {side} {threshold:g}", n, verdict, expect, device, base_seed(),
    )  # fmt: skip
    print(claim)
    _glue(key, _number(claim.estimate))
    _glue(f"{key}-interval", f"{_number(claim.low)} to {_number(claim.high)}")
    _glue(f"{key}-seeds", str(n))
    _publish(claim)
    _raise_unless_expected(claim)
    return claim


def _verdict(interval: Interval, below: float | None, above: float | None) -> Verdict:
    if is_smoke():
        return "not judged"
    low, high = interval
    if below is not None:
        return "holds" if high < below else "false" if low >= below else "undecided"
    assert above is not None
    return "holds" if low > above else "false" if high <= above else "undecided"


def _raise_unless_expected(claim: Claim) -> None:
    if claim.verdict in (claim.expect, "not judged"):
        return
    if os.environ.get("GAN_COURSE_CLAIMS") == "report":
        return
    raise ClaimError(f"expected {claim.expect!r}, measured {claim.verdict!r}: {claim}")


def _values(name: str, values: ArrayLike) -> NDArray[np.float64]:
    if hasattr(values, "detach"):  # a tensor, perhaps on a GPU or with a gradient
        values = values.detach().cpu()
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2:
        raise ValueError(f"{name} has shape {array.shape}; allowed is (seeds,), 2 or more")
    if not np.isfinite(array).all():
        bad = np.flatnonzero(~np.isfinite(array)).tolist()
        raise ValueError(f"{name} holds a NaN or an infinity at {bad}; allowed are finite numbers")
    return array


def _number(value: float) -> str:
    """Three significant digits, no exponent where a plain number is as short."""
    return f"{value:z.3g}" if 1e-4 <= abs(value) < 1e5 or value == 0 else f"{value:.2e}"


def _in_kernel() -> Callable[..., Any] | None:
    """IPython's ``display`` while the site's pages are executed, else nothing."""
    if not is_static() and "GAN_COURSE_CLAIMS" not in os.environ:
        return None
    from IPython.core.getipython import get_ipython
    from IPython.display import display

    return display if get_ipython() is not None else None


def _glue(key: str, text: str) -> None:
    """Record text under a key in the notebook's outputs, in the form that MyST-NB's glue reads."""
    if display := _in_kernel():
        prefix = "application/papermill.record/"
        metadata = {"scrapbook": {"name": key, "mime_prefix": prefix}}
        display({prefix + "text/plain": text}, raw=True, metadata=metadata)


def _publish(claim: Claim) -> None:
    _published[claim.key] = claim
    _glue(GLUE_PREFIX + claim.key, json.dumps(asdict(claim)))
