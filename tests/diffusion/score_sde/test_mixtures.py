"""Exact densities and scores of noised mixtures: normalisation, gradients, and agreement with convolution."""
import pytest
import torch

from nde_lab.autodiff import value_and_grad
from nde_lab.diffusion.score_sde import OU, VE, VP, Mixture, SubVP
from nde_lab.random import Normal, Uniform, sample

ALL = [VE(high=10.0), VP(), SubVP(), OU()]
T64 = torch.float64
ONE = Mixture.of([-1.0, 0.2, 1.5], [0.2, 0.3, 0.15], [0.3, 0.4, 0.3])
name = lambda p: type(p).__name__  # noqa: E731


def drawn(n, d, seed=0):
    made = sample({"u": Uniform((n,)), "z": Normal((n, d)), "w": Normal((n, d))}, seed=seed, stream="start",
                  dtype=T64)
    return made["u"], made["z"], made["w"]


@pytest.mark.parametrize("process", ALL, ids=name)
@pytest.mark.parametrize("t", [0.02, 0.4, 1.0])
def test_noised_densities_integrate_to_one_and_are_convolutions(process, t):
    """p_t(x) = integral of N(x; m y, s^2) p_0(y) dy by the trapezoidal rule on a fine grid."""
    y = torch.linspace(-3, 3, 6001, dtype=T64)
    at = process.coefficients(t)
    x = torch.linspace(-2, 2, 9, dtype=T64)
    kernel = torch.exp(-0.5 * ((x[:, None] - at.mean * y) / at.std)**2) / (at.std * (2 * torch.pi)**0.5)
    convolved = torch.trapezoid(kernel * ONE.log_density(y[:, None]).exp(), y, dim=1)
    assert torch.allclose(ONE.marginal_log_density(process, t, x[:, None]).exp(), convolved, atol=1e-8)
    wide = torch.linspace(-80, 80, 400_001, dtype=T64)
    mass = torch.trapezoid(ONE.marginal_log_density(process, t, wide[:, None]).exp(), wide)
    assert mass.item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("process", ALL, ids=name)
@pytest.mark.parametrize("mixture", [ONE, Mixture.ring()], ids=["line", "ring"])
def test_the_score_is_the_gradient_of_the_log_density(process, mixture):
    x = drawn(20, mixture.means.shape[1])[1]
    t = torch.linspace(0.05, 0.95, 20, dtype=T64)[:, None]                         # a clock per row
    _, grad = value_and_grad(lambda p: mixture.marginal_log_density(process, t, p["x"]).sum(), {"x": x})
    assert torch.allclose(mixture.score(process)(t, x), grad["x"], rtol=1e-10, atol=1e-10)
    alone = torch.cat([mixture.score(process)(v.reshape(()), r[None]) for v, r in zip(t, x, strict=True)])
    assert torch.allclose(alone, grad["x"], rtol=1e-10, atol=1e-10)


def test_at_time_zero_the_marginal_is_the_data():
    x = drawn(50, 1)[1]
    assert torch.allclose(ONE.marginal_log_density(VP(), 0.0, x), ONE.log_density(x))


def test_samples_have_the_weights_and_spreads():
    u, z, _ = drawn(20_000, 1)
    apart = Mixture.of([-3.0, 0.2, 4.0], ONE.stds, ONE.weights)        # so that the nearest mode is the own one
    x = apart.draw(u, z)
    k, off = apart.nearest(x)
    share = torch.stack([(k == i).double().mean() for i in range(3)])
    assert torch.allclose(share, apart.weights, atol=0.02)
    assert torch.stack([off[k == i].std() for i in range(3)]).allclose(apart.stds, rtol=0.05)
    assert x.mean().item() == pytest.approx((apart.weights @ apart.means).item(), abs=0.06)


@pytest.mark.parametrize(("make", "words"), [
    (lambda: Mixture.of([0.0, 1.0], [0.1, 0.0]), "every std of a mixture must be positive"),
    (lambda: Mixture.of([0.0, 1.0], 0.1, [1.0, -1.0]), "every weight of a mixture must be positive"),
    (lambda: Mixture.ring(0), "whole number of modes"),
    (lambda: Mixture(torch.zeros(3, 2), torch.ones(2), torch.ones(3)), "means \\(K, D\\)")])
def test_refusals(make, words):
    with pytest.raises(ValueError, match=words):
        make()
