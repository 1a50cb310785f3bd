"""A Brownian path that remembers what it has shown: steps may be rejected without bending the law of the noise.

A rejected step has been seen: its increment was large, perhaps, and that is why it was rejected. Drawing a new
one for a shorter step would favour small increments. So the shorter step must be a stretch of the *same* path:
given the increment and the integral over the whole step, those of its first part follow the law of a Brownian
bridge, and the rest is kept for later steps. Source: Rackauckas and Nie 2017, section 3 ("rejection sampling
with memory").
"""
from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from nde_lab.random import Normal, Sampler


class Piece(NamedTuple):
    """A stretch of the path: its length h, its increment dW, and the integral of W(s) - W(start) over it."""
    h: float
    dW: Tensor
    integral: Tensor


def joined(first: Piece, then: Piece) -> Piece:
    """Two neighbours as one stretch."""
    return Piece(first.h + then.h, first.dW + then.dW, first.integral + then.h * first.dW + then.integral)


class RememberedPath:
    """Brownian motions of shape (B, D) from a seed, stretch by stretch.

    ``look(h)`` gives the next stretch of length h. Asked again with another h it gives another stretch of the
    same path, until ``advance()`` moves to the end of the last one.
    """

    def __init__(self, shape, *, seed: int, stream: str = "brownian", dtype=torch.float32):
        self._two = Sampler({"z": Normal((2, *shape))}, seed=seed, stream=stream, dtype=dtype)
        self._drawn = 0
        self._ahead: list[Piece] = []                         # what is known of the future, nearest last
        self._looked = 0                                      # how many of them the last look spans

    def fresh(self, h: float) -> Piece:
        """A new independent stretch of length h: dW has variance h, the integral h^3 / 3, their covariance is
        h^2 / 2."""
        z = self._two.at(self._drawn)["z"]
        self._drawn += 1
        dW = math.sqrt(h) * z[0]
        return Piece(h, dW, h * (0.5 * dW + math.sqrt(h / 12) * z[1]))

    def look(self, h: float) -> Piece:
        """The next stretch of length h > 0: bridged, joined or drawn, as the memory asks."""
        if not h > 0:
            raise ValueError(f"a stretch of a Brownian path has a length above 0, got {h!r}")
        parts, need = [], h
        while need > 1e-12 * h:
            piece = self._ahead.pop() if self._ahead else self.fresh(need)
            if piece.h > need * (1 + 1e-12):
                piece, rest = self.split(piece, need)
                self._ahead.append(rest)
            parts.append(piece)
            need -= piece.h
        # The parts stay apart: the value between them may have been seen by a rejected step.
        self._ahead += reversed(parts)
        self._looked = len(parts)
        return functools.reduce(joined, parts)

    def advance(self) -> None:
        """The stretch that was looked at last is done with."""
        del self._ahead[len(self._ahead) - self._looked:]
        self._looked = 0

    def split(self, whole: Piece, s: float) -> tuple[Piece, Piece]:
        """The first s of a stretch and the rest, given the whole: an independent path, corrected so that it
        ends as the whole does (for Gaussians that is the conditional law)."""
        h, r = whole.h, whole.h - s
        one = self.fresh(s)
        other = joined(one, self.fresh(r))
        miss_w, miss_i = whole.dW - other.dW, whole.integral - other.integral
        # (w, i of the first part) regressed on (w, i of the whole): covariance times inverse variance.
        gain = (torch.tensor([[s, s * s / 2 + r * s], [s * s / 2, s**3 / 3 + r * s * s / 2]],
                             dtype=torch.float64)
                @ torch.tensor([[4 / h, -6 / h**2], [-6 / h**2, 12 / h**3]], dtype=torch.float64)).tolist()
        dW = one.dW + gain[0][0] * miss_w + gain[0][1] * miss_i
        integral = one.integral + gain[1][0] * miss_w + gain[1][1] * miss_i
        return Piece(s, dW, integral), Piece(r, whole.dW - dW, whole.integral - integral - r * dW)
