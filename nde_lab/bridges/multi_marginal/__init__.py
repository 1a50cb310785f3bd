"""Schroedinger bridges: the likeliest way from one crowd to another, given what the crowd does by itself."""
from nde_lab.bridges.multi_marginal.gaussian import GaussianBridge
from nde_lab.bridges.multi_marginal.reference import Reference

__all__ = ["GaussianBridge", "Reference"]
