"""Closed forms and single steps behind the stability statements; plain functions of tensors or numbers.

Source: Oh, Lim, Kim (ICLR 2024) and elementary Ito calculus (derivations beside each formula).
"""
from __future__ import annotations

import math

import torch
from torch import Tensor


def turn(x: Tensor) -> Tensor:
    """J x: the plane turned by 90 degrees, (..., 2) -> (..., 2)."""
    return torch.stack([-x[..., 1], x[..., 0]], dim=-1)


def rotation_euler(x: Tensor, dW: Tensor, *, a, sigma, dt) -> Tensor:
    """Euler-Maruyama step of dx = -a x dt + sigma J x dW (Ito). x (B, 2), dW (B, 1): one noise for both
    coordinates."""
    return x - a * x * dt + sigma * turn(x) * dW


def rotation_heun(x: Tensor, dW: Tensor, *, a, sigma, dt) -> Tensor:
    """Heun step of the same equation read in the Stratonovich sense."""
    move = lambda y: -a * y * dt + sigma * turn(y) * dW  # noqa: E731
    first = move(x)
    return x + 0.5 * (first + move(x + first))


def rotation_mean_square(*, sigma: float, a: float, t: float, calculus: str = "ito") -> float:
    """|x_t|^2 / |x_0|^2 of the rotation SDE: e^{(sigma^2 - 2a)t} (Ito), e^{-2at} (Stratonovich).

    Ito: d|x|^2 = 2 x.dx + |dx|^2 = (-2a + sigma^2)|x|^2 dt + 2 sigma x.Jx dW, and x.Jx = 0: no noise is left.
    Stratonovich: the ordinary chain rule has no |dx|^2 term.
    """
    return math.exp(((sigma**2 if calculus == "ito" else 0.0) - 2 * a) * t)


def coupled_euler(z: Tensor, gap: Tensor, dW: Tensor, *, m, L, W: Tensor, sigma, dt, linear: bool):
    """One Euler-Maruyama step of two coupled copies z and z + gap under the same noise -> (z, gap), (B, d)
    each.

    Drift -m z + L tanh(W z); noise sigma dW, or sigma z dW with ``linear``. The difference of the two drifts
    is formed by tanh p - tanh q = tanh(p - q)(1 - tanh p tanh q), so that float32 keeps the relative accuracy
    of a tiny gap.
    """
    p, q = z @ W.T, (z + gap) @ W.T
    pull = -m * gap + L * torch.tanh(gap @ W.T) * (1 - torch.tanh(p) * torch.tanh(q))
    drift = -m * z + L * torch.tanh(p)
    if linear:
        return z + drift * dt + sigma * z * dW, gap + pull * dt + sigma * gap * dW
    return z + drift * dt + sigma * dW, gap + pull * dt


def contraction(*, margin: float, t: float) -> float:
    """LSDE, same noise: |z_t - z'_t| <= e^{-margin t}|z_0 - z'_0| on every path, where
    <gamma(z) - gamma(z'), z - z'> <= -margin |z - z'|^2 (additive noise cancels in the difference)."""
    return math.exp(-margin * t)


def mean_square_contraction(*, margin: float, sigma: float, t: float) -> float:
    """LNSDE, same noise: E|D_t|^2 <= e^{(sigma^2 - 2 margin)t}|D_0|^2; equality for gamma = -margin z."""
    return math.exp((sigma**2 - 2 * margin) * t)


def pathwise_contraction(*, margin: float, sigma: float, t: float) -> float:
    """LNSDE in one dimension with gamma = -margin z: D_t = D_0 e^{-(margin + sigma^2/2)t + sigma W_t}; this
    is the median of |D_t| / |D_0|."""
    return math.exp(-(margin + sigma**2 / 2) * t)


def gsde_exact(z0: Tensor, W: Tensor, *, gamma: float, sigma: float, t: float) -> Tensor:
    """GSDE with constant gamma, sigma: z_t = z_0 exp((gamma - sigma^2/2)t + sigma W_t)."""
    return z0 * torch.exp((gamma - sigma**2 / 2) * t + sigma * W)


def gsde_euler_crossing(*, gamma: float, sigma: float, dt: float) -> float:
    """Probability that one Euler step of a GSDE changes the sign of z: Phi(-(1 + gamma dt) / (sigma
    sqrt(dt)))."""
    return 0.5 * math.erfc((1 + gamma * dt) / (sigma * math.sqrt(2 * dt)))


def euler_threshold(h: float) -> float:
    """Euler's method with step h on dx = -x^3 grows exactly from |x| > sqrt(2/h)."""
    return math.sqrt(2 / h)
