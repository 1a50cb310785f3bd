"""IPF by drift regression against the closed form, with particles and without."""
import pytest
import torch

from nde_lab.bridges.multi_marginal import GaussianBridge, KernelDrift, PerTimeLinear, Reference, ipf
from nde_lab.bridges.multi_marginal.ipf import reversed_increments
from nde_lab.bridges.multi_marginal.line import chains, mid_variance, turned, walk
from nde_lab.exercises import normal
from nde_lab.metrics import fitted_slope

T64 = torch.float64
LINE = GaussianBridge.of(0, 1, 2, 0.25, sigma=1)


def ends(n=4000, seed=0):
    return normal(n, 1, seed=seed), 2 + 0.5 * normal(n, 1, seed=seed + 1)


def test_ipf_ends_near_the_closed_form():
    """4000 particles, 100 steps: the mid-time variance within the brief's 8 %."""
    x0, x1 = ends()
    found = ipf(x0, x1, LINE.reference, PerTimeLinear(), steps=100, iterations=4)
    assert len(found.paths) == 9
    path = found.paths[-1][:, :, 0]
    assert path[50].var().item() == pytest.approx(0.666053, rel=0.08)
    assert torch.cov(torch.stack([path[0], path[-1]]))[0, 1].item() == pytest.approx(LINE.C.item(), rel=0.1)
    y = torch.tensor([[-0.5], [1.0], [2.5]], dtype=T64)
    # A fit at one time is noisy, and every half step adds to it; over twenty times it is 0.1. Clocks meet at 1/2.
    for mine, told in ((found.forward, LINE.forward), (found.backward, LINE.backward)):
        times = [0.5 + k / 100 for k in range(-10, 11)]
        gap = sum(mine(y, t) - told(y, t if mine is found.forward else 1 - t) for t in times) / len(times)
        assert gap.abs().max() < 0.4


def test_every_half_step_makes_one_end_right():
    x0, x1 = ends(500)
    found = ipf(x0, x1, LINE.reference, PerTimeLinear(), steps=30, iterations=2)
    for k, path in enumerate(found.paths):
        assert torch.equal(path[-1] if k % 2 else path[0], x1 if k % 2 else x0)


def test_without_particles_the_bias_is_of_first_order_and_the_left_over_noise_removes_it():
    steps = (50, 100, 200, 400)
    bias = [LINE.cov(0.5).item() - mid_variance(chains(LINE, k, 10)[-1]) for k in steps]
    assert fitted_slope(steps, bias) == pytest.approx(-1.0, abs=0.1) and min(bias) > 0
    worst = max(abs(mid_variance(chains(LINE, k, 16, residual=True)[-1]) - LINE.cov(0.5).item()) for k in (4, 10, 40))
    assert worst < 1e-7


def test_particles_and_moments_agree():
    """One half step on 40,000 particles against infinitely many, within 4 standard errors."""
    k, n = 8, 40_000
    first, then = chains(LINE, k, 1, residual=True)
    path = walk(normal(n, seed=1), *first[:3], normal(k, n, seed=2))
    slopes, offsets, stds = turned(path)
    tolerance = 4 * first.stds[0] * k / (path.flip(0)[:-1].std(1) * n**0.5)
    assert ((slopes - then.slopes).abs() < tolerance).all()
    assert torch.allclose(offsets, then.offsets, atol=0.1) and torch.allclose(stds, then.stds, rtol=4 / (2 * n)**0.5)


def test_two_ways_to_fit_a_line_agree():
    path = walk(normal(300, seed=1), *(v + 0.3 for v in chains(LINE, 6, 0)[0][:3]), normal(6, 300, seed=2))
    slopes, offsets, _ = turned(path)
    drift = PerTimeLinear().fit(*reversed_increments(path[:, :, None], 1.0), None, LINE.reference)
    x = torch.tensor([[0.0], [1.0]], dtype=T64)
    for k in range(6):
        assert torch.allclose(drift(x, k / 6)[:, 0], offsets[k] + slopes[k] * x[:, 0], atol=1e-9)


def test_a_reversed_reference_is_known():
    """Brownian motion from N(0, 1): turned round, its drift at forward time t is -sigma^2 x / (1 + sigma^2 t)."""
    k, n = 50, 4000
    path = torch.cat([normal(1, n, 1), normal(k, n, 1, seed=3) / k**0.5]).cumsum(0)
    drift = PerTimeLinear().fit(*reversed_increments(path, 1.0), None, Reference(1.0))
    x = torch.tensor([[1.0]], dtype=T64)
    for s in (0.2, 0.5, 0.8):
        assert drift(x, s).item() == pytest.approx(-1 / (2 - s), abs=4 * k**0.5 / n**0.5)


def test_the_kernel_falls_back_to_its_prior_far_from_data():
    q = Reference(0.5, pull=1.0)
    x, t = normal(10, 100, 2), torch.linspace(0, 0.9, 10, dtype=T64)
    y = 1.0 + 0 * x
    far = torch.full((1, 2), 1e3, dtype=T64)
    for prior, limit in (("reference", -1e3), ("zero", 0.0)):
        drift = KernelDrift(centres=60, length=2.0, prior=prior).fit(x, t, y, lambda x, t: q.drift(x), q)
        assert torch.allclose(drift(far, 0.5), torch.full((1, 2), limit, dtype=T64), atol=1e-6)
        assert (drift(x[5], 0.5) - y[5]).abs().mean() < 0.2


def test_refusals():
    x0, x1 = ends(10)
    for bad, says in ((dict(x1=x1[:, 0]), r"samples \(n, d\) and \(m, d\)"), (dict(steps=0), "steps is a whole number"),
                      (dict(iterations=1.5), "iterations is a whole number")):
        with pytest.raises(ValueError, match=says):
            ipf(**{**dict(x0=x0, x1=x1, reference=LINE.reference, regressor=PerTimeLinear()), **bad})
    with pytest.raises(ValueError, match='prior mean is "reference" or "zero"'):
        KernelDrift(prior="mean")
    with pytest.raises(ValueError, match="length and clock must be above 0"):
        KernelDrift(length=0.0)
    with pytest.raises(ValueError, match="for the line, Brownian motion"):
        chains(GaussianBridge.of(0, 1, 0, 1, sigma=1, horizon=2.0), 10, 2)
