"""Noising processes that know their own marginals: VE, VP, sub-VP and OU.

Forward: dx = a(t) x dt + g(t) dW from data at t = 0 to noise at t = T. Given the data point x0, x(t) is normal
with mean m(t) x0 and standard deviation s(t) in each coordinate. Song et al. (2021), Sec. 3.4 and Appendix B.

Times are 0-d or (B, 1) tensors (a clock per row), or numbers; a number outside [0, T] is refused. Traced code
gives tensors. Scores are functions ``score(t, x)`` of a state (B, D), as the solvers call theirs.
"""
from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.solvers import SDE


class Coefficients(NamedTuple):
    """At a time t: mean m and std s of the kernel N(m x0, s^2), drift rate a (f = a x) and g^2."""
    mean: Tensor
    std: Tensor
    rate: Tensor
    g2: Tensor


def _positive(owner, *names: str) -> None:
    for name in names:
        value = getattr(owner, name)
        if isinstance(value, Tensor):              # a live knob in a traced step: its value is not looked at
            continue
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or value <= 0:
            raise ValueError(f"{type(owner).__name__} needs a positive finite number {name}, got {value!r}")


class Process(ABC):
    """What the four share. A subclass says log m, s, a and g^2, its horizon T, its prior and lambda^-1."""
    horizon: float

    @abstractmethod
    def log_mean(self, t) -> Tensor:
        """log m(t), <= 0."""

    @abstractmethod
    def std(self, t) -> Tensor:
        """s(t), the standard deviation of x(t) given x0; 0 at t = 0."""

    @abstractmethod
    def rate(self, t) -> Tensor:
        """a(t) of the drift a(t) x, which is d log m / dt."""

    @abstractmethod
    def g2(self, t) -> Tensor:
        """g(t)^2."""

    @property
    @abstractmethod
    def prior_std(self) -> float:
        """Standard deviation of the normal prior that stands for the law at the horizon."""

    @abstractmethod
    def time_at(self, half_log_snr: Tensor) -> Tensor:
        """The time at which log(m / s) has this value; ``half_log_snr`` falls strictly in t."""

    def time(self, t) -> Tensor:
        """t as a tensor. Raises ValueError for a number outside [0, T]; a tensor's values are not looked at."""
        if isinstance(t, Tensor):
            return t
        if isinstance(t, bool) or not isinstance(t, (int, float)) or not 0 <= t <= self.horizon:
            raise ValueError(f"{type(self).__name__} runs from t = 0 to {self.horizon:g}; got t = {t!r}, which "
                             "lies outside its schedule")
        return torch.tensor(float(t), dtype=torch.float64)       # 0-d: takes the dtype of what it multiplies

    def mean(self, t) -> Tensor:
        """m(t)."""
        return torch.exp(self.log_mean(t))

    def half_log_snr(self, t) -> Tensor:
        """lambda(t) = log(m / s); infinite at t = 0."""
        return self.log_mean(t) - torch.log(self.std(t))

    def coefficients(self, t) -> Coefficients:
        """m, s, a and g^2 at once."""
        t = self.time(t)
        return Coefficients(self.mean(t), self.std(t), self.rate(t), self.g2(t))

    def noised(self, t, x0: Tensor, z: Tensor) -> Tensor:
        """x(t) given x0: m x0 + s z with standard normal z; all (B, D)."""
        return self.mean(t) * x0 + self.std(t) * z

    def prior_log_density(self, x: Tensor) -> Tensor:
        """log N(x; 0, prior_std^2) of rows (B, D) -> (B,), in nats."""
        constant = x.shape[-1] * (math.log(self.prior_std) + 0.5 * math.log(2 * math.pi))
        return -0.5 * (x / self.prior_std).square().sum(-1) - constant

    def forward(self) -> SDE:
        """The forward SDE, for ``nde_lab.solvers``."""
        return SDE(lambda t, x: self.rate(t) * x, lambda t, x: torch.sqrt(self.g2(t)) * torch.ones_like(x))

    def reverse(self, score, *, noise=1.0) -> SDE:
        """The process run back, in the clock tau = T - t, which runs forward as solvers want it.

        dx = [-a x + (1 + noise^2) / 2 g^2 score] dtau + noise g dW, coefficients at t = T - tau. noise is the
        one switch: 1 is the reverse SDE (Eq. 6), 0 the probability-flow ODE (Eq. 13); with the exact score
        every value has the same marginals. A number >= 0, or a 0-d tensor (a live knob).
        """
        if not isinstance(noise, Tensor) and not 0 <= noise < math.inf:
            raise ValueError(f"noise must be a number >= 0 (0: the flow, 1: the reverse SDE), got {noise!r}")
        share = (1 + noise * noise) / 2

        def drift(tau, x):
            t = self.horizon - tau
            return share * self.g2(t) * score(t, x) - self.rate(t) * x

        def diffusion(tau, x):
            return noise * torch.sqrt(self.g2(self.horizon - tau)) * torch.ones_like(x)
        return SDE(drift, diffusion)

    def flow(self, score):
        """The probability-flow ODE dx/dt = a x - g^2 score / 2 as f(t, x), in process time (either way)."""
        return lambda t, x: self.rate(t) * x - 0.5 * self.g2(t) * score(t, x)

    def times(self, steps: int, end: float = 1e-3, *, power: float = 1.0) -> Tensor:
        """steps + 1 float64 times from the horizon down to ``end``: end + (T - end) u^power.

        power 1 is uniform; 2 makes short steps near the data, which the likelihood likes.
        """
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ValueError(f"steps must be a whole number >= 1, got {steps!r}")
        if not isinstance(end, (int, float)) or not 0 < end < self.horizon:
            raise ValueError("sampling ends at a time above 0, where the noise level is 0 and the score may be "
                             f"infinite, and below the horizon {self.horizon:g}; got end={end!r}")
        if not power > 0:
            raise ValueError(f"power must be positive (1: uniform, 2: quadratic), got {power!r}")
        u = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
        return end + (self.horizon - end) * u**power


