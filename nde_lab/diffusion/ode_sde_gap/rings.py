"""The stored histograms of the two rings as a figure: what both samplers draw at four weights."""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.diffusion.ode_sde_gap import plane_laws, plane_table
from nde_lab.diffusion.ode_sde_gap.laws import cells
from nde_lab.experiment import Knob, experiment
from nde_lab.figures import Figure
from nde_lab.views import Axis, HeatMap, Panel, View


@experiment(paper="ode-sde-gap")
@dataclass(frozen=True)
class TwoRings(Figure):
    """Laws of both samplers of four trained networks in the plane, solved on a grid and stored; nothing trains
    here. Densities per unit area."""
    live = {"weight": Knob(0.0, choices=plane_table.WEIGHTS, label="w_R",
                           help="weight of the squared Fokker-Planck residual in training")}

    def data(self):
        area = (2 * plane_laws.REACH / plane_laws.BINS) ** 2
        stored = {n: v / area for n, v in plane_table.pictures().items()}
        return stored | {"line": cells(-plane_laws.REACH, plane_laws.REACH, plane_laws.BINS),
                         "weights": torch.tensor(plane_table.WEIGHTS)}

    def observe(self, data, state, noise, live):
        chosen = ((data["weights"] - live["weight"]).abs() < 1e-3).float()[:, None, None]
        ode, sde = ((chosen * data[n]).sum(0) for n in ("ode", "sde"))
        return {"line": data["line"], "data": data["data"], "ode": ode, "sde": sde, "difference": ode - sde}

    def view(self):
        x, y = Axis("x₁", low=-4, high=4), Axis("x₂", low=-4, high=4)
        top = 0.1

        def map_of(which, title, says):
            return Panel(title, x, y, [HeatMap(which, "line", "line", label="density", low=0.0, high=top)],
                         alt=says, equal=True)
        return View([
            map_of("data", "Data", "Density of the data over the plane: two rings of radii 1.3 and 2.8, the "
                                   "inner one twice as bright."),
            Panel("ODE minus SDE", x, y,
                  [HeatMap("difference", "line", "line", label="difference", low=-0.03, high=0.03)],
                  alt="Difference of the two samplers' densities. Without the penalty the inner ring stands "
                      "out bright, with patches around it; at 0.1 it is fainter, at 1 and 10 nearly gone.",
                  equal=True),
            map_of("ode", "ODE sampler", "Density of the ODE sampler's law: two rings, sharp in places, "
                                         "without the penalty; a blurred disc at w_R = 1, a ring at 10."),
            map_of("sde", "SDE sampler", "Density of the SDE sampler's law: two softer rings without the "
                                         "penalty, and nearly the ODE's blurred picture at large weights.")])
