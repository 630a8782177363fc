"""Gates on the repository: files that must agree, and what must not stand in them."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml
from coursebook import readme
from coursebook.address import read_config, repository_url, site_url
from coursebook.gate import find_myst
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Written so that these lines do not match themselves.
FORBIDDEN = re.compile(
    r"(?<![\w./-])/(?:work|root)/|(?<!\w)\.\./(?:shared)|(?<!\w)\.(?:library)\b"
    r"|\bpypi\.(?:org|python)|python(?:hosted)|npm(?:js)\.|registry\.(?:npm|yarn)"
    r"|download\.py(?:torch)|conda\.ana(?:conda)|deb\.deb(?:ian)"
)
CONDA_NAMES = {"matplotlib-base": "matplotlib", "pytorch-cpu": "torch"}


def forbidden(text: str) -> list[str]:
    """Every path of a development machine and every package registry's host in `text`."""
    return [match[0] for match in FORBIDDEN.finditer(text)]


def requirements(lines: Iterable[str]) -> dict[str, Requirement]:
    """Requirements by canonical name."""
    parsed = (Requirement(line) for line in lines)
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def disagreements(conda: Iterable[object], pip: Iterable[str], python: str) -> list[str]:
    """Where a conda environment's dependencies differ from pip's, in a name or a bound."""
    specs = [spec for spec in conda if isinstance(spec, str) and spec != "pip"]
    theirs = requirements(specs)
    theirs = {CONDA_NAMES.get(name, name): theirs[name] for name in theirs}
    ours = requirements([*pip, f"python{python}"])
    return [
        f"{name}: {theirs.get(name)} in environment.yml, {ours.get(name)} in pyproject.toml"
        for name in sorted(theirs.keys() | ours.keys())
        if name not in ours or name not in theirs or theirs[name].specifier != ours[name].specifier
    ]


def declared_in(project: dict, extras: Iterable[str]) -> list[str]:
    """Requirements of the package and of these extras."""
    optional = project["optional-dependencies"]
    return project["dependencies"] + [line for extra in extras for line in optional[extra]]


def unmet(pins: dict[str, Requirement], wanted: dict[str, Requirement]) -> list[str]:
    """Requirements that the pinned versions do not meet."""
    return [
        f"{requirement} has the pin {pins.get(name)}"
        for name, requirement in wanted.items()
        if name not in pins or not requirement.specifier.contains(_version(pins[name]))
    ]


def _version(pin: Requirement) -> str:
    (specifier,) = pin.specifier
    assert specifier.operator == "==", f"{pin} is not an exact version"
    return specifier.version


@pytest.fixture(scope="module")
def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def pins(root: Path) -> dict[str, Requirement]:
    lines = (root / "constraints.txt").read_text().splitlines()
    return requirements(line for line in lines if not line.startswith("#"))


def test_conda_and_pip_agree(root, project):
    environment = yaml.safe_load((root / "environment.yml").read_text())
    conda = environment["dependencies"]
    found = disagreements(conda, project["dependencies"], project["requires-python"])
    assert not found
    assert {"pip": ["-e .[book]"]} in conda


@pytest.mark.parametrize(
    "conda", [["python>=3.11"], ["python>=3.11", "numpy>=1.0"], ["python>=3.11", "numpy", "scipy"]]
)
def test_disagreement_of_conda_and_pip_is_found(conda):
    assert disagreements(conda, ["numpy>=2.0"], ">=3.11")


def test_every_pin_meets_its_lower_bound(project, pins):
    wanted = declared_in(project, project["optional-dependencies"])
    assert len(pins) > 100
    assert not unmet(pins, requirements(wanted))
    assert not [
        pin for pin in map(str, pins.values()) if re.search(r"\+|^(cuda|nvidia|triton)", pin)
    ]


@pytest.mark.parametrize("pin", [["numpy==1.9"], ["scipy==1.17"], []])
def test_unmet_bound_is_found(pin):
    assert unmet(requirements(pin), requirements(["numpy>=2.0"]))


