"""The live figures: every setting stays finite, and the pictures say what the text says."""
import numpy as np
import pytest
import torch
from experiment_laws import frames_are_finite_and_drawn, settings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.bridges.multi_marginal import GaussianBridge, PointBridge
from nde_lab.bridges.multi_marginal.cloud_paths import CROWDS, POINTS, CloudPaths, groups
from nde_lab.bridges.multi_marginal.line import chains, mid_variance
from nde_lab.bridges.multi_marginal.line_ipf import END_STD, LineIPF, truth
from nde_lab.bridges.multi_marginal.matched import BridgeMatching
from nde_lab.experiment import last, run

ALL = (CloudPaths, LineIPF, BridgeMatching)


@pytest.mark.parametrize("cls", ALL, ids=lambda c: c.__name__)
@settings(deadline=None, max_examples=6)
@given(data=st.data())
def test_any_knobs_give_finite_frames_that_the_view_can_draw(cls, data):
    knobs = data.draw(settings_of(cls))
    if cls is CloudPaths:
        frame = last(run(cls, knobs, seed=1))
        assert all(np.isfinite(a).all() for a in frame.arrays.values())
    else:
        frames_are_finite_and_drawn(cls, knobs, data.draw(st.integers(0, 2**53 - 1)))


@pytest.mark.parametrize(("sigma", "pull"), [(0.3, 0.0), (0.6, 0.0), (2.5, 0.0), (0.6, 4.0)])
def test_the_figure_solves_the_static_problem(sigma, pull):
    plan = last(run(CloudPaths, {"sigma": sigma, "pull": pull}, seed=0)).arrays["plan"].T / POINTS
    told = PointBridge.of(*(groups(c, POINTS) for c in CROWDS["two groups to three"]), sigma=sigma, pull=pull).plan()
    assert np.abs(plan - told.numpy()).max() < 2e-4
    assert plan.sum(1) == pytest.approx(np.full(POINTS, 1 / POINTS), rel=1e-3)


@pytest.mark.parametrize("crowds", CROWDS)
def test_paths_begin_in_one_crowd_and_end_in_the_other(crowds):
    frame = last(run(CloudPaths, {"crowds": crowds, "sigma": 0.3}, seed=0))
    paths, x1 = frame.arrays["paths"], frame.arrays["x1"]
    assert set(paths[:, 0]) <= set(frame.arrays["x0"])
    off = np.abs(np.sort(paths[:, -1])[::2] - np.sort(x1))
    assert off.mean() < 0.15


def test_the_truth_of_the_ipf_figure_is_the_closed_form():
    for sigma in (0.3, 1.0, 3.0):
        g = GaussianBridge.of(0, 1, 2, END_STD**2, sigma=sigma)
        mean, variance = truth(torch.tensor(sigma), 2.0, torch.tensor([0.25, 0.5]))
        assert variance[1] == pytest.approx(g.cov(0.5).item(), rel=1e-5) and mean[0] == 0.5


@pytest.mark.parametrize("noise", ["of the reference", "left over by the fit"])
def test_the_figure_follows_the_chains_without_particles(noise):
    """The process that half step k simulates, k = 1 .. 4: variances within 4 standard errors, which add up."""
    frame = last(run(LineIPF, {"noise": noise}, seed=0, steps=4))
    g = GaussianBridge.of(0, 1, 2, END_STD**2, sigma=1.0)
    told = [mid_variance(c) for c in chains(g, 10, 3, residual=noise != "of the reference")]
    assert frame.history["middle"] == pytest.approx(told, rel=4 * 2 * (2 / 3000)**0.5)


def test_pairs_decide_what_matching_learns():
    """After 150 steps: with the plan's pairs the bridge's drift, with random ones another."""
    ends = {p: last(run(BridgeMatching, {"pairs": p}, seed=0, steps=150)).history for p in ("entropic plan", "at random")}
    assert ends["entropic plan"]["off"][-1] < 0.6 < ends["at random"]["off"][-1]
    assert ends["entropic plan"]["off"] == pytest.approx(ends["entropic plan"]["aim"], rel=1e-3)
