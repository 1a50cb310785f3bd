"""What the thesis and the textbooks say about Brownian motion and its equations, measured.

Two claims are the thesis's (Kidger, "On Neural Differential Equations", arXiv 2202.02435); the others are
textbook statements (Øksendal, "Stochastic Differential Equations", 6th edition; Kramers 1940), measured
because the book leans on them. All are quick.
"""
from __future__ import annotations

import math

import torch

from nde_lab.claims import Verdict, claim
from nde_lab.experiment import last, run
from nde_lab.random import Normal, sample
from nde_lab.sdes.brownian_motion import fokker_planck as fp
from nde_lab.sdes.brownian_motion.bridge import bridge_law, refine
from nde_lab.sdes.brownian_motion.langevin import WALL, Hopping, reflect
from nde_lab.sdes.brownian_motion.market import quadratic_variation, share_prices
from nde_lab.sdes.brownian_motion.ou import ou_euler_variance, ou_step, ou_variance
from nde_lab.solvers import SDE, Brownian, Grid, integrate

PAPER = "on-neural-differential-equations"
TEXTBOOK = "textbook-stochastic-calculus"
T64 = torch.float64


def _normals(*shape: int, seed: int) -> torch.Tensor:
    return sample({"z": Normal(shape)}, seed=seed, stream="start", dtype=T64)["z"]


def _errors(mean: float, variance: float, x: torch.Tensor) -> list[float]:
    """How many standard errors the sample x of a normal law is away from its mean and its variance."""
    n = len(x)
    return [float((x.mean() - mean) / math.sqrt(variance / n)),
            float((x.var() / variance - 1) / math.sqrt(2 / (n - 1)))]


