"""Paths: agreement with slow reference code, causality, holes of every kind, and use inside a trace."""
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.interpolate import CubicHermiteSpline

from nde_lab.data import fill_forward, hermite, linear, missing_mask, refine, with_time

PATHS = (fill_forward, linear, hermite)


def example(n=3, length=12, channels=2, rate=0.5, seed=0):
    """Irregular times (L,), values (N, L, C) with holes; float64."""
    rng = np.random.default_rng(seed)
    times = np.concatenate([[0.0], np.cumsum(rng.uniform(0.2, 2.0, size=length - 1))])
    values = rng.normal(size=(n, length, channels))
    values[rng.uniform(size=values.shape) < rate] = np.nan
    return torch.from_numpy(times / max(times[-1], 1.0)), torch.from_numpy(values)


def slow_fill(t, x):
    out, last = [], 0.0
    for value in x:
        last = last if np.isnan(value) else value
        out.append(last)
    return np.array(out)


def slow_linear(t, x):
    seen = ~np.isnan(x)
    return np.interp(t, t[seen], x[seen]) if seen.any() else np.zeros_like(x)


def slow_hermite(t, x):
    seen = ~np.isnan(x)
    ts, xs = t[seen], x[seen]
    if len(ts) < 2:
        return np.full_like(x, xs[0] if len(xs) else 0.0)
    quotients = np.diff(xs) / np.diff(ts)
    out = np.where(t < ts[0], xs[0], xs[-1])
    for i, b in enumerate(quotients):                       # each piece with its own pair of slopes
        piece = CubicHermiteSpline(ts[i:i + 2], xs[i:i + 2], [quotients[max(i - 1, 0)], b])
        inside = (t >= ts[i]) & (t <= ts[i + 1])
        out[inside] = piece(t[inside])
    return out


@settings(max_examples=80, deadline=None)
@given(n=st.integers(1, 3), length=st.integers(1, 40), channels=st.integers(1, 3), seed=st.integers(0, 999),
       rate=st.sampled_from([0.0, 0.3, 0.5, 0.7, 0.95, 1.0]))
def test_paths_agree_with_slow_reference_code(n, length, channels, seed, rate):
    times, values = example(n, length, channels, rate, seed)
    for path, slow in zip(PATHS, (slow_fill, slow_linear, slow_hermite), strict=True):
        ours = path(times, values)
        assert ours.shape == values.shape and ours.dtype == values.dtype
        expected = np.apply_along_axis(lambda x, slow=slow: slow(times.numpy(), x), 1, values.numpy())
        np.testing.assert_allclose(ours.numpy(), expected, rtol=0, atol=1e-9, err_msg=path.__name__)


@pytest.mark.parametrize("path", PATHS)
def test_paths_pass_through_every_observation_exactly(path):
    times, values = example(length=50, rate=0.6)
    seen = ~values.isnan()
    assert torch.equal(path(times, values)[seen], values[seen])
    complete = example(rate=0.0)[1]
    assert torch.equal(path(times[:12], complete), complete)


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(1, 19), seed=st.integers(0, 99))
def test_the_future_does_not_change_the_past(cut, seed):
    """fill_forward never looks ahead; linear and hermite look at one observation ahead and not beyond it."""
    times, values = example(length=20, channels=1, rate=0.5, seed=seed)
    future = 9 * example(length=20, channels=1, rate=0.5, seed=seed + 100)[1][:, cut:]
    other = torch.cat([values[:, :cut], future], 1)
    assert torch.equal(fill_forward(times, values)[:, :cut], fill_forward(times, other)[:, :cut])
    for path in (linear, hermite):
        ours, theirs = path(times, values), path(times, other)
        for row in range(len(values)):
            known = (~values[row, :cut, 0].isnan()).nonzero().flatten()
            if len(known):                                  # fixed up to the last observation before the cut
                last = int(known[-1]) + 1
                assert torch.equal(ours[row, :last], theirs[row, :last])


def test_linear_and_hermite_do_look_at_the_next_observation():
    times = torch.linspace(0, 1, 5)
    values = torch.tensor([0.0, 1.0, torch.nan, torch.nan, 5.0])[None, :, None]
    changed = torch.where(values == 5, -5.0, values)
    for path in (linear, hermite):
        assert bool((path(times, values)[:, 2] != path(times, changed)[:, 2]).all())


def test_hermite_has_a_continuous_slope_and_linear_does_not():
    times = torch.linspace(0, 1, 6, dtype=torch.float64)
    values = torch.tensor([0.0, 2, -1, 4, 4, -3], dtype=torch.float64)[None, :, None]
    jumps = {}
    for path in (linear, hermite):
        fine_times, fine = refine(times, values, 2000)
        slope = path(fine_times, fine)[0, :, 0].diff() / fine_times.diff()
        jumps[path] = max(float((slope[2000 * k] - slope[2000 * k - 1]).abs()) for k in range(1, 5))
    assert jumps[hermite] < 0.2 < 5 < jumps[linear]


