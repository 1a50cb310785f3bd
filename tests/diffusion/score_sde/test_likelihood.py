"""Likelihoods by the flow: divergence, Hutchinson's estimate, Gaussians exactly, mixtures, refusals."""
import itertools

import pytest
import torch

from nde_lab.diffusion.score_sde import OU, VE, VP, Mixture, SubVP, divergence, log_likelihood
from nde_lab.random import Normal, Uniform, sample

T64 = torch.float64
RING = Mixture.ring()
X = sample({"x": Normal((6, 2))}, seed=0, stream="start", dtype=T64)["x"]
name = lambda p: type(p).__name__  # noqa: E731


def rows(t, x):
    """A nonlinear field whose divergence is cos(x0) + 3 x1^2 + t (1 + x0)."""
    return torch.stack([torch.sin(x[:, 0]), x[:, 1]**3 + x[:, 0]**2], 1) + t * torch.stack(
        [x[:, 0] + x[:, 1]**2, x[:, 0] * x[:, 1]], 1)


@pytest.mark.parametrize("t", [torch.tensor(0.5, dtype=T64), torch.linspace(0, 1, 6, dtype=T64)[:, None]],
                         ids=["shared", "per row"])
def test_the_divergence_is_the_trace(t):
    v, div = divergence(rows, t, X)
    assert torch.allclose(div, torch.cos(X[:, 0]) + 3 * X[:, 1]**2 + t.expand(6, 1)[:, 0] * (1 + X[:, 0]))
    assert torch.allclose(v, rows(t, X))


def test_the_mean_over_all_signs_is_the_trace_exactly():
    """The estimate is quadratic in the probe: averaging over the four sign vectors leaves the trace."""
    t = torch.tensor(0.3, dtype=T64)
    found = [divergence(rows, t, X, torch.tensor(s, dtype=T64).expand(6, 2))[1]
             for s in itertools.product((-1.0, 1.0), repeat=2)]
    assert torch.allclose(torch.stack(found).mean(0), divergence(rows, t, X)[1])
    assert not torch.allclose(found[0], found[1]), "one probe alone is an estimate"


@pytest.mark.parametrize("process", [VE(), VP(), SubVP(), OU(horizon=5.0)], ids=name)
@pytest.mark.parametrize(("method", "steps"), [("rk4", 150), ("dopri5", 1)])
def test_a_gaussian_exactly(process, method, steps):
    """N(0, 0.5^2) in two dimensions, to 1e-3 nats at every point."""
    data = Mixture.of([[0.0, 0.0]], 0.5)
    found = log_likelihood(process, data.score(process), X / 2, end=1e-5, method=method, steps=steps)
    assert found.ok.all() and torch.allclose(found.log_p, data.log_density(X / 2), atol=1e-3)
    assert method == "dopri5" or (found.evaluations == 4 * steps).all()


def test_a_mixture_and_its_hutchinson_estimate():
    drawn = sample({"u": Uniform((200,)), "z": Normal((200, 2)), "p": Normal((200, 2))}, seed=1, stream="start",
                   dtype=T64)
    x, process = RING.draw(drawn["u"], drawn["z"]), VP()
    exact = log_likelihood(process, RING.score(process), x, steps=100)
    assert (exact.log_p - RING.log_density(x)).mean().abs() < 0.01
    rough = log_likelihood(process, RING.score(process), x, steps=100, trace="hutchinson",
                           probe=torch.sign(drawn["p"]))
    assert torch.allclose(rough.x, exact.x), "the probe does not move the path"
    assert (rough.log_p - exact.log_p).mean().abs() < 0.15 and not torch.allclose(rough.log_p, exact.log_p)


def test_the_latent_point_is_a_sample_of_the_prior():
    drawn = sample({"u": Uniform((800,)), "z": Normal((800, 2))}, seed=2, stream="start", dtype=T64)
    process = VP()
    latent = log_likelihood(process, RING.score(process), RING.draw(drawn["u"], drawn["z"]), steps=60).x
    assert latent.std().item() == pytest.approx(1.0, abs=0.05) and latent.mean().abs() < 0.08


@pytest.mark.parametrize(("options", "words"), [
    ({"trace": "hutch"}, "trace must be one of exact, hutchinson"), ({"trace": "hutchinson"}, "needs a probe"),
    ({"probe": X}, "takes none"), ({"trace": "hutchinson", "probe": X[:2]}, "must have the shape of x"),
    ({"end": 0.0}, "noise level is 0"), ({"end": 1.5}, "below the horizon")])
def test_refusals(options, words):
    with pytest.raises(ValueError, match=words):
        log_likelihood(VP(), RING.score(VP()), X, **options)
