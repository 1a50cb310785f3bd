"""The forward process of the gap experiments, and one-dimensional mixtures whose law it moves in closed form.

Ornstein-Uhlenbeck in the paper's units (Deveney et al. 2023, section on experiments): dX = -X dt + dW, so that
X_t given x_0 is N(e^{-t} x_0, sigma_t^2) with sigma_t^2 = (1 - e^{-2t}) / 2, and the stationary law pi is
N(0, 1/2).
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

STATIONARY = 0.5                  # variance of pi


@dataclass(frozen=True)
class OU:
    """dX = -X dt + dW on [0, horizon]; samplers run from ``horizon`` (law pi) back to ``end`` > 0.

    At t = 0 the noise level is 0 and the score of the transition kernel is infinite, hence ``end``.
    """
    horizon: float = 3.0
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

    def scale(self, t: Tensor) -> Tensor:
        """e^{-t}: what is left of x_0 at time t."""
        return torch.exp(-t)

    def noise(self, t: Tensor) -> Tensor:
        """sigma_t, the standard deviation of the transition kernel."""
        return torch.sqrt(-torch.expm1(-2 * t) / 2)

    def clock(self, u: Tensor) -> Tensor:
        """u in [0, 1] -> end + (horizon - end) u^2: times that are dense near the data."""
        return self.end + (self.horizon - self.end) * u**2

    def grid(self, steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """The sampler's times (steps + 1,): from the horizon down to ``end``, by ``clock``."""
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"a sampler takes a whole number of steps, at least 1, got {steps!r}")
        return self.clock(torch.linspace(1, 0, steps + 1, dtype=torch.float64)).to(dtype)


@dataclass(frozen=True)
class Mixture:
    """Equal parts of N(centre, std^2) on the line. Under OU it stays such a mixture."""
    centres: tuple[float, ...] = (-1.2, 0.0, 1.2)
    std: float = 0.2

    def __post_init__(self):
        if not self.centres or not self.std > 0:
            raise ValueError("a mixture needs at least one centre and std > 0, got "
                             f"{len(self.centres)} centres and std={self.std}; a point mass has no density")

    def _parts(self, t: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """Centres (K,) broadcast on a new last axis, and the variance of a part at time t (0-d or as like)."""
        left = torch.exp(-t).unsqueeze(-1)
        centres = left * torch.tensor(self.centres, dtype=like.dtype)
        return centres, (self.std**2 * left**2 - torch.expm1(-2 * t).unsqueeze(-1) / 2)

    def log_density(self, x: Tensor, t: Tensor) -> Tensor:
        """log p_t(x). x (...), t 0-d or of x's shape -> x's shape. Differentiable in both."""
        centres, variance = self._parts(t, x)
        exponent = -(x.unsqueeze(-1) - centres) ** 2 / (2 * variance) - torch.log(2 * math.pi * variance) / 2
        return torch.logsumexp(exponent, -1) - math.log(len(self.centres))

    def quantiles(self, u: Tensor, t: float) -> Tensor:
        """F_t^{-1}(u) by bisection, u (n,) in (0, 1) -> (n,) float64, to 1e-12."""
        u = u.double()
        if not bool(((u > 0) & (u < 1)).all()):
            raise ValueError(f"quantiles are asked at levels between 0 and 1, got {float(u.min()):g} to "
                             f"{float(u.max()):g}")
        centres, variance = self._parts(torch.tensor(float(t), dtype=torch.float64), u)
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
