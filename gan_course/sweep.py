"""An experiment over a grid of settings, in parallel here or on a cluster, resumable.

:func:`sweep` calls one function for every setting of a grid, with all seeds at once (or in blocks
of them), and keeps each result in a file as soon as it exists. Called again, it does only what is
missing. Scheduling is left to joblib, or to Dask and Ray where a cluster is named.
"""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import operator
import os
import platform
import re
import time
import traceback
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

import gan_course
from gan_course import fingerprint
from gan_course.dispatch import Failure, check_backend, dispatch
from gan_course.fingerprint import key, label
from gan_course.runtime import base_seed, device, is_smoke, is_static, one_thread

__all__ = ["Cell", "Results", "load", "sweep"]

Setting = Mapping[str, Any]
Arrays = Mapping[str, NDArray[Any]]
Experiment = Callable[..., Mapping[str, Any]]
"""``experiment(seeds=[...], **setting)`` to named arrays of shape ``(seeds, ...)``."""

_INFO = "__sweep__"  # the entry of a result's file that holds its provenance as JSON
_RESERVED = (_INFO, "file", "allow_pickle")  # the latter two are parameters of NumPy's writer


@dataclass(frozen=True)
class Cell:
    """One setting of a sweep.

    Attributes
    ----------
    setting
        Parameter to value.
    arrays
        What the experiment returned, each of shape ``(seeds, ...)``; None where there is no
        result.
    error
        The traceback where the setting failed.
    info
        Seconds, device and versions, a record for each block of seeds.
    """

    setting: Setting
    arrays: Arrays | None = None
    error: str | None = None
    info: tuple[Mapping[str, Any], ...] = ()

    def __str__(self) -> str:
        return ", ".join(f"{name}={label(value)}" for name, value in self.setting.items())


@dataclass(frozen=True, repr=False)
class Results:
    """What a sweep found, a :class:`Cell` for each setting, finished or not.

    Iterating gives pairs of a setting and its arrays, None for a setting without a result.

    Attributes
    ----------
    cells
        In the order of the grid.
    seeds
        The order of every leading axis of a result.
    names
        The parameters that are axes: all of the grid's but those fixed by :meth:`select`.
    """

    cells: tuple[Cell, ...]
    seeds: tuple[int, ...]
    names: tuple[str, ...]

    def __iter__(self) -> Iterator[tuple[Setting, Arrays | None]]:
        return ((cell.setting, cell.arrays) for cell in self.cells)

    def __len__(self) -> int:
        """Number of settings, finished or not."""
        return len(self.cells)

    def __str__(self) -> str:
        done = sum(cell.arrays is not None for cell in self.cells)
        lines = [f"{done} of {len(self)} settings done, {len(self.seeds)} seeds each"]
        lines += [f"failed: {cell} ({_last_line(cell.error or '')})" for cell in self.failed]
        lines += [f"missing: {cell}" for cell in self.missing]
        return "\n".join(lines)

    __repr__ = __str__

    @property
    def failed(self) -> tuple[Cell, ...]:
        """The settings whose experiment raised, or whose worker died."""
        return tuple(cell for cell in self.cells if cell.error is not None)

    @property
    def missing(self) -> tuple[Cell, ...]:
        """The settings that were not reached, after an interrupt."""
        return tuple(c for c in self.cells if c.arrays is None and c.error is None)

    @property
    def axes(self) -> dict[str, list[Any]]:
        """Parameter to its values, in the order of the grid: the leading axes of :meth:`array`."""
        return {name: list(self._values(name).values()) for name in self.names}

    def _values(self, name: str) -> dict[str, Any]:
        """Key to value, in the order of the grid."""
        return {key(cell.setting[name]): cell.setting[name] for cell in self.cells}

    def select(self, **conditions: Any) -> Results:
        """The settings whose parameters have these values, such as ``select(loss="hinge")``."""
        for name, value in conditions.items():
            if name not in self.names:
                raise ValueError(f"{name!r} is no parameter; allowed are {', '.join(self.names)}")
            allowed = [label(v) for v in self.axes[name]]
            if label(value) not in allowed:
                raise ValueError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")
        cells = tuple(
            cell
            for cell in self.cells
            if all(label(cell.setting[n]) == label(v) for n, v in conditions.items())
        )
        names = tuple(name for name in self.names if name not in conditions)
        return replace(self, cells=cells, names=names)

    def at(self, **conditions: Any) -> Arrays:
        """The arrays of one setting, such as ``at(loss="hinge", width=64)["modes"]``.

        Raises
        ------
        ValueError
            Where not exactly one setting meets the conditions.
        LookupError
            Where that setting has no result.
        """
        cells = self.select(**conditions).cells
        if len(cells) != 1:
            raise ValueError(f"conditions {conditions} hold for {len(cells)} settings, not for one")
        if cells[0].arrays is None:
            why = _last_line(cells[0].error) if cells[0].error else "not run yet"
            raise LookupError(f"no result for {cells[0]}: {why}")
        return cells[0].arrays

    def array(self, name: str) -> NDArray[Any]:
        """One quantity over the grid.

        Returns
        -------
        ndarray
            Shape ``(*axes, seeds, ...)`` in the order of :attr:`axes`, NaN where a setting has no
            result.
        """
        found = [cell.arrays for cell in self.cells if cell.arrays is not None]
        absent = [sorted(arrays) for arrays in found if name not in arrays]
        if absent or not found:
            allowed = ", ".join(absent[0]) if absent else "none, as no setting has a result"
            raise ValueError(f"name is {name!r}; allowed are {allowed}")
        values = [arrays[name] for arrays in found]
        if len({v.shape for v in values}) > 1:
            shapes = sorted({v.shape for v in values})
            raise ValueError(f"{name!r} has shapes {shapes}; allowed is one shape in all settings")
        axes = {n: list(self._values(n)) for n in self.names}
        shape = tuple(len(keys) for keys in axes.values())
        complete = len(found) == np.prod(shape, dtype=int)
        dtype = np.result_type(*values) if complete else np.float64
        grid = np.full((*shape, *values[0].shape), 0 if complete else np.nan, dtype)
        for setting, arrays in self:
            if arrays is not None:
                grid[tuple(axes[n].index(key(setting[n])) for n in axes)] = arrays[name]
        return grid


