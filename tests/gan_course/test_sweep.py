"""Sweeps: every setting once, kept as it ends, whatever happens to the others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gan_course import losses, sweep
from gan_course.random import Streams

GRID = {"loss": ["minimax", "hinge"], "width": [8, 16, 32]}
SEEDS = [3, 5, 8]
TIMES = 10.0


def experiment(seeds: list[int], loss: str, width: int) -> dict[str, Any]:
    """Random numbers that tell seed and setting apart; a row and a table a seed."""
    draws = Streams(seeds).normal(width, 2) + len(loss)
    return {"mean": draws.mean((1, 2)), "first": draws[:, :2].numpy(), "done": np.array(seeds) > 3}


def expected(loss: str, width: int, seeds: list[int] = SEEDS) -> np.ndarray:
    return experiment(seeds, loss, width)["mean"].numpy()


def run(folder: Path, experiment: Any = experiment, **arguments: Any) -> sweep.Results:
    chosen = {"grid": GRID, "seeds": SEEDS, "backend": "sequential", "progress": False} | arguments
    return sweep.sweep(experiment, folder=folder, **chosen)


class Counting:
    """An experiment that counts its calls, and fails or is interrupted where it is told to."""

    def __init__(self, **bad: Exception | type[BaseException]) -> None:
        self.calls: list[tuple[str, int, tuple[int, ...]]] = []
        self.bad = bad

    def __call__(self, seeds: list[int], loss: str, width: int) -> dict[str, Any]:
        self.calls.append((loss, width, tuple(seeds)))
        if problem := self.bad.get(f"{loss}{width}"):
            raise problem
        return experiment(seeds, loss, width)


# What comes out


@pytest.mark.parametrize("backend", ["sequential", "threading"])
def test_every_setting_with_all_seeds(tmp_path: Path, backend: str) -> None:
    results = run(tmp_path, backend=backend, workers=2)
    assert [tuple(s.values()) for s, _ in results] == [
        (loss, width) for loss in GRID["loss"] for width in GRID["width"]
    ]
    for setting, arrays in results:
        assert arrays is not None
        assert np.array_equal(arrays["mean"], expected(**setting))
        assert arrays["first"].shape == (3, 2, 2)
        assert arrays["done"].dtype == np.bool_
    assert (len(results), results.missing, results.failed) == (6, (), ())
    assert results.seeds == (3, 5, 8)


def test_loky_agrees_with_sequential(tmp_path: Path) -> None:
    """Real processes, which take an experiment and values that only this process defines."""

    def local(seeds: list[int], loss: losses.Loss, width: int) -> dict[str, Any]:
        threads = torch.get_num_threads()
        value = loss.generator(Streams(seeds).normal(width, 1) * TIMES)
        return {"loss": value, "threads": [threads] * len(seeds), "pid": [os.getpid()] * len(seeds)}

    grid = {"loss": [losses.minimax, losses.non_saturating], "width": [4, 8, 16]}
    there = run(tmp_path / "loky", local, grid=grid, backend="loky", workers=2)
    here = run(tmp_path / "here", local, grid=grid)
    assert np.array_equal(there.array("loss"), here.array("loss"))
    assert (there.array("threads") == 1).all()
    assert os.getpid() not in there.array("pid")
    assert set(here.array("pid").flat) == {os.getpid()}


def test_array_has_the_axes_of_the_grid(tmp_path: Path) -> None:
    results = run(tmp_path)
    assert results.axes == {"loss": ["minimax", "hinge"], "width": [8, 16, 32]}
    first = results.array("first")
    assert first.shape == (2, 3, 3, 2, 2)
    assert np.array_equal(first[1, 2], experiment(SEEDS, "hinge", 32)["first"])
    done = results.array("done")
    assert (done.dtype, done.shape) == (np.dtype(bool), (2, 3, 3))
    narrow = results.select(width=16)
    assert narrow.names == ("loss",)
    assert np.array_equal(narrow.array("first"), first[:, 1])
    assert np.array_equal(results.at(loss="hinge", width=16)["first"], first[1, 1])


def test_settings_can_be_listed(tmp_path: Path) -> None:
    """Not every combination: the others are NaN in the array."""
    listed = [{"loss": "minimax", "width": 8}, {"width": 16, "loss": "hinge"}]
    results = run(tmp_path, grid=listed)
    means = results.array("mean")
    assert np.array_equal(means[0, 0], expected("minimax", 8).astype(np.float64))
    assert np.isnan(means[0, 1]).all()
    assert np.isnan(means[1, 0]).all()
    assert np.array_equal(means[1, 1], expected("hinge", 16).astype(np.float64))


def test_this_process_stays_as_it_was(tmp_path: Path) -> None:
    threads, environment = torch.get_num_threads(), dict(os.environ)

    def used(seeds: list[int], x: int) -> dict[str, Any]:
        return {"threads": [torch.get_num_threads()] * len(seeds)}

    torch.set_num_threads(2)
    try:
        assert (run(tmp_path, used, grid={"x": [1]}).array("threads") == 1).all()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert dict(os.environ) == environment


# What is kept


def test_a_rerun_does_only_what_is_missing(tmp_path: Path) -> None:
    first = Counting()
    whole = run(tmp_path, first, version="1")
    assert len(first.calls) == 6
    kept = sorted(tmp_path.glob("*.npz"))
    assert len(kept) == 6
    kept[2].unlink()
    second = Counting()
    grown = run(tmp_path, second, version="1", grid=GRID | {"loss": ["minimax", "hinge", "f"]})
    assert len(second.calls) == 4
    assert np.array_equal(grown.array("mean")[:2], whole.array("mean"))


def test_blocks_of_seeds_are_put_together_and_grow(tmp_path: Path) -> None:
    first, second = Counting(), Counting()
    run(tmp_path, first, version="1", block=2, seeds=range(4))
    assert [call[2] for call in first.calls[:2]] == [(0, 1), (2, 3)]
    grown = run(tmp_path, second, version="1", block=2, seeds=range(7))
    assert {call[2] for call in second.calls} == {(4, 5), (6,)}
    hinge = grown.at(loss="hinge", width=8)["mean"]
    assert np.allclose(hinge, expected("hinge", 8, list(range(7))))
    assert len(grown.cells[0].info) == 4


def test_other_seeds_are_another_result(tmp_path: Path) -> None:
    run(tmp_path, seeds=[1, 2, 9])
    other = run(tmp_path, seeds=[1, 3, 9])
    assert np.array_equal(other.at(loss="hinge", width=8)["mean"], expected("hinge", 8, [1, 3, 9]))


def test_files_tell_how_they_were_made(tmp_path: Path) -> None:
    results = run(tmp_path, grid={"loss": ["a/b c"], "width": [8]})
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("loss=a_b_c,width=8__seeds=3-8__")
    with np.load(file) as stored:
        info = json.loads(str(stored["__sweep__"]))
    assert info["setting"] == {"loss": "a/b c", "width": 8}
    assert (info["seeds"], info["experiment"], info["device"]) == (SEEDS, "experiment", "cpu")
    assert info["torch"] == torch.__version__
    assert info["seconds"] >= 0
    assert results.cells[0].info == (info,)


def test_smoke_results_are_kept_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full, smoke = Counting(), Counting()
    run(tmp_path, full, version="1")
    monkeypatch.setenv("GAN_COURSE_SCALE", "smoke")
    run(tmp_path, smoke, version="1")
    assert len(smoke.calls) == 6
    assert len(list((tmp_path / "smoke").iterdir())) == 6


def test_loky_workers_follow_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool's processes live on from one sweep to the next."""

    def scales(seeds: list[int], x: int) -> dict[str, Any]:
        from gan_course.runtime import base_seed, is_smoke

        return {"x": [(is_smoke(), base_seed())] * len(seeds)}

    two = {"grid": {"x": [1, 2, 3]}, "backend": "loky", "workers": 2, "version": "1"}
    monkeypatch.setenv("GAN_COURSE_SCALE", "smoke")
    monkeypatch.setenv("GAN_COURSE_SEED", "7")
    assert (run(tmp_path, scales, **two).array("x") == (1, 7)).all()
    monkeypatch.delenv("GAN_COURSE_SCALE")
    monkeypatch.delenv("GAN_COURSE_SEED")
    assert (run(tmp_path, scales, **two).array("x") == (0, 0)).all()


