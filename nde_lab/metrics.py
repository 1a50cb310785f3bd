"""How good, how far apart, how sure: classification scores, distances between samples, spread over seeds,
orders.

``accuracy``, ``confusion``, ``cross_entropy`` and ``energy_distance`` are torch functions with fixed shapes
and no branching on values, so an experiment's step may use them. ``wasserstein_1d`` sorts: for eager code.
``seed_band``, ``bootstrap_interval`` and ``fitted_slope`` take and give numpy numbers: for results of sweeps
and for claims.
"""
from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from nde_lab.random import check_seed


def _one_hot(labels: Tensor, logits: Tensor) -> Tensor:
    """(N,) integers -> (N, K) bool. Labels outside 0 .. K-1 give a row without True."""
    if logits.dim() != 2 or labels.shape != logits.shape[:1]:
        raise ValueError("scores need logits of shape (N, K) and labels of shape (N,), got "
                         f"{tuple(logits.shape)} and {tuple(labels.shape)}")
    return labels[:, None] == torch.arange(logits.shape[1], device=logits.device)


def _votes(logits: Tensor) -> Tensor:
    """(N, K) -> (N, K): 1 at the largest logit of each row; m equal largest ones get 1/m each; NaN gets 0."""
    best = (logits == logits.amax(1, keepdim=True)).to(logits.dtype)
    return best / best.sum(1, keepdim=True).clamp(min=1.0)


def accuracy(logits: Tensor, labels: Tensor) -> Tensor:
    """Share of rows whose largest logit is the right one: logits (N, K), labels (N,) int64 -> 0-d, in [0, 1].

    Ties count as guesses: a right class among m equal largest logits is worth 1/m. (``argmax`` takes the
    first, and so gives a constant classifier the share of class 0.) A row with a NaN is wrong.
    """
    return (_votes(logits) * _one_hot(labels, logits)).sum(1).mean()


def confusion(logits: Tensor, labels: Tensor) -> Tensor:
    """(N, K), (N,) -> (K, K): entry [i, j] counts the rows of class i that are classified as j.

    Ties are shared out as in ``accuracy``, so that the trace divided by N is the accuracy.
    """
    return _one_hot(labels, logits).to(logits.dtype).T @ _votes(logits)


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean of -log softmax(logits)[label] in nats: (N, K), (N,) int64 -> 0-d. Chance is log K."""
    return -torch.where(_one_hot(labels, logits), torch.log_softmax(logits, 1), 0.0).sum(1).mean()


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances (n, m); where points coincide, 0 with gradient 0 (sqrt alone would give NaN)."""
    squares = ((x[:, None] - y[None]) ** 2).sum(-1)
    apart = squares > 0
    return torch.where(apart, torch.where(apart, squares, 1.0).sqrt(), 0.0)


def energy_distance(x: Tensor, y: Tensor) -> Tensor:
    """2 E|X - Y| - E|X - X'| - E|Y - Y'| from samples, without bias: x (n, ...), y (m, ...) -> 0-d.

    Trailing axes are flattened (a path is a point), norms are Euclidean, and pairs of a sample with itself
    are left out (Szekely and Rizzo 2013). Zero in the mean if and only if the two laws agree, so single
    values can be negative. Costs n m d memory. ValueError for fewer than two samples or different trailing
    shapes.
    """
    if x.dim() < 1 or y.dim() < 1 or x.shape[1:] != y.shape[1:] or min(x.shape[0], y.shape[0]) < 2:
        raise ValueError("energy_distance needs two samples of shapes (n, ...) and (m, ...), n and m at "
                         f"least 2, with the same trailing axes, got {tuple(x.shape)} and {tuple(y.shape)}")
    x, y = x.reshape(x.shape[0], -1), y.reshape(y.shape[0], -1)
    n, m = x.shape[0], y.shape[0]
    within = _distances(x, x).sum() / (n * (n - 1)) + _distances(y, y).sum() / (m * (m - 1))
    return 2 * _distances(x, y).mean() - within


