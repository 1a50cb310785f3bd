"""Training potentials: denoising score matching plus w_R times the squared Fokker-Planck residual.

L = E sigma_t^2 |s(x_t, t) + z / sigma_t|^2 + w_R E R(x, t)^2,   x_t = e^{-t} x_0 + sigma_t z,
x ~ U(-2.5, 2.5) in the second term, t = end + (horizon - end) u^2 with u uniform in both (Deveney et al. 2023,
who weight the first term by 1; the weight sigma_t^2 is ours and keeps it from being all about t near 0).
Several models with their own w_R train side by side from one start and on the same draws: only the residual's
weight differs.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from nde_lab import autodiff, optimizers
from nde_lab.diffusion.ode_sde_gap.potential import Potential
from nde_lab.diffusion.ode_sde_gap.process import OU, Mixture
from nde_lab.diffusion.ode_sde_gap.residual import residual_1d
from nde_lab.random import Declaration, Index, Normal, Uniform

BOX, BATCH = 2.5, 256
Tensors = dict[str, Tensor]


def batch_draws(mixture: Mixture, updates: int) -> dict[str, Declaration]:
    """What ``updates`` updates need: 256 noised data points and 256 points for the residual each."""
    shape = (updates, BATCH)
    return {"which": Index(shape, len(mixture.centres)), "data_z": Normal(shape), "z": Normal(shape),
            "u": Uniform(shape), "box": Uniform(shape, -BOX, BOX), "box_u": Uniform(shape)}


def losses(net: Potential, params: Tensors, ou: OU, noise: Tensors) -> tuple[Tensor, Tensor]:
    """Denoising loss and mean squared residual of every model, (M,) each; noise: one update's draws, with the
    data points "x0" made of them."""
    t = ou.clock(noise["u"])
    sigma = ou.std(t)
    x = ou.mean(t) * noise["x0"] + sigma * noise["z"]
    denoising = (sigma * net.score(params, x, t) + noise["z"]).square().mean(-1)
    x, t = noise["box"], ou.clock(noise["box_u"])
    jet = net.jet(params, x, t)
    return denoising, residual_1d(x, jet.rate, jet.slope, jet.bend).square().mean(-1)


def updates(net: Potential, ou: OU, mixture: Mixture, state: Tensors, noise: Tensors, *, weights: Tensor, lr,
            total: int) -> tuple[Tensors, Tensors]:
    """Adam updates on draws stacked over a leading axis; the rate falls from ``lr`` to 0 by a cosine over
    ``total``.

    state: parameters and Adam's moments; weights (M,): w_R of each model. Returns the new state and the mean
    losses over these updates: "denoising", "residual", (M,) each.
    """
    noise = {n: noise[n] for n in ("z", "u", "box", "box_u")} | {
        "x0": mixture.sample(noise["which"], noise["data_z"])}

    def body(state, one):
        params = {n: state[n] for n in net.shapes}

        def loss(p):
            denoising, rest = losses(net, p, ou, one)
            return (denoising + weights * rest).sum(), (denoising, rest)

        (_, parts), grads = autodiff.value_and_grad(loss, params, has_aux=True)
        share = (state["adam.count"] / total).clamp(0.0, 1.0)
        params, adam = optimizers.adam(params, grads, state, lr=lr * (1 + torch.cos(math.pi * share)) / 2)
        new = params | adam
        return {n: new[n] for n in state}, parts     # in the order in which they came: a loop asks for it

    state, (denoising, rest) = autodiff.loop(body, state, noise)
    return state, {"denoising": denoising.mean(0), "residual": rest.mean(0)}


def start_state(net: Potential, start: Tensors, models: int) -> Tensors:
    """The same drawn start for every model, and Adam's empty moments."""
    params = net.init(start, models)
    return params | optimizers.adam_state(params)
