"""Results of "Locally regularized neural differential equations" on the neural SDE of its predecessor, the
spiral."""
from __future__ import annotations

from nde_lab.claims import Verdict, claim
from nde_lab.odes.opening_the_blackbox.sde_claims import RECIPE, SEEDS, USES, table
from nde_lab.odes.opening_the_blackbox.sde_spiral import WEIGHT

PAPER = "locally-regularized-ndes"
HERE = "nde_lab.odes.opening_the_blackbox"
ALL = (*USES, *(f"{HERE}.sde_{name}" for name in ("claims", "pair", "path", "solve", "spiral")))


@claim(paper=PAPER, where="abstract, SDEs", cost="long", seeds=SEEDS, uses=ALL,
       says="one penalised step cuts the evaluations of a neural SDE to 0.556-0.733 of vanilla, 1.3-2 times "
            "faster")
def local_penalties_on_the_spiral_sde() -> Verdict:
    """One step from a sampled moment, both samplers, weight 0.2; and the biased one with weight 1.6, since r is
    one step's share of a sum of about eight (not judged)."""
    rows, holds = table({"biased": ("biased", WEIGHT), "unbiased": ("unbiased", WEIGHT),
                         "biased, weight 1.6": ("biased", 8 * WEIGHT)}, ratio=0.733)
    return Verdict(rows, "median ratio of evaluations <= 0.733, of moment errors <= 1.1 (the second bound is "
                   "ours), for each sampler at weight 0.2", holds["biased"] and holds["unbiased"],
                   unit="one per seed", note=RECIPE)
