"""The variational view: a chain of Gaussians, its exact way back, and the bound that training minimises.

For times r < t, with m_tr = m_t / m_r and s_tr^2 = s_t^2 - m_tr^2 s_r^2 (Lai et al. 2025, Lemma 4.4.2):

    p(x_r | x_t, x_0) = N( (m_tr s_r^2 x_t + m_r s_tr^2 x_0) / s_t^2,   s_tr^2 s_r^2 / s_t^2 I ).

A network that guesses x_0 as D turns it into p(x_r | x_t). Both normals have one variance, so their KL is
(SNR(r) - SNR(t)) |x_0 - D|^2 / 2 (Eq. 4.4.7), SNR = m^2 / s^2.
"""
from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from nde_lab.diffusion.score_sde import Process


class Normals(NamedTuple):
    """Normal laws N(mean, variance I): mean (B, D), variance 0-d or (B, 1)."""
    mean: Tensor
    variance: Tensor


class Back(NamedTuple):
    """The way back from t to r: mean = state x_t + data x_0, and its variance; 0-d or (B, 1)."""
    state: Tensor
    data: Tensor
    variance: Tensor


def back(process: Process, t, r) -> Back:
    """The coefficients of p(x_r | x_t, x_0), 0 <= r < t. ValueError for numbers in another order."""
    if not isinstance(t, Tensor) and not isinstance(r, Tensor) and not r < t:
        raise ValueError(f"the way back goes from t to an earlier time r < t; got t = {t!r}, r = {r!r}")
    at, to = process.coefficients(t), process.coefficients(r)
    ratio = at.mean / to.mean
    between = at.std.square() - (ratio * to.std).square()
    total = at.std.square()
    return Back(ratio * to.std.square() / total, to.mean * between / total, between * to.std.square() / total)


def reverse_kernel(process: Process, t, r, x: Tensor, x0: Tensor) -> Normals:
    """p(x_r | x_t = x, x_0 = x0) for x and x0 (B, D)."""
    c = back(process, t, r)
    return Normals(c.state * x + c.data * x0, c.variance)


def snr(process: Process, t) -> Tensor:
    """m^2 / s^2, the signal-to-noise ratio; infinite at t = 0."""
    at = process.coefficients(t)
    return (at.mean / at.std).square()


def step_kl(process: Process, t, r, x0: Tensor, guess: Tensor) -> Tensor:
    """(SNR(r) - SNR(t)) |x0 - guess|^2 / 2 of rows, (B,): KL( p(x_r | x_t, x0) || p(x_r | x_t, guess) ), nats.

    The place x_t drops out. r above 0: at r = 0 the normals have no width.
    """
    return 0.5 * ((snr(process, r) - snr(process, t)) * (x0 - guess).square()).sum(-1)


def ancestral_step(process: Process, t, r, x: Tensor, data: Tensor, z: Tensor) -> Tensor:
    """One step of the hierarchy back, x_t -> x_r, with ``data`` a guess of x_0 and standard normal z (B, D)."""
    law = reverse_kernel(process, t, r, x, data)
    return law.mean + law.variance.sqrt() * z
