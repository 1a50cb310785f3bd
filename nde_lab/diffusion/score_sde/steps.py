"""How many steps a sampler needs: the spread of samples inside their modes, against N, with the exact score.

Predictor and corrector as in Song et al. (2021), algorithms 2 and 3, with Euler-Maruyama as the predictor and
its noise as one more knob. The target is the ring of five modes with standard deviation 0.2.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.diffusion.score_sde.film import HERE, PAPER
from nde_lab.diffusion.score_sde.mixtures import Mixture
from nde_lab.diffusion.score_sde.processes import Process
from nde_lab.diffusion.score_sde.sampling import predict_correct
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Points, Rule, View

COUNTS = (5, 10, 15, 20, 30, 50, 100)
END = {"VP": 1e-3, "sub-VP": 1e-3, "VE": 1e-4}


@experiment(paper=PAPER)
@dataclass(frozen=True)
class SamplerSteps:
    """Seven sampling runs from one start, one after the other, in N = 5, 10, ..., 100 steps; a step of the
    experiment is a step of a sampler. The width of the clumps is that of the last run that has finished.

    "flow" is the predictor without noise and without corrector.
    """
    process: str = knob("VP", choices=tuple(HERE), label="process")
    live = {"noise": Knob(1.0, low=0.0, high=1.0, label="sampler noise λ",
                          help="1: the reverse SDE, 0: the flow ODE"),
            "snr": Knob(0.0, low=0.0, high=0.8, label="corrector r",
                        help="signal-to-noise ratio of a Langevin step; 0: no corrector")}
    points = 400
    mixture = Mixture.ring(dtype=torch.float32)

    @property
    def plan(self):
        return Plan(sum(COUNTS), every=COUNTS[0])

    @property
    def model(self) -> Process:
        return HERE[self.process]

    def data(self):
        times = [self.model.times(n, END[self.process]) for n in COUNTS]
        turn = torch.cat([torch.arange(n) for n in COUNTS])
        count = torch.cat([torch.full((n,), float(n)) for n in COUNTS])
        return {"means": self.mixture.means, "stds": self.mixture.stds, "weights": self.mixture.weights,
                "now": torch.cat([t[:-1] for t in times]).float(),
                "next": torch.cat([t[1:] for t in times]).float(),
                "first": (turn == 0).float(), "last": (turn == count - 1).float(), "count": count}

    def draws(self):
        shape = Normal((self.points, 2))
        return Draws(start={"x": shape}, step={"z": shape, "c": shape})

    def init(self, data, start, live):
        x = self.model.prior_std * start["x"]
        return {"start": x, "x": x, "flow": x, "k": torch.zeros(()), "count": data["count"][0],
                "width": self.spread(data, x), "flow_width": self.spread(data, x)}

    def step(self, data, state, noise, live):
        at = state["k"].clamp(max=sum(COUNTS) - 1).long().reshape(1)
        now, later, first, last = (data[n][at][0] for n in ("now", "next", "first", "last"))
        target, heard = Mixture(data["means"], data["stds"], data["weights"]), 1 - last
        args = (self.model, target.score(self.model))
        # The last step of a run is silent: a corrector whose noise is zero does nothing.
        x = predict_correct(*args, now, later, torch.where(first > 0, state["start"], state["x"]),
                            heard * noise["z"], heard * noise["c"], snr=live["snr"], noise=live["noise"],
                            predictor="euler")
        flow = predict_correct(*args, now, later, torch.where(first > 0, state["start"], state["flow"]),
                               0 * noise["z"], noise=0.0, predictor="euler")
        done = {"count": data["count"][at][0], "width": self.spread(data, x),
                "flow_width": self.spread(data, flow)}
        done = {n: torch.where(last > 0, v, state[n]) for n, v in done.items()}
        state = {"start": state["start"], "x": x, "flow": flow, "k": state["k"] + 1} | done
        return state, done | {"ok": torch.isfinite(x).all(1)}

    @staticmethod
    def spread(data, x):
        """Root mean square distance to the nearest centre, per coordinate; 0-d. 0.2 in the data."""
        squares = (x[:, None] - data["means"]).square().sum(-1)
        return (squares.amin(1).mean() / 2).sqrt()

    def observe(self, data, state, noise, live):
        return {"x1": state["x"][:, 0], "x2": state["x"][:, 1], "mean1": data["means"][:, 0],
                "mean2": data["means"][:, 1]}

    def view(self):
        return View([
            Panel(f"{self.points} samples, your sampler ({self.process})", Axis("x₁", low=-3, high=3),
                  Axis("x₂", low=-3, high=3),
                  [Points("x1", "x2", role="sde", label="noise λ, corrector r"),
                   Points("mean1", "mean2", role="truth", label="centres of the modes")],
                  alt="Samples in the plane by the chosen sampler, and five crosses on a circle, the centres "
                      "of the data's modes. As the number of steps grows the clumps take the data's width.",
                  equal=True),
            Panel("Width of the clumps", Axis("number of steps N", scale="log", low=4, high=125),
                  Axis("standard deviation", low=0, high=0.5),
                  [Line("history.count", "history.width", role="sde", label="your sampler"),
                   Line("history.count", "history.flow_width", role="ode", label="flow ODE"),
                   Rule(0.2, role="truth", label="data: 0.2")],
                  alt="Standard deviation of the samples around their nearest centre, against the number of "
                      "steps from 5 to 100 on a log axis. The flow (dashed) is near the data's 0.2 from a few "
                      "steps on; VP's reverse SDE comes near it only at 100.")])
