from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from explore.page.node import run_js
from toys import NoisyGrowth, SineFit

from nde_lab.experiment import last, run
from nde_lab.explore.page import stored
from nde_lab.explore.spec import explorer

GRID = {"lr": [1e-3, 1e-2, 1e-1], "width": [4, 8]}

PLAY = """
  globalThis.timers = [];
  const setTimeout = (f) => { timers.push(f); return timers.length; }, clearTimeout = (i) => { if (i) timers[i - 1] = null; };
  const drain = () => { for (let i = 0; i < 100; i++) { const f = timers[timers.length - 1]; if (!f) return; timers.length = 0; f(); } };
"""


@pytest.fixture(scope="module")
def made():
    return explorer(SineFit, controls=["lr", "width"], lr=1e-2)


@pytest.fixture(scope="module")
def packed(made, tmp_path_factory):
    return stored.build(made, GRID, folder=tmp_path_factory.mktemp("runs"), workers=0)


def play(made, packed, script):
    spec = made.to_dict(engines=["stored"]) | {"stored": packed}
    return run_js("const engine = storedEngine(payload), frames = [], adopted = [];\n"
                  "engine.onframe = (f) => frames.push(f); engine.onadopt = (a) => adopted.push(a);\n"
                  "engine.onfail = (f) => { throw new Error(f.sentence); };\n" + script, "inflate.js", "stored_engine.js",
                  payload=spec, before=PLAY)


def test_the_page_shows_the_very_run(made, packed):
    frames = play(made, packed, "engine.start({ gen: 4, knobs: { lr: 0.1, width: 8, act: 'tanh' }, seed: 0 }); drain(); return frames;")
    want = last(run(SineFit, {"lr": 0.1, "width": 8}))
    shown = frames[-1]
    assert shown["gen"] == 4 and shown["step"] == 20 and shown["status"] == {
        "kind": "finished", "sentence": want.status.sentence, "step": 20}
    y = np.array([shown["arrays"]["y"]["data"][str(i)] for i in range(24)])
    span = want.arrays["y"].max() - want.arrays["y"].min()
    assert np.abs(y - want.arrays["y"]).max() < 1e-4 * max(span, 1.0)
    loss = [shown["history"]["loss"][str(i)] for i in range(4)]
    assert loss == pytest.approx(want.history["loss"], rel=1e-6)
    assert [f["step"] for f in frames] == sorted({0, *packed["film"]}) and len(frames[0]["history"]["step"]) == 0


def test_sliders_snap_to_runs_that_exist_and_the_sentence_says_which(made, packed):
    snapped, sentence, adopted = play(made, packed, """
        const wanted = { lr: 0.004, width: 5, act: 'tanh' };
        engine.start({ gen: 1, knobs: wanted, seed: 3 });
        return [engine.snap(wanted), engine.sentence(wanted), adopted];""")
    assert snapped == {"lr": 0.01, "width": 4, "act": "tanh"}
    assert sentence == "stored run at lr = 0.01, width = 4, seed 0"
    assert adopted[0]["seed"] == 0


def test_moving_a_slider_keeps_the_place_in_the_film(made, packed):
    frames = play(made, packed, """
        engine.start({ gen: 1, knobs: { lr: 0.01, width: 4 }, seed: 0, paused: true });
        engine.stepOnce(); engine.stepOnce(); engine.set({ gen: 1, live: { lr: 0.1 } }); return [frames, adopted];""")[0]
    assert frames[-1]["step"] == frames[-2]["step"] > 0 and frames[-1]["knobs"]["lr"] == 0.1
    assert frames[-1]["arrays"]["y"]["data"] != frames[-2]["arrays"]["y"]["data"]


def test_pause_holds_and_resume_goes_on(made, packed):
    held, end = play(made, packed, """
        engine.start({ gen: 1, knobs: { lr: 0.01, width: 4 }, seed: 0 }); engine.pause(); drain(); const held = frames.length;
        engine.resume(); drain(); return [held, frames.at(-1).status.kind];""")
    assert held == 1 and end == "finished"


