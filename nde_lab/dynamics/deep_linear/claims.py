"""Quick claims: sigmoids, times to learn, depth, conservation, the stable rate, products of random matrices.

Those that train deep networks on digits are in ``table``. Bounds were set before measuring.
"""
from __future__ import annotations

import math

import numpy as np
import torch

from nde_lab.claims import Verdict, claim
from nde_lab.dynamics.deep_linear import theory
from nde_lab.dynamics.deep_linear.network import descend, imbalance, product, random_task, start
from nde_lab.dynamics.deep_linear.signals import KINDS, layer, products
from nde_lab.dynamics.deep_linear.tree import ItemsAndProperties
from nde_lab.experiment import last, run

PAPER = "deep-linear-exact-dynamics"
T64 = torch.float64
STRENGTHS = (4, 3, 2, 1.5, 1, 0.7, 0.4, 0.2)


def crossing(values, level) -> np.ndarray:
    """The step, with its fraction, at which each column of values (steps, modes) first reaches level
    (modes,)."""
    values, level = np.asarray(values, float), np.asarray(level, float)
    above = values >= level
    first = above.argmax(0)
    at = np.arange(values.shape[1])
    before, after = values[np.maximum(first - 1, 0), at], values[first, at]
    part = np.where(first > 0, (level - before) / np.where(after > before, after - before, 1), 0)
    return np.where(above.any(0), np.maximum(first - 1, 0) + part, np.nan)


@claim(paper=PAPER, where="Sec 1.2, eq for u(t)",
       says="from a decoupled, balanced start every mode follows its exact sigmoid")
def modes_follow_sigmoids() -> Verdict:
    """8 inputs, 8 hidden, 10 outputs; strengths 4 to 0.2; u0 = 1e-3; time 20 at two learning rates."""
    task, rows, worst = random_task(STRENGTHS, n_in=8, n_out=10), {}, {}
    for lr, steps in ((1e-2, 2000), (1e-3, 20000)):
        weights = start("aligned", (8, 8, 10), 1e-3, task=task)
        _, seen = descend(weights, task.matrix, lr, steps, watch=lambda w: task.strengths(product(w)))
        exact = theory.two_layers(lr * torch.arange(steps + 1, dtype=T64)[:, None], task.s, 1e-3)
        error = (torch.stack(seen) - exact).abs().amax(0)
        worst[lr] = float(error.max())
        rows[f"λ = {lr:g}"] = [round(float(e), 4) for e in error]
    rows["ratio of the largest errors"] = round(worst[1e-2] / worst[1e-3], 2)
    return Verdict(rows, "below 0.02 for every mode at λ = 0.001; the error is of first order in λ (ratio 8 to "
                         "12)",
                   worst[1e-3] < 0.02 and 8 < rows["ratio of the largest errors"] < 12,
                   unit="largest error of the strength over all times, modes from strong to weak")


@claim(paper=PAPER, where="Sec 1.2, small random weights", seeds=5,
       says="from small random weights the time to learn a mode is inversely proportional to its singular "
            "value")
def half_times_go_as_one_over_s() -> Verdict:
    """As above, entries N(0, 0.02^2), λ = 0.01, 3000 steps; s times the time to s/2, its spread over the
    modes."""
    rows, spreads = {}, []
    for seed in range(5):
        task = random_task(STRENGTHS, n_in=8, n_out=10, seed=seed)
        u0 = 0.02**2 * 8                                     # entries of variance u0 / fan_in, here 8
        weights = start("Gaussian", (8, 8, 10), u0, seed=seed)
        _, seen = descend(weights, task.matrix, 0.01, 3000, watch=lambda w: task.strengths(product(w)))
        times = crossing(torch.stack(seen), task.s / 2)
        scaled = times * task.s.numpy()
        spreads.append(float(scaled[:5].std() / scaled[:5].mean()))
        rows[f"seed {seed}"] = [round(float(v)) for v in scaled]
    rows["coefficient of variation, five largest, per seed"] = [round(v, 3) for v in spreads]
    rows["its median"] = round(float(np.median(spreads)), 3)
    return Verdict(rows, "median coefficient of variation of s t over the five largest modes below 0.25",
                   bool(np.median(spreads) < 0.25), unit="s t_1/2 in steps, modes from strong to weak")


