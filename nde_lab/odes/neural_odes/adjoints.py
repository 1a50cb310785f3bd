"""Three ways to the gradient of a loss at the end of an ODE, as pure functions of a list of step sizes.

    discretise_then_optimise   backpropagation through the solver's own steps: the exact gradient of what was
                               computed; keeps every step
    optimise_then_discretise   the continuous adjoint (y, a, g) solved backwards in time: keeps nothing, is
                               off by the truncation error
    reversible                 reversible Heun: each step is undone algebraically, so the same gradient as the
                               first with the memory of the second

All take the field f(params, y) of an autonomous ODE dy/dt = f, y (B, d), the loss of the last state (a 0-d
tensor), the step sizes hs (N,), and return gradients with the keys of ``params`` and "y0". A step of size 0
at the *front* changes nothing, so one program can serve every N up to a largest one (``steps``).

Source: Kidger, "On Neural Differential Equations", 2022, arXiv 2202.02435, chapter 5; Chen, Rubanova,
Bettencourt, Duvenaud, "Neural Ordinary Differential Equations", 2018, arXiv 1806.07366 (the adjoint);
Kidger, Foster, Li, Lyons, "Efficient and accurate gradients for neural SDEs", 2021, arXiv 2105.13493
(reversible Heun).
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nde_lab.autodiff import loop, value_and_grad
from nde_lab.solvers.runge_kutta import combine, rk_step
from nde_lab.solvers.tableaus import tableau

Tensors = dict[str, Tensor]
Field = Callable[[Tensors, Tensor], Tensor]
SCHEMES = ("euler", "midpoint", "heun", "rk4")      # those that the studies compare


def steps(n, horizon, turns: int, dtype=torch.float32) -> Tensor:
    """(turns,) step sizes: ``turns - n`` of 0, then n of horizon / n. n and horizon: numbers or 0-d tensors,
    n at most ``turns``."""
    at = torch.arange(turns).to(dtype)
    return torch.where(at >= turns - n, horizon / n, torch.zeros((), dtype=dtype))


def rk(f: Callable[[Tensors], Tensors], y: Tensors, h, method: str) -> Tensors:
    """One Runge-Kutta step of an autonomous ODE whose state is a dict of tensors of any shapes."""
    table = tableau(method)
    slopes: list[Tensors] = []
    for row in (*table.a, table.b):
        moves = {n: combine(row, [k[n] for k in slopes]) for n in y}
        at = {n: v if moves[n] is None else v + h * moves[n] for n, v in y.items()}
        if len(slopes) < table.stages:
            slopes.append(f(at))
    return at


def solve(f: Field, params: Tensors, y0: Tensor, hs: Tensor, method: str) -> Tensor:
    """The state after all steps; y0 (B, d) -> (B, d)."""
    table = tableau(method)
    return loop(lambda y, h: (rk_step(lambda t, y: f(params, y), 0.0, y, h, table).y, None), y0, hs)[0]


def pullback(f: Field, params: Tensors, y: Tensor, a: Tensor) -> tuple[Tensor, Tensor, Tensors]:
    """f(y), a^T df/dy and a^T df/dtheta (summed over the batch): the three things that an adjoint needs."""
    def inner(leaves):
        value = f({n: leaves[n] for n in params}, leaves["y0"])
        return (value * a).sum(), value

    (_, value), grads = value_and_grad(inner, {**params, "y0": y}, has_aux=True)
    return value, grads.pop("y0"), grads


def discretise_then_optimise(f: Field, params: Tensors, y0: Tensor, hs: Tensor, *, loss: Callable,
                             method: str) -> Tensors:
    """The gradient of loss(y_N) by reverse mode through the steps."""
    _, grads = value_and_grad(lambda p: loss(solve(f, p, p["y0"], hs, method)), {**params, "y0": y0})
    return grads


def optimise_then_discretise(f: Field, params: Tensors, y0: Tensor, hs: Tensor, *, loss: Callable,
                             method: str) -> tuple[Tensors, Tensor]:
    """The continuous adjoint, solved from T to 0 with the same scheme and steps.

    dy/dt = f, da/dt = -a^T df/dy, dg/dt = -a^T df/dtheta, a(T) = dL/dy(T), g(T) = 0, all backwards. Returns
    the gradients and the start that the backward solve arrives at, (B, d), which is not quite y0.
    """
    end = solve(f, params, y0, hs, method)
    _, a = value_and_grad(lambda p: loss(p["y"]), {"y": end})

    def slope(s):
        value, a_y, a_theta = pullback(f, params, s["y"], s["a"])
        return {"y": value, "a": -a_y, **{f"g.{n}": -g for n, g in a_theta.items()}}

    start = {"y": end, "a": a["y"], **{f"g.{n}": torch.zeros_like(p) for n, p in params.items()}}
    back, _ = loop(lambda s, h: (rk(slope, s, -h, method), None), start, hs.flip(0))
    return {**{n: back[f"g.{n}"] for n in params}, "y0": back["a"]}, back["y"]


def reversible_step(f: Callable[[Tensor], Tensor], y: Tensor, yh: Tensor, mu: Tensor, h):
    """One step of reversible Heun on (y, yh, mu = f(yh)): one evaluation; order 2."""
    yh = 2 * y - yh + h * mu
    new = f(yh)
    return y + h / 2 * (mu + new), yh, new


def reversible_inverse(f: Callable[[Tensor], Tensor], y: Tensor, yh: Tensor, mu: Tensor, h):
    """The step before: ``reversible_step`` with the sign of h turned, which is its exact inverse."""
    return reversible_step(f, y, yh, mu, -h)


def reversible_solve(f: Field, params: Tensors, y0: Tensor, hs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(y, yh, mu) after all steps, from yh = y0."""
    start = (y0, y0, f(params, y0))
    return loop(lambda s, h: (reversible_step(lambda y: f(params, y), *s, h), None), start, hs)[0]


