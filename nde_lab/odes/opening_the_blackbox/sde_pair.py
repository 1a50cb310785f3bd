"""A stochastic Runge-Kutta pair: one step of an SDE, and how wrong it probably is.

The step is Roessler's SRI1W1, strong order 3/2 for diagonal Ito noise, dy = f dt + g dW, element by element.
Its error estimate costs nothing: two groups of terms lift the order from 1 to 3/2, and their size is the
estimate,

    e = delta E1 + E2
    E1 = h (f_2 - f_1)                          what the drift's second stage changes
    E2 = (area) sum b3_i g_i + (I_111 / h) sum b4_i g_i      what the diffusion's higher stages change

With delta = 2/3, the default, y' - e is itself a method: Euler's drift with the diffusion terms of order 1.
Besides the increment dW a step needs its area, the integral of W(s) - W(t) over the step divided by h.

Sources: Roessler, SIAM J. Numer. Anal. 48 (2010), table 6.2; Rackauckas and Nie, Discrete Contin. Dyn. Syst. B
22 (2017), section 2 (natural embeddings; delta is theirs). Where g_i depends on other components than y_i, as
in the papers' networks, the strong order falls below 3/2; the estimate stays what the papers penalise.
"""
from __future__ import annotations

import math
from typing import NamedTuple

from torch import Tensor

ORDER = 1.5               # the power of h in e: the error of a step is that of the order-1 method in the pair
DRIFTS, DIFFUSIONS = 2, 4                      # evaluations of a step
DELTA = 2 / 3


class PairStep(NamedTuple):
    """The state after a step, its raw error estimate e (both like y), and f, g at the step's start."""
    y: Tensor
    error: Tensor
    start: tuple[Tensor, Tensor]


def pair_step(f, g, t: float, y: Tensor, h: float, dW: Tensor, area: Tensor, *, start=None,
              delta: float = DELTA) -> PairStep:
    """One step of length h from (t, y), y (B, D). f(t, y), g(t, y) -> (B, D); dW, area (B, D), of variances h
    and h / 3 and covariance h / 2. start: f and g at (t, y) where they are known from a rejected trial."""
    root = math.sqrt(h)
    f0, g0 = start or (f(t, y), g(t, y))
    f1 = f(t + 0.75 * h, y + 0.75 * h * f0 + 1.5 * g0 * area)
    quarter = y + 0.25 * h * f0
    g1 = g(t + 0.25 * h, quarter + 0.5 * root * g0)
    g2 = g(t + h, y + h * f0 - root * g0)
    g3 = g(t + 0.25 * h, quarter + root * (3 * g1 - 5 * g0 + 0.5 * g2))
    twice = (dW * dW - h) / (2 * root)                       # I_11 / sqrt(h)
    thrice = (dW * dW - 3 * h) * dW / (6 * h)                # I_111 / h
    e1 = h * (f1 - f0)
    e2 = area * (2 * g0 - (4 * g1 + 2 * g2) / 3) + thrice * (g3 - 2 * g0 + (5 * g1 - 2 * g2) / 3)
    lower = y + h * f0 + (dW + twice) * (4 / 3 * g1 - g0) + (2 * dW - twice) / 3 * g2
    return PairStep(lower + 2 / 3 * e1 + e2, delta * e1 + e2, (f0, g0))
