"""Inpainting with an unconditional score: known coordinates are overwritten along the way (imputation).

Song et al. (2021), Section 5 and Appendix I.2: after every update the known coordinates become m y + s z,
what the forward process would have made of them. That is an approximation, and its error does not vanish with
shorter steps; ``law_of_imputation`` computes it exactly for two correlated normals. Going each step back and
forth several times (resampling; Lugmayr et al. 2022, "RePaint", algorithm 1) repairs it.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.claims import Verdict, claim
from nde_lab.diffusion.score_sde.processes import VP, Process

PAPER = "score-sde"


def impute(process: Process, t, x: Tensor, known: Tensor, mask: Tensor, z: Tensor) -> Tensor:
    """x (B, D) with the coordinates where mask (D,) or (B, D) is 1 replaced by ``known`` noised to time t."""
    return mask * process.noised(t, known, z) + (1 - mask) * x


def reverse_step(process: Process, score, t: Tensor, after: Tensor, x: Tensor, z: Tensor, *,
                 last=False) -> Tensor:
    """One Euler-Maruyama step of the reverse SDE from t to ``after`` < t. last: 1 (or True) leaves the noise
    out."""
    sde, h, tau = process.reverse(score), t - after, process.horizon - t
    return x + h * sde.f(tau, x) + (1.0 - last) * torch.sqrt(h) * sde.g(tau, x) * z


def renoise(process: Process, before: Tensor, t: Tensor, x: Tensor, z: Tensor) -> Tensor:
    """x at time ``before`` taken forward to t > before by the exact kernel of the forward process. Not for VE's
    time 0."""
    ratio = process.mean(t) / process.mean(before)
    variance = process.std(t).square() - ratio * ratio * process.std(before).square()
    return ratio * x + torch.sqrt(variance.clamp(min=0.0)) * z


def inpaint_step(process: Process, score, t: Tensor, after: Tensor, x: Tensor, known: Tensor, mask: Tensor,
                 noise: dict[str, Tensor], *, last=False) -> Tensor:
    """From t to ``after``: overwrite, step, and (passes - 1 times) noise again and repeat.

    noise: "known", "step", "again", each (passes, B, D), standard normal; of "again" the last is not used.
    """
    def once(x, turn):
        z_known, z = turn
        return reverse_step(process, score, t, after, impute(process, t, x, known, mask, z_known), z, last=last)

    def again(x, turn):
        z_known, z, z_again = turn
        return renoise(process, after, t, once(x, (z_known, z)), z_again), None

    if len(noise["step"]) > 1:
        x, _ = loop(again, x, (noise["known"][:-1], noise["step"][:-1], noise["again"][:-1]))
    return once(x, (noise["known"][-1], noise["step"][-1]))


def inpaint(process: Process, score, x: Tensor, times: Tensor, known: Tensor, mask: Tensor,
            noise: dict[str, Tensor]) -> Tensor:
    """Complete ``known`` (B, D) where mask is 0: the reverse SDE with imputation from the prior noise x (B, D).

    times: (n + 1,), falling. noise: "known", "step", "again", each (n, passes, B, D). The known coordinates
    come back as they were given. Raises ValueError where shapes do not fit.
    """
    steps = len(times) - 1
    for name in ("known", "step", "again"):
        if noise[name].dim() != 4 or len(noise[name]) != steps or noise[name].shape[2:] != x.shape:
            raise ValueError(f"{steps} steps from x of shape {tuple(x.shape)} need noise[{name!r}] of shape "
                             f"({steps}, passes, {x.shape[0]}, {x.shape[1]}), got {tuple(noise[name].shape)}")
    times = times.to(x.dtype)
    last = (torch.arange(1, steps + 1) == steps).to(x.dtype)

    def body(x, turn):
        t, after, end, *z = turn
        return inpaint_step(process, score, t, after, x, known, mask,
                            dict(zip(("known", "step", "again"), z, strict=True)), last=end), None

    x, _ = loop(body, x, (times[:-1], times[1:], last, noise["known"], noise["step"], noise["again"]))
    return mask * known + (1 - mask) * x


def law_of_imputation(rho: float, y: float = 1.0, *, passes: int = 1, steps: int = 1000,
                      process: Process | None = None, exact: bool = False) -> tuple[float, float]:
    """Mean and variance of the second of two unit normals with correlation rho, given that the first is y.

    Not sampled: the sampler with the exact score is linear, so its first two moments follow a recursion.
    Steps on a quadratic grid to t = 0.001, VP by default. exact: instead of imputing, add the gradient of log
    p_t(y | x), known here; then the sampler is right up to its steps. The truth is rho y and 1 - rho^2.
    """
    process = process or VP()
    times = process.times(steps, power=2.0)
    m, s2 = process.mean(times).tolist(), process.std(times).square().tolist()
    rate, g2 = process.rate(times).tolist(), process.g2(times).tolist()
    tau = (-times).tolist()
    mean, variance = 0.0, process.prior_std**2
    for k in range(steps):
        h = tau[k + 1] - tau[k]
        size, both = m[k]**2 + s2[k], m[k]**2 * rho         # variance of each now, and their covariance
        if exact:
            # x2 given y alone is normal with mean m rho y and this variance, so its score is linear.
            width = m[k]**2 * (1 - rho**2) + s2[k]
            a, shift, spread = 1 - h * (rate[k] + g2[k] / width), h * g2[k] * m[k] * rho * y / width, 0.0
        else:
            width = size**2 - both**2
            a = 1 - h * (rate[k] + g2[k] * size / width)
            pull = h * g2[k] * both / width                  # what the first coordinate does to the second
            shift, spread = pull * m[k] * y, pull**2 * s2[k]
        back = (m[k] / m[k + 1])
        fresh = s2[k] - back**2 * s2[k + 1]
        step = spread + (h * g2[k] if k < steps - 1 else 0.0)
        for turn in range(passes):
            mean, variance = a * mean + shift, a * a * variance + step
            if turn < passes - 1:
                mean, variance = back * mean, back**2 * variance + fresh
    return mean, variance


def limit_of_imputation(rho: float, y: float = 1.0) -> tuple[float, float]:
    """What ``law_of_imputation`` tends to with one pass and ever shorter steps, for any of the processes.

    With S = 1 + s^2 / m^2 the mean u of x2 / m obeys du/dS = (S u - rho y) / (S^2 - rho^2), and its variance
    dv/dS = 2 S v / (S^2 - rho^2) - 1, from S = infinity down to 1.
    """
    return (y * (1 - math.sqrt(1 - rho**2)) / rho,
            (1 - rho**2) / (2 * rho) * math.log((1 + rho) / (1 - rho)))


@claim(paper=PAPER, where="Appendix I.2 (toy)", says="imputation is an approximation of the conditional law")
def imputation_is_biased() -> Verdict:
    """Two unit normals with correlation 0.8, the first known to be 1; VP, exact score, exact moments."""
    rho = 0.8
    truth = (rho, 1 - rho**2)
    rows = {"truth": truth,
            "imputation, 100 steps": law_of_imputation(rho, steps=100),
            "imputation, 4000 steps": law_of_imputation(rho, steps=4000),
            "imputation, limit of short steps": limit_of_imputation(rho),
            "5 passes, 1000 steps": law_of_imputation(rho, passes=5),
            "20 passes, 1000 steps": law_of_imputation(rho, passes=20),
            "100 passes, 4000 steps": law_of_imputation(rho, passes=100, steps=4000),
            "gradient of log p(y | x), 1000 steps": law_of_imputation(rho, exact=True)}
    off = {name: max(abs(a - b) for a, b in zip(row, truth, strict=True)) for name, row in rows.items()}
    holds = (min(off["imputation, 100 steps"], off["imputation, 4000 steps"]) > 0.1
             and math.dist(rows["imputation, 4000 steps"], limit_of_imputation(rho)) < 0.002
             and off["20 passes, 1000 steps"] < off["5 passes, 1000 steps"] < 0.1
             and off["100 passes, 4000 steps"] < 0.01 and off["gradient of log p(y | x), 1000 steps"] < 0.01)
    return Verdict({name: [round(v, 4) for v in row] for name, row in rows.items()},
                   "imputation is off by more than 0.1 with 100 steps and with 4000, and tends to its limit; "
                   "passes bring it closer to the truth, 100 of them within 0.01; so does the exact gradient",
                   holds, unit="mean, variance", note="shorter steps do not help: at each level the unknown "
                                                      "must agree with the known of that "
                        "level, while it still remembers all the noisier ones")
