"""The digits again (see ``nde_lab.odes.opening_the_blackbox.digits``), with the local penalties among the
choices."""
from __future__ import annotations

from dataclasses import dataclass

from nde_lab.experiment import Draws, experiment, knob
from nde_lab.odes.locally_regularized.sampling import local_penalty, moment
from nde_lab.odes.opening_the_blackbox.digits import DigitsODE
from nde_lab.odes.opening_the_blackbox.heuristics import penalty
from nde_lab.random import Uniform

KINDS = ("none", "global", "unbiased", "biased")


@experiment(paper="locally-regularized-ndes")
@dataclass(frozen=True)
class LocalDigits(DigitsODE):
    """The digits with no penalty, R_E of the whole solve ("global"), or r = q h of one step at a sampled
    time."""
    kind: str = knob("biased", choices=KINDS, label="penalty")

    def draws(self):
        own = super().draws()
        return Draws(start=own.start, step=own.step | {"u": Uniform((1,))})

    def regulariser(self, f, solved, noise):
        if self.kind in ("none", "global"):
            return (0.0 if self.kind == "none" else 1.0) * penalty(solved, "error").mean()
        return local_penalty(f, moment(self.kind, f, solved.turns, noise["u"]), rtol=self.rtol).mean()
