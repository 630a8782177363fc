"""The published experiment of chapter 6 at its full size, recorded over seeds.

A generator of width 5000 learns eight modes against a critic of width 1000, as in No, Yoon, Kwon
and Ryu 2021 (:func:`gan_course.features.fit`). A seed draws its own features, weights and
minibatches, and takes some six minutes on a core; so the page reads a recording. Recording is a
sweep (:mod:`gan_course.sweep`) that keeps a file for each finished seed and goes on where it
stopped::

    python -m gan_course.published_mixture record collect --folder book/recordings/mixture

The last part writes what the page reads, ``assets/mixture.npz``, from the finished seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from gan_course import features, metrics
from gan_course import seeds as judged_seeds
from gan_course.random import Role, Streams
from gan_course.runtime import device, is_smoke
from gan_course.sweep import Results, load, sweep

__all__ = ["PUBLISHED", "SEEDS", "collect", "experiment", "record", "recorded", "thinned"]

Array = NDArray[np.float64]

PUBLISHED: Mapping[str, int] = {
    "width": 5000,
    "critic_width": 1000,
    "batch": 5000,
    "epochs": 25,
    "steps": 160,
}
"""``N_g``, ``N_d``, points of a minibatch, epochs, and steps of an epoch."""

_SMOKE: Mapping[str, int] = {
    "width": 12,
    "critic_width": 9,
    "batch": 20,
    "epochs": 3,
    "steps": 40,
}

SEEDS = 16
_EVERY = 20  # steps that make one point of a recorded curve
_SCORED, _SHOWN, _PICTURED = 10_000, 500, 2  # points scored and kept a seed, and seeds with points


def experiment(
    *, seeds: Sequence[int], width: int, critic_width: int, batch: int, epochs: int, steps: int
) -> dict[str, NDArray[Any]]:
    """Train one seed after another and score what it generates.

    Parameters
    ----------
    seeds
        Each draws the features of both players, the weights at the start and the minibatches.
    width, critic_width, batch, epochs, steps
        See :data:`PUBLISHED`. At the smoke scale they are not heeded.

    Returns
    -------
    dict
        ``start`` and ``first``, ``J`` on the first minibatch and on the second one, after one
        step, ``(seeds,)``; ``epoch_means`` of ``J`` and ``unbiased_means`` of its estimate without
        the minibatches' noise, ``(seeds, epochs)``; ``curve`` and ``unbiased``, both histories as
        means of 20 steps; ``quality``, the share of 10 000 generated points within 3 standard
        deviations of the nearest mode, ``(seeds,)``; ``modes``, how many modes hold at least one
        of them; ``shares`` of the points nearest to each mode, ``(seeds, 8)``; ``samples``, some
        of the points, ``(seeds, 500, 2)``.
    """
    if is_smoke():
        width, critic_width, batch, epochs, steps = _SMOKE.values()
    rows = [_one(seed, width, critic_width, batch, epochs, steps) for seed in seeds]
    return {name: np.stack([row[name] for row in rows]) for name in rows[0]}


def _one(
    seed: int, width: int, critic_width: int, batch: int, epochs: int, steps: int
) -> dict[str, NDArray[Any]]:
    source = Streams([seed], role=Role.INIT)
    generator = _first(features.published_generator(source, width))
    critic = features.published_critic(source, critic_width)
    critic = features.CriticFeatures(critic.weights[0], critic.biases[0])
    place = device() if device().type == "cuda" else torch.device("cpu")
    target = features.published_mixture()
    run = features.fit(
        generator.to(place), critic.to(place), target, seed=seed,
        theta=features.initial_weights(width, source)[0],
        epochs=epochs, steps=steps, batch=batch, workers=1,
    )  # fmt: skip
    points = run.sample(_SCORED, seed=seed).cpu()
    coverage = metrics.mode_coverage(points[None], target)
    nearest = torch.cdist(points.double(), target.centers).argmin(1)
    found: dict[str, Any] = {
        "start": run.objective[0],
        "first": run.objective[1],
        "epoch_means": run.epoch_means(),
        "unbiased_means": run.epoch_means(run.unbiased),
        "curve": thinned(run.objective),
        "unbiased": thinned(run.unbiased),
        "quality": coverage.high_quality[0],
        "modes": coverage.modes[0],
        "shares": torch.bincount(nearest, minlength=len(target.means)).numpy() / _SCORED,
        "samples": points[:_SHOWN].numpy(),
    }
    return {name: np.asarray(value, dtype=np.float32) for name, value in found.items()}


def _first(generator: features.GeneratorFeatures) -> features.GeneratorFeatures:
    return features.GeneratorFeatures(generator.weights[0], generator.biases[0])


def thinned(history: Array, every: int = _EVERY) -> Array:
    """Means of so many steps each, ``(steps / every,)``; a shorter rest at the end is dropped."""
    count = len(history) // every
    if every < 1 or not count:
        raise ValueError(f"every is {every}; allowed are 1 to the length {len(history)}")
    means: Array = history[: count * every].reshape(count, every).mean(1)
    return means


def record(folder: str | Path, seeds: Sequence[int] | None = None, **options: Any) -> Results:
    """Train every seed that the folder lacks, a file a seed; ``options`` are those of a sweep."""
    wanted = judged_seeds(2 if is_smoke() else SEEDS) if seeds is None else list(seeds)
    return sweep(experiment, [dict(PUBLISHED)], seeds=wanted, folder=folder, block=1, **options)


def collect(folder: str | Path, file: str | Path | None = None) -> list[int]:
    """Write the finished seeds into one small file, which the page reads.

    Returns
    -------
    list of int
        These seeds.

    Raises
    ------
    ValueError
        If no seed is finished.
    """
    results = load(folder)
    found = results.at(**dict(results.cells[0].setting))
    small: dict[str, Any] = {name: values.astype(np.float32) for name, values in found.items()}
    small["samples"] = small["samples"][:_PICTURED]
    small["seeds"] = np.array(results.seeds)
    with Path(file or str(_assets())).open("wb") as out:
        np.savez_compressed(out, **small)
    return list(results.seeds)


def _assets() -> Any:
    return resources.files("gan_course") / "assets" / "mixture.npz"


def recorded(what: str) -> Array:
    """What the recording holds, at the full scale.

    Parameters
    ----------
    what
        A name of :func:`experiment`, seeds first, or ``"seeds"``; ``"samples"`` are those of the
        first two seeds.

    Raises
    ------
    LookupError
        If there is no recording, or if it does not hold it.
    """
    if not _assets().is_file():
        raise LookupError("there is no recording: run python -m gan_course.published_mixture")
    with _assets().open("rb") as file:
        tables = np.load(file)
        if what not in tables:
            held = ", ".join(sorted(tables.files))
            raise LookupError(f"the recording has no {what}; allowed are {held}")
        table: Array = tables[what].astype(np.float64)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Command line: which parts, and where the finished seeds are kept."""
    parser = argparse.ArgumentParser(
        prog="python -m gan_course.published_mixture", description=__doc__
    )
    parser.add_argument("parts", nargs="+", choices=("record", "collect"))
    parser.add_argument("--folder", default="book/recordings/mixture")
    parser.add_argument("--workers", type=int, default=-1)
    given = parser.parse_args(arguments)
    from gan_course import published_mixture  # workers find functions of a module, not a script's

    for part in given.parts:
        if part == "record":
            published_mixture.record(given.folder, workers=given.workers)
        else:
            print("collected the seeds", *published_mixture.collect(given.folder))


if __name__ == "__main__":
    main()
