"""The integrator: its grid, its order on a flow that is known, its last step, how it counts, refusals."""
import itertools

import pytest
import torch

from nde_lab.diffusion.denoising_mcmc import denoise, heun_step, karras_levels, score_at, tweedie
from nde_lab.diffusion.score_sde import Mixture

T64 = torch.float64
BUMP = Mixture.of([0.7], 0.4)
SCORE = score_at(BUMP)
X = torch.linspace(-2, 2, 9, dtype=T64)[:, None]


def test_the_grid_runs_from_each_rows_level_to_the_end_evenly_in_the_seventh_root():
    start = torch.tensor([[10.0], [0.5]], dtype=T64)
    grid = karras_levels(start, 0.02, 6)
    assert torch.allclose(grid[0], start) and torch.allclose(grid[-1], torch.full_like(start, 0.02))
    gaps = grid.pow(1 / 7).diff(dim=0)
    assert torch.allclose(gaps, gaps[:1].expand(5, -1, -1), atol=1e-12) and (grid.diff(dim=0) < 0).all()


def test_heun_is_of_second_order_on_a_bump_whose_flow_is_known():
    """The flow maps quantiles to quantiles: x - 0.7 is multiplied by the ratio of the standard deviations."""
    start = torch.full((9, 1), 5.0, dtype=T64)
    exact = 0.7 + (X - 0.7) * ((0.16 + 0.0004) / (0.16 + 25)) ** 0.5
    off = []
    for n in (21, 41, 81):
        grid, x = karras_levels(start, 0.02, n), X
        for a, b in itertools.pairwise(grid):
            x = heun_step(SCORE, x, a, b)
        off.append((x - exact).abs().max().item())
    assert off[0] / off[1] == pytest.approx(4, abs=0.6) and off[1] / off[2] == pytest.approx(4, abs=0.4)


def test_tweedie_is_the_posterior_mean_and_the_euler_step_to_zero():
    sigma = torch.full((9, 1), 0.3, dtype=T64)
    mean = 0.7 + 0.16 / (0.16 + 0.09) * (X - 0.7)
    assert torch.allclose(tweedie(SCORE, X, sigma), mean, atol=1e-12)
    slope = -sigma * SCORE(sigma, X)
    assert torch.allclose(tweedie(SCORE, X, sigma), X + (0 - sigma) * slope)


@pytest.mark.parametrize("n", [1, 3, 5, 9])
def test_evaluations_are_counted(n):
    calls = []

    def score(sigma, x):
        calls.append(sigma)
        return SCORE(sigma, x)
    denoise(score, X, torch.full((9, 1), 2.0, dtype=T64), n)
    assert len(calls) == n


def test_rows_below_the_end_stay_where_they_are_until_the_last_step():
    sigma = torch.full((9, 1), 0.001, dtype=T64)
    assert torch.allclose(denoise(SCORE, X, sigma, 5), tweedie(SCORE, X, torch.full_like(sigma, 0.02)),
                          atol=1e-12)


@pytest.mark.parametrize("n", [0, 2, True, 3.0])
def test_refusals(n):
    with pytest.raises(ValueError, match="evaluations must be odd"):
        denoise(SCORE, X, torch.ones(9, 1), n)
    with pytest.raises(ValueError, match="at least two levels"):
        karras_levels(torch.ones(9, 1), 0.02, 1)