def test_load_gives_the_results_without_the_experiment(tmp_path: Path) -> None:
    @dataclass(frozen=True)
    class Penalty:
        weight: float

    def penalized(seeds: list[int], penalty: Penalty, width: int) -> dict[str, Any]:
        return {"x": np.full(len(seeds), penalty.weight * width)}

    grid = {"penalty": [Penalty(2.0), Penalty(1.0)], "width": [16, 8]}
    results = run(tmp_path, penalized, grid=grid, block=2)
    loaded = sweep.load(tmp_path)
    assert np.array_equal(loaded.array("x"), results.array("x"))
    assert loaded.seeds == results.seeds
    assert loaded.axes["width"] == [16, 8]
    one = loaded.at(penalty=Penalty(1.0), width=8)["x"]
    assert np.array_equal(one, results.at(penalty=Penalty(1.0), width=8)["x"])
    sorted(tmp_path.iterdir())[0].unlink()
    assert [len(sweep.load(tmp_path).missing), len(sweep.load(tmp_path).cells)] == [1, 4]


def test_load_refuses_a_mixture(tmp_path: Path) -> None:
    run(tmp_path, version="1", grid={"loss": ["a"], "width": [1]})
    run(tmp_path, version="2", grid={"loss": ["b"], "width": [1]})
    with pytest.raises(ValueError, match="mixes results of experiment 1, experiment 2"):
        sweep.load(tmp_path)
    with pytest.raises(ValueError, match="holds results"):
        sweep.load(tmp_path / "nowhere")


