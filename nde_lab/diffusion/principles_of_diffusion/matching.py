"""Three regressions with one minimiser each: what is asked differs from what is wanted by a constant.

``kind`` is a prediction (score, noise, data, velocity). Its *conditional* target knows the pair (x0, z) that
made x_t = m x0 + s z; its *marginal* target is the mean of that over all pairs that could have made x_t. For
the score the two losses are denoising and explicit score matching, for the velocity conditional and marginal
flow matching. Their difference does not depend on the prediction (Lai et al. 2025, Sec. 4 and 5).
"""
from __future__ import annotations

from torch import Tensor

from nde_lab.diffusion.principles_of_diffusion.schedules import slopes
from nde_lab.diffusion.score_sde import KINDS, Process


def target(process: Process, kind: str, t, x0: Tensor, z: Tensor) -> Tensor:
    """The conditional target (B, D): -z / s, z, x0, or m' x0 + s' z. t above 0, number, 0-d or (B, 1)."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    if kind == "noise":
        return z
    if kind == "data":
        return x0
    if kind == "score":
        return -z / process.std(t)
    m_slope, s_slope = slopes(process, t)
    return m_slope * x0 + s_slope * z


def noise_weight(process: Process, kind: str, t) -> Tensor:
    """c(t)^2: an error e of the noise prediction is an error c e of this kind of prediction.

    1 for noise, (s / m)^2 for data, 1 / s^2 for the score, (g^2 / (2 s))^2 for the velocity. So the four plain
    losses are one loss with four weights.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    at = process.coefficients(t)
    factor = {"noise": at.std / at.std, "data": at.std / at.mean, "score": 1 / at.std,
              "velocity": at.g2 / (2 * at.std)}[kind]
    return factor.square()


def square_errors(predict, process: Process, kind: str, t: Tensor, x0: Tensor, z: Tensor) -> Tensor:
    """|predict(t, x_t) - conditional target|^2 of rows, (B,)."""
    x = process.noised(t, x0, z)
    return (predict(t, x) - target(process, kind, t, x0, z)).square().sum(-1)
