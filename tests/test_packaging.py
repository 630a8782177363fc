"""The wheel holds the package and nothing else, and works where the checkout is not."""

from __future__ import annotations

import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

pytestmark = pytest.mark.slow


def test_wheel_holds_the_package_with_its_data_and_nothing_else(installed, root):
    with zipfile.ZipFile(installed.wheel) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
        licenses = [name for name in wheel.namelist() if name.endswith("/licenses/LICENSE")]
    package = root / "gan_course"
    files = {p.relative_to(root).as_posix() for p in _files(package) if p.suffix != ".pyc"}
    assert held == files
    assert {".py", ".js"} <= {Path(name).suffix for name in held}
    assert len(licenses) == 1


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def test_versions_agree(installed, root):
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    citation = yaml.safe_load((root / "CITATION.cff").read_text())
    result = installed.attempt("-c", "import gan_course; print(gan_course.__version__)")
    assert result.stdout.strip() == version
    assert citation["version"] == version
    assert installed.wheel.name.startswith(f"gan_course-{version}-")


def test_package_is_imported_from_the_empty_environment(installed, root):
    code = "import gan_course, sys; print(gan_course.__file__); print(*sys.path, sep='\\n')"
    result = installed.attempt("-c", code)
    assert result.returncode == 0, result.stdout
    place, *path = result.stdout.splitlines()
    assert Path(place).is_relative_to(installed.python.parents[1])
    assert not [entry for entry in path if entry and Path(entry).is_relative_to(root)]


def test_every_module_imports_without_the_books_tools(installed):
    code = (
        "import importlib, pkgutil, gan_course\n"
        "names = [m.name for m in pkgutil.walk_packages(gan_course.__path__, 'gan_course.')]\n"
        "for name in names: importlib.import_module(name)\n"
        "print(*names)"
    )
    result = installed.attempt("-c", code)
    assert result.returncode == 0, result.stdout
    assert "gan_course.claims" in result.stdout.split()
