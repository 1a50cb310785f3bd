import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from nde_lab import nets
from nde_lab.random import Normal, sample


def test_apply_is_the_module_itself():
    module = nets.mlp([3, 5, 2], act="lipswish", final="tanh")
    net = nets.functional(module, prefix="net.")
    x = torch.linspace(-1, 1, 12).reshape(4, 3)
    own = {f"net.{n}": p.detach() for n, p in module.named_parameters()}
    assert torch.equal(net.apply(own, x), module(x))
    assert set(net.params(own | {"other": x})) == set(own)


def test_declared_start_has_torchs_law():
    net = nets.functional(nn.Sequential(nn.Linear(400, 300)))
    w = net.init(sample(net.draws, seed=0, stream="start"))["0.weight"]
    assert w.abs().max() <= 1 / 20 and abs(w.var() * 1200 - 1) < 0.02      # U(-1/20, 1/20) has variance 1/1200


def test_the_start_follows_the_noise_dtype_and_the_given_init():
    net = nets.functional(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)),
                          init={"0.weight": torch.eye(2), "0.bias": Normal((2,), scale=3.0)})
    params = net.init(sample(net.draws, seed=0, stream="start", dtype=torch.float64))
    assert set(net.draws) == {"0.bias"} and all(p.dtype == torch.float64 for p in params.values())
    assert torch.equal(params["0.weight"], torch.eye(2, dtype=torch.float64))


def test_lipswish_is_nearly_1_lipschitz():
    x = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    slope = nets.lipswish(x).diff() / x.diff()
    assert 0.99 < slope.max() < 1.0 + 1e-3


@pytest.mark.parametrize("bad, word", [
    (lambda: nets.mlp([3]), "at least two sizes"),
    (lambda: nets.mlp([3, 2, 2], act="swosh"), "unknown activation 'swosh'"),
    (lambda: nets.functional(nn.Embedding(3, 2)), "no start is known"),
    (lambda: nets.functional(nn.BatchNorm1d(3)), "without buffers"),
    (lambda: nets.functional(nn.Linear(2, 2), init={"wieght": torch.eye(2)}), "unknown parameters"),
    (lambda: nets.functional(nn.Linear(2, 2), init={"weight": torch.ones(3)}), "has shape"),
    (lambda: nets.functional(nn.Linear(2, 2)).init({}), "needs the drawn tensors"),
])
def test_refusals(bad, word):
    with pytest.raises(ValueError, match=word):
        bad()


def test_the_start_takes_its_dtype_from_its_own_draws():
    net = nets.functional(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)))
    noise = {"batch": torch.arange(3)} | sample(net.draws, seed=0, stream="start")
    assert all(p.dtype == torch.float32 for p in net.init(noise).values())


def test_two_threads_may_share_a_network():
    class Waits(nn.Linear):
        def forward(self, x):
            time.sleep(0.002)      # time for the other thread to put its own parameters into the module
            return super().forward(x)
    net = nets.functional(Waits(1, 1))
    x = torch.ones(1, 1)

    def call(w):
        return [net.apply({"weight": torch.full((1, 1), w), "bias": torch.zeros(1)}, x).item() for _ in range(20)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(call, [1.0, 2.0, 3.0, 4.0])) == [[w] * 20 for w in (1.0, 2.0, 3.0, 4.0)]
