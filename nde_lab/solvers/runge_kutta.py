"""One step of an explicit Runge-Kutta method and what it says about itself: error and stiffness.

Pure and traceable: the step, its error ratio and its stiffness are differentiable numbers that a loss may use.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.solvers.tableaus import Tableau

# Keeps square roots differentiable at zero; nothing beside a ratio above 1e-14.
_TINY = 1e-30


class RKStep(NamedTuple):
    """y: state after the step (B, D). error: h sum_i (b_i - b^_i) k_i, or None without an embedded method.
    k: the stages f(t + c_i h, g_i). g: the stage states, g[0] the state before the step."""
    y: Tensor
    error: Tensor | None
    k: list[Tensor]
    g: list[Tensor]


def combine(weights, ks: list[Tensor]) -> Tensor:
    """sum_i weights_i k_i over the weights that are not zero (at least one is not)."""
    total = None
    for w, k in zip(weights, ks, strict=False):
        if w:
            total = k * w if total is None else torch.add(total, k, alpha=w)
    return total


def rk_step(f, t, y: Tensor, h, tableau: Tableau, k1: Tensor | None = None) -> RKStep:
    """One step of length h from state y (B, D) at time t.

    f(t, y) -> (B, D). t, h: 0-d tensors, numbers (h), or (B, 1) for a clock per row; h may be negative, or
    zero for a row that stands still. k1: f(t, y) where it is known, as after a step of an fsal method (its
    ``k[-1]``).
    """
    return stages(f, [t, *(t + c * h for c in tableau.c[1:])], y, h, tableau, k1)


def stages(f, times, y: Tensor, h, tableau: Tableau, k1: Tensor | None = None) -> RKStep:
    """``rk_step`` with the stage times t + c_i h given."""
    ks, gs = [f(times[0], y) if k1 is None else k1], [y]
    for t, row in zip(times[1:], tableau.a[1:], strict=True):
        g = _add(y, h, combine(row, ks))
        gs.append(g)
        ks.append(f(t, g))
    y1 = gs[-1] if tableau.fsal else _add(y, h, combine(tableau.b, ks))
    error = h * combine(tableau.b_error, ks) if tableau.adaptive else None
    return RKStep(y1, error, ks, gs)


def _add(y: Tensor, h, slope: Tensor) -> Tensor:
    return torch.add(y, slope, alpha=h) if isinstance(h, float) else y + h * slope


def error_ratio(error: Tensor, y0: Tensor, y1: Tensor, rtol, atol) -> Tensor:
    """q (B,) = root mean square over a row of error / (atol + rtol max(|y0|, |y1|)); a step is good if q <= 1.

    error, y0, y1: (B, D). rtol, atol: numbers, 0-d tensors, or anything that broadcasts to (B, D). Source:
    Hairer, Norsett, Wanner, "Solving ODEs I" (1993), equations (4.10) and (4.11) of section II.4.
    """
    r = error / (atol + rtol * torch.maximum(y0.abs(), y1.abs()))
    return ((r * r).mean(-1) + _TINY).sqrt()


def stiffness(step: RKStep) -> Tensor:
    """S (B,) = |k_s - k_(s-1)| / |g_s - g_(s-1)|, which estimates the dominant |lambda| of df/dy.

    Exact for y' = lambda y. Meant for methods whose last two stages stand at one time (dopri5, tsit5). Where
    the two states coincide (0/0) it is 0; where they differ by rounding only, it is the ratio of two rounding
    errors, so read it as "not stiff" if h S is small. Compare h S with ``tableau.stable``. Source: Pal et al.
    (2021), equation for S_n. Raises ValueError for a method of one stage.
    """
    if len(step.k) < 2:
        raise ValueError("stiffness compares the last two stages of a step and this method has one; use "
                         "dopri5 or tsit5")
    dk, dg = step.k[-1] - step.k[-2], step.g[-1] - step.g[-2]
    # Scaled by the larger difference, so that squares do not underflow in float32.
    size = dg.abs().amax(-1, keepdim=True).detach()
    apart = size > 0
    size = torch.where(apart, size, torch.ones_like(size))
    dk, dg = dk / size, dg / size
    ratio = ((dk * dk).sum(-1) + _TINY).sqrt() / ((dg * dg).sum(-1) + _TINY).sqrt()
    return torch.where(apart.squeeze(-1), ratio, torch.zeros_like(ratio))
