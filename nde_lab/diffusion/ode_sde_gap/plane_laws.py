"""The laws of both samplers in the plane, on a grid, without samples; and the exact distance of two histograms.

Two histograms of 200 000 samples of one and the same law are about as far apart as the laws that the penalty
brings together. So neither law is sampled:
    SDE  the sampler's Fokker-Planck equation, split into its x and its y direction in every step; each is a
         sweep of the one-dimensional scheme in ``laws`` (Scharfetter-Gummel fluxes, implicit Euler);
    ODE  the density of a flow, log p(x, end) = log pi(x(T)) + int_end^T div v(x(t), t) dt along the forward
         path dx/dt = v(x, t) = -x - s/2 that starts in x; div v = -2 - (Laplacian of phi) / 2.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from nde_lab.diffusion.ode_sde_gap.laws import D, bernoulli, cells, eliminate, substitute
from nde_lab.diffusion.ode_sde_gap.process import STATIONARY

REACH, CELLS, BINS = 4.0, 96, 32


def places(n: int = CELLS, dtype: torch.dtype = torch.float32) -> Tensor:
    """Centres (n * n, 2) of the cells of the square [-4, 4]^2; x runs along the last axis of a picture."""
    line = cells(-REACH, REACH, n, dtype)
    return torch.stack([line.repeat(n), line.repeat_interleave(n)], -1)


def log_prior(x: Tensor) -> Tensor:
    """log pi (...,) of points (..., 2)."""
    return -x.square().sum(-1) / (2 * STATIONARY) - math.log(2 * math.pi * STATIONARY)


def sde_law(phi, times: Tensor, n: int = CELLS, dtype: torch.dtype = torch.float64) -> Tensor:
    """Mass (M, n, n) of the SDE sampler's law in every cell at the last of the decreasing times (K + 1,).

    phi(x (n * n, 2), t 0-d) -> (M, n * n). K must be even: the steps are of first order, so the law is solved
    with all steps and with half of them, and their difference is taken off once more (Richardson). Mass is
    conserved to rounding.
    """
    if len(times) % 2 == 0:
        raise ValueError("the law is extrapolated from K and K / 2 steps; take an even K, got "
                         f"{len(times) - 1}")
    fine, coarse = (_marched(phi, t, places(n, dtype), n) for t in (times, times[::2]))
    return (2 * fine - coarse).clamp_min(0.0)


def _marched(phi, times: Tensor, x: Tensor, n: int) -> Tensor:
    ground = x.square().sum(-1) / 2
    p = torch.softmax(log_prior(x), 0).reshape(1, n, n)
    h = 2 * REACH / n
    for before, now in zip(times[:-1], times[1:], strict=True):
        drop = ((phi(x, now) + ground) / D).reshape(-1, n, n)
        rate = float(before - now) * D / h**2
        p = _sweep(p.expand_as(drop), drop, rate)                                  # along x
        p = _sweep(p.transpose(1, 2), drop.transpose(1, 2), rate).transpose(1, 2)  # along y
    return p


def _sweep(p: Tensor, drop: Tensor, rate: float) -> Tensor:
    peclet = drop[..., 1:] - drop[..., :-1]
    right, left = rate * bernoulli(-peclet), rate * bernoulli(peclet)
    none = torch.zeros_like(right[..., :1])
    factors = eliminate(-torch.cat([none, right], -1),
                        1 + torch.cat([right, none], -1) + torch.cat([none, left], -1),
                        -torch.cat([left, none], -1))
    return substitute(factors, p)


def ode_law(slope_and_bend, times: Tensor, n: int = CELLS) -> Tensor:
    """Mass (M, n, n) of the ODE sampler's law in every cell, by its density at the centres, scaled to mass 1.

    slope_and_bend(x (M, n * n, 2), t 0-d) -> score (M, n * n, 2), Laplacian (M, n * n). times (K + 1,) fall, as
    for the sampler, and are walked backwards: the path from a point at the end to its start under pi. Classical
    Runge-Kutta steps.
    """
    def field(x, t):
        slope, bend = slope_and_bend(x, t)
        return -x - slope / 2, -2 - bend / 2

    up = times.flip(0)
    x, log = places(n, times.dtype).unsqueeze(0), 0.0
    for t, after in zip(up[:-1], up[1:], strict=True):
        h = after - t
        k1, d1 = field(x, t)
        k2, d2 = field(x + h / 2 * k1, t + h / 2)
        k3, d3 = field(x + h / 2 * k2, t + h / 2)
        k4, d4 = field(x + h * k3, after)
        x, log = x + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4), log + h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)
    return torch.softmax(log_prior(x) + log, -1).reshape(-1, n, n)


def histogram(points: Tensor, bins: int = BINS) -> Tensor:
    """Shares (bins, bins) of points (n, 2) in the bins of the square; points outside go to the nearest bin."""
    at = ((points + REACH) / (2 * REACH) * bins).floor().clamp(0, bins - 1).long()
    count = torch.bincount(at[:, 1] * bins + at[:, 0], minlength=bins * bins)
    return count.reshape(bins, bins).double() / len(points)


def binned(mass: Tensor, bins: int = BINS) -> Tensor:
    """Cells (..., n, n) gathered to (..., bins, bins); n a multiple of bins."""
    n = mass.shape[-1]
    if n % bins:
        raise ValueError(f"{n} cells a side cannot be gathered to {bins} bins; take a divisor of {n}")
    k = n // bins
    return mass.reshape(*mass.shape[:-2], bins, k, bins, k).sum((-3, -1))
