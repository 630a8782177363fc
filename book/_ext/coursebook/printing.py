"""The book on paper: a style for printed pages, and all of it as one PDF by LaTeX (`make pdf`).

Jupyter Book's LaTeX writes parts, chapters and sections. Here it gets what it lacks: the site's
macros and chapter numbers, and the pictures that stand for widgets where no script runs.
"""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.fileutil import copy_asset_file
from sphinx_exercise.nodes import exercise_enumerable_node

from coursebook.tex import Macros
from coursebook.widgets import EMBEDDED, is_widget

TARGET = "gan-course.tex"
# The class of Jupyter Book asks for the package bbm, whose fonts many installations lack.
STAND_INS = {"bbm.sty": "\\ProvidesPackage{bbm}\n\\newcommand{\\mathbbm}[1]{\\mathbb{#1}}\n"}
LACKING = {"setminus": r"\mathbin{\backslash}"}  # signs that the fonts of LaTeX lack
ONE_PAGE = 15  # rows; a longer table may go on over pages
ELEMENTS = {"papersize": "a4paper", "figure_align": "H", "fncychap": ""}


def preamble(macros: Macros) -> str:
    """The site's macros as LaTeX commands, defined last so that no package takes their place."""
    lines = [_definition(name, macro) for name, macro in sorted((LACKING | dict(macros)).items())]
    return "\\AtBeginDocument{%\n" + "".join(f"  {line}%\n" for line in lines) + "}\n"


def _definition(name: str, macro: str | Any) -> str:
    body, count = (macro, 0) if isinstance(macro, str) else (str(macro[0]), int(macro[1]))
    if not isinstance(macro, str) and len(macro) > 2:
        raise ValueError(f"the macro {name!r} has an optional argument; LaTeX would need its own")
    arguments = f"[{count}]" if count else ""
    return f"\\providecommand{{\\{name}}}{{}}\\renewcommand{{\\{name}}}{arguments}{{{body}}}"


def configure(app: Sphinx, config: Config) -> None:
    """Give LaTeX paper and macros, and number statements as on the site."""
    macros: Mapping[str, Any] = (config.mathjax3_config or {}).get("tex", {}).get("macros", {})
    elements = ELEMENTS | config.latex_elements
    elements["preamble"] = elements.get("preamble", "") + preamble(macros)
    config.latex_elements = elements
    config.latex_use_xindy = False  # a tool that few have; the index needs no other alphabet
    if "jblatex_captions_to_parts" in config:
        config.jblatex_captions_to_parts = False  # parts would number statements 1.2.3
        config.jblatex_load_imgconverter = False


def prepare(app: Sphinx) -> None:
    """Give the LaTeX file its name, and put what stands for missing packages beside it."""
    if app.builder.name == "latex":
        config = app.config  # whose first page the table of contents has named by now
        document = (config.root_doc, TARGET, config.html_title, config.author, "jupyterBook")
        config.latex_documents = [document]
        for name, text in STAND_INS.items():
            Path(app.outdir, name).write_text(text, encoding="utf-8")


