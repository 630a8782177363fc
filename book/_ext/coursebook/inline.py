"""Inline nodes of a resolved doctree as portable Markdown."""

from __future__ import annotations

import base64
import html
import mimetypes
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.errors import ExtensionError

from . import tex

IMAGE_LIMIT = 200_000
_ESCAPES = str.maketrans(
    {
        "\\": "<span>&#92;</span>",
        "$": "<span>&#36;</span>",
        "`": "&#96;",
        "*": r"\*",
        "~": r"\~",
        "<": "&lt;",
    }
)
_LINE_START = re.compile(
    r"^(?P<indent>\s*)(?P<mark>[-+](?=\s|$|--)|[:|-](?=[:|\s-]*$)|#+(?=\s|$)|=+(?=\s*$)|>)", re.M
)
_LINE_NUMBER = re.compile(r"^(\s*\d+)([.)])(?=\s|$)", re.M)
_HTML_TAGS = re.compile(r"</?(br|kbd|sub|sup|em|strong|b|i|small|mark)\s*/?>")
_HTML_WRAPPERS = {"emphasis": "em", "strong": "strong", "literal": "code"}
_LOCATION_LIMIT = 60


@dataclass
class PageContext:
    """What writing a page needs to know beyond its nodes."""

    docname: str
    source: Path
    srcdir: Path
    url: str
    macros: tex.Macros = field(default_factory=dict)
    numbers: dict[str, dict[str, tuple[int, ...]]] = field(default_factory=dict)
    section_numbers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    section_suffix: str = ". "
    equation_separator: str = "."
    number_formats: Mapping[str, str] = field(default_factory=dict)

    def number(self, kind: str, node: nodes.Element) -> str:
        """Number of a node as the site shows it ("1.2"), empty where it has none."""
        found = self.numbers.get(kind, {})
        return next((".".join(map(str, found[i])) for i in node["ids"] if i in found), "")

    def where(self, node: nodes.Node) -> str:
        """File and line of a node, for messages."""
        at: nodes.Node | None = node
        while at is not None and not at.line:
            at = at.parent
        return f"{self.source}:{line_of(at)}" if at is not None else str(self.source)

    def refuse(self, node: nodes.Node, what: str = "") -> ExtensionError:
        """Error that names the place of what has no form in a notebook."""
        text = " ".join(node.astext().split())[:_LOCATION_LIMIT]
        what = what or f"{node.__class__.__name__} {text!r}".removesuffix(" ''")
        return ExtensionError(f"{self.where(node)}: {what} cannot be written to a notebook")


def line_of(node: nodes.Node) -> int:
    """Line of a node in its file (myst-nb counts one too many), 0 where it is not known."""
    return node.line - 1 if node.line else 0


def escape(text: str) -> str:
    """Escape prose so that no Markdown or formula starts where none is meant."""
    text = re.sub(r"&(?=#?\w+;)", "&amp;", text).translate(_ESCAPES)
    text = re.sub(r"(?<![^\W_])_|_(?![^\W_])", r"\\_", text)
    text = re.sub(r"\](?=[(:])", "&#93;", text)
    return re.sub(r"\[(?=\^|[ xX]\])", "&#91;", text)


def escape_line_starts(text: str) -> str:
    """Escape what would make a list, heading, quote or rule of a paragraph's line."""

    def mend(match: re.Match[str]) -> str:
        mark = match["mark"]
        return match["indent"] + ("&gt;" if mark == ">" else "\\" + mark)

    return _LINE_NUMBER.sub(r"\1\\\2", _LINE_START.sub(mend, text))


