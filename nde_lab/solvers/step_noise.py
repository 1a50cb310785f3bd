"""Whatever a caller gives as ``bm``, read as the noise of one step after the other."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nde_lab.solvers.brownian_chunks import ChunkedBrownian
from nde_lab.solvers.grid import Grid
from nde_lab.solvers.noise import Brownian, OnGrid
from nde_lab.solvers.path_kl import widen

# More numbers than these are made in chunks (the same numbers), so that memory does not grow with the steps.
HOLD_AT_ONCE = 1 << 22


def step_noise(bm, grid: Grid, y0: Tensor, channels: int, seed: int | None, *, area: bool = False,
               chunks: bool = False, spare: int = 0) -> Callable:
    """The noise of step k (from 0) as a function of k: the increment (B, m), or with ``area`` the pair of
    increment and space-time area.

    bm, seed: as in ``solve_sde``. channels: m. chunks: draw in chunks even where all fits. spare: this many
    of the channels are not used by the SDE: they are zero where the noise is drawn, and bm may leave them
    out.
    """
    shape, used = (y0.shape[0], channels), channels - spare
    if bm is not None and seed is not None:
        raise ValueError("give the noise once: either bm or seed, not both")
    if bm is None:
        seed, own = draw_seed(seed), (shape[0], used)
        if chunks or grid.steps * own[0] * own[1] > HOLD_AT_ONCE:
            bm = ChunkedBrownian(grid, own, seed, y0.dtype, y0.device)
        else:
            bm = Brownian.draw(grid, own, seed=seed, dtype=y0.dtype, device=y0.device)
    given = tuple(bm.shape[-2:]) if isinstance(bm, Tensor) or callable(bm) else None
    narrow = spare > 0 and given == (shape[0], used)
    check_bm(bm, (shape[0], used) if narrow else shape, y0, grid)
    if isinstance(bm, Tensor):
        bm = Brownian(grid, bm)
    if isinstance(bm, OnGrid):
        factor = bm.factor_to(grid)
        bm = bm if factor == 1 else bm.coarsen(factor)
    if area and getattr(bm, "levy_area_approximation", "none") == "none":
        raise ValueError("method 'srk' needs the space-time areas of the path beside its increments, and "
                         "this bm does not know them: draw it from a seed (Brownian.draw), make a "
                         "torchsde.BrownianInterval with levy_area_approximation='space-time', or name another "
                         "method, such as 'euler'")
    at = _reader(bm, grid, area)
    if not narrow:
        return at
    return (lambda k: tuple(map(widen, at(k)))) if area else (lambda k: widen(at(k)))


def draw_seed(seed: int | None) -> int:
    """The seed, or one from torch's global generator."""
    return int(torch.randint(2**53, (), dtype=torch.int64)) if seed is None else seed


def check_bm(bm, shape: tuple[int, int], y0: Tensor, grid: Grid | None = None) -> None:
    """Refuse what is no Brownian motion of this shape (and increments where there is no grid of steps)."""
    if isinstance(bm, Tensor):
        if grid is None:
            raise ValueError("increments belong to one grid of steps, and adaptive steps have none; give a "
                             "seed, or a torchsde.BrownianInterval as bm")
        if tuple(bm.shape) != (grid.steps, *shape):
            raise ValueError("bm given as increments must have shape (steps, B, m) = "
                             f"{(grid.steps, *shape)}, got {tuple(bm.shape)}")
    elif callable(bm):
        if tuple(bm.shape) != shape:
            raise ValueError(f"bm must have shape (B, m) = {shape} for this SDE, got {tuple(bm.shape)}")
    else:
        raise ValueError("bm must be None, increments (a tensor), a Brownian path or a torchsde Brownian "
                         f"object, got {type(bm).__name__}")
    if bm.dtype != y0.dtype:
        raise ValueError(f"bm holds {bm.dtype} and y0 {y0.dtype}; convert one of them")


def _reader(bm, grid: Grid, area: bool) -> Callable:
    if isinstance(bm, Brownian):
        if area:
            return list(zip(bm.increments.unbind(), bm.areas.unbind(), strict=True)).__getitem__
        return bm.increments.unbind().__getitem__
    if isinstance(bm, ChunkedBrownian):
        return lambda k: bm.at(k, area)
    if not area:
        return lambda k: bm(grid.time(k), grid.time(k + 1))
    return lambda k: _with_area(bm, grid.time(k), grid.time(k + 1))


def _with_area(bm, ta: float, tb: float) -> tuple[Tensor, Tensor]:
    """Increment and space-time area as torchsde's Brownian objects give them."""
    dW, integral = bm(ta, tb, return_U=True)
    return dW, integral / (tb - ta) - 0.5 * dW
