"""Solvers side by side, in one run: ours (eager, native) against torchsde, torchdiffeq, torchode, diffrax and a loop
written by hand in jax.

    nde-lab bench side_by_side    or    python benchmarks/side_by_side.py [--repeats 9] [--quick] [--json FILE] [--plot FILE]

Three problems, each with a two-layer tanh network (a neural SDE has two of them), float32, one thread:

    sde    Euler-Maruyama on a fixed grid; the noise is drawn anew each time and its cost counted
    rk4    an ODE on a fixed grid
    dopri5 an ODE with adaptive steps, rtol = atol = 1e-5; every solver also says how far off it ends

``forward`` is the solve, ``gradient`` the solve and the gradient of the mean square of its end with respect to all
parameters. From a middle case (batch 128, state 4, width 32, 64 steps) one size at a time is changed. Peers run at the
best settings known to us (torchsde: a ``BrownianInterval`` told its ``dt``, dyadic steps; diffrax: jitted, its cheapest
Brownian path, direct adjoint; jax: one ``lax.scan``, jitted), and torchsde as it comes besides. All variants of a case take turns, so
that a busy machine slows them alike; numbers are medians, ratios are to ours (eager). ``products`` is the time of the
network's matrix products alone, back to back: what no solver of that case can beat on this machine.

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
from dataclasses import asdict, dataclass, replace  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks._peers import PROBLEMS, problem  # noqa: E402

OURS = "nde_lab"
GRID = {"steps": (16, 64, 256, 1024), "batch": (8, 32, 128, 512), "width": (8, 32, 64, 128), "state": (2, 4, 16)}


@dataclass(frozen=True)
class Case:
    """One size of one problem."""
    kind: str
    batch: int = 128
    state: int = 4
    width: int = 32
    steps: int = 64

    def __str__(self) -> str:
        steps = "" if self.kind == "dopri5" else f", steps {self.steps}"
        return f"{self.kind}: batch {self.batch}, state {self.state}, width {self.width}{steps}"


def cases(*, quick: bool) -> list[Case]:
    """The middle case of each problem, then one size at a time."""
    found = []
    for kind in PROBLEMS:
        middle = Case(kind)
        found.append(middle)
        if not quick:
            names = [n for n in GRID if kind != "dopri5" or n != "steps"]
            found += [replace(middle, **{n: v}) for n in names for v in GRID[n] if v != getattr(middle, n)]
    return found


def race(variants: dict[str, Callable[[int], object]], *, repeats: int, warm: int = 2) -> dict[str, float]:
    """Median milliseconds of each variant; a variant slower than 2 s runs twice only."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    names = list(variants)
    for turn in range(repeats + warm):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if len(times[name]) >= 2 and min(times[name]) > 2000:
                continue
            start = time.perf_counter()
            variants[name](turn)
            times[name].append(1e3 * (time.perf_counter() - start))
    return {name: statistics.median(found[warm:] or found[-1:]) for name, found in times.items()}


def products(case: Case, *, gradient: bool, repeats: int) -> float:
    """Milliseconds of the matrix products of a solve, outputs given: two per network and evaluation, and twice as many
    again on the way back. For adaptive steps the count of evaluations is not known here: nan."""
    if case.kind == "dopri5":
        return float("nan")
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
    """One row: the case, milliseconds by variant, the error of each end where the truth is not the scheme's own."""
    made = problem(**asdict(case), gradient=gradient)
    row = asdict(case) | {"what": "gradient" if gradient else "forward", "ms": race(made.variants, repeats=repeats),
                          "products_ms": products(case, gradient=gradient, repeats=repeats),
                          "missing": made.missing}
    if made.errors:
        row["error"] = made.errors
    return row


def as_text(rows: list[dict]) -> str:
    lines = []
    for row in rows:
        case = Case(**{n: row[n] for n in ("kind", "batch", "state", "width", "steps")})
        lines.append(f"\n{case}; {row['what']}")
        for name, ms in row["ms"].items():
            error = f"   ends {row['error'][name]:.1e} off" if "error" in row else ""
            lines.append(f"  {name:44s} {ms:9.2f} ms   {ms / row['ms'][OURS]:7.2f} x{error}")
        if row["products_ms"] == row["products_ms"]:
            lines.append(f"  {'(matrix products alone)':44s} {row['products_ms']:9.2f} ms   "
                         f"{row['products_ms'] / row['ms'][OURS]:7.2f} x")
        if row["missing"]:
            lines.append(f"  not here: {', '.join(row['missing'])} (pip install \"nde_lab[bench]\")")
    return "\n".join(lines)


def plot(rows: list[dict], file: Path) -> None:
    """Cost of a gradient against steps, batch and width, the SDE problem, beside the matrix products."""
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    middle = Case("sde")
    figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True, layout="constrained")
    marks = dict(zip(dict.fromkeys(n for row in rows for n in row["ms"]), "os^Dv<>P*X", strict=False))
    for axis, size in zip(axes, ("steps", "batch", "width"), strict=True):
        others = [n for n in ("batch", "state", "width", "steps") if n != size]
        line = sorted((r for r in rows if r["kind"] == "sde" and r["what"] == "gradient"
                       and all(r[n] == getattr(middle, n) for n in others)), key=lambda r: r[size])
        for name, mark in marks.items():
            points = [(r[size], r["ms"][name]) for r in line if name in r["ms"]]
            if points:
                axis.plot(*zip(*points, strict=True), marker=mark, label=name, linewidth=1.2, markersize=5)
        axis.plot([r[size] for r in line], [r["products_ms"] for r in line], "k:", label="matrix products alone")
        axis.set(xscale="log", yscale="log", xlabel=f"{size} (log axis)", xticks=GRID[size])
        axis.set_xticks(GRID[size], [str(v) for v in GRID[size]])
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("ms for one gradient (log axis)")
    axes[2].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.02, 0.5))
    figure.savefig(file, dpi=110)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9, help="timed rounds of a case (default 9)")
    parser.add_argument("--quick", action="store_true", help="the middle cases only")
    parser.add_argument("--only", choices=PROBLEMS, help="one of the problems")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    parser.add_argument("--plot", type=Path, help="also draw cost against steps, batch and width")
    given = parser.parse_args(arguments)
    if given.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {given.repeats}")
    torch.set_num_threads(1)
    rows = []
    for case in cases(quick=given.quick):
        if given.only and case.kind != given.only:
            continue
        for gradient in (False, True):
            rows.append(measure(case, gradient=gradient, repeats=given.repeats))
            print(as_text(rows[-1:]), flush=True)
    versions = {name: _version(name) for name in ("torch", "torchsde", "torchdiffeq", "torchode", "diffrax", "jax")}
    print(f"\n{', '.join(f'{n} {v}' for n, v in versions.items())}; load {os.getloadavg()[0]:.1f}")
    if given.json:
        given.json.write_text(json.dumps({"versions": versions, "rows": rows}, indent=1), encoding="utf-8")
    if given.plot:
        plot(rows, given.plot)


def _version(name: str) -> str:
    from importlib.metadata import version
    return version(name) if importlib.util.find_spec(name) else "missing"


if __name__ == "__main__":
    main()
