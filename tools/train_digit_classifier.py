"""Train the classifier that `gan_course.metrics.digit_classifier` loads, and store its weights.

    .venv/bin/python tools/train_digit_classifier.py

It sees the first 8,000 of the packaged digits, slightly turned, stretched and moved, and is tested
once, as stored, on the other 2,000. Seeded; about a minute and a half on one core.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from gan_course.data import digits
from gan_course.metrics import DigitClassifier

N_TRAIN, EPOCHS, BATCH, PEAK_RATE = 8000, 40, 100, 3e-3
ASSET = Path(__file__).parent.parent / "gan_course" / "assets" / "digit_classifier.npz"


def normalized(classifier: DigitClassifier) -> nn.Sequential:
    """The classifier with batch normalization after every layer but the last, for training."""
    layers: list[nn.Module] = []
    for layer in classifier.body:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
        if isinstance(layer, nn.Linear):
            layers.append(nn.BatchNorm1d(layer.out_features))
    return nn.Sequential(*layers, classifier.head)


def folded(network: nn.Sequential) -> DigitClassifier:
    """The classifier with the normalization folded into its layers."""
    layers: list[Any] = []
    for layer in network.eval():
        if isinstance(layer, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], layer)
        elif isinstance(layer, nn.BatchNorm1d):
            layers[-1] = fuse_linear_bn_eval(layers[-1], layer)
        else:
            layers.append(layer)
    classifier = DigitClassifier()
    classifier.body, classifier.head = nn.Sequential(*layers[:-1]), layers[-1]
    return classifier


def deformed(x: torch.Tensor) -> torch.Tensor:
    """Images turned by up to 0.2, sheared by 0.2, stretched by 10 % and moved by 1.4 pixels."""
    n = len(x)
    angle, shear = torch.empty(2, n).uniform_(-0.2, 0.2)
    stretch = torch.empty(2, n).uniform_(0.9, 1.1)
    move = torch.empty(2, n).uniform_(-0.1, 0.1)
    cos, sin = angle.cos(), angle.sin()
    first = torch.stack([stretch[0] * cos, shear - stretch[1] * sin, move[0]], dim=-1)
    second = torch.stack([stretch[0] * sin, stretch[1] * cos, move[1]], dim=-1)
    images = x.view(n, 1, 28, 28) + 1  # the background is 0, as beyond the edge
    lattice = F.affine_grid(
        torch.stack([first, second], 1), list(images.shape), align_corners=False
    )
    return F.grid_sample(images, lattice, align_corners=False).view(n, -1) - 1


def train(points: torch.Tensor, labels: torch.Tensor, epochs: int) -> DigitClassifier:
    """Adam on the cross entropy, one cycle of the learning rate."""
    network = normalized(DigitClassifier())
    optimizer = torch.optim.Adam(network.parameters(), PEAK_RATE)
    steps = epochs * (len(points) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK_RATE, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(points))
        for batch in order[: len(order) // BATCH * BATCH].view(-1, BATCH):
            optimizer.zero_grad()
            F.cross_entropy(network(deformed(points[batch])), labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return folded(network)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ASSET)
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    seen, held_out = digits(28).split(N_TRAIN)
    start = time.perf_counter()
    classifier = train(seen.points, seen.labels, options.epochs).half()
    state = {name: value.numpy() for name, value in classifier.state_dict().items()}
    np.savez_compressed(options.out, **state)
    with torch.no_grad():
        right = classifier.float()(held_out.points).argmax(-1) == held_out.labels
    print(f"{right.double().mean():.2%} of {len(held_out)} held-out digits read right")
    print(f"{options.out.stat().st_size:,} bytes, {time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
