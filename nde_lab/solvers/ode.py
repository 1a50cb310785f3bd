"""``solve_ode``: a checked solve of y' = f(t, y), every row of the batch for itself."""
from __future__ import annotations

import math
import numbers

import numpy as np
import torch
from torch import Tensor

from nde_lab.autodiff.eager import RECORDER
from nde_lab.solvers.controller import PID
from nde_lab.solvers.dense import Dense
from nde_lab.solvers.methods import find
from nde_lab.solvers.ode_adjoint import parameters, solve
from nde_lab.solvers.ode_march import EVENT, march
from nde_lab.solvers.ode_status import OdeSolution, status_of
from nde_lab.solvers.solution import check_state

GRADIENTS = ("through", "checkpoint", "adjoint")


def solve_ode(f, y0: Tensor, ts, *, method="dopri5", rtol=1e-6, atol=1e-8, dt: float | None = None,
              controller: PID | None = None, max_steps: int = 10_000, first_step=None,
              max_dt: float = math.inf, dense: bool = False, event=None, gradient: str = "through",
              params=None, adjoint_rtol=None, adjoint_atol=None, adjoint_method=None) -> OdeSolution:
    """Solve y' = f(t, y) from y0 at the first of ts; numerical trouble is no error but a status.

    f(t, y) -> (B, D). y is (B, D); t is (B, 1), a clock per row, or 0-d with fixed steps on shared times:
    ``t.expand(len(y), 1)`` and broadcasting work for both. y0: (B, D), finite. ts: (T,) or (B, T), times of
    every row's own; T >= 2, strictly increasing or decreasing. Row b starts at its first time.
    method: "dopri5", "tsit5", "bosh3", "heun", and for stiff problems "kvaerno3", "esdirk4", choose their steps
    so that the error of a step stays below atol + rtol |y| in the mean square over the row; with ``dt`` they,
    and always "euler", "midpoint" and "rk4", take fixed steps of that length (at most dt, with own times per
    row; without dt the steps are those of ts). controller: a ``PID``. max_steps: tried steps of a row that
    chooses them. first_step: the first |h|, a number or (B,). max_dt: no step is longer. dense: also return the
    solution between the times, ``solution.dense(t)``. event: an ``Event``; a row ends where it is met.
    gradient: "through" differentiates the steps taken (their lengths are constants); "checkpoint" gives the
    same numbers, keeping one state a step and repeating the steps; "adjoint" solves the continuous adjoint
    equation back in time, with adjoint_rtol, adjoint_atol, adjoint_method where they differ. params: the
    tensors that f uses and that want a gradient, for the last two; None takes those of an nn.Module f. Times
    that require a gradient get it as the derivative of the solution, f at the time.

    Raises ValueError for input that does not fit.
    """
    if getattr(RECORDER, "loop", None) is not None:
        raise ValueError("solve_ode looks at values, so it cannot stand in a traced function; there call "
                         "integrate_adaptive(f, y0, t0, t1, turns=...) or integrate_ode(f, y0, grid)")
    how = find(method)
    check_state(y0, "start")
    times = read_times(ts, len(y0))
    plan = None
    if dt is not None or not how.adaptive:
        plan = fixed_times(times, dt)
    _check_numbers(rtol, atol, max_steps)
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient must be one of {', '.join(map(repr, GRADIENTS))}, got {gradient!r}")
    shared = plan is not None and bool((plan == plan[:, :1]).all())
    settings = dict(rtol=rtol, atol=atol, control=controller or PID(), max_steps=max_steps, shared=shared,
                    plan=plan, first=_first(first_step, len(y0)), longest=max_dt, event=event)
    back = {k: v for k, v in (("rtol", adjoint_rtol), ("atol", adjoint_atol)) if v is not None}
    back |= {"dt": dt} | ({} if adjoint_method is None else {"method": find(adjoint_method)})
    moving = isinstance(ts, Tensor) and ts.requires_grad
    start = y0
    if moving:
        start = attach_times(f, ts[:1] if ts.dim() == 1 else ts[:, :1].t(), y0.unsqueeze(0), -1.0)[0]
    m = run(f, start, times, how, gradient, params, settings, back, dense=dense)
    if event is not None and m.y.requires_grad:
        met = torch.from_numpy(m.how == EVENT).to(y0.device)
        event_t, event_y = event.link(f, torch.from_numpy(m.t).to(y0).unsqueeze(-1), m.y, met)
        event_t = event_t.squeeze(-1)
    elif event is not None:
        event_t, event_y = torch.from_numpy(m.t).to(y0), m.y
    if moving:
        m.ys = attach_times(f, ts if ts.dim() == 1 else ts.t(), m.ys)
    return _solution(m, how, ts, times, y0, rtol, plan is not None, dense,
                     None if event is None else (event_t, event_y))


