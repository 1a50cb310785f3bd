"""The bare loops for ODEs, for experiments: pure, fit for tracing, and blind to values."""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.solvers.controller import PID, first_step
from nde_lab.solvers.grid import Grid
from nde_lab.solvers.runge_kutta import error_ratio, rk_step, stiffness
from nde_lab.solvers.tableaus import Tableau, tableau


def integrate_ode(f, y0: Tensor, grid: Grid | Tensor, *, method: str | Tableau = "rk4",
                  save: str = "all") -> Tensor:
    """Solve y' = f(t, y) on a grid with fixed steps; the twin of ``integrate`` for SDEs.

    f(t, y) -> (B, D) gets the time as a 0-d tensor and may close over parameter tensors. y0: (B, D). grid: a
    ``Grid`` of n steps, or its times as a tensor (n + 1,), also decreasing. save: "all" -> (n + 1, B, D) with
    y0 first; "last" -> (B, D). Differentiable in y0, in a grid given as a tensor, and in whatever f closes
    over.
    """
    table = tableau(method)
    _check_start(y0)
    if save not in ("all", "last"):
        raise ValueError(f"save must be 'all' or 'last', got {save!r}")
    if not isinstance(grid, Grid) and not (isinstance(grid, Tensor) and grid.dim() == 1 and len(grid) >= 2):
        raise ValueError("grid must be a Grid or a 1-d tensor of at least two times, got "
                         f"{tuple(grid.shape) if isinstance(grid, Tensor) else grid!r}")
    times = grid.tensor(y0.dtype, y0.device) if isinstance(grid, Grid) else grid
    even = grid.dt if isinstance(grid, Grid) and grid.even else None

    def body(y, x):
        y = rk_step(f, x[0], y, x[1] if even is None else even, table).y
        return y, (None if save == "last" else y)

    xs = (times[:-1],) if even is not None else (times[:-1], times[1:] - times[:-1])
    last, ys = loop(body, y0, xs)
    return last if save == "last" else torch.cat([y0.unsqueeze(0), ys])


class Turns(NamedTuple):
    """What happened in every turn, (turns, B) but y (turns, B, D): t and y before the turn, the step h that
    was tried from there (with its sign; 0 for a row that had arrived), its error ratio q, accept, and the
    stiffness estimate."""
    t: Tensor
    h: Tensor
    y: Tensor
    q: Tensor
    accept: Tensor
    stiffness: Tensor


class Adaptive(NamedTuple):
    """y (B, D), t (B,): where each row stands. accepted, rejected, evaluations (B,): counts of this row.
    ok (B,): the row arrived at t1 and is finite. error_sum (B,): R_E = sum over accepted steps of q |h|.
    stiffness_max (B,): R_S, the largest stiffness estimate of an accepted step. turns: see ``Turns``."""
    y: Tensor
    t: Tensor
    accepted: Tensor
    rejected: Tensor
    evaluations: Tensor
    ok: Tensor
    error_sum: Tensor
    stiffness_max: Tensor
    turns: Turns


