"""pow, atan2, erf, ... in WebAssembly: what is rare in training steps, in double precision, two at a time.

Computed with about ten digits and rounded once to float32, so results are correctly rounded but for rare
ties. Special values (zeros of both signs, infinities, nan) come out as in IEEE arithmetic and C's ``math.h``.
The series are Taylor's where the reduced argument makes them short; the two polynomials of erf are Chebyshev
fits.
"""
from __future__ import annotations

import math
import struct
from collections.abc import Callable

from nde_lab.lowering.wasm import V128, Code

MAGIC = 6755399441055744.0               # 1.5 * 2^52: adding it rounds and leaves the integer in the low bits
INF = math.inf


def _bits(x: float) -> int:
    return struct.unpack("<q", struct.pack("<d", x))[0]


class D:
    """Two doubles (or, with ``long``, two 64-bit integers) in a local; arithmetic emits instructions."""

    def __init__(self, code: Code, emit: Callable[[], None] | None = None, *, local: int | None = None,
                 long: bool = False):
        self.code, self.long, self.i = code, long, local
        if emit is not None:
            emit()
            self.i = code.local(V128)
            code.set(self.i)

    def lift(self, x) -> D:
        """A number as two copies."""
        if isinstance(x, D):
            return x

        def emit():
            (self.code.i64 if self.long else self.code.f64)(x)
            self.code.op("i64x2.splat" if self.long else "f64x2.splat")
        return D(self.code, emit, long=self.long)

    def op(self, name: str, *others) -> D:
        others = [self.lift(o) for o in others]

        def emit():
            for v in (self, *others):
                self.code.get(v.i)
            self.code.op(name if "." in name else f"{'i64x2' if self.long else 'f64x2'}.{name}")
        return D(self.code, emit, long=self.long)

    def __add__(self, o):
        return self.op("add", o)

    def __sub__(self, o):
        return self.op("sub", o)

    def __rsub__(self, o):
        return self.lift(o) - self

    def __mul__(self, o):
        return self.op("mul", o)

    def __truediv__(self, o):
        return self.op("div", o)

    def __rtruediv__(self, o):
        return self.lift(o) / self

    __radd__, __rmul__ = __add__, __mul__

    def __lt__(self, o):
        return self.op("lt", o)

    def __gt__(self, o):
        return self.op("gt", o)

    def equals(self, o):
        return self.op("eq", o)

    def differs(self, o):
        return self.op("ne", o)

    def __and__(self, o):
        return self.op("v128.and", o)

    def __xor__(self, o):
        return self.op("v128.xor", o)

    def shift(self, name: str, n: int) -> D:
        def emit():
            self.code.get(self.i)
            self.code.i32(n)
            self.code.op(f"i64x2.{name}")
        return D(self.code, emit, long=True)

    def integer(self) -> D:
        return D(self.code, local=self.i, long=True)

    def double(self) -> D:
        return D(self.code, local=self.i)

    def where(self, mask: D, other) -> D:
        """``self`` where the mask holds, else ``other``."""
        other = self.lift(other)

        def emit():
            for v in (self, other, mask):
                self.code.get(v.i)
            self.code.op("v128.bitselect")
        return D(self.code, emit, long=self.long)

    def abs(self) -> D:
        return self.op("abs")

    def sign(self) -> D:
        return self & -0.0

    def even(self) -> D:
        """Mask: is this whole number even? (An infinity counts.)"""
        half = self * 0.5
        return half.equals(half.op("nearest"))


def horner(x: D, *coefficients: float) -> D:
    total = x.lift(coefficients[-1])
    for c in reversed(coefficients[:-1]):
        total = total * x + c
    return total


