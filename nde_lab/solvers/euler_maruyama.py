"""Euler-Maruyama: the Ito scheme that everything else is compared with."""
from __future__ import annotations

from nde_lab.solvers.scheme import Scheme


class EulerMaruyama(Scheme):
    """Y' = Y + f dt + g dW.

    Strong order 1/2, and 1 for additive noise; weak order 1; one evaluation a step. Converges to the *Ito*
    solution. It can explode where the drift grows faster than linearly (see ``tamed_euler``). Source:
    Maruyama (1955); Kloeden and Platen, "Numerical Solution of SDEs" (1992), section 10.2.
    """
    name = "euler"
    calculus = "ito"
    strong_order = {"diagonal": 0.5, "additive": 1.0, "scalar": 0.5, "general": 0.5}
    weak_order = 1.0
    evaluations = (1, 1)

    def step(self, sde, t, y, dt, dW):
        f, g = sde.both(t, y)
        return y + f * dt + sde.noise(g, dW)
