"""The driver, with a program that is a few lines of arithmetic and a clock that the test moves."""
import pytest
from explore.page.node import run_js

from nde_lab.experiment import last, run
from toys import NoisyGrowth

# x <- growth x^2 + 0.1, one row per entry; `history` of what was called.
PROGRAM = """
function program({ steps = 20, every = 4, rows = 2, advice = "lower growth" } = {}) {
  let x = null, next = null;
  return {
    plan: { steps, every, advice }, seeds: [],
    init(live, seed) { x = Array.from({ length: rows }, (_, i) => seed + (i + 1) / rows); this.seeds.push(seed); },
    step(live, t) {
      next = x.map((v) => Math.fround(live.growth * v * v + 0.1));       // float32, as a lowered step
      if (live.broken) throw new Error("a broken program");
      return { mean: { shape: [], data: [next.reduce((a, b) => a + b) / rows] }, t: { shape: [], data: [0.1 * (t + 1)] },
        ok: { shape: [rows], data: next.map((v) => Number(Number.isFinite(v))) } };
    },
    accept() { x = next; },
    observe(live) { return { y: { shape: [rows], data: x.map((v) => v * (live.zoom ?? 1)) } }; },
  };
}
// A driver whose time and whose turns are the test's: `turn()` runs one slice.
function driver(options) {
  const out = [], made = [];
  let time = 0, next = null;
  const receive = serve({ post: (m) => out.push(m), load: (p) => { const q = program(p); made.push(q); return q; },
    now: () => (time += options?.tick ?? 1), later: (f) => { next = f; }, slice: 3 });
  receive({ t: "program", key: 0, program: options });
  return { out, made, receive, rest: () => { time += 1000; }, frames: () => out.filter((m) => m.t === "frame").map((m) => m.frame),
    turn() { const f = next; next = null; f?.(); return Boolean(f); },
    all(ack = true) { for (let i = 0; i < 500 && this.turn(); i++) { time += 100; if (ack) receive({ t: "ack", n: 1e9 }); } } };
}
const begin = { t: "start", gen: 1, key: 0, seed: 0, live: { growth: 0.5 } };
"""


def drive(script, **payload):
    return run_js(script, "run.js", "worker.js", before=PROGRAM, payload=payload)


def test_the_first_frame_comes_at_once_and_the_last_says_so():
    frames = drive("const d = driver(); d.receive(begin); const first = d.frames().length; d.all(); return [first, d.frames()];")
    assert frames[0] == 1
    shown = frames[1]
    assert [f["step"] for f in shown] == [0, 4, 8, 12, 16, 20]
    assert shown[0]["status"] == {"kind": "running", "sentence": "running: step 0", "step": 0}
    assert shown[1]["status"]["sentence"] == "running: step 4 of 20"
    assert shown[-1]["status"]["sentence"] == "finished: 20 steps"
    assert list(shown[-1]["history"]["step"].values()) == [4, 8, 12, 16, 20]
    assert shown[-1]["arrays"]["y"]["shape"] == [2]


def test_a_page_that_is_slow_gets_fewer_frames_and_still_the_last():
    shown = drive("const d = driver({ steps: 200 }); d.receive(begin); d.all(false); return d.frames();")
    assert [f["step"] for f in shown][:2] == [0, 4]
    assert len(shown) == 3 and shown[-1]["step"] == 200 and shown[-1]["status"]["kind"] == "finished"
    assert len(shown[-1]["history"]["mean"]) == 50


def test_a_new_start_cancels_the_old_run_and_takes_its_number():
    shown = drive("""const d = driver({ steps: 200 }); d.receive(begin); d.turn(); d.turn();
        d.receive({ ...begin, gen: 2, seed: 3 }); d.all(); return [d.frames().map((f) => [f.gen, f.seed]), d.made[0].seeds];""")
    gens = [gen for gen, _ in shown[0]]
    assert gens == sorted(gens) and set(gens) == {1, 2} and shown[1] == [0, 3]
    assert [seed for gen, seed in shown[0] if gen == 2] == [3] * gens.count(2)


