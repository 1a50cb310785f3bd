"""The five exercises of the chapter on the Schroedinger bridge; ``check.halfway(my_answer)`` answers with a hint."""
from __future__ import annotations

import math

import torch

from nde_lab.bridges.multi_marginal.gaussian import GaussianBridge
from nde_lab.bridges.multi_marginal.static import PointBridge
from nde_lab.exercises import exercise, normal, require

T64 = torch.float64


def _like(answer, x, what: str):
    got = torch.as_tensor(answer, dtype=T64)
    require(got.shape == x.shape, f"{what} has shape {tuple(x.shape)}; yours has {tuple(got.shape)}.")
    return got


@exercise(hints=("The variance at half time is a quarter of each end's, half of c, and the bridge's own part.",
                 "1/4 + 1/4 + c/2 + σ²/4, where c = (sqrt(4 + σ⁴) - σ²)/2 for two standard normals.",
                 "The σ² cancel: 1/2 + sqrt(4 + σ⁴)/4."))
def halfway(answer):
    """answer(sigma) -> variance at t = 1/2 of the bridge from N(0, 1) to N(0, 1)."""
    for sigma in (0.1, 1.0, 3.0):
        told = GaussianBridge.of(0, 1, 0, 1, sigma=sigma).cov(0.5).item()
        got = float(answer(sigma))
        require(abs(got - told) < 1e-6, f"at σ = {sigma:g} you say {got:.4f}; the bridge's variance there is {told:.4f}.")
    return "right at three σ: never below 1, and for large σ about σ²/4, that of a Brownian bridge."


@exercise(hints=("The column sums of u_i K_ij v_j shall be b_j. Which part of the sum over i does not know v?",
                 "v_j = b_j / Σ_i u_i K_ij. Take logarithms; the sum over i becomes a logsumexp.",
                 "log v = log b - logsumexp(log u[:, None] + log K, over the rows i)."))
def half_step(answer):
    """answer(log_K, log_u, log_b) -> log v (m,) after which the columns add up to b."""
    log_K, log_u = -200 * normal(6, 4, seed=1).square(), normal(6, seed=2)
    log_b = torch.log(torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=T64))
    log_v = _like(answer(log_K, log_u, log_b), log_b, "log v")
    require(bool(torch.isfinite(log_v).all()), "your log v is not finite where K is as small as 1e-300; stay with "
            "logarithms, logsumexp does not underflow.")
    got = torch.logsumexp(log_u[:, None] + log_K + log_v, 0).exp()
    require(torch.allclose(got, log_b.exp(), rtol=1e-6), "with your v the columns add up to "
            f"{[round(v, 4) for v in got.tolist()]}; they should to [0.1, 0.2, 0.3, 0.4].")
    return "the columns add up to b, though K has entries below 1e-100."


@exercise(hints=("Where will the walker end, on average, given where it is now? Each end y_j has a weight.",
                 "The weight of y_j is v_j times the density of going from x to y_j in the time 1 - t.",
                 "w = softmax(log_v - |x - y|²/(2σ²(1 - t))), drift = (w @ y - x)/(1 - t)."))
def bridge_drift(answer):
    """answer(x, t, y, log_v, sigma) -> drift (B,) of the bridge at x (B,), for points y (m,) and Brownian motion."""
    x0, y = normal(15, 1, seed=1), normal(10, 1, seed=2) + 1
    for sigma in (0.5, 1.5):
        bridge, x = PointBridge.of(x0, y, sigma=sigma), normal(7, seed=3)
        for t in (0.0, 0.5, 0.9):
            got = _like(answer(x, t, y[:, 0], bridge.log_v, sigma), x, "the drift")
            told = bridge.forward(x[:, None], t)[:, 0]
            off = (got - told).abs().max().item()
            require(off < 1e-6, f"at σ = {sigma:g}, t = {t:g} your drift is off by up to {off:.3g}; the largest true "
                                f"one there is {told.abs().max():.3g}.")
    return "right at three times and two strengths of noise."


@exercise(hints=("How does the reversed process see the density? Both drifts together climb it.",
                 "f+ + f- = σ² ∇log p, all at the same forward time t.",
                 "return sigma**2 * score(x, t) - forward(x, t)."))
def turn_round(answer):
    """answer(forward, score, x, t, sigma) -> f- (B, 1) at the forward time t."""
    for sigma in (0.7, 1.5):
        g, x = GaussianBridge.of(0, 1, 2, 0.25, sigma=sigma), torch.tensor([[-1.0], [0.5], [2.0]], dtype=T64)
        for t in (0.2, 0.8):
            got = _like(answer(g.forward, g.score, x, t, sigma), x, "the drift")
            told = g.backward(x, t)
            off = (got - told).abs().max().item()
            require(off < 1e-6, f"at σ = {sigma:g} and t = {t:g} your f- is off by up to {off:.3g}; at x = 0.5 it should "
                                f"be {told[1].item():.3f} and is {got[1].item():.3f}.")
    return "it runs the bridge backwards, at two times and two strengths of noise."


@exercise(hints=("The flow has the same density p_t at every time and no noise. Split the drift in two.",
                 "f+ has a part that only undoes what the noise spreads: σ²/2 ∇log p.",
                 "v = f+ - σ²/2 ∇log p: the mean of f+ and -f-."))
def same_snapshots(answer):
    """answer(forward, score, x, t, sigma) -> velocity (B, 1) of a noiseless motion with all the bridge's marginals."""
    sigma = 1.0
    g, n = GaussianBridge.of(0, 1, 2, 0.25, sigma=sigma), 200
    x, start = (torch.linspace(-2, 2, 9, dtype=T64)[:, None] for _ in range(2))
    for k in range(n):                                                # midpoint rule up to t = 0.99
        t, h = 0.99 * k / n, 0.99 / n
        half = x + h / 2 * _like(answer(g.forward, g.score, x, t, sigma), x, "the velocity")
        x = x + h * torch.as_tensor(answer(g.forward, g.score, half, t + h / 2, sigma))
        now = t + h
        spread = ((x[-1] - x[0]) / (start[-1] - start[0])).item()
        want = math.sqrt(g.cov(now).item())
        require(abs(spread - want) < 0.01 and abs(x[4].item() - g.mean(now).item()) < 0.01,
                f"by t = {now:.2f} your motion has mean {x[4].item():.3f} and standard deviation {abs(spread):.3f}; the "
                f"bridge has {g.mean(now).item():.3f} and {want:.3f}.")
    return (f"all marginals are right up to t = 0.99, and yet its ends have covariance 0.5 = s0 s1, not c = {g.C.item():.4f}:"
            " snapshots do not tell who went where.")

