"""Four ways to say what a network predicts, and how to turn each into the others.

    score      gradient of log p_t(x)
    noise      epsilon = -s score: the noise that was added, on average
    data       (x + s^2 score) / m: the data point that it was added to, on average (Tweedie)
    velocity   a x - g^2 score / 2: dx/dt of the probability-flow ODE

Here x is at time t, m and s are mean factor and std of the kernel, a and g^2 drift rate and squared diffusion.
Equivalently velocity = m' data + s' noise. Lai et al. (2025), Sec. 4.4; Song et al. (2021), Eq. 13.
"""
from __future__ import annotations

from torch import Tensor

from nde_lab.diffusion.score_sde.processes import Coefficients, Process

KINDS = ("score", "noise", "data", "velocity")


def to_score(value: Tensor, x: Tensor, at: Coefficients, kind: str) -> Tensor:
    """A prediction of that kind at x (B, D) as a score (B, D)."""
    if kind == "score":
        return value
    if kind == "noise":
        return -value / at.std
    if kind == "data":
        return (at.mean * value - x) / (at.std * at.std)
    return 2 * (at.rate * x - value) / at.g2


def from_score(score: Tensor, x: Tensor, at: Coefficients, kind: str) -> Tensor:
    """A score at x (B, D) as a prediction of that kind (B, D)."""
    if kind == "score":
        return score
    if kind == "noise":
        return -at.std * score
    if kind == "data":
        return (x + at.std * at.std * score) / at.mean
    return at.rate * x - 0.5 * at.g2 * score


def convert(value: Tensor, x: Tensor, t, process: Process, *, source: str, target: str) -> Tensor:
    """A prediction at (t, x) of kind ``source`` as one of kind ``target``; value, x and result (B, D).

    t: a number, or a 0-d or (B, 1) tensor. Raises ValueError for an unknown kind, for a number outside the
    schedule, and for t = 0 given as a number: without noise the noise and the score are not defined.
    """
    for name, kind in (("source", source), ("target", target)):
        if kind not in KINDS:
            raise ValueError(f"{name} must be one of {', '.join(KINDS)}, got {kind!r}")
    if source == target:
        return value
    if not isinstance(t, Tensor) and t == 0:
        raise ValueError("at t = 0 the noise level is zero, and predictions cannot be converted there: give a "
                         "time above 0")
    at = process.coefficients(t)
    return from_score(to_score(value, x, at, source), x, at, target)


def as_score(predict, process: Process, kind: str):
    """A network predict(t, x) of that kind as a function score(t, x)."""
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, got {kind!r}")
    return lambda t, x: to_score(predict(t, x), x, process.coefficients(t), kind)
