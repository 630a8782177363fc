"""Optimization in plain sight: curvature products, conjugate gradients, Hessian-free, SGD.

A loss is a function of one flat vector of parameters, ``(n,) -> ()``, in operations that
``torch.func`` can differentiate twice; :func:`flatten` makes a network one. No matrix of curvature
is ever built: :func:`forward_over_reverse`, :func:`reverse_over_forward` and :func:`gauss_newton`
multiply by it, and :func:`conjugate_gradient` solves with such products alone.

Stochastic descent comes with a leading seed axis: :func:`minibatch_descent` and
:func:`projected_sgd` advance an ensemble at once, and each seed owns its random numbers
(:mod:`gan_course.random`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from numpy.typing import ArrayLike
from torch import nn
from torch.func import functional_call, grad, jvp, vjp
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from tqdm.auto import tqdm

from gan_course.random import Role, Streams
from gan_course.runtime import is_static, one_thread
from gan_course.train import Optimizer

__all__ = [
    "HessianFree",
    "Projection",
    "Solution",
    "ball",
    "box",
    "conjugate_gradient",
    "flatten",
    "forward_over_reverse",
    "gauss_newton",
    "hessian_free",
    "levenberg_marquardt",
    "minibatch_descent",
    "peak_memory",
    "projected_sgd",
    "reverse_over_forward",
]

Tensor = torch.Tensor
Loss = Callable[[Tensor], Tensor]
"""A number of one vector or of a table of outputs: ``(n,) -> ()`` or ``(points, m) -> ()``."""
Outputs = Callable[[Tensor], Tensor]
"""A network's outputs on fixed points as a function of its parameters: ``(n,) -> (points, m)``."""
Product = Callable[[Tensor], Tensor]
"""Multiplication by a symmetric matrix: ``(n,) -> (n,)``."""
Projection = Callable[[Tensor], Tensor]
"""Nearest points of a closed convex set: ``(..., dim) -> (..., dim)``."""


# --- products with curvature ----------------------------------------------------------------------


def forward_over_reverse(loss: Loss, theta: Tensor, vector: Tensor) -> Tensor:
    """Hessian of ``loss`` at ``theta`` times ``vector``: the gradient's derivative along it.

    Forward mode through reverse mode. ``vector`` and the result have the shape of ``theta``
    (Pearlmutter, 1994).
    """
    return cast(Tensor, jvp(grad(loss), (theta,), (vector,))[1])


def reverse_over_forward(loss: Loss, theta: Tensor, vector: Tensor) -> Tensor:
    """The same product as the gradient of the number ``grad loss(theta) . vector``.

    Reverse mode through forward mode: the slope of the loss along ``vector`` costs one forward
    pass, and is then differentiated backward.
    """
    return grad(lambda point: jvp(loss, (point,), (vector,))[1])(theta)


def gauss_newton(outputs: Outputs, loss: Loss, theta: Tensor) -> tuple[Tensor, Tensor, Product]:
    """Value, gradient and Gauss-Newton matrix of ``loss(outputs(theta))``, the matrix as a product.

    ``B v = J^T (nabla^2 loss) J v`` with the Jacobian ``J`` of the outputs, by one product from the
    right, one with the Hessian of the loss, and one from the left (Schraudolph, 2002). What the
    outputs' own curvature adds to the Hessian is left out, so ``B`` is positive semidefinite
    wherever the loss is convex in the outputs.

    Parameters
    ----------
    outputs
        The network on fixed points, ``(n,) -> (points, m)``.
    loss
        A number of the outputs, ``(points, m) -> ()``.
    theta
        Where, shape ``(n,)``.

    Returns
    -------
    tuple
        The value ``()``, the gradient ``(n,)``, and ``v -> B v`` on vectors of shape ``(n,)``.
    """
    made, pull_back = vjp(outputs, theta)[:2]
    gradient = pull_back(grad(loss)(made))[0].detach()

    def product(vector: Tensor) -> Tensor:
        moved = jvp(outputs, (theta,), (vector,))[1]
        return pull_back(forward_over_reverse(loss, made, moved))[0].detach()

    return loss(made).detach(), gradient, product


