"""Files from which an interrupted training goes on.

A checkpoint holds the parameters, the optimizers, the places in the random streams and what was
recorded so far. It is written to a temporary name and then renamed, so that a file that exists is
whole.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from gan_course.fingerprint import key

if TYPE_CHECKING:
    from gan_course.train import Run

__all__ = ["load", "save"]


def save(
    path: Path, plan: object, run: Run, step: int, groups: Sequence[Mapping[str, Any]]
) -> None:
    """Write a checkpoint; the file of that name is replaced at once or not at all."""
    content = {
        "plan": key(plan),
        "seeds": run.seeds,
        "step": step,
        "groups": list(groups),
        "networks": _networks((run.generator, run.critic)),
        "snapshots": {at: _networks(pair) for at, pair in run.snapshots.items()},
        "steps": run.steps,
        "history": {name: torch.from_numpy(values) for name, values in run.history.items()},
        "diverged": torch.from_numpy(run.diverged),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + f".{os.getpid()}.part")
    torch.save(content, unfinished)
    unfinished.replace(path)


def load(path: Path, plan: object, run: Run, steps: int) -> dict[str, Any]:
    """Put a checkpoint into a run that has just started, and return the rest of it.

    Raises
    ------
    ValueError
        If the checkpoint belongs to other settings or seeds, or is ahead of ``steps``.
    """
    saved = torch.load(path, map_location="cpu", weights_only=True)
    for name, theirs, ours in (
        ("plan", saved["plan"], key(plan)),
        ("seeds", saved["seeds"], run.seeds),
    ):
        if theirs != ours:
            raise ValueError(
                f"checkpoint {path} was made with {name} {theirs}; this run has {ours}. "
                "Take another file, or remove this one"
            )
    if saved["step"] > steps:
        raise ValueError(f"steps is {steps}; the checkpoint {path} is already at {saved['step']}")
    _restore((run.generator, run.critic), saved["networks"])
    for at, networks in saved["snapshots"].items():
        pair = copy.deepcopy((run.generator, run.critic))
        _restore(pair, networks)
        run.snapshots[at] = pair
    run.steps[:] = saved["steps"]
    run.history = {name: values.numpy() for name, values in saved["history"].items()}
    run.diverged[:] = saved["diverged"].numpy()
    return saved


def _networks(pair: tuple[nn.Module, nn.Module]) -> list[dict[str, torch.Tensor]]:
    return [dict(net.state_dict()) for net in pair]


def _restore(
    pair: tuple[nn.Module, nn.Module], states: Sequence[Mapping[str, torch.Tensor]]
) -> None:
    for net, state in zip(pair, states, strict=True):
        net.load_state_dict(state)
