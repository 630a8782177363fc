"""The command ``python -m gan_course.grade``."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from gan_course.grade import Limits, Row, find, grade, released_answers
from gan_course.grade.table import read_table, write_table

NEEDED = ("ipykernel", "jupyter_client", "nbclient", "nbformat", "psutil", "zmq")


def main(arguments: list[str] | None = None) -> int:
    """Grade, and keep the table on disk after every submission.

    Returns
    -------
    int
        0; 130 after Ctrl-C; 2 where the command cannot be followed.
    """
    given = _parser().parse_args(arguments)
    try:
        _insist_on(NEEDED)
        if not given.table.parent.is_dir():
            raise ValueError(f"table is {given.table}, whose folder is not there")
        limits = Limits(given.seconds, given.cell_seconds, given.memory, given.scale)
        submissions = find(given.submissions)
        rows = read_table(given.table)
        released = released_answers(given.notebooks)
        return _grade(submissions, limits, rows, released, given)
    except (ValueError, OSError) as error:
        print(f"python -m gan_course.grade: {error}", file=sys.stderr)
        return 2


def _insist_on(packages: Iterable[str]) -> None:
    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        told = f"{', '.join(missing)} cannot be imported"
        raise ValueError(f"{told}; in the checkout, run: pip install -e '.[grade]'")


def _grade(
    submissions: dict[str, Path],
    limits: Limits,
    rows: dict[str, Row],
    released: dict[str, str],
    given: argparse.Namespace,
) -> int:
    from tqdm import tqdm

    from gan_course.check import exercises

    new = 0
    finished = grade(submissions, limits, known=rows.copy(), released=released, jobs=given.jobs)
    try:
        with tqdm(total=len(submissions), desc="submissions") as bar:
            for row in finished:
                new += rows.get(row.submission) != row
                rows[row.submission] = row
                write_table(given.table, rows.values(), exercises())
                bar.update()
    except KeyboardInterrupt:
        finished.close()
        print(f"Stopped. {new} new rows are in {given.table}; the same command goes on from here.")
        return 130
    troubled = sum(bool(row.errors) for row in rows.values())
    counts = f"{len(rows)} submissions, {new} of them graded now, {troubled} with errors"
    print(f"{given.table}: {counts}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gan_course.grade",
        description="Run submitted notebooks and write a table of the exercises that they solve. "
        "A second run grades only what is new or changed.",
        epilog="Submitted code runs with your rights: this is no sandbox; do not grade as root. "
        "The appendix 'For instructors' shows how to run it in a container.",
    )
    add = parser.add_argument
    add("submissions", nargs="+", help="notebooks, or folders with notebooks at any depth")
    add("--table", type=Path, required=True, help="the CSV file to write, or to go on with")
    add("--jobs", type=int, help="submissions at a time (default: a core each)")
    add("--seconds", type=float, default=600, help="limit for a notebook (default: 600)")
    add("--cell-seconds", type=float, default=120, help="limit for a cell (default: 120)")
    add("--memory", type=float, default=4, help="limit in gigabytes for a notebook (default: 4)")
    add("--scale", choices=("full", "smoke"), default="full",
        help="smoke runs the page's own computations tiny: faster")  # fmt: skip
    add("--notebooks", type=Path,
        help="the course's notebooks/student, to judge answers whose check was deleted "
        "(default: that of the checkout)")  # fmt: skip
    return parser


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stops the workers, as Ctrl-C does
    sys.exit(main())
