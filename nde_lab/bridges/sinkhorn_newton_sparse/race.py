"""Sinkhorn against SNS on one problem: error over iterations, and the entries that Newton sees."""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.bridges.sinkhorn_newton_sparse.plans import LIVE_EPS, PAPER, GridProblem, log10
from nde_lab.bridges.sinkhorn_newton_sparse.problems import COSTS
from nde_lab.bridges.sinkhorn_newton_sparse.steps import error, kept, newton, sweep
from nde_lab.experiment import Knob, Plan, experiment, knob
from nde_lab.views import Axis, HeatMap, Line, Panel, View


@experiment(paper=PAPER)
@dataclass(frozen=True)
class SinkhornRace(GridProblem):
    """Both begin with the same ``first`` sweeps; then one goes on sweeping, the other takes Newton steps whose
    Hessian keeps ``keep`` entries of the plan per row on average."""
    cost: str = knob("random", choices=COSTS, label="cost")
    live = {"eps": LIVE_EPS,
            "keep": Knob(4.0, low=1.0, high=32.0, scale="log", label="kept entries per row, k", restarts=True),
            "first": Knob(20.0, low=1.0, high=60.0, label="Sinkhorn sweeps first", restarts=True)}

    @property
    def plan(self):
        return Plan(100, advice="take a larger eps")

    def init(self, data, start, live):
        L = self.start(data, start, live)
        return {"L": L, "S": L.clone(), "count": torch.zeros_like(live["eps"])}

    def step(self, data, state, noise, live):
        r, c, count = data["r"], data["c"], state["count"] + 1
        sinkhorn, swept = (sweep(state[n], r.log(), c.log()) for n in "LS")
        stepped, alpha = newton(state["S"], r, c, live["keep"] * self.n)
        early = count <= torch.floor(live["first"] + 0.5)
        S = torch.where(early, swept, stepped)
        info = {"sinkhorn": error(sinkhorn, r, c), "sns": error(S, r, c),
                "length": torch.where(early, torch.zeros_like(alpha), alpha)}
        return {"L": sinkhorn, "S": S, "count": count}, info | {"ok": torch.isfinite(S).all(1)}

    def observe(self, data, state, noise, live):
        S = state["S"]
        shown = torch.where(kept(S, live["keep"] * self.n) > 0, log10(S), torch.full_like(S, -8.0))
        return {"P": shown, "at": data["at"]}

    def view(self):
        return View([
            Panel("Two ways to the same plan", Axis("iteration", low=0, high=100),
                  Axis("marginal error", scale="log", low=5e-8, high=2),
                  [Line("history.step", "history.sinkhorn", role="sde", label="Sinkhorn"),
                   Line("history.step", "history.sns", role="ode", label="SNS")],
                  alt="Marginal error over iterations, logarithmic. Both curves run together during the first "
                      "sweeps; "
                      "then Sinkhorn goes on falling slowly, and SNS drops within a few steps to the rounding "
                      "error."),
            Panel("What Newton sees", Axis("target"), Axis("source"),
                  [HeatMap("P", "at", "at", label="log10 of the mass", low=-8, high=0)],
                  alt="Heat map of the kept entries of the plan; all others are dark. With few per row only "
                      "the "
                      "largest stay.")])
