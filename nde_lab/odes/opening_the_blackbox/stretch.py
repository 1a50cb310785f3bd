"""First figure: two networks learn the same map; one of them is also asked to be easy to solve.

The task is the toy task of Kelly, Bettencourt, Johnson, Duvenaud 2020: carry z(0) = x to z(1) = x + x^3.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab import autodiff, optimizers
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.odes.opening_the_blackbox.heuristics import PENALTIES, penalty, solve
from nde_lab.odes.opening_the_blackbox.shared import NFE_AXIS, STEPS_AXIS, finite
from nde_lab.odes.opening_the_blackbox.stack import Stack
from nde_lab.random import Uniform
from nde_lab.solvers import integrate_ode
from nde_lab.views import Axis, Line, Panel, Paths, Points, View

BATCH, TURNS, SHOWN, FINE = 24, 14, 9, 48
LAMBDA = Knob(1.0, low=1e-3, high=30.0, scale="log", label="penalty λ", help="the second network's; the first "
                                                                             "has 0")
RTOL = Knob(1e-5, low=1e-5, high=1e-2, scale="log", label="tolerance", help="rtol = atol of the solver")
SCALE = Knob(6.0, low=1.0, high=10.0, label="speed s", help="largest speed of the field")


def target(x):
    """x + x^3."""
    return x + x**3


def marks(turns, end, copies: int):
    """Where the accepted steps begin, and the end: times and first coordinates, two (N, marks). Turns without
    an accepted step repeat the start. turns: of rows (N points); end (rows, D) states at t = 1."""
    t = torch.where(turns.accept, turns.t, turns.t[:1])
    z = torch.where(turns.accept, turns.y[..., 0], turns.y[:1, :, 0])
    t, z = torch.cat([t, 0 * t[:1] + 1]), torch.cat([z, end[None, :, 0]])
    return (v.reshape(len(v), copies, -1).transpose(0, 1).reshape(copies, -1) for v in (t, z))


@experiment(paper="opening-the-blackbox-solver-heuristics")
@dataclass(frozen=True)
class StretchMap:
    """Two copies of a neural ODE with one state learn x -> x + x^3 by Adam on 24 fresh points a step; loss:
    mean squared error, plus λ times the penalty for the second copy. Dopri5, a clock per point, at most 14
    tried steps."""
    kind: str = knob("error", choices=PENALTIES, label="penalty")
    live = {"lam": LAMBDA, "rtol": RTOL, "scale": SCALE,
            "lr": Knob(2e-2, low=1e-3, high=1e-1, scale="log", label="learning rate")}
    plan = Plan(120, every=2, advice="lower the learning rate or the speed s")
    stack = Stack(2, 1, wiggle=8.0)


    def data(self):
        return {"x": torch.linspace(-1, 1, SHOWN)[:, None], "ts": torch.linspace(0, 1, FINE + 1),
                "weights": torch.tensor([0.0, 1.0])}

    def draws(self):
        return Draws(start=self.stack.draws, step={"x": Uniform((BATCH, 1), -1.0, 1.0)})

    def init(self, data, start, live):
        params = self.stack.init(start)
        return params | optimizers.adam_state(params)

    def step(self, data, state, noise, live):
        stack, x = self.stack, noise["x"]

        def loss(params):
            solved = solve(stack.field(params, live["scale"]), stack.rows(x), rtol=live["rtol"], turns=TURNS)
            error = (solved.y.reshape(2, -1) - target(x)[:, 0]).square().mean(1)
            asked = live["lam"] * (data["weights"] * stack.mean(penalty(solved, self.kind))).sum()
            return error.sum() + asked, (error, solved)

        old = stack.params(state)
        (_, (error, solved)), grads = autodiff.value_and_grad(loss, old, has_aux=True)
        params, adam = optimizers.adam(old, grads, state, lr=live["lr"])
        rmse, nfe, r = error.sqrt(), stack.mean(solved.evaluations), stack.mean(solved.error_sum)
        return params | adam, {"rmse": rmse[0], "rmse_eased": rmse[1], "nfe": nfe[0], "nfe_eased": nfe[1],
                               "r": r[0], "r_eased": r[1], "ok": finite(params),
                               **self.more(data, old, x, error, live)}

    def more(self, data, params, x, error, live):
        """Further numbers of a step, for subclasses."""
        return {}

    def observe(self, data, state, noise, live):
        stack, params = self.stack, self.stack.params(state)
        f, y0 = stack.field(params, live["scale"]), stack.rows(data["x"])
        fine = integrate_ode(lambda t, y: f(t.expand(len(y), 1), y), y0, data["ts"], method="rk4")
        fine = fine.reshape(FINE + 1, 2, SHOWN).permute(1, 2, 0)
        solved = solve(f, y0, rtol=live["rtol"], turns=TURNS)
        t, z = marks(solved.turns, solved.y, 2)
        return {"ts": data["ts"], "path": fine[0], "path_eased": fine[1], "t": t[0], "z": z[0], "t_eased": t[1],
                "z_eased": z[1], "end": torch.ones(SHOWN), "target": target(data["x"])[:, 0]}

    def view(self):
        def panel(title, ending, alt):
            return Panel(title, Axis("model time t", low=0, high=1.03), Axis("state z(t)", low=-3.5, high=3.5),
                         [Paths("ts", f"path{ending}", role="ode", label="nine trajectories"),
                          Points(f"t{ending}", f"z{ending}", role="test", label="steps of the solver"),
                          Points("end", "target", role="truth", label="targets x + x³")], alt=alt)
        return View([
            panel("Asked for the fit only", "", "Nine trajectories of the plain network over model time, with "
                                                "a mark at "
                  "every step of the solver. They bend and carry many marks, and end at the targets x + x³."),
            panel("Asked for the fit and for easy steps", "_eased", "The same nine starts under the network "
                                                                    "with "
                  "the penalty. The larger the penalty, the straighter the curves and the fewer the marks; "
                  "they "
                  "end at the same targets."),
            Panel("What a solve costs", STEPS_AXIS, NFE_AXIS,
                  [Line("history.step", "history.nfe", role="train", label="fit only"),
                   Line("history.step", "history.nfe_eased", role="accent", label="with the penalty")],
                  alt="Function evaluations per solve over training. The plain network's stay high or grow, "
                      "the "
                      "penalised network's fall towards 19."),
            Panel("How well it fits", STEPS_AXIS, Axis("root mean square error", scale="log", low=0.03, high=5),
                  [Line("history.step", "history.rmse", role="train", label="fit only"),
                   Line("history.step", "history.rmse_eased", role="accent", label="with the penalty")],
                  alt="Root mean square error of the end points over training on a log axis. With a moderate "
                      "penalty both curves fall alike; with a large one the second stays higher.")])
