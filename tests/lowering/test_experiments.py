"""Every registered experiment that suits the page: its lowered step is torch's step (DESIGN, engines and
views).

One step from each of 100 visited states (or of all states that a default run has, if they are fewer) agrees to
1e-5, and a free run of as many steps drifts no more than ten times as far as float32 drifts from float64 in torch
itself. The picture of the last state agrees to 1e-5, or
to ten times what float32 itself costs it.

Some steps amplify rounding: a solver inside chooses its steps by an error estimate, and one estimate that falls
on the other side of the tolerance changes the count of steps or a gradient by far more than 1e-5. Their bound
is what torch itself shows from the same states: a step in float64, and one from a state changed by a unit in the
last place. The page may differ ten times as much as these, in the worst step and in the median one.
"""
import importlib
import statistics
from pathlib import Path

import pytest
import torch

import nde_lab
from nde_lab.autodiff import trace
from nde_lab.experiment import registered
from nde_lab.lowering import lower
from nde_lab.random import Sampler

ROOT = Path(nde_lab.__file__).parent
for path in sorted(ROOT.rglob("*.py")):
    if "@experiment(" in path.read_text(encoding="utf-8"):
        importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
PAGE = {n: c for n, c in registered().items() if c.__module__.startswith("nde_lab.")
        and "page" in c().plan.engines}
STATES = 100


class Twin:
    """An experiment in torch, in one dtype, and its lowered programs."""

    def __init__(self, cls, dtype=torch.float32):
        self.cls, self.dtype, self.experiment = cls, dtype, cls()
        self.data = {n: self.cast(t) for n, t in self.experiment.data().items()}
        self.live = {n: torch.tensor(float(k.default), dtype=dtype) for n, k in cls.live.items()}
        self.draws = {s: Sampler(getattr(self.experiment.draws(), s), seed=3, stream=s)
                      for s in ("start", "step", "observe")}

    def cast(self, t):
        return t.to(self.dtype) if t.is_floating_point() else t

    def noise(self, stream, t=0):
        """The same float32 numbers in both dtypes."""
        return {n: self.cast(x) for n, x in self.draws[stream].at(t).items()}

    def init(self):
        return self.experiment.init(self.data, self.noise("start"), self.live)

    def step(self, state, t):
        with torch.no_grad():
            return self.experiment.step(self.data, state, self.noise("step", t), self.live)

    def observe(self, state):
        with torch.no_grad():
            return self.experiment.observe(self.data, state, self.noise("observe"), self.live)

    def lowered(self):
        e, state = self.experiment, self.init()
        return lower({"init": trace(e.init, (self.data, self.noise("start"), self.live)),
                      "step": trace(e.step, (self.data, state, self.noise("step"), self.live)),
                      "observe": trace(e.observe, (self.data, state, self.noise("observe"), self.live))})

    def inputs(self, program, spec, state=None, t=0):
        groups = {"data": self.data, "live": self.live, "state": state or {}, "start": self.noise("start"),
                  "noise": self.noise("observe" if program == "observe" else "step", t)}
        out = {}
        for item in spec["programs"][program]["inputs"]:
            group, name = item["name"].split("/", 1)
            out[item["name"]] = groups[group][name]
        return out


def apart(got: dict, expected: dict) -> float:
    """The largest difference of any entry, relative to 1 + the size of its tensor."""
    worst = 0.0
    for name, e in expected.items():
        g, e = got[name].double(), e.double()
        assert g.shape == e.shape and torch.equal(g.isfinite(), e.isfinite()), name
        worst = max(worst, ((g - e).abs().max() / (1 + e.abs().max())).item() if e.isfinite().all() else 0.0)
    return worst


def nudged(state: dict, t: int) -> dict:
    """Every number one unit in the last place up or down; zeros stay zeros."""
    generator = torch.Generator().manual_seed(t)

    def nudge(v):
        up = torch.randint(0, 2, v.shape, generator=generator).bool()
        moved = torch.where(up, v * (1 + 2**-23), v * (1 - 2**-23))
        return torch.where(v.abs() >= 2**-100, moved, v)
    return {n: nudge(v) if v.is_floating_point() else v for n, v in state.items()}


def own(twin: Twin, exact: Twin, state: dict, t: int, after: dict) -> float:
    """How far torch's own step from ``state`` moves by rounding: the larger of float64 and the nudged state."""
    def finite(out):
        return {n: v for n, v in out.items() if v.isfinite().all() and after[n].isfinite().all()}
    others = [exact.step({n: exact.cast(v) for n, v in state.items()}, t), twin.step(nudged(state, t), t)]
    return max(apart(after, finite(new | info)) for new, info in others)


def split(out: dict) -> tuple[dict, dict]:
    return ({n[2:]: v for n, v in out.items() if n.startswith("0/")},
            {n[2:]: v for n, v in out.items() if n.startswith("1/")})


@pytest.mark.parametrize("name", sorted(PAGE))
def test_parity(node, name):
    twin, exact = Twin(PAGE[name]), Twin(PAGE[name], torch.float64)
    lowered = twin.lowered()
    spec = lowered.manifest
    handle = node.load(lowered)
    state = twin.init()
    assert apart(node.run(lowered, handle, "init", twin.inputs("init", spec)), state) < 1e-5
    page, reference = state, {n: exact.cast(v) for n, v in state.items()}
    page_drift = torch_drift = 0.0
    gaps, owns = [], []
    for t in range(min(STATES, twin.experiment.plan.steps)):
        after, info = twin.step(state, t)
        one, seen = split(node.run(lowered, handle, "step", twin.inputs("step", spec, state, t)))
        gaps.append(max(apart(one, after), apart(seen, info)))
        if max(gaps) >= 1e-5:                           # from here on, ask torch what its own rounding does
            owns.append(own(twin, exact, state, t, after | info))
        page, _ = split(node.run(lowered, handle, "step", twin.inputs("step", spec, page, t)))
        reference, _ = exact.step(reference, t)
        if not all(bool(v.isfinite().all()) for v in (*after.values(), *reference.values())
                   if v.is_floating_point()):
            break                                       # a run may diverge by design; up to there they agree
        page_drift = max(page_drift, apart(page, after))
        torch_drift = max(torch_drift, apart(after, reference))
        state = after
    if owns:
        gaps = gaps[-len(owns):]
        for what in (max, statistics.median):
            assert what(gaps) <= 10 * what(owns) + 1e-5, f"{what(gaps):.1e}, torch's own {what(owns):.1e}"
    drawn = node.run(lowered, handle, "observe", twin.inputs("observe", spec, state))
    seen = twin.observe(state)
    if (gap := apart(drawn, seen)) >= 1e-5:     # a picture of rounding errors, or of steps chosen by them
        itself = apart(seen, exact.observe({n: exact.cast(v) for n, v in state.items()}))
        assert gap <= 10 * itself, f"the picture is off by {gap:.1e}, torch's own float32 by {itself:.1e}"
    assert page_drift <= 10 * torch_drift + 1e-6, f"drift {page_drift:.1e}, torch's own {torch_drift:.1e}"
    node.drop(handle)
