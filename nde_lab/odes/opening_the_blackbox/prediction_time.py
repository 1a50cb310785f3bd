"""Prediction time on the digits: what fewer evaluations are worth in processor time."""
from __future__ import annotations

import time

import numpy as np
import torch

from nde_lab.claims import Verdict, claim
from nde_lab.experiment import Run
from nde_lab.odes.opening_the_blackbox.digits import DigitsODE
from nde_lab.odes.opening_the_blackbox.heuristics import CONTROL, H0
from nde_lab.solvers import solve_ode

PAPER = "opening-the-blackbox-solver-heuristics"
RTOL, STEPS, REPEATS = 1e-4, 60, 40


def predictor(kind: str, steps: int = STEPS, seed: int = 0):
    """A function without arguments that classifies the test pictures by an adaptive solve (no record kept, as
    many steps as it takes) and returns its number of evaluations; trained for a few steps first."""
    run = Run(DigitsODE, {"kind": kind, "rtol": RTOL, "lam": 1.0}, seed=seed, steps=steps)
    for _ in run:
        pass
    net, x = run.experiment.net, run.experiment.data()["test_x"]
    params = net.params(run.state)
    field, calls = run.experiment.field(params, len(x)), [0]

    def counted(t, y):
        calls[0] += 1
        return field(t, y)

    def predict() -> int:
        calls[0] = 0
        with torch.no_grad():
            end = solve_ode(counted, x.reshape(1, -1), torch.tensor([0.0, 1.0]), rtol=RTOL, atol=RTOL,
                            first_step=H0, controller=CONTROL).ys[-1]
            net.apply(params, end.reshape(-1, 64)).argmax(-1)
        return calls[0]
    return predict


def seconds(predictors, repeats: int = REPEATS) -> list[float]:
    """Median processor time of each, s, taken in turns."""
    spent = np.zeros((repeats, len(predictors)))
    for r in range(repeats):
        for i, predict in enumerate(predictors):
            began = time.process_time()
            predict()
            spent[r, i] = time.process_time() - began
    return np.median(spent, 0).tolist()


@claim(paper=PAPER, where="abstract", cost="long", seeds=1, uses=("nde_lab.optimizers", "nde_lab.data.digits"),
       says="penalising the solver's error estimate halves prediction time")
def prediction_time_on_digits() -> Verdict:
    """397 test pictures, networks after 60 training steps with and without the penalty."""
    both = [predictor("none"), predictor("error")]
    counts, spent = [predict() for predict in both], seconds(both)
    return Verdict({"evaluations, no penalty": counts[0], "evaluations, R_E": counts[1],
                    "ratio of evaluations": round(counts[1] / counts[0], 3),
                    "milliseconds, no penalty": round(1e3 * spent[0], 1),
                    "milliseconds, R_E": round(1e3 * spent[1], 1),
                    "ratio of prediction times": round(spent[1] / spent[0], 3)},
                   "ratio of prediction times <= 0.5", spent[1] <= 0.5 * spent[0],
                   note="processor time of one core, median of 40 adaptive solves of the test batch in turns; "
                        "rtol = atol = 1e-4, penalty 1, one seed. With our first step a solve has at least 19 "
                        "evaluations")
