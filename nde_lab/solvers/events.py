"""Events: a row ends where a function of time and state crosses zero, found on the dense output."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nde_lab.solvers.dense import Record, between

_TURNS = 100          # halvings alone need 53


@dataclass(frozen=True)
class Event:
    """A row ends at the first zero of fn(t, y) that a step crosses.

    fn(t, y) -> (B,) or (B, 1): t and y as f gets them; row b of the result must depend on row b only.
    direction: +1 counts crossings from below only, -1 from above only, 0 both. A row that starts on a zero
    waits for the next one. Two zeros within one step look like none: limit max_dt if that may happen. The
    time and the state found are differentiable (implicit function theorem).
    """
    fn: Callable
    direction: int = 0

    def __post_init__(self):
        if not callable(self.fn):
            raise ValueError(f"an event needs a function fn(t, y), got {type(self.fn).__name__}")
        if self.direction not in (-1, 0, 1):
            raise ValueError(f"direction must be -1, 0 or 1, got {self.direction!r}")

    def start(self, t, y: Tensor) -> np.ndarray:
        """The values (B,) on the host."""
        with torch.no_grad():
            g = self.fn(t, y)
        if not isinstance(g, Tensor) or g.numel() != len(y):
            got = tuple(g.shape) if isinstance(g, Tensor) else type(g).__name__
            raise ValueError(f"an event function returns one number per row, ({len(y)},), got {got}")
        return g.detach().reshape(-1).cpu().numpy().astype(np.float64)

    def step(self, record: Record, method, g0: np.ndarray, accept: np.ndarray, t: np.ndarray, y: Tensor, clock):
        """After a turn to t, y: the new values, the rows that met the event, and the turn with its fractions
        x, which is None if no row did."""
        g1 = self.start(clock(t[None])[0], y)
        hit = accept & (g0 * np.where(g1 == 0, -g0, g1) < 0)
        if self.direction:
            hit &= (g1 - g0) * self.direction > 0
        if hit.any():
            with torch.no_grad():
                x = self._root(lambda x: self.start(clock((record.t + x * record.h)[None])[0],
                                                    between(record, method.dense, x)), g0, g1, hit)
            record = record._replace(x=x)
        return np.where(accept, g1, g0), hit, record

    @staticmethod
    def _root(g, g0: np.ndarray, g1: np.ndarray, hit: np.ndarray) -> np.ndarray:
        """Fractions x (B,) of the step where g is zero: regula falsi, halved ends (Illinois), all rows at
        once."""
        low, high = np.zeros_like(g0), np.ones_like(g0)
        left, right = np.where(hit, g0, -1.0), np.where(hit, g1, 0.0)
        side = np.zeros_like(g0)
        for turn in range(_TURNS):
            gap = right - left
            x = np.where(gap == 0, high, (low * right - high * left) / np.where(gap == 0, 1, gap))
            x = np.where((x > low) & (x < high) & (turn % 8 != 7), x, 0.5 * (low + high))
            x = np.where(right == 0, high, x)
            if (high - low <= 4e-16)[hit].all() or (right == 0)[hit].all():
                break
            now = g(x)
            same = left * now > 0                     # the root lies to the right of x
            zero = now == 0
            right = np.where(same & (side == 1), right / 2, right)
            left = np.where(~same & (side == -1), left / 2, left)
            side = np.where(same, 1.0, -1.0)
            low, left = np.where(same, x, low), np.where(same, now, left)
            high, right = np.where(same, high, x), np.where(same, right, np.where(zero, 0.0, now))
        return np.where(hit, high, 1.0)

    def link(self, f, t: Tensor, y: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Event times (B, 1) and states with the gradient of the root: dt = -dg / (g_t + g_y f), dy += f dt."""
        with torch.enable_grad():
            at, there = t.detach().requires_grad_(), y.detach().requires_grad_()
            parts = torch.autograd.grad(self.fn(at, there).sum(), [at, there], allow_unused=True)
        with torch.no_grad():
            slope = f(t, y)
            g_t, g_y = (torch.zeros_like(v) if g is None else g for g, v in zip(parts, (t, y), strict=True))
            rate = g_t.reshape(-1, 1) + (g_y * slope).sum(-1, keepdim=True)
            rows = rows.unsqueeze(-1) & (rate != 0)
            rate = torch.where(rows, rate, torch.ones_like(rate))
        g = self.fn(t.detach(), y).reshape(-1, 1)
        change = torch.where(rows, (g.detach() - g) / rate, torch.zeros_like(rate))     # zero, with a gradient
        return t + change.reshape(t.shape), y + slope * change
