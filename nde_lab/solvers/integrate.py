"""The bare loop, for experiments: pure, fit for tracing, and blind to values."""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.solvers.grid import Grid
from nde_lab.solvers.path_kl import split_path_kl, widen, with_path_kl
from nde_lab.solvers.registry import choose
from nde_lab.solvers.sde import as_sde


def integrate(sde, y0: Tensor, grid: Grid | Tensor, increments, *, method: str | None = None,
              save="all", logqp: bool = False):
    """Solve on a grid with given noise; no check looks at a value, so it may stand in a traced ``step``.

    sde: an ``SDE``, or any object with drift, diffusion, noise_type and sde_type; its functions may close
    over parameter tensors and receive the time as a 0-d tensor. y0: (B, D). grid: a ``Grid`` of n steps, or
    its times as a tensor (n + 1,), such as an entry of an experiment's ``data`` or a live horizon times fixed
    fractions. increments: (n, B, m), Brownian increments of variance dt: declared standard normals times ``dt
    ** 0.5``. Method "srk" takes a pair of such tensors: the increments, and the space-time areas of variance
    dt / 12, drawn independently (another declared normal times ``(dt / 12) ** 0.5``). method: a name from
    ``SCHEMES``; "euler" (Ito) or "heun" (Stratonovich) without one. save: "all" -> (n + 1, B, D) with y0
    first; "last" -> (B, D); a sequence of k grid indices -> (k, B, D). Differentiable in y0, increments and
    whatever the SDE closes over. Raises ValueError for shapes that do not fit and for a method that does not;
    numerical trouble shows as rows for which ``finite_rows`` is False.
    """
    sde = as_sde(sde)
    scheme = choose(sde, method)
    if logqp:
        return _with_kl(sde, y0, grid, increments, method, save)
    if not isinstance(grid, Grid) and not (isinstance(grid, Tensor) and grid.dim() == 1 and len(grid) >= 2):
        raise ValueError("grid must be a Grid or a 1-d tensor of at least two times, got "
                         f"{tuple(grid.shape) if isinstance(grid, Tensor) else grid!r}")
    n = grid.steps if isinstance(grid, Grid) else grid.shape[0] - 1
    _check_noise(sde, scheme, y0, increments, n)
    indices = _indices(save, n)
    times = grid.tensor(y0.dtype, y0.device) if isinstance(grid, Grid) else grid
    sizes = None if isinstance(grid, Grid) and grid.even else times[1:] - times[:-1]

    def body(carry, x):
        t, dt, noise = x               # an even grid has one dt for all steps: a constant of the traced graph
        carry = scheme.step(sde, t, carry, grid.dt if dt is None else dt, noise)
        return carry, (None if save == "last" else scheme.read(carry))

    last, ys = loop(body, scheme.start(sde, times[0], y0), (times[:-1], sizes, increments))
    if indices is None:
        return scheme.read(last)
    if indices == "all":
        return torch.cat([y0.unsqueeze(0), ys])
    return torch.stack([y0 if k == 0 else ys[k - 1] for k in indices])


def _with_kl(sde, y0: Tensor, grid, increments, method, save):
    """The same solve with the KL as one more column; the areas and increments of diagonal noise get one too."""
    if sde.noise_type == "diagonal":
        increments = (widen(increments) if isinstance(increments, Tensor) else
                      tuple(widen(part) for part in increments))
    ys = integrate(with_path_kl(sde), widen(y0), grid, increments, method=method, save=save)
    return (ys[..., :-1], ys[..., -1]) if ys.dim() == y0.dim() else split_path_kl(ys)


def finite_rows(ys: Tensor) -> Tensor:
    """Which rows of states (B, D) or (T, B, D) are finite throughout: a bool (B,), an experiment's
    ``info["ok"]``.

    The last state is enough: every scheme adds to the state, so a row that is once not finite stays so.
    """
    y = ys[-1] if ys.dim() == 3 else ys
    return torch.isfinite(y).all(-1)


def _indices(save, n: int):
    if isinstance(save, str):
        if save not in ("all", "last"):
            raise ValueError(f"save must be 'all', 'last' or a sequence of grid indices, got {save!r}")
        return "all" if save == "all" else None
    indices = [k for k in save]
    for k in indices:
        if isinstance(k, bool) or not isinstance(k, int) or not 0 <= k <= n:
            raise ValueError(f"save holds grid indices from 0 to {n} (the number of steps), got {k!r}")
    if not indices:
        raise ValueError("save holds no grid index; use 'last' for the last state only")
    return indices


def _check_noise(sde, scheme, y0: Tensor, increments, n: int) -> None:
    if not scheme.needs_area:
        if not isinstance(increments, Tensor):
            raise ValueError(f"method {scheme.name!r} takes the increments as one tensor (n, B, m), got "
                             f"{type(increments).__name__}; only 'srk' takes a pair (increments, areas)")
        return _check_shapes(sde, y0, increments, n)
    if not (isinstance(increments, (tuple, list)) and len(increments) == 2
            and all(isinstance(part, Tensor) for part in increments)):
        raise ValueError(f"method {scheme.name!r} needs a pair (increments, areas), two tensors (n, B, m): the "
                         "Brownian increments of variance dt, and their space-time areas, independent of them "
                         "and of variance dt / 12 (a standard normal times (dt / 12) ** 0.5)")
    for part in increments:
        _check_shapes(sde, y0, part, n)


def _check_shapes(sde, y0: Tensor, increments: Tensor, n: int) -> None:
    fits = (increments.dim() == y0.dim() + 1 and increments.shape[:-1] == (n, *y0.shape[:-1])
            and (sde.noise_type != "diagonal" or increments.shape[-1] == y0.shape[-1])
            and (sde.noise_type != "scalar" or increments.shape[-1] == 1))
    if y0.dim() < 1 or not fits:
        m = {"diagonal": y0.shape[-1] if y0.dim() else "D", "scalar": 1}.get(sde.noise_type, "m")
        want = ", ".join(map(str, (n, *y0.shape[:-1], m)))
        raise ValueError(f"{n} steps of {sde.noise_type} noise from y0 of shape {tuple(y0.shape)} need "
                         f"increments of shape ({want}), got {tuple(increments.shape)}")
