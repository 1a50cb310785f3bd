"""Eight living things and their properties: a network learns broad distinctions before fine ones.

Saxe, McClelland, Ganguli, arXiv 1312.6120 (the hierarchy that opens the paper) and "A mathematical theory of
semantic development in deep neural networks", PNAS 2019. One property for every branching of a binary tree.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.autodiff import value_and_grad
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, HeatMap, Line, Panel, View

PAPER = "deep-linear-exact-dynamics"
ITEMS = ("canary", "robin", "salmon", "sunfish", "oak", "pine", "rose", "daisy")
PROPERTIES = ("grows", "moves", "has roots", "flies", "swims", "has bark", "has petals", "sings",
              "has a red breast", "swims upstream", "is flat", "has acorns", "has needles", "has thorns",
              "is white and yellow")
HIDDEN = 16
NETS = ("two matrices", "one matrix", "two, tanh between")


def table() -> torch.Tensor:
    """Y (15, 8): 1 where an item has a property. Level 0: all; 1: halves; 2: pairs; 3: single items."""
    return torch.cat([torch.eye(2**level).repeat_interleave(8 // 2**level, dim=1) for level in range(4)])


def contrasts() -> torch.Tensor:
    """The right singular vectors of ``table`` (8, 8), up to length: all; one half against the other; in each
    half, a pair against a pair; in each pair, one item against the other. Entries 1, 0, -1."""
    columns = [torch.ones(8)]
    for level in range(3):
        size = 4 // 2**level
        for k in range(2**level):
            v = torch.zeros(8)
            v[2 * size * k:2 * size * k + size], v[2 * size * k + size:2 * size * (k + 1)] = 1, -1
            columns.append(v)
    return torch.stack(columns, 1)


def modes() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """U (15, 8), s (8,), V (8, 8) of ``table``, in closed form: s^2 = 15, 7, 3, 3, 1, 1, 1, 1."""
    V = contrasts() / contrasts().square().sum(0).sqrt()
    images = table() @ V
    s = images.square().sum(0).sqrt()
    return images / s, s, V


@experiment(paper=PAPER)
@dataclass(frozen=True)
class ItemsAndProperties:
    """Eight items (one-hot) to fifteen properties, by two matrices with 16 hidden units, by one, or with a
    tanh.

    Start: Gaussian entries, such that those of the network's map have standard deviation u0.
    """
    net: str = knob("two matrices", choices=NETS, label="network")
    live = {"u0": Knob(1e-3, low=1e-5, high=1.0, scale="log", label="start size u₀", restarts=True),
            "lr": Knob(0.02, low=0.005, high=0.1, scale="log", label="learning rate λ")}
    plan = Plan(500, every=2)

    def data(self):
        """Y (15, 8); modes V (8, 8), U (15, 8), s (8,); read (15,): the direction in which the picture
        looks."""
        U, s, V = modes()
        # So that the finished network shows item i at Σ c_α (its contrast α): +-4 +-2 +-1, eight even places.
        c = torch.tensor([0.0, 4.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0])
        return {"Y": table(), "U": U, "s": s, "V": V,
                "read": U @ (c * contrasts().square().sum(0).sqrt() / s),
                "item": torch.arange(8.0), "property": torch.arange(15.0)}

    def draws(self):
        return Draws(start={"A": Normal((HIDDEN, 8)), "B": Normal((15, HIDDEN)), "C": Normal((15, 8))})

    def init(self, data, start, live):
        if self.net == "one matrix":
            return {"C": live["u0"] * start["C"]}
        size = (live["u0"] / HIDDEN**0.5).sqrt()
        return {"A": size * start["A"], "B": size * start["B"]}

    def forward(self, params):
        """The answers for the eight items: (15, 8)."""
        if self.net == "one matrix":
            return params["C"]
        hidden = torch.tanh(params["A"]) if self.net == NETS[2] else params["A"]
        return params["B"] @ hidden

    def step(self, data, state, noise, live):
        def loss(params):
            out = self.forward(params)
            return 0.5 * (data["Y"] - out).square().sum(), out

        (value, out), grads = value_and_grad(loss, state, has_aux=True)
        new = {n: state[n] - live["lr"] * grads[n] for n in state}
        place = data["read"] @ out
        share = (data["U"] * (out @ data["V"])).sum(0) / data["s"]
        info = {"loss": value, **{f"item{i}": place[i] for i in range(8)},
                **{f"mode{i}": share[i] for i in range(8)}, "ok": value < 1e4}
        return new, info

    def observe(self, data, state, noise, live):
        return {"out": self.forward(state) * 1.0, "item": data["item"], "property": data["property"]}

    def view(self):
        return View([
            Panel("Where the network puts the eight items", Axis("step", low=0, high=self.plan.steps),
                  Axis("reading of its answer", low=-9.5, high=9.5),
                  [Line("history.step", f"history.item{i}", role=("train", "sde", "test", "accent")[i // 2],
                        label=name) for i, name in enumerate(ITEMS)],
                  alt="Eight curves over training steps, one for each item, that begin as one. First they part "
                      "into animals and plants, then birds from fish and trees from flowers, last each item "
                      "from its neighbour: a tree that grows to the right."),
            Panel("What it says of each item", Axis("item: " + ", ".join(n[:3] for n in ITEMS)),
                  Axis("property, general below, special above"),
                  [HeatMap("out", "item", "property", label="answer", low=0, high=1)],
                  alt="Heat map of eight items by fifteen properties. The lowest rows, shared by many items, "
                      "fill first; the steps of single items, on top, fill last.")])
