"""The path KL against what is known in closed form."""

import pytest
import torch
from solvers.sde_truths import F64, Network

from nde_lab.autodiff import trace, value_and_grad
from nde_lab.solvers import (
    SDE,
    Brownian,
    Grid,
    integrate,
    path_kl,
    path_kl_rate,
    sdeint,
    solve_sde,
    split_path_kl,
    with_path_kl,
)

DIFFERENCE = torch.tensor([3.0, -1.0], dtype=F64)


def shifted(noise_type, g, sde_type="ito"):
    """Drift and prior drift differ by DIFFERENCE wherever the path is."""
    return SDE(
        lambda t, y: DIFFERENCE - y,
        lambda t, y: g.expand(len(y), *g.shape),
        noise_type,
        sde_type,
        prior=lambda t, y: -y,
    )


SQUARE = torch.tensor([[1.0, 0.5], [0.0, 2.0]], dtype=F64)
CASES = [
    ("diagonal", torch.tensor([1.0, 2.0], dtype=F64), 0.5 * (9.0 + 0.25)),
    ("diagonal", torch.tensor([-1.0, 2.0], dtype=F64), 0.5 * (9.0 + 0.25)),
    ("additive", SQUARE, 0.5 * (3.25**2 + 0.25)),  # u = (3.25, -0.5)
    ("general", SQUARE, 0.5 * (3.25**2 + 0.25)),
    ("general", torch.cat([SQUARE, torch.zeros(2, 1, dtype=F64)], 1), 0.5 * (3.25**2 + 0.25)),
    ("scalar", torch.tensor([[3.0], [-1.0]], dtype=F64) / 2, 0.5 * 4.0),
]


@pytest.mark.parametrize("noise_type, g, rate", CASES)
@pytest.mark.parametrize("sde_type", ["ito", "stratonovich"])
def test_a_constant_difference(noise_type, g, rate, sde_type):
    sde, y0 = shifted(noise_type, g, sde_type), torch.ones(3, 2, dtype=F64)
    assert path_kl_rate(sde, torch.zeros((), dtype=F64), y0).tolist() == pytest.approx([rate] * 3)
    ys, kl = sdeint(sde, y0, [0.0, 0.5, 2.0], dt=0.125, seed=0, logqp=True)
    assert ys.shape == (3, 3, 2) and kl.shape == (2, 3)
    assert torch.allclose(kl, rate * torch.tensor([[0.5], [1.5]], dtype=F64).expand(2, 3), rtol=1e-10)
    plain = sdeint(sde, y0, [0.0, 0.5, 2.0], dt=0.125, seed=0)
    assert torch.allclose(plain, ys, rtol=1e-12)  # the path is the one without the KL, also of the seed


def test_the_documented_trap():
    # One number, f - h = 3 with g = 1: |u|^2 / 2 is 4.5; the formula in torchsde's documentation would give 3.
    sde = SDE(lambda t, y: 3 + 0 * y, lambda t, y: 1 + 0 * y, prior=lambda t, y: 0 * y)
    assert sdeint(sde, torch.zeros(1, 1), [0.0, 1.0], dt=0.5, seed=0, logqp=True)[1].item() == pytest.approx(
        4.5
    )


def test_two_ornstein_uhlenbeck_processes():
    # dY = -a Y dt + s dW in its stationary state against -b Y: E KL(T) = T (a - b)^2 / (4 a).
    a, b, s, T = 1.5, 0.5, 0.8, 2.0
    sde = SDE(lambda t, y: -a * y, lambda t, y: s + 0 * y, prior=lambda t, y: -b * y)
    y0 = torch.randn(20_000, 1, generator=torch.Generator().manual_seed(0)) * s / (2 * a) ** 0.5
    kl = sdeint(sde, y0, [0.0, T], dt=1 / 32, seed=0, logqp=True)[1].sum(0).mean()
    assert kl.item() == pytest.approx(T * (a - b) ** 2 / (4 * a), rel=0.03)


