"""Expressions of a kernel in WebAssembly: addresses, loads, arithmetic, and what is computed outside inner
loops."""
from __future__ import annotations

from collections import Counter

from nde_lab.lowering.functions import NATIVE, Library
from nde_lab.lowering.ir import FLOAT, Expr
from nde_lab.lowering.nest import Access, Nest
from nde_lab.lowering.rare import RARE
from nde_lab.lowering.wasm import F32, I32, V128, Code

COMPARE = {"lt", "le", "gt", "ge", "eq", "ne"}
BITS = {"and", "or", "xor"}


class Expressions:
    """Writes the values of one nest's expressions. ``wide`` says whether code is emitted for four elements at
    a time.

    Scopes mirror the open loops: a value or an address found in a scope is valid until that loop's turn ends.
    """

    def __init__(self, nest: Nest, library: Library):
        self.nest, self.library = nest, library
        self.code = Code((I32,) * len(nest.pointers))
        self.counters = [self.code.local(I32) for _ in nest.sizes]
        self.values: list[dict[Expr, tuple[int, bool]]] = [{}]      # by scope: expression -> (local, wide)
        self.places: list[dict[tuple,
                               int]] = [{}]                  # by scope: (access, depth) -> pointer local
        self.hoisted: dict[int, list[Expr]] = {}
        self.uses: Counter = Counter()
        self._plan()

    # ---- planning: which sub-expressions are computed outside the innermost loop that uses them --
    def _plan(self) -> None:
        seen: set[Expr] = set()

        def visit(e: Expr, outer: int) -> None:
            self.uses[e] += 1
            depth = self.nest.depth(e)
            if depth < outer and e not in self.hoisted.setdefault(depth, []):
                self.hoisted[depth].append(e)
            if e in seen:
                return
            seen.add(e)
            for a in e.args:
                visit(a, depth)
        full = len(self.nest.sizes)
        for access, value, _ in self.nest.outs:
            for e in access.index:
                visit(e, self.nest.depth(e))
            visit(value, full)
        # Inner parts first: a hoisted expression may use another of the same depth.
        order = {e: i for i, e in enumerate(_topological([v for _, v, _ in self.nest.outs]
                                                         + [e for a, _, _ in self.nest.outs
                                                            for e in a.index]))}
        for depth in self.hoisted:
            self.hoisted[depth].sort(key=order.__getitem__)

    def _enter(self, depth: int, wide: bool) -> None:
        """Pointers and values that become known once the loop number ``depth - 1`` has its turn."""
        for access in [*self.nest.loads.values(), *(a for a, _, _ in self.nest.outs)]:
            self._advance(access, depth)
        v = self.nest.vector
        for e in self.hoisted.get(depth, ()):
            self._keep(e, wide or v is not None and depth <= v)

    def _keep(self, e: Expr, wide: bool) -> None:
        if self._known(e):
            return
        self.emit(e, wide, fresh=True)
        local = self.code.local(V128 if wide else F32 if e.dtype == FLOAT else I32)
        self.code.set(local)
        self.values[-1][e] = (local, wide)

    def _known(self, e: Expr):
        for scope in reversed(self.values):
            if e in scope:
                return scope[e]
        return None

    def _pointer(self, access: Access, depth: int) -> int:
        """The local that holds the address after the first ``depth`` loops."""
        for scope in reversed(self.places):
            for d in range(depth, -1, -1):
                if (access, d) in scope:
                    return scope[access, d]
        return access.pointer

    def _advance(self, access: Access, depth: int) -> None:
        """Write the address at this depth if the loop just entered (or an index) moves it; unit strides of
        the innermost loop are left to ``_address``."""
        c = self.code
        terms = []
        if depth:
            s = access.strides[depth - 1]
            if s and not (depth == len(self.nest.sizes) and s == 1 and not access.index):
                terms.append((self.counters[depth - 1], s))
        index = [(e, s) for e, s in zip(access.index, access.steps, strict=True)
                 if self.nest.depth(e) == depth]
        if not terms and not index:
            return
        c.get(self._pointer(access, depth - 1) if depth else access.pointer)
        for local, s in terms:
            c.get(local)
            if s != 1:
                c.i32(s)
                c.op("i32.mul")
            c.op("i32.add")
        for e, s in index:
            self.emit(e, False)
            c.i32(4 * s)
            c.op("i32.mul")
            c.op("i32.add")
        local = c.local(I32)
        c.set(local)
        self.places[-1][access, depth] = local

    def _address(self, access: Access) -> None:
        c, last = self.code, len(self.nest.sizes)
        c.get(self._pointer(access, last))
        if last and access.strides[last - 1] == 1 and not access.index:
            c.get(self.counters[last - 1])
            c.op("i32.add")

    # ---- expressions -----------------------------------------------------------------------------
    def _number(self, value, dtype: str) -> None:
        (self.code.f32 if dtype == FLOAT else self.code.i32)(value)

    def emit(self, e: Expr, wide: bool, fresh: bool = False) -> None:
        """Leave the value of ``e`` on the stack, four of them if ``wide``."""
        c = self.code
        if not fresh and (known := self._known(e)):
            local, was_wide = known
            c.get(local)
            kind = "f32x4" if e.dtype == FLOAT else "i32x4"
            if wide and not was_wide:
                c.op(f"{kind}.splat")
            elif was_wide and not wide:
                c.lane(f"{kind}.extract", 0)
            return
        if e.op == "const":
            self._number(e.value, e.dtype)
            if wide:
                c.op("f32x4.splat" if e.dtype == FLOAT else "i32x4.splat")
        elif e.op == "load":
            self._load(e, wide)
        elif e.op == "where":
            mask, a, b = e.args
            for part in (a, b, mask):
                self.emit(part, wide)
            c.op("v128.bitselect" if wide else "select")
        else:
            for a in e.args:
                self.emit(a, wide)
                if not wide and (e.op in RARE or e.op in NATIVE):
                    c.op("f32x4.splat")
            self._operate(e, wide)
        if not fresh and e.op not in ("const",) and self.uses[e] > 1:
            local = c.local(V128 if wide else F32 if e.dtype == FLOAT else I32)
            c.tee(local)
            self.values[-1][e] = (local, wide)

    def _operate(self, e: Expr, wide: bool) -> None:
        c, dtype = self.code, e.args[0].dtype
        if e.op in RARE or e.op in NATIVE:
            self.library.write(c, e.op)
            if not wide:
                c.lane("f32x4.extract", 0)
        elif "_to_" in e.op:
            self._convert(e.op, wide)
        elif wide and dtype == FLOAT and e.op in ("min", "max") and e.args[1].op == "const":
            c.op(f"f32x4.p{e.op}")                          # one instruction; keeps a nan in the first
        elif e.op == "not":
            if wide:
                c.op("v128.not")
            else:
                c.i32(-1)
                c.op("i32.xor")
        else:
            self._apply(e.op, dtype, wide)

    def _apply(self, op: str, dtype: str, wide: bool) -> None:
        """One machine operation on operands already on the stack."""
        c = self.code
        if op in BITS:
            c.op(f"v128.{op}" if wide else f"i32.{op}")
        elif wide:
            c.op(f"{'f32x4' if dtype == FLOAT else 'i32x4'}.{op}")
        elif op in COMPARE:
            c.op(f"{'f32' if dtype == FLOAT else 'i32'}.{op}")
            flag = c.local(I32)
            c.set(flag)
            c.i32(0)
            c.get(flag)
            c.op("i32.sub")
        elif dtype == FLOAT:
            c.op(f"f32.{op}")
        elif op in ("add", "sub", "mul"):
            c.op(f"i32.{op}")
        else:                                               # neg, abs, min, max of one integer: as a vector
            if op in ("min", "max"):
                right = c.local(I32)
                c.set(right)
                c.op("i32x4.splat")
                c.get(right)
            c.op("i32x4.splat")
            c.op(f"i32x4.{op}")
            c.lane("i32x4.extract", 0)

    def _convert(self, op: str, wide: bool) -> None:
        c = self.code
        if op == "f32_to_i32":
            c.op("f32x4.to_i32" if wide else "i32.trunc_f32")
        elif op == "i32_to_f32":
            c.op("f32x4.from_i32" if wide else "f32.convert_i32")
        else:                                               # a bool is 0 / -1
            c.op("i32x4.neg") if wide else (c.i32(-1), c.op("i32.mul"))
            if op == "bool_to_f32":
                c.op("f32x4.from_i32" if wide else "f32.convert_i32")

    def _load(self, e: Expr, wide: bool) -> None:
        c, access = self.code, self.nest.loads[e]
        if not wide:
            self._address(access)
            c.memory("f32.load" if e.dtype == FLOAT else "i32.load")
            return
        step = access.strides[self.nest.vector]
        self._address(access)
        if step == 0:
            c.memory("v128.load_splat")
        elif step == 1:
            c.memory("v128.load")
        else:                                               # four elements apart: lowest address first
            low = c.local(I32)
            if step < 0:
                c.i32(12 * step)
                c.op("i32.add")
            c.set(low)
            value = c.local(V128)
            lanes = range(4) if step > 0 else range(3, -1, -1)
            c.get(low)
            c.memory("v128.load_splat")
            c.set(value)
            for k, lane in list(enumerate(lanes))[1:]:
                c.get(low)
                c.get(value)
                c.memory_lane("v128.load_lane", lane, 4 * abs(step) * k)
                c.set(value)
            c.get(value)


def _topological(roots: list[Expr]) -> list[Expr]:
    order: dict[Expr, None] = {}

    def visit(e: Expr) -> None:
        if e in order:
            return
        for a in e.args:
            visit(a)
        order[e] = None
    for r in roots:
        visit(r)
    return list(order)

