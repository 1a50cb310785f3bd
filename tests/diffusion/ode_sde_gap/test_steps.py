"""Steps or score: the stepped laws against a walk step by step, their limits, the figure at every end."""
import numpy as np
import pytest
import torch

from nde_lab.diffusion.ode_sde_gap.gaussian import ode_variance, sde_variance, variance
from nde_lab.diffusion.ode_sde_gap.process import OU
from nde_lab.diffusion.ode_sde_gap.steps import COUNTS, FLOOR, StepsOrScore, gap, stepped_variances
from nde_lab.experiment import last, run
from nde_lab.views import still

T64, PROCESS = torch.float64, OU(end=1e-3)
V0 = torch.tensor(0.2, dtype=T64)


def laws(counts, kappa, most=512):
    return stepped_variances(torch.tensor(counts, dtype=T64), torch.arange(most, dtype=T64), ou=PROCESS,
                             kappa=torch.tensor(kappa, dtype=T64), v0=V0)


@pytest.mark.parametrize("n", [4, 7, 32])
def test_all_counts_at_once_are_the_walks_one_by_one(n):
    grid, ode, sde = PROCESS.grid(n, T64), 0.5, 0.5
    for k in range(n):
        h, pull = float(grid[k] - grid[k + 1]), 1.2 / float(variance(grid[k], V0))
        ode *= (1 + h * (1 - pull / 2)) ** 2
        sde = sde * (1 + h * (1 - pull)) ** 2 + (h if k < n - 1 else 0.0)
    got_ode, got_sde = laws([n, 64.0], 1.2)
    assert float(got_ode[0]) == pytest.approx(ode) and float(got_sde[0]) == pytest.approx(sde)


@pytest.mark.parametrize("kappa", [0.7, 1.0, 1.3])
def test_many_steps_reach_the_exact_laws_at_first_order(kappa):
    end, k = torch.tensor(PROCESS.end, dtype=T64), torch.tensor(kappa, dtype=T64)
    exact = [float(f(end, T=PROCESS.horizon, kappa=k, v0=V0)) for f in (ode_variance, sde_variance)]
    for got, limit in zip(laws([256.0, 512.0, 1024.0, 2048.0], kappa, 2048), exact, strict=True):
        errors = (got - limit).abs()
        assert errors[-1] < 2e-3 * limit
        assert torch.allclose(errors[:-1] / errors[1:], torch.full((3,), 2.0, dtype=T64), atol=0.25)


def test_the_gap_of_a_wrong_score_stays_and_that_of_the_true_one_goes():
    frames = {k: last(run(StepsOrScore, {"kappa": k})).arrays for k in (0.6, 1.0, 1.4)}
    for kappa in (0.6, 1.4):
        tail = frames[kappa]["gap"][-4:]
        assert np.allclose(tail, frames[kappa]["limit"][0], rtol=0.1) and tail.min() > 1e-2
    assert frames[1.0]["gap"][-1] == pytest.approx(FLOOR)
    assert np.allclose(frames[1.0]["gap"], frames[0.6]["right"])
    assert float(gap(V0, V0)) == FLOOR


@pytest.mark.parametrize("knobs", [{"N": 4.0}, {"N": 512.0}, {"kappa": 0.6}, {"kappa": 1.4}])
def test_every_end_can_be_drawn_and_shows_another_picture(knobs):
    frame, usual = last(run(StepsOrScore, knobs)), last(run(StepsOrScore))
    assert all(np.isfinite(a).all() for a in frame.arrays.values())
    assert np.abs(frame.arrays["ode"] - usual.arrays["ode"]).max() > 0.02
    view = StepsOrScore().view()
    assert view.observables() <= set(frame.arrays) and len(still(view, frame).axes) == 2
    assert len(frame.arrays["counts"]) == len(COUNTS)


def test_numbers_of_steps_out_of_range_are_refused():
    with pytest.raises(ValueError, match="it takes 4 to 512"):
        run(StepsOrScore, {"N": 2.0})