class Paper(SphinxPostTransform):
    """What has to change before LaTeX is written of the whole book."""

    default_priority = 3  # before myst-nb picks one format of each output
    builders = ("latex",)

    def run(self, **kwargs: Any) -> None:
        for bundle in list(self.document.findall(nodes.container)):
            pictures = list(bundle.findall(is_widget))
            if bundle.get("nb_element") == "mime_bundle" and pictures:
                bundle.replace_self(list(self._stills(pictures)))
        for image in self.document.findall(nodes.image):
            self._prefer_pdf(image)
        for box in list(self.document.findall(nodes.container)):
            self._label(box)
        self._number_chapters()

    def _stills(self, widgets: list[nodes.Node]) -> Iterator[nodes.image]:
        """The picture that a widget begins with, written beside the LaTeX file as PNG."""
        for widget in widgets:
            found = EMBEDDED.search(widget.astext())
            if found:
                data = base64.b64decode(found[2])
                name = f"still-{hashlib.sha256(data).hexdigest()[:16]}.png"
                picture = Image.open(io.BytesIO(data)).convert("RGB")
                picture.save(Path(self.app.outdir, name), dpi=(144, 144))
                yield nodes.image(uri=name, candidates={"*": name}, align="center")

    def _prefer_pdf(self, image: nodes.image) -> None:
        """LaTeX reads no SVG: take the PDF of the same name that lies beside it."""
        path = Path(str(image["uri"]))
        beside = Path(self.app.srcdir, path.with_suffix(".pdf"))
        if path.suffix == ".svg" and beside.is_file():
            copy_asset_file(str(beside), str(self.app.outdir))
            image["uri"] = beside.name
            image["candidates"] = {"*": beside.name}

    def _label(self, box: nodes.container) -> None:
        """LaTeX writes no label of a box, to which a link would lead: put one before it."""
        if box["ids"]:
            box.parent.insert(box.parent.index(box), nodes.target("", "", ids=box["ids"]))
            box["ids"] = []

    def _number_chapters(self) -> None:
        """Chapters have the site's numbers, the others the letters of an appendix."""
        appendix = False
        for file in list(self.document.findall(addnodes.start_of_file)):
            number = self.env.toc_secnumbers.get(str(file["docname"]), {}).get("", ())
            if number and len(number) == 1:
                file.insert(0, _latex(f"\\setcounter{{chapter}}{{{number[0] - 1}}}"))
            elif not number and not appendix:
                appendix = True
                file.insert(0, _latex("\\appendix"))


def finish(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    """Change what has to change once all tables are made and all links are resolved."""
    if app.builder.name == "latex":
        _link_exercises(doctree, getattr(app.env, "sphinx_exercise_registry", {}))
        for table in doctree.findall(nodes.table):
            _share_width(table)


def _link_exercises(doctree: nodes.document, known: Mapping[str, Any]) -> None:
    """Those of other pages, too, which sphinx-exercise leaves to Sphinx without a label."""
    for exercise in list(doctree.findall(exercise_enumerable_node)):
        name = f"{exercise['docname']}:{exercise['label']}"
        label = _latex(f"\\phantomsection\\label{{\\detokenize{{{name}}}}}")
        exercise.parent.insert(exercise.parent.index(exercise), label)
    for link in list(doctree.findall(addnodes.number_reference)):
        uri = str(link.get("refuri", ""))
        if uri.rpartition("#")[2] in known:
            link.replace_self(nodes.reference("", link.astext(), refuri=uri, internal=True))


def _share_width(table: nodes.table) -> None:
    """LaTeX breaks no line in a table of several pages, unless its columns have widths."""
    rows = [list(row.findall(nodes.entry)) for row in table.findall(nodes.row)]
    columns = list(table.findall(nodes.colspec))
    if len(rows) > ONE_PAGE and all(len(row) == len(columns) for row in rows):
        table["classes"] = ["colwidths-given", "longtable"]
        for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
            texts = [cell.astext() for cell in cells]
            word = max(len(word) for text in texts for word in text.split() or [""])
            mean = sum(map(len, texts)) / len(texts)
            column["colwidth"] = max(min(word, 16), min(round(mean) + 3, 48))
        for name in list(table.findall(nodes.literal)):
            first, *others = name.astext().split("-")
            name.children = [nodes.Text(first)]
            for part in others:
                name += [nodes.Text("-"), nodes.raw("", r"\allowbreak{}", format="latex")]
                name += nodes.Text(part)


def _latex(text: str) -> nodes.raw:
    return nodes.raw("", f"\n{text}\n", format="latex")


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.add_css_file("print.css", media="print")
    app.add_js_file("print.js", defer="defer")
    app.add_post_transform(Paper)
    app.connect("config-inited", configure, priority=100)
    app.connect("builder-inited", prepare)
    app.connect("doctree-resolved", finish, priority=900)
