"""The penalties: what they add up, that rejected steps stay out, and that their gradient takes the steps as
given."""
import pytest
import torch

from nde_lab.odes.opening_the_blackbox import PENALTIES, penalty, solve
from nde_lab.odes.opening_the_blackbox.stack import Stack
from nde_lab.random import Uniform, sample
from nde_lab.solvers import TABLEAUS, error_ratio, rk_step

T64 = torch.float64


def wave(rate, y0=1.0, **options):
    return solve(lambda t, y: rate * torch.cos(20 * t) * y, torch.full((2, 1), y0, dtype=T64),
                 **{"rtol": 1e-5, "turns": 60, "h0": 0.5} | options)


def test_the_penalties_are_made_of_accepted_steps_only():
    solved = wave(6.0)
    assert solved.ok.all() and int(solved.rejected[0]) > 0
    q, h, s = (part[solved.turns.accept[:, 0], 0] for part in (solved.turns.q, solved.turns.h,
                                                              solved.turns.stiffness))
    expected = {"error": (q * h).sum(), "error, mean": (q * h).mean(), "stiffness": 0.1 * s.max(),
                "both": (q * h).sum() + 0.1 * s.max()}
    assert set(expected) == set(PENALTIES)
    for kind, value in expected.items():
        assert float(penalty(solved, kind)[0]) == pytest.approx(float(value), rel=1e-12)
    assert int(solved.evaluations[0]) == 1 + 6 * int(solved.accepted[0] + solved.rejected[0])


def test_an_unknown_penalty_is_refused():
    with pytest.raises(ValueError,
                       match="unknown penalty 'errors'; known: error, error, mean, stiffness, both"):
        penalty(wave(1.0), "errors")


def test_nineteen_is_the_fewest_from_the_first_step():
    """0.05, 0.25, and the rest: three steps even where nothing moves."""
    still = solve(lambda t, y: 0 * y, torch.ones(1, 3), rtol=1e-4, turns=10)
    assert still.evaluations.tolist() == [19] and torch.allclose(
        still.turns.h[:3, 0], torch.tensor([0.05, 0.25, 0.70]))


def test_the_gradient_is_that_of_fixed_steps():
    """Against finite differences of the same steps, taken again by hand with the lengths that were chosen."""
    rate = torch.tensor(3.0, dtype=T64, requires_grad=True)
    solved = wave(rate)
    got = float(torch.autograd.grad(penalty(solved).sum(), rate)[0])
    steps = solved.turns.h[solved.turns.accept[:, 0], 0].tolist()

    def replay(value):
        t, y, total = 0.0, torch.ones(1, 1, dtype=T64), 0.0
        for h in steps:
            step = rk_step(lambda t, z: value * torch.cos(20 * t) * z, torch.tensor(t, dtype=T64), y, h,
                           TABLEAUS["dopri5"])
            total += float(error_ratio(step.error, y, step.y, 1e-5, 1e-5)) * h
            t, y = t + h, step.y
        return total
    assert 2 * replay(3.0) == pytest.approx(float(penalty(solved).detach().sum()), rel=1e-9)
    assert got == pytest.approx(2 * (replay(3.0 + 1e-5) - replay(3.0 - 1e-5)) / 2e-5, rel=1e-4)


def test_one_row_per_batch_is_one_clock_and_one_row_per_point_is_many():
    stack = Stack(2, 2)
    drawn = sample(stack.draws | {"x": Uniform((5, 2), -1.0, 1.0)}, seed=0, stream="start", dtype=T64)
    params = stack.init(drawn)
    params["w2"] = params["w2"] * torch.tensor([1.0, 0.2], dtype=T64)[:, None, None]      # the copies differ
    f = stack.field(params, 5.0)
    many = solve(f, stack.rows(drawn["x"]), rtol=1e-8, turns=80)
    one = solve(f, stack.batches(drawn["x"]), rtol=1e-8, turns=80)
    assert many.y.shape == (10, 2) and one.y.shape == (2, 10)
    assert torch.allclose(many.y.reshape(2, 10), one.y, atol=1e-6)
    assert len(set(many.turns.h[2].tolist())) > 2, "own clocks"
    assert torch.allclose(stack.score(params, many.y), stack.score(params, one.y), atol=1e-5)
    assert stack.mean(many.evaluations).shape == (2,)


def test_a_stack_of_copies_starts_equal_and_is_what_one_network_computes():
    stack = Stack(3, 2, hidden=4)
    p = stack.init(sample(stack.draws, seed=1, stream="start", dtype=T64))
    z, t = torch.randn(3 * 4, 2, dtype=T64), torch.rand(3 * 4, 1, dtype=T64)
    got = stack.field(p, 2.0)(t, z)
    inner = torch.tanh(z @ p["w1"][0] + t @ p["t1"][0] + p["b1"][0])
    assert torch.allclose(got, 2.0 * torch.tanh(inner @ p["w2"][0] + t @ p["t2"][0] + p["b2"][0]))
    assert all(torch.equal(v[0], v[2]) for v in p.values())
