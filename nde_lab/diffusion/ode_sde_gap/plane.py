"""The paper's two rings in the plane: data, networks for log p with their derivatives, and training.

Data set ``circles2`` of Deveney et al. (2023): radius N(0.65, 0.1^2) or N(1.4, 0.1^2), any angle, times 2. The
network has three hidden layers, as theirs, but of tanh units and on the stationary base -|x|^2 (see
``potential``; theirs are near-ReLU, and the samples are cut off at |x_i| = 4). Both samplers' laws are in
``plane_laws``, the distances in ``transport``, the table in ``plane_table``.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nde_lab import autodiff, optimizers
from nde_lab.diffusion.ode_sde_gap.potential import SOON
from nde_lab.diffusion.ode_sde_gap.process import OU
from nde_lab.random import Declaration, Index, Normal, Uniform

Tensors = dict[str, Tensor]
BOX, BATCH = 4.0, 512


@dataclass(frozen=True)
class Rings:
    """Two rings, equally likely: a point lies at the radius N(radii_k, std^2) and at any angle."""
    radii: tuple[float, float] = (1.3, 2.8)
    std: float = 0.2

    def sample(self, which: Tensor, z: Tensor, turn: Tensor) -> Tensor:
        """Data (n, 2) from declared draws: which in {0, 1}, z standard normal, turn in [0, 1), (n,) each."""
        radius = torch.tensor(self.radii, dtype=z.dtype)[which] + self.std * z
        angle = 2 * math.pi * turn
        return torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], -1)

    def log_density(self, x: Tensor, t: Tensor, *, points: int = 64) -> Tensor:
        """log p_t(x) under OU: x (n, 2), t (n,) or 0-d, t > 0 -> (n,).

        A ring of radius m, blurred by sigma, has the density exp(-(r - m)^2 / 2 sigma^2) I0e(r m / sigma^2) /
        (2 pi sigma^2) at the radius r; the spread of m is averaged over ``points`` Gauss-Hermite nodes.
        """
        import numpy as np
        nodes, weights = np.polynomial.hermite_e.hermegauss(points)
        nodes, weights = (torch.from_numpy(v).to(x.dtype) for v in (nodes, weights))
        ou = OU()
        t = t.unsqueeze(-1) if t.dim() else t
        m = ou.mean(t) * (torch.tensor(self.radii, dtype=x.dtype)[:, None] + self.std * nodes).reshape(-1)
        variance = ou.std(t).square()
        r = x.square().sum(-1, keepdim=True).clamp_min(1e-12).sqrt()
        logs = (-(r - m) ** 2 / (2 * variance) + torch.log(torch.special.i0e(r * m / variance))
                - torch.log(2 * math.pi * variance))
        share = (weights / weights.sum() / len(self.radii)).repeat(len(self.radii))
        return torch.logsumexp(logs + torch.log(share), -1)


@dataclass(frozen=True)
class PlanePotential:
    """M networks side by side: phi(x, t) = -|x|^2 + MLP(x, e^{-t}, log(t + 0.02) / 4), three tanh layers."""
    width: int = 64

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of one network's parameters: weights (out, in), biases (out,)."""
        h = self.width
        return {"net.w1": (h, 4), "net.b1": (h,), "net.w2": (h, h), "net.b2": (h,), "net.w3": (h, h),
                "net.b3": (h,), "net.w4": (1, h), "net.b4": (1,)}

    @property
    def draws(self) -> dict[str, Uniform]:
        """PyTorch's default start, U(-1/sqrt(fan in), 1/sqrt(fan in)), of one network."""
        edge = {n: 1 / math.sqrt(4 if n.endswith("1") else self.width) for n in self.shapes}
        return {n: Uniform(s, -edge[n], edge[n]) for n, s in self.shapes.items()}

    def start(self, draws: Tensors, models: int) -> Tensors:
        """``models`` equal copies of one drawn start, with Adam's empty moments."""
        params = {n: draws[n].expand(models, *s).clone() for n, s in self.shapes.items()}
        return params | optimizers.adam_state(params)

    def jet(self, p: Tensors, x: Tensor, t: Tensor, *, rate: bool = True, bend: bool = True) -> Tensors:
        """phi and its derivatives, pushed through the layers together. x: (B, 2) or (M, B, 2); t: (B,) or 0-d.

        "value" (M, B), "slope" (M, B, 2); with ``bend`` the Laplacian "bend", with ``rate`` d phi/dt "rate".
        """
        t = (t if t.dim() else t.expand(x.shape[-2])).unsqueeze(-1)
        w, early = p["net.w1"].unsqueeze(1), torch.exp(-t)
        z = (w[..., 0] * x[..., :1] + w[..., 1] * x[..., 1:] + w[..., 2] * early
             + w[..., 3] * torch.log(t + SOON) / 4 + p["net.b1"].unsqueeze(1))
        jets = [z, w[..., 0].expand_as(z), w[..., 1].expand_as(z)]
        jets += [torch.zeros_like(z)] if bend else []
        jets += [w[..., 3] / (4 * (t + SOON)) - w[..., 2] * early] if rate else []
        for k in ("2", "3", "4"):
            out = torch.cat(self._tanh(jets, bend), 1) @ p[f"net.w{k}"].transpose(1, 2)
            jets = list(out.split(x.shape[-2], 1))
            jets[0] = jets[0] + p[f"net.b{k}"].unsqueeze(1)
        value, first, second, *more = (j.squeeze(-1) for j in jets)
        made = {"value": value - x.square().sum(-1), "slope": torch.stack([first, second], -1) - 2 * x}
        if bend:
            made["bend"] = more[0] - 4
        return made | ({"rate": more[-1]} if rate else {})

    @staticmethod
    def _tanh(jets: list[Tensor], bend: bool) -> list[Tensor]:
        z, first, second, *more = jets
        y = torch.tanh(z)
        slope = 1 - y**2
        made = [y, slope * first, slope * second]
        if bend:
            made.append(slope * (more[0] - 2 * y * (first**2 + second**2)))
        return made + [slope * v for v in more[bend:]]


