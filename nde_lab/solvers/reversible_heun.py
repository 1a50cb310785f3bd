"""Reversible Heun: a scheme whose step can be undone exactly, so that gradients need no stored states.

The state y travels with a shadow z that leads the evaluations. One step is

    z' = 2 y - z + f dt + g dW,     (f', g') = (f, g)(t + dt, z'),
    y' = y + (f + f') dt / 2 + (g + g') dW / 2,

and the same formulas with dt and dW negated lead back from (y', z', f', g') to (y, z, f, g): not
approximately, as solving an adjoint equation backwards would, but up to rounding. Source: Kidger, Foster,
Li, Lyons, "Efficient and accurate gradients for neural SDEs" (2021), algorithms 1 and 2.
"""
from __future__ import annotations

from nde_lab.solvers.scheme import Scheme


class ReversibleHeun(Scheme):
    """Carry (y, f, g, z): the state, drift and diffusion at the shadow, and the shadow z, all at the same time.

    Converges to the *Stratonovich* solution: strong order 1 for additive noise, 1/2 in general; weak order
    1; one evaluation a step and one to start. Stable for y' = q y only at imaginary q: where y decays like
    exp(-a t), the distance of y and z grows like exp(a t), from the size a h it starts with, and wins in
    the end.
    """
    name = "reversible_heun"
    calculus = "stratonovich"
    strong_order = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "general": 0.5}
    weak_order = 1.0
    evaluations = (1, 1)
    starts_with = (1, 1)

    def start(self, sde, t, y):
        f, g = sde.both(t, y)
        return y, f, g, y

    def read(self, carry):
        return carry[0]

    def step(self, sde, t, carry, dt, dW):
        y, f, g, z = carry
        z = 2 * y - z + f * dt + sde.noise(g, dW)
        f_end, g_end = sde.both(t + dt, z)
        return y + (f + f_end) * (0.5 * dt) + sde.noise(g + g_end, 0.5 * dW), f_end, g_end, z

    def undo(self, sde, t, carry, dt, dW):
        """The carry at t - dt of which ``step`` made ``carry`` at t, with the same dt and dW."""
        y, f, g, z = carry
        z = 2 * y - z - f * dt - sde.noise(g, dW)
        f_before, g_before = sde.both(t - dt, z)
        return (y - (f + f_before) * (0.5 * dt) - sde.noise(g + g_before, 0.5 * dW), f_before, g_before, z)
