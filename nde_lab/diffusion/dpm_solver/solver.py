"""DPM-Solver of orders 1, 2 and 3 (singlestep): the linear part exactly, the network by Taylor in lambda.

With kernel N(m x0, s^2), noise prediction eps(t, x) = -s score and lambda = log(m / s), the flow from t to a
time r < t is (Lu et al. 2022, Proposition 3.1)

    x_r = (m_r / m_t) x_t - m_r * integral of e^{-lambda} eps from lambda_t to lambda_r.
"""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.score_sde import Process, convert

ORDERS = (1, 2, 3)


def noise_of(score, process: Process):
    """The noise prediction eps(t, x) of a score(t, x)."""
    return lambda t, x: convert(score(t, x), x, t, process, source="score", target="noise")


def lambda_times(process: Process, steps: int, end: float = 1e-3) -> Tensor:
    """steps + 1 float64 times from the horizon to ``end``, uniform in lambda. Refuses what ``times`` does."""
    process.times(steps, end)
    ends = process.times(1, end)
    top, low = process.half_log_snr(ends)
    inner = process.time_at(torch.linspace(0, 1, steps + 1, dtype=torch.float64)[1:-1] * (low - top) + top)
    return torch.cat([ends[:1], inner, ends[1:]])


def remainder(h: Tensor) -> Tensor:
    """(e^h - 1) / h - 1, by its series where the difference would cancel."""
    small = h.abs() < 1e-3
    safe = torch.where(small, torch.ones_like(h), h)
    return torch.where(small, h / 2 * (1 + h / 3 * (1 + h / 4 * (1 + h / 5))), torch.expm1(safe) / safe - 1)


def dpm_step(noise, process: Process, x: Tensor, t: Tensor, after: Tensor, *, order: int) -> Tensor:
    """One step from time t to ``after`` < t (0-d tensors); ``order`` calls of noise(t, x). x: (B, D) -> (B, D).

    Order 1 is DDIM; order 2 with r = 1/2; order 3 with r = 1/3 and 2/3 (algorithms 1 and 2).
    """
    _check_order(order)
    lam = process.half_log_snr(t)
    h = process.half_log_snr(after) - lam
    first = noise(t, x)

    def ahead(to, step, correction=None):
        """From t to ``to``, a step in lambda, with the noise prediction held; minus s times a correction."""
        s = process.std(to)
        out = process.mean(to) / process.mean(t) * x - s * torch.expm1(step) * first
        return out if correction is None else out - s * correction

    if order == 1:
        return ahead(after, h)
    if order == 2:
        middle = process.time_at(lam + h / 2)
        slope = noise(middle, ahead(middle, h / 2)) - first
        return ahead(after, h, torch.expm1(h) * slope)                   # 1 / (2 r) = 1
    third, second = process.time_at(lam + h / 3), process.time_at(lam + 2 * h / 3)
    slope = noise(third, ahead(third, h / 3)) - first
    slope = noise(second, ahead(second, 2 * h / 3, 2 * remainder(2 * h / 3) * slope)) - first
    return ahead(after, h, 1.5 * remainder(h) * slope)


def dpm_solve(noise, process: Process, x: Tensor, times: Tensor, *, order: int) -> Tensor:
    """Steps of one order through decreasing times (n + 1,), for example ``lambda_times``: n order evaluations.

    noise(t, x) -> (B, D), see ``noise_of``; x: (B, D) at times[0]. Pure and traceable. -> (B, D).
    """
    _check_order(order)
    if times.dim() != 1 or len(times) < 2:
        raise ValueError(f"times must be a 1-d tensor of at least two, got shape {tuple(times.shape)}")
    times = times.to(x.dtype)

    def body(x, pair):
        return dpm_step(noise, process, x, *pair, order=order), None
    return loop(body, x, (times[:-1], times[1:]))[0]


def ddim_solve(noise, process: Process, x: Tensor, times: Tensor) -> Tensor:
    """DDIM without noise, as its authors write it: predict the data, noise it again to the next time.

    Song, Meng, Ermon (2020), Eq. 12 with sigma = 0. Arguments as in ``dpm_solve``; n evaluations.
    """
    times = times.to(x.dtype)

    def body(x, pair):
        t, after = pair
        eps = noise(t, x)
        data = (x - process.std(t) * eps) / process.mean(t)
        return process.mean(after) * data + process.std(after) * eps, None
    return loop(body, x, (times[:-1], times[1:]))[0]


def _check_order(order) -> None:
    if order not in ORDERS or isinstance(order, bool):
        raise ValueError(f"DPM-Solver has orders 1, 2 and 3, got {order!r}")
