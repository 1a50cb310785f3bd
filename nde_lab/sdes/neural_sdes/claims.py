"""Quick claims: exact reversal and exact gradients of reversible Heun for an SDE, its price, its limit, the
path KL.

What needs training is in ``latent_table``, ``prior_table`` and ``gan_table``.
"""
from __future__ import annotations

import math
import statistics
import time

import torch

from nde_lab import nets
from nde_lab.claims import Verdict, claim
from nde_lab.random import Normal, sample
from nde_lab.sdes.neural_sdes import gauss
from nde_lab.sdes.neural_sdes.rewind import back
from nde_lab.solvers import SDE, Brownian, Grid, choose, integrate, solve_sde

PAPER = "on-neural-differential-equations"
T64 = torch.float64


def neural_field(size: int = 8, width: int = 32, *, seed: int = 0, dtype=T64):
    """(field, params): tanh networks for drift and diffusion (the latter 1/2 + tanh(..) / 4), and their start.

    field(params, t, y (B, size)) -> (drift, diffusion), each (B, size).
    """
    f = nets.functional(nets.mlp([size, width, size]), prefix="f.")
    g = nets.functional(nets.mlp([size, width, size], final="tanh"), prefix="g.")
    start = sample(f.draws | g.draws, seed=seed, stream="start", dtype=dtype)
    params = f.init(start) | g.init(start)
    return (lambda p, t, y: (f.apply(p, y), 0.5 + 0.25 * g.apply(p, y))), params


def neural_sde(field, params) -> SDE:
    """The same field as a Stratonovich SDE with diagonal noise."""
    return SDE(lambda t, y: field(params, t, y)[0], lambda t, y: field(params, t, y)[1],
               noise_type="diagonal", sde_type="stratonovich", joint=lambda t, y: field(params, t, y))


def starts(rows: int, size: int, *, seed: int = 1, dtype=T64) -> torch.Tensor:
    return sample({"y": Normal((rows, size))}, seed=seed, stream="start", dtype=dtype)["y"]


def round_trip(name: str, N: int, *, dtype=T64, T: float = 1.0) -> float:
    """|y_0 found again - y_0| / |y_0| after N steps there and N back by one scheme; 16 paths of
    ``neural_field``.
    """
    field, params = neural_field(dtype=dtype)
    sde, y0, grid = neural_sde(field, params), starts(16, 8, dtype=dtype), Grid(0.0, T, N)
    dW, times = Brownian.draw(grid, (16, 8), seed=2, dtype=dtype).increments, grid.tensor(dtype)
    scheme = choose(sde, name)
    with torch.no_grad():
        carry = scheme.start(sde, times[0], y0)
        for k in range(N):
            carry = scheme.step(sde, times[k], carry, grid.dt, dW[k])
        for k in reversed(range(N)):
            carry = back(name, sde, times[k + 1], carry, grid.dt, dW[k])
    return float((scheme.read(carry) - y0).norm() / y0.norm())


@claim(paper=PAPER, where="reversible Heun (SDE case)",
       says="reversible Heun is algebraically reversible: the solution can be run back exactly")
def reversible_round_trip_sde() -> Verdict:
    """16 paths of an 8-dimensional neural SDE with multiplicative noise, T = 1, N = 10, 40, 160 steps."""
    steps = (10, 40, 160)
    table = {f"{name}, float64": [round_trip(name, N) for N in steps]
             for name in ("reversible_heun", "heun", "midpoint")}
    table["reversible_heun, float32"] = [round_trip("reversible_heun", N, dtype=torch.float32) for N in steps]
    ours, others = table["reversible_heun, float64"], [table[f"{n}, float64"][1] for n in ("heun", "midpoint")]
    holds = max(ours) < 1e-12 and min(others) > 1e-6
    return Verdict({n: [float(f"{v:.2g}") for v in row] for n, row in table.items()},
                   "reversible Heun below 1e-12 in float64 at every N; Heun and midpoint above 1e-6 at N = 40",
                   holds, note="Heun and midpoint go back with -dt and -dW",
                   unit="relative error of the start found again; N = 10, 40, 160")


@claim(paper=PAPER, where="reversible Heun (SDE case)",
       says="its gradient, found while running back, is that of backpropagation up to rounding")
def reversible_adjoint_sde() -> Verdict:
    """The same neural SDE, loss = sum of squares of y_T, N = 10 to 80; gradients of start and all weights."""
    field, params = neural_field()
    y0, errors = starts(16, 8), {}
    for N in (10, 20, 40, 80):
        dW = Brownian.draw(Grid(0.0, 1.0, N), (16, 8), seed=2, dtype=T64)
        both = []
        for gradient in ("through", "adjoint"):
            leaves = {n: p.clone().requires_grad_() for n, p in params.items()}
            y = y0.clone().requires_grad_()
            end = solve_sde(neural_sde(field, leaves), y, [0.0, 1.0], dW, method="reversible_heun", dt=1.0 / N,
                            gradient=gradient, params=list(leaves.values())).ys[-1]
            found = torch.autograd.grad(end.square().sum(), [y, *leaves.values()])
            both.append(torch.cat([g.flatten() for g in found]))
        errors[f"N = {N}"] = float(f"{(both[1] - both[0]).norm() / both[0].norm():.2g}")
    return Verdict(errors, "relative error of the whole gradient below 1e-12 at every N (float64)",
                   max(errors.values()) < 1e-12, unit="relative 2-norm")


