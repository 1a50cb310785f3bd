"""Dense output: order, slopes, whose row and which step, refusals."""
import pytest
import torch
from solvers.ode_truths import Y0, circle, circle_at, slope

from nde_lab.solvers import TABLEAUS, solve_ode


@pytest.mark.parametrize("method", TABLEAUS)
def test_order_inside_the_steps(method):
    """The largest error over many times between the grid points falls like h^order."""
    order, sizes, fine = TABLEAUS[method].order, [0.2, 0.1, 0.05], torch.linspace(0, 2, 171).double()
    errors = [float((solve_ode(circle, Y0, [0.0, 2.0], method=method, dt=dt, dense=True).dense(fine)
                     - torch.stack([circle_at(t) for t in fine])).abs().max()) for dt in sizes]
    assert slope(sizes, errors) == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize("method", ["dopri5", "tsit5", "bosh3"])
def test_value_and_slope_are_continuous_where_steps_meet(method):
    s = solve_ode(circle, Y0, [0.0, 2.0], method=method, rtol=1e-5, dense=True)
    for record in s.dense.records[1:4]:
        t = torch.from_numpy(record.t).clone()[:, None]
        left, right = (s.dense((t + e).clip(0, 2)) for e in (-1e-9, 1e-9))
        torch.testing.assert_close(left, right, rtol=1e-7, atol=1e-7)
        torch.testing.assert_close(s.dense.slope((t - 1e-9).clip(0, 2)), s.dense.slope((t + 1e-9).clip(0, 2)),
                                   rtol=1e-5, atol=1e-6)


def test_shapes_rows_and_agreement_with_the_saved_states():
    ts = [0.0, 0.4, 1.1, 2.0]
    s = solve_ode(circle, Y0, ts, dense=True)
    assert s.dense(0.7).shape == (3, 2) and s.dense(torch.tensor([0.2, 0.3])).shape == (2, 3, 2)
    torch.testing.assert_close(s.dense(ts), s.ys, rtol=1e-13, atol=1e-13)
    own = torch.tensor([[0.1, 1.9], [0.5, 0.6], [2.0, 0.0]], dtype=torch.float64)
    got = s.dense(own)
    assert got.shape == (2, 3, 2)
    for b in range(3):
        torch.testing.assert_close(got[:, b], circle_at(own[b], Y0[b]), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(s.dense.slope(0.7), circle(0, circle_at(0.7)), rtol=1e-3, atol=1e-3)


def test_backward_and_own_spans():
    ends = torch.tensor([[0.0, 1.0], [0.0, -2.0], [1.0, 3.0]], dtype=torch.float64)
    s = solve_ode(circle, Y0, ends, rtol=1e-8, atol=1e-8, dense=True)
    at = torch.tensor([[0.5], [-1.5], [2.5]], dtype=torch.float64)
    torch.testing.assert_close(s.dense(at)[0], circle_at(at[:, 0] - ends[:, 0]), rtol=1e-6, atol=1e-6)
    with pytest.raises(ValueError, match="time 0.5 lies outside what row 1 was solved for, from 0 to -2"):
        s.dense(0.5)


def test_it_carries_gradients():
    y0 = Y0.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda y: solve_ode(circle, y, [0.0, 1.0], rtol=1e-9, atol=1e-9, dense=True)
                                    .dense(0.37), (y0,))


def test_refusals():
    s = solve_ode(circle, Y0, [0.0, 1.0], dense=True)
    with pytest.raises(ValueError, match="time 1.2 lies outside what row 0 was solved for, from 0 to 1"):
        s.dense([0.5, 1.2])
    with pytest.raises(ValueError, match=r"at times \(M,\) or at \(B, M\) with B=3, got shape \(2, 4\)"):
        s.dense(torch.zeros(2, 4))
    with pytest.raises(ValueError, match="dense output carries no gradient with gradient='adjoint'"):
        solve_ode(circle, Y0, [0.0, 1.0], dense=True, gradient="adjoint", params=())
