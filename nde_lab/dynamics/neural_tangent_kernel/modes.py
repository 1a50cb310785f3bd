"""Which part of a function is learned first: Fourier modes on the circle, and the eigenvalues that say so.

Jacot, Gabriel, Hongler, arXiv 1806.07572, section 5: along an eigenvector of the kernel the residual decays at
a rate
given by its eigenvalue.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.dynamics.neural_tangent_kernel.circle import fourier_rates, limits, on_circle, spaced
from nde_lab.dynamics.neural_tangent_kernel.functions import LIMIT_ACTS, PAPER
from nde_lab.dynamics.neural_tangent_kernel.limit import recursion
from nde_lab.dynamics.neural_tangent_kernel.network import Network
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.figures import Figure
from nde_lab.views import Axis, Bars, Line, Panel, Paths, Points, View

MODES = (1, 2, 4)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class ModeDecay:
    """Three networks learn cos + cos 2 + cos 4 of the angle at 16 equally spaced points.

    For k = 1, 2, 4 the residual's part along cos(k angle), as a share of its start (mean of the three
    networks), is
    drawn beside (1 - lr lam_k)^s from the limit kernel. Live: beta, the size of the biases (felt from the
    start on).
    """
    width: int = knob(64, choices=(16, 64, 256), label="width n")
    act: str = knob("relu", choices=LIMIT_ACTS, label="activation")
    depth: int = knob(3, choices=(2, 3, 4), label="weight layers L")
    live = {"beta": Knob(0.1, low=0.0, high=0.6, label="size of the biases β", restarts=True)}
    copies, N, lr, around = 3, 16, 1.0, 97

    @property
    def plan(self):
        return Plan(300, every=3, advice="use smaller biases")

    @property
    def net(self) -> Network:
        return Network(2, self.width, self.depth, self.act)

    def data(self):
        at, angle = spaced(self.N), torch.linspace(0, 2 * torch.pi, self.around)
        k = torch.tensor([float(m) for m in MODES])
        waves, truth = (torch.cos(k[:, None] * a[None]) for a in (at, angle))
        return {"at": at, "X": on_circle(at), "angle": angle, "x": on_circle(angle), "k": k, "waves": waves,
                "y": waves.sum(0), "truth": truth.sum(0)}

    def draws(self):
        return Draws(start=self.net.draws(self.copies))

    def init(self, data, start, live):
        params = {n: s * 1.0 for n, s in start.items()}
        residual = self.net.forward(params, data["X"], live["beta"]) - data["y"]
        row = limits(data["at"], torch.zeros(1), act=self.act, depth=self.depth, beta=live["beta"])[1][:, 0]
        return {**params, "parts": residual @ data["waves"].T, "rates": fourier_rates(row, data["k"]),
                "left": torch.ones(len(MODES))}

    def step(self, data, state, noise, live):
        new, _ = self.net.descend(self.net.params(state), data["X"], data["y"], live["beta"], self.lr)
        residual = self.net.forward(new, data["X"], live["beta"]) - data["y"]
        share = (residual @ data["waves"].T / state["parts"]).abs().mean(0)
        left = state["left"] * (1 - self.lr * state["rates"])
        info = {f"share{k}": share[i].clamp(min=1e-6) for i, k in enumerate(MODES)}
        info |= {f"left{k}": left[i].abs().clamp(min=1e-6) for i, k in enumerate(MODES)}
        return ({**new, "parts": state["parts"], "rates": state["rates"], "left": left},
                info | {"cost": residual.square().mean() / 2, "ok": torch.isfinite(residual).all(1)})

    def observe(self, data, state, noise, live):
        return {"angle": data["angle"], "at": data["at"], "y": data["y"], "truth": data["truth"],
                "f": self.net.forward(self.net.params(state), data["x"], live["beta"])}

    def view(self):
        steps = Axis("step", low=0, high=self.plan.steps)
        roles = dict(zip(MODES, ("ode", "sde", "accent"), strict=True))
        decays = [mark for k in MODES for mark in (
            Line("history.step", f"history.share{k}", role=roles[k], label=f"k = {k}"),
            Line("history.step", f"history.left{k}", role="truth", label="limit" if k == 1 else ""))]
        return View([
            Panel("Three networks, sixteen data points", Axis("angle on the circle, radians", low=0, high=6.3),
                  Axis("f", low=-4, high=4),
                  [Line("angle", "truth", role="truth", label="cos + cos 2 + cos 4 of the angle"),
                   Paths("angle", "f", role="sde", label="networks"), Points("at", "y", label="data")],
                  alt="Three functions on the circle, a dotted target of three waves, and data points. The "
                      "slow waves "
                      "of the target appear first; its fastest wiggle comes last."),
            Panel("What is left of each wave", steps, Axis("share of the "
                  "residual", scale="log", low=1e-2, high=2),
                  decays,
                  alt="Shares of the residual over steps, share axis logarithmic, for the waves k = 1, 2 and "
                      "4. "
                      "Each falls along a nearly straight line, k = 1 fastest and k = 4 slowest, and "
                      "a dotted line from the limit kernel lies close to each.")])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class KernelSpectrum(Figure):
    """The limit kernels around the circle and the eigenvalues of Theta for the waves k = 0 .. 10; nothing
    trains.

    Live: the number of weight layers (1 to 6), and beta.
    """
    act: str = knob("relu", choices=LIMIT_ACTS, label="activation")
    live = {"depth": Knob(3, low=1, high=6, label="weight layers L"),
            "beta": Knob(0.1, low=0.0, high=1.0, label="size of the biases β")}
    N, deepest = 128, 6

    def data(self):
        return {"angle": spaced(self.N) - torch.pi, "from_0": spaced(self.N), "k": torch.arange(11.0),
                "layer": torch.arange(1.0, self.deepest + 1)}

    def observe(self, data, state, noise, live):
        def at(angle):
            half = torch.full((), 0.5)
            found = recursion(half, half, torch.cos(angle) / 2, act=self.act, depth=self.deepest, beta=live["beta"])
            chosen = (data["layer"] == live["depth"]).to(angle.dtype)
            return [sum(chosen[i] * kernels[j] for i, kernels in enumerate(found)) for j in (0, 1)]
        sigma, theta = at(data["angle"])
        rates = fourier_rates(at(data["from_0"])[1], data["k"])
        return {"angle": data["angle"], "sigma": sigma, "theta": theta, "k": data["k"],
                "rates": rates.clamp(min=1e-9)}

    def view(self):
        return View([
            Panel("Kernels around the circle", Axis("angle between two points, radians", low=-3.2, high=3.2),
                  Axis("kernel"), [Line("angle", "theta", role="ode", label="tangent kernel Θ"),
                                   Line("angle", "sigma", role="sde", label="covariance Σ at the start")],
                  alt="The limit kernels against the angle between two points: both are largest where the "
                      "points "
                      "coincide. The tangent kernel, dashed, is a steeper hill than the covariance. Larger "
                      "biases lift both."),
            Panel("Rate of each wave", Axis("wave number k"), Axis("eigenvalue λ of "
                                                                   "Θ", scale="log", low=1e-5, high=10),
                  [Bars("k", "rates", role="ode")],
                  alt="Eigenvalues of the tangent kernel for the waves k = 0 to 10, axis logarithmic: they "
                      "fall by "
                      "hundreds from k = 0 to k = 10. Larger biases raise the bar of k = 0 far above all "
                      "others.")])
