"""A student's record: it grows over sessions, counts a try once, and loses nothing."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest

from gan_course import progress as module
from gan_course.check import check, progress


@pytest.fixture(autouse=True)
def session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A new session, in a folder of its own."""
    monkeypatch.setattr(module, "_session", {})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(path: Path) -> dict[str, list[str]]:
    header, *lines = csv.reader(path.read_text("utf-8").splitlines())
    assert header == ["exercise", "status", "tries", "passed_at"]
    return {line[0]: line[1:] for line in lines}


def test_tries_are_noted_and_stubs_are_not(
    session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check("saturation-peak", ...)
    check("saturation-peak", 5.0)
    check("saturation-peak", 1.64)
    check("saturation-slopes", 3)
    capsys.readouterr()
    progress()
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("saturation: 1 of 4 passed; open: saturation-slopes, ")
    assert told[1].startswith("In all: 1 of ")
    assert told[2] == f"Saved in {session / 'progress.csv'}"
    found = table(session / "progress.csv")
    assert found["saturation-slopes"] == ["open", "1", ""]
    status, tries, at = found["saturation-peak"]
    assert (status, tries) == ("passed", "2")
    assert at.startswith("20")
    assert [path.name for path in session.iterdir()] == ["progress.csv"]


def test_a_second_look_counts_no_try_twice(session: Path) -> None:
    check("saturation-slopes", 3)
    progress()
    progress()
    assert table(session / "progress.csv")["saturation-slopes"] == ["open", "1", ""]
    check("saturation-slopes", 3)
    progress()
    assert table(session / "progress.csv")["saturation-slopes"] == ["open", "2", ""]


def test_what_was_passed_stays_so_in_other_sessions(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check("saturation-peak", 1.64)
    progress()
    before = table(session / "progress.csv")["saturation-peak"]
    monkeypatch.setattr(module, "_session", {})
    check("saturation-peak", 5.0)
    progress()
    assert table(session / "progress.csv")["saturation-peak"] == ["passed", "2", before[2]]


def test_all_notebooks_of_a_lab_share_the_file(
    session: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chapter = session / "lab" / "1-gan-paradigm"
    chapter.mkdir(parents=True)
    monkeypatch.chdir(chapter)
    check("saturation-peak", 1.64)
    progress()
    assert table(session / "lab" / "progress.csv")["saturation-peak"][0] == "passed"
    assert not list(chapter.iterdir())


@pytest.mark.parametrize("text", ["name,mark\na,b\n", "", "exercise,status,tries,passed_at\na\n"])
def test_another_file_is_not_overwritten(text: str, session: Path) -> None:
    (session / "mine.csv").write_text(text)
    check("saturation-peak", 1.64)
    with pytest.raises(ValueError, match=r"path is .*mine\.csv"):
        progress("mine.csv")
    assert (session / "mine.csv").read_text() == text
    progress("other.csv")
    assert table(session / "other.csv")["saturation-peak"][:2] == ["passed", "1"]


def test_nothing_is_written_before_it_is_asked_for(session: Path) -> None:
    check("saturation-peak", 1.64)
    assert not list(session.iterdir())


NBGRADER = """from gan_course.check import check
for answer in (..., 5.0, 1.64):
    try:
        check("saturation-peak", answer)
        print("returned")
    except AssertionError as error:
        print("raised", error)
"""


def test_under_nbgrader_only_a_right_answer_returns(session: Path) -> None:
    root = str(Path(module.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", NBGRADER],
        env=os.environ | {"NBGRADER_EXECUTION": "autograde", "PYTHONPATH": root},
        capture_output=True,
        text=True,
        check=True,
    )
    told = [line for line in done.stdout.splitlines() if line.startswith(("raised", "returned"))]
    assert [line.split()[0] for line in told] == ["raised", "raised", "returned"]
    assert "not attempted yet" in told[0]
    assert done.stderr == ""
    assert not list(session.iterdir())
