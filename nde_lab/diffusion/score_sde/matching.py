"""Denoising score matching: regress on the noise that was added (Song et al. 2021, Eq. 7)."""
from __future__ import annotations

from torch import Tensor

from nde_lab.diffusion.score_sde.processes import Process

WEIGHTS = ("noise", "likelihood", "plain")


def dsm_loss(score, process: Process, x0: Tensor, t: Tensor, z: Tensor, *, weight: str = "noise") -> Tensor:
    """Mean over rows of weight(t) |score(t, x_t) + z / s|^2 with x_t = m x0 + s z; 0-d, traceable.

    score(t, x) -> (B, D). x0: data (B, D). t: (B, 1), above 0. z: standard normal (B, D). weight: "noise" is
    s^2 (the paper's default: errors of the noise prediction, all levels alike); "likelihood" is g^2, which
    bounds the negative log-likelihood; "plain" is 1, dominated by t near 0.
    """
    if weight not in WEIGHTS:
        raise ValueError(f"weight must be one of {', '.join(WEIGHTS)}, got {weight!r}")
    s = process.std(t)
    error = (s * score(t, process.noised(t, x0, z)) + z).square().sum(-1, keepdim=True)   # s^2 times the square
    if weight == "likelihood":
        error = error * process.g2(t) / (s * s)
    elif weight == "plain":
        error = error / (s * s)
    return error.mean()


def early_times(u: Tensor, process: Process, *, end: float = 1e-3, power: float = 1.0) -> Tensor:
    """Training times end + (T - end) u^power of uniform u (B, 1); power above 1 prefers little noise."""
    return end + (process.horizon - end) * u**power
