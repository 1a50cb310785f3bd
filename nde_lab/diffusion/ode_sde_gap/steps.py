"""Is the gap an error of the solver? Both samplers of a mis-scaled Gaussian with N steps, for every N at once.

Euler's step multiplies a Gaussian's variance and Euler-Maruyama's step also adds h to it, so the laws after N
steps are known without a sample. With a wrong score their distance has a limit that is not 0.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.diffusion.ode_sde_gap.gaussian import ode_variance, sde_variance, variance
from nde_lab.diffusion.ode_sde_gap.process import OU, STATIONARY
from nde_lab.experiment import Knob, experiment
from nde_lab.figures import Figure
from nde_lab.views import Axis, Line, Panel, Points, View

COUNTS = (4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256, 362, 512)
FLOOR = 1e-6                                 # no distance is drawn smaller: 0 has no place on a log axis


def stepped_variances(counts: Tensor, turns: Tensor, *, ou: OU, kappa, v0: Tensor) -> tuple[Tensor, Tensor]:
    """Variances (C,) of Euler's ODE sampler and of Euler-Maruyama's SDE sampler after counts (C,) steps.

    turns: 0 .. max(counts) - 1 as floats. The score is -kappa x / v(t); the steps follow ``OU.clock``, the
    start is pi, and the last step of the SDE is without noise, as in the paper's code.
    """
    k = turns[:, None]
    t, after = (ou.clock((1 - j / counts).clamp_min(0.0)) for j in (k, k + 1))
    h, pull = t - after, kappa / variance(t, v0)              # h is 0 once the steps are done
    noise = torch.where(k + 1 < counts, h, torch.zeros_like(h))

    def end(factor: Tensor, added: Tensor) -> Tensor:
        logs = torch.log(factor.square().clamp_min(1e-30))
        left = logs.sum(0) - torch.cumsum(logs, 0)            # what later steps do to what step k adds
        return STATIONARY * torch.exp(logs.sum(0)) + (added * torch.exp(left)).sum(0)

    return end(1 + h * (1 - pull / 2), torch.zeros_like(h)), end(1 + h * (1 - pull), noise)


def gap(first: Tensor, second: Tensor) -> Tensor:
    """W2^2 of N(0, first) and N(0, second), not below FLOOR."""
    return (first.sqrt() - second.sqrt()).square().clamp_min(FLOOR)


@experiment(paper="ode-sde-gap")
@dataclass(frozen=True)
class StepsOrScore(Figure):
    """W2^2 of the two samplers' laws against the number of steps, for a score kappa times too strong."""
    live = {"N": Knob(32, low=4, high=512, scale="log", label="steps N"),
            "kappa": Knob(1.15, low=0.6, high=1.4, label="κ", help="the score is κ times the true one")}
    ou, v0 = OU(end=1e-3), 0.2

    def data(self):
        return {"counts": torch.tensor(COUNTS, dtype=torch.float32), "turns": torch.arange(512.0),
                "x": torch.linspace(-2.5, 2.5, 161), "v0": torch.tensor(self.v0),
                "ends": torch.tensor([float(COUNTS[0]), float(COUNTS[-1])])}

    def observe(self, data, state, noise, live):
        now, kappa, v0 = live["N"].round(), live["kappa"], data["v0"]
        counts = torch.cat([now.reshape(1), data["counts"]])
        end = torch.full_like(v0, self.ou.end)
        ode, sde = stepped_variances(counts, data["turns"], ou=self.ou, kappa=kappa, v0=v0)
        right = stepped_variances(data["counts"], data["turns"], ou=self.ou, kappa=torch.ones_like(kappa),
                                  v0=v0)
        exact = [f(end, T=self.ou.horizon, kappa=kappa, v0=v0) for f in (ode_variance, sde_variance)]
        distance, limit = gap(ode, sde), gap(*exact)

        def bell(v):
            return torch.exp(-data["x"] ** 2 / (2 * v)) / torch.sqrt(2 * math.pi * v)

        return {"x": data["x"], "truth": bell(variance(end, v0)), "ode": bell(ode[0]), "sde": bell(sde[0]),
                "counts": data["counts"], "gap": distance[1:], "right": gap(*right), "ends": data["ends"],
                "limit": torch.stack([limit, limit]), "now": counts[:1], "gap_now": distance[:1]}

    def view(self):
        return View([
            Panel("The laws after N steps", Axis("x", low=-2.5, high=2.5), Axis("density", low=0, high=1.6),
                  [Line("x", "truth", role="truth", label="data"),
                   Line("x", "ode", role="ode", label="ODE sampler"),
                   Line("x", "sde", role="sde", label="SDE sampler")],
                  alt="Three bell curves over x: the data and the laws of the two samplers after N steps. At "
                      "kappa = 1 and many steps they agree; at other kappa they stay apart however many steps "
                      "are taken."),
            Panel("Does the gap go away with more steps?", Axis("steps N", scale="log", low=3.5, high=600),
                  Axis("W₂²(ODE, SDE)", scale="log", low=FLOOR, high=1),
                  [Line("ends", "limit", role="truth", label="infinitely many steps"),
                   Line("counts", "gap", role="accent", label="score × κ"),
                   Line("counts", "right", role="neutral", label="true score"),
                   Points("now", "gap_now", role="test", label="N now")],
                  alt="Squared Wasserstein distance of the two laws against the number of steps, log axes. "
                      "With the true score it falls from 0.01 at four steps below 0.00001 at sixteen. With a "
                      "wrong score it settles at a dotted level, the distance of the exact laws.")])
