"""The tensors of the live figures do what the library's float64 code does, and the experiments obey the
laws."""
import numpy as np
import pytest
import torch
from experiment_laws import frames_are_finite_and_drawn, settings_of
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.bridges.entropic import log_plan, marginal_error, sinkhorn
from nde_lab.bridges.sinkhorn_newton_sparse import CloudPlan, PlanOnGrid, SinkhornRace, newton, problems, steps
from nde_lab.experiment import last, run

T64 = torch.float64


def swept(n=20, eps=0.05, sweeps=8, seed=0):
    C = problems.random_assignment(n, seed=seed)
    made = sinkhorn(C, eps=eps, tolerance=1e-15, max_sweeps=sweeps, anneal=False)
    return C, torch.full((n,), 1 / n, dtype=T64), torch.from_numpy(log_plan(C, made.x, made.y, eps))


def test_sweeps_are_the_librarys():
    C, r, L = swept()
    mine = torch.from_numpy(-C / 0.05 - 1)
    for _ in range(8):
        mine = steps.sweep(mine, r.log(), r.log())
    assert torch.allclose(mine, L, atol=1e-10)
    P = L.exp().numpy()
    assert float(steps.error(L, r, r)) == pytest.approx(marginal_error(P, r.numpy(), r.numpy()), rel=1e-9)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 12), keep=st.floats(1.0, 6.0))
def test_bisection_keeps_the_largest(seed, n, keep):
    L = torch.from_numpy(np.random.default_rng(seed).normal(size=(n, n)) * 4)
    mask = steps.kept(L, torch.tensor(keep * n, dtype=T64)).bool()
    assert abs(int(mask.sum()) - min(keep * n, n * n)) <= 1.5
    assert mask.all() or L[mask].min() > L[~mask].max()


def test_a_newton_step_is_the_librarys():
    _, r, L = swept()
    P, mass, eps = L.exp().numpy(), r.numpy(), 0.05
    g = newton.gradient(P, mass, mass)
    count = int(steps.kept(L, torch.tensor(80.0, dtype=T64)).sum())
    d, _, _ = newton.direction(P, count, g, eps, tolerance=1e-13)
    new, alpha = steps.newton(L, r, r, torch.tensor(80.0, dtype=T64))
    assert float(alpha) == 1.0
    assert np.allclose((new - L).numpy(), (d[:20, None] + d[20:]) / eps, atol=1e-6)


def test_the_step_length_obeys_armijo_and_is_zero_where_nothing_helps():
    _, r, L = swept()
    P = L.exp()
    g = torch.cat([r - P.sum(1), r - P.sum(0)])
    for scale, expected in ((1.0, 1.0), (40.0, None), (-1.0, 0.0)):
        d = scale * g / torch.cat([P.sum(1), P.sum(0)])
        alpha = float(steps.step_length(P, g, d[:20, None] + d[20:], (g * d).sum()))
        if expected is None:
            assert 0 < alpha < 0.2
        else:
            assert alpha == expected


def test_the_plan_of_the_race_is_the_entropic_plan_and_newton_is_first():
    made = run(SinkhornRace, {"keep": 6.0}, seed=0)
    frame = last(made)
    C = -0.01 * (made.experiment.init(made._data, made._draws["start"].at(0), made._tensors)["L"].double() + 1)
    P = sinkhorn(C.numpy(), eps=0.01, tolerance=1e-10).plan
    assert np.abs(made.state["S"].exp().numpy() - P).max() < 1e-5
    sns, plain = (frame.history[n] for n in ("sns", "sinkhorn"))
    assert np.array_equal(sns[:20], plain[:20])
    assert (sns[40:] < 1e-5).all() and plain[-1] > 1e-4 and frame.history["length"].max() == 1.0


def test_few_entries_hold_a_random_plan_and_more_hold_more():
    frame = last(run(PlanOnGrid, {"eps": 0.003}, seed=1))
    two, four, eight = (frame.history[f"kept{k}"][-1] for k in (2, 4, 8))
    assert 0.9 < two <= four <= eight <= 1.0 + 1e-5 and eight > 0.999


def test_lines_of_the_clouds_end_at_targets_in_the_planned_numbers():
    made = run(CloudPlan, {"eps": 0.05}, seed=0)
    frame = last(made)
    n, shares, dots = made.experiment.n, made.experiment.shares, made.experiment.dots
    assert frame.arrays["px"].shape == (n * shares * dots,)
    a, b = made.state["a"].numpy(), made.state["b"].numpy()
    first, second = (np.stack([frame.arrays[k].reshape(dots, -1)[i] for k in ("px", "py")], 1) for i in (0, 1))
    end = first + (second - first) * (dots - 0.5)
    apart = np.linalg.norm(end[:, None] - b[None], axis=2)
    assert apart.min(1).max() < 1e-4
    count = np.stack([np.bincount(row, minlength=n) for row in apart.argmin(1).reshape(n, shares)]) / shares
    assert np.abs(count - n * made.state["L"].exp().numpy()).max() <= 1 / shares + 1e-3
    assert np.allclose(a.repeat(shares, 0), first - (second - first) * 0.5, atol=1e-4)


@pytest.mark.parametrize("cls", [CloudPlan, PlanOnGrid, SinkhornRace])
@settings(deadline=None, max_examples=10)
@given(data=st.data(), seed=st.integers(0, 2**53 - 1))
def test_any_knobs_give_finite_frames_that_can_be_drawn(cls, data, seed):
    frames_are_finite_and_drawn(cls, data.draw(settings_of(cls)), seed)


@pytest.mark.parametrize("knobs", [{"cost": "absolute", "first": 1.0}, {"cost": "squared", "keep": 1.0}])
def test_runs_at_the_ends_of_the_sliders_finish(knobs):
    for eps in (0.003, 0.1):
        frame = last(run(SinkhornRace, knobs | {"eps": eps}, seed=2, steps=30))
        assert frame.status.kind == "finished" and np.isfinite(frame.arrays["P"]).all()


def test_problems_have_masses_that_add_up_and_costs_that_are_distances():
    s, r, c = problems.line_masses(30)
    assert r.sum() == pytest.approx(1) and c.sum() == pytest.approx(1) and min(r.min(), c.min()) > 0
    assert np.allclose(problems.line_cost(30, "absolute") ** 2, problems.line_cost(30, "squared"))
    assert np.allclose(problems.line_cost(30, "absolute"), np.abs(np.subtract.outer(s, s)))
    with pytest.raises(ValueError, match="squared or absolute"):
        problems.line_cost(30, "random")


@pytest.mark.parametrize("power", [1, 2])
def test_digits_are_masses_on_pixels(power):
    C, r, c = problems.digit_pair(power)
    assert C.shape == (256, 256) and C.max() == 1 and (np.diag(C) == 0).all() and np.array_equal(C, C.T)
    assert min(r.min(), c.min()) > 0 and r.sum() == pytest.approx(1) and not np.allclose(r, c)
    assert C[0, 17] == pytest.approx(2 / (30 if power == 1 else 450))       # one down, one to the right
    with pytest.raises(ValueError, match="power is 1 or 2"):
        problems.digit_pair(3)
