"""An SDE-GAN small enough to train while you watch: a neural SDE makes paths, a neural CDE tells them from
real ones.

Kidger, Foster, Li, Oberhauser, Lyons, "Neural SDEs as Infinite-Dimensional GANs", ICML 2021, arXiv
2102.03657; weight clipping and reversible Heun: Kidger, Foster, Li, Lyons, "Efficient and Accurate Gradients
for Neural SDEs", NeurIPS 2021, arXiv 2105.13493, section 5.

    generator       X_0 = zeta(V),  dX = mu(t, X) dt + sigma(t, X) o dW,  Y = l(X)
    discriminator   H_0 = xi(Y_0),  dH = f(t, H) dt + g(t, H) o dY,       D(Y) = m . H_T
"""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import nn

from nde_lab import autodiff, nets, optimizers
from nde_lab.autodiff import loop
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.solvers import SDE, integrate
from nde_lab.views import Axis, Line, Panel, Paths, Rule, View

PAPER = "on-neural-differential-equations"


def driven(field, y0, times, controls):
    """All states (n + 1, B, d) of dy = f dt + g o dX on the grid ``times`` (n + 1,), by reversible Heun.

    field(t, y) -> (f (B, d), g (B, d)); controls (n, B, m): the increments of X, one for each coordinate (m =
    d) or one for all of them (m = 1). A Brownian X makes it an SDE, a path of data a controlled differential
    equation.
    """
    diagonal = controls.shape[-1] == y0.shape[-1] and y0.shape[-1] > 1

    def joint(t, y):
        f, g = field(t, y)
        return f, (g if diagonal else g.unsqueeze(-1))

    sde = SDE(lambda t, y: joint(t, y)[0], lambda t, y: joint(t, y)[1], joint=joint,
              noise_type="diagonal" if diagonal else "scalar", sde_type="stratonovich")
    return integrate(sde, y0, times, controls, method="reversible_heun")


class Field(nn.Module):
    """A drift and a diffusion of (t, y): two networks of one hidden LipSwish layer that end in tanh."""

    def __init__(self, size: int, width: int):
        super().__init__()
        self.drift = nets.mlp([1 + size, width, size], act="lipswish", final="tanh")
        self.noise = nets.mlp([1 + size, width, size], act="lipswish", final="tanh")

    def forward(self, t, y):
        ty = torch.cat([t.expand(*y.shape[:-1], 1), y], -1)
        return self.drift(ty), self.noise(ty)


class Generator(nn.Module):
    """Noise to paths. forward(times (n + 1,), V (B, initial), dW (n, B, size)) -> Y (n + 1, B)."""

    def __init__(self, size: int, width: int, initial: int = 3):
        super().__init__()
        self.start = nets.mlp([initial, width, size], act="lipswish")
        self.field = Field(size, width)
        self.readout = nn.Linear(size, 1)

    def forward(self, times, V, dW):
        return self.readout(driven(self.field, self.start(V), times, dW))[..., 0]


class Discriminator(nn.Module):
    """Paths to one number each. forward(times (n + 1,), Y (n + 1, B)) -> (B,). It looks at ``scale`` times
    Y."""

    def __init__(self, size: int, width: int, scale: float = 1.0):
        super().__init__()
        self.scale = scale
        self.start = nets.mlp([1, width, size], act="lipswish")
        self.field = Field(size, width)
        self.readout = nn.Linear(size, 1, bias=False)

    def forward(self, times, Y):
        Y = self.scale * Y[..., None]
        H = driven(self.field, self.start(Y[0]), times, Y[1:] - Y[:-1])
        return self.readout(H[-1])[..., 0]


def clip_weights(params):
    """Every weight matrix (out, in) clipped to +-1/in: with LipSwish the critic's networks are 1-Lipschitz."""
    return {n: p.clamp(-1 / p.shape[1], 1 / p.shape[1]) if p.dim() == 2 else p for n, p in params.items()}


