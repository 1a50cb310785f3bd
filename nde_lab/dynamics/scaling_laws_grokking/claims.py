"""Quick claims: the energy and its maxima, what the output layer sends back, units that repel, 2M - 2 units.

What needs training is in ``table`` and ``phase``.
"""
from __future__ import annotations

import math

import numpy as np
import torch

from nde_lab.claims import Verdict, claim
from nde_lab.dynamics.scaling_laws_grokking.construct import written_down
from nde_lab.dynamics.scaling_laws_grokking.groups import group, modes
from nde_lab.dynamics.scaling_laws_grokking.model import (
    climb,
    cosine,
    energies,
    inputs,
    preactivation,
    project,
    ridge,
    sent_back,
    sent_back_at_the_end,
    signal,
    targets,
)
from nde_lab.random import Normal, Permutation, Uniform, sample

PAPER = "provable-scaling-laws-grokking"
T64 = torch.float64


def summits(name: str, *, units: int, seed: int = 0, steps: int = 200, Y=None) -> torch.Tensor:
    """Unit vectors (2M, units) after ``steps`` of ascent from random directions, all pairs seen, float64.

    Y: targets of the energy (default: the group's table)."""
    G = group(name)
    W = sample({"w": Normal((2 * G.M, units))}, seed=seed, stream="start", dtype=T64)["w"]
    W, seen = W / W.square().sum(0).sqrt(), torch.ones(G.M**2, dtype=T64)
    Y = targets(G, dtype=T64) if Y is None else Y
    for k in range(steps):
        W = climb(W, Y, seen, 0.1 if k < steps - 20 else 0.05)
    return W


def shares(name: str, W: torch.Tensor) -> np.ndarray:
    """Power of each half of each column in each mode, over that half's own power: (2, modes, units)."""
    made, M = modes(name), len(W) // 2
    power = np.stack([made.power(W[:M].numpy()), made.power(W[M:].numpy())])
    return power / power.sum(1, keepdims=True)


def energy_of(name: str, W: torch.Tensor) -> np.ndarray:
    """Energy of each column with all pairs seen: (units,)."""
    G = group(name)
    return energies(W, targets(G, dtype=T64), torch.ones(G.M**2, dtype=T64)).numpy()


@claim(paper=PAPER, where="Thm 2, Cor 2", seeds=5,
       says="every local maximum of the energy is of one frequency, in both halves the same")
def energy_maxima_are_single_frequency() -> Verdict:
    """5 seeds x 40 random unit vectors for each of M = 7, 11, 12, 23; 200 steps of projected ascent."""
    rows, holds = {}, True
    for M in (7, 11, 12, 23):
        pure, split = [], []
        for seed in range(5):
            W = summits(f"Z{M}", units=40, seed=seed)
            share = shares(f"Z{M}", W)
            pure += list((share[0].argmax(0) == share[1].argmax(0)) & (share.max(1).min(0) > 0.999))
            split += list(W[:M].square().sum(0).numpy())
        rows[f"M = {M}"] = [float(np.mean(pure)), float(np.abs(np.array(split) - 0.5).max().round(6))]
        holds = holds and float(np.mean(pure)) >= 0.99
    return Verdict(rows, "at least 99 % of the ascents end with > 99.9 % of each half's power in one frequency, "
                         "the same for both", holds,
                   unit="fraction of 200 ascents; largest deviation of the first half's power from 1/2",
                   note="The phases of the two halves are free: a torus of maxima, of which the paper's "
                        "[u; ±Pu] is a part.")


@claim(paper=PAPER, where="Cor 2, values of the energy",
       says="at the maxima the energy is M/16 for a frequency, and M/8 for the alternating mode of even M")
def stated_energy_values() -> Verdict:
    """The energies that ascent reaches for one-hot inputs and |w| = 1."""
    rows, worst = {}, 0.0
    for M in (7, 11, 12, 23):
        name = f"Z{M}"
        W = summits(name, units=60)
        E, won = energy_of(name, W), shares(name, W)[0].argmax(0)
        waves = E[won != M / 2] / M
        rows[f"M = {M}, frequencies"] = [float(waves.min().round(6)), float(waves.max().round(6))]
        worst = max(worst, np.abs(waves * 16 - 1).max())
        if (won == M / 2).any():
            rows[f"M = {M}, alternating"] = [float(v.round(6)) for v in
                                             ((E[won == M / 2] / M).min(), (E[won == M / 2] / M).max())]
    return Verdict(rows, "E / M = 1/16 = 0.0625 and 1/8 = 0.125, within 1 %", bool(worst < 0.01),
                   unit="smallest and largest energy / M",
                   note="Exactly four times the stated values: M/4 and M/2. The ratio of 2 is right. The stated "
                        "ones belong to inputs scaled by 1/sqrt 2; nothing else in the paper hangs on them.")