def wasserstein_1d(x: Tensor, y: Tensor) -> Tensor:
    """W1 between two samples on the line: (n,), (m,) -> 0-d, in the unit of the samples.

    The mean distance of their quantiles, which is the area between their distribution functions; for n = m
    the mean distance of the sorted samples. Sorts, so it is for eager code.
    """
    if x.dim() != 1 or y.dim() != 1 or 0 in (len(x), len(y)):
        raise ValueError("wasserstein_1d needs samples of shapes (n,) and (m,), n and m at least 1, got "
                         f"{tuple(x.shape)} and {tuple(y.shape)}")
    points = torch.cat([x, y]).sort().values
    at = points.detach()[:-1].contiguous()
    # the two distribution functions, constant between neighbouring points
    f, g = (torch.searchsorted(s.detach().sort().values, at, right=True).to(at.dtype) / len(s)
            for s in (x, y))
    return ((f - g).abs() * (points[1:] - points[:-1])).sum()


def seed_band(values, *, axis: int = 0, coverage: float = 0.5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Median, low and high over seeds: the quantiles 1/2, (1 - coverage)/2 and (1 + coverage)/2 along
    ``axis``.

    NaN (a run that had diverged) is left out; where nothing is left, the result is NaN. ValueError for a
    coverage outside [0, 1].
    """
    if not 0 <= coverage <= 1:
        raise ValueError(f"the coverage of a band is a share between 0 and 1, got {coverage!r}")
    values = np.asarray(values, dtype=np.float64)
    if values.ndim == 0 or values.shape[axis] == 0:
        raise ValueError(f"seed_band needs at least one seed along axis {axis}, got shape {values.shape}")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="All-NaN slice", category=RuntimeWarning)
        median, low, high = np.nanquantile(values, [0.5, (1 - coverage) / 2, (1 + coverage) / 2], axis=axis)
    return median, low, high


def bootstrap_interval(values, statistic: Callable = np.mean, *, level: float = 0.95, resamples: int = 2000,
                       seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval of a statistic of independent values (n,): draw n with replacement,
    repeat.

    ``statistic(array, axis=-1)`` reduces the last axis (``np.mean``, ``np.median``). The same seed gives the
    same interval. With few values it is too narrow (five seeds of a normal: about 84 % for a nominal 95 %).
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or len(values) < 2 or not np.isfinite(values).all():
        raise ValueError("bootstrap_interval needs at least two values of shape (n,), all finite, got shape "
                         f"{values.shape} with {int((~np.isfinite(values)).sum())} not finite")
    if not 0 < level < 1:
        raise ValueError(f"the level of an interval lies strictly between 0 and 1, got {level!r}")
    if isinstance(resamples, bool) or not isinstance(resamples, int) or resamples < 1:
        raise ValueError(f"resamples is a whole number >= 1, got {resamples!r}")
    index = np.random.default_rng(check_seed(seed)).integers(len(values), size=(resamples, len(values)))
    low, high = np.quantile(statistic(values[index], axis=-1), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def fitted_slope(x, y, *, scale: str = "log") -> float:
    """Slope of the least-squares line through (x, y), both (n,).

    scale "log" fits log y against log x (the order of convergence, from step sizes and errors), "semilog" log
    y against x (a rate of decay), "linear" y against x. ValueError for fewer than two distinct x, and for
    values that are not finite or, on a logarithmic axis, not positive.
    """
    if scale not in ("log", "semilog", "linear"):
        raise ValueError(f"scale is 'log', 'semilog' or 'linear', got {scale!r}")
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"fitted_slope needs x and y of one shape (n,), got {x.shape} and {y.shape}")
    for name, values, logarithmic in (("x", x, scale == "log"), ("y", y, scale != "linear")):
        bad = ~np.isfinite(values) | (logarithmic & (values <= 0))
        if bad.any():
            raise ValueError(f"fitted_slope on scale {scale!r} needs finite{' positive' * logarithmic} {name}"
                             f", got {values[bad][0]:g} at position {int(bad.argmax())}")
    x, y = np.log(x) if scale == "log" else x, np.log(y) if scale != "linear" else y
    if len(np.unique(x)) < 2:
        raise ValueError(f"fitted_slope needs at least two different x, got {len(np.unique(x))}")
    centred = x - x.mean()
    return float((centred * (y - y.mean())).sum() / (centred ** 2).sum())
