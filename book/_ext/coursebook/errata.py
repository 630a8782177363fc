"""The errata of the lectures: one data file, its page, and links to it.

`{errata}` lists the rows of `book/errata.yml`, by source; `{erratum}` links to a row by its number.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective, SphinxRole

KINDS = {"M": "mathematics", "T": "notation", "Q": "true with a qualification"}
FIELDS = {"number", "source", "place", "kind", "says", "right", "settled"}
PAGE = "book/appendix/errata"


def read_errata(path: Path) -> dict[str, Any]:
    """Sources and rows of the data file.

    Raises
    ------
    ExtensionError
        If a row lacks a field, has an unknown one, an unknown kind or source, or a number twice.
    """
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    numbers: set[int] = set()
    for row in content["rows"]:
        if set(row) != FIELDS:
            raise ExtensionError(f"{path.name}: row {row.get('number')} has fields {sorted(row)}")
        if row["kind"] not in KINDS or row["source"] not in content["sources"]:
            raise ExtensionError(f"{path.name}: row {row['number']}: unknown kind or source")
        if row["number"] in numbers:
            raise ExtensionError(f"{path.name}: number {row['number']} stands twice")
        numbers.add(row["number"])
    return content


class ErrataDirective(SphinxDirective):
    """`{errata} FILE`: the rows of the data file, a section a source."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        relative, absolute = self.env.relfn2path(self.arguments[0])
        self.env.note_dependency(relative)
        content = read_errata(Path(absolute))
        result: list[nodes.Node] = []
        for key, title in content["sources"].items():
            rows = [row for row in content["rows"] if row["source"] == key]
            if rows:
                text, _ = self.state.inline_text(title, self.lineno)
                result.append(nodes.rubric(title, "", *text))
                result += [self._row(row) for row in sorted(rows, key=lambda r: r["number"])]
        return result

    def _row(self, row: dict[str, Any]) -> nodes.Node:
        lead = f"**{row['number']}** ({row['place']}; {KINDS[row['kind']]})."
        parts = (("The source", "says"), ("Right", "right"), ("Settled", "settled"))
        text = " ".join([lead, *(f"*{title}:* {row[field]}" for title, field in parts)])
        container = nodes.container(ids=[f"erratum-{row['number']}"], classes=["erratum"])
        self.state.nested_parse([text], self.content_offset, container)
        return container


class ErratumRole(SphinxRole):
    """`{erratum}` with a number: a link to the row."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        path = Path(self.env.srcdir, "book", "errata.yml")
        self.env.note_dependency(str(path))
        if self.text not in {str(row["number"]) for row in read_errata(path)["rows"]}:
            raise ExtensionError(f"{self.env.docname}: errata.yml has no row {self.text!r}")
        node = nodes.reference(self.text, self.text, internal=True, erratum=self.text)
        return [node], []


def resolve(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Give the links their address."""
    for node in document.findall(nodes.reference):
        if "erratum" in node:
            uri = app.builder.get_relative_uri(docname, PAGE)
            node["refuri"] = f"{uri}#erratum-{node['erratum']}"


def setup(app: Sphinx) -> None:
    """Register directive and role."""
    app.add_directive("errata", ErrataDirective)
    app.add_role("erratum", ErratumRole())
    app.connect("doctree-resolved", resolve)
