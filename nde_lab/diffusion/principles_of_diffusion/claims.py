"""Quick claims: the identities between the three views, on Gaussians and mixtures with exact scores.

Float64 unless samples are drawn. Schedules: VP (beta 0.1 to 20), VE (0.01 to 10), linear, cosine.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor

from nde_lab import nets
from nde_lab.claims import Verdict, claim
from nde_lab.diffusion.dpm_solver import ddim_solve, noise_of
from nde_lab.diffusion.principles_of_diffusion.flow_maps import GaussianFlow, mean_velocity_gap
from nde_lab.diffusion.principles_of_diffusion.guidance import TwoClasses, guided_moments, moments
from nde_lab.diffusion.principles_of_diffusion.kernels import back, reverse_kernel, step_kl
from nde_lab.diffusion.principles_of_diffusion.matching import target
from nde_lab.diffusion.principles_of_diffusion.schedules import SCHEDULES, sde_of, slopes
from nde_lab.diffusion.score_sde import KINDS, VP, Mixture, Process, convert, euler_sample
from nde_lab.metrics import fitted_slope
from nde_lab.random import Normal, Uniform, sample
from nde_lab.solvers import integrate_ode

PAPER = "principles-of-diffusion-models"
RING = Mixture.ring()
TIMES = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
T64 = torch.float64


def relative(found: Tensor, true: Tensor) -> float:
    """Largest difference, in units of 1 + the size of the true values."""
    return ((found - true).abs() / (1 + true.abs())).max().item()


def noised_ring(process: Process, n: int, *, seed: int, dtype=T64, target: Mixture = RING, low: float = 0.05):
    """t (n, 1) uniform from ``low`` to the horizon, data x0, noise z and the state x_t, (n, D) each."""
    d = target.means.shape[1]
    drawn = sample({"t": Uniform((n, 1)), "u": Uniform((n,)), "w": Normal((n, d)), "z": Normal((n, d))},
                   seed=seed, stream="data", dtype=dtype)
    t = low + (process.horizon - low) * drawn["t"]
    x0 = target.draw(drawn["u"], drawn["w"])
    return t, x0, drawn["z"], process.noised(t, x0, drawn["z"])


@claim(paper=PAPER, where="Sec. 4.4",
       says="score, noise, data and velocity predictions are one, and so are kernel and SDE (Lemma 4.4.1)")
def four_predictions_one_kernel() -> Verdict:
    """On the ring, 500 noised points a schedule, all 16 conversions, the velocity also as m' D + s' noise; a
    and g^2 by autograd."""
    measured = {}
    for name, process in SCHEDULES.items():
        t, _, _, x = noised_ring(process, 500, seed=0)
        score = RING.score(process)(t, x)
        all_four = {k: convert(score, x, t, process, source="score", target=k) for k in KINDS}
        worst = max(relative(convert(all_four[a], x, t, process, source=a, target=b), all_four[b])
                    for a in KINDS for b in KINDS)
        m_slope, s_slope = slopes(process, t)
        worst = max(worst, relative(m_slope * all_four["data"] + s_slope * all_four["noise"],
                                    all_four["velocity"]))
        found, told = sde_of(process.mean, process.std, TIMES), process.coefficients(TIMES)
        measured[name] = {"conversions": worst, "a": relative(found.rate, told.rate),
                          "g²": relative(found.g2, told.g2)}
    straight = sde_of(lambda t: 1 - t, lambda t: t, TIMES)
    measured["m = 1 - t, s = t"] = {"a": relative(straight.rate, -1 / (1 - TIMES)),
                                    "g²": relative(straight.g2, 2 * TIMES / (1 - TIMES))}
    worst = max(v for row in measured.values() for v in row.values())
    return Verdict({f"{name}: {what}": float(f"{v:.1e}") for name, row in measured.items()
                    for what, v in row.items()}, "all below 1e-12", worst < 1e-12,
                   unit="largest difference, relative to 1 + size")


@claim(paper=PAPER, where="Lemma 4.4.2, Eq. 4.4.7",
       says="the way back is Gaussian, and its KL is half the drop of the SNR times the squared error")
def way_back_and_its_price() -> Verdict:
    """p(x_r | x_t, x0) averaged over p(x_t | x0) is p(x_r | x0); KLs against the formula of two normals."""
    lost, price = 0.0, 0.0
    for process in SCHEDULES.values():
        t, x0, z, x = noised_ring(process, 500, seed=1)
        share = sample({"v": Uniform((500, 1))}, seed=1, stream="share", dtype=T64)["v"]
        r, c = t * (0.05 + 0.9 * share), back(process, t, t * (0.05 + 0.9 * share))
        at, to = process.coefficients(t), process.coefficients(r)
        lost = max(lost, relative((c.state * at.mean + c.data) * x0, to.mean * x0),
                   relative(c.state.square() * at.std.square() + c.variance, to.std.square()))
        guess = x0 + 0.3 * z.flip(0)
        true, model = (reverse_kernel(process, t, r, x, v) for v in (x0, guess))
        kl = 0.5 * (true.mean - model.mean).square().sum(-1) / true.variance[:, 0]
        price = max(price, relative(step_kl(process, t, r, x0, guess), kl))
    return Verdict({"means and variances": float(f"{lost:.1e}"), "KL": float(f"{price:.1e}")},
                   "both below 1e-12", max(lost, price) < 1e-12, unit="largest relative difference")


def random_net(seed: int, k: int):
    """A random predict(t, x) in the plane, float64, of size about 1."""
    net = nets.functional(nets.mlp([3, 32, 2], act="tanh"))
    params = {n: 3 * v for n, v in sample(net.draws, seed=seed, stream=f"net{k}", dtype=T64).items()}
    return lambda t, x: net.apply(params, torch.cat([x, t], -1))


def paired_gap(kind: str, seed: int, *, n: int = 100_000) -> float:
    """(conditional - marginal loss) of one random net minus the same of another, in its standard errors."""
    process = SCHEDULES["VP" if kind == "noise" else "linear"]
    t, x0, z, x = noised_ring(process, n, seed=seed)
    asked = target(process, kind, t, x0, z)
    wanted = convert(RING.score(process)(t, x), x, t, process, source="score", target=kind)
    gaps = [((net(t, x) - asked).square() - (net(t, x) - wanted).square()).sum(-1)
            for net in (random_net(seed, 0), random_net(seed, 1))]
    off = gaps[0] - gaps[1]
    return (off.mean() / (off.std() / n**0.5)).item()


@claim(paper=PAPER, where="Sec. 4.2, flow view", seeds=3,
       says="denoising score matching is explicit score matching plus a constant")
def score_matching_up_to_a_constant() -> Verdict:
    """Two random networks a seed, 100,000 noised points of the ring, VP, losses times s^2: the constant must
    not depend on the network."""
    measured = [round(paired_gap("noise", seed), 2) for seed in range(3)]
    return Verdict(measured, "within 3 standard errors of 0 on every seed", all(abs(v) < 3 for v in measured),
                   unit="standard errors")


@claim(paper=PAPER, where="flow view", seeds=3,
       says="conditional flow matching is flow matching plus a constant")
def flow_matching_too() -> Verdict:
    """The same for the velocity on the linear path. Not among the checks of our notes, so the bound is ours."""
    measured = [round(paired_gap("velocity", seed), 2) for seed in range(3)]
    return Verdict(measured, "within 4 standard errors of 0 on every seed", all(abs(v) < 4 for v in measured),
                   unit="standard errors",
                   note="one of the three is beyond 3 standard errors; over 25 further seeds the mean was "
                        "0.4, the standard deviation 0.8, and none was beyond 1.7")


def sliced_w2(x: Tensor, y: Tensor, directions: int = 16) -> float:
    """Root mean square over directions of the W2 distance of projections: (n, 2), (n, 2)."""
    angle = torch.arange(directions, dtype=x.dtype) * (torch.pi / directions)
    turn = torch.stack([angle.cos(), angle.sin()])
    return ((x @ turn).sort(0).values - (y @ turn).sort(0).values).square().mean().sqrt().item()


def marginal_distance(seed: int, *, n: int = 2000, at: float = 0.3) -> tuple[float, float]:
    """Sliced W2 at time ``at`` between the reverse SDE (1000 steps) and the flow (100 steps), and the mean + 3
    standard deviations of 20 such distances between independent exact samples."""
    process, ring = VP(), Mixture.ring(dtype=torch.float32)
    found = []
    for steps, noise in ((1000, 1.0), (100, 0.0)):
        drawn = sample({"x": Normal((n, 2)), "z": Normal((steps, n, 2))}, seed=seed, stream=f"sampler{noise:g}")
        times = torch.linspace(1, at, steps + 1, dtype=T64)
        # euler_sample adds no noise in its last step, and a sample at t = 0.3 must have it: one tiny step more
        times = torch.cat([times, times[-1:] - 1e-6])
        z = torch.cat([drawn["z"], drawn["z"][:1]])
        found.append(euler_sample(process, ring.score(process), drawn["x"], times, z, noise=noise))
    exact = []
    for k in range(20):
        pair = [sample({"u": Uniform((n,)), "w": Normal((n, 2)), "z": Normal((n, 2))}, seed=seed,
                       stream=f"exact{k}{side}") for side in "ab"]
        exact.append(sliced_w2(*(process.noised(at, ring.draw(p["u"], p["w"]), p["z"]) for p in pair)))
    exact = torch.tensor(exact)
    return sliced_w2(*found), (exact.mean() + 3 * exact.std()).item()


@claim(paper=PAPER, where="Sec. 4.5", seeds=3, says="the reverse SDE and the flow have the same marginals")
def same_marginals() -> Verdict:
    """The ring, VP, exact score, 2000 samples each at t = 0.3."""
    rows = [marginal_distance(seed) for seed in range(3)]
    return Verdict({"SDE to flow": [round(a, 4) for a, _ in rows], "bound": [round(b, 4) for _, b in rows]},
                   "below mean + 3 standard deviations of the distance of two exact samples, on every seed",
                   all(a < b for a, b in rows), unit="sliced W2")


def ddim_order(flow: GaussianFlow, x: Tensor) -> float:
    """Fitted order of DDIM from t = 1 (or the horizon) to 0.05 in steps uniform in t, against the flow map."""
    end, counts, errors = 0.05, (20, 40, 80, 160), []
    exact = flow.map(flow.process.horizon, end, x)
    for n in counts:
        found = ddim_solve(noise_of(flow.score, flow.process), flow.process, x, flow.process.times(n, end))
        errors.append((found - exact).square().mean().sqrt().item())
    return -fitted_slope(counts, errors)


@claim(paper=PAPER, where="flow maps",
       says="the flow map has the semigroup property and a mean velocity; DDIM converges to it at order 1")
def gaussian_flow_map() -> Verdict:
    """Data N(0.7, 0.5^2). The closed form against RK4 too."""
    measured, orders = {}, {}
    x = torch.linspace(-2, 2, 41, dtype=T64)[:, None]
    for name, process in SCHEDULES.items():
        flow = GaussianFlow(process, 0.7, 0.5)
        t, u, r = 0.9, 0.5, 0.1
        solved = integrate_ode(flow.velocity, x, torch.linspace(t, r, 801, dtype=T64), method="rk4",
                               save="last")
        row = torch.full_like(x, t), torch.full_like(x, r)
        measured[name] = max(relative(flow.map(t, r, x), solved),
                             relative(flow.map(u, r, flow.map(t, u, x)), flow.map(t, r, x)),
                             mean_velocity_gap(flow, *row, x).abs().max().item())
        orders[name] = ddim_order(flow, process.prior_std * x)
    holds = all(v < 1e-6 for v in measured.values()) and all(abs(v - 1) < 0.15 for v in orders.values())
    return Verdict({f"{n}: identities": float(f"{v:.1e}") for n, v in measured.items()}
                   | {f"{n}: order of DDIM": round(v, 3) for n, v in orders.items()},
                   "identities to 1e-6, order within 0.15 of 1", holds,
                   unit="largest difference; fitted order")


@claim(paper=PAPER, where="guidance",
       says="classifier-free guidance samples neither p(x | c) nor the tilted density p(x | c)^(1+w) p(x)^(-w)")
def guidance_is_not_tilting() -> Verdict:
    """Classes N(+-1, 1), VP, the guided flow by its map; the tilted density by quadrature."""
    grid = torch.linspace(-10, 15, 5001, dtype=T64)
    found = {w: guided_moments(SCHEDULES["VP"], w) for w in (0, 1, 3)}
    tilted = {w: tuple(v.item() for v in moments(TwoClasses().tilted(grid, w), grid)) for w in (0, 1, 3)}
    (m0, s0), (m1, s1), (m3, s3) = found.values()
    holds = m0 < m1 < m3 and m1 > 1 and s0 > s1 > s3 and all(found[w][0] > tilted[w][0] + 0.1 for w in (1, 3))
    return Verdict({f"w = {w}: {what}": [round(v, 4) for v in pair[w]] for w in (0, 1, 3)
                    for what, pair in (("sampled", found), ("tilted", tilted))},
                   "sampled mean rises with w and is above 1 from w = 1, standard deviation falls, and the "
                   "mean exceeds the tilted one by more than 0.1", holds,
                   note="at w = 0 the mean is 0.993: the prior is centred at 0, the noised class at 0.007",
                   unit="mean, standard deviation")


@claim(paper=PAPER, where="Sec. 4.4", says="schedules differ in clock and scale only: the flow is one")
def one_flow_four_schedules() -> Verdict:
    """From x / m = 5 at s / m = 5, by RK4 to s / m = 0.2, on three bumps: where x / m ends."""
    bumps = Mixture.of([-1.6, 0.1, 1.6], [0.3, 0.25, 0.3], [0.3, 0.3, 0.4])
    lam = torch.linspace(-math.log(5.0), -math.log(0.2), 801, dtype=T64)
    y = torch.linspace(-9, 9, 37, dtype=T64)[:, None]
    ends = []
    for process in SCHEDULES.values():
        times = process.time_at(lam)
        start = process.mean(times[0]) * y
        end = integrate_ode(process.flow(bumps.score(process)), start, times, method="rk4", save="last")
        ends.append(end / process.mean(times[-1]))
    gap = max((a - ends[0]).abs().max().item() for a in ends)
    return Verdict(float(f"{gap:.1e}"), "the four agree to 1e-6", gap < 1e-6,
                   unit="largest difference of x / m", note="not among the checks of our notes")
