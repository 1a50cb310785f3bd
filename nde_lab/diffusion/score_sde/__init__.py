"""Score-based generative modelling through stochastic differential equations.

Song, Sohl-Dickstein, Kingma, Kumar, Ermon, Poole, "Score-Based Generative Modeling through Stochastic
Differential Equations", ICLR 2021, arXiv 2011.13456. The processes with their marginals, priors and reversal in
``processes``, what networks predict in ``predictions``, exact scores in ``mixtures``, the loss in ``matching``,
samplers in ``sampling``, exact likelihoods in ``likelihood``. Live figures in ``film``, ``steps``, ``learned``,
``nats`` and ``horizon``; the results in ``claims`` and ``table``; the chapter's exercises in ``exercises``.
"""
from nde_lab.diffusion.score_sde.film import Film
from nde_lab.diffusion.score_sde.horizon import WrongStart
from nde_lab.diffusion.score_sde.likelihood import Likelihood, divergence, log_likelihood
from nde_lab.diffusion.score_sde.learned import ScoreLine, ScoreRing
from nde_lab.diffusion.score_sde.matching import dsm_loss, early_times
from nde_lab.diffusion.score_sde.mixtures import Mixture
from nde_lab.diffusion.score_sde.nats import LikelihoodRing
from nde_lab.diffusion.score_sde.predictions import KINDS, as_score, convert
from nde_lab.diffusion.score_sde.processes import OU, PROCESSES, VE, VP, Coefficients, Process, SubVP
from nde_lab.diffusion.score_sde.sampling import (
    euler_sample,
    langevin_correct,
    predict_correct,
    predictor_corrector,
)
from nde_lab.diffusion.score_sde.steps import SamplerSteps

__all__ = ["KINDS", "OU", "PROCESSES", "VE", "VP", "Coefficients", "Film", "Likelihood", "LikelihoodRing",
           "Mixture", "Process", "SamplerSteps", "ScoreLine", "ScoreRing", "SubVP", "WrongStart", "as_score",
           "convert", "divergence", "dsm_loss", "early_times", "euler_sample", "langevin_correct",
           "log_likelihood", "predict_correct", "predictor_corrector"]
