"""Methods as the solver sees them: one step, what it costs, and whether it can choose its length."""
from __future__ import annotations

import numpy as np

from nde_lab.solvers.implicit import ESDIRKS, Implicit
from nde_lab.solvers.runge_kutta import RKStep, stages
from nde_lab.solvers.tableaus import TABLEAUS, Tableau


class Explicit:
    """A Runge-Kutta table, stepping."""
    stops = False                # steps pass the times asked for; dense output is as exact as they are

    def __init__(self, table: Tableau):
        self.table, self.name, self.order = table, table.name, table.order
        self.c, self.dense, self.fsal, self.adaptive = table.c, table.dense, table.fsal, table.adaptive
        self.error_order = table.error_order

    def begin(self, rtol, atol) -> None:
        """The tolerances of the solve: an explicit step needs none."""

    def step(self, f, times, y, h, k1) -> RKStep:
        return stages(f, times, y, h, self.table, k1)

    def spent(self, active: np.ndarray) -> np.ndarray:
        """Evaluations that the last step cost each row."""
        return active * self.table.new_evaluations


def find(method):
    """The method of a name or a Tableau; ValueError names all there are."""
    if isinstance(method, Tableau):
        return Explicit(method)
    if isinstance(method, str) and method in TABLEAUS:
        return Explicit(TABLEAUS[method])
    if isinstance(method, str) and method in ESDIRKS:
        return Implicit(ESDIRKS[method])
    raise ValueError(f"there is no method {method!r} for ODEs; there are {', '.join([*TABLEAUS, *ESDIRKS])}")
