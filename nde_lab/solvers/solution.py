"""What a solve returns, and the sentence it says when it fails."""
from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from nde_lab.solvers.scheme import Scheme
from nde_lab.solvers.sde import SDE
from nde_lab.status import Status


class SolverError(RuntimeError):
    """A solve failed numerically; the message is the status sentence, ``status`` the status itself."""

    def __init__(self, status: Status):
        super().__init__(status.sentence)
        self.status = status


@dataclass(frozen=True, eq=False)
class Solution:
    """The states ``ys`` (T', B, D) at the times ``ts`` (T',).

    A finished solve has all T times asked for. A diverged one ends before the step that failed: ``ts`` and
    ``ys`` are cut to the times reached with every row finite (at least the first), so ``ys`` never holds NaN
    or infinity. ``ok`` (B,) is False for the rows that failed at that step. stats: method, steps (taken), dt,
    drift_evaluations, diffusion_evaluations.

    path_kl (T' - 1, B): the path KL of every interval, of a solve with ``logqp=True``; its sum over the
    intervals, averaged over rows, is the KL. extra: what the scheme carries beside the state at the end, a
    tuple of tensors (the drift, diffusion and shadow of "reversible_heun"; empty for most).
    """
    ts: Tensor
    ys: Tensor
    ok: Tensor
    status: Status
    stats: dict[str, Any] = field(default_factory=dict)
    path_kl: Tensor | None = None
    extra: tuple[Tensor, ...] = ()


@dataclass(frozen=True, eq=False)
class Moment:
    """One step on the way to a failure: time, step length, the state before it and its increment."""
    t: float
    dt: float
    y: Tensor
    dW: Tensor


def diverged(sde: SDE, scheme: Scheme, trail: list[Moment], after: Tensor, *, step: int,
             steps: int) -> Status:
    """The status of a solve of which ``after`` is the first state that is not finite; ``trail`` holds the
    steps that led there from finite states, the failing one first."""
    rows = (~torch.isfinite(after).all(-1)).nonzero()[:, 0].tolist()
    row, more = rows[0], len(rows) - 1
    who = f"Row {row}" + (f" (and {more} other{'s' * (more > 1)})" if more else "")
    time, reached = trail[0].t + trail[0].dt, float(trail[0].y[row].abs().max())
    why, advice = _reason(sde, scheme, trail, row)
    return Status("diverged", f"{who} stopped being finite at t = {time:.4g} (step {step} of {steps}): |y| "
                              "had "
                  f"reached {reached:.3g} one step before. {why}; {advice}.", step, time, row)


def _reason(sde: SDE, scheme: Scheme, trail: list[Moment], row: int) -> tuple[str, str]:
    """Why the row failed, as far as the last steps show it, and what to try."""
    if not torch.isfinite(trail[0].dW[row]).all():
        return "The Brownian increment of this step is not finite", "look at bm"
    drift = noise = 0.0
    for at in trail:
        with torch.no_grad():
            f, g = sde.both(torch.tensor(at.t, dtype=at.y.dtype, device=at.y.device), at.y)
            push, kick = float((f * at.dt)[row].abs().max()), float(sde.noise(g, at.dW)[row].abs().max())
        size = float(at.y[row].abs().max())
        for name, value in (("drift", f[row]), ("diffusion", g[row])):
            if at is trail[0] and size < 1e6 and not torch.isfinite(value).all():
                return (f"The {name} itself is not finite there, at a state of ordinary size",
                        f"look for a division, root, logarithm or exponential in the {name}")
        drift, noise = push / max(size, 1e-30), kick / max(size, 1e-30)
        if math.isfinite(drift) and math.isfinite(noise):
            break                           # near overflow everything is infinite: a step earlier tells more
    untamed = scheme.calculus == "ito" and scheme.name != "tamed_euler"
    halve = f"halve dt (now {trail[0].dt:.3g})"
    if drift >= noise and drift > 2:
        return (f"One step of the drift was {drift:.2g} times |y|: it grows too fast for this step",
                halve + (", or try method='tamed_euler'" if untamed else ""))
    if noise > 2:
        return (f"One step of the noise was {noise:.2g} times |y|: the diffusion grows too fast for this "
                "step",
                f"{halve}, or let the diffusion grow at most linearly in y")
    return ("Drift and noise were no larger than twice |y| in a step, so the equation itself may grow "
            "without bound",
            f"check the drift's sign, shorten the time interval, or {halve}")


def check_state(y0, row: str) -> None:
    """A ValueError unless y0 is a finite batch (B, D); ``row`` says in its sentence what a row is."""
    if not isinstance(y0, Tensor) or y0.dim() != 2 or 0 in y0.shape:
        got = f"shape {tuple(y0.shape)}" if isinstance(y0, Tensor) else type(y0).__name__
        raise ValueError(f"y0 must be a tensor of shape (B, D), one row per {row}, got {got}")
    if not y0.dtype.is_floating_point:
        raise ValueError(f"y0 must hold floating point numbers, got {y0.dtype}; write y0.float() or "
                         "y0.double()")
    bad = ~torch.isfinite(y0.detach()).all(-1)
    if bool(bad.any()):
        raise ValueError(f"y0 is not finite in row {int(bad.nonzero()[0, 0])}; a solve starts from finite "
                         "states")
