"""Networks that learn four points on the circle, beside the limit that knows where they will end.

Jacot, Gabriel, Hongler, arXiv 1806.07572, figures 1 and 2: several random networks in the tangent-kernel
parametrisation, full-batch gradient descent with rate 1, and the percentiles of the infinitely wide network.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.dynamics.neural_tangent_kernel.circle import FOUR, limits, on_circle, product
from nde_lab.dynamics.neural_tangent_kernel.flow import spread
from nde_lab.dynamics.neural_tangent_kernel.network import Network
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.views import Axis, Band, Line, Panel, Paths, Points, View

PAPER = "neural-tangent-kernel"
TENTH = 1.2815515655446004          # a standard normal is below -TENTH with probability 0.1
LIMIT_ACTS = ("relu", "erf")


@experiment(paper=PAPER)
@dataclass(frozen=True)
class CircleNetworks:
    """Eight networks of ``width`` and ``depth`` weight layers learn x_1 x_2 at four points of the unit circle.

    The state also carries A (points, 4), with which the limit reads f_t(x) = f_0(x) + A_t (y - f_0(X)); descent
    moves it by A <- A + lr Theta(x, X) (1 - A_X) / 4. Live: beta, the size of the biases (felt from the start
    on).
    """
    width: int = knob(32, choices=(8, 32, 128), label="width n")
    depth: int = knob(3, choices=(2, 3, 4), label="weight layers L")
    act: str = knob("relu", choices=LIMIT_ACTS, label="activation")
    live = {"beta": Knob(0.1, low=0.0, high=0.6, label="size of the biases β", restarts=True)}
    copies, lr, around = 8, 1.0, 49

    @property
    def plan(self):
        return Plan(400, every=8, advice="use smaller biases")

    @property
    def net(self) -> Network:
        return Network(2, self.width, self.depth, self.act)

    def data(self):
        """angle (around,): where functions are drawn, from -pi to pi; at (4,), X (4, 2), y (4,): the data."""
        at, angle = torch.tensor(FOUR), torch.linspace(-torch.pi, torch.pi, self.around)
        at = torch.where(at > torch.pi, at - 2 * torch.pi, at)
        return {"angle": angle, "x": on_circle(angle), "at": at, "X": on_circle(at), "y": product(on_circle(at))}

    def draws(self):
        return Draws(start=self.net.draws(self.copies))

    def init(self, data, start, live):
        zero = torch.zeros(self.around, 4)
        return {**{n: s * 1.0 for n, s in start.items()}, "A": zero, "A_X": torch.zeros(4, 4),
                "first": self._slice(data, start, live["beta"])}

    def step(self, data, state, noise, live):
        beta = live["beta"]
        new, residual = self.net.descend(self.net.params(state), data["X"], data["y"], beta, self.lr)
        left = torch.eye(4) - state["A_X"]
        limit = {name: state[name] + self.lr / 4 * self._limits(data, one, "at", beta)[1] @ left
                 for name, one in (("A", "angle"), ("A_X", "at"))}
        cost = residual.square().mean() / 2
        return {**new, **limit, "first": state["first"]}, {"cost": cost, "ok": torch.isfinite(residual).all(1)}

    def _limits(self, data, one, two, beta):
        return limits(data[one], data[two], act=self.act, depth=self.depth, beta=beta)

    def _slice(self, data, params, beta):
        """Each network's Theta(x_0, x) around the circle, x_0 at angle 0: (copies, around)."""
        middle = data["x"][self.around // 2: self.around // 2 + 1]
        return self.net.kernel(params, middle, data["x"], beta)[:, 0]

    def observe(self, data, state, noise, live):
        beta, params, A = live["beta"], self.net.params(state), state["A"]
        mean = A @ data["y"]
        variance = self._limits(data, "angle", "angle", beta)[0].diagonal()
        deviation = spread(A, self._limits(data, "at", "at", beta)[0], self._limits(data, "angle", "at", beta)[0],
                           variance)
        slice_ = limits(data["angle"], torch.zeros(1), act=self.act, depth=self.depth, beta=beta)[1][:, 0]
        return {"angle": data["angle"], "at": data["at"], "y": data["y"], "mean": mean,
                "low": mean - TENTH * deviation, "high": mean + TENTH * deviation,
                "f": self.net.forward(params, data["x"], beta), "limit": slice_,
                "first": state["first"], "now": self._slice(data, params, beta)}

    def view(self):
        angle = Axis("angle on the circle, radians", low=-3.2, high=3.2)
        return View([
            Panel("Eight networks, four data points", angle, Axis("f"),
                  [Band("angle", "low", "high", role="truth", label="limit: 10th to 90th percentile"),
                   Line("angle", "mean", role="truth", label="limit: median"),
                   Paths("angle", "f", role="sde", label="networks"), Points("at", "y", label="data")],
                  alt="Eight functions on the circle, thin lines, and a grey band. At first lines and band "
                      "are spread "
                      "everywhere; with training both close in on the four data points and stay apart between "
                      "them. "
                      "The wider the networks, the better the lines keep to the band."),
            Panel("Tangent kernel between angle 0 and the others", angle, Axis("Θ"),
                  [Paths("angle", "first", role="neutral", label="at the start"),
                   Paths("angle", "now", role="sde", label="now"), Line("angle", "limit", role="truth", label="limit")],
                  alt="The tangent kernel of each network as a function of the angle: a hill around 0. Narrow "
                      "networks "
                      "scatter widely about the dotted limit, and during training their hills rise; those of "
                      "wide "
                      "networks lie close to it and hardly move.")])
