"""Numerical solvers: order, stability, chosen steps, and what noise changes.

The chapter's figures: order and rounding in ``orders``, stability in ``stiffness``, chosen steps in
``adaptive``, SDEs in ``noise``; closed forms in ``forms``, results in ``claims``. The solvers themselves are
``nde_lab.solvers``. Kidger, "On Neural Differential Equations", DPhil thesis, 2022, arXiv 2202.02435, is the
paper of the part.
"""
from nde_lab.odes.numerical_solvers.adaptive import Comet, MissedPulse
from nde_lab.odes.numerical_solvers.noise import StrongWeak, TwoCalculi
from nde_lab.odes.numerical_solvers.orders import Orders
from nde_lab.odes.numerical_solvers.stiffness import StabilityPlane, StiffCliff, TwoRoots

__all__ = ["Comet", "MissedPulse", "Orders", "StabilityPlane", "StiffCliff", "StrongWeak", "TwoCalculi",
           "TwoRoots"]
