"""The principles of diffusion models: three views of one family, as identities that can be checked.

Lai, Song, Kim, Mitsufuji, Ermon, "The Principles of Diffusion Models", 2025, arXiv 2510.21890. Schedules and
the way between kernel and SDE in ``schedules``, the hierarchy of Gaussians in ``kernels``, what regressions
are asked and what they find in ``matching``, flow maps in ``flow_maps``, guidance in ``guidance``, one-step
maps in ``consistency``; live figures in ``schedule_paths``, ``prediction_kinds``, ``guided_classes`` and
``steps_race``; the results in ``claims`` and ``table``.
"""
from nde_lab.diffusion.principles_of_diffusion.consistency import Consistency, along_flow
from nde_lab.diffusion.principles_of_diffusion.flow_maps import GaussianFlow, mean_velocity_gap
from nde_lab.diffusion.principles_of_diffusion.guidance import TwoClasses, guided, guided_moments
from nde_lab.diffusion.principles_of_diffusion.guided_classes import GuidedClasses
from nde_lab.diffusion.principles_of_diffusion.kernels import ancestral_step, reverse_kernel, snr, step_kl
from nde_lab.diffusion.principles_of_diffusion.matching import noise_weight, square_errors, target
from nde_lab.diffusion.principles_of_diffusion.prediction_kinds import PredictionKinds
from nde_lab.diffusion.principles_of_diffusion.schedule_paths import SchedulePaths
from nde_lab.diffusion.principles_of_diffusion.schedules import (
    SCHEDULES,
    Affine,
    Cosine,
    Linear,
    kernel_of,
    sde_of,
    slopes,
)
from nde_lab.diffusion.principles_of_diffusion.steps_race import StepsRace

__all__ = ["SCHEDULES", "Affine", "Consistency", "Cosine", "GaussianFlow", "GuidedClasses", "Linear",
           "PredictionKinds", "SchedulePaths", "StepsRace", "TwoClasses", "along_flow", "ancestral_step",
           "guided", "guided_moments", "kernel_of", "mean_velocity_gap", "noise_weight", "reverse_kernel",
           "sde_of", "slopes", "snr", "square_errors", "step_kl", "target"]
