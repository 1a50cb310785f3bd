"""The mean-reverting process: marginals against its own SDE, prior, inverse clock, conversions, refusals."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.mr_sampler import KINDS, Deviation, MeanReverting
from nde_lab.diffusion.mr_sampler.claims import END, NOISE, PROCESS, exact_noise, starts
from nde_lab.diffusion.score_sde import Mixture
from nde_lab.random import Normal, sample
from nde_lab.solvers import integrate, integrate_ode, solve_ode

T64 = torch.float64
X = torch.linspace(-2, 2, 9, dtype=T64)[:, None]


@settings(deadline=None)
@given(sigma=st.floats(0.05, 2.0), first=st.floats(0.1, 3.0), slope=st.floats(0.0, 5.0), t=st.floats(0.01, 1.8))
def test_the_clock_is_inverted_and_the_spread_is_that_of_the_ode_for_the_variance(sigma, first, slope, t):
    """d alpha / dt = -theta alpha and d Sigma^2 / dt = sigma^2 - 2 theta Sigma^2, by central differences."""
    d, t = Deviation(sigma, first, slope), torch.tensor(t, dtype=T64)
    if d.mean(t) > 1e-5:
        assert d.time_at(d.half_log_snr(t)).item() == pytest.approx(t.item(), rel=1e-6)
    e = 1e-5
    slope_of_mean = (d.mean(t + e) - d.mean(t - e)) / (2 * e)
    slope_of_variance = (d.std(t + e) ** 2 - d.std(t - e) ** 2) / (2 * e)
    assert slope_of_mean.item() == pytest.approx((d.rate(t) * d.mean(t)).item(), rel=1e-6, abs=1e-9)
    assert slope_of_variance.item() == pytest.approx((d.g2(t) - 2 * d.theta(t) * d.std(t) ** 2).item(),
                                                     rel=1e-5,
                                                     abs=1e-8)


def test_the_forward_sde_has_the_marginals_and_ends_at_the_prior():
    """20 000 paths of 200 Euler-Maruyama steps; four standard errors, and the weak error of 0.01."""
    n, d = 20_000, PROCESS.deviation
    drawn = sample({"z": Normal((200, n, 1))}, seed=0, stream="start")
    process, x0 = MeanReverting(torch.tensor(0.6)), torch.full((n, 1), -0.8)
    for t in (0.3, d.horizon):
        times = torch.linspace(0, t, 201)
        x = integrate(process.forward(), x0, times, math.sqrt(t / 200) * drawn["z"], save="last")
        mean, std = process.marginal(t, x0[:1])
        assert abs(x.mean() - mean.item()) < 4 * std / math.sqrt(n) + 0.01
        assert abs(x.std() / std - 1) < 4 / math.sqrt(2 * n) + 0.01
    assert process.prior(torch.zeros(1, 1)).item() == pytest.approx(0.6)
    assert mean.item() == pytest.approx(0.6, abs=0.01) and std.item() == pytest.approx(0.5, abs=1e-4)


def test_the_flow_undoes_itself_and_carries_one_bump_to_its_marginal():
    """With clean data N(0.2, 0.3^2) the flow maps quantiles to quantiles."""
    noise, d = exact_noise(Mixture.of([0.2], 0.3), PROCESS), PROCESS.deviation
    a, b = d.coefficients(d.horizon), d.coefficients(END)
    wide, narrow = ((c.mean**2 * 0.09 + c.std**2).sqrt() for c in (a, b))
    x, exact = 0.6 - a.mean * 0.4 + wide * X, 0.6 - b.mean * 0.4 + narrow * X
    found = solve_ode(PROCESS.flow(noise), x, d.times(1, END), method="dopri5", rtol=1e-9, atol=1e-9).ys[-1]
    assert torch.allclose(found, exact, atol=1e-7)


def test_the_reverse_sde_without_its_noise_part_is_the_flow():
    """Drift of the reversal and velocity of the flow differ by sigma^2 / (2 Sigma) eps, at every place."""
    d, t = PROCESS.deviation, torch.tensor(0.7, dtype=T64)
    eps = NOISE(t, X)
    drift = PROCESS.reverse(NOISE).f(d.horizon - t, X)
    assert torch.allclose(-drift, PROCESS.flow(NOISE)(t, X) + 0.5 * d.g2(t) / d.std(t) * eps, atol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_conversions_go_there_and_back_and_agree_with_the_kernel(source, kind):
    t, x0, eps = torch.tensor(0.4, dtype=T64), X.flip(0), torch.sin(3 * X)
    x = PROCESS.noised(t, x0, eps)
    d = PROCESS.deviation
    cosine, sine = d.mean(t), d.std(t) / d.sigma_inf
    truth = {"noise": eps, "data": x0, "velocity": cosine * d.sigma_inf * eps - sine * (x0 - PROCESS.mu)}
    assert (cosine**2 + sine**2).item() == pytest.approx(1.0)
    made = PROCESS.convert(truth[source], x, t, source=source, target=kind)
    assert torch.allclose(made, truth[kind], atol=1e-12)
    assert torch.allclose(PROCESS.convert(made, x, t, source=kind, target=source), truth[source], atol=1e-12)


def test_velocity_is_the_derivative_along_the_angle():
    e, phi = 1e-6, 0.9
    at = [PROCESS.mu + math.cos(p) * (X - PROCESS.mu) + 0.5 * math.sin(p) * 0.3 for p in (phi - e, phi + e)]
    t = PROCESS.deviation.time_at(torch.tensor(math.log(math.cos(phi) / (0.5 * math.sin(phi))), dtype=T64))
    x = (at[0] + at[1]) / 2
    made = PROCESS.convert(X, x, t, source="data", target="velocity")
    assert torch.allclose(made, (at[1] - at[0]) / (2 * e), atol=1e-8)


def test_euler_on_the_flow_is_of_first_order():
    """Another program than the claims' reference: errors halve with the step."""
    exact = solve_ode(PROCESS.flow(NOISE), starts(100), PROCESS.deviation.times(1, END), method="dopri5",
                      rtol=1e-9,
                      atol=1e-9).ys[-1]
    off = [(integrate_ode(PROCESS.flow(NOISE), starts(100), PROCESS.deviation.times(n, END), method="euler",
                          save="last") - exact).abs().median().item() for n in (200, 400)]
    assert off[0] / off[1] == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: Deviation(sigma_inf=0.0), "positive finite number sigma_inf"),
    (lambda: Deviation(first=-1.0), "positive finite number first"),
    (lambda: Deviation(slope=math.nan), "positive finite number slope"),
    (lambda: PROCESS.convert(X, X, 0.5, source="score", target="data"), "velocity, got 'score'"),
    (lambda: PROCESS.deviation.theta(2.0), "outside its schedule")])
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
