"""What the tests share: the checkout, fresh notebooks, and the wheel in an empty environment."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Fast tests first; the rest of tests/ stands before these.
LAST = ("tests/test_packaging.py", "tests/test_nbval.py", "tests/site/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the browser tests as slow, and put slow tests behind fast ones."""
    places = {item: item.path.relative_to(ROOT).as_posix() for item in items}
    for item, place in places.items():
        if place.startswith("tests/site/"):
            item.add_marker("slow")

    def rank(item: pytest.Item) -> tuple[bool, int]:
        late = [i for i, last in enumerate(LAST) if places[item].startswith(last)]
        return item.get_closest_marker("slow") is not None, late[0] + 1 if late else 0

    items.sort(key=rank)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    """What one worker runs, where several run the tests: what shares a costly fixture, or a file.

    No two groups write to one folder: the notebooks are built in the checkout.
    """
    for fixture in ("fresh_notebooks", "installed"):
        if fixture in item.fixturenames:  # type: ignore[attr-defined]
            return fixture
    place = item.path.relative_to(ROOT).as_posix()
    return f"{place}: {_page(item)}" if place == "tests/book/test_pages.py" else place


def _page(item: pytest.Item) -> str:
    """The page that a test of pages is about: those of one page share what its cells define."""
    label = getattr(item, "callspec", None)
    return re.split(r"[-:]", label.id)[0] if label else "all"


def run(command: list[str | Path], cwd: Path, **environment: str) -> str:
    """Run a command as `attempt` does; return its output, or fail the test where it fails."""
    result = attempt(command, cwd, **environment)
    if result.returncode:
        shown = " ".join(map(str, command))
        pytest.fail(
            f"{shown}\nreturned {result.returncode}:\n{result.stdout[-6000:]}", pytrace=False
        )
    return result.stdout


def attempt(
    command: list[str | Path], cwd: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command without this environment's Python and course settings, output in one stream."""
    prefixes = ("PYTHON", "VIRTUAL_ENV", "JUPYTER", "IPYTHON", "GAN_COURSE", "MPL", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(prefixes)}
    return subprocess.run(
        command,
        cwd=cwd,
        env=kept | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Every text file that Git tracks, or would track, as an absolute path."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout")
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = (ROOT / name for name in names.split("\0") if name)
    return [path for path in paths if path.is_file() and b"\0" not in path.read_bytes()[:8192]]


@pytest.fixture(scope="session")
def fresh_notebooks() -> Path:
    """The notebooks as the builder writes them now."""
    out = ROOT / "_build/notebooks"
    shutil.rmtree(out, ignore_errors=True)
    build = [Path(sys.executable).parent / "jupyter-book", "build", ".", "-W", "--keep-going"]
    run([*build, "--builder", "custom", "--custom-builder", "notebooks"], ROOT)
    return out


@dataclass(frozen=True)
class Installed:
    """The wheel, the Python of an otherwise empty environment that holds it, a folder elsewhere."""

    wheel: Path
    python: Path
    elsewhere: Path

    def attempt(
        self, *arguments: str | Path, scale: str = "full"
    ) -> subprocess.CompletedProcess[str]:
        """Run that Python from the folder elsewhere, in an empty home."""
        home = self.elsewhere / "home"
        home.mkdir(exist_ok=True)
        return attempt(
            [self.python, *arguments], self.elsewhere, HOME=str(home), GAN_COURSE_SCALE=scale
        )


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    """Build the wheel and install it, as Colab would, with what it takes to run notebooks."""
    base = tmp_path_factory.mktemp("wheel")
    python = base / "venv/bin/python"
    pip = [python, "-m", "pip", "--disable-pip-version-check"]
    run([sys.executable, "-m", "venv", base / "venv"], base)
    run([*pip, "wheel", "--no-deps", "--wheel-dir", base, ROOT], base)
    (wheel,) = base.glob("*.whl")
    tools = ["ipykernel", "nbclient", "nbval", "pytest", "pytest-xdist"]
    run([*pip, "install", "--constraint", ROOT / "constraints.txt", wheel, *tools], base)
    elsewhere = base / "elsewhere"
    elsewhere.mkdir()
    yield Installed(wheel, python, elsewhere)
    shutil.rmtree(base)
