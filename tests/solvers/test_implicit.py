"""Implicit methods: orders, few steps on stiff problems, Newton row by row."""
import pytest
import torch
from solvers.ode_truths import Y0, circle, circle_at, forced, forced_at, slope

from nde_lab.solvers import solve_ode
from nde_lab.solvers.implicit import ESDIRKS, jacobian


@pytest.mark.parametrize("method", ESDIRKS)
def test_orders(method):
    order, sizes = ESDIRKS[method].order, [0.2, 0.1, 0.05]
    for f, at in ((circle, circle_at), (forced, forced_at)):
        ends = [solve_ode(f, Y0, [0.0, 2.0], method=method, dt=dt, rtol=1e-11, atol=1e-11).ys[-1]
                for dt in sizes]
        errors = [(y - at(2.0)).norm() for y in ends]
        assert slope(sizes, errors) == pytest.approx(order, abs=0.2)


def test_a_fast_decay_onto_a_slow_curve_takes_few_steps():
    """y' = -1e4 (y - cos t): dopri5 is held at steps of 3.3e-4 by stability."""
    def f(t, y):
        return -1e4 * (y - torch.cos(t))
    s = solve_ode(f, Y0, [0.0, 2.0, 6.0], method="esdirk4", rtol=1e-6, atol=1e-8)
    assert s.ok.all() and int(s.stats["accepted"].max()) <= 60
    for t, y in zip((2.0, 6.0), s.ys[1:], strict=True):
        t = torch.tensor(t, dtype=torch.float64)
        exact = (1e8 * torch.cos(t) + 1e4 * torch.sin(t)) / (1e8 + 1)               # the slow curve
        torch.testing.assert_close(y, exact.expand(3, 2), rtol=2e-6, atol=2e-6)
    explicit = solve_ode(f, Y0, [0.0, 0.1], rtol=1e-6, atol=1e-8)
    assert int(explicit.stats["accepted"].max()) > 4 * 60     # for a sixtieth of the way


def van_der_pol(t, y):
    return torch.stack([y[:, 1], 1000 * (1 - y[:, 0]**2) * y[:, 1] - y[:, 0]], -1)


@pytest.mark.parametrize("method, most", [("esdirk4", 320), ("kvaerno3", 500)])
def test_van_der_pol(method, most):
    """mu = 1000: two jumps in [0, 2000]; a known value (Hairer and Wanner's test set, Radau to 1e-12)."""
    y0 = torch.tensor([[2.0, 0.0]], dtype=torch.float64)
    s = solve_ode(van_der_pol, y0, [0.0, 2000.0], method=method, rtol=1e-3, atol=1e-6)
    assert s.ok.all() and int(s.stats["accepted"]) < most
    assert s.ys[-1, 0, 0].item() == pytest.approx(1.706167732170469, rel=5e-3)


def test_newton_fails_for_one_row_only():
    """Row 1 runs into a root's infinite slope and shortens its own steps; row 0 does not notice."""
    rate = torch.tensor([[1.0], [50.0]], dtype=torch.float64)

    def f(t, y):
        return -rate * y.abs().sqrt() * y.sign()
    both = solve_ode(f, torch.ones(2, 1).double(), [0.0, 1.0], method="esdirk4", rtol=1e-5, atol=1e-6)
    alone = solve_ode(lambda t, y: -y.abs().sqrt() * y.sign(), torch.ones(1, 1).double(), [0.0, 1.0],
                      method="esdirk4", rtol=1e-5, atol=1e-6)
    assert both.stats["accepted"][0] == alone.stats["accepted"][0] != both.stats["accepted"][1]
    assert both.ys[-1, 0].item() == pytest.approx(0.25, rel=1e-4)


def test_jacobian_of_every_row():
    w = torch.randn(2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    y = Y0.clone().requires_grad_()
    got = jacobian(torch.sin(y @ w), y)
    for b in range(3):
        want = torch.autograd.functional.jacobian(lambda y: torch.sin(y @ w), Y0[b])
        torch.testing.assert_close(got[b], want)
    assert not jacobian(torch.ones(3, 2).double(), y).any()


@pytest.mark.parametrize("method", ESDIRKS)
@pytest.mark.parametrize("gradient", ["through", "checkpoint"])
def test_gradients_of_a_stiff_solve(method, gradient):
    p = torch.tensor([2000.0, 1.5], dtype=torch.float64, requires_grad=True)

    def f(t, y):
        return -p[0] * (y - torch.sin(p[1] * t))
    s = solve_ode(f, Y0[:1], [0.0, 1.0], method=method, rtol=1e-5, atol=1e-7, gradient=gradient, params=(p,))
    g, = torch.autograd.grad(s.ys[-1, 0, 0], p)
    q = p.detach().clone().requires_grad_()
    a, w = q                                                 # the slow curve, exact once the start is forgotten
    curve = (a * a * torch.sin(w) - a * w * torch.cos(w)) / (a * a + w * w)
    want, = torch.autograd.grad(curve, q)
    assert float(g[1]) == pytest.approx(float(want[1]), rel=5e-3)
    assert float(g[0]) == pytest.approx(float(want[0]), rel=0.1)
