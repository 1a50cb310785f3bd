"""Two classes in the plane, a clock per point: which starts are dear, and what a penalty does to them."""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab import autodiff, optimizers
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.odes.opening_the_blackbox.heuristics import PENALTIES, penalty, solve
from nde_lab.odes.opening_the_blackbox.stack import Stack
from nde_lab.odes.opening_the_blackbox.shared import NFE_AXIS, STEPS_AXIS, finite
from nde_lab.random import Normal, Uniform
from nde_lab.views import Axis, HeatMap, Line, Panel, Points, View

BATCH, TURNS, GRID, SHOWN = 32, 12, 14, 80
MEMORY = 0.9          # the accuracy curve is a running mean over about ten batches


def moons_draws(n: int) -> dict:
    """Declared tensors of ``moons``: n points."""
    return {"angle": Uniform((n,), 0.0, math.pi), "side": Uniform((n,)), "noise": Normal((n, 2), scale=0.1)}


def moons(angle: Tensor, side: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
    """Two interleaved half circles of radius 1, centred: points (n, 2) and their class 0.0 or 1.0, (n,)."""
    second = side >= 0.5
    x = torch.where(second, 1 - torch.cos(angle), torch.cos(angle)) - 0.5
    y = torch.where(second, 0.5 - torch.sin(angle), torch.sin(angle)) - 0.25
    return torch.stack([x, y], -1) + noise, second.to(x.dtype)


def losses(score: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Logistic loss and accuracy of every copy: score (N, B), label (B,) of 0.0 and 1.0 -> (N,), (N,)."""
    margin = score * (2 * label - 1)
    loss = torch.log1p(torch.exp(-margin.abs())) + torch.relu(-margin)
    return loss.mean(1), (margin > 0).to(score.dtype).mean(1)


@experiment(paper="opening-the-blackbox-solver-heuristics")
@dataclass(frozen=True)
class MoonsTwins:
    """Two copies of a neural ODE in the plane separate two half moons, the second under a penalty. 32 fresh
    points a step, so accuracy on them before the update is test accuracy. Adam 2e-2, dopri5, a clock per point,
    at most 12 tried steps."""
    kind: str = knob("error", choices=PENALTIES, label="penalty")
    live = {"lam": Knob(1.0, low=1e-3, high=10.0, scale="log", label="penalty λ",
                        help="the second network's; the first has 0"),
            "rtol": Knob(1e-4, low=1e-5, high=1e-2, scale="log", label="tolerance",
                         help="rtol = atol of the solver"),
            "scale": Knob(5.0, low=1.0, high=8.0, label="speed s", help="largest speed of the field")}
    plan = Plan(100, every=2, advice="lower the speed s")
    stack = Stack(2, 2, wiggle=4.0)

    def data(self):
        side = torch.linspace(-1.75, 1.75, GRID)
        grid = torch.stack([side.repeat(GRID), side.repeat_interleave(GRID)], 1)
        return {"side": side, "grid": grid, "weights": torch.tensor([0.0, 1.0])}

    def draws(self):
        return Draws(start=self.stack.draws, step=moons_draws(BATCH), observe=moons_draws(SHOWN))

    def init(self, data, start, live):
        params = self.stack.init(start)
        return params | optimizers.adam_state(params) | {"seen": torch.full((2,), 0.5)}

    def step(self, data, state, noise, live):
        stack = self.stack
        x, label = moons(noise["angle"], noise["side"], noise["noise"])

        def loss(params):
            solved = solve(stack.field(params, live["scale"]), stack.rows(x), rtol=live["rtol"], turns=TURNS)
            value, right = losses(stack.score(params, solved.y), label)
            asked = live["lam"] * (data["weights"] * stack.mean(penalty(solved, self.kind))).sum()
            return value.sum() + asked, (right, stack.mean(solved.evaluations))

        old = stack.params(state)
        (_, (right, nfe)), grads = autodiff.value_and_grad(loss, old, has_aux=True)
        params, adam = optimizers.adam(old, grads, state, lr=2e-2)
        seen = MEMORY * state["seen"] + (1 - MEMORY) * right
        return params | adam | {"seen": seen}, {"nfe": nfe[0], "nfe_eased": nfe[1], "right": seen[0],
                                                "right_eased": seen[1], "ok": finite(params)}

    def observe(self, data, state, noise, live):
        stack, params = self.stack, self.stack.params(state)
        x, label = moons(noise["angle"], noise["side"], noise["noise"])
        solved = solve(stack.field(params, live["scale"]), stack.rows(data["grid"]), rtol=live["rtol"],
                       turns=TURNS)
        nfe = solved.evaluations.reshape(2, GRID, GRID).to(x.dtype)
        # Points of the other class wait outside the picture: a mark draws one cloud.
        first, second = (torch.where(mine[:, None], x, 9 + 0 * x) for mine in (label < 0.5, label > 0.5))
        return {"side": data["side"], "cost": nfe[0], "cost_eased": nfe[1], "x0": first[:, 0], "y0": first[:,
                                                                                                           1],
                "x1": second[:, 0], "y1": second[:, 1]}

    def view(self):
        def cost(title, name, alt):
            return Panel(title, Axis("first coordinate of the start", low=-1.75, high=1.75),
                         Axis("second coordinate", low=-1.75, high=1.75),
                         [HeatMap(name, "side", "side", label="NFE", low=13, high=61),
                          Points("x0", "y0", role="data", label="class 0"),
                          Points("x1", "y1", role="test", label="class 1")], alt=alt, equal=True)
        return View([
            Panel("What a solve costs", STEPS_AXIS, NFE_AXIS,
                  [Line("history.step", "history.nfe", role="train", label="fit only"),
                   Line("history.step", "history.nfe_eased", role="accent", label="with the penalty")],
                  alt="Mean function evaluations per solve over training. With the fit only they stay high; "
                      "with "
                      "the penalty they fall."),
            Panel("How often it is right", STEPS_AXIS, Axis("accuracy on fresh points", low=0.4, high=1.0),
                  [Line("history.step", "history.right", role="train", label="fit only"),
                   Line("history.step", "history.right_eased", role="accent", label="with the penalty")],
                  alt="Running accuracy on fresh points over training. With a moderate penalty both curves "
                      "rise "
                      "alike; with a large one the second stays lower."),
            cost("Cost of each start: fit only", "cost", "A map of the plane with the two half moons: the "
                                                         "number of "
                 "evaluations that a solve from each start takes. Dear starts lie where the flow turns "
                 "sharply."),
            cost("Cost of each start: with the penalty", "cost_eased", "The same map for the penalised "
                                                                       "network: "
                 "cheaper nearly everywhere.")])
