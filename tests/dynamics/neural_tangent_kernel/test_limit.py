"""The limit kernels: closed forms against samples, wide networks, and the laws that a kernel obeys."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.dynamics.neural_tangent_kernel.circle import fourier_rates, limits, on_circle, spaced
from nde_lab.dynamics.neural_tangent_kernel.limit import ACTS, expectations, kernels
from nde_lab.dynamics.neural_tangent_kernel.network import Network

T64 = torch.float64


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=T64)


def gauss(f, a, b, c, n=200):
    """E f(u, v) by a product rule, (u, v) of variances a, b and covariance c."""
    import numpy as np
    z, w = (torch.as_tensor(t) for t in np.polynomial.hermite_e.hermegauss(n))
    u = math.sqrt(a) * z[:, None]
    v = c / math.sqrt(a) * z[:, None] + math.sqrt(b - c * c / a) * z[None]
    return float((w[:, None] * w[None] * f(u, v)).sum() / w.sum() ** 2)


@pytest.mark.parametrize("act", ["erf", "square", "identity"])
@settings(max_examples=15, deadline=None)
@given(a=st.floats(0.05, 2), b=st.floats(0.05, 2), r=st.floats(-0.95, 0.95))
def test_expectations_against_quadrature(act, a, b, r):
    c = r * math.sqrt(a * b)
    f, slope = ACTS[act]
    value, derivative = expectations(act, *(torch.tensor(s, dtype=T64) for s in (a, b, c)))
    assert float(value) == pytest.approx(gauss(lambda u, v: f(u) * f(v), a, b, c), abs=1e-6)
    assert float(derivative) == pytest.approx(gauss(lambda u, v: slope(u) * slope(v), a, b, c), abs=1e-6)


@pytest.mark.parametrize("r", [-0.9, 0.0, 0.7])
def test_relu_expectations_against_a_million_samples(r):
    a, b = 1.3, 0.6
    c = r * math.sqrt(a * b)
    z = normal(2, 1_000_000)
    u = math.sqrt(a) * z[0]
    v = c / math.sqrt(a) * z[0] + math.sqrt(b - c * c / a) * z[1]
    found = expectations("relu", *(torch.tensor(s, dtype=T64) for s in (a, b, c)))
    for sample, closed in zip((u.relu() * v.relu(), ((u > 0) & (v > 0)).to(T64)), found, strict=True):
        assert abs(float(sample.mean() - closed)) < 5 * float(sample.std()) / 1000


def test_special_angles_of_the_relu_kernel():
    """At angle 0 half of the second moment, at a right angle 1/2 pi, opposite 0; slopes 1/2, 1/4, 0."""
    one, c = torch.ones(3, dtype=T64), torch.tensor([1.0, 0.0, -1.0], dtype=T64)
    value, slope = expectations("relu", one, one, c)
    assert torch.allclose(value, torch.tensor([0.5, 0.5 / math.pi, 0.0], dtype=T64), atol=1e-12)
    assert torch.allclose(slope, torch.tensor([0.5, 0.25, 0.0], dtype=T64), atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(act=st.sampled_from(sorted(ACTS)), depth=st.integers(1, 5), beta=st.floats(0, 1), n=st.integers(1, 12),
       inputs=st.integers(1, 6), seed=st.integers(0, 1000))
def test_both_kernels_are_symmetric_and_have_no_negative_eigenvalue(act, depth, beta, n, inputs, seed):
    x = normal(n, inputs, seed=seed)
    x = x / x.norm(dim=1, keepdim=True) * inputs**0.5
    for K in kernels(x, act=act, depth=depth, beta=beta):
        assert torch.allclose(K, K.T, rtol=1e-12)
        # arccos loses half of the digits near angle 0
        assert float(torch.linalg.eigvalsh(K)[0]) > -1e-6 * float(K.diagonal().max())


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), act=st.sampled_from(["relu", "erf"]))
def test_a_rotation_of_all_points_changes_nothing_and_blocks_are_parts_of_the_whole(seed, act):
    x = normal(7, 3, seed=seed)
    turn, _ = torch.linalg.qr(normal(3, 3, seed=seed + 1))
    whole = kernels(x, act=act, depth=4)
    for K, turned, part in zip(whole, kernels(x @ turn, act=act, depth=4), kernels(x[:2], x[2:], act=act, depth=4),
                               strict=True):
        assert torch.allclose(K, turned, atol=1e-7)
        assert torch.allclose(K[:2, 2:], part, atol=1e-12)


def test_one_layer_is_a_linear_model_and_deep_linear_networks_have_a_closed_form():
    x = normal(5, 3)
    sigma, theta = kernels(x, depth=1, beta=0.3)
    assert torch.allclose(theta, x @ x.T / 3 + 0.09) and torch.equal(sigma, theta)
    _, theta = kernels(x, act="identity", depth=4, beta=0.0)
    assert torch.allclose(theta, 4 * x @ x.T / 3)


@pytest.mark.parametrize("act", ["relu", "erf"])
def test_wide_networks_have_these_kernels_on_average(act):
    x = on_circle(torch.tensor([0.3, 1.2, 2.2, 3.9]))
    net = Network(2, 512, 3, act)
    params = net.start(60, seed=1)
    sigma, theta = kernels(x, act=act, depth=3)
    f, K = net.forward(params, x), net.kernel(params, x)
    error = K.std(0) / math.sqrt(60)
    assert ((K.mean(0) - theta).abs() < 5 * error + 0.01 * theta.abs()).all()
    products = f[:, :, None] * f[:, None, :]
    assert ((products.mean(0) - sigma).abs() < 5 * products.std(0) / math.sqrt(60)).all()


@pytest.mark.parametrize("act", ["relu", "erf"])
def test_eigenvalues_on_the_circle_are_a_cosine_transform(act):
    at = spaced(16, dtype=T64)
    theta = limits(at, at, act=act, depth=3, beta=0.1)[1]
    assert torch.allclose(theta, kernels(on_circle(at), act=act, depth=3)[1])
    k = torch.arange(9, dtype=T64)
    rates = fourier_rates(theta[0], k)
    for mode in range(9):
        wave = torch.cos(mode * at)
        assert torch.allclose(theta @ wave / 16, rates[mode] * wave, atol=1e-9)


def test_relu_without_bias_at_two_layers_never_learns_odd_waves_from_three_on():
    rates = [fourier_rates(limits(spaced(64, dtype=T64), torch.zeros(1, dtype=T64), act="relu", depth=2,
                                  beta=beta)[1][:, 0], torch.arange(8, dtype=T64)) for beta in (0.0, 0.1)]
    assert rates[0][[3, 5, 7]].abs().max() < 1e-5 < 1e-4 < rates[0][[0, 1, 2, 4, 6]].min()
    assert rates[1][[3, 5, 7]].min() > 1e-5


def test_the_kernel_of_a_polynomial_activation_is_singular_that_of_relu_is_not():
    """Proposition 2 on twelve points of the circle: z^2 makes polynomials of degree 2, so rank 5 at most."""
    x = on_circle(spaced(12, dtype=T64))
    lowest = {act: float(torch.linalg.eigvalsh(kernels(x, act=act, depth=2)[1])[0]) for act in ACTS}
    assert lowest["relu"] > 1e-4 and lowest["erf"] > 1e-10
    assert abs(lowest["square"]) < 1e-12 and abs(lowest["identity"]) < 1e-12
    assert int(torch.linalg.matrix_rank(kernels(x, act="square", depth=2)[1], tol=1e-9)) == 5


X64 = torch.ones(2, 3, dtype=T64)


@pytest.mark.parametrize(("x", "knobs", "says"), [
    (X64, {"depth": 0}, "weight layers, a whole number >= 1, got 0"), (X64, {"depth": 2.0}, "got 2.0"),
    (X64, {"beta": -0.1}, "a number >= 0, got -0.1"), (X64, {"beta": float("nan")}, "a number >= 0"),
    (X64, {"act": "tanh"}, "unknown activation 'tanh'; known: relu"), (X64[0], {}, "shape .3,."),
    (X64[:0], {}, "at least one"), (torch.ones(2, 3, dtype=torch.int64), {}, "float tensor"),
    ([[1.0]], {}, "got list"), (X64, {"x2": torch.ones(2, 4, dtype=T64)}, "3 inputs a point and x2 has 4")])
def test_refusals(x, knobs, says):
    with pytest.raises(ValueError, match=says):
        kernels(x, **knobs)
