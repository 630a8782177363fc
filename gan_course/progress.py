"""A student's own record of the exercises, kept over sessions and notebooks.

``check`` notes every verdict for as long as the kernel lives; :func:`progress` shows them page by
page, together with those of earlier sessions, and saves all in one small file. The file is a
student's notebook, not a proof: to grade, run the notebooks (:mod:`gan_course.grade`).
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Entry", "note", "progress"]

FILE = "progress.csv"
COLUMNS = ("exercise", "status", "tries", "passed_at")
PASSED, OPEN = "passed", "open"

_session: dict[str, Entry] = {}


@dataclass(frozen=True)
class Entry:
    """What is known of an exercise: how often it was tried, and when it was first passed (UTC)."""

    tries: int = 0
    passed_at: str = ""

    @property
    def status(self) -> str:
        """``passed``, from the first time on, or ``open``."""
        return PASSED if self.passed_at else OPEN

    def and_then(self, later: Entry) -> Entry:
        """This entry with what came after it."""
        return Entry(self.tries + later.tries, self.passed_at or later.passed_at)


def note(label: str, *, passed: bool) -> None:
    """Note a try; stubs that are checked as they are do not count as one."""
    now = datetime.now(UTC).isoformat(timespec="minutes") if passed else ""
    _session[label] = _session.get(label, Entry()).and_then(Entry(1, now))


def progress(path: str | Path | None = None) -> None:
    """Show what you have solved, in this session and before, and save it.

    Parameters
    ----------
    path
        The file to keep it in. By default it is ``progress.csv`` in the folder ``lab`` that the
        notebook is in (so that all notebooks share it), or beside the notebook.

    Raises
    ------
    ValueError
        If the file is there and holds something else, which would be lost.
    """
    place = _default() if path is None else Path(path)
    known = _read(place)
    for label, entry in _session.items():
        known[label] = known.get(label, Entry()).and_then(entry)
    _write(place, known)
    for label, entry in _session.items():  # its tries are in the file now
        _session[label] = replace(entry, tries=0)
    print("\n".join([*_lines(known), f"Saved in {place.resolve()}"]))


def _lines(known: dict[str, Entry]) -> Iterable[str]:
    """A line for each page of which an exercise was tried, and the sum."""
    from gan_course.check import exercises

    pages: dict[str, list[str]] = {}
    for label, exercise in exercises().items():
        pages.setdefault(exercise.test.__module__.rpartition(".")[2], []).append(label)
    passed = {label for label, entry in known.items() if entry.status == PASSED}
    for page, labels in pages.items():
        if known.keys() & set(labels):
            solved = [label for label in labels if label in passed]
            left = ", ".join(label for label in labels if label not in passed)
            told = f"{page}: {len(solved)} of {len(labels)} passed"
            yield f"{told}; open: {left}" if left else f"{told}, all of them"
    every = [label for labels in pages.values() for label in labels]
    yield f"In all: {len(passed & set(every))} of {len(every)} exercises of the course."


def _default() -> Path:
    here = Path.cwd()
    labs = [folder for folder in (here, *here.parents) if folder.name == "lab"]
    return (labs[0] if labs else here) / FILE


def _read(path: Path) -> dict[str, Entry]:
    if not path.exists():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            if tuple(reader.fieldnames or ()) != COLUMNS:
                raise ValueError("other columns")
            return {x["exercise"]: Entry(int(x["tries"]), x["passed_at"]) for x in reader}
    except (ValueError, TypeError, csv.Error):
        raise ValueError(
            f"path is {path}, which `progress` did not write; name another file"
        ) from None


def _write(path: Path, known: dict[str, Entry]) -> None:
    beside = path.with_name(f".{path.name}.new")
    with beside.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for label, entry in sorted(known.items()):
            writer.writerow([label, entry.status, entry.tries, entry.passed_at])
    beside.replace(path)
