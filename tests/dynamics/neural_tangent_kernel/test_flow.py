"""Training with a constant kernel: closed forms against step by step, linearised networks, Gaussian
processes."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.autodiff import value_and_grad
from nde_lab.dynamics.neural_tangent_kernel.circle import FOUR, on_circle, product
from nde_lab.dynamics.neural_tangent_kernel.empirical import tangent_kernel
from nde_lab.dynamics.neural_tangent_kernel.flow import KernelFlow, gaussian_limit, linearised, percentile
from nde_lab.dynamics.neural_tangent_kernel.limit import kernels
from nde_lab.dynamics.neural_tangent_kernel.network import Module, Network
from nde_lab.nets import functional, mlp

T64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=T64)


def problem(n=6, seed=0, depth=3):
    x, other = normal(n, 2, seed=seed), normal(4, 2, seed=seed + 1)
    return kernels(x, depth=depth)[1], kernels(other, x, depth=depth)[1], normal(n, seed=seed + 2), normal(
        n, seed=seed + 3), normal(4, seed=seed + 4)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), steps=st.integers(0, 40), lr=st.floats(0.01, 1.5))
def test_descent_in_closed_form_is_descent_step_by_step(seed, steps, lr):
    K, Kx, y, f0, f0x = problem(seed=seed)
    f, fx = f0.clone(), f0x.clone()
    for _ in range(steps):
        f, fx = f - lr / 6 * K @ (f - y), fx - lr / 6 * Kx @ (f - y)
    flow = KernelFlow(K, y, f0)
    scale = 1 + float(f.abs().max())
    assert torch.allclose(flow.after(steps, lr), f, atol=1e-8 * scale)
    assert torch.allclose(flow.after(steps, lr, Kx, f0x), fx, atol=1e-8 * scale)


def test_flow_solves_its_equation_and_ends_in_kernel_regression():
    K, Kx, y, f0, f0x = problem()
    flow, h = KernelFlow(K, y, f0), 1e-4
    for t in (0.0, 1.0, 30.0):
        slope = (flow.at(t + h, Kx, f0x) - flow.at(t, Kx, f0x)) / h
        middle = -Kx @ (flow.at(t + h / 2) - y) / 6
        assert torch.allclose(slope, middle, atol=1e-7)
    end = f0x + Kx @ torch.linalg.solve(K, y - f0)
    assert torch.allclose(flow.limit(Kx, f0x), end, atol=1e-6) and torch.allclose(flow.limit(), y, atol=1e-8)
    assert torch.allclose(flow.at(1e12, Kx, f0x), end, atol=1e-5)
    assert torch.equal(flow.at(math.inf, Kx), flow.limit(Kx)) and torch.allclose(flow.at(0.0), f0)


def test_small_steps_of_descent_are_the_flow():
    K, Kx, y, f0, f0x = problem()
    flow = KernelFlow(K, y, f0)
    gaps = [float((flow.after(n, 4.0 / n, Kx, f0x) - flow.at(4.0, Kx, f0x)).norm()) for n in (200, 400)]
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.05)


def test_residuals_decay_each_at_its_eigenvalue():
    K, _, y, f0, _ = problem()
    flow = KernelFlow(K, y, f0)
    start = flow.vectors.T @ (f0 - y)
    for t in (0.5, 7.0):
        assert torch.allclose(flow.vectors.T @ (flow.at(t) - y), torch.exp(-flow.rates * t) * start, atol=1e-10)
    assert torch.allclose(flow.vectors.T @ (flow.after(5, 0.7) - y), (1 - 0.7 * flow.rates) ** 5 * start, atol=1e-10)


def test_what_a_singular_kernel_cannot_see_stays_for_ever():
    K = torch.ones(3, 3, dtype=T64)
    y = torch.tensor([1.0, 2.0, 6.0], dtype=T64)
    for f in (KernelFlow(K, y).limit(), KernelFlow(K, y).at(1e6), KernelFlow(K, y).after(1000, 0.5)):
        assert torch.allclose(f, torch.full((3,), 3.0, dtype=T64), atol=1e-6)


def test_several_tasks_at_once_and_the_propagator():
    K, Kx, y, f0, f0x = problem()
    flow, A = KernelFlow(K, torch.stack([y, 2 * y], 1), torch.stack([f0, f0], 1)), KernelFlow(K, y).propagator(3.0, Kx)
    both = flow.at(3.0, Kx, torch.stack([f0x, f0x], 1))
    for i, target in enumerate((y, 2 * y)):
        assert torch.allclose(both[:, i], KernelFlow(K, target, f0).at(3.0, Kx, f0x))
        assert torch.allclose(both[:, i], f0x + A @ (target - f0))


@pytest.mark.parametrize("kind", ["network", "module"])
def test_a_linearised_network_follows_the_closed_form_of_its_kernel(kind):
    x, other, y = normal(5, 2), normal(3, 2, seed=1), normal(5, seed=2)
    net = Network(2, 10, 3, "erf")
    if kind == "network":
        params = net.start(dtype=T64)
        module, apply = Module(net, params), net.forward
    else:
        torch.manual_seed(0)
        module = mlp([2, 8, 1]).double()
        params, made = dict(module.named_parameters()), functional(module)
        apply = lambda p, z: made.apply(p, z)[:, 0]  # noqa: E731
    line, p = linearised(apply, params), {n: q.detach() for n, q in params.items()}
    assert torch.allclose(line(p, x), apply(p, x))
    for _ in range(30):
        _, grads = value_and_grad(lambda q: (line(q, x) - y).square().mean() / 2, p)
        p = {n: q - 0.3 * grads[n] for n, q in p.items()}
    K, Kx = tangent_kernel(module, x), tangent_kernel(module, other, x)
    flow = KernelFlow(K, y, apply(params, x).detach())
    assert torch.allclose(line(p, x), flow.after(30, 0.3), atol=1e-9)
    assert torch.allclose(line(p, other), flow.after(30, 0.3, Kx, apply(params, other).detach()), atol=1e-9)


@pytest.mark.parametrize("t", [0.0, 5.0, math.inf])
def test_percentiles_against_random_starts(t):
    """4000 starts drawn from GP(0, Sigma) and moved by the flow: mean and spread within 5 standard errors."""
    x, angle = on_circle(torch.tensor(FOUR, dtype=T64)), torch.linspace(-3, 3, 7, dtype=T64)
    other = on_circle(angle)
    every = torch.cat([x, other])
    sigma, theta = kernels(every, depth=3)
    starts = torch.linalg.cholesky(sigma + 1e-10 * torch.eye(11, dtype=T64)) @ normal(11, 4000)
    flow = KernelFlow(theta[:4, :4], product(x))
    moved = starts[4:] + flow.propagator(t, theta[4:, :4]) @ (product(x)[:, None] - starts[:4])
    mean, deviation = gaussian_limit(flow, t, theta[4:, :4], sigma[:4, :4], sigma[4:, :4], sigma[4:, 4:].diagonal())
    error = moved.std(1) / 4000**0.5
    assert ((moved.mean(1) - mean).abs() < 5 * error + 1e-6).all()
    assert ((moved.std(1) - deviation).abs() < 5 * error + 1e-5).all()
    below = (moved < percentile(mean, deviation, 0.1)[:, None]).to(T64).mean(1)
    assert ((below - 0.1).abs() < 5 * (0.09 / 4000) ** 0.5)[deviation > 1e-3].all()


def test_at_the_data_the_limit_is_certain():
    x = on_circle(torch.tensor(FOUR, dtype=T64))
    sigma, theta = kernels(x, depth=4)
    mean, deviation = gaussian_limit(KernelFlow(theta, product(x)), math.inf, theta, sigma, sigma, sigma.diagonal())
    assert torch.allclose(mean, product(x), atol=1e-8) and float(deviation.max()) < 1e-4


def test_the_largest_stable_rate():
    K, _, y, _, _ = problem()
    flow = KernelFlow(K, y)
    edge = 2 / float(flow.rates[-1])
    assert float((flow.after(400, 0.95 * edge) - y).norm()) < float(y.norm())
    assert float((flow.after(400, 1.05 * edge) - y).norm()) > 1e6
    assert flow.best_rate() < edge


K3, Y3 = torch.eye(3, dtype=T64), torch.ones(3, dtype=T64)


@pytest.mark.parametrize(("call", "says"), [
    (lambda: KernelFlow(K3, Y3[:2]), "needs K .N, N., y"), (lambda: KernelFlow(K3[:2], Y3), "needs K"),
    (lambda: KernelFlow(K3, Y3, Y3[:2]), "f0 like y"), (lambda: KernelFlow(K3[:0, :0], Y3[:0]), "N >= 1"),
    (lambda: KernelFlow(K3 * math.nan, Y3), "finite"), (lambda: KernelFlow(K3.cumsum(0), Y3), "symmetric"),
    (lambda: KernelFlow(K3, Y3).at(-1.0), "time is a number >= 0"),
    (lambda: KernelFlow(K3, Y3).after(-1, 0.1), "whole steps >= 0"),
    (lambda: KernelFlow(K3, Y3).after(3, 0.0), "a rate > 0"),
    (lambda: KernelFlow(K3, Y3).at(1.0, K3[:, :2]), "training points, .M, 3."),
    (lambda: KernelFlow(K3, Y3).at(1.0, None, Y3), "give their kernel"),
    (lambda: percentile(Y3, Y3, 1.0), "strictly between")])
def test_refusals(call, says):
    with pytest.raises(ValueError, match=says):
        call()
