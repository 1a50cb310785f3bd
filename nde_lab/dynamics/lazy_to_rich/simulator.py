"""Gradient descent on the committee machine without its weights: the means w and M close on themselves.

Full-batch gradient descent on (1/P) sum (f(x) - y)^2 with the learning rate eta0 N / alpha^2 moves every unit by

    w_i <- T w_i - c v,   T = I - c eps S,   c = 2 eta0 / (alpha P),
    v = sum_mu e_mu x_mu,   S = sum_mu e_mu x_mu x_mu^T,   e = f(x) - y,

the same T and v for all, so w and M move by themselves, for any width, also an infinite one. ``lazy_step`` is the
same for the network's linearisation at its start (the limit alpha -> infinity). With ``centred`` (the paper's
choice for large alpha) the network predicts f - f at the start. All functions take leading batch dimensions.
"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from nde_lab.dynamics.lazy_to_rich.model import alignment, quadratic, statistics, target, test_loss
from nde_lab.random import Normal, sample

T64 = torch.float64


def pull(X: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
    """(v (D,), S (D, D)): the errors e (P,) as a force on the linear and on the quadratic part."""
    weighted = X * e[..., None]
    return weighted.sum(-2), weighted.mT @ X


def rich_step(w: Tensor, M: Tensor, v: Tensor, S: Tensor, c, eps) -> tuple[Tensor, Tensor]:
    """One step of gradient descent for the means: w <- T w - c v, M <- T M T - c (T w v^T + v (T w)^T) + c^2 v v^T."""
    TM = M - c * eps * (S @ M)
    Tw = w - c * eps * (S @ w[..., None])[..., 0]
    cross = Tw[..., :, None] * v[..., None, :]
    M = TM - c * eps * (TM @ S) - c * (cross + cross.mT) + c * c * v[..., :, None] * v[..., None, :]
    return Tw - c * v, 0.5 * (M + M.mT)      # symmetric, so that rounding cannot grow an antisymmetric part




def lazy_step(u: Tensor, V: Tensor, w0: Tensor, M0: Tensor, v: Tensor, S: Tensor, rate, eps) -> tuple[Tensor, Tensor]:
    """One step for the linearised network f = u . x + x^T V x / 2, with rate = 2 eta0 / P: what is left of
    ``rich_step`` for (alpha w, alpha eps M) as alpha grows."""
    cross, moved = w0[..., :, None] * v[..., None, :], S @ M0
    u = u - rate * (v + eps * (S @ w0[..., None])[..., 0])
    return u, V - rate * eps * (cross + cross.mT + eps * (moved + moved.mT))


@dataclass(frozen=True)
class Problem:
    """One data set and one start: X (P, D), y (P,), beta (D,), w0 (D,), M0 (D, D), W0 (N, D) or None."""
    X: Tensor
    y: Tensor
    beta: Tensor
    w0: Tensor
    M0: Tensor
    W0: Tensor | None = None


def problem(*, D: int = 40, P: int = 200, N: int | None = None, sigma: float = 1.0, seed: int = 0) -> Problem:
    """Inputs N(0, I / D), beta scaled to |beta|^2 = D, and weights N(0, sigma^2); N None is infinite width
    (w0 = 0, M0 = sigma^2 I). Float64. Raises ValueError unless D, P, N >= 1 and sigma > 0."""
    for name, value in {"D": D, "P": P, "N": 1 if N is None else N}.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is {value!r}; it must be a whole number >= 1"
                             + (" or None for infinite width" if name == "N" else ""))
    if not sigma > 0:
        raise ValueError(f"the weight scale sigma is {sigma!r}; it must be > 0")
    drawn = {"X": Normal((P, D), scale=D**-0.5), "beta": Normal((D,))}
    drawn |= {} if N is None else {"W": Normal((N, D), scale=sigma)}
    made = sample(drawn, seed=seed, stream="start", dtype=T64)
    beta = made["beta"] * D**0.5 / made["beta"].norm()
    w0, M0 = (torch.zeros(D, dtype=T64), sigma**2 * torch.eye(D, dtype=T64)) if N is None else statistics(made["W"])
    return Problem(made["X"], target(made["X"], beta), beta, w0, M0, made.get("W"))


def log_grid(steps: int, points: int = 100) -> np.ndarray:
    """Whole steps 1 .. steps, as evenly spread in their logarithm as whole numbers can be: (<= points,)."""
    return np.unique(np.round(np.geomspace(1, steps, points)).astype(int))


def simulate(p: Problem, *, alpha: float, eps: float, eta0: float = 5.0, steps: int = 2000, centred: bool = True,
             lazy: bool = False) -> dict[str, np.ndarray]:
    """Train; returns curves over ``step`` (a log grid from 0): "train", "test", "A", "B", "C", "alignment", "moved"
    (|M - M0| / |M0|), and the last "w", "M". ``lazy`` trains the linearisation instead. Float64.

    Raises ValueError if the training stops being finite, naming the step.
    """
    P, w, M = len(p.X), p.w0, p.M0
    wc, Mc = (p.w0, p.M0) if centred else (torch.zeros_like(p.w0), torch.zeros_like(p.M0))
    u, V = alpha * (w - wc), alpha * eps * (M - Mc)
    grid, rows = {0, *log_grid(steps).tolist()}, []
    for t in range(steps + 1):
        e = quadratic(p.X, u, V) - p.y
        if t in grid:
            A, B, C = test_loss(u, V, p.beta)
            train = e.square().mean()
            if not bool(torch.isfinite(train)) or float(train) > 1e12:
                raise ValueError(f"gradient descent diverged before step {t} (alpha = {alpha:g}, eps = {eps:g}, eta0 = "
                                 f"{eta0:g}); lower eta0, or raise alpha")
            rows.append([t, train, A + B + C, A, B, C, alignment(M, p.beta), (M - p.M0).norm() / p.M0.norm()])
        if lazy:
            u, V = lazy_step(u, V, p.w0, p.M0, *pull(p.X, e), 2 * eta0 / P, eps)
        else:
            w, M = rich_step(w, M, *pull(p.X, e), 2 * eta0 / (alpha * P), eps)
            u, V = alpha * (w - wc), alpha * eps * (M - Mc)
    names = ("step", "train", "test", "A", "B", "C", "alignment", "moved")
    curves = np.array([[float(v) for v in row] for row in rows]).T
    return dict(zip(names, curves, strict=True)) | {"w": w.numpy(), "M": M.numpy(), "u": u.numpy(), "V": V.numpy()}


def first_below(step, curve, part: float, *, start: float | None = None) -> float:
    """The first step at which a curve is below ``part`` of its start (its first entry, or ``start``), read off
    with straight lines between log steps; infinity if it never is."""
    step, curve = np.asarray(step, float), np.asarray(curve, float)
    level = part * (curve[0] if start is None else start)
    below = np.flatnonzero(curve < level)
    if len(below) == 0:
        return float("inf")
    i = int(below[0])
    if i == 0 or step[i - 1] < 1:
        return float(step[i])
    share = (curve[i - 1] - level) / (curve[i - 1] - curve[i])
    return float(step[i - 1] * (step[i] / step[i - 1]) ** share)
