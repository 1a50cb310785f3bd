"""The primer's two experiments: from a random walk to Brownian motion, and what the Ito integral integrates.

Both work on one fine grid of 256 intervals of [0, 1] and one fixed set of paths; the knob ``n`` says how many
equal intervals of that grid are looked at, so that moving it refines the picture of the *same* path.
Source: elementary stochastic calculus, e.g. Øksendal, "Stochastic Differential Equations", chapters 2 and 3.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Paths, View

PAPER = "stable-neural-sdes"      # the chapter whose primer this is
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


@experiment(paper=PAPER)
@dataclass(frozen=True)
class ItoIntegral:
    """The sum of W(t_i + alpha d) (W(t_i + d) - W(t_i)) over n intervals of length d = 1/n: which alpha?

    Its mean at time t is alpha t, and for n to infinity it tends to (W_t^2 - (1 - 2 alpha) t) / 2: the limit
    depends on where in its interval the integrand is read. alpha = 0 is Ito's integral (mean 0: the future is
    not known), alpha = 1/2 Stratonovich's (the usual chain rule). One seed, one path, whatever n and alpha.
    """
    n: int = knob(16, choices=CELLS, label="intervals n")
    live = {"alpha": Knob(0.0, low=0.0, high=1.0, label="read at α", help="0: left end (Ito), 1: right end")}
    paths = 1000

    @property
    def plan(self):
        return Plan(FINE, every=8)

    def data(self):
        index = torch.arange(FINE + 1, dtype=torch.float32)
        return {"grid": index / FINE, "index": index}

    def draws(self):
        scale = 1 / math.sqrt(FINE)
        normal = Normal((self.paths,), scale=scale)
        return Draws(step={"dW": normal, "bridge": normal})

    def init(self, data, start, live):
        zero = torch.zeros(self.paths)
        curve = torch.zeros(FINE + 1)
        return {"W": zero, "left": zero, "read": zero, "sum": zero, "k": torch.zeros(()), "path": curve,
                "stairs": curve, "one": curve, "mean": curve, "limit": curve, "mean_limit": curve}

    def step(self, data, state, noise, live):
        size, alpha, k, W = FINE // self.n, live["alpha"], state["k"], state["W"]
        new = W + noise["dW"]
        # ``share``: where the reading point lies in this fine interval, if it does. Given both ends, the path
        # between is a Brownian bridge, so its value there is normal with variance share (1 - share) / FINE.
        cell = torch.floor(k / size)
        offset = alpha * size - (k - cell * size)
        here, share = (offset >= 0) & (offset <= 1), torch.clamp(offset, 0.0, 1.0)
        value = W + share * noise["dW"] + (share * (1 - share)).sqrt() * noise["bridge"]
        read = torch.where(here, value, state["read"])
        k = k + 1
        ends = k - (cell + 1) * size >= 0
        total = torch.where(ends, state["sum"] + read * (new - state["left"]), state["sum"])
        left = torch.where(ends, new, state["left"])
        t, at, in_cell = k / FINE, data["index"] >= k, data["index"] >= cell * size
        limit = (new**2 - (1 - 2 * alpha) * t) / 2
        curves = {"path": held(new[0], at, state["path"]), "one": held(total[0], at, state["one"]),
                  "stairs": torch.where(in_cell & here, read[0], state["stairs"]),
                  "mean": held(total.mean(), at, state["mean"]),
                  "mean_limit": held(alpha * t, at, state["mean_limit"]),
                  "limit": held(limit[0], at, state["limit"])}
        return curves | {"W": new, "left": left, "read": read, "sum": total, "k": k}, {
            "t": t, "gap": (total - limit).square().mean().sqrt(), "ok": torch.isfinite(new)}

    def observe(self, data, state, noise, live):
        # The curves hold their present value from now on, and the times are folded onto now: no future is drawn.
        curves = ("path", "stairs", "one", "limit", "mean", "mean_limit")
        return {"t": torch.minimum(data["grid"], state["k"] / FINE)} | {name: state[name] for name in curves}

    def view(self):
        return View([
            Panel(f"One path, {self.n} intervals", TIME, Axis("W(t)"),
                  [Line("t", "path", role="sde", label="path W"),
                   Line("t", "stairs", role="accent", label="value read in each interval")],
                  alt="A jagged path and a staircase. In each interval the stair has the height of the path "
                      "at the reading point: left end for alpha 0, middle for 1/2, right end for 1."),
            Panel("The sum, and where it goes", TIME, Axis("sum of W dW up to t"),
                  [Line("t", "one", role="sde", label="this path's sum"),
                   Line("t", "limit", role="truth", label="(W² - (1-2α)t)/2"),
                   Line("t", "mean", role="neutral", label="mean of 1000 paths"),
                   Line("t", "mean_limit", role="ode", label="αt")],
                  alt="The sum for the path on the left, close to its dotted limit when there are many "
                      "intervals, and the mean over 1000 paths, close to the dashed line alpha times t: zero "
                      "for Ito, rising for any other reading point.")])
