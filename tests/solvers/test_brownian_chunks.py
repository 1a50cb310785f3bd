"""A path in chunks is the path drawn at once; what is known of areas and bridges."""

import math

import pytest
import torch
import torchsde
from hypothesis import given, settings
from hypothesis import strategies as st
from solvers.sde_truths import F64, Geometric

from nde_lab.solvers import Brownian, ChunkedBrownian, Grid, sdeint, solve_sde
from nde_lab.solvers import step_noise as reader


@settings(deadline=None, max_examples=40)
@given(
    st.integers(0, 2**53 - 1),
    st.integers(1, 30),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 40),
    st.sampled_from([torch.float32, F64]),
    st.data(),
)
def test_chunks_are_the_path_drawn_at_once(seed, steps, rows, m, chunk, dtype, data):
    grid = Grid(-1.0, 2.0, steps)
    whole = Brownian.draw(grid, (rows, m), seed=seed, dtype=dtype)
    parts = ChunkedBrownian(grid, (rows, m), seed, dtype, chunk=chunk)
    near = lambda a, b: torch.allclose(a, b, rtol=1e-14 if dtype == F64 else 1e-6, atol=0)  # noqa: E731
    for k in data.draw(st.permutations(range(steps))):  # in any order
        assert near(parts.at(k), whole.increments[k])
        dW, H = parts.at(k, True)
        assert torch.equal(dW, parts.at(k)) and near(H, whole.areas[k])


@settings(max_examples=40)
@given(
    st.integers(0, 99), st.sampled_from([1, 2, 3, 4, 6, 12]), st.sampled_from([1, 2, 4]), st.integers(1, 24)
)
def test_coarse_chunks_are_the_coarse_path(seed, factor, further, chunk):
    grid = Grid(0.0, 2.0, 48)
    whole = Brownian.draw(grid, (2, 3), seed=seed, dtype=F64).coarsen(factor)
    parts = ChunkedBrownian(grid, (2, 3), seed, F64, chunk=chunk).coarsen(factor)
    assert parts.grid == whole.grid
    if parts.grid.steps % further == 0:
        whole, parts = whole.coarsen(further), parts.coarsen(further)
    dW, H = parts.stretch(0, parts.grid.steps, True)
    assert torch.allclose(dW, whole.increments, atol=1e-14) and torch.allclose(H, whole.areas, atol=1e-14)
    assert torch.allclose(parts(0.0, parts.grid.time(1)), whole.increments[0], atol=1e-14)


def test_a_short_last_step():
    grid = Grid.covering([0.0, 1.0], 0.3)
    whole = Brownian.draw(grid, (5, 2), seed=0, dtype=F64)
    parts = ChunkedBrownian(grid, (5, 2), 0, F64, chunk=3)
    assert torch.allclose(parts.stretch(0, 4, False), whole.increments, rtol=1e-14)
    assert torch.allclose(parts.stretch(0, 4, True)[1], whole.areas, rtol=1e-14)


def test_a_solve_in_chunks_is_the_solve_at_once(monkeypatch):
    run = lambda **k: sdeint(Geometric(), torch.ones(3, 2), [0.0, 1.0], dt=1 / 64, **k)[-1]  # noqa: E731
    known = run(seed=5)
    assert torch.allclose(known, run(bm=ChunkedBrownian(Grid(0.0, 1.0, 64), (3, 2), 5, chunk=7)), rtol=1e-5)
    monkeypatch.setattr(reader, "HOLD_AT_ONCE", 10)  # as a long solve would be
    assert torch.allclose(known, run(seed=5), rtol=1e-5)
    fine = ChunkedBrownian(Grid(0.0, 1.0, 256), (3, 2), 5)
    assert torch.allclose(run(bm=fine), run(bm=Brownian.draw(Grid(0.0, 1.0, 256), (3, 2), seed=5)), rtol=1e-5)


