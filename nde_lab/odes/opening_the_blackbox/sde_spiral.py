"""The papers' spiral: a neural SDE learns the mean and variance of another SDE's samples, and is made cheap to
solve.

Data: du = (-a u^3 - b v^3) dt + c u dW_1, dv = (b u^3 - a v^3) dt + c v dW_2 with a = 0.1, b = 2, c = 0.2, from
(2, 0), t in [0, 1], mean and variance of each component at 30 times. Model: drift W2 tanh(W1 y^3 + b1) + b2
with 50 units, diagonal diffusion V y + w. Loss: mean squared difference of the means plus that of the variances
over 100 trajectories, plus 0.2 times the penalty; tolerance 0.3. Source: Pal, Ma, Shah, Rackauckas 2021, and
its released code for the sizes (which optimises by AdaBelief; here Adam at the same rate, 0.01, 250 steps as
there).

Kinds of penalty: "none"; "global", R_E = sum q h of the whole solve; "biased" and "unbiased", r = q h of one
step from a moment of the solve that is read as a constant, with fresh noise (Pal, Edelman, Rackauckas 2023).
"""
from __future__ import annotations

import functools
import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import linear

from nde_lab import autodiff, optimizers
from nde_lab.nets import functional, mlp
from nde_lab.odes.opening_the_blackbox.sde_pair import pair_step
from nde_lab.odes.opening_the_blackbox.sde_path import RememberedPath
from nde_lab.odes.opening_the_blackbox.sde_solve import SdeSolved, solve_fixed, solve_sde_pair
from nde_lab.random import Sampler, Uniform, sample
from nde_lab.solvers import error_ratio

KINDS = ("none", "global", "biased", "unbiased")
RTOL, WEIGHT, BATCH, STEPS, LR, TIMES, FINE = 0.3, 0.2, 100, 250, 0.01, 30, 290
DRIFT, DIFFUSION = functional(mlp([2, 50, 2]), prefix="f."), functional(mlp([2, 2]), prefix="g.")


class Moments(NamedTuple):
    """Mean and variance over the trajectories at the 30 times, both (30, 2)."""
    mean: Tensor
    var: Tensor


def times() -> Tensor:
    """The 30 times, from 0 to 1."""
    return torch.linspace(0, 1, TIMES, dtype=torch.float64)


def moments(paths: Tensor) -> Moments:
    """Of paths (30, B, 2)."""
    return Moments(paths.mean(1), paths.var(1))


def moment_error(found: Moments, wanted: Moments, first: int = 0) -> Tensor:
    """The fit's loss, 0-d, over the times from number ``first`` on (29: only the end is asked for)."""
    mean, var = found.mean - wanted.mean, found.var - wanted.var
    return mean[first:].square().mean() + var[first:].square().mean()


def start(n: int) -> Tensor:
    """n trajectories at (2, 0)."""
    return torch.tensor([[2.0, 0.0]]).expand(n, 2).contiguous()


def true_drift(t, y: Tensor) -> Tensor:
    """The spiral's drift, y (B, 2)."""
    return (y**3) @ torch.tensor([[-0.1, 2.0], [-2.0, -0.1]], dtype=y.dtype)


def true_diffusion(t, y: Tensor) -> Tensor:
    """The spiral's diagonal diffusion, y (B, 2)."""
    return 0.2 * y


