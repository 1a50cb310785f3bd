from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.toys import NoisyGrowth, SineFit

from nde_lab.experiment import Knob, Plan, configure, experiment, knob, knobs_of, last, registered, run


def test_first_frame_is_step_0_and_the_last_says_finished():
    frames = list(run(SineFit))
    assert [f.step for f in frames] == [0, 5, 10, 15, 20]
    assert frames[0].history == {} and frames[-1].status.kind == "finished" and "20 steps" in frames[-1].status.sentence
    assert list(frames[-1].history["step"]) == [5, 10, 15, 20]


def test_a_number_of_steps_that_is_no_multiple_still_ends_with_a_frame():
    frames = list(run(SineFit, steps=7))
    assert [f.step for f in frames] == [0, 5, 7] and frames[-1].status.kind == "finished"


def test_same_seed_same_run_and_another_seed_another():
    a, b, c = (last(run(SineFit, seed=s)).arrays["y"] for s in (3, 3, 4))
    assert np.array_equal(a, b) and not np.array_equal(a, c)


def test_training_lowers_the_loss():
    history = last(run(SineFit, steps=300)).history["loss"]
    assert history[-5:].mean() < 0.1 * history[0]


def test_divergence_names_step_time_row_and_advice_and_keeps_the_last_finite_frame():
    frames = list(run(NoisyGrowth, {"growth": 1.6, "noise": 0.0}))
    final = frames[-1]
    assert final.status.kind == "diverged" and final.status.row == 3      # the largest start goes first
    assert abs(final.status.time - 0.1 * final.status.step) < 1e-5
    assert all(word in final.status.sentence for word in ("row 3", f"step {final.status.step}", "lower growth"))
    assert all(np.isfinite(a).all() for f in frames for a in f.arrays.values())
    assert all(np.isfinite(h).all() for h in final.history.values())


def test_live_knobs_move_during_a_run_and_fixed_ones_do_not():
    moving = run(NoisyGrowth, {"growth": 0.0, "noise": 0.0})
    next(moving), next(moving)
    moving.set(noise=1.0)
    assert np.abs(next(moving).arrays["y"]).max() > 0.05
    with pytest.raises(ValueError, match="not a live knob"):
        moving.set(rows=3)


def test_stop_ends_with_a_sentence_and_pure_functions_leave_the_state_alone():
    going = run(SineFit)
    next(going)
    before = {n: v.clone() for n, v in going.state.items()}
    held = going.state
    going.step()
    assert all(torch.equal(before[n], held[n]) for n in before)      # step made a new state
    going.stop()
    assert going.frame().status.kind == "stopped" and list(going) == []


def test_progress_is_written_to_standard_error(capsys):
    assert last(run(SineFit, progress=True)).status.kind == "finished"
    assert "finished: 20 steps" in capsys.readouterr().err


@settings(max_examples=25)
@given(st.data())
def test_no_knob_setting_raises_or_draws_nan(data):
    chosen = {}
    for name, k in knobs_of(NoisyGrowth).items():
        number = st.integers(int(k.low), int(k.high)) if isinstance(k.default, int) else st.floats(k.low, k.high)
        chosen[name] = data.draw(number)
    for frame in run(NoisyGrowth, chosen, steps=12):
        assert all(np.isfinite(a).all() for a in frame.arrays.values())


@given(st.sampled_from(["linear", "log"]), st.floats(0, 1))
def test_slider_ends_computed_in_floating_point_are_inside(scale, where):
    k = Knob(0.3, low=0.1, high=10.0, scale=scale)
    value = 0.1 * (10.0 / 0.1) ** where if scale == "log" else 0.1 + where * (10.0 - 0.1)
    assert 0.1 <= k.check("lr", value * (1 + 1e-12)) <= 10.0


@pytest.mark.parametrize("knobs, word", [
    ({"width": 1}, "it takes 2 to 64"), ({"width": 2.5}, "whole number"), ({"widht": 4}, "no knob 'widht'; its knobs: width"),
    ({"lr": "fast"}, "of type str"), ({"lr": float("nan")}, "it takes 1e-05 to 1"), ({"act": "cos"}, "one of 'tanh'"),
    ({"width": True}, "of type bool"),
])
def test_bad_knobs_are_refused_with_a_sentence(knobs, word):
    with pytest.raises(ValueError, match=word):
        run(SineFit, knobs)


@pytest.mark.parametrize("bad, word", [
    (lambda: run(SineFit, steps=0), "steps >= 1"), (lambda: run(SineFit, seed=-1), "a seed is"),
    (lambda: Plan(steps=0), "1 <= every <= steps"), (lambda: Plan(steps=3, engines=("cloud",)), "unknown engines"),
    (lambda: Knob(1.0), "low < high"), (lambda: Knob(0.0, low=0.0, high=1.0, scale="log"), "low > 0"),
    (lambda: Knob(3.0, low=0.0, high=1.0), "a knob's default"), (lambda: configure(int), "not an experiment"),
    (lambda: Plan(steps=1, dtype="float16"), "dtype"),
])
def test_refusals(bad, word):
    with pytest.raises(ValueError, match=word):
        bad()


def test_an_instance_keeps_its_fixed_knobs():
    made, live = configure(SineFit(width=16), {"lr": 0.1})
    assert made.width == 16 and live == {"lr": 0.1}


def test_a_registered_experiment_is_found_by_its_name():
    @experiment(paper="on-neural-differential-equations")
    @dataclass(frozen=True)
    class FoundByName(NoisyGrowth):
        pass

    assert registered()["FoundByName"] is FoundByName


def test_the_contract_is_checked_at_registration():
    with pytest.raises(TypeError, match="lacks .*step"):
        @experiment(paper="toy")
        @dataclass(frozen=True)
        class Half:
            width: int = knob(2, low=1, high=3)
    with pytest.raises(TypeError, match="not knobs"):
        @experiment(paper="toy")
        @dataclass(frozen=True)
        class Bare(SineFit):
            depth: int = 3
