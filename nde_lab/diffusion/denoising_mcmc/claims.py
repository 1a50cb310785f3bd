"""Claims on eight modes on a circle (radius 4, std 0.2), exact score, 60 levels from 0.02 to 10, three seeds.

1000 chains all start in one mode at sigma = 1 and run 150 turns before anything is counted.
"""
from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from nde_lab.autodiff import loop
from nde_lab.claims import Verdict, claim
from nde_lab.diffusion.denoising_mcmc.gibbs import dlg_chain, langevin, level_given, levels, score_at
from nde_lab.diffusion.denoising_mcmc.karras import denoise
from nde_lab.diffusion.score_sde import Mixture
from nde_lab.metrics import energy_distance
from nde_lab.random import Normal, Uniform, sample

PAPER = "denoising-mcmc"
MODES, RADIUS, STD = 8, 4.0, 0.2
LOW, HIGH, BURN, CHAINS, SEEDS = 0.02, 10.0, 150, 1000, (0, 1, 2)
RING = Mixture.ring(MODES, RADIUS, STD, dtype=torch.float32)
SCORE, GRID = score_at(RING), levels(LOW, HIGH, dtype=torch.float32)
USES = ("nde_lab.diffusion.score_sde.mixtures",)
SPLITS = ((4, 1), (2, 3), (6, 1), (4, 3), (2, 5), (8, 1), (4, 5), (12, 1), (8, 5))


def quality(x: Tensor) -> tuple[float, float]:
    """Of samples (n, 2): share within three standard deviations of a mode, and the total variation between the
    shares of the modes and 1/8 each."""
    k, off = RING.nearest(x)
    share = torch.bincount(k, minlength=MODES).double() / len(k)
    inside = (off.norm(dim=1) < 3 * STD).double().mean()
    return inside.item(), 0.5 * (share - 1 / MODES).abs().sum().item()


@functools.cache
def truth(seed: int) -> Tensor:
    """1000 samples of the data, to compare with."""
    drawn = sample({"u": Uniform((CHAINS,)), "z": Normal((CHAINS, 2))}, seed=seed, stream="data")
    return RING.draw(drawn["u"], drawn["z"])


def _start(seed: int) -> tuple[Tensor, Tensor]:
    z = sample({"x": Normal((CHAINS, 2))}, seed=seed, stream="start")["x"]
    return RING.means[:1] + STD * z, torch.ones(CHAINS, 1)


def _noise(seed: int, turns: int, stream: str) -> tuple[Tensor, Tensor]:
    drawn = sample({"z": Normal((turns, CHAINS, 2)), "u": Uniform((turns, CHAINS))}, seed=seed, stream=stream)
    return drawn["z"], drawn["u"]


@functools.cache
def burnt(seed: int, likeliest: bool = False) -> tuple[Tensor, Tensor]:
    """States x (n, 2) and levels (n, 1) of all chains after the burn-in."""
    return dlg_chain(RING, SCORE, GRID, *_start(seed), *_noise(seed, BURN, "step"), likeliest=likeliest)[0]


def dlg_samples(seed: int, n_skip: int, n_den: int, *, likeliest: bool = False) -> Tensor:
    """One denoised sample of each chain, (n, 2): n_skip turns after the burn-in, then n_den evaluations."""
    _, best, _ = dlg_chain(RING, SCORE, GRID, *burnt(seed, likeliest), *_noise(seed, n_skip, "observe"),
                           likeliest=likeliest)
    return denoise(SCORE, *best, n_den, end=LOW)


def vanilla_samples(seed: int, evaluations: int) -> Tensor:
    """Heun from pure noise at the largest level, (n, 2); the last evaluation is Tweedie's step, as in DLG."""
    z = sample({"x": Normal((CHAINS, 2))}, seed=seed, stream="start")["x"]
    return denoise(SCORE, HIGH * z, torch.full((CHAINS, 1), HIGH), evaluations, end=LOW)


def row(seed: int, made: Tensor) -> tuple[float, float, float]:
    """In-mode share, total variation of the modes, energy distance to the data."""
    return *quality(made), energy_distance(made, truth(seed)).item()


def _mean(rows) -> list[float]:
    return [round(sum(v) / len(rows), 3) for v in zip(*rows, strict=True)]


@claim(paper=PAPER, where="Section 4 (toy)", cost="long", seeds=3, uses=USES,
       says="with very few evaluations, chains in data and noise level beat a reversal from pure noise")
