"""Sphinx configuration of the sample book: the real book's extensions, without Jupyter Book."""

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

project = "Sample"
extensions = [
    "sphinx_togglebutton",
    "sphinx_copybutton",
    "myst_nb",
    "sphinx_design",
    "sphinx_book_theme",
    "sphinxcontrib.bibtex",
    "sphinx_proof",
    "sphinx_exercise",
    "coursebook.notebooks",
]
html_theme = "sphinx_book_theme"
html_theme_options = {
    "repository_url": "https://github.com/someone/a-book",
    "repository_branch": "main",
}
numfig = True
numfig_secnum_depth = 1
math_numfig = True
math_eqref_format = "({number})"
myst_enable_extensions = [
    "amsmath",
    "attrs_inline",
    "colon_fence",
    "deflist",
    "dollarmath",
    "substitution",
]
nb_execution_mode = "cache"
nb_execution_timeout = 60
bibtex_bibfiles = ["references.bib"]
bibtex_cite_id = "ref-{key}"
exclude_patterns = ["_build"]
fingerprint = "print 1"
mathjax3_config = {
    "tex": {"macros": {"E": r"\mathbb{E}", "KL": [r"\mathrm{KL}\left(#1 \,\|\, #2\right)", 2]}}
}


class Unknown(SphinxDirective):
    """Gives a node that the notebook builder does not know."""

    def run(self):
        node = nodes.option_list()
        self.set_source_info(node)
        return [node]


def measured(name, rawtext, text, lineno, inliner, options=None, content=()):
    return [nodes.inline(rawtext, "0.69", classes=["measured"], key=text)], []


def exact(name, rawtext, text, lineno, inliner, options=None, content=()):
    return [nodes.inline(rawtext, "0.693147", classes=["exact"], key=text)], []


def add_fingerprint(app, docname, source):
    if source[0].startswith("---\nfile_format"):
        cell = f":tags: [remove-cell, fingerprint]\n# {app.config.fingerprint}"
        source[0] += f"\n\n```{{code-cell}}\n{cell}\n```\n"


def setup(app):
    app.add_config_value("fingerprint", "", "")
    app.add_directive("unknown", Unknown)
    app.add_role("measured", measured)
    app.add_role("exact", exact)
    app.connect("source-read", add_fingerprint)
