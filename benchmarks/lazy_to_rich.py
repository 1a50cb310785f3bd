"""Two costs of the chapter on lazy and rich training: small runs together, and one step of a large network.

1. 24 runs of a small experiment (24 output scales) by ``sweep``'s batch, against the same runs one by one, for each
   experiment of the chapter. Also the time that ``sweep`` spends before its first step (tracing, once).
2. One full-batch step of the committee machine at D = 100, P = 450, N = 500: the pure step of the library, plain
   autograd, and a step in place, over the time of the two matrix products alone.

All variants take turns in one process and on one thread; times are seconds of the processor, ratios of medians.

    nde-lab bench lazy_to_rich        or    python benchmarks/lazy_to_rich.py [--repeats 9]
"""
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from nde_lab.dynamics.lazy_to_rich import LazyToRich, ModularAddition, TurningUnits
from nde_lab.dynamics.lazy_to_rich.committee import full_batch_step, output
from nde_lab.experiment import run
from nde_lab.sweep import run_batch

D, P, N, RUNS, STEPS = 100, 450, 500, 24, 60
SMALL = {"LazyToRich, D = 10": (LazyToRich, {"D": 10}), "TurningUnits, D = 5, P = 30": (TurningUnits, {"D": 5, "P": 30}),
         "TurningUnits": (TurningUnits, {}), "ModularAddition, p = 11, N = 50": (ModularAddition, {"p": 11, "N": 50})}

CALM = {ModularAddition: {"lr": 1000.0}}        # no run diverges at this rate


def rounds(variants: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of the processor of each variant; they take turns, another one begins each round."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    for k in range(repeats + 1):
        for name in names[k % len(names):] + names[:k % len(names)]:
            started = time.process_time()
            variants[name]()
            times[name].append(time.process_time() - started)
    return {name: statistics.median(values[1:]) for name, values in times.items()}      # one round warms up


def scales(cls) -> list[float]:
    """24 values of the knob alpha over its range."""
    k = cls.live["alpha"]
    return [k.low * (k.high / k.low) ** (i / (RUNS - 1)) for i in range(RUNS)]


def batch(cls, fixed: dict, steps: int) -> None:
    live = {n: k.default for n, k in cls.live.items()} | CALM.get(cls, {})
    run_batch(cls, fixed, [(live | {"alpha": a}, 0) for a in scales(cls)], steps)


def one_by_one(cls, fixed: dict, steps: int) -> None:
    for alpha in scales(cls):
        made = run(cls, {**fixed, **CALM.get(cls, {}), "alpha": alpha}, seed=0, steps=steps)
        for _ in range(steps):
            made.step()


def sweeps(repeats: int) -> dict[str, tuple[float, float, float]]:
    """(ms a step of 24 runs one by one, ms a step batched, seconds before the first batched step) by experiment. The
    cost of beginning is taken out of both by the difference of a long and a short run."""
    found = {}
    for name, (cls, fixed) in SMALL.items():
        variants = {f"{how.__name__} {n}": lambda how=how, n=n, cls=cls, fixed=fixed: how(cls, fixed, n)
                    for how in (one_by_one, batch) for n in (1, STEPS + 1)}
        t = rounds(variants, repeats)
        per = {how: (t[f"{how} {STEPS + 1}"] - t[f"{how} 1"]) / STEPS for how in ("one_by_one", "batch")}
        found[name] = (1e3 * per["one_by_one"], 1e3 * per["batch"], t["batch 1"])
    return found


def step_in_place(W, X, goal, H, c) -> None:
    """The same step without a new tensor of the size of H or W (c = 2 eta0 / (alpha P), alpha = 1)."""
    torch.mm(X, W.T, out=H)
    f = (H.sum(1) + 0.125 * torch.linalg.vector_norm(H, dim=1).square()) / N
    e = (c * (f - goal))[:, None]
    H.mul_(0.25).add_(1).mul_(e)
    W.addmm_(H.T, X, alpha=-1)


def full_batch(repeats: int) -> dict[str, float]:
    """Median ms of a full-batch step by variant."""
    generator = torch.Generator().manual_seed(0)
    X, W = torch.randn(P, D, generator=generator) / D**0.5, torch.randn(N, D, generator=generator)
    y, H, many = 0.5 * (X @ torch.randn(D, generator=generator)).square(), torch.empty(P, N), 10
    G, other = torch.randn(P, N), W.clone()

    def products():
        for _ in range(many):
            torch.mm(X, W.T)
            torch.mm(G.T, X)

    def pure():
        w = W
        for _ in range(many):
            w = full_batch_step(w, X, y, alpha=1.0, eps=0.25, eta0=0.5)

    def autograd():
        w = W
        for _ in range(many):
            w = w.detach().requires_grad_()
            grad, = torch.autograd.grad((output(w, X, 1.0, 0.25) - y).square().mean(), w)
            w = w - 0.5 * N * grad

    def in_place():
        for _ in range(many):
            step_in_place(other, X, y, H, 1.0 / P)
    medians = rounds({f.__name__: f for f in (products, pure, autograd, in_place)}, 3 * repeats)
    return {name: 1e3 * seconds / many for name, seconds in medians.items()}


def measure(repeats: int = 9) -> dict:
    """{"sweeps": ``sweeps``, "step": ``full_batch``}."""
    return {"sweeps": sweeps(repeats), "step": full_batch(repeats)}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Small runs together, and one step of a large committee machine.")
    parser.add_argument("--repeats", type=int, default=9, help="timed rounds (default 9)")
    repeats = parser.parse_args(arguments).repeats
    if repeats < 1:
        parser.error(f"--repeats must be at least 1, got {repeats}")
    torch.set_num_threads(1)
    found = measure(repeats)
    print(f"{RUNS} runs, ms a step of all of them; torch {torch.__version__}, one thread")
    for name, (single, together, begin) in found["sweeps"].items():
        print(f"  {name:32s} one by one {single:7.2f}   batched {together:7.2f}   {single / together:5.1f} x   "
              f"(begins after {begin:.2f} s)")
    step = found["step"]
    print(f"one full-batch step, D = {D}, P = {P}, N = {N}")
    for name, what in {"products": "its two matrix products", "pure": "full_batch_step (pure)",
                       "autograd": "plain autograd", "in_place": "in place, fused"}.items():
        print(f"  {what:32s} {step[name]:7.2f} ms   {step[name] / step['products']:5.2f} x")


if __name__ == "__main__":
    main()
