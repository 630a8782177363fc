"""How fast is the training loop? One command, everything side by side in one run.

    python -m benchmarks.engine [--quick] [--device cuda]

Compares `gan_course.train` with the plain loops of `benchmarks.plain` in seed-iterations (one
generator step of one seed) a second. Every repetition measures both in turn, each at its best
number of threads, and the ratio is the median over repetitions; absolute numbers drift with the
machine's other work. The floor is the time of the same matrix products alone.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import statistics
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import plain
from gan_course import data, losses, nets, regularizers
from gan_course.runtime import cores, fast_matmul, one_thread
from gan_course.train import Adam, Game, Run, train

TARGET = data.ring()
SETTINGS = [  # name, width, depth, compiled, seed-iterations a measurement, the ratio to reach
    ("non-saturating", 64, 2, False, 6400, 4.0),
    ("WGAN-GP", 64, 2, False, 1600, 4.0),
    ("WGAN-GP", 64, 2, True, 3200, 7.0),
    ("WGAN-GP", 128, 2, False, 640, 3.5),
    ("WGAN-GP", 512, 3, False, 128, 2.3),
]
PLAIN = {"non-saturating": plain.non_saturating, "WGAN-GP": plain.wgan_gp}


def game(name: str, width: int, depth: int) -> Game:
    """The same game for the engine."""
    hidden = [width] * depth
    gp = name == "WGAN-GP"
    return Game(
        nets.mlp(2, *hidden, 2),
        nets.mlp(2, *hidden, 1),
        losses.wasserstein if gp else losses.non_saturating,
        data.Normal(dim=2),
        regularizers.GradientPenalty(0.1) if gp else (),
    )


def engine(
    name: str, width: int, depth: int, seeds: int, steps: int, batch: int = 256, **options: Any
) -> None:
    """Train an ensemble."""
    critic_steps = 5 if name == "WGAN-GP" else 1
    train(
        game(name, width, depth), TARGET, seeds=range(seeds), steps=steps, batch=batch,
        critic_steps=critic_steps, optimizer=Adam(1e-4), record_every=steps, **options,
    )  # fmt: skip


def rate(
    name: str, width: int, depth: int, seeds: int, steps: int, batch: int = 256, **options: Any
) -> float:
    """Seed-iterations a second of the engine, from the first step on."""
    begin = time.perf_counter()

    def first_step(run: Run) -> NDArray[np.float64]:
        nonlocal begin
        if run.steps == []:
            begin = time.perf_counter()
        return np.zeros(len(run.seeds))

    engine(name, width, depth, seeds, steps, batch, metrics={"none": first_step}, **options)
    if options.get("device") == "cuda":
        torch.cuda.synchronize()
    return seeds * steps / (time.perf_counter() - begin)


def plain_rate(name: str, width: int, depth: int, steps: int, device: str = "cpu") -> float:
    """The plain loop at its best number of threads; building its two networks is nothing beside."""
    rates = []
    for threads in {1, cores()} if device == "cpu" else {1}:
        torch.set_num_threads(threads)
        begin = time.perf_counter()
        PLAIN[name](TARGET, width, depth, steps, 256, device)
        if device == "cuda":
            torch.cuda.synchronize()
        rates.append(steps / (time.perf_counter() - begin))
    return max(rates)


def products(name: str, width: int, depth: int, batch: int = 256) -> list[tuple[int, int, int]]:
    """Sizes ``(m, k, n)`` of all matrix products of one generator step of one seed."""

    def layers(out: int) -> list[tuple[int, int]]:
        sizes = [2, *[width] * depth, out]
        return list(pairwise(sizes))

    def forward(rows: int, out: int) -> list[tuple[int, int, int]]:
        return [(rows, i, o) for i, o in layers(out)]

    def to_weights(rows: int, out: int) -> list[tuple[int, int, int]]:
        return [(i, rows, o) for i, o in layers(out)]

    def to_inputs(rows: int, out: int, skip: int) -> list[tuple[int, int, int]]:
        return [(rows, o, i) for i, o in layers(out)[skip:] if o > 1]  # else a mere scaling

    critic = forward(batch, 2) + forward(2 * batch, 1)
    critic += to_weights(2 * batch, 1) + to_inputs(2 * batch, 1, 1)
    if name == "WGAN-GP":  # slopes, the chain of weights, and its backward pass
        critic += forward(batch, 1)[:-1] + to_inputs(batch, 1, 0)
        critic += [p for i, o in layers(1)[:-1] for p in ((i, batch, o), (batch, i, o))]
    generator = forward(batch, 2) + forward(batch, 1) + to_inputs(batch, 1, 0)
    generator += to_weights(batch, 2) + to_inputs(batch, 2, 1)
    return critic * (5 if name == "WGAN-GP" else 1) + generator


def floor_rate(name: str, width: int, depth: int, repetitions: int) -> float:
    """Seed-iterations a second if only the products had to be done, on every core at once.

    Eight seeds at a time, each product again and again in place, so that nothing waits for memory.
    """
    counts = Counter(products(name, width, depth))

    def operands() -> list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]]:
        return [
            (torch.randn(8, m, k), torch.randn(8, k, n), torch.empty(8, m, n), times)
            for (m, k, n), times in counts.items()
        ]

    def multiply(work: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor, int]]) -> None:
        torch.set_num_threads(1)
        for a, b, out, times in work:
            for _ in range(times * repetitions):
                torch.bmm(a, b, out=out)

    works = [operands() for _ in range(cores())]
    with one_thread(), fast_matmul(), ThreadPoolExecutor(cores()) as pool:
        begin = time.perf_counter()
        list(pool.map(multiply, works))
        return cores() * 8 * repetitions / (time.perf_counter() - begin)


def _peak(conn: Connection, name: str, width: int, depth: int, seeds: int) -> None:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    before = pages * resource.getpagesize() / 1024
    engine(name, width, depth, seeds, 3)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    conn.send((after - before) / 1024)


def memory(name: str, width: int, depth: int, seeds: int) -> float:
    """Peak memory in MB that a training of some seeds takes, in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_peak, args=(theirs, name, width, depth, seeds))
    child.start()
    result = float(ours.recv())
    child.join()
    return result


