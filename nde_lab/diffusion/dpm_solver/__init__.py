"""DPM-Solver: sampling a diffusion model in a few dozen evaluations.

Lu, Zhou, Bao, Chen, Li, Zhu, "DPM-Solver: A Fast ODE Solver for Diffusion Probabilistic Model Sampling in
Around 10 Steps", NeurIPS 2022, arXiv 2206.00927. Solvers in ``solver``, results in ``claims``.
"""
from nde_lab.diffusion.dpm_solver.solver import (
    ddim_solve,
    dpm_solve,
    dpm_step,
    lambda_times,
    noise_of,
    remainder,
)

__all__ = ["ddim_solve", "dpm_solve", "dpm_step", "lambda_times", "noise_of", "remainder"]
