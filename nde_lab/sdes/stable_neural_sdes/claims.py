"""Quick claims: the stability theory, each statement against a closed form or a bound.

The theorems' text was not available to us; the statements are the usual versions (same noise drives two
copies), with the derivations in ``forms``. The accuracy tables are long claims, in ``table``.
"""
from __future__ import annotations

import math

import torch

from nde_lab.claims import Verdict, claim
from nde_lab.random import Normal, sample
from nde_lab.sdes.stable_neural_sdes import forms
from nde_lab.sdes.stable_neural_sdes.models import GSDE, LNSDE, LSDE
from nde_lab.solvers import SDE, Brownian, Grid, TamedEuler, integrate

PAPER = "stable-neural-sdes"
T64 = torch.float64


def rotation_sde(*, a: float, sigma: torch.Tensor, calculus: str = "ito") -> SDE:
    """dx = -a x dt + sigma J x dW; sigma a number or one per row (B, 1); one Brownian motion per row."""
    return SDE(lambda t, x: -a * x, lambda t, x: (sigma * forms.turn(x)).unsqueeze(-1), noise_type="scalar",
               sde_type=calculus)


def rotation_growth(sigmas: list[float], *, steps: int, paths: int, calculus: str) -> list[float]:
    """Simulated mean |x_T|^2 / |x_0|^2 at T = 2, a = 1, for each sigma (the same noise for all)."""
    grid = Grid(0.0, 2.0, steps)
    dW = Brownian.draw(grid, (paths, 1), seed=0).increments.repeat(1, len(sigmas), 1)
    sigma = torch.tensor(sigmas).repeat_interleave(paths)[:, None]
    x0 = torch.tensor([1.0, 0.0]).expand(len(sigmas) * paths, 2)
    x = integrate(rotation_sde(a=1.0, sigma=sigma, calculus=calculus), x0, grid, dW, save="last")
    return x.square().sum(-1).reshape(len(sigmas), paths).mean(1).tolist()


def _against(measured: list[float], exact: list[float], names: list[str], within: float) -> tuple[dict, bool]:
    table = {n: [round(m, 4), round(e, 4)] for n, m, e in zip(names, measured, exact, strict=True)}
    return table, all(abs(m / e - 1) < within for m, e in zip(measured, exact, strict=True))


@claim(paper=PAPER, where="failure modes of naive neural SDEs (reconstructed example)",
       says="noise alone can make a stable flow unstable, so an unconstrained diffusion is dangerous")
def rotation_noise() -> Verdict:
    """2000 paths, T = 2, 4000 Euler steps, a = 1."""
    sigmas = [1.0, math.sqrt(2.0), 2.0]
    measured = rotation_growth(sigmas, steps=4000, paths=2000, calculus="ito")
    exact = [forms.rotation_mean_square(sigma=s, a=1.0, t=2.0) for s in sigmas]
    table, holds = _against(measured, exact, [f"sigma = {s:.3g}" for s in sigmas], 0.05)
    return Verdict(table, "mean |x_T|^2 / |x_0|^2 within 5 % of e^{(sigma^2 - 2a) T}", holds,
                   unit="measured, exact")


@claim(paper=PAPER, where="method: Ito sense (the example is ours)",
       says="the classes are Ito equations; read in the Stratonovich sense the same symbols are another "
            "process")
def stratonovich_rotation_is_neutral() -> Verdict:
    """The same equation by Heun's scheme: the noise turns and does nothing else."""
    sigmas = [0.0, math.sqrt(2.0), 2.0]
    measured = rotation_growth(sigmas, steps=1000, paths=500, calculus="stratonovich")
    exact = [forms.rotation_mean_square(sigma=s, a=1.0, t=2.0, calculus="stratonovich") for s in sigmas]
    table, holds = _against(measured, exact, [f"sigma = {s:.3g}" for s in sigmas], 0.05)
    return Verdict(table, "mean |x_T|^2 / |x_0|^2 within 5 % of e^{-2 a T}, whatever sigma", holds,
                   unit="measured, exact")


def _pull(m: float, L: float, d: int):
    """gamma(z) = -m z + L tanh(W z) with ||W|| = 1, in d dimensions."""
    W = sample({"W": Normal((d, d))}, seed=0, stream="start", dtype=T64)["W"]
    W = W / torch.linalg.matrix_norm(W, 2)
    return lambda z: -m * z + L * torch.tanh(z @ W.T)


def _pairs(n: int, d: int, gap: float) -> tuple[torch.Tensor, torch.Tensor]:
    """n pairs of starts at distance ``gap``, two tensors (n, d)."""
    drawn = sample({"z": Normal((n, d)), "to": Normal((n, d))}, seed=1, stream="start", dtype=T64)
    return drawn["z"], drawn["z"] + gap * drawn["to"] / drawn["to"].norm(dim=1, keepdim=True)


