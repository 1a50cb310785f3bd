"""Neural CDEs: a hidden state that moves only when the data move, dz = f(z) dX.

X(t) is a path through the data (here straight lines between observations), f(z) a matrix. Along a straight
piece with increment dX the equation is the ODE dz/ds = f(z) dX, s in [0, 1]. The solution does not depend on
how fast X is run through; a network that must know about time gets time as one more channel of X.

Source: Kidger, Morrill, Foster, Lyons, "Neural controlled differential equations for irregular time series",
NeurIPS 2020, arXiv 2005.08926; Kidger 2022, arXiv 2202.02435, chapter 3.
"""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nde_lab import autodiff, optimizers
from nde_lab import data as series
from nde_lab.autodiff import loop
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.nets import functional, mlp
from nde_lab.odes.neural_odes.training import dots, finite
from nde_lab.random import Index, Normal, Uniform
from nde_lab.solvers import rk_step
from nde_lab.solvers.tableaus import tableau
from nde_lab.views import Axis, Line, Panel, Paths, Points, Rule, View

PAPER = "on-neural-differential-equations"
LENGTH, TRAIN, TESTS, CLASSES = 40, 300, 100, 3


def solve_cde(field, z0: Tensor, path: Tensor, *, method: str = "midpoint") -> Tensor:
    """The hidden path of dz = field(z) dX, one Runge-Kutta step per piece of the polygon.

    field (..., H) -> (..., H, C), z0 (..., H), path (L, ..., C) -> (L, ..., H).
    """
    table = tableau(method)

    def on(z, dx):
        z = rk_step(lambda s, y: (field(y) * dx[..., None, :]).sum(-1), 0.0, z, 1.0, table).y
        return z, z

    return torch.cat([z0[None], loop(on, z0, path[1:] - path[:-1])[1]])


