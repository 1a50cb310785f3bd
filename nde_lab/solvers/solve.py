"""``solve_sde``: the checked solve, on a grid of fixed steps, or by torchsde where that is called for."""
from __future__ import annotations

import dataclasses
from collections.abc import Iterable

import torch
from torch import Tensor

from nde_lab.autodiff.eager import RECORDER
from nde_lab.solvers.grid import Grid, save_times
from nde_lab.solvers.handover import theirs
from nde_lab.solvers.march import Outcome, Problem, march
from nde_lab.solvers.path_kl import split_path_kl, widen, with_path_kl
from nde_lab.solvers.registry import ELSEWHERE, choose, default_method
from nde_lab.solvers.sde import SDE, as_sde, noise_channels, only_products
from nde_lab.solvers.sde_adjoint import solve_reversibly
from nde_lab.solvers.solution import Solution, check_state
from nde_lab.solvers.step_noise import step_noise

GRADIENTS = ("through", "adjoint")
OPTIONS = ("grad_free",)


def solve_sde(sde, y0: Tensor, ts, bm=None, *, method: str | None = None, dt: float = 1e-3,
              seed: int | None = None, names=None, gradient: str = "through",
              params: Iterable[Tensor] | None = None, logqp: bool = False, extra_solver_state=None,
              options=None, adaptive: bool = False, rtol: float = 1e-5, atol: float = 1e-4,
              dt_min: float = 1e-5) -> Solution:
    """Solve dY = f dt + g dW from y0 at ts[0] and report how it went; numerical trouble is no error.

    sde: an object with drift ``f(t, y)`` and diffusion ``g(t, y)`` (or ``drift``, ``diffusion``),
    ``noise_type`` and ``sde_type``; t is a 0-d tensor, y is (B, D); see ``nde_lab.solvers.sde`` for the
    shapes of g. y0: (B, D), finite. ts: T >= 2 strictly increasing times. dt: length of a step. The grid runs
    from ts[0] to ts[-1], the last step is shortened if dt does not divide; a time of ts between two grid
    points gets the linear interpolation of its neighbours (as in torchsde).

    bm: the noise. None draws it from ``seed`` (without one, from torch's global generator:
    ``torch.manual_seed`` makes it repeat). Or a ``Brownian`` or ``ChunkedBrownian`` path, also a finer one
    of which dt is a multiple; or increments (steps, B, m) of variance dt; or a torchsde Brownian object,
    asked as ``bm(ta, tb)``.

    method: a name from ``SCHEMES`` that fits the SDE, or torchsde's "log_ode", "euler_heun". Without one,
    torchsde's choice: "srk" for Ito SDEs, but "euler" where noise is general or mixes coordinates, or bm
    knows no areas; "midpoint" for Stratonovich SDEs. options: ``{"grad_free": True}`` spares "milstein" the
    derivative. extra_solver_state: drift, diffusion and shadow from which "reversible_heun" goes on, the
    ``extra`` of an earlier solution.

    gradient: "through" backpropagates through the steps; "adjoint" undoes them instead ("reversible_heun" only:
    the same gradient to rounding, in memory that does not grow with the steps). params: the tensors that the
    adjoint finds gradients for, beside y0; by default the SDE's ``parameters()``.

    logqp: also accumulate the path KL to the prior drift ``h(t, y)`` (``solution.path_kl``). adaptive: let
    torchsde choose the steps (rtol, atol, dt_min; dt is the first). Raises ValueError for input that does
    not fit.
    """
    if getattr(RECORDER, "loop", None) is not None:
        raise ValueError("sdeint and solve_sde look at values, so they cannot stand in a traced function; "
                         "there call nde_lab.solvers.integrate(sde, y0, grid, increments)")
    if gradient not in GRADIENTS:
        raise ValueError(f"gradient must be one of {', '.join(GRADIENTS)}, got {gradient!r}")
    if unknown := set(options or {}) - set(OPTIONS):
        raise ValueError(f"options may hold {', '.join(OPTIONS)}, got {sorted(unknown)}")
    check_state(y0, "path")
    if only_products(sde, names):
        return theirs(sde, y0, ts, bm, None, seed=seed, method=method, adaptive=adaptive, dt=dt, names=names,
                      logqp=logqp, rtol=rtol, atol=atol, dt_min=dt_min, options=options)
    grid = Grid.covering(ts, dt)
    times = grid.tensor(y0.dtype, y0.device)
    whole, sde, spare = sde, as_sde(sde, names), 0
    channels = noise_channels(sde, times[0], y0)
    if method is None:
        method = "reversible_heun" if gradient == "adjoint" else default_method(sde, times[0], y0, bm)
    if logqp:
        sde, y0, spare = with_path_kl(sde), widen(y0), int(sde.noise_type == "diagonal")
    if adaptive or method in ELSEWHERE:
        if gradient == "adjoint":
            raise ValueError("gradient='adjoint' undoes fixed steps of 'reversible_heun'; for adaptive steps "
                             "and other methods call sdeint_adjoint, which solves an adjoint equation by "
                             "torchsde")
        if spare and bm is not None and getattr(bm, "shape", (0, 0))[-1] == channels:
            raise ValueError("with logqp, torchsde wants one channel more in bm (B, D + 1) for diagonal noise")
        solution = theirs(sde, y0, ts, bm, channels + spare, seed=seed, method=method, adaptive=adaptive, dt=dt,
                          rtol=rtol, atol=atol, dt_min=dt_min, options=options,
                          extra_solver_state=extra_solver_state)
        return _split(solution) if logqp else solution
    scheme = choose(sde, method, options)
    scheme.check(sde, times[0], y0)
    extra = _extra(scheme, sde, times[0], y0, extra_solver_state)
    adjoint = gradient == "adjoint"
    if adjoint:
        params = _params(whole, params, scheme, bm)
    noise = step_noise(bm, grid, y0, channels + spare, seed, area=scheme.needs_area, chunks=adjoint,
                       spare=spare)
    clock = times.unbind().__getitem__ if grid.steps <= 4096 else times.__getitem__
    problem = Problem(sde, scheme, grid, grid.locate(ts), noise, clock)
    if adjoint:
        found = solve_reversibly(problem, y0, extra, params)
    else:
        found = march(problem, y0, (y0, *extra) if extra else scheme.start(sde, times[0], y0))
    solution = _solution(problem, found, ts, y0)
    return _split(solution) if logqp else solution


