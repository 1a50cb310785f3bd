"""Restoration: its exact prediction, its rows against the solver, and that the knobs do what they say."""
import pytest
import torch

from nde_lab.diffusion.dpm_solver import lambda_times
from nde_lab.diffusion.mr_sampler import Deviation, MeanReverting, mr_solve
from nde_lab.diffusion.mr_sampler.claims import exact_noise
from nde_lab.diffusion.mr_sampler.restore import (
    END,
    SAMPLERS,
    SCATTER,
    Restoration,
    blurred,
    posterior_noise,
    spiral,
)
from nde_lab.diffusion.score_sde import Mixture
from nde_lab.experiment import Run, last, run

T64 = torch.float64


def test_with_equal_weights_the_prediction_is_that_of_the_mixture():
    places, mu = spiral(torch.linspace(0.1, 0.9, 6, dtype=T64)), torch.tensor([0.3, -0.2], dtype=T64)
    x = torch.randn(20, 2, generator=torch.Generator().manual_seed(0), dtype=T64)
    process = MeanReverting(mu.expand(20, 2))
    here = posterior_noise(places, torch.zeros(20, 6, dtype=T64), process)
    theirs = exact_noise(Mixture.of(places, SCATTER), MeanReverting(mu))
    for t in (0.05, 0.5, 1.5):
        t = torch.tensor(t, dtype=T64)
        assert torch.allclose(here(t, x), theirs(t, x), atol=1e-9)


def test_the_blur_pulls_inwards_and_keeps_constants():
    places = spiral((torch.arange(48, dtype=T64) + 0.5) / 48)
    assert (blurred(places).norm(dim=1)[:36] < places.norm(dim=1)[:36]).all()
    assert torch.allclose(blurred(torch.ones(48, 2, dtype=T64)), torch.ones(48, 2, dtype=T64))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_row_is_the_solvers_result(name):
    """Row N = 12 after the whole run, float32."""
    made = Run(Restoration, seed=1)
    start, state = made.state["euler"].reshape(58, 24, 2)[9], None
    while made.status.kind == "running":
        made.advance()
    state, e = made.state, made.experiment
    process, eps = e._process(e.data(), state["mu"], 1)
    form, order = SAMPLERS[name]
    times = lambda_times(Deviation(0.5), 12, END)
    there = mr_solve(eps, process, start, times, form=form, order=order)
    assert torch.allclose(state[name].reshape(58, 24, 2)[9], there, atol=2e-3)


def test_second_order_is_nearer_to_the_exact_flow_and_data_prediction_nearest():
    frame = last(run(Restoration, seed=0))
    at = frame.arrays["counts"].tolist().index(30)
    error = {name: frame.arrays[name][at] for name in (*SAMPLERS, "euler")}
    assert error["data2"] < error["noise2"] < 0.5 * error["noise1"]
    assert error["noise1"] == pytest.approx(error["data1"], rel=0.02)


def test_few_noisy_steps_break_noise_prediction_only():
    frame = last(run(Restoration, {"sampler": "SDE"}, seed=0))
    at = frame.arrays["counts"].tolist().index(5)
    assert frame.arrays["noise2"][at] > 1.0 > frame.arrays["data2"][at]
    assert frame.arrays["noise2"][-1] < 0.15
