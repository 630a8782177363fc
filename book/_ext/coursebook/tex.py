"""TeX as every notebook front end takes it: macros expanded, environments inside `$$`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

Macros = Mapping[str, str | Sequence[str | int]]

_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_COMMENT = re.compile(r"(?<!\\)%[^\n]*\n?[ \t]*")
_ENVIRONMENT = re.compile(
    r"\s*\\begin\{(equation|align|alignat|flalign|eqnarray|gather|multline|split)(\*?)\}"
    r"(?P<columns>\{\d+\})?(?P<body>.*)\\end\{\1\2\}\s*",
    re.DOTALL,
)
_INNER = {
    "align": "aligned",
    "flalign": "aligned",
    "eqnarray": "aligned",
    "split": "aligned",
    "alignat": "alignedat",
    "gather": "gathered",
    "multline": "gathered",
}
_DEPTH = 20


def expand(tex: str, macros: Macros, depth: int = 0) -> str:
    """Replace the project's macros (MathJax's `tex.macros`) by what they stand for."""
    if depth > _DEPTH:
        raise ValueError(f"the macros of {tex!r} call one another without end")
    out, position = "", 0
    while match := _COMMAND.search(tex, position):
        out += tex[position : match.start()]
        position = match.end()
        if match[1] not in macros:
            out += match[0]
            continue
        body, position = _substitute(match[1], macros[match[1]], tex, position)
        body = expand(body, macros, depth + 1)
        if out.rstrip()[-1:] in {"_", "^"}:
            body = "{" + body + "}"
        elif re.search(r"\\[A-Za-z]+$", body) and tex[position : position + 1].isalpha():
            body += " "
        out += body
    return out + tex[position:]


def _substitute(
    name: str, macro: str | Sequence[str | int], tex: str, position: int
) -> tuple[str, int]:
    if isinstance(macro, str):
        return macro, position
    body, count = str(macro[0]), int(macro[1])
    values: list[str] = []
    if len(macro) > 2:
        optional = re.compile(r"\s*\[([^\]]*)\]").match(tex, position)
        values.append(optional[1] if optional else str(macro[2]))
        position = optional.end() if optional else position
    while len(values) < count:
        value, position = _argument(name, tex, position)
        values.append(value)
    return re.sub(r"#([1-9])", lambda m: values[int(m[1]) - 1], body), position


def _argument(name: str, tex: str, start: int) -> tuple[str, int]:
    while tex[start : start + 1].isspace():
        start += 1
    if start >= len(tex):
        raise ValueError(f"macro \\{name} lacks an argument in {tex!r}")
    if tex[start] != "{":
        token = _COMMAND.match(tex, start)
        end = token.end() if token else start + 1
        return tex[start:end], end
    depth = 0
    for match in re.compile(r"\\.|[{}]", re.DOTALL).finditer(tex, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return tex[start + 1 : match.start()], match.end()
    raise ValueError(f"macro \\{name} has an open brace in {tex!r}")


def _tidy(tex: str, macros: Macros) -> str:
    tex = expand(_COMMENT.sub("", tex), macros)
    return re.sub(r"<(?=[A-Za-z/!?])", r"\\lt ", tex).strip()


def inline(tex: str, macros: Macros, *, in_table: bool = False) -> str:
    """Inline formula between dollars, on one line; inside a table without a bare `|`."""
    tex = re.sub(r"\s*\n\s*", " ", _tidy(tex, macros))
    if in_table:
        tex = re.sub(r"\\?\|", lambda bar: r"\Vert " if len(bar[0]) > 1 else r"\vert ", tex)
        tex = re.sub(r"(\\[Vv]ert) (?![A-Za-z])", r"\1", tex)
    return f"${tex}$"


def display(tex: str, macros: Macros, number: str = "") -> str:
    """Displayed formula between double dollars, with its literal number."""
    tex = re.sub(r"\\label\{[^}]*\}|\\(nonumber|notag)\b", "", _tidy(tex, macros))
    tags = re.findall(r"\\tag\*?\{[^}]*\}", tex)
    if len(tags) == 1:
        tex = tex.replace(tags[0], "")
    environment = _ENVIRONMENT.fullmatch(tex)
    if environment and len(tags) < 2:
        tex = _inner(environment)
    elif not environment:
        tex = _split(tex)
    tag = tags[0] if len(tags) == 1 else rf"\tag{{{number}}}" if number and not tags else ""
    lines = [line.rstrip() for line in f"{tex.strip()} {tag}".splitlines() if line.strip()]
    return "\n".join(["$$", *lines, "$$"])


def _inner(environment: re.Match[str]) -> str:
    name, body = environment[1], environment["body"].strip()
    if name == "equation":
        return _split(body)
    inner = _INNER[name]
    return f"\\begin{{{inner}}}{environment['columns'] or ''}\n{body}\n\\end{{{inner}}}"


def _split(tex: str) -> str:
    """Lay a formula of several lines out as Sphinx does on the site."""
    parts = [part.strip() for part in re.split(r"\n\s*\n", tex) if part.strip()]
    whole = re.fullmatch(r"\\begin\{(\w+\*?)\}(.*)\\end\{\1\}[.,;]?", tex.strip(), re.DOTALL)
    one_environment = whole is not None and f"\\begin{{{whole[1]}}}" not in whole[2]
    if one_environment or (len(parts) < 2 and "\\\\" not in tex):
        return tex
    body = " \\\\\n".join(part.removesuffix("\\\\").rstrip() for part in parts)
    return f"\\begin{{aligned}}\n{body}\n\\end{{aligned}}"
