"""DPM-Solver: its grid, steps against formulas written out, exactness where it is exact, orders, refusals."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.dpm_solver import ddim_solve, dpm_solve, dpm_step, lambda_times, noise_of, remainder
from nde_lab.diffusion.score_sde import OU, VE, VP, Mixture, SubVP
from nde_lab.metrics import fitted_slope

ALL = [VE(high=10.0), VP(), SubVP(), OU()]
T64 = torch.float64
BUMPS = Mixture.of([-1.0, 0.2, 1.5], [0.2, 0.3, 0.15], [0.3, 0.4, 0.3])
X = torch.linspace(-2, 2, 41, dtype=T64)[:, None]
name = lambda p: type(p).__name__  # noqa: E731


@pytest.mark.parametrize("process", ALL, ids=name)
def test_the_grid_is_uniform_in_lambda(process):
    times = lambda_times(process, 12, 1e-3)
    lam = process.half_log_snr(times)
    assert times[0] == process.horizon and times[-1].item() == pytest.approx(1e-3) and (times.diff() < 0).all()
    assert torch.allclose(lam.diff(), lam.diff().mean().expand(12), rtol=1e-7)
    assert len(lambda_times(process, 1)) == 2


@settings(deadline=None)
@given(h=st.floats(1e-8, 3.0))
def test_the_remainder_has_no_cancellation(h):
    """(e^h - 1) / h - 1 as the sum of its series, sum_{k >= 1} h^k / (k + 1)!."""
    term, total = 1.0, 0.0
    for k in range(1, 60):
        term *= h / (k + 1)
        total += term
    assert remainder(torch.tensor(h, dtype=T64)).item() == pytest.approx(total, rel=1e-11)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("process", ALL, ids=name)
def test_a_constant_noise_prediction_is_solved_exactly(process, order):
    """Then x_r = (m_r / m_t) x + (s_r - m_r s_t / m_t) eps, in one step of any length."""
    t, after = torch.tensor(0.8, dtype=T64), torch.tensor(0.2, dtype=T64)
    a, b = process.coefficients(t), process.coefficients(after)
    exact = b.mean / a.mean * X + (b.std - b.mean / a.mean * a.std) * 0.7
    made = dpm_step(lambda t, x: torch.full_like(x, 0.7), process, X, t, after, order=order)
    assert torch.allclose(made, exact, rtol=1e-10, atol=1e-12)


def test_order_three_solves_a_linear_prediction_in_lambda_exactly():
    """eps = lambda: the integral of e^{-lambda} lambda by parts. Order 1 misses it; order 2 too, by O(h^3)."""
    process, t, after = VP(), torch.tensor(0.8, dtype=T64), torch.tensor(0.5, dtype=T64)
    (l0, l1), m = process.half_log_snr(torch.stack([t, after])), process.mean(after)
    integral = (l0 + 1) * torch.exp(-l0) - (l1 + 1) * torch.exp(-l1)
    exact = m / process.mean(t) * X - m * integral

    def noise(t, x):
        return process.half_log_snr(t) * torch.ones_like(x)
    off = [(dpm_step(noise, process, X, t, after, order=k) - exact).abs().max().item() for k in (1, 2, 3)]
    assert off[2] < 1e-12 < 1e-3 < off[1] < off[0]


@pytest.mark.parametrize("process", ALL, ids=name)
def test_the_first_order_is_ddim(process):
    noise, times, x = noise_of(BUMPS.score(process), process), lambda_times(process, 15), process.prior_std * X
    assert torch.allclose(dpm_solve(noise, process, x, times, order=1), ddim_solve(noise, process, x, times),
                          rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("process", ALL, ids=name)
def test_the_order_on_a_gaussian_whose_flow_is_known(process, order):
    """Data N(0.7, 0.4^2): the flow maps quantiles to quantiles."""
    data, end = Mixture.of([0.7], 0.4), 0.01
    noise = noise_of(data.score(process), process)
    a, b = process.coefficients(process.horizon), process.coefficients(end)
    wide, narrow = ((c.mean**2 * 0.16 + c.std**2).sqrt() for c in (a, b))
    x, exact = a.mean * 0.7 + wide * X, b.mean * 0.7 + narrow * X
    steps = (40, 80, 160)
    found = [dpm_solve(noise, process, x, lambda_times(process, n, end), order=order) for n in steps]
    errors = [(y - exact).abs().mean().item() for y in found]
    assert -fitted_slope(steps, errors) == pytest.approx(order, abs=0.2)


def test_evaluations_are_counted_by_the_order():
    calls = []

    def noise(t, x):
        calls.append(float(t))
        return torch.zeros_like(x)
    for order in (1, 2, 3):
        calls.clear()
        dpm_solve(noise, VP(), X, lambda_times(VP(), 5), order=order)
        assert len(calls) == 5 * order and calls == sorted(calls, reverse=True)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: dpm_solve(None, VP(), X, VP().times(3), order=4), "orders 1, 2 and 3, got 4"),
    (lambda: dpm_step(None, VP(), X, None, None, order=True), "orders 1, 2 and 3, got True"),
    (lambda: dpm_solve(None, VP(), X, VP().times(3)[:1], order=1), "1-d tensor of at least two"),
    (lambda: lambda_times(VP(), 5, 0.0), "noise level is 0"),
    (lambda: lambda_times(VP(), 0), "whole number >= 1")])
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
