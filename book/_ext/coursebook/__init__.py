"""The book's own Sphinx extension: everything between the sources and the site and notebooks.

`chapters` numbers chapters by their folders, `fingerprint` reruns a page when what it depends on
changed, `prerun` runs pages side by side, `numbers` quotes measured numbers in prose, `ledger`
lists claims, `errata` the lectures' mistakes, `statements` the theorems and what tests them,
`glossary` links terms, `syllabus` plans lessons, `pages` adds launch buttons and times, `roadmap`
draws what pages need, `search` finds statements by name, `colophon` ends each page, `sharing`
describes pages to other sites, `loading` shows text before scripts run, `printing` puts the book on
paper, `widgets` keeps widgets alive without a kernel, `accessibility` mends the theme, and
`notebooks` writes the notebooks.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

from coursebook import (
    accessibility,
    chapters,
    colophon,
    errata,
    fingerprint,
    glossary,
    ledger,
    loading,
    notebooks,
    numbers,
    pages,
    prerun,
    printing,
    roadmap,
    search,
    sharing,
    statements,
    syllabus,
    widgets,
)


def setup(app: Sphinx) -> dict[str, Any]:
    """Set up every part of the extension."""
    parts = (
        accessibility,
        chapters,
        colophon,
        errata,
        fingerprint,
        glossary,
        ledger,
        loading,
        notebooks,
        numbers,
        pages,
        prerun,
        printing,
        roadmap,
        search,
        sharing,
        statements,
        syllabus,
        widgets,
    )
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
