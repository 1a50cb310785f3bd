"""The three stable classes, the naive neural SDE beside them, and the classifier that reads one.

Two forms of each class. The *pure* forms (``LSDE``, ``LNSDE``, ``GSDE``, ``NaiveSDE``) take any functions and
are what the theory speaks about. The *runtime* form (``NeuralSDE``) is the network as it is trained, with its
clips (tanh on drift and diffusion); a clipped drift is bounded, so theorem-style contraction is tested on the
pure forms.

All are Ito SDEs with diagonal noise, and have ``f`` (drift), ``g`` (diffusion), ``noise_type`` and
``sde_type``, so the solvers of ``nde_lab.solvers`` and ``torchsde`` take them.

Source: Oh, Lim, Kim, "Stable Neural Stochastic Differential Equations in Analyzing Irregular Time Series
Data", ICLR 2024, arXiv 2402.14989.
"""
from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nde_lab.autodiff import loop
from nde_lab.nets import Activation, Functional, functional
from nde_lab.random import Uniform
from nde_lab.solvers import SDE

KINDS = ("naive", "LSDE", "LNSDE", "GSDE")


class _Diagonal:
    """Ito, one Brownian motion per coordinate: dz_i = f_i dt + g_i dW_i."""
    noise_type, sde_type = "diagonal", "ito"


@dataclass(frozen=True)
class NaiveSDE(_Diagonal):
    """dz = drift(t, z) dt + noise(t, z) dW with nothing asked of either function, (t, (B, d)) -> (B, d)."""
    drift: Callable[[Tensor, Tensor], Tensor]
    noise: Callable[[Tensor, Tensor], Tensor]

    def f(self, t, z):
        return self.drift(t, z)

    def g(self, t, z):
        return self.noise(t, z)


@dataclass(frozen=True)
class LSDE(_Diagonal):
    """Langevin type: dz = gamma(z) dt + sigma(t) dW. The drift knows no time, the noise no state.

    gamma: (B, d) -> (B, d); sigma: time -> a number, or (d,).
    """
    gamma: Callable[[Tensor], Tensor]
    sigma: Callable[[Tensor], Tensor]

    def f(self, t, z):
        return self.gamma(z)

    def g(self, t, z):
        return self.sigma(t) * torch.ones_like(z)


@dataclass(frozen=True)
class LNSDE(_Diagonal):
    """Linear noise: dz = gamma(t, z) dt + sigma(t) z dW. The noise multiplies z itself, not a path."""
    gamma: Callable[[Tensor, Tensor], Tensor]
    sigma: Callable[[Tensor], Tensor]

    def f(self, t, z):
        return self.gamma(t, z)

    def g(self, t, z):
        return self.sigma(t) * z


@dataclass(frozen=True)
class GSDE(_Diagonal):
    """Geometric: dz = z gamma(t, z) dt + z sigma(t) dW. Zero is absorbing, signs are kept (not by Euler)."""
    gamma: Callable[[Tensor, Tensor], Tensor]
    sigma: Callable[[Tensor], Tensor]

    def f(self, t, z):
        return z * self.gamma(t, z)

    def g(self, t, z):
        return self.sigma(t) * z

    def log_step(self, t, z, dt, dW):
        """One step of the Euler scheme for log|z|: z exp((gamma - sigma^2 / 2) dt + sigma dW).

        Keeps zero and every sign, and is exact where gamma and sigma are constant over the step. Plain Euler
        crosses zero with probability Phi(-(1 + gamma dt) / (sigma sqrt(dt))) a step.
        """
        sigma = self.sigma(t)
        return z * torch.exp((self.gamma(t, z) - sigma**2 / 2) * dt + sigma * dW)


