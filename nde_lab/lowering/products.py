"""Matrix products of known sizes, for native programs: one function per shape, everything known written out.

The same tiles as ``matmul`` (4 rows x 8 columns stay in registers; 8 x 4 where there are only few columns), but
sizes and strides are numbers in the code, and products are added without rounding in between. Written for
Cranelift, which moves all loads of a stretch of code to its top (hence little unrolling) and copies an entry
into four lanes best as a float.
"""
from __future__ import annotations

from nde_lab.lowering.wasm import I32, V128, Code

A, B, C = range(3)
UNROLL = 2                      # steps of k written out; more of them would not fit the registers


def product_of(m: int, k: int, n: int, a: tuple[int, int], b_row: int, c_row: int) -> Code:
    """The function (a, b, c) of addresses: c (m, n) = a (m, k) @ b (k, n). Strides in elements, none below 0."""
    return _Product(m, k, n, 4 * a[0], 4 * a[1], 4 * b_row, 4 * c_row).write()


class _Product:
    def __init__(self, m: int, k: int, n: int, a_row: int, a_column: int, b_row: int, c_row: int):
        self.m, self.k, self.n = m, k, n
        self.a_row, self.a_column, self.b_row, self.c_row = a_row, a_column, b_row, c_row
        self.code = w = Code((I32,) * 3)
        self.rows = 4 if n >= 8 else 8
        self.row, self.column, self.turn, self.a, self.b = (w.local(I32) for _ in range(5))
        self.sums = [w.local(V128) for _ in range(8)]
        self.right, self.left = [w.local(V128) for _ in range(2)], w.local(V128)

    def write(self) -> Code:
        w, whole = self.code, self.m // self.rows
        if whole:
            with w.loop(self.row, 0, whole, 1):
                self._columns(self.rows)
                for address, step in ((A, self.a_row), (C, self.c_row)):
                    self._move(address, address, self.rows * step)
        if self.m % self.rows:
            self._columns(self.m % self.rows)
        return w

    def _move(self, target: int, source: int, by: int) -> None:
        w = self.code
        w.get(source)
        w.i32(by)
        w.op("i32.add")
        w.set(target)

    def _columns(self, rows: int) -> None:
        w, done = self.code, 0
        for vectors in (2, 1) if rows * 2 <= 8 else (1,):
            count = (self.n - done) // (4 * vectors)
            if count:
                with w.loop(self.column, 4 * done, 4 * (done + 4 * vectors * count), 16 * vectors):
                    self._tile(rows, vectors, 4)
                done += 4 * vectors * count
        if done < self.n:                                   # 1 to 3 columns are left
            w.i32(4 * done)
            w.set(self.column)
            self._tile(rows, 1, self.n - done)

    def _tile(self, rows: int, vectors: int, lanes: int) -> None:
        w = self.code
        sums = [self.sums[r * vectors:(r + 1) * vectors] for r in range(rows)]
        for local in sum(sums, []):
            w.f32(0.0)
            w.op("f32x4.splat")
            w.set(local)
        w.get(A)
        w.set(self.a)
        self._sum(B)
        w.set(self.b)
        if self.k // UNROLL > 1:
            with w.loop(self.turn, 0, self.k // UNROLL, 1):
                self._steps(sums, UNROLL)
                self._move(self.a, self.a, UNROLL * self.a_column)
                self._move(self.b, self.b, UNROLL * self.b_row)
            self._steps(sums, self.k % UNROLL)
        else:
            self._steps(sums, self.k)
        self._sum(C)
        w.set(self.b)
        for r, row in enumerate(sums):
            for v, local in enumerate(row):
                if lanes == 4:
                    w.get(self.b)
                    w.get(local)
                    w.memory("v128.store", r * self.c_row + 16 * v)
                    continue
                for lane in range(lanes):
                    w.get(self.b)
                    w.get(local)
                    w.memory_lane("v128.store_lane", lane, r * self.c_row + 4 * lane)

    def _sum(self, base: int) -> None:
        self.code.get(base)
        self.code.get(self.column)
        self.code.op("i32.add")

    def _steps(self, sums: list[list[int]], count: int) -> None:
        w = self.code
        for j in range(count):
            for v in range(len(sums[0])):
                w.get(self.b)
                w.memory("v128.load", j * self.b_row + 16 * v)
                w.set(self.right[v])
            for r, row in enumerate(sums):
                w.get(self.a)
                w.memory("f32.load", r * self.a_row + j * self.a_column)
                w.op("f32x4.splat")
                w.set(self.left)
                for v, local in enumerate(row):
                    w.get(self.left)
                    w.get(self.right[v])
                    w.get(local)
                    w.op("f32x4.madd")
                    w.set(local)
