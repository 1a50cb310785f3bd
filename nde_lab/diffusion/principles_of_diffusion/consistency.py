"""Consistency models: the flow's end point as one network call, distilled from the exact flow.

f(t, x) is to be the same everywhere on a path of the flow, and x itself at the smallest time: then it is the
map of the flow to the data (Lai et al. 2025, flow maps; Song et al. 2023). Training moves f(t, x_t) towards
f(r, x_r) at the next point of the path, r < t, with that target held still (no gradient goes through it).
Without the boundary condition a constant is a perfect answer.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.diffusion.dpm_solver import dpm_step, lambda_times, noise_of
from nde_lab.diffusion.score_sde import VE, Process

CLOCK = VE(low=0.01, high=10.0)
END = 0.1                                   # smallest time: s = 0.017 for CLOCK, far below the data's detail


@dataclass(frozen=True)
class Consistency:
    """The parametrisation f = skip(t) x + out(t) net(...) in the clock of a process with m = 1.

    apply(inputs (B, D + 1)) -> (B, D) is the network. spread: standard deviation of the data, per coordinate.
    boundary True: skip = spread^2 / ((s - s_end)^2 + spread^2) and out = (s - s_end) spread / sqrt(s^2 +
    spread^2), so that f(end, x) = x exactly (Karras et al. 2022; Song et al. 2023, Appendix C). False: f = net.
    """
    process: Process = CLOCK
    spread: float = 1.0
    end: float = END
    boundary: bool = True

    def __call__(self, apply, t, x: Tensor) -> Tensor:
        """f(t, x), (B, D); t 0-d or (B, 1), from ``end`` to the horizon."""
        s = self.process.std(t)
        size = torch.sqrt(s * s + self.spread**2)
        clock = torch.ones_like(x[:, :1]) * torch.log(s)
        guess = apply(torch.cat([4 * x / size, clock], -1))
        if not self.boundary:
            return guess
        beyond = s - self.process.std(self.end)
        skip = self.spread**2 / (beyond * beyond + self.spread**2)
        return skip * x + beyond * self.spread / size * guess

    def times(self, levels: int) -> Tensor:
        """levels + 1 float64 times from the horizon to ``end``, uniform in log s."""
        return lambda_times(self.process, levels, self.end)

    def loss(self, apply, target, t: Tensor, r: Tensor, x: Tensor, x_r: Tensor) -> Tensor:
        """Mean of |f(t, x) - f_target(r, x_r)|^2, 0-d. x_r lies on the flow's path through (t, x); t, r (B, 1).

        target: the network that gives f_target, usually ``apply`` with parameters that carry no gradient.
        """
        return (self(apply, t, x) - self(target, r, x_r)).square().sum(-1).mean()

    def sample(self, apply, z: Tensor) -> Tensor:
        """One step from standard normal z (B, D) at the horizon."""
        t = torch.full_like(z[:, :1], self.process.horizon)
        return self(apply, t, self.process.prior_std * z)

    def two_steps(self, apply, z: Tensor, again: Tensor, middle: float) -> Tensor:
        """One step, noise ``again`` (B, D) to the time ``middle``, and one more step."""
        t = torch.full_like(z[:, :1], middle)
        return self(apply, t, self.process.noised(t, self.sample(apply, z), again))


def along_flow(score, process: Process, t: Tensor, r: Tensor, x: Tensor) -> Tensor:
    """The point at time r of the flow's path through (t, x), by one second-order DPM step; t, r (B, 1)."""
    return dpm_step(noise_of(score, process), process, x, t, r, order=2)
