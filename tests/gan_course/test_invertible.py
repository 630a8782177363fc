"""Invertible generators: their inverse, their exact density in three forms, and divergences."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from gan_course import invertible as inv
from gan_course import losses, train
from gan_course.data import Normal
from gan_course.nets import mlp, select
from gan_course.random import Role, Streams

SEEDS = [3, 8]
SIZES = [(1, 1), (1, 3), (2, 1), (3, 2), (2, 4)]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """Float64, where many digits count."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def generator(dim: int, layers: int, **options: float) -> inv.Invertible:
    return inv.invertible(dim, layers, **options)(Streams(SEEDS)).double()


def points(dim: int, n: int = 20) -> torch.Tensor:
    return Streams(SEEDS, role=Role.NOISE).normal(n, dim).double()


# --- the activation -------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", [0.01, 0.3, 1.0])
def test_bend_and_its_inverse(slope: float) -> None:
    t = torch.linspace(-50, 50, 1001, requires_grad=True)
    y = inv.bend(t, slope)
    (derivative,) = torch.autograd.grad(y.sum(), t)
    assert torch.allclose(inv.unbend(y, slope), t, atol=1e-9)
    assert torch.allclose(inv.log_unbend_slope(y, slope), -derivative.log(), atol=1e-9)
    assert (derivative >= slope).all()
    assert (derivative <= 1).all()
    assert (derivative.diff() >= 0).all()
    far = inv.bend(torch.tensor([-1e4, 1e4]), slope)
    assert torch.allclose(far, torch.tensor([-slope * 1e4, 1e4]), rtol=1e-3)


def test_slope_one_is_the_identity() -> None:
    t = torch.linspace(-3, 3, 7)
    assert torch.equal(inv.bend(t, 1.0), t)
    assert torch.equal(inv.log_unbend_slope(t, 1.0), torch.zeros(7))


# --- generators -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("dim", "layers"), SIZES)
def test_generator_by_hand_and_its_inverse(dim: int, layers: int) -> None:
    G, z = generator(dim, layers), points(dim)
    for i in range(2):
        x = z[i]
        for k in range(layers):
            x = (inv.bend(x, 0.5) if k else x) @ G.weights[k][i].T + G.biases[k][i]
        assert torch.allclose(G(z)[i], x)
    assert torch.allclose(G.inverse(G(z)), z, atol=1e-10)
    assert torch.allclose(G(z[0])[1], G(z[:1].expand(2, -1, -1))[1])


def test_initial_matrices_have_the_spread_of_the_recipe() -> None:
    wide, orthogonal = generator(4, 3, spread=3.0), generator(4, 3, spread=1.0, shift=0.0)
    values = torch.stack([torch.linalg.svdvals(w) for w in wide.weights])
    assert values.min() > 1 / 3 - 1e-6
    assert values.max() < 3 + 1e-6
    assert values.max() / values.min() > 2
    for w, b in zip(orthogonal.weights, orthogonal.biases, strict=True):
        assert torch.allclose(w @ w.mT, torch.eye(4).expand(2, 4, 4), atol=1e-6)
        assert not b.any()


def test_a_seed_is_the_same_alone() -> None:
    alone = inv.invertible(3, 2)(Streams([8])).double()
    both, z = generator(3, 2), points(3)
    assert torch.equal(alone(z[1:]), both(z)[1:])
    assert torch.equal(select(both, [1])(z[1:]), both(z)[1:])


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"dim": 0}, "dim"),
        ({"layers": 0}, "layers"),
        ({"slope": 0.0}, "slope"),
        ({"slope": 1.5}, "slope"),
        ({"spread": 0.5}, "spread"),
        ({"shift": -1.0}, "shift"),
        ({"spread": math.nan}, "spread"),
    ],
)
def test_bad_recipes_are_refused(options: dict[str, float], name: str) -> None:
    with pytest.raises(ValueError, match=rf"^{name} is "):
        inv.invertible(**{"dim": 2, **options})


