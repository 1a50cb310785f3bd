"""torchsde's two calls, argument for argument: ``sdeint`` and ``sdeint_adjoint``."""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.solvers.grid import save_times
from nde_lab.solvers.handover import theirs
from nde_lab.solvers.path_kl import widen, with_path_kl
from nde_lab.solvers.registry import default_method
from nde_lab.solvers.sde import as_sde, noise_channels, only_products
from nde_lab.solvers.solution import Solution, SolverError, check_state
from nde_lab.solvers.solve import _split, solve_sde


def sdeint(sde, y0: Tensor, ts, bm=None, method: str | None = None, dt: float = 1e-3, adaptive: bool = False,
           rtol: float = 1e-5, atol: float = 1e-4, dt_min: float = 1e-5, options=None, names=None,
           logqp: bool = False, extra: bool = False, extra_solver_state=None, *, seed: int | None = None,
           **others):
    """torchsde's ``sdeint``: the states at ts, a tensor (T, B, D).

    Arguments as in ``solve_sde``, in torchsde's order. With ``logqp`` a pair, the second the path KL of
    every interval, (T - 1, B): ``kl.sum(0).mean()`` is the KL. With ``extra``, last in the tuple, the
    scheme's extra state at the end. Raises SolverError, with the status sentence, where the solve fails;
    ValueError for input that does not fit.
    """
    _refuse_unknown("sdeint", others)
    return _parts(solve_sde(sde, y0, ts, bm, method=method, dt=dt, seed=seed, names=names, adaptive=adaptive,
                            rtol=rtol, atol=atol, dt_min=dt_min, options=options, logqp=logqp,
                            extra_solver_state=extra_solver_state), logqp, extra)


def sdeint_adjoint(sde, y0: Tensor, ts, bm=None, method: str | None = None, adjoint_method: str | None = None,
                   dt: float = 1e-3, adaptive: bool = False, adjoint_adaptive: bool = False,
                   rtol: float = 1e-5, adjoint_rtol: float = 1e-5, atol: float = 1e-4,
                   adjoint_atol: float = 1e-4, dt_min: float = 1e-5, options=None,
                   adjoint_options=None, adjoint_params=None, names=None, logqp: bool = False,
                   extra: bool = False, extra_solver_state=None, *, seed: int | None = None, **others):
    """torchsde's ``sdeint_adjoint``: what ``sdeint`` returns, with gradients in little memory.

    method="reversible_heun" at fixed steps (and adjoint_method None or "adjoint_reversible_heun") undoes
    its steps: exact gradients, also for times between grid points. Anything else is torchsde's: an adjoint
    SDE is solved backwards, with an error of its own. adjoint_params: tensors to differentiate for; by
    default the parameters of ``sde``, which is then an ``nn.Module``.
    """
    _refuse_unknown("sdeint_adjoint", others)
    if adjoint_params is None and not isinstance(sde, torch.nn.Module):
        raise ValueError("sdeint_adjoint must know the tensors to differentiate for, and "
                         f"{type(sde).__name__} is no nn.Module whose parameters() tell; give "
                         "adjoint_params=[...], or () for y0 alone")
    params = tuple(sde.parameters() if adjoint_params is None else adjoint_params)
    exact = (method == "reversible_heun" and adjoint_method in (None, "adjoint_reversible_heun")
             and not adaptive and not adjoint_adaptive and not only_products(sde, names))
    if exact:
        found = solve_sde(sde, y0, ts, bm, method=method, dt=dt, seed=seed, names=names, gradient="adjoint",
                          params=params, logqp=logqp, options=options, extra_solver_state=extra_solver_state)
        return _parts(found, logqp, extra)
    check_state(y0, "path")
    channels, spare, raw = None, 0, only_products(sde, names)
    if not raw:
        sde = as_sde(sde, names)
        start = torch.tensor(save_times(ts)[0], dtype=y0.dtype, device=y0.device)
        channels = noise_channels(sde, start, y0)
        if method is None:
            method = default_method(sde, start, y0, bm)
        if logqp:
            sde, y0, spare = with_path_kl(sde), widen(y0), int(sde.noise_type == "diagonal")
    more = {"names": names, "logqp": logqp} if raw else {}
    solution = theirs(sde, y0, ts, bm, None if raw else channels + spare, seed=seed, method=method,
                      adaptive=adaptive, dt=dt, call="sdeint_adjoint", adjoint_method=adjoint_method,
                      adjoint_adaptive=adjoint_adaptive, rtol=rtol, adjoint_rtol=adjoint_rtol,
                      atol=atol, adjoint_atol=adjoint_atol, dt_min=dt_min,
                      options=options, adjoint_options=adjoint_options, adjoint_params=params,
                      extra_solver_state=extra_solver_state, **more)
    return _parts(_split(solution) if logqp and not raw else solution, logqp and not raw, extra)


def _parts(solution: Solution, logqp: bool, extra: bool):
    if solution.status.kind == "diverged":
        raise SolverError(solution.status)
    parts = (solution.ys, *((solution.path_kl,) if logqp else ()), *((solution.extra,) if extra else ()))
    return parts if len(parts) > 1 else solution.ys


def _refuse_unknown(call: str, others: dict) -> None:
    for name in others:
        advice = ("; the adjoint's arguments are those of sdeint_adjoint" if name.startswith("adjoint") else
                  "; the arguments are torchsde's, and seed")
        raise ValueError(f"{call} does not know the argument {name!r}{advice}")
