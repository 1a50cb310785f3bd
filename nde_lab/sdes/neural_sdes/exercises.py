"""The five exercises of the chapter on neural SDEs; ``check.path_price(my_answer)`` answers with a hint."""
from __future__ import annotations

import math

import torch

from nde_lab.exercises import exercise, require
from nde_lab.sdes.neural_sdes.rewind import pulled
from nde_lab.solvers import SDE, Brownian, Grid, choose, integrate

T64 = torch.float64


@exercise(hints=("The path KL is the mean of an integral over time. Is its integrand random here?",
                 "u = (f - h) / σ is the constant c / σ, on every path and at every time.",
                 "Integrate u² / 2 = c² / (2σ²) from 0 to T."))
def path_price(answer):
    """answer(c, sigma, T) -> the path KL of a posterior whose drift exceeds the prior's by the constant c."""
    z0 = torch.zeros(3, 1, dtype=T64)
    for c, sigma, T in ((1.0, 1.0, 1.0), (-2.0, 0.5, 3.0), (0.3, 2.0, 0.5)):
        grid = Grid(0.0, T, 50)
        sde = SDE(lambda t, z, c=c: c - z, lambda t, z, s=sigma: s + 0 * z, prior=lambda t, z: -z)
        noise = Brownian.draw(grid, (3, 1), seed=0, dtype=T64).increments
        kl = float(integrate(sde, z0, grid, noise, save="last", logqp=True)[1].mean())
        got = float(answer(c, sigma, T))
        require(abs(got / kl - 1) < 1e-6, f"with c = {c:g}, σ = {sigma:g}, T = {T:g} you say {got:.4g}; the "
                                          "solver's "
                f"path KL is {kl:.4g}.")
    return "the solver's path KL agrees for three settings, and it is the same on every path."


@exercise(hints=("Three terms: E log p(x|z) under q, and KL(q || p), which you know for two normals.",
                 "E (x - z)² under q is (x - m)² + v. KL(N(m, v) || N(0, 1)) = (v + m² - 1 - log v) / 2.",
                 "-log(2π s²)/2 - ((x - m)² + v) / (2s²) - (v + m² - 1 - log v) / 2."))
def one_point_bound(answer):
    """answer(x, s, m, v) -> ELBO for z ~ N(0, 1), x = z + N(0, s²), q = N(m, v)."""
    for x, s in ((0.7, 0.5), (-2.0, 1.5)):
        evidence = -0.5 * math.log(2 * math.pi * (1 + s**2)) - x**2 / (2 * (1 + s**2))
        best_v = s**2 / (1 + s**2)
        best_m = x / (1 + s**2)
        got = float(answer(x, s, best_m, best_v))
        require(abs(got - evidence) < 1e-9, f"for x = {x:g}, s = {s:g} and the exact posterior N({best_m:.3g}, "
                f"{best_v:.3g}) your bound is {got:.4f}; there it must equal log p(x) = {evidence:.4f}.")
        for m, v in ((best_m + 0.5, best_v), (best_m, 2 * best_v), (0.0, 1.0)):
            gap = evidence - float(answer(x, s, m, v))
            kl = 0.5 * (v / best_v + (m - best_m) ** 2 / best_v - 1 - math.log(v / best_v))
            require(abs(gap - kl) < 1e-9, f"for x = {x:g}, s = {s:g}, q = N({m:.3g}, {v:.3g}) you are "
                                          f"{gap:.4f} below "
                    f"log p(x); the gap must be KL(q || exact posterior) = {kl:.4f}.")
    return "your bound touches log p(x) at the exact posterior, and lies below it by the KL elsewhere."


@exercise(hints=("Which of y and z can you get without evaluating anything?",
                 "z first: z = 2 y' - z' - f' h - g' dW. Then evaluate the field there.",
                 "f, g = field(z); y = y' - (f + f') h/2 - (g + g') dW/2."))
