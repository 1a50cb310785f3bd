"""What holds for every experiment: any knobs give finite frames that its view can draw."""
import numpy as np
from hypothesis import strategies as st

from nde_lab.experiment import knobs_of, run
from nde_lab.views import still


def settings_of(cls, **instead):
    """Live knobs over their ranges, ends included; fixed ones among their choices. Not ``steps``. ``instead``:
    a strategy for a knob that has to stay small."""
    def one(k):
        if k.choices:
            return st.sampled_from(k.choices)
        return st.sampled_from([k.low, k.high]) | st.floats(k.low, k.high)
    return st.fixed_dictionaries({n: instead[n] if n in instead else one(k)
                                  for n, k in knobs_of(cls).items() if n != "steps"})


def frames_are_finite_and_drawn(cls, knobs, seed, *, panels: int = 2):
    made = run(cls, knobs, seed=seed, steps=3)
    while made.status.kind == "running":
        made.advance()
    frame = made.frame()
    assert frame.status.kind == "finished"
    assert all(np.isfinite(a).all() for a in (*frame.arrays.values(), *frame.history.values()))
    assert made.experiment.view().observables() <= set(frame.arrays)
    assert len(still(made.experiment.view(), frame).axes) >= panels
