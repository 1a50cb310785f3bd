"""Mean-reverting diffusion: the state is pulled towards a degraded observation mu, not towards zero.

Forward: dx = theta(t) (mu - x) dt + sigma(t) dW with sigma^2 = 2 sigma_inf^2 theta. With alpha = exp(-integral
of theta from 0 to t) and Sigma = sigma_inf sqrt(1 - alpha^2), the state given the clean x0 is normal,

    x = alpha x0 + (1 - alpha) mu + Sigma eps,

and at rest it is N(mu, sigma_inf^2). Li and others (2025), Eqs. 1 to 4; the process is that of IR-SDE (2023).

Keep two letters apart: Sigma (``std``) is the spread of the kernel, sigma (``g2`` is its square) multiplies dW.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.diffusion.score_sde import Process
from nde_lab.solvers import SDE

KINDS = ("noise", "data", "velocity")


@dataclass(frozen=True)
class Deviation(Process):
    """The process of the deviation y = x - mu, which forgets its start: dy = -theta y dt + sigma dW.

    theta(t) = first + slope t. sigma_inf: the standard deviation at rest (default 0.5), a number or a 0-d
    tensor (a live knob). horizon: T (default 1.8, where alpha is 0.006 with the default theta). Without mu this
    is the variance-preserving process with beta = 2 theta, scaled by sigma_inf.
    """
    sigma_inf: float | Tensor = 0.5
    first: float = 1.0
    slope: float = 2.0
    horizon: float = 1.8

    def __post_init__(self):
        for name in ("sigma_inf", "first", "slope", "horizon"):
            value = getattr(self, name)
            if isinstance(value, Tensor) and name == "sigma_inf":
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or value < 0 or (value == 0 and name != "slope"):
                raise ValueError(f"a mean-reverting process needs a positive finite number {name} (slope "
                                 f"may be 0), got {value!r}")

    def theta(self, t) -> Tensor:
        """The rate of mean reversion at time t, per unit of time."""
        return self.first + self.slope * self.time(t)

    def log_mean(self, t):
        t = self.time(t)
        return -(self.first * t + 0.5 * self.slope * t * t)

    def std(self, t):
        return self.sigma_inf * torch.sqrt(-torch.expm1(2 * self.log_mean(t)))

    def rate(self, t):
        return -self.theta(t)

    def g2(self, t):
        return 2 * self.sigma_inf * self.sigma_inf * self.theta(t)

    @property
    def prior_std(self):
        return self.sigma_inf

    def time_at(self, half_log_snr):
        # 1 / alpha^2 = 1 + e^{-2 lambda} / sigma_inf^2; then a quadratic equation for t, without cancellation.
        ratio = torch.exp(-half_log_snr) / self.sigma_inf
        integral = 0.5 * torch.log1p(ratio * ratio)
        return 2 * integral / (self.first + torch.sqrt(self.first**2 + 2 * self.slope * integral))


@dataclass(frozen=True, eq=False)
class MeanReverting:
    """Deviation plus the observation: knows marginals, prior, forward and reverse equations, and conversions.

    mu: degraded observation, any shape that broadcasts against states (B, D). Values are not looked at.
    """
    mu: Tensor
    deviation: Deviation = Deviation()

    def marginal(self, t, x0: Tensor) -> tuple[Tensor, Tensor]:
        """Mean (B, D) and standard deviation (0-d, or (B, 1) for a clock per row) of x(t) given x0 (B, D)."""
        return self.mu + self.deviation.mean(t) * (x0 - self.mu), self.deviation.std(t)

    def noised(self, t, x0: Tensor, z: Tensor) -> Tensor:
        """x(t) given x0, from standard normal z; all (B, D)."""
        mean, std = self.marginal(t, x0)
        return mean + std * z

    def prior(self, z: Tensor) -> Tensor:
        """A start of the reversal, N(mu, sigma_inf^2), from standard normal z (B, D)."""
        return self.mu + self.deviation.sigma_inf * z

    def forward(self) -> SDE:
        """The forward SDE, for ``nde_lab.solvers``."""
        d = self.deviation
        return SDE(lambda t, x: d.theta(t) * (self.mu - x), lambda t,
                   x: torch.sqrt(d.g2(t)) * torch.ones_like(x))

    def flow(self, noise):
        """The probability-flow ODE dx/dt = theta (mu - x) + sigma^2 / (2 Sigma) noise(t, x), as f(t, x)."""
        d = self.deviation
        return lambda t, x: d.theta(t) * (self.mu - x) + 0.5 * d.g2(t) / d.std(t) * noise(t, x)

    def reverse(self, noise) -> SDE:
        """The reverse SDE in the clock tau = T - t: drift theta (x - mu) - sigma^2 / Sigma noise(t, x)."""
        d = self.deviation

        def drift(tau, x):
            t = d.horizon - tau
            return d.theta(t) * (x - self.mu) - d.g2(t) / d.std(t) * noise(t, x)
        return SDE(drift, lambda tau, x: torch.sqrt(d.g2(d.horizon - tau)) * torch.ones_like(x))

    def convert(self, value: Tensor, x: Tensor, t, *, source: str, target: str) -> Tensor:
        """A prediction at (t, x) of kind ``source`` as one of kind ``target``; all (B, D).

        noise is eps, data is x0, velocity is dx/dphi with alpha = cos phi and Sigma = sigma_inf sin phi: how x
        moves per unit of the angle while x0 and eps stay. Raises ValueError for an unknown kind.
        """
        for name, kind in (("source", source), ("target", target)):
            if kind not in KINDS:
                raise ValueError(f"{name} must be one of {', '.join(KINDS)}, got {kind!r}")
        if source == target:
            return value
        d, y = self.deviation, x - self.mu
        a, s = d.mean(t), d.std(t)
        sine = s / d.sigma_inf
        if source == "noise":
            eps, y0 = value, (y - s * value) / a
        elif source == "data":
            eps, y0 = (y - a * (value - self.mu)) / s, value - self.mu
        else:
            eps, y0 = (sine * y + a * value) / d.sigma_inf, a * y - sine * value
        if target == "noise":
            return eps
        return self.mu + y0 if target == "data" else a * d.sigma_inf * eps - sine * y0
