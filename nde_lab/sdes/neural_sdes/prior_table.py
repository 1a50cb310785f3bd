"""Long claim: what a latent SDE learns from 114 lynx catches, beside two autoregressions."""
from __future__ import annotations

import math

import numpy as np
import torch

from nde_lab.claims import Verdict, claim
from nde_lab.experiment import run
from nde_lab.random import Normal, sample
from nde_lab.sdes.neural_sdes import gauss, series
from nde_lab.sdes.neural_sdes.prior import LearnedPrior

PAPER = "on-neural-differential-equations"


class LynxStudy(LearnedPrior):
    """The experiment with 200 dreams."""
    dreams = 200


def autoregression(x: np.ndarray, order: int) -> float:
    """Log likelihood per point (given the first ``order``) of the best linear autoregression with a
    constant."""
    rows = np.stack([x[order - k - 1:len(x) - k - 1] for k in range(order)] + [np.ones(len(x) - order)], 1)
    weights, *_ = np.linalg.lstsq(rows, x[order:], rcond=None)
    var = float(np.mean((x[order:] - rows @ weights) ** 2))
    return -0.5 * (math.log(2 * math.pi * var) + 1)


def tight_bound(study, params, x, *, copies: int, seed: int) -> tuple[float, float]:
    """(ELBO, importance-weighted bound with ``copies`` paths) per point, averaged over all windows of x."""
    n, d, L = (study.window - 1) * study.sub, study.dim, study.window
    elbo, tight = [], []
    for at in range(0, len(x) - L + 1, 6):
        noise = sample({"z0": Normal((copies, d)), "xi": Normal((n, copies, d))}, seed=seed, stream="observe",
                       step=at)
        window = x[at:at + L, None].expand(-1, copies)
        weight = study.log_weight(params, window, noise["z0"], noise["xi"])
        elbo.append(float(weight.mean()))
        tight.append(float(torch.logsumexp(weight, 0) - math.log(copies)))
    return float(np.mean(elbo)) / L, float(np.mean(tight)) / L


def lynx_row(seed: int, steps: int = 1500) -> dict[str, float]:
    made = run(LynxStudy, {"series": "lynx", "lr": 5e-3}, seed=seed, steps=steps)
    while made.status.kind == "running":
        made.advance()
    arrays, x = made.frame().arrays, series.lynx()
    acf, real = arrays["acf"], arrays["acf_real"]
    elbo, tight = tight_bound(made.experiment, made.experiment.params(made.state), x, copies=500, seed=seed)
    return {"period": 5 + int(np.argmax(acf[5:16])), "acf": float(np.abs(acf - real)[:21].max()),
            "elbo": elbo, "tight": tight}


@claim(paper=PAPER, where="latent SDEs on real series (the data are ours)", cost="long", seeds=3,
       uses=("nde_lab.optimizers", "nde_lab.nets"),
       says="latent SDEs learn a generative model of real time series")
def latent_sde_dreams_the_lynx_cycle() -> Verdict:
    """114 yearly catches, 1500 Adam steps on 16 windows of 24 years; 200 dreamed series of the same length."""
    with torch.no_grad():
        rows = [lynx_row(seed) for seed in range(3)]
    x = series.lynx().double().numpy()
    measured = {f"seed {i}": [r["period"], *(round(r[n], 3) for n in ("acf", "elbo", "tight"))]
                for i, r in enumerate(rows)}
    measured["linear autoregression, orders 2 and 11: nats per "
             "point"] = [round(autoregression(x, p), 3) for p in (2, 11)]
    return Verdict(measured, "on every seed the dreams' autocorrelation has its first peak at 9 to 11 years "
                             "(real: 10 in "
                   "this series' autocorrelation) and stays within 0.35 of the real one up to lag 20",
                   all(9 <= r["period"] <= 11 and r["acf"] < 0.35 for r in rows),
                   unit="first peak (years), largest difference of autocorrelation, ELBO and 500-path bound "
                        "(nats per point)",
                   note="All in sample. The likelihoods are not comparable to the last digit: windows of 24 "
                        "pay for their own "
                        "start, the autoregressions are given theirs.")
