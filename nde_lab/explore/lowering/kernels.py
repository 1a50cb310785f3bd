"""WebAssembly kernels: one function per loop nest, parameters are byte addresses."""
from __future__ import annotations

import math
from collections import Counter

from nde_lab.explore.lowering.functions import IMPORTED, NATIVE, Library
from nde_lab.explore.lowering.ir import BOOL, FLOAT, INT, Expr, Reduce, Scan
from nde_lab.explore.lowering.nest import Access, Nest
from nde_lab.explore.lowering.wasm import F32, I32, V128, Code

SAME = {"add", "sub", "mul", "div", "neg", "abs", "sqrt", "floor", "ceil", "trunc", "round"}     # f32.X and f32x4.X
COMPARE = {"lt", "le", "gt", "ge", "eq", "ne"}
BITS = {"and", "or", "xor"}
IDENTITY = {("sum", FLOAT): 0.0, ("sum", INT): 0, ("prod", FLOAT): 1.0, ("prod", INT): 1, ("max", FLOAT): -math.inf,
            ("min", FLOAT): math.inf, ("max", INT): -2**31, ("min", INT): 2**31 - 1, ("all", BOOL): -1,
            ("any", BOOL): 0}
COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "all": "and", "any": "or"}
LONG_SUM = 1024                     # elements after which a running sum is put aside (keeps float32 sums accurate)


