"""The closed form: optimal, consistent with its own drift, right at both limits of sigma."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.bridges.multi_marginal import GaussianBridge, Reference
from nde_lab.exercises import normal

T64 = torch.float64


def bridge(d=3, sigma=0.8, pull=0.0, horizon=1.0, seed=0):
    a, b = normal(d, d, seed=seed), normal(d, d, seed=seed + 1)
    eye = torch.eye(d, dtype=T64)
    return GaussianBridge.of(normal(d, seed=seed + 2), a @ a.T + 0.2 * eye, normal(d, seed=seed + 3),
                             b @ b.T + 0.2 * eye, sigma=sigma, pull=pull, horizon=horizon)


REFERENCES = pytest.mark.parametrize(("pull", "horizon"), [(0.0, 1.0), (0.0, 2.5), (1.3, 1.0), (0.6, 0.5)])


@REFERENCES
def test_the_precision_of_the_ends_is_that_of_the_reference(pull, horizon):
    g = bridge(pull=pull, horizon=horizon)
    precision = torch.linalg.inv(torch.cat([torch.cat([g.S0, g.C], 1), torch.cat([g.C.T, g.S1], 1)]))
    assert torch.allclose(precision[:3, 3:], -torch.eye(3, dtype=T64) / g.reference.epsilon, atol=1e-10)
    if not pull:
        assert g.reference.epsilon == pytest.approx(0.8**2 * horizon)


def test_the_papers_numbers():
    g = GaussianBridge.of(0, 1, 2, 0.25, sigma=1)
    assert g.C.item() == pytest.approx(0.207107, abs=1e-6) and g.mean(0.5).item() == 1
    assert g.cov(0.5).item() == pytest.approx(0.666053, abs=1e-6)
    t, c = 0.3, g.C.item()
    kappa = (((1 - t) * c + t * 0.25) / g.cov(t).item() - 1) / (1 - t)
    assert g.slope(t).item() == pytest.approx(kappa)


@REFERENCES
def test_the_drift_carries_mean_and_covariance_from_end_to_end(pull, horizon):
    """Moments of dX = b+ dt + sigma dW by RK4: mean' = b+(mean), cov' = K cov + cov K' + sigma^2 I."""
    g, n = bridge(2, pull=pull, horizon=horizon), 50
    m, S, h = g.m0, g.S0, 0.9 * horizon / n
    eye = torch.eye(2, dtype=T64)

    def slopes(t, m, S):
        K = g.slope(t)
        return g.forward(m[None], t)[0], K @ S + S @ K.T + g.reference.sigma**2 * eye
    for k in range(n):
        t = k * h
        a = slopes(t, m, S)
        b = slopes(t + h / 2, m + h / 2 * a[0], S + h / 2 * a[1])
        c = slopes(t + h / 2, m + h / 2 * b[0], S + h / 2 * b[1])
        d = slopes(t + h, m + h * c[0], S + h * c[1])
        m, S = (v + h / 6 * (p + 2 * q + 2 * r + s) for v, p, q, r, s in zip((m, S), a, b, c, d, strict=True))
    assert torch.allclose(m, g.mean(0.9 * horizon), atol=1e-6)
    assert torch.allclose(S, g.cov(0.9 * horizon), atol=1e-5)
    assert torch.allclose(g.cov(0.0), g.S0) and torch.allclose(g.cov(horizon), g.S1)


@REFERENCES
def test_the_two_drifts_add_up_to_the_score(pull, horizon):
    g, x = bridge(pull=pull, horizon=horizon), normal(20, 3, seed=9)
    for t in (0.1 * horizon, 0.5 * horizon, 0.95 * horizon):
        both = g.forward(x, t) + g.backward(x, t)
        assert torch.allclose(both, g.reference.sigma**2 * g.score(x, t), atol=1e-9)


def test_little_noise_is_optimal_transport_and_much_noise_forgets():
    g = bridge(sigma=1e-4)
    A = torch.linalg.inv(g.S0) @ g.C                     # X_1 - m1 = A' (X_0 - m0): the Monge map
    assert torch.allclose(A.T @ g.S0 @ A, g.S1, atol=1e-6)
    assert torch.allclose(A, A.T, atol=1e-6) and (torch.linalg.eigvalsh(A) > 0).all()
    assert bridge(sigma=300.0).C.abs().max() < 1e-3


@settings(deadline=None, max_examples=30)
@given(sigma=st.floats(0.05, 20), s0=st.floats(0.1, 3), s1=st.floats(0.1, 3), t=st.floats(0, 1))
def test_on_the_line_it_is_the_root_of_a_quadratic(sigma, s0, s1, t):
    g = GaussianBridge.of(0, s0**2, 1, s1**2, sigma=sigma)
    c = g.C.item()
    assert c**2 + sigma**2 * c == pytest.approx(s0**2 * s1**2, rel=1e-6)
    assert 0 < c < s0 * s1 and g.cov(t).item() > 0
    assert c == pytest.approx(0.5 * (math.sqrt(4 * s0**2 * s1**2 + sigma**4) - sigma**2), rel=1e-6, abs=1e-9)


def test_a_weak_pull_is_nearly_none():
    weak, none = Reference(0.7, pull=torch.tensor(1.1e-5)), Reference(0.7)
    gap = torch.tensor([0.1, 1.0], dtype=T64)
    assert torch.allclose(weak.variance(gap), none.variance(gap), rtol=1e-2)
    assert torch.allclose(Reference(0.7, pull=1e-7).variance(gap), none.variance(gap), rtol=1e-6)
    assert Reference(0.7, pull=torch.tensor(0.0)).variance(0.5) == pytest.approx(0.245, rel=1e-6)


def test_refusals():
    ok = dict(m0=[0, 0], S0=torch.eye(2), m1=[1, 1], S1=torch.eye(2), sigma=1.0)
    for bad, says in ((dict(S0=torch.tensor([[1.0, 2.0], [2.0, 1.0]])), "covariance of the start must be symmetric"),
                      (dict(S1=torch.tensor([[1.0, 0.5], [0.0, 1.0]])), "covariance of the end must be symmetric"),
                      (dict(S0=torch.eye(3)), r"has shape \(2, 2\); got \(3, 3\)"),
                      (dict(m1=[0.0], S1=[[1.0]]), "got 2 and 1 dimensions"),
                      (dict(sigma=0.0), "sigma must be a number above 0, got 0.0"),
                      (dict(sigma=-1.0), "sigma must be"), (dict(sigma=math.nan), "sigma must be"),
                      (dict(pull=-1.0), "pull must be a number at least 0"),
                      (dict(horizon=0.0), "horizon must be a number above 0")):
        with pytest.raises(ValueError, match=says):
            GaussianBridge.of(**{**ok, **bad})
    g, x = GaussianBridge.of(**ok), torch.zeros(1, 2, dtype=T64)
    for call in (lambda: g.forward(x, 1.0), lambda: g.backward(x, 0.0), lambda: g.cov(1.5), lambda: g.mean(-0.1)):
        with pytest.raises(ValueError, match="the time must lie in"):
            call()
