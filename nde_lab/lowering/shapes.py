"""Views, joins and cuts: operators that only move elements."""
from __future__ import annotations

from nde_lab.lowering.build import Builder, Value, operator
from nde_lab.lowering.ir import Store, View, numel


def restride(view: View, shape: tuple[int, ...]) -> View | None:
    """``view`` with another shape of the same number of elements, or None if no strides do that."""
    old = [(n, s) for n, s in zip(view.shape, view.strides, strict=True) if n != 1]
    strides, i = [], 0
    room, step = 1, 0                      # a run of old axes that is being cut into new ones, from the front
    for n in shape:
        if n == 1:
            strides.append(0)
            continue
        if room == 1:
            if i == len(old):
                return None
            room, i = old[i][0], i + 1
            # Join old axes that lie one inside the other, as many as there are.
            while i < len(old) and (old[i - 1][1] == old[i][1] * old[i][0]):
                room, i = room * old[i][0], i + 1
            step = old[i - 1][1]
        if room % n:
            return None
        room //= n
        strides.append(step * room)
    return view.moved(shape=shape, strides=strides)


def permuted(b: Builder, x: Value, order) -> Value:
    return b.viewed(x, [x.shape[i] for i in order], lambda v: v.moved(
        shape=[v.shape[i] for i in order], strides=[v.strides[i] for i in order]))


@operator("view.default", "reshape.default", "_unsafe_view.default", "_reshape_alias.default",
          "unsqueeze.default",
          "squeeze.default", "squeeze.dim", "squeeze_.dim", "squeeze.dims", "flatten.using_ints",
          "unflatten.int")
def reshape(b: Builder, x: Value, *_, **__) -> Value:
    shape = tuple(b.meta.shape)
    return b.viewed(x, shape, lambda v: restride(v, shape))


@operator("expand.default", "broadcast_to.default")
def _expand(b: Builder, x: Value, *_, **__) -> Value:
    return b.expand(x, b.meta.shape)


@operator("prims.broadcast_in_dim.default")
def _broadcast_in_dim(b: Builder, x: Value, shape, dims) -> Value:
    lifted = [1] * len(shape)
    for d, n in zip(dims, x.shape, strict=True):
        lifted[d] = n
    return b.expand(b.viewed(x, lifted, lambda v: restride(v, tuple(lifted))), shape)


@operator("permute.default")
def _permute(b: Builder, x: Value, order) -> Value:
    return permuted(b, x, [i % len(x.shape) for i in order])


@operator("t.default", "numpy_T.default")
def _t(b: Builder, x: Value) -> Value:
    return permuted(b, x, range(len(x.shape))[::-1])


@operator("transpose.int")
def _transpose(b: Builder, x: Value, i: int, j: int) -> Value:
    order = list(range(len(x.shape)))
    if order:
        order[i], order[j] = order[j], order[i]
    return permuted(b, x, order)


@operator("select.int")
def select(b: Builder, x: Value, dim: int, i: int) -> Value:
    dim, i = dim % len(x.shape), i % x.shape[dim]
    drop = lambda t: tuple(t[:dim]) + tuple(t[dim + 1:])                    # noqa: E731
    return b.viewed(x, drop(x.shape), lambda v: v.moved(shape=drop(v.shape), strides=drop(v.strides),
                                                       offset=i * v.strides[dim]))


def cut(b: Builder, x: Value, dim: int, start: int, n: int, step: int = 1) -> Value:
    """n elements along ``dim`` from ``start``."""
    def change(v: View) -> View:
        shape, strides = list(v.shape), list(v.strides)
        shape[dim], strides[dim] = n, strides[dim] * step
        return v.moved(shape=shape, strides=strides, offset=start * v.strides[dim])
    return b.viewed(x, [n if d == dim else m for d, m in enumerate(x.shape)], change)


def bounds(size: int, start, end) -> tuple[int, int]:
    """Python's slice bounds as torch normalises them."""
    start, end = (0 if start is None else start), (size if end is None else end)
    start, end = (start + size if start < 0 else start), (end + size if end < 0 else end)
    start = min(max(start, 0), size)
    return start, min(max(end, start), size)


