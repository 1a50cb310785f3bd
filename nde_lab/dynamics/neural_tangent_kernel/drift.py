"""Does the kernel stay? One network's tangent kernel on the circle during training.

Jacot, Gabriel, Hongler, arXiv 1806.07572, theorem 2: at infinite width it does not move; figure 1: at finite
width it
"inflates". The larger the targets, the further the weights must go, and the kernel with them.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.dynamics.neural_tangent_kernel.circle import FOUR, on_circle, product, spaced
from nde_lab.dynamics.neural_tangent_kernel.functions import PAPER
from nde_lab.dynamics.neural_tangent_kernel.network import Network
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.views import Axis, HeatMap, Line, Panel, Rule, View


@experiment(paper=PAPER)
@dataclass(frozen=True)
class KernelDrift:
    """One ReLU network (4 weight layers) learns ``scale`` x_1 x_2 at four points; its kernel on 32 points is
    watched.

    Live: the scale of the targets, felt from the start on.
    """
    width: int = knob(64, choices=(16, 64, 256), label="width n")
    live = {"scale": Knob(2.0, low=0.5, high=8.0, scale="log", label="scale of the targets", restarts=True)}
    beta, lr, around = 0.1, 1.0, 32

    @property
    def plan(self):
        return Plan(200, every=4, advice="use smaller targets, or a wider network")

    @property
    def net(self) -> Network:
        return Network(2, self.width, 4, "relu")

    def data(self):
        X, angle = on_circle(torch.tensor(FOUR)), spaced(self.around)
        return {"X": X, "y": product(X), "angle": angle, "x": on_circle(angle)}

    def draws(self):
        return Draws(start=self.net.draws())

    def init(self, data, start, live):
        params = {n: s * 1.0 for n, s in start.items()}
        return {**params, **{f"at0.{n}": s * 1.0 for n, s in start.items() if n in ("W0", "W1")},
                "first": self.net.kernel(params, data["x"], None, self.beta)}

    def step(self, data, state, noise, live):
        y = live["scale"] * data["y"]
        new, residual = self.net.descend(self.net.params(state), data["X"], y, self.beta, self.lr)
        old = {n: s for n, s in state.items() if n.startswith("at0.")}
        kernel = self.net.kernel(new, data["x"], None, self.beta)

        def moved(now, before):
            return ((now - before).square().sum() / before.square().sum()).sqrt()
        info = {"kernel": moved(kernel, state["first"]), "cost": residual.square().mean() / 2,
                "outer": moved(new["W0"], old["at0.W0"]), "inner": moved(new["W1"], old["at0.W1"]),
                "ok": torch.isfinite(residual)}
        return {**new, **old, "first": state["first"]}, info

    def observe(self, data, state, noise, live):
        kernel = self.net.kernel(self.net.params(state), data["x"], None, self.beta)
        return {"angle": data["angle"], "kernel": kernel}

    def view(self):
        steps = Axis("step", low=0, high=self.plan.steps)
        return View([
            Panel("The tangent kernel now", Axis("angle of x, radians"), Axis("angle of x', radians"),
                  [HeatMap("kernel", "angle", "angle", label="Θ(x, x')", low=0, high=2)], equal=True,
                  alt="Heat map of the tangent kernel between 32 points of the circle: a bright ridge where "
                      "the two "
                      "angles agree. In a narrow network it is lopsided, and it grows brighter during "
                      "training."),
            Panel("Relative change since the start", steps, Axis("change", scale="log", low=1e-3, high=30),
                  [Line("history.step", "history.kernel", role="test", label="kernel Θ"),
                   Line("history.step", "history.outer", role="ode", label="weights of the first layer"),
                   Line("history.step", "history.inner", role="sde", label="weights of a hidden layer"),
                   Rule(1.0)],
                  alt="Relative change over steps, axis logarithmic, of the kernel and of the weights of two "
                      "layers. "
                      "All rise and level off; the kernel lies far above the weights, and the hidden layer "
                      "moves "
                      "least. Wider networks move less.")])
