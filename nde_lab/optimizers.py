"""Optimisers as pure functions: ``params, state = adam(params, grads, state, lr=...)``.

Parameters, gradients and states are flat dicts of tensors, so they live in an experiment's state and can be traced.
``lr`` and ``weight_decay`` may be floats or 0-d tensors (live knobs).
"""
from __future__ import annotations

import torch
from torch import Tensor

Tensors = dict[str, Tensor]


def sgd_state(params: Tensors, *, prefix: str = "sgd.") -> Tensors:
    """Zero momentum for every parameter: ``sgd.m.<name>``."""
    return {f"{prefix}m.{name}": torch.zeros_like(p) for name, p in params.items()}


def sgd(params: Tensors, grads: Tensors, state: Tensors, *, lr, momentum: float = 0.0, weight_decay=0.0,
        prefix: str = "sgd.") -> tuple[Tensors, Tensors]:
    """Gradient descent with heavy-ball momentum: m <- momentum m + g + weight_decay p, p <- p - lr m."""
    velocity = {n: momentum * state[f"{prefix}m.{n}"] + grads[n] + weight_decay * p for n, p in params.items()}
    return {n: p - lr * velocity[n] for n, p in params.items()}, {f"{prefix}m.{n}": v for n, v in velocity.items()}


def adam_state(params: Tensors, *, prefix: str = "adam.") -> Tensors:
    """Zero moments ``adam.m.<name>``, ``adam.v.<name>`` and the step count ``adam.count`` (0-d)."""
    first = next(iter(params.values()))
    moments = {f"{prefix}{k}.{name}": torch.zeros_like(p) for k in "mv" for name, p in params.items()}
    return moments | {f"{prefix}count": torch.zeros((), dtype=first.dtype)}


def adam(params: Tensors, grads: Tensors, state: Tensors, *, lr, betas: tuple[float, float] = (0.9, 0.999),
         eps: float = 1e-8, weight_decay=0.0, prefix: str = "adam.") -> tuple[Tensors, Tensors]:
    """Adam (Kingma and Ba 2015, algorithm 1). ``weight_decay`` is added to the gradient (L2, as in the original
    papers' code, not decoupled)."""
    b1, b2 = betas
    count = state[f"{prefix}count"] + 1
    # Bias corrections as tensors of the step count: no Python number depends on the state, so this can be traced.
    c1, c2 = 1 - b1 ** count, 1 - b2 ** count
    new_params, new_state = {}, {f"{prefix}count": count}
    for name, p in params.items():
        g = grads[name] + weight_decay * p
        m = b1 * state[f"{prefix}m.{name}"] + (1 - b1) * g
        v = b2 * state[f"{prefix}v.{name}"] + (1 - b2) * g * g
        new_params[name] = p - lr * (m / c1) / ((v / c2).sqrt() + eps)
        new_state[f"{prefix}m.{name}"], new_state[f"{prefix}v.{name}"] = m, v
    return new_params, new_state


def clip_by_norm(grads: Tensors, limit: float) -> tuple[Tensors, Tensor]:
    """Scale all gradients together so that their global Euclidean norm is at most ``limit``; also returns the norm
    before scaling (0-d)."""
    norm = torch.stack([(g * g).sum() for g in grads.values()]).sum().sqrt()
    factor = (limit / (norm + 1e-12)).clamp(max=1.0)
    return {name: g * factor for name, g in grads.items()}, norm
