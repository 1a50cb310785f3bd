"""The likelihood while learning: right for the exact score, worse for a learned one, biased by the end time."""
import numpy as np
import pytest
import torch

from nde_lab.diffusion.score_sde.nats import LikelihoodRing
from nde_lab.experiment import Run, run


def live(log_end):
    return {"log_end": torch.tensor(log_end), "lr": torch.tensor(1e-2)}


@pytest.mark.parametrize("process", ["VP", "sub-VP"])
def test_the_exact_score_gives_the_density_at_the_end_time(process):
    """By the solver and by the closed form, for a small and a large end time; near the data, the truth."""
    e = LikelihoodRing(process=process)
    data, score = e.data(), e.mixture.score(e.model)
    for log_end in (-3.0, -1.0):
        found, told = e.nats(data, score, live(log_end)), e.exact(data, live(log_end))
        assert found.item() == pytest.approx(told.item(), abs=0.02)
    assert e.exact(data, live(-4.0)).item() == pytest.approx(-e.mixture.log_density(data["test"]).mean().item(),
                                                             abs=0.005)
    late = e.exact(data, live(-1.0)) - e.exact(data, live(-4.0))
    assert late > (0.3 if process == "VP" else 0.005), "a late end is another density; sub-VP begins gently"


def test_learning_brings_the_likelihood_down():
    frames = list(run(LikelihoodRing, steps=8))
    history = frames[-1].history
    assert list(history["trained"]) == [15.0 * k for k in range(1, 9)]
    assert history["nats"][-3:].mean() < history["nats"][0] - 0.3
    assert (history["nats"] > history["exact"] + 0.1).all(), "a young score is worse than the exact one"
    assert LikelihoodRing().view().observables() <= set(frames[-1].arrays)
    assert all(np.isfinite(a).all() for f in frames for a in f.arrays.values())


@pytest.mark.parametrize("log_end", [-4.0, -1.0])
@pytest.mark.parametrize("process", ["VP", "sub-VP"])
def test_both_ends_of_the_end_time_are_finite(process, log_end):
    made = Run(LikelihoodRing, {"process": process, "log_end": log_end, "lr": 3e-2}, steps=1)
    made.advance()
    assert made.status.kind == "finished" and np.isfinite(made.frame().history["nats"]).all()
