"""Learned scores: a small network trained by denoising score matching, and what two samplers make of it.

Check 4 of our notes on Song et al. (2021): one score, the reverse SDE beside the probability-flow ODE.
"""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab import autodiff, nets, optimizers
from nde_lab.diffusion.score_sde.matching import dsm_loss, early_times
from nde_lab.diffusion.score_sde.mixtures import Mixture
from nde_lab.diffusion.score_sde.processes import OU, VE, VP, Process, SubVP
from nde_lab.diffusion.score_sde.sampling import euler_sample
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal, Uniform, sample
from nde_lab.views import Axis, Line, Panel, Points, View

PAPER = "score-sde"
HERE: dict[str, Process] = {"VP": VP(), "sub-VP": SubVP(), "VE": VE(high=10.0), "OU": OU()}
END = {"VP": 1e-3, "sub-VP": 1e-3, "VE": 1e-4, "OU": 1e-3}
WIDTH = 0.08          # standard deviation of the kernel that draws samples as a density


def noise_prediction(apply, process: Process, t: Tensor, x: Tensor) -> Tensor:
    """epsilon(x, t) = s x / (m^2 + s^2) + m / sqrt(m^2 + s^2) net(4 x / sqrt(m^2 + s^2), t / T, log(s) / 3).

    The first term is exact for data N(0, I), the factor gives the rest unit size, and far out the score
    pulls back, whatever the network says (Karras et al. 2022, Sec. 5, in terms of the noise). Four times the
    place lets a small network bend more often. x: (B, D).
    """
    m, s = process.mean(t), process.std(t)
    size = torch.sqrt(m * m + s * s)
    clock = torch.ones_like(x[:, :1])
    inputs = torch.cat([4 * x / size, clock * (t / process.horizon), clock * (torch.log(s) / 3)], -1)
    return s * x / (size * size) + m / size * apply(inputs)


