import pytest
import torch
from solvers.sde_truths import F64, Geometric, Rotation, additive, slope, strong_order, weak_errors

from nde_lab.solvers import SDE, Brownian, EulerMaruyama, Grid, sdeint


def test_strong_order_is_one_half_for_multiplicative_noise():
    assert strong_order(Geometric(), "euler", channels=2) == pytest.approx(0.5, abs=0.08)
    assert strong_order(Rotation(), "euler", channels=1) == pytest.approx(0.5, abs=0.08)


def test_strong_order_is_one_for_additive_noise():
    assert strong_order(additive(), "euler", channels=3) == pytest.approx(1.0, abs=0.1)


def test_weak_order_is_one():
    counts = (3, 4, 6, 8)
    errors = weak_errors(Geometric(), "euler", counts)
    assert slope([1 / n for n in counts], errors) == pytest.approx(1.0, abs=0.15)


def test_it_does_not_converge_to_the_stratonovich_solution():
    assert abs(strong_order(Geometric("ito"), "euler", Geometric("stratonovich"), channels=2)) < 0.1


def test_a_step_by_hand():
    sde = SDE(lambda t, y: t * y, lambda t, y: y * y)
    y = EulerMaruyama().step(sde, torch.tensor(2.0, dtype=F64), torch.tensor([[3.0]], dtype=F64), 0.25,
                             torch.tensor([[0.5]], dtype=F64))
    assert y.item() == pytest.approx(3.0 + 2.0 * 3.0 * 0.25 + 9.0 * 0.5)


def test_a_diagonal_matrix_is_diagonal_noise():
    path = Brownian.draw(Grid(0.0, 1.0, 50), (7, 3), seed=1, dtype=F64)
    y0 = torch.rand(7, 3, dtype=F64, generator=torch.Generator().manual_seed(0))
    one = sdeint(Geometric(noise_type="diagonal"), y0, [0.0, 1.0], path, "euler", dt=0.02)
    two = sdeint(Geometric(noise_type="general"), y0, [0.0, 1.0], path, "euler", dt=0.02)
    assert torch.allclose(one, two, rtol=1e-13)
