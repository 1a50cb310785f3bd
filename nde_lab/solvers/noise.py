"""Brownian increments, drawn at once from a seed, on an integer grid.

Increments of a path at step dt add up to the increments of the *same* path at step 4 dt: ``coarsen(4)``. That
is how two step sizes, two schemes, or an SDE with and without a term are compared on one path, and how strong
orders are measured. ``refine`` goes the other way: a Brownian bridge adds times between those that are known.

Some schemes want more of a path than its increments: the *space-time area* H of a step, the mean distance
of the path from its chord. It is normal with variance dt / 12 and independent of the increment; dt (dW / 2
+ H) is the integral of W(s) - W(t) over the step.
"""
from __future__ import annotations

import math
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from nde_lab.random import Normal, check_seed, philox, sample
from nde_lab.solvers.grid import Grid

MAX_NUMBERS = 200_000_000
STREAM = "brownian"


def normals(seed: int, name: str, start: int, stop: int) -> np.ndarray:
    """Entries start .. stop - 1 of the normal tensor ``name`` that ``seed`` declares, float64: any stretch of a
    path without what comes before it."""
    seed = check_seed(seed)
    first, last = start // 4, math.ceil(stop / 4)
    block = np.arange(first, last, dtype=np.uint64)
    counter = (block & np.uint64(0xFFFFFFFF), block >> np.uint64(32), zlib.crc32(name.encode()),
               zlib.crc32(STREAM.encode()))
    words = philox(counter, (seed & 0xFFFFFFFF, seed >> 32)).reshape(-1)
    return Normal((len(words),)).transform(words, torch.float64).numpy()[start - 4 * first:stop - 4 * first]


def combine(dW: Tensor, H: Tensor, sizes: Tensor, dim: int = 0) -> tuple[Tensor, Tensor]:
    """Increment and area of a stretch of steps from those of the steps, which lie along ``dim``.

    sizes: lengths of the steps, to be broadcast against dW.
    """
    before, total = dW.cumsum(dim) - dW, dW.sum(dim)
    integral = (sizes * (0.5 * dW + H + before)).sum(dim)
    return total, integral / sizes.expand_as(dW).sum(dim) - 0.5 * total


class OnGrid:
    """What every Brownian motion on a grid shares: it serves as ``bm`` here and in torchsde.

    Subclasses have grid, shape, dtype, device and ``stretch(start, stop, area)``, the increments of steps start
    .. stop - 1 as a tensor (stop - start, B, m), or the pair (increments, areas).
    """
    grid: Grid
    knows_areas = True

    @property
    def levy_area_approximation(self) -> str:
        """torchsde asks every Brownian motion for this."""
        return "space-time" if self.knows_areas else "none"

    def size(self) -> tuple[int, int]:
        return self.shape

    def factor_to(self, grid: Grid) -> int:
        """How many steps of this path make one step of ``grid``: 1, or more where both grids are even."""
        mine, factor = self.grid, self.grid.steps // grid.steps
        same_ends = max(abs(mine.t0 - grid.t0), abs(mine.t1 - grid.t1)) <= 1e-6 * mine.dt
        if same_ends and mine.steps == grid.steps and abs(mine.dt - grid.dt) <= 1e-6 * mine.dt:
            return 1
        if same_ends and mine.even and grid.even and factor * grid.steps == mine.steps:
            return factor
        raise ValueError(f"the Brownian path is known at {mine.steps} steps of {mine.dt:g} from {mine.t0:g} "
                         f"to {mine.t1:g}; {grid.steps} steps of {grid.dt:g} from {grid.t0:g} to {grid.t1:g} "
                         f"were asked for. Use dt={mine.dt:g} or a multiple that divides the interval, or "
                         "draw another path")

    def __call__(self, ta, tb=None, return_U: bool = False, return_A: bool = False):
        """W(tb) - W(ta), (B, m), for two grid times; W(ta) - W(t0) without ``tb``. return_U: also the
        integral of W(s) - W(ta) over the interval (torchsde's words)."""
        if return_A:
            raise ValueError("this Brownian path knows no Levy area; give bm a torchsde.BrownianInterval with "
                             "levy_area_approximation='foster'")
        ta, tb = (self.grid.t0, ta) if tb is None else (ta, tb)
        # A solver that adds up its steps misses grid points by rounding: forgive what float32 sums do.
        start, stop = (self._index(float(t)) for t in (ta, tb))
        if not return_U:
            return self.stretch(start, stop, False).sum(0)
        if start == stop:                         # a stray step of rounding errors: 0 / 0 otherwise
            return (self.stretch(start, stop, False).sum(0),) * 2
        sizes = torch.tensor(self.grid.sizes[start:stop], dtype=self.dtype, device=self.device)
        W, H = combine(*self.stretch(start, stop, True), sizes[:, None, None])
        return W, sizes.sum() * (0.5 * W + H)

    def _index(self, t: float) -> int:
        k = (t - self.grid.t0) / self.grid.dt
        nearest = self.grid.steps if abs(t - self.grid.t1) < 1e-3 * self.grid.dt else round(k)
        if not 0 <= nearest <= self.grid.steps or abs(t - self.grid.time(nearest)) > 1e-2 * self.grid.dt:
            raise ValueError(f"the Brownian path is known at multiples of {self.grid.dt:g} from "
                             f"{self.grid.t0:g} to {self.grid.t1:g}, not at t={t:g}")
        return nearest


