"""``solve_sde`` and ``sdeint``: the checked solves, on a grid of fixed steps."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nde_lab.autodiff.eager import RECORDER
from nde_lab.solvers.grid import Grid, save_times
from nde_lab.solvers.brownian_chunks import ChunkedBrownian
from nde_lab.solvers.noise import Brownian, OnGrid
from nde_lab.solvers.registry import choose
from nde_lab.solvers.scheme import Scheme
from nde_lab.solvers.sde import SDE, as_sde, noise_channels
from nde_lab.solvers.solution import Moment, Solution, SolverError, Status, diverged

# Steps between two looks at finiteness; the states of such a block are kept to find the step that failed.
_LOOK_EVERY = 32
# More numbers than these are made in chunks (the same numbers), so that memory does not grow with the steps.
_HOLD_AT_ONCE = 1 << 22


def solve_sde(sde, y0: Tensor, ts, bm=None, *, method: str | None = None, dt: float = 1e-3,
              seed: int | None = None, names=None) -> Solution:
    """Solve dY = f dt + g dW from y0 at ts[0] and report how it went; numerical trouble is no error.

    sde: an object with drift ``f(t, y)`` and diffusion ``g(t, y)`` (or ``drift``, ``diffusion``),
    ``noise_type`` and ``sde_type``; t is a 0-d tensor, y is (B, D); see ``nde_lab.solvers.sde`` for the
    shapes of g. y0: (B, D), finite. ts: T >= 2 strictly increasing times. dt: length of a step. The grid runs
    from ts[0] to ts[-1], the last step is shortened if dt does not divide; a time of ts between two grid
    points gets the linear interpolation of its neighbours (as in torchsde). bm: the noise. None draws it from
    ``seed`` (without one, from torch's global generator: ``torch.manual_seed`` makes it repeat). Or a
    ``Brownian`` path, also a finer one of which dt is a multiple; or increments (steps, B, m) of variance dt;
    or a torchsde Brownian object, asked as ``bm(ta, tb)``. method: "euler", "milstein", "tamed_euler" (Ito),
    "milstein", "heun" (Stratonovich); by default "euler" or "heun". Gradients flow to y0, increments and
    parameters. Raises ValueError for input that does not fit.
    """
    if getattr(RECORDER, "loop", None) is not None:
        raise ValueError("sdeint and solve_sde look at values, so they cannot stand in a traced function; "
                         "there call nde_lab.solvers.integrate(sde, y0, grid, increments)")
    sde = as_sde(sde, names)
    scheme = choose(sde, method)
    _check_state(y0)
    grid = Grid.covering(ts, dt)
    places = grid.locate(ts)
    clock = grid.tensor(y0.dtype, y0.device).unbind()
    channels = noise_channels(sde, clock[0], y0)
    scheme.check(sde, clock[0], y0)
    increment = _increments(bm, grid, y0, channels, seed, scheme.needs_area)

    saved, status, ok, taken = _march(sde, scheme, y0, grid, clock, places, increment)
    times = torch.tensor(save_times(ts), dtype=ts.dtype if _float(ts) else y0.dtype, device=y0.device)
    stats = {"method": scheme.name, "steps": taken, "dt": grid.dt,
             "drift_evaluations": scheme.cost(sde)[0] * taken + scheme.starts_with[0],
             "diffusion_evaluations": scheme.cost(sde)[1] * taken + scheme.starts_with[1]}
    return Solution(times[:len(saved)], torch.stack(saved), ok, status, stats)


def _march(sde: SDE, scheme: Scheme, y0: Tensor, grid: Grid, clock, places,
           increment: Callable[[int], Tensor]):
    """Step through the grid; -> (saved states, status, ok per row, steps taken). Stops at the first block of
    steps in which a row fails, and drops what was saved from the failing step on."""
    sizes, n = grid.sizes, grid.steps
    saved, upto = [y0], [0]                  # the states, and the step that each needs
    block = [y0]                             # the states since the last look, the first of them finite
    carry = scheme.start(sde, clock[0], y0)
    ahead = 1                                # the next entry of places
    y = y0
    for k in range(1, n + 1):
        carry = scheme.step(sde, clock[k - 1], carry, sizes[k - 1], increment(k - 1))
        y_before, y = y, scheme.read(carry)
        block.append(y)
        while ahead < len(places) and places[ahead][0] == k:
            w = places[ahead][1]
            saved.append(y if w == 1.0 else y_before + w * (y - y_before))
            upto.append(k)
            ahead += 1
        if k % _LOOK_EVERY == 0 or k == n:
            if not bool(torch.isfinite(y.detach()).all()):
                states = [state.detach() for state in block]
                first = next(i for i, state in enumerate(states) if not bool(torch.isfinite(state).all()))
                step = k - (len(states) - 1) + first
                trail = [Moment(grid.time(step - i), sizes[step - i], states[first - i],
                                _increment_only(increment(step - i)))
                         for i in range(1, min(first, 4) + 1)]
                status = diverged(sde, scheme, trail, states[first], step=step, steps=n)
                kept = [state for state, needs in zip(saved, upto, strict=True) if needs < step]
                return kept, status, torch.isfinite(states[first]).all(-1), k
            block = [y]
    ok = torch.ones(y0.shape[0], dtype=torch.bool, device=y0.device)
    sentence = f"Finished: {n} steps of {scheme.name} from t = {grid.t0:g} to {grid.t1:g}."
    return saved, Status("finished", sentence, n, grid.t1), ok, n


def _increment_only(noise) -> Tensor:
    return (noise if isinstance(noise, Tensor) else noise[0]).detach()


def _check_state(y0) -> None:
    if not isinstance(y0, Tensor) or y0.dim() != 2 or 0 in y0.shape:
        got = f"shape {tuple(y0.shape)}" if isinstance(y0, Tensor) else type(y0).__name__
        raise ValueError(f"y0 must be a tensor of shape (B, D), one row per path, got {got}")
    if not y0.dtype.is_floating_point:
        raise ValueError(f"y0 must hold floating point numbers, got {y0.dtype}; write y0.float() or "
                         "y0.double()")
    bad = ~torch.isfinite(y0.detach()).all(-1)
    if bool(bad.any()):
        raise ValueError(f"y0 is not finite in row {int(bad.nonzero()[0, 0])}; a solve starts from finite "
                         "states")


def _increments(bm, grid: Grid, y0: Tensor, channels: int, seed: int | None, area: bool) -> Callable:
    """The noise of step k (from 0) as a function of k: the increment (B, m), or with area the pair of both."""
    shape = (y0.shape[0], channels)
    if bm is not None and seed is not None:
        raise ValueError("give the noise once: either bm or seed, not both")
    if bm is None:
        seed = int(torch.randint(2**53, (), dtype=torch.int64)) if seed is None else seed
        many = grid.steps * shape[0] * shape[1] > _HOLD_AT_ONCE
        bm = (ChunkedBrownian(grid, shape, seed, y0.dtype, y0.device) if many else
              Brownian.draw(grid, shape, seed=seed, dtype=y0.dtype, device=y0.device))
    if isinstance(bm, Tensor):
        if tuple(bm.shape) != (grid.steps, *shape):
            raise ValueError("bm given as increments must have shape (steps, B, m) = "
                             f"{(grid.steps, *shape)}, got {tuple(bm.shape)}")
        bm = Brownian(grid, bm)
    elif callable(bm):
        if tuple(bm.shape) != shape:
            raise ValueError(f"bm must have shape (B, m) = {shape} for this SDE, got {tuple(bm.shape)}")
    else:
        raise ValueError("bm must be None, increments (a tensor), a Brownian path or a torchsde Brownian "
                         f"object, got {type(bm).__name__}")
    if bm.dtype != y0.dtype:
        raise ValueError(f"bm holds {bm.dtype} and y0 {y0.dtype}; convert one of them")
    if isinstance(bm, OnGrid):
        factor = bm.factor_to(grid)
        bm = bm if factor == 1 else bm.coarsen(factor)
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
    if getattr(bm, "levy_area_approximation", "none") == "none":
        raise ValueError("method 'srk' needs the space-time area of the path; make bm with "
                         "levy_area_approximation='space-time'")
    dW, integral = bm(ta, tb, return_U=True)
    return dW, integral / (tb - ta) - 0.5 * dW


def _float(ts) -> bool:
    return isinstance(ts, Tensor) and ts.dtype.is_floating_point


def sdeint(sde, y0: Tensor, ts, bm=None, method: str | None = None, dt: float = 1e-3, adaptive: bool = False,
           rtol: float = 1e-5, atol: float = 1e-4, dt_min: float = 1e-5, options=None, names=None,
           logqp: bool = False, extra: bool = False, extra_solver_state=None, *, seed: int | None = None,
           **others) -> Tensor:
    """torchsde's ``sdeint``: the states at ts, a tensor (T, B, D).

    Arguments as in ``solve_sde``, in torchsde's order. Raises SolverError, with the status sentence, where
    the solve fails; ValueError for input that does not fit. Adaptive steps, ``logqp``, ``extra`` and the
    adjoint are refused by name: call torchsde for them (rtol, atol and dt_min speak of adaptive steps only
    and are not read). Without a method the schemes are "euler" (Ito) and "heun" (Stratonovich), where
    torchsde takes "srk" and "midpoint".
    """
    asked = {"adaptive": adaptive, "logqp": logqp, "extra": extra, "options": options,
             "extra_solver_state": extra_solver_state is not None}
    for name in (name for name, value in asked.items() if value):
        raise ValueError(f"{name} is not done here: steps are fixed and only the states are returned. Call "
                         f"torchsde.sdeint(..., {name}=...) for it")
    for name in others:
        advice = ("; gradients here are plain backpropagation, call torchsde.sdeint_adjoint for the adjoint"
                  if name.startswith("adjoint") else "; the arguments are torchsde's, and seed")
        raise ValueError(f"sdeint does not know the argument {name!r}{advice}")
    solution = solve_sde(sde, y0, ts, bm, method=method, dt=dt, seed=seed, names=names)
    if solution.status.kind == "diverged":
        raise SolverError(solution.status)
    return solution.ys
