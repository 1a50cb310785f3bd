"""Recorded loops: the two operators of ``nde_lab.autodiff.operators`` as real loops around their bodies."""
from __future__ import annotations

from collections.abc import Callable

from nde_lab.lowering.build import TABLE, Builder, Value
from nde_lab.lowering.ir import Repeat, Store, Turn, View


def turned(b: Builder, x: Value, turn: Turn, *, backwards: bool = False) -> Value:
    """``x[turn]`` (or ``x[n - 1 - turn]``)."""
    shape, n = x.shape[1:], x.shape[0]

    def change(v: View) -> View:
        s = v.strides[0]
        return View(v.buffer, v.shape[1:], v.strides[1:], v.offset + (n - 1) * s * backwards,
                    (*v.moves, (turn, -s if backwards else s)) if s else v.moves)
    if x.expr.op != "const":
        x = b.in_memory(x)
    return b.viewed(x, shape, change)


def at_hand(b: Builder, x: Value) -> Value:
    """A value from outside that the body may read in every turn: in memory, or a number."""
    return x if x.expr.op == "const" else b.in_memory(x)


def own(b: Builder, x: Value) -> Value:
    """``x`` copied into a buffer that the loop may overwrite."""
    room = b.room(x.shape)
    b.statements.append(Store(room, x.expr))
    return Value(b.pool.load(room, x.dtype), x.shape)


def update(b: Builder, state: list[Value], new: list[Value]) -> None:
    """state[:] = new at the end of a turn. A new value that reads a state elsewhere than at its own place is
    completed in a buffer of its own before any state is overwritten."""
    places = {s.view.buffer: s.view for s in state}
    final = []
    for s, x in zip(state, new, strict=True):
        loads = x.expr.leaves()
        unsafe = any(e.view.buffer in places and (e.view != s.view or e.args) for e in loads)
        final.append(own(b, x) if unsafe else x)
    for s, x in zip(state, final, strict=True):
        if x.expr is not s.expr:
            b.statements.append(Store(s.view, b.cast(x.expr, s.dtype)))


def _used(b: Builder) -> set[int]:
    """Which outputs of the loop are read at all."""
    return {user.args[1] for user in b.node.users}


def _inside(b: Builder, turn: Turn, fill: Callable[[], None]) -> None:
    """Collect the statements made by ``fill`` into a Repeat."""
    outer, b.statements = b.statements, []
    fill()
    outer.append(Repeat(turn, b.statements))
    b.statements = outer


def _loop(b: Builder, key: str, tensors: list[Value]) -> list[Value | None]:
    body = b.bodies[key]
    k, used = body.carries, _used(b)
    carry = [own(b, x) for x in tensors[:k]]
    xs = [at_hand(b, x) for x in tensors[k:k + body.xs]]
    captured = [at_hand(b, x) for x in tensors[k + body.xs:]]
    turn = Turn(body.turns)
    stacks: list[Value | None] = []

    def fill() -> None:
        out = b.run(body.forward, [*carry, *(turned(b, x, turn) for x in xs), *captured])
        for i, y in enumerate(out[k:]):
            if k + i not in used:
                stacks.append(None)
                continue
            room = b.room((body.turns, *y.shape))
            stacks.append(Value(b.pool.load(room, y.dtype), room.shape))
            b.statements.append(Store(turned(b, stacks[-1], turn).view, y.expr))
        update(b, carry, out[:k])

    _inside(b, turn, fill)
    return carry + stacks


def _loop_reverse(b: Builder, key: str, tensors: list[Value]) -> list[Value | None]:
    body = b.bodies[key]
    k, n_y, used = body.carries, len(body.ys), _used(b)
    grad_carry = [own(b, x) for x in tensors[:k]]
    rest = [at_hand(b, x) for x in tensors[k:]]
    grad_ys, xs = rest[:n_y], rest[n_y:n_y + body.xs]
    n_captured = len(body.wanted) - k - body.xs
    captured, saved = rest[n_y + body.xs:][:n_captured], rest[n_y + body.xs + n_captured:]
    which = [i for i, w in enumerate(body.wanted) if w]
    turn = Turn(body.turns)
    back = lambda x: turned(b, x, turn, backwards=True)                 # noqa: E731
    results: dict[int, Value] = {}
    for place, i in enumerate(which):                       # sums over turns start at zero, before the loop
        if i >= k + body.xs and place in used:
            like = captured[i - k - body.xs]
            results[i] = own(b, b.const(0, like.dtype, like.shape))

    def fill() -> None:
        out = b.run(body.reverse, [*grad_carry, *map(back, grad_ys), *map(back, xs), *captured,
                                   *map(back, saved)])
        grads = dict(zip(which, out, strict=True))
        for place, i in enumerate(which):
            if i < k or place not in used:
                continue
            g = grads[i]
            if i < k + body.xs:
                room = b.room((body.turns, *g.shape))
                results[i] = Value(b.pool.load(room, g.dtype), room.shape)
                b.statements.append(Store(back(results[i]).view, g.expr))
            elif g.expr is not b.pool.const(0, g.dtype):
                b.statements.append(Store(results[i].view, g.expr, accumulate=True))
        update(b, grad_carry, [grads.get(i, grad_carry[i]) for i in range(k)])

    _inside(b, turn, fill)
    return [grad_carry[i] if i < k else results.get(i) for i in which]


TABLE["nde_lab.loop.default"] = _loop
TABLE["nde_lab.loop_reverse.default"] = _loop_reverse