def flatten(net: nn.Module) -> tuple[Tensor, Callable[[Tensor, Tensor], Tensor]]:
    """A network as a function of one flat vector of parameters.

    Parameters
    ----------
    net
        An ensemble of :mod:`gan_course.nets` without a state, parameters ``(seeds, ...)``.

    Returns
    -------
    tuple
        The present parameters, shape ``(seeds, n)``, and ``forward(theta, x)``: for ``theta`` of
        shape ``(n,)`` it maps ``(points, dim)`` to ``(points, m)``, and for ``(seeds, n)`` it maps
        ``(seeds, points, dim)``, or ``(points, dim)`` for all, to ``(seeds, points, m)``.

    Raises
    ------
    ValueError
        For a network with buffers, which its forward pass may change.
    """
    if any(True for _ in net.buffers()):
        raise ValueError("net has buffers; allowed are networks without a state")
    shapes = {name: p.shape[1:] for name, p in net.named_parameters()}
    sizes = [shape.numel() for shape in shapes.values()]

    def forward(theta: Tensor, x: Tensor) -> Tensor:
        if theta.shape[-1] != sum(sizes) or theta.ndim not in (1, 2):
            raise ValueError(
                f"theta has shape {tuple(theta.shape)}; allowed are ({sum(sizes)},) and "
                f"(seeds, {sum(sizes)})"
            )
        rows = theta if theta.ndim == 2 else theta[None]
        parts = zip(shapes.items(), rows.split(sizes, dim=1), strict=True)
        state = {name: part.reshape(len(rows), *shape) for (name, shape), part in parts}
        made = functional_call(net, state, x if x.ndim == 3 else x.expand(len(rows), *x.shape))
        return made if theta.ndim == 2 else made[0]

    start = torch.cat([p.detach().flatten(1) for p in net.parameters()], dim=1)
    return start, forward


def peak_memory(function: Callable[[], object]) -> int:
    """Most bytes that the tensors made inside ``function()`` occupy at one time.

    Counted are the tensors that PyTorch's operations return, each storage once and for as long as
    it lives, and not what a single operation allocates inside of it.
    """
    with _Watch() as watch:
        result = function()  # held until the watch ends
    del result
    return watch.peak


class _Watch(TorchDispatchMode):
    """Sums up the living storages after each operation."""

    def __init__(self) -> None:
        super().__init__()
        self.living: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        known = {t.untyped_storage()._cdata for t in tree_leaves((args, kwargs)) if _is_tensor(t)}
        made = func(*args, **(kwargs or {}))
        for tensor in filter(_is_tensor, tree_leaves(made)):
            storage = tensor.untyped_storage()
            if storage._cdata not in known:  # neither a view nor in place
                self.living[storage._cdata] = StorageWeakRef(storage), storage.nbytes()
        self.living = {k: held for k, held in self.living.items() if not held[0].expired()}
        self.peak = max(self.peak, sum(size for _, size in self.living.values()))
        return made


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


# --- conjugate gradients --------------------------------------------------------------------------


@dataclass(frozen=True)
class Solution:
    """What :func:`conjugate_gradient` found.

    Attributes
    ----------
    x
        The last iterate, shape ``(n,)``.
    residuals
        ``|b - A x_k|`` for ``k = 0, 1, ..., steps``, as the recursion has it.
    residual
        The last ``b - A x``, shape ``(n,)``.
    negative
        A direction ``p`` with ``p . A p <= 0``, shape ``(n,)``, if one was met; then the quadratic
        ``x . A x / 2 - b . x`` falls without end from ``x`` along ``p``.
    """

    x: Tensor
    residuals: list[float]
    residual: Tensor
    negative: Tensor | None = None

    @property
    def steps(self) -> int:
        """Number of steps taken; each costs one product."""
        return len(self.residuals) - 1


