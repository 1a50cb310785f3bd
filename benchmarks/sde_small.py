"""One gradient step through a small neural SDE, in the regime of the live chapters: ours against torchsde.

Batch 128, state 4, width 32, 64 Euler-Maruyama steps, float32, one thread; the noise of every step is drawn
anew and its cost counted. torchsde runs at its best setting known to us (a ``BrownianInterval`` told its
``dt``, dyadic steps) and as it comes. All variants take turns in one run, so that a busy machine slows them
alike; the ratio is of medians.

    nde-lab bench sde_small        or    python benchmarks/sde_small.py [--repeats 15]
"""
from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
import torchsde
from torch import Tensor, nn

from nde_lab.solvers import Brownian, Grid, integrate, sdeint

BATCH, STATE, WIDTH, STEPS = 128, 4, 32, 64


class NeuralSDE(nn.Module):
    """Drift and diagonal diffusion, one hidden layer each."""
    noise_type, sde_type = "diagonal", "ito"

    def __init__(self):
        super().__init__()
        self.drift_net, self.diffusion_net = (
            nn.Sequential(nn.Linear(STATE, WIDTH), nn.Tanh(), nn.Linear(WIDTH, STATE)) for _ in range(2))

    def f(self, t, y):
        return self.drift_net(y)

    def g(self, t, y):
        return torch.sigmoid(self.diffusion_net(y))


def variants(sde: NeuralSDE, y0: Tensor) -> dict[str, Callable[[int], Tensor]]:
    """Name -> (seed -> terminal states, (B, D))."""
    grid, ts, dt = Grid(0.0, 1.0, STEPS), torch.tensor([0.0, 1.0]), 1.0 / STEPS

    def ours(seed):
        dW = Brownian.draw(grid, (BATCH, STATE), seed=seed).increments
        return integrate(sde, y0, grid, dW, method="euler", save="last")

    def best(seed):
        bm = torchsde.BrownianInterval(0.0, 1.0, size=(BATCH, STATE), entropy=seed, dt=dt)
        return torchsde.sdeint(sde, y0, ts, bm=bm, method="euler", dt=dt)[-1]

    return {
        "nde_lab integrate (as experiments call it)": ours,
        "nde_lab sdeint": lambda seed: sdeint(sde, y0, ts, method="euler", dt=dt, seed=seed)[-1],
        "torchsde, BrownianInterval with dt, dyadic steps": best,
        "torchsde as it comes, dyadic steps":
            lambda seed: torchsde.sdeint(sde, y0, ts, method="euler", dt=dt)[-1],
    }


def stray_step(sde: NeuralSDE, y0: Tensor) -> Callable[[int], Tensor]:
    """torchsde with 100 steps of 0.01: its float32 clock adds them up and is left with a stray step of 1e-7,
    for which its Brownian motion bisects the interval again and again."""
    return lambda seed: torchsde.sdeint(sde, y0, torch.tensor([0.0, 1.0]), method="euler", dt=0.01)[-1]


def measure(repeats: int = 15) -> dict[str, float]:
    """Median milliseconds of one gradient step, by variant."""
    torch.manual_seed(0)
    sde, y0 = NeuralSDE(), torch.randn(BATCH, STATE)
    params = list(sde.parameters())

    def milliseconds(solve, seed):
        start = time.perf_counter()
        torch.autograd.grad((solve(seed) ** 2).mean(), params)
        return 1e3 * (time.perf_counter() - start)

    solvers = list(variants(sde, y0).items())
    times: dict[str, list[float]] = {name: [] for name, _ in solvers}
    for seed in range(repeats + 2):
        turn = seed % len(solvers)          # another one begins each round: who follows whom matters
        for name, solve in solvers[turn:] + solvers[:turn]:
            times[name].append(milliseconds(solve, seed))
    medians = {name: statistics.median(values[2:]) for name, values in times.items()}     # two rounds warm up
    medians["torchsde as it comes, 100 steps of 0.01"] = milliseconds(stray_step(sde, y0), 0)
    return medians


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="One gradient step through a small neural SDE.")
    parser.add_argument("--repeats", type=int, default=15, help="timed rounds (default 15)")
    repeats = parser.parse_args(arguments).repeats
    if repeats < 1:
        parser.error(f"--repeats must be at least 1, got {repeats}")
    torch.set_num_threads(1)
    medians = measure(repeats)
    reference = medians["nde_lab integrate (as experiments call it)"]
    print(f"gradient step, batch {BATCH}, state {STATE}, width {WIDTH}, {STEPS} Euler steps, "
          f"torch {torch.__version__}")
    for name, ms in medians.items():
        print(f"  {name:52s} {ms:8.1f} ms   {ms / reference:7.2f} x")


if __name__ == "__main__":
    main()
