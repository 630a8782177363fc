"""Bounds on Lipschitz constants against networks and layers whose constants are known."""

from itertools import combinations, product

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import expit
from torch.nn.functional import conv2d, pad

from gan_course import lipschitz, nets
from gan_course.random import Streams

SEEDS = [3, 5]


def network(*sizes, **options):
    return nets.mlp(*sizes, **options)(Streams(SEEDS)).double()


@pytest.mark.parametrize("name", lipschitz.SLOPES)
def test_slopes_are_the_activations_largest(name):
    u = torch.linspace(-6, 6, 20001, dtype=torch.float64)
    slopes = nets.ACTIVATIONS[name].derivative(u).abs()
    assert slopes.max() <= lipschitz.SLOPES[name] + 1e-9
    assert slopes.max() > lipschitz.SLOPES[name] - 1e-6


def test_slope_of_silu_to_ten_digits():
    def falling(u):
        return -expit(u) * (1 + u * (1 - expit(u)))

    found = minimize_scalar(falling, bounds=(1, 4), method="bounded", options={"xatol": 1e-9})
    assert lipschitz.SLOPES["silu"] == pytest.approx(-found.fun, abs=1e-9)


def test_a_linear_map_is_its_own_bound():
    net = network(3, 1, activation="identity", input_scale=2.0)
    norms = 2 * net.weights[0].detach().norm(dim=(1, 2)).numpy()
    assert lipschitz.upper_bound(net) == pytest.approx(norms)
    points = torch.zeros(4, 3, dtype=torch.float64)
    assert lipschitz.lower_bound(net, points, seeds=SEEDS, steps=0) == pytest.approx(norms)


def one_hidden_layer(w, b, v):
    """A network 2-n-1 in the plane, the same for each seed."""
    net = network(2, len(v), 1)
    with torch.no_grad():
        net.weights[0].copy_(torch.tensor(w.T).expand(2, -1, -1))
        net.biases[0].copy_(torch.tensor(b).expand(2, 1, -1))
        net.weights[1].copy_(torch.tensor(v)[:, None].expand(2, -1, -1))
    return net


def test_the_bounds_enclose_the_exact_constant():
    rng = np.random.default_rng(0)
    w, b, v = rng.normal(size=(8, 2)), rng.normal(size=8), rng.normal(size=8)
    exact = 0.0  # the steepest region; each has a corner, where two lines cross
    for i, j in combinations(range(8), 2):
        corner = np.linalg.solve(w[[i, j]], -b[[i, j]])
        on = w @ corner + b > 0
        for on[i], on[j] in product((False, True), repeat=2):
            exact = max(exact, np.linalg.norm((on * v) @ w))
    net = one_hidden_layer(w, b, v)
    points = 3 * torch.randn(200, 2, generator=torch.Generator().manual_seed(2)).double()
    low = lipschitz.lower_bound(net, points, seeds=SEEDS, steps=100)
    assert (low <= exact * (1 + 1e-9)).all()
    assert (low > 0.9 * exact).all()
    assert (lipschitz.upper_bound(net) >= exact).all()


@pytest.mark.parametrize("sizes", [(2, 1), (2, 5, 1), (3, 4, 6, 1)])
def test_equal_weights_make_both_bounds_equal(sizes):
    net = network(*sizes)
    with torch.no_grad():
        for weight, bias in zip(net.weights, net.biases, strict=True):
            weight.fill_(0.3)
            bias.zero_()
    expected = 0.3 ** (len(sizes) - 1) * sizes[0] ** 0.5 * np.prod(sizes[1:-1])
    points = torch.ones(1, sizes[0], dtype=torch.float64)
    assert lipschitz.upper_bound(net) == pytest.approx(expected)
    assert lipschitz.lower_bound(net, points, seeds=SEEDS, steps=0) == pytest.approx(expected)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "tanh", "silu"])
