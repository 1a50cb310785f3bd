"""The five exercises of the chapter on the gap of the two samplers; ``check.two_drifts(my_answer)`` answers."""
from __future__ import annotations

import math

import torch

from nde_lab.diffusion.ode_sde_gap import gaussian
from nde_lab.diffusion.ode_sde_gap.process import Mixture
from nde_lab.exercises import exercise, require

T64 = torch.float64


def _grown(drift: float, noise: float, v: float) -> float:
    """d/dtau of the variance v of a centred Gaussian under dx = drift x dtau + noise dW."""
    return 2 * drift * v + noise**2


@exercise(hints=("Both samplers run the forward drift backwards, so x has a plus sign. What does the score "
                 "add?",
                 "The SDE makes noise of its own, and needs a stronger pull to make up for it.",
                 "ODE: x + s/2 without noise. SDE: x + s with noise 1. The factor ½ is the whole difference."))
def two_drifts(answer):
    """answer(x, s) -> (drift of the ODE sampler, drift of the SDE sampler, noise strength of the latter)."""
    for v0 in (0.1, 0.5, 2.0):
        for t in (0.05, 0.5, 2.0):
            v = 0.5 + (v0 - 0.5) * math.exp(-2 * t)
            due = 2 * (v - 0.5)                                # -dv/dt, as tau runs against t
            ode, sde, noise = (float(a) for a in answer(1.0, -1 / v))
            got = _grown(ode, 0.0, v)
            require(abs(got - due) < 1e-9, f"for N(0, {v0:g}) and its true score your ODE changes the variance "
                    f"at the rate {got:.3f} per unit of τ at t = {t:g}; the forward law asks for {due:.3f}.")
            got = _grown(sde, noise, v)
            require(abs(got - due) < 1e-9, f"your ODE is right, but your SDE changes the variance at the rate "
                    f"{got:.3f} at t = {t:g}; the forward law asks for {due:.3f}.")
            require(abs(abs(noise) - 1) < 1e-9, f"both drifts fit, but your noise strength is {noise:g}; the "
                    "forward process has g = 1, and so has its reverse.")
    return "both samplers carry N(0, v(t)) back along the forward law, for three v₀ at three times."


@exercise(hints=("Put φ into R and count powers of x: what stands in front of x², and what stands alone?",
                 "∂φ/∂x = -2ax, ∂²φ/∂x² = -2a, ∂φ/∂t = c. R = c - 1 - x·(-2ax) - ½(-2a + 4a²x²).",
                 "The x² terms are 2a - 2a², so a = 1 (or 0, no density). The rest is c - 1 + a, so c = 0."))
def quiet_potential(answer):
    """answer = (a, c) with phi = -a x^2 + c t, a > 0, whose residual is zero everywhere."""
    a, c = map(float, answer)
    require(a > 0, f"with a = {a:g} e^φ is no density: it does not fall off. Take a > 0.")
    x = torch.linspace(-2, 2, 9, dtype=T64)
    rest = c - 1 - x * (-2 * a * x) - (-2 * a + (2 * a * x) ** 2) / 2
    worst = int(rest.abs().argmax())
    require(float(rest.abs().max()) < 1e-9, f"at x = {float(x[worst]):g} your φ leaves R = "
            f"{float(rest[worst]):.3g}; at x = 0 it leaves {float(rest[4]):.3g}.")
    return "R = 0 everywhere: e^φ is the stationary law N(0, ½), which the forward process leaves as it is."


@exercise(hints=("Three calls of torch.autograd.grad: φ by x, that by x again, φ by t.",
                 "Keep the graph for the second derivative: grad(phi.sum(), (x, t), create_graph=True).",
                 "R = φ_t - 1 - x φ_x - (φ_xx + φ_x²)/2, from φ_x, φ_t = grad(phi(x, t).sum(), (x, t), "
                 "create_graph=True) and φ_xx, = grad(φ_x.sum(), x)."))
