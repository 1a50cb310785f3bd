"""The small language between torch graphs and machine code: views of buffers, expressions, statements.

Every element of every buffer takes four bytes (float32, int32, or a bool stored as 0 / -1), so one flat
memory holds everything. A *view* is a window on a buffer (shape, strides, offset, in elements; an offset may
move with the turn of an enclosing loop). An *expression* is element-wise arithmetic over views of one common
shape. A *statement* evaluates an expression into a view, reduces it, multiplies two matrices, or repeats
other statements.
"""
from __future__ import annotations

from dataclasses import dataclass, field

FLOAT, INT, BOOL = "f32", "i32", "bool"


@dataclass(eq=False)
class Buffer:
    """``size`` elements. kind: "input" and "output" (part of the interface), "const", "temp"."""
    size: int
    kind: str = "temp"
    name: str = ""
    values: object = None                # numpy array of a constant


@dataclass(eq=False)
class Turn:
    """The running index of a loop: start, start + stride, ... (n values)."""
    n: int


@dataclass(frozen=True)
class View:
    """Element (i, j, ...) is at ``offset + sum(turn * step for moves) + i strides[0] + j strides[1] +
    ...``."""
    buffer: Buffer
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    offset: int = 0
    moves: tuple[tuple[Turn, int], ...] = ()

    def moved(self, *, shape=None, strides=None, offset=0) -> View:
        return View(self.buffer, self.shape if shape is None else tuple(shape),
                    self.strides if strides is None else tuple(strides), self.offset + offset, self.moves)

    @property
    def numel(self) -> int:
        return numel(self.shape)

    @property
    def contiguous(self) -> bool:
        return all(n == 1 or s == c for n, s, c in zip(self.shape, self.strides, row_major(self.shape),
                                                       strict=True))

    @property
    def whole(self) -> bool:
        """Does it cover its buffer exactly, in order?"""
        return self.contiguous and self.offset == 0 and not self.moves and self.numel == self.buffer.size


def numel(shape) -> int:
    n = 1
    for s in shape:
        n *= s
    return n


def row_major(shape) -> tuple[int, ...]:
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


# ---- expressions: made by a Pool, so that equal expressions are one object -----------------------

@dataclass(frozen=True, eq=False)
class Expr:
    """op "load": a view (and, for gathers, index expressions with their strides); "const": a number; else
    operator ``op`` of ``args``. dtype is that of the value."""
    op: str
    dtype: str
    args: tuple[Expr, ...] = ()
    view: View | None = None
    steps: tuple[int, ...] = ()           # load: stride of each index expression in args
    value: float | int = 0

    def leaves(self, found: dict | None = None) -> dict:
        """All loads below, index expressions before the loads that use them."""
        found = {} if found is None else found
        for a in self.args:
            a.leaves(found)
        if self.op == "load":
            found[self] = None
        return found

    @property
    def is_view(self) -> bool:
        return self.op == "load" and not self.args


class Pool:
    """Makes expressions; folds constants and drops additions of 0 and products with 1."""

    def __init__(self):
        self._made: dict = {}
        self._weights: dict[Expr, int] = {}

    def _make(self, *key) -> Expr:
        if key not in self._made:
            self._made[key] = Expr(*key)
        return self._made[key]

    def const(self, value, dtype: str) -> Expr:
        value = float(value) if dtype == FLOAT else int(value)
        # repr separates 0.0 from -0.0 and lets a nan be found again.
        key = ("const", dtype, repr(value))
        if key not in self._made:
            self._made[key] = Expr("const", dtype, value=value)
        return self._made[key]

    def load(self, view: View, dtype: str, index: tuple[Expr, ...] = (), steps: tuple[int, ...] = ()) -> Expr:
        return self._make("load", dtype, index, view, steps)

    def op(self, name: str, dtype: str, *args: Expr) -> Expr:
        def is_const(e, v):
            return e.op == "const" and e.value == v
        a, b = (args + (None, None))[:2]
        if name == "add" and (is_const(a, 0) or is_const(b, 0)):
            return b if is_const(a, 0) else a
        if name == "sub" and is_const(b, 0):
            return a
        if name in ("mul", "div") and is_const(b, 1):
            return a
        if name == "mul" and is_const(a, 1):
            return b
        if name == "mul" and (is_const(a, 0) or is_const(b, 0)) and dtype == INT:
            return self.const(0, dtype)
        if name in ("min", "max") and a.op == "const":
            return self._make(name, dtype, (b, a))          # the constant second: see kernels.py
        if name == "where" and args[1] is args[2]:
            return args[1]
        return self._make(name, dtype, args)

    def remap(self, e: Expr, change) -> Expr | None:
        """``e`` with every view replaced by ``change(view)``; None where that is None for any of them."""
        if e.op == "const":
            return e
        args = []
        for a in e.args:
            if (new := self.remap(a, change)) is None:
                return None
            args.append(new)
        if e.op != "load":
            return self._make(e.op, e.dtype, tuple(args))
        view = change(e.view)
        return None if view is None else self.load(view, e.dtype, tuple(args), e.steps)

    def weight(self, e: Expr) -> int:
        """A rough cost per element: loads and simple arithmetic 1, transcendental functions 12."""
        if e not in self._weights:
            own = 0 if e.op == "const" else 12 if e.op in COSTLY else 4 if e.op in ("div", "sqrt") else 1
            self._weights[e] = own + sum(self.weight(a) for a in e.args)
        return self._weights[e]


COSTLY = {"exp", "log", "tanh", "sigmoid", "sin", "cos", "pow", "log1p", "expm1", "atan", "atan2", "asin",
          "acos",
          "sinh", "cosh", "asinh", "acosh", "atanh", "erf", "tan"}


# ---- statements ----------------------------------------------------------------------------------

@dataclass(eq=False)
class Store:
    """out[...] = value, or += with ``accumulate``. ``index``/``steps`` scatter (as for a load)."""
    out: View
    value: Expr
    index: tuple[Expr, ...] = ()
    steps: tuple[int, ...] = ()
    accumulate: bool = False


@dataclass(eq=False)
class Reduce:
    """out = value combined over the axes ``dims`` (of the full shape ``shape``); op: sum, prod, max, min,
    all, any, argmax, argmin (index along the single axis). ``out`` has the full shape with stride 0 on
    ``dims``."""
    out: View
    value: Expr
    shape: tuple[int, ...]
    dims: tuple[int, ...]
    op: str


@dataclass(eq=False)
class Scan:
    """out = running ``op`` (sum, prod) of value along the axis ``dim``."""
    out: View
    value: Expr
    dim: int
    op: str


@dataclass(eq=False)
class Multiply:
    """out (m, n) = a (m, k) @ b (k, n); b has unit stride along n, out too."""
    out: View
    a: View
    b: View


@dataclass(eq=False)
class Repeat:
    """Run ``body`` for turn = 0 .. n-1. Buffers of ``locals`` live inside it only."""
    turn: Turn
    body: list = field(default_factory=list)


@dataclass
class Program:
    """Statements with the interface: inputs and outputs as (name, shape, dtype, buffer)."""
    statements: list
    inputs: list[tuple[str, tuple[int, ...], str, Buffer]]
    outputs: list[tuple[str, tuple[int, ...], str, Buffer]]


def reads(s) -> list[View]:
    """The views that a statement (not a Repeat) reads."""
    if isinstance(s, Multiply):
        return [s.a, s.b]
    found: dict = {}
    s.value.leaves(found)
    for e in getattr(s, "index", ()):
        e.leaves(found)
    return [e.view for e in found] + ([s.out] if getattr(s, "accumulate", False) else [])