def batch_draws() -> dict[str, Declaration]:
    """What one update needs: 512 noised data points, and 512 points of the box for the residual."""
    n = (BATCH,)
    return {"which": Index(n, 2), "radial": Normal(n), "turn": Uniform(n), "z": Normal((BATCH, 2)),
            "u": Uniform(n), "box": Uniform((BATCH, 2), -BOX, BOX), "box_u": Uniform(n)}


def losses(net: PlanePotential, params: Tensors, ou: OU, noise: Tensors) -> tuple[Tensor, Tensor]:
    """Denoising loss, weighted by sigma_t^2, and mean squared residual, (M,) each; as ``training.losses``."""
    t = ou.clock(noise["u"])
    sigma = ou.std(t).unsqueeze(-1)
    x = ou.mean(t).unsqueeze(-1) * Rings().sample(noise["which"], noise["radial"], noise["turn"])
    score = net.jet(params, x + sigma * noise["z"], t, rate=False, bend=False)["slope"]
    denoising = (sigma * score + noise["z"]).square().sum(-1).mean(-1)
    return denoising, residual(net, params, noise["box"], ou.clock(noise["box_u"])).square().mean(-1)


def residual(net: PlanePotential, params: Tensors, x: Tensor, t: Tensor) -> Tensor:
    """R (M, B) at x (B, 2), t (B,): d phi/dt - 2 - x . grad phi - (Laplacian phi + |grad phi|^2) / 2."""
    j = net.jet(params, x, t)
    return (j["rate"] - 2 - (x * j["slope"]).sum(-1)
            - (j["bend"] + j["slope"].square().sum(-1)) / 2)


def update(net: PlanePotential, ou: OU, state: Tensors, noise: Tensors, *, weights: Tensor, lr: float,
           share: float) -> tuple[Tensors, tuple[Tensor, Tensor]]:
    """One Adam update of all models; ``share`` in [0, 1] of the run is done: the rate falls by a cosine."""
    params = {n: state[n] for n in net.shapes}

    def loss(p):
        denoising, rest = losses(net, p, ou, noise)
        return (denoising + weights * rest).sum(), (denoising, rest)

    (_, parts), grads = autodiff.value_and_grad(loss, params, has_aux=True)
    params, adam = optimizers.adam(params, grads, state, lr=lr * (1 + math.cos(math.pi * share)) / 2)
    return params | adam, parts
