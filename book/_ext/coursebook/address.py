"""Where the book lives: every address is derived from the repository's, given in `_config.yml`."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote, urlsplit

import yaml


def read_config(root: Path) -> SimpleNamespace:
    """Read `_config.yml` into the few Sphinx values that the functions below need.

    For scripts that run outside a Sphinx build; inside one, pass `app.config`.
    """
    raw = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    repository = raw.get("repository") or {}
    options = {
        "repository_url": repository.get("url", ""),
        "repository_branch": repository.get("branch", ""),
    }
    baseurl = (raw.get("html") or {}).get("baseurl") or ""
    return SimpleNamespace(html_baseurl=baseurl, html_theme_options=options)


def repository_url(config: Any) -> str:
    """Address of the repository, without a trailing slash."""
    url = str(config.html_theme_options.get("repository_url") or "").rstrip("/")
    if not url:
        raise ValueError("repository.url in _config.yml is empty; it must be the repository's URL")
    return url.removesuffix(".git")


def branch(config: Any) -> str:
    """Branch that the launch buttons open."""
    return str(config.html_theme_options.get("repository_branch") or "main")


def _owner_and_name(config: Any) -> tuple[str, str]:
    url = urlsplit(repository_url(config))
    parts = url.path.strip("/").split("/")
    if url.netloc != "github.com" or len(parts) != 2:
        raise ValueError(
            f"repository.url in _config.yml is {url.geturl()!r}; "
            "it must be of the form https://github.com/OWNER/NAME"
        )
    return parts[0], parts[1]


def site_url(config: Any) -> str:
    """Address of the published site, with a trailing slash: `html.baseurl`, or GitHub Pages."""
    if config.html_baseurl:
        return str(config.html_baseurl).rstrip("/") + "/"
    owner, name = _owner_and_name(config)
    host = f"https://{owner.lower()}.github.io/"
    return host if name.lower() == f"{owner.lower()}.github.io" else f"{host}{name}/"


def notebook_path(docname: str) -> PurePosixPath:
    """Path of a page's notebook under `student/` and `solution/`."""
    return PurePosixPath(docname.removeprefix("book/") + ".ipynb")


def _student_path(docname: str) -> str:
    return quote(f"notebooks/student/{notebook_path(docname)}")


def colab_url(config: Any, docname: str) -> str:
    """Address that opens a page's student notebook in Colab."""
    owner, name = _owner_and_name(config)
    place = f"{owner}/{name}/blob/{quote(branch(config))}/{_student_path(docname)}"
    return f"https://colab.research.google.com/github/{place}"


def binder_url(config: Any, docname: str) -> str:
    """Address that opens a page's student notebook in JupyterLab on Binder."""
    owner, name = _owner_and_name(config)
    place = f"{owner}/{name}/{quote(branch(config), safe='')}"
    return f"https://mybinder.org/v2/gh/{place}?urlpath=lab/tree/{_student_path(docname)}"
