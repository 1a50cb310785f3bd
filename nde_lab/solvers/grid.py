"""Time from an integer grid: the k-th time is computed from k, never by adding dt again and again.

Adding a step of 0.01 a hundred times misses 1 by rounding, and a solver that then takes the stray step left
over asks its Brownian motion for an interval of width 1e-7. A grid that counts its steps has none.
"""
from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_STEPS = 10_000_000
_NEAR = 1e-6                  # a time this close to a grid point, in steps, is that grid point


def _number(name: str, value) -> float:
    value = value.item() if isinstance(value, Tensor) and value.numel() == 1 else value
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}")
    return float(value)


@dataclass(frozen=True)
class Grid:
    """``steps`` equal steps from ``t0`` to ``t1``; time k = 0 .. steps is ``t0 + (t1 - t0) k / steps``.

    With ``dt`` the steps have that length and the last one is what remains up to ``t1`` (it must not be
    longer than dt): times ``t0 + k dt`` for k < steps, then ``t1``. Times are float64; ``tensor`` rounds them
    once. Raises ValueError for steps < 1, dt <= 0, t1 <= t0, or a dt that does not fit the number of steps.
    """
    t0: float
    t1: float
    steps: int
    dt: float | None = None

    def __post_init__(self):
        t0, t1 = _number("t0", self.t0), _number("t1", self.t1)
        if not t0 < t1:
            raise ValueError(f"a time grid runs forward: t0 must be below t1, got t0={t0:g}, t1={t1:g}")
        whole = isinstance(self.steps, int) and not isinstance(self.steps, bool)
        if not whole or not 1 <= self.steps <= MAX_STEPS:
            raise ValueError(f"steps must be a whole number from 1 to {MAX_STEPS}, got {self.steps!r}")
        even = (t1 - t0) / self.steps
        dt = even if self.dt is None else _positive_step(self.dt)
        if not self.steps - 1 < (t1 - t0) / dt <= self.steps * (1 + 1e-9):
            raise ValueError(f"{self.steps} steps of dt={dt:g} do not end at t1={t1:g} from t0={t0:g}; leave "
                             f"dt out for equal steps of {even:g}")
        for name, value in (("t0", t0), ("t1", t1), ("dt", dt)):
            object.__setattr__(self, name, value)

    @classmethod
    def covering(cls, ts, dt) -> Grid:
        """The grid of step ``dt`` from ``ts[0]`` to ``ts[-1]``; the last step may be shorter.

        ts: strictly increasing times, (T,) tensor or a sequence of numbers, T >= 2. A last step that would be
        rounding error only (under 1e-6 of dt, or the resolution of ts's own dtype) is not taken: all steps
        stretch by it.
        """
        times, dt = save_times(ts), _positive_step(dt)
        ratio = (times[-1] - times[0]) / dt
        if ratio > MAX_STEPS:
            raise ValueError(f"dt={dt:g} from {times[0]:g} to {times[-1]:g} would take {ratio:.3g} steps; at "
                             f"most {MAX_STEPS} are taken, so give a larger dt")
        whole = max(1, round(ratio))
        if abs(ratio - whole) <= _tolerance(ts, times, dt) or ratio < 1:
            return cls(times[0], times[-1], whole)
        return cls(times[0], times[-1], math.ceil(ratio), dt)

    @property
    def even(self) -> bool:
        """All steps have the same length."""
        return abs(self.dt * self.steps - (self.t1 - self.t0)) <= 1e-9 * self.dt * self.steps

    def time(self, k: int) -> float:
        """The k-th time, 0 <= k <= steps."""
        if k == self.steps:
            return self.t1                  # exactly: t0 + (t1 - t0) may miss it by rounding
        return self.t0 + ((self.t1 - self.t0) * k / self.steps if self.even else k * self.dt)

    @property
    def times(self) -> list[float]:
        """All steps + 1 times."""
        return [self.time(k) for k in range(self.steps + 1)]

    @property
    def sizes(self) -> list[float]:
        """The length of every step: dt, but for a shorter last one."""
        last = self.dt if self.even else self.t1 - self.time(self.steps - 1)
        return [self.dt] * (self.steps - 1) + [last]

    def tensor(self, dtype: torch.dtype = torch.float32, device=None) -> Tensor:
        """All times as a tensor, (steps + 1,)."""
        return torch.tensor(self.times, dtype=dtype, device=device)

    def coarsen(self, factor: int) -> Grid:
        """The grid of every ``factor``-th time; the grid is even, ``factor`` divides its steps."""
        if isinstance(factor, bool) or not isinstance(factor, int) or factor < 1 or self.steps % factor:
            divisors = [d for d in range(2, min(self.steps, 64) + 1) if self.steps % d == 0]
            raise ValueError(f"a grid of {self.steps} steps is coarsened by a whole number that divides it, "
                             f"got {factor!r}; possible: {', '.join(map(str, divisors)) or '1 only'}")
        if factor > 1 and not self.even:
            raise ValueError(f"the last step of this grid is shorter than dt={self.dt:g}; only a grid of "
                             "equal steps is coarsened")
        return self if factor == 1 else Grid(self.t0, self.t1, self.steps // factor)

    def locate(self, ts) -> list[tuple[int, float]]:
        """Where the times ``ts`` lie: (k, w) with t = (1 - w) time(k-1) + w time(k), 0 < w <= 1, or (0, 1).

        w = 1 on a grid point. Raises ValueError for a time outside the grid.
        """
        times, places = save_times(ts, at_least=1), []
        near = _tolerance(ts, times, self.dt)
        for t in times:
            k = (t - self.t0) / self.dt
            if not -near <= k or t > self.t1 + near * self.dt:
                raise ValueError(f"time {t:g} lies outside the grid from {self.t0:g} to {self.t1:g}")
            nearest = self.steps if abs(t - self.t1) <= near * self.dt else round(k)
            if abs(t - self.time(nearest)) <= near * self.dt:
                places.append((nearest, 1.0))
                continue
            k = min(math.ceil(k), self.steps)
            left = self.time(k - 1)
            places.append((k, (t - left) / (self.time(k) - left)))
        return places


def save_times(ts, *, at_least: int = 2) -> list[float]:
    """Check and read times at which a solution is wanted: finite, strictly increasing, at least two."""
    if isinstance(ts, Tensor):
        if ts.dim() != 1 or ts.is_complex():
            raise ValueError(f"ts must be a 1-d tensor or a sequence of numbers, got shape {tuple(ts.shape)}")
        if ts.requires_grad:
            raise ValueError("ts must not require a gradient: these solvers do not differentiate in time; "
                             "detach it")
        times = ts.tolist()
    elif hasattr(ts, "tolist"):
        times = ts.tolist()                           # a numpy array
    else:
        times = list(ts) if isinstance(ts, Sequence) and not isinstance(ts, str) else None
    if not isinstance(times, list):
        raise ValueError(f"ts must be a 1-d tensor or a sequence of numbers, got {ts!r}")
    times = [_number("every entry of ts", t) for t in times]
    if len(times) < at_least:
        raise ValueError(f"ts needs at least {at_least} times (start and end), got {times}")
    for i in range(1, len(times)):
        if not times[i - 1] < times[i]:
            raise ValueError(f"ts must increase strictly, but ts[{i}]={times[i]:g} follows ts[{i - 1}]="
                             f"{times[i - 1]:g}; sort it and drop repeated times")
    return times


def _positive_step(dt) -> float:
    dt = _number("dt", dt)
    if dt <= 0:
        raise ValueError(f"dt must be a positive step length, got {dt:g}; time runs forward, also for "
                         "reverse-time SDEs (substitute s = T - t)")
    return dt


def _tolerance(ts, times: list[float], dt: float) -> float:
    """How far, in steps, a time may miss a grid point by rounding: float32 knows 100 to 4e-6."""
    dtype = ts.dtype if isinstance(ts, Tensor) and ts.dtype.is_floating_point else torch.float64
    resolution = 2 * torch.finfo(dtype).eps * max(abs(times[0]), abs(times[-1])) / dt
    return min(0.25, max(_NEAR, resolution))
