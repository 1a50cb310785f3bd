"""Four networks, four predictions, one score: equal at the optimum, not on the way there. Live."""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab import autodiff, nets, optimizers
from nde_lab.diffusion.principles_of_diffusion.matching import square_errors
from nde_lab.diffusion.principles_of_diffusion.schedules import SCHEDULES
from nde_lab.diffusion.score_sde import KINDS, Mixture, Process, convert
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal, Uniform, sample
from nde_lab.views import Axis, Line, Panel, View

PAPER = "principles-of-diffusion-models"
BUMPS = Mixture.of([-1.6, 0.1, 1.6], [0.3, 0.25, 0.3], [0.3, 0.3, 0.4], dtype=torch.float32)
ROLES = {"noise": "train", "data": "accent", "velocity": "test", "score": "neutral"}


@experiment(paper=PAPER)
@dataclass(frozen=True)
class PredictionKinds:
    """Four copies of one small network see the same batches; each regresses on its own conditional target.

    Times are uniform from ``end`` to the horizon, losses plain. The exact score is known, so the errors are
    too: as errors of the noise that a network implies, of the data point, and of a balance of the two.
    """
    schedule: str = knob("linear", choices=("linear", "VP"), label="schedule")
    live = {"end": Knob(1e-2, low=1e-3, high=0.1, scale="log", label="smallest time"),
            "lr": Knob(1e-2, low=1e-4, high=3e-2, scale="log", label="learning rate")}
    batch, width, training, times, places = 256, 32, 500, 24, 16

    @property
    def plan(self):
        return Plan(self.training, every=max(1, self.training // 25), advice="lower the learning rate")

    @property
    def process(self) -> Process:
        return SCHEDULES[self.schedule]

    @functools.cached_property
    def nets(self):
        """kind -> the network: inputs 2 -> width -> width -> 1, silu, one start for all four."""
        return {kind: nets.functional(nets.mlp([2, self.width, self.width, 1], act="silu"), prefix=f"{kind}.")
                for kind in KINDS}

    def data(self):
        t = torch.linspace(0.01, 0.99, self.times).repeat_interleave(self.places)[:, None]
        drawn = sample({"u": Uniform((len(t),)), "w": Normal((len(t), 1)), "z": Normal((len(t), 1))}, seed=0,
                       stream="probe")
        x = self.process.noised(t, BUMPS.draw(drawn["u"], drawn["w"]), drawn["z"])
        return {"means": BUMPS.means, "stds": BUMPS.stds, "weights": BUMPS.weights, "t": t, "x": x,
                "score": BUMPS.score(self.process)(t, x), "grid": torch.linspace(0.01, 0.99, self.times)}

    def draws(self):
        n = self.batch
        first = self.nets["score"].draws
        return Draws(start={name.removeprefix("score."): d for name, d in first.items()},
                     step={"u": Uniform((n,)), "w": Normal((n, 1)), "t": Uniform((n, 1)), "z": Normal((n, 1))})

    def init(self, data, start, live):
        params = {f"{kind}.{name}": value for kind in KINDS for name, value in start.items()}
        return params | optimizers.adam_state(params)

    def predict(self, kind: str, params):
        """predict(t, x) of one kind by its network; inputs 3 x / sqrt(m^2 + s^2) and lambda / 2."""
        def of(t, x):
            at = self.process.coefficients(t)
            size = (at.mean.square() + at.std.square()).sqrt()
            clock = torch.ones_like(x) * (0.5 * torch.log(at.mean / at.std))
            return self.nets[kind].apply(params, torch.cat([3 * x / size, clock], -1))
        return of

    def step(self, data, state, noise, live):
        bumps = Mixture(data["means"], data["stds"], data["weights"])
        x0 = bumps.draw(noise["u"], noise["w"])
        t = live["end"] + (self.process.horizon - live["end"]) * noise["t"]
        params = {n: state[n] for net in self.nets.values() for n in net.draws}

        def losses(p):
            found = [square_errors(self.predict(kind, p), self.process, kind, t, x0, noise["z"]).mean()
                     for kind in KINDS]
            return sum(found), torch.stack(found)

        # The networks share nothing, so the gradient of the sum is the gradient of each.
        (_, found), grads = autodiff.value_and_grad(losses, params, has_aux=True)
        done = (state["adam.count"] / self.training).clamp(max=1.0)
        rate = live["lr"] * 0.5 * (1 + torch.cos(math.pi * done))
        params, adam = optimizers.adam(params, grads, state, lr=rate)
        wrong = self.errors(data, params)
        info = {f"loss_{kind}": found[i] for i, kind in enumerate(KINDS)}
        info |= {f"error_{kind}": wrong[kind][2].mean() for kind in KINDS}
        return params | adam, info | {"ok": torch.isfinite(torch.stack([v for v in info.values()]).sum())}

    def errors(self, data, params) -> dict[str, Tensor]:
        """kind -> mean square errors (3, times): of the noise, of the data point, and s^2 / (m^2 + s^2) times
        the first, which is m^2 / (m^2 + s^2) times the second and large at neither end."""
        at = self.process.coefficients(data["t"])
        out = {}
        for kind in KINDS:
            value = self.predict(kind, params)(data["t"], data["x"])
            found = convert(value, data["x"], data["t"], self.process, source=kind, target="score")
            noise = (at.std * (found - data["score"])).square()
            rows = torch.cat([noise, noise * (at.std / at.mean).square(),
                              noise * at.std.square() / (at.mean.square() + at.std.square())], 1)
            out[kind] = rows.reshape(self.times, self.places, 3).mean(1).T
        return out

    def observe(self, data, state, noise, live):
        out = {"grid": data["grid"]}
        for kind, rows in self.errors(data, state).items():
            out |= {f"noise_{kind}": rows[0].contiguous(), f"data_{kind}": rows[1].contiguous()}
        return out

    def view(self):
        def lines(x, y):
            return [Line(x, f"{y}_{kind}", role=ROLES[kind], label=kind) for kind in ROLES]
        time = Axis("t (0: data, 1: noise)", low=0, high=1)
        return View([
            Panel("Error of the noise it implies", time, Axis("mean square", scale="log", low=1e-4, high=100),
                  lines("grid", "noise"),
                  alt="Error of the implied noise over time on a log axis, one curve a prediction. The data "
                      "prediction's rises steeply towards t = 0; the noise prediction's stays low everywhere."),
            Panel("Error of the data it implies", time, Axis("mean square", scale="log", low=1e-4, high=100),
                  lines("grid", "data"),
                  alt="Error of the implied data point over time on a log axis, one curve a prediction. The "
                      "noise prediction's rises steeply towards t = 1; the data prediction's stays low."),
            Panel("Loss in its own unit", Axis("training step"), Axis("loss", scale="log"),
                  lines("history.step", "history.loss"),
                  alt="Four training losses on a log axis. The score's lies highest and jumps most from step "
                      "to step; lower the smallest time, and it jumps more."),
            Panel("Balanced error against the exact score", Axis("training step"),
                  Axis("mean square", scale="log", low=1e-3, high=3), lines("history.step", "history.error"),
                  alt="Four errors on a log axis over training. All fall; the score's stays behind.")])
