"""Closed forms of a noisy OU path against the brute force of one big normal distribution; Girsanov too."""
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nde_lab.sdes.neural_sdes import gauss

T64 = torch.float64


def t(value):
    return torch.tensor(value, dtype=T64)


def joint(n, alpha, v, p0):
    """Covariance of z_0 .. z_n of the chain, by its definition."""
    A = torch.zeros(n + 1, n + 1, dtype=T64)
    for i in range(n + 1):
        for j in range(i + 1):
            A[i, j] = alpha ** (i - j)
    noise = torch.cat([t([p0]), torch.full((n,), float(v), dtype=T64)])
    return A @ torch.diag(noise) @ A.T


def data(n, seed, hidden):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, generator=g, dtype=T64)
    w = torch.ones(n, dtype=T64)
    w[n // 3: n // 3 + hidden] = 0.0
    return x, w


@settings(deadline=None, max_examples=8)
@given(n=st.integers(3, 12), seed=st.integers(0, 99), hidden=st.integers(0, 3), alpha=st.floats(0.3, 1.0),
       v=st.floats(0.01, 2.0), s=st.floats(0.1, 2.0), p0=st.floats(0.1, 2.0))
def test_evidence_and_band_are_those_of_the_joint_normal(n, seed, hidden, alpha, v, s, p0):
    x, w = data(n, seed, hidden)
    told = gauss.future(x, w, alpha=alpha, v=v, s=t(s))
    C, seen = joint(n, alpha, v, p0), torch.cat([t([0.0]), w]).bool()
    S = C[seen][:, seen] + s**2 * torch.eye(int(seen.sum()), dtype=T64)
    exact = torch.distributions.MultivariateNormal(torch.zeros(len(S), dtype=T64), S).log_prob(x[w.bool()])
    assert float(gauss.evidence(told, p0=p0)) == pytest.approx(float(exact), rel=1e-8, abs=1e-8)
    gain = torch.linalg.solve(S, C[seen]).T
    mean, sd = gauss.smoothed(x, w, told, alpha=alpha, v=v, s=t(s), p0=p0)
    assert torch.allclose(mean, gain @ x[w.bool()], atol=1e-8)
    assert torch.allclose(sd**2, (C - gain @ C[seen]).diagonal(), atol=1e-8)


def test_the_best_bound_is_reached_by_the_best_drift_and_by_no_other():
    """The controlled chain's ELBO, by moments, equals the closed form; a perturbed control has less."""
    n, dt, s, p0 = 20, 0.1, t(0.3), 0.5
    alpha, v = gauss.ou_chain(a=t(1.0), sigma=t(1.0), dt=dt, exact=False)
    x, w = data(n, 3, 4)
    told = gauss.future(x, w, alpha=alpha, v=v, s=s)

    def bound(extra):
        var = p0 / (1 + p0 * told.P[0])
        mean = var * told.q[0]
        value = -0.5 * (var / p0 + mean**2 / p0 - 1 - torch.log(var / p0))
        for k in range(n):
            P, q = told.P[k + 1] + w[k] / s**2, told.q[k + 1] + w[k] * x[k] / s**2
            # next mean = slope z + shift; price (next mean - alpha z)^2 / (2 v)
            slope, shift = alpha / (1 + v * P) + extra, v * q / (1 + v * P) + extra
            away = (slope - alpha) * mean + shift
            value = value - (away**2 + (slope - alpha) ** 2 * var) / (2 * v)
            mean, var = slope * mean + shift, slope**2 * var + v
            value = value + w[k] * (gauss.log_normal(x[k], mean, s) - 0.5 * var / s**2)
        return float(value)

    best = float(gauss.best_bound(told, p0=p0))
    assert bound(0.0) == pytest.approx(best, abs=1e-9)
    assert bound(0.02) < best - 1e-3 and bound(-0.02) < best - 1e-3
    assert best < float(gauss.evidence(told, p0=p0))


def test_the_price_of_euler_steps_vanishes_like_the_step():
    """The same six data, 40, 80, 160 steps between: what is lost halves with the step."""
    x, _ = data(6, 0, 0)
    lost = []
    for between in (40, 80, 160):
        alpha, v = gauss.ou_chain(a=t(1.0), sigma=t(1.0), dt=0.5 / between, exact=False)
        xs, w = torch.zeros(6 * between, dtype=T64), torch.zeros(6 * between, dtype=T64)
        xs[between - 1::between], w[between - 1::between] = x, 1.0
        lost.append(float(gauss.future(xs, w, alpha=alpha, v=v, s=t(0.5)).loss.sum()))
    assert all(1.75 < a / b < 2.05 for a, b in zip(lost[:-1], lost[1:], strict=True))


def test_a_chain_seen_at_exact_steps_is_the_process_whatever_the_step():
    a, sigma = t(0.7), t(1.3)
    alpha, v = gauss.ou_chain(a=a, sigma=sigma, dt=0.2, exact=True)
    half_alpha, half_v = gauss.ou_chain(a=a, sigma=sigma, dt=0.1, exact=True)
    assert float(alpha) == pytest.approx(float(half_alpha**2))
    assert float(v) == pytest.approx(float(half_v * (1 + half_alpha**2)))


@pytest.mark.parametrize(("a", "b", "shift"), [(1.0, 1.0, 0.8), (1.0, 2.0, 0.0), (0.5, 1.5, -0.6)])
def test_the_path_kl_of_two_ou_laws_is_what_fine_steps_add_up_to(a, b, shift):
    sigma, mean0, var0, T, n = 0.8, 0.5, 0.2, 2.0, 20_000
    mean, var, total, dt = mean0, var0, 0.0, T / n
    for _ in range(n):
        total += ((a - b) * mean + shift) ** 2 * dt + (a - b) ** 2 * var * dt
        mean, var = mean + (shift - b * mean) * dt, var * (1 - b * dt) ** 2 + sigma**2 * dt
    exact = gauss.ou_path_kl(a=a, b=b, shift=shift, sigma=sigma, mean0=mean0, var0=var0, T=T)
    assert exact == pytest.approx(total / (2 * sigma**2), rel=2e-4)
    assert gauss.ou_path_kl(a=a, b=a, shift=0.0, sigma=sigma, mean0=mean0, var0=var0, T=T) == 0


def test_log_normal_is_the_density_of_a_normal():
    x = torch.linspace(-2, 2, 9, dtype=T64)
    want = torch.distributions.Normal(t(0.3), t(0.7)).log_prob(x)
    assert torch.allclose(gauss.log_normal(x, t(0.3), t(0.7)), want)
    assert math.isclose(gauss.LOG_2PI, math.log(2 * math.pi))
