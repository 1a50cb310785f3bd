"""The adaptive SDE solve: moments of a linear SDE, counted calls, gradient of the penalty, ends with a
reason."""
import math

import pytest
import torch

from nde_lab.odes.opening_the_blackbox import sde_spiral as spiral
from nde_lab.odes.opening_the_blackbox.sde_solve import solve_fixed, solve_sde_pair

B = 5000


def ou(t, y):
    return -2.0 * y


def flat(t, y):
    return 0.7 * torch.ones_like(y)


def test_moments_of_a_linear_equation():
    y0 = torch.full((B, 1), 1.5, dtype=torch.float64)
    for end in (solve_sde_pair(ou, flat, y0, rtol=1e-2, seed=3).ys[-1],
                solve_fixed(ou, flat, y0, steps=60, seed=4)[-1]):
        mean, var = 1.5 * math.exp(-2), 0.49 / 4 * (1 - math.exp(-4))
        assert abs(float(end.mean()) - mean) < 5 * (var / B) ** 0.5
        assert abs(float(end.var()) - var) < 5 * var * (2 / B) ** 0.5


def test_a_tighter_tolerance_costs_more_and_calls_are_counted():
    cost = []
    for rtol in (0.1, 1e-3):
        calls = {"f": 0, "g": 0}

        def f(t, y, calls=calls):
            calls["f"] += 1
            return -20 * y * (1 + y * y)

        def g(t, y, calls=calls):
            calls["g"] += 1
            return 0.3 * y
        solved = solve_sde_pair(f, g, torch.ones(50, 2, dtype=torch.float64), rtol=rtol, seed=0)
        assert (calls["f"], calls["g"]) == (solved.drifts, solved.diffusions)
        assert solved.drifts == 2 * (len(solved.ts) - 1) + solved.rejected
        assert solved.diffusions == 4 * (len(solved.ts) - 1) + 3 * solved.rejected
        assert solved.status == "done" and solved.ts[-1] == 1.0
        cost.append(solved.drifts)
    assert cost[1] > 2 * cost[0]


def test_gradient_of_the_penalty_against_finite_differences():
    """At a huge tolerance every step grows by 5, so step lengths cannot react and differences are exact."""
    def penalty(a):
        return solve_sde_pair(lambda t, y: a * torch.sin(y), lambda t, y: a * y,
                              torch.ones(20, 2, dtype=torch.float64), rtol=50.0, seed=1).error_sum
    a = torch.tensor(0.8, dtype=torch.float64, requires_grad=True)
    grad, = torch.autograd.grad(penalty(a), a)
    with torch.no_grad():
        slope = (penalty(a + 1e-5) - penalty(a - 1e-5)) / 2e-5
    assert float(grad) == pytest.approx(float(slope), rel=1e-6) and float(grad) > 0


def test_states_between_steps_lie_on_straight_lines():
    solved = solve_sde_pair(ou, flat, torch.ones(4, 1, dtype=torch.float64), rtol=0.05, seed=0)
    ts = torch.tensor(solved.ts, dtype=torch.float64)
    assert torch.allclose(solved.at(ts), solved.ys)
    assert torch.allclose(solved.at((ts[1:] + ts[:-1]) / 2), (solved.ys[1:] + solved.ys[:-1]) / 2)


def test_rejected_steps_do_not_enter_the_penalty():
    """A first step far too long is rejected with a huge q; R_E stays at most 1 = (largest accepted q) x
    (time)."""
    solved = solve_sde_pair(lambda t, y: -30 * y, flat, torch.ones(20, 1, dtype=torch.float64), rtol=1e-2,
                            seed=0, h0=0.9)
    assert solved.rejected > 0 and 0 < float(solved.error_sum) <= 1


def test_trouble_is_a_status():
    """The spiral's cubic drift throws a trajectory out at the papers' loose tolerance: the batch's mean hides
    it."""
    lost = solve_sde_pair(spiral.true_drift, spiral.true_diffusion, spiral.start(100), rtol=0.3, seed=0)
    assert "too wild" in lost.status and lost.ts[-1] < 1
    slow = solve_sde_pair(ou, flat, torch.ones(2, 1), rtol=1e-4, seed=0, max_trials=5)
    assert "5 trials did not reach the end" in slow.status


@pytest.mark.parametrize("bad", [{"rtol": 0.0}, {"rtol": -1.0}, {"rtol": 0.1, "h0": 0.0}])
def test_settings_that_do_not_fit_are_refused(bad):
    with pytest.raises(ValueError, match="above 0"):
        solve_sde_pair(ou, flat, torch.ones(2, 1), seed=0, **bad)
    with pytest.raises(ValueError, match="multiple"):
        solve_fixed(ou, flat, torch.ones(2, 1), steps=10, every=3, seed=0)
