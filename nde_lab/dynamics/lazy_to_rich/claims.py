"""Quick claims: the exact test loss, the spectrum of the first kernel, early times, weight scale, weight norm.

What needs long runs is in ``runs`` and ``phase``. D = 40, P = 200, infinite width, eps = 0.25, eta0 = 5 unless said.
"""
from __future__ import annotations

import numpy as np
import torch

from nde_lab.claims import Verdict, claim
from nde_lab.dynamics.lazy_to_rich.committee import full_batch_step, output
from nde_lab.dynamics.lazy_to_rich.model import (
    cka,
    eigenvalues,
    first_kernel,
    kernel_regression,
    quadratic,
    tangent_kernel,
    target,
    test_loss,
)
from nde_lab.dynamics.lazy_to_rich.simulator import first_below, problem, simulate
from nde_lab.random import Normal, sample

PAPER = "grokking-lazy-to-rich"
T64 = torch.float64
SEEDS = range(5)


def short(values) -> list:
    """Numbers for a table: three digits; infinity becomes "never"."""
    return [float(f"{v:.3g}") if np.isfinite(v) else "never" for v in np.asarray(values, float)]


@claim(paper=PAPER, where="equation of the test loss, section 4", seeds=5,
       says="the test loss of the committee machine is A + B + C, for any two means w and M")
def loss_formula_is_exact() -> Verdict:
    """A trained network (alpha = 1, 60 steps, N = 50): A + B + C against 80000 fresh inputs."""
    rows, worst = {}, 0.0
    for seed in SEEDS:
        p = problem(N=50, seed=seed)
        r = simulate(p, alpha=1.0, eps=0.25, steps=60)
        u, V = torch.as_tensor(r["u"]), torch.as_tensor(r["V"])
        X = sample({"x": Normal((80_000, 40), scale=40**-0.5)}, seed=seed, stream="observe", dtype=T64)["x"]
        sampled = float((quadratic(X, u, V) - target(X, p.beta)).square().mean())
        exact = float(test_loss(u, V, p.beta).total)
        rows[f"seed {seed}"] = short([exact, sampled])
        worst = max(worst, abs(sampled / exact - 1))
    return Verdict(rows, "equal within 5 % on every seed", worst < 0.05, unit="A + B + C; mean over 80000 inputs",
                   note="First tried with 20000 inputs: one seed of five was off by 6.7 %. The error has heavy tails; "
                        "the standard error was 2.1 to 2.6 %. So 80000 were taken; the bound is unchanged.")


def spectrum(D: int, eps: float, nodes: int = 6) -> np.ndarray:
    """All eigenvalues of ``first_kernel`` over x ~ N(0, I / D), largest first: (nodes^D,), exact.

    Gauss-Hermite quadrature on a grid of nodes^D points integrates polynomials up to the degree 2 nodes - 1 in each
    coordinate exactly, and every eigenfunction is a polynomial of degree 2 or less. The rest are zero."""
    x, weight = np.polynomial.hermite_e.hermegauss(nodes)
    X = torch.as_tensor(np.stack(np.meshgrid(*[x] * D, indexing="ij"), -1).reshape(-1, D) / D**0.5)
    root = np.sqrt(np.prod(np.stack(np.meshgrid(*[weight / weight.sum()] * D, indexing="ij"), -1), -1).reshape(-1))
    return np.linalg.eigvalsh(root[:, None] * first_kernel(X, X, eps).numpy() * root[None, :])[::-1]


@claim(paper=PAPER, where="section 4, spectrum (main text and appendix)",
       says="the first kernel has the eigenvalues 1/D, 2 eps / D^2 and (1 + 2/D) / D")
