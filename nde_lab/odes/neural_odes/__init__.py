"""Neural ODEs: what a flow can do, how its gradient is computed, latent ODEs and neural CDEs for irregular
series.

Kidger, "On Neural Differential Equations", DPhil thesis, 2022, arXiv 2202.02435, chapters 2, 3 and 5. Flows in
``flows``, gradients in ``adjoints`` (pure functions) and ``gradients`` (figures), latent ODEs in ``latent``
(model) and ``latent_runs`` (simulated and real series), controlled equations in ``cde``, results in ``claims``,
``table``, ``sines`` and ``power``.
"""
from nde_lab.odes.neural_odes.cde import Reparametrised, SineCDE
from nde_lab.odes.neural_odes.flows import LineFlow, RingFlow
from nde_lab.odes.neural_odes.gradients import GradientErrors, LorenzBackward
from nde_lab.odes.neural_odes.latent_runs import LatentPower, LatentWaves

__all__ = ["GradientErrors", "LatentPower", "LatentWaves", "LineFlow", "LorenzBackward", "Reparametrised",
           "RingFlow", "SineCDE"]
