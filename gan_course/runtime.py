"""Where a cell runs, at which scale, and on which seeds.

Three environment variables steer a whole page without an edit: ``GAN_COURSE_SEED`` shifts every
seed of the book, ``GAN_COURSE_SCALE`` chooses the full or the smoke scale, and
``GAN_COURSE_STATIC`` is set while the pages of the site are executed, where no kernel will answer
a widget.
"""

from __future__ import annotations

import ctypes
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

T = TypeVar("T")

_BLOCK = 100_000  # seeds that belong to one base seed; the upper half is reserved for pilots
_SCALES = ("full", "smoke")


def device() -> torch.device:
    """Best device of this machine: CUDA, then MPS, then CPU."""
    import torch

    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def is_smoke() -> bool:
    """Whether everything runs tiny, for tests (``GAN_COURSE_SCALE=smoke``)."""
    value = os.environ.get("GAN_COURSE_SCALE", "full")
    if value not in _SCALES:
        raise ValueError(f"GAN_COURSE_SCALE is {value!r}; allowed are {', '.join(_SCALES)}")
    return value == "smoke"


def is_static() -> bool:
    """Whether the page is executed for the static site, where no kernel answers."""
    return os.environ.get("GAN_COURSE_STATIC", "") == "1"


def scale(*, cpu: T, gpu: T | None = None, smoke: T | None = None) -> T:
    """Pick the size of a computation for this machine.

    Parameters
    ----------
    cpu, gpu
        The value on two CPU cores and on a GPU (``cpu`` where ``gpu`` is not given).
    smoke
        The value when ``GAN_COURSE_SCALE=smoke``; a page must give one for everything slow.
    """
    if smoke is not None and is_smoke():
        return smoke
    if gpu is not None and device().type != "cpu":
        return gpu
    return cpu


@contextmanager
def one_thread() -> Iterator[None]:
    """Run PyTorch's CPU operations on one thread inside the block.

    Ensembles of small networks gain little from a second thread, and lose several times over where
    another process wants the same core.
    """
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def cores() -> int:
    """CPU cores for this process: those it may run on, at most ``OMP_NUM_THREADS`` where set."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return min(available or 1, int(limit)) if limit.isdecimal() and int(limit) else available or 1


@cache
def reuse_memory() -> bool:
    """Let the C library keep freed memory for this process instead of returning it at once.

    By default glibc gives large blocks back and asks for them again, and the kernel then clears
    every page anew: in a loop that allocates the same megabytes at each step that can take as
    long as the arithmetic. Returns whether the C library took the settings; others are left alone.
    """
    trim_threshold, top_pad, mmap_threshold = -1, -2, -3  # as in glibc's malloc.h
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    settings = {mmap_threshold: 2**25, trim_threshold: 2**31 - 1, top_pad: 2**26}
    taken = [mallopt(name, value) == 1 for name, value in settings.items()]  # all are tried
    return all(taken)


@contextmanager
def fast_matmul() -> Iterator[None]:
    """Take oneDNN's matrix products on the CPU inside the block, where they pay.

    On some AMD processors they are twice as fast as MKL's, on others a little slower. The switch
    that routes float32 products there also allows bfloat16, which some processors then really use;
    so oneDNN is taken only where its products are as accurate as float32's and much faster, which
    each process tries once.
    """
    import torch

    if not _onednn_pays():
        yield
        return
    backend: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
    before = backend.fp32_precision
    backend.fp32_precision = "bf16"
    try:
        yield
    finally:
        backend.fp32_precision = before


@cache
def _onednn_pays() -> bool:
    """Whether oneDNN is as accurate as MKL here, and at least 1.5 times as fast.

    The two kinds of processors that we know lie at 1.1 and at 2, far from this limit, and each
    side's time is its best of many: so the answer does not change from one process to the next.
    """
    import torch

    backend: Any = getattr(torch.backends.mkldnn, "matmul", None)
    cpuinfo = Path("/proc/cpuinfo")
    if not hasattr(backend, "fp32_precision") or not cpuinfo.exists():
        return False
    if "AuthenticAMD" not in cpuinfo.read_text():
        return False
    draw = torch.Generator().manual_seed(0)
    a, b = torch.randn(8, 256, 128, generator=draw), torch.randn(8, 128, 128, generator=draw)
    exact = torch.bmm(a.double(), b.double())
    before, seconds = backend.fp32_precision, {"bf16": math.inf, "ieee": math.inf}
    try:
        for _ in range(25):
            for precision in seconds:
                backend.fp32_precision = precision
                begin = perf_counter()
                for _ in range(3):
                    product = torch.bmm(a, b)
                seconds[precision] = min(seconds[precision], perf_counter() - begin)
                if (product - exact).abs().max() > 2e-6 * exact.abs().max():
                    return False
    finally:
        backend.fp32_precision = before
    return seconds["ieee"] > 1.5 * seconds["bf16"]


def base_seed() -> int:
    """The seed that all seeds of the book derive from (``GAN_COURSE_SEED``, default 0)."""
    text = os.environ.get("GAN_COURSE_SEED", "0")
    if not text.isdecimal():
        raise ValueError(f"GAN_COURSE_SEED is {text!r}; allowed are the integers 0, 1, 2, ...")
    return int(text)


def seeds(n: int) -> list[int]:
    """The ``n`` seeds of an experiment under the current base seed.

    Two base seeds never share a seed. Nobody chooses seeds after seeing a result: an experiment
    takes the first ``n``, and every one of them counts.
    """
    return _seeds(n, 0)


def pilot_seeds(n: int) -> list[int]:
    """Seeds reserved for choosing settings and thresholds, disjoint from :func:`seeds`."""
    return _seeds(n, _BLOCK // 2)


def _seeds(n: int, offset: int) -> list[int]:
    if not 1 <= n <= _BLOCK // 2:
        raise ValueError(f"n is {n}; allowed are 1 to {_BLOCK // 2} seeds")
    start = base_seed() * _BLOCK + offset
    return list(range(start, start + n))