def growth_mean(method: str, *, paths: int, steps: int = 64, chunk: int = 20_000) -> float:
    """Mean of X_1 for dX = X dW, X_0 = 1, by a scheme of ``nde_lab.solvers``: Ito for "euler", else
    Stratonovich."""
    sde = SDE(lambda t, x: 0 * x, lambda t, x: x, sde_type="ito" if method == "euler" else "stratonovich")
    grid, total = Grid(0.0, 1.0, steps), 0.0
    for seed in range(paths // chunk):
        dW = Brownian.draw(grid, (chunk, 1), seed=seed, dtype=T64).increments
        x = integrate(sde, torch.ones(chunk, 1, dtype=T64), grid, dW, method=method, save="last")
        total += float(x.sum())
    return total / paths


@claim(paper=PAPER, where="numerical solution of neural SDEs: Ito and Stratonovich solvers",
       says="Euler-Maruyama converges to the Ito solution, Heun's method to the Stratonovich one: the same "
            "letters, two processes")
def ito_and_stratonovich_means() -> Verdict:
    """dX = X dW, X_0 = 1, T = 1: 200,000 paths of 64 steps. Standard errors: 0.003 and 0.005."""
    euler, heun = (growth_mean(m, paths=200_000) for m in ("euler", "heun"))
    return Verdict({"Euler-Maruyama": [euler, 1.0], "Heun": [heun, math.exp(0.5)]},
                   "both means within 0.02 of 1 and e^{1/2}",
                   abs(euler - 1) < 0.02 and abs(heun - math.exp(0.5)) < 0.02, unit="measured, exact",
                   note=f"64 Heun steps have the mean (1 + 1/128)^64 = {(1 + 1 / 128) ** 64:.4f} themselves")


@claim(paper=PAPER, where="Brownian Interval",
       says="increments can be asked for in any order and stay consistent; "
       "between known values the path is a Brownian bridge")
def brownian_bridge_and_interval() -> Verdict:
    """torchsde's Brownian Interval, and our own halving, with 20,000 paths each in float64."""
    import torchsde
    n = 20_000
    bm = torchsde.BrownianInterval(t0=0.0, t1=1.0, size=(n,), dtype=T64, entropy=3)
    spans = ((0.3, 0.7), (0.25, 1.0), (0.9, 0.95), (0.0, 1.0), (0.1, 0.25), (0.0, 0.25))
    asked = {span: bm(*span) for span in spans}
    whole, part = asked[0.0, 1.0], asked[0.0, 0.25]
    gap = float((part + asked[0.25, 1.0] - whole).abs().max())
    again = all(torch.equal(bm(*span), value) for span, value in asked.items())
    mean, variance = bridge_law(0.0, 0.25, 1.0, 0 * whole, whole)
    interval = _errors(0.0, variance, part - mean)
    z = _normals(n, 4, seed=1)
    W = torch.cat([torch.zeros(n, 1, dtype=T64), z[:, :1]], 1)
    halved = refine(W, z[:, 1:2], length=1.0)
    quartered = refine(halved, z[:, 2:], length=1.0)
    kept = bool(torch.equal(quartered[:, ::2], halved) and torch.equal(quartered[:, ::4], W))
    ours = _errors(0.0, variance, quartered[:, 1] - 0.25 * W[:, 1])
    return Verdict({"largest |W(0,.25) + W(.25,1) - W(0,1)|": gap, "asked again, the same": str(again),
                    "Brownian Interval: mean, variance": interval, "our halving: mean, variance": ours,
                    "coarse values kept by halving": str(kept)},
                   "sums to rounding (1e-14), the same when asked again; W(1/4) given W(1) has the bridge's "
                   "mean W(1)/4 and variance 3/16 within 3 standard errors",
                   gap < 1e-14 and again and kept and max(map(abs, interval + ours)) < 3,
                   unit="standard errors from the law")


@claim(paper=TEXTBOOK, where="Øksendal, chapters 2 and 3",
       says="on every path the squares of the steps add up to the "
       "time; the steps' sizes add up to infinity")
def quadratic_variation_is_time() -> Verdict:
    """2000 paths on [0, 1] looked at on 16, 64, 256 and 1024 intervals."""
    dW = _normals(1024, 2000, seed=2) / 32
    table, spreads, holds = {}, [], True
    for n in (16, 64, 256, 1024):
        steps = dW.reshape(n, -1, 2000).sum(1)
        squares, length = steps.square().sum(0), float(steps.abs().sum(0).mean())
        spreads.append(float(squares.std()))
        holds &= abs(float(squares.mean()) - 1) < 3 * math.sqrt(2 / n / 2000)
        holds &= abs(length / math.sqrt(2 * n / math.pi) - 1) < 0.02
        table[f"{n} steps"] = [float(squares.mean()), spreads[-1], length]
    slope = math.log2(spreads[-1] / spreads[0]) / 6
    return Verdict(table | {"slope of the spread": slope},
                   "mean of the sum of squares 1 within 3 standard errors, spread falling like n^{-1/2} "
                   "(slope within 0.05), length sqrt(2 n / pi) within 2 %",
                   bool(holds and abs(slope + 0.5) < 0.05),
                   unit="sum of squares: mean and spread; mean length")


@claim(paper=TEXTBOOK, where="Øksendal, exercise 5.5",
       says="an Ornstein-Uhlenbeck process forgets its start and "
       "settles on N(0, sigma^2 / (2a))")
def ornstein_uhlenbeck_settles() -> Verdict:
    """a = 1.5, sigma = 0.8, x_0 = 2: 20,000 paths by 4 exact steps of 1/4, and by 40 Euler steps of 1/2."""
    a, sigma, n = 1.5, 0.8, 20_000
    x = torch.full((n,), 2.0, dtype=T64)
    for xi in _normals(4, n, seed=3):
        x = ou_step(x, xi, a=a, sigma=sigma, h=0.25)
    exact = _errors(2 * math.exp(-a), float(ou_variance(a, sigma, torch.tensor(1.0, dtype=T64))), x)
    y = torch.full((n,), 2.0, dtype=T64)
    for xi in _normals(40, n, seed=4):
        y = y - a * y * 0.5 + sigma * math.sqrt(0.5) * xi
    limit = float(ou_euler_variance(a, sigma, torch.tensor(0.5, dtype=T64)))
    euler = _errors(0.0, limit, y)
    return Verdict({"exact steps at t = 1: mean, variance": exact, "Euler at t = 20: mean, variance": euler,
                    "Euler's variance / true variance": limit / (sigma**2 / (2 * a))},
                   "mean 2 e^{-a} and variance sigma^2 (1 - e^{-2a}) / (2a) for the exact steps, variance "
                   "sigma^2 / (2a - a^2 h) for Euler's, all within 3 standard errors",
                   max(map(abs, exact + euler)) < 3,
                   unit="standard errors from the law",
                   note="Euler's error is in the step h, not in the paths")


@claim(paper=TEXTBOOK, where="Øksendal, chapter 8 (Kolmogorov forward)",
       says="the density of a Langevin cloud solves "
       "the Fokker-Planck equation, and tends to exp(-2U / sigma^2) whatever the start")
def cloud_follows_fokker_planck() -> Verdict:
    """Double well b = 1, sigma = 1, all at -1: 8000 points (Euler, dt = 1/200) against 64 cells, on 32
    bins."""
    n, dt, D = 8000, 1 / 200, 0.5
    centres = fp.cell_centres(-WALL, WALL, 64, T64)
    dx = 2 * WALL / 64
    U = fp.double_well(centres, b=1.0)
    x = -1 + 0.2 * _normals(n, seed=5)
    p = torch.exp(-((centres + 1) / 0.2) ** 2 / 2)
    p = p / (p.sum() * dx)
    table, holds, t = {}, True, 0.0
    for until in (0.5, 1.0, 4.0):
        for xi in _normals(round((until - t) / dt), n, seed=int(10 * until)):
            x = reflect(x + fp.double_well_pull(x, b=1.0) * dt + math.sqrt(dt) * xi)
        p, t = fp.solve_density(p, U, D=D, dx=dx, t=until - t), until
        mass = p.reshape(-1, 2).sum(1) * dx
        counted = torch.histc(x, 32, -WALL, WALL) / n
        noise = float((2 * mass * (1 - mass) / (math.pi * n)).sqrt().sum())
        table[f"t = {until:g}"] = [float((counted - mass).abs().sum()), noise]
        holds &= table[f"t = {until:g}"][0] < 2 * noise
    rest = fp.at_rest(U, D=D, dx=dx)
    # 100 units of time as a power of one short step, a 64 x 64 matrix.
    right, left = fp.jump_rates(U, D=D, dx=dx)
    one_step = torch.stack([fp.density_step(e, right, left, 0.001) for e in torch.eye(64, dtype=T64)], 1)
    starts = torch.stack([p, torch.ones_like(p) / 4, (centres > 1.5).to(T64) * 2], 1)
    ends = ((torch.linalg.matrix_power(one_step, 100_000) @ starts - rest[:, None]).abs().sum(0) * dx).tolist()
    return Verdict(table | {"from three starts, distance to rest at t = 100": ends},
                   "L1 distance of points and density below twice what counting 8000 points costs; three "
                   "starts end within 1e-8 of exp(-2U / sigma^2)", bool(holds and max(ends) < 1e-8),
                   unit="L1 distance; expected from counting alone")


@claim(paper=TEXTBOOK, where="Kramers 1940",
       says="for low noise the mean time to hop over a barrier b grows like "
       "e^{2b / sigma^2}, with a known factor")
def kramers_formula() -> Verdict:
    """The exact mean time by quadrature, Kramers' formula, and 400 simulated points at sigma = 0.8 (b =
    1)."""
    table, ratios = {}, []
    for sigma in (0.8, 0.6, 0.4, 0.3):
        s = torch.tensor(sigma, dtype=T64)
        exact = float(fp.crossing_time(b=1.0, sigma=s, cells=2000))
        ratios.append(exact / float(fp.kramers_time(b=1.0, sigma=s)))
        table[f"sigma = {sigma:g}: exact time, exact / Kramers"] = [exact, ratios[-1]]
    end = last(run(Hopping, {"sigma": 0.8, "b": 1.0}))
    estimate, arrived = float(end.history["estimate"][-1]), 400 * float(end.history["arrived"][-1])
    exact = table["sigma = 0.8: exact time, exact / Kramers"][0]
    off = (estimate / exact - 1) * math.sqrt(arrived)
    return Verdict(table | {"simulated at sigma = 0.8: time, standard errors off": [estimate, off]},
                   "exact / Kramers falls towards 1 with sigma, below 1.05 at 0.4; the simulated time within "
                   "3 standard errors of the exact one",
                   ratios == sorted(ratios, reverse=True) and 1 < ratios[2] < 1.05 and abs(off) < 3)


@claim(paper=TEXTBOOK, where="Øksendal, chapter 5 (geometric Brownian motion), on a real price",
       says="the quadratic variation of a diffusion does not depend on how often one looks, while its length "
            "does")
def share_price_is_rough() -> Verdict:
    """log(price) of a share on 1047 days: looked at every 1, 2, 5, 10, 21 days."""
    log_price = torch.tensor(share_prices()[1]).log()
    n, table, holds = len(log_price) - 1, {}, True
    for lag in (1, 2, 5, 10, 21):
        squares = float(quadratic_variation(log_price, lag)[-1])
        seen = log_price[::lag]
        table[f"every {lag}"] = [squares, float((seen[1:] - seen[:-1]).abs().sum())]
        holds &= abs(squares / table["every 1"][0] - 1) < 3 * math.sqrt(2 * lag / n)
    lengths = [v[1] for v in table.values()]
    return Verdict(table, "sum of squares within 3 standard errors (of a Brownian motion) of the daily one; "
                          "the length falls at least threefold from daily to monthly looks",
                   bool(holds and lengths[-1] < lengths[0] / 3),
                   unit="sum of squared steps, length",
                   note="closing prices of Google, 2004-2008, from matplotlib's "
                   "sample data")


@claim(paper=TEXTBOOK, where="Øksendal, chapter 5 (geometric Brownian motion), on a real price",
       says="a share price is a geometric Brownian motion with one volatility")
def one_volatility_for_a_share() -> Verdict:
    """Largest deviation of the share's variation from a straight line, against 2000 Brownian motions."""
    log_price = torch.tensor(share_prices()[1]).log()
    n = len(log_price) - 1

    def largest(squares):
        share = squares.cumsum(-1) / squares.sum(-1, keepdim=True)
        return (share - torch.arange(1, n + 1, dtype=T64) / n).abs().amax(-1)

    steps = log_price[1:] - log_price[:-1]
    measured = float(largest(steps.square()))
    chance = float(largest(_normals(2000, n, seed=6).square()).quantile(0.99))
    z = (steps - steps.mean()) / steps.std()
    return Verdict({"largest deviation from a straight line": [measured, chance],
                    "fourth moment of a step": [float((z**4).mean()), 3.0]},
                   "deviation below what 99 % of Brownian motions show", measured < chance,
                   unit="the share, a Brownian motion",
                   note="calm in 2007, wild in 2008: the volatility is itself a process")
