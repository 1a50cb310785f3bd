"""Marginals, coefficients and reversal of the four processes, against closed forms and against simulation."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.score_sde import OU, PROCESSES, VE, VP, Mixture, SubVP
from nde_lab.solvers import Brownian, Grid, integrate, integrate_ode, solve_sde

ALL = [VE(high=10.0), VP(), SubVP(), OU()]
T64 = torch.float64
name = lambda p: type(p).__name__  # noqa: E731


def t64(t):
    return torch.tensor(t, dtype=T64)


@pytest.mark.parametrize(("process", "m", "s"), [
    (VP(), 0.281183, 0.959654), (SubVP(), 0.281183, 0.920936), (VE(high=10.0), 1.0, math.sqrt(0.1 - 1e-4)),
    (OU(), math.exp(-0.5), math.sqrt((1 - math.exp(-1)) / 2))], ids=["VP", "sub-VP", "VE", "OU"])
def test_kernels_at_one_half_are_those_of_the_table(process, m, s):
    at = process.coefficients(0.5)
    assert at.mean.item() == pytest.approx(m, abs=1e-6) and at.std.item() == pytest.approx(s, abs=1e-6)


@pytest.mark.parametrize("process", ALL, ids=name)
@settings(deadline=None, max_examples=30)
@given(u=st.floats(0.01, 0.99))
def test_drift_and_diffusion_are_the_derivatives_of_the_kernel(process, u):
    """a = d log m / dt and g^2 = d s^2 / dt - 2 a s^2 (Lai et al. 2025, Lemma 4.4.1), by differences."""
    t, h = u * process.horizon, 1e-5
    lower, at, upper = (process.coefficients(t64(v)) for v in (t - h, t, t + h))
    rate = (upper.mean.log() - lower.mean.log()) / (2 * h)
    g2 = (upper.std**2 - lower.std**2) / (2 * h) - 2 * rate * at.std**2
    assert at.rate.item() == pytest.approx(rate.item(), rel=1e-6, abs=1e-8)
    assert at.g2.item() == pytest.approx(g2.item(), rel=1e-6, abs=1e-8)


@pytest.mark.parametrize("process", ALL, ids=name)
def test_simulated_paths_have_the_marginals(process):
    """500 Euler steps, 20000 paths from x0 = 2, half of them mirrored noise, so that means are exact."""
    grid = Grid(0.0, process.horizon, 500)
    dW = Brownian.draw(grid, (10_000, 1), seed=0).increments
    x = integrate(process.forward(), torch.full((20_000, 1), 2.0), grid, torch.cat([dW, -dW], 1),
                  save=(250, 500))
    for states, t in zip(x, (process.horizon / 2, process.horizon), strict=True):
        at = process.coefficients(t)
        assert states.mean().item() == pytest.approx(2 * at.mean.item(), rel=0.01, abs=0.01)
        # Euler is first order in dt: VE's std grows by a factor 1000, and 500 steps lose 0.7 % of it
        assert states.std().item() == pytest.approx(at.std.item(), rel=0.02)


@pytest.mark.parametrize("process", ALL, ids=name)
def test_the_noise_level_starts_at_zero_and_ends_at_the_prior(process):
    assert process.std(0.0) == 0 and process.mean(0.0) == 1
    end = process.coefficients(process.horizon)
    tolerance = 2e-3 if isinstance(process, OU) else 1e-4           # OU at T = 3 has e^{-6} to go
    assert end.std.item() == pytest.approx(process.prior_std, rel=tolerance)
    assert process.std(1e-12 * t64(1.0)) > 0, "no cancellation near zero"


def test_the_variance_of_sub_vp_is_below_that_of_vp():
    t = torch.linspace(0.001, 1, 50, dtype=T64)
    assert (SubVP().std(t) < VP().std(t)).all() and torch.equal(SubVP().mean(t), VP().mean(t))


@pytest.mark.parametrize("process", ALL, ids=name)
@settings(deadline=None, max_examples=30)
@given(u=st.floats(0.001, 1.0))
def test_the_half_log_snr_falls_and_is_inverted(process, u):
    t = t64(u * process.horizon)
    lam = process.half_log_snr(t)
    assert process.time_at(lam).item() == pytest.approx(t.item(), rel=1e-9)
    assert process.half_log_snr(t * 0.999) > lam


def test_half_log_snr_of_the_paper_schedule():
    """The two ends of DPM-Solver's grid for beta from 0.1 to 20."""
    assert VP().half_log_snr(1.0).item() == pytest.approx(-5.0250, abs=1e-4)
    assert VP().half_log_snr(0.001).item() == pytest.approx(4.5577, abs=1e-4)


@pytest.mark.parametrize("process", ALL, ids=name)
def test_a_clock_per_row_is_the_same_as_one_time_each(process):
    t = torch.tensor([[0.1], [0.5], [0.9]], dtype=T64)
    for one in ("mean", "std", "rate", "g2", "half_log_snr"):
        together = getattr(process, one)(t)
        alone = torch.stack([getattr(process, one)(v.reshape(())) for v in t])
        assert together.shape == (3, 1) and torch.allclose(together[:, 0], alone)