def sweep(
    experiment: Experiment,
    grid: Mapping[str, Iterable[Any]] | Iterable[Setting],
    *,
    seeds: Iterable[int],
    folder: str | Path,
    block: int | None = None,
    workers: int = -1,
    backend: str = "loky",
    options: Mapping[str, Any] | None = None,
    version: str | None = None,
    progress: bool = True,
) -> Results:
    """Run an experiment for every setting of a grid, once.

    Each result is written to ``folder`` when it arrives. A later call with the same arguments
    runs only what is missing or failed; more settings or, with ``block``, more seeds may be added.
    A setting that fails leaves its traceback beside the results (``.error.txt``), and the others
    go on. An interrupt returns what is finished. Under ``GAN_COURSE_SCALE=smoke`` the results go
    to a folder of their own inside ``folder``.

    Parameters
    ----------
    experiment
        Called as ``experiment(seeds=[...], **setting)``; returns named arrays of shape
        ``(seeds, ...)``. It runs on one thread of PyTorch.
    grid
        Parameter to its values, for all combinations, or the settings themselves. Values are
        numbers, strings, sequences and mappings of them, dataclasses, functions and constants
        of a module: all that can be told apart by name in a later session.
    seeds
        See :func:`gan_course.seeds`.
    folder
        Where the results are kept.
    block
        Seeds a call of the experiment; all by default.
    workers
        Processes (or threads) on this machine, -1 for one a core. On a GPU take 1. A cluster uses
        all of its workers. With 1, everything runs in this process.
    backend
        ``"loky"`` (processes), ``"threading"``, ``"sequential"`` or another one of joblib,
        ``"dask"`` (the current client's cluster) or ``"ray"``.
    options
        Of the backend: for Dask ``client`` and what ``Client.submit`` takes, such as
        ``{"resources": {"GPU": 1}}``, else the parameters of joblib's backend.
    version
        Names the state of the experiment. By default it is a fingerprint of the source and
        the values that it takes from its surroundings, and from functions beside it; changes in
        other modules are not seen.
    progress
        Show a progress bar with an estimate.

    Raises
    ------
    ValueError
        For bad arguments, for results that are not one value a seed, and where the folder holds
        a result of another version of the experiment.
    """
    settings, seeds = _settings(grid), _seeds(seeds)
    _check_call(experiment, settings, seeds)
    check_backend(backend)
    if workers == 0:
        raise ValueError("workers is 0; allowed are 1, 2, ..., or -1 for one a core")
    name = fingerprint.function_name(experiment)
    made_by = {"experiment": name, "version": version or _version(experiment)}
    folder = _folder(folder)
    tasks = _tasks(settings, _blocks(seeds, block), folder)
    for task in tasks:
        _check_made_by(task, made_by)
    pending = [task for task in tasks if not task.file.exists()]
    call = functools.partial(_run, experiment, _environment())
    outcomes = dispatch(call, pending, backend=backend, workers=workers, options=options or {})
    hidden = not progress or is_static()
    bar = tqdm(total=len(tasks), initial=len(tasks) - len(pending), desc=name, disable=hidden)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with bar, closing(outcomes):
            for task, outcome in outcomes:
                _keep(task, outcome, made_by)
                bar.update()
    except KeyboardInterrupt:
        done = sum(task.file.exists() for task in tasks)
        kept = f"{done} of {len(tasks)} tasks are done and kept in {folder}"
        print(f"interrupted: {kept}; call sweep again for the rest")
    results = _collect(settings, tasks, seeds)
    if results.failed:
        print(results)
    return results


