"""Denoising Langevin Gibbs: a chain in the product space of data and noise levels.

Kim and Ye (2023), Section 3. With x = x0 + sigma z the joint target is p_sigma(x) p(sigma), where p(sigma) is
uniform over a grid of levels that are evenly spaced in log sigma. One turn of the chain moves x by a Langevin
step at its level, then draws a new level given x. High levels let it cross between modes, low ones lie near the
data.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.score_sde import Mixture, Process

FLOOR = 0.02          # constant part of the Langevin step, in the squared unit of x (our notes)


@dataclass(frozen=True)
class NoiseClock(Process):
    """Variance exploding with the noise level as its clock: m = 1, s = t, so t is sigma and the horizon is
    the largest level. Then a score(t, x) is a score(sigma, x). horizon: default 10."""
    horizon: float | Tensor = 10.0

    def __post_init__(self):
        h = self.horizon
        if not isinstance(h, Tensor) and (isinstance(h, bool) or not isinstance(h, (int, float))
                                          or not 0 < h < math.inf):
            raise ValueError(f"NoiseClock needs a positive finite largest noise level, got {h!r}")

    def log_mean(self, t):
        return 0.0 * self.time(t)

    def std(self, t):
        return self.time(t)

    def rate(self, t):
        return 0.0 * self.time(t)

    def g2(self, t):
        return 2 * self.time(t)

    @property
    def prior_std(self):
        return self.horizon

    def time_at(self, half_log_snr):
        return torch.exp(-half_log_snr)


def score_at(mixture: Mixture):
    """The exact score(sigma, x) of the mixture blurred by N(0, sigma^2); sigma 0-d or (B, 1), x (B, D)."""
    return mixture.score(NoiseClock())


def levels(low, high, n: int = 60, *, dtype: torch.dtype = torch.float64) -> Tensor:
    """n noise levels from low to high, evenly spaced in their logarithm, (n,). high may be a 0-d tensor (a
    knob).

    Raises ValueError for fewer than two levels, and for numbers without 0 < low < high.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise ValueError(f"a grid of noise levels has at least two, got n = {n!r}")
    if not isinstance(high, Tensor) and not 0 < low < high < math.inf:
        raise ValueError(f"noise levels need 0 < low < high, got low = {low!r}, high = {high!r}")
    u = torch.linspace(0, 1, n, dtype=dtype)
    return low * torch.exp(u * torch.log(torch.as_tensor(high, dtype=dtype) / low))


def level_logs(mixture: Mixture, grid: Tensor, x: Tensor) -> Tensor:
    """log p_sigma(x) at every level of the grid (L,): x (B, D) -> (B, L), in nats."""
    variance = mixture.stds.square() + grid[:, None].square()                                  # (L, K)
    squares = (x[:, None] - mixture.means).square().sum(-1)                                    # (B, K)
    constant = torch.log(mixture.weights) - 0.5 * x.shape[1] * torch.log(2 * math.pi * variance)
    return torch.logsumexp(constant - 0.5 * squares[:, None] / variance, -1)


def level_given(mixture: Mixture, grid: Tensor, x: Tensor) -> Tensor:
    """The Gibbs conditional p(sigma | x) on the grid, exactly: x (B, D) -> (B, L), rows that add up to 1.

    The paper trains a small classifier of noise levels for this; for a mixture it has a closed form.
    """
    return torch.softmax(level_logs(mixture, grid, x), -1)


def draw_level(probabilities: Tensor, grid: Tensor, u: Tensor) -> Tensor:
    """Levels (B, 1) drawn from rows of probabilities (B, L) by uniform u (B,)."""
    k = (u[:, None] >= torch.cumsum(probabilities, -1)[:, :-1]).to(u.dtype).sum(-1)
    return pick(grid, k)


def likeliest_level(probabilities: Tensor, grid: Tensor) -> Tensor:
    """The levels (B, 1) of largest probability, the first of equal ones: the official code's choice, which is
    no Gibbs step."""
    index = torch.arange(len(grid), dtype=probabilities.dtype)
    best = probabilities == probabilities.amax(-1, keepdim=True)
    return pick(grid, torch.where(best, index, float(len(grid))).amin(-1))


def pick(grid: Tensor, k: Tensor) -> Tensor:
    """grid[k] as (B, 1), from places k (B,) that are whole numbers held as floats; no gather, so traceable."""
    chosen = (k[:, None] == torch.arange(len(grid), dtype=k.dtype)).to(grid.dtype)
    return (chosen * grid).sum(-1, keepdim=True)


def langevin(score, x: Tensor, sigma: Tensor, z: Tensor, *, factor=0.5, floor=FLOOR) -> Tensor:
    """x + eta/2 score + sqrt(eta) z at the level sigma (B, 1), eta = factor sigma^2 + floor; x, z (B, D).

    In two dimensions the step must grow with sigma^2; a constant one serves only where sigma hardly varies.
    """
    eta = factor * sigma * sigma + floor
    return x + 0.5 * eta * score(sigma, x) + torch.sqrt(eta) * z


def gibbs_turn(mixture: Mixture, score, grid: Tensor, x: Tensor, sigma: Tensor, z: Tensor, u: Tensor, *,
               factor=0.5, floor=FLOOR, likeliest: bool = False) -> tuple[Tensor, Tensor]:
    """One turn: Langevin at sigma, then a level given x. x (B, D), sigma (B, 1), z (B, D), u (B,). One
    evaluation of the score. likeliest: take the most probable level in place of drawing one. -> (x, sigma)."""
    x = langevin(score, x, sigma, z, factor=factor, floor=floor)
    p = level_given(mixture, grid, x)
    return x, likeliest_level(p, grid) if likeliest else draw_level(p, grid, u)


def calmest(x: Tensor, sigma: Tensor, best_x: Tensor, best_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """Per chain the state of the smaller noise level, the one to be denoised: -> (x (B, D), sigma (B, 1))."""
    better = sigma < best_sigma
    return torch.where(better, x, best_x), torch.where(better, sigma, best_sigma)


def dlg_chain(mixture: Mixture, score, grid: Tensor, x: Tensor, sigma: Tensor, z: Tensor, u: Tensor, *,
              factor=0.5, floor=FLOOR, likeliest: bool = False):
    """Many turns: z (n, B, D), u (n, B). -> last (x, sigma), calmest (x, sigma) of the n states, levels (n, B).

    Start the count of evaluations after the burn-in; n turns cost n evaluations, and the chain goes on from
    its last state, not from the denoised one. Raises ValueError where shapes do not fit. Pure and traceable.
    """
    if z.dim() != 3 or z.shape[1:] != x.shape or u.shape != z.shape[:2] or sigma.shape != (len(x), 1):
        raise ValueError(f"chains of x {tuple(x.shape)} need sigma ({len(x)}, 1), z (n, *x.shape) and "
                         f"u (n, {len(x)}), got {tuple(sigma.shape)}, {tuple(z.shape)} and {tuple(u.shape)}")

    def body(carry, turn):
        x, sigma, *best = carry
        x, sigma = gibbs_turn(mixture, score, grid, x, sigma, *turn, factor=factor, floor=floor,
                              likeliest=likeliest)
        return (x, sigma, *calmest(x, sigma, *best)), sigma[:, 0]
    start = (x, sigma, x, torch.full_like(sigma, math.inf))
    (x, sigma, *best), visited = loop(body, start, (z, u))
    return (x, sigma), tuple(best), visited