def test_live_knobs_are_felt_in_the_run_and_at_rest():
    before, running, rest = drive("""
        const d = driver({ steps: 8 }); d.receive(begin); d.all();
        const e = driver({ steps: 8 }); e.receive({ ...begin, paused: true }); e.receive({ t: "set", gen: 1, live: { growth: 0 } });
        e.receive({ t: "resume" }); e.all();
        const n = d.frames().length; d.receive({ t: "set", gen: 1, live: { zoom: 10 } });
        return [d.frames()[n - 1], e.frames().at(-1), d.frames().slice(n)];""")
    assert running["arrays"]["y"]["data"]["0"] == pytest.approx(0.1)
    assert len(rest) == 1 and rest[0]["status"]["kind"] == "finished"
    assert rest[0]["arrays"]["y"]["data"]["0"] == pytest.approx(10 * before["arrays"]["y"]["data"]["0"])


def test_pause_step_resume():
    counts, steps = drive("""
        const d = driver({ steps: 12, every: 4, tick: 40 }); d.receive({ ...begin, paused: true });
        const seen = [d.frames().length]; d.all(); seen.push(d.frames().length);
        d.receive({ t: "step" }); d.all(); seen.push(d.frames().length);
        d.receive({ t: "step" }); d.all(); seen.push(d.frames().length);
        d.receive({ t: "resume" }); d.all(); return [seen, d.frames().map((f) => f.step)];""")
    assert counts == [1, 1, 2, 3] and steps == [0, 4, 8, 12]


def test_a_hidden_tab_rests_and_says_so():
    sentence, still, steps = drive("""
        const d = driver({ steps: 200 }); d.receive(begin); d.turn(); d.receive({ t: "hidden", hidden: true });
        const said = d.frames().at(-1).status.sentence, before = d.frames().length; d.all(); const same = d.frames().length === before;
        d.receive({ t: "hidden", hidden: false }); d.all(); return [said, same, d.frames().at(-1).step];""")
    assert sentence.startswith("resting at step ") and "hidden" in sentence
    assert still and steps == 200


def test_a_broken_program_is_a_sentence_and_the_driver_lives_on():
    said, after = drive("""
        const d = driver(); d.receive({ ...begin, live: { growth: 0.5, broken: 1 } }); d.all();
        const said = d.out.filter((m) => m.t === "fail"); d.receive({ ...begin, gen: 2 }); d.all();
        return [said, d.frames().at(-1)];""")
    assert said == [{"t": "fail", "gen": 1, "fatal": False,
                     "sentence": "this page could not go on with the run: a broken program"}]
    assert after["gen"] == 2 and after["status"]["kind"] == "finished"


def test_an_unknown_program_is_a_sentence():
    said = drive("const d = driver(); d.receive({ ...begin, key: 7 }); return d.out;")
    assert said[0]["t"] == "fail" and "no program" in said[0]["sentence"]


def test_divergence_is_told_in_the_words_of_python():
    frame = drive("""const d = driver({ steps: 30, every: 3, rows: 4 }); d.receive({ ...begin, live: { growth: 50 } }); d.all();
        return d.frames().at(-1);""")
    python = last(run(NoisyGrowth, {"growth": 50.0, "noise": 0.0})).status
    shape = "diverged: row {} stopped being finite at step {} (time {}); lower growth"
    time = f"{frame['status']['step'] * 0.1:.3g}"
    row = int(frame["status"]["sentence"].split()[2])
    assert frame["status"]["sentence"] == shape.format(row, frame["status"]["step"], time)
    assert python.sentence == shape.format(python.row, python.step, f"{python.time:.3g}")
    assert frame["step"] == frame["status"]["step"] and all(v is not None for v in frame["arrays"]["y"]["data"].values())


def test_numbers_in_sentences_look_like_pythons():
    values = [0.0, 1.0, 0.1, 0.30000000000000004, 12.0, 123.0, 1234.0, 999.9, 99.96, 1e-4, 1.5e-5, 1e-10, 123456789.0, 2e22, -0.5,
              0.099951, 1e5, 0.00012345]
    assert run_js("return payload.map(threeDigits);", "run.js", payload=values) == [f"{v:.3g}" for v in values]
