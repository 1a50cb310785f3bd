"""What a flow can do, and what it cannot: two small neural ODEs trained live.

The start of a neural ODE is its input, its end the output, and its field a network: dy/dt = f(t, y). Paths of
one ODE never meet. On a line they therefore keep their order, so no flow maps x to -x; in the plane they keep
an inner ring inside. One more coordinate, started at zero, lifts the ban.

Source: Dupont, Doucet, Teh, "Augmented Neural ODEs", NeurIPS 2019, arXiv 1904.01681; Chen, Rubanova,
Bettencourt, Duvenaud, "Neural Ordinary Differential Equations", NeurIPS 2018, arXiv 1806.07366.
"""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nde_lab import optimizers
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.nets import functional, mlp
from nde_lab.odes.neural_odes.training import adam_step, finite
from nde_lab.random import Normal, Uniform
from nde_lab.solvers import Grid, integrate_ode
from nde_lab.views import Axis, Line, Panel, Paths, Points, Rule, View

PAPER = "on-neural-differential-equations"
DEPTH = Axis("depth t of the flow", low=-0.03, high=1.03)


class FlowField(nn.Module):
    """The field f(t, y) of a flow in d dimensions: a tanh network with two hidden layers; y (B, d), t 0-d."""

    def __init__(self, d: int, width: int):
        super().__init__()
        self.net = mlp([1 + d, width, width, d])

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.net(torch.cat([t.expand(*y.shape[:-1], 1), y], dim=-1))


def flow(field, y0: Tensor, turns: int, method: str = "rk4") -> Tensor:
    """Solve dy/dt = field(t, y) from t = 0 to 1 in equal steps: y0 (B, d) -> the whole way (turns + 1, B,
    d)."""
    return integrate_ode(field, y0, Grid(0.0, 1.0, turns), method=method)