def test_chunks_serve_in_torchsde():
    bm = ChunkedBrownian(Grid(0.0, 1.0, 64), (3, 2), 5, F64, chunk=7)
    y0, ts = torch.ones(3, 2, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    theirs = torchsde.sdeint(Geometric(), y0, ts, bm=bm, method="srk", dt=1 / 64)
    assert torch.allclose(theirs, sdeint(Geometric(), y0, ts, bm, "srk", dt=1 / 64), rtol=1e-11)


def test_memory_does_not_grow_with_the_steps():
    bm = ChunkedBrownian(Grid(0.0, 1.0, 100_000), (50, 4), 0)
    for k in range(0, 100_000, 9_973):
        bm.at(k)
    held = sum(x.nbytes for x in bm._kept.values())
    assert held <= 2 * 4 * (1 << 15) + 4 * 200 and bm.chunk == (1 << 15) // 200


def test_far_beyond_what_fits():
    bm = ChunkedBrownian(Grid(0.0, 1.0, 10_000_000), (100_000, 1), 0, chunk=1)
    late = bm.at(9_999_999) / math.sqrt(1e-7)  # entries 10^12 and on: the block counter is over 2^32
    assert late.std() == pytest.approx(1.0, abs=0.01) and late.mean().abs() < 0.01
    assert not torch.equal(late, bm.at(9_999_998) / math.sqrt(1e-7))


# ---- areas ---------------------------------------------------------------------------------------------------


def test_areas_have_their_law_and_add_up():
    grid = Grid(0.0, 1.0, 4)
    path = Brownian.draw(grid, (20_000, 1), seed=1, dtype=F64)
    W, H = path.increments, path.areas
    assert (H.var() / (0.25 / 12)).item() == pytest.approx(1.0, abs=0.03)
    assert torch.corrcoef(torch.stack([W.flatten(), H.flatten()]))[0, 1].abs() < 0.02
    whole = path.coarsen(4)  # the coarse area: of the same law on the longer step
    assert (whole.areas.var() * 12).item() == pytest.approx(1.0, abs=0.04)
    assert torch.corrcoef(torch.stack([whole.increments.flatten(), whole.areas.flatten()]))[0, 1].abs() < 0.03
    # dt (dW / 2 + H) is the integral of W: over all steps it is the integral of the path.
    starts = path.path()[:-1]
    integral = (0.25 * (starts + 0.5 * W + H)).sum(0)
    assert torch.allclose(0.5 * whole.increments[0] + whole.areas[0], integral, atol=1e-12)
    assert torch.allclose(path(0.0, 1.0, return_U=True)[1], integral, atol=1e-12)


def test_the_area_is_the_one_of_the_fine_path():
    fine = Brownian.draw(Grid(0.0, 1.0, 512), (200, 1), seed=2, dtype=F64)
    W = fine.path()
    trapezoid = (0.5 * (W[1:] + W[:-1])).mean(0)
    coarse = fine.coarsen(512)
    error = 0.5 * coarse.increments[0] + coarse.areas[0] - trapezoid
    assert error.std() < 2 * math.sqrt(1 / 12) / 512


def test_areas_that_are_not_known_are_refused():
    bare = Brownian(Grid(0.0, 1.0, 4), torch.zeros(4, 2, 1))
    assert bare.levy_area_approximation == "none" and bare.coarsen(2).levy_area_approximation == "none"
    with pytest.raises(ValueError, match="knows its increments only, not the space-time areas"):
        bare.areas  # noqa: B018
    given = Brownian(bare.grid, bare.increments, torch.ones(4, 2, 1))
    assert torch.equal(given.areas, torch.ones(4, 2, 1)) and given.levy_area_approximation == "space-time"


# ---- the bridge ----------------------------------------------------------------------------------------------


def test_refining_keeps_the_path_and_follows_the_bridge():
    coarse = Brownian.draw(Grid(0.0, 2.0, 2), (20_000, 1), seed=3, dtype=F64)
    fine = coarse.refine(seed=4)
    assert fine.grid == Grid(0.0, 2.0, 4) and torch.allclose(
        fine.coarsen(2).increments, coarse.increments, atol=1e-14
    )
    W = fine.path()[:, :, 0]
    for left, middle, right in ((0, 1, 2), (2, 3, 4)):
        off = W[middle] - 0.5 * (W[left] + W[right])  # given both ends (1 apart): N(mean of the ends, 1 / 4)
        assert abs(off.mean()) < 3 * 0.5 / math.sqrt(20_000)
        assert off.var().item() == pytest.approx(0.25, abs=3 * 0.25 * math.sqrt(2 / 20_000))
        for end in (left, right):
            assert torch.corrcoef(torch.stack([off, W[end]]))[0, 1].nan_to_num().abs() < 0.03
    deep = fine.refine(seed=4).refine(seed=4)
    assert deep.grid.steps == 16 and torch.allclose(deep.path()[::8], coarse.path(), atol=1e-13)
    assert deep.increments.var().item() == pytest.approx(2 / 16, rel=0.02)


def test_stretches_add_up():
    for bm in (
        Brownian.draw(Grid(0.0, 1.0, 16), (3, 2), seed=0, dtype=F64),
        ChunkedBrownian(Grid(0.0, 1.0, 16), (3, 2), 0, F64, chunk=5),
    ):
        assert torch.allclose(bm(0.0, 0.25) + bm(0.25, 1.0), bm(0.0, 1.0), atol=1e-14)
        assert torch.equal(bm(0.5, 0.5), torch.zeros(3, 2, dtype=F64))


@pytest.mark.parametrize(
    "make, sentence",
    [
        (
            lambda: ChunkedBrownian(Grid(0.0, 1.0, 8), (2, 1), 0, chunk=0),
            "whole number of steps, at least 1, got 0",
        ),
        (lambda: ChunkedBrownian(Grid(0.0, 1.0, 8), (2, 1), -1), "a seed is an integer"),
        (
            lambda: ChunkedBrownian(Grid(0.0, 1.0, 8), (2, 1), 0).coarsen(3),
            "coarsened by a whole number that divides it",
        ),
        (lambda: ChunkedBrownian(Grid(0.0, 1.0, 8), (2, 1), 0)(0.0, 0.3), "known at multiples of 0.125"),
        (
            lambda: ChunkedBrownian(Grid(0.0, 1.0, 8), (2, 1), 0)(0.0, 0.5, return_A=True),
            "knows no Levy area",
        ),
        (
            lambda: Brownian.draw(Grid.covering([0.0, 1.0], 0.3), (1, 1), seed=0).refine(seed=0),
            "on an even grid",
        ),
        (lambda: Brownian(Grid(0.0, 1.0, 4), torch.zeros(4, 2, 1), torch.zeros(4, 1, 1)), r"got \(4, 1, 1\)"),
        (
            lambda: solve_sde(
                Geometric(),
                torch.ones(3, 2),
                [0.0, 1.0],
                ChunkedBrownian(Grid(0.0, 1.0, 16), (3, 2), 0),
                dt=0.1,
            ),
            "known at 16 steps",
        ),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