def test_overlapping_blocks_are_refused(tmp_path: Path) -> None:
    run(tmp_path)
    run(tmp_path, block=1)
    with pytest.raises(ValueError, match="overlapping blocks"):
        sweep.load(tmp_path)


# What goes wrong


def test_a_failing_setting_is_reported_and_tried_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Counting(hinge16=RuntimeError("lost at sea"))
    results = run(tmp_path, broken, version="1")
    assert len(broken.calls) == 6
    (cell,) = results.failed
    assert cell.setting == {"loss": "hinge", "width": 16}
    assert "lost at sea" in (cell.error or "")
    assert "failed: loss=hinge, width=16 (RuntimeError: lost at sea)" in capsys.readouterr().out
    assert "Traceback" in next(tmp_path.glob("*.error.txt")).read_text(encoding="utf-8")
    assert np.isnan(results.array("mean")[1, 1]).all()
    assert not np.isnan(np.delete(results.array("mean").reshape(6, 3), 4, axis=0)).any()
    assert [arrays is None for _, arrays in results] == [False] * 4 + [True, False]
    with pytest.raises(LookupError, match="width=16: RuntimeError: lost at sea"):
        results.at(loss="hinge", width=16)

    mended = Counting()
    assert run(tmp_path, mended, version="1").failed == ()
    assert mended.calls == [("hinge", 16, (3, 5, 8))]
    assert not list(tmp_path.glob("*.error.txt"))


