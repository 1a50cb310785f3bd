"""IPF half steps between two normal laws, beside the closed form. Live."""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.bridges.multi_marginal.line import turned, walk
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Paths, View

PAPER = "multi-marginal-schroedinger-bridges"
END_STD = 0.5
NOISE = {"of the reference": False, "left over by the fit": True}


def truth(sigma, gap, t):
    """Mean and variance at the times t of the bridge from N(0, 1) to N(gap, END_STD^2). Traceable."""
    c = 0.5 * (torch.sqrt(4 * END_STD**2 + sigma**4) - sigma**2)
    return gap * t, (1 - t)**2 + t**2 * END_STD**2 + t * (1 - t) * (2 * c + sigma**2)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LineIPF:
    """A step is a half step: simulate 3000 paths from the present end, turn them, fit a line at each time.

    The state holds the chain (slopes, offsets, standard deviations) on its own clock, and from which end it starts.
    """
    intervals: int = knob(10, choices=(10, 40), label="time steps K")
    noise: str = knob("of the reference", choices=tuple(NOISE), label="noise of the reversed chain")
    live = {"sigma": Knob(1.0, low=0.3, high=3.0, scale="log", label="noise σ of the reference", restarts=True),
            "gap": Knob(2.0, low=0.0, high=6.0, label="distance of the means", restarts=True)}
    particles, shown = 3000, 50

    @property
    def plan(self):
        return Plan(24, advice="take more time steps")

    def data(self):
        return {"t": torch.linspace(0, 1, self.intervals + 1)}

    def draws(self):
        k = self.intervals
        return Draws(step={"start": Normal((self.particles,)), "z": Normal((k, self.particles))},
                     observe={"start": Normal((self.shown,)), "z": Normal((k, self.shown))})

    def init(self, data, start, live):
        none = torch.zeros_like(data["t"][1:])
        return {"slopes": none, "offsets": none.clone(), "from_end": none[0].clone(),
                "stds": none + live["sigma"] / self.intervals**0.5}

    def simulated(self, data, state, noise, live):
        """Paths (K + 1, B) in forward time, and on the chain's own clock."""
        end = state["from_end"]
        start = end * live["gap"] + (1 + end * (END_STD - 1)) * noise["start"]
        path = walk(start, state["slopes"], state["offsets"], state["stds"], noise["z"])
        return torch.where(end > 0.5, path.flip(0), path), path

    def step(self, data, state, noise, live):
        forward, own = self.simulated(data, state, noise, live)
        slopes, offsets, left = turned(own)
        stds = left if NOISE[self.noise] else state["stds"].flip(0)
        end = state["from_end"]
        # where this process arrives, against where it should
        mean, std = own[-1].mean(), own[-1].var(correction=0).sqrt()
        off = (mean - (1 - end) * live["gap"]).square() + (std - (end + (1 - end) * END_STD)).square()
        _, variance = truth(live["sigma"], live["gap"], data["t"])
        middle = forward[self.intervals // 2].var(correction=0)
        return ({"slopes": slopes, "offsets": offsets, "stds": stds, "from_end": 1 - end},
                {"middle": middle, "exact": variance[self.intervals // 2], "missed": off.sqrt(),
                 "ok": torch.isfinite(middle + off)})

    def observe(self, data, state, noise, live):
        forward, _ = self.simulated(data, state, noise, live)
        mean, variance = truth(live["sigma"], live["gap"], data["t"])
        return {"t": data["t"], "paths": forward.T.contiguous(), "mean": mean, "high": mean + 2 * variance.sqrt(),
                "low": mean - 2 * variance.sqrt()}

    def view(self):
        count = Axis("half step")
        return View([
            Panel("The process after this half step", Axis("time t", low=0, high=1), Axis("place x", low=-5, high=9),
                  [Paths("t", "paths", role="sde", label=f"{self.shown} paths"),
                   Line("t", "mean", role="truth", label="bridge: mean, ± 2 standard deviations"),
                   Line("t", "high", role="truth"), Line("t", "low", role="truth")],
                  alt="Paths of the present process over time, and dotted lines for the bridge's mean and its band. At "
                      "first the paths stay level and miss the end; after a few half steps they fill the band."),
            Panel("How far it misses the end that it runs to", count, Axis("W₂ of the normal laws", scale="log"),
                  [Line("history.step", "history.missed", role="test")],
                  alt="Distance between the law at the far end and the law wanted there, over half steps on a log "
                      "axis. It falls fast, then stays at a floor; with ten time steps the floor is higher."),
            Panel("Variance at t = ½", count, Axis("variance"),
                  [Line("history.step", "history.middle", role="train", label="of the paths"),
                   Line("history.step", "history.exact", role="truth", label="of the bridge")],
                  alt="Variance of the paths at half time over half steps, with the bridge's as a dotted level. With "
                      "few time steps and the reference's noise it comes close and then sinks below; with the "
                      "noise left over by the fit it stays.")])
