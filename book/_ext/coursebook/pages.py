"""What every page shows of itself: minutes to read and to run, and where to open its notebook."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from coursebook.address import binder_url, colab_url

WORDS_A_MINUTE, PROOF_WORDS_A_MINUTE = 120, 30  # of mathematics, read with a pencil
CODE = re.compile(r"^```\{code-cell\}.*?^```$", re.MULTILINE | re.DOTALL)
PROOF = re.compile(r"^:::\{(?:dropdown|prf:proof)\}.*?^:::$", re.MULTILINE | re.DOTALL)
BUDGETS = {"a few seconds": 10, "under a minute": 60}


def minutes_to_read(source: str) -> tuple[int, int]:
    """Minutes for a page's prose and for its proofs, each to the next five; code is not counted."""
    prose = CODE.sub("", source)
    proofs = sum(len(proof.split()) for proof in PROOF.findall(prose))
    words = len(PROOF.sub("", prose).split())
    return _fives(words / WORDS_A_MINUTE), _fives(proofs / PROOF_WORDS_A_MINUTE)


def _fives(minutes: float) -> int:
    return max(5, 5 * math.ceil(minutes / 5))


class PageInfoDirective(SphinxDirective):
    """`{page-info}`: one line on the time that the page takes.

    The option `run` names one of `BUDGETS`; a test holds the page to it.
    """

    option_spec: ClassVar[dict[str, Any]] = {
        "run": lambda text: directives.choice(text, tuple(BUDGETS))
    }

    def run(self) -> list[nodes.Node]:
        source = Path(self.env.doc2path(self.env.docname)).read_text(encoding="utf-8")
        prose, proofs = minutes_to_read(source)
        text = f"About {prose} minutes to read, {proofs} more for the proofs"
        if "run" in self.options:
            text += f" · {self.options['run']} to run on two CPU cores"
            _budgets(self.env)[self.env.docname] = self.options["run"]
        return [nodes.paragraph("", "", nodes.emphasis("", text), classes=["page-info"])]


def _budgets(env: Any) -> dict[str, str]:
    if not hasattr(env, "coursebook_budgets"):
        env.coursebook_budgets = {}
    budgets: dict[str, str] = env.coursebook_budgets
    return budgets


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the budget of a page that is read again or gone."""
    _budgets(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    """Take over what a parallel reader found."""
    theirs = _budgets(other)
    _budgets(env).update({name: theirs[name] for name in docnames if name in theirs})


def rewrite_bibliography(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the bibliography again: a page that cites a new work does not do so by itself."""
    if "cite" not in env.domaindata:
        return []
    return sorted({key.docname for key in env.get_domain("cite").bibliographies})  # type: ignore[attr-defined]


def write_times(app: Sphinx, error: Exception | None) -> None:
    """Write what the execution of each page took, and its budget, for the tests."""
    if error is not None or app.builder.name != "html":
        return
    data = NbMetadataCollector.get_doc_data(app.env)
    times = {
        docname: {
            "seconds": data[docname]["exec_data"]["runtime"],
            "budget": BUDGETS[budget],
        }
        for docname, budget in sorted(_budgets(app.env).items())
        if docname in app.env.found_docs and "exec_data" in data.get(docname, {})
    }
    Path(app.outdir).with_name("times.json").write_text(json.dumps(times, indent=1))


def add_launch_buttons(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Point the launch buttons at the student notebook, which Colab and Binder can open."""
    if page not in _budgets(app.env):
        return
    notebook = context["pathto"](f"{page.removeprefix('book/')}.ipynb", 1)
    buttons = [
        _button("Colab", colab_url(app.config, page), "fas fa-play", "Open in Google Colab"),
        _button("Binder", binder_url(app.config, page), "fas fa-flask", "Open on Binder"),
        _button("Notebook", notebook, "fas fa-download", "Download the notebook"),
    ]
    context["header_buttons"].insert(
        0,
        {
            "type": "group",
            "tooltip": "Run this page",
            "icon": "fas fa-rocket",
            "buttons": buttons,
            "label": "launch-buttons",
        },
    )


def _button(text: str, url: str, icon: str, tooltip: str) -> dict[str, str]:
    label = f"launch-{text.lower()}"
    return {
        "type": "link", "text": text, "url": url, "icon": icon, "tooltip": tooltip, "label": label,
    }  # fmt: skip


def setup(app: Sphinx) -> None:
    """Register directive and events."""
    app.add_directive("page-info", PageInfoDirective)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
    app.connect("env-updated", rewrite_bibliography)
    app.connect("html-page-context", add_launch_buttons, priority=900)
    app.connect("build-finished", write_times)