def integrate_adaptive(f, y0: Tensor, t0, t1, *, turns: int, rtol=1e-3, atol=1e-6,
                       method: str | Tableau = "dopri5", h0=None, controller: PID | None = None) -> Adaptive:
    """Solve y' = f(t, y) from t0 to t1 with steps of every row's own choosing, in a fixed number of turns.

    f(t, y) -> (B, D) gets a clock per row, t (B, 1). y0: (B, D). t0, t1: numbers, 0-d, (B,) or (B, 1)
    tensors; t1 < t0 runs backward. turns: tried steps, at most this many; rows that have arrived stand still,
    a row that has not is not ``ok``. rtol, atol: numbers or 0-d tensors (live knobs). h0: the first step,
    a number or (B, 1); None chooses it, for one evaluation. The same steps as ``solve_ode``, as one loop that
    can be traced.

    Differentiable in y0 and what f closes over, through the states, ``error_sum`` and ``stiffness_max``; step
    sizes are constants of the gradient. A trial step that overflows is rejected, but its infinities reach the
    gradient: keep h0 moderate there. Source of R_E, R_S: Pal et al. (2021).
    """
    table = tableau(method)
    if not table.adaptive:
        raise ValueError(f"method {table.name!r} has no error estimate to choose steps by; take dopri5, tsit5, "
                         "bosh3 or heun, or integrate_ode for fixed steps")
    if isinstance(turns, bool) or not isinstance(turns, int) or turns < 1:
        raise ValueError(f"turns must be a whole number of tried steps, at least 1, got {turns!r}")
    _check_start(y0)
    control, column = controller or PID(), y0.detach()[:, :1]
    t, end = _column("t0", t0, column), _column("t1", t1, column)
    sign = torch.where(end < t, -torch.ones_like(t), torch.ones_like(t))
    span = (end - t).abs()
    k1 = f(t, y0) if table.fsal or h0 is None else y0
    if h0 is None:
        h = first_step(f, t, y0.detach(), k1.detach(), sign, table.error_order, rtol, atol, span)
    else:
        h = torch.minimum(_column("h0", h0, column), span)

    def body(carry, _):
        t, h, y, k1, q1, q2, done = carry
        left = (end - t).abs()
        last = h >= left
        step = torch.where(done, torch.zeros_like(h), torch.where(last, left, h)) * sign
        new = rk_step(f, t, y, step, table, k1=k1 if table.fsal else None)
        ratio = error_ratio(new.error, y, new.y, rtol, atol)
        q = ratio.detach().unsqueeze(-1)
        q = torch.where(torch.isfinite(q + 0 * new.y.detach().sum(-1, keepdim=True)), q,
                        torch.full_like(q, torch.inf))
        good = q <= 1
        accept = good & ~done
        factor = control.factor(q, q1, q2, table.error_order)
        factor = torch.where(good, factor, factor.clip(max=1.0))
        size = torch.where(done, h, step.abs() * factor)
        stiff = stiffness(new)
        out = Turns(t.squeeze(-1), step.squeeze(-1), y, ratio, accept.squeeze(-1), stiff)
        after = (torch.where(accept, torch.where(last, end, t + step), t), size,
                 torch.where(accept, new.y, y), torch.where(accept, new.k[-1], k1) if table.fsal else k1,
                 torch.where(accept, q, q1), torch.where(accept, q1, q2), done | (accept & last))
        return after, out

    one = torch.ones_like(t)
    carry, seen = loop(body, (t, h, y0, k1, one, one, span <= 0), torch.arange(turns, device=y0.device))
    t, _, y, *_, done = carry
    tried = (seen.h != 0).sum(0)
    accepted = seen.accept.sum(0)
    zero = torch.zeros_like(seen.q)
    return Adaptive(
        y, t.squeeze(-1), accepted, tried - accepted,
        tried * table.new_evaluations + (1 if table.fsal or h0 is None else 0) + (1 if h0 is None else 0),
        done.squeeze(-1) & torch.isfinite(y).all(-1),
        torch.where(seen.accept, seen.q * seen.h.abs(), zero).sum(0),
        torch.where(seen.accept, seen.stiffness, zero).amax(0), seen)


def _column(name: str, value, like: Tensor) -> Tensor:
    """A number, 0-d, (B,) or (B, 1) tensor as (B, 1)."""
    if not isinstance(value, Tensor):
        return torch.full_like(like, float(value))
    if value.dim() == 1:
        value = value.unsqueeze(-1)
    if value.dim() not in (0, 2) or (value.dim() == 2 and tuple(value.shape) != tuple(like.shape)):
        raise ValueError(f"{name} must be a number or a tensor of shape (), ({len(like)},) or "
                         f"({len(like)}, 1), got {tuple(value.shape)}")
    return value.to(like.dtype).expand_as(like)


def _check_start(y0) -> None:
    if not isinstance(y0, Tensor) or y0.dim() != 2 or not y0.dtype.is_floating_point:
        got = f"{y0.dtype} of shape {tuple(y0.shape)}" if isinstance(y0, Tensor) else type(y0).__name__
        raise ValueError(f"y0 must be a floating point tensor of shape (B, D), got {got}")
