"""The matrix product in WebAssembly: c (m, n) = a (m, k) @ b (k, n), float32, four columns at a time.

``a`` may have any strides (its entries are broadcast one by one), so products with a transposed left factor
need no copy; ``b`` and ``c`` have unit stride along n. A tile of 4 rows x 8 columns stays in registers while
k runs.
"""
from __future__ import annotations

from nde_lab.lowering.wasm import I32, V128, Code

# parameters of the function, in order: byte addresses, sizes, byte strides
A, B, C, M, N, K, A_ROW, A_COLUMN, B_ROW, C_ROW = range(10)


def product() -> Code:
    """The function (a, b, c, m, n, k, a_row, a_column, b_row, c_row)."""
    w = Code((I32,) * 10)
    row, column = w.local(I32), w.local(I32)
    a, b, c, k = (w.local(I32) for _ in range(4))
    sums = [[w.local(V128) for _ in range(2)] for _ in range(4)]
    right = [w.local(V128) for _ in range(2)]
    left = w.local(V128)
    steps = [w.local(I32) for _ in range(4)]                # 0, 1, 2, 3 rows of a

    def tile(rows: int, vectors: int) -> None:
        """One tile at (row, column): rows x 4 vectors."""
        for r in range(rows):
            for v in range(vectors):
                w.f32(0.0)
                w.op("f32x4.splat")
                w.set(sums[r][v])
        _sum(w, (A, row, A_ROW))
        w.set(a)
        w.get(B)
        w.get(column)
        w.op("i32.add")
        w.set(b)
        w.get(K)
        w.set(k)
        w.while_below()
        for v in range(vectors):
            w.get(b)
            w.memory("v128.load", 16 * v)
            w.set(right[v])
        for r in range(rows):
            w.get(a)
            if r:
                w.get(steps[r])
                w.op("i32.add")
            w.memory("v128.load_splat")
            if vectors > 1:
                w.set(left)
            for v in range(vectors):
                if vectors > 1:
                    w.get(left)
                w.get(right[v])
                w.op("f32x4.mul")
                w.get(sums[r][v])
                w.op("f32x4.add")
                w.set(sums[r][v])
        for local, by in ((a, A_COLUMN), (b, B_ROW)):
            w.get(local)
            w.get(by)
            w.op("i32.add")
            w.set(local)
        w.get(k)
        w.i32(1)
        w.op("i32.sub")
        w.tee(k)
        w.again()
        _sum(w, (C, row, C_ROW))
        w.get(column)
        w.op("i32.add")
        w.set(c)

    def save(rows: int, vectors: int, lanes: int | None = None) -> None:
        for r in range(rows):
            for v in range(vectors):
                if lanes is None:
                    w.get(c)
                    w.get(sums[r][v])
                    w.memory("v128.store", 16 * v)
                else:
                    for lane in range(lanes):
                        w.get(c)
                        w.get(sums[r][v])
                        w.memory_lane("v128.store_lane", lane, 4 * lane)
            if r + 1 < rows:
                w.get(c)
                w.get(C_ROW)
                w.op("i32.add")
                w.set(c)

    def columns(rows: int) -> None:
        """All columns of ``rows`` rows."""
        w.i32(0)
        w.set(column)
        for vectors in (2, 1):
            _left_at_least(w, column, 16 * vectors)
            with w.when():
                w.while_below()
                tile(rows, vectors)
                save(rows, vectors)
                w.get(column)
                w.i32(16 * vectors)
                w.op("i32.add")
                w.set(column)
                _left_at_least(w, column, 16 * vectors)
                w.again()
        _left_at_least(w, column, 1)
        with w.when():                                      # 1 to 3 columns are left
            tile(rows, 1)
            _exactly(w, column, 12)
            with w.when():
                save(rows, 1, lanes=3)
            _exactly(w, column, 8)
            with w.when():
                save(rows, 1, lanes=2)
            _exactly(w, column, 4)
            with w.when():
                save(rows, 1, lanes=1)

    for r in range(1, 4):
        w.get(A_ROW)
        w.i32(r)
        w.op("i32.mul")
        w.set(steps[r])
    w.i32(0)
    w.set(row)
    for rows in (4, 1):
        _rows_left(w, row, rows)
        with w.when():
            w.while_below()
            columns(rows)
            w.get(row)
            w.i32(rows)
            w.op("i32.add")
            w.set(row)
            _rows_left(w, row, rows)
            w.again()
    return w


def _sum(w: Code, parts: tuple[int, int, int]) -> None:
    """base + index * stride"""
    base, index, stride = parts
    w.get(base)
    w.get(index)
    w.get(stride)
    w.op("i32.mul")
    w.op("i32.add")


def _left_at_least(w: Code, column: int, n: int) -> None:
    """4 n_columns - column >= n, in bytes"""
    w.get(N)
    w.get(column)
    w.op("i32.sub")
    w.i32(n)
    w.op("i32.ge")


def _exactly(w: Code, column: int, n: int) -> None:
    w.get(N)
    w.get(column)
    w.op("i32.sub")
    w.i32(n)
    w.op("i32.eq")


def _rows_left(w: Code, row: int, n: int) -> None:
    w.get(M)
    w.get(row)
    w.op("i32.sub")
    w.i32(n)
    w.op("i32.ge")
