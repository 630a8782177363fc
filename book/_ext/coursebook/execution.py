"""Execution of solution notebooks, kept by jupyter-cache so that nothing runs twice."""

from __future__ import annotations

import copy
import os
import re
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from sphinx.errors import ExtensionError

KEPT_TAG = "nbval-check-output"
_COLORS = re.compile(r"\x1b\[[0-9;]*m")


def executed(
    notebook: nbformat.NotebookNode, cache_folder: Path, *, key: str, timeout: int, where: str
) -> tuple[nbformat.NotebookNode, bool]:
    """Return the notebook with its outputs, and whether it had to be run.

    Parameters
    ----------
    notebook
        Notebook to run; it is not changed.
    cache_folder
        Folder of jupyter-cache, which knows a notebook by the text of its code cells.
    key
        Text that must be the same, too, for the cached outputs to hold (a page's fingerprint).
    timeout
        Seconds that a cell may take.
    where
        Page's file, for messages.

    Raises
    ------
    ExtensionError
        If a cell raises, takes too long, or stops the kernel; it names the cell.
    """
    keyed = copy.deepcopy(notebook)
    keyed.cells.append(nbformat.v4.new_code_cell(key, id="cache-key"))
    cache = get_cache(cache_folder)
    fresh = False
    try:
        _, keyed = cache.merge_match_into_notebook(keyed)
    except KeyError:
        fresh = True
    if fresh:
        _run(keyed, timeout, where)
        bundle = CacheBundleIn(copy.deepcopy(keyed), where)
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    keyed.cells.pop()
    return keyed, fresh


def _run(notebook: nbformat.NotebookNode, timeout: int, where: str) -> None:
    env = {name: value for name, value in os.environ.items() if name != "GAN_COURSE_STATIC"}
    with tempfile.TemporaryDirectory() as folder:
        client = NotebookClient(
            notebook,
            timeout=timeout,
            resources={"metadata": {"path": folder}},
            force_raise_errors=True,
        )
        try:
            client.execute(env=env)
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            report = _COLORS.sub("", str(error))
            message = f"{where}: cell {_reached(notebook)!r} of the solution failed:\n{report}"
            raise ExtensionError(message) from None
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # its times would change the key of the cache


def _reached(notebook: nbformat.NotebookNode) -> str:
    """Id of the cell at which an execution stopped: the last one that was started."""
    started = [
        cell.id
        for cell in notebook.cells
        if cell.cell_type == "code" and "iopub.execute_input" in cell.metadata.get("execution", {})
    ]
    return started[-1] if started else notebook.cells[0].id


def kept_outputs(cell: nbformat.NotebookNode, where: str) -> list[Any]:
    """Outputs that nbval compares: the text that a cell prints, nothing for other cells.

    Raises
    ------
    ExtensionError
        If a cell whose output is compared gives anything but printed text.
    """
    if KEPT_TAG not in cell.metadata.get("tags", ()):
        return []
    other = [o for o in cell.outputs if o.output_type != "stream" or o.name != "stdout"]
    if other or not cell.outputs:
        kinds = sorted({str(o.get("name", o.output_type)) for o in other}) or ["nothing"]
        raise ExtensionError(
            f"{where}: cell {cell.id!r} has the tag {KEPT_TAG} and gives {', '.join(kinds)}; "
            "it must give printed text only"
        )
    text = "".join(output.text for output in cell.outputs)
    return [nbformat.v4.new_output("stream", name="stdout", text=text)]
