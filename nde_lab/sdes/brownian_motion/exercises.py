"""The five exercises of the chapter on Brownian motion; ``check.midpoint(my_answer)`` answers with a hint.

Each law is tested by simulation or an exact identity, so any correct answer passes, however it is written.
"""
from __future__ import annotations

import math

import torch

from nde_lab.exercises import exercise, normal, require
from nde_lab.sdes.brownian_motion import fokker_planck as fp
from nde_lab.sdes.brownian_motion.ito import growth_step
from nde_lab.sdes.brownian_motion.langevin import reflect

T64 = torch.float64


@exercise(hints=("The mean does not feel the noise. The typical path does: which term of Itô's formula slows "
                 "it?",
                 "log x grows at the rate γ - σ²/2 on average. When is that 0?",
                 "Solve σ²/2 = γ for σ."))
def standstill(answer):
    """answer(gamma) -> the noise at which the typical path of dx = gamma x dt + sigma x dW stands still."""
    for gamma in (0.125, 0.5, 1.0):
        sigma, dt, x = float(answer(gamma)), 1 / 400, torch.ones(1000, dtype=T64)
        require(sigma > 0, f"with γ = {gamma:g} you answer σ = {sigma:.3g}; without noise every path grows.")
        for xi in normal(400, 500):
            dW = torch.cat([xi, -xi]) * math.sqrt(dt)          # each path and its mirror image
            x = growth_step(x, dW, gamma=gamma, sigma=sigma, dt=dt, calculus="ito")
        factor = float(x.log().mean().exp())
        require(abs(factor - 1) < 0.05, f"with γ = {gamma:g} and your σ = {sigma:.3g} the typical of 1000 "
                                        f"simulated paths is multiplied by {factor:.2f} in one unit of time; "
                                        "1 is asked for.")
    return "the typical path stands still within 5 % for γ = 1/8, 1/2 and 1, while the mean grows by e^γ."


@exercise(hints=("Where is a midpoint on average, and how far from there? Two halves of length h/2 must each "
                 "get their due variance.",
                 "The mean is (left + right)/2. The bridge law with t in the middle has the variance h/4.",
                 "Return (left + right) / 2 + (h / 4) ** 0.5 * xi."))
def midpoint(answer):
    """answer(left, right, h, xi) -> W in the middle of an interval of length h, given its ends. xi: standard
    normal."""
    for h in (1.0, 0.25):
        n = 40_000
        left, xi = normal(n), normal(n, seed=2)
        right = left + math.sqrt(h) * normal(n, seed=1)
        middle = torch.as_tensor(answer(left, right, h, xi), dtype=T64)
        require(middle.shape == (n,), f"for {n} intervals you return shape {tuple(middle.shape)}; one value "
                                      "for each interval is due.")
        first, second = middle - left, right - middle
        for name, step in (("first", first), ("second", second)):
            variance = float(step.var())
            require(abs(variance / (h / 2) - 1) < 0.04, f"with h = {h:g} the step over the {name} half has "
                                                        f"the variance {variance:.3f}; half of the time "
                                                        f"deserves {h / 2:g}.")
        both = float((first * second).mean()) / (h / 2)
        require(abs(both) < 0.03, f"with h = {h:g} the steps over the two halves have the correlation "
                                  f"{both:.2f}; steps of a Brownian motion over separate intervals are "
                                  "independent.")
    return "both halves get half of the variance, and their steps are uncorrelated: the path stays Brownian."


@exercise(hints=("A step of the process is: what is left of x after the time h, plus noise of the right "
                 "size.",
                 "The mean shrinks by e^(-ah). The variance after h is σ²(1 - e^(-2ah))/(2a).",
                 "x * exp(-a * h) + (sigma**2 * (1 - exp(-2 * a * h)) / (2 * a)) ** 0.5 * xi."))
