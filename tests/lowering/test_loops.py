"""Recorded loops and their reverses, lowered: against eager torch, in both engines."""
import torch
from lowering.parity import check

from nde_lab.autodiff import loop, trace, value_and_grad
from nde_lab.lowering import lower

g = torch.Generator().manual_seed(2)


def normal(*shape):
    return torch.randn(shape, generator=g)


def recurrence(p, z0, noise, scale):
    """Parameters, a live number and constants captured; two carries; outputs at every turn."""
    times = torch.linspace(0, 1, noise.shape[0])

    def body(carry, x):
        z, total = carry
        t, dw = x
        h = torch.tanh(z @ p["w"].t() + p["b"] * t)
        z = z + 0.1 * (h @ p["v"]) + scale * dw
        return (z, total + (z * z).mean()), {"z": z, "angle": torch.stack([t.sin(), t.cos()])}
    return loop(body, (z0, torch.zeros(())), (times, noise))


def gradient(p, z0, noise, scale):
    def loss(q):
        (z, total), seen = recurrence(q, q["z0"], q["noise"], q["scale"])
        return total + (z ** 2).sum() + seen["z"].mean() * seen["angle"].sum()
    return value_and_grad(loss, {**p, "z0": z0, "noise": noise, "scale": scale})


def arguments(turns=7, rows=5, state=3, width=6):
    return ({"w": normal(width, state) * 0.5, "b": normal(width) * 0.3, "v": normal(width, state) * 0.5},
            normal(rows, state), normal(turns, rows, state), torch.tensor(0.3))


def test_forward(node):
    check(node, recurrence, *arguments(), fresh=(arguments(), arguments()))


def test_gradients_of_everything(node):
    check(node, gradient, *arguments(), fresh=(arguments(), arguments()), rtol=1e-5, atol=1e-5)


def test_one_turn_and_wide_rows(node):
    check(node, gradient, *arguments(turns=1, rows=8, state=4, width=16), rtol=1e-5, atol=1e-5)


def test_only_a_terminal_loss(node):
    """No gradient arrives from the stacked outputs."""
    def terminal(p, z0, noise, scale):
        return value_and_grad(lambda q: (recurrence(q, z0, noise, scale)[0][0] ** 2).sum(), p)
    check(node, terminal, *arguments(), rtol=1e-5, atol=1e-5)


def test_the_module_does_not_grow_with_the_turns():
    sizes = [len(lower({"f": trace(gradient, arguments(turns=n))}).source) for n in (10, 80)]
    assert sizes[1] < 1.2 * sizes[0]


def test_carries_that_read_each_other(node):
    """Swapped, transposed and shifted carries: every new value is made from the old ones."""
    def f(a, b, xs):
        return loop(lambda c, x: ((c[1].t() + x, c[0].roll(1, 0) * 0.5), c[0] - c[1]), (a, b), xs)
    check(node, f, normal(3, 3), normal(3, 3), normal(4))


def test_integers_choose_rows(node):
    """A mini-batch gathered inside the body; an integer count in the carry."""
    def f(table, rows):
        def body(c, i):
            total, n = c
            return (total + table[i].sum(0) * n, n + 1), (table[i] * 2, n)
        return loop(body, (torch.zeros(4), torch.tensor(1)), rows)
    check(node, f, normal(6, 4), torch.randint(6, (5, 3), generator=g))


def test_loops_inside_loops_with_gradient(node):
    def outer(p, xs):
        def body(c, x):
            z, seen = loop(lambda z, u: (torch.sin(z * p["a"] + u), z * z), c, x)
            return z, seen.sum(0)
        return loop(body, torch.ones(2), xs)

    def step(p, xs):
        return value_and_grad(lambda q: sum(t.sum() for t in outer(q, xs)), p)
    check(node, step, {"a": normal(2)}, normal(3, 4, 2), rtol=5e-6, atol=5e-6)


def test_a_loop_as_an_unrolled_trace(node):
    args = arguments()
    graph = trace(gradient, args, unroll=True)
    lowered = lower({"f": graph})
    handle = node.load(lowered)
    leaves = torch.utils._pytree.tree_leaves(args)
    got = node.run(lowered, handle, "f", dict(zip(graph.meta["inputs"], leaves, strict=True)))
    for name, e in zip(graph.meta["outputs"], graph(*leaves), strict=True):
        torch.testing.assert_close(got[name], e, rtol=1e-5, atol=1e-5)
    node.drop(handle)
