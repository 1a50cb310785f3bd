"""Tamed Euler: Euler-Maruyama whose drift step can never be longer than one."""
from __future__ import annotations

import torch

from nde_lab.solvers.scheme import Scheme

# Keeps the square root differentiable where the drift is zero; nothing beside a drift above 1e-14.
_TINY = 1e-30


class TamedEuler(Scheme):
    """Y' = Y + f dt / (1 + dt |f|) + g dW, with |f| the Euclidean norm of a row's drift.

    For drifts that grow faster than linearly (-x^3), where Euler-Maruyama diverges in every moment however
    small dt is. The diffusion is not tamed: it should grow at most linearly. Strong order 1/2 (1 for additive
    noise), weak order 1, one evaluation a step. Where dt |f| is large it is slow rather than wrong by
    explosion: no step of the drift exceeds length 1. Source: Hutzenthaler, Jentzen, Kloeden, Annals of
    Applied Probability 22 (2012), equation (4).
    """
    name = "tamed_euler"
    calculus = "ito"
    strong_order = {"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5}
    weak_order = 1.0
    evaluations = (1, 1)

    def step(self, sde, t, y, dt, dW):
        f, g = sde.both(t, y)
        size = torch.sqrt((f * f).sum(-1, keepdim=True) + _TINY)
        return y + f * dt / (1 + dt * size) + sde.noise(g, dW)
