"""What the two-marginal theory says, against the closed form. Float64 unless a network trains."""
from __future__ import annotations

import torch

from nde_lab.bridges.multi_marginal.gaussian import GaussianBridge
from nde_lab.bridges.multi_marginal.line import chains, mid_variance
from nde_lab.bridges.multi_marginal.matching import BridgeMixture, fitted_coupling
from nde_lab.bridges.multi_marginal.static import PointBridge
from nde_lab.claims import Verdict, claim
from nde_lab.metrics import fitted_slope
from nde_lab.random import Normal, sample

PAPER = "multi-marginal-schroedinger-bridges"
T64 = torch.float64
LINE = GaussianBridge.of(0, 1, 2, 0.25, sigma=1)


def grid_bridge(g: GaussianBridge, points: int = 401, half_width: float = 8.0) -> PointBridge:
    """The two normal laws of g (D = 1) on a grid, joined by Sinkhorn's iteration."""
    x = torch.linspace(-half_width, half_width, points, dtype=T64)[:, None]
    weights = [torch.softmax(-(x[:, 0] - m).square() / (2 * S[0, 0]), 0) for m, S in ((g.m0, g.S0), (g.m1, g.S1))]
    return PointBridge.of(x, x, sigma=float(g.reference.sigma), a=weights[0], b=weights[1], tolerance=1e-12)


def covariance(bridge: PointBridge) -> float:
    """Covariance of start and end on the line."""
    plan, x, y = bridge.plan(), bridge.x0[:, 0], bridge.x1[:, 0]
    return (x @ plan @ y - (plan.sum(1) @ x) * (plan.sum(0) @ y)).item()


@claim(paper=PAPER, where="Closed form between Gaussians (Bunne et al. 2023)", seeds=20,
       says="the off-diagonal block of the ends' joint precision is that of the reference, -I/σ²")
def gaussian_precision() -> Verdict:
    """Twenty random pairs of normal laws in 1 to 4 dimensions, sigma from 0.3 to 2."""
    worst = 0.0
    for seed in range(20):
        d, sigma = 1 + seed % 4, 0.3 + 1.7 * seed / 19
        z = sample({"a": Normal((2, d, d)), "m": Normal((2, d))}, seed=seed, stream="laws", dtype=T64)
        S0, S1 = (a @ a.T + 0.2 * torch.eye(d, dtype=T64) for a in z["a"])
        g = GaussianBridge.of(z["m"][0], S0, z["m"][1], S1, sigma=sigma)
        joint = torch.cat([torch.cat([S0, g.C], 1), torch.cat([g.C.T, S1], 1)])
        block = torch.linalg.inv(joint)[:d, d:]
        worst = max(worst, (sigma**2 * block + torch.eye(d, dtype=T64)).abs().max().item())
    return Verdict(float(f"{worst:.1e}"), "below 1e-8", worst < 1e-8, unit="largest error, in units of 1/σ²")


@claim(paper=PAPER, where="Static bridge; toy B",
       says="Sinkhorn's iteration on a grid finds the bridge's coupling")
def grid_sinkhorn() -> Verdict:
    """N(0, 1) to N(2, 1/4), sigma = 1, 401 points on [-8, 8]."""
    gap = abs(covariance(grid_bridge(LINE)) - LINE.C.item())
    return Verdict({"c": round(LINE.C.item(), 6), "error": float(f"{gap:.1e}")}, "c to 1e-6", gap < 1e-6)


@claim(paper=PAPER, where="Dynamic bridge",
       says="glueing the reference's bridges onto the static plan gives the dynamic bridge, with drift f + σ² ∇ log ψ")
def static_gives_dynamic() -> Verdict:
    """On a grid of 81 points: drift of the mixture of Brownian bridges, drift by psi, closed form; five times."""
    bridge = grid_bridge(LINE, points=81, half_width=5.0)
    mixture = BridgeMixture(bridge.reference, bridge.x0, bridge.x1, bridge.log_plan())
    y = torch.linspace(-0.5, 2.5, 13, dtype=T64)[:, None]
    times = (0.1, 0.3, 0.5, 0.7, 0.9)
    found = [[f(y, t) for f in (mixture.forward, bridge.forward, LINE.forward)] for t in times]
    glued = max((a - b).abs().max().item() for a, b, _ in found)
    closed = max((b - c).abs().max().item() for _, b, c in found)
    return Verdict({"mixture against ψ": float(f"{glued:.1e}"), "ψ against closed form": float(f"{closed:.1e}")},
                   "below 1e-7 and 1e-3 (grid)", glued < 1e-7 and closed < 1e-3, unit="largest difference of drifts")


