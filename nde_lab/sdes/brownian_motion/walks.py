"""From a random walk to Brownian motion: jumps that shrink while their number grows, and what survives.

The walk lives on one fine grid of 256 intervals of [0, 1] and one fixed set of paths; the knob ``n`` says how
many equal intervals of that grid are looked at, so that moving it refines the picture of the *same* path.
Source: elementary stochastic calculus, e.g. Øksendal, "Stochastic Differential Equations", chapter 2.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.experiment import Draws, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Paths, View

PAPER = "on-neural-differential-equations"      # the thesis whose stochastic part this chapter prepares
FINE = 256                        # intervals of the fine grid
CELLS = (4, 16, 64, 256)           # few: the rendered page carries one program for each
TIME = Axis("time t", low=0, high=1)


def held(values, at, known):
    """Write ``values`` (...) into the columns of ``known`` (..., FINE + 1) where ``at`` (FINE + 1,) holds."""
    return torch.where(at, values[..., None], known)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class RandomWalk:
    """A walk with n jumps by time 1, each of standard deviation 1/sqrt(n): its limit is Brownian motion W.

    jumps "coin": +-1/sqrt(n); "normal": N(0, 1/n), the increments of W itself. Over [0, t] a walk makes n t
    jumps, so its variance is t. The sum of |jump| grows like sqrt(n), so the limit has infinite length; the
    sum of jump^2 stays near t (for coins it is t exactly), and its limit t is the quadratic variation of W.
    """
    n: int = knob(16, choices=CELLS, label="jumps n", help="jumps between time 0 and time 1")
    jumps: str = knob("coin", choices=("coin", "normal"), label="jumps")
    walks = 30

    @property
    def plan(self):
        return Plan(FINE, every=8)

    def data(self):
        return {"grid": torch.arange(FINE + 1) / FINE}

    def draws(self):
        return Draws(start={"z": Normal((FINE, self.walks))})

    def init(self, data, start, live):
        size = FINE // self.n
        jump = start["z"].reshape(self.n, size, -1).sum(1) / math.sqrt(FINE)
        if self.jumps == "coin":
            jump = torch.sign(jump) / math.sqrt(self.n)
        none = torch.zeros(1, self.walks)
        # Between jumps the walk stands still: at point k of the fine grid it has made floor(k / size) jumps.
        at = torch.arange(FINE + 1) // size
        walk, length, squares = (torch.cat([none, j.cumsum(0)])[at].T
                                 for j in (jump, jump.abs(), jump.square()))
        return {"walk": walk, "length": length, "squares": squares, "k": torch.zeros(())}

    def step(self, data, state, noise, live):
        k = state["k"] + 1
        return state | {"k": k}, {"t": k / FINE, "ok": torch.isfinite(k)}

    def observe(self, data, state, noise, live):
        # The time beyond "now" is folded onto now: nothing of the future is drawn, and shapes stay fixed.
        grid = data["grid"]
        seen = torch.minimum(torch.arange(FINE + 1), state["k"].long())
        t = grid[seen]
        edge = 2 * grid.sqrt()
        return {"t": t, "walk": state["walk"][:, seen], "length": state["length"][:, seen].mean(0),
                "squares": state["squares"][:, seen], "grid": grid, "up": edge, "down": -edge}

    def view(self):
        return View([
            Panel(f"30 walks of {self.n} jumps", TIME, Axis("position W(t)", low=-3.2, high=3.2),
                  [Paths("t", "walk", role="sde", label="walks"),
                   Line("grid", "up", role="truth", label="±2√t"), Line("grid", "down", role="truth")],
                  alt="Thirty random walks leave zero and fan out; nearly all stay between two dotted "
                      "parabolas, plus and minus two times the square root of time, however many jumps they "
                      "make."),
            Panel("How far did they walk?", TIME,
                  Axis("sum over jumps up to t", scale="log", low=0.05, high=20),
                  [Line("t", "length", role="ode", label="sum of |jump|, mean"),
                   Paths("t", "squares", role="sde", label="sum of jump²"),
                   Line("grid", "grid", role="truth", label="t")],
                  alt="Two sums over the jumps on a log axis. The sum of absolute jumps rises with the "
                      "number of jumps, to 4 at 16 coin flips and to 16 at 256. The sums of squared jumps "
                      "stay on the dotted curve t.")])
