"""The three experiments without training: closed forms on screen, every knob to its ends, divergence with a reason."""
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import knobs_of, last, run
from nde_lab.sdes.stable_neural_sdes import CoupledPaths, EulerCubic, RotationNoise, forms
from nde_lab.views import still

ALL = (RotationNoise, CoupledPaths, EulerCubic)


def settings_of(cls):
    """A strategy for knob values over their whole ranges, ends included."""
    def one(k):
        if k.choices:
            return st.sampled_from(k.choices)
        ends = st.sampled_from([k.low, k.high])
        return ends | (st.integers(k.low, k.high) if isinstance(k.default, int) else st.floats(k.low, k.high))
    return st.fixed_dictionaries({n: one(k) for n, k in knobs_of(cls).items()})


def all_finite(frame):
    return all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))


@pytest.mark.parametrize("cls", ALL)
@settings(deadline=None, max_examples=15)
@given(data=st.data(), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames_and_an_honest_status(cls, data, seed):
    for frame in run(cls, data.draw(settings_of(cls)), seed=seed):
        assert all_finite(frame)
    assert frame.status.kind in ("finished", "diverged")
    if frame.status.kind == "diverged":
        assert cls is EulerCubic and frame.step < cls.plan.steps and "√(2/h)" in frame.status.sentence


@pytest.mark.parametrize("cls", ALL)
def test_the_default_run_finishes_repeats_itself_and_can_be_drawn(cls):
    first, again, other = (last(run(cls, seed=s)) for s in (1, 1, 2))
    assert first.status.kind == "finished"
    assert all(np.array_equal(first.history[n], again.history[n]) for n in first.history)
    if cls is not EulerCubic:                                     # which has no randomness
        assert any(not np.array_equal(first.history[n], other.history[n]) for n in first.history)
    assert cls().view().observables() <= set(first.arrays)
    assert len(still(cls().view(), first).axes) == 2


@pytest.mark.parametrize("calculus", ["ito", "stratonovich"])
@pytest.mark.parametrize("sigma", [0.0, 1.0, math.sqrt(2), 2.0])
def test_the_cloud_follows_its_exact_law(calculus, sigma):
    h = last(run(RotationNoise, {"calculus": calculus, "sigma": sigma}, seed=3)).history
    assert np.abs(np.log(h["mean_square"] / h["exact"])).max() < 0.08
    growth = forms.rotation_mean_square(sigma=sigma, a=1.0, t=h["t"][-1] - h["t"][0], calculus=calculus)
    assert h["exact"][-1] / h["exact"][0] == pytest.approx(growth, rel=1e-4)


def test_moving_the_noise_in_the_middle_of_a_run_bends_the_exact_line_too():
    made = run(RotationNoise, {"sigma": 0.0}, seed=0)
    for frame in made:
        if frame.step == 50:
            made.set(sigma=2.0)
    h = frame.history
    slope = np.diff(np.log(h["exact"])) / np.diff(h["t"])
    assert np.allclose(slope[:40], -2, atol=0.02) and np.allclose(slope[60:], 2, atol=0.02)
    assert np.abs(np.log(h["mean_square"] / h["exact"])).max() < 0.08


@settings(deadline=None, max_examples=10)
@given(margin=st.floats(0, 4), sigma=st.floats(0, 2.5), depth=st.floats(0.5, 4), seed=st.integers(0, 99))
def test_additive_noise_never_breaks_the_contraction_bound(margin, sigma, depth, seed):
    h = last(run(CoupledPaths, {"kind": "LSDE", "margin": margin, "sigma": sigma, "depth": depth}, seed=seed)).history
    # (1 - (m - L) dt) <= e^{-(m-L) dt}; where m < L Euler grows no faster either.
    assert (h["rms"] <= h["bound_rms"] * (1 + 1e-4)).all() and (h["typical"] <= h["rms"] * (1 + 1e-5)).all()
    assert h["bound_rms"][-1] == pytest.approx(0.5 * math.exp(-(margin - 1) * depth), rel=1e-3)


def test_linear_noise_helps_the_typical_pair_and_not_the_mean():
    calm, noisy = (last(run(CoupledPaths, {"sigma": s}, seed=0)).history for s in (0.0, 1.3))
    assert noisy["typical"][-1] < 0.3 * calm["typical"][-1]
    assert noisy["rms"][-1] > 3 * noisy["typical"][-1]
    assert (noisy["typical"] <= noisy["bound_typical"] * 1.1).all()


def test_the_second_copy_is_the_first_plus_the_gap():
    made = run(CoupledPaths, {"sigma": 0.0, "margin": 4.0, "depth": 4.0}, seed=0)
    frame = last(made)
    assert np.allclose(frame.arrays["z"], frame.arrays["partner"], atol=1e-3)
    start = next(run(CoupledPaths, seed=0))
    assert np.allclose(np.abs(start.arrays["z"] - start.arrays["partner"]), 0.5, atol=1e-6)


@pytest.mark.parametrize("h", [0.01, 0.1, 0.5])
def test_euler_decays_below_the_threshold_and_diverges_above_it(h):
    edge = forms.euler_threshold(h)
    below = last(run(EulerCubic, {"h": h, "x0": min(0.98 * edge, 9.0)}))
    assert below.status.kind == "finished" and below.history["euler"][-1] < below.history["euler"][0]
    if 1.02 * edge <= 10:
        above = last(run(EulerCubic, {"h": h, "x0": 1.02 * edge}))
        assert above.status.kind == "diverged" and above.status.row == 0 and above.status.time > 0
        assert "lower x₀ or the step h" in above.status.sentence and all_finite(above)
        assert above.history["tamed"][-1] < 1.02 * edge


def test_the_exact_line_is_the_solution_of_the_cubic():
    frame = last(run(EulerCubic, {"h": 0.02, "x0": 3.0}))
    t = frame.history["t"]
    assert np.allclose(frame.history["exact"], 3 / np.sqrt(1 + 18 * t), rtol=1e-4)
    assert frame.history["threshold"][0] == pytest.approx(10.0)
