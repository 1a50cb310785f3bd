"""The long claim on neural CDEs: sines with removed entries, with and without a time channel."""
from __future__ import annotations

import numpy as np

from nde_lab.claims import Verdict, claim
from nde_lab.odes.neural_odes.cde import SineCDE
from nde_lab.sweep import sweep

PAPER = "on-neural-differential-equations"
USES = ("nde_lab.optimizers", "nde_lab.data.sines", "nde_lab.data.paths")


class CDEStudy(SineCDE):
    """The sine experiment, tested on 300 series."""
    tests, rates = 300, (0.0, 0.3, 0.5, 0.7)


@claim(paper=PAPER, where="chapter 3 (neural CDEs); Kidger et al. 2020", cost="long", seeds=5,
       uses=USES,
       says="with time as a channel a neural CDE stays accurate on irregularly sampled series")
def cde_degrades_gracefully() -> Verdict:
    """Test accuracy on sines, trained complete, at 0, 30, 50, 70 % of the entries removed, after 240 steps."""
    table = {clock: sweep(CDEStudy, {"clock": [clock]}, range(5), steps=240).accuracy.to_numpy()[0]
             for clock in (True, False)}
    with_time, without = (np.median(table[c], axis=0) for c in (True, False))
    holds = bool(with_time[0] > 0.9 and with_time[0] - with_time[2] < 0.15 and without[0] < 0.70)
    return Verdict({"with a time channel": with_time.round(3).tolist(), "without": without.round(3).tolist()},
                   "with: above 0.9 complete, less than 0.15 lost at 50 % missing; without: below 0.70 (the "
                   "ends allow 2/3)", holds, unit="share correct at 0/30/50/70 % missing, median of 5 seeds")
