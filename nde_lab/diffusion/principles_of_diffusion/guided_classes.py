"""Guidance on a line: what it samples, beside the density it is said to sample. Live."""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.diffusion.principles_of_diffusion.guidance import TwoClasses, flow_ends, law_of_map, moments
from nde_lab.diffusion.score_sde import VP, euler_sample
from nde_lab.experiment import Draws, Knob, experiment
from nde_lab.figures import Figure
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Points, View

PAPER = "principles-of-diffusion-models"
PROCESS = VP()
WEIGHTS = 9                                       # w = 0 .. 8 in the second panel
WIDTH = 0.15                        # standard deviation of the kernel that smooths samples


@experiment(paper=PAPER)
@dataclass(frozen=True)
class GuidedClasses(Figure):
    """Classes N(+-offset, 1), guided towards +: the flow's law (no sampling: its map), the reverse SDE's
    samples, the tilted density and p(x | +); and the means against w. The scores are exact."""
    live = {"w": Knob(2.0, low=0.0, high=8.0, label="guidance weight w"),
            "offset": Knob(1.0, low=0.3, high=3.0, label="class centres ± a")}
    steps, samples, places = 30, 500, 61

    def data(self):
        grid = torch.linspace(-5, 7, 241)
        return {"times": PROCESS.times(self.steps, power=2.0).float(), "grid": grid,
                "long": torch.linspace(-6, 12, 361), "z": torch.linspace(-3.6, 3.6, self.places),
                "weights": torch.arange(float(WEIGHTS))}

    def draws(self):
        return Draws(observe={"x": Normal((self.samples, 1)), "z": Normal((self.steps, self.samples, 1))})

    def observe(self, data, state, noise, live):
        classes = TwoClasses(live["offset"], torch.float32)
        # One solve for all weights: rows are (weight, place), the last weight is the knob's.
        all_w = torch.cat([data["weights"], live["w"][None]])
        rows = all_w.repeat_interleave(self.places)[:, None]
        z = data["z"].repeat(WEIGHTS + 1)[:, None]
        x = flow_ends(classes.score(PROCESS, rows), PROCESS, z, data["times"]).reshape(WEIGHTS + 1, -1)
        mass = law_of_map(data["z"], data["z"])[None] * (data["z"][1:] - data["z"][:-1])
        middle = 0.5 * (x[:, 1:] + x[:, :-1])
        means = (mass * middle).sum(1) / mass.sum()
        noisy = euler_sample(PROCESS, classes.score(PROCESS, live["w"]), noise["x"], data["times"], noise["z"])
        kernel = torch.exp(-0.5 * ((data["grid"][:, None] - noisy[:, 0]) / WIDTH).square())
        tilted = moments(classes.tilted(data["long"], data["weights"][:, None]), data["long"])[0]
        plus = classes.plus.log_density(data["grid"][:, None]).exp()
        return {"grid": data["grid"], "plus": plus, "tilted": classes.tilted(data["grid"], live["w"]),
                "flow_x": middle[-1], "flow": law_of_map(data["z"], x[-1]),
                "sde": kernel.mean(1) / (WIDTH * math.sqrt(2 * math.pi)),
                "weights": data["weights"], "flow_mean": means[:-1], "tilted_mean": tilted,
                "w": live["w"][None], "mine": means[-1:]}

    def view(self):
        return View([
            Panel("What guidance samples", Axis("x", low=-4, high=6), Axis("density", low=0, high=1.1),
                  [Line("grid", "plus", role="data", label="p(x | +)"),
                   Line("grid", "tilted", role="truth", label="tilted density"),
                   Line("flow_x", "flow", role="ode", label="guided flow"),
                   Line("grid", "sde", role="sde", label="guided SDE")],
                  alt="Four densities on a line: the class (grey), the tilted density (dotted), the law of the "
                      "guided flow (dashed) and of the guided reverse SDE (solid). At w = 0 all agree. As w "
                      "grows the dashed and the solid one move further right and become narrower than the "
                      "dotted one."),
            Panel("Mean against w", Axis("guidance weight w", low=0, high=8), Axis("mean of x", low=0, high=6),
                  [Line("weights", "flow_mean", role="ode", label="guided flow"),
                   Line("weights", "tilted_mean", role="truth", label="tilted density"),
                   Points("w", "mine", role="test", label="your w")],
                  alt="Means over the guidance weight: both curves start at the class centre and rise; the "
                      "guided flow's lies above the tilted density's, and the more so the larger w.")])
