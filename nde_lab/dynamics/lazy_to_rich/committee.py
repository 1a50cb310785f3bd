"""The committee machine with its weights, and its full-batch step in two matrix products.

Tanishq Kumar et al., arXiv 2310.06110, section 4. The step is gradient descent on (1/P) sum (f(x) - y)^2 with the
learning rate eta0 N / alpha^2, written out: with the hidden values H = X W^T and the errors e,

    W <- W - c (e (1 + eps H))^T X,    c = 2 eta0 / (alpha P).
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.dynamics.lazy_to_rich.model import phi, statistics, target, test_loss
from nde_lab.dynamics.lazy_to_rich.simulator import log_grid
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Points, View

PAPER = "grokking-lazy-to-rich"


def output(W: Tensor, X: Tensor, alpha, eps) -> Tensor:
    """f(x) = (alpha / N) sum_i phi(w_i . x) for rows of X (P, D) and W (N, D): (P,). With gradients by autograd."""
    return alpha * phi(X @ W.mT, eps).mean(-1)


def full_batch_step(W: Tensor, X: Tensor, goal: Tensor, *, alpha, eps, eta0, share: Tensor | None = None) -> Tensor:
    """New weights (N, D) after one step towards f(X) = goal (P,); for a centred network goal = y + f at the start.

    Pure: two matrix products and three passes over H (P, N). ``share`` (N,): what each unit counts for in the mean
    (default 1 / N each; 0 leaves a unit out, and it then moves without effect).
    """
    H = X @ W.mT
    if share is None:
        f = (alpha / W.shape[-2]) * (H.sum(-1) + (0.5 * eps) * (H * H).sum(-1))
    else:
        f = alpha * (phi(H, eps) * share).sum(-1)
    e = ((2 * eta0 / (alpha * X.shape[-2])) * (f - goal))[..., None]
    return W - torch.addcmul(e, eps * e, H).mT @ X


@experiment(paper=PAPER)
@dataclass(frozen=True)
class TurningUnits:
    """A small committee machine whose weights are drawn: how far along beta each unit lies, and how far off it.

    D = 20 dimensions, P = 120 inputs. Live, felt from the start of a run: output scale alpha, bend eps, number of
    units N (the first N of 100), and ``centred``.
    """
    D: int = knob(20, choices=(5, 20), label="dimension D")
    P: int = knob(120, low=20, high=400, scale="log", label="inputs P")
    live = {"alpha": Knob(1.0, low=0.25, high=16.0, scale="log", label="output scale α", restarts=True),
            "eps": Knob(0.25, low=0.1, high=0.5, scale="log", label="bend of the activation ε", restarts=True),
            "N": Knob(40, low=2, high=100, scale="log", label="units N", restarts=True),
            "eta0": Knob(2.0, low=0.5, high=5.0, label="learning rate η₀", restarts=True),
            "centred": Knob(1, choices=(0, 1), label="centred (0: no, 1: yes)", restarts=True)}
    steps, points, most = 1500, 80, 100

    @property
    def plan(self):
        return Plan(self.steps, every=15, advice="lower the learning rate, or raise α")

    def data(self):
        grid = log_grid(self.steps, self.points)
        return {"at": torch.as_tensor(grid, dtype=torch.float32), "unit": torch.arange(float(self.most))}

    def draws(self):
        return Draws(start={"X": Normal((self.P, self.D), scale=self.D**-0.5), "beta": Normal((self.D,)),
                            "W": Normal((self.most, self.D))})

    def init(self, data, start, live):
        beta = start["beta"] * (self.D / start["beta"].square().sum()).sqrt()
        some = (data["unit"] < live["N"]).to(beta.dtype)
        share, W, X = some / some.sum(), start["W"], start["X"] * 1.0
        f0 = live["alpha"] * (phi(X @ W.T, live["eps"]) * share).sum(1)
        state = {"X": X, "y": target(X, beta), "beta": beta, "share": share, "W": W * 1.0, "W0": W * 1.0,
                 "f0": live["centred"] * f0, "count": torch.zeros(())}
        now = torch.stack(self.measure(state, live))
        return state | {"first": now, "trace": torch.ones(3, data["at"].shape[0])}

    def measure(self, state, live):
        """(train loss, exact test loss, size of the weights) now."""
        a, eps, c = live["alpha"], live["eps"], live["centred"]
        weigh = state["share"][:, None] * self.most        # the mean over 100 units becomes that over the first N
        (w, M), (w0, M0) = (((weigh * W).mean(0), (weigh * W).T @ W / self.most) for W in (state["W"], state["W0"]))
        f = a * (phi(state["X"] @ state["W"].T, eps) * state["share"]).sum(1)
        test = test_loss(a * (w - c * w0), a * eps * (M - c * M0), state["beta"])
        return (f - state["f0"] - state["y"]).square().mean(), test.total, M.diagonal().sum().sqrt()

    def step(self, data, state, noise, live):
        W = full_batch_step(state["W"], state["X"], state["y"] + state["f0"], alpha=live["alpha"], eps=live["eps"],
                            eta0=live["eta0"], share=state["share"])
        new = {**state, "W": W, "count": state["count"] + 1}
        train, test, size = self.measure(new, live)
        values = (torch.stack([train, test, size]) / state["first"]).clamp(min=1e-4)[:, None]
        trace = torch.where(data["at"] >= new["count"], values, state["trace"])     # what is to come lies flat
        ok = torch.isfinite(test) & (train < 1e6)
        return new | {"trace": trace}, {"train": train, "test": test, "size": size, "ok": ok}

    def observe(self, data, state, noise, live):
        b = state["beta"] / state["beta"].square().sum().sqrt()
        some = (state["share"] > 0).to(b.dtype)
        seen = {}
        for name, W in (("start", state["W0"]), ("now", state["W"])):
            along = W @ b
            off = (W - along[:, None] * b).square().sum(1).clamp(min=0.0).sqrt()
            for what, value in (("along", along), ("off", off)):        # units left out hide behind the first one
                seen[f"{what}_{name}"] = some * value + (1 - some) * value[0]
        at = torch.minimum(data["at"], state["count"].clamp(min=1.0))       # steps to come are folded onto now
        return {**seen, "at": at, "train": state["trace"][0], "test": state["trace"][1], "size": state["trace"][2]}

    def view(self):
        steps = Axis("step", scale="log", low=1, high=self.steps)
        return View([
            Panel("The units' weights", Axis("along β", low=-36, high=36), Axis("length of the rest", low=0, high=10),
                  [Points("along_start", "off_start", role="data", label="at the start"),
                   Points("along_now", "off_now", role="sde", label="now")],
                  alt="Weights of every unit in a plane: component along the target direction beta, and length of the "
                      "rest. They start as a narrow column about zero and move out to both sides, along beta, "
                      "far for "
                      "a small output scale and hardly at all for a large one."),
            Panel("Relative to the start", steps, Axis("value / value at the start", scale="log", low=1e-3, high=10),
                  [Line("at", "train", role="train", label="training loss"),
                   Line("at", "test", role="test", label="test loss"),
                   Line("at", "size", role="accent", label="size of the weights")],
                  alt="Training loss, test loss and root mean square size of the weights over steps, relative to their "
                      "start, both axes logarithmic. The training loss falls first, then the test loss; "
                      "meanwhile the size of the weights grows, if the start is centred and α is not small.")])
