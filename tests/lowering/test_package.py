"""What a lowered module promises: its interface, its refusals, its size, and that it can be made again."""
import base64
import json
import re

import pytest
import torch
from lowering.parity import check

from nde_lab import nets, optimizers
from nde_lab.autodiff import trace, value_and_grad
from nde_lab.lowering import lower
from nde_lab.random import sample

F = torch.nn.functional
g = torch.Generator().manual_seed(3)


def training_step(sizes=(5, 16, 3), act="tanh", rows=24):
    """Cross entropy of a small network on a mini-batch of integers, with Adam: (function, arguments)."""
    net = nets.functional(nets.mlp(list(sizes), act=act))
    params = net.init(sample(net.draws, seed=0, stream="start"))
    data = {"x": torch.randn(60, sizes[0], generator=g), "y": torch.randint(sizes[-1], (60,), generator=g)}

    def step(data, state, noise, live):
        x, y = data["x"][noise["rows"]], data["y"][noise["rows"]]
        loss, grads = value_and_grad(lambda p: F.cross_entropy(net.apply(p, x), y), net.params(state))
        grads, norm = optimizers.clip_by_norm(grads, 1.0)
        params, moments = optimizers.adam(net.params(state), grads, state, lr=live["lr"])
        return params | moments, {"loss": loss, "norm": norm, "ok": loss.isfinite()}
    state = params | optimizers.adam_state(params)
    return step, (data, state, {"rows": torch.randint(60, (rows,), generator=g)}, {"lr": torch.tensor(0.01)})


@pytest.mark.parametrize("act", sorted(nets.ACTIVATIONS))
def test_a_training_step(node, act):
    step, args = training_step(act=act)
    state, _ = step(*args)
    check(node, step, args[0], state, *args[2:], rtol=1e-5, atol=1e-5)


def test_a_hundred_steps_follow_torch(node):
    """Outputs handed back as inputs; data given once. Rounding grows slowly in this smooth problem."""
    step, args = training_step()
    graph = trace(step, args)
    lowered = lower({"step": graph})
    data, state, noise, live = args
    for wasm in (True, False):
        handle, torch_state = node.load(lowered, wasm), state
        given = {f"data/{k}": v for k, v in data.items()} | {f"live/{k}": v for k, v in live.items()}
        given |= {f"state/{k}": v for k, v in state.items()}
        for t in range(100):
            noise = {"rows": torch.randint(60, (24,), generator=torch.Generator().manual_seed(t))}
            out = node.run(lowered, handle, "step", given | {"noise/rows": noise["rows"]})
            torch_state, info = step(data, torch_state, noise, live)
            given = {f"state/{k[2:]}": v for k, v in out.items() if k.startswith("0/")}
        assert out["1/ok"].item() and abs(out["1/loss"] - info["loss"]) < 1e-4
        for name, value in torch_state.items():
            torch.testing.assert_close(given[f"state/{name}"], value, rtol=1e-3, atol=2e-4)
        node.drop(handle)


def test_double_gradients(node):
    """The Laplacian of a network in the loss, as physics-informed training needs it."""
    net = nets.functional(nets.mlp([2, 12, 1], act="tanh"))
    params = net.init(sample(net.draws, seed=0, stream="start"))

    def step(p, x):
        def loss(q):
            y = x.detach().requires_grad_()
            u = net.apply(q, y)
            first, = torch.autograd.grad(u.sum(), y, create_graph=True)
            lap = sum(torch.autograd.grad(first[:, i].sum(), y, create_graph=True)[0][:, i] for i in range(2))
            return ((lap - torch.sin(y[:, 0])) ** 2).mean()
        return value_and_grad(loss, p)
    check(node, step, params, torch.randn(20, 2, generator=g), rtol=1e-5, atol=1e-5)


def test_the_manifest_describes_the_interface():
    step, args = training_step()
    lowered = lower({"step": trace(step, args)})
    spec = lowered.manifest["programs"]["step"]
    assert {"name": "data/y", "shape": [60], "dtype": "int32"} in spec["inputs"]
    assert {"name": "live/lr", "shape": [], "dtype": "float32"} in spec["inputs"]
    assert {"name": "1/ok", "shape": [], "dtype": "bool"} in spec["outputs"]
    assert json.loads(json.dumps(lowered.manifest)) == lowered.manifest


