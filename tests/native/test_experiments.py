"""Experiments of each kind: their native step is torch's step, from states that a run visits.

tests/lowering/test_experiments.py compares every experiment of the page; the native programs are lowered by
the same code, so a few of each kind (paths, solvers, trained fields, adjoints, latent models) are enough here.
"""
import importlib
from pathlib import Path

import pytest

import nde_lab
from nde_lab.experiment import Run, registered
from nde_lab.native import experiments
from nde_lab.native.driver import TOLERANCE, apart

ROOT = Path(nde_lab.__file__).parent
for path in sorted(ROOT.rglob("*.py")):
    if "@experiment(" in path.read_text(encoding="utf-8"):
        importlib.import_module(".".join(path.relative_to(ROOT.parent).with_suffix("").parts))
CLASSES = {n: c for n, c in registered().items() if c.__module__.startswith("nde_lab.")
           and c().plan.dtype == "float32"}
QUICK = ("RotationNoise", "CoupledPaths", "EulerCubic")
SLOW = ("DoubleWell", "GradientErrors", "LatentOU", "LineFlow", "MissedPulse", "ScoreLine", "SineCDE")
# Adaptive or adjoint solves inside one step: they choose other steps when an error estimate is rounded
# otherwise. Runs leave these to torch, and say so.
AMPLIFYING = ("HiddenError", "MoonsTwins")           # so do FourWays, RingFlow and StretchMap
REFUSED = ("SeriesClassifier",)                         # decides in Python on values
STATES = 8


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow)
                                  for n in (*QUICK, *SLOW)])
def test_one_step_is_torchs_step(name):
    run = Run(CLASSES[name], seed=5, steps=STATES)
    programs = experiments.get(run.experiment, run.examples)
    while run.status.kind == "running":
        step, _ = run.examples()
        got, seen = programs.step(*step)
        state = run.state
        run.advance()
        if run.status.kind == "diverged":
            break
        assert state is not run.state and got.keys() == run.state.keys()
        for part, value in run.state.items():
            assert apart(value, got[part]) < TOLERANCE, f"{part} at step {run.t}"
        assert all(value.isfinite().all() for value in seen.values())


@pytest.mark.slow
@pytest.mark.parametrize("name", (*AMPLIFYING, *REFUSED))
def test_what_cannot_be_compiled_to_rounding_stays_with_torch(name):
    """Either the first steps agree after all, or the run is refused with the reason."""
    run = Run(CLASSES[name], seed=5, steps=2)
    try:
        experiments.get(run.experiment, run.examples)
    except ValueError as error:
        assert name in REFUSED and "decides in Python" in str(error)
        return
    auto = Run(CLASSES[name], seed=5, steps=STATES, engine="auto")
    while auto.status.kind == "running":
        auto.advance()
    assert auto.engine == "native" or "differs from torch" in auto.engine_note
