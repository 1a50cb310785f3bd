"""How many steps a sampler needs: the spread of samples inside their modes, against N, with the exact score.

Predictor and corrector as in Song et al. (2021), algorithms 2 and 3, with Euler-Maruyama as the predictor and its
noise as one more knob. The target is the ring of five modes with standard deviation 0.2.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.diffusion.score_sde.film import HERE, PAPER
from nde_lab.diffusion.score_sde.mixtures import Mixture
from nde_lab.diffusion.score_sde.processes import Process
from nde_lab.diffusion.score_sde.sampling import euler_sample, predictor_corrector
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Points, Rule, View

COUNTS = (5, 8, 12, 20, 30, 50, 100)
END = {"VP": 1e-3, "sub-VP": 1e-3, "VE": 1e-4}


@experiment(paper=PAPER)
@dataclass(frozen=True)
class SamplerSteps:
    """One step of the experiment is one whole sampling run, with the next N of ``COUNTS``, from one start.

    All take 100 turns of which 100 - N do nothing (their time does not move, their noise is zero), so that the
    shapes do not depend on N. "flow" is the predictor without noise and without corrector.
    """
    process: str = knob("VP", choices=tuple(HERE), label="process")
    live = {"noise": Knob(1.0, low=0.0, high=1.0, label="sampler noise λ",
                          help="1: the reverse SDE, 0: the flow ODE"),
            "snr": Knob(0.0, low=0.0, high=0.5, label="corrector r",
                        help="signal-to-noise ratio of a Langevin step; 0: no corrector")}
    points = 400
    mixture = Mixture.ring(dtype=torch.float32)

    @property
    def plan(self):
        return Plan(len(COUNTS))

    @property
    def model(self) -> Process:
        return HERE[self.process]

    def data(self):
        last = COUNTS[-1]
        index = torch.arange(last + 1, dtype=torch.float64)
        end = END[self.process]
        times = torch.stack([1 - (1 - end) * (index / n).clamp(max=1.0) for n in COUNTS])
        turn = torch.arange(last)
        heard = torch.stack([(turn < n - 1) for n in COUNTS])           # the last step adds no noise
        return {"means": self.mixture.means, "stds": self.mixture.stds, "weights": self.mixture.weights,
                "times": times.float(), "heard": heard.float(), "count": torch.tensor(COUNTS).float()}

    def draws(self):
        shape = Normal((COUNTS[-1], self.points, 2))
        return Draws(start={"x": Normal((self.points, 2)), "z": shape, "c": shape})

    def init(self, data, start, live):
        x = self.model.prior_std * start["x"]
        return {"start": x, "z": start["z"], "c": start["c"], "x": x, "flow": x, "k": torch.zeros(())}

    def step(self, data, state, noise, live):
        at = state["k"].clamp(max=len(COUNTS) - 1).long().reshape(1)
        times, heard = data["times"][at][0], data["heard"][at][0][:, None, None]
        z, c = heard * state["z"], heard * state["c"]
        target = Mixture(data["means"], data["stds"], data["weights"])
        args = (self.model, target.score(self.model), state["start"], times)
        x = predictor_corrector(*args, z, c, snr=live["snr"], predictor="euler", noise=live["noise"])
        flow = euler_sample(*args, z, noise=0.0)
        info = {"count": data["count"][at][0], "spread": self.spread(data, x), "flow": self.spread(data, flow),
                "ok": torch.isfinite(x).all(1)}
        return state | {"x": x, "flow": flow, "k": state["k"] + 1}, info

    @staticmethod
    def spread(data, x):
        """Root mean square distance to the nearest centre, per coordinate; 0-d. 0.2 in the data."""
        squares = (x[:, None] - data["means"]).square().sum(-1)
        return (squares.amin(1).mean() / 2).sqrt()

    def observe(self, data, state, noise, live):
        return {"x1": state["x"][:, 0], "x2": state["x"][:, 1], "flow1": state["flow"][:, 0],
                "flow2": state["flow"][:, 1], "mean1": data["means"][:, 0], "mean2": data["means"][:, 1]}

    def view(self):
        return View([
            Panel(f"{self.points} samples, your sampler ({self.process})", Axis("x₁", low=-3, high=3),
                  Axis("x₂", low=-3, high=3),
                  [Points("x1", "x2", role="sde", label="noise λ, corrector r"),
                   Points("mean1", "mean2", role="truth", label="centres of the modes")],
                  alt="Samples in the plane by the chosen sampler, and five crosses on a circle, the centres of "
                      "the data's modes. As the number of steps grows the clumps take the data's width.",
                  equal=True),
            Panel("Width of the clumps", Axis("number of steps N", scale="log", low=4, high=125),
                  Axis("standard deviation", low=0, high=0.5),
                  [Line("history.count", "history.spread", role="sde", label="your sampler"),
                   Line("history.count", "history.flow", role="ode", label="flow ODE"),
                   Rule(0.2, role="truth", label="data: 0.2")],
                  alt="Standard deviation of the samples around their nearest centre, against the number of "
                      "steps from 5 to 100 on a log axis. The flow (dashed) is near the data's 0.2 from a few "
                      "steps on; VP's reverse SDE comes near it only at 100.")])
