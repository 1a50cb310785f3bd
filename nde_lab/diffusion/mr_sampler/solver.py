"""MR samplers of orders 1 and 2: the linear part of the mean-reverting reversal exactly, the network by Taylor.

Li and others (2025), Propositions 1 to 4. From t to ``after`` < t with h = lambda(after) - lambda(t) > 0, q the
prediction at t and D its change per step, guessed from the step before (multistep: one evaluation a step):

    form "noise", ODE   alpha'/alpha y - Sigma' [(e^h - 1) q + ((e^h - 1)/h - 1) D]
    form "noise", SDE   the same with 2 Sigma', and Sigma' sqrt(e^{2h} - 1) z added
    form "data",  ODE   Sigma'/Sigma y + alpha' [(1 - e^{-h}) q + (1 - (1 - e^{-h})/h) D]
    form "data",  SDE   Sigma'/Sigma e^{-h} y + alpha' [(1 - e^{-2h}) q + (1 - (1 - e^{-2h})/(2h)) D]
                        + Sigma' sqrt(1 - e^{-2h}) z

Primes are at ``after``. Written in x, each line carries its own multiple of mu; ``mr_step`` has those of x.
"""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.dpm_solver import remainder
from nde_lab.diffusion.mr_sampler.process import MeanReverting

FORMS = ("noise", "data")


def mr_step(process: MeanReverting, x: Tensor, q: Tensor, change: Tensor, t: Tensor, after: Tensor, *,
            form: str, z: Tensor | None = None) -> Tensor:
    """One step from time t to ``after`` < t. x, q, change: (B, D), q a prediction of kind ``form``; times 0-d
    or (B, 1). z: standard normal (B, D) for the SDE, None for the ODE. ``change`` zero is order 1. -> (B,
    D)."""
    d, mu = process.deviation, process.mu
    a, b = d.mean(t), d.mean(after)
    s, r = d.std(t), d.std(after)
    h = d.half_log_snr(after) - d.half_log_snr(t)
    if form == "noise":
        share = 1.0 if z is None else 2.0
        out = b / a * x + (1 - b / a) * mu - share * r * (torch.expm1(h) * q + remainder(h) * change)
        return out if z is None else out + r * torch.sqrt(torch.expm1(2 * h)) * z
    k = h if z is None else 2 * h
    keep, gain = r / s * torch.exp(h - k), -torch.expm1(-k)
    # 1 - (1 - e^{-k}) / k is -remainder(-k), and needs its series for small k.
    out = keep * x + b * (gain * q - remainder(-k) * change) + (1 - keep - b * gain) * mu
    return out if z is None else out + r * torch.sqrt(gain) * z


def mr_solve(predict, process: MeanReverting, x: Tensor, times: Tensor, *, predicts: str = "noise",
             form: str = "data", order: int = 2, z: Tensor | None = None) -> Tensor:
    """Through decreasing times (n + 1,), for example ``lambda_times(process.deviation, n)``: n evaluations.

    predict(t, x) -> (B, D): what the network says, of kind ``predicts`` ("noise", "data", "velocity"). form:
    the kind that is expanded, "data" (the default, safer at few steps) or "noise". order 1 or 2; the first step
    is always of order 1. z: noise (n, B, D) for the reverse SDE, None (the default) for the flow. x: (B, D) at
    times[0]. Pure and traceable. -> (B, D). Raises ValueError for unknown kinds, forms, orders and shapes.
    """
    if order not in (1, 2) or isinstance(order, bool):
        raise ValueError(f"MR samplers have orders 1 and 2, got {order!r}")
    if form not in FORMS:
        raise ValueError(f"form is the prediction that is expanded, one of {', '.join(FORMS)}, got {form!r}")
    if times.dim() != 1 or len(times) < 2:
        raise ValueError(f"times must be a 1-d tensor of at least two, got shape {tuple(times.shape)}")
    n = len(times) - 1
    if z is not None and tuple(z.shape) != (n, *x.shape):
        raise ValueError(f"{n} steps from x of shape {tuple(x.shape)} need z of shape {(n, *x.shape)}, got "
                         f"{tuple(z.shape)}")
    h = process.deviation.half_log_snr(times).diff().to(x.dtype)
    before = torch.cat([h[:1], h[:-1]])
    second = torch.cat([torch.zeros_like(h[:1]), torch.full_like(h[1:], float(order == 2))])
    times = times.to(x.dtype)

    def body(carry, turn):
        x, last = carry
        t, after, weight, noise = turn
        q = process.convert(predict(t, x), x, t, source=predicts, target=form)
        return (mr_step(process, x, q, weight * (q - last), t, after, form=form, z=noise), q), None
    turns = (times[:-1], times[1:], second * h / before, z)
    return loop(body, (x, torch.zeros_like(x)), turns)[0][0]