class ScoreLearner:
    """What the line and the ring share: data, network, training step, samples. Subclasses say ``mixture``."""
    live = {"lr": Knob(1e-2, low=1e-4, high=3e-2, scale="log", label="learning rate",
                       help="falls to 0 along a cosine"),
            "noise": Knob(1.0, low=0.0, high=1.0, label="sampler noise λ",
                          help="1: the reverse SDE, 0: the flow ODE")}
    batch, samples, width = 256, 500, 48

    @property
    def plan(self):
        return Plan(self.training, every=max(1, self.training // 30), advice="lower the learning rate")

    @property
    def model(self) -> Process:
        return HERE[self.process]

    @functools.cached_property
    def net(self):
        """inputs D + 2 -> width -> width -> D, silu."""
        d = self.mixture.means.shape[1]
        return nets.functional(nets.mlp([d + 2, self.width, self.width, d], act="silu"), prefix="net.")

    def data(self):
        times = self.model.times(self.steps, END[self.process]).float()
        d, n = self.mixture.means.shape[1], 256
        drawn = sample({"u": Uniform((n,)), "t": Uniform((n, 1)), "w": Normal((n, d)), "z": Normal((n, d))},
                       seed=0, stream="probe")
        t = early_times(drawn["t"], self.model, end=END[self.process], power=2.0)
        x = self.model.noised(t, self.mixture.draw(drawn["u"], drawn["w"]), drawn["z"])
        return {"means": self.mixture.means, "stds": self.mixture.stds, "weights": self.mixture.weights,
                "times": times, "probe_t": t, "probe_x": x}

    def draws(self):
        d, n = self.mixture.means.shape[1], self.batch
        return Draws(start=self.net.draws,
                     step={"u": Uniform((n,)), "w": Normal((n, d)), "t": Uniform((n, 1)), "z": Normal((n, d))},
                     observe={"start": Normal((self.samples, d)), "z": Normal((self.steps, self.samples, d))})

    def init(self, data, start, live):
        params = self.net.init(start)
        return params | optimizers.adam_state(params)

    def score(self, params):
        """score(t, x) of these parameters."""
        def of(t, x):
            return -noise_prediction(lambda i: self.net.apply(params, i), self.model, t, x) / self.model.std(t)
        return of

    def step(self, data, state, noise, live):
        target = Mixture(data["means"], data["stds"], data["weights"])
        batch = (self.model, target.draw(noise["u"], noise["w"]),
                 early_times(noise["t"], self.model, end=END[self.process], power=2.0), noise["z"])
        params = self.net.params(state)
        loss, grads = autodiff.value_and_grad(lambda p: dsm_loss(self.score(p), *batch), params)
        grads, _ = optimizers.clip_by_norm(grads, 10.0)
        done = (state["adam.count"] / self.training).clamp(max=1.0)
        rate = live["lr"] * 0.5 * (1 + torch.cos(math.pi * done))
        params, adam = optimizers.adam(params, grads, state, lr=rate)
        return params | adam, {
            "loss": loss, "floor": dsm_loss(target.score(self.model), *batch),
            "error": self._error(data, params),
            "ok": torch.isfinite(torch.stack([p.square().sum() for p in params.values()]).sum())}

    def _error(self, data, params) -> Tensor:
        """Mean of s^2 |score - exact score|^2 at 256 fixed times and places of the noised data, 0-d."""
        exact = Mixture(data["means"], data["stds"], data["weights"]).score(self.model)
        t, x = data["probe_t"], data["probe_x"]
        s = self.model.std(t)
        return (s * (self.score(params)(t, x) - exact(t, x))).square().sum(-1).mean()

    def sampled(self, data, state, noise, live) -> tuple[Tensor, Tensor]:
        """Samples (n, D) by the noisy sampler and by the flow, in equally many steps from one start."""
        score, n = self.score(self.net.params(state)), self.samples
        start = self.model.prior_std * noise["start"]
        level = torch.cat([live["noise"] * torch.ones_like(start[:, :1]), torch.zeros_like(start[:, :1])])
        x = euler_sample(self.model, score, torch.cat([start, start]), data["times"],
                         torch.cat([noise["z"], noise["z"]], 1), noise=level)        # both in one pass
        return x[:n], x[n:]

    def loss_panel(self) -> Panel:
        return Panel("Loss, and error of the score", Axis("training step"),
                     Axis("s² |difference|²", scale="log", low=1e-3, high=3),
                     [Line("history.step", "history.loss", role="train", label="loss of the network"),
                      Line("history.step", "history.floor", role="truth", label="loss of the exact score"),
                      Line("history.step", "history.error", role="accent", label="network minus exact score")],
                     alt="On a log axis over training steps: the training loss, the loss of the exact score on "
                         "the same batches, and the squared distance of the network from the exact score. The "
                         "two losses soon jitter together and do not fall; the distance falls on.")


@experiment(paper=PAPER)
@dataclass(frozen=True)
class ScoreLine(ScoreLearner):
    """Learn the score of three bumps on the line; samples by the reverse SDE and by the flow, as densities."""
    process: str = knob("VP", choices=tuple(HERE), label="process")
    steps: int = knob(100, choices=(20, 100), label="sampler steps N")
    training: int = knob(600, low=100, high=3000, label="training steps")
    mixture = Mixture.of([-1.6, 0.1, 1.6], [0.3, 0.25, 0.3], [0.3, 0.3, 0.4], dtype=torch.float32)

    def data(self):
        smooth = Mixture(self.mixture.means, torch.sqrt(self.mixture.stds**2 + WIDTH**2), self.mixture.weights)
        grid = torch.linspace(-3, 3, 121)
        return super().data() | {"grid": grid, "truth": smooth.log_density(grid[:, None]).exp()}

    def observe(self, data, state, noise, live):
        def density(x):
            kernel = torch.exp(-0.5 * ((data["grid"][:, None] - x[:, 0]) / WIDTH).square())
            return kernel.mean(1) / (WIDTH * math.sqrt(2 * math.pi))
        noisy, flow = self.sampled(data, state, noise, live)
        return {"grid": data["grid"], "truth": data["truth"], "sde": density(noisy), "ode": density(flow)}

    def view(self):
        return View([
            Panel(f"{self.samples} samples in {self.steps} steps, {self.process}", Axis("x", low=-3, high=3),
                  Axis("density", low=0, high=1.2),
                  [Line("grid", "sde", role="sde", label="noise λ (1: reverse SDE)"),
                   Line("grid", "ode", role="ode", label="flow ODE"),
                   Line("grid", "truth", role="truth", label="data")],
                  alt="Density of samples by the noisy sampler (solid) and by the flow (dashed), and of the "
                      "data (dotted, three bumps), all smoothed alike. Before training both samplers draw one "
                      "broad bump; with training they come near the dotted curve."),
            self.loss_panel()])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class ScoreRing(ScoreLearner):
    """Learn the score of five modes on a circle (radius 2, std 0.2); samples by reverse SDE and by the flow."""
    process: str = knob("VP", choices=tuple(HERE), label="process")
    steps: int = knob(100, choices=(20, 100), label="sampler steps N")
    training: int = knob(800, low=100, high=3000, label="training steps")
    mixture = Mixture.ring(dtype=torch.float32)
    samples, width = 400, 64

    def observe(self, data, state, noise, live):
        noisy, flow = self.sampled(data, state, noise, live)
        return {"sde_x": noisy[:, 0], "sde_y": noisy[:, 1], "ode_x": flow[:, 0], "ode_y": flow[:, 1],
                "mean_x": data["means"][:, 0], "mean_y": data["means"][:, 1]}

    def view(self):
        def cloud(title, name, role):
            return Panel(title, Axis("x₁", low=-3, high=3), Axis("x₂", low=-3, high=3),
                         [Points(f"{name}_x", f"{name}_y", role=role, label=f"{self.samples} samples"),
                          Points("mean_x", "mean_y", role="truth", label="centres of the data's modes")],
                         alt=f"{title}: points in the plane and five crosses on a circle of radius 2, the "
                             "centres of the data's modes. Before training the points form one round cloud; "
                             "with training they gather around the crosses.", equal=True)
        return View([cloud(f"Noise λ, {self.steps} steps", "sde", "sde"),
                     cloud(f"Flow ODE, {self.steps} steps", "ode", "ode"), self.loss_panel()])
