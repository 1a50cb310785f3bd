"""Units that climb the paper's energy, each by itself: where do they end?

Yuandong Tian, arXiv 2509.21519, theorems 1, 2 and 4 and corollaries 1 and 2: with all pairs seen, every local
maximum of the energy lies within one mode of the group; with too few pairs it need not.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.dynamics.scaling_laws_grokking.groups import group, modes
from nde_lab.dynamics.scaling_laws_grokking.model import ACTS, climb, energies, targets
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal, Permutation
from nde_lab.views import Axis, HeatMap, Panel, Paths, Rule, View

PAPER = "provable-scaling-laws-grokking"


@experiment(paper=PAPER)
@dataclass(frozen=True)
class EnergyAscent:
    """``units`` random unit vectors w of 2M numbers, each climbing E(w) on the sphere by ``model.climb``.

    Live: the fraction p of the table that the energy is made of, and the length of a step.
    """
    group: str = knob("Z11", choices=("Z7", "Z11", "Z12", "Z23", "D6", "S4", "Q8"), label="group")
    act: str = knob("square", choices=ACTS, label="activation")
    live = {"p": Knob(1.0, low=0.3, high=1.0, label="fraction of the table seen, p"),
            "rate": Knob(0.1, low=0.05, high=0.2, scale="log", label="length of a step")}
    units, every = 40, 2

    @property
    def plan(self):
        return Plan(120, every=self.every, advice="take shorter steps")

    @property
    def M(self) -> int:
        return group(self.group).M

    def data(self):
        made = modes(self.group)
        as_tensor = lambda a: torch.as_tensor(a, dtype=torch.float32)  # noqa: E731
        return {"Y": targets(group(self.group)), "B": as_tensor(made.basis), "S": as_tensor(made.gather),
                "mode": torch.arange(float(len(made))), "unit": torch.arange(1.0, self.units + 1),
                "at": torch.arange(0.0, self.plan.steps + 1, self.every)}

    def draws(self):
        return Draws(start={"w": Normal((2 * self.M, self.units)), "order": Permutation(self.M**2)})

    def seen(self, state, live):
        """1 for the first p M^2 pairs of a random order: (M^2,)."""
        return (state["order"] < live["p"] * self.M**2).to(live["p"].dtype)

    def init(self, data, start, live):
        W = start["w"] / start["w"].square().sum(0).sqrt()
        state = {"W": W, "order": start["order"].to(W.dtype), "count": torch.zeros(())}
        E = energies(W, data["Y"], self.seen(state, live), name=self.act)
        return state | {"trace": E[:, None].expand(self.units, data["at"].shape[0]).clone()}

    def step(self, data, state, noise, live):
        seen, count = self.seen(state, live), state["count"] + 1
        W = climb(state["W"], data["Y"], seen, live["rate"], name=self.act)
        E = energies(W, data["Y"], seen, name=self.act)
        trace = torch.where(data["at"] >= count, E[:, None], state["trace"])     # what is to come lies flat
        purity = self.share(data, W).amax(0)
        return ({"W": W, "order": state["order"], "count": count, "trace": trace},
                {"energy": E.mean(), "purity": purity.mean(), "ok": torch.isfinite(E)})

    def share(self, data, W):
        """Power of each unit in each mode, as shares of the whole: (modes, units)."""
        M = self.M
        power = data["S"] @ ((data["B"].T @ W[:M]).square() + (data["B"].T @ W[M:]).square())
        return power / power.sum(0)

    def observe(self, data, state, noise, live):
        done = torch.minimum(data["at"], state["count"])        # steps to come are folded onto now
        return {"share": self.share(data, state["W"]), "mode": data["mode"], "unit": data["unit"],
                "at": done, "energy": state["trace"] / self.M}

    def view(self):
        tops = sorted({round(float(e) / self.M, 4) for e in modes(self.group).top_energy()[1:]})
        top = 0.6 if self.act == "square" else None
        rules = [Rule(e, label=f"M/{1 / e:.3g}") for e in tops] if self.act == "square" else []
        return View([
            Panel(f"{self.units} units climb", Axis("step", low=0, high=self.plan.steps),
                  Axis("energy / M", low=0, high=top),
                  [Paths("at", "energy", role="sde", label="units"), *rules],
                  alt="Energy of forty random units over steps of ascent. All start near zero, rise at different "
                      "times, and stop on a few levels, marked by dotted lines."),
            Panel("Where their weights are", Axis("unit"), Axis("mode (0: constant)"),
                  [HeatMap("share", "unit", "mode", label="share", low=0, high=1)],
                  alt="Heat map, one column per unit and one row per mode: at first power is spread over all "
                      "modes, at the end each unit has all of it in a single one.")])
