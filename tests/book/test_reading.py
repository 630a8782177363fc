"""The minutes that a page says it takes: counted for reading, measured for running."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from coursebook import pages
from coursebook.reading import CODE_LINE, DISPLAY, FORMULA, PENCIL, PICTURE, WORD, reading
from docutils import nodes
from sphinx.testing.util import SphinxTestApp
from sphinx_exercise.nodes import solution_node
from sphinx_proof.nodes import proof_node


def _words(count: int) -> nodes.paragraph:
    return nodes.paragraph("", " ".join(["word"] * count))


def _cell(*outputs: nodes.Element) -> nodes.container:
    source = nodes.container("", nodes.literal_block("", "a = 1\n\nb = 2"))
    output = nodes.container("", *outputs, nb_element="cell_code_output")
    return nodes.container("", source, output, nb_element="cell_code")


def _fold(title: str, *children: nodes.Node) -> nodes.container:
    return nodes.container("", nodes.rubric("", title), *children, design_component="dropdown")


PRINTED = nodes.container("", nodes.literal_block("", "1\n2\n3"), mime_type="text/plain")
WIDGET = nodes.container("", nodes.raw("", "<b>", format="html"), mime_type="text/html")


@pytest.mark.parametrize(
    ("node", "text", "proofs"),
    [
        (_words(200), 60, 0),
        (nodes.paragraph("", "", nodes.math("", "a b c")), FORMULA, 0),
        (nodes.math_block("", "a \\\\ b"), DISPLAY, 0),
        (nodes.image(uri="a.png"), PICTURE, 0),
        (_cell(), 2 * CODE_LINE, 0),
        (_cell(PRINTED), 2 * CODE_LINE, 0),  # what a cell prints is glanced at
        (_cell(WIDGET.deepcopy()), 2 * CODE_LINE + PICTURE, 0),
        (proof_node("", _words(10)), 0, 10 * WORD * PENCIL),
        (_fold("Proof of it", _words(8)), 0, 11 * WORD * PENCIL),
        (_fold("More", _words(9)), 10 * WORD, 0),
        (solution_node("", _words(99)), 0, 0),
        (nodes.hint("", _words(99)), 0, 0),
        (nodes.raw("", "a b c", format="html"), 0, 0),
    ],
)
def test_what_a_thing_takes(node: nodes.Element, text: float, proofs: float) -> None:
    found = reading(nodes.section("", nodes.section("", node)))
    assert found.text == pytest.approx(text)
    assert found.proofs == pytest.approx(proofs)


def test_minutes_are_to_the_next_five() -> None:
    page = nodes.section("", _words(1001), proof_node("", _words(1)))
    assert reading(page).minutes == (10, 5)
    assert reading(nodes.section("", _words(1))).minutes == (5, 0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 second"), (34.4, "34 seconds"), (89, "89 seconds"), (140, "2 minutes")],
)
def test_a_measured_time_in_words(seconds: float, text: str) -> None:
    assert pages.duration(seconds) == text


PAGE = "# A page\n\n```{page-info}\n:run: under a minute\n```\n\nSome words.\n"


def _app(folder: Path, builder: str) -> SphinxTestApp:
    app = SphinxTestApp(builder, srcdir=folder, freshenv=True, confoverrides={
        "extensions": ["myst_nb", "sphinx_proof", "sphinx_exercise", "coursebook.pages"],
        "html_theme_options": {}, "html_theme": "basic",
    })  # fmt: skip

    def no_buttons(app: Any, page: str, template: str, context: dict[str, Any], _: Any) -> None:
        context["header_buttons"] = []

    app.config.html_theme_options["repository_url"] = "https://github.com/someone/copy"
    app.connect("html-page-context", no_buttons, priority=1)
    return app


def test_the_site_tells_the_measured_run_and_others_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "run_seconds", lambda env, docname: 34.4)
    (tmp_path / "conf.py").write_text("")
    (tmp_path / "index.md").write_text(PAGE)
    texts = {}
    for builder, file in (("html", "index.html"), ("text", "index.txt")):
        app = _app(tmp_path, builder)
        try:
            app.build()
            texts[builder] = Path(app.outdir, file).read_text(encoding="utf-8")
            assert pages.minutes_of(app.env) == {"index": (5, 0)}
        finally:
            app.cleanup()
    assert "34 seconds to run (measured when this site was built)" in texts["html"]
    assert "under a minute to run on two CPU cores" in texts["text"]
    for text in texts.values():
        assert "About 5 minutes to read" in text
        assert "more for the proofs" not in text
