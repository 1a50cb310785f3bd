"""Sweeps: one experiment over a grid of knobs and seeds, as an ``xarray.Dataset``.

Seeds and live knobs are batched (the step is traced once and vmapped); fixed knobs change shapes, so their combinations
are run one after another, or by ``executor`` (any ``concurrent.futures.Executor``). A diverged cell keeps its last
finite values and does not end the others. With ``store`` every finished batch is a file, so a stopped sweep resumes.

Beyond one machine, with the extra ``cluster``: a ``dask.distributed`` client has such an executor ::

    with Client("tcp://scheduler:8786") as client:
        sweep(MyExperiment, {"width": [64, 128]}, store="runs", executor=client.get_executor(pure=False))

The scheduler gives the batch of a worker that died to another one. Results come back to the caller, who alone writes
``store``: the machines need no common disk, but each needs this package and the module of the experiment. (A pure
executor remembers a batch that failed, and would not run it again in the same session.)
"""
from __future__ import annotations

import hashlib
import inspect
import itertools
import json
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor, as_completed
from contextlib import closing
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from nde_lab import autodiff
from nde_lab.experiment import DTYPES, configure, knobs_of
from nde_lab.random import Sampler, check_seed

MAX_ROWS = 64      # rows of one vmapped batch: beyond this, batching gains nothing and a stopped sweep loses more


class BatchError(RuntimeError):
    """Batches of a sweep stopped with an error of their own. failed: (fixed knobs, rows, the error) of each."""

    def __init__(self, says: str, failed: list[tuple[dict, list, BaseException]]):
        super().__init__(says)
        self.failed = failed


def sweep(experiment, over: Mapping[str, Iterable] | None = None, seeds: Iterable[int] = range(3), *,
          steps: int | None = None, store: str | Path | None = None, executor: Executor | None = None):
    """Run ``experiment`` (class or instance) for every combination of ``over`` and every seed.

    Returns an ``xarray.Dataset`` with dimensions (*over, seed): each history entry with a further dimension ``step``,
    each observed array of the last frame under its own name with dimensions of its own, and ``diverged_at`` (the step
    at which a cell stopped being finite, -1 if it never did). History after divergence is NaN. An observed array whose
    shape changes with a fixed knob has no place in one grid: its name is in ``attrs["left_out"]``.

    store: a folder; finished batches are kept there and read back instead of being run again (the file name hashes the
    experiment's source, knobs, seeds and steps), each as soon as it is finished. executor: where batches run; None runs
    them here, one after another.
    Raises ValueError for unknown knobs, values out of range, no seeds or an empty list of values, and BatchError if a
    batch stops with an error, which it names: with ``store`` after the others have run, without it at once.
    """
    over = {name: list(values) for name, values in (over or {}).items()}
    seeds = [check_seed(s) for s in seeds]
    if not seeds:
        raise ValueError("a sweep needs at least one seed")
    for name, values in over.items():
        if not values:
            raise ValueError(f"sweep over {name!r} has no values")
    instance, live0 = configure(experiment)
    cls = type(instance)
    for name, values in over.items():
        if name not in knobs_of(cls):
            raise ValueError(f"{cls.__name__} has no knob {name!r}; its knobs: {', '.join(knobs_of(cls))}")
        over[name] = [knobs_of(cls)[name].check(name, v) for v in values]
    base = {n: getattr(instance, n) for n in cls.fixed}
    fixed_names = [n for n in over if n in cls.fixed]
    live_names = [n for n in over if n in cls.live]

    jobs = []      # (fixed values, rows of (live values, seed)) of at most MAX_ROWS rows each
    for fixed in itertools.product(*(over[n] for n in fixed_names)):
        rows = list(itertools.product(itertools.product(*(over[n] for n in live_names)), seeds))
        for start in range(0, len(rows), MAX_ROWS):
            part = [(live0 | dict(zip(live_names, values, strict=True)), s)
                    for values, s in rows[start:start + MAX_ROWS]]
            jobs.append((cls, base | dict(zip(fixed_names, fixed, strict=True)), part, steps))
    folder = Path(store) if store is not None else None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    results: dict[int, list[dict]] = {}
    saved = [folder / f"{cls.__name__}-{_key(*job)}.npz" if folder else None for job in jobs]
    missing = []
    for i, file in enumerate(saved):
        if file is not None and file.exists():
            results[i] = _load(file)
        else:
            missing.append(i)
    failed: dict[int, Exception] = {}
    ran = _here(jobs, missing) if executor is None else _elsewhere(jobs, missing, executor)
    with closing(ran):
        for i, outcome in ran:
            if not isinstance(outcome, Exception):
                results[i] = _finish(outcome, saved[i])
                continue
            failed[i] = outcome
            if folder is None:
                break       # nothing of the others could be kept
    if failed:
        _, error = first = min(failed.items())
        raise BatchError(_sentence(first, len(failed), len(results), jobs, list(over), folder),
                         [(jobs[i][1], jobs[i][2], e) for i, e in sorted(failed.items())]) from error
    cells = [cell for i in range(len(jobs)) for cell in results[i]]
    order = fixed_names + live_names
    return _dataset(cells, {n: over[n] for n in order}, seeds, list(over))


