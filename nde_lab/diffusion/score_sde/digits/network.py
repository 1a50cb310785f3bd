"""The network for digits: a small residual MLP that learns only what a Gaussian fit of the data leaves over.

Pictures are centred and stretched: u = 4 (pixels - mean), so that a pixel's standard deviation is about 1. In
the directions of the data's covariance (its axes, with standard deviations c) the Gaussian fit has the noise
prediction s z / (m^2 c^2 + s^2), which is exact if the data are normal. The network adds to that, scaled in
each direction by what the fit leaves uncertain.
"""
from __future__ import annotations

import functools
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nde_lab.data import load_digits
from nde_lab.diffusion.score_sde.processes import VP, Process
from nde_lab.nets import Functional, functional

SCALE = 4.0            # of centred pixels
GAIN = 2.0             # of the network's inputs: it bends more often
FLOOR = 0.03           # least standard deviation of a direction; some corner pixels are always black
PROCESS = VP()
LOUD, QUIET = -2.0, 3.3        # log(m / s) between which it is trained: below is noise, above the data
FREQUENCIES = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, eq=False)
class Basis:
    """mean (64,): of the pixels in [0, 1]. axes (64, 64): a direction per column. stds (64,): of u along
    them."""
    mean: Tensor
    axes: Tensor
    stds: Tensor

    def centred(self, pixels: Tensor) -> Tensor:
        """Pixels in [0, 1] (..., 64) as the model's u."""
        return SCALE * (pixels - self.mean)

    def pixels(self, u: Tensor) -> Tensor:
        """Back; not clipped."""
        return u / SCALE + self.mean


@functools.cache
def training_basis() -> Basis:
    """Mean and directions of the 1400 training pictures, float32."""
    train, _ = load_digits()
    pixels = train.pixels.double()
    u = SCALE * (pixels - pixels.mean(0))
    values, axes = torch.linalg.eigh(u.T @ u / len(u))
    stds = values.clamp(min=0.0).sqrt().clamp(min=FLOOR)
    return Basis(pixels.mean(0).float(), axes.flip(1).float().contiguous(), stds.flip(0).float())


class DigitsNet(nn.Module):
    """64 -> width, ``depth`` - 1 residual layers, -> outputs; silu; every layer also sees waves of the
    clock."""

    def __init__(self, width: int, depth: int, outputs: int = 64):
        super().__init__()
        self.into = nn.Linear(64, width)
        self.clocks = nn.ModuleList(nn.Linear(2 * len(FREQUENCIES), width, bias=False) for _ in range(depth))
        self.hidden = nn.ModuleList(nn.Linear(width, width) for _ in range(depth - 1))
        self.out = nn.Linear(width, outputs)

    def forward(self, x: Tensor, clock: Tensor) -> Tensor:
        """x: (B, 64); clock: (B, 1). -> (B, outputs)."""
        waves = torch.cat([f(k * clock) for f in (torch.sin, torch.cos) for k in FREQUENCIES], -1)
        h = nn.functional.silu(self.into(x) + self.clocks[0](waves))
        for layer, tick in zip(self.hidden, self.clocks[1:], strict=True):
            h = h + nn.functional.silu(layer(h) + tick(waves))
        return self.out(h)


@functools.cache
def network(width: int, depth: int, outputs: int = 64, prefix: str = "net.") -> Functional:
    """``DigitsNet`` as pure functions."""
    return functional(DigitsNet(width, depth, outputs), prefix=prefix)


def _inputs(basis: Basis, process: Process, t, u: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Along the axes: u, its size under the Gaussian fit, what the network sees; and log(m / s), (B, 1)."""
    m, s = process.mean(t), process.std(t)
    z, size = u @ basis.axes, torch.sqrt((m * basis.stds)**2 + s * s)
    return z, size, GAIN * z / size, torch.ones_like(u[:, :1]) * process.half_log_snr(t)


def noise_prediction(apply, basis: Basis, process: Process, t, u: Tensor) -> Tensor:
    """epsilon(u, t) (B, 64): the Gaussian fit's, plus m c / size times the network, along the axes.

    Outside the noise levels of its training the network's clock stands still, and in louder noise its share
    fades: nothing is left there to tell apart.
    """
    z, size, seen, level = _inputs(basis, process, t, u)
    fade = torch.exp((level - LOUD).clamp(max=0.0))
    learned = fade * apply(seen, level.clamp(LOUD, QUIET) / 2)
    along = process.std(t) * z / (size * size) + process.mean(t) * basis.stds / size * learned
    return along @ basis.axes.T


def class_logits(apply, basis: Basis, process: Process, t, u: Tensor) -> Tensor:
    """Logits (B, 10) of p(digit | u, t), by a network that sees what ``noise_prediction``'s sees."""
    *_, seen, level = _inputs(basis, process, t, u)
    return apply(seen, level / 2)
