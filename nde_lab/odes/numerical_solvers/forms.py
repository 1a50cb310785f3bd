"""Closed forms of the chapter: growth factors of one step, boundaries of stability, and the solutions they are
held to.

Complex numbers are pairs (real part, imaginary part) of tensors, because the page's programs know real numbers
only. Sources: Hairer and Wanner, "Solving Ordinary Differential Equations II" (1996), sections IV.2 and IV.3
(stability); Kidger, "On Neural Differential Equations" (2022; reversible Heun); Kloeden and Platen (1992),
section 4.4 (linear SDEs that can be solved).
"""
from __future__ import annotations

import cmath
import math

import torch
from torch import Tensor

Pair = tuple[Tensor, Tensor]

# One explicit Runge-Kutta step on y' = lambda y multiplies y by R(q), q = h lambda, a polynomial: these
# coefficients. The first p + 1 of a method of order p are those of e^q.
GROWTH = {"euler": (1.0, 1.0), "midpoint": (1.0, 1.0, 1 / 2), "bosh3": (1.0, 1.0, 1 / 2, 1 / 6),
          "rk4": (1.0, 1.0, 1 / 2, 1 / 6, 1 / 24), "dopri5": (1.0, 1.0, 1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 600)}


def times(a: Pair, b: Pair) -> Pair:
    """The product of two complex numbers."""
    return a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]


def size(a: Pair) -> Tensor:
    """The absolute value of a complex number."""
    return torch.sqrt(a[0] * a[0] + a[1] * a[1])


def root(a: Pair) -> Pair:
    """The square root with non-negative real part.

    The larger part is taken as a root, the smaller one as a quotient: a difference of two nearly equal sizes would
    lose half the digits.
    """
    large = torch.sqrt((size(a) + a[0].abs()) / 2)
    small = a[1].abs() / (2 * torch.where(large > 0, large, torch.ones_like(large)))
    right = a[0] >= 0
    real, imaginary = torch.where(right, large, small), torch.where(right, small, large)
    return real, torch.where(a[1] < 0, -imaginary, imaginary)


def growth(method: str, q: Pair) -> Tensor:
    """|R(q)|: what one step of ``method`` multiplies |y| by, on y' = lambda y with q = h lambda.

    method: a key of GROWTH, "implicit euler" (1 / (1 - q)), "trapezoid" ((1 + q/2) / (1 - q/2)), "reversible
    heun" (the larger of its two roots) or "exact" (|e^q|). ValueError for another name.
    """
    re, im = q
    if method == "exact":
        return torch.exp(re)
    if method == "implicit euler":
        return 1 / size((1 - re, im))
    if method == "trapezoid":
        return size((1 + re / 2, im / 2)) / size((1 - re / 2, im / 2))
    if method == "reversible heun":
        return torch.maximum(*map(size, reversible_heun_roots(q)))
    if method not in GROWTH:
        raise ValueError(f"no growth factor for method {method!r}; known: {', '.join(GROWTH)}, implicit euler, "
                         "trapezoid, reversible heun, exact")
    *rest, last = GROWTH[method]
    value = (last + 0 * re, 0 * im)
    for c in reversed(rest):
        real, imaginary = times(value, q)
        value = (real + c, imaginary)
    return size(value)


def reversible_heun_roots(q: Pair) -> tuple[Pair, Pair]:
    """The two factors q + sqrt(1 + q^2) (close to e^q) and q - sqrt(1 + q^2) (the parasite), of product -1.

    They are the eigenvalues of the update of (y, y^), ((1 + q, q^2/2), (2, q - 1)), of trace 2q and determinant
    -1. Both have size 1 exactly when q lies on the imaginary axis between -i and i; at q = i and q = -i they
    coincide and the matrix is not diagonal, so that y still grows, like the number of steps.
    """
    re, im = q
    square = times(q, q)
    s = root((1 + square[0], square[1]))
    return (re + s[0], im + s[1]), (re - s[0], im - s[1])


def reversible_heun(f, t: float, y: Tensor, h: float, steps: int) -> Tensor:
    """All states (steps + 1, *y.shape) of the reversible Heun method for y' = f(t, y): the thesis's scheme, no
    noise.

    y^' = 2y - y^ + h f,  f' = f(t + h, y^'),  y' = y + h (f + f') / 2, started at y^ = y. One evaluation a
    step.
    """
    hat, slope, states = y, f(t, y), [y]
    for k in range(steps):
        hat = 2 * y - hat + h * slope
        new = f(t + (k + 1) * h, hat)
        y, slope = y + h / 2 * (slope + new), new
        states.append(y)
    return torch.stack(states)


def boundary(method: str, points: int = 240) -> tuple[list[float], list[float]]:
    """The closed curve |R(q)| = 1 of an explicit method that starts at 0, as real and imaginary parts.

    Followed by Newton's method: R(q) = e^{i angle}, where the angle turns once for every zero of R inside. (For
    dopri5 these are four of six: two small islands to the right of the imaginary axis are not drawn.)
    """
    c = GROWTH[method]
    turns = len(c) - 1
    q, curve = 0j, [0j]
    for k in range(1, points * turns + 1):
        target = cmath.exp(2j * math.pi * k / points)
        for _ in range(20):
            value = sum(a * q**i for i, a in enumerate(c)) - target
            slope = sum(i * a * q ** (i - 1) for i, a in enumerate(c) if i)
            q -= value / slope
            if abs(value) < 1e-13:
                break
        curve.append(q)
        if k % points == 0 and abs(q) < 1e-6:
            break
    return [z.real for z in curve], [z.imag for z in curve]


def gbm_exact(W: Tensor, t: Tensor, *, gamma, sigma, calculus: str = "ito") -> Tensor:
    """X_t of dX = gamma X dt + sigma X dW from X_0 = 1: exp((gamma - sigma^2/2) t + sigma W_t) (Ito), exp(gamma
    t + sigma W_t) (Stratonovich)."""
    rate = gamma - sigma * sigma / 2 if calculus == "ito" else gamma
    return torch.exp(rate * t + sigma * W)


def additive_exact(W: Tensor, t: Tensor, *, gamma, sigma) -> Tensor:
    """X_t of dX = (gamma/sqrt(1+t) - X/(2(1+t))) dt + sigma/sqrt(1+t) dW, X_0 = 1: (1 + gamma t + sigma W_t) /
    sqrt(1+t)."""
    return (1 + gamma * t + sigma * W) / torch.sqrt(1 + t)