@dataclass(frozen=True)
class VE(Process):
    """Variance exploding: a = 0, sigma(t) = low (high / low)^t, s^2 = sigma(t)^2 - low^2 exactly.

    The paper's code uses s = sigma(t), which treats the data as already noised by ``low``. ``high`` must exceed
    the diameter of the data; it may be a 0-d tensor (a live knob). T = 1.
    """
    low: float = 0.01
    high: float | Tensor = 50.0
    horizon = 1.0

    def __post_init__(self):
        _positive(self, "low", "high")
        if not isinstance(self.high, Tensor) and self.low >= self.high:
            raise ValueError(f"VE needs low < high noise levels, got low={self.low:g}, high={self.high:g}")

    @property
    def growth(self) -> float | Tensor:
        """d log sigma / dt."""
        ratio = self.high / self.low
        return torch.log(ratio) if isinstance(ratio, Tensor) else math.log(ratio)

    def log_mean(self, t):
        return 0.0 * self.time(t)

    def std(self, t):
        return self.low * torch.sqrt(torch.expm1(2 * self.growth * self.time(t)))

    def rate(self, t):
        return 0.0 * self.time(t)

    def g2(self, t):
        return 2 * self.growth * self.low**2 * torch.exp(2 * self.growth * self.time(t))

    @property
    def prior_std(self):
        return self.high

    def time_at(self, half_log_snr):
        return torch.log1p(torch.exp(-2 * half_log_snr) / self.low**2) / (2 * self.growth)


@dataclass(frozen=True)
class VP(Process):
    """Variance preserving: a = -beta / 2, g^2 = beta, beta(t) = first + t (last - first), T = 1.

    ``last`` may be a 0-d tensor (a live knob).
    """
    first: float = 0.1
    last: float | Tensor = 20.0
    horizon = 1.0

    def __post_init__(self):
        _positive(self, "first", "last")
        if not isinstance(self.last, Tensor) and self.first >= self.last:
            raise ValueError("beta must grow from first to last, got first="
                             f"{self.first:g}, last={self.last:g}")

    def beta(self, t) -> Tensor:
        """beta(t), the noise rate."""
        return self.first + self.time(t) * (self.last - self.first)

    def log_mean(self, t):
        t = self.time(t)
        return -0.25 * t * t * (self.last - self.first) - 0.5 * t * self.first

    def std(self, t):
        return torch.sqrt(-torch.expm1(2 * self.log_mean(t)))

    def rate(self, t):
        return -0.5 * self.beta(t)

    def g2(self, t):
        return self.beta(t)

    @property
    def prior_std(self):
        return 1.0

    def _time_of(self, loss: Tensor) -> Tensor:
        """The time at which -log m = loss: the stable root of a quadratic equation."""
        return 4 * loss / (self.first + torch.sqrt(self.first**2 + 4 * (self.last - self.first) * loss))

    def time_at(self, half_log_snr):
        return self._time_of(0.5 * torch.log1p(torch.exp(-2 * half_log_snr)))


@dataclass(frozen=True)
class SubVP(VP):
    """Sub-VP: VP's drift with g^2 = beta (1 - e^{-2 int beta}), so that s = 1 - m^2, below VP's."""

    def std(self, t):
        return -torch.expm1(2 * self.log_mean(t))

    def g2(self, t):
        return -self.beta(t) * torch.expm1(4 * self.log_mean(t))

    def time_at(self, half_log_snr):
        ratio = torch.exp(half_log_snr)                # m / (1 - m^2): a quadratic equation in m
        return self._time_of(-torch.log(2 * ratio / (1 + torch.sqrt(1 + 4 * ratio * ratio))))


@dataclass(frozen=True)
class OU(Process):
    """Ornstein-Uhlenbeck: a = -1, g = 1, at rest N(0, 1/2). horizon: T, in units of the mean reversion."""
    horizon: float = 3.0

    def __post_init__(self):
        _positive(self, "horizon")

    def log_mean(self, t):
        return -self.time(t)

    def std(self, t):
        return torch.sqrt(-0.5 * torch.expm1(-2 * self.time(t)))

    def rate(self, t):
        return -torch.ones_like(self.time(t))

    def g2(self, t):
        return torch.ones_like(self.time(t))

    @property
    def prior_std(self):
        return math.sqrt(0.5)

    def time_at(self, half_log_snr):
        return 0.5 * torch.log1p(2 * torch.exp(-2 * half_log_snr))


PROCESSES = {"VE": VE, "VP": VP, "sub-VP": SubVP, "OU": OU}
