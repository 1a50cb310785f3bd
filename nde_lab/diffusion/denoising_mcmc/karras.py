"""The integrator after the chain: Heun steps in the noise level on Karras's grid, then one Tweedie step.

In the noise clock the flow is dx/dsigma = -sigma score(sigma, x). Karras and others (2022), Algorithm 1, with
rho = 7. Kim and Ye (2023) use it, started at each sample's own level.
"""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.autodiff import loop

RHO = 7.0


def karras_levels(start: Tensor, end: float, n) -> Tensor:
    """n levels from start (B, 1) to end, evenly spaced in sigma^(1/7), (n, B, 1). Raises ValueError
    for n < 2."""
    if isinstance(n, bool) or not isinstance(n, int) or n < 2:
        raise ValueError(f"Karras's grid has at least two levels, got {n!r}")
    i = torch.arange(n, dtype=start.dtype).reshape(-1, 1, 1)
    return karras_level(start, end, i / (n - 1))


def karras_level(start: Tensor, end: float, u: Tensor) -> Tensor:
    """(start^(1/rho) + u (end^(1/rho) - start^(1/rho)))^rho, for u from 0 to 1."""
    first = start ** (1 / RHO)
    return (first + u * (end ** (1 / RHO) - first)) ** RHO


def heun_step(score, x: Tensor, sigma: Tensor, after: Tensor) -> Tensor:
    """One Heun step from level sigma to ``after`` (0-d or (B, 1)): two evaluations. x: (B, D) -> (B, D)."""
    slope = -sigma * score(sigma, x)
    ahead = x + (after - sigma) * slope
    return x + 0.5 * (after - sigma) * (slope - after * score(after, ahead))


def tweedie(score, x: Tensor, sigma) -> Tensor:
    """x + sigma^2 score: the mean of the clean point given x. One evaluation."""
    return x + sigma * sigma * score(sigma, x)


def denoise(score, x: Tensor, sigma: Tensor, evaluations: int, *, end: float = 0.02) -> Tensor:
    """From each row's own level sigma (B, 1) to ``end`` in (evaluations - 1) / 2 Heun steps, then Tweedie.

    evaluations: odd and at least 1 (1: Tweedie at sigma alone, which is the Euler step to 0). Rows below
    ``end`` begin there. x: (B, D) -> (B, D). Raises ValueError for even numbers.
    """
    whole = isinstance(evaluations, int) and not isinstance(evaluations, bool)
    if not whole or evaluations < 1 or evaluations % 2 == 0:
        raise ValueError("Heun steps cost two evaluations and the last step one, so evaluations must be odd "
                         f"and >= 1, got {evaluations!r}")
    if evaluations == 1:
        return tweedie(score, x, sigma)
    grid = karras_levels(sigma.clamp(min=end), end, (evaluations + 1) // 2)

    def body(x, pair):
        return heun_step(score, x, *pair), None
    x, _ = loop(body, x, (grid[:-1], grid[1:]))
    return tweedie(score, x, torch.full_like(sigma, end))
