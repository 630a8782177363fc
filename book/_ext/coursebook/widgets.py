"""Widgets on the site: modules, shim and pictures as files, and state in the page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.osutil import relative_uri

import gan_course.widgets

PACKAGE = Path(gan_course.widgets.__file__).parent
PICTURES = "_images/frames"
MARKS = ('class="gc-widget"', 'class="gc-still"')
MODULE = re.compile(r'<div class="gc-widget" data-module="(\w+)">')
EMBEDDED = re.compile(r"data:image/(\w+);base64,([A-Za-z0-9+/]+=*)")


def is_widget(node: nodes.Node) -> bool:
    """Whether this is a widget's HTML, as `gan_course.widgets.Still` writes it."""
    return isinstance(node, nodes.raw) and any(mark in node.astext() for mark in MARKS)


class WidgetPictures(SphinxPostTransform):
    """Move pictures out of widgets into files that the page fetches on demand.

    The stored doctree keeps them embedded: a page written again after a warm start, or into
    another folder, finds everything that it needs there.
    """

    default_priority = 400  # after myst-nb has chosen among an output's mime types
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        for node in list(self.document.findall(is_widget)):
            text = EMBEDDED.sub(self._filed, node.astext())
            # Not `text_html`, which the theme paints like a sheet of paper in dark mode.
            node.parent.replace(node, nodes.raw("", text, format="html"))

    def _filed(self, match: re.Match[str]) -> str:
        """Write one picture, and give its address relative to the page."""
        kind, data = match[1], base64.b64decode(match[2])
        name = f"{PICTURES}/{hashlib.sha256(data).hexdigest()[:16]}.{kind}"
        path = Path(self.app.outdir, name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        page = self.app.builder.get_target_uri(self.env.docname)
        return relative_uri(page, name)


def copy_modules(app: Sphinx) -> None:
    """Put the widgets' modules and style beside the site's other static files."""
    if app.builder.format == "html":
        write_modules(Path(app.outdir, "_static", "widgets"))


def write_modules(folder: Path) -> None:
    """Write each module's source as a script that registers it with the shim."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in PACKAGE.glob("*.js"):
        source = json.dumps(module.read_text(encoding="utf-8"))
        script = f'(window.gcWidgetSources ??= {{}})["{module.stem}"] = {source};\n'
        _write(folder / module.name, script)
    _write(folder / "widgets.css", (PACKAGE / "widgets.css").read_text(encoding="utf-8"))


def _write(path: Path, text: str) -> None:
    """Write only what changed, so that a warm build stays warm."""
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")


def add_assets(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the shim, and the modules in use, on pages that have a widget; the style there too."""
    if doctree is None:
        return
    html = [node.astext() for node in doctree.findall(is_widget)]
    if not html:
        return
    app.add_css_file("widgets/widgets.css")
    modules = sorted({name for text in html for name in MODULE.findall(text)})
    for name in modules:
        app.add_js_file(f"widgets/{name}.js", defer="defer")
    if modules:
        app.add_js_file("widget-shim.js", defer="defer")


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.add_post_transform(WidgetPictures)
    app.connect("builder-inited", copy_modules)
    app.connect("html-page-context", add_assets)
