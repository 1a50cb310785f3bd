"""A learned score on the ring, over five seeds: a long claim, so its result is stored."""
from __future__ import annotations

import numpy as np
import torch

from nde_lab.claims import Verdict, claim
from nde_lab.diffusion.score_sde.learned import ScoreRing
from nde_lab.diffusion.score_sde.mixtures import Mixture
from nde_lab.sweep import sweep

PAPER = "score-sde"
STEPS, SEEDS = 3000, 5


class RingStudy(ScoreRing):
    """The ring experiment with a wider network, more samples, and steps enough for the reverse SDE."""
    samples, width = 2000, 128


def quality(x: np.ndarray) -> tuple[float, float]:
    """Of samples (n, 2): the share within 3 standard deviations of a mode, and the total variation between the
    shares of the modes and 1/5 each."""
    target = Mixture.ring()
    k, off = target.nearest(torch.as_tensor(x, dtype=torch.float64))
    share = torch.bincount(k, minlength=5).double() / len(k)
    return (off.norm(dim=1) < 0.6).double().mean().item(), 0.5 * (share - 0.2).abs().sum().item()


@claim(paper=PAPER, where="Section 4 (toy)", cost="long", seeds=SEEDS,
       uses=("nde_lab.optimizers", "nde_lab.nets"),
       says="one learned score serves both samplers: the reverse SDE and the probability-flow ODE")
def learned_ring() -> Verdict:
    """VP, 3000 Adam steps on 256 points, then 2000 samples of each sampler in 100 uniform steps."""
    runs = sweep(RingStudy, {"training": [STEPS]}, range(SEEDS))
    measured, good = {}, np.ones(SEEDS, dtype=bool)
    for name in ("sde", "ode"):
        points = np.stack([runs[f"{name}_{c}"].to_numpy().reshape(SEEDS, -1) for c in "xy"], -1)
        inside, tv = (np.array(v) for v in zip(*map(quality, points), strict=True))
        measured |= {f"{name.upper()}: share in a mode": [round(float(v), 3) for v in inside],
                     f"{name.upper()}: total variation": [round(float(v), 3) for v in tv]}
        good &= (inside > 0.8) & (tv < 0.08)
    return Verdict(measured, "share within 3 standard deviations of a mode > 0.8 and total variation of the "
                   "modes' shares < 0.08, for both samplers, in at least 4 of 5 seeds", bool(good.sum() >= 4),
                   note="with the exact score the share is 0.99", unit="one number a seed")