def load(folder: str | Path) -> Results:
    """The results that a sweep has kept, without its experiment.

    Values of a setting other than numbers and strings come as text. All files of the folder
    belong to the same experiment and version; a setting that lacks seeds of others is missing.
    """
    folder = _folder(folder)
    stored = {file: _read_info(file) for file in folder.glob("*.npz")}
    if not stored:
        raise ValueError(f"folder is {str(folder)!r}; allowed is one that holds results")
    infos = sorted(stored.values(), key=lambda info: info["position"])
    made_by = sorted({f"{info['experiment']} {info['version']}" for info in infos})
    if len(made_by) > 1:
        raise ValueError(f"folder {str(folder)!r} mixes results of {', '.join(made_by)}")
    blocks = [list(block) for block in sorted({tuple(info["seeds"]) for info in infos})]
    seeds = [seed for block in blocks for seed in block]
    if len(set(seeds)) != len(seeds):
        raise ValueError(f"folder {str(folder)!r} holds overlapping blocks of seeds: {blocks}")
    settings = list({_setting_key(info["setting"]): info["setting"] for info in infos}.values())
    files = {_setting_key(i["setting"], i["seeds"]): file for file, i in stored.items()}
    tasks = [
        replace(task, file=files.get(_setting_key(task.setting, task.seeds), task.file))
        for task in _tasks(settings, blocks, folder)
    ]
    return _collect(settings, tasks, seeds)


# Arguments


def _settings(grid: Mapping[str, Iterable[Any]] | Iterable[Setting]) -> list[dict[str, Any]]:
    if isinstance(grid, Mapping):
        for name, values in grid.items():
            if isinstance(values, str) or not isinstance(values, Iterable):
                raise ValueError(f"grid[{name!r}] is {values!r}; allowed is a list of values")
        grid = {name: list(values) for name, values in grid.items()} or {"": []}
        settings = [dict(zip(grid, row, strict=True)) for row in itertools.product(*grid.values())]
    else:
        settings = [dict(setting) for setting in grid]
    if not settings:
        raise ValueError("grid is empty; allowed is at least one setting")
    if any(set(setting) != set(settings[0]) for setting in settings):
        raise ValueError("grid has settings with different parameters; allowed are the same in all")
    _check_values(settings)
    keys = [_setting_key(setting) for setting in settings]
    if len(set(keys)) != len(keys):
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"grid holds {twice} twice; allowed are different settings")
    return settings


def _check_values(settings: Sequence[Setting]) -> None:
    for setting in settings:
        for name, value in setting.items():
            try:
                key(value)
            except ValueError as error:
                raise ValueError(f"grid has a bad value of {name!r}: {error}") from None


