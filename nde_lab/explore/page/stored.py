"""Stored runs: a grid of finished runs, made when the book is built, small enough to lie in a page.

For what a browser should not do (sparse or sorted algebra, long training). Each run leaves a film: its arrays at a few
steps, as 16-bit words, and its whole history. Runs are made in parallel, each is kept as a file as soon as it is done,
and a stopped build goes on where it stopped.
"""
from __future__ import annotations

import hashlib
import itertools
import json
import math
import multiprocessing
import os
from collections.abc import Mapping
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from nde_lab.experiment import knobs_of
from nde_lab.explore.page import executions
from nde_lab.explore.page.pack import packed, words
from nde_lab.explore.page.sources import code_hash
from nde_lab.explore.spec import Explorer

BUDGET = 600_000      # bytes in the page, per widget
FILM = 6              # frames of a film, the first and the last among them
CURVE = 120           # points of a history
MAX_RUNS = 400


def grid_of(made: Explorer, over: Mapping[str, list] | None = None, *, values: int = 4) -> dict[str, list]:
    """The values of each control: ``over``'s, else the experiment's own ``stored`` attribute, else choices or
    ``values`` points of the range, the first setting among them.

    Raises ValueError for knobs that the experiment does not have and for values out of range.
    """
    known = knobs_of(made.experiment)
    given = dict(over if over is not None else getattr(type(made.experiment), "stored", {}))
    for name in given:
        if name not in known:
            raise ValueError(f"{made.name} has no knob {name!r} to store; its knobs: {', '.join(known)}")
    grid = {}
    for name in made.controls:
        k, first = known[name], made.values[name]
        if name in given:
            chosen = [k.check(name, v) for v in given[name]]
        elif k.choices:
            chosen = list(k.choices)
        else:
            f, back = (math.log, math.exp) if k.scale == "log" else (float, float)
            points = [back(f(k.low) + (f(k.high) - f(k.low)) * i / (values - 1)) for i in range(values)]
            chosen = [k.check(name, round(p) if isinstance(k.default, int) else float(f"{p:.3g}")) for p in points]
            # The first setting replaces its nearest neighbour, so that the figure opens on what its text says.
            chosen[min(range(values), key=lambda i: abs(f(points[i]) - f(first)))] = first
        if not chosen:
            raise ValueError(f"no values to store for knob {name!r}")
        grid[name] = sorted(set(chosen), key=lambda v: (isinstance(v, str), chosen.index(v) if k.choices else v))
    return grid


def build(made: Explorer, over: Mapping[str, list] | None = None, *, folder: Path | None = None, film: int = FILM,
          budget: int = BUDGET, workers: int | None = None, executor: Executor | None = None) -> dict:
    """Make (or read back) all runs of the grid and pack them: the ``stored`` entry of a widget's spec.

    folder: where finished runs are kept (default: under the book's build folder, or the user's cache). workers:
    processes (default: one per core, at most 8; 0 runs here). executor: any ``concurrent.futures.Executor`` instead.

    Raises ValueError when the grid has more than MAX_RUNS runs or the packed runs exceed ``budget`` bytes.
    """
    grid = grid_of(made, over)
    settings = [dict(made.values) | dict(zip(grid, combination, strict=True))
                for combination in itertools.product(*grid.values())]
    if len(settings) > MAX_RUNS:
        raise ValueError(f"the stored grid of {made.name} has {len(settings)} runs ({_shape(grid)}); at most {MAX_RUNS} "
                         "are made: give fewer values, or show fewer controls")
    runs = make(made, settings, folder=folder or default_folder(), film=film, workers=workers, executor=executor)
    stored = _pack(made, grid, runs, film)
    size = len(json.dumps(stored))
    if size > budget:
        raise ValueError(f"the stored runs of {made.name} take {size:,} bytes ({_shape(grid)}, {film} frames each); the "
                         f"budget is {budget:,}: give fewer values, fewer frames, or observe less")
    return stored


def make(made: Explorer, settings: list[dict], *, folder: Path, film: int = FILM, workers: int | None = None,
         executor: Executor | None = None) -> list[dict]:
    """One run per setting, from ``folder`` where it is there. What is finished stays finished if this is stopped."""
    folder.mkdir(parents=True, exist_ok=True)
    cls = type(made.experiment)
    jobs = [(cls, knobs, made.seed, made.steps, film, folder / f"{cls.__name__}-{key(made, knobs, film)}.npz")
            for knobs in settings]
    waiting = [job for job in jobs if not job[-1].exists()]
    workers = min(8, os.cpu_count() or 1) if workers is None else workers
    if waiting and executor is None and (workers < 2 or len(waiting) < 2 or cls.__module__ == "__main__"):
        for job in waiting:
            run_one(*job)
    elif waiting:
        # spawn: a forked copy of a process with torch's threads in it can hang.
        own = executor or ProcessPoolExecutor(min(workers, len(waiting)), mp_context=multiprocessing.get_context("spawn"),
                                              initializer=_one_thread)
        try:
            for done in as_completed([own.submit(run_one, *job) for job in waiting]):
                done.result()
        finally:
            if executor is None:
                own.shutdown(cancel_futures=True)
    return [_load(job[-1]) for job in jobs]


