"""The exact laws of both samplers on the line, without a single sample, and the distance W2 between them.

In sampler time tau = T - t, from pi, with score s = d phi/dx:
    ODE  dx = (x + s/2) dtau       a flow on the line keeps order, so quantiles of pi stay quantiles of the law;
    SDE  dx = (x + s) dtau + dW    dp/dtau = -d/dx[(x + s) p] + p''/2, Fokker-Planck, is solved on cells.
Sampling would add its own distance: with several modes, a few thousand samples are already 1e-2 apart in W2^2.

The cells use Scharfetter-Gummel fluxes, J = D/h [B(-P) p_i - B(P) p_{i+1}], B(z) = z / (e^z - 1), D = 1/2. The
drift is a gradient, so P is the difference of (x^2/2 + phi) / D from cell to cell, no score is needed, and a
stationary law is kept exactly. Time goes by implicit Euler: mass is conserved and densities stay positive at
any step. The tridiagonal systems are solved by parallel cyclic reduction, all eliminations at once for all
times, because a loop over cells is slow in torch and a banded solver cannot be traced.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.ode_sde_gap.process import STATIONARY
from nde_lab.solvers import integrate_ode

D = 0.5                           # g^2 / 2


def ode_law(score: Callable[[Tensor, Tensor], Tensor], start: Tensor, times: Tensor) -> Tensor:
    """Quantiles of the ODE sampler's law: start (M, n) or (n,), carried along decreasing times (K + 1,).

    score(x (M, n), t 0-d) -> (M, n), and so is the result. Classical Runge-Kutta steps of fixed size.
    """
    y0 = start if start.dim() == 2 else start.unsqueeze(0)
    return integrate_ode(lambda t, y: -y - score(y, t) / 2, y0, times, method="rk4", save="last")


def cells(low: float, high: float, n: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Centres (n,) of n equal cells over [low, high]."""
    if not low < high or n < 3:
        raise ValueError(f"a grid needs low < high and at least 3 cells, got low={low}, high={high}, n={n}")
    h = (high - low) / n
    return (low + h * (torch.arange(n, dtype=torch.float64) + 0.5)).to(dtype)


def bernoulli(z: Tensor) -> Tensor:
    """z / (e^z - 1), 1 at 0; no cancellation and no overflow for |z| <= 80 (beyond, z is clamped)."""
    z = z.clamp(-80.0, 80.0)
    small = z.abs() < 1e-3
    safe = torch.where(small, torch.ones_like(z), z)
    return torch.where(small, 1 - z / 2 + z**2 / 12, safe / torch.expm1(safe))


def sde_law(phi: Callable[[Tensor, Tensor], Tensor], x: Tensor, times: Tensor) -> Tensor:
    """The SDE sampler's density on the cells x (n,), at the last of times (K + 1,), decreasing -> (M, n).

    phi(x (n,), t 0-d) -> (M, n) for M models. Starts from pi. Implicit Euler, so its error is of first order in
    the steps of ``times``. Mass is 1 to rounding; nothing flows through the ends of the grid.
    """
    h = x[1] - x[0]
    _, values = loop(lambda c, t: (c, phi(x, t)), (), times[1:])                         # (K, M, n)
    drop = (values + x**2 / 2) / D
    peclet = drop[..., 1:] - drop[..., :-1]
    rate = ((times[:-1] - times[1:]) * D / h**2)[:, None, None]
    right, left = rate * bernoulli(-peclet), rate * bernoulli(peclet)                    # i -> i+1 and back
    none = torch.zeros_like(right[..., :1])
    factors = eliminate(-torch.cat([none, right], -1),
                        1 + torch.cat([right, none], -1) + torch.cat([none, left], -1),
                        -torch.cat([left, none], -1))
    start = torch.exp(-(x**2) / (2 * STATIONARY))
    p = (start / (start.sum() * h)).expand(values.shape[1:])
    p, _ = loop(lambda p, f: (substitute(f, p), None), p, factors)
    return p


def eliminate(lower: Tensor, diagonal: Tensor, upper: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Cyclic reduction of tridiagonal systems (..., n): row i reads lower_i y_{i-1} + diagonal_i y_i + upper_i
    y_{i+1}, lower_0 = upper_{n-1} = 0. Returns one triple of (..., n) tensors per halving, for ``substitute``.
    No pivoting: meant for diagonally dominant systems."""
    a, c, scale, out, s = lower / diagonal, upper / diagonal, 1 / diagonal, [], 1
    while s < lower.shape[-1]:
        # Rows that have no neighbour s away have a = 0 (or c = 0) by now: rolling round the end is safe.
        up, down = (lambda v, s=s: torch.roll(v, s, -1)), (lambda v, s=s: torch.roll(v, -s, -1))
        pivot = 1 / (1 - a * up(c) - c * down(a))
        # The right side is divided by the diagonal once, in the first halving.
        out.append((pivot * scale, pivot * a * up(scale), pivot * c * down(scale)))
        a, c = -pivot * a * up(a), -pivot * c * down(c)
        scale, s = torch.ones_like(scale), 2 * s
    return out


def substitute(factors: list[tuple[Tensor, Tensor, Tensor]], d: Tensor) -> Tensor:
    """The solution (..., n) of the systems behind ``factors`` with right side d (..., n)."""
    s = 1
    for own, before, after in factors:
        d = own * d - before * torch.roll(d, s, -1) - after * torch.roll(d, -s, -1)
        s *= 2
    return d


def quantiles(p: Tensor, x: Tensor, u: Tensor) -> Tensor:
    """Quantiles (M, m) at levels u (m,) of densities p (M, n) on the cells x (n,).

    The inverse of a piecewise linear distribution function, written as a sum: every cell adds its width times
    the share of its mass that lies below u.
    """
    h = x[1] - x[0]
    mass = p * h
    below = torch.cumsum(mass, -1) - mass
    share = ((u[:, None] - below.unsqueeze(1)) / mass.clamp_min(1e-12).unsqueeze(1)).clamp(0.0, 1.0)
    return x[0] - h / 2 + h * share.sum(-1)


def w2_squared(first: Tensor, second: Tensor) -> Tensor:
    """W2^2 of laws on the line from their quantiles at the same levels (..., m) -> (...)."""
    if first.shape[-1] != second.shape[-1]:
        raise ValueError("quantiles must be taken at the same levels, "
                         f"got {first.shape[-1]} and {second.shape[-1]}")
    return (first - second).square().mean(-1)


def spacing_density(q: Tensor) -> tuple[Tensor, Tensor]:
    """Where and how dense: quantiles (..., m) at midpoint levels -> places and densities (..., m - 1)."""
    gap = q[..., 1:] - q[..., :-1]
    return (q[..., 1:] + q[..., :-1]) / 2, 1 / (q.shape[-1] * gap.clamp_min(1e-6))
