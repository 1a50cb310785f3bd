"""Few evaluations, live: three orders of DPM-Solver and Euler in t, on three bumps whose flow is known exactly.

All numbers of steps run side by side, so that the knobs only choose what is shown. On the line the flow keeps
the order of points: it maps quantiles to quantiles, and the truth needs no solver.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.dpm_solver.solver import dpm_step, noise_of
from nde_lab.diffusion.score_sde import VP, Mixture, Process
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.views import Axis, Line, Panel, Points, View

GRIDS = ("uniform in lambda", "uniform in t", "quadratic in t")
END, FLOOR = 1e-3, 2e-6            # last time; no error is drawn smaller (float32)
CALLS = {"order1": 1, "order2": 2, "order3": 3, "euler": 1}      # evaluations a step
WIDTH = 0.06                       # standard deviation of the kernel that draws points as a density


def clock(process: Process, grid: str, u: Tensor, end: float = END) -> Tensor:
    """Times of a grid (``GRIDS``) at the share u of the way, 0 at the horizon and 1 at ``end``; any shape."""
    if grid == "uniform in lambda":
        ends = torch.tensor([process.horizon, end], dtype=u.dtype)
        top, low = process.half_log_snr(ends)
        return process.time_at(top + u * (low - top))
    back = 1 - u
    return end + (process.horizon - end) * (back if grid == "uniform in t" else back * back)


def quantile(mixture: Mixture, process: Process, t: float, p: Tensor) -> Tensor:
    """Quantiles at time t of the noised mixture on the line, by 40 halvings of [-8, 8]: p (n, 1) -> (n, 1)."""
    def halve(pair, _):
        low, high = pair
        middle = 0.5 * (low + high)
        below = below_density(mixture, process, t, middle) < p
        return (torch.where(below, middle, low), torch.where(below, high, middle)), None
    (low, high), _ = loop(halve, (torch.full_like(p, -8.0), torch.full_like(p, 8.0)), torch.zeros(40))
    return 0.5 * (low + high)


def below_density(mixture: Mixture, process: Process, t: float, x: Tensor) -> Tensor:
    """Distribution function of the noised mixture on the line, (n, 1) -> (n, 1)."""
    m, s = (v.to(x.dtype) for v in (process.mean(t), process.std(t)))
    spread = torch.sqrt(m * m * mixture.stds.square() + s * s)
    standard = (x - m * mixture.means[:, 0]) / spread
    return (mixture.weights * 0.5 * (1 + torch.erf(standard / math.sqrt(2)))).sum(-1, keepdim=True)


def marched(step, x: Tensor, counts: Tensor, turns: Tensor) -> Tensor:
    """Rows of different numbers of steps side by side: step(x, u, after) from the share u of the way to the
    next.

    x: (B, 1); counts: (B, 1) steps of each row; turns: the numbers of the steps taken now. A row that has
    arrived stays.
    """
    def body(x, j):
        return step(x, (j / counts).clamp(max=1.0), ((j + 1) / counts).clamp(max=1.0)), None
    return loop(body, x, turns)[0]


@experiment(paper="dpm-solver")
@dataclass(frozen=True)
class FewEvaluations:
    """Samples in N evaluations by one order, and the error of all orders against evaluations, in float32.

    VP, three bumps (means -1, 0.2, 1.5; standard deviations 0.2, 0.3 and ``sharp``), exact score. 80 points
    start at the quantiles of the law at t = 1; order k takes N / k steps, rounded down. A step of the
    experiment spends six evaluations on every sampler with every number of steps up to 60 evaluations.
    """
    grid: str = knob(GRIDS[0], choices=GRIDS, label="steps")
    sharp: float = knob(0.15, choices=(0.05, 0.15, 0.4), label="std of the right bump")
    live = {"N": Knob(12, low=3, high=60, label="evaluations N"),
            "order": Knob(3, low=1, high=3, label="order", help="of the sampler on the left")}
    plan = Plan(10)
    most, points, spent = 60, 80, 6

    @property
    def bumps(self) -> Mixture:
        """The data, float64."""
        return Mixture.of([-1.0, 0.2, 1.5], [0.2, 0.3, self.sharp], [0.3, 0.4, 0.3])

    def data(self):
        p = ((torch.arange(self.points, dtype=torch.float64) + 0.5) / self.points)[:, None]
        arrays = {"start": quantile(self.bumps, VP(), 1.0, p), "truth": quantile(self.bumps, VP(), END, p)[:,
                                                                                                           0],
                  "means": self.bumps.means, "stds": self.bumps.stds, "weights": self.bumps.weights,
                  "x": torch.linspace(-2.2, 2.2, 161), "height": torch.tensor([1e-4, 10.0])}
        for k in (1, 2, 3):
            arrays[f"steps{k}"] = torch.arange(1, self.most // k + 1)
            arrays[f"cost{k}"] = k * arrays[f"steps{k}"]
        return {name: a.float() for name, a in arrays.items()}

    def draws(self):
        return Draws()

    def init(self, data, start, live):
        rows = {name: data["start"].repeat(self.most // k, 1) for name, k in CALLS.items()}
        return rows | {"k": torch.zeros(())}

    def _samplers(self, data):
        process = VP()
        score = Mixture(data["means"], data["stds"], data["weights"]).score(process)
        eps, flow = noise_of(score, process), process.flow(score)

        def dpm(order):
            return lambda x, u, v: dpm_step(eps, process, x, clock(process, self.grid, u),
                                            clock(process, self.grid, v), order=order)

        def euler(x, u, v):
            t, after = (clock(process, "uniform in t", w) for w in (u, v))
            return x + (after - t) * flow(t, x)
        return {"order1": dpm(1), "order2": dpm(2), "order3": dpm(3), "euler": euler}

    def step(self, data, state, noise, live):
        new = {"k": state["k"] + 1}
        for name, step in self._samplers(data).items():
            calls = CALLS[name]
            counts = data[f"steps{calls}"].repeat_interleave(self.points)[:, None]
            turns = self.spent // calls
            new[name] = marched(step, state[name], counts, state["k"] * turns + torch.arange(float(turns)))
        ok = torch.isfinite(torch.stack([v.abs().max() for v in new.values()]).max())
        return new, {"evaluations": self.spent * new["k"], "ok": ok}

    def observe(self, data, state, noise, live):
        spent, order, out = self.spent * state["k"], live["order"].round(), {"x": data["x"]}
        here, shown = torch.zeros(1), torch.zeros(self.points)
        for name, calls in CALLS.items():
            made, cost = state[name].reshape(-1, self.points), data[f"cost{calls}"]
            error = (made - data["truth"]).square().mean(1).sqrt().clamp(FLOOR, 1e3)
            # What is not finished is folded onto the last number of steps that is.
            done = ((cost <= spent).to(cost.dtype).sum() - 1).clamp(min=0.0)
            fold = torch.minimum(torch.arange(len(cost), dtype=cost.dtype), done).long()
            out |= {name: error[fold], f"cost_{name}": cost[fold]}
            if name != "euler":
                row = (torch.floor(live["N"].round() / calls).clamp(min=1.0) - 1).long().reshape(1)
                chosen = (order == calls).to(cost.dtype)
                here, shown = here + chosen * error[row], shown + chosen * made[row][0]
        for name, points in (("made", shown), ("exact", data["truth"])):
            kernel = torch.exp(-0.5 * ((data["x"][:, None] - points) / WIDTH).square())
            out[name] = kernel.mean(1) / (WIDTH * math.sqrt(2 * math.pi))
        N = live["N"].round().reshape(1)
        return out | {"here": N, "here_error": here, "post": torch.cat([N, N]), "height": data["height"]}

    def view(self):
        lines = [("order1", "train", "order 1 (DDIM)"), ("order2", "accent", "order 2"),
                 ("order3", "test", "order 3"), ("euler", "neutral", "Euler in t")]
        return View([
            Panel(f"{self.points} points after N evaluations", Axis("x", low=-2.2, high=2.2),
                  Axis("density", low=0, high=2.0),
                  [Line("x", "made", role="ode", label="this sampler"),
                   Line("x", "exact", role="truth", label="exact flow")],
                  alt="Density of the sampled points (dashed) and of the points that the exact flow would give "
                      "(dotted, three bumps). With few evaluations the dashed curve is too smooth or lies "
                      "beside the dotted one; with 30 and more at order 3 it covers it."),
            Panel("Error against evaluations", Axis("evaluations of the score", scale="log", low=1, high=100),
                  Axis("RMS error of x", scale="log", low=1e-4, high=10),
                  [*(Line(f"cost_{name}", name, role=role, label=label) for name, role, label in lines),
                   Line("post", "height", role="ode", label="N"), Points("here", "here_error", role="ode")],
                  alt="Root mean square error against evaluations on log axes for orders 1, 2 and 3 and for "
                      "Euler steps in t. On the grid uniform in lambda the lines of the orders bend into slopes "
                      "of 1, 2 and 3 and part from about 20 evaluations on; at 12 all four lie within a factor "
                      "of four, Euler lowest.")])
