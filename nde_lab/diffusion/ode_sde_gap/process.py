"""The forward process of the gap experiments, and one-dimensional mixtures whose law it moves in closed form.

Ornstein-Uhlenbeck in the paper's units (Deveney et al. 2023, section on experiments): dX = -X dt + dW, so that
X_t given x_0 is N(e^{-t} x_0, sigma_t^2) with sigma_t^2 = (1 - e^{-2t}) / 2, and the stationary law pi is
N(0, 1/2). Kernel and mixtures are those of ``score_sde``; here are the times, the quantiles and the refusals
that exact laws on the line need.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.diffusion.score_sde import mixtures, processes

STATIONARY = 0.5                  # variance of pi


@dataclass(frozen=True)
class OU(processes.OU):
    """dX = -X dt + dW on [0, horizon]; samplers run from ``horizon`` (law pi) back to ``end`` > 0.

    ``mean(t)`` is e^{-t}, what is left of x_0, and ``std(t)`` sigma_t. At t = 0 the noise level is 0 and the
    score of the transition kernel is infinite, hence ``end``.
    """
    end: float = 1e-2

    def __post_init__(self):
        if not (math.isfinite(self.horizon) and 0 < self.end < self.horizon):
            raise ValueError(f"the process needs 0 < end < horizon, got end={self.end}, "
                             f"horizon={self.horizon}; at time 0 the noise level is 0 and there is no score")

    def check(self, t) -> None:
        """A ValueError unless every time lies in [0, horizon]. For use outside traced code."""
        low, high = (float(t.min()), float(t.max())) if isinstance(t, Tensor) else (t, t)
        if not (0 <= low and high <= self.horizon):
            raise ValueError(f"times run from 0 to the horizon {self.horizon:g}, got {low:g} to {high:g}")

    def clock(self, u: Tensor) -> Tensor:
        """u in [0, 1] -> end + (horizon - end) u^2: times that are dense near the data."""
        return self.end + (self.horizon - self.end) * u**2

    def grid(self, steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """The sampler's times (steps + 1,): from the horizon down to ``end``, by ``clock``."""
        return self.times(steps, self.end, power=2).to(dtype)


@dataclass(frozen=True)
class Mixture:
    """Equal parts of N(centre, std^2) on the line. Under OU it stays such a mixture."""
    centres: tuple[float, ...] = (-1.2, 0.0, 1.2)
    std: float = 0.2

    def __post_init__(self):
        if not self.centres or not self.std > 0:
            raise ValueError("a mixture needs at least one centre and std > 0, got "
                             f"{len(self.centres)} centres and std={self.std}; a point mass has no density")

    def log_density(self, x: Tensor, t: Tensor) -> Tensor:
        """log p_t(x). x (...), t 0-d or of x's shape -> x's shape. Differentiable in both, in t above 0."""
        law = mixtures.Mixture.of(list(self.centres), self.std, dtype=x.dtype)
        t = t.reshape(-1, 1) if t.dim() else t
        return law.marginal_log_density(processes.OU(), t, x.reshape(-1, 1)).reshape(x.shape)

    def quantiles(self, u: Tensor, t: float) -> Tensor:
        """F_t^{-1}(u) by bisection, u (n,) in (0, 1) -> (n,) float64, to 1e-12."""
        u = u.double()
        if not bool(((u > 0) & (u < 1)).all()):
            raise ValueError(f"quantiles are asked at levels between 0 and 1, got {float(u.min()):g} to "
                             f"{float(u.max()):g}")
        at = processes.OU(horizon=max(1.0, t))
        centres = at.mean(t) * torch.tensor(self.centres, dtype=torch.float64)
        variance = (at.mean(t) * self.std).square() + at.std(t).square()
        reach = float(centres.abs().max() + 12 * variance.sqrt())
        low, high = torch.full_like(u, -reach), torch.full_like(u, reach)
        for _ in range(60):
            middle = (low + high) / 2
            below = torch.special.ndtr((middle.unsqueeze(-1) - centres) / variance.sqrt()).mean(-1) < u
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return (low + high) / 2

    def sample(self, which: Tensor, z: Tensor) -> Tensor:
        """Data from declared draws: which (n,) in 0 .. K-1, z (n,) standard normal -> (n,)."""
        return torch.tensor(self.centres, dtype=z.dtype)[which] + self.std * z


def levels(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """The n midpoint levels (i + 1/2) / n at which laws on the line are compared."""
    return (torch.arange(n, dtype=torch.float64) + 0.5).div(n).to(dtype)


def prior_quantiles(n: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """n quantiles of pi = N(0, 1/2) at ``levels``."""
    return (math.sqrt(STATIONARY) * torch.special.ndtri(levels(n))).to(dtype)
