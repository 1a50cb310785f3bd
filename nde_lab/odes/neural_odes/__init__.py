"""Neural ODEs: what a flow can do, how its gradient is computed, latent ODEs and neural CDEs for series with holes.

Kidger, "On Neural Differential Equations", DPhil thesis, 2022, arXiv 2202.02435, chapters 2, 3 and 5. Flows in
``flows``, gradients in ``adjoints`` (pure functions) and ``gradients`` (figures), latent ODEs in ``latent``
(model), ``waves`` (simulated) and ``power`` (real series), controlled equations in ``cde``, results in
``claims`` and ``table``.
"""
from nde_lab.odes.neural_odes.flows import LineFlow, RingFlow
from nde_lab.odes.neural_odes.gradients import GradientErrors, LorenzBackward

__all__ = ["GradientErrors", "LineFlow", "LorenzBackward", "RingFlow"]
