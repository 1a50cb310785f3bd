import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nde_lab.solvers import Brownian, Grid

F64 = torch.float64


def test_increments_have_the_variance_of_their_step():
    grid = Grid.covering([0.0, 1.0], 0.3)                                # steps 0.3, 0.3, 0.3, 0.1
    dW = Brownian.draw(grid, (20_000, 2), seed=1, dtype=F64).increments
    assert dW.shape == (4, 20_000, 2)
    for step, size in zip(dW, grid.sizes, strict=True):
        assert abs(step.mean()) < 4 * math.sqrt(size / 40_000)
        assert step.var() / size == pytest.approx(1.0, abs=0.04)
    flat = dW.permute(0, 2, 1).reshape(8, -1)
    assert (torch.corrcoef(flat) - torch.eye(8, dtype=F64)).abs().max() < 0.04


@given(st.integers(0, 2**53 - 1), st.integers(1, 6), st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_a_coarse_path_is_the_fine_path_at_fewer_times(seed, batch, factor):
    fine = Brownian.draw(Grid(0.0, 2.0, 24), (batch, 2), seed=seed, dtype=F64)
    coarse = fine.coarsen(factor)
    assert coarse.grid.times == pytest.approx(fine.grid.times[::factor])
    assert torch.allclose(coarse.path(), fine.path()[::factor], atol=1e-12)
    assert torch.allclose(fine.on(coarse.grid), coarse.increments)


def test_same_seed_same_path_and_another_seed_another():
    def draw(seed, **options):
        return Brownian.draw(Grid(0.0, 1.0, 10), (3, 2), seed=seed, **options).increments
    assert torch.equal(draw(5), draw(5)) and not torch.equal(draw(5), draw(6))
    assert torch.allclose(draw(5).double(), draw(5, dtype=F64), rtol=1e-6)


def test_queries_between_grid_times():
    path = Brownian.draw(Grid(0.0, 1.0, 10), (3, 2), seed=0, dtype=F64)
    W = path.path()
    assert torch.allclose(path(0.2, 0.7), W[7] - W[2]) and torch.allclose(path(torch.tensor(0.4)), W[4])
    assert torch.equal(path(0.5, 0.5), torch.zeros(3, 2, dtype=F64))
    total = 0.0
    for _ in range(7):
        total += 0.1                                                    # 0.7 missed by rounding is still 0.7
    assert torch.allclose(path(0.0, total), W[7])


@pytest.mark.parametrize("make, sentence", [
    (lambda p: p(0.25, 0.5), "known at multiples of 0.1 from 0 to 1, not at t=0.25"),
    (lambda p: p(0.5, 1.5), "not at t=1.5"),
    (lambda p: p.coarsen(3), "coarsened by a whole number that divides it"),
    (lambda p: p.on(Grid(0.0, 1.0, 4)), "known at 10 steps of 0.1 from 0 to 1; 4 steps of 0.25"),
    (lambda p: p.on(Grid(0.0, 2.0, 10)), "from 0 to 2 were asked for. Use dt=0.1"),
    (lambda p: Brownian(p.grid, torch.zeros(9, 3, 2)), r"shape \(10, B, m\), got \(9, 3, 2\)"),
    (lambda p: Brownian.draw(Grid(0.0, 1.0, 10**6), (10**3, 1), seed=0),
     "too many to hold at once.*ChunkedBrownian"),
    (lambda p: Brownian.draw(p.grid, (1, 1), seed=-1), "a seed is an integer"),
])
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make(Brownian.draw(Grid(0.0, 1.0, 10), (3, 2), seed=0))