def test_an_interrupt_keeps_what_is_finished(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = Counting(hinge8=KeyboardInterrupt)
    results = run(tmp_path, stopped, version="1")
    assert "interrupted: 3 of 6 tasks are done" in capsys.readouterr().out
    assert [cell.setting["loss"] for cell in results.missing] == ["hinge"] * 3
    assert not np.isnan(results.array("mean")[0]).any()
    assert "missing: loss=hinge, width=32" in str(results)
    with pytest.raises(LookupError, match="not run yet"):
        results.at(loss="hinge", width=32)
    rest = Counting()
    assert run(tmp_path, rest, version="1").missing == ()
    assert len(rest.calls) == 3


@pytest.mark.slow
def test_control_c_stops_the_workers(tmp_path: Path) -> None:
    """Of the whole process group, as a terminal and Jupyter send it."""
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent("""
        import time, sys
        from gan_course.sweep import sweep

        def slow(seeds, x):
            open(f"{sys.argv[1]}/started-{x}", "w").close()
            time.sleep(0.01 if x == 0 else 60)
            return {"x": [x] * len(seeds)}

        folder = sys.argv[1] + "/out"
        results = sweep(slow, {"x": [0, 1, 2, 3]}, seeds=[0], folder=folder, workers=2)
        print("missing", [cell.setting["x"] for cell in results.missing])
        """),
        encoding="utf-8",
    )
    command = [sys.executable, str(script), str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    wait_for(lambda: (tmp_path / "started-2").exists() and list(tmp_path.glob("out/*.npz")))
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert time.monotonic() - start < 30
    assert "interrupted: 1 of 4 tasks are done" in out
    assert "missing [1, 2, 3]" in out
    wait_for(lambda: not group_is_alive(process.pid))


def test_a_changed_experiment_does_not_reuse_results(tmp_path: Path) -> None:
    def first(seeds: list[int], x: int) -> dict[str, Any]:
        return {"x": [x] * len(seeds)}

    grid = {"grid": {"x": [1]}}
    made: Callable[..., Any] = first
    run(tmp_path, made, **grid)

    def first(seeds: list[int], x: int) -> dict[str, Any]:  # type: ignore[no-redef]
        return {"x": [x + 1] * len(seeds)}

    with pytest.raises(ValueError, match=r"holds results of .*first.*delete the folder") as caught:
        run(tmp_path, first, **grid)
    accepted = str(caught.value).split("version=")[1].strip("'")
    assert run(tmp_path, first, **grid, version=accepted).array("x")[0, 0] == 1
    with pytest.raises(ValueError, match="version '2'"):
        run(tmp_path, first, **grid, version="2")


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    run(tmp_path)
    file = sorted(tmp_path.iterdir())[0]
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=rf"{file.name}.*damaged: delete it"):
        run(tmp_path)


@dataclass(frozen=True)
class Deadly:
    """Kills its own process where ``x`` is 2: always, or only where nobody has died before."""

    folder: Path
    always: bool

    def __call__(self, seeds: list[int], x: int) -> dict[str, Any]:
        with (self.folder / "calls").open("a", encoding="utf-8") as calls:
            calls.write(f"{x}\n")
        grave = self.folder / "grave"
        if x == 2 and (self.always or not grave.exists()):
            grave.touch()
            time.sleep(0.5)  # what ended before has arrived
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(0.05)
        return {"x": [x * seed for seed in seeds]}


@pytest.mark.parametrize("always", [False, True])
def test_a_killed_loky_worker(tmp_path: Path, always: bool) -> None:
    """One death is mended; a setting that is always deadly fails, and the others finish."""
    deadly = Deadly(tmp_path, always)
    arguments = {"grid": {"x": list(range(8))}, "backend": "loky", "workers": 2, "version": "1"}
    with pytest.warns(RuntimeWarning, match="a worker process was killed"):
        results = run(tmp_path / "out", deadly, **arguments)
    assert [cell.setting["x"] for cell in results.failed] == ([2] if always else [])
    for setting, arrays in results:
        assert (arrays is None) == (always and setting["x"] == 2)
        if arrays is not None:
            assert arrays["x"].tolist() == [setting["x"] * seed for seed in SEEDS]
    calls = (tmp_path / "calls").read_text(encoding="utf-8").split()
    assert min(calls.count("0"), calls.count("1")) == 1  # one of them ended before 2 began
    if always:
        assert "the worker process was killed" in (results.failed[0].error or "")
        again = run(tmp_path / "out", Deadly(tmp_path, always=False), **arguments)
        assert again.failed == again.missing == ()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*:UserWarning")
