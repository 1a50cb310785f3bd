"""Exact solutions: how one singular mode of the task is learned, for any number of weight matrices.

Andrew M. Saxe, James L. McClelland, Surya Ganguli, arXiv 1312.6120. Time t is in units of the paper's τ = 1/λ:
with learning rate λ, t = λ times the number of steps. s: singular value of the task's mode; u: what the network
makes of it, its strength; N: number of weight matrices (the paper's N_l - 1).
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

POINTS = 160         # places at which ``learning_curve`` knows the time exactly; between them it interpolates
SPAN = 12.0          # it follows a mode until 1 - u/s = exp(-SPAN)


def _check(**positive) -> None:
    for name, value in positive.items():
        if not (isinstance(value, (int, float)) and math.isfinite(value) and value > 0):
            raise ValueError(f"{name} is {value!r}; it takes a finite number > 0")


def _check_depth(N) -> None:
    if isinstance(N, bool) or not isinstance(N, (int, float)) or not N >= 1:
        raise ValueError(f"N is {N!r}; the number of weight matrices is a number >= 1 (math.inf is allowed)")


def _check_ends(s, u0, uf) -> None:
    _check(s=s, u0=u0, uf=uf)
    if not (u0 <= uf < s or s < uf <= u0):
        raise ValueError(f"a mode of strength s = {s:g} never goes from u0 = {u0:g} to uf = {uf:g}; "
                         "choose uf between u0 and s, but not s itself")


def rate(u, s, N):
    """du/dt = N u^(2 - 2/N) (s - u), for N matrices of equal strength u^(1/N)."""
    return N * u ** (2 - 2 / N) * (s - u)


def two_layers(t, s, u0):
    """Strength at time t for two balanced matrices: the sigmoid s e^(2st) / (e^(2st) - 1 + s/u0). Tensors."""
    return s / (1 + (s / u0 - 1) * torch.exp(-2 * s * t))


def time_two_layers(s: float, u0: float, uf: float) -> float:
    """Time from strength u0 to uf with two balanced matrices: ln[uf (s - u0) / (u0 (s - uf))] / 2s.

    ValueError unless uf lies between u0 and s (s excluded)."""
    _check_ends(s, u0, uf)
    return math.log(uf * (s - u0) / (u0 * (s - uf))) / (2 * s)


def learning_time(s: float, u0: float, uf: float, N: float, *, points: int = 2001) -> float:
    """N t: matrices times the time from u0 to uf, the integral of du / (u^(2 - 2/N) (s - u)).

    Multiplied by N because the stable learning rate is of order 1/N, so that this counts well-tuned steps. N
    may be ``math.inf``. Simpson's rule in log u with an odd number of ``points``. ValueError as
    ``time_two_layers``."""
    _check_ends(s, u0, uf)
    _check_depth(N)
    # u = s / (1 + sign e^(-x)) makes du = u (s - u) / s dx, so the factor s - u, which vanishes, drops out.
    x = torch.linspace(_clock(u0, s), _clock(uf, s), points, dtype=torch.float64)
    u = s / (1 + math.copysign(1, s - u0) * torch.exp(-x))
    f = u ** (2 / N - 1) / s
    weights = torch.ones(points, dtype=torch.float64)
    weights[1:-1:2], weights[2:-1:2] = 4, 2
    return float((weights * f).sum() * (x[1] - x[0]) / 3)


def _clock(u: float, s: float) -> float:
    return -math.log(abs(s / u - 1))


def infinite_depth_time(s: float, u0: float, uf: float) -> float:
    """The limit of ``learning_time`` for N to infinity: ln[uf (u0 - s)/(u0 (uf - s))]/s^2 + 1/(s u0) - 1/(s
    uf)."""
    _check_ends(s, u0, uf)
    return math.log(uf * (u0 - s) / (u0 * (uf - s))) / s**2 + 1 / (s * u0) - 1 / (s * uf)


def learning_curve(t: Tensor, s: Tensor, u0, N) -> Tensor:
    """Strength of balanced modes at times t, for any N >= 1: (T,), (modes,) -> (modes, T).

    Exact up to interpolation (1e-3 s). With u = s / (1 + sign e^(-x)) the rate equation gives
    dt/dx = u^(2/N - 1) / (N s): time is an integral over x, which is then read backwards. Runs in a page too.
    """
    s = s[:, None]
    sign = torch.where(s >= u0, 1.0, -1.0).to(s.dtype)
    first = -torch.log((s / u0 - 1).abs().clamp(min=1e-5))
    grid = torch.arange(2 * POINTS + 1, dtype=s.dtype) / (2 * POINTS)
    x = first + ((-first).clamp(min=0) + SPAN) * grid**2             # denser at the start
    strength = lambda x: s / (1 + sign * torch.exp(-x))              # noqa: E731
    # Simpson's rule in the grid's own variable, two intervals at a time.
    speed = 2 * grid * ((-first).clamp(min=0) + SPAN) * strength(x) ** (2 / N - 1) / (N * s)
    pieces = (speed[:, :-2:2] + 4 * speed[:, 1::2] + speed[:, 2::2]) / (6 * POINTS)
    known = torch.cat([torch.zeros_like(first), pieces.cumsum(1)], 1)
    x = x[:, ::2]
    place = ((known[:, None, :] <= t[None, :, None]).to(torch.int64).sum(2) - 1).clamp(0, POINTS - 1)
    (t0, x0), (t1, x1) = ((known.gather(1, k), x.gather(1, k)) for k in (place, place + 1))
    part = ((t[None, :] - t0) / (t1 - t0)).clamp(0, 1)
    return strength(x0 + part * (x1 - x0))


def unbalanced(t, s: float, a0: float, b0: float):
    """Strengths (a, b) of the two matrices at times t (a tensor) from a0, b0 > 0 with any ratio.

    a^2 - b^2 =: c is conserved. With a b = c z / (1 - z^2) the variable ln[(z - z-)/(z+ - z)], z± the roots of
    s - c z - s z^2, runs at the constant speed sqrt(c^2 + 4 s^2); for c = 0 the sigmoid is left.
    """
    _check(s=s, a0=a0, b0=b0)
    c = a0**2 - b0**2
    if abs(c) < 1e-9 * (a0**2 + b0**2):
        u = two_layers(t, s, a0 * b0)
        return u.sqrt(), u.sqrt()
    if c < 0:
        b, a = unbalanced(t, s, b0, a0)
        return a, b
    speed = math.sqrt(c * c + 4 * s * s)
    up, down = 2 * s / (c + speed), -(c + speed) / (2 * s)        # the roots, without cancellation
    z0 = b0 / a0                                              # a = sqrt(c) cosh, b = sqrt(c) sinh; z = tanh
    # (z - down)/(up - z) grows like e^(speed t); written with e^(-speed t), which cannot overflow.
    fade = torch.exp(-speed * t)
    z = (up * (z0 - down) + down * (up - z0) * fade) / ((z0 - down) + (up - z0) * fade)
    a = (c / (1 - z * z)).sqrt()
    return a, a * z


def largest_rate(s: float, N: int) -> float:
    """The learning rate at which the solution u = s of a balanced mode becomes unstable: 2 / (N s^(2 - 2/N)).

    Gradient descent on ½ (s - a_1 ... a_N)^2 has curvature N s^(2 - 2/N) there, with a_i = s^(1/N)."""
    _check(s=s)
    _check_depth(N)
    return 2 / (N * s ** (2 - 2 / N))
