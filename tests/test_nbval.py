"""The committed notebooks run as on Colab: the package from its wheel, in another folder."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

NBVAL = ("-m", "pytest", "--nbval-lax", "--nbval-cell-timeout=300", "-p", "no:cacheprovider", "-q")
TOGETHER = ("-n", "2", "--dist", "loadfile")  # two notebooks at a time


@pytest.fixture(scope="module")
def copies(installed, root) -> Path:
    """The notebooks, copied away from the checkout."""
    return Path(shutil.copytree(root / "notebooks", installed.elsewhere / "notebooks"))


def compared_outputs(notebook: dict) -> list[tuple[int, dict]]:
    """Index and output of each cell whose kept output nbval compares."""
    return [
        (index, output)
        for index, cell in enumerate(notebook["cells"])
        if "nbval-check-output" in cell["metadata"].get("tags", [])
        for output in cell["outputs"]
    ]


def test_both_kinds_of_every_notebook_are_there(copies):
    student, solution = (
        sorted(path.relative_to(copies / kind) for path in (copies / kind).rglob("*.ipynb"))
        for kind in ("student", "solution")
    )
    assert student
    assert student == solution


def test_solutions_give_their_kept_outputs(installed, copies):
    result = installed.attempt(*NBVAL, *TOGETHER, copies / "solution")
    assert result.returncode == 0, result.stdout[-6000:]


def test_student_notebooks_run_top_to_bottom(installed, copies):
    notebooks = sorted((copies / "student").rglob("*.ipynb"))
    execute = ("-m", "jupyter", "execute", "--timeout=300")
    result = installed.attempt(*execute, *notebooks, scale="smoke")
    assert result.returncode == 0, result.stdout[-6000:]


def test_planted_wrong_output_is_found(installed, copies):
    """A wrong word in a kept output fails nbval, with the word shown."""
    for path in sorted((copies / "solution").rglob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        if found := compared_outputs(notebook):
            break
    else:
        pytest.fail("no solution notebook keeps an output to compare")
    index, output = found[0]
    output["text"] = ["planted\n"]
    notebook["cells"] = notebook["cells"][: index + 1]
    planted = installed.elsewhere / "planted.ipynb"
    planted.write_text(json.dumps(notebook), encoding="utf-8")
    result = installed.attempt(*NBVAL, planted)
    assert result.returncode == 1, result.stdout[-6000:]
    assert "planted" in result.stdout
    assert "Cell outputs differ" in result.stdout
