"""Gathers and scatters by integer tensors."""
from __future__ import annotations

import torch

from nde_lab.lowering.build import Builder, Value, operator
from nde_lab.lowering.ir import BOOL, FLOAT, INT, Store, View
from nde_lab.lowering.shapes import cut


def wrapped(b: Builder, i: Value, n: int) -> Value:
    """An index made safe: negative ones count from the end, others are kept inside the axis."""
    i = b.value(i, INT)
    if i.expr.op == "const":
        return b.const(i.expr.value % n, INT, i.shape)
    i = b.apply("where", INT, b.apply("lt", BOOL, i, b.const(0, INT)),
                b.apply("add", INT, i, b.const(n, INT)), i)
    i = b.apply("max", INT, b.apply("min", INT, i, b.const(n - 1, INT)), b.const(0, INT))
    return i if b.pool.weight(i.expr) < 40 else b.stored(i)


def place(b: Builder, view: View, indices: list[Value | None]) -> tuple[View, list[Value], tuple[int, ...]]:
    """Advanced indexing ``view[indices]``: the view over the result's axes, the index values, and their
    strides."""
    which = [d for d, i in enumerate(indices) if i is not None]
    lead = tuple(torch.broadcast_shapes(*(indices[d].shape for d in which)))
    together = which == list(range(which[0], which[0] + len(which)))
    at = which[0] if together else 0
    kept = [d for d in range(len(view.shape)) if d not in which]
    before = [d for d in kept if d < at] if together else []
    after = [d for d in kept if d not in before]
    shape = (*(view.shape[d] for d in before), *lead, *(view.shape[d] for d in after))
    strides = (*(view.strides[d] for d in before), *(0 for _ in lead), *(view.strides[d] for d in after))
    out = []
    for d in which:
        i = wrapped(b, indices[d], view.shape[d])
        i = b.expand(i, lead)
        tail = (*lead, *(1 for _ in after))
        i = b.viewed(i, tail, lambda v,
                     tail=tail: v.moved(shape=tail, strides=(*v.strides, *(0 for _ in after))))
        out.append(b.expand(i, shape))
    return view.moved(shape=shape, strides=strides), out, tuple(view.strides[d] for d in which)


@operator("index.Tensor", "_unsafe_index.Tensor")
def _index(b: Builder, x: Value, indices) -> Value:
    if any(i is not None and i.dtype == BOOL for i in indices):
        raise ValueError("aten.index.Tensor with a bool mask has no fixed shape; use torch.where")
    x = b.in_memory(x)
    view, index, steps = place(b, x.view, list(indices) + [None] * (len(x.shape) - len(indices)))
    return Value(b.pool.load(view, x.dtype, tuple(i.expr for i in index), steps), view.shape)


@operator("index_select.default")
def _index_select(b: Builder, x: Value, dim: int, i: Value) -> Value:
    return _index(b, x, [None] * (dim % len(x.shape)) + [i])


@operator("embedding.default")
def _embedding(b: Builder, weight: Value, i: Value, *_, **__) -> Value:
    return _index(b, weight, [i])


def along(b: Builder, view: View, dim: int, i: Value) -> tuple[View, tuple, tuple[int, ...]]:
    """The elements ``view[..., i, ...]`` with i of the result's shape (gather, scatter)."""
    strides = [0 if d == dim else s for d, s in enumerate(view.strides)]
    return view.moved(shape=i.shape, strides=strides), (wrapped(b, i, view.shape[dim]).expr,
                                                        ), (view.strides[dim],)


@operator("gather.default")
def _gather(b: Builder, x: Value, dim: int, i: Value, **_) -> Value:
    if not x.shape:
        return x
    x = b.in_memory(x)
    view, index, steps = along(b, x.view, dim % len(x.shape), i)
    return Value(b.pool.load(view, x.dtype, index, steps), i.shape)


def base(b: Builder, x: Value) -> View:
    """A fresh copy of ``x`` to be written into."""
    room = b.room(x.shape)
    b.statements.append(Store(room, x.expr))
    return room


@operator("index_put.default", "_unsafe_index_put.default")
def _index_put(b: Builder, x: Value, indices, values: Value, accumulate=False) -> Value:
    room = base(b, x)
    view, index, steps = place(b, room, list(indices) + [None] * (len(x.shape) - len(indices)))
    b.statements.append(Store(view, b.expand(b.value(values, x.dtype), view.shape).expr,
                              tuple(i.expr for i in index), steps, accumulate))
    return Value(b.pool.load(room, x.dtype), x.shape)


@operator("scatter_add.default")
def _scatter_add(b: Builder, x: Value, dim: int, i: Value, src, accumulate=True) -> Value:
    room = base(b, x)
    view, index, steps = along(b, room, dim % len(x.shape), i)
    src = b.value(src, x.dtype)
    if src.shape != i.shape:
        if not src.shape:
            src = b.expand(src, i.shape)
        for d, n in enumerate(i.shape):
            src = cut(b, src, d, 0, n)
    b.statements.append(Store(view, src.expr, index, steps, accumulate))
    return Value(b.pool.load(room, x.dtype), x.shape)


@operator("scatter.value", "scatter.src")
def _scatter(b: Builder, x: Value, dim: int, i: Value, src) -> Value:
    return _scatter_add(b, x, dim, i, src, accumulate=False)


@operator("embedding_dense_backward.default")
def _embedding_backward(b: Builder, g: Value, i: Value, n: int, padding: int, by_frequency: bool) -> Value:
    zero = b.const(0, FLOAT, (n, g.shape[-1]))
    return _index_put(b, zero, [i], g, accumulate=True)
