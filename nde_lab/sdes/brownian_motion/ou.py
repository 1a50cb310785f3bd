"""The Ornstein-Uhlenbeck process dx = -a x dt + sigma dW: exact steps, closed forms, and what Euler makes of
it.

Source: Øksendal, "Stochastic Differential Equations", exercise 5.5 (Langevin's equation); Euler's stationary
variance is a geometric series, derived below.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.autodiff import loop
from nde_lab.experiment import Draws, Knob, Plan, experiment
from nde_lab.random import Normal
from nde_lab.sdes.brownian_motion.walks import PAPER, held
from nde_lab.views import Axis, Band, Line, Panel, Paths, View

_TINY = 1e-6          # below this a t counts as 0: the process is then Brownian motion


def ou_variance(a, sigma, t):
    """Var x_t of a path that starts at a fixed point: sigma^2 (1 - e^{-2 a t}) / (2 a), its limit sigma^2 t
    at a = 0.

    a, sigma, t: tensors (or numbers) that broadcast; a >= 0.
    """
    a, t = torch.as_tensor(a), torch.as_tensor(t)
    small = a * t < _TINY
    safe = torch.where(small, torch.ones_like(a * t), a * t)
    return sigma**2 * t * torch.where(small, torch.ones_like(safe), -torch.expm1(-2 * safe) / (2 * safe))


def ou_step(x, xi, *, a, sigma, h):
    """One exact step of length h: x e^{-a h} + sqrt(Var x_h) xi with standard normal xi (the shape of x)."""
    return x * torch.exp(-torch.as_tensor(a) * h) + ou_variance(a, sigma, h).sqrt() * xi


def ou_euler_variance(a, sigma, h):
    """The variance on which Euler's steps of length h settle: v = (1 - a h)^2 v + sigma^2 h, so v = sigma^2 /
    (2 a - a^2 h). It is larger than sigma^2 / (2 a), and there is none once a h >= 2 (infinity is
    returned)."""
    gap = torch.as_tensor(2 * a - a**2 * h)
    return torch.where(gap > 0, sigma**2 / gap.clamp_min(1e-12), torch.full_like(gap, math.inf))


@experiment(paper=PAPER)
@dataclass(frozen=True)
class OrnsteinUhlenbeck:
    """2000 paths of dx = -a x dt + sigma dW, by exact steps of 1/32 and by Euler's steps of length h.

    Closed form: mean x_0 e^{-a t}, variance sigma^2 (1 - e^{-2 a t}) / (2 a), both with a limit: the
    stationary law N(0, sigma^2 / (2 a)). Euler's variance tends to sigma^2 / (2 a - a^2 h), and explodes at a
    h > 2.
    """
    live = {"a": Knob(1.0, low=0.0, high=3.0, label="pull a", unit="per time"),
            "sigma": Knob(1.0, low=0.0, high=2.0, label="noise σ", unit="per √time"),
            "x0": Knob(3.0, low=-4.0, high=4.0, label="start x₀", restarts=True),
            "h": Knob(0.5, choices=(0.0625, 0.25, 0.5, 1.0, 2.0), label="Euler's step h")}
    plan = Plan(64, advice="keep a h below 2: lower the pull a or Euler's step h")
    paths, drawn, ticks, tick = 2000, 20, 4, 1 / 32

    def data(self):
        index = torch.arange(self.plan.steps + 1, dtype=torch.float32)
        return {"index": index, "grid": index * (self.ticks * self.tick)}

    def draws(self):
        return Draws(step={"xi": Normal((self.ticks, self.paths))})

    def init(self, data, start, live):
        zero, still, x0 = torch.zeros(()), torch.zeros(self.plan.steps + 1), live["x0"]
        x = x0 * torch.ones(self.paths)
        return {"x": x, "euler": x, "gain": torch.zeros(self.paths), "k": zero, "n": zero, "mean": x0 * 1,
                "variance": zero, "seen": x0 + torch.zeros(self.drawn, self.plan.steps + 1),
                "middle": x0 + still, "spread": still}

    def step(self, data, state, noise, live):
        a, sigma, h = live["a"], live["sigma"], live["h"]

        def tick(carry, xi):
            x, euler, gain, n = carry
            x = ou_step(x, xi, a=a, sigma=sigma, h=self.tick)
            # Euler gathers the same noise until its step is over; h is a whole number of ticks.
            gain, n = gain + math.sqrt(self.tick) * xi, n + 1
            due = n * self.tick >= h - self.tick / 2
            euler = torch.where(due, euler - a * euler * h + sigma * gain, euler)
            return (x, euler, torch.where(due, torch.zeros_like(gain), gain),
                    torch.where(due, torch.zeros_like(n), n)), None

        before = tuple(state[name] for name in ("x", "euler", "gain", "n"))
        (x, euler, gain, n), _ = loop(tick, before, noise["xi"])
        k, span = state["k"] + 1, self.ticks * self.tick
        # The moments' own equations, exact also when a knob has moved on the way.
        fade = torch.exp(-a * span)
        mean, variance = state["mean"] * fade, state["variance"] * fade**2 + ou_variance(a, sigma, span)
        at = data["index"] >= k
        new = {"x": x, "euler": euler, "gain": gain, "k": k, "n": n, "mean": mean, "variance": variance,
               "seen": held(x[:self.drawn], at, state["seen"]), "middle": held(mean, at, state["middle"]),
               "spread": held(2 * variance.sqrt(), at, state["spread"])}
        return new, {"t": k * span, "variance": x.var(), "euler_variance": euler.var(), "exact": variance,
                     "euler_limit": torch.clamp(ou_euler_variance(a, sigma, h), max=1e4),
                     "ok": torch.isfinite(euler)}

    def observe(self, data, state, noise, live):
        t = torch.minimum(data["grid"], state["k"] * (self.ticks * self.tick))
        return {"t": t, "seen": state["seen"], "low": state["middle"] - state["spread"],
                "high": state["middle"] + state["spread"], "middle": state["middle"]}

    def view(self):
        time = Axis("time t", low=0, high=8)
        return View([
            Panel("20 of 2000 paths, exact steps", time, Axis("x", low=-5, high=5),
                  [Band("t", "low", "high", role="neutral", label="exact mean ± 2 sd"),
                   Paths("t", "seen", role="sde", label="paths"),
                   Line("t", "middle", role="truth", label="exact mean x₀e^(-at)")],
                  alt="Twenty paths fall from their start towards zero along a dotted exponential and then "
                      "keep swinging within a band of constant width."),
            Panel("Variance of 2000 paths", time, Axis("variance", low=0, high=2.5),
                  [Line("history.t", "history.variance", role="sde", label="exact steps"),
                   Line("history.t", "history.euler_variance", role="accent", label="Euler's steps of h"),
                   Line("history.t", "history.exact", role="truth", label="σ²(1-e^(-2at))/(2a)"),
                   Line("history.t", "history.euler_limit", role="ode", label="Euler's limit σ²/(2a-a²h)")],
                  alt="Variance over time. That of the exact steps follows the dotted closed form and levels "
                      "off. Euler's goes up in stairs to a higher level, the dashed line; for long steps it "
                      "leaves the picture.")])
