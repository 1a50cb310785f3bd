"""solve_ode: accuracy, every row for itself, statuses as sentences, refusals."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers.ode_truths import Y0, Field, circle, circle_at, forced, forced_at, slope

from nde_lab.solvers import PID, TABLEAUS, OdeSolution, solve_ode

ADAPTIVE = ["heun", "bosh3", "dopri5", "tsit5", "kvaerno3", "esdirk4"]
TS = [0.0, 0.3, 0.35, 1.2, 2.0]


def truth(ts, at=circle_at):
    return torch.stack([at(t) for t in ts])


@pytest.mark.parametrize("method", ADAPTIVE)
def test_the_error_follows_the_tolerance(method):
    tols = (1e-2, 1e-4) if method == "heun" else (1e-3, 1e-5, 1e-7)
    errors = []
    for tol in tols:
        s = solve_ode(circle, Y0, TS, method=method, rtol=tol, atol=tol)
        assert s.ok.all() and s.status.kind == "finished"
        errors.append(float((s.ys - truth(TS)).norm()))
        assert errors[-1] < 100 * tol
    assert slope(tols, errors) > 0.6


@pytest.mark.parametrize("method", TABLEAUS)
def test_fixed_steps_have_the_order_of_the_method_between_the_steps_too(method):
    """ts lie inside steps: dense output keeps the order."""
    order, ts, sizes = TABLEAUS[method].order, [0.0, 0.23, 0.77, 1.31, 2.0], [0.2, 0.1, 0.05]
    errors = [(solve_ode(circle, Y0, ts, method=method, dt=dt).ys - truth(ts)).norm() for dt in sizes]
    assert slope(sizes, errors) == pytest.approx(order, abs=0.3)


def test_fixed_steps_share_a_0d_clock_and_end_where_asked():
    shapes = []

    def f(t, y):
        shapes.append(t.shape)
        return circle(t, y)
    s = solve_ode(f, Y0, [0.0, 0.25, 1.0], method="rk4", dt=0.3)
    assert set(shapes) == {torch.Size([])} and len(shapes) == 16 == int(s.stats["evaluations"][0])
    assert s.stats["reached"].tolist() == [1.0] * 3
    s = solve_ode(f, Y0, [0.0, 0.25, 1.0], method="euler")
    assert int(s.stats["accepted"][0]) == 2             # without dt: the steps of ts
    many = solve_ode(f, Y0, [0.0, 1.0], method="euler", dt=1 / 300, max_steps=10)
    assert int(many.stats["accepted"][0]) == 300        # max_steps limits only steps that are chosen


OWN = torch.tensor([[0.0, 0.3, 1.0], [0.0, -0.3, -1.5], [1.0, 2.0, 4.0]], dtype=torch.float64)


@pytest.mark.parametrize("settings_", [dict(method=m) for m in ADAPTIVE]
                         + [dict(method="rk4", dt=0.05), dict(controller=PID(0.4, 0.3))], ids=str)
@pytest.mark.parametrize("times", ["own", "shared"])
def test_rows_are_solved_as_if_alone(settings_, times):
    f = Field(scale=4.0)
    ts = OWN if times == "own" else torch.tensor(TS, dtype=torch.float64)
    tol = {"heun": 1e-2, "kvaerno3": 1e-3, "esdirk4": 1e-4}.get(settings_.get("method"), 1e-6)
    with torch.no_grad():
        s = solve_ode(f, Y0, ts, rtol=tol, atol=tol, **settings_)
        if "dt" in settings_ and times == "own":
            return                                     # fixed steps: the longest row sets their number
        for b in range(3):
            its = ts[b:b + 1] if times == "own" else ts
            one = solve_ode(f, Y0[b:b + 1], its, rtol=tol, atol=tol, **settings_)
            torch.testing.assert_close(s.ys[:, b], one.ys[:, 0], rtol=1e-11, atol=1e-11)
            for name in ("accepted", "rejected", "evaluations"):
                assert s.stats[name][b] == one.stats[name][0], name


def test_own_times_against_the_truth():
    s = solve_ode(circle, Y0, OWN, rtol=1e-8, atol=1e-8)
    assert isinstance(s, OdeSolution) and s.ts is OWN and s.ys.shape == (3, 3, 2)
    for b in range(3):
        torch.testing.assert_close(s.ys[:, b], circle_at(OWN[b] - OWN[b, 0], Y0[b]), rtol=1e-6, atol=1e-6)
    fixed = solve_ode(circle, Y0, OWN, method="rk4", dt=0.02)
    torch.testing.assert_close(fixed.ys, s.ys, rtol=1e-6, atol=1e-6)


def test_a_hard_row_costs_the_easy_one_nothing():
    rate = torch.tensor([[1.0], [300.0]], dtype=torch.float64)
    s = solve_ode(lambda t, y: -rate * (y - torch.cos(rate * t)), Y0[:2], [0.0, 2.0])
    easy = solve_ode(lambda t, y: -(y - torch.cos(t)), Y0[:1], [0.0, 2.0])
    assert s.stats["evaluations"][0] == easy.stats["evaluations"][0] < s.stats["evaluations"][1] / 20


def test_backward_in_time_returns():
    there = solve_ode(forced, Y0, [0.0, 2.5], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(there.ys[-1], forced_at(2.5), rtol=1e-7, atol=1e-7)
    back = solve_ode(forced, there.ys[-1], [2.5, 1.0, 0.0], rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(back.ys[-1], Y0, rtol=1e-7, atol=1e-7)


def test_counts_are_what_f_saw():
    f = Field()
    with torch.no_grad():
        s = solve_ode(f, Y0[:1], TS)
    assert f.calls == int(s.stats["evaluations"][0])
    assert f.calls == 2 + 6 * int(s.stats["accepted"][0] + s.stats["rejected"][0])
    assert s.status.sentence == (f"Finished: {int(s.stats['accepted'][0])} steps of dopri5 and "
                                 f"{int(s.stats['rejected'][0])} rejected ones at most in a row.")


def test_settings_of_steps():
    limited = solve_ode(circle, Y0, [0.0, 2.0], max_dt=0.1, dense=True)
    assert int(limited.stats["accepted"].min()) >= 20
    assert max(abs(r.h).max() for r in limited.dense.records) <= 0.1 + 1e-12
    started = solve_ode(circle, Y0, [0.0, 2.0], first_step=torch.tensor([0.01, 0.02, 0.03]), dense=True)
    assert abs(started.dense.records[0].h).tolist() == pytest.approx([0.01, 0.02, 0.03])
    loose = torch.tensor([[1e-3], [1e-6], [1e-9]], dtype=torch.float64)
    counts = solve_ode(circle, Y0[:1].expand(3, 2), [0.0, 2.0], rtol=loose, atol=loose).stats["accepted"]
    assert counts[0] < counts[1] < counts[2]


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(1, 4), width=st.integers(1, 4), T=st.integers(2, 6), seed=st.integers(0, 99),
       tol=st.sampled_from([1e-3, 1e-6, 1e-9]), method=st.sampled_from(["dopri5", "tsit5"]), own=st.booleans(),
       single=st.booleans())
def test_any_shape_times_and_tolerance(rows, width, T, seed, tol, method, own, single):
    g = torch.Generator().manual_seed(seed)
    dtype = torch.float32 if single else torch.float64
    tol = max(tol, 1e-5) if single else tol
    y0 = torch.randn(rows, width, generator=g, dtype=dtype)
    gaps = 0.01 + torch.rand(rows if own else 1, T - 1, generator=g, dtype=torch.float64)
    sign = torch.randint(2, (len(gaps), 1), generator=g) * 2 - 1
    ts = torch.cat([torch.zeros(len(gaps), 1), sign * gaps.cumsum(1)], 1)
    s = solve_ode(forced, y0, ts if own else ts[0], rtol=tol, atol=tol, method=method)
    assert s.ok.all() and s.ys.shape == (T, rows, width) and s.ys.dtype == dtype
    exact = y0 * torch.exp(-torch.sin(ts)).t().unsqueeze(-1).to(dtype)
    torch.testing.assert_close(s.ys, exact, rtol=100 * tol, atol=100 * tol)


# Trouble

def broken(y):
    """Grows without bound in the first row (at t = 1), not a number in the second, fine in the third."""
    return torch.stack([y[0]**2, torch.sqrt(y[1] - 2), -y[2]])


def test_rows_fail_for_themselves():
    y0 = torch.tensor([[1.0], [1.0], [1.0]], dtype=torch.float64)
    s = solve_ode(lambda t, y: broken(y), y0, [0.0, 0.5, 2.0], max_steps=2000)
    assert s.ok.tolist() == [False, False, True] and torch.isfinite(s.ys).all()
    assert s.ys[-1, 2].item() == pytest.approx(math.exp(-2), rel=1e-5)
    assert s.ys[1, 0].item() == pytest.approx(2, rel=1e-4)
    assert s.stats["reached"].tolist() == pytest.approx([1, 0, 2], abs=1e-5)
    assert s.status.kind == "stopped" and s.status.row == 0
    for part in ("Row 0 (and 1 other) stalled at t = 1", "grow without bound", "end before"):
        assert part in s.status.sentence


def test_nan_says_row_time_and_where_to_look():
    s = solve_ode(lambda t, y: torch.where(t > 0.5, torch.log(y - 9), y), Y0, [0.0, 1.0])
    assert not s.ok.any() and torch.isfinite(s.ys).all()
    assert "stalled at t = 0.5" in s.status.sentence and "f jumps or has a singularity" in s.status.sentence
    s = solve_ode(lambda t, y: torch.sqrt(y), Y0.abs() * torch.tensor([[1.0], [-1.0], [-1.0]]), [0.0, 1.0])
    assert s.status.kind == "diverged" and s.status.row == 1 and s.ok.tolist() == [True, False, False]
    assert s.status.sentence.startswith("Row 1 (and 1 other) stopped at t = 0 after 0 steps: f is not finite")
    assert "look for a division, root, logarithm" in s.status.sentence


def test_a_stiff_problem_is_told_the_method_for_it():
    s = solve_ode(lambda t, y: -1e5 * y, Y0, [0.0, 10.0], max_steps=200)
    assert s.status.kind == "stopped" and "when 200 tried steps were spent" in s.status.sentence
    assert "stiff" in s.status.sentence and "take method='esdirk4'" in s.status.sentence
    assert "rates near 1e+05" in s.status.sentence
    assert solve_ode(lambda t, y: -1e5 * y, Y0, [0.0, 10.0], max_steps=200, method="esdirk4").ok.all()


def test_too_many_steps_of_a_problem_that_is_not_stiff():
    s = solve_ode(circle, Y0, [0.0, 1e4], max_steps=50)
    assert "raise max_steps, loosen rtol and atol" in s.status.sentence and "of 1e+04" in s.status.sentence


def test_fixed_steps_that_explode():
    s = solve_ode(lambda t, y: y**3, Y0, [0.0, 5.0, 9.0], method="rk4", dt=0.1)
    assert s.status.kind == "diverged" and not s.ok[1] and torch.isfinite(s.ys).all()
    for part in ("the next state is not finite", "halve the step (now 0.1)"):
        assert part in s.status.sentence


def test_a_trial_step_that_overflows_does_not_reach_the_gradient():
    """Row 0 rejects steps into infinity; the gradient of all rows stays finite and right."""
    p = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    y0 = torch.tensor([[1.0], [0.1]], dtype=torch.float64)

    def f(t, y):
        return p * torch.where(y > 1.5, torch.log(1.5 - y), -y)
    s = solve_ode(f, y0, [0.0, 1.0], first_step=0.5)
    s.ys[-1].sum().backward()
    assert float(p.grad) == pytest.approx(-1.1 * math.exp(-1), rel=1e-5)

    def g(t, y):                                        # the trial states of row 0 pass the pole at 3
        return p * torch.where(y > 3, torch.full_like(y, torch.inf), y)
    p.grad = None
    s = solve_ode(g, torch.tensor([[2.0], [0.1]]).double(), [0.0, 0.4], first_step=0.4)
    s.ys[-1].sum().backward()
    assert s.ok.all() and float(p.grad) == pytest.approx(0.4 * 2.1 * math.exp(0.4), rel=1e-4)


def test_gradient_in_times():
    f, y0 = Field(), Y0.clone().requires_grad_()
    ts = torch.tensor([0.0, 0.4, 1.0], dtype=torch.float64, requires_grad=True)
    own = (OWN * 0.5).requires_grad_()
    for times in (ts, own):
        assert torch.autograd.gradcheck(lambda y, t: solve_ode(f, y, t, rtol=1e-9, atol=1e-9).ys, (y0, times))


@pytest.mark.parametrize("call, sentence", [
    (dict(ts=[0.0, 1.0, 0.5]), r"ts must increase strictly, or decrease strictly, but ts\[2\]=0.5 follows"),
    (dict(ts=[[0, 1.0], [0, 0.0], [0, 1]]), r"ts\[1\]\[1\]=0 follows ts\[1\]\[0\]=0; sort it"),
    (dict(ts=[[0, 1.0], [0, 1.0]]), r"ts must have shape \(T,\) or \(B, T\) with B=3, got \(2, 2\)"),
    (dict(ts=[0.0]), "ts needs at least 2 times"), (dict(ts=[0.0, math.inf]), "must be a finite number"),
    (dict(ts="now"), "ts must hold numbers"),
    (dict(y0=Y0[0]), r"y0 must be a tensor of shape \(B, D\), one row per start, got shape \(2,\)"),
    (dict(y0=Y0.long()), "floating point numbers, got torch.int64"),
    (dict(y0=Y0 / torch.tensor([[1.0], [0.0], [1.0]])), "y0 is not finite in row 1"),
    (dict(method="rk5"), "no method 'rk5' for ODEs; there are euler, midpoint, heun, rk4, bosh3"),
    (dict(dt=-0.1), "dt must be a positive step length"), (dict(dt=1e-9), "would take 1e\\+09 steps"),
    (dict(rtol=-1.0), "rtol must be a number or a tensor, zero or positive, got -1.0"),
    (dict(rtol=0, atol=0), "rtol and atol cannot both be zero"),
    (dict(max_steps=0), "max_steps must be a whole number"),
    (dict(first_step=0.0), "first_step must be a positive"),
    (dict(f=lambda t, y: y[:, :1]), r"must return a slope for every number of y.*\(3, 2\), got shape \(3, 1\)"),
    (dict(f=lambda t, y: y.tolist()), r"must return a slope .* got list"),
    (dict(gradient="magic"), "gradient must be one of 'through', 'checkpoint', 'adjoint'")])
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        solve_ode(**{"f": circle, "y0": Y0, "ts": [0.0, 1.0], **call})


def test_refused_in_a_trace():
    from nde_lab.autodiff import trace
    with pytest.raises(ValueError, match="there call integrate_adaptive"):
        trace(lambda y: solve_ode(circle, y, [0.0, 1.0]).ys, (Y0,))
