"""The shape of an experiment that only draws: a picture as a function of its knobs."""
from __future__ import annotations

import torch

from nde_lab.experiment import Draws, Plan


class Figure:
    """An experiment whose picture is a function of its live knobs: nothing trains, one idle step.

    Subclasses say ``observe`` and ``view``; ``data`` and ``draws`` where they need them.
    """
    plan = Plan(1)

    def data(self):
        return {}

    def draws(self):
        return Draws()

    def init(self, data, start, live):
        return {"k": torch.zeros(())}

    def step(self, data, state, noise, live):
        return {"k": state["k"] + 1}, {"ok": torch.isfinite(state["k"])}
