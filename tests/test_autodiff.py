import subprocess
import sys

import pytest
import torch

from nde_lab.autodiff import loop, trace, value_and_grad

tree_leaves = torch.utils._pytree.tree_leaves
g = torch.Generator().manual_seed(0)


def normal(*shape):
    return torch.randn(shape, generator=g)


def close(a, b, tol=1e-6):
    for x, y in zip(tree_leaves(a), tree_leaves(b), strict=True):
        torch.testing.assert_close(x, y, rtol=tol, atol=tol)


# ---- value_and_grad ------------------------------------------------------------------------------

def test_gradient_of_a_quadratic_is_known():
    params = {"w": normal(3), "unused": normal(2)}
    (value, aux), grads = value_and_grad(lambda p: ((p["w"] ** 2).sum(), {"double": 2 * p["w"]}), params,
                                         has_aux=True)
    close((value, aux["double"], grads["w"]), ((params["w"] ** 2).sum(), 2 * params["w"], 2 * params["w"]))
    assert torch.equal(grads["unused"], torch.zeros(2))
    assert not any(t.requires_grad for t in (value, aux["double"], *grads.values()))


def test_gradient_of_a_constant_is_zero():
    value, grads = value_and_grad(lambda p: torch.tensor(3.0), {"w": normal(3)})
    assert value == 3 and torch.equal(grads["w"], torch.zeros(3))


def test_gradient_under_no_grad_and_of_shared_parameters():
    w = normal(2)
    with torch.no_grad():
        _, grads = value_and_grad(lambda p: (p["a"] * p["b"]).sum(), {"a": w, "b": w})
    close((grads["a"], grads["b"]), (w, w))


@pytest.mark.parametrize(("loss", "said"),
                         [(lambda p: p["w"], r"returned \(3,\)"), (lambda p: 1.0, "returned float")])
def test_a_loss_that_is_not_a_number_is_refused(loss, said):
    with pytest.raises(ValueError, match=f"must return a 0-d tensor, it {said}"):
        value_and_grad(loss, {"w": normal(3)})


# ---- loop, eager ---------------------------------------------------------------------------------

def test_loop_is_a_running_sum():
    xs = normal(6, 2)
    last, seen = loop(lambda c, x: (c + x, {"sum": c + x, "twice": (2 * x,)}), torch.zeros(2), xs)
    close((last, seen["sum"], seen["twice"][0]), (xs.sum(0), xs.cumsum(0), 2 * xs))


def test_loop_takes_trees_and_nothing():
    def body(carry, x):
        return {"a": carry["a"] + x[0], "b": carry["b"] * x[1]["k"]}, None
    last, ys = loop(body, {"a": torch.zeros(()), "b": torch.ones(())},
                    (torch.arange(4.0), {"k": torch.full((4,), 2.0)}))
    assert last["a"] == 6 and last["b"] == 16 and ys is None


@pytest.mark.parametrize("xs", [(torch.zeros(3), torch.zeros(2)), torch.zeros(0, 2), torch.zeros(()), None])
def test_lengths_that_differ_are_refused(xs):
    with pytest.raises(ValueError, match="leaves share one leading length >= 1"):
        loop(lambda c, x: (c, None), torch.zeros(()), xs)


# ---- trace ---------------------------------------------------------------------------------------

def names_of(graph):
    return [str(n.target) for n in graph.graph.nodes if n.op == "call_function"]


def test_inputs_and_outputs_are_named():
    graph = trace(lambda state, live: ({"net.w": state["net.w"] * live["lr"]},
                                       {"loss": state["net.w"].sum()}),
                  ({"net.w": normal(2), "t": torch.tensor(0.0)}, {"lr": torch.tensor(0.1)}))
    assert graph.meta["inputs"] == ["state/net.w", "state/t", "live/lr"]
    assert graph.meta["outputs"] == ["0/net.w", "1/loss"]


def test_equal_tensors_are_not_tied():
    same = torch.tensor(2.0)
    graph = trace(lambda a, b: a - 3 * b, (same, same))
    assert graph(torch.tensor(5.0), torch.tensor(1.0))[0] == 2


def test_dead_code_is_gone():
    def f(x):
        _ = (x.exp() @ x.t()).sum()
        return x + 1
    assert names_of(trace(f, (normal(2, 2),))) == ["aten.add.Tensor"]


def test_tracing_what_is_not_a_tensor_is_refused():
    with pytest.raises(ValueError, match="takes pytrees of tensors, found float"):
        trace(lambda x, k: x * k, (normal(2), 3.0))
    with pytest.raises(ValueError, match="returns tensors only; k is not one"):
        trace(lambda x: {"k": 1}, (normal(2),))


