"""Steps that choose themselves: a comet that needs short ones for an hour in a century, and a pulse that is
missed.

Source of the method: Hairer, Norsett, Wanner, "Solving Ordinary Differential Equations I" (1993), section II.4.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.experiment import Knob, experiment, knob
from nde_lab.figures import Figure
from nde_lab.odes.numerical_solvers.orders import march
from nde_lab.odes.numerical_solvers.stiffness import PAPER
from nde_lab.solvers import TABLEAUS, integrate_adaptive
from nde_lab.views import Axis, Bars, Line, Panel, Points, View

YEAR = 2 * math.pi
HIDDEN = 1e-9                   # below every axis: what is not to be drawn is put there


def gravity(t, y: Tensor) -> Tensor:
    """r'' = -r / |r|^3 for (position, velocity), (B, 4)."""
    r = y[:, :2]
    distance = r.square().sum(-1, keepdim=True).sqrt()
    return torch.cat([y[:, 2:], -r / (distance * distance * distance)], -1)


def aphelion(eccentricity: Tensor) -> Tensor:
    """The state farthest from the sun, of the orbit with half axis 1: (4,). Its period is 2 pi."""
    zero = 0 * eccentricity
    return torch.stack([1 + eccentricity, zero, zero, torch.sqrt((1 - eccentricity) / (1 + eccentricity))])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class Comet(Figure):
    """One year of a comet by Dormand-Prince 5(4) with chosen steps, and by equal steps of the same method.

    After a period the comet is back where it started, so the distance from there is the error. A step is
    accepted if its estimated error is below tol (1 + |y|); the next one is 0.9 q^(-1/5) times as long, q =
    estimate / bound. Six more tolerances run beside the reader's, each row with a clock of its own.
    """
    live = {"tol": Knob(1e-3, low=1e-5, high=1e-1, scale="log", label="tolerance"),
            "e": Knob(0.8, low=0.0, high=0.9, label="eccentricity", help="0: a circle; near 1: a long ellipse")}
    turns, equal, method = 120, (12, 16, 24, 32, 48, 64, 96), "dopri5"
    tolerances = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)

    def data(self):
        turn = torch.linspace(0, YEAR, 181)
        return {"turn": turn, "tolerances": torch.tensor(self.tolerances),
                "k": torch.arange(float(self.equal[-1])),
                "counts": torch.tensor(self.equal, dtype=torch.float32), "bars": torch.arange(3.0),
                "sun": torch.zeros(1)}

    def observe(self, data, state, noise, live):
        e, turn = live["e"], data["turn"]
        tolerance = torch.cat([live["tol"][None], data["tolerances"]])[:, None]
        start = aphelion(e)
        y0 = start + 0 * tolerance
        found = integrate_adaptive(gravity, y0, 0.0, YEAR, turns=self.turns, rtol=tolerance, atol=tolerance,
                                   method=self.method)
        ends, _ = march(gravity, start + 0 * data["counts"][:, None], data["counts"], YEAR, data["k"],
                        (self.method,))

        def miss(y):
            return (y[:, :2] - start[:2]).square().sum(-1).sqrt().clamp(min=1e-7, max=1e3)

        h, seen = found.turns.h[:, 0], found.turns
        tried = h > 0
        accept, error = seen.accept[:, 0] & tried, miss(found.y)
        evaluations = found.evaluations.to(e.dtype)
        low = HIDDEN * torch.ones_like(h)
        return {"orbit_x": e + torch.cos(turn), "orbit_y": torch.sqrt(1 - e * e) * torch.sin(turn),
                "x": torch.cat([seen.y[:, 0, 0], found.y[:1, 0]]),
                "y": torch.cat([seen.y[:, 0, 1], found.y[:1, 1]]),
                "t": seen.t[:, 0], "accepted": torch.where(accept, h, low),
                "rejected": torch.where(tried & ~accept, h, low),
                "cost": evaluations[1:], "error": error[1:], "my_cost": evaluations[:1], "my_error": error[:1],
                "equal_cost": TABLEAUS[self.method].new_evaluations * data["counts"],
                "equal_error": miss(ends[0]),
                "bars": data["bars"], "sun": data["sun"],
                "counts": torch.stack([found.accepted[0], found.rejected[0], found.evaluations[0]]).to(e.dtype)}

    def view(self):
        return View([
            Panel("A year of the comet: one mark per step", Axis("x", low=-1.2, high=2.0),
                  Axis("y", low=-1.6, high=1.6),
                  [Line("orbit_x", "orbit_y", role="truth", label="exact orbit"),
                   Points("x", "y", role="ode", label="steps"), Points("sun", "sun", role="sde", label="sun")],
                  alt="An ellipse around the sun with the points where steps ended: far apart on "
                      "the slow outer side, crowded where the comet rushes past the sun. On a "
                      "circle they are evenly spaced.", equal=True),
            Panel("Length of the steps", Axis("time t", low=0, high=YEAR),
                  Axis("step h", scale="log", low=5e-3, high=5.0),
                  [Points("t", "accepted", role="ode", label="accepted"),
                   Points("t", "rejected", role="test", label="rejected")],
                  alt="Step lengths over the year on a log axis: they fall by a factor of ten or more on the "
                      "way to the sun and rise again after it. Rejected tries lie where the steps have to "
                      "shrink."),
            Panel("What it took", Axis(""), Axis("number", low=0, high=400),
                  [Bars("bars", "counts", role="ode", names=("accepted", "rejected", "evaluations"))],
                  alt="Three bars: accepted steps, rejected steps, and evaluations of the right-hand side, "
                      "about six for every tried step."),
            Panel("Error for the price", Axis("evaluations of f", scale="log", low=10, high=1000),
                  Axis("distance from the start", scale="log", low=1e-6, high=30),
                  [Line("equal_cost", "equal_error", role="test", label="equal steps"),
                   Line("cost", "error", role="ode", label="chosen steps"),
                   Points("my_cost", "my_error", role="accent", label="your tolerance")],
                  alt="Error against evaluations on log axes. For a long ellipse the curve of the chosen "
                      "steps lies orders of magnitude below that of equal steps; for a circle the two are "
                      "close.")])


def injection(t, y: Tensor, at: float, width) -> Tensor:
    """y' = -y / 2 + a pulse of area 1 at time ``at``, shaped like a normal density of this width; (B, 1)."""
    x = (t - at) / width
    return -0.5 * y + torch.exp(-0.5 * x * x) / (width * math.sqrt(2 * math.pi))


