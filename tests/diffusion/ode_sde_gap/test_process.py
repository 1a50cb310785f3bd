"""The OU process and its mixtures: kernels, laws, quantiles, refusals."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.ode_sde_gap.process import OU, Mixture, levels, prior_quantiles
from nde_lab.diffusion.ode_sde_gap.residual import residual

T64 = torch.float64


def test_the_kernel_solves_the_moment_equations():
    """m' = -m and (sigma^2)' = 1 - 2 sigma^2, by central differences."""
    ou, t, h = OU(), torch.linspace(0.1, 2.9, 15, dtype=T64), 1e-5
    assert torch.allclose((ou.mean(t + h) - ou.mean(t - h)) / (2 * h), -ou.mean(t), atol=1e-8)
    square = lambda t: ou.std(t) ** 2                                                   # noqa: E731
    assert torch.allclose((square(t + h) - square(t - h)) / (2 * h), 1 - 2 * square(t), atol=1e-8)
    assert float(ou.std(torch.tensor(20.0, dtype=T64)) ** 2) == pytest.approx(0.5)


def test_the_grid_runs_from_the_horizon_to_the_end_and_is_dense_there():
    grid = OU(horizon=2.0, end=0.1).grid(40, T64)
    assert len(grid) == 41 and float(grid[0]) == 2.0 and float(grid[-1]) == pytest.approx(0.1)
    gaps = grid[:-1] - grid[1:]
    assert (gaps > 0).all() and (gaps[1:] < gaps[:-1]).all()


@settings(deadline=None, max_examples=20)
@given(x=st.floats(-3, 3), t=st.floats(1e-6, 3.0), std=st.floats(0.1, 1.0))
def test_the_mixture_solves_the_fokker_planck_equation(x, t, std):
    mixture = Mixture((-1.2, 0.0, 0.7), std)
    x, t = torch.tensor([[x]], dtype=T64), torch.tensor([t], dtype=T64)
    rest = residual(lambda x, t: mixture.log_density(x[:, 0], t), x, t, within=OU()).detach()
    scale = 1 + float(x.abs()) ** 2 / std**4                     # the size of the terms that cancel
    assert abs(float(rest)) < 1e-6 * scale


def test_quantiles_invert_the_distribution_function():
    mixture, t = Mixture(), 0.3
    u = levels(50)
    q = mixture.quantiles(u, t)
    grid = torch.linspace(-6, 6, 200_001, dtype=T64)
    mass = torch.cumulative_trapezoid(mixture.log_density(grid, torch.tensor(t, dtype=T64)).exp(), grid)
    at = torch.searchsorted(grid, q)
    assert torch.allclose(mass[at - 1], u, atol=1e-4)
    assert torch.allclose(q, -q.flip(0), atol=1e-9)              # the law is symmetric


def test_samples_follow_the_mixture():
    mixture = Mixture((0.0, 2.0), 0.1)
    got = mixture.sample(torch.tensor([0, 1]), torch.tensor([1.0, -2.0]))
    assert torch.allclose(got, torch.tensor([0.1, 1.8]))


def test_prior_quantiles_have_the_stationary_variance():
    q = prior_quantiles(4000)
    assert float(q.square().mean()) == pytest.approx(0.5, rel=2e-3)
    assert float(q.mean()) == pytest.approx(0, abs=1e-12)
    assert torch.allclose(torch.special.ndtr(q * math.sqrt(2)), levels(4000))


@pytest.mark.parametrize("make, words", [
    (lambda: OU(end=0.0), "noise level is 0"),
    (lambda: OU(horizon=1.0, end=1.0), "0 < end < horizon"),
    (lambda: OU().check(3.5), "times run from 0 to the horizon 3, got 3.5"),
    (lambda: OU().check(torch.tensor([0.1, -0.2])), "got -0.2 to 0.1"),
    (lambda: OU().std(3.5), "lies outside its schedule"),
    (lambda: OU().mean(-0.1), "lies outside its schedule"),
    (lambda: OU().grid(0), "steps must be a whole number >= 1, got 0"),
    (lambda: Mixture(std=0.0), "std > 0"),
    (lambda: Mixture(()), "at least one centre"),
    (lambda: Mixture().quantiles(torch.tensor([0.0, 0.5]), 1.0), "between 0 and 1"),
])
def test_refusals_say_what_is_allowed(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_times_within_the_schedule_pass():
    assert OU().check(0.0) is None and OU().check(torch.tensor([0.0, 3.0])) is None
