"""Quick claims on gradients and on controlled equations; what trains for long is in ``table``."""
from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from nde_lab.claims import Verdict, claim
from nde_lab.odes.neural_odes import adjoints as ad
from nde_lab.odes.neural_odes.cde import solve_cde
from nde_lab.odes.neural_odes.gradients import half_square, lorenz, tanh_draws, tanh_field
from nde_lab.odes.neural_odes.memory import count_kept
from nde_lab.random import Normal, sample

PAPER = "on-neural-differential-equations"
T64 = torch.float64
COUNTS = (10, 20, 40)
SETTING = "random tanh field 8-32-8, batch 16, T = 1, loss half the sum of squares, float64"


def setting(seed: int = 0, dtype=T64) -> tuple[dict[str, Tensor], Tensor]:
    """The parameters of the brief's random field 8 -> 32 -> 8, and 16 starts."""
    drawn = sample({**tanh_draws(), "y0": Normal((16, 8))}, seed=seed, stream="start", dtype=dtype)
    return {n: drawn[n] for n in tanh_draws()}, drawn["y0"]


def even(n: int, dtype=T64) -> Tensor:
    """n equal steps on [0, 1]."""
    return torch.full((n,), 1 / n, dtype=dtype)


@functools.cache
def gradient_table(seed: int = 0) -> dict[str, dict[str, list[float]]]:
    """For each scheme, N = 10, 20, 40: "wrong" (discretise-then-optimise against the truth, RK4 with 400
    steps), "adjoint" (the scheme's memory-free gradient against backpropagation), "start" (how far the way
    back ends from y0); relative errors."""
    params, y0 = setting(seed)
    true = ad.discretise_then_optimise(tanh_field, params, y0, even(400), loss=half_square, method="rk4")
    table = {}
    for method in (*ad.SCHEMES, "reversible"):
        rows: dict[str, list[float]] = {"wrong": [], "adjoint": [], "start": []}
        for n in COUNTS:
            given = {"loss": half_square, **({} if method == "reversible" else {"method": method})}
            through, back = ((ad.reversible_by_backpropagation, ad.reversible) if method == "reversible" else
                             (ad.discretise_then_optimise, ad.optimise_then_discretise))
            dto = through(tanh_field, params, y0, even(n), **given)
            other, start = back(tanh_field, params, y0, even(n), **given)
            rows["wrong"].append(float(ad.difference(dto, true)))
            rows["adjoint"].append(float(ad.difference(other, dto)))
            rows["start"].append(float((start - y0).norm() / y0.norm()))
        table[method] = rows
    return table


def slopes(errors: list[float]) -> list[float]:
    """log2 of the ratio of neighbours: the order, where the number of steps doubles."""
    return [math.log2(a / b) for a, b in zip(errors, errors[1:], strict=False)]


@claim(paper=PAPER, where="chapter 5, discretise-then-optimise",
       says="backpropagation through a solver gives the gradient of the discrete solution, so it is as "
            "accurate as the scheme")
def gradient_orders() -> Verdict:
    """Order in N of the error of the gradient by backpropagation, for the four schemes."""
    table, orders = gradient_table(), {"euler": 1, "midpoint": 2, "heun": 2, "rk4": 4}
    measured = {m: [round(s, 2) for s in slopes(table[m]["wrong"])] for m in orders}
    holds = all(abs(s - orders[m]) < 0.15 for m in orders for s in slopes(table[m]["wrong"]))
    return Verdict(measured, "orders 1, 2, 2, 4 within 0.15", holds, note=SETTING,
                   unit="log2 of the error's fall, N = 10 to 20 to 40")


@claim(paper=PAPER, where="chapter 5, reversible Heun",
       says="reversible Heun is undone algebraically, so its memory-free gradient is exact up to rounding")
def reversible_gradient_is_exact() -> Verdict:
    """The reversible adjoint against backpropagation through the same steps, three random fields."""
    worst = {f"N = {n}": max(gradient_table(s)["reversible"]["adjoint"][i] for s in range(3))
             for i, n in enumerate(COUNTS)}
    worst["start"] = max(max(gradient_table(s)["reversible"]["start"]) for s in range(3))
    return Verdict(worst, "relative difference below 1e-13 for every N", all(v < 1e-13 for v in worst.values()),
                   note=f"{SETTING}; in float32 the floor is near 1e-7", unit="largest of three fields")


