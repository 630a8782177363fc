"""The book's own Sphinx extension: everything between the sources and the site and notebooks.

`fingerprint` reruns a page when what it depends on changed, `prerun` runs pages side by side,
`numbers` quotes measured numbers in prose, `ledger` lists claims, `errata` the lectures' mistakes,
`pages` adds launch buttons and times, `widgets` keeps widgets alive without a kernel,
`accessibility` mends the theme, and `notebooks` writes the notebooks.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from coursebook import (
    accessibility,
    errata,
    fingerprint,
    ledger,
    notebooks,
    numbers,
    pages,
    prerun,
    widgets,
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Set up every part of the extension."""
    parts = (accessibility, errata, fingerprint, ledger, notebooks, numbers, pages, prerun, widgets)
    for part in parts:
        part.setup(app)
    return {
        "version": "1",
        "env_version": _checksum(),
        "parallel_read_safe": True,
        "parallel_write_safe": True,
    }


def _checksum() -> int:
    """Changes with the extension's code, upon which Sphinx reads every page again."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return zlib.crc32(b"".join(file.read_bytes() for file in files))
