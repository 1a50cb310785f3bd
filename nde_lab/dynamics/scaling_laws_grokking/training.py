"""A network learns a group's multiplication table, memorises first, and groks later.

Yuandong Tian, arXiv 2509.21519, in the setting of its official code: full batch, Adam with L2 weight decay,
start U(-1/sqrt(fan_in), 1/sqrt(fan_in)), outputs centred over the classes, squared error averaged over pairs.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab import muon, optimizers
from nde_lab.autodiff import value_and_grad
from nde_lab.dynamics.scaling_laws_grokking.groups import group, modes
from nde_lab.dynamics.scaling_laws_grokking.model import ACTS, act, preactivation, sent_back_sizes, targets
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Permutation, Uniform
from nde_lab.views import Axis, HeatMap, Line, Panel, View

PAPER = "provable-scaling-laws-grokking"
GROUPS = ("Z11", "Z12", "Z17", "Z19", "Z23", "Z31", "Z41", "Z5xZ5", "D11", "S4")


@experiment(paper=PAPER)
@dataclass(frozen=True)
class GroupArithmetic:
    """act(X W) V learns the product of a group from a fraction p of its table; the rest is the test set.

    K hidden units; ``zero_start``: V begins at zero, so that what it sends back is pure signal; ``optimizer``:
    "adam", or "muon" for W with Adam for V. Live: fraction p (a mask over the pairs), weight decay, learning rate.
    """
    group: str = knob("Z23", choices=GROUPS, label="group")
    K: int = knob(256, low=8, high=2048, scale="log", label="hidden units K")
    act: str = knob("square", choices=ACTS, label="activation")
    zero_start: bool = knob(False, choices=(False, True), label="V starts at 0")
    optimizer: str = knob("adam", choices=("adam", "muon"), label="optimiser of W")
    live = {"p": Knob(0.5, low=0.2, high=0.9, label="fraction of the table seen, p"),
            "weight_decay": Knob(2e-4, low=0.0, high=2e-3, label="weight decay η"),
            "lr": Knob(0.01, low=5e-4, high=0.05, scale="log", label="learning rate")}
    shown = 60

    @property
    def plan(self):
        return Plan(600, every=5, advice="lower the learning rate")

    @property
    def M(self) -> int:
        return group(self.group).M

    def data(self):
        """Y (M^2, M): targets; B (M, M), S (modes, M): the group's modes; numbers for the axes."""
        made = modes(self.group)
        as_tensor = lambda a: torch.as_tensor(a, dtype=torch.float32)  # noqa: E731
        units = min(self.shown, self.K)
        return {"Y": targets(group(self.group)), "B": as_tensor(made.basis), "S": as_tensor(made.gather[1:]),
                "mode": torch.arange(1.0, len(made)), "unit": torch.arange(1.0, units + 1),
                "element": torch.arange(float(self.M))}

    def draws(self):
        M, K = self.M, self.K
        w, v = 1 / math.sqrt(2 * M), 1 / math.sqrt(K)
        return Draws(start={"W": Uniform((2 * M, K), -w, w), "V": Uniform((K, M), -v, v),
                            "order": Permutation(M * M)})

    def init(self, data, start, live):
        params = {"W": start["W"], "V": torch.zeros_like(start["V"]) if self.zero_start else start["V"] * 1.0}
        made = {"order": start["order"].to(data["Y"].dtype), **params}
        if self.optimizer == "adam":
            return made | optimizers.adam_state(params)
        return made | optimizers.adam_state({"V": params["V"]}) | muon.muon_state({"W": params["W"]})

    def seen(self, state, live):
        """1 for the pairs of the training set, the first p M^2 of a random order: (M^2,)."""
        return (state["order"] < live["p"] * self.M**2).to(live["p"].dtype)

    def loss(self, params, Y, seen):
        """(loss, (features F, outputs, errors)): squared error of class-centred outputs, averaged over the seen
        pairs."""
        F = act(self.act, preactivation(params["W"]))
        out = F @ params["V"]
        out = out - out.mean(1, keepdim=True)
        error = out - Y + 1 / self.M
        return (seen * error.square().sum(1)).sum() / seen.sum(), (F, out, error)

    def step(self, data, state, noise, live):
        Y, seen = data["Y"], self.seen(state, live)
        params = {n: state[n] for n in ("W", "V")}
        (loss, (F, out, error)), grads = value_and_grad(lambda q: self.loss(q, Y, seen), params, has_aux=True)
        residual = -2 * seen[:, None] * error / seen.sum()          # -d loss / d outputs; G_F = residual V^T
        G_F, along = sent_back_sizes(F, residual, params["V"], Y, seen)
        knobs = {"lr": live["lr"], "weight_decay": live["weight_decay"]}
        if self.optimizer == "adam":
            new, memory = optimizers.adam(params, grads, state, **knobs)
        else:
            new, memory = optimizers.adam({"V": params["V"]}, grads, state, **knobs)
            moved, more = muon.muon({"W": params["W"]}, grads, state, **knobs)
            new, memory = new | moved, memory | more
        right = ((out * Y).sum(1) > (out - 1e6 * Y).amax(1)).to(Y.dtype)      # above every other class
        power = self.power(data, new["W"])
        info = {"loss": loss, "train": (seen * right).sum() / seen.sum(),
                "test": ((1 - seen) * right).sum() / (1 - seen).sum(), "G_F": G_F, "along": along.clamp(min=1e-7),
                "purity": power.amax(0).sum() / power.sum(),
                "ok": torch.isfinite(loss) & torch.isfinite(new["W"]).all()}
        return {"order": state["order"], **new, **memory}, info

    def power(self, data, W):
        """Squared length of every unit's weights in every mode but the constant: (modes - 1, K)."""
        M = self.M
        return data["S"] @ ((data["B"].T @ W[:M]).square() + (data["B"].T @ W[M:]).square())

    def observe(self, data, state, noise, live):
        power = self.power(data, state["W"])
        strongest, units = power.amax(0), data["unit"].shape[0]
        # Sorted by counting: of the strongest units, in the order of their modes (there is no sort in the page).
        loud = rank(-strongest)
        winner = (data["mode"][:, None] * (power >= strongest).to(power.dtype)).amax(0)
        place = rank(winner + torch.where(loud < units, 0.0, 1e4))
        pick = (place[:, None] == data["unit"] - 1).to(power.dtype)          # (K, units): one-hot
        share = (power @ pick) / ((power @ pick).sum(0) + 1e-30)
        one = (state["W"] * (loud == 0).to(power.dtype)).sum(1)             # the strongest unit of all
        return {"share": share, "mode": data["mode"], "unit": data["unit"], "element": data["element"],
                "first": one[: self.M], "second": one[self.M:]}

    def view(self):
        steps = Axis("step", scale="log", low=5, high=self.plan.steps)
        return View([
            Panel("Fractions", steps, Axis("fraction", low=0, high=1.02),
                  [Line("history.step", "history.train", role="train", label="seen pairs right"),
                   Line("history.step", "history.test", role="test", label="unseen pairs right"),
                   Line("history.step", "history.purity", role="accent", label="purity of units")],
                  alt="Accuracy over steps, step axis logarithmic. On seen pairs it is 1 after about ten steps; on "
                      "unseen pairs it stays near chance for hundreds of steps and then jumps to 1. Purity, the "
                      "share of the units' power in their strongest mode, rises from a quarter towards 1."),
            Panel("What the output layer sends back", steps, Axis("size", scale="log", low=1e-5, high=1),
                  [Line("history.step", "history.G_F", role="ode", label="|G_F|"),
                   Line("history.step", "history.along", role="accent", label="its part along the signal")],
                  alt="Size of the gradient at the hidden units, and of its part along the signal, both axes "
                      "logarithmic. Both fall by twenty while the seen pairs are learned. Then, with weight decay, "
                      "they stay level; without, the part along the signal falls a hundred times further."),
            Panel("Units: power by mode", Axis(f"hidden unit, the strongest {min(self.shown, self.K)}"),
                  Axis("mode (frequency)"), [HeatMap("share", "unit", "mode", label="share", low=0, high=1)],
                  alt="Heat map, one column per hidden unit, one row per mode. At first every column is a smear; "
                      "after grokking each has one bright cell."),
            Panel("Weights of the strongest unit", Axis("element a, or b"), Axis("weight"),
                  [Line("element", "first", role="sde", label="for a"),
                   Line("element", "second", role="ode", label="for b")],
                  alt="Input weights of one hidden unit along the elements: noise at first, then two waves of the "
                      "same frequency.")])


def rank(key):
    """How many entries come before each one, ties by index: (K,) -> (K,), without sorting."""
    index = torch.arange(key.shape[0])
    before = (key[None, :] < key[:, None]) | ((key[None, :] == key[:, None]) & (index[None, :] < index[:, None]))
    return before.to(key.dtype).sum(1)
