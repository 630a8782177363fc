"""Numbers in prose: roles that quote what a cell of the same page recorded.

`{measured}` quotes a number that this run measured, `{exact}` one that is the same on every
machine, both by their key. Both read what `gan_course.claims` left in the page's outputs; an
unknown key is an error. In notebooks a measured number stands by its key, since the student's run
has its own.
"""

from __future__ import annotations

from ast import literal_eval

from docutils import nodes
from myst_nb.core.variables import RetrievalError
from myst_nb.ext.glue.utils import retrieve_glue_data
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

logger = logging.getLogger(__name__)


class QuoteRole(SphinxRole):
    """Quote a recorded number; the role's name becomes the class of the inline node."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        document, key = self.inliner.document, self.text
        try:
            recorded = retrieve_glue_data(document, key)
        except RetrievalError:
            logger.error(
                "no cell of this page records a number named %r", key, location=self.get_location()
            )
            return [nodes.inline(key, key)], []
        text = str(recorded.data["text/plain"])
        if text[:1] in "'\"":
            text = literal_eval(text)
        return [nodes.inline(text, text, classes=[self.name], key=key)], []


def setup(app: Sphinx) -> None:
    """Register the roles."""
    app.add_role("measured", QuoteRole())
    app.add_role("exact", QuoteRole())
