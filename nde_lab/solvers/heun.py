"""Stratonovich Heun: predict with Euler, then average both ends, in the noise as in the drift."""
from __future__ import annotations

from nde_lab.solvers.scheme import Scheme


class Heun(Scheme):
    """Y~ = Y + f dt + g dW;  Y' = Y + (f + f~) dt / 2 + (g + g~) dW / 2, where f~, g~ are taken at (t + dt,
    Y~).

    Converges to the *Stratonovich* solution: strong order 1 for commuting noise (additive, scalar, diagonal
    with g_i a function of y_i), 1/2 otherwise; weak order 1; two evaluations a step. Fed an Ito SDE with
    multiplicative noise it would converge, quietly, to another process, so that is refused. Not Heun's ODE
    method with noise added at the end, which converges to the Ito solution. Source: Rumelin, SIAM J. Numer.
    Anal. 19 (1982); Burrage, Burrage, Tian, Proc. R. Soc. A 460 (2004).
    """
    name = "heun"
    calculus = "stratonovich"
    strong_order = {"diagonal": 1.0, "additive": 1.0, "scalar": 1.0, "general": 0.5}
    weak_order = 1.0
    evaluations = (2, 2)

    def step(self, sde, t, y, dt, dW):
        f, g = sde.both(t, y)
        noise = sde.noise(g, dW)
        f_end, g_end = sde.both(t + dt, y + f * dt + noise)
        return y + 0.5 * (f + f_end) * dt + 0.5 * (noise + sde.noise(g_end, dW))