@pytest.mark.parametrize("f", [lambda x: x + torch.randn(3), lambda x: x + torch.rand_like(x),
                               lambda x: torch.bernoulli(x.sigmoid()),
                               lambda x: torch.dropout(x, 0.5, True)])
def test_random_operators_are_refused_by_name(f):
    with pytest.raises(ValueError,
                       match=r"aten\.\w+\.\w+ draws random numbers inside a traced function; declare"):
        trace(f, (normal(3),))


@pytest.mark.parametrize("f", [lambda x: x if x.sum() > 0 else -x, lambda x: x * float(x[0]),
                               lambda x: x[: int(x.numel() * x[0].item())]])
def test_python_decisions_on_values_are_refused(f):
    with pytest.raises(ValueError, match="decides in Python on the value of a tensor.*torch.where"):
        trace(f, (normal(3),))


@pytest.mark.parametrize("f", [lambda x: x[x > 0].sum(), lambda x: torch.nonzero(x),
                               lambda x: torch.unique(x)])
def test_shapes_from_values_are_refused(f):
    with pytest.raises(ValueError, match=r"aten\.\w+\.?\w* gives a tensor whose shape depends on values"):
        trace(f, (normal(3),))


def test_a_function_with_hidden_state_is_caught():
    calls = []

    def counts(x):
        calls.append(1)
        return x * len(calls)
    with pytest.raises(ValueError, match="the traced function and the function itself differ in the result"):
        trace(counts, (normal(3),))


# ---- loops, recorded -----------------------------------------------------------------------------

W, B = normal(3, 3) * 0.5, normal(3) * 0.1


def rollout(params, z0, noise, scale):
    """A small stochastic recurrence whose body closes over parameters, a live number and a constant."""
    times = torch.linspace(0, 1, noise.shape[0])

    def body(carry, x):
        z, total = carry
        t, dw = x
        z = z + 0.1 * torch.tanh(z @ params["w"].t() + params["b"] * t) + scale * dw
        return (z, total + (z * z).mean()), {"z": z, "t": t}
    return loop(body, (z0, torch.zeros(())), (times, noise))


def loss_of(params, z0, noise, scale):
    (z, total), seen = rollout(params, z0, noise, scale)
    return total + (z ** 2).sum() + (seen["z"] * seen["t"][:, None, None]).mean()


def gradient_step(params, z0, noise, scale):
    return value_and_grad(lambda p: loss_of({"w": p["w"], "b": p["b"]}, p["z0"], p["noise"], p["scale"]),
                          {**params, "z0": z0, "noise": noise, "scale": scale})


ARGS = ({"w": W, "b": B}, normal(4, 3), normal(7, 4, 3), torch.tensor(0.3))


def test_the_body_is_recorded_once_however_long_the_loop():
    graphs = [trace(gradient_step, (ARGS[0], ARGS[1], normal(n, 4, 3), ARGS[3])) for n in (3, 50)]
    assert len(names_of(graphs[0])) == len(names_of(graphs[1])) < 40
    for operator in ("nde_lab.loop.default", "nde_lab.loop_reverse.default"):
        assert names_of(graphs[1]).count(operator) == 1


def test_recorded_gradients_equal_eager_ones_for_carry_xs_and_captured():
    graph = trace(gradient_step, ARGS)
    for args in (ARGS, tree_map(lambda t: 0.7 * t + 0.1, ARGS)):
        value, grads = gradient_step(*args)
        close(graph(*tree_leaves(args)), [value, *(grads[k] for k in ("w", "b", "z0", "noise", "scale"))],
              1e-7)


def tree_map(f, tree):
    return torch.utils._pytree.tree_map(f, tree)


def test_unrolled_traces_agree_and_hold_plain_operators_only():
    graph = trace(gradient_step, ARGS, unroll=True)
    assert not any("nde_lab" in n for n in names_of(graph))
    close(graph(*tree_leaves(ARGS)), trace(gradient_step, ARGS)(*tree_leaves(ARGS)), 1e-6)


@pytest.mark.parametrize("batched", [{0}, {2}, {3}, {4}, {0, 1}, {0, 1, 2, 3, 4}])
def test_a_traced_loop_works_under_vmap(batched):
    """Sweeps batch seeds (noise) and live knobs (0-d tensors)."""
    graph = trace(gradient_step, ARGS)
    leaves = tree_leaves(ARGS)
    cells = [[t * (1 + 0.1 * k) if i in batched else t for i, t in enumerate(leaves)] for k in range(3)]
    inputs = [torch.stack([c[i] for c in cells]) if i in batched else t for i, t in enumerate(leaves)]
    out = torch.vmap(graph, in_dims=tuple(0 if i in batched else None for i in range(len(leaves))))(*inputs)
    for k, cell in enumerate(cells):
        close([o[k] for o in out], graph(*cell), 1e-5)