@claim(paper=PAPER, where="Sec 2, infinite depth",
       says="in steps of tuned length the time to learn stays finite as depth grows, and the limit has a "
            "closed form")
def depth_costs_a_finite_delay() -> Verdict:
    """s = 1, u from 0.1 to 0.5: N t by the integral of the rate equation, and its closed limit."""
    rows = {f"N = {N}": round(theory.learning_time(1.0, 0.1, 0.5, N), 3) for N in (1, 2, 3, 5, 10, 50, 200)}
    limit = theory.infinite_depth_time(1.0, 0.1, 0.5)
    rows["limit"] = round(limit, 3)
    off = 1 - rows["N = 200"] / limit
    small = theory.learning_time(1.0, 1e-3, 0.5, 200) / theory.infinite_depth_time(1.0, 1e-3, 0.5)
    return Verdict(rows, "within 2 % of the closed form at N = 200", abs(off) < 0.02, unit="N t / τ",
                   note=f"Off by {off:.1%}. From u0 = 0.001 the limit, 1005, is approached more slowly: "
                        f"{1 - small:.1%} below it at N = 200.")


@claim(paper=PAPER, where="Sec 2, stable learning rate",
       says="the curvature limits the stable learning rate to the order of 1/N")
def stable_rate_falls_with_depth() -> Verdict:
    """s = 1.5, aligned, from u0 = 1.4: distance to the solution after 1000 steps 2 % below and above the
    edge."""
    rows, holds = {}, True
    for N in (2, 3, 5, 10):
        task, found = random_task([1.5], n_in=1, n_out=1), []
        edge = theory.largest_rate(1.5, N)
        for factor in (0.98, 1.02):
            weights = start("aligned", (1,) * (N + 1), 1.4, task=task)
            weights, _ = descend(weights, task.matrix, factor * edge, 1000)
            found.append(float(f"{abs(float(task.strengths(product(weights))) - 1.5):.1e}"))
        rows[f"N = {N}, λ = {edge:.4f}"] = found
        holds = holds and found[0] < 1e-6 and found[1] > 1e-2
    return Verdict(rows, "at 2 / (N s^(2 - 2/N)): 2 % less converges, 2 % more does not", holds,
                   unit="|u - s| after 1000 steps at 0.98 and at 1.02 times that rate")


@claim(paper=PAPER, where="Sec 1.2, conserved quantities", seeds=3,
       says="gradient flow conserves W2^T W2 - W1 W1^T, and so a^2 - b^2 of each mode")
def imbalance_is_conserved() -> Verdict:
    """Three matrices, Gaussian, u0 = 0.5, until time 1: how far the imbalance moves at three learning rates."""
    rows, holds = {}, True
    for seed in range(3):
        task, drift = random_task((2, 1, 0.5), n_in=4, n_out=4, seed=seed), []
        weights = start("Gaussian", (4, 6, 5, 4), 0.5, seed=seed)
        for steps in (100, 200, 400):
            after, _ = descend(weights, task.matrix, 1 / steps, steps)
            drift.append(max(float((b - a).abs().max())
                             for a, b in zip(imbalance(weights), imbalance(after), strict=True)))
        orders = [math.log2(a / b) for a, b in zip(drift[:-1], drift[1:], strict=True)]
        rows[f"seed {seed}"] = [float(f"{v:.3g}") for v in drift] + [round(v, 3) for v in orders]
        holds = holds and all(0.9 < v < 1.1 for v in orders)
    return Verdict(rows, "what moves it is the step length alone: halved with λ, order 0.9 to 1.1", holds,
                   unit="largest change at λ = 1/100, 1/200, 1/400; the two orders")


@claim(paper=PAPER, where="Sec 3, products of random matrices", seeds=5,
       says="products of orthogonal matrices keep all singular values at 1; products of Gaussian ones do not")