@functools.cache
def wanted(trajectories: int = 4000) -> Moments:
    """The data: moments of the spiral by 290 fixed steps."""
    return moments(solve_fixed(true_drift, true_diffusion, start(trajectories), steps=FINE, seed=0,
                               stream="spiral", every=FINE // (TIMES - 1)))


def fields(params: dict[str, Tensor]):
    """The model's drift and diffusion as f(t, y), g(t, y)."""
    def f(t, y):
        hidden = torch.tanh(linear(y**3, params["f.0.weight"], params["f.0.bias"]))
        return linear(hidden, params["f.2.weight"], params["f.2.bias"])

    def g(t, y):
        return linear(y, params["g.0.weight"], params["g.0.bias"])
    return f, g


def begin(seed: int) -> dict[str, Tensor]:
    """The weights that a seed starts from."""
    drawn = sample(DRIFT.draws | DIFFUSION.draws, seed=seed, stream="start")
    return DRIFT.init(drawn) | DIFFUSION.init(drawn)


def local_step(f, g, solved: SdeSolved, kind: str, u: float, *, rtol: float, seed: int, stream: str) -> Tensor:
    """r = q h of one step, 0-d. u in [0, 1) draws the moment: "biased" takes one of the solve's own steps
    evenly, "unbiased" an even time, with the state there. The state and h are constants; the noise is new."""
    ys, ts = solved.ys.detach(), solved.ts
    k = int(u * (len(ts) - 1)) if kind == "biased" else int(np.searchsorted(ts, u, side="right")) - 1
    h = ts[k + 1] - ts[k]
    y = ys[k] if kind == "biased" else torch.lerp(ys[k], ys[k + 1], (u - ts[k]) / h)
    piece = RememberedPath(y.shape, seed=seed, stream=stream, dtype=y.dtype).fresh(h)
    step = pair_step(f, g, ts[k] if kind == "biased" else u, y, h, piece.dW, piece.integral / h)
    return error_ratio(step.error.reshape(1, -1), y.reshape(1, -1), step.y.reshape(1, -1), rtol, rtol)[0] * h


def loss(params: dict[str, Tensor], kind: str, seed: int, step: int, u: float, *, weight: float = WEIGHT,
         rtol: float = RTOL, first: int = 0):
    """Fit plus penalty at one training step, and the solve: (0-d, (fit 0-d, SdeSolved))."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind of penalty {kind!r}; known: {', '.join(KINDS)}")
    f, g = fields(params)
    solved = solve_sde_pair(f, g, start(BATCH), rtol=rtol, seed=seed, stream=f"train {step}")
    fit = moment_error(moments(solved.at(times())), wanted(), first)
    if kind == "none":
        return fit, (fit, solved)
    extra = solved.error_sum if kind == "global" else local_step(f, g, solved, kind, u, rtol=rtol, seed=seed,
                                                                 stream=f"local {step}")
    return fit + weight * extra, (fit, solved)


@functools.cache
def trained(kind: str, seed: int, *, weight: float = WEIGHT, rtol: float = RTOL, steps: int = STEPS,
            first: int = 0) -> dict[str, Tensor]:
    """Weights after training. Raises RuntimeError with the reason if a solve on the way fails."""
    params = begin(seed)
    adam, where = optimizers.adam_state(params), Sampler({"u": Uniform((1,))}, seed=seed, stream="step")
    for k in range(steps):
        u = float(where.at(k)["u"])
        (_, (fit, solved)), grads = autodiff.value_and_grad(
            lambda p, k=k, u=u: loss(p, kind, seed, k, u, weight=weight, rtol=rtol, first=first), params,
            has_aux=True)
        if solved.status != "done" or not torch.isfinite(fit):
            raise RuntimeError(f"training diverged at step {k}: {solved.status}, fit {float(fit):.3g}")
        params, adam = optimizers.adam(params, grads, adam, lr=LR)
    return params


class Cost(NamedTuple):
    """What a trained model costs and how it fits. drifts: calls of the drift per solve, rejected trials
    included; error: moment error of the adaptive solves; fine_error: of 290 fixed steps, so without the
    tolerance's part."""
    drifts: float
    error: float
    fine_error: float


def measured(params: dict[str, Tensor], *, rtol: float = RTOL, solves: int = 20, first: int = 0
             ) -> Cost:
    """New noise, the same for every model: adaptive solves of 100 trajectories at the tolerance of the
    training."""
    f, g = fields(params)
    with torch.no_grad():
        done = [solve_sde_pair(f, g, start(BATCH), rtol=rtol, seed=k, stream="test") for k in range(solves)]
        error = moment_error(moments(torch.cat([s.at(times()) for s in done], 1)), wanted(), first)
        fine = solve_fixed(f, g, start(solves * BATCH), steps=FINE, seed=0, stream="fine",
                           every=FINE // (TIMES - 1))
        fine_error = moment_error(moments(fine), wanted(), first)
    return Cost(float(np.mean([s.drifts for s in done])), float(error), float(fine_error))


def seconds(models: list[dict[str, Tensor]], *, rtol: float = RTOL, solves: int = 40) -> list[float]:
    """Median processor time of an adaptive solve of each model, s. The models take turns, after one round that
    does not count, so that none pays for a cold start or a busy moment."""
    spent = np.zeros((solves + 1, len(models)))
    with torch.no_grad():
        for k in range(solves + 1):
            for i, params in enumerate(models):
                began = time.process_time()
                solve_sde_pair(*fields(params), start(BATCH), rtol=rtol, seed=k, stream="time")
                spent[k, i] = time.process_time() - began
    return np.median(spent[1:], 0).tolist()
