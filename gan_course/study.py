"""The factorial study of chapter 5: which matters more, the divergence or the regularizer?

Every loss of :data:`LOSSES` is played with every regularizer of :data:`REGULARIZERS` on every data
set of :data:`DATA`, with one architecture, one optimizer and one budget a data set. Each strength
is tuned first, over the same number of candidates and with the same budget, on seeds that the
study does not use. Both parts are sweeps (:mod:`gan_course.sweep`) that keep each finished setting
and go on where they stopped::

    python -m gan_course.study tune run --folder book/recordings/study

    python -m gan_course.study collect --folder book/recordings/study

The last part writes what the pages read, ``assets/study.npz``, from the finished data sets.

A seed that diverges counts as its untrained generator does: no seed is left out.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from gan_course import data, losses, metrics, nets, regularizers, train, transport
from gan_course.losses import Loss
from gan_course.regularizers import Regularizer
from gan_course.runtime import device, is_smoke, pilot_seeds
from gan_course.runtime import seeds as study_seeds
from gan_course.sweep import Results, load, sweep

__all__ = [
    "DATA",
    "LOSSES",
    "REGULARIZERS",
    "DataSet",
    "Effects",
    "at_the_edge",
    "collect",
    "data_set",
    "effects",
    "experiment",
    "recorded",
    "recorded_data",
    "run",
    "scores",
    "settings",
    "tune",
    "tuned",
]

Array = NDArray[np.float64]

LOSSES: Mapping[str, Loss] = {
    loss.name: loss for loss in (losses.minimax, losses.non_saturating, losses.wasserstein)
}

_NOISE = 0.0625  # variance of DRAGAN's points around the data, whose coordinates are of size 1


@dataclass(frozen=True)
class Candidates:
    """A regularizer as a function of its strength, and the strengths that are tried."""

    make: Callable[[float], tuple[Regularizer, ...]]
    strengths: tuple[float, ...]


REGULARIZERS: Mapping[str, Candidates] = {
    "none": Candidates(lambda strength: (), (0.0,)),
    "clipping": Candidates(lambda c: (regularizers.Clipping(c),), (0.02, 0.05, 0.1, 0.3)),
    "spectral norm": Candidates(lambda scale: (regularizers.SpectralNorm(),), (1, 3, 10, 30)),
    "WGAN-GP": Candidates(lambda w: (regularizers.GradientPenalty(w),), (0.1, 1, 10, 100)),
    "DRAGAN": Candidates(lambda w: (regularizers.DRAGAN(w, c=_NOISE),), (0.1, 1, 10, 100)),
    "R1": Candidates(lambda gamma: (regularizers.R1(gamma),), (0.01, 0.1, 1, 10)),
    "consistency": Candidates(
        lambda w: (regularizers.GradientPenalty(w), regularizers.Consistency(w / 5)),
        (0.1, 1, 10, 100),
    ),
}
"""Name to candidates. A spectral norm's strength is a factor on the critic's input, which is the
bound of its Lipschitz constant. The consistency term goes with the penalty of WGAN-GP, a fifth of
its weight, as published."""


@dataclass(frozen=True)
class DataSet:
    """What is learned, by which networks, with which budget, and how the result is scored.

    Attributes
    ----------
    target
        The data.
    generator
        Recipe of the generator; its noise is standard normal of dimension ``latent``.
    critic
        From a factor on the input to the critic's recipe.
    steps, batch, critic_steps, optimizer
        The budget; two critic updates go before each one of the generator.
    score
        Samples ``(seeds, n, dim)`` to named arrays ``(seeds,)``; the first one is the score, a
        distance from the data: smaller is better.
    samples
        ``n`` of the score.
    seeds, tuning_seeds, tuning_steps
        How many seeds the study and the tuning take, and the length of a tuning run.
    """

    target: data.Distribution
    generator: nets.Recipe
    critic: Callable[[float], nets.Recipe]
    latent: int
    steps: int
    batch: int
    critic_steps: int
    optimizer: train.Adam
    score: Callable[[torch.Tensor], Mapping[str, Array]]
    samples: int
    seeds: int
    tuning_seeds: int
    tuning_steps: int

    def game(self, loss: str, regularizer: str, strength: float) -> train.Game:
        """The game of one setting."""
        scale = strength if regularizer == "spectral norm" else 1.0
        return train.Game(
            self.generator, self.critic(scale), LOSSES[loss], data.Normal(dim=self.latent),
            REGULARIZERS[regularizer].make(strength),
        )  # fmt: skip


def _planar(target: data.Distribution, mixture: data.Mixture | None) -> DataSet:
    def score(x: torch.Tensor) -> dict[str, Array]:
        found = {"w1": transport.w1(x, _reference(target, mixture))}
        if mixture is not None:
            coverage = metrics.mode_coverage(x, mixture)
            found |= {"modes": coverage.modes, "quality": coverage.high_quality}
        return found

    return DataSet(
        target=target,
        generator=nets.mlp(2, 64, 64, 2),
        critic=lambda scale: nets.mlp(2, 64, 64, 1, input_scale=scale),
        latent=2, steps=3000, batch=128, critic_steps=2,
        optimizer=train.Adam(2e-3, betas=(0.5, 0.9)), score=score, samples=1000,
        seeds=16, tuning_seeds=4, tuning_steps=1500,
    )  # fmt: skip


def _reference(target: data.Distribution, mixture: data.Mixture | None) -> torch.Tensor:
    """A fixed cloud of the data, with each mode in its exact share."""
    source = torch.Generator().manual_seed(1)
    if mixture is None:
        return target.sample(1000, source)
    each = 1000 // len(mixture.means)
    noise = torch.randn(each, len(mixture.means), mixture.dim, generator=source)
    return (mixture.centers + torch.tensor(mixture.stds)[:, None] * noise).flatten(0, 1).float()


def _pictures(
    target: data.Distribution, size: int, channels: int, counted: Callable[..., Any] | None
) -> DataSet:
    def score(x: torch.Tensor) -> dict[str, Array]:
        found = {"features": metrics.frechet_distance(_features(x), _real_features(target))}  # type: ignore[arg-type]
        return found | ({"modes": counted(x)} if counted else {})

    def critic(scale: float) -> nets.Recipe:
        return nets.each(_Scaled(scale, nets.convolutional_critic(size, channels, width=8).build))

    return DataSet(
        target=target,
        generator=nets.convolutional_generator(size, 32, channels, width=8),
        critic=critic, latent=32, steps=500, batch=64, critic_steps=2,
        optimizer=train.Adam(2e-3, betas=(0.0, 0.9)), score=score, samples=1000,
        seeds=5, tuning_seeds=2, tuning_steps=200,
    )  # fmt: skip


@dataclass(frozen=True)
class _Scaled:
    """Builds a critic that sees its input times a factor."""

    factor: float
    build: Callable[[], torch.nn.Module]

    def __call__(self) -> torch.nn.Module:
        return torch.nn.Sequential(_Factor(self.factor), self.build())


class _Factor(torch.nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


@torch.no_grad()
def _features(x: torch.Tensor) -> torch.Tensor:
    """Features of the digit classifier, all channels side by side: ``(..., 32 * channels)``."""
    channels = x.shape[-1] // 784
    classifier = metrics.digit_classifier().to(x.device)
    return classifier.features(x.float().unflatten(-1, (channels, 784))).flatten(-2).cpu()


@cache
def _real_features(target: data.Distribution) -> torch.Tensor:
    return _features(target.sample(5000, torch.Generator().manual_seed(1)))


def _colored_modes(x: torch.Tensor) -> Array:
    """How many of the 60 pairs of digit and color are read at least once."""
    finite = torch.isfinite(x).flatten(1).all(1)
    channels = x.detach().cpu().unflatten(-1, (3, 784))
    classifier = metrics.digit_classifier()
    ink = (channels.amax(-1) + 1) / 2  # the brightest pixel of each channel
    palette = torch.tensor(data.PALETTE, dtype=ink.dtype)
    color = (ink[..., None, :] - palette).square().sum(-1).argmin(-1)
    with torch.no_grad():
        digit = classifier(channels.amax(-2).float().nan_to_num()).argmax(-1)
    found = [len(np.unique(row)) for row in (len(palette) * digit + color).numpy()]
    return np.where(finite.cpu().numpy(), np.array(found, float), math.nan)


def _stacked_modes(x: torch.Tensor) -> Array:
    return metrics.stacked_coverage(x).modes


@cache
def _data(name: str) -> DataSet:
    ring = data.ring(8, 2 / 1.414, 0.02 / 1.414)
    grid = data.grid(5, 2 / 2.828, 0.05 / 2.828)
    roll = data.SwissRoll()
    makers: dict[str, Callable[[], DataSet]] = {
        "ring": lambda: _planar(ring, ring),
        "grid": lambda: _planar(grid, grid),
        "swiss roll": lambda: _planar(roll, None),
        "digits": lambda: _pictures(data.digits().empirical(), 28, 1, None),
        "colored digits": lambda: _pictures(
            data.ColoredDigits(data.digits()), 28, 3, _colored_modes
        ),
        "stacked digits": lambda: _pictures(
            data.StackedDigits(data.digits()), 28, 3, _stacked_modes
        ),
    }
    return makers[name]()


DATA = ("ring", "grid", "swiss roll", "digits", "colored digits", "stacked digits")
"""The data sets, by name: the first three in the plane, the others pictures of 28 x 28 pixels."""


def data_set(name: str) -> DataSet:
    """One of :data:`DATA` by its name.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    if name not in DATA:
        raise ValueError(f"name is {name!r}; allowed are {', '.join(DATA)}")
    return _data(name)


