"""Labelled time series: real sets, simulated sines, missing entries, and paths through what was observed; digits.

    series = load_series("BasicMotions")                        # (80, 100, 6), NaN where nothing was observed
    train, validation, test = standardise(*split(series, seed=0))
    holes = remove_entries(test.values, 0.5, seed=0)            # half of the entries become NaN
    path = with_time(test.times, fill_forward(test.times, holes))     # (12, 100, 7), no NaN, time first
    train, test = load_digits()                                 # 1400 and 397 pictures, (n, 64) in [0, 1]
"""
from nde_lab.data.archive import bundled, load_series
from nde_lab.data.digits import Digits, load_digits
from nde_lab.data.paths import fill_forward, hermite, linear, refine, with_time
from nde_lab.data.series import (
    Series,
    as_series,
    channel_moments,
    missing_mask,
    remove_entries,
    split,
    standardise,
)
from nde_lab.data.sines import irregular_sines, sines, sines_draws, sines_labels

__all__ = [
    "Digits", "Series", "as_series", "bundled", "channel_moments", "fill_forward", "hermite", "irregular_sines",
    "linear", "load_digits", "load_series", "missing_mask", "refine", "remove_entries", "sines", "sines_draws",
    "sines_labels", "split", "standardise", "with_time",
]
