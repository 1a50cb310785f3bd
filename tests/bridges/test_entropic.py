"""Entropic transport: marginals, optimality, closed forms, both limits of eps, and what is refused."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment, linprog

from nde_lab.bridges.entropic import log_plan, marginal_error, sinkhorn


def problem(n, m, seed):
    rng = np.random.default_rng(seed)
    r, c = rng.random(n) + 0.05, rng.random(m) + 0.05
    return rng.random((n, m)), r / r.sum(), c / c.sum()


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 9), m=st.integers(1, 9), seed=st.integers(0, 10**6), anneal=st.booleans(),
       eps=st.floats(0.03, 10.0))
def test_marginals_and_the_form_of_the_plan(n, m, seed, anneal, eps):
    C, r, c = problem(n, m, seed)
    made = sinkhorn(C, r, c, eps, anneal=anneal, tolerance=1e-10)
    assert made.converged and made.error <= 1e-9 and made.status.sentence.startswith("converged")
    assert marginal_error(made.plan, r, c) == pytest.approx(made.error, abs=1e-15)
    assert np.allclose(np.exp(log_plan(C, made.x, made.y, eps)), made.plan, atol=1e-12)
    assert made.iterations == len(made.errors) and made.value == pytest.approx((C * made.plan).sum())


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), eps=st.floats(0.05, 1.0))
def test_no_plan_with_the_same_marginals_does_better(seed, eps):
    C, r, c = problem(4, 5, seed)
    P = sinkhorn(C, r, c, eps, tolerance=1e-12).plan
    rng = np.random.default_rng(seed)

    def value(Q):
        return (C * Q).sum() + eps * (Q * np.log(Q)).sum()
    for _ in range(5):
        (i, k), (j, p) = rng.choice(4, 2, replace=False), rng.choice(5, 2, replace=False)
        Q, h = P.copy(), 0.3 * min(P[i, p], P[k, j])
        Q[i, j], Q[k, p], Q[i, p], Q[k, j] = Q[i, j] + h, Q[k, p] + h, Q[i, p] - h, Q[k, j] - h
        assert marginal_error(Q, r, c) < 1e-9 and value(Q) > value(P)


@pytest.mark.parametrize("eps", [0.05, 0.3, 3.0])
def test_two_by_two_in_closed_form(eps):
    P = sinkhorn([[0, 1], [1, 0]], eps=eps, tolerance=1e-13).plan
    assert P[0, 0] == pytest.approx(0.5 / (1 + np.exp(-1 / eps)), rel=1e-10)


def test_a_strong_regularisation_gives_the_independent_plan():
    C, r, c = problem(5, 7, 1)
    assert np.allclose(sinkhorn(C, r, c, 1e6).plan, np.outer(r, c), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_a_weak_regularisation_gives_the_linear_programmes_plan(seed):
    C, r, c = problem(6, 4, seed)
    A = np.vstack([np.kron(np.eye(6), np.ones(4)), np.kron(np.ones(6), np.eye(4))])
    exact = linprog(C.reshape(-1), A_eq=A, b_eq=np.r_[r, c], method="highs").fun
    made = sinkhorn(C, r, c, 2e-3, tolerance=1e-11)
    assert made.converged and 0 <= made.value - exact + 1e-10 < 2e-3 * np.log(24)      # the entropy's range
    square = np.random.default_rng(seed).random((8, 8))
    rows, columns = linear_sum_assignment(square)
    plan = sinkhorn(square, eps=1e-3, tolerance=1e-6, max_sweeps=300_000).plan
    assert plan[rows, columns].sum() > 0.9


@pytest.mark.parametrize("eps", [1e-4, 1e-9, 1e-100, 1e-300])
def test_underflow_gives_a_status_and_no_nan(eps):
    made = sinkhorn(*problem(7, 5, 0), eps, max_sweeps=300)
    assert all(np.isfinite(a).all() for a in (made.plan, made.x, made.y, made.errors))
    assert made.status.kind in ("finished", "stopped") and marginal_error(made.plan, 0, 0) > 0
    if made.status.kind == "stopped":
        assert "allow more sweeps, or a larger eps" in made.status.sentence


def test_the_rate_is_the_second_singular_value_squared():
    C, r, c = problem(8, 8, 3)
    made = sinkhorn(C, r, c, 0.05, anneal=False, tolerance=1e-12)
    scaled = made.plan / np.sqrt(np.outer(r, c))
    rate = np.linalg.svd(scaled, compute_uv=False)[1] ** 2
    tail = made.errors[(made.errors < 1e-5) & (made.errors > 1e-10)]
    assert len(tail) > 4 and (tail[-1] / tail[0]) ** (1 / (len(tail) - 1)) == pytest.approx(rate, rel=1e-3)


def test_a_constant_row_cost_and_relabelling_change_nothing():
    C, r, c = problem(6, 6, 2)
    P = sinkhorn(C, r, c, 0.05, tolerance=1e-12).plan
    assert np.allclose(sinkhorn(C + np.arange(6)[:, None], r, c, 0.05, tolerance=1e-12).plan, P, atol=1e-10)
    order = np.random.default_rng(0).permutation(6)
    assert np.allclose(sinkhorn(C[order], r[order], c, 0.05, tolerance=1e-12).plan, P[order], atol=1e-10)


def test_points_without_mass_get_none_and_torch_is_welcome():
    C, r, c = problem(4, 3, 5)
    more = np.vstack([C, np.full((1, 3), -50.0)])
    made = sinkhorn(torch.tensor(more), np.r_[r, 0.0], torch.tensor(c), 0.1)
    assert (made.plan[4] == 0).all() and made.x[4] == -np.inf and np.isfinite(made.plan).all()
    assert np.allclose(made.plan[:4], sinkhorn(C, r, c, 0.1).plan, atol=1e-8)


def test_annealing_saves_sweeps_where_costs_are_smooth():
    s = (np.arange(60) + 0.5) / 60
    C = np.subtract.outer(s, s) ** 2
    r, c = (np.exp(-((s - m) / w) ** 2) + 0.01 for m, w in ((0.2, 0.1), (0.7, 0.2)))
    r, c = r / r.sum(), c / c.sum()
    plain, annealed = (sinkhorn(C, r, c, 0.002, anneal=a, tolerance=1e-4) for a in (False, True))
    assert plain.converged and annealed.converged and annealed.iterations < plain.iterations
    assert np.abs(plain.plan - annealed.plan).sum() < 0.01


@pytest.mark.parametrize(("arguments", "says"), [
    ((np.zeros((0, 3)),), "at least one of each; got shape"),
    ((np.zeros(3),), "a cost is a matrix"),
    ((np.array([[1.0, np.inf]]),), "every cost must be a finite number"),
    ((np.zeros((2, 2)), [0.5, 0.5, 0.0]), "r has shape"),
    ((np.zeros((2, 2)), [1.5, -0.5]), "masses are numbers >= 0"),
    ((np.zeros((2, 2)), None, [0.0, 0.0]), "c has least 0 and total 0"),
    ((np.zeros((2, 2)), [0.5, 0.5], [0.5, 0.6]), "r adds up to 1, c to 1.1"),
    ((np.zeros((2, 2)), None, None, 0.0), "eps, the strength"),
    ((np.zeros((2, 2)), None, None, float("nan")), "eps, the strength"),
])
def test_bad_problems_are_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        sinkhorn(*arguments)


def test_bad_limits_are_refused():
    with pytest.raises(ValueError, match="max_sweeps at least 1"):
        sinkhorn(np.zeros((2, 2)), max_sweeps=0)
