"""The loop of the checked solves: step by step over the grid, a look at finiteness every few steps."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.solvers.grid import Grid
from nde_lab.solvers.scheme import Scheme
from nde_lab.solvers.sde import SDE
from nde_lab.solvers.solution import Moment, Status, diverged

# Steps between two looks at finiteness; the states of such a block are kept to find the step that failed.
_LOOK_EVERY = 32


@dataclass(frozen=True, eq=False)
class Problem:
    """One solve: what is stepped, and over which grid. ``places`` are the times to save (``Grid.locate``),
    ``noise`` gives the noise of step k from 0."""
    sde: SDE
    scheme: Scheme
    grid: Grid
    places: list[tuple[int, float]]
    noise: Callable
    clock: Callable[[int], Tensor]


@dataclass(frozen=True, eq=False)
class Outcome:
    """The saved states, the last carry, and how it went."""
    saved: list[Tensor]
    carry: Tensor | tuple[Tensor, ...]
    status: Status
    ok: Tensor
    steps: int


def march(problem: Problem, y0: Tensor, carry) -> Outcome:
    """Step through the grid. Stops at the first block of steps in which a row fails, and drops what was
    saved from the failing step on."""
    sde, scheme, grid, places = problem.sde, problem.scheme, problem.grid, problem.places
    clock, noise, sizes, n = problem.clock, problem.noise, grid.sizes, grid.steps
    saved, upto = [y0], [0]                  # the states, and the step that each needs
    block = [y0]                             # the states since the last look, the first of them finite
    ahead = 1                                # the next entry of places
    y = y0
    for k in range(1, n + 1):
        carry = scheme.step(sde, clock(k - 1), carry, sizes[k - 1], noise(k - 1))
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
                                _increment(noise(step - i)))
                         for i in range(1, min(first, 4) + 1)]
                status = diverged(sde, scheme, trail, states[first], step=step, steps=n)
                kept = [state for state, needs in zip(saved, upto, strict=True) if needs < step]
                return Outcome(kept, carry, status, torch.isfinite(states[first]).all(-1), k)
            block = [y]
    ok = torch.ones(y0.shape[0], dtype=torch.bool, device=y0.device)
    sentence = f"Finished: {n} steps of {scheme.name} from t = {grid.t0:g} to {grid.t1:g}."
    return Outcome(saved, carry, Status("finished", sentence, n, grid.t1), ok, n)


def _increment(noise) -> Tensor:
    return (noise if isinstance(noise, Tensor) else noise[0]).detach()
