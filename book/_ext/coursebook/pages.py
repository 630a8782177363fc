"""What every page shows of itself: minutes to read and to run, and where to open its notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from docutils import nodes
from docutils.parsers.rst import directives
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

from coursebook.address import binder_url, colab_url
from coursebook.reading import reading

READ, RUN = "time-to-read", "time-to-run"
BUDGETS = {"a few seconds": 10, "under a minute": 60}


class PageInfoDirective(SphinxDirective):
    """`{page-info}`: one line on the time that the page takes.

    The option `run` names one of `BUDGETS`; a test holds the page to it. The minutes to read are
    filled in once the page is read, and on the site what the run took stands for its budget.
    """

    option_spec: ClassVar[dict[str, Any]] = {
        "run": lambda text: directives.choice(text, tuple(BUDGETS))
    }

    def run(self) -> list[nodes.Node]:
        line = nodes.emphasis("", "", nodes.inline(classes=[READ]))
        if "run" in self.options:
            _budgets(self.env)[self.env.docname] = self.options["run"]
            text = f"{self.options['run']} to run on two CPU cores"
            line += [nodes.Text(" · "), nodes.inline("", text, classes=[RUN])]
        return [nodes.paragraph("", "", line, classes=["page-info"])]


def _marked(document: nodes.document, mark: str) -> Iterator[nodes.inline]:
    return (node for node in document.findall(nodes.inline) if mark in node["classes"])


def tell_reading_time(app: Sphinx, document: nodes.document) -> None:
    """Count a page that was just read, and write the minutes into its `{page-info}`."""
    for node in _marked(document, READ):
        minutes = reading(document).minutes
        minutes_of(app.env)[app.env.docname] = minutes
        text, proofs = minutes
        more = f", {proofs} more for the proofs" if proofs else ""
        node += nodes.Text(f"About {text} minutes to read{more}")


class MeasuredRun(SphinxPostTransform):
    """On the site, say what the run took; the notebooks keep the budget, the same everywhere."""

    default_priority = 400
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        seconds = run_seconds(self.env, self.env.docname)
        if seconds is not None:
            for node in _marked(self.document, RUN):
                text = f"{duration(seconds)} to run (measured when this site was built)"
                node.children = []
                node += nodes.Text(text)


def run_seconds(env: BuildEnvironment, docname: str) -> float | None:
    """What the execution of a page took, None where it has no code."""
    data = NbMetadataCollector.get_doc_data(env).get(docname, {})
    return float(data["exec_data"]["runtime"]) if "exec_data" in data else None


def duration(seconds: float) -> str:
    """A measured time in words: "1 second", "34 seconds", "2 minutes"."""
    count, unit = (seconds, "second") if seconds < 90 else (seconds / 60, "minute")
    whole = max(1, round(count))
    return f"{whole} {unit}" if whole == 1 else f"{whole} {unit}s"


def minutes_of(env: Any) -> dict[str, tuple[int, int]]:
    """Minutes to read each page's text and its proofs, by the name of the page."""
    if not hasattr(env, "coursebook_minutes"):
        env.coursebook_minutes = {}
    minutes: dict[str, tuple[int, int]] = env.coursebook_minutes
    return minutes


def _budgets(env: Any) -> dict[str, str]:
    if not hasattr(env, "coursebook_budgets"):
        env.coursebook_budgets = {}
    budgets: dict[str, str] = env.coursebook_budgets
    return budgets


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the times of a page that is read again or gone."""
    _budgets(env).pop(docname, None)
    minutes_of(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    """Take over what a parallel reader found."""
    budgets, minutes = _budgets(other), minutes_of(other)
    _budgets(env).update({name: budgets[name] for name in docnames if name in budgets})
    minutes_of(env).update({name: minutes[name] for name in docnames if name in minutes})


def rewrite_bibliography(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write the bibliography again: a page that cites a new work does not do so by itself."""
    if "cite" not in env.domaindata:
        return []
    return sorted({key.docname for key in env.get_domain("cite").bibliographies})  # type: ignore[attr-defined]


def write_times(app: Sphinx, error: Exception | None) -> None:
    """Write what each page takes, and the budget of its run, for the tests and for teachers."""
    if error is not None or app.builder.name != "html":
        return
    times = {
        docname: {
            "seconds": seconds,
            "budget": BUDGETS[budget],
            "minutes": minutes_of(app.env)[docname],
        }
        for docname, budget in sorted(_budgets(app.env).items())
        if docname in app.env.found_docs
        if (seconds := run_seconds(app.env, docname)) is not None
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
    app.add_post_transform(MeasuredRun)
    app.connect("doctree-read", tell_reading_time)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
    app.connect("env-updated", rewrite_bibliography)
    app.connect("html-page-context", add_launch_buttons, priority=900)
    app.connect("build-finished", write_times)