def test_a_diverged_run_is_stored_with_its_sentence_and_its_last_finite_state(tmp_path):
    made = explorer(NoisyGrowth, controls=["growth"])
    packed = stored.build(made, {"growth": [0.5, 50.0]}, folder=tmp_path, workers=0)
    frames = play(made, packed, "engine.start({ gen: 1, knobs: { growth: 50, noise: 0.1, rows: 4 }, seed: 0 }); drain(); return frames;")
    want = last(run(NoisyGrowth, {"growth": 50.0}))
    assert frames[-1]["status"]["kind"] == "diverged" and frames[-1]["status"]["sentence"] == want.status.sentence
    assert all(v is not None for f in frames for v in f["arrays"]["y"]["data"].values())


def test_a_stopped_build_goes_on_where_it_stopped(made, tmp_path, monkeypatch):
    calls, true = [], stored.run_one

    def stopping(*job):
        if len(calls) == 4:
            raise KeyboardInterrupt
        calls.append(job)
        true(*job)
    monkeypatch.setattr(stored, "run_one", stopping)
    with pytest.raises(KeyboardInterrupt):
        stored.build(made, GRID, folder=tmp_path, workers=0)
    monkeypatch.setattr(stored, "run_one", lambda *job: (calls.append(job), true(*job)))
    stored.build(made, GRID, folder=tmp_path, workers=0)
    assert len(calls) == 6
    stored.build(made, GRID, folder=tmp_path, workers=0)
    assert len(calls) == 6 and not list(tmp_path.glob("*.part"))


def test_other_settings_are_other_files(made):
    keys = {stored.key(made, dict(made.values), 6), stored.key(made, dict(made.values) | {"lr": 0.5}, 6),
            stored.key(replace(made, seed=1), dict(made.values), 6), stored.key(replace(made, steps=7), dict(made.values), 6),
            stored.key(made, dict(made.values), 5)}
    assert len(keys) == 5


def test_any_executor_gives_the_same_runs(made, packed, tmp_path):
    with ThreadPoolExecutor(2) as pool:
        assert stored.build(made, GRID, folder=tmp_path, executor=pool) == packed


@pytest.mark.slow      # each process imports torch
def test_processes_give_the_same_runs(made, packed, tmp_path):
    assert stored.build(made, GRID, folder=tmp_path, workers=2) == packed


def test_too_much_is_refused_with_advice(made, tmp_path):
    with pytest.raises(ValueError, match="at most 400 are made: give fewer values"):
        stored.build(made, {"lr": list(np.geomspace(1e-5, 1, 80)), "width": list(range(2, 20))}, folder=tmp_path)
    with pytest.raises(ValueError, match="the budget is 2,000: give fewer values, fewer frames, or observe less"):
        stored.build(made, GRID, folder=tmp_path, workers=0, budget=2000)
    with pytest.raises(ValueError, match="no knob 'speed' to store"):
        stored.grid_of(made, {"speed": [1]})
    with pytest.raises(ValueError, match="takes 1e-05 to 1"):
        stored.grid_of(made, {"lr": [7.0]})


def test_the_default_grid_spans_each_control_and_holds_the_first_setting():
    grid = stored.grid_of(explorer(SineFit, lr=2e-3, width=9))
    assert grid["act"] == ["tanh", "lipswish"]
    assert grid["lr"][0] == 1e-5 and grid["lr"][-1] == 1.0 and 2e-3 in grid["lr"] and grid["lr"] == sorted(grid["lr"])
    assert 9 in grid["width"] and all(isinstance(w, int) for w in grid["width"])


@pytest.mark.parametrize(("steps", "every", "film"), [(20, 5, 6), (1000, 10, 6), (7, 3, 6), (1, 1, 6), (100, 1, 2)])
def test_a_film_starts_at_nothing_and_ends_at_the_end(steps, every, film):
    shown = stored.film_steps(steps, every, film)
    assert shown[0] == 0 and shown[-1] == steps and shown == sorted(set(shown)) and len(shown) <= max(film, 3)
    assert all(s % every == 0 or s == steps for s in shown)
