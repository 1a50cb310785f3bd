"""Asking for a digit: the reverse SDE with the gradient of a noise-aware classifier (Song et al. 2021, Sec. 5).

    dx = [a x - g^2 (score + w grad_x log p(y | x, t))] dt + g dw,  backwards in time

w = 1 is the conditional law, if score and classifier are exact; larger w asks for pictures that are easier to
tell.
"""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.autodiff import loop, value_and_grad
from nde_lab.data import load_digits
from nde_lab.diffusion.score_sde.digits.classifier import guide_logits, judge_logits
from nde_lab.diffusion.score_sde.digits.network import PROCESS, Basis, network, noise_prediction, training_basis
from nde_lab.diffusion.score_sde.digits.tiles import pixels_shown, places, side_by_side, tile_panel
from nde_lab.diffusion.score_sde.digits.training import DigitsStudy, tiles_view
from nde_lab.diffusion.score_sde.digits.weights import restored, stored
from nde_lab.diffusion.score_sde.imputation import reverse_step
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, Rule, View

PAPER = "score-sde"
NET = network(DigitsStudy.width, DigitsStudy.depth)


def score_of(params: dict[str, Tensor], basis: Basis):
    """score(t, u) of trained weights."""
    def of(t, u):
        return -noise_prediction(lambda *i: NET.apply(params, *i), basis, PROCESS, t, u) / PROCESS.std(t)
    return of


def guided(score, logits, hot: Tensor, strength):
    """score(t, u) + strength x gradient of log p(y | u, t). logits(t, u) -> (B, K); hot: (K,) or (B, K), 1 at
    y."""
    def of(t, u):
        def said(p):
            return (torch.log_softmax(logits(t, p["u"]), -1) * hot).sum()
        _, grads = value_and_grad(said, {"u": u})
        return score(t, u) + strength * grads["u"]
    return of


def denoised(score, t, u: Tensor) -> Tensor:
    """What u will probably become: the mean of the data given u (Tweedie), (u + s^2 score) / m."""
    s = PROCESS.std(t)
    return (u + s * s * score(t, u)) / PROCESS.mean(t)


def one_hot(digit, like: Tensor) -> Tensor:
    """(10,): 1 at the digit, a number or a 0-d tensor."""
    return (torch.arange(10, device=like.device) == torch.round(torch.as_tensor(digit))).to(like.dtype)


def sample_class(score, logits, digit, strength, start: Tensor, z: Tensor, times: Tensor) -> Tensor:
    """Samples of one digit by the guided reverse SDE. start (B, 64); z (n, B, 64); times (n + 1,). -> (B,
    64)."""
    drift = guided(score, logits, one_hot(digit, start), strength)
    times = times.to(start.dtype)
    last = (torch.arange(1, len(times)) == len(times) - 1).to(start.dtype)

    def body(u, turn):
        t, after, end, noise = turn
        return reverse_step(PROCESS, drift, t, after, u, noise, last=end), None
    return loop(body, start, (times[:-1], times[1:], last, z))[0]


def class_spread() -> Tensor:
    """Of the training pictures of each digit: root of the mean variance of a pixel, in u; (10,)."""
    train, _ = load_digits()
    u = training_basis().centred(train.pixels)
    return torch.stack([u[train.labels == k].var(0, correction=0).mean().sqrt() for k in range(10)])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class DigitsGuided:
    """From noise to 64 pictures of a digit: a step of the run is a step of the guided reverse SDE. The score
    and both classifiers are trained beforehand; their weights come with the package."""
    steps: int = knob(60, choices=(20, 60), label="sampler steps N")
    live = {"digit": Knob(3, low=0, high=9, label="digit y"),
            "strength": Knob(2.0, low=0.0, high=10.0, label="guidance strength w", help="0: any digit")}
    shown = 64

    @property
    def plan(self):
        return Plan(self.steps, every=2, advice="lower the strength, or take more steps")

    def data(self):
        basis = training_basis()
        return stored() | {"mean": basis.mean, "axes": basis.axes, "stds": basis.stds, "spread": class_spread(),
                           "times": PROCESS.times(self.steps, power=2.0).float(), "places": places(8, 8),
                           "side": side_by_side(8)}

    def draws(self):
        shape = (self.shown, 64)
        return Draws(start={"u": Normal(shape)}, step={"z": Normal(shape)})

    def init(self, data, start, live):
        return {"u": start["u"], "k": torch.zeros(())}

    def step(self, data, state, noise, live):
        basis, k = Basis(data["mean"], data["axes"], data["stds"]), state["k"]
        score, guide, judge = (restored(data, p) for p in ("net.", "guide.", "judge."))
        score, hot = score_of(score, basis), one_hot(live["digit"], state["u"])
        t, after = (data["times"][(k + i).clamp(max=self.steps).long().reshape(1)][0] for i in (0, 1))
        drift = guided(score, lambda t, u: guide_logits(guide, t, u, basis), hot, live["strength"])
        last = (k >= self.steps - 1).to(t.dtype)
        u = reverse_step(PROCESS, drift, t, after, state["u"], noise["z"], last=last)
        ahead = denoised(score, after, u)
        said = torch.softmax(judge_logits(judge, ahead), -1)
        spread = (ahead - ahead.mean(0)).square().mean().sqrt() / (data["spread"] * hot).sum()
        return {"u": u, "k": k + 1}, {"t": after, "asked": (said * hot).sum(-1).mean(), "variety": spread,
                                      "ok": torch.isfinite(u).all()}

    def observe(self, data, state, noise, live):
        basis = Basis(data["mean"], data["axes"], data["stds"])
        return {"samples": tile_panel(pixels_shown(basis, state["u"]), data["places"]),
                "across": data["side"], "up": data["side"]}

    def view(self):
        return View([
            tiles_view("64 pictures on their way from noise", "samples", "across", "up",
                       "An 8 by 8 grid of pictures. At first all is noise; in the last third of the steps "
                       "digits "
                       "appear, of one kind if guidance is on, of all kinds if it is off."),
            Panel("What they are becoming", Axis("sampler step", low=0, high=self.steps),
                  Axis("share", low=0, high=1.6),
                  [Line("history.step", "history.asked", role="sde", label="judge: it is y"),
                   Line("history.step", "history.variety", role="accent", label="variety"),
                   Rule(1.0, label="variety of real pictures of y")],
                  alt="Over the sampler's steps: the probability that an independent classifier gives the "
                      "wanted "
                      "digit, and how much the 64 pictures differ, relative to real pictures of that digit. "
                      "With "
                      "guidance the first rises towards 1; with strong guidance the second ends "
                      "well below 1.")])
