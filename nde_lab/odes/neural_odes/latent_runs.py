"""Two runs of a latent ODE: on simulated damped waves, in the reader's page, and on real days of power demand.

What trains is in ``latent``. In both, entries are removed for good (also from the training series), the
encoder reads what is left up to a moment, and the decoder has to tell the rest.
"""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab import data as series
from nde_lab import optimizers
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.nets import functional
from nde_lab.odes.neural_odes import latent as lt
from nde_lab.odes.neural_odes.training import dots, finite
from nde_lab.random import Index, Normal, Permutation, Uniform, sample
from nde_lab.views import Axis, Line, Panel, Paths, Points, View

PAPER = "on-neural-differential-equations"
LATENT, HIDDEN, SHOWN = 6, 24, 8


def live_knobs(missing: float, until: float) -> dict[str, Knob]:
    """The live knobs that both runs share."""
    return {"missing": Knob(missing, low=0.0, high=0.8, label="missing rate", help="share of entries removed"),
            "until": Knob(until, low=0.2, high=1.0, label="encoder reads until", unit="of the time"),
            "series": Knob(0.0, low=0.0, high=SHOWN - 1.0, label="series shown", help="rounded down"),
            "lr": Knob(1e-2, low=1e-3, high=3e-2, scale="log", label="learning rate")}


class LatentRun:
    """What both runs do. State "x" (L, N, 1), "u" (L, N, 1) of the training series, "test.x", "test.u" of the
    others; an entry is left where u >= missing rate. ``times`` (L,) in [0, 1]."""
    batch, sigma, horizon, samples = 64, 0.2, 3.0, 12

    @functools.cached_property
    def net(self):
        return functional(lt.LatentODE(channels=1, latent=LATENT, hidden=HIDDEN, kind=self.kind))

    def noise(self, pool: int) -> Draws:
        """The draws of a step and of the picture, for ``pool`` training series."""
        return Draws(step={"index": Index((self.batch,), pool), "xi": Normal((self.batch, LATENT))},
                     observe={"xi": Normal((self.samples, 1, LATENT))})

    def read(self, data, u: Tensor, live) -> tuple[Tensor, Tensor]:
        """Which entries are left, and which of those the encoder reads: 0 or 1, (L, B, 1)."""
        left = (u >= live["missing"]).to(u.dtype)
        return left, left * (data["times"] <= live["until"])[:, None, None].to(u.dtype)

    def step(self, data, state, noise, live):
        i, ts = noise["index"], self.horizon * data["times"]
        x = state["x"][:, i]
        left, seen = self.read(data, state["u"][:, i], live)
        new, loss = lt.train_step(self.net, state, ts=ts, x=x, seen=seen, weight=left, xi=noise["xi"],
                                  sigma=self.sigma, beta=1.0, lr=live["lr"])
        kept = {n: state[n] for n in ("x", "u", "test.x", "test.u")}
        return new | kept, {"loss": loss, "ok": finite(self.net.params(new)),
                            **self.errors(data, kept, self.net.params(new), live)}

    def errors(self, data, state, params, live) -> dict[str, Tensor]:
        """Mean squared error on the test entries that the encoder has not read: of the model (z0 at the mean
        of q), of straight lines, and of the mean of what is left of the training series at that time."""
        x = state["test.x"]
        left, seen = self.read(data, state["test.u"], live)
        guess, _ = self.net.apply(params, self.horizon * data["times"], x, seen,
                                  torch.zeros(x.shape[1], LATENT))
        line = series.linear(data["times"], x.transpose(0, 1), seen.transpose(0, 1)).transpose(0, 1)
        known = self.read(data, state["u"], live)[0]
        mean = (state["x"] * known).sum(1, keepdim=True) / known.sum(1, keepdim=True).clamp(min=1)
        return {"error": lt.mean_square(guess, x, 1 - seen), "line": lt.mean_square(line, x, 1 - seen),
                "mean": lt.mean_square(mean.expand_as(x), x, 1 - seen)}

    def observe(self, data, state, noise, live):
        params, times, pick = self.net.params(state), data["times"], live["series"].long().reshape(1)
        x, u = (state[f"test.{n}"][:, pick] for n in ("x", "u"))
        _, seen = self.read(data, u, live)
        guess, _ = self.net.apply(params, self.horizon * times, x, seen, noise["xi"])    # (L, draws, 1, 1)
        at, value = dots(times, x[:, 0, 0], seen[:, 0, 0])
        return {"t": times, "x": self.truth(state, pick, x), "guess": guess[..., 0, 0].T, "dot_t": at,
                "dot": value, "now": live["until"] * torch.ones(2), "edge": torch.tensor([-4.0, 4.0])}

    def truth(self, state, pick, x):
        """The dotted line of the picture (L,)."""
        return x[:, 0, 0]

    def view(self):
        name = "Latent ODE" if self.kind == "ode" else "GRU with time gaps"
        return View([
            Panel(f"{name}: one test series", Axis(self.time_label, low=0, high=1),
                  Axis(self.value_label, low=self.reach[0], high=self.reach[1]),
                  [Paths("t", "guess", role="ode", label=f"{self.samples} draws from q"),
                   Line("t", "x", role="truth", label="truth"),
                   Points("dot_t", "dot", role="test", label="read by the encoder"),
                   Line("now", "edge", role="neutral", label="read until here")],
                  alt="One test series: markers for the entries that the encoder reads, a dotted line for the "
                      "truth, and 12 decoded paths, one for each draw of the hidden start. Before training "
                      "the paths are flat; afterwards they follow the truth through the gaps, and less "
                      "closely where nothing was read."),
            Panel("Error on test entries that were not read", Axis("Adam step"),
                  Axis("mean squared error", scale="log"),
                  [Line("history.step", "history.error", role="test", label=name),
                   Line("history.step", "history.line", role="neutral", label="straight lines"),
                   Line("history.step", "history.mean", role="accent", label="mean of the training series")],
                  alt="Mean squared error on unread test entries over training steps on a log axis, with two "
                      "level lines: straight lines between entries, and the mean of the training series. The "
                      "model starts above both and falls below them.")])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LatentWaves(LatentRun):
    """A latent ODE learns damped waves from some of their entries, and tells how they go on.

    Each of 256 training series is a e^{-g t} cos(w t + p) + noise 0.05 at 30 uneven times of [0, 1]: amplitude
    a in 0.7-1.4, damping g in 0.5-2, frequency w in 7-12, phase p anything. 32 others test. One step of the
    run is one Adam step on 64 series.
    """
    kind: str = knob("ode", choices=lt.KINDS, label="model")
    live = live_knobs(0.5, 0.5)
    plan = Plan(250, every=5, advice="lower the learning rate")
    points, pool, tests = 30, 256, 32
    time_label, value_label, reach = "time t", "value", (-1.8, 1.8)

    def data(self):
        jitter = sample({"j": Uniform((self.points,), -0.4, 0.4)}, seed=0, stream="start")["j"]
        times = torch.arange(self.points) + jitter
        return {"times": (times - times[0]) / (times[-1] - times[0])}

    def draws(self):
        start = {f"{part}{n}": d for part, size in (("", self.pool), ("test.", self.tests)) for n, d in {
            "a": Uniform((size,), 0.7, 1.4), "g": Uniform((size,), 0.5, 2.0), "w": Uniform((size,), 7.0, 12.0),
            "p": Uniform((size,), 0.0, 2 * math.pi), "noise": Normal((self.points, size), scale=0.05),
            "u": Uniform((self.points, size, 1))}.items()}
        rest = self.noise(self.pool)
        return Draws(start=self.net.draws | start, step=rest.step, observe=rest.observe)

    def init(self, data, start, live):
        params, t = self.net.init(start), data["times"][:, None]
        x = {part: start[f"{part}a"] * torch.exp(-start[f"{part}g"] * t)
             * torch.cos(start[f"{part}w"] * t + start[f"{part}p"]) + start[f"{part}noise"]
             for part in ("", "test.")}
        return params | optimizers.adam_state(params) | {
            "x": x[""][..., None], "u": start["u"], "test.x": x["test."][..., None],
            "test.u": start["test.u"]}


