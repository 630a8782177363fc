"""Exercise checks that answer back.

``check("game-value", value)`` tests *properties* of an answer, so that any valid method passes,
and answers a known misconception with its hint. It prints one line and never raises on a wrong
answer; under nbgrader it raises, so that an exercise left blank earns nothing.

The checks of a page stand in the module named after the page, with underscores for dashes: a label
is the page's name, a dash and the exercise's name.
"""

from __future__ import annotations

import difflib
import importlib
import os
import pkgutil
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.progress import note, progress

__all__ = [
    "Exercise",
    "WrongAnswer",
    "check",
    "exercise",
    "exercises",
    "expect",
    "expect_reached",
    "numbers",
    "progress",
]


class WrongAnswer(Exception):
    """An answer that does not pass; the message is the hint."""


class NotAttempted(Exception):
    """The stub is still there."""


@dataclass(frozen=True)
class Exercise:
    """A checked exercise.

    Attributes
    ----------
    test
        Raises :class:`WrongAnswer` with a hint unless the answer passes.
    praise
        What a correct answer is told.
    wrong
        Answers that must fail, each with words that its hint must hold: the test of the test.
    """

    label: str
    test: Callable[[Any], None]
    praise: str
    wrong: Sequence[tuple[Any, str]]


STUB = "the cell above still holds the stub"

COARSE = (
    " (Your numbers are float32, which have about seven digits: if the formula is right, compute "
    "in float64.)"
)

_registry: dict[str, Exercise] = {}
_coarse: ContextVar[bool] = ContextVar("coarse", default=False)
"""Whether the answer that is judged gave numbers of less than double precision."""


def exercise(
    label: str, *, praise: str, wrong: Sequence[tuple[Any, str]]
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a function as the test of an exercise."""

    def register(test: Callable[[Any], None]) -> Callable[[Any], None]:
        if label in _registry:
            raise ValueError(f"label is {label!r}, which another exercise has")
        _registry[label] = Exercise(label, test, praise, wrong)
        return test

    return register


def exercises() -> dict[str, Exercise]:
    """All exercises of the book, by label."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(_registry)


def check(label: str, answer: Any) -> None:
    """Check an answer and print one line: correct, not attempted yet, or not yet with a hint.

    Parameters
    ----------
    label
        The exercise, as its text names it.
    answer
        The student's function, value or widget.

    Raises
    ------
    ValueError
        If no exercise has this label; the message lists the nearest ones.
    AssertionError
        Only under nbgrader (``NBGRADER_EXECUTION`` is set): the answer is not correct.
    """
    passed, message = judge(label, answer)
    if not message.startswith("not attempted"):
        note(label, passed=passed)
    print(f"{label}: {message}")
    if not passed and "NBGRADER_EXECUTION" in os.environ:
        raise AssertionError(f"{label}: {message}")


def judge(label: str, answer: Any) -> tuple[bool, str]:
    """Whether an answer passes, and what the student is told."""
    found = _find(label)
    _coarse.set(False)
    try:
        _attempted(answer)
        with np.errstate(all="ignore"):
            found.test(answer)
    except NotAttempted as reason:
        return False, f"not attempted yet: {reason}."
    except NotImplementedError:
        return False, f"not attempted yet: {STUB}."
    except WrongAnswer as hint:
        known = not _coarse.get() or "float32" in str(hint)
        return False, f"not yet. {hint}{'' if known else COARSE}"
    except (Exception, SystemExit) as error:
        if "object is not callable" in str(error) and not callable(answer):
            return False, "not yet. Give the function itself: its name, without parentheses."
        told = " ".join(str(error).split())
        return False, f"not yet. Your answer stopped with {type(error).__name__}: {told}"
    return True, f"correct. {found.praise}"


def expect(condition: bool | np.bool_, hint: str) -> None:
    """Fail with a hint unless the condition holds."""
    if not condition:
        raise WrongAnswer(hint)


def expect_reached(got: Sequence[float], right: Sequence[float], hint: str) -> None:
    """Fail unless counts suffice that meet their bound exactly; rounding may miss some, not all."""
    missed = [mine - wanted for mine, wanted in zip(got, right, strict=True)]
    expect(set(missed) <= {0, 1} and 0 in missed, hint)


def numbers(
    value: Any, shape: tuple[int, ...] | None = None, *, nan: bool = False
) -> NDArray[np.float64]:
    """The student's value as float64 numbers, whatever library it comes from.

    Fails with a hint on nothing returned, on something that is not numbers, on another shape, or on
    NaN, unless ``nan`` is set because the exercise has a hint of its own for it.
    """
    expect(value is not None, "Your function returns nothing: is a `return` missing?")
    expect(not isinstance(value, str), "Your answer is a text, not numbers.")
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
        if np.iscomplexobj(array):
            expect(not array.imag.any(), "Your answer is complex: real numbers are wanted.")
            array = array.real
        if array.dtype.kind == "f" and array.dtype.itemsize < 8:
            _coarse.set(True)
        array = array.astype(np.float64)
    except (TypeError, ValueError):
        raise WrongAnswer(f"Your answer is a {type(value).__name__}, not numbers.") from None
    if shape is not None and array.shape != shape:
        got = f"has shape {array.shape}" if array.shape else "is a single number"
        wanted = f"shape {shape}" if shape else "a single number"
        raise WrongAnswer(f"Your answer {got}, wanted is {wanted}.")
    clean = nan or not np.isnan(array).any()
    expect(clean, "Your answer contains NaN: is there a 0/0 or inf - inf?")
    return array


def _find(label: str) -> Exercise:
    for module in pkgutil.iter_modules(__path__):
        if str(label).replace("-", "_").startswith(f"{module.name}_"):
            importlib.import_module(f"{__name__}.{module.name}")
    if label in _registry:
        return _registry[label]
    known = list(exercises())
    nearest = difflib.get_close_matches(str(label), known, n=3, cutoff=0.3) or known
    raise ValueError(f"label is {label!r}, which no exercise has; nearest are {', '.join(nearest)}")


def _attempted(answer: Any) -> None:
    if answer is Ellipsis:
        raise NotAttempted(STUB)
    if getattr(answer, "touched", True) is False:
        raise NotAttempted("move the dial, then run this cell again")