def injection_exact(t, at: float, width) -> Tensor:
    """Its solution from y(0) = 0, up to the part of the pulse before time 0."""
    x = (t - at) / width
    front = 0.5 * (1 + torch.erf((x - 0.5 * width) / math.sqrt(2)))
    return torch.exp(width * width / 8 - 0.5 * (t - at)) * front


@experiment(paper=PAPER)
@dataclass(frozen=True)
class MissedPulse(Figure):
    """A dose is given at t = 6, nothing happens before: the error estimate is zero, so the steps grow tenfold
    each.

    An estimate is made of the values that were asked for. If no stage falls into the pulse, every estimate says
    zero and the solver arrives, content, with y = 0. ``told``: the solve is stopped and started again at the
    pulse.
    """
    told: bool = knob(False, choices=(False, True), label="stop at the pulse")
    live = {"width": Knob(0.5, low=0.02, high=2.0, scale="log", label="width of the pulse", unit="time"),
            "tol": Knob(1e-4, low=1e-6, high=1e-1, scale="log", label="tolerance")}
    turns, horizon, at = 60, 12.0, 6.0

    def data(self):
        return {"fine": torch.linspace(0, self.horizon, 481), "one": torch.ones(1),
                "widths": torch.logspace(math.log10(0.02), math.log10(2.0), 41)}

    def observe(self, data, state, noise, live):
        fine, tol = data["fine"], live["tol"]
        width = torch.cat([live["width"][None], data["widths"]])[:, None]
        field = lambda t, y: injection(t, y, self.at, width)      # noqa: E731
        stops = (0.0, self.at, self.horizon) if self.told else (0.0, self.horizon)
        y, t_seen, y_seen = 0 * width, [], []
        for start, end in zip(stops, stops[1:], strict=False):
            part = integrate_adaptive(field, y, start, end, turns=self.turns, rtol=tol, atol=tol)
            y = part.y
            t_seen += [part.turns.t[:, 0], end * data["one"]]
            y_seen += [part.turns.y[:, 0, 0], y[0]]
        exact = injection_exact(torch.full_like(width, self.horizon), self.at, width)
        error = (y - exact).abs().clamp(min=1e-8)
        return {"fine": fine, "exact": injection_exact(fine, self.at, live["width"]), "t": torch.cat(t_seen),
                "y": torch.cat(y_seen), "widths": data["widths"], "error": error[1:, 0],
                "asked": tol * torch.ones_like(data["widths"]), "width": live["width"][None],
                "my_error": error[0]}

    def view(self):
        return View([
            Panel("A dose at t = 6", Axis("time t", low=0, high=self.horizon), Axis("y", low=-0.1, high=1.2),
                  [Line("fine", "exact", role="truth", label="exact"),
                   Line("t", "y", role="ode", label="solver"),
                   Points("t", "y", role="ode")],
                  alt="The exact solution is zero, jumps up at six and decays. With a wide pulse the "
                      "solver's marks follow it; with a narrow one the solver steps from before the pulse to "
                      "behind it and stays at zero."),
            Panel("Error at the end, for every width",
                  Axis("width of the pulse", scale="log", low=0.015, high=2.5),
                  Axis("error at t = 12", scale="log", low=1e-8, high=1),
                  [Line("widths", "error", role="ode", label="true error"),
                   Line("widths", "asked", role="truth", label="tolerance"),
                   Points("width", "my_error", role="test", label="your width")],
                  alt="True error against the width of the pulse. For wide pulses it lies near the "
                      "tolerance. Below some width it is the whole solution, 0.05, although the solver "
                      "reports success.")])
