"""Measure every claim of the book again on another base seed: `make claims SEED=7`.

Each page runs in a kernel of its own, with claims that report instead of raising. The table shows
each verdict beside the one that the page expects; the command fails if any differs.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from tqdm import tqdm

from gan_course.claims import GLUE_PREFIX
from gan_course.runtime import base_seed

BOOK = Path(__file__).parents[2]
NOT_RUN = {"stub", "check", "solution"}


def pages() -> list[Path]:
    """Pages of the book that make claims."""
    found = (path for path in sorted(BOOK.rglob("*.md")) if "_ext" not in path.parts)
    return [path for path in found if "claims." in path.read_text(encoding="utf-8")]


def measure(page: Path) -> tuple[list[dict[str, Any]], str]:
    """Run a page, exercises apart: its claims, and the error that stopped it, if one did."""
    text = page.read_text(encoding="utf-8")
    notebook = read_myst_markdown_notebook(text, path=page)
    notebook.cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and not NOT_RUN & set(cell.metadata.get("tags", ()))
    ]
    env = os.environ | {"GAN_COURSE_CLAIMS": "report", "GAN_COURSE_STATIC": "1"}
    trouble = ""
    try:
        NotebookClient(notebook, timeout=600).execute(env=env)
    except CellExecutionError as error:
        trouble = f"{page.name}: {error.ename}: {error.evalue}"
    return [claim for cell in notebook.cells for claim in _claims(cell.outputs)], trouble


def _claims(outputs: list[nbformat.NotebookNode]) -> list[dict[str, Any]]:
    found = []
    for output in outputs:
        name = output.get("metadata", {}).get("scrapbook", {}).get("name", "")
        if name.startswith(GLUE_PREFIX):
            found.append(json.loads(next(iter(output.data.values()))))
    return found


def report(claims: list[dict[str, Any]], troubles: list[str]) -> tuple[str, int]:
    """The table, and how many verdicts are not what their page expects or pages did not end."""
    lines = [f"{'claim':<32} {'verdict':<11} {'expected':<11} {'estimate':>9}  95 % interval"]
    changed = 0
    for claim in claims:
        interval = f"{claim['low']:.3g} to {claim['high']:.3g}"
        differs = claim["verdict"] != claim["expect"]
        changed += differs
        lines.append(
            f"{claim['key']:<32} {claim['verdict']:<11} {claim['expect']:<11} "
            f"{claim['estimate']:>9.3g}  {interval}{'   <- changed' if differs else ''}"
        )
    return "\n".join(lines + troubles), changed + len(troubles)


def main() -> int:
    """Measure, print the table, and fail if a verdict changed."""
    claims: list[dict[str, Any]] = []
    troubles: list[str] = []
    for page in tqdm(pages(), desc="pages", disable=not sys.stderr.isatty()):
        measured, trouble = measure(page)
        claims += measured
        troubles += [trouble] if trouble else []
    table, changed = report(claims, troubles)
    print(f"Base seed {base_seed()}, {len(claims)} claims\n\n{table}\n")
    print(
        "Every verdict is as its page expects."
        if not changed
        else f"{changed} verdicts changed or pages stopped."
    )
    return 1 if changed else 0


if __name__ == "__main__":
    raise SystemExit(main())
