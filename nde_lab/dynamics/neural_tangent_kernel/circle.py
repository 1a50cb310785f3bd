"""Points on the circle, where the limit kernel depends on the angle between two points alone.

So on equally spaced points the Gram matrix is circulant, its eigenvectors are the Fourier modes, and its
eigenvalues
are a cosine transform of one row (arXiv 1806.07572, sections 6.1 and 6.2 work on the circle).
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from nde_lab.dynamics.neural_tangent_kernel.limit import recursion

FOUR = (0.3, 1.2, 2.2, 3.9)         # angles of four data points, in radians


def on_circle(angles) -> Tensor:
    """(cos, sin) of angles (n,): points (n, 2)."""
    angles = torch.as_tensor(angles)
    return torch.stack([angles.cos(), angles.sin()], 1)


def spaced(n: int, *, dtype=torch.float32) -> Tensor:
    """n equally spaced angles from 0, in radians."""
    return 2 * math.pi * torch.arange(n, dtype=dtype) / n


def product(points: Tensor) -> Tensor:
    """The paper's target x_1 x_2 at points (n, 2)."""
    return points[:, 0] * points[:, 1]


def limits(one: Tensor, two: Tensor, *, act: str, depth: int, beta) -> tuple[Tensor, Tensor]:
    """(Sigma, Theta) (n, m) between angles (n,) and (m,); beta may be a live knob. x.x / n_0 is 1/2 here."""
    half = torch.full((), 0.5, dtype=one.dtype)
    return recursion(half, half, torch.cos(one[:, None] - two[None]) / 2, act=act, depth=depth, beta=beta)[-1]


def fourier_rates(row: Tensor, modes: Tensor) -> Tensor:
    """Eigenvalues of K/N for the modes cos(k angle): row (..., N) is Theta at the N equally spaced angles."""
    n = row.shape[-1]
    angle = 2 * math.pi * torch.arange(n, dtype=row.dtype) / n
    return row @ torch.cos(modes[:, None] * angle[None]).T / n
