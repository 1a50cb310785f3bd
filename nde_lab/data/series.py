"""A set of labelled time series, how it is split and standardised, and how entries are removed from it.

The protocol is that of "Stable Neural Stochastic Differential Equations in Analyzing Irregular Time Series
Data" (Oh, Lim, Kim 2024): 70 / 15 / 15 per cent of the merged set, stratified by class; each channel
standardised with the moments of the training part; 0, 30, 50 or 70 per cent of the entries removed at random.
"""
from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from nde_lab.random import Permutation, Uniform, sample


@dataclass(frozen=True, eq=False, repr=False)
class Series:
    """N labelled series of up to L points with C channels.

    values   (N, L, C) float32, NaN where nothing was observed and beyond a series' own length
    times    (L,) float32, increasing from 0 to 1, shared by all series (a shorter series ends before 1)
    lengths  (N,) int64, the number of points of each series, 1 .. L
    labels   (N,) int64, indices into ``classes``
    classes  the names of the classes
    name     what the set is called
    """
    values: Tensor
    times: Tensor
    lengths: Tensor
    labels: Tensor
    classes: tuple[str, ...]
    name: str

    def __post_init__(self):
        if self.values.dim() != 3 or 0 in self.values.shape:
            raise ValueError(f"{self.name}: values must have shape (series, points, channels), none of them "
                             f"0, got {tuple(self.values.shape)}; a single channel still needs its axis")
        n, length, _ = self.values.shape
        for field, shape in (("times", (length,)), ("lengths", (n,)), ("labels", (n,))):
            if tuple(getattr(self, field).shape) != shape:
                raise ValueError(f"{self.name}: {field} must have shape {shape} to go with values of shape "
                                 f"{tuple(self.values.shape)}, got {tuple(getattr(self, field).shape)}")
        if not (1 <= int(self.lengths.min()) and int(self.lengths.max()) <= length):
            raise ValueError(f"{self.name}: lengths must lie between 1 and {length} (the points in values), "
                             f"got {int(self.lengths.min())} to {int(self.lengths.max())}")
        if not (0 <= int(self.labels.min()) and int(self.labels.max()) < len(self.classes)):
            raise ValueError(f"{self.name}: labels must lie between 0 and {len(self.classes) - 1} (there are "
                             f"{len(self.classes)} classes), got {int(self.labels.min())} to "
                             f"{int(self.labels.max())}")

    def __len__(self) -> int:
        return self.values.shape[0]

    def __repr__(self) -> str:
        n, length, channels = self.values.shape
        shortest = int(self.lengths.min())
        points = f"{length}" if shortest == length else f"{shortest} to {length}"
        seen = int(self.observed.sum()) / (channels * int(self.lengths.sum()))
        return (f"Series({self.name}: {n} series of {points} points, {channels} channel"
                f"{'s' * (channels > 1)}, {len(self.classes)} classes, {1 - seen:.0%} missing)")

    @property
    def observed(self) -> Tensor:
        """(N, L, C) bool: True where an entry was observed."""
        return ~torch.isnan(self.values)

    def take(self, index: Tensor | Sequence[int]) -> Series:
        """The series at these positions, in this order; times and classes stay."""
        index = torch.as_tensor(index, dtype=torch.int64)
        return replace(self, values=self.values[index], lengths=self.lengths[index],
                       labels=self.labels[index])


