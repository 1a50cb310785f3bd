"""Modular addition without weight decay: the weights grow, and the network groks; how late, the output scale says.

Tanishq Kumar et al., arXiv 2310.06110, figure 2: p = 23, a hidden layer of 100 squared units, 90 % of the pairs
seen, squared error on one-hot targets, plain full-batch gradient descent.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.autodiff import value_and_grad
from nde_lab.dynamics.lazy_to_rich.simulator import log_grid
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal, Permutation
from nde_lab.views import Axis, Line, Panel, View

PAPER = "grokking-lazy-to-rich"
CURVES = ("train", "test", "train_right", "test_right", "size")


@experiment(paper=PAPER)
@dataclass(frozen=True)
class ModularAddition:
    """f(a, b) = alpha V (W [one-hot a; one-hot b])^2 / (2 p N) learns a + b modulo p from part of the table.

    W (N, 2p) and V (p, N) start normal. Gradient descent with the rate lr / alpha^2 on the squared error, averaged over
    the seen pairs and the p outputs. (The paper's lr is 100; fifty times as much still descends smoothly and takes
    1200 steps.) The curves show the error summed over the outputs. Live: alpha; lr; the fraction of pairs seen.
    """
    p: int = knob(23, choices=(11, 17, 23), label="p")
    N: int = knob(100, low=20, high=400, scale="log", label="hidden units N")
    live = {"alpha": Knob(1.0, low=0.5, high=2.0, scale="log", label="output scale α", restarts=True),
            "lr": Knob(5000.0, low=1000.0, high=6000.0, scale="log", label="learning rate × α²", restarts=True),
            "part": Knob(0.9, low=0.5, high=0.95, label="fraction of the table seen", restarts=True)}
    steps, points = 1200, 80

    @property
    def plan(self):
        return Plan(self.steps, every=12, advice="lower the learning rate")

    def data(self):
        p = self.p
        a, b = torch.arange(p * p) // p, torch.arange(p * p) % p
        grid = log_grid(self.steps, self.points)
        return {"Y": torch.eye(p)[(a + b) % p], "at": torch.as_tensor(grid, dtype=torch.float32)}

    def draws(self):
        p = self.p
        return Draws(start={"W": Normal((self.N, 2 * p)), "V": Normal((p, self.N)), "order": Permutation(p * p)})

    def init(self, data, start, live):
        seen = (start["order"] < live["part"] * self.p**2).to(data["Y"].dtype)
        state = {"W": start["W"] * 1.0, "V": start["V"] * 1.0, "seen": seen, "count": torch.zeros(())}
        now = self.measure(data, state, self.output(state, live))
        return state | {"first": now, "trace": now[:, None].expand(len(CURVES), data["at"].shape[0]) * 1.0}

    def output(self, params, live):
        """f for all pairs, in the order a p + b: (p^2, p)."""
        p, W = self.p, params["W"]
        hidden = (W.T[:p, None, :] + W.T[None, p:, :]).reshape(p * p, self.N)
        return live["alpha"] / (2 * p * self.N) * (hidden * hidden) @ params["V"].T

    def measure(self, data, state, out):
        """The values of CURVES: squared errors per pair, fractions right, and the norm of all weights over that at the
        start; each of them 0-d, stacked."""
        Y, seen, unseen = data["Y"], state["seen"], 1 - state["seen"]
        error = (out - Y).square().sum(1)
        right = ((out * Y).sum(1) > (out - 1e6 * Y).amax(1)).to(Y.dtype)      # above every other class
        size = (state["W"].square().sum() + state["V"].square().sum()).sqrt()
        return torch.stack([(seen * error).sum() / seen.sum(), (unseen * error).sum() / unseen.sum(),
                            (seen * right).sum() / seen.sum(), (unseen * right).sum() / unseen.sum(), size])

    def step(self, data, state, noise, live):
        def loss(params):
            out = self.output(params, live)
            return (state["seen"] * (out - data["Y"]).square().sum(1)).sum() / state["seen"].sum(), out

        params = {n: state[n] for n in ("W", "V")}
        (value, out), grads = value_and_grad(loss, params, has_aux=True)
        rate = live["lr"] / (self.p * live["alpha"].square())
        new = {**state, **{n: params[n] - rate * grads[n] for n in params}, "count": state["count"] + 1}
        # The network before the step: one evaluation serves both, and a step is a small thing here.
        now = self.measure(data, state, out)
        new["trace"] = torch.where(data["at"] >= new["count"], now[:, None], state["trace"])
        info = {name: now[k] for k, name in enumerate(CURVES)}
        return new, info | {"ok": torch.isfinite(value) & (value < 1e3)}

    def observe(self, data, state, noise, live):
        at = torch.minimum(data["at"], state["count"].clamp(min=1.0))       # steps to come are folded onto now
        seen = {name: state["trace"][k] for k, name in enumerate(CURVES)}
        return {**seen, "at": at, "size": state["trace"][4] / state["first"][4]}

    def view(self):
        steps = Axis("step", scale="log", low=1, high=self.steps)
        return View([
            Panel("Pairs right", steps, Axis("fraction right", low=0, high=1.02),
                  [Line("at", "train_right", role="train", label="seen pairs"),
                   Line("at", "test_right", role="test", label="unseen pairs")],
                  alt="Fraction of pairs right over steps, step axis logarithmic: the seen pairs come right early, the "
                      "unseen ones late and at once, the later the larger the output scale."),
            Panel("Losses, and the size of the weights", steps, Axis("loss; norm / norm at the start", low=0, high=4.5),
                  [Line("at", "train", role="train", label="loss, seen pairs"),
                   Line("at", "test", role="test", label="loss, unseen pairs"),
                   Line("at", "size", role="accent", label="norm of the weights")],
                  alt="Losses start at 1; that of the seen pairs falls while that of the unseen ones stays, and then both "
                      "go to zero. The norm of all weights, relative to its start, ends two to four times as large.")])
