"""The random-feature WGAN against autograd, quadrature, samples and exhaustive search."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.special import expit

from gan_course import data, features
from gan_course.features import (
    WGAN,
    CriticFeatures,
    GeneratorFeatures,
    Measure,
    approximate_delta,
    ball,
    certified_radius,
    delta_error,
    descend,
    examine,
    fit,
    gauss_hermite,
    initial_weights,
    published_critic,
    published_generator,
    published_mixture,
    random_critic,
    random_generator,
    trapezoid,
)
from gan_course.random import Streams

F64 = torch.float64
SMALL = data.Mixture(((1.0, 0.0), (-0.5, 1.0)), (0.3, 0.6), (0.25, 0.75))
ACTIVATIONS = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def draw(seed=0, *, width=5, k=2, critic_width=4, activation="tanh", spacing=0.4):
    """A small game in the plane, one draw."""
    generator = random_generator(width, 2, k, source(seed), scale=1.0)
    critic = random_critic(critic_width, 2, source(seed + 1), activation=activation)
    return WGAN(generator, critic, trapezoid(k, spacing), critic.mean(SMALL))


def several(draws=3, *, width=4, k=1, critic_width=2, scale=1.0):
    streams = Streams(range(draws))
    generator = random_generator(width, 2, k, streams, scale=scale)
    critic = random_critic(critic_width, 2, streams)
    return WGAN(generator, critic, trapezoid(k, 0.3), critic.mean(SMALL))


def one_of(game, i):
    """Draw `i` of a game with draws, without the axis."""
    generator, critic = game.generator, game.critic
    return WGAN(
        GeneratorFeatures(generator.weights[i], generator.biases[i]),
        CriticFeatures(critic.weights[i], critic.biases[i], critic.activation),
        game.latent,
        game.real[i],
    )


def spelled_out(game):
    """`J` of one draw, term by term, for autograd."""
    s = ACTIVATIONS[game.critic.activation]

    def objective(theta):
        total = torch.zeros(2, dtype=F64)
        mean = torch.zeros_like(game.real)
        for z, w in zip(game.latent.points, game.latent.weights, strict=True):
            total = torch.zeros(2, dtype=F64)
            for i in range(game.generator.width):
                phi = torch.tanh(game.generator.weights[i] @ z + game.generator.biases[i])
                total = total + theta[i] * phi
            mean = mean + w * s(game.critic.weights @ total + game.critic.biases)
        return (game.real - mean).square().sum() / 2

    return objective


# --- features -------------------------------------------------------------------------------------


def test_generator_features_are_what_they_say():
    generator = random_generator(4, 3, 2, source())
    z = torch.randn(6, 2, generator=source(1), dtype=F64)
    phi = generator(z)
    assert phi.shape == (6, 3, 4)
    for q, i in itertools.product(range(6), range(4)):
        expected = torch.tanh(generator.weights[i] @ z[q] + generator.biases[i])
        assert (phi[q, :, i] - expected).abs().max() < 1e-15
    theta = torch.randn(2, 4, generator=source(2), dtype=F64)
    points = generator.generate(theta, z)
    assert points.shape == (2, 6, 3)
    assert (points - torch.einsum("qni,pi->pqn", phi, theta)).abs().max() < 1e-14
    assert torch.allclose(generator.generate(theta[1], z), points[1], atol=1e-14)


def test_generate_with_draws_and_in_blocks(monkeypatch):
    game = several(3)
    z = torch.randn(7, 1, generator=source(), dtype=F64)
    theta = torch.randn(3, 5, 4, generator=source(), dtype=F64)
    points = game.generator.generate(theta, z)
    assert points.shape == (3, 5, 7, 2)
    for i in range(3):
        single = one_of(game, i).generator.generate(theta[i], z)
        assert (points[i] - single).abs().max() < 1e-14
    assert torch.allclose(game.generator.generate(theta[:, 0], z), points[:, 0], atol=1e-14)
    monkeypatch.setattr(features, "_BLOCK", 1)
    assert torch.allclose(game.generator.generate(theta, z), points, atol=1e-14)


def test_constants_and_narrower_generators():
    generator = random_generator(6, 2, 3, source()).with_constants()
    z = 5 * torch.randn(50, 3, generator=source(), dtype=F64)
    phi = generator(z)
    assert torch.equal(phi[..., :2], torch.eye(2, dtype=F64).expand(50, 2, 2))
    assert phi[..., 2:].std(0).min() > 0.01
    narrow = generator.first(3)
    assert torch.allclose(narrow(z), phi[..., :3], atol=1e-14)
    with_draws = random_generator(6, 2, 3, Streams([4, 9])).with_constants()
    assert with_draws.draws == 2
    assert (with_draws(z)[..., 0] == torch.tensor([1.0, 0.0])).all()


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_critic_features_and_derivatives_agree_with_autograd(activation):
    critic = random_critic(5, 3, source(), activation=activation)
    x = torch.randn(4, 3, generator=source(1), dtype=F64)

    def psi(point):
        return ACTIVATIONS[activation](critic.weights @ point + critic.biases)

    values, slopes, bends = critic.derivatives(x)
    assert (critic(x) - torch.stack([psi(p) for p in x])).abs().max() < 1e-15
    jacobian = torch.stack([torch.func.jacrev(psi)(p) for p in x])
    assert (critic.jacobian(x) - jacobian).abs().max() < 1e-14
    u = (x @ critic.weights.T + critic.biases).requires_grad_()
    (first,) = torch.autograd.grad(ACTIVATIONS[activation](u).sum(), u, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), u)
    assert (slopes - first).abs().max() < 1e-15
    assert (bends - second).abs().max() < 1e-14
    assert torch.equal(values, critic(x))


def test_slopes_are_exact_where_they_nearly_vanish():
    critic = CriticFeatures(torch.ones(1, 1, dtype=F64), torch.zeros(1, dtype=F64))
    x = torch.tensor([[30.0], [-200.0]], dtype=F64)
    slopes = critic.derivatives(x)[1][:, 0]
    expected = torch.tensor([4 * math.exp(-60), 4 * math.exp(-400)], dtype=F64)
    assert torch.allclose(slopes, expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("slope", [1e-3, 0.9, 1.1, 30.0, 1e4])
def test_mean_under_a_normal_law_against_adaptive_quadrature(activation, slope):
    std, center, offset = 0.7, 0.4, -0.1 * slope
    critic = CriticFeatures(
        torch.tensor([[slope]], dtype=F64), torch.tensor([offset], dtype=F64), activation
    )
    s = np.tanh if activation == "tanh" else expit

    def integrand(x):
        density = math.exp(-(((x - center) / std) ** 2) / 2) / (std * math.sqrt(2 * math.pi))
        return s(slope * x + offset) * density

    step = -offset / slope
    cuts = [step - 40 / slope, step, step + 40 / slope, -6.0, 7.0]
    cuts = sorted(c for c in cuts if -6 <= c <= 7)
    parts = [quad(integrand, *p, epsabs=1e-13, limit=200)[0] for p in itertools.pairwise(cuts)]
    assert float(critic.mean(data.Normal(center, std))) == pytest.approx(sum(parts), abs=1e-11)


def test_mean_under_a_mixture_against_a_sample():
    critic = published_critic(source(), 50, dtype=F64)
    mixture = published_mixture()
    x = mixture.sample(100_000, source(1)).double()
    psi = critic(x)
    error = (psi.mean(0) - critic.mean(mixture)).abs()
    assert (error < 4.5 * psi.std(0) / math.sqrt(len(x)) + 1e-6).all()
    assert torch.allclose(critic.mean(Measure(x)), psi.mean(0), atol=1e-12)
    with_draws = random_critic(3, 2, Streams([1, 2, 3]))
    expected = CriticFeatures(with_draws.weights[1], with_draws.biases[1]).mean(SMALL)
    assert torch.allclose(with_draws.mean(SMALL)[1], expected, atol=1e-15)
    assert with_draws.mean(Measure(x)).shape == (3, 3)


def test_published_laws():
    assert published_mixture().centers[1].tolist() == pytest.approx([1, 1])
    generator, critic = published_generator(source(), 2000), published_critic(source(), 2000)
    assert generator.weights.dtype == critic.weights.dtype == torch.float32
    assert float(generator.weights[2:].std()) == pytest.approx(10, rel=0.03)
    cuts = -critic.biases[:, None] / critic.weights  # where the lines meet the axes
    assert cuts.abs().max() <= 4 + 1e-5
    assert float(cuts.abs().mean()) == pytest.approx(2, rel=0.05)
    assert 1 <= float(-critic.biases.max()) < 1.1
    assert 9.9 < float(-critic.biases.min()) <= 10
    assert float(initial_weights(4000, source()).std()) == pytest.approx(5e-3, rel=0.05)


def test_ranks_of_the_critics_derivative():
    x = ball([0.5, -0.2], 1.0, 20, source())
    assert ((x - torch.tensor([0.5, -0.2])).norm(dim=1) <= 1).all()
    for width in (1, 2):  # N_d <= n: linearly independent everywhere
        assert (random_critic(width, 2, source()).rank(x) == width).all()
    critic = random_critic(6, 2, source())
    assert (critic.rank(x) == 2).all()
    assert critic.stacked_rank(x) == 6
    assert critic.stacked_rank(x[:1]) == 2
    assert random_critic(6, 2, Streams([1, 2])).stacked_rank(x).tolist() == [6, 6]
    twins = CriticFeatures(torch.ones(2, 2, dtype=F64), torch.zeros(2, dtype=F64))
    assert (twins.rank(x) == 1).all()
    assert twins.stacked_rank(x) == 1


# --- expectations ---------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [gauss_hermite(1, 20), trapezoid(1, 0.4), gauss_hermite(2, 20)])
def test_rules_integrate_the_normal_law(rule):
    z, w = rule.points, rule.weights
    moments = [float(w @ z[:, -1] ** p) for p in (0, 1, 2, 4, 6)]
    assert moments == pytest.approx([1, 0, 1, 3, 15], abs=1e-11)
    assert float(w @ torch.cos(z.sum(1))) == pytest.approx(math.exp(-rule.dim / 2), abs=1e-12)


def test_rules_on_steep_features():
    exact = float(features._normal_mean_of_tanh(np.array(0.5), np.array(10.0)))

    def error(rule):
        return abs(float(rule.weights @ torch.tanh(10 * rule.points[:, 0] + 0.5)) - exact)

    assert error(trapezoid(1, 0.03)) < 1e-13
    assert error(trapezoid(1, 0.1)) == pytest.approx(0, abs=1e-3)
    assert error(gauss_hermite(1, 64)) > 1e-3


def test_expectations_by_rule_and_by_sample_agree():
    game = draw(width=5)
    theta = torch.randn(5, generator=source(), dtype=F64)
    z = torch.randn(200_000, 2, generator=source(3), dtype=F64)
    sampled = WGAN(game.generator, game.critic, Measure(z), game.real)
    psi = game.critic(game.generator.generate(theta, z))
    spread = psi.std(0) / math.sqrt(len(z))
    assert ((game.residual(theta) - sampled.residual(theta)).abs() < 4.5 * spread).all()
    assert torch.allclose(sampled.residual(theta), game.real - psi.mean(0), atol=1e-12)
    hermite = WGAN(game.generator, game.critic, gauss_hermite(2, 60), game.real)
    fine, finer = (
        WGAN(game.generator, game.critic, trapezoid(2, h), game.real) for h in (0.15, 0.1)
    )
    assert torch.allclose(fine.gradient(theta), finer.gradient(theta), atol=1e-8)
    assert torch.allclose(game.gradient(theta), finer.gradient(theta), atol=2e-3)
    assert torch.allclose(hermite.gradient(theta), finer.gradient(theta), atol=2e-3)


# --- the game -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("k", "activation"), [(1, "tanh"), (2, "sigmoid")])
def test_derivatives_agree_with_autograd(k, activation):
    spacing = 1.0 if k == 1 else 3.0
    game = draw(3, k=k, width=4, critic_width=3, activation=activation, spacing=spacing)
    objective = spelled_out(game)
    theta = torch.randn(3, 4, generator=source(5), dtype=F64)
    for point in theta:
        assert float(game.objective(point) - objective(point)) == pytest.approx(0, abs=1e-14)
        exact = torch.func.grad(objective)(point)
        assert (game.gradient(point) - exact).abs().max() < 1e-12
        exact = torch.func.hessian(objective)(point)
        assert (game.hessian(point) - exact).abs().max() < 1e-12
    direction = torch.randn(3, 4, generator=source(6), dtype=F64)
    expected = torch.einsum("pij,pj->pi", game.hessian(theta), direction)
    assert (game.hessian_product(theta, direction) - expected).abs().max() < 1e-13


def test_gradient_agrees_with_finite_differences():
    game, h = draw(1), 1e-5
    theta = torch.randn(5, generator=source(), dtype=F64)
    steps = h * torch.eye(5, dtype=F64)
    slope = (game.objective(theta + steps) - game.objective(theta - steps)) / (2 * h)
    assert torch.allclose(slope, game.gradient(theta), atol=1e-9)
    bend = (game.gradient(theta + steps) - game.gradient(theta - steps)) / (2 * h)
    assert torch.allclose(bend, game.hessian(theta), atol=1e-8)


def test_draws_and_points_are_each_what_they_are_alone(monkeypatch):
    game = several(3)
    theta = torch.randn(3, 2, 4, generator=source(), dtype=F64)
    alone = [one_of(game, i) for i in range(3)]
    for blocks in (2**22, 50):
        monkeypatch.setattr(features, "_BLOCK", blocks)
        for name in ("residual", "objective", "gradient", "hessian"):
            together = getattr(game, name)(theta)
            each = torch.stack([getattr(alone[i], name)(theta[i]) for i in range(3)])
            assert together.shape == each.shape
            assert (together - each).abs().max() < 1e-14
            one = getattr(game, name)(theta[:, 1])
            assert (one - together[:, 1]).abs().max() < 1e-14
        along = torch.randn(3, 2, 4, generator=source(1), dtype=F64)
        product = game.hessian_product(theta, along)
        expected = (game.hessian(theta) @ along[..., None])[..., 0]
        assert (product - expected).abs().max() < 1e-14
    shared = WGAN(alone[0].generator, game.critic, game.latent, game.real)  # one generator for all
    assert (shared.gradient(theta)[0] - alone[0].gradient(theta[0])).abs().max() < 1e-14


def test_ascent_in_eta_finds_the_closed_form():
    game = draw(2)
    theta = torch.randn(5, generator=source(), dtype=F64)
    eta = torch.randn(4, generator=source(1), dtype=F64).requires_grad_()
    for _ in range(200):
        (slope,) = torch.autograd.grad(game.value(theta, eta), eta)
        eta = (eta + 0.3 * slope).detach().requires_grad_()
    best = game.best_critic(theta)
    assert (eta - best).abs().max() < 1e-12
    eta = eta.detach()
    assert float(game.value(theta, eta)) == pytest.approx(float(game.objective(theta)), abs=1e-14)
    assert game.value(theta, best + 0.1) < game.objective(theta)


# --- stationary points ----------------------------------------------------------------------------


def test_descent_arrives_at_minima():
    game = several(6, width=3)
    start = torch.randn(6, 4, 3, generator=source(), dtype=F64)
    found = descend(game, start)
    assert found.theta.shape == (6, 4, 3)
    assert (found.objective <= game.objective(start) + 1e-14).all()
    assert (found.gradient <= 1e-10).double().mean() > 0.9
    arrived = found.gradient <= 1e-10
    assert (found.curvature[arrived] > -1e-7).all()
    again = examine(game, found.theta)
    assert torch.allclose(again.objective, found.objective, atol=1e-14)
    assert torch.allclose(again.gradient, found.gradient, atol=1e-14)
    assert torch.allclose(again.curvature, found.curvature, atol=1e-10)
    alone = descend(one_of(game, 2), start[2])
    assert torch.allclose(alone.theta, found.theta[2], atol=1e-6)
    assert torch.equal(descend(game, start).theta, found.theta)


def test_strict_minima_have_larger_values_around():
    game = several(8, width=2)
    found = descend(game, 2 * torch.randn(8, 3, 2, generator=source(), dtype=F64))
    minima = found.minima()
    assert minima.any()
    for angle in torch.arange(0, 2 * math.pi, 0.5):
        around = found.theta + 1e-3 * torch.stack([angle.cos(), angle.sin()])
        assert (game.objective(around) > found.objective)[minima].all()


def test_search_finds_what_a_grid_shows_for_one_feature():
    game = several(12, width=1)
    grid = torch.linspace(-6, 6, 2401, dtype=F64)
    values = game.objective(grid.expand(12, -1)[..., None])
    inner = values[:, 1:-1]
    low = (inner < values[:, :-2]) & (inner < values[:, 2:])
    starts = torch.linspace(-5.9, 5.9, 60, dtype=F64).expand(12, -1)[..., None]
    found = descend(game, starts)
    strict = found.minima() & (found.theta[..., 0].abs() < 5.9)
    spurious = 0
    for i in range(12):
        valleys = grid[1:-1][low[i]]
        minima = found.theta[i, strict[i], 0]
        near = (valleys[:, None] - minima).abs() < 6e-3
        assert near.any(1).all()
        assert near.any(0).all()
        if len(valleys) > 1:
            spurious += 1
            assert found.spurious()[i].any()
    assert spurious > 0


def odd():
    """A game whose `J` is even in `theta`, so that 0 is stationary."""
    generator = random_generator(2, 2, 1, source(), scale=1.0)
    generator = GeneratorFeatures(generator.weights, torch.zeros(2, 2, dtype=F64))
    critic = random_critic(2, 2, source(3))
    psi = critic(torch.zeros(1, 2, dtype=F64))[0]
    bend = critic.derivatives(torch.zeros(1, 2, dtype=F64))[2][0]
    return WGAN(generator, critic, trapezoid(1, 0.3), psi + 0.2 * bend.sign())


def test_descent_leaves_a_saddle_point_or_a_maximum():
    game, start = odd(), torch.zeros(2, dtype=F64)
    here = examine(game, start)
    assert here.gradient < 1e-15
    assert here.curvature < -1e-3
    found = descend(game, start)
    assert found.objective < here.objective - 1e-3
    assert found.theta.norm() > 0.1


def test_constant_features_exclude_spurious_points_for_small_critics():
    game = several(20, width=3)
    game = WGAN(game.generator.with_constants(), game.critic, game.latent, game.real)
    theta = 3 * torch.randn(20, 5, 3, generator=source(), dtype=F64)
    phi = game.generator.generate(theta, game.latent.points)
    slopes = torch.einsum(
        "q,dsqjn->dsjn",
        game.latent.weights,
        torch.stack([one_of(game, i).critic.jacobian(phi[i]) for i in range(20)]),
    )
    pull = -torch.einsum("dsjn,dsj->dsn", slopes, game.residual(theta))
    assert (pull - game.gradient(theta)[..., :2]).abs().max() < 1e-13
    assert (torch.linalg.matrix_rank(slopes) == 2).all()
    found = descend(game, theta)
    arrived, zero = found.gradient <= 1e-10, found.objective < 1e-12
    flat = found.curvature.abs() < 1e-10  # saturated: the gradient nearly vanishes
    assert (zero & arrived).double().mean() > 0.8
    assert (zero | flat)[arrived].all()
    assert not found.spurious().any()


def test_best_point_mass_is_stationary_for_every_generator_feature():
    """`N_d > n`, and a range without a ball: Theorem 6 without its condition is false."""
    critic = random_critic(6, 2, source())
    constants = random_generator(2, 2, 1, source()).with_constants()
    latent, real = trapezoid(1, 0.3), critic.mean(SMALL)
    place = descend(WGAN(constants, critic, latent, real), torch.zeros(2, dtype=F64))
    assert place.gradient < 1e-12
    wide = random_generator(50, 2, 1, source(2), scale=3.0).with_constants()
    theta = torch.cat([place.theta, torch.zeros(48, dtype=F64)])
    game = WGAN(wide, critic, latent, real)
    assert game.gradient(theta).norm() < 1e-11
    assert game.objective(theta) > 1e-3


# --- training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
@pytest.mark.parametrize("workers", [1, 3])
def test_minibatch_sums_agree_with_the_closed_form(activation, workers):
    game = draw(width=30, critic_width=7, activation=activation)
    z = torch.randn(103, 2, generator=source(), dtype=F64)
    x = SMALL.sample(57, source(1)).double()
    theta = torch.randn(30, generator=source(2), dtype=F64)
    exact = WGAN(game.generator, game.critic, Measure(z), game.critic(x).mean(0))
    with features._Minibatches(game.generator, game.critic, workers) as minibatches:
        fake = minibatches.fake_mean(theta, z)
        eta = minibatches.real_mean(x) - fake
        gradient, again = minibatches.gradient(theta, eta, z)
    assert (eta - exact.residual(theta)).abs().max() < 1e-13
    assert (fake - again).abs().max() < 1e-14
    assert (gradient - exact.gradient(theta)).abs().max() < 1e-12


def test_minibatch_gradient_in_float32_at_the_published_scale():
    generator, critic = published_generator(source(), 500), published_critic(source(1), 100)
    theta, z = initial_weights(500, source(2)), torch.randn(400, 2, generator=source(3))
    eta = torch.randn(100, generator=source(4))
    with features._Minibatches(generator, critic, 1) as minibatches:
        found, _ = minibatches.gradient(theta, eta, z)
    wide, other = generator.to(F64), critic.to(F64)
    phi, points = wide(z.double()), wide.generate(theta.double(), z.double())
    pull = torch.einsum("qjn,j->qn", other.jacobian(points), eta.double())
    exact = -torch.einsum("qni,qn->i", phi, pull) / len(z)
    assert (found - exact).norm() < 1e-4 * exact.norm()


def small_fit(seed=0, **options):
    settings = {"epochs": 2, "steps": 10, "batch": 300} | options
    generator, critic = published_generator(source(), 60), published_critic(source(1), 40)
    return fit(generator, critic, published_mixture(), seed=seed, **settings)


def test_fit_lowers_the_objective_and_repeats_itself():
    run = small_fit(snapshots=[0, 5, 20])
    assert run.steps == 20
    assert run.epoch_means().shape == (2,)
    assert run.epoch_means()[1] == pytest.approx(run.objective[10:].mean())
    assert run.objective[-5:].mean() < 0.5 * run.objective[0]
    assert run.theta.dtype == torch.float32
    assert torch.equal(run.theta, run.snapshots[20])
    assert torch.equal(run.snapshots[0], initial_weights(60, Streams([0]))[0])
    assert run.sample(50).shape == (50, 2)
    assert torch.equal(run.sample(50, step=20), run.sample(50))
    assert not torch.equal(run.sample(50, step=5), run.sample(50))
    for other in (small_fit(), small_fit(workers=1), small_fit(workers=3)):
        assert torch.equal(other.theta, run.theta)
        assert np.array_equal(other.objective, run.objective)
    assert not torch.equal(small_fit(seed=1).theta, run.theta)


def test_step_size_decays_by_epoch_and_has_the_published_default():
    theta = torch.zeros(60)
    run = small_fit(theta=theta, steps=1, epochs=2, snapshots=[0, 1, 2], lr=1e-4, decay=0.5)
    assert not theta.any()
    again = small_fit(theta=theta, steps=2, epochs=1, snapshots=[0, 1, 2], lr=1e-4)
    assert torch.equal(run.snapshots[1], again.snapshots[1])
    moves = [fit.snapshots[2] - fit.snapshots[1] for fit in (run, again)]
    assert torch.allclose(2 * moves[0], moves[1], atol=1e-7)
    default = small_fit(steps=1, epochs=1).theta
    assert torch.equal(default, small_fit(steps=1, epochs=1, lr=0.05 / 60).theta)


def test_unbiased_history_estimates_the_objective():
    generator = published_generator(source(), 30, dtype=F64)
    critic = random_critic(5, 2, source(1))
    theta = 0.1 * torch.randn(30, generator=source(2), dtype=F64)
    z = torch.randn(50_000, 2, generator=source(3), dtype=F64)
    exact = WGAN(generator, critic, Measure(z), critic.mean(SMALL))
    runs = [
        fit(generator, critic, SMALL, seed=i, theta=theta, epochs=1, steps=1, batch=20)
        for i in range(150)
    ]
    value = float(exact.objective(theta))
    unbiased = np.array([run.unbiased[0] for run in runs])
    error = unbiased.std() / math.sqrt(len(runs))
    assert abs(unbiased.mean() - value) < 4 * error + 1e-3
    assert np.mean([run.objective[0] for run in runs]) > value + 4 * error


def test_first_values_are_of_the_published_order():
    """The published curve starts after the first step, at 27.85."""
    firsts = []
    for seed in range(3):
        draws = source(seed)
        generator, critic = published_generator(draws), published_critic(draws)
        run = fit(generator, critic, published_mixture(), seed=seed, epochs=1, steps=2, batch=1000)
        firsts.append(run.objective[1])
    assert 8 < np.median(firsts) < 90


class Interrupted:
    """The mixture, with a keyboard interrupt at the fourth minibatch."""

    dim = 2

    def __init__(self):
        self.calls = 0

    def sample(self, n, source):
        self.calls += n < 100_000
        if self.calls == 4:
            raise KeyboardInterrupt
        return published_mixture().sample(n, source)


def test_interrupted_fit_returns_what_is_done(capsys):
    generator, critic = published_generator(source(), 60), published_critic(source(1), 40)
    run = fit(generator, critic, Interrupted(), seed=0, steps=10, batch=300, snapshots=[2, 9])
    assert run.steps == len(run.unbiased) == 3
    assert list(run.snapshots) == [2]
    assert "interrupted at step 3 of 250" in capsys.readouterr().out
    whole = small_fit(epochs=1, steps=3)
    assert torch.equal(run.theta, whole.theta)


def test_fit_of_other_dimensions_and_data():
    generator = random_generator(20, 3, 1, source(), scale=2.0, dtype=torch.float32)
    critic = random_critic(6, 3, source(), activation="sigmoid", dtype=torch.float32)
    points = torch.randn(50, 3, generator=source())
    run = fit(generator, critic, data.Empirical(points), seed=0, epochs=1, steps=3, batch=9)
    assert np.isfinite(run.objective).all()
    assert run.sample(4).shape == (4, 3)


# --- finite width ---------------------------------------------------------------------------------


def matern(z, w, s):
    u = math.sqrt(3) * (z[:, None] - w[None]).norm(dim=-1) / s
    return (1 + u) * torch.exp(-u)


@pytest.mark.parametrize(("k", "n", "coordinate"), [(1, 1, 0), (2, 2, 1)])
def test_error_of_delta_is_the_largest_over_the_ball(k, n, coordinate):
    generator = random_generator(12, n, k, source(), scale=2.0)
    latent, s = (trapezoid(1, 0.1) if k == 1 else gauss_hermite(2, 16)), 0.8
    found = approximate_delta(generator, latent, coordinate=coordinate, bandwidth=s, ridge=1e-4)
    density, radius = (2 * math.pi) ** (-k / 2), 1 / math.sqrt(1 + 3 / s**2)
    g = generator.generate(found.weights, latent.points)
    zero = torch.zeros(1, k, dtype=F64)

    def functional(f):
        return float((latent.weights[:, None] * g * f(latent.points)).sum()) - density * float(
            f(zero)[0, coordinate]
        )

    for seed in range(20):  # f = sum_c k(., c) v_c of norm `radius`
        centers = torch.randn(5, k, generator=source(seed), dtype=F64)
        v = torch.randn(5, n, generator=source(seed + 50), dtype=F64)
        norm = float((v * (matern(centers, centers, s) @ v)).sum()) ** 0.5
        value = functional(lambda x, c=centers, v=v, r=norm: matern(x, c, s) @ v * (radius / r))
        assert abs(value) <= found.error + 1e-9
    mass = latent.weights[:, None] * g
    target = torch.zeros(1, n, dtype=F64)
    target[0, coordinate] = -density
    centers, v = torch.cat([latent.points, zero]), torch.cat([mass, target])
    norm = float((v * (matern(centers, centers, s) @ v)).sum()) ** 0.5
    best = functional(lambda x: matern(x, centers, s) @ v * (radius / norm))
    assert best == pytest.approx(found.error, rel=1e-5)


def test_weights_of_delta_are_the_best():
    generator = random_generator(8, 1, 1, source(), scale=2.0)
    latent = trapezoid(1, 0.1)
    found = approximate_delta(generator, latent, ridge=0.0)
    damped = approximate_delta(generator, latent, ridge=1e-3)
    wide = approximate_delta(generator, latent, ridge=1e-30)
    assert wide.error == pytest.approx(found.error, rel=1e-2)
    assert found.error < damped.error
    assert damped.size < found.size
    assert found.size == pytest.approx(float(found.weights.abs().sum()))


def test_error_of_delta_falls_with_the_width():
    full = random_generator(80, 1, 1, source(), scale=5.0).with_constants()
    latent = trapezoid(1, 0.05)
    fits = [approximate_delta(full.first(width), latent, ridge=1e-6) for width in (5, 20, 80)]
    errors = [one.error for one in fits]
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < errors[0] / 3
    for width, one in zip((5, 20, 80), fits, strict=True):
        assert one.error <= delta_error(full.first(width), one.weights) + 1e-3


def test_error_over_all_smooth_functions_in_known_cases():
    constant = random_generator(1, 1, 1, source()).with_constants()
    density = 1 / math.sqrt(2 * math.pi)
    nothing = torch.zeros(1, dtype=F64)
    assert delta_error(constant, nothing) == pytest.approx(density, abs=1e-9)
    far = torch.tensor([2.0], dtype=F64)  # f = 1 gains 2 - density; bending at 0 gains more
    assert delta_error(constant, far) >= 2 - density - 1e-6
    assert delta_error(constant, far) <= 2 + density
    generator = random_generator(10, 1, 1, source(), scale=3.0)
    weights = torch.randn(10, generator=source(), dtype=F64)
    coarse, fine = (delta_error(generator, weights, spacing=h) for h in (0.04, 0.01))
    assert coarse == pytest.approx(fine, rel=0.02)
    g = generator.generate(weights, trapezoid(1, 0.02).points)[:, 0]
    for scale in (0.3, 1.0, 3.0):  # some functions of the class
        z = trapezoid(1, 0.02).points[:, 0]
        f = torch.cos(scale * z + 0.4) / math.hypot(1, scale)
        value = float(trapezoid(1, 0.02).weights @ (g * f)) - density * math.cos(0.4) / math.hypot(
            1, scale
        )
        assert abs(value) <= fine + 1e-4


def test_certified_radius_rests_on_true_bounds():
    generator = random_generator(6, 2, 2, source(), scale=1.0)
    critic = random_critic(2, 2, source(1), scale=0.5)
    radius = certified_radius(generator, critic, 1e-3)
    assert radius > 0.1
    z = torch.randn(2000, 2, generator=source(2), dtype=F64)
    zero = torch.zeros(1, 2, dtype=F64)
    for seed in range(20):
        theta = torch.randn(6, generator=source(seed), dtype=F64)
        theta *= radius / theta.abs().sum()
        r = torch.randn(2, generator=source(seed + 30), dtype=F64)

        def v(z, theta=theta, r=r):
            return critic.jacobian(generator.generate(theta, z)).mT @ r

        largest = v(z).norm(dim=1)
        slope = torch.func.vmap(torch.func.jacrev(lambda p, v=v: v(p[None])[0]))(z)
        largest = (largest + torch.linalg.matrix_norm(slope, ord=2)).max()
        # with its constants, at the radius itself: q(0) |v(0)| >= sqrt(n) epsilon sup
        assert v(zero).norm() / (2 * math.pi) >= math.sqrt(2) * 1e-3 * largest


def test_certified_radius_grows_as_epsilon_falls():
    generator = random_generator(6, 1, 1, source(), scale=1.0)
    critic = random_critic(1, 1, source(1), activation="sigmoid")
    radii = [certified_radius(generator, critic, epsilon) for epsilon in (10, 1e-2, 1e-4, 1e-8)]
    assert radii[0] == 0
    assert radii == sorted(radii)
    assert radii[3] > 2 * radii[2] > 0


# --- bad input ------------------------------------------------------------------------------------


def of_one(width=3, n=1, k=1, **options):
    return random_generator(width, n, k, source(), **options)


MANY = random_generator(3, 1, 1, Streams([1, 2]))
CRITIC = random_critic(1, 1, source())
LATENT = gauss_hermite(1, 8)
GAME = WGAN(of_one(), CRITIC, LATENT, torch.zeros(1, dtype=F64))
THETA = torch.zeros(3, dtype=F64)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: GeneratorFeatures(torch.zeros(2, 2), torch.zeros(2)),
            r"weights has shape \(2, 2\)",
        ),
        (
            lambda: GeneratorFeatures(torch.zeros(3, 2, 1), torch.zeros(3)),
            r"allowed with these .* \(3, 2\)",
        ),
        (
            lambda: GeneratorFeatures(torch.zeros(3, 1, 1), torch.zeros(3, 1).double()),
            "allowed is one, ",
        ),
        (
            lambda: CriticFeatures(torch.full((1, 1), math.nan), torch.zeros(1)),
            "weights holds a NaN",
        ),
        (
            lambda: CriticFeatures(torch.ones(1, 1), torch.ones(1), "relu"),
            "'relu'; allowed are 'tanh'",
        ),
        (
            lambda: of_one()(torch.zeros(4, 2, dtype=F64)),
            r"z has shape \(4, 2\); allowed is .* 1\)",
        ),
        (lambda: CRITIC(torch.zeros(4, dtype=F64)), r"x has shape \(4,\)"),
        (lambda: CRITIC.mean(SMALL), "law has dimension 2; allowed is that of the features, 1"),
        (lambda: CRITIC.mean(data.Uniform()), r"law is Uniform\(.*; allowed are a Mixture"),
        (lambda: of_one().first(4), "width is 4; allowed are 1 to 3"),
        (lambda: of_one(1, n=2).with_constants(), "width is 1; allowed is at least n = 2"),
        (lambda: of_one(0), "width is 0"),
        (lambda: of_one(scale=-1.0), "scale is -1.0; allowed are positive numbers"),
        (lambda: published_critic(source(), 0), "width is 0"),
        (lambda: initial_weights(0, source()), "width is 0"),
        (lambda: Measure(torch.zeros(0, 1)), r"points has shape \(0, 1\)"),
        (
            lambda: Measure(torch.zeros(3, 1), torch.ones(2)),
            r"weights has shape \(2,\); allowed is \(3,\)",
        ),
        (lambda: gauss_hermite(1, 0), "order is 0"),
        (lambda: trapezoid(1, 0.0), "spacing is 0.0"),
        (lambda: ball([0.0], 0.0, 3, source()), "radius is 0.0"),
        (lambda: WGAN(of_one(n=2), CRITIC, LATENT, torch.zeros(1)), "critic has n = 1"),
        (lambda: WGAN(of_one(k=2), CRITIC, LATENT, torch.zeros(1)), "latent has dimension 1"),
        (lambda: WGAN(of_one(), CRITIC, LATENT, torch.zeros(2)), r"real has shape \(2,\)"),
        (lambda: WGAN(of_one(), CRITIC, LATENT, torch.zeros(1)), "are of the types"),
        (
            lambda: WGAN(MANY, CRITIC, LATENT, torch.zeros(3, 1, dtype=F64)),
            r"draws are \[2, 3\]; allowed is one number",
        ),
        (lambda: GAME.objective(torch.zeros(2, dtype=F64)), r"theta has shape \(2,\)"),
        (lambda: GAME.gradient(torch.zeros(2, 2, 3, dtype=F64)), r"theta has shape \(2, 2, 3\)"),
        (lambda: GAME.hessian_product(THETA, THETA[:2]), r"direction has shape \(2,\)"),
        (lambda: descend(GAME, THETA.float()), "allowed is torch.float64"),
        (lambda: descend(GAME, THETA, steps=0), "steps is 0"),
        (lambda: descend(GAME, THETA, tolerance=0.0), "tolerance is 0.0"),
        (lambda: examine(GAME, THETA).spurious(), "theta is one point"),
        (lambda: small_fit(steps=0), "steps is 0"),
        (lambda: small_fit(lr=-1.0), "lr is -1.0"),
        (lambda: small_fit(workers=0), "workers is 0"),
        (lambda: small_fit(snapshots=[21]), r"snapshots is \[21\]; allowed are steps from 0 to 20"),
        (lambda: small_fit(theta=torch.zeros(3)), r"theta has shape \(3,\); allowed is \(60,\)"),
        (lambda: small_fit().sample(3, step=1), r"step is 1; allowed are the snapshots \[\]"),
        (lambda: fit(MANY, CRITIC, data.Normal(), seed=0), "generator has 2 draws"),
        (lambda: fit(of_one(), CRITIC, SMALL, seed=0), "have dimensions 1 and 2"),
        (
            lambda: fit(of_one(dtype=torch.float32), CRITIC, data.Normal(), seed=0),
            "critic is of type torch.float64",
        ),
        (
            lambda: approximate_delta(of_one(), LATENT, coordinate=1),
            "coordinate is 1; allowed are 0 to 0",
        ),
        (lambda: approximate_delta(of_one(), LATENT, ridge=-1.0), "ridge is -1.0"),
        (lambda: approximate_delta(of_one(), LATENT, bandwidth=0.0), "bandwidth is 0.0"),
        (lambda: approximate_delta(MANY, LATENT), "generator has 2 draws"),
        (lambda: delta_error(of_one(k=2), THETA), "k = 2 and n = 1; allowed is 1 and 1"),
        (lambda: delta_error(of_one().to(torch.float32), THETA), "allowed is torch.float64"),
        (lambda: certified_radius(of_one(), CRITIC, 0.0), "epsilon is 0.0"),
        (
            lambda: certified_radius(of_one(), random_critic(2, 1, source()), 0.1),
            "N_d = 2; allowed are 1",
        ),
        (lambda: certified_radius(MANY, CRITIC, 0.1), "generator has 2 draws"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
