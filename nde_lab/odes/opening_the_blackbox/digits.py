"""The digits of scikit-learn by a neural ODE: the papers' MNIST experiment at toy size.

Field 64 -> 32 -> 64, f(t, z) = 5 tanh(W2 [tanh(W1 [z, t] + b1), t] + b2), Dopri5 over [0, 1], linear readout of
z(1), Adam 3e-3, batches of 128. As in the papers the batch shares one clock: it is solved as one row, and NFE
is the row's.
"""
from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab import autodiff, optimizers
from nde_lab.data import load_digits
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.nets import functional
from nde_lab.odes.opening_the_blackbox.heuristics import penalty, solve
from nde_lab.odes.opening_the_blackbox.shared import NFE_AXIS, STEPS_AXIS, finite
from nde_lab.random import Index
from nde_lab.views import Axis, Bars, Line, Panel, Rule, View

TRAIN, BATCH, WIDTH, SPEED, LR = 1400, 128, 32, 5.0, 3e-3
TURNS = {1e-2: 6, 1e-3: 7, 1e-4: 8, 1e-5: 11, 1e-6: 15}      # tried steps that suffice, by tolerance
SHARE = 397                                                   # test pictures


class DigitsNet(torch.nn.Module):
    """The field's two layers (time is the last input of each) and the readout."""

    def __init__(self):
        super().__init__()
        self.inner = torch.nn.Linear(65, WIDTH)
        self.outer = torch.nn.Linear(WIDTH + 1, 64)
        self.readout = torch.nn.Linear(64, 10)

    def forward(self, z: Tensor, t: Tensor | None = None) -> Tensor:
        """The velocity at z (n, 64) and time t (1, 1); without a time the readout's scores (n, 10)."""
        if t is None:
            return self.readout(z)
        t = t.expand(len(z), 1)
        return SPEED * torch.tanh(self.outer(torch.cat([torch.tanh(self.inner(torch.cat([z, t], 1))), t], 1)))


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Mean negative log probability of the true class. scores (B, 10), labels (B,)."""
    hot = (labels[:, None] == torch.arange(10, device=scores.device)).to(scores.dtype)
    return -(torch.log_softmax(scores, -1) * hot).sum(-1).mean()


@experiment(paper="opening-the-blackbox-solver-heuristics")
@dataclass(frozen=True)
class DigitsODE:
    """1400 digits to train on, 397 to test; 150 Adam steps; the loss is the cross-entropy plus λ times the
    penalty: "error" R_E, "stiffness" R_S (without the weight 0.1)."""
    kind: str = knob("error", choices=("none", "error", "stiffness"), label="penalty")
    rtol: float = knob(1e-4, choices=tuple(TURNS), label="tolerance", help="rtol = atol of the solver")
    live = {"lam": Knob(1.0, low=1e-3, high=30.0, scale="log", label="penalty λ")}
    stored = {"lam": [0.1, 1.0, 10.0], "rtol": [1e-4, 1e-6]}

    @property
    def plan(self):
        return Plan(150, every=5, engines=("kernel", "stored"), advice="lower λ")

    @functools.cached_property
    def net(self):
        return functional(DigitsNet())

    def data(self):
        train, test = load_digits(train=TRAIN)
        return {"x": train.pixels, "y": train.labels, "test_x": test.pixels, "test_y": test.labels}

    def draws(self):
        return Draws(start=self.net.draws, step={"index": Index((BATCH,), TRAIN)})

    def init(self, data, start, live):
        params = self.net.init(start)
        return params | optimizers.adam_state(params)

    def field(self, params, n: int):
        """f(t, y) for rows that each hold n pictures: y (rows, 64 n), t (rows, 1)."""
        def f(t, y):
            if len(y) == 1:
                return self.net.apply(params, y.reshape(n, 64), t).reshape(1, -1)
            time = t[:, None].expand(len(y), n, 1).reshape(-1, 1)
            return self.net.apply(params, y.reshape(-1, 64), time).reshape(y.shape)
        return f

    def forward(self, params, x: Tensor):
        """Solve a batch x (n, 64) as one row: the field, what the solver reports, scores (n, 10)."""
        f = self.field(params, len(x))
        solved = solve(f, x.reshape(1, -1), rtol=self.rtol, turns=TURNS[self.rtol])
        return f, solved, self.net.apply(params, solved.y.reshape(-1, 64))

    def regulariser(self, f, solved, noise) -> Tensor:
        """The penalty without its λ, 0-d."""
        if self.kind == "none":
            return torch.zeros(())
        return penalty(solved, "error").mean() if self.kind == "error" else solved.stiffness_max.mean()

    def step(self, data, state, noise, live):
        x, y = data["x"][noise["index"]], data["y"][noise["index"]]

        def loss(params):
            f, solved, scores = self.forward(params, x)
            fit = cross_entropy(scores, y)
            return fit + live["lam"] * self.regulariser(f, solved, noise), (fit, solved)

        old = self.net.params(state)
        (_, (fit, solved)), grads = autodiff.value_and_grad(loss, old, has_aux=True)
        params, adam = optimizers.adam(old, grads, state, lr=LR)
        return params | adam, {"loss": fit, "nfe": solved.evaluations[0].to(fit.dtype),
                               "r": solved.error_sum[0],
                               "s": solved.stiffness_max[0], "ok": finite(params) & solved.ok.all()}

    def observe(self, data, state, noise, live):
        _, solved, scores = self.forward(self.net.params(state), data["test_x"])
        t, h = solved.turns.t[:, 0], solved.turns.h[:, 0]
        right = (scores.argmax(-1) == data["test_y"]).to(t.dtype).mean()
        # As many places whatever rtol is: a stored film has one shape. A turn that does not count is a bar of height 0.
        unused = max(TURNS.values()) - len(t)
        t = torch.where(solved.turns.accept[:, 0], t, torch.ones_like(t))
        h = torch.where(solved.turns.accept[:, 0], h, torch.zeros_like(h))
        return {"t": torch.cat([t, torch.ones(unused)]), "h": torch.cat([h, torch.zeros(unused)]),
                "accuracy": right[None], "nfe": solved.evaluations.to(t.dtype), "one": torch.ones(1),
                "error": solved.error_sum, "stiffness": solved.stiffness_max}

    def view(self):
        return digits_view()


def digits_view() -> View:
    """Loss, cost, step lengths and accuracy of a digits experiment."""
    return View([
        Panel("What a solve costs", STEPS_AXIS, NFE_AXIS,
              [Line("history.step", "history.nfe", role="accent", label="this run"),
               Rule(19.0, label="19: three steps")],
              alt="Function evaluations per solve of a training batch over training. Without a penalty they "
                  "rise and "
                  "stay; with one they fall to the dotted level 19, the least that the solver's first step "
                  "allows."),
        Panel("Loss", STEPS_AXIS, Axis("cross-entropy (nats)", low=0, high=2.5),
              [Line("history.step", "history.loss", role="train", label="training batch")],
              alt="Cross-entropy of the training batch over training; it falls from 2.3 to about 0.1."),
        Panel("The solver's steps on the test batch", Axis("model time t", low=0, high=1.05),
              Axis("step length h", low=0, high=0.8), [Bars("t", "h", role="ode", label="accepted steps")],
              alt="Bars at the times where accepted steps begin, as high as the step is long. With a penalty: "
                  "three "
                  "bars."),
        Panel("Test accuracy", Axis("", low=0, high=2), Axis(f"share of {SHARE} pictures", low=0.8, high=1),
              [Bars("one", "accuracy", role="test", names=("right",))],
              alt="One bar: the share of the 397 test pictures that are classified correctly, about 0.95.")])
