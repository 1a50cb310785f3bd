"""Latent ODEs: a series with holes becomes one hidden start, and an ODE carries that start through all times.

    encoder   reads the observations backwards in time; between them its memory follows an ODE (ODE-RNN), at
              each it takes a recurrent step; ends in mean and spread of q(z0)
    decoder   dz/dt = f(z) from z0 ~ q, read out linearly at every time
    loss      the negative ELBO: squared errors of the observed entries, over 2 sigma^2, plus KL(q || N(0, 1))

"gru" in place of "ode" is the same autoencoder without differential equations: both recurrences are GRU steps
that are told the length of the gap.

Source: Rubanova, Chen, Duvenaud, "Latent ODEs for irregularly-sampled time series", NeurIPS 2019, arXiv
1907.03907; Chen, Rubanova, Bettencourt, Duvenaud, 2018, arXiv 1806.07366, section 5.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from nde_lab import autodiff, optimizers
from nde_lab.autodiff import loop
from nde_lab.nets import mlp
from nde_lab.solvers import TABLEAUS, rk_step

KINDS = ("ode", "gru")
Tensors = dict[str, Tensor]


class GRU(nn.Module):
    """One gated recurrent step (Cho et al. 2014): input (B, n), memory (B, hidden) -> memory (B, hidden)."""

    def __init__(self, n: int, hidden: int):
        super().__init__()
        self.gates, self.new = nn.Linear(n + hidden, 2 * hidden), nn.Linear(n + hidden, hidden)

    def forward(self, x: Tensor, h: Tensor) -> Tensor:
        keep, use = torch.sigmoid(self.gates(torch.cat([x, h], -1))).chunk(2, -1)
        return keep * h + (1 - keep) * torch.tanh(self.new(torch.cat([x, use * h], -1)))


class LatentODE(nn.Module):
    """Encoder and decoder. channels C, latent size D, hidden size H; kind "ode" or "gru".

    ``encode`` takes ts (L,), x (L, B, C), seen (L, B, C) of 0 and 1 and returns mean and log standard
    deviation of q(z0), (B, D) each. ``decode`` takes z0 (..., D) and ts (L,), and returns the series (L, ...,
    C); z0 belongs to ts[0].
    """

    def __init__(self, *, channels: int, latent: int = 6, hidden: int = 20, kind: str = "ode"):
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"a latent model is of kind 'ode' or 'gru', got {kind!r}")
        if min(channels, latent, hidden) < 1:
            raise ValueError(f"channels, latent and hidden must be at least 1, got {channels}, {latent}, "
                             f"{hidden}")
        self.kind, self.hidden, gap = kind, hidden, int(kind == "gru")
        self.read = GRU(2 * channels + gap, hidden)
        self.head = nn.Linear(hidden, 2 * latent)
        self.out = mlp([latent, hidden, channels])
        if kind == "ode":
            self.drift = mlp([hidden, hidden, hidden], final="tanh")
            self.field = mlp([latent, hidden, latent])
        else:
            self.go = GRU(1, latent)

    def encode(self, ts: Tensor, x: Tensor, seen: Tensor) -> tuple[Tensor, Tensor]:
        gaps = torch.cat([ts[1:] - ts[:-1], torch.zeros_like(ts[:1])]).flip(0)     # to the time after it

        def back(h, now):
            gap, value, mask = now
            entry = torch.cat([value * mask, mask], -1)
            if self.kind == "ode":
                h = h + gap * self.drift(h)
            else:
                entry = torch.cat([entry, gap.expand(*mask.shape[:-1], 1)], -1)
            any_seen = mask.amax(-1, keepdim=True)
            new = self.read(entry, h)
            # Without observation the memory of the ODE kind stays; a GRU must step to learn of the gap.
            return (any_seen * new + (1 - any_seen) * h if self.kind == "ode" else new), None

        start = torch.zeros(x.shape[1], self.hidden, dtype=x.dtype, device=x.device)
        h, _ = loop(back, start, (gaps, x.flip(0), seen.flip(0)))
        mean, log_std = self.head(h).chunk(2, -1)
        return mean, log_std - 1

    def latents(self, z0: Tensor, ts: Tensor) -> Tensor:
        """The hidden path (L, ..., D) from z0 (..., D): midpoint steps from time to time."""
        def on(z, gap):
            if self.kind == "ode":
                z = rk_step(lambda t, y: self.field(y), 0.0, z, gap, TABLEAUS["midpoint"]).y
            else:
                z = self.go(gap.expand(*z.shape[:-1], 1), z)
            return z, z

        _, zs = loop(on, z0, ts[1:] - ts[:-1])
        return torch.cat([z0[None], zs])

    def decode(self, z0: Tensor, ts: Tensor) -> Tensor:
        return self.out(self.latents(z0, ts))

    def forward(self, ts: Tensor, x: Tensor, seen: Tensor, xi: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction (L, ..., B, C) with z0 = mean + std xi, xi (..., B, D), and KL(q || N(0, 1)) per
        series (B,)."""
        mean, log_std = self.encode(ts, x, seen)
        return self.decode(mean + torch.exp(log_std) * xi, ts), kl(mean, log_std)


def kl(mean: Tensor, log_std: Tensor) -> Tensor:
    """KL divergence of N(mean, std^2) from N(0, 1), summed over the last axis: (B, D) -> (B,)."""
    return (torch.exp(2 * log_std) + mean.square() - 1 - 2 * log_std).sum(-1) / 2


def negative_elbo(guess: Tensor, x: Tensor, weight: Tensor, divergence: Tensor, *, sigma: float, beta=1.0
                  ) -> Tensor:
    """-ELBO per entry, but for a constant: mean over the entries of weight 1 of (guess - x)^2 / (2 sigma^2),
    plus beta times the divergence, spread over as many entries. guess, x, weight (L, B, C)."""
    n = weight.sum().clamp(min=1)
    return ((guess - x).square() * weight).sum() / (2 * sigma**2 * n) + beta * divergence.sum() / n


def mean_square(guess: Tensor, x: Tensor, weight: Tensor) -> Tensor:
    """Mean squared error over the entries of weight 1 (0 if there are none)."""
    return ((guess - x).square() * weight).sum() / weight.sum().clamp(min=1)


def train_step(net, state: Tensors, *, ts: Tensor, x: Tensor, seen: Tensor, weight: Tensor, xi: Tensor, sigma,
               beta, lr) -> tuple[Tensors, Tensor]:
    """One clipped Adam step of a functional ``LatentODE`` on x (L, B, C): (parameters and optimiser, -ELBO)."""
    def loss(p):
        guess, divergence = net.apply(p, ts, x, seen, xi)
        return negative_elbo(guess, x, weight, divergence, sigma=sigma, beta=beta)

    params = net.params(state)
    value, grads = autodiff.value_and_grad(loss, params)
    grads, _ = optimizers.clip_by_norm(grads, 5.0)
    params, adam = optimizers.adam(params, grads, state, lr=lr)
    return params | adam, value
