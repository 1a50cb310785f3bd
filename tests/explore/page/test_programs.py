"""The page's run against Python's: the same seed gives the same curve, frame for frame and word for word."""
import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from explore.page.node import run_js
from toys import NoisyGrowth, SineFit

from nde_lab.experiment import Draws, Knob, Plan, experiment, knob, run
from nde_lab.explore.page import programs
from nde_lab.explore.spec import explorer
from nde_lab.random import STREAMS, Index, Normal, Permutation, Uniform, sample
from nde_lab.views import Axis, Line, Panel, View

DECLARED = {"a": Normal((7, 3)), "b": Normal((5,), loc=2.0, scale=0.1), "c": Uniform((9,), -3.0, 5.0), "d": Index((4, 5), 300),
            "e": Permutation(37), "f": Normal(()), "µ": Index((3,), 2**20)}

PLAY = """
const frames = payload.programs.map((packed, i) => {
  const bytes = (p) => unpack(payload.blobs[p]), kinds = { f4: Float32Array, i4: Int32Array, u1: Uint8Array };
  const program = load({ ...packed, source: new TextDecoder().decode(bytes(packed.source)),
    data: packed.data.map((d) => ({ name: d.name, values: new kinds[d.kind](bytes(d.values).buffer) })) });
  const run = new Run(program, { seed: payload.seed, live: payload.live }), frames = [run.frame()];
  while (run.going) if (run.step()) frames.push(run.frame());
  return frames.map((f) => ({ ...f, engine: program.engine, history: Object.fromEntries(Object.entries(f.history).map(([n, a]) => [n, [...a]])),
    arrays: Object.fromEntries(Object.entries(f.arrays).map(([n, { shape, data }]) => [n, { shape, data: [...data] }])) }));
});
return frames;
"""


def in_page(made, entry, *, seed=0, wasm=True):
    live = {n: made.values[n] for n in type(made.experiment).live}
    return run_js(PLAY, "inflate.js", "random.js", "program.js", "run.js", payload={**entry, "seed": seed, "live": live},
                  before="" if wasm else "delete globalThis.WebAssembly;")


def agree(page: list[dict], made, fixed: dict, *, seed: int, rtol: float):
    python = list(run(made.experiment, {**made.values, **fixed}, seed=seed))
    assert [f["step"] for f in page] == [f.step for f in python]
    for ours, theirs in zip(page, python, strict=True):
        assert ours["status"]["kind"] == theirs.status.kind and ours["status"]["sentence"] == theirs.status.sentence
        for name, values in theirs.history.items():
            np.testing.assert_allclose(ours["history"][name], values, rtol=rtol, atol=rtol * (1 + np.abs(values).max()), err_msg=name)
        for name, array in theirs.arrays.items():
            assert ours["arrays"][name]["shape"] == list(array.shape)
            got = np.array(ours["arrays"][name]["data"], dtype=float).reshape(array.shape)
            np.testing.assert_allclose(got, array, rtol=rtol, atol=rtol * (1 + np.abs(array).max()), err_msg=name)


@pytest.mark.parametrize("wasm", [True, False])
@pytest.mark.parametrize(("cls", "knobs", "seed"), [(SineFit, {}, 0), (SineFit, {"lr": 0.05}, 2**40 + 5),
                                                    (NoisyGrowth, {}, 1), (NoisyGrowth, {"growth": 50.0, "noise": 0.0}, 0)])
def test_the_same_seed_gives_the_same_curve(cls, knobs, seed, wasm, tmp_path_factory):
    made = explorer(cls, controls=list(cls.live), **knobs)
    entry = programs.page_entry(made, folder=tmp_path_factory.getbasetemp() / "programs")
    (page,) = in_page(made, entry, seed=seed, wasm=wasm)
    assert page[0]["engine"] == ("wasm" if wasm else "plain")
    agree(page, made, {}, seed=seed, rtol=2e-4)


