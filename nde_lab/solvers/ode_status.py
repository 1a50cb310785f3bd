"""What a solve of an ODE returns, and the sentence it says about the first row that failed."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nde_lab.solvers.dense import Dense
from nde_lab.solvers.ode_march import ARRIVED, EVENT, NOT_FINITE, STALLED, TOO_MANY, March
from nde_lab.solvers.runge_kutta import stiffness
from nde_lab.solvers.solution import Solution
from nde_lab.status import Status


@dataclass(frozen=True, eq=False)
class OdeSolution(Solution):
    """A ``Solution`` whose rows end for themselves.

    ts (T,) or (B, T). ys (T, B, D): all times asked for; a row that ended before (an event, a failure) keeps
    its last good state from there on, so ys never holds NaN or infinity. (Gradients may, through the evaluation
    that failed: drop the row, or take gradient="checkpoint".) ok (B,): the row arrived, or met its
    event. status: "finished", "diverged" (not finite) or "stopped" (stall, too many steps), about the first
    row that failed. stats: method; accepted, rejected, evaluations (B,) int64, of each row; reached (B,)
    float64, the time where each row ended; turns, the tried steps of the batch as a whole.
    dense: the solution between the times, with ``dense=True``. event_t (B,), event_y (B, D), event_rows (B,)
    bool: with an event, time and state where it was met (elsewhere those where the row ended).
    """
    dense: Dense | None = None
    event_t: Tensor | None = None
    event_y: Tensor | None = None
    event_rows: Tensor | None = None


def status_of(m: March, method, ts: np.ndarray, rtol, fixed: bool) -> Status:
    """The status of a march: of its first failed row, or that all is well."""
    bad = np.flatnonzero(~np.isin(m.how, (ARRIVED, EVENT)))
    if not len(bad):
        met = int((m.how == EVENT).sum())
        events = f", {met} of {len(m.how)} rows at their event" if met else ""
        return Status("finished", f"Finished: {int(m.accepted.max(initial=0))} steps of {method.name} and "
                                  f"{int(m.rejected.max(initial=0))} rejected ones at most in a row{events}.",
                      int(m.turns), float(m.t[0]))
    row, more = int(bad[0]), len(bad) - 1
    who = f"Row {row}" + (f" (and {more} other{'s' * (more > 1)})" if more else "")
    t, h, end, steps = float(m.t[row]), float(m.h[row]), float(ts[row, -1]), int(m.accepted[row])
    size = float(m.y[row].detach().abs().max())
    if m.how[row] == NOT_FINITE:
        advice = (f"halve the step (now {h:.3g}), or let an adaptive method such as 'dopri5' choose it"
                  if fixed and size > 1e3 else "look for a division, root, logarithm or exponential in f")
        what = "the next state is" if fixed else "f is"
        sentence = (f"{who} stopped at t = {t:.4g} after {steps} steps: {what} not finite there, from |y| = "
                    f"{size:.3g}; {advice}.")
        return Status("diverged", sentence, steps, t, row)
    if m.how[row] == STALLED:
        why = ("the solution seems to grow without bound there; end before, or check the sign of f"
               if size > 1e6 else "f jumps or has a singularity there; solve up to it and start anew behind, "
               "or smooth f")
        sentence = (f"{who} stalled at t = {t:.6g} after {steps} steps: no step down to {h:.1g} met the "
                    f"tolerance, |y| had reached {size:.3g}. Either {why}; or the tolerance (rtol = "
                    f"{_number(rtol)}) is below the precision of {str(m.y.dtype).removeprefix('torch.')}.")
        return Status("stopped", sentence, steps, t, row)
    assert m.how[row] == TOO_MANY
    done = abs(t - ts[row, 0]) / max(abs(end - ts[row, 0]), 1e-300)
    sentence = (f"{who} had come to t = {t:.4g} of {end:.4g} ({100 * done:.2g} % of the way) when {m.turns} "
                f"tried steps were spent, the last of {h:.2g}{_stiff(m, method, row)}.")
    return Status("stopped", sentence, steps, t, row)


def _stiff(m: March, method, row: int) -> str:
    """Advice for too many steps: is it stability, or accuracy, that keeps them short?"""
    table = getattr(method, "table", None)
    if table is not None and m.last is not None and len(m.last.k) > 1:
        with torch.no_grad():
            rate = float(stiffness(m.last)[row])
        if rate * float(m.h[row]) > 0.7 * table.stable:
            return (f". The problem is stiff there (rates near {rate:.2g} limit the steps of {method.name} to "
                    f"{table.stable / rate:.2g}); take method='esdirk4'")
    return "; raise max_steps, loosen rtol and atol, or shorten the interval"


def _number(x) -> str:
    return f"{float(x):.1g}" if not isinstance(x, Tensor) or x.numel() == 1 else "a tensor"
