"""Two more schedules, kernels of one's own, and the way between kernel and SDE in both directions.

A kernel N(m x0, s^2) with m falling and s rising (papers write alpha and sigma) and a linear SDE
dx = a x dt + g dW are one thing said twice (Lai et al. 2025, Lemma 4.4.1):

    a = d log m / dt,        g^2 = d s^2 / dt - 2 a s^2 = -2 s^2 d lambda / dt,     lambda = log(m / s).
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import value_and_grad
from nde_lab.diffusion.score_sde import VE, VP, Coefficients, Process
from nde_lab.solvers import integrate_ode

LAST = 0.999           # linear and cosine stop here: at t = 1 nothing of the data is left, and a is infinite


def _check_horizon(owner) -> None:
    if isinstance(owner.horizon, bool) or not 0 < owner.horizon < 1:
        raise ValueError(f"{type(owner).__name__} runs to a horizon above 0 and below 1, where its m is 0 and "
                         f"its drift rate infinite; got horizon={owner.horizon!r}, try {LAST}")


@dataclass(frozen=True)
class Linear(Process):
    """The straight path of flow matching: m = 1 - t, s = t, a = -1 / (1 - t), g^2 = 2 t / (1 - t).

    horizon: where noise stands for the law, just below 1. Here t = 0 is data; papers on flow matching often
    turn the clock round.
    """
    horizon: float = LAST

    def __post_init__(self):
        _check_horizon(self)

    def log_mean(self, t):
        return torch.log1p(-self.time(t))

    def std(self, t):
        return 1.0 * self.time(t)

    def rate(self, t):
        return -1 / (1 - self.time(t))

    def g2(self, t):
        t = self.time(t)
        return 2 * t / (1 - t)

    @property
    def prior_std(self):
        return self.horizon

    def time_at(self, half_log_snr):
        return torch.sigmoid(-half_log_snr)


@dataclass(frozen=True)
class Cosine(Process):
    """m = cos(pi t / 2), s = sin(pi t / 2), so m^2 + s^2 = 1; a = -(pi/2) tan(pi t / 2), g^2 = -2 a.

    The cosine schedule of Nichol and Dhariwal (2021) without its offset at 0. horizon as in ``Linear``.
    """
    horizon: float = LAST

    def __post_init__(self):
        _check_horizon(self)

    def _angle(self, t) -> Tensor:
        return 0.5 * math.pi * self.time(t)

    def log_mean(self, t):
        return torch.log(torch.cos(self._angle(t)))

    def std(self, t):
        return torch.sin(self._angle(t))

    def rate(self, t):
        angle = self._angle(t)
        return -0.5 * math.pi * torch.sin(angle) / torch.cos(angle)

    def g2(self, t):
        return -2 * self.rate(t)

    @property
    def prior_std(self):
        return math.sin(0.5 * math.pi * self.horizon)

    def time_at(self, half_log_snr):
        return torch.atan(torch.exp(-half_log_snr)) * (2 / math.pi)


SCHEDULES: dict[str, Process] = {"VP": VP(), "VE": VE(high=10.0), "linear": Linear(), "cosine": Cosine()}


def sde_of(mean: Callable[[Tensor], Tensor], std: Callable[[Tensor], Tensor], t: Tensor) -> Coefficients:
    """a and g^2 of the SDE with kernel N(mean(t) x0, std(t)^2), by automatic differentiation.

    mean, std: differentiable functions of t, entry by entry, both positive there. t: any shape, above 0.
    Returns m, s, a, g^2 in that shape (Lemma 4.4.1). No gradient is kept.
    """
    _, log_slope = value_and_grad(lambda p: torch.log(mean(p["t"])).sum(), {"t": t})
    _, slope = value_and_grad(lambda p: std(p["t"]).square().sum(), {"t": t})
    m, s, rate = mean(t), std(t), log_slope["t"]
    return Coefficients(m, s, rate, slope["t"] - 2 * rate * s * s)


def kernel_of(rate: Callable[[Tensor], Tensor], g2: Callable[[Tensor], Tensor], t: float, *, steps: int = 500
              ) -> tuple[Tensor, Tensor]:
    """m(t) and s(t) of dx = a x dt + g dW, 0-d float64: (log m)' = a, (s^2)' = 2 a s^2 + g^2, by RK4.

    rate, g2: functions of a 0-d time, finite on [0, t]. ValueError for t <= 0.
    """
    if not isinstance(t, (int, float)) or isinstance(t, bool) or not t > 0:
        raise ValueError(f"the kernel is wanted at a time above 0, got t = {t!r}")

    def moments(u, y):
        return torch.stack([rate(u).expand(1), 2 * rate(u) * y[:, 1] + g2(u)], -1)

    grid = torch.linspace(0, t, steps + 1, dtype=torch.float64)
    end = integrate_ode(moments, torch.zeros(1, 2, dtype=torch.float64), grid, method="rk4", save="last")[0]
    return torch.exp(end[0]), torch.sqrt(end[1])


@dataclass(frozen=True)
class Affine(Process):
    """A process from any two functions m and s of time; its SDE comes by automatic differentiation.

    mean: positive, falling from 1; factor: not negative, rising from 0 (the std); both take and give tensors.
    horizon: where both are finite and mean is still positive. ValueError when mean(0) is not 1 or factor(0)
    not 0.
    """
    mean_of: Callable[[Tensor], Tensor]
    std_of: Callable[[Tensor], Tensor]
    horizon: float = LAST

    def __post_init__(self):
        zero = torch.zeros((), dtype=torch.float64)
        m, s = float(self.mean_of(zero)), float(self.std_of(zero))
        if abs(m - 1) > 1e-9 or abs(s) > 1e-9:
            raise ValueError(f"a kernel starts at the data, with m(0) = 1 and s(0) = 0; got m(0) = {m:g} and "
                             f"s(0) = {s:g}")

    def log_mean(self, t):
        return torch.log(self.mean_of(self.time(t)))

    def std(self, t):
        return self.std_of(self.time(t))

    def rate(self, t):
        return sde_of(self.mean_of, self.std_of, self.time(t)).rate

    def g2(self, t):
        return sde_of(self.mean_of, self.std_of, self.time(t)).g2

    @property
    def prior_std(self):
        return float(self.std(self.horizon))

    def time_at(self, half_log_snr):
        low, high = torch.zeros_like(half_log_snr), torch.full_like(half_log_snr, self.horizon)
        for _ in range(60):                                    # bisection: lambda falls
            middle = 0.5 * (low + high)
            late = self.half_log_snr(middle) < half_log_snr
            low, high = torch.where(late, low, middle), torch.where(late, middle, high)
        return 0.5 * (low + high)


def slopes(process: Process, t) -> tuple[Tensor, Tensor]:
    """m'(t) and s'(t) from the process's SDE: m' = a m, s' = (g^2 + 2 a s^2) / (2 s). t above 0."""
    at = process.coefficients(t)
    return at.rate * at.mean, (at.g2 + 2 * at.rate * at.std.square()) / (2 * at.std)
