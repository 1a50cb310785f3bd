"""Laws of the grid equation and of the clouds beside it."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import knobs_of, last, run
from nde_lab.sdes.brownian_motion import DoubleWell, Hopping
from nde_lab.sdes.brownian_motion import fokker_planck as fp
from nde_lab.sdes.brownian_motion.langevin import WALL, reflect

T64 = torch.float64
settings_of_wells = st.tuples(st.floats(0, 2), st.floats(-0.5, 0.5), st.floats(0.4, 1.4))


def well(b, c, sigma, cells=64):
    x, dx = fp.cell_centres(-WALL, WALL, cells, T64), 2 * WALL / cells
    U = fp.double_well(x, b=b, c=c)
    return x, dx, U, sigma**2 / 2


@given(settings_of_wells)
def test_the_law_at_rest_stays_and_the_figures_step_is_short_enough(knobs):
    x, dx, U, D = well(*knobs)
    right, left = fp.jump_rates(U, D=D, dx=dx)
    rest = fp.at_rest(U, D=D, dx=dx)
    assert torch.allclose(fp.density_step(rest, right, left, 0.001), rest, atol=1e-10)
    assert float(fp.largest_step(right, left)) > DoubleWell.dt / 2


@given(settings_of_wells, st.integers(0, 63))
def test_mass_is_kept_and_no_density_turns_negative(knobs, cell):
    x, dx, U, D = well(*knobs)
    right, left = fp.jump_rates(U, D=D, dx=dx)
    p = torch.zeros(64, dtype=T64)
    p[cell] = 1 / dx
    for _ in range(5):
        p = fp.density_step(p, right, left, float(fp.largest_step(right, left)))
        assert float(p.min()) >= -1e-12 and float(p.sum()) * dx == pytest.approx(1.0)


def test_bernoulli_is_smooth_through_zero_and_has_its_symmetry():
    z = torch.tensor([-30.0, -1.0, -1.1e-3, -9e-4, 0.0, 9e-4, 1.1e-3, 1.0, 30.0], dtype=T64)
    assert torch.allclose(fp.bernoulli(-z), fp.bernoulli(z) + z, atol=1e-6)
    assert float(fp.bernoulli(torch.zeros((), dtype=T64))) == 1.0


def test_second_order_in_the_width_of_a_cell():
    """Ornstein-Uhlenbeck, U = x^2/2: the density at t = 0.5 from a normal law is normal in closed form."""
    errors = []
    for cells in (40, 80, 160):
        x, dx = fp.cell_centres(-5.0, 5.0, cells, T64), 10 / cells
        normal = lambda m, v, x=x: torch.exp(-(x - m) ** 2 / (2 * v)) / math.sqrt(2 * math.pi * v)  # noqa: E731
        v = 0.2 * math.exp(-1.0) + 0.5 * (1 - math.exp(-1.0))
        p, U = normal(1.0, 0.2), x**2 / 2
        right, left = fp.jump_rates(U, D=0.5, dx=dx)
        n = 4000
        for _ in range(n):
            p = fp.density_step(p, right, left, 0.5 / n)
        errors.append(float((p - normal(math.exp(-0.5), v)).abs().max()))
    slopes = [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]
    assert all(s == pytest.approx(2.0, abs=0.25) for s in slopes), slopes


def test_the_pull_is_the_slope_of_the_well():
    x = torch.linspace(-2, 2, 41, dtype=T64)
    for b, c in ((1.0, 0.0), (0.3, -0.4)):
        numeric = (fp.double_well(x + 1e-5, b=b, c=c) - fp.double_well(x - 1e-5, b=b, c=c)) / 2e-5
        assert torch.allclose(fp.double_well_pull(x, b=b, c=c), -numeric, atol=1e-6)


def test_a_grid_that_is_none_is_refused():
    with pytest.raises(ValueError, match="a grid needs low < high and at least 2 cells, got low=1, high=0, "
                                         "cells=5"):
        fp.cell_centres(1, 0, 5)


@settings(max_examples=15, deadline=None)
@given(st.fixed_dictionaries({n: st.floats(k.low, k.high) for n, k in DoubleWell.live.items()}),
       st.sampled_from(DoubleWell.fixed["start"].choices))
def test_no_knob_breaks_the_double_well(knobs, start):
    frame = last(run(DoubleWell, knobs | {"start": start}, steps=5))
    assert frame.status.kind == "finished", frame.status.sentence
    p, rest = (torch.tensor(frame.arrays[n]).double() for n in ("p", "rest"))
    assert float(p.min()) >= 0 and float(p.sum()) / 16 == pytest.approx(1.0, abs=1e-4)
    assert float(rest.sum()) / 16 == pytest.approx(1.0, abs=1e-4)
    assert abs(frame.arrays["x"]).max() <= WALL
    assert float(frame.arrays["histogram"].sum()) / 8 == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("start", ["left", "right", "spread"])
def test_cloud_and_density_go_together_and_end_at_rest_whatever_the_start(start):
    frame = last(run(DoubleWell, {"start": start, "b": 0.5, "sigma": 1.2}))
    counting = math.sqrt(2 / (math.pi * 2000)) * math.sqrt(32)       # at most: 32 equal bins
    assert frame.history["density"][-1] < 1e-2 and frame.history["cloud"][-1] < 1.5 * counting


def test_low_noise_does_not_mix():
    frame = last(run(DoubleWell, {"start": "left", "sigma": 0.5}, steps=100))
    assert frame.history["cloud"][-1] > 0.95 and frame.history["density"][-1] > 0.95


def test_reflection_keeps_points_inside():
    x = torch.tensor([-2.3, -2.0, 0.0, 1.9, 2.5])
    assert torch.allclose(reflect(x), torch.tensor([-1.7, -2.0, 0.0, 1.9, 1.5]))


def test_crossing_time_solves_its_equation():
    """D T'' - U' T' = -1, T(1) = 0, T'(low) = 0, by finite differences on another grid."""
    sigma, n, low = 0.8, 2000, -2.5
    D, dx = sigma**2 / 2, (1 - low) / n
    x = torch.linspace(low, 1.0, n + 1, dtype=T64)
    pull = fp.double_well_pull(x, b=1.0)
    A = torch.diag(torch.full((n + 1,), -2 * D / dx**2, dtype=T64))
    A += torch.diag(D / dx**2 + pull[:-1] / (2 * dx), 1) + torch.diag(D / dx**2 - pull[1:] / (2 * dx), -1)
    A[0, :] = 0
    A[0, 0], A[0, 1] = -1.0, 1.0
    A[-1, :] = 0
    A[-1, -1] = 1.0
    rhs = -torch.ones(n + 1, dtype=T64)
    rhs[0] = rhs[-1] = 0.0
    T = torch.linalg.solve(A, rhs)
    at = int(round((-1 - low) / dx))
    measured = float(fp.crossing_time(b=1.0, sigma=torch.tensor(sigma, dtype=T64)))
    assert measured == pytest.approx(float(T[at]), rel=2e-3)


@settings(max_examples=10, deadline=None)
@given(st.fixed_dictionaries({n: st.floats(k.low, k.high) for n, k in Hopping.live.items()}))
def test_no_knob_breaks_hopping(knobs):
    frame = last(run(Hopping, knobs, steps=3))
    assert frame.status.kind == "finished", frame.status.sentence
    h = {n: v[-1] for n, v in frame.history.items()}
    assert 1 < h["exact"] / h["kramers"] < 1.3 or knobs["sigma"] ** 2 > knobs["b"]
    assert 0 <= h["arrived"] <= 1 and h["estimate"] > 0


def test_low_noise_gives_only_a_bound():
    frame = last(run(Hopping, {"sigma": 0.4, "b": 1.0}, steps=20))
    assert frame.history["arrived"][-1] == 0
    assert frame.history["estimate"][-1] == pytest.approx(400 * 8.0 / 3, rel=1e-3)
    assert frame.history["exact"][-1] > 50 * frame.history["estimate"][-1]
    assert set(knobs_of(Hopping)) == {"b", "sigma"}
