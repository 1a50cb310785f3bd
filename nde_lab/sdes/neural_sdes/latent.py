"""A latent SDE fitted to one noisy path whose exact posterior is known: the experiment behind the first figure.

Li, Wong, Chen, Duvenaud, "Scalable Gradients for Stochastic Differential Equations", AISTATS 2020, arXiv
2001.01328, section 5: prior dz = h dt + sigma dW, posterior dz = (h + sigma u) dt + sigma dW with the same
sigma, and

    ELBO = E[sum_i log p(x_i | z(t_i))] - E int u^2 / 2 dt - KL(q(z_0) || p(z_0)).
"""
from __future__ import annotations

import functools
from dataclasses import dataclass

import torch

from nde_lab import autodiff, nets, optimizers
from nde_lab.autodiff import loop
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.sdes.neural_sdes import gauss
from nde_lab.views import Axis, Band, Line, Panel, Paths, Points, View

PAPER = "on-neural-differential-equations"
RATES = (1.0, 4.0, 12.0, 36.0)       # per time: how fast each of the encoder's four averages forgets


def encode(x, w, *, dt: float):
    """What lies ahead: for each step k = 0 .. n - 1 eight numbers, averages of the data still to come and of
    how many are seen, each forgetting at one of RATES. x, w (n,) -> (n, 8). A linear recurrent network that
    reads backwards."""
    keep = torch.exp(-dt * torch.tensor(RATES, dtype=x.dtype))

    def back(carry, now):
        c = keep * carry + (1 - keep) * now
        return c, c

    ahead = torch.stack([x * w, w], -1)[:, :, None].expand(-1, 2, len(RATES))
    _, c = loop(back, torch.zeros_like(ahead[0]), ahead.flip(0))
    return c.flip(0).reshape(len(x), -1)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class LatentOU:
    """Sixty noisy points of an Ornstein-Uhlenbeck path; prior: that process; posterior: a drift that sees the
    data.

    Prior dz = -a z dt + sigma dW (a = sigma = 1, stationary start). Posterior drift -a z + sigma u with u a
    network of z and of averages of the data still to come (``encode``); q(z_0) normal. One step is one Adam
    step on ``batch`` paths of 60 Euler steps of 0.05. ``gap``: the data of the middle are hidden. The path is
    drawn anew per seed.
    """
    steps: int = knob(300, low=20, high=2000, label="training steps")
    live = {"s": Knob(0.5, low=0.2, high=1.0, label="observation noise s"),
            "beta": Knob(1.0, low=0.0, high=10.0, label="KL weight β", help="1 is the true bound"),
            "gap": Knob(0.8, low=0.0, high=1.6, label="hidden gap", unit="time"),
            "lr": Knob(2e-2, low=1e-4, high=1e-1, scale="log", label="learning rate")}
    n, dt, a, sigma, batch, shown, every = 60, 0.05, 1.0, 1.0, 24, 40, 4

    @property
    def plan(self):
        return Plan(self.steps, every=self.every, advice="lower the learning rate")

    @functools.cached_property
    def net(self):
        """u(z, what lies ahead); its last layer starts at zero, so that training starts from the prior."""
        module = nets.mlp([1 + 2 * len(RATES), 32, 32, 1])
        return nets.functional(module, prefix="u.",
                               init={"4.weight": torch.zeros(1, 32), "4.bias": torch.zeros(1)})

    def data(self):
        return {"t": torch.arange(self.n + 1) * self.dt}

    def draws(self):
        return Draws(start={"z0": Normal((1,)), "path": Normal((self.n,)),
                            "eps": Normal((self.n,))} | self.net.draws,
                     step={"z0": Normal((self.batch, 1)), "xi": Normal((self.n, self.batch, 1))},
                     observe={"z0": Normal((self.shown, 1)), "xi": Normal((self.n, self.shown, 1))})

    @property
    def p0(self) -> float:
        """Variance of z_0: the stationary one."""
        return self.sigma**2 / (2 * self.a)

    def chain(self, *, exact: bool = False):
        """(alpha, v) of one step: Euler's, or exact."""
        return gauss.ou_chain(a=torch.tensor(self.a), sigma=torch.tensor(self.sigma), dt=self.dt, exact=exact)

    def init(self, data, start, live):
        alpha, v = self.chain(exact=True)

        def move(z, xi):
            z = alpha * z + v.sqrt() * xi
            return z, z

        _, z = loop(move, self.p0**0.5 * start["z0"][0], start["path"])
        params = self.net.init(start) | {"q.mean": torch.zeros(()),
                                         "q.log_sd": torch.log(torch.tensor(self.p0)) / 2}
        return params | optimizers.adam_state(params) | {"truth": z, "eps": start["eps"]}

    def seen(self, data, state, live):
        """The data: values x (n,) and w (n,), 1 where seen, 0 in the gap."""
        middle = 0.5 * self.n * self.dt
        w = ((data["t"][1:] - middle).abs() >= live["gap"] / 2).to(data["t"].dtype)
        return state["truth"] + live["s"] * state["eps"], w

    def posterior(self, params, c, z0, xi):
        """Posterior paths (n + 1, B, 1), their path KL (B, 1), and int u dW (B, 1), whose mean is 0. c (n,
        8)."""
        z = params["q.mean"] + torch.exp(params["q.log_sd"]) * z0
        root = self.dt**0.5

        def euler(carry, now):
            z, kl, m = carry
            xi, ck = now
            u = self.net.apply(params, torch.cat([z, ck.expand(len(z), -1)], -1))
            new = z + (-self.a * z + self.sigma * u) * self.dt + self.sigma * root * xi
            return (new, kl + 0.5 * u**2 * self.dt, m + u * root * xi), new

        (_, kl, m), zs = loop(euler, (z, torch.zeros_like(z), torch.zeros_like(z)), (xi, c))
        return torch.cat([z[None], zs]), kl, m

    def start_kl(self, params):
        """KL(q(z_0) || p(z_0)) of two normals."""
        ratio = torch.exp(2 * params["q.log_sd"]) / self.p0
        return 0.5 * (ratio + params["q.mean"] ** 2 / self.p0 - 1 - torch.log(ratio))

    def bound(self, params, x, w, noise, live):
        """(log likelihood, KL, int u dW), each a mean over paths."""
        zs, kl, m = self.posterior(params, encode(x, w, dt=self.dt), noise["z0"], noise["xi"])
        fit = (w * gauss.log_normal(x, zs[1:, :, 0].T, live["s"])).sum(-1)
        return fit.mean(), kl.mean() + self.start_kl(params), m.mean()

    def names(self):
        return (*self.net.draws, *self.net.fixed, "q.mean", "q.log_sd")

    def step(self, data, state, noise, live):
        x, w = self.seen(data, state, live)

        def loss(params):
            fit, kl, m = self.bound(params, x, w, noise, live)
            return live["beta"] * kl - fit, (fit, kl, m)

        params = {n: state[n] for n in self.names()}
        (_, (fit, kl, m)), grads = autodiff.value_and_grad(loss, params, has_aux=True)
        grads, _ = optimizers.clip_by_norm(grads, 50.0)
        params, adam = optimizers.adam(params, grads, state, lr=live["lr"])
        alpha, v = self.chain()
        told = gauss.future(x, w, alpha=alpha, v=v, s=live["s"])
        # int u dW has mean 0; taking it off leaves the mean of the bound and removes most of its scatter.
        elbo = fit - kl - m
        ok = torch.isfinite(torch.stack([p.square().sum() for p in params.values()]).sum())
        return params | adam | {"truth": state["truth"], "eps": state["eps"]}, {
            "elbo": elbo, "kl": kl, "evidence": gauss.evidence(told, p0=self.p0),
            "best": gauss.best_bound(told, p0=self.p0), "ok": ok}

    def observe(self, data, state, noise, live):
        x, w = self.seen(data, state, live)
        params = {n: state[n] for n in self.names()}
        zs, _, _ = self.posterior(params, encode(x, w, dt=self.dt), noise["z0"], noise["xi"])
        alpha, v = self.chain(exact=True)
        told = gauss.future(x, w, alpha=alpha, v=v, s=live["s"])
        mean, sd = gauss.smoothed(x, w, told, alpha=alpha, v=v, s=live["s"], p0=self.p0)
        # A hidden point is drawn at the nearest seen one of its half, so that shapes stay fixed.
        half = len(w) // 2
        index = torch.arange(len(w))
        last = ((w[:half] > 0).sum() - 1).clamp(min=0)
        first = len(w) - (w[half:] > 0).sum()
        at = torch.where(w > 0, index, torch.where(index < half, last, first).clamp(max=len(w) - 1))
        return {"t": data["t"], "paths": zs[:, :, 0].T, "mean": mean,
                "low": mean - 1.96 * sd, "high": mean + 1.96 * sd,
                "dot_t": data["t"][1:][at], "dot": x[at]}

    def view(self):
        return View([
            Panel("Posterior paths of the latent SDE", Axis("time t", low=0, high=3), Axis("latent state z(t)"),
                  [Band("t", "low", "high", role="truth", label="exact 95 % band"),
                   Paths("t", "paths", role="sde", label=f"{self.shown} posterior paths"),
                   Points("dot_t", "dot", role="data", label="data"),
                   Line("t", "mean", role="truth", label="exact mean")],
                  alt="Noisy points along a wandering path with a gap in the middle, and forty sample paths "
                      "of the "
                      "trained posterior. The paths fill the exact 95 per cent band: narrow where there are "
                      "points, "
                      "wide in the gap."),
            Panel("The bound climbs to the evidence", Axis("training step"), Axis("nats"),
                  [Line("history.step", "history.elbo", role="sde", label="ELBO (24 paths)"),
                   Line("history.step", "history.evidence", role="truth", label="exact log p(data)"),
                   Line("history.step", "history.best", role="ode", label="best ELBO of steps 0.05")],
                  alt="The evidence lower bound over training steps. It starts far below, rises steeply, and "
                      "stays "
                      "just under the dotted exact log evidence, at the dashed level that steps of 0.05 "
                      "allow.")])
