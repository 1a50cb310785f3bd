"""Two crowds on a line and the bridge between them, as noise and pull of the reference change. Live."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.bridges.multi_marginal.reference import Reference
from nde_lab.bridges.multi_marginal.static import PointBridge, log_density, potentials, simulate, squares
from nde_lab.experiment import Draws, Knob, experiment, knob
from nde_lab.figures import Figure
from nde_lab.random import Normal
from nde_lab.views import Axis, HeatMap, Panel, Paths, Points, View

PAPER = "multi-marginal-schroedinger-bridges"
CROWDS = {"two groups to two": ((-1.5, 1.5), (-1.5, 1.5)), "two groups to three": ((-1.2, 1.2), (-2.0, 0.0, 2.0)),
          "one group to two": ((0.0,), (-1.7, 1.7))}
POINTS, STEPS, SWEEPS, PER = 36, 48, 150, 2


def groups(centres, n: int, spread: float = 0.3) -> Tensor:
    """n points (n, 1) in rising order: equal groups at the centres, each at even quantiles of a normal."""
    each = n // len(centres)
    share = (torch.arange(each, dtype=torch.float64) + 0.5) / each
    offsets = spread * 2**0.5 * torch.erfinv(2 * share - 1)
    return torch.cat([c + offsets for c in centres])[:, None]


@experiment(paper=PAPER)
@dataclass(frozen=True)
class CloudPaths(Figure):
    """The static problem is solved anew (150 pairs of half steps, with falling epsilon), then paths follow f+.

    Each of the 36 points starts two paths; 48 Euler-Maruyama steps.
    """
    crowds: str = knob("two groups to three", choices=tuple(CROWDS), label="crowds")
    live = {"sigma": Knob(0.6, low=0.1, high=2.5, scale="log", label="noise σ of the reference"),
            "pull": Knob(0.0, low=0.0, high=6.0, label="pull a of the reference")}

    def data(self):
        x0, x1 = (groups(c, POINTS).float() for c in CROWDS[self.crowds])
        return {"x0": x0, "x1": x1, "log_mass": -torch.log(torch.full((POINTS,), float(POINTS))),
                "t": torch.linspace(0, 1, STEPS + 1), "zero": torch.zeros(POINTS), "one": torch.ones(POINTS),
                "rank": torch.arange(1.0, POINTS + 1)}

    def draws(self):
        return Draws(observe={"z": Normal((STEPS, PER * POINTS, 1))})

    def bridge(self, data, live) -> PointBridge:
        """The bridge of the present knobs."""
        q, T = Reference(live["sigma"], live["pull"]), 1.0
        m, v = q.factor(T), q.variance(T)
        cost = 0.5 * squares(m * data["x0"], data["x1"])
        log_u, log_v = potentials(cost, data["log_mass"], data["log_mass"], v, SWEEPS)
        constant = (log_density(m * data["x0"], data["x1"], v) + cost / v)[0, 0]
        return PointBridge(q, data["x0"], data["x1"], log_u - constant, log_v)

    def observe(self, data, state, noise, live):
        bridge = self.bridge(data, live)
        start = torch.cat([data["x0"]] * PER)
        path = simulate(bridge.forward, start, live["sigma"], noise["z"])[:, :, 0]
        return {"t": data["t"], "paths": path.T.contiguous(), "zero": data["zero"], "one": data["one"],
                "x0": data["x0"][:, 0], "x1": data["x1"][:, 0], "rank": data["rank"],
                "plan": POINTS * bridge.plan().T.contiguous()}

    def view(self):
        return View([
            Panel("The likeliest way across", Axis("time t", low=-0.04, high=1.04), Axis("place x", low=-4.2, high=4.2),
                  [Paths("t", "paths", role="sde", label="72 paths of the bridge"),
                   Points("zero", "x0", role="data", label="crowd at t = 0, and at t = 1"),
                   Points("one", "x1", role="data")],
                  alt="Paths of the bridge over time from a crowd of points at the left to another at the right. With "
                      "little noise they are nearly straight and hardly cross; with much noise they wander and "
                      "cross; with a strong pull they first run to 0 and fan out at the end."),
            Panel("Who goes where", Axis("start, by rank"), Axis("end, by rank"),
                  [HeatMap("plan", "rank", "rank", label="P(end | start)", low=0.0, high=0.15)],
                  alt="The plan as a heat map, ends against starts, both in rising order. With little noise a thin "
                      "bright diagonal; with much noise a nearly even dark square.", equal=True)])