def test_the_bounds_enclose_every_quotient(activation):
    net = network(2, 16, 16, 1, activation=activation, gain=2.0)
    points = torch.randn(32, 2, generator=torch.Generator().manual_seed(1)).double()
    low = lipschitz.lower_bound(net, points, seeds=SEEDS, steps=50)
    high = lipschitz.upper_bound(net)
    other = points + 0.1 * points.flip(0)
    values = net(points) - net(other)
    quotients = values[..., 0].abs() / (points - other).norm(dim=1)
    assert (low <= high).all()
    assert (quotients.amax(1).detach().numpy() <= high).all()
    assert (low > 0.05 * high).all()


def test_the_search_climbs_where_the_gradient_is_locally_constant():
    net = network(1, 2, 1, gain=1.0)  # relu(x - 3) + 5 relu(x - 4): steep beyond 4 only
    with torch.no_grad():
        net.weights[0].copy_(torch.tensor([[1.0, 1.0]]).double().expand(2, 1, 2))
        net.biases[0].copy_(torch.tensor([[-3.0, -4.0]]).double().expand(2, 1, 2))
        net.weights[1].copy_(torch.tensor([[1.0], [5.0]]).double().expand(2, 2, 1))
    start = torch.full((8, 1), 3.5, dtype=torch.float64)
    still = lipschitz.lower_bound(net, start, seeds=SEEDS, steps=0)
    assert still == pytest.approx(1.0)
    assert lipschitz.lower_bound(net, start, seeds=SEEDS, steps=200) == pytest.approx(6.0)


def test_spectral_normalization_bounds_the_network_by_about_one():
    net = network(2, 32, 32, 1, spectral=True)
    net.power_iteration(200)
    assert lipschitz.upper_bound(net) == pytest.approx(1.0, abs=1e-3)


def test_power_iteration_stays_below_and_converges_at_its_rate():
    w = np.random.default_rng(0).normal(size=(20, 30))
    s = np.linalg.svd(w, compute_uv=False)
    found = lipschitz.power_iteration(w, 30, seed=1)
    assert (found <= s[0] + 1e-12).all()
    rate = np.diff(np.log(1 - found / s[0]))[12:20]
    assert rate == pytest.approx(4 * np.log(s[1] / s[0]), abs=2e-3)


@pytest.mark.parametrize("shape", [(1, 1, 3, 3), (2, 3, 3, 3), (3, 2, 5, 5)])
@pytest.mark.parametrize("padding", ["zeros", "circular"])
def test_norm_of_a_convolution_is_that_of_its_matrix(shape, padding):
    kernel = np.random.default_rng(2).normal(size=shape)
    size, reach = 6, shape[2] // 2
    unit = torch.eye(shape[1] * size**2, dtype=torch.float64).reshape(-1, shape[1], size, size)
    mode = "constant" if padding == "zeros" else "circular"
    image = conv2d(pad(unit, (reach,) * 4, mode=mode), torch.tensor(kernel))
    matrix = image.flatten(1).numpy()
    expected = np.linalg.norm(matrix, ord=2)
    assert lipschitz.convolution_norm(kernel, size, padding) == pytest.approx(expected, rel=1e-8)


def test_the_kernel_of_ones_has_three_norms():
    kernel = np.ones((1, 1, 3, 3))
    assert np.linalg.norm(kernel.reshape(1, -1), ord=2) == pytest.approx(3)
    assert lipschitz.convolution_norm(kernel, 8, "circular") == pytest.approx(9)
    exact = (1 + 2 * np.cos(np.pi / 9)) ** 2
    assert lipschitz.convolution_norm(kernel, 8) == pytest.approx(exact)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: lipschitz.power_iteration([1.0], 3, seed=0), "weight has shape"),
        (lambda: lipschitz.power_iteration([[1.0]], 0, seed=0), "steps is 0"),
        (lambda: lipschitz.convolution_norm(np.ones((1, 1, 2, 2)), 8), "odd k"),
        (lambda: lipschitz.convolution_norm(np.ones((1, 1, 3, 3)), 8, "valid"), "'valid'"),
        (
            lambda: lipschitz.lower_bound(network(2, 1), torch.zeros(3, 4, 2), seeds=SEEDS),
            "allowed are 2 clouds",
        ),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
