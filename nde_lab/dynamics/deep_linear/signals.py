"""What a stack of random matrices does to its inputs: orthogonal ones turn them, Gaussian ones flatten them.

Saxe, McClelland, Ganguli, arXiv 1312.6120, section 3. The draw is fixed; its pictures are computed in float64.
"""
from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch

from nde_lab.dynamics.deep_linear.network import random_orthogonal
from nde_lab.experiment import Knob, experiment
from nde_lab.figures import Figure
from nde_lab.random import Normal, sample
from nde_lab.views import Axis, Line, Panel, Points, View

PAPER = "deep-linear-exact-dynamics"
WIDTH, DEEPEST, MIDDLE = 32, 50, 16
KINDS = ("Gaussian", "orthogonal")
T64 = torch.float64


def layer(kind: str, width: int, *, seed: int, index: int) -> torch.Tensor:
    """Matrix ``index`` of a stack (width, width): entries of variance 1/width, or random orthogonal."""
    if kind not in KINDS:
        raise ValueError(f"a layer is Gaussian or orthogonal, got {kind!r}")
    if kind == "orthogonal":
        return random_orthogonal(width, seed=seed, name=f"layer {index}")
    name = f"layer {index}"
    return sample({name: Normal((width, width))}, seed=seed, stream="start", dtype=T64)[name] / math.sqrt(width)


def products(kind: str, *, width: int = WIDTH, depth: int = DEEPEST, seed: int = 0) -> list[torch.Tensor]:
    """The products of the first 0, 1, ..., depth matrices of a stack: depth + 1 matrices (width, width),
    float64."""
    found = [torch.eye(width, dtype=T64)]
    for index in range(depth):
        found.append(layer(kind, width, seed=seed, index=index) @ found[-1])
    return found


@functools.cache
def _spectra(kind: str) -> torch.Tensor:
    """Singular values of every product, (depth + 1, width); below 1e-16 of the largest they are rounding."""
    return torch.stack([torch.linalg.svdvals(P) for P in products(kind)]).float()


@experiment(paper=PAPER)
@dataclass(frozen=True)
class ProductSpectrum(Figure):
    """The product of N random 32 x 32 matrices, each times the gain g: all its stretches, and what
    becomes of a circle of inputs in the plane of the strongest and the middle direction."""
    live = {"N": Knob(10, low=1, high=DEEPEST, label="matrices N"),
            "g": Knob(1.0, low=0.9, high=1.1, label="gain g")}

    def data(self):
        angle = torch.linspace(0, 2 * math.pi, 97)
        circle = torch.stack([torch.cos(angle), torch.sin(angle)])
        return {kind: _spectra(kind) for kind in KINDS} | {
            "circle": circle, "rank": torch.arange(1.0, WIDTH + 1), "depth": torch.arange(float(DEEPEST + 1))}

    def observe(self, data, state, noise, live):
        pick = (data["depth"] == live["N"]).to(data["depth"].dtype)        # one-hot
        total = live["g"] ** live["N"]
        seen = {"rank": data["rank"], "circle_x": data["circle"][0], "circle_y": data["circle"][1]}
        for kind in KINDS:
            spectrum = (pick[:, None] * data[kind]).sum(0) * total
            # In the plane of two of its own directions a product is diagonal: the circle becomes an ellipse.
            seen |= {f"{kind}_s": spectrum.clamp(min=1e-10), f"{kind}_x": spectrum[0] * data["circle"][0],
                     f"{kind}_y": spectrum[MIDDLE - 1] * data["circle"][1]}
        return seen

    def view(self):
        return View([
            Panel("A circle of inputs, after N matrices", Axis("along the strongest direction"),
                  Axis("along the middle one (16th of 32)"),
                  [Line("circle_x", "circle_y", role="data", label="inputs"),
                   Line("orthogonal_x", "orthogonal_y", role="ode", label="orthogonal"),
                   Line("Gaussian_x", "Gaussian_y", role="test", label="Gaussian")], equal=True,
                  alt="The image of a circle. Orthogonal matrices leave it a circle, scaled by the gain; "
                      "Gaussian ones make it an ellipse that becomes thinner with every matrix, at last a "
                      "line."),
            Panel("Stretch of all 32 directions", Axis("direction, strongest first", low=0, high=33),
                  Axis("singular value of the product", scale="log", low=1e-8, high=1e3),
                  [Points("rank", "Gaussian_s", role="test", label="Gaussian"),
                   Points("rank", "orthogonal_s", role="ode", label="orthogonal")],
                  alt="Singular values of the product in falling order, axis logarithmic. The orthogonal ones "
                      "are all equal, a level line; the Gaussian ones fall over more decades the more matrices "
                      "there are, soon out of the picture.")])
