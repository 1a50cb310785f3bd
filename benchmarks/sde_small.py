"""One gradient step through a small neural SDE, in the regime of the live chapters: ours against torchsde.

Batch 128, state 4, width 32, 64 Euler-Maruyama steps, float32, one thread; the noise of every step is drawn
anew and its cost counted. torchsde runs at its best setting known to us (a ``BrownianInterval`` told its
``dt``, dyadic steps) and as it comes. The traced step is one native program; where jax is installed, a scan
written by hand and compiled by XLA stands beside it, with jax's own noise. All variants take turns in one run,
so that a busy machine slows them alike; times are seconds of the processor, the ratio is of medians.

    nde-lab bench sde_small        or    python benchmarks/sde_small.py [--repeats 15]
"""
from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import time
from collections.abc import Callable

import torch
import torchsde
from torch import Tensor, nn

from nde_lab import native
from nde_lab.autodiff import value_and_grad
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


class OfParameters:
    """The same SDE as a function of its parameters."""
    noise_type, sde_type = "diagonal", "ito"

    def __init__(self, p: dict[str, Tensor]):
        self.p = p

    def net(self, name: str, y: Tensor) -> Tensor:
        p = self.p
        hidden = torch.tanh(torch.addmm(p[f"{name}.0.bias"], y, p[f"{name}.0.weight"].T))
        return torch.addmm(p[f"{name}.2.bias"], hidden, p[f"{name}.2.weight"].T)

    def f(self, t, y):
        return self.net("drift_net", y)

    def g(self, t, y):
        return torch.sigmoid(self.net("diffusion_net", y))


def gradient_step(y0: Tensor) -> Callable:
    """(parameters, increments) -> terminal loss and its gradient: what is traced and compiled."""
    grid = Grid(0.0, 1.0, STEPS)

    def step(params, dW):
        def loss(p):
            return (integrate(OfParameters(p), y0, grid, dW, method="euler", save="last") ** 2).mean()
        return value_and_grad(loss, params)
    return step


def traced(sde: NeuralSDE, y0: Tensor) -> tuple[Callable[[int], object], float]:
    """(seed -> loss and gradient, by the native program), and the seconds it took to trace and compile."""
    params, grid = {n: p.detach() for n, p in sde.named_parameters()}, Grid(0.0, 1.0, STEPS)
    started = time.perf_counter()
    fast = native.compile(gradient_step(y0), (params, torch.zeros(STEPS, BATCH, STATE)), disk=False)
    seconds = time.perf_counter() - started
    return lambda seed: fast(params, Brownian.draw(grid, (BATCH, STATE), seed=seed).increments), seconds


def jax_scan(sde: NeuralSDE, y0: Tensor) -> Callable[[int], object]:
    """The same by hand in jax: the loop is ``lax.scan``, the noise comes from ``jax.random`` inside it."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false")
    import jax
    from jax import numpy as jnp
    p = {n: jnp.asarray(v.detach().numpy()) for n, v in sde.named_parameters()}
    start, dt = jnp.asarray(y0.numpy()), 1.0 / STEPS

    def net(p, name, y):
        hidden = jnp.tanh(y @ p[f"{name}.0.weight"].T + p[f"{name}.0.bias"])
        return hidden @ p[f"{name}.2.weight"].T + p[f"{name}.2.bias"]

    def loss(p, key):
        def turn(y, dw):
            return y + net(p, "drift_net", y) * dt + jax.nn.sigmoid(net(p, "diffusion_net", y)) * dw, None
        dW = jax.random.normal(key, (STEPS, BATCH, STATE)) * dt ** 0.5
        return (jax.lax.scan(turn, start, dW)[0] ** 2).mean()
    step = jax.jit(jax.value_and_grad(loss))
    return lambda seed: jax.block_until_ready(step(p, jax.random.PRNGKey(seed)))


def stray_step(sde: NeuralSDE, y0: Tensor) -> Callable[[int], Tensor]:
    """torchsde with 100 steps of 0.01: its float32 clock adds them up and is left with a stray step of 1e-7,
    for which its Brownian motion bisects the interval again and again."""
    return lambda seed: torchsde.sdeint(sde, y0, torch.tensor([0.0, 1.0]), method="euler", dt=0.01)[-1]


NATIVE, JAX = "nde_lab native (the traced step)", "jax, scan by hand"


def measure(repeats: int = 15) -> dict[str, float]:
    """Median milliseconds of one gradient step, by variant; "compile" is the seconds before the native one."""
    torch.manual_seed(0)
    sde, y0 = NeuralSDE(), torch.randn(BATCH, STATE)
    params = list(sde.parameters())

    def milliseconds(step, seed):
        start = time.process_time()
        step(seed)
        return 1e3 * (time.process_time() - start)

    def differentiated(solve):
        return lambda seed: torch.autograd.grad((solve(seed) ** 2).mean(), params)

    steps = {name: differentiated(solve) for name, solve in variants(sde, y0).items()}
    steps[NATIVE], compiling = traced(sde, y0)
    if importlib.util.find_spec("jax"):
        steps[JAX] = jax_scan(sde, y0)
    solvers = list(steps.items())
    times: dict[str, list[float]] = {name: [] for name, _ in solvers}
    for seed in range(repeats + 2):
        turn = seed % len(solvers)          # another one begins each round: who follows whom matters
        for name, solve in solvers[turn:] + solvers[:turn]:
            times[name].append(milliseconds(solve, seed))
    medians = {name: statistics.median(values[2:]) for name, values in times.items()}     # two rounds warm up
    medians["torchsde as it comes, 100 steps of 0.01"] = milliseconds(differentiated(stray_step(sde, y0)), 0)
    return medians | {"compile": compiling}


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="One gradient step through a small neural SDE.")
    parser.add_argument("--repeats", type=int, default=15, help="timed rounds (default 15)")
    repeats = parser.parse_args(arguments).repeats
    if repeats < 1:
        parser.error(f"--repeats must be at least 1, got {repeats}")
    torch.set_num_threads(1)
    medians = measure(repeats)
    compiling = medians.pop("compile")
    reference = medians["nde_lab integrate (as experiments call it)"]
    print(f"gradient step, batch {BATCH}, state {STATE}, width {WIDTH}, {STEPS} Euler steps, "
          f"torch {torch.__version__}")
    for name, ms in medians.items():
        print(f"  {name:52s} {ms:8.1f} ms   {ms / reference:7.2f} x")
    best = medians["torchsde, BrownianInterval with dt, dyadic steps"]
    print(f"native: {best / medians[NATIVE]:.1f} x as fast as torchsde at its best"
          + (f", {medians[NATIVE] / medians[JAX]:.2f} times the time of jax's scan" if JAX in medians else "")
          + f"; traced and compiled in {compiling:.1f} s (once)")


if __name__ == "__main__":
    main()
