"""Grade submitted notebooks: ``python -m gan_course.grade SUBMISSIONS... --table grades.csv``.

Every notebook runs from top to bottom in a process of its own, under limits of time and memory.
Each answer is judged where the notebook checks it, and copies of a cell count by the best of them.

What a verdict is made of
-------------------------
Outputs do not count, neither those that are in the file nor what the notebook prints now. The
checks run in the grader's process, where no submitted code runs: they call the student's function
across the connection to its kernel, with arguments and results as plain data
(:mod:`gan_course.grade.channel`). The few checks that hand networks or gradients to the answer
cannot do this; they run in the notebook's own process, and the table's notes say so.

What a malicious student could still do
---------------------------------------
This is no sandbox: submitted code runs with your rights. It can read what you can read, use the
network, write outside of its folder, and kill processes, the grader's included. It is only kept
from the ways that lie at hand: its folder, home and environment are fresh, it is told of no other
submission, and its processes are killed at the end. As root nothing is kept from it: never grade as
root. A function can look the reference solution up
in the installed package; the table notes a notebook that names the checks' modules, and one who
hides the name is not found. Exercises that are judged in the notebook's process can be passed by
one who changes the check there. For strangers' code, use a container without network, as the
appendix "For instructors" shows, and look at the notebook of everyone whose grade matters.

Memory, processor time and file sizes are limits of the process on Linux. On macOS and Windows the
grader only looks how much memory is taken, five times a second, and kills what takes too much. GPUs
are hidden from the submissions.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gan_course.runtime import cores

__all__ = ["Limits", "Row", "find", "grade", "released_answers"]

PACKAGE = Path(__file__).parents[1]
LARGEST = 50 << 20
"""A submission of more bytes is not read."""

KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH", "SYSTEMROOT", "COMSPEC")
"""What a submission sees of the teacher's environment."""


