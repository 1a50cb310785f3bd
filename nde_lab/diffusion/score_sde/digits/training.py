"""The score of digits, learned live: samples beside the training pictures nearest to them, and both losses."""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab import autodiff, optimizers
from nde_lab.data import load_digits
from nde_lab.diffusion.dpm_solver import dpm_solve, lambda_times
from nde_lab.diffusion.score_sde.digits.network import (
    LOUD,
    PROCESS,
    QUIET,
    Basis,
    network,
    noise_prediction,
    training_basis,
)
from nde_lab.diffusion.score_sde.digits.tiles import pixels_shown, places, side_by_side, tile_panel
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Index, Normal, Uniform, sample
from nde_lab.views import Axis, HeatMap, Line, Panel, View

PAPER = "score-sde"
KEEP = 0.995                   # of the moving average of the weights, once it has warmed up


def training_times(u: Tensor, batch: int) -> Tensor:
    """``batch`` times (B, 1), one in each of as many equal parts of log(m / s); u: one uniform number, (1,)."""
    share = (torch.arange(batch, device=u.device, dtype=u.dtype) + u) / batch
    return PROCESS.time_at(LOUD + (QUIET - LOUD) * share)[:, None]


def sample_digits(noise, start: Tensor, steps: int = 12, times: Tensor | None = None) -> Tensor:
    """The flow by DPM-Solver-2 (two evaluations a step) from standard normal ``start`` (B, 64) -> u (B, 64)."""
    times = lambda_times(PROCESS, steps) if times is None else times
    return dpm_solve(noise, PROCESS, start, times, order=2)