def _log(x: D) -> D:
    """e ln 2 + log m, sqrt(1/2) <= m < sqrt(2), log m by the series of 2 atanh((m - 1) / (m + 1))."""
    low = _bits(math.sqrt(0.5))
    bits = x.integer() - low
    e = (bits.shift("shr", 52) + _bits(MAGIC)).double() - MAGIC
    m = ((bits & 0xFFFFFFFFFFFFF) + low).double()
    s = (m - 1.0) / (m + 1.0)
    out = e * math.log(2) + s * horner(s * s, *(2 / (2 * k + 1) for k in range(9)))
    out = x.where(x.equals(INF), out)
    out = x.lift(-INF).where(x.equals(0.0), out)
    return x.lift(math.nan).where(x < 0.0, x.where(x.differs(x), out))


def _exp(x: D) -> D:
    """e^x for |x| <= 700, and e^(+-700) beyond: more, or less, than any float32."""
    x = x.op("pmin", 700.0).op("pmax", -700.0)
    t = x * (1 / math.log(2)) + MAGIC
    r = x - (t - MAGIC) * math.log(2)
    p = horner(r, *(1 / math.factorial(k) for k in range(12)))
    return (p.integer() + t.integer().shift("shl", 52)).double()


def pow(x: D, y: D) -> D:                                   # noqa: A001 - the name of the operator
    a = x.abs()
    out = _exp(y * _log(a))
    whole = y.equals(y.op("nearest"))
    odd = x.lift(0.0).where(y.even(), x.sign())
    out = out ^ x.lift(0.0).where(whole.equals(0.0), odd)
    out = x.lift(math.nan).where((x < 0.0) & whole.equals(0.0) & a.differs(INF), out)
    out = (x + y).where((x + y).differs(x + y) & (x.differs(x).op("v128.or", y.differs(y))), out)
    out = x.lift(1.0).where(a.equals(1.0) & y.abs().equals(INF), out)
    return x.lift(1.0).where(y.equals(0.0).op("v128.or", x.equals(1.0)), out)


def atan(x: D) -> D:
    a = x.abs()
    large = a > 1.0
    t = (1.0 / a).where(large, a)
    middle = t > math.tan(math.pi / 8)
    u = ((t - 1.0) / (t + 1.0)).where(middle, t)
    r = u * horner(u * u, *((-1) ** k / (2 * k + 1) for k in range(13)))
    r = r + x.lift(math.pi / 4).where(middle, 0.0)
    return (math.pi / 2 - r).where(large, r) ^ x.sign()


def atan2(y: D, x: D) -> D:
    ax, ay = x.abs(), y.abs()
    t = ax.equals(ay)                                       # two zeros or two infinities have no quotient
    r = atan(ay / ax)
    r = x.lift(math.pi / 4).where(t & ax.equals(INF), x.lift(0.0).where(t & ax.equals(0.0), r))
    r = (math.pi - r).where(x.integer().shift("shr", 63), r)
    return x.where(x.differs(x), r ^ y.sign())


def asin(x: D) -> D:
    return atan(x / ((1.0 - x) * (1.0 + x)).op("sqrt"))


def acos(x: D) -> D:
    r = atan(((1.0 - x) * (1.0 + x)).op("sqrt") / x.abs())
    return (math.pi - r).where(x < 0.0, r)


def _quarter(x: D) -> tuple[D, D, D]:
    """sin and cos of the rest after n quarter turns, and n; right up to |x| = 5e8, within [-1, 1] beyond."""
    # pi/2 in three parts of 24 bits: products with n < 2^29 are exact.
    n = (x * (2 / math.pi)).op("nearest")
    r = x - n * 1.5707963705062866 - n * -4.371138828673793e-08 - n * -1.7151245100058819e-15
    r = r.op("pmin", 0.786).op("pmax", -0.786)
    z = r * r
    s = r * horner(z, *((-1) ** k / math.factorial(2 * k + 1) for k in range(8)))
    return s, horner(z, *((-1) ** k / math.factorial(2 * k) for k in range(9))), n


