"""Networks of an ensemble against plain PyTorch, one seed at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jvp, vmap
from torch.nn.functional import softplus

from gan_course import nets
from gan_course.random import Streams
from gan_course.regularizers import SpectralNorm

PLAIN: dict[str, Callable[[], nn.Module]] = {
    "relu": nn.ReLU,
    "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "identity": nn.Identity,
}
HIDDEN = [(), (5,), (4, 6, 3)]


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    """Float64, so that two orders of summation agree to many digits."""
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def plain(net: nets.MLP, seed: int, activation: str) -> nn.Sequential:
    """One seed's network in plain PyTorch."""
    layers: list[nn.Module] = []
    for w, b in zip(net.weights, net.biases, strict=True):
        linear = nn.Linear(*w.shape[1:])
        linear.weight.data, linear.bias.data = w[seed].T.clone(), b[seed, 0].clone()
        layers += [linear, PLAIN[activation]()]
    return nn.Sequential(*layers[:-1])


def rows(net: nn.Module) -> list[Tensor]:
    """Parameters and buffers, a copy."""
    return [t.detach().clone() for t in net.state_dict().values()]


def same(a: Sequence[Tensor], b: Sequence[Tensor]) -> bool:
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


# --- multilayer perceptrons -----------------------------------------------------------------------


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
@pytest.mark.parametrize("activation", nets.ACTIVATIONS)
def test_mlp_is_one_plain_network_a_seed(activation: str, hidden: tuple[int, ...]) -> None:
    net = nets.mlp(2, *hidden, 3, activation=activation)(Streams([3, 8]))
    x = torch.randn(2, 7, 2)
    ours = torch.autograd.grad(net(x).square().sum(), list(net.weights))
    for i in range(2):
        reference = plain(net, i, activation)
        assert torch.allclose(reference(x[i]), net(x)[i])
        theirs = torch.autograd.grad(
            reference(x[i]).square().sum(), [p for p in reference.parameters() if p.ndim == 2]
        )
        for a, b in zip(ours, theirs, strict=True):
            assert torch.allclose(a[i], b.T)
    assert torch.equal(net(x[0]), net(x[:1].expand(2, -1, -1)))


@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
@pytest.mark.parametrize("activation", nets.ACTIVATIONS)
def test_input_gradient_is_that_of_autograd(activation: str, hidden: tuple[int, ...]) -> None:
    """Values, and gradients of a function of it with respect to the parameters."""
    net = nets.mlp(2, *hidden, 1, activation=activation)(Streams([3, 8]))
    x = torch.randn(2, 7, 2)
    ours = nets.input_gradient(net, x)
    assert ours.shape == x.shape
    penalty = (ours.norm(dim=2) - 1).square().mean(1)
    gradients = torch.autograd.grad(penalty.sum(), list(net.weights), retain_graph=True)
    on_biases = torch.autograd.grad(
        penalty.sum(), list(net.biases), allow_unused=True, materialize_grads=True
    )
    for i in range(2):
        reference = plain(net, i, activation)
        y = x[i].clone().requires_grad_()
        (slope,) = torch.autograd.grad(reference(y).sum(), y, create_graph=True)
        assert torch.allclose(slope, ours[i])
        value = (slope.norm(dim=1) - 1).square().mean()
        theirs = torch.autograd.grad(
            value, list(reference.parameters()), allow_unused=True, materialize_grads=True
        )
        for a, b in zip(gradients, theirs[::2], strict=True):
            assert torch.allclose(a[i], b.T, atol=1e-14)
        for a, b in zip(on_biases, theirs[1::2], strict=True):
            assert torch.allclose(a[i, 0], b, atol=1e-14)


def test_slopes_are_derivatives() -> None:
    u = torch.linspace(-3, 3, 14).requires_grad_()  # without zero, where two have a kink
    for activation in nets.ACTIVATIONS.values():
        (expected,) = torch.autograd.grad(activation.value(1 * u).sum(), u)
        assert torch.allclose(activation.derivative(u.detach()), expected)


