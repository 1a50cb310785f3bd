"""Two figures on adjoints: the error of the gradient against the number of steps, and a start that cannot be
found again.

Source: Kidger, "On Neural Differential Equations", 2022, arXiv 2202.02435, chapter 5.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.autodiff import loop
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.odes.neural_odes import adjoints
from nde_lab.random import Normal, Uniform
from nde_lab.solvers import TABLEAUS, rk_step
from nde_lab.views import Axis, Line, Panel, Points, Rule, View

PAPER = "on-neural-differential-equations"
WIDTHS = (8, 32)              # of the state and of the hidden layer
COUNTS = (5, 7, 10, 14, 20, 28, 40, 56, 80)
GAP = 1e-7                    # the smallest distance drawn
FLOOR = 3e-9                  # a difference of exactly 0 is drawn here: a log axis has no place for it


def tanh_field(params, y):
    """f(y) = tanh(y w1 + b1) w2 + b2; y (B, d) -> (B, d)."""
    return torch.tanh(y @ params["w1"] + params["b1"]) @ params["w2"] + params["b2"]


def tanh_draws(d: int = WIDTHS[0], width: int = WIDTHS[1]) -> dict:
    """The start of ``tanh_field``: uniform on +-1/sqrt(inputs) of each layer."""
    one, two = 1 / math.sqrt(d), 1 / math.sqrt(width)
    return {"w1": Uniform((d, width), -one, one), "b1": Uniform((width,), -one, one),
            "w2": Uniform((width, d), -two, two), "b2": Uniform((d,), -two, two)}


def half_square(y):
    """The loss of the gradient studies: half the sum of squares."""
    return y.square().sum() / 2


@experiment(paper=PAPER)
@dataclass(frozen=True)
class GradientErrors:
    """How far three gradients are from what they should be, against the number of steps N on [0, T].

    The field is a random tanh network 8 -> 32 -> 8, the batch 16, the loss half the sum of squares at T.
    "wrong": backpropagation through the chosen scheme against the exact gradient (RK4 with 160 steps).
    "adjoint": the continuous adjoint, solved backwards with the same steps, against backpropagation through
    the same steps. "reversible": the reversible Heun adjoint against backpropagation through reversible Heun.
    float32, so rounding ends every curve near 1e-7; the claims measure the same in float64. One step of the
    run is one N.
    """
    method: str = knob("midpoint", choices=adjoints.SCHEMES, label="scheme")
    live = {"horizon": Knob(1.0, low=0.5, high=4.0, label="horizon T", restarts=True),
            "scale": Knob(1.0, low=0.5, high=3.0, label="field strength", help="multiplies the field",
                          restarts=True)}
    plan = Plan(len(COUNTS), advice="shorten the horizon T or lower the field strength")
    batch, fine = 16, 160

    def data(self):
        return {"counts": torch.tensor(COUNTS, dtype=torch.float32)}

    def draws(self):
        return Draws(start={**tanh_draws(), "y0": Normal((self.batch, WIDTHS[0]))})

    def init(self, data, start, live):
        return {**{n: start[n] for n in (*tanh_draws(), "y0")}, "turn": torch.zeros(()),
                "n": torch.zeros(len(COUNTS)), "wrong": torch.zeros(len(COUNTS)),
                "adjoint": torch.zeros(len(COUNTS)), "reversible": torch.zeros(len(COUNTS))}

    def step(self, data, state, noise, live):
        params, y0 = {n: state[n] for n in tanh_draws()}, state["y0"]
        turn = state["turn"].clamp(max=len(COUNTS) - 1.0)        # beyond the last N it is measured again
        at = torch.arange(len(COUNTS)) == turn
        n = torch.where(at, data["counts"], 0.0).sum()

        def f(p, y):
            return live["scale"] * tanh_field(p, y)

        few = adjoints.steps(n, live["horizon"], COUNTS[-1])
        many = adjoints.steps(float(self.fine), live["horizon"], self.fine)
        exact = adjoints.discretise_then_optimise(f, params, y0, many, loss=half_square, method="rk4")
        dto = adjoints.discretise_then_optimise(f, params, y0, few, loss=half_square, method=self.method)
        otd, _ = adjoints.optimise_then_discretise(f, params, y0, few, loss=half_square, method=self.method)
        through = adjoints.reversible_by_backpropagation(f, params, y0, few, loss=half_square)
        undone, _ = adjoints.reversible(f, params, y0, few, loss=half_square)
        found = {"n": n, "wrong": adjoints.difference(dto, exact), "adjoint": adjoints.difference(otd, dto),
                 "reversible": adjoints.difference(undone, through)}
        # What is not measured yet lies on the newest point, so that nothing of it is seen.
        curves = {k: torch.where(torch.arange(len(COUNTS)) >= turn, v.clamp(min=FLOOR), state[k])
                  for k, v in found.items()}
        return {**params, "y0": y0, "turn": turn + 1, **curves}, {
            **{k: v.clamp(min=FLOOR) for k, v in found.items()}, "ok": torch.isfinite(found["adjoint"])}

    def observe(self, data, state, noise, live):
        done = state["turn"] > 0
        curves = {k: torch.where(done, state[k], 1.0) for k in ("n", "wrong", "adjoint", "reversible")}
        return curves      # before the first step: the point (1, 1), left of the picture

    def view(self):
        names = {"wrong": ("test", "error of the scheme itself"),
                 "adjoint": ("ode", "continuous adjoint: off by"),
                 "reversible": ("accent", "reversible Heun's adjoint: off by")}
        return View([Panel(
            f"Relative error of the gradient, {self.method}", Axis("number of steps N", scale="log", low=4,
                                                                   high=100),
            Axis("relative error", scale="log", low=1e-9, high=1.0),
            [m for k, (role, label) in names.items()
             for m in (Line("n", k, role=role, label=label), Points("n", k, role=role))]
            + [Rule(6e-8, label="rounding of float32")],
            alt="Relative error of the gradient against the number of steps, both axes logarithmic. The "
                "scheme's own error and the error of the continuous adjoint fall as straight lines with the "
                "order of the scheme. The adjoint of reversible Heun lies on the level of rounding for every "
                "number of steps.")], columns=1)


def lorenz(y, constants=(10.0, 28.0, 8 / 3)):
    """The Lorenz field; y (..., 3) -> (..., 3). constants: sigma, rho, beta, three numbers or a tensor
    (3,)."""
    a, b, c = y.unbind(-1)
    return torch.stack([constants[0] * (b - a), a * (constants[1] - c) - b, a * b - constants[2] * c], dim=-1)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LorenzBackward:
    """Solve the Lorenz equations to T, forget the way, and solve them back from the end: is that the start?

    RK4 with the same 240 steps there and back, once from the end alone, once with the states of ``kept``
    moments kept on the way there, from which the way back starts afresh. Forwards, volumes shrink by e^{-13.7
    t}; backwards the direction that shrank blows up whatever is wrong, first of all rounding. A path that has
    left the picture (|y| > 200) is stopped. One step of the run is 4 steps back in time.
    """
    live = {"horizon": Knob(1.0, low=0.2, high=4.0, label="horizon T", restarts=True),
            "kept": Knob(4, low=0, high=20, label="checkpoints", help="states kept on the way there",
                         restarts=True)}
    turns, inner, edge = 240, 4, 200.0

    @property
    def plan(self):
        return Plan(self.points - 1)

    @property
    def points(self) -> int:
        """Points of the way back."""
        return self.turns // self.inner + 1

    def data(self):
        return {"y0": torch.tensor([-8.0, 8.0, 27.0])}

    def draws(self):
        return Draws()

    def init(self, data, start, live):
        y0 = data["y0"]

        def move(y, h):
            y = _lorenz_step(y, h)
            return y, y

        end, path = loop(move, y0, live["horizon"] / self.turns * torch.ones(self.turns))
        ends = torch.stack([end, end])
        return {"path": torch.cat([y0[None], path]), "y": ends, "k": torch.zeros(()),
                "back": ends.expand(self.points, 2, 3) + 0.0,
                "gap": torch.full((self.points, 2), GAP)}

    def step(self, data, state, noise, live):
        hs = -live["horizon"] / self.turns * torch.ones(self.inner)

        def move(y, h):      # beyond the edge a path stays where it is
            return torch.where(y.abs().amax(-1, keepdim=True) < self.edge, _lorenz_step(y, h), y), None

        y, _ = loop(move, state["y"], hs)
        last = self.points - 1
        k = (state["k"] + 1).clamp(max=last)                         # at the start it stays
        there = state["path"][(self.turns - self.inner * k).clamp(min=0).long().reshape(1)]      # (1, 3)
        gap = (y - there).square().sum(-1).sqrt().clamp(min=GAP)
        later = torch.arange(self.points) >= k
        new = {"path": state["path"], "k": k, "back": torch.where(later[:, None, None], y, state["back"]),
               "gap": torch.where(later[:, None], gap, state["gap"])}
        segments = live["kept"] + 1
        fresh = torch.floor(k * segments / last) > torch.floor((k - 1) * segments / last)
        new["y"] = torch.stack([y[0], torch.where(fresh, there[0], y[1])])
        t = live["horizon"] * (1 - k / last)
        return new, {"t": t, "gap": gap[0], "gap_kept": gap[1], "ok": torch.isfinite(y)}

    def observe(self, data, state, noise, live):
        last = self.points - 1
        now = torch.minimum(torch.arange(self.points).to(torch.float32), state["k"])
        return {"t": live["horizon"] * torch.arange(self.turns + 1) / self.turns, "x": state["path"][:, 0],
                "back_t": live["horizon"] * (1 - now / last),
                "x_back": state["back"][:, 0, 0], "x_kept": state["back"][:, 1, 0],
                "gap": state["gap"][:, 0], "gap_kept": state["gap"][:, 1],
                "start_t": torch.zeros(1), "start": data["y0"][:1]}

    def view(self):
        way = Panel("There, and back from the end", Axis("time t"), Axis("x", low=-30, high=30),
                    [Line("t", "x", role="truth", label="there"),
                     Line("back_t", "x_back", role="test", label="back"),
                     Line("back_t", "x_kept", role="ode", label="back, with checkpoints"),
                     Points("start_t", "start", role="data", label="start")],
                    alt="First coordinate of a Lorenz path over time, dotted, and two paths solved back from "
                        "its end, drawn from right to left. With checkpoints the way back lies on the way "
                        "there. Without, it does so for a short horizon, and for a longer one it leaves, "
                        "and does not come near the start.")
        gap = Panel("Distance between the way back and the way there", Axis("time t"),
                    Axis("distance", scale="log", low=GAP, high=1e3),
                    [Line("back_t", "gap", role="test", label="back"),
                     Line("back_t", "gap_kept", role="ode", label="back, with checkpoints")],
                    alt="Distance of the two backward paths from the path there over time, on a log axis. "
                        "From right to left the distance of the one without checkpoints rises as a straight "
                        "line, by about e^14 per unit of time; the other one falls back at every checkpoint.")
        return View([way, gap])


def _lorenz_step(y, h):
    return rk_step(lambda t, y: lorenz(y), 0.0, y, h, TABLEAUS["rk4"]).y
