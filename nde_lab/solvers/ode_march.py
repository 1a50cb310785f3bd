"""The loop behind ``solve_ode``: every row of the batch has its own clock, step size, counts and end.

Clocks and step sizes live on the host as float64 arrays, states on their device. A turn is one tried step of
all rows at once, with one transfer of the error ratios (B,) to the host; rows that have ended stand still
with h = 0.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nde_lab.solvers.controller import PID, first_step
from nde_lab.solvers.dense import Record, between, gather
from nde_lab.solvers.runge_kutta import RKStep

# How a row ended.
RUNNING, ARRIVED, EVENT, NOT_FINITE, STALLED, TOO_MANY = range(6)
_RESOLUTION = 4 * np.finfo(np.float64).eps


@dataclass(eq=False)
class March:
    """ys (T, B, D); y (B, D), t (B,), how (B,): where and how each row ended; counts (B,).

    h (B,): the |h| that each row would try next. where, passed (B, T): the turn in which a time was passed,
    and whether it was. log: the turns, where they were kept. last: the last step, for the advice.
    """
    y: Tensor
    ys: Tensor
    t: np.ndarray
    how: np.ndarray
    h: np.ndarray
    accepted: np.ndarray
    rejected: np.ndarray
    evaluations: np.ndarray
    turns: int
    where: np.ndarray
    passed: np.ndarray
    log: list[Record] = field(default_factory=list)
    last: RKStep | None = None


def march(f, y0: Tensor, ts: np.ndarray, method, *, rtol, atol, control: PID, max_steps: int, shared: bool,
          plan: np.ndarray | None = None, first=None, longest: float = np.inf, event=None, norm=None,
          keep: str = "", on_step=None) -> March:
    """Solve from ts[:, 0] to ts[:, -1].

    ts (B, T): float64, monotone in every row. method: see ``methods``. shared: f gets the time as a 0-d tensor
    (one row, or a plan whose rows agree). plan (n + 1, B): times of fixed steps; None chooses them, at most
    max_steps. first: the first |h|, a number or (B,). event: an ``events.Event``. norm: r (1, D) -> q, instead
    of the root mean square. keep: "all" keeps the records of all turns, "states" without their stages.
    on_step(record, step): called after each turn with the h (B,) that was tried.
    """
    rows, T = ts.shape
    t, end = ts[:, 0].copy(), ts[:, -1]
    sign = np.where(end < t, -1.0, 1.0)
    span = np.abs(end - t)
    active = span > 0
    how = np.where(active, RUNNING, ARRIVED)
    accepted, tried, spent = (np.zeros(rows, np.int64) for _ in range(3))
    c = np.asarray(method.c)[:, None]
    adaptive = plan is None
    method.begin(rtol, atol)
    clock, column = clocks(y0, shared)
    y, k1 = y0, None
    if active.any() and (method.fsal or (adaptive and first is None)):
        k1 = f(clock(t[None])[0], y0)
        check_slope(k1, y0)
        spent += active
    if adaptive:
        limit = np.minimum(span, longest)
        h = np.minimum(np.broadcast_to(np.asarray(0.0 if first is None else first, np.float64), (rows,)), limit)
        if first is None and active.any():
            with torch.no_grad():
                h = first_step((lambda t, y: f(t.reshape(()), y)) if shared else f, column(t), y0.detach(),
                               k1.detach(), column(sign), method.error_order, rtol, atol, column(limit))
            spent += active
            h = h.reshape(-1).cpu().numpy().astype(np.float64)
            h = np.where(np.isfinite(h) & (h > 0), np.minimum(h, limit), np.minimum(1e-6, limit))
    else:
        h = np.abs(plan[1] - plan[0])
    q1 = q2 = np.ones(rows)
    ahead = np.ones(rows, np.int64)                       # the next column of ts that a row has not reached
    where, passed = np.zeros((rows, T), np.int64), np.zeros((rows, T), bool)
    passing: dict[int, Record] = {}                       # the turns in which a time of ts was passed
    log: list[Record] = []
    g = event.start(clock(t[None])[0], y0) if event is not None else None
    new, n = None, 0
    while active.any():
        if n >= (max_steps if adaptive else len(plan) - 1):
            how[active] = TOO_MANY
            break
        if adaptive:
            stop = ts[np.arange(rows), np.minimum(ahead, T - 1)] if method.stops else end
            left = np.abs(stop - t)
            last = h >= left
            step = np.where(active, np.where(last, left, h), 0.0) * sign
            goal = np.where(last, stop, t + step)
        else:
            goal = plan[n + 1]
            step = goal - plan[n]
        new = method.step(f, clock(t + c * step), y, float(step[0]) if shared else column(step), k1)
        if n == 0:
            check_slope(new.k[0], y0)
        tried += active
        spent += method.spent(active)
        q = _ratio(new, y, rtol, atol, norm) if adaptive else _finite(new.y)
        fine = np.isfinite(q)
        if adaptive:
            q[~fine] = np.inf
            accept = active & (q <= 1)
            factor = control.factor(q, q1, q2, method.error_order)
            factor = np.where(accept, factor, np.minimum(factor, 1.0))
            # A step that was shortened to arrive says nothing against the longer one.
            size = np.maximum(np.abs(step) * factor, np.where(accept & last, h, 0.0))
            h = np.where(active, np.minimum(size, longest), h)
            q1, q2 = np.where(accept, q, q1), np.where(accept, q1, q2)
        else:
            accept = active & fine
        if not fine.all():
            broken = active & ~fine
            start = torch.isfinite(new.k[0].detach()).all(-1).cpu().numpy()
            lost = broken & ~start if adaptive else broken
            how[lost], active = NOT_FINITE, active & ~lost
            if adaptive and broken.any() and new.y.requires_grad and accept.any():
                # Infinities of a row that is not moved would still reach the gradient: repeat without it.
                step = np.where(broken, 0.0, step)
                new = method.step(f, clock(t + c * step), y, column(step), k1)
                spent += method.spent(accept)
        record = Record(t, np.where(accept, step, 0.0), y, new.k)
        if (accept | (fine & (step == 0))).all():
            y, k1 = new.y, (new.k[-1] if method.fsal else None)
        elif accept.any():
            mask = torch.from_numpy(accept).to(y0.device).unsqueeze(-1)
            y = torch.where(mask, new.y, y)
            k1 = torch.where(mask, new.k[-1], k1) if method.fsal else None
        t = np.where(accept, goal, t)
        accepted += accept
        if event is not None and accept.any():
            g, hit, record = event.step(record, method, g, accept, t, y, clock)
            if record.x is not None:
                y = torch.where(torch.from_numpy(hit).to(y.device).unsqueeze(-1),
                                between(record, method.dense, record.x), y)
                t = np.where(hit, record.t + record.x * record.h, t)
            how[hit], active = EVENT, active & ~hit
        if T > 2:
            over = accept & (ahead < T) & ((t - ts[np.arange(rows), np.minimum(ahead, T - 1)]) * sign >= 0)
            if over.any():
                now = over[:, None] & ~passed & ((ts - t[:, None]) * sign[:, None] <= 0)
                now[:, 0] = False
                where[now], passed = n, passed | now
                ahead = np.where(over, 1 + passed.sum(1), ahead)
                passing[n] = record
        if keep:
            log.append(record if keep == "all" else record._replace(k=[]))
        if on_step is not None:
            on_step(record, step)
        arrived = active & accept & ((end - t) * sign <= 0)
        how[arrived], active = ARRIVED, active & ~arrived
        if adaptive and not accept.all():
            size = np.maximum(np.abs(t), np.where(np.isinf(end), 0.0, np.abs(end)))
            short = active & ~accept & (h <= _RESOLUTION * size)
            how[short], active = STALLED, active & ~short
        n += 1
    ys = saved(y0, y, ts, method, passing, where, passed)
    return March(y, ys, t, how, h, accepted, tried - accepted, spent, n, where, passed, log, new)


def clocks(y: Tensor, shared: bool):
    """Two functions: times (s, B) on the host as s tensors, 0-d or (B, 1); an array (..., B) as a column."""
    like = dict(dtype=y.dtype, device=y.device)

    def column(a: np.ndarray) -> Tensor:
        return torch.from_numpy(a).to(**like).unsqueeze(-1)

    def clock(times: np.ndarray):
        return torch.tensor(times[:, 0].tolist(), **like).unbind() if shared else column(times).unbind()
    return clock, column


def check_slope(k, y: Tensor) -> None:
    if not isinstance(k, Tensor) or k.shape != y.shape:
        got = f"shape {tuple(k.shape)}" if isinstance(k, Tensor) else type(k).__name__
        raise ValueError("f(t, y) must return a slope for every number of y, a tensor of shape "
                         f"{tuple(y.shape)}, got {got}")


def _ratio(new: RKStep, y: Tensor, rtol, atol, norm) -> np.ndarray:
    """The error ratios (B,) as float64 on the host; not finite where the new state is not."""
    with torch.no_grad():
        y1 = new.y.detach()
        error = torch.add(new.error.detach(), y1, alpha=0)
        r = error / (torch.maximum(y.detach().abs(), y1.abs()) * rtol + atol)
        q = torch.linalg.vector_norm(r, dim=-1) / r.shape[-1] ** 0.5 if norm is None else norm(r).reshape(1)
    return q.cpu().numpy().astype(np.float64)


def _finite(y: Tensor) -> np.ndarray:
    """Zero for the rows that are finite, not a number for those that are not."""
    return (y.detach().sum(-1) * 0).cpu().numpy().astype(np.float64)


def saved(y0, y, ts, method, records: dict[int, Record], where, passed) -> Tensor:
    """ys (T, B, D): the start, dense output in between, the end; a row that ended early stays where it was."""
    T = ts.shape[1]
    if T == 2:
        return torch.stack([y0, y])
    reach = passed[:, 1:-1]
    if not reach.any():
        return torch.stack([y0, *[y] * (T - 1)])
    keys = sorted(records)
    place = np.zeros(keys[-1] + 1, np.int64)
    place[keys] = np.arange(len(keys))
    turn = np.where(reach, place[np.minimum(where[:, 1:-1], keys[-1])], 0)
    kept = [records[k] for k in keys]
    times = np.where(reach, ts[:, 1:-1], np.stack([r.t for r in kept])[turn, np.arange(len(ts))[:, None]])
    middle = gather(kept, method.dense, turn.T, times.T)
    if not reach.all():
        middle = torch.where(torch.from_numpy(reach.T.copy()).to(y.device).unsqueeze(-1), middle, y)
    return torch.cat([y0.unsqueeze(0), middle, y.unsqueeze(0)])
