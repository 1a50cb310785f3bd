"""Loop nests: what a statement iterates over, in an order and a size that suit four-wide machine code.

Both back ends (WebAssembly and plain JavaScript) write their kernels from a ``Nest``: pointers, loops, and
for each expression the depth of the innermost loop on which it depends, so that it is computed there and not
further in.
"""
from __future__ import annotations

from dataclasses import dataclass, field

from nde_lab.lowering.ir import Expr, Reduce, Scan, Store, View

LANES = 4


@dataclass(eq=False)
class Access:
    """One address stream: parameter ``pointer`` plus strides (in elements) over the nest's loops, plus index
    expressions times ``steps``."""
    pointer: int
    strides: tuple[int, ...]
    index: tuple[Expr, ...] = ()
    steps: tuple[int, ...] = ()


@dataclass(eq=False)
class Nest:
    """sizes: of the loops, outermost first. vector: which loop runs four at a time (None: scalar). reduced:
    loops over which the value is combined (innermost ones). ``loads`` and ``outs`` give each expression's and
    output's access."""
    sizes: tuple[int, ...]
    vector: int | None
    reduced: int                                     # number of innermost loops that are reduced
    pointers: list[View]                             # the call's arguments
    loads: dict[Expr, Access]
    outs: list[tuple[Access, Expr, Store | Reduce | Scan]]
    exact: bool = True                               # False: the last vector of a row may write past its end
    _depth: dict = field(default_factory=dict)

    def depth(self, e: Expr) -> int:
        """0 if ``e`` is the same in every turn, else 1 + the innermost loop that it depends on."""
        if e not in self._depth:
            own = 0
            if e.op == "load":
                own = max((1 + i for i, s in enumerate(self.loads[e].strides) if s), default=0)
            self._depth[e] = max([own, *(self.depth(a) for a in e.args)])
        return self._depth[e]

    def access_depth(self, a: Access) -> int:
        own = max((1 + i for i, s in enumerate(a.strides) if s), default=0)
        return max([own, *(self.depth(e) for e in a.index)])


def pointer_key(v: View):
    return v.buffer, v.offset, v.moves


def nest(statements: list) -> Nest:
    """The nest of stores over one shape, or of one reduction or scan."""
    first = statements[0]
    shape = first.shape if isinstance(first, Reduce) else first.out.shape
    reduced = set()
    if isinstance(first, (Reduce, Scan)):
        reduced = set(first.dims) if isinstance(first, Reduce) else {first.dim}
    exprs: dict[Expr, None] = {}
    for s in statements:
        s.value.leaves(exprs)
        for e in getattr(s, "index", ()):
            e.leaves(exprs)
    streams = {e: e.view.strides for e in exprs}
    outs = [s.out.strides for s in statements]
    order = [d for d in range(len(shape)) if d not in reduced] + sorted(reduced)
    order = [d for d in order if shape[d] != 1]
    sizes = [shape[d] for d in order]
    table = [[st[d] for d in order] for st in (*streams.values(), *outs)]
    kept = sum(d not in reduced for d in order)
    sizes, table, kept = _merge(sizes, table, kept, merge=not isinstance(first, Scan))
    n = len(streams)
    plain = isinstance(first, Store) or isinstance(first, Reduce) and not first.op.startswith("arg")
    vector, sizes, table = _vectorise(sizes, table, kept, n, plain)
    pointers: dict = {}

    def access(view: View, strides, index=(), steps=()) -> Access:
        return Access(pointers.setdefault(pointer_key(view), (len(pointers), view))[0], tuple(strides), index,
                      steps)
    loads = {e: access(e.view, table[i], e.args, e.steps) for i, e in enumerate(streams)}
    made = Nest(tuple(sizes), vector, len(sizes) - kept, [], loads,
                [(access(s.out, table[n + i], getattr(s, "index", ()), getattr(s, "steps", ())), s.value, s)
                 for i, s in enumerate(statements)])
    made.pointers = [view for _, view in pointers.values()]
    _check_gathers(made)
    made.exact = not (made.vector is not None and made.vector == len(sizes) - 1 and isinstance(first, Store)
                      and _may_spill(made, statements))
    return made


def _merge(sizes: list[int], table: list[list[int]], kept: int, merge: bool):
    """Join neighbouring loops that every access walks as one."""
    d = 0
    while merge and d + 1 < len(sizes):
        if d + 1 != kept and all(t[d] == t[d + 1] * sizes[d + 1] for t in table):
            sizes = sizes[:d] + [sizes[d] * sizes[d + 1]] + sizes[d + 2:]
            table = [t[:d] + t[d + 1:] for t in table]
            kept -= d + 1 < kept
        else:
            d += 1
    return sizes, table, kept


def _vectorise(sizes, table, kept, n, plain):
    """Choose the loop to run four at a time, and put it in its place."""
    if not plain or not sizes:
        return None, sizes, table
    loads, outs = table[:n], table[n:]
    if kept < len(sizes):                                   # a reduction
        last = len(sizes) - 1
        if sizes[last] >= 2 * LANES and all(t[last] in (0, 1) for t in loads):
            return last, sizes, table
        if kept and sizes[kept - 1] >= LANES and all(t[kept - 1] == 1 for t in outs):
            return kept - 1, sizes, table
        return (last, sizes, table) if sizes[last] >= LANES else (None, sizes, table)
    fits = [d for d in range(kept) if sizes[d] >= LANES and all(t[d] == 1 for t in outs)]
    if not fits:
        return None, sizes, table
    d = fits[-1]
    turn = [i for i in range(len(sizes)) if i != d] + [d]   # the vector loop goes innermost
    return len(sizes) - 1, [sizes[i] for i in turn], [[t[i] for i in turn] for t in table]


def _check_gathers(made: Nest) -> None:
    """A gather whose index changes within a vector needs scalar code."""
    if made.vector is None:
        return
    for a in [*made.loads.values(), *(a for a, _, _ in made.outs)]:
        if any(made.depth(e) > made.vector for e in a.index):
            made.vector = None
            made._depth.clear()
            return


def _may_spill(made: Nest, statements: list) -> bool:
    """May the last vector of each row write up to three elements too many? Yes where those belong to the next
    row (written later) or to the buffer's padding, and no input is the buffer being written."""
    v = made.vector
    written = {s.out.buffer for s in statements}
    for s in statements:
        if not s.out.whole or s.accumulate or s.index or s.out.buffer.kind == "const":
            return False
    if any(e.view.buffer in written for e in made.loads):
        return False
    return all(a.strides[v] in (0, 1) for a in made.loads.values()) and all(
        all(a.strides[d] >= a.strides[d + 1] for d in range(len(a.strides) - 1)) for a, _, _ in made.outs)
