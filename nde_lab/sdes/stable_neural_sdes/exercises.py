"""The five exercises of the chapter on stable neural SDEs; ``check.ito_sum(my_answer)`` answers with a hint.

Each law is tested by simulation or an exact identity, so any correct answer passes, however it is written.
"""
from __future__ import annotations

import math

import torch

from nde_lab.exercises import exercise, normal, require
from nde_lab.sdes.stable_neural_sdes import forms


@exercise(hints=("By which factor does |x|² grow in one unit of time? Write it with the letters a and σ.",
                 "On every path |x|² is multiplied by e^((σ² - 2a) t).",
                 "The exponent must be the logarithm of 2: solve σ² - 2a = ln 2."))
def doubling_sigma(answer):
    """answer(a) -> the rotation noise σ that doubles mean |x|² in one unit of time, against the pull a."""
    for a in (0.5, 1.0, 2.0):
        sigma, dt = float(answer(a)), 0.002
        x = normal(200, 2)
        start = x.square().sum(-1).mean()
        for dW in normal(500, 200, 1, seed=1) * math.sqrt(dt):
            x = forms.rotation_euler(x, dW, a=a, sigma=sigma, dt=dt)
        growth = float(x.square().sum(-1).mean() / start)
        require(abs(growth / 2 - 1) < 0.05, f"with a = {a:g} your σ = {sigma:.3g} multiplies mean |x|² by "
                f"{growth:.2f} in one unit of time (200 simulated paths); 2 is asked for.")
    return "200 simulated paths double their mean |x|² within 5 %, for a = 0.5, 1 and 2."


@exercise(hints=("A gambler sets the stake before the coin falls. Where in each interval do you read W?",
                 "Multiply each increment W[i+1] - W[i] by the value at the left end of its interval.",
                 "The left ends are W[:-1], the increments are W[1:] - W[:-1]; add up their products."))
def ito_sum(answer):
    """answer(W) -> the Ito sum of W dW over the path's own grid. W (n+1,)."""
    steps = normal(400, 64) / 8
    paths = torch.cat([torch.zeros(400, 1, dtype=steps.dtype), steps.cumsum(1)], 1)
    sums = torch.stack([torch.as_tensor(answer(W), dtype=steps.dtype) for W in paths])
    require(sums.shape == (400,),
            f"for a path of 65 values you return shape {tuple(sums.shape[1:])}; one number is due.")
    mean = float(sums.mean())
    require(abs(mean) < 0.15, f"over 400 paths to T = 1 your sum has mean {mean:.2f}; a fair game has "
            "mean 0. (A mean near 1 belongs to right ends, near 1/2 to midpoints.)")
    worst = 2 * float((sums - (paths[:, -1] ** 2 - steps.square().sum(1)) / 2).abs().max())
    require(worst < 1e-9, f"the identity 2 · sum = W_T² - (sum of squared steps) fails by {worst:.2g}.")
    return "mean 0 over 400 paths, and 2 · sum = W_T² - (sum of squared steps) on each of them."


@exercise(hints=("Which function of z moves by adding something, whatever z is?",
                 "Step log|z| instead of z. Ito's formula takes something away from γ.",
                 "log|z| moves by (γ - σ²/2) dt + σ dW, so multiply z by the exponential of that."))
def keep_sign(answer):
    """answer(z, gamma, sigma, dt, dW) -> z after one step of the GSDE with constant gamma and sigma."""
    z, gamma = torch.tensor([-1.0, 0.0, 0.5], dtype=torch.float64), 0.3
    for kick in (-3.0, 3.0):
        new = answer(z, gamma, 2.0, 1.0, torch.full_like(z, kick))
        became = ", ".join(f"{v:.3g}" for v in new.tolist())
        require(torch.equal(new.sign(), z.sign()), f"z = (-1, 0, 0.5) with σ = 2, dt = 1, dW = {kick:g} "
                f"became ({became}); each sign must stay, and zero must stay zero.")
    mean = answer(torch.ones(20_000, dtype=torch.float64), gamma, 0.5, 1.0, normal(20_000)).mean()
    require(abs(mean / math.exp(gamma) - 1) < 0.03, f"from z = 1 with γ = {gamma} and σ = 0.5 the mean after "
            f"one unit of time is {mean:.3f}; the Ito equation asks for e^γ = {math.exp(gamma):.3f}.")
    dW = normal(10, 50) * math.sqrt(0.2)
    z = torch.linspace(-2, 2, 50, dtype=torch.float64)
    many, exact = z, forms.gsde_exact(z, dW.sum(0), gamma=gamma, sigma=1.5, t=2.0)
    for step in dW:
        many = answer(many, gamma, 1.5, 0.2, step)
    require(torch.allclose(many, exact), f"ten steps of 0.2 miss the exact solution by up to "
            f"{(many - exact).abs().max():.2g}; with constant γ and σ they should agree.")
    return "signs and zero are kept, the mean is e^γ, and ten coarse steps land on the exact solution."


@exercise(hints=("Noise helps the typical pair and hurts the mean square. Which of m and σ should be large?",
                 "You need σ² > 2m for the mean square. Time then widens both gaps.",
                 "Take m = 1 and σ = 2, and let T grow until 95 % of the pairs are close."))
def typical_and_mean(answer):
    """answer = (m, sigma, T): 95 % of LNSDE pairs come 100 times closer, the mean square grows tenfold."""
    m, sigma, T = map(float, answer)
    require(m > 0 and T > 0, f"m and T must be positive, you gave m = {m:g}, T = {T:g}.")
    ratio = torch.exp(-(m + sigma**2 / 2) * T + sigma * math.sqrt(T) * normal(4000))
    close, exponent = float((ratio < 0.01).double().mean()), (sigma**2 - 2 * m) * T
    require(exponent > math.log(10), f"the mean square distance is multiplied by e^{exponent:.3g}; it should "
            f"grow at least tenfold, e^2.3. ({close:.0%} of the pairs are 100 times closer.)")
    require(close >= 0.95, f"the mean square is multiplied by e^{exponent:.3g}, but only {close:.0%} of 4000 "
            "pairs are 100 times closer than they began.")
    return (f"{close:.1%} of 4000 pairs are 100 times closer, and the mean square is multiplied by "
            f"e^{exponent:.3g}. Those 4000 pairs show only {ratio.square().mean():.2g}: the few that carry "
            "the mean are too rare to be among them.")


@exercise(hints=("tanh never leaves (-1, 1). How large can the left side get, and how large m (z - z')²?",
                 "The left side grows at most like 2 |z - z'|, the right side like |z - z'|². Go far apart.",
                 "Take z = 0. Then any distance above 1/m breaks the inequality."))
def clipped_drift(answer):
    """answer(m) -> (z, z'), a pair at which the drift tanh(-2z) is not contracting at rate m."""
    for m in (1e-3, 0.1, 1.0, 10.0):
        z, other = map(float, answer(m))
        require(z != other, f"for m = {m:g} both points are {z:g}; take two different ones.")
        left, right = (math.tanh(-2 * z) - math.tanh(-2 * other)) * (z - other), -m * (z - other) ** 2
        require(left > right, f"for m = {m:g} the pair ({z:.4g}, {other:.4g}) has {left:.4g} on the left and "
                f"{right:.4g} on the right: the inequality still holds there.")
    return "your pairs break the inequality for m = 0.001, 0.1, 1 and 10."