def experiment(
    *,
    seeds: Sequence[int],
    data: str,
    loss: str,
    regularizer: str,
    strength: float,
    steps: int | None = None,
) -> dict[str, Array]:
    """Train one setting and score it.

    Returns
    -------
    dict
        ``score``, the distance from the data at the end; ``start``, that of the untrained
        generator, which is also the score of a seed that diverged; ``curve``, the score at the
        start and at five times, ``(seeds, 6)``; ``diverged`` (1 or 0); ``pace``, seconds a
        generator step and seed; and what else the data set counts.
    """
    chosen = _data(data)
    steps = steps or chosen.steps
    steps = 4 if is_smoke() else steps
    samples = 50 if is_smoke() else chosen.samples
    place = device()

    def score(run: train.Run) -> Array:
        return next(iter(chosen.score(run.sample(samples).cpu()).values()))

    begin = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that a seed diverged: it is counted
        run = train.train(
            chosen.game(loss, regularizer, strength), chosen.target, seeds=list(seeds),
            steps=steps, batch=chosen.batch, critic_steps=chosen.critic_steps,
            optimizer=chosen.optimizer, metrics={"score": score},
            record_every=max(1, steps // 5), device=place, progress=False,
        )  # fmt: skip
    pace = (perf_counter() - begin) / steps / len(run.seeds)
    curve = run.history["score"]
    start, end = curve[:, 0], curve[:, -1]
    lost = ~np.isfinite(end)
    final = chosen.score(run.sample(samples).cpu())
    counts = dict(list(final.items())[1:])
    return {
        "score": np.where(lost, start, end),
        "start": start,
        "curve": curve,
        "diverged": lost.astype(float),
        "pace": np.full(len(lost), pace),
    } | {name: np.where(lost, 0.0, np.nan_to_num(values)) for name, values in counts.items()}


# The two sweeps


def tune(folder: str | Path, names: Iterable[str] = DATA, **options: Any) -> dict[str, Results]:
    """Try every strength, on pilot seeds; one sweep a data set."""
    return {
        name: sweep(
            experiment, _candidates(name), folder=_folder(folder, "tuning", name),
            seeds=pilot_seeds(2 if is_smoke() else _data(name).tuning_seeds), **options,
        )
        for name in names
    }  # fmt: skip


def _candidates(name: str) -> list[dict[str, Any]]:
    return [
        {"data": name, "loss": loss, "regularizer": regularizer, "strength": float(strength),
         "steps": _data(name).tuning_steps}
        for loss in LOSSES
        for regularizer, candidates in REGULARIZERS.items()
        for strength in candidates.strengths
        if len(candidates.strengths) > 1
    ]  # fmt: skip


def _folder(folder: str | Path, part: str, name: str) -> Path:
    return Path(folder) / part / name.replace(" ", "-")


def tuned(folder: str | Path, name: str) -> dict[tuple[str, str], float]:
    """The strength with the best mean score over the tuning seeds, by loss and regularizer.

    Raises
    ------
    LookupError
        If the tuning on this data set is not finished.
    """
    results = load(_folder(folder, "tuning", name))
    best: dict[tuple[str, str], tuple[float, float]] = {}
    for candidate in _candidates(name):
        try:
            arrays = results.at(**{key: candidate[key] for key in results.names})
        except (LookupError, ValueError):
            raise LookupError(f"the tuning on {name!r} lacks {candidate}; run it again") from None
        pair = (candidate["loss"], candidate["regularizer"])
        score = (float(arrays["score"].mean()), candidate["strength"])
        best[pair] = min(best.get(pair, score), score)
    return {pair: strength for pair, (_, strength) in best.items()}


def settings(folder: str | Path, name: str) -> list[dict[str, Any]]:
    """The settings of the study on one data set, each with its tuned strength."""
    strengths = tuned(folder, name)
    return [
        {"data": name, "loss": loss, "regularizer": regularizer,
         "strength": strengths.get((loss, regularizer), 0.0)}
        for loss in LOSSES
        for regularizer in REGULARIZERS
    ]  # fmt: skip


def run(folder: str | Path, names: Iterable[str] = DATA, **options: Any) -> dict[str, Results]:
    """The study itself; one sweep a data set."""
    return {
        name: sweep(
            experiment, settings(folder, name),
            seeds=study_seeds(2 if is_smoke() else _data(name).seeds),
            folder=_folder(folder, "study", name), **options,
        )
        for name in names
    }  # fmt: skip


# What the study says


def scores(folder: str | Path, name: str, what: str = "score") -> Array:
    """One quantity of the study on one data set: ``(losses, regularizers, seeds)``.

    The order is that of :data:`LOSSES` and :data:`REGULARIZERS`; a setting that is not finished is
    NaN.
    """
    results = load(_folder(folder, "study", name))
    rows = {(dict(s)["loss"], dict(s)["regularizer"]): arrays for s, arrays in results}
    table = np.full((len(LOSSES), len(REGULARIZERS), len(results.seeds)), math.nan)
    for i, loss in enumerate(LOSSES):
        for j, regularizer in enumerate(REGULARIZERS):
            arrays = rows.get((loss, regularizer))
            if arrays is not None:
                table[i, j] = arrays[what]
    return table


def _trials(folder: str | Path, name: str) -> Array:
    """Scores of the tuning: ``(losses, regularizers, strengths, tuning seeds)``, padded by NaN."""
    results = load(_folder(folder, "tuning", name))
    most = max(len(candidates.strengths) for candidates in REGULARIZERS.values())
    table = np.full((len(LOSSES), len(REGULARIZERS), most, len(results.seeds)), math.nan)
    for setting, arrays in results:
        if arrays is None:
            continue
        values = dict(setting)
        regularizer = str(values["regularizer"])
        place = (
            list(LOSSES).index(str(values["loss"])),
            list(REGULARIZERS).index(regularizer),
            REGULARIZERS[regularizer].strengths.index(float(values["strength"])),
        )
        table[place] = arrays["score"]
    return table


def _strengths(folder: str | Path, name: str) -> Array:
    found = tuned(folder, name)
    return np.array([[found.get((i, j), 0.0) for j in REGULARIZERS] for i in LOSSES])


def collect(folder: str | Path, file: str | Path | None = None) -> list[str]:
    """Write the tables of the finished data sets into one small file, which the pages read.

    Returns
    -------
    list of str
        The names of these data sets.
    """
    tables: dict[str, Array] = {}
    for name in DATA:
        try:
            table = scores(folder, name)
        except (FileNotFoundError, LookupError, ValueError):
            continue
        if np.isfinite(table).all():
            _, arrays = next(iter(load(_folder(folder, "study", name))))
            for what in sorted(set(arrays or ()) - {"curve", "pace"}):
                tables[f"{name}/{what}"] = scores(folder, name, what)
            tables[f"{name}/strength"] = _strengths(folder, name)
            tables[f"{name}/tuning"] = _trials(folder, name)
    found = [name for name in DATA if f"{name}/score" in tables]
    with Path(file or str(_assets())).open("wb") as out:
        small: dict[str, Any] = {
            key: table if key.endswith("/strength") else table.astype(np.float32)
            for key, table in tables.items()
        }
        np.savez_compressed(out, **small)
    return found


def _assets() -> Any:
    return resources.files("gan_course") / "assets" / "study.npz"


def recorded(name: str, what: str = "score") -> Array:
    """A table of the recorded study, of the seeds ``0, 1, ...`` at the full scale.

    Parameters
    ----------
    name
        One of :data:`DATA`.
    what
        ``score``, ``start``, ``diverged`` or what else the data set counts (``modes``,
        ``quality``), shape ``(losses, regularizers, seeds)``; ``strength``, the tuned ones,
        ``(losses, regularizers)``; ``tuning``, the scores of all candidates, ``(losses,
        regularizers, strengths, tuning seeds)``, NaN where there is no such candidate.

    Raises
    ------
    LookupError
        If the study does not hold it.
    """
    with _assets().open("rb") as file:
        tables = np.load(file)
        if f"{name}/{what}" not in tables:
            held = ", ".join(sorted(tables.files))
            raise LookupError(f"the recorded study has no {name}/{what}; allowed are {held}")
        table: Array = tables[f"{name}/{what}"].astype(np.float64)
    return table


def recorded_data() -> list[str]:
    """The data sets that the recorded study holds, in the order of :data:`DATA`."""
    with _assets().open("rb") as file:
        held = np.load(file).files
    return [name for name in DATA if f"{name}/score" in held]


def at_the_edge(name: str) -> int:
    """How many of the recorded tuned strengths are the first or the last one that was tried."""
    strengths = recorded(name, "strength")
    return sum(
        strength in (candidates.strengths[0], candidates.strengths[-1])
        for row in strengths
        for strength, candidates in zip(row, REGULARIZERS.values(), strict=True)
        if len(candidates.strengths) > 1
    )


@dataclass(frozen=True)
class Effects:
    """The analysis of variance of a table of scores, for each seed by itself.

    ``log score = mean + loss + regularizer + interaction``, in which each of the last three sums to
    zero over each of its axes. Seeds share initial values and data over all settings, so an
    interval over seeds of an effect is one of paired differences.

    Attributes
    ----------
    mean
        Shape ``(seeds,)``.
    loss
        Main effects of the divergence, ``(losses, seeds)``.
    regularizer
        Main effects of the regularizer, ``(regularizers, seeds)``.
    interaction
        Shape ``(losses, regularizers, seeds)``.
    """

    mean: Array
    loss: Array
    regularizer: Array
    interaction: Array

    def shares(self) -> dict[str, Array]:
        """Shares of the sum of squares, ``(seeds,)`` each: they add up to one for each seed."""
        losses, regularizers = len(self.loss), len(self.regularizer)
        parts = {
            "loss": regularizers * np.square(self.loss).sum(0),
            "regularizer": losses * np.square(self.regularizer).sum(0),
            "interaction": np.square(self.interaction).sum((0, 1)),
        }
        total = sum(parts.values())
        return {name: part / total for name, part in parts.items()}


def effects(table: ArrayLike) -> Effects:
    """Main effects and interaction of the logarithm of a table ``(losses, regularizers, seeds)``.

    Raises
    ------
    ValueError
        If the table is not complete, or holds a score that is not positive.
    """
    values = np.asarray(table, dtype=np.float64)
    if values.ndim != 3 or not (values > 0).all() or not np.isfinite(values).all():
        raise ValueError(
            f"table has shape {values.shape} and {int((~(values > 0)).sum())} entries that are "
            "missing or not positive; allowed is (losses, regularizers, seeds), all positive"
        )
    logs = np.log(values)
    mean = logs.mean((0, 1))
    loss = logs.mean(1) - mean
    regularizer = logs.mean(0) - mean
    return Effects(mean, loss, regularizer, logs - mean - loss[:, None] - regularizer)


def main() -> None:
    """Command line: which parts, which data sets, and where the results are kept."""
    parser = argparse.ArgumentParser(prog="python -m gan_course.study", description=__doc__)
    parser.add_argument("parts", nargs="+", choices=("tune", "run", "collect"))
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--folder", default="book/recordings/study")
    parser.add_argument("--workers", type=int, default=-1)
    arguments = parser.parse_args()
    from gan_course import study  # workers find functions of a module, not those of a script

    for part in arguments.parts:
        if part == "collect":
            print("collected:", ", ".join(study.collect(arguments.folder)))
            continue
        do = {"tune": study.tune, "run": study.run}[part]
        do(arguments.folder, arguments.data, workers=arguments.workers)


if __name__ == "__main__":
    main()