class _Softplus(nn.Module):
    """A module without a written-out gradient; its slope is ``w sigmoid(w.x)``."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([1.0, -2.0]))

    def forward(self, x: Tensor) -> Tensor:
        return softplus(x @ self.w).unsqueeze(-1)


@pytest.mark.parametrize("graph", [True, False])
def test_input_gradient_of_any_module(graph: bool) -> None:
    net, x = _Softplus(), torch.randn(3, 4, 2)
    with torch.set_grad_enabled(graph):
        slope = nets.input_gradient(net, x)
    expected = net.w * torch.sigmoid(x @ net.w).unsqueeze(-1)
    assert torch.allclose(slope, expected)
    ours, theirs = (torch.autograd.grad(t.square().sum(), net.w)[0] for t in (slope, expected))
    assert torch.allclose(ours, theirs)
    assert not x.requires_grad


def test_a_scaled_input_is_a_scaled_first_matrix() -> None:
    """In outputs, slopes and dropout; and a normalized critic keeps its scale."""
    recipe = nets.mlp(2, 5, 4, 1, activation="tanh", input_scale=0.25)
    net, plain = recipe(Streams([6, 7])), nets.mlp(2, 5, 4, 1, activation="tanh")(Streams([6, 7]))
    plain.weights[0].data *= 0.25
    x = torch.randn(2, 3, 2)
    assert torch.allclose(net(x), plain(x))
    assert torch.allclose(net.input_gradient(x), plain.input_gradient(x))
    for ours, theirs in zip(
        *(one.perturbed(x, 0.3, Streams([6, 7], role=5)) for one in (net, plain)), strict=True
    ):
        assert torch.allclose(ours, theirs)
    assert SpectralNorm().network(recipe) == nets.mlp(
        2, 5, 4, 1, activation="tanh", spectral=True, input_scale=0.25
    )


@pytest.mark.parametrize("outputs", [1, 3, 9])
@pytest.mark.parametrize("moved", ["x", "weight", "bias", "all"])
def test_forward_mode_of_the_last_layer(moved: str, outputs: int) -> None:
    """Against the product rule in finite differences; exact up to the term of second order."""
    values = (torch.randn(2, 5, 4), torch.randn(2, 4, outputs), torch.randn(2, 1, outputs))
    names = ("x", "weight", "bias")
    tangents = tuple(
        torch.randn_like(v) if moved in (name, "all") else torch.zeros_like(v)
        for name, v in zip(names, values, strict=True)
    )
    output, slope = jvp(nets._last, values, tangents)
    assert torch.allclose(output, values[0] @ values[1] + values[2])
    ahead, behind = (
        nets._last(*(v + h * t for v, t in zip(values, tangents, strict=True)))
        for h in (1e-4, -1e-4)
    )
    assert torch.allclose(slope, (ahead - behind) / 2e-4, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "silu"])
def test_forward_mode_of_an_mlp(activation: str) -> None:
    """Outputs and slopes in the input, alone and under ``vmap``, and forward over reverse."""
    net, x, move = (
        nets.mlp(2, 5, 1, activation=activation)(Streams([3, 8])),
        torch.randn(2, 7, 2),
        torch.randn(2, 7, 2),
    )
    for function in (net, net.input_gradient, grad(lambda points: net(points).square().sum())):
        (slope,) = jvp(function, (x,), (move,))[1:]
        step = 1e-5 * move
        expected = (function(x + step) - function(x - step)) / 2e-5
        assert torch.allclose(slope, expected, rtol=1e-6, atol=1e-8)
        many = torch.stack([move, 2 * move])
        pushed = vmap(lambda t, f=function: jvp(f, (x,), (t,))[1])(many)  # type: ignore[misc]
        assert torch.allclose(pushed, torch.stack([slope, 2 * slope]))


def test_features_are_what_the_last_layer_sees() -> None:
    net, x = nets.mlp(2, 5, 4, 1)(Streams([0, 1])), torch.randn(2, 3, 2)
    assert net.features(x).shape == (2, 3, 4)
    assert torch.allclose(net.features(x) @ net.weights[-1] + net.biases[-1], net(x))


def test_dropout_by_hand() -> None:
    """After each hidden layer, whole units per point, kept ones scaled up; not on the input."""
    net, x = nets.mlp(2, 5, 4, 1, activation="tanh")(Streams([6, 7])), torch.randn(2, 3, 2)
    output, features = net.perturbed(x, 0.3, Streams([6, 7], role=5))
    for i, seed in enumerate([6, 7]):
        draws, h = Streams([seed], role=5), x[i]
        for w, b in zip(net.weights[:-1], net.biases[:-1], strict=True):
            h = torch.tanh(h @ w[i] + b[i])
            drop = draws.uniform(*h.shape)[0] < 0.3
            h = torch.where(drop, torch.zeros(()), h / 0.7)
        assert torch.allclose(features[i], h)
        assert torch.allclose(output[i], h @ net.weights[-1][i] + net.biases[-1][i])
    many = torch.ones(2, 20_000, 2)
    _, features = net.perturbed(many, 0.3, Streams([6, 7], role=5))
    assert (features == 0).double().mean().item() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("init", nets.INITS)
def test_initial_values_depend_on_the_seed_alone(init: str) -> None:
    together = nets.mlp(2, 5, 1, init=init, spectral=True)(Streams([4, 9, 2]))
    alone = nets.mlp(2, 5, 1, init=init, spectral=True)(Streams([9]))
    for a, b in zip(together.state_dict().values(), alone.state_dict().values(), strict=True):
        assert torch.allclose(a[1], b[0], rtol=0, atol=1e-14)
    assert not torch.allclose(together.weights[0][0], together.weights[0][1])


def test_uniform_initial_values_are_those_of_linear() -> None:
    net = nets.mlp(400, 300)(Streams(range(4)))
    for values in (net.weights[0], net.biases[0]):
        assert values.abs().max().item() == pytest.approx(1 / 20, rel=0.02)
        assert values.std().item() == pytest.approx(1 / 20 / math.sqrt(3), rel=0.05)
        assert values.mean().item() == pytest.approx(0, abs=0.003)


def test_he_initial_values_keep_the_second_moment() -> None:
    net = nets.mlp(400, 300, 200, init="he", gain=3.0)(Streams(range(4)))
    for weight, fan_in in zip(net.weights, (400, 300), strict=True):
        assert weight.std().item() == pytest.approx(3 * math.sqrt(2 / fan_in), rel=0.02)
        assert weight.mean().item() == pytest.approx(0, abs=0.002)
    assert all(b.count_nonzero() == 0 for b in net.biases)
    unit = nets.mlp(400, 300, init="he")(Streams(range(4)))
    x = torch.randn(4, 50, 400)
    moment = torch.relu(unit(x)).square().mean().item()
    assert moment == pytest.approx(1, rel=0.05)


@pytest.mark.parametrize("sizes", [(6, 4), (4, 6), (5, 5)], ids=str)
def test_orthogonal_initial_values(sizes: tuple[int, int]) -> None:
    net = nets.mlp(*sizes, init="orthogonal", gain=0.8)(Streams(range(3)))
    weight = net.weights[0].detach()
    tall = weight if sizes[0] >= sizes[1] else weight.transpose(1, 2)
    gram = tall.transpose(1, 2) @ tall
    assert torch.allclose(gram, 0.64 * torch.eye(min(sizes)).expand_as(gram), atol=1e-12)
    assert net.biases[0].count_nonzero() == 0


def test_orthogonal_matrices_are_uniform() -> None:
    """Each entry has mean 0: QR alone makes the first one negative always."""
    weight = nets.mlp(2, 2, init="orthogonal")(Streams(range(600))).weights[0].detach()
    assert weight.mean(0).abs().max() < 4 * math.sqrt(0.5 / 600)
    assert weight.det().mean().abs() < 4 / math.sqrt(600)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([3], {}), r"sizes is \(3,\).*at least two"),
        (([3, 0], {}), r"sizes is \(3, 0\).*positive"),
        (([1, 1], {"activation": "gelu"}), "activation is 'gelu'.*relu, leaky_relu"),
        (([1, 1], {"init": "xavier"}), "init is 'xavier'.*uniform, he, orthogonal"),
        (([1, 1], {"gain": 0.0}), "gain is 0.0.*positive"),
        (([1, 1], {"gain": math.nan}), "gain is nan.*positive"),
        (([1, 1], {"input_scale": -1.0}), "input_scale is -1.0.*positive"),
    ],
)
def test_bad_mlp(arguments: tuple[list[int], dict[str, object]], message: str) -> None:
    sizes, named = arguments
    with pytest.raises(ValueError, match=message):
        nets.mlp(*sizes, **named)  # type: ignore[arg-type]


def test_recipes_are_values() -> None:
    assert nets.mlp(2, 3, 1, gain=2.0) == nets.mlp(2, 3, 1, gain=2.0)
    assert nets.mlp(2, 3, 1) != nets.mlp(2, 3, 1, spectral=True)
    assert nets.shift(1.0) == nets.shift(1.0, dim=1)
    assert nets.monomial(2, 1.0) != nets.monomial(1, 1.0)


# --- any module -----------------------------------------------------------------------------------


def small() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))


def tied() -> nn.Module:
    """Two layers that share one weight."""
    module = nn.Sequential(nn.Linear(2, 2), nn.Tanh(), nn.Linear(2, 2))
    module[2].weight = module[0].weight
    return module


def batch_normalized() -> nn.Module:
    return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3), nn.Tanh(), nn.Linear(3, 1))


def one_of(net: nets.Each, build: Callable[[], nn.Module], seed: int) -> nn.Module:
    """One seed's network, a plain module."""
    module = build()
    state = {name.replace("__", "."): t[seed].clone() for name, t in net.state_dict().items()}
    module.load_state_dict(state, strict=build is not tied)
    return module


