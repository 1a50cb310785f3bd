"""Solvers of SDEs: strong against weak error on one set of paths, and two calculi for one set of symbols.

Sources: Kloeden and Platen, "Numerical Solution of SDEs" (1992), chapters 4, 9 and 10; Roessler, SIAM J. Numer.
Anal. 48 (2010), for "srk"; Kidger, "On Neural Differential Equations" (2022), for the choice of a calculus.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.experiment import Draws, Knob, experiment, knob
from nde_lab.figures import Figure
from nde_lab.odes.numerical_solvers import forms
from nde_lab.odes.numerical_solvers.stiffness import PAPER
from nde_lab.random import Normal
from nde_lab.solvers import SDE, Grid, integrate
from nde_lab.views import Axis, Bars, Line, Panel, Points, View

FINE = 128                          # the exact path's steps; half of them at the finest level
LEVELS = (4, 8, 16, 32, 64)
METHODS = {"euler": ("test", "Euler-Maruyama"), "milstein": ("ode", "Milstein"), "srk": ("accent", "SRK")}
FLOOR = 1e-8
BARS = {"strong_euler": "E-M paths", "weak_euler": "E-M mean", "strong_milstein": "Milstein paths",
        "weak_milstein": "Milstein mean", "strong_srk": "SRK paths"}


def coarse(z: Tensor, area: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Increments and space-time areas of n equal steps of [0, 1] from standard normals of FINE steps, (n, B, 1)
    each.

    z, area: (FINE, B). The same paths at every n: the increments of a step are added up, and the area of a long
    step is made of the areas and the position of its short ones.
    """
    size = FINE // n
    dW = (z / math.sqrt(FINE)).reshape(n, size, -1)
    H = (area / math.sqrt(12 * FINE)).reshape(n, size, -1)
    before = dW.cumsum(1) - dW
    whole = dW.sum(1)
    return whole[..., None], ((0.5 * dW + H + before).mean(1) - 0.5 * whole)[..., None]


def growing(gamma, sigma) -> SDE:
    """dX = gamma X dt + sigma X dW (Ito)."""
    return SDE(lambda t, x: gamma * x, lambda t, x: sigma * x)


def added(gamma, sigma) -> SDE:
    """dX = (gamma/sqrt(1+t) - X/(2(1+t))) dt + sigma/sqrt(1+t) dW: the noise does not look at the state."""
    return SDE(lambda t, x: gamma / torch.sqrt(1 + t) - x / (2 * (1 + t)),
               lambda t, x: (sigma / torch.sqrt(1 + t) + 0 * x)[..., None], noise_type="additive")