def as_series(values, labels, *, times=None, lengths=None, classes: Sequence[str] | None = None,
              name: str = "your data") -> Series:
    """Check arrays and make a ``Series`` of them.

    values   (N, L, C), or a list of N arrays (L_i, C) of unequal lengths, which is padded with NaN
    labels   (N,) of anything that ``str`` names; ``classes`` lists the names in order (default: sorted)
    times    (L,), increasing, shifted and scaled to [0, 1]; default: equally spaced
    lengths  (N,), for values that are already padded; default: the length of each array

    ValueError for wrong shapes, infinite values, times that do not increase, a label that is not among
    ``classes``, and a series in which nothing at all was observed.
    """
    rows = [_row(row, i, name) for i, row in enumerate(values)]
    if not rows:
        raise ValueError(f"{name}: there are no series in it")
    channels = {row.shape[1] for row in rows}
    if len(channels) != 1:
        raise ValueError(f"{name}: all series need the same number of channels, got {sorted(channels)}")
    given = np.array([len(row) for row in rows]) if lengths is None else np.asarray(lengths, dtype=np.int64)
    if given.shape != (len(rows),):
        raise ValueError(f"{name}: lengths must have shape ({len(rows)},), one per series, got {given.shape}")
    padded = np.full((len(rows), max(len(row) for row in rows), channels.pop()), np.nan, dtype=np.float32)
    for i, row in enumerate(rows):
        kept = min(len(row), max(int(given[i]), 0))
        padded[i, :kept] = row[:kept]
        if np.isnan(padded[i]).all():
            raise ValueError(f"{name}: series {i} has no observed value (every entry is NaN); leave it out")
    names = [str(label) for label in (labels.tolist() if hasattr(labels, "tolist") else labels)]
    classes = tuple(sorted(set(names), key=_natural)) if classes is None else tuple(str(c) for c in classes)
    if len(names) != len(rows):
        raise ValueError(f"{name}: there are {len(rows)} series but {len(names)} labels")
    if unknown := sorted(set(names) - set(classes)):
        raise ValueError(f"{name}: label {unknown[0]!r} is not among the classes {', '.join(classes)}")
    return Series(values=torch.from_numpy(padded), times=_unit_times(times, padded.shape[1], name),
                  lengths=torch.from_numpy(given.astype(np.int64)),
                  labels=torch.tensor([classes.index(label) for label in names]), classes=classes, name=name)


def _row(row, i: int, name: str) -> np.ndarray:
    row = np.asarray(row, dtype=np.float64)
    if row.ndim != 2 or 0 in row.shape:
        raise ValueError(f"{name}: series {i} must have shape (points, channels), none of them 0, got "
                         f"{row.shape}; a single channel still needs its axis")
    if np.isinf(row).any():
        raise ValueError(f"{name}: series {i} has an infinite value; write NaN where nothing was observed")
    return row


def _natural(label: str) -> tuple:
    # "10" after "9", as in the archives' own lists of classes
    return (0, int(label), label) if label.removeprefix("-").isdecimal() else (1, 0, label)


def _unit_times(times, length: int, name: str) -> Tensor:
    times = np.arange(length) if times is None else np.asarray(times)
    times = times.astype(np.float64)
    if times.shape != (length,):
        raise ValueError(f"{name}: times must have shape ({length},), one per point, got {times.shape}")
    if not (np.isfinite(times).all() and (np.diff(times) > 0).all()):
        raise ValueError(f"{name}: times must be finite and strictly increasing")
    span = times[-1] - times[0] if length > 1 else 1.0
    return torch.from_numpy((times - times[0]) / span).float()


def split(series: Series, fractions: Sequence[float] = (0.7, 0.15, 0.15), *, seed: int) -> tuple[Series, ...]:
    """Disjoint random parts, stratified by class: each class is shared out in the same fractions.

    Returns one ``Series`` per fraction (by default train, validation, test); every class is within one series
    of its exact share, unless that would leave a part without it. ValueError if the fractions are not
    positive numbers with sum 1, or if a class has fewer series than there are parts.
    """
    fractions = tuple(float(f) for f in fractions)
    if not all(f > 0 for f in fractions) or not abs(sum(fractions) - 1) < 1e-6:
        raise ValueError("split needs positive fractions with sum 1, such as (0.7, 0.15, 0.15), "
                         f"got {fractions}")
    order = sample({"order": Permutation(len(series))}, seed=seed, stream="split")["order"]
    parts = [[] for _ in fractions]
    for k, label in enumerate(series.classes):
        members = order[series.labels[order] == k].tolist()
        if not members:
            continue                                       # a class that this part of a set does not contain
        if len(members) < len(fractions):
            raise ValueError(f"{series.name}: class {label!r} has {len(members)} series, too few for "
                             f"{len(fractions)} parts; leave the class out or ask for fewer parts")
        start = 0
        for part, size in zip(parts, _shares(len(members), fractions), strict=True):
            part += members[start:start + size]
            start += size
    # in the order of the set, so that a part does not list one class after the other by accident of this loop
    return tuple(series.take(sorted(part)) for part in parts)


