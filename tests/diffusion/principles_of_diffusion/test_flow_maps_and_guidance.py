"""The Gaussian flow map and guidance on a line, against closed forms, quadrature and sampling."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.principles_of_diffusion import (
    SCHEDULES,
    GaussianFlow,
    TwoClasses,
    guided,
    guided_moments,
    mean_velocity_gap,
)
from nde_lab.diffusion.principles_of_diffusion.guidance import flow_ends, law_of_map, moments, trapezoid
from nde_lab.diffusion.score_sde import Mixture, euler_sample
from nde_lab.random import Normal, sample

T64 = torch.float64
each = pytest.mark.parametrize("process", SCHEDULES.values(), ids=SCHEDULES)
GRID = torch.linspace(-10, 15, 5001, dtype=T64)


@each
@settings(deadline=None, max_examples=20)
@given(centre=st.floats(-2, 2), spread=st.floats(0.1, 3), times=st.lists(st.floats(0.02, 0.98), min_size=3,
                                                                          max_size=3, unique=True))
def test_semigroup_inverse_and_mean_velocity(process, centre, spread, times):
    flow, (t, u, r) = GaussianFlow(process, centre, spread), times
    x = torch.linspace(-3, 3, 7, dtype=T64)[:, None]
    assert torch.allclose(flow.map(u, r, flow.map(t, u, x)), flow.map(t, r, x), atol=1e-9)
    assert torch.allclose(flow.map(r, t, flow.map(t, r, x)), x, atol=1e-8)
    if abs(t - r) > 0.05:
        gap = mean_velocity_gap(flow, torch.full_like(x, t), torch.full_like(x, r), x)
        assert gap.abs().max() < 1e-6


@each
def test_the_map_moves_with_the_velocity_and_carries_the_law(process):
    flow, x, h = GaussianFlow(process, 0.5, 0.4), torch.linspace(-3, 3, 7, dtype=T64)[:, None], 1e-6
    slope = (flow.map(0.5, 0.5 + h, x) - flow.map(0.5, 0.5 - h, x)) / (2 * h)
    assert torch.allclose(slope, flow.velocity(0.5, x), rtol=1e-6, atol=1e-7)
    data = Mixture.of([0.5], 0.4)
    before = data.marginal_log_density(process, 0.5, x)
    after = data.marginal_log_density(process, 0.1, flow.map(0.5, 0.1, x))
    assert torch.allclose(before - after, torch.log(flow.size(0.1) / flow.size(0.5)).expand(7), atol=1e-9)


def test_guidance_is_linear_in_w_and_refuses_what_makes_no_sense():
    plus, both = TwoClasses().plus.score(SCHEDULES["VP"]), TwoClasses().both.score(SCHEDULES["VP"])
    x = torch.linspace(-2, 2, 5, dtype=T64)[:, None]
    assert torch.equal(guided(plus, both, 0)(0.5, x), plus(0.5, x))
    assert torch.allclose(guided(plus, both, 2.0)(0.5, x), 3 * plus(0.5, x) - 2 * both(0.5, x))
    with pytest.raises(ValueError, match="w is a number >= 0.*got -1"):
        guided(plus, both, -1)


def test_at_the_data_the_guided_score_is_the_tilted_densitys():
    """-(x - 1) + w [-(x - 1) - score of the mixture], and the slope of the logarithm of ``tilted``."""
    w, classes = 3.0, TwoClasses()
    x = GRID[2000:3000:50][:, None]
    found = classes.score(SCHEDULES["VP"], w)(torch.tensor(1e-9, dtype=T64), x)
    mix = -x + torch.tanh(x)
    assert torch.allclose(found, -(x - 1) + w * (-(x - 1) - mix), atol=1e-6)
    logs = torch.log(classes.tilted(GRID, w))
    slope = (logs[2001:3001:50] - logs[1999:2999:50]) / (2 * (GRID[1] - GRID[0]))
    assert torch.allclose(found[:, 0], slope, atol=1e-4)


@settings(deadline=None, max_examples=20)
@given(w=st.floats(0, 8), offset=st.floats(0.3, 3))
def test_the_tilted_density_is_the_class_times_a_power_of_its_classifier(w, offset):
    found = TwoClasses(offset).tilted(GRID, w)
    told = torch.exp(-0.5 * (GRID - offset)**2) * torch.sigmoid(2 * offset * GRID)**w
    assert torch.allclose(found, told / trapezoid(told, GRID), atol=1e-10)


def test_without_guidance_the_class_comes_back():
    mean, std = guided_moments(SCHEDULES["VP"], 0.0, steps=100, points=401)
    assert mean == pytest.approx(1.0, abs=0.01) and std == pytest.approx(1.0, abs=0.005)
    assert moments(TwoClasses().tilted(GRID, 0.0), GRID)[0].item() == pytest.approx(1.0, abs=1e-9)


def test_the_map_and_samples_agree_on_what_guidance_does():
    """Euler samples of the flow, 4000 of them, at w = 2: within 4 standard errors and Euler's bias."""
    process, n = SCHEDULES["VP"], 4000
    z = sample({"x": Normal((n, 1))}, seed=0, stream="s")["x"]
    out = euler_sample(process, TwoClasses(dtype=torch.float32).score(process, 2.0), z,
                       process.times(300, power=2.0), torch.zeros(300, n, 1), noise=0.0)
    mean, std = guided_moments(process, 2.0, steps=100, points=401)
    assert out.mean().item() == pytest.approx(mean, abs=4 * std / n**0.5 + 0.01)
    assert out.std().item() == pytest.approx(std, abs=4 * std / (2 * n)**0.5 + 0.01)


def test_the_law_of_a_map_is_a_density():
    z = torch.linspace(-4, 4, 401, dtype=T64)
    x = 1 + 0.5 * z
    density, middle = law_of_map(z, x), 0.5 * (x[1:] + x[:-1])
    assert torch.allclose(density, torch.exp(-2 * (middle - 1)**2) / (0.5 * (2 * torch.pi)**0.5), atol=1e-4)


def test_heun_follows_the_gaussian_flow_map():
    flow, x = GaussianFlow(SCHEDULES["linear"], 0.5, 0.4), torch.linspace(-2, 2, 5, dtype=T64)[:, None]
    exact = flow.map(0.9, 0.1, x)
    off = [(flow_ends(flow.score, flow.process, x, torch.linspace(0.9, 0.1, n + 1)) - exact).abs().max()
           for n in (40, 80)]
    assert off[1] < 1e-3 and off[0] / off[1] == pytest.approx(4.0, rel=0.15)


def test_data_without_width_are_refused():
    with pytest.raises(ValueError, match="spread must be positive, got 0"):
        GaussianFlow(SCHEDULES["VP"], 0.0, 0)
