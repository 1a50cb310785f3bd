"""The static bridge: which start is joined to which end. And the paths that follow from it, without learning.

For two weighted clouds the optimal plan is pi_ij = u_i q(y_j | x_i) v_j with the reference's transition density q
(entropic optimal transport with epsilon = the reference's variance). From u and v everything else is a sum:
    psi(x, t) = sum_j v_j q(y_j | x, T - t),   phi(x, t) = sum_i u_i q(x | x_i, t),
    p_t = phi psi,   f+ = f_Q + sigma^2 grad log psi,   f- = -f_Q + sigma^2 grad log phi   (reversed clock).
The functions of tensors here can be traced; ``of`` checks its arguments and solves in float64.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.bridges.entropic import sinkhorn
from nde_lab.bridges.multi_marginal.reference import Reference

T64 = torch.float64


def squares(x: Tensor, y: Tensor) -> Tensor:
    """|x_i - y_j|^2: (n, d), (m, d) -> (n, m)."""
    return (x[:, None] - y[None]).square().sum(-1)


def log_density(x: Tensor, centres: Tensor, variance) -> Tensor:
    """log N(x_i; centre_j, variance I): (n, d), (m, d) -> (n, m)."""
    return -squares(x, centres) / (2 * variance) - 0.5 * x.shape[1] * torch.log(2 * math.pi * variance)


def potentials(cost: Tensor, log_a: Tensor, log_b: Tensor, epsilon: Tensor, sweeps: int) -> tuple[Tensor, Tensor]:
    """log u (n,), log v (m,) with u_i exp(-cost_ij / epsilon) v_j of row sums a and column sums b. Traceable.

    ``sweeps`` half-step pairs of IPF: first the columns, then the rows. epsilon falls from the size of the cost to
    its value over the first half of them, so that a small one is not too slow.
    """
    top = cost.amax().maximum(epsilon)
    share = (2 * torch.arange(sweeps, dtype=cost.dtype) / sweeps).clamp(max=1.0)
    levels = torch.exp(torch.log(top) + (torch.log(epsilon) - torch.log(top)) * share)

    def body(f, level):                                   # f, g: potentials in the units of the cost
        g = level * (log_b - torch.logsumexp((f[:, None] - cost) / level, 0))
        return level * (log_a - torch.logsumexp((g[None] - cost) / level, 1)), g
    f, g = loop(body, torch.zeros_like(log_a), levels)
    return f / epsilon, g[-1] / epsilon


@dataclass(frozen=True, eq=False)
class PointBridge:
    """The bridge between weighted points x0 (n, d) and x1 (m, d), given log u (n,) and log v (m,).

    x in the methods is (B, d); t a number or a 0-d tensor.
    """
    reference: Reference
    x0: Tensor
    x1: Tensor
    log_u: Tensor
    log_v: Tensor

    @classmethod
    def of(cls, x0, x1, *, sigma: float, pull: float = 0.0, horizon: float = 1.0, a=None, b=None,
           tolerance: float = 1e-9) -> PointBridge:
        """Solve for u and v. a (n,), b (m,): weights (default: equal), each with total 1.

        ValueError for clouds that are not (n, d) and (m, d), bad weights, sigma <= 0, and for a Sinkhorn iteration
        that does not reach ``tolerance``.
        """
        reference = Reference(sigma, pull, horizon)
        x0, x1 = (torch.as_tensor(x, dtype=T64) for x in (x0, x1))
        if x0.dim() != 2 or x1.dim() != 2 or x0.shape[1] != x1.shape[1] or 0 in (*x0.shape, *x1.shape):
            raise ValueError("the clouds are tensors (n, d) and (m, d) with at least one point each and one d, got "
                             f"{tuple(x0.shape)} and {tuple(x1.shape)}")
        m, v = reference.factor(horizon), reference.variance(horizon)
        cost = 0.5 * squares(m * x0, x1)
        found = sinkhorn(cost, a, b, float(v), tolerance=tolerance)
        if not found.converged:
            raise ValueError(f"the static problem was not solved: {found.status.sentence}")
        # plan = exp((x + y - cost) / eps - 1); the normal density's constant goes into u
        log_u = torch.as_tensor(found.x) / v - 1 + 0.5 * x0.shape[1] * torch.log(2 * math.pi * v)
        return cls(reference, x0, x1, log_u, torch.as_tensor(found.y) / v)

    def log_plan(self) -> Tensor:
        """log pi (n, m)."""
        T = self.reference.horizon
        log_q = log_density(self.reference.factor(T) * self.x0, self.x1, self.reference.variance(T))
        return self.log_u[:, None] + log_q + self.log_v

    def plan(self) -> Tensor:
        """pi (n, m): probability that a path begins at x0_i and ends at x1_j."""
        return self.log_plan().exp()

    def _log_psi(self, x: Tensor, t) -> Tensor:
        left = self.reference.horizon - t
        return self.log_v + log_density(self.reference.factor(left) * x, self.x1, self.reference.variance(left))

    def _log_phi(self, x: Tensor, t) -> Tensor:
        return self.log_u + log_density(x, self.reference.factor(t) * self.x0, self.reference.variance(t))

    def log_density(self, x: Tensor, t) -> Tensor:
        """log p_t (B,), for 0 < t < T."""
        self.reference.time(t, first=False, last=False)
        return torch.logsumexp(self._log_phi(x, t), 1) + torch.logsumexp(self._log_psi(x, t), 1)

    def end(self, x: Tensor, t) -> Tensor:
        """E[X_T | X_t = x] (B, d)."""
        self.reference.time(t, last=False)
        return torch.softmax(self._log_psi(x, t), 1) @ self.x1

    def start(self, x: Tensor, t) -> Tensor:
        """E[X_0 | X_t = x] (B, d)."""
        self.reference.time(t, first=False)
        return torch.softmax(self._log_phi(x, t), 1) @ self.x0

    def forward(self, x: Tensor, t) -> Tensor:
        """f+ (B, d), for 0 <= t < T."""
        q, left = self.reference, self.reference.horizon - t
        m = q.factor(left)
        return q.drift(x) + q.sigma**2 * m / q.variance(left) * (self.end(x, t) - m * x)

    def backward(self, x: Tensor, t) -> Tensor:
        """f- (B, d) of the process in reversed time, at the forward time t, 0 < t <= T."""
        q = self.reference
        return -q.drift(x) + q.sigma**2 / q.variance(t) * (q.factor(t) * self.start(x, t) - x)


def simulate(drift, x: Tensor, sigma, noise: Tensor, horizon: float = 1.0) -> Tensor:
    """Euler-Maruyama for dX = drift(x, t) dt + sigma dW: noise (K, B, d) standard normal -> path (K + 1, B, d).

    Steps horizon / K; the drift is asked at the left ends, never at the horizon.
    """
    steps = len(noise)
    h = horizon / steps
    times = h * torch.arange(steps, dtype=x.dtype)

    def body(x, turn):
        t, z = turn
        x = x + h * drift(x, t) + sigma * h**0.5 * z
        return x, x
    _, rest = loop(body, x, (times, noise))
    return torch.cat([x[None], rest])
