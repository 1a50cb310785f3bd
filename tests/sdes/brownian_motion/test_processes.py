"""Laws of geometric growth, of the Ornstein-Uhlenbeck process, and of the share's variation."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import last, run
from nde_lab.sdes.brownian_motion import (
    GeometricGrowth,
    OrnsteinUhlenbeck,
    SharePrice,
    quadratic_variation,
    share_prices,
)
from nde_lab.sdes.brownian_motion.ito import growth_step, mean_rate, typical_rate
from nde_lab.sdes.brownian_motion.ou import ou_euler_variance, ou_step, ou_variance

T64 = torch.float64


@pytest.mark.parametrize("calculus", ["ito", "stratonovich"])
def test_growth_steps_have_strong_order_half_or_one_to_the_exact_path(calculus):
    """x_1 = exp(typical rate + sigma W_1), whichever scheme; Euler's order is 1/2, Heun's 1 for one noise."""
    gamma, sigma, errors = 0.4, 0.9, []
    dW = torch.randn(1024, 2000, generator=torch.Generator().manual_seed(0), dtype=T64) / 32
    exact = torch.exp(typical_rate(gamma, sigma, calculus) + sigma * dW.sum(0))
    for n in (16, 64, 256):
        x = torch.ones(2000, dtype=T64)
        for step in dW.reshape(n, -1, 2000).sum(1):
            x = growth_step(x, step, gamma=gamma, sigma=sigma, dt=1 / n, calculus=calculus)
        errors.append(float((x - exact).abs().mean()))
    order = math.log(errors[0] / errors[-1]) / math.log(16)
    assert order == pytest.approx(0.5 if calculus == "ito" else 1.0, abs=0.12)


@given(st.floats(-0.5, 1), st.floats(0, 1.6))
def test_the_two_calculi_differ_by_half_the_square_of_the_noise(gamma, sigma):
    for rate in (mean_rate, typical_rate):
        assert rate(gamma, sigma, "stratonovich") - rate(gamma, sigma, "ito") == pytest.approx(sigma**2 / 2)


@pytest.mark.parametrize("calculus", ["ito", "stratonovich"])
def test_the_figure_meets_its_dotted_lines(calculus):
    h = last(run(GeometricGrowth, {"calculus": calculus, "sigma": 0.5})).history
    # Standard error of the mean of 4000: sqrt((e^{sigma^2 t} - 1) / 4000) = 1.7 %; of the log: 1.4 %.
    assert h["mean"][-1] == pytest.approx(h["exact_mean"][-1], rel=0.06)
    assert h["typical"][-1] == pytest.approx(h["exact_typical"][-1], rel=0.05)
    assert h["exact_mean"][-1] == pytest.approx(math.exp(3 * mean_rate(0.3, 0.5, calculus)), rel=1e-4)


@given(st.floats(0, 3), st.floats(0, 2), st.floats(0.01, 3), st.floats(0.01, 3))
def test_exact_steps_compose(a, sigma, s, t):
    """The variance after s + t is that after s, faded over t, plus that of t: no step is too long."""
    a, s, t = (torch.tensor(v, dtype=T64) for v in (a, s, t))
    whole = ou_variance(a, sigma, s + t)
    parts = ou_variance(a, sigma, s) * torch.exp(-2 * a * t) + ou_variance(a, sigma, t)
    assert float(whole) == pytest.approx(float(parts), rel=1e-5, abs=1e-12)


def test_variance_without_pull_is_brownian_and_with_it_levels_off():
    assert float(ou_variance(0.0, 1.5, 2.0)) == pytest.approx(4.5)
    assert float(ou_variance(2.0, 1.5, 50.0)) == pytest.approx(1.5**2 / 4)
    x = ou_step(torch.full((3,), 2.0), torch.zeros(3), a=1.0, sigma=1.0, h=0.5)
    assert torch.allclose(x, torch.full((3,), 2 * math.exp(-0.5)))


@given(st.floats(0.1, 3), st.floats(0.05, 2))
def test_eulers_variance_is_the_fixed_point_of_its_recursion(a, h):
    v = float(ou_euler_variance(torch.tensor(a, dtype=T64), 1.3, h))
    if a * h < 1.99:
        assert (1 - a * h) ** 2 * v + 1.3**2 * h == pytest.approx(v, rel=1e-9)
        assert v > 1.3**2 / (2 * a)
    elif a * h >= 2.001:
        assert math.isinf(v)


def test_the_two_variances_of_the_figure_go_where_the_formulas_say():
    for knobs in ({"h": 0.5}, {"a": 2.0, "h": 0.25, "sigma": 0.7}, {"a": 1.5, "h": 1.0}):
        run_of = run(OrnsteinUhlenbeck, knobs)
        h = last(run_of).history
        late = slice(len(h["t"]) // 2, None)
        assert h["variance"][late].mean() == pytest.approx(h["exact"][-1], rel=0.05)
        assert h["euler_variance"][late].mean() == pytest.approx(h["euler_limit"][-1], rel=0.06)


def test_euler_takes_steps_of_h_and_only_then():
    h = last(run(OrnsteinUhlenbeck, {"h": 1.0})).history
    moved = np.diff(np.concatenate([[0.0], h["euler_variance"]])) != 0
    assert np.array_equal(np.flatnonzero(moved) % 8, np.full(8, 7))


def test_euler_explodes_beyond_two_while_exact_steps_do_not():
    h = last(run(OrnsteinUhlenbeck, {"a": 2.5, "h": 2.0})).history
    assert h["euler_variance"][-1] > 100 and h["variance"][-1] < 1


@settings(max_examples=20, deadline=None)
@given(st.floats(0, 3), st.floats(0, 2), st.floats(-4, 4), st.sampled_from(OrnsteinUhlenbeck.live["h"].choices))
def test_no_knob_breaks_the_figure(a, sigma, x0, h):
    frame = last(run(OrnsteinUhlenbeck, {"a": a, "sigma": sigma, "x0": x0, "h": h}, steps=20))
    assert frame.status.kind == "finished", frame.status.sentence
    assert all(np.isfinite(v).all() for v in frame.arrays.values())
    assert frame.arrays["seen"][:, 0] == pytest.approx(np.full(20, x0), abs=1e-5)


def test_variation_counts_whole_looks_only():
    path = torch.tensor([0.0, 1.0, 3.0, 6.0, 10.0])
    assert quadratic_variation(path).tolist() == [0, 1, 5, 14, 30]
    assert quadratic_variation(path, 2).tolist() == [0, 0, 9, 9, 58]
    assert quadratic_variation(path, 3).tolist() == [0, 0, 0, 36, 36]
    with pytest.raises(ValueError, match="got every=0"):
        quadratic_variation(path, 0)


@pytest.mark.parametrize("lag", [1, 7, 42])
def test_the_figure_of_the_share_draws_that_variation(lag):
    arrays = last(run(SharePrice, {"lag": lag})).arrays
    log_price = np.log(share_prices()[1])
    assert np.allclose(arrays["variation"], quadratic_variation(log_price, lag), atol=1e-5)
    assert arrays["twins"].shape == (20, len(log_price))
    assert arrays["line"][-1] == pytest.approx(0.584, abs=1e-3)


def test_the_prices_are_what_the_chapter_says():
    days, prices = share_prices()
    assert len(days) == len(prices) == 1047 and str(days[0]) == "2004-08-19" and str(days[-1]) == "2008-10-14"
    assert (np.diff(days).astype(int) > 0).all() and prices.min() > 0
    assert prices[-1] == pytest.approx(362.71)
