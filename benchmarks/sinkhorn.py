"""Wall time to a marginal error of 1e-9 with weak regularisation: ours against every POT variant that gets
there.

Random assignment, n x n, costs uniform on [0, 1], eps = 0.001 (the paper's eta = 1000), float64, one thread.
POT measures its error in the Euclidean norm, ours is the sum of absolute values. What is left sits in a few
rows, so POT stops at 5e-10, where the sum is about 1e-9; the sum that each one reached is printed. All take
turns in one run.

    nde-lab bench sinkhorn        or    python benchmarks/sinkhorn.py [--n 500] [--repeats 3]
"""
from __future__ import annotations

import argparse
import os

for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")        # read when numpy's products are first used

import importlib.util  # noqa: E402
import statistics  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402

from nde_lab.bridges.entropic import marginal_error, sinkhorn  # noqa: E402
from nde_lab.bridges.sinkhorn_newton_sparse.newton import sinkhorn_newton_sparse  # noqa: E402
from nde_lab.bridges.sinkhorn_newton_sparse.problems import random_assignment  # noqa: E402

EPS, TOLERANCE, GIVE_UP = 1e-3, 1e-9, 200_000
SNS = "nde_lab sinkhorn_newton_sparse, k = 6"
# A variant of POT that needs more than a minute for 500 x 500 runs once.
POT = ("sinkhorn", "sinkhorn_stabilized", "sinkhorn_epsilon_scaling", "sinkhorn_log")


def ours() -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Name -> (cost -> plan)."""
    return {
        SNS: lambda C: sinkhorn_newton_sparse(C, eps=EPS, keep=6, tolerance=TOLERANCE).plan,
        "nde_lab sinkhorn, annealed": lambda C: sinkhorn(C, eps=EPS, tolerance=TOLERANCE,
                                                         max_sweeps=GIVE_UP).plan,
        "nde_lab sinkhorn, plain": lambda C: sinkhorn(C, eps=EPS, tolerance=TOLERANCE, max_sweeps=GIVE_UP,
                                                      anneal=False).plan,
    }


def pot(slow: bool = True) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """The same with POT; empty where it is not installed."""
    if importlib.util.find_spec("ot") is None:
        return {}
    import ot

    def one(method):
        def solve(C):
            n = len(C)
            r = np.full(n, 1 / n)
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")     # where it does not converge; the error says so too
                return ot.sinkhorn(r, r, C, EPS, method=method, numItermax=GIVE_UP,
                                   stopThr=TOLERANCE / 2)
        return solve
    return {f"POT {ot.__version__} {method}": one(method) for method in POT if slow or method != "sinkhorn_log"}


def measure(n: int = 500, repeats: int = 3, slow: bool = True) -> dict[str, tuple[float, float]]:
    """Variant -> (median seconds, worst marginal error) over ``repeats`` problems (seeds 0, 1, ...)."""
    variants, seconds, errors = ours() | pot(slow), {}, {}
    for seed in range(repeats):
        C = random_assignment(n, seed=seed)
        r = np.full(n, 1 / n)
        for name, solve in variants.items():
            if seconds.get(name, [0])[-1] > 60:
                continue
            began = time.perf_counter()
            plan = solve(C)
            seconds.setdefault(name, []).append(time.perf_counter() - began)
            error = marginal_error(plan, r, r)
            errors.setdefault(name, []).append(error if np.isfinite(error) else np.inf)
    return {name: (statistics.median(seconds[name]), max(errors[name])) for name in variants}


def report(found: dict[str, tuple[float, float]]) -> str:
    """A line a variant, and the ratio to the fastest peer that converged."""
    reference = found[SNS][0]
    lines = [f"  {name:44s} {seconds:8.3f} s   {seconds / reference:7.1f} x   error {error:.1e}"
             + ("" if error <= 2 * TOLERANCE else "   (not converged)")
             for name, (seconds, error) in found.items()]
    peers = {name: s for name, (s, e) in found.items() if name.startswith("POT") and e <= 2 * TOLERANCE}
    if peers:
        best = min(peers, key=peers.get)
        lines.append(f"SNS is {peers[best] / reference:.1f} times as fast as the fastest POT variant that "
                     "converges "
                     f"({best})")
    else:
        lines.append('no POT here: pip install "nde_lab[bench]"' if not any(n.startswith("POT") for n in found)
                     else "no POT variant converged")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Time to a marginal error of 1e-9 at eps = 0.001.")
    parser.add_argument("--n", type=int, default=500, help="sources and targets (default 500)")
    parser.add_argument("--repeats", type=int, default=3, help="problems (default 3)")
    parser.add_argument("--fast", action="store_true", help="leave out POT's sinkhorn_log, which takes minutes")
    options = parser.parse_args(arguments)
    for name in ("n", "repeats"):
        if (value := getattr(options, name)) < 1:
            parser.error(f"--{name} must be at least 1, got {value}")
    print(f"random assignment {options.n} x {options.n}, eps = {EPS:g}, to a marginal error of {TOLERANCE:g}, "
          f"numpy {np.__version__}, one thread")
    print(report(measure(options.n, options.repeats, not options.fast)))


if __name__ == "__main__":
    main()
