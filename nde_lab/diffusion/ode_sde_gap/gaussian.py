"""The unit case: Gaussian data and a score that is kappa times too strong, everything in closed form.

Data N(0, v_0), so v(t) = 1/2 + (v_0 - 1/2) e^{-2t}, and the model phi = -kappa x^2 / (2 v) + log(kappa / (2 pi
v)) / 2, the log density of N(0, v / kappa). With rho = e^{-2(T-t)} v(t) / v(T) and r = V(T) / v(T), which is
1 / (2 v(T)), both samplers' laws are N(0, V):
    V_ODE(t) / v(t) = r rho^{kappa - 1},
    V_SDE(t) / v(t) = r rho^{2 kappa - 1} + (1 - rho^{2 kappa - 1}) / (2 kappa - 1),
which solve V' = -2 V + kappa V / v and V' = -2 (1 - kappa / v) V - 1 (Deveney et al. 2023 have the equations of
the general case; the solutions are ours, by y = e^{-2t} / v). So the ODE's error is a power of rho without
limit, while the SDE's ratio tends to 1 / (2 kappa - 1) for kappa > 1/2: noise forgives a wrong score. At
kappa = 1 the laws still differ by what the start is off, r - 1.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.diffusion.ode_sde_gap.process import OU, STATIONARY
from nde_lab.experiment import Draws, Knob, Plan, experiment
from nde_lab.views import Axis, Line, Panel, Rule, View


def variance(t: Tensor, v0: Tensor) -> Tensor:
    """v(t), the variance of the forward law. t, v0: tensors that broadcast."""
    return STATIONARY + (v0 - STATIONARY) * torch.exp(-2 * t)


def potential(x: Tensor, t: Tensor, *, kappa, v0: Tensor) -> Tensor:
    """phi of the mis-scaled model: x (..., d), t (...) -> (...); every coordinate on its own, kappa > 0."""
    v = variance(t, v0)
    d = x.shape[-1]
    return -kappa * x.square().sum(-1) / (2 * v) + d * torch.log(kappa / (2 * math.pi * v)) / 2


def residual_exact(x: Tensor, t: Tensor, *, kappa, v0: Tensor) -> Tensor:
    """R = sum over coordinates of (1 - kappa) / (2v) (kappa x_i^2 / v - 1): x (..., d), t (...) -> (...)."""
    v = variance(t, v0)
    return (1 - kappa) / (2 * v) * (kappa * x.square().sum(-1) / v - x.shape[-1])


def _rho(t: Tensor, T: float, v0: Tensor) -> tuple[Tensor, Tensor]:
    """rho(t) and r, the start's variance over the forward law's at T."""
    end = variance(torch.full_like(t, T), v0)
    return torch.exp(-2 * (T - t)) * variance(t, v0) / end, STATIONARY / end


def ode_variance(t: Tensor, *, T: float, kappa, v0: Tensor) -> Tensor:
    """V_ODE(t) of the probability-flow sampler started at time T from pi."""
    rho, start = _rho(t, T, v0)
    return variance(t, v0) * start * rho ** (kappa - 1)


def sde_variance(t: Tensor, *, T: float, kappa, v0: Tensor) -> Tensor:
    """V_SDE(t) of the stochastic sampler started at time T from pi; at kappa = 1/2 with -log rho second."""
    rho, start = _rho(t, T, v0)
    k = 2 * kappa - 1 + torch.zeros_like(rho)
    near = k.abs() < 1e-4
    safe = torch.where(near, torch.ones_like(k), k)
    log = torch.log(rho)
    grown = torch.where(near, -log * (1 + k * log / 2), -torch.expm1(safe * log) / safe)
    return variance(t, v0) * (start * torch.exp(k * log) + grown)


def bound_w2(*, T: float, kappa: float, v0: float, end: float = 0.0, points: int = 4001) -> float:
    """The Gronwall bound of W2(ODE, SDE) at time ``end``, by the trapezoidal rule:
        int_end^T exp(int_end^t L) (1/2) (E |grad eta|^2)^{1/2} dt,
    eta = log p_SDE - phi, L(t) = 1 - kappa / (2 v), the slope of the ODE's field in sampler time."""
    t = torch.linspace(end, T, points, dtype=torch.float64)
    v0 = torch.tensor(v0, dtype=torch.float64)
    v, big = variance(t, v0), sde_variance(t, T=T, kappa=kappa, v0=v0)
    # int L = (1 - kappa)(t - end) - (kappa / 2) log(v(t) / v(end)), because (log v)' = 1 / v - 2.
    growth = (1 - kappa) * (t - end) - kappa / 2 * torch.log(v / v[0])
    slope = big.sqrt() * (kappa / v - 1 / big).abs()            # grad eta = (kappa / v - 1 / V) x
    return float(torch.trapezoid(growth.exp() * slope / 2, t))


