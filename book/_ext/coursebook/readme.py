"""The README's table of links that open each page, written by `make notebooks`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from coursebook.address import (
    binder_url,
    colab_url,
    notebook_path,
    read_config,
    repository_url,
    site_url,
)

BEGIN, END = "<!-- launch:begin -->", "<!-- launch:end -->"


def pages(toc: Any) -> Iterator[str]:
    """Yield the documents of a parsed `_toc.yml`, in reading order."""
    if isinstance(toc, list):
        for entry in toc:
            yield from pages(entry)
        return
    for key in ("root", "file"):
        if key in toc:
            yield toc[key]
    for key in ("parts", "chapters", "sections"):
        yield from pages(toc.get(key, []))


def notebook_title(path: Path) -> str:
    """Read the title that a notebook's first cell begins with."""
    source = "".join(json.loads(path.read_text(encoding="utf-8"))["cells"][0]["source"])
    first = source.partition("\n")[0]
    if not first.startswith("# "):
        raise ValueError(f"{path} begins with {first!r}; it must begin with a title, '# ...'")
    return first.removeprefix("# ").strip()


def launch_table(root: Path) -> str:
    """Write the Markdown table of every page that has a student notebook."""
    config = read_config(root)
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    rows = ["| page | read | run |", "|---|---|---|"]
    for page in pages(toc):
        notebook = root / "notebooks/student" / notebook_path(page)
        if notebook.exists():
            title = notebook_title(notebook).replace("|", r"\|")
            run = f"[Colab]({colab_url(config, page)}), [Binder]({binder_url(config, page)})"
            rows.append(f"| {title} | [site]({site_url(config)}{page}.html) | {run} |")
    clone = f"To have it all: `git clone {repository_url(config)}`."
    return "\n".join([*rows, "", clone])


def with_launch_table(readme: str, table: str) -> str:
    """Return the README with `table` between its two marks."""
    head, begin, rest = readme.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"README.md must hold the marks {BEGIN} and {END}, in this order")
    return f"{head}{BEGIN}\n{table}\n{END}{tail}"


def main() -> None:
    """Bring the README of the current folder up to date."""
    root = Path.cwd()
    readme = root / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(with_launch_table(text, launch_table(root)), encoding="utf-8")


if __name__ == "__main__":
    main()