def test_hermite_reproduces_straight_lines():
    times, _ = example(length=30)
    line = (3 * times - 1)[None, :, None].expand(1, 30, 1)
    holes = torch.where(torch.arange(30)[None, :, None] % 4 == 0, line, torch.nan)
    inner = slice(0, 29)                                     # the last observation is point 28
    for path in (linear, hermite):
        assert torch.allclose(path(times, holes)[:, inner], line[:, inner], atol=1e-12)


def test_holes_at_the_ends_and_everywhere():
    times = torch.linspace(0, 1, 5)
    nan = torch.nan
    values = torch.tensor([[nan, nan, 2, 4, nan], [nan] * 5]).T[None]        # channel 1 was never observed
    assert fill_forward(times, values)[0, :, 0].tolist() == [0, 0, 2, 4, 4]
    assert fill_forward(times, values, start=-1.0)[0, :, 0].tolist() == [-1, -1, 2, 4, 4]
    assert linear(times, values)[0, :, 0].tolist() == [2, 2, 2, 4, 4]
    assert hermite(times, values)[0, :, 0].tolist() == [2, 2, 2, 4, 4]
    for path in PATHS:
        assert path(times, values)[0, :, 1].tolist() == [0] * 5


@pytest.mark.parametrize("path", PATHS)
def test_a_mask_hides_like_nan_and_times_may_differ_by_series(path):
    times, values = example(rate=0.0)
    hidden = missing_mask(torch.rand(values.shape, generator=torch.Generator().manual_seed(1)), 0.5)
    by_nan = path(times, torch.where(hidden, torch.nan, values))
    assert torch.equal(path(times, values, ~hidden), by_nan)
    assert torch.equal(path(times, values, (~hidden).double()), by_nan)
    assert torch.equal(path(times.expand(3, 12), values, ~hidden), by_nan)
    # what lies under the mask does not matter, be it NaN
    assert torch.equal(path(times, torch.where(hidden, torch.nan, values), ~hidden), by_nan)
    twice = torch.stack([times, times ** 2, times])
    assert torch.equal(path(twice, values, ~hidden)[1], path(times ** 2, values[1:2], ~hidden[1:2])[0])


def test_refine_shows_the_same_path_on_a_finer_grid():
    times, values = example(length=9)
    fine_times, fine = refine(times, values, 4)
    assert fine.shape == (3, 33, 2) and torch.equal(fine_times[::4], times)
    assert bool((fine_times.diff() > 0).all())
    for path in PATHS:
        assert torch.allclose(path(fine_times, fine)[:, ::4], path(times, values), atol=1e-12)
    same_times, same = refine(times, values, 1)
    assert torch.equal(same_times, times) and torch.equal(same.nan_to_num(7), values.nan_to_num(7))


def test_time_is_the_first_channel():
    times, values = example()
    both = with_time(times, values)
    assert both.shape == (3, 12, 3) and torch.equal(both[..., 1:].nan_to_num(), values.nan_to_num())
    assert torch.equal(both[..., 0], times.expand(3, 12))


@pytest.mark.parametrize("path", PATHS)
def test_batching_and_tracing_with_the_rate_as_an_input(path):
    from torch.fx.experimental.proxy_tensor import make_fx
    generator = torch.Generator().manual_seed(0)
    times, values = torch.linspace(0, 1, 40), torch.randn(4, 40, 1, generator=generator)
    uniforms = torch.rand(4, 40, 1, generator=generator)
    build = lambda u, rate: path(times, values, ~missing_mask(u, rate))  # noqa: E731
    graph = make_fx(build)(uniforms, torch.tensor(0.3))
    assert len(graph.graph.nodes) < 250                      # doubling shifts, not a loop over 40 points
    rates = torch.tensor([0.0, 0.5, 1.0])
    batched = torch.vmap(build, in_dims=(None, 0))(uniforms, rates)
    for rate, batch in zip(rates, batched, strict=True):
        assert torch.equal(graph(1 - uniforms, rate), build(1 - uniforms, rate))
        assert torch.equal(batch, build(uniforms, rate))


@pytest.mark.parametrize("path", PATHS)
def test_refusals(path):
    times, values = example()
    with pytest.raises(ValueError, match=r"\(series, points, channels\), got \(12, 2\)"):
        path(times, values[0])
    with pytest.raises(ValueError, match=r"times must have shape \(12,\) or \(3, 12\).*got \(1, 11\)"):
        path(times[:11], values)
    with pytest.raises(ValueError, match=r"observed must have the shape of values, \(3, 12, 2\)"):
        path(times, values, values[..., :1] > 0)
    with pytest.raises(ValueError, match="whole number of substeps >= 1, got 0"):
        refine(times, values, 0)
    with pytest.raises(ValueError, match=r"times \(L,\) and values \(N, L, C\)"):
        refine(times[1:], values, 2)
