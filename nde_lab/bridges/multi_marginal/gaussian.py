"""The Schroedinger bridge between two normal laws, in closed form, in any dimension: the truth for the rest.

Bunne et al. 2023, "The Schroedinger bridge between Gaussian measures has a closed form". The joint law of the
ends is normal with covariance [[S0, C], [C', S1]], and optimality is one line: the off-diagonal block of its
precision is -I / epsilon, as in the reference. Float64.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.bridges.multi_marginal.reference import Reference

T64 = torch.float64


def root(matrix: Tensor) -> Tensor:
    """The symmetric square root of a symmetric positive semidefinite matrix (D, D)."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def cross_covariance(S0: Tensor, S1: Tensor, epsilon) -> Tensor:
    """C = E[(X_0 - m0)(X_T - m1)'] (D, D) of the bridge: 1/2 (S0^{1/2} D S0^{-1/2} - epsilon I)."""
    half = root(S0)
    middle = root(4 * half @ S1 @ half + epsilon**2 * torch.eye(len(S0), dtype=S0.dtype))
    return 0.5 * (half @ middle @ torch.linalg.inv(half) - epsilon * torch.eye(len(S0), dtype=S0.dtype))


def _law(mean, cov, name: str) -> tuple[Tensor, Tensor]:
    mean = torch.as_tensor(mean, dtype=T64).reshape(-1)
    cov = torch.as_tensor(cov, dtype=T64)
    cov = cov.reshape(1, 1) if cov.dim() == 0 else cov
    d = len(mean)
    if cov.shape != (d, d):
        raise ValueError(f"{name} has a mean of {d} numbers, so its covariance has shape ({d}, {d}); got "
                         f"{tuple(cov.shape)}")
    if not (bool(torch.isfinite(cov).all()) and torch.allclose(cov, cov.T, rtol=1e-9, atol=1e-12)
            and bool((torch.linalg.eigvalsh(cov) > 0).all())):
        raise ValueError(f"the covariance of {name} must be symmetric with positive eigenvalues, got "
                         f"{cov.tolist()}")
    return mean, cov


@dataclass(frozen=True, eq=False)
class GaussianBridge:
    """From N(m0, S0) at time 0 to N(m1, S1) at the horizon. Means (D,), covariances (D, D), float64.

    ``GaussianBridge.of`` takes lists and numbers and checks them.
    """
    reference: Reference
    m0: Tensor
    S0: Tensor
    m1: Tensor
    S1: Tensor

    @classmethod
    def of(cls, m0, S0, m1, S1, *, sigma: float, pull: float = 0.0, horizon: float = 1.0) -> GaussianBridge:
        """Covariances (variances for D = 1) must be symmetric and positive definite: else a ValueError."""
        reference = Reference(sigma, pull, horizon)
        m0, S0 = _law(m0, S0, "the start")
        m1, S1 = _law(m1, S1, "the end")
        if len(m0) != len(m1):
            raise ValueError(f"start and end live in one space; got {len(m0)} and {len(m1)} dimensions")
        return cls(reference, m0, S0, m1, S1)

    @property
    def C(self) -> Tensor:
        """Cross-covariance of the ends (D, D)."""
        return cross_covariance(self.S0, self.S1, self.reference.epsilon.to(T64))

    def _pinned(self, t):
        return (v.to(T64) for v in self.reference.pinned(torch.as_tensor(t, dtype=T64)))

    def mean(self, t) -> Tensor:
        """(D,) at time t in [0, T]."""
        self.reference.time(t)
        a, b, _ = self._pinned(t)
        return a * self.m0 + b * self.m1

    def cov(self, t) -> Tensor:
        """(D, D) at time t: (1-t)^2 S0 + t^2 S1 + t (1-t) (C + C' + sigma^2 I) for Brownian motion on [0, 1]."""
        self.reference.time(t)
        a, b, w = self._pinned(t)
        C = self.C
        return a * a * self.S0 + b * b * self.S1 + a * b * (C + C.T) + w * torch.eye(len(C), dtype=T64)

    def _end_given(self, t, end: int) -> Tensor:
        """The matrix G with E[X_end - m_end | X_t = x] = G (x - mean(t))."""
        a, b, _ = self._pinned(t)
        C = self.C
        with_state = a * C.T + b * self.S1 if end else a * self.S0 + b * C
        return with_state @ torch.linalg.inv(self.cov(t))

    def forward(self, x, t) -> Tensor:
        """f+ (B, D) at x (B, D), t in [0, T): the reference's drift + sigma^2 grad log psi."""
        self.reference.time(t, last=False)
        left = torch.as_tensor(self.reference.horizon - t, dtype=T64)
        q = self.reference
        m, v = q.factor(left), q.variance(left)
        end = self.m1 + (x - self.mean(t)) @ self._end_given(t, 1).T
        return q.drift(x) + q.sigma**2 * m / v * (end - m * x)

    def backward(self, x, t) -> Tensor:
        """f- (B, D), the drift of the process in reversed time, at the forward time t in (0, T]."""
        self.reference.time(t, first=False)
        q, came = self.reference, torch.as_tensor(t, dtype=T64)
        start = self.m0 + (x - self.mean(t)) @ self._end_given(t, 0).T
        return -q.drift(x) + q.sigma**2 / q.variance(came) * (q.factor(came) * start - x)

    def score(self, x, t) -> Tensor:
        """grad log p_t (B, D)."""
        return -(x - self.mean(t)) @ torch.linalg.inv(self.cov(t))

    def slope(self, t) -> Tensor:
        """K_t (D, D) in f+ = mean'(t) + K_t (x - mean(t)); for D = 1 and Brownian motion the paper's kappa."""
        zero = self.forward(self.mean(t)[None], t)
        return (self.forward(self.mean(t) + torch.eye(len(self.m0), dtype=T64), t) - zero).T
