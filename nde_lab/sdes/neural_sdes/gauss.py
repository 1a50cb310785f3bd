"""What is known exactly about a noisy Ornstein-Uhlenbeck path: its evidence, its smoothing band, Girsanov's KL.

A chain z_{k+1} = alpha z_k + N(0, v) from z_0 ~ N(0, p0), seen as x_k = z_k + N(0, s^2) where w_k = 1, k = 1
.. n. Euler's chain of dz = -a z dt + sigma dW has alpha = 1 - a dt and v = sigma^2 dt; the process itself,
seen at steps dt, has alpha = e^{-a dt} and v = sigma^2 (1 - e^{-2 a dt}) / (2 a).

The message from the future, V_k(z) = log p(x_{k+1}, ..., x_n | z_k = z) = -P z^2 / 2 + q z + c, obeys, with
P' = P_{k+1} + w / s^2, q' = q_{k+1} + w x / s^2 and c' = c_{k+1} + w log N(x; 0, s^2),

    P = alpha^2 P' / (1 + v P'),   q = alpha q' / (1 + v P'),
    c = c' + v q'^2 / (2 (1 + v P')) - log(1 + v P') / 2 .

A latent SDE may bend the drift but not the noise: it may choose the mean m of each step, at the price
(m - alpha z)^2 / (2 v), but not its variance. Its best value obeys the same P and q, and a constant that loses
v P' instead of log(1 + v P'): so what Euler's steps cost is sum_k (v P'_k - log(1 + v P'_k)) / 2, of order dt.
Derived here (completing squares; a linear-quadratic control problem). The bound is the one of Li, Wong, Chen,
Duvenaud, arXiv 2001.01328, section 5.
"""
from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.autodiff import loop

LOG_2PI = math.log(2 * math.pi)


def log_normal(x: Tensor, mean: Tensor, s: Tensor) -> Tensor:
    """log N(x; mean, s^2), elementwise; s a 0-d tensor."""
    return -0.5 * ((x - mean) / s) ** 2 - torch.log(s) - 0.5 * LOG_2PI


class Future(NamedTuple):
    """Messages from the future, k = 0 .. n: P, q, c (n + 1,), and ``loss`` (n,): what each step's fixed
    variance costs."""
    P: Tensor
    q: Tensor
    c: Tensor
    loss: Tensor


def future(x: Tensor, w: Tensor, *, alpha, v, s) -> Future:
    """Messages of the data x (n,), seen where w (n,) is 1, backward from V_n = 0; alpha, v, s: 0-d tensors."""
    def back(carry, now):
        P, q, c = carry
        xi, wi = now
        P, q = P + wi / s**2, q + wi * xi / s**2
        c = c + wi * log_normal(xi, torch.zeros_like(xi), s)
        grow = 1 + v * P
        loss = 0.5 * (v * P - torch.log(grow))
        new = (alpha**2 * P / grow, alpha * q / grow, c + 0.5 * v * q**2 / grow - 0.5 * torch.log(grow))
        return new, (*new, loss)

    zero = torch.zeros_like(x[0])
    _, (P, q, c, loss) = loop(back, (zero, zero, zero), (x.flip(0), w.flip(0)))
    first = [torch.cat([m.flip(0), zero[None]]) for m in (P, q, c)]
    return Future(*first, loss.flip(0))


def evidence(told: Future, *, p0) -> Tensor:
    """log p(x_1, ..., x_n), 0-d, when z_0 ~ N(0, p0)."""
    grow = 1 + p0 * told.P[0]
    return told.c[0] - 0.5 * torch.log(grow) + 0.5 * p0 * told.q[0] ** 2 / grow


def best_bound(told: Future, *, p0) -> Tensor:
    """The largest ELBO that any drift reaches with these steps: the evidence less what the fixed variances
    cost."""
    return evidence(told, p0=p0) - told.loss.sum()


def smoothed(x: Tensor, w: Tensor, told: Future, *, alpha, v, s, p0) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of z_k given all data, k = 0 .. n: (n + 1,), (n + 1,)."""
    def forward(carry, now):
        mean, var = carry
        xi, wi = now
        mean, var = alpha * mean, alpha**2 * var + v
        gain = wi * var / (var + s**2)
        new = (mean + gain * (xi - mean), (1 - gain) * var)
        return new, new

    start = (torch.zeros_like(x[0]), p0 * torch.ones_like(x[0]))
    _, (means, variances) = loop(forward, start, (x, w))
    means, variances = torch.cat([start[0][None], means]), torch.cat([start[1][None], variances])
    precision = 1 / variances + told.P
    return (means / variances + told.q) / precision, 1 / precision.sqrt()


def ou_chain(*, a, sigma, dt: float, exact: bool) -> tuple:
    """alpha and v of one step of dz = -a z dt + sigma dW: Euler's, or the process's own."""
    if not exact:
        return 1 - a * dt, sigma**2 * dt
    return torch.exp(-a * dt), sigma**2 * (1 - torch.exp(-2 * a * dt)) / (2 * a)


def ou_path_kl(*, a: float, b: float, shift: float, sigma: float, mean0: float, var0: float, T: float) -> float:
    """KL between the path measures of dz = -(b z - shift) dt + sigma dW and dz = -a z dt + sigma dW on [0,
    T], b > 0.

    Girsanov: E_q int ((a - b) z + shift)^2 dt / (2 sigma^2). Under q the mean is m(t) = c + (mean0 - c)
    e^{-bt} with c = shift / b and the variance is V + (var0 - V) e^{-2bt} with V = sigma^2 / (2b), so the
    integral is elementary. Both start with the same N(mean0, var0).
    """
    c, V = shift / b, sigma**2 / (2 * b)
    e1, e2 = (1 - math.exp(-b * T)) / b, (1 - math.exp(-2 * b * T)) / (2 * b)
    k, d = a - b, mean0 - c
    square = (k * c + shift) ** 2 * T + 2 * (k * c + shift) * k * d * e1 + k**2 * d**2 * e2     # of the mean
    spread = k**2 * (V * T + (var0 - V) * e2)
    return (square + spread) / (2 * sigma**2)
