"""Laws of the primer: variance, quadratic variation, and the integrals between Ito and Stratonovich."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import last, run
from nde_lab.sdes.brownian_motion import CELLS, FINE, ItoIntegral, RandomWalk


@pytest.mark.parametrize("n", CELLS)
def test_the_squares_of_a_coin_walk_add_up_to_t_and_its_length_to_root_n_t(n):
    arrays = last(run(RandomWalk, {"n": n})).arrays
    jumps_made = np.arange(FINE + 1) // (FINE // n)
    assert np.allclose(arrays["squares"], jumps_made / n, atol=1e-5)
    assert np.allclose(arrays["length"], jumps_made / np.sqrt(n), rtol=1e-4)


def test_normal_walks_of_every_n_are_views_of_the_same_path():
    fine = last(run(RandomWalk, {"n": 256, "jumps": "normal"}, seed=3)).arrays["walk"]
    for n in (4, 64):
        coarse = last(run(RandomWalk, {"n": n, "jumps": "normal"}, seed=3)).arrays["walk"]
        at = slice(None, None, FINE // n)
        assert np.allclose(coarse[:, at], fine[:, at], atol=1e-5)


def test_quadratic_variation_gathers_around_t_as_the_grid_gets_finer():
    # Var sum (dW)^2 = 2 t / n: sixteen times more jumps, a quarter of the spread.
    spread = {}
    for n in (16, 256):
        squares = [last(run(RandomWalk, {"n": n, "jumps": "normal"}, seed=s)).arrays["squares"][:, -1]
                   for s in range(8)]
        spread[n] = np.concatenate(squares).std()
        assert spread[n] == pytest.approx(np.sqrt(2 / n), rel=0.25)


@pytest.mark.parametrize("jumps", ["coin", "normal"])
def test_variance_of_a_walk_is_t(jumps):
    walks = np.concatenate([last(run(RandomWalk, {"n": 64, "jumps": jumps}, seed=s)).arrays["walk"]
                            for s in range(20)])
    assert walks[:, -1].var() == pytest.approx(1.0, rel=0.2)
    assert walks[:, FINE // 4].var() == pytest.approx(0.25, rel=0.2)


def test_nothing_of_the_future_is_drawn():
    frames = run(RandomWalk)
    for _ in range(5):
        frame = next(frames)
    now = frame.step / FINE
    assert 0 < now < 1 and frame.arrays["t"].max() == pytest.approx(now)
    held = last(run(RandomWalk)).arrays["walk"][:, frame.step]
    assert np.allclose(frame.arrays["walk"][:, -1], held)
    made = run(ItoIntegral)
    frame = [next(made) for _ in range(5)][-1]
    assert frame.arrays["t"].max() == pytest.approx(frame.step / FINE)
    for name in ("path", "one", "mean", "limit"):
        assert np.ptp(frame.arrays[name][frame.step:]) == 0 < np.ptp(frame.arrays[name])


def _sums(alpha: float, n: int, seed: int = 0):
    made = run(ItoIntegral, {"alpha": alpha, "n": n}, seed=seed)
    last(made)
    return made.state["sum"].double(), made.state["W"].double(), made


@pytest.mark.parametrize("alpha", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("n", [4, 256])
def test_the_mean_of_the_sum_is_alpha_t_for_every_n(alpha, n):
    sums, _, _ = _sums(alpha, n)
    assert sums.mean().item() == pytest.approx(alpha, abs=4 * sums.std().item() / np.sqrt(len(sums)))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
def test_the_sum_tends_to_its_limit_at_strong_order_one_half(alpha):
    gaps = []
    for n in (16, 256):
        sums, W, _ = _sums(alpha, n)
        gaps.append((sums - (W**2 - (1 - 2 * alpha)) / 2).square().mean().sqrt().item())
    assert gaps[0] / gaps[1] == pytest.approx(4.0, rel=0.2)


def test_the_path_is_the_same_for_every_alpha_and_n():
    _, W, _ = _sums(0.0, 4)
    for alpha, n in [(1.0, 4), (0.5, 256)]:
        assert torch.equal(_sums(alpha, n)[1], W)


def test_left_and_right_ends_differ_by_the_quadratic_variation():
    # sum W_right dW - sum W_left dW = sum (dW)^2, exactly, on every path; near 1 at n = 256.
    difference = _sums(1.0, 256)[0] - _sums(0.0, 256)[0]
    assert difference.mean().item() == pytest.approx(1.0, rel=0.02)
    assert difference.std().item() == pytest.approx(np.sqrt(2 / 256), rel=0.15)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_stairs_show_the_value_that_is_read(alpha):
    frame = last(run(ItoIntegral, {"alpha": alpha, "n": 16}))
    path, stairs = frame.arrays["path"], frame.arrays["stairs"]
    size = FINE // 16
    for cell in range(16):
        inside = stairs[cell * size + 1:(cell + 1) * size]
        assert np.allclose(inside, path[cell * size + round(alpha * size)], atol=1e-5)


@settings(max_examples=15)
@given(alpha=st.floats(0.0, 1.0), n=st.sampled_from(CELLS), seed=st.integers(0, 2**20))
def test_every_knob_gives_a_finite_picture(alpha, n, seed):
    frame = last(run(ItoIntegral, {"alpha": alpha, "n": n}, seed=seed))
    assert frame.status.kind == "finished"
    assert all(np.isfinite(a).all() for a in frame.arrays.values())


@pytest.mark.parametrize("cls", [RandomWalk, ItoIntegral])
def test_the_view_draws_only_what_is_observed(cls):
    frame = last(run(cls))
    assert cls().view().observables() <= set(frame.arrays)
