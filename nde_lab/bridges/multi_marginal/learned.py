"""Long claims: IPF with particles, with kernels in the plane, and bridge matching with a network."""
from __future__ import annotations

import torch
from torch import Tensor

from nde_lab.bridges.multi_marginal.gaussian import GaussianBridge
from nde_lab.bridges.multi_marginal.ipf import KernelDrift, PerTimeLinear, ipf
from nde_lab.bridges.multi_marginal.matched import POINTS, SIGMA, BridgeMatching, clouds
from nde_lab.bridges.multi_marginal.matching import on_bridge
from nde_lab.bridges.multi_marginal.static import PointBridge, simulate
from nde_lab.claims import Verdict, claim
from nde_lab.experiment import last, run
from nde_lab.metrics import energy_distance
from nde_lab.random import Index, Normal, Uniform, sample

PAPER = "multi-marginal-schroedinger-bridges"
T64 = torch.float64


def middle(plan: Tensor, bridge: PointBridge, n: int = 1500) -> Tensor:
    """n points (n, d) of the mixture of bridges with this plan, at half time."""
    drawn = sample({"u": Uniform((n, 1)), "z": Normal((n, 2))}, seed=11, stream="middle", dtype=T64)
    pair = (drawn["u"] > plan.flatten().cumsum(0)).sum(1).clamp(max=plan.numel() - 1)
    return on_bridge(bridge.reference, bridge.reference.horizon / 2, bridge.x0[pair // plan.shape[1]],
                     bridge.x1[pair % plan.shape[1]], drawn["z"])


@claim(paper=PAPER, where="IPF by drift regression; toy B", cost="long", seeds=3,
       says="IPF with regressed drifts ends at the closed-form bridge")
def ipf_on_the_line() -> Verdict:
    """N(0, 1) to N(2, 1/4), sigma = 1; features 1, x at each of 100 time steps, 20,000 particles, 5 iterations."""
    g = GaussianBridge.of(0, 1, 2, 0.25, sigma=1)
    variances, couplings = [], []
    for seed in range(3):
        z = sample({"a": Normal((20_000, 1)), "b": Normal((20_000, 1), 2.0, 0.5)}, seed=seed, stream="data", dtype=T64)
        path = ipf(z["a"], z["b"], g.reference, PerTimeLinear(), steps=100, iterations=5, seed=seed).paths[-1][:, :, 0]
        variances.append(path[50].var().item())
        couplings.append(torch.cov(torch.stack([path[0], path[-1]]))[0, 1].item())
    exact, c = g.cov(0.5).item(), g.C.item()
    holds = (all(abs(v / exact - 1) < 0.08 for v in variances) and all(abs(v / c - 1) < 0.08 for v in couplings))
    return Verdict({"variance at 1/2": [round(v, 4) for v in variances], "c": [round(v, 4) for v in couplings]},
                   f"within 8 % of {exact:.4f} and {c:.4f}", holds)


@claim(paper=PAPER, where="GP regressor", cost="long", seeds=3,
       says="IPF with kernel regressions finds the bridge of two clouds in the plane")
def ipf_in_the_plane() -> Verdict:
    """Moons to blobs, sigma = 0.5, 40 steps, 4 iterations, 1280 particles, 150 centres. Energy distances at half time
    to the exact bridge: of the paths, and of bridges between random pairs. (With 320 particles some seeds miss the
    bound: what a fit gets wrong, the next one learns.)"""
    bridge = PointBridge.of(*clouds(), sigma=SIGMA)
    exact = middle(bridge.plan(), bridge)
    apart = energy_distance(exact, middle(torch.full((POINTS, POINTS), POINTS**-2.0, dtype=T64), bridge)).item()
    x0, x1 = bridge.x0.repeat(32, 1), bridge.x1.repeat(32, 1)
    found = [energy_distance(ipf(x0, x1, bridge.reference, KernelDrift(), steps=40, iterations=4, seed=seed).paths[-1][20],
                             exact).item() for seed in (10, 11, 12)]
    return Verdict({"IPF": [round(v, 4) for v in found], "random pairs": round(apart, 4)},
                   "below a fifth of random pairs' on every seed", max(found) < 0.2 * apart, unit="energy distance")


def learned_middle(pairs: str, seed: int, bridge: PointBridge) -> Tensor:
    """The crowd (1500, 2) at half time, simulated with a trained network."""
    made = run(BridgeMatching, {"pairs": pairs}, seed=seed)
    last(made)
    e, n = made.experiment, 1500
    params = e.net.params(made.state)
    drawn = sample({"i": Index((n,), POINTS), "z": Normal((40, n, 2))}, seed=seed, stream="crowd")
    path = simulate(lambda x, t: e.drift(params, x, t), bridge.x0.float()[drawn["i"]], SIGMA, drawn["z"])
    return path[20].double()


@claim(paper=PAPER, where="Bridge matching", cost="long", seeds=3,
       says="bridge matching with pairs of the entropic plan reproduces the bridge's law at half time")
def matched_middle() -> Verdict:
    """Moons to blobs, sigma = 0.5, the network of the figure, 500 steps. Energy distances at half time to the exact
    bridge; random pairs for comparison."""
    bridge = PointBridge.of(*clouds(), sigma=SIGMA)
    exact = middle(bridge.plan(), bridge)
    found = {pairs: [energy_distance(learned_middle(pairs, seed, bridge), exact).item() for seed in range(3)]
             for pairs in ("entropic plan", "at random")}
    holds = max(found["entropic plan"]) < 0.1 * min(found["at random"])
    return Verdict({p: [round(v, 4) for v in f] for p, f in found.items()},
                   "on every seed below a tenth of what random pairs give", holds, unit="energy distance")