@pytest.mark.parametrize("build", [small, tied, batch_normalized])
def test_each_is_one_plain_module_a_seed(build: Callable[[], nn.Module]) -> None:
    """Outputs, first and second derivatives."""
    net, x = nets.each(build)(Streams([5, 1, 7])), torch.randn(3, 6, 2)
    ones = [one_of(net, build, i) for i in range(3)]
    outputs, slopes = net(x), nets.input_gradient(net, x)
    value = outputs.square().sum() + slopes.square().sum()
    gradients = torch.autograd.grad(value, list(net.parameters()))
    for i, one in enumerate(ones):
        y = x[i].clone().requires_grad_()
        output = one(y)
        assert torch.allclose(output, outputs[i])
        (slope,) = torch.autograd.grad(output.sum(), y, create_graph=True)
        assert torch.allclose(slope, slopes[i])
        total = output.square().sum() + slope.square().sum()
        for a, b in zip(gradients, torch.autograd.grad(total, list(one.parameters())), strict=True):
            assert torch.allclose(a[i], b)


def test_input_gradient_of_each_under_transforms() -> None:
    """Nothing is held fixed: the slope moves with the points and with the parameters."""
    net, x = nets.each(small)(Streams([5, 1])), torch.randn(2, 4, 2)
    parameters = {name: p.detach() for name, p in net.named_parameters()}

    class Slopes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return nets.input_gradient(self.net, x).square().sum()

    def penalty(weight: Tensor, points: Tensor) -> Tensor:
        state = {f"net.{k}": v for k, v in parameters.items()} | {"net.0__weight": weight}
        return functional_call(Slopes(), state, (points,))

    values = (parameters["0__weight"], x)
    for place, value in enumerate(values):
        direction = torch.randn_like(value)

        def along(t: Tensor, place: int = place, direction: Tensor = direction) -> Tensor:
            moved = list(values)
            moved[place] = moved[place] + t * direction
            return penalty(*moved)

        expected = (along(torch.tensor(1e-5)) - along(torch.tensor(-1e-5))) / 2e-5
        assert expected.abs() > 1e-3
        slope = (grad(penalty, place)(*values) * direction).sum()
        assert slope.item() == pytest.approx(expected.item(), rel=1e-7)
        zero = torch.tensor(0.0)
        assert jvp(along, (zero,), (zero + 1,))[1].item() == pytest.approx(slope.item(), rel=1e-12)
    many = vmap(grad(penalty, 1), (None, 0))(values[0], torch.stack([x, 2 * x]))
    assert torch.allclose(many[1], grad(penalty, 1)(values[0], 2 * x))