def tan(x: D) -> D:
    s, c, n = _quarter(x)
    return x.where(x.equals(0.0), (s / c).where(n.even(), -1.0 * c / s))


def sin_far(x: D, turn: float = 0.0) -> D:
    s, c, n = _quarter(x)
    n = n + turn
    half = (n - x.lift(0.0).where(even := n.even(), 1.0)) * 0.5          # after two quarter turns the sign changes
    return s.where(even, c) ^ x.lift(0.0).where(half.even(), -0.0)


def cos_far(x: D) -> D:
    return sin_far(x, 1.0)


def _odd(x: D, small: tuple, large: D) -> D:
    """An odd function: the series in x^2 where |x| < 0.02, else ``large`` (of |x|) with the sign of x."""
    return (x * horner(x * x, *small)).where(x.abs() < 0.02, large ^ x.sign())


def sinh(x: D) -> D:
    e = _exp(x.abs())
    return _odd(x, (1.0, 1 / 6, 1 / 120), (e - 1.0 / e) * 0.5)


def cosh(x: D) -> D:
    e = _exp(x.abs())
    return (e + 1.0 / e) * 0.5


def asinh(x: D) -> D:
    a = x.abs()
    return _odd(x, (1.0, -1 / 6, 3 / 40, -15 / 336), _log(a + (a * a + 1.0).op("sqrt")))


def acosh(x: D) -> D:
    return _log(x + ((x - 1.0) * (x + 1.0)).op("sqrt"))


def atanh(x: D) -> D:
    a = x.abs()
    return _odd(x, (1.0, 1 / 3, 1 / 5, 1 / 7), _log((1.0 + a) / (1.0 - a)) * 0.5)


ERF_NEAR = (1.1283791671, -0.376126389031, 0.112837916689, -0.0268661704906, 0.00522397702339,
            -0.000854831284901, 0.000120551143808, -1.49233283296e-05, 1.6444581992e-06, -1.62699830681e-07,
            1.44244007929e-08, -1.11746232516e-09, 7.06820649411e-11, -3.17186842579e-12, 7.33520334445e-14)
ERF_FAR = (0.999977909449, 0.000139251196215, -0.000417753839084, 0.000789151648005, -0.00104448314365,
           0.0010161499, -0.000737528214468, 0.00039187690256, -0.000136248084057, 1.18971268642e-05,
           1.77843851797e-05, -9.46714782907e-06, 1.4443015027e-06)


def erf(x: D) -> D:
    """x P(x^2) up to 2, a polynomial in x - 3 up to 4, then 1 (erf 4 = 1 - 1.5e-8)."""
    a = x.abs()
    far = horner(a - 3.0, *ERF_FAR)
    out = x.lift(1.0).where(a > 4.0, far) ^ x.sign()
    return (x * horner(x * x, *ERF_NEAR)).where(a < 2.0, out)


RARE = {"pow": (pow, 2), "atan2": (atan2, 2)} | {f.__name__: (f, 1) for f in (
    tan, sin_far, cos_far, atan, asin, acos, sinh, cosh, asinh, acosh, atanh, erf)}


def doubles(name: str) -> Code:
    """The function on two doubles."""
    function, n = RARE[name]
    code = Code((V128,) * n, (V128,))
    x = [D(code, local=i) for i in range(n)]
    out = function(*x)
    if n == 1:
        out = x[0].where(x[0].differs(x[0]), out)
    code.get(out.i)
    return code


def floats(name: str, pair: int) -> Code:
    """The function on four floats, by two calls of ``pair`` (the index of ``doubles``)."""
    _, n = RARE[name]
    code = Code((V128,) * n, (V128,))
    for high in (False, True):
        for i in range(n):
            code.get(i)
            if high:
                code.get(i)
                code.shuffle((2, 3, 2, 3))
            code.op("f64x2.promote_low")
        code.call(pair)
        code.op("f32x4.demote")
    code.shuffle((0, 1, 4, 5))
    return code