def reversible(f: Field, params: Tensors, y0: Tensor, hs: Tensor, *, loss: Callable
               ) -> tuple[Tensors, Tensor]:
    """The gradient of loss(y_N) with y by reversible Heun, its steps undone one by one and never stored.

    Backward per step: mu' gets h/2 y'; the pullback of f at yh with mu' gives the parameters' share and adds
    to yh'; then y <- y' + 2 yh', mu <- h/2 y' + h yh', yh <- -yh' (primes: cotangents of the step's output).
    Returns the gradients and the reconstructed start, (B, d).
    """
    y, yh, mu = reversible_solve(f, params, y0, hs)
    _, a = value_and_grad(lambda p: loss(p["y"]), {"y": y})
    zero = torch.zeros_like(y)
    start = {"y": y, "yh": yh, "mu": mu, "a": a["y"], "ah": zero, "am": zero,
             **{f"g.{n}": torch.zeros_like(p) for n, p in params.items()}}

    def back(s, h):
        am = s["am"] + h / 2 * s["a"]
        _, a_y, a_theta = pullback(f, params, s["yh"], am)
        ah = s["ah"] + a_y
        # f at yh_n is needed for mu_n: the inverse step's only evaluation.
        y, yh, mu = reversible_inverse(lambda v: f(params, v), s["y"], s["yh"], s["mu"], h)
        return {"y": y, "yh": yh, "mu": mu, "a": s["a"] + 2 * ah, "ah": -ah, "am": h / 2 * s["a"] + h * ah,
                **{f"g.{n}": s[f"g.{n}"] + g for n, g in a_theta.items()}}, None

    s, _ = loop(back, start, hs.flip(0))
    _, a_y, a_theta = pullback(f, params, s["yh"], s["am"])
    return {**{n: s[f"g.{n}"] + g for n, g in a_theta.items()}, "y0": s["a"] + s["ah"] + a_y}, s["y"]


def reversible_by_backpropagation(f: Field, params: Tensors, y0: Tensor, hs: Tensor, *, loss: Callable
                                  ) -> Tensors:
    """The same gradient by reverse mode through all steps of reversible Heun: what ``reversible`` must
    equal."""
    _, grads = value_and_grad(lambda p: loss(reversible_solve(f, p, p["y0"], hs)[0]), {**params, "y0": y0})
    return grads


def difference(one: Tensors, other: Tensors, names=None) -> Tensor:
    """Relative Euclidean distance |one - other| / |other| over the given names (default: all but "y0")."""
    names = [n for n in other if n != "y0"] if names is None else list(names)
    gap = torch.stack([(one[n] - other[n]).square().sum() for n in names]).sum()
    size = torch.stack([other[n].square().sum() for n in names]).sum()
    return torch.sqrt(gap / size)
