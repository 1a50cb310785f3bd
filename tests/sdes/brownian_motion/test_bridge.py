"""Laws of the bridge: what refinement keeps, what it adds, and the figure's promise that corners never
move."""
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.experiment import last, run
from nde_lab.sdes.brownian_motion import BridgeRefinement, bridge_law, refine
from nde_lab.sdes.brownian_motion.bridge import LEVELS, levels_of_detail

T64 = torch.float64


def normals(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=T64)


@given(st.floats(0, 1), st.floats(-3, 3), st.floats(-3, 3))
def test_the_law_meets_the_ends_and_is_widest_in_the_middle(t, Ws, Wu):
    mean, variance = bridge_law(0.0, t, 1.0, Ws, Wu)
    assert 0 <= variance <= 0.25 + 1e-12 and min(Ws, Wu) - 1e-9 <= mean <= max(Ws, Wu) + 1e-9
    assert bridge_law(0.0, 0.0, 1.0, Ws, Wu) == (Ws, 0.0)
    assert bridge_law(0.0, 1.0, 1.0, Ws, Wu) == pytest.approx((Wu, 0.0))


def test_the_law_follows_from_conditioning_a_gaussian():
    """Cov(W_s, W_t) = min(s, t): the conditional law of W_t, by the formula for normal vectors."""
    s, t, u, Ws, Wu = 0.3, 0.7, 1.9, 0.4, -1.1
    K = torch.tensor([[s, s], [s, u]], dtype=T64)
    k = torch.tensor([s, t], dtype=T64)
    weights = torch.linalg.solve(K, k)
    mean, variance = bridge_law(s, t, u, Ws, Wu)
    assert mean == pytest.approx(float(weights @ torch.tensor([Ws, Wu], dtype=T64)))
    assert variance == pytest.approx(t - float(weights @ k))


@pytest.mark.parametrize("times", [(0.5, 0.4, 1.0), (0.0, 1.2, 1.0), (1.0, 1.0, 1.0)])
def test_times_out_of_order_are_refused(times):
    with pytest.raises(ValueError, match="sort the times"):
        bridge_law(*times, 0.0, 1.0)


def test_refining_keeps_old_values_and_makes_brownian_steps():
    n, W = 20_000, torch.zeros(20_000, 2, dtype=T64)
    W[:, 1] = normals(n) * math.sqrt(2)              # a path on [0, 2]
    for level in range(3):
        finer = refine(W, normals(n, W.shape[1] - 1, seed=level + 1), length=2.0)
        assert torch.equal(finer[:, ::2], W)
        W = finer
    steps = W[:, 1:] - W[:, :-1]
    covariance = steps.T @ steps / n
    assert torch.allclose(covariance, 0.25 * torch.eye(8, dtype=T64), atol=0.012)


def test_xi_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"3 values has 2 midpoints; xi must have shape \(2,\), got \(3,\)"):
        refine(torch.zeros(3), torch.zeros(3), length=1.0)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 5), st.integers(0, 1000))
def test_details_add_up_to_refinement(levels, seed):
    z = normals(2**levels, seed=seed)
    W = torch.cat([torch.zeros(1, dtype=T64), z[:1]])
    for level in range(levels):
        W = refine(W, z[2**level:2 ** (level + 1)], length=1.0)
    assert torch.allclose(levels_of_detail(z, levels=levels).sum(0), W)


def test_corners_of_the_figure_never_move_and_thirty_fates_share_them():
    finest = last(run(BridgeRefinement, {"depth": LEVELS}, seed=5)).arrays["path"]
    for depth in (0, 2, 5, 8):
        arrays = last(run(BridgeRefinement, {"depth": depth}, seed=5)).arrays
        at = slice(None, None, 256 // 2**depth)
        assert np.allclose(arrays["path"][at], finest[at], atol=1e-5)
        assert np.allclose(arrays["others"][:, at], finest[at], atol=1e-5)
        assert set(arrays["corner_t"]) == set(np.linspace(0, 1, 2**depth + 1, dtype=np.float32))


def test_fates_fill_their_lenses():
    """Two standard deviations: about 95 of 100, at every point between the corners, also while a level fades
    in."""
    for steps in (20, 25):
        inside = []
        for seed in range(20):
            arrays = last(run(BridgeRefinement, {"depth": 8}, seed=seed, steps=steps)).arrays
            between = arrays["high"] - arrays["low"] > 1e-3
            others = arrays["others"][:, between]
            inside.append((others > arrays["low"][between]) & (others < arrays["high"][between]))
        # Half-way through a level the fates of one seed share a part of it; over 20 seeds that evens out.
        assert np.concatenate(inside).mean() == pytest.approx(0.954, abs=0.02)