class InlineWriter:
    """Writes inline nodes; what it does not know stops the build."""

    def __init__(self, page: PageContext) -> None:
        self.page = page
        self.measured = ""  # the first name of a measured number on the page
        self.in_table = False

    def inline(self, children: Iterable[nodes.Node]) -> str:
        """Write a run of inline nodes."""
        siblings = list(children)
        out = ""
        for index, node in enumerate(siblings):
            following = siblings[index + 1].astext()[:1] if index + 1 < len(siblings) else ""
            piece = self._one(node)
            if isinstance(node, nodes.emphasis | nodes.strong) and (
                out[-1:].isalnum() or following.isalnum()
            ):
                tag = _HTML_WRAPPERS[node.tagname]
                piece = f"<{tag}>{self.inline(node.children)}</{tag}>"
            out += piece
        return out

    def line(self, children: Iterable[nodes.Node]) -> str:
        """Write a run of inline nodes on a single line."""
        return re.sub(r"\s*\n\s*", " ", self.inline(children)).strip()

    def _one(self, node: nodes.Node) -> str:
        for kind in type(node).__mro__:
            write = getattr(self, f"inline_{kind.__name__}", None)
            if write is not None:
                return str(write(node))
        raise self.page.refuse(node)

    def inline_Text(self, node: nodes.Text) -> str:  # noqa: N802 (docutils' name)
        text = escape(node.astext())
        return text.replace("|", r"\|") if self.in_table else text

    def inline_emphasis(self, node: nodes.Element) -> str:
        return f"*{self.inline(node.children)}*"

    def inline_strong(self, node: nodes.Element) -> str:
        return f"**{self.inline(node.children)}**"

    def inline_subscript(self, node: nodes.Element) -> str:
        return f"<sub>{self.inline(node.children)}</sub>"

    def inline_superscript(self, node: nodes.Element) -> str:
        return f"<sup>{self.inline(node.children)}</sup>"

    def inline_literal(self, node: nodes.Element) -> str:
        if {"xref", "std-numref"} & set(node["classes"]):
            return self.inline(node.children)
        return self._code(node.astext())

    def _code(self, text: str) -> str:
        text = " ".join(text.split())
        ticks = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
        pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
        span = f"{ticks}{pad}{text}{pad}{ticks}"
        return span.replace("|", r"\|") if self.in_table else span

    def inline_math(self, node: nodes.Element) -> str:
        return tex.inline(node.astext(), self.page.macros, in_table=self.in_table)

    def inline_inline(self, node: nodes.Element) -> str:
        if "measured" in node["classes"]:
            self.measured = self.measured or node["key"]
            return self._code(node["key"])
        text = self.inline(node.children)
        return f"**{text}**" if "sd-badge" in node["classes"] else text

    def inline_abbreviation(self, node: nodes.Element) -> str:
        title = html.escape(node.get("explanation", ""), quote=True)
        return f'<abbr title="{title}">{self.inline(node.children)}</abbr>'

    def inline_title_reference(self, node: nodes.Element) -> str:
        return self.inline_emphasis(node)

    def inline_reference(self, node: nodes.Element) -> str:
        text = self.inline(node.children)
        address = node.get("refuri", "")
        if not address or address.startswith("#") or address.split("#")[0] == self.page.url:
            return text
        if not re.match(r"[a-z][a-z+.-]*:", address):
            raise self.page.refuse(node, f"the relative link {address!r}")
        if address == node.astext():
            return f"<{address}>"
        return f"[{text}]({address.replace('(', '%28').replace(')', '%29').replace(' ', '%20')})"

    def inline_footnote_reference(self, node: nodes.Element) -> str:
        return f"<sup>{node.astext()}</sup>"

    def inline_target(self, node: nodes.Element) -> str:
        return self.inline(node.children)

    def inline_comment(self, node: nodes.Element) -> str:
        return ""

    inline_index = inline_comment

    def inline_raw(self, node: nodes.Element) -> str:
        text = node.astext()
        if node.get("format") == "html" and re.fullmatch(r"\s*<!--.*-->\s*", text, re.DOTALL):
            return ""
        if node.get("format") == "html" and _HTML_TAGS.fullmatch(text):
            return text
        raise self.page.refuse(node, f"raw {node.get('format')} {text[:_LOCATION_LIMIT]!r}")

    def inline_image(self, node: nodes.Element) -> str:
        alt = " ".join(str(node.get("alt", "")).split())
        if not alt:
            raise self.page.refuse(node, f"the image {node['uri']!r} without alt text")
        source = self._image_source(node)
        width = re.fullmatch(r"(\d+)(px)?", str(node.get("width", "")))
        if width:
            quoted = html.escape(alt, quote=True)
            return f'<img src="{source}" alt="{quoted}" width="{width[1]}">'
        return f"![{escape(alt)}]({source})"

    def _image_source(self, node: nodes.Element) -> str:
        candidates: dict[str, Any] = node.get("candidates") or {}
        uri = str(candidates.get("*") or next(iter(candidates.values()), node["uri"]))
        if "://" in uri:
            return uri
        path = self.page.srcdir / uri
        if not path.is_file():
            raise self.page.refuse(node, f"the missing image {uri!r}")
        data = path.read_bytes()
        if len(data) > IMAGE_LIMIT:
            size = f"{len(data) / 1000:.0f} kB, more than the {IMAGE_LIMIT // 1000} kB allowed"
            raise self.page.refuse(node, f"the image {uri!r} ({size})")
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        return f"data:{kind};base64,{base64.b64encode(data).decode()}"

    def html(self, children: Iterable[nodes.Node]) -> str:
        """Write inline nodes as HTML, for the summary of a fold, where Markdown is not read."""
        out = ""
        for node in children:
            if isinstance(node, nodes.Text):
                text = html.escape(node.astext(), quote=False)
                out += text.replace("$", "<span>&#36;</span>")
            elif isinstance(node, nodes.math):
                out += html.escape(tex.inline(node.astext(), self.page.macros), quote=False)
            elif isinstance(node, nodes.emphasis | nodes.strong | nodes.literal):
                tag = _HTML_WRAPPERS[node.tagname]
                out += f"<{tag}>{self.html(node.children)}</{tag}>"
            elif isinstance(node, nodes.inline | nodes.reference):
                out += self.html(node.children)
            else:
                raise self.page.refuse(node)
        return re.sub(r"\s+", " ", out).strip()
