"""Choosing the step: a PID controller of the error ratio, and the first step.

Written with operations that numpy arrays and tensors share, so the solver (clocks on the host, float64) and the
traced loop use the same lines.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_FLOOR = 1e-10      # an error ratio below it counts as this: the longest step is taken anyway


@dataclass(frozen=True)
class PID:
    """h' = h clip(safety q_n^-b1 q_(n-1)^-b2 q_(n-2)^-b3, min_factor, max_factor), per row.

    q_n is this step's error ratio, q_(n-1), q_(n-2) those of the accepted steps before. With k the power of h
    in the error estimate: b1 = (P + I + D) / k, b2 = -(P + 2 D) / k, b3 = D / k. The default is the plain I
    controller of most codes; PID(0.4, 0.3) oscillates less where stability limits the step. A rejected step
    never grows. Source: Soderlind, ACM Trans. Math. Softw. 29 (2003); Hairer, Wanner, "Solving ODEs II"
    (1996), section IV.2. Raises ValueError for factors that do not fit.
    """
    proportional: float = 0.0
    integral: float = 1.0
    derivative: float = 0.0
    safety: float = 0.9
    min_factor: float = 0.2
    max_factor: float = 10.0

    def __post_init__(self):
        if not 0 < self.min_factor < 1 < self.max_factor:
            raise ValueError("a step controller needs min_factor < 1 < max_factor, both positive, got "
                             f"{self.min_factor!r} and {self.max_factor!r}")
        if not 0 < self.safety <= 1:
            raise ValueError(f"safety must lie in (0, 1], got {self.safety!r}; 0.9 is usual")
        if not self.proportional + self.integral + self.derivative > 0:
            raise ValueError("proportional + integral + derivative must be positive, so that a large error "
                             "shortens the step")

    def factor(self, q, q1, q2, order: int):
        """The factor for the next step, as numpy arrays or tensors (B,). q: inf where it is not a number."""
        p, i, d = (gain / order for gain in (self.proportional, self.integral, self.derivative))
        out = self.safety * q.clip(_FLOOR) ** -(p + i + d)
        if p or d:
            out = out * q1.clip(_FLOOR) ** (p + 2 * d)
        if d:
            out = out * q2.clip(_FLOOR) ** -d
        return out.clip(self.min_factor, self.max_factor)


def first_step(f, t0: Tensor, y0: Tensor, k1: Tensor, direction, order: int, rtol, atol, longest) -> Tensor:
    """A first step length h > 0, (B, 1), at the price of one evaluation; pure and traceable.

    Chosen so that an Euler step and the change of f over it are small against the tolerance. k1: f(t0, y0).
    direction: +1, -1, or (B, 1) of them. order: the power of h in the error. longest: an upper bound, number
    or (B, 1). Source: Hairer, Norsett, Wanner, "Solving ODEs I" (1993), section II.4, starting step size.
    """
    scale = atol + rtol * y0.abs()
    d0, d1 = rms(y0 / scale), rms(k1 / scale)
    small = (d0 < 1e-5) | (d1 < 1e-5)
    one = torch.ones_like(d0)
    h0 = torch.where(small, one * 1e-6, 0.01 * d0 / torch.where(small, one, d1))
    h0 = torch.minimum(h0, one * longest)
    f1 = f(t0 + direction * h0, y0 + direction * h0 * k1)
    d2 = rms((f1 - k1) / scale) / h0
    top = torch.maximum(d1, d2)
    flat = ~(top > 1e-15)                       # also where f1 is not a number
    h1 = torch.where(flat, torch.maximum(one * 1e-6, h0 * 1e-3),
                     (0.01 / torch.where(flat, one, top)) ** (1 / order))
    return torch.minimum(torch.minimum(100 * h0, h1), one * longest)


def rms(x: Tensor) -> Tensor:
    """Root mean square of every row, (B, 1)."""
    return (x * x).mean(-1, keepdim=True).sqrt()