class TestDask:
    """A real cluster of two worker processes on this machine."""

    @pytest.fixture
    def client(self) -> Iterator[Any]:
        import dask
        import distributed

        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 1}),
            distributed.LocalCluster(2, threads_per_worker=1, dashboard_address=None) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client

    def test_a_killed_worker_is_replaced(self, client: Any, tmp_path: Path) -> None:
        """Killed from outside in the middle of a task: the same numbers as in one process."""

        def slow(seeds: list[int], loss: str, width: int) -> dict[str, Any]:
            time.sleep(0.5)
            return experiment(seeds, loss, width) | {"pid": [os.getpid()] * len(seeds)}

        def kill_one() -> None:
            wait_for(lambda: list((tmp_path / "dask").glob("*.npz")))
            (first, *_) = client.run(os.getpid).values()
            os.kill(first, signal.SIGKILL)
            killed[first] = len(list((tmp_path / "dask").glob("*.npz")))

        killed: dict[int, int] = {}  # process to tasks done when it was killed
        killer = threading.Thread(target=kill_one)
        killer.start()
        there = run(tmp_path / "dask", slow, backend="dask", options={"client": client})
        killer.join()
        here = run(tmp_path / "here", slow)
        assert there.failed == there.missing == ()
        assert np.array_equal(there.array("first"), here.array("first"))
        workers = {int(pid) for pid in there.array("pid").flat}
        assert all(done < 6 for done in killed.values())
        assert len(killed) == 1 <= len(workers - set(killed))
        assert os.getpid() not in workers

    def test_a_deadly_setting_fails_alone(self, client: Any, tmp_path: Path) -> None:
        """Where joblib's own Dask backend waits forever."""
        deadly = Deadly(tmp_path, always=True)
        results = run(tmp_path / "out", deadly, version="1", grid={"x": [1, 2, 3]}, backend="dask")
        assert [cell.setting["x"] for cell in results.failed] == [2]
        assert "KilledWorker" in results.failed[0].error or "died" in results.failed[0].error
        assert results.at(x=3)["x"].tolist() == [9, 15, 24]

    def test_an_error_of_one_setting(self, client: Any, tmp_path: Path) -> None:
        broken = Counting(hinge16=RuntimeError("lost at sea"))
        results = run(tmp_path, broken, version="1", backend="dask")
        assert len(results.failed) == 1
        assert "lost at sea" in results.failed[0].error


@pytest.mark.slow
class TestRay:
    @pytest.fixture
    def ray(self) -> Iterator[Any]:
        import ray

        ray.init(num_cpus=2, include_dashboard=False)
        yield ray
        ray.shutdown()

    def test_the_same_numbers_and_a_deadly_setting(self, ray: Any, tmp_path: Path) -> None:
        there = run(tmp_path / "ray", backend="ray")
        here = run(tmp_path / "here")
        assert np.array_equal(there.array("first"), here.array("first"))
        deadly = Deadly(tmp_path, always=True)
        options = {"grid": {"x": [1, 2, 3]}, "backend": "ray", "options": {"max_retries": 1}}
        results = run(tmp_path / "deadly", deadly, version="1", **options)
        assert [cell.setting["x"] for cell in results.failed] == [2]
        assert results.at(x=3)["x"].tolist() == [9, 15, 24]
        with pytest.raises(ValueError, match="the seeds first"):
            run(tmp_path / "bad", lambda seeds, loss, width: {"x": 1.0}, backend="ray")


