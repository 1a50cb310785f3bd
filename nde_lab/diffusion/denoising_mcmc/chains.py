"""Denoising Langevin Gibbs, live: 300 chains that begin in one of eight modes, and what denoising makes of
them."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.denoising_mcmc.gibbs import calmest, gibbs_turn, levels, score_at
from nde_lab.diffusion.denoising_mcmc.karras import heun_step, karras_level, tweedie
from nde_lab.diffusion.score_sde import Mixture
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal, Uniform
from nde_lab.views import Axis, Bars, Line, Panel, Points, Rule, View

MODES, RADIUS, STD, LOW = 8, 4.0, 0.2, 0.02


def heun_from(score, x: Tensor, sigma: Tensor, steps: Tensor, most: int) -> Tensor:
    """``denoise`` with a number of Heun steps that is a tensor (0-d, at most ``most``): later turns stand
    still."""
    last = steps.clamp(min=1.0)

    def body(x, i):
        before, after = (karras_level(sigma, LOW, torch.minimum(j, steps) / last) for j in (i, i + 1))
        return heun_step(score, x, before, after), None
    x, _ = loop(body, x, torch.arange(float(most)))
    return tweedie(score, x, torch.where(steps > 0, LOW * torch.ones_like(sigma), sigma))


@experiment(paper="denoising-mcmc")
@dataclass(frozen=True)
class DenoisingChains:
    """Chains in data and noise level on eight modes on a circle (radius 4, std 0.2), exact score and
    conditional.

    Every ``n_skip`` turns each chain hands over its state of smallest level, which 2 m + 1 evaluations denoise
    (m Heun steps and Tweedie's). Plain Heun from sigma = 10 spends the same n_skip + 2 m + 1 evaluations (one
    less if even). """
    level: str = knob("drawn", choices=("drawn", "most probable"), label="next level")
    live = {"n_skip": Knob(4, low=1, high=10, label="turns a sample"),
            "heun": Knob(0, low=0, high=4, label="Heun steps m", help="of the denoising; 2 m + 1 evaluations"),
            "sigma_max": Knob(10.0, low=0.5, high=10.0, scale="log", label="largest level"),
            "factor": Knob(0.5, low=0.05, high=2.0, scale="log", label="Langevin step / σ²")}
    plan = Plan(150, every=3, advice="lower the Langevin step")
    chains, turns = 300, 150

    def data(self):
        ring = Mixture.ring(MODES, RADIUS, STD, dtype=torch.float32)
        return {"means": ring.means, "stds": ring.stds, "weights": ring.weights,
                "k": torch.arange(float(MODES)),
                "turn": torch.arange(float(self.turns + 1)), "bars": torch.cat([torch.arange(8.0),
                                                                               torch.tensor([9.0, 10.0])])}

    def draws(self):
        n = self.chains
        return Draws(start={"x": Normal((n, 2))}, step={"z": Normal((n, 2)), "u": Uniform((n,))},
                     observe={"prior": Normal((n, 2))})

    def init(self, data, start, live):
        x, sigma = data["means"][:1] + STD * start["x"], torch.ones(self.chains, 1).clamp(max=live["sigma_max"])
        return {"x": x, "sigma": sigma, "best_x": x, "best_sigma": sigma + 1e3, "picked_x": x,
                "picked_sigma": sigma,
                "waited": torch.zeros(()), "k": torch.zeros(()), "trace": sigma[0,
                                                                                0] * torch.ones(self.turns + 1),
                "mode": torch.zeros(self.turns + 1)}

    def step(self, data, state, noise, live):
        ring = Mixture(data["means"], data["stds"], data["weights"])
        grid = levels(LOW, live["sigma_max"], dtype=torch.float32)
        x, sigma = gibbs_turn(ring, score_at(ring), grid, state["x"], state["sigma"], noise["z"], noise["u"],
                              factor=live["factor"], likeliest=self.level != "drawn")
        best_x, best_sigma = calmest(x, sigma, state["best_x"], state["best_sigma"])
        waited = state["waited"] + 1
        full = waited >= live["n_skip"].round()
        k = state["k"] + 1
        now = data["turn"] == k
        new = {"x": x, "sigma": sigma, "best_x": best_x, "best_sigma": torch.where(full, sigma + 1e3,
                                                                                   best_sigma),
               "picked_x": torch.where(full, best_x, state["picked_x"]),
               "picked_sigma": torch.where(full, best_sigma, state["picked_sigma"]),
               "waited": torch.where(full, 0 * waited, waited), "k": k,
               "trace": torch.where(now, sigma[0, 0], state["trace"]),
               "mode": torch.where(now, self.nearest(data, x[:1]) @ data["k"], state["mode"])}
        return new, {"level": sigma.log().mean().exp(), "ok": torch.isfinite(x).all(1)}

    def nearest(self, data, x: Tensor) -> Tensor:
        """The mode nearest to each point, as rows with a single 1: (n, 2) -> (n, 8)."""
        squares = (x[:, None] - data["means"]).square().sum(-1)
        return (squares == squares.amin(1, keepdim=True)).to(x.dtype)

    def inside(self, data, x: Tensor) -> Tensor:
        """Share of points within three standard deviations of a mode, 0-d."""
        squares = (x[:, None] - data["means"]).square().sum(-1).amin(1)
        return (squares < (3 * STD) ** 2).to(x.dtype).mean()

    def observe(self, data, state, noise, live):
        score = score_at(Mixture(data["means"], data["stds"], data["weights"]))
        m = live["heun"].round()
        made = heun_from(score, state["picked_x"], state["picked_sigma"], m, 4).clamp(-20, 20)
        spent = live["n_skip"].round() + 2 * m + 1
        wide = 10.0 * torch.ones_like(state["picked_sigma"])
        plain = heun_from(score, 10.0 * noise["prior"], wide, torch.floor((spent - 1) / 2), 9)
        share = (self.nearest(data, made).mean(0) * MODES).clamp(max=2.0)
        fold = torch.minimum(data["turn"], state["k"]).long()
        return {"x": made[:, 0], "y": made[:, 1], "mean_x": data["means"][:, 0], "mean_y": data["means"][:, 1],
                "turn": data["turn"][fold], "trace": state["trace"][fold], "mode": state["mode"][fold] + 1,
                "bars": data["bars"][:8], "share": share, "pair": data["bars"][8:],
                "inside": torch.stack([self.inside(data, made), self.inside(data, plain)])}

    def view(self):
        return View([
            Panel("One denoised sample of each chain", Axis("x₁", low=-6, high=6), Axis("x₂", low=-6, high=6),
                  [Points("x", "y", role="sde", label=f"{self.chains} samples"),
                   Points("mean_x", "mean_y", role="truth", label="centres of the modes")],
                  alt="Points in the plane and eight crosses on a circle. At first all points lie at the cross "
                      "on "
                      "the right; after some dozens of turns they lie around all eight.", equal=True),
            Panel("Modes and sharpness: 1 is right", Axis("mode; share in a mode"),
                  Axis("share / its right value", low=0, high=2),
                  [Bars("bars", "share", role="sde", names=tuple("12345678")),
                   Bars("pair", "inside", role="ode", names=("DLG", "Heun")), Rule(1.0)],
                  alt="Eight bars, the share of samples nearest to each mode, times eight: at first one is cut "
                      "off "
                      "at 2 and the others are 0, later all are near 1. Two more bars: the share of samples "
                      "within "
                      "three standard deviations of a mode, for these chains and for plain Heun with as many "
                      "evaluations."),
            Panel("The noise level of one chain", Axis("turn", low=0, high=self.turns),
                  Axis("σ", scale="log", low=0.015, high=12),
                  [Line("turn", "trace", role="sde")],
                  alt="Noise level of one chain over the turns on a log axis: it wanders between 0.02 and the "
                      "largest level, with excursions upwards."),
            Panel("The mode it is nearest to", Axis("turn", low=0, high=self.turns), Axis("mode", low=0.5,
                                                                                          high=8.5),
                  [Line("turn", "mode", role="neutral")],
                  alt="Number of the nearest mode over the turns: it changes where the noise level makes an "
                      "excursion upwards, and rests while the level is low.")])