@claim(paper=PAPER, where="Theorem 3.5 (reconstructed)",
       says="LSDE: the effect of a perturbed start decays exponentially in the depth T")
def lsde_contracts() -> Verdict:
    """m = 2, L = 1, d = 8, noise 0.7, |D_0| = 0.5, dt = 0.005; 200 pairs, each pair under the same noise."""
    grid = Grid(0.0, 2.0, 400)
    sde = LSDE(_pull(2.0, 1.0, 8), lambda t: 0.7)
    dW = Brownian.draw(grid, (200, 8), seed=2, dtype=T64).increments
    first, second = (integrate(sde, z, grid, dW, save=(100, 200, 400)) for z in _pairs(200, 8, 0.5))
    gap = (first - second).norm(dim=-1)
    bounds = [0.5 * forms.contraction(margin=1.0, t=t) for t in (0.5, 1.0, 2.0)]
    rms, worst = gap.square().mean(1).sqrt().tolist(), gap.max(1).values.tolist()
    table = {f"T = {t:g}": [round(v, 4) for v in row]
             for t, *row in zip((0.5, 1.0, 2.0), rms, worst, bounds, strict=True)}
    return Verdict(table, "distance at T = 0.5, 1, 2 below 0.5 e^{-(m - L) T} on every path",
                   all(w < b for w, b in zip(worst, bounds, strict=True)),
                   unit="RMS, largest of 200 pairs, bound")


@claim(paper=PAPER, where="Theorem 3.5 (reconstructed)",
       says="LSDE: a perturbed input path changes the latent state by a bounded amount that forgets the past")
def lsde_bounds_the_path() -> Verdict:
    """Drift -m z + L tanh(W z) + X(t) with a path and the same path interpolated from a third of its
    points."""
    grid = Grid(0.0, 4.0, 800)
    t = grid.tensor(T64)
    path = torch.sin(4 * t)
    coarse = torch.linspace(0, 4, 6, dtype=T64)
    k = (t / 0.8).floor().clamp(max=4).long()
    other = torch.lerp(torch.sin(4 * coarse)[k], torch.sin(4 * coarse)[k + 1], t / 0.8 - k)
    gamma = _pull(2.0, 1.0, 4)
    dW = Brownian.draw(grid, (100, 4), seed=3, dtype=T64).increments
    z0 = _pairs(100, 4, 0.5)[0]
    # The number x(t) in each of four coordinates, halved: |X - X~| in R^4 is |x - x~|.
    at = lambda x, now: x[torch.round(now / grid.dt).long()] / 2      # noqa: E731
    runs = [integrate(SDE(lambda now, z, x=x: gamma(z) + at(x, now), lambda now, z: 0.7 + 0 * z), z0, grid,
                      dW) for x in (path, other)]
    gap = (runs[0] - runs[1]).norm(dim=-1).max(1).values
    # int_0^T e^{-(m-L)(T-s)} |X_s - X~_s| ds by the same left-point rule as Euler's (1 - h <= e^{-h}).
    weight, bound = math.exp(-grid.dt), [0.0]
    for d in (path - other).abs()[:-1].tolist():
        bound.append(weight * bound[-1] + grid.dt * d)
    bound = torch.tensor(bound, dtype=T64)
    return Verdict({"largest distance over T <= 4": float(gap.max()), "largest bound": float(bound.max()),
                    "largest distance / bound": float((gap[bound > 1e-6] / bound[bound > 1e-6]).max())},
                   "|z_T - z~_T| <= int_0^T e^{-(m-L)(T-s)} |X_s - X~_s| ds at every T <= 4, on every path",
                   bool((gap <= bound + 1e-9).all()),
                   note="L_X = 1; 100 paths, both runs under the same noise")


@claim(paper=PAPER, where="Theorem 3.6 (reconstructed)",
       says="LNSDE: linear noise contracts in mean square only if sigma^2 < 2m; each single path contracts "
            "faster")
def lnsde_mean_and_median() -> Verdict:
    """dz = -m z dt + sigma z dW in one dimension, m = 1, sigma = 1.8, T = 3: the difference of two copies
    obeys it too.

    E D^2 lives on paths too rare to be met, so it is measured under a changed measure: with W' = W - 2 sigma
    t, E[D^2] = E'[D^2 exp(-2 sigma W'_T - 2 sigma^2 T)], where W' is a Brownian motion under P' (Girsanov).
    """
    m, sigma, T = 1.0, 1.8, 3.0
    grid = Grid(0.0, T, 2000)
    sde = LNSDE(lambda t, z: -m * z, lambda t: sigma)
    dW = Brownian.draw(grid, (1000, 1), seed=4, dtype=T64).increments
    dW = torch.cat([dW, -dW], dim=1)      # with every path its mirror image: W_T has median 0
    one = torch.ones(2000, 1, dtype=T64)
    plain = integrate(sde, one, grid, dW, method="milstein", save="last").abs()
    tilted = integrate(sde, one, grid, dW + 2 * sigma * grid.dt, method="milstein", save="last")
    weight = torch.exp(-2 * sigma * dW.sum(0) - 2 * sigma**2 * T)
    median, square = float(plain.median()), float((tilted.square() * weight).mean())
    exact = [forms.pathwise_contraction(margin=m, sigma=sigma, t=T),
             forms.mean_square_contraction(margin=m, sigma=sigma, t=T)]
    return Verdict({"median |D_T| / |D_0|": [median, exact[0]], "E D_T^2 / D_0^2": [square, exact[1]],
                    "plain mean of D_T^2 over 2000 paths": [float(plain.square().mean()), exact[1]]},
                   "median within 5 % of e^{-(m + sigma^2/2) T}, E D^2 within 5 % of e^{(sigma^2 - 2m) T}",
                   abs(median / exact[0] - 1) < 0.05 and abs(square / exact[1] - 1) < 0.05,
                   note="2000 Milstein steps, whose own error of the median is about -2 % (Euler's: -5 %)",
                   unit="measured, exact")