@experiment(paper=PAPER)
@dataclass(frozen=True)
class DigitsScore:
    """Denoising score matching on 8 x 8 digits, VP; Adam with a cosine, moving average of the weights; the
    samples are the average's, by the flow in 24 evaluations. ``pictures``: how many the network may learn
    from."""
    pictures: int = knob(1400, choices=(40, 1400), label="training pictures")
    live = {"lr": Knob(5e-3, low=1e-4, high=5e-2, scale="log", label="learning rate",
                       help="falls to 0 along a cosine")}
    width, depth, batch, probes, shown, training = 96, 3, 128, 64, 64, 1000

    @property
    def plan(self):
        return Plan(self.training, every=max(1, self.training // 30), advice="lower the learning rate")

    @functools.cached_property
    def net(self):
        return network(self.width, self.depth)

    def data(self):
        train, test = load_digits()
        basis, n = training_basis(), self.probes
        drawn = sample({"u": Uniform((1,)), "z": Normal((n, 64))}, seed=0, stream="probe")
        return {"mean": basis.mean, "axes": basis.axes, "stds": basis.stds, "pixels": train.pixels,
                "probe_x": torch.cat([train.pixels[:min(n, self.pictures)].repeat(-(-n // self.pictures),
                1)[:n], test.pixels[:n]]),
                "probe_t": training_times(drawn["u"], n).repeat(2, 1), "probe_z": drawn["z"].repeat(2, 1),
                "times": lambda_times(PROCESS, 12).float(), "places": places(8, 8),
                "usable": (torch.arange(len(train)) < self.pictures).float(), "side": side_by_side(8)}

    def draws(self):
        n = self.batch
        return Draws(start=self.net.draws,
                     step={"index": Index((n,), self.pictures), "t": Uniform((1,)), "z": Normal((n, 64))},
                     observe={"start": Normal((self.shown, 64))})

    def init(self, data, start, live):
        params = self.net.init(start)
        return params | optimizers.adam_state(params) | {f"ema.{n}": p for n, p in params.items()}

    def noise(self, data, params):
        """epsilon(t, u) of these weights."""
        basis = Basis(data["mean"], data["axes"], data["stds"])
        return lambda t, u: noise_prediction(lambda *i: self.net.apply(params, *i), basis, PROCESS, t, u)

    def average(self, state) -> dict[str, Tensor]:
        """The moving average of the weights."""
        return {n: state[f"ema.{n}"] for n in self.net.params(state)}

    def errors(self, data, params, t, x, z) -> Tensor:
        """|epsilon - z|^2 of pictures x (B, 64) noised to times t (B, 1), (B,)."""
        u = Basis(data["mean"], data["axes"], data["stds"]).centred(x)
        return (self.noise(data, params)(t, PROCESS.noised(t, u, z)) - z).square().sum(-1)

    def step(self, data, state, noise, live):
        batch = training_times(noise["t"], self.batch), data["pixels"][noise["index"]], noise["z"]
        params, count = self.net.params(state), state["adam.count"]
        loss, grads = autodiff.value_and_grad(lambda p: self.errors(data, p, *batch).mean(), params)
        grads, _ = optimizers.clip_by_norm(grads, 50.0)
        rate = live["lr"] * 0.5 * (1 + torch.cos(math.pi * (count / self.training).clamp(max=1.0)))
        params, adam = optimizers.adam(params, grads, state, lr=rate * ((count + 1) / 50).clamp(max=1.0))
        keep = ((1 + count) / (10 + count)).clamp(max=KEEP)
        ema = {n: keep * state[f"ema.{n}"] + (1 - keep) * p for n, p in params.items()}
        probed = self.errors(data, ema, data["probe_t"], data["probe_x"], data["probe_z"])
        return params | adam | {f"ema.{n}": p for n, p in ema.items()}, {
            "loss": loss, "seen": probed[:self.probes].mean(), "unseen": probed[self.probes:].mean(),
            "ok": torch.isfinite(torch.stack([p.square().sum() for p in params.values()]).sum())}

    def observe(self, data, state, noise, live):
        u = sample_digits(self.noise(data, self.average(state)), noise["start"], times=data["times"])
        x = pixels_shown(Basis(data["mean"], data["axes"], data["stds"]), u)
        far = (data["pixels"].square().sum(-1) - 2 * x @ data["pixels"].T + 100 * (1 - data["usable"]))
        # One 1 in each row, where the distance is least: a matrix product then picks the picture.
        nearest = (far <= far.amin(1, keepdim=True)).to(far.dtype) @ data["pixels"]
        return {"samples": tile_panel(x, data["places"]), "nearest": tile_panel(nearest, data["places"]),
                "across": data["side"], "up": data["side"]}

    def view(self):
        return View([
            tiles_view("64 samples", "samples", "across", "up",
                       "An 8 by 8 grid of sampled pictures. Before training they are blurred blobs, samples "
                       "of a "
                       "Gaussian with the data's mean and covariance; after training most are digits."),
            tiles_view(f"The nearest of {self.pictures} training pictures", "nearest", "across", "up",
                       "For each sample the training picture closest to it. With 1400 pictures they differ in "
                       "many "
                       "pixels; with 40 they are the samples again."),
            Panel("Error of the noise prediction", Axis("training step"),
                  Axis("|ε − z|², 64 pixels", scale="log", low=8, high=400),
                  [Line("history.step", "history.seen", role="train", label="pictures seen"),
                   Line("history.step", "history.unseen", role="test", label="pictures not seen")],
                  alt="Mean squared error on 64 training pictures and on 64 others, over training. With 1400 "
                      "pictures both fall together; with 40 the error on unseen pictures soon rises.")])


def tiles_view(title: str, z: str, x: str, y: str, alt: str, low: float = 0.0, high: float = 1.0) -> Panel:
    """A panel that shows tiles of pictures."""
    return Panel(title, Axis(""), Axis(""), [HeatMap(z, x, y, label="ink", low=low, high=high)], alt=alt,
                 equal=True)


class DigitsStudy(DigitsScore):
    """The same with more weights and more steps, and few probes, which cost as much as they show: less than
    30 s of one core. Its weights come with the package."""
    width, depth, training, probes = 160, 3, 4500, 16
