"""A small WebAssembly assembler: just the instructions that the kernels need.

Opcodes and the binary format follow the WebAssembly core specification (version 2, fixed-width SIMD
included).
"""
from __future__ import annotations

import struct
from contextlib import contextmanager

I32, F32, V128 = 0x7F, 0x7D, 0x7B
VOID = 0x40

_PLAIN = {
    "end": 0x0B, "return": 0x0F, "select": 0x1B, "drop": 0x1A, "i32.eqz": 0x45, "i32.eq": 0x46,
    "i32.ne": 0x47,
    "i32.lt": 0x48, "i32.lt_u": 0x49, "i32.gt": 0x4A, "i32.le": 0x4C, "i32.ge": 0x4E, "f32.eq": 0x5B,
    "f32.ne": 0x5C,
    "f32.lt": 0x5D, "f32.gt": 0x5E, "f32.le": 0x5F, "f32.ge": 0x60, "i32.add": 0x6A, "i32.sub": 0x6B,
    "i32.mul": 0x6C,
    "i32.and": 0x71, "i32.or": 0x72, "i32.xor": 0x73, "i32.shl": 0x74, "i32.shr_u": 0x76, "f32.abs": 0x8B,
    "f32.neg": 0x8C,
    "f32.ceil": 0x8D, "f32.floor": 0x8E, "f32.trunc": 0x8F, "f32.round": 0x90, "f32.sqrt": 0x91,
    "f32.add": 0x92,
    "f32.sub": 0x93, "f32.mul": 0x94, "f32.div": 0x95, "f32.min": 0x96, "f32.max": 0x97,
    "f32.convert_i32": 0xB2,
}
_SIMD = {
    "i32x4.splat": 0x11, "f32x4.splat": 0x13, "i32x4.eq": 0x37, "i32x4.ne": 0x38, "i32x4.lt": 0x39,
    "i32x4.gt": 0x3B,
    "i32x4.le": 0x3D, "i32x4.ge": 0x3F, "f32x4.eq": 0x41, "f32x4.ne": 0x42, "f32x4.lt": 0x43,
    "f32x4.gt": 0x44,
    "f32x4.le": 0x45, "f32x4.ge": 0x46, "v128.not": 0x4D, "v128.and": 0x4E, "v128.andnot": 0x4F,
    "v128.or": 0x50,
    "v128.xor": 0x51, "v128.bitselect": 0x52, "v128.any_true": 0x53, "f32x4.ceil": 0x67, "f32x4.floor": 0x68,
    "f32x4.trunc": 0x69, "f32x4.round": 0x6A, "i32x4.abs": 0xA0, "i32x4.neg": 0xA1, "i32x4.all_true": 0xA3,
    "i32x4.shl": 0xAB, "i32x4.shr": 0xAC, "i32x4.shr_u": 0xAD, "i32x4.add": 0xAE, "i32x4.sub": 0xB1,
    "i32x4.mul": 0xB5,
    "i32x4.min": 0xB6, "i32x4.max": 0xB8, "f32x4.abs": 0xE0, "f32x4.neg": 0xE1, "f32x4.sqrt": 0xE3,
    "f32x4.add": 0xE4,
    "f32x4.sub": 0xE5, "f32x4.mul": 0xE6, "f32x4.div": 0xE7, "f32x4.min": 0xE8, "f32x4.max": 0xE9,
    "f32x4.pmin": 0xEA, "f32x4.pmax": 0xEB,
    "f32x4.to_i32": 0xF8, "f32x4.from_i32": 0xFA, "f32x4.demote": 0x5E, "f64x2.promote_low": 0x5F,
    "i64x2.splat": 0x12, "f64x2.splat": 0x14, "f64x2.eq": 0x47, "f64x2.ne": 0x48, "f64x2.lt": 0x49,
    "f64x2.gt": 0x4A, "f64x2.nearest": 0x94, "i64x2.shl": 0xCB, "i64x2.shr": 0xCC, "i64x2.add": 0xCE,
    "i64x2.sub": 0xD1, "f64x2.abs": 0xEC, "f64x2.sqrt": 0xEF, "f64x2.add": 0xF0, "f64x2.sub": 0xF1,
    "f32x4.madd": 0x105, "f32x4.nmadd": 0x106,     # relaxed SIMD: a b + c and c - a b, rounded once or twice
    "f64x2.mul": 0xF2, "f64x2.div": 0xF3, "f64x2.pmin": 0xF6, "f64x2.pmax": 0xF7,
}
_LANE = {"i32x4.extract": 0x1B, "i32x4.replace": 0x1C, "f32x4.extract": 0x1F, "f32x4.replace": 0x20}
_MEMORY = {"i32.load": (0x28,), "f32.load": (0x2A,), "i32.store": (0x36,), "f32.store": (0x38,),
           "v128.load": (0xFD, 0x00), "v128.load_splat": (0xFD, 0x09), "v128.store": (0xFD, 0x0B)}
_MEMORY_LANE = {"v128.load_lane": 0x56, "v128.store_lane": 0x5A}


def unsigned(n: int) -> bytes:
    out = bytearray()
    while True:
        n, byte = n >> 7, n & 0x7F
        out.append(byte | (0x80 if n else 0))
        if not n:
            return bytes(out)


def signed(n: int) -> bytes:
    out = bytearray()
    while True:
        n, byte = n >> 7, n & 0x7F
        done = (n == 0 and not byte & 0x40) or (n == -1 and byte & 0x40)
        out.append(byte | (0 if done else 0x80))
        if done:
            return bytes(out)


