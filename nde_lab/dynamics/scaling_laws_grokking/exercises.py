"""The five exercises of the chapter on grokking; ``check.half_and_half(my_answer)`` answers with a hint."""
from __future__ import annotations

import math

import numpy as np
import torch

from nde_lab.dynamics.scaling_laws_grokking.construct import characters
from nde_lab.dynamics.scaling_laws_grokking.groups import group, modes
from nde_lab.dynamics.scaling_laws_grokking.model import energies, inputs, targets
from nde_lab.dynamics.scaling_laws_grokking.phase import predicted
from nde_lab.exercises import exercise, require

T64 = torch.float64


def _energy(name: str, w: np.ndarray) -> float:
    G = group(name)
    W = torch.as_tensor(w, dtype=T64)[:, None]
    return float(energies(W, targets(G, dtype=T64), torch.ones(G.M**2, dtype=T64))[0])


@exercise(hints=("Start from E = M (x1 z1 + x2 z2 + ...), with all shares adding up to 1.",
                 "Two frequencies in two halves make four equal shares: x1 = z1 = x2 = z2 = 1/4.",
                 "M (1/16 + 1/16)."))
def half_and_half(answer):
    """answer(M) -> energy of a unit vector whose power is spread evenly over two frequencies and both halves."""
    for M in (7, 11, 23):
        m = np.arange(M)
        u = np.cos(2 * math.pi * m / M) + np.cos(4 * math.pi * m / M + 1)
        w = np.concatenate([u, u]) / math.sqrt(2 * float(u @ u))
        true, got = _energy(f"Z{M}", w), float(answer(M))
        require(abs(got / true - 1) < 1e-6, f"for M = {M} you say {got:.4g}; such a vector has energy {true:.4g}, and "
                                            f"one frequency alone has M/4 = {M / 4:g}.")
    return "right for M = 7, 11, 23: half of what one frequency gets. Sharing does not pay."


@exercise(hints=("(s + t)² and (s - t)² differ by 4 s t. Which s and t have a product that depends on ab only?",
                 "c(a) c(b) = c(ab) for a character, so let a unit see c(a) + c(b), and another c(a) - c(b).",
                 "W = columns [c; c] and [c; -c], v = (1/4, -1/4)."))
def two_units(answer):
    """answer(c) -> (W (2M, 2), v (2,)) with (X W)^2 v = c(ab) for every pair, for a character c (M,)."""
    for name in ("Z5", "Z2xZ3"):
        G = group(name)
        X = inputs(G, dtype=T64).numpy()
        for c in characters(G)[1:]:
            W, v = (np.asarray(part, dtype=complex) for part in answer(c))
            require(W.shape == (2 * G.M, 2) and v.shape == (2,),
                    f"for {name} W must have shape {(2 * G.M, 2)} and v {(2,)}; yours have {W.shape} and {v.shape}.")
            off = np.abs((X @ W) ** 2 @ v - c[G.table.reshape(-1)]).max()
            require(off < 1e-9, f"for {name} the output misses c(ab) by up to {off:.2g}.")
    return "exact on every pair of Z5 and Z2xZ3, for every character: two units a mode are enough."


@exercise(hints=("The energy multiplies, mode by mode, the power of one half with the power of the other.",
                 "Give the two halves different frequencies: every product is zero.",
                 "u = cos(2π m / 11), v = cos(4π m / 11), both divided by their length times sqrt 2."))
def dead_weights(answer):
    """answer: w (22,) for Z11, |w| = 1, no constant part, both halves non-zero, with energy 0."""
    w = np.asarray(answer, dtype=float).reshape(-1)
    require(w.shape == (22,), f"w has 2M = 22 numbers; yours has {w.size}.")
    u, v = w[:11], w[11:]
    require(abs(float(w @ w) - 1) < 1e-6, f"|w|² must be 1; yours is {float(w @ w):.4g}.")
    require(max(abs(u.sum()), abs(v.sum())) < 1e-6, f"each half must add up to 0 (no constant part); yours add up to "
                                                    f"{u.sum():.3g} and {v.sum():.3g}.")
    require(min(u @ u, v @ v) > 0.01, f"both halves must carry weight; their powers are {u @ u:.3g} and {v @ v:.3g}.")
    E = _energy("Z11", w)
    require(E < 1e-9, f"the energy is {E:.3g}, not 0; its largest possible value is 2.75.")
    return "energy 0. The slope is 0 too: from here ascent never starts. Random weights are never quite here."


@exercise(hints=("The boundary is a fraction of the table. How many pairs does the whole table have?",
                 "n = p M², with p = 2.7482 log M / M.",
                 "n = 2.7482 M log M."))
def pairs_needed(answer):
    """answer(M) -> the number of pairs at the boundary between memorising and grokking."""
    for M in (17, 59, 113):
        true, got = float(predicted(M)) * M**2, float(answer(M))
        require(abs(got / true - 1) < 0.02, f"for M = {M} you say {got:.4g} pairs; the line says {true:.4g} of "
                                            f"{M**2}.")
    return f"for M = 113, {float(predicted(113)) * 113**2:.0f} of 12769 pairs: nearly linear in M, in a table of M²."


@exercise(hints=("The level of a mode depends on its degree d, and on whether it is real or a conjugate pair.",
                 "Abelian groups have d = 1: at most two levels. Which group has irreducible matrices of size 2 and 3?",
                 "The symmetric group on four things, S4: d = 1, 2 and 3."))
def three_levels(answer):
    """answer: the name of a group whose maxima have at least three different energies."""
    name = str(answer)
    levels = sorted({round(float(e) / group(name).M, 9) for e in modes(name).top_energy()[1:]})
    told = ", ".join(f"M/{1 / e:.3g}" for e in levels)
    require(len(levels) >= 3, f"{name} has {len(levels)} level{'s' if len(levels) > 1 else ''}: {told}.")
    return f"{name} has the levels {told}."
