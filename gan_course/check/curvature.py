"""Checks of the page "Curvature without matrices"."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.func import grad, hessian, jvp, vjp

from gan_course.check import exercise, expect, numbers
from gan_course.optimize import peak_memory

Array = NDArray[np.float64]
Tensor = torch.Tensor
Loss = Callable[[Tensor], Tensor]

# --- a product with the Hessian -------------------------------------------------------------------


def _product(loss: Loss, theta: Tensor, v: Tensor) -> Tensor:
    return jvp(grad(loss), (theta,), (v,))[1]


PRODUCTS: dict[str, Callable[[Loss, Tensor, Tensor], Tensor]] = {
    "This is the gradient at theta: the vector v does not enter.": (
        lambda loss, theta, v: grad(loss)(theta)
    ),
    "This is v itself.": lambda loss, theta, v: v,
    "This is the gradient at theta + v: take the derivative along v, at theta.": (
        lambda loss, theta, v: grad(loss)(theta + v)
    ),
    "This is the change of the gradient over a whole step v: take the derivative at theta.": (
        lambda loss, theta, v: grad(loss)(theta + v) - grad(loss)(theta)
    ),
    "This is the outer product of the gradient with itself, times v: no second derivative.": (
        lambda loss, theta, v: grad(loss)(theta) * (grad(loss)(theta) @ v)
    ),
    "This is the gradient times v, entry by entry: no second derivative.": (
        lambda loss, theta, v: grad(loss)(theta) * v
    ),
    "You multiplied the Hessian by theta: it is wanted times v.": (
        lambda loss, theta, v: _product(loss, theta, theta)
    ),
    "This is the Hessian's diagonal times v: the other entries count, too.": (
        lambda loss, theta, v: torch.diagonal(hessian(loss)(theta)) * v
    ),
    "You multiplied by the Hessian twice.": (
        lambda loss, theta, v: _product(loss, theta, _product(loss, theta, v))
    ),
    "The sign is wrong: this is -H v.": lambda loss, theta, v: -_product(loss, theta, v),
    "This is half of H v: the model's factor 1/2 does not belong to the product.": (
        lambda loss, theta, v: _product(loss, theta, v) / 2
    ),
    "You took the Hessian at v: it is wanted at theta, times v.": (
        lambda loss, theta, v: _product(loss, v, theta)
    ),
}
"""What to say where the product is that of a known slip."""


def _bent(theta: Tensor) -> Tensor:
    """A loss whose Hessian is neither constant nor diagonal."""
    near = theta[1:] * theta[:-1]
    return (theta.sin() + 0.3 * theta**2).sum() + near.square().sum() + 0.2 * theta.sum() ** 3


def _long(theta: Tensor) -> Tensor:
    return theta.cos().sum() + (theta[1:] * theta[:-1]).sum() + theta.mean() ** 2


@exercise(
    "curvature-hvp",
    praise="It agrees with the explicit matrix, and with 20,000 parameters it needs none.",
    wrong=[
        *((slip, hint) for hint, slip in PRODUCTS.items()),
        (lambda loss, theta, v: v @ _product(loss, theta, v), "is a single number"),
        (lambda loss, theta, v: jvp(loss, (theta,), (v,))[1], "the slope of the loss along v"),
        (lambda loss, theta, v: grad(loss)(theta) @ v, "the slope of the loss along v"),
        (lambda loss, theta, v: hessian(loss)(theta), "has shape (6, 6)"),
        (lambda loss, theta, v: hessian(loss)(theta) @ v, "the memory of a whole matrix"),
        (lambda loss, theta, v: jvp(grad(loss), (theta,), (v,)), "a pair"),
        (lambda loss, theta, v: vjp(grad(loss), theta)[1](v), "take its first entry"),
        (lambda loss, theta, v: grad(grad(loss))(theta) * v, "`grad` wants a function"),
        (lambda loss, theta, v: 3 * _product(loss, theta, v), "derivative of the gradient"),
        (
            lambda loss, theta, v: (
                (grad(loss)(theta + 1e-2 * v) - grad(loss)(theta - 1e-2 * v)) / 2e-2
            ),
            "differences",
        ),
        (
            lambda loss, theta, v: (
                (grad(loss)(theta + 1e-5 * v) - grad(loss)(theta - 1e-5 * v)) / 2e-5
            ),
            "differences",
        ),
        (lambda loss, theta, v: _product(loss, theta.float(), v.float()), "float32"),
        (
            lambda loss, theta, v: _product(loss, theta, v) * (1 if len(v) < 10 else 2),
            "20,000",
        ),
        (lambda loss, theta, v: None, "return"),
        (lambda loss, theta, v: torch.full_like(v, math.nan), "NaN"),
    ],
)
def _curvature_hvp(hessian_product: Callable[..., Any]) -> None:
    source = torch.Generator().manual_seed(1)
    theta, v = torch.randn(2, 6, generator=source, dtype=torch.float64)
    got, right = _answer(hessian_product, theta, v), _product(_bent, theta, v).numpy()
    for hint, slip in PRODUCTS.items():
        expect(not np.allclose(got, slip(_bent, theta, v).numpy(), rtol=1e-7), hint)
    close = np.allclose(got, right, rtol=1e-12, atol=1e-12)
    expect(
        close or not np.allclose(got, right, rtol=1e-2),
        "Nearly: this looks like differences, or like float32. Automatic differentiation in "
        "float64 is exact up to rounding.",
    )
    expect(close, "H v is the derivative of the gradient along v, at theta.")
    theta, v = torch.randn(2, 400, generator=source, dtype=torch.float64)
    used = peak_memory(lambda: hessian_product(_long, theta.clone(), v.clone()))
    expect(
        used < 100 * 400 * 8,  # a hundred vectors; the matrix is four hundred
        "This takes the memory of a whole matrix, which is gigabytes with 20,000 parameters: take "
        "the derivative of the gradient along v.",
    )
    theta, v = torch.randn(2, 20_000, generator=source, dtype=torch.float64)
    got = numbers(hessian_product(_long, theta.clone(), v.clone()), (20_000,))
    long = np.allclose(got, _product(_long, theta, v).numpy(), rtol=1e-7)
    expect(long, "With 20,000 parameters, in float64, the product is wrong.")


def _answer(hessian_product: Callable[..., Any], theta: Tensor, v: Tensor) -> Array:
    """The student's product, shape (6,), or what is not one."""
    try:
        answer = hessian_product(_bent, theta.clone(), v.clone())
    except RuntimeError as error:
        expect(
            "scalar tensor" not in str(error).lower(),
            "`grad` wants a function whose value is a number. The gradient is a vector: take its "
            "derivative along v with `jvp`.",
        )
        raise
    if isinstance(answer, tuple):
        expect(len(answer) != 2, "You return a pair, as `jvp` does: the product alone is wanted.")
        expect(
            len(answer) != 1,
            "You return a tuple, as the function does that `vjp` gives: take its first entry.",
        )
    got = numbers(answer)
    expect(
        got.shape != () or not np.allclose(got, (grad(_bent)(theta) @ v).numpy()),
        "This is the slope of the loss along v, a number: its gradient is H v.",
    )
    return numbers(got, (6,))


