"""The stochastic pair: orders of both methods in it, and closed forms without noise."""
import math

import numpy as np
import pytest
import torch

from nde_lab.odes.opening_the_blackbox.sde_pair import DELTA, ORDER, pair_step
from nde_lab.odes.opening_the_blackbox.sde_path import RememberedPath, joined

RATE, NOISE, B = -0.8, 0.9, 4000


def f(t, y):
    return RATE * y


def g(t, y):
    return NOISE * y


def pieces(n, per):
    """n pieces of a path over [0, 1], each joined from ``per`` drawn ones."""
    path = RememberedPath((B, 1), seed=5, dtype=torch.float64)
    out = []
    for _ in range(n):
        whole = path.fresh(1 / (n * per))
        for _ in range(per - 1):
            whole = joined(whole, path.fresh(1 / (n * per)))
        out.append(whole)
    return out


def strong_errors(lower):
    errors = []
    for n in (4, 8, 16, 32):
        y, total = torch.ones(B, 1, dtype=torch.float64), 0.0
        for k, piece in enumerate(pieces(n, 32 // n)):
            step = pair_step(f, g, k / n, y, piece.h, piece.dW, piece.integral / piece.h)
            y, total = step.y - (step.error if lower else 0), total + piece.dW
        exact = torch.exp(RATE - NOISE**2 / 2 + NOISE * total)
        errors.append(float((y - exact).square().mean().sqrt()))
    return errors


@pytest.mark.parametrize(("lower", "order"), [(False, 1.5), (True, 1.0)])
def test_strong_order_of_both_methods_of_the_pair(lower, order):
    slope = -np.polyfit(np.log([4, 8, 16, 32]), np.log(strong_errors(lower)), 1)[0]
    assert order - 0.15 < slope < order + 0.3


def test_the_estimate_shrinks_like_h_to_the_three_halves():
    sizes = []
    for h in (0.04, 0.01):
        piece = RememberedPath((B, 1), seed=1, dtype=torch.float64).fresh(h)
        step = pair_step(f, g, 0.0, torch.ones(B, 1, dtype=torch.float64), h, piece.dW, piece.integral / h)
        sizes.append(float(step.error.square().mean().sqrt()))
    assert math.log(sizes[0] / sizes[1]) / math.log(4) == pytest.approx(ORDER, abs=0.15)


def test_without_noise_the_step_and_its_estimate_are_polynomials():
    y, zero = torch.tensor([[1.5, -2.0]], dtype=torch.float64), torch.zeros(1, 2, dtype=torch.float64)
    step = pair_step(f, lambda t, y: torch.zeros_like(y), 0.0, y, 0.3, zero, zero)
    z = 0.3 * RATE
    assert torch.allclose(step.y, y * (1 + z + z * z / 2), atol=1e-14)
    assert torch.allclose(step.error, y * z * z * 0.75 * DELTA, atol=1e-14)
    assert torch.allclose(step.y - step.error, y * (1 + z), atol=1e-14)          # Euler's drift


def test_time_is_passed_to_the_stages():
    seen = {"f": [], "g": []}

    def drift(t, y):
        seen["f"].append(t)
        return t * torch.ones_like(y)

    def diffusion(t, y):
        seen["g"].append(t)
        return torch.zeros_like(y)
    zero = torch.zeros(1, 1)
    step = pair_step(drift, diffusion, 1.0, zero, 0.5, zero, zero)
    assert seen == {"f": [1.0, 1.375], "g": [1.0, 1.125, 1.5, 1.125]}
    assert float(step.y) == pytest.approx((1.5**2 - 1) / 2)                      # the integral of t


def test_a_known_start_saves_two_calls_and_changes_nothing():
    piece = RememberedPath((3, 2), seed=2).fresh(0.1)
    y, calls = torch.ones(3, 2), []

    def counted(t, y):
        calls.append(t)
        return g(t, y)
    first = pair_step(counted, counted, 0.0, y, 0.1, piece.dW, piece.integral / 0.1)
    again = pair_step(counted, counted, 0.0, y, 0.1, piece.dW, piece.integral / 0.1, start=first.start)
    assert len(calls) == 6 + 4 and torch.equal(first.y, again.y) and torch.equal(first.error, again.error)
