"""Iterative proportional fitting by drift regression: learn the bridge from simulated paths, end by end.

A half step: simulate the present process from its own end, turn the paths round, and regress the increments on the
place where they begin. The regression is the drift of the reversed process; started from the *other* end it is
right there, and a little wrong at the first. And so on (Vargas et al. 2021, "Solving Schroedinger bridges via
maximum likelihood", with Gaussian processes; De Bortoli et al. 2021, "Diffusion Schroedinger bridge", networks).

One clock each: a drift learned from reversed paths counts time from the end that *its* paths start from.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab.bridges.multi_marginal.reference import Reference
from nde_lab.bridges.multi_marginal.static import simulate
from nde_lab.random import Normal, sample

Drift = Callable[[Tensor, object], Tensor]


def reversed_increments(path: Tensor, horizon: float) -> tuple[Tensor, Tensor, Tensor]:
    """path (K + 1, B, d) -> places (K, B, d), their times on the reversed clock (K,), increments / step."""
    turned = path.flip(0)
    step = horizon / (len(path) - 1)
    return turned[:-1], step * torch.arange(len(path) - 1, dtype=path.dtype), (turned[1:] - turned[:-1]) / step


@dataclass(frozen=True)
class PerTimeLinear:
    """Least squares on (1, x) at each time by itself: exact for normal laws, rigid for others."""

    def fit(self, x: Tensor, t: Tensor, y: Tensor, prior: Drift, reference: Reference) -> Drift:
        """x, y (K, B, d), t (K,); the prior is not needed. At time t the drift uses the nearest of the K fits."""
        middle, mean = x.mean(1, keepdim=True), y.mean(1, keepdim=True)
        off = x - middle
        slope = torch.linalg.solve(off.mT @ off, off.mT @ (y - mean))              # (K, d, d)
        step = reference.horizon / len(t)

        def drift(x, t):
            k = round(float(t) / step)
            return mean[k] + (x - middle[k]) @ slope[k]
        return drift


@dataclass(frozen=True)
class KernelDrift:
    """A Gaussian process over (x, t), posterior mean only, with Nystrom's approximation by ``centres`` points.

    Kernel exp(-|a - b| / length) times the variance 1 / dt, noise sigma^2 / dt, as in the official code of SBIRR;
    there the length is 1. prior: "reference" (its drift is the mean where no data are) or "zero". The time is
    stretched by ``clock`` before distances are taken.
    """
    centres: int = 150
    length: float = 4.0
    clock: float = 2.0
    prior: str = "reference"

    def __post_init__(self):
        if self.prior not in ("reference", "zero"):
            raise ValueError(f'the prior mean is "reference" or "zero", got {self.prior!r}')
        if not self.length > 0 or not self.clock > 0 or self.centres < 1:
            raise ValueError("length and clock must be above 0 and centres at least 1, got "
                             f"{self.length}, {self.clock} and {self.centres}")

    def fit(self, x: Tensor, t: Tensor, y: Tensor, prior: Drift, reference: Reference) -> Drift:
        mean = prior if self.prior == "reference" else (lambda x, t: torch.zeros_like(x))
        d = x.shape[-1]

        def placed(x, t):
            return torch.cat([x, (self.clock * t).expand(*x.shape[:-1], 1)], -1).reshape(-1, d + 1)

        def kernel(a, b):
            return torch.exp(-torch.cdist(a, b) / self.length)
        places = placed(x, t[:, None, None])
        rest = (y - mean(x, t[:, None, None])).reshape(-1, d)
        chosen = torch.linspace(0, len(places) - 1, self.centres, dtype=x.dtype).round().long()
        centres = places[chosen]
        cross, within = kernel(centres, places), kernel(centres, centres)
        jitter = 1e-8 * len(places) * torch.eye(self.centres, dtype=x.dtype)
        weights = torch.linalg.solve(cross @ cross.T + reference.sigma**2 * within + jitter, cross @ rest)

        def drift(x, t):
            return mean(x, t) + kernel(placed(x, torch.as_tensor(t, dtype=x.dtype)), centres) @ weights
        return drift


@dataclass(frozen=True, eq=False)
class Fitted:
    """forward, backward: drifts (x, t), each on its own clock. paths: of every half step, in forward time,
    (K + 1, B, d), beginning with the reference's and ending with a forward one."""
    forward: Drift
    backward: Drift
    paths: list[Tensor]


def ipf(x0: Tensor, x1: Tensor, reference: Reference, regressor, *, steps: int = 50, iterations: int = 5,
        seed: int = 0) -> Fitted:
    """IPF between two samples x0 (n, d) and x1 (m, d). An iteration is two half steps (backward, then forward).

    regressor: ``PerTimeLinear()``, ``KernelDrift(...)`` or anything with their ``fit``. Every time reversal of an
    Euler path adds an error of size horizon / steps, so more iterations ask for more steps. ValueError for bad
    shapes and counts, and when paths stop being finite.
    """
    if x0.dim() != 2 or x1.dim() != 2 or x0.shape[1] != x1.shape[1] or min(len(x0), len(x1)) < 2:
        raise ValueError(f"ipf needs samples (n, d) and (m, d), at least two each, got {tuple(x0.shape)} and "
                         f"{tuple(x1.shape)}")
    for name, value in (("steps", steps), ("iterations", iterations)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} is a whole number >= 1, got {value!r}")

    def walked(drift, x, half):
        z = sample({"z": Normal((steps, *x.shape))}, seed=seed, stream="ipf", step=half, dtype=x.dtype)["z"]
        path = simulate(drift, x, reference.sigma, z, reference.horizon)
        if not bool(torch.isfinite(path).all()):
            raise ValueError(f"paths of half step {half} are not finite; take more steps, or a regressor that "
                             "extrapolates less")
        return path

    def prior(sign):
        return lambda x, t: sign * reference.drift(x)
    forward = prior(1)
    paths = [walked(forward, x0, 0)]
    for k in range(iterations):
        backward = regressor.fit(*reversed_increments(paths[-1], reference.horizon), prior(-1), reference)
        paths.append(walked(backward, x1, 2 * k + 1).flip(0))
        forward = regressor.fit(*reversed_increments(paths[-1].flip(0), reference.horizon), prior(1), reference)
        paths.append(walked(forward, x0, 2 * k + 2))
    return Fitted(forward, backward, paths)
