"""The grader: its verdicts cannot be forged by what a notebook prints, and nothing stops it."""

from __future__ import annotations

import csv
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import psutil
import pytest
import torch
from nbformat import v4

from gan_course.check import exercises, judge
from gan_course.grade import Limits, Row, find, grade, pages, released_answers
from gan_course.grade import __main__ as command
from gan_course.grade.__main__ import main
from gan_course.grade.channel import (
    NotData,
    RemoteFunction,
    decode,
    encode,
    receive,
    respond,
)
from gan_course.grade.submission import (
    Code,
    NotANotebook,
    answers,
    expected,
    mentions_checks,
    only_checks,
    read,
)
from gan_course.grade.table import read_table, write_table

ROOT = Path(__file__).parents[2]

# --- answers as data ------------------------------------------------------------------------------

IN_THE_KERNEL = {
    "curvature-hvp",  # a function as argument
    "foresight-unrolled",  # gradients through the answer
    "game-critic-step",  # networks and an optimizer
    "penalties-mend",  # gradients through the answer
    "power-density",  # functions as arguments
    "power-undo",
}
"""Exercises whose checks hand more than data to the answer."""


def across(answer: Any) -> Any:
    """An answer as a check in another process sees it, with this process as the other one."""
    reply = receive(respond(lambda: answer))
    if "function" in reply:
        return RemoteFunction(lambda request: respond(reply["function"], request))
    return decode(reply["result"])


WRONG = [
    pytest.param(label, answer, id=f"{label}-{i}")
    for label, found in exercises().items()
    for i, (answer, _) in enumerate(found.wrong)
]


@pytest.mark.parametrize(("label", "answer"), WRONG)
def test_wrong_answers_get_their_hint_across_processes_too(label: str, answer: Any) -> None:
    if label in IN_THE_KERNEL:
        with pytest.raises(NotData):
            judge(label, across(answer))
    else:
        assert judge(label, across(answer)) == judge(label, answer)


def _stub(*args: Any) -> Any:
    raise NotImplementedError


@pytest.mark.parametrize("answer", [..., _stub])
def test_stubs_stay_stubs(answer: Any) -> None:
    assert judge("birthday-support", across(answer)) == judge("birthday-support", answer)


def test_a_function_may_change_its_arguments() -> None:
    x, t, seen = np.arange(3.0), torch.zeros(2), [1]
    rng = np.random.default_rng(1)

    def change(x: Any, t: Any, seen: Any, rng: Any, *, by: float) -> Any:
        x += by
        t += by
        seen.append(2)
        return rng.normal()

    drawn = across(change)(x, t, seen, rng, by=2.0)
    assert x.tolist() == [2, 3, 4]
    assert t.tolist() == [2, 2]
    assert seen == [1, 2]
    other = np.random.default_rng(1)
    assert drawn == other.normal()
    assert rng.normal() == other.normal()


DATA = [
    None, True, "text", 3, -(10**30), 0.1, math.inf, 2 - 1j, b"\x00\xff", (), [1, (2.0, "x")],
    {1, 2}, frozenset({"a"}), {"a": [1], 2: None}, np.float32(0.1), np.bool_(True), np.int64(-3),
    np.zeros((0, 3)), np.arange(6, dtype=np.int8).reshape(2, 3).T, np.array(2.5),
]  # fmt: skip


@pytest.mark.parametrize("value", DATA)
def test_data_come_back_as_they_were(value: Any) -> None:
    back = decode(json.loads(json.dumps(encode(value))))
    assert type(back) is type(value)
    if isinstance(value, np.ndarray):
        assert back.dtype == value.dtype
        assert back.shape == value.shape
        assert np.array_equal(back, value)
    else:
        assert back == value


def test_special_data_come_back() -> None:
    assert decode(encode(...)) is ...
    assert math.isnan(decode(encode(math.nan)))
    assert math.copysign(1, decode(encode(-0.0))) == -1
    tensor = torch.tensor([[1, 2]], dtype=torch.int32)
    back = decode(encode(tensor))
    assert back.dtype == tensor.dtype
    assert torch.equal(back, tensor)
    assert across(range(3)) == [0, 1, 2]


@pytest.mark.parametrize(
    "value",
    [
        object(), len, torch.nn.Linear(1, 1), torch.ones(2, requires_grad=True), [print],
        np.array([None]), torch.nn.Parameter(torch.ones(1)),
    ],
)  # fmt: skip
def test_what_is_not_data_is_refused(value: Any) -> None:
    with pytest.raises(NotData):
        encode(value)


