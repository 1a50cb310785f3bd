"""Bridge matching: draw a start, an end, a bridge of the reference between them; regress the drift that points to
the end. The best drift that is a function of place and time alone is the *Markovian projection* of the mixture of
bridges: it has the mixture's marginals at every time.

If the pairs come from the entropic plan, the mixture is the Schroedinger bridge and so is the projection. If they
do not, pair anew by the ends of the learned process and repeat: iterated Markovian fitting (Shi et al. 2023,
"Diffusion Schroedinger bridge matching"; Peluchetti 2023).
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.bridges.multi_marginal.gaussian import GaussianBridge
from nde_lab.bridges.multi_marginal.reference import Reference
from nde_lab.bridges.multi_marginal.static import log_density


def bridge_target(reference: Reference, t, x: Tensor, x1: Tensor) -> Tensor:
    """The drift (B, d) of the reference at x (B, d) that is known to end at x1 (B, d); t number or (B, 1).

    For Brownian motion (x1 - x) / (T - t). It grows near the end; training times stop short of it.
    """
    left = reference.horizon - t
    m = reference.factor(left)
    return reference.drift(x) + reference.sigma**2 * m / reference.variance(left) * (x1 - m * x)


def on_bridge(reference: Reference, t, x0: Tensor, x1: Tensor, z: Tensor) -> Tensor:
    """A point (B, d) of the pinned reference at time t; z (B, d) standard normal."""
    at = reference.pinned(t)
    return at.start * x0 + at.end * x1 + at.variance.sqrt() * z


@dataclass(frozen=True, eq=False)
class BridgeMixture:
    """Bridges of the reference glued onto any plan: log_plan (n, m) over points x0 (n, d) and x1 (m, d)."""
    reference: Reference
    x0: Tensor
    x1: Tensor
    log_plan: Tensor

    def _log_parts(self, x: Tensor, t) -> Tensor:
        """log(pi_ij x density of x on the bridge ij): (B, n, m)."""
        at, (n, m) = self.reference.pinned(t), self.log_plan.shape
        centres = at.start * self.x0[:, None] + at.end * self.x1[None]
        found = log_density(x, centres.reshape(n * m, -1), at.variance)
        return found.reshape(len(x), n, m) + self.log_plan

    def log_density(self, x: Tensor, t) -> Tensor:
        """log p_t (B,), for 0 < t < T."""
        self.reference.time(t, first=False, last=False)
        return torch.logsumexp(self._log_parts(x, t).flatten(1), 1)

    def forward(self, x: Tensor, t) -> Tensor:
        """Drift (B, d) of the Markovian projection, for 0 < t < T."""
        self.reference.time(t, first=False, last=False)
        weights = torch.softmax(self._log_parts(x, t).flatten(1), 1).reshape(len(x), *self.log_plan.shape)
        return bridge_target(self.reference, t, x, weights.sum(1) @ self.x1)


def fitted_coupling(bridge: GaussianBridge, c: float, *, points: int = 4000) -> float:
    """One round of iterated Markovian fitting for normal laws on the line and Brownian motion.

    c: covariance of the present pairs (X_0, X_T), -s0 s1 <= c <= s0 s1. The projection is linear, X_T depends on X_0
    by the factor exp(integral of its slope), and the new covariance is s0^2 times that. The bridge's own C is the
    fixed point. ValueError for other dimensions, a pull, or an impossible c.
    """
    if len(bridge.m0) != 1 or bridge.reference.pull != 0:
        raise ValueError("fitted_coupling is for D = 1 and Brownian motion; got "
                         f"D = {len(bridge.m0)}, pull = {bridge.reference.pull:g}")
    s0, s1 = bridge.S0.item(), bridge.S1.item()
    if not abs(c) <= math.sqrt(s0 * s1):
        raise ValueError(f"a covariance of the ends is at most s0 s1 = {math.sqrt(s0 * s1):g} in size, got {c!r}")
    T, noise = bridge.reference.horizon, bridge.reference.sigma**2
    t = (torch.arange(points, dtype=torch.float64) + 0.5) / points            # midpoints, in units of T
    variance = (1 - t)**2 * s0 + t**2 * s1 + 2 * t * (1 - t) * c + noise * T * t * (1 - t)
    slope = (t * s1 - (1 - t) * s0 + (1 - 2 * t) * c - noise * T * t) / variance
    return s0 * math.exp(slope.sum().item() / points)