def test_dask_without_a_client(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no client; make one"):
        run(tmp_path, backend="dask")


def test_ray_says_how_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match="needs Ray: pip install"):
        run(tmp_path, backend="ray")


def test_import_loads_no_cluster() -> None:
    code = "import sys, gan_course.sweep; print({'dask', 'distributed', 'ray'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"grid": {}}, "grid is empty"),
        ({"grid": {"loss": [], "width": [1]}}, "grid is empty"),
        ({"grid": []}, "grid is empty"),
        (
            {"grid": {"loss": "hinge", "width": [1]}},
            r"grid\['loss'\] is 'hinge'; allowed is a list",
        ),
        ({"grid": {"loss": ["a"], "width": 1}}, r"grid\['width'\] is 1"),
        ({"grid": {"loss": ["a", "a"], "width": [1]}}, "loss='a', width=1 twice"),
        ({"grid": [{"loss": "a", "width": 1}, {"loss": "b"}]}, "different parameters"),
        ({"grid": {"los": ["a"], "width": [1]}}, r"los, width.*experiment\(seeds"),
        ({"grid": {"loss": ["a"]}}, "'width'"),
        ({"grid": {"loss": ["a"], "width": [1], "seeds": [1]}}, "parameter 'seeds'"),
        ({"grid": {"loss": [lambda x: x], "width": [1]}}, "value of 'loss'.*no name that lasts"),
        ({"grid": {"loss": [object()], "width": [1]}}, "no name that lasts"),
        ({"seeds": []}, r"seeds is \[\]"),
        ({"seeds": [1, 1]}, r"seeds is \[1, 1\]; allowed are different"),
        ({"seeds": [-1]}, "at least 0"),
        ({"seeds": [0.5]}, r"seeds is \[0.5\]"),
        ({"block": 0}, "block is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"backend": "slurm"}, "backend is 'slurm'; allowed are dask, .*ray.*threading"),
        ({"experiment": 3}, "experiment is 3"),
        ({"experiment": Counting()}, "version="),
    ],
)
def test_bad_arguments(tmp_path: Path, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(tmp_path, **arguments)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"x": 1.0}, r"'x' of shape \(\).*\(3, \.\.\.\), the seeds first"),
        ({"x": np.zeros((5, 3))}, r"'x' of shape \(5, 3\)"),
        ({"x": [None, 1, 2]}, "type object"),
        ({}, "a mapping from names to arrays"),
        (np.zeros(3), "ndarray"),
        ({"file": np.zeros(3)}, "other names"),
    ],
)
def test_bad_returns(tmp_path: Path, returned: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run(tmp_path, lambda seeds, loss, width: returned)
    assert not list(tmp_path.glob("*.npz"))


def test_a_bad_return_stops_the_workers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the seeds first"):
        run(tmp_path, lambda seeds, loss, width: {"x": 1.0}, backend="loky", workers=2)


def test_bad_questions(tmp_path: Path) -> None:
    results = run(tmp_path)
    with pytest.raises(ValueError, match="'los' is no parameter; allowed are loss, width"):
        results.select(los="hinge")
    with pytest.raises(ValueError, match="width is 7; allowed are 8, 16, 32"):
        results.select(width=7)
    with pytest.raises(ValueError, match="hold for 3 settings"):
        results.at(loss="hinge")
    with pytest.raises(ValueError, match="name is 'kl'; allowed are done, first, mean"):
        results.array("kl")
    ragged = run(
        tmp_path / "ragged",
        lambda seeds, n: {"x": np.zeros((len(seeds), n))},
        grid={"n": [1, 2]},
    )
    with pytest.raises(ValueError, match=r"'x' has shapes \[\(3, 1\), \(3, 2\)\]"):
        ragged.array("x")


# Helpers


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def group_is_alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
