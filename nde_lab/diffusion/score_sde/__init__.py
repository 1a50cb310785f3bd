"""Score-based generative modelling through stochastic differential equations.

Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole, "Score-Based Generative Modeling through Stochastic
Differential Equations", ICLR 2021, arXiv 2011.13456. The processes with their marginals, priors and reversal in
``processes``, what networks predict in ``predictions``, exact scores in ``mixtures``, the loss in ``matching``,
samplers in ``sampling``, exact likelihoods in ``likelihood``, live training in ``learned``, the results in
``claims``.
"""
from nde_lab.diffusion.score_sde.likelihood import Likelihood, divergence, log_likelihood
from nde_lab.diffusion.score_sde.learned import ScoreLine, ScoreRing
from nde_lab.diffusion.score_sde.matching import dsm_loss, early_times
from nde_lab.diffusion.score_sde.mixtures import Mixture
from nde_lab.diffusion.score_sde.predictions import KINDS, as_score, convert
from nde_lab.diffusion.score_sde.processes import OU, PROCESSES, VE, VP, Coefficients, Process, SubVP
from nde_lab.diffusion.score_sde.sampling import euler_sample, langevin_correct, predictor_corrector

__all__ = ["KINDS", "OU", "PROCESSES", "VE", "VP", "Coefficients", "Likelihood", "Mixture", "Process",
           "ScoreLine", "ScoreRing", "SubVP", "as_score", "convert", "divergence", "dsm_loss", "early_times",
           "euler_sample", "langevin_correct", "log_likelihood", "predictor_corrector"]
