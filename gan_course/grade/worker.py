"""Grades one submission in a process of its own: ``python -m gan_course.grade.worker``.

It reads the settings (one line of JSON) and then the submitted file from its standard input, and
writes what it found, after every cell anew, as a line of JSON to its standard output. So what was
reached counts even where the submission takes this process down.
"""

from __future__ import annotations

import ast
import ctypes
import json
import logging
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from queue import Empty
from typing import Any

import psutil
import zmq
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import AsyncKernelManager
from jupyter_core.utils import run_sync
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import v4

from gan_course.check import judge
from gan_course.grade.channel import NotData, RemoteFunction, decode, receive
from gan_course.grade.submission import (
    Code,
    NotANotebook,
    answers,
    expected,
    mentions_checks,
    only_checks,
    read,
)

GRACE = 5.0  # seconds in which a kernel must obey an interrupt
PROCESSES = 64  # that a submission may run at a time
PASSED, FAILED, BLANK = "passed", "failed", "not attempted"
CRASHED, NOT_REACHED = "crashed cell", "not reached"
RANK = (NOT_REACHED, CRASHED, BLANK, FAILED, PASSED)
CALL = "__import__('gan_course.grade.channel', fromlist=['respond']).respond({})"
JUDGE = "__import__('json').dumps(__import__('gan_course.check', fromlist=['judge']).judge({}, {}))"


@dataclass(frozen=True)
class Settings:
    """What the grader gives to a worker."""

    name: str
    seconds: float
    cell_seconds: float
    memory_bytes: int
    folder: str
    exercises: dict[str, str]  # the page of each
    released: dict[str, str]
    token: str  # in every line of the output, so that no other process can write one


@dataclass
class Result:
    """What a submission is worth: one row of the table."""

    verdicts: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    page: str = ""
    seconds: float = 0.0
    memory_bytes: int = 0
    finished: bool = False


class Stopped(BaseException):
    """The kernel is gone, or had to be stopped; no check's own ``except`` may stop it."""


class TooLong(BaseException):
    """An answer takes longer than it may."""


class _Kernels(AsyncKernelManager):
    """Starts kernels under limits."""

    arguments: tuple[str, ...] = ()

    @property
    def kernel_spec(self) -> KernelSpec:
        command = [sys.executable, "-m", "gan_course.grade.kernel", *self.arguments]
        return KernelSpec(argv=[*command, "-f", "{connection_file}"], language="python")


class _Client(NotebookClient):
    """Runs cells and drops what they print: verdicts are not read from outputs."""

    def process_message(self, msg: Any, cell: Any, cell_index: int) -> Any:
        if msg["msg_type"] == "status":
            return super().process_message(msg, cell, cell_index)
        return None


class Watch:
    """Follows the memory of all processes of the submission, and kills them where it is too much.

    On Linux also those that left their group are found, since this process is their reaper.
    """

    def __init__(self, memory_bytes: int) -> None:
        self.peak = 0
        self.reason = ""
        self._limit = memory_bytes
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._done.set()
        self._thread.join()
        kill_all()

    def _look(self) -> None:
        while not self._done.wait(0.2):
            children = psutil.Process().children(recursive=True)
            taken = sum(_memory(child) for child in children)
            self.peak = max(self.peak, taken)
            if taken > self._limit:
                self.reason = f"it took more than {self._limit / 2**30:.3g} GB of memory"
            elif len(children) > PROCESSES:
                self.reason = f"it ran more than {PROCESSES} processes"
            if self.reason:
                kill_all()


def _memory(process: psutil.Process) -> int:
    with suppress(psutil.Error):
        return int(process.memory_info().rss)
    return 0


def kill_all() -> None:
    """Kill every process that this one started, and those that they started."""
    for _ in range(3):  # some may be born meanwhile
        children = psutil.Process().children(recursive=True)
        for child in children:
            with suppress(psutil.Error):
                child.kill()
        psutil.wait_procs(children, timeout=2)


