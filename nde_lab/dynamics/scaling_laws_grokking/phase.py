"""Memorise or grok: test accuracy over modulus M and fraction p, and the line p = 2.75 log M / M.

Yuandong Tian, arXiv 2509.21519, theorem 4 and figure 5; the factor 2.7482 is that of the official code.
"""
from __future__ import annotations

import math

import numpy as np

from nde_lab.claims import Verdict, claim, claims
from nde_lab.dynamics.scaling_laws_grokking.training import GroupArithmetic
from nde_lab.experiment import Frame, Status
from nde_lab.sweep import sweep
from nde_lab.views import Axis, HeatMap, Line, Panel, Points, View

PAPER = "provable-scaling-laws-grokking"
MODULI = (17, 19, 23, 31)
FRACTIONS = tuple(round(0.25 + 0.05 * i, 2) for i in range(6))


def predicted(M):
    """The fraction of pairs at which memorising gives way to grokking: 2.7482 log M / M."""
    return 2.7482 * np.log(M) / M


def crossing(p, accuracy) -> float:
    """Where accuracy, read along rising p, first passes one half (linear in between); NaN if it never does."""
    p, accuracy = np.asarray(p, float), np.asarray(accuracy, float)
    above = np.flatnonzero(accuracy >= 0.5)
    if len(above) == 0 or above[0] == 0:
        return math.nan
    i = above[0]
    return float(p[i - 1] + (0.5 - accuracy[i - 1]) / (accuracy[i] - accuracy[i - 1]) * (p[i] - p[i - 1]))


def diagram(moduli=MODULI, fractions=FRACTIONS, seeds=(0, 1), *, steps: int = 1500, lr: float = 0.005, **how):
    """Final test accuracy as an ``xarray.DataArray`` (group, p, seed), by ``sweep``; ``how``: its ``store`` and
    ``executor``. The defaults take about three minutes on one quiet core."""
    over = {"group": [f"Z{M}" for M in moduli], "p": list(fractions), "lr": [lr]}
    return sweep(GroupArithmetic, over, seeds, steps=steps, **how)["test"].isel(step=-1, lr=0)


@claim(paper=PAPER, where="Thm 4, Fig 5", cost="long", seeds=2, uses=("nde_lab.optimizers", "nde_lab.sweep"),
       says="the boundary between memorising and grokking follows p = 2.75 log M / M")
def boundary_follows_log_M_over_M() -> Verdict:
    """M = 17, 19, 23, 31, p = 0.25 .. 0.5, K = 256, Adam, lr 0.005, decay 2e-4, 1500 steps, 2 seeds."""
    accuracy = diagram().mean("seed")
    rows, ratios = {}, {}
    for M in MODULI:
        row = accuracy.sel(group=f"Z{M}").values
        ratios[M] = crossing(FRACTIONS, row) / predicted(M)
        rows[f"M = {M}"] = [round(float(a), 3) for a in row]
    for M in MODULI:
        rows[f"boundary at M = {M}"] = [round(ratios[M] * predicted(M), 3), round(float(predicted(M)), 3)]
    holds = all(abs(ratios[M] - 1) < 0.15 for M in (17, 23, 31))
    return Verdict(rows, "the p of 50 % test accuracy within 15 % of 2.75 log M / M at M = 17, 23, 31", holds,
                   unit="test accuracy at p = 0.25, 0.30, ..., 0.50, mean of the seeds; boundary measured, "
                        "predicted")


def phase_view() -> View:
    return View([Panel("Test accuracy after 1500 steps", Axis("modulus M", low=16, high=35),
                       Axis("fraction of the table seen, p", low=0.225, high=0.525),
                       [HeatMap("accuracy", "M", "p", label="test accuracy", low=0, high=1),
                        Line("M_line", "line", role="test", label="2.75 log M / M"),
                        Points("M", "boundary", role="test", label="measured: accuracy 1/2")],
                       alt="Heat map of test accuracy over modulus and fraction seen: near zero below the curve 2.75 "
                           "log M / M, near one above it; the measured boundary points lie on the curve or a "
                           "little below.")],
                columns=1)


def stored_frame() -> Frame:
    """The stored diagram as a frame for ``phase_view``. Raises ValueError if it was never computed."""
    row = next(c for c in claims(paper=PAPER) if c.name == "boundary_follows_log_M_over_M").stored()
    if row is None:
        raise ValueError(f"the phase diagram is not stored; run `nde-lab claims --paper {PAPER} --long`")
    measured = row["verdict"]["measured"]
    line = np.linspace(16, 35, 50)
    arrays = {"M": np.array(MODULI, float), "p": np.array(FRACTIONS),
              "accuracy": np.array([measured[f"M = {M}"] for M in MODULI]).T,
              "boundary": np.array([measured[f"boundary at M = {M}"][0] for M in MODULI]),
              "M_line": line, "line": predicted(line)}
    return Frame(1500, {}, arrays, Status("finished", "finished: 1500 steps", 1500), {}, 0)