@claim(paper=PAPER, where="Thm 2 (general groups)",
       says="for any group, the maxima lie within one irreducible subspace")
def energy_maxima_of_other_groups() -> Verdict:
    """60 ascents each; the reached energies against M/(2d) for real, M/(4d) for complex and quaternionic modes
    of degree d (derived here)."""
    rows, holds = {}, True
    for name in ("Z2xZ4", "D3", "D6", "S4", "Q8"):
        W = summits(name, units=60)
        share, E = shares(name, W), energy_of(name, W)
        won = share[0].argmax(0)
        pure = float(np.mean((share.max(1).min(0) > 0.999) & (won == share[1].argmax(0))))
        off = float(np.abs(E / modes(name).top_energy()[won] - 1).max())
        rows[name] = [pure, float(f"{off:.1g}"), ", ".join(f"M/{group(name).M / e:.3g}" for e in
                                                          np.unique(np.round(E, 3)))]
        holds = holds and pure >= 0.99 and off < 1e-3
    return Verdict(rows, "at least 99 % of the ascents within one mode, energies right to 0.1 %", holds,
                   unit="fraction in one mode; largest relative error of the energy; levels reached")


@claim(paper=PAPER, where="section on stage I, Prop 1", seeds=3,
       says="G_F starts as t Y Y^T F and converges to the ridge solution's closed form")
def output_layer_sends_signal_first() -> Verdict:
    """M = 11, 60 % of the pairs, K = 300, F frozen, V from 0 by small gradient steps with weight decay 1."""
    G, rows, holds = group("Z11"), {}, True
    for seed in range(3):
        start = sample({"W": Uniform((22, 300), -1, 1), "o": Permutation(121)}, seed=seed, stream="start", dtype=T64)
        keep = start["o"][:73]
        F, Y = preactivation(start["W"])[keep].square(), targets(G, dtype=T64)[keep]
        eta, V, A = 1.0, torch.zeros(300, 11, dtype=T64), project(F)
        dt = 1 / (torch.linalg.eigvalsh(A @ A.T)[-1] + eta)
        V = 1e-3 * dt * A.T @ Y
        early = cosine(sent_back(A, Y, V), signal(F, Y))
        for _ in range(4000):
            V = V + dt * (A.T @ project(Y - A @ V) - eta * V)
        end = sent_back_at_the_end(F, Y, eta)
        off = float((sent_back(A, Y, V) - end).norm() / end.norm())
        rows[f"seed {seed}"] = [round(early, 6), float(f"{off:.1g}"), round(cosine(end, signal(F, Y)), 3)]
        holds = holds and early > 0.999 and off < 0.02
    return Verdict(rows, "cosine above 0.999 at the start, relative error below 2 % at the end", holds,
                   unit="cosine to Y Y^T F at the start; relative error of the closed form at the end; cosine to "
                        "Y Y^T F at the end")


