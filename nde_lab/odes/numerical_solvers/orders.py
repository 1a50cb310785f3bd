"""Halve the step: what happens to the error? Fixed steps of four methods, all step counts at once.

Source of the orders: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I" (1993), section II.3.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.experiment import Knob, experiment, knob
from nde_lab.figures import Figure
from nde_lab.odes.numerical_solvers.stiffness import PAPER
from nde_lab.solvers import TABLEAUS, rk_step
from nde_lab.views import Axis, Bars, Line, Panel, Points, View

METHODS = ("euler", "midpoint", "rk4", "dopri5")
ROLES = {"euler": "test", "midpoint": "ode", "rk4": "accent", "dopri5": "neutral"}
NAMES = {"euler": "Euler", "midpoint": "midpoint", "rk4": "RK4", "dopri5": "Dormand-Prince"}
SPAN = 6.0
KINK = 0.37                     # reached at t = 37/30, which lies between the steps of every N here
FLOOR = 1e-9                    # no error is drawn smaller: an exact zero has no place on a log axis


def oscillator(t, y: Tensor) -> Tensor:
    """y'' = -y as a system, (B, 2)."""
    return torch.stack([y[:, 1], -y[:, 0]], -1)


def logistic(t, y: Tensor) -> Tensor:
    """y' = y (1 - y), in the first of two coordinates, (B, 2)."""
    return y * (1 - y)


def kinked(t, y: Tensor) -> Tensor:
    """y' = 0.3 + 0.25 relu(y - KINK), (B, 2): the slope of this field jumps at KINK, as with a ReLU network."""
    return 0.3 + 0.25 * torch.relu(y - KINK)


def exact(problem: str, t: Tensor) -> Tensor:
    """The state (n, 2) at times t (n,) from the start of ``START``."""
    if problem == "oscillator":
        return torch.stack([torch.cos(t), -torch.sin(t)], -1)
    if problem == "logistic":
        y = 1 / (1 + 9 * torch.exp(-t))
    else:
        after = (t - KINK / 0.3).clamp(min=0.0)
        y = torch.where(after > 0, KINK + 1.2 * torch.expm1(0.25 * after), 0.3 * t)
    return torch.stack([y, y], -1)


FIELDS = {"oscillator": oscillator, "logistic": logistic, "kinked": kinked}
START = {"oscillator": (1.0, 0.0), "logistic": (0.1, 0.1), "kinked": (0.0, 0.0)}
RANGES = {"oscillator": (-1.6, 1.6), "logistic": (0.0, 1.1), "kinked": (0.0, 3.5)}