def test_dependencies_have_lower_bounds_only(project):
    upper = {"jupyter-book"}  # version 2 is another program
    for requirement in requirements(project["dependencies"]).values():
        assert [specifier.operator for specifier in requirement.specifier] == [">="]
    for requirement in requirements(project["optional-dependencies"]["book"]).values():
        operators = {specifier.operator for specifier in requirement.specifier}
        assert operators == {">=", "<"} if requirement.name in upper else operators == {">="}


def imported(path: Path) -> Iterator[str]:
    """Top-level names of the absolute imports of a Python file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            yield node.module.partition(".")[0]


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("gan_course", ["grade"]),
        ("benchmarks", []),
        ("tools", []),
        ("book/_ext", ["book"]),
        ("tests", ["book", "test"]),
    ],
)
def test_every_import_is_a_declared_dependency(root, project, folder, extras):
    files = sorted((root / folder).rglob("*.py"))
    files = [path for path in files if "node_modules" not in path.parts]
    declared = requirements(declared_in(project, extras))
    own = {"gan_course", "coursebook", "benchmarks", *(path.stem for path in files)}
    own |= {path.name for path in (root / folder).iterdir()} | sys.stdlib_module_names
    names = {name for path in files for name in imported(path)} - own
    known = packages_distributions()
    missing = {
        name
        for name in names
        if not declared.keys() & {canonicalize_name(owner) for owner in known.get(name, [])}
    }
    assert files
    assert not missing


def test_no_development_path_or_registry_host(tracked, root):
    found = {
        f"{path.relative_to(root)}: {word}"
        for path in tracked
        for word in forbidden(path.read_text(encoding="utf-8"))
    }
    assert not found


@pytest.mark.parametrize(
    "text",
    [
        "see /ro" + "ot/x",
        'open("/wo' + 'rk/main/a")',
        "../sha" + "red/a",
        "https://py" + "pi.org/simple",
        "https://files.python" + "hosted.org/x",
        "https://registry.np" + "mjs.org/x",
    ],
)
def test_forbidden_words_are_found(text):
    assert forbidden(text)
    assert not forbidden(
        "a framework/wo" + "rk/of art, at the root/stem, shared/network, an npm package"
    )


def test_address_stands_in_one_place(tracked, root):
    config = read_config(root)
    slug = urlsplit(repository_url(config)).path.strip("/")
    address = re.compile(rf"github\.com/{re.escape(slug)}|{re.escape(site_url(config))}")
    places = set()
    for path in tracked:
        text = path.read_text(encoding="utf-8")
        if path == root / "README.md":
            text = readme.with_launch_table(text, "")
        if address.search(text):
            places.add(path.relative_to(root).as_posix())
    assert {place for place in places if not place.startswith("notebooks/")} == {"_config.yml"}


def test_npm_locks_hold_no_address(tracked):
    locks = [path for path in tracked if path.name == "package-lock.json"]
    assert locks
    for path in locks:
        packages = json.loads(path.read_text())["packages"]
        assert len(packages) > 1
        assert not [name for name, package in packages.items() if "resolved" in package]


def test_every_shell_script_stops_at_the_first_failure(tracked, root):
    scripts = [
        path for path in tracked if re.match(r"#!.*\b(ba|da|z)?sh\b", path.read_text("utf-8"))
    ]
    assert root / ".ci/run" in scripts
    for path in scripts:
        assert "\nset -euo pipefail\n" in path.read_text(), path
    assert "\n.SHELLFLAGS := -euo pipefail -c\n" in (root / "Makefile").read_text()


def make_targets(root: Path) -> set[str]:
    return set(re.findall(r"^\.PHONY: (\w+)$", (root / "Makefile").read_text(), re.MULTILINE))


def test_make_alone_lists_every_target(root):
    listed = subprocess.run(["make"], cwd=root, check=True, capture_output=True, text=True).stdout
    assert set(re.findall(r"^  make (\w+) +\w", listed, re.MULTILINE)) == make_targets(root)
    assert {"book", "test", "check", "serve", "notebooks", "lab", "clean"} <= make_targets(root)


@pytest.mark.parametrize("name", ["colab", "links", "publish", "test"])
def test_workflow_is_well_formed(root, name):
    path = root / f".github/workflows/{name}.yml"
    workflow = yaml.safe_load(path.read_text())
    assert workflow["name"] == name
    assert True in workflow, "YAML reads the key `on` as true"
    assert workflow["defaults"]["run"]["shell"] == "bash", "only a named bash runs with pipefail"
    assert workflow["permissions"]["contents"] == "read"
    for job in workflow["jobs"].values():
        assert job["runs-on"] == "ubuntu-latest"
        for step in job["steps"]:
            assert ("run" in step) != ("uses" in step)
            assert "uses" not in step or re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])
            assert set(re.findall(r"^make (\w+)", step.get("run", ""))) <= make_targets(root)


def test_citation_is_complete(root, project):
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= citation.keys()
    assert citation["authors"] == project["authors"]


def test_readme_table_of_links_is_current(root):
    text = (root / "README.md").read_text(encoding="utf-8")
    assert readme.with_launch_table(text, readme.launch_table(root)) == text
    assert "colab.research.google.com" in text


def test_readme_links_lead_to_files(root):
    text = (root / "README.md").read_text(encoding="utf-8")
    targets = [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert "LICENSE" in targets
    assert not [target for target in targets if not (root / target).exists()]


def test_launch_table_follows_the_contents_and_the_address(tmp_path):
    (tmp_path / "_config.yml").write_text("repository: {url: https://github.com/someone/copy}\n")
    (tmp_path / "_toc.yml").write_text(
        "root: book/index\nparts:\n- chapters:\n  - file: book/1/index\n    sections:\n"
        "    - file: book/1/b\n    - file: book/1/a\n"
    )
    for page, title in (("a", "1.2 Last | best"), ("b", "1.1 First"), ("stray", "Not listed")):
        path = tmp_path / f"notebooks/student/1/{page}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"cells": [{"source": [f"# {title}\n", "\n", "Text."]}]}))
    rows = readme.launch_table(tmp_path).splitlines()[2:4]
    assert rows[0].startswith("| 1.1 First | [site](https://someone.github.io/copy/book/1/b.html)")
    assert rows[1].startswith(r"| 1.2 Last \| best |")
    assert "/someone/copy/blob/main/notebooks/student/1/a.ipynb" in rows[1]
    assert "stray" not in readme.launch_table(tmp_path)


def test_readme_without_marks_and_notebook_without_title_are_errors(tmp_path):
    with pytest.raises(ValueError, match="launch:begin"):
        readme.with_launch_table("# Title\n", "table")
    notebook = tmp_path / "a.ipynb"
    notebook.write_text(json.dumps({"cells": [{"source": ["Some text"]}]}))
    with pytest.raises(ValueError, match="Some text"):
        readme.notebook_title(notebook)


def test_no_myst_is_left_in_notebooks(root):
    config = yaml.safe_load((root / "_config.yml").read_text())["sphinx"]["config"]
    macros = config.get("mathjax3_config", {}).get("tex", {}).get("macros", {})
    notebooks = sorted((root / "notebooks").rglob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "markdown":
                left = find_myst("".join(cell["source"]), macros)
                assert not left, f"{path.relative_to(root)}, cell {cell['id']}: {left}"


@pytest.mark.slow
def test_notebooks_are_current(root, fresh_notebooks):
    """`make notebooks` would change nothing."""

    def contents(folder: Path) -> dict[str, str]:
        paths = (p for kind in ("student", "solution") for p in (folder / kind).rglob("*.ipynb"))
        return {path.relative_to(folder).as_posix(): path.read_text("utf-8") for path in paths}

    fresh, committed = contents(fresh_notebooks), contents(root / "notebooks")
    assert fresh
    assert fresh.keys() == committed.keys()
    stale = [name for name in fresh if fresh[name] != committed[name]]
    assert not stale, "run `make notebooks` and commit what it writes"