def residual_by_hand(answer):
    """answer(phi, x, t) -> R (n,) for phi(x, t) -> (n,) on the line; x and t (n,) require gradients."""
    x = torch.linspace(-2, 2, 21, dtype=T64).requires_grad_()
    t = torch.linspace(0.05, 2.5, 21, dtype=T64).requires_grad_()
    v0 = torch.tensor(0.3, dtype=T64)
    for kappa in (0.8, 1.3):
        k = torch.tensor(kappa, dtype=T64)
        got = answer(lambda x, t, k=k: gaussian.potential(x.unsqueeze(-1), t, kappa=k, v0=v0), x, t)
        due = gaussian.residual_exact(x.unsqueeze(-1), t, kappa=k, v0=v0)
        require(tuple(got.shape) == (21,), f"R has one number for each point, (21,); yours is "
                f"{tuple(got.shape)}.")
        off = float((got - due).detach().abs().max())
        require(off < 1e-8, f"for a Gaussian's score times {kappa:g} your R is off by up to {off:.3g} from the "
                "closed form.")
    mixture = Mixture()
    off = float(answer(lambda x, t: mixture.log_density(x, t), x, t).detach().abs().max())
    require(off < 1e-8, f"for the exact mixture R is zero, yours goes up to {off:.3g}.")
    return "it has the closed form for two wrong scores, and vanishes for the exact mixture."


@exercise(hints=("How far off are the two when there is no score at all, κ = 0?",
                 "For κ > ½ the SDE's variance forgets its past. Below ½ it does not: look there.",
                 "Anything from 0 to about 0.1 will do: at κ = 0 the ODE only expands, and the SDE expands "
                 "and adds noise."))
def unforgiving(answer):
    """answer: kappa in [0, 2] for which the SDE's standard deviation is further off than the ODE's."""
    kappa = float(answer)
    require(0 <= kappa <= 2, f"take 0 ≤ κ ≤ 2, you gave {kappa:g}.")
    t, v0 = torch.tensor(0.0, dtype=T64), torch.tensor(0.2, dtype=T64)
    at = {"T": 3.0, "kappa": torch.tensor(kappa, dtype=T64), "v0": v0}
    ode, sde = (float(f(t, **at).sqrt()) for f in (gaussian.ode_variance, gaussian.sde_variance))
    true = math.sqrt(0.2)
    require(abs(sde - true) > abs(ode - true) + 1e-3, f"at κ = {kappa:g} the standard deviations are {ode:.3f} "
            f"(ODE) and {sde:.3f} (SDE), the true one is {true:.3f}: the noise still helps.")
    return (f"at κ = {kappa:g}: ODE {ode:.2f}, SDE {sde:.2f}, truth {true:.2f}. Noise forgives a wrong "
            "score, not a missing one.")


@exercise(hints=("A field in the plane is a gradient only if ∂s₁/∂x₂ = ∂s₂/∂x₁. Which motion leaves N(0, ½ I) "
                 "alone?",
                 "Add something to -2x that moves points along circles.",
                 "s(x) = -2x + c·(-x₂, x₁): the added part turns the cloud; a round cloud does not notice."))
def turning_score(answer):
    """answer(x (n, 2)) -> s (n, 2), no gradient, though its ODE dx/dtau = x + s/2 keeps N(0, I/2) as it is."""
    x = torch.randn(64, 2, generator=torch.Generator().manual_seed(0), dtype=T64).requires_grad_()
    s = answer(x)
    require(tuple(s.shape) == (64, 2), f"a score has the shape of x, (64, 2); yours is {tuple(s.shape)}.")
    rows = [torch.autograd.grad(s[:, i].sum(), x, retain_graph=True, allow_unused=True)[0] for i in (0, 1)]
    # (n, i, j): d s_i / d x_j
    jacobian = torch.stack([torch.zeros_like(x) if r is None else r for r in rows], 1)
    curl = float((jacobian[:, 1, 0] - jacobian[:, 0, 1]).abs().max())
    # p = N(0, I/2) stays iff div(p v) = 0, v = x + s/2, that is div v - 2 x . v = 0.
    v = x + s / 2
    flow = 2 + (jacobian[:, 0, 0] + jacobian[:, 1, 1]) / 2 - 2 * (x * v).sum(-1)
    moved = float(flow.detach().abs().max())
    require(moved < 1e-8, f"along your field log p changes at a rate up to {moved:.3g} (div v - 2 x·v, with "
            "v = x + s/2); to keep N(0, ½ I) it must be 0 everywhere.")
    require(curl > 1e-6, "your field keeps the law, but it is a gradient: ∂s₂/∂x₁ - ∂s₁/∂x₂ = 0 everywhere.")
    return (f"curl up to {curl:.2g}, and the law stands still: a score without any log density, no residual to "
            "penalise, and yet the right samples.")