@experiment(paper="ode-sde-gap")
@dataclass(frozen=True)
class MisscaledScore:
    """Both samplers run backward with a Gaussian's score times kappa: their laws in closed form."""
    live = {"kappa": Knob(1.2, low=0.6, high=1.4, label="κ", help="the score is κ times the true one"),
            "v0": Knob(0.2, low=0.05, high=2.0, scale="log", label="v₀", help="variance of the data")}
    plan = Plan(60)
    ou = OU(horizon=3.0, end=1e-3)

    def data(self):
        return {"times": self.ou.grid(60), "x": torch.linspace(-3, 3, 161),
                "line": torch.linspace(0.6, 1.4, 81)}

    def draws(self):
        return Draws()

    def init(self, data, start, live):
        return {"k": torch.zeros(()), "t": data["times"][0]}

    def _laws(self, t, kappa, v0):
        made = {"kappa": kappa, "v0": v0, "T": self.ou.horizon}
        return variance(t, v0), ode_variance(t, **made), sde_variance(t, **made)

    def step(self, data, state, noise, live):
        k = state["k"] + 1
        t = self.ou.clock((1 - k / self.plan.steps).clamp_min(0.0))
        v, ode, sde = self._laws(t, live["kappa"], live["v0"])
        return {"k": k, "t": t}, {"ode": ode, "sde": sde, "v": v, "w2": (ode.sqrt() - sde.sqrt()) ** 2, "t": t,
                                  "ok": torch.isfinite(ode + sde)}

    def observe(self, data, state, noise, live):
        def bell(v):
            return torch.exp(-data["x"] ** 2 / (2 * v)) / torch.sqrt(2 * math.pi * v)

        v, ode, sde = self._laws(state["t"], live["kappa"], live["v0"])
        line = data["line"]
        _, all_ode, all_sde = self._laws(state["t"].expand_as(line), line, live["v0"])
        return {"x": data["x"], "truth": bell(v), "ode": bell(ode), "sde": bell(sde), "line": line,
                "ratio_ode": torch.sqrt(all_ode / v), "ratio_sde": torch.sqrt(all_sde / v),
                "now": torch.stack([live["kappa"], live["kappa"]]), "low_high": torch.tensor([0.05, 20.0])}

    def view(self):
        return View([
            Panel("The samplers' laws now", Axis("x", low=-3, high=3), Axis("density"),
                  [Line("x", "truth", role="truth", label="true law"),
                   Line("x", "ode", role="ode", label="ODE sampler"),
                   Line("x", "sde", role="sde", label="SDE sampler")],
                  alt="Three bell curves over x: the true law at this time and the laws of the two samplers. "
                      "At kappa = 1 they agree; elsewhere the ODE's width is further off than the SDE's."),
            Panel("Width of the law, for every κ",
                  Axis("κ, by which the score is too strong", low=0.55, high=1.45),
                  Axis("width / true width", scale="log", low=0.05, high=20),
                  [Line("line", "ratio_ode", role="ode", label="ODE sampler"),
                   Line("line", "ratio_sde", role="sde", label="SDE sampler"),
                   Line("now", "low_high", role="neutral", label="κ now"), Rule(1.0, label="right width")],
                  alt="Ratio of the samplers' standard deviation to the true one against kappa, log axis. "
                      "Both fall and meet at kappa = 1, where the ratio is near 1; the ODE's is steeper.")])
