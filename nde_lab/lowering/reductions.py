"""Reductions, running sums and matrix products."""
from __future__ import annotations

import math

from nde_lab.lowering.build import Builder, Value, operator
from nde_lab.lowering.ir import BOOL, FLOAT, INT, Multiply, Reduce, Repeat, Scan, Store, Turn, View
from nde_lab.lowering.shapes import permuted, restride


def axes(x: Value, dims) -> tuple[int, ...]:
    if dims is None or dims == []:
        return tuple(range(len(x.shape)))
    dims = [dims] if isinstance(dims, int) else dims
    return tuple(sorted({d % len(x.shape) for d in dims})) if x.shape else ()


def reduce(b: Builder, x: Value, dims, op: str, dtype: str | None = None, shape=None) -> Value:
    """``x`` combined over ``dims``, in the result's shape."""
    dtype = dtype or x.dtype
    if x.dtype == BOOL:
        op = {"max": "any", "min": "all"}.get(op, op)
    dims = axes(x, dims)
    shape = tuple(b.meta.shape) if shape is None else tuple(shape)
    if not dims or all(x.shape[d] == 1 for d in dims) and not op.startswith("arg"):
        return b.viewed(b.value(x, dtype), shape, lambda v: restride(v, shape))
    room = b.room(shape)
    kept = iter(restride(room, tuple(n for d, n in enumerate(x.shape) if d not in dims)).strides)
    out = View(room.buffer, x.shape, tuple(0 if d in dims else next(kept) for d in range(len(x.shape))))
    b.statements.append(Reduce(out, x.expr, x.shape, dims, op))
    return Value(b.pool.load(room, dtype), shape)


@operator("sum.dim_IntList", "sum.default", "prims.sum.default")
def _sum(b: Builder, x: Value, dim=None, keepdim=False, dtype=None) -> Value:
    return reduce(b, b.value(x, b.dtype), dim, "sum")


@operator("mean.dim", "mean.default")
def _mean(b: Builder, x: Value, dim=None, keepdim=False, dtype=None) -> Value:
    n = math.prod(x.shape[d] for d in axes(x, dim))
    return b.arith("mul", reduce(b, b.value(x, b.dtype), dim, "sum"), 1 / n)


@operator("prims.var.default")
def _var(b: Builder, x: Value, dims=None, correction=1.0, **_) -> Value:
    """The mean first, then the mean square distance from it (two passes, as accurate as torch)."""
    dims = axes(x, dims)
    n = math.prod(x.shape[d] for d in dims)
    kept = tuple(1 if d in dims else m for d, m in enumerate(x.shape))
    mean = b.apply("mul", FLOAT, reduce(b, x, list(dims), "sum", shape=kept), b.const(1 / n, FLOAT))
    away = b.apply("sub", FLOAT, x, mean)
    total = reduce(b, b.apply("mul", FLOAT, away, away), list(dims), "sum")
    return b.apply("mul", FLOAT, total, b.const(1 / (n - correction) if n > correction else math.nan, FLOAT))


@operator("prod.default", "prod.dim_int")
def _prod(b: Builder, x: Value, dim=None, keepdim=False, dtype=None) -> Value:
    return reduce(b, b.value(x, b.dtype), dim, "prod")


@operator("amax.default", "max.default")
def _amax(b: Builder, x: Value, dim=None, keepdim=False) -> Value:
    return reduce(b, x, dim, "max")


@operator("amin.default", "min.default")
def _amin(b: Builder, x: Value, dim=None, keepdim=False) -> Value:
    return reduce(b, x, dim, "min")


@operator("any.default", "any.dim", "any.dims")
def _any(b: Builder, x: Value, dim=None, keepdim=False) -> Value:
    return reduce(b, b.value(x, BOOL), dim, "any")


@operator("all.default", "all.dim", "all.dims")
def _all(b: Builder, x: Value, dim=None, keepdim=False) -> Value:
    return reduce(b, b.value(x, BOOL), dim, "all")


