"""Neural ODEs that are cheap to solve: penalise what the solver says about its own work.

Pal, Ma, Shah, Rackauckas, "Opening the Blackbox: Accelerating Neural Differential Equations by Regularizing
Internal Solver Heuristics", ICML 2021, arXiv 2105.03918. The penalties in ``heuristics``, networks side by side
in ``stack``, experiments in ``stretch``, ``hidden``, ``moons`` and ``digits``, the results in ``claims``.
The neural SDE half: pair, Brownian path, adaptive solve and the spiral in ``sde_pair``, ``sde_path``,
``sde_solve``, ``sde_spiral``, its results in ``sde_claims``; processor time in ``prediction_time``.
"""
from nde_lab.odes.opening_the_blackbox.digits import DigitsODE
from nde_lab.odes.opening_the_blackbox.heuristics import CONTROL, H0, PENALTIES, penalty, solve
from nde_lab.odes.opening_the_blackbox.hidden import HiddenError
from nde_lab.odes.opening_the_blackbox.moons import MoonsTwins
from nde_lab.odes.opening_the_blackbox.stretch import StretchMap

__all__ = ["CONTROL", "H0", "PENALTIES", "DigitsODE", "HiddenError", "MoonsTwins", "StretchMap", "penalty",
           "solve"]