class Code:
    """The body of one function. ``params`` and ``results`` are value types; locals are added on the way."""

    def __init__(self, params: tuple = (), results: tuple = ()):
        self.params, self.results = tuple(params), tuple(results)
        self.locals: list[int] = []
        self.table: dict[bytes, int] | None = None      # vector constants kept in memory (see functions.py)
        self.fused = False                              # may products be added without rounding in between?
        self.bytes = bytearray()

    def local(self, kind: int) -> int:
        self.locals.append(kind)
        return len(self.params) + len(self.locals) - 1

    def get(self, i: int) -> None:
        self.bytes += b"\x20" + unsigned(i)

    def set(self, i: int) -> None:
        self.bytes += b"\x21" + unsigned(i)

    def tee(self, i: int) -> None:
        self.bytes += b"\x22" + unsigned(i)

    def i32(self, n: int) -> None:
        self.bytes += b"\x41" + signed(n)

    def f32(self, x: float) -> None:
        self.bytes += b"\x43" + struct.pack("<f", x)

    def i64(self, n: int) -> None:
        self.bytes += b"\x42" + signed(n)

    def f64(self, x: float) -> None:
        self.bytes += b"\x44" + struct.pack("<d", x)

    def call(self, function: int) -> None:
        self.bytes += b"\x10" + unsigned(function)

    def op(self, name: str) -> None:
        if name in _PLAIN:
            self.bytes.append(_PLAIN[name])
        elif name == "i32.trunc_f32":
            self.bytes += b"\xfc\x00"
        else:
            self.bytes += b"\xfd" + unsigned(_SIMD[name])

    def lane(self, name: str, i: int) -> None:
        self.bytes += b"\xfd" + unsigned(_LANE[name]) + bytes([i])

    def memory(self, name: str, offset: int = 0) -> None:
        self.bytes += bytes(_MEMORY[name]) + b"\x02" + unsigned(offset)

    def memory_lane(self, name: str, i: int, offset: int = 0) -> None:
        self.bytes += b"\xfd" + unsigned(_MEMORY_LANE[name]) + b"\x02" + unsigned(offset) + bytes([i])

    def shuffle(self, lanes: tuple[int, int, int, int]) -> None:
        """Four of the eight 32-bit lanes of the two vectors on the stack."""
        self.bytes += b"\xfd\x0d" + bytes(4 * lane + k for lane in lanes for k in range(4))

    @contextmanager
    def loop(self, counter: int, start: int, stop: int, step: int):
        """Counts from start to stop (at least one turn; the bounds are known numbers)."""
        self.i32(start)
        self.set(counter)
        self.bytes += b"\x03" + bytes([VOID])
        yield
        self.get(counter)
        self.i32(step)
        self.op("i32.add")
        self.tee(counter)
        self.i32(stop)
        self.op("i32.lt")
        self.bytes += b"\x0d\x00\x0b"

    def while_below(self):
        """``loop`` head; close with ``again``."""
        self.bytes += b"\x03" + bytes([VOID])

    def again(self) -> None:
        """Go back to the head of the innermost loop if the number on the stack is not zero; close the
        loop."""
        self.bytes += b"\x0d\x00\x0b"

    @contextmanager
    def when(self):
        """Run if the number on the stack is not zero."""
        self.bytes += b"\x04" + bytes([VOID])
        yield
        self.bytes.append(0x0B)

    def otherwise(self) -> None:
        self.bytes.append(0x05)

    def encoded(self) -> bytes:
        runs: list[list[int]] = []
        for kind in self.locals:
            if runs and runs[-1][1] == kind:
                runs[-1][0] += 1
            else:
                runs.append([1, kind])
        head = unsigned(len(runs)) + b"".join(unsigned(n) + bytes([kind]) for n, kind in runs)
        body = head + bytes(self.bytes) + b"\x0b"
        return unsigned(len(body)) + body


class Module:
    """Functions of one memory. Equal functions are kept once."""

    def __init__(self):
        self.types: list[bytes] = []
        self.functions: list[tuple[int, bytes]] = []
        self.exports: list[tuple[str, int]] = []
        self._known: dict = {}

    def _type(self, params, results) -> int:
        entry = b"\x60" + unsigned(len(params)) + bytes(params) + unsigned(len(results)) + bytes(results)
        if entry not in self.types:
            self.types.append(entry)
        return self.types.index(entry)

    def add(self, code: Code, export: str | None = None) -> int:
        key = (self._type(code.params, code.results), code.encoded())
        if key not in self._known:
            self._known[key] = len(self.functions)
            self.functions.append(key)
        if export:
            self.exports.append((export, self._known[key]))
        return self._known[key]

    def encoded(self, pages: int, own: bool = False) -> bytes:
        """The binary module; it imports its memory of ``pages`` 64-KiB pages as "m" "m" (``own``: it has it and
        exports it as "m", of that size for good)."""
        def section(number: int, items: list[bytes]) -> bytes:
            body = unsigned(len(items)) + b"".join(items)
            return bytes([number]) + unsigned(len(body)) + body if items else b""

        def name(text: str) -> bytes:
            return unsigned(len(text.encode())) + text.encode()
        imports = [] if own else [name("m") + name("m") + b"\x02\x00" + unsigned(pages)]
        memories = [b"\x01" + unsigned(pages) + unsigned(pages)] if own else []
        exports = [name(n) + b"\x00" + unsigned(i) for n, i in self.exports]
        exports += [name("m") + b"\x02\x00"] if own else []
        return (b"\x00asm\x01\x00\x00\x00" + section(1, self.types) + section(2, imports)
                + section(3, [unsigned(kind) for kind, _ in self.functions])
                + section(5, memories) + section(7, exports)
                + section(10, [code for _, code in self.functions]))
