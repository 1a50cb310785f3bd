"""Events: found where they are, per row, differentiable."""
import math

import pytest
import torch
from solvers.ode_truths import Y0, circle, circle_at

from nde_lab.solvers import Event, solve_ode


def fall(t, y):
    """Height and speed under gravity."""
    return torch.stack([y[:, 1], torch.full_like(y[:, 0], -9.81)], -1)


HEIGHTS = torch.tensor([[10.0, 0.0], [2.0, 3.0], [40.0, 0.0]], dtype=torch.float64)
GROUND = Event(lambda t, y: y[:, 0])


def landing(start):
    h, v = start[..., 0], start[..., 1]
    return (v + (v * v + 2 * 9.81 * h).sqrt()) / 9.81


@pytest.mark.parametrize("settings", [dict(), dict(method="tsit5"), dict(method="rk4", dt=0.05),
                                      dict(method="esdirk4")], ids=str)
def test_every_row_lands_for_itself(settings):
    s = solve_ode(fall, HEIGHTS, [0.0, 0.5, 1.2, 2.0], event=GROUND, rtol=1e-8, atol=1e-8, **settings)
    assert s.ok.all() and s.event_rows.tolist() == [True, True, False]
    torch.testing.assert_close(s.event_t[:2], landing(HEIGHTS[:2]), rtol=1e-10, atol=1e-10)
    assert s.event_y[:2, 0].abs().max() < 1e-9 and s.event_t[2] == 2
    assert torch.equal(s.ys[3], s.event_y) and torch.equal(s.ys[2, 1], s.event_y[1])      # stays where it ended
    assert s.ys[1, 1, 0].item() == pytest.approx(2 + 1.5 - 9.81 / 8)
    assert "2 of 3 rows at their event" in s.status.sentence


@pytest.mark.parametrize("direction, t", [(0, math.pi / 2), (1, 3 * math.pi / 2), (-1, math.pi / 2)])
def test_direction(direction, t):
    s = solve_ode(circle, torch.tensor([[1.0, 0.0]]).double(), [0.0, 6.0], rtol=1e-9, atol=1e-9,
                  event=Event(lambda t, y: y[:, :1], direction))
    assert s.event_t.item() == pytest.approx(t, abs=1e-7)


def test_a_start_on_the_zero_waits_for_the_next_one_and_time_may_run_backward():
    y0 = torch.tensor([[0.0, 1.0]]).double()
    for end in (5.0, -5.0):
        s = solve_ode(circle, y0, [0.0, end], rtol=1e-9, atol=1e-9, event=GROUND)
        assert s.event_t.item() == pytest.approx(math.copysign(math.pi, end), abs=1e-7)


def test_an_event_in_time():
    s = solve_ode(circle, Y0, [0.0, 2.0], event=Event(lambda t, y: (t - 0.7) * torch.ones_like(y[:, :1])))
    torch.testing.assert_close(s.event_t, torch.full((3,), 0.7).double(), rtol=0, atol=2e-8)
    torch.testing.assert_close(s.event_y, circle_at(0.7), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("gradient", ["through", "checkpoint", "adjoint"])
def test_time_and_state_of_the_event_are_differentiable(gradient):
    gravity = torch.tensor(9.81, dtype=torch.float64, requires_grad=True)
    start = HEIGHTS[:2].clone().requires_grad_()

    def f(t, y):
        return torch.stack([y[:, 1], -gravity.expand(len(y))], -1)
    s = solve_ode(f, start, [0.0, 5.0], event=GROUND, gradient=gradient, params=(gravity,), rtol=1e-9,
                  atol=1e-9)
    t = (start[:, 1] + (start[:, 1]**2 + 2 * gravity * start[:, 0]).sqrt()) / gravity
    speed = start[:, 1] - gravity * t
    got, want = ((a.sum() + (b * b).sum()) for a, b in ((s.event_t, s.event_y[:, 1]), (t, speed)))
    for g, w in zip(torch.autograd.grad(got, (start, gravity)), torch.autograd.grad(want, (start, gravity)),
                    strict=True):
        torch.testing.assert_close(g, w, rtol=1e-6, atol=1e-6)


def test_refusals():
    with pytest.raises(ValueError, match=r"an event needs a function fn\(t, y\), got float"):
        Event(0.5)
    with pytest.raises(ValueError, match="direction must be -1, 0 or 1, got 2"):
        Event(lambda t, y: y, 2)
    with pytest.raises(ValueError, match=r"one number per row, \(3,\), got \(3, 2\)"):
        solve_ode(circle, Y0, [0.0, 1.0], event=Event(lambda t, y: y))