def pad(x: Tensor, extra: int) -> Tensor:
    """x (B, d) with ``extra`` further coordinates of 0."""
    return torch.cat([x, torch.zeros(x.shape[0], extra)], dim=1) if extra else x


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LineFlow:
    """Train a flow to send -1 to 1 and 1 to -1: the one thing that a flow on a line cannot do.

    Paths that start in the order -1 < 1 end in that order, so the best that training can reach is to send
    both (almost) to 0, with mean squared error 1. With ``extra`` coordinates, started at 0, they pass each
    other. A single Euler step is a residual layer x + f(x), and no flow: it crosses. One step of the run is
    2 Adam steps on the two points.
    """
    extra: int = knob(0, choices=(0, 1), label="extra channels", help="coordinates that start at 0")
    turns: int = knob(10, choices=(1, 10), label="steps N", help="1: Euler, a residual layer; 10: RK4, a flow")
    live = {"lr": Knob(2e-2, low=1e-3, high=5e-2, scale="log", label="learning rate")}
    plan = Plan(60, advice="lower the learning rate")
    inner, width, shown = 2, 16, 13

    @functools.cached_property
    def net(self):
        return functional(FlowField(1 + self.extra, self.width))

    def data(self):
        return {"x": torch.tensor([[-1.0], [1.0]]), "starts": torch.linspace(-1.5, 1.5, self.shown)[:, None]}

    def draws(self):
        return Draws(start=self.net.draws)

    def init(self, data, start, live):
        params = self.net.init(start)
        return params | optimizers.adam_state(params)

    def way(self, params, x: Tensor) -> Tensor:
        """All states of the flow from x (B, 1): (turns + 1, B, 1 + extra)."""
        return flow(lambda t, y: self.net.apply(params, t, y), pad(x, self.extra), self.turns,
                    "euler" if self.turns == 1 else "rk4")

    def end(self, params, x: Tensor) -> Tensor:
        """Where the flow sends x (B, 1): the first coordinate of the end, (B, 1)."""
        return self.way(params, x)[-1, :, :1]

    def step(self, data, state, noise, live):
        x = data["x"]

        def loss(p):
            return (self.end(p, x) + x).square().mean(), None

        params, adam = self.net.params(state), state
        for _ in range(self.inner):
            params, adam, value, _ = adam_step(loss, params, adam, lr=live["lr"])
        return params | adam, {"loss": value, "ok": finite(params)}

    def observe(self, data, state, noise, live):
        params = self.net.params(state)
        way = self.way(params, torch.cat([data["starts"], data["x"]]))
        t = torch.arange(self.turns + 1) / self.turns
        at = torch.tensor([0.0, 0.0, 1.0, 1.0])
        return {"t": t, "way": way[:, :self.shown, 0].T, "first": way[:, -2, 0], "second": way[:, -1, 0],
                "at": at, "wanted": torch.cat([data["x"], -data["x"]])[:, 0]}

    def view(self):
        kind = "one residual layer" if self.turns == 1 else "a flow"
        line = "on a line" if self.extra == 0 else "with one extra channel"
        return View([
            Panel(f"Paths of {kind} {line}", DEPTH, Axis("first coordinate of y(t)", low=-2, high=2),
                  [Paths("t", "way", role="ode", label="other starts"),
                   Line("t", "first", role="train", label="from -1"),
                   Line("t", "second", role="test", label="from 1"),
                   Points("at", "wanted", role="data", label="start, and wanted end")],
                  alt="Paths of the flow from depth 0 to 1, two of them from -1 and 1, which are to swap "
                      "places. On a line they are squeezed together towards 0 and do not cross; with an "
                      "extra channel, or in a single residual step, they cross."),
            Panel("Mean squared error", Axis("step of the run (2 Adam steps)"), Axis("error", low=0, high=2.2),
                  [Line("history.step", "history.loss", role="train", label="training"),
                   Rule(1.0, label="best that order allows: 1")],
                  alt="Training error over steps, with a dotted level at 1. On a line the curve comes down "
                      "to the level and stays; with an extra channel it goes on to 0.")])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class RingFlow:
    """Two nested rings, a flow of the plane, and a linear readout: the inner ring has to get out.

    Class 0 lies at radius about 0.5, class 1 at about 1.2. The flow may bend the plane as it likes but not
    tear it, so the outer ring always encloses the inner one, and no straight line parts the ends of *all*
    points. Of the 60 training points in either ring it may part every one, by squeezing the inner ring out
    between two points of the outer one; fresh points in the gap are then wrong, and the field is hard to
    solve. With ``extra`` coordinates the inner ring is lifted out. One step of the run is one Adam step on
    all 120 points.

    "needed" estimates how many RK4 steps would keep the error of every end below 1e-3: the solution with half
    of the steps is off by about 15 times more than the one with all of them, and the error falls like N^-4.
    """
    extra: int = knob(0, choices=(0, 1), label="extra channels", help="coordinates that start at 0")
    live = {"depth": Knob(1.0, low=0.0, high=1.0, label="depth shown t"),
            "lr": Knob(2e-2, low=1e-3, high=1e-1, scale="log", label="learning rate")}
    plan = Plan(150, every=3, advice="lower the learning rate")
    each, fresh, width, turns, tolerance = 60, 150, 24, 8, 1e-3

    @functools.cached_property
    def net(self):
        return functional(FlowField(2 + self.extra, self.width), prefix="net.")

    def data(self):
        turn = torch.arange(self.each) / self.each
        return {"turn": turn[:, None], "target": torch.cat([-torch.ones(self.each), torch.ones(self.each)]),
                "fresh_target": torch.cat([-torch.ones(self.fresh), torch.ones(self.fresh)])}

    def draws(self):
        d = 2 + self.extra
        radii = {f"{part}{ring}": Normal((n, 1), loc=r, scale=0.08) for part, n in
                 (("", self.each), ("fresh.", self.fresh)) for ring, r in (("inner", 0.5), ("outer", 1.2))}
        return Draws(start=self.net.draws | radii | {"read.w": Uniform((d,), -0.5, 0.5),
                                                     "fresh.turn": Uniform((self.fresh, 1))})

    def init(self, data, start, live):
        params = self.net.init(start) | {"read.w": start["read.w"], "read.b": torch.zeros(())}
        x = rings(data["turn"], start["inner"], start["outer"])
        fresh = rings(start["fresh.turn"], start["fresh.inner"], start["fresh.outer"])
        return params | optimizers.adam_state(params) | {"x": x, "fresh": fresh}

    def params(self, state):
        """Field and readout among the state's entries."""
        return self.net.params(state) | {n: state[n] for n in ("read.w", "read.b")}

    def way(self, params, x: Tensor, turns: int | None = None) -> Tensor:
        """All states of the flow from x (B, 2): (turns + 1, B, d)."""
        return flow(lambda t, y: self.net.apply(params, t, y), pad(x, self.extra), turns or self.turns)

    def step(self, data, state, noise, live):
        def right(score):
            return (score > 0).to(torch.float32).mean()

        def loss(p):
            score = (self.way(p, state["x"])[-1] @ p["read.w"] + p["read.b"]) * data["target"]
            return nn.functional.softplus(-score).mean(), right(score)

        params, adam, _, accuracy = adam_step(loss, self.params(state), state, lr=live["lr"])
        end, rough = (self.way(params, state["fresh"], n)[-1] for n in (self.turns, self.turns // 2))
        error = (end - rough).abs().max() / 15
        return params | adam | {n: state[n] for n in ("x", "fresh")}, {
            "accuracy": accuracy, "fresh": right((end @ params["read.w"] + params["read.b"])
                                                 * data["fresh_target"]),
            "needed": self.turns * (error / self.tolerance) ** 0.25, "ok": finite(params)}

    def observe(self, data, state, noise, live):
        params, n = self.params(state), self.fresh
        way = self.way(params, state["fresh"])
        # Where every point is at the depth shown: a straight line between the two nearest states.
        at = torch.arange(self.turns + 1)[:, None, None]
        share = (1 - (at - live["depth"] * self.turns).abs()).clamp(min=0)
        now = (share * way).sum(0)
        outer = torch.sigmoid((way * params["read.w"]).sum(-1) + params["read.b"])
        return {"t": torch.arange(self.turns + 1) / self.turns, "x0": now[:n, 0], "y0": now[:n, 1],
                "x1": now[n:, 0], "y1": now[n:, 1], "outer0": outer[:, :30].T, "outer1": outer[:, n:n + 30].T,
                "now": live["depth"] * torch.ones(2), "edge": torch.tensor([0.0, 1.0])}

    def view(self):
        where = "space: 3 coordinates" if self.extra else "the plane"
        return View([
            Panel(f"300 fresh points at the depth shown, flow of {where}", Axis("y₁"), Axis("y₂"),
                  [Points("x0", "y0", role="train", label="inner ring"),
                   Points("x1", "y1", role="test", label="outer ring")],
                  alt="Points of an inner and an outer ring in the plane, carried along by the flow to the "
                      "depth shown. At depth 0 they are rings. At depth 1 of a trained flow of the plane the "
                      "inner one is squeezed out through a gap of the outer one, which is stretched around "
                      "it; with an extra channel the two part without.",
                  equal=True),
            Panel("What the readout would say along the flow", DEPTH,
                  Axis("probability of the outer ring", low=0, high=1),
                  [Paths("t", "outer0", role="train", label="inner ring"),
                   Paths("t", "outer1", role="test", label="outer ring"),
                   Line("now", "edge", role="neutral", label="depth shown"),
                   Rule(0.5, label="decision")],
                  alt="Probability that the readout gives to the outer ring, for 30 points of either ring, "
                      "along the depth of the flow. Both start mixed; training parts them, the inner ring "
                      "towards 0 and the outer one towards 1."),
            Panel("Points on the right side", Axis("Adam step"), Axis("share correct", low=0.4, high=1.02),
                  [Line("history.step", "history.accuracy", role="train", label="120 training points"),
                   Line("history.step", "history.fresh", role="test", label="300 fresh points"),
                   Rule(1.0, label="all")],
                  alt="Share of points on the right side of the readout's line over training steps, for "
                      "training points and fresh ones, with a dotted level at 1. In the plane the fresh ones "
                      "stay a little below it."),
            Panel("What the flow costs to solve", Axis("Adam step"), Axis("RK4 steps for error 0.001", low=0),
                  [Line("history.step", "history.needed", role="ode", label="estimate")],
                  alt="Estimated number of RK4 steps that an error of 0.001 asks for, over training steps: "
                      "it grows as the network learns, and further in the plane than with an extra channel.")])


def rings(turn: Tensor, inner: Tensor, outer: Tensor) -> Tensor:
    """Points at the angles ``turn`` (n, 1), in turns, and the radii inner (n, 1), then outer: (2n, 2)."""
    circle = torch.cat([torch.cos(2 * math.pi * turn), torch.sin(2 * math.pi * turn)], dim=1)
    return torch.cat([inner * circle, outer * circle])
