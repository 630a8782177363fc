"""The loops that people copy: one seed, three backward passes, default Adam.

Written in the manner of the best-known public repositories (the WGAN-GP toy script for
:func:`wgan_gp`, PyTorch's DCGAN example for :func:`non_saturating`), with their settings, so that
the engine is compared with what its users would otherwise run.
"""

from __future__ import annotations

import torch
from torch import nn

from gan_course.data import Distribution


def mlp(width: int, depth: int, out: int) -> nn.Sequential:
    """ReLU network on the plane."""
    layers: list[nn.Module] = []
    fan_in = 2
    for _ in range(depth):
        layers += [nn.Linear(fan_in, width), nn.ReLU(True)]
        fan_in = width
    return nn.Sequential(*layers, nn.Linear(fan_in, out))


def wgan_gp(
    data: Distribution, width: int, depth: int, steps: int, batch: int, device: str = "cpu"
) -> None:
    """Wasserstein GAN with gradient penalty: five critic steps, three backward passes each."""
    generator, critic = mlp(width, depth, 2).to(device), mlp(width, depth, 1).to(device)
    optimizer_d = torch.optim.Adam(critic.parameters(), lr=1e-4, betas=(0.5, 0.9))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-4, betas=(0.5, 0.9))
    one = torch.tensor(1.0, device=device)
    source = torch.Generator(device)
    for _ in range(steps):
        for parameter in critic.parameters():
            parameter.requires_grad = True
        for _ in range(5):
            real = data.sample(batch, source)
            critic.zero_grad()
            critic(real).mean().backward(-one)
            with torch.no_grad():
                fake = generator(torch.randn(batch, 2, device=device))
            critic(fake).mean().backward(one)
            alpha = torch.rand(batch, 1, device=device).expand(real.size())
            mixed = (alpha * real + (1 - alpha) * fake).requires_grad_(True)
            output = critic(mixed)
            (gradient,) = torch.autograd.grad(
                output, mixed, grad_outputs=torch.ones_like(output),
                create_graph=True, retain_graph=True, only_inputs=True,
            )  # fmt: skip
            penalty = ((gradient.norm(2, dim=1) - 1) ** 2).mean() * 0.1
            penalty.backward()
            optimizer_d.step()
        for parameter in critic.parameters():
            parameter.requires_grad = False
        generator.zero_grad()
        critic(generator(torch.randn(batch, 2, device=device))).mean().backward(-one)
        optimizer_g.step()


def non_saturating(
    data: Distribution, width: int, depth: int, steps: int, batch: int, device: str = "cpu"
) -> None:
    """Non-saturating GAN with labels and binary cross-entropy: three backward passes a step."""
    generator = mlp(width, depth, 2).to(device)
    critic = nn.Sequential(mlp(width, depth, 1), nn.Sigmoid()).to(device)
    criterion = nn.BCELoss()
    optimizer_d = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    source = torch.Generator(device)
    for _ in range(steps):
        critic.zero_grad()
        label = torch.full((batch,), 1.0, device=device)
        criterion(critic(data.sample(batch, source)).view(-1), label).backward()
        fake = generator(torch.randn(batch, 2, device=device))
        label.fill_(0.0)
        criterion(critic(fake.detach()).view(-1), label).backward()
        optimizer_d.step()
        generator.zero_grad()
        label.fill_(1.0)
        criterion(critic(fake).view(-1), label).backward()
        optimizer_g.step()
