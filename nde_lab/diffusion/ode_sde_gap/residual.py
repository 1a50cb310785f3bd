"""The log-form Fokker-Planck residual of a scalar potential, in any dimension, by automatic differentiation.

If phi were log p of the forward process dX = -X dt + dW, then (Deveney et al. 2023; d is the dimension)
    R = d phi/dt - d - x . grad phi - (Laplacian phi + |grad phi|^2) / 2
would vanish. A learned phi leaves a rest, and that rest is what drives the laws of the two samplers apart.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.diffusion.ode_sde_gap.process import OU


class Derivatives(NamedTuple):
    """phi (B,), its gradient (B, d), Laplacian (B,) and time derivative (B,)."""
    value: Tensor
    gradient: Tensor
    laplacian: Tensor
    rate: Tensor


def derivatives(phi: Callable[[Tensor, Tensor], Tensor], x: Tensor, t: Tensor) -> Derivatives:
    """First derivatives and the Laplacian of phi(x, t) -> (B,), row by row. x: (B, d), t: (B,).

    The result is attached to autograd, so a loss may be built of it (a double gradient). Raises ValueError
    where phi is not scalar: a score field (B, d) need not be a gradient, and has no log density to test.
    """
    if x.dim() != 2 or t.shape != x.shape[:1]:
        raise ValueError("x must have shape (B, d) and t shape (B,), "
                         f"got {tuple(x.shape)} and {tuple(t.shape)}")
    with torch.enable_grad():
        x, t = (v if v.requires_grad else v.detach().requires_grad_() for v in (x, t))
        value = phi(x, t)
        if not isinstance(value, Tensor) or value.shape != t.shape:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError("the residual needs a scalar potential, phi(x, t) of shape "
                             f"{tuple(t.shape)}, got {got}; a vector field has no log density: give the scalar "
                             "whose gradient is the score")
        gradient, rate = torch.autograd.grad(value.sum(), (x, t), create_graph=True, allow_unused=True)
        gradient = torch.zeros_like(x) if gradient is None else gradient
        rate = torch.zeros_like(t) if rate is None else rate
        laplacian = torch.zeros_like(t)
        for i in range(x.shape[1]):
            second = (torch.autograd.grad(gradient[:, i].sum(), x, create_graph=True, allow_unused=True)[0]
                      if gradient.requires_grad else None)
            laplacian = laplacian if second is None else laplacian + second[:, i]
    return Derivatives(value, gradient, laplacian, rate)


def residual(phi: Callable[[Tensor, Tensor], Tensor], x: Tensor, t: Tensor, *,
             within: OU | None = None) -> Tensor:
    """R (B,) of phi(x, t) -> (B,) for the OU process; x: (B, d), t: (B,). Errors as ``derivatives``.

    ``within``: also refuse times outside this process's schedule (looks at values, so not for traced code).
    """
    if within is not None:
        within.check(t)
    d = derivatives(phi, x, t)
    return (d.rate - x.shape[1] - (x * d.gradient).sum(-1)
            - (d.laplacian + d.gradient.square().sum(-1)) / 2)


def residual_1d(x: Tensor, rate: Tensor, slope: Tensor, bend: Tensor) -> Tensor:
    """R on the line from phi's derivatives: rate in t, slope and bend (first and second) in x; one shape."""
    return rate - 1 - x * slope - (bend + slope**2) / 2
