import pytest
import torch
from solvers.sde_truths import F64, Geometric, Rotation, additive, slope, strong_order, weak_errors

from nde_lab.solvers import SDE, SolverError, sdeint

CUBIC = SDE(lambda t, y: -y**3, lambda t, y: 0.5 * torch.ones_like(y))


def test_strong_orders():
    assert strong_order(Geometric(), "tamed_euler", channels=2) == pytest.approx(0.5, abs=0.08)
    assert strong_order(Rotation(), "tamed_euler", channels=1) == pytest.approx(0.5, abs=0.1)
    assert strong_order(additive(), "tamed_euler", channels=3) == pytest.approx(1.0, abs=0.1)


def test_weak_order_is_one():
    counts = (3, 4, 6, 8)
    errors = weak_errors(Geometric(), "tamed_euler", counts)
    assert slope([1 / n for n in counts], errors) == pytest.approx(1.0, abs=0.25)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_survives_where_euler_explodes(dtype):
    y0 = torch.linspace(-30.0, 30.0, 40, dtype=dtype).reshape(-1, 1)    # Euler's threshold: sqrt(2/dt) = 4.5
    with pytest.raises(SolverError, match="tamed_euler"):
        sdeint(CUBIC, y0, [0.0, 50.0], method="euler", dt=0.1, seed=0)
    end = sdeint(CUBIC, y0, [0.0, 50.0], method="tamed_euler", dt=0.1, seed=0)[-1]
    # The stationary density is proportional to exp(-2 y^4): nothing lives beyond 2.
    assert end.abs().max() < 2.0


def test_it_converges_on_the_cubic_drift():
    assert strong_order(CUBIC, "tamed_euler", channels=2) == pytest.approx(1.0, abs=0.15)


def test_the_drift_moves_a_row_by_less_than_one():
    y0 = torch.tensor([[1e3, -2e3], [5.0, 0.0]], dtype=F64)
    silent = torch.zeros(1, 2, 2, dtype=F64)
    y1 = sdeint(CUBIC, y0, [0.0, 0.1], silent, "tamed_euler", dt=0.1)[-1]
    moved = (y1 - y0).norm(dim=1)
    assert (moved <= 1.0).all() and moved[0] > 0.99


def test_a_drift_of_zero_has_a_gradient():
    y0 = torch.zeros(2, 3, requires_grad=True)
    sdeint(CUBIC, y0, [0.0, 0.1], torch.zeros(1, 2, 3), "tamed_euler", dt=0.1)[-1].sum().backward()
    assert torch.equal(y0.grad, torch.ones(2, 3))
