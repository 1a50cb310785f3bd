"""The gradient of a reversible-Heun solve in memory that does not grow with the steps, and exact to rounding.

Backpropagation stores what every step saw. Here nothing is stored: the backward pass undoes the steps one
by one, from the last carry (y, f, g, z), and hands the cotangents (a_y, a_f, a_g, a_z) back through each.
With ' for the end of a step, its transpose is

    a_f' += dt a_y' / 2,   a_g' += a_y' (x) dW / 2,   a_z' += (d(f, g)/dz at z')^T (a_f', a_g'),
    a_y = a_y' + 2 a_z',   a_f = dt (a_y' / 2 + a_z'),   a_g = (a_y' / 2 + a_z') (x) dW,   a_z = -a_z',

and the parameters collect (d(f, g)/d theta at z')^T (a_f', a_g'). The evaluation at z that undoing needs is
the one whose derivative the next step back needs, so each step costs one evaluation and one vector-Jacobian
product. Source: Kidger, Foster, Li, Lyons (2021), algorithm 2; the transpose is derived here.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from nde_lab.solvers.march import Outcome, Problem, march


def solve_reversibly(problem: Problem, y0: Tensor, extra: tuple[Tensor, ...], params: list[Tensor]) -> Outcome:
    """``march`` with reversible Heun, differentiable in y0, params and extra (the carry's drift, diffusion and
    shadow at the start; empty: made here). The saved states and the last carry come as one block each."""
    box: list[Outcome] = []
    ys, *carry = _Reversible.apply(problem, box, len(extra), y0, *extra, *params)
    found = box[0]
    return Outcome(list(ys.unbind()), (ys[-1], *carry), found.status, found.ok, found.steps)


class _Reversible(torch.autograd.Function):

    @staticmethod
    def forward(ctx, problem: Problem, box: list, extras: int, y0: Tensor, *rest: Tensor):
        extra, params = rest[:extras], rest[extras:]
        carry = (y0, *extra) if extra else problem.scheme.start(problem.sde, problem.clock(0), y0)
        found = march(problem, y0, carry)
        box.append(found)
        ctx.problem, ctx.extras = problem, extras
        ctx.save_for_backward(*found.carry, *params)
        out = (torch.stack(found.saved), *(part.clone() for part in found.carry[1:]))
        if found.status.kind == "diverged":
            ctx.mark_non_differentiable(*out)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, a_ys, a_f, a_g, a_z):
        problem, (y, f, g, z, *params) = ctx.problem, ctx.saved_tensors
        sde, grid, clock = problem.sde, problem.grid, problem.clock
        sizes, arriving = grid.sizes, _arrivals(problem.places, a_ys)
        sums: list[Tensor | None] = [None] * len(params)
        a_y, seen = torch.zeros_like(y), _evaluate(sde, clock(grid.steps), z)
        for k in range(grid.steps, 0, -1):
            if k in arriving:
                a_y = a_y + arriving.pop(k)
            dt, dW = sizes[k - 1], problem.noise(k - 1)
            a_f = a_f + (0.5 * dt) * a_y
            a_g = a_g + sde.noise_cotangent(a_y, 0.5 * dW)
            a_z = a_z + _pull(seen, a_f, a_g, params, sums)
            z = 2 * y - z - f * dt - sde.noise(g, dW)
            seen = _evaluate(sde, clock(k - 1), z)
            f_before, g_before = (part.detach() for part in seen[1:])
            y = y - (f + f_before) * (0.5 * dt) - sde.noise(g + g_before, 0.5 * dW)
            f, g, push = f_before, g_before, 0.5 * a_y + a_z
            a_y, a_f, a_g, a_z = a_y + 2 * a_z, dt * push, sde.noise_cotangent(push, dW), -a_z
        if 0 in arriving:
            a_y = a_y + arriving.pop(0)
        if ctx.extras:
            return None, None, None, a_y, a_f, a_g, a_z, *sums
        return None, None, None, a_y + a_z + _pull(seen, a_f, a_g, params, sums), *sums


def _arrivals(places, a_ys: Tensor) -> dict[int, Tensor]:
    """The cotangents of the saved states, by the grid point at which they enter: both ends where a time lies
    between two."""
    found: dict[int, Tensor] = {}
    for (k, w), a in zip(places, a_ys.unbind(), strict=True):
        for at, part in ((k, a),) if w == 1.0 else ((k, w * a), (k - 1, (1 - w) * a)):
            found[at] = found[at] + part if at in found else part
    return found


def _evaluate(sde, t: Tensor, z: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(z, f, g) with a graph from z and the parameters to f and g."""
    with torch.enable_grad():
        z = z.detach().requires_grad_()
        return (z, *sde.both(t, z))


def _pull(seen, a_f: Tensor, a_g: Tensor, params: list[Tensor], sums: list) -> Tensor:
    """The vector-Jacobian product with (a_f, a_g): returns that for z, adds those for the parameters to
    sums."""
    z, f, g = seen
    with torch.enable_grad():  # of a 0-d value: grad_outputs would import sympy at the first call
        value = (f * a_f).sum() + (g * a_g).sum()
        if not value.requires_grad:
            return torch.zeros_like(z)
        a_z, *found = torch.autograd.grad(value, [z, *params], allow_unused=True)
    for i, part in enumerate(found):
        if part is not None:
            sums[i] = part if sums[i] is None else sums[i] + part
    return torch.zeros_like(z) if a_z is None else a_z
