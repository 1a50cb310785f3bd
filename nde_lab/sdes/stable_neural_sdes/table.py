"""The accuracy tables: five models on the sines and on real series, trained complete, tested with entries
removed.

Long claims: minutes on one core, so their results are stored. All seeds of one model train together
(``sweep``).
"""
from __future__ import annotations

import functools

import numpy as np

from nde_lab.claims import Verdict, claim
from nde_lab.sdes.stable_neural_sdes.archive import SeriesClassifier
from nde_lab.sdes.stable_neural_sdes.sines import SineClassifier
from nde_lab.sweep import sweep

PAPER = "stable-neural-sdes"
MODELS = {"naive, no path": ("naive", False), "naive, path": ("naive", True), "LSDE": ("LSDE", True),
          "LNSDE": ("LNSDE", True), "GSDE": ("GSDE", True)}
RATES = (0.0, 0.3, 0.5, 0.7)
USES = ("nde_lab.optimizers", "nde_lab.data.sines", "nde_lab.data.paths")
RECIPE = ("Adam 1e-2, batch 50, gradient norm 1, T = 4, H = 16, noise start theta = -2; channels "
          "standardised; He start in the drift, because with PyTorch's smaller default some seeds still "
          "guess after 40 epochs")


class SineStudy(SineClassifier):
    """The sine experiment, tested on 400 series with 4 noise draws each."""
    tests, draws_of_noise, rates = 400, 4, RATES


class SeriesStudy(SeriesClassifier):
    """The real-data experiment at full resolution, tested with 8 noise draws."""
    draws_of_noise, rates, every = 8, RATES, 1


@functools.cache
def sine_accuracies(seeds: int = 5, steps: int = 240) -> dict[str, np.ndarray]:
    """Test accuracy (seeds, rates) of each model after 40 epochs on the sines."""
    return {name: sweep(SineStudy, {"kind": [kind], "control": [control]}, range(seeds), steps=steps)
            .accuracy.to_numpy().reshape(seeds, len(RATES)) for name, (kind, control) in MODELS.items()}


@functools.cache
def series_accuracies(dataset: str, steps: int, seeds: int = 3) -> dict[str, np.ndarray]:
    """Test accuracy (seeds, rates) of each model on a real set; each seed has its own split."""
    return {name: sweep(SeriesStudy, {"dataset": [dataset], "kind": [kind], "control": [control]},
                        range(seeds), steps=steps).accuracy.to_numpy().reshape(seeds, len(RATES))
            for name, (kind, control) in MODELS.items()}


def _rows(table: dict[str, np.ndarray], reduce) -> dict[str, list[float]]:
    return {name: [round(float(v), 3) for v in reduce(values, axis=0)] for name, values in table.items()}


@claim(paper=PAPER, where="experiments", cost="long", seeds=5, uses=USES,
       says="the three stable classes classify irregular time series well")
def sines_accuracy() -> Verdict:
    """Median accuracy over 5 seeds on the simulated sines, complete test data."""
    table = _rows(sine_accuracies(), np.median)
    holds = all(table[m][0] > 0.60 for m in ("LSDE", "LNSDE", "GSDE")) and table["GSDE"][0] > 0.85
    return Verdict({f"{m} at 0/30/50/70 % missing": v for m, v in table.items()},
                   "median accuracy on complete data > 0.60 for LSDE, LNSDE, GSDE, and > 0.85 for GSDE "
                   "(chance: 0.33)",
                   holds, note=f"{RECIPE}. That a stable class beats the naive one with a control path is "
                   "not claimed.", unit="share correct, median of 5 seeds")


@claim(paper=PAPER, where="Table 5", cost="long", seeds=5, uses=USES,
       says="the control path is what lets the drift see the series")
def sines_need_the_path() -> Verdict:
    """The naive neural SDE without control path sees the first observation only."""
    table = _rows(sine_accuracies(), np.median)
    return Verdict({m: table[m][0] for m in ("naive, no path", "naive, path")},
                   "median accuracy of the naive neural SDE without control path < 0.45 (chance: 0.33)",
                   table["naive, no path"][0] < 0.45, note="same runs as sines_accuracy",
                   unit="share correct, median of 5 seeds, complete data")


@claim(paper=PAPER, where="abstract", cost="long", seeds=5, uses=USES,
       says="the stable classes are robust under distribution shift: missing entries cost little accuracy")
def sines_robust_to_missing() -> Verdict:
    """Trained on complete series, tested with half of the entries removed."""
    table = sine_accuracies()
    drops = {m: round(float(np.median(table[m][:, 0]) - np.median(table[m][:, RATES.index(0.5)])), 3)
             for m in MODELS}
    return Verdict(drops, "accuracy drop from 0 to 50 % missing < 0.10 for LSDE, LNSDE, GSDE",
                   all(drops[m] < 0.10 for m in ("LSDE", "LNSDE", "GSDE")),
                   note="same runs as sines_accuracy; difference of the medians over 5 seeds",
                   unit="share correct")


@claim(paper=PAPER, where="Table 4", cost="long", seeds=3, uses=USES,
       says="over 30 public sets and four missing rates the stable classes classify best on average")
def real_series() -> Verdict:
    """BasicMotions, JapaneseVowels and ItalyPowerDemand, 3 seeds each with its own 70/15/15 split."""
    tables = {name: series_accuracies(name, steps) for name, steps in
              (("BasicMotions", 150), ("JapaneseVowels", 300), ("ItalyPowerDemand", 450))}
    measured = {f"{name}: {m}": v for name, table in tables.items() for m, v in _rows(table, np.mean).items()}
    mean = {m: np.mean([t[m].mean(0) for t in tables.values()], axis=0) for m in MODELS}
    measured |= {f"average: {m}": [round(float(v), 3) for v in row] for m, row in mean.items()}
    stable = np.max([mean[m] for m in ("LSDE", "LNSDE", "GSDE")], axis=0)
    naive = np.max([mean["naive, no path"], mean["naive, path"]], axis=0)
    return Verdict(measured, "the best stable class has a higher average accuracy than both naive models at "
                   "0, 30, 50 and 70 % missing", bool((stable > naive).all()),
                   note=f"{RECIPE}; trained on complete data (the paper also removes entries in training), "
                   "fixed number of steps, no selection on the validation part; test parts are small (12 "
                   "series in BasicMotions), so differences of a few points mean nothing",
                   unit="share correct at 0/30/50/70 % missing, mean of 3 seeds")