def undo_step(answer):
    """answer(y1, z1, f1, g1, field, h, dW) -> (y, z) before the step; field(z) -> (f, g)."""
    def field(z):
        return torch.sin(z) - 0.5 * z, 0.3 + 0.1 * torch.cos(z)

    draw = torch.Generator().manual_seed(0)
    y, h = torch.randn(5, generator=draw, dtype=T64), 0.1
    z = y + 0.05 * torch.randn(5, generator=draw, dtype=T64)
    f, g = field(z)
    dW = math.sqrt(h) * torch.randn(5, generator=draw, dtype=T64)
    z1 = 2 * y - z + f * h + g * dW
    f1, g1 = field(z1)
    y1 = y + (f + f1) * h / 2 + (g + g1) * dW / 2
    back_y, back_z = answer(y1, z1, f1, g1, field, h, dW)
    gap_z, gap_y = float((back_z - z).abs().max()), float((back_y - y).abs().max())
    require(gap_z < 1e-13, f"your z misses the shadow before the step by {gap_z:.2g}; rounding alone is 1e-15.")
    require(gap_y < 1e-13, f"z is right, but your y misses by {gap_y:.2g}; rounding alone is 1e-15.")
    return f"one step undone to {max(gap_y, gap_z):.1g}."


@exercise(hints=("What multiplies a rounding error of the size 1e-16 on the way there and back?",
                 "The gap of y and z grows like e^(λT) on the way there, and again on the way back.",
                 "Ask for e^(2λT) · 1e-16 > 1e-3: λT above 15."))
def no_way_home(answer):
    """answer = (lam, T): reversible Heun, in float64 with steps of 0.05, misses its start by more than 1e-3."""
    lam, T = map(float, answer)
    require(0 < lam <= 10 and 0 < T <= 20, f"take 0 < λ ≤ 10 and 0 < T ≤ 20, you gave λ = {lam:g}, T = {T:g}.")
    grid = Grid(0.0, T, max(1, round(T / 0.05)))
    sde, times = pulled(lam, 0.4), grid.tensor(T64)
    dW, y0 = Brownian.draw(grid, (8, 1), seed=0, dtype=T64).increments, torch.ones(8, 1, dtype=T64)
    scheme = choose(sde, "reversible_heun")
    carry = scheme.start(sde, times[0], y0)
    for k in range(grid.steps):
        carry = scheme.step(sde, times[k], carry, grid.dt, dW[k])
    for k in reversed(range(grid.steps)):
        carry = scheme.undo(sde, times[k + 1], carry, grid.dt, dW[k])
    missed = float((carry[0] - y0).square().mean().sqrt())
    require(missed > 1e-3, f"with λ = {lam:g}, T = {T:g} the start is found again up to {missed:.1g}; "
                           "e^(2λT) · 1e-16 "
            f"is {math.exp(min(2 * lam * T, 700)) * 1e-16:.1g}.")
    return f"the start is missed by {missed:.2g}: reversible on paper, not in 64 bits."


@exercise(hints=("In the largest-entry norm no clipped matrix stretches anything. The Euclidean norm adds up "
                 "rows.",
                 "Take all entries at the limit, 1 / (number of columns), and count rows.",
                 "A single column: every entry may be 1, so torch.ones(4, 1) doubles every length."))
def clipped_matrix(answer):
    """answer: W (out, in) with |entries| <= 1/in whose Euclidean norm is above 1."""
    W = torch.as_tensor(answer, dtype=T64)
    require(W.dim() == 2, f"a matrix has two axes, yours has shape {tuple(W.shape)}.")
    largest, limit = float(W.abs().max()), 1 / W.shape[1]
    require(largest <= limit + 1e-12, f"its largest entry is {largest:.3g}; with {W.shape[1]} columns the "
                                      "clip is at "
            f"{limit:.3g}.")
    norm, rows = float(torch.linalg.matrix_norm(W, 2)), float(W.abs().sum(1).max())
    require(norm > 1 + 1e-9, f"its Euclidean norm is {norm:.3g}, so it stretches no vector; above 1 is asked "
                             "for.")
    return (f"Euclidean norm {norm:.3g} > 1, while the largest entry of W x is at most {rows:.3g} times that "
            "of x.")
