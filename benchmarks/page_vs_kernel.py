"""Training steps per second in the reader's page against the kernel's eager torch, one thread each.

The page's side is the lowered module run by node (the same engine as Chromium's): state, noise and live knobs
are copied in and the new state out, as the page's worker does; both sides reuse one draw of the noise. Slices
of both sides take turns, so that a busy machine slows them alike; times are medians of slices.

    nde-lab bench page_vs_kernel    or    python benchmarks/page_vs_kernel.py [NAME ...] [--repeats 7]
    [--plain]

Names: mlp, neural_sde, or registered experiments; all by default.
"""
from __future__ import annotations

import argparse
import base64
import gzip
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
torch.set_num_threads(1)

# Steps after which both sides begin again: far beyond its plan a run may sit on slow denormal numbers.
RESTART = 60
DRIVER = """
const lines = require("readline").createInterface({input: process.stdin});
let made = null, given = null, first = null, done = 0;
const kinds = {float32: Float32Array, int32: Int32Array, bool: Uint8Array};
lines.on("line", (line) => {
  const ask = JSON.parse(line);
  if (ask.source) {
    made = (0, eval)(ask.source)({wasm: ask.wasm}).programs.step;
    given = Object.fromEntries(Object.entries(ask.inputs).map(([k, [kind, text]]) =>
      [k, new kinds[kind](Uint8Array.from(Buffer.from(text, "base64")).buffer)]));
    first = Object.fromEntries(Object.entries(given).map(([k, v]) => [k, v.slice()]));
  }
  const start = performance.now();
  for (let i = 0; i < ask.steps; i++, done++) {
    if (done % RESTART === 0) for (const name in given) given[name].set(first[name]);
    const out = made(given);
    for (const name in given) {                      // the new state takes the old one's place
      const next = name.startsWith("state/") ? out["0/" + name.slice(6)] : undefined;
      if (next) given[name].set(next);
    }
  }
  process.stdout.write(JSON.stringify((performance.now() - start) / ask.steps) + "\\n");
});
"""


def mlp(rows: int = 256, width: int = 200) -> tuple[Callable, tuple]:
    """Two hidden layers, tanh, cross entropy, Adam: 20 -> 200 -> 200 -> 10 on batches of 256."""
    from nde_lab import nets, optimizers
    from nde_lab.autodiff import value_and_grad
    from nde_lab.random import sample
    net = nets.functional(nets.mlp([20, width, width, 10], act="tanh"))
    params = net.init(sample(net.draws, seed=0, stream="start"))

    def step(data, state, noise, live):
        def loss(p):
            return torch.nn.functional.cross_entropy(net.apply(p, noise["x"]), noise["y"])
        value, grads = value_and_grad(loss, net.params(state))
        new, moments = optimizers.adam(net.params(state), grads, state, lr=live["lr"])
        return new | moments, {"loss": value, "ok": value.isfinite()}
    made = torch.Generator().manual_seed(0)
    noise = {"x": torch.randn(rows, 20, generator=made), "y": torch.randint(10, (rows,), generator=made)}
    return step, ({}, params | optimizers.adam_state(params), noise, {"lr": torch.tensor(1e-4)})


def neural_sde(rows: int = 128, width: int = 32, turns: int = 20) -> tuple[Callable, tuple]:
    """Drift and diffusion networks, 20 Euler-Maruyama steps, energy distance of the end points to data,
    Adam."""
    from nde_lab import nets, optimizers
    from nde_lab.autodiff import loop, value_and_grad
    from nde_lab.random import sample
    drift = nets.functional(nets.mlp([3, width, width, 2], act="lipswish"), prefix="drift.")
    diffusion = nets.functional(nets.mlp([3, width, 2], act="lipswish", final="sigmoid"), prefix="diffusion.")
    params = {n: t for net in (drift, diffusion) for n,
              t in net.init(sample(net.draws, seed=0, stream="start")).items()}
    dt = 1 / turns

    def distance(a, b):
        return ((a[:, None] - b[None]) ** 2).sum(-1).add(1e-6).sqrt().mean()

    def step(data, state, noise, live):
        def loss(p):
            def body(z, x):
                t, dw = x
                u = torch.cat([z, t.expand(rows, 1)], 1)
                return z + drift.apply(p, u) * dt + live["noise"] * diffusion.apply(p, u) * dw, None
            z, _ = loop(body, noise["z0"], (data["t"], noise["dW"]))
            return 2 * distance(z, data["x"]) - distance(z, z)
        own = {n: state[n] for n in params}
        value, grads = value_and_grad(loss, own)
        new, moments = optimizers.adam(own, grads, state, lr=live["lr"])
        return new | moments, {"loss": value, "ok": value.isfinite()}
    made = torch.Generator().manual_seed(0)
    data = {"t": torch.arange(turns) * dt, "x": torch.randn(rows, 2, generator=made) * 0.3 + 1}
    noise = {"z0": torch.randn(rows, 2, generator=made),
             "dW": torch.randn(turns, rows, 2, generator=made) * dt ** 0.5}
    live = {"lr": torch.tensor(1e-4), "noise": torch.tensor(0.5)}
    return step, (data, params | optimizers.adam_state(params), noise, live)


