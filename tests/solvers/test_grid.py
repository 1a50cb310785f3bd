import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nde_lab.solvers import Grid

steps = st.integers(1, 3000)
starts = st.floats(-50, 50)
lengths = st.floats(1e-3, 100)


@given(starts, lengths, steps)
def test_an_even_grid_ends_where_it_should_and_steps_by_dt(t0, length, n):
    grid = Grid(t0, t0 + length, n)
    times = np.array(grid.times)
    assert len(times) == n + 1 and times[0] == t0 and times[-1] == grid.t1 and grid.even
    assert np.allclose(np.diff(times), grid.dt, rtol=1e-6, atol=1e-13 * 100)
    assert len(grid.sizes) == n and set(grid.sizes) == {grid.dt}


@given(starts, lengths, st.floats(1e-3, 1.0))
def test_a_covering_grid_has_no_stray_step(t0, length, dt):
    grid = Grid.covering([t0, t0 + length], dt)
    sizes = np.array(grid.sizes)
    assert grid.time(0) == t0 and grid.time(grid.steps) == t0 + length
    assert math.isclose(sizes.sum(), length, rel_tol=1e-9)
    assert (sizes > 1e-7 * dt).all() and (sizes <= dt * (1 + 1e-3)).all()
    assert grid.steps <= math.ceil(length / dt) and np.allclose(np.diff(grid.times), sizes, atol=1e-12)


@pytest.mark.parametrize("n", [3, 7, 10, 100, 1000, 99_999])
def test_the_sum_of_a_decimal_step_is_no_extra_step(n):
    assert Grid.covering([0.0, 1.0], 1 / n).steps == n
    assert Grid.covering(torch.tensor([0.0, 1.0]), 1 / n).steps == n
    assert Grid.covering([0.0, 1.0], 0.3333333).steps == 3              # a third, typed by hand
    assert Grid.covering([0.0, 1.0], 0.33333).steps == 4                # meant as it is written
    grid = Grid.covering(torch.tensor([0.0, 0.3, 70.1]), 0.1)          # 70.1 and 0.3 in float32
    assert grid.steps == 701 and grid.even
    assert grid.locate(torch.tensor([0.0, 0.3, 70.1])) == [(0, 1.0), (3, 1.0), (701, 1.0)]


def test_times_between_grid_points_and_a_short_last_step():
    grid = Grid.covering([0.0, 1.0], 0.3)
    assert grid.steps == 4 and not grid.even
    assert grid.times == pytest.approx([0.0, 0.3, 0.6, 0.9, 1.0])
    assert grid.sizes == pytest.approx([0.3] * 3 + [0.1])
    (k, w), last, middle = grid.locate([0.4, 1.0])[0], grid.locate([0.4, 1.0])[1], grid.locate([0.4, 0.95])[1]
    assert (k, w) == (2, pytest.approx(1 / 3)) and last == (4, 1.0) and middle == (4, pytest.approx(0.5))
    assert Grid.covering([0.0, 1.0], 5.0).times == [0.0, 1.0]


@given(starts, lengths, st.integers(1, 200), st.lists(st.floats(0, 1), min_size=1, max_size=8, unique=True))
def test_located_times_are_the_times(t0, length, n, fractions):
    grid = Grid(t0, t0 + length, n)
    ts = sorted({min(t0 + length * u, grid.t1) for u in fractions})
    for t, (k, w) in zip(ts, grid.locate(ts), strict=True):
        left = grid.time(max(k - 1, 0))
        assert 0 <= k <= n and 0 < w <= 1
        assert left + w * (grid.time(k) - left) == pytest.approx(t, abs=2e-6 * grid.dt + 1e-12)


@given(st.integers(1, 40), st.integers(1, 12))
def test_coarsening_keeps_every_kth_time(n, factor):
    grid = Grid(-1.0, 2.0, n * factor)
    assert grid.coarsen(factor).times == pytest.approx(grid.times[::factor])


def test_the_tensor_is_the_rounded_times():
    grid = Grid(0.0, 1.0, 7)
    assert grid.tensor().dtype == torch.float32 and grid.tensor(torch.float64).tolist() == grid.times


@pytest.mark.parametrize("make, sentence", [
    (lambda: Grid(0.0, 1.0, 0), "steps must be a whole number from 1"),
    (lambda: Grid(0.0, 1.0, -3), "steps must be a whole number from 1"),
    (lambda: Grid(0.0, 1.0, 2.0), "got 2.0"),
    (lambda: Grid(1.0, 1.0, 4), "t0 must be below t1, got t0=1, t1=1"),
    (lambda: Grid(0.0, math.nan, 4), "t1 must be a finite number, got nan"),
    (lambda: Grid(0.0, 1.0, 4, 0.1), "4 steps of dt=0.1 do not end at t1=1"),
    (lambda: Grid(0.0, 1.0, 4, 0.5), "leave dt out for equal steps of 0.25"),
    (lambda: Grid.covering([0.0, 1.0], 0.0), "dt must be a positive step length, got 0"),
    (lambda: Grid.covering([0.0, 1.0], -0.1), "dt must be a positive step length, got -0.1"),
    (lambda: Grid.covering([0.0, 1.0], math.inf), "dt must be a finite number"),
    (lambda: Grid.covering([0.0, 1.0], "0.1"), "dt must be a finite number, got '0.1'"),
    (lambda: Grid.covering([0.0, 1.0], 1e-12), r"would take 1e\+12 steps"),
    (lambda: Grid.covering([0.0], 0.1), "at least 2 times"),
    (lambda: Grid.covering(3.0, 0.1), "ts must be a 1-d tensor or a sequence of numbers, got 3.0"),
    (lambda: Grid.covering("01", 0.1), "ts must be a 1-d tensor"),
    (lambda: Grid.covering([0.0, None], 0.1), "every entry of ts must be a finite number, got None"),
    (lambda: Grid.covering(torch.zeros(2, 2), 0.1), r"got shape \(2, 2\)"),
    (lambda: Grid.covering([0.0, 2.0, 1.0], 0.1),
     r"ts must increase strictly, but ts\[2\]=1 follows ts\[1\]=2"),
    (lambda: Grid.covering([0.0, 1.0, 1.0], 0.1), "drop repeated times"),
    (lambda: Grid.covering(torch.tensor([0.0, 1.0], requires_grad=True), 0.1), "must not require a gradient"),
    (lambda: Grid(0.0, 1.0, 8).locate([0.5, 1.5]), "time 1.5 lies outside the grid from 0 to 1"),
    (lambda: Grid(0.0, 1.0, 8).locate([-0.5]), "time -0.5 lies outside"),
    (lambda: Grid(0.0, 1.0, 12).coarsen(5), "possible: 2, 3, 4, 6, 12"),
    (lambda: Grid.covering([0.0, 1.0], 0.3).coarsen(2), "only a grid of equal steps"),
])
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
