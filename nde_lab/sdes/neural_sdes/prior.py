"""A latent SDE that learns its prior from one series: after training it dreams series of its own.

Li, Wong, Chen, Duvenaud, arXiv 2001.01328, section 5, with prior drift, diffusion, posterior and both starts
learned.
"""
from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from nde_lab import autodiff, nets, optimizers
from nde_lab.autodiff import loop
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Index, Normal
from nde_lab.sdes.neural_sdes import gauss, series
from nde_lab.views import Axis, Line, Panel, Paths, Points, View

PAPER = "on-neural-differential-equations"
RATES = (0.15, 0.5, 1.5, 5.0)        # per observation
WELL_NOISE = 0.9


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LearnedPrior:
    """Two latent coordinates, the first seen with noise; one Adam step on 16 windows of 24 points, 2 Euler
    steps each.

    Prior dz = h(z) dt + sigma dW with h a network and sigma two learned numbers; posterior drift h + sigma
    u(z, what lies ahead); q(z_0) from what lies ahead, p(z_0) learned. The KL's weight rises to ``beta`` over
    the first 100 steps. series "lynx": 114 yearly catches (log, standardised). "double well": 114 points of a
    simulated particle, 0.5 apart.
    """
    series: str = knob("lynx", choices=("lynx", "double well"), label="series")
    steps: int = knob(600, low=20, high=5000, label="training steps")
    live = {"beta": Knob(1.0, low=0.0, high=10.0, label="KL weight β", help="1 is the true bound"),
            "lr": Knob(1e-2, low=1e-4, high=1e-1, scale="log", label="learning rate")}
    points, window, batch, sub, dim, width = 114, 24, 16, 2, 2, 32
    dreams, burn, lags, shown, every, warm = 48, 26, 30, 24, 10, 100
    well_dt, well_sub = 0.05, 10

    @property
    def plan(self):
        return Plan(self.steps, every=self.every, advice="lower the learning rate")

    @property
    def dt(self) -> float:
        return 1 / self.sub

    @functools.cached_property
    def nets_(self):
        d, zero = self.dim, torch.zeros
        make = nets.functional
        return {"h": make(nets.mlp([d, self.width, d]), prefix="h."),
                "u": make(nets.mlp([d + 2 * len(RATES), self.width, d]), prefix="u.",
                          init={"2.weight": zero(d, self.width), "2.bias": zero(d)}),
                "q": make(nets.mlp([2 * len(RATES), 2 * d]), prefix="q.")}

    def data(self):
        return {"x": series.lynx()} if self.series == "lynx" else {}

    def draws(self):
        start = {n: d for net in self.nets_.values() for n, d in net.draws.items()}
        if self.series != "lynx":
            start |= {"z0": Normal((1,)), "path": Normal((self.points * self.well_sub, 1)),
                      "eps": Normal((self.points,), scale=0.1)}
        n, d = (self.window - 1) * self.sub, self.dim
        long = (self.burn + self.points - 1) * self.sub
        return Draws(start=start, step={"at": Index((self.batch,), self.points - self.window + 1),
                                        "z0": Normal((self.batch, d)), "xi": Normal((n, self.batch, d))},
                     observe={"z0": Normal((self.dreams, d)), "xi": Normal((long, self.dreams, d)),
                              "eps": Normal((self.points, self.dreams)), "q_z0": Normal((self.shown, d)),
                              "q_xi": Normal((n, self.shown, d))})

    def init(self, data, start, live):
        params = {n: p for net in self.nets_.values() for n, p in net.init(start).items()}
        params |= {"log_sigma": torch.full((self.dim,), -0.7), "log_s": torch.tensor(-1.2),
                   "p.mean": torch.zeros(self.dim), "p.log_sd": torch.zeros(self.dim)}
        state = params | optimizers.adam_state(params)
        if self.series == "lynx":
            return state | {"x": data["x"]}
        z = series.double_well(start["z0"].sign(), start["path"], dt=self.well_dt, sigma=WELL_NOISE)
        return state | {"x": z[::self.well_sub, 0] + start["eps"]}

    def params(self, state):
        own = [n for net in self.nets_.values() for n in (*net.draws, *net.fixed)]
        return {n: state[n] for n in (*own, "log_sigma", "log_s", "p.mean", "p.log_sd")}

    def encode(self, x):
        """What lies ahead (L, B, 8) in windows x (L, B), by a linear recurrence that reads backwards."""
        keep = torch.exp(-torch.tensor(RATES))

        def read(carry, now):
            c = keep * carry + (1 - keep) * now[..., None]
            return c, c

        both = torch.stack([x, torch.ones_like(x)], -1)
        _, c = loop(read, torch.zeros_like(both[0])[..., None].expand(-1, -1, len(RATES)), both.flip(0))
        return c.flip(0).reshape(*x.shape, 2 * len(RATES))

    def posterior(self, params, x, z0, xi):
        """For windows x (L, B): paths at the points (L, B, d), path KL (B,), int u dW (B,), whose mean is 0,
        and, of the start, the KL (B,) and log q(z_0) - log p(z_0) of the one drawn (B,)."""
        c, sigma, h, u = self.encode(x), params["log_sigma"].exp(), self.nets_["h"], self.nets_["u"]
        mean, log_sd = self.nets_["q"].apply(params, c[0]).split(self.dim, -1)
        z = mean + log_sd.exp() * z0
        ahead = torch.repeat_interleave(c[1:], self.sub, dim=0)
        ratio = torch.exp(2 * (log_sd - params["p.log_sd"]))
        apart = ((mean - params["p.mean"]) / params["p.log_sd"].exp()) ** 2
        start_kl = 0.5 * (ratio + apart - 1 - torch.log(ratio)).sum(-1)
        drawn = ((z - params["p.mean"]) / params["p.log_sd"].exp()) ** 2
        start_ratio = (0.5 * (drawn - z0**2) + params["p.log_sd"] - log_sd).sum(-1)

        def euler(carry, now):
            z, kl, m = carry
            noise, ck = now
            push = u.apply(params, torch.cat([z, ck], -1))
            new = z + (h.apply(params, z) + sigma * push) * self.dt + sigma * self.dt**0.5 * noise
            kl, m = kl + 0.5 * (push**2).sum(-1) * self.dt, m + (push * noise).sum(-1) * self.dt**0.5
            return (new, kl, m), new

        zero = torch.zeros_like(z[:, 0])
        (_, kl, m), zs = loop(euler, (z, zero, zero), (xi, ahead))
        return torch.cat([z[None], zs[self.sub - 1::self.sub]]), kl, m, start_kl, start_ratio

    def fit(self, params, x, zs):
        """log p(x | z), (B,)."""
        return gauss.log_normal(x, zs[..., 0], params["log_s"].exp()).sum(0)

    def log_weight(self, params, x, z0, xi):
        """log p(x, z) - log q(z) per path (B,): its mean is the ELBO, the log of the mean of its exponential
        is larger, and tends to the evidence."""
        zs, kl, m, _, start_ratio = self.posterior(params, x, z0, xi)
        return self.fit(params, x, zs) - kl - m - start_ratio

    def dream(self, params, z0, xi, eps):
        """Series from the prior, after ``burn`` points that are thrown away: (points, B)."""
        sigma, h = params["log_sigma"].exp(), self.nets_["h"]

        def euler(z, noise):
            z = z + h.apply(params, z) * self.dt + sigma * self.dt**0.5 * noise
            return z, z[:, 0]

        z = params["p.mean"] + params["p.log_sd"].exp() * z0
        _, first = loop(euler, z, xi)
        return first[self.sub - 1::self.sub][self.burn - 1:] + params["log_s"].exp() * eps

    def step(self, data, state, noise, live):
        x = state["x"][noise["at"] + torch.arange(self.window)[:, None]]             # (L, B)
        weight = live["beta"] * (state["adam.count"] / self.warm).clamp(max=1.0)

        def loss(params):
            zs, kl, _, start, _ = self.posterior(params, x, noise["z0"], noise["xi"])
            fit = self.fit(params, x, zs).mean()
            kl = kl.mean() + start.mean()
            return (weight * kl - fit) / self.window, (fit / self.window, kl / self.window)

        params = self.params(state)
        (_, (fit, kl)), grads = autodiff.value_and_grad(loss, params, has_aux=True)
        grads, _ = optimizers.clip_by_norm(grads, 5.0)
        params, adam = optimizers.adam(params, grads, state, lr=live["lr"])
        params["log_s"] = params["log_s"].clamp(min=-3.0)
        ok = torch.isfinite(torch.stack([p.square().sum() for p in params.values()]).sum())
        return params | adam | {"x": state["x"]}, {"elbo": fit - kl, "fit": fit, "kl": kl, "ok": ok}

    def autocorrelation(self, x):
        """Lags 0 .. lags of series x (n, B), each about its own mean: (lags + 1,), averaged over B."""
        n, index = x.shape[0], torch.arange(x.shape[0])
        x = x - x.mean(0)

        def at(carry, lag):
            later = index + lag.long()
            product = x * x[later.clamp(max=n - 1)] * (later < n).to(x.dtype)[:, None]
            return carry, product.sum(0)

        _, c = loop(at, torch.zeros(()), torch.arange(self.lags + 1, dtype=x.dtype))
        return (c / (c[0] + 1e-6)).mean(1)          # a dream that ran away is held at the edge: constant

    def observe(self, data, state, noise, live):
        params, x = self.params(state), state["x"]
        made = self.dream(params, noise["z0"], noise["xi"], noise["eps"]).clamp(-6, 6)
        begin = self.points - self.window
        seen = x[begin:, None].expand(-1, self.shown)
        zs, *_ = self.posterior(params, seen, noise["q_z0"], noise["q_xi"])
        t = torch.arange(self.points, dtype=x.dtype)
        edges = torch.linspace(-2.5, 2.5, 41)
        width = 0.15                                     # of the kernel that smooths the histogram
        bump = torch.exp(-0.5 * ((edges[:, None] - made.reshape(1, -1)) / width) ** 2)
        own = torch.exp(-0.5 * ((edges[:, None] - x[None]) / width) ** 2)
        scale = width * (2 * torch.pi) ** 0.5
        return {"t": t, "real": x, "dream": made[:, 0] - 5, "t_window": t[begin:], "window": x[begin:],
                "bundle": zs[..., 0].T.clamp(-6, 6), "lag": torch.arange(self.lags + 1, dtype=x.dtype),
                "acf": self.autocorrelation(made), "acf_real": self.autocorrelation(x[:, None]),
                "value": edges, "density": bump.mean(1) / scale, "own": own.mean(1) / scale,
                "exact": series.well_density(edges, sigma=WELL_NOISE)}

    def view(self):
        lynx = self.series == "lynx"
        unit = "years since 1821" if lynx else "observation"
        what = "log catch (standard deviations)" if lynx else "position"
        law = (Panel("Does it keep time?", Axis("lag (years)", low=0, high=self.lags),
                     Axis("autocorrelation", low=-1, high=1),
                     [Line("lag", "acf_real", role="data", label="real series"),
                      Line("lag", "acf", role="sde", label=f"mean of {self.dreams} dreams")],
                     alt="Autocorrelation over lags up to 30 years. The real series swings with a period "
                         "near ten years "
                         "and fades slowly; the dreams' swing has the same period once trained.")
               if lynx else
               Panel("Does it know both wells?", Axis("position", low=-2.5, high=2.5),
                     Axis("density", low=0, high=1),
                     [Line("value", "own", role="data", label="this series"),
                      Line("value", "density", role="sde", label=f"{self.dreams} dreams"),
                      Line("value", "exact", role="truth", label="exact")],
                     alt="Density of positions: the exact one with two peaks at -1 and 1, that of the "
                         "series, and that of "
                         "the dreams, which after training has two peaks near them."))
        return View([
            Panel("The series, and a dream of it (5 "
                  "lower)", Axis(unit, low=0, high=114), Axis(what, low=-9, high=4),
                  [Line("t", "real", role="data", label="real"), Line("t", "dream", role="sde", label="dream")],
                  alt="The real series above and, five units lower, a series of the same length sampled from "
                      "the learned "
                      "prior. Before training the dream drifts without shape; afterwards it resembles the "
                      "real one."),
            law,
            Panel("Posterior paths on the last 24 "
                  "points", Axis(unit, low=90, high=114), Axis(what, low=-4, high=4),
                  [Paths("t_window", "bundle", role="sde", label=f"{self.shown} posterior paths"),
                   Points("t_window", "window", role="data", label="data")],
                  alt="Sample paths of the posterior over the last 24 data points; after training they "
                      "follow the points "
                      "closely."),
            Panel("The bound, per point", Axis("training step"), Axis("nats per point", low=-4, high=1),
                  [Line("history.step", "history.elbo", role="test", label="ELBO"),
                   Line("history.step", "history.fit", role="train", label="log likelihood term"),
                   Line("history.step", "history.kl", role="ode", label="KL")],
                  alt="Evidence lower bound, log likelihood and KL per data point over training steps; the "
                      "bound rises.")])