def test_random_numbers_are_the_same_in_both_languages():
    seeds, streams, steps = [0, 1, 2**32 + 7, 2**53 - 1], list(STREAMS), [0, 1, 70000]
    declared = {n: {"kind": type(d).__name__.lower(), **vars(d), "shape": list(d.shape)} for n, d in DECLARED.items()}
    got = run_js("return payload.cases.map(([seed, stream, step]) => Object.fromEntries(Object.entries("
                 "sampler(payload.declared, seed, stream)(step)).map(([n, a]) => [n, [...a]])));", "random.js",
                 payload={"declared": declared, "cases": [(s, m, t) for s in seeds for m in streams for t in steps]})
    cases = [(s, m, t) for s in seeds for m in streams for t in steps]
    for (seed, stream, step), page in zip(cases, got, strict=True):
        for name, tensor in sample(DECLARED, seed=seed, stream=stream, step=step).items():
            want, have = tensor.numpy().reshape(-1), np.array(page[name], dtype=tensor.numpy().dtype)
            if isinstance(DECLARED[name], Normal):
                ulp = np.spacing(np.abs(want).astype(np.float32))
                assert np.all(np.abs(have - want) <= 2 * ulp), (name, seed, stream, step)
            else:
                assert np.array_equal(have, want), (name, seed, stream, step)


def test_one_program_for_each_choice_of_the_controls_and_equal_parts_once(tmp_path):
    made = explorer(SineFit, controls=["act", "lr"])
    entry = programs.page_entry(made, folder=tmp_path)
    assert [p["knobs"] for p in entry["programs"]] == [{"act": "tanh"}, {"act": "lipswish"}]
    sources = {p["source"] for p in entry["programs"]}
    data = {d["values"] for p in entry["programs"] for d in p["data"]}
    assert len(sources) == 2 and len(data) == 1 and len(entry["blobs"]) == 3
    for page, program in zip(in_page(made, entry), entry["programs"], strict=True):
        agree(page, made, program["knobs"], seed=0, rtol=2e-4)


def test_programs_are_kept_between_builds(tmp_path, monkeypatch):
    made = explorer(SineFit, controls=["lr"])
    first = programs.page_entry(made, folder=tmp_path)
    monkeypatch.setattr(programs, "export", lambda *_: pytest.fail("lowered again"))
    assert programs.page_entry(made, folder=tmp_path) == first
    assert len(list(tmp_path.iterdir())) == 1


def test_a_run_keeps_the_length_it_was_given(tmp_path):
    entry = programs.page_entry(explorer(SineFit, controls=["lr"], steps=10), folder=tmp_path)
    assert entry["programs"][0]["plan"]["steps"] == 10


def test_too_much_is_refused_with_advice(tmp_path):
    made = explorer(SineFit, controls=["act", "lr"])
    with pytest.raises(ValueError, match=r"the budget is 1,000: show fewer fixed knobs, or use the stored engine"):
        programs.page_entry(made, folder=tmp_path, budget=1000)

    @experiment(paper="toy")
    @dataclass(frozen=True)
    class Many(SineFit):
        more: int = knob(1, choices=tuple(range(1, 10)))
        live = SineFit.live

    with pytest.raises(ValueError, match="would need 18 programs in the page.*2 act x 9 more.*at most 16 fit"):
        programs.page_entry(explorer(Many, controls=["act", "more"]), folder=tmp_path)


def test_an_operator_that_cannot_be_lowered_is_named(tmp_path):
    @experiment(paper="toy")
    @dataclass(frozen=True)
    class Sorted:
        live = {"scale": Knob(1.0, low=0.0, high=2.0)}
        plan = Plan(steps=2)

        def data(self):
            return {"x": torch.linspace(0, 1, 5)}

        def draws(self):
            return Draws()

        def init(self, data, start, live):
            return {"x": data["x"] * 1.0}

        def step(self, data, state, noise, live):
            return {"x": torch.linalg.eigvalsh(state["x"][:, None] * state["x"]) * live["scale"]}, {"ok": torch.tensor(True)}

        def observe(self, data, state, noise, live):
            return {"y": state["x"]}

        def view(self):
            return View([Panel("p", Axis("x"), Axis("y"), [Line("y", "y")], alt="Sorted numbers on a line.")])

    with pytest.raises(ValueError, match="eigh"):
        programs.page_entry(explorer(Sorted), folder=tmp_path)


def test_the_entry_is_plain_json(tmp_path):
    entry = programs.page_entry(explorer(NoisyGrowth, controls=["growth"]), folder=tmp_path)
    assert json.loads(json.dumps(entry, allow_nan=False)) == entry
