"""The two-layer network on a group table: features, energy, and what the output layer sends back.

Yuandong Tian, "Provable scaling laws of feature emergence from learning dynamics of grokking", arXiv
2509.21519. Input: two one-hot vectors for the elements a and b of a group of M elements; target: the one-hot of
the product a b. All M^2 pairs stand in the order a M + b; a mask says which of them are seen. The network is
act(X W) V with W (2M, K) and V (K, M), no biases. ``P`` below is the projection that removes the mean over the
seen pairs (the paper's P_1 with a perpendicular sign).
"""
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from nde_lab.autodiff import value_and_grad
from nde_lab.dynamics.scaling_laws_grokking.groups import Group
from nde_lab.nets import activation

ACTS = ("square", "relu")


def act(name: str, z: Tensor) -> Tensor:
    """The activation: "square" (z^2, the paper's), or one of ``nde_lab.nets`` such as "relu"."""
    return z * z if name == "square" else activation(name)(z)


def inputs(G: Group, *, dtype=torch.float32) -> Tensor:
    """X (M^2, 2M): one row per pair, two ones in it."""
    a, b = np.divmod(np.arange(G.M**2), G.M)
    X = np.zeros((G.M**2, 2 * G.M))
    X[np.arange(G.M**2), a] = X[np.arange(G.M**2), G.M + b] = 1
    return torch.as_tensor(X, dtype=dtype)


def targets(G: Group, *, dtype=torch.float32) -> Tensor:
    """Y (M^2, M): the one-hot of a b for each pair."""
    return torch.as_tensor(np.eye(G.M)[G.table.reshape(-1)], dtype=dtype)


def preactivation(W: Tensor) -> Tensor:
    """X W (M^2, K) for all pairs, as a sum of two rows of W: no product with one-hots is needed."""
    M, K = W.shape[0] // 2, W.shape[1]
    return (W[:M, None, :] + W[None, M:, :]).reshape(M * M, K)


def centred(A: Tensor, seen: Tensor) -> Tensor:
    """P A (pairs, ...): the mean over the seen pairs taken off, unseen rows zero. seen (pairs,): 0 or 1."""
    m = seen[:, None]
    return m * (A - (m * A).sum(0) / seen.sum())


def energies(W: Tensor, Y: Tensor, seen: Tensor, *, name: str = "square") -> Tensor:
    """E(w_j) = |(P Y)^T act(X w_j)|^2 / 2 for each column: (K,). The paper's energy (its Theorem 1)."""
    return 0.5 * (centred(Y, seen).T @ act(name, preactivation(W))).square().sum(0)


def climb(W: Tensor, Y: Tensor, seen: Tensor, rate, *, name: str = "square") -> Tensor:
    """One step of ascent for each unit column: w + rate * gradient / |gradient| along the sphere, put back on
    it."""
    _, grad = value_and_grad(lambda p: energies(p["W"], Y, seen, name=name).sum(), {"W": W})
    g = grad["W"]
    g = g - W * (W * g).sum(0)
    size = (g * g).sum(0).sqrt()
    # Far from a maximum steps have length ``rate``; near one they shrink with the gradient.
    up = W + rate * g / (size + 0.15 * W.shape[0])
    return up / (up * up).sum(0).sqrt()


# Stage I: F is frozen and only V learns. Everything below takes F (n, K) of the n seen pairs and Y (n, M).

def project(A: Tensor) -> Tensor:
    """P A: columns without their mean."""
    return A - A.mean(0)


def sent_back(F: Tensor, Y: Tensor, V: Tensor) -> Tensor:
    """G_F = P (Y - F V) V^T (n, K): minus the gradient of |P (Y - F V)|^2 / 2 in F."""
    return project(Y - F @ V) @ V.T


def ridge(F: Tensor, Y: Tensor, eta: float) -> Tensor:
    """V (K, M) that minimises |P (Y - F V)|^2 / 2 + eta |V|^2 / 2: the end of stage I."""
    F, Y = project(F), project(Y)
    return torch.linalg.solve(F.T @ F + eta * torch.eye(F.shape[1], dtype=F.dtype), F.T @ Y)


def sent_back_at_the_end(F: Tensor, Y: Tensor, eta: float) -> Tensor:
    """G_F at the ridge solution (paper, section on stage I):
    eta (F F^T + eta)^-1 Y Y^T F (F^T F + eta)^-1 with centred F and Y. Computed with n x n matrices only."""
    F, Y = project(F), project(Y)
    R = torch.linalg.solve(F @ F.T + eta * torch.eye(len(F), dtype=F.dtype), torch.cat([Y, F], 1))
    left, right = R[:, :Y.shape[1]], R[:, Y.shape[1]:]        # F (F^T F + eta)^-1 = (F F^T + eta)^-1 F
    return eta * left @ (Y.T @ right)


def signal(F: Tensor, Y: Tensor) -> Tensor:
    """Y Y^T F with centred Y and F (n, K): what G_F starts as, and what drives each unit by itself."""
    Y = project(Y)
    return Y @ (Y.T @ project(F))


def sent_back_sizes(F: Tensor, R: Tensor, V: Tensor, Y: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
    """(|G_F|, the part of G_F along the signal Y Y^T F), both 0-d, for G_F = R V^T with residuals R (pairs, M).

    Rows of unseen pairs are zero in R. Nothing of the size pairs x K is formed but F itself: with A = Y^T F,
    <G_F, Y A> = <Y^T R V^T, A>, and |G_F|^2 is the sum of (R^T R)(V^T V) entry by entry.
    """
    Yc = centred(Y, seen)
    A = Yc.T @ F
    size = ((R.T @ R) * (V.T @ V)).sum().clamp(min=0.0).sqrt()
    along = (((Yc.T @ R) @ V.T) * A).sum() / (((Yc.T @ Yc) @ A) * A).sum().sqrt()
    return size, along


def cosine(A: Tensor, B: Tensor) -> float:
    """Cosine of the angle between two matrices taken as vectors."""
    return float((A * B).sum() / (A.norm() * B.norm()))