def test_the_source_is_self_contained_and_small():
    step, args = training_step()
    lowered = lower({"step": trace(step, args)})
    assert not re.search(r"\b(import|export|fetch|require|document|window)\b", lowered.source)
    assert len(lowered.source) < 30_000
    assert len(lower({"step": trace(step, args)}, plain=False).source) < len(lowered.source)


def test_the_same_graph_gives_the_same_bytes():
    """The WebAssembly is written by the package itself at every export; nothing binary is committed."""
    step, args = training_step()
    first, second = (lower({"step": trace(step, args)}).source for _ in range(2))
    assert first == second
    wasm = base64.b64decode(re.search(r'"wasm":"([^"]+)"', first)[1])
    assert wasm[:8] == b"\0asm\x01\0\0\0"


def test_several_programs_share_one_module(node):
    def init(noise):
        return {"w": 2 * noise["w"]}

    def step(state):
        return {"w": state["w"] + 1}, {"ok": state["w"].isfinite().all()}
    w = torch.arange(5.0)
    lowered = lower({"init": trace(init, ({"w": w},)), "step": trace(step, ({"w": w},))})
    handle = node.load(lowered)
    made = node.run(lowered, handle, "init", {"noise/w": w})
    out = node.run(lowered, handle, "step", {"state/w": made["w"]})
    assert torch.equal(out["0/w"], 2 * w + 1) and out["1/ok"].item()
    node.drop(handle)


def test_wrong_inputs_are_refused_in_javascript(node):
    lowered = lower({"f": trace(lambda x: x + 1, (torch.zeros(3),))})
    node.load(lowered)
    run = f"({lowered.source})({{}}).programs.f"
    with pytest.raises(RuntimeError, match='f has no input "y"'):
        node.ask(do="eval", code=f"{run}({{y: 1}})")
    with pytest.raises(RuntimeError, match='f: input "x" has 3 entries, got 2'):
        node.ask(do="eval", code=f"{run}({{x: new Float32Array(2)}})")


def test_numbers_and_flags_as_inputs(node):
    def f(lr, flag, n, x):
        return torch.where(flag, x * lr, x) + n
    args = (torch.tensor(0.5), torch.tensor(True), torch.tensor(3), torch.ones(2))
    lowered = lower({"f": trace(f, args)})
    code = "Array.from(({})({{}}).programs.f({{lr: 0.5, flag: {}, n: 3, x: new Float32Array([1, 2])}})[''])"
    assert node.ask(do="eval", code=code.format(lowered.source, "true"))["value"] == [3.5, 4]
    assert node.ask(do="eval", code=code.format(lowered.source, "new Uint8Array([0])"))["value"] == [4, 5]


@pytest.mark.parametrize(("f", "name"), [
    (lambda x: x.sort()[0], r"aten\.sort\.default"), (lambda x: torch.linalg.svd(x)[1],
                                                      r"aten\._linalg_svd\.default"),
    (lambda x: torch.special.i0(x), r"aten\.i0\.default"), (lambda x: torch.fft.rfft(x).abs(),
                                                            r"aten\._fft_r2c\.default"),
])
def test_unknown_operators_are_refused_by_name(f, name):
    with pytest.raises(ValueError,
                       match=f"the page and native engines have no operator {name}; write it with others, or give"):
        lower({"f": trace(f, (torch.randn(3, 3, generator=g),))})


def test_double_precision_is_refused():
    with pytest.raises(ValueError,
                       match="lowered programs compute in float32, int32 and bool; a tensor of torch.float64 came up"):
        lower({"f": trace(lambda x: x * 2, (torch.zeros(3, dtype=torch.float64),))})


def test_empty_tensors_are_refused():
    with pytest.raises(ValueError, match=r"no empty tensors; a traced function made one of shape \(0,\)"):
        lower({"f": trace(lambda x: x[:0] * 2, (torch.zeros(3),))})
    with pytest.raises(ValueError, match=r"no empty tensors; a traced function made one of shape \(0,\)"):
        lower({"f": trace(lambda x: (x, torch.zeros(0)), (torch.zeros(3),))})
