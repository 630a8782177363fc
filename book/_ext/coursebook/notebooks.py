"""The builder `notebooks`: each page with code as a student's notebook and a solved one.

`jupyter-book build . --builder custom --custom-builder notebooks` writes
`<outdir>/student/<chapter>/<page>.ipynb` and `<outdir>/solution/<chapter>/<page>.ipynb`.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.builders import Builder
from sphinx.errors import ExtensionError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging
from sphinx.util.osutil import ensuredir

from . import nbgrader
from .address import branch, notebook_path, repository_url, site_url
from .cells import Cell, CellWriter, SourceCell, is_code, read_cells
from .execution import executed, kept_outputs
from .gate import find_myst
from .inline import PageContext, line_of
from .markdown import MarkdownWriter, join
from .prerun import read, workers

LOGGER = logging.getLogger(__name__)
FINGERPRINT_TAG = "fingerprint"
INSTALL = """\
# On Colab, install the course's package; elsewhere it is there already.
import importlib.util
import sys

if "google.colab" in sys.modules and importlib.util.find_spec("gan_course") is None:
    %pip install --quiet "git+{repository}@{branch}\""""
READ_ON_SITE = "[Read this page on the site]({url})."
FOR_STUDENTS = (
    "Run it cell by cell with Shift-Enter; solutions are folded on the site's page.\n"
    "What you solved is kept by `progress()`, which you import from `gan_course.check`."
)
MEASURED = (
    "Numbers that depend on your run stand in the text by their names, such as `{key}`; "
    "a cell nearby prints each with its name."
)
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


class KeepCaptionsOnly(SphinxPostTransform):
    """Drop what code cells gave, all but the captions of figures: a notebook makes its own."""

    default_priority = 3  # before myst-nb picks one format of each output
    builders = ("notebooks",)

    def run(self, **kwargs: Any) -> None:
        for cell in [node for node in self.document.findall(nodes.container) if is_code(node)]:
            figures = [figure.deepcopy() for figure in cell.findall(nodes.figure)]
            for figure in figures:
                figure.children = [c for c in figure.children if isinstance(c, nodes.caption)]
            cell.clear()
            cell.extend(figures)
        for bundle in self.document.findall(nodes.container):
            if bundle.get("nb_element") == "mime_bundle":
                where = f"{self.env.doc2path(self.env.docname, base=False)}:{line_of(bundle)}"
                raise ExtensionError(
                    f"{where}: a cell's output pasted into another place cannot be written to a "
                    "notebook; paste text, or draw the figure there"
                )


