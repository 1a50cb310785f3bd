"""The two operators behind a recorded loop, ``nde_lab::loop`` and ``nde_lab::loop_reverse``.

Both take a key (which body) and a flat list of tensors, and return a flat list.

    loop          inputs  carries, stacked xs, captured tensors
                  outputs last carries, stacked ys, stacked saved values
    loop_reverse  inputs  cotangents of last carries and of stacked ys, stacked xs, captured, stacked saved
                  outputs cotangents of the inputs of ``loop`` that want one, in their order

They run eagerly (a plain loop over the body's graph), inside ``make_fx``, and under ``torch.vmap``.
"""
from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Body:
    """One turn. forward: (carries, x, captured) -> (carries, y, saved); reverse: (cotangents of carries and
    y, x, captured, saved) -> cotangents of the wanted inputs. Shapes are those of one turn."""
    forward: Callable
    reverse: Callable | None
    turns: int
    carries: int
    xs: int
    wanted: tuple[bool, ...]              # which of (carries, xs, captured) get a gradient
    ys: list[tuple[tuple[int, ...], torch.dtype]]
    saved: list[tuple[tuple[int, ...], torch.dtype]]


BODIES: dict[str, Body] = {}
_NUMBERS = itertools.count()


def register(body: Body) -> str:
    key = f"loop{next(_NUMBERS)}"
    BODIES[key] = body
    return key


def call(key: str, tensors: list[Tensor]) -> list[Tensor]:
    return torch.ops.nde_lab.loop(key, tensors)


@torch.library.custom_op("nde_lab::loop", mutates_args=())
def _loop(key: str, tensors: list[Tensor]) -> list[Tensor]:
    b = BODIES[key]
    split = b.carries + b.xs
    carries, xs, captured = tensors[:b.carries], tensors[b.carries:split], tensors[split:]
    carries, stacks = list(carries), []
    for i in range(b.turns):
        out = b.forward(*carries, *(x[i] for x in xs), *captured)
        carries = list(out[:b.carries])
        stacks.append(out[b.carries:])
    # The carry may be an input handed on; an operator's outputs may not share memory with its inputs.
    return [c.clone() for c in carries] + [torch.stack(parts) for parts in zip(*stacks, strict=True)]


@torch.library.custom_op("nde_lab::loop_reverse", mutates_args=())
def _loop_reverse(key: str, tensors: list[Tensor]) -> list[Tensor]:
    b = BODIES[key]
    n_y, k = len(b.ys), b.carries
    grad_carry, grad_ys = list(tensors[:k]), tensors[k:k + n_y]
    xs = tensors[k + n_y:k + n_y + b.xs]
    n_captured = len(b.wanted) - k - b.xs
    captured = tensors[k + n_y + b.xs:k + n_y + b.xs + n_captured]
    saved = tensors[k + n_y + b.xs + n_captured:]
    which = [i for i, w in enumerate(b.wanted) if w]
    of_x: dict[int, list[Tensor]] = {i: [] for i in which if k <= i < k + b.xs}
    of_captured: dict[int, Tensor] = {}
    for i in reversed(range(b.turns)):
        grads = dict(zip(which, b.reverse(*grad_carry, *(g[i] for g in grad_ys), *(x[i] for x in xs),
                                          *captured,
                                          *(s[i] for s in saved)), strict=True))
        grad_carry = [grads.get(j, grad_carry[j]) for j in range(k)]
        for j in of_x:
            of_x[j].append(grads[j])
        for j in which:
            if j >= k + b.xs:
                of_captured[j] = of_captured[j] + grads[j] if j in of_captured else grads[j]
    return [(grad_carry[j] if j < k else torch.stack(of_x[j][::-1]) if j in of_x else of_captured[j]).clone()
            for j in which]


@_loop.register_fake
def _(key: str, tensors: list[Tensor]) -> list[Tensor]:
    b = BODIES[key]
    like = tensors[0]
    return ([torch.empty_like(c, memory_format=torch.contiguous_format) for c in tensors[:b.carries]]
            + [like.new_empty((b.turns, *shape), dtype=dtype) for shape, dtype in [*b.ys, *b.saved]])


