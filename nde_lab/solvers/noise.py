"""Brownian increments, drawn at once from a seed, on an integer grid.

Increments of a path at step dt add up to the increments of the *same* path at step 4 dt: ``coarsen(4)``. That
is how two step sizes, two schemes, or an SDE with and without a term are compared on one path, and how strong
orders are measured.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.random import Normal, sample
from nde_lab.solvers.grid import Grid

MAX_NUMBERS = 200_000_000


@dataclass(frozen=True, eq=False)
class Brownian:
    """A Brownian path of shape (B, m) known on the points of a grid: ``increments`` (steps, B, m).

    Serves as ``bm`` here and in torchsde, which asks it between grid points: both see one path.
    """
    grid: Grid
    increments: Tensor
    levy_area_approximation = "none"          # torchsde asks every Brownian motion for this

    def __post_init__(self):
        if self.increments.dim() != 3 or self.increments.shape[0] != self.grid.steps:
            raise ValueError(f"increments on a grid of {self.grid.steps} steps have shape "
                             f"({self.grid.steps}, B, m), got {tuple(self.increments.shape)}")

    @classmethod
    def draw(cls, grid: Grid, shape: tuple[int, int], *, seed: int, dtype: torch.dtype = torch.float32,
             device=None) -> Brownian:
        """Draw the path of ``seed`` on ``grid``, shape (B, m). Same seed, grid and shape, same path."""
        n = grid.steps * shape[0] * shape[1]
        if n > MAX_NUMBERS:
            raise ValueError(f"{grid.steps} steps of {shape[0]} x {shape[1]} increments are {n:.3g} numbers, "
                             "too many to draw at once; use a larger dt, fewer rows, or give bm a "
                             "torchsde.BrownianInterval (with its dt set to the step)")
        z = sample({"dW": Normal((grid.steps, *shape))}, seed=seed, stream="brownian", dtype=dtype)["dW"]
        roots = torch.tensor(grid.sizes, dtype=torch.float64).sqrt().to(dtype)
        return cls(grid, (z * roots[:, None, None]).to(device))

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.increments.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return self.increments.dtype

    @property
    def device(self) -> torch.device:
        return self.increments.device

    def size(self) -> tuple[int, int]:
        return self.shape

    def coarsen(self, factor: int) -> Brownian:
        """The same path seen at every ``factor``-th time; ``factor`` divides the number of steps."""
        grid = self.grid.coarsen(factor)
        return Brownian(grid, self.increments.reshape(grid.steps, factor, *self.shape).sum(1))

    def path(self) -> Tensor:
        """W at all grid times, (steps + 1, B, m), starting from 0."""
        start = torch.zeros_like(self.increments[:1])
        return torch.cat([start, self.increments.cumsum(0)])

    def on(self, grid: Grid) -> Tensor:
        """The increments on ``grid``: this path's own, or one whose step is a multiple of this path's."""
        mine, factor = self.grid, self.grid.steps // grid.steps
        same_ends = max(abs(mine.t0 - grid.t0), abs(mine.t1 - grid.t1)) <= 1e-6 * mine.dt
        if same_ends and mine.steps == grid.steps and abs(mine.dt - grid.dt) <= 1e-6 * mine.dt:
            return self.increments
        if same_ends and mine.even and grid.even and factor * grid.steps == mine.steps:
            return self.coarsen(factor).increments
        raise ValueError(f"the Brownian path is known at {mine.steps} steps of {mine.dt:g} from {mine.t0:g} "
                         f"to {mine.t1:g}; {grid.steps} steps of {grid.dt:g} from {grid.t0:g} to {grid.t1:g} "
                         f"were asked for. Use dt={mine.dt:g} or a multiple that divides the interval, or "
                         "draw another path")

    def __call__(self, ta, tb=None) -> Tensor:
        """W(tb) - W(ta), (B, m), for two grid times; W(ta) - W(t0) without ``tb``."""
        ta, tb = (self.grid.t0, ta) if tb is None else (ta, tb)
        # A solver that adds up its steps misses grid points by rounding: forgive what float32 sums do.
        start, stop = (self._index(float(t)) for t in (ta, tb))
        return self.increments[start:stop].sum(0)

    def _index(self, t: float) -> int:
        k = (t - self.grid.t0) / self.grid.dt
        nearest = self.grid.steps if abs(t - self.grid.t1) < 1e-3 * self.grid.dt else round(k)
        if not 0 <= nearest <= self.grid.steps or abs(t - self.grid.time(nearest)) > 1e-2 * self.grid.dt:
            raise ValueError(f"the Brownian path is known at multiples of {self.grid.dt:g} from "
                             f"{self.grid.t0:g} to {self.grid.t1:g}, not at t={t:g}")
        return nearest
