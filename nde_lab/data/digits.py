"""Handwritten digits: 1797 pictures of 8 x 8 pixels that come inside the scikit-learn wheel, so no download.

    train, test = load_digits()                       # 1400 and 397 pictures, classes balanced, split fixed by
    the seed train.pixels, train.labels                        # (1400, 64) float32 in [0, 1], (1400,) int64 in
    0 .. 9 test.images()                                     # (397, 8, 8), row 0 at the top

Small enough to train on in seconds, real enough to be wrong about. Source: E. Alpaydin and C. Kaynak, "Optical
recognition of handwritten digits", UCI machine learning repository, 1998 (its test part, as scikit-learn
carries it).
"""
from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.random import Permutation, check_seed, sample

COUNT, SIDE, CLASSES = 1797, 8, 10
GREYS = 16            # the pixels are whole numbers 0 .. 16


@dataclass(frozen=True)
class Digits:
    """Labelled pictures. pixels (n, 64) float32 in [0, 1], row after row; labels (n,) int64; index (n,) int64,
    the place of each in scikit-learn's order."""
    pixels: Tensor
    labels: Tensor
    index: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def images(self) -> Tensor:
        """The pictures as squares (n, 8, 8), row 0 at the top."""
        return self.pixels.reshape(-1, SIDE, SIDE)

    def counts(self) -> Tensor:
        """How many pictures each class has: (10,) int64."""
        return torch.bincount(self.labels, minlength=CLASSES)

    def take(self, chosen: Tensor) -> Digits:
        """The pictures at these places (integers, or a mask), in that order."""
        return Digits(self.pixels[chosen], self.labels[chosen], self.index[chosen])


@functools.cache
def all_digits() -> Digits:
    """All 1797 pictures in scikit-learn's order, read once per process. ModuleNotFoundError without
    scikit-learn."""
    try:
        from sklearn.datasets import load_digits as read
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError('the digits come with the package scikit-learn, which is not installed: '
                                  'pip install "nde_lab[data]"', name=error.name) from error
    pixels, labels = read(return_X_y=True)
    return Digits(torch.from_numpy(pixels).to(torch.float32) / GREYS, torch.from_numpy(labels).to(torch.int64),
                  torch.arange(len(labels)))


def load_digits(*, train: int = 1400, seed: int = 0) -> tuple[Digits, Digits]:
    """The digits in two parts: ``train`` pictures to learn from, and all others to test with.

    Stratified: every class has, to within one picture, the same share of both parts. The split is a function of
    ``train`` and ``seed`` alone, on every machine; both parts come in random order, so ``train.pixels[:128]``
    is a fair batch.

    ValueError for a ``train`` that leaves a class out of either part; ModuleNotFoundError without scikit-learn.
    """
    check_seed(seed)
    if isinstance(train, bool) or not isinstance(train, int) or not 2 * CLASSES <= train <= COUNT - 2 * CLASSES:
        raise ValueError(f"train is a whole number of pictures from {2 * CLASSES} to {COUNT - 2 * CLASSES} "
                         f"(there are {COUNT}, and both parts need every class), got {train!r}")
    every = all_digits()
    order = sample({"order": Permutation(COUNT)}, seed=seed, stream="digits")["order"]
    shuffled = every.take(order)
    member = shuffled.labels[:, None] == torch.arange(CLASSES)               # (1797, 10)
    rank = (member.cumsum(0) - 1).gather(1, shuffled.labels[:, None])[:, 0]  # how many of its class came before
    first = rank < _quota(every.counts(), train)[shuffled.labels]
    return shuffled.take(first), shuffled.take(~first)


def _quota(counts: Tensor, wanted: int) -> Tensor:
    """Whole numbers that add up to ``wanted``, proportional to ``counts`` (largest remainders get the rest)."""
    exact = counts.to(torch.float64) * wanted / int(counts.sum())
    quota = exact.floor().to(torch.int64)
    rest = wanted - int(quota.sum())
    quota[torch.argsort(exact - quota, descending=True, stable=True)[:rest]] += 1
    return quota
