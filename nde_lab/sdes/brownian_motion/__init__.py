"""The first chapter: random walks, Brownian motion, Ito's integral and formula, Langevin and Fokker-Planck.

Experiments: ``walks`` (RandomWalk), ``bridge`` (BridgeRefinement), ``ito`` (ItoIntegral, GeometricGrowth),
``ou`` (OrnsteinUhlenbeck), ``langevin`` (DoubleWell, Hopping), ``market`` (SharePrice). The Fokker-Planck
equation on a grid is in ``fokker_planck``, measured results in ``claims``. Sources: Øksendal, "Stochastic
Differential Equations"; Evans, "An Introduction to Stochastic Differential Equations"; Kidger, "On Neural
Differential Equations", arXiv 2202.02435.
"""
from nde_lab.sdes.brownian_motion.bridge import BridgeRefinement, bridge_law, refine
from nde_lab.sdes.brownian_motion.ito import GeometricGrowth, ItoIntegral
from nde_lab.sdes.brownian_motion.langevin import DoubleWell, Hopping
from nde_lab.sdes.brownian_motion.market import SharePrice, quadratic_variation, share_prices
from nde_lab.sdes.brownian_motion.ou import OrnsteinUhlenbeck
from nde_lab.sdes.brownian_motion.walks import CELLS, FINE, RandomWalk

__all__ = ["CELLS", "FINE", "BridgeRefinement", "DoubleWell", "GeometricGrowth", "Hopping", "ItoIntegral",
           "OrnsteinUhlenbeck", "RandomWalk", "SharePrice", "bridge_law", "quadratic_variation", "refine",
           "share_prices"]
