"""The builder: walks a traced graph and turns each aten operator into expressions and statements.

Element-wise results stay *expressions* until something needs them in memory (a matrix product, a reduction of
something else, several users of a costly value), so chains fuse by themselves; views only change strides.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch.fx import GraphModule, Node

from nde_lab.lowering.ir import (
    BOOL,
    COSTLY,
    FLOAT,
    INT,
    Buffer,
    Expr,
    Pool,
    Program,
    Store,
    View,
    numel,
    row_major,
)

TABLE: dict[str, Callable] = {}          # "aten.mul.Tensor" -> function(builder, *args, **kwargs)
DTYPES = {torch.float32: FLOAT, torch.int64: INT, torch.int32: INT, torch.bool: BOOL, torch.uint8: INT}
# Costs (Pool.weight) above which a value is written to memory rather than computed again or carried along.
REUSED, EXPANDED, LONG = 3, 9, 160


def operator(*names: str):
    """Decorator: the function lowers these operators."""
    def add(fn):
        TABLE.update({n if n.startswith("prims.") else f"aten.{n}": fn for n in names})
        return fn
    return add


@dataclass(frozen=True)
class Value:
    """A tensor of the graph: an expression over the axes of ``shape``."""
    expr: Expr
    shape: tuple[int, ...]

    @property
    def dtype(self) -> str:
        return self.expr.dtype

    @property
    def view(self) -> View:
        return self.expr.view


def dtype_of(dtype: torch.dtype) -> str:
    if dtype not in DTYPES:
        raise ValueError(f"lowered programs compute in float32, int32 and bool; a tensor of {dtype} came up "
                         "(give float32 explicitly, and 0-d tensors rather than float64 arrays)")
    return DTYPES[dtype]


def refuse_empty(t) -> None:
    if isinstance(t, torch.Tensor) and t.numel() == 0:
        raise ValueError("lowered programs have no empty tensors; a traced function made one of shape "
                         f"{tuple(t.shape)}")


class Builder:
    """Holds what is being built; operators call its methods."""

    def __init__(self, bodies: dict | None = None):
        self.pool = Pool()
        self.bodies = bodies or {}                    # key of a recorded loop -> Body
        self.node: Node | None = None                 # the call being lowered
        self.statements: list = []
        self.meta: torch.Tensor | None = None         # shape and dtype of the result being lowered

    # ---- values ----------------------------------------------------------------------------------
    @property
    def dtype(self) -> str:
        """The dtype of the operator being lowered."""
        return dtype_of(self.meta.dtype)

    def const(self, value, dtype: str, shape=()) -> Value:
        if dtype == BOOL:
            value = -int(bool(value))
        return Value(self.pool.const(value, dtype), tuple(shape))

    def tensor(self, t: torch.Tensor) -> Value:
        """A known tensor: a number if all its entries agree, else a constant buffer."""
        t = t.detach().cpu()
        dtype = FLOAT if t.dtype == torch.float64 else dtype_of(t.dtype)
        refuse_empty(t)
        flat = t.reshape(-1)
        if bool((flat == flat[0]).all()):
            return self.const(flat[0].item(), dtype, t.shape)
        if dtype == INT and int(flat.abs().max()) >= 2**31:
            raise ValueError("integers in lowered programs are 32-bit; a constant is larger")
        array = {FLOAT: lambda: flat.to(torch.float32).numpy(), INT: lambda: flat.to(torch.int32).numpy(),
                 BOOL: lambda: -flat.to(torch.int32).numpy()}[dtype]()
        made = Buffer(flat.numel(), "const", values=np.ascontiguousarray(array))
        return Value(self.pool.load(View(made, tuple(t.shape), row_major(t.shape)), dtype), tuple(t.shape))

    def value(self, x, dtype: str) -> Value:
        """An operand (a Value or a python number) in ``dtype``."""
        if not isinstance(x, Value):
            return self.const(x, dtype)
        return x if x.dtype == dtype else Value(self.cast(x.expr, dtype), x.shape)

    def cast(self, e: Expr, dtype: str) -> Expr:
        if e.dtype == dtype:
            return e
        if e.op == "const":
            value = e.value if e.dtype != BOOL else -e.value
            return self.const(value, dtype).expr
        if dtype == BOOL:
            return self.pool.op("ne", BOOL, e, self.pool.const(0, e.dtype))
        return self.pool.op(f"{e.dtype}_to_{dtype}", dtype, e)

    def promoted(self, *operands) -> str:
        """The dtype in which operands (Values and numbers) meet."""
        tensors = [x.dtype for x in operands if isinstance(x, Value)]
        numbers = [FLOAT if isinstance(x, float) else BOOL if isinstance(x, bool) else INT
                   for x in operands if not isinstance(x, Value)]
        kinds = tensors + [n for n in numbers if n == FLOAT or n not in tensors]
        return FLOAT if FLOAT in kinds else INT if INT in kinds else BOOL

    # ---- views -----------------------------------------------------------------------------------
    def viewed(self, x: Value, shape, change: Callable[[View], View | None]) -> Value:
        """``x`` seen through ``change``; written to memory first where an expression cannot follow."""
        shape = tuple(shape)
        new = self.pool.remap(x.expr, change)
        if new is None:
            new = self.pool.remap(self.stored(x).expr, change)
        return Value(new, shape)

    def expand(self, x: Value, shape) -> Value:
        shape = tuple(shape)
        if x.shape == shape:
            return x
        if not x.expr.is_view and numel(shape) > numel(x.shape) and self.pool.weight(x.expr) >= EXPANDED:
            x = self.stored(x)
        lead = len(shape) - len(x.shape)

        def change(v: View) -> View:
            strides = [0 if n == 1 and m != 1 else s
                       for n, m, s in zip(v.shape, shape[lead:], v.strides, strict=True)]
            return v.moved(shape=shape, strides=(0,) * lead + tuple(strides))
        return self.viewed(x, shape, change)

    def stored(self, x: Value) -> Value:
        """``x`` in a buffer of its own, row-major (or as it is, if it already is a contiguous view)."""
        if x.expr.is_view and x.view.contiguous:
            return x
        out = self.room(x.shape)
        self.statements.append(Store(out, x.expr))
        return Value(self.pool.load(out, x.dtype), x.shape)

    def in_memory(self, x: Value) -> Value:
        """``x`` as a view of memory with any strides."""
        return x if x.expr.is_view else self.stored(x)

    def room(self, shape) -> View:
        """A new buffer."""
        return View(Buffer(numel(shape)), tuple(shape), row_major(shape))

    # ---- arithmetic ------------------------------------------------------------------------------
    def apply(self, op: str, dtype: str, *operands: Value) -> Value:
        """Element-wise ``op`` with broadcasting; operands are already in the dtype that it wants."""
        shape = tuple(torch.broadcast_shapes(*(x.shape for x in operands)))
        return Value(self.pool.op(op, dtype, *(self.expand(x, shape).expr for x in operands)), shape)

    def arith(self, op: str, *operands) -> Value:
        """``op`` on operands promoted to the result's dtype."""
        return self.apply(op, self.dtype, *(self.value(x, self.dtype) for x in operands))

    # ---- graphs ----------------------------------------------------------------------------------
    def run(self, gm: GraphModule, inputs: list[Value]) -> list[Value]:
        """Lower a whole graph on these inputs; returns its outputs."""
        env: dict[Node, object] = {}
        known: dict[Node, torch.Tensor] = {}
        given = iter(inputs)

        def operand(a):
            if isinstance(a, Node):
                if a not in env:
                    env[a] = self.tensor(known[a])
                return env[a]
            if isinstance(a, (list, tuple)):
                return type(a)(map(operand, a)) if not isinstance(a, torch.Size) else tuple(a)
            return a

        for node in gm.graph.nodes:
            if node.op == "placeholder":
                env[node] = next(given)
            elif node.op == "get_attr":
                known[node] = _attribute(gm, node.target)
            elif node.op == "call_function":
                if _foldable(node) and all(a in known for a in node.all_input_nodes):
                    known[node] = _fold(node, known)
                    continue
                args = [operand(a) for a in node.args]
                kwargs = {k: operand(v) for k, v in node.kwargs.items()}
                self.node, self.meta = node, node.meta.get("val")
                refuse_empty(self.meta)
                env[node] = self._settle(node, self._lower(node, args, kwargs))
            elif node.op == "output":
                return [operand(a) for a in node.args[0]]
        raise ValueError("the graph has no output")

    def _lower(self, node: Node, args, kwargs):
        if _is_getitem(node):
            return args[0][args[1]]
        name = str(node.target)
        if name not in TABLE:
            raise ValueError(f"the page and native engines have no operator {name}; write it with others, or "
                             "give this experiment the stored engine")
        return TABLE[name](self, *args, **kwargs)

    def _settle(self, node: Node, x):
        """Write a value to memory where several users would compute it again, or it has grown long."""
        if not isinstance(x, Value) or x.expr.op in ("const", "load"):
            return x
        weight = self.pool.weight(x.expr)
        if (len(node.users) > 1 and (weight > REUSED or x.expr.op in COSTLY)) or weight > LONG:
            return self.stored(x)
        return x


