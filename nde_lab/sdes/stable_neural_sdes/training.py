"""What both classifier experiments share: moments, loss, one Adam step, accuracy.

Recipe of the paper's code where it is known (Oh, Lim, Kim 2024): plain backpropagation through Euler-Maruyama, Adam
with weight decay 0.01 lr, cross-entropy, channels standardised with the training part's moments.
"""
from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from nde_lab import autodiff, optimizers

HORIZON = 4.0        # model time of a whole series: with a tanh-bounded drift, 1 is too short to learn anything
CLIP = 1.0           # global norm of the gradient
Tensors = dict[str, Tensor]


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of complete series (N, L, C) -> (C,), (C,)."""
    mean = values.mean((0, 1))
    return mean, (values - mean).square().mean((0, 1)).sqrt()


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log probability of the true class. scores (B, K), labels (B,) int64 -> 0-d."""
    return -(torch.log_softmax(scores, dim=-1) * F.one_hot(labels, scores.shape[-1])).sum(-1).mean()


def accuracy(scores: Tensor, labels: Tensor) -> Tensor:
    """Share of rows whose largest score is the true class. scores (..., B, K), labels (B,) -> (...)."""
    return (scores.argmax(-1) == labels).to(scores.dtype).mean(-1)


def adam_step(loss, params: Tensors, state: Tensors, *, lr) -> tuple[Tensors, Tensors, Tensor]:
    """Clip to norm 1, then Adam with weight decay 0.01 lr, as the paper's code does. -> (params, optimiser, loss)."""
    value, grads = autodiff.value_and_grad(loss, params)
    grads, _ = optimizers.clip_by_norm(grads, CLIP)
    params, adam = optimizers.adam(params, grads, state, lr=lr, weight_decay=0.01 * lr)
    return params, adam, value


def with_theta(params: Tensors, theta) -> Tensors:
    """The noise scale's logit shifted by the knob ``theta``: the network learns the deviation from it, from 0."""
    return params | {"sde.theta": params["sde.theta"] + theta}


def finite(params: Tensors) -> Tensor:
    """0-d bool: every parameter is finite."""
    return torch.isfinite(torch.stack([p.square().sum() for p in params.values()]).sum())
