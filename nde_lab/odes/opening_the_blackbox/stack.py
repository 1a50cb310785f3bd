"""Several small networks with equal starts, computed side by side: the fair way to see what a penalty does.

A ``Stack`` holds N copies of one field f(t, z) = s tanh(W2 tanh(W1 z + w t + b1) + v t + b2) and a linear
readout. All copies start from the same numbers and see the same data; only their losses differ.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.random import Declaration, Uniform

Tensors = dict[str, Tensor]
NAMES = ("w1", "t1", "b1", "w2", "t2", "b2", "out", "bias")


@dataclass(frozen=True)
class Stack:
    """copies: N. dim: D of the state. hidden: width H. wiggle: how much faster than PyTorch's start the first
    layer changes with time, so that untrained trajectories bend."""
    copies: int
    dim: int
    hidden: int = 16
    wiggle: float = 3.0

    @property
    def draws(self) -> dict[str, Declaration]:
        """Declared starts of one copy."""
        a, b = math.sqrt(6 / (self.dim + 1)), math.sqrt(3 / self.hidden)
        return {"w1": Uniform((self.dim, self.hidden), -a, a),
                "t1": Uniform((1, self.hidden), -a * self.wiggle, a * self.wiggle),
                "b1": Uniform((1, self.hidden), -1.0, 1.0),
                "w2": Uniform((self.hidden, self.dim), -b, b), "t2": Uniform((1, self.dim), -b, b)}

    def init(self, start: Tensors) -> Tensors:
        """Parameters of all copies, each (N, ...), from one sample of ``draws``. The readout starts at the
        first coordinate."""
        one = {n: start[n] for n in self.draws}
        one |= {"b2": 0 * one["t2"], "out": torch.eye(self.dim, dtype=one["w1"].dtype)[:1].T,
                "bias": 0 * one["t2"][:, :1]}
        return {n: one[n].expand(self.copies, *one[n].shape).clone() for n in NAMES}

    def params(self, state: Tensors) -> Tensors:
        """The networks' own entries of a larger state."""
        return {n: state[n] for n in NAMES}

    def field(self, params: Tensors, scale) -> Callable[[Tensor, Tensor], Tensor]:
        """f(t, y) for rows of any layout: y (N * clocks, points * D) with t (N * clocks, 1), the rows of a copy
        in one block. A row per point: points = 1. The papers' batch clock: clocks = 1."""
        n, d = len(params["w1"]), self.dim

        def f(t, y):
            points = y.shape[1] // d
            z = y.reshape(n, -1, d)
            time = t.reshape(n, -1, 1, 1).expand(n, len(y) // n, points, 1).reshape(n, -1, 1)
            inner = torch.tanh(torch.bmm(z, params["w1"]) + time * params["t1"] + params["b1"])
            return (scale * torch.tanh(torch.bmm(inner, params["w2"]) + time * params["t2"] + params["b2"])
                    ).reshape(y.shape)
        return f

    def score(self, params: Tensors, y: Tensor) -> Tensor:
        """The readout of every point: y as in ``field`` -> (N, points of a copy)."""
        n = len(params["out"])
        return (torch.bmm(y.reshape(n, -1, self.dim), params["out"]) + params["bias"]).squeeze(-1)

    def rows(self, x: Tensor) -> Tensor:
        """The same points for every copy, a row per point: (B, D) -> (N B, D)."""
        return x.repeat(self.copies, 1)

    def batches(self, x: Tensor) -> Tensor:
        """The same points for every copy, a row per copy: (B, D) -> (N, B D)."""
        return x.reshape(1, -1).repeat(self.copies, 1)

    def mean(self, values: Tensor) -> Tensor:
        """The mean over the rows of each copy: (N * clocks,) -> (N,)."""
        return values.to(torch.float32 if not values.is_floating_point() else values.dtype
                         ).reshape(self.copies, -1).mean(1)
