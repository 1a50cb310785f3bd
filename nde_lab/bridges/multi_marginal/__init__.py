"""Schroedinger bridges: the likeliest way from one crowd to another, given what the crowd does by itself.

The two-marginal theory of Shen, Berlinghieri, Broderick, "Multi-marginal Schroedinger bridges with iterative reference
refinement", arXiv 2408.06277 (2024). The reference in ``reference``; bridges in closed form between normal laws
(``gaussian``) and between clouds (``static``); learned ones by drift regression (``ipf``, ``line``) and by bridge
matching (``matching``); live figures in ``cloud_paths``, ``line_ipf`` and ``matched``; the results in ``claims``.
"""
from nde_lab.bridges.multi_marginal.gaussian import GaussianBridge
from nde_lab.bridges.multi_marginal.ipf import KernelDrift, PerTimeLinear, ipf
from nde_lab.bridges.multi_marginal.matching import BridgeMixture, bridge_target, fitted_coupling, on_bridge
from nde_lab.bridges.multi_marginal.reference import Reference
from nde_lab.bridges.multi_marginal.static import PointBridge, simulate

__all__ = ["BridgeMixture", "GaussianBridge", "KernelDrift", "PerTimeLinear", "PointBridge", "Reference",
           "bridge_target", "fitted_coupling", "ipf", "on_bridge", "simulate"]
