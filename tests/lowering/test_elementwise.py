"""Element-wise operators against torch, over shapes, broadcasts and special values."""
import math

import pytest
import torch
from lowering.parity import check
from hypothesis import given, settings
from hypothesis import strategies as st

F = torch.nn.functional
g = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(shape, generator=g)


SPECIAL = torch.tensor([0.0, -0.0, 1.0, -1.0, 0.5, 1e-8, -1e-8, 1e-30, 1e-40, 80.0, -80.0, 88.5, -100.0,
                        200.0, -200.0,
                        math.inf, -math.inf, math.nan, 3.0e38])
UNARY = {
    "neg": torch.neg, "abs": torch.abs, "exp": torch.exp, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
    "floor": torch.floor, "ceil": torch.ceil, "trunc": torch.trunc, "round": torch.round, "atan": torch.atan,
    "relu": F.relu, "sign": torch.sign, "square": torch.square, "softplus": F.softplus, "silu": F.silu,
    "expm1": torch.expm1, "isfinite": torch.isfinite, "isnan": torch.isnan, "isinf": torch.isinf,
    "sqrt": torch.sqrt, "log": torch.log, "log1p": torch.log1p, "erf": torch.erf, "asinh": torch.asinh,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.1), "logsigmoid": F.logsigmoid, "elu": F.elu, "mish": F.mish,
    "clamp": lambda x: x.clamp(-0.5, 2.0), "clamp_min": lambda x: x.clamp_min(0.1), "hardtanh": F.hardtanh,
    "reciprocal": torch.reciprocal, "nan_to_num": lambda x: torch.nan_to_num(x, 1.0, 2.0, 3.0),
}


@pytest.mark.parametrize("name", UNARY)
def test_unary_on_special_values(node, name):
    check(node, UNARY[name], SPECIAL, rtol=3e-6, atol=1e-37)


def test_unary_over_their_range(node):
    """All smooth functions in one module, 4000 points each, to a few units in the last place."""
    x = torch.cat([torch.linspace(-9, 9, 3000), normal(1000) * 30])
    positive = torch.cat([torch.logspace(-30, 30, 2000), 1 + normal(2000) * 1e-3])
    inside = torch.linspace(-0.999, 0.999, 4001)

    def everything(x, positive, inside):
        return {"exp": x.exp(), "tanh": x.tanh(), "sigmoid": x.sigmoid(), "log": positive.log(),
                "sqrt": positive.sqrt(),
                "log1p": (positive - 1 + 0.5).log1p(), "expm1": x.expm1(), "erf": x.erf(), "atan": x.atan(),
                "asin": inside.asin(), "acos": inside.acos(), "atanh": inside.atanh(), "sinh": x.sinh(),
                "cosh": x.cosh(), "rsqrt": positive.rsqrt(), "gelu": F.gelu(inside), "log2": positive.log2(),
                "acosh": (1.5 + positive).acosh(), "tan": inside.tan(), "log10": positive.log10(),
                "exp2": inside.exp2()}
    check(node, everything, x, positive, inside, rtol=1e-6, atol=2e-7)


def test_sine_and_cosine(node):
    x = torch.cat([torch.linspace(-30, 30, 4001), normal(500) * 1000])
    check(node, lambda x: (x.sin(), x.cos()), x, rtol=0, atol=2e-6)
    large = torch.cat([torch.logspace(2.5, 8.6, 1000), torch.tensor([-1e6, 1e7])])
    check(node, lambda x: (x.sin(), x.cos()), large, rtol=0, atol=5e-7)


