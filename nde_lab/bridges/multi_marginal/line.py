"""IPF between two normal laws on the line, where linear drifts are enough: with particles, and without.

A process is a chain X_{k+1} = X_k + h (offset_k + slope_k X_k) + std_k z on its own clock. ``turned`` is a half
step from simulated paths; ``Chain.turned`` is the same with infinitely many. In both the reversed chain may keep the
noise sigma sqrt(h), as published, or take that which the regression leaves over.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.bridges.multi_marginal.gaussian import GaussianBridge


def walk(start: Tensor, slopes: Tensor, offsets: Tensor, stds: Tensor, noise: Tensor) -> Tensor:
    """Paths (K + 1, B): start (B,), the chain's K numbers each, noise (K, B). On [0, 1], h = 1 / K. Traceable."""
    h = 1 / len(slopes)

    def body(x, turn):
        slope, offset, std, z = turn
        x = x + h * (offset + slope * x) + std * z
        return x, x
    _, rest = loop(body, start, (slopes, offsets, stds, noise))
    return torch.cat([start[None], rest])


def turned(path: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """slopes, offsets and left-over standard deviations (K,) of the reversed chain, by least squares. Traceable."""
    before, after = path.flip(0)[:-1], path.flip(0)[1:]
    h = 1 / len(before)
    mean, to = before.mean(1), after.mean(1)
    off, change = before - mean[:, None], after - to[:, None]
    ratio = (off * change).mean(1) / off.square().mean(1)
    left = (change - ratio[:, None] * off).square().mean(1)
    return (ratio - 1) / h, (to - ratio * mean) / h, left.sqrt()


class Chain(NamedTuple):
    """The chain's numbers (K,) and the normal law it starts from, float64."""
    slopes: Tensor
    offsets: Tensor
    stds: Tensor
    mean: float
    variance: float

    def moments(self) -> tuple[Tensor, Tensor, Tensor]:
        """Means and variances (K + 1,), covariances of neighbours (K,)."""
        h, means, variances, joint = 1 / len(self.slopes), [self.mean], [self.variance], []
        for slope, offset, std in zip(*(v.tolist() for v in self[:3]), strict=True):
            joint.append((1 + h * slope) * variances[-1])
            means.append(means[-1] + h * (offset + slope * means[-1]))
            variances.append((1 + h * slope)**2 * variances[-1] + std**2)
        return tuple(torch.tensor(v, dtype=torch.float64) for v in (means, variances, joint))

    def turned(self, mean: float, variance: float, *, residual: bool) -> Chain:
        """The reversed chain, started from N(mean, variance)."""
        h, (m, v, joint) = 1 / len(self.slopes), self.moments()
        ratio = joint / v[1:]
        stds = (v[:-1] - ratio * joint).clamp(min=0).sqrt() if residual else self.stds
        return Chain(((ratio - 1) / h).flip(0), ((m[:-1] - ratio * m[1:]) / h).flip(0), stds.flip(0), mean, variance)


def chains(bridge: GaussianBridge, steps: int, half_steps: int, *, residual: bool = False) -> list[Chain]:
    """The reference's chain and those after each half step, from alternating ends (D = 1, no pull, horizon 1)."""
    if len(bridge.m0) != 1 or bridge.reference.pull != 0 or bridge.reference.horizon != 1:
        raise ValueError("chains are for the line, Brownian motion and horizon 1; got "
                         f"D = {len(bridge.m0)}, pull = {bridge.reference.pull:g}, "
                         f"horizon = {bridge.reference.horizon:g}")
    ends = [(m.item(), S.item()) for m, S in ((bridge.m0, bridge.S0), (bridge.m1, bridge.S1))]
    still = torch.zeros(steps, dtype=torch.float64)
    made = [Chain(still, still, still + bridge.reference.sigma / steps**0.5, *ends[0])]
    for k in range(half_steps):
        made.append(made[-1].turned(*ends[(k + 1) % 2], residual=residual))
    return made


def mid_variance(chain: Chain) -> float:
    """Variance at the middle of an even number of steps."""
    return chain.moments()[1][len(chain.slopes) // 2].item()