def dlg_against_vanilla() -> Verdict:
    """Every split of the budgets 5, 7, 9 and 13, and Heun from sigma = 10."""
    five = [(quality(dlg_samples(s, 2, 3)), quality(vanilla_samples(s, 5))) for s in SEEDS]
    measured = {f"DLG {a} + {b} = {a + b}": _mean([row(s, dlg_samples(s, a, b)) for s in SEEDS])
                for a, b in SPLITS}
    measured |= {f"Heun {n}": _mean([row(s, vanilla_samples(s, n)) for s in SEEDS]) for n in (5, 7, 9, 13)}
    measured["seeds at 5: DLG 2 + 3, Heun"] = [round(v[0], 3) for pair in five for v in pair]
    holds = all(d[0] > 0.5 and v[0] < 0.05 and d[1] < 0.10 for d, v in five)
    return Verdict(measured, "on every seed at 5 evaluations DLG has more than 0.5 in the modes and vanilla "
                   "less than 0.05, and DLG's total variation is below 0.10", holds,
                   unit="share in a mode, total variation of the modes, energy distance to the data: means "
                        "over seeds",
                   note="burn-in is not counted. In two dimensions plain Heun catches up at 9 evaluations "
                        "and has the larger share in the modes at 13; the gap between noise and data is far "
                        "larger for images. Splits with one denoising step beat the others here")


@claim(paper=PAPER, where="Section 2 (toy)", cost="long", seeds=3, uses=USES,
       says="Langevin chains at a small noise level stay in their mode; chains that change level leave it")
def dlg_mixes() -> Verdict:
    """All chains start in one mode. Total variation of the modes after 150 turns of each."""
    stuck, mixed = [], []
    for s in SEEDS:
        z, _ = _noise(s, BURN, "step")
        sigma = torch.full((CHAINS, 1), 0.1)
        x, _ = loop(lambda x, z, sigma=sigma: (langevin(SCORE, x, sigma, z), None), _start(s)[0], z)
        stuck.append(round(quality(x)[1], 3))
        mixed.append(round(quality(dlg_samples(s, 4, 1))[1], 3))
    return Verdict({"Langevin at sigma = 0.1": stuck, "DLG": mixed},
                   "on every seed above 0.8 for Langevin and below 0.10 for DLG",
                   min(stuck) > 0.8 and max(mixed) < 0.1,
                   unit="total variation between the shares of the modes and 1/8, one number a seed")


@claim(paper=PAPER, where="official code (toy)", cost="long", seeds=3, uses=USES,
       says="the most probable noise level may stand in for a draw of it")
def likeliest_level_is_no_gibbs_step() -> Verdict:
    """The same chains with the most probable level in place of a drawn one, in two dimensions."""
    measured, apart = {}, []
    for name, likeliest in (("drawn", False), ("most probable", True)):
        made = [quality(dlg_samples(s, 4, 1, likeliest=likeliest)) for s in SEEDS]
        measured[f"{name}: in a mode"] = [round(v[0], 3) for v in made]
        measured[f"{name}: total variation"] = [round(v[1], 3) for v in made]
        apart.append(max(v[1] for v in made))
    return Verdict(measured, "total variation below 0.10 on every seed with the most probable level",
                   apart[1] < 0.1,
                   unit="one number a seed",
                   note="In two dimensions it does not hold: the level falls and stays down, and the chain "
                        "rests in the modes near its start. For images p(sigma | x) is so sharp that both "
                        "choices nearly agree.")


@claim(paper=PAPER, where="Section 3", says="the noise level can be drawn exactly given the data")
def level_conditional_is_exact() -> Verdict:
    """The closed form against a table: density times prior, level by level, normalised; 200 places, float64."""
    ring, grid = Mixture.ring(MODES, RADIUS, STD), levels(LOW, HIGH)
    x = sample({"x": Normal((200, 2), scale=4.0)}, seed=0, stream="data", dtype=torch.float64)["x"]
    table = torch.empty(len(x), len(grid), dtype=torch.float64)
    for j, sigma in enumerate(grid.tolist()):
        var = STD**2 + sigma**2
        for i, place in enumerate(x.tolist()):
            table[i, j] = sum(math.exp(-math.dist(place, mean) ** 2 / (2 * var)) / (2 * math.pi * var * MODES)
                              for mean in ring.means.tolist())
    table = table / table.sum(1, keepdim=True)
    gap = (table - level_given(ring, grid, x)).abs().max().item()
    return Verdict(gap, "largest difference below 1e-12", gap < 1e-12)
