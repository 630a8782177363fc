"""Claims: intervals with the right coverage, verdicts, and errors on bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from gan_course import claims
from gan_course.claims import ClaimError, Verdict, clopper_pearson, student_t


@pytest.fixture(autouse=True)
def full_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_COURSE_SCALE", "full")
    monkeypatch.delenv("GAN_COURSE_CLAIMS", raising=False)


def test_student_t_is_the_textbook_interval() -> None:
    low, high = student_t([1.0, 2.0, 3.0])
    assert (low + high) / 2 == pytest.approx(2)
    t = 4.302652729911275  # quantile 0.975 of t with 2 degrees of freedom, from a table
    assert (high - low) / 2 == pytest.approx(t / np.sqrt(3))


def test_student_t_covers_at_16_seeds_also_when_skewed() -> None:
    rng = np.random.default_rng(0)
    for draws, mean, least in (
        (rng.normal(size=(4000, 16)), 0.0, 0.94),
        (rng.beta(1, 3, size=(4000, 16)), 0.25, 0.93),
    ):
        intervals = np.array([student_t(values) for values in draws])
        covered = (intervals[:, 0] < mean) & (mean < intervals[:, 1])
        assert least < covered.mean() < 0.965


def test_student_t_misses_half_normal_means_as_documented() -> None:
    """The module's docstring says how often the 99.9 % interval ends below the mean: 0.45 %."""
    draws = np.abs(np.random.default_rng(1).normal(size=(400_000, 16)))
    reach = stats.t.ppf(0.9995, 15) * draws.std(axis=1, ddof=1) / 4
    missed = (draws.mean(axis=1) + reach < np.sqrt(2 / np.pi)).mean()
    assert missed == pytest.approx(0.0045, abs=0.0005)


def test_clopper_pearson_never_undercovers() -> None:
    for probability in np.linspace(0.01, 0.99, 50):
        chance = stats.binom.pmf(np.arange(17), 16, probability)
        intervals = np.array([clopper_pearson(k, 16) for k in range(17)])
        covered = (intervals[:, 0] <= probability) & (probability <= intervals[:, 1])
        assert chance[covered].sum() >= 0.95
    assert clopper_pearson(16, 16, 0.999)[0] == pytest.approx(0.0005 ** (1 / 16))


def test_verdicts_follow_the_interval() -> None:
    values = np.linspace(0.9, 1.1, 16)
    assert claims.mean("t-1", "s", values, below=1.2).verdict == "holds"
    assert claims.mean("t-2", "s", values, above=0.8).holds
    assert claims.mean("t-3", "s", values, below=1.01, expect="undecided").verdict == "undecided"
    assert claims.mean("t-4", "s", values, above=1.2, expect="false").verdict == "false"
    assert claims.mean("t-5", "s", values, below=0.8, expect="false").verdict == "false"
    assert claims.count("t-6", "s", np.ones(16, bool), above=0.5).holds
    assert not claims.count("t-7", "s", np.ones(16, bool), above=0.7, expect="undecided").holds


def test_verdict_needs_the_wider_interval() -> None:
    """A threshold between the 95 % and the 99.9 % interval is undecided."""
    values = np.linspace(0.9, 1.1, 16)
    threshold = (student_t(values)[1] + student_t(values, 0.999)[1]) / 2
    claim = claims.mean("t-8", "s", values, below=threshold, expect="undecided")
    assert claim.verdict == "undecided"


@pytest.mark.parametrize("expect", ["holds", "undecided"])
def test_a_false_claim_raises(expect: Verdict) -> None:
    with pytest.raises(ClaimError, match="measured 'false'"):
        claims.mean("t-9", "s", np.linspace(2, 3, 16), below=1, expect=expect)


def test_an_undecided_claim_that_should_hold_raises() -> None:
    with pytest.raises(ClaimError, match="measured 'undecided'"):
        claims.mean("t-10", "s", np.linspace(0, 2, 16), below=1.01)


def test_smoke_scale_is_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_COURSE_SCALE", "smoke")
    assert claims.mean("t-11", "s", [2.0, 3.0], below=1).verdict == "not judged"


def test_rerun_reports_instead_of_raising(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_COURSE_CLAIMS", "report")
    assert claims.mean("t-12", "s", np.linspace(2, 3, 16), below=1).verdict == "false"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0], r"values has shape \(1,\)"),
        ([[1.0, 2.0]], r"values has shape \(1, 2\)"),
        ([1.0, np.nan, 2.0], r"at \[1\]"),
        ([1.0, np.inf], "infinity"),
    ],
)
def test_bad_values(values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        claims.mean("t-13", "s", values, below=1)


def test_bad_thresholds_and_counts() -> None:
    for bounds in ({}, {"below": 1.0, "above": 0.0}):
        with pytest.raises(ValueError, match="exactly one threshold"):
            claims.mean("t-14", "s", [1.0, 2.0], **bounds)
    with pytest.raises(ValueError, match="one truth value a seed"):
        claims.count("t-15", "s", [1, 0], above=0.1)
    with pytest.raises(ValueError, match="finite"):
        claims.exact("t-16", float("nan"))


def test_tensors_bounds_and_devices() -> None:
    import torch

    values = torch.linspace(0.9, 1.1, 16, requires_grad=True)
    claim = claims.mean("t-19", "It is below {bound}.", values, below=1.5, device="cuda")
    assert claim.sentence == "It is below 1.5."
    assert claim.device == "cuda"
    assert claims.count("t-20", "s", np.ones(16, bool), above=0.5).device == "cpu"


def test_printed_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    claims.exact("t-17", 1.23456, ".2f")
    claims.mean("t-18", "It is small.", [0.1, 0.2, 0.15], below=3)
    claims.verdicts()
    out = capsys.readouterr().out
    assert "t-17 = 1.23\n" in out
    assert (
        "Claim t-18: holds. It is small.\n  t-18 = 0.15\n  t-18-interval = 0.0258 to 0.274" in out
    )
    assert out.endswith("t-18: holds\n")
