"""Long claim: steps to learn real digits with deep linear networks, by depth and by start.

Saxe, McClelland, Ganguli, arXiv 1312.6120, section 3 (their figure has MNIST; here the 8 x 8 digits, whitened).
"""
from __future__ import annotations

import functools
import math

import numpy as np
import torch

from nde_lab.claims import Verdict, claim
from nde_lab.data import load_digits
from nde_lab.dynamics.deep_linear.network import Task, start, steps_to

PAPER = "deep-linear-exact-dynamics"
INPUTS = 32
DEPTHS = (2, 10, 50)


@functools.cache
def digits_task() -> Task:
    """1400 digits as a task: their 32 strongest principal components, whitened so that the sum of x x^T is the
    identity, to their classes (one-hot, centred, divided by the root of the pictures per class): nine modes."""
    train, _ = load_digits()
    pixels = train.pixels.double() - train.pixels.double().mean(0)
    U, _, _ = torch.linalg.svd(pixels, full_matrices=False)
    X = U[:, :INPUTS].T
    Y = torch.nn.functional.one_hot(train.labels, 10).double()
    Y = (Y - Y.mean(0)) / math.sqrt(len(train) / 10)
    left, s, right = torch.linalg.svd(Y.T @ X.T, full_matrices=False)
    return Task(left[:, :9], s[:9], right[:9].T)


@claim(paper=PAPER, where="Sec 3, learning time against depth", cost="long", seeds=3,
       uses=("nde_lab.data.digits", "nde_lab.random"),
       says="with orthogonal weights learning time does not grow with depth; with scaled Gaussian ones it does")
def orthogonal_start_learns_at_any_depth() -> Verdict:
    """Digits, 32 units a layer, u0 = 1, learning rate c / N with the best c of 0.2, 0.5, 1; steps to 1 % of the zero
    map's loss, at most 2000; median of 3 seeds (inf: not within 2000)."""
    task, rows, middle = digits_task(), {}, {}
    for kind in ("aligned", "orthogonal", "Gaussian"):
        for N in DEPTHS:
            best = [min(steps_to(start(kind, (*[INPUTS] * N, 10), 1.0, seed=seed, task=task), task.matrix, c / N,
                                 share=0.01, limit=2000) for c in (0.2, 0.5, 1.0)) for seed in range(3)]
            middle[kind, N] = float(np.median(best))
            rows[f"{kind}, N = {N}"] = [b if math.isfinite(b) else "over 2000" for b in best]
    flat = max(middle["orthogonal", N] for N in DEPTHS) <= 2 * min(middle["orthogonal", N] for N in DEPTHS)
    steep = middle["Gaussian", 50] >= 5 * middle["Gaussian", 2]
    return Verdict(rows, "orthogonal: at most twice as many steps at the slowest depth as at the fastest; Gaussian: at "
                         "least five times as many at N = 50 as at N = 2", flat and steep, unit="steps, by seed")
