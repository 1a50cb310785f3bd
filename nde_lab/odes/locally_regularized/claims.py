"""Results of "Locally regularized neural differential equations": the estimator (quick), the digits (long)."""
from __future__ import annotations

import torch

from nde_lab.claims import Verdict, claim
from nde_lab.experiment import Run
from nde_lab.odes.locally_regularized.blackbox import BlackBoxDigits
from nde_lab.odes.locally_regularized.digits import LocalDigits
from nde_lab.odes.locally_regularized.sampling import local_penalty, repeat, unbiased
from nde_lab.odes.opening_the_blackbox.claims import RECIPE, SEEDS, USES, compare, digits
from nde_lab.odes.opening_the_blackbox.heuristics import solve
from nde_lab.odes.opening_the_blackbox.stack import Stack
from nde_lab.random import Normal, Uniform, sample

PAPER = "locally-regularized-ndes"
HERE = "nde_lab.odes.opening_the_blackbox"
ALL = (*USES, f"{HERE}.claims", f"{HERE}.digits", f"{HERE}.heuristics")


def frozen(seed: int = 0):
    """A field with its start drawn, a batch of 32 points as one row, and its solve: f, y0 (1, 64), solved."""
    stack = Stack(1, 2, wiggle=4.0)
    drawn = sample(stack.draws | {"x": Normal((32, 2))}, seed=seed, stream="start", dtype=torch.float64)
    f = stack.field(stack.init(drawn), 5.0)
    y0 = stack.batches(drawn["x"])
    return f, y0, solve(f, y0, rtol=1e-5, turns=20)


def heuristic(f, solved, tau) -> torch.Tensor:
    """r at the times tau (n,) of one solve, (n,)."""
    turns = repeat(solved.turns, len(tau))
    return local_penalty(f, unbiased(f, turns, tau), rtol=1e-5)


@claim(paper=PAPER, where="method: unbiased sampling",
       says="with a uniform time the local penalty is an unbiased estimate of the time-averaged heuristic")
def unbiased_sampler_is_unbiased() -> Verdict:
    """A frozen network, 2000 sampled times against the trapezoid average of r(t) on 2001 points."""
    table, worst = {}, 0.0
    for seed in range(3):
        f, _, solved = frozen(seed)
        grid = torch.linspace(0, 1, 2001, dtype=torch.float64).clamp(max=1 - 1e-9)
        exact = float(torch.trapezoid(heuristic(f, solved, grid), grid))
        u = sample({"u": Uniform((2000,))}, seed=seed, stream="step", dtype=torch.float64)["u"]
        mean = float(heuristic(f, solved, u).mean())
        table[f"network {seed}"] = [mean, exact]
        worst = max(worst, abs(mean / exact - 1))
    return Verdict(table | {"largest relative difference": worst}, "mean of 2000 samples within 5 % of the "
                                                                   "trapezoid "
                   "average", worst < 0.05, unit="mean of samples, trapezoid")


@claim(paper=PAPER, where="introduction",
       says="a global penalty needs the gradient through the solver; a local one does not")
def a_closed_solver_hides_the_global_penalty() -> Verdict:
    """Size of the penalty's gradient when the main solve runs under no_grad, first batch of the digits."""
    sizes = {}
    for kind in ("global", "unbiased", "biased"):
        start = Run(BlackBoxDigits, {"kind": kind})
        _, own, _, _ = start.experiment.gradients(start._data, start.experiment.net.params(start.state),
                                                  start._draws["step"].at(0))
        sizes[kind] = float(torch.stack([g.square().sum() for g in own.values()]).sum().sqrt())
    return Verdict(sizes, "exactly 0 for the global penalty, above 1e-3 for both local ones",
                   sizes["global"] == 0 and min(sizes["unbiased"], sizes["biased"]) > 1e-3,
                   unit="norm of the gradient")


@claim(paper=PAPER, where="abstract", cost="long", seeds=SEEDS, uses=ALL,
       says="one penalised step cuts NFE to 0.556-0.733 of vanilla, about as well as a global penalty")
def local_penalties_on_digits() -> Verdict:
    """rtol = atol = 1e-4, lambda = 1, both samplers."""
    runs = {name: digits(name, 1e-4, made=LocalDigits) for name in ("none", "unbiased", "biased")}
    table, holds = compare(runs.pop("none"), runs, ratio=0.75, loss=0.02)
    return Verdict(table, "median NFE ratio to no penalty <= 0.75, accuracy loss <= 0.02, for each sampler",
                   holds, unit="one per seed",
                   note=f"{RECIPE}. The global penalty's row is error_penalty_on_digits of the first paper "
                        f"(the "
                        "same seeds). The paper's 1.3-2 times faster predictions are not tested")


@claim(paper=PAPER, where="title", cost="long", seeds=SEEDS, uses=ALL,
       says="the solver may stay closed: the local penalty works with any adjoint")
def local_penalty_with_a_closed_solver() -> Verdict:
    """Main solve under no_grad, fit's gradient by a continuous adjoint (10 steps of RK4), biased sampler."""
    runs = {name: digits(name, 1e-4, made=BlackBoxDigits) for name in ("none", "biased")}
    table, holds = compare(runs.pop("none"), runs, ratio=0.75, loss=0.02)
    return Verdict(table, "median NFE ratio to no penalty <= 0.75, accuracy loss <= 0.02", holds,
                   unit="one per seed",
                   note=f"{RECIPE}. A global penalty would train the network without a penalty here: its "
                        f"gradient "
                        "is 0 (a_closed_solver_hides_the_global_penalty)")
