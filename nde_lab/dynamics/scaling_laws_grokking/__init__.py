"""How features emerge when a network groks the multiplication table of a group.

Yuandong Tian, "Provable scaling laws of feature emergence from learning dynamics of grokking", arXiv 2509.21519
(2025). Groups and their modes in ``groups``, the network and its energy in ``model``, experiments in
``training`` and ``ascent``, the phase diagram in ``phase``, results in ``claims`` and ``table``.
"""
from nde_lab.dynamics.scaling_laws_grokking.ascent import EnergyAscent
from nde_lab.dynamics.scaling_laws_grokking.groups import group, modes
from nde_lab.dynamics.scaling_laws_grokking.training import GroupArithmetic

__all__ = ["EnergyAscent", "GroupArithmetic", "group", "modes"]