class NotebookBuilder(Builder):
    """Writes the two trees of notebooks from the resolved pages."""

    name = "notebooks"
    format = "markdown"
    epilog = "The notebooks are in %(outdir)s."
    allow_parallel = False

    def init(self) -> None:
        self._written: set[Path] = set()
        self._executed: list[str] = []
        self._pool = ThreadPoolExecutor(workers())  # the work is done in kernels
        self._running: list[Future[None]] = []

    def get_outdated_docs(self) -> list[str]:
        """All pages: an unchanged notebook is not touched, and nothing runs twice."""
        return sorted(self.env.found_docs)

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        return f"{site_url(self.config)}{docname}.html"

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        return "" if from_ == to else self.get_target_uri(to)

    def prepare_writing(self, docnames: set[str]) -> None:
        pass

    def write_doc(self, docname: str, doctree: nodes.document) -> None:
        source, fingerprint = self._read_source(docname)
        if not source:
            return
        page = self._context(docname)
        for tree in ("student", "solution"):
            notebook = self._notebook(page, doctree, source, solved=tree == "solution")
            place = Path(tree) / notebook_path(docname)
            if tree == "student":
                self._save(notebook, place)
            else:
                job = self._pool.submit(self._save_solved, notebook, place, page, fingerprint)
                self._running.append(job)

    def finish(self) -> None:
        """Wait for the notebooks that run, and remove those of pages that are no more."""
        self._pool.shutdown()
        for job in self._running:
            job.result()
        for path in Path(self.outdir).glob("*/**/*.ipynb"):
            if path not in self._written:
                path.unlink()
        count, run = len(self._written), len(self._executed)
        LOGGER.info("%d notebooks, of which %d had to be run", count, run)

    def _read_source(self, docname: str) -> tuple[list[SourceCell], str]:
        """Read a page's code cells, and the text of its fingerprint, which is none of them."""
        notebook = read(self.app, docname)
        if notebook is None:
            return [], ""
        marks = [c for c in notebook.cells if FINGERPRINT_TAG in c.metadata.get("tags", ())]
        kept = [
            (cell, line)
            for cell, line in zip(notebook.cells, notebook.metadata["source_map"], strict=True)
            if cell not in marks
        ]
        notebook.cells = [cell for cell, _ in kept]
        notebook.metadata["source_map"] = [line for _, line in kept]
        where = self.env.doc2path(docname, base=False)
        return read_cells(notebook, where), "\n".join(mark.source for mark in marks)

    def _context(self, docname: str) -> PageContext:
        mathjax = self.config.mathjax3_config or {}
        return PageContext(
            docname=docname,
            source=Path(self.env.doc2path(docname, base=False)),
            srcdir=Path(self.srcdir),
            url=self.get_target_uri(docname),
            macros=mathjax.get("tex", {}).get("macros", {}),
            numbers=self.env.toc_fignumbers.get(docname, {}),
            section_numbers=self.env.toc_secnumbers.get(docname, {}),
            section_suffix=self.config.html_secnumber_suffix,
            equation_separator=self.config.math_numsep,
            number_formats=self.config.numfig_format,
        )

    def _notebook(
        self, page: PageContext, doctree: nodes.document, source: list[SourceCell], *, solved: bool
    ) -> nbformat.NotebookNode:
        writer = MarkdownWriter(page)
        install = INSTALL.format(repository=repository_url(self.config), branch=branch(self.config))
        cells = CellWriter(writer, source, install, solved=solved).write(doctree)
        about = [READ_ON_SITE.format(url=page.url)]
        if not solved:
            about.append(FOR_STUDENTS)
        if writer.measured:
            about.append(MEASURED.format(key=writer.measured))
        cells[0].source = join([cells[0].source, "\n".join(about)])
        for cell in cells:
            left = find_myst(cell.source, page.macros) if cell.kind == "markdown" else []
            if left:
                raise ExtensionError(f"{page.source}: cell {cell.id!r} still holds {left[0]}")
        notebook = as_notebook(cells)
        if not solved:
            nbgrader.mark(notebook)
        return notebook

    def _save_solved(
        self, notebook: nbformat.NotebookNode, place: Path, page: PageContext, fingerprint: str
    ) -> None:
        self._keep_outputs(notebook, page, fingerprint)
        self._save(notebook, place)

    def _keep_outputs(
        self, notebook: nbformat.NotebookNode, page: PageContext, fingerprint: str
    ) -> None:
        env: Any = self.env
        config = env.mystnb_config
        folder = config.execution_cache_path or Path(self.outdir).parent / ".jupyter_cache"
        done, fresh = executed(
            notebook,
            Path(folder),
            key=fingerprint,
            timeout=config.execution_timeout,
            where=str(page.source),
        )
        if fresh:
            self._executed.append(page.docname)
        for cell, result in zip(notebook.cells, done.cells, strict=True):
            if cell.cell_type == "code":
                result.metadata = cell.metadata
                cell.outputs = kept_outputs(result, str(page.source))
                cell.execution_count = result.execution_count if cell.outputs else None

    def _save(self, notebook: nbformat.NotebookNode, place: Path) -> None:
        path = Path(self.outdir) / place
        ensuredir(path.parent)
        nbformat.validate(notebook)
        text = nbformat.writes(notebook) + "\n"
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
        self._written.add(path)


def as_notebook(cells: list[Cell]) -> nbformat.NotebookNode:
    """Make a notebook with the least of metadata."""
    notebook = nbformat.v4.new_notebook(
        metadata={
            "colab": {"toc_visible": True},
            "kernelspec": KERNEL,
            "language_info": {"name": "python"},
        }
    )
    for cell in cells:
        make = nbformat.v4.new_code_cell if cell.kind == "code" else nbformat.v4.new_markdown_cell
        notebook.cells.append(make(cell.source, id=cell.id, metadata=cell.metadata))
    return notebook


def setup(app: Sphinx) -> None:
    """Register the builder."""
    app.add_builder(NotebookBuilder)
    app.add_post_transform(KeepCaptionsOnly)