def mirrored(z: Tensor) -> Tensor:
    """Each path and its mirror image, side by side: what is odd in the noise drops out of every mean."""
    return torch.cat([z, -z], 1)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class StrongWeak(Figure):
    """Three schemes at five step sizes on the *same* 1500 paths, against the closed form on those paths.

    Strong error: the root mean square distance of the ends. Weak error of the mean: the distance of the mean
    ends. Both use common random numbers (the exact ends belong to the same noise), so little of the sampling
    error is left. noise "multiplicative": dX = gamma X dt + sigma X dW; "additive": sigma does not meet X, and
    Euler-Maruyama is Milstein.
    """
    noise: str = knob("multiplicative", choices=("multiplicative", "additive"), label="noise")
    live = {"n": Knob(8, choices=LEVELS, label="steps n of the path"),
            "gamma": Knob(1.0, low=-2.0, high=2.0, label="growth γ"),
            "sigma": Knob(0.6, low=0.0, high=1.5, label="noise σ")}
    pairs = 750

    def data(self):
        return {"grid": torch.linspace(0, 1, FINE + 1), "levels": torch.tensor(LEVELS, dtype=torch.float32),
                "bars": torch.arange(float(len(BARS)))}

    def draws(self):
        return Draws(start={"z": Normal((FINE, self.pairs)), "area": Normal((FINE, self.pairs))})

    def init(self, data, start, live):
        return {"z": mirrored(start["z"]), "area": mirrored(start["area"]), "k": torch.zeros(())}

    def step(self, data, state, noise, live):
        return state | {"k": state["k"] + 1}, {"ok": torch.isfinite(state["k"])}

    def observe(self, data, state, noise, live):
        values, grid, levels = {n: live[n] for n in ("gamma", "sigma")}, data["grid"], data["levels"]
        multiplicative = self.noise == "multiplicative"
        sde = (growing if multiplicative else added)(**values)
        exact = forms.gbm_exact if multiplicative else forms.additive_exact
        z, area = state["z"], state["area"]
        ends = exact(z.sum(0) / math.sqrt(FINE), torch.ones(()), **values)
        one_path = torch.cat([torch.zeros(1), z[:, 0].cumsum(0) / math.sqrt(FINE)])
        x0 = torch.ones(2 * self.pairs, 1)
        chosen = live["n"]
        out = {"t": grid, "exact": exact(one_path, grid, **values), "levels": levels, "bars": data["bars"]}
        errors, paths = {m: [] for m in METHODS}, {"euler": 0 * grid, "milstein": 0 * grid}
        place = torch.arange(FINE + 1)
        for n in LEVELS:
            dW, H = coarse(z, area, n)
            left = place // (FINE // n)
            share = (place - left * (FINE // n)) / (FINE // n)
            for m in METHODS:
                x = integrate(sde, x0, Grid(0.0, 1.0, n), (dW, H) if m == "srk" else dW, method=m)
                errors[m].append(x[-1, :, 0] - ends)
                if m in paths:                              # the polygon of the chosen level, on the fine grid
                    line = x[:, 0, 0]
                    line = line[left] + share * (line[(left + 1).clamp(max=n)] - line[left])
                    paths[m] = paths[m] + torch.where(chosen == n, line, 0 * line)
        for m, found in errors.items():
            found = torch.stack(found)
            out |= {f"strong_{m}": found.square().mean(1).sqrt().clamp(min=FLOOR),
                    f"weak_{m}": found.mean(1).abs().clamp(min=FLOOR)}
        out |= {f"path_{m}": path for m, path in paths.items()}
        place = torch.arange(len(LEVELS)) - (len(LEVELS) - 1) / 2          # log2 n, centred
        out["orders"] = torch.stack([-(place * torch.log2(out[name])).sum() / (place * place).sum()
                                     for name in BARS]).clamp(-0.5, 2.5)
        return out | {"half": out["strong_euler"][0] * (levels[0] / levels).sqrt(),
                      "whole": out["weak_euler"][0] * levels[0] / levels,
                      "mine": chosen[None]} | {
            f"my_{kind}": torch.where(levels == chosen, out[f"{kind}_euler"], 0 * levels).sum()[None]
            for kind in ("strong", "weak")}

    def view(self):
        steps = Axis("steps n", scale="log", low=3.5, high=75)

        def errors(kind):
            return [Line("levels", f"{kind}_{m}", role=role, label=name) for m, (role, name) in METHODS.items()]
        return View([
            Panel("One path, n steps, the same noise", Axis("time t", low=0, high=1), Axis("X"),
                  [Line("t", "exact", role="truth", label="exact"),
                   Line("t", "path_euler", role="test", label="Euler-Maruyama"),
                   Line("t", "path_milstein", role="ode", label="Milstein")],
                  alt="A jagged exact path and two polygons with few corners that follow it on the same "
                      "noise. With more steps both come closer, Milstein's faster where noise is "
                      "multiplicative."),
            Panel("Strong error: path by path", steps,
                  Axis("root mean square error", scale="log", low=1e-5, high=3),
                  [*errors("strong"), Line("levels", "half", role="truth", label="slope -1/2"),
                   Points("mine", "my_strong", role="truth")],
                  alt="Root mean square error of the end against the number of steps, log axes. With "
                      "multiplicative noise Euler-Maruyama follows the dotted slope one half, Milstein falls "
                      "with slope 1 and SRK with slope one and a half."),
            Panel("Weak error: of the mean", steps, Axis("error of the mean", scale="log", low=1e-6, high=3),
                  [*errors("weak"), Line("levels", "whole", role="truth", label="slope -1"),
                   Points("mine", "my_weak", role="truth")],
                  alt="Error of the mean end against the number of steps, log axes. Euler-Maruyama and "
                      "Milstein fall together with slope 1; SRK lies far below."),
            Panel("Fitted orders", Axis(""), Axis("order", low=-0.1, high=2.6),
                  [Bars("bars", "orders", role="sde", names=tuple(BARS.values()))],
                  alt="Five bars, the fitted orders: between one half and one for the paths of "
                      "Euler-Maruyama, near one for its mean and for both errors of Milstein, one and a "
                      "half or more for SRK.")])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class TwoCalculi(Figure):
    """dX = sigma X dW: Euler-Maruyama finds Ito's process, Heun finds Stratonovich's, on the same noise.

    Ito: X = exp(sigma W - sigma^2 t / 2), mean 1. Stratonovich: X = exp(sigma W), mean exp(sigma^2 t / 2).
    Adding c sigma^2 X / 2 to the drift that Euler-Maruyama gets moves it from one (c = 0) to the other (c = 1).
    """
    steps: int = knob(64, choices=(8, 64), label="steps")
    live = {"sigma": Knob(1.0, low=0.0, high=1.5, label="noise σ", unit="per √time"),
            "c": Knob(0.0, low=0.0, high=1.0, label="correction c",
                      help="share of σ²X/2 added to the Ito drift")}
    pairs, fine = 1000, 64

    def data(self):
        return {"grid": torch.linspace(0, 1, self.fine + 1), "t": torch.linspace(0, 1, self.steps + 1)}

    def draws(self):
        return Draws(start={"z": Normal((self.fine, self.pairs))})

    def init(self, data, start, live):
        return {"z": mirrored(start["z"]), "k": torch.zeros(())}

    def step(self, data, state, noise, live):
        return state | {"k": state["k"] + 1}, {"ok": torch.isfinite(state["k"])}

    def observe(self, data, state, noise, live):
        sigma, c, t = live["sigma"], live["c"], data["grid"]
        z = state["z"] / math.sqrt(self.fine)
        dW = z.reshape(self.steps, self.fine // self.steps, -1).sum(1)[..., None]
        grid, x0 = Grid(0.0, 1.0, self.steps), torch.ones(2 * self.pairs, 1)
        shift = c * sigma * sigma / 2
        euler = integrate(SDE(lambda t, x: shift * x, lambda t, x: sigma * x), x0, grid, dW, method="euler")
        heun = integrate(SDE(lambda t, x: 0 * x, lambda t, x: sigma * x, sde_type="stratonovich"), x0, grid, dW,
                         method="heun")
        W = torch.cat([torch.zeros(1), z[:, 0].cumsum(0)])
        middle = torch.exp(sigma * W)
        return {"grid": t, "t": data["t"], "path_euler": euler[:, 0, 0], "path_heun": heun[:, 0, 0],
                "path_ito": middle * torch.exp(-sigma * sigma * t / 2), "path_stratonovich": middle,
                "mean_euler": euler.mean((1, 2)), "mean_heun": heun.mean((1, 2)),
                "mean_ito": torch.ones_like(t), "mean_stratonovich": torch.exp(sigma * sigma * t / 2)}

    def view(self):
        def marks(kind):
            return [Line("grid", f"{kind}_ito", role="truth", label="exact, Itô"),
                    Line("grid", f"{kind}_stratonovich", role="neutral", label="exact, Stratonovich"),
                    Line("t", f"{kind}_euler", role="sde", label="Euler-Maruyama"),
                    Line("t", f"{kind}_heun", role="accent", label="Heun")]
        return View([
            Panel("dX = σX dW, one path", Axis("time t", low=0, high=1), Axis("X"), marks("path"),
                  alt="One path of Brownian motion, four curves: Euler-Maruyama lies on Itô's exact "
                      "solution, Heun on Stratonovich's, and the two part like e to the σ²t/2. With c = 1 "
                      "Euler-Maruyama moves to the other one."),
            Panel("Mean of 2000 paths", Axis("time t", low=0, high=1), Axis("mean of X", low=0.5, high=3.2),
                  marks("mean"),
                  alt="Means over time: Euler-Maruyama's stays near one, Heun's rises like e to the σ²t/2, "
                      "whatever the number of steps.")])
