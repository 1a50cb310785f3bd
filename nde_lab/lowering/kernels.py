"""WebAssembly kernels: one function per loop nest, parameters are byte addresses."""
from __future__ import annotations

import math

from nde_lab.lowering.expressions import Expressions
from nde_lab.lowering.ir import BOOL, FLOAT, INT, Expr, Reduce, Scan
from nde_lab.lowering.nest import Access
from nde_lab.lowering.wasm import F32, I32, V128, Code

IDENTITY = {("sum", FLOAT): 0.0, ("sum", INT): 0, ("prod", FLOAT): 1.0, ("prod", INT): 1,
            ("max", FLOAT): -math.inf,
            ("min", FLOAT): math.inf, ("max", INT): -2**31, ("min", INT): 2**31 - 1, ("all", BOOL): -1,
            ("any", BOOL): 0}
COMBINE = {"sum": "add", "prod": "mul", "max": "max", "min": "min", "all": "and", "any": "or"}
LONG_SUM = 1024         # elements after which a running sum is put aside (keeps float32 sums accurate)


class Kernel(Expressions):
    """Writes the loops of one nest: stores, reductions, running sums."""

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
        """The whole loop number ``depth``; ``inside(wide)`` writes its body, for vectors and then for the
        rest."""
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

    # ---- reductions ------------------------------------------------------------------------------
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
        """argmax, argmin: the first place of the extreme along the one reduced loop (a nan counts as
        extreme)."""
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
