"""Element-wise operators. Each is a line in a table, or a few lines of others."""
from __future__ import annotations

import math

from nde_lab.lowering.build import TABLE, Builder, Value, operator
from nde_lab.lowering.ir import BOOL, FLOAT, INT

# aten name -> machine operator, for one float argument
for _aten, _op in {
        "neg": "neg", "abs": "abs", "sqrt": "sqrt", "exp": "exp", "log": "log", "tanh": "tanh",
        "sigmoid": "sigmoid",
        "sin": "sin", "cos": "cos", "tan": "tan", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
        "round": "round",
        "log1p": "log1p", "expm1": "expm1", "atan": "atan", "asin": "asin", "acos": "acos", "sinh": "sinh",
        "cosh": "cosh", "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "erf": "erf"}.items():
    @operator(f"{_aten}.default")
    def _(b: Builder, x: Value, op: str = _op) -> Value:
        return b.arith(op, x)

for _aten, _op in {"mul": "mul", "maximum": "max", "minimum": "min", "bitwise_and": "and", "bitwise_or": "or",
                   "bitwise_xor": "xor", "atan2": "atan2"}.items():
    @operator(f"{_aten}.default", f"{_aten}.Tensor", f"{_aten}.Scalar")
    def _(b: Builder, x, y, op: str = _op) -> Value:
        if b.dtype == BOOL:
            op = {"mul": "and", "max": "or", "min": "and"}.get(op, op)
        return b.arith(op, x, y)

for _op in ("lt", "le", "gt", "ge", "eq", "ne"):
    @operator(f"{_op}.Tensor", f"{_op}.Scalar")
    def _(b: Builder, x, y, op: str = _op) -> Value:
        meet = b.promoted(x, y)
        meet = INT if meet == BOOL else meet
        return b.apply(op, BOOL, b.value(x, meet), b.value(y, meet))

for _aten, _op in {"logical_and": "and", "logical_or": "or", "logical_xor": "xor"}.items():
    @operator(f"{_aten}.default")
    def _(b: Builder, x, y, op: str = _op) -> Value:
        return b.apply(op, BOOL, b.value(x, BOOL), b.value(y, BOOL))


@operator("logical_not.default", "bitwise_not.default")
def _not(b: Builder, x: Value) -> Value:
    return b.apply("not", b.dtype, b.value(x, b.dtype))


@operator("add.Tensor", "add.Scalar")
def _add(b: Builder, x, y, alpha=1) -> Value:
    if b.dtype == BOOL:
        return b.arith("or", x, y)
    return b.arith("add", x, y if alpha == 1 else b.arith("mul", y, alpha))


@operator("sub.Tensor", "sub.Scalar")
def _sub(b: Builder, x, y, alpha=1) -> Value:
    return b.arith("sub", x, y if alpha == 1 else b.arith("mul", y, alpha))


@operator("rsub.Scalar", "rsub.Tensor")
def _rsub(b: Builder, x, y, alpha=1) -> Value:
    return _sub(b, y, x, alpha)


@operator("div.Tensor", "div.Scalar")
def _div(b: Builder, x, y) -> Value:
    if isinstance(y, (int, float)) and y != 0 and math.frexp(y)[0] in (0.5, -0.5):
        return b.arith("mul", x, 1 / y)                     # exact for powers of two
    return b.arith("div", x, y)


@operator("div.Tensor_mode", "div.Scalar_mode")
def _div_mode(b: Builder, x, y, rounding_mode=None) -> Value:
    if rounding_mode is None:
        return _div(b, x, y)
    exact = b.apply("div", FLOAT, b.value(x, FLOAT), b.value(y, FLOAT))
    return b.value(b.apply("floor" if rounding_mode == "floor" else "trunc", FLOAT, exact), b.dtype)


for _aten, _op in {"remainder": "floor", "fmod": "trunc"}.items():
    @operator(f"{_aten}.Tensor", f"{_aten}.Scalar")
    def _(b: Builder, x, y, op: str = _op) -> Value:
        """x - y floor(x / y) has the sign of y, x - y trunc(x / y) that of x."""
        x, y = b.value(x, FLOAT), b.value(y, FLOAT)
        whole = b.apply(op, FLOAT, b.apply("div", FLOAT, x, y))
        return b.value(b.apply("sub", FLOAT, x, b.apply("mul", FLOAT, y, whole)), b.dtype)


@operator("reciprocal.default")
def _reciprocal(b: Builder, x: Value) -> Value:
    return b.arith("div", 1.0, x)


@operator("rsqrt.default")
def _rsqrt(b: Builder, x: Value) -> Value:
    return b.arith("div", 1.0, b.arith("sqrt", x))


@operator("exp2.default")
def _exp2(b: Builder, x: Value) -> Value:
    return b.arith("pow", 2.0, x)


@operator("log2.default")
def _log2(b: Builder, x: Value) -> Value:
    return b.arith("mul", b.arith("log", x), 1 / math.log(2))


@operator("log10.default")
def _log10(b: Builder, x: Value) -> Value:
    return b.arith("mul", b.arith("log", x), 1 / math.log(10))


@operator("pow.Tensor_Scalar")
def _pow(b: Builder, x: Value, p) -> Value:
    if p == 0:
        return b.const(1, b.dtype, x.shape)
    if isinstance(p, (int, float)) and p == int(p) and 1 <= abs(p) <= 8:
        power = base = b.value(x, b.dtype)
        for bit in bin(int(abs(p)))[3:]:                    # square and multiply
            power = b.arith("mul", power, power)
            power = b.arith("mul", power, base) if bit == "1" else power
        return power if p > 0 else b.arith("div", 1, power)
    if p in (0.5, -0.5):
        root = b.arith("sqrt", x)
        return root if p > 0 else b.arith("div", 1, root)
    if p == 1.5:
        return b.arith("mul", x, b.arith("sqrt", x))
    return b.arith("pow", x, p)


@operator("pow.Scalar", "pow.Tensor_Tensor")
def _pow_tensor(b: Builder, x, p) -> Value:
    return b.value(b.apply("pow", FLOAT, b.value(x, FLOAT), b.value(p, FLOAT)), b.dtype)


@operator("relu.default")
def _relu(b: Builder, x: Value) -> Value:
    return b.arith("max", x, 0)


@operator("leaky_relu.default")
def _leaky_relu(b: Builder, x: Value, slope=0.01) -> Value:
    return _where(b, b.apply("gt", BOOL, x, b.const(0, FLOAT)), x, b.arith("mul", x, slope))


@operator("clamp.default", "clamp.Tensor")
def _clamp(b: Builder, x: Value, low=None, high=None) -> Value:
    x = x if low is None else b.arith("max", x, low)
    return x if high is None else b.arith("min", x, high)


@operator("clamp_min.default", "clamp_min.Tensor")
def _clamp_min(b: Builder, x: Value, low) -> Value:
    return b.arith("max", x, low)


@operator("clamp_max.default", "clamp_max.Tensor")
def _clamp_max(b: Builder, x: Value, high) -> Value:
    return b.arith("min", x, high)


@operator("where.self", "where.ScalarSelf", "where.ScalarOther", "where.Scalar")
def _where(b: Builder, mask: Value, x, y) -> Value:
    return b.apply("where", b.dtype, b.value(mask, BOOL), b.value(x, b.dtype), b.value(y, b.dtype))


@operator("masked_fill.Scalar", "masked_fill.Tensor")
def _masked_fill(b: Builder, x: Value, mask: Value, fill) -> Value:
    return _where(b, mask, fill, x)


@operator("sign.default")
def _sign(b: Builder, x: Value) -> Value:
    zero = b.const(0, x.dtype)
    one = [b.apply(op, BOOL, x, zero) for op in ("gt", "lt")]
    return b.apply("where", x.dtype, one[0], b.const(1, x.dtype),
                   b.apply("where", x.dtype, one[1], b.const(-1, x.dtype), zero))


@operator("isnan.default")
def _isnan(b: Builder, x: Value) -> Value:
    return b.apply("ne", BOOL, x, x) if x.dtype == FLOAT else b.const(False, BOOL, x.shape)


@operator("isinf.default")
def _isinf(b: Builder, x: Value) -> Value:
    if x.dtype != FLOAT:
        return b.const(False, BOOL, x.shape)
    return b.apply("eq", BOOL, b.apply("abs", FLOAT, x), b.const(math.inf, FLOAT))


@operator("isfinite.default")
def _isfinite(b: Builder, x: Value) -> Value:
    if x.dtype != FLOAT:
        return b.const(True, BOOL, x.shape)
    return b.apply("lt", BOOL, b.apply("abs", FLOAT, x), b.const(math.inf, FLOAT))


@operator("_to_copy.default", "to.dtype", "clone.default", "contiguous.default", "_conj.default",
          "_conj_physical.default", "prims.convert_element_type.default")
def _copy(b: Builder, x: Value, *_, **kwargs) -> Value:
    if x.dtype == FLOAT and b.dtype == INT:
        x = b.apply("trunc", FLOAT, x)
    return b.value(x, b.dtype)


@operator("scalar_tensor.default", "full.default", "full_like.default", "fill.Scalar", "new_full.default")
def _full(b: Builder, *args, **_) -> Value:
    number = next(a for a in reversed(args) if isinstance(a, (int, float)))
    return b.const(number, b.dtype, b.meta.shape)


@operator("zeros_like.default", "new_zeros.default", "zeros.default")
def _zeros(b: Builder, *_, **__) -> Value:
    return b.const(0, b.dtype, b.meta.shape)


@operator("ones_like.default", "new_ones.default", "ones.default")
def _ones(b: Builder, *_, **__) -> Value:
    return b.const(1, b.dtype, b.meta.shape)


@operator("tanh_backward.default")
def _tanh_backward(b: Builder, g: Value, y: Value) -> Value:
    return b.arith("mul", g, b.arith("sub", 1, b.arith("mul", y, y)))


@operator("sigmoid_backward.default")
def _sigmoid_backward(b: Builder, g: Value, y: Value) -> Value:
    return b.arith("mul", g, b.arith("mul", y, b.arith("sub", 1, y)))


@operator("threshold_backward.default")
def _threshold_backward(b: Builder, g: Value, x: Value, threshold) -> Value:
    return _where(b, b.apply("le", BOOL, x, b.const(threshold, FLOAT)), 0, g)


# Decompositions that end in torch's primitives mean the same operators.
for _prim in ("add", "sub", "mul", "div", "maximum", "minimum", "lt", "le", "gt", "ge", "eq", "ne"):
    _name = next(n for n in (f"aten.{_prim}.Tensor", f"aten.{_prim}.default") if n in TABLE)
    TABLE[f"prims.{_prim}.default"] = TABLE[_name]
for _prim in ("neg", "abs", "sqrt", "rsqrt", "exp", "log", "tanh", "sin", "cos", "floor", "ceil", "isfinite"):
    TABLE[f"prims.{_prim}.default"] = TABLE[f"aten.{_prim}.default"]
