"""One step at a random time: the local penalty and its two samplers.

The main solve is a black box. From its record of accepted steps (times t_n, lengths h_n, states) a time tau is
drawn, the state z(tau) is read as a constant, and *one* step of the embedded pair from there is differentiated:

    r = q h      loss + lambda r

    unbiased   tau uniform on (0, 1): E r is the time average of r
    biased     tau uniform over the solver's own step times: dense where steps are short; no interpolation

h is the length of the step that contains tau, "the step size that the controller picks there"; a fixed small h
would make q vanish like h^5. Source: Pal, Edelman, Rackauckas 2023.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.solvers import TABLEAUS, Turns, error_ratio, rk_step

SAMPLERS = ("unbiased", "biased")
PAIR = TABLEAUS["dopri5"]


class Moment(NamedTuple):
    """Where a local step begins: time t (rows, 1), length h (rows, 1), state z (rows, D), all constants."""
    t: Tensor
    h: Tensor
    z: Tensor


def record(turns: Turns) -> Turns:
    """A solve's record without its gradient."""
    return Turns(*(part.detach() for part in turns))


def repeat(turns: Turns, times: int) -> Turns:
    """The record with every row ``times`` times, copies of a row side by side, for several draws per solve."""
    return Turns(*(part.repeat_interleave(times, dim=1) for part in turns))


def _chosen(turns: Turns, mask: Tensor) -> Moment:
    """The step that ``mask`` (turns, rows) marks, one per row. A row without one gets zeros."""
    def pick(x):
        return torch.where(mask, x, torch.zeros_like(x)).sum(0)
    return Moment(pick(turns.t)[:, None], pick(turns.h)[:, None],
                  torch.where(mask[..., None], turns.y, torch.zeros_like(turns.y)).sum(0))


def biased(turns: Turns, u: Tensor) -> Moment:
    """A step drawn evenly from the accepted ones, u (rows,) uniform on [0, 1)."""
    hit = turns.accept.to(u.dtype)
    rank = hit.cumsum(0)                                           # 1, 2, ... at accepted turns
    return _chosen(turns, turns.accept & (rank == torch.floor(u * rank[-1]) + 1))


def unbiased(f, turns: Turns, u: Tensor) -> Moment:
    """A time tau = u drawn evenly from (0, 1), and the state there: one step of the pair from the step's start
    (the solver "saves at tau"), 6 evaluations and no gradient."""
    inside = turns.accept & (turns.t <= u) & (u < turns.t + turns.h)
    start = _chosen(turns, inside)
    tau = u[:, None]
    with torch.no_grad():
        z = rk_step(f, start.t, start.z, tau - start.t, PAIR).y
    return Moment(tau, start.h, z.detach())


def moment(sampler: str, f, turns: Turns, u: Tensor) -> Moment:
    """A sampled moment of every row by the sampler's name; ValueError for an unknown one."""
    if sampler not in SAMPLERS:
        raise ValueError(f"unknown sampler {sampler!r}; known: {', '.join(SAMPLERS)}")
    turns = record(turns)
    return biased(turns, u) if sampler == "biased" else unbiased(f, turns, u)


def local_penalty(f, at: Moment, *, rtol) -> Tensor:
    """r = q h of one step from there, (rows,), differentiable in what f closes over and in nothing else."""
    step = rk_step(f, at.t, at.z.detach(), at.h.detach(), PAIR)
    return error_ratio(step.error, at.z, step.y, rtol, rtol) * at.h[:, 0].abs()
