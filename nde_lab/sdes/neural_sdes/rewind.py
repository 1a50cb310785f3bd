"""A film run forwards and then backwards: which schemes come home, and what a decaying drift does to the one
that does.

Kidger, Foster, Li, Lyons, "Efficient and Accurate Gradients for Neural SDEs", NeurIPS 2021, arXiv 2105.13493,
section 3.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.solvers import SDE, choose
from nde_lab.views import Axis, Line, Panel, Points, View

PAPER = "on-neural-differential-equations"
NAMES = ("reversible_heun", "heun", "midpoint")
FLOOR = 1e-8          # where an error of exactly zero is drawn


def pulled(lam, sigma) -> SDE:
    """dy = (-lam y + sin 2 pi t) dt + sigma (1 + tanh(y) / 2) o dW, one Brownian motion per coordinate."""
    return SDE(lambda t, y: -lam * y + torch.sin(2 * math.pi * t),
               lambda t, y: sigma * (1 + 0.5 * torch.tanh(y)),
               noise_type="diagonal", sde_type="stratonovich")


def back(name: str, sde: SDE, t, carry, dt, dW):
    """The carry at t - dt: undone exactly by ``reversible_heun``; by the others, one of their steps of -dt
    and -dW."""
    scheme = choose(sde, name)
    if hasattr(scheme, "undo"):
        return scheme.undo(sde, t, carry, dt, dW)
    return scheme.step(sde, t, carry, -dt, -dW)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class Rewind:
    """Sixteen paths of ``pulled`` to T = 5 in N steps and back again, by three schemes on one Brownian path
    each.

    Linear theory: on y' = -lam y reversible Heun multiplies the distance of y and its shadow by
    q + sqrt(1 + q^2), q = lam h, each step, that is by about e^{lam T} on the whole way, there and back alike.
    """
    N: int = knob(100, choices=(25, 50, 100, 200), label="steps N")
    live = {"lam": Knob(0.5, low=0.0, high=5.0, label="pull λ", unit="per time", restarts=True),
            "sigma": Knob(0.4, low=0.0, high=1.0, label="noise σ", restarts=True)}
    T, paths = 5.0, 16

    @property
    def plan(self):
        return Plan(2 * self.N, every=max(1, self.N // 25), advice="lower the pull λ")

    @property
    def dt(self) -> float:
        return self.T / self.N

    def data(self):
        return {"index": torch.arange(self.N + 1, dtype=torch.float32), "t": torch.arange(self.N + 1) * self.dt}

    def draws(self):
        return Draws(start={"y0": Normal((self.paths, 1)),
                            "xi": Normal((self.N, self.paths, 1), scale=self.dt**0.5)})

    def init(self, data, start, live):
        sde, t0, y = pulled(live["lam"], live["sigma"]), data["t"][0], start["y0"]
        state = {"dW": start["xi"], "k": torch.zeros(())}
        for name in NAMES:
            carry = choose(sde, name).start(sde, t0, y)
            state |= self._packed(name, carry)
            state |= {f"{name}.there": y[:, 0].expand(self.N + 1, -1).clone(),
                      f"{name}.error": torch.zeros(self.N + 1)}
        return state

    @staticmethod
    def _packed(name, carry):
        parts = carry if isinstance(carry, tuple) else (carry,)
        return {f"{name}.{i}": p for i, p in enumerate(parts)}

    @staticmethod
    def _carry(name, state):
        if name == "reversible_heun":
            return tuple(state[f"{name}.{i}"] for i in range(4))
        return state[f"{name}.0"]

    def step(self, data, state, noise, live):
        sde, k, N = pulled(live["lam"], live["sigma"]), state["k"], self.N
        forth = k < N
        before = torch.where(forth, k, 2 * N - k).clamp(0, N)                 # where we are, and where we go
        after = torch.where(forth, k + 1, 2 * N - k - 1).clamp(0, N)
        used = torch.where(forth, k, 2 * N - k - 1).clamp(0, N - 1).long()    # the interval in between
        t, dW = before * self.dt, state["dW"][used.reshape(1)][0]
        here = data["index"] == after
        new = {"dW": state["dW"], "k": k + 1}
        finite = []
        for name in NAMES:
            carry = self._carry(name, state)
            there = self._packed(name, choose(sde, name).step(sde, t, carry, self.dt, dW))
            home = self._packed(name, back(name, sde, t, carry, self.dt, dW))
            parts = {n: torch.where(forth, there[n], home[n]) for n in there}
            y = parts[f"{name}.0"][:, 0]
            kept = torch.where(here[:, None] & forth, y, state[f"{name}.there"])
            error = (y - kept[after.long().reshape(1)][0]).square().mean().sqrt()
            new |= parts | {
                f"{name}.there": kept,
                f"{name}.error": torch.where(here & ~forth, error, state[f"{name}.error"])}
            finite.append(torch.isfinite(y))
        return new, {"t": after * self.dt, "ok": torch.stack(finite).all(0),
                     **{f"{n}_distance": new[f"{n}.error"].max() for n in NAMES}}

    def observe(self, data, state, noise, live):
        k, N = state["k"], self.N
        now = torch.where(k < N, k, 2 * N - k).clamp(0, N)
        # Forward: the times beyond now are folded onto now. Backward: errors before now are folded onto now.
        seen = torch.where(k < N, torch.minimum(data["index"], now), data["index"]).clamp(0, N).long()
        done = torch.maximum(data["index"], torch.where(k < N, now * 0 + N, now)).clamp(0, N).long()
        out = {"t": data["t"][seen], "t_back": data["t"][done], "t_now": (now * self.dt)[None]}
        for name in NAMES:
            out[f"{name}_path"] = state[f"{name}.there"][seen, 0]
            out[f"{name}_now"] = state[f"{name}.0"][:1, 0]
            out[f"{name}_error"] = state[f"{name}.error"][done].clamp(min=FLOOR)
        return out

    def view(self):
        return View([
            Panel("One path, forwards", Axis("time t", low=0, high=self.T), Axis("y(t)", low=-3.5, high=3.5),
                  [Line("t", "heun_path", role="ode", label="Heun"),
                   Line("t", "reversible_heun_path", role="sde", label="reversible Heun"),
                   Points("t_now", "reversible_heun_now", role="test", label="now")],
                  alt="One noisy path by Heun and by reversible Heun. Under a weak pull they lie on each "
                      "other; under a "
                      "strong pull reversible Heun zigzags with growing amplitude."),
            Panel("On the way back: distance to the forward path", Axis("time t", low=0, high=self.T),
                  Axis("rms distance", scale="log", low=1e-8, high=100),
                  [Line("t_back", "reversible_heun_error", role="sde", label="reversible Heun"),
                   Line("t_back", "heun_error", role="ode", label="Heun"),
                   Line("t_back", "midpoint_error", role="accent", label="midpoint")],
                  alt="Distance between the path on the way back and on the way there, from t = 5 down to 0, "
                      "on a log "
                      "axis. Heun and midpoint are off by a thousandth and more; reversible Heun stays near "
                      "1e-7, the "
                      "rounding of float32, unless the pull is strong.")])
