"""A Brownian path that remembers: stretches fit together, and rejecting steps does not bend the law."""
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.odes.opening_the_blackbox.sde_path import RememberedPath, joined

N = 40_000


def path(seed=0, n=N):
    return RememberedPath((n, 1), seed=seed, dtype=torch.float64)


def same(a, b):
    return a.h == pytest.approx(b.h) and torch.allclose(a.dW, b.dW, atol=1e-10) and torch.allclose(
        a.integral, b.integral, atol=1e-10)


@settings(deadline=None, max_examples=25)
@given(st.floats(0.01, 2), st.floats(0.01, 0.99), st.integers(0, 5))
def test_the_parts_of_a_stretch_join_to_the_whole(h, share, seed):
    p = path(seed, 8)
    whole = p.fresh(h)
    assert same(joined(*p.split(whole, share * h)), whole)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_the_parts_are_as_if_drawn_one_after_the_other(share):
    p = path()
    first, rest = p.split(p.fresh(2.0), 2.0 * share)
    x = torch.cat([first.dW, first.integral, rest.dW, rest.integral], 1)
    wanted = torch.zeros(4, 4, dtype=torch.float64)
    for at, s in ((0, 2 * share), (2, 2 - 2 * share)):
        wanted[at:at + 2, at:at + 2] = torch.tensor([[s, s * s / 2], [s * s / 2, s**3 / 3]])
    scale = wanted.diagonal().sqrt()
    off = ((x.T @ x / N - wanted) / scale / scale[:, None]).abs().max()
    assert off < 5 * (2 / N) ** 0.5
    assert (x.mean(0) / scale).abs().max() < 5 / N**0.5


def test_what_was_seen_stays():
    p = path(n=6)
    long = p.look(1.0)
    short = p.look(0.3)                       # the trial of length 1 is rejected
    assert short.h == 0.3 and same(p.look(1.0), long)
    p.look(0.3)
    p.advance()
    rest = p.look(0.7)
    assert rest.h == pytest.approx(0.7) and torch.allclose(short.dW + rest.dW, long.dW)
    assert torch.allclose(short.integral + 0.7 * short.dW + rest.integral, long.integral)


def test_a_longer_look_runs_on_into_the_unknown():
    p = path(n=6)
    known = p.look(0.5)
    longer = p.look(0.8)
    assert same(p.look(0.5), known) and not torch.allclose(longer.dW, known.dW)


def test_rejecting_large_increments_does_not_bend_the_law():
    """Every increment above its standard deviation is "rejected" and halved. Redrawn, they would shrink
    W(1)."""
    ends = []
    for seed in range(400):
        p, t, w, h = RememberedPath((1, 1), seed=seed, dtype=torch.float64), 0.0, 0.0, 0.5
        while t < 1 - 1e-9:
            piece = p.look(min(h, 1 - t))
            if h > 0.1 and abs(float(piece.dW)) > piece.h**0.5:
                h = piece.h / 2
                continue
            p.advance()
            t, w, h = t + piece.h, w + float(piece.dW), 0.5
        ends.append(w)
    x = torch.tensor(ends)
    assert abs(float(x.var()) - 1) < 5 * (2 / len(ends)) ** 0.5 and abs(float(x.mean())) < 5 / len(ends) ** 0.5


@pytest.mark.parametrize("h", [0.0, -1.0, float("nan")])
def test_a_stretch_has_a_length(h):
    with pytest.raises(ValueError, match="length above 0"):
        path(n=2).look(h)
