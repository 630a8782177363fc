"""Starts the kernel of a submission under limits: ``python -m gan_course.grade.kernel``.

Where the operating system has no such limits (Windows), or does not hold to them (macOS, for
memory), only the grader's own watch is left: it looks five times a second how much memory the
processes of the submission take.
"""

from __future__ import annotations

import sys

FILE_BYTES = 1 << 30
"""The largest file that a submission may write."""


def limit(memory_bytes: int, cpu_seconds: int) -> None:
    """Lower this process's limits, for good: a process cannot raise them again.

    Memory is limited by what the process allocates for itself (``RLIMIT_DATA``), since PyTorch
    maps much more than it uses.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {
        resource.RLIMIT_DATA: memory_bytes,
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_FSIZE: FILE_BYTES,
        resource.RLIMIT_CORE: 0,
    }
    for which, value in wanted.items():
        _, hard = resource.getrlimit(which)
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(which, (lowest, lowest))
        except (ValueError, OSError):  # a limit that this system does not know
            continue


def main() -> None:
    """Limit this process, then become the kernel; the other arguments are ipykernel's."""
    memory, cpu = int(sys.argv[1]), int(sys.argv[2])
    del sys.argv[1:3]
    limit(memory, cpu)
    from ipykernel.kernelapp import launch_new_instance

    launch_new_instance()


if __name__ == "__main__":
    main()