@pytest.mark.parametrize("process", ALL, ids=name)
@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_running_back_with_the_exact_score_gives_the_data(process, noise):
    """Gaussian data N(1, 0.25): with the exact score every noise level of the reverse family has its law."""
    data = Mixture.of([1.0], 0.5, dtype=torch.float32)
    grid = Grid(0.0, process.horizon - 1e-3, 400)
    start = process.coefficients(process.horizon)
    spread = math.sqrt(start.mean.item()**2 * 0.25 + start.std.item()**2)
    z = Brownian.draw(Grid(0.0, 1.0, 1), (4000, 1), seed=1).increments[0]
    x = start.mean.float() + spread * torch.cat([z, -z])                     # the exact law at the horizon
    dW = Brownian.draw(grid, (4000, 1), seed=2).increments
    out = integrate(process.reverse(data.score(process), noise=noise), x, grid, torch.cat([dW, -dW], 1),
                    save="last")
    assert out.mean().item() == pytest.approx(1.0, abs=0.03)
    assert out.std().item() == pytest.approx(0.5, rel=0.05)


def test_without_noise_the_reverse_sde_is_the_flow():
    process, data = VP(), Mixture.of([-1.0, 1.0], 0.3)
    score, tau = data.score(process), t64(0.3)
    x = torch.linspace(-2, 2, 9, dtype=T64)[:, None]
    reverse = process.reverse(score, noise=0.0)
    assert torch.allclose(reverse.f(tau, x), -process.flow(score)(process.horizon - tau, x))
    assert (reverse.g(tau, x) == 0).all()
    assert torch.allclose(process.reverse(score).g(tau, x)[0], process.g2(t64(0.7)).sqrt())


@pytest.mark.parametrize("process", ALL, ids=name)
def test_the_flow_of_a_gaussian_keeps_quantiles(process):
    """Psi_{s->t}(x) = m_t mu + (sd_t / sd_s)(x - m_s mu) with sd^2 = m^2 c^2 + s^2, both ways."""
    data = Mixture.of([0.7], 0.4)
    times = process.times(300, 0.01, power=2.0)

    def law(t):
        at = process.coefficients(t)
        return at.mean * 0.7, (at.mean**2 * 0.16 + at.std**2).sqrt()
    (top, wide), (low, narrow) = law(times[0]), law(times[-1])
    quantiles = torch.linspace(-2, 2, 5, dtype=T64)[:, None]
    flow = process.flow(data.score(process))
    down = integrate_ode(flow, top + wide * quantiles, times, method="rk4", save="last")
    assert torch.allclose(down, low + narrow * quantiles, atol=1e-4)
    up = integrate_ode(flow, low + narrow * quantiles, times.flip(0), method="rk4", save="last")
    assert torch.allclose((up - top) / wide, quantiles, atol=1e-4)


def test_the_checked_solver_takes_the_reverse_sde():
    process, data = OU(), Mixture.of([0.0], 0.5, dtype=torch.float32)
    solved = solve_sde(process.reverse(data.score(process)), torch.zeros(4, 1), [0.0, 2.9], dt=0.05, seed=0)
    assert solved.ys.shape == (2, 4, 1) and solved.ok.all()


def test_times_fall_from_the_horizon_to_the_end():
    times = VP().times(10, 1e-3, power=2.0)
    assert times[0] == 1 and times[-1].item() == pytest.approx(1e-3) and (times[1:] < times[:-1]).all()
    assert (times[-2] - times[-1]) < (times[0] - times[1])


def test_prior_log_density_is_that_of_a_normal():
    x = torch.tensor([[1.0, -2.0]], dtype=T64)
    exact = torch.distributions.Normal(0.0, 10.0).log_prob(x).sum(-1)
    assert torch.allclose(VE(high=10.0).prior_log_density(x), exact)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: VP().mean(1.5), "outside its schedule"), (lambda: OU().std(-0.1), "outside its schedule"),
    (lambda: VE(low=2.0, high=1.0), "low < high"),
    (lambda: VP(first=20.0, last=0.1), "grow from first to last"),
    (lambda: OU(horizon=0.0), "positive finite number horizon"), (lambda: VP(first="a"), "positive finite"),
    (lambda: VP().reverse(None, noise=-1.0), "noise must be a number >= 0"),
    (lambda: VP().times(0), "whole number >= 1"), (lambda: VP().times(10, 0.0), "noise level is 0"),
    (lambda: VP().times(10, power=0.0), "power must be positive")])
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_the_processes_by_name():
    assert set(PROCESSES) == {"VE", "VP", "sub-VP", "OU"}
    assert all(make().horizon > 0 for make in PROCESSES.values())


@pytest.mark.parametrize(("number", "tensor"), [
    (VE(high=7.0), VE(high=torch.tensor(7.0, dtype=torch.float64))),
    (VP(last=3.0), VP(last=torch.tensor(3.0, dtype=torch.float64)))], ids=["VE", "VP"])
def test_a_schedule_may_be_a_live_knob(number, tensor):
    for a, b in zip(number.coefficients(0.4), tensor.coefficients(0.4), strict=True):
        assert a.item() == pytest.approx(b.item(), rel=1e-12)
    assert float(number.prior_std) == float(tensor.prior_std)
