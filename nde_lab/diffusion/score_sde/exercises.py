"""The five exercises of the chapter on score SDEs; ``check.signal_left(my_answer)`` answers with a hint."""
from __future__ import annotations

import math

import torch

from nde_lab.diffusion.score_sde.digits.exercises import imputed_mean
from nde_lab.diffusion.score_sde.processes import VE, VP
from nde_lab.exercises import exercise, require

__all__ = ["corrector_width", "drift_back", "imputed_mean", "probe_luck", "signal_left"]
T64 = torch.float64


@exercise(hints=("What is left is m(1) = exp(ell(1)). Which integral is ell?",
                 "ell(1) = -1/2 times the integral of beta from 0 to 1, and beta is a straight line.",
                 "The integral is (first + last) / 2, so m(1) = exp(-(first + last) / 4)."))
def signal_left(answer):
    """answer(first, last) -> m(1) of the VP process whose beta runs from first to last."""
    for first, last in ((0.1, 20.0), (0.5, 2.0), (0.1, 60.0)):
        told, got = VP(first, last).mean(1.0).item(), float(answer(first, last))
        require(abs(got / told - 1) < 1e-9, f"with beta from {first:g} to {last:g} you say {got:.4g}; of a "
                f"data point the mean m(1) = {told:.4g} is left.")
    return "three schedules agree. The paper's leaves 0.7 % of the data: almost nothing."


@exercise(hints=("Without noise it is minus the velocity of the flow: time runs back. What does noise add?",
                 "The flow has g^2 score / 2. Noise spreads the cloud; half of noise^2 g^2 times the score, "
                 "more, pulls it together again.",
                 "-a x + (1 + noise^2) / 2 * g2 * score."))
def drift_back(answer):
    """answer(x, score, a, g2, noise) -> drift of the way back, in a clock that runs forward."""
    x, score = torch.tensor([[0.3, -1.0]], dtype=T64), torch.tensor([[2.0, 0.7]], dtype=T64)
    for process, t in ((VP(), 0.4), (VE(high=10.0), 0.7)):
        for noise in (0.0, 1.0, 0.5):
            told = process.reverse(lambda t, x: score, noise=noise).drift(process.horizon - t, x)
            at = process.coefficients(t)
            got = torch.as_tensor(answer(x, score, at.rate, at.g2, noise), dtype=T64)
            require(got.shape == told.shape and torch.allclose(got, told, rtol=1e-6),
                    f"{type(process).__name__} at t = {t:g} with noise {noise:g}: you say "
                    f"{[round(v, 3) for v in got.reshape(-1).tolist()]}, it must be "
                    f"{[round(v, 3) for v in told.reshape(-1).tolist()]}.")
    return "the flow, the reverse SDE and one in between agree, for VP and for VE."


@exercise(hints=("At rest the variance V of x is the same before and after a step. Write both sides.",
                 "x' = (1 - e / v) x + sqrt(2 e) z, so V = (1 - e / v)^2 V + 2 e; put e = 2 r^2 v.",
                 "V (1 - (1 - 2 r^2)^2) = 4 r^2 v gives V = v / (1 - r^2): the factor is 1 / sqrt(1 - r^2)."))
def corrector_width(answer):
    """answer(r) -> the factor by which Langevin steps of size 2 r^2 v, repeated, widen N(0, v)."""
    for r in (0.16, 0.5, 0.8):
        variance = 1.0
        for _ in range(2000):
            variance = (1 - 2 * r * r)**2 * variance + 4 * r * r
        got = float(answer(r))
        require(abs(got / math.sqrt(variance) - 1) < 1e-6, f"with r = {r:g} you say {got:.4f}; after 2000 "
                f"steps the standard deviation is {math.sqrt(variance):.4f} of the right one.")
    return "2000 steps agree for r = 0.16 (1.3 % too wide), 0.5 and 0.8. At r = 1 the steps explode."


@exercise(hints=("Write v J v for a 2 x 2 matrix and v = (+-1, +-1). Which entries come with a random sign?",
                 "v J v = trace + v1 v2 (J12 + J21): the diagonal never errs.",
                 "A: off-diagonal entries that cancel, such as [[1, 1], [-1, 1]]. B: ones that add up to 10 or "
                 "more, such as [[1, 5], [5, 1]]."))
def probe_luck(answer):
    """answer = (A, B): 2 x 2 matrices of one trace, neither diagonal; signs never err on A, by >= 10 on B."""
    a, b = (torch.as_tensor(m, dtype=T64) for m in answer)
    require(a.shape == b.shape == (2, 2), f"two 2 x 2 matrices are asked, got shapes {tuple(a.shape)} and "
            f"{tuple(b.shape)}.")
    require(abs(a.trace() - b.trace()) < 1e-9, f"the traces are {a.trace():g} and {b.trace():g}; they must be "
            "equal.")
    require(all((m - torch.diag(m.diagonal())).abs().max() > 0.1 for m in (a, b)),
            "one of them is diagonal; there a probe of signs never errs, but that is too easy.")
    signs = torch.tensor([[1.0, 1.0], [1.0, -1.0]], dtype=T64)
    off_a, off_b = (max(abs((v @ m @ v - m.trace()).item()) for v in signs) for m in (a, b))
    require(off_a < 1e-9, f"on A a probe errs by {off_a:g}; it must never err.")
    require(off_b >= 10, f"on B a probe errs by at most {off_b:g}; 10 is asked.")
    return f"one trace, and errors of 0 and {off_b:g}: the off-diagonal entries make the noise of the estimate."
