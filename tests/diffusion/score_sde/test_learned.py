"""The live experiments: they learn, the knobs do what they say, and every setting stays finite."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.score_sde.learned import HERE, ScoreLine, ScoreRing, noise_prediction
from nde_lab.experiment import last, run
from nde_lab.views import still


def off(frame, name):
    return float(np.abs(frame.arrays[name] - frame.arrays["truth"]).sum()) * 0.05


def test_the_default_line_learns():
    made = run(ScoreLine, seed=0)
    first = next(made)
    frame = last(made)
    assert frame.status.kind == "finished"
    assert frame.history["error"][-1] < 0.03 and frame.history["error"][0] > 0.05
    for name in ("sde", "ode"):
        assert off(frame, name) < 0.6 < off(first, name)
    assert frame.history["floor"].mean() < frame.history["loss"].mean()
    assert ScoreLine().view().observables() <= set(frame.arrays)
    assert len(still(ScoreLine().view(), frame).axes) >= 2


@pytest.mark.parametrize("cls", [ScoreLine, ScoreRing])
@pytest.mark.parametrize("process", HERE)
def test_every_process_steps_and_its_view_finds_its_arrays(cls, process):
    made = run(cls, {"process": process, "steps": 20}, steps=2)
    frame = last(made)
    assert all(np.isfinite(a).all() for a in frame.arrays.values())
    assert cls(process=process).view().observables() <= set(frame.arrays)


def test_without_sampler_noise_both_samplers_are_one():
    frame = last(run(ScoreLine, {"noise": 0.0, "steps": 20}, steps=2))
    assert np.allclose(frame.arrays["sde"], frame.arrays["ode"], atol=1e-5)
    frame = last(run(ScoreLine, {"noise": 1.0, "steps": 20}, steps=2))
    assert not np.allclose(frame.arrays["sde"], frame.arrays["ode"], atol=1e-2)


@settings(deadline=None, max_examples=8)
@given(lr=st.sampled_from([1e-4, 3e-2]), noise=st.floats(0, 1), process=st.sampled_from(list(HERE)),
       seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames(lr, noise, process, seed):
    knobs = {"lr": lr, "noise": noise, "process": process, "steps": 20}
    for frame in run(ScoreLine, knobs, seed=seed, steps=3):
        assert all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))


@pytest.mark.parametrize("process", HERE.values(), ids=HERE)
def test_a_silent_network_is_right_for_standard_normal_data(process):
    """Then epsilon = s x / (m^2 + s^2) is the exact noise prediction of N(0, 1)."""
    t, x = torch.tensor(0.4), torch.linspace(-2, 2, 5)[:, None]
    found = noise_prediction(lambda i: torch.zeros_like(i[:, :1]), process, t, x)
    m, s = process.mean(t), process.std(t)
    assert torch.allclose(found, s * x / (m * m + s * s))
