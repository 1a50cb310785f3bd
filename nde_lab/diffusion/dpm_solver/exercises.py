"""The five exercises of the chapter on fast samplers; ``check.held_step(my_answer)`` answers with a hint."""
from __future__ import annotations

import math

import torch

from nde_lab.diffusion.denoising_mcmc import level_given, levels
from nde_lab.diffusion.dpm_solver.solver import dpm_step
from nde_lab.diffusion.mr_sampler import Deviation, MeanReverting, mr_step
from nde_lab.diffusion.score_sde import VP, Mixture
from nde_lab.exercises import exercise, require

T64 = torch.float64


def _time(t: float) -> torch.Tensor:
    return torch.tensor(t, dtype=T64)


@exercise(hints=("With ε held, x = m·x₀ + s·ε at both times. What must x₀ be?",
                 "x₀ = (x - s ε) / m now. Put it into m' x₀ + s' ε at the next time.",
                 "m'/m · x + (s' - m' s/m) · ε."))
def held_step(answer):
    """answer(x, eps, m, s, m2, s2) -> the state at the next time when the noise prediction stays eps."""
    process = VP()
    for t, after, x, eps in ((0.9, 0.4, 0.7, -0.3), (0.5, 0.1, -1.2, 1.1), (0.2, 0.001, 0.1, 0.5)):
        a, b = process.coefficients(t), process.coefficients(after)
        exact = dpm_step(lambda t, x, e=eps: torch.full_like(x, e), process, torch.tensor([[x]], dtype=T64),
                         _time(t),
                         _time(after), order=1).item()
        got = float(answer(x, eps, *(float(v) for v in (a.mean, a.std, b.mean, b.std))))
        require(abs(got - exact) < 1e-9,
                f"from t = {t:g} to {after:g} with x = {x:g}, ε = {eps:g} you get {got:.5f}; "
                f"DPM-Solver-1 gets {exact:.5f}.")
    return "that is DDIM, exact for a noise prediction that does not change, whatever the step."


@exercise(hints=("An error C hᵖ: what happens to it when h is halved?",
                 "The ratio is 2ᵖ per doubling; n₂/n₁ need not be 2.",
                 "log(e₁/e₂) / log(n₂/n₁)."))
def order_of(answer):
    """answer(n1, e1, n2, e2) -> the order of a method with error e1 in n1 steps and e2 in n2."""
    for p, n1, n2 in ((1, 10, 20), (2, 10, 30), (3, 16, 20)):
        got = float(answer(n1, 5.0 / n1**p, n2, 5.0 / n2**p))
        require(abs(got - p) < 1e-9,
                f"errors 5/n^{p} at n = {n1} and {n2} are of order {p}; you say {got:.4g}.")
    return "the order is minus the slope on log axes, from any two points."


@exercise(hints=("Your formula is right on paper. What are its numerator's digits worth when h is tiny?",
                 "math.expm1(h) keeps the digits of e^h - 1, but (e^h - 1) - h still cancels. Use the series "
                 "there.",
                 "For h < 1e-2: h/2 + h²/6 + h³/24 + h⁴/120 + h⁵/720; else math.expm1(h)/h - 1."))
def weight_of_change(answer):
    """answer(h) -> (e^h - 1)/h - 1, the weight of the prediction's change, to 9 digits for h from 1e-8 to 3."""
    for h in (3.0, 0.5, 1e-2, 1e-4, 1e-6, 1e-8):
        term, exact = 1.0, 0.0
        for k in range(1, 60):
            term *= h / (k + 1)
            exact += term
        got = float(answer(h))
        require(abs(got / exact - 1) < 1e-9, f"at h = {h:g} you get {got:.6g}; it is {exact:.6g}, so "
                f"{abs(got / exact - 1):.1g} of it is wrong.")
    return "nine digits, also where the plain formula has none."


@exercise(hints=("Let the clean point be μ itself. Where must a step without noise leave x = μ?",
                 "At μ. So the weights of x, of the prediction of x₀, and of μ add up to 1.",
                 "1 - s'/s - m' (1 - e^{-h}), where e^{-h} = m s' / (m' s)."))
def mu_weight(answer):
    """answer(m, s, m2, s2) -> the weight of μ in the data form of the ODE step, from m, s to m2, s2."""
    d = Deviation()
    one = MeanReverting(torch.ones(1, 1, dtype=T64), d)
    zero = torch.zeros(1, 1, dtype=T64)
    for t, after in ((1.5, 0.9), (0.9, 0.3), (0.3, 0.01)):
        t, after = _time(t), _time(after)
        exact = mr_step(one, zero, zero, zero, t, after, form="data").item()
        got = float(answer(*(float(v) for v in (d.mean(t), d.std(t), d.mean(after), d.std(after)))))
        require(abs(got - exact) < 1e-9,
                f"from t = {t:g} to {after:g} you give μ the weight {got:.5f}; the step gives "
                f"it {exact:.5f}.")
    return "a clean image that is its own observation is left alone."


@exercise(hints=("Bayes: p(σ | x) ∝ p_σ(x) p(σ), and p(σ) is the same for every level of the grid.",
                 "p_σ is N(0, c² + σ²) in each of the d coordinates. The power of its constant is d.",
                 "(c² + σ²)^(-d/2) exp(-|x|² / (2(c² + σ²))), divided by its sum over the grid."))
def level_given_x(answer):
    """answer(x, grid, c) -> p(sigma | x) on the grid (L,) for data N(0, c^2 I); x (d,)."""
    for d, c in ((1, 0.5), (2, 1.0), (5, 0.3)):
        grid, x = levels(0.05, 5.0, 12), torch.linspace(-1.0, 2.0, d, dtype=T64)
        exact = level_given(Mixture.of([[0.0] * d], c), grid, x[None])[0]
        got = torch.as_tensor(answer(x, grid, c), dtype=T64)
        require(got.shape == grid.shape,
                f"a probability for each of {len(grid)} levels is asked for; yours has shape "
                f"{tuple(got.shape)}.")
        gap, total = (got - exact).abs().max().item(), got.sum().item()
        require(abs(total - 1) < 1e-9, f"your probabilities add up to {total:.4g}, not 1.")
        require(gap < 1e-9 and math.isfinite(gap),
                f"in {d} dimension(s) with c = {c:g} you are off by {gap:.3g} at the "
                "worst level.")
    return "this is the noise-level classifier of the paper, without a network."