class Session:
    """The kernel of one submission."""

    def __init__(self, settings: Settings, watch: Watch) -> None:
        self.settings = settings
        self._watch = watch
        self._end = time.monotonic() + settings.seconds
        self._kernel = _Kernels()
        cpu = int(settings.seconds * (os.cpu_count() or 1)) + 1
        self._kernel.arguments = (str(settings.memory_bytes), str(cpu))
        self._client = _Client(v4.new_notebook(), km=self._kernel, startup_timeout=120)
        self._client.log.setLevel(logging.CRITICAL)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Start the kernel; it is killed at the end."""
        try:
            # The verdicts leave by this process's stdout: the kernel must not inherit it.
            closed = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
            self._client.start_new_kernel(cwd=self.settings.folder, env=dict(os.environ), **closed)
            self._client.start_new_kernel_client()
            self._asking = self._kernel.blocking_client()
            self._asking.start_channels(iopub=False, stdin=False, hb=False, control=False)
            self._asking.shell_channel.socket.setsockopt(zmq.SNDTIMEO, int(1000 * GRACE))
        except Exception as error:
            raise Stopped(f"its kernel did not start: {type(error).__name__}: {error}") from None
        try:
            yield
        finally:  # the clients' channels are left as they are: broken ones never close
            kill_all()

    def _left(self) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise Stopped(f"it took more than {self.settings.seconds:g} s")
        return min(left, self.settings.cell_seconds)

    def run(self, code: Code) -> str:
        """Run a cell; return what went wrong in it, if something did."""
        cell = v4.new_code_cell(code.source)
        self._client.nb.cells = [cell]
        self._client.timeout = seconds = math.ceil(self._left())
        try:
            self._client.execute_cell(cell, 0)
        except CellExecutionError as error:
            return f"{error.ename}: {' '.join(str(error.evalue).split())[:200]}"
        except CellTimeoutError:
            self._interrupt()
            return f"stopped after {seconds} s"
        except DeadKernelError:
            raise Stopped(self._death()) from None
        return ""

    def ask(self, expression: str) -> str:
        """Evaluate an expression that gives a text in the kernel; what it prints does not count."""
        seconds = self._left()
        try:
            reply = self._request({"value": expression}, seconds)
        except Empty:
            self._interrupt()
            raise TooLong(f"your answer took more than {seconds:.3g} s") from None
        found = reply["content"].get("user_expressions", {}).get("value", {})
        if found.get("status") != "ok":
            raise ValueError(f"{found.get('ename')}: {found.get('evalue')}")
        return str(ast.literal_eval(found["data"]["text/plain"]))

    def _request(self, expressions: dict[str, str], seconds: float) -> Any:
        end = time.monotonic() + seconds
        try:
            sent = self._asking.execute("", silent=True, user_expressions=expressions)
        except zmq.Again:  # its sockets are broken
            raise Stopped("its kernel cannot be reached any more") from None
        while time.monotonic() < end:
            with suppress(Empty):
                reply = self._asking.get_shell_msg(timeout=min(0.5, seconds))
                if reply["parent_header"].get("msg_id") == sent:
                    return reply
            if not run_sync(self._kernel.is_alive)():
                raise Stopped(self._death())
        raise Empty

    def _interrupt(self) -> None:
        """Interrupt what runs; a kernel that does not obey is stopped for good."""
        with suppress(Exception):
            run_sync(self._kernel.interrupt_kernel)()
        try:
            self._request({}, GRACE)
        except Empty:
            raise Stopped("a cell could not be interrupted") from None

    def _death(self) -> str:
        return self._watch.reason or "its kernel died"


def verdict_of(session: Session, label: str, text: str) -> tuple[str, str, bool]:
    """Judge the answer that an expression gives in the kernel.

    Returns
    -------
    tuple of str, str, bool
        The verdict, what the student would be told, and whether it was judged in this process.
    """
    try:
        reply = receive(session.ask(CALL.format(f"lambda: ({text}\n)")))
    except TooLong as error:
        return FAILED, str(error), True
    except NotImplementedError:
        return BLANK, "", True
    except (Exception, SystemExit) as error:
        return CRASHED, f"{type(error).__name__}: {str(error)[:200]}", True
    try:
        if "function" in reply:
            key = str(reply["function"])
            ask = lambda request: session.ask(CALL.format(f"{key!r}, {request!r}"))  # noqa: E731
            return *_named(*judge(label, RemoteFunction(ask))), True
        return *_named(*judge(label, decode(reply["result"]))), True
    except TooLong as error:
        return FAILED, str(error), True
    except NotData:
        return *_judged_there(session, label, text), False
    except (Exception, SystemExit) as error:  # a value that cannot be read
        return FAILED, f"{type(error).__name__}: {str(error)[:200]}", True


def _judged_there(session: Session, label: str, text: str) -> tuple[str, str]:
    """Judge in the student's kernel: for checks that hand networks or gradients to the answer."""
    try:
        passed, message = json.loads(session.ask(JUDGE.format(repr(label), f"({text}\n)")))
    except (TooLong, Exception) as error:
        return FAILED, str(error)[:200]
    return _named(passed is True, str(message))


def _named(passed: bool, message: str) -> tuple[str, str]:
    blank = message.startswith("not attempted")
    return PASSED if passed else BLANK if blank else FAILED, message


