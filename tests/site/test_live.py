"""The widgets with a kernel behind them, in JupyterLab."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

REPOSITORY = Path(__file__).parents[2]
CELLS = [
    "from gan_course import widgets\nw = widgets.two_gaussians(mu=1)\nw",
    "print('mu is', w.mu, 'kl is', round(w.readout['kl'], 3))",
    "def draw(value, axes):\n    axes.bar([0], [value])\n"
    "d = widgets.dial(draw, label='height', start=1, minimum=0, maximum=2, step=0.5)\nd",
    "print('dial', d.value, d.touched)",
    "bars = lambda i, axes: axes.bar([i], [1])\n"
    "f = widgets.frames(bars, labels=['one', 'two'], alt='Bar {label}')\nf",
    "print('frame', f.index)",
    "p = widgets.phase_portrait(loss='Wasserstein', start=(1, 1))\np",
    "print('start', p.start, 'strength', p.strength, p.readout['stability'], p.touched)",
    "m = widgets.moving_mass()\nm",
    "print('mass', m.q[0])",
    "b = widgets.birthday_test()\nb",
    "print('birthdays', b.drawings, b.heavy, *(b.readout[k] for k in ('pairs', 'collided')))",
    "c = widgets.two_clouds()\nc",
    "print('clouds', c.data[0], c.regularizer, c.strength, round(c.readout['w1'], 3), c.touched)",
    "if c.touched: c.regularizer, c.generated = 'R1', c.data",
]

expect.set_options(timeout=20_000)
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A JupyterLab server in an empty folder with one notebook; gives the notebook's address."""
    root = tmp_path_factory.mktemp("lab")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, root / "live.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **{key: value for key, value in os.environ.items() if key != "GAN_COURSE_STATIC"},
        "PYTHONPATH": str(REPOSITORY),
        "JUPYTER_CONFIG_DIR": str(root / ".config"),
        "JUPYTERLAB_SETTINGS_DIR": str(root / ".settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(root / ".workspaces"),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--port={port}"]
    options = ["--ServerApp.port_retries=0", "--IdentityProvider.token="]
    with (root / "server.log").open("w") as log:
        server = subprocess.Popen(
            [*command, *options, f"--ServerApp.root_dir={root}"],
            stdout=log,
            stderr=log,
            env=environment,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}/"
        _wait_until_up(f"{address}api/status", server, root / "server.log")
        yield f"{address}lab/tree/live.ipynb"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(20)


def _wait_until_up(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                json.load(answer)
                return
        except OSError:
            if server.poll() is not None:
                break
            time.sleep(0.25)
    pytest.fail(f"JupyterLab did not start:\n{log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def notebook(browser: Browser, lab: str) -> Iterator[Page]:
    """The notebook, opened and run from top to bottom."""
    context = browser.new_context(viewport={"width": 1366, "height": 900})
    context.set_default_timeout(60_000)
    page = context.new_page()
    page.goto(lab)
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.get_by_text(re.compile(r"Python 3.* \| Idle")).wait_for()
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.locator("img.gc-frame").wait_for()
    yield page
    context.close()


def rerun(page: Page, index: int) -> None:
    """Run one cell again, once what was moved is on its way: the widget tells of it in 0.1 s."""
    page.wait_for_timeout(500)
    page.locator(f"[data-windowed-list-index='{index}'] .jp-InputArea-editor").click()
    page.keyboard.press("Control+Enter")


def output(page: Page, index: int) -> Locator:
    return page.locator(f"[data-windowed-list-index='{index}'] .jp-OutputArea-output").first


def expect_printed(page: Page, index: int, pattern: str) -> None:
    """Run a cell until it prints what was moved: a widget's news waits for a busy kernel."""
    for attempt in range(10):
        rerun(page, index)
        try:
            expect(output(page, index)).to_have_text(re.compile(pattern), timeout=3000)
            return
        except AssertionError:
            if attempt == 9:
                raise


def test_a_drag_reaches_the_kernel(notebook: Page) -> None:
    slider = notebook.locator("input[data-trait=mu]")
    slider.press("End")
    expect_printed(notebook, 1, r"mu is 8\.0 kl is 32\.0")


def test_the_dial_draws_again_in_its_place(notebook: Page) -> None:
    dial = notebook.locator("[data-windowed-list-index='2']")
    picture = dial.locator(".jp-OutputArea img")
    expect(picture).to_have_count(1)
    before = picture.get_attribute("src")
    handle = dial.locator(".noUi-handle")
    handle.focus()
    notebook.keyboard.press("ArrowRight")
    expect(picture).not_to_have_attribute("src", str(before))
    expect(picture).to_have_count(1)
    expect_printed(notebook, 3, r"dial 1\.5 True")


def test_the_portrait_moves_in_a_kernel(notebook: Page) -> None:
    portrait = notebook.locator(".gc-portrait")
    portrait.locator("select[data-trait=regularizer]").select_option("R1")
    portrait.locator("input[data-trait=strength]").press("End")
    portrait.get_by_role("slider", name="Start").press("ArrowRight")
    expect_printed(notebook, 7, r"start \[1\.05, 1\.0\] strength 3\.0 stable True")


def test_the_birthdays_are_drawn_in_a_kernel(notebook: Page) -> None:
    explorable = notebook.locator(".gc-birthdays")
    explorable.locator("input[data-trait=heavy]").press("End")
    explorable.get_by_role("button", name="One more drawing").press("n")
    explorable.get_by_role("button", name="100 more").click()
    expect_printed(notebook, 11, r"birthdays 201 0\.9 253 201")


def test_the_clouds_move_and_train_in_a_kernel(notebook: Page) -> None:
    explorable = notebook.locator(".gc-critics")
    explorable.get_by_role("slider", name="Data point 1 of 6").press("Shift+ArrowDown")
    explorable.locator("select[data-trait=regularizer]").select_option("clipping")
    explorable.locator("select[data-trait=strength]").select_option("0.5")
    explorable.get_by_role("button", name="One step").click()
    expect_printed(notebook, 13, r"clouds \[-1\.4, 0\.4\] clipping 0\.5 1\.748 True")
    expect(explorable.locator(".gc-title").last).to_have_text("Network, step 1")
    rerun(notebook, 14)
    expect(explorable.locator("select[data-trait=regularizer]")).to_have_value("R1")
    expect(explorable.locator("[data-readout=w1]")).to_have_text("0.000")
    expect(explorable.locator(".gc-title").last).to_have_text("Network, step 0")


def test_frames_step_in_a_kernel(notebook: Page) -> None:
    notebook.get_by_role("button", name="Next frame").click()
    expect(notebook.locator("img.gc-frame")).to_have_attribute("alt", "Bar two")
    expect_printed(notebook, 5, "frame 1")


@pytest.mark.parametrize("index", [0, 4, 6, 8, 10, 12])
def test_arrow_keys_move_the_widget_and_not_the_notebook(notebook: Page, index: int) -> None:
    cell = notebook.locator(f"[data-windowed-list-index='{index}']")
    active = notebook.locator(".jp-Cell.jp-mod-active")
    slider = cell.get_by_role("slider").last
    slider.press("End")
    expect(active).to_have_attribute("data-windowed-list-index", str(index))
    value = slider.evaluate("n => n.value ?? n.getAttribute('aria-valuenow')")
    for key in ("ArrowLeft", "ArrowDown", "ArrowUp", "ArrowDown"):
        slider.press(key)
    assert slider.evaluate("n => n.value ?? n.getAttribute('aria-valuenow')") != value
    expect(active).to_have_attribute("data-windowed-list-index", str(index))
