"""The checks are tested: every listed wrong answer fails with its hint, and nothing raises."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gan_course.check import check, curvature, exercise, exercises, expect, judge, numbers

WRONG = [
    pytest.param(label, answer, hint, id=f"{label}-{i}")
    for label, found in exercises().items()
    for i, (answer, hint) in enumerate(found.wrong)
]

FUNCTIONS = [x for x, found in exercises().items() if any(callable(a) for a, _ in found.wrong)]
"""Exercises that ask for a function; the others ask for a value."""


def _exits(*args: Any) -> Any:
    raise SystemExit("bye\nbye")


def test_an_exit_is_a_failed_check() -> None:
    assert judge("game-value", _exits) == (
        False, "not yet. Your answer stopped with SystemExit: bye bye",
    )  # fmt: skip


@pytest.mark.parametrize(("label", "answer", "hint"), WRONG)
def test_wrong_answers_get_their_hint(label: str, answer: Any, hint: str) -> None:
    passed, message = judge(label, answer)
    assert not passed
    assert message.startswith("not yet. ")
    assert hint in message, message


@pytest.mark.parametrize("label", exercises())
def test_exercise_knows_at_least_three_misconceptions(label: str) -> None:
    assert len(exercises()[label].wrong) >= 3


def _stub(*args: Any) -> Any:
    raise NotImplementedError


def _broken(*args: Any) -> Any:
    return 1 / 0


@pytest.mark.parametrize("label", exercises())
@pytest.mark.parametrize("stub", [..., _stub])
def test_stub_is_not_attempted(label: str, stub: Any) -> None:
    if stub is _stub and label not in FUNCTIONS:
        return
    passed, message = judge(label, stub)
    assert (passed, message) == (False, "not attempted yet: the cell above still holds the stub.")


@pytest.mark.parametrize("label", FUNCTIONS)
def test_a_students_exception_is_a_failed_check(
    label: str, capsys: pytest.CaptureFixture[str]
) -> None:
    check(label, _broken)
    captured = capsys.readouterr()
    assert captured.out == (
        f"{label}: not yet. Your answer stopped with ZeroDivisionError: division by zero\n"
    )
    assert captured.err == ""


@pytest.mark.parametrize("label", exercises())
@pytest.mark.parametrize("nonsense", [None, "text", "1.64", 3j, [], {}, lambda: 0])
def test_nonsense_never_raises(label: str, nonsense: Any) -> None:
    assert judge(label, nonsense)[0] is False


def test_unknown_label_lists_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"'game-valu'.*nearest are game-value"):
        check("game-valu", 1)
    with pytest.raises(ValueError, match="nearest are"):
        check("nowhere-at-all", 1)


def test_untouched_widget_is_not_attempted() -> None:
    class Dial:
        value, touched = 1.6, False

    passed, message = judge("saturation-peak", Dial())
    assert not passed
    assert message == "not attempted yet: move the dial, then run this cell again."
    Dial.touched = True
    assert judge("saturation-peak", Dial())[0]


@pytest.mark.parametrize("answer", [..., _stub, _broken])
def test_nbgrader_gets_an_exception_and_a_clean_stderr(
    answer: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NBGRADER_EXECUTION", "autograde")
    with pytest.raises(AssertionError, match="game-value"):
        check("game-value", answer)
    assert capsys.readouterr().err == ""


def test_correct_answer_is_praised(capsys: pytest.CaptureFixture[str]) -> None:
    check("saturation-peak", 1.64)
    assert capsys.readouterr().out.startswith("saturation-peak: correct. ")


def _geometric(support: int, c: float) -> Any:
    import numpy as np
    from scipy.optimize import brentq

    def law(ratio: float) -> Any:
        powers = ratio ** np.arange(support)
        return powers / powers.sum()

    return law(brentq(lambda r: float((law(r) ** 2).sum()) - c, 1e-2, 1 - 1e-9, xtol=1e-15))


def test_probabilities_may_be_tiny() -> None:
    import numpy as np

    for support, c in ((50, 0.1), (1000, 0.1)):
        assert 0 < _geometric(support, c).min() < 1e-2 / support
        assert np.isclose((_geometric(support, c) ** 2).sum(), c)
    assert _geometric(1000, 0.1).min() < 1e-15
    assert judge("birthday-disguise", _geometric)[0]


def test_a_label_is_taken_once() -> None:
    with pytest.raises(ValueError, match="another exercise"):
        exercise("game-value", praise="", wrong=[])(lambda answer: None)


def test_numbers_come_from_any_library() -> None:
    import numpy as np
    import torch

    tensor = torch.tensor([1.0, 2.0], requires_grad=True)
    for value in ([1, 2], (1.0, 2.0), np.array([1, 2]), tensor):
        assert numbers(value, (2,)).tolist() == [1.0, 2.0]
    expect(True, "never told")


def test_praise_of_the_frozen_discriminator_is_true() -> None:
    """At mu = 0.5 the moving discriminator's slope is larger by almost a half, in expectation."""
    import torch

    from gan_course.check.saturation import _frozen, _moving

    z = torch.linspace(0.5 / 40000, 1 - 0.5 / 40000, 40000, dtype=torch.float64)
    z = torch.special.ndtri(z)  # the quantiles of the noise: a quadrature
    assert 0.4 < float(_moving(0.5, z) / _frozen(0.5, z)) - 1 < 0.5


def test_an_answer_may_undo_a_generator_in_place() -> None:
    import numpy as np

    def undo(x: Any, W: Any, b: Any, inverse: Any) -> Any:
        for k in reversed(range(len(W))):
            x -= b[k]
            x = np.linalg.solve(W[k], x)
            x = inverse(x) if k else x
        return x

    assert judge("power-undo", undo)[0]


def test_numbers_that_are_too_coarse_are_named() -> None:
    answer = curvature._next
    assert judge("curvature-damping", answer)[0]
    passed, message = judge("curvature-damping", lambda *given: np.float32(answer(*given)))
    assert not passed
    assert "float32" in message
    assert "float32" not in judge("curvature-damping", lambda *given: 3 * answer(*given))[1]
    # And said once, where the hint of the exercise says it already.
    product = next(a for a, hint in exercises()["curvature-hvp"].wrong if hint == "float32")
    assert judge("curvature-hvp", product)[1].count("float32") == 1
