"""Implicit methods for stiff problems: ESDIRK tables and their steps, Newton's iteration row by row.

Every stage but the first solves g = base + h gamma f(t, g), so a fast decay limits no step. Both methods are
L-stable and stiffly accurate: their last stage is the new state.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nde_lab.solvers.runge_kutta import RKStep, combine
from nde_lab.solvers.tableaus import hermite

_ITERATIONS = 10
_GOOD = 1e-2           # Newton's remaining error, in units of the tolerance


@dataclass(frozen=True)
class Esdirk:
    """Coefficients as in ``Tableau``; row i of a holds i + 1 numbers, the last of them gamma (but the first).

    filtered: the error is divided by I - h gamma J, as its embedded method does not damp fast decays: Shampine
    and Baca, Comp. Math. Appl. 10 (1984).
    """
    name: str
    order: int
    gamma: float
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b_error: tuple[float, ...]
    error_order: int
    filtered: bool

    @property
    def b(self) -> tuple[float, ...]:
        return self.a[-1]


def _kvaerno3() -> Esdirk:
    """Kvaerno, BIT 44 (2004), the 4 stage 3(2) pair; gamma is a root of 6 x^3 - 18 x^2 + 9 x - 1."""
    g = 0.4358665215084589994160194
    third = ((-4 * g * g + 6 * g - 1) / (4 * g), (1 - 2 * g) / (4 * g), g)
    b = ((6 * g - 1) / (12 * g), -1 / ((24 * g - 12) * g), (-6 * g * g + 6 * g - 1) / (6 * g - 3), g)
    error = tuple(u - v for u, v in zip(b, (*third, 0.0), strict=True))
    return Esdirk("kvaerno3", 3, g, (0.0, 2 * g, 1.0, 1.0), ((0.0,), (g, g), third, b), error, 3, False)


def _esdirk4() -> Esdirk:
    """Kennedy and Carpenter, Appl. Numer. Math. 44 (2003): the implicit part of ARK4(3)6L[2]SA."""
    b = (82889 / 524892, 0.0, 15625 / 83664, 69875 / 102672, -2260 / 8211, 1 / 4)
    embedded = (4586570599 / 29645900160, 0.0, 178811875 / 945068544, 814220225 / 1159782912,
                -3700637 / 11593932, 61727 / 225920)
    a = ((0.0,), (1 / 4, 1 / 4), (8611 / 62500, -1743 / 31250, 1 / 4),
         (5012029 / 34652500, -654441 / 2922500, 174375 / 388108, 1 / 4),
         (15267082809 / 155376265600, -71443401 / 120774400, 730878875 / 902184768, 2285395 / 8070912,
          1 / 4), b)
    return Esdirk("esdirk4", 4, 0.25, (0.0, 1 / 2, 83 / 250, 31 / 50, 17 / 20, 1.0), a,
                  tuple(u - v for u, v in zip(b, embedded, strict=True)), 4, True)


ESDIRKS: dict[str, Esdirk] = {m.name: m for m in (_kvaerno3(), _esdirk4())}


class Implicit:
    """An ESDIRK method, stepping.

    Newton's iteration ends for each row when it is 100 times below the tolerance; a row for which it does not
    converge gets a state that is not a number, so its step is tried shorter.

    Jacobians come from reverse-mode differentiation, D vector products for the whole batch, once a step (with
    gradients, once a stage). A step is differentiable by the implicit function theorem.
    """
    adaptive, fsal = True, True
    stops = True                 # at the times asked for: a long step's error says nothing about its inside

    def __init__(self, scheme: Esdirk):
        self.scheme, self.name, self.order = scheme, scheme.name, scheme.order
        self.error_order = scheme.error_order
        self.c, self.dense = scheme.c, hermite(scheme.b)
        self.rtol, self.atol = 1e-6, 1e-8
        self._count: np.ndarray | None = None
        self._known: tuple[Tensor, Tensor] | None = None             # the state of the last Jacobian, and it

    def begin(self, rtol, atol) -> None:
        """The tolerances of the solve."""
        self.rtol, self.atol = rtol, atol

    def spent(self, active: np.ndarray) -> np.ndarray:
        """Evaluations that the last step cost each row; a Jacobian counts as one, even if it was known."""
        return active * self._count

    def step(self, f, times, y: Tensor, h, k1: Tensor | None) -> RKStep:
        s = self.scheme
        self._count = np.ones(len(y), np.int64)               # the Jacobian's
        if k1 is None:
            k1 = f(times[0], y)
            self._count += 1
        length = torch.full_like(y[:, :1], h) if isinstance(h, float) else h
        with torch.no_grad():
            lu = self._factor(self._jacobian(f, times[0], y), length)
        wanted = torch.is_grad_enabled() and (k1.requires_grad or y.requires_grad)
        ks, gs = [k1], [y]
        for t, row in zip(times[1:], s.a[1:], strict=True):
            base = y + length * combine(row[:-1], ks)
            guess = gs[-1] + length * (s.c[len(gs)] - s.c[len(gs) - 1]) * ks[-1]
            g = self._newton(f, t, base, guess, length, lu)
            if wanted:
                g = self._attach(f, t, g, base, length)
            still = length == 0
            slope = (g - base) / torch.where(still, torch.ones_like(length), length * s.gamma)
            gs.append(g)
            ks.append(torch.where(still, k1, slope))
        error = length * combine(s.b_error, ks)
        if s.filtered:
            error = torch.linalg.lu_solve(*lu, error.unsqueeze(-1)).squeeze(-1)
        return RKStep(gs[-1], error, ks, gs)

    def _newton(self, f, t, base: Tensor, g: Tensor, h: Tensor, lu) -> Tensor:
        with torch.no_grad():
            base, g = base.detach(), g.detach()
            scale = self.atol + self.rtol * torch.maximum(base.abs(), g.abs())
            todo = torch.ones_like(g[:, :1], dtype=torch.bool)
            lost, before = ~todo, None
            for _ in range(_ITERATIONS):
                self._count += todo.squeeze(-1).cpu().numpy()
                change = torch.linalg.lu_solve(*lu, (base + h * self.scheme.gamma * f(t, g) - g).unsqueeze(-1))
                change = change.squeeze(-1)
                g = torch.where(todo, g + change, g)
                size = (change / scale).square().mean(-1, keepdim=True).sqrt()
                # Without a rate yet, only a change far below the tolerance is the last one.
                rate = torch.full_like(size, 0.5) if before is None else size / before.clip(min=1e-300)
                left = size * (rate / (1 - rate)).clip(min=1e-3)
                todo = todo & ~((rate < 1) & (left <= _GOOD))
                before, broken = size, todo & ~torch.isfinite(size)
                lost, todo = lost | broken, todo & ~broken
                if not bool(todo.any()):
                    break
            return torch.where(todo | lost, torch.full_like(g, torch.nan), g)

    def _attach(self, f, t, g: Tensor, base: Tensor, h: Tensor) -> Tensor:
        """g with the gradient of the root: (I - h gamma J) dg = dbase + h gamma df."""
        at = g.detach().requires_grad_()
        slope = f(t, at)
        self._count += 2
        with torch.no_grad():
            lu = self._factor(jacobian(slope, at), h)
        r = base + h * self.scheme.gamma * f(t, g.detach())
        return g.detach() + torch.linalg.lu_solve(*lu, (r - r.detach()).unsqueeze(-1)).squeeze(-1)

    def _jacobian(self, f, t, y: Tensor) -> Tensor:
        if self._known is None or self._known[0] is not y:
            with torch.enable_grad():
                at = y.detach().requires_grad_()
                slope = f(t, at)
            self._known = (y, jacobian(slope, at))
        return self._known[1]

    def _factor(self, j: Tensor, h: Tensor):
        eye = torch.eye(j.shape[-1], dtype=j.dtype, device=j.device)
        lu, pivots, _ = torch.linalg.lu_factor_ex(eye - (h * self.scheme.gamma).unsqueeze(-1) * j)
        return lu, pivots


def jacobian(out: Tensor, at: Tensor) -> Tensor:
    """d out_i / d at_j of every row, (B, D, D); rows of out depend on the same row of at only."""
    if not out.requires_grad:
        return at.new_zeros(*at.shape, at.shape[1])
    with torch.enable_grad():
        rows = [torch.autograd.grad(out[:, i].sum(), at, retain_graph=True, allow_unused=True)[0]
                for i in range(out.shape[1])]
    return torch.stack([torch.zeros_like(at) if r is None else r for r in rows], 1)
