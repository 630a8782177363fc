"""Seeds, scale and device, threads and memory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import gan_course
from gan_course import runtime


def test_seeds_are_disjoint_between_bases_and_from_pilots(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    for base in ("0", "1", "7"):
        monkeypatch.setenv("GAN_COURSE_SEED", base)
        for chosen in (gan_course.seeds(1000), gan_course.pilot_seeds(1000)):
            assert len(set(chosen)) == 1000
            assert not seen & set(chosen)
            seen |= set(chosen)
    assert gan_course.seeds(3) == gan_course.seeds(5)[:3]


@pytest.mark.parametrize("n", [0, 50_001])
def test_bad_number_of_seeds(n: int) -> None:
    with pytest.raises(ValueError, match=f"n is {n}"):
        gan_course.seeds(n)


def test_bad_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAN_COURSE_SEED", "-1")
    with pytest.raises(ValueError, match="GAN_COURSE_SEED is '-1'"):
        gan_course.base_seed()
    monkeypatch.setenv("GAN_COURSE_SCALE", "tiny")
    with pytest.raises(ValueError, match="full, smoke"):
        runtime.is_smoke()


def test_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setenv("GAN_COURSE_SCALE", "smoke")
    assert gan_course.scale(cpu=3, gpu=2, smoke=1) == 1
    assert gan_course.scale(cpu=3) == 3
    monkeypatch.setenv("GAN_COURSE_SCALE", "full")
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cpu"))
    assert gan_course.scale(cpu=3, gpu=2, smoke=1) == 3
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cuda"))
    assert gan_course.scale(cpu=3, gpu=2, smoke=1) == 2


def test_importing_is_light_and_silent() -> None:
    import subprocess
    import sys

    code = "import sys, gan_course; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False False\n"
    assert done.stderr == ""


# --- plots ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not Path("/lib/x86_64-linux-gnu/libc.so.6").exists(), reason="needs glibc")
def test_reused_memory_is_not_cleared_again() -> None:
    """Page faults of 300 rounds of 8 MB, in a process of its own with the settings and without."""
    code = (
        "import resource, sys, torch\n"
        "from gan_course.runtime import reuse_memory\n"
        "assert sys.argv[1] == 'no' or reuse_memory()\n"
        "x = torch.ones(2**21)\n"
        "faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "def round():\n    a = x + 1; b = a * 2; c = a + b\n"
        "for _ in range(20): round()\n"
        "before = faults()\n"
        "for _ in range(300): round()\n"
        "print(faults() - before)"
    )
    command = [sys.executable, "-c", code]
    without, with_it = (
        int(subprocess.run([*command, word], capture_output=True, text=True, check=True).stdout)
        for word in ("no", "yes")
    )
    assert with_it < without / 20  # the rest is the kernel's own housekeeping
