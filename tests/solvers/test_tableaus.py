"""The tables satisfy the order conditions of the rooted trees, for the solution, the embedded method and dense
output."""
import numpy as np
import pytest

from nde_lab.solvers.implicit import ESDIRKS
from nde_lab.solvers.tableaus import TABLEAUS, tableau
from nde_lab.solvers.torchdiffeq_tables import FEHLBERG2, HEUN3, RULE_38

TABLES = [*TABLEAUS.values(), RULE_38, HEUN3, FEHLBERG2]
ALL = [*TABLES, *ESDIRKS.values()]


def matrix(table):
    a = np.zeros((len(table.c), len(table.c)))
    for i, row in enumerate(table.a):
        a[i, :len(row)] = row
    return a


def conditions(a, c, order):
    """(vector v, gamma) for every tree of an order: weights p must have p v = gamma."""
    trees = {1: [(np.ones(len(c)), 1)], 2: [(c, 1 / 2)], 3: [(c**2, 1 / 3), (a @ c, 1 / 6)],
             4: [(c**3, 1 / 4), (c * (a @ c), 1 / 8), (a @ c**2, 1 / 12), (a @ a @ c, 1 / 24)],
             5: [(c**4, 1 / 5), (c**2 * (a @ c), 1 / 10), ((a @ c)**2, 1 / 20), (c * (a @ c**2), 1 / 15),
                 (a @ c**3, 1 / 20), (c * (a @ a @ c), 1 / 30), (a @ (c * (a @ c)), 1 / 40),
                 (a @ a @ c**2, 1 / 60), (a @ a @ a @ c, 1 / 120)]}
    return trees[order]


def defect(weights, table, order, x=1.0):
    a, c = matrix(table), np.array(table.c)
    return max(abs(np.array(weights) @ v - gamma * x**order) for v, gamma in conditions(a, c, order))


def id_(table):
    return f"{table.name}-{len(table.c)}"


@pytest.mark.parametrize("table", ALL, ids=id_)
def test_order_of_the_solution_and_no_higher(table):
    assert np.allclose(matrix(table).sum(1), table.c, atol=1e-14)
    assert all(defect(table.b, table, p) < 1e-13 for p in range(1, table.order + 1))
    if table.order < 5:
        assert defect(table.b, table, table.order + 1) > 1e-3


@pytest.mark.parametrize("table", [t for t in ALL if t.b_error], ids=id_)
def test_the_embedded_method_is_one_order_lower(table):
    embedded = np.array(table.b) - np.array(table.b_error)
    low = table.error_order - 1
    assert all(defect(embedded, table, p) < 1e-13 for p in range(1, low + 1))
    assert defect(embedded, table, low + 1) > 1e-4


@pytest.mark.parametrize("table", TABLES, ids=id_)
@pytest.mark.parametrize("x", [0.25, 0.6, 1.0])
def test_dense_output(table, x):
    p = [sum(w * x**(j + 1) for j, w in enumerate(row)) for row in table.dense]
    assert all(defect(p, table, q, x) < 2e-14 for q in range(1, max(table.order - 1, 1) + 1))
    if x == 1.0:
        assert np.allclose(p, table.b, atol=2e-14)


@pytest.mark.parametrize("table", TABLES, ids=id_)
def test_last_stage_and_stability(table):
    a, b = matrix(table), np.array(table.b)
    assert table.fsal == bool(table.c[-1] == 1 and np.allclose(a[-1], b) and b[-1] == 0)
    powers, v = [1.0], np.ones(len(b))
    for _ in b:
        powers.append(b @ v)
        v = a @ v

    def growth(z):
        return abs(sum(p * (-z)**i for i, p in enumerate(powers)))
    assert growth(table.stable * (1 - 1e-5)) <= 1 < growth(table.stable * (1 + 1e-5)) + 1e-12


def test_implicit_methods_damp_infinitely_fast_decays():
    """L-stable: R(z) -> 0 as z -> -infinity, and |R| <= 1 on the way."""
    for table in ESDIRKS.values():
        a, b = matrix(table), np.array(table.b)
        grow = [1 + z * b @ np.linalg.solve(np.eye(len(b)) - z * a, np.ones(len(b)))
                for z in (-1e-2, -1, -10, -1e3, -1e8)]
        assert max(map(abs, grow)) <= 1
        assert abs(grow[-1]) < 1e-6


def test_an_unknown_method():
    with pytest.raises(ValueError, match="there is no explicit method 'rk5'; there are euler, midpoint"):
        tableau("rk5")
