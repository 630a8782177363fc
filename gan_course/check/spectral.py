"""Checks of the page "Spectral normalization"."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gan_course.check import exercise, expect, expect_reached, numbers

Array = NDArray[np.float64]

# --- power iteration ------------------------------------------------------------------------------


def _unit(x: Array) -> Array:
    return x / np.linalg.norm(x)


def _pair(W: Array, u: Array, rounds: int) -> tuple[Array, Array]:
    """``u_(k-1)`` and ``v_k`` of the last round."""
    u, v = _unit(u), u
    for k in range(rounds):
        if k:
            u = _unit(W @ v)
        v = _unit(W.T @ u)
    return u, v


def _largest(W: Array, u: Array, rounds: int) -> float:
    return float(np.linalg.norm(W @ _pair(W, u, rounds)[1]))


def _without_lengths(W: Array, u: Array, rounds: int) -> float:
    for _ in range(rounds):
        u = W @ (W.T @ u)
    return float(np.linalg.norm(u))


def _half_normalized(W: Array, u: Array, rounds: int) -> float:
    for _ in range(rounds):
        u = _unit(W @ (W.T @ u))
    return float(np.linalg.norm(W @ (W.T @ u)))


POWERS: dict[str, Callable[[Array, Array, int], float]] = {
    "This is the exact norm: wanted is the estimate after so many rounds.": (
        lambda W, u, rounds: float(np.linalg.norm(W, ord=2))
    ),
    "This is the Frobenius norm, which counts all singular values.": (
        lambda W, u, rounds: float(np.linalg.norm(W))
    ),
    "You stopped half a round too early, at the length of W^T u.": (
        lambda W, u, rounds: float(np.linalg.norm(W.T @ _pair(W, u, rounds)[0]))
    ),
    "You stopped half a round too late: the length of W v is wanted, before a new v.": (
        lambda W, u, rounds: float(np.linalg.norm(W.T @ _unit(W @ _pair(W, u, rounds)[1])))
    ),
    "You did one round more than asked for.": lambda W, u, rounds: _largest(W, u, rounds + 1),
    "You did one round fewer than asked for.": lambda W, u, rounds: _largest(W, u, rounds - 1),
    "This is the estimate's square: W W^T has the squares of the singular values.": (
        lambda W, u, rounds: _largest(W, u, rounds) ** 2
    ),
    "Divide by the length in each half of a round, or the numbers grow without end.": (
        _without_lengths
    ),
    "This is an estimate of the largest eigenvalue of W W^T: a square, half a round later.": (
        _half_normalized
    ),
}
"""What to say where the estimate is that of a known slip."""


@exercise(
    "spectral-power",
    praise="It never exceeds the norm, and grows with every round.",
    wrong=[
        *((slip, hint) for hint, slip in POWERS.items()),
        (lambda W, u, rounds: _pair(W, u, rounds)[1], "wanted is a single number"),
        (lambda W, u, rounds: _largest(W, u, 1), "all numbers of rounds"),
        (lambda W, u, rounds: 2 * _largest(W, u, rounds), "the length of W v"),
        (lambda W, u, rounds: None, "return"),
        (lambda W, u, rounds: math.nan, "NaN"),
    ],
)
def _spectral_power(largest: Callable[..., Any]) -> None:
    rng = np.random.default_rng(1)
    W, u = rng.normal(size=(6, 4)), _unit(rng.normal(size=6))
    cases = (2, 3, 5)
    got = [float(numbers(largest(W.copy(), u.copy(), k), ())) for k in cases]
    for hint, slip in POWERS.items():
        expect(not np.allclose(got, [slip(W, u, k) for k in cases], rtol=1e-9), hint)
    right = [_largest(W, u, k) for k in cases]
    first_alone = np.allclose(got, _largest(W, u, 1), rtol=1e-9)
    expect(not first_alone, "This must work for all numbers of rounds.")
    expect(
        np.allclose(got, right, rtol=1e-9),
        "Each round: v = W^T u, divided by its length, then W v; the estimate is the length of W v"
        " in the last round.",
    )
    once = float(numbers(largest(W.copy(), u.copy(), 1), ()))
    expect(math.isclose(once, _largest(W, u, 1), rel_tol=1e-9), "One round is wrong: rounds = 1.")


# --- the number of rounds -------------------------------------------------------------------------


def _smallest(exponent: Callable[[int], float], r: float, T: float, eps: float) -> int:
    k = 1
    while r ** exponent(k) * T > eps:
        k += 1
    return k


def _rounds(r: float, T: float, eps: float) -> int:
    return _smallest(lambda k: 4 * k - 2, r, T * T, eps)


def _solved(r: float, T: float, eps: float) -> float:
    return (math.log(T * T / eps) / math.log(1 / r) + 2) / 4


COUNTS: dict[str, Callable[[float, float, float], float]] = {
    "This is the exponent 2 k of the vector: the value converges twice as fast.": (
        lambda r, T, eps: _smallest(lambda k: 2 * k, r, T, eps)
    ),
    "This is the exponent 2 k of the vector, with the square of T: the value has 4 k - 2.": (
        lambda r, T, eps: _smallest(lambda k: 2 * k, r, T * T, eps)
    ),
    "The tangent counts with its square.": (
        lambda r, T, eps: _smallest(lambda k: 4 * k - 2, r, T, eps)
    ),
    "The tangent of the start is missing: a bad start takes longer.": (
        lambda r, T, eps: _smallest(lambda k: 4 * k - 2, r, 1.0, eps)
    ),
    "The exponent is 4 k - 2, not 4 k; and round up, not to the nearest whole number.": (
        lambda r, T, eps: _smallest(lambda k: 4 * k, r, T * T, eps)
    ),
    "Round up: one round fewer does not reach eps.": lambda r, T, eps: _rounds(r, T, eps) - 1,
    "One round fewer is enough.": lambda r, T, eps: _rounds(r, T, eps) + 1,
    "This is the bound without a gap: with r it needs far fewer rounds.": (
        lambda r, T, eps: max(1, math.ceil(T * T / (4 * eps)))
    ),
    "A number of rounds is a whole number: round up.": _solved,
}
"""What to say where the counts are those of a known slip."""


@exercise(
    "spectral-rounds",
    praise="At r = 0.99 it takes hundreds of rounds: no wonder that u is kept between steps.",
    wrong=[
        *((slip, hint) for hint, slip in COUNTS.items()),
        (lambda r, T, eps: round(_solved(r, T, eps)), "round up, not to the nearest"),
        (lambda r, T, eps: math.ceil(_solved(r, T, eps)), "at least one round"),
        (lambda r, T, eps: math.ceil(_solved(r, T, eps)) or 1, "at least one round"),
        (lambda r, T, eps: max(1, math.floor(_solved(r, T, eps)) + 1), "no further round"),
        (lambda r, T, eps: [_rounds(r, T, eps)], "wanted is a single number"),
        (lambda r, T, eps: 7 * _rounds(r, T, eps), "smallest k"),
        (lambda r, T, eps: None, "return"),
        (lambda r, T, eps: math.nan, "NaN"),
    ],
)
def _spectral_rounds(rounds_needed: Callable[..., Any]) -> None:
    cases = ((0.9, 3.0, 1e-3), (0.99, 20.0, 1e-2), (0.5, 30.0, 1e-6))
    got = [float(numbers(rounds_needed(*case), ())) for case in cases]
    for hint, slip in COUNTS.items():
        known = [slip(*case) for case in cases]
        expect(not np.allclose(got, known, rtol=1e-9, atol=0), hint)
    right = [_rounds(*case) for case in cases]
    expect(got == right, "Find the smallest k with r^(4 k - 2) T^2 <= eps.")
    for start in ((0.5, 0.1, 0.3), (0.9, 0.01, 0.5)):
        good = float(numbers(rounds_needed(*start), ()))
        expect(good == 1, "Do at least one round, also from a very good start: k >= 1.")
    ties = range(2, 12)
    got = [float(numbers(rounds_needed(0.5, 1.0, 0.5 ** (4 * k - 2)), ())) for k in ties]
    hint = "At most eps is wanted: where the bound is eps exactly, no further round is needed."
    expect_reached(got, ties, hint)


# --- the gradient through the normalization -------------------------------------------------------


def _gradient(G: Array, W: Array, u: Array, v: Array) -> Array:
    s = float(u @ W @ v)
    return (G - (G * W).sum() / s * np.outer(u, v)) / s


def _norm(u: Array, W: Array, v: Array) -> float:
    return float(u @ W @ v)


GRADIENTS: dict[str, Callable[[Array, Array, Array, Array], Array]] = {
    "You took s as a constant: it moves with W.": lambda G, W, u, v: G / _norm(u, W, v),
    "This is G itself: the chain rule is missing.": lambda G, W, u, v: G,
    "u and v need not be singular vectors: s is u^T W v, and not the norm of W.": (
        lambda G, W, u, v: (
            (G - (G * W).sum() / np.linalg.norm(W, 2) * np.outer(u, v)) / np.linalg.norm(W, 2)
        )
    ),
    "You removed the part of G along u v^T; the factor is the inner product of G with W / s.": (
        lambda G, W, u, v: (G - (u @ G @ v) * np.outer(u, v)) / _norm(u, W, v)
    ),
    "You removed the part of G along u v^T, and a division by s is missing.": (
        lambda G, W, u, v: G - (u @ G @ v) * np.outer(u, v)
    ),
    "The division by s is missing: the longer W is, the smaller the gradient.": (
        lambda G, W, u, v: _gradient(G, W, u, v) * _norm(u, W, v)
    ),
    "The inner product is that of G with the normalized matrix W / s.": (
        lambda G, W, u, v: (G - (G * W).sum() * np.outer(u, v)) / _norm(u, W, v)
    ),
    "Check the sign: a longer W makes W / s no longer.": (
        lambda G, W, u, v: (G + (G * W).sum() / _norm(u, W, v) * np.outer(u, v)) / _norm(u, W, v)
    ),
    "This is the gradient through the Frobenius norm: s has the gradient u v^T.": (
        lambda G, W, u, v: (G - (G * W).sum() / (W * W).sum() * W) / _norm(u, W, v)
    ),
    "Divide by s once only, after the subtraction.": (
        lambda G, W, u, v: _gradient(G, W, u, v) / _norm(u, W, v)
    ),
}
"""What to say where the gradient is that of a known slip."""


@exercise(
    "spectral-gradient",
    praise="It is orthogonal to W, although u and v are no singular vectors here.",
    wrong=[
        *((slip, hint) for hint, slip in GRADIENTS.items()),
        (lambda G, W, u, v: _gradient(G, W, u, v).T, "has shape (3, 5)"),
        (lambda G, W, u, v: 2 * _gradient(G, W, u, v), "the quotient rule"),
        (lambda G, W, u, v: None, "return"),
        (lambda G, W, u, v: np.full(W.shape, np.nan), "NaN"),
    ],
)
def _spectral_gradient(raw_gradient: Callable[..., Any]) -> None:
    rng = np.random.default_rng(2)
    G, W = rng.normal(size=(2, 5, 3))
    u, v = _unit(rng.normal(size=5)), _unit(rng.normal(size=3))
    if u @ W @ v < 0:
        u = -u
    got = numbers(raw_gradient(G.copy(), W.copy(), u.copy(), v.copy()), W.shape)
    for hint, slip in GRADIENTS.items():
        expect(not np.allclose(got, slip(G, W, u, v)), hint)
    expect(
        np.allclose(got, _gradient(G, W, u, v)),
        "Use the quotient rule for W / s, with the gradient u v^T of s.",
    )


# --- the norm of a convolution --------------------------------------------------------------------


def _circular(kernel: Array, n: int) -> float:
    return float(abs(np.fft.fft2(kernel, (n, n))).max())


CONVOLUTIONS: dict[str, Callable[[Array, int], float]] = {
    "This is the norm of the kernel as one row: that is what reshaping sees.": (
        lambda kernel, n: float(np.linalg.norm(kernel))
    ),
    "This is the upper bound, k times the norm of the reshaped kernel.": (
        lambda kernel, n: float(len(kernel) * np.linalg.norm(kernel))
    ),
    "The kernel is not the matrix of the map: this is the norm of a k x k matrix.": (
        lambda kernel, n: float(np.linalg.norm(kernel, ord=2))
    ),
    "This is the frequency 0 alone: look for the largest of all frequencies.": (
        lambda kernel, n: float(abs(kernel.sum()))
    ),
    "This is the sum of absolute entries, which is only an upper bound.": (
        lambda kernel, n: float(abs(kernel).sum())
    ),
    "Only frequencies of a k x k picture: fill the kernel up with zeros to n x n.": (
        lambda kernel, n: float(abs(np.fft.fft2(kernel)).max())
    ),
    "Only a quarter of the frequencies: the real kernel's symmetry gives half of them, not more.": (
        lambda kernel, n: float(abs(np.fft.fft2(kernel, (n, n)))[: n // 2 + 1, : n // 2 + 1].max())
    ),
    "The values are complex: take absolute values, not real parts.": (
        lambda kernel, n: float(np.fft.fft2(kernel, (n, n)).real.max())
    ),
    "This is the square of the norm.": lambda kernel, n: _circular(kernel, n) ** 2,
    "Divide by nothing: fft2 as it is has the right scale.": (
        lambda kernel, n: _circular(kernel, n) / n
    ),
    "This is the norm of the table of all frequencies: take its largest absolute value.": (
        lambda kernel, n: float(np.linalg.norm(np.fft.fft2(kernel, (n, n)), ord=2))
    ),
}
"""What to say where the norm is that of a known slip."""


@exercise(
    "spectral-convolution",
    praise="For a kernel of ones it is k times the norm of the reshaped kernel.",
    wrong=[
        *((slip, hint) for hint, slip in CONVOLUTIONS.items()),
        (lambda kernel, n: abs(np.fft.fft2(kernel, (n, n))), "has shape (7, 7)"),
        (lambda kernel, n: 2 * _circular(kernel, n), "largest absolute value"),
        (lambda kernel, n: None, "return"),
        (lambda kernel, n: math.nan, "NaN"),
    ],
)
def _spectral_convolution(circular_norm: Callable[..., Any]) -> None:
    rng = np.random.default_rng(3)
    wave = np.cos(2 * np.subtract.outer(np.arange(4), np.arange(4)))  # rows against columns
    cases = ((rng.normal(size=(3, 3)), 7), (rng.normal(size=(5, 5)), 9), (wave, 9))
    got = [float(numbers(circular_norm(kernel.copy(), n), ())) for kernel, n in cases]
    for hint, slip in CONVOLUTIONS.items():
        expect(not np.allclose(got, [slip(*case) for case in cases], rtol=1e-6), hint)
    expect(
        np.allclose(got, [_circular(*case) for case in cases], rtol=1e-6),
        "The largest absolute value of the kernel's Fourier transform on n x n frequencies.",
    )
