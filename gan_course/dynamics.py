"""Games as dynamical systems: vector fields, Jacobians, spectra, flows and maps.

A :class:`System` is a game between two vectors of parameters, ``x = (phi, theta)``, the critic's
first. Each player descends its own loss; with infinitely short steps of both at once this is the
flow ``x' = v(x)`` of Nagarajan and Kolter (2017) and Mescheder et al. (2018), with finite steps a
map (:func:`simultaneous`, :func:`alternating`).

Near an equilibrium the Jacobian decides. A flow is locally exponentially stable exactly if all
eigenvalues of ``v'`` have negative real parts (:func:`flow_stability`), a map exactly if those of
its own Jacobian lie in the open unit disk (:func:`map_stability`).

Everything is in float64. Points have shape ``(n,)``, ensembles of starting points ``(seeds, n)``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn
from torch.func import functional_call, grad, jacrev, jvp, vjp, vmap

from gan_course.data import Normal
from gan_course.game import Game, Turn
from gan_course.losses import Loss
from gan_course.nets import monomial, shift
from gan_course.random import Role, Streams
from gan_course.regularizers import Consensus, GradientNorm, Regularizer, Unrolled
from gan_course.runtime import one_thread

__all__ = [
    "Stability",
    "System",
    "alternating",
    "dirac",
    "eigenvalues",
    "flow",
    "flow_stability",
    "jacobian",
    "largest_stable_step",
    "largest_step",
    "leading_eigenvalues",
    "lie_derivative",
    "map_stability",
    "orbit",
    "simultaneous",
    "system",
    "uniform",
    "with_consensus",
    "with_gradient_norm",
    "with_unrolling",
    "zero_sum",
]

Tensor = torch.Tensor
Field = Callable[[Tensor], Tensor]
"""A vector field or a map: ``(n,) -> (n,)``."""
Objective = Callable[[Tensor, Tensor], Tensor]
"""A number of both players' parameters: ``(critic's,), (generator's,) -> ()``."""
Stability = Literal["stable", "unstable", "undecided"]


@dataclass(frozen=True)
class System:
    """A game as a vector field.

    Attributes
    ----------
    critic_loss, generator_loss
        What each player descends, ``(phi, theta) -> ()``, in operations that ``torch.func`` can
        differentiate several times.
    sizes
        Number of the critic's and of the generator's parameters.
    start
        A point to start from, shape ``(n,)`` with ``n = sum(sizes)``, float64.
    data_loss
        The critic's loss on the data alone, where the generator's loss leaves the data out; only
        :func:`with_unrolling` asks for it.
    """

    critic_loss: Objective
    generator_loss: Objective
    sizes: tuple[int, int]
    start: Tensor
    data_loss: Objective | None = None

    def __post_init__(self) -> None:
        if self.start.shape != (sum(self.sizes),):
            raise ValueError(
                f"start has shape {tuple(self.start.shape)}; allowed is ({sum(self.sizes)},)"
            )

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The critic's and the generator's parameters, views of ``x``."""
        phi, theta = x.split(self.sizes)
        return phi, theta

    def field(self, x: Tensor) -> Tensor:
        """``v(x) = (-grad_phi of the critic's loss, -grad_theta of the generator's)``, ``(n,)``."""
        return -torch.cat([self.critic_gradient(x), self.generator_gradient(x)])

    def critic_gradient(self, x: Tensor) -> Tensor:
        """Gradient of the critic's loss by its parameters."""
        return grad(self.critic_loss, 0)(*self.split(x))

    def generator_gradient(self, x: Tensor) -> Tensor:
        """Gradient of the generator's loss by its parameters."""
        return grad(self.generator_loss, 1)(*self.split(x))

    def at_rates(self, critic: float = 1.0, generator: float = 1.0) -> System:
        """The same game on two time scales: each player's part of the field times its rate."""
        _positive(critic=critic, generator=generator)
        on_data = self.data_loss
        return replace(
            self,
            critic_loss=lambda phi, theta: critic * self.critic_loss(phi, theta),
            generator_loss=lambda phi, theta: generator * self.generator_loss(phi, theta),
            data_loss=on_data and (lambda phi, theta: generator * on_data(phi, theta)),
        )


# --- making systems -------------------------------------------------------------------------------


def zero_sum(value: Objective, phi: ArrayLike, theta: ArrayLike) -> System:
    """The game of one value ``V(phi, theta)``: the critic ascends it, the generator descends it.

    ``phi`` and ``theta`` are the point to start from.
    """
    parts = [torch.atleast_1d(torch.as_tensor(p, dtype=torch.float64)) for p in (phi, theta)]
    return System(
        lambda phi, theta: -value(phi, theta), value, (len(parts[0]), len(parts[1])),
        torch.cat(parts),
    )  # fmt: skip


def system(
    game: Game,
    real: ArrayLike,
    noise: ArrayLike,
    weights: ArrayLike | None = None,
    *,
    seed: int = 0,
) -> System:
    """The system of a game whose expectations are sums over given points.

    Parameters
    ----------
    game
        Its networks are built for one seed. As in training, penalties add up, and those that look
        at the game (:class:`~gan_course.regularizers.GradientNorm`, ``Consensus``, ``Unrolled``)
        look at it without the others. Random numbers inside a penalty are put to their means
        (uniform 1/2, normal 0); where points have weights, it sees one pair of points at a time.
    real, noise
        Points of data and of noise, ``(n, dim)``.
    weights
        Probabilities of the points, such as those of a quadrature rule, shape ``(n,)``, the same
        for data and noise. By default all points count alike, and their numbers may differ.
    seed
        Of the initial values, which are ``start``.

    Raises
    ------
    ValueError
        If shapes do not fit, a network has a state that its forward pass may change, or a
        regularizer changes the points (instance noise) or the critic (clipping), which is no part
        of a field.
    """
    points = [torch.as_tensor(x, dtype=torch.float64) for x in (real, noise)]
    for name, x in zip(("real", "noise"), points, strict=True):
        if x.ndim != 2 or not len(x):
            raise ValueError(f"{name} has shape {tuple(x.shape)}; allowed is (n, dim)")
    for r in game.active:
        if type(r).perturb is not Regularizer.perturb or type(r).project is not Regularizer.project:
            raise ValueError(f"regularizers holds {r!r}; allowed in a system are penalties")
    outer = [r for r in game.active if isinstance(r, GradientNorm | Consensus | Unrolled)]
    inner = [r for r in game.active if r not in outer]
    plain = _Played.of(replace(game, regularizers=()), points, weights, seed)
    made = _Played.of(replace(game, regularizers=inner), points, weights, seed) if inner else plain
    for r in sorted(outer, key=lambda r: not isinstance(r, Unrolled)):
        if isinstance(r, Unrolled):
            made = with_unrolling(made, r.steps, r.lr, of=plain)
        elif isinstance(r, GradientNorm):
            made = with_gradient_norm(made, r.eta, of=plain)
        else:
            made = with_consensus(made, r.gamma, of=plain)
    return made


def dirac(
    loss: Loss,
    regularizers: Regularizer | tuple[Regularizer, ...] = (),
    *,
    phi: float = 1.0,
    theta: float = 1.0,
    noise: float = 0.0,
) -> System:
    """The Dirac-GAN of Mescheder et al. (2018): data at 0, fakes at ``theta``, ``D(x) = phi x``.

    Parameters
    ----------
    phi, theta
        The point to start from; the equilibrium is ``(0, 0)``.
    noise
        Standard deviation of instance noise on both distributions, integrated by Gauss-Hermite
        quadrature: to about ``1e-9`` while ``noise * |phi| < 2``.
    """
    if not noise >= 0:
        raise ValueError(f"noise is {noise}; allowed are numbers of at least 0")
    nodes, weights = np.polynomial.hermite_e.hermegauss(64 if noise else 1)
    game = Game(shift(theta), monomial(1, phi), loss, Normal(), regularizers)
    points = noise * nodes[:, None]
    start = torch.tensor([phi, theta], dtype=torch.float64)  # networks begin in float32
    return replace(system(game, points, points, weights / weights.sum()), start=start)


def uniform(
    loss: Loss,
    regularizers: Regularizer | tuple[Regularizer, ...] = (),
    *,
    w: float = 0.5,
    a: float = 0.5,
) -> System:
    """The uniform system of Nagarajan and Kolter (2017): ``D(x) = w x^2`` and ``G(z) = a z``.

    Data and noise are uniform on [-1, 1], integrated by Gauss-Legendre quadrature. ``w`` and ``a``
    are the point to start from; equilibria are ``(0, 1)`` and ``(0, -1)``.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    game = Game(monomial(1, a), monomial(2, w), loss, Normal(), regularizers)
    start = torch.tensor([w, a], dtype=torch.float64)
    made = system(game, nodes[:, None], nodes[:, None], weights / weights.sum())
    return replace(made, start=start)


def with_gradient_norm(system: System, eta: float, *, of: System | None = None) -> System:
    """The generator also descends ``eta |grad_phi V|^2`` (Nagarajan and Kolter, 2017).

    The gradient is that of the critic's loss in the game ``of``, by default ``system`` itself.
    """
    _positive(eta=eta)
    game = of or system

    def loss(phi: Tensor, theta: Tensor) -> Tensor:
        norm = grad(game.critic_loss, 0)(phi, theta).square().sum()
        return system.generator_loss(phi, theta) + eta * norm

    return replace(system, generator_loss=loss)


def with_consensus(system: System, gamma: float, *, of: System | None = None) -> System:
    """Both players also descend ``(gamma / 2) |v|^2`` (Mescheder et al., 2017).

    ``v`` is the field of the game ``of``, by default ``system`` itself.
    """
    _positive(gamma=gamma)
    game = of or system

    def penalty(phi: Tensor, theta: Tensor) -> Tensor:
        return gamma / 2 * game.field(torch.cat([phi, theta])).square().sum()

    return replace(
        system,
        critic_loss=lambda phi, theta: system.critic_loss(phi, theta) + penalty(phi, theta),
        generator_loss=lambda phi, theta: system.generator_loss(phi, theta) + penalty(phi, theta),
    )


def with_unrolling(system: System, steps: int, lr: float, *, of: System | None = None) -> System:
    """The generator faces the critic after ``steps`` of its steps of size ``lr``.

    It descends what :class:`~gan_course.regularizers.Unrolled` lets it descend: its own loss there,
    and minus the critic's loss on the data where its own leaves them out, so in a zero-sum game the
    value at the later critic. The steps are those of the game ``of``, by default ``system`` itself.
    """
    _positive(steps=steps, lr=lr)
    game, on_data = of or system, system.data_loss

    def loss(phi: Tensor, theta: Tensor) -> Tensor:
        ahead = _descended(game, phi, theta, steps, lr)
        own = system.generator_loss(ahead, theta)
        return own if on_data is None else own - on_data(ahead, theta)

    return replace(system, generator_loss=loss, data_loss=None)


def _descended(system: System, phi: Tensor, theta: Tensor, steps: int, h: float) -> Tensor:
    """The critic after ``steps`` gradient steps of size ``h``."""
    for _ in range(steps):
        phi = phi - h * grad(system.critic_loss, 0)(phi, theta)
    return phi


# --- from a field to its spectrum -----------------------------------------------------------------


@one_thread()
def jacobian(function: Field, x: Tensor, *, chunk: int = 32) -> Tensor:
    """Jacobian of a field or a map at ``x``, shape ``(n, n)``, by automatic differentiation."""
    return cast(Tensor, jacrev(function, chunk_size=min(chunk, len(x)))(x)).detach()


def eigenvalues(function: Field, x: Tensor) -> NDArray[np.complex128]:
    """All eigenvalues of the Jacobian at ``x``, shape ``(n,)``, largest real part first.

    Where the Jacobian is defective they carry errors of about ``1e-8``; compare traces and
    determinants there.
    """
    return _sorted(np.linalg.eigvals(jacobian(function, x).numpy()))


@one_thread()
def leading_eigenvalues(
    function: Field, x: Tensor, count: int = 6, *, by: Literal["real part", "modulus"] = "real part"
) -> NDArray[np.complex128]:
    """The eigenvalues with the largest real parts or moduli, without the matrix, ``(count,)``.

    ARPACK on the transposed Jacobian, which has the same eigenvalues and whose products cost one
    backward pass through a graph made once. Cheaper than :func:`eigenvalues` from about six hundred
    parameters on. A repeated eigenvalue may come fewer times than it counts, and a pair of
    conjugates may be cut apart at the end.

    Raises
    ------
    ValueError
        Unless ``1 <= count <= n - 2``, or for an unknown ``by``.
    """
    from scipy.sparse.linalg import LinearOperator, eigs

    n, orders = len(x), {"real part": "LR", "modulus": "LM"}
    if not 1 <= count <= n - 2:
        raise ValueError(f"count is {count}; allowed are 1 to {n - 2}, for {n} parameters")
    if by not in orders:
        raise ValueError(f"by is {by!r}; allowed are 'real part' and 'modulus'")
    pull_back = vjp(function, x)[1]

    def product(vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return pull_back(torch.from_numpy(vector.reshape(n)))[0].detach().numpy()

    start = np.random.default_rng(0).normal(size=n)
    shift = 0.0
    if by == "real part":  # ARPACK's tolerance is relative, and would never be met at 0
        shift = float(np.linalg.norm(product(start)) / np.linalg.norm(start)) or 1.0
    found = eigs(
        LinearOperator((n, n), matvec=lambda v: product(v) + shift * v.reshape(n), dtype=float),
        k=count, which=orders[by], v0=start, tol=1e-10, return_eigenvectors=False,
        ncv=min(n, max(2 * count + 1, 40)),  # few restarts: products cost more than the basis
    )  # fmt: skip
    return _sorted(found - shift)


def flow_stability(eigenvalues: ArrayLike, *, tolerance: float = 1e-7) -> Stability:
    """What the linearization theorem says of an equilibrium of ``x' = v(x)``.

    Stable if all real parts are negative, unstable if one is positive; with one on the imaginary
    axis, up to ``tolerance``, and none beyond it the theorem is silent.
    """
    return _verdict(float(np.max(np.real(eigenvalues))), tolerance)


def map_stability(eigenvalues: ArrayLike, *, tolerance: float = 1e-7) -> Stability:
    """The same for a fixed point of a map, whose eigenvalues are compared with the unit circle."""
    return _verdict(float(np.max(np.abs(eigenvalues))) - 1, tolerance)


def largest_step(eigenvalues: ArrayLike) -> float:
    """Step size below which the simultaneous map is stable, from the eigenvalues of the field.

    ``|1 + h lambda| < 1`` means ``h < -2 Re(lambda) / |lambda|^2``; the smallest of these bounds,
    and 0 where some eigenvalue has no negative real part.
    """
    values = np.asarray(eigenvalues, dtype=np.complex128)
    if (values.real >= 0).any():
        return 0.0
    return float((-2 * values.real / np.abs(values) ** 2).min())


def largest_stable_step(
    map_at: Callable[[float], Field], x: Tensor, *, upper: float, points: int = 200
) -> float:
    """First step size at which the map ``map_at(h)`` is no longer stable at ``x``.

    A grid of ``points`` step sizes up to ``upper`` is searched and the first crossing refined;
    0 where not even the first is stable, ``upper`` where all are. A modulus within ``1e-10`` of 1
    counts as not stable, as on the unit circle of a center.
    """
    from scipy.optimize import brentq

    _positive(upper=upper, points=points)

    def excess(h: float) -> float:
        return float(np.abs(eigenvalues(map_at(h), x)).max()) - 1 + 1e-10

    grid = upper * np.arange(1, points + 1) / points
    for before, after in zip([0.0, *grid], grid, strict=False):
        if excess(after) >= 0:
            return 0.0 if before == 0 else float(brentq(excess, before, after, xtol=1e-12))
    return float(upper)


# --- flows and maps -------------------------------------------------------------------------------


def simultaneous(system: System, h: float) -> Field:
    """The map ``x -> x + h v(x)``: both players step from the same point."""
    _positive(h=h)
    return lambda x: x + h * system.field(x)


def alternating(
    system: System,
    h: float,
    *,
    critic_steps: int = 1,
    first: Literal["critic", "generator"] = "critic",
) -> Field:
    """The map in which the second player already sees the first one's new parameters."""
    _positive(h=h, critic_steps=critic_steps)
    if first not in ("critic", "generator"):
        raise ValueError(f"first is {first!r}; allowed are 'critic' and 'generator'")

    def step(x: Tensor) -> Tensor:
        phi, theta = system.split(x)
        if first == "critic":
            phi = _descended(system, phi, theta, critic_steps, h)
        theta = theta - h * grad(system.generator_loss, 1)(phi, theta)
        if first == "generator":
            phi = _descended(system, phi, theta, critic_steps, h)
        return torch.cat([phi, theta])

    return step


@one_thread()
def flow(
    field: Field,
    starts: ArrayLike,
    times: ArrayLike,
    *,
    rtol: float = 1e-10,
    atol: float = 1e-12,
) -> NDArray[np.float64]:
    """Solutions of ``x' = field(x)``, by SciPy's Runge-Kutta method of order 8.

    Parameters
    ----------
    starts
        One starting point, ``(n,)``, or several, ``(seeds, n)``, which are solved as one system.
    times
        Increasing times, ``(t,)``; the first belongs to ``starts``.
    rtol, atol
        Relative and absolute error a step.

    Returns
    -------
    NDArray
        ``(t, n)`` or ``(seeds, t, n)``.

    Raises
    ------
    ValueError
        If the solver fails, as where a solution grows without bound.
    """
    from scipy.integrate import solve_ivp

    begin, when = _points(starts), np.asarray(times, dtype=np.float64)
    if when.ndim != 1 or len(when) < 2 or not (np.diff(when) > 0).all():
        raise ValueError(f"times is {when}; allowed are at least two increasing numbers")
    all_at_once = vmap(field)

    def right_side(_: float, flat: NDArray[np.float64]) -> NDArray[np.float64]:
        x = torch.from_numpy(flat.reshape(begin.shape).copy())
        return all_at_once(x).detach().numpy().ravel()

    solved = solve_ivp(
        right_side, (when[0], when[-1]), begin.numpy().ravel(), method="DOP853", t_eval=when,
        rtol=rtol, atol=atol,
    )  # fmt: skip
    if not solved.success:
        raise ValueError(f"the flow was followed to time {solved.t[-1:]} only: {solved.message}")
    paths = solved.y.reshape(*begin.shape, len(when)).transpose(0, 2, 1)
    return paths[0] if np.ndim(starts) == 1 else paths


@one_thread()
@torch.no_grad()
def orbit(step: Field, starts: ArrayLike, steps: int) -> NDArray[np.float64]:
    """A map again and again: ``(steps + 1, n)``, or ``(seeds, steps + 1, n)`` from many starts."""
    _positive(steps=steps)
    points = [_points(starts)]
    all_at_once = vmap(step)
    for _ in range(steps):
        points.append(all_at_once(points[-1]))
    paths = torch.stack(points, 1).numpy()
    return paths[0] if np.ndim(starts) == 1 else paths


@one_thread()
def lie_derivative(function: Field, field: Field, points: ArrayLike) -> NDArray[np.float64]:
    """Rate at which ``function`` changes along the flow, ``grad . field``, shape ``(m,)``.

    ``points`` are where, shape ``(m, n)``. A Lyapunov function has no rate above 0, a conserved
    quantity only 0.
    """
    at = _points(points, "points")
    return vmap(lambda x: jvp(function, (x,), (field(x),))[1])(at).detach().numpy()


# --- a game with fixed points ---------------------------------------------------------------------


class _Played(nn.Module):
    """Both networks of a game with points put in: objectives as functions of flat parameters.

    Where points have weights, each point is a seed of its own with the same parameters, so that
    losses and penalties come out point by point and can be weighted.
    """

    def __init__(self, game: Game, points: list[Tensor], seed: int) -> None:
        super().__init__()
        streams = Streams([seed], role=Role.INIT)
        recipe = game.critic
        for regularizer in game.active:
            recipe = regularizer.network(recipe)
        self.game, self.points = game, points
        self.generator = game.generator(streams).double()
        self.critic = recipe(streams).double()
        if any(True for _ in self.buffers()):
            raise ValueError("a network has buffers; allowed are networks without a state")
        self._check()

    @torch.no_grad()
    def _check(self) -> None:
        real, noise = (x.flatten(0, 1)[None] for x in self.points)
        try:
            fake = self.generator(noise)
            outputs = {self.critic(x).shape[2] for x in (real, fake)}
        except RuntimeError as error:
            raise ValueError(f"real or noise does not fit the networks: {error}") from error
        if fake.shape[2] != real.shape[2] or outputs != {1}:
            raise ValueError(
                f"real has dimension {real.shape[2]}, the generator's points {fake.shape[2]}, and "
                f"the critic gives {max(outputs)} numbers; allowed are equal dimensions and one"
            )

    def forward(self, player: int) -> Tensor:
        real, noise = self.points
        turn = Turn(
            self.game, self.generator, self.critic, lambda: real, lambda: noise,
            cast(Any, _Means(len(real))),
        )  # fmt: skip
        turn.fake = turn.live_fake  # gradients are taken by parameter
        if player == 2:  # the critic on the data alone
            outputs = self.critic(turn.real)
            return self.game.loss.critic(outputs, torch.zeros_like(outputs))
        return turn.generator_objective() if player else turn.critic_objective()

    @classmethod
    def of(cls, game: Game, points: list[Tensor], weights: ArrayLike | None, seed: int) -> System:
        count = 1 if weights is None else len(points[0])
        if weights is not None:
            share = torch.as_tensor(weights, dtype=torch.float64)
            if share.shape != (count,) or len(points[1]) != count:
                raise ValueError(
                    f"weights has shape {tuple(share.shape)}; allowed is one for each of "
                    f"{count} points of real and as many of noise"
                )
            if not ((share >= 0).all() and abs(float(share.sum()) - 1) < 1e-9):
                raise ValueError(f"weights sum to {float(share.sum())}; allowed are probabilities")
            points = [x[:, None] for x in points]
        else:
            share, points = torch.ones(1, dtype=torch.float64), [x[None] for x in points]
        module = cls(game, points, seed)
        names = [
            [(f"{side}.{name}", p) for name, p in getattr(module, side).named_parameters()]
            for side in ("critic", "generator")
        ]

        def state(flat: Tensor, of: list[tuple[str, nn.Parameter]]) -> Mapping[str, Tensor]:
            parts = flat.split([p.numel() for _, p in of])
            return {
                name: part.reshape(p.shape).expand(count, *p.shape[1:])
                for (name, p), part in zip(of, parts, strict=True)
            }

        def objective(player: int) -> Objective:
            def loss(phi: Tensor, theta: Tensor) -> Tensor:
                both = {**state(phi, names[0]), **state(theta, names[1])}
                return share @ functional_call(module, both, (player,))

            return loss

        sizes = tuple(sum(p.numel() for _, p in of) for of in names)
        start = torch.cat([p.detach().flatten() for of in names for _, p in of])
        return System(objective(0), objective(1), cast(Any, sizes), start, objective(2))


class _Means:
    """Random numbers of a penalty, put to their means."""

    def __init__(self, seeds: int) -> None:
        self.seeds = seeds

    def uniform(self, n: int, d: int) -> Tensor:
        return torch.full((self.seeds, n, d), 0.5, dtype=torch.float64)

    def normal(self, n: int, d: int) -> Tensor:
        return torch.zeros(self.seeds, n, d, dtype=torch.float64)


def _points(given: ArrayLike, name: str = "starts") -> Tensor:
    points = torch.atleast_2d(torch.as_tensor(given, dtype=torch.float64)).detach()
    if points.ndim != 2:
        raise ValueError(f"{name} has shape {tuple(points.shape)}; allowed is (n,) or (seeds, n)")
    return points


def _sorted(values: NDArray[Any]) -> NDArray[np.complex128]:
    order = np.lexsort((-values.imag, -values.real.round(12)))
    return np.asarray(values, dtype=np.complex128)[order]


def _verdict(excess: float, tolerance: float) -> Stability:
    if abs(excess) <= tolerance:
        return "undecided"
    return "stable" if excess < 0 else "unstable"


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not (value > 0 and math.isfinite(value)):
            raise ValueError(f"{name} is {value}; allowed are positive numbers")