def stated_kernel_spectrum() -> Verdict:
    """D = 3, eps = 0.5, by quadrature: the distance from each printed value to the nearest eigenvalue."""
    D, eps = 3, 0.5
    found, rows, worst = spectrum(D, eps), {}, 0.0
    for name, value in {"linear": 1 / D, "quadratic": 2 * eps / D**2, "radial": (1 + 2 / D) / D}.items():
        nearest = float(found[np.abs(found - value).argmin()])
        rows[name] = short([value, nearest, eigenvalues(D, eps)[name][0]])
        worst = max(worst, abs(nearest / value - 1))
    return Verdict(rows, "an eigenvalue within 1 % of each printed value", worst < 0.01,
                   unit="printed; nearest eigenvalue; ours",
                   note="2 eps^2 / D^2 for quadratic forms (as the paper's own derivation gives), and eps^2 (1 + 2/D) / D "
                        "for |x|^2: a factor eps and a factor eps^2 are missing in print.")


@claim(paper=PAPER, where="section 4, spectrum, corrected",
       says="the eigenvalues are 1/D (D times), 2 eps^2 / D^2 (D (D + 1) / 2 - 1 times) and eps^2 (1/D + 2/D^2) (once)")
def corrected_kernel_spectrum() -> Verdict:
    """D = 2, 3 and eps = 0.1, 0.5, 1, by quadrature: all eigenvalues with their multiplicities."""
    rows, worst = {}, 0.0
    for D in (2, 3):
        for eps in (0.1, 0.5, 1.0):
            ours = np.sort(np.concatenate([[v] * n for v, n in eigenvalues(D, eps).values()]))[::-1]
            found = spectrum(D, eps)
            off = max(np.abs(found[: len(ours)] - ours).max(), np.abs(found[len(ours):]).max())
            rows[f"D = {D}, eps = {eps:g}"] = float(f"{off:.1g}")
            worst = max(worst, off)
    return Verdict(rows, "all equal to 1e-12", bool(worst < 1e-12), unit="largest difference of any eigenvalue")


@claim(paper=PAPER, where="Fig 1, Fig 3", seeds=5, says="the training loss falls early, the test loss much later")
def unseen_follows_seen() -> Verdict:
    """alpha = 1, 600 steps: training loss below 10 % and test loss below 20 % of the start."""
    rows, ratios = {}, []
    for seed in SEEDS:
        r = simulate(problem(seed=seed), alpha=1.0, eps=0.25, steps=600)
        times = [first_below(r["step"], r["train"], 0.1), first_below(r["step"], r["test"], 0.2)]
        rows[f"seed {seed}"] = short(times)
        ratios.append(times[1] / times[0])
    rows["median ratio"] = short([np.median(ratios)])[0]
    return Verdict(rows, "median ratio above 3", float(np.median(ratios)) > 3, unit="step of 10 % train, of 20 % test")


@claim(paper=PAPER, where="Fig 4", seeds=5,
       says="the early rise of the test loss is term C (linear power), the late fall is term B (features)")
def hump_is_linear_power() -> Verdict:
    """alpha = 1, 200 steps, every step looked at."""
    rows, holds = {}, True
    for seed in SEEDS:
        r = simulate(problem(seed=seed), alpha=1.0, eps=0.25, steps=200)
        top, fall = int(r["step"][r["C"].argmax()]), first_below(r["step"], r["B"], 0.9)
        rows[f"seed {seed}"] = short([top, fall])
        holds = holds and top <= np.ceil(fall)
    return Verdict(rows, "C is at its top no later than the step at which B has lost 10 %, on every seed", holds,
                   unit="step of the top of C; step of B below 90 %")


@claim(paper=PAPER, where="Fig 1", seeds=5, says="no weight decay is needed: the weights grow while the network groks")
def weights_grow() -> Verdict:
    """The explicit network, D = 40, P = 200, N = 100, alpha = 1, 400 steps: size of the weights, over that at the start,
    and the largest fall of it in one step."""
    rows, holds = {}, True
    for seed in SEEDS:
        p = problem(N=100, seed=seed)
        W, goal, sizes = p.W0, p.y + output(p.W0, p.X, 1.0, 0.25), []
        for _ in range(400):
            W = full_batch_step(W, p.X, goal, alpha=1.0, eps=0.25, eta0=5.0)
            sizes.append(float(W.norm() / p.W0.norm()))
        rows[f"seed {seed}"] = short([sizes[-1], max(0.0, float(np.max(-np.diff(sizes))))])
        holds = holds and sizes[-1] > 1
    return Verdict(rows, "larger than at the start, on every seed", holds,
                   unit="size of the weights at the end / at the start; largest fall in one step")