@claim(paper=PAPER, where="method: GSDE",
       says="GSDE: zero is absorbing, signs are kept, and for a drift free of z the solution is a geometric "
            "Brownian motion")
def gsde_keeps_zero_and_sign() -> Verdict:
    """The log step against the closed form, and how often plain Euler changes a sign."""
    gamma, sigma, steps, dt = -0.5, 1.5, 20, 0.25
    sde = GSDE(lambda t, z: gamma + 0 * z, lambda t: sigma)
    drawn = sample({"z0": Normal((4000, 1)), "xi": Normal((steps, 4000, 1))}, seed=5, stream="start",
                   dtype=T64)
    z0, dW = drawn["z0"].clone(), drawn["xi"] * math.sqrt(dt)
    z0[0] = 0.0
    z = z0
    for k in range(steps):
        z = sde.log_step(torch.tensor(k * dt, dtype=T64), z, dt, dW[k])
    exact = forms.gsde_exact(z0, dW.sum(0), gamma=gamma, sigma=sigma, t=steps * dt)
    wrong = float(((z - exact).abs() / exact.abs().clamp_min(1e-300)).max())
    euler = integrate(sde, z0, Grid(0.0, steps * dt, steps), dW)
    crossed = float((euler[1:, 1:] * euler[:-1, 1:] < 0).double().mean())
    expected = forms.gsde_euler_crossing(gamma=gamma, sigma=sigma, dt=dt)
    kept = (bool((torch.sign(z) == torch.sign(z0)).all()) and float(z[0]) == 0.0
            and bool((euler[:, 0] == 0).all()))
    return Verdict({"log step, largest relative error": wrong,
                    "signs kept by the log step and zero by both": str(kept),
                    "Euler, share of steps that change a sign": crossed, "predicted share": expected},
                   "relative error < 1e-9; signs and zero kept; Euler's share of crossings within 5 % of "
                   "Phi(-(1 + gamma dt) / (sigma sqrt(dt)))",
                   wrong < 1e-9 and kept and abs(crossed / expected - 1) < 0.05)


@claim(paper=PAPER, where="failure modes of naive neural SDEs (reconstructed example)",
       says="a drift that grows faster than linearly makes the Euler scheme blow up although every solution "
            "decays")
def euler_threshold() -> Verdict:
    """dx = -x^3 dt from 1 % below and 1 % above sqrt(2/h), and from twice that; 200 steps."""
    def sizes(start: float, h: float, tamed: bool = False) -> list[float]:
        x, out = torch.tensor([[start]], dtype=T64), [start]
        sde, dW = SDE(lambda t, y: -y**3, lambda t, y: 0 * y), torch.zeros(1, 1, dtype=T64)
        for _ in range(200):
            x = TamedEuler().step(sde, torch.zeros(()), x, h, dW) if tamed else x - h * x**3
            out.append(float(x.abs()))
            if not out[-1] < 1e12:
                break
        return out

    table, holds = {}, True
    for h in (0.01, 0.1, 0.5):
        edge = forms.euler_threshold(h)
        below, above, far = sizes(0.99 * edge, h), sizes(1.01 * edge, h), sizes(2 * edge, h)
        tamed = sizes(2 * edge, h, tamed=True)
        holds &= below[-1] < 0.99 * edge and above[-1] > 1e12 and far[-1] > 1e12 and tamed[-1] < edge
        table[f"h = {h:g}"] = [round(edge, 3), round(below[-1], 3), f"{len(above) - 1} steps",
                               f"{len(far) - 1} steps", round(tamed[-1], 3)]
    return Verdict(table, "decay from 0.99 sqrt(2/h), beyond 1e12 from 1.01 sqrt(2/h) and from 2 sqrt(2/h), "
                   "tamed Euler decays from there", bool(holds),
                   unit="sqrt(2/h), |x| after 200 steps from just below, steps to 1e12 from just above and "
                        "from twice it, tamed |x| after 200 steps")
