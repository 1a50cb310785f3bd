"""Samplers of any number of steps in one fixed shape: turns that do nothing change nothing."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.score_sde import Mixture, euler_sample, predictor_corrector
from nde_lab.diffusion.score_sde.steps import COUNTS, END, HERE, SamplerSteps
from nde_lab.experiment import Run, last, run
from nde_lab.random import Sampler


def ended(**knobs):
    """{N: (width, width of the flow)} of the whole run."""
    h = last(run(SamplerSteps, knobs)).history
    return {int(n): (w, f) for n, w, f in zip(h["count"], h["width"], h["flow_width"], strict=True)}


@pytest.mark.parametrize("process", HERE)
def test_each_run_is_the_sampler_of_n_steps(process):
    made, model = Run(SamplerSteps, {"process": process, "noise": 0.7, "snr": 0.2}), HERE[process]
    sampler, score = Sampler(made.experiment.draws().step, seed=0, stream="step"), Mixture.ring(
        dtype=torch.float32).score(model)
    for n in COUNTS[:2]:
        drawn = [sampler.at(made.t + i) for i in range(n)]
        z, c = (torch.stack([d[name] for d in drawn]) for name in "zc")
        for _ in range(n):
            made.advance()
        args = (model, score, made.state["start"], model.times(n, END[process]).float(), z)
        plain = predictor_corrector(*args, c, snr=0.2, noise=0.7, predictor="euler")
        assert torch.allclose(made.state["x"], plain, rtol=1e-3, atol=1e-3), n
        assert torch.allclose(made.state["flow"], euler_sample(*args, noise=0.0), rtol=1e-3, atol=1e-3), n
        assert made.state["count"] == n


def test_the_default_run_shows_check_3_of_the_notes():
    seen = ended()
    assert list(seen) == list(COUNTS)
    assert seen[20][0] < 0.14 and seen[20][1] == pytest.approx(0.2, rel=0.05)
    assert seen[100][0] == pytest.approx(0.2, rel=0.08) and seen[100][1] == pytest.approx(0.2, rel=0.05)
    assert SamplerSteps().view().observables() <= set(next(run(SamplerSteps)).arrays)


def test_a_corrector_too_strong_blurs():
    """Langevin steps of size 2 r^2 v settle at the variance v / (1 - r^2); one a time goes part of the way."""
    assert 0.225 < ended(snr=0.8, noise=0.0)[100][0] < 0.2 / 0.6


def test_a_silent_sampler_is_the_flow():
    assert all(w == pytest.approx(f, rel=1e-4) for w, f in ended(noise=0.0, snr=0.0).values())


@settings(deadline=None, max_examples=8)
@given(noise=st.floats(0, 1), snr=st.floats(0, 0.8), process=st.sampled_from(list(HERE)),
       seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames(noise, snr, process, seed):
    for frame in run(SamplerSteps, {"noise": noise, "snr": snr, "process": process}, seed=seed, steps=12):
        assert all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))
