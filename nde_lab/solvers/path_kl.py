"""The relative entropy of two SDEs with one diffusion, along the paths of the first.

Paths of dY = f dt + g dW weigh against those of the prior dY = h dt + g dW by Girsanov's theorem, and

    KL = E of the integral of  |u|^2 / 2  dt,     g u = f - h.

That is what a latent SDE pays for leaving its prior (Li et al., "Scalable gradients for SDEs", 2020,
equation 9). Beware that torchsde's documentation prints the integrand without the half and the square; its
code has both.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from nde_lab.solvers.sde import SDE, as_sde

_SMALL = 1e-7              # torchsde divides by no diffusion that is smaller


def path_kl_rate(sde, t: Tensor, y: Tensor) -> Tensor:
    """|u|^2 / 2 at states (B, D), with g u = f - h: a number per row, (B,).

    sde: an SDE with a prior drift (``h(t, y)``, ``prior_drift(t, y)``, or ``SDE(..., prior=h)``);
    ValueError without. A matrix g that does not reach f - h counts only the part that it reaches (the KL
    itself is infinite then).
    """
    sde = as_sde(sde)
    return _rate(sde, *sde.both(t, y), _prior(sde)(t, y))


def path_kl(sde, ys: Tensor, times: Tensor) -> Tensor:
    """The KL of each path, (B,): the integral of ``path_kl_rate`` along states (n + 1, B, D) at times (n + 1,).

    A left-point sum, as Girsanov's theorem is used on a grid. Average it over paths that follow the drift f.
    """
    if ys.dim() != 3 or times.dim() != 1 or len(ys) != len(times) or len(ys) < 2:
        raise ValueError("path_kl needs states (n + 1, B, D) and their n + 1 times, n >= 1, got "
                         f"{tuple(ys.shape)} and {tuple(times.shape)}")
    rates = torch.stack([path_kl_rate(sde, times[k], ys[k]) for k in range(len(ys) - 1)])
    return ((times[1:] - times[:-1]).unsqueeze(-1) * rates).sum(0)


def with_path_kl(sde) -> SDE:
    """The SDE of (y, KL so far), D + 1 columns; the last one has no noise of its own.

    For diagonal noise it takes D + 1 increments a row, of which the last is not used (``widen`` adds it).
    """
    sde = as_sde(sde)
    prior = _prior(sde)
    rim = (0, 1) if sde.noise_type == "diagonal" else (0, 0, 0, 1)

    def both(t, y):
        y = y[:, :-1]
        f, g = sde.both(t, y)
        return torch.cat([f, _rate(sde, f, g, prior(t, y)).unsqueeze(-1)], -1), pad(g, rim)

    return SDE(lambda t, y: both(t, y)[0], lambda t, y: pad(sde.diffusion(t, y[:, :-1]), rim), sde.noise_type,
               sde.sde_type, both)


def widen(y0: Tensor) -> Tensor:
    """One column of zeros more: for states, and for the increments of diagonal noise."""
    return pad(y0, (0, 1))


def split_path_kl(ys: Tensor) -> tuple[Tensor, Tensor]:
    """States (T, B, D) and the KL of every interval, (T - 1, B), of solutions of ``with_path_kl``."""
    return ys[..., :-1], ys[1:, :, -1] - ys[:-1, :, -1]


def _prior(sde: SDE):
    if sde.prior is None:
        raise ValueError("the path KL compares the drift with a prior drift of the same diffusion: define "
                         "h(t, y) or prior_drift(t, y), or give SDE(..., prior=h)")
    return sde.prior


def _rate(sde: SDE, f: Tensor, g: Tensor, h: Tensor) -> Tensor:
    if sde.noise_type == "diagonal":
        floor = torch.where(g.detach() < 0, -_SMALL, _SMALL)
        u = (f - h) / torch.where(g.detach().abs() > _SMALL, g, floor)
        return 0.5 * (u * u).sum(-1)
    if g.shape[-1] == 1:                                    # one column: its pseudo-inverse is g^T / |g|^2
        column = g[..., 0]
        u = (column * (f - h)).sum(-1) / (column * column).sum(-1).clamp_min(_SMALL ** 2)
        return 0.5 * u * u
    u = (torch.linalg.pinv(g) * (f - h).unsqueeze(-2)).sum(-1)
    return 0.5 * (u * u).sum(-1)