class NeuralSDE(_Diagonal, nn.Module):
    """The trained form of one class: drift and diffusion networks of hidden size H with the official clips.

    kind: "naive", "LSDE", "LNSDE" or "GSDE". channels: size of the control path X(t). layers: depth n of the
    drift.

        drift   a = Lin(z) for LSDE, Lin(sin t, cos t, z) otherwise; b = Lin(X(t)); Lin([a, b]); n times
                (ReLU, Lin); GSDE multiplies by tanh z; tanh
        noise   LSDE, LNSDE, GSDE: Lin-ReLU-Lin-ReLU of (sin t, cos t), times z except in LSDE;
                naive: the same network fed (sin t, cos t, z). Scaled by sigmoid(theta), one learned
                number; tanh

    The control path enters the drift only. Without it (``control=False``) b is zero; every layer is still
    there, so the same seed starts both from the same numbers.
    """

    def __init__(self, kind: str, *, channels: int, hidden: int = 16, layers: int = 1, control: bool = True,
                 theta: float = 1.0):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"unknown class {kind!r} of neural SDE; known: {', '.join(KINDS)}")
        if min(channels, hidden, layers) < 1:
            raise ValueError(f"channels, hidden and layers must be at least 1, got {channels}, {hidden}, "
                             f"{layers}")
        self.kind, self.control = kind, control
        self.latent = nn.Linear(hidden + (0 if kind == "LSDE" else 2), hidden)
        self.path = nn.Linear(channels, hidden)
        self.mix = nn.Linear(2 * hidden, hidden)
        self.deep = nn.Sequential(*(layer for _ in range(layers) for layer in (Activation("relu"),
                                                                              nn.Linear(hidden, hidden))))
        self.noise = nn.Sequential(nn.Linear(2 + (hidden if kind == "naive" else 0), hidden),
                                   Activation("relu"), nn.Linear(hidden, hidden), Activation("relu"))
        self.theta = nn.Parameter(torch.tensor(float(theta)))

    def f(self, t: Tensor, z: Tensor, x: Tensor | None = None) -> Tensor:
        """Drift at time t (0-d), z (..., H), with the control path's value x (..., channels) -> (..., H)."""
        if self.control and x is None:
            raise ValueError("this drift has a control path: pass its value x, or build it with "
                             "control=False")
        a = self.latent(z if self.kind == "LSDE" else torch.cat([clock(t, z), z], dim=-1))
        b = self.path(x).expand_as(a) if self.control else torch.zeros_like(a)
        drift = self.deep(self.mix(torch.cat([a, b], dim=-1)))
        return torch.tanh(torch.tanh(z) * drift if self.kind == "GSDE" else drift)

    def driven(self, path: Callable[[Tensor], Tensor]) -> SDE:
        """The SDE with its control path filled in, t -> X(t) (B, channels), for ``sdeint`` and
        ``solve_sde``."""
        return SDE(lambda t, z: self.f(t, z, path(t)), self.g, noise_type="diagonal", sde_type="ito")

    def g(self, t: Tensor, z: Tensor) -> Tensor:
        """Diffusion at time t (0-d), z (..., H) -> (..., H), one entry per coordinate."""
        sigma = self.noise(torch.cat([clock(t, z), z], dim=-1) if self.kind == "naive" else clock(t, z))
        scaled = torch.sigmoid(self.theta) * sigma
        return torch.tanh(scaled * z if self.kind in ("LNSDE", "GSDE") else scaled)


def clock(t: Tensor, z: Tensor) -> Tensor:
    """(sin t, cos t) beside every row of z: (..., 2)."""
    return torch.stack([torch.sin(t), torch.cos(t)]).expand(*z.shape[:-1], 2)


class SDEClassifier(nn.Module):
    """Series -> class scores: z(0) = Lin(X(0)), the neural SDE by Euler-Maruyama, then Tanh-Lin-ReLU-Lin of
    z."""

    def __init__(self, sde: NeuralSDE, *, channels: int, classes: int, hidden: int = 16):
        super().__init__()
        self.sde = sde
        self.start = nn.Linear(channels, hidden)
        self.readout = nn.Sequential(Activation("tanh"), nn.Linear(hidden, hidden), Activation("relu"),
                                     nn.Linear(hidden, classes))

    def latent(self, ts: Tensor, xs: Tensor, dW: Tensor) -> Tensor:
        """All latent states. ts (L,) model times, xs (L, ..., channels) control path, dW (L-1, ..., H)
        Brownian increments of variance ts[k+1] - ts[k]; they broadcast. -> (L, ..., H)."""
        z0 = self.start(xs[0])
        z0 = z0 + torch.zeros_like(dW[0])

        def euler(z, now):
            t, dt, x, dw = now
            z = z + self.sde.f(t, z, x) * dt + self.sde.g(t, z) * dw
            return z, z

        _, zs = loop(euler, z0, (ts[:-1], ts[1:] - ts[:-1], xs[:-1], dW))
        return torch.cat([z0.unsqueeze(0), zs])

    def forward(self, ts: Tensor, xs: Tensor, dW: Tensor, pick: Tensor | None = None,
                every: bool = False) -> Tensor:
        """Scores (..., classes), read out at the last time, or, for series of unequal length, at time index
        ``pick`` (B,). With ``every``: (L, ..., classes), what the readout would say at each time."""
        zs = self.latent(ts, xs, dW)
        if every:
            return self.readout(zs)
        return self.readout(zs[-1] if pick is None else zs[pick, torch.arange(zs.shape[1], device=zs.device)])


def classifier(kind: str, *, channels: int, classes: int, hidden: int = 16, layers: int = 1,
               control: bool = True, theta: float = 1.0) -> Functional:
    """The classifier as pure functions: ``.draws``, ``.init(noise)``, ``.apply(params, ts, xs, dW)``. Keys
    "start.weight", "sde.latent.weight", ..., "sde.theta", "readout.1.weight", ...; the same for all four
    classes (only the shapes of the first layers differ).

    The drift's layers start with He's uniform weights, U(+-sqrt(6 / fan_in)), all others with PyTorch's
    default. (The paper's start is not known to us. With the default everywhere the drift is so small that
    some seeds are still guessing after 240 Adam steps.)
    """
    sde = NeuralSDE(kind, channels=channels, hidden=hidden, layers=layers, control=control)
    net = SDEClassifier(sde, channels=channels, classes=classes, hidden=hidden)
    start: dict = {"sde.theta": torch.tensor(float(theta))}
    for name, p in net.named_parameters():
        if name.startswith(("sde.latent", "sde.path", "sde.mix", "sde.deep")) and name.endswith("weight"):
            bound = math.sqrt(6 / p.shape[1])
            start[name] = Uniform(tuple(p.shape), -bound, bound)
    return functional(net, init=start)
