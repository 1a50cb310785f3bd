"""Mixtures of Gaussians: data whose noised laws and scores are known exactly, at every time.

Under x(t) = m x0 + s z a component N(mu, c^2) becomes N(m mu, m^2 c^2 + s^2), and the weights stay.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.diffusion.score_sde.processes import Process


@dataclass(frozen=True, eq=False)
class Mixture:
    """sum_k weights_k N(means_k, stds_k^2 I). means (K, D), stds (K,), weights (K,) that add up to 1.

    Values are not looked at, so it may be built in a traced step from an experiment's ``data``;
    ``Mixture.of`` checks them.
    """
    means: Tensor
    stds: Tensor
    weights: Tensor

    def __post_init__(self):
        k = len(self.means)
        if self.means.dim() != 2 or self.stds.shape != (k,) or self.weights.shape != (k,):
            got = ", ".join(str(tuple(v.shape)) for v in (self.means, self.stds, self.weights))
            raise ValueError(f"a mixture needs means (K, D), stds (K,) and weights (K,), got {got}")

    @classmethod
    def of(cls, means, stds, weights=None, *, dtype: torch.dtype = torch.float64) -> Mixture:
        """From lists: means of K numbers (D = 1) or K points; stds a number or K; weights equal by default."""
        means = torch.as_tensor(means, dtype=dtype)
        means = means[:, None] if means.dim() == 1 else means
        stds = torch.as_tensor(stds, dtype=dtype).expand(len(means)).contiguous()
        weights = torch.ones(len(means)) if weights is None else torch.as_tensor(weights, dtype=dtype)
        if not bool((stds > 0).all()):
            raise ValueError(f"every std of a mixture must be positive, got {stds.tolist()}")
        if not bool((weights > 0).all()):
            raise ValueError(f"every weight of a mixture must be positive, got {weights.tolist()}")
        return cls(means, stds, (weights / weights.sum()).to(dtype))

    @classmethod
    def ring(cls, modes: int = 5, radius: float = 2.0, std: float = 0.2, *,
             dtype: torch.dtype = torch.float64) -> Mixture:
        """Equal modes on a circle in the plane."""
        if isinstance(modes, bool) or not isinstance(modes, int) or modes < 1:
            raise ValueError(f"a ring has a whole number of modes >= 1, got {modes!r}")
        angles = [2 * math.pi * k / modes for k in range(modes)]
        return cls.of([[radius * math.cos(a), radius * math.sin(a)] for a in angles], std, dtype=dtype)

    def _parts(self, t, x: Tensor, process: Process | None) -> tuple[Tensor, Tensor, Tensor]:
        """log(weight x density) of each component (B, K), offsets x - mean (B, K, D), variances (1 or B, K)."""
        m, s2 = 1.0, 0.0
        if process is not None:
            m, s2 = process.mean(t), process.std(t).square()        # 0-d or (B, 1)
        variance = m * m * self.stds.square() + s2
        variance = variance if variance.dim() == 2 else variance[None]
        centre = m * self.means.reshape(1, -1)                      # (1 or B, K D)
        offset = x[:, None, :] - centre.reshape(-1, *self.means.shape)
        logs = (torch.log(self.weights) - 0.5 * offset.square().sum(-1) / variance
                - 0.5 * x.shape[1] * torch.log(2 * math.pi * variance))
        return logs, offset, variance

    def log_density(self, x: Tensor) -> Tensor:
        """log p(x), (B, D) -> (B,), nats."""
        return torch.logsumexp(self._parts(0, x, None)[0], -1)

    def marginal_log_density(self, process: Process, t, x: Tensor) -> Tensor:
        """log p_t(x) after noising to time t, (B, D) -> (B,). t: number, 0-d or (B, 1)."""
        return torch.logsumexp(self._parts(t, x, process)[0], -1)

    def score(self, process: Process):
        """The exact score(t, x) of the noised mixture, (B, D)."""
        def of(t, x):
            logs, offset, variance = self._parts(t, x, process)
            return -(torch.softmax(logs, -1) / variance).unsqueeze(-1).mul(offset).sum(1)
        return of

    def draw(self, u: Tensor, z: Tensor) -> Tensor:
        """Samples (B, D) from uniform u (B,) and standard normal z (B, D); traceable (no search, no gather)."""
        edges = torch.cumsum(self.weights, 0)
        k = (u[:, None] >= edges[None, :-1]).to(z.dtype).sum(1)
        chosen = (k[:, None] == torch.arange(len(self.means), dtype=z.dtype)).to(z.dtype)
        return chosen @ self.means + (chosen @ self.stds)[:, None] * z

    def nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Index of the nearest mean (B,) and the offset from it (B, D)."""
        k = (x[:, None] - self.means).square().sum(-1).argmin(-1)
        return k, x - self.means[k]