def exact_step(answer):
    """answer(x, a, sigma, h, xi) -> x after the time h for dx = -a x dt + sigma dW; any h > 0, however
    long."""
    n, half = 20_000, normal(10_000)
    xi = torch.cat([half, -half])                              # each number and its mirror image: mean 0
    for a, sigma, h in ((1.0, 1.0, 0.1), (2.0, 0.5, 1.0), (1.0, 2.0, 5.0)):
        x = torch.full((n,), 3.0, dtype=T64)
        new = torch.as_tensor(answer(x, a, sigma, h, xi), dtype=T64)
        mean, sd = 3 * math.exp(-a * h), sigma * math.sqrt(-math.expm1(-2 * a * h) / (2 * a))
        require(abs(float(new.mean()) - mean) < 0.05 * sd, f"from x = 3 with a = {a:g}, σ = {sigma:g}, h = "
                                                           f"{h:g} your mean is {float(new.mean()):.3f}; "
                                                           f"e^(-ah) x = {mean:.3f} is due.")
        require(abs(float(new.std()) / sd - 1) < 0.03, f"with a = {a:g}, σ = {sigma:g}, h = {h:g} your "
                                                       f"standard deviation is {float(new.std()):.3f}; "
                                                       f"{sd:.3f} is due.")
    return "mean and spread are right for h = 0.1, 1 and even 5, in one step. Euler explodes there."


@exercise(hints=("At rest the density is ∝ e^(-2U/σ²). You know the density; undo the exponential.",
                 "log p = -2U/σ² + constant.",
                 "U = -(sigma**2 / 2) * log(p), up to a constant."))
def read_the_well(answer):
    """answer(p, sigma) -> the potential U, up to a constant, of which p (a positive tensor) is the law at
    rest."""
    x = fp.cell_centres(-1.5, 1.5, 60, T64)
    grounds = {"double well": fp.double_well(x, b=0.7, c=0.2), "parabola": x**2, "cosine": torch.cos(4 * x)}
    for name, U in grounds.items():
        for sigma in (0.7, 1.3):
            p = fp.at_rest(U, D=sigma**2 / 2, dx=0.05)
            read = torch.as_tensor(answer(p, sigma), dtype=T64)
            require(read.shape == (60,), f"for 60 values of p you return shape {tuple(read.shape)}; one U "
                                         "for each.")
            gap = read - U
            off = float(gap.max() - gap.min())
            require(off < 1e-6, f"for the {name} with σ = {sigma:g} your U, shifted as you like, misses the "
                                f"real one by {off:.3g}.")
    return "three wells, each at two temperatures, were read off their clouds."


@exercise(hints=("Nothing pushes, but the points wander at different speeds in different places. Where are "
                 "they longer?",
                 "Points leave a hot place quickly and a cold place slowly. At rest p(x) ∝ 1/σ(x)².",
                 "Twice as hot on the left gives 4 : 1. Return 1.6 where x < 0 and 0.5 elsewhere "
                 "(torch.where)."))
def hot_spots(answer):
    """answer(x) -> the noise strength at x: without any force, gather 80 % of the points in the right
    half."""
    x = 2 * torch.rand(2000, generator=torch.Generator().manual_seed(0), dtype=T64) - 1
    places = torch.linspace(-1, 1, 201, dtype=T64)
    strength = torch.as_tensor(answer(places), dtype=T64)
    require(strength.shape == (201,), f"for 201 places you return shape {tuple(strength.shape)}; one "
                                      "strength for each.")
    require(0.3 <= float(strength.min()) and float(strength.max()) <= 2, "σ must stay between 0.3 and 2, "
                                                                         "yours goes from "
                                                                         f"{float(strength.min()):.3g} to "
                                                                         f"{float(strength.max()):.3g}.")
    dt, seen = 1 / 400, []
    for k, xi in enumerate(normal(4000, 2000, seed=3)):
        x = reflect(x + answer(x) * math.sqrt(dt) * xi, 1.0)
        if k >= 2000:
            seen.append(float((x > 0).double().mean()))
    share = sum(seen) / len(seen)
    require(share >= 0.8, f"of 2000 points without a force, {share:.0%} are in the right half; 80 % are "
                          "asked for.")
    return (f"{share:.0%} of the points gather where it is cold, and nothing pushes them. So e^(-2U/σ²), "
            "which is flat for U = 0, is the law at rest only if σ is the same everywhere.")
