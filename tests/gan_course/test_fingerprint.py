"""Names for values and functions that mean the same in another session."""

from __future__ import annotations

import functools
import importlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan_course import fingerprint, losses
from gan_course.data import Empirical, Mixture

TIMES = 10.0


def test_keys_tell_values_apart() -> None:
    tensor = torch.arange(3.0)
    values = [
        *(1, 1.0, "1", True, None, (1, 2), (2, 1), {"a": 1}, {"a": 2}),
        *(torch.nn.Linear, torch.nn.functional.relu, losses.minimax, losses.non_saturating),
        *(Mixture([0.0, 1.0], [1.0, 1.0]), Mixture([0.0, 2.0], [1.0, 1.0])),
        *(Empirical(tensor[:, None]), Empirical(tensor[:, None] + 1), tensor, tensor.double()),
    ]
    keys = [fingerprint.key(value) for value in values]
    assert len(set(keys)) == len(keys)
    assert fingerprint.key(np.float64(0.5)) == fingerprint.key(0.5)
    assert fingerprint.key(losses.minimax) == "Loss('minimax')"


SCRIPT = """
import torch
from gan_course import fingerprint, losses
from gan_course.data import Empirical, Mixture

def helper(x):
    return x

class Net(torch.nn.Module):
    pass

def experiment(seeds, scale=0.5):
    return helper(Net(), {"a", "b", "c"})

values = ["a", 0.1, {"b": {"x", "y", "z"}}, losses.minimax, Empirical(torch.ones(2, 1)), helper]
print([fingerprint.key(value) for value in values], fingerprint.function_version(experiment))
"""


def answer(file: Path, script: str, salt: str) -> str:
    """What a script prints in a session of its own."""
    file.write_text(script, encoding="utf-8")
    environment = os.environ | {"PYTHONHASHSEED": salt}
    command = [sys.executable, str(file)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    return done.stdout


def test_names_are_the_same_in_another_session(tmp_path: Path) -> None:
    first = answer(tmp_path / "one.py", SCRIPT, "1")
    assert first == answer(tmp_path / "two.py", SCRIPT, "2")
    assert "helper-" in first


def test_functions_and_classes_beside_count_with_their_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    changes = [("", ""), ("return x", "return -x"), ("    pass", "    size = 3"), ("=0.5", "=0.2")]
    changes.append(changes[0])
    versions = []
    for i, change in enumerate(changes):
        (tmp_path / f"beside{i}.py").write_text(SCRIPT.replace(*change), encoding="utf-8")
        module = importlib.import_module(f"beside{i}")
        versions.append(fingerprint.function_version(module.experiment))
    assert len(set(versions[:-1])) == len(changes) - 1
    assert versions[-1] == versions[0]


def captured(steps: int, helper: Callable[[float], float]) -> Callable[..., float]:
    def base(seeds: list[int], times: int = 2 * steps) -> float:
        return helper(times)

    return base


def test_versions_see_source_surroundings_and_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    def helper(x: float) -> float:
        return x * 2

    def other(x: float) -> float:
        return x * 3

    def uses_global(seeds: list[int]) -> list[float]:
        return [TIMES for _ in seeds]

    version = fingerprint.function_version
    versions = [version(functools.partial(uses_global, x)) for x in (1, 2)]
    versions += [version(captured(n, f)) for n in (1, 2) for f in (helper, other)]
    versions.append(version(uses_global))
    monkeypatch.setitem(globals(), "TIMES", 20.0)
    versions.append(version(uses_global))
    assert len(set(versions)) == len(versions)
    assert version(captured(1, helper)) == version(captured(1, helper))


def test_versions_do_not_see_comments(tmp_path: Path) -> None:
    plain = "def f(seeds):\n    return {'x': seeds}\n"
    layout = "def f( seeds ):  # the seeds\n\n    return {\n        'x': seeds}\n"
    changed = plain.replace("'x'", "'y'")
    versions = []
    for i, text in enumerate((plain, layout, changed)):
        file = tmp_path / f"module{i}.py"
        file.write_text(text, encoding="utf-8")
        space: dict[str, Any] = {"__name__": "module"}
        exec(compile(text, str(file), "exec"), space)
        versions.append(fingerprint.function_version(space["f"]))
    assert versions[0] == versions[1] != versions[2]


def test_a_builtin_has_no_version() -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        fingerprint.function_version(len)


@pytest.mark.parametrize("value", [lambda x: x, object(), [torch.Generator()]])
def test_values_without_a_name(value: Any) -> None:
    with pytest.raises(ValueError, match="no name that lasts"):
        fingerprint.key(value)
