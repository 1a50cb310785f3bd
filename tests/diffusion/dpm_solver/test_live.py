"""The live figure: its exact flow, its clocks, rows of different lengths, what is drawn before a row has
arrived."""
import pytest
import torch

from nde_lab.diffusion.dpm_solver import dpm_solve, lambda_times, noise_of
from nde_lab.diffusion.dpm_solver.live import (
    END,
    GRIDS,
    FewEvaluations,
    below_density,
    clock,
    marched,
    quantile,
)
from nde_lab.diffusion.score_sde import VP, Mixture
from nde_lab.experiment import Run, last, run
from nde_lab.solvers import solve_ode

T64 = torch.float64
BUMPS = Mixture.of([-1.0, 0.2, 1.5], [0.2, 0.3, 0.15], [0.3, 0.4, 0.3])
P = ((torch.arange(9, dtype=T64) + 0.5) / 9)[:, None]


def test_quantiles_are_the_inverse_of_the_distribution_function_and_the_flow_keeps_them():
    x = quantile(BUMPS, VP(), 1.0, P)
    assert torch.allclose(below_density(BUMPS, VP(), 1.0, x), P, atol=1e-10)
    flow = VP().flow(BUMPS.score(VP()))
    y = solve_ode(flow, x, VP().times(1, END), method="dopri5", rtol=1e-9, atol=1e-9).ys[-1]
    assert torch.allclose(y, quantile(BUMPS, VP(), END, P), atol=1e-6)


@pytest.mark.parametrize("grid", GRIDS)
def test_clocks_start_at_the_horizon_and_fall_to_the_end(grid):
    times = clock(VP(), grid, torch.linspace(0, 1, 9, dtype=T64))
    assert times[0].item() == pytest.approx(1.0) and times[-1].item() == pytest.approx(END)
    assert (times.diff() < 0).all()


def test_rows_of_different_lengths_take_their_own_steps_and_then_wait():
    counts = torch.tensor([[1.0], [2.0], [4.0]])
    def step(x, u, v):
        return x + (v - u) * 8 + (u < v).float()
    made = marched(step, torch.zeros(3, 1), counts, torch.arange(4.0))
    assert made[:, 0].tolist() == [9.0, 10.0, 12.0]           # each goes the whole way, in 1, 2 and 4 steps


@pytest.mark.parametrize(("order", "N"), [(1, 12), (2, 24), (3, 36)])
def test_the_figures_errors_are_those_of_the_library(order, N):
    """float32 beside float64: 1 % and a floor of 2e-5."""
    frame = last(run(FewEvaluations, {"N": N, "order": order}))
    p = ((torch.arange(80, dtype=T64) + 0.5) / 80)[:, None]
    eps = noise_of(BUMPS.score(VP()), VP())
    made = dpm_solve(eps, VP(), quantile(BUMPS, VP(), 1.0, p), lambda_times(VP(), N // order), order=order)
    exact = (made - quantile(BUMPS, VP(), END, p)).square().mean().sqrt().item()
    assert frame.arrays["here_error"][0] == pytest.approx(exact, rel=0.01, abs=2e-5)
    at = frame.arrays[f"cost_order{order}"].tolist().index(N)
    assert frame.arrays[f"order{order}"][at] == pytest.approx(frame.arrays["here_error"][0], rel=1e-6)


def test_only_what_has_arrived_is_drawn():
    made = Run(FewEvaluations)
    for spent in (0, 6, 12):
        cost = made.frame().arrays["cost_euler"]
        assert cost.max() == max(spent, 1) and len(cost) == 60
        made.advance()
