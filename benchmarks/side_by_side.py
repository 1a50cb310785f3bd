"""Solvers side by side, in one run: ours (eager, native) against torchsde, torchdiffeq, torchode, diffrax and a
loop written by hand in jax.

    nde-lab bench side_by_side    or    python benchmarks/side_by_side.py
        [--repeats 9] [--quick] [--only sde] [--json FILE] [--plot FILE] [--markdown]
    python benchmarks/side_by_side.py --read FILE --markdown       the tables of an earlier run

Three problems, each with a two-layer tanh network (a neural SDE has two of them), float32, one thread:

    sde    Euler-Maruyama on a fixed grid; the noise is drawn anew each time and its cost counted
    rk4    an ODE on a fixed grid
    dopri5 an ODE with adaptive steps, rtol = atol = 1e-5; every solver also says how far off it ends

``forward`` is the solve, ``gradient`` the solve and the gradient of the mean square of its end with respect to
all parameters. From a middle case (batch 128, state 4, width 32, 64 steps) one size at a time is changed. Peers
run at the best settings known to us (torchsde: a ``BrownianInterval`` told its ``dt``, dyadic steps; diffrax:
jitted, its cheapest Brownian path with the direct adjoint, and the tree that has a gradient; jax: one
``lax.scan``, jitted), and torchsde as it comes besides. All variants of a case take turns; numbers are medians,
ratios are to ours (eager). Times are seconds of the processor: with one thread, what a clock on the wall shows
when nothing else runs, and far less disturbed when something does. ``products`` is the time of the network's
matrix products alone, back to back: what no solver that calls torch for them can beat on this machine.

The peers are in the extra ``bench``; one that is missing is left out, and the table says so.
"""
from __future__ import annotations

import os

# One thread for everybody; said before any library starts its pool.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["XLA_FLAGS"] = (os.environ.get("XLA_FLAGS", "")
                           + " --xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")

import argparse  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable  # noqa: E402
from dataclasses import asdict  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks._cases import PROBLEMS, Case, cases  # noqa: E402
from benchmarks._peers import problem  # noqa: E402
from benchmarks._report import as_markdown, as_text, plot  # noqa: E402


def race(variants: dict[str, Callable[[int], object]], *, repeats: int, warm: int = 2) -> dict[str, float]:
    """Median milliseconds of each variant; a variant slower than 2 s runs twice only."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    for turn in range(repeats + warm):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if len(times[name]) >= 2 and min(times[name]) > 2000:
                continue
            start = time.process_time()
            variants[name](turn)
            times[name].append(1e3 * (time.process_time() - start))
    return {name: round(statistics.median(found[warm:] or found[-1:]), 4) for name, found in times.items()}


def products(case: Case, *, gradient: bool, repeats: int) -> float | None:
    """Milliseconds of the matrix products of a solve, outputs given: two per network and evaluation, and twice
    as many again on the way back. For adaptive steps the count of evaluations is not known here: None."""
    if case.kind == "dopri5":
        return None
    evaluations = case.steps * {"sde": 2, "rk4": 4}[case.kind]        # drift and diffusion are a network each
    x, h = torch.randn(case.batch, case.state), torch.randn(case.batch, case.width)
    w, v = torch.randn(case.state, case.width), torch.randn(case.width, case.state)
    out = [torch.empty_like(t) for t in (h, x, x, h, w, v)]

    def work(_):
        for _ in range(evaluations):
            torch.mm(x, w, out=out[0])
            torch.mm(h, v, out=out[1])
            if gradient:
                torch.mm(h, w.T, out=out[2])
                torch.mm(x, v.T, out=out[3])
                torch.mm(x.T, h, out=out[4])
                torch.mm(h.T, x, out=out[5])
    return race({"products": work}, repeats=repeats)["products"]


def measure(case: Case, *, gradient: bool, repeats: int) -> dict:
    """One row: the case, milliseconds by variant; with adaptive steps also how far off each end is."""
    made = problem(**asdict(case), gradient=gradient)
    row = asdict(case) | {
        "what": "gradient" if gradient else "forward", "missing": made.missing,
        "ms": race(made.variants, repeats=repeats),
        "products_ms": products(case, gradient=gradient, repeats=repeats)}
    if made.errors:
        row["error"] = made.errors
    return row


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="timed rounds of a case (default 9)")
    parser.add_argument("--quick", action="store_true", help="the middle cases only")
    parser.add_argument("--only", choices=PROBLEMS, help="one of the problems")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--plot", type=Path, help="also draw cost against steps, batch and width")
    parser.add_argument("--markdown", action="store_true", help="also print tables of ratios")
    parser.add_argument("--read", type=Path, help="measure nothing: take the rows from this file")
    given = parser.parse_args(arguments)
    if given.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {given.repeats}")
    if given.read:
        rows = json.loads(given.read.read_text(encoding="utf-8"))["rows"]
    else:
        rows = _measured(given)
    if given.plot:
        plot(rows, given.plot)
    if given.markdown:
        print(as_markdown(rows))


def _measured(given) -> list[dict]:
    """Measure and print what was asked for, and write it to ``given.json``."""
    torch.set_num_threads(1)
    rows = []
    for case in cases(quick=given.quick):
        if given.only and case.kind != given.only:
            continue
        for gradient in (False, True):
            rows.append(measure(case, gradient=gradient, repeats=given.repeats))
            print(as_text(rows[-1:]), flush=True)
    names = ("torch", "torchsde", "torchdiffeq", "torchode", "diffrax", "jax")
    versions = {name: _version(name) for name in names}
    print(f"\n{', '.join(f'{n} {v}' for n, v in versions.items())}; load {os.getloadavg()[0]:.1f}")
    if given.json:
        given.json.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1), encoding="utf-8")
    return rows


def _version(name: str) -> str:
    from importlib.metadata import version
    return version(name) if importlib.util.find_spec(name) else "missing"


if __name__ == "__main__":
    main()
