"""Exact transport on a grid: against the plain programme, shifts, symmetry, long arcs, refusals."""
import numpy as np
import pytest
from scipy.optimize import linprog

from nde_lab.diffusion.ode_sde_gap.transport import w2_squared


def plain(a, b):
    """The programme with one variable for every pair of bins."""
    n = len(a)
    at = np.stack(np.indices((n, n)), -1).reshape(-1, 2)
    cost = ((at[:, None] - at) ** 2).sum(-1).ravel().astype(float)
    eye, one = np.eye(n * n), np.ones((1, n * n))
    rows = np.concatenate([np.kron(eye, one), np.kron(one, eye)])
    return linprog(cost, A_eq=rows, b_eq=np.concatenate([a.ravel(), b.ravel()])).fun


def random_pair(n, seed):
    made = np.random.default_rng(seed).dirichlet(np.full(n * n, 0.3), size=2)
    return made.reshape(2, n, n)


@pytest.mark.parametrize("seed", range(4))
def test_two_stages_find_the_plain_optimum(seed):
    a, b = random_pair(6, seed)
    assert w2_squared(a, b, 0.5) == pytest.approx(0.25 * plain(a, b), rel=1e-6)
    assert w2_squared(a, b, 1.0) == pytest.approx(w2_squared(b, a, 1.0), rel=1e-6)
    assert w2_squared(a, a, 1.0) == pytest.approx(0, abs=1e-9)


def test_a_shift_costs_its_squared_length():
    a = np.zeros((12, 12))
    a[2:5, 3:6] = random_pair(3, 0)[0]
    assert w2_squared(a, np.roll(a, (2, -1), (0, 1)), 0.1) == pytest.approx(0.05)


@pytest.mark.parametrize("reach", [1, 3])
def test_arcs_that_are_too_short_are_noticed(reach):
    """The answer does not depend on ``reach``: prices tell that longer arcs would save, or mass is stuck."""
    a, b = random_pair(10, 5)
    assert w2_squared(a, b, 1.0, reach=reach) == pytest.approx(w2_squared(a, b, 1.0, reach=10), rel=1e-7)
    corner = np.zeros((10, 10)), np.zeros((10, 10))
    corner[0][0, 0] = corner[1][9, 9] = 1
    assert w2_squared(*corner, 1.0, reach=reach) == pytest.approx(162)


@pytest.mark.parametrize("make, words", [
    (lambda a: (a, a[:-1]), "two square histograms of one size"),
    (lambda a: (a, 2 * a), "add up to 1, got totals 1 and 2"),
    (lambda a: (a, a - 1.0), "masses >= 0"),
])
def test_bad_histograms_are_refused(make, words):
    with pytest.raises(ValueError, match=words):
        w2_squared(*make(random_pair(4, 0)[0]), 1.0)
