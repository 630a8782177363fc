"""One function on many items, on the cores of this machine or on a cluster.

No scheduling happens here: joblib, Dask and Ray do it. What this module adds is that results come
as soon as they exist, and that an item which kills its workers is told apart from the others.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any, TypeVar

import joblib

__all__ = ["Failure", "check_backend", "dispatch"]

Item = TypeVar("Item")
Result = TypeVar("Result")
Pairs = Generator[tuple[Item, "Result | Failure"], None, None]
Tagged = Generator[tuple[int, Result], None, None]

_KILLED = (
    "a worker process was killed (out of memory? then take fewer workers); "
    "what was under way will be tried again at the end, each task alone"
)


@dataclass(frozen=True)
class Failure:
    """In the place of a result, such as where an item killed its worker more than once."""

    reason: str


def check_backend(backend: str) -> None:
    """Raise unless a backend of this name can be used."""
    known = {*joblib.parallel.BACKENDS, "dask", "ray"}
    if backend not in known:
        raise ValueError(f"backend is {backend!r}; allowed are {', '.join(sorted(known))}")
    if backend == "dask":
        _need("distributed", "backend='dask' needs Dask: pip install 'gan-course[cluster]'")
    if backend == "ray":
        _need("ray", "backend='ray' needs Ray: pip install 'gan-course[cluster]'")


def dispatch(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    backend: str,
    workers: int,
    options: Mapping[str, Any],
) -> Pairs[Item, Result]:
    """Pairs of an item and its result, in the order of arrival.

    An exception of ``function`` is raised here and stops the rest, as closing the generator does.

    Parameters
    ----------
    backend
        ``"dask"``, ``"ray"`` or one of joblib's.
    workers
        Of joblib's backends, as ``n_jobs`` there; a cluster uses all that it has.
    options
        Keyword arguments: ``client`` and those of ``Client.submit`` for Dask, those of a remote
        function's ``options`` for Ray, else those of joblib's backend.
    """
    if not items:
        return
    if backend == "dask":
        yield from _on_dask(function, items, **options)
    elif backend == "ray":
        yield from _on_ray(function, items, **options)
    else:
        yield from _on_joblib(function, items, backend, workers, options)


def _on_joblib(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    backend: str,
    workers: int,
    options: Mapping[str, Any],
) -> Pairs[Item, Result]:
    """A worker that dies takes its pool with it.

    What was under way is then tried once more, each item in a pool of its own, so that a fatal
    one neither stops the others nor hides.
    """
    options = {"inner_max_num_threads": 1, **options} if backend == "loky" else options
    waiting, suspects = iter(range(len(items))), list[int]()
    under_way = set[int]()

    def calls() -> Iterator[Any]:
        for i in waiting:
            under_way.add(i)
            yield joblib.delayed(_tag)(function, i, items[i])

    finished = False
    while not finished:
        try:
            with _parallel(backend, workers, options, calls()) as results:
                for i, result in results:
                    under_way.discard(i)
                    yield items[i], result
            finished = True
        except BrokenProcessPool:
            suspects += sorted(under_way)
            under_way.clear()
            warnings.warn(_KILLED, RuntimeWarning, stacklevel=3)
    for i in suspects:
        one = iter([joblib.delayed(_tag)(function, i, items[i])])
        try:
            with _parallel(backend, 2, options, one) as results:  # 1 would be this process
                yield items[i], next(results)[1]
        except BrokenProcessPool as error:
            yield items[i], Failure(f"the worker process was killed: {error}")


def _tag(function: Callable[[Item], Result], i: int, item: Item) -> tuple[int, Result]:
    return i, function(item)


@contextmanager
def _parallel(
    backend: str, workers: int, options: Mapping[str, Any], calls: Iterator[Any]
) -> Iterator[Tagged[Any]]:
    """joblib's results in the order of arrival; leaving the block cancels what is under way."""
    with joblib.parallel_config(backend=backend, **options):
        parallel = joblib.Parallel(
            n_jobs=workers, return_as="generator_unordered", batch_size=1, max_nbytes=None
        )
    results = parallel(calls)
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that results are left unused
            results.close()


def _on_dask(
    function: Callable[[Item], Result], items: Sequence[Item], client: Any = None, **submit: Any
) -> Pairs[Item, Result]:
    """The scheduler runs the items of a lost worker elsewhere, and gives up an item that kills.

    Through Dask's client: joblib's Dask backend waits forever for an item that was given up.
    """
    distributed: Any = importlib.import_module("distributed")
    if client is None:
        try:
            client = distributed.get_client()
        except ValueError as error:
            raise ValueError(
                "backend is 'dask' and there is no client; make one with "
                "distributed.Client(...) or pass options={'client': client}"
            ) from error
    futures = {client.submit(function, item, pure=False, **submit): item for item in items}
    try:
        for future in distributed.as_completed(list(futures)):
            item = futures.pop(future)
            try:
                yield item, future.result()
            except distributed.KilledWorker as error:
                yield item, Failure(str(error))
    finally:
        client.cancel(list(futures))


def _on_ray(
    function: Callable[[Item], Result], items: Sequence[Item], **options: Any
) -> Pairs[Item, Result]:
    """Ray starts the items of a lost worker again, and gives up an item that kills.

    Through Ray itself: its joblib backend gives no result before all are there.
    """
    ray: Any = importlib.import_module("ray")
    remote = ray.remote(_tag)
    remote = remote.options(**options) if options else remote
    shared = ray.put(function)
    references = {remote.remote(shared, i, item): item for i, item in enumerate(items)}
    try:
        while references:
            (reference,), _ = ray.wait(list(references), num_returns=1)
            item = references.pop(reference)
            try:
                yield item, ray.get(reference)[1]
            except ray.exceptions.RayTaskError as error:  # what the function raised
                raise error.cause from error
            except ray.exceptions.RayError as error:
                yield item, Failure(str(error))
    finally:
        for reference in references:
            ray.cancel(reference)


def _need(module: str, message: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(message) from error