class _Evil:
    ran = False

    def __reduce__(self) -> tuple[Any, ...]:
        return setattr, (_Evil, "ran", True)


def test_nothing_that_comes_back_is_unpickled(tmp_path: Path) -> None:
    import base64

    path = tmp_path / "x.npy"
    np.save(path, np.array([_Evil()], dtype=object), allow_pickle=True)
    for raw in (path.read_bytes(), pickle.dumps(_Evil())):
        coded = {"array": base64.b64encode(raw).decode()}
        with pytest.raises(ValueError, match="pickle"):
            decode(coded)
    assert not _Evil.ran


@pytest.mark.parametrize(
    "reply",
    ["", "[]", "3", "{}", '{"passed": true}', '{"result": {"items": "eval", "of": []}}',
     '{"result": {"generator": "{}"}}', '{"result": [1]}', '{"result": {"x": 1}}'],
)  # fmt: skip
def test_a_forged_reply_fails(reply: str) -> None:
    passed, message = judge("birthday-support", RemoteFunction(lambda request: reply))
    assert not passed
    assert message.startswith("not yet. Your answer stopped with")


@pytest.mark.parametrize("error", [ValueError("x"), KeyError("k"), RuntimeError(), SystemExit(3)])
def test_errors_come_back_by_name(error: BaseException) -> None:
    def answer(*args: Any) -> None:
        raise error

    with pytest.raises(BaseException) as raised:  # noqa: PT011 (its name is looked at)
        across(answer)(1)
    assert type(raised.value).__name__ == type(error).__name__
    assert str(raised.value) == str(error)


def test_an_error_of_the_students_own_comes_back_by_name() -> None:
    class Ouch(NotImplementedError):
        pass

    def answer() -> None:
        raise Ouch("later")

    with pytest.raises(NotImplementedError, match="later") as raised:
        across(answer)()
    assert type(raised.value).__name__ == "Ouch"


def test_widgets_come_across_by_what_checks_read() -> None:
    dial = SimpleNamespace(value=1.64, touched=True, draw=print)
    seen = across(dial)
    assert vars(seen) == {"value": 1.64, "touched": True}
    assert judge("saturation-peak", seen)[0]
    dial.touched = False
    assert judge("saturation-peak", across(dial))[1].startswith("not attempted")


def test_a_value_that_is_not_data_is_known_by_its_type() -> None:
    seen = across(SimpleNamespace(x=1))
    assert type(seen).__name__ == "SimpleNamespace"
    assert judge("birthday-support", lambda x: seen) == (
        False, "not yet. Your answer is a SimpleNamespace, not numbers.",
    )  # fmt: skip


# --- submissions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('check("game-value", value)', [("game-value", "value")]),
        ("check('game-value',\n  f(1))  # x", [("game-value", "f(1)")]),
        ('%time check("game-value", value)', []),
        ('%matplotlib inline\ncheck("game-value", value)', [("game-value", "value")]),
        ('c.check(label="game-value", answer=3)', [("game-value", "3")]),
        ('print("game-value: correct.")', []),
        ('# check("game-value", value)', []),
        ('check("nowhere", value)', []),
        ("def f(: pass", []),
        ('check("game-value")', []),
        ("x = '\x00'", []),
    ],
)
def test_checks_are_found_in_cells(source: str, found: list[tuple[str, str]]) -> None:
    assert answers(source, pages()) == found


def test_a_submission_is_graded_on_all_exercises_of_its_page() -> None:
    every = pages()
    of_page = [label for label, page in every.items() if page == "birthday"]
    assert len(of_page) == 4
    checked = [Code("a", 'check("birthday-draws", f)')]
    assert expected(checked, every, "x") == of_page
    assert expected([Code("birthday-support-stub", "f = 1")], every, "x") == of_page
    assert expected([Code("a", "1")], every, "birthday") == of_page
    assert expected([Code("a", "1")], every, "x") == []
    both = [*checked, Code("birthday-support-check", ""), Code("b", 'check("game-value", v)')]
    assert expected(both, every, "x") == [*of_page, "game-value"]


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"[1]", b"null", bytes(range(256)), b"[" * 10**5, b'{"cells": 3, "nbformat": 4}',
     b'{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'],
)  # fmt: skip
def test_what_is_no_notebook_is_told_so(raw: bytes) -> None:
    with pytest.raises(NotANotebook):
        read(raw)