def run(f, y0: Tensor, times: np.ndarray, method, gradient: str, params, settings: dict, back: dict,
        dense: bool = False):
    """A march with the wanted kind of gradient. back: rtol, atol, method, dt of the adjoint's solve."""
    if gradient == "through" or not torch.is_grad_enabled():
        return march(f, y0, times, method, keep="all" if dense else "", **settings)
    if dense:
        raise ValueError(f"dense output carries no gradient with gradient={gradient!r}; ask for the times in "
                         "ts, or take 'through'")
    params = parameters(f, params, gradient)
    rest = {k: back.get(k, settings[k]) for k in ("control", "max_steps", "shared", "longest")}
    tolerances = {k: torch.cat([v, v], -1) if isinstance(v, Tensor) and v.dim() and v.shape[-1] > 1 else v
                  for k, v in ((k, back.get(k, settings[k])) for k in ("rtol", "atol"))}
    other = back.get("method", method)
    if gradient == "adjoint" and not hasattr(other, "table"):
        raise ValueError(f"the adjoint's solve back in time needs an explicit method, not {other.name!r}: take "
                         "gradient='checkpoint', or another adjoint_method")
    return solve(f, y0, times, method, gradient, params,
                 {**rest, **tolerances, "method": other, "dt": back.get("dt"), "steps": fixed_times}, settings)


def attach_times(f, ts: Tensor, ys: Tensor, sign: float = 1.0) -> Tensor:
    """ys (T, B, D) with the gradient in their times ts (T,) or (T, B) added: dy/dt = f.

    With sign -1 for the start: to begin later is to begin from a state that much behind on its own curve.
    """
    moved = []
    for t, y in zip(ts, ys, strict=True):
        at = t.detach().to(y) if t.dim() == 0 else t.detach().to(y).unsqueeze(-1)
        change = (t - t.detach()).to(y).reshape(-1, 1)
        moved.append(y + sign * f(at, y).detach() * change)
    return torch.stack(moved)


def _solution(m, how, ts, times, y0, rtol, fixed, dense, event) -> OdeSolution:
    ok = torch.from_numpy(np.isin(m.how, (1, 2))).to(y0.device)
    stats = {"method": how.name, "turns": m.turns,
             **{name: torch.from_numpy(getattr(m, name)) for name in ("accepted", "rejected", "evaluations")},
             "reached": torch.from_numpy(m.t)}
    out_ts = ts if isinstance(ts, Tensor) and ts.dtype.is_floating_point else torch.tensor(
        times[0] if np.ndim(ts) == 1 else times, dtype=y0.dtype, device=y0.device)
    extra = {}
    if dense:
        extra["dense"] = Dense(m.log, how.dense, times[:, 0], m.t)
    if event is not None:
        extra |= {"event_t": event[0], "event_y": event[1], "event_rows": torch.from_numpy(m.how == EVENT)}
    return OdeSolution(out_ts, m.ys, ok, status_of(m, how, times, rtol, fixed), stats, **extra)