def _is_getitem(node: Node) -> bool:
    return getattr(node.target, "__name__", "") == "getitem"


def _foldable(node: Node) -> bool:
    val = node.meta.get("val")
    known = getattr(node.target, "namespace", "") == "aten" and isinstance(val, torch.Tensor)
    return known and val.numel() < 10**6


def _fold(node: Node, known: dict) -> torch.Tensor:
    args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: known[n])
    kwargs = {k: v for k, v in kwargs.items() if k not in ("device", "pin_memory", "layout")}
    return node.target(*args, **kwargs)


def _attribute(gm: GraphModule, path: str) -> torch.Tensor:
    owner = gm
    for part in path.split("."):
        owner = getattr(owner, part)
    return owner


def build(gm: GraphModule, inputs: list[tuple[str, tuple[int, ...], str]], outputs: list[str],
          bodies: dict) -> Program:
    """The program of a graph whose inputs and outputs have these names (dtypes are those of ir)."""
    b = Builder(bodies)
    ins = [(name, shape, dtype, Buffer(numel(shape), "input", name)) for name, shape, dtype in inputs]
    values = [Value(b.pool.load(View(buf, shape, row_major(shape)), dtype), shape) for _, shape, dtype,
              buf in ins]
    outs, taken = [], set()
    for name, x in zip(outputs, b.run(gm, values), strict=True):
        # A result that already fills a temporary buffer becomes the output as it is.
        if not (x.expr.is_view and x.view.whole and x.view.buffer.kind == "temp"
                and x.view.buffer not in taken):
            room = b.room(x.shape)
            b.statements.append(Store(room, x.expr))
            x = Value(b.pool.load(room, x.dtype), x.shape)
        taken.add(x.view.buffer)
        x.view.buffer.kind, x.view.buffer.name = "output", name
        outs.append((name, x.shape, x.dtype, x.view.buffer))
    return Program(b.statements, ins, outs)
