"""Transport problems: random assignments, densities on a line, two handwritten digits."""
from __future__ import annotations

import numpy as np

COSTS = ("random", "squared", "absolute")


def line_masses(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (n,) in the middle of n cells of [0, 1], two bumps r (n,) and one wide bump c (n,), totals 1."""
    s = (np.arange(n) + 0.5) / n
    r = np.exp(-((s - 0.25) / 0.08) ** 2 / 2) + 0.7 * np.exp(-((s - 0.7) / 0.1) ** 2 / 2) + 0.05
    c = np.exp(-((s - 0.5) / 0.2) ** 2 / 2) + 0.05
    return s, r / r.sum(), c / c.sum()


def random_assignment(n: int, *, seed: int) -> np.ndarray:
    """n sources, n targets, costs independent and uniform on [0, 1], as in the paper's first experiment: (n,
    n)."""
    return np.random.default_rng(seed).random((n, n))


def line_cost(n: int, kind: str) -> np.ndarray:
    """(n, n): "squared" or "absolute" distance of the points of ``line_masses``."""
    if kind not in COSTS[1:]:
        raise ValueError(f"a cost on the line is squared or absolute, got {kind!r}")
    gap = np.abs(np.subtract.outer(np.arange(n), np.arange(n))) / n
    return gap ** 2 if kind == "squared" else gap


def digit_pair(power: int, *, first: int = 0, second: int = 1, fine: int = 2) -> tuple:
    """Two of scikit-learn's handwritten digits as masses on one grid of pixels: cost (N, N), r (N,), c (N,).

    power  2: squared Euclidean distance of pixels; 1: sum of the horizontal and the vertical distance; both
           divided by the largest cost, as the paper does
    first, second  places in the training part of ``load_digits``
    fine   each of the 8 x 8 pixels becomes fine x fine equal ones, N = (8 fine)^2

    A hundredth of the mean mass is added to every pixel, because Newton's step divides by the masses.
    """
    from nde_lab.data import load_digits
    if power not in (1, 2):
        raise ValueError(f"power is 1 or 2, got {power!r}")
    images = load_digits()[0].images()[[first, second]].double().numpy()
    masses = [np.kron(image, np.ones((fine, fine))).reshape(-1) for image in images]
    masses = [(m / m.sum() + 0.01 / m.size) / 1.01 for m in masses]
    spots = np.stack(np.divmod(np.arange((8 * fine) ** 2), 8 * fine), 1)
    cost = (np.abs(spots[:, None] - spots[None]).astype(float) ** power).sum(2)
    return cost / cost.max(), *masses
