"""The ledger: every claim of the book, collected from the pages' outputs.

`gan_course.claims` records each claim under the key `claim:NAME` in its page's outputs. They are
collected when a page is read, forgotten when it is purged, and listed by the directive
`{ledger}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from gan_course.claims import GLUE_PREFIX

Claims = dict[str, list[dict[str, Any]]]
HEADINGS = ("Claim", "Statement", "Estimate", "95 % interval", "Threshold", "Seeds", "Verdict")


class LedgerNode(nodes.General, nodes.Element):
    """Stands where the ledger will stand once all pages are read."""


class LedgerDirective(SphinxDirective):
    """`{ledger}`: the table of all claims."""

    def run(self) -> list[nodes.Node]:
        _readers(self.env).add(self.env.docname)
        return [LedgerNode()]


def collect(app: Sphinx, document: nodes.document) -> None:
    """Take the claims of a page that was just read, and give the cells that made them anchors."""
    env = app.env
    keys = NbMetadataCollector.get_doc_data(env).get(env.docname, {}).get("glue", [])
    names = [key for key in keys if key.startswith(GLUE_PREFIX)]
    if not names:
        return
    folder = Path(env.mystnb_config.output_folder)  # type: ignore[attr-defined]
    glued = json.loads((folder / f"{env.docname}.glue.json").read_text(encoding="utf-8"))
    claims = [json.loads(glued[name]["data"]["text/plain"]) for name in names]
    claims_of(env)[env.docname] = claims
    for cell in document.findall(lambda n: isinstance(n, nodes.container) and "cell_index" in n):
        code = cell[0].astext()
        cell["ids"] += [anchor(c["key"]) for c in claims if f'"{c["key"]}"' in code]


def anchor(key: str) -> str:
    """Anchor of the cell that makes a claim."""
    return f"claim-{key}"


def claims_of(env: BuildEnvironment) -> Claims:
    """Claims by the name of their page."""
    if not hasattr(env, "coursebook_claims"):
        env.coursebook_claims = {}  # type: ignore[attr-defined]
    claims: Claims = env.coursebook_claims  # type: ignore[attr-defined]
    return claims


def _readers(env: BuildEnvironment) -> set[str]:
    if not hasattr(env, "coursebook_ledgers"):
        env.coursebook_ledgers = set()  # type: ignore[attr-defined]
    readers: set[str] = env.coursebook_ledgers  # type: ignore[attr-defined]
    return readers


def rewrite(app: Sphinx, env: BuildEnvironment) -> Iterable[str]:
    """Pages with a ledger are written again whenever any page was read."""
    owners: dict[str, str] = {}
    for docname, claims in claims_of(env).items():
        for claim in claims:
            other = owners.setdefault(claim["key"], docname)
            if other != docname:
                raise ExtensionError(f"claim {claim['key']!r} stands on {other} and on {docname}")
    return sorted(_readers(env) & env.found_docs)


def resolve(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Put the table in its place."""
    for node in list(document.findall(LedgerNode)):
        rows = [
            _row(app, docname, page, claim)
            for page in sorted(claims_of(app.env))
            for claim in claims_of(app.env)[page]
        ]
        node.replace_self(_table(rows) if rows else nodes.paragraph("", "No claims yet."))


def _row(app: Sphinx, ledger: str, page: str, claim: dict[str, Any]) -> list[nodes.Node]:
    link = nodes.reference("", "", internal=True)
    link["refuri"] = app.builder.get_relative_uri(ledger, page) + f"#{anchor(claim['key'])}"
    link += nodes.literal("", claim["key"])
    interval = f"{claim['low']:.3g} to {claim['high']:.3g} ({claim['interval']})"
    bound = claim["bound"].removeprefix("threshold: ")
    texts = [claim["sentence"], f"{claim['estimate']:.3g}", interval, bound]
    texts += [f"{claim['n_seeds']}, {claim['device']}", claim["verdict"]]
    return [link, *(nodes.inline("", text) for text in texts)]


def _table(rows: list[list[nodes.Node]]) -> nodes.table:
    group = nodes.tgroup("", *(nodes.colspec(colwidth=1) for _ in HEADINGS), cols=len(HEADINGS))
    group += nodes.thead("", _line([nodes.inline("", text) for text in HEADINGS]))
    group += nodes.tbody("", *(_line(row) for row in rows))
    return nodes.table("", group, classes=["ledger"])


def _line(cells: list[nodes.Node]) -> nodes.row:
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", cell)) for cell in cells))


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget the claims of a page that is read again or gone."""
    claims_of(env).pop(docname, None)
    _readers(env).discard(docname)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    """Take over what a parallel reader found."""
    theirs = claims_of(other)
    claims_of(env).update({name: theirs[name] for name in docnames if name in theirs})
    _readers(env).update(_readers(other) & docnames)


def setup(app: Sphinx) -> None:
    """Register directive and events."""
    app.add_node(LedgerNode)
    app.add_directive("ledger", LedgerDirective)
    app.connect("doctree-read", collect)
    app.connect("env-updated", rewrite)
    app.connect("doctree-resolved", resolve)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
