"""exp, log, tanh, ... of four floats at a time, in WebAssembly.

``pmin`` and ``pmax`` are one machine instruction each where ``min`` and ``max`` are many; they keep a nan in
their first operand.

The polynomials are Chebyshev fits in double precision, rounded to float32 (the interval stands beside each).
Results are within 2-4 units in the last place of float32; special values (0, infinities, nan) come out as in
IEEE arithmetic. What is rare in training steps (pow, atan2, ...) is made in double precision, see ``rare``.
"""
from __future__ import annotations

import math
import struct
from collections.abc import Callable

from nde_lab.lowering.rare import RARE, doubles, floats
from nde_lab.lowering.wasm import V128, Code, Module


class V:
    """A vector in a local of ``code``; arithmetic emits instructions. ``int`` marks four integers."""

    def __init__(self, code: Code, emit: Callable[[], None] | None = None, *, local: int | None = None,
                 integer: bool = False):
        self.code, self.int = code, integer
        if emit is None:
            self.i = local
        else:
            emit()
            self.i = code.local(V128)
            code.set(self.i)

    def _other(self, x) -> V:
        if isinstance(x, V):
            return x

        # Four copies from a table in memory: one load, where a splat of an immediate takes three
        # instructions.
        table = self.code.table
        if table is None:
            def emit():
                (self.code.i32 if self.int else self.code.f32)(x)
                self.code.op("i32x4.splat" if self.int else "f32x4.splat")
        else:
            bits = struct.pack("<i" if self.int else "<f", x)
            place = table.setdefault(bits, len(table))

            def emit():
                self.code.i32(0)
                self.code.memory("v128.load", 16 * place)
        return V(self.code, emit, integer=self.int)

    def _op(self, name: str, *others, integer: bool | None = None) -> V:
        others = [self._other(o) for o in others]
        kind = "i32x4" if self.int else "f32x4"

        def emit():
            for v in (self, *others):
                self.code.get(v.i)
            self.code.op(name if "." in name else f"{kind}.{name}")
        return V(self.code, emit, integer=self.int if integer is None else integer)

    def __add__(self, o):
        return self._op("add", o)

    def __sub__(self, o):
        return self._op("sub", o)

    def __rsub__(self, o):
        return self._other(o) - self

    def __mul__(self, o):
        return self._op("mul", o)

    def __truediv__(self, o):
        return self._op("div", o)

    def __rtruediv__(self, o):
        return self._other(o) / self

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, o):
        return self._op("lt", o)

    def __gt__(self, o):
        return self._op("gt", o)

    def equals(self, o):
        return self._op("eq", o)

    def bit_and(self, o):
        return self._op("v128.and", o)

    def bit_xor(self, o):
        return self._op("v128.xor", o)

    def shift(self, name: str, n: int) -> V:
        def emit():
            self.code.get(self.i)
            self.code.i32(n)
            self.code.op(f"i32x4.{name}")
        return V(self.code, emit, integer=True)

    def plus(self, a: V, b) -> V:
        """self + a b"""
        return a._op("f32x4.madd", b, self) if self.code.fused else a * b + self

    def minus(self, a: V, b) -> V:
        """self - a b"""
        return a._op("f32x4.nmadd", b, self) if self.code.fused else self - a * b

    def one(self, name: str, **kw) -> V:
        return self._op(name, **kw)

    def as_int(self) -> V:
        return V(self.code, local=self.i, integer=True)

    def as_float(self) -> V:
        return V(self.code, local=self.i)

    def where(self, mask: V, other) -> V:
        """``self`` where the mask holds, else ``other``."""
        other = self._other(other)

        def emit():
            for v in (self, other, mask):
                self.code.get(v.i)
            self.code.op("v128.bitselect")
        return V(self.code, emit, integer=self.int)


