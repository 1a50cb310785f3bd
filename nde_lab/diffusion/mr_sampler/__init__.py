"""MR Sampler: fast sampling of mean-reverting diffusion, which restores images.

Li, Fang, Zhao, Lu, Yang, Xu, "MRS: A Fast Sampler for Mean Reverting Diffusion based on ODE and SDE Solvers",
ICLR 2025, arXiv 2502.07856. The process with marginals, prior and reversal in ``process``, the samplers in
``solver``, results in ``claims``, live figures in ``restore``.
"""
from nde_lab.diffusion.mr_sampler.process import KINDS, Deviation, MeanReverting
from nde_lab.diffusion.mr_sampler.solver import FORMS, mr_solve, mr_step

__all__ = ["FORMS", "KINDS", "Deviation", "MeanReverting", "mr_solve", "mr_step"]
