"""The engine as the front end sees it. Node has no Worker, so this is also the way of a browser without one."""
import pytest
from explore.page.node import run_js
from toys import SineFit

from nde_lab.explore.page import programs
from nde_lab.explore.page.joined import worker_source
from nde_lab.explore.spec import explorer

SETTING = """
const listeners = [];
globalThis.document = { visibilityState: "visible", addEventListener: (n, f) => listeners.push(f),
  removeEventListener: (n, f) => listeners.splice(listeners.indexOf(f), 1) };
"""
DRIVE = """
const engine = pageEngine(payload.spec, payload.source), frames = [], fails = [];
engine.onframe = (f) => { frames.push(f); engine.ack(f.n); };
engine.onfail = (f) => fails.push(f);
const until = async (condition) => { for (let i = 0; i < 1000 && !condition(); i++) await new Promise((r) => setTimeout(r, 5)); };
const knobs = Object.fromEntries(payload.spec.knobs.map((k) => [k.name, k.default]));
"""


@pytest.fixture(scope="module")
def payload(tmp_path_factory):
    made = explorer(SineFit, controls=["width", "act", "lr"], width=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(SineFit, "stored", {"width": [4, 8]}, raising=False)
        page = programs.page_entry(made, folder=tmp_path_factory.getbasetemp() / "programs")
    return {"spec": made.to_dict(engines=["page"]) | {"page": page}, "source": worker_source()}


def drive(payload, script):
    return run_js(DRIVE + script, "inflate.js", "page_engine.js", before=SETTING, payload=payload)


def test_sliders_snap_to_the_programs_that_are_there(payload):
    assert drive(payload, """return [[3, "tanh"], [7, "lipswish"], [64, "tanh"]].map(([width, act]) =>
        engine.snap({ width, act, lr: 0.02 }));""") == [
            {"width": 4, "act": "tanh", "lr": 0.02}, {"width": 8, "act": "lipswish", "lr": 0.02},
            {"width": 8, "act": "tanh", "lr": 0.02}]


def test_without_a_worker_it_trains_all_the_same_and_says_so(payload):
    sentence, last, gens, fails = drive(payload, """
        engine.start({ gen: 1, knobs, seed: 0 }); engine.start({ gen: 2, knobs: { ...knobs, width: 4 }, seed: 1 });
        await until(() => frames.at(-1)?.status.kind === "finished");
        return [engine.sentence(), frames.at(-1), frames.map((f) => f.gen), fails];""")
    assert sentence == "live: trained now in this page, without a worker, so scrolling may stutter"
    assert set(gens) == {2} and fails == [] and last["step"] == 20
    assert last["knobs"] == {"width": 4, "act": "tanh", "lr": 0.01} and last["seed"] == 1


def test_pause_set_resume_and_stop(payload):
    counts, kind, after, left = drive(payload, """
        engine.start({ gen: 1, knobs, seed: 0, paused: true }); await until(() => frames.length === 1);
        engine.set({ gen: 1, live: { lr: 0.5 } }); await until(() => frames.length === 2);
        engine.stepOnce(); await until(() => frames.length === 3);
        const counts = frames.map((f) => [f.step, f.knobs.lr]);
        engine.resume(); await until(() => frames.at(-1).status.kind !== "running");
        const kind = frames.at(-1).status.kind, n = frames.length;
        engine.stop(); await new Promise((r) => setTimeout(r, 50)); return [counts, kind, frames.length - n, listeners.length];""")
    assert counts == [[0, 0.01], [0, 0.5], [5, 0.5]] and kind == "finished" and after == 0 and left == 0


def test_a_hidden_tab_rests(payload):
    said = drive(payload, """
        engine.start({ gen: 1, knobs, seed: 0 }); await until(() => frames.length);
        document.visibilityState = "hidden"; listeners.forEach((f) => f()); await until(() => frames.at(-1).status.sentence.startsWith("resting"));
        const said = frames.at(-1).status; document.visibilityState = "visible"; listeners.forEach((f) => f());
        await until(() => frames.at(-1).status.kind === "finished"); return [said, frames.at(-1).status.kind];""")
    assert said[1] == "finished"
    assert said[0]["kind"] == "finished" or said[0]["sentence"].endswith("while this tab is hidden")


def test_a_program_that_cannot_be_unpacked_is_a_sentence_and_another_engine_may_try(payload):
    spec = {**payload["spec"], "page": {**payload["spec"]["page"], "blobs": [
        {"size": 10, "data": "AAAA"} for _ in payload["spec"]["page"]["blobs"]]}}
    fails = drive({**payload, "spec": spec}, "engine.start({ gen: 1, knobs, seed: 0 }); await until(() => fails.length); return fails;")
    assert fails[0]["fatal"] and "could not unpack the program" in fails[0]["sentence"]