@operator("slice.Tensor")
def _slice(b: Builder, x: Value, dim=0, start=None, end=None, step=1) -> Value:
    dim %= len(x.shape)
    start, end = bounds(x.shape[dim], start, end)
    return cut(b, x, dim, start, -(-(end - start) // step), step)


@operator("narrow.default")
def _narrow(b: Builder, x: Value, dim: int, start: int, n: int) -> Value:
    return cut(b, x, dim % len(x.shape), start, n)


@operator("split.Tensor", "split_with_sizes.default", "unsafe_split.Tensor")
def _split(b: Builder, x: Value, sizes, dim=0) -> list[Value]:
    dim %= len(x.shape)
    if isinstance(sizes, int):
        n = x.shape[dim]
        sizes = [min(sizes, n - i) for i in range(0, n, sizes)]
    starts = [sum(sizes[:i]) for i in range(len(sizes))]
    return [cut(b, x, dim, s, n) for s, n in zip(starts, sizes, strict=True)]


@operator("unbind.int")
def _unbind(b: Builder, x: Value, dim=0) -> list[Value]:
    return [select(b, x, dim, i) for i in range(x.shape[dim % len(x.shape)])]


@operator("flip.default")
def _flip(b: Builder, x: Value, dims) -> Value:
    dims = {d % len(x.shape) for d in dims}

    def change(v: View) -> View:
        return v.moved(strides=[-s if d in dims else s for d, s in enumerate(v.strides)],
                       offset=sum((v.shape[d] - 1) * v.strides[d] for d in dims))
    return b.viewed(x, x.shape, change)


def along_diagonal(view: View, offset: int, dim1: int, dim2: int) -> View:
    """The diagonal of two axes as a new last axis."""
    i, j = dim1 % len(view.shape), dim2 % len(view.shape)
    keep = [d for d in range(len(view.shape)) if d not in (i, j)]
    n = min(view.shape[i] - max(-offset, 0), view.shape[j] - max(offset, 0))
    return view.moved(shape=[view.shape[d] for d in keep] + [n],
                      strides=[view.strides[d] for d in keep] + [view.strides[i] + view.strides[j]],
                      offset=max(offset, 0) * view.strides[j] + max(-offset, 0) * view.strides[i])


@operator("diagonal.default")
def _diagonal(b: Builder, x: Value, offset=0, dim1=0, dim2=1) -> Value:
    return b.viewed(x, b.meta.shape, lambda v: along_diagonal(v, offset, dim1, dim2))


def written(b: Builder, shape, dtype: str, parts: list[tuple[View | None, Value]], base: Value
            | None = None) -> Value:
    """A new buffer filled with ``base`` and then with parts, each (function of the whole view -> its place,
    value)."""
    room = b.room(shape)
    if base is not None:
        b.statements.append(Store(room, b.expand(b.value(base, dtype), shape).expr))
    for place, x in parts:
        b.statements.append(Store(place(room), b.value(x, dtype).expr))
    return Value(b.pool.load(room, dtype), tuple(shape))


def window(dim: int, start: int, n: int, step: int = 1):
    """The place ``[start : start + n step : step]`` along ``dim``."""
    def place(v: View) -> View:
        shape, strides = list(v.shape), list(v.strides)
        shape[dim], strides[dim] = n, strides[dim] * step
        return v.moved(shape=shape, strides=strides, offset=start * v.strides[dim])
    return place


@operator("cat.default")
def _cat(b: Builder, xs: list[Value], dim=0) -> Value:
    dim %= len(xs[0].shape)
    parts, start = [], 0
    for x in xs:
        parts.append((window(dim, start, x.shape[dim]), x))
        start += x.shape[dim]
    return written(b, b.meta.shape, b.dtype, parts)


@operator("stack.default")
def _stack(b: Builder, xs: list[Value], dim=0) -> Value:
    dim %= len(xs[0].shape) + 1
    shape = (*xs[0].shape[:dim], 1, *xs[0].shape[dim:])
    return _cat(b, [b.viewed(x, shape, lambda v: v.moved(
        shape=(*v.shape[:dim], 1, *v.shape[dim:]), strides=(*v.strides[:dim], 0, *v.strides[dim:])))
        for x in xs], dim)


@operator("slice_scatter.default")
def _slice_scatter(b: Builder, x: Value, src: Value, dim=0, start=None, end=None, step=1) -> Value:
    dim %= len(x.shape)
    start, _ = bounds(x.shape[dim], start, end)
    return written(b, x.shape, b.dtype, [(window(dim, start, src.shape[dim], step), src)], base=x)


@operator("select_scatter.default")
def _select_scatter(b: Builder, x: Value, src: Value, dim: int, i: int) -> Value:
    dim %= len(x.shape)
    lifted = (*src.shape[:dim], 1, *src.shape[dim:])
    src = b.viewed(src, lifted, lambda v: restride(v, lifted))
    return written(b, x.shape, b.dtype, [(window(dim, i % x.shape[dim], 1), src)], base=x)


@operator("diagonal_scatter.default")
def _diagonal_scatter(b: Builder, x: Value, src: Value, offset=0, dim1=0, dim2=1) -> Value:
    return written(b, x.shape, b.dtype, [(lambda v: along_diagonal(v, offset, dim1, dim2), src)], base=x)


@operator("constant_pad_nd.default")
def _pad(b: Builder, x: Value, pad, value=0) -> Value:
    """Pads from the last axis inwards, as torch counts them; negative padding cuts."""
    shape, place = tuple(b.meta.shape), []
    for k in range(len(pad) // 2):
        dim = len(shape) - 1 - k
        left, right = pad[2 * k], pad[2 * k + 1]
        if min(left, right) < 0:
            n = x.shape[dim] + min(left, 0) + min(right, 0)
            x = cut(b, x, dim, max(-left, 0), n)
        place.append(window(dim, max(left, 0), x.shape[dim]))

    def whole(v: View) -> View:
        for p in place:
            v = p(v)
        return v
    return written(b, shape, b.dtype, [(whole, x)], base=b.const(value, b.dtype))


@operator("repeat.default")
def _repeat(b: Builder, x: Value, times) -> Value:
    lead = len(times) - len(x.shape)
    shape = (1,) * lead + tuple(x.shape)
    split = [n for pair in zip(times, shape, strict=True) for n in pair]
    lifted = [n for m in shape for n in (1, m)]
    x = b.viewed(x, lifted, lambda v: restride(v, tuple(lifted)))
    x = b.stored(b.expand(x, split))
    out = tuple(n * m for n, m in zip(times, shape, strict=True))
    assert numel(out) == numel(split)
    return b.viewed(x, out, lambda v: restride(v, out))