# --- one step of conjugate gradients --------------------------------------------------------------

Step = tuple[Array, Array, Array]


def _step(A: Array, x: Array, r: Array, p: Array) -> Step:
    Ap = A @ p
    alpha = (r @ r) / (p @ Ap)
    new = r - alpha * Ap
    return x + alpha * p, new, new + (new @ new) / (r @ r) * p


def _with(A: Array, x: Array, r: Array, p: Array, alpha: float, beta: float | None = None) -> Step:
    """A step of a given length, with the page's beta unless another one is given."""
    new = r - alpha * (A @ p)
    factor = (new @ new) / (r @ r) if beta is None else beta
    return x + alpha * p, new, new + factor * p


def _alpha(A: Array, r: Array, p: Array) -> float:
    return float((r @ r) / (p @ A @ p))


def _along_residual(A: Array, x: Array, r: Array, p: Array) -> Step:
    alpha = (r @ r) / (r @ A @ r)
    new = r - alpha * (A @ r)
    return x + alpha * r, new, new + (new @ new) / (r @ r) * r


STEPS: dict[str, Callable[[Array, Array, Array, Array], Step]] = {
    "This is a step of steepest descent: walk along p, not along r.": _along_residual,
    "The length has p^T A p below, not r^T A r.": (
        lambda A, x, r, p: _with(A, x, r, p, float((r @ r) / (r @ A @ r)))
    ),
    "The length has |r|^2 above, not |p|^2.": (
        lambda A, x, r, p: _with(A, x, r, p, float((p @ p) / (p @ A @ p)))
    ),
    "The length has |r|^2 above, not |r|.": (
        lambda A, x, r, p: _with(A, x, r, p, float(np.linalg.norm(r) / (p @ A @ p)))
    ),
    "The length is turned upside down.": (
        lambda A, x, r, p: _with(A, x, r, p, 1 / _alpha(A, r, p))
    ),
    "The new direction is the new residual alone: add beta p.": (
        lambda A, x, r, p: _with(A, x, r, p, _alpha(A, r, p), 0.0)
    ),
    "beta is turned upside down: the new residual's square belongs above.": (
        lambda A, x, r, p: _with(
            A,
            x,
            r,
            p,
            _alpha(A, r, p),
            float((r @ r) / np.sum(_step(A, x, r, p)[1] ** 2)),
        )
    ),
    "beta is 1 here: you overwrote the old residual before you used it.": (
        lambda A, x, r, p: _with(A, x, r, p, _alpha(A, r, p), 1.0)
    ),
    "beta is the ratio of the squares, not of the lengths.": (
        lambda A, x, r, p: _with(
            A,
            x,
            r,
            p,
            _alpha(A, r, p),
            float(np.linalg.norm(_step(A, x, r, p)[1]) / np.linalg.norm(r)),
        )
    ),
    "The sign of beta is wrong.": (
        lambda A, x, r, p: _with(
            A, x, r, p, _alpha(A, r, p), -float(np.sum(_step(A, x, r, p)[1] ** 2) / (r @ r))
        )
    ),
    "The new direction starts from the new residual, not from the old one.": (
        lambda A, x, r, p: (
            *_step(A, x, r, p)[:2],
            r + float(np.sum(_step(A, x, r, p)[1] ** 2) / (r @ r)) * p,
        )
    ),
    "beta multiplies the old direction p, not the old residual.": (
        lambda A, x, r, p: (
            *_step(A, x, r, p)[:2],
            _step(A, x, r, p)[1] + float(np.sum(_step(A, x, r, p)[1] ** 2) / (r @ r)) * r,
        )
    ),
    "The residual falls by alpha A p, and not by alpha p.": (
        lambda A, x, r, p: (
            x + _alpha(A, r, p) * p,
            r - _alpha(A, r, p) * p,
            r - _alpha(A, r, p) * p + float(np.sum((r - _alpha(A, r, p) * p) ** 2) / (r @ r)) * p,
        )
    ),
    "The residual must fall: subtract alpha A p.": (
        lambda A, x, r, p: (
            x + _alpha(A, r, p) * p,
            r + _alpha(A, r, p) * (A @ p),
            r
            + _alpha(A, r, p) * (A @ p)
            + float(np.sum((r + _alpha(A, r, p) * (A @ p)) ** 2) / (r @ r)) * p,
        )
    ),
    "x moves by +alpha p: p points downhill already.": (
        lambda A, x, r, p: (x - _alpha(A, r, p) * p, *_step(A, x, r, p)[1:])
    ),
}
"""What to say where the step is that of a known slip."""


