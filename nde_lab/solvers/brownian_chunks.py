"""A Brownian path that is never held as a whole: any stretch of it is made from the seed when it is asked
for."""
from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from nde_lab.random import check_seed
from nde_lab.solvers.grid import Grid
from nde_lab.solvers.noise import OnGrid, combine, normals

_CHUNK_NUMBERS = 1 << 15


@dataclass(frozen=True, eq=False)
class ChunkedBrownian(OnGrid):
    """The path of ``seed`` on ``grid``, shape (B, m): the numbers of ``Brownian.draw`` (to the last bit but
    one: logarithms and cosines of short and long arrays round differently), in memory that does not grow
    with the steps.

    The generator counts instead of remembering, so the increments of step k need no others; forwards and
    backwards cost the same. chunk: steps made at a time (default: about 32,000 numbers); the last two
    chunks are kept. factor: this many of the grid's steps make one step of this path (see ``coarsen``).
    """
    fine: Grid
    shape: tuple[int, int]
    seed: int
    dtype: torch.dtype = torch.float32
    device: torch.device | None = None
    chunk: int | None = None
    factor: int = 1
    _kept: dict = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self):
        check_seed(self.seed)
        rows = self.shape[0] * self.shape[1]
        if self.chunk is not None and (isinstance(self.chunk, bool) or not isinstance(self.chunk, int)
                                       or self.chunk < 1):
            raise ValueError(f"chunk is a whole number of steps, at least 1, got {self.chunk!r}")
        chunk = max(1, _CHUNK_NUMBERS // (rows * self.factor)) if self.chunk is None else self.chunk
        object.__setattr__(self, "grid", self.fine.coarsen(self.factor))
        object.__setattr__(self, "shape", tuple(self.shape))
        object.__setattr__(self, "chunk", min(chunk, self.grid.steps))

    def coarsen(self, factor: int) -> ChunkedBrownian:
        """The same path seen at every ``factor``-th time; ``factor`` divides the number of steps."""
        self.grid.coarsen(factor)                      # refuses what does not divide
        return ChunkedBrownian(self.fine, self.shape, self.seed, self.dtype, self.device,
                               max(1, self.chunk // factor), self.factor * factor)

    def at(self, k: int, area: bool = False):
        """The increment of step k, (B, m), or with ``area`` the pair (increment, space-time area)."""
        made, i = self._chunk(k // self.chunk, area), k % self.chunk
        return (made[0][i], made[1][i]) if area else made[i]

    def stretch(self, start: int, stop: int, area: bool):
        dW = torch.stack([self.at(k) for k in range(start, stop)]) if stop > start else \
            torch.zeros(0, *self.shape, dtype=self.dtype, device=self.device)
        return (dW, torch.stack([self.at(k, True)[1] for k in range(start, stop)])) if area else dW

    def _chunk(self, c: int, area: bool):
        if (c, area) not in self._kept:
            while len(self._kept) > 1:
                self._kept.pop(next(iter(self._kept)))
            steps = min(self.chunk, self.grid.steps - c * self.chunk)
            self._kept[c, area] = self._make(c * self.chunk * self.factor, steps, area)
        return self._kept[c, area]

    def _make(self, first: int, steps: int, area: bool):
        n, rows = steps * self.factor, self.shape[0] * self.shape[1]
        roots = torch.full((n, 1, 1), math.sqrt(self.fine.dt), dtype=torch.float64)
        if first + n == self.fine.steps:
            roots[-1] = math.sqrt(self.fine.sizes[-1])
        roots = roots.to(self.dtype)

        def scaled(name: str, scale) -> Tensor:
            z = torch.from_numpy(normals(self.seed, name, first * rows, (first + n) * rows)).to(self.dtype)
            return (z.reshape(n, *self.shape) * scale).reshape(steps, self.factor, *self.shape).to(self.device)
        dW = scaled("dW", roots)
        if not area:
            return dW[:, 0] if self.factor == 1 else dW.sum(1)
        H = scaled("H", roots / math.sqrt(12))
        if self.factor == 1:
            return dW[:, 0], H[:, 0]
        return combine(dW, H, torch.ones((), dtype=self.dtype, device=self.device), 1)
