"""Linear and cosine as processes, kernels of one's own, and the way between kernel and SDE."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.principles_of_diffusion import (
    SCHEDULES,
    Affine,
    Cosine,
    Linear,
    kernel_of,
    sde_of,
    slopes,
)
from nde_lab.diffusion.score_sde import Mixture, euler_sample
from nde_lab.random import Normal, sample
from nde_lab.solvers import integrate_ode

T64 = torch.float64
each = pytest.mark.parametrize("process", SCHEDULES.values(), ids=SCHEDULES)


@each
@settings(deadline=None, max_examples=8)
@given(u=st.floats(0.01, 0.9))
def test_a_kernel_and_its_sde_are_found_from_each_other(process, u):
    t = torch.tensor([u], dtype=T64)
    found, told = sde_of(process.mean, process.std, t), process.coefficients(t)
    assert found.rate.item() == pytest.approx(told.rate.item(), rel=1e-10, abs=1e-12)
    assert found.g2.item() == pytest.approx(told.g2.item(), rel=1e-10)
    m, s = kernel_of(process.rate, process.g2, u)
    # RK4 with 500 steps; nearer to t = 1 the linear path's coefficients, 1 / (1 - t), want shorter ones
    assert m.item() == pytest.approx(told.mean.item(), rel=1e-6)
    assert s.item() == pytest.approx(told.std.item(), rel=1e-6)


@each
@settings(deadline=None, max_examples=25)
@given(u=st.floats(0.001, 0.998))
def test_the_half_log_snr_falls_and_is_inverted(process, u):
    t = torch.tensor(u, dtype=T64)
    assert process.time_at(process.half_log_snr(t)).item() == pytest.approx(u, rel=1e-9)
    assert process.half_log_snr(0.999 * t) > process.half_log_snr(t)


@each
def test_g2_is_the_fall_of_lambda(process):
    """g^2 = -2 s^2 d lambda / dt."""
    t = torch.tensor([0.2, 0.5, 0.8], dtype=T64, requires_grad=True)
    slope, = torch.autograd.grad(process.half_log_snr(t).sum(), t)
    assert torch.allclose(-2 * process.std(t).square() * slope, process.g2(t), rtol=1e-10)


@each
def test_slopes_of_mean_and_std_are_finite_differences(process):
    t, h = torch.tensor([0.2, 0.5, 0.8], dtype=T64), 1e-5
    for slope, f in zip(slopes(process, t), (process.mean, process.std), strict=True):
        assert torch.allclose(slope, (f(t + h) - f(t - h)) / (2 * h), rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("process", [Linear(), Cosine()], ids=["linear", "cosine"])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_the_samplers_of_the_part_work_on_the_new_schedules(process, noise):
    """Gaussian data N(1, 0.5^2): mean and spread come back, within 4 standard errors and Euler's bias."""
    n, steps = 4000, 400
    drawn = sample({"x": Normal((n, 1)), "z": Normal((steps, n, 1))}, seed=0, stream="s")
    data = Mixture.of([1.0], 0.5, dtype=torch.float32)
    times = process.times(steps, power=2.0)
    start = process.prior_std * drawn["x"]
    out = euler_sample(process, data.score(process), start, times, drawn["z"], noise=noise)
    assert out.mean().item() == pytest.approx(1.0, abs=4 * 0.5 / n**0.5 + 0.01)
    assert out.std().item() == pytest.approx(0.5, abs=4 * 0.5 / (2 * n)**0.5 + 0.02)


def test_a_kernel_of_ones_own_is_a_process():
    """Written again as m = cos, s = sin, the cosine schedule has the same flow."""
    own = Affine(lambda t: torch.cos(0.5 * math.pi * t), lambda t: torch.sin(0.5 * math.pi * t))
    x, data = torch.linspace(-1, 1, 5, dtype=T64)[:, None], Mixture.of([-1.0, 1.0], 0.3)
    ends = [integrate_ode(p.flow(data.score(p)), x, p.times(50, 0.01), method="rk4", save="last")
            for p in (own, Cosine())]
    assert torch.allclose(*ends, atol=1e-10)
    lam = torch.tensor([-1.0, 0.5], dtype=T64)
    assert torch.allclose(own.time_at(lam), Cosine().time_at(lam), atol=1e-12)
    assert own.prior_std == pytest.approx(Cosine().prior_std)


def test_refusals_say_what_to_do():
    with pytest.raises(ValueError, match="below 1.*got horizon=1, try 0.999"):
        Linear(1)
    with pytest.raises(ValueError, match="starts at the data.*m\\(0\\) = 0.5"):
        Affine(lambda t: 0.5 + 0 * t, lambda t: t)
    with pytest.raises(ValueError, match="time above 0, got t = 0"):
        kernel_of(Linear().rate, Linear().g2, 0)
    with pytest.raises(ValueError, match="lies outside its schedule"):
        Linear().std(1.0)
