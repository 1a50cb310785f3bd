"""What an adaptive solver already knows about its own work, as penalties of a loss.

Every step of an embedded pair gives an error ratio q (the step is accepted if q <= 1) and an estimate S of the
dominant |lambda| of df/dy. Summed over the accepted steps of a solve (Pal, Ma, Shah, Rackauckas 2021):

    R_E = sum_n q_n |h_n|      R_S = max_n S_n

Step sizes are constants of the gradient, as in ``nde_lab.solvers.integrate_adaptive``. (The
paper's Julia code differentiates them as well.) So the gradient asks for smaller q at these h; the controller
then answers with longer steps, and q returns. The penalty's value may therefore stay while NFE falls.

One clock or many: a row of the state is one clock. Per-point clocks take a row per point; the papers' batch
clock takes the whole batch as one row, with the norm of q over all of it. A row's ``evaluations`` is its number
of function evaluations, NFE: 1 + 6 (accepted + rejected) for dopri5, whose first stage is the last one of the
step before.
"""
from __future__ import annotations

from torch import Tensor

from nde_lab.solvers import PID, Adaptive, integrate_adaptive

H0 = 0.05                          # first step; with growth of at most 5 a solve over [0, 1] takes 3 or more
CONTROL = PID(max_factor=5.0)      # h <- h clip(0.9 q^(-1/5), 0.2, 5), the papers' controller
STIFF = 0.1                        # weight of S beside q h, as released with the paper
PENALTIES = ("error", "error, mean", "stiffness", "both")


def solve(f, y0: Tensor, *, rtol, turns: int, h0: float = H0, method: str = "dopri5") -> Adaptive:
    """The forward pass of both papers: y' = f(t, y) from t = 0 to 1, atol = rtol, differentiable. y0 (rows,
    D)."""
    return integrate_adaptive(f, y0, 0.0, 1.0, turns=turns, rtol=rtol, atol=rtol, method=method, h0=h0,
                              controller=CONTROL)


def penalty(solved: Adaptive, kind: str = "error") -> Tensor:
    """The penalty of each row, (rows,), of accepted steps only.

    "error": R_E = sum q |h|. "error, mean": R_E / steps. "stiffness": 0.1 R_S = 0.1 max S. "both": R_E + 0.1
    R_S. ValueError for another kind.
    """
    if kind not in PENALTIES:
        raise ValueError(f"unknown penalty {kind!r}; known: {', '.join(PENALTIES)}")
    if kind == "error, mean":
        return solved.error_sum / solved.accepted.clamp_min(1).to(solved.error_sum.dtype)
    error = solved.error_sum if kind != "stiffness" else 0.0
    return error + (STIFF * solved.stiffness_max if kind != "error" else 0.0)