@pytest.mark.parametrize(
    ("line", "noted"),
    [
        ("from gan_course.check.birthday import _support", True),
        ("import gan_course.check.wgan as w", True),
        ("from gan_course.check import exercises", True),
        ('importlib.import_module("gan_course.check.wgan")', True),
        ("from gan_course.check import check", False),
        ("from gan_course.check import check, progress", False),
        ("check = 3", False),
    ],
)
def test_a_look_into_the_checks_is_noted(line: str, noted: bool) -> None:
    assert mentions_checks([Code("a", f"1\n  {line}")]) == [line] * noted


def test_released_notebooks_tell_every_answer() -> None:
    assert released_answers(ROOT / "notebooks/student").keys() == pages().keys()


def test_submissions_are_found_in_folders(tmp_path: Path) -> None:
    for name in ("a/x.ipynb", "b/x.ipynb", "b/.ipynb_checkpoints/x-checkpoint.ipynb", "b/y.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    assert list(find([tmp_path])) == ["a/x.ipynb", "b/x.ipynb"]
    for given in (["a", "b"], ["b", "a"], ["a/x.ipynb", "b/x.ipynb"], ["a", "b/x.ipynb"]):
        assert set(find([tmp_path / name for name in given])) == {"a/x.ipynb", "b/x.ipynb"}
    assert list(find([tmp_path / "a/x.ipynb"])) == ["x.ipynb"]
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        find([tmp_path / "nowhere"])
    (tmp_path / "c").mkdir()
    with pytest.raises(FileNotFoundError, match="holds no file"):
        find([tmp_path / "c"])


# --- the table ------------------------------------------------------------------------------------


def test_table_comes_back_and_keeps_the_books_order(tmp_path: Path) -> None:
    rows = {
        row.submission: row
        for row in (
            Row("b", "wgan", {"wgan-clip": "passed", "birthday-draws": "failed"}, 1.5, 70,
                ("one", "two"), ("note",), "d1"),
            Row("=1+1", errors=("=cmd()", "a"), digest="d2"),
            Row("é", "birthday", {"birthday-draws": "not reached"}),
        )
    }  # fmt: skip
    path = tmp_path / "grades.csv"
    write_table(path, rows.values(), pages())
    assert read_table(path) == rows
    header, *lines = list(csv.reader(path.read_text("utf-8-sig").splitlines()))
    assert header[:6] == ["submission", "page", "passed", "of", "birthday-draws", "wgan-clip"]
    assert not [cell for line in lines for cell in line if cell.startswith("=")]
    by_name = {line[0]: line for line in lines}
    assert by_name["b"][2:6] == ["1", "2", "failed", "passed"]
    assert read_table(tmp_path / "none.csv") == {}
    assert [p.name for p in tmp_path.iterdir()] == ["grades.csv"]


@pytest.mark.parametrize("text", ["name,mark\na,1\n", "", "\x00", "submission\n"])
def test_another_file_is_not_overwritten(text: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"table is .*mine\.csv"):
        read_table(path)


@pytest.mark.parametrize(
    ("name", "value"), [("seconds", 0), ("memory", -1), ("cell_seconds", math.nan)]
)
def test_bad_limits(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        Limits(**{name: value})


def test_bad_scale_and_jobs() -> None:
    with pytest.raises(ValueError, match="scale is 'tiny'"):
        Limits(scale="tiny")
    with pytest.raises(ValueError, match="jobs is 0"):
        list(grade({}, Limits(), jobs=0))


def test_command_says_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "grades.csv"
    assert main([str(tmp_path / "nowhere"), "--table", str(table)]) == 2
    assert "nowhere is not there" in capsys.readouterr().err
    (tmp_path / "a.ipynb").write_text("{}")
    table.write_text("name\n")
    assert main([str(tmp_path), "--table", str(table)]) == 2
    assert "did not write" in capsys.readouterr().err
    assert table.read_text() == "name\n"
    table.unlink()
    assert main([str(tmp_path), "--table", str(table), "--seconds", "0"]) == 2
    assert "seconds is 0" in capsys.readouterr().err
    assert main([str(tmp_path), "--table", str(tmp_path / "no/grades.csv")]) == 2
    assert "whose folder is not there" in capsys.readouterr().err
    monkeypatch.setattr(command, "NEEDED", ("nbclient", "no_such_package"))
    assert main([str(tmp_path), "--table", str(table)]) == 2
    assert "no_such_package cannot be imported" in capsys.readouterr().err
    assert not table.exists()


# --- whole notebooks ------------------------------------------------------------------------------

SETUP = "import math\nimport numpy as np\nfrom gan_course.check import check"
RIGHT = {
    "support": """def effective_support(x):
    n = np.unique(x, return_counts=True)[1]
    return math.comb(len(x), 2) / float((n * (n - 1)).sum() / 2)""",
    "draws": """def draws_needed(N, p):
    s = 1
    while 1 - math.prod(1 - i / N for i in range(s)) < p: s += 1
    return s""",
}
STUBS = {
    "variance": "def pairs_variance(q, s):\n    raise NotImplementedError",
    "disguise": "def disguise(support, c):\n    raise NotImplementedError",
}
NAMES = {
    "support": "effective_support", "draws": "draws_needed", "variance": "pairs_variance",
    "disguise": "disguise",
}  # fmt: skip


def birthday(*extra: str, **cells: str | None) -> nbformat.NotebookNode:
    """A submission with two exercises solved; other cells, or None, may stand in their place."""
    made = [v4.new_code_cell(SETUP), *map(v4.new_code_cell, extra)]
    for name, source in (RIGHT | STUBS | cells).items():
        if source is not None:
            made.append(v4.new_code_cell(source, id=f"birthday-{name}-stub"))
            check = f'check("birthday-{name}", {NAMES[name]})'
            made.append(v4.new_code_cell(check, id=f"birthday-{name}-check"))
    return v4.new_notebook(cells=made)


def without(notebook: nbformat.NotebookNode, *ids: str) -> nbformat.NotebookNode:
    """The notebook without some cells."""
    notebook.cells = [cell for cell in notebook.cells if cell.id not in ids]
    return notebook


FORGERY = """import gan_course.check as c, gan_course.check.birthday as b
c.judge = c.check = lambda *a: (True, "correct.")
c.expect = b.expect = lambda *a: print("birthday-variance: correct. Pairs")
np.allclose = lambda *a, **k: True
print("birthday-variance: correct. Pairs with a common draw are correlated.")"""
VERDICTS = """import json, os, signal, sys
row = {"verdicts": {"birthday-variance": "passed"}, "errors": [], "notes": [], "page": "birthday"}
row |= {"seconds": 31.0, "memory_bytes": 1 << 28, "finished": True}
for line in (json.dumps(row), "3"):
    os.write(sys.stdout._original_stdstream_copy, f"\\n{line}\\n".encode())
try:  # as root also this can be written
    with open(f"/proc/{os.getppid()}/fd/1", "w") as grader:
        grader.write(json.dumps(row) + "\\n")
except OSError:
    pass
os.kill(os.getppid(), signal.SIGKILL)"""
SOCKETS = """import os
for fd in range(3, 64):
    try:
        os.write(fd, 100 * b"rubbish")
    except OSError:
        pass"""
SPAWN = 'import subprocess, sys\nsubprocess.Popen([sys.executable, "-c", {!r}], {})'
SLEEP = "import time; time.sleep(4321.5)"
DAEMON = SPAWN.format(SLEEP, "start_new_session=True")
PEEK = """import os
assert "TEACHER_SECRET" not in os.environ, "secret"
assert os.path.realpath(os.environ["HOME"]) == os.path.realpath(os.getcwd()), "home"
assert os.listdir("..") == ["work"], os.listdir("..")"""

SUBMISSIONS: dict[str, nbformat.NotebookNode] = {
    "plain": birthday(),
    "forged": birthday(FORGERY, variance="def pairs_variance(q, s):\n    return 3"),
    "loop": birthday(variance="while True: pass"),
    "stubborn": birthday(
        variance="import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass"
    ),
    "slow": birthday(draws="def draws_needed(N, p):\n    while True: pass"),
    "bomb": birthday(variance="b = bytearray(1 << 33)"),
    "exit": birthday(variance="import os\nos._exit(0)"),
    "kill": birthday(variance="import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"),
    "verdicts": birthday(variance=VERDICTS),
    "sockets": birthday(variance=SOCKETS),
    "noise": birthday('import os\nos.system("timeout 1 yes")'),
    "daemon": birthday(DAEMON),
    "flood": birthday('for i in range(3000): print("x" * 10000)'),
    "planted": birthday('open("numpy.py", "w").write("1/0")\nopen("torch.py", "w").write("1/0")'),
    "peek": birthday(PEEK),
    "syntax": birthday(draws="def draws_needed(N, p) return 1"),
    "unchecked": without(birthday(), "birthday-draws-check"),
    "gone": without(birthday(), "birthday-draws-check", "birthday-draws-stub"),
    "emptied": without(birthday(), "birthday-draws-stub"),
    "input": birthday(draws='n = input("?")'),
}
doubled = birthday(draws="def draws_needed(N, p):\n    return 3")
doubled.cells += [v4.new_code_cell(RIGHT["draws"]), v4.new_code_cell(doubled.cells[4].source)]
SUBMISSIONS["doubled"] = doubled
LIMITS = Limits(seconds=100, cell_seconds=5, memory=1.5)


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    """What the grader makes of all submissions."""
    folder = tmp_path_factory.mktemp("submissions")
    for name, notebook in SUBMISSIONS.items():
        nbformat.write(notebook, folder / f"{name}.ipynb")
    (folder / "broken.ipynb").write_text("{")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TEACHER_SECRET", "42")
        released = released_answers(ROOT / "notebooks/student")
        rows = grade(find([folder]), LIMITS, released=released)
        return {row.submission.removesuffix(".ipynb"): row for row in rows}


PASS, BLANK = "passed", "not attempted"
OUTCOMES: dict[str, tuple[str, str, str, str]] = {
    "plain": (PASS, PASS, BLANK, BLANK),
    "forged": (PASS, PASS, "failed", BLANK),
    "loop": (PASS, PASS, "crashed cell", BLANK),
    "stubborn": (PASS, PASS, "not reached", "not reached"),
    "slow": (PASS, "failed", BLANK, BLANK),
    "bomb": (PASS, PASS, "crashed cell", BLANK),
    "exit": (PASS, PASS, "not reached", "not reached"),
    "kill": (PASS, PASS, "not reached", "not reached"),
    "verdicts": (PASS, PASS, "not reached", "not reached"),
    "sockets": (PASS, PASS, "not reached", "not reached"),
    "noise": (PASS, PASS, BLANK, BLANK),
    "daemon": (PASS, PASS, BLANK, BLANK),
    "flood": (PASS, PASS, BLANK, BLANK),
    "planted": (PASS, PASS, BLANK, BLANK),
    "peek": (PASS, PASS, BLANK, BLANK),
    "syntax": (PASS, "crashed cell", BLANK, BLANK),
    "unchecked": (PASS, PASS, BLANK, BLANK),
    "gone": (PASS, BLANK, BLANK, BLANK),
    "emptied": (PASS, BLANK, BLANK, BLANK),
    "input": (PASS, "crashed cell", BLANK, BLANK),
    "doubled": (PASS, PASS, BLANK, BLANK),
}
REASONS = {
    "loop": "birthday-variance-stub: stopped after 5 s",
    "stubborn": "could not be interrupted",
    "slow": "took more than 5 s",
    "bomb": "MemoryError",
    "exit": "its kernel died",
    "kill": "process for it was killed",
    "verdicts": "process for it was killed",
    "sockets": "stopped: ",  # and not by the outer limit
    "syntax": "SyntaxError",
    "broken": "not a notebook",
}
linux = pytest.mark.skipif(sys.platform != "linux", reason="limits of processes are Linux's")


@linux
@pytest.mark.slow
@pytest.mark.parametrize("name", OUTCOMES)
def test_every_submission_gets_its_row(name: str, graded: dict[str, Row]) -> None:
    row = graded[name]
    assert tuple(row.verdicts.values()) == OUTCOMES[name], row
    assert list(row.verdicts) == [f"birthday-{short}" for short in NAMES]
    assert row.page == "birthday"
    assert row.digest
    assert REASONS.get(name, "") in " ".join(row.errors), row.errors
    killed = "process for it was killed" in " ".join(row.errors)  # by the outer limit, too
    assert killed == (name in {"kill", "verdicts"}), row.errors
    assert bool(row.errors) == (name in {*REASONS, "forged", "input"}), row.errors
    assert 0 < row.seconds < 100
    assert 20 < row.memory_mb < 1.5 * 1024


@linux
@pytest.mark.slow
def test_nothing_is_left_of_submissions(graded: dict[str, Row]) -> None:
    assert "not a notebook" in graded["broken"].errors[0]
    assert "uses the course's own checks" in graded["forged"].notes[0]
    missing = "birthday-draws: NameError: name 'draws_needed' is not defined"
    assert graded["gone"].notes == graded["emptied"].notes == (missing,)
    lines = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    assert not [line for line in lines if SLEEP in line]


def test_what_cannot_be_read_gets_a_row_and_folders_get_none(tmp_path: Path) -> None:
    (tmp_path / "lost.ipynb").symlink_to(tmp_path / "nowhere")
    (tmp_path / "folder.ipynb").mkdir()
    found = find([tmp_path])
    assert list(found) == ["lost.ipynb"]
    (row,) = grade(found, LIMITS)
    assert row.errors == ("not read: No such file or directory",)
    (tmp_path / "lost.ipynb").unlink()
    with pytest.raises(FileNotFoundError, match="holds no file"):
        find([tmp_path])


@pytest.mark.parametrize(
    ("source", "only"),
    [
        ('check("a-b", x)', True),
        ('%matplotlib inline\ncheck("a-b", x)', False),
        ('check("a-b", x)\ngan_course.check("a-c", answer=y)', True),
        ('x = 3\ncheck("a-b", x)', False),
        ("# check", False),
        ("check(", False),
        ("", False),
    ],
)
def test_cells_that_only_check(source: str, only: bool) -> None:
    assert only_checks(source) == only


@linux
@pytest.mark.slow
def test_networks_are_judged_in_the_notebooks_process(tmp_path: Path) -> None:
    source = """def undo(x, W, b, inverse):
    for k in reversed(range(len(W))):
        x = np.linalg.solve(W[k], x - b[k])
        x = inverse(x) if k else x
    return x"""
    cells = [SETUP, source, 'check("power-undo", undo)']
    notebook = v4.new_notebook(cells=[v4.new_code_cell(cell) for cell in cells])
    nbformat.write(notebook, tmp_path / "a.ipynb")
    (row,) = grade(find([tmp_path]), LIMITS)
    assert row.verdicts["power-undo"] == "passed"
    assert row.notes == ("power-undo was judged in the notebook's own process",)


def _write(folder: Path, names: str, build: Callable[[], nbformat.NotebookNode]) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        nbformat.write(build(), folder / f"{name}.ipynb")


@linux
@pytest.mark.slow
def test_a_rerun_grades_what_is_new_or_changed(tmp_path: Path) -> None:
    _write(tmp_path / "in", "ab", birthday)
    table = tmp_path / "grades.csv"
    command = [str(tmp_path / "in"), "--table", str(table), "--notebooks"]
    command.append(str(ROOT / "notebooks/student"))

    def rows() -> dict[str, Row]:
        assert main(command) == 0
        return read_table(table)

    first = rows()
    assert first["a.ipynb"].verdicts["birthday-draws"] == PASS
    before = table.read_bytes()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", None)  # no worker is started
        assert rows() == first
    assert table.read_bytes() == before
    _write(tmp_path / "in", "c", birthday)
    _write(tmp_path / "in", "b", lambda: birthday(draws=None))
    second = rows()
    assert second["a.ipynb"] == first["a.ipynb"]
    assert second["b.ipynb"].verdicts["birthday-draws"] == BLANK
    assert set(second) == {"a.ipynb", "b.ipynb", "c.ipynb"}
    command.extend(["--memory", "3"])
    assert rows()["a.ipynb"].digest != first["a.ipynb"].digest


@linux
@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stopped_run_keeps_what_is_finished(stop: signal.Signals, tmp_path: Path) -> None:
    _write(tmp_path / "in", "a", birthday)
    slow = f"import time; time.sleep(60)\n{DAEMON}"
    _write(tmp_path / "in", "b", lambda: birthday(slow))
    table = tmp_path / "grades.csv"
    line = [sys.executable, "-m", "gan_course.grade", str(tmp_path / "in"), "--table", table]
    grader = subprocess.Popen(
        [*line, "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    end = time.monotonic() + 120
    while not table.exists() and time.monotonic() < end:
        time.sleep(0.2)
    started = psutil.Process(grader.pid).children(recursive=True)
    os.killpg(grader.pid, stop)
    out, _ = grader.communicate(timeout=60)
    assert grader.returncode == 130, out
    assert "1 new rows" in out
    assert list(read_table(table)) == ["a.ipynb"]
    assert len(started) >= 2, "the other submission's worker and kernel"
    assert not [process for process in started if process.is_running()]