def run_one(cls, knobs: dict, seed: int, steps: int, film: int, path: Path) -> None:
    """One run to its end, written to ``path`` at once and whole."""
    from nde_lab.experiment import Run
    run = Run(cls, knobs, seed=seed, steps=steps)
    wanted = film_steps(run.steps, run.plan.every, film)
    frames = [run.frame()]
    while run.status.kind == "running":
        run.advance()
        if run.t in wanted and run.status.kind != "diverged":
            frames.append(run.frame())
    if run.status.kind == "diverged":
        frames.append(run.frame())       # the last finite state, with the sentence
    last = frames[-1]
    saved = {f"array/{name}/{i}": a for i, frame in enumerate(frames) for name, a in frame.arrays.items()}
    saved |= {f"history/{name}": a for name, a in last.history.items()}
    status = json.dumps({"kind": last.status.kind, "sentence": last.status.sentence, "step": last.status.step,
                         "frames": len(frames)})
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, status=np.array(status), **saved)
    part.replace(path)


def film_steps(steps: int, every: int, film: int) -> list[int]:
    """Which steps a film shows: 0, the end, and recorded points between, denser at the start where more happens."""
    points = [*range(every, steps, every), steps]
    at = np.unique(np.rint((len(points) - 1) * np.linspace(0, 1, max(2, film - 1)) ** 1.5).astype(int))
    return [0, *(points[i] for i in at)]


def key(made: Explorer, knobs: dict, film: int) -> str:
    """Hash of all that a stored run depends on: the code behind the experiment, settings, seed, length."""
    cls = type(made.experiment)
    text = json.dumps([_code(cls), cls.__module__, cls.__qualname__, knobs, made.seed, made.steps, film], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _code(cls) -> str:
    return "" if cls.__module__ == "__main__" else code_hash(cls.__module__)


def default_folder() -> Path:
    """Under the book's build folder in a checkout; else in the user's cache."""
    if executions.BUILD.parent.is_dir():
        return executions.BUILD / "stored"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "nde_lab" / "stored"


def _one_thread() -> None:
    import torch
    torch.set_num_threads(1)


def _load(path: Path) -> dict:
    with np.load(path) as file:
        status = json.loads(str(file["status"]))
        frames: list[dict] = [{} for _ in range(status["frames"])]
        history = {}
        for name in file.files:
            kind, _, rest = name.partition("/")
            if kind == "array":
                array, _, i = rest.rpartition("/")
                frames[int(i)][array] = file[name]
            elif kind == "history":
                history[rest] = file[name]
    return {"status": status, "frames": frames, "history": history}


def _pack(made: Explorer, grid: dict, runs: list[dict], film: int) -> dict:
    plan = made.experiment.plan
    wanted = film_steps(made.steps, plan.every, film)
    full = max(runs, key=lambda r: len(r["history"].get("step", ())))
    points = np.asarray(full["history"].get("step", np.zeros(0)))
    kept = np.unique(np.linspace(0, max(0, len(points) - 1), min(len(points), CURVE)).astype(int))
    points = points[kept]
    names = sorted({n for r in runs for n in r["history"]} - {"step"})
    drawn = sorted(made.view().observables() & set(runs[0]["frames"][0]))
    arrays, offset = [], 0
    for name in drawn:
        shapes = {f[name].shape for r in runs for f in r["frames"]}
        if len(shapes) > 1:
            raise ValueError(f"{made.name}: the shape of observed {name!r} changes with the stored knobs "
                             f"({', '.join(map(str, sorted(shapes)))}); store knobs that keep shapes")
        arrays.append({"name": name, "shape": list(shapes.pop()), "at": offset})
        offset += math.prod(arrays[-1]["shape"])
    film = len(wanted)
    numbers = np.zeros((len(runs), film, offset), dtype="<u2")
    ranges = np.zeros((len(runs), len(arrays), 2), dtype="<f4")      # per run: one that grows wild spoils no other
    curves = np.zeros((len(runs), len(names), len(points)), dtype="<f4")
    cells = []
    for c, run in enumerate(runs):
        for j, a in enumerate(arrays):
            shown = [np.asarray(frame[a["name"]], dtype=np.float32).ravel() for frame in run["frames"][:film]]
            seen = np.concatenate(shown)
            seen = seen[np.isfinite(seen)]
            ranges[c, j] = (seen.min(), seen.max()) if seen.size else (0.0, 1.0)
            for i, values in enumerate(shown):
                numbers[c, i, a["at"]:a["at"] + values.size] = words(values, *map(float, ranges[c, j]))
        steps = np.asarray(run["history"].get("step", np.zeros(0)))
        for h, name in enumerate(names):
            values = np.asarray(run["history"].get(name, np.full(len(steps), np.nan)), dtype=float)
            row = np.full(len(points), np.nan)
            row[:np.searchsorted(points, steps[-1] if len(steps) else -1, side="right")] = values[np.isin(steps, points)]
            curves[c, h] = row
        cells.append({"frames": len(run["frames"][:film]), "points": int(np.isin(points, steps).sum()),
                      "status": {k: run["status"][k] for k in ("kind", "sentence", "step")}})
    return {"axes": [{"name": n, "values": list(v)} for n, v in grid.items()], "seed": made.seed, "every": plan.every,
            "film": [int(s) for s in wanted], "arrays": arrays, "history": names, "points": [int(p) for p in points],
            "cells": cells, "numbers": packed(numbers.tobytes()), "curves": packed(curves.tobytes()),
            "ranges": packed(ranges.tobytes())}


def _shape(grid: dict) -> str:
    return " x ".join(f"{len(v)} {n}" for n, v in grid.items())
