"""The table of grades: a CSV file, a row a submission, a column an exercise."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path

from gan_course.grade import Row

FIRST = ("submission", "page", "passed", "of")
LAST = ("seconds", "memory_mb", "errors", "notes", "digest")
LIST = " | "
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def read_table(path: Path) -> dict[str, Row]:
    """The rows of an earlier run, by submission; none where there is no file.

    Raises
    ------
    ValueError
        If the file is not a table of this command, which would be lost.
    """
    if not path.exists():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            reader = csv.DictReader(file)
            columns = list(reader.fieldnames or ())
            lines = list(reader)
        except (csv.Error, UnicodeDecodeError):
            columns, lines = [], []
    if not {*FIRST, *LAST} <= set(columns):
        raise ValueError(f"table is {path}, which this command did not write; name another")
    return {row.submission: row for row in (_read(line) for line in lines)}


def _read(line: dict[str, str]) -> Row:
    shown = {name: _unguard(value or "") for name, value in line.items() if name is not None}
    try:
        seconds, memory = float(shown["seconds"]), int(shown["memory_mb"])
    except ValueError:  # edited by hand: graded again
        shown["digest"], seconds, memory = "", 0.0, 0
    return Row(
        submission=shown["submission"],
        page=shown["page"],
        verdicts={k: v for k, v in shown.items() if k not in {*FIRST, *LAST} and v},
        seconds=seconds,
        memory_mb=memory,
        errors=tuple(shown["errors"].split(LIST)) if shown["errors"] else (),
        notes=tuple(shown["notes"].split(LIST)) if shown["notes"] else (),
        digest=shown["digest"],
    )


def write_table(path: Path, rows: Iterable[Row], labels: Iterable[str]) -> None:
    """Write all rows, in place of the file that was there; an interruption leaves the old one.

    Parameters
    ----------
    labels
        All exercises of the book: the order of the columns, of which those that occur are written.
    """
    rows = sorted(rows, key=lambda row: row.submission)
    known = list(labels)
    seen = {label for row in rows for label in row.verdicts}
    columns = [label for label in known if label in seen] + sorted(seen - set(known))
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    # A mark at the start, so that spreadsheets read it as Unicode.
    with beside.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, [*FIRST, *columns, *LAST])
        writer.writeheader()
        writer.writerows(_line(row) for row in rows)
    beside.replace(path)


def _line(row: Row) -> dict[str, object]:
    passed = sum(verdict == "passed" for verdict in row.verdicts.values())
    return {
        "submission": _guard(row.submission),
        "page": row.page,
        "passed": passed,
        "of": len(row.verdicts),
        **row.verdicts,
        "seconds": row.seconds,
        "memory_mb": row.memory_mb,
        "errors": _guard(LIST.join(row.errors)),
        "notes": _guard(LIST.join(row.notes)),
        "digest": row.digest,
    }


def _guard(text: str) -> str:
    """Keep a spreadsheet from reading a student's text as a formula."""
    text = " ".join(text.split())
    return f"'{text}" if text.startswith(FORMULA) else text


def _unguard(text: str) -> str:
    return text[1:] if text.startswith("'") and text[1:].startswith(FORMULA) else text
