"""Gradients and loops as plain torch; the tracer sets ``RECORDER`` while it records."""
from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

RECORDER = threading.local()        # .loop: what ``loop`` does instead, in the thread that is tracing


def tree_map_tensors(fn: Callable, tree: Any) -> Any:
    """Apply ``fn`` to the tensors of a pytree and keep everything else."""
    return pytree.tree_map(lambda leaf: fn(leaf) if isinstance(leaf, Tensor) else leaf, tree)


def value_and_grad(loss: Callable, params: dict[str, Tensor], *, has_aux: bool = False):
    """Value and gradient of ``loss`` at ``params``.

    ``loss(params)`` returns a 0-d tensor, or ``(0-d tensor, aux)`` with ``has_aux=True``. Returns ``(value,
    grads)`` or ``((value, aux), grads)``; ``grads`` has the keys and shapes of ``params``, zero where the
    loss does not depend on an entry. Nothing is left attached to autograd.
    """
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    with torch.enable_grad():
        out = loss(leaves)
        value, aux = out if has_aux else (out, None)
        if not isinstance(value, Tensor) or value.dim() != 0:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"the loss must return a 0-d tensor, it returned {got}; take a mean or a sum")
        grads = (torch.autograd.grad(value, list(leaves.values()), allow_unused=True) if value.requires_grad
                 else [None] * len(leaves))
    grads = {n: torch.zeros_like(p) if g is None else g for (n, p),
             g in zip(leaves.items(), grads, strict=True)}
    value, aux = value.detach(), tree_map_tensors(Tensor.detach, aux)
    return ((value, aux), grads) if has_aux else (value, grads)


def loop(body: Callable, carry: Any, xs: Any) -> tuple[Any, Any]:
    """Repeat ``carry, y = body(carry, x)`` over the leading axis of ``xs``.

    ``carry``, ``xs`` and ``y`` are pytrees (tensor, tuple, dict or None). The leaves of ``xs`` share their
    leading length n >= 1; returns the last carry and the ``y`` stacked on a new axis 0.
    """
    n, at = turns(xs)
    if (recorded := getattr(RECORDER, "loop", None)) is not None:
        return recorded(body, carry, xs)
    ys = []
    for i in range(n):
        carry, y = body(carry, at(i))
        ys.append(y)
    return carry, stack(ys)


def turns(xs: Any) -> tuple[int, Callable[[int], Any]]:
    """The number of turns that ``xs`` asks for, and the function i -> xs[i]."""
    leaves, spec = pytree.tree_flatten(xs)
    lengths = {leaf.shape[0] if isinstance(leaf, Tensor) and leaf.dim() else 0 for leaf in leaves
               if leaf is not None}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError("loop needs xs whose leaves share one leading length >= 1, got lengths "
                         f"{sorted(lengths)}")
    return lengths.pop(), lambda i: pytree.tree_unflatten([x if x is None else x[i] for x in leaves], spec)


def stack(ys: list[Any]) -> Any:
    """Pytrees of equal structure stacked leaf by leaf on a new axis 0 (None stays None)."""
    return pytree.tree_map(lambda *parts: None if parts[0] is None else torch.stack(parts), *ys)