def _here(jobs: list[tuple], missing: list[int]):
    """(number, cells or the exception) of each missing batch, one after another."""
    for i in missing:
        try:
            outcome = run_batch(*jobs[i])
        except Exception as error:
            outcome = error
        yield i, outcome


def _elsewhere(jobs: list[tuple], missing: list[int], executor: Executor):
    """The same from an executor, in the order in which batches finish. Closed early, it cancels the others."""
    waiting = {executor.submit(run_batch, *jobs[i]): i for i in missing}
    try:
        for future in as_completed(waiting):
            i = waiting.pop(future)
            try:
                outcome = future.result()
            except Exception as error:
                outcome = error
            # A cluster keeps a result, and makes it again when its worker dies, as long as somebody holds the future.
            del future
            yield i, outcome
    finally:
        for future in waiting:
            future.cancel()


def _sentence(first: tuple[int, Exception], failed: int, kept: int, jobs: list, over: list[str], folder) -> str:
    i, error = first
    cls, fixed, rows, _ = jobs[i]
    values = {n: [fixed[n]] if n in fixed else sorted({live[n] for live, _ in rows}) for n in over}
    values["seed"] = sorted({seed for _, seed in rows})
    batch = "; ".join(f"{name} = {', '.join(map(str, v))}" for name, v in values.items())
    others = f" (and {failed - 1} more)" if failed > 1 else ""
    kept = (f"{kept} of {len(jobs)} batches are kept in {folder}: the same call goes on from there" if folder else
            "nothing is kept; with `store`, a folder, finished batches are")
    return (f"a batch of the sweep over {cls.__name__}{others} stopped with {type(error).__name__}: {error}. "
            f"The batch is {batch}. Of the sweep, {kept}.")


def run_batch(cls, fixed: dict, rows: list[tuple[dict, int]], steps: int | None = None) -> list[dict]:
    """Run one experiment for several (live values, seed) rows at once; one dict of numpy arrays per row."""
    made = cls(**fixed)
    plan, dtype = made.plan, DTYPES[made.plan.dtype]
    n_steps = plan.steps if steps is None else steps
    data, draws = made.data(), made.draws()
    seeds = sorted({seed for _, seed in rows})
    pick = torch.tensor([seeds.index(seed) for _, seed in rows])
    sampler = {(s, seed): Sampler(getattr(draws, s), seed=seed, stream=s, dtype=dtype)
               for s in ("start", "step", "observe") for seed in seeds}
    lives = [{n: torch.tensor(float(v), dtype=dtype) for n, v in live.items()} for live, _ in rows]
    states = [made.init(data, sampler["start", seed].at(0), live) for live, (_, seed) in zip(lives, rows, strict=True)]
    state, live = _stack(states), _stack(lives)
    batched = _batched(lambda s, n, v: made.step(data, s, n, v),
                       (states[0], sampler["step", seeds[0]].at(0), lives[0]))
    alive = torch.ones(len(rows), dtype=torch.bool)
    diverged_at = np.full(len(rows), -1)
    recorded: dict[str, list[np.ndarray]] = {}
    at = []
    for t in range(1, n_steps + 1):
        noise = {n: v[pick] for n, v in _stack([sampler["step", seed].at(t - 1) for seed in seeds]).items()}
        with torch.no_grad():
            new, info = batched(state, noise, live)
        fine = torch.stack([info[n].reshape(len(rows), -1).all(1) if n == "ok" else info[n].isfinite()
                            for n in info] or [alive]).all(0)
        diverged_at[(alive & ~fine).numpy()] = t
        alive &= fine
        # As long as all rows run nothing is held back, and nothing need be copied: a quarter of the time of a small step.
        state = new if alive.all() else {
            n: torch.where(alive.reshape(-1, *[1] * (v.dim() - 1)), v, state[n]) for n, v in new.items()}
        if t % plan.every == 0 or t == n_steps:
            at.append(t)
            for n, v in info.items():
                if n != "ok":
                    recorded.setdefault(n, []).append(torch.where(alive, v.double(), math.nan).numpy())
    cells = []
    for r, (_, seed) in enumerate(rows):
        with torch.no_grad():
            seen = made.observe(data, {n: v[r] for n, v in state.items()}, sampler["observe", seed].at(0), lives[r])
        cells.append({"step": np.array(at), "diverged_at": diverged_at[r],
                      **{f"history.{n}": np.array([v[r] for v in vs]) for n, vs in recorded.items()},
                      **{f"array.{n}": v.numpy() for n, v in seen.items()}})
    return cells


