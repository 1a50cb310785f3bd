"""What the page engine runs: one lowered program per combination of fixed knobs, with its data and declared draws."""
from __future__ import annotations

import hashlib
import itertools
import json
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nde_lab import autodiff
from nde_lab.experiment import DTYPES
from nde_lab.explore.page import stored
from nde_lab.explore.page.pack import packed
from nde_lab.explore.page.sources import code_hash
from nde_lab.explore.spec import Explorer
from nde_lab.lowering import lower
from nde_lab.random import STREAMS, sample

MAX_PROGRAMS = 16
BUDGET = 525_000      # bytes in the page, per widget: eight programs of 60 kB and some; a chapter has 1.5 MB


def page_entry(made: Explorer, *, folder: Path | None = None, budget: int = BUDGET) -> dict:
    """The ``page`` entry of a widget's spec (see ``page_engine.js``).

    Fixed knobs among the controls get one program per combination of their values (choices, or a few values of the
    range; ``stored.grid_of``); the others stay at their first setting. folder: where lowered programs are kept.

    Raises ValueError where there would be more than MAX_PROGRAMS programs, where they exceed ``budget`` bytes, and,
    naming it, for an operator that cannot be lowered.
    """
    cls = type(made.experiment)
    grid = {n: v for n, v in stored.grid_of(made).items() if n in cls.fixed}
    combinations = list(itertools.product(*grid.values()))
    shape = " x ".join(f"{len(v)} {n}" for n, v in grid.items())
    if len(combinations) > MAX_PROGRAMS:
        raise ValueError(f"{made.name} would need {len(combinations)} programs in the page ({shape}); at most "
                         f"{MAX_PROGRAMS} fit: show fewer fixed knobs, or give fewer values in the class attribute `stored`")
    blobs: dict[str, dict] = {}          # equal parts of several programs lie in the page once
    programs = []
    for combination in combinations:
        values = dict(zip(grid, combination, strict=True))
        instance = cls(**({n: made.values[n] for n in cls.fixed} | values))
        program = _cached(instance, made, folder or stored.default_folder().with_name("programs"))
        for part in [program["source"], *(d["values"] for d in program["data"])]:
            blobs.setdefault(_digest(part), part)
        program["source"] = _digest(program["source"])
        program["data"] = [d | {"values": _digest(d["values"])} for d in program["data"]]
        # A run that was given its own length keeps it; else each combination has its plan's.
        own = made.steps == made.experiment.plan.steps
        program["plan"]["steps"] = instance.plan.steps if own else made.steps
        if (view := instance.view().to_dict()) != made.view().to_dict():
            program["view"] = view
        programs.append({"knobs": values, **program})
    order = list(blobs)
    for program in programs:
        program["source"] = order.index(program["source"])
        program["data"] = [d | {"values": order.index(d["values"])} for d in program["data"]]
    entry = {"programs": programs, "blobs": [blobs[name] for name in order]}
    size = len(json.dumps(entry))
    if size > budget:
        raise ValueError(f"the programs of {made.name} take {size:,} bytes in the page ({len(programs)} of them"
                         f"{', ' + shape if shape else ''}); the budget is {budget:,}: show fewer fixed knobs, or use the "
                         "stored engine")
    return entry


def export(instance, made: Explorer | None = None) -> dict:
    """One experiment as the page runs it: lowered source and manifest, plan, draws, data. Plain JSON, parts packed."""
    plan, dtype = instance.plan, DTYPES[instance.plan.dtype]
    data, draws = instance.data(), instance.draws()
    live = {n: torch.tensor(float(k.default), dtype=dtype) for n, k in type(instance).live.items()}
    noise = {s: sample(getattr(draws, s), seed=0, stream=s, dtype=dtype) for s in STREAMS}
    state = instance.init(data, noise["start"], live)
    lowered = lower({
        "init": autodiff.trace(instance.init, (data, noise["start"], live)),
        "step": autodiff.trace(instance.step, (data, state, noise["step"], live)),
        "observe": autodiff.trace(instance.observe, (data, state, noise["observe"], live))})
    return {
        "source": packed(lowered.source.encode()),
        "manifest": {name: {"inputs": [i["name"] for i in p["inputs"]],
                            "outputs": [{"name": o["name"], "shape": o["shape"]} for o in p["outputs"]]}
                     for name, p in lowered.manifest["programs"].items()},
        "plan": {"steps": plan.steps, "every": plan.every, "advice": plan.advice},
        "draws": {s: {n: {"kind": type(d).__name__.lower(), **asdict(d)} | {"shape": list(d.shape)}
                      for n, d in getattr(draws, s).items()} for s in STREAMS},
        "data": [_data(name, tensor) for name, tensor in data.items()]}


def _data(name: str, tensor: torch.Tensor) -> dict[str, Any]:
    kind = "f4" if tensor.is_floating_point() else "u1" if tensor.dtype == torch.bool else "i4"
    return {"name": name, "kind": kind, "values": packed(tensor.detach().cpu().numpy().astype(np.dtype("<" + kind)).tobytes())}


@cache
def _lowering_code() -> str:
    """Hash of the lowering's own files."""
    digest = hashlib.sha256()
    for path in sorted((Path(__file__).parents[2] / "lowering").rglob("*")):
        if path.suffix in (".py", ".js"):
            digest.update(path.read_bytes())
    digest.update(Path(__file__).read_bytes())
    return digest.hexdigest()


def _cached(instance, made: Explorer, folder: Path) -> dict:
    """The export, kept between builds under a hash of all that it depends on."""
    fixed = {n: getattr(instance, n) for n in type(instance).fixed}
    if type(instance).__module__ == "__main__":
        return export(instance)
    name = f"{made.name}-{_digest([code_hash(type(instance).__module__), _lowering_code(), type(instance).__qualname__, fixed])[:20]}.json"
    path = folder / name
    if path.exists():
        return json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps(export(instance))
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
    return json.loads(text)


def _digest(value) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=str).encode()).hexdigest()
