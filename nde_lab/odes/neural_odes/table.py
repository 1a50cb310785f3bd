"""Long claims: flows, controlled equations and latent ODEs, trained over several seeds. Their results are
stored."""
from __future__ import annotations

import functools

import numpy as np
import torch

from nde_lab import data as series
from nde_lab.claims import Verdict, claim
from nde_lab.experiment import Run
from nde_lab.odes.neural_odes import latent as lt
from nde_lab.odes.neural_odes.cde import SineCDE
from nde_lab.odes.neural_odes.flows import LineFlow, RingFlow, pad
from nde_lab.odes.neural_odes.latent_runs import LatentPower
from nde_lab.solvers import solve_ode
from nde_lab.sweep import sweep

PAPER = "on-neural-differential-equations"
SOLVERS = ("nde_lab.solvers.integrate_ode", "nde_lab.solvers.runge_kutta", "nde_lab.solvers.tableaus")
DATA = ("nde_lab.data.sines", "nde_lab.data.paths")


def _rounded(values, digits: int = 3) -> list[float]:
    return [round(float(v), digits) for v in values]


@claim(paper=PAPER, where="augmentation (Dupont et al. 2019; check of the brief)", cost="long", seeds=5,
       uses=SOLVERS, says="a flow on a line keeps the order of points, so it cannot map x to -x; one extra "
                          "channel is enough")
def line_flow_cannot_swap() -> Verdict:
    """Mean squared error on {-1, 1} after 400 Adam steps through 10 RK4 steps; no smaller error on the way."""
    errors = {extra: sweep(LineFlow, {"extra": [extra]}, range(5), steps=200).loss.to_numpy()[0]
              for extra in (0, 1)}
    last = {f"{extra} extra channels, at the end": _rounded(e[:, -1], 4) for extra, e in errors.items()}
    least = float(errors[0].min())
    holds = least > 0.999 and all(v < 1.05 for v in errors[0][:, -1]) and bool((errors[1][:, -1] < 0.05).all())
    return Verdict({**last, "least error ever, 0 extra channels": round(least, 4)},
                   "without: never below 1 (but for 0.001 of rounding), below 1.05 at the end; with one extra "
                   "channel below 0.05, for each seed", holds, unit="mean squared error, 5 seeds")


def ring_evaluations(extra: int, seed: int, trained: int) -> int:
    """How often dopri5 (tolerance 1e-5) evaluates the field of ``RingFlow`` to solve 300 fresh points to 1,
    after so many Adam steps: the largest count of any point, each with its own steps."""
    run = Run(RingFlow, {"extra": extra}, seed=seed, steps=max(trained, 1))
    for _ in range(trained):
        run.step()
    net, params = run.experiment.net, run.experiment.params(run.state)
    with torch.no_grad():
        solution = solve_ode(lambda t, y: net.apply(params, t, y), pad(run.state["fresh"], extra),
                             torch.tensor([0.0, 1.0]), rtol=1e-5, atol=1e-5)
    return int(solution.stats["evaluations"].max())


@claim(paper=PAPER, where="augmentation (Dupont et al. 2019, Fig 6)", cost="long", seeds=5, uses=SOLVERS,
       says="training makes the field harder to solve, and a flow of the plane ends costlier than an "
            "augmented one")
def rings_grow_stiff() -> Verdict:
    """Evaluations of dopri5 for the nested rings, before and after 300 Adam steps."""
    counts = {(extra, steps): [ring_evaluations(extra, s, steps) for s in range(5)]
              for extra in (0, 1) for steps in (0, 300)}
    mean = {k: float(np.mean(v)) for k, v in counts.items()}
    holds = mean[0, 300] > 2 * mean[0, 0] and mean[0, 300] > mean[1, 300]
    return Verdict({f"{'space' if e else 'plane'}, {'trained' if n else 'untrained'}": v
                    for (e, n), v in counts.items()},
                   "in the plane the mean more than doubles by training, and ends above that with an extra "
                   "channel", holds, unit="evaluations of the costliest point, 5 seeds")


