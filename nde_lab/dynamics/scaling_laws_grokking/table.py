"""Long claims: trained networks. When they grok, what weight decay, a zero start, the step size and Muon do."""
from __future__ import annotations

import math
import statistics

import numpy as np

from nde_lab.claims import Verdict, claim
from nde_lab.dynamics.scaling_laws_grokking.training import GroupArithmetic
from nde_lab.experiment import run

PAPER = "provable-scaling-laws-grokking"
USES = ("nde_lab.optimizers", "nde_lab.muon")
NEVER = math.inf


def grok(*, seed: int, steps: int, settle: int = 0, **knobs) -> dict[str, float]:
    """One run: the first steps at which train accuracy is 99 % and test accuracy 95 % (infinity: never), and the
    final test accuracy. It ends ``settle`` steps after the second of these, or after ``steps``."""
    made, found = run(GroupArithmetic, knobs, seed=seed, steps=steps), {"train": NEVER, "test": NEVER}
    end = steps
    while made.status.kind == "running" and made.t < end:
        last = made.step()
        for name, level in (("train", 0.99), ("test", 0.95)):
            if found[name] == NEVER and float(last[name]) >= level:
                found[name] = made.t
                if name == "test":
                    end = min(steps, made.t + settle)
    return found | {"final": float(last["test"])}


@claim(paper=PAPER, where="Fig 3", cost="long", seeds=5, uses=USES,
       says="with weight decay the network groks: it remembers first and generalises much later")
def decay_groks() -> Verdict:
    """Z23, K = 256, p = 0.5, lr 0.01, decay 2e-4; at most 1000 steps, ended 200 after 95 %."""
    rows, delays, final = {}, [], []
    for seed in range(5):
        got = grok(seed=seed, steps=1000, settle=200)
        rows[f"seed {seed}"] = [got["train"], got["test"], round(got["final"], 4)]
        delays.append(got["test"] / got["train"])
        final.append(got["final"])
    rows["median delay"] = statistics.median(delays)
    return Verdict(rows, "median of (step of 95 % on unseen) / (step of 99 % on seen) above 10, and final test "
                         "accuracy at least 0.99 on every seed",
                   statistics.median(delays) > 10 and min(final) >= 0.99,
                   unit="step of 99 % on seen pairs, step of 95 % on unseen ones, final test accuracy")


@claim(paper=PAPER, where="Fig 3", cost="long", seeds=5, uses=USES, says="without weight decay it does not grok")
def no_decay_never_groks() -> Verdict:
    """The same with decay 0, 3000 steps."""
    got = [grok(seed=seed, steps=3000, weight_decay=0.0) for seed in range(5)]
    return Verdict({f"seed {seed}": round(g["final"], 4) for seed, g in enumerate(got)},
                   "test accuracy below 0.1 after 3000 steps, on every seed", max(g["final"] for g in got) < 0.1,
                   unit="test accuracy")


@claim(paper=PAPER, where="Lemma 1, section on stage II", cost="long", seeds=3, uses=USES,
       says="weight decay sets the speed of feature learning")
def delay_is_a_power_of_decay() -> Verdict:
    """Z23, p = 0.5, lr 0.01, decay 2e-5 .. 1e-3: slope of log(step of 95 %) against log(decay)."""
    rows, x, y = {}, [], []
    for decay in (2e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3):
        steps = [grok(seed=seed, steps=4000, weight_decay=decay)["test"] for seed in range(3)]
        rows[f"η = {decay:g}"] = steps
        x.append(math.log(decay))
        y.append(float(np.mean(np.log(steps))))
    slope = float(np.polyfit(x, y, 1)[0]) if np.isfinite(y).all() else math.nan
    rows["slope"] = round(slope, 3)
    return Verdict(rows, "slope between -1.1 and -0.6", -1.1 < slope < -0.6,
                   unit="step of 95 % test accuracy, 3 seeds",
                   note="G_F proportional to η alone would give -1; Adam, which divides by the size of the "
                        "gradient, makes it less.")


@claim(paper=PAPER, where="Fig 3", cost="long", seeds=3, uses=USES,
       says="|G_F| is larger with weight decay; the output layer moves first, the input layer later")