def conjugate_gradient(
    product: Product,
    b: Tensor,
    *,
    start: Tensor | None = None,
    steps: int | None = None,
    tolerance: float = 1e-10,
) -> Solution:
    """Solve ``A x = b`` for a symmetric ``A`` by products (Hestenes and Stiefel, 1952).

    Parameters
    ----------
    product
        ``v -> A v``.
    b
        Right-hand side, shape ``(n,)``.
    start
        First iterate, shape ``(n,)``; 0 by default, which saves a product.
    steps
        At most so many; ``len(b)`` by default, which is enough for a positive definite ``A`` in
        exact arithmetic.
    tolerance
        Stop when the residual has at most ``tolerance`` times the length of ``b``.

    Returns
    -------
    Solution
        Stops early where it meets a direction of curvature 0 or less, and returns it.

    Raises
    ------
    ValueError
        If ``b`` is no finite vector, a shape does not fit, or an argument is out of range.
    """
    if b.ndim != 1 or not len(b) or not torch.isfinite(b).all():
        raise ValueError(f"b has shape {tuple(b.shape)}; allowed are finite numbers, shape (n,)")
    if start is not None and start.shape != b.shape:
        raise ValueError(f"start has shape {tuple(start.shape)}; allowed is {tuple(b.shape)}")
    steps = len(b) if steps is None else steps
    if steps < 1:
        raise ValueError(f"steps is {steps}; allowed is an integer of at least 1")
    if not 0 <= tolerance < math.inf:
        raise ValueError(f"tolerance is {tolerance}; allowed are finite numbers of at least 0")
    x = torch.zeros_like(b) if start is None else start.clone()
    r = b.clone() if start is None else b - product(start)
    p, square = r, r @ r
    residuals, small = [math.sqrt(square)], tolerance * float(b.norm())
    for _ in range(steps):
        if residuals[-1] <= small:
            break
        Ap = product(p)
        curvature = p @ Ap
        if curvature <= 0:
            return Solution(x, residuals, r, negative=p)
        alpha = square / curvature
        x, r = x + alpha * p, r - alpha * Ap
        before, square = square, r @ r
        p = r + square / before * p
        residuals.append(math.sqrt(square))
    return Solution(x, residuals, r)


# --- Hessian-free optimization --------------------------------------------------------------------


def levenberg_marquardt(damping: float, ratio: float, *, factor: float = 1.5) -> float:
    """The next damping, from the ratio of the loss' fall to the fall that the model predicted.

    Below 1/4 the model promised too much, and the damping grows by ``factor``; above 3/4 it
    shrinks by it; between them it stays (after Marquardt, 1963; the ratio and its numbers as in
    Martens, 2010). A NaN counts as a bad ratio.

    Raises
    ------
    ValueError
        Unless ``damping`` is positive and ``factor`` above 1.
    """
    if not damping > 0:
        raise ValueError(f"damping is {damping}; allowed are numbers above 0")
    if not factor > 1:
        raise ValueError(f"factor is {factor}; allowed are numbers above 1")
    if ratio > 0.75:
        return damping / factor
    return damping if ratio >= 0.25 else damping * factor


@dataclass
class HessianFree:
    """A run of :func:`hessian_free`, finished or in progress.

    Attributes
    ----------
    theta
        The parameters reached, shape ``(n,)``.
    sweeps
        Sweeps over the data when each step ended, from 1: a gradient with its loss and a product
        with ``B`` count one each.
    losses, dampings
        The loss then, and the damping for the next step.
    inner
        Steps of conjugate gradients in each step.
    """

    theta: Tensor
    sweeps: list[int] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    dampings: list[float] = field(default_factory=list)
    inner: list[int] = field(default_factory=list)

    def after(self, sweeps: float) -> float:
        """Loss at the end of the last step that fitted in so many sweeps."""
        return self.losses[max(0, sum(done <= sweeps for done in self.sweeps) - 1)]


def hessian_free(
    outputs: Outputs,
    loss: Loss,
    start: Tensor,
    *,
    sweeps: int,
    damping: float = 1.0,
    inner: int = 50,
    tolerance: float = 1e-2,
    progress: bool = False,
) -> HessianFree:
    """Descend by damped Gauss-Newton steps that are solved by conjugate gradients (Martens, 2010).

    Each step solves ``(B + damping) delta = -gradient`` from 0, takes ``delta`` if the loss falls,
    and moves the damping by :func:`levenberg_marquardt`. Of Martens' recipe it leaves out
    preconditioning, his rule to stop, the search among the iterates of conjugate gradients, their
    start at the last solution, and curvature from a part of the data.

    Parameters
    ----------
    outputs, loss
        As in :func:`gauss_newton`.
    start
        The first parameters, shape ``(n,)``.
    sweeps
        Budget: a gradient with its loss and a product with ``B`` count one each. It is never
        exceeded.
    damping
        The first damping.
    inner, tolerance
        Where conjugate gradients stop: after so many steps, or at this relative residual.
    progress
        Show a progress bar.

    Returns
    -------
    HessianFree
        Interrupting the kernel returns the run as far as it came.

    Raises
    ------
    ValueError
        For an argument out of range.
    """
    if sweeps < 3:
        raise ValueError(f"sweeps is {sweeps}; allowed are integers of at least 3: one step")
    if start.ndim != 1:
        raise ValueError(f"start has shape {tuple(start.shape)}; allowed is (n,)")
    if not damping > 0:
        raise ValueError(f"damping is {damping}; allowed are numbers above 0")
    run = HessianFree(start.detach().clone())
    bar = tqdm(total=sweeps, disable=not progress or is_static(), leave=False, desc="Hessian-free")
    with one_thread(), bar:
        try:
            model = gauss_newton(outputs, loss, run.theta)
            _note(run, 1, model[0], damping, None)  # the loss comes with the gradient
            while run.sweeps[-1] + 2 <= sweeps:
                before = run.sweeps[-1]
                model = _step(run, outputs, loss, model, min(inner, sweeps - before - 1), tolerance)
                bar.update(run.sweeps[-1] - before)
        except KeyboardInterrupt:
            print(f"interrupted after {len(run.inner)} steps: this is the run so far")
    return run


