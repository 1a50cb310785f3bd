"""Samplers from one score: the noise family by Euler steps, reverse diffusion, and predictor-corrector.

All are pure loops over given times and noise, so they may stand in a traced step. times (n + 1,) decrease from
the horizon (``Process.times``); noise is standard normal. The sample returned is the last mean: the last step
adds no noise (Song et al. 2021, Appendix G).
"""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.diffusion.score_sde.processes import VE, VP, Process
from nde_lab.solvers import integrate

SNR = 0.16                    # signal-to-noise ratio r of the corrector, the paper's for images


def _check(times: Tensor, x: Tensor, z: Tensor, name: str = "z") -> None:
    if times.dim() != 1 or len(times) < 2:
        raise ValueError(f"times must be a 1-d tensor of at least two, got shape {tuple(times.shape)}")
    if tuple(z.shape) != (len(times) - 1, *x.shape):
        raise ValueError(f"{len(times) - 1} steps from x of shape {tuple(x.shape)} need {name} of shape "
                         f"{(len(times) - 1, *x.shape)}, got {tuple(z.shape)}")


def _silent_last(z: Tensor) -> Tensor:
    return torch.cat([z[:-1], torch.zeros_like(z[-1:])])


def euler_sample(process: Process, score, x: Tensor, times: Tensor, z: Tensor, *, noise=1.0) -> Tensor:
    """Euler-Maruyama for ``process.reverse(score, noise=noise)``: noise 1 the reverse SDE, 0 the flow.

    x: start (B, D), prior noise at times[0]. z: (n, B, D). noise: a number, a 0-d tensor, or one value a row,
    (B, 1). -> (B, D).
    """
    times = times.to(x.dtype)
    _check(times, x, z)
    tau = process.horizon - times
    root = torch.sqrt(tau[1:] - tau[:-1])[:, None, None]
    return integrate(process.reverse(score, noise=noise), x, tau, root * _silent_last(z), save="last")


def _euler(process: Process, score, t, before, x: Tensor, z: Tensor, noise) -> Tensor:
    """One Euler-Maruyama step of ``process.reverse(score, noise=noise)`` from t to before < t."""
    sde, tau, h = process.reverse(score, noise=noise), process.horizon - t, t - before
    return x + sde.drift(tau, x) * h + sde.diffusion(tau, x) * torch.sqrt(h) * z


def _reverse_diffusion(process: Process, score, t, before, x: Tensor, z: Tensor, noise) -> Tensor:
    """One step from t to before < t with the coefficients of the forward step, taken back (Appendix E)."""
    h = t - before
    # The forward step x' = x + shift x + G z: VP's is DDPM's, VE's the ladder of noise levels, whose variances
    # differ by G^2; for the others it is Euler's.
    if type(process) is VP:
        beta = (process.beta(t) * h).clamp(max=1.0)
        shift, variance = torch.sqrt(1 - beta) - 1, beta
    elif isinstance(process, VE):
        shift, variance = torch.zeros_like(h), process.std(t)**2 - process.std(before)**2
    else:
        shift, variance = process.rate(t) * h, process.g2(t) * h
    share = (1 + noise * noise) / 2
    return x - shift * x + share * variance * score(t, x) + noise * torch.sqrt(variance) * z


PREDICTORS = {"reverse diffusion": _reverse_diffusion, "euler": _euler}


def langevin_correct(process: Process, score, t, h, x: Tensor, z: Tensor, *, snr=SNR) -> Tensor:
    """One Langevin step at time t: x + e score + sqrt(2 e) z, e = 2 alpha (snr |z| / |score|)^2.

    The norms are means over the batch; alpha = 1 - beta h for VP and sub-VP (h is the sampler's step), else 1.
    snr: number or 0-d tensor; 0 leaves x as it is. Source: algorithms 4 and 5.
    """
    s = score(t, x)
    ratio = z.square().sum(-1).sqrt().mean() / (s.square().sum(-1).sqrt().mean() + 1e-12)
    alpha = (1 - process.beta(t) * h).clamp(min=0.0) if isinstance(process, VP) else 1.0
    size = 2 * alpha * (snr * ratio).square()
    return x + size * s + torch.sqrt(2 * size) * z


def predict_correct(process: Process, score, t, before, x: Tensor, z: Tensor,
                    z_correct: Tensor | None = None, *, snr=SNR, predictor: str = "reverse diffusion",
                    noise=1.0) -> Tensor:
    """One turn of ``predictor_corrector``: from t to before < t, then a corrector there if z_correct is given.

    Raises ValueError for an unknown predictor.
    """
    if predictor not in PREDICTORS:
        raise ValueError(f"predictor must be one of {', '.join(PREDICTORS)}, got {predictor!r}")
    x = PREDICTORS[predictor](process, score, t, before, x, z, noise)
    if z_correct is None:
        return x
    return langevin_correct(process, score, before, t - before, x, z_correct, snr=snr)


def predictor_corrector(process: Process, score, x: Tensor, times: Tensor, z: Tensor,
                        z_correct: Tensor | None = None, *, snr=SNR, predictor: str = "reverse diffusion",
                        noise=1.0) -> Tensor:
    """A predictor's step, then a Langevin corrector's at every time but the last (algorithms 2, 3).

    x: start (B, D). z, z_correct: (n, B, D); without z_correct the predictor runs alone. predictor: "reverse
    diffusion" (the paper's) or "euler" (Euler-Maruyama, better for the flow in few steps). noise: number or 0-d
    tensor, of the predictor: 1 the reverse SDE, 0 the flow. -> (B, D). A time that repeats makes a step that
    does nothing, if z_correct is zero there.
    """
    times = times.to(x.dtype)
    _check(times, x, z)
    if z_correct is not None:
        _check(times, x, z_correct, "z_correct")
    options = {"snr": snr, "predictor": predictor, "noise": noise}

    def body(x, turn):
        t, before, z, correct = turn
        return predict_correct(process, score, t, before, x, z, correct, **options), None

    more = None if z_correct is None else z_correct[:-1]
    if len(times) > 2:
        x, _ = loop(body, x, (times[:-2], times[1:-1], z[:-1], more))
    return predict_correct(process, score, times[-2], times[-1], x, torch.zeros_like(x), **options)
