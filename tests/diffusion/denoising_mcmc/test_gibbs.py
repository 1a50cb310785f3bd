"""The chain: its score, its conditional, both ways of choosing a level, its invariant law, refusals."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.denoising_mcmc import (
    NoiseClock,
    calmest,
    dlg_chain,
    draw_level,
    langevin,
    level_given,
    level_logs,
    levels,
    likeliest_level,
    score_at,
)
from nde_lab.diffusion.score_sde import Mixture
from nde_lab.random import Normal, Uniform, sample

T64 = torch.float64
RING, GRID = Mixture.ring(8, 4.0, 0.2), levels(0.02, 10.0)
X = sample({"x": Normal((50, 2), scale=4.0)}, seed=0, stream="data", dtype=T64)["x"]


def test_the_score_is_the_gradient_of_the_blurred_density():
    """Central differences of log p_sigma at each row's own level."""
    grid, e, k = levels(0.1, 5.0, 50), 1e-5, torch.arange(50)
    made = score_at(RING)(grid[:, None], X)
    for axis in (0, 1):
        step = torch.zeros(2, dtype=T64)
        step[axis] = e
        up, down = (level_logs(RING, grid, X + s * step)[k, k] for s in (1, -1))
        assert torch.allclose(made[:, axis], (up - down) / (2 * e), rtol=1e-5, atol=1e-5)


def test_the_densities_are_those_of_the_process():
    logs = level_logs(RING, GRID, X)
    for j in (0, 20, 59):
        assert torch.allclose(logs[:, j], RING.marginal_log_density(NoiseClock(), GRID[j], X), atol=1e-12)


@settings(deadline=None)
@given(low=st.floats(1e-3, 1.0), ratio=st.floats(1.1, 1e4), n=st.integers(2, 100))
def test_levels_are_even_in_their_logarithm(low, ratio, n):
    grid = levels(low, low * ratio, n)
    assert grid[0].item() == pytest.approx(low) and grid[-1].item() == pytest.approx(low * ratio)
    steps = torch.log(grid).diff()
    assert torch.allclose(steps, steps.mean().expand(n - 1), rtol=1e-6, atol=1e-9)


def test_far_from_the_data_the_level_is_high_and_on_a_mode_it_is_low():
    p = level_given(RING, GRID, torch.cat([RING.means[:1], torch.tensor([[30.0, 0.0]], dtype=T64)]))
    assert torch.allclose(p.sum(1), torch.ones(2, dtype=T64))
    assert p[0] @ GRID < 0.2 and p[1] @ GRID > 5


def test_drawn_levels_have_the_given_frequencies():
    """20 000 draws of each; four standard errors."""
    n, p = 20_000, level_given(RING, GRID, X[:3])
    u = sample({"u": Uniform((n,))}, seed=0, stream="data", dtype=T64)["u"]
    for row in p:
        drawn = draw_level(row.expand(n, -1), GRID, u)[:, 0]
        for j in range(len(GRID)):
            share = (drawn == GRID[j]).double().mean().item()
            assert abs(share - row[j].item()) < 4 * math.sqrt(max(row[j].item(), 1 / n) / n)


def test_the_likeliest_level_is_the_first_largest():
    p = torch.tensor([[0.2, 0.5, 0.3], [0.4, 0.2, 0.4]], dtype=T64)
    assert likeliest_level(p, torch.tensor([1.0, 2.0, 3.0], dtype=T64))[:, 0].tolist() == [2.0, 1.0]


def test_chains_that_start_in_the_joint_law_stay_in_it():
    """One bump N(1, 0.5^2), levels 0.1 to 2, a small Langevin step: the law of x, blurred over all levels.

    2000 chains, 40 turns, five standard errors; Langevin without a Metropolis test has a bias of order eta,
    a few per cent of the variance here.
    """
    bump, grid, n, turns = Mixture.of([1.0], 0.5), levels(0.1, 2.0, 30), 2000, 40
    drawn = sample({"k": Uniform((n,)), "x": Normal((n, 1)), "z": Normal((turns, n, 1)), "u": Uniform((turns,
                                                                                                       n))},
                   seed=0, stream="start", dtype=T64)
    sigma = draw_level(torch.full((n, 30), 1 / 30, dtype=T64), grid, drawn["k"])
    x = 1 + torch.sqrt(0.25 + sigma**2) * drawn["x"]
    (x, sigma), best, visited = dlg_chain(bump, score_at(bump), grid, x, sigma, drawn["z"], drawn["u"],
                                          factor=0.1,
                                          floor=0.0)
    variance = 0.25 + grid.square().mean().item()
    assert abs(x.mean().item() - 1) < 5 * math.sqrt(variance / n)
    fourth = 3 * (0.25 + grid.square()).square().mean().item()
    assert abs(x.var().item() - variance) < 5 * math.sqrt((fourth - variance**2) / n) + 0.05 * variance
    logs = torch.log(sigma)
    spread = torch.log(grid).std(correction=0).item()
    assert abs(logs.mean().item() - torch.log(grid).mean().item()) < 5 * spread / math.sqrt(n)
    assert visited.shape == (turns, n) and torch.equal(best[1][:, 0], visited.amin(0))


def test_the_calmest_state_is_kept_with_its_level():
    x, sigma = calmest(torch.tensor([[1.0], [2.0]]), torch.tensor([[0.1], [5.0]]), torch.tensor([[3.0], [4.0]]),
                       torch.tensor([[1.0], [1.0]]))
    assert x[:, 0].tolist() == [1.0, 4.0] and sigma[:, 0].tolist() == pytest.approx([0.1, 1.0])


def test_langevin_without_noise_climbs_the_density():
    sigma = torch.full((50, 1), 0.5, dtype=T64)
    after = langevin(score_at(RING), X, sigma, 0 * X, factor=0.05, floor=0.0)
    logs = (RING.marginal_log_density(NoiseClock(), 0.5, x) for x in (X, after))
    before, later = logs
    assert (later > before).all()


@pytest.mark.parametrize(("make", "words"), [
    (lambda: NoiseClock(0.0), "positive finite largest noise level, got 0.0"),
    (lambda: levels(1.0, 0.5), "0 < low < high"), (lambda: levels(0.1, 1.0, 1), "at least two, got n = 1"),
    (lambda: dlg_chain(RING, None, GRID, X, X[:, :1], torch.zeros(3, 50, 2), torch.zeros(4, 50)),
     "chains of x")])
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
