"""Results of "Opening the blackbox" on its neural SDE, the spiral. Slow to train, so stored."""
from __future__ import annotations

import numpy as np
import torch

from nde_lab.claims import Verdict, claim
from nde_lab.odes.opening_the_blackbox import sde_spiral as spiral
from nde_lab.odes.opening_the_blackbox.sde_solve import solve_sde_pair

PAPER = "opening-the-blackbox-solver-heuristics"
USES = ("nde_lab.optimizers",)
SEEDS, TIGHT = 3, 0.03
RECIPE = ("spiral SDE from (2, 0), mean and variance at 30 times; drift 2-50-2 of y^3, affine diagonal "
          "diffusion; SRI1W1 with its embedded error, rtol = atol = 0.3, first step 0.02, growth at most 5, "
          "one clock per 100 trajectories, rejected steps keep the Brownian path; penalty weight 0.2, Adam "
          "0.01, 250 steps; measured on 20 solves with new noise, the same for all. Processor time (of 40 "
          "solves, in turns) is reported, not judged")


def table(kinds: dict[str, tuple[str, float]], *, ratio: float, loss: float = 1.1) -> tuple[dict, dict]:
    """The ledger's rows of no penalty and of every penalty, {its name in the table: (kind, weight)}, and for
    each whether the median ratios of evaluations and of the moment error keep the bounds."""
    models = {name: [spiral.trained(kind, seed, weight=weight) for seed in range(SEEDS)]
              for name, (kind, weight) in ({"no penalty": ("none", spiral.WEIGHT)} | kinds).items()}
    found = {name: [spiral.measured(params) for params in own] for name, own in models.items()}
    spent = dict(zip(models, np.array([spiral.seconds([own[seed] for own in models.values()])
                                       for seed in range(SEEDS)]).T, strict=True))
    rows, holds = {}, {}
    for name, own in found.items():
        rows |= {f"drift evaluations, {name}": [round(c.drifts, 2) for c in own],
                 f"moment error, {name}": [round(c.error, 4) for c in own],
                 f"moment error without the solver's part, {name}": [round(c.fine_error, 4) for c in own]}
    plain = np.array(found["no penalty"])
    for name in kinds:
        ratios = np.median(np.array(found[name]) / plain, 0)
        rows |= {f"median ratio of evaluations, {name}": round(float(ratios[0]), 3),
                 f"median ratio of moment errors, {name}": round(float(ratios[1]), 3),
                 f"median ratio of prediction times, {name}":
                 round(float(np.median(spent[name] / spent["no penalty"])), 3)}
        holds[name] = bool(ratios[0] <= ratio and ratios[1] <= loss)
    return rows, holds


def price_of_the_spiral() -> dict:
    """Drift evaluations at tolerance 0.03, of the models without a penalty and of the spiral itself."""
    def price(f, g):
        with torch.no_grad():
            return float(np.mean([solve_sde_pair(f, g, spiral.start(spiral.BATCH), rtol=TIGHT, seed=k,
                                                 stream="test").drifts for k in range(20)]))
    return {"drift evaluations at tolerance 0.03, no penalty":
            [round(price(*spiral.fields(spiral.trained("none", seed, weight=spiral.WEIGHT))), 1)
             for seed in range(SEEDS)],
            "drift evaluations at tolerance 0.03, the spiral itself":
            round(price(spiral.true_drift, spiral.true_diffusion), 1)}


def only_the_end() -> dict:
    """The same training when nothing but the moments at t = 1 is asked for, so that the way there is free."""
    rows = {}
    for name, kind in (("no penalty", "none"), ("R_E", "global")):
        own = [spiral.measured(spiral.trained(kind, seed, weight=spiral.WEIGHT, first=spiral.TIMES - 1),
                               first=spiral.TIMES - 1) for seed in range(SEEDS)]
        rows |= {f"drift evaluations, only the end asked for, {name}": [round(c.drifts, 2) for c in own],
                 f"moment error of the end, {name}": [round(c.error, 4) for c in own],
                 f"moment error of the end without the solver's part, {name}":
                 [round(c.fine_error, 4) for c in own]}
    return rows


@claim(paper=PAPER, where="abstract, spiral SDE", cost="long", seeds=SEEDS, uses=USES,
       says="penalising the error estimate halves the prediction time of a neural SDE at the same accuracy")
def error_penalty_on_the_spiral_sde() -> Verdict:
    """Global penalty, sum of q h, weight 0.2 as released. Two comparisons beside it are not judged."""
    rows, holds = table({"R_E": ("global", spiral.WEIGHT)}, ratio=0.5)
    return Verdict(rows | price_of_the_spiral() | only_the_end(), "median ratio of evaluations <= 0.5, of "
                   "moment errors <= 1.1 (the second bound is ours)", all(holds.values()),
                   unit="one per seed", note=RECIPE)