@claim(paper=PAPER, where="Dynamic bridge", says="the drifts of the two clocks add up to σ² times the score")
def two_clocks() -> Verdict:
    """Random clouds of 30 points in the plane; the score by differences of log p_t; three times, reference with and
    without a pull."""
    z = sample({"x": Normal((30, 2)), "y": Normal((30, 2), 1.0), "p": Normal((40, 2))}, seed=0, stream="clouds",
               dtype=T64)
    worst, h = 0.0, 1e-4
    for pull in (0.0, 1.5):
        bridge = PointBridge.of(z["x"], z["y"], sigma=0.8, pull=pull)
        for t in (0.2, 0.5, 0.8):
            score = torch.stack([(bridge.log_density(z["p"] + h * e, t) - bridge.log_density(z["p"] - h * e, t))
                                 / (2 * h) for e in torch.eye(2, dtype=T64)], 1)
            both = bridge.forward(z["p"], t) + bridge.backward(z["p"], t)
            worst = max(worst, (both - 0.64 * score).abs().max().item())
    return Verdict(float(f"{worst:.1e}"), "below 1e-4 (differences)", worst < 1e-4, unit="largest difference")


@claim(paper=PAPER, where="Limits of the noise",
       says="little noise gives optimal transport, much noise independent ends")
def limits_of_noise() -> Verdict:
    """N(0, 1) to N(2, 1/4): correlation of the ends at sigma = 0.01 and 100, by the closed form; and the plan of 30
    points sorted on a line at sigma = 0.15."""
    rho = [(GaussianBridge.of(0, 1, 2, 0.25, sigma=s).C / 0.5).item() for s in (0.01, 100.0)]
    z = sample({"x": Normal((30, 1)), "y": Normal((30, 1))}, seed=0, stream="points", dtype=T64)
    x, y = z["x"].sort(0).values, z["y"].sort(0).values
    fine = PointBridge.of(x, y, sigma=0.15).plan()
    cost = (fine * 0.5 * (x - y.T).square()).sum().item()
    monotone = 0.5 * (x - y).square().mean().item()
    holds = rho[0] > 0.999 and rho[1] < 1e-3 and monotone <= cost + 1e-9 < monotone + 0.15**2 * 3.41
    return Verdict({"correlation, σ = 0.01": round(rho[0], 6), "σ = 100": float(f"{rho[1]:.1e}"),
                    "cost at σ = 0.15": round(cost, 4), "monotone": round(monotone, 4)},
                   "above 0.999; below 0.001; the cost within σ² log 30 of the monotone map's", holds)


@claim(paper=PAPER, where="Pitfalls: time reversal by Euler steps",
       says="every time reversal adds an error of first order in the step")
def reversal_bias() -> Verdict:
    """N(0, 1) to N(2, 1/4), sigma = 1, infinitely many particles: the mid-time variance after five iterations, for
    50 to 400 steps, and after ten at 40 steps, beside the exact 0.6661."""
    exact = LINE.cov(0.5).item()
    steps = (50, 100, 200, 400)
    bias = [exact - mid_variance(chains(LINE, k, 10)[-1]) for k in steps]
    order = -fitted_slope(steps, bias)
    coarse = mid_variance(chains(LINE, 40, 20)[-1])
    holds = abs(order - 1) < 0.1 and 0.54 <= coarse <= 0.62
    return Verdict({"order": round(order, 3), "bias at 100 steps": round(bias[1], 4),
                    "40 steps, 10 iterations": round(coarse, 4)},
                   "order 1 within 0.1; 40 steps and 10 iterations give 0.54 to 0.62", holds)


@claim(paper=PAPER, where="Pitfalls, our repair",
       says="with the noise that the regression leaves over, in place of σ √h, the bias is gone")
def left_over_noise() -> Verdict:
    """As above, 4, 10 and 40 steps, eight iterations."""
    gaps = {f"{k} steps": abs(mid_variance(chains(LINE, k, 16, residual=True)[-1]) - LINE.cov(0.5).item())
            for k in (4, 10, 40)}
    return Verdict({k: float(f"{v:.0e}") for k, v in gaps.items()}, "below 1e-6 at any number of steps",
                   max(gaps.values()) < 1e-6, unit="error of the mid-time variance",
                   note="Not in the paper. The reversed chain is then exact for normal laws.")


@claim(paper=PAPER, where="Iterated Markovian fitting (Shi et al. 2023)",
       says="bridge matching, repeated with the ends of the learned process, ends at the Schroedinger bridge")
def markovian_fitting() -> Verdict:
    """N(0, 1) to N(2, 1/4), sigma = 1, from independent pairs; errors of the coupling c after each round."""
    c, gaps = 0.0, []
    for _ in range(8):
        c = fitted_coupling(LINE, c)
        gaps.append(abs(c - LINE.C.item()))
    return Verdict([float(f"{g:.1e}") for g in gaps], "below 1e-6 after eight rounds", gaps[-1] < 1e-6,
                   unit="error of c")