def test_girsanov():
    # E_P exp(-integral u dW - KL path) = 1: weighing paths of the first SDE gives expectations under the prior.
    a, b, s, grid = 0.8, 0.2, 0.7, Grid(0.0, 1.0, 100)
    sde = SDE(lambda t, y: -a * y + 0.3, lambda t, y: s + 0 * y, prior=lambda t, y: -b * y)
    bm = Brownian.draw(grid, (20_000, 1), seed=1, dtype=F64)
    ys, kl = integrate(sde, torch.ones(20_000, 1, dtype=F64), grid, bm.increments, logqp=True)
    u = (-a * ys + 0.3 + b * ys)[:-1] / s
    weight = torch.exp(-(u * bm.increments).sum((0, 2)) - kl.sum(0))
    assert weight.mean().item() == pytest.approx(1.0, abs=0.035)  # three standard errors
    assert (weight * ys[-1, :, 0]).mean().item() == pytest.approx(0.8187, abs=0.045)  # exp(-b)


def test_three_ways_to_the_same_number():
    torch.manual_seed(0)
    sde, grid = Network("diagonal"), Grid(0.0, 1.0, 16)
    bm, y0 = Brownian.draw(grid, (4, 3), seed=0, dtype=F64), torch.ones(4, 3, dtype=F64)
    ys, kl = integrate(sde, y0, grid, bm.increments, method="euler", logqp=True)
    assert ys.shape == (17, 4, 3) and kl.shape == (16, 4)
    last, total = integrate(sde, y0, grid, bm.increments, method="euler", logqp=True, save="last")
    assert torch.equal(last, ys[-1]) and torch.allclose(total, kl.sum(0), rtol=1e-12)
    assert torch.allclose(path_kl(sde, ys, grid.tensor(F64)), total, rtol=1e-12)
    some, parts = integrate(sde, y0, grid, bm.increments, method="euler", logqp=True, save=(0, 4, 16))
    assert torch.allclose(parts, torch.stack([kl[:4].sum(0), kl[4:].sum(0)]), rtol=1e-12)
    wide = torch.cat([bm.increments, torch.zeros(16, 4, 1, dtype=F64)], -1)
    own = integrate(with_path_kl(sde), torch.cat([y0, 0 * y0[:, :1]], 1), grid, wide, method="euler")
    assert torch.equal(split_path_kl(own)[1], kl)
    srk = integrate(sde, y0, grid, (bm.increments, bm.areas), method="srk", logqp=True, save="last")
    assert torch.allclose(
        srk[1], solve_sde(sde, y0, [0.0, 1.0], bm, method="srk", dt=1 / 16, logqp=True).path_kl[0], rtol=1e-10
    )


def test_a_traced_gradient():
    grid, y0 = Grid(0.0, 1.0, 8), torch.ones(4, 2, dtype=F64)
    dW = Brownian.draw(grid, (4, 2), seed=0, dtype=F64).increments

    def step(p, noise):
        def loss(p):
            sde = SDE(lambda t, y: p["a"] * y, lambda t, y: 0.5 + y * y, prior=lambda t, y: -y)
            y, kl = integrate(sde, y0, grid, noise["dW"], logqp=True, save="last")
            return (y * y).mean() + kl.mean()

        value, grads = value_and_grad(loss, p)
        return {"loss": value} | grads

    given = {"a": torch.tensor([0.3, -0.5], dtype=F64)}, {"dW": dW}
    traced, eager = trace(step, given), step(*given)
    for name, value in zip(traced.meta["outputs"], traced(given[0]["a"], dW), strict=True):
        assert torch.allclose(value, eager[name.split("/")[-1]], rtol=1e-10)


def test_no_noise_and_no_difference_cost_nothing():
    sde = SDE(lambda t, y: -y, lambda t, y: 0 * y, prior=lambda t, y: -y)
    assert path_kl_rate(sde, torch.zeros(()), torch.ones(2, 3)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "call, sentence",
    [
        (
            lambda: path_kl_rate(SDE(lambda t, y: y, lambda t, y: y), torch.zeros(()), torch.ones(2, 2)),
            "prior drift of the same diffusion: define h",
        ),
        (lambda: SDE(lambda t, y: y, lambda t, y: y).h(0.0, torch.ones(2, 2)), "no prior drift"),
        (lambda: path_kl(Network("diagonal"), torch.ones(4, 3), torch.zeros(4)), r"got \(4, 3\) and \(4,\)"),
    ],
)
def test_refusals(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()