def read_times(ts, rows: int) -> np.ndarray:
    """Times (T,) or (B, T) as float64 (B, T): finite, strictly monotone in every row."""
    try:
        times = np.asarray(ts.detach().cpu() if isinstance(ts, Tensor) else ts, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"ts must hold numbers, (T,) or (B, T), got {ts!r}") from None
    if times.ndim not in (1, 2) or (times.ndim == 2 and times.shape[0] != rows):
        raise ValueError(f"ts must have shape (T,) or (B, T) with B={rows}, got {times.shape}")
    if times.shape[-1] < 2:
        raise ValueError(f"ts needs at least 2 times (start and end), got {times.shape[-1]}")
    if not np.isfinite(times).all():
        raise ValueError("every entry of ts must be a finite number")
    lines = times if times.ndim == 2 else times[None]
    change = lines[:, 1:] - lines[:, :-1]
    wrong = ((change > 0) != (change[:, :1] > 0)) | (change == 0)
    if wrong.any():
        b, i = (int(x[0]) for x in wrong.nonzero())
        row = f"[{b}]" if times.ndim == 2 else ""
        raise ValueError(f"ts must increase strictly, or decrease strictly, but ts{row}[{i + 1}]="
                         f"{lines[b, i + 1]:g} follows ts{row}[{i}]={lines[b, i]:g}; sort it and drop repeated "
                         "times")
    return lines if len(lines) == rows else np.broadcast_to(lines, (rows, times.shape[-1]))


def fixed_times(times: np.ndarray, dt: float | None) -> np.ndarray:
    """The times (n + 1, B) of fixed steps: those of ts, or equal steps, the longest row's at most dt long."""
    if dt is None:
        return times.T
    if isinstance(dt, bool) or not isinstance(dt, numbers.Real) or not 0 < dt < math.inf:
        raise ValueError(f"dt must be a positive step length, got {dt!r}; also for decreasing times")
    start, end = times[:, 0], times[:, -1]
    n = np.abs(end - start).max() / dt
    if n > 1e7:
        raise ValueError(f"dt={dt:g} would take {n:.3g} steps; at most 1e7 are taken, so give a larger dt")
    n = max(1, math.ceil(n - 1e-6))
    k = np.arange(n + 1)[:, None]
    if (times == times[:1]).all():
        # Shared times: whole steps of dt, and what remains.
        sign = 1.0 if end[0] >= start[0] else -1.0
        even = abs(n * dt - abs(end[0] - start[0])) <= 1e-6 * dt
        plan = start + (end - start) * k / n if even else start + sign * dt * k
        plan[-1] = end
        return plan
    plan = start + (end - start) * k / n
    plan[-1] = end
    return plan


def _first(first, rows: int):
    if first is None:
        return None
    first = np.asarray(first.detach().cpu() if isinstance(first, Tensor) else first, dtype=np.float64)
    if first.shape not in ((), (rows,)) or not (first > 0).all() or not np.isfinite(first).all():
        raise ValueError(f"first_step must be a positive length or one per row ({rows},), got {first}")
    return first


def _check_numbers(rtol, atol, max_steps) -> None:
    for name, value in (("rtol", rtol), ("atol", atol)):
        if isinstance(value, Tensor):
            fine = not bool((value < 0).any()) and bool(torch.isfinite(value).all())
        else:
            fine = isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= value < math.inf
        if not fine:
            raise ValueError(f"{name} must be a number or a tensor, zero or positive, got {value!r}")
    if all(not isinstance(v, Tensor) and v == 0 for v in (rtol, atol)):
        raise ValueError("rtol and atol cannot both be zero; no step would be good enough")
    if isinstance(max_steps, bool) or not isinstance(max_steps, numbers.Integral) or max_steps < 1:
        raise ValueError(f"max_steps must be a whole number, at least 1, got {max_steps!r}")
