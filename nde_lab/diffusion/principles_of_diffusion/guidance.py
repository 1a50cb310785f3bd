"""Classifier-free guidance on a line, where what it samples and what it is said to sample can be computed.

Two classes N(+-offset, 1) with equal weights. Guidance replaces the score by (1 + w) score(x | c) - w score(x)
at every noise level. At t = 0 that is the score of the *tilted* density p(x|c)^(1+w) p(x)^(-w), which is
p(x|c) p(c|x)^w up to a constant. At t > 0 it is not the score of the noised tilted density, so the samples
follow another law (Lai et al. 2025, guidance; Ho and Salimans 2022).
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.score_sde import Mixture, Process


def guided(conditional, unconditional, w):
    """The guided score(t, x) = (1 + w) conditional - w unconditional; w a number >= 0 or a 0-d tensor."""
    if not isinstance(w, Tensor) and not w >= 0:
        raise ValueError(f"the guidance weight w is a number >= 0 (0: no guidance), got {w!r}")
    return lambda t, x: (1 + w) * conditional(t, x) - w * unconditional(t, x)


@dataclass(frozen=True)
class TwoClasses:
    """Class +: N(offset, 1), class -: N(-offset, 1), equal weights; offset number or 0-d tensor (a knob)."""
    offset: float | Tensor = 1.0
    dtype: torch.dtype = torch.float64

    def _mixture(self, signs: list[float]) -> Mixture:
        means = torch.tensor(signs, dtype=self.dtype)[:, None] * self.offset
        ones = torch.ones(len(signs), dtype=self.dtype)
        return Mixture(means, ones, ones / len(signs))

    @property
    def plus(self) -> Mixture:
        """p(x | +)."""
        return self._mixture([1.0])

    @property
    def both(self) -> Mixture:
        """p(x)."""
        return self._mixture([-1.0, 1.0])

    def score(self, process: Process, w):
        """The guided score towards class +."""
        return guided(self.plus.score(process), self.both.score(process), w)

    def tilted(self, grid: Tensor, w) -> Tensor:
        """The density proportional to p(x|+)^(1+w) p(x)^(-w) on an even grid (n,), by the trapezoidal rule.

        w: number or 0-d, or (k, 1) for k densities (k, n).
        """
        logs = (1 + w) * self.plus.log_density(grid[:, None]) - w * self.both.log_density(grid[:, None])
        values = torch.exp(logs - logs.amax(-1, keepdim=True))
        return values / trapezoid(values, grid)[..., None]


def trapezoid(values: Tensor, grid: Tensor) -> Tensor:
    """Integral over the last axis by the trapezoidal rule; grid (n,) or the shape of values."""
    return (0.5 * (values[..., 1:] + values[..., :-1]) * (grid[..., 1:] - grid[..., :-1])).sum(-1)


def moments(density: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of a density on a grid."""
    mean = trapezoid(density * grid, grid)
    return mean, (trapezoid(density * grid * grid, grid) - mean * mean).clamp(min=0).sqrt()


def flow_ends(score, process: Process, x: Tensor, times: Tensor) -> Tensor:
    """Where Heun's method takes x (B, 1) along the flow through falling times (n + 1,); pure, traceable."""
    times = times.to(x.dtype)
    flow = process.flow(score)

    def body(x, pair):
        t, after = pair
        first = flow(t, x)
        second = flow(after, x + (after - t) * first)
        return x + 0.5 * (after - t) * (first + second), None
    return loop(body, x, (times[:-1], times[1:]))[0]


def law_of_map(z: Tensor, x: Tensor) -> Tensor:
    """Density at the middles of x (n,) of a rising map z -> x of a standard normal z (n,): mass over width."""
    mass = 0.5 * (torch.erf(z[1:] / 2**0.5) - torch.erf(z[:-1] / 2**0.5))
    return mass / (x[1:] - x[:-1])


def guided_moments(process: Process, w: float, *, offset: float = 1.0, steps: int = 400, points: int = 801
                   ) -> tuple[float, float]:
    """Mean and standard deviation of what the guided flow samples, by its map: no sampling error, float64.

    The mass of the prior between neighbours of ``points`` places from -6 to 6 standard deviations travels with
    them.
    """
    z = torch.linspace(-6, 6, points, dtype=torch.float64)
    x = flow_ends(TwoClasses(offset).score(process, w), process, process.prior_std * z[:, None],
                  process.times(steps, power=2.0))[:, 0]
    mass = 0.5 * (torch.erf(z[1:] / 2**0.5) - torch.erf(z[:-1] / 2**0.5))
    middle = 0.5 * (x[1:] + x[:-1])
    mean = (mass * middle).sum() / mass.sum()
    return mean.item(), ((mass * (middle - mean).square()).sum() / mass.sum()).sqrt().item()
