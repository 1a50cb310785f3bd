"""The Ito integral, and Ito's formula at work: which end of a step is read, and what that does to a growing
share.

Source: Øksendal, "Stochastic Differential Equations", chapters 3 to 5 (Ito integral, Ito's formula, geometric
Brownian motion); the Stratonovich reading as in Kidger, "On Neural Differential Equations" (arXiv
2202.02435).
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.autodiff import loop
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.sdes.brownian_motion.walks import CELLS, FINE, PAPER, TIME, held
from nde_lab.views import Axis, Line, Panel, Paths, View


@experiment(paper=PAPER)
@dataclass(frozen=True)
class ItoIntegral:
    """The sum of W(t_i + alpha d) (W(t_i + d) - W(t_i)) over n intervals of length d = 1/n: which alpha?

    Its mean at time t is alpha t, and for n to infinity it tends to (W_t^2 - (1 - 2 alpha) t) / 2: the limit
    depends on where in its interval the integrand is read. alpha = 0 is Ito's integral (mean 0: the future is
    not known), alpha = 1/2 Stratonovich's (the usual chain rule). One seed, one path, whatever n and alpha.
    """
    n: int = knob(16, choices=CELLS, label="intervals n")
    live = {"alpha": Knob(0.0, low=0.0, high=1.0, label="read at α", help="0: left end (Ito), 1: right end")}
    paths = 1000

    @property
    def plan(self):
        return Plan(FINE, every=8)

    def data(self):
        index = torch.arange(FINE + 1, dtype=torch.float32)
        return {"grid": index / FINE, "index": index}

    def draws(self):
        scale = 1 / math.sqrt(FINE)
        normal = Normal((self.paths,), scale=scale)
        return Draws(step={"dW": normal, "bridge": normal})

    def init(self, data, start, live):
        zero = torch.zeros(self.paths)
        curve = torch.zeros(FINE + 1)
        return {"W": zero, "left": zero, "read": zero, "sum": zero, "k": torch.zeros(()), "path": curve,
                "stairs": curve, "one": curve, "mean": curve, "limit": curve, "mean_limit": curve}

    def step(self, data, state, noise, live):
        size, alpha, k, W = FINE // self.n, live["alpha"], state["k"], state["W"]
        new = W + noise["dW"]
        # ``share``: where the reading point lies in this fine interval, if it does. Given both ends, the path
        # between is a Brownian bridge, so its value there is normal with variance share (1 - share) / FINE.
        cell = torch.floor(k / size)
        offset = alpha * size - (k - cell * size)
        here, share = (offset >= 0) & (offset <= 1), torch.clamp(offset, 0.0, 1.0)
        value = W + share * noise["dW"] + (share * (1 - share)).sqrt() * noise["bridge"]
        read = torch.where(here, value, state["read"])
        k = k + 1
        ends = k - (cell + 1) * size >= 0
        total = torch.where(ends, state["sum"] + read * (new - state["left"]), state["sum"])
        left = torch.where(ends, new, state["left"])
        t, at, in_cell = k / FINE, data["index"] >= k, data["index"] >= cell * size
        limit = (new**2 - (1 - 2 * alpha) * t) / 2
        curves = {"path": held(new[0], at, state["path"]), "one": held(total[0], at, state["one"]),
                  "stairs": torch.where(in_cell & here, read[0], state["stairs"]),
                  "mean": held(total.mean(), at, state["mean"]),
                  "mean_limit": held(alpha * t, at, state["mean_limit"]),
                  "limit": held(limit[0], at, state["limit"])}
        return curves | {"W": new, "left": left, "read": read, "sum": total, "k": k}, {
            "t": t, "gap": (total - limit).square().mean().sqrt(), "ok": torch.isfinite(new)}

    def observe(self, data, state, noise, live):
        # The curves hold their present value from now on, and the times are folded onto now: no future is
        # drawn.
        curves = ("path", "stairs", "one", "limit", "mean", "mean_limit")
        return {"t": torch.minimum(data["grid"], state["k"] / FINE)} | {name: state[name] for name in curves}

    def view(self):
        return View([
            Panel(f"One path, {self.n} intervals", TIME, Axis("W(t)"),
                  [Line("t", "path", role="sde", label="path W"),
                   Line("t", "stairs", role="accent", label="value read in each interval")],
                  alt="A jagged path and a staircase. In each interval the stair has the height of the path "
                      "at the reading point: left end for alpha 0, middle for 1/2, right end for 1."),
            Panel("The sum, and where it goes", TIME, Axis("sum of W dW up to t"),
                  [Line("t", "one", role="sde", label="this path's sum"),
                   Line("t", "limit", role="truth", label="(W² - (1-2α)t)/2"),
                   Line("t", "mean", role="neutral", label="mean of 1000 paths"),
                   Line("t", "mean_limit", role="ode", label="αt")],
                  alt="The sum for the path on the left, close to its dotted limit when there are many "
                      "intervals, and the mean over 1000 paths, close to the dashed line alpha times t: zero "
                      "for Ito, rising for any other reading point.")])


def growth_step(x, dW, *, gamma, sigma, dt, calculus):
    """One step of dx = gamma x dt + sigma x dW: Euler-Maruyama for "ito", Heun's scheme for "stratonovich".

    x, dW: any equal shape; gamma (per time), sigma (per root of time), dt: numbers or 0-d tensors.
    """
    move = gamma * x * dt + sigma * x * dW
    if calculus == "ito":
        return x + move
    return x + (move + gamma * (x + move) * dt + sigma * (x + move) * dW) / 2


def mean_rate(gamma, sigma, calculus):
    """The rate r of E x_t = x_0 e^{r t}: gamma for Ito, gamma + sigma^2 / 2 for Stratonovich."""
    return gamma if calculus == "ito" else gamma + sigma**2 / 2


def typical_rate(gamma, sigma, calculus):
    """The rate r of the median x_0 e^{r t}: gamma - sigma^2 / 2 for Ito (Ito's formula for log x), gamma for
    Stratonovich (the ordinary chain rule)."""
    return gamma - sigma**2 / 2 if calculus == "ito" else gamma


@experiment(paper=PAPER)
@dataclass(frozen=True)
class GeometricGrowth:
    """Geometric Brownian motion dx = gamma x dt + sigma x dW from x_0 = 1, read in Ito's or Stratonovich's
    sense.

    Ito: log x_t = (gamma - sigma^2/2) t + sigma W_t, so the mean grows like e^{gamma t} and the typical path
    (the median) like e^{(gamma - sigma^2/2) t}. Stratonovich adds sigma^2/2 to both rates.
    """
    calculus: str = knob("ito", choices=("ito", "stratonovich"), label="calculus",
                         help="where each short step reads x: at its start, or at its middle")
    live = {"gamma": Knob(0.3, low=-0.5, high=1.0, label="growth γ", unit="per time"),
            "sigma": Knob(1.0, low=0.0, high=1.6, label="noise σ", unit="per √time")}
    plan = Plan(60, advice="lower the noise σ")
    paths, drawn, inner, dt = 4000, 30, 10, 0.005

    def data(self):
        index = torch.arange(self.plan.steps + 1, dtype=torch.float32)
        return {"index": index, "grid": index * (self.inner * self.dt)}

    def draws(self):
        return Draws(step={"dW": Normal((self.inner, self.paths), scale=math.sqrt(self.dt))})

    def init(self, data, start, live):
        zero = torch.zeros(())
        return {"x": torch.ones(self.paths), "k": zero, "log_mean": zero, "log_typical": zero,
                "seen": torch.ones(self.drawn, self.plan.steps + 1)}

    def step(self, data, state, noise, live):
        gamma, sigma = live["gamma"], live["sigma"]
        x, _ = loop(lambda x, dW: (growth_step(x, dW, gamma=gamma, sigma=sigma, dt=self.dt,
                                               calculus=self.calculus), None), state["x"], noise["dW"])
        k, span = state["k"] + 1, self.inner * self.dt
        log_mean = state["log_mean"] + mean_rate(gamma, sigma, self.calculus) * span
        log_typical = state["log_typical"] + typical_rate(gamma, sigma, self.calculus) * span
        seen = held(x[:self.drawn], data["index"] >= k, state["seen"])
        return {"x": x, "k": k, "log_mean": log_mean, "log_typical": log_typical, "seen": seen}, {
            "t": k * span, "mean": x.mean(), "exact_mean": log_mean.exp(),
            "typical": x.clamp_min(1e-30).log().mean().exp(), "exact_typical": log_typical.exp(),
            "ok": torch.isfinite(x)}

    def observe(self, data, state, noise, live):
        t = torch.minimum(data["grid"], state["k"] * (self.inner * self.dt))
        return {"t": t, "seen": state["seen"].clamp_min(1e-6)}

    def view(self):
        ito = self.calculus == "ito"
        mean, typical = ("e^(γt)", "e^((γ-σ²/2)t)") if ito else ("e^((γ+σ²/2)t)", "e^(γt)")
        time, size = Axis("time t", low=0, high=3), Axis("x", scale="log", low=0.01, high=100)
        return View([
            Panel("30 of 4000 paths", time, size,
                  [Paths("t", "seen", role="sde", label="paths"),
                   Line("history.t", "history.exact_mean", role="ode", label=f"exact mean {mean}"),
                   Line("history.t", "history.exact_typical", role="truth", label=f"exact median {typical}")],
                  alt="Thirty jagged paths from 1 fan out on a log axis. The dotted median runs through "
                      "their middle; the dashed mean runs above most of them, the more so the stronger the "
                      "noise."),
            Panel("Mean and typical path, measured", time, size,
                  [Line("history.t", "history.mean", role="sde", label="mean of 4000"),
                   Line("history.t", "history.exact_mean", role="ode", label=mean),
                   Line("history.t", "history.typical", role="test", label="typical: mean of the log"),
                   Line("history.t", "history.exact_typical", role="truth", label=typical)],
                  alt="Mean and typical size of 4000 paths over time on a log axis, on straight lines for "
                      "their closed forms. Noise drives them apart: in Ito's reading the typical path falls "
                      "while the mean keeps its rate; in Stratonovich's the mean rises while the typical "
                      "path keeps its rate.")])
