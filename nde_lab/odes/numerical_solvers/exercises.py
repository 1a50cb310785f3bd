"""The five exercises of the chapter on solvers; ``check.largest_step(my_answer)`` answers with a hint.

Each law is tested by solving, so any correct answer passes, however it is written.
"""
from __future__ import annotations

import math

import torch

from nde_lab.exercises import exercise, require
from nde_lab.odes.numerical_solvers import forms
from nde_lab.odes.numerical_solvers.adaptive import injection, injection_exact
from nde_lab.odes.numerical_solvers.claims import slope
from nde_lab.odes.numerical_solvers.orders import oscillator
from nde_lab.solvers import SDE, Brownian, Grid, integrate, integrate_adaptive, integrate_ode

T64 = torch.float64


@exercise(hints=("What does one Euler step multiply y by? When is that number smaller than 1 in size?",
                 "The factor is 1 - h λ. It reaches -1 before it can do harm.",
                 "Solve 1 - h λ = -1 for h."))
def largest_step(answer):
    """answer(rate) -> the largest h up to which explicit Euler does not grow on y' = -rate y."""
    for rate in (0.5, 3.0, 80.0):
        h = float(answer(rate))
        require(h > 0, f"for λ = {rate:g} you give h = {h:.3g}; a step is positive.")
        for share, grows in ((0.99, False), (1.01, True)):
            size = abs(1 - share * h * rate) ** 2000
            require((size > 1) == grows, f"with λ = {rate:g} and a step of {share} times your h = {h:.3g}, "
                    f"2000 steps multiply |y| by {size:.3g}; it should {'grow' if grows else 'shrink'} there.")
    return "for λ = 0.5, 3 and 80, one percent less than your step decays and one percent more explodes."


@exercise(hints=("By how much does the error shrink when N is doubled, for a method of order p?",
                 "The error is close to C / N^p. Divide that equation for two values of N.",
                 "Solve error (N / N')^p = wanted for N', and round up."))
def steps_needed(answer):
    """answer(error, N, p, wanted) -> how many steps bring a method of order p from ``error`` at N to
    ``wanted``."""
    for error, n, p, wanted in ((1e-2, 50, 1, 1e-4), (3e-3, 40, 2, 1e-6), (1e-4, 20, 4, 1e-9)):
        exact = n * (error / wanted) ** (1 / p)
        got = float(answer(error, n, p, wanted))
        require(abs(got / exact - 1) < 0.02 + 1.5 / exact,
                f"a method of order {p} has the error {error:g} with {n} steps; for {wanted:g} you take "
                f"{got:.6g}, the law C / N^{p} asks for {exact:.6g}.")
    y0, truth = torch.tensor([[1.0, 0.0]], dtype=T64), math.cos(6.0)

    def miss(n):
        return abs(float(integrate_ode(oscillator, y0, Grid(0.0, 6.0, n), save="last")[0, 0]) - truth)
    n = math.ceil(float(answer(miss(100), 100, 4, 1e-8)))
    return (f"your number follows the law for orders 1, 2 and 4; on the oscillator RK4 with {n} steps, "
            f"your number for 1e-8, has the error {miss(n):.2g}.")


@exercise(hints=("A method of order 2 needs the slope in the middle of the step, or the mean of both ends.",
                 "First guess where the end is, with Euler; then look at the slope there.",
                 "k1 = f(t, y), k2 = f(t + h, y + h * k1), and the step is y + h * (k1 + k2) / 2."))
def second_order(answer):
    """answer(f, t, y, h) -> y after one step, of order 2 on a problem that depends on time."""
    def field(t, y):
        return -2 * t * y

    steps, errors = [20, 40, 80, 160], []
    for n in steps:
        y, h, calls = torch.ones(1, dtype=T64), 1.5 / n, [0]

        def counted(t, y, calls=calls):
            calls[0] += 1
            return field(t, y)
        for k in range(n):
            y = answer(counted, k * h, y, h)
        errors.append(max(abs(float(y[0]) - math.exp(-2.25)), 1e-16))
    order = slope(steps, errors)
    require(order > 1.8, f"on y' = -2ty your errors with 20, 40, 80, 160 steps are "
            f"{', '.join(f'{e:.2g}' for e in errors)}: order {order:.2f}, and 2 is asked for.")
    return f"order {order:.2f} on y' = -2ty, with {calls[0] / steps[-1]:g} evaluations per step."


@exercise(hints=("The solver sees the dose only where it evaluates. Where does it not look?",
                 "Before the dose the estimate is zero, so each step is ten times the one before. Make the "
                 "dose short.",
                 "With the dose at 6, a width of 0.1 is stepped over; so is any smaller one."))
def fool_the_solver(answer):
    """answer = (at, width): a dose in 1 < at < 10 that dopri5 misses at tolerance 1e-8, reporting success."""
    at, width = map(float, answer)
    require(1 < at < 10, f"give the dose between t = 1 and t = 10, yours is at {at:g}.")
    require(0.01 <= width <= 2, f"the width must lie between 0.01 and 2, yours is {width:g}.")
    w = torch.tensor([[width]], dtype=T64)
    found = integrate_adaptive(lambda t, y: injection(t, y, at, w), 0 * w, 0.0, 12.0, turns=400, rtol=1e-8,
                               atol=1e-8)
    truth = float(injection_exact(torch.tensor([[12.0]], dtype=T64), at, w))
    wrong = abs(float(found.y) - truth)
    require(bool(found.ok), "the solver did not reach t = 12 in 400 tries, so it does not claim success.")
    require(wrong > 1e-4, f"the solver took {int(found.accepted)} steps and is off by {wrong:.2g}: it saw "
            "the dose.")
    return (f"the solver reports success after {int(found.accepted)} steps at tolerance 1e-8, and is off by "
            f"{wrong:.2g}, {wrong / 1e-8:.0e} times that.")


@exercise(hints=("Which process does Heun's scheme find if it gets the Ito drift as it is?",
                 "Stratonovich's drift is Ito's minus half of g' g. Here g = σ x.",
                 "g' g = σ² x, so return gamma * x - 0.5 * sigma**2 * x."))
def stratonovich_drift(answer):
    """answer(x, gamma, sigma) -> the drift with which Heun solves the *Ito* dX = gamma X dt + sigma X dW."""
    grid = Grid(0.0, 1.0, 256)
    noise = Brownian.draw(grid, (200, 1), seed=1, dtype=T64)
    for gamma, sigma in ((0.3, 0.8), (-1.0, 0.5)):
        sde = SDE(lambda t, x, c=gamma, s=sigma: answer(x, c, s), lambda t, x, s=sigma: s * x,
                  sde_type="stratonovich")
        x = integrate(sde, torch.ones(200, 1, dtype=T64), grid, noise.increments, method="heun", save="last")
        exact = forms.gbm_exact(noise.increments.sum(0), torch.ones((), dtype=T64), gamma=gamma, sigma=sigma)
        off = float(((x / exact).log()).mean())
        require(abs(off) < 0.01, f"with γ = {gamma:g}, σ = {sigma:g} Heun's paths end at e^({off:+.3f}) times "
                f"Ito's, on average; σ²/2 is {sigma**2 / 2:.3f}.")
    return "Heun with your drift follows Ito's exact paths within 1 %, on 200 paths for two pairs (γ, σ)."
