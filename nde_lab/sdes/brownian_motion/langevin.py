"""Langevin's equation in a double well: a cloud of points beside the Fokker-Planck density, and rare hops.

dx = -U'(x) dt + sigma dW, U(x) = b (x^2 - 1)^2 + c x. Its law at rest is exp(-2 U / sigma^2) up to a factor
(sources: Øksendal, "Stochastic Differential Equations", chapter 8; Kramers 1940 for the hops).
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.autodiff import loop
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal, Uniform
from nde_lab.sdes.brownian_motion import fokker_planck as fp
from nde_lab.sdes.brownian_motion.walks import PAPER
from nde_lab.views import Axis, Bars, Line, Panel, Points, Rule, View

WALL = 2.0          # the walls at -2 and 2 reflect


def reflect(x, wall: float = WALL):
    """Positions that passed a wall, by less than its distance from 0, mirrored at it: no flow through the
    wall."""
    x = torch.where(x > wall, 2 * wall - x, x)
    return torch.where(x < -wall, -2 * wall - x, x)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class DoubleWell:
    """2000 points of dx = -U'(x) dt + sigma dW, their histogram, and the density by the Fokker-Planck
    equation.

    Whatever the start, the law tends to exp(-2 U / sigma^2), at a pace set by the hops over the barrier b.
    The density is stepped on 64 cells beside the points, two half steps for each of theirs (its rates allow
    0.001, ``fokker_planck.largest_step``, for every setting); neither knows of the other.
    """
    start: str = knob("left", choices=("left", "right", "spread"), label="start",
                      help="all points in one well, or anywhere between the walls")
    shows: str = knob("well", choices=("well", "distance"), label="left panel",
                      help="the points in their well, or how far from rest they are")
    live = {"b": Knob(1.0, low=0.0, high=2.0, label="barrier b"),
            "c": Knob(0.0, low=-0.5, high=0.5, label="tilt c"),
            "sigma": Knob(1.0, low=0.4, high=1.4, label="noise σ", unit="per √time")}
    plan = Plan(300, advice="lower the barrier b")
    points, inner, dt, cells, bins, drawn = 2000, 25, 0.002, 64, 32, 300

    @property
    def dx(self) -> float:
        return 2 * WALL / self.cells

    def data(self):
        edges = torch.linspace(-WALL, WALL, self.bins + 1)
        return {"x": fp.cell_centres(-WALL, WALL, self.cells), "edges": edges,
                "bins": (edges[1:] + edges[:-1]) / 2}

    def draws(self):
        shape = (self.points,)
        return Draws(start={"z": Normal(shape, scale=0.2), "u": Uniform(shape, -WALL, WALL)},
                     step={"xi": Normal((self.inner, self.points))},
                     observe={"lift": Uniform((self.drawn,), 0.0, 0.5)})

    def init(self, data, start, live):
        if self.start == "spread":
            x, p = start["u"], torch.ones(self.cells) / (2 * WALL)
        else:
            side = -1.0 if self.start == "left" else 1.0
            x, p = reflect(side + start["z"]), torch.exp(-((data["x"] - side) / 0.2) ** 2 / 2)
            p = p / (p.sum() * self.dx)
        return {"x": x, "p": p, "t": torch.zeros(())}

    def step(self, data, state, noise, live):
        b, c, sigma = live["b"], live["c"], live["sigma"]
        U, D = fp.double_well(data["x"], b=b, c=c), sigma**2 / 2
        right, left = fp.jump_rates(U, D=D, dx=self.dx)

        def both(carry, xi):
            x, p = carry
            x = x + fp.double_well_pull(x, b=b, c=c) * self.dt + sigma * math.sqrt(self.dt) * xi
            for _ in range(2):
                p = fp.density_step(p, right, left, self.dt / 2)
            return (reflect(x), p), None

        (x, p), _ = loop(both, (state["x"], state["p"]), noise["xi"])
        t = state["t"] + self.inner * self.dt
        rest = fp.at_rest(U, D=D, dx=self.dx)
        bar = self._per_bin(rest)
        return {"x": x, "p": p, "t": t}, {
            "t": t, "cloud": (self._histogram(data, x) - bar).abs().sum() * (2 * self.dx),
            "density": (p - rest).abs().sum() * self.dx, "ok": torch.isfinite(x)}

    def _histogram(self, data, x):
        """Density of the points in each bin, (bins,)."""
        below = (x[:, None] < data["edges"]).to(x.dtype).mean(0)
        return (below[1:] - below[:-1]) / (2 * self.dx)

    @staticmethod
    def _per_bin(p):
        """Means over pairs of cells: a density on the bins."""
        return p.reshape(-1, 2).mean(1)

    def observe(self, data, state, noise, live):
        b, c, sigma = live["b"], live["c"], live["sigma"]
        x = state["x"][:self.drawn]
        U = fp.double_well(data["x"], b=b, c=c)
        return {"grid": data["x"], "U": U, "x": x, "height": fp.double_well(x, b=b, c=c) + noise["lift"],
                "bins": data["bins"], "histogram": self._histogram(data, state["x"]), "p": state["p"],
                "rest": fp.at_rest(U, D=sigma**2 / 2, dx=self.dx)}

    def view(self):
        place = Axis("x", low=-WALL, high=WALL)
        well = Panel("Points in a double well", place, Axis("height U(x)", low=-0.7, high=4),
                     [Line("grid", "U", role="neutral", label="U(x) = b(x²-1)² + cx"),
                      Points("x", "height", role="sde", label="300 of 2000 points")],
                     alt="A curve with two valleys at minus one and one, and points just above it. They "
                         "begin in one place, jitter, and now and then cross the hill between the valleys.")
        distance = Panel("Distance to the law at rest", Axis("time t", low=0, high=15),
                         Axis("L1 distance", scale="log", low=1e-3, high=3),
                         [Line("history.t", "history.cloud", role="sde", label="2000 points"),
                          Line("history.t", "history.density", role="ode", label="Fokker-Planck density")],
                         alt="Distance between the present density and the law at rest over time on a log "
                             "axis. The dashed line of the Fokker-Planck density falls straight for ever; "
                             "the cloud's falls with it to about 0.08 and stays there, because it has only "
                             "2000 points.")
        cloud = Panel("Where the points are", place, Axis("density", low=0, high=2.2),
                      [Bars("bins", "histogram", role="sde", label="2000 points"),
                       Line("grid", "p", role="ode", label="Fokker-Planck p(x, t)"),
                       Line("grid", "rest", role="truth", label="at rest: ∝ e^(-2U/σ²)")],
                      alt="Histogram of the points. It starts as one tall hill, spreads to both valleys, and "
                          "settles on a dotted curve with two hills; the dashed Fokker-Planck density moves "
                          "with it all the way.")
        return View([well if self.shows == "well" else distance, cloud])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class Hopping:
    """400 points start at the bottom of the left well: how long until they first reach that of the right one?

    The estimate is the time spent waiting by all points, divided by the number of arrivals. Before any
    arrival it is a third of that time, a lower bound: a mean below it would have let one arrive with a chance
    of 1 - e^{-3} = 95 %. Between two steps the path is a Brownian bridge, which touches 1 from x, y < 1 with
    probability exp(-2 (1 - x)(1 - y) / (sigma^2 dt)); without that, arrivals between the steps are missed.
    """
    live = {"b": Knob(1.0, low=0.5, high=1.5, label="barrier b"),
            "sigma": Knob(0.8, low=0.4, high=1.2, label="noise σ", unit="per √time")}
    plan = Plan(100, advice="lower the barrier b")
    points, inner, dt = 400, 80, 0.005

    def data(self):
        return {}

    def draws(self):
        shape = (self.inner, self.points)
        return Draws(step={"xi": Normal(shape), "u": Uniform(shape)})

    def init(self, data, start, live):
        zero = torch.zeros(())
        return {"x": -torch.ones(self.points), "there": torch.zeros(self.points), "waited": zero, "t": zero}

    def step(self, data, state, noise, live):
        b, sigma = live["b"], live["sigma"]

        def move(carry, drawn):
            x, there, waited = carry
            new = x + fp.double_well_pull(x, b=b) * self.dt + sigma * math.sqrt(self.dt) * drawn["xi"]
            touch = torch.exp(-2 * (1 - x).clamp_min(0.0) * (1 - new).clamp_min(0.0) / (sigma**2 * self.dt))
            arrived = ((new >= 1) | (drawn["u"] < touch)).to(x.dtype)
            waited = waited + (1 - there).mean() * self.dt
            return (new, torch.maximum(there, arrived), waited), None

        (x, there, waited), _ = loop(move, (state["x"], state["there"], state["waited"]), noise)
        t = state["t"] + self.inner * self.dt
        share = there.mean()
        return {"x": x, "there": there, "waited": waited, "t": t}, {
            "t": t, "estimate": waited / torch.where(share > 0, share, torch.full_like(share, 3 / self.points)),
            "kramers": fp.kramers_time(b=b, sigma=sigma), "exact": fp.crossing_time(b=b, sigma=sigma),
            "arrived": share, "first": x[0], "second": x[1], "ok": torch.isfinite(x)}

    def observe(self, data, state, noise, live):
        return {"x": state["x"]}

    def view(self):
        time = Axis("time t", low=0, high=40)
        return View([
            Panel("Two of 400 points", time, Axis("x", low=-2, high=2),
                  [Line("history.t", "history.first", role="sde", label="first"),
                   Line("history.t", "history.second", role="accent", label="second"),
                   Rule(-1.0, label="bottoms of the wells"), Rule(1.0)],
                  alt="Two paths jitter about minus one, hop over to one after a while, jitter there, and "
                      "hop back. With low noise they never leave."),
            Panel("Mean time to cross", time, Axis("time", scale="log", low=1, high=1e6),
                  [Line("history.t", "history.estimate", role="sde", label="time waited / arrivals"),
                   Line("history.t", "history.exact", role="truth", label="exact mean"),
                   Line("history.t", "history.kramers", role="ode", label="Kramers' formula")],
                  alt="The estimate of the mean crossing time over time on a log axis. With strong noise it "
                      "comes to the dotted exact mean; with low noise nothing crosses and it stays a lower "
                      "bound, far below. Kramers' dashed line lies below the dotted one and meets it as the "
                      "noise falls.")])