def _seeds(seeds: Iterable[int]) -> list[int]:
    given = list(seeds)
    try:
        seeds = [operator.index(seed) for seed in given]
    except TypeError:
        seeds = []
    if not seeds or min(seeds) < 0 or len(set(seeds)) != len(seeds):
        raise ValueError(f"seeds is {given}; allowed are different integers of at least 0")
    return seeds


def _blocks(seeds: list[int], block: int | None) -> list[list[int]]:
    size = len(seeds) if block is None else block
    if size < 1:
        raise ValueError(f"block is {block}; allowed is an integer of at least 1")
    return [seeds[i : i + size] for i in range(0, len(seeds), size)]


def _check_call(experiment: Experiment, settings: Sequence[Setting], seeds: list[int]) -> None:
    """Whether the experiment takes the grid's parameters."""
    if not callable(experiment):
        raise ValueError(f"experiment is {experiment!r}; allowed is a function")
    if "seeds" in settings[0]:
        raise ValueError("grid has the parameter 'seeds'; allowed are others, seeds stands apart")
    signature = inspect.signature(experiment)
    try:
        signature.bind(seeds=seeds, **settings[0])
    except TypeError as error:
        raise ValueError(
            f"grid has the parameters {', '.join(settings[0])}; "
            f"allowed are those of {fingerprint.function_name(experiment)}{signature}: {error}"
        ) from None


def _version(experiment: Experiment) -> str:
    try:
        return fingerprint.function_version(experiment)
    except ValueError as error:
        raise ValueError(
            f"experiment is {experiment!r}: {error}; allowed is a function with its source, "
            "or any callable with a version='...' of your choice"
        ) from error


def _folder(folder: str | Path) -> Path:
    return Path(folder) / "smoke" if is_smoke() else Path(folder)


# Running


@dataclass(frozen=True)
class _Task:
    """One call of the experiment, and the file of its result."""

    setting: Setting
    seeds: list[int]
    file: Path
    position: int

    @property
    def error_file(self) -> Path:
        return self.file.with_suffix(".error.txt")


@dataclass(frozen=True)
class _Done:
    """What the experiment returned, and how it was made."""

    arrays: Arrays
    info: Mapping[str, Any]


def _tasks(settings: Sequence[Setting], blocks: list[list[int]], folder: Path) -> list[_Task]:
    """One task for each setting and block of seeds, the blocks of a setting side by side."""
    pairs = itertools.product(settings, blocks)
    return [_Task(s, b, folder / _file_name(s, b), i) for i, (s, b) in enumerate(pairs)]


def _setting_key(setting: Setting, seeds: Sequence[int] = ()) -> str:
    parts = [f"{name}={key(setting[name])}" for name in sorted(setting)]
    return ", ".join([*parts, f"seeds={list(seeds)}"] if seeds else parts)


def _file_name(setting: Setting, seeds: Sequence[int]) -> str:
    text = ",".join(f"{name}={label(value)}" for name, value in setting.items())
    readable = re.sub(r"[^A-Za-z0-9=.,+-]+", "_", text)[:80]
    digest = fingerprint.digest(_setting_key(setting, seeds))
    return f"{readable}__seeds={seeds[0]}-{seeds[-1]}__{digest}.npz"


class _BadReturn(ValueError):
    """The experiment does not return what a sweep can keep: the sweep stops."""


def _run(experiment: Experiment, environment: Mapping[str, str], task: _Task) -> _Done | Failure:
    """Carry out one task, in the worker."""
    if environment != _environment():
        os.environ.update(environment)
    start = time.perf_counter()
    try:
        with one_thread():
            arrays = _arrays(experiment(seeds=list(task.seeds), **task.setting), len(task.seeds))
    except _BadReturn:
        raise
    except Exception:
        return Failure(traceback.format_exc())
    return _Done(arrays, _provenance(time.perf_counter() - start))


def _environment() -> dict[str, str]:
    """What a worker must know of this process, as workers outlive a change of it."""
    scale = "smoke" if is_smoke() else "full"
    return {"GAN_COURSE_SCALE": scale, "GAN_COURSE_SEED": str(base_seed())}


