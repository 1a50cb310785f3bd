"""Denoising MCMC: run the chain in data and noise level together, then denoise from the level it is at.

Kim, Ye, "Denoising MCMC for Accelerating Diffusion-Based Generative Models", ICML 2023, arXiv 2209.14593. The
chain in ``gibbs``, the integrator in ``karras``, results in ``claims``, the live figure in ``chains``.
"""
from nde_lab.diffusion.denoising_mcmc.gibbs import (
    NoiseClock,
    calmest,
    dlg_chain,
    draw_level,
    gibbs_turn,
    langevin,
    level_given,
    level_logs,
    levels,
    likeliest_level,
    score_at,
)
from nde_lab.diffusion.denoising_mcmc.karras import denoise, heun_step, karras_levels, tweedie

__all__ = ["NoiseClock", "calmest", "denoise", "dlg_chain", "draw_level", "gibbs_turn", "heun_step",
           "karras_levels", "langevin", "level_given", "level_logs", "levels", "likeliest_level", "score_at",
           "tweedie"]