@operator("argmax.default")
def _argmax(b: Builder, x: Value, dim=None, keepdim=False, op="argmax") -> Value:
    if dim is None:
        flat = (math.prod(x.shape),)
        x, dim = b.viewed(x, flat, lambda v: restride(v, flat)), 0
    return reduce(b, x, dim, op, dtype=INT)


@operator("argmin.default")
def _argmin(b: Builder, x: Value, dim=None, keepdim=False) -> Value:
    return _argmax(b, x, dim, keepdim, op="argmin")


@operator("max.dim")
def _max_dim(b: Builder, x: Value, dim: int, keepdim=False, op="max") -> tuple[Value, Value]:
    shape = tuple(b.meta[0].shape)
    x = b.in_memory(x)
    return reduce(b, x, dim, op, shape=shape), reduce(b, x, dim, f"arg{op}", INT, shape=shape)


@operator("min.dim")
def _min_dim(b: Builder, x: Value, dim: int, keepdim=False) -> tuple[Value, Value]:
    return _max_dim(b, x, dim, keepdim, op="min")


@operator("cumsum.default")
def _cumsum(b: Builder, x: Value, dim: int, dtype=None, op="sum") -> Value:
    if not x.shape:
        return b.value(x, b.dtype)
    room = b.room(x.shape)
    b.statements.append(Scan(room, b.value(x, b.dtype).expr, dim % len(x.shape), op))
    return Value(b.pool.load(room, b.dtype), x.shape)


@operator("cumprod.default")
def _cumprod(b: Builder, x: Value, dim: int, dtype=None) -> Value:
    return _cumsum(b, x, dim, op="prod")


# ---- matrix products -----------------------------------------------------------------------------

def multiply(b: Builder, x: Value, y: Value) -> Value:
    """(..., m, k) @ (..., k, n) with equal leading axes (at most one)."""
    k, n = y.shape[-2:]
    shape = (*x.shape[:-1], n)
    if k == 1:
        return b.apply("mul", FLOAT, x, y)
    if n == 1:                              # a product with one column is a reduction along the rows
        rows = permuted(b, y, [*range(len(y.shape) - 2), len(y.shape) - 1, len(y.shape) - 2])
        return reduce(b, b.apply("mul", FLOAT, x, rows), -1, "sum", shape=shape)
    x, y = b.in_memory(x), b.in_memory(y)
    if y.view.strides[-1] != 1 and y.shape[-1] != 1:
        room = b.room(y.shape)
        b.statements.append(Store(room, y.expr))
        y = Value(b.pool.load(room, FLOAT), y.shape)
    out = b.room(shape)
    if len(shape) == 2:
        b.statements.append(Multiply(out, x.view, y.view))
    else:
        turn = Turn(shape[0])
        at = lambda v: View(v.buffer, v.shape[1:], v.strides[1:], v.offset,        # noqa: E731
                            (*v.moves, (turn, v.strides[0])))
        b.statements.append(Repeat(turn, [Multiply(at(out), at(x.view), at(y.view))]))
    return Value(b.pool.load(out, FLOAT), shape)


@operator("mm.default", "bmm.default")
def _mm(b: Builder, x: Value, y: Value) -> Value:
    return multiply(b, x, y)


@operator("addmm.default", "baddbmm.default")
def _addmm(b: Builder, bias: Value, x: Value, y: Value, beta=1, alpha=1) -> Value:
    product = multiply(b, x, y)
    product = product if alpha == 1 else b.apply("mul", FLOAT, product, b.const(alpha, FLOAT))
    bias = bias if beta == 1 else b.apply("mul", FLOAT, bias, b.const(beta, FLOAT))
    return b.apply("add", FLOAT, product, bias)


@operator("mv.default")
def _mv(b: Builder, x: Value, v: Value) -> Value:
    return reduce(b, b.apply("mul", FLOAT, x, v), -1, "sum")


@operator("dot.default", "vdot.default")
def _dot(b: Builder, x: Value, y: Value) -> Value:
    return reduce(b, b.apply("mul", FLOAT, x, y), 0, "sum")