def median_ratio(
    ours: Callable[[], float], theirs: Callable[[], float], repetitions: int
) -> tuple[float, float, float]:
    """Medians of both rates, and of their ratio within a repetition."""
    pairs = [(theirs(), ours()) for _ in range(repetitions)]
    loops, engines = zip(*pairs, strict=True)
    ratios = [e / p for p, e in pairs]
    return statistics.median(loops), statistics.median(engines), statistics.median(ratios)


def against_plain(repetitions: int, quick: bool) -> bool:
    """The table of ratios; whether every one reaches its target."""
    seeds, reached = 32, True
    print(f"{'setting':<25}{'plain':>8}{'engine':>8}{'ratio':>7}{'target':>8}{'floor':>8}{'MB':>6}")
    for name, width, depth, compiled, iterations, target in SETTINGS:
        iterations = max(seeds, iterations // (4 if quick else 1))
        steps = max(2, iterations // seeds)
        engine(name, width, depth, seeds, 2, compile=compiled)
        loop, ours, ratio = median_ratio(
            partial(rate, name, width, depth, seeds, steps, compile=compiled),
            partial(plain_rate, name, width, depth, max(2, iterations // 8)),
            repetitions,
        )  # fmt: skip
        floor = floor_rate(name, width, depth, max(1, iterations // 32))
        reached &= ratio >= target
        label = f"{name} {width}x{depth}" + ", compiled" * compiled
        print(
            f"{label:<25}{loop:8.1f}{ours:8.1f}{ratio:7.2f}{target:8.1f}{floor:8.0f}"
            f"{memory(name, width, depth, seeds):6.0f}",
            flush=True,
        )
    return reached


def scaling(repetitions: int, quick: bool) -> None:
    """How the cost of a seed-iteration grows with seeds, width and batch."""
    base = {"seeds": 16, "width": 64, "batch": 256}
    grids = {"seeds": (1, 2, 8, 16, 32, 64), "width": (32, 64, 128, 256), "batch": (64, 256, 1024)}
    steps = 10 if quick else 40
    for axis, values in grids.items():
        print(f"\nmicroseconds a seed-iteration, non-saturating, against {axis} (else {base})")
        for value in values:
            at = base | {axis: value}
            options = (at["width"], 2, at["seeds"], steps, at["batch"])
            rates = [rate("non-saturating", *options) for _ in range(repetitions)]
            print(f"{value:>8}{1e6 / statistics.median(rates):10.0f}", flush=True)


def on_gpu(repetitions: int) -> None:
    """Seed-iterations a second on a GPU against the plain loop on the same GPU."""
    for name in PLAIN:
        engine(name, 64, 2, 16, 5, device="cuda")
        plain_rate(name, 64, 2, 5, "cuda")
        for seeds in (1, 16, 64, 256, 1024):
            loop, ours, ratio = median_ratio(
                partial(rate, name, 64, 2, seeds, 50, device="cuda"),
                partial(plain_rate, name, 64, 2, 50, "cuda"),
                repetitions,
            )  # fmt: skip
            print(
                f"{name:<16}{seeds:>6} seeds: {loop:8.1f} {ours:10.1f}, ratio {ratio:8.1f}",
                flush=True,
            )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer and shorter measurements")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    arguments = parser.parse_args()
    repetitions = 3 if arguments.quick else 7
    print(f"torch {torch.__version__}, {cores()} cores; seed-iterations a second\n")
    if arguments.device == "cuda":
        on_gpu(repetitions)
        return
    reached = against_plain(repetitions, arguments.quick)
    scaling(repetitions, arguments.quick)
    print("\nevery ratio reaches its target" if reached else "\nnot every ratio reaches its target")


if __name__ == "__main__":
    main()
