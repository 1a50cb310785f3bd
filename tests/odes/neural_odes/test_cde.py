"""Neural CDEs: closed forms, invariance, and the figure that shows what a clock is for."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import Run, last, run
from nde_lab.odes.neural_odes import Reparametrised, SineCDE
from nde_lab.odes.neural_odes.cde import cross_entropy, solve_cde
from nde_lab.odes.neural_odes.claims import random_field, speed_gap
from nde_lab.views import still

T64 = torch.float64


def test_a_linear_cde_of_one_channel_is_an_exponential():
    path = torch.tensor([0.0, 0.2, -0.1, 0.1], dtype=T64)[:, None, None]
    z = solve_cde(lambda z: z[..., None], torch.ones(1, 2, dtype=T64), path, method="rk4")
    assert torch.allclose(z[:, 0, 0], torch.exp(path[:, 0, 0]), atol=1e-4)
    fine = torch.linspace(0, 1, 201, dtype=T64)[:, None, None]
    z = solve_cde(lambda z: z[..., None], torch.ones(1, 2, dtype=T64), fine, method="rk4")
    assert float(z[-1, 0, 0]) == pytest.approx(float(torch.tensor(1.0).exp()), abs=1e-6)


def test_a_path_that_stands_still_moves_nothing():
    z0 = torch.randn(2, 3, generator=torch.Generator().manual_seed(0), dtype=T64)
    z = solve_cde(random_field(3, 2, 0), z0, torch.ones(7, 2, 2, dtype=T64))
    assert torch.equal(z[-1], z0)


@settings(deadline=None, max_examples=5)
@given(seed=st.integers(0, 99))
def test_there_and_back_again_is_nowhere(seed):
    out = torch.linspace(0, 1, 200, dtype=T64)[:, None, None] * torch.tensor([1.0, -0.7], dtype=T64)
    path = torch.cat([out, out.flip(0)[1:]])
    z = solve_cde(random_field(3, 2, seed), torch.zeros(1, 3, dtype=T64), path, method="rk4")
    assert float(z[-1].abs().max()) < 1e-6 and float(z[199].abs().max()) > 0.01


def test_speed_is_seen_with_a_clock_only():
    with_clock, without = speed_gap(200, True, 3), speed_gap(200, False, 3)
    assert max(without) < 0.05 and min(with_clock) > 3 * max(without)


def test_the_figure_ends_together_without_a_clock_and_apart_with_one():
    gaps = {c: last(run(Reparametrised, {"clock": c}, seed=0)).history["gap"] for c in (False, True)}
    assert gaps[False][-1] < 5e-3 < 0.5 < gaps[False].max() and gaps[True][-1] > 0.1
    same = last(run(Reparametrised, {"warp": 0.0}, seed=0))
    assert same.history["gap"].max() < 1e-5


def test_the_figure_draws_from_left_to_right():
    made = Run(Reparametrised, seed=0)
    assert np.unique(made.frame().arrays["t"]).tolist() == [0.0]
    for _ in range(20):
        made.step()
    t = made.frame().arrays["t"]
    assert t.max() == pytest.approx(0.5) and (np.diff(t) >= 0).all()


def test_cross_entropy_is_torchs():
    scores = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 1, 2, 0, 1, 2])
    assert torch.allclose(cross_entropy(scores, labels), torch.nn.functional.cross_entropy(scores, labels))


@pytest.mark.slow
def test_a_clock_learns_the_sines_and_its_lack_does_not():
    with_clock = last(run(SineCDE, seed=0))
    without = last(run(SineCDE, {"clock": False}, seed=0, steps=60))
    assert with_clock.arrays["accuracy"][0] > 0.9 and with_clock.arrays["accuracy"][5] > 0.8
    assert without.arrays["accuracy"][0] < 0.75
    assert len(still(SineCDE().view(), with_clock).axes) == 4


@pytest.mark.parametrize("cls", [SineCDE, Reparametrised])
@pytest.mark.parametrize("clock", [True, False])
def test_knobs_at_their_ends_give_finite_frames(cls, clock):
    for end in ("low", "high"):
        knobs = {n: getattr(k, end) for n, k in cls.live.items()}
        frame = last(run(cls, {"clock": clock, **knobs}, seed=5, steps=4))
        assert all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))
        assert cls(clock=clock).view().observables() <= set(frame.arrays)


def test_the_missing_rate_is_for_the_picture_only():
    runs = [Run(SineCDE, {"missing": m}, seed=0) for m in (0.0, 0.8)]
    assert runs[0].step()["loss"] == runs[1].step()["loss"]
    assert not np.array_equal(runs[0].frame().arrays["line"], runs[1].frame().arrays["line"])
