"""Rerun a page when, and only when, something changed that its outputs depend on.

jupyter-cache knows a page by the text of its code cells. It does not see that the package, a
recording, the lock, the base seed or the scale changed, and would keep a stale number silently.
So every page gets a hidden last cell that holds a hash of these: it is part of the text that the
cache compares.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

from gan_course import __file__ as package_init
from gan_course.runtime import base_seed, is_smoke

PACKAGE = Path(package_init).parent
TAG = "fingerprint"
CELL = """

```{{code-cell}}
---
id: fingerprint
tags: [remove-cell, {tag}]
---
# {digest}
```
"""
CODE = re.compile(r"^(`{3,})\{code-cell\}[^\n]*\n(.*?)^\1$", re.MULTILINE | re.DOTALL)
OPTIONS = re.compile(r"\A(?:---\n.*?^---\n|(?::[^\n]*\n)+)", re.MULTILINE | re.DOTALL)
MAGIC = re.compile(r"^\s*[%!].*$", re.MULTILINE)
RECORDING = re.compile(r"recordings/[\w./-]+\w")


def fingerprint(source: str, root: Path, where: str = "this page") -> str:
    """Hash of everything but its own text that the outputs of a page depend on.

    Parameters
    ----------
    source
        The page's MyST source.
    root
        The folder of `constraints.txt` and of `book/`.
    where
        The page, for messages.

    Raises
    ------
    ExtensionError
        If a code cell is not Python, or a recording that the page names is not there.
    """
    digest = hashlib.sha256()
    digest.update(f"seed {base_seed()}, smoke {is_smoke()}\n".encode())
    recordings = [root / "book" / name for name in sorted(set(RECORDING.findall(source)))]
    for path in recordings:
        if not path.is_file():
            raise ExtensionError(f"{where} names the recording {path}, which is not there")
    for path in [*sorted(modules(source, where)), *recordings, root / "constraints.txt"]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def modules(source: str, where: str = "this page") -> set[Path]:
    """Files of the package that a page imports, directly or not, and the data that they name."""
    names = {"gan_course"}
    for cell in CODE.finditer(source):
        line = source.count("\n", 0, cell.start()) + 1
        code = MAGIC.sub("", OPTIONS.sub("", cell[2]))
        try:
            names |= set(_imported(ast.parse(code)))
        except SyntaxError as error:
            raise ExtensionError(f"{where}:{line}: the cell is not Python: {error.msg}") from error
    found: set[Path] = set()
    while names:
        for path in _files(names.pop()):
            if path not in found:
                found.add(path)
                if path.suffix == ".py":
                    text = path.read_text(encoding="utf-8")
                    names |= set(_imported(ast.parse(text)))
                    found |= {data for data in (PACKAGE / "assets").glob("*") if data.name in text}
    return found


def _imported(code: ast.AST) -> Iterator[str]:
    """Names that a piece of Python imports from the package, and the checks that it calls."""
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gan_course"):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.startswith("gan_course"))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            label = node.args[0] if node.func.id == "check" and node.args else None
            if isinstance(label, ast.Constant):
                yield from _check_modules(str(label.value))


def _check_modules(label: str) -> Iterator[str]:
    """Modules of `gan_course.check` that may hold the exercise of a label, as `check` finds it."""
    for path in (PACKAGE / "check").glob("*.py"):
        if label.replace("-", "_").startswith(f"{path.stem}_"):
            yield f"gan_course.check.{path.stem}"


def _files(name: str) -> Iterable[Path]:
    """The file of a module, or all files of a package but those of `check`, a module a page."""
    path = PACKAGE.joinpath(*name.split(".")[1:])
    if path.with_suffix(".py").is_file():
        return [path.with_suffix(".py")]
    if name in ("gan_course", "gan_course.check"):
        return [path / "__init__.py"]
    if path.is_dir():
        return [file for file in path.iterdir() if file.is_file()]
    return []


def append_cell(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append the hidden cell to a page that has code cells."""
    if CODE.search(source[0]):
        digest = fingerprint(source[0], Path(app.srcdir), app.env.doc2path(docname))
        _known(app.env)[docname] = digest
        source[0] += CELL.format(tag=TAG, digest=digest)


def find_outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Pages whose text is as it was, and whose fingerprint is not."""
    outdated = []
    for docname, digest in _known(env).items():
        path = Path(env.doc2path(docname))
        if docname not in env.found_docs or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8")
        if fingerprint(text, Path(app.srcdir), str(path)) != digest:
            outdated.append(docname)
    return outdated


def _known(env: BuildEnvironment) -> dict[str, str]:
    if not hasattr(env, "coursebook_fingerprints"):
        env.coursebook_fingerprints = {}  # type: ignore[attr-defined]
    known: dict[str, str] = env.coursebook_fingerprints  # type: ignore[attr-defined]
    return known


def purge(app: Sphinx, env: BuildEnvironment, docname: str) -> None:
    """Forget a page that is read again or gone."""
    _known(env).pop(docname, None)


def merge(app: Sphinx, env: BuildEnvironment, docnames: set[str], other: BuildEnvironment) -> None:
    """Take over what a parallel reader found."""
    _known(env).update({name: _known(other)[name] for name in docnames if name in _known(other)})


def setup(app: Sphinx) -> None:
    """Connect to the reading of pages, and tell their kernels that they run for a static page."""
    os.environ["GAN_COURSE_STATIC"] = "1"
    app.connect("env-get-outdated", find_outdated)
    app.connect("env-purge-doc", purge)
    app.connect("env-merge-info", merge)
    app.connect("source-read", append_cell)