def test_perturbed_stays_in_the_class() -> None:
    G = generator(4, 2)
    near, far = (inv.perturbed(G, size, 2.5, Streams(SEEDS, role=6)) for size in (1e-6, 5.0))
    for w, v in zip(G.parameters(), near.parameters(), strict=True):
        assert 0 < (w - v).abs().max() < 1e-4
    for w in far.weights:
        values = torch.linalg.svdvals(w)
        assert values.min() >= 1 / 2.5 - 1e-9
        assert values.max() <= 2.5 + 1e-9
    for b in far.biases:
        assert b.norm(dim=-1).max() <= 2.5 + 1e-9
    with pytest.raises(ValueError, match=r"^R is"):
        inv.perturbed(G, 0.1, 0.5, Streams(SEEDS))


def test_stacked_keeps_the_order() -> None:
    pair, z = [generator(3, 2), generator(3, 2, shift=1.0)], points(3)
    both = inv.stacked(pair)
    assert torch.equal(both(torch.cat([z, z])), torch.cat([one(z) for one in pair]))
    with pytest.raises(ValueError, match="generators is empty"):
        inv.stacked([])


# --- log-densities --------------------------------------------------------------------------------


def change_of_variables(G: inv.Invertible, x: torch.Tensor) -> torch.Tensor:
    x = x.clone().requires_grad_()
    z = G.inverse(x)
    rows = [
        torch.autograd.grad(z[..., i].sum(), x, retain_graph=True)[0] for i in range(x.shape[-1])
    ]
    return Normal(dim=x.shape[-1]).log_density(z) + torch.linalg.slogdet(torch.stack(rows, -2))[1]


@pytest.mark.parametrize(("dim", "layers"), SIZES)
def test_log_density_is_the_change_of_variables(dim: int, layers: int) -> None:
    G = generator(dim, layers)
    x = 2 * points(dim)
    net = inv.LogDensity.of(G)
    truth = change_of_variables(G, x)
    assert torch.allclose(net(x)[..., 0], truth, atol=1e-10)
    assert torch.allclose(G.log_density(x), truth, atol=1e-10)
    assert torch.allclose(inv.evaluate(net.layers(), x, G.slope)[..., 0], truth, atol=1e-10)


@pytest.mark.parametrize(("dim", "layers"), SIZES)
def test_layers_are_one_more_and_as_wide_as_told(dim: int, layers: int) -> None:
    built = inv.LogDensity.of(generator(dim, layers)).layers()
    assert len(built) == layers + 1
    widths = [sum(number for number, _ in layer.units) for layer in built]
    assert [layer.weight.shape[1] for layer in built] == widths
    assert sum(widths[:-1]) == (2 * layers * dim - dim + layers - 1 if layers > 1 else dim)


def test_affine_generator_is_normal() -> None:
    G, x = generator(3, 1), points(3)
    for i in range(2):
        W, b = G.weights[0][i].detach(), G.biases[0][i, 0].detach()
        truth = multivariate_normal(b.numpy(), (W @ W.T).numpy()).logpdf(x[i].numpy())
        assert np.allclose(G.log_density(x)[i].detach(), truth)


def test_density_has_mass_one() -> None:
    G = generator(1, 3)
    x = torch.linspace(-60, 60, 40001)[:, None]
    mass = torch.trapezoid(G.log_density(x).exp(), x[:, 0])
    assert torch.allclose(mass, torch.ones(2), atol=1e-6)


def test_log_ratio_is_the_difference() -> None:
    p, q, x = generator(3, 2), generator(3, 2, shift=1.0), points(3)
    ratio = inv.LogRatio.of(p, q)
    assert ratio(x).shape == (2, 20, 1)
    assert torch.allclose(ratio(x)[..., 0], p.log_density(x) - q.log_density(x), atol=1e-12)
    assert torch.allclose(ratio(x[0])[0], ratio(x)[0])
    first, second = (rec(Streams(SEEDS)) for rec in [inv.log_ratio(3, 2)] * 2)
    assert torch.equal(first(x), second(x))