def orthogonal_products_are_isometries() -> Verdict:
    """50 matrices of size 32 x 32, Gaussian entries of variance 1/32."""
    rows, worst, conditions = {}, 0.0, []
    for seed in range(5):
        s = {kind: torch.linalg.svdvals(products(kind, seed=seed)[-1]) for kind in KINDS}
        off = float((s["orthogonal"] - 1).abs().max())
        conditions.append(float(s["Gaussian"][0] / s["Gaussian"][-1]))
        worst = max(worst, off)
        rows[f"seed {seed}"] = [float(f"{off:.1g}"), float(f"{conditions[-1]:.1g}"),
                                float(f"{float(s['Gaussian'].square().mean().sqrt()):.2g}")]
    return Verdict(rows, "orthogonal: within 1e-10 of 1; Gaussian: condition number above 1e6",
                   worst < 1e-10 and min(conditions) > 1e6,
                   unit="largest |s - 1| of the orthogonal product; condition number and root mean square of s "
                        "of the Gaussian one",
                   note="Float64 resolves condition numbers to about 1e16: the true ones are larger.")


def level_times(net: str, seed: int) -> list[np.ndarray]:
    """Steps at which the modes of the tree of items reach half their strength, by level: 4 arrays."""
    history = last(run(ItemsAndProperties, {"net": net}, seed=seed)).history
    share = np.stack([history[f"mode{i}"] for i in range(8)], 1)
    times = crossing(share, np.full(8, 0.5)) * 2 + 2         # a recorded point every 2 steps, first at 2
    return [times[:1], times[1:2], times[2:4], times[4:]]


@claim(paper=PAPER, where="Sec 1.1, nonlinear networks", seeds=5,
       says="a tanh network learns the modes in the same order as a linear one: strong before weak")
def tanh_keeps_the_order() -> Verdict:
    """Eight items, fifteen properties, 16 hidden units, u0 = 1e-3, λ = 0.02; steps to half strength by
    level."""
    rows, holds = {}, True
    for seed in range(5):
        levels = level_times("two, tanh between", seed)
        straight = level_times("two matrices", seed)
        rows[f"seed {seed}"] = [[round(float(t.mean())) for t in kind] for kind in (levels, straight)]
        holds = holds and all(a.max() < b.min() for a, b in zip(levels[:-1], levels[1:], strict=True))
    return Verdict(rows, "every mode of a level before every mode of the next finer one, in all seeds", holds,
                   unit="steps to half strength, mean over the level's modes: tanh, linear",
                   note="s² = 15, 7, 3, 1 for the four levels.")


def jacobian(kind: str, g: float, *, width: int, depth: int, seed: int) -> tuple[torch.Tensor, float]:
    """Singular values of d x_depth / d x_0 of x -> tanh(g W x) at a random input of unit entries, and the root
    mean square of the last layer."""
    x = layer("orthogonal", width, seed=seed, index=10**6)[0] * math.sqrt(width)
    total = torch.eye(width, dtype=T64)
    for index in range(depth):
        W = g * layer(kind, width, seed=seed, index=index)
        x = torch.tanh(W @ x)
        total = (1 - x * x)[:, None] * (W @ total)
    return torch.linalg.svdvals(total), float(x.square().mean().sqrt())


@claim(paper=PAPER, where="Sec 3.1, edge of chaos", seeds=3,
       says="orthogonal weights with a gain slightly above 1 carry gradients through a deep tanh network")
def orthogonal_tanh_at_the_edge_of_chaos() -> Verdict:
    """100 layers of 64 units, tanh(g W x): singular values of the whole Jacobian, median over the seeds."""
    rows, middle = {}, {}
    for kind, gains in (("orthogonal", (0.9, 1.0, 1.05, 1.1, 1.3)), ("Gaussian", (1.05,))):
        for g in gains:
            found = [jacobian(kind, g, width=64, depth=100, seed=seed) for seed in range(3)]
            middle[kind, g] = float(np.median([float(s.median()) for s, _ in found]))
            spread = float(np.median([float(s[0] / s[-1]) for s, _ in found]))
            signal = float(np.median([r for _, r in found]))
            rows[f"{kind}, g = {g:g}"] = [float(f"{v:.2g}") for v in (middle[kind, g], spread, signal)]
    inside = [g for (kind, g), m in middle.items() if kind == "orthogonal" and 0.1 < m < 10]
    holds = bool(inside) and all(1.0 <= g <= 1.1 for g in inside) and middle["Gaussian", 1.05] < 1e-3
    return Verdict(rows, "the median singular value is between 0.1 and 10 for some orthogonal gain in 1 to 1.1 "
                         "and for none outside; below 1e-3 for Gaussian weights", holds,
                   unit="median singular value; largest over smallest; root mean square of the last layer")