def horner(x: V, *coefficients: float) -> V:
    """c0 + c1 x + c2 x^2 + ..."""
    total = x._other(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = x._other(c).plus(total, x)
    return total


MAGIC = 12582912.0       # 1.5 * 2^23: adding it rounds to whole numbers and leaves them in the lowest bits


def _whole(x: V) -> tuple[V, V]:
    """x rounded, as floats, and as integers in the low bits of the second (|x| < 2^22)."""
    t = x + MAGIC
    return t - MAGIC, t.as_int()


def _power(x: V) -> tuple[V, V]:
    """x = n ln 2 + r with |r| <= ln(2)/2: (e^r - 1, n times 2^23). Within the range of float32 exponents."""
    n, bits = _whole(x * (1 / math.log(2)))
    r = x.minus(n, 0.693145751953125).minus(n, 1.42860682030942e-06)   # ln 2 = high part (12 bits spare) + rest
    p = r + r * r * horner(r, 0.5000000014, 0.166665734, 0.0416664569, 0.0083637696,
                           0.0013934534)   # |r| <= 0.35
    return p, bits.shift("shl", 23)


def exp(x: V) -> V:
    """e^r 2^n, the factor added to the exponent's bits; below 1.2e-38 the result is 0."""
    p, n = _power(x._op("pmin", 88.72284)._op("pmax", -87.33))
    out = ((p + 1.0).as_int() + n).as_float()
    out = x._other(0.0).where(x < -87.33, out)
    return x._other(math.inf).where(x > 88.72284, out)


def log(x: V) -> V:
    """e ln 2 + log(m), sqrt(1/2) <= m < sqrt(2), by the series of atanh((m - 1) / (m + 1))."""
    tiny = x < 1.1754943508222875e-38
    y = (x * 8388608.0).where(tiny, x)
    bits = y.as_int() - 0x3F3504F3
    e = bits.shift("shr", 23).one("f32x4.from_i32", integer=False)
    e = e - (e._other(23.0)).where(tiny, 0.0)
    f = (bits.bit_and(0x7FFFFF) + 0x3F3504F3).as_float() - 1.0
    s = f / (f + 2.0)
    z, half = s * s, f * f * 0.5
    rest = z * horner(z, 0.6666666655, 0.4000012435, 0.2855054665, 0.2333772165)             # z <= 0.0296
    out = e * 0.693145751953125 + (f - (half - (s * (half + rest) + e * 1.42860682030942e-06)))
    out = x.where(x.equals(math.inf), out)
    out = x._other(-math.inf).where(x.equals(0.0), out)
    return x._other(math.nan).where(x < 0.0, x.where(x._op("ne", x), out))


def tanh(x: V) -> V:
    """E / (E + 2) with E = e^{2|x|} - 1 = 2^n (e^r - 1) + (2^n - 1), which keeps its digits near 0."""
    a = x.one("abs")._op("pmin", 9.5)
    p, n = _power(a + a)
    scale = (n + (127 << 23)).as_float()
    e = scale * p + (scale - 1.0)
    return (e / (e + 2.0)).bit_xor(x.bit_and(-0.0))


def sigmoid(x: V) -> V:
    p, n = _power(x.one("neg")._op("pmin", 87.0)._op("pmax", -87.0))
    out = 1.0 / (((p + 1.0).as_int() + n).as_float() + 1.0)
    return x._other(0.0).where(x < -87.0, out)


def log1p(x: V) -> V:
    """log(u) x / (u - 1) with u = 1 + x rounded (the rounding of u cancels)."""
    u = x + 1.0
    out = log(u) * (x / (u - 1.0))
    return x.where(u.equals(1.0), x.where(u.equals(math.inf), out))


def expm1(x: V) -> V:
    """The polynomial alone where e^x is near 1, e^x - 1 elsewhere."""
    p, n = _power(x._op("pmin", 88.0)._op("pmax", -88.0))
    return p.where(n.equals(0), exp(x) - 1.0)


def _quarter(x: V) -> tuple[V, V, V]:
    """sin and cos of the rest after whole quarter turns, and the number of those (as integers)."""
    n, bits = _whole(x * (2 / math.pi))
    r = x.minus(n, 1.5703125).minus(n, 4.837512969970703e-04).minus(n, 7.54978995489188e-08)   # pi/2 in 3 parts
    z = r * r
    s = r + r * z * horner(z, -0.1666666463, 0.0083327427, -0.0001958666)                 # z <= 0.62
    c = 1.0 - z * 0.5 + z * z * horner(z, 0.0416666646, -0.0013888297, 2.4546703e-05)
    return s, c, bits


def sin(x: V, turn: int = 0) -> V:
    s, c, n = _quarter(x)
    n = n + turn
    odd = n.bit_and(1).equals(1)
    sign = n.bit_and(2).shift("shl", 30).as_float()
    return c.where(odd.as_float(), s).bit_xor(sign)


def cos(x: V) -> V:
    return sin(x, turn=1)


NATIVE = {f.__name__: f for f in (exp, log, tanh, sigmoid, sin, cos, log1p, expm1)}
FAR = 1000.0             # beyond it pi/2 in float32 parts is not enough: sines are reduced in double precision


class Library:
    """The math functions, added to ``module`` when first asked for (``fused``: written where they are used,
    with fused products: faster, larger)."""

    def __init__(self, module: Module, fused: bool = False):
        self.module, self.made, self.fused = module, {}, fused
        self.table: dict[bytes, int] = {}               # constant -> its place at the start of the memory

    def constants(self) -> bytes:
        """The first bytes of the memory."""
        return b"".join(4 * bits for bits in self.table)

    def write(self, code: Code, name: str) -> None:
        """The function ``name`` of what is on the stack of ``code``."""
        if not self.fused or name not in NATIVE:
            code.call(self.index(name))
            return
        code.table, code.fused = self.table, True
        self._body(code, name, V(code, lambda: None))

    def index(self, name: str) -> int:
        if name not in self.made:
            code = self._native(name) if name in NATIVE else floats(name, self.module.add(doubles(name)))
            self.made[name] = self.module.add(code)
        return self.made[name]

    def _native(self, name: str) -> Code:
        code = Code((V128,), (V128,))
        code.table = self.table
        self._body(code, name, V(code, local=0))
        return code

    def _body(self, code: Code, name: str, x: V) -> None:
        out = NATIVE[name](x)
        if name in ("sin", "cos"):
            far = x.one("abs") > FAR
            code.get(far.i)
            code.op("v128.any_true")
            with code.when():                           # an entry's value never depends on its neighbours
                code.get(x.i)
                code.call(self.index(f"{name}_far"))
                code.get(out.i)
                code.get(far.i)
                code.op("v128.bitselect")
                code.set(out.i)
        code.get(out.i)
