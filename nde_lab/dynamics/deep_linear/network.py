"""Deep linear networks y = W_N ... W_1 x, their starts, and full-batch gradient descent on whitened inputs.

A network is a list of matrices, the one that meets the input first; a task is the matrix Σ of input-output
correlations (a sum over examples, the paper's Σ^31), with inputs for which the sum of x x^T is the identity.
The loss is then ½ |Σ - W_N ... W_1|^2 up to a constant. All in float64; nothing here is traced for the page.
"""
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.random import Normal, sample

STARTS = ("aligned", "orthogonal", "Gaussian")
T64 = torch.float64


@dataclass(frozen=True)
class Task:
    """Σ = U diag(s) V^T. U (out, modes), s (modes,) in falling order, V (in, modes)."""
    U: Tensor
    s: Tensor
    V: Tensor

    @property
    def matrix(self) -> Tensor:
        return (self.U * self.s) @ self.V.T

    def strengths(self, total: Tensor) -> Tensor:
        """What a map (out, in) makes of each mode: u_α^T total v_α, (modes,)."""
        return (self.U * (total @ self.V)).sum(0)


def random_orthogonal(n: int, *, seed: int, name: str = "O") -> Tensor:
    """A matrix (n, n) uniform over the orthogonal group: QR of normal entries, signs of the diagonal made +."""
    G = sample({name: Normal((n, n))}, seed=seed, stream="start", dtype=T64)[name]
    Q, R = torch.linalg.qr(G)
    return Q * R.diagonal().sign()


def random_task(s: Sequence[float], *, n_in: int, n_out: int, seed: int = 0) -> Task:
    """A task with the singular values s (positive, falling) and random singular vectors."""
    s = torch.as_tensor(s, dtype=T64)
    if s.dim() != 1 or not 1 <= len(s) <= min(n_in, n_out) or (s <= 0).any() or (s.diff() > 0).any():
        raise ValueError(f"singular values are 1 to {min(n_in, n_out)} positive numbers in falling order, "
                         f"got {s.tolist()}")
    return Task(random_orthogonal(n_out, seed=seed, name="U")[:, :len(s)], s,
                random_orthogonal(n_in, seed=seed, name="V")[:, :len(s)])


def start(kind: str, widths: Sequence[int], u0: float, *, seed: int = 0,
          task: Task | None = None) -> list[Tensor]:
    """Weights (widths[l+1], widths[l]) of overall size u0: each matrix is u0^(1/N) times

    "Gaussian"    independent entries of variance 1/fan_in;
    "orthogonal"  a random orthogonal matrix (its upper left part where the widths differ);
    "aligned"     R_{l+1} 1 R_l^T, random rotations inside, but the task's U and V at the two ends: then the
                  modes of the task are decoupled and balanced, and each begins at exactly u0. Needs ``task``.

    Raises ValueError for another kind, widths that are not whole numbers >= 1, u0 <= 0, or a missing task.
    """
    if kind not in STARTS:
        raise ValueError(f"a start is one of {', '.join(STARTS)}, got {kind!r}")
    if len(widths) < 2 or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in widths):
        raise ValueError(f"widths are at least two whole numbers >= 1, got {list(widths)}")
    if not u0 > 0:
        raise ValueError(f"u0 is {u0!r}; a start needs a size > 0 (zero weights are a saddle: nothing moves)")
    N, largest = len(widths) - 1, max(widths)
    size = u0 ** (1 / N)
    pairs = list(zip(widths[1:], widths[:-1], strict=True))
    if kind == "Gaussian":
        declared = {f"W{i}": Normal(shape) for i, shape in enumerate(pairs)}
        G = sample(declared, seed=seed, stream="start", dtype=T64)
        return [size * G[f"W{i}"] / shape[1] ** 0.5 for i, shape in enumerate(pairs)]
    if kind == "orthogonal":
        return [size * random_orthogonal(largest, seed=seed, name=f"W{i}")[:shape[0], :shape[1]]
                for i, shape in enumerate(pairs)]
    if task is None:
        raise ValueError("an aligned start needs the task whose singular vectors it takes")
    if min(widths) < len(task.s) or widths[0] != len(task.V) or widths[-1] != len(task.U):
        raise ValueError(f"widths {list(widths)} do not fit a task from {len(task.V)} to {len(task.U)} with "
                         f"{len(task.s)} modes; every layer needs at least as many units as there are modes")
    frames = [task.V, *(random_orthogonal(n, seed=seed, name=f"R{i}")[:, :len(task.s)]
                        for i, n in enumerate(widths[1:-1])), task.U]
    return [size * b @ a.T for a, b in zip(frames[:-1], frames[1:], strict=True)]


def product(weights: Sequence[Tensor]) -> Tensor:
    """W_N ... W_1."""
    total = weights[0]
    for W in weights[1:]:
        total = W @ total
    return total


def gradients(weights: Sequence[Tensor], matrix: Tensor) -> tuple[list[Tensor], float]:
    """Gradients of ½ |Σ - W_N ... W_1|^2, one per matrix, and the loss."""
    before = [None]                                      # W_{l-1} ... W_1; None stands for the identity
    for W in weights:
        before.append(W if before[-1] is None else W @ before[-1])
    error = before[-1] - matrix
    back, grads = error, []                              # (W_N ... W_{l+1})^T error
    for W, below in zip(reversed(weights), reversed(before[:-1]), strict=True):
        grads.append(back if below is None else back @ below.T)
        back = W.T @ back
    return grads[::-1], 0.5 * float(error.square().sum())


def descend(weights: Sequence[Tensor], matrix: Tensor, lr: float, steps: int, *, watch=None,
            until: float = 0.0):
    """Gradient descent; returns (weights, seen): ``watch(weights)`` before the first and after every step.

    Ends early when the loss falls below ``until`` times the loss of the zero map, or stops being finite.
    """
    if not lr > 0:
        raise ValueError(f"lr is {lr!r}; a learning rate is > 0")
    weights, floor = [W.clone() for W in weights], until * 0.5 * float(matrix.square().sum())
    seen = [] if watch is None else [watch(weights)]
    for _ in range(steps):
        grads, loss = gradients(weights, matrix)
        if not loss < float("inf") or loss < floor:
            break
        weights = [W - lr * g for W, g in zip(weights, grads, strict=True)]
        if watch is not None:
            seen.append(watch(weights))
    return weights, seen


def steps_to(weights: Sequence[Tensor], matrix: Tensor, lr: float, *, share: float, limit: int) -> float:
    """Steps of gradient descent until the loss is below ``share`` of the zero map's; inf if not within
    ``limit``."""
    goal = share * 0.5 * float(matrix.square().sum())
    for step in range(limit + 1):
        grads, loss = gradients(weights, matrix)
        if loss <= goal:
            return step
        if not loss < 1e12:
            break
        weights = [W - lr * g for W, g in zip(weights, grads, strict=True)]
    return float("inf")


def imbalance(weights: Sequence[Tensor]) -> list[Tensor]:
    """W_{l+1}^T W_{l+1} - W_l W_l^T for each pair of neighbours: gradient flow never changes these."""
    return [b.T @ b - a @ a.T for a, b in zip(weights[:-1], weights[1:], strict=True)]
