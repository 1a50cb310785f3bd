"""The sine classifier: what trains, what the knobs touch, and that the default demonstration learns."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab import data as series
from nde_lab.experiment import knobs_of, last, run
from nde_lab.sdes.stable_neural_sdes import KINDS, SineClassifier
from nde_lab.sdes.stable_neural_sdes import training as tr
from nde_lab.views import still


def steps(n, knobs=None, seed=0):
    made = run(SineClassifier, knobs, seed=seed)
    return made, [made.step() for _ in range(n)]


def test_the_default_demonstration_learns():
    frame = last(run(SineClassifier, seed=0))
    assert frame.status.kind == "finished" and frame.step == 90
    assert frame.arrays["accuracy"][0] > 0.8 and frame.arrays["accuracy"][5] > 0.7, "chance is 1/3"
    assert frame.history["train_loss"][-5:].mean() < 0.6 < math.log(3) - 0.2 < frame.history["train_loss"][0]
    assert SineClassifier().view().observables() <= set(frame.arrays)
    assert len(still(SineClassifier().view(), frame).axes) == 4


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("control", [True, False])
def test_every_class_steps_and_the_same_seed_gives_the_same_run(kind, control):
    knobs = {"kind": kind, "control": control}
    (first, a), (second, b) = steps(2, knobs), steps(2, knobs)
    assert all(torch.equal(x["train_loss"], y["train_loss"]) for x, y in zip(a, b, strict=True))
    assert all(torch.equal(first.state[n], second.state[n]) for n in first.state)
    _, other = steps(2, knobs, seed=1)
    assert a[1]["train_loss"] != other[1]["train_loss"]


@settings(deadline=None, max_examples=12)
@given(kind=st.sampled_from(KINDS), control=st.booleans(), data=st.data(), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames(kind, control, data, seed):
    live = {n: data.draw(st.sampled_from([k.low, k.high]) | st.floats(k.low, k.high))
            for n, k in SineClassifier.live.items()}
    epochs = data.draw(st.sampled_from([1, 40]))
    made = run(SineClassifier, live | {"kind": kind, "control": control, "epochs": epochs}, seed=seed, steps=4)
    for frame in made:
        assert all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))
    assert frame.status.kind == "finished"


def test_the_epochs_set_the_number_of_steps():
    assert [SineClassifier(epochs=e).plan.steps for e in (1, 15, 40)] == [6, 90, 240]
    assert set(knobs_of(SineClassifier)) == {"kind", "control", "epochs", "missing", "theta", "lr"}


def test_series_are_standardised_with_the_training_moments():
    made, _ = steps(1)
    mean, std = tr.moments(made.state["train"])
    assert abs(float(mean)) < 1e-5 and float(std) == pytest.approx(1, abs=1e-5)
    mean, std = tr.moments(made.state["test"])
    assert 1e-4 < abs(float(mean)) < 0.3 and float(std) == pytest.approx(1, abs=0.1)


def test_the_missing_rate_touches_the_test_only():
    (full, a), (holed, b) = steps(3, {"missing": 0.0}), steps(3, {"missing": 0.8})
    assert all(torch.equal(x["train_loss"], y["train_loss"]) for x, y in zip(a, b, strict=True))
    assert all(torch.equal(full.state[n], holed.state[n]) for n in full.state)
    assert a[0]["test_loss"] != b[0]["test_loss"]


def test_theta_shifts_the_learned_scale_from_the_first_step_on():
    made, _ = steps(1, {"theta": -4.0})
    start = run(SineClassifier, seed=0)
    assert float(start.state["sde.theta"]) == 0.0 and float(made.state["sde.theta"]) != 0.0
    params = tr.with_theta(made.experiment.net.params(made.state), torch.tensor(-4.0))
    assert float(params["sde.theta"]) == pytest.approx(-4 + float(made.state["sde.theta"]))


def test_the_accuracy_curve_is_what_masking_and_interpolating_the_test_series_gives():
    made, _ = steps(30, {"lr": 2e-2})
    arrays, state, data = made.frame().arrays, made.state, made._data
    params = tr.with_theta(made.experiment.net.params(state), torch.tensor(-2.0))
    for k, rate in ((0, 0.0), (5, 0.5)):
        kept = ~series.missing_mask(state["u"], rate)
        xs = series.with_time(data["clock"], series.linear(data["clock"], state["test"], kept)).transpose(0, 1)
        dt = data["ts"][1:] - data["ts"][:-1]
        dW = dt.sqrt()[:, None, None] * made._frozen_noise["xi"][:, 0]
        right = made.experiment.net.apply(params, data["ts"], xs, dW).argmax(-1) == data["test_labels"]
        assert arrays["accuracy"][k] == pytest.approx(float(right.float().mean()), abs=0.011)


def test_dots_show_the_entries_that_are_left_and_no_others():
    made = run(SineClassifier, {"missing": 0.7}, seed=2)
    arrays = next(made).arrays
    kept = made.state["u"][1, :, 0].numpy() >= 0.7
    values, times = made.state["test"][1, :, 0].numpy(), arrays["times"]
    assert {(round(float(t), 5), round(float(v), 5)) for t, v in zip(arrays["dot_t"], arrays["dot"], strict=True)} == {
        (round(float(t), 5), round(float(v), 5)) for t, v in zip(times[kept], values[kept], strict=True)}
    assert np.allclose(arrays["path"][kept], values[kept], atol=1e-5)
    assert not np.allclose(arrays["path"][~kept], values[~kept], atol=1e-2)
    assert arrays["belief"].shape == (12, 40) and ((arrays["belief"] >= 0) & (arrays["belief"] <= 1)).all()


def test_the_gradient_of_a_step_is_clipped_and_a_higher_rate_moves_further():
    start = run(SineClassifier, seed=0).state
    moved = [torch.cat([(steps(1, {"lr": lr})[0].state[n] - start[n]).flatten() for n in start
                        if n.startswith("sde.mix")]).norm() for lr in (1e-4, 1e-2)]
    assert moved[1] == pytest.approx(100 * float(moved[0]), rel=0.02)
