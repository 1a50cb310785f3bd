"""Dense output: the state between the steps, from the polynomials of the method, at no evaluation more."""
from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Record(NamedTuple):
    """One turn: t, h (B,) on the host (h = 0 for a row that did not move), y (B, D) before it, its stages, and
    the fraction x (B,) of the step after which a row stopped at its event (1 elsewhere; None: nowhere)."""
    t: np.ndarray
    h: np.ndarray
    y: Tensor
    k: list[Tensor]
    x: np.ndarray | None = None


def weights(dense, x: Tensor, slope: bool = False) -> Tensor:
    """p_i(x), or its derivative, for every stage: (*x.shape, s). dense: a tableau's coefficients."""
    table = torch.tensor(dense, dtype=x.dtype, device=x.device)                                  # (s, degree)
    powers = torch.arange(1, table.shape[1] + 1, dtype=x.dtype, device=x.device)
    x = x.unsqueeze(-1)
    return (powers * x ** (powers - 1) if slope else x ** powers) @ table.t()


def between(record: Record, dense, x: np.ndarray) -> Tensor:
    """The state (B, D) after the fraction x (B,) of a turn."""
    like = dict(dtype=record.y.dtype, device=record.y.device)
    w = weights(dense, torch.from_numpy(x).to(**like)) * torch.from_numpy(record.h).to(**like).unsqueeze(-1)
    return record.y + torch.einsum("bs,sbd->bd", w, torch.stack(record.k))


def gather(records: list[Record], dense, turn: np.ndarray, t: np.ndarray, slope: bool = False) -> Tensor:
    """The states of row b at times t (M, B) that lie in the turns ``turn`` (M, B): (M, B, D).

    slope: their derivatives in time instead.
    """
    used, turn = np.unique(turn, return_inverse=True)
    turn = turn.reshape(t.shape)
    rows = np.broadcast_to(np.arange(t.shape[1]), t.shape)
    starts, steps = np.stack([records[n].t for n in used]), np.stack([records[n].h for n in used])
    h = steps[turn, rows]
    x = (t - starts[turn, rows]) / np.where(h == 0, 1.0, h)
    y = torch.stack([records[n].y for n in used])                                                # (n, B, D)
    k = torch.stack([torch.stack(records[n].k, 1) for n in used])                             # (n, B, s, D)
    p = weights(dense, torch.from_numpy(x).to(y), slope)                                         # (M, B, s)
    if not slope:
        p = p * torch.from_numpy(h).to(y).unsqueeze(-1)
    if len(used) == 1:
        y, k = y[0], k[0]
    else:
        j, b = torch.from_numpy(turn).to(y.device), torch.from_numpy(rows.copy()).to(y.device)
        y, k = y[j, b], k[j, b]
    moved = torch.matmul(p.unsqueeze(-2), k).squeeze(-2)
    return moved if slope else y + moved


@dataclass(frozen=True, eq=False)
class Dense:
    """A solution at any time between start and the time that each row reached; differentiable.

    ``dense(t)``: t a number or (M,) -> the states (B, D) or (M, B, D); t (B, M), times of every row's own ->
    (M, B, D). ``dense.slope(t)``: the derivatives. A time outside is a ValueError.
    """
    records: list[Record]
    table: tuple
    start: np.ndarray
    reached: np.ndarray

    def __call__(self, t) -> Tensor:
        return self._at(t, slope=False)

    def slope(self, t) -> Tensor:
        return self._at(t, slope=True)

    def _at(self, t, slope: bool) -> Tensor:
        times = np.asarray(t.detach().cpu() if isinstance(t, Tensor) else t, dtype=np.float64)
        rows = len(self.start)
        if times.ndim > 2 or (times.ndim == 2 and times.shape[0] != rows):
            raise ValueError(f"dense output is asked at a number, at times (M,) or at (B, M) with B={rows}, "
                             f"got shape {times.shape}")
        flat = times if times.ndim == 2 else np.broadcast_to(np.atleast_1d(times), (rows, max(times.size, 1)))
        low, high = np.minimum(self.start, self.reached), np.maximum(self.start, self.reached)
        room = 1e-9 * (high - low)
        out = ~((flat >= (low - room)[:, None]) & (flat <= (high + room)[:, None]))
        if out.any():
            b, m = (int(i[0]) for i in out.nonzero())
            raise ValueError(f"time {flat[b, m]:g} lies outside what row {b} was solved for, from "
                             f"{self.start[b]:g} to {self.reached[b]:g}")
        got = gather(self.records, self.table, self._turns(flat), flat.T, slope)
        return got[0] if times.ndim == 0 else got

    def _turns(self, times: np.ndarray) -> np.ndarray:
        """Which turn of row b holds times[b, m]: (M, B)."""
        found = np.zeros(times.shape[::-1], dtype=np.int64)
        t, h = np.stack([r.t for r in self.records]), np.stack([r.h for r in self.records])
        for b in range(times.shape[0]):
            moved = np.flatnonzero(h[:, b])
            if len(moved):
                sign = 1.0 if self.reached[b] >= self.start[b] else -1.0
                place = np.searchsorted(sign * t[moved, b], sign * times[b], side="right") - 1
                found[:, b] = moved[place.clip(0, len(moved) - 1)]
        return found
