"""Gradients through reversible Heun without stored states: run the film backwards, and pull the gradient along.

One step carries (y, z, f, g), z the shadow at which drift and diffusion are read. Undo it, which is exact up to
rounding, and apply the chain rule to the one evaluation that the step made. Kidger, Foster, Li, Lyons, "Efficient and
Accurate Gradients for Neural SDEs", arXiv 2105.13493, algorithm 2; diagonal noise here.
"""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Tensors = dict[str, Tensor]
Field = Callable[[Tensors, Tensor, Tensor], tuple[Tensor, Tensor]]      # (params, t, y) -> (drift, diffusion)


def forward(field: Field, params: Tensors, y0: Tensor, times: Tensor, dW: Tensor) -> tuple[Tensor, ...]:
    """The last carry (y, z, f, g), each (B, d), and nothing else. times (n + 1,), dW (n, B, d)."""
    with torch.no_grad():
        y, z = y0, y0
        f, g = field(params, times[0], z)
        for k, dw in enumerate(dW):
            h = times[k + 1] - times[k]
            z = 2 * y - z + f * h + g * dw
            f1, g1 = field(params, times[k + 1], z)
            y, f, g = y + (f + f1) * h / 2 + (g + g1) * dw / 2, f1, g1
        return y, z, f, g


def backward(field: Field, params: Tensors, last: tuple[Tensor, ...], times: Tensor, dW: Tensor, dy: Tensor
             ) -> tuple[Tensor, Tensor, Tensors]:
    """From the last carry and dL/dy_T (B, d): the start found again (B, d), dL/dy_0, and dL/dparams.

    Holds one step at a time, whatever their number. Raises nothing: under a strong decay the start that is found again
    is wrong by about rounding times e^{decay T}, and the gradient with it.
    """
    y, z, f, g = last
    a_y, a_z, a_f, a_g = dy, torch.zeros_like(dy), torch.zeros_like(dy), torch.zeros_like(dy)
    grads = {n: torch.zeros_like(p) for n, p in params.items()}
    for k in reversed(range(len(dW))):
        h, dw = times[k + 1] - times[k], dW[k]
        # The chain rule through (f', g') = field(t', z'), both of which y' uses.
        a_z = a_z + _pull(field, params, times[k + 1], z, a_f + h / 2 * a_y, a_g + dw / 2 * a_y, grads)
        # Undo the step.
        z = 2 * y - z - f * h - g * dw
        with torch.no_grad():
            f1, g1 = field(params, times[k], z)
        y, f, g = y - (f + f1) * h / 2 - (g + g1) * dw / 2, f1, g1
        # The chain rule through z' = 2 y - z + f h + g dw and the rest of y'.
        a_y, a_z, a_f, a_g = a_y + 2 * a_z, -a_z, h / 2 * a_y + h * a_z, dw / 2 * a_y + dw * a_z
    return y, a_y + a_z + _pull(field, params, times[0], y, a_f, a_g, grads), grads


def _pull(field: Field, params: Tensors, t: Tensor, z: Tensor, a_f: Tensor, a_g: Tensor, grads: Tensors) -> Tensor:
    """Adds the parameters' share of a_f . f + a_g . g at z to ``grads``; returns z's share."""
    z = z.detach().requires_grad_()
    leaves = {n: p.detach().requires_grad_() for n, p in params.items()}
    with torch.enable_grad():
        f, g = field(leaves, t, z)
        found = torch.autograd.grad((a_f * f + a_g * g).sum(), [z, *leaves.values()], allow_unused=True)
    for n, got in zip(grads, found[1:], strict=True):
        if got is not None:
            grads[n] += got
    return torch.zeros_like(z) if found[0] is None else found[0]
