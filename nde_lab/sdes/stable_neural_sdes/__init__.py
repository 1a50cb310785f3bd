"""Stable neural SDEs: three classes with guarantees, for irregular time series.

Oh, Lim, Kim, "Stable Neural Stochastic Differential Equations in Analyzing Irregular Time Series Data", ICLR
2024, arXiv 2402.14989. Pure forms and the trained form in ``models``, closed forms in ``forms``, experiments
without training in ``stability``, the classifiers in ``sines`` (simulated) and ``archive`` (real series), the
results in ``claims``.
"""
from nde_lab.sdes.stable_neural_sdes.models import (
    GSDE,
    KINDS,
    LNSDE,
    LSDE,
    NaiveSDE,
    NeuralSDE,
    SDEClassifier,
    classifier,
)
from nde_lab.sdes.stable_neural_sdes.archive import SeriesClassifier
from nde_lab.sdes.stable_neural_sdes.sines import SineClassifier
from nde_lab.sdes.stable_neural_sdes.stability import CoupledPaths, EulerCubic, RotationNoise

__all__ = ["GSDE", "KINDS", "LNSDE", "LSDE", "CoupledPaths", "EulerCubic", "NaiveSDE", "NeuralSDE",
           "RotationNoise", "SDEClassifier", "SeriesClassifier", "SineClassifier", "classifier"]
