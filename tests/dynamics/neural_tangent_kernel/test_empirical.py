"""The kernel of finite networks: three ways to the same numbers, and what is refused."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from nde_lab.dynamics.neural_tangent_kernel import empirical
from nde_lab.dynamics.neural_tangent_kernel.empirical import (
    layerwise_kernel,
    per_sample_kernel,
    relative_change,
    tangent_kernel,
)
from nde_lab.dynamics.neural_tangent_kernel.network import Module, Network
from nde_lab.nets import Activation

T64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=T64)


def mlp(*sizes, act=nn.Tanh, bias=True):
    torch.manual_seed(0)
    layers = []
    for n, m in zip(sizes[:-1], sizes[1:], strict=True):
        layers += [nn.Linear(n, m, bias=bias), act()]
    return nn.Sequential(*layers[:-1]).double()


def conv():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv1d(1, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(),
                         nn.Linear(20, 1)).double().eval()


@settings(max_examples=15, deadline=None)
@given(act=st.sampled_from(["relu", "erf", "square"]), depth=st.integers(1, 4), width=st.integers(1, 9),
       n=st.integers(1, 7), m=st.integers(1, 5), beta=st.sampled_from([0.0, 0.1, 1.0]))
def test_layer_by_layer_is_the_jacobian_product(act, depth, width, n, m, beta):
    net = Network(3, width, depth, act)
    params, x, x2 = net.start(seed=width, dtype=T64), normal(n, 3), normal(m, 3, seed=1)
    module = Module(net, params, beta)
    assert torch.allclose(net.kernel(params, x, None, beta), tangent_kernel(module, x), rtol=1e-10, atol=1e-10)
    assert torch.allclose(net.kernel(params, x, x2, beta), tangent_kernel(module, x, x2), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("module", [mlp(3, 8, 8, 1), mlp(3, 6, 1, act=nn.ReLU, bias=False), mlp(3, 1),
                                    nn.Sequential(nn.Linear(3, 5), Activation("lipswish"), nn.Linear(5, 1)).double()])
def test_three_ways_agree_for_torchs_own_layers(module):
    x = normal(6, 3)
    K = per_sample_kernel(module, x)
    assert torch.allclose(K, tangent_kernel(module, x), atol=1e-10)
    assert torch.allclose(K, layerwise_kernel(module, x), atol=1e-10)
    assert torch.allclose(K[:2, 2:], layerwise_kernel(module, x[:2], x[2:]), atol=1e-10)


def test_frozen_parameters_do_not_count_in_any_way():
    module, x = mlp(3, 8, 1), normal(5, 3)
    module[0].weight.requires_grad_(False)
    module[2].bias.requires_grad_(False)
    K = per_sample_kernel(module, x)
    assert torch.allclose(K, tangent_kernel(module, x)) and torch.allclose(K, layerwise_kernel(module, x))
    assert module[0].bias.grad is None


@pytest.mark.parametrize("many", [0, 10**9])
@pytest.mark.parametrize("memory", [1.0, 2e3, 6e3, 1e9])
def test_blocks_are_the_whole_for_a_convolution_too(memory, many, monkeypatch):
    monkeypatch.setattr(empirical, "MANY", many)
    module, x = conv(), normal(11, 1, 5)
    assert torch.allclose(tangent_kernel(module, x, memory=memory), per_sample_kernel(module, x), atol=1e-10)
    assert torch.allclose(tangent_kernel(module, x[:4], x, memory=memory), per_sample_kernel(module, x)[:4],
                          atol=1e-10)


def test_one_of_several_outputs_and_the_sum_rule():
    """The kernel of the sum of two outputs has cross terms; of independent heads, none."""
    x, trunk = normal(4, 3), mlp(3, 5, 2)
    kernels = [tangent_kernel(trunk, x, output=k) for k in (0, 1)]
    head = nn.Sequential(mlp(3, 5, 2), nn.Linear(2, 1, bias=False).double())
    for k, K in enumerate(kernels):
        head[1].weight.data = torch.eye(2, dtype=T64)[k: k + 1]
        head[1].weight.requires_grad_(False)
        assert torch.allclose(tangent_kernel(head, x), K)


def test_several_networks_at_once_are_each_one():
    net, x, y = Network(2, 6, 3), normal(5, 2), normal(5, seed=2)
    many = net.start(3, dtype=T64)
    moved, residual = net.descend(many, x, y)
    for i in range(3):
        own = {n: p[i] for n, p in many.items()}
        assert torch.allclose(net.kernel(many, x)[i], net.kernel(own, x))
        alone, left = net.descend(own, x, y)
        assert torch.allclose(residual[i], left) and all(torch.allclose(moved[n][i], alone[n]) for n in own)


def test_a_small_step_moves_the_outputs_along_the_kernel():
    """df = -(lr/N) Theta r, up to second order in lr: halving lr quarters the difference."""
    net, x, y = Network(2, 20, 3, "erf"), normal(5, 2), normal(5, seed=2)
    params = net.start(dtype=T64)
    K, gaps = net.kernel(params, x), []
    for lr in (1e-3, 5e-4):
        moved, residual = net.descend(params, x, y, lr=lr)
        gaps.append(float((net.forward(moved, x) - net.forward(params, x) + lr / 5 * K @ residual).norm()))
    assert gaps[0] / gaps[1] == pytest.approx(4, rel=0.05)


def test_derivatives_behind_each_layer_against_autograd():
    net, x = Network(3, 7, 4, "erf"), normal(5, 3)
    params = {n: p.requires_grad_() for n, p in net.start(dtype=T64).items()}
    f, hs, deltas = net.signals(params, x, 0.5)
    grads = torch.autograd.grad(f.sum(), list(params.values()))
    for i in range(4):
        assert torch.allclose(grads[2 * i], deltas[i].T @ hs[i] / hs[i].shape[1] ** 0.5)
        assert torch.allclose(grads[2 * i + 1], 0.5 * deltas[i].sum(0))




X = normal(3, 3)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: tangent_kernel(mlp(3, 2), X), "2 outputs a point; say which one by output=0 .. 1"),
    (lambda: tangent_kernel(mlp(3, 2), X, output=2), "output=2, but the module has the outputs 0 .. 1"),
    (lambda: tangent_kernel(mlp(3, 1), X[:0]), "at least one point"),
    (lambda: tangent_kernel(mlp(3, 1), X, X[:, :2]), "must agree"),
    (lambda: tangent_kernel(nn.Tanh(), X), "no parameter"),
    (lambda: tangent_kernel(conv().train(), normal(2, 1, 5)), "module.eval"),
    (lambda: layerwise_kernel(conv(), normal(2, 1, 5)), "got Conv1d, BatchNorm1d, Flatten; use tangent_kernel"),
    (lambda: layerwise_kernel(mlp(3, 2), X), "2 outputs"), (lambda: layerwise_kernel(nn.Linear(3, 1), X), "Linear"),
    (lambda: layerwise_kernel(nn.Sequential(nn.Tanh()), X), "no linear layer"),
    (lambda: layerwise_kernel(mlp(4, 1), X), "4 inputs, the points have 3"),
    (lambda: Network(2, 5).kernel(Network(2, 5).start(dtype=T64), X), "2 inputs, the points have 3"),
    (lambda: Network(2, 5).kernel({}, X[:, :2], None, -1.0), "a number >= 0"),
    (lambda: Network(2, 0), "width is a whole number >= 1"), (lambda: Network(2, 4, 0), "weight layers"),
    (lambda: Network(2, 4, 2, "cube"), "unknown activation"),
    (lambda: relative_change(X, 0 * X), "not zero"), (lambda: relative_change(X, X[:2]), "one shape")])
def test_refusals(call, says):
    with pytest.raises(ValueError, match=says):
        call()
