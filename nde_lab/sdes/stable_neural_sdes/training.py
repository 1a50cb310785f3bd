"""What both classifier experiments share: moments, loss, one Adam step, accuracy.

Recipe of the paper's code where it is known (Oh, Lim, Kim 2024): plain backpropagation through
Euler-Maruyama, Adam with weight decay 0.01 lr, cross-entropy, channels standardised with the training part's
moments.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from nde_lab import autodiff, optimizers
from nde_lab.data import fill_forward
from nde_lab.views import Axis, Line, Panel, Paths, Points, Rule, View

HORIZON = 4.0        # model time of a whole series: with a tanh-bounded drift, 1 is too short to learn
CLIP = 1.0           # global norm of the gradient
Tensors = dict[str, Tensor]


def moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation per channel of complete series (N, L, C) -> (C,), (C,)."""
    mean = values.mean((0, 1))
    return mean, (values - mean).square().mean((0, 1)).sqrt()


def one_hot(labels: Tensor, scores: Tensor) -> Tensor:
    """1.0 at the true class: labels (...), scores (..., K) -> (..., K)."""
    return (labels.unsqueeze(-1) == torch.arange(scores.shape[-1], device=scores.device)).to(scores.dtype)


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log probability of the true class. scores (B, K), labels (B,) int64 -> 0-d."""
    return -(torch.log_softmax(scores, dim=-1) * one_hot(labels, scores)).sum(-1).mean()


def accuracy(scores: Tensor, labels: Tensor) -> Tensor:
    """Share of rows whose largest score is the true class. scores (..., B, K), labels (B,) -> (...)."""
    return (scores.argmax(-1) == labels).to(scores.dtype).mean(-1)


def adam_step(loss, params: Tensors, state: Tensors, *, lr) -> tuple[Tensors, Tensors, Tensor]:
    """Clip to norm 1, then Adam with weight decay 0.01 lr, as the paper's code does. -> (params, optimiser,
    loss)."""
    value, grads = autodiff.value_and_grad(loss, params)
    grads, _ = optimizers.clip_by_norm(grads, CLIP)
    params, adam = optimizers.adam(params, grads, state, lr=lr, weight_decay=0.01 * lr)
    return params, adam, value


def with_theta(params: Tensors, theta: Tensor) -> Tensors:
    """The noise scale's logit shifted by the knob ``theta``: the network learns the deviation, from 0."""
    return params | {"sde.theta": params["sde.theta"] + theta}


def finite(params: Tensors) -> Tensor:
    """0-d bool: every parameter is finite."""
    return torch.isfinite(torch.stack([p.square().sum() for p in params.values()]).sum())


def dots(times: Tensor, values: Tensor, kept: Tensor) -> tuple[Tensor, Tensor]:
    """Positions (L,), (L,) of dots that show only what is left of one series. times (L,), values (1, L, 1)
    without NaN, kept (1, L, 1) bool. A removed entry goes where the last one left is, or the next one before
    the first."""
    both = torch.cat([times[None, :, None], values], dim=-1)
    last, after = (fill_forward(times, d, k.expand(d.shape), start=-9.0) for d, k in
                   ((both, kept), (both.flip(1), kept.flip(1))))
    at = torch.where(last > -9, last, after.flip(1))[0]
    return at[:, 0], at[:, 1]


def classifier_view(name: str, *, tests: int, classes: int, subject: str) -> View:
    """The four panels of a classifier. Observables: rates, accuracy (R,); times, path, dot_t, dot (L,); ts
    (L,), belief (draws, L); history: train_loss, test_loss."""
    chance = f"chance: 1/{classes}"
    return View([
        Panel(f"Loss: {name}", Axis("training step"), Axis("cross-entropy (nats)", low=0),
              [Line("history.step", "history.train_loss", role="train", label="train (complete series)"),
               Line("history.step", "history.test_loss", role="test", label="test (entries missing)"),
               Rule(math.log(classes), label=f"chance: ln {classes}")],
              alt="Loss on the training batch and on a test batch with missing entries over training steps, "
                  f"with a dotted level at ln {classes}, the loss of guessing. Both curves leave that level "
                  "if the class learns."),
        Panel("Accuracy by missing rate", Axis("share of test entries removed", low=0, high=0.8),
              Axis("test accuracy", low=0, high=1),
              [Line("rates", "accuracy", role="test", label=f"{tests} test series"),
               Rule(1 / classes, label=chance)],
              alt="Test accuracy against the share of removed entries from 0 to 0.8, with a dotted level at "
                  f"chance, 1/{classes}. With the control path the curve is high and falls slowly; without "
                  "it it stays low."),
        Panel(f"One test series{subject}, as the network sees it",
              Axis("time (share of the longest series)", low=0, high=1),
              Axis("value (standard deviations)", low=-3, high=3),
              [Points("dot_t", "dot", role="data", label="entries that are left"),
               Line("times", "path", role="ode", label="control path X(t)")],
              alt="One test series: dots for the entries that are left and the dashed line that interpolates "
                  "them. The higher the missing rate, the fewer dots and the cruder the line."),
        Panel("Belief in its true class while the SDE runs", Axis("model time t", low=0, high=HORIZON),
              Axis("probability, if read out at t", low=0, high=1),
              [Paths("ts", "belief", role="sde", label="12 noise draws"), Rule(1 / classes, label=chance)],
              alt="Probability that the readout gives to the true class of that series along model time, one "
                  f"thin line for each of 12 noise draws. Before training all lie near 1/{classes}; after "
                  "training they end near 1 if the series is recognised.")])
