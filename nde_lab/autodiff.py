"""Gradients and repetition, in the two forms that every engine understands.

``value_and_grad`` is the one way to a gradient and ``loop`` the one way to repeat. Eager code runs them as plain
torch; the tracer records a gradient as part of the graph, and the body of a loop (with its reverse) only once.
"""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree


def value_and_grad(loss: Callable, params: dict[str, Tensor], *, has_aux: bool = False):
    """Value and gradient of ``loss`` at ``params``.

    ``loss(params)`` returns a 0-d tensor, or ``(0-d tensor, aux)`` with ``has_aux=True``. Returns ``(value, grads)``
    or ``((value, aux), grads)``; ``grads`` has the keys and shapes of ``params``, zero where the loss does not depend
    on an entry. Nothing is left attached to autograd.
    """
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    with torch.enable_grad():
        out = loss(leaves)
        value, aux = out if has_aux else (out, None)
        if not isinstance(value, Tensor) or value.dim() != 0:
            got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"the loss must return a 0-d tensor, it returned {got}; take a mean or a sum")
        grads = torch.autograd.grad(value, list(leaves.values()), allow_unused=True)
    grads = {n: torch.zeros_like(p) if g is None else g for (n, p), g in zip(leaves.items(), grads, strict=True)}
    detach = lambda tree: pytree.tree_map(lambda t: t.detach() if isinstance(t, Tensor) else t, tree)  # noqa: E731
    return ((value.detach(), detach(aux)), grads) if has_aux else (value.detach(), grads)


def loop(body: Callable, carry: Any, xs: Any) -> tuple[Any, Any]:
    """Repeat ``carry, y = body(carry, x)`` over the leading axis of ``xs``.

    ``carry``, ``xs`` and ``y`` are pytrees (tensor, tuple, dict or None). The leaves of ``xs`` share their leading
    length n >= 1; returns the last carry and the ``y`` stacked on a new axis 0.
    """
    leaves, spec = pytree.tree_flatten(xs)
    lengths = {leaf.shape[0] if leaf.dim() else 0 for leaf in leaves}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"loop needs xs whose leaves share one leading length >= 1, got lengths {sorted(lengths)}")
    ys = []
    for i in range(lengths.pop()):
        carry, y = body(carry, pytree.tree_unflatten([leaf[i] for leaf in leaves], spec))
        ys.append(y)
    return carry, pytree.tree_map(lambda *parts: torch.stack(parts), *ys) if ys[0] is not None else None
