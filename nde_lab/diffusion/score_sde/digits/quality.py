"""How good are sampled digits: a judge's confidence, a Frechet distance in its features, and are they new?"""
from __future__ import annotations

import torch
from torch import Tensor


def frechet(a: Tensor, b: Tensor) -> float:
    """|mean difference|^2 + tr(A + B - 2 (A B)^{1/2}) of two samples of features (n, F), (m, F).

    The squared 2-Wasserstein distance of their Gaussian fits (Heusel et al. 2017, with another network). Biased
    upwards for small samples, so compare equal sizes. ValueError for fewer than two rows or unequal widths.
    """
    if a.dim() != 2 or b.dim() != 2 or a.shape[1] != b.shape[1] or min(len(a), len(b)) < 2:
        raise ValueError("frechet needs features of shapes (n, F) and (m, F) with at least two rows each, got "
                         f"{tuple(a.shape)} and {tuple(b.shape)}")
    a, b = a.double(), b.double()
    cov_a, cov_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(b.shape[1], -1)
    values, axes = torch.linalg.eigh(cov_a)
    root = axes * values.clamp(min=0.0).sqrt() @ axes.T
    # tr (A B)^{1/2} by the symmetric matrix of the same spectrum.
    both = torch.linalg.eigvalsh(root @ cov_b @ root).clamp(min=0.0).sqrt().sum()
    apart = (a.mean(0) - b.mean(0)).square().sum()
    return (apart + cov_a.trace() + cov_b.trace() - 2 * both).item()


def to_nearest(x: Tensor, data: Tensor) -> Tensor:
    """Euclidean distance of each row of x (n, D) to the nearest row of data (m, D), (n,)."""
    return torch.cdist(x, data).amin(1)


def confident(logits: Tensor, level: float = 0.9) -> float:
    """The share of rows to whose first choice the classifier gives more than ``level``."""
    return (torch.softmax(logits, -1).amax(-1) > level).double().mean().item()
