"""Memory and time of one gradient through a neural SDE, by reversible Heun: backpropagation, and the adjoint.

    nde-lab bench reversible_memory    or    python benchmarks/reversible_memory.py [--steps 64 256 1024 4096]

Batch 128, state 4, width 32, float32, one thread, time 0 to 1. Each number comes from a process of its own:
the growth of its peak resident memory during the gradient, after a solve of 8 steps has loaded what a solve
needs, and the seconds of the processor that the gradient took. Backpropagation keeps what every step saw;
the adjoint keeps the last state and undoes the steps.
"""
from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
os.environ.setdefault("OMP_NUM_THREADS", "1")

KINDS = {"through": "backpropagation", "adjoint": "adjoint"}
STEPS = (64, 256, 1024, 4096)


def one(kind: str, steps: int) -> dict[str, float]:
    """Here, in this process: megabytes and milliseconds of one gradient."""
    import torch

    from benchmarks._peers import Module, weights
    from nde_lab.solvers import solve_sde
    torch.set_num_threads(1)
    sde, y0 = Module(weights(4, 32, 2, scale=1.5)), torch.zeros(128, 4)
    sde.sde_type, params = "stratonovich", list(sde.parameters())

    def gradient(n):
        found = solve_sde(sde, y0, [0.0, 1.0], method="reversible_heun", dt=1.0 / n, seed=0, gradient=kind,
                          params=params)
        torch.autograd.grad(found.ys[-1].square().mean(), params)
    gradient(8)
    before, start = _peak(), time.process_time()
    gradient(steps)
    return {"mb": _peak() - before, "ms": 1e3 * (time.process_time() - start)}


def _peak() -> float:
    """Peak resident memory of this process, MB.

    Linux: VmHWM, since getrusage also counts what the parent held when it started this process. Elsewhere
    getrusage, in kB, on macOS in bytes.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line, = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def measure(steps) -> list[dict]:
    """A row for each number of steps: megabytes and milliseconds of both kinds."""
    rows = []
    for n in steps:
        row = {"steps": n}
        for kind in KINDS:
            said = subprocess.run([sys.executable, __file__, "--one", kind, "--steps", str(n)], check=True,
                                  capture_output=True, text=True, cwd=ROOT).stdout
            row |= {f"{kind}_{name}": value for name, value in json.loads(said).items()}
        rows.append(row)
        print(as_text(row), flush=True)
    return rows


def as_text(row: dict) -> str:
    return f"{row['steps']:6d} steps   " + "   ".join(
        f"{name} {row[f'{kind}_mb']:7.1f} MB {row[f'{kind}_ms']:8.0f} ms" for kind, name in KINDS.items())


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="numbers of steps to measure")
    parser.add_argument("--one", choices=KINDS, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if min(given.steps) < 1:
        parser.error(f"--steps must be at least 1, got {min(given.steps)}")
    if given.one:
        print(json.dumps(one(given.one, given.steps[0])))
    else:
        measure(given.steps)


if __name__ == "__main__":
    main()
