"""The empirical tangent kernel: time and memory of Jacobians in blocks and of the layer-wise form, beside a
loop.

    nde-lab bench tangent_kernel    or    python benchmarks/tangent_kernel.py [--repeats 3]

One thread, float32. Each number comes from a process of its own: the seconds of the processor that one kernel
took
(the best of the repeats; the first of each kind warms up), and the growth of peak resident memory. The loop
takes a
gradient for each point, stacks them and multiplies: what one would write first.
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

CASES = ("small", "multilayer", "wide", "convolution")
WAYS = {"loop": "loop over the points", "blocks": "Jacobians in blocks", "layers": "layer-wise"}


def case(name: str):
    """(module, points): 500 points and 100 thousand parameters (multilayer), and others around it."""
    import torch
    from torch import nn
    torch.manual_seed(0)

    def mlp(*sizes):
        parts = [p for n, m in zip(sizes[:-1], sizes[1:], strict=True) for p in (nn.Linear(n, m), nn.ReLU())]
        return nn.Sequential(*parts[:-1])
    if name == "convolution":
        return nn.Sequential(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(),
                             nn.Flatten(), nn.Linear(2048, 40), nn.ReLU(), nn.Linear(40, 1)), torch.randn(500, 1, 8, 8)
    sizes, n = {"small": ((2, 32, 1), 500), "multilayer": ((64, 280, 280, 1), 500),
                "wide": ((64, 1024, 1024, 1), 100)}[name]
    return mlp(*sizes), torch.randn(n, sizes[0])


def one(name: str, way: str, repeats: int) -> dict[str, float]:
    """Here, in this process: parameters, seconds and megabytes of one kernel."""
    import torch

    from nde_lab.dynamics.neural_tangent_kernel.empirical import layerwise_kernel, per_sample_kernel, tangent_kernel
    torch.set_num_threads(1)
    module, x = case(name)
    make = {"loop": per_sample_kernel, "blocks": tangent_kernel, "layers": layerwise_kernel}[way]
    make(module, x[:2])
    before, times = _peak(), []
    for _ in range(repeats):
        start = time.process_time()
        make(module, x)
        times.append(time.process_time() - start)
    return {"parameters": sum(p.numel() for p in module.parameters()), "points": len(x), "seconds": min(times),
            "mb": _peak() - before, "all_mb": _peak()}


def _peak() -> float:
    """Peak resident memory of this process, MB (Linux: VmHWM; elsewhere getrusage, on macOS in bytes)."""
    status = Path("/proc/self/status")
    if status.exists():
        line, = (line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3, help="kernels per number; the best counts")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.repeats < 1:
        parser.error(f"--repeats must be at least 1, got {given.repeats}")
    if given.one:
        print(json.dumps(one(*given.one, given.repeats)))
        return
    for name in CASES:
        rows = {}
        for way in WAYS:
            if name == "convolution" and way == "layers":
                continue
            said = subprocess.run([sys.executable, __file__, "--one", name, way, "--repeats", str(given.repeats)],
                                  check=True, capture_output=True, text=True, cwd=ROOT).stdout
            rows[way] = json.loads(said)
        first = rows["loop"]
        print(f"\n{name}: {first['points']} points, {first['parameters']:,} parameters")
        for way, row in rows.items():
            print(f"  {WAYS[way]:22s} {1e3 * row['seconds']:9.1f} ms   "
                  f"{first['seconds'] / row['seconds']:6.1f} x as fast"
                  f"   {row['mb']:7.0f} MB more, {row['all_mb']:.0f} MB in all", flush=True)


if __name__ == "__main__":
    main()
