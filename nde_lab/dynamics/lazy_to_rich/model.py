"""The committee machine of the paper, in closed form: what it predicts, its exact test loss, its tangent kernel.

Tanishq Kumar, Blake Bordelon, Samuel Gershman, Cengiz Pehlevan, "Grokking as the transition from lazy to rich
training dynamics", arXiv 2310.06110 (ICLR 2024). Input x (D,) with entries of variance 1/D; hidden weights
W (N, D), one row a unit; f(x) = (alpha / N) sum_i phi(w_i . x) with phi(h) = h + eps h^2 / 2; target
y(x) = (beta . x)^2 / 2. Two means over the units say everything about f:

    w (D,) = mean of the rows,   M (D, D) = mean of their outer products,
    f(x) = u . x + x^T V x / 2   with  u = alpha w,  V = alpha eps M.

Every function takes leading batch dimensions, the same for all its arguments.
"""
from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


def phi(h, eps):
    """The activation h + eps h^2 / 2."""
    return h + 0.5 * eps * h * h


def statistics(W: Tensor) -> tuple[Tensor, Tensor]:
    """(w (D,), M (D, D)) of weights W (N, D): the means of w_i and of w_i w_i^T."""
    return W.mean(-2), W.mT @ W / W.shape[-2]


def quadratic(X: Tensor, u: Tensor, V: Tensor) -> Tensor:
    """u . x + x^T V x / 2 for each row of X (P, D): (P,)."""
    return (X * u[..., None, :]).sum(-1) + 0.5 * ((X @ V) * X).sum(-1)


def target(X: Tensor, beta: Tensor) -> Tensor:
    """y = (beta . x)^2 / 2 for each row of X: (P,)."""
    return 0.5 * (X * beta[..., None, :]).sum(-1).square()


class TestLoss(NamedTuple):
    """The three parts of the exact test loss; ``total`` is their sum. A: the constant on average, B: the wrong
    quadratic form (misalignment), C: linear power."""
    A: Tensor
    B: Tensor
    C: Tensor

    @property
    def total(self) -> Tensor:
        return self.A + self.B + self.C


def test_loss(u: Tensor, V: Tensor, beta: Tensor) -> TestLoss:
    """Mean of (u . x + x^T V x / 2 - (beta . x)^2 / 2)^2 over x ~ N(0, I / D), exactly (section 4 of the paper).

    A = (|beta|^2 / D - tr V / D)^2 / 4, B = |V - beta beta^T|^2 / (2 D^2), C = |u|^2 / D.
    """
    D = beta.shape[-1]
    trace = V.diagonal(dim1=-2, dim2=-1).sum(-1)
    A = 0.25 * ((beta.square().sum(-1) - trace) / D).square()
    B = (V - beta[..., :, None] * beta[..., None, :]).square().sum((-2, -1)) / (2 * D * D)
    return TestLoss(A, B, u.square().sum(-1) / D)


test_loss.__test__ = False      # not a test, whatever its name
TestLoss.__test__ = False


def alignment(M: Tensor, beta: Tensor) -> Tensor:
    """beta^T M beta over its value if M were a multiple of the identity with the same trace: 1 at an infinitely
    wide start, D once all weights are parallel to beta."""
    along = (beta * (M @ beta[..., None])[..., 0]).sum(-1)
    return along * beta.shape[-1] / (beta.square().sum(-1) * M.diagonal(dim1=-2, dim2=-1).sum(-1))


def tangent_kernel(X: Tensor, Z: Tensor, w: Tensor, M: Tensor, eps) -> Tensor:
    """K(x, z) = (x . z) (1 + eps w . (x + z) + eps^2 x^T M z) for rows of X (P, D) and Z (Q, D): (P, Q).

    The inner product of the gradients of f in W, in units of alpha^2 / N.
    """
    linear = (X @ w[..., None]) + (Z @ w[..., None]).mT
    return (X @ Z.mT) * (1 + eps * linear + eps * eps * (X @ M @ Z.mT))


def first_kernel(X: Tensor, Z: Tensor, eps) -> Tensor:
    """The tangent kernel at an infinitely wide start, w = 0 and M = I: x . z + eps^2 (x . z)^2."""
    G = X @ Z.mT
    return G + (eps * G).square()


def eigenvalues(D: int, eps: float) -> dict[str, tuple[float, int]]:
    """Eigenvalues of ``first_kernel`` over x ~ N(0, I / D), each with the dimension of its space.

    "linear" functions: 1 / D; "quadratic" forms x^T Q x with tr Q = 0: 2 eps^2 / D^2; "radial", the one
    function |x|^2 (a constant and a form of degree two): eps^2 (1 / D + 2 / D^2). The paper prints 2 eps / D^2 for the
    second in its main text, and the third without eps^2 in its appendix.
    """
    return {"linear": (1 / D, D), "quadratic": (2 * eps**2 / D**2, D * (D + 1) // 2 - 1),
            "radial": (eps**2 * (1 / D + 2 / D**2), 1)}


def cka(K: Tensor, y: Tensor, *, centre: bool = True) -> Tensor:
    """Alignment of a kernel (P, P) with labels (P,): y^T K y / (|K| |y|^2), from -1 to 1. ``centre`` first takes
    the mean off y and the column means off K, as the authors' code does."""
    if centre:
        y, K = y - y.mean(-1, keepdim=True), K - K.mean(-2, keepdim=True)
    along = (y * (K @ y[..., None])[..., 0]).sum(-1)
    return along / (K.square().sum((-2, -1)).sqrt() * y.square().sum(-1))


def kernel_regression(X: Tensor, y: Tensor, eps: float) -> tuple[Tensor, Tensor, float]:
    """Where the lazy network ends: (u (D,), V (D, D), difficulty y^T K^-1 y), for the kernel at an infinitely wide
    start. Raises ValueError where the data do not determine the answer in double precision."""
    K = first_kernel(X, X, eps)
    a, failed = torch.linalg.solve_ex(K, y)
    if failed or not bool(torch.isfinite(a).all()) or float((K @ a - y).norm()) > 1e-6 * float(y.norm()):
        raise ValueError(f"the kernel of these {len(X)} inputs in {X.shape[-1]} dimensions with eps = {eps:g} cannot be "
                         f"inverted; take a larger eps, or fewer inputs than D (D + 3) / 2")
    return X.mT @ a, 2 * eps**2 * (X.mT * a) @ X, float(y @ a)
