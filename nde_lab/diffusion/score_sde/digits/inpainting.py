"""Half a digit is known: eight pictures, six completions of each, by imputation along the reverse SDE."""
from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.data import load_digits
from nde_lab.diffusion.score_sde.digits.classifier import judge_logits
from nde_lab.diffusion.score_sde.digits.guidance import denoised, score_of
from nde_lab.diffusion.score_sde.digits.network import PROCESS, Basis, training_basis
from nde_lab.diffusion.score_sde.digits.tiles import pixels_shown, places, side_by_side, tile_panel
from nde_lab.diffusion.score_sde.digits.training import tiles_view
from nde_lab.diffusion.score_sde.digits.weights import restored, stored
from nde_lab.diffusion.score_sde.imputation import inpaint_step
from nde_lab.experiment import Draws, Knob, Plan, experiment, knob
from nde_lab.random import Normal
from nde_lab.views import Axis, Line, Panel, View

PAPER = "score-sde"
SIDES = ("upper", "lower", "left")
COLUMNS, COPIES = 8, 6
HIDDEN = 0.5              # grey of an unknown pixel


def order(side: str) -> Tensor:
    """How far each of the 64 pixels is from that side: 0 for the first row or column, 7 for the last. (64,)."""
    if side not in SIDES:
        raise ValueError(f"side is one of {', '.join(SIDES)}, got {side!r}")
    rows, columns = torch.arange(8.0)[:, None].expand(8, 8), torch.arange(8.0)[None].expand(8, 8)
    return {"upper": rows, "lower": 7 - rows, "left": columns}[side].reshape(-1).contiguous()


def eight(pixels: Tensor, labels: Tensor) -> Tensor:
    """Where the first pictures of the digits 0, 2, 3, 4, 5, 6, 7, 9 stand: eight that halves can confuse."""
    return torch.stack([(labels == k).nonzero()[0, 0] for k in (0, 2, 3, 4, 5, 6, 7, 9)])


@experiment(paper=PAPER)
@dataclass(frozen=True)
class DigitsInpaint:
    """Eight test pictures, of which some rows (or columns) are known; six completions of each. A step of the
    run is a step of the reverse SDE; ``passes`` says how often each is taken back and repeated."""
    side: str = knob("upper", choices=SIDES, label="known side")
    passes: int = knob(1, choices=(1, 4), label="passes per step")
    live = {"rows": Knob(4, low=0, high=8, label="rows or columns known")}
    steps = 50

    @property
    def plan(self):
        return Plan(self.steps, every=2, advice="take more passes")

    def data(self):
        basis, (_, test) = training_basis(), load_digits()
        test = test.take(eight(test.pixels, test.labels))
        hot = (test.labels[:, None] == torch.arange(10)).float()
        return {n: v for n, v in stored().items() if "guide." not in n} | {
            "mean": basis.mean, "axes": basis.axes, "stds": basis.stds, "pixels": test.pixels,
            "hot": hot.repeat(COPIES, 1), "order": order(self.side),
            "times": PROCESS.times(self.steps, power=2.0).float(), "places": places(2 + COPIES, COLUMNS),
            "side": side_by_side(COLUMNS)}

    def draws(self):
        shape = (COPIES * COLUMNS, 64)
        return Draws(start={"u": Normal(shape)},
                     step={n: Normal((self.passes, *shape)) for n in ("known", "step", "again")})

    def init(self, data, start, live):
        return {"u": start["u"], "k": torch.zeros(())}

    def step(self, data, state, noise, live):
        basis, k = Basis(data["mean"], data["axes"], data["stds"]), state["k"]
        score, judge = score_of(restored(data, "net."), basis), restored(data, "judge.")
        mask = (data["order"] < live["rows"]).to(k.dtype)
        known = basis.centred(data["pixels"]).repeat(COPIES, 1)
        t, after = (data["times"][(k + i).clamp(max=self.steps).long().reshape(1)][0] for i in (0, 1))
        last = (k >= self.steps - 1).to(t.dtype)
        u = inpaint_step(PROCESS, score, t, after, state["u"], known, mask, noise, last=last)
        ahead = mask * known + (1 - mask) * denoised(score, after, u)
        said = (torch.softmax(judge_logits(judge, ahead), -1) * data["hot"]).sum(-1).mean()
        # Of the copies of one picture: how much they differ, per unknown pixel.
        copies = ahead.reshape(COPIES, COLUMNS, 64)
        differ = (copies - copies.mean(0)).square().sum() / (COPIES - 1) / COLUMNS / ((1 - mask).sum() + 1e-6)
        return {"u": u, "k": k + 1}, {"t": after, "same": said, "differ": torch.sqrt(differ),
                                      "ok": torch.isfinite(u).all()}

    def observe(self, data, state, noise, live):
        basis = Basis(data["mean"], data["axes"], data["stds"])
        mask, real = (data["order"] < live["rows"]).to(data["pixels"].dtype), data["pixels"]
        known = real.repeat(COPIES, 1)
        made = mask * known + (1 - mask) * pixels_shown(basis, state["u"])
        seen = mask * real + (1 - mask) * HIDDEN
        return {"tiles": tile_panel(torch.cat([real, seen, made]), data["places"]),
                "across": data["side"], "up": data["side"]}

    def view(self):
        return View([
            tiles_view("Whole, known, and six completions", "tiles", "across", "up",
                       "A grid with a digit in each of eight columns: the whole picture in the top row, what "
                       "is known "
                       "of it in the second (the rest grey), and below six completions. They keep the known "
                       "part; "
                       "some complete it to another digit."),
            Panel("What the completions become", Axis("sampler step", low=0, high=self.steps),
                  Axis("share; spread in u", low=0, high=1.2),
                  [Line("history.step", "history.same", role="sde", label="judge: the same digit"),
                   Line("history.step", "history.differ", role="accent", label="how far copies differ")],
                  alt="Over the sampler's steps: the probability that an independent classifier gives the "
                      "digit of "
                      "the whole picture, and the standard deviation of an unknown pixel among copies. The "
                      "more is "
                      "known, the higher the first and the lower the second.")])
