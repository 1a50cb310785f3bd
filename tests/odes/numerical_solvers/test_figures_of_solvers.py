"""What the chapter says about its figures, read off the figures."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import configure, last, run
from nde_lab.odes.numerical_solvers import (
    Comet,
    MissedPulse,
    Orders,
    StabilityPlane,
    StiffCliff,
    StrongWeak,
    TwoCalculi,
    TwoRoots,
)
from nde_lab.odes.numerical_solvers.orders import FIELDS

ALL = (Comet, MissedPulse, Orders, StabilityPlane, StiffCliff, StrongWeak, TwoCalculi, TwoRoots)


def arrays(cls, *, seed=0, **knobs):
    return next(run(cls, knobs, seed=seed)).arrays


def order(steps, errors):
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]


@pytest.mark.parametrize("cls", ALL)
def test_the_view_draws_only_what_is_observed(cls):
    frame = last(run(cls))
    assert frame.status.kind == "finished" and cls().view().observables() <= set(frame.arrays)


@settings(max_examples=6, deadline=None)
@given(data=st.data(), cls=st.sampled_from(ALL))
def test_every_knob_gives_a_finite_picture(data, cls):
    knobs = {n: data.draw(st.sampled_from(k.choices) if k.choices
                          else (st.integers if isinstance(k.default, int) else st.floats)(k.low, k.high))
             for n, k in {**cls.fixed, **cls.live}.items()}
    configure(cls, knobs)
    for name, values in arrays(cls, **knobs).items():
        assert np.isfinite(values).all(), name


def test_the_cliff_stands_at_two_over_lambda():
    def gap(h, rate=50.0):
        found = arrays(StiffCliff, h=h, rate=rate)
        return abs(found["explicit"][-1] - found["implicit"][-1])
    assert gap(0.039) < 0.002 and gap(0.042) > 10 and gap(0.043) > 500
    assert gap(0.08, 20.0) < 0.01 and gap(0.11, 20.0) > 1


def test_implicit_methods_have_no_cliff_and_the_trapezoid_does_not_damp():
    found = arrays(StiffCliff)
    assert found["error_implicit"].max() < 0.01 and found["error_euler"].max() > 1e5 < found["error_rk4"].max()
    wide = found["h"] > 0.4
    assert (found["error_trapezoid"][wide] > found["error_implicit"][wide]).all()
    assert (found["error_trapezoid"][found["h"] < 0.1] < 1e-5).all()


@pytest.mark.parametrize("problem", sorted(FIELDS))
def test_measured_orders(problem):
    found = arrays(Orders, problem=problem)
    counts = found["counts"]
    if problem == "kinked":
        assert 0.8 < order(counts, found["error_euler"]) < 1.2
        assert order(counts, found["error_rk4"]) < 3
        return
    for method, p in (("euler", 1), ("midpoint", 2), ("rk4", 4)):
        clear = (found[f"error_{method}"] > 5e-6) & (counts >= 12)
        assert order(counts[clear], found[f"error_{method}"][clear]) == pytest.approx(p, abs=0.35), method


def test_the_bars_are_the_orders_and_vanish_on_the_floor_of_rounding():
    assert arrays(Orders, N=16)["slopes"] == pytest.approx([1.37, 2.02, 4.0, 4.93], abs=0.2)
    assert abs(arrays(Orders, N=64)["slopes"][3]) < 1.2
    assert 1e-8 < arrays(Orders)["error_dopri5"][-1] < 2e-6


def test_the_plane_tells_who_grows():
    inside, outside = arrays(StabilityPlane, re=-1.9), arrays(StabilityPlane, re=-2.1)
    for name in ("euler", "midpoint"):
        assert inside[f"size_{name}"][-1] < 1 < outside[f"size_{name}"][-1]
    assert outside["size_rk4"][-1] < 1 and outside["size_implicit_euler"][-1] < 1
    assert inside["size_reversible_heun"][-1] > 1e6
    turning = arrays(StabilityPlane, re=0.0, im=0.9)
    assert turning["size_reversible_heun"][-1] == pytest.approx(1, abs=1e-3)


def test_reversible_heun_grows_by_the_parasite_and_not_where_nothing_decays():
    found = arrays(TwoRoots)
    assert found["y"][50] == pytest.approx(0.0059, abs=1e-4)
    assert found["y"][150] == pytest.approx(-19.7, abs=0.1)
    assert abs(arrays(TwoRoots, decay=0.0, spin=3.0)["y"]).max() < 1.01
    assert abs(arrays(TwoRoots, decay=0.0, spin=10.2)["y"]).max() > 1000
    assert abs(found["parasite_re"].mean() + 1.10499) < 1e-2


def test_chosen_steps_win_on_the_ellipse_and_lose_on_the_circle():
    for e, wins in ((0.8, True), (0.0, False)):
        found = arrays(Comet, e=e, tol=1e-4)
        equal = np.interp(np.log(found["my_cost"]), np.log(found["equal_cost"]), np.log(found["equal_error"]))
        assert (np.log(found["my_error"]) < equal) == wins
    accepted = arrays(Comet, e=0.8)["accepted"]
    accepted = accepted[accepted > 1e-8]
    assert accepted.max() / accepted.min() > 15


def test_the_counters_add_up():
    found = arrays(Comet)
    accepted, rejected, evaluations = found["counts"]
    assert accepted == (found["accepted"] > 1e-8).sum() and rejected == (found["rejected"] > 1e-8).sum()
    assert 6 * (accepted + rejected) <= evaluations <= 6 * (accepted + rejected) + 2
    assert evaluations == found["my_cost"][0]


def test_a_narrow_dose_is_missed_unless_the_solver_is_told():
    assert arrays(MissedPulse, width=0.5)["my_error"] < 1e-3
    missed = arrays(MissedPulse, width=0.3)
    assert missed["my_error"] > 0.04 and abs(missed["y"]).max() < 1e-3
    assert arrays(MissedPulse, told=True)["error"].max() < 2e-3
    assert arrays(MissedPulse, width=0.3, tol=1e-6)["my_error"] > 0.04


def test_milstein_improves_the_paths_and_not_the_mean():
    found = arrays(StrongWeak, sigma=1.0)
    n = found["levels"]
    assert order(n, found["strong_euler"]) < 0.7 < 0.8 < order(n, found["strong_milstein"])
    assert order(n, found["strong_srk"]) > 1.3
    assert (found["strong_milstein"] < found["strong_euler"]).all()
    coarse = slice(0, 3)
    assert found["weak_euler"][coarse] == pytest.approx(found["weak_milstein"][coarse], rel=0.25)


def test_without_noise_there_is_one_error_and_additive_noise_makes_one_scheme():
    still = arrays(StrongWeak, sigma=0.0)
    assert still["strong_euler"] == pytest.approx(still["weak_euler"], rel=1e-4)
    assert order(still["levels"], still["strong_euler"]) == pytest.approx(1, abs=0.1)
    added = arrays(StrongWeak, noise="additive")
    assert np.array_equal(added["strong_euler"], added["strong_milstein"])
    assert order(added["levels"], added["strong_euler"]) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("n", [4, 16, 64])
def test_the_path_shown_is_the_one_of_the_chosen_level(n):
    found = arrays(StrongWeak, n=n)
    assert found["mine"] == n
    corners = np.abs(np.diff(found["path_euler"], 2)) > 1e-5
    assert n / 2 < corners.sum() <= n - 1


@pytest.mark.parametrize("steps", [8, 64])
def test_two_calculi_meet_at_full_correction(steps):
    apart, together = arrays(TwoCalculi, steps=steps), arrays(TwoCalculi, steps=steps, c=1.0)
    assert apart["mean_euler"][-1] == pytest.approx(1, abs=0.1)
    assert apart["mean_heun"][-1] == pytest.approx(np.exp(0.5), abs=0.15)
    assert together["mean_euler"][-1] == pytest.approx(together["mean_heun"][-1], rel=0.05)


def test_draws_do_not_depend_on_the_number_of_steps():
    few, many = arrays(TwoCalculi, steps=8), arrays(TwoCalculi, steps=64)
    assert np.array_equal(few["path_ito"], many["path_ito"])
    assert torch.is_tensor(TwoCalculi().data()["grid"])
