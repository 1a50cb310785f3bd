import pytest
import torch
from solvers.sde_truths import Geometric, Rotation, additive, slope, strong_order, weak_errors

from nde_lab.solvers import SDE, Brownian, Grid, sdeint


def test_strong_order_is_one_for_commuting_noise():
    assert strong_order(Geometric("stratonovich"), "heun", channels=2) == pytest.approx(1.0, abs=0.08)
    assert strong_order(Rotation("stratonovich"), "heun", channels=1) == pytest.approx(1.0, abs=0.08)
    assert strong_order(additive("stratonovich"), "heun", channels=3) == pytest.approx(1.0, abs=0.15)


def test_strong_order_is_one_half_for_noise_that_does_not_commute():
    # dX = dW1, dY = X dW2: the missing iterated integral of W1 against W2 is the whole error.
    matrix = lambda t, y: torch.diag_embed(torch.stack([torch.ones_like(y[:, 0]), y[:, 0]], -1))  # noqa: E731
    sde = SDE(lambda t, y: torch.zeros_like(y), matrix, "general", "stratonovich")
    assert strong_order(sde, "heun", channels=2, factors=(16, 32, 64, 128)) == pytest.approx(0.5, abs=0.08)


def test_weak_order_is_at_least_one():
    counts = (3, 4, 6, 8)
    errors = weak_errors(Geometric("stratonovich"), "heun", counts)
    assert slope([1 / n for n in counts], errors) > 0.85


def test_it_does_not_converge_to_the_ito_solution():
    assert abs(strong_order(Geometric("stratonovich"), "heun", Geometric("ito"), channels=2)) < 0.1


def test_without_noise_it_is_heuns_method_of_order_two():
    decay = SDE(lambda t, y: -y * torch.cos(t), lambda t, y: torch.zeros_like(y), sde_type="stratonovich")
    errors, sizes = [], (1 / 8, 1 / 16, 1 / 32, 1 / 64)
    for dt in sizes:
        path = Brownian.draw(Grid(0.0, 1.0, round(1 / dt)), (1, 1), seed=0, dtype=torch.float64)
        y = sdeint(decay, torch.ones(1, 1, dtype=torch.float64), [0.0, 1.0], path, "heun", dt=dt)[-1]
        errors.append(abs(y.item() - torch.exp(-torch.sin(torch.tensor(1.0, dtype=torch.float64))).item()))
    assert slope(sizes, errors) == pytest.approx(2.0, abs=0.1)
