"""The explicit midpoint rule for Stratonovich SDEs: look half a step ahead, then step with what is seen
there."""
from __future__ import annotations

from nde_lab.solvers.scheme import Scheme


class Midpoint(Scheme):
    """Y~ = Y + f dt / 2 + g dW / 2;  Y' = Y + f~ dt + g~ dW, where f~, g~ are taken at (t + dt / 2, Y~).

    Converges to the *Stratonovich* solution, as Heun does and at the same orders: strong order 1 for commuting
    noise, 1/2 otherwise; weak order 1; two evaluations a step. Without noise it is the midpoint rule, of order
    2. Source: Kloeden and Platen (1992), section 4.9 (the Stratonovich integral as a midpoint sum).
    """
    name = "midpoint"
    calculus = "stratonovich"
    strong_order = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "general": 0.5}
    weak_order = 1.0
    evaluations = (2, 2)

    def step(self, sde, t, y, dt, dW):
        f, g = sde.both(t, y)
        half = 0.5 * dt
        f, g = sde.both(t + half, y + half * f + 0.5 * sde.noise(g, dW))
        return y + dt * f + sde.noise(g, dW)
