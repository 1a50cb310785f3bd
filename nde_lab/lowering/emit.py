"""From scheduled statements to machine code: kernels, the calls between them, and the WebAssembly module."""
from __future__ import annotations

from nde_lab.lowering import functions, matmul
from nde_lab.lowering.ir import Multiply, Repeat, View
from nde_lab.lowering.kernels import Kernel
from nde_lab.lowering.nest import nest
from nde_lab.lowering.plan import RESERVED, Memory
from nde_lab.lowering.products import product_of
from nde_lab.lowering.wasm import I32, Code, Module

PAGE = 65536


def webassembly(programs: dict[str, list[list]], memory: Memory, fused: bool = False) -> tuple[bytes, bytes]:
    """One module that exports a function without arguments per program, and the first bytes of its memory."""
    module = Module()
    library = functions.Library(module, fused)
    writer = _Calls(module, library, memory)
    for name, block in programs.items():
        code = Code()
        writer.block(code, block, {})
        module.add(code, export=name)
    if len(library.constants()) > 4 * RESERVED:
        raise ValueError("the table of constants has outgrown its place; raise RESERVED")
    return module.encoded(pages(memory), own=fused), library.constants()


def pages(memory: Memory) -> int:
    """64-KiB pages of memory; a little slack for vectors that read past the last element."""
    return -(-(4 * memory.top + 256) // PAGE)


class _Calls:
    def __init__(self, module: Module, library: functions.Library, memory: Memory):
        self.module, self.library, self.memory = module, library, memory
        self.product: int | None = None

    def block(self, code: Code, block: list[list], turns: dict) -> None:
        for group in block:
            first = group[0]
            if isinstance(first, Repeat):
                counter = code.local(I32)
                with code.loop(counter, 0, first.turn.n, 1):
                    self.block(code, first.body, {**turns, first.turn: counter})
            elif isinstance(first, Multiply):
                self._multiply(code, first, turns)
            else:
                made = nest(group)
                index = self.module.add(Kernel(made, self.library).write())
                for view in made.pointers:
                    self._address(code, view, turns)
                code.call(index)

    def _address(self, code: Code, view: View, turns: dict) -> None:
        code.i32(4 * (self.memory.at[view.buffer] + view.offset))
        for turn, step in view.moves:
            code.get(turns[turn])
            code.i32(4 * step)
            code.op("i32.mul")
            code.op("i32.add")

    def _multiply(self, code: Code, s: Multiply, turns: dict) -> None:
        for view in (s.a, s.b, s.out):
            self._address(code, view, turns)
        (m, k), n = s.a.shape, s.b.shape[1]
        if self.library.fused and min(*s.a.strides, s.b.strides[0], s.out.strides[0]) >= 0:
            code.call(self.module.add(product_of(m, k, n, s.a.strides, s.b.strides[0], s.out.strides[0])))
            return
        if self.product is None:
            self.product = self.module.add(matmul.product())
        for number in (m, 4 * n, k, 4 * s.a.strides[0], 4 * s.a.strides[1], 4 * s.b.strides[0],
                       4 * s.out.strides[0]):
            code.i32(number)
        code.call(self.product)
