"""Neural ODEs that are cheap to solve, with the solver closed: penalise one step at a random time.

Pal, Edelman, Rackauckas, "Locally Regularized Neural Differential Equations: Some Black Boxes Were Meant to
Remain Closed!", ICML 2023, arXiv 2303.02262. Samplers and the local step in ``sampling``, experiments in
``moons`` and ``digits``, the training without a gradient through the solver in ``blackbox``, the results in
``claims``.
"""
from nde_lab.odes.locally_regularized.digits import LocalDigits
from nde_lab.odes.locally_regularized.moons import FourWays
from nde_lab.odes.locally_regularized.sampling import biased, local_penalty, moment, unbiased

__all__ = ["FourWays", "LocalDigits", "biased", "local_penalty", "moment", "unbiased"]