@dataclass(frozen=True)
class Limits:
    """What a submission may take.

    Attributes
    ----------
    seconds, cell_seconds
        Of the whole notebook, and of a cell or the check of an answer.
    memory
        Gigabytes of all its processes together.
    scale
        ``full``, or ``smoke`` to run the page's own computations tiny (see
        :func:`gan_course.scale`): faster, and the same verdicts unless an answer is computed from
        what the page measured.

    Raises
    ------
    ValueError
        If a limit is not positive, or the scale is unknown.
    """

    seconds: float = 600.0
    cell_seconds: float = 120.0
    memory: float = 4.0
    scale: str = "full"

    def __post_init__(self) -> None:
        for name in ("seconds", "cell_seconds", "memory"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; allowed are positive numbers")
        if self.scale not in ("full", "smoke"):
            raise ValueError(f"scale is {self.scale!r}; allowed are full, smoke")


@dataclass(frozen=True)
class Row:
    """The outcome of one submission.

    Attributes
    ----------
    submission
        The file, as the table names it.
    verdicts
        For each exercise ``passed``, ``failed``, ``not attempted``, ``crashed cell`` (a cell that
        makes the answer raised) or ``not reached`` (the notebook was stopped before).
    errors, notes
        What cells raised and what hints failed answers got; what a teacher should look at.
    digest
        Changes with the submission, the checks and the limits; empty where the grader itself
        failed, so that the next run tries again.
    """

    submission: str
    page: str = ""
    verdicts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    memory_mb: int = 0
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    digest: str = ""


def find(places: Iterable[str | Path]) -> dict[str, Path]:
    """The submissions in files and folders, by the name that the table gives them.

    A submission is named after its way from the one folder that was given, or else from the
    folder that holds all of what was given.

    Raises
    ------
    FileNotFoundError
        If a place is not there, or holds no notebook.
    """
    found: dict[str, Path] = {}
    given = [Path(place) for place in places]
    alone = len(given) == 1 and given[0].is_dir()
    root = given[0] if alone else Path(os.path.commonpath([p.absolute().parent for p in given]))
    for place in given:
        if not place.exists():
            raise FileNotFoundError(f"submissions: {place} is not there")
        files = [place] if place.is_file() else sorted(place.rglob("*.ipynb"))
        files = [path for path in files if ".ipynb_checkpoints" not in path.parts]
        files = [path for path in files if not path.is_dir()]
        if not files:
            raise FileNotFoundError(f"submissions: {place} holds no file *.ipynb")
        for path in files:
            found[(path if alone else path.absolute()).relative_to(root).as_posix()] = path
    return found


def pages() -> dict[str, str]:
    """All exercises of the book, with the page of each."""
    from gan_course.check import exercises

    return {x: found.test.__module__.rpartition(".")[2] for x, found in exercises().items()}


def released_answers(folder: Path | None) -> dict[str, str]:
    """What the released notebooks check: for each exercise the text of its answer.

    With it, an answer is judged even where the student has deleted the cell that checks it.

    Parameters
    ----------
    folder
        The folder ``notebooks/student`` of the course, or None for that of this checkout, if
        it is one.

    Raises
    ------
    FileNotFoundError
        If the folder holds no notebook.
    """
    from gan_course.grade.submission import answers, read

    if folder is None:
        folder = PACKAGE.parent / "notebooks" / "student"
        if not folder.is_dir():
            return {}
    paths = sorted(folder.rglob("*.ipynb"))
    if not paths:
        raise FileNotFoundError(f"notebooks: {folder} holds no file *.ipynb")
    cells = [code for path in paths for code in read(path.read_bytes())]
    return dict(pair for code in cells for pair in answers(code.source, pages()))


def grade(
    submissions: dict[str, Path],
    limits: Limits,
    *,
    known: dict[str, Row] | None = None,
    released: dict[str, str] | None = None,
    jobs: int | None = None,
) -> Generator[Row, None, None]:
    """Grade submissions side by side; yield each row when it is there.

    Parameters
    ----------
    submissions
        From :func:`find`.
    known
        Rows of an earlier run by submission: those whose digest still fits are yielded at once.
    released
        From :func:`released_answers`.
    jobs
        How many run at a time; by default as many as there are cores.

    Raises
    ------
    ValueError
        If ``jobs`` is not positive.
    """
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs is {jobs}; allowed are positive integers")
    shared = _digest_of_course(limits, released or {})
    todo: dict[str, tuple[Path, str]] = {}
    for name, path in submissions.items():
        try:
            digest = _digest(path, shared)
        except OSError as error:
            yield Row(name, errors=(f"not read: {error.strerror}",))
            continue
        row = (known or {}).get(name)
        if row is not None and row.digest == digest:
            yield row
        else:
            todo[name] = (path, digest)
    running = _Running()
    pool = ThreadPoolExecutor(jobs or cores())
    try:
        futures = [
            pool.submit(_grade_one, name, path, digest, limits, released or {}, running)
            for name, (path, digest) in todo.items()
        ]
        for future in as_completed(futures):
            with suppress(CancelledError):
                yield future.result()
    finally:  # also where the caller stops early
        running.stop()
        pool.shutdown(cancel_futures=True)


class _Running:
    """The workers that run, so that all can be stopped."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(
        self, command: list[str], given: bytes, seconds: float, **options: Any
    ) -> tuple[bytes, bytes]:
        """Run a worker; return what it wrote, also where it had to be stopped."""
        with self._lock:
            if self._stopped:
                raise CancelledError
            worker = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the grader, which then stops its workers
                **options,
            )
            self._workers.add(worker)
        try:
            return worker.communicate(given, timeout=seconds)
        except subprocess.TimeoutExpired:
            worker.terminate()
            return worker.communicate()
        finally:
            with self._lock:
                self._workers.discard(worker)
            if self._stopped:
                raise CancelledError

    def stop(self) -> None:
        """Stop all workers; each kills the processes of its submission."""
        with self._lock:
            self._stopped = True
            for worker in self._workers:
                worker.terminate()


def _grade_one(
    name: str,
    path: Path,
    digest: str,
    limits: Limits,
    released: dict[str, str],
    running: _Running,
) -> Row:
    if not digest:
        return Row(name, errors=(f"not read: it has more than {LARGEST >> 20} MB",))
    try:
        raw = path.read_bytes()
    except OSError as error:  # it was there a moment ago
        return Row(name, errors=(f"not read: {error.strerror}",))
    with tempfile.TemporaryDirectory(prefix="grade-", ignore_cleanup_errors=True) as base:
        folder = Path(base, "work")
        folder.mkdir()
        settings = {
            "name": path.stem,
            "seconds": limits.seconds,
            "cell_seconds": limits.cell_seconds,
            "memory_bytes": int(limits.memory * 2**30),
            "folder": str(folder),
            "exercises": pages(),
            "released": released,
            "token": (token := secrets.token_hex(16)),
        }
        out, err = running.run(
            [sys.executable, "-P", "-m", "gan_course.grade.worker"],
            json.dumps(settings).encode() + b"\n" + raw,
            limits.seconds + limits.cell_seconds + 180,  # the worker itself stops long before
            cwd=base,
            env=_environment(folder, limits),
        )
    return _row(name, digest, token, out, err)


def _row(name: str, digest: str, token: str, out: bytes, err: bytes) -> Row:
    """The last whole line that a worker wrote, as a row; lines without its token are another's."""
    results: list[dict[str, Any]] = []
    for line in out.splitlines():
        with suppress(ValueError):
            found = json.loads(line)
            if isinstance(found, dict) and found.get("token") == token:
                results.append(found)
    if not results:
        told = " ".join(err.decode(errors="replace").split())[-300:]
        return Row(name, errors=(f"the grader failed: {told}",))
    last = results[-1]
    errors = list(last["errors"])
    if not last["finished"]:
        errors.append("stopped: the grader's process for it was killed")
    return Row(
        submission=name,
        page=last["page"],
        verdicts=last["verdicts"],
        seconds=round(last["seconds"], 1),
        memory_mb=last["memory_bytes"] >> 20,
        errors=tuple(errors),
        notes=tuple(last["notes"]),
        digest=digest,
    )


def _environment(folder: Path, limits: Limits) -> dict[str, str]:
    """A fresh home, no names of the teacher's, one thread a submission, no GPU."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    places = ("HOME", "USERPROFILE", "TMPDIR", "TEMP", "TMP", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")
    return (
        kept
        | dict.fromkeys(places, str(folder))
        | {
            "PYTHONPATH": str(PACKAGE.parent),
            "PYTHONHASHSEED": "0",
            "OMP_NUM_THREADS": "1",
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "MPLCONFIGDIR": str(folder),
            "CUDA_VISIBLE_DEVICES": "",
            "PIP_NO_INDEX": "1",  # what a notebook installs would stay here
            "GAN_COURSE_SCALE": limits.scale,
        }
    )


def _digest(path: Path, shared: Callable[[], Any]) -> str:
    if path.stat().st_size > LARGEST:
        return ""
    whole = shared()
    whole.update(path.read_bytes())
    return str(whole.hexdigest()[:16])


def _digest_of_course(limits: Limits, released: dict[str, str]) -> Callable[[], Any]:
    """A hash of all but the submission that its row depends on."""
    whole = hashlib.sha256(json.dumps([repr(limits), released], sort_keys=True).encode())
    for folder in ("check", "grade"):
        for path in sorted((PACKAGE / folder).glob("*.py")):
            whole.update(path.read_bytes())
    return whole.copy