class CDEStudy(SineCDE):
    """The sine experiment, tested on 300 series."""
    tests, rates = 300, (0.0, 0.3, 0.5, 0.7)


@claim(paper=PAPER, where="chapter 3 (neural CDEs); Kidger et al. 2020", cost="long", seeds=5,
       uses=(*SOLVERS, *DATA),
       says="with time as a channel a neural CDE stays accurate on irregularly sampled series")
def cde_degrades_gracefully() -> Verdict:
    """Test accuracy on sines, trained complete, at 0, 30, 50, 70 % of the entries removed, after 240 steps."""
    table = {clock: sweep(CDEStudy, {"clock": [clock]}, range(5), steps=240).accuracy.to_numpy()[0]
             for clock in (True, False)}
    with_time, without = (np.median(table[c], axis=0) for c in (True, False))
    holds = bool(with_time[0] > 0.9 and with_time[0] - with_time[2] < 0.15 and without[0] < 0.70)
    return Verdict({"with a time channel": _rounded(with_time), "without": _rounded(without)},
                   "with: above 0.9 complete, less than 0.15 lost at 50 % missing; without: below 0.70 (the "
                   "ends allow 2/3)", holds, unit="share correct at 0/30/50/70 % missing, median of 5 seeds")


class PowerStudy(LatentPower):
    """The real-data run with one more baseline: the last entry that was read."""

    def errors(self, data, state, params, live):
        x = state["test.x"]
        _, seen = self.read(data, state["test.u"], live)
        last = series.fill_forward(data["times"], x.transpose(0, 1), seen.transpose(0, 1)).transpose(0, 1)
        return {**super().errors(data, state, params, live), "last": lt.mean_square(last, x, 1 - seen)}


@functools.cache
def power_errors(steps: int = 1000, seeds: int = 3) -> dict[tuple[str, float, float], list[float]]:
    """(model, read until, missing rate) -> errors of the seeds; each seed has its own split, holes and
    start."""
    rates, until = [0.3, 0.5, 0.7], [1.0, 0.5]
    found = {}
    for kind in lt.KINDS:
        made = sweep(PowerStudy, {"kind": [kind], "until": until, "missing": rates}, range(seeds), steps=steps)
        names = {kind: "error"} if kind == "gru" else {kind: "error", "line": "line", "last": "last",
                                                       "mean": "mean"}
        for name, entry in names.items():
            values = made[entry].isel(kind=0, step=-1).to_numpy()               # (until, missing, seed)
            found |= {(name, u, r): values[i, j].tolist() for i, u in enumerate(until)
                      for j, r in enumerate(rates)}
    return found


@claim(paper=PAPER, where="latent ODE on real irregular data (Rubanova et al. 2019)", cost="long", seeds=3,
       uses=(*SOLVERS, "nde_lab.data.paths"),
       says="a latent ODE fills in and forecasts irregular series better than recurrent models that are told "
            "the gaps")
def latent_ode_on_power() -> Verdict:
    """ItalyPowerDemand, 1000 Adam steps: error on the test entries that were not read, mean of 3 seeds."""
    errors = power_errors()
    names = {"ode": "latent ODE", "gru": "GRU with time gaps", "line": "straight lines", "last": "last value",
             "mean": "mean of the training days"}
    mean = {k: float(np.mean(v)) for k, v in errors.items()}
    tasks = {1.0: "fill in", 0.5: "forecast"}
    table = {f"{task}: {label}": _rounded([mean[n, u, r] for r in (0.3, 0.5, 0.7)])
             for u, task in tasks.items() for n, label in names.items()}
    holds = all(mean["ode", u, r] < mean[n, u, r] for n in ("gru", "line", "last", "mean") for u in tasks
                for r in (0.3, 0.5, 0.7))
    return Verdict(table, "the latent ODE has the smallest error of the five, in both tasks, at 30, 50 and 70 % "
                   "missing", holds,
                   unit="mean squared error in units of a day's variance, at 30/50/70 % missing",
                   note="forecast: the encoder reads the first half of the day, and the error is that of all "
                   "entries it has not read; equal sizes (6 latent, 24 hidden), the same training, no search "
                   "over either")