def decay_keeps_the_gradient_alive() -> Verdict:
    """Z23, p = 0.5, 400 steps: mean |G_F| over steps 80-120 and at the end, with decay 2e-4 and without; how far V
    and W have moved, relative to their start, after 5 steps."""
    rows, holds = {}, True
    for seed in range(3):
        size, moved = {}, []
        for decay in (2e-4, 0.0):
            made = run(GroupArithmetic, {"weight_decay": decay}, seed=seed, steps=400)
            start, G_F = dict(made.state), []
            for k in range(400):
                G_F.append(float(made.step()["G_F"]))
                if k == 4 and decay:
                    moved = [float((made.state[n] - start[n]).norm() / start[n].norm()) for n in "VW"]
            size[decay] = [statistics.mean(G_F[80:120]), statistics.mean(G_F[360:])]
        ratios = [size[2e-4][i] / size[0.0][i] for i in range(2)]
        rows[f"seed {seed}"] = [round(v, 2) for v in (*ratios, *moved)]
        holds = holds and min(ratios) > 1 and moved[0] > moved[1]
    return Verdict(rows, "both ratios above 1; V moves farther than W", holds,
                   unit="|G_F| with decay over without: around step 100, around step 380; relative change of V and "
                        "of W after 5 steps")


@claim(paper=PAPER, where="Figs 14-17", cost="long", seeds=3, uses=USES,
       says="starting the output layer at zero speeds grokking up (M = 41, 89, 127)")
def zero_start_is_faster() -> Verdict:
    """Z31 and Z41, p = 0.4, lr 0.005, decay 2e-4: steps to 95 % test accuracy."""
    rows, holds = {}, True
    for name in ("Z31", "Z41"):
        plain, zero = ([grok(group=name, p=0.4, lr=0.005, zero_start=z, seed=seed, steps=1500)["test"]
                        for seed in range(3)] for z in (False, True))
        rows[f"{name}: V random"], rows[f"{name}: V = 0"] = plain, zero
        holds = holds and max(zero) < min(plain)
    return Verdict(rows, "every run from V = 0 is faster than every run from a random V", holds,
                   unit="step of 95 % test accuracy, 3 seeds")


@claim(paper=PAPER, where="Figs 6, 7", cost="long", seeds=4, uses=USES,
       says="near the boundary a small learning rate groks where a larger one memorises (M = 127, 20 %, Adam)")
def small_steps_win_near_the_boundary() -> Verdict:
    """Z17, p = 0.44 (the line is at 0.458), decay 2e-4, lr x steps = 8: final test accuracy."""
    rows, means = {}, []
    for lr in (0.002, 0.005, 0.02):
        final = [grok(group="Z17", p=0.44, lr=lr, seed=seed, steps=round(8 / lr), settle=10**6)["final"]
                 for seed in range(4)]
        rows[f"lr = {lr:g}"] = [round(f, 3) for f in final]
        means.append(float(np.mean(final)))
    return Verdict(rows, "mean test accuracy falls with the learning rate", means[0] > means[1] > means[2],
                   unit="final test accuracy, 4 seeds", note="Another modulus and other rates than the paper's.")


@claim(paper=PAPER, where="Thm 8, Fig 8", cost="long", seeds=3, uses=USES,
       says="Muon helps when there are few hidden units")
def muon_with_few_units() -> Verdict:
    """Z23, p = 0.6, K = 32, 64; W by Adam or by Muon, V by Adam; the best of learning rates 0.005, 0.01, 0.02."""
    rows, holds = {}, True
    for K in (32, 64):
        best = {}
        for optimizer in ("adam", "muon"):
            tried = {lr: [grok(K=K, p=0.6, optimizer=optimizer, lr=lr, seed=seed, steps=3000)["test"]
                          for seed in range(3)] for lr in (0.005, 0.01, 0.02)}
            lr = min(tried, key=lambda v: statistics.median(tried[v]))
            rows[f"K = {K}, {optimizer}, lr = {lr:g}"] = tried[lr]
            best[optimizer] = statistics.median(tried[lr])
        holds = holds and best["muon"] < best["adam"]
    return Verdict(rows, "the median step of 95 % test accuracy is smaller with Muon, at both widths", holds,
                   unit="step of 95 % test accuracy, 3 seeds (Infinity: not in 3000)")