def _arrays(returned: Any, seeds: int) -> dict[str, NDArray[Any]]:
    if not isinstance(returned, Mapping) or not returned:
        raise _BadReturn(
            f"experiment returns {type(returned).__name__} {returned!r:.60}; "
            "allowed is a mapping from names to arrays, at least one"
        )
    arrays = {}
    for name, value in returned.items():
        if not isinstance(name, str) or name in _RESERVED:
            raise _BadReturn(f"experiment returns {name!r}; allowed are other names, as strings")
        if hasattr(value, "detach"):  # a tensor, perhaps on a GPU or with a gradient
            value = value.detach().cpu()
        array = np.asarray(value)
        if array.shape[:1] != (seeds,) or array.dtype == object:
            raise _BadReturn(
                f"experiment returns {name!r} of shape {array.shape} and type {array.dtype}; "
                f"allowed are numbers of shape ({seeds}, ...), the seeds first"
            )
        arrays[name] = array
    return arrays


def _provenance(seconds: float) -> dict[str, Any]:
    import torch

    name = str(device())
    if name == "cuda":
        name = f"cuda: {torch.cuda.get_device_name()}"
    return {
        "seconds": round(seconds, 3),
        "device": name,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "gan_course": gan_course.__version__,
    }


# Files


def _keep(task: _Task, outcome: _Done | Failure, made_by: Mapping[str, str]) -> None:
    """Write a result whole or not at all."""
    if isinstance(outcome, Failure):
        task.error_file.write_text(outcome.reason, encoding="utf-8")
        return
    setting = {name: _plain(value) for name, value in task.setting.items()}
    where = {"setting": setting, "seeds": task.seeds, "position": task.position}
    info = json.dumps({**made_by, **where, **outcome.info})
    arrays: dict[str, Any] = {**outcome.arrays, _INFO: np.array(info)}
    unfinished = task.file.with_suffix(f".{os.getpid()}.tmp")
    try:
        with unfinished.open("wb") as file:
            np.savez_compressed(file, **arrays)
        unfinished.replace(task.file)
    finally:
        unfinished.unlink(missing_ok=True)
    task.error_file.unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    return value if value is None or isinstance(value, bool | int | float | str) else key(value)


@contextmanager
def _opened(file: Path) -> Iterator[Mapping[str, NDArray[Any]]]:
    try:
        with np.load(file, allow_pickle=False) as stored:
            yield stored
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{file} is no result of a sweep, or damaged: delete it") from error


def _read_info(file: Path) -> dict[str, Any]:
    with _opened(file) as stored:
        return json.loads(str(stored[_INFO]))


def _read(file: Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    with _opened(file) as stored:
        arrays = dict(stored)
    return arrays, json.loads(str(arrays.pop(_INFO)))


def _check_made_by(task: _Task, made_by: Mapping[str, str]) -> None:
    """Whether a stored result comes from this experiment as it is now."""
    if not task.file.exists():
        return
    stored = _read_info(task.file)
    if any(stored[name] != value for name, value in made_by.items()):
        raise ValueError(
            f"folder {str(task.file.parent)!r} holds results of {stored['experiment']} "
            f"(version {stored['version']!r}), and experiment is now {made_by['experiment']} "
            f"(version {made_by['version']!r}): delete the folder or take another; or, where the "
            f"change does not matter, keep the results with version={stored['version']!r}"
        )


def _collect(settings: Sequence[Setting], tasks: Sequence[_Task], seeds: Sequence[int]) -> Results:
    size = len(tasks) // len(settings)
    cells = [_cell(setting, tasks[i * size : (i + 1) * size]) for i, setting in enumerate(settings)]
    return Results(tuple(cells), tuple(seeds), tuple(settings[0]))


def _cell(setting: Setting, tasks: Sequence[_Task]) -> Cell:
    """The result of a setting, its blocks of seeds put together."""
    setting = MappingProxyType(dict(setting))
    if not all(task.file.exists() for task in tasks):
        errors = [t.error_file.read_text(encoding="utf-8") for t in tasks if t.error_file.exists()]
        return Cell(setting, error="\n".join(errors) or None)
    parts, infos = zip(*(_read(task.file) for task in tasks), strict=True)
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return Cell(setting, arrays, info=infos)


def _last_line(error: str) -> str:
    return error.strip().splitlines()[-1]