@functools.lru_cache(maxsize=2)
def power_days() -> tuple[Tensor, Tensor]:
    """ItalyPowerDemand of the UCR archive: times (24,) in [0, 1], values (24, 1096, 1), one series a day of
    hourly demand, each with mean 0 and deviation 1 as archived."""
    loaded = series.load_series("ItalyPowerDemand")
    return loaded.times, loaded.values.transpose(0, 1).contiguous()


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LatentPower(LatentRun):
    """The same on real data: 1096 days of electricity demand in Italy, hour by hour, with entries removed.

    70 % of the days train, the last 15 % of a random order test; entries are removed from both, and what was
    removed is never used in training. One step of the run is one Adam step on 64 days.
    """
    kind: str = knob("ode", choices=lt.KINDS, label="model")
    live = live_knobs(0.5, 1.0)
    stored = {"kind": list(lt.KINDS), "missing": [0.3, 0.5, 0.7], "until": [0.5, 1.0], "series": [0.0, 1.0]}
    plan = Plan(240, every=6, engines=("kernel", "stored"), advice="lower the learning rate")
    days, shares = 1096, (0.7, 0.85)
    time_label, value_label, reach = "time of the day (share)", "demand (standard deviations)", (-3.2, 3.2)

    def data(self):
        times, values = power_days()
        return {"times": times, "values": values}

    def draws(self):
        first, _ = (round(share * self.days) for share in self.shares)
        rest = self.noise(first)
        return Draws(start=self.net.draws | {"order": Permutation(self.days), "u": Uniform((24, self.days, 1))},
                     step=rest.step, observe=rest.observe)

    def init(self, data, start, live):
        params = self.net.init(start)
        first, second = (round(share * self.days) for share in self.shares)
        train, test = start["order"][:first], start["order"][second:]
        return params | optimizers.adam_state(params) | {
            "x": data["values"][:, train], "u": start["u"][:, train],
            "test.x": data["values"][:, test], "test.u": start["u"][:, test]}
