"""Gates on the pages: witnesses that can fail, exercises whose solutions pass, short cells."""

from __future__ import annotations

import ast
import itertools
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from page import BOOK, Cell, cells, pages

from gan_course.check import exercises, judge
from gan_course.grade.channel import NotData, RemoteFunction, decode, receive, respond

PAGES = pages()
ALL = [(page, cell) for page in PAGES for cell in cells(page)]
MAX_LINES = 15
MAX_COLUMNS = 90  # what fits beside the margins on a wide screen


def _named(items: list[tuple[Path, Cell]]) -> Any:
    return pytest.mark.parametrize(
        ("page", "cell"), items, ids=[f"{page.stem}:{cell.id}" for page, cell in items]
    )


def test_pages_are_found() -> None:
    assert {page.stem for page in PAGES} >= {"game", "saturation"}


@_named(ALL)
def test_cells_are_short(page: Path, cell: Cell) -> None:
    lines = [line for line in cell.code.splitlines() if line.strip()]
    assert len(lines) <= MAX_LINES, f"{page.name}: cell {cell.id} has {len(lines)} lines"
    wide = [line for line in lines if len(line) > MAX_COLUMNS]
    assert not wide, f"{page.name}: cell {cell.id} has wide lines {wide}"


@_named(ALL)
def test_cells_are_python(page: Path, cell: Cell) -> None:
    ast.parse(cell.code)


@_named([(page, cell) for page, cell in ALL if "figure" in cell.options.get("mystnb", {})])
def test_figure_cells_show_a_figure_and_nothing_else(page: Path, cell: Cell) -> None:
    """A value below a figure is a second output, and takes the figure's name as well."""
    last = ast.parse(cell.code).body[-1]
    if isinstance(last, ast.Expr) and not cell.code.rstrip().endswith(";"):
        shown = ast.unparse(last)
        silent = shown.startswith("plots.") or shown.endswith(".set_axis_off()")
        assert silent, f"{page.name}: end the last line of {cell.id} with a semicolon"


def test_cell_ids_are_unique() -> None:
    ids = [cell.id for _, cell in ALL]
    assert len(ids) == len(set(ids))


# --- witnesses ------------------------------------------------------------------------------------

WITNESSES = [page for page in PAGES if any("mutations" in c.options for c in cells(page))]

RUNNER = """
import sys, json, pathlib
sys.path[:0] = [{folder!r}]
import matplotlib; matplotlib.use("Agg")
import numpy
from page import cells
survivors, namespace = [], {{}}
for cell in cells(pathlib.Path({page!r})):
    if cell.tags & {{"check", "stub", "solution"}}:
        continue
    for old, new in cell.options.get("mutations", []):
        if old not in cell.code:
            survivors.append(f"{{cell.id}}: {{old!r}} is not in the cell")
            continue
        trial = {{n: v.copy() if isinstance(v, numpy.ndarray) else v for n, v in namespace.items()}}
        try:
            exec(compile(cell.code.replace(old, new), cell.id, "exec"), trial)
        except AssertionError:
            pass
        else:
            survivors.append(f"{{cell.id}}: survives {{old!r}} -> {{new!r}}")
    exec(compile(cell.code, cell.id, "exec"), namespace)
print(json.dumps(survivors))
"""


