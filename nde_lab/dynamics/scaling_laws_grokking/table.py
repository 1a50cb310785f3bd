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


def shown(steps: list) -> list:
    """Steps for a table: infinity becomes "never"."""
    return ["never" if step == NEVER else step for step in steps]


@claim(paper=PAPER, where="Fig 3", cost="long", seeds=5, uses=USES,
       says="with weight decay the network groks: it remembers first and generalises much later")
def decay_groks() -> Verdict:
    """Z23, K = 256, p = 0.5, lr 0.01, decay 2e-4; at most 1000 steps, ended 200 after 95 %."""
    rows, delays, final = {}, [], []
    for seed in range(5):
        got = grok(seed=seed, steps=1000, settle=200)
        rows[f"seed {seed}"] = [*shown([got["train"], got["test"]]), round(got["final"], 4)]
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
        rows[f"η = {decay:g}"] = shown(steps)
        x.append(math.log(decay))
        y.append(float(np.mean(np.log(steps))))
    slope = float(np.polyfit(x, y, 1)[0]) if np.isfinite(y).all() else math.nan
    rows["slope"] = round(slope, 3)
    return Verdict(rows, "slope between -1.1 and -0.6", -1.1 < slope < -0.6,
                   unit="step of 95 % test accuracy, 3 seeds",
                   note="G_F proportional to η alone would give -1; Adam, which divides by the size of the "
                        "gradient, makes it less.")


@claim(paper=PAPER, where="Fig 3", cost="long", seeds=3, uses=USES,
       says="around epoch 100 |G_F| is larger with weight decay than without")
def decay_keeps_the_gradient_alive() -> Verdict:
    """Z23, p = 0.5, decay 2e-4 and none: |G_F| and its part along Y Y^T F, for a small learning rate (0.002, mean of
    steps 150-250) and the default one (0.01, steps 80-120)."""
    rows, holds = {}, True
    for lr, first, last in ((0.002, 150, 250), (0.01, 80, 120)):
        for seed in range(3):
            sizes = {}
            for decay in (2e-4, 0.0):
                made = run(GroupArithmetic, {"weight_decay": decay, "lr": lr}, seed=seed, steps=last)
                infos = [made.step() for _ in range(last)][first:]
                sizes[decay] = [statistics.mean(float(i[n]) for i in infos) for n in ("G_F", "along")]
            ratios = [sizes[2e-4][i] / sizes[0.0][i] for i in range(2)]
            rows[f"lr = {lr:g}, seed {seed}"] = [float(f"{r:.3g}") for r in ratios]
            holds = holds and ratios[0] > 1
    return Verdict(rows, "|G_F| with decay over |G_F| without above 1, at both learning rates and on every seed", holds,
                   unit="with decay over without: |G_F|; its part along Y Y^T F",
                   note="At the larger rate Adam's own jitter fills G_F when there is no decay: the size hardly "
                        "differs, the part along the signal does.")


@claim(paper=PAPER, where="Fig 3", cost="long", seeds=3, uses=USES,
       says="the output layer moves first, the input layer later")
def output_layer_moves_first() -> Verdict:
    """Z23, p = 0.5, defaults: |change since the start| / |start| of V and W, after 5 steps and after 600."""
    rows, holds = {}, True
    for seed in range(3):
        made, moved = run(GroupArithmetic, seed=seed, steps=600), []
        start = dict(made.state)
        for k in range(600):
            made.step()
            if k + 1 in (5, 600):
                moved += [float((made.state[n] - start[n]).norm() / start[n].norm()) for n in "VW"]
        rows[f"seed {seed}"] = [round(v, 2) for v in moved]
        holds = holds and moved[0] > 2 * moved[1]
    return Verdict(rows, "after 5 steps V has moved more than twice as far as W", holds,
                   unit="relative change of V, W after 5 steps; of V, W after 600")


@claim(paper=PAPER, where="Figs 14-17", cost="long", seeds=3, uses=USES,
       says="starting the output layer at zero speeds grokking up (M = 41, 89, 127)")
def zero_start_is_faster() -> Verdict:
    """Z31 and Z41, p = 0.4, lr 0.005, decay 2e-4: steps to 95 % test accuracy."""
    rows, holds = {}, True
    for name in ("Z31", "Z41"):
        plain, zero = ([grok(group=name, p=0.4, lr=0.005, zero_start=z, seed=seed, steps=1500)["test"]
                        for seed in range(3)] for z in (False, True))
        rows[f"{name}: V random"], rows[f"{name}: V = 0"] = shown(plain), shown(zero)
        holds = holds and max(zero) < min(plain)
    return Verdict(rows, "every run from V = 0 is faster than every run from a random V", holds,
                   unit="step of 95 % test accuracy, 3 seeds")


@claim(paper=PAPER, where="Figs 6, 7", cost="long", seeds=3, uses=USES,
       says="near the boundary a small learning rate groks where a larger one memorises (M = 127, 20 %, Adam)")
def small_steps_win_near_the_boundary() -> Verdict:
    """Z17, p = 0.44 (the line is at 0.458), decay 2e-4, 4000 steps each: final test accuracy."""
    rows, means = {}, []
    for lr in (0.002, 0.005, 0.02):
        final = [grok(group="Z17", p=0.44, lr=lr, seed=seed, steps=4000, settle=4000)["final"]
                 for seed in range(3)]
        rows[f"lr = {lr:g}"] = [round(f, 3) for f in final]
        means.append(float(np.mean(final)))
    return Verdict(rows, "mean test accuracy falls with the learning rate", means[0] > means[1] > means[2],
                   unit="final test accuracy, 3 seeds", note="Another modulus and other rates than the paper's.")


@claim(paper=PAPER, where="Thm 8, Fig 8", cost="long", seeds=3, uses=USES,
       says="Muon helps when there are few hidden units")
def muon_with_few_units() -> Verdict:
    """Z23, p = 0.6, K = 24, 32; W by Adam or by Muon, V by Adam; the best of learning rates 0.01, 0.02, 0.05."""
    rows, holds = {}, True
    for K in (24, 32):
        best = {}
        for optimizer in ("adam", "muon"):
            tried = {lr: [grok(K=K, p=0.6, optimizer=optimizer, lr=lr, seed=seed, steps=2000)["test"]
                          for seed in range(3)] for lr in (0.01, 0.02, 0.05)}
            lr = min(tried, key=lambda v: statistics.median(tried[v]))
            rows[f"K = {K}, {optimizer}, lr = {lr:g}"] = shown(tried[lr])
            best[optimizer] = statistics.median(tried[lr])
        holds = holds and best["muon"] < best["adam"]
    return Verdict(rows, "the median step of 95 % test accuracy is smaller with Muon, at both widths", holds,
                   unit="step of 95 % test accuracy, 3 seeds",
                   note="The paper argues from a model of how units collect modes, at widths where some go missing; "
                        "we saw no gain in this small task.")
