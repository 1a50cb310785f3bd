"""Simulated series for classification: noisy sines whose class is their frequency.

Class k is a sine of frequency 1 + k/2 on [0, 1] with a random phase and an amplitude between 0.7 and 1.3,
plus independent noise at each point. Neither the first value nor the mean gives the class away: a model has
to see the path.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from nde_lab.data.series import Series
from nde_lab.random import Declaration, Normal, Uniform, sample


def sines_draws(n: int, length: int = 40, *, prefix: str = "") -> dict[str, Declaration]:
    """The random tensors behind n sines, by name: phase (n,) in [0, 1), amplitude (n,) in [0.7, 1.3) and
    noise (n, length), standard normal. Put them in an experiment's start draws; ``prefix`` keeps two sets
    apart."""
    return {f"{prefix}phase": Uniform((n,)), f"{prefix}amplitude": Uniform((n,), 0.7, 1.3),
            f"{prefix}noise": Normal((n, length))}


def sines_labels(n: int, n_classes: int = 3) -> Tensor:
    """(n,) int64: 0, 1, ..., n_classes - 1, 0, 1, ...: as balanced as n allows, without any randomness."""
    return torch.arange(n) % n_classes


def sines(times: Tensor, labels: Tensor, *, phase: Tensor, amplitude: Tensor, noise: Tensor,
          level: float | Tensor = 0.15) -> Tensor:
    """times (L,), labels (n,) and the tensors of ``sines_draws`` -> values (n, L, 1). Pure.

    ``level`` is the standard deviation of the noise, a number or a 0-d tensor (a live knob).
    """
    turns = (1 + 0.5 * labels.to(times.dtype))[:, None] * times + phase[:, None]
    return (amplitude[:, None] * torch.sin(2 * math.pi * turns) + level * noise)[..., None]


def irregular_sines(n: int, *, n_classes: int = 3, length: int = 40, noise: float = 0.15,
                    seed: int) -> Series:
    """n sines of ``n_classes`` frequencies 1, 1.5, 2, ... on ``length`` equally spaced points of [0, 1]: (n,
    length, 1).

    Complete; ``remove_entries`` makes them irregular. ValueError unless n >= 1, n_classes >= 1, length >= 2
    and noise >= 0.
    """
    for key, value, low in (("n", n, 1), ("n_classes", n_classes, 1), ("length", length, 2)):
        if isinstance(value, bool) or not isinstance(value, int) or value < low:
            raise ValueError(f"irregular_sines needs a whole number {key} >= {low}, got {value!r}")
    if not (math.isfinite(noise) and noise >= 0):
        raise ValueError(f"irregular_sines needs noise >= 0 (a standard deviation), got {noise!r}")
    times, labels = torch.linspace(0, 1, length), sines_labels(n, n_classes)
    drawn = sample(sines_draws(n, length), seed=seed, stream="sines")
    return Series(values=sines(times, labels, **drawn, level=noise), times=times,
                  lengths=torch.full((n,), length), labels=labels,
                  classes=tuple(f"frequency {1 + 0.5 * k:g}" for k in range(n_classes)), name="sines")
