"""The live demo: laws that are laws, the penalty's effect, every knob to its ends, refusals."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.diffusion.ode_sde_gap.gap import NAMES, SamplerGap
from nde_lab.experiment import last, run
from nde_lab.views import still


@pytest.fixture(scope="module")
def third():
    """A third of the default run (12 of 40 steps)."""
    return last(run(SamplerGap, seed=0, steps=12))


def all_finite(frame):
    return all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))


def test_the_first_frame_shows_equal_models():
    frame = next(run(SamplerGap, seed=3))
    a = frame.arrays
    assert frame.step == 0 and all_finite(frame)
    for kind in ("sde", "ode", "ode_x", "rms"):
        assert np.allclose(a[f"{kind}_plain"], a[f"{kind}_penalised"], rtol=1e-4, atol=1e-5)


def test_densities_have_mass_one_and_sit_in_the_picture(third):
    a = third.arrays
    h = a["x"][1] - a["x"][0]
    for name in ("truth", "sde_plain", "sde_penalised"):
        assert a[name].min() >= 0 and a[name].sum() * h == pytest.approx(1, abs=2e-3)
    for name in NAMES:
        place, dense = a[f"ode_x_{name}"], a[f"ode_{name}"]
        assert (np.diff(place) > 0).all()                        # a flow on the line keeps order
        assert np.trapezoid(dense, place) == pytest.approx(1, abs=0.02)


def test_the_penalty_merges_the_laws_at_a_price(third):
    h = third.history
    assert h["gap_penalised"][-1] < 0.25 * h["gap_plain"][-1]
    assert h["residual_penalised"][-1] < 0.05 * h["residual_plain"][-1]
    assert h["sde_data_penalised"][-1] > h["sde_data_plain"][-1]
    assert (third.arrays["rms_penalised"] < third.arrays["rms_plain"]).mean() > 0.8
    assert h["updates"].tolist() == [25.0 * k for k in range(1, 13)]


def test_a_run_repeats_itself_and_can_be_drawn(third):
    again = run(SamplerGap, seed=0, steps=2)
    for _ in range(2):
        again.step()
    first = {n: v[:2] for n, v in third.history.items()}
    assert all(np.array_equal(again.frame().history[n], first[n]) for n in first)
    view = SamplerGap().view()
    assert view.observables() <= set(third.arrays) and len(still(view, third).axes) == 4
    drawn = {m.y for p in view.panels for m in p.marks if m.y.startswith("history.")}
    assert drawn <= {f"history.{n}" for n in third.history}


@settings(deadline=None, max_examples=6)
@given(weight=st.sampled_from([1e-3, 10.0]) | st.floats(1e-3, 10.0), lr=st.sampled_from([3e-4, 1e-2]),
       width=st.sampled_from([16, 32]), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames_and_an_honest_status(weight, lr, width, seed):
    for frame in run(SamplerGap, {"weight": weight, "lr": lr, "width": width}, seed=seed, steps=2):
        assert all_finite(frame)
    assert frame.status.kind == "finished"


def test_moving_the_weight_moves_only_the_penalised_model():
    runs = [run(SamplerGap, {"weight": w}, seed=1, steps=2) for w in (0.001, 10.0)]
    for made in runs:
        made.step()
    low, high = (made.frame().history for made in runs)
    assert low["gap_plain"][0] == pytest.approx(high["gap_plain"][0], rel=1e-4)
    assert low["residual_penalised"][0] > 2 * high["residual_penalised"][0]


def test_lost_laws_end_the_run_with_advice():
    made = run(SamplerGap, steps=3)
    made.state = made.state | {"net.w3": made.state["net.w3"] * float("nan")}
    made.advance()
    assert made.status.kind == "diverged" and "w_R" in made.status.sentence
    assert torch.isnan(made.state["net.w3"]).all()               # the state stays what it was


def test_unknown_widths_and_weights_are_refused():
    with pytest.raises(ValueError, match="width"):
        SamplerGap(width=64)
    with pytest.raises(ValueError, match="weight"):
        run(SamplerGap, {"weight": 0.0})
