"""Roessler's stochastic Runge-Kutta schemes: strong order 1.5 without a derivative of the diffusion.

Beside the increment dW of a step they use the area under the path, the integral of W(s) - W(t) over the
step, which is dt (dW / 2 + H): H is the mean distance of the path from its chord, normal with variance dt /
12 and independent of dW (the *space-time Levy area*). Source: Roessler, SIAM J. Numer. Anal. 48 (2010),
"Runge-Kutta methods for the strong approximation of solutions of SDEs": SRA1 for additive, SRID2 for
diagonal and scalar noise.
"""
from __future__ import annotations

from nde_lab.solvers.scheme import Scheme


class SRK(Scheme):
    """Strong order 1.5 to the *Ito* solution; needs ``(dW, H)`` for a step, where others need dW. Weak
    order 2 for additive noise; 1.5 for the others, as exact moments of linear SDEs show.

    Additive noise: two evaluations of drift and diffusion a step. Diagonal (g_i a function of y_i) and
    scalar noise: three of the drift, four of the diffusion. Diagonal noise that mixes coordinates is taken
    too, and falls back to strong order 1/2 there.
    """
    name = "srk"
    calculus = "ito"
    strong_order = {"diagonal": 1.5, "additive": 1.5, "scalar": 1.5}
    weak_order = 1.5
    evaluations = (3, 4)
    needs_area = True

    def step(self, sde, t, y, dt, noise):
        dW, H = noise
        area = 0.5 * dW + H                                  # the integral of W over the step, divided by dt
        return (_additive if sde.noise_type == "additive" else _commuting)(sde, t, y, dt, dW, area)

    def cost(self, sde):
        return (2, 2) if sde.noise_type == "additive" else self.evaluations


def _additive(sde, t, y, dt, dW, area):
    """SRA1. g0 and g1 are the diffusion at both ends of the step; y is passed only because g's signature
    has it."""
    f0, g0 = sde.both(t, y)
    g1 = sde.diffusion(t + dt, y)
    f1 = sde.drift(t + 0.75 * dt, y + 0.75 * f0 * dt + 1.5 * sde.noise(g1, area))
    return y + (f0 + 2 * f1) * (dt / 3) + sde.noise(g1, dW - area) + sde.noise(g0, area)


def _commuting(sde, t, y, dt, dW, area):
    """SRID2, written out; ``column`` makes (B, D) of the diffusion of either noise type."""
    root = dt ** 0.5
    column = (lambda g: g) if sde.noise_type == "diagonal" else (lambda g: g[..., 0])
    f0, g0 = sde.both(t, y)
    g0 = column(g0)
    f1 = sde.drift(t + dt, y + f0 * dt)
    g1 = column(sde.diffusion(t + 0.25 * dt, y + 0.25 * f0 * dt - 0.5 * root * g0))
    f2 = sde.drift(t + 0.5 * dt, y + 0.25 * dt * (f0 + f1) + (g0 + 0.5 * g1) * area)
    g2 = column(sde.diffusion(t + dt, y + f0 * dt + root * g0))
    g3 = column(sde.diffusion(t + 0.25 * dt, y + 0.25 * dt * f2 + root * (2 * g0 - g1 + 0.5 * g2)))
    once = (dW * dW - dt) / (2 * root)                       # iterated integrals of W against itself, in units
    twice = (dW * dW - 3 * dt) * dW / (6 * dt)               # of sqrt(dt)
    return (y + (f0 + f1 + 4 * f2) * (dt / 6)
            + g0 * (-dW + once + 2 * area - 2 * twice)
            + g1 * ((4 * dW - 4 * once - 4 * area + 5 * twice) / 3)
            + g2 * ((2 * dW + once - 2 * area - 2 * twice) / 3)
            + g3 * twice)