@pytest.mark.slow
@pytest.mark.parametrize("page", WITNESSES, ids=lambda page: page.stem)
def test_witnesses_fail_when_mutated(page: Path) -> None:
    code = RUNNER.format(folder=str(Path(__file__).parent), page=str(page))
    env = os.environ | {"GAN_COURSE_SCALE": "smoke", "GAN_COURSE_STATIC": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"


@_named([(page, cell) for page, cell in ALL if "witness" in cell.options])
def test_witnesses_name_a_statement_and_have_mutations(page: Path, cell: Cell) -> None:
    labels = re.findall(r"^:label: ([\w-]+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert cell.options["witness"] in labels
    assert "assert " in cell.code
    assert cell.options.get("mutations"), f"{cell.id} has no mutation that proves that it can fail"


# --- exercises ------------------------------------------------------------------------------------


def _exercise(label: str) -> tuple[Path, Cell, Cell, Cell]:
    """Page, stub, check and solution cell of an exercise."""
    suffixes = ("stub", "check", "solution-cell")
    found = {cell.id: (page, cell) for page, cell in ALL}
    missing = [s for s in suffixes if f"{label}-{s}" not in found]
    assert not missing, f"{label} has no cell {missing}"
    page = found[f"{label}-stub"][0]
    stub, test, solution = (found[f"{label}-{suffix}"][1] for suffix in suffixes)
    return page, stub, test, solution


LABELS = sorted(exercises())


def test_every_check_is_on_a_page_and_registered() -> None:
    called = {
        m for _, c in ALL if "check" in c.tags for m in re.findall(r'check\("([\w-]+)"', c.code)
    }
    assert called == set(LABELS)


@pytest.fixture(scope="module")
def names() -> dict[Path, dict[str, Any]]:
    """What a page's text cells define, at the smoke scale."""
    return {}


def _namespace(page: Path, names: dict[Path, dict[str, Any]]) -> dict[str, Any]:
    if page not in names:
        import matplotlib

        matplotlib.use("Agg")
        names[page] = {}
        for cell in cells(page):
            if not cell.tags & {"check", "stub", "solution"}:
                exec(compile(cell.code, cell.id, "exec"), names[page])
    return dict(names[page])


@pytest.mark.slow
@pytest.mark.parametrize("label", LABELS)
def test_solution_passes_and_stub_does_not(
    label: str, names: dict[Path, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_COURSE_SCALE", "smoke")
    page, stub, test, solution = _exercise(label)
    for cell, wanted in ((stub, "not attempted yet: "), (solution, "correct.")):
        namespace = _namespace(page, names)
        exec(compile(cell.code, cell.id, "exec"), namespace)
        answer = re.search(r'check\("[\w-]+", (\w+)\)', test.code)
        assert answer
        passed, message = judge(label, namespace[answer[1]])
        assert message.startswith(wanted), message
        assert passed == (cell is solution)
        with suppress(NotData):  # those that the grader cannot judge from outside
            assert judge(label, _across(namespace[answer[1]])) == (passed, message)


def _across(answer: Any) -> Any:
    """An answer as the grader sees it, from another process."""
    reply = receive(respond(lambda: answer))
    if "function" in reply:
        return RemoteFunction(lambda request: respond(reply["function"], request))
    return decode(reply["result"])


@pytest.mark.parametrize("label", LABELS)
def test_stub_and_solution_have_one_signature(label: str) -> None:
    _, stub, _, solution = _exercise(label)
    assert _defined(stub.code) == _defined(solution.code) != {}


ANSWERS = {m[1] for _, c in ALL for m in re.finditer(r"""check\(["'][\w-]+["'], (\w+)\)""", c.code)}


def _defined(code: str) -> dict[str, str]:
    """Answers that a cell defines: functions with their arguments, and values."""
    found: dict[str, str] = {}
    for node in ast.parse(code).body:
        if isinstance(node, ast.FunctionDef) and node.name in ANSWERS:
            found[node.name] = ast.unparse(node.args)
        elif isinstance(node, ast.Assign):
            names = {t.id for t in node.targets if isinstance(t, ast.Name)}
            found |= dict.fromkeys(names & ANSWERS, "")
    return found


def test_no_later_cell_uses_a_students_name() -> None:
    for page in PAGES:
        mine: set[str] = set()
        for cell in cells(page):
            if cell.tags & {"stub", "solution"}:
                mine |= set(_defined(cell.code))
            elif "check" not in cell.tags:
                used = {n.id for n in ast.walk(ast.parse(cell.code)) if isinstance(n, ast.Name)}
                assert not used & mine, f"{page.name}: {cell.id} uses {used & mine}"


# --- prose ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_page_has_every_part(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    parts = [
        "```{page-info}",
        "What you will learn",
        "\n## In short",
        "\n## Exercises",
        "\n## Further reading",
    ]
    places = [text.find(part) for part in parts]
    found = dict(zip(parts, places, strict=True))
    assert -1 not in places, found
    assert places == sorted(places), found
    in_short = text.split("\n## In short")[1].split("\n## ")[0]
    assert len(re.findall(r"^- ", in_short, re.MULTILINE)) == 5
    assert "*With a pencil.*" in text
    assert text.count("[stub]") >= 2
    assert "widgets." in text
    assert "claims.mean(" in text or "claims.count(" in text


def test_each_chapter_has_a_false_claim_and_an_open_lab() -> None:
    for chapter in {page.parent for page in PAGES}:
        text = "".join(p.read_text(encoding="utf-8") for p in chapter.glob("*.md"))
        assert "## A false claim you will meet" in text, chapter.name
        assert "*Open lab.*" in text, chapter.name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_claims_are_quoted_and_not_typed(page: Path) -> None:
    """A claim's estimate reaches the prose only through its key, and every key is used."""
    text = page.read_text(encoding="utf-8")
    made = set(re.findall(rf'"({page.stem}-[\w-]+)"', "".join(c.code for c in cells(page))))
    made -= set(LABELS)
    quoted = set(re.findall(r"\{(?:measured|exact)\}`([\w-]+?)(?:-interval|-seeds)?`", text))
    assert quoted <= made
    assert made <= quoted, f"measured, and not told: {made - quoted}"


def test_one_sentence_or_paragraph_a_line() -> None:
    """A paragraph is not wrapped: the change of a word touches one line."""
    blocks = re.compile(r"^(```+|:::+).*?^\1$|^\$\$.*?\$\$$|^---.*?^---$", re.MULTILINE | re.DOTALL)
    for page in (page for page in BOOK.rglob("*.md") if "_ext" not in page.parts):
        lines = blocks.sub("", page.read_text(encoding="utf-8")).splitlines()
        for line, following in itertools.pairwise(lines):
            wrapped = re.search(r"[a-z,]$", line) and re.match(r"[a-z]", following)
            assert not wrapped, f"{page.name}: the line does not end a sentence: {line!r}"
