"""The live figures: every setting stays finite, controls do what they say, pictures say what the text says."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.principles_of_diffusion import (
    SCHEDULES,
    GuidedClasses,
    PredictionKinds,
    SchedulePaths,
    StepsRace,
)
from nde_lab.diffusion.principles_of_diffusion.guidance import guided_moments
from nde_lab.experiment import knobs_of, last, run
from nde_lab.views import still

ALL = (SchedulePaths, PredictionKinds, GuidedClasses, StepsRace)


def values(name, knob):
    return st.sampled_from(knob.choices) if knob.choices else st.sampled_from([knob.low, knob.default,
                                                                               knob.high])


@pytest.mark.parametrize("cls", ALL, ids=lambda c: c.__name__)
@settings(deadline=None, max_examples=6)
@given(data=st.data())
def test_any_knobs_give_finite_frames_that_the_view_can_draw(cls, data):
    knobs = {n: data.draw(values(n, k)) for n, k in knobs_of(cls).items()}
    frame = last(run(cls, knobs, seed=data.draw(st.integers(0, 2**53 - 1)), steps=1))
    assert frame.status.kind == "finished"
    assert all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))
    view = cls(**{n: v for n, v in knobs.items() if n in cls.fixed}).view()
    assert view.observables() <= set(frame.arrays)


@pytest.mark.parametrize("cls", ALL, ids=lambda c: c.__name__)
def test_the_still_has_all_its_panels(cls):
    frame = last(run(cls, seed=0, steps=1))
    assert len(still(cls().view(), frame).axes) == len(cls().view().panels)


def arrays(cls, **knobs):
    return next(run(cls, knobs, seed=0)).arrays


def test_errors_fall_with_steps_and_schedules_differ():
    found = arrays(SchedulePaths)
    errors = {s: found[f"error_{s}"] for s in SCHEDULES}
    for s in ("VP", "linear", "cosine"):
        assert (np.diff(errors[s]) < 0).all()
        assert (errors["VE"] > 2 * errors[s])[3:].all()
    assert (errors["cosine"] < errors["linear"]).all()


def test_one_step_along_the_straight_path_is_best_for_small_data():
    found = arrays(SchedulePaths, scale=0.2)
    one = {s: found[f"error_{s}"][0] for s in SCHEDULES}
    assert min(one, key=one.get) == "linear" and one["linear"] < 0.5 * one["cosine"]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_exact_paths_of_all_schedules_end_at_the_same_data(schedule):
    """Up to what the noise at the horizon still knows of the data: most for VE, whose s / m ends at 10. There
    one path, at the border of two bumps, ends 0.27 away."""
    ends = arrays(SchedulePaths, schedule=schedule)["exact"][:, -1]
    told = arrays(SchedulePaths, schedule="linear")["exact"][:, -1]
    assert np.abs(ends - told).mean() < 0.05
    assert np.abs(told).max() > 1.5


def test_my_error_lies_on_my_curve():
    found = arrays(SchedulePaths, schedule="VP", n=8)
    assert found["mine"][0] == pytest.approx(found["error_VP"][3], rel=1e-4)


def test_the_guided_mean_of_the_figure_is_the_modules():
    found = arrays(GuidedClasses, w=3.0)
    mean, _ = guided_moments(SCHEDULES["VP"], 3.0, steps=100, points=401)
    assert found["mine"][0] == pytest.approx(mean, abs=0.03)
    assert found["flow_mean"][3] == pytest.approx(found["mine"][0], abs=1e-4)
    assert (np.diff(found["flow_mean"]) > 0).all() and (np.diff(found["tilted_mean"]) > 0).all()
    middle = found["flow_x"]
    assert np.trapezoid(found["flow"], middle) == pytest.approx(1.0, abs=0.01)


def test_predictions_fail_at_opposite_ends():
    """After training, the implied noise of the data prediction is worst near t = 0, and the implied data of the
    noise prediction near t = 1; the score prediction is behind in the balanced error."""
    frame = last(run(PredictionKinds, seed=0))
    found, errors = frame.arrays, {k: frame.history[f"error_{k}"][-1] for k in ("noise", "data", "velocity",
                                                                                "score")}
    assert found["noise_data"][0] > 10 * found["noise_noise"][0]
    assert found["data_noise"][-1] > 10 * found["data_data"][-1]
    assert max(errors, key=errors.get) == "score" and min(errors, key=errors.get) == "velocity"
    assert all(frame.history[f"error_{k}"][0] > errors[k] for k in errors)