def test_running_statistics_belong_to_a_seed() -> None:
    net = nets.each(batch_normalized)(Streams([5, 1]))
    ones = [one_of(net, batch_normalized, i) for i in range(2)]
    for _ in range(3):
        x = torch.randn(2, 6, 2)
        net(x)
        for i, one in enumerate(ones):
            one(x[i])
    for i, one in enumerate(ones):
        for name, buffer in one.named_buffers():
            assert torch.allclose(net.get_buffer(name.replace(".", "__"))[i], buffer), name
    assert net.get_buffer("1__num_batches_tracked").tolist() == [3, 3]
    x = torch.randn(2, 6, 2)
    trained = net(x)
    before = rows(net)
    net.eval()
    evaluated = net(x)
    assert same(before, rows(net))
    assert not torch.allclose(trained, evaluated)
    for i in range(2):
        assert torch.allclose(one_of(net, batch_normalized, i).eval()(x[i]), evaluated[i])


def test_each_starts_from_the_modules_own_values() -> None:
    """Those of the build, another for every seed, whatever the ensemble; PyTorch's are kept."""
    state = torch.get_rng_state()
    together = nets.each(small)(Streams([4, 9, 2]))
    alone = nets.each(small)(Streams([9]))
    assert torch.equal(torch.get_rng_state(), state)
    for a, b in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a[1], b[0])
        assert not torch.equal(a[0], a[1])
    many = nets.each(lambda: nn.Linear(400, 300))(Streams([0, 1]))
    assert many.weight.abs().max().item() == pytest.approx(1 / 20, rel=0.02)


