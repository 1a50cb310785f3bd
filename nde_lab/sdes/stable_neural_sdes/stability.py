"""Three experiments without training: noise that destabilises, noise that couples, a step that is too long.

Source of the statements: Oh, Lim, Kim (ICLR 2024); the closed forms are elementary and
derived in the docstrings.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from nde_lab.autodiff import loop
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal, sample
from nde_lab.sdes.stable_neural_sdes import forms
from nde_lab.views import Axis, Line, Panel, Points, Rule, View

PAPER = "stable-neural-sdes"
T_AXIS = Axis("time t")


@experiment(paper=PAPER)
@dataclass(frozen=True)
class RotationNoise:
    """dx = -a x dt + sigma J x dW in the plane, J = rotation by 90 degrees, one Brownian motion per path.

    The drift pulls every point to 0. Ito's formula gives |x_t|^2 = |x_0|^2 exp((sigma^2 - 2a) t) on every
    path: noise alone makes the cloud explode once sigma^2 > 2a. In the Stratonovich sense the same noise only
    turns: exp(-2a t).
    """
    calculus: str = knob("ito", choices=("ito", "stratonovich"), label="calculus",
                         help="how the noise integral is read")
    live = {"sigma": Knob(1.3, low=0.0, high=2.5, label="noise σ", unit="per √time"),
            "a": Knob(1.0, low=0.0, high=2.0, label="pull a", unit="per time")}
    plan = Plan(100, advice="lower the noise σ")
    # Over T = 2 Euler's relative error of E|x|^2 is -dt T ((sigma^2 - 2a)^2 / 2 - a^2): -0.2 % at sigma = 2.
    paths, inner, dt = 400, 20, 0.001

    def data(self):
        turn = torch.linspace(0, 2 * math.pi, 73)
        return {"cos": torch.cos(turn), "sin": torch.sin(turn)}

    def draws(self):
        return Draws(start={"x": Normal((self.paths, 2), scale=math.sqrt(0.5))},
                     step={"dW": Normal((self.inner, self.paths, 1), scale=math.sqrt(self.dt))})

    def init(self, data, start, live):
        x = start["x"]
        return {"x": x, "t": torch.zeros(()), "log_exact": torch.log(x.square().sum(-1).mean())}

    def step(self, data, state, noise, live):
        a, sigma = live["a"], live["sigma"]
        move = forms.rotation_euler if self.calculus == "ito" else forms.rotation_heun
        x, _ = loop(lambda x, dW: (move(x, dW, a=a, sigma=sigma, dt=self.dt), None), state["x"], noise["dW"])
        span = self.inner * self.dt
        t = state["t"] + span
        growth = sigma**2 - 2 * a if self.calculus == "ito" else -2 * a
        log_exact = state["log_exact"] + growth * span
        square = x.square().sum(-1)
        return {"x": x, "t": t, "log_exact": log_exact}, {
            "t": t, "mean_square": square.mean(), "exact": torch.exp(log_exact), "ok": torch.isfinite(square)}

    def observe(self, data, state, noise, live):
        radius = torch.exp(state["log_exact"] / 2)
        return {"x": state["x"][:, 0], "y": state["x"][:, 1],
                "circle_x": radius * data["cos"], "circle_y": radius * data["sin"]}

    def view(self):
        law = "e^((σ²-2a)t)" if self.calculus == "ito" else "e^(-2at)"
        cloud = Panel("400 points, pulled to 0 and shaken sideways", Axis("x₁", low=-3, high=3),
                      Axis("x₂", low=-3, high=3),
                      [Points("x", "y", role="sde", label="paths"),
                       Line("circle_x", "circle_y", role="truth", label="exact root mean square radius")],
                      alt="A cloud of 400 points around the origin. It shrinks while σ² is below 2a, keeps "
                          "its size at σ² = 2a and leaves the picture above, inside or beyond a dotted "
                          "circle of the exact radius.",
                      equal=True)
        size = Panel("Mean squared radius", T_AXIS, Axis("mean |x|²", scale="log"),
                     [Line("history.t", "history.mean_square", role="sde", label="mean of the cloud"),
                      Line("history.t", "history.exact", role="truth", label=f"exact: {law}")],
                     alt="Mean squared radius of the cloud over time on a log axis: a straight line, on top "
                         "of the dotted exact one, falling, level or rising with the sign of its exponent.")
        return View([cloud, size])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class CoupledPaths:
    """Two copies of one SDE from different starts, driven by the same noise: how fast do they meet?

    Drift gamma(z) = -m z + L tanh(W z) with ||W|| = 1 and L = 1, so <gamma(z) - gamma(z'), z - z'> <= -(m -
    L)|z - z'|^2. "LSDE" (noise sigma dW, 8 dimensions): the difference D feels no noise, |D_t| <=
    e^{-(m-L)t}|D_0| on every path. "LNSDE" (noise sigma z dW, 1 dimension, where both statements are exact):
    E|D_t|^2 <= e^{(sigma^2 - 2(m-L))t}|D_0|^2, while a typical path has E log|D_t| <= log|D_0| - (m - L +
    sigma^2/2) t: noise helps each path and hurts the mean.
    """
    kind: str = knob("LNSDE", choices=("LSDE", "LNSDE"), label="class")
    live = {"depth": Knob(2.0, low=0.5, high=4.0, label="depth T"),
            "margin": Knob(2.0, low=0.0, high=4.0, label="margin m", unit="per time",
                           help="pull of the drift; L is 1"),
            "sigma": Knob(1.3, low=0.0, high=2.5, label="noise σ")}
    plan = Plan(100, advice="raise the margin m, lower the noise σ or the depth T")
    pairs, inner, lipschitz, gap = 256, 5, 1.0, 0.5

    @property
    def dim(self) -> int:
        return 8 if self.kind == "LSDE" else 1

    def data(self):
        if self.dim == 1:
            return {"W": torch.ones(1, 1)}
        W = sample({"W": Normal((self.dim, self.dim))}, seed=0, stream="start")["W"]
        return {"W": W / torch.linalg.matrix_norm(W, 2)}

    def draws(self):
        shape = (self.pairs, self.dim)
        return Draws(start={"z": Normal(shape), "direction": Normal(shape)},
                     step={"xi": Normal((self.inner, *shape))})

    def init(self, data, start, live):
        direction = start["direction"] / start["direction"].square().sum(-1, keepdim=True).sqrt()
        zero = torch.zeros(())
        return {"z": start["z"], "gap": self.gap * direction, "t": zero, "log_mean": zero,
                "log_typical": zero}

    def step(self, data, state, noise, live):
        m, sigma, L = live["margin"], live["sigma"], self.lipschitz
        dt = live["depth"] / (self.plan.steps * self.inner)

        def euler(pair, xi):
            z, gap = forms.coupled_euler(*pair, xi * dt.sqrt(), m=m, L=L, W=data["W"], sigma=sigma, dt=dt,
                                         linear=self.kind == "LNSDE")
            return (z, gap), None

        (z, gap), _ = loop(euler, (state["z"], state["gap"]), noise["xi"])
        span = self.inner * dt
        extra = sigma**2 / 2 if self.kind == "LNSDE" else 0 * sigma
        new = {"z": z, "gap": gap, "t": state["t"] + span,
               "log_mean": state["log_mean"] + (extra - (m - L)) * span,
               "log_typical": state["log_typical"] - (extra + m - L) * span}
        square = gap.square().sum(-1)
        distance = square.sqrt()
        info = {"t": new["t"], "rms": square.mean().sqrt(),
                "typical": distance.clamp_min(1e-30).log().mean().exp(),
                "bound_rms": self.gap * new["log_mean"].exp(),
                "bound_typical": self.gap * new["log_typical"].exp(),
                "ok": torch.isfinite(square) & torch.isfinite(z.square().sum(-1))}
        for i in range(2):
            info |= {f"first{i}": z[i, 0], f"second{i}": z[i, 0] + gap[i, 0]}
        return new, info

    def observe(self, data, state, noise, live):
        return {"z": state["z"][:, 0], "partner": state["z"][:, 0] + state["gap"][:, 0]}

    def view(self):
        pairs = [m for i in range(2) for m in (
            Line("history.t", f"history.first{i}", role="sde", label="" if i else "first copy"),
            Line("history.t", f"history.second{i}", role="accent", label="" if i else "second copy"))]
        bounds = [Line("history.t", "history.bound_rms", role="truth",
                       label="bound: slope -(m-L)" + ("+σ²/2" if self.kind == "LNSDE" else ""))]
        if self.kind == "LNSDE":
            bounds.append(Line("history.t", "history.bound_typical", role="ode",
                               label="bound: slope -(m-L)-σ²/2"))
        return View([
            Panel("Two pairs; each pair shares its noise", T_AXIS, Axis("first coordinate of z"), pairs,
                  alt="Paths over time of two pairs of coupled copies. Within a pair the two jagged curves "
                      "shake alike and close up like a zip while the margin m exceeds L."),
            Panel(f"Distance of {self.pairs} pairs ({self.kind})", T_AXIS,
                  Axis("distance |z - z̃|", scale="log"),
                  [Line("history.t", "history.rms", role="sde", label="root mean square"),
                   Line("history.t", "history.typical", role="test", label="typical pair (mean of the log)"),
                   *bounds],
                  alt="Distance within pairs over time on a log axis: root mean square and typical pair, "
                      "under straight lines for their bounds. With linear noise the typical pair falls "
                      "faster than without noise, the root mean square slower.")])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class EulerCubic:
    """Euler's method on dx = -x^3 dt, whose every solution decays: x(t) = x_0 / sqrt(1 + 2 x_0^2 t).

    One Euler step multiplies x by 1 - h x^2, so |x| grows exactly when |x| > sqrt(2/h), and then overflows
    within a few steps. Tamed Euler, x + h f/(1 + h|f|), moves by less than 1 a step and comes home from
    anywhere.
    """
    live = {"h": Knob(0.1, low=0.01, high=0.5, scale="log", label="step h"),
            "x0": Knob(4.4, low=0.1, high=10.0, label="start x₀", restarts=True)}
    plan = Plan(40, advice="start below √(2/h): lower x₀ or the step h, or tame the step")

    def data(self):
        return {"grid": torch.linspace(0, 10, 201)}

    def draws(self):
        return Draws()

    def init(self, data, start, live):
        x = live["x0"] * torch.ones(2)
        return {"x": x, "exact": live["x0"] * torch.ones(()), "t": torch.zeros(())}

    def step(self, data, state, noise, live):
        h, x = live["h"], state["x"]
        f = -x[1] ** 3
        new = torch.stack([x[0] - h * x[0] ** 3, x[1] + h * f / (1 + h * f.abs())])
        exact = state["exact"] / torch.sqrt(1 + 2 * state["exact"] ** 2 * h)
        t = state["t"] + h
        return {"x": new, "exact": exact, "t": t}, {
            "t": t, "euler": new[0].abs(), "tamed": new[1].abs(), "exact": exact,
            "threshold": torch.sqrt(2 / h), "ok": torch.isfinite(new)}

    def observe(self, data, state, noise, live):
        at = state["x"][:1].abs().clamp(max=10.0)      # beyond the picture's edge it waits at the edge
        return {"grid": data["grid"], "factor": (1 - live["h"] * data["grid"] ** 2).abs(),
                "at": at, "at_factor": (1 - live["h"] * at**2).abs()}

    def view(self):
        return View([
            Panel("Size of x, step by step", T_AXIS, Axis("|x|", scale="log", low=0.1, high=1e6),
                  [Line("history.t", "history.euler", role="sde", label="Euler"),
                   Line("history.t", "history.tamed", role="accent", label="tamed Euler"),
                   Line("history.t", "history.exact", role="truth", label="exact"),
                   Line("history.t", "history.threshold", role="neutral", label="√(2/h)")],
                  alt="Size of x over time on a log axis for Euler, tamed Euler and the exact solution, with "
                      "the level √(2/h). Euler decays if it starts below that level and overflows within a "
                      "few steps above it; tamed Euler always decays."),
            Panel("Why: one Euler step multiplies |x| by |1 - h x²|", Axis("|x|", low=0, high=10),
                  Axis("factor of one step", low=0, high=4),
                  [Line("grid", "factor", role="ode", label="|1 - h x²|"),
                   Rule(1.0, label="1: neither grows nor decays"),
                   Points("at", "at_factor", role="sde", label="where Euler is now")],
                  alt="The factor by which one Euler step multiplies |x|, as a function of |x|. It starts at "
                      "1, falls to 0 and rises without limit, crossing 1 at √(2/h); a dot shows where Euler "
                      "is now.")])