class Kernel:
    """Writes one nest. ``wide`` says whether code is emitted for four elements at a time right now."""

    def __init__(self, nest: Nest, library: Library):
        self.nest, self.library = nest, library
        self.code = Code((I32,) * len(nest.pointers))
        self.counters = [self.code.local(I32) for _ in nest.sizes]
        self.values: list[dict[Expr, tuple[int, bool]]] = [{}]      # by scope: expression -> (local, wide)
        self.places: list[dict[tuple, int]] = [{}]                  # by scope: (access, depth) -> pointer local
        self.hoisted: dict[int, list[Expr]] = {}
        self.uses: Counter = Counter()
        self._plan()

    # ---- planning: which sub-expressions are computed outside the innermost loop that uses them ------------------
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
                                                         + [e for a, _, _ in self.nest.outs for e in a.index]))}
        for depth in self.hoisted:
            self.hoisted[depth].sort(key=order.__getitem__)

    # ---- writing ---------------------------------------------------------------------------------------------------
    def write(self) -> Code:
        first = self.nest.outs[0][2]
        self._enter(0, wide=False)
        if isinstance(first, Reduce):
            (self._arg if first.op.startswith("arg") else self._reduce)(0, False)
        elif isinstance(first, Scan):
            self._scan(0)
        else:
            self._stores(0, False)
        return self.code

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
        """Write the address at this depth if the loop just entered (or an index) moves it; unit strides of the
        innermost loop are left to ``_address``."""
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

    def _scope(self, depth: int, start: int, stop: int, wide: bool, inside) -> None:
        """The loop number ``depth`` from start to stop."""
        step = 16 if wide and depth == self.nest.vector else 4
        with self.code.loop(self.counters[depth], 4 * start, 4 * stop, step):
            self.values.append({})
            self.places.append({})
            self._enter(depth + 1, wide)
            inside()
            self.values.pop()
            self.places.pop()

    def _loop(self, depth: int, wide: bool, inside) -> None:
        """The whole loop number ``depth``; ``inside(wide)`` writes its body, for vectors and then for the rest."""
        n = self.nest.sizes[depth]
        if depth != self.nest.vector:
            self._scope(depth, 0, n, wide, lambda: inside(wide))
            return
        whole = n if not self.nest.exact else n - n % 4
        if whole:
            self._scope(depth, 0, whole, True, lambda: inside(True))
        if whole < n:
            self._scope(depth, whole, n, False, lambda: inside(False))

    def _stores(self, depth: int, wide: bool) -> None:
        if depth < len(self.nest.sizes):
            self._loop(depth, wide, lambda w: self._stores(depth + 1, w))
            return
        for access, value, s in self.nest.outs:
            self._store(access, wide, lambda v=value: self.emit(v, wide), value.dtype, s.accumulate)

    def _store(self, access: Access, wide: bool, push, dtype: str, accumulate: bool = False) -> None:
        c = self.code
        self._address(access)
        if accumulate:
            self._address(access)
            c.memory("v128.load" if wide else "f32.load" if dtype == FLOAT else "i32.load")
        push()
        if accumulate:
            self._apply("add", dtype, wide)
        c.memory("v128.store" if wide else "f32.store" if dtype == FLOAT else "i32.store")

    # ---- reductions -----------------------------------------------------------------------------------------------
    def _reduce(self, depth: int, wide: bool) -> None:
        kept = len(self.nest.sizes) - self.nest.reduced
        if depth < kept:
            self._loop(depth, wide, lambda w: self._reduce(depth + 1, w))
            return
        access, value, s = self.nest.outs[0]
        c, dtype = self.code, value.dtype
        across = self.nest.vector is not None and self.nest.vector >= kept   # the vector runs along the sum
        total = self._accumulator(s.op, dtype, wide or across)
        self._inner(depth, wide, total, value, s.op)
        if across:
            total = self._fold(total, s.op, dtype), False
        self._store(access, wide, lambda: c.get(total[0]), dtype)

    def _accumulator(self, op: str, dtype: str, wide: bool) -> tuple[int, bool]:
        c = self.code
        self._number(IDENTITY[op, dtype], dtype)
        if wide:
            c.op("f32x4.splat" if dtype == FLOAT else "i32x4.splat")
        local = c.local(V128 if wide else F32 if dtype == FLOAT else I32)
        c.set(local)
        return local, wide

    def _inner(self, depth: int, wide: bool, total, value: Expr, op: str) -> None:
        c, n = self.code, len(self.nest.sizes)
        if depth == n:
            self._combine(total, op, value, wide)
            return
        if depth == n - 1 and self.nest.sizes[depth] > 2 * LONG_SUM and op == "sum" and value.dtype == FLOAT:
            # A long sum in blocks: an unrolled outer level keeps rounding errors from adding up.
            size, wide_loop = self.nest.sizes[depth], wide or depth == self.nest.vector
            part = c.local(V128 if wide_loop else F32)
            whole = size - size % 4 if depth == self.nest.vector else size
            end = c.local(I32)
            start = c.local(I32)
            with c.loop(start, 0, 4 * whole, 4 * LONG_SUM):
                self._number(0.0, FLOAT)
                if wide_loop:
                    c.op("f32x4.splat")
                c.set(part)
                c.get(start)
                c.i32(4 * LONG_SUM)
                c.op("i32.add")
                c.set(end)
                c.get(end)
                c.i32(4 * whole)
                c.get(end)
                c.i32(4 * whole)
                c.op("i32.lt")
                c.op("select")
                c.set(end)
                c.get(start)
                c.set(self.counters[depth])
                c.while_below()
                self.values.append({})
                self.places.append({})
                self._enter(depth + 1, wide_loop)
                self._combine((part, wide_loop), op, value, wide_loop)
                self.values.pop()
                self.places.pop()
                c.get(self.counters[depth])
                c.i32(16 if depth == self.nest.vector else 4)
                c.op("i32.add")
                c.tee(self.counters[depth])
                c.get(end)
                c.op("i32.lt")
                c.again()
                c.get(total[0])
                c.get(part)
                c.op("f32x4.add" if wide_loop else "f32.add")
                c.set(total[0])
            if whole < size:
                self._scope(depth, whole, size, False, lambda: self._combine(total, op, value, False))
            return
        self._loop(depth, wide, lambda w: self._inner(depth + 1, w, total, value, op))

    def _combine(self, total, op: str, value: Expr, wide: bool) -> None:
        """total = total op value; a single element joins lane 0 of a wide total."""
        c, (local, wide_total) = self.code, total
        c.get(local)
        if wide_total and not wide:
            kind = "f32x4" if value.dtype == FLOAT else "i32x4"
            c.get(local)
            c.lane(f"{kind}.extract", 0)
            self.emit(value, False)
            self._apply(COMBINE[op], value.dtype, False)
            c.lane(f"{kind}.replace", 0)
        else:
            self.emit(value, wide)
            self._apply(COMBINE[op], value.dtype, wide)
        c.set(local)

    def _fold(self, total, op: str, dtype: str) -> int:
        """Replace the accumulator by the combination of its four lanes (a scalar in a new local)."""
        c, local = self.code, total[0]
        for lanes in ((2, 3, 0, 1), (1, 0, 3, 2)):
            c.get(local)
            c.get(local)
            c.get(local)
            c.shuffle(lanes)
            self._apply(COMBINE[op], dtype, True)
            c.set(local)
        c.get(local)
        c.lane("f32x4.extract" if dtype == FLOAT else "i32x4.extract", 0)
        out = c.local(F32 if dtype == FLOAT else I32)
        c.set(out)
        return out

    def _arg(self, depth: int, wide: bool) -> None:
        """argmax, argmin: the first place of the extreme along the one reduced loop (a nan counts as extreme)."""
        kept = len(self.nest.sizes) - self.nest.reduced
        if depth < kept:
            self._loop(depth, False, lambda w: self._arg(depth + 1, False))
            return
        access, value, s = self.nest.outs[0]
        c, kind = self.code, F32 if value.dtype == FLOAT else I32
        best, now, where = c.local(kind), c.local(kind), c.local(I32)
        prefix = "f32" if kind == F32 else "i32"
        c.i32(0)
        c.set(where)

        def turn() -> None:
            self.emit(value, False)
            c.set(now)
            c.get(self.counters[depth])
            c.op("i32.eqz")
            c.get(now)
            c.get(best)
            c.op(f"{prefix}.gt" if s.op == "argmax" else f"{prefix}.lt")
            c.op("i32.or")
            if kind == F32:                                 # now is nan while best is not
                c.get(now)
                c.get(now)
                c.op("f32.ne")
                c.get(best)
                c.get(best)
                c.op("f32.eq")
                c.op("i32.and")
                c.op("i32.or")
            with c.when():
                c.get(now)
                c.set(best)
                c.get(self.counters[depth])
                c.set(where)
        if depth < len(self.nest.sizes):
            self._scope(depth, 0, self.nest.sizes[depth], False, turn)
        self._address(access)
        c.get(where)
        c.i32(2)
        c.op("i32.shr_u")                                  # counters are in bytes
        c.memory("i32.store")

    def _scan(self, depth: int) -> None:
        if depth < len(self.nest.sizes) - self.nest.reduced:
            self._scope(depth, 0, self.nest.sizes[depth], False, lambda: self._scan(depth + 1))
            return
        access, value, s = self.nest.outs[0]
        total = self._accumulator(s.op, value.dtype, False)

        def turn() -> None:
            self._combine(total, s.op, value, False)
            self._store(access, False, lambda: self.code.get(total[0]), value.dtype)
        if depth < len(self.nest.sizes):
            self._scope(depth, 0, self.nest.sizes[depth], False, turn)
        else:
            turn()

    # ---- expressions ----------------------------------------------------------------------------------------------
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
                if not wide and (e.op in IMPORTED or e.op in NATIVE):
                    c.op("f32x4.splat")
            self._operate(e, wide)
        if not fresh and e.op not in ("const",) and self.uses[e] > 1:
            local = c.local(V128 if wide else F32 if e.dtype == FLOAT else I32)
            c.tee(local)
            self.values[-1][e] = (local, wide)

    def _operate(self, e: Expr, wide: bool) -> None:
        c, dtype = self.code, e.args[0].dtype
        if e.op in IMPORTED or e.op in NATIVE:
            c.call(self.library.index(e.op))
            if not wide:
                c.lane("f32x4.extract", 0)
        elif "_to_" in e.op:
            self._convert(e.op, wide)
        elif wide and dtype == FLOAT and e.op in ("min", "max") and e.args[1].op == "const":
            c.op(f"f32x4.p{e.op}")                          # one instruction; keeps a nan in the first operand
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

