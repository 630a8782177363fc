"""nbgrader's metadata on the student's notebooks: checks earn points, stubs are to be filled in.

Written here, so that a teacher can take the notebooks as they are, and nbgrader itself is not
needed to build the book. The format is version 3 of nbgrader's schema; a test holds it to nbgrader.
"""

from __future__ import annotations

import hashlib
from typing import Any

import nbformat

SCHEMA = 3
POINTS = 1
"""What a solved exercise earns."""


def mark(notebook: nbformat.NotebookNode) -> None:
    """Mark the cells with the tags `check` and `stub`, by their ids, in place."""
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", ())
        if "check" in tags:
            cell.metadata["nbgrader"] = _metadata(cell, grade=True)
        elif "stub" in tags:
            cell.metadata["nbgrader"] = _metadata(cell, grade=False)


def _metadata(cell: nbformat.NotebookNode, *, grade: bool) -> dict[str, Any]:
    metadata = {
        "cell_type": cell.cell_type,
        "checksum": checksum(cell.source, cell.id, grade=grade),
        "grade": grade,
        "grade_id": cell.id,
        "locked": grade,
        "schema_version": SCHEMA,
        "solution": not grade,
        "task": False,
    }
    return metadata | ({"points": POINTS} if grade else {})


def checksum(source: str, grade_id: str, *, grade: bool) -> str:
    """What nbgrader's `compute_checksum` gives: by it a changed check is found.

    A code cell either is graded, and then locked, or is one for the student's solution.
    """
    parts = [source, "code", str(grade), str(not grade), str(grade), grade_id]
    parts += [str(float(POINTS))] if grade else []
    return hashlib.md5("".join(parts).encode(), usedforsecurity=False).hexdigest()
