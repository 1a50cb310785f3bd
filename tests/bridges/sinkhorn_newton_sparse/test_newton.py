"""The sparse Newton method: derivatives, the null direction, agreement with Sinkhorn, what fails and is
refused."""
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.bridges.entropic import log_plan, sinkhorn
from nde_lab.bridges.sinkhorn_newton_sparse.newton import (
    direction,
    gradient,
    hessian,
    largest,
    potential,
    sinkhorn_newton_sparse,
    sparsified,
    trial,
)


def problem(n, m, seed):
    rng = np.random.default_rng(seed)
    r, c = rng.random(n) + 0.2, rng.random(m) + 0.2
    return rng.random((n, m)), r / r.sum(), c / c.sum()


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 6), m=st.integers(1, 6), seed=st.integers(0, 10**6), eps=st.floats(0.1, 1.0))
def test_gradient_and_hessian_against_finite_differences(n, m, seed, eps):
    C, r, c = problem(n, m, seed)
    rng = np.random.default_rng(seed + 1)
    z, d, h = 0.1 * rng.normal(size=n + m), rng.normal(size=n + m), 1e-5

    def at(z):
        P = np.exp(log_plan(C, z[:n], z[n:], eps))
        return potential(C, r, c, eps, z[:n], z[n:]), gradient(P, r, c), P
    (up, g_up, _), (down, g_down, _), (_, g, P) = at(z + h * d), at(z - h * d), at(z)
    assert (up - down) / (2 * h) == pytest.approx(g @ d, rel=1e-6, abs=1e-6)
    H = hessian(P, eps)
    assert np.allclose((g_up - g_down) / (2 * h), -H @ d, rtol=1e-5, atol=1e-5)      # f is concave
    assert np.abs(H @ np.r_[np.ones(n), -np.ones(m)]).max() < 1e-12 * np.abs(H).max() + 1e-12
    assert np.linalg.eigvalsh(H).min() > -1e-10


def test_the_largest_entries_stay_and_the_diagonals_are_exact():
    P = np.random.default_rng(0).random((7, 9))
    S = sparsified(P, 14).toarray()
    assert (S > 0).sum() == 14 and S[S > 0].min() > P[S == 0].max() and np.array_equal(S[S > 0], P[S > 0])
    assert len(largest(P, 100)) == 63
    M = hessian(P, 0.5)
    M[:7, 7:], M[7:, :7] = S / 0.5, S.T / 0.5
    assert np.linalg.eigvalsh(M).min() > 0                              # so the step goes uphill
    g = gradient(P, P.sum(1) + 0.1, P.sum(0) + 0.7 / 9)
    d, used, kept = direction(P, 14, g, 0.5, tolerance=1e-13)
    assert np.allclose(M @ d, g, atol=1e-9) and g @ d > 0
    assert used <= 25 and kept == pytest.approx(S.sum() / P.sum())


@pytest.mark.parametrize("alpha", [1.0, 0.25])
def test_the_gain_is_the_difference_of_the_potential(alpha):
    C, r, c = problem(6, 5, 3)
    rng, eps = np.random.default_rng(1), 0.1
    x, y, d = 0.1 * rng.normal(size=6), 0.1 * rng.normal(size=5), 0.1 * rng.normal(size=11)
    P = np.exp(log_plan(C, x, y, eps))
    got, new = trial(C, x, y, eps, P, gradient(P, r, c), d, alpha)
    moved = x + alpha * d[:6], y + alpha * d[6:]
    assert got == pytest.approx(potential(C, r, c, eps, *moved) - potential(C, r, c, eps, x, y), rel=1e-9)
    assert np.array_equal(new, np.exp(log_plan(C, *moved, eps)))


def test_a_step_that_overflows_is_not_finite_and_not_an_error():
    C, r, c = problem(3, 3, 0)
    P = np.exp(log_plan(C, np.zeros(3), np.zeros(3), 1e-3))
    got, _ = trial(C, np.zeros(3), np.zeros(3), 1e-3, P, gradient(P, r, c), np.full(6, 10.0), 1.0)
    assert not np.isfinite(got)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 12), m=st.integers(2, 12), seed=st.integers(0, 10**6), eps=st.floats(0.03, 1.0))
def test_it_finds_sinkhorns_plan(n, m, seed, eps):
    C, r, c = problem(n, m, seed)
    made = sinkhorn_newton_sparse(C, r, c, eps, keep=m, sweeps=10, tolerance=1e-10)
    assert made.converged and made.error <= 1e-9 and "converged" in made.status.sentence
    P = sinkhorn(C, r, c, eps, tolerance=1e-13).plan
    assert np.abs(made.plan - P).max() < 1e-9 and abs((C * (made.plan - P)).sum()) < 1e-10
    assert np.allclose(np.exp(log_plan(C, made.x, made.y, eps)), made.plan, atol=1e-12)


@pytest.mark.parametrize("keep", [2, 4, 100])
def test_whatever_is_kept_the_plan_is_the_same(keep):
    C = np.random.default_rng(0).random((100, 100))
    made = sinkhorn_newton_sparse(C, eps=1 / 200, keep=keep)
    reference = sinkhorn(C, eps=1 / 200, tolerance=1e-12)
    assert made.converged and abs(made.value - reference.value) < 1e-10
    assert made.iterations == len(made.errors) == made.sweeps + made.steps and len(made.kept) == made.steps
    assert made.evaluations >= made.steps and made.products > made.steps
    assert (made.kept > 0.85).all()
    assert made.kept[-1] == pytest.approx(1.0, abs={2: 0.2, 4: 0.01, 100: 1e-12}[keep])


def test_tiny_eps_ends_with_a_status_and_finite_numbers():
    C, r, c = problem(6, 6, 0)
    made = sinkhorn_newton_sparse(C, r, c, 1e-7, sweeps=3, max_steps=5)
    assert np.isfinite(made.plan).all() and np.isfinite(made.errors).all()
    assert made.status.kind == "stopped" and "larger eps" in made.status.sentence


def test_it_stops_where_sinkhorn_has_converged_already():
    made = sinkhorn_newton_sparse(np.eye(3), eps=5.0, sweeps=30, tolerance=1e-6)
    assert made.converged and made.steps == 0 and made.sweeps < 30


@pytest.mark.parametrize(("given", "says"), [
    ({"r": [0.0, 1.0]}, "all must be above 0"), ({"r": [-1.0, 2.0]}, "masses are numbers >= 0"),
    ({"r": [1.0, 1.0]}, "r adds up to 2"), ({"eps": -1.0}, "eps, the strength"),
    ({"keep": 0}, "keep, tolerance and cg_tolerance"), ({"sweeps": 0}, "sweeps at least 1"),
])
def test_bad_input_is_refused(given, says):
    with pytest.raises(ValueError, match=says):
        sinkhorn_newton_sparse(np.zeros((2, 2)), **given)


def test_an_empty_cloud_is_refused():
    with pytest.raises(ValueError, match="at least one of each"):
        sinkhorn_newton_sparse(np.zeros((0, 0)))