@claim(paper=PAPER, where="chapter 5, optimise-then-discretise",
       says="the continuous adjoint is an approximation: its gradient is not that of the discrete solution")
def continuous_adjoint_is_off() -> Verdict:
    """The continuous adjoint, solved back with the same scheme and steps, against backpropagation."""
    table = gradient_table()
    measured = {m: table[m]["adjoint"] for m in ad.SCHEMES}
    return Verdict(measured, "midpoint is off by more than 1e-6 at N = 40", measured["midpoint"][-1] > 1e-6,
                   note=f"{SETTING}. Heun's falls with order 3, one more than the scheme's own "
                   "error", unit="relative difference at N = 10, 20, 40")


@claim(paper=PAPER, where="chapter 5, memory",
       says="backpropagation through the solver keeps every step; the adjoints keep nothing that grows with N")
def memory_of_gradients() -> Verdict:
    """Bytes that autograd holds at most, for N = 10 .. 160, float64."""
    params, y0 = setting()
    counts, kept = (10, 20, 40, 80, 160), {}
    for n in counts:
        hs = even(n)
        for name, gradient in {
                "through the solver": lambda hs=hs: ad.discretise_then_optimise(
                    tanh_field, params, y0, hs, loss=half_square, method="midpoint"),
                "continuous adjoint": lambda hs=hs: ad.optimise_then_discretise(
                    tanh_field, params, y0, hs, loss=half_square, method="midpoint"),
                "reversible": lambda hs=hs: ad.reversible(tanh_field, params, y0, hs, loss=half_square)
                }.items():
            kept.setdefault(name, []).append(count_kept(gradient).most_bytes)
    through = kept["through the solver"]
    growth = [(b - a) / (n - m) for a, b, m, n in zip(through, through[1:], counts, counts[1:], strict=False)]
    flat = all(len(set(kept[name])) == 1 for name in ("continuous adjoint", "reversible"))
    holds = flat and through[0] > 0 and max(growth) < 1.02 * min(growth)
    return Verdict(kept, "linear in N through the solver (growth per step constant within 2 %), the same for "
                   "every N otherwise", holds, note="midpoint; a tensor that two operators save counts twice",
                   unit="bytes held at N = 10, 20, 40, 80, 160")


def lorenz_gradients(horizon: float, per_time: int = 200) -> dict[str, float]:
    """Gradient of x(T) in (y0, the constants) of the Lorenz field by both ways, RK4, float64: their cosine,
    and the distance of the reconstructed start from y0."""
    params = {"c": torch.tensor([10.0, 28.0, 8 / 3], dtype=T64)}
    y0 = torch.tensor([[-8.0, 8.0, 27.0]], dtype=T64)
    n = round(per_time * horizon)
    hs = torch.full((n,), horizon / n, dtype=T64)

    def field(p, y):
        return lorenz(y, p["c"])

    def loss(y):
        return y[:, 0].sum()

    dto = ad.discretise_then_optimise(field, params, y0, hs, loss=loss, method="rk4")
    otd, start = ad.optimise_then_discretise(field, params, y0, hs, loss=loss, method="rk4")
    one, other = (torch.cat([g["c"], g["y0"].flatten()]) for g in (dto, otd))
    cosine = float(torch.nn.functional.cosine_similarity(one, other, dim=0))
    return {"cosine": cosine, "miss": float((start - y0).norm())}


@claim(paper=PAPER, where="chapter 5, optimise-then-discretise (example of the brief)",
       says="the adjoint solves the state again backwards, which is unstable where forwards is dissipative")
def lorenz_start_is_lost() -> Verdict:
    """RK4, 200 steps per unit of time, float64, from (-8, 8, 27)."""
    horizons = (0.5, 1.0, 1.25, 1.5)
    runs = [lorenz_gradients(t) for t in horizons]
    measured = {"distance from y0": [r["miss"] for r in runs],
                "cosine of both gradients": [r["cosine"] for r in runs]}
    holds = runs[0]["miss"] < 1e-3 and runs[-1]["miss"] > 1
    return Verdict(measured, "the start is found within 0.001 for T = 0.5, and missed by more than 1 for T = "
                   "1.5", holds, unit="T = 0.5, 1, 1.25, 1.5",
                   note="volumes shrink by e^(-13.7 t) forwards, nearly all of it in one direction, so "
                   "backwards an error grows by about e^(14.5 t); at T = 2 it overflows")


