"""Two classifiers of digits: one that reads noised pictures and guides, one that reads clean ones and judges.

The guide learns p(digit | u, t) at every noise level (Song et al. 2021, Appendix I.1). The judge never meets
the sampler, so its opinion of samples, and its hidden layer for Frechet distances, are not what was optimised.
"""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab import autodiff, nets, optimizers
from nde_lab.data import load_digits
from nde_lab.diffusion.score_sde.digits.network import PROCESS, class_logits, network, training_basis
from nde_lab.metrics import cross_entropy
from nde_lab.random import Index, Normal, Sampler, Uniform

BATCH = 128
GUIDE = network(64, 2, 10, prefix="guide.")
JUDGE = nets.functional(nets.mlp([64, 64, 10], act="tanh"), prefix="judge.")
BLUR = 0.3            # noise on the judge's training pictures, in units of u


def _train(net: nets.Functional, loss, draws: dict, *, seed: int, steps: int, stream: str) -> dict[str, Tensor]:
    """Adam at 3e-3 with a little weight decay; the last weights. loss(params, noise) -> 0-d."""
    params = net.init(Sampler(net.draws, seed=seed, stream=f"{stream}.start").at(0))
    state, sampler = optimizers.adam_state(params), Sampler(draws, seed=seed, stream=f"{stream}.step")
    for k in range(steps):
        noise = sampler.at(k)
        _, grads = autodiff.value_and_grad(lambda p, noise=noise: loss(p, noise), params)
        params, state = optimizers.adam(params, grads, state, lr=3e-3, weight_decay=1e-4)
    return params


def guide_logits(params, t, u: Tensor, basis=None) -> Tensor:
    """Logits (B, 10) of the guide for noised u (B, 64) at time t, a number, 0-d or (B, 1)."""
    return class_logits(lambda *i: GUIDE.apply(params, *i), basis or training_basis(), PROCESS, t, u)


def judge_logits(params, u: Tensor) -> Tensor:
    """Logits (B, 10) of the judge for clean u (B, 64)."""
    return JUDGE.apply(params, u)


def judge_features(params, u: Tensor) -> Tensor:
    """The judge's hidden layer, (B, 64) in (-1, 1)."""
    return torch.tanh(u @ params["judge.0.weight"].T + params["judge.0.bias"])


def train_guide(seed: int = 0, steps: int = 1500) -> dict[str, Tensor]:
    """Weights of the noise-aware classifier; times uniform in t from 0.001 to 1, so it also sees pure noise."""
    train, _ = load_digits()
    u = training_basis().centred(train.pixels)

    def loss(params, noise):
        t = 1e-3 + (1 - 1e-3) * noise["t"]
        rows = noise["index"]
        noised = PROCESS.noised(t, u[rows], noise["z"])
        return cross_entropy(guide_logits(params, t, noised), train.labels[rows])
    return _train(GUIDE, loss, {"index": Index((BATCH,), len(train)), "t": Uniform((BATCH, 1)),
                                "z": Normal((BATCH, 64))}, seed=seed, steps=steps, stream="guide")


def train_judge(seed: int = 0, steps: int = 1000) -> dict[str, Tensor]:
    """Weights of the judge, trained on clean pictures with a little noise."""
    train, _ = load_digits()
    u = training_basis().centred(train.pixels)
    return _train(JUDGE, lambda p, noise: cross_entropy(judge_logits(p, u[noise["index"]] + noise["z"]),
                                                        train.labels[noise["index"]]),
                  {"index": Index((BATCH,), len(train)), "z": Normal((BATCH, 64), scale=BLUR)},
                  seed=seed, steps=steps, stream="judge")
