"""Muon as pure functions, beside the optimisers of ``nde_lab.optimizers`` and with their signatures."""
from __future__ import annotations

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


def orthogonalise(G: Tensor, *, turns: int = 5) -> Tensor:
    """A matrix (rows, columns) with the singular vectors of ``G`` and singular values between about 0.7 and 1.2.

    Newton-Schulz: X <- a X + (b S + c S^2) X with S = X X^T moves every singular value s to a s + b s^3 + c s^5.
    Jordan and others 2024, "Muon: an optimizer for hidden layers in neural networks", with their a, b, c.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    wide = G.shape[0] <= G.shape[1]
    X = G if wide else G.T
    X = X / ((X * X).sum().sqrt() + 1e-7)
    for _ in range(turns):
        S = X @ X.T
        X = a * X + (b * S + c * (S @ S)) @ X
    return X if wide else X.T


def muon_state(params: Tensors, *, prefix: str = "muon.") -> Tensors:
    """Zero momentum for every matrix: ``muon.m.<name>``."""
    return {f"{prefix}m.{name}": torch.zeros_like(p) for name, p in params.items()}


def muon(params: Tensors, grads: Tensors, state: Tensors, *, lr, momentum: float = 0.95, weight_decay=0.0,
         prefix: str = "muon.") -> tuple[Tensors, Tensors]:
    """Muon (Jordan and others 2024) for matrices (rows, columns): m <- momentum m + g, and the step is
    ``orthogonalise`` of g + momentum m (Nesterov), times sqrt(max(1, rows / columns)). Their code keeps a
    layer as (outputs, inputs); give the transpose of a matrix that is kept as (inputs, outputs) for their scale.
    ``weight_decay`` is added to the gradient, as in ``adam``."""
    new_params, new_state = {}, {}
    for name, p in params.items():
        g = grads[name] + weight_decay * p
        m = momentum * state[f"{prefix}m.{name}"] + g
        scale = max(1.0, p.shape[0] / p.shape[1]) ** 0.5
        new_params[name] = p - lr * scale * orthogonalise(g + momentum * m)
        new_state[f"{prefix}m.{name}"] = m
    return new_params, new_state
