"""What a solve returns, and the sentence it says when it fails."""
from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nde_lab.solvers.scheme import Scheme
from nde_lab.solvers.sde import SDE


@dataclass(frozen=True)
class Status:
    """How a solve ended: kind is "finished" or "diverged"; the sentence is for people. On divergence: the first step
    after which a row was not finite (1 is the first step), its time, and the first such row."""
    kind: str
    sentence: str
    step: int
    time: float
    row: int | None = None


class SolverError(RuntimeError):
    """A solve failed numerically; the message is the status sentence, ``status`` the status itself."""

    def __init__(self, status: Status):
        super().__init__(status.sentence)
        self.status = status


@dataclass(frozen=True, eq=False)
class Solution:
    """The states ``ys`` (T', B, D) at the times ``ts`` (T',).

    A finished solve has all T times asked for. A diverged one ends before the step that failed: ``ts`` and ``ys`` are
    cut to the times reached with every row finite (at least the first), so ``ys`` never holds NaN or infinity.
    ``ok`` (B,) is False for the rows that failed at that step. stats: method, steps (taken), dt, drift_evaluations,
    diffusion_evaluations.
    """
    ts: Tensor
    ys: Tensor
    ok: Tensor
    status: Status
    stats: dict[str, Any] = field(default_factory=dict)


def diverged(sde: SDE, scheme: Scheme, *, step: int, steps: int, t: float, dt: float, y: Tensor, after: Tensor,
             dW: Tensor) -> Status:
    """The status of a solve whose state ``y`` at time t was finite and, one step of dt later, is ``after``."""
    failed = ~torch.isfinite(after).all(-1)
    rows = failed.nonzero()[:, 0].tolist()
    row, more = rows[0], len(rows) - 1
    who = f"Row {row}" + (f" (and {more} other{'s' * (more > 1)})" if more else "")
    reached = float(y[row].abs().max())
    why, advice = _reason(sde, scheme, t=t, dt=dt, y=y, dW=dW, row=row)
    return Status("diverged", f"{who} stopped being finite at t = {t + dt:.4g} (step {step} of {steps}): |y| had "
                  f"reached {reached:.3g} one step before. {why}; {advice}.", step, t + dt, row)


def _reason(sde: SDE, scheme: Scheme, *, t: float, dt: float, y: Tensor, dW: Tensor, row: int) -> tuple[str, str]:
    """Why the step failed, as far as drift, diffusion and increment of the row show it, and what to try."""
    with torch.no_grad():
        f, g = sde.both(torch.tensor(t, dtype=y.dtype, device=y.device), y)
        push, kick = (f * dt)[row], sde.noise(g, dW)[row]
    if not torch.isfinite(dW[row]).all():
        return "The Brownian increment of this step is not finite", "look at bm"
    size = float(y[row].abs().max())
    for name, value in (("drift", f[row]), ("diffusion", g[row])):
        if not torch.isfinite(value).all() and size < 1e6:
            return (f"The {name} itself is not finite there, at a state of ordinary size",
                    f"look for a division, root, logarithm or exponential in the {name}")
    tame = scheme.calculus == "ito" and scheme.name != "tamed_euler"
    halve = f"halve dt (now {dt:.3g})"
    drift, noise = float(push.abs().max()), float(kick.abs().max())
    scale = max(size, 1e-30)
    if not drift <= 2 * scale and not noise > drift:
        return (f"One step of the drift is {_times(drift / scale)} |y| there: it grows too fast for this step",
                f"{halve}" + (", or try method='tamed_euler'" if tame else ""))
    if not noise <= 2 * scale:
        return (f"One step of the noise is {_times(noise / scale)} |y| there: the diffusion grows too fast for this "
                "step", f"{halve}, or let the diffusion grow at most linearly in y")
    return ("Drift and noise were small beside |y| in each step, so the equation itself seems to grow without bound",
            f"check the drift's sign, shorten the time interval, or {halve}")


def _times(ratio: float) -> str:
    return f"{ratio:.2g} times" if ratio < float("inf") else "infinitely many times"
