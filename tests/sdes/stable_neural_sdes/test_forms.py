"""Closed forms against simulation, and the identity that keeps tiny gaps accurate."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.sdes.stable_neural_sdes import LNSDE, LSDE, forms
from nde_lab.solvers import Brownian, Grid, integrate

T64 = torch.float64


def normals(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=T64)


@pytest.mark.parametrize(("step", "calculus"), [(forms.rotation_euler, "ito"), (forms.rotation_heun, "stratonovich")])
@pytest.mark.parametrize("sigma", [0.0, 1.0, 2.0])
def test_rotation_noise_has_the_closed_form_of_its_calculus(step, calculus, sigma):
    x, dt = torch.tensor([[1.0, 0.0]], dtype=T64).expand(500, 2), 1e-3
    for dW in normals(500, 500, 1) * math.sqrt(dt):
        x = step(x, dW, a=1.0, sigma=sigma, dt=dt)
    exact = forms.rotation_mean_square(sigma=sigma, a=1.0, t=0.5, calculus=calculus)
    assert float(x.square().sum(-1).mean()) == pytest.approx(exact, rel=0.02)


def test_the_noise_of_the_rotation_is_orthogonal_to_the_state():
    x = normals(10, 2)
    assert torch.allclose((x * forms.turn(x)).sum(-1), torch.zeros(10, dtype=T64))
    assert torch.equal(forms.turn(forms.turn(x)), -x)


@pytest.mark.parametrize("linear", [False, True])
def test_the_coupled_step_is_two_euler_steps_under_the_same_noise(linear):
    W, m, L, sigma = normals(3, 3, seed=1) / 4, 1.5, 0.8, 0.9
    gamma = lambda z: -m * z + L * torch.tanh(z @ W.T)  # noqa: E731
    sde = LNSDE(lambda t, z: gamma(z), lambda t: sigma) if linear else LSDE(gamma, lambda t: sigma)
    grid = Grid(0.0, 1.0, 40)
    dW = Brownian.draw(grid, (6, 3), seed=0, dtype=T64).increments
    z, gap = normals(6, 3, seed=2), normals(6, 3, seed=3)
    first, second = (integrate(sde, y, grid, dW, save="last") for y in (z, z + gap))
    for k in range(40):
        z, gap = forms.coupled_euler(z, gap, dW[k], m=m, L=L, W=W, sigma=sigma, dt=grid.dt, linear=linear)
    assert torch.allclose(z, first, rtol=1e-10) and torch.allclose(gap, second - first, rtol=1e-8)


def test_the_coupled_step_keeps_float32_accuracy_of_a_tiny_gap():
    W, z, gap = torch.ones(1, 1), torch.full((1, 1), 0.7), torch.full((1, 1), 1e-9)
    _, new = forms.coupled_euler(z, gap, torch.zeros(1, 1), m=2.0, L=1.0, W=W, sigma=0.0, dt=0.1, linear=True)
    slope = -2 + 1 - math.tanh(0.7) ** 2
    assert float(new) == pytest.approx(1e-9 * (1 + 0.1 * slope), rel=1e-5)


@settings(deadline=None, max_examples=40)
@given(margin=st.floats(0.01, 4), sigma=st.floats(0, 3), t=st.floats(0.01, 4))
def test_noise_helps_each_path_and_hurts_the_mean(margin, sigma, t):
    path = forms.pathwise_contraction(margin=margin, sigma=sigma, t=t)
    mean = math.sqrt(forms.mean_square_contraction(margin=margin, sigma=sigma, t=t))
    assert path <= forms.contraction(margin=margin, t=t) * (1 + 1e-12) <= mean * (1 + 1e-9)
    assert (mean < 1 - 1e-9) == (sigma**2 < 2 * margin - 2e-9 / t) or abs(sigma**2 - 2 * margin) * t < 1e-6


def test_brief_numbers_of_the_linear_noise_example():
    assert forms.pathwise_contraction(margin=1, sigma=1.8, t=3) == pytest.approx(3.9e-4, rel=0.02)
    assert forms.mean_square_contraction(margin=1, sigma=1.8, t=3) == pytest.approx(41.3, rel=0.01)


@pytest.mark.parametrize(("gamma", "sigma", "dt"), [(0.0, 1.0, 0.5), (-1.0, 2.0, 0.3), (0.5, 1.5, 0.8)])
def test_the_probability_that_euler_crosses_zero(gamma, sigma, dt):
    factor = 1 + gamma * dt + sigma * math.sqrt(dt) * normals(200_000)
    assert float((factor < 0).double().mean()) == pytest.approx(
        forms.gsde_euler_crossing(gamma=gamma, sigma=sigma, dt=dt), rel=0.03)


@settings(deadline=None, max_examples=50)
@given(h=st.floats(0.01, 0.5), share=st.floats(0.05, 3).filter(lambda s: abs(s - 1) > 1e-3))
def test_one_euler_step_of_the_cubic_grows_exactly_above_the_threshold(h, share):
    x = share * forms.euler_threshold(h)
    assert (abs(x - h * x**3) > x) == (share > 1)
