"""The spiral: its data, the penalties' gradients, and the training."""
import pytest
import torch

from nde_lab.odes.opening_the_blackbox import sde_spiral as s
from nde_lab.odes.opening_the_blackbox.sde_solve import solve_sde_pair

RTOL = s.RTOL


def solved_once(params):
    return s.fields(params), solve_sde_pair(*s.fields(params), s.start(s.BATCH), rtol=RTOL, seed=0)


def test_the_data_start_at_one_point_and_turn():
    data = s.wanted(1000)
    assert data.mean.shape == data.var.shape == (30, 2)
    assert data.mean[0].tolist() == [2.0, 0.0] and data.var[0].tolist() == [0.0, 0.0]
    cross = data.mean[:-1, 0] * data.mean[1:, 1] - data.mean[:-1, 1] * data.mean[1:, 0]
    assert (cross[:10] > 0).all()                            # counterclockwise: v grows from u = 2


def test_moment_error_is_zero_only_for_equal_moments():
    data = s.wanted(1000)
    assert float(s.moment_error(data, data)) == 0
    moved = s.Moments(data.mean + 0.5, data.var - 0.1)
    assert float(s.moment_error(moved, data)) == pytest.approx(0.26, rel=1e-5)
    assert float(s.moment_error(s.Moments(data.mean + torch.eye(30, 2), data.var), data, first=29)) == 0


@pytest.mark.parametrize("kind", s.KINDS[1:])
def test_a_penalty_pulls_at_the_weights(kind):
    params = {n: p.requires_grad_() for n, p in s.begin(0).items()}
    plain, _ = s.loss(params, "none", 0, 0, 0.4)
    total, (fit, _) = s.loss(params, kind, 0, 0, 0.4)
    extra = total - fit
    assert torch.equal(plain, fit) and bool(extra > 0)
    grads = torch.autograd.grad(extra, list(params.values()))
    assert all(torch.isfinite(g).all() for g in grads) and sum(float(g.norm()) for g in grads) > 1e-4


@pytest.mark.parametrize("kind", ["biased", "unbiased"])
def test_a_local_step_needs_no_gradient_of_the_solve(kind):
    params = {n: p.requires_grad_() for n, p in s.begin(1).items()}
    with torch.no_grad():
        (f, g), closed = solved_once(params)
    _, opened = solved_once(params)
    grads = [torch.autograd.grad(s.local_step(f, g, solve, kind, 0.6, rtol=RTOL, seed=0, stream="x"),
                                 params["f.2.weight"])[0] for solve in (closed, opened)]
    assert torch.equal(*grads) and float(grads[0].norm()) > 0


def test_the_samplers_stand_where_they_say():
    seen = []

    def f(t, y):
        seen.append(t)
        return torch.zeros_like(y)
    _, solved = solved_once(s.begin(0))
    n = len(solved.ts) - 1
    for kind, u, where in (("biased", 0.999, solved.ts[n - 1]), ("biased", 0.0, 0.0), ("unbiased", 0.37, 0.37)):
        seen.clear()
        s.local_step(f, lambda t, y: 0 * y, solved, kind, u, rtol=RTOL, seed=0, stream="x")
        assert seen[0] == pytest.approx(where)


def test_training_lowers_the_fit_and_repeats_itself():
    first = s.trained("global", 3, steps=15)
    s.trained.cache_clear()
    again = s.trained("global", 3, steps=15)
    assert all(torch.equal(first[n], again[n]) for n in first)
    before, after = s.measured(s.begin(3), solves=5), s.measured(first, solves=5)
    assert after.error < 0.8 * before.error
    assert before.drifts >= 8
    spent = s.seconds([first, again], solves=3)
    assert len(spent) == 2 and all(0 < x < 1 for x in spent)


def test_an_unknown_penalty_is_refused():
    with pytest.raises(ValueError, match="unknown kind of penalty 'local'; known: none, global"):
        s.loss(s.begin(0), "local", 0, 0, 0.5)