def _stack(trees: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {n: torch.stack([tree[n] for tree in trees]) for n in trees[0]}


def _batched(step, example):
    """``step(state, noise, live)`` traced once and mapped over a leading axis of every argument."""
    graph = autodiff.trace(step, example)
    # A view that was possible for one row need not be for many: a mapped gather lays its result out differently.
    for node in graph.graph.nodes:
        if node.target is torch.ops.aten.view.default:
            node.target = torch.ops.aten.reshape.default
    graph.recompile()
    mapped = torch.vmap(graph)

    def call(*args):
        # By name: a step may return its state in another order than it took it.
        args = [{name: given[name] for name in like} for given, like in zip(args, example, strict=True)]
        return pytree.tree_unflatten(list(mapped(*pytree.tree_leaves(args))), graph.meta["out_spec"])
    return call


def _key(cls, fixed, rows, steps) -> str:
    source = inspect.getsource(inspect.getmodule(cls))
    text = json.dumps([cls.__qualname__, source, fixed, rows, steps], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


def _finish(cells: list[dict], saved: Path | None) -> list[dict]:
    if saved is not None:
        part = saved.with_suffix(".part")
        with part.open("wb") as file:
            np.savez_compressed(file, **{f"{i}/{n}": v for i, cell in enumerate(cells) for n, v in cell.items()})
        part.replace(saved)      # never half a file under the final name
    return cells


def _load(saved: Path) -> list[dict]:
    cells: dict[int, dict] = {}
    with np.load(saved) as file:
        for name in file.files:
            i, key = name.split("/", 1)
            cells.setdefault(int(i), {})[key] = file[name]
    return [cells[i] for i in range(len(cells))]


def _dataset(cells: list[dict], over: dict[str, list], seeds: list[int], order: list[str]):
    import xarray as xr
    shape = (*(len(v) for v in over.values()), len(seeds))
    dims = (*over, "seed")
    variables, left_out = {}, []
    for key in cells[0]:
        if key == "step":
            continue
        name = key.removeprefix("history.").removeprefix("array.")
        stacked = np.stack([cell[key] for cell in cells]) if len({np.shape(c[key]) for c in cells}) == 1 else None
        if stacked is None:
            left_out.append(name)
            continue
        inner = stacked.shape[1:]
        own = ("step",) if key.startswith("history.") else tuple(f"{name}_{i}" for i in range(len(inner)))
        # An observed array may share its name with a history entry (both called "loss", say): keep both.
        name = f"{name}_last" if name in variables or name in dims else name
        variables[name] = ((*dims, *own), stacked.reshape(*shape, *inner))
    made = xr.Dataset(variables, coords={**over, "seed": seeds, "step": cells[0]["step"]},
                      attrs={"left_out": left_out})
    return made.transpose(*order, "seed", ...)
