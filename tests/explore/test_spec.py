"""What an explorable is made of, and what it refuses, in sentences."""

from __future__ import annotations

import json

import numpy as np
import pytest

from nde_lab.experiment import last, run
from nde_lab.explore import explore
from nde_lab.explore.spec import Still, data_uri, explorer, png
from tests.toys import SineFit


@pytest.mark.parametrize(
    "bad, says",
    [
        ({"widht": 3}, "has no knob 'widht'; its knobs: width, act, lr"),
        ({"width": 1000}, "knob 'width' is 1000; it takes 2 to 64"),
        ({"lr": "big"}, "it takes a number"),
        ({"controls": ["speed"]}, "has no knob 'speed' to control"),
        ({"seed": -1}, "a seed is an integer"),
        ({"steps": 0}, "a whole number of steps >= 1, got 0"),
        ({"alt": "  "}, "alt is empty"),
    ],
)
def test_bad_input_gets_a_sentence(bad, says):
    with pytest.raises(ValueError, match=says):
        explore(SineFit, **bad)


def test_what_is_not_an_experiment_is_refused():
    with pytest.raises(ValueError, match="is not an experiment"):
        explore(dict)


def test_spec_names_every_knob_and_its_kind():
    spec = explorer(SineFit, controls=["lr"], width=16).to_dict()
    knobs = {k["name"]: k for k in spec["knobs"]}
    assert spec["controls"] == ["lr"] and set(knobs) == {"width", "act", "lr"}
    assert (knobs["width"]["kind"], knobs["width"]["default"], knobs["width"]["integer"]) == (
        "range",
        16,
        True,
    )
    assert (knobs["act"]["kind"], knobs["act"]["choices"]) == ("choice", ["tanh", "lipswish"])
    assert (knobs["lr"]["live"], knobs["width"]["live"]) == (True, False)
    assert (knobs["lr"]["restarts"], knobs["width"]["restarts"]) == (False, True)


def test_spec_is_json_and_survives_it():
    spec = explorer(SineFit, predict="why?", title="T").to_dict(engines=["page", "stored"], still="data:,")
    assert json.loads(json.dumps(spec)) == spec
    assert spec["plan"] == {"steps": 20, "every": 5} and spec["engines"] == ["page", "stored"]


def test_an_instance_keeps_its_own_fixed_knobs():
    made = explorer(SineFit(width=32), lr=0.5)
    assert made.values == {"width": 32, "act": "tanh", "lr": 0.5}


def test_runs_take_the_first_settings_unless_told_otherwise():
    made = explorer(SineFit, width=16, seed=4, steps=10)
    for knobs, seed in (({}, None), ({"lr": 0.1}, 9)):
        expected = last(run(SineFit, {"width": 16, **knobs}, seed=4 if seed is None else seed, steps=10))
        np.testing.assert_array_equal(last(made.run(knobs, seed=seed)).arrays["y"], expected.arrays["y"])


def test_a_still_says_its_settings_and_its_picture_is_a_png():
    made = explorer(SineFit, seed=2)
    frame = last(made.run())
    assert repr(Still(made, frame)).endswith("(width = 8, act = tanh, lr = 0.01, seed 2; finished: 20 steps)")
    assert data_uri(png(made.view(), frame)).startswith("data:image/png;base64,iVBOR")


def test_a_note_leaves_ink_below_the_picture():
    view, frame = SineFit().view(), last(run(SineFit, steps=2))
    assert png(view, frame, note="width = 8, seed 0") != png(view, frame)


def test_a_knob_may_be_called_steps_and_is_not_the_length_of_the_run():
    from nde_lab.odes.numerical_solvers import TwoCalculi

    made = explorer(TwoCalculi(steps=8), steps=3)
    assert (made.values["steps"], made.steps) == (8, 3)
    again = explorer(TwoCalculi, steps=3, values=made.values)
    assert (again.values["steps"], again.steps) == (8, 3) and again.values == made.values