@claim(paper=PAPER, where="Fig 7", seeds=5,
       says="(exact form of it) the scale sigma of the first weights is alpha sigma and eps sigma in disguise")
def weight_scale_in_disguise() -> Verdict:
    """sigma = 3 and 0.7 at alpha = 1, eps = 0.25, N = 30, 60 steps: largest difference of the test loss on the way."""
    rows, worst = {}, 0.0
    for sigma in (3.0, 0.7):
        for seed in SEEDS:
            scaled = simulate(problem(N=30, sigma=sigma, seed=seed), alpha=1.0, eps=0.25, eta0=2.0, steps=60)
            plain = simulate(problem(N=30, seed=seed), alpha=sigma, eps=0.25 * sigma, eta0=2.0, steps=60)
            worst = max(worst, float(np.abs(scaled["test"] - plain["test"]).max()))
        rows[f"sigma = {sigma:g}"] = float(f"{worst:.1g}")
    return Verdict(rows, "equal to 1e-9 on every seed", worst < 1e-9, unit="largest difference of the test loss")


@claim(paper=PAPER, where="section 3, kernel alignment", seeds=5,
       says="the tangent kernel aligns with the task after the training loss has fallen")
def kernel_aligns_late() -> Verdict:
    """CKA of the kernel with the labels of 300 fresh inputs: at the start, when the training loss is at 10 %, and after
    1500 steps; alpha = 1, N infinite."""
    rows, holds = {}, True
    for seed in SEEDS:
        p = problem(seed=seed)
        X = sample({"x": Normal((300, 40), scale=40**-0.5)}, seed=seed, stream="observe", dtype=T64)["x"]
        y = target(X, p.beta)
        early = simulate(p, alpha=1.0, eps=0.25, steps=200)
        learned = int(np.ceil(first_below(early["step"], early["train"], 0.1)))
        got = [float(cka(first_kernel(X, X, 0.25), y))]
        for steps in (learned, 1500):
            r = simulate(p, alpha=1.0, eps=0.25, steps=steps)
            w, M = torch.as_tensor(r["w"]), torch.as_tensor(r["M"])
            got.append(float(cka(tangent_kernel(X, X, w, M, 0.25), y)))
        rows[f"seed {seed}"] = short(got)
        holds = holds and got[2] > got[1] > got[0]
    return Verdict(rows, "larger at each of the three moments, on every seed", holds,
                   unit="CKA at the start, at 10 % training loss, after 1500 steps")


@claim(paper=PAPER, where="section 4, difficulty y^T K^-1 y", seeds=5,
       says="near the lazy limit the weights move by the task's difficulty, y^T K^-1 y")
def difficulty_is_distance() -> Verdict:
    """D = 10, P = 30, N = 1000, alpha = 256, eps = 0.5: (alpha^2 / N) |W - W_0|^2 when trained, against y^T K^-1 y with
    the kernel at an infinitely wide start."""
    rows, worst = {}, 0.0
    for seed in SEEDS:
        p = problem(D=10, P=30, N=1000, seed=seed)
        W, goal = p.W0, p.y + output(p.W0, p.X, 256.0, 0.5)
        for _ in range(1500):
            W = full_batch_step(W, p.X, goal, alpha=256.0, eps=0.5, eta0=2.0)
        moved = 256.0**2 / 1000 * float((W - p.W0).square().sum())
        rows[f"seed {seed}"] = short([moved, kernel_regression(p.X, p.y, 0.5)[2]])
        worst = max(worst, abs(moved / kernel_regression(p.X, p.y, 0.5)[2] - 1))
    return Verdict(rows, "within 15 % on every seed", worst < 0.15, unit="squared distance; y^T K^-1 y")

