"""Where the way back must begin: a prior that is not the law at the horizon.

Sampling starts from the prior, not from the noised data. With VE the largest noise must exceed the data, with
VP the noise must have time to drown them; else the start is wrong, and the flow carries the error to the end.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.diffusion.score_sde.learned import PAPER, WIDTH, ScoreLine
from nde_lab.diffusion.score_sde.mixtures import Mixture
from nde_lab.diffusion.score_sde.processes import VE, VP, Process
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Paths, View


@experiment(paper=PAPER)
@dataclass(frozen=True)
class WrongStart:
    """Three bumps on the line, the exact score, and a horizon at which ``left`` = m / s of the data is left.

    For VE that is 1 / sigma_max (up to sigma_min), for VP it sets the last beta. 1000 points start from the
    prior and come back in 100 steps of Heun's method (g does not depend on the place): VE's of one length
    (sigma shrinks by one factor each), VP's short near the data.
    """
    process: str = knob("VE", choices=("VE", "VP"), label="process")
    live = {"left": Knob(0.5, low=0.02, high=2.0, scale="log", label="signal left, m(T) / s(T)",
                         help="felt by the whole run: move it before the run"),
            "noise": Knob(0.0, low=0.0, high=1.0, label="noise λ of the way back",
                          help="1: the reverse SDE, 0: the flow ODE")}
    N, points, tracks = 100, 1000, 16
    mixture = ScoreLine.mixture

    @property
    def plan(self):
        return Plan(self.N, every=2)

    def model(self, left) -> Process:
        """The process whose signal-to-noise ratio m / s at the horizon is ``left`` (number or 0-d tensor)."""
        left = torch.as_tensor(left)
        if self.process == "VE":
            return VE(high=torch.sqrt(1 / left.square() + VE.low**2))       # s^2 = high^2 - low^2 = 1 / left^2
        first = VP.first                                    # log m = -(first + last) / 4 at T = 1
        return VP(first=first, last=2 * torch.log1p(1 / left.square()) - first)

    def data(self):
        u, power = torch.arange(self.N + 1, dtype=torch.float64) / self.N, 2 if self.process == "VP" else 1
        return {"times": (1e-4 + (1 - 1e-4) * (1 - u)**power).float(), "way": torch.arange(self.N + 1).float(),
                "fraction": u.float(), "grid": torch.linspace(-4, 4, 161), "means": self.mixture.means,
                "stds": self.mixture.stds, "weights": self.mixture.weights}

    def draws(self):
        shape = Normal((self.points, 1))
        return Draws(start={"x": shape}, step={"z": shape})

    def init(self, data, start, live):
        x = self.model(live["left"]).prior_std * start["x"]
        return {"x": x, "k": torch.zeros(()), "track": x[:self.tracks, 0].expand(self.N + 1, -1).clone()}

    def step(self, data, state, noise, live):
        process, x, k = self.model(live["left"]), state["x"], state["k"]
        now, later = (data["times"][j.clamp(max=self.N).long().reshape(1)][0] for j in (k, k + 1))
        target = Mixture(data["means"], data["stds"], data["weights"])
        sde, tau, h = process.reverse(target.score(process), noise=live["noise"]), 1 - now, now - later
        silent = (k < self.N - 1).to(x.dtype)                                    # the last step adds no noise
        velocity, shake = sde.drift(tau, x), silent * torch.sqrt(h) * sde.diffusion(tau, x) * noise["z"]
        x = x + 0.5 * h * (velocity + sde.drift(tau + h, x + h * velocity + shake)) + shake
        here = data["way"] >= k + 1                                              # later times lie on this one
        track = torch.where(here[:, None], x[:self.tracks, 0], state["track"])
        return {"x": x, "k": k + 1, "track": track}, {"ok": torch.isfinite(x).all(1)}

    def observe(self, data, state, noise, live):
        process, k = self.model(live["left"]), state["k"].clamp(max=self.N)
        t = data["times"][k.long().reshape(1)][0]
        m, s2 = process.mean(t), process.std(t).square()
        spread = torch.sqrt((m * data["stds"]).square() + s2 + WIDTH**2)         # smoothed as the samples are
        right = Mixture(m * data["means"], spread, data["weights"]).log_density(data["grid"][:, None]).exp()
        kernel = torch.exp(-0.5 * ((data["grid"][:, None] - state["x"][:, 0]) / WIDTH).square())
        seen = torch.minimum(data["way"], k).long()
        return {"grid": data["grid"], "right": right, "made": kernel.mean(1) / (WIDTH * math.sqrt(2 * math.pi)),
                "clock": data["fraction"][seen], "track": state["track"][seen].T}

    def view(self):
        return View([
            Panel(f"Sixteen points on the way back ({self.process})",
                  Axis("film of the way back", low=0, high=1), Axis("x", low=-4, high=4),
                  [Paths("clock", "track", role="sde", label="noise λ")],
                  alt="Paths of sixteen points on the way back, from noise on the left to data on the right; "
                      "smooth without noise, jittering with it."),
            Panel("Density now", Axis("x", low=-4, high=4), Axis("density", low=0, high=1.0),
                  [Line("grid", "made", role="sde", label="points"),
                   Line("grid", "right", role="truth", label="noised data: what it should be")],
                  alt="Density of the points now, and of the noised data at the same time, which it should be. "
                      "Where much signal is left at the start the two differ from the beginning, and at the "
                      "end the bumps of the points have wrong heights and places.")])
