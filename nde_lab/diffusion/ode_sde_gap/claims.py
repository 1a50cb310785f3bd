"""Quick claims: what holds exactly. The tables of trained networks are long claims, in ``table``.

The theorem's text was not available to us; the bound is a reconstruction (Gronwall, see ``gaussian.bound_w2``).
"""
from __future__ import annotations

import torch

from nde_lab.claims import Verdict, claim
from nde_lab.diffusion.ode_sde_gap import gaussian, laws
from nde_lab.diffusion.ode_sde_gap.process import OU, Mixture, levels, prior_quantiles
from nde_lab.diffusion.ode_sde_gap.residual import residual

PAPER = "ode-sde-gap"
T64 = torch.float64
KAPPAS = (0.6, 0.8, 1.0, 1.2, 1.4)
V0, T = 0.2, 3.0


def mixture_laws(mixture: Mixture, *, ode_steps: int, sde_steps: int, n: int = 200):
    """Quantiles of both samplers' laws under the exact score, and the data's, at 400 levels (400,) each."""
    ou, u = OU(), levels(400)

    def score(x, t):
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(mixture.log_density(x, t).sum(), x)[0]

    ode = laws.ode_law(score, prior_quantiles(400), ou.grid(ode_steps, T64))[0]
    x = laws.cells(-3.5, 3.5, n, T64)
    density = laws.sde_law(lambda x, t: mixture.log_density(x, t)[None], x, ou.grid(sde_steps, T64))
    return ode, laws.quantiles(density, x, u)[0], mixture.quantiles(u, ou.end)


def gaussian_laws(kappa: float) -> dict[str, float]:
    """Variances at t = 0.01 of the solved and of the exact laws, score times kappa."""
    ou = OU(horizon=T)
    k, v0, end = (torch.tensor(v, dtype=T64) for v in (kappa, V0, ou.end))
    q = laws.ode_law(lambda x, t: -k * x / gaussian.variance(t, v0), prior_quantiles(400), ou.grid(30, T64))[0]
    scale = float(q[-1] / prior_quantiles(400)[-1])              # a linear flow multiplies by one number
    x = laws.cells(-6.0, 6.0, 400, T64)
    p = laws.sde_law(lambda x, t: gaussian.potential(x[:, None], t, kappa=k, v0=v0)[None], x,
                     ou.grid(600, T64))[0]
    return {"ode": 0.5 * scale**2, "sde": float((p * x**2).sum() * (x[1] - x[0])),
            "true": float(gaussian.variance(end, v0)),
            "ode exact": float(gaussian.ode_variance(end, T=T, kappa=k, v0=v0)),
            "sde exact": float(gaussian.sde_variance(end, T=T, kappa=k, v0=v0))}


@claim(paper=PAPER, where="method: the log-form Fokker-Planck residual",
       says="the residual vanishes for the true log density, and only the true one's errors show")
def residual_has_its_closed_form() -> Verdict:
    """Autograd against (1 - kappa)/(2v) (kappa x^2/v - 1) for a score scaled by kappa; exact mixture: zero."""
    x = torch.linspace(-2, 2, 41, dtype=T64).repeat(6)
    t = torch.linspace(1e-3, 3, 6, dtype=T64).repeat_interleave(41)
    v0, worst = torch.tensor(V0, dtype=T64), {}
    for kappa in KAPPAS:
        k = torch.tensor(kappa, dtype=T64)
        got = residual(lambda x, t, k=k: gaussian.potential(x, t, kappa=k, v0=v0), x[:, None], t).detach()
        exact = gaussian.residual_exact(x[:, None], t, kappa=k, v0=v0)
        worst[f"kappa = {kappa:g}"] = float((got - exact).abs().max())
    mixture = Mixture()
    left = residual(lambda x, t: mixture.log_density(x[:, 0], t), x[:, None], t).detach()
    worst["exact mixture"] = float(left.abs().max())
    return Verdict(worst, "largest error below 1e-6 everywhere", max(worst.values()) < 1e-6,
                   note="v_0 = 0.2, |x| <= 2, six times in [0.001, 3]; float64")


@claim(paper=PAPER, where="introduction: exact score",
       says="with the exact score the reverse SDE and the probability-flow ODE have the same law")
def exact_score_leaves_no_gap() -> Verdict:
    """Three Gaussians on the line; laws solved, not sampled."""
    ode, sde, truth = mixture_laws(Mixture(), ode_steps=20, sde_steps=200)
    measured = {n: float(laws.w2_squared(a, b)) for n, a, b in
                (("ODE-SDE", ode, sde), ("ODE-data", ode, truth), ("SDE-data", sde, truth))}
    return Verdict(measured, "every W2^2 below 1e-5", max(measured.values()) < 1e-5, unit="W2^2",
                   note="the rest: pi is not quite the law at T = 3 (9e-7), first-order steps in time (1e-6)")


@claim(paper=PAPER, where="method: the four dynamics (the Gaussian case is ours)",
       says="one wrong score gives two different laws, and the ODE's is further from the data than the SDE's")
def noise_forgives_a_wrong_score() -> Verdict:
    """Score times kappa for N(0, 0.2): solved variances against the closed forms and the truth."""
    table, holds = {}, True
    for kappa in KAPPAS:
        v = gaussian_laws(kappa)
        table[f"kappa = {kappa:g}"] = [round(v[n], 4) for n in ("ode", "ode exact", "sde", "sde exact", "true")]
        holds &= abs(v["ode"] / v["ode exact"] - 1) < 1e-3 and abs(v["sde"] / v["sde exact"] - 1) < 1e-2
        off = {n: abs(v[f"{n} exact"] ** 0.5 - v["true"] ** 0.5) for n in ("ode", "sde")}
        holds &= off["sde"] < off["ode"] if kappa != 1 else max(off.values()) < 1e-3
    return Verdict(table, "solved variances within 0.1 % (ODE) and 1 % (SDE) of the closed forms; the SDE's "
                   "standard deviation nearer to the true one whenever kappa is not 1", bool(holds),
                   unit="V_ODE solved, exact, V_SDE solved, exact, true variance at t = 0.01")


@claim(paper=PAPER, where="theorem on W2 (reconstructed)",
       says="W2 of the two laws is bounded by an integral over the path, which the residual controls")
def bound_holds_for_gaussians() -> Verdict:
    """The Gronwall bound against the closed forms, over kappa and v_0."""
    table, holds = {}, True
    for v0 in (0.05, 0.2, 2.0):
        zero, v = torch.tensor(0.0, dtype=T64), torch.tensor(v0, dtype=T64)
        row = []
        for kappa in KAPPAS:
            k = torch.tensor(kappa, dtype=T64)
            ode, sde = (float(f(zero, T=T, kappa=k, v0=v).sqrt())
                        for f in (gaussian.ode_variance, gaussian.sde_variance))
            gap, bound = abs(ode - sde), gaussian.bound_w2(T=T, kappa=kappa, v0=v0)
            holds &= gap <= bound * (1 + 1e-5)                   # the bound's own quadrature
            row.append(round(gap / bound, 3))
        table[f"v_0 = {v0:g}"] = row
    return Verdict(table, "W2(ODE, SDE) at t = 0 at most the bound", bool(holds),
                   unit=f"W2 / bound at kappa = {', '.join(f'{k:g}' for k in KAPPAS)}",
                   note="T = 3; less than 1 where kappa / v - 1 / V changes its sign on the way from T to 0")