_Model = tuple[Tensor, Tensor, Product]


def _step(
    run: HessianFree, outputs: Outputs, loss: Loss, model: _Model, inner: int, tolerance: float
) -> _Model:
    """One step; the loss at its end comes with the next gradient, in one sweep."""
    value, gradient, product = model
    damping = run.dampings[-1]
    found = conjugate_gradient(
        lambda v: product(v) + damping * v, -gradient, steps=inner, tolerance=tolerance
    )
    delta = found.x
    curved = -gradient @ delta - found.residual @ delta - damping * delta @ delta
    predicted = -(gradient @ delta + curved / 2)
    ahead = gauss_newton(outputs, loss, run.theta + delta)
    fall = value - ahead[0]
    taken = bool(fall > 0)  # neither with a NaN
    if taken:
        run.theta = run.theta + delta
    ratio = float(fall / predicted) if predicted > 0 else math.nan
    sweeps = run.sweeps[-1] + found.steps + 1
    _note(run, sweeps, ahead[0] if taken else value, levenberg_marquardt(damping, ratio), found)
    return ahead if taken else model


def _note(
    run: HessianFree, sweeps: int, value: Tensor, damping: float, found: Solution | None
) -> None:
    run.sweeps.append(sweeps)
    run.losses.append(float(value))
    run.dampings.append(damping)
    if found is not None:
        run.inner.append(found.steps)


# --- minibatches ----------------------------------------------------------------------------------