def test_two_networks_of_a_seed_differ() -> None:
    streams = Streams([4, 9])
    first, second = nets.each(small)(streams), nets.each(small)(streams)
    assert not torch.equal(next(first.parameters()), next(second.parameters()))


def test_dropout_on_the_input_of_each() -> None:
    net, x = nets.each(small)(Streams([6, 7])), torch.randn(2, 3, 2)
    output, feature = net.perturbed(x, 0.3, Streams([6, 7], role=5))
    for i, seed in enumerate([6, 7]):
        drop = Streams([seed], role=5).uniform(3, 2)[0] < 0.3
        y = torch.where(drop, torch.zeros(()), x[i] / 0.7)
        assert torch.allclose(one_of(net, small, i)(y), output[i])
    assert torch.equal(output, feature)


# --- pictures -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "channels"), [(4, 1), (8, 3), (28, 1)])
def test_shapes_of_convolutional_networks(size: int, channels: int) -> None:
    streams = Streams([0, 1])
    generator = nets.convolutional_generator(size, latent=5, channels=channels, width=2)(streams)
    critic = nets.convolutional_critic(size, channels=channels, width=2)(streams)
    pictures = generator(10 * torch.randn(2, 3, 5))
    assert pictures.shape == (2, 3, channels * size**2)
    assert pictures.abs().max() <= 1
    assert critic(pictures).shape == (2, 3, 1)
    assert nets.input_gradient(critic, pictures).shape == pictures.shape


def test_channels_come_first_in_a_picture() -> None:
    """A channel is a contiguous third of the numbers: the critic is told which by its weights."""
    critic = nets.convolutional_critic(8, channels=3, width=2)(Streams([0]))
    critic.get_parameter("1__weight").data[:, :, 1:] = 0  # looks at the first channel only
    slope = nets.input_gradient(critic, torch.randn(1, 4, 3 * 64))
    assert slope[..., :64].count_nonzero() > 0
    assert slope[..., 64:].count_nonzero() == 0


@pytest.mark.parametrize("size", [0, 2, 6, 27])
def test_bad_pictures(size: int) -> None:
    for recipe in (
        lambda: nets.convolutional_generator(size, 2), lambda: nets.convolutional_critic(size),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=f"size is {size}; allowed are the multiples of 4"):
            recipe()


# --- a generator of one location ------------------------------------------------------------------


def test_shift_moves_by_its_parameter() -> None:
    net, z = nets.shift(6.0, dim=2)(Streams([0, 1, 2])), torch.randn(3, 4, 2)
    assert torch.equal(net(z), z + 6.0)
    (gradient,) = torch.autograd.grad(net(z).sum(), list(net.parameters()))
    assert gradient.shape == (3, 1, 2)
    assert gradient.unique().tolist() == [4.0]