@_loop_reverse.register_fake
def _(key: str, tensors: list[Tensor]) -> list[Tensor]:
    b = BODIES[key]
    rest = tensors[b.carries + len(b.ys):]
    inputs = [*tensors[:b.carries], *rest]
    return [torch.empty_like(t, memory_format=torch.contiguous_format)
            for t, w in zip(inputs[:len(b.wanted)], b.wanted, strict=True) if w]


def _save(ctx, inputs, output) -> None:
    key, tensors = inputs
    b = BODIES[key]
    ctx.key, ctx.count = key, len(tensors)
    ctx.shapes = [(t.shape, t.dtype) for t in output[:b.carries + len(b.ys)]]
    ctx.save_for_backward(*tensors[b.carries:], *output[b.carries + len(b.ys):])


def _backward(ctx, grads):
    b = BODIES[ctx.key]
    saved = ctx.saved_tensors
    like = saved[0] if saved else next(g for g in grads if g is not None)
    cotangents = [like.new_zeros(shape, dtype=dtype) if g is None else g
                  for g, (shape, dtype) in zip(grads, ctx.shapes, strict=False)]
    found = iter(torch.ops.nde_lab.loop_reverse(ctx.key, [*cotangents, *saved]))
    return None, [next(found) if w else None for w in b.wanted]


def _backward_twice(ctx, grads):
    raise ValueError("a recorded loop has a first derivative only; for a gradient of a gradient through a "
                     "loop, trace with unroll=True")


_loop.register_autograd(_backward, setup_context=_save)
_loop_reverse.register_autograd(_backward_twice)


# ---- vmap: the batched loop is the loop of the batched body --------------------------------------

def _batched(key: str, pattern: tuple[bool, ...], reverse: bool) -> str:
    """A body whose turn is ``vmap`` of the turn of ``key``; pattern says which of its inputs are batched."""
    name = f"{key}.vmap{'r' if reverse else 'f'}{''.join('01'[p] for p in pattern)}"
    if name not in BODIES:
        b = BODIES[key]
        inner = torch.vmap(b.reverse if reverse else b.forward,
                           in_dims=tuple(0 if p else None for p in pattern),
                           out_dims=0)
        BODIES[name] = Body(**{**b.__dict__, ("reverse" if reverse else "forward"): inner})
    return name


def _to_batch(t: Tensor, dim: int | None, place: int, size: int) -> Tensor:
    """The batch axis of ``t`` moved to ``place`` (made by repetition where there is none)."""
    if dim is None:
        return t.unsqueeze(place).expand(*t.shape[:place], size, *t.shape[place:])
    return t.movedim(dim, place)


def _vmap(info, in_dims, key: str, tensors: list[Tensor]):
    b = BODIES[key]
    dims = in_dims[1]
    pattern, moved = [], []
    for i, (t, d) in enumerate(zip(tensors, dims, strict=True)):
        carry, stacked = i < b.carries, b.carries <= i < b.carries + b.xs
        pattern.append(carry or d is not None)
        moved.append(_to_batch(t, d, 1 if stacked else 0, info.batch_size) if pattern[-1] else t)
    out = torch.ops.nde_lab.loop(_batched(key, tuple(pattern), False), moved)
    return out, [0 if i < b.carries else 1 for i in range(len(out))]


def _vmap_reverse(info, in_dims, key: str, tensors: list[Tensor]):
    b = BODIES[key]
    n_y, k, dims = len(b.ys), b.carries, in_dims[1]
    n_in = len(b.wanted)
    pattern, moved = [], []
    for i, (t, d) in enumerate(zip(tensors, dims, strict=True)):
        carry = i < k
        captured = k + n_y + b.xs <= i < n_y + n_in
        pattern.append(carry or d is not None)
        moved.append(_to_batch(t, d, 0 if carry or captured else 1, info.batch_size) if pattern[-1] else t)
    out = torch.ops.nde_lab.loop_reverse(_batched(key, tuple(pattern), True), moved)
    which = [i for i, w in enumerate(b.wanted) if w]
    return out, [1 if k <= i < k + b.xs else 0 for i in which]


torch.library.register_vmap(_loop, _vmap)
torch.library.register_vmap(_loop_reverse, _vmap_reverse)
