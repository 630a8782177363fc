"""Run the pages that must run side by side, before Sphinx reads them one after the other.

MyST-NB runs a page while it reads it, and most pages keep one core busy. Here the pages that
Sphinx is about to read are run first, as many at a time as there are cores, and their outputs put
into the cache in which MyST-NB then finds them. A page that fails here is left to MyST-NB, which
runs it again and says what is wrong.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.executors.utils import single_nb_execution
from myst_nb.core.read import create_nb_reader
from nbclient.exceptions import DeadKernelError
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

LOGGER = logging.getLogger(__name__)
MOST = 4  # kernels at a time: each takes up to a gigabyte


def workers() -> int:
    """How many kernels run at a time."""
    return min(joblib.cpu_count(), MOST)


def read(app: Sphinx, docname: str) -> nbformat.NotebookNode | None:
    """Read a page as MyST-NB will: its cells, or None where the page has none."""
    env: Any = app.env
    path = env.doc2path(docname)
    content = [Path(path).read_text(encoding="utf-8")]
    app.emit("source-read", docname, content)
    reader = create_nb_reader(path, env.myst_config, env.mystnb_config, content[0])
    return None if reader is None else reader.read(content[0])


def run_together(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    """Run those of the pages to be read whose outputs are not in the cache."""
    config: Any = env.mystnb_config  # type: ignore[attr-defined]
    if config.execution_mode != "cache":
        return
    todo = list(_not_cached(app, docnames))
    if len(todo) > 1:
        with ThreadPoolExecutor(workers()) as pool:
            list(pool.map(lambda page: _run(config, *page), todo))


def _not_cached(app: Sphinx, docnames: list[str]) -> Iterator[tuple[str, nbformat.NotebookNode]]:
    env: Any = app.env
    for docname in docnames:
        notebook = read(app, docname)
        if notebook is not None:
            try:
                get_cache(env.mystnb_config.execution_cache_path).match_cache_notebook(notebook)
            except KeyError:
                yield env.doc2path(docname), notebook


def _run(config: Any, path: str, notebook: nbformat.NotebookNode) -> None:
    LOGGER.info("%s: Executing notebook beside others", path)
    with tempfile.TemporaryDirectory() as folder:
        try:
            result = single_nb_execution(
                notebook,
                cwd=folder,
                timeout=config.execution_timeout,
                allow_errors=config.execution_allow_errors,
            )
        except DeadKernelError:
            return
    if result.err is None:
        data = {"execution_seconds": result.time}
        bundle = CacheBundleIn(notebook, path, data=data)
        cache = get_cache(config.execution_cache_path)
        cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        LOGGER.info("%s: Executed notebook in %.2f seconds", path, result.time)


def setup(app: Sphinx) -> None:
    """Connect to the moment before pages are read."""
    app.connect("env-before-read-docs", run_together)