class Grader:
    """Runs a submission's cells in order, and judges each answer where it is checked."""

    def __init__(self, settings: Settings, raw: bytes, report: Callable[[Result], None]) -> None:
        self.result = Result()
        self._report = report
        self._start = time.monotonic()
        self.codes = read(raw)
        self.settings = settings
        self.labels = expected(self.codes, settings.exercises, settings.name)
        self.result.page = settings.exercises[self.labels[0]] if self.labels else ""
        self.result.verdicts = dict.fromkeys(self.labels, NOT_REACHED)
        self._told: dict[str, str] = {}
        self._texts = {x: settings.released[x] for x in self.labels if x in settings.released}
        self._broken: list[Code] = []

    def run(self) -> None:
        """Grade; the result grows as it goes, so that what was reached counts."""
        if not self.labels:
            self.result.errors.append("no exercise of the course is in it")
            return
        reached = [f"uses the course's own checks: {x}" for x in mentions_checks(self.codes)]
        self.result.notes += [note[:200] for note in reached[:3]]
        self._watch = watch = Watch(self.settings.memory_bytes)
        self._tell()
        try:
            with watch:
                session = Session(self.settings, watch)
                with session.open():
                    self._cells(session)
                    self._rest(session)
        except Stopped as reason:
            self.result.errors.append(f"stopped: {watch.reason or reason}")
        self._tell()
        lost = [x for x in self.labels if self.result.verdicts[x] in (FAILED, CRASHED)]
        self.result.errors += [f"{label}: {self._told[label]}" for label in lost]

    def _tell(self) -> None:
        self.result.seconds = time.monotonic() - self._start
        self.result.memory_bytes = self._watch.peak
        self._report(self.result)

    def _cells(self, session: Session) -> None:
        for number, code in enumerate(self.codes, 1):
            error = session.run(code)
            checked = answers(code.source, self.labels)
            if error:
                if not only_checks(code.source):
                    self._broken.append(code)
                if not checked:  # else the exercise says it
                    self.result.errors.append(f"cell {code.id or number}: {error}")
            for label, text in checked:
                self._texts[label] = text
                self._judge(session, label)
            self._tell()

    def _rest(self, session: Session) -> None:
        """At the end, once more what no cell checked, or what was not there when it was checked."""
        for label in self.labels:
            if self.result.verdicts[label] in (PASSED, FAILED):
                continue
            if label in self._texts:
                self._judge(session, label)
            else:
                self.result.verdicts[label] = BLANK

    def _judge(self, session: Session, label: str) -> None:
        if self.result.verdicts[label] == PASSED:  # of copies of a cell the best counts
            return
        text = self._texts[label]
        verdict, told, apart = verdict_of(session, label, text)
        if verdict == CRASHED and not self._crashed(label, text):
            verdict = BLANK  # the cell that would give the answer is gone
            if (note := f"{label}: {told}") not in self.result.notes:
                self.result.notes.append(note)
        if verdict == PASSED and not apart:
            self.result.notes.append(f"{label} was judged in the notebook's own process")
        if RANK.index(verdict) >= RANK.index(self.result.verdicts[label]):
            self.result.verdicts[label], self._told[label] = verdict, told

    def _crashed(self, label: str, text: str) -> bool:
        """Whether the answer's own cell raised, or one that names what the answer is made of."""
        if any(code.id == f"{label}-stub" for code in self._broken):
            return True
        names = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
        return any(name in code.source for name in names for code in self._broken)


def shield() -> None:
    """Keep students' processes from reading or debugging this one, and adopt their orphans.

    Only Linux can; and no such thing holds where the grader runs as root.
    """
    if sys.platform == "linux":
        dumpable, subreaper = 4, 36  # PR_SET_DUMPABLE, PR_SET_CHILD_SUBREAPER in linux/prctl.h
        with suppress(OSError, AttributeError):
            control: Callable[..., int] = ctypes.CDLL(None).prctl
            control(dumpable, 0, 0, 0, 0)
            control(subreaper, 1, 0, 0, 0)


def _leave(*signal_and_frame: object) -> None:
    kill_all()
    os._exit(1)


def main() -> None:
    """Grade what comes in."""
    signal.signal(signal.SIGTERM, _leave)
    shield()
    settings = Settings(**json.loads(sys.stdin.buffer.readline()))
    raw = sys.stdin.buffer.read()
    out, sys.stdout = sys.stdout, sys.stderr  # nothing that an answer makes print may mix in

    def report(result: Result) -> None:
        out.write(json.dumps(asdict(result) | {"token": settings.token}) + "\n")
        out.flush()

    try:
        grader = Grader(settings, raw, report)
        grader.run()
        report(replace(grader.result, finished=True))
    except NotANotebook as reason:
        report(Result(errors=[f"not a notebook: {reason}"], finished=True))


if __name__ == "__main__":
    main()
    os._exit(0)  # whatever threads a submission has left waiting