def of_experiment(cls) -> tuple[Callable, tuple]:
    """A registered experiment's step at its default knobs, in its first state."""
    from nde_lab.experiment import run
    made = run(cls)
    return made.experiment.step, (made._data, made.state, made._draws["step"].at(0), made._tensors)


def cases(names: list[str]) -> dict[str, tuple[Callable, tuple]]:
    """All cases by name (those asked for)."""
    import nde_lab.sdes.stable_neural_sdes  # noqa: F401  (registers its experiments)
    from nde_lab.experiment import registered
    made = {"mlp": mlp, "neural_sde": neural_sde}
    made |= {n: (lambda c=c: of_experiment(c)) for n, c in registered().items()
             if "page" in c().plan.engines}
    if unknown := set(names) - set(made):
        raise SystemExit(f"unknown case {sorted(unknown)[0]!r}; there are: {', '.join(made)}")
    return {n: make() for n, make in made.items() if not names or n in names}


def measure(step: Callable, args: tuple, *, repeats: int, wasm: bool) -> dict[str, float]:
    """Milliseconds per step on both sides, seconds of trace and lowering, kilobytes."""
    from nde_lab.autodiff import trace
    from nde_lab.lowering import lower
    start = time.perf_counter()
    graph = trace(lambda data, state, noise, live: step(data, state, noise, live), args)
    traced = time.perf_counter()
    lowered = lower({"step": graph})
    done = time.perf_counter()
    inputs = {}
    leaves = dict(zip(graph.meta["inputs"], torch.utils._pytree.tree_leaves(args), strict=True))
    for item in lowered.manifest["programs"]["step"]["inputs"]:
        kind = {"float32": np.float32, "int32": np.int32, "bool": np.uint8}[item["dtype"]]
        array = np.ascontiguousarray(leaves[item["name"]].numpy().astype(kind))
        inputs[item["name"]] = [item["dtype"], base64.b64encode(array.tobytes()).decode()]
    node = subprocess.Popen([shutil.which("node") or "node", "-e", DRIVER.replace("RESTART", str(RESTART))],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def page(steps: int, **more) -> float:
        node.stdin.write(json.dumps({"steps": steps, **more}) + "\n")
        node.stdin.flush()
        return json.loads(node.stdout.readline())

    def kernel(steps: int) -> float:
        data, first, noise, live = args
        state = first
        begin = time.perf_counter()
        with torch.no_grad():
            for i in range(steps):
                state, _ = step(data, state if i % RESTART else first, noise, live)
        return 1e3 * (time.perf_counter() - begin) / steps
    page(20, source=lowered.source, inputs=inputs, wasm=wasm)
    kernel(3)
    pace = max(page(20), kernel(3))
    steps = max(3, int(150 / pace))
    page(steps)                                             # the engine compiles hot code in the background
    pairs = [(page(steps), kernel(steps)) for _ in range(repeats)]
    node.stdin.close()
    node.wait()
    node.stdout.close()
    return {"page": statistics.median(p for p, _ in pairs), "kernel": statistics.median(k for _, k in pairs),
            "ratio": statistics.median(k / p for p, k in pairs), "trace": traced - start,
            "lower": done - traced,
            "kilobytes": len(lowered.source) / 1000,
            "gzip": len(gzip.compress(lowered.source.encode())) / 1000}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="cases (default: all)")
    parser.add_argument("--repeats", type=int, default=7, help="slices of each side (default 7)")
    parser.add_argument("--plain", action="store_true", help="without WebAssembly")
    options = parser.parse_args(argv)
    if options.repeats < 1:
        parser.error("--repeats is at least 1")
    from nde_lab.autodiff import trace
    trace(lambda x: x + 1, (torch.zeros(1),))               # the tracer's import (4 s, once) is not counted
    print(f"{'case':<20}{'page ms':>9}{'torch ms':>10}{'steps/s, page : torch':>23}{'trace s':>9}"
          f"{'lower s':>9}{'kB':>7}{'gzip':>6}")
    for name, (step, args) in cases(options.names).items():
        r = measure(step, args, repeats=options.repeats, wasm=not options.plain)
        print(f"{name:<20}{r['page']:>9.3f}{r['kernel']:>10.3f}{r['ratio']:>21.2f} x{r['trace']:>9.2f}"
              f"{r['lower']:>9.2f}{r['kilobytes']:>7.0f}{r['gzip']:>6.0f}", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
