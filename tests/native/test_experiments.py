"""Every registered experiment of float32: its native step is torch's step, from states that a run visits."""
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
STATES = 8


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.slow)
                                  for n in sorted(CLASSES)])
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