class NeuralCDE(nn.Module):
    """Series -> class scores: z(0) = Lin(X(0)), dz = f(z) dX, scores = Lin(z(T)). f is a tanh network."""

    def __init__(self, *, channels: int, classes: int, hidden: int = 8, width: int = 24):
        super().__init__()
        self.shape = hidden, channels
        self.start = nn.Linear(channels, hidden)
        self.field = mlp([hidden, width, hidden * channels], final="tanh")
        self.readout = nn.Linear(hidden, classes)

    def forward(self, path: Tensor) -> Tensor:
        """path (L, ..., C) -> scores along the way (L, ..., classes)."""
        zs = solve_cde(lambda z: self.field(z).unflatten(-1, self.shape), self.start(path[0]), path)
        return self.readout(zs)


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log probability of the true class. scores (B, K), labels (B,) -> 0-d."""
    true = (labels[:, None] == torch.arange(scores.shape[-1])).to(scores.dtype)
    return -(torch.log_softmax(scores, dim=-1) * true).sum(-1).mean()


@experiment(paper=PAPER)
@dataclass(frozen=True)
class SineCDE:
    """A neural CDE tells three frequencies of sines apart, trained complete, tested with entries removed.

    Class k is a sine of frequency 1, 1.5 or 2 on [0, 1], at 40 times, with random phase and amplitude. With
    ``clock`` time is a channel of X beside the value. Without, X is one number that goes up and down, and
    every CDE takes back on the way down what it did on the way up: the end depends on X(0) and X(1) alone.
    Those tell frequency 1.5 (the end is minus the start) from 1 and 2 (they are equal), and no more: at most
    two series in three are right. One step of the run is one Adam step on 50 of 300 series.
    """
    clock: bool = knob(True, choices=(True, False), label="time channel")
    live = {"missing": Knob(0.5, low=0.0, high=0.8, label="missing rate",
                            help="share of test entries removed"),
            "lr": Knob(4e-2, low=1e-3, high=5e-2, scale="log", label="learning rate")}
    plan = Plan(120, every=3, advice="lower the learning rate")
    batch, tests, rates = 50, TESTS, tuple(i / 10 for i in range(9))

    @functools.cached_property
    def net(self):
        return functional(NeuralCDE(channels=1 + self.clock, classes=CLASSES))

    def data(self):
        return {"times": torch.linspace(0, 1, LENGTH), "rates": torch.tensor(self.rates),
                "labels": series.sines_labels(TRAIN), "test_labels": series.sines_labels(self.tests)}

    def draws(self):
        start = series.sines_draws(TRAIN, LENGTH, prefix="train.") | series.sines_draws(
            self.tests, LENGTH, prefix="test.")
        return Draws(start=start | {"u": Uniform((self.tests, LENGTH, 1))} | self.net.draws,
                     step={"index": Index((self.batch,), TRAIN)})

    def init(self, data, start, live):
        params = self.net.init(start)
        values = {part: series.sines(data["times"], data[labels],
                                     **{n: start[f"{part}.{n}"] for n in ("phase", "amplitude", "noise")})
                  for part, labels in (("train", "labels"), ("test", "test_labels"))}
        return params | optimizers.adam_state(params) | values | {"u": start["u"]}

    def path(self, data, values: Tensor) -> Tensor:
        """The control path (L, N, C) of values (N, L, 1): the value, and the time (times 4) if wanted."""
        return (series.with_time(4 * data["times"], values) if self.clock else values).transpose(0, 1)

    def step(self, data, state, noise, live):
        i = noise["index"]
        path = self.path(data, state["train"][i])
        params = self.net.params(state)
        loss, grads = autodiff.value_and_grad(
            lambda p: cross_entropy(self.net.apply(p, path)[-1], data["labels"][i]), params)
        grads, _ = optimizers.clip_by_norm(grads, 1.0)
        params, adam = optimizers.adam(params, grads, state, lr=live["lr"])
        return params | adam | {n: state[n] for n in ("train", "test", "u")}, {
            "loss": loss, "ok": finite(params)}

    def observe(self, data, state, noise, live):
        params, test = self.net.params(state), state["test"]
        # All missing rates at once, one channel each; the same u, so a higher rate removes further entries.
        kept = ~series.missing_mask(state["u"], data["rates"])                              # (N, L, R)
        lines = series.linear(data["times"], test.expand(kept.shape), kept).permute(2, 0, 1)   # (R, N, L)
        path = self.path(data, lines.reshape(-1, LENGTH, 1))                                # (L, R N, C)
        right = self.net.apply(params, path)[-1].argmax(-1).reshape(kept.shape[2], self.tests)
        accuracy = (right == data["test_labels"]).to(torch.float32).mean(-1)
        kept = ~series.missing_mask(state["u"][:CLASSES], live["missing"])
        seen = series.linear(data["times"], test[:CLASSES], kept)
        scores = self.net.apply(params, self.path(data, seen))                              # (L, 3, 3)
        own = torch.eye(CLASSES)                                    # the first three series are one per class
        belief = (torch.softmax(scores, -1) * own).sum(-1)
        at, value = dots(data["times"], test[1, :, 0], kept[1, :, 0].to(torch.float32))
        return {"rates": data["rates"], "accuracy": accuracy, "t": data["times"], "line": seen[1, :, 0],
                "dot_t": at, "dot": value, "belief": belief.T}

    def view(self):
        what = "with the time as a channel" if self.clock else "without a time channel"
        return View([
            Panel(f"Loss, {what}", Axis("Adam step"), Axis("cross-entropy (nats)", low=0, high=1.4),
                  [Line("history.step", "history.loss", role="train", label="training (complete series)"),
                   Rule(math.log(2) * 2 / 3, label="best from both ends: ⅔ ln 2")],
                  alt="Training loss over steps with a dotted level at 0.46, the best that the two ends of a "
                      "series allow. With a time channel it falls well below; without, it stays above."),
            Panel("Accuracy by missing rate", Axis("share of test entries removed", low=0, high=0.8),
                  Axis("test accuracy", low=0, high=1),
                  [Line("rates", "accuracy", role="test", label=f"{self.tests} test series"),
                   Rule(2 / CLASSES, label="best from both ends: 2/3"),
                   Rule(1 / CLASSES, role="neutral", label="chance: 1/3")],
                  alt="Test accuracy against the share of removed entries from 0 to 0.8, with levels at one "
                      "and two in three. With a time channel the curve starts near 1 and falls slowly; "
                      "without, it lies below two in three everywhere."),
            Panel("A test series and its control path", Axis("time t", low=0, high=1),
                  Axis("value", low=-1.8, high=1.8),
                  [Points("dot_t", "dot", role="data", label="entries that are left"),
                   Line("t", "line", role="ode", label="X(t)")],
                  alt="One test series: markers for the entries that are left, and the polygon through them. "
                      "The higher the missing rate, the cruder the polygon."),
            Panel("Probability of the true class along the way", Axis("time t", low=0, high=1),
                  Axis("probability, if read out at t", low=0, high=1),
                  [Paths("t", "belief", role="ode", label="a series of each class"),
                   Rule(1 / CLASSES, label="chance: 1/3")],
                  alt="Probability that the readout gives to the true class of three test series along time. "
                      "Trained with a time channel, it ends near 1 for most; without, it does not for two "
                      "of the three.")])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class Reparametrised:
    """One drawing, run through at two speeds, drives the same random CDE: do the two end in one place?

    X(u) is a curve in the plane, u in [0, 1]. The plain run has u = t, the other u = t + w sin(2 pi t) / (2
    pi): fast, then slow, or the reverse. Without a time channel both hidden states run through the same
    points at other moments. With one, X is another path, and they part. No training.
    """
    clock: bool = knob(False, choices=(False, True), label="time channel")
    live = {"warp": Knob(0.8, low=-0.95, high=0.95, label="warp w", help="0: the same speed")}
    points, width, hidden = 200, 16, 3

    @property
    def plan(self):
        return Plan(40)

    def data(self):
        return {"t": torch.arange(self.points + 1) / self.points}

    def draws(self):
        c = 2 + self.clock
        return Draws(start={"w1": Normal((self.hidden, self.width), scale=0.7), "b1": Normal((self.width,)),
                            "w2": Normal((self.width, self.hidden * c), scale=0.35)})

    def paths(self, t: Tensor, warp) -> tuple[Tensor, Tensor]:
        """The two control paths in one tensor (L, 2, C), and both values of u (L, 2)."""
        u = torch.stack([t, t + warp * torch.sin(2 * math.pi * t) / (2 * math.pi)], dim=1)
        channels = [torch.sin(3 * math.pi * u), 0.8 * torch.cos(2.6 * math.pi * u + 0.5)]
        if self.clock:
            channels.append(2 * t[:, None].expand_as(u))
        return torch.stack(channels, dim=-1), u

    def init(self, data, start, live):
        path, _ = self.paths(data["t"], live["warp"])
        c = path.shape[-1]

        def field(z):
            return (torch.tanh(z @ start["w1"] + start["b1"]) @ start["w2"]).unflatten(-1, (self.hidden, c))

        z = solve_cde(field, torch.zeros(2, self.hidden), path)
        return {"z": z, "x": path[..., :2], "k": torch.zeros(())}

    def step(self, data, state, noise, live):
        k = state["k"] + 1
        at = (k * (self.points // self.plan.steps)).clamp(max=self.points).long().reshape(1)
        z = state["z"][at][0]
        return state | {"k": k}, {"t": k / self.plan.steps, "gap": (z[0] - z[1]).square().sum().sqrt(),
                                  "ok": torch.isfinite(z)}

    def observe(self, data, state, noise, live):
        # What lies beyond now is folded onto now: nothing of the future is drawn, and shapes stay fixed.
        now = (state["k"] * (self.points // self.plan.steps)).clamp(max=self.points).long()
        at = torch.minimum(torch.arange(self.points + 1), now)
        z, x = state["z"][at], state["x"][at]
        return {"t": data["t"][at], "x_plain": x[:, 0, 0], "x_warped": x[:, 1, 0], "z_plain": z[:, 0, 0],
                "z_warped": z[:, 1, 0], "v_plain": z[:, 0, 1], "v_warped": z[:, 1, 1],
                "end_t": torch.ones(2), "end": state["z"][-1, 0, :2]}

    def view(self):
        name = "with time as a channel" if self.clock else "without a time channel"
        return View([
            Panel("What drives: first channel of X", Axis("time t", low=0, high=1),
                  Axis("X₁", low=-1.3, high=1.3),
                  [Line("t", "x_plain", role="truth", label="plain"),
                   Line("t", "x_warped", role="ode", label="warped")],
                  alt="First channel of the control path over time, plain and warped: the same ups and downs, "
                      "at other moments."),
            Panel(f"What is driven: hidden state, {name}", Axis("time t", low=0, high=1), Axis("z₁ and z₂"),
                  [Line("t", "z_plain", role="truth", label="plain"),
                   Line("t", "v_plain", role="truth"),
                   Line("t", "z_warped", role="ode", label="z₁ warped"),
                   Line("t", "v_warped", role="accent", label="z₂ warped"),
                   Points("end_t", "end", role="data", label="end of the plain run")],
                  alt="Two coordinates of the hidden state over time, plain and warped. They differ on the "
                      "way. Without a time channel they meet at the end; with one they do not.")])
