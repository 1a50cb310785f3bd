"""Langevin dynamics with inertia, and the splitting scheme BAOAB that samples it well at large steps.

    dq = p / M dt,     dp = (F(q) - gamma p) dt + sqrt(2 gamma M T) dW

positions q and momenta p (d each), force F = -grad U, friction gamma, mass M, temperature T; its stationary
law is exp(-(U(q) + p^2 / 2M) / T). The state is y = (q, p) side by side, (B, 2 d), with d Brownian motions
on the momenta.
"""
from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from nde_lab.solvers.scheme import Scheme
from nde_lab.solvers.sde import SDE


class Langevin(SDE):
    """The SDE above: an ``SDE`` with additive noise, so every scheme takes it, and "baoab" besides.

    force: function of positions (B, d) -> (B, d). friction, temperature, mass: positive numbers, or tensors
    that broadcast against (B, d) (a live knob is a 0-d tensor). For additive noise Ito and Stratonovich
    agree; ``sde_type`` only says which schemes are taken.
    """

    def __init__(self, force: Callable[[Tensor], Tensor], friction=1.0, temperature=1.0, mass=1.0,
                 sde_type: str = "ito"):
        for name, value in (("friction", friction), ("temperature", temperature), ("mass", mass)):
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if not isinstance(value, Tensor) and not (number and math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be a positive number or a tensor of such, got {value!r}")
            object.__setattr__(self, name, value)
        object.__setattr__(self, "force", force)
        super().__init__(self._drift, self._diffusion, "additive", sde_type)

    def split(self, y: Tensor) -> tuple[Tensor, Tensor]:
        """Positions and momenta, (..., d) each, of states (..., 2 d)."""
        if y.shape[-1] % 2:
            raise ValueError("the state of Langevin dynamics is (positions, momenta) side by side, an even "
                             f"number of columns, got {y.shape[-1]}")
        return y.chunk(2, -1)

    def _drift(self, t, y):
        q, p = self.split(y)
        return torch.cat([p / self.mass, self.force(q) - self.friction * p], -1)

    def _diffusion(self, t, y):
        q, p = self.split(y)
        size = (2 * self.friction * self.mass * self.temperature) ** 0.5
        kick = torch.diag_embed(torch.ones_like(p) * size)
        return torch.cat([torch.zeros_like(kick), kick], -2)


class BAOAB(Scheme):
    """B half a kick by the force, A half a drift, O friction and noise exactly, A, B.

    Its samples of the positions are far better than its order says: for a harmonic force their stationary
    variance is exactly T / k, at every stable step (dt sqrt(k / M) < 2). Strong order 1 against the path
    that dW belongs to, weak order 2, two force evaluations a step. Source: Leimkuhler and Matthews, Applied
    Mathematics Research eXpress (2013) 34-56.
    """
    name = "baoab"
    calculus = "ito"
    strong_order = {"additive": 1.0}
    weak_order = 2.0
    evaluations = (2, 0)

    def takes(self, sde):
        return isinstance(sde, Langevin)

    def step(self, sde, t, y, dt, dW):
        q, p = sde.split(y)
        p = p + 0.5 * dt * sde.force(q)
        q = q + 0.5 * dt * p / sde.mass
        decay = _exp(-sde.friction * dt)
        spread = ((1 - decay * decay) * sde.mass * sde.temperature) ** 0.5
        p = decay * p + spread * (dW / dt ** 0.5)
        q = q + 0.5 * dt * p / sde.mass
        p = p + 0.5 * dt * sde.force(q)
        return torch.cat([q, p], -1)


def _exp(x):
    return torch.exp(x) if isinstance(x, Tensor) else math.exp(x)
