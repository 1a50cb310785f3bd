"""Small experiments that several tests share."""
from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch

from nde_lab import autodiff, nets, optimizers
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Index, Normal
from nde_lab.views import Axis, Line, Panel, View


def _view() -> View:
    return View([Panel("fit", Axis("x"), Axis("y"), [Line("x", "y", role="ode", label="network")],
                       alt="The network's curve approaches a sine."),
                 Panel("loss", Axis("step"), Axis("loss", scale="log"), [Line("history.step", "history.loss", "train")],
                       alt="The loss falls.")])


@cache
def _net(width: int, act: str):
    return nets.functional(nets.mlp([1, width, 1], act=act), prefix="net.")


@experiment(paper="toy")
@dataclass(frozen=True)
class SineFit:
    """A small network fits sin(x) by mini-batch Adam."""
    width: int = knob(8, low=2, high=64, scale="log", label="width")
    act: str = knob("tanh", choices=("tanh", "lipswish"))
    live = {"lr": Knob(1e-2, low=1e-5, high=1.0, scale="log")}
    plan = Plan(steps=20, every=5, advice="lower lr")

    def net(self):
        return _net(self.width, self.act)

    def data(self):
        return {"x": torch.linspace(-2, 2, 24)[:, None]}

    def draws(self):
        return Draws(start=self.net().draws, step={"batch": Index((8,), 24)})

    def init(self, data, start, live):
        params = self.net().init(start)
        return params | optimizers.adam_state(params)

    def step(self, data, state, noise, live):
        net, x = self.net(), data["x"][noise["batch"]]
        params = net.params(state)
        loss, grads = autodiff.value_and_grad(lambda p: (net.apply(p, x) - x.sin()).square().mean(), params)
        params, memory = optimizers.adam(params, grads, state, lr=live["lr"])
        return params | memory, {"loss": loss, "ok": torch.isfinite(loss)}

    def observe(self, data, state, noise, live):
        return {"x": data["x"][:, 0], "y": self.net().apply(self.net().params(state), data["x"])[:, 0]}

    def view(self):
        return _view()


@experiment(paper="toy")
@dataclass(frozen=True)
class NoisyGrowth:
    """Rows x <- growth * x^2 + noise: the larger rows blow up first. Model time is 0.1 per step."""
    rows: int = knob(4, low=1, high=16)
    live = {"growth": Knob(0.5, low=0.0, high=50.0), "noise": Knob(0.1, low=0.0, high=1.0)}
    plan = Plan(steps=30, every=3, advice="lower growth")

    def data(self):
        return {"x0": torch.linspace(0.1, 1.0, self.rows)}

    def draws(self):
        return Draws(step={"z": Normal((self.rows,))}, observe={"jitter": Normal((self.rows,))})

    def init(self, data, start, live):
        return {"x": data["x0"].clone(), "t": torch.zeros(())}

    def step(self, data, state, noise, live):
        x = live["growth"] * state["x"] ** 2 + live["noise"] * noise["z"]
        t = state["t"] + 0.1
        return {"x": x, "t": t}, {"mean": x.mean(), "t": t, "ok": torch.isfinite(x)}

    def observe(self, data, state, noise, live):
        return {"x": data["x0"], "y": state["x"] + 0.0 * noise["jitter"]}

    def view(self):
        return View([Panel("rows", Axis("start"), Axis("x"), [Line("x", "y")], alt="Each row's value now.")])
