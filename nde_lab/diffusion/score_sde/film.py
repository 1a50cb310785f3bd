"""The film: a cloud of points dissolves into noise, and the same clock run back makes data of it again.

The score is exact (five modes on a circle, ``Mixture.ring``), so nothing is learned here. Song et al. (2021),
Sec. 3: forward SDE, reverse SDE (Eq. 6), probability-flow ODE (Eq. 13).
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.diffusion.score_sde.mixtures import Mixture
from nde_lab.diffusion.score_sde.processes import VE, VP, Process, SubVP
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Arrows, Axis, Line, Panel, Paths, Points, Rule, View

PAPER = "score-sde"
HERE: dict[str, Process] = {"VP": VP(), "sub-VP": SubVP(), "VE": VE(high=10.0)}


@experiment(paper=PAPER)
@dataclass(frozen=True)
class Film:
    """500 points of the ring, noised in 80 steps and taken back in 80 by the exact score.

    Forward steps draw from the exact transition kernel. Back: Euler steps of ``process.reverse``, from the
    points where the forward film ended. Times are T (j / 80)^2, short near the data.
    """
    process: str = knob("VP", choices=tuple(HERE), label="process")
    live = {"noise": Knob(1.0, low=0.0, high=1.0, label="noise λ of the way back",
                          help="1: the reverse SDE, 0: the flow ODE")}
    N, points, tracks = 80, 500, 8
    mixture = Mixture.ring(dtype=torch.float32)

    @property
    def plan(self):
        return Plan(2 * self.N, every=2)

    @property
    def model(self) -> Process:
        return HERE[self.process]

    @property
    def reach(self) -> float:
        """Half the width of the picture: VE's cloud grows, the others' does not."""
        return 12.0 if self.process == "VE" else 3.5

    def data(self):
        u = torch.arange(self.N + 1, dtype=torch.float64) / self.N
        side = torch.linspace(-1, 1, 12) * self.reach * 0.92
        way = torch.arange(2 * self.N + 1, dtype=torch.float32)
        return {"times": (self.model.horizon * u**2).float(), "way": way, "clock": way / self.N,
                "grid": torch.cartesian_prod(side, side), "means": self.mixture.means,
                "stds": self.mixture.stds, "weights": self.mixture.weights}

    def draws(self):
        shape = Normal((self.points, 2))
        return Draws(start={"x": shape}, step={"z": shape})

    def init(self, data, start, live):
        k = len(self.mixture.means)                               # row i begins in mode i mod k
        x = self.mixture.means.repeat(self.points // k, 1) + self.mixture.stds[0] * start["x"]
        return {"x": x, "k": torch.zeros(()), "track": x[:self.tracks, 0].expand(2 * self.N + 1, -1).clone()}

    def step(self, data, state, noise, live):
        x, k, N, process = state["x"], state["k"], self.N, self.model
        forth = k < N

        def time(j):
            return data["times"][j.clamp(0, N).long().reshape(1)][0]
        now, later = time(k), time(k + 1)
        ratio = process.mean(later) / process.mean(now)
        spread = process.std(later).square() - (ratio * process.std(now)).square()
        onward = ratio * x + torch.sqrt(spread.clamp(min=0.0)) * noise["z"]

        now, later = time(2 * N - k), time(2 * N - k - 1)
        sde = process.reverse(Mixture(data["means"], data["stds"], data["weights"]).score(process),
                              noise=live["noise"])
        tau, h = process.horizon - now, now - later
        silent = (k < 2 * N - 1).to(x.dtype)                      # the last step adds no noise
        back = (x + sde.drift(tau, x) * h
                + silent * torch.sqrt(h.clamp(min=0.0)) * sde.diffusion(tau, x) * noise["z"])
        x = torch.where(forth, onward, back)
        here = data["way"] == k + 1
        track = torch.where(here[:, None], x[:self.tracks, 0], state["track"])
        return {"x": x, "k": k + 1, "track": track}, {"ok": torch.isfinite(x).all(1)}

    def observe(self, data, state, noise, live):
        x, k, N = state["x"], state["k"], self.N
        t = data["times"][torch.where(k < N, k, 2 * N - k).long().reshape(1)][0]
        target = Mixture(data["means"], data["stds"], data["weights"])
        m, s = self.model.mean(t), self.model.std(t)
        # In units of a noised mode's width, and cut softly: the score itself is thousands of times as long near
        # the data as in the noise.
        arrow = target.score(self.model)(t, data["grid"]) * torch.sqrt((m * target.stds[0]).square() + s * s)
        arrow = arrow / (1 + arrow.square().sum(1, keepdim=True).sqrt())
        seen = torch.minimum(data["way"], k)
        forth, back = seen[:N + 1].long(), torch.maximum(seen[N:], 0 * k + N).clamp(max=2 * N)
        back = torch.where(k < N, 0 * back, back).long()          # before it begins, it lies on the start
        group = x.reshape(-1, len(self.mixture.means), 2)
        rest = group[:, 1:].reshape(-1, 2)
        return {"x1": rest[:, 0], "x2": rest[:, 1], "own1": group[:, 0, 0], "own2": group[:, 0, 1],
                "at1": data["grid"][:, 0], "at2": data["grid"][:, 1], "u": arrow[:, 0], "v": arrow[:, 1],
                "clock_forth": data["clock"][forth], "forth": state["track"][forth].T,
                "clock_back": data["clock"][back], "back": state["track"][back].T,
                "one_forth": state["track"][forth, 0],
                "one_back": state["track"][back, 0]}

    def view(self):
        reach = self.reach
        return View([
            Panel(f"The cloud now, and the score ({self.process})", Axis("x₁", low=-reach, high=reach),
                  Axis("x₂", low=-reach, high=reach),
                  [Arrows("at1", "at2", "u", "v", role="neutral", label="score (long ones shortened)"),
                   Points("x1", "x2", role="data"),
                   Points("own1", "own2", role="accent", label="began in the mode on the right")],
                  alt="Five hundred points in the plane, and a grid of arrows, the score. The points begin as "
                      "five clumps on a circle; a fifth of them, green diamonds, in the clump on the right. "
                      "They dissolve into one round cloud, and become five clumps again, with green diamonds "
                      "in every one.", equal=True),
            Panel("x₁ of eight points, there and back",
                  Axis("film: 0 to 1 noising, 1 to 2 back", low=0, high=2), Axis("x₁", low=-reach, high=reach),
                  [Paths("clock_forth", "forth", role="sde", label="noising"),
                   Paths("clock_back", "back", role="ode", label="way back, noise λ"),
                   Line("clock_forth", "one_forth", role="accent"),
                   Line("clock_back", "one_back", role="accent"),
                   Rule(1.0, axis="x", role="neutral")],
                  alt="The first coordinate of eight points over the film, one of them thick. In the first "
                      "half the paths jitter from the data into noise; in the second they lead back to the "
                      "clumps, jittering with noise λ = 1, smooth with λ = 0.")])
