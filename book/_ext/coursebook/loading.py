"""Text first: the scripts of the theme and of other extensions wait until the page is read.

A script in a page's head holds up all that follows it. On a slow line a page of this book would
wait for ten of them, none of which does anything before its text is there.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config

# Inline scripts use at once what this one defines.
NEEDED_AT_ONCE = "documentation_options.js"


def defer_scripts(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Mark the scripts of a page that has a text; they keep their order."""
    if doctree is None:
        return
    context["script_files"] = [_deferred(script) for script in context["script_files"]]


def _deferred(script: Any) -> Any:
    """A script that waits; a copy, since other pages have the same one."""
    name = str(script.filename or "")
    if not name or "async" in script.attributes or NEEDED_AT_ONCE in name:
        return script
    attributes = script.attributes | {"defer": "defer"}
    return type(script)(script.filename, priority=script.priority, **attributes)


def use_templates(app: Sphinx, config: Config) -> None:
    """Have the theme's own search scripts wait as well, which no event can change."""
    config.templates_path = [*config.templates_path, str(Path(__file__).parent / "templates")]


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("config-inited", use_templates)
    app.connect("html-page-context", defer_scripts, priority=999)