def _shares(n: int, fractions: tuple[float, ...]) -> list[int]:
    """n as a sum of whole numbers >= 1 in the ratio of the fractions (largest remainders)."""
    exact = [n * f for f in fractions]
    sizes = [math.floor(e + 1e-9) for e in exact]
    by_remainder = sorted(range(len(sizes)), key=lambda i: sizes[i] - exact[i])
    for i in by_remainder[: n - sum(sizes)]:
        sizes[i] += 1
    while 0 in sizes:
        sizes[sizes.index(max(sizes))] -= 1
        sizes[sizes.index(0)] += 1
    return sizes


def channel_moments(values: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each channel over all observed entries: (N, L, C) -> (C,), (C,).

    NaN entries are left out; the deviation divides by the number of entries. A channel that never varies gets
    deviation 1 (it standardises to 0), and one that was never observed mean 0 and deviation 1 (it stays NaN).
    """
    seen = ~torch.isnan(values)
    count = seen.sum((0, 1)).clamp(min=1)
    clean = torch.where(seen, values, 0.0).double()
    mean = clean.sum((0, 1)) / count
    std = (torch.where(seen, clean - mean, 0.0) ** 2).sum((0, 1)).div(count).sqrt()
    std = torch.where(std > 1e-7 * mean.abs(), std, 1.0)
    return mean.to(values.dtype), std.to(values.dtype)


def standardise(train: Series, *others: Series) -> tuple[Series, ...]:
    """Each channel minus its mean, divided by its standard deviation, both taken from ``train`` alone.

    Returns the training part and the others, in the order given: ``standardise(*split(series, seed=0))``.
    """
    mean, std = channel_moments(train.values)
    for other in others:
        if other.values.shape[2] != len(mean):
            raise ValueError(f"standardise: {train.name} has {len(mean)} channels, {other.name} has "
                             f"{other.values.shape[2]}")
    return tuple(replace(part, values=(part.values - mean) / std) for part in (train, *others))


def missing_mask(uniforms: Tensor, rate: float | Tensor) -> Tensor:
    """Which entries are missing: True with probability ``rate`` (a number or a 0-d tensor, such as a live
    knob).

    ``uniforms`` is a declared tensor ``Uniform((N, L, C))``, or ``Uniform((N, L, 1))`` to lose whole points.
    It stays the same while the rate moves, so a higher rate removes what a lower one did, and more. Pure, one
    comparison.
    """
    return uniforms < rate


def remove_entries(values: Tensor, rate: float, *, seed: int) -> Tensor:
    """``values`` (N, L, C) with each entry replaced by NaN with probability ``rate``, independently.

    Rate 0 removes nothing, rate 1 everything; the same seed with a higher rate removes a superset. The
    outcome is random: about, not exactly, that share is removed (what was NaN already stays NaN).
    """
    if isinstance(rate, bool) or not isinstance(rate, numbers.Real) or not 0 <= rate <= 1:
        raise ValueError(f"the missing rate is a share between 0 and 1, got {rate!r}")
    if values.dim() != 3:
        raise ValueError("remove_entries takes values of shape (series, points, channels), "
                         f"got {tuple(values.shape)}")
    uniforms = sample({"missing": Uniform(tuple(values.shape))}, seed=seed, stream="missing")["missing"]
    return torch.where(missing_mask(uniforms, rate), torch.nan, values)
