"""A deep linear network trains under sliders, beside the exact curves of its modes.

Saxe, McClelland, Ganguli, arXiv 1312.6120, sections 1 and 2: whitened inputs, full batch, gradient descent.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.autodiff import loop, value_and_grad
from nde_lab.dynamics.deep_linear.network import STARTS, random_orthogonal
from nde_lab.dynamics.deep_linear.theory import learning_curve
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, HeatMap, Line, Panel, View

PAPER = "deep-linear-exact-dynamics"
MODES, WIDTH, DEEPEST = 5, 8, 10


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LinearModes:
    """N matrices of size 8 x 8 learn a task of five modes with singular values from 1 to 1/spread, evenly
    spaced in the logarithm; in the other three directions the answer is zero.

    start: "aligned" (the exact curves hold), "orthogonal" or "Gaussian", of size u0^(1/N) a matrix;
    ``per_matrix``: the learning rate is divided by N. All 10 slots hold a matrix; those beyond N are the
    identity and stay it. """
    start: str = knob("aligned", choices=STARTS, label="start")
    per_matrix: bool = knob(True, choices=(True, False), label="learning rate divided by N")
    live = {"u0": Knob(1e-3, low=1e-6, high=1.0, scale="log", label="start size u₀", restarts=True),
            "spread": Knob(5.0, low=1.0, high=10.0, label="spread s₁/s₅", restarts=True),
            "N": Knob(2, low=1, high=DEEPEST, label="matrices N", restarts=True),
            "lr": Knob(0.1, low=0.02, high=4.0, scale="log", label="learning rate λ", restarts=True)}
    plan = Plan(400, every=3, advice="lower the learning rate: the strongest mode tolerates less than 2 "
                                     "s^(2/N-2), divided by N if the rate is not yet")

    def data(self):
        """U, V (8, 8): the singular vectors, those of the five modes first; order (5,): places of the modes;
        slot (10,), step (134,)."""
        return {"U": random_orthogonal(WIDTH, seed=0, name="U").float(),
                "V": random_orthogonal(WIDTH, seed=0, name="V").float(), "eye": torch.eye(WIDTH),
                "order": torch.arange(float(MODES)), "slot": torch.arange(float(DEEPEST)),
                "step": torch.arange(0.0, self.plan.steps + 1, self.plan.every)}

    def draws(self):
        return Draws(start={"G": Normal((DEEPEST, WIDTH, WIDTH))})

    def singular_values(self, data, live):
        return torch.exp(-data["order"] / (MODES - 1) * torch.log(live["spread"]))

    def product(self, data, W):
        """W_N ... W_1 of a stack (10, 8, 8)."""
        return loop(lambda total, matrix: (matrix @ total, None), data["eye"], W)[0]

    def init(self, data, start, live):
        G, slot = start["G"], data["slot"][:, None, None]
        if self.start == "Gaussian":
            W = G / WIDTH**0.5
        else:
            W = orthonormal(G)
            if self.start == "aligned":          # R_{l+1} R_l^T with R_1 = V and R_{N+1} = U
                after = torch.where(slot == live["N"] - 1, data["U"], W)
                W = after @ torch.cat([data["V"][None], W[:-1]]).transpose(1, 2)
        return {"W": torch.where(slot < live["N"], live["u0"] ** (1 / live["N"]) * W, data["eye"])}

    def step(self, data, state, noise, live):
        U, V, s = data["U"], data["V"], self.singular_values(data, live)
        target = (U[:, :MODES] * s) @ V[:, :MODES].T

        def loss(params):
            return 0.5 * (target - self.product(data, params["W"])).square().sum()

        value, grads = value_and_grad(loss, {"W": state["W"]})
        lr = live["lr"] / live["N"] if self.per_matrix else live["lr"]
        used = (data["slot"] < live["N"]).to(lr.dtype)[:, None, None]
        W = state["W"] - lr * used * grads["W"]
        u = (U * (self.product(data, W) @ V)).sum(0)
        info = {"loss": value, **{f"u{i + 1}": u[i] for i in range(MODES)},
                "ok": (W.abs().amax() < 1e4) & (value < 1e6)}
        return {"W": W}, info

    def observe(self, data, state, noise, live):
        U, V, s = data["U"], data["V"], self.singular_values(data, live)
        total = self.product(data, state["W"])
        lr = live["lr"] / live["N"] if self.per_matrix else live["lr"]
        curve = learning_curve(data["step"] * lr, s, live["u0"], live["N"])
        return {"seen": (U.T @ total @ V)[:MODES, :MODES], "mode": data["order"] + 1, "step": data["step"],
                **{f"curve{i + 1}": curve[i] for i in range(MODES)}}

    def view(self):
        names = ["mode 1", "mode 2", "mode 3", "mode 4", "mode 5"]
        return View([
            Panel("Strength of each mode", Axis("step", low=0, high=self.plan.steps),
                  Axis("strength u", low=-0.3, high=1.5),
                  [Line("step", f"curve{i + 1}", role="truth", label="" if i else "exact, aligned start")
                   for i in range(MODES)]
                  + [Line("history.step", f"history.u{i + 1}", role="train", label=names[i])
                     for i in range(MODES)],
                  alt="Strength of five modes over training steps. At the defaults each stays near zero, then "
                      "rises along an S to its own singular value, the strongest first; dotted exact curves "
                      "lie under the solid ones of the network."),
            Panel("The network, seen in the task's modes", Axis("input mode"), Axis("output mode"),
                  [HeatMap("seen", "mode", "mode", label="strength", low=-1, high=1)], equal=True,
                  alt="Heat map of the network's map in the task's singular vectors: for an aligned start only "
                      "the diagonal fills, mode 1 first; for random starts cells beside it are not zero until "
                      "training ends.")])


def orthonormal(G):
    """Gram-Schmidt on the columns of each matrix (batch, n, n), each column cleaned twice."""
    columns = []
    for i in range(G.shape[2]):
        v = G[:, :, i]
        for _ in range(2):
            for q in columns:
                v = v - (v * q).sum(1, keepdim=True) * q
        columns.append(v / v.square().sum(1, keepdim=True).sqrt())
    return torch.stack(columns, 2)
