"""The pieces of the notebook builder: escaping, TeX, the gate and the addresses."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from bs4 import BeautifulSoup
from coursebook import address, tex
from coursebook.gate import find_myst
from coursebook.inline import escape, escape_line_starts
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

MACROS = {"E": r"\mathbb{E}", "KL": [r"\mathrm{KL}(#1 \| #2)", 2], "n": [r"\|#2\|_{#1}", 2, "1"]}
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
PROSE = st.text(st.characters(min_codepoint=32, max_codepoint=126) | st.just("\n"), max_size=40)


@given(PROSE)
@example("1. a\n2) b\n# c\n- d\n+ e\n> f\n===")
@example("1|\n:-")
@example("[[]]()\n[1]: 1")
@example(r"[a](b) [^c] [ ] $x$ `y` *z* _w_ ~~v~~ <b> &amp; &#36; \[")
def test_prose_survives_escaping(text: str) -> None:
    text = "\n".join(" ".join(line.split()) for line in text.split("\n") if line.strip())
    html = RENDERER.render(escape_line_starts(escape(text)))
    shown = BeautifulSoup(html, "html.parser")
    assert " ".join(shown.get_text().split()) == " ".join(text.split())
    assert {tag.name for tag in shown.find_all()} <= {"p", "span"}
    assert all(string == "$" or "$" not in string for string in shown.strings)


@pytest.mark.parametrize(
    ("source", "expanded"),
    [
        (r"\E f", r"\mathbb{E} f"),
        (r"x_\E", r"x_{\mathbb{E}}"),
        (r"\Ex", r"\Ex"),
        (r"\KL{p}{q_{\E}}", r"\mathrm{KL}(p \| q_{\mathbb{E}})"),
        (r"\KL pq", r"\mathrm{KL}(p \| q)"),
        (r"\KL\alpha{\{b\}}", r"\mathrm{KL}(\alpha \| \{b\})"),
        (r"\n{v} + \n[2]{v}", r"\|v\|_{1} + \|v\|_{2}"),
        (r"\\E", r"\\E"),
    ],
)
def test_macros_are_expanded(source: str, expanded: str) -> None:
    assert tex.expand(source, MACROS) == expanded


@pytest.mark.parametrize(
    ("source", "macros", "message"),
    [
        (r"\KL{p}", MACROS, r"macro \\KL lacks an argument"),
        (r"\KL{p}{q", MACROS, r"macro \\KL has an open brace"),
        (r"\a", {"a": r"\a"}, "without end"),
    ],
)
def test_wrong_use_of_macros_is_refused(source: str, macros: tex.Macros, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tex.expand(source, macros)


@pytest.mark.parametrize(
    ("source", "number", "lines"),
    [
        ("x = 1", "", ["x = 1"]),
        ("x = 1", "2.3", [r"x = 1 \tag{2.3}"]),
        ("a &= b % why\n\\\\ c &= d", "", [r"\begin{aligned}", "a &= b \\\\ c &= d", "end"]),
        ("a\n\nb", "", [r"\begin{aligned}", r"a \\", "b", "end"]),
        (
            r"\begin{align} a &= b \label{x} \\ c &= d \nonumber \end{align}",
            "1.1",
            [r"\begin{aligned}", r"a &= b  \\ c &= d", r"\end{aligned} \tag{1.1}"],
        ),
        (r"\begin{equation} a \end{equation}", "1.1", [r"a \tag{1.1}"]),
        (r"\begin{gather*} a \\ b \end{gather*}", "", [r"\begin{gathered}", r"a \\ b", "end"]),
        (r"\begin{cases} a \\ b \end{cases}", "", [r"\begin{cases} a \\ b \end{cases}"]),
        (r"x = 1 \tag{*}", "1.1", [r"x = 1 \tag{*}"]),
        (
            r"\begin{align} a \tag{1} \\ b \tag{2} \end{align}",
            "",
            [r"\begin{align} a \tag{1} \\ b \tag{2} \end{align}"],
        ),
    ],
)
def test_display(source: str, number: str, lines: list[str]) -> None:
    inner = lines[0].removeprefix(r"\begin{").removesuffix("}")
    lines = [rf"\end{{{inner}}}" if line == "end" else line for line in lines]
    assert tex.display(source, {}, number).split("\n") == ["$$", *lines, "$$"]


def test_inline_is_safe_in_tables_and_beside_html() -> None:
    assert tex.inline("a |b| \\|c\\|\n+ d", {}, in_table=True) == (
        r"$a \vert b\vert \Vert c\Vert + d$"
    )
    assert tex.inline("x<y < z", {}) == r"$x\lt y < z$"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("see {ref}`a`", "role"),
        ("see {prf:ref}`a <b>`", "role"),
        ("```{note}\nText.\n```", "directive"),
        ("````{tab-set}\n```{tab-item} A\n```\n````", "directive"),
        (":::{note}\nText.\n:::", "directive"),
        ("> ```{note}", "directive"),
        (":::\n", "directive"),
        ("(sec-a)=\n## A", "label"),
        ("a\n\n+++\n\nb", "block break"),
        ("$$\nx\n$$ (eq-x)", "equation label"),
        ("$$ x $$ (eq-x)", "equation label"),
        ("a\n% comment", "comment"),
        ("## A {#id .class}", "attributes"),
        ("{.class}\nText", "attributes"),
        ("{{ name }}", "substitution"),
        ("note[^1]", "footnote"),
        ("[](#target)", "empty link"),
        ("[a](other.md#part)", "link to a source"),
        ("<project:#a>", "MyST link"),
        (r"$\E x$", "macro"),
        (r"by $\eqref{a}$", "TeX command"),
        ("$$\nx \\label{a}\n$$", "TeX command"),
    ],
)
def test_gate_finds_what_is_left(text: str, kind: str) -> None:
    assert [found.split(":")[0] for found in find_myst(text, MACROS)][:1] == [kind]


@pytest.mark.parametrize(
    "text",
    [
        "Write `{ref}` or `` {ref}`a` `` in code.",
        "````\n```{note}\n(a)=\n% b\n```\n````",
        "```python\nx = {}  # %\n+++\n```",
        "***\n\n**Theorem 1.1 (A).** Text $x_{.5}$ and $x^{#}$ (1.1).\n\n***",
        "$$\nf(x)\n$$\n\n(a) is true",
        "[a](https://example.org/a.md) and ![alt](data:image/png;base64,AA==)",
        "100 % of {a, b}",
        r"$\Exp$ and $\nabla$",
    ],
)
def test_gate_lets_portable_markdown_pass(text: str) -> None:
    assert find_myst(text, MACROS) == []


def config(url: str, baseurl: str = "", branch: str = "main") -> SimpleNamespace:
    options = {"repository_url": url, "repository_branch": branch}
    return SimpleNamespace(html_baseurl=baseurl, html_theme_options=options)


def test_addresses_follow_the_repository() -> None:
    mine = config("https://github.com/Some/Book.git/", branch="a/b")
    page = "book/1-first/game"
    assert address.repository_url(mine) == "https://github.com/Some/Book"
    assert address.site_url(mine) == "https://some.github.io/Book/"
    assert address.site_url(config("https://github.com/a/a.github.io")) == "https://a.github.io/"
    assert address.site_url(config("", "https://example.org/x")) == "https://example.org/x/"
    assert address.colab_url(mine, page) == (
        "https://colab.research.google.com/github/Some/Book/blob/a/b/"
        "notebooks/student/1-first/game.ipynb"
    )
    assert address.binder_url(mine, page) == (
        "https://mybinder.org/v2/gh/Some/Book/a%2Fb"
        "?urlpath=lab/tree/notebooks/student/1-first/game.ipynb"
    )


@pytest.mark.parametrize("url", ["https://example.org/a/b", "https://github.com/a", "git@x:a/b"])
def test_other_repositories_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"repository\.url in _config\.yml is .*OWNER/NAME"):
        address.colab_url(config(url), "book/a")


def test_empty_repository_is_refused() -> None:
    with pytest.raises(ValueError, match="is empty"):
        address.repository_url(config(""))


def test_config_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "_config.yml").write_text("repository: {url: https://github.com/a/b, branch: dev}")
    found = address.read_config(tmp_path)
    assert (address.branch(found), address.site_url(found)) == ("dev", "https://a.github.io/b/")
