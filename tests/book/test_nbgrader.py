"""What the book writes for nbgrader, and what nbgrader makes of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from coursebook import nbgrader
from nbformat import v4

ROOT = Path(__file__).parents[2]
NBGRADER = "nbgrader==0.9.6"
PAGE = ROOT / "notebooks/student/3-statistics/birthday.ipynb"
SOLVED = ROOT / "notebooks/solution/3-statistics/birthday.ipynb"
CONFIG = """c = get_config()
c.CourseDirectory.course_id = "course"
c.ClearSolutions.enabled = False  # the stubs stay as they are
c.Execute.timeout = 300
c.Exchange.root = "exchange"
"""


def small(path: Path) -> nbformat.NotebookNode:
    """The exercises of a page with what they need, marked as the builder marks them."""
    notebook = nbformat.read(path, 4)
    tags = {"stub", "check", "solution"}
    kept = [
        cell
        for cell in notebook.cells
        if tags & set(cell.metadata.get("tags", ())) or "import check" in cell.source
    ]
    cells = [
        v4.new_code_cell(cell.source, id=cell.id, metadata={"tags": cell.metadata.get("tags", [])})
        for cell in kept
    ]
    made = v4.new_notebook(cells=cells, metadata={"kernelspec": notebook.metadata.kernelspec})
    nbgrader.mark(made)
    return made


def solve(notebook: nbformat.NotebookNode, change: Callable[[str], str]) -> nbformat.NotebookNode:
    """The notebook with the page's solutions in the stubs' place, changed."""
    right = nbformat.read(SOLVED, 4)
    solutions = {c.id: c.source for c in right.cells if "solution" in c.metadata.get("tags", ())}
    for cell in notebook.cells:
        if "stub" in cell.metadata.tags:
            cell.source = change(solutions[cell.id.removesuffix("stub") + "solution-cell"])
    return notebook


def forged(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with checks that praise anything."""
    for cell in notebook.cells:
        if "check" in cell.metadata.tags:
            cell.source = 'print("birthday-draws: correct.")'
    return notebook


def test_checks_earn_points_and_stubs_are_to_be_filled_in() -> None:
    marked = [cell for cell in small(PAGE).cells if "nbgrader" in cell.metadata]
    assert len(marked) == 8
    assert len({cell.metadata.nbgrader.grade_id for cell in marked}) == 8
    for cell in marked:
        found = cell.metadata.nbgrader
        graded = "check" in cell.metadata.tags
        assert (found.grade, found.solution, found.locked) == (graded, not graded, graded)
        assert found.get("points") == (1 if graded else None)
        assert found.grade_id == cell.id
        assert found.schema_version == 3


def test_checksum_changes_with_what_counts() -> None:
    sums = {
        nbgrader.checksum("x", "a", grade=True),
        nbgrader.checksum("y", "a", grade=True),
        nbgrader.checksum("x", "b", grade=True),
        nbgrader.checksum("x", "a", grade=False),
    }
    assert len(sums) == 4


OFFICIAL = """import json, sys
import nbformat
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.utils import compute_checksum
for path in sys.argv[1:]:
    notebook = nbformat.read(path, 4)
    MetadataValidator().validate_nb(notebook)
    for cell in notebook.cells:
        found = cell.metadata.get("nbgrader")
        assert found is None or found.checksum == compute_checksum(cell), cell.id
print("as nbgrader has it")
"""
SCORES = """import json, sys
from nbgrader.api import Gradebook
with Gradebook(f"sqlite:///{sys.argv[1]}/gradebook.db", "course") as book:
    found = {s.student.id: (s.score, s.max_score) for s in book.assignment_submissions("ps1")}
print(json.dumps(found))
"""
START = """import os, sys
from nbgrader.apps.nbgraderapp import main
os.chdir(sys.argv.pop(1))  # where its configuration is
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
main()
"""


class Course:
    """A folder of nbgrader's, and the Python that has nbgrader."""

    def __init__(self, installed: Any, folder: Path) -> None:
        self._installed = installed
        self.folder = folder

    def python(self, *arguments: str | Path) -> str:
        result = self._installed.attempt(*arguments)
        assert result.returncode == 0, result.stdout[-6000:]
        return str(result.stdout)

    def nbgrader(self, *arguments: str) -> None:
        self.python("-c", START, self.folder, *arguments)

    def scores(self) -> dict[str, list[float]]:
        """Score and best score by student."""
        found: dict[str, list[float]] = json.loads(
            self.python("-c", SCORES, self.folder).splitlines()[-1]
        )
        return found


@pytest.fixture(scope="module")
def course(installed: Any, tmp_path_factory: pytest.TempPathFactory) -> Course:
    """A course of nbgrader with four submissions, in an environment apart from the book's."""
    folder = tmp_path_factory.mktemp("course")
    made = Course(installed, folder)
    made.python("-m", "pip", "install", "--constraint", ROOT / "constraints.txt", NBGRADER)
    (folder / "nbgrader_config.py").write_text(CONFIG)
    places = {
        "source/ps1": small(PAGE),
        "submitted/blank/ps1": small(PAGE),
        "submitted/wrong/ps1": solve(small(PAGE), lambda s: s.replace("return ", "return 1 + ")),
        "submitted/right/ps1": solve(small(PAGE), lambda s: s),
        "submitted/forger/ps1": forged(small(PAGE)),
    }
    for place, notebook in places.items():
        path = folder / place / "birthday.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
    return made


@pytest.mark.slow
def test_metadata_is_what_nbgrader_would_write(course: Course) -> None:
    paths = sorted(course.folder.rglob("*.ipynb"))
    told = course.python("-c", OFFICIAL, *(p for p in paths if "source" in p.parts))
    assert "as nbgrader has it" in told
    fresh = [*(ROOT / "notebooks/student").rglob("*.ipynb")]
    assert "as nbgrader has it" in course.python("-c", OFFICIAL, *fresh)


@pytest.mark.slow
def test_only_right_work_earns_points(course: Course) -> None:
    course.nbgrader("generate_assignment", "ps1", "--create", "--force")
    released = nbformat.read(course.folder / "release/ps1/birthday.ipynb", 4)
    stubs = {c.id: c.source for c in small(PAGE).cells if "stub" in c.metadata.tags}
    assert {c.id: c.source for c in released.cells if c.id in stubs} == stubs
    course.nbgrader("autograde", "ps1", "--create", "--force")
    assert course.scores() == {
        "blank": [0, 4],
        "wrong": [0, 4],
        "right": [4, 4],
        "forger": [0, 4],  # nbgrader puts the checks back
    }
