"""How much a gradient keeps: tensors that autograd has saved and not yet let go, counted while it runs."""
from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Kept:
    """tensors, size (bytes): held now; most_tensors, most_bytes: the largest ever held at once."""
    tensors: int = 0
    size: int = 0
    most_tensors: int = 0
    most_bytes: int = 0

    def add(self, n: int, size: int) -> None:
        self.tensors, self.size = self.tensors + n, self.size + size
        self.most_tensors = max(self.most_tensors, self.tensors)
        self.most_bytes = max(self.most_bytes, self.size)


class _Held:
    """What autograd keeps in place of a tensor: it goes when the graph goes."""
    __slots__ = ("__weakref__", "tensor")

    def __init__(self, tensor: Tensor):
        self.tensor = tensor


def count_kept(gradient: Callable[[], object]) -> Kept:
    """Run ``gradient()`` and count what it saves for reverse mode. A tensor saved twice counts twice."""
    kept = Kept()

    def pack(tensor: Tensor) -> _Held:
        size = tensor.numel() * tensor.element_size()
        kept.add(1, size)
        held = _Held(tensor)
        weakref.finalize(held, kept.add, -1, -size)
        return held

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda held: held.tensor):
        gradient()
    return kept
