"""The foot of every page: the book's version, the page's last change, and how to report a mistake.

The date is the commit's that last changed the page or a file that it is made from, so that the
same commit gives the same site everywhere. Outside Git, and in a checkout that holds a part of
the history only, there is none.
"""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from coursebook.address import branch, repository_url, site_url
from gan_course import __version__


def last_change(env: BuildEnvironment, docname: str) -> str:
    """Day of the last commit that changed a page or its files, as 2026-01-31; "" if unknown."""
    files = {str(env.doc2path(docname, base=False)), *map(str, env.dependencies[docname])}
    return committed(Path(env.srcdir), tuple(sorted(files)))


@functools.cache
def committed(folder: Path, files: tuple[str, ...]) -> str:
    """Day of the last commit that changed one of the files; "" where Git does not know it."""
    if _git(folder, "rev-parse", "--is-shallow-repository") != "false":
        return ""
    inside = [file for file in files if (folder / file).resolve().is_relative_to(folder.resolve())]
    return _git(folder, "log", "-1", "--format=%cs", "--", *inside)


def _git(folder: Path, *arguments: str) -> str:
    """What a command of Git prints; "" where there is no Git or no repository."""
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def report_url(config: Any, docname: str, title: str) -> str:
    """Address of a new issue about a page, with the page's name filled in."""
    page = f"{site_url(config)}{docname}.html"
    fields = {
        "title": f"Mistake on the page {title}",
        "body": f"Page: {page}\n\nWhat it says, and where:\n\nWhat is right, and why:\n",
    }
    return f"{repository_url(config)}/issues/new?{urlencode(fields)}"


def history_url(config: Any, source: str) -> str:
    """Address of the changes of a page's source."""
    return f"{repository_url(config)}/commits/{branch(config)}/{source}"


def add_footer(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the page's last lines; pages without a source, such as the search, have none."""
    if doctree is None:
        return
    parts = [f"Version {__version__}"]
    date = last_change(app.env, page)
    if date:
        history = history_url(app.config, str(app.env.doc2path(page, base=False)))
        parts.append(f'<a href="{history}">last changed on <time>{date}</time></a>')
    report = report_url(app.config, page, app.env.titles[page].astext())
    parts.append(f'<a href="{report.replace("&", "&amp;")}">Report a mistake on this page</a>')
    context["theme_extra_footer"] = f'<p class="colophon">{" · ".join(parts)}</p>'


def setup(app: Sphinx) -> None:
    """Register with Sphinx."""
    app.connect("html-page-context", add_footer, priority=900)
