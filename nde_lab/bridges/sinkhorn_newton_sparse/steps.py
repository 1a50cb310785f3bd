"""Sweeps and sparse Newton steps as pure functions of tensors: what the live figures run, in any precision.

The state is the logarithm L of the plan itself, not the potentials: a sweep adds a number to each row and to
each column. In float32 potentials of the size of 1000 eps would leave an error of 1e-4 in the marginals; here
only the entries with weight matter, and these stay near log(1/n).
"""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.autodiff import loop

SOLVES, HALVINGS, CUTS = 96, 12, 24     # products of the solve, trial steps, cuts of the threshold
FLOOR = 1e-7                            # errors below are float32's own


def log_sum(L: Tensor, dim: int) -> Tensor:
    """log of the sum of exp(L) along ``dim``."""
    top = L.amax(dim, keepdim=True)
    return (torch.exp(L - top).sum(dim, keepdim=True).log() + top).squeeze(dim)


def sweep(L: Tensor, log_r: Tensor, log_c: Tensor) -> Tensor:
    """One Sinkhorn sweep of the log plan (n, m): rows, then columns."""
    L = L + (log_r - log_sum(L, 1))[:, None]
    return L + (log_c - log_sum(L, 0))[None]


def error(L: Tensor, r: Tensor, c: Tensor) -> Tensor:
    """|P 1 - r|_1 + |P^T 1 - c|_1, at least FLOOR."""
    P = torch.exp(L)
    return ((P.sum(1) - r).abs().sum() + (P.sum(0) - c).abs().sum()).clamp(FLOOR, 10.0)


def threshold(L: Tensor, count: Tensor) -> Tensor:
    """The level above which about ``count`` entries of L lie, by bisection (a page cannot sort): 0-d tensor."""
    def cut(ends, _):
        low, high = ends
        middle = (low + high) / 2
        many = ((L > middle).to(L.dtype).sum() > count).to(L.dtype)
        return (many * middle + (1 - many) * low, (1 - many) * middle + many * high), None
    top = L.max()
    (low, _), _ = loop(cut, (top - 64.0, top.clone()), torch.zeros(CUTS, dtype=L.dtype))
    return low


def kept(L: Tensor, count: Tensor) -> Tensor:
    """1 for the ``count`` largest entries, else 0: (n, m). Entries below exp(-64) of the largest never stay."""
    return (L > threshold(L, count)).to(L.dtype)


def direction(P: Tensor, S: Tensor, g: Tensor) -> Tensor:
    """Conjugate gradients on [[diag(P 1), S], [S^T, diag(P^T 1)]] d = g, from zero, SOLVES products: (n + m,).

    d is in units of eps. The solve is preconditioned by the diagonal, and g loses what rounding left along (1,
    -1).
    """
    n = P.shape[0]
    root = torch.cat([P.sum(1), P.sum(0)]).rsqrt()
    A = root[:n, None] * S * root[None, n:]
    null = torch.cat([torch.ones_like(g[:n]), -torch.ones_like(g[n:])]) / root
    b = root * g
    b = b - null * ((null * b).sum() / null.square().sum())
    tiny = b.square().sum() * 1e-12 + 1e-30

    def one(carry, _):
        z, res, p, rho = carry
        q = p + torch.cat([(A * p[None, n:]).sum(1), (A * p[:n, None]).sum(0)])
        going = (rho > tiny).to(rho.dtype)
        a = going * rho / (p * q).sum().clamp(min=1e-30)
        z, res = z + a * p, res - a * q
        new = res.square().sum()
        p = going * (res + p * (new / rho.clamp(min=1e-30))) + (1 - going) * p
        return (z, res, p, going * new + (1 - going) * rho), None
    start = (torch.zeros_like(b), b, b.clone(), b.square().sum())
    (z, _, _, _), _ = loop(one, start, torch.zeros(SOLVES, dtype=b.dtype))
    return root * z


def step_length(P: Tensor, g: Tensor, w: Tensor, slope: Tensor) -> Tensor:
    """The largest of 1, 1/2, 1/4, ... whose gain obeys Armijo's condition; 0 if none does. w (n, m) = dx_i +
    dy_j."""
    def halve(found, alpha):
        a = alpha * w
        small = 0.5 * a * a * (1 + a / 3 + a * a / 12)
        beyond = torch.where(a.abs() < 0.1, small, torch.exp(a.clamp(max=60.0)) - 1 - a)
        good = (alpha * slope - (P * beyond).sum() >= 1e-4 * alpha * slope).to(w.dtype)
        return torch.where(found > 0, found, good * alpha), None
    tries = torch.exp2(-torch.arange(float(HALVINGS), dtype=w.dtype, device=w.device))
    found, _ = loop(halve, torch.zeros_like(slope), tries)
    return found


def newton(L: Tensor, r: Tensor, c: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """One sparse Newton step of the log plan; returns it and the step length."""
    n, P = L.shape[0], torch.exp(L)
    g = torch.cat([r - P.sum(1), c - P.sum(0)])
    d = direction(P, P * kept(L, count), g)
    d = torch.where(torch.isfinite(d).all(), d, torch.zeros_like(d))    # a solve that overflowed takes no step
    w = d[:n, None] + d[None, n:]
    alpha = step_length(P, g, w, (g * d).sum().clamp(min=0.0))
    return L + alpha * w, alpha