# --- a network of one number ----------------------------------------------------------------------


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_monomial_and_its_slope(degree: int) -> None:
    net, x = nets.monomial(degree, -0.7)(Streams([0, 1, 2])), torch.randn(3, 4, 1)
    net.w.data[2] = 0.5
    for i, w in enumerate((-0.7, -0.7, 0.5)):
        assert torch.allclose(net(x)[i], w * x[i] ** degree)
        assert torch.allclose(nets.input_gradient(net, x)[i], w * degree * x[i] ** (degree - 1))
    (gradient,) = torch.autograd.grad(net(x).sum(), list(net.parameters()))
    assert torch.allclose(gradient[:, 0, 0], (x**degree).sum((1, 2)))
    zero = torch.zeros(3, 1, 1)
    assert net(zero).count_nonzero() == 0
    assert nets.input_gradient(net, zero).count_nonzero() == (3 if degree == 1 else 0)
    assert net(torch.randn(3, 5, 2)).shape == (3, 5, 2)  # each coordinate: a generator's, too
    assert nets.monomial(degree, -0.7)(Streams([4])).w.shape == (1, 1, 1)


@pytest.mark.parametrize("degree", [1, 2, 3])
def test_slope_of_a_monomial_can_be_differentiated(degree: int) -> None:
    """By its parameter and by the point, also at zero."""
    net = nets.monomial(degree, 1.5)(Streams([0]))
    for place in (0.4, 0.0):
        x = torch.full((1, 1, 1), place).requires_grad_()
        slope = nets.input_gradient(net, x).sum()
        by_w, by_x = torch.autograd.grad(
            slope, [net.w, x], allow_unused=True, materialize_grads=True
        )
        assert by_w.item() == pytest.approx(degree * place ** (degree - 1))
        curvature = degree * (degree - 1) * place ** max(degree - 2, 0)
        assert by_x.item() == pytest.approx(1.5 * curvature)


@pytest.mark.parametrize("degree", [0, -1])
def test_bad_monomial(degree: int) -> None:
    with pytest.raises(ValueError, match=f"degree is {degree}; allowed are integers of at least 1"):
        nets.monomial(degree, 1.0)


# --- some seeds of an ensemble --------------------------------------------------------------------


RECIPES = {
    "mlp": nets.mlp(2, 3, 1, spectral=True),
    "each": nets.each(batch_normalized),
    "shift": nets.shift(1.0, dim=2),
    "monomial": nets.monomial(3, 0.5),
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_slice_shares_memory(recipe: nets.Recipe) -> None:
    net, x = recipe(Streams([5, 1, 7])), torch.randn(3, 6, 2)
    before, view = rows(net), nets.select(net, slice(1, 3))
    assert torch.allclose(view.eval()(x[1:]), net.eval()(x)[1:])
    for part in view.state_dict().values():
        part.add_(1)
    for now, then in zip(rows(net), before, strict=True):
        assert torch.equal(now[0], then[0])
        assert torch.equal(now[1:], then[1:] + 1)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_list_copies(recipe: nets.Recipe) -> None:
    net, x = recipe(Streams([5, 1, 7])), torch.randn(3, 6, 2)
    before, chosen = rows(net), nets.select(net, [2, 0])
    assert torch.allclose(chosen.eval()(x[[2, 0]]), net.eval()(x)[[2, 0]])
    for part in chosen.state_dict().values():
        part.add_(1)
    assert same(rows(net), before)


def test_views_update_the_ensembles_buffers() -> None:
    net = nets.each(batch_normalized)(Streams([5, 1, 7]))
    nets.select(net, slice(0, 2))(torch.randn(2, 6, 2))
    assert net.get_buffer("1__num_batches_tracked").tolist() == [1, 1, 0]
    assert net.get_buffer("1__running_mean")[2].count_nonzero() == 0
    assert net.get_buffer("1__running_mean")[:2].abs().min() > 0


def test_views_are_leaves_with_version_counters_of_their_own() -> None:
    """Two threads may step their own seeds while the other's graph is alive."""
    net, x = nets.mlp(2, 3, 1)(Streams([5, 1])), torch.randn(1, 6, 2)
    first, second = nets.select(net, slice(0, 1)), nets.select(net, slice(1, 2))
    pending = first(x).square().sum()
    assert all(p.is_leaf and p.requires_grad for p in second.parameters())
    with torch.no_grad():
        for p in second.parameters():
            p.add_(1)
    pending.backward()  # would refuse if the other's update counted as its own
    assert all(p.grad is not None for p in first.parameters())