@dataclass(frozen=True, eq=False)
class Brownian(OnGrid):
    """A Brownian path of shape (B, m) known on the points of a grid: ``increments`` (steps, B, m).

    A drawn path knows its space-time areas too (``areas``, made when first asked for); one made of increments
    knows those that it is given, ``given_areas`` (steps, B, m), or none.
    """
    grid: Grid
    increments: Tensor
    given_areas: Tensor | Callable[[], Tensor] | None = field(default=None, repr=False)

    def __post_init__(self):
        for part in (self.increments, self.given_areas):
            if isinstance(part, Tensor) and (part.dim() != 3 or part.shape[0] != self.grid.steps
                                             or part.shape != self.increments.shape):
                raise ValueError(f"increments and areas on a grid of {self.grid.steps} steps have shape "
                                 f"({self.grid.steps}, B, m), got {tuple(part.shape)}")

    @classmethod
    def draw(cls, grid: Grid, shape: tuple[int, int], *, seed: int, dtype: torch.dtype = torch.float32,
             device=None) -> Brownian:
        """Draw the path of ``seed`` on ``grid``, shape (B, m). Same seed, grid and shape, same path."""
        n = grid.steps * shape[0] * shape[1]
        if n > MAX_NUMBERS:
            raise ValueError(f"{grid.steps} steps of {shape[0]} x {shape[1]} increments are {n:.3g} numbers, "
                             "too many to hold at once; use a larger dt, fewer rows, or a ChunkedBrownian, "
                             "which makes the same path a stretch at a time")

        def z(name):
            return sample({name: Normal((grid.steps, *shape))}, seed=seed, stream=STREAM, dtype=dtype)[name]
        roots = torch.tensor(grid.sizes, dtype=torch.float64).sqrt().to(dtype)[:, None, None]
        return cls(grid, (z("dW") * roots).to(device), lambda: (z("H") * (roots / math.sqrt(12))).to(device))

    @property
    def shape(self) -> tuple[int, int]:
        return tuple(self.increments.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return self.increments.dtype

    @property
    def device(self) -> torch.device:
        return self.increments.device

    @property
    def knows_areas(self) -> bool:
        return self.given_areas is not None

    @property
    def areas(self) -> Tensor:
        """The space-time areas of the steps, (steps, B, m). Raises ValueError where they are not known."""
        if self.given_areas is None:
            raise ValueError("this Brownian path knows its increments only, not the space-time areas of its "
                             "steps; "
                             "draw it from a seed (Brownian.draw), or use a method other than 'srk'")
        if not isinstance(self.given_areas, Tensor):
            object.__setattr__(self, "given_areas", self.given_areas())
        return self.given_areas

    def stretch(self, start: int, stop: int, area: bool):
        dW = self.increments[start:stop]
        return (dW, self.areas[start:stop]) if area else dW

    def coarsen(self, factor: int) -> Brownian:
        """The same path seen at every ``factor``-th time; ``factor`` divides the number of steps."""
        grid = self.grid.coarsen(factor)
        fold = lambda x: x.reshape(grid.steps, factor, *self.shape)  # noqa: E731
        areas = None
        if self.knows_areas:
            one = torch.ones((), dtype=self.dtype, device=self.device)
            areas = lambda: combine(fold(self.increments), fold(self.areas), one, 1)[1]  # noqa: E731
        return Brownian(grid, fold(self.increments).sum(1), areas)

    def refine(self, *, seed: int) -> Brownian:
        """The same path at twice as many times: each middle is drawn from the bridge between its neighbours.

        Between two known times h apart the middle is normal around the mean of both ends, with variance h / 4.
        The grid is even. The result knows no areas. ``coarsen(2)`` gives this path back, to rounding.
        """
        if not self.grid.even:
            raise ValueError("only a path on an even grid is refined: the last step of this one is shorter")
        z = sample({"z": Normal(tuple(self.increments.shape))}, seed=seed, stream="bridge",
                   step=self.grid.steps, dtype=self.dtype)["z"].to(self.device)
        off = z * (0.5 * math.sqrt(self.grid.dt))
        halves = torch.stack([0.5 * self.increments + off, 0.5 * self.increments - off], 1)
        return Brownian(Grid(self.grid.t0, self.grid.t1, 2 * self.grid.steps), halves.flatten(0, 1))

    def path(self) -> Tensor:
        """W at all grid times, (steps + 1, B, m), starting from 0."""
        start = torch.zeros_like(self.increments[:1])
        return torch.cat([start, self.increments.cumsum(0)])

    def on(self, grid: Grid) -> Tensor:
        """The increments on ``grid``: this path's own, or one whose step is a multiple of this path's."""
        factor = self.factor_to(grid)
        return self.increments if factor == 1 else self.coarsen(factor).increments