def test_bounded_projects_to_the_class_and_leaves_what_is_in_it() -> None:
    G = generator(3, 2)
    for critic in (inv.LogRatio.of(G, G), inv.LogDensity.of(G), G):
        with torch.no_grad():
            for parameter in critic.parameters():
                parameter.mul_(5.0)
        inv.Bounded(2.0).project(critic)
        before = [p.detach().clone() for p in critic.parameters()]
        for p in before:
            if p.shape[-1] == p.shape[-2]:
                values = torch.linalg.svdvals(p)
                assert values.min() >= 0.5 - 1e-9
                assert values.max() <= 2 + 1e-9
            else:
                assert p.norm(dim=-1).max() <= 2 + 1e-9
        inv.Bounded(2.0).project(critic)
        for p, old in zip(critic.parameters(), before, strict=True):
            assert torch.allclose(p, old)
    with pytest.raises(ValueError, match=r"^R is"):
        inv.Bounded(0.9)


def test_bounded_leaves_other_critics_alone() -> None:
    critic = mlp(2, 4, 1)(Streams(SEEDS))
    before = [p.clone() for p in critic.parameters()]
    inv.Bounded(1.0).project(critic)
    assert all(torch.equal(a, b) for a, b in zip(before, critic.parameters(), strict=True))


# --- divergences ----------------------------------------------------------------------------------


def shifted(mu: float) -> inv.Invertible:
    eye = torch.eye(2).repeat(2, 1, 1)
    return inv.Invertible([eye], [torch.tensor([[mu, 0.0]]).expand(2, 1, 2)], 0.5)


def test_divergences_of_shifted_normals() -> None:
    mu = 0.7
    found = inv.divergences(shifted(0.0), shifted(mu), 40000, Streams(SEEDS))
    assert np.allclose(found.kl, mu**2 / 2, rtol=0.05)
    assert np.allclose(found.reverse_kl, mu**2 / 2, rtol=0.05)
    assert np.allclose(found.jeffreys, mu**2, rtol=0.03)
    assert np.allclose(found.tv, math.erf(mu / 2 / math.sqrt(2)), rtol=0.03)
    assert (found.js <= found.jeffreys / 8).all()
    assert np.allclose(found.js, mu**2 / 8, rtol=0.1)


def test_divergences_of_equals_and_of_strangers() -> None:
    p = generator(3, 2)
    same = inv.divergences(p, p, 100, Streams(SEEDS))
    for value in (same.kl, same.reverse_kl, same.js, same.tv):
        assert np.allclose(value, 0, atol=1e-12)
    apart = inv.divergences(shifted(0.0), shifted(60.0), 100, Streams(SEEDS))
    assert np.allclose(apart.js, math.log(2))
    assert np.allclose(apart.tv, 1)
    assert np.allclose(apart.kl, 1800, rtol=0.1)


def test_divergences_know_their_direction() -> None:
    wide = shifted(0.0)
    with torch.no_grad():
        wide.weights[0].mul_(3.0)
    found = inv.divergences(wide, shifted(0.0), 40000, Streams(SEEDS))
    assert np.allclose(found.kl, 2 * (4 - math.log(3)), rtol=0.05)
    assert np.allclose(found.reverse_kl, 2 * (math.log(3) - 4 / 9), rtol=0.05)


def test_a_generator_trains_against_the_critics_of_its_class() -> None:
    """The pieces fit the engine: groups of seeds, projection, and a target for each seed."""
    recipe = inv.invertible(2, 2)
    target = inv.Generated(recipe(Streams(SEEDS, role=5)), Normal(dim=2))
    assert target.dim == 2
    drawn = target.sample(5, Streams(SEEDS, role=6))
    part = target.select(slice(1, 2)).sample(5, Streams(SEEDS[1:], role=6))
    assert torch.equal(drawn[1:], part)
    game = train.Game(
        recipe, inv.log_ratio(2, 2), losses.wasserstein, Normal(dim=2), inv.Bounded(2.0)
    )
    run = train.train(game, target, seeds=SEEDS, steps=3, batch=8, critic_steps=2)
    assert (run.diverged < 0).all()
    assert torch.isfinite(run.sample(4)).all()