def _solution(problem: Problem, found: Outcome, ts, y0: Tensor) -> Solution:
    sde, scheme, taken = problem.sde, problem.scheme, found.steps
    dtype = ts.dtype if isinstance(ts, Tensor) and ts.dtype.is_floating_point else y0.dtype
    times = torch.tensor(save_times(ts), dtype=dtype, device=y0.device)
    drift, diffusion = (each * taken + first
                        for each, first in zip(scheme.cost(sde), scheme.starts_with, strict=True))
    stats = {"method": scheme.name, "steps": taken, "dt": problem.grid.dt, "drift_evaluations": drift,
             "diffusion_evaluations": diffusion}
    extra = found.carry[1:] if isinstance(found.carry, tuple) and found.status.kind == "finished" else ()
    return Solution(times[:len(found.saved)], torch.stack(found.saved), found.ok, found.status, stats,
                    extra=extra)


def _split(solution: Solution) -> Solution:
    ys, kl = split_path_kl(solution.ys)
    return dataclasses.replace(solution, ys=ys, path_kl=kl)


def _extra(scheme, sde: SDE, t: Tensor, y0: Tensor, given) -> tuple[Tensor, ...]:
    if given is None or len(given) == 0:
        return ()
    with torch.no_grad():
        carry = scheme.start(sde, t, y0)
    want = [tuple(part.shape) for part in carry[1:]] if isinstance(carry, tuple) else []
    got = [tuple(part.shape) for part in given]
    if got != want:
        raise ValueError(f"extra_solver_state of method {scheme.name!r} holds tensors of shapes "
                         f"{want or '(none)'}, got {got}; give the extra state that an earlier solve returned")
    return tuple(given)


def _params(sde, params, scheme, bm) -> list[Tensor]:
    if scheme.name != "reversible_heun":
        raise ValueError("gradient='adjoint' undoes the steps, which only 'reversible_heun' (Stratonovich) "
                         f"allows, not {scheme.name!r}; or call sdeint_adjoint, which solves an adjoint "
                         "equation by torchsde")
    if isinstance(bm, Tensor) and bm.requires_grad:
        raise ValueError("gradient='adjoint' finds no gradient with respect to the increments; detach bm, or "
                         "use gradient='through'")
    if params is None:
        if not isinstance(sde, torch.nn.Module):
            raise ValueError("gradient='adjoint' must know the tensors to differentiate for, and "
                             f"{type(sde).__name__} is no nn.Module whose parameters() tell; give "
                             "params=[...], or params=() for y0 alone")
        params = sde.parameters()
    return [p for p in params if p.requires_grad]
