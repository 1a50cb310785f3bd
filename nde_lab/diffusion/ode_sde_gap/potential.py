"""Networks for log p on the line, phi(x, t), whose derivatives travel through the layers with the value.

phi(x, t) = -x^2 + MLP(x, e^{-t}, log(t + 0.02) / 4), two hidden tanh layers. The base -x^2 is log pi up to a
constant: without it the score of a bounded network fades far out, both samplers expand like e^tau, and the
tails explode. Value, d/dx, d2/dx2 and d/dt are pushed through the layers together (y = tanh z: y_x = y' z_x,
y_xx = y' z_xx - 2 y y' z_x^2), so training takes one reverse pass, not a reverse of a reverse.
"""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.random import Uniform

Tensors = dict[str, Tensor]
SOON = 0.02                       # log(t + SOON): a clock that runs fast near the data and stays finite at 0


class Jet(NamedTuple):
    """phi and its derivatives, all (M, B): in x (slope, bend) and in t (rate)."""
    value: Tensor
    slope: Tensor
    bend: Tensor
    rate: Tensor


@dataclass(frozen=True)
class Potential:
    """M networks of one shape side by side (leading axis of every parameter), so that models can be compared
    under the same draws. ``width``: units of each of the two hidden layers."""
    width: int = 32

    def __post_init__(self):
        if isinstance(self.width, bool) or not isinstance(self.width, int) or self.width < 1:
            raise ValueError(f"a network's width is a whole number, at least 1, got {self.width!r}")

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of one network's parameters: weights (out, in), biases (out,)."""
        h = self.width
        return {"net.w1": (h, 3), "net.b1": (h,), "net.w2": (h, h), "net.b2": (h,), "net.w3": (1, h),
                "net.b3": (1,)}

    @property
    def draws(self) -> dict[str, Uniform]:
        """PyTorch's default start, U(-1/sqrt(fan in), 1/sqrt(fan in)), of one network."""
        return {n: Uniform(s, -1 / math.sqrt(self._fan_in(n)), 1 / math.sqrt(self._fan_in(n)))
                for n, s in self.shapes.items()}

    def _fan_in(self, name: str) -> int:
        return 3 if name.endswith("1") else self.width

    def init(self, start: Tensors, models: int) -> Tensors:
        """``models`` equal copies of one drawn start, every parameter (M, ...)."""
        return {n: start[n].expand(models, *s).clone() for n, s in self.shapes.items()}

    def _inputs(self, p: Tensors, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer (M, B, H) before its tanh, and the time features' rates (.., B, 1) each."""
        x, t = x.unsqueeze(-1), t.unsqueeze(-1)
        w = p["net.w1"].unsqueeze(1)                                                     # (M, 1, H, 3)
        early, late = torch.exp(-t), torch.log(t + SOON) / 4
        z = w[..., 0] * x + w[..., 1] * early + w[..., 2] * late + p["net.b1"].unsqueeze(1)
        return z, w[..., 2] / (4 * (t + SOON)) - w[..., 1] * early

    def value(self, p: Tensors, x: Tensor, t: Tensor) -> Tensor:
        """phi (M, B). x: (B,), (1, B) or (M, B); t: 0-d or (B,)."""
        z, _ = self._inputs(p, x, t)
        y = torch.tanh(torch.tanh(z) @ p["net.w2"].transpose(1, 2) + p["net.b2"].unsqueeze(1))
        return (y @ p["net.w3"].transpose(1, 2)).squeeze(-1) + p["net.b3"] - x**2

    def score(self, p: Tensors, x: Tensor, t: Tensor) -> Tensor:
        """d phi / dx (M, B); shapes as ``value``."""
        z, _ = self._inputs(p, x, t)
        y = torch.tanh(z)
        along = (1 - y**2) * p["net.w1"][..., 0].unsqueeze(1)
        both = torch.cat([y, along], dim=1) @ p["net.w2"].transpose(1, 2)
        n = y.shape[1]
        y = torch.tanh(both[:, :n] + p["net.b2"].unsqueeze(1))
        return (((1 - y**2) * both[:, n:]) @ p["net.w3"].transpose(1, 2)).squeeze(-1) - 2 * x

    def jet(self, p: Tensors, x: Tensor, t: Tensor) -> Jet:
        """phi with its derivatives; x and t: (B,)."""
        z, z_t = self._inputs(p, x, t)
        z_x = p["net.w1"][..., 0].unsqueeze(1).expand_as(z)
        jets = self._tanh(z, z_x, torch.zeros_like(z), z_t)
        both = torch.cat(jets, dim=1) @ p["net.w2"].transpose(1, 2)
        z, z_x, z_xx, z_t = (both[:, i * len(x):(i + 1) * len(x)] for i in range(4))
        out = torch.cat(self._tanh(z + p["net.b2"].unsqueeze(1), z_x, z_xx, z_t), dim=1)
        out = (out @ p["net.w3"].transpose(1, 2)).squeeze(-1)
        value, slope, bend, rate = (out[:, i * len(x):(i + 1) * len(x)] for i in range(4))
        return Jet(value + p["net.b3"] - x**2, slope - 2 * x, bend - 2, rate)

    @staticmethod
    def _tanh(z: Tensor, z_x: Tensor, z_xx: Tensor, z_t: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        y = torch.tanh(z)
        slope = 1 - y**2
        return y, slope * z_x, slope * (z_xx - 2 * y * z_x**2), slope * z_t