def _near(step: Step, other: Step) -> bool:
    return all(np.allclose(a, b, rtol=1e-8) for a, b in zip(step, other, strict=True))


@exercise(
    "curvature-step",
    praise="The new residual is orthogonal to the old one, and the new direction conjugate.",
    wrong=[
        *((slip, hint) for hint, slip in STEPS.items()),
        (lambda A, x, r, p: _step(A, x, r, p)[0], "a triple"),
        (lambda A, x, r, p: _step(A, x, r, p)[:2], "a triple"),
        (lambda A, x, r, p: np.linalg.solve(A, r + A @ x), "a triple"),
        (lambda A, x, r, p: np.array(_step(A, x, r, p)), "a tuple of three arrays"),
        (lambda A, x, r, p: [_step(A, x, r, p)[k] for k in (1, 0, 2)], "The order is x, r, p."),
        (lambda A, x, r, p: [_step(A, x, r, p)[k] for k in (2, 1, 0)], "The order is x, r, p."),
        (lambda A, x, r, p: (x, r - _alpha(A, r, p) * A * p, p), "the product is `A @ p`"),
        (lambda A, x, r, p: (x + r @ r / (p * A * p) * p, r, p), "the product is `A @ p`"),
        (lambda A, x, r, p: tuple(A @ y for y in (x, r, p)), "x_(k+1) is wrong"),
        (lambda A, x, r, p: (_step(A, x, r, p)[0], r, p), "r_(k+1) is wrong"),
        (lambda A, x, r, p: (*_step(A, x, r, p)[:2], p), "p_(k+1) is wrong"),
        (lambda A, x, r, p: (None, r, p), "return"),
        (lambda A, x, r, p: (x, r, p * math.nan), "NaN"),
        (lambda A, x, r, p: None, "return"),
    ],
)
def _curvature_step(cg_step: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    root, x = rng.normal(size=(5, 5)), rng.normal(size=5)
    A = root @ root.T + np.eye(5)
    r = rng.normal(size=5)
    state = _step(A, x, r, r)  # a state in which p differs from r
    answer = cg_step(A.copy(), *(part.copy() for part in state))
    expect(answer is not None, "Your function returns nothing: is a `return` missing?")
    triple = isinstance(answer, (tuple, list)) and len(answer) == 3
    expect(triple, "Return a triple, a tuple of three arrays: x, r and p after the step.")
    expect(
        all(np.shape(part) != (5, 5) for part in answer),
        "A matrix has come out: `*` multiplies entry by entry, and the product is `A @ p`.",
    )
    x1, r1, p1 = (numbers(part, (5,)) for part in answer)
    got, right = (x1, r1, p1), _step(A, *state)
    for i, j, k in itertools.islice(itertools.permutations(range(3)), 1, None):
        expect(not _near(got, (right[i], right[j], right[k])), "The order is x, r, p.")
    for hint, slip in STEPS.items():
        expect(not _near(got, slip(A, *state)), hint)
    for name, ours, theirs in zip("xrp", right, got, strict=True):
        expect(
            np.allclose(ours, theirs, rtol=1e-8),
            f"{name}_(k+1) is wrong: compare it with the definition, line by line.",
        )


# --- Levenberg and Marquardt ----------------------------------------------------------------------

Arguments = tuple[float, float, float, Array, Array, Array]


def _rule(damping: float, ratio: float) -> float:
    if ratio < 0.25:
        return damping * 1.5
    return damping / 1.5 if ratio > 0.75 else damping


def _fall(g: Array, B: Array, delta: Array) -> float:
    return -float(g @ delta + delta @ B @ delta / 2)


def _next(damping: float, before: float, after: float, g: Array, B: Array, delta: Array) -> float:
    return _rule(damping, (before - after) / _fall(g, B, delta))


def _turned(d: float, before: float, after: float, g: Array, B: Array, delta: Array) -> float:
    return d * d / _next(d, before, after, g, B, delta)


DAMPINGS: dict[str, Callable[..., float]] = {
    "The damping goes the wrong way: a kept promise earns less of it.": _turned,
    "The ratio is upside down: the actual fall belongs above, the promised one below.": (
        lambda d, before, after, g, B, delta: _rule(d, _fall(g, B, delta) / (before - after))
    ),
    "The promise is that of the gradient alone: the model's curvature is missing.": (
        lambda d, before, after, g, B, delta: _rule(d, (before - after) / -(g @ delta))
    ),
    "The factor 1/2 of the model's curvature is missing.": (
        lambda d, before, after, g, B, delta: _rule(
            d, (before - after) / -(g @ delta + delta @ B @ delta)
        )
    ),
    "The model's curvature lowers the promise: subtract delta^T B delta / 2.": (
        lambda d, before, after, g, B, delta: _rule(
            d, (before - after) / -(g @ delta - delta @ B @ delta / 2)
        )
    ),
    "The damping does not belong to the promise: use m_B.": (
        lambda d, before, after, g, B, delta: _rule(
            d, (before - after) / (_fall(g, B, delta) - d * (delta @ delta) / 2)
        )
    ),
    "Check the signs: both falls are positive when the step is good.": (
        lambda d, before, after, g, B, delta: _rule(d, -(before - after) / _fall(g, B, delta))
    ),
    "Between 1/4 and 3/4 the damping stays.": (
        lambda d, before, after, g, B, delta: (
            d * 1.5 if (before - after) / _fall(g, B, delta) < 0.5 else d / 1.5
        )
    ),
    "Below 1/4 the damping grows, and not below 3/4: between them it stays.": (
        lambda d, before, after, g, B, delta: (
            d * 1.5 if (before - after) / _fall(g, B, delta) < 0.75 else d / 1.5
        )
    ),
    "Above 3/4 the damping shrinks, and not above 1/4: between them it stays.": (
        lambda d, before, after, g, B, delta: (
            d * 1.5 if (before - after) / _fall(g, B, delta) < 0.25 else d / 1.5
        )
    ),
    "The factors are 3/2 and 2/3.": (
        lambda d, before, after, g, B, delta: (
            d * (_next(d, before, after, g, B, delta) / d) ** (math.log(2) / math.log(1.5))
        )
    ),
    "This is the ratio: return the damping that follows from it.": (
        lambda d, before, after, g, B, delta: (before - after) / _fall(g, B, delta)
    ),
    "This is the factor: multiply the damping by it.": (
        lambda d, before, after, g, B, delta: _next(d, before, after, g, B, delta) / d
    ),
    "A step that raised the loss needs more damping: its ratio is negative.": (
        lambda d, before, after, g, B, delta: _rule(d, abs(before - after) / _fall(g, B, delta))
    ),
    "A step that raised the loss still moves the damping: it grows.": (
        lambda d, before, after, g, B, delta: (
            d if after > before else _next(d, before, after, g, B, delta)
        )
    ),
    "The rule says below 1/4 and above 3/4: at these ratios themselves the damping stays.": (
        lambda d, before, after, g, B, delta: _rule(
            d, 0.5 + (1 + 1e-9) * ((before - after) / _fall(g, B, delta) - 0.5)
        )
    ),
    "The damping never moves.": lambda d, before, after, g, B, delta: d,
}
"""What to say where the dampings are those of a known slip."""


def _cases() -> list[Arguments]:
    """Steps whose ratios are known: all regions, near all limits, and (without rounding) at two."""
    rng = np.random.default_rng(3)
    root = rng.normal(size=(4, 4))
    B, g, damping = root @ root.T, rng.normal(size=4), 0.8
    delta = np.float64(-0.7) * np.asarray(np.linalg.solve(B + damping * np.eye(4), g), np.float64)
    ratios = (-1.0, *np.arange(-0.485, 2.0, 0.02), 5.0)
    promised = _fall(g, B, delta)
    cases = [(damping, 2.0, 2.0 - ratio * promised, g, B, delta) for ratio in ratios]
    one = np.eye(4)[0]  # promises 4
    return cases + [(damping, 8.0, after, -5 * one, 2 * np.eye(4), one) for after in (7.0, 5.0)]


@exercise(
    "curvature-damping",
    praise="It grows when the model promises too much, also when the loss has risen.",
    wrong=[
        *((slip, hint) for hint, slip in DAMPINGS.items()),
        (lambda d, *rest: [_next(d, *rest)], "wanted is a single number"),
        (lambda d, *rest: 3 * _next(d, *rest), "Compute the ratio"),
        (
            lambda d, before, after, g, B, delta: _rule(
                d, (before - after) / -(g * delta + delta @ B @ delta / 2)
            ),
            "the inner product is `g @ delta`",
        ),
        (lambda d, *rest: None, "return"),
        (lambda d, *rest: math.nan, "NaN"),
    ],
)
def _curvature_damping(next_damping: Callable[..., Any]) -> None:
    cases = _cases()
    try:
        got = [
            float(numbers(next_damping(d, before, after, g.copy(), B.copy(), delta.copy()), ()))
            for d, before, after, g, B, delta in cases
        ]
    except ValueError as error:
        expect(
            "truth value of an array" not in str(error),
            "You compare an array with a number: `*` multiplies entry by entry, and the inner "
            "product is `g @ delta`.",
        )
        raise
    for hint, slip in DAMPINGS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-9), hint)
    right = [_next(*case) for case in cases]
    expect(
        np.allclose(got, right, rtol=1e-9),
        "Compute the ratio of the actual fall of the loss to the promised one, then use the rule.",
    )
