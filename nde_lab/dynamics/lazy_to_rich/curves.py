"""The loss curves of one run, and of its lazy limit, on a logarithmic clock.

Tanishq Kumar et al., arXiv 2310.06110, figures 3, 4 and 9, by the simulator of ``simulator.py``: inputs in 40
dimensions, no weights but their two means, so the width is a number and may be infinite.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch

from nde_lab.dynamics.lazy_to_rich.model import alignment, quadratic, statistics, target, test_loss
from nde_lab.dynamics.lazy_to_rich.simulator import lazy_step, log_grid, pull, rich_step
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, View

PAPER = "grokking-lazy-to-rich"
MOST, WIDEST = 500, 1000        # inputs that are drawn; width that stands for an infinite one
CURVES = ("train", "test", "lazy", "A", "B", "C", "alignment")


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LazyToRich:
    """Gradient descent on the committee machine from P inputs, beside its lazy limit.

    D: dimension of the inputs. Live, all felt from the start of a run: output scale alpha, bend eps of the
    activation, number of inputs P (the first P of 500), width N (1000 stands for an infinite one), learning rate
    eta0, and ``centred``: the network predicts f - f at the start (1) or f (0).
    """
    D: int = knob(40, choices=(10, 20, 40), label="dimension D")
    live = {"alpha": Knob(1.0, low=0.25, high=64.0, scale="log", label="output scale α", restarts=True),
            "eps": Knob(0.25, low=0.02, high=1.0, scale="log", label="bend of the activation ε", restarts=True),
            "P": Knob(200, low=40, high=MOST, scale="log", label="inputs seen, P", restarts=True),
            "N": Knob(WIDEST, low=2, high=WIDEST, scale="log", label="width N (1000: infinite)", restarts=True),
            "eta0": Knob(5.0, low=1.0, high=8.0, label="learning rate η₀", restarts=True),
            "centred": Knob(1, choices=(0, 1), label="centred (0: no, 1: yes)", restarts=True)}
    steps, points = 2000, 90

    @property
    def plan(self):
        return Plan(self.steps, every=20, advice="lower the learning rate, or raise α")

    def data(self):
        grid = log_grid(self.steps, self.points)
        return {"at": torch.as_tensor(grid, dtype=torch.float32), "row": torch.arange(float(MOST)),
                "unit": torch.arange(float(WIDEST)), "eye": torch.eye(self.D)}

    def draws(self):
        return Draws(start={"X": Normal((MOST, self.D), scale=self.D**-0.5), "beta": Normal((self.D,)),
                            "W": Normal((WIDEST, self.D))})

    def init(self, data, start, live):
        beta = start["beta"] * (self.D / start["beta"].square().sum()).sqrt()
        # The first N units; an infinite number of them have the mean 0 and the mean square I.
        some = (data["unit"] < live["N"]).to(beta.dtype)[:, None]
        infinite = (live["N"] >= WIDEST - 0.5).to(beta.dtype)
        w, M = statistics(start["W"] * some)
        whole = WIDEST / some.sum()
        w, M = (1 - infinite) * whole * w, infinite * data["eye"] + (1 - infinite) * whole * M
        seen = (data["row"] < live["P"]).to(beta.dtype)
        X = start["X"] * seen[:, None]
        free = 1 - live["centred"]
        state = {"X": X, "y": target(X, beta), "beta": beta, "w": w * 1.0, "M": M * 1.0, "w0": w, "M0": M,
                 "u": free * live["alpha"] * w, "V": free * live["alpha"] * live["eps"] * M, "seen": seen.sum(),
                 "count": torch.zeros(())}
        now, errors = self.measure(state, live)
        trace = torch.stack([now[n] for n in CURVES])[:, None].expand(len(CURVES), data["at"].shape[0])
        return state | errors | {"trace": trace * 1.0}

    def function(self, state, live):
        """(u, V) of what the network predicts now."""
        c = live["centred"]
        return (live["alpha"] * (state["w"] - c * state["w0"]),
                live["alpha"] * live["eps"] * (state["M"] - c * state["M0"]))

    def measure(self, state, live):
        """(the curves' values now, {"e": errors of the network, "e_lazy": of its linearisation}). Unseen rows of X
        and y are zero, and so are their errors."""
        u, V = self.function(state, live)
        e = quadratic(state["X"], u, V) - state["y"]
        A, B, C = test_loss(u, V, state["beta"])
        now = {"train": e.square().sum() / state["seen"], "test": A + B + C, "A": A, "B": B, "C": C,
               "lazy": test_loss(state["u"], state["V"], state["beta"]).total,
               "alignment": alignment(state["M"], state["beta"])}
        return now, {"e": e, "e_lazy": quadratic(state["X"], state["u"], state["V"]) - state["y"]}

    def step(self, data, state, noise, live):
        rate, eps = 2 * live["eta0"] / state["seen"], live["eps"]
        w, M = rich_step(state["w"], state["M"], *pull(state["X"], state["e"]), rate / live["alpha"], eps)
        u, V = lazy_step(state["u"], state["V"], state["w0"], state["M0"], *pull(state["X"], state["e_lazy"]),
                         rate, eps)
        new = {**state, "w": w, "M": M, "u": u, "V": V, "count": state["count"] + 1}
        now, errors = self.measure(new, live)
        values = torch.stack([now[n] for n in CURVES])[:, None]
        trace = torch.where(data["at"] >= new["count"], values, state["trace"])     # what is to come lies flat
        return new | errors | {"trace": trace}, {**now, "ok": torch.isfinite(now["test"]) & (now["train"] < 1e6)}

    def observe(self, data, state, noise, live):
        at = torch.minimum(data["at"], state["count"].clamp(min=1.0))       # steps to come are folded onto now
        return {"at": at, **{name: state["trace"][k] for k, name in enumerate(CURVES)}}

    def view(self):
        steps = Axis("step", scale="log", low=1, high=self.steps)
        return View([
            Panel("Loss", steps, Axis("mean squared error", low=0, high=1.5),
                  [Line("at", "train", role="train", label="train"),
                   Line("at", "test", role="test", label="test"),
                   Line("at", "lazy", role="truth", label="test, lazy limit")],
                  alt="Losses over steps, step axis logarithmic. The training loss falls first, the test loss later: "
                      "to nearly zero for a small output scale, while for a large one it stays close to the dotted "
                      "curve "
                      "of the lazy limit, near two thirds of its start."),
            Panel("The test loss in three parts", steps, Axis("part of the test loss", low=0, high=0.8),
                  [Line("at", "A", role="neutral", label="A: constant"),
                   Line("at", "B", role="sde", label="B: wrong features"),
                   Line("at", "C", role="ode", label="C: linear power")],
                  alt="Parts of the test loss over steps, step axis logarithmic. A falls early; C rises from zero to a "
                      "hump while the data are learned by heart, and falls; B falls last.")])
