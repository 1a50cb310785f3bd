"""Kernel flow on handwritten digits: regression to the labels, and when to stop if some labels are wrong."""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.data import load_digits
from nde_lab.dynamics.neural_tangent_kernel.flow import KernelFlow
from nde_lab.dynamics.neural_tangent_kernel.limit import kernels
from nde_lab.random import Permutation, sample
from nde_lab.views import Axis, Line, Panel, View

TIMES = torch.logspace(0, 7, 57, dtype=torch.float64)


@dataclass(frozen=True)
class NoisyDigits:
    """Pixels x (n, 64) with labels y (n,) of +1 (the digit is 5 or more) and -1, some flipped; test pixels and
    clean
    labels."""
    x: Tensor
    y: Tensor
    test_x: Tensor
    test_y: Tensor


def noisy_digits(n: int = 400, *, flipped: float = 0.3, seed: int = 0) -> NoisyDigits:
    """``n`` training pictures, a share ``flipped`` of whose labels is wrong. ValueError outside 0 <= flipped <
    0.5."""
    if not 0 <= flipped < 0.5:
        raise ValueError(f"the share of flipped labels lies between 0 and 0.5, got {flipped!r}")
    train, test = load_digits(seed=seed)
    sign = lambda digits: torch.where(digits.labels >= 5, 1.0, -1.0).double()  # noqa: E731
    y = sign(train)[:n].clone()
    wrong = sample({"order": Permutation(n)}, seed=seed, stream="flips")["order"][: round(flipped * n)]
    y[wrong] *= -1
    return NoisyDigits(train.pixels[:n].double(), y, test.pixels.double(), sign(test))


def stopping_curve(data: NoisyDigits, *, depth: int = 3, beta: float = 0.1, on: str = "test") -> tuple[Tensor, Tensor]:
    """(times, mean squared error) of the mean of the limit, from f = 0: on "test", or on the (noisy) "train"
    labels.
    The last time is infinity."""
    Kx, y = (None, data.y) if on == "train" else (kernels(data.test_x, data.x, depth=depth, beta=beta)[1], data.test_y)
    flow = KernelFlow(kernels(data.x, depth=depth, beta=beta)[1], data.y)
    times = [*map(float, TIMES), math.inf]
    return torch.tensor(times, dtype=torch.float64), torch.stack([(flow.at(t, Kx) - y).square().mean() for t in times])


def accuracy(n: int = 1000, *, depth: int = 3, beta: float = 0.1, seed: int = 0) -> float:
    """Share of the 397 test digits that kernel regression names rightly, from ``n`` pictures: ten tasks,
    one-hot less
    1/10, at the end of time."""
    train, test = load_digits(seed=seed)
    x, y = train.pixels[:n].double(), torch.eye(10, dtype=torch.float64)[train.labels[:n]] - 0.1
    flow = KernelFlow(kernels(x, depth=depth, beta=beta)[1], y)
    said = flow.limit(kernels(test.pixels.double(), x, depth=depth, beta=beta)[1]).argmax(1)
    return float((said == test.labels).double().mean())


def stopping_view() -> View:
    return View([Panel("When to stop", Axis("time of the kernel flow", scale="log"), Axis("mean squared "
                                                                             "error", low=0),
                       [Line("t", "train", role="train", label="training labels, 30 % of them wrong"),
                        Line("t", "test", role="test", label="test digits, right labels")],
                       alt="Mean squared error over the time of the kernel flow, time axis logarithmic. The "
                           "error on "
                           "the training labels falls to zero. On test digits it falls, is smallest at a time "
                           "of some "
                           "thousands, and rises again.")], columns=1)


def stopping_picture(data: NoisyDigits):
    """Both errors over the time of the flow, with alternative text, for a notebook."""
    from nde_lab.dynamics.scaling_laws_grokking.picture import Picture
    from nde_lab.experiment import Frame, Status
    arrays = {"t": TIMES.numpy()} | {on: stopping_curve(data, on=on)[1][:-1].numpy() for on in ("train", "test")}
    return Picture(stopping_view(), Frame(0, {}, arrays, Status("finished", "finished", 0), {}, 0))
