"""One step: stiffness, error and their gradients against closed forms."""
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nde_lab.solvers import TABLEAUS, error_ratio, rk_step, stiffness

ADAPTIVE = [n for n, t in TABLEAUS.items() if t.adaptive]


def coefficients(table, weights):
    """The polynomial sum_i weights_i k_i / (lambda y) in z = h lambda, for y' = lambda y."""
    stages = [[1.0]]
    for row in table.a[1:]:
        poly = [1.0] + [0.0] * len(stages)
        for w, k in zip(row, stages, strict=True):
            for p, value in enumerate(k):
                poly[p + 1] += w * value
        stages.append(poly)
    out = [0.0] * len(stages)
    for w, k in zip(weights, stages, strict=True):
        for p, value in enumerate(k):
            out[p] += w * value
    return out


@pytest.mark.parametrize("method", ADAPTIVE)
@given(rate=st.floats(-50, 50).filter(lambda r: abs(r) > 0.1), z=st.floats(0.05, 2))
def test_error_and_solution_are_polynomials_in_h_lambda(method, rate, z):
    table = TABLEAUS[method]
    y, h = torch.tensor([[0.7, -2.0]], dtype=torch.float64), z / rate
    step = rk_step(lambda t, y: rate * y, torch.zeros(()), y, h, table)
    error = z * sum(c * z**p for p, c in enumerate(coefficients(table, table.b_error)))
    grow = 1 + z * sum(c * z**p for p, c in enumerate(coefficients(table, table.b)))
    torch.testing.assert_close(step.error, error * y, rtol=1e-9, atol=1e-13)
    torch.testing.assert_close(step.y, grow * y, rtol=1e-12, atol=1e-13)


def test_the_error_of_dopri5_in_numbers():
    """Only z^5 ... z^7 are left: the pair agrees to order 4."""
    c = coefficients(TABLEAUS["dopri5"], TABLEAUS["dopri5"].b_error)
    assert max(map(abs, c[:4])) < 1e-15
    assert c[4:] == pytest.approx([1 / 120 - 1097 / 120000, 1 / 600 - 161 / 120000, -1 / 24000], abs=1e-15)


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "bosh3", "heun", "rk4"])
@given(rate=st.floats(-1e4, 1e4).filter(lambda r: abs(r) > 1e-2), z=st.floats(0.2, 3))
def test_stiffness_is_the_rate(method, rate, z):
    y = torch.tensor([[1.0, 2.0], [-3.0, 0.5]], dtype=torch.float64)
    step = rk_step(lambda t, y: rate * y, torch.zeros(()), y, z / abs(rate),
                   TABLEAUS[method])
    want = torch.full((2,), abs(rate), dtype=torch.float64)
    torch.testing.assert_close(stiffness(step), want, rtol=1e-10, atol=0)


def test_stiffness_of_states_that_coincide_is_zero_with_a_gradient():
    p = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    step = rk_step(lambda t, y: p + 0 * y, torch.zeros(()), torch.ones(2, 3).double(), 0.1, TABLEAUS["dopri5"])
    s = stiffness(step)
    assert (s == 0).all()
    s.sum().backward()
    assert torch.isfinite(p.grad).all()


def test_stiffness_needs_two_stages():
    step = rk_step(lambda t, y: y, torch.zeros(()), torch.ones(1, 1), 0.1, TABLEAUS["euler"])
    with pytest.raises(ValueError, match="this method has one; use dopri5 or tsit5"):
        stiffness(step)


@given(rows=st.integers(1, 4), width=st.integers(1, 5), rtol=st.floats(1e-9, 1), atol=st.floats(1e-9, 1))
def test_error_ratio_is_the_root_mean_square(rows, width, rtol, atol):
    g = torch.Generator().manual_seed(rows * 7 + width)
    e, y0, y1 = (torch.randn(rows, width, generator=g, dtype=torch.float64) for _ in range(3))
    want = [math.sqrt(sum((e[b, j] / (atol + rtol * max(abs(y0[b, j]), abs(y1[b, j]))))**2
                          for j in range(width)) / width) for b in range(rows)]
    torch.testing.assert_close(error_ratio(e, y0, y1, rtol, atol), torch.tensor(want).double())


def test_gradients_of_error_and_stiffness():
    w = torch.randn(2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    y = torch.tensor([[1.0, -0.5], [0.3, 2.0]], dtype=torch.float64, requires_grad=True)

    def both(w, y):
        step = rk_step(lambda t, y: torch.tanh(y @ w), torch.zeros(()), y, 0.7, TABLEAUS["tsit5"])
        return error_ratio(step.error, y, step.y, 1e-3, 1e-3), stiffness(step), step.y
    assert torch.autograd.gradcheck(both, (w, y))


def test_an_error_of_zero_has_a_gradient():
    e = torch.zeros(2, 3, requires_grad=True)
    q = error_ratio(e, torch.ones(2, 3), torch.ones(2, 3), 1e-3, 1e-6)
    q.sum().backward()
    assert (q < 1e-12).all() and torch.isfinite(e.grad).all()


@pytest.mark.parametrize("method", TABLEAUS)
def test_a_clock_per_row_and_a_row_that_stands_still(method):
    """t, h (B, 1): every row as by itself; h = 0 leaves a row exactly where it is."""
    def f(t, y):
        return torch.sin(y) * (1 + t)
    g = torch.Generator().manual_seed(1)
    y = torch.randn(3, 2, generator=g, dtype=torch.float64)
    t, h = torch.tensor([[0.0], [1.0], [2.0]]).double(), torch.tensor([[0.3], [0.0], [-0.2]]).double()
    step = rk_step(f, t, y, h, TABLEAUS[method])
    for b in range(3):
        one = rk_step(f, t[b, 0], y[b:b + 1], h[b, 0], TABLEAUS[method])
        torch.testing.assert_close(step.y[b:b + 1], one.y, rtol=1e-15, atol=1e-15)
    assert torch.equal(step.y[1], y[1])


@pytest.mark.parametrize("method", [n for n, t in TABLEAUS.items() if t.fsal])
def test_the_last_stage_is_the_next_first(method):
    def f(t, y):
        return torch.cos(y + t)
    y, t = torch.ones(1, 2).double(), torch.zeros(()).double()
    step = rk_step(f, t, y, 0.1, TABLEAUS[method])
    assert torch.equal(step.k[-1], f(t + 0.1, step.y))
    again = rk_step(f, t + 0.1, step.y, 0.1, TABLEAUS[method], k1=step.k[-1])
    assert torch.equal(again.y, rk_step(f, t + 0.1, step.y, 0.1, TABLEAUS[method]).y)
