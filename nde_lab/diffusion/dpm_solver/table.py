"""All samplers at equal numbers of evaluations: what the chapter prints, measured when it is printed.

Problem "flow": VP, three bumps, exact score (``claims``). Deterministic samplers have an error, the distance
from the exact flow; random ones have none, so all are also judged by the distance of their samples from the
data (W1). Problem "restoration": the mean-reverting one of ``nde_lab.diffusion.mr_sampler.claims``.
"""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.diffusion.dpm_solver import claims
from nde_lab.diffusion.dpm_solver.live import quantile
from nde_lab.diffusion.score_sde import euler_sample, predictor_corrector
from nde_lab.metrics import wasserstein_1d
from nde_lab.random import Normal, sample

RANDOM = {"Euler-Maruyama": 1, "predictor-corrector": 2}         # evaluations a step


def noisy(sampler: str, evaluations: int, n: int = 5000, seed: int = 0) -> Tensor:
    """n samples (n,) by a random sampler of ``RANDOM`` in that many evaluations, uniform times, exact score."""
    if sampler not in RANDOM:
        raise ValueError(f"unknown random sampler {sampler!r}; there are {', '.join(RANDOM)}")
    steps = evaluations // RANDOM[sampler]
    drawn = sample({"x": Normal((n, 1)), "z": Normal((steps, n, 1)), "c": Normal((steps, n, 1))}, seed=seed,
                   stream="start", dtype=torch.float64)
    args = (claims.PROCESS, claims.BUMPS.score(claims.PROCESS), drawn["x"], claims.PROCESS.times(steps),
            drawn["z"])
    made = euler_sample(*args) if sampler == "Euler-Maruyama" else predictor_corrector(*args, drawn["c"])
    return made[:, 0]


def flow_table(evaluations=(12, 24, 48), n: int = 500) -> dict[str, tuple[list[float], list[float]]]:
    """Sampler -> (RMS errors of the flow, W1 distances from the data), one of each for every budget.

    The flow's samplers start from n quantiles of the prior, so that chance plays no part in their W1; the
    random ones make 10 n samples, and have an empty list of errors. The row "the exact flow" is the floor of
    W1, which is the noise left at the last time; a sample of 10 n points adds about 0.01 to it.
    """
    p = ((torch.arange(n, dtype=torch.float64) + 0.5) / n)[:, None]
    start, exact, data = (quantile(claims.BUMPS, claims.PROCESS, t, p) for t in (1.0, 1e-3, 1e-9))
    rows = {name: ([], [wasserstein_1d(noisy(name, e, 10 * n), data[:, 0]).item() for e in evaluations])
            for name in RANDOM}
    for name in (*claims.SAMPLERS[4:], "DDIM", *claims.SAMPLERS[:3]):
        made = [claims.sampled(name, e, start) for e in evaluations]
        rows[name] = ([(x - exact).square().mean().sqrt().item() for x in made],
                      [wasserstein_1d(x[:, 0], data[:, 0]).item() for x in made])
    floor = wasserstein_1d(exact[:, 0], data[:, 0]).item()
    return rows | {"the exact flow": ([0.0] * len(evaluations), [floor] * len(evaluations))}


def restoration_table(evaluations=(12, 24, 48)) -> dict[str, tuple[list[float], list[float]]]:
    """The same errors for the samplers of mean-reverting diffusion (one evaluation a step); no distances."""
    from nde_lab.diffusion.mr_sampler import claims as mr
    return {name: ([mr.error(name, n) for n in evaluations], []) for name in mr.SAMPLERS}


def as_text(rows: dict[str, tuple[list[float], list[float]]], evaluations=(12, 24, 48)) -> str:
    """A table for a terminal: one line a sampler; "-" where there is no such number."""
    width, n = max(map(len, rows)), len(evaluations)
    head = " ".join(f"{e:>8}" for e in evaluations)
    lines = [f"{'evaluations':<{width}} |{head} |{head}"]
    for name, (errors, distances) in rows.items():
        cells = [" ".join(f"{v:8.4f}" for v in row) if row else " ".join(["       -"] * n)
                 for row in (errors, distances)]
        lines.append(f"{name:<{width}} |{cells[0]} |{cells[1]}")
    return "\n".join([f"{'':<{width}} |{'error of the flow':^{9 * n - 1}} |{'W1 to the data':^{9 * n - 1}}",
                      *lines])
