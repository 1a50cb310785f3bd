"""Whole programs drawn at random: fusion, sharing, views, hoisting and the plan of memory, against torch."""
import torch
from lowering.parity import check
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nde_lab.autodiff import loop, value_and_grad

ROWS, COLUMNS = 6, 5          # not multiples of four: every kernel has an odd end
ONE = {
    "tanh": torch.tanh, "shift": lambda x: x + 0.5, "square": lambda x: x * x, "sigmoid": torch.sigmoid,
    "neg": torch.neg,
    "relu": torch.relu, "twist": lambda x: (x.t().reshape(x.shape) * 0.5).sin(), "flip": lambda x: x.flip(0),
    "roll": lambda x: x.roll(1, 1), "softmax": lambda x: x.softmax(-1), "center": lambda x: x - x.mean(0),
    "scale": lambda x: x / (1 + x.amax(1, keepdim=True).abs()), "cumsum": lambda x: 0.1 * x.cumsum(0),
    "halves": lambda x: torch.cat([x[:, 2:], x[:, :2] * 2], 1),
    "top": lambda x: x[:1].expand(ROWS, COLUMNS) * 0.3,
    "gather": lambda x: x[torch.arange(ROWS) * 2 % ROWS], "total": lambda x: x * 0.01 + x.sum() * 0.02,
    "gram": lambda x: torch.tanh(x @ x.t() @ x * 0.1), "pick": lambda x: torch.where(x > 0, x, x * x.mean()),
}
TWO = {
    "add": torch.add, "sub": torch.sub, "mul": lambda x, y: x * y * 0.5, "max": torch.maximum,
    "mix": torch.lerp,
    "outer": lambda x, y: torch.tanh((x @ y.t()) @ y * 0.1), "where": lambda x, y: torch.where(x > y, x, -y),
    "row": lambda x, y: x * y[0], "column": lambda x, y: x + y[:, :1], "ratio": lambda x, y: x / (1 + y * y),
}
TWO["mix"] = lambda x, y: torch.lerp(x, y, 0.3)


@st.composite
def recipes(draw, length=14):
    """A list of (operator, operand, operand); operands count back from the newest value."""
    steps = []
    for _ in range(draw(st.integers(3, length))):
        name = draw(st.sampled_from(sorted(ONE) + sorted(TWO)))
        steps.append((name, draw(st.integers(0, 4)), draw(st.integers(0, 4))))
    return steps


def cook(recipe, values):
    values = list(values)
    for name, i, j in recipe:
        x, y = values[-1 - i % len(values)], values[-1 - j % len(values)]
        values.append((ONE[name](x) if name in ONE else TWO[name](x, y)).clamp(-3, 3))
    return values


def inputs(n=2):
    g = torch.Generator().manual_seed(5)
    return tuple(torch.randn(ROWS, COLUMNS, generator=g) for _ in range(n))


@given(recipe=recipes(), keep=st.integers(1, 5))
@settings(max_examples=8, deadline=None)
def test_straight_programs(node, recipe, keep):
    check(node, lambda a, b: tuple(cook(recipe, (a, b))[-keep:]), *inputs(), rtol=1e-4, atol=2e-5)


@given(recipe=recipes(length=8))
@settings(max_examples=4, deadline=None)
def test_gradients_of_programs(node, recipe):
    def step(a, b):
        return value_and_grad(lambda p: sum((v * v).mean() for v in cook(recipe, (p["a"], p["b"]))[-2:]),
                              {"a": a, "b": b})
    check(node, step, *inputs(), rtol=1e-3, atol=5e-5)


# amax shares its gradient among equal maxima: a value computed twice must equal itself in both engines.
@example(recipe=[("scale", 0, 0), ("center", 0, 0)], after=[("center", 0, 0)], turns=1)
@given(recipe=recipes(length=6), after=recipes(length=4), turns=st.integers(1, 5))
@settings(max_examples=4, deadline=None)
def test_gradients_of_programs_in_loops(node, recipe, after, turns):
    """The body uses its carry, a row of xs and two captured matrices; its values go on outside."""
    xs = 0.1 * torch.randn(turns, COLUMNS, generator=torch.Generator().manual_seed(6))

    def step(a, b, c, xs):
        def loss(p):
            def body(z, x):
                values = cook(recipe, (p["b"], p["c"].tanh(), z + x))
                return (0.5 * z + 0.5 * values[-1]), values[-2]
            z, seen = loop(body, p["a"], xs)
            return sum((v * v).mean() for v in cook(after, (seen.mean(0), z))[-2:])
        return value_and_grad(loss, {"a": a, "b": b, "c": c})
    check(node, step, *inputs(3), xs, rtol=1e-3, atol=5e-5)