def minibatch_descent(
    objective: Callable[[Tensor, Tensor], Tensor],
    start: Tensor,
    points: int,
    *,
    seeds: Sequence[int],
    passes: int,
    batch: int,
    optimizer: Optimizer,
) -> tuple[Tensor, Tensor]:
    """Descend on minibatches, for an ensemble of seeds.

    In each pass over the data every point is used once, in an order of the seed's own; a rest that
    fills no minibatch is left out of that pass.

    Parameters
    ----------
    objective
        Mean loss over rows of the data, one number a seed:
        ``((seeds, n), (seeds, batch)) -> (seeds,)``.
    start
        First parameters, shape ``(seeds, n)``.
    points
        Number of points in the data.
    optimizer
        Such as :class:`gan_course.train.SGD` or :class:`gan_course.train.Adam`.

    Returns
    -------
    tuple
        The parameters reached, ``(seeds, n)``, and the objective on all points before the first
        pass and after each, shape ``(seeds, passes + 1)``.

    Raises
    ------
    ValueError
        For an argument out of range.
    """
    if passes < 1:
        raise ValueError(f"passes is {passes}; allowed is an integer of at least 1")
    if not 1 <= batch <= points:
        raise ValueError(f"batch is {batch}; allowed are 1 to {points}, the number of points")
    if start.ndim != 2 or len(start) != len(seeds):
        raise ValueError(f"start has shape {tuple(start.shape)}; allowed is ({len(seeds)}, n)")
    streams = Streams(seeds, role=Role.DATA)
    theta = start.detach().clone().requires_grad_()
    moves = optimizer.build([theta])  # type: ignore[list-item]
    everything = torch.arange(points).expand(len(seeds), points)
    losses = []
    with one_thread():
        for done in range(passes + 1):
            with torch.no_grad():
                losses.append(objective(theta, everything))
            if done < passes:
                order = streams.uniform(1, points)[:, 0].argsort(1)
                for rows in order.split(batch, dim=1)[: points // batch]:
                    (theta.grad,) = torch.autograd.grad(objective(theta, rows).sum(), theta)
                    moves.step()
    return theta.detach(), torch.stack(losses, 1)


# --- projected stochastic gradient descent --------------------------------------------------------


def ball(radius: float, center: ArrayLike = 0.0) -> Projection:
    """Projection onto the closed ball of points at most ``radius`` from ``center``."""
    if not radius > 0:
        raise ValueError(f"radius is {radius}; allowed are numbers above 0")
    middle = torch.as_tensor(center, dtype=torch.float64)

    def nearest(theta: Tensor) -> Tensor:
        offset = theta - middle
        norm = torch.linalg.vector_norm(offset, dim=-1, keepdim=True)
        return torch.where(norm > radius, middle + offset * (radius / norm), theta)

    return nearest


def box(lower: ArrayLike, upper: ArrayLike) -> Projection:
    """Projection onto the box of points between ``lower`` and ``upper``, coordinate by coordinate.

    Each bound is one number or one a coordinate, and may be infinite.
    """
    low, high = (torch.as_tensor(bound, dtype=torch.float64) for bound in (lower, upper))
    if not (low <= high).all():
        raise ValueError(f"lower is {lower!r}; allowed is at most upper, {upper!r}")
    return lambda theta: torch.clamp(theta, low, high)


@torch.no_grad()
def projected_sgd(
    gradient: Callable[[Tensor, Streams], Tensor],
    start: ArrayLike,
    *,
    seeds: Sequence[int],
    steps: int,
    rate: float | Callable[[int], float],
    projection: Projection | None = None,
    at: Iterable[int] | None = None,
) -> Tensor:
    """Projected stochastic gradient descent for an ensemble of seeds, in float64.

    ``theta_1 = start`` and ``theta_{j+1} = P(theta_j - gamma_j G_j)`` for ``j = 1, ..., steps``
    (Robbins and Monro, 1951; Nemirovski et al., 2009).

    Parameters
    ----------
    gradient
        A random gradient a seed at ``theta``: ``((seeds, dim), streams) -> (seeds, dim)``. It takes
        its randomness from ``streams``, as in ``theta - 1 + streams.normal(1, dim)[:, 0]``.
    start
        The first iterate ``theta_1``, shape ``(dim,)`` or ``(seeds, dim)``, a point of the set.
    rate
        The step size ``gamma_j``: a number, or a function of ``j = 1, ..., steps``.
    projection
        Nearest point of the set, such as :func:`ball` or :func:`box`; without one nothing is
        projected, and a seed that diverges goes on to infinity and NaN.
    at
        The indices ``j`` of the iterates that are kept, increasing, from 1 (the start) to
        ``steps + 1`` (the last); by default all of them.

    Returns
    -------
    torch.Tensor
        The iterates ``theta_j``, shape ``(seeds, len(at), dim)``.

    Raises
    ------
    ValueError
        For an argument out of range, a start outside the set, or a gradient of another shape.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; allowed is an integer of at least 1")
    kept = list(range(1, steps + 2)) if at is None else [int(j) for j in at]
    if kept != sorted(set(kept)) or not kept or not 1 <= kept[0] <= kept[-1] <= steps + 1:
        raise ValueError(f"at is {kept}; allowed are increasing integers from 1 to {steps + 1}")
    streams = Streams(seeds, role=Role.DATA)
    theta = torch.as_tensor(start, dtype=torch.float64)
    if theta.ndim not in (1, 2) or (theta.ndim == 2 and len(theta) != len(streams)):
        raise ValueError(f"start has shape {tuple(theta.shape)}; allowed is (dim,) or (seeds, dim)")
    theta = theta.expand(len(streams), theta.shape[-1]).clone()
    if projection is not None and not torch.allclose(projection(theta), theta):
        raise ValueError(f"start is {start!r}; allowed is a point of the set of the projection")
    history = torch.empty(len(streams), len(kept), theta.shape[1], dtype=torch.float64)
    rows = {j: row for row, j in enumerate(kept)}
    for j in range(1, kept[-1] + 1):
        if j in rows:
            history[:, rows[j]] = theta
        if j < kept[-1]:
            slope = gradient(theta, streams)
            if slope.shape != theta.shape:
                raise ValueError(
                    f"gradient gives shape {tuple(slope.shape)}; allowed is {tuple(theta.shape)}"
                )
            theta = theta - (rate(j) if callable(rate) else rate) * slope
            theta = theta if projection is None else projection(theta)
    return history
