"""Flows keep order on a line; residual layers and extra channels do not. Every knob to its ends."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import Run, last, run
from nde_lab.odes.neural_odes import GradientErrors, LineFlow, LorenzBackward, RingFlow
from nde_lab.odes.neural_odes.flows import flow, pad, rings
from nde_lab.views import still

ALL = (LineFlow, RingFlow, GradientErrors, LorenzBackward)


def all_finite(frame):
    return all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))


@pytest.mark.parametrize("cls", ALL)
@settings(deadline=None, max_examples=6)
@given(data=st.data(), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames(cls, data, seed):
    def one(k):
        ends = st.sampled_from(k.choices if k.choices else [k.low, k.high])
        between = st.integers if isinstance(k.default, int) else st.floats
        return ends if k.choices else ends | between(k.low, k.high)
    knobs = {n: data.draw(one(k)) for n, k in (cls.fixed | cls.live).items()}
    for frame in run(cls, knobs, seed=seed, steps=3):
        assert all_finite(frame) and frame.status.kind in ("running", "finished")
    assert cls(**{n: knobs[n] for n in cls.fixed}).view().observables() <= set(frame.arrays)


@pytest.mark.parametrize("cls", ALL)
def test_a_run_repeats_itself_and_can_be_drawn(cls):
    first, again = (last(run(cls, seed=1, steps=2)) for _ in range(2))
    assert all(np.array_equal(first.history[n], again.history[n]) for n in first.history)
    assert len(still(cls().view(), first).axes) == len(cls().view().panels)


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 999), scale=st.floats(0.1, 5))
def test_a_flow_on_the_line_keeps_the_order_of_points(seed, scale):
    made = Run(LineFlow, seed=seed)
    params = {n: scale * p for n, p in made.experiment.net.params(made.state).items()}
    x = torch.linspace(-2, 2, 40)[:, None]
    way = flow(lambda t, y: made.experiment.net.apply(params, t, y), x, 200)
    assert (way[:, 1:] > way[:, :-1] - 1e-6).all()


def test_the_line_without_help_stays_at_one_and_with_an_extra_channel_does_not():
    stuck, free = (last(run(LineFlow, {"extra": e}, seed=0, steps=40)).history["loss"] for e in (0, 1))
    assert stuck.min() > 0.999 and stuck[-1] < 1.01 and free[-1] < 0.05


def test_a_residual_layer_crosses():
    frame = last(run(LineFlow, {"turns": 1}, seed=0, steps=40))
    assert frame.history["loss"][-1] < 0.05
    assert frame.arrays["first"][-1] > 0 > frame.arrays["second"][-1]


def test_rings_start_nested_and_the_depth_shown_moves_them():
    turn = torch.linspace(0, 1, 50)[:, None]
    x = rings(turn, torch.full((50, 1), 0.5), torch.full((50, 1), 1.2))
    assert torch.allclose(x.norm(dim=1), torch.tensor([0.5] * 50 + [1.2] * 50))
    made = Run(RingFlow, {"depth": 0.0}, seed=0)
    made.step()
    start = made.frame().arrays
    assert np.allclose(np.hypot(start["x0"], start["y0"]), 0.5, atol=0.4)
    made.set(depth=1.0)
    end = made.frame().arrays
    assert np.allclose(end["now"], 1) and not np.allclose(start["x0"], end["x0"], atol=1e-3)
    assert pad(x, 2).shape == (100, 4) and torch.equal(pad(x, 0), x)


def test_training_on_rings_learns_and_gets_costly():
    h = last(run(RingFlow, seed=0, steps=90)).history
    assert h["accuracy"][-1] > 0.9 > h["accuracy"][0] and h["needed"][-1] > 3 * h["needed"][0]


@pytest.mark.parametrize("method", ["euler", "midpoint", "rk4"])
def test_the_curves_of_the_three_gradients(method):
    h = last(run(GradientErrors, {"method": method, "horizon": 2.0}, seed=0)).history
    assert h["n"].tolist() == [5, 7, 10, 14, 20, 28, 40, 56, 80]
    assert (h["reversible"] < 5e-6).all()
    if method != "rk4":
        order = np.log(h["wrong"][2] / h["wrong"][6]) / np.log(4)
        assert abs(order - (1 if method == "euler" else 2)) < 0.2


def test_the_way_back_on_lorenz_is_lost_with_the_horizon_and_kept_with_checkpoints():
    short, long = (last(run(LorenzBackward, {"horizon": t, "kept": 8.0})) for t in (0.5, 2.0))
    assert short.history["gap"][-1] < 1e-2 and long.history["gap"][-1] > 10
    assert long.history["gap_kept"].max() < 0.1
    t, gap = long.history["t"], long.history["gap"]
    window = (gap > 1e-3) & (gap < 10)
    rate = np.polyfit(t[window], np.log(gap[window]), 1)[0]
    assert -20 < rate < -9, "the error grows by about e^14 per unit of time, backwards"