def random_field(hidden: int, channels: int, seed: int):
    """A smooth random z -> (hidden, channels), float64."""
    w = sample({"a": Normal((hidden, 16)), "b": Normal((16,)), "c": Normal((16, hidden * channels), scale=0.4)},
               seed=seed, stream="start", dtype=T64)
    return lambda z: (torch.tanh(z @ w["a"] + w["b"]) @ w["c"]).unflatten(-1, (hidden, channels))


def curve(u: Tensor) -> Tensor:
    """A smooth curve in the plane, u (L,) -> (L, 2)."""
    return torch.stack([torch.sin(3 * math.pi * u), 0.8 * torch.cos(2.6 * math.pi * u + 0.5)], dim=-1)


@claim(paper=PAPER, where="chapter 3 (neural CDEs)", seeds=5,
       says="without a time channel the output does not depend on the speed at which the path is run through")
def cde_ignores_speed() -> Verdict:
    """Five random fields; the curve at even times, and warped by u = t + 0.8 sin(2 pi t) / (2 pi)."""
    apart = {(name, n): speed_gap(n, clock) for name, clock in (("without", False), ("with", True))
             for n in (400, 800)}
    size = {n: sum(g * g for g in apart["without", n]) ** 0.5 for n in (400, 800)}
    order = math.log2(size[400] / size[800])
    holds = (max(apart["without", 800]) < 5e-3 and abs(order - 2) < 0.2
             and min(apart["with", 800]) > 1e-2)
    return Verdict({"without, 800 pieces": apart["without", 800], "order of its fall": round(order, 2),
                    "with a time channel": apart["with", 800]},
                   "without a time channel the ends differ by the polygon's error alone: below 0.005, falling "
                   "with order 2 within 0.2; with one by more than 0.01", holds,
                   unit="relative difference of the ends, five random fields")


def speed_gap(pieces: int, clock: bool, seeds: int = 5) -> list[float]:
    """Relative difference of the hidden ends of the plain and the warped curve, for each random field."""
    t = torch.linspace(0, 1, pieces + 1, dtype=T64)
    path = torch.stack([curve(t), curve(t + 0.8 * torch.sin(2 * math.pi * t) / (2 * math.pi))], dim=1)
    if clock:
        path = torch.cat([path, 2 * t[:, None, None].expand(-1, 2, 1)], dim=-1)
    ends = [solve_cde(random_field(3, path.shape[-1], s), torch.zeros(2, 3, dtype=T64), path)[-1]
            for s in range(seeds)]
    return [float((z[0] - z[1]).norm() / z[0].norm()) for z in ends]


@claim(paper=PAPER, where="chapter 3 (neural CDEs; example ours)", seeds=5,
       says="a path of one channel, run forth and back, leaves a CDE where it was: only its ends are felt")
def cde_of_one_channel_feels_its_ends() -> Verdict:
    """A noisy walk of 1600 pieces, and the straight line from its start to its end."""
    gaps = []
    for seed in range(5):
        drawn = sample({"steps": Normal((1600,), scale=0.01)}, seed=seed, stream="step", dtype=T64)
        walk = torch.cat([torch.zeros(1, dtype=T64), drawn["steps"].cumsum(0)])
        line = torch.linspace(0, 1, 1601, dtype=T64) * walk[-1]
        path = torch.stack([walk, line], dim=1)[..., None]                                 # (L, 2, 1)
        z = solve_cde(random_field(3, 1, seed), torch.zeros(2, 3, dtype=T64), path, method="rk4")[-1]
        gaps.append(float((z[0] - z[1]).norm()))
    return Verdict(gaps, "distance of the two ends below 1e-6", max(gaps) < 1e-6, unit="five random fields",
                   note="so a time channel is not a detail: without it a single series is not seen at all")
