"""Lazy at first, rich later: grokking in a network whose every step has a closed form.

Tanishq Kumar et al., "Grokking as the transition from lazy to rich training dynamics", arXiv 2310.06110 (2023). The
network and its test loss in ``model``, its training without weights in ``simulator``, with weights in ``committee``;
modular addition in ``modular``, one run's curves in ``curves``; results in ``claims`` and ``phase``.
"""
from nde_lab.dynamics.lazy_to_rich.committee import TurningUnits
from nde_lab.dynamics.lazy_to_rich.curves import LazyToRich
from nde_lab.dynamics.lazy_to_rich.modular import ModularAddition
from nde_lab.dynamics.lazy_to_rich.simulator import problem, simulate

__all__ = ["LazyToRich", "ModularAddition", "TurningUnits", "problem", "simulate"]
