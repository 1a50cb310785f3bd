"""The reference process, what a crowd does when nobody asks anything of it: dX = -a X dt + sigma dW on [0, T].

With a = 0 it is Brownian motion. The law of X_t given X_s is normal with mean exp(-a (t - s)) X_s and a variance
that depends on t - s alone; everything that a Schroedinger bridge needs of its reference follows from these two.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


class Pinned(NamedTuple):
    """X_t given both ends is N(start X_0 + end X_T, variance I)."""
    start: Tensor
    end: Tensor
    variance: Tensor


def _positive(name: str, value) -> None:
    if not isinstance(value, Tensor) and not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a number above 0, got {value!r}")


@dataclass(frozen=True, eq=False)
class Reference:
    """sigma: diffusion, in units of the state per square root of time. pull: the rate a >= 0. horizon: T.

    Numbers are checked; 0-d tensors (live knobs) are taken as they are, so that it can be traced.
    """
    sigma: float | Tensor
    pull: float | Tensor = 0.0
    horizon: float = 1.0

    def __post_init__(self):
        _positive("sigma", self.sigma)
        _positive("the horizon", self.horizon)
        if not isinstance(self.pull, Tensor) and not (math.isfinite(self.pull) and self.pull >= 0):
            raise ValueError(f"the pull must be a number at least 0, got {self.pull!r}")

    def _gap(self, gap) -> Tensor:
        """A number as a 0-d tensor: of the dtype of a live knob, or else float64."""
        if isinstance(gap, Tensor):
            return gap
        live = next((v for v in (self.sigma, self.pull) if isinstance(v, Tensor)), None)
        return torch.as_tensor(gap, dtype=torch.float64 if live is None else live.dtype)

    def factor(self, gap) -> Tensor:
        """exp(-a gap): what is left of the state on average after a time ``gap``."""
        return torch.exp(-self.pull * self._gap(gap))

    def variance(self, gap) -> Tensor:
        """Variance that has come after a time ``gap``: sigma^2 (1 - exp(-2 a gap)) / (2 a); sigma^2 gap at a = 0."""
        gap = self._gap(gap)
        if not isinstance(self.pull, Tensor):
            return self.sigma**2 * (-torch.expm1(-2 * self.pull * gap) / (2 * self.pull) if self.pull else gap)
        pull = self.pull
        still = pull < 1e-5                # below it the two formulas agree to rounding, and only one divides by a
        rate = torch.where(still, torch.ones_like(pull), 2 * pull)
        return self.sigma**2 * torch.where(still, gap, -torch.expm1(-rate * gap) / rate)

    @property
    def epsilon(self) -> Tensor:
        """The regularisation of the entropic transport on the cost |x - y|^2 / 2: sigma^2 T for a = 0."""
        return self.variance(self.horizon) / self.factor(self.horizon)

    def drift(self, x: Tensor) -> Tensor:
        """-a x."""
        return -self.pull * x

    def pinned(self, t) -> Pinned:
        """The law at time t of the reference with both ends known (a = 0: the Brownian bridge)."""
        t = self._gap(t)
        left = self.horizon - t
        whole = self.variance(self.horizon)
        came, comes = self.variance(t), self.variance(left)
        return Pinned(self.factor(t) * comes / whole, self.factor(left) * came / whole, came * comes / whole)

    def time(self, t, *, first: bool = True, last: bool = True) -> None:
        """Refuse a number t outside the interval; first, last: are its ends allowed? Tensors pass."""
        if isinstance(t, Tensor):
            return
        low, high = ("[" if first else "("), ("]" if last else ")")
        if not (0 <= t <= self.horizon) or (t == 0 and not first) or (t == self.horizon and not last):
            raise ValueError(f"the time must lie in {low}0, {self.horizon:g}{high}, got {t!r}")
