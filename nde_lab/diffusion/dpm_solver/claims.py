"""Quick claims: measured orders, DDIM, and error against evaluations, on a mixture whose score is exact.

All in float64, VP with beta from 0.1 to 20, from t = 1 to 0.001; the only error is the solver's.
"""
from __future__ import annotations

import functools

import torch
from torch import Tensor

from nde_lab.claims import Verdict, claim
from nde_lab.diffusion.dpm_solver.solver import ORDERS, ddim_solve, dpm_solve, lambda_times, noise_of
from nde_lab.diffusion.score_sde import VP, Mixture
from nde_lab.metrics import fitted_slope
from nde_lab.random import Normal, sample
from nde_lab.solvers import integrate_ode, solve_ode

PAPER = "dpm-solver"
PROCESS = VP()
BUMPS = Mixture.of([-1.0, 0.2, 1.5], [0.2, 0.3, 0.15], [0.3, 0.4, 0.3])
SAMPLERS = ("order 1", "order 2", "order 3", "DDIM", "Euler in t", "midpoint in t", "RK4 in t")
_METHODS = {"Euler in t": ("euler", 1), "midpoint in t": ("midpoint", 2), "RK4 in t": ("rk4", 4)}


@functools.cache
def starts(n: int = 500) -> Tensor:
    """n points of the prior, (n, 1)."""
    return sample({"x": Normal((n, 1))}, seed=0, stream="start", dtype=torch.float64)["x"]


def sampled(sampler: str, evaluations: int, x: Tensor | None = None) -> Tensor:
    """Where a sampler takes x (default: the starts) in that many evaluations of the score (a multiple of its
    order)."""
    x = starts() if x is None else x
    calls = int(sampler[-1]) if sampler.startswith("order") else _METHODS.get(sampler, ("", 1))[1]
    if evaluations % calls:
        raise ValueError(f"{sampler} takes {calls} evaluations a step; {evaluations} is no multiple of that")
    steps, score = evaluations // calls, BUMPS.score(PROCESS)
    if sampler in _METHODS:
        return integrate_ode(PROCESS.flow(score), x, PROCESS.times(steps), method=_METHODS[sampler][0],
                             save="last")
    times, noise = lambda_times(PROCESS, steps), noise_of(score, PROCESS)
    if sampler == "DDIM":
        return ddim_solve(noise, PROCESS, x, times)
    return dpm_solve(noise, PROCESS, x, times, order=calls)


@functools.cache
def reference() -> Tensor:
    """The flow by an adaptive solver in t to 1e-11, a program that knows nothing of lambda."""
    flow = PROCESS.flow(BUMPS.score(PROCESS))
    return solve_ode(flow, starts(), PROCESS.times(1), method="dopri5", rtol=1e-11, atol=1e-11).ys[-1]


def error(sampler: str, evaluations: int, *, median: bool = False) -> float:
    """RMS (or median absolute) error over the starts."""
    off = (sampled(sampler, evaluations) - reference()).abs()
    return (off.median() if median else off.square().mean().sqrt()).item()


@claim(paper=PAPER, where="Theorem 3.2", says="DPM-Solver-k has global error O(h^k) for k = 1, 2, 3")
def dpm_orders() -> Verdict:
    """Median absolute error at 40, 80, 160 and 320 steps uniform in lambda."""
    steps = (40, 80, 160, 320)
    errors = {k: [error(f"order {k}", k * n, median=True) for n in steps] for k in ORDERS}
    slopes = {f"order {k}": round(-fitted_slope(steps, errors[k]), 3) for k in ORDERS}
    return Verdict(slopes, "slope of log error against log steps within 0.15 of 1, 2, 3",
                   all(abs(slopes[f"order {k}"] - k) < 0.15 for k in ORDERS), unit="measured order")


@claim(paper=PAPER, where="Section 4.1", says="the first-order member is exactly DDIM")
def first_order_is_ddim() -> Verdict:
    """Two programs, the same 20 steps."""
    gap = (sampled("order 1", 20) - sampled("DDIM", 20)).abs().max().item()
    return Verdict(gap, "largest difference below 1e-12", gap < 1e-12)


@claim(paper=PAPER, where="experiments (toy)", says="with few evaluations a higher order samples more exactly")
def error_against_evaluations() -> Verdict:
    """All samplers at equal numbers of evaluations; the paper's measure is FID, ours the error of the flow."""
    table = {name: [error(name, n) for n in (12, 24, 48)] for name in SAMPLERS}
    holds = all(table["order 3"][i] < table["order 2"][i] < table["order 1"][i] for i in (1, 2))
    return Verdict({name: [round(v, 5) for v in row] for name, row in table.items()},
                   "at 24 and 48 evaluations order 3 < order 2 < order 1", holds,
                   note="at 12 evaluations the plain schemes in t are ahead on this smooth problem: nothing is "
                        "claimed there", unit="RMS error at 12, 24, 48 evaluations")


@claim(paper=PAPER, where="abstract (toy)", says="4 to 16 times fewer evaluations than earlier samplers need")
def dpm_saves_evaluations() -> Verdict:
    """How many evaluations order 3 needs to be as exact as 200 Euler steps in t."""
    goal = error("Euler in t", 200)
    needed = next(n for n in range(3, 99, 3) if error("order 3", n) <= goal)
    third, ddim = error("order 3", 18), error("DDIM", 18)
    return Verdict({"evaluations for the error of Euler at 200": needed,
                    "error of Euler at 200": round(goal, 5),
                    "order 3 at 18": round(third, 4), "DDIM at 18": round(ddim, 4)},
                   "at most 36 evaluations, and at 18 a smaller error than DDIM", needed <= 36 and third < ddim)
