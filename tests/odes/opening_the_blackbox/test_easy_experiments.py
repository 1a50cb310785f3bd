"""The experiments of the chapter: frames for any knobs, twins without a penalty, and what the penalty does."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import last, run
from nde_lab.odes.locally_regularized import FourWays, LocalDigits
from nde_lab.odes.opening_the_blackbox import DigitsODE, HiddenError, MoonsTwins, StretchMap
from nde_lab.odes.opening_the_blackbox.moons import losses, moons
from nde_lab.views import still

SMALL = (StretchMap, HiddenError, MoonsTwins, FourWays)


@pytest.mark.parametrize("made", SMALL, ids=lambda m: m.__name__)
def test_the_same_seed_gives_the_same_run_and_the_view_draws_what_is_observed(made):
    first, second, other = (last(run(made, seed=s, steps=2)) for s in (0, 0, 1))
    assert first.status.kind == "finished"
    assert all(np.array_equal(v, second.arrays[n]) for n, v in first.arrays.items())
    assert any(not np.array_equal(v, other.arrays[n]) for n, v in first.arrays.items())
    view = made().view()
    assert view.observables() <= set(first.arrays)
    drawn = {n.removeprefix("history.") for p in view.panels for m in p.marks for n in m.observables()
             if n.startswith("history.")}
    assert drawn <= set(first.history) and len(still(view, first).axes) >= 4


@settings(deadline=None, max_examples=8)
@given(made=st.sampled_from(SMALL), data=st.data(), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames(made, data, seed):
    knobs = {}
    for name, k in made.live.items():
        value = data.draw(st.sampled_from([k.low, k.high, k.default]))
        knobs[name] = value
    for name, k in made.fixed.items():
        knobs[name] = data.draw(st.sampled_from(k.choices))
    for frame in run(made, knobs, seed=seed, steps=2):
        assert all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))
    assert frame.status.kind == "finished"


def test_the_twins_differ_by_the_penalty_only():
    made = run(StretchMap, {"lam": 1e-3}, seed=0)
    info = made.step()
    assert info["nfe"] == info["nfe_eased"] and info["rmse"] == info["rmse_eased"], "equal starts"
    tame, keen = (last(run(StretchMap, {"lam": lam}, seed=0, steps=24)) for lam in (1e-3, 3.0))
    assert np.array_equal(tame.history["nfe"], keen.history["nfe"]), "the first network does not feel λ"
    assert abs(tame.history["nfe_eased"][-1] / tame.history["nfe"][-1] - 1) < 0.1
    assert keen.history["nfe_eased"][-1] < 0.85 * keen.history["nfe"][-1]


def test_marks_sit_on_the_trajectories():
    arrays = last(run(StretchMap, seed=0, steps=2)).arrays
    for ending in ("", "_eased"):
        t, z = arrays[f"t{ending}"].reshape(-1, 9), arrays[f"z{ending}"].reshape(-1, 9)
        for j in range(9):
            path = np.interp(t[:, j], arrays["ts"], arrays[f"path{ending}"][j])
            assert np.abs(path - z[:, j]).max() < 0.05, "between two points of the path"
        assert t.min() == 0 and t.max() == 1


def test_a_loose_tolerance_hides_error_and_a_tight_one_does_not():
    loose, tight = ([run(HiddenError, {"rtol": rtol}, seed=0).step() for _ in range(1)][0] for rtol in (1.0,
                                                                                                        1e-4))
    assert abs(float(loose["rmse"] - loose["true"])) > 3 * abs(float(tight["rmse"] - tight["true"]))


def test_moons_are_two_half_circles_and_the_logistic_loss_is_right():
    x, label = moons(torch.tensor([0.0, 0.0]), torch.tensor([0.2, 0.8]), torch.zeros(2, 2))
    assert x.tolist() == [[0.5, -0.25], [-0.5, 0.25]] and label.tolist() == [0, 1]
    score = torch.tensor([[2.0, -30.0], [-1.0, 200.0]])
    loss, right = losses(score, label)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(score, label.expand(2, 2), reduction="none")
    assert torch.allclose(loss, expected.mean(1)) and right.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("made", [DigitsODE, LocalDigits])
def test_the_digits_step_for_every_penalty(made):
    nfe = {}
    for kind in made.fixed["kind"].choices:
        frame = last(run(made, {"kind": kind}, seed=0, steps=1))
        assert frame.status.kind == "finished" and made(kind=kind).view().observables() <= set(frame.arrays)
        nfe[kind] = float(frame.history["nfe"][-1])
    assert set(nfe.values()) == {nfe["none"]}, "one step cannot have changed the first solve"
    assert "page" not in made().plan.engines


def test_the_digits_without_a_penalty_are_the_same_runs_in_both_modules():
    a, b = (last(run(made, {"kind": "none"}, seed=1, steps=2)).arrays for made in (DigitsODE, LocalDigits))
    assert np.array_equal(a["error"], b["error"])
