"""The gate: what must not be left in a notebook's Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable

_FENCE = re.compile(
    r"^(?P<indent>[ >]*)(?P<fence>`{3,}|~{3,})(?P<info>[^\n]*)\n"
    r"(?P<body>.*?)^[ >]*(?P=fence)[`~]*[ ]*$",
    re.DOTALL | re.MULTILINE,
)
_SPAN = re.compile(r"(?<![`\\])(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_MATH = re.compile(r"(?<!\\)(\$\$?)(?!\$)(.+?)(?<!\\)\1", re.DOTALL)
_CODE = "\x00"

_LEFT = {
    "role": rf"\{{[A-Za-z][\w:+.-]*\}}{_CODE}",
    "directive": r"^[ >]*(`{3,}|~{3,}|:{3,})\s*(\{.*|[a-z-]*)$",
    "label": r"^\s*\([\w:.-]+\)=\s*$",
    "block break": r"^\+\+\+",
    "equation label": r"\$\$[ \t]*\([\w:.-]+\)",
    "comment": r"^%",
    "attributes": r"\{\s*[#.][A-Za-z][^}\n]*\}",
    "substitution": r"\{\{.*?\}\}",
    "footnote": r"\[\^[^\]]+\]",
    "empty link": r"(?<!!)\[\]\(",
    "link to a source": r"\]\((?!\w+:)[^)]*\.md(#[^)]*)?\)",
    "MyST link": r"<(project|path|inv|myst):[^>]*>",
}
_TEX_LEFT = r"\\(label|eqref|ref|newcommand|renewcommand|def|DeclareMathOperator)\b"


def find_myst(text: str, macros: Iterable[str] = ()) -> list[str]:
    """Name every piece of MyST syntax that `text` still holds outside of code.

    Parameters
    ----------
    text
        Source of one Markdown cell.
    macros
        Names of the project's TeX macros, none of which may be left in a formula.

    Returns
    -------
    list of str
        One "kind: excerpt" for each find, none where the text is portable Markdown.
    """
    found = [
        f"directive: {match['fence']}{match['info']}"
        for match in _FENCE.finditer(text)
        if match["info"].lstrip().startswith("{")
    ]
    text = _SPAN.sub(_CODE, _FENCE.sub("", text))
    found += [
        f"equation label: {match[0].strip()}"
        for match in re.finditer(_LEFT["equation label"], text)
    ]
    formulas = [match[2] for match in _MATH.finditer(text)]
    text = _MATH.sub("", text)
    for kind, pattern in _LEFT.items():
        found += [
            f"{kind}: {match[0].strip().replace(_CODE, '`...`')}"
            for match in re.finditer(pattern, text, re.MULTILINE)
        ]
    names = "|".join(map(re.escape, macros))
    macro = re.compile(rf"\\({names})(?![A-Za-z])" if names else r"(?!)")
    for formula in formulas:
        found += [f"TeX command: {match[0]}" for match in re.finditer(_TEX_LEFT, formula)]
        found += [f"macro: {match[0]}" for match in macro.finditer(formula)]
    return found