@claim(paper=PAPER, where="reversible Heun: cost",
       says="one evaluation a step in place of two; up to 1.98 times faster training (companion paper)")
def reversible_heun_costs_one_evaluation() -> Verdict:
    """Evaluations are counted; the time of forward and backpropagation (batch 64, 100 steps) is reported."""
    field, params = neural_field(dtype=torch.float32)
    grid, counts, seconds = Grid(0.0, 1.0, 100), {}, {}
    y0, dW = starts(64, 8, dtype=torch.float32), Brownian.draw(grid, (64, 8), seed=2).increments
    for name in ("reversible_heun", "midpoint"):
        calls, taken = 0, []
        leaves = {n: p.clone().requires_grad_() for n, p in params.items()}

        def counted(p, t, y):
            nonlocal calls
            calls += 1
            return field(p, t, y)

        for _ in range(4):
            calls, begun = 0, time.perf_counter()
            end = integrate(neural_sde(counted, leaves), y0, grid, dW, method=name, save="last")
            torch.autograd.grad(end.square().sum(), list(leaves.values()))
            taken.append(time.perf_counter() - begun)
        counts[name], seconds[name] = calls, statistics.median(taken[1:])
    measured = {f"evaluations in 100 steps: {n}": c for n, c in counts.items()}
    ratio = round(seconds["midpoint"] / seconds["reversible_heun"], 2)
    measured["time of midpoint / time of reversible Heun (reported)"] = ratio
    return Verdict(measured, "101 evaluations against 200; the ratio of times is reported, not judged",
                   counts == {"reversible_heun": 101, "midpoint": 200})


@claim(paper=PAPER, where="reversible Heun: stability",
       says="reversible Heun is stable for y' = λy only at imaginary λh (with noise: derived here)")
def reversible_heun_needs_no_decay() -> Verdict:
    """dy = -lam y dt + 0.5 dW, T = 5, 200 paths, 100 steps: variance of y_T, and growth of its shadow's gap."""
    measured, holds, T, N = {}, True, 5.0, 100
    grid = Grid(0.0, T, N)
    dW, times = Brownian.draw(grid, (200, 1), seed=0, dtype=T64).increments, grid.tensor(T64)
    for lam in (0.5, 2.0, 4.0):
        sde = SDE(lambda t, y, lam=lam: -lam * y, lambda t, y: 0.5 + 0 * y, sde_type="stratonovich")
        scheme, y = choose(sde, "reversible_heun"), torch.ones(200, 1, dtype=T64)
        carry, gaps = scheme.start(sde, times[0], y), []
        for k in range(N):
            carry = scheme.step(sde, times[k], carry, grid.dt, dW[k])
            gaps.append(float((carry[0] - carry[3]).square().mean().sqrt()))
        exact = 0.25 * (1 - math.exp(-2 * lam * T)) / (2 * lam)
        # The noise excites the parasite anew at each step; its growth shows where it is far above that.
        growth, q = (gaps[-1] / gaps[N // 2]) ** (1 / (N - 1 - N // 2)), lam * grid.dt
        predicted = q + math.sqrt(1 + q**2)
        row = (float(carry[0].var()), exact, growth, predicted)
        measured[f"λ = -{lam:g}"] = [float(f"{v:.4g}") for v in row]
        holds = holds and (lam < 2 or abs(growth / predicted - 1) < 0.01)
    return Verdict(measured, "the gap between y and its shadow grows by q + √(1 + q²), q = |λ|h, a step, "
                             "within "
                   "1 % for λ = -2 and -4", holds,
                   unit="variance of y at T = 5, exact variance, growth a step, predicted growth")


@claim(paper=PAPER, where="latent SDE: the ELBO's path term",
       says="the path KL is E ∫ |(f - h) / σ|² / 2 dt (with the half and the square)")
def path_kl_is_girsanov() -> Verdict:
    """Prior dz = -a z dt + 0.8 dW, posterior dz = (c - b z) dt + 0.8 dW: 4000 paths, 400 Euler steps, T = 2."""
    measured, worst, grid = {}, 0.0, Grid(0.0, 2.0, 400)
    dW = Brownian.draw(grid, (4000, 1), seed=0, dtype=T64).increments
    z0 = 0.5 + math.sqrt(0.2) * starts(4000, 1)
    for a, b, c in ((1.0, 1.0, 0.8), (1.0, 2.0, 0.0), (0.5, 1.5, -0.6)):
        sde = SDE(lambda t, z, b=b, c=c: c - b * z, lambda t, z: 0.8 + 0 * z, prior=lambda t, z, a=a: -a * z)
        _, kl = integrate(sde, z0, grid, dW, save="last", logqp=True)
        exact = gauss.ou_path_kl(a=a, b=b, shift=c, sigma=0.8, mean0=0.5, var0=0.2, T=2.0)
        measured[f"a = {a:g}, b = {b:g}, c = {c:g}"] = [round(float(kl.mean()), 4), round(exact, 4)]
        worst = max(worst, abs(float(kl.mean()) / exact - 1))
    return Verdict(measured, "mean over paths within 3 % of the closed form", worst < 0.03,
                   unit="simulated, exact (nats)")
