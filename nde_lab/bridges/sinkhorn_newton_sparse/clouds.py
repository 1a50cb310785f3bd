"""Two clouds of points and the entropic plan between them, sweep after sweep."""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.bridges.sinkhorn_newton_sparse.steps import error, sweep
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Points, View

PAPER = "sinkhorn-newton-sparse"


@experiment(paper=PAPER)
@dataclass(frozen=True)
class CloudPlan:
    """``n`` sources (a blob) and ``n`` targets (two blobs, or a ring) in the unit square, squared distance,
    equal masses. A step is one Sinkhorn sweep at the live eps (in squared units of the square).

    The plan is drawn as dotted lines: each source sends ``shares`` equal parts, each to the target at which the
    running sum of its row passes that part's level, so the dots on a line count the mass that takes it.
    """
    target: str = knob("ring", choices=("ring", "two blobs"), label="targets")
    live = {"eps": Knob(0.01, low=0.0005, high=0.5, scale="log", label="regularisation ε", restarts=True)}
    n, shares, dots = 14, 6, 14

    @property
    def plan(self):
        return Plan(80, advice="take a larger eps")

    def data(self):
        angle = 2 * torch.pi * torch.arange(self.n) / self.n
        if self.target == "ring":
            centre = torch.stack([0.5 + 0.42 * torch.cos(angle), 0.5 + 0.42 * torch.sin(angle)], 1)
        else:
            side = (torch.arange(self.n) % 2).float()
            centre = torch.stack([0.18 + 0.64 * side, 0.8 - 0.6 * side], 1)
        along = (torch.arange(self.dots) + 0.5) / self.dots
        return {"centre": centre, "log": torch.full((self.n,), 1 / self.n).log(), "along": along,
                "level": (torch.arange(self.shares) + 0.5) / self.shares}

    def draws(self):
        return Draws(start={"from": Normal((self.n, 2), loc=0.5, scale=0.1),
                            "jitter": Normal((self.n, 2), scale=0.06)})

    def init(self, data, start, live):
        a = start["from"]
        b = data["centre"] + start["jitter"] * (0.4 if self.target == "ring" else 1.0)
        cost = (a[:, None] - b[None]).square().sum(2)
        return {"a": a, "b": b, "L": -cost / live["eps"] + data["log"][:, None] * 2}

    def step(self, data, state, noise, live):
        L, mass = sweep(state["L"], data["log"], data["log"]), torch.exp(data["log"])
        return state | {"L": L}, {"error": error(L, mass, mass), "ok": torch.isfinite(L).all(1)}

    def observe(self, data, state, noise, live):
        a, b = state["a"], state["b"]
        row = torch.exp(state["L"] - state["L"].amax(1, keepdim=True))
        below = (row / row.sum(1, keepdim=True)).cumsum(1)[:, None] < data["level"][:, None]    # (n, shares, n)
        goal = below.to(a.dtype).sum(2).clamp(max=self.n - 1.0)
        hit = (goal[:, :, None] == torch.arange(float(self.n), device=a.device)).to(a.dtype)
        end = hit.reshape(-1, self.n) @ b                                                   # (n shares, 2)
        start = (a[:, None] + torch.zeros_like(data["level"])[None, :, None]).reshape(-1, 2)
        t = data["along"][:, None, None]
        path = ((1 - t) * start + t * end).reshape(-1, 2)
        return {"ax": a[:, 0], "ay": a[:, 1], "bx": b[:, 0], "by": b[:, 1], "px": path[:, 0], "py": path[:, 1]}

    def view(self):
        return View([
            Panel("Who goes where", Axis("first coordinate", low=0, high=1),
                  Axis("second coordinate", low=0, high=1),
                  [Points("px", "py", role="data", label="mass on its way"),
                   Points("ax", "ay", role="ode", label="sources"),
                   Points("bx", "by", role="test", label="targets")], equal=True,
                  alt="Sources in the middle of a square, targets around them, dotted lines between. With a "
                      "weak regularisation each source has one line or a few; with a strong one its lines fan "
                      "out to many targets."),
            Panel("How far the rows are off", Axis("Sinkhorn sweep", low=0, high=80),
                  Axis("marginal error", scale="log", low=1e-7, high=2),
                  [Line("history.step", "history.error", role="train", label="error")],
                  alt="Marginal error against sweeps, logarithmic: it falls steeply with a strong "
                      "regularisation and slowly with a weak one.")])