def test_a_body_may_return_its_names_in_another_order_but_not_other_names():
    def step(z, v, xs):
        def body(c, x):
            return {"v": c["v"] - x * c["z"], "inner": (c["inner"][0] + x,), "z": c["z"] + 2 * c["v"]}, None
        out, _ = loop(body, {"z": z, "inner": (v,), "v": v}, xs)
        return {n: out[n] for n in ("z", "v")} | {"i": out["inner"][0]}

    args = normal(3), normal(3), normal(5, 3)
    close(trace(step, args)(*args), list(step(*args).values()), 1e-7)
    with pytest.raises(ValueError, match=r"names that it got, \['z'\], but returned \['y'\]"):
        trace(lambda z, xs: loop(lambda c, x: ({"y": c["z"] + x}, None), {"z": z}, xs), args[1:])


def test_loops_inside_loops():
    def outer(params, xs):
        def body(c, x):
            z, seen = loop(lambda z, u: (torch.sin(z * params["a"] + u), z), c, x)
            return z, seen.sum(0)
        return loop(body, torch.ones(2), xs)

    def step(params, xs):
        return value_and_grad(lambda p: sum(t.sum() for t in outer(p, xs)), params)
    args = ({"a": normal(2)}, normal(3, 4, 2))
    graph = trace(step, args)
    close(graph(*tree_leaves(args)), tree_leaves(step(*args)))
    assert names_of(graph).count("nde_lab.loop.default") == 1


def test_a_body_that_hands_things_on():
    """The carry unchanged, an input as output, a constant output, integers in the carry, an unused x."""
    def f(x, xs):
        def body(c, u):
            (a, n), (v, _) = c, u
            return (a, n + 1), {"x": x, "one": torch.ones(2), "n": n, "v": v}
        return loop(body, (x, torch.tensor(0)), (xs, xs))
    args = (normal(3), normal(4, 2))
    graph = trace(f, args)
    close(graph(*tree_leaves(args)), tree_leaves(f(*args)))


def test_captured_tensors_are_found_by_identity():
    """Two equal captured tensors stay two; a module's parameters count as captured."""
    net = torch.nn.Linear(3, 3)
    a, b = torch.ones(3), torch.ones(3)

    def f(a, b, z):
        return loop(lambda c, x: (net(c) * a - b * x, None), z, torch.arange(3.0))[0]
    with torch.no_grad():
        graph = trace(f, (a, b, normal(2, 3)))
        args = (2 * a, 3 * b, normal(2, 3))
        close(graph(*args)[0], f(*args))


def test_a_carry_that_changes_shape_is_refused():
    with pytest.raises(ValueError,
                       match=r"return the carry in the shape and dtype it got, but turned \(\(3,\)"):
        trace(lambda z: loop(lambda c, x: (c[:2], None), z, torch.arange(3.0)), (normal(3),))


def test_a_second_derivative_through_a_recorded_loop_is_refused_with_advice():
    def twice(w):
        def inner(p):
            z = p["w"]
            z = loop(lambda c, x: (c * z, None), z, torch.arange(3.0))[0]
            first, = torch.autograd.grad(z, p["w"], create_graph=True)
            return first ** 2
        return value_and_grad(inner, {"w": w})
    with pytest.raises(ValueError, match="first derivative only.*unroll=True"):
        trace(twice, (torch.tensor(1.3),))
    value, grads = twice(torch.tensor(1.3))
    close(trace(twice, (torch.tensor(1.3),), unroll=True)(torch.tensor(1.3)), [value, grads["w"]])


def test_random_operators_inside_a_body_are_refused():
    with pytest.raises(ValueError, match="draws random numbers"):
        trace(lambda z: loop(lambda c, x: (c + torch.randn(3), None), z, torch.arange(3.0))[0], (normal(3),))


def test_a_failed_trace_leaves_loops_eager():
    with pytest.raises(ValueError):
        trace(lambda x: loop(lambda c, u: (c * u.item(), None), x, x)[0], (normal(3),))
    last, _ = loop(lambda c, u: (c + u.item(), None), 0.0, torch.ones(3))
    assert last == 3.0


def test_eager_use_imports_nothing_heavy():
    code = ("import sys, torch; from nde_lab.autodiff import loop, value_and_grad;"
            "body = lambda w: lambda c, x: (c + w * x, None);"
            "value_and_grad(lambda p: loop(body(p['w']), torch.zeros(()), torch.ones(3))[0],"
            "               {'w': torch.ones(())});"
            "print('torch._dynamo' in sys.modules, 'sympy' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
