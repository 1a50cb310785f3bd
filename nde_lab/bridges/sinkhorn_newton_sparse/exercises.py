"""The five exercises of the chapter on Sinkhorn; ``check.two_by_two(my_answer)`` answers with a hint."""
from __future__ import annotations

import math

import numpy as np

from nde_lab.bridges.entropic import lse, sinkhorn
from nde_lab.bridges.sinkhorn_newton_sparse.newton import hessian
from nde_lab.bridges.sinkhorn_newton_sparse.problems import random_assignment
from nde_lab.exercises import exercise, require


@exercise(hints=("Both masses are 1/2, so one number p = P_11 fixes the plan: P_12 = 1/2 - p. What is P_11 / "
                 "P_12?",
                 "P_ij is exp((x_i + y_j - C_ij) / eps), so P_11 P_22 / (P_12 P_21) = exp(2 / eps): the "
                 "potentials "
                 "cancel.",
                 "p / (1/2 - p) = exp(1 / eps)."))
def two_by_two(answer):
    """answer(eps) -> P_11 for the cost [[0, 1], [1, 0]] and masses 1/2."""
    for eps in (0.1, 0.5, 2.0):
        true, got = sinkhorn([[0, 1], [1, 0]], eps=eps, tolerance=1e-13).plan[0, 0], float(answer(eps))
        require(abs(got - true) < 1e-9, f"for eps = {eps:g} you say {got:.6g}; Sinkhorn finds {true:.6g}.")
    return "the same as Sinkhorn finds for eps = 0.1, 0.5 and 2: from an even split to a permutation."


@exercise(hints=("The row sum of P is exp(x_i / eps) times something that does not depend on x.",
                 "x_i = eps (log r_i - log of sum over j of exp((y_j - C_ij) / eps - 1)). For a small eps that "
                 "sum "
                 "underflows to 0: take out its largest term first.",
                 "L = (y - C) / eps - 1; top = L.max(1); x = eps * (log(r) - top - log(exp(L - top[:, "
                 "None]).sum(1)))."))
def row_update(answer):
    """answer(C, y, r, eps) -> x (n,) with row sums of P equal to r, also where exp underflows."""
    rng = np.random.default_rng(0)
    for eps in (0.1, 1e-3, 1e-5):
        C, y = rng.random((4, 6)), rng.random(6)
        r = rng.random(4) + 0.1
        with np.errstate(all="ignore"):
            x = np.asarray(answer(C, y, r, eps), dtype=float)
        require(x.shape == (4,), f"x has a number for each of the 4 sources; yours has shape {x.shape}.")
        require(np.isfinite(x).all(), f"for eps = {eps:g} your x is not finite: an exponential overflowed, or "
                                      "the "
                                      "logarithm of 0 was taken.")
        off = np.abs(lse((x[:, None] + y - C) / eps - 1, 1) - np.log(r)).max()
        require(off < 1e-6, f"for eps = {eps:g} the logarithm of a row sum misses log r by {off:.3g}.")
    return "row sums are right for eps = 0.1, 0.001 and 0.00001."


@exercise(hints=("x_i + y_j must not change. What can you add to every x and take from every y?",
                 "(1, ..., 1, -1, ..., -1): n ones and m times minus one."))
def free_direction(answer):
    """answer(n, m) -> a vector (n + m,), not zero, that every Hessian H sends to zero."""
    for n, m in ((3, 3), (2, 5)):
        v = np.asarray(answer(n, m), dtype=float)
        require(v.shape == (n + m,), f"for n = {n}, m = {m} the vector has {n + m} entries; yours has shape "
                                     f"{v.shape}.")
        require(np.abs(v).max() > 1e-6, "the zero vector is always sent to zero; find another.")
        off = np.abs(hessian(random_assignment(8, seed=0)[:n, :m] + 0.1, 1.0) @ v).max()
        require(off < 1e-9 * np.abs(v).max(), f"for n = {n}, m = {m} H sends your vector to one with an entry "
                                              f"{off:.3g}.")
    return "H v = 0 for every plan: the potentials are only known up to this direction."


@exercise(hints=("Write M for n = 1: the kept entry p, and diagonals p and p. What is its determinant?",
                 "Only the diagonal of P is kept, so M falls apart into n blocks, one for each pair (i, i).",
                 "Each block [[p, p], [p, p]] has eigenvalues 2p and 0."))
def false_diagonals(answer):
    """answer(n) -> number of zero eigenvalues of M if only P_ii are kept and the diagonals are *their* sums."""
    for n in (2, 5):
        S = np.diag(np.arange(1.0, n + 1))
        true = int((np.linalg.eigvalsh(hessian(S, 1.0)) < 1e-9).sum())
        P = S + 0.01
        M = hessian(P, 1.0)
        M[:n, n:], M[n:, :n] = S, S
        exact = int((np.linalg.eigvalsh(M) < 1e-9).sum())
        require(int(answer(n)) == true, f"for n = {n} you say {answer(n)}; the eigenvalues say {true} (and "
                                        f"{exact} with "
                                        "exact diagonals).")
    return "one for each block that the kept entries fall into; with the exact diagonals there is none."


@exercise(hints=("How much smaller is the error after one sweep? By the square of a singular value.",
                 "Both masses are 1/2, so the matrix is 2P = [[p, 1-p], [1-p, p]] with p = 1 / (1 + "
                 "exp(-1/eps)). Its "
                 "singular values are 1 and 2p - 1 = tanh(1 / (2 eps)).",
                 "tanh(1 / (2 eps))**(2 k) = 1/10; solve for k."))
def sweeps_per_digit(answer):
    """answer(eps) -> sweeps that make a small error ten times smaller, cost [[0, 1], [1, 0]], masses 1/2."""
    for eps in (0.2, 0.3, 0.5):
        K, v = np.exp(-np.array([[0, 1], [1, 0]]) / eps), np.array([1.0, 1.001])
        errors = []
        for _ in range(2):
            u = 0.5 / (K @ v)
            v = 0.5 / (K.T @ u)
            errors.append(abs(u[0] * (K @ v)[0] - 0.5))
        true, got = math.log(0.1) / math.log(errors[1] / errors[0]), float(answer(eps))
        require(abs(got / true - 1) < 0.02, f"for eps = {eps:g} you say {got:.4g} sweeps; Sinkhorn takes "
                                            f"{true:.4g}.")
    return (f"right. At eps = 0.05 it is {math.log(0.1) / (2 * math.log(math.tanh(10))):.2g} sweeps a digit: "
            "the number "
            "grows like exp(1 / eps).")
