"""The plan as a picture: where its mass sits, and how few entries hold it."""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.bridges.sinkhorn_newton_sparse.problems import COSTS, line_cost, line_masses
from nde_lab.bridges.sinkhorn_newton_sparse.steps import error, kept, sweep
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Uniform
from nde_lab.views import Axis, HeatMap, Line, Panel, View

PAPER = "sinkhorn-newton-sparse"
LIVE_EPS = Knob(0.01, low=0.003, high=0.1, scale="log", label="regularisation ε", restarts=True)


class GridProblem:
    """What the figures on n sources and n targets share: masses and cost of a kind, and the log plan to begin
    with."""
    n = 32

    def data(self):
        s, r, c = line_masses(self.n)
        if self.cost == "random":
            r = c = 0 * s + 1 / self.n
        as_tensor = lambda a: torch.as_tensor(a, dtype=torch.float32)  # noqa: E731
        cost = line_cost(self.n, self.cost) if self.cost != "random" else torch.zeros(self.n, self.n)
        return {"r": as_tensor(r), "c": as_tensor(c), "cost": as_tensor(cost),
                "at": torch.arange(1.0, self.n + 1)}

    def draws(self):
        return Draws(start={"cost": Uniform((self.n, self.n))} if self.cost == "random" else {})

    def start(self, data, start, live):
        """log P before the first sweep: (n, n)."""
        cost = start["cost"] if self.cost == "random" else data["cost"]
        return -cost / live["eps"] - 1


def log10(L):
    """log10 P for a heat map, between -8 and 0."""
    return (L / math.log(10)).clamp(-8.0, 0.0)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class PlanOnGrid(GridProblem):
    """Sinkhorn sweeps on n x n; after each, the share of the mass in the 2n, 4n and 8n largest entries."""
    cost: str = knob("random", choices=COSTS, label="cost")
    live = {"eps": LIVE_EPS}
    counts = (2, 4, 8)

    @property
    def plan(self):
        return Plan(60, advice="take a larger eps")

    def init(self, data, start, live):
        return {"L": self.start(data, start, live)}

    def step(self, data, state, noise, live):
        L = sweep(state["L"], data["r"].log(), data["c"].log())
        P = torch.exp(L)
        share = {f"kept{k}": (P * kept(L, torch.full_like(live["eps"], float(k * self.n)))).sum()
                 for k in self.counts}
        return {"L": L}, share | {"error": error(L, data["r"], data["c"]), "ok": torch.isfinite(L).all(1)}

    def observe(self, data, state, noise, live):
        return {"P": log10(state["L"]), "at": data["at"]}

    def view(self):
        roles = dict(zip(self.counts, ("test", "train", "accent"), strict=True))
        return View([
            Panel("The plan", Axis("target"), Axis("source"),
                  [HeatMap("P", "at", "at", label="log10 of the mass", low=-8, high=0)],
                  alt="Heat map of the plan. Random costs: bright cells strewn over a dark square, few in each "
                      "row. "
                      "Costs on a line: a bright band along a rising curve, wider with a stronger "
                      "regularisation."),
            Panel("Mass in the largest entries", Axis("Sinkhorn sweep", low=0, high=60),
                  Axis("share of all mass", low=0, high=1.02),
                  [Line("history.step", f"history.kept{k}", role=roles[k], label=f"{k} per row")
                   for k in self.counts],
                  alt="Three curves over sweeps, for two, four and eight entries per row on average. With "
                      "random costs and squared distances they hardly change after the first sweep; with "
                      "absolute ones the lowest falls. The weaker the regularisation, the nearer to one.")])
