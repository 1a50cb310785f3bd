"""Exact dynamics of learning in deep linear networks.

Andrew M. Saxe, James L. McClelland, Surya Ganguli, "Exact solutions to the nonlinear dynamics of learning in
deep linear neural networks", ICLR 2014, arXiv 1312.6120. Solutions in ``theory``, networks in ``network``,
experiments in ``modes``, ``tree``, ``depth`` and ``signals``, results in ``claims`` and ``table``.
"""
from nde_lab.dynamics.deep_linear.depth import DepthDelay
from nde_lab.dynamics.deep_linear.modes import LinearModes
from nde_lab.dynamics.deep_linear.signals import ProductSpectrum
from nde_lab.dynamics.deep_linear.theory import learning_curve, learning_time
from nde_lab.dynamics.deep_linear.tree import ItemsAndProperties

__all__ = ["DepthDelay", "ItemsAndProperties", "LinearModes", "ProductSpectrum", "learning_curve",
           "learning_time"]