def march(f, y0: Tensor, counts: Tensor, span: float, turns: Tensor, methods=METHODS):
    """Every method with every number of steps at once: row i takes counts[i] equal steps over ``span``, then
    waits.

    y0: (B, D). counts: (B,) whole numbers as floats. turns: 0 .. max(counts) - 1, (n,). Returns (final states,
    one (B, D) per method, and all states of the first coordinate, one (n, B) per method).
    """
    n = counts[:, None]
    h = span / n

    def body(states, k):
        new = [torch.where(k < n, rk_step(f, k * h, y, h, TABLEAUS[m]).y, y)
               for m, y in zip(methods, states, strict=True)]
        return new, [y[:, 0] for y in new]

    return loop(body, [y0] * len(methods), turns)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class Orders(Figure):
    """Error at t = 6 (root mean square of two coordinates) against the number of steps N, in float32.

    A method of order p has an error close to C h^p, so halving h divides it by 2^p: a straight line of slope -p
    on log axes, until rounding, about 1e-7 of y per step, takes over. "kinked" has a field with a kink, and the
    orders above 2 are gone. The bars compare N with 2N: log2 of the ratio of their errors.
    """
    problem: str = knob("oscillator", choices=tuple(FIELDS), label="problem")
    live = {"N": Knob(16, low=6, high=64, scale="log", label="steps N")}
    counts = (6, 8, 12, 16, 24, 32, 48, 64, 96, 128)

    def data(self):
        return {"counts": torch.tensor(self.counts, dtype=torch.float32), "k": torch.arange(128.0),
                "fine": torch.linspace(0, SPAN, 241), "start": torch.tensor([START[self.problem]]),
                "bars": torch.arange(4.0)}

    def observe(self, data, state, noise, live):
        N = live["N"].round()
        counts = torch.cat([torch.stack([N, 2 * N]), data["counts"]])
        y0 = data["start"] + 0 * counts[:, None]
        ends, paths = march(FIELDS[self.problem], y0, counts, SPAN, data["k"])
        truth = exact(self.problem, torch.full_like(counts, SPAN))
        t = torch.clamp((data["k"] + 1) / N, max=1.0) * SPAN       # what comes after the last step stays there
        zero = torch.zeros(1)
        out = {"t": torch.cat([zero, t]), "fine": data["fine"],
               "exact": exact(self.problem, data["fine"])[:, 0],
               "counts": data["counts"], "bars": data["bars"], "both": counts[:2]}
        slopes = []
        for m, end, path in zip(METHODS, ends, paths, strict=True):
            error = (end - truth).square().mean(-1).sqrt().clamp(min=FLOOR)
            out |= {f"error_{m}": error[2:], f"here_{m}": error[:2],
                    f"cost_{m}": TABLEAUS[m].new_evaluations * data["counts"],
                    f"path_{m}": torch.cat([data["start"][0, :1], path[:, 0]])}
            slopes.append(torch.log2(error[0] / error[1]))
        return out | {"slopes": torch.stack(slopes).clamp(-1.0, 7.0)}

    def view(self):
        shown = METHODS[:3]
        lines = [Line("counts", f"error_{m}", role=ROLES[m], label=NAMES[m]) for m in METHODS]
        here = [Points("both", f"here_{m}", role=ROLES[m]) for m in METHODS]
        return View([
            Panel(f"{self.problem}: N steps up to t = 6", Axis("time t", low=0, high=SPAN),
                  Axis("y", "linear", *RANGES[self.problem]),
                  [Line("fine", "exact", role="truth", label="exact"),
                   *(Line("t", f"path_{m}", role=ROLES[m], label=NAMES[m]) for m in shown)],
                  alt="The exact solution and three numerical ones of N steps each. With few steps Euler "
                      "leaves the exact curve and the midpoint method stays near it; RK4 is hardly told "
                      "apart from it."),
            Panel("Error at t = 6, halved when?", Axis("steps N", scale="log", low=5, high=150),
                  Axis("error", scale="log", low=1e-8, high=10), [*lines, *here],
                  alt="Error against the number of steps on log axes: straight lines that fall with slopes "
                      "1, 2, 4 and 5, the steep ones down to a rough floor near one ten-millionth, the "
                      "rounding of float32. Points mark N and 2N."),
            Panel("Measured order: log₂ of error(N) / error(2N)", Axis(""), Axis("order", low=-1, high=6.5),
                  [Bars("bars", "slopes", role="ode", names=("Euler", "midpoint", "RK4", "DP"))],
                  alt="Four bars, the orders measured between N and 2N steps: near 1, 2, 4 and 5 on a smooth "
                      "problem while errors are above the floor; near zero or at random on it."),
            Panel("The same errors, by cost", Axis("evaluations of f", scale="log", low=5, high=1000),
                  Axis("error", scale="log", low=1e-8, high=10),
                  [Line(f"cost_{m}", f"error_{m}", role=ROLES[m], label=NAMES[m]) for m in METHODS],
                  alt="The same errors against the number of evaluations of the right-hand side, one per "
                      "step for Euler and two, four and six for the others. For an error of a thousandth on "
                      "a smooth problem the methods of higher order are the cheapest all the same.")])
