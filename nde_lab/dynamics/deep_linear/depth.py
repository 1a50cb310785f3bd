"""What depth costs: tuned learning time against the number of matrices, in closed form.

Saxe, McClelland, Ganguli, arXiv 1312.6120, section 2: du/dt = N u^(2 - 2/N) (s - u), with a stable learning
rate of order 1/N. """
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.dynamics.deep_linear.theory import learning_curve
from nde_lab.experiment import Knob, experiment
from nde_lab.figures import Figure
from nde_lab.views import Axis, Line, Panel, Points, View

PAPER = "deep-linear-exact-dynamics"
PLACES = 201         # of Simpson's rule
SHOWN = (1, 2, 3, 10)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class DepthDelay(Figure):
    """Learning curves of one mode for N = 1, 2, 3, 10 and infinitely many matrices, over N t; and N t to 90
    %."""
    live = {"u0": Knob(0.1, low=1e-3, high=0.5, scale="log", label="start size u₀"),
            "s": Knob(1.0, low=0.6, high=1.5, label="singular value s")}

    def data(self):
        places = torch.linspace(0, 1, PLACES)
        weights = torch.ones(PLACES)
        weights[1:-1:2], weights[2:-1:2] = 4, 2
        return {"N": torch.tensor([1.0, 2, 3, 4, 5, 7, 10, 15, 20, 30, 50, 100, 200]), "place": places,
                "simpson": weights / (3 * (PLACES - 1)), "ends": torch.tensor([1.0, 200.0]),
                "part": torch.linspace(0, 1, 121)}

    def times(self, data, s, u0, over_N):
        """N t from u0 to 0.9 s for each 1/N (k,): (k,)."""
        first, last = -torch.log(s / u0 - 1), torch.log(torch.full_like(s, 9.0))
        u = s / (1 + torch.exp(-(first + (last - first) * data["place"])))
        f = u[None, :] ** (2 * over_N[:, None] - 1) / s
        return (f * data["simpson"]).sum(1) * (last - first)

    def observe(self, data, state, noise, live):
        s, u0 = live["s"], live["u0"]
        infinite = self.times(data, s, u0, torch.zeros_like(u0)[None])
        total = 1.3 * infinite * data["part"]
        curves = {f"curve{N}": learning_curve(total / N, s[None], u0, torch.full_like(s, float(N)))[0]
                  for N in (*SHOWN, 1000)}
        return {"time": total, "N": data["N"], "times": self.times(data, s, u0, 1 / data["N"]),
                "ends": data["ends"], "infinite": torch.cat([infinite, infinite]), **curves}

    def view(self):
        roles = ("sde", "train", "accent", "ode")
        return View([
            Panel("One mode learned", Axis("N × t, in units of τ", low=0), Axis("strength u", low=0, high=1.6),
                  [*(Line("time", f"curve{N}", role=role, label=f"N = {N}")
                     for N, role in zip(SHOWN, roles, strict=True)),
                   Line("time", "curve1000", role="truth", label="N infinite")],
                  alt="Strength over N times t for five numbers of matrices. One matrix starts at its "
                      "steepest; two give an S; more give a longer wait and then a steeper rise, and the "
                      "curves close up on a dotted limit."),
            Panel("Time to 90 %", Axis("number of matrices N", scale="log", low=0.9, high=220),
                  Axis("N × t, in units of τ", low=0),
                  [Points("N", "times", role="test", label="N × t"),
                   Line("N", "times", role="train"),
                   Line("ends", "infinite", role="truth", label="infinite depth")],
                  alt="Tuned time to nine tenths over the number of matrices, axis logarithmic: it rises from "
                      "N = 1 and flattens under a dotted line, the limit of infinite depth.")])