@experiment(paper=PAPER)
@dataclass(frozen=True)
class SDEGAN:
    """Ornstein-Uhlenbeck paths from Y_0 ~ N(1, 0.25^2), dY = -a Y dt + sigma dW, T = 3, and a generator that
    has never seen the equation. One step moves both players once, against each other, on fresh batches."""
    steps: int = knob(3000, low=10, high=20000, label="training steps")
    live = {"lr_g": Knob(5e-4, low=1e-4, high=5e-2, scale="log", label="generator lr"),
            "lr_d": Knob(1e-2, low=1e-4, high=5e-2, scale="log", label="critic lr")}
    n, T, a, sigma, batch, shown = 16, 3.0, 1.0, 0.7, 64, 256
    size, width, critic_size, critic_width, scale = 6, 16, 6, 16, 4.0
    mean0, sd0, every, forget, betas = 1.0, 0.25, 20, 0.99, (0.0, 0.9)

    @property
    def plan(self):
        return Plan(self.steps, every=self.every, advice="lower both learning rates")

    @functools.cached_property
    def generator(self):
        return nets.functional(Generator(self.size, self.width), prefix="g.")

    @functools.cached_property
    def critic(self):
        return nets.functional(Discriminator(self.critic_size, self.critic_width, self.scale), prefix="d.")

    def data(self):
        return {"t": torch.linspace(0, self.T, self.n + 1)}

    def _noise(self, batch):
        root = math.sqrt(self.T / self.n)
        return {"V": Normal((batch, 3)), "dW": Normal((self.n, batch, self.size), scale=root)}

    def draws(self):
        real = {"y0": Normal((self.batch,), self.mean0, self.sd0), "xi": Normal((self.n, self.batch))}
        return Draws(start=self.generator.draws | self.critic.draws, step=self._noise(self.batch) | real,
                     observe=self._noise(self.shown) | {"y0": Normal((12,), self.mean0, self.sd0),
                                                        "xi": Normal((self.n, 12))})

    def real(self, y0, xi):
        """Exact OU paths (n + 1, B) from y0 (B,) and standard normals xi (n, B)."""
        alpha = math.exp(-self.a * self.T / self.n)
        sd = self.sigma * math.sqrt((1 - alpha**2) / (2 * self.a))

        def move(y, x):
            y = alpha * y + sd * x
            return y, y

        _, ys = loop(move, y0, xi)
        return torch.cat([y0[None], ys])

    def init(self, data, start, live):
        g, d = self.generator.init(start), clip_weights(self.critic.init(start))
        return (g | d | optimizers.adam_state(g, prefix="adam_g.") | optimizers.adam_state(d, prefix="adam_d.")
                | {f"mean.{n}": p for n, p in g.items()})

    def step(self, data, state, noise, live):
        t, real = data["t"], self.real(noise["y0"], noise["xi"])
        g, d = self.generator.params(state), self.critic.params(state)

        def score(params):
            fake = self.generator.apply(params, t, noise["V"], noise["dW"])
            both = self.critic.apply(params, t, torch.cat([real, fake], 1))
            return both[:self.batch].mean() - both[self.batch:].mean()

        value, grads = autodiff.value_and_grad(score, g | d)
        g, adam_g = optimizers.adam(g, {n: grads[n] for n in g}, state, lr=live["lr_g"], betas=self.betas,
                                    prefix="adam_g.")
        d, adam_d = optimizers.adam(d, {n: -grads[n] for n in d}, state, lr=live["lr_d"], betas=self.betas,
                                    prefix="adam_d.")
        d = clip_weights(d)
        mean = {f"mean.{n}": self.forget * state[f"mean.{n}"] + (1 - self.forget) * p for n, p in g.items()}
        ok = torch.isfinite(torch.stack([p.square().sum() for p in (g | d).values()]).sum())
        return g | d | adam_g | adam_d | mean, {"score": value, "ok": ok}

    def observe(self, data, state, noise, live):
        t = data["t"]
        g = {n: state[f"mean.{n}"] for n in self.generator.params(state)}
        fake = self.generator.apply(g, t, noise["V"], noise["dW"])
        mean = fake.mean(1)
        centred = fake - mean[:, None]
        var = centred.square().mean(1)
        half = len(t) // 2
        corr = (centred * centred[half]).mean(1) / (var * var[half]).sqrt()
        decay = torch.exp(-self.a * t)
        exact_mean, V = self.mean0 * decay, self.sigma**2 / (2 * self.a)
        exact_var = V + (self.sd0**2 - V) * decay**2
        lag = t - t[half]
        # cov(Y_s, Y_t) = e^{-a (t - s)} var(Y_s) for s < t.
        cov = torch.where(lag < 0, torch.exp(self.a * lag) * exact_var,
                          torch.exp(-self.a * lag) * exact_var[half])
        return {"t": t, "fake": fake[:, :12].T, "real": self.real(noise["y0"], noise["xi"]).T,
                "mean": mean, "sd": var.sqrt(), "corr": corr,
                "exact_mean": exact_mean, "exact_sd": exact_var.sqrt(),
                "exact_corr": cov / (exact_var * exact_var[half]).sqrt()}

    def view(self):
        time = Axis("time t", low=0, high=self.T)
        return View([
            Panel("Twelve real paths, twelve made ones", time, Axis("Y(t)", low=-2.5, high=2.5),
                  [Paths("t", "real", role="data", label="real"),
                   Paths("t", "fake", role="sde", label="generated")],
                  alt="Twelve real and twelve generated paths. They start near 1 and wander down towards 0. "
                      "Before "
                      "training the generated ones are nearly straight; afterwards they are as jagged as the "
                      "real ones."),
            Panel(f"Mean and spread of {self.shown} made paths", time, Axis("Y(t)", low=-0.5, high=1.5),
                  [Line("t", "mean", role="sde", label="mean"),
                   Line("t", "sd", role="accent", label="standard deviation"),
                   Line("t", "exact_mean", role="truth", label="exact"), Line("t", "exact_sd", role="truth")],
                  alt="Mean and standard deviation of generated paths over time, with the dotted exact ones: "
                      "the mean falls "
                      "from 1 to 0.05, the standard deviation rises from 0.25 to 0.49. After training they "
                      "nearly coincide."),
            Panel("Memory: correlation with the middle", time,
                  Axis("correlation of Y(t) and Y(T/2)", low=-0.2, high=1.05),
                  [Line("t", "corr", role="sde", label="generated"),
                   Line("t", "exact_corr", role="truth", label="exact")],
                  alt="Correlation of the path at each time with its value in the middle: a dotted tent for "
                      "the exact "
                      "process. The generated one stays above it on both sides: these paths remember too "
                      "long."),
            Panel("The critic's score", Axis("training step"), Axis("mean D(real) - mean D(made)"),
                  [Line("history.step", "history.score", role="train", label="score"),
                   Rule(0.0, label="no difference")],
                  alt="The critic's score over training steps: a high start, then a jitter about zero, to "
                      "both sides.")])