BINARY = {
    "add": torch.add, "sub": torch.sub, "mul": torch.mul, "div": torch.div, "maximum": torch.maximum,
    "minimum": torch.minimum, "atan2": torch.atan2, "lt": torch.lt, "le": torch.le, "gt": torch.gt,
    "ge": torch.ge,
    "eq": torch.eq, "ne": torch.ne, "pow": lambda x, y: (x.abs() + 0.1) ** y, "rem": torch.remainder,
    "fmod": torch.fmod, "where": lambda x, y: torch.where(x > y, x, y * 2), "lerp": lambda x,
    y: torch.lerp(x, y, 0.3),
    "addcmul": lambda x, y: torch.addcmul(x, x, y), "floor_divide": torch.floor_divide,
    "xor": lambda x, y: (x > 0) ^ (y > 0), "and_or": lambda x, y: ((x > 0) & (y > 0)) | ~(x > y),
    "logaddexp": torch.logaddexp, "hypot": lambda x, y: (x * x + y * y).sqrt(), "alpha": lambda x,
    y: x.add(y, alpha=3),
    "masked_fill": lambda x, y: x.masked_fill(y > 0, 7.0), "scalars": lambda x, y: (2 - x) / 3
    + 1 / (y.abs() + 1),
}


@st.composite
def broadcastable(draw):
    """Two shapes that broadcast together."""
    full = draw(st.lists(st.sampled_from([1, 2, 3, 4, 5, 8, 17]), min_size=0, max_size=3))
    def part(shape):
        cut = draw(st.integers(0, len(shape)))
        return [1 if draw(st.booleans()) and draw(st.booleans()) else n for n in shape[cut:]]
    return part(full), list(full)


@given(shapes=broadcastable(), names=st.lists(st.sampled_from(sorted(BINARY)), min_size=1, max_size=6,
                                              unique=True),
       swap=st.booleans())
@settings(max_examples=25, deadline=None)
def test_binary_over_broadcasts(node, shapes, names, swap):
    x, y = (normal(*s) for s in (shapes[::-1] if swap else shapes))
    check(node, lambda x, y: {n: BINARY[n](x, y) for n in names}, x, y, rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("name", sorted(BINARY))
def test_each_binary(node, name):
    check(node, BINARY[name], normal(3, 7), normal(7), rtol=3e-6, atol=1e-6)


def test_powers_are_exact_where_adam_needs_them(node):
    """1 - b^n loses digits if b^n is a unit off."""
    check(node, lambda n: (1 - 0.999 ** n, 1 - 0.9 ** n), torch.tensor(1.0), rtol=3e-7, atol=0,
          fresh=((torch.tensor(2.0),), (torch.tensor(777.0),)))


@pytest.mark.parametrize("power", [0, 1, 2, 3, 5, -1, -2, 0.5, -0.5, 1.5, 2.7, -0.3])
def test_constant_powers(node, power):
    check(node, lambda x: x ** power, normal(50).abs() + 0.1, rtol=3e-6)


def test_integers_and_casts(node):
    i, j = torch.arange(-6, 6), torch.tensor([3, -2, 5, 1, 7, -1, 2, 2, 3, 4, -5, 6])

    def f(i, j, x):
        return {"sum": i + j, "product": i * j, "float": i.float() / 2, "int": (x * 3).to(torch.int64),
                "abs": i.abs(),
                "floor": torch.div(i, j, rounding_mode="floor"),
                "trunc": torch.div(i, j, rounding_mode="trunc"),
                "mod": i % j, "max": torch.maximum(i, j), "less": i < j, "mixed": i * x,
                "bool": (i > 0).float() + x,
                "from_bool": (i > 0).to(torch.int64) + 1, "to_bool": i.bool(), "clamp": i.clamp(-2, 3),
                "neg": -i,
                "true": i / j, "where": torch.where(i > j, i, j)}
    check(node, f, i, j, normal(12))


def test_long_chains_and_shared_parts(node):
    """Values used many times, several outputs, scalars mixed with arrays."""
    def f(x, y, s):
        a = (x * y + s).tanh()
        b = a * a + x.sigmoid() * s
        c = (b - a).exp()
        return a, b, c, a + b + c, (a * s).sum(), x - s * (a / (b * b + 1))
    check(node, f, normal(13, 5), normal(5), torch.tensor(0.7), rtol=5e-6, atol=5e-6)
