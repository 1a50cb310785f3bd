"""A network that knows an Abelian group's table with 2M - 2 hidden units, written down, not trained.

Yuandong Tian, arXiv 2509.21519, theorem 3 (complex weights, no weight decay).
"""
from __future__ import annotations

import functools

import numpy as np

from nde_lab.dynamics.scaling_laws_grokking.groups import Group, group


def characters(G: Group) -> np.ndarray:
    """The M homomorphisms of an Abelian group into the complex unit circle, one a row, the constant first: (M, M).

    They come from a product of cyclic groups, so ``G`` must be named like "Z23" or "Z4xZ6"; a ValueError says so.
    """
    parts = G.name.split("x")
    if any(not part.startswith("Z") for part in parts):
        raise ValueError(f"characters are written down for products of cyclic groups such as Z4xZ6, not {G.name}")
    orders = [int(part[1:]) for part in parts]
    each = [np.exp(2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in orders]
    return functools.reduce(np.kron, each)


def written_down(name: str) -> tuple[np.ndarray, np.ndarray]:
    """W (2M, 2M - 2) and V (2M - 2, M), complex, with (X W)^2 V = one-hot of a b - 1/M for every pair.

    For each character c but the constant one: a unit with weights c in both halves, and one with -c in the
    second. Their squares differ by 4 c(a) c(b) = 4 c(ab), and sum_c c(ab) conj(c(y)) / M is the one-hot of ab
    less 1/M.
    """
    G = group(name)
    c = characters(G)[1:]
    same, opposite = np.concatenate([c.T, c.T]), np.concatenate([c.T, -c.T])
    W = np.concatenate([same, opposite], axis=1)
    V = c.conj() / (4 * G.M)
    return W, np.concatenate([V, -V])
