"""What the experiments share: one Adam step, a check that all is finite, and the markers of what was read."""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab import autodiff, optimizers
from nde_lab import data as series


def adam_step(loss, params, state, *, lr, clip: float = 1.0):
    """One Adam step with the gradient clipped to norm ``clip``: (params, optimiser, loss, aux)."""
    (value, aux), grads = autodiff.value_and_grad(loss, params, has_aux=True)
    grads, _ = optimizers.clip_by_norm(grads, clip)
    params, adam = optimizers.adam(params, grads, state, lr=lr)
    return params, adam, value, aux


def finite(params) -> Tensor:
    """0-d bool: every parameter is finite."""
    return torch.isfinite(torch.stack([p.square().sum() for p in params.values()]).sum())


def dots(times: Tensor, values: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Places (L,), (L,) of markers for the entries that are seen. An entry that is not seen has its marker on
    the last seen one, or on the next before the first; all (L,)."""
    both = torch.stack([times, values], -1)[None]
    kept = (seen > 0)[None, :, None].expand(both.shape)
    before = series.fill_forward(times, both, kept, start=-9.0)
    after = series.fill_forward(times, both.flip(1), kept.flip(1), start=-9.0).flip(1)
    at = torch.where(before > -9, before, after)[0]
    return at[:, 0], at[:, 1]
