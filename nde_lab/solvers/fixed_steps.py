"""Fixed steps of an explicit method with nothing to decide on the way: one clock for all; forwards, and back
for the adjoint.

``ode_march`` does the same and more (rows, counts, events, adjoints), at the price of some numpy in every step;
for a small network that is a third of the time.
"""
from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from nde_lab.solvers.tableaus import Tableau

_CLOCKS = 256           # steps whose times are made at once: many 0-d tensors cost memory, few cost time


def fixed_steps(f, y0: Tensor, plan: np.ndarray, times: np.ndarray, table: Tableau, dense) -> Tensor:
    """The states at ``times`` (T,) when each step goes from one entry of ``plan`` (n + 1,) to the next.

    f(t, y) -> as y gets the time as a 0-d tensor. y0: of any shape. plan, times: float64, monotone, with the
    same ends. dense: the polynomials for times inside a step (``table.dense``). Returns (T, *y0.shape).
    """
    lengths = plan[1:] - plan[:-1]
    ends, steps, wanted = plan[1:].tolist(), lengths.tolist(), times[1:].tolist()
    reached = _reached_in(plan, times)
    rows, result = [_Weights(row) for row in table.a[1:]], _Weights(table.b)
    y, out, j = y0, [y0], 0
    for n, clock in enumerate(_clocks(plan, lengths, table.c, y0)):
        h = steps[n]
        ks = [f(clock[0], y)]
        for t, row in zip(clock[1:], rows, strict=True):
            ks.append(f(t, row.add(y, h, ks)))
        after = result.add(y, h, ks)
        while reached[j] == n:
            if wanted[j] == ends[n]:
                out.append(after)
            else:
                x = 1 + (wanted[j] - ends[n]) / h
                inside = [sum(w * x ** (i + 1) for i, w in enumerate(row)) for row in dense]
                out.append(_Weights(inside).add(y, h, ks))
            j += 1
        y = after
    return torch.stack(out)


def fixed_adjoint(f, y: Tensor, a: Tensor, plan: np.ndarray, table: Tableau,
                  params) -> tuple[Tensor, Tensor, list[Tensor]]:
    """The adjoint equation along ``plan``, state and adjoint by the same steps: both at its end, and the
    integrals of -a^T df/dparams over it.

    f, plan: as in ``fixed_steps``. y, a: state and adjoint at plan[0]. params: what to differentiate for.
    """
    lengths, totals = plan[1:] - plan[:-1], [torch.zeros_like(p) for p in params]
    rows, result = [None, *(_Weights(row) for row in table.a[1:])], _Weights(table.b)
    for clock, h in zip(_clocks(plan, lengths, table.c, y), lengths.tolist(), strict=True):
        slopes, pulled = [], []
        for t, row, w in zip(clock, rows, table.b, strict=True):
            at, b = (y, a) if row is None else (row.add(y, h, slopes), row.add(a, -h, pulled))
            with torch.enable_grad():
                at = at.detach().requires_grad_()
                slope = f(t, at)
                dy, *dparams = pull((slope * b).sum(), [at, *params])
            slopes.append(slope.detach())
            pulled.append(dy)
            for total, g in zip(totals, dparams, strict=True):
                total.add_(g, alpha=-h * w)
        y, a = result.add(y, h, slopes), result.add(a, -h, pulled)
    return y, a, totals


def pull(value: Tensor, inputs, keep: bool = False) -> list[Tensor]:
    """The gradient of a 0-d tensor; zeros where it does not depend on an input."""
    if not value.requires_grad:
        return [torch.zeros_like(v) for v in inputs]
    found = torch.autograd.grad(value, inputs, allow_unused=True, retain_graph=keep)
    return [torch.zeros_like(v) if g is None else g for g, v in zip(found, inputs, strict=True)]


class _Weights:
    """w of y + h sum_i w_i k_i, kept as their first and the ratios to it: a multiplication less."""

    def __init__(self, row):
        used = [(i, w) for i, w in enumerate(row) if w]
        (self.first, self.scale), *others = used
        self.others = [(i, w / self.scale) for i, w in others]

    def add(self, y: Tensor, h: float, ks: list[Tensor]) -> Tensor:
        total = ks[self.first]
        for i, ratio in self.others:
            total = torch.add(total, ks[i], alpha=ratio)
        return torch.add(y, total, alpha=h * self.scale)


def _reached_in(plan: np.ndarray, times: np.ndarray) -> list[int]:
    """The step that ends at or after each of times[1:], and -1 behind them."""
    n = len(plan) - 1
    if plan is times:
        return [*range(n), -1]
    if len(times) == 2:
        return [n - 1, -1]
    sign = 1.0 if plan[-1] >= plan[0] else -1.0
    return [*np.searchsorted(sign * plan[1:], sign * times[1:]).clip(0, n - 1).tolist(), -1]


def _clocks(plan: np.ndarray, lengths: np.ndarray, c: tuple[float, ...], y: Tensor) -> Iterator[list[Tensor]]:
    """The stage times of each step, as 0-d tensors."""
    all_times, s = plan[:-1, None] + lengths[:, None] * np.asarray(c), len(c)
    for k in range(0, len(all_times), _CLOCKS):
        flat = torch.tensor(all_times[k:k + _CLOCKS].ravel().tolist(), dtype=y.dtype, device=y.device).unbind()
        for i in range(0, len(flat), s):
            yield flat[i:i + s]
