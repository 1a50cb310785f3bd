"""A wrong start: the knob means what it says, little signal gives the data, much of it does not."""
import numpy as np
import pytest
import torch

from nde_lab.diffusion.score_sde.horizon import WrongStart
from nde_lab.experiment import last, run


def wrong(**knobs):
    """Sum over the grid of |density - data|, after the way back (twice the total variation)."""
    arrays = last(run(WrongStart, knobs)).arrays
    return float(np.abs(arrays["made"] - arrays["right"]).sum() * 0.05)


@pytest.mark.parametrize("process", ["VE", "VP"])
@pytest.mark.parametrize("left", [0.02, 0.5, 2.0])
def test_the_knob_is_the_signal_over_the_noise_at_the_horizon(process, left):
    model = WrongStart(process=process).model(torch.tensor(left, dtype=torch.float64))
    assert (model.mean(1.0) / model.std(1.0)).item() == pytest.approx(left, rel=1e-9)
    assert process == "VP" or float(model.prior_std) == pytest.approx(1 / left, rel=2e-3)


@pytest.mark.parametrize("process", ["VE", "VP"])
@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_with_little_signal_left_the_data_come_back(process, noise):
    assert wrong(process=process, left=0.02, noise=noise) < 0.25


@pytest.mark.parametrize("process", ["VE", "VP"])
def test_with_much_signal_left_they_do_not(process):
    assert wrong(process=process, left=2.0) > 0.4


def test_noise_forgets_a_wrong_start_of_vp():
    assert wrong(process="VP", left=0.8, noise=1.0) < 0.7 * wrong(process="VP", left=0.8, noise=0.0)


@pytest.mark.parametrize("process", ["VE", "VP"])
@pytest.mark.parametrize("left", [0.02, 2.0])
def test_every_frame_is_finite(process, left):
    names = WrongStart(process=process).view().observables()
    for frame in run(WrongStart, {"process": process, "left": left, "noise": 1.0}):
        assert names <= set(frame.arrays) and all(np.isfinite(a).all() for a in frame.arrays.values())
    assert frame.status.kind == "finished"
