"""engine="native" and "auto": torch's run, checked when it changes over, and never silently different."""
import time
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import toys

from nde_lab.experiment import Draws, Knob, Plan, Run, experiment, knob, last, run
from nde_lab.native import driver, experiments, store
from nde_lab.sdes.stable_neural_sdes import RotationNoise


def wait(experiment, seconds=60.0):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        programs, refused = experiments.found(experiment)
        if programs or refused:
            return programs, refused
        time.sleep(0.05)
    pytest.fail("no native program in time")


def forget():
    experiments._ENTRIES.clear()


def toy(dtype="float32", f=lambda x: x.tanh()):
    """An experiment of a notebook: its class is not of the package."""
    @experiment(paper="toy")
    @dataclass(frozen=True)
    class Toy:
        rows: int = knob(4, low=1, high=16)
        live = {"rate": Knob(0.5, low=0.0, high=50.0)}
        plan = Plan(steps=12, every=3, dtype=dtype)

        def data(self):
            return {}

        def draws(self):
            return Draws()

        def init(self, data, start, live):
            return {"x": torch.linspace(0.1, 1.0, self.rows, dtype=live["rate"].dtype)}

        def step(self, data, state, noise, live):
            x = state["x"] + live["rate"] * f(state["x"])
            return {"x": x}, {"size": x.square().mean()}

        def observe(self, data, state, noise, live):
            return {"x": state["x"] * 2}

        def view(self):
            return toys._view()
    return Toy


def test_a_native_run_is_torchs_run_and_repeats_bit_by_bit():
    eager = last(run(toys.SineFit, seed=2))
    frames = [last(run(toys.SineFit, seed=2, engine="native")) for _ in range(2)]
    assert [f.engine for f in frames] == ["native", "native"] and eager.engine == "eager"
    for name in eager.arrays:
        np.testing.assert_allclose(frames[0].arrays[name], eager.arrays[name], rtol=1e-4, atol=1e-5)
        assert np.array_equal(frames[0].arrays[name], frames[1].arrays[name])
    np.testing.assert_allclose(frames[0].history["loss"], eager.history["loss"], rtol=1e-4)


def test_live_knobs_move_in_a_native_run():
    runs = [Run(toys.SineFit, seed=1, engine=e) for e in ("eager", "native")]
    for r in runs:
        for _ in range(5):
            r.advance()
        r.set(lr=0.3)
        for _ in range(5):
            r.advance()
    a, b = (r.frame().arrays["y"] for r in runs)
    np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_an_auto_run_changes_over_between_two_steps():
    cls = toy()
    reference = last(run(cls, seed=0))
    made = Run(cls, seed=0, engine="auto")
    made.advance()
    assert made.engine == "eager" and made.engine_note == "computed by torch"
    experiments.begin(made.experiment, made.examples)
    wait(made.experiment)
    engines = []
    while made.status.kind == "running":
        made.advance()
        engines.append(made.engine)
    assert engines[:driver.CHECKS - 1] == ["eager"] and set(engines[driver.CHECKS:]) == {"native"}
    assert made.engine_note == "computed by the native program" and made.frame().engine == "native"
    np.testing.assert_allclose(made.frame().arrays["x"], reference.arrays["x"], rtol=1e-5)


def test_a_long_auto_run_begins_to_build_and_a_short_one_does_not(monkeypatch):
    begun = []
    monkeypatch.setattr(experiments, "begin", lambda e, examples, build=True, here=True: begun.append(build))
    last(run(toy(), engine="auto"))
    assert begun == [False]
    monkeypatch.setattr(driver, "WORTH", 1e-7)
    last(run(toy(), engine="auto"))
    assert begun == [False, True]


def test_a_program_that_differs_is_not_used(monkeypatch):
    cls = toy()
    made = Run(cls, seed=0)
    programs = experiments.get(made.experiment, made.examples)
    true = programs.step
    monkeypatch.setattr(programs, "step", lambda *a: ({"x": true(*a)[0]["x"] + 1e-3}, true(*a)[1]))
    with pytest.raises(ValueError, match=r"Toy: its native program differs from torch in step's x by .*; use"):
        last(run(cls, engine="native"))
    auto = Run(cls, engine="auto")
    final = last(auto)
    assert final.engine == "eager" and "differs from torch in step's x" in auto.engine_note
    assert np.array_equal(final.arrays["x"], last(run(cls)).arrays["x"])


def test_a_picture_that_differs_is_drawn_by_torch(monkeypatch):
    cls = toy()
    made = Run(cls, seed=0)
    programs = experiments.get(made.experiment, made.examples)
    monkeypatch.setattr(programs, "observe", lambda *a: {"x": torch.zeros(4)})
    auto = Run(cls, engine="auto")
    final = last(auto)
    assert "differs from torch in observe's x" in auto.engine_note
    np.testing.assert_allclose(final.arrays["x"], last(run(cls)).arrays["x"], rtol=1e-5)


@pytest.mark.parametrize(("cls", "words"), [
    (toy(dtype="float64"), "compute in float32; Toy asks for float64"),
    (toy(f=lambda x: x.sort()[0]), r"no operator aten\.sort"),
])
def test_what_cannot_be_compiled_is_refused_or_stays_with_torch(cls, words):
    with pytest.raises(ValueError, match=words):
        Run(cls, engine="native")
    auto = Run(cls, engine="auto")
    assert last(auto).engine == "eager" and "no native program" in auto.engine_note


def test_unknown_engines_are_refused():
    with pytest.raises(ValueError, match="engine is one of eager, native, auto, got 'fast'"):
        run(toys.SineFit, engine="fast")


def test_divergence_is_reported_alike():
    runs = [Run(toys.NoisyGrowth, {"growth": 50.0}, seed=0, engine=e) for e in ("eager", "native")]
    frames = [last(r) for r in runs]
    assert frames[0].status == frames[1].status and frames[0].status.kind == "diverged"


@pytest.mark.slow
def test_another_process_compiles_the_books_experiments(monkeypatch, tmp_path):
    """At low priority, into the cache; the next run of the same experiment reads it and traces nothing."""
    monkeypatch.setenv("NDE_LAB_CACHE", str(tmp_path))
    forget()
    made = Run(RotationNoise, seed=0, engine="auto")
    experiments.begin(made.experiment, made.examples)
    programs, refused = wait(made.experiment, 200)
    assert programs is not None, refused
    assert store.path_of(experiments.disk_key(made.experiment)).exists()
    assert last(made).engine == "native"
    forget()
    monkeypatch.setattr("nde_lab.autodiff.trace", lambda *a, **k: pytest.fail("traced"))
    assert last(run(RotationNoise, seed=0, engine="native")).engine == "native"
    forget()


def test_a_refusal_is_remembered_on_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("NDE_LAB_CACHE", str(tmp_path))
    forget()
    made = Run(RotationNoise, seed=0)
    store.save_refusal(experiments.disk_key(made.experiment), "it sorts")
    auto = Run(RotationNoise, seed=0, engine="auto")
    experiments.begin(auto.experiment, auto.examples, build=False)
    wait(auto.experiment)
    auto.advance()
    assert auto.engine_note == "computed by torch (no native program: it sorts)"
    forget()