def random_features(M: int, n: int, K: int, *, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """F (n, K) of n random pairs of Z_M, random normal W, squared; and the targets Y (n, M). Float64."""
    start = sample({"W": Normal((2 * M, K)), "o": Permutation(M * M)}, seed=seed, stream="start", dtype=T64)
    keep = start["o"][:n]
    return preactivation(start["W"])[keep].square(), targets(group(f"Z{M}"), dtype=T64)[keep]


@claim(paper=PAPER, where="Lemma 1", seeds=3,
       says="after stage I the gradient at the features is proportional to the weight decay η")
def gradient_is_proportional_to_decay() -> Verdict:
    """M = 23, n = 200, K = 512: the ridge solution at η = 1e-4, 1e-3, ... of the smallest eigenvalue of F F^T on
    its range, and at twice that."""
    rows, holds = {}, True
    for seed in range(3):
        F, Y = random_features(23, 200, 512, seed=seed)
        A = project(F)
        smallest = float(torch.linalg.eigvalsh(A @ A.T)[1])           # 0 is the removed mean
        row = []
        for part in (1e-4, 1e-3, 1e-2):
            one, two = (sent_back_at_the_end(F, Y, c * part * smallest).norm() for c in (1, 2))
            row.append(float(two / one))
        rows[f"seed {seed}"] = [round(r, 4) for r in row]
        holds = holds and all(abs(r / 2 - 1) < 0.05 for r in row)
    return Verdict(rows, "twice the decay, twice |G_F|, within 5 %", holds,
                   unit="|G_F| at 2η over |G_F| at η; η = 1e-4, 1e-3, 1e-2 of the smallest eigenvalue")


@claim(paper=PAPER, where="Lemma 1 (wide networks)", seeds=3,
       says="for wide networks it points along Y Y^T F, so that each unit climbs the energy by itself")
def wide_networks_send_signal() -> Verdict:
    """M = 23, n = 264, F centred, η = 1e-6 of the sum of the eigenvalues of F F^T; K = 256, 1024, 4096."""
    rows, by_width = {}, []
    for K in (256, 1024, 4096):
        row = []
        for seed in range(3):
            F, Y = random_features(23, 264, K, seed=seed)
            A = project(F)
            eta = 1e-6 * float((A * A).sum())
            row.append(cosine(sent_back_at_the_end(F, Y, eta), signal(F, Y)))
        rows[f"K = {K}"] = [round(r, 3) for r in row]
        by_width.append(np.mean(row))
    holds = bool(by_width[0] < 0.3 < by_width[1] < by_width[2])
    return Verdict(rows, "the cosine rises with K; it is below 0.3 at K near n", holds,
                   unit="cosine of G_F and Y Y^T F, 3 seeds",
                   note="A trend, not an equality: the lemma leaves terms of order 1/K, and at toy width they are "
                        "large.")


@claim(paper=PAPER, where="Thm 3", says="2M - 2 hidden units suffice for an Abelian group (complex weights)")
def written_down_solution_is_exact() -> Verdict:
    """The network of ``construct.written_down`` on every pair of five groups."""
    rows = {}
    for name in ("Z7", "Z12", "Z23", "Z4xZ6", "Z2xZ2xZ3"):
        G, (W, V) = group(name), written_down(name)
        out = (inputs(G, dtype=T64).numpy() @ W) ** 2 @ V
        rows[name] = [W.shape[1], float(f"{np.abs(out - targets(G, dtype=T64).numpy() + 1 / G.M).max():.1g}")]
    holds = all(units == 2 * group(name).M - 2 and off < 1e-12 for name, (units, off) in rows.items())
    return Verdict(rows, "2M - 2 units, error below 1e-12 on all M^2 pairs", holds,
                   unit="hidden units; largest error of any output")


@claim(paper=PAPER, where="Thm 6", seeds=3, says="units with similar features repel each other")
def similar_units_repel() -> Verdict:
    """M = 23, n = 264, 40 random units, each feature centred and of length 1: entries of B = (F^T F + η)^-1 with
    η = 1 against the overlaps of features, as they are and with what the other units explain projected out."""
    rows, holds = {}, True
    for seed in range(3):
        F, _ = random_features(23, 264, 40, seed=seed)
        A, eta = project(F), 1.0
        A = A / A.norm(dim=0)
        B = torch.linalg.inv(A.T @ A + eta * torch.eye(40, dtype=T64))
        plain, projected, pairs = 0, 0, 0
        for i in range(40):
            for j in range(i):
                R = A[:, [k for k in range(40) if k not in (i, j)]]
                left = A[:, i] - R @ torch.linalg.solve(R.T @ R + eta * torch.eye(38, dtype=T64), R.T @ A[:, i])
                projected += bool(left @ A[:, j] * B[i, j] < 0)
                plain += bool(A[:, i] @ A[:, j] * B[i, j] < 0)
                pairs += 1
        rows[f"seed {seed}"] = [projected / pairs, round(plain / pairs, 3)]
        holds = holds and projected == pairs
    return Verdict(rows, "for every pair, B and the projected overlap have opposite signs", holds,
                   unit="fraction of the 780 pairs with opposite signs: projected overlap, plain overlap")


@claim(paper=PAPER, where="Thm 7", seeds=3,
       says="once some modes are learned, what the output layer sends back points to the missing ones only")
def learned_modes_are_left_alone() -> Verdict:
    """M = 11; hidden units that span frequencies 1, 2, 3; V by ridge; 40 ascents on the energy of the residual."""
    G, name, learned = group("Z11"), "Z11", (1, 2, 3)
    m, rows, holds = torch.arange(11, dtype=T64), {}, True
    phases = [(f, s, t) for f in learned for s in range(5) for t in range(5)]
    W = torch.stack([torch.cat([torch.cos(2 * math.pi * (f * m / 11 + p / 5)) for p in (s, t)])
                     for f, s, t in phases], 1)
    Y, F = targets(G, dtype=T64), preactivation(W).square()
    residual = project(Y) - project(F) @ ridge(F, Y, 1e-6)
    for seed in range(3):
        before, after = (shares(name, summits(name, units=40, seed=seed, Y=T))[0].argmax(0) for T in (Y, residual))
        count = [int(np.isin(won, learned).sum()) for won in (before, after)]
        rows[f"seed {seed}"] = count
        holds = holds and count[1] == 0 and count[0] > 0
    return Verdict(rows, "none of 40 ascents ends in a learned frequency", holds,
                   unit="ascents that end at frequency 1, 2 or 3: before and after these are learned")
