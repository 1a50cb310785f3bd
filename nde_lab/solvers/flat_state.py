"""A state of any shape, or a tuple of states, as one row."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class FlatState:
    """A state of any shape, or a tuple of them, as one row (1, N) of real numbers, and back."""
    shapes: tuple[torch.Size, ...]
    sizes: tuple[int, ...]
    tuple: bool
    complex: bool

    @classmethod
    def of(cls, y0) -> FlatState:
        parts = y0 if isinstance(y0, tuple) else (y0,)
        if not parts or not all(isinstance(p, Tensor) for p in parts):
            raise ValueError("y0 must be a tensor or a tuple of tensors, got "
                             f"{type(y0).__name__ if not isinstance(y0, tuple) else 'a tuple of others'}")
        kinds = {p.dtype for p in parts}
        if len(kinds) > 1 or not (parts[0].is_floating_point() or parts[0].is_complex()):
            raise ValueError("y0 must hold floating point or complex numbers of one dtype, got "
                             f"{', '.join(sorted(map(str, kinds)))}")
        two = 2 if parts[0].is_complex() else 1
        return cls(tuple(p.shape for p in parts), tuple(p.numel() * two for p in parts),
                   isinstance(y0, tuple), two == 2)

    def flat(self, y) -> Tensor:
        """A state as (1, N)."""
        if not self.tuple and not self.complex:
            return y.reshape(1, -1)
        parts = y if self.tuple else (y,)
        if len(parts) != len(self.shapes):
            raise ValueError(f"func returned {len(parts)} tensors for a state of {len(self.shapes)}")
        if self.complex:
            parts = [torch.view_as_real(p if p.is_complex() else torch.complex(p, torch.zeros_like(p)))
                     for p in parts]
        return torch.cat([p.reshape(1, -1) for p in parts], -1) if self.tuple else parts[0].reshape(1, -1)

    def back(self, row: Tensor, *lead: int):
        """(*, N) as a state with the leading axes ``lead``."""
        if not self.tuple and not self.complex:
            return row.reshape((*lead, *self.shapes[0]))
        parts = row.reshape((*lead, -1)).split(self.sizes, -1)
        if self.complex:
            parts = [torch.view_as_complex(p.reshape((*lead, *s, 2)).contiguous())
                     for p, s in zip(parts, self.shapes, strict=True)]
        else:
            parts = [p.reshape((*lead, *s)) for p, s in zip(parts, self.shapes, strict=True)]
        return tuple(parts) if self.tuple else parts[0]

    def tolerance(self, name: str, value):
        """A number, or a row (1, N) of tolerances."""
        if isinstance(value, (tuple, list)):
            if not self.tuple or len(value) != len(self.shapes):
                raise ValueError(f"{name} given as a tuple needs one entry for each part of y0 "
                                 f"({len(self.shapes)}), got {len(value)}")
            return torch.cat([torch.as_tensor(v).detach().expand(s).reshape(1, -1)
                              for v, s in zip(value, self.shapes, strict=True)], -1)
        if not isinstance(value, Tensor) or value.dim() == 0:
            return float(value)
        if self.tuple or self.complex:
            return value.detach().reshape(1, -1)
        return value.detach().expand(self.shapes[0]).reshape(1, -1)
